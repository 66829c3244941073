/* SPDX-License-Identifier: MIT */
/* A disk in a file: what is refused, raw stays raw, the file's size, what space is given back. */
#include "storage/file.h"
#include "storage/loop_test.h"
#include "storage/place_test.h"

#include "base/log.h"

#include <errno.h>
#include <linux/magic.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <sys/wait.h>

/* ---- what is refused ---- */

static void h_01_missing(void **state)
{
	(void)state;
	refused(&(struct storage_options){.target = "./no such disk.raw"}, -ENOENT, "truncate -s");
	refused(&(struct storage_options){.target = "./no/such/directory", .readonly = true},
		-ENOENT, "does not exist");
}

static void h_01_kinds_that_are_no_disk(void **state)
{
	struct place p = place_make(".", 512);
	char *fifo = NULL;

	(void)state;
	assert_true(asprintf(&fifo, "%s/fifo", p.dir) > 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	for (unsigned ro = 0; ro < 2; ro++) {
		refused(&(struct storage_options){.target = p.dir, .readonly = ro}, -EISDIR,
			"is a directory");
		refused(&(struct storage_options){.target = fifo, .readonly = ro}, -EINVAL,
			"is a pipe");
		refused(&(struct storage_options){.target = "/dev/null", .readonly = ro}, -EINVAL,
			"is a character device");
	}
	free(fifo);
	place_remove(&p);
}

static void h_01_sizes_that_are_no_disk(void **state)
{
	struct place p = place_make(".", 0);
	struct storage_options o = {.target = p.path};

	(void)state;
	refused(&o, -EINVAL, "is empty");
	place_truncate(&p, 511);
	refused(&o, -EINVAL, "no multiple of 512");
	place_truncate(&p, 65537);
	refused(&o, -EINVAL, "65537 bytes");
	place_remove(&p);
}

static void h_01_no_permission(void **state)
{
	struct place p = place_make(".", 512);
	struct storage_options rw = {.target = p.path};
	struct storage_options ro = {.target = p.path, .readonly = true};
	struct storage *s;
	uid_t me = geteuid();

	(void)state;
	assert_int_equal(chmod(p.dir, 0755), 0);
	assert_int_equal(chmod(p.path, 0444), 0);
	/* Root may do everything: be somebody else for a while, who must be able to come here. */
	if (!me && (seteuid(65534) || access(p.path, R_OK))) {
		assert_int_equal(seteuid(me), 0);
		place_remove(&p);
		skip();
	}
	refused(&rw, -EACCES, "readonly=on");
	assert_int_equal(storage_open(&ro, &s, NULL), 0);
	storage_close(&s);
	assert_int_equal(seteuid(me), 0);
	assert_int_equal(chmod(p.path, 0), 0);
	if (!me)
		assert_int_equal(seteuid(65534), 0);
	refused(&ro, -EACCES, "no permission to read");
	assert_int_equal(seteuid(me), 0);
	place_remove(&p);
}

static void o_direct_refused_names_the_remedy(void **state)
{
	struct storage_options o = {.target = "/proc/version", .direct = true, .readonly = true};

	(void)state;
	refused(&o, -EINVAL, "cache=writeback");
}

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void h_04_out_of_fds(void **state)
{
	struct place p = place_make(".", 512);
	struct storage_options o = {.target = p.path};
	int before = open_fds();
	struct rlimit old, none;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	refused(&o, -EMFILE, "ulimit -n");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(open_fds(), before);
	place_remove(&p);
}

static void nothing_stays_open(void **state)
{
	struct place p = place_make(".", 65536);
	int before = open_fds();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct rig rig;

		if (open_way(&rig, &p, &ways[i]))
			rig_close(&rig);
		assert_int_equal(open_fds(), before);
	}
	place_truncate(&p, 511);
	refused(&(struct storage_options){.target = p.path}, -EINVAL, "512");
	assert_int_equal(open_fds(), before);
	place_remove(&p);
}

/* ---- raw is raw ---- */

