/* SPDX-License-Identifier: MIT */
/* What disks do (SBC): capacity, reads and writes, verification, caches, provisioning. */
#include "backend/scsi/rig_test.h"

#include <string.h>
#include <unistd.h>

static void sbc_read_capacity(void **state)
{
	struct scsi_rig *r = sr_disk();

	(void)state;
	assert_int_equal(sr_command(r, CDB(SCSI_READ_CAPACITY_10), NULL), SCSI_GOOD);
	assert_int_equal(scsi_get32(r->data), BLOCKS - 1);
	assert_int_equal(scsi_get32(r->data + 4), 512);
	assert_int_equal(
		sr_command(r, CDB(SCSI_SERVICE_IN_16, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32),
			   NULL),
		SCSI_GOOD);
	assert_int_equal(scsi_get64(r->data), BLOCKS - 1);
	assert_int_equal(scsi_get32(r->data + 8), 512);
	assert_int_equal(r->len, 32);
	assert_int_equal(r->data[14], 0x80);
	/* Byte 13: 512 times 2 to this power is a page of memory. */
	assert_int_equal(512 << r->data[13], sysconf(_SC_PAGESIZE));
	assert_int_equal(
		sr_command(r, CDB(SCSI_SERVICE_IN_16, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12),
			   NULL),
		SCSI_GOOD);
	assert_int_equal(r->len, 12);
	sr_free(r);
	r = sr_new("null:4T", (struct scsi_disk_options){0}, false);
	assert_int_equal(sr_command(r, CDB(SCSI_READ_CAPACITY_10), NULL), SCSI_GOOD);
	assert_int_equal(scsi_get32(r->data), UINT32_MAX);
	sr_free(r);
}

static void sbc_reads_what_was_written_by_every_length_of_cdb(void **state)
{
	static const struct {
		uint8_t write, read;
	} pairs[] = {{SCSI_WRITE_6, SCSI_READ_6},	  {SCSI_WRITE_10, SCSI_READ_10},
		     {SCSI_WRITE_12, SCSI_READ_12},	  {SCSI_WRITE_16, SCSI_READ_16},
		     {SCSI_WRITE_VERIFY_10, SCSI_READ_6}, {SCSI_WRITE_VERIFY_12, SCSI_READ_10},
		     {SCSI_WRITE_VERIFY_16, SCSI_READ_16}};
	static uint8_t out[256 * 512];
	struct scsi_rig *r = sr_disk();
	uint8_t cdb[SCSI_CDB_MAX];
	uint64_t sum = 0;

	(void)state;
	for (uint32_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		uint32_t n = i ? 7 + i : 0; /* READ(6): none means 256 */

		sr_fill(out, sizeof(out), i);
		assert_int_equal(sr_command(r, sr_rw(cdb, pairs[i].write, 1000 * i + 5, n), out),
				 SCSI_GOOD);
		assert_int_equal(sr_command(r, sr_rw(cdb, pairs[i].read, 1000 * i + 5, n), NULL),
				 SCSI_GOOD);
		assert_int_equal(r->len, (n ? n : 256) * 512);
		assert_memory_equal(r->data, out, r->len);
		sum += r->len;
	}
	assert_int_equal(r->disk->stats.read_bytes, sum);
	assert_int_equal(r->disk->stats.written_bytes, sum);
	sr_free(r);
}

static void sbc_nothing_is_nothing_but_in_six_bytes(void **state)
{
	static const uint8_t ops[] = {SCSI_READ_10, SCSI_WRITE_10, SCSI_READ_12,  SCSI_WRITE_12,
				      SCSI_READ_16, SCSI_WRITE_16, SCSI_VERIFY_10};
	struct scsi_rig *r = sr_disk();
	uint8_t cdb[SCSI_CDB_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(ops); i++) {
		assert_int_equal(sr_command(r, sr_rw(cdb, ops[i], BLOCKS, 0), NULL), SCSI_GOOD);
		assert_int_equal(r->len, 0);
	}
	assert_int_equal(r->disk->stats.reads + r->disk->stats.writes, 0);
	sr_free(r);
}

