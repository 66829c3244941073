/* SPDX-License-Identifier: MIT */
/* What every SCSI device does (SPC): inquiry, sense, mode pages, what is supported. */
#include "backend/scsi/rig_test.h"

#include <string.h>
#include <unistd.h>

static void spc_inquiry(void **state)
{
	struct scsi_rig *r = sr_disk();

	(void)state;
	assert_int_equal(sr_command(r, CDB(SCSI_INQUIRY, 0, 0, 0, 255), NULL), SCSI_GOOD);
	assert_int_equal(r->len, 96);
	assert_int_equal(r->data[0], 0);
	assert_int_equal(r->data[4], 91);
	assert_int_equal(r->data[7] & 2, 2);
	assert_memory_equal(r->data + 8, "RINGSIDESCSI DISK       1.0 ", 28);
	assert_int_equal(sr_command(r, CDB(SCSI_INQUIRY, 0, 0, 0, 5), NULL), SCSI_GOOD);
	assert_int_equal(r->len, 5);
	sr_check_refused(r, CDB(SCSI_INQUIRY, 0, 1, 0, 255), NULL, SCSI_KEY_ILLEGAL_REQUEST,
			 SCSI_ASC_CDB_FIELD);
	sr_free(r);
}

static void spc_inquiry_of_a_lun_that_is_not_there(void **state)
{
	struct scsi_rig *r = sr_disk();

	(void)state;
	assert_int_equal(sr_command_lun(r, 3, CDB(SCSI_INQUIRY, 0, 0, 0, 36), NULL), SCSI_GOOD);
	assert_int_equal(r->data[0], 0x7f);
	assert_int_equal(sr_command_lun(r, 3, CDB(SCSI_TEST_UNIT_READY), NULL),
			 SCSI_CHECK_CONDITION);
	assert_int_equal(sr_command_lun(r, 3, CDB(SCSI_REQUEST_SENSE, 0, 0, 0, 18), NULL),
			 SCSI_GOOD);
	assert_int_equal(scsi_get16(r->data + 12), SCSI_ASC_LUN);
	assert_int_equal(sr_command_lun(r, 3, CDB(SCSI_INQUIRY, 1, 0xb1, 0, 36), NULL), SCSI_GOOD);
	assert_int_equal(r->data[0], 0x7f);
	assert_int_equal(r->len, 36);
	sr_free(r);
}

static void spc_vital_product_data(void **state)
{
	struct scsi_rig *r = sr_disk();

	(void)state;
	assert_int_equal(sr_command(r, CDB(SCSI_INQUIRY, 1, 0, 0, 255), NULL), SCSI_GOOD);
	assert_memory_equal(r->data, ((uint8_t[]){0, 0, 0, 6, 0, 0x80, 0x83, 0xb0, 0xb1, 0xb2}),
			    10);
	assert_int_equal(sr_command(r, CDB(SCSI_INQUIRY, 1, 0x80, 0, 255), NULL), SCSI_GOOD);
	assert_memory_equal(r->data, "\0\x80\0\3abc", 7);
	assert_int_equal(sr_command(r, CDB(SCSI_INQUIRY, 1, 0x83, 0, 255), NULL), SCSI_GOOD);
	assert_memory_equal(r->data + 4, "\2\1\0\13RINGSIDEabc", 15);
	assert_int_equal(r->len, 19);
	assert_int_equal(sr_command(r, CDB(SCSI_INQUIRY, 1, 0xb0, 0, 255), NULL), SCSI_GOOD);
	assert_int_equal(scsi_get32(r->data + 8), SCSI_TRANSFER_MAX / 512);
	assert_int_equal(scsi_get32(r->data + 20), (1 << 30) / 512); /* to be unmapped at once */
	assert_int_equal(scsi_get32(r->data + 24), 255);
	assert_int_equal(scsi_get32(r->data + 28), sysconf(_SC_PAGESIZE) / 512);
	assert_int_equal(scsi_get64(r->data + 36), 0x3fffff); /* WRITE SAME */
	assert_int_equal(r->data[4], 1);
	assert_int_equal(sr_command(r, CDB(SCSI_INQUIRY, 1, 0xb1, 0, 255), NULL), SCSI_GOOD);
	assert_int_equal(scsi_get16(r->data + 4), 1);
	assert_int_equal(sr_command(r, CDB(SCSI_INQUIRY, 1, 0xb2, 0, 255), NULL), SCSI_GOOD);
	assert_int_equal(r->data[5], 0x80);
	sr_check_refused(r, CDB(SCSI_INQUIRY, 1, 0x42, 0, 255), NULL, SCSI_KEY_ILLEGAL_REQUEST,
			 SCSI_ASC_CDB_FIELD);
	sr_free(r);
}