static void kb_46_formats_are_never_guessed(void **state)
{
	struct place p = place_make(".", 65536);
	static const char qcow2[] = "QFI\xfb\0\0\0\3\0\0\0\0\0\0\0\x68/etc/passwd";
	uint8_t buf[512] = {0};
	struct rig rig;

	(void)state;
	assert_true(open_way(&rig, &p, &ways[1]));
	memcpy(buf, qcow2, sizeof(qcow2));
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, buf, sizeof(buf)), 0);
	rig_close(&rig);
	assert_true(open_way(&rig, &p, &ways[1]));
	assert_true(storage_size(rig.s) == 65536);
	memset(buf, 0xaa, sizeof(buf));
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, buf, sizeof(buf)), 0);
	assert_memory_equal(buf, qcow2, sizeof(qcow2));
	rig_close(&rig);
	place_remove(&p);
}

static void b_06_readonly(void **state)
{
	struct place p = place_make(".", 65536);
	struct storage_options o = {.target = p.path, .readonly = true};
	uint8_t buf[512];
	struct rig rig;

	(void)state;
	assert_int_equal(rig_open(&rig, &o, false, NULL), 0);
	assert_true(storage_readonly(rig.s));
	assert_true(!storage_limits(rig.s)->max_discard &&
		    !storage_limits(rig.s)->max_write_zeroes);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, buf, sizeof(buf)), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, buf, sizeof(buf)), -EROFS);
	assert_int_equal(rig_do(&rig, STORAGE_WRITE_ZEROES, 0, 0, 512), -EROFS);
	assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), 0);
	rig_close(&rig);
	place_remove(&p);
}

/* ---- the file changes under us ---- */

static void count_line(void *opaque, enum log_level level, const char *line)
{
	(void)level;
	(void)line;
	++*(unsigned *)opaque;
}

static void truncated_while_served(const char *parent)
{
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct place p = place_with_room(parent, MIB);
		uint8_t *buf = aligned_alloc(4096, MIB);
		struct rig rig;

		assert_non_null(buf);
		memset(buf, 1, MIB);
		if (open_way(&rig, &p, &ways[i])) {
			assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, buf, MIB), 0);
			place_truncate(&p, 512 * KIB);
			assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 768 * KIB, buf, 4096), -EIO);
			assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 508 * KIB, buf, 8192), -EIO);
			/* Cut inside a sector, where O_DIRECT could not go on. */
			place_truncate(&p, 512 * KIB - 100);
			assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 508 * KIB, buf, 4096), -EIO);
			assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 508 * KIB + 1024, buf, 3072),
					 -EIO);
			place_truncate(&p, 512 * KIB);
			assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 504 * KIB, buf, 8192), 0);
			assert_true(all_bytes_are(buf, 1, 4096));
			assert_int_equal(rig_do(&rig, STORAGE_DISCARD, 0, 768 * KIB, 4096), 0);

			assert_int_equal(storage_refresh(rig.s), 1);
			assert_true(storage_size(rig.s) == 512 * KIB);
			assert_int_equal(storage_refresh(rig.s), 0);
			assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 512 * KIB, buf, 512),
					 -EINVAL);
			assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, buf, 4096), 0);
			rig_close(&rig);
		}
		free(buf);
		place_remove(&p);
	}
}

static void h_03_truncated_while_served(void **state)
{
	(void)state;
	truncated_while_served(".");
}

static void h_03_truncated_while_served_on_tmpfs(void **state)
{
	(void)state;
	truncated_while_served("/dev/shm");
}

