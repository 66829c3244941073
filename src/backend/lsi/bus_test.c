/* SPDX-License-Identifier: MIT */
/*
 * Commands over the bus: selection, phases, disconnection, mismatches; with programs such as
 * drivers have.
 */
#include "backend/lsi/bus_rig_test.h"

/* ---- whole commands ---- */

static void lsi_a_command_without_data(void **state)
{
	RIG(r);

	assert_int_equal(do_one(&r, ready, 0, false), SCSI_GOOD);
	assert_int_equal(r.lsi->stats.selections, 1);
	assert_int_equal(r.lsi->stats.reselections, 0);
	lr_fini(&r);
}

static void lsi_a_command_with_data(void **state)
{
	RIG(r);

	assert_int_equal(do_one(&r, inquiry, 36, false), SCSI_GOOD);
	assert_memory_equal(r.ram + LR_DATA + 8, "RINGSIDE", 8);
	assert_int_equal(r.lsi->stats.bytes_in, 36);
	lr_fini(&r);
}

static void lsi_writes_and_reads_through_disconnection(void **state)
{
	RIG(r);
	static uint8_t data[4096];

	pattern(data, sizeof(data), 1);
	memcpy(r.ram + LR_DATA, data, sizeof(data));
	assert_int_equal(do_one(&r, write_8, 4096, true), SCSI_GOOD);
	memset(r.ram + LR_DATA, 0, sizeof(data));
	assert_int_equal(do_one(&r, read_8, 4096, false), SCSI_GOOD);
	assert_memory_equal(r.ram + LR_DATA, data, sizeof(data));
	assert_int_equal(r.lsi->stats.reselections, 2);
	assert_int_equal(r.lsi->stats.bytes_out, 4096);
	assert_int_equal(r.lsi->stats.bytes_in, 4096);
	lr_fini(&r);
}

static void lsi_stays_connected_without_the_privilege(void **state)
{
	RIG(r);
	struct lr_command c = make(read_8, 4096);

	c.message[0] = STAY;
	assert_int_equal(lr_do(&r, &c), SCSI_GOOD);
	assert_int_equal(r.lsi->stats.reselections, 0);
	lr_fini(&r);
}

static void lsi_two_disks_do_not_see_each_other(void **state)
{
	RIG(r);
	struct lr_command c = make(write_8, 4096);

	c.id = 3;
	c.out = true;
	memset(r.ram + LR_DATA, 0x33, 4096);
	assert_int_equal(lr_do(&r, &c), SCSI_GOOD);
	c.cdb = read_8;
	c.out = false;
	c.id = 0;
	assert_int_equal(lr_do(&r, &c), SCSI_GOOD);
	assert_int_equal(r.ram[LR_DATA], 0);
	c.id = 3;
	assert_int_equal(lr_do(&r, &c), SCSI_GOOD);
	assert_int_equal(r.ram[LR_DATA], 0x33);
	lr_fini(&r);
}

static void lsi_tags_come_back(void **state)
{
	RIG(r);
	struct lr_command c = make(read_8, 4096);

	c.message[1] = SPI_MSG_SIMPLE_TAG;
	c.message[2] = 0x5a;
	c.message_n = 3;
	assert_int_equal(lr_do(&r, &c), SCSI_GOOD);
	assert_int_equal(r.ram[LR_TABLE + 69], 0x5a);
	assert_int_equal(r.lsi->stats.reselections, 1);
	lr_fini(&r);
}