static void spc_unit_attention_after_power_on(void **state)
{
	struct scsi_rig *r = sr_disk();

	(void)state;
	scsi_disk_reset(r->disk, SCSI_ASC_POWER_ON);
	assert_int_equal(sr_command(r, CDB(SCSI_INQUIRY, 0, 0, 0, 36), NULL), SCSI_GOOD);
	assert_int_equal(sr_command(r, CDB(SCSI_REPORT_LUNS, 0, 0, 0, 0, 0, 0, 0, 0, 16), NULL),
			 SCSI_GOOD);
	sr_check_refused(r, CDB(SCSI_TEST_UNIT_READY), NULL, SCSI_KEY_UNIT_ATTENTION,
			 SCSI_ASC_POWER_ON);
	assert_int_equal(sr_command(r, CDB(SCSI_TEST_UNIT_READY), NULL), SCSI_GOOD);
	sr_free(r);
}

static void spc_request_sense_takes_unit_attention(void **state)
{
	struct scsi_rig *r = sr_disk();

	(void)state;
	scsi_disk_reset(r->disk, SCSI_ASC_BUS_RESET);
	sr_check_sense(r, SCSI_KEY_UNIT_ATTENTION, SCSI_ASC_BUS_RESET);
	assert_int_equal(sr_command(r, CDB(SCSI_TEST_UNIT_READY), NULL), SCSI_GOOD);
	sr_check_sense(r, SCSI_KEY_NONE, 0);
	sr_free(r);
}

static void spc_sense_is_lost_with_the_next_command(void **state)
{
	struct scsi_rig *r = sr_disk();

	(void)state;
	assert_int_equal(sr_command(r, CDB(0xff), NULL), SCSI_CHECK_CONDITION);
	assert_int_equal(sr_command(r, CDB(SCSI_TEST_UNIT_READY), NULL), SCSI_GOOD);
	sr_check_sense(r, SCSI_KEY_NONE, 0);
	sr_free(r);
}

static void spc_unknown_opcodes(void **state)
{
	static const uint8_t none[] = {0x01, 0x04, 0x1e, 0x3b, 0x3c, 0x4d,
				       0x5e, 0x7f, 0x83, 0x85, 0xc0, 0xff};
	struct scsi_rig *r = sr_disk();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		sr_check_refused(r, CDB(none[i]), NULL, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_OPCODE);
	sr_check_refused(r, CDB(SCSI_SERVICE_IN_16, 0x12), NULL, SCSI_KEY_ILLEGAL_REQUEST,
			 SCSI_ASC_OPCODE);
	sr_free(r);
}

