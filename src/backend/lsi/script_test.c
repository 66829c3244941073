/* SPDX-License-Identifier: MIT */
/*
 * The SCRIPTS processor: each kind of instruction, and programs that are wrong or never end.
 */
#include "test.h"

#include "backend/lsi/rig_test.h"

#include <string.h>

#define RIG(r)            \
	struct lsi_rig r; \
	(void)state;      \
	lr_init(&r, NULL)

#define END 7u

/* ---- jumps ---- */

static void lsi_jumps(void **state)
{
	RIG(r);
	uint32_t skip = lr_emit(&r, S_JUMP | S_TRUE | S_REL, 8);

	lr_emit(&r, S_INT | S_TRUE, 1);
	assert_int_equal(skip + 16, r.at);
	lr_emit(&r, S_JUMP | S_TRUE, LR_CODE + 0x100);
	lr_emit(&r, S_INT | S_TRUE, 2);
	r.at = LR_CODE + 0x100;
	lr_emit(&r, S_JUMP, LR_NOBODY); /* never */
	lr_emit(&r, S_JUMP | S_TRUE | S_REL, (uint32_t)-24 & 0xffffff);
	r.at = LR_CODE + 0xf8;
	lr_emit(&r, S_INT | S_TRUE, END);
	lr_run_to(&r, END);
	lr_fini(&r);
}

static void lsi_call_and_return(void **state)
{
	RIG(r);

	lr_emit(&r, S_CALL | S_TRUE, LR_CODE + 0x40);
	lr_emit(&r, S_INT | S_TRUE, END);
	r.at = LR_CODE + 0x40;
	lr_emit(&r, S_RETURN | S_TRUE, 0);
	lr_run_to(&r, END);
	assert_int_equal(lr_in32(&r, LSI_TEMP), LR_CODE + 8);
	lr_fini(&r);
}

static void lsi_jumps_on_data_and_carry(void **state)
{
	RIG(r);
	static const struct {
		uint32_t word;
		uint8_t sfbr;
		bool carry, taken;
	} cases[] = {
		{S_TRUE | S_DATA(0x55, 0), 0x55, false, true},
		{S_TRUE | S_DATA(0x55, 0), 0x54, false, false},
		{S_DATA(0x55, 0), 0x54, false, true},
		{S_TRUE | S_DATA(0x50, 0x0f), 0x57, false, true}, /* masked bits do not count */
		{S_TRUE | S_DATA(0x50, 0x0f), 0x67, false, false},
		{S_TRUE | S_CARRY, 0, true, true},
		{S_TRUE | S_CARRY, 0, false, false},
		{S_CARRY, 0, false, true},
		{S_TRUE | S_IF(SPI_DATA_OUT), 0, false, false}, /* nobody is connected */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		lr_begin(&r);
		lr_out8(&r, LSI_SFBR, cases[i].sfbr);
		lr_emit(&r, cases[i].carry ? S_SET(S_LINE_CARRY) : S_CLEAR(S_LINE_CARRY), 0);
		lr_emit(&r, S_JUMP | S_REL | cases[i].word, 8);
		lr_emit(&r, S_INT | S_TRUE, 0);
		lr_emit(&r, S_INT | S_TRUE, 1);
		lr_run_to(&r, cases[i].taken);
	}
	lr_fini(&r);
}

/* ---- arithmetic ---- */

static void lsi_arithmetic(void **state)
{
	RIG(r);
	static const struct {
		uint8_t op, a, b;
		bool carry;
		uint8_t result;
		bool carries;
	} cases[] = {
		{0, 0x11, 0x77, false, 0x77, false}, {1, 0x81, 0, false, 0x02, true},
		{1, 0x01, 0, true, 0x03, false},     {2, 0x0f, 0xf0, false, 0xff, false},
		{3, 0xff, 0x0f, false, 0xf0, false}, {4, 0x3c, 0x0f, true, 0x0c, true},
		{5, 0x81, 0, false, 0x40, true},     {5, 0x02, 0, true, 0x81, false},
		{6, 0xff, 0x02, true, 0x01, true},   {6, 0x7f, 0x01, true, 0x80, false},
		{7, 0xff, 0x00, true, 0x00, true},   {7, 0x10, 0x01, true, 0x12, false},
	};
	static const uint32_t kinds[] = {S_TO_REG, S_FROM_REG, S_REG_REG};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
			unsigned into = kinds[k] == S_FROM_REG ? LSI_SFBR : LSI_SCRATCHA;

			lr_begin(&r);
			lr_out8(&r, kinds[k] == S_TO_REG ? LSI_SFBR : LSI_SCRATCHA, cases[i].a);
			lr_emit(&r, cases[i].carry ? S_SET(S_LINE_CARRY) : S_CLEAR(S_LINE_CARRY),
				0);
			lr_emit(&r, kinds[k] | S_REG(LSI_SCRATCHA) | S_OP(cases[i].op, cases[i].b),
				0);
			lr_emit(&r, S_INT | S_TRUE, END);
			lr_run_to(&r, END);
			assert_int_equal(lr_in8(&r, into), cases[i].result);
			assert_int_equal(r.lsi->carry, cases[i].carries);
		}
	}
	lr_fini(&r);
}

