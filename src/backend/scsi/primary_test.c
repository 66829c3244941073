/* SPDX-License-Identifier: MIT */
/* What every SCSI device does (SPC): inquiry, sense, mode pages, what is supported. */
#include "backend/scsi/rig_test.h"

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
	assert_int_equal(sr_command(r, CDB(SCSI_INQUIRY, 1, 0xb0, 0, 255), NULL), SCSI_GOOD);
	assert_int_equal(scsi_get32(r->data + 8), SCSI_TRANSFER_MAX / 512);
	assert_true(scsi_get32(r->data + 20) > 0);
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

static void spc_report_supported_opcodes(void **state)
{
	struct scsi_rig *r = sr_disk();

	(void)state;
	assert_int_equal(sr_command(r,
				    CDB(SCSI_MAINTENANCE_IN, SCSI_SA_REPORT_OPCODES, 1,
					SCSI_WRITE_SAME_16, 0, 0, 0, 0, 1, 0),
				    NULL),
			 SCSI_GOOD);
	assert_int_equal(r->data[1], 3);
	assert_int_equal(scsi_get16(r->data + 2), 16);
	assert_int_equal(r->len, 20);
	assert_int_equal(sr_command(r,
				    CDB(SCSI_MAINTENANCE_IN, SCSI_SA_REPORT_OPCODES, 1, 0x85, 0, 0,
					0, 0, 1, 0),
				    NULL),
			 SCSI_GOOD);
	assert_int_equal(r->data[1], 1);
	assert_int_equal(
		sr_command(r,
			   CDB(SCSI_MAINTENANCE_IN, SCSI_SA_REPORT_OPCODES, 0, 0, 0, 0, 0, 1, 0, 0),
			   NULL),
		SCSI_GOOD);
	assert_int_equal(scsi_get32(r->data) + 4, r->len);
	assert_true(r->len > 100);
	sr_free(r);
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
		cmocka_unit_test(spc_report_supported_opcodes),
		cmocka_unit_test(spc_mode_sense),
		cmocka_unit_test(spc_mode_select_changes_the_write_cache_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
