/* SPDX-License-Identifier: MIT */
/* Messages over the bus: negotiations, tags, aborts; and resets at any moment. */
#include "backend/lsi/bus_rig_test.h"

/* ---- messages ---- */

/* Sends a message behind IDENTIFY and reads @n bytes of answer. */
static void negotiate(struct lsi_rig *r, const uint8_t *message, unsigned len, unsigned n)
{
	lr_begin(r);
	r->ram[LR_TABLE] = IDENTIFY;
	memcpy(r->ram + LR_TABLE + 1, message, len);
	memset(r->ram + LR_DATA, 0xee, 32);
	lr_emit(r, S_SELECT(0) | S_ATN, LR_NOBODY);
	lr_emit(r, S_MOVE(SPI_MSG_OUT, 1 + len), LR_TABLE);
	if (n)
		lr_emit(r, S_MOVE(SPI_MSG_IN, n), LR_DATA);
	lr_emit(r, S_CLEAR(S_LINE_ACK), 0);
	lr_emit(r, S_INT | S_TRUE | S_WHEN(SPI_COMMAND), END);
	lr_emit(r, S_INT | S_TRUE, 1);
	lr_run_to(r, END);
	lr_out8(r, LSI_ISTAT, ISTAT_SRST);
	lr_out8(r, LSI_ISTAT, 0);
	lr_out8(r, LSI_DIEN, 0x7f);
}

static void spi_negotiations_are_answered(void **state)
{
	RIG(r);

	negotiate(&r, (uint8_t[]){1, 3, SPI_EXT_SDTR, 8, 62}, 5, 5);
	assert_memory_equal(r.ram + LR_DATA, ((uint8_t[]){1, 3, SPI_EXT_SDTR, 10, 31}), 5);
	negotiate(&r, (uint8_t[]){1, 3, SPI_EXT_SDTR, 25, 0}, 5, 5);
	assert_memory_equal(r.ram + LR_DATA, ((uint8_t[]){1, 3, SPI_EXT_SDTR, 25, 0}), 5);
	negotiate(&r, (uint8_t[]){1, 2, SPI_EXT_WDTR, 2}, 4, 4);
	assert_memory_equal(r.ram + LR_DATA, ((uint8_t[]){1, 2, SPI_EXT_WDTR, 1}), 4);
	negotiate(&r, (uint8_t[]){1, 6, SPI_EXT_PPR, 9, 0, 62, 1, 2}, 8, 8);
	assert_memory_equal(r.ram + LR_DATA, ((uint8_t[]){1, 6, SPI_EXT_PPR, 10, 0, 31, 1, 0}), 8);
	lr_fini(&r);
}

static void spi_unknown_messages_are_rejected(void **state)
{
	RIG(r);

	negotiate(&r, (uint8_t[]){1, 2, 0x77, 2}, 4, 1);
	assert_int_equal(r.ram[LR_DATA], SPI_MSG_REJECT);
	negotiate(&r, (uint8_t[]){0x1f}, 1, 1);
	assert_int_equal(r.ram[LR_DATA], SPI_MSG_REJECT);
	negotiate(&r, (uint8_t[]){SPI_MSG_NOP}, 1, 0);
	lr_fini(&r);
}

static void spi_messages_without_an_end_are_rejected(void **state)
{
	static uint8_t endless[80] = {1, 200, SPI_EXT_SDTR};
	RIG(r);

	lr_begin(&r);
	r.ram[LR_TABLE] = IDENTIFY;
	memcpy(r.ram + LR_TABLE + 1, endless, sizeof(endless));
	lr_emit(&r, S_SELECT(0) | S_ATN, LR_NOBODY);
	lr_emit(&r, S_MOVE(SPI_MSG_OUT, 81), LR_TABLE);
	lr_run(&r);
	assert_int_equal(lr_in8(&r, LSI_SIST), SIST_MA);
	assert_int_equal(r.lsi->bus.phase, SPI_MSG_IN);
	lr_fini(&r);
}

