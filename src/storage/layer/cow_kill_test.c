/* SPDX-License-Identifier: MIT */
/*
 * Overlays that are made, committed and emptied by a program that is killed: before and behind each
 * call that changes a file, the first, the second, and so on until there are no more.
 */
#include "storage/layer/cow_rig_test.h"
#include "storage/layer/cow_verbs.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define DISK (UINT64_C(2) << 20)

/* Calls until the program is killed, in front of the call or behind it; 0: never. */
static unsigned countdown; /* atomic */
static bool behind;

static bool is_the_one(void)
{
	return __atomic_load_n(&countdown, __ATOMIC_SEQ_CST) &&
	       !__atomic_sub_fetch(&countdown, 1, __ATOMIC_SEQ_CST);
}

static long changes(long number, long a, long b, long c, long d, long e)
{
	bool here = is_the_one();
	long rc;

	if (here && !behind)
		kill(getpid(), SIGKILL);
	rc = syscall(number, a, b, c, d, e);
	if (here)
		kill(getpid(), SIGKILL);
	return rc;
}

/* In the place of the C library's, for everything that is linked with this test. */
#undef pwrite64
#undef ftruncate64
#undef fallocate64
ssize_t pwrite64(int fd, const void *buf, size_t n, off_t at);
int ftruncate64(int fd, off_t size);
int fallocate64(int fd, int mode, off_t at, off_t len);
ssize_t pwritev64v2(int fd, const struct iovec *iov, int n, off_t at, int flags);

ssize_t pwrite64(int fd, const void *buf, size_t n, off_t at)
{
	return changes(SYS_pwrite64, fd, (long)buf, (long)n, at, 0);
}

int ftruncate64(int fd, off_t size)
{
	return (int)changes(SYS_ftruncate, fd, size, 0, 0, 0);
}

int fallocate64(int fd, int mode, off_t at, off_t len)
{
	return (int)changes(SYS_fallocate, fd, mode, at, len, 0);
}

/* The kernel wants the place in two halves. */
ssize_t pwritev64v2(int fd, const struct iovec *iov, int n, off_t at, int flags)
{
	bool here = is_the_one();
	ssize_t rc;

	if (here && !behind)
		kill(getpid(), SIGKILL);
	rc = syscall(SYS_pwritev2, fd, iov, n, at, 0, flags);
	if (here)
		kill(getpid(), SIGKILL);
	return rc;
}

int fsync(int fd)
{
	return (int)changes(SYS_fsync, fd, 0, 0, 0, 0);
}

int fdatasync(int fd)
{
	return (int)changes(SYS_fdatasync, fd, 0, 0, 0, 0);
}

/* ---- who is killed ---- */

/* What is written goes by the calls above: no io_uring. */
static void fill(const struct golden *g, uint8_t v)
{
	struct storage_options o = golden_options(g);
	uint8_t buf[8192];
	struct rig rig;

	memset(buf, v, sizeof(buf));
	o.threads = true;
	assert_int_equal(rig_open(&rig, &o, false, NULL), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, i * 40960, buf, sizeof(buf)), 0);
	assert_int_equal(rig_do(&rig, STORAGE_WRITE_ZEROES, STORAGE_UNMAP, 81920, 65536), 0);
	assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), 0);
	rig_close(&rig);
}

static int do_fill(const struct golden *g)
{
	fill(g, 9);
	return 0;
}

static int do_commit(const struct golden *g)
{
	struct storage_options o = golden_options(g);

	return cow_commit(&o, NULL, NULL);
}

static int do_discard(const struct golden *g)
{
	return cow_discard(g->overlay, NULL);
}

/* Whether it was killed; else it came to its end. */
static bool killed_in(int (*what)(const struct golden *g), const struct golden *g, unsigned call)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		countdown = call / 2 + 1;
		behind = call % 2;
		_exit(what(g) ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return true;
	assert_int_equal(status, 0);
	return false;
}

static void a_commit_that_is_killed_is_done_again(void **state)
{
	uint8_t *want = malloc(DISK), *is = malloc(DISK);
	bool killed = true;
	unsigned call;

	(void)state;
	for (call = 0; killed; call++) {
		struct golden g = golden_make(DISK);
		struct storage_options o = golden_options(&g);
		struct error err = {""};

		fill(&g, 7);
		golden_read_all(&g, want);
		killed = killed_in(do_commit, &g, call);
		if (cow_commit(&o, NULL, &err))
			fail_msg("killed at %u: %s", call, err.text);
		golden_read_all(&g, is);
		assert_memory_equal(is, want, DISK);
		/* It is all in the base. */
		assert_int_equal(cow_discard(g.overlay, NULL), 0);
		golden_read_all(&g, is);
		assert_memory_equal(is, want, DISK);
		golden_remove(&g);
	}
	assert_in_range(call, 20, 80);
	free(want);
	free(is);
}

static void a_discard_that_is_killed_is_done_or_not(void **state)
{
	uint8_t *want = malloc(DISK), *is = malloc(DISK);
	bool killed = true;
	unsigned call;

	(void)state;
	for (call = 0; killed; call++) {
		struct golden g = golden_make(DISK);

		fill(&g, 7);
		golden_read_all(&g, want);
		killed = killed_in(do_discard, &g, call);
		golden_read_all(&g, is);
		assert_true(!memcmp(is, want, DISK) || !memcmp(is, g.bytes, DISK));
		assert_int_equal(cow_discard(g.overlay, NULL), 0);
		golden_read_all(&g, is);
		assert_memory_equal(is, g.bytes, DISK);
		golden_is_untouched(&g);
		golden_remove(&g);
	}
	assert_in_range(call, 3, 20);
	free(want);
	free(is);
}

/* A new overlay, and what is written to it first. */
static void a_start_that_is_killed_leaves_a_disk(void **state)
{
	uint8_t *is = malloc(DISK);
	bool killed = true;
	unsigned call;

	(void)state;
	for (call = 0; killed; call++) {
		struct golden g = golden_make(DISK);

		killed = killed_in(do_fill, &g, call);
		golden_read_all(&g, is);
		for (uint64_t at = 0; at < DISK; at += 512)
			assert_true(!memcmp(is + at, g.bytes + at, 512) ||
				    all_bytes_are(is + at, 9, 512) ||
				    (at >= 81920 && at < 81920 + 65536 &&
				     all_bytes_are(is + at, 0, 512)));
		fill(&g, 7);
		golden_read_all(&g, is);
		assert_true(all_bytes_are(is + 40960, 7, 8192));
		assert_true(all_bytes_are(is + 81920, 0, 65536));
		golden_is_untouched(&g);
		golden_remove(&g);
	}
	assert_in_range(call, 30, 120);
	free(is);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_commit_that_is_killed_is_done_again),
		cmocka_unit_test(a_discard_that_is_killed_is_done_or_not),
		cmocka_unit_test(a_start_that_is_killed_leaves_a_disk),
	};

	return cmocka_run_group_tests_name("storage/layer/cow_kill", tests, NULL, NULL);
}
