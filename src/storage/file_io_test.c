/* SPDX-License-Identifier: MIT */
/* The steps of a request, without a kernel: every outcome that one can get is played by the test.
 */
#include "test.h"

#include "storage/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

#define FD 7

static struct file buffered_file(void)
{
	return (struct file){
		.fd = FD,
		.align = 1,
		.mem_align = 1,
		.zero_align = 1,
		.base.limits = {.write_zeroes_unmaps = true},
	};
}

static struct file direct_file(uint32_t align)
{
	struct file f = buffered_file();

	f.direct = true;
	f.align = f.mem_align = align;
	f.coarse = align > 512;
	f.zero_align = f.coarse ? align : 1;
	return f;
}

static uint8_t mem[1 << 20] __attribute__((aligned(4096)));

static void h_02_short_transfers_are_finished(void **state)
{
	struct iovec iov[3] = {{mem, 1024}, {mem + 8192, 512}, {mem + 16384, 2560}};
	struct storage_io io = {
		.op = STORAGE_WRITE, .offset = 4096, .len = 4096, .iov = iov, .iovcnt = 3};
	struct file f = buffered_file();
	struct file_step s;

	(void)state;
	assert_false(file_io_begin(&f, &io));
	file_io_step(&f, &io, &s);
	assert_int_equal(s.kind, FILE_WRITE);
	assert_int_equal(s.iovcnt, 3);
	assert_true(s.offset == 4096);

	assert_int_equal(file_io_advance(&f, &io, 1100), FILE_MORE);
	file_io_step(&f, &io, &s);
	assert_int_equal(s.iovcnt, 2);
	assert_true(s.offset == 4096 + 1100);
	assert_ptr_equal(s.iov[0].iov_base, mem + 8192 + 76);
	assert_int_equal(s.iov[0].iov_len, 512 - 76);

	/* Down to one piece: no vector is needed any more. */
	assert_int_equal(file_io_advance(&f, &io, 512 - 76 + 1), FILE_MORE);
	file_io_step(&f, &io, &s);
	assert_int_equal(s.iovcnt, 0);
	assert_ptr_equal(s.buf, mem + 16384 + 1);
	assert_true(s.len == 2559);

	assert_int_equal(file_io_advance(&f, &io, 2559), FILE_DONE);
	assert_int_equal(io.result, 0);
}

/* Whoever is told of an error may send the same request again. */
static void a_request_comes_back_with_its_vector_as_it_was(void **state)
{
	static const struct {
		int res[3];
		int result;
	} ends[] = {{{1100, 2996}, 0},	       {{4095, 1}, 0},	  {{1024, 512, 2560}, 0},
		    {{1, -EIO}, -EIO},	       {{1536, 0}, -EIO}, {{1500, 0}, -EIO},
		    {{1, 1, -ENOSPC}, -ENOSPC}};
	const struct iovec before[4] = {
		{mem, 1024}, {mem + 4096, 0}, {mem + 8192, 512}, {mem + 16384, 2560}};
	struct file f = buffered_file();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		struct iovec iov[4];
		struct storage_io io = {.op = STORAGE_WRITE, .len = 4096, .iov = iov, .iovcnt = 4};
		enum file_verdict v = FILE_MORE;
		struct file_step s;

		memcpy(iov, before, sizeof(iov));
		file_io_begin(&f, &io);
		for (int k = 0; v == FILE_MORE; k++) {
			file_io_step(&f, &io, &s);
			v = file_io_advance(&f, &io, ends[i].res[k]);
		}
		assert_int_equal(v, FILE_DONE);
		assert_int_equal(io.result, ends[i].result);
		assert_memory_equal(iov, before, sizeof(iov));
	}
}

static void h_03_end_of_file_is_an_error(void **state)
{
	struct iovec iov = {mem, 4096};
	struct storage_io io = {.op = STORAGE_READ, .len = 4096, .iov = &iov, .iovcnt = 1};
	struct file f = buffered_file();

	(void)state;
	file_io_begin(&f, &io);
	assert_int_equal(file_io_advance(&f, &io, 512), FILE_MORE);
	assert_int_equal(file_io_advance(&f, &io, 0), FILE_DONE);
	assert_int_equal(io.result, -EIO);
}

static void h_02_errors_pass_as_they_are(void **state)
{
	static const int errors[] = {EIO,    ENOSPC, EDQUOT, EFBIG,
				     EFAULT, ENODEV, EINVAL, EOPNOTSUPP};
	static const enum storage_op ops[] = {STORAGE_READ, STORAGE_WRITE, STORAGE_FLUSH,
					      STORAGE_DISCARD};
	struct file f = buffered_file();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(ops); k++) {
			struct iovec iov = {mem, 4096};
			struct storage_io io = {
				.op = ops[k], .len = 4096, .iov = &iov, .iovcnt = 1};

			file_io_begin(&f, &io);
			assert_int_equal(file_io_advance(&f, &io, -errors[i]), FILE_DONE);
			assert_int_equal(io.result, -errors[i]);
		}
	}
}

