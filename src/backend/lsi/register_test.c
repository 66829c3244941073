/* SPDX-License-Identifier: MIT */
/* Registers and interrupts: what they are, what meets, what is masked, what resets leave. */
#include "backend/lsi/bus_rig_test.h"

/* ---- registers ---- */

static void lsi_is_what_drivers_look_for(void **state)
{
	RIG(r);
	struct pci_function *fn = &r.lsi->fn;

	assert_int_equal(pci_function_config_read(fn, PCI_VENDOR_ID, 4), 0x00121000);
	assert_int_equal(pci_function_config_read(fn, PCI_CLASS, 2), 0);
	assert_int_equal(fn->config[PCI_CLASS + 2], 1);
	assert_int_equal(fn->config[PCI_INTERRUPT_PIN], 1);
	assert_int_equal(fn->bars[0].region.size, 256);
	assert_int_equal(fn->bars[1].region.size, 1024);
	assert_int_equal(fn->bars[2].region.size, 8192);
	assert_int_equal(lr_in8(&r, LSI_MACNTL) & 0xf0, 0xd0);
	assert_int_equal(lr_in8(&r, LSI_STEST4), 0xe0);
	/* No EEPROM pulls a line down. */
	assert_int_equal(lr_in8(&r, LSI_GPREG) & 1, 1);
	lr_fini(&r);
}

static void lsi_registers_are_the_same_by_port_and_by_memory(void **state)
{
	RIG(r);

	lr_out32(&r, LSI_SCRATCHA, 0x12345678);
	assert_int_equal(sysbus_read(&r.plane.bus, SYSBUS_PORT, LR_PORTS + LSI_SCRATCHA + 1, 1),
			 0x56);
	sysbus_write(&r.plane.bus, SYSBUS_PORT, LR_PORTS + LSI_TEMP, 0xabcd, 2);
	assert_int_equal(lr_in32(&r, LSI_TEMP), 0xabcd);
	assert_int_equal(r.lsi->stats.reads, 2);
	/* Each access is as wide as it is, and the memory BAR shows them four times. */
	lr_out8(&r, LSI_SCRATCHA + 1, 0xff);
	lr_out8(&r, 0x300 + LSI_SCRATCHA, 0x9a);
	assert_int_equal(lr_in32(&r, LSI_SCRATCHA), 0x1234ff9a);
	assert_int_equal(lr_in8(&r, 0x100 + LSI_SCRATCHA + 2), 0x34);
	assert_int_equal(sysbus_read(&r.plane.bus, SYSBUS_MEMORY, LR_REGISTERS + LSI_SCRATCHA, 2),
			 0xff9a);
	sysbus_write(&r.plane.bus, SYSBUS_MEMORY, LR_ONCHIP + 4, 0x5566778811223344, 8);
	sysbus_write(&r.plane.bus, SYSBUS_MEMORY, LR_ONCHIP + 5, 0xaa, 1);
	assert_int_equal(sysbus_read(&r.plane.bus, SYSBUS_MEMORY, LR_ONCHIP + 4, 8),
			 0x556677881122aa44);
	assert_int_equal(sysbus_read(&r.plane.bus, SYSBUS_MEMORY, LR_ONCHIP + 5, 2), 0x22aa);
	lr_fini(&r);
}

static void lsi_read_only_registers_stay(void **state)
{
	RIG(r);

	lr_out32(&r, LSI_DSTAT, 0xffffffff);
	assert_int_equal(lr_in32(&r, LSI_DSTAT), DSTAT_DFE);
	lr_out8(&r, LSI_STEST4, 0);
	assert_int_equal(lr_in8(&r, LSI_STEST4), 0xe0);
	lr_out8(&r, LSI_SIST, 0xff);
	assert_int_equal(lr_in8(&r, LSI_SIST), 0);
	lr_fini(&r);
}

static void lsi_int_raises_the_pin_until_it_is_read(void **state)
{
	RIG(r);

	lr_emit(&r, S_INT | S_TRUE, 42);
	lr_out32(&r, LSI_DSP, LR_CODE);
	assert_true(r.lsi->fn.intx);
	assert_int_equal(lr_in8(&r, LSI_ISTAT), ISTAT_DIP);
	assert_int_equal(lr_in32(&r, LSI_DSPS), 42);
	assert_int_equal(lr_in32(&r, LSI_DSP), LR_CODE + 8);
	assert_int_equal(lr_in8(&r, LSI_DSTAT), DSTAT_DFE | DSTAT_SIR);
	assert_false(r.lsi->fn.intx);
	assert_int_equal(r.pin_changes, 2);
	assert_int_equal(r.lsi->stats.interrupts, 1);
	lr_fini(&r);
}