static void sbc_blocks_past_the_end(void **state)
{
	static const uint8_t ops[] = {SCSI_READ_6,	 SCSI_WRITE_6,	     SCSI_READ_10,
				      SCSI_WRITE_10,	 SCSI_READ_12,	     SCSI_WRITE_12,
				      SCSI_READ_16,	 SCSI_WRITE_16,	     SCSI_VERIFY_10,
				      SCSI_VERIFY_16,	 SCSI_SYNC_CACHE_10, SCSI_WRITE_SAME_10,
				      SCSI_WRITE_SAME_16};
	struct scsi_rig *r = sr_disk();
	uint8_t cdb[SCSI_CDB_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(ops); i++)
		sr_check_refused(r, sr_rw(cdb, ops[i], BLOCKS - 1, 2), NULL,
				 SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LBA);
	sr_check_refused(r, sr_rw(cdb, SCSI_READ_16, UINT64_MAX, UINT32_MAX), NULL,
			 SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LBA);
	sr_check_refused(r, sr_rw(cdb, SCSI_WRITE_SAME_16, UINT64_MAX - 5, 6), NULL,
			 SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LBA);
	assert_int_equal(r->disk->stats.reads + r->disk->stats.writes, 0);
	sr_free(r);
}

static void sbc_more_than_the_limit_tells(void **state)
{
	struct scsi_rig *r = sr_disk();
	uint8_t cdb[SCSI_CDB_MAX];
	uint32_t most;

	(void)state;
	sr_check_refused(r, sr_rw(cdb, SCSI_READ_16, 0, SCSI_TRANSFER_MAX / 512 + 1), NULL,
			 SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	assert_int_equal(sr_command(r, sr_rw(cdb, SCSI_READ_16, 0, SCSI_TRANSFER_MAX / 512), NULL),
			 SCSI_GOOD);
	assert_int_equal(r->len, SCSI_TRANSFER_MAX);
	sr_free(r);
	/* WRITE SAME has one of its own: in the block limits page. */
	r = sr_new("null:4T", (struct scsi_disk_options){.wce = true}, false);
	assert_int_equal(sr_command(r, CDB(SCSI_INQUIRY, 1, 0xb0, 0, 64), NULL), SCSI_GOOD);
	most = (uint32_t)scsi_get64(r->data + 36);
	assert_true(most > SCSI_TRANSFER_MAX / 512);
	sr_rw(cdb, SCSI_WRITE_SAME_16, 0, most + 1);
	cdb[1] = 1;
	sr_check_refused(r, cdb, NULL, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	sr_rw(cdb, SCSI_WRITE_SAME_16, 0, most);
	cdb[1] = 1;
	assert_int_equal(sr_command(r, cdb, NULL), SCSI_GOOD);
	sr_free(r);
}

static void sbc_protection_information_is_refused(void **state)
{
	struct scsi_rig *r = sr_disk();
	uint8_t cdb[SCSI_CDB_MAX];

	(void)state;
	sr_rw(cdb, SCSI_READ_10, 0, 1);
	cdb[1] = 0x20;
	sr_check_refused(r, cdb, NULL, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	sr_free(r);
}

static void sbc_readonly(void **state)
{
	static const uint8_t ops[] = {SCSI_WRITE_6,  SCSI_WRITE_10,	 SCSI_WRITE_12,
				      SCSI_WRITE_16, SCSI_WRITE_SAME_10, SCSI_UNMAP};
	struct scsi_rig *r = sr_new("null:8M", (struct scsi_disk_options){.wce = true}, true);
	uint8_t cdb[SCSI_CDB_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(ops); i++)
		sr_check_refused(r, sr_rw(cdb, ops[i], 0, 1), NULL, SCSI_KEY_DATA_PROTECT,
				 SCSI_ASC_WRITE_PROTECTED);
	assert_int_equal(sr_command(r, CDB(SCSI_MODE_SENSE_6, 0, 8, 0, 255), NULL), SCSI_GOOD);
	assert_int_equal(r->data[2] & 0x80, 0x80);
	assert_int_equal(sr_command(r, CDB(SCSI_SYNC_CACHE_10), NULL), SCSI_GOOD);
	/* And nothing to be unmapped, wherever that is told. */
	assert_int_equal(
		sr_command(r, CDB(SCSI_SERVICE_IN_16, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32),
			   NULL),
		SCSI_GOOD);
	assert_int_equal(r->data[14], 0);
	assert_int_equal(sr_command(r, CDB(SCSI_INQUIRY, 1, 0xb0, 0, 64), NULL), SCSI_GOOD);
	assert_int_equal(scsi_get64(r->data + 20), 0);
	assert_int_equal(sr_command(r, CDB(SCSI_INQUIRY, 1, 0xb2, 0, 64), NULL), SCSI_GOOD);
	assert_int_equal(r->data[5], 0);
	assert_int_equal(r->data[6], 0);
	sr_free(r);
}

static void sbc_verify_compares(void **state)
{
	struct scsi_rig *r = sr_disk();
	uint8_t cdb[SCSI_CDB_MAX], out[1024];

	(void)state;
	sr_fill(out, sizeof(out), 9);
	assert_int_equal(sr_command(r, sr_rw(cdb, SCSI_WRITE_10, 20, 2), out), SCSI_GOOD);
	sr_rw(cdb, SCSI_VERIFY_10, 20, 2);
	assert_int_equal(sr_command(r, cdb, NULL), SCSI_GOOD);
	cdb[1] = 2;
	assert_int_equal(sr_command(r, cdb, out), SCSI_GOOD);
	out[1023] ^= 1;
	sr_check_refused(r, cdb, out, SCSI_KEY_MISCOMPARE, SCSI_ASC_MISCOMPARE);
	cdb[1] = 6;
	sr_check_refused(r, cdb, out, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	sr_free(r);
}

static void sbc_synchronize_cache(void **state)
{
	struct scsi_rig *r = sr_disk();

	(void)state;
	assert_int_equal(sr_command(r, CDB(SCSI_SYNC_CACHE_10), NULL), SCSI_GOOD);
	assert_int_equal(sr_command(r, CDB(SCSI_SYNC_CACHE_16), NULL), SCSI_GOOD);
	assert_int_equal(r->disk->stats.flushes, 2);
	sr_free(r);
}

static void sbc_stopped_unit_is_not_ready(void **state)
{
	struct scsi_rig *r = sr_disk();
	uint8_t cdb[SCSI_CDB_MAX];

	(void)state;
	assert_int_equal(sr_command(r, CDB(SCSI_START_STOP_UNIT), NULL), SCSI_GOOD);
	sr_check_refused(r, sr_rw(cdb, SCSI_READ_10, 0, 1), NULL, SCSI_KEY_NOT_READY,
			 SCSI_ASC_START_NEEDED);
	sr_check_refused(r, CDB(SCSI_TEST_UNIT_READY), NULL, SCSI_KEY_NOT_READY,
			 SCSI_ASC_START_NEEDED);
	assert_int_equal(sr_command(r, CDB(SCSI_START_STOP_UNIT, 0, 0, 0, 1), NULL), SCSI_GOOD);
	assert_int_equal(sr_command(r, sr_rw(cdb, SCSI_READ_10, 0, 1), NULL), SCSI_GOOD);
	sr_free(r);
}

static void sbc_unmap(void **state)
{
	uint8_t list[8 + 32] = {0, 38, 0, 32}, cdb[SCSI_CDB_MAX], out[512];
	struct scsi_rig *r = sr_disk();

	(void)state;
	sr_fill(out, sizeof(out), 3);
	assert_int_equal(sr_command(r, sr_rw(cdb, SCSI_WRITE_10, 100, 1), out), SCSI_GOOD);
	scsi_put64(list + 8, 100);
	scsi_put32(list + 16, 1);
	scsi_put64(list + 24, 4000);
	scsi_put32(list + 32, 2000);
	memset(cdb, 0, sizeof(cdb));
	cdb[0] = SCSI_UNMAP;
	cdb[8] = sizeof(list);
	assert_int_equal(sr_command(r, cdb, list), SCSI_GOOD);
	assert_int_equal(r->disk->stats.writes, 3);
	/* Nothing is done if the last one is wrong; but what is behind the last one is nothing. */
	scsi_put32(list + 32, BLOCKS);
	scsi_put16(list + 2, 16);
	assert_int_equal(sr_command(r, cdb, list), SCSI_GOOD);
	assert_int_equal(r->disk->stats.writes, 4);
	scsi_put16(list + 2, 32);
	sr_check_refused(r, cdb, list, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LBA);
	assert_int_equal(r->disk->stats.writes, 4);
	scsi_put16(list + 2, 48);
	sr_check_refused(r, cdb, list, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LIST_FIELD);
	cdb[8] = 4;
	sr_check_refused(r, cdb, list, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LIST_LENGTH);
	cdb[8] = 0;
	assert_int_equal(sr_command(r, cdb, NULL), SCSI_GOOD);
	sr_free(r);
}

static void sbc_unmap_takes_what_it_names_and_no_neighbour(void **state)
{
	/* Two runs that begin and end where pages do: the memory behind gives away whole ones. */
	static const struct {
		uint64_t lba;
		uint32_t n;
	} runs[] = {{4000, 2000}, {64, 8}};
	uint8_t list[8 + 32] = {0, 38, 0, 32}, cdb[SCSI_CDB_MAX] = {[0] = SCSI_UNMAP};
	static uint8_t out[512], zeros[512];
	struct scsi_rig *r = sr_disk();

	(void)state;
	sr_fill(out, sizeof(out), 4);
	for (unsigned i = 0; i < 2; i++) {
		scsi_put64(list + 8 + i * 16, runs[i].lba);
		scsi_put32(list + 16 + i * 16, runs[i].n);
	}
	cdb[8] = sizeof(list);
	for (uint64_t lba = 0; lba < BLOCKS; lba += 2048) {
		uint8_t w[SCSI_CDB_MAX];

		assert_int_equal(sr_command(r, sr_rw(w, SCSI_WRITE_SAME_16, lba, 2048), out),
				 SCSI_GOOD);
	}
	assert_int_equal(sr_command(r, cdb, list), SCSI_GOOD);
	for (uint64_t lba = 0; lba < BLOCKS; lba++) {
		bool gone = false;

		for (unsigned i = 0; i < 2; i++)
			gone |= lba >= runs[i].lba && lba < runs[i].lba + runs[i].n;
		assert_int_equal(sr_command(r, sr_rw(cdb, SCSI_READ_10, lba, 1), NULL), SCSI_GOOD);
		assert_memory_equal(r->data, gone ? zeros : out, 512);
	}
	sr_free(r);
}

static void sbc_unmap_is_unknown_without_discard(void **state)
{
	const struct storage_options so = {.target = "memory:8M", .no_discard = true};
	struct scsi_disk_options o = {.path = "test/disk"};
	struct scsi_rig *r = sr_disk();
	struct storage *storage;

	(void)state;
	scsi_disk_destroy(&r->disk);
	assert_int_equal(storage_open(&so, &storage, NULL), 0);
	assert_int_equal(scsi_disk_create(&r->disk, &o, storage,
					  &(struct scsi_disk_threads){.reactor = r->home}, NULL),
			 0);
	r->disk->attention = 0;
	sr_check_refused(r, CDB(SCSI_UNMAP, 0, 0, 0, 0, 0, 0, 0, 24), NULL,
			 SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_OPCODE);
	assert_int_equal(sr_command(r, CDB(SCSI_INQUIRY, 1, 0xb2, 0, 255), NULL), SCSI_GOOD);
	assert_int_equal(r->data[5], 0);
	sr_free(r);
}

/* A storage that discards less at a time than a block has. */
static void sbc_unmap_is_unknown_where_a_block_is_too_much(void **state)
{
	struct scsi_rig *r = sr_new_blocks("memory:8M", 4096);

	(void)state;
	((struct storage_limits *)storage_limits(r->disk->storage))->max_discard = 2048;
	sr_check_refused(r, CDB(SCSI_UNMAP, 0, 0, 0, 0, 0, 0, 0, 24), NULL,
			 SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_OPCODE);
	assert_int_equal(sr_command(r, CDB(SCSI_INQUIRY, 1, 0xb2, 0, 255), NULL), SCSI_GOOD);
	assert_int_equal(r->data[5], 0);
	sr_free(r);
}

static void sbc_write_same(void **state)
{
	uint8_t cdb[SCSI_CDB_MAX], out[512];
	struct scsi_rig *r = sr_disk();

	(void)state;
	sr_fill(out, sizeof(out), 77);
	/* More than one piece. */
	assert_int_equal(sr_command(r, sr_rw(cdb, SCSI_WRITE_SAME_16, 10, 5000), out), SCSI_GOOD);
	assert_int_equal(sr_command(r, sr_rw(cdb, SCSI_READ_16, 5009, 2), NULL), SCSI_GOOD);
	assert_memory_equal(r->data, out, 512);
	assert_int_equal(r->data[512], 0);
	memset(out, 0, sizeof(out));
	assert_int_equal(sr_command(r, sr_rw(cdb, SCSI_WRITE_SAME_10, 11, 10), out), SCSI_GOOD);
	assert_int_equal(sr_command(r, sr_rw(cdb, SCSI_READ_16, 11, 1), NULL), SCSI_GOOD);
	assert_memory_equal(r->data, out, 512);
	sr_rw(cdb, SCSI_WRITE_SAME_16, 100, 1);
	cdb[1] = 1; /* no data */
	assert_int_equal(sr_command(r, cdb, NULL), SCSI_GOOD);
	assert_int_equal(sr_command(r, sr_rw(cdb, SCSI_READ_16, 100, 1), NULL), SCSI_GOOD);
	assert_memory_equal(r->data, out, 512);
	sr_check_refused(r, sr_rw(cdb, SCSI_WRITE_SAME_16, 0, 0), NULL, SCSI_KEY_ILLEGAL_REQUEST,
			 SCSI_ASC_CDB_FIELD);
	sr_rw(cdb, SCSI_WRITE_SAME_16, 100, 1);
	cdb[1] = 8; /* unmap */
	sr_check_refused(r, cdb, NULL, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	sr_free(r);
}

static void sbc_blocks_of_4096_bytes(void **state)
{
	struct scsi_rig *r = sr_new_blocks("memory:8M", 4096);
	uint8_t cdb[SCSI_CDB_MAX];
	static uint8_t out[8192];

	(void)state;
	assert_int_equal(sr_command(r, CDB(SCSI_READ_CAPACITY_10), NULL), SCSI_GOOD);
	assert_int_equal(scsi_get32(r->data), 2047);
	assert_int_equal(scsi_get32(r->data + 4), 4096);
	sr_fill(out, sizeof(out), 5);
	assert_int_equal(sr_command(r, sr_rw(cdb, SCSI_WRITE_10, 2046, 2), out), SCSI_GOOD);
	assert_int_equal(sr_command(r, sr_rw(cdb, SCSI_READ_10, 2046, 2), NULL), SCSI_GOOD);
	assert_int_equal(r->len, 8192);
	assert_memory_equal(r->data, out, 8192);
	sr_check_refused(r, sr_rw(cdb, SCSI_READ_10, 2047, 2), NULL, SCSI_KEY_ILLEGAL_REQUEST,
			 SCSI_ASC_LBA);
	sr_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sbc_read_capacity),
		cmocka_unit_test(sbc_reads_what_was_written_by_every_length_of_cdb),
		cmocka_unit_test(sbc_nothing_is_nothing_but_in_six_bytes),
		cmocka_unit_test(sbc_blocks_past_the_end),
		cmocka_unit_test(sbc_more_than_the_limit_tells),
		cmocka_unit_test(sbc_protection_information_is_refused),
		cmocka_unit_test(sbc_readonly),
		cmocka_unit_test(sbc_verify_compares),
		cmocka_unit_test(sbc_synchronize_cache),
		cmocka_unit_test(sbc_stopped_unit_is_not_ready),
		cmocka_unit_test(sbc_unmap),
		cmocka_unit_test(sbc_unmap_takes_what_it_names_and_no_neighbour),
		cmocka_unit_test(sbc_unmap_is_unknown_without_discard),
		cmocka_unit_test(sbc_unmap_is_unknown_where_a_block_is_too_much),
		cmocka_unit_test(sbc_write_same),
		cmocka_unit_test(sbc_blocks_of_4096_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
