/* SPDX-License-Identifier: MIT */
/*
 * A disk behind an NBD server that is to be quiet: nobody waits for a server that is away, nor for a
 * resolver that hangs.  Patience is an hour here: what is not answered at once ends the test.
 */
#include "storage/nbd_rig_test.h"

#include "base/bits.h"

#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>

#define PATIENCE       3600
#define FILE_SERVER    "nbdkit -f -U %s file %s"
#define ONE_CONNECTION "nbdkit -f -U %s --filter=multi-conn file %s multi-conn-mode=disable"

static struct storage_options patient(const struct place *p)
{
	struct storage_options o = options(p);

	o.nbd_reconnect = PATIENCE;
	return o;
}

static void hang_up(struct place *p)
{
	kill(p->server, SIGSTOP);
	waitpid(p->server, NULL, WUNTRACED);
}

/*
 * What one channel has under way is answered, be it sent and lost or not sent; the other's waits on.
 * And what was answered is not repeated.
 */
static void a_drain_answers_what_waits_for_a_server(void **state)
{
	struct place *p = *state;
	struct storage_options o = patient(p);
	uint8_t old[512], new[512], back[512];
	struct iovec iov[3] = {{new, 512}, {back, 512}, {back, 512}};
	struct waited w[4] = {
		{.io = {.op = STORAGE_WRITE, .len = 512, .iov = &iov[0], .iovcnt = 1}},
		{.io = {.op = STORAGE_READ, .len = 512, .iov = &iov[1], .iovcnt = 1}},
		{.io = {.op = STORAGE_FLUSH}},
	};
	struct waited others = {.io = {.op = STORAGE_READ,
				       .len = 512,
				       .iov = &iov[2],
				       .iovcnt = 1,
				       .done = waited_done}};
	struct storage_channel *other;
	struct rig rig;

	need("nbdkit");
	memset(old, 1, sizeof(old));
	memset(new, 2, sizeof(new));
	free(image_make(p->dir, "image", DISK));
	for (unsigned one = 0; one < 2; one++) {
		const char *command = one ? ONE_CONNECTION : FILE_SERVER;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		server_start(p, command, p->sock, p->image);
		assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
		assert_int_equal(storage_channel_open(rig.s, rig.r, &other, NULL), 0);
		assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, old, 512), 0);
		hang_up(p);
		for (unsigned i = 0; i < 3; i++)
			rig_start(&rig, &w[i]);
		others.over = false;
		others.times = 0;
		storage_submit(other, &others.io);
		server_end(p);
		storage_drain(rig.ch, NULL);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(rig_wait(&rig, &w[i]), -EIO);
		assert_false(others.over);
		server_start(p, command, p->sock, p->image);
#pragma GCC diagnostic pop
		assert_int_equal(rig_wait(&rig, &others), 0);
		assert_memory_equal(back, old, 512);
		/* It was one drain, and is over. */
		assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, back, 512), 0);
		assert_memory_equal(back, old, 512);
		storage_channel_close(&other);
		rig_close(&rig);
		server_end(p);
	}
}

/* The drain comes first, the loss second: what was sent is not awaited any longer than that. */
static void what_is_lost_during_a_drain_is_answered(void **state)
{
	struct place *p = *state;
	struct storage_options o = patient(p);
	uint8_t back[512];
	struct iovec iov = {back, 512};
	struct waited w = {.io = {.op = STORAGE_READ, .len = 512, .iov = &iov, .iovcnt = 1}};
	struct rig rig;

	need("nbdkit");
	server_start(p, "nbdkit -f -U %s memory 8M", p->sock);
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	hang_up(p);
	rig_start(&rig, &w);
	storage_drain(rig.ch, NULL);
	server_end(p);
	assert_int_equal(rig_wait(&rig, &w), -EIO);
	rig_close(&rig);
}

