/* SPDX-License-Identifier: MIT */
/*
 * NBD servers that end, come back, break off and talk nonsense under a disk: what was answered stays,
 * what was not is repeated.
 * What is missing of the programs is skipped with the reason.
 */
#include "storage/nbd_proxy_test.h"

#include "base/clock.h"
#include "storage/nbd.h"

#include <errno.h>

#define FILE_SERVER "nbdkit -f -U %s file %s"

/* Killed and started again in the middle, several times: nothing is lost, nothing answered twice. */
static void a_server_that_is_restarted_loses_nothing(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);
	struct rig rig;
	struct mix m;

	need("nbdkit");
	free(image_make(p->dir, "image", DISK));
	server_start(p, FILE_SERVER, p->sock, p->image);
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	mix_init(&m, &rig, 3);
	for (unsigned kill = 0; kill < 5; kill++) {
		mix_run(&m, 200);
		server_end(p);
		/* Some meet the absent server. */
		for (unsigned i = 0; i < MIX_IN_FLIGHT; i++)
			if (!m.slots[i].busy)
				mix_slot_start(&m, &m.slots[i]);
		server_start(p, FILE_SERVER, p->sock, p->image);
		mix_run(&m, 200);
	}
	mix_fini(&m);
	rig_close(&rig);
}

/* One that stays away: each request fails once, in bounded time, and works again afterwards. */
static void a_server_that_stays_away_fails_requests(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);
	uint8_t block[512] = {7}, back[512];
	struct rig rig;

	need("nbdkit");
	free(image_make(p->dir, "image", DISK));
	server_start(p, FILE_SERVER, p->sock, p->image);
	o.nbd_reconnect = 1;
	assert_int_equal(rig_open(&rig, &o, false, NULL), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, STORAGE_FUA, 0, block, 512), 0);
	server_end(p);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, back, 512), -EIO);
	assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), -EIO);
	server_start(p, FILE_SERVER, p->sock, p->image);
	while (rig_rw(&rig, STORAGE_READ, 0, 0, back, 512))
		usleep(10000);
	assert_memory_equal(block, back, 512);
	server_end(p);
	/* And the end does not wait for it. */
	rig_close(&rig);
}

/*
 * A flush and a write through a server without FUA (which becomes a write and a flush of our own)
 * are lost together, in both orders: neither waits for the other when they are repeated.
 */
static void what_is_repeated_waits_for_nothing(void **state)
{
#define NO_FUA FILE_SERVER " --filter=fua"
	struct place *p = *state;
	struct storage_options o = options(p);
	uint8_t block[512] = {7}, back[512];
	struct iovec iov[2] = {{block, 512}, {block, 512}};
	struct waited w[3] = {
		{.io = {.op = STORAGE_WRITE, .flags = STORAGE_FUA, .len = 512, .iov = &iov[0]}},
		{.io = {.op = STORAGE_FLUSH}},
		{.io = {.op = STORAGE_WRITE, .flags = STORAGE_FUA, .len = 512, .iov = &iov[1]}},
	};
	struct rig rig;

	need("nbdkit");
	free(image_make(p->dir, "image", DISK));
	w[0].io.iovcnt = w[2].io.iovcnt = 1;
	w[2].io.offset = 4096;
	server_start(p, NO_FUA, p->sock, p->image);
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	kill(p->server, SIGSTOP);
	waitpid(p->server, NULL, WUNTRACED);
	for (unsigned i = 0; i < 3; i++)
		rig_start(&rig, &w[i]);
	server_end(p);
	server_start(p, NO_FUA, p->sock, p->image);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(rig_wait(&rig, &w[i]), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 4096, back, 512), 0);
	assert_memory_equal(block, back, 512);
	rig_close(&rig);
}