/* Starts two commands before either is done, then takes what comes back. */
static void lsi_commands_overlap(void **state)
{
	RIG(r);
	struct lr_command c = make(read_8, 4096);
	uint32_t first, second;

	c.message[1] = SPI_MSG_SIMPLE_TAG;
	c.message_n = 3;
	for (unsigned slot = 0; slot < 2; slot++) {
		c.slot = slot;
		c.message[2] = (uint8_t)slot;
		if (slot)
			second = lr_driver(&r, &c);
		else
			first = lr_driver(&r, &c);
	}
	lr_out32(&r, LSI_DSA, LR_TABLE);
	lr_out32(&r, LSI_DSP, first);
	/*
	 * It has disconnected, and waits; nobody has turned the reactor, so the storage has not
	 * seen it.
	 */
	assert_int_equal(r.lsi->wait, LSI_WAITS_RESELECT);
	lr_out8(&r, LSI_ISTAT, ISTAT_ABRT);
	assert_int_equal(lr_in8(&r, LSI_DSTAT), DSTAT_DFE | DSTAT_ABRT);
	lr_out8(&r, LSI_ISTAT, 0);
	lr_out32(&r, LSI_DSA, LR_TABLE + 0x100);
	lr_out32(&r, LSI_DSP, second);
	assert_int_equal(r.lsi->wait, LSI_WAITS_RESELECT);
	/* The first comes back to the second's program, which has its own tables: its tag tells. */
	lr_wait(&r);
	assert_int_equal(lr_in32(&r, LSI_DSPS), LR_INT_DONE);
	assert_int_equal(lr_in8(&r, LSI_DSTAT), DSTAT_DFE | DSTAT_SIR);
	assert_int_equal(r.ram[LR_TABLE + 0x100 + 69], 0);
	assert_int_equal(*lr_status(&r, 1), SCSI_GOOD);
	assert_int_equal(r.lsi->stats.reselections, 1);
	/* And now the second. */
	*lr_status(&r, 1) = 0xee;
	r.at = 0x7000;
	lr_emit(&r, S_WAIT_RESEL, LR_NOBODY);
	lr_emit(&r, S_JUMP | S_TRUE, second + 16); /* where it looks at the phase */
	lr_out32(&r, LSI_DSP, 0x7000);
	lr_wait(&r);
	assert_int_equal(lr_in32(&r, LSI_DSPS), LR_INT_DONE);
	assert_int_equal(r.ram[LR_TABLE + 0x100 + 69], 1);
	assert_int_equal(*lr_status(&r, 1), SCSI_GOOD);
	assert_int_equal(r.lsi->stats.reselections, 2);
	lr_fini(&r);
}

static void lsi_reselection_beats_selection(void **state)
{
	RIG(r);
	struct lr_command c = make(read_8, 4096);
	uint32_t at;

	lr_driver(&r, &c);
	lr_out32(&r, LSI_DSA, LR_TABLE);
	lr_out32(&r, LSI_DSP, LR_CODE);
	assert_int_equal(r.lsi->wait, LSI_WAITS_RESELECT);
	lr_out8(&r, LSI_ISTAT, ISTAT_ABRT);
	lr_in8(&r, LSI_DSTAT);
	lr_out8(&r, LSI_ISTAT, 0);
	while (list_empty(&r.lsi->bus.ready))
		reactor_turn(r.home);
	r.at = at = LR_CODE + 0x800;
	lr_emit(&r, S_SELECT(3) | S_ATN, at + 0x40);
	lr_emit(&r, S_INT | S_TRUE, 1);
	r.at = at + 0x40;
	lr_emit(&r, S_WAIT_RESEL, LR_NOBODY); /* is so already */
	lr_emit(&r, S_MOVE(SPI_MSG_IN, 1), LR_DATA);
	lr_emit(&r, S_INT | S_TRUE, END);
	lr_out32(&r, LSI_DSP, at);
	assert_int_equal(lr_in32(&r, LSI_DSPS), END);
	assert_int_equal(r.ram[LR_DATA], 0x80);
	assert_int_equal(lr_in8(&r, LSI_SSID), SSID_VAL);
	assert_int_equal(lr_in8(&r, LSI_ISTAT) & ISTAT_CON, ISTAT_CON);
	lr_fini(&r);
}

/* ---- selection ---- */