static void spc_report_luns(void **state)
{
	struct scsi_rig *r = sr_disk();

	(void)state;
	assert_int_equal(sr_command(r, CDB(SCSI_REPORT_LUNS, 0, 0, 0, 0, 0, 0, 0, 1, 0), NULL),
			 SCSI_GOOD);
	assert_int_equal(r->len, 16);
	assert_int_equal(scsi_get32(r->data), 8);
	assert_int_equal(scsi_get64(r->data + 8), 0);
	sr_check_refused(r, CDB(SCSI_REPORT_LUNS, 0, 0, 0, 0, 0, 0, 0, 0, 8), NULL,
			 SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	sr_free(r);
}

/* REPORT SUPPORTED OPERATION CODES for one of them. */
static const uint8_t *about(uint8_t *cdb, uint8_t options, uint8_t opcode, uint32_t action)
{
	memset(cdb, 0, SCSI_CDB_MAX);
	cdb[0] = SCSI_MAINTENANCE_IN;
	cdb[1] = SCSI_SA_REPORT_OPCODES;
	cdb[2] = options;
	cdb[3] = opcode;
	scsi_put16(cdb + 4, action);
	scsi_put32(cdb + 6, 1024);
	return cdb;
}

static void spc_report_supported_opcodes_tells_of_one(void **state)
{
	static const uint8_t same[] = {0,    3,	   0,	 16,   SCSI_WRITE_SAME_16,
				       0xff, 0xff, 0xff, 0xff, 0xff,
				       0xff, 0xff, 0xff, 0xff, 0xff,
				       0xff, 0xff, 0xff, 0xff, 0};
	static const struct {
		uint8_t options, opcode;
		uint32_t action;
		enum { NO, YES, REFUSED } says;
	} cases[] = {
		{1, SCSI_READ_10, 0, YES},
		{2, SCSI_READ_10, 0, REFUSED}, /* has no service actions */
		{3, SCSI_READ_10, 0, YES},
		{3, SCSI_READ_10, 1, NO},
		{1, SCSI_SERVICE_IN_16, 0, REFUSED}, /* has some */
		{1, SCSI_SERVICE_IN_16, SCSI_SA_READ_CAPACITY, REFUSED},
		{2, SCSI_SERVICE_IN_16, SCSI_SA_READ_CAPACITY, YES},
		{3, SCSI_SERVICE_IN_16, SCSI_SA_READ_CAPACITY, YES},
		{2, SCSI_SERVICE_IN_16, 0x12, NO},
		{2, SCSI_SERVICE_IN_16, 0x100 | SCSI_SA_READ_CAPACITY, NO},
		{1, 0x85, 0, NO},
		{2, 0x85, 0, NO},
		{4, SCSI_READ_10, 0, REFUSED},
		{0x81, SCSI_READ_10, 0, REFUSED}, /* with time-outs */
	};
	struct scsi_rig *r = sr_disk();
	uint8_t cdb[SCSI_CDB_MAX];

	(void)state;
	assert_int_equal(sr_command(r, about(cdb, 1, SCSI_WRITE_SAME_16, 0), NULL), SCSI_GOOD);
	assert_int_equal(r->len, sizeof(same));
	assert_memory_equal(r->data, same, sizeof(same));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		about(cdb, cases[i].options, cases[i].opcode, cases[i].action);
		if (cases[i].says == REFUSED) {
			sr_check_refused(r, cdb, NULL, SCSI_KEY_ILLEGAL_REQUEST,
					 SCSI_ASC_CDB_FIELD);
			continue;
		}
		assert_int_equal(sr_command(r, cdb, NULL), SCSI_GOOD);
		assert_int_equal(r->data[1], cases[i].says == YES ? 3 : 1);
		if (cases[i].says == YES && cases[i].action)
			assert_int_equal(r->data[5], cases[i].action);
	}
	sr_free(r);
}

/* All that the disk tells of is what it tells of one by one; UNMAP only if there is a way. */
static void spc_report_supported_opcodes_tells_of_all(void **state)
{
	struct scsi_rig *r;
	uint8_t cdb[SCSI_CDB_MAX];
	static uint8_t all[1024];

	(void)state;
	for (int readonly = 0; readonly < 2; readonly++) {
		unsigned capacities = 0, unmaps = 0, reads = 0;
		uint32_t len;

		r = sr_new("null:8M", (struct scsi_disk_options){0}, readonly);
		assert_int_equal(sr_command(r, about(cdb, 0, 0, 0), NULL), SCSI_GOOD);
		len = r->len;
		memcpy(all, r->data, len);
		assert_int_equal(scsi_get32(all) + 4, len);
		for (const uint8_t *p = all + 4; p < all + len; p += 8) {
			about(cdb, p[5] & 1 ? 2 : 1, p[0], scsi_get16(p + 2));
			assert_int_equal(sr_command(r, cdb, NULL), SCSI_GOOD);
			assert_int_equal(r->data[1], 3);
			assert_int_equal(scsi_get16(r->data + 2), scsi_get16(p + 6));
			capacities += p[0] == SCSI_SERVICE_IN_16 && p[3] == SCSI_SA_READ_CAPACITY;
			reads += p[0] == SCSI_READ_10;
			unmaps += p[0] == SCSI_UNMAP;
		}
		assert_int_equal(capacities, 1);
		assert_int_equal(reads, 1);
		assert_int_equal(unmaps, !readonly);
		sr_command(r, about(cdb, 1, SCSI_UNMAP, 0), NULL);
		assert_int_equal(r->data[1], readonly ? 1 : 3);
		/* No more than there is room for. */
		about(cdb, 0, 0, 0);
		scsi_put32(cdb + 6, 12);
		assert_int_equal(sr_command(r, cdb, NULL), SCSI_GOOD);
		assert_int_equal(r->len, 12);
		sr_free(r);
	}
}