static void lsi_masked_interrupts_show_in_istat_only(void **state)
{
	RIG(r);

	lr_out8(&r, LSI_DIEN, 0);
	lr_emit(&r, S_INT | S_TRUE, 0);
	lr_out32(&r, LSI_DSP, LR_CODE);
	assert_int_equal(lr_in8(&r, LSI_ISTAT), ISTAT_DIP);
	assert_int_equal(r.pin_changes, 0);
	lr_out8(&r, LSI_DIEN, DSTAT_SIR);
	assert_int_equal(r.pin_changes, 1);
	lr_out8(&r, LSI_ISTAT1, ISTAT1_SIRQD);
	assert_int_equal(r.pin_changes, 2);
	lr_fini(&r);
}

static void lsi_interrupt_on_the_fly(void **state)
{
	RIG(r);

	lr_out8(&r, LSI_ISTAT, ISTAT_SEM);
	lr_emit(&r, S_INT | S_FLY | S_TRUE, 0);
	lr_emit(&r, S_INT | S_TRUE, END);
	lr_run_to(&r, END);
	assert_int_equal(lr_in8(&r, LSI_ISTAT), ISTAT_INTF | ISTAT_SEM);
	assert_true(r.lsi->fn.intx);
	lr_out8(&r, LSI_ISTAT, ISTAT_INTF);
	assert_int_equal(lr_in8(&r, LSI_ISTAT), 0);
	assert_false(r.lsi->fn.intx);
	lr_fini(&r);
}

static void lsi_starts_by_hand(void **state)
{
	RIG(r);

	lr_out8(&r, LSI_DMODE, DMODE_MAN);
	lr_emit(&r, S_INT | S_TRUE, END);
	lr_out32(&r, LSI_DSP, LR_CODE);
	assert_int_equal(r.lsi->stats.instructions, 0);
	lr_out8(&r, LSI_DCNTL, DCNTL_STD);
	assert_int_equal(lr_in8(&r, LSI_ISTAT), ISTAT_DIP);
	assert_int_equal(lr_in8(&r, LSI_DCNTL), 0);
	lr_fini(&r);
}

static void lsi_single_step(void **state)
{
	RIG(r);

	lr_out8(&r, LSI_DCNTL, DCNTL_SSM);
	lr_emit(&r, S_SET(S_LINE_CARRY), 0);
	lr_emit(&r, S_INT | S_TRUE, END);
	lr_run(&r);
	assert_int_equal(lr_in8(&r, LSI_DSTAT), DSTAT_DFE | DSTAT_SSI);
	assert_int_equal(lr_in32(&r, LSI_DSP), LR_CODE + 8);
	lr_out8(&r, LSI_DCNTL, DCNTL_SSM | DCNTL_STD);
	assert_int_equal(lr_in8(&r, LSI_DSTAT), DSTAT_DFE | DSTAT_SIR);
	lr_fini(&r);
}

static void lsi_soft_reset_clears_everything(void **state)
{
	RIG(r);

	lr_emit(&r, S_JUMP | S_TRUE, LR_CODE);
	lr_out32(&r, LSI_SCRATCHA, 5);
	lr_out32(&r, LSI_DSP, LR_CODE);
	assert_int_equal(lr_in8(&r, LSI_ISTAT1), ISTAT1_SCRUN);
	lr_out8(&r, LSI_ISTAT, ISTAT_SRST);
	assert_int_equal(lr_in8(&r, LSI_ISTAT1), 0);
	assert_int_equal(lr_in32(&r, LSI_SCRATCHA), 0);
	assert_int_equal(lr_in8(&r, LSI_DIEN), 0);
	lr_out8(&r, LSI_ISTAT, 0);
	lr_fini(&r);
}

/* ---- interrupts ---- */

