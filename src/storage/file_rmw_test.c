/* SPDX-License-Identifier: MIT */
/* Requests finer than O_DIRECT takes: their steps, without a kernel, against a disk in memory that
 * takes whole blocks only. */
#include "test.h"

#include "storage/file.h"

#include <errno.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 4096u
#define DISK  (512u << 10)
#define PAST  0xa5

static struct file coarse_file(void)
{
	return (struct file){
		.fd = 7,
		.direct = true,
		.coarse = true,
		.align = BLOCK,
		.mem_align = BLOCK,
		.zero_align = BLOCK,
	};
}

struct played {
	struct file f;
	struct storage_io io;
	struct iovec iov;
	uint8_t *disk, *mem;
	unsigned reads, writes, zeroings, syncs;
	int fail_at; /* this step fails, or with @cut is short; -1: none */
	bool cut;
	unsigned steps;
};

static int play_step(struct played *p, const struct file_step *s)
{
	bool fails = (int)p->steps++ == p->fail_at;
	bool is_short = fails && p->cut && (s->kind == FILE_READ || s->kind == FILE_WRITE);
	uint64_t len = is_short ? s->len / 2 / 512 * 512 : s->len;

	if (fails && !is_short)
		return -EIO;
	if (s->kind == FILE_SYNC) {
		p->syncs++;
		return 0;
	}
	assert_false(s->offset % BLOCK);
	assert_false(s->len % BLOCK);
	assert_true(s->len && s->offset + s->len <= DISK);
	switch (s->kind) {
	case FILE_READ:
		p->reads++;
		memcpy(s->buf, p->disk + s->offset, len);
		break;
	case FILE_WRITE:
		p->writes++;
		if (s->iovcnt) /* zeroes */
			memset(p->disk + s->offset, 0, len);
		else
			memcpy(p->disk + s->offset, s->buf, len);
		break;
	case FILE_FALLOCATE:
		p->zeroings++;
		memset(p->disk + s->offset, 0, s->len);
		return 0;
	default:
		fail();
	}
	return (int)len;
}

static void play_new(struct played *p, enum storage_op op, uint64_t offset, uint64_t len)
{
	*p = (struct played){.f = coarse_file(), .fail_at = -1};
	p->disk = malloc(DISK);
	p->mem = aligned_alloc(BLOCK, DISK);
	assert_true(p->disk && p->mem);
	memset(p->disk, PAST, DISK);
	for (unsigned i = 0; i < DISK; i++)
		p->mem[i] = (uint8_t)(i / 512 + i);
	p->iov = (struct iovec){p->mem, len};
	p->io = (struct storage_io){
		.op = op, .offset = offset, .len = len, .iov = &p->iov, .iovcnt = 1};
}

static void play_free(struct played *p)
{
	free(p->disk);
	free(p->mem);
}

static int play(struct played *p)
{
	enum file_verdict v = FILE_MORE;
	unsigned needs = file_io_begin(&p->f, &p->io);
	struct bounce_pool pool;

	bounce_init(&pool, BLOCK);
	if (needs & FILE_NEEDS_BOUNCE)
		p->io.bounce = bounce_get(&pool);
	while (v == FILE_MORE) {
		struct file_step s;

		if (p->io.state & IO_RMW) {
			void *to;
			size_t len = file_rmw_fill(&p->f, &p->io, &to);

			iov_gather(p->io.iov, p->io.iovcnt, p->io.progress, to, len);
		}
		file_io_step(&p->f, &p->io, &s);
		v = file_io_advance(&p->f, &p->io, play_step(p, &s));
		assert_true(p->steps < 100);
	}
	if (p->io.bounce)
		bounce_put(&pool, p->io.bounce);
	bounce_fini(&pool);
	return p->io.result;
}

static bool all_past(const uint8_t *p, uint64_t len)
{
	return !len || (p[0] == PAST && !memcmp(p, p + 1, len - 1));
}

/* What the disk must hold: the data in the range, the past around it. */
static void check_disk(const struct played *p)
{
	const struct storage_io *io = &p->io;

	uint64_t from = align_down(io->offset, BLOCK);
	uint64_t to = min_u64(align_up(io->offset + io->len, BLOCK), DISK);

	assert_true(all_past(p->disk, from) && all_past(p->disk + to, DISK - to));
	for (uint64_t at = from; at < to; at++) {
		uint8_t want = PAST;

		if (at >= io->offset && at < io->offset + io->len)
			want = io->op == STORAGE_WRITE ? p->mem[at - io->offset] : 0;
		if (p->disk[at] != want)
			fail_msg("%llu+%llu: byte %llu is %x, not %x",
				 (unsigned long long)io->offset, (unsigned long long)io->len,
				 (unsigned long long)at, p->disk[at], want);
	}
}