static void lsi_nobody_there_times_out_where_it_is_noticed(void **state)
{
	RIG(r);
	static const uint32_t looks[] = {S_MOVE(SPI_MSG_OUT, 1), S_INT | S_WHEN(SPI_MSG_OUT),
					 S_WAIT_DISC};

	for (size_t i = 0; i < ARRAY_SIZE(looks); i++) {
		lr_begin(&r);
		lr_emit(&r, S_SELECT(i == 1 ? 7 : 5) | S_ATN, LR_NOBODY);
		lr_emit(&r, S_LOAD(LSI_SCRATCHA, 4), LR_DATA);
		lr_emit(&r, looks[i], LR_DATA);
		lr_run(&r);
		assert_int_equal(lr_in8(&r, LSI_ISTAT), ISTAT_SIP);
		assert_int_equal(lr_in32(&r, LSI_DSP), LR_CODE + 24);
		assert_int_equal(lr_in8(&r, LSI_SIST), 0);
		assert_int_equal(lr_in8(&r, LSI_SIST + 1), SIST_STO >> 8);
		assert_int_equal(lr_in8(&r, LSI_ISTAT), 0);
	}
	assert_int_equal(do_one(&r, ready, 0, false), SCSI_GOOD);
	lr_fini(&r);
}

static void lsi_selection_from_a_table_outside_memory(void **state)
{
	RIG(r);

	lr_out32(&r, LSI_DSA, LR_NOBODY);
	lr_emit(&r, S_SELECT(0) | S_SEL_TABLE | S_ATN, LR_NOBODY);
	lr_run(&r);
	assert_int_equal(lr_in8(&r, LSI_DSTAT), DSTAT_DFE | DSTAT_BF);
	lr_fini(&r);
}

static void lsi_selection_sets_what_the_table_says(void **state)
{
	RIG(r);

	lr_out32(&r, LSI_DSA, LR_TABLE);
	lr_put32(&r, LR_TABLE, 0xab031f00);
	lr_emit(&r, S_SELECT(0) | S_SEL_TABLE | S_ATN, LR_NOBODY);
	lr_emit(&r, S_INT | S_TRUE, END);
	lr_run_to(&r, END);
	assert_int_equal(lr_in8(&r, LSI_SCNTL3), 0xab);
	assert_int_equal(lr_in8(&r, LSI_SXFER), 0x1f);
	assert_int_equal(lr_in8(&r, LSI_SDID), 3);
	assert_int_equal(lr_in8(&r, LSI_SCNTL1) & SCNTL1_CON, SCNTL1_CON);
	assert_int_equal(lr_in8(&r, LSI_SBCL), SBCL_BSY | SBCL_REQ | SBCL_ATN | SPI_MSG_OUT);
	lr_fini(&r);
}

/*
 * The very program of SeaBIOS, in shape: no ATN, 16 bytes of CDB, moves of nothing, ACK never
 * cleared.
 */
static void lsi_serves_programs_like_those_of_seabios(void **state)
{
	RIG(r);

	r.ram[LR_TABLE] = STAY;
	for (unsigned round = 0; round < 3; round++) {
		bool data = round != 1;

		memcpy(r.ram + LR_TABLE + 16, data ? read_8 : ready, 16);
		r.ram[LR_TABLE + 1] = 0xff;
		lr_begin(&r);
		lr_emit(&r, S_SELECT(0), 0);
		lr_emit(&r, 0x06000001, LR_TABLE);
		lr_emit(&r, 0x02000010, LR_TABLE + 16);
		lr_emit(&r, 0x87820000, 0x18);
		lr_emit(&r, S_INT | S_TRUE, 1);
		lr_emit(&r, S_INT | S_TRUE, 2);
		lr_emit(&r, S_INT | S_TRUE, 3);
		lr_emit(&r, data ? 0x01001000 : 0, LR_DATA);
		lr_emit(&r, 0x03000001, LR_TABLE + 1);
		lr_emit(&r, 0x07000001, LR_TABLE + 2);
		lr_emit(&r, S_INT | S_TRUE, END);
		lr_run_to(&r, END);
		assert_int_equal(r.ram[LR_TABLE + 1], 0);
		assert_int_equal(r.ram[LR_TABLE + 2], 0);
	}
	lr_fini(&r);
}

/* ---- phases ---- */