/* Two channels share a flush: the one that drains is answered, the other one's is done. */
static void a_drain_takes_no_flush_of_others(void **state)
{
	struct place *p = *state;
	struct storage_options o = patient(p);
	struct storage_channel *ch[2];
	struct rig rig;

	need("nbdkit");
	free(image_make(p->dir, "image", DISK));
	/* Whoever drains leads the flush, or waits for it. */
	for (unsigned drains = 0; drains < 2; drains++) {
		struct waited w[2] = {{.io = {.op = STORAGE_FLUSH, .done = waited_done}},
				      {.io = {.op = STORAGE_FLUSH, .done = waited_done}}};

		server_start(p, ONE_CONNECTION, p->sock, p->image);
		assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
		ch[0] = rig.ch;
		assert_int_equal(storage_channel_open(rig.s, rig.r, &ch[1], NULL), 0);
		hang_up(p);
		storage_submit(ch[0], &w[0].io);
		storage_submit(ch[1], &w[1].io);
		await_waiting(ch[1], &w[1].io);
		server_end(p);
		storage_drain(ch[drains], NULL);
		assert_int_equal(rig_wait(&rig, &w[drains]), -EIO);
		assert_false(w[!drains].over);
		server_start(p, ONE_CONNECTION, p->sock, p->image);
		assert_int_equal(rig_wait(&rig, &w[!drains]), 0);
		storage_channel_close(&ch[1]);
		rig_close(&rig);
		server_end(p);
	}
}

struct counted_drain {
	struct storage_drain d;
	unsigned times;
};

static void drain_counted(struct storage_drain *d)
{
	container_of(d, struct counted_drain, d)->times++;
}

/* Of a policy that holds requests: those that wait below it, and those that it holds already. */
static void a_policy_above_holds_nothing_in_a_drain(void **state)
{
	struct place *p = *state;
	struct storage_options o = patient(p);
	uint8_t block[512] = {7};
	struct iovec iov = {block, 512};
	struct rig rig;

	need("nbdkit");
	o.layers.errors.werror = STORAGE_HOLD;
	for (unsigned held = 0; held < 2; held++) {
		struct counted_drain drain = {.d = {.done = drain_counted}};
		struct waited w = {
			.io = {.op = STORAGE_WRITE, .len = 512, .iov = &iov, .iovcnt = 1}};
		char text[256] = "";

		server_start(p, "nbdkit -f -U %s memory 8M", p->sock);
		o.nbd_reconnect = held ? 0 : PATIENCE;
		assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
		server_end(p);
		rig_start(&rig, &w);
		while (held && !strstr(text, " 1 held")) {
			reactor_turn(rig.r);
			storage_describe(rig.s, text, sizeof(text));
		}
		storage_drain(rig.ch, &drain.d);
		assert_int_equal(rig_wait(&rig, &w), -EIO);
		while (!drain.times)
			reactor_turn(rig.r);
		assert_int_equal(drain.times, 1);
		rig_close(&rig);
	}
}

/* ---- a resolver that hangs ---- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool hangs;
	unsigned asked, answered;
} resolver = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* In the place of the C library's, for libnbd, too. */
__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
						       const struct addrinfo *hints,
						       struct addrinfo **res)
{
	int (*real)(const char *node, const char *service, const struct addrinfo *hints,
		    struct addrinfo **res);

	pthread_mutex_lock(&resolver.lock);
	resolver.asked++;
	pthread_cond_broadcast(&resolver.changed);
	while (resolver.hangs)
		pthread_cond_wait(&resolver.changed, &resolver.lock);
	resolver.answered++;
	pthread_cond_broadcast(&resolver.changed);
	pthread_mutex_unlock(&resolver.lock);
	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	return real(node, service, hints, res);
}

static void resolver_hang(bool hangs)
{
	pthread_mutex_lock(&resolver.lock);
	resolver.hangs = hangs;
	pthread_cond_broadcast(&resolver.changed);
	while (!hangs && resolver.answered != resolver.asked)
		pthread_cond_wait(&resolver.changed, &resolver.lock);
	pthread_mutex_unlock(&resolver.lock);
}