static void spi_message_in_pieces(void **state)
{
	RIG(r);

	/* A negotiation by three moves: ATN goes down behind each. */
	r.ram[LR_TABLE] = IDENTIFY;
	memcpy(r.ram + LR_TABLE + 1, (uint8_t[]){1, 2, SPI_EXT_WDTR, 1}, 4);
	lr_emit(&r, S_SELECT(0) | S_ATN, LR_NOBODY);
	lr_emit(&r, S_MOVE(SPI_MSG_OUT, 2), LR_TABLE);
	lr_emit(&r, S_MOVE(SPI_MSG_OUT, 1), LR_TABLE + 2);
	lr_emit(&r, S_MOVE(SPI_MSG_OUT, 2), LR_TABLE + 3);
	lr_emit(&r, S_INT | S_TRUE | S_WHEN(SPI_MSG_IN), END);
	lr_emit(&r, S_INT | S_TRUE, 1);
	lr_run_to(&r, END);
	lr_fini(&r);
}

/* Selects disk 0, sends IDENTIFY and one message that ends the connection. */
static void last_words(struct lsi_rig *r, uint8_t tag, uint8_t message)
{
	unsigned n = 0;

	lr_begin(r);
	r->ram[LR_TABLE + n++] = IDENTIFY;
	if (tag) {
		r->ram[LR_TABLE + n++] = SPI_MSG_SIMPLE_TAG;
		r->ram[LR_TABLE + n++] = tag;
	}
	r->ram[LR_TABLE + n++] = message;
	lr_emit(r, S_SELECT(0) | S_ATN, LR_NOBODY);
	lr_emit(r, S_REG_REG | S_REG(LSI_SCNTL2) | S_OP(4, 0x7f), 0);
	lr_emit(r, S_MOVE(SPI_MSG_OUT, n), LR_TABLE);
	lr_emit(r, S_WAIT_DISC, 0);
	lr_emit(r, S_INT | S_TRUE, END);
	lr_run_to(r, END);
	assert_null(r->lsi->bus.now);
}

static void spi_abort_forgets_the_unit(void **state)
{
	RIG(r);

	leave_one(&r, 0);
	leave_one(&r, 5);
	assert_int_equal(left_behind(&r), 2);
	last_words(&r, 0, SPI_MSG_ABORT);
	assert_int_equal(left_behind(&r), 0);
	assert_int_equal(do_one(&r, ready, 0, false), SCSI_GOOD);
	lr_fini(&r);
}

static void spi_abort_tag_forgets_one(void **state)
{
	RIG(r);

	leave_one(&r, 4);
	leave_one(&r, 5);
	last_words(&r, 5, SPI_MSG_ABORT_TAG);
	assert_int_equal(left_behind(&r), 1);
	last_words(&r, 0, SPI_MSG_CLEAR_QUEUE);
	assert_int_equal(left_behind(&r), 0);
	lr_fini(&r);
}

static void spi_device_reset_is_told(void **state)
{
	RIG(r);

	leave_one(&r, 4);
	last_words(&r, 0, SPI_MSG_DEVICE_RESET);
	assert_int_equal(left_behind(&r), 0);
	check_attention(&r, SCSI_ASC_DEVICE_RESET);
	lr_fini(&r);
}