static void h_02_eintr_and_eagain_come_again(void **state)
{
	static const enum storage_op ops[] = {STORAGE_READ, STORAGE_WRITE, STORAGE_FLUSH,
					      STORAGE_DISCARD, STORAGE_WRITE_ZEROES};
	struct file f = buffered_file();

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(ops); k++) {
		struct iovec iov = {mem, 4096};
		struct storage_io io = {.op = ops[k], .len = 4096, .iov = &iov, .iovcnt = 1};
		struct file_step before, after;

		file_io_begin(&f, &io);
		file_io_step(&f, &io, &before);
		assert_int_equal(file_io_advance(&f, &io, -EINTR), FILE_MORE);
		assert_int_equal(file_io_advance(&f, &io, -EAGAIN), FILE_AGAIN);
		file_io_step(&f, &io, &after);
		assert_int_equal(before.kind, after.kind);
		assert_true(io.progress == 0);
	}
}

/* Going on inside a block would be refused: the part of it is done again. */
static void direct_goes_on_at_a_block(void **state)
{
	struct iovec iov = {mem, 16384};
	struct storage_io io = {
		.op = STORAGE_WRITE, .offset = 4096, .len = 16384, .iov = &iov, .iovcnt = 1};
	struct file f = direct_file(4096);
	struct file_step s;

	(void)state;
	assert_int_equal(file_io_begin(&f, &io), FILE_NEEDS_BLOCKS);
	assert_int_equal(file_io_advance(&f, &io, 4096 + 512), FILE_MORE);
	file_io_step(&f, &io, &s);
	assert_int_equal(s.fd, FD);
	assert_true(s.offset == 8192 && s.len == 12288);
	assert_ptr_equal(s.buf, mem + 4096);
	assert_int_equal(file_io_advance(&f, &io, 512), FILE_DONE);
	assert_int_equal(io.result, -EIO);
}

static void finer_than_a_block_is_bounced(void **state)
{
	static const struct {
		uint64_t offset, len;
		unsigned needs;
	} cases[] = {{0, 4096, 0},
		     {512, 512, FILE_NEEDS_BOUNCE},
		     {0, 512, FILE_NEEDS_BOUNCE},
		     {4096, 4608, FILE_NEEDS_BOUNCE},
		     {512, 4096, FILE_NEEDS_BOUNCE},
		     {4096, 8192, 0}};
	struct file f = direct_file(4096);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct iovec iov = {mem, cases[i].len};
		struct storage_io io = {.op = STORAGE_READ,
					.offset = cases[i].offset,
					.len = cases[i].len,
					.iov = &iov,
					.iovcnt = 1};

		assert_int_equal(file_io_begin(&f, &io), cases[i].needs);
		io.op = STORAGE_WRITE;
		assert_int_equal(file_io_begin(&f, &io),
				 FILE_NEEDS_BLOCKS | (cases[i].needs ? FILE_NEEDS_BOUNCE : 0));
	}
}

static void only_unaligned_memory_is_bounced(void **state)
{
	struct file f = direct_file(512);
	struct iovec good[2] = {{mem, 512}, {mem + 1024, 512}};
	struct iovec odd_base[2] = {{mem, 512}, {mem + 1025, 512}};
	struct iovec odd_len[2] = {{mem, 100}, {mem + 1024, 924}};
	struct storage_io io = {.op = STORAGE_READ, .len = 1024, .iovcnt = 2};

	(void)state;
	io.iov = good;
	assert_false(file_io_begin(&f, &io));
	io.iov = odd_base;
	assert_true(file_io_begin(&f, &io));
	io.iov = odd_len;
	assert_true(file_io_begin(&f, &io));
	f.direct = false;
	assert_false(file_io_begin(&f, &io));
}