static void await_question(unsigned n)
{
	pthread_mutex_lock(&resolver.lock);
	while (resolver.asked < n)
		pthread_cond_wait(&resolver.changed, &resolver.lock);
	pthread_mutex_unlock(&resolver.lock);
}

static void a_resolver_that_hangs_holds_up_nobody(void **state)
{
	struct place *p = *state;
	struct storage_options o = patient(p);
	uint8_t block[512];
	struct iovec iov = {block, 512};
	struct waited w = {.io = {.op = STORAGE_READ, .len = 512, .iov = &iov, .iovcnt = 1}};
	struct rig rig;
	char uri[64];

	need("nbdkit");
	tcp_server_start(p, uri, sizeof(uri));
	o.target = uri;
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, block, 512), 0);
	resolver_hang(true);
	server_end(p);
	rig_start(&rig, &w);
	await_question(2);
	storage_drain(rig.ch, NULL);
	assert_int_equal(rig_wait(&rig, &w), -EIO);
	/* Nor does the end wait for it. */
	rig_close(&rig);
	resolver_hang(false);
}

/* ---- a server of our own that does not end ---- */

/* It is lost, and stays: the next one waits for its end, and nobody else does. */
static void a_server_of_our_own_that_stays_holds_up_nobody(void **state)
{
	struct place *p = *state;
	struct storage_options o = patient(p);
	struct waited w = {.io = {.op = STORAGE_FLUSH}};
	char *path = getenv("PATH"), *ours = NULL;
	struct rig rig;
	FILE *f;

	need("qemu-nbd");
	free(image_make(p->dir, "image", DISK));
	run("qemu-img create -q -f qcow2 %s 8M", p->image);
	/* The program in the middle stays when the server is killed, for as long as it may. */
	assert_true(asprintf(&ours, "%s/qemu-nbd", p->dir) > 0);
	f = fopen(ours, "w");
	fprintf(f,
		"#!/bin/sh\ntrap '' TERM\necho $$ >%s/outer\n"
		"sh -c 'echo $$ >%s/inner; export LISTEN_PID=$$; exec \"$@\"' sh $(PATH='%s' "
		"command -v qemu-nbd) \"$@\"\n"
		"exec 3>&- 1>&- 2>&-\nwhile test -e %s/outer; do sleep 0.05; done\n",
		p->dir, p->dir, path, p->dir);
	fclose(f);
	run("chmod 755 %s", ours);
	free(ours);
	path = strdup(path);
	assert_true(asprintf(&ours, "%s:%s", p->dir, path) > 0);
	setenv("PATH", ours, 1);
	o.target = p->image;
	o.format = STORAGE_FORMAT_QCOW2;
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	setenv("PATH", path, 1);
	run("kill -STOP $(cat %s/inner)", p->dir);
	rig_start(&rig, &w);
	run("kill -KILL $(cat %s/inner)", p->dir);
	storage_drain(rig.ch, NULL);
	assert_int_equal(rig_wait(&rig, &w), -EIO);
	/* Answered while it is there. */
	run("kill -0 $(cat %s/outer)", p->dir);
	run("rm %s/outer", p->dir);
	rig_close(&rig);
	free(ours);
	free(path);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(a_drain_answers_what_waits_for_a_server),
		T(what_is_lost_during_a_drain_is_answered),
		T(a_drain_takes_no_flush_of_others),
		T(a_policy_above_holds_nothing_in_a_drain),
		T(a_resolver_that_hangs_holds_up_nobody),
		T(a_server_of_our_own_that_stays_holds_up_nobody),
	};

	cmocka_set_test_filter(getenv("TEST_ONLY"));
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("storage/nbd_drain", tests, NULL, NULL);
}