static void lsi_arithmetic_with_sfbr_and_high_registers(void **state)
{
	RIG(r);

	lr_out8(&r, LSI_SFBR, 5);
	lr_out32(&r, LSI_IA, 0x000000fd);
	lr_emit(&r, S_REG_REG | S_REG(LSI_IA) | S_OP(6, 0) | BIT64(23), 0);
	lr_emit(&r, S_REG_REG | S_REG(LSI_IA + 1) | S_OP(7, 0), 0);
	lr_emit(&r, S_INT | S_TRUE, END);
	lr_run_to(&r, END);
	assert_int_equal(lr_in32(&r, LSI_IA), 0x102);
	lr_fini(&r);
}

/* ---- memory ---- */

static void lsi_memory_moves(void **state)
{
	RIG(r);

	for (uint32_t i = 0; i < 10000; i++)
		r.ram[LR_DATA + i] = (uint8_t)(i * 7);
	lr_emit3(&r, S_MEMORY(10000), LR_DATA, LR_DATA + 0x10000);
	lr_emit3(&r, S_MEMORY(64), LR_DATA + 0x10000, LR_ONCHIP + 0x100);
	lr_emit3(&r, S_MEMORY(64), LR_ONCHIP + 0x100, LR_DATA + 0x20000);
	lr_emit(&r, S_INT | S_TRUE, END);
	lr_run_to(&r, END);
	assert_memory_equal(r.ram + LR_DATA, r.ram + LR_DATA + 0x10000, 10000);
	assert_memory_equal(r.ram + LR_DATA, r.ram + LR_DATA + 0x20000, 64);
	assert_memory_equal(r.lsi->ram + 0x100, r.ram + LR_DATA, 64);
	assert_int_equal(r.lsi->stats.bytes_moved, 10128);
	assert_int_equal(lr_in32(&r, LSI_TEMP), LR_DATA + 0x20000); /* where the last one went */
	lr_fini(&r);
}

static void lsi_memory_moves_that_are_wrong(void **state)
{
	RIG(r);
	static const struct {
		uint32_t n, from, to;
		uint8_t dstat;
	} cases[] = {
		{0, LR_DATA, LR_DATA + 64, DSTAT_IID},	{4, LR_DATA, LR_DATA + 65, DSTAT_IID},
		{4, LR_NOBODY, LR_DATA, DSTAT_BF},	{4, LR_DATA, LR_NOBODY, DSTAT_BF},
		{0xffffff, LR_DATA, LR_DATA, DSTAT_BF}, {16, 0xfffffff8, LR_DATA, DSTAT_BF},
		{16, LR_DATA, LR_RAM - 8, DSTAT_BF},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		lr_begin(&r);
		lr_emit3(&r, S_MEMORY(cases[i].n), cases[i].from, cases[i].to);
		lr_run(&r);
		assert_int_equal(lr_in8(&r, LSI_DSTAT), DSTAT_DFE | cases[i].dstat);
		assert_int_equal(lr_in8(&r, LSI_ISTAT1), 0);
	}
	lr_fini(&r);
}

static void lsi_memory_move_onto_its_own_registers(void **state)
{
	RIG(r);

	/* Scratch registers are like memory ... */
	lr_put32(&r, LR_DATA, 0xcafe0001);
	lr_emit3(&r, S_MEMORY(4), LR_DATA, LR_REGISTERS + LSI_SCRATCHA);
	lr_emit3(&r, S_MEMORY(4), LR_REGISTERS + LSI_SCRATCHA, LR_DATA + 8);
	/* ... DSP is a jump ... */
	lr_put32(&r, LR_DATA + 4, LR_CODE + 0x80);
	lr_emit3(&r, S_MEMORY(4), LR_DATA + 4, LR_REGISTERS + LSI_DSP);
	lr_emit(&r, S_INT | S_TRUE, 1);
	r.at = LR_CODE + 0x80;
	lr_emit(&r, S_INT | S_TRUE, END);
	lr_run_to(&r, END);
	assert_int_equal(lr_in32(&r, LSI_SCRATCHA), 0xcafe0001);
	assert_int_equal(lr_get32(&r, LR_DATA + 8), 0xcafe0001);
	/* ... and a reset of the card stops the program. */
	lr_begin(&r);
	lr_put32(&r, LR_DATA, (uint32_t)ISTAT_SRST);
	lr_emit3(&r, S_MEMORY(4), LR_DATA, LR_REGISTERS + LSI_ISTAT);
	lr_emit(&r, S_INT | S_TRUE, 1);
	lr_out32(&r, LSI_DSP, LR_CODE);
	assert_int_equal(lr_in8(&r, LSI_ISTAT1), 0);
	assert_int_equal(lr_in8(&r, LSI_DSTAT), DSTAT_DFE);
	lr_fini(&r);
}

