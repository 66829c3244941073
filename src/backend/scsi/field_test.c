/* SPDX-License-Identifier: MIT */
/* Fields of commands and parameter lists: each is obeyed or refused, none is skipped and answered GOOD. */
#include "backend/scsi/rig_test.h"

#include <string.h>

struct field {
	uint8_t cdb[SCSI_CDB_MAX];
	uint16_t asc; /* 0: GOOD */
};

static void check(struct scsi_rig *r, const struct field *f, size_t n, const void *out)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t status = sr_command(r, f[i].cdb, out);

		if (status != (f[i].asc ? SCSI_CHECK_CONDITION : SCSI_GOOD))
			fail_msg("case %zu: status 0x%02x", i, status);
		if (f[i].asc)
			sr_check_sense(r, SCSI_KEY_ILLEGAL_REQUEST, f[i].asc);
	}
}

/* ---- MODE SENSE, MODE SELECT ---- */

/* Initiators ask for the block descriptor by a page that there is not. */
static void spc_mode_sense_of_page_0_is_the_header_and_the_descriptor(void **state)
{
	struct scsi_rig *r = sr_disk();

	(void)state;
	for (unsigned which = 0; which < 0xc0; which += 0x40) {
		assert_int_equal(
			sr_command(r, CDB(SCSI_MODE_SENSE_6, 0, (uint8_t)which, 0, 255), NULL),
			SCSI_GOOD);
		assert_int_equal(r->len, 4 + 8);
		assert_memory_equal(r->data, "\13\0\x10\x08\0\0\x40\0\0\0\2\0", 12);
	}
	assert_int_equal(sr_command(r, CDB(SCSI_MODE_SENSE_6, 8, 0, 0, 255), NULL), SCSI_GOOD);
	assert_int_equal(r->len, 4);
	assert_int_equal(sr_command(r, CDB(SCSI_MODE_SENSE_10, 0x10, 0, 0, 0, 0, 0, 0, 255), NULL),
			 SCSI_GOOD);
	assert_int_equal(r->len, 8 + 16);
	sr_check_refused(r, CDB(SCSI_MODE_SENSE_6, 0, 0, 1, 255), NULL, SCSI_KEY_ILLEGAL_REQUEST,
			 SCSI_ASC_CDB_FIELD);
	sr_free(r);
}

static void spc_mode_select_of_a_block_descriptor(void **state)
{
	static const struct {
		uint8_t byte, value;
		uint16_t asc;
	} six[] = {
		{0, 11, 0},			/* the length that MODE SENSE told */
		{2, 0x10, 0},			/* and what it told of the disk */
		{1, 2, SCSI_ASC_LIST_FIELD},	/* another medium */
		{3, 7, SCSI_ASC_LIST_FIELD},	/* half a descriptor */
		{3, 16, SCSI_ASC_LIST_LENGTH},	/* two, and they are not there */
		{6, 0x41, SCSI_ASC_LIST_FIELD}, /* a block less or more */
		{7, 1, SCSI_ASC_LIST_FIELD},
		{4, 1, SCSI_ASC_LIST_FIELD},
		{9, 1, SCSI_ASC_LIST_FIELD},  /* blocks of 64 KiB and a half */
		{10, 4, SCSI_ASC_LIST_FIELD}, /* of 1024 bytes */
		{11, 8, SCSI_ASC_LIST_FIELD}, /* of 520 */
		{10, 2, 0},
	};
	struct scsi_rig *r = sr_disk();
	uint8_t list[24] = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(six); i++) {
		memcpy(list, "\0\0\0\x08\0\0\x40\0\0\0\2\0", 12);
		list[six[i].byte] = six[i].value;
		/* PF does not matter where no page follows. */
		for (unsigned pf = 0; pf <= 0x10; pf += 0x10)
			check(r,
			      &(struct field){{SCSI_MODE_SELECT_6, (uint8_t)pf, 0, 0, 12},
					      six[i].asc},
			      1, list);
	}
	/* "As it is", "all of them": nothing that would change. */
	memset(list + 4, 0, 8);
	check(r, &(struct field){{SCSI_MODE_SELECT_6, 0x10, 0, 0, 12}, 0}, 1, list);
	memset(list + 4, 0xff, 4);
	check(r, &(struct field){{SCSI_MODE_SELECT_6, 0x10, 0, 0, 12}, 0}, 1, list);
	/* Long descriptors. */
	memset(list, 0, sizeof(list));
	list[4] = 1;
	list[7] = 16;
	scsi_put64(list + 8, BLOCKS);
	scsi_put32(list + 20, 512);
	check(r, &(struct field){{SCSI_MODE_SELECT_10, 0x10, [8] = 24}, 0}, 1, list);
	list[8] = 1;
	check(r, &(struct field){{SCSI_MODE_SELECT_10, 0x10, [8] = 24}, SCSI_ASC_LIST_FIELD}, 1,
	      list);
	list[8] = 0;
	list[22] = 4;
	check(r, &(struct field){{SCSI_MODE_SELECT_10, 0x10, [8] = 24}, SCSI_ASC_LIST_FIELD}, 1,
	      list);
	list[22] = 2;
	list[4] = 0; /* a short one has eight bytes */
	check(r, &(struct field){{SCSI_MODE_SELECT_10, 0x10, [8] = 24}, SCSI_ASC_LIST_FIELD}, 1,
	      list);
	assert_int_equal(r->disk->block_size, 512);
	assert_int_equal(r->disk->blocks, BLOCKS);
	sr_free(r);
}