static void lsi_short_data_interrupt_with_the_rest(void **state)
{
	RIG(r);

	start_read(&r, 36 + 0x264);
	lr_run(&r);
	assert_int_equal(lr_in8(&r, LSI_ISTAT), ISTAT_SIP | ISTAT_CON);
	assert_int_equal(lr_in32(&r, LSI_DBC) & 0xffffff, 0x264);
	assert_int_equal(lr_in32(&r, LSI_DNAD), LR_DATA + 36);
	assert_int_equal(lr_in8(&r, LSI_DFIFO), 0x64);
	assert_int_equal(lr_in8(&r, LSI_CTEST5), 2);
	assert_int_equal(lr_in8(&r, LSI_SIST), SIST_MA);
	assert_int_equal(lr_in8(&r, LSI_SSTAT1) & 7, SPI_STATUS);
	assert_int_equal(r.lsi->stats.mismatches, 1);
	lr_fini(&r);
}

static void lsi_short_data_jump_with_the_rest(void **state)
{
	RIG(r);
	uint32_t move = 0;

	lr_out8(&r, LSI_CCNTL0, CCNTL0_ENPMJ);
	lr_out32(&r, LSI_PMJAD1, LR_NOBODY); /* for bytes going out */
	lr_out32(&r, LSI_PMJAD2, 0x3000);
	start_read(&r, 100);
	for (uint32_t at = LR_CODE; at < r.at; at += 8)
		if (lr_get32(&r, at) == (S_MOVE(SPI_DATA_IN, 0) | S_TABLE))
			move = at;
	r.at = 0x3000;
	lr_emit(&r, S_INT | S_TRUE, END);
	lr_run_to(&r, END);
	assert_int_equal(lr_in32(&r, LSI_RBC), 64);
	assert_int_equal(lr_in32(&r, LSI_UA), LR_DATA + 36);
	assert_int_equal(lr_in32(&r, LSI_IA), move);
	assert_int_equal(lr_in8(&r, LSI_SIST), 0);
	lr_fini(&r);
}

static void lsi_phase_mismatch_of_a_message_interrupts_all_the_same(void **state)
{
	RIG(r);

	lr_out8(&r, LSI_CCNTL0, CCNTL0_ENPMJ);
	lr_emit(&r, S_SELECT(0) | S_ATN, LR_NOBODY);
	lr_emit(&r, S_MOVE(SPI_MSG_IN, 1), LR_DATA);
	lr_run(&r);
	assert_int_equal(lr_in8(&r, LSI_SIST), SIST_MA);
	lr_out8(&r, LSI_CCNTL0, CCNTL0_ENPMJ | CCNTL0_ENNDJ);
	lr_out32(&r, LSI_PMJAD2, 0x3000);
	r.at = 0x3000;
	lr_emit(&r, S_INT | S_TRUE, END);
	lr_out32(&r, LSI_DSP, LR_CODE + 8);
	assert_int_equal(lr_in32(&r, LSI_DSPS), END);
	lr_fini(&r);
}

static void lsi_byte_counts_of_16_mib(void **state)
{
	RIG(r);

	/* What is there is moved, and the rest is told. */
	start_read(&r, 0xffffff);
	lr_run(&r);
	assert_int_equal(lr_in8(&r, LSI_SIST), SIST_MA);
	assert_int_equal(lr_in32(&r, LSI_DBC) & 0xffffff, 0xffffff - 36);
	lr_fini(&r);
}

static void lsi_messages_and_commands_of_16_mib(void **state)
{
	RIG(r);

	/* A command is over with its last byte. */
	lr_emit(&r, S_SELECT(0), LR_NOBODY);
	lr_emit(&r, S_MOVE(SPI_COMMAND, 0xffffff), LR_TABLE);
	lr_run(&r);
	assert_int_equal(lr_in8(&r, LSI_SIST), SIST_MA);
	assert_int_equal(lr_in32(&r, LSI_DBC) & 0xffffff, 0xffffff - 16);
	lr_out8(&r, LSI_ISTAT, ISTAT_SRST);
	lr_out8(&r, LSI_ISTAT, 0);
	/* Messages go on as long as memory does. */
	memset(r.ram + LR_DATA, SPI_MSG_NOP, LR_RAM - LR_DATA);
	lr_begin(&r);
	lr_emit(&r, S_SELECT(0) | S_ATN, LR_NOBODY);
	lr_emit(&r, S_MOVE(SPI_MSG_OUT, 0xffffff), LR_DATA);
	lr_run(&r);
	assert_int_equal(lr_in8(&r, LSI_DSTAT), DSTAT_DFE | DSTAT_BF);
	assert_true(r.lsi->stats.resumptions > 0);
	lr_fini(&r);
}