/* Where bytes lie in memory the worker copies them itself, unless they are many. */
static void a_file_in_memory_answers_at_once(void **state)
{
	uint8_t *buf = calloc(1, MIB);

	(void)state;
	assert_non_null(buf);
	for (unsigned threads = 0; threads < 2; threads++) {
		struct place p = place_with_room("/dev/shm", MIB);
		struct storage_options o = {.target = p.path, .threads = threads};
		struct iovec iov[3];
		struct waited w = {.io = {.iov = iov}};
		struct statfs fs;
		struct rig rig;

		assert_int_equal(statfs(p.path, &fs), 0);
		if (fs.f_type != TMPFS_MAGIC) {
			place_remove(&p);
			free(buf);
			skip();
		}
		assert_int_equal(rig_open(&rig, &o, test_uring(), NULL), 0);
		for (unsigned write = 1; write < 2; write--) {
			memset(buf, write ? 7 : 0, 8192);
			w.io.op = write ? STORAGE_WRITE : STORAGE_READ;
			w.io.offset = 4096;
			w.io.len = 8192;
			w.io.iovcnt = 3;
			iov[0] = (struct iovec){buf, 512};
			iov[1] = (struct iovec){buf + 512, 0};
			iov[2] = (struct iovec){buf + 512, 8192 - 512};
			rig_start(&rig, &w);
			assert_int_equal(w.over, !threads);
			assert_int_equal(rig_wait(&rig, &w), 0);
			assert_true(all_bytes_are(buf, 7, 8192));
		}
		w.io.offset = 0;
		w.io.len = MIB;
		w.io.iovcnt = 1;
		iov[0] = (struct iovec){buf, MIB};
		rig_start(&rig, &w);
		assert_false(w.over);
		assert_int_equal(rig_wait(&rig, &w), 0);
		rig_close(&rig);
		place_remove(&p);
	}
	free(buf);
}

static void a_new_size_is_taken_over(void **state)
{
	struct place p = place_make(".", 65536);
	unsigned lines = 0;
	uint8_t buf[512];
	struct rig rig;

	(void)state;
	assert_true(open_way(&rig, &p, &ways[2]));
	assert_int_equal(storage_refresh(rig.s), 0);
	place_truncate(&p, 131072);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 65536, buf, 512), -EINVAL);
	assert_int_equal(storage_refresh(rig.s), 1);
	assert_true(storage_size(rig.s) == 131072);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 65536, buf, 512), 0);

	/* A size that open would refuse is not taken over, and somebody is told. */
	log_setup(LOG_LEVEL_INFO, count_line, &lines);
	place_truncate(&p, 65536 + 1000);
	assert_int_equal(storage_refresh(rig.s), 0);
	assert_int_equal(lines, 1);
	assert_true(storage_size(rig.s) == 131072);
	log_setup(LOG_LEVEL_INFO, NULL, NULL);
	rig_close(&rig);
	place_remove(&p);
}

/* ---- space ---- */

static void discard_gives_back(const char *parent)
{
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct place p = place_with_room(parent, 4 * MIB);
		uint8_t *buf = aligned_alloc(4096, 4 * MIB);
		struct rig rig;
		uint64_t full;

		assert_non_null(buf);
		memset(buf, 3, 4 * MIB);
		if (open_way(&rig, &p, &ways[i]) && storage_limits(rig.s)->max_discard) {
			assert_true(is_pow2(storage_limits(rig.s)->discard_alignment));
			assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, buf, 4 * MIB), 0);
			assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), 0);
			full = place_allocated(&p);
			assert_true(full >= 4 * MIB);
			assert_int_equal(rig_do(&rig, STORAGE_DISCARD, STORAGE_FUA, MIB, 2 * MIB),
					 0);
			assert_true(place_allocated(&p) <= full - 2 * MIB);
			assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, buf, 4 * MIB), 0);
			assert_true(all_bytes_are(buf, 3, MIB));
			assert_true(all_bytes_are(buf + MIB, 0, 2 * MIB));
			assert_true(all_bytes_are(buf + 3 * MIB, 3, MIB));
		}
		if (rig.s)
			rig_close(&rig);
		free(buf);
		place_remove(&p);
	}
}

static void discard_is_a_hole_on_disk(void **state)
{
	struct place p = place_make(".", 4 * MIB);
	uint8_t *buf = aligned_alloc(4096, MIB);
	struct rig rig;
	int fd;

	(void)state;
	discard_gives_back(".");

	assert_non_null(buf);
	memset(buf, 9, MIB);
	assert_true(open_way(&rig, &p, &ways[1]));
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, STORAGE_FUA, 0, buf, MIB), 0);
	assert_int_equal(rig_do(&rig, STORAGE_DISCARD, 0, 64 * KIB, 64 * KIB), 0);
	fd = open(p.path, O_RDONLY | O_CLOEXEC);
	assert_true(lseek(fd, 0, SEEK_HOLE) == 64 * KIB);
	assert_true(lseek(fd, 64 * KIB, SEEK_DATA) == 128 * KIB);
	close(fd);
	rig_close(&rig);
	free(buf);
	place_remove(&p);
}