/* What MODE SENSE gives may be sent back as it is. */
static void spc_mode_select_takes_what_mode_sense_told(void **state)
{
	struct scsi_rig *r = sr_disk();
	uint8_t list[255];
	uint32_t n;

	(void)state;
	assert_int_equal(sr_command(r, CDB(SCSI_MODE_SENSE_6, 0, 0x3f, 0, 255), NULL), SCSI_GOOD);
	n = r->len;
	memcpy(list, r->data, n);
	check(r, &(struct field){{SCSI_MODE_SELECT_6, 0x10, 0, 0, (uint8_t)n}, 0}, 1, list);
	sr_free(r);
}

/* ---- commands ---- */

static void fields_that_ask_for_what_is_not_there(void **state)
{
	static const struct field fields[] = {
		/* Linked commands, and allegiance that the initiator keeps. */
		{{SCSI_TEST_UNIT_READY, [5] = 0x01}, SCSI_ASC_CDB_FIELD},
		{{SCSI_READ_10, [8] = 1, [9] = 0x02}, SCSI_ASC_CDB_FIELD},
		{{SCSI_READ_16, [13] = 1, [15] = 0x04}, SCSI_ASC_CDB_FIELD},
		{{SCSI_READ_12, [9] = 1, [11] = 0x04}, SCSI_ASC_CDB_FIELD},
		{{SCSI_INQUIRY, [4] = 36, [5] = 0x04}, SCSI_ASC_CDB_FIELD},
		{{SCSI_TEST_UNIT_READY, [5] = 0xc0}, 0}, /* the vendor's bits */
		/* Relative addresses. */
		{{SCSI_READ_10, 1, [8] = 1}, SCSI_ASC_CDB_FIELD},
		{{SCSI_VERIFY_10, 1, [8] = 1}, SCSI_ASC_CDB_FIELD},
		{{SCSI_SYNC_CACHE_10, 1}, SCSI_ASC_CDB_FIELD},
		{{SCSI_READ_CAPACITY_10, 1}, SCSI_ASC_CDB_FIELD},
		/* Protection information. */
		{{SCSI_VERIFY_10, 0x20, [8] = 1}, SCSI_ASC_CDB_FIELD},
		{{SCSI_READ_10, 0x20, [8] = 1}, SCSI_ASC_CDB_FIELD},
		/* Command support data. */
		{{SCSI_INQUIRY, 3, 0, 0, 36}, SCSI_ASC_CDB_FIELD},
		{{SCSI_INQUIRY, 2, 0, 0, 36}, SCSI_ASC_CDB_FIELD},
		/* A medium that could be ejected; conditions of power that there are not. */
		{{SCSI_START_STOP_UNIT, 0, 0, 0, 0x02}, SCSI_ASC_CDB_FIELD},
		{{SCSI_START_STOP_UNIT, 0, 0, 0, 0x03}, SCSI_ASC_CDB_FIELD},
		{{SCSI_START_STOP_UNIT, 0, 0, 0, 0x50}, SCSI_ASC_CDB_FIELD},
		{{SCSI_START_STOP_UNIT, 0, 0, 0, 0xf0}, SCSI_ASC_CDB_FIELD},
		{{SCSI_START_STOP_UNIT, 0, 0, 0, 0x30}, 0}, /* standby */
		{{SCSI_TEST_UNIT_READY}, 0},
		/* Tests whose outcome nobody could ask for. */
		{{SCSI_SEND_DIAGNOSTIC, 0x04}, 0},
		{{SCSI_SEND_DIAGNOSTIC, 0xa0}, 0},
		{{SCSI_SEND_DIAGNOSTIC, 0x20}, SCSI_ASC_CDB_FIELD},
		{{SCSI_SEND_DIAGNOSTIC, 0x80}, SCSI_ASC_CDB_FIELD},
		{{SCSI_SEND_DIAGNOSTIC, 0xe0}, SCSI_ASC_CDB_FIELD},
		{{SCSI_SEND_DIAGNOSTIC, 0xa4}, SCSI_ASC_CDB_FIELD},
		{{SCSI_SEND_DIAGNOSTIC, [4] = 8}, SCSI_ASC_CDB_FIELD},
		/* Reservations for others, or of a part. */
		{{SCSI_RESERVE_6}, 0},
		{{SCSI_RESERVE_6, 0x10}, SCSI_ASC_CDB_FIELD},
		{{SCSI_RESERVE_6, 0x01, [4] = 8}, SCSI_ASC_CDB_FIELD},
		{{SCSI_RESERVE_10, 0x02, [8] = 8}, SCSI_ASC_CDB_FIELD},
		{{SCSI_RESERVE_10, [8] = 8}, SCSI_ASC_CDB_FIELD},
		{{SCSI_RELEASE_6, 0x10}, SCSI_ASC_CDB_FIELD},
		{{SCSI_RELEASE_10}, 0},
		/* A place to look for the capacity from. */
		{{SCSI_READ_CAPACITY_10, [5] = 1}, SCSI_ASC_CDB_FIELD},
		{{SCSI_READ_CAPACITY_10, [5] = 1, [8] = 1}, 0},
		{{SCSI_SERVICE_IN_16, 0x10, [9] = 1, [13] = 32}, SCSI_ASC_CDB_FIELD},
		{{SCSI_SERVICE_IN_16, 0x10, [9] = 1, [13] = 32, [14] = 1}, 0},
		/* Nothing can be saved, nor set back by this. */
		{{SCSI_MODE_SELECT_6, 0x11}, SCSI_ASC_CDB_FIELD},
		{{SCSI_MODE_SELECT_6, 0x12}, SCSI_ASC_CDB_FIELD},
	};
	struct scsi_rig *r = sr_disk();

	(void)state;
	check(r, fields, ARRAY_SIZE(fields), NULL);
	sr_free(r);
}