static void lsi_data_outside_memory(void **state)
{
	static const uint32_t places[] = {LR_NOBODY, LR_RAM - 8, 0xfffffff8, LR_REGISTERS};
	RIG(r);

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		start_read(&r, 36);
		lr_put32(&r, LR_TABLE + 24, places[i]);
		lr_run(&r);
		assert_int_equal(lr_in8(&r, LSI_DSTAT), DSTAT_DFE | DSTAT_BF);
		assert_int_equal(r.lsi->stats.bytes_in, 0);
		lr_out8(&r, LSI_ISTAT, ISTAT_SRST);
		lr_out8(&r, LSI_ISTAT, 0);
	}
	lr_fini(&r);
}

static void lsi_data_into_on_chip_memory(void **state)
{
	RIG(r);

	start_read(&r, 36);
	lr_put32(&r, LR_TABLE + 24, LR_ONCHIP + 64);
	lr_run_to(&r, LR_INT_DONE);
	assert_memory_equal(r.lsi->ram + 72, "RINGSIDE", 8);
	lr_fini(&r);
}

static void lsi_tables_outside_memory(void **state)
{
	RIG(r);

	lr_emit(&r, S_SELECT(0) | S_ATN, LR_NOBODY);
	lr_emit(&r, S_MOVE(SPI_MSG_OUT, 0) | S_TABLE, 0);
	lr_out32(&r, LSI_DSA, LR_RAM - 4);
	lr_run(&r);
	assert_int_equal(lr_in8(&r, LSI_DSTAT), DSTAT_DFE | DSTAT_BF);
	lr_fini(&r);
}

static void lsi_indirect_and_64_bit_addresses(void **state)
{
	RIG(r);

	r.ram[LR_DATA] = IDENTIFY;
	lr_put32(&r, LR_TABLE, LR_DATA);
	lr_emit(&r, S_SELECT(0) | S_ATN, LR_NOBODY);
	lr_emit(&r, S_MOVE(SPI_MSG_OUT, 1) | S_INDIRECT, LR_TABLE);
	lr_emit(&r, S_INT | S_TRUE, END);
	lr_run_to(&r, END);
	assert_int_equal(r.lsi->bus.phase, SPI_COMMAND);
	/* The table's top byte is address bits 32 to 39: nobody is there. */
	lr_out8(&r, LSI_CCNTL1, CCNTL1_TI64 | CCNTL1_TI64_INDEX);
	lr_begin(&r);
	lr_out32(&r, LSI_DSA, LR_TABLE);
	lr_put32(&r, LR_TABLE, 0x01000006);
	lr_put32(&r, LR_TABLE + 4, LR_DATA);
	lr_emit(&r, S_MOVE(SPI_COMMAND, 0) | S_TABLE, 0);
	lr_run(&r);
	assert_int_equal(lr_in8(&r, LSI_DSTAT), DSTAT_DFE | DSTAT_BF);
	/* By a selector: scratch register C, which is 0. */
	lr_out8(&r, LSI_CCNTL1, CCNTL1_TI64);
	lr_put32(&r, LR_TABLE, 0x00000006);
	lr_begin(&r);
	lr_emit(&r, S_MOVE(SPI_COMMAND, 0) | S_TABLE, 0);
	lr_emit(&r, S_INT | S_TRUE, END);
	memset(r.ram + LR_DATA, 0, 6);
	lr_run_to(&r, END);
	/* Direct, with a third word. */
	lr_out8(&r, LSI_CCNTL1, CCNTL1_DIRECT64);
	lr_begin(&r);
	lr_emit3(&r, S_MOVE(SPI_STATUS, 1), LR_DATA + 1, 0);
	lr_emit(&r, S_INT | S_TRUE, END);
	r.ram[LR_DATA + 1] = 0xee;
	lr_run_to(&r, END);
	assert_int_equal(r.ram[LR_DATA + 1], 0);
	lr_fini(&r);
}