/* The connection ends at every byte of the handshake and of the answers behind it. */
static void a_server_that_goes_at_every_byte(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);
	struct proxy x;
	struct rig rig;
	struct mix m;

	/* Not nbdkit: 1.32 aborts now and then when a client goes (raw_send_socket). */
	need("qemu-nbd");
	free(image_make(p->dir, "image", DISK));
	server_start(p, "qemu-nbd -t -e 0 -f raw --discard=unmap -k %s %s 2>%s/words", p->sock,
		     p->image, p->dir);
	proxy_start(&x, p);
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	mix_init(&m, &rig, 2);
	for (uint64_t at = 0; at < 700; at += at < 300 ? 7 : 33) {
		store_release(&x.cut_at, at);
		store_release(&x.cuts, 2);
		mix_run(&m, 40);
	}
	store_release(&x.cuts, 0);
	mix_fini(&m);
	rig_close(&rig);
	proxy_end(&x);
}

/* And also when the disk is opened: then it is a sentence. */
static void a_server_that_goes_at_the_start(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);
	struct proxy x;
	struct rig rig;
	uint64_t all;

	need("nbdkit");
	server_start(p, "nbdkit -f -U %s memory 8M", p->sock);
	proxy_start(&x, p);
	all = handshake_of(&o, &x);
	for (uint64_t at = 0; at < all; at += 5) {
		struct error err = {""};

		store_release(&x.cut_at, at);
		store_release(&x.cuts, 1);
		assert_int_equal(rig_open(&rig, &o, false, &err), -ECONNREFUSED);
		assert_non_null(strstr(err.text, "cannot reach nbd+unix:"));
	}
	proxy_end(&x);
}

/* Whatever byte of an answer is wrong: it is answered once, and what follows is right. */
static void wrong_answers_end_the_connection(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);
	uint8_t block[512], back[512];
	struct proxy x;
	uint64_t all;

	need("nbdkit");
	server_start(p, "nbdkit -f --no-sr -U %s memory 8M", p->sock);
	proxy_start(&x, p);
	all = handshake_of(&o, &x);
	proxy_end(&x);
	for (unsigned at = 0; at < 16; at++) {
		struct rig rig;

		proxy_start(&x, p);
		assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
		store_release(&x.flip_at, all + at);
		memset(block, (int)at, sizeof(block));
		/* Its error may be what is wrong. */
		(void)rig_rw(&rig, STORAGE_WRITE, 0, 0, block, 512);
		assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, block, 512), 0);
		assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, back, 512), 0);
		assert_memory_equal(block, back, 512);
		rig_close(&rig);
		proxy_end(&x);
	}
}

/* An answer that comes twice is the end of that connection, and of nothing else. */
static void an_answer_that_comes_twice(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);
	uint8_t block[512] = {3}, back[512];
	struct proxy x;
	struct rig rig;
	uint64_t all;

	need("nbdkit");
	server_start(p, "nbdkit -f --no-sr -U %s memory 8M", p->sock);
	proxy_start(&x, p);
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	all = load_acquire(&x.lines[0].said);
	store_release(&x.twice_at, all);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, block, 512), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, back, 512), 0);
	assert_memory_equal(block, back, 512);
	assert_int_equal(load_acquire(&x.accepted), 2);
	rig_close(&rig);
	proxy_end(&x);
}

/* One that lets us in and then goes, again and again, is not asked without a pause. */
static void a_server_that_answers_nothing_costs_nothing(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);
	struct proxy x;
	struct rig rig;
	uint64_t all, start;
	unsigned before;

	need("nbdkit");
	server_start(p, "nbdkit -f -U %s memory 8M", p->sock);
	o.nbd_reconnect = 1;
	start = clock_ns();
	proxy_start(&x, p);
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	all = load_acquire(&x.lines[0].said);
	store_release(&x.cut_at, all);
	store_release(&x.cuts, UINT32_MAX);
	before = load_acquire(&x.accepted);
	assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), -EIO);
	usleep(300000);
	/* 50, 100, 200, 400, 800 ms apart, and then a second each, however long this took. */
	assert_in_range(load_acquire(&x.accepted) - before, 1,
			8 + (clock_ns() - start) / NSEC_PER_SEC);
	rig_close(&rig);
	proxy_end(&x);
}

/* Until that connection says why it is not taken. */
static void await_refusal(struct nbd_link *l, const char *word)
{
	bool said = false;

	for (uint64_t start = clock_ns(); !said && clock_ns() - start < 30 * NSEC_PER_SEC;) {
		usleep(5000);
		pthread_mutex_lock(&l->lock);
		said = strstr(l->why.text, word);
		pthread_mutex_unlock(&l->lock);
	}
	assert_true(said);
}

