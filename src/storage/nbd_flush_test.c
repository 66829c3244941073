/* SPDX-License-Identifier: MIT */
/* NBD servers whose flush fails: what that means for the disk's others. */
#include "storage/nbd_rig_test.h"

#include "base/bits.h"
#include "storage/nbd.h"

#include <errno.h>

/*
 * A server whose kernel tells of a lost page once: its next flush would succeed, and be a lie, to the
 * guest as well as to who tries again for it.
 */
static void a_flush_that_failed_is_the_last_one_that_is_believed(void **state)
{
#define FLUSHES_FAIL_ONCE                                            \
	EVAL "get_size='echo 8M' can_write=true can_flush=true "     \
	     "can_multi_conn=true can_fua='echo none' "              \
	     "pread='head -c $3 /dev/zero' pwrite='cat >/dev/null' " \
	     "flush='test -e %s.told || { touch %s.told; echo EIO >&2; exit 1; }'"
	struct place *p = *state;
	struct storage_options o = options(p);
	struct storage_channel *other;
	uint8_t block[512] = {7};
	struct rig rig;

	need("nbdkit");
	for (unsigned policy = 0; policy < 2; policy++) {
		struct waited w = {.io = {.op = STORAGE_FLUSH, .done = waited_done}};

		o.layers.errors.werror = policy ? STORAGE_RETRY : 0;
		server_start(p, FLUSHES_FAIL_ONCE, p->sock, p->dir, p->image, p->image);
		assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
		assert_int_equal(storage_channel_open(rig.s, rig.r, &other, NULL), 0);
		assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, block, 512), 0);
		assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), -EIO);
		assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), -EIO);
		storage_submit(other, &w.io);
		assert_int_equal(rig_wait(&rig, &w), -EIO);
		/* This one is made of a write and a flush. */
		assert_int_equal(rig_rw(&rig, STORAGE_WRITE, STORAGE_FUA, 0, block, 512), -EIO);
		assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, block, 512), 0);
		/* Nor does a server that is started anew bring back what was lost. */
		server_end(p);
		server_start(p, FLUSHES_FAIL_ONCE, p->sock, p->dir, p->image, p->image);
		assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), -EIO);
		storage_channel_close(&other);
		rig_close(&rig);
		assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
		assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), 0);
		rig_close(&rig);
		server_end(p);
		run("rm %s.told", p->image);
	}
}

/* The kernel of the server may tell one of two flushes alone, and the other one first. */
static void flushes_at_once_share_a_loss(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);
	struct storage_channel *other;
	struct rig rig;

	need("nbdkit");
	for (unsigned several = 0; several < 2; several++) {
		struct waited w[4] = {0};

		server_start(p,
			     EVAL
			     "thread_model='echo parallel' get_size='echo 8M' "
			     "can_write=true can_flush=true can_multi_conn=%s "
			     "pread='head -c $3 /dev/zero' flush='mkdir %s.told 2>/dev/null || "
			     "exit 0; sleep 0.5; echo EIO >&2; exit 1'",
			     p->sock, p->dir, several ? "true" : "'exit 3'", p->image);
		assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
		assert_int_equal(storage_channel_open(rig.s, rig.r, &other, NULL), 0);
		for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
			w[i].io = (struct storage_io){.op = STORAGE_FLUSH, .done = waited_done};
			storage_submit(i & 1 ? other : rig.ch, &w[i].io);
		}
		for (unsigned i = 0; i < ARRAY_SIZE(w); i++)
			assert_int_equal(rig_wait(&rig, &w[i]), -EIO);
		storage_channel_close(&other);
		rig_close(&rig);
		server_end(p);
		run("rmdir %s.told", p->image);
	}
}

/*
 * The write whose flush others share is lost with it, and fails when it is repeated: that is no
 * failed flush, and theirs is done.
 */
static void a_repeated_write_that_fails_is_no_failed_flush(void **state)
{
#define NO_FUA_EVAL                                             \
	EVAL "thread_model='echo parallel' get_size='echo 8M' " \
	     "can_write=true can_flush=true can_fua='echo none' pread='head -c $3 /dev/zero' "
	struct place *p = *state;
	struct storage_options o = options(p);
	uint8_t block[512] = {7};
	struct iovec iov = {block, 512};
	struct waited w[3] = {
		{.io = {.op = STORAGE_FLUSH}},
		{.io = {.op = STORAGE_WRITE, .flags = STORAGE_FUA, .len = 512, .iov = &iov}},
		{.io = {.op = STORAGE_FLUSH}},
	};
	struct rig rig;

	need("nbdkit");
	w[1].io.iovcnt = 1;
	server_start(p,
		     NO_FUA_EVAL
		     "pwrite='cat >/dev/null' flush='if mkdir %s.first 2>/dev/null; then until "
		     "test -e %s.go; do sleep 0.01; done; else touch %s.begun; exec sleep 60; fi'",
		     p->sock, p->dir, p->image, p->image, p->image);
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	rig_start(&rig, &w[0]);
	rig_start(&rig, &w[1]);
	await_waiting(rig.ch, &w[1].io);
	rig_start(&rig, &w[2]);
	await_waiting(rig.ch, &w[2].io);
	run("touch %s.go; until test -e %s.begun; do sleep 0.01; done", p->image, p->image);
	assert_int_equal(rig_wait(&rig, &w[0]), 0);
	server_end(p);
	server_start(p, NO_FUA_EVAL "pwrite='cat >/dev/null; echo ENOSPC >&2; exit 1' flush=true",
		     p->sock, p->dir);
	assert_int_equal(rig_wait(&rig, &w[1]), -ENOSPC);
	assert_int_equal(rig_wait(&rig, &w[2]), 0);
	rig_close(&rig);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(a_flush_that_failed_is_the_last_one_that_is_believed),
		T(flushes_at_once_share_a_loss),
		T(a_repeated_write_that_fails_is_no_failed_flush),
	};

	cmocka_set_test_filter(getenv("TEST_ONLY"));
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("storage/nbd_flush", tests, NULL, NULL);
}