/* The CPU may start another program while one waits in the middle of a move. */
static void lsi_another_program_begins_its_own_move(void **state)
{
	RIG(r);

	r.ram[LR_TABLE] = STAY;
	memcpy(r.ram + LR_TABLE + 16, read_8, 10);
	memset(r.ram + LR_DATA, 0xee, 0x20000);
	lr_emit(&r, S_SELECT(0) | S_ATN, LR_NOBODY);
	lr_emit(&r, S_MOVE(SPI_MSG_OUT, 1), LR_TABLE);
	lr_emit(&r, S_MOVE(SPI_COMMAND, 10), LR_TABLE + 16);
	lr_emit(&r, S_MOVE(SPI_DATA_IN, 4096), LR_DATA);
	lr_emit(&r, S_INT | S_TRUE, 1);
	lr_out32(&r, LSI_DSP, LR_CODE);
	assert_int_equal(r.lsi->wait, LSI_WAITS_PHASE);
	lr_begin(&r);
	lr_emit(&r, S_MOVE(SPI_DATA_IN, 4096), LR_DATA + 0x10000);
	lr_emit(&r, S_INT | S_TRUE, END);
	lr_run_to(&r, END);
	assert_int_equal(r.ram[LR_DATA], 0xee);
	assert_int_equal(r.ram[LR_DATA + 0x10000], 0);
	assert_int_equal(r.ram[LR_DATA + 0x10fff], 0);
	lr_fini(&r);
}

static void lsi_sense_after_check_condition(void **state)
{
	static const uint8_t beyond[16] = {SCSI_READ_10, 0, 0xff, 0, 0, 0, 0, 0, 1};
	RIG(r);
	struct lr_command c = make(beyond, 512);

	/* The program expects data and finds status: it looks at the phase first. */
	assert_int_equal(lr_do(&r, &c), SCSI_CHECK_CONDITION);
	assert_int_equal(do_one(&r, sense, 18, false), SCSI_GOOD);
	assert_int_equal(r.ram[LR_DATA + 2], SCSI_KEY_ILLEGAL_REQUEST);
	assert_int_equal(scsi_get16(r.ram + LR_DATA + 12), SCSI_ASC_LBA);
	lr_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lsi_a_command_without_data),
		cmocka_unit_test(lsi_a_command_with_data),
		cmocka_unit_test(lsi_writes_and_reads_through_disconnection),
		cmocka_unit_test(lsi_stays_connected_without_the_privilege),
		cmocka_unit_test(lsi_two_disks_do_not_see_each_other),
		cmocka_unit_test(lsi_tags_come_back),
		cmocka_unit_test(lsi_commands_overlap),
		cmocka_unit_test(lsi_reselection_beats_selection),
		cmocka_unit_test(lsi_nobody_there_times_out_where_it_is_noticed),
		cmocka_unit_test(lsi_selection_from_a_table_outside_memory),
		cmocka_unit_test(lsi_selection_sets_what_the_table_says),
		cmocka_unit_test(lsi_serves_programs_like_those_of_seabios),
		cmocka_unit_test(lsi_short_data_interrupt_with_the_rest),
		cmocka_unit_test(lsi_short_data_jump_with_the_rest),
		cmocka_unit_test(lsi_phase_mismatch_of_a_message_interrupts_all_the_same),
		cmocka_unit_test(lsi_byte_counts_of_16_mib),
		cmocka_unit_test(lsi_messages_and_commands_of_16_mib),
		cmocka_unit_test(lsi_data_outside_memory),
		cmocka_unit_test(lsi_data_into_on_chip_memory),
		cmocka_unit_test(lsi_tables_outside_memory),
		cmocka_unit_test(lsi_indirect_and_64_bit_addresses),
		cmocka_unit_test(lsi_another_program_begins_its_own_move),
		cmocka_unit_test(lsi_sense_after_check_condition),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