static void lsi_memory_move_over_all_registers(void **state)
{
	RIG(r);

	memset(r.ram + LR_DATA, 0xff, 0x1000);
	lr_emit3(&r, S_MEMORY(0x400), LR_DATA, LR_REGISTERS);
	lr_emit3(&r, S_MEMORY(0x400), LR_REGISTERS, LR_DATA);
	lr_out32(&r, LSI_DSP, LR_CODE);
	lr_out8(&r, LSI_ISTAT, ISTAT_SRST);
	lr_fini(&r);
}

static void lsi_load_and_store(void **state)
{
	RIG(r);

	lr_out32(&r, LSI_DSA, LR_DATA + 0x100);
	lr_put32(&r, LR_DATA, 0x11223344);
	lr_put32(&r, LR_DATA + 0xf8, 0x55667788);
	lr_emit(&r, S_LOAD(LSI_SCRATCHA, 4), LR_DATA);
	lr_emit(&r, S_STORE(LSI_SCRATCHA + 2, 2), LR_DATA + 0x202);
	lr_emit(&r, S_LOAD(LSI_TEMP, 4) | S_DSA, (uint32_t)-8 & 0xffffff);
	lr_emit(&r, S_STORE(LSI_TEMP, 4) | S_DSA, 0x10);
	lr_emit(&r, S_LOAD(LSI_UA, 4), LR_DATA);
	lr_emit(&r, S_INT | S_TRUE, END);
	lr_run_to(&r, END);
	assert_int_equal(lr_get32(&r, LR_DATA + 0x200), 0x11220000);
	assert_int_equal(lr_in32(&r, LSI_TEMP), 0x55667788);
	assert_int_equal(lr_get32(&r, LR_DATA + 0x110), 0x55667788);
	assert_int_equal(lr_in32(&r, LSI_UA), 0x11223344);
	assert_int_equal(r.lsi->stats.bytes_moved, 18);
	lr_fini(&r);
}

static void lsi_load_and_store_that_are_wrong(void **state)
{
	RIG(r);
	static const struct {
		uint32_t first, second;
		uint8_t dstat;
	} cases[] = {
		{S_LOAD(LSI_SCRATCHA, 0), LR_DATA, DSTAT_IID},
		{S_LOAD(LSI_SCRATCHA, 5), LR_DATA, DSTAT_IID},
		{S_LOAD(LSI_SCRATCHA + 1, 4), LR_DATA + 1, DSTAT_IID},
		{S_LOAD(LSI_SCRATCHA, 2), LR_DATA + 1, DSTAT_IID},
		{S_LOAD(LSI_SCRATCHA, 4), LR_NOBODY, DSTAT_BF},
		{S_STORE(LSI_SCRATCHA, 4), LR_NOBODY, DSTAT_BF},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		lr_begin(&r);
		lr_emit(&r, cases[i].first, cases[i].second);
		lr_run(&r);
		assert_int_equal(lr_in8(&r, LSI_DSTAT), DSTAT_DFE | cases[i].dstat);
	}
	lr_fini(&r);
}

/* ---- programs that are wrong, change themselves or do not end ---- */

static void lsi_illegal_instructions(void **state)
{
	RIG(r);
	static const uint32_t words[] = {S_JUMP | 0x20000000 | S_TRUE, 0xa8000000 | S_TRUE,
					 0xb0000000 | S_TRUE, 0xb8000000 | S_TRUE};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		lr_begin(&r);
		lr_emit(&r, words[i], 0);
		lr_run(&r);
		assert_int_equal(lr_in8(&r, LSI_DSTAT), DSTAT_DFE | DSTAT_IID);
	}
	/* A target's part is not played. */
	lr_begin(&r);
	lr_emit(&r, S_SET(0x200), 0);
	lr_emit(&r, S_SELECT(0), 0);
	lr_run(&r);
	assert_int_equal(lr_in8(&r, LSI_DSTAT), DSTAT_DFE | DSTAT_IID);
	lr_begin(&r);
	lr_emit(&r, S_MOVE(SPI_DATA_IN, 4), LR_DATA);
	lr_run(&r);
	assert_int_equal(lr_in8(&r, LSI_DSTAT), DSTAT_DFE | DSTAT_IID);
	lr_fini(&r);
}