static void discard_is_a_hole_on_tmpfs(void **state)
{
	(void)state;
	discard_gives_back("/dev/shm");
}

static void zeroes_keep_space_unless_unmapped(const char *parent)
{
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct place p = place_with_room(parent, 4 * MIB);
		uint8_t *buf = aligned_alloc(4096, 4 * MIB);
		struct rig rig;
		uint64_t full;

		assert_non_null(buf);
		memset(buf, 3, 4 * MIB);
		if (open_way(&rig, &p, &ways[i])) {
			assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, buf, 3 * MIB), 0);
			assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), 0);
			full = place_allocated(&p);
			/* Part of it was a hole, and now has a place. */
			assert_int_equal(rig_do(&rig, STORAGE_WRITE_ZEROES, STORAGE_FUA, MIB + 512,
						3 * MIB - 1024),
					 0);
			assert_true(place_allocated(&p) > full);
			assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, buf, 4 * MIB), 0);
			assert_true(all_bytes_are(buf, 3, MIB + 512));
			assert_true(all_bytes_are(buf + MIB + 512, 0, 3 * MIB - 512));
			assert_int_equal(
				rig_do(&rig, STORAGE_WRITE_ZEROES, STORAGE_UNMAP, 0, 4 * MIB), 0);
			assert_true(place_allocated(&p) < full);
			assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, buf, 4 * MIB), 0);
			assert_true(all_bytes_are(buf, 0, 4 * MIB));
			rig_close(&rig);
		}
		free(buf);
		place_remove(&p);
	}
}

static void zeroes_on_disk(void **state)
{
	(void)state;
	zeroes_keep_space_unless_unmapped(".");
}

static void zeroes_on_tmpfs(void **state)
{
	(void)state;
	zeroes_keep_space_unless_unmapped("/dev/shm");
}

static void discard_ignored_keeps_the_space(void **state)
{
	struct place p = place_make(".", MIB);
	struct storage_options o = {.target = p.path, .no_discard = true};
	uint8_t *buf = calloc(1, MIB);
	struct rig rig;
	uint64_t full;

	(void)state;
	assert_int_equal(rig_open(&rig, &o, false, NULL), 0);
	assert_true(storage_limits(rig.s)->max_discard == 0);
	assert_int_equal(rig_do(&rig, STORAGE_DISCARD, 0, 0, MIB), -EOPNOTSUPP);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, STORAGE_FUA, 0, buf, MIB), 0);
	full = place_allocated(&p);
	assert_int_equal(rig_do(&rig, STORAGE_WRITE_ZEROES, STORAGE_UNMAP | STORAGE_FUA, 0, MIB),
			 0);
	assert_true(place_allocated(&p) >= full);
	rig_close(&rig);
	free(buf);
	place_remove(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(h_01_missing),
		cmocka_unit_test(h_01_kinds_that_are_no_disk),
		cmocka_unit_test(h_01_sizes_that_are_no_disk),
		cmocka_unit_test(h_01_no_permission),
		cmocka_unit_test(o_direct_refused_names_the_remedy),
		cmocka_unit_test(h_04_out_of_fds),
		cmocka_unit_test(nothing_stays_open),
		cmocka_unit_test(kb_46_formats_are_never_guessed),
		cmocka_unit_test(b_06_readonly),
		cmocka_unit_test(h_03_truncated_while_served),
		cmocka_unit_test(h_03_truncated_while_served_on_tmpfs),
		cmocka_unit_test(a_file_in_memory_answers_at_once),
		cmocka_unit_test(a_new_size_is_taken_over),
		cmocka_unit_test(discard_is_a_hole_on_disk),
		cmocka_unit_test(discard_is_a_hole_on_tmpfs),
		cmocka_unit_test(zeroes_on_disk),
		cmocka_unit_test(zeroes_on_tmpfs),
		cmocka_unit_test(discard_ignored_keeps_the_space),
	};

	return cmocka_run_group_tests_name("storage/file", tests, NULL, NULL);
}