static void sbc_stopping_writes_the_cache_first(void **state)
{
	struct scsi_rig *r = sr_disk();

	(void)state;
	check(r, &(struct field){{SCSI_START_STOP_UNIT}, 0}, 1, NULL);
	assert_int_equal(r->disk->stats.flushes, 1);
	assert_true(r->disk->halted);
	check(r, &(struct field){{SCSI_START_STOP_UNIT, 0, 0, 0, 1}, 0}, 1, NULL);
	check(r, &(struct field){{SCSI_START_STOP_UNIT, 0, 0, 0, 4}, 0}, 1, NULL); /* no flush */
	assert_int_equal(r->disk->stats.flushes, 1);
	assert_true(r->disk->halted);
	sr_free(r);
}

/* FUA of a READ: what it gives is on the medium. */
static void sbc_read_with_fua_writes_the_cache_first(void **state)
{
	struct scsi_rig *r = sr_disk();

	(void)state;
	check(r, &(struct field){{SCSI_READ_10, 8, [8] = 1}, 0}, 1, NULL);
	assert_int_equal(r->disk->stats.flushes, 1);
	assert_int_equal(r->len, 512);
	r->disk->wce = false;
	check(r, &(struct field){{SCSI_READ_10, 8, [8] = 1}, 0}, 1, NULL);
	assert_int_equal(r->disk->stats.flushes, 1);
	sr_free(r);
}