static void lsi_programs_outside_memory(void **state)
{
	RIG(r);
	static const uint32_t places[] = {LR_NOBODY,
					  LR_RAM,
					  LR_RAM - 4,
					  0xfffffffc,
					  0xfffffff8,
					  LR_REGISTERS,
					  LR_ONCHIP + LSI_RAM_BYTES - 4};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		lr_out32(&r, LSI_DSP, places[i]);
		assert_int_equal(lr_in8(&r, LSI_ISTAT), ISTAT_DIP);
		assert_int_equal(lr_in8(&r, LSI_DSTAT), DSTAT_DFE | DSTAT_BF);
	}
	lr_fini(&r);
}

static void lsi_programs_in_on_chip_memory(void **state)
{
	RIG(r);

	sysbus_write(&r.plane.bus, SYSBUS_MEMORY, LR_ONCHIP + 0x1ff8,
		     S_INT | S_TRUE | (uint64_t)END << 32, 8);
	lr_out32(&r, LSI_DSP, LR_ONCHIP + 0x1ff8);
	assert_int_equal(lr_in32(&r, LSI_DSPS), END);
	assert_int_equal(sysbus_read(&r.plane.bus, SYSBUS_MEMORY, LR_ONCHIP + 0x1ffc, 4), END);
	lr_fini(&r);
}

static void lsi_without_bus_mastering_nothing_is_fetched(void **state)
{
	RIG(r);

	pci_function_config_write(&r.lsi->fn, PCI_COMMAND, 3, 2);
	lr_emit(&r, S_INT | S_TRUE, END);
	lr_run(&r);
	assert_int_equal(lr_in8(&r, LSI_DSTAT), DSTAT_DFE | DSTAT_BF);
	lr_fini(&r);
}

static void lsi_endless_programs_hold_nobody_and_abort(void **state)
{
	RIG(r);
	uint64_t after_start;

	lr_emit(&r, S_JUMP | S_TRUE, LR_CODE);
	lr_out32(&r, LSI_DSP, LR_CODE); /* comes back */
	after_start = r.lsi->stats.instructions;
	assert_true(after_start > 100 && after_start < 100000);
	assert_int_equal(lr_in8(&r, LSI_ISTAT1), ISTAT1_SCRUN);
	while (r.lsi->stats.resumptions < 3)
		reactor_turn(r.home);
	assert_true(r.lsi->stats.instructions > 3 * after_start);
	lr_out8(&r, LSI_ISTAT, ISTAT_ABRT);
	assert_int_equal(lr_in8(&r, LSI_ISTAT1), 0);
	assert_int_equal(lr_in8(&r, LSI_DSTAT), DSTAT_DFE | DSTAT_ABRT);
	lr_out8(&r, LSI_ISTAT, 0);
	after_start = r.lsi->stats.instructions;
	for (int i = 0; i < 3; i++)
		reactor_process(r.home);
	assert_int_equal(r.lsi->stats.instructions, after_start);
	lr_fini(&r);
}

static void lsi_endless_programs_end_with_the_machine(void **state)
{
	RIG(r);

	lr_emit(&r, S_JUMP | S_TRUE, LR_CODE);
	lr_out32(&r, LSI_DSP, LR_CODE);
	reactor_process(r.home);
	lr_fini(&r);
}

static void lsi_endless_programs_end_with_the_pci_bus_reset(void **state)
{
	RIG(r);

	lr_emit(&r, S_JUMP | S_TRUE, LR_CODE);
	lr_out32(&r, LSI_DSP, LR_CODE);
	pci_function_reset(&r.lsi->fn);
	assert_false(r.lsi->running);
	lr_fini(&r);
}

static void lsi_large_moves_count_as_work(void **state)
{
	RIG(r);

	lr_emit3(&r, S_MEMORY(0x80000), LR_DATA, LR_DATA);
	lr_emit(&r, S_JUMP | S_TRUE, LR_CODE);
	lr_out32(&r, LSI_DSP, LR_CODE);
	assert_true(r.lsi->stats.instructions < 20);
	lr_out8(&r, LSI_ISTAT, ISTAT_SRST);
	lr_fini(&r);
}