static void a_bounced_read_lands_where_it_should(void **state)
{
	struct iovec iov[2] = {{mem + 1, 700}, {mem + 4097, 2 * BOUNCE_BYTES - 700}};
	struct storage_io io = {
		.op = STORAGE_READ, .len = 2 * BOUNCE_BYTES, .iov = iov, .iovcnt = 2};
	struct file f = direct_file(512);
	struct bounce_pool pool;
	struct file_step s;

	(void)state;
	memset(mem, 0, sizeof(mem));
	bounce_init(&pool, f.align);
	assert_true(file_io_begin(&f, &io));
	io.bounce = bounce_get(&pool);
	assert_non_null(io.bounce);
	file_io_step(&f, &io, &s);
	assert_ptr_equal(s.buf, io.bounce);
	assert_true(s.len == BOUNCE_BYTES);
	memset(s.buf, 1, s.len);
	assert_int_equal(file_io_advance(&f, &io, BOUNCE_BYTES), FILE_MORE);
	file_io_step(&f, &io, &s);
	assert_true(s.offset == BOUNCE_BYTES);
	memset(s.buf, 2, s.len);
	assert_int_equal(file_io_advance(&f, &io, BOUNCE_BYTES), FILE_DONE);
	assert_int_equal(io.result, 0);
	assert_int_equal(mem[0], 0);
	assert_int_equal(mem[1], 1);
	assert_int_equal(mem[700], 1);
	assert_int_equal(mem[701], 0);
	assert_int_equal(mem[4097 + BOUNCE_BYTES - 700 - 1], 1);
	assert_int_equal(mem[4097 + BOUNCE_BYTES - 700], 2);
	bounce_put(&pool, io.bounce);
	bounce_fini(&pool);
}