static void spc_mode_sense(void **state)
{
	struct scsi_rig *r = sr_disk();

	(void)state;
	assert_int_equal(sr_command(r, CDB(SCSI_MODE_SENSE_6, 0, 8, 0, 255), NULL), SCSI_GOOD);
	assert_int_equal(r->data[0] + 1u, r->len);
	assert_int_equal(r->data[2], 0x10);
	assert_int_equal(r->data[3], 8);
	assert_int_equal(scsi_get32(r->data + 4), BLOCKS);
	assert_int_equal(scsi_get32(r->data + 8), 512);
	assert_int_equal(r->data[12], 8);
	assert_int_equal(r->data[14], 4);
	assert_int_equal(sr_command(r, CDB(SCSI_MODE_SENSE_10, 8, 0x3f, 0, 0, 0, 0, 1, 0), NULL),
			 SCSI_GOOD);
	assert_int_equal(scsi_get16(r->data) + 2u, r->len);
	assert_int_equal(scsi_get16(r->data + 6), 0);
	assert_int_equal(r->data[8], SCSI_PAGE_ERROR_RECOVERY);
	assert_int_equal(sr_command(r, CDB(SCSI_MODE_SENSE_10, 0x10, 0x0a, 0, 0, 0, 0, 1, 0), NULL),
			 SCSI_GOOD);
	assert_int_equal(scsi_get16(r->data + 6), 16);
	assert_int_equal(scsi_get64(r->data + 8), BLOCKS);
	sr_check_refused(r, CDB(SCSI_MODE_SENSE_6, 0, 0x08 | 0xc0, 0, 255), NULL,
			 SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_SAVING);
	sr_check_refused(r, CDB(SCSI_MODE_SENSE_6, 0, 0x2a, 0, 255), NULL, SCSI_KEY_ILLEGAL_REQUEST,
			 SCSI_ASC_CDB_FIELD);
	/* Sub-pages: all of all pages, which are none. */
	assert_int_equal(sr_command(r, CDB(SCSI_MODE_SENSE_6, 8, 0x3f, 0xff, 255), NULL),
			 SCSI_GOOD);
	assert_int_equal(r->len, 4 + 12 + 16 + 20 + 12);
	sr_check_refused(r, CDB(SCSI_MODE_SENSE_6, 0, 0x08, 0xff, 255), NULL,
			 SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	sr_check_refused(r, CDB(SCSI_MODE_SENSE_6, 0, 0x3f, 0x01, 255), NULL,
			 SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	sr_free(r);
}

/* Current, changeable and default values. */
static void spc_mode_sense_of_three_kinds(void **state)
{
	static const uint8_t control[12] = {0x0a, 10, 0, 0x10}, mask[12] = {0x0a, 10};
	struct scsi_rig *r = sr_disk();
	static const struct {
		uint8_t which;
		bool cache;
		const uint8_t *control;
	} kinds[] = {{0x00, false, control}, {0x40, true, mask}, {0x80, true, control}};

	(void)state;
	r->disk->wce = false; /* it was on at first */
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		uint8_t which = kinds[i].which;

		assert_int_equal(
			sr_command(r, CDB(SCSI_MODE_SENSE_6, 8, which | 0x08, 0, 255), NULL),
			SCSI_GOOD);
		assert_int_equal(r->len, 24);
		assert_int_equal(r->data[6], kinds[i].cache ? 4 : 0);
		assert_int_equal(
			sr_command(r, CDB(SCSI_MODE_SENSE_6, 8, which | 0x0a, 0, 255), NULL),
			SCSI_GOOD);
		assert_int_equal(r->len, 16);
		assert_memory_equal(r->data + 4, kinds[i].control, 12);
	}
	sr_free(r);
}

static void spc_mode_select_changes_the_write_cache_and_nothing_else(void **state)
{
	uint8_t list[24] = {0, 0, 0, 0, 8, 18};
	struct scsi_rig *r = sr_disk();

	(void)state;
	assert_int_equal(sr_command(r, CDB(SCSI_MODE_SELECT_6, 0x10, 0, 0, 24), list), SCSI_GOOD);
	assert_false(r->disk->wce);
	assert_int_equal(r->disk->stats.flushes, 1);
	list[6] = 4;
	assert_int_equal(sr_command(r, CDB(SCSI_MODE_SELECT_6, 0x10, 0, 0, 24), list), SCSI_GOOD);
	assert_true(r->disk->wce);
	list[6] = 5;
	sr_check_refused(r, CDB(SCSI_MODE_SELECT_6, 0x10, 0, 0, 24), list, SCSI_KEY_ILLEGAL_REQUEST,
			 SCSI_ASC_LIST_FIELD);
	list[6] = 4;
	list[5] = 40;
	sr_check_refused(r, CDB(SCSI_MODE_SELECT_6, 0x10, 0, 0, 24), list, SCSI_KEY_ILLEGAL_REQUEST,
			 SCSI_ASC_LIST_LENGTH);
	sr_check_refused(r, CDB(SCSI_MODE_SELECT_6, 0x11, 0, 0, 24), list, SCSI_KEY_ILLEGAL_REQUEST,
			 SCSI_ASC_CDB_FIELD);
	sr_check_refused(r, CDB(SCSI_MODE_SELECT_6, 0x10, 0, 0, 2), list, SCSI_KEY_ILLEGAL_REQUEST,
			 SCSI_ASC_LIST_LENGTH);
	sr_free(r);
}

static void select_refused(struct scsi_rig *r, const uint8_t *list, uint8_t n, uint16_t asc)
{
	sr_check_refused(r, CDB(SCSI_MODE_SELECT_6, 0x10, 0, 0, n), list, SCSI_KEY_ILLEGAL_REQUEST,
			 asc);
	assert_false(r->disk->wce);
}

/* What drivers really send: block descriptors, many pages, headers alone, ten bytes. */
static void spc_mode_select_lists(void **state)
{
	struct scsi_rig *r = sr_disk();
	uint8_t list[8 + 16 + 20 + 12] = {0};

	(void)state;
	/* Eight bytes of header, a long block descriptor, the control page, the cache's. */
	list[4] = 1;
	list[7] = 16;
	memcpy(list + 24, (uint8_t[]){0x0a, 10, 0, 0x10}, 4);
	memcpy(list + 36, (uint8_t[]){0x88, 18, 0}, 3);
	assert_int_equal(
		sr_command(r, CDB(SCSI_MODE_SELECT_10, 0x10, 0, 0, 0, 0, 0, 0, sizeof(list)), list),
		SCSI_GOOD);
	assert_false(r->disk->wce);
	assert_int_equal(sr_command(r, CDB(SCSI_MODE_SELECT_10, 0x10), NULL), SCSI_GOOD);
	/* A header and nothing else. */
	memset(list, 0, sizeof(list));
	assert_int_equal(sr_command(r, CDB(SCSI_MODE_SELECT_6, 0x10, 0, 0, 4), list), SCSI_GOOD);
	/* A block descriptor that is not all there. */
	list[3] = 8;
	select_refused(r, list, 11, SCSI_ASC_LIST_LENGTH);
	assert_int_equal(sr_command(r, CDB(SCSI_MODE_SELECT_6, 0x10, 0, 0, 12), list), SCSI_GOOD);
	/* Pages that are none: nothing of the list is done, not even what is right. */
	list[3] = 0;
	memcpy(list + 4, (uint8_t[]){0x08, 18, 4}, 3);
	memcpy(list + 24, (uint8_t[]){0x0b, 10}, 2);
	select_refused(r, list, 36, SCSI_ASC_LIST_FIELD);
	memcpy(list + 24, (uint8_t[]){0x0a, 10, 0, 0x00}, 4); /* not changeable */
	select_refused(r, list, 36, SCSI_ASC_LIST_FIELD);
	list[24 + 3] = 0x10;
	select_refused(r, list, 35, SCSI_ASC_LIST_LENGTH);
	select_refused(r, list, 25, SCSI_ASC_LIST_LENGTH);
	list[4] = 0x48; /* a sub-page */
	select_refused(r, list, 24, SCSI_ASC_LIST_FIELD);
	sr_check_refused(r, CDB(SCSI_MODE_SELECT_6, 0, 0, 0, 24), list, SCSI_KEY_ILLEGAL_REQUEST,
			 SCSI_ASC_CDB_FIELD);
	list[4] = 8;
	assert_int_equal(sr_command(r, CDB(SCSI_MODE_SELECT_6, 0x10, 0, 0, 36), list), SCSI_GOOD);
	assert_true(r->disk->wce);
	assert_int_equal(r->disk->stats.flushes, 1);
	sr_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spc_inquiry),
		cmocka_unit_test(spc_inquiry_of_a_lun_that_is_not_there),
		cmocka_unit_test(spc_vital_product_data),
		cmocka_unit_test(spc_unit_attention_after_power_on),
		cmocka_unit_test(spc_request_sense_takes_unit_attention),
		cmocka_unit_test(spc_sense_is_lost_with_the_next_command),
		cmocka_unit_test(spc_unknown_opcodes),
		cmocka_unit_test(spc_report_luns),
		cmocka_unit_test(spc_report_supported_opcodes_tells_of_one),
		cmocka_unit_test(spc_report_supported_opcodes_tells_of_all),
		cmocka_unit_test(spc_mode_sense),
		cmocka_unit_test(spc_mode_sense_of_three_kinds),
		cmocka_unit_test(spc_mode_select_changes_the_write_cache_and_nothing_else),
		cmocka_unit_test(spc_mode_select_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