/* What came back is not the disk that was promised. */
static void a_smaller_disk_is_not_taken(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);
	uint8_t block[512] = {7};
	struct rig rig;

	need("nbdkit");
	server_start(p, "nbdkit -f -U %s memory 8M", p->sock);
	o.nbd_reconnect = 1;
	assert_int_equal(rig_open(&rig, &o, false, NULL), 0);
	server_end(p);
	server_start(p, "nbdkit -f -U %s memory 4M", p->sock);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, block, 512), -EIO);
	rig_close(&rig);
}

/*
 * One that promised that a flush covers all its connections, and came back without: all goes by the
 * first one.
 */
static void a_server_that_promises_less_gets_one_connection(void **state)
{
#define ONE_PROMISE "nbdkit -f -U %s --filter=multi-conn memory 8M multi-conn-mode=%s"
	struct place *p = *state;
	struct storage_options o = options(p);
	struct storage_channel *other;
	struct waited w = {.io = {.op = STORAGE_FLUSH, .done = waited_done}};
	struct nbd_link *further;
	struct rig rig;

	need("nbdkit");
	server_start(p, ONE_PROMISE, p->sock, "auto");
	assert_int_equal(rig_open(&rig, &o, false, NULL), 0);
	assert_int_equal(storage_channel_open(rig.s, rig.r, &other, NULL), 0);
	further = container_of(other, struct nbd_channel, base)->link;
	assert_non_null(further->main);
	server_end(p);
	server_start(p, ONE_PROMISE, p->sock, "disable");
	/* By the first connection, as the other one is not taken. */
	storage_submit(other, &w.io);
	assert_int_equal(rig_wait(&rig, &w), 0);
	await_refusal(further, "several connections");
	storage_channel_close(&other);
	rig_close(&rig);
}

/*
 * The connection ends where an edit, its block read, is to be written: what else was under way is
 * lost at that moment, which is no answer of the server's, and is repeated.
 */
static void a_connection_that_ends_under_an_edit(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);
	uint8_t block[512] = {7};
	struct iovec iov = {block, 512};
	struct waited flush = {.io = {.op = STORAGE_FLUSH}};
	struct waited edit = {.io = {.op = STORAGE_WRITE, .len = 512, .iov = &iov, .iovcnt = 1}};
	struct proxy x;
	struct rig rig;

	need("nbdkit");
	server_start(p,
		     EVAL_WITH("--filter=blocksize-policy") "thread_model='echo parallel' "
							    "get_size='echo 8M' "
							    "can_write=true can_flush=true "
							    "pread='head -c $3 /dev/zero' "
							    "pwrite='cat >/dev/null' flush='sleep "
							    "0.5' blocksize-minimum=4096 "
							    "blocksize-preferred=4096 "
							    "blocksize-maximum=1M "
							    "blocksize-error-policy=error",
		     p->sock, p->dir);
	proxy_start(&x, p);
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	store_release(&x.deaf, 1);
	rig_start(&rig, &flush);
	rig_start(&rig, &edit);
	assert_int_equal(rig_wait(&rig, &edit), 0);
	assert_int_equal(rig_wait(&rig, &flush), 0);
	assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), 0);
	assert_int_equal(load_acquire(&x.accepted), 2);
	rig_close(&rig);
	proxy_end(&x);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(a_server_that_is_restarted_loses_nothing),
		T(a_server_that_stays_away_fails_requests),
		T(what_is_repeated_waits_for_nothing),
		T(a_server_that_goes_at_every_byte),
		T(a_server_that_goes_at_the_start),
		T(wrong_answers_end_the_connection),
		T(an_answer_that_comes_twice),
		T(a_server_that_answers_nothing_costs_nothing),
		T(a_smaller_disk_is_not_taken),
		T(a_server_that_promises_less_gets_one_connection),
		T(a_connection_that_ends_under_an_edit),
	};

	cmocka_set_test_filter(getenv("TEST_ONLY"));
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("storage/nbd_lost", tests, NULL, NULL);
}