static void zeroing_takes_the_next_best_way(void **state)
{
	struct storage_io io = {.op = STORAGE_WRITE_ZEROES,
				.flags = STORAGE_UNMAP,
				.offset = 512,
				.len = 200 * 1024};
	struct file f = buffered_file();
	struct file_step s;

	(void)state;
	file_io_begin(&f, &io);
	file_io_step(&f, &io, &s);
	assert_int_equal(s.kind, FILE_FALLOCATE);
	assert_int_equal(s.mode, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
	assert_int_equal(file_io_advance(&f, &io, -EOPNOTSUPP), FILE_MORE);
	file_io_step(&f, &io, &s);
	assert_int_equal(s.mode, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
	assert_int_equal(file_io_advance(&f, &io, -EOPNOTSUPP), FILE_MORE);

	/* 3 x 64 KiB, then the rest. */
	file_io_step(&f, &io, &s);
	assert_int_equal(s.kind, FILE_WRITE);
	assert_int_equal(s.iovcnt, 3);
	assert_true(s.offset == 512 && s.len == 3 * 65536);
	assert_int_equal(file_io_advance(&f, &io, 3 * 65536), FILE_MORE);
	file_io_step(&f, &io, &s);
	assert_int_equal(s.iovcnt, 0);
	assert_true(s.offset == 512 + 3 * 65536 && s.len == 8192);
	assert_int_equal(((const uint8_t *)s.buf)[8191], 0);
	assert_int_equal(file_io_advance(&f, &io, 8192), FILE_DONE);
	assert_int_equal(io.result, 0);

	/* Without leave to unmap, the way that failed is not tried again. */
	io.flags = 0;
	file_io_begin(&f, &io);
	file_io_step(&f, &io, &s);
	assert_int_equal(s.kind, FILE_WRITE);
}

static void zeroing_without_unmap_keeps_the_space(void **state)
{
	struct storage_io io = {.op = STORAGE_WRITE_ZEROES, .len = 4096};
	struct file f = buffered_file();
	struct file_step s;

	(void)state;
	file_io_begin(&f, &io);
	file_io_step(&f, &io, &s);
	assert_int_equal(s.mode, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
	io.flags = STORAGE_UNMAP;
	f.base.limits.write_zeroes_unmaps = false;
	file_io_begin(&f, &io);
	file_io_step(&f, &io, &s);
	assert_int_equal(s.mode, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
}

static void fua_is_a_flag_or_a_sync_behind(void **state)
{
	struct iovec iov = {mem, 4096};
	struct storage_io io = {
		.op = STORAGE_WRITE, .flags = STORAGE_FUA, .len = 4096, .iov = &iov, .iovcnt = 1};
	struct file f = buffered_file();
	struct file_step s;

	(void)state;
	file_io_begin(&f, &io);
	file_io_step(&f, &io, &s);
	assert_int_equal(s.rw_flags, RWF_DSYNC);
	assert_int_equal(file_io_advance(&f, &io, 4096), FILE_DONE);

	io = (struct storage_io){.op = STORAGE_DISCARD, .flags = STORAGE_FUA, .len = 4096};
	file_io_begin(&f, &io);
	assert_int_equal(file_io_advance(&f, &io, 0), FILE_MORE);
	file_io_step(&f, &io, &s);
	assert_int_equal(s.kind, FILE_SYNC);
	assert_int_equal(file_io_advance(&f, &io, -EIO), FILE_DONE);
	assert_int_equal(io.result, -EIO);

	/* Zeroes that had to be written piece by piece are one sync, not many. */
	f.no_zero_range = true;
	io = (struct storage_io){.op = STORAGE_WRITE_ZEROES, .flags = STORAGE_FUA, .len = 4096};
	file_io_begin(&f, &io);
	file_io_step(&f, &io, &s);
	assert_int_equal(s.rw_flags, 0);
	assert_int_equal(file_io_advance(&f, &io, 4096), FILE_MORE);
	file_io_step(&f, &io, &s);
	assert_int_equal(s.kind, FILE_SYNC);
	assert_int_equal(file_io_advance(&f, &io, 0), FILE_DONE);
	assert_int_equal(io.result, 0);
}

/* Of a range that starts or ends inside a block of the device, the whole blocks are discarded. */
static void a_device_discards_whole_blocks(void **state)
{
	static const struct {
		uint64_t offset, len, at, n;
	} cases[] = {{0, 8192, 0, 8192},
		     {512, 8192, 4096, 4096},
		     {512, 512, 4096, 0},
		     {4096, 4608, 4096, 4096},
		     {3584, 512, 4096, 0}};
	struct file f = direct_file(4096);

	(void)state;
	f.block_device = true;
	f.zero_align = 4096;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct storage_io io = {
			.op = STORAGE_DISCARD, .offset = cases[i].offset, .len = cases[i].len};
		struct file_step s;

		assert_int_equal(file_io_begin(&f, &io), cases[i].n ? 0 : FILE_IS_NOTHING);
		if (!cases[i].n)
			continue;
		file_io_step(&f, &io, &s);
		assert_int_equal(s.kind, FILE_BLKDISCARD);
		assert_true(s.len == cases[i].n);
		assert_true(s.offset == cases[i].at);
	}
}

static void a_device_zeroes_parts_of_blocks_by_writing(void **state)
{
	struct storage_io io = {.op = STORAGE_WRITE_ZEROES, .offset = 512, .len = 4096};
	struct file f = buffered_file();
	struct file_step s;

	(void)state;
	f.block_device = true;
	f.zero_align = 4096;
	assert_int_equal(file_io_begin(&f, &io), 0);
	file_io_step(&f, &io, &s);
	assert_int_equal(s.kind, FILE_WRITE);
	io.offset = 4096;
	file_io_begin(&f, &io);
	file_io_step(&f, &io, &s);
	assert_int_equal(s.kind, FILE_FALLOCATE);
	assert_int_equal(s.fd, FD);
}

static void more_pieces_than_the_kernel_takes(void **state)
{
	enum { N = IOV_MAX + 100 };
	struct iovec *iov = calloc(N, sizeof(*iov));
	struct storage_io io = {.op = STORAGE_READ, .len = N * 512u, .iov = iov, .iovcnt = N};
	struct file f = buffered_file();
	struct file_step s;

	(void)state;
	assert_non_null(iov);
	for (size_t i = 0; i < N; i++)
		iov[i] = (struct iovec){mem + i * 512, 512};
	file_io_begin(&f, &io);
	file_io_step(&f, &io, &s);
	assert_int_equal(s.iovcnt, IOV_MAX);
	assert_int_equal(file_io_advance(&f, &io, IOV_MAX * 512), FILE_MORE);
	file_io_step(&f, &io, &s);
	assert_int_equal(s.iovcnt, 100);
	assert_int_equal(file_io_advance(&f, &io, 100 * 512), FILE_DONE);
	assert_int_equal(io.result, 0);
	free(iov);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(h_02_short_transfers_are_finished),
		cmocka_unit_test(a_request_comes_back_with_its_vector_as_it_was),
		cmocka_unit_test(h_03_end_of_file_is_an_error),
		cmocka_unit_test(h_02_errors_pass_as_they_are),
		cmocka_unit_test(h_02_eintr_and_eagain_come_again),
		cmocka_unit_test(direct_goes_on_at_a_block),
		cmocka_unit_test(finer_than_a_block_is_bounced),
		cmocka_unit_test(only_unaligned_memory_is_bounced),
		cmocka_unit_test(a_bounced_read_lands_where_it_should),
		cmocka_unit_test(zeroing_takes_the_next_best_way),
		cmocka_unit_test(zeroing_without_unmap_keeps_the_space),
		cmocka_unit_test(fua_is_a_flag_or_a_sync_behind),
		cmocka_unit_test(a_device_discards_whole_blocks),
		cmocka_unit_test(a_device_zeroes_parts_of_blocks_by_writing),
		cmocka_unit_test(more_pieces_than_the_kernel_takes),
	};

	return cmocka_run_group_tests_name("storage/file_io", tests, NULL, NULL);
}