static void lsi_programs_that_change_themselves(void **state)
{
	RIG(r);

	/* Makes the INT behind it another one. */
	lr_put32(&r, LR_DATA, END);
	lr_emit3(&r, S_MEMORY(4), LR_DATA, LR_CODE + 12 + 4);
	lr_emit(&r, S_INT | S_TRUE, 1);
	lr_run_to(&r, END);
	lr_fini(&r);
}

static void lsi_programs_that_write_their_own_registers(void **state)
{
	RIG(r);

	/* A start from within is a jump, not a nested run. */
	lr_out32(&r, LSI_SCRATCHA, LR_CODE + 0x80);
	for (unsigned i = 0; i < 4; i++) {
		lr_emit(&r, S_FROM_REG | S_REG(LSI_SCRATCHA + i) | S_OP(2, 0), 0);
		if (i < 3)
			lr_emit(&r, S_TO_REG | S_REG(LSI_TEMP + i) | S_OP(2, 0), 0);
	}
	lr_emit(&r, S_REG_REG | S_REG(LSI_ISTAT) | S_OP(2, ISTAT_ABRT), 0);
	lr_emit(&r, S_INT | S_TRUE, 1);
	lr_run(&r);
	assert_int_equal(lr_in8(&r, LSI_DSTAT), DSTAT_DFE | DSTAT_ABRT);
	lr_fini(&r);
}

/* ---- waiting ---- */

static void lsi_sigp_ends_waiting_for_reselection(void **state)
{
	RIG(r);

	lr_emit(&r, S_WAIT_RESEL, LR_CODE + 0x40);
	r.at = LR_CODE + 0x40;
	lr_emit(&r, S_FROM_REG | S_REG(LSI_CTEST2) | S_OP(2, 0), 0);
	lr_emit(&r, S_INT | S_TRUE, END);
	lr_out32(&r, LSI_DSP, LR_CODE);
	assert_int_equal(lr_in8(&r, LSI_ISTAT), 0);
	assert_int_equal(lr_in8(&r, LSI_ISTAT1), ISTAT1_SCRUN);
	lr_out8(&r, LSI_ISTAT, ISTAT_SIGP);
	assert_int_equal(lr_in8(&r, LSI_ISTAT), ISTAT_DIP);
	assert_int_equal(lr_in8(&r, LSI_SFBR) & CTEST2_SIGP, CTEST2_SIGP);
	assert_int_equal(lr_in8(&r, LSI_CTEST2) & CTEST2_SIGP, 0);
	lr_fini(&r);
}

static void lsi_waiting_ends_by_abort(void **state)
{
	RIG(r);

	lr_emit(&r, S_WAIT_RESEL, LR_CODE);
	lr_out32(&r, LSI_DSP, LR_CODE);
	lr_out8(&r, LSI_ISTAT, ISTAT_ABRT);
	assert_int_equal(lr_in8(&r, LSI_DSTAT), DSTAT_DFE | DSTAT_ABRT);
	assert_int_equal(lr_in8(&r, LSI_ISTAT1), 0);
	lr_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lsi_jumps),
		cmocka_unit_test(lsi_call_and_return),
		cmocka_unit_test(lsi_jumps_on_data_and_carry),
		cmocka_unit_test(lsi_arithmetic),
		cmocka_unit_test(lsi_arithmetic_with_sfbr_and_high_registers),
		cmocka_unit_test(lsi_memory_moves),
		cmocka_unit_test(lsi_memory_moves_that_are_wrong),
		cmocka_unit_test(lsi_memory_move_onto_its_own_registers),
		cmocka_unit_test(lsi_memory_move_over_all_registers),
		cmocka_unit_test(lsi_load_and_store),
		cmocka_unit_test(lsi_load_and_store_that_are_wrong),
		cmocka_unit_test(lsi_illegal_instructions),
		cmocka_unit_test(lsi_programs_outside_memory),
		cmocka_unit_test(lsi_programs_in_on_chip_memory),
		cmocka_unit_test(lsi_without_bus_mastering_nothing_is_fetched),
		cmocka_unit_test(lsi_endless_programs_hold_nobody_and_abort),
		cmocka_unit_test(lsi_endless_programs_end_with_the_machine),
		cmocka_unit_test(lsi_endless_programs_end_with_the_pci_bus_reset),
		cmocka_unit_test(lsi_large_moves_count_as_work),
		cmocka_unit_test(lsi_programs_that_change_themselves),
		cmocka_unit_test(lsi_programs_that_write_their_own_registers),
		cmocka_unit_test(lsi_sigp_ends_waiting_for_reselection),
		cmocka_unit_test(lsi_waiting_ends_by_abort),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