static void lsi_interrupts_add_up_until_they_are_read(void **state)
{
	RIG(r);

	lr_emit(&r, S_INT | S_TRUE, END);
	lr_out32(&r, LSI_DSP, LR_CODE);
	lr_out8(&r, LSI_ISTAT, ISTAT_ABRT);
	lr_out8(&r, LSI_ISTAT, 0);
	assert_int_equal(lr_in8(&r, LSI_DSTAT), DSTAT_DFE | DSTAT_SIR | DSTAT_ABRT);
	assert_int_equal(lr_in8(&r, LSI_DSTAT), DSTAT_DFE);
	/* A phase that does not match, then a reset of the bus, then nobody there. */
	lr_begin(&r);
	lr_emit(&r, S_SELECT(0) | S_ATN, LR_NOBODY);
	lr_emit(&r, S_MOVE(SPI_DATA_IN, 1), LR_DATA);
	lr_run(&r);
	lr_out8(&r, LSI_SCNTL1, SCNTL1_RST);
	lr_out8(&r, LSI_SCNTL1, 0);
	lr_begin(&r);
	lr_emit(&r, S_SELECT(5) | S_ATN, LR_NOBODY);
	lr_emit(&r, S_WAIT_DISC, 0);
	lr_run(&r);
	/* Each half goes by itself; the pin stays up until both have. */
	assert_int_equal(lr_in8(&r, LSI_SIST), SIST_MA | SIST_RST);
	assert_true(r.lsi->fn.intx);
	assert_int_equal(lr_in8(&r, LSI_ISTAT), ISTAT_SIP);
	assert_int_equal(lr_in8(&r, LSI_SIST + 1), SIST_STO >> 8);
	assert_false(r.lsi->fn.intx);
	assert_int_equal(lr_in8(&r, LSI_ISTAT), 0);
	lr_fini(&r);
}

static void lsi_bus_reset_raises_the_pin(void **state)
{
	RIG(r);

	lr_out8(&r, LSI_SCNTL1, SCNTL1_RST);
	assert_true(r.lsi->fn.intx);
	assert_int_equal(lr_in8(&r, LSI_ISTAT), ISTAT_SIP);
	lr_in8(&r, LSI_SIST);
	/* It stays up, but that is not another one. */
	lr_out8(&r, LSI_SCNTL1, SCNTL1_RST);
	assert_false(r.lsi->fn.intx);
	/* Nor is one that nobody wants to hear of; it is told when somebody does. */
	lr_out8(&r, LSI_SIEN, (uint8_t)~SIST_RST);
	lr_out8(&r, LSI_SCNTL1, 0);
	lr_emit(&r, S_REG_REG | S_REG(LSI_SCNTL1) | S_OP(2, SCNTL1_RST), 0);
	lr_emit(&r, S_WAIT_RESEL, LR_NOBODY);
	lr_out32(&r, LSI_DSP, LR_CODE);
	assert_int_equal(lr_in8(&r, LSI_ISTAT), 0);
	assert_int_equal(lr_in8(&r, LSI_ISTAT1), ISTAT1_SCRUN);
	assert_false(r.lsi->fn.intx);
	lr_out8(&r, LSI_SIEN, SIST_RST);
	assert_true(r.lsi->fn.intx);
	assert_int_equal(lr_in8(&r, LSI_ISTAT), ISTAT_SIP);
	assert_int_equal(lr_in8(&r, LSI_SIST), SIST_RST);
	lr_fini(&r);
}

/* What stops a program, masked or not, stops it. */
static void lsi_masked_fatal_interrupts_stop_all_the_same(void **state)
{
	RIG(r);

	lr_out8(&r, LSI_SIEN, 0);
	lr_emit(&r, S_SELECT(0) | S_ATN, LR_NOBODY);
	lr_emit(&r, S_MOVE(SPI_DATA_IN, 1), LR_DATA);
	lr_run(&r);
	assert_int_equal(lr_in8(&r, LSI_ISTAT), ISTAT_SIP | ISTAT_CON);
	assert_int_equal(lr_in8(&r, LSI_ISTAT1), 0);
	assert_int_equal(r.pin_changes, 0);
	lr_fini(&r);
}

static void lsi_the_pin_can_be_switched_off(void **state)
{
	static const struct {
		unsigned reg;
		uint8_t off;
	} ways[] = {{LSI_DCNTL, DCNTL_IRQD}, {LSI_ISTAT1, ISTAT1_SIRQD}, {LSI_DIEN, 0}};
	RIG(r);

	lr_emit(&r, S_INT | S_TRUE, END);
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		uint8_t on = lr_in8(&r, ways[i].reg);

		lr_out32(&r, LSI_DSP, LR_CODE);
		assert_true(r.lsi->fn.intx);
		lr_out8(&r, ways[i].reg, ways[i].off);
		assert_false(r.lsi->fn.intx);
		lr_out8(&r, ways[i].reg, on);
		assert_true(r.lsi->fn.intx);
		lr_in8(&r, LSI_DSTAT);
	}
	lr_fini(&r);
}