/* IDENTIFY names the unit: no command and no abort of another one's is meant for this. */
static void spi_units_and_targets_do_not_mix(void **state)
{
	static const uint8_t words[] = {SPI_MSG_ABORT, SPI_MSG_CLEAR_QUEUE, SPI_MSG_DEVICE_RESET};
	RIG(r);
	struct lr_command c = make(inquiry, 36);

	c.message[0] = IDENTIFY | 3;
	assert_int_equal(lr_do(&r, &c), SCSI_GOOD);
	assert_int_equal(r.ram[LR_DATA], 0x7f); /* no such unit */
	leave_one(&r, 4);
	for (size_t i = 0; i < 2 * sizeof(words); i++) {
		bool target = i & 1; /* else another unit of the same */

		if (!target && words[i / 2] == SPI_MSG_DEVICE_RESET)
			continue; /* that is for all units */
		lr_begin(&r);
		r.ram[LR_DATA] = target ? IDENTIFY : IDENTIFY | 3;
		r.ram[LR_DATA + 1] = words[i / 2];
		lr_emit(&r, S_SELECT(target ? 3 : 0) | S_ATN, LR_NOBODY);
		lr_emit(&r, S_REG_REG | S_REG(LSI_SCNTL2) | S_OP(4, 0x7f), 0);
		lr_emit(&r, S_MOVE(SPI_MSG_OUT, 2), LR_DATA);
		lr_emit(&r, S_WAIT_DISC, 0);
		lr_emit(&r, S_INT | S_TRUE, END);
		lr_run_to(&r, END);
		assert_int_equal(left_behind(&r), 1);
	}
	last_words(&r, 5, SPI_MSG_ABORT_TAG);
	assert_int_equal(left_behind(&r), 1);
	c = make(ready, 0);
	assert_int_equal(lr_do(&r, &c), SCSI_GOOD); /* without a tag: another nexus */
	assert_int_equal(left_behind(&r), 1);
	c.id = 3;
	assert_int_equal(lr_do(&r, &c), SCSI_CHECK_CONDITION); /* it was reset */
	lr_fini(&r);
}

static void spi_a_nexus_used_anew_forgets_the_old_command(void **state)
{
	RIG(r);

	leave_one(&r, 9);
	leave_one(&r, 9);
	assert_int_equal(left_behind(&r), 1);
	lr_fini(&r);
}

static void lsi_unexpected_disconnection(void **state)
{
	RIG(r);

	r.ram[LR_TABLE] = IDENTIFY;
	r.ram[LR_TABLE + 1] = SPI_MSG_ABORT;
	lr_emit(&r, S_SELECT(0) | S_ATN, LR_NOBODY);
	lr_emit(&r, S_MOVE(SPI_MSG_OUT, 2), LR_TABLE);
	lr_emit(&r, S_INT | S_TRUE, END);
	lr_run(&r);
	assert_int_equal(lr_in8(&r, LSI_SIST), SIST_UDC);
	lr_fini(&r);
}

/* Four bytes of 36 are read, then the program stops. */
static void stop_in_mid_transfer(struct lsi_rig *r)
{
	start_read(r, 4);
	for (uint32_t at = LR_CODE; at < r->at; at += 8)
		if (lr_get32(r, at) == (S_MOVE(SPI_DATA_IN, 0) | S_TABLE))
			lr_put32(r, at + 8, S_INT | S_TRUE);
	lr_run(r);
	lr_in8(r, LSI_DSTAT);
	assert_int_equal(r->lsi->bus.phase, SPI_DATA_IN);
}

/* ---- resets ---- */

static void lsi_bus_reset_forgets_and_is_told(void **state)
{
	RIG(r);

	leave_one(&r, 0);
	lr_out8(&r, LSI_SCNTL1, SCNTL1_RST);
	assert_int_equal(lr_in8(&r, LSI_SSTAT0) & SSTAT0_RST, SSTAT0_RST);
	assert_int_equal(lr_in8(&r, LSI_SBCL), 0);
	lr_out8(&r, LSI_SCNTL1, 0);
	assert_int_equal(lr_in8(&r, LSI_SSTAT0) & SSTAT0_RST, 0);
	assert_int_equal(lr_in8(&r, LSI_SIST), SIST_RST);
	assert_int_equal(left_behind(&r), 0);
	check_attention(&r, SCSI_ASC_BUS_RESET);
	lr_fini(&r);
}

static void lsi_reset_in_mid_transfer(void **state)
{
	RIG(r);

	stop_in_mid_transfer(&r);
	lr_out8(&r, LSI_SCNTL1, SCNTL1_RST);
	lr_out8(&r, LSI_SCNTL1, 0);
	lr_in8(&r, LSI_SIST);
	assert_null(r.lsi->bus.now);
	check_attention(&r, SCSI_ASC_BUS_RESET);
	/* The same by a reset of the card. */
	start_read(&r, 4);
	lr_run(&r);
	lr_out8(&r, LSI_ISTAT, ISTAT_SRST);
	lr_out8(&r, LSI_ISTAT, 0);
	assert_null(r.lsi->bus.now);
	assert_int_equal(do_one(&r, ready, 0, false), SCSI_GOOD);
	lr_fini(&r);
}