/* WRITE AND VERIFY with BYTCHK: the medium is read again, and compared. */
static void sbc_write_and_verify_compares(void **state)
{
	static const uint8_t ops[] = {SCSI_WRITE_VERIFY_10, SCSI_WRITE_VERIFY_12,
				      SCSI_WRITE_VERIFY_16};
	struct scsi_rig *r = sr_disk(),
			*lost = sr_new("null:1G", (struct scsi_disk_options){0}, false);
	uint8_t cdb[SCSI_CDB_MAX], out[1024];

	(void)state;
	sr_fill(out, sizeof(out), 1);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		sr_rw(cdb, ops[i], 7, 2);
		cdb[1] = 0x02;
		assert_int_equal(sr_command(r, cdb, out), SCSI_GOOD);
		assert_int_equal(r->disk->stats.reads, i + 1);
		/* A storage that forgets what it is given. */
		assert_int_equal(sr_command(lost, cdb, out), SCSI_CHECK_CONDITION);
		sr_check_sense(lost, SCSI_KEY_MISCOMPARE, SCSI_ASC_MISCOMPARE);
		cdb[1] = 0x06;
		sr_check_refused(r, cdb, out, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	}
	sr_free(lost);
	sr_free(r);
}

static void sbc_unmap_lists_say_how_long_they_are(void **state)
{
	uint8_t list[8 + 16] = {0, 22, 0, 16};
	struct scsi_rig *r = sr_disk();

	(void)state;
	check(r, &(struct field){{SCSI_UNMAP, [8] = sizeof(list)}, 0}, 1, list);
	list[1] = 38; /* another descriptor, which was not sent */
	check(r, &(struct field){{SCSI_UNMAP, [8] = sizeof(list)}, SCSI_ASC_LIST_FIELD}, 1, list);
	sr_free(r);
}

/* Initiators tell disks apart by it. */
static void spc_without_a_serial_number_there_is_no_page_of_it(void **state)
{
	struct scsi_rig *r = sr_new("memory:8M", (struct scsi_disk_options){.path = "scsi0"},
				    false);

	(void)state;
	assert_int_equal(sr_command(r, CDB(SCSI_INQUIRY, 1, 0, 0, 255), NULL), SCSI_GOOD);
	assert_memory_equal(r->data, ((uint8_t[]){0, 0, 0, 5, 0, 0x83, 0xb0, 0xb1, 0xb2}), 9);
	sr_check_refused(r, CDB(SCSI_INQUIRY, 1, 0x80, 0, 255), NULL, SCSI_KEY_ILLEGAL_REQUEST,
			 SCSI_ASC_CDB_FIELD);
	sr_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spc_mode_sense_of_page_0_is_the_header_and_the_descriptor),
		cmocka_unit_test(spc_mode_select_of_a_block_descriptor),
		cmocka_unit_test(spc_mode_select_takes_what_mode_sense_told),
		cmocka_unit_test(fields_that_ask_for_what_is_not_there),
		cmocka_unit_test(sbc_stopping_writes_the_cache_first),
		cmocka_unit_test(sbc_read_with_fua_writes_the_cache_first),
		cmocka_unit_test(sbc_write_and_verify_compares),
		cmocka_unit_test(sbc_unmap_lists_say_how_long_they_are),
		cmocka_unit_test(spc_without_a_serial_number_there_is_no_page_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