/* A selection has timed out, the program has not noticed yet, and now never will. */
static void lsi_a_time_out_is_forgotten_by_resets_and_abort(void **state)
{
	RIG(r);

	for (unsigned way = 0; way < 3; way++) {
		lr_begin(&r);
		lr_emit(&r, S_SELECT(5) | S_ATN, LR_NOBODY);
		lr_emit(&r, S_WAIT_RESEL, LR_NOBODY);
		lr_out32(&r, LSI_DSP, LR_CODE);
		assert_int_equal(r.lsi->wait, LSI_WAITS_RESELECT);
		if (way == 2) {
			lr_out8(&r, LSI_SCNTL1, SCNTL1_RST);
			lr_out8(&r, LSI_SCNTL1, 0);
			assert_int_equal(lr_in8(&r, LSI_SIST), SIST_RST);
			r.lsi->bus.disks[0]->attention = 0;
		} else {
			lr_out8(&r, LSI_ISTAT, way ? ISTAT_ABRT : ISTAT_SRST);
			lr_out8(&r, LSI_ISTAT, 0);
			lr_in8(&r, LSI_DSTAT);
		}
		assert_int_equal(lr_in8(&r, LSI_ISTAT1), 0);
		assert_int_equal(do_one(&r, ready, 0, false), SCSI_GOOD);
		assert_int_equal(lr_in8(&r, LSI_SIST + 1), 0);
		lr_out8(&r, LSI_SCID, SCID_RRE | 7);
		lr_out8(&r, LSI_SIEN, 0xff & ~0x60u);
	}
	lr_fini(&r);
}

static void lsi_pci_reset_leaves_nothing(void **state)
{
	RIG(r);

	leave_one(&r, 0);
	sysbus_write(&r.plane.bus, SYSBUS_MEMORY, LR_ONCHIP + 0x1ff8, UINT64_MAX, 8);
	lr_out32(&r, LSI_SCRATCHA, UINT32_MAX);
	lr_emit(&r, S_INT | S_TRUE, END);
	lr_out8(&r, LSI_SCNTL1, SCNTL1_RST);
	assert_true(r.lsi->fn.intx);
	pci_function_reset(&r.lsi->fn);
	assert_false(r.lsi->fn.intx);
	assert_int_equal(left_behind(&r), 0);
	pci_function_config_write(&r.lsi->fn, PCI_BAR0 + 4, LR_REGISTERS, 4);
	pci_function_config_write(&r.lsi->fn, PCI_BAR0 + 8, LR_ONCHIP, 4);
	pci_function_config_write(&r.lsi->fn, PCI_COMMAND, 7, 2);
	assert_int_equal(sysbus_read(&r.plane.bus, SYSBUS_MEMORY, LR_ONCHIP + 0x1ff8, 8), 0);
	assert_int_equal(lr_in32(&r, LSI_SCRATCHA), 0);
	assert_int_equal(lr_in8(&r, LSI_ISTAT), 0);
	assert_int_equal(lr_in8(&r, LSI_SCNTL0), 0xc0);
	check_attention(&r, SCSI_ASC_POWER_ON);
	lr_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lsi_is_what_drivers_look_for),
		cmocka_unit_test(lsi_registers_are_the_same_by_port_and_by_memory),
		cmocka_unit_test(lsi_read_only_registers_stay),
		cmocka_unit_test(lsi_int_raises_the_pin_until_it_is_read),
		cmocka_unit_test(lsi_masked_interrupts_show_in_istat_only),
		cmocka_unit_test(lsi_interrupt_on_the_fly),
		cmocka_unit_test(lsi_starts_by_hand),
		cmocka_unit_test(lsi_single_step),
		cmocka_unit_test(lsi_soft_reset_clears_everything),
		cmocka_unit_test(lsi_interrupts_add_up_until_they_are_read),
		cmocka_unit_test(lsi_bus_reset_raises_the_pin),
		cmocka_unit_test(lsi_masked_fatal_interrupts_stop_all_the_same),
		cmocka_unit_test(lsi_the_pin_can_be_switched_off),
		cmocka_unit_test(lsi_a_time_out_is_forgotten_by_resets_and_abort),
		cmocka_unit_test(lsi_pci_reset_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