/*
 * The initiator may have something to say at any moment; here, in the middle of data, that it has
 * had enough.
 */
static void spi_abort_in_mid_transfer(void **state)
{
	static const uint8_t words[] = {SPI_MSG_ABORT, SPI_MSG_ABORT_TAG, SPI_MSG_DEVICE_RESET,
					SPI_MSG_CLEAR_QUEUE};
	RIG(r);

	for (size_t i = 0; i < sizeof(words); i++) {
		stop_in_mid_transfer(&r);
		r.ram[LR_DATA] = words[i];
		lr_begin(&r);
		lr_emit(&r, S_SET(S_LINE_ATN), 0);
		lr_emit(&r, S_REG_REG | S_REG(LSI_SCNTL2) | S_OP(4, 0x7f), 0);
		lr_emit(&r, S_MOVE(SPI_MSG_OUT, 1), LR_DATA);
		lr_emit(&r, S_WAIT_DISC, 0);
		lr_emit(&r, S_INT | S_TRUE, END);
		lr_run_to(&r, END);
		assert_null(r.lsi->bus.now);
	}
	check_attention(&r, SCSI_ASC_DEVICE_RESET);
	lr_fini(&r);
}

/* A message in the middle of data that does not end it: the rest follows. */
static void spi_message_in_mid_transfer(void **state)
{
	RIG(r);

	stop_in_mid_transfer(&r);
	r.ram[LR_TABLE + 0x400] = SPI_MSG_NOP;
	lr_begin(&r);
	lr_emit(&r, S_SET(S_LINE_ATN), 0);
	lr_emit(&r, S_MOVE(SPI_MSG_OUT, 1), LR_TABLE + 0x400);
	lr_emit(&r, S_MOVE(SPI_DATA_IN, 32), LR_DATA + 4);
	lr_emit(&r, S_INT | S_TRUE, END);
	lr_run_to(&r, END);
	assert_memory_equal(r.ram + LR_DATA + 8, "RINGSIDESCSI DISK       1.0 ", 28);
	lr_fini(&r);
}

/* An ordered command waits for those before it, and those behind it for it. */
static void spi_ordered_tags(void **state)
{
	static const uint8_t kinds[] = {SPI_MSG_SIMPLE_TAG, SPI_MSG_ORDERED_TAG,
					SPI_MSG_SIMPLE_TAG};
	RIG(r);

	for (unsigned i = 0; i < 3; i++) {
		struct lr_command c = make(read_8, 4096);

		c.message_n = 3;
		c.message[1] = kinds[i];
		c.message[2] = (uint8_t)i;
		lr_begin(&r);
		lr_driver(&r, &c);
		lr_out32(&r, LSI_DSA, LR_TABLE);
		lr_out32(&r, LSI_DSP, LR_CODE);
		lr_out8(&r, LSI_ISTAT, ISTAT_ABRT);
		lr_in8(&r, LSI_DSTAT);
		lr_out8(&r, LSI_ISTAT, 0);
	}
	for (int k = 0; k < 8; k++)
		reactor_process(r.home);
	for (unsigned i = 0; i < 3; i++) {
		struct spi_nexus *n;

		n = list_entry(r.lsi->bus.ready.next, struct spi_nexus, link);
		assert_int_equal(n->tag, i);
		/* Its program goes on, up to the end. */
		r.at = 0x7000;
		lr_emit(&r, S_WAIT_RESEL, LR_NOBODY);
		lr_emit(&r, S_JUMP | S_TRUE, LR_CODE + 16);
		lr_out32(&r, LSI_DSP, 0x7000);
		assert_int_equal(lr_in32(&r, LSI_DSPS), LR_INT_DONE);
		lr_in8(&r, LSI_DSTAT);
	}
	lr_fini(&r);
}