static const struct {
	uint64_t offset, len;
	unsigned reads;	 /* of a write */
	unsigned writes; /* of a write */
	unsigned zero_writes, zeroings;
} ranges[] = {
	{512, 512, 1, 1, 1, 0},
	{0, 512, 1, 1, 1, 0},
	{3584, 512, 1, 1, 1, 0},
	{3584, 1024, 2, 1, 2, 0},
	{0, 4608, 1, 1, 1, 1},
	{512, 3584, 1, 1, 1, 0},
	{512, 4096, 2, 1, 2, 0},
	{512, 7680, 1, 1, 1, 1},
	{4608, 12288, 2, 1, 2, 1},
	{8192 + 512, 3 * BOUNCE_BYTES, 2, 4, 2, 1},
	{4096, 2 * BOUNCE_BYTES - 512, 1, 2, 1, 1},
	{512, BOUNCE_BYTES - 512, 1, 1, 1, 1},
	{512, BOUNCE_BYTES, 2, 2, 2, 1},
	{DISK - 512, 512, 1, 1, 1, 0},
};

static void an_edit_changes_its_own_bytes_only(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		struct played p;

		play_new(&p, STORAGE_WRITE, ranges[i].offset, ranges[i].len);
		assert_int_equal(play(&p), 0);
		check_disk(&p);
		assert_int_equal(p.reads, ranges[i].reads);
		assert_int_equal(p.writes, ranges[i].writes);
		play_free(&p);
	}
}

static void zeroing_edits_the_edges_only(void **state)
{
	static const uint32_t flags[] = {0, STORAGE_UNMAP, STORAGE_FUA};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ranges) * ARRAY_SIZE(flags); i++) {
		size_t k = i % ARRAY_SIZE(ranges);
		struct played p;

		play_new(&p, STORAGE_WRITE_ZEROES, ranges[k].offset, ranges[k].len);
		p.io.flags = flags[i / ARRAY_SIZE(ranges)];
		assert_int_equal(play(&p), 0);
		check_disk(&p);
		assert_int_equal(p.writes, ranges[k].zero_writes);
		assert_int_equal(p.zeroings, ranges[k].zeroings);
		assert_int_equal(p.syncs, p.io.flags == STORAGE_FUA);
		play_free(&p);

		/* Where the file system can zero nothing. */
		play_new(&p, STORAGE_WRITE_ZEROES, ranges[k].offset, ranges[k].len);
		p.f.no_zero_range = true;
		assert_int_equal(play(&p), 0);
		check_disk(&p);
		assert_int_equal(p.zeroings, 0);
		play_free(&p);
	}
}

static void a_read_brings_what_was_asked_for(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		struct played p;

		play_new(&p, STORAGE_READ, ranges[i].offset, ranges[i].len);
		for (unsigned k = 0; k < DISK; k++)
			p.disk[k] = (uint8_t)(k / 512 + k * 3);
		memset(p.mem, 0, DISK);
		assert_int_equal(play(&p), 0);
		assert_memory_equal(p.mem, p.disk + ranges[i].offset, ranges[i].len);
		assert_int_equal(p.mem[ranges[i].len], 0);
		play_free(&p);
	}
}

/* Whichever step fails, or is short: bytes outside of the range stay, and a success is one. */
static void a_failure_in_the_middle_leaves_neighbours_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		for (int at = 0; at < 12; at++) {
			for (unsigned op = 0; op < 4; op++) {
				struct played p;
				uint64_t end = ranges[i].offset + ranges[i].len;
				int rc;

				play_new(&p, op & 1 ? STORAGE_WRITE : STORAGE_WRITE_ZEROES,
					 ranges[i].offset, ranges[i].len);
				p.fail_at = at;
				p.cut = op & 2;
				rc = play(&p);
				if (!rc)
					check_disk(&p);
				else
					assert_int_equal(rc, -EIO);
				assert_true(all_past(p.disk, ranges[i].offset));
				assert_true(all_past(p.disk + end, DISK - end));
				play_free(&p);
			}
		}
	}
}

static void an_edit_with_fua_is_stable(void **state)
{
	struct played p;
	struct file_step s;
	struct bounce_pool pool;

	(void)state;
	play_new(&p, STORAGE_WRITE, 512, 512);
	p.io.flags = STORAGE_FUA;
	assert_int_equal(file_io_begin(&p.f, &p.io), FILE_NEEDS_BOUNCE | FILE_NEEDS_BLOCKS);
	bounce_init(&pool, BLOCK);
	p.io.bounce = bounce_get(&pool);
	file_io_step(&p.f, &p.io, &s);
	assert_int_equal(s.kind, FILE_READ);
	assert_int_equal(s.rw_flags, 0);
	assert_int_equal(file_io_advance(&p.f, &p.io, BLOCK), FILE_MORE);
	file_io_step(&p.f, &p.io, &s);
	assert_int_equal(s.kind, FILE_WRITE);
	assert_int_equal(s.rw_flags, RWF_DSYNC);
	assert_int_equal(file_io_advance(&p.f, &p.io, BLOCK), FILE_DONE);
	bounce_put(&pool, p.io.bounce);
	bounce_fini(&pool);
	play_free(&p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_edit_changes_its_own_bytes_only),
		cmocka_unit_test(zeroing_edits_the_edges_only),
		cmocka_unit_test(a_read_brings_what_was_asked_for),
		cmocka_unit_test(a_failure_in_the_middle_leaves_neighbours_alone),
		cmocka_unit_test(an_edit_with_fua_is_stable),
	};

	return cmocka_run_group_tests_name("storage/file_rmw", tests, NULL, NULL);
}