/* Lines go up and down one by one: ATN is none of the others' business. */
static void lsi_lines_are_set_one_by_one(void **state)
{
	RIG(r);

	r.ram[LR_TABLE] = IDENTIFY;
	lr_emit(&r, S_SELECT(0) | S_ATN, LR_NOBODY);
	lr_emit(&r, S_MOVE(SPI_MSG_OUT, 1), LR_TABLE);
	lr_emit(&r, S_SET(S_LINE_CARRY | S_LINE_ACK), 0);
	lr_emit(&r, S_INT | S_TRUE | S_WHEN(SPI_MSG_OUT), 1);
	lr_emit(&r, S_SET(S_LINE_ATN), 0);
	lr_emit(&r, S_CLEAR(S_LINE_CARRY | S_LINE_ACK), 0);
	lr_emit(&r, S_INT | S_TRUE | S_WHEN(SPI_MSG_OUT), END);
	lr_run_to(&r, END);
	assert_int_equal(lr_in8(&r, LSI_SBCL) & SBCL_ATN, SBCL_ATN);
	assert_false(r.lsi->carry);
	lr_begin(&r);
	lr_emit(&r, S_SET(0x200), 0);
	lr_emit(&r, S_FROM_REG | S_REG(LSI_SCNTL0) | S_OP(2, 0), 0);
	lr_emit(&r, S_CLEAR(0x200), 0);
	lr_emit(&r, S_CLEAR(S_LINE_ATN), 0);
	lr_emit(&r, S_INT | S_TRUE, END);
	lr_run_to(&r, END);
	assert_int_equal(lr_in8(&r, LSI_SBCL) & SBCL_ATN, 0);
	assert_int_equal(lr_in8(&r, LSI_SFBR), 0xc0 | SCNTL0_TRG);
	assert_int_equal(lr_in8(&r, LSI_SCNTL0), 0xc0);
	lr_fini(&r);
}

/* Whoever keeps the bus may follow ordered ones, or be one: they end without it. */
static void spi_ordered_tags_and_one_that_stays(void **state)
{
	RIG(r);
	struct lr_command c = make(read_8, 4096);

	c.message_n = 3;
	c.message[1] = SPI_MSG_ORDERED_TAG;
	for (uint8_t tag = 0; tag < 2; tag++) {
		c.message[0] = tag ? STAY : IDENTIFY;
		c.message[2] = tag;
		lr_begin(&r);
		lr_driver(&r, &c);
		lr_out32(&r, LSI_DSA, LR_TABLE);
		lr_out32(&r, LSI_DSP, LR_CODE);
		if (tag)
			break;
		assert_int_equal(r.lsi->wait, LSI_WAITS_RESELECT);
		lr_out8(&r, LSI_ISTAT, ISTAT_ABRT);
		lr_in8(&r, LSI_DSTAT);
		lr_out8(&r, LSI_ISTAT, 0);
	}
	for (int k = 0; k < 8; k++)
		reactor_process(r.home);
	assert_int_equal(lr_in32(&r, LSI_DSPS), LR_INT_DONE);
	assert_int_equal(*lr_status(&r, 0), SCSI_GOOD);
	assert_int_equal(left_behind(&r), 1);
	assert_int_equal(r.lsi->stats.reselections, 0);
	lr_fini(&r);
}

static void spi_a_disconnection_that_is_rejected(void **state)
{
	RIG(r);

	r.ram[LR_TABLE] = IDENTIFY;
	memcpy(r.ram + LR_TABLE + 16, read_8, 10);
	r.ram[LR_TABLE + 32] = SPI_MSG_REJECT;
	memset(r.ram + LR_DATA, 0xee, 4096);
	lr_emit(&r, S_SELECT(0) | S_ATN, LR_NOBODY);
	lr_emit(&r, S_MOVE(SPI_MSG_OUT, 1), LR_TABLE);
	lr_emit(&r, S_MOVE(SPI_COMMAND, 10), LR_TABLE + 16);
	lr_emit(&r, S_MOVE(SPI_MSG_IN, 1), LR_TABLE + 33);
	lr_emit(&r, S_SET(S_LINE_ATN), 0);
	lr_emit(&r, S_CLEAR(S_LINE_ACK), 0);
	lr_emit(&r, S_MOVE(SPI_MSG_OUT, 1), LR_TABLE + 32);
	lr_emit(&r, S_MOVE(SPI_DATA_IN, 4096), LR_DATA);
	lr_emit(&r, S_INT | S_TRUE | S_WHEN(SPI_STATUS), END);
	lr_run_to(&r, END);
	assert_int_equal(r.ram[LR_TABLE + 33], SPI_MSG_DISCONNECT);
	assert_int_equal(r.ram[LR_DATA + 4095], 0);
	assert_int_equal(r.lsi->stats.reselections, 0);
	lr_fini(&r);
}

static void spi_a_command_in_pieces(void **state)
{
	RIG(r);

	memcpy(r.ram + LR_TABLE, inquiry, 6);
	lr_emit(&r, S_SELECT(0), LR_NOBODY);
	lr_emit(&r, S_MOVE(SPI_COMMAND, 1), LR_TABLE);
	lr_emit(&r, S_MOVE(SPI_COMMAND, 2), LR_TABLE + 1);
	lr_emit(&r, S_MOVE(SPI_COMMAND, 3), LR_TABLE + 3);
	lr_emit(&r, S_MOVE(SPI_DATA_IN, 36), LR_DATA);
	lr_emit(&r, S_INT | S_TRUE | S_WHEN(SPI_STATUS), END);
	lr_run_to(&r, END);
	assert_memory_equal(r.ram + LR_DATA + 8, "RINGSIDE", 8);
	lr_fini(&r);
}

static void lsi_bus_reset_by_a_program(void **state)
{
	RIG(r);

	r.ram[LR_TABLE] = IDENTIFY;
	lr_emit(&r, S_SELECT(0) | S_ATN, LR_NOBODY);
	lr_emit(&r, S_MOVE(SPI_MSG_OUT, 1), LR_TABLE);
	lr_emit(&r, S_REG_REG | S_REG(LSI_SCNTL1) | S_OP(2, SCNTL1_RST), 0);
	lr_emit(&r, S_MOVE(SPI_COMMAND, 6), LR_TABLE);
	lr_run(&r);
	assert_int_equal(lr_in8(&r, LSI_SIST), SIST_RST);
	lr_fini(&r);
}

static void lsi_a_machine_may_end_at_any_moment(void **state)
{
	RIG(r);

	leave_one(&r, 0);
	leave_one(&r, 1);
	reactor_process(r.home);
	assert_int_equal(left_behind(&r), 2);
	lr_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spi_negotiations_are_answered),
		cmocka_unit_test(spi_unknown_messages_are_rejected),
		cmocka_unit_test(spi_messages_without_an_end_are_rejected),
		cmocka_unit_test(spi_message_in_pieces),
		cmocka_unit_test(spi_abort_forgets_the_unit),
		cmocka_unit_test(spi_abort_tag_forgets_one),
		cmocka_unit_test(spi_device_reset_is_told),
		cmocka_unit_test(spi_units_and_targets_do_not_mix),
		cmocka_unit_test(spi_a_nexus_used_anew_forgets_the_old_command),
		cmocka_unit_test(lsi_unexpected_disconnection),
		cmocka_unit_test(lsi_bus_reset_forgets_and_is_told),
		cmocka_unit_test(lsi_reset_in_mid_transfer),
		cmocka_unit_test(spi_abort_in_mid_transfer),
		cmocka_unit_test(spi_message_in_mid_transfer),
		cmocka_unit_test(spi_ordered_tags),
		cmocka_unit_test(spi_ordered_tags_and_one_that_stays),
		cmocka_unit_test(spi_a_disconnection_that_is_rejected),
		cmocka_unit_test(spi_a_command_in_pieces),
		cmocka_unit_test(lsi_lines_are_set_one_by_one),
		cmocka_unit_test(lsi_bus_reset_by_a_program),
		cmocka_unit_test(lsi_a_machine_may_end_at_any_moment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
