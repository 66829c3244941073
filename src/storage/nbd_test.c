/* SPDX-License-Identifier: MIT */
/*
 * Disks behind real NBD servers, nbdkit and qemu-nbd: a random mix held against a copy in memory,
 * servers that end and come back under it, servers that fail, hang and refuse.
 * What is missing of the programs is skipped with the reason.
 */
#include "storage/nbd_rig_test.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "base/clock.h"
#include "base/thread.h"
#include "storage/nbd.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

static void several_connections_hold_the_data(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);

	need("nbdkit");
	server_start(p, "nbdkit -f -U %s memory 8M", p->sock);
	mix_on(&o, 1500);
}

static void one_connection_is_shared(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);

	need("nbdkit");
	server_start(p, "nbdkit -f -U %s --filter=multi-conn memory 8M multi-conn-mode=disable",
		     p->sock);
	mix_on(&o, 1500);
}

/* Requests of more than the server takes are cut; FUA and zeroes that it lacks are done without. */
static void limits_of_the_server_are_kept(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);

	need("nbdkit");
	server_start(p,
		     "nbdkit -f -U %s --filter=blocksize-policy --filter=fua --filter=nozero "
		     "memory 8M blocksize-minimum=512 blocksize-preferred=4096 "
		     "blocksize-maximum=64K blocksize-error-policy=error "
		     "zeromode=none",
		     p->sock);
	mix_on(&o, 1500);
}

/* Blocks of the server that are larger than the guest's: read, changed, written. */
static void coarse_servers_hold_the_data(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);
	struct rig rig;

	need("nbdkit");
	for (unsigned i = 0; i < 2; i++) {
		const unsigned block = i ? 65536 : 4096;

		server_start(p,
			     "nbdkit -f -U %s --filter=blocksize-policy memory 8M "
			     "blocksize-minimum=%u blocksize-preferred=65536 blocksize-maximum=1M "
			     "blocksize-error-policy=error",
			     p->sock, block);
		mix_on(&o, 1500);
		server_end(p);
	}
	server_start(p,
		     "nbdkit -f -U %s --filter=blocksize-policy memory 8M blocksize-minimum=4096 "
		     "blocksize-preferred=4096 blocksize-maximum=1M blocksize-error-policy=error",
		     p->sock);
	assert_int_equal(rig_open(&rig, &o, false, NULL), 0);
	assert_int_equal(storage_limits(rig.s)->max_write_zeroes, 0);
	rig_close(&rig);
	o.geometry.block_size = 4096;
	assert_int_equal(rig_open(&rig, &o, false, NULL), 0);
	assert_true(storage_limits(rig.s)->max_write_zeroes > 0);
	assert_int_equal(rig_do(&rig, STORAGE_WRITE_ZEROES, 0, 4096, 8192), 0);
	rig_close(&rig);
}

/* Edits of one block at once: each keeps what the others wrote, also over a loss. */
static void edits_of_one_block_lose_nothing(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);
	uint8_t mem[8][512], back[4096];
	struct iovec iov[8];
	struct rig rig;

	need("nbdkit");
	free(image_make(p->dir, "image", DISK));
	for (unsigned round = 0; round < 20; round++) {
		struct waited w[8] = {0};

#define COARSE                                                                      \
	"nbdkit -f -U %s --filter=blocksize-policy file %s blocksize-minimum=4096 " \
	"blocksize-preferred=4096 blocksize-maximum=1M blocksize-error-policy=error"
		if (!round) {
			server_start(p, COARSE, p->sock, p->image);
			assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
		}
		if (round % 5 == 4) {
			kill(p->server, SIGSTOP);
			waitpid(p->server, NULL, WUNTRACED);
		}
		for (unsigned i = 0; i < 8; i++) {
			memset(mem[i], (int)(round * 8 + i), 512);
			iov[i] = (struct iovec){mem[i], 512};
			w[i].io = (struct storage_io){.op = STORAGE_WRITE,
						      .offset = 8192 + i * 512,
						      .len = 512,
						      .iov = &iov[i],
						      .iovcnt = 1};
			rig_start(&rig, &w[i]);
		}
		if (round % 5 == 4) {
			server_end(p);
			server_start(p, COARSE, p->sock, p->image);
		}
		for (unsigned i = 0; i < 8; i++)
			assert_int_equal(rig_wait(&rig, &w[i]), 0);
		assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 8192, back, 4096), 0);
		for (unsigned i = 0; i < 8; i++)
			assert_memory_equal(back + i * 512, mem[i], 512);
	}
	rig_close(&rig);
}

static void read_only_servers_are_said(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);
	struct error err = {""};
	uint8_t block[512];
	struct rig rig;

	need("nbdkit");
	server_start(p, "nbdkit -f -r -U %s memory 8M", p->sock);
	assert_int_equal(rig_open(&rig, &o, false, &err), -EROFS);
	assert_non_null(strstr(err.text, "readonly=on"));
	o.readonly = STORAGE_AUTO;
	assert_int_equal(rig_open(&rig, &o, false, &err), 0);
	assert_true(storage_readonly(rig.s));
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, block, 512), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, block, 512), -EROFS);
	rig_close(&rig);
}

static void nobody_there_is_a_sentence(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);
	struct error err = {""};
	struct rig rig;

	assert_int_equal(rig_open(&rig, &o, false, &err), -ECONNREFUSED);
	assert_non_null(strstr(err.text, "cannot reach nbd+unix:"));
	o.target = "nbd+unix:///?socket=";
	assert_true(rig_open(&rig, &o, false, &err) < 0);
}

/* ---- servers that go ---- */

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

/* A server says that it takes several connections, not how many: all channels work anyway. */
static void fewer_connections_than_channels(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);

	need("qemu-nbd");
	free(image_make(p->dir, "image", DISK));
	server_start(p, "qemu-nbd -t -e 2 -f raw --discard=unmap -k %s %s", p->sock, p->image);
	mix_on(&o, 300);
}

/* ---- somebody between us and the server ---- */

#define PROXY_LINES 16

/* Listens in the server's place, and hands on what is said, but for what is asked for below. */
struct proxy {
	char *sock;
	char *server; /* the server's socket now */
	int listening, wake;
	pthread_t thread;
	struct proxy_line {
		int client, server;
		uint64_t said; /* atomic: bytes, by the server */
	} lines[PROXY_LINES];
	/* Atomic: */
	unsigned accepted;
	unsigned cuts;	   /* so many connections, each ...                              */
	uint64_t cut_at;   /* ... ends when the server has said so much                  */
	uint64_t flip_at;  /* that byte of the first connection is another, 0: none ...  */
	uint64_t twice_at; /* ... and what begins there is said twice                   */
	unsigned deaf;	   /* a client is heard no more when a block has been said to it  */
};

static int connect_to(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a))) {
		close(fd);
		return -1;
	}
	return fd;
}

static void line_end(struct proxy_line *l)
{
	close(l->client);
	close(l->server);
	l->client = l->server = -1;
}

static void say_all(int fd, const uint8_t *bytes, size_t n)
{
	while (n) {
		ssize_t did = write(fd, bytes, n);

		if (did <= 0)
			return;
		bytes += did;
		n -= (size_t)did;
	}
}

static void proxy_hand_on(struct proxy *p, struct proxy_line *l)
{
	const bool first = l == &p->lines[0] && load_acquire(&p->accepted) == 1;
	uint64_t at = load_acquire(&p->flip_at), twice = load_acquire(&p->twice_at);
	uint8_t bytes[65536];
	ssize_t n = read(l->server, bytes, sizeof(bytes));
	uint64_t was;

	if (n <= 0) {
		line_end(l);
		return;
	}
	if (first && at && at >= l->said && at < l->said + (uint64_t)n)
		bytes[at - l->said] ^= 1;
	if (load_acquire(&p->cuts) && l->said + (uint64_t)n >= load_acquire(&p->cut_at)) {
		uint64_t cut = load_acquire(&p->cut_at);

		say_all(l->client, bytes, cut > l->said ? cut - l->said : 0);
		store_release(&p->cuts, load_acquire(&p->cuts) - 1);
		line_end(l);
		return;
	}
	if (load_acquire(&p->deaf) && n >= 4096) {
		store_release(&p->deaf, 0);
		shutdown(l->client, SHUT_RD);
	}
	/* Counted first: whoever hears it may ask at once how much was said. */
	was = l->said;
	store_release(&l->said, was + (uint64_t)n);
	say_all(l->client, bytes, (size_t)n);
	if (first && twice && twice >= was && twice < was + (uint64_t)n)
		say_all(l->client, bytes + (twice - was), (size_t)n - (twice - was));
}

static void *proxy_run(void *arg)
{
	struct proxy *p = arg;
	struct pollfd fds[2 + 2 * PROXY_LINES];
	uint8_t bytes[65536];

	for (;;) {
		fds[0] = (struct pollfd){.fd = p->wake, .events = POLLIN};
		fds[1] = (struct pollfd){.fd = p->listening, .events = POLLIN};
		for (unsigned i = 0; i < PROXY_LINES; i++) {
			fds[2 + 2 * i] = (struct pollfd){.fd = p->lines[i].client,
							 .events = POLLIN};
			fds[3 + 2 * i] = (struct pollfd){.fd = p->lines[i].server,
							 .events = POLLIN};
		}
		poll(fds, ARRAY_SIZE(fds), -1);
		if (fds[0].revents)
			return NULL;
		for (unsigned i = 0; i < PROXY_LINES; i++) {
			struct proxy_line *l = &p->lines[i];

			if (l->client >= 0 && fds[3 + 2 * i].revents)
				proxy_hand_on(p, l);
			if (l->client >= 0 && fds[2 + 2 * i].revents) {
				ssize_t n = read(l->client, bytes, sizeof(bytes));

				if (n <= 0)
					line_end(l);
				else
					say_all(l->server, bytes, (size_t)n);
			}
		}
		for (unsigned i = 0; fds[1].revents && i < PROXY_LINES; i++) {
			if (p->lines[i].client >= 0)
				continue;
			p->lines[i] = (struct proxy_line){
				.client = accept4(p->listening, NULL, NULL, SOCK_CLOEXEC),
				.server = connect_to(p->server),
			};
			store_release(&p->accepted, load_acquire(&p->accepted) + 1);
			if (p->lines[i].server < 0)
				line_end(&p->lines[i]);
			break;
		}
	}
}

/* The server has been started at @p's socket; who comes there now gets the proxy. */
static void proxy_start(struct proxy *x, struct place *p)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	*x = (struct proxy){0};
	for (unsigned i = 0; i < PROXY_LINES; i++)
		x->lines[i].client = x->lines[i].server = -1;
	x->sock = p->sock;
	assert_true(asprintf(&x->server, "%s.real", p->sock) > 0);
	assert_int_equal(rename(p->sock, x->server), 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", p->sock);
	x->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(x->listening, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(x->listening, 16), 0);
	x->wake = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(thread_start(&x->thread, proxy_run, x), 0);
}

static void proxy_end(struct proxy *x)
{
	const uint64_t one = 1;

	assert_int_equal(write(x->wake, &one, sizeof(one)), sizeof(one));
	pthread_join(x->thread, NULL);
	for (unsigned i = 0; i < PROXY_LINES; i++)
		if (x->lines[i].client >= 0)
			line_end(&x->lines[i]);
	close(x->listening);
	close(x->wake);
	assert_int_equal(rename(x->server, x->sock), 0);
	free(x->server);
}

/* How much the server has said when the handshake is over. */
static uint64_t handshake_of(const struct storage_options *o, struct proxy *x)
{
	uint8_t block[512];
	struct rig rig;
	uint64_t said;

	assert_int_equal(rig_open(&rig, o, false, NULL), 0);
	said = load_acquire(&x->lines[0].said);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, block, 512), 0);
	rig_close(&rig);
	return said;
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
	uint64_t all;
	unsigned before;

	need("nbdkit");
	server_start(p, "nbdkit -f -U %s memory 8M", p->sock);
	o.nbd_reconnect = 1;
	proxy_start(&x, p);
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	all = load_acquire(&x.lines[0].said);
	store_release(&x.cut_at, all);
	store_release(&x.cuts, UINT32_MAX);
	before = load_acquire(&x.accepted);
	assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), -EIO);
	/* 50, 100, 200, ... ms apart; a slow machine makes fewer. */
	usleep(300000);
	assert_in_range(load_acquire(&x.accepted) - before, 1, 20);
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
		     "nbdkit -f -U %s --filter=blocksize-policy eval thread_model='echo "
		     "parallel' get_size='echo 8M' "
		     "can_write=true can_flush=true pread='head -c $3 /dev/zero' "
		     "pwrite='cat >/dev/null' flush='sleep 0.5' blocksize-minimum=4096 "
		     "blocksize-preferred=4096 blocksize-maximum=1M blocksize-error-policy=error",
		     p->sock);
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

/*
 * The kernel of a server that hangs acknowledges what it is sent, or the probes of its closed window;
 * one that is gone acknowledges nothing.
 */
static void a_server_that_hangs_is_not_gone(void **state)
{
	static const struct {
		struct tcp_info t;
		bool gone;
	} cases[] = {
		/* Answered a moment ago, though it was slow. */
		{{.tcpi_last_ack_recv = 1000, .tcpi_unacked = 9, .tcpi_retransmits = 9}, false},
		/* Has all of it, and is silent. */
		{{.tcpi_last_ack_recv = 3600000}, false},
		/* Its window is closed; the next probe is not due, or has just been sent. */
		{{.tcpi_last_ack_recv = 90000}, false},
		{{.tcpi_last_ack_recv = 119000, .tcpi_probes = 1}, false},
		/* Something was sent after a long silence. */
		{{.tcpi_last_ack_recv = 119000, .tcpi_unacked = 1}, false},
		{{.tcpi_last_ack_recv = NBD_GONE_MS, .tcpi_unacked = 1, .tcpi_retransmits = 6},
		 true},
		{{.tcpi_last_ack_recv = 2 * NBD_GONE_MS, .tcpi_probes = 5}, true},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(nbd_host_is_gone(&cases[i].t), cases[i].gone);
}

/* Written by a server that has gone to the background, in its own time. */
static int await_number_in(const char *path)
{
	for (unsigned i = 0; i < 2000; i++) {
		FILE *f = fopen(path, "r");
		int n = 0, got = f ? fscanf(f, "%d", &n) : 0;

		if (f)
			fclose(f);
		if (got == 1)
			return n;
		usleep(5000);
	}
	fail_msg("the server does not come");
	return 0;
}

/* Nor does the kernel give it up for us when it reads no more. */
static void the_kernel_gives_up_no_server_that_hangs(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);
	socklen_t size = sizeof(unsigned);
	unsigned ms = 1, found = 0;
	struct rig rig;
	char uri[64] = "";

	need("nbdkit");
	for (unsigned port = 20000 + (unsigned)getpid() % 10000, i = 0; i < 50; i++, port++) {
		char command[128];

		snprintf(command, sizeof(command),
			 "nbdkit -i 127.0.0.1 -p %u -P %s memory 8M 2>/dev/null", port, p->image);
		if (system(command))
			continue;
		snprintf(uri, sizeof(uri), "nbd://127.0.0.1:%u/", port);
		break;
	}
	p->server = await_number_in(p->image);
	o.target = uri;
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	for (int fd = 3; fd < 1024; fd++) {
		int protocol = 0, alive = 0;
		socklen_t n = sizeof(int);

		if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &n) ||
		    protocol != IPPROTO_TCP)
			continue;
		found++;
		/* A further connection may be in its handshake. */
		for (unsigned i = 0; i < 6000 && !alive; i++) {
			assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &alive, &n), 0);
			if (!alive)
				usleep(5000);
		}
		assert_int_equal(alive, 1);
		assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, &size), 0);
		assert_int_equal(ms, 0);
	}
	assert_true(found >= 1);
	rig_close(&rig);
}

/* A hung server is given up when asked so, and its requests go to the one that comes. */
static void a_hung_server_is_given_up_when_asked(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);
	struct iovec iov;
	uint8_t block[512];
	struct waited w = {.io = {.op = STORAGE_READ, .len = 512, .iov = &iov, .iovcnt = 1}};
	struct rig rig;

	iov = (struct iovec){block, 512};
	need("nbdkit");
	server_start(p, "nbdkit -f -U %s memory 8M", p->sock);
	o.nbd_timeout = 1;
	o.nbd_reconnect = 2;
	assert_int_equal(rig_open(&rig, &o, false, NULL), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, block, 512), 0);
	kill(p->server, SIGSTOP);
	waitpid(p->server, NULL, WUNTRACED);
	rig_start(&rig, &w);
	assert_int_equal(rig_wait(&rig, &w), -EIO);
	rig_close(&rig);
	kill(p->server, SIGCONT);
}

/* A guest's memory that goes away spoils the requests that use it, and nothing else. */
static void memory_that_goes_is_an_error_of_the_request(void **state)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int fd = memfd_create("guest", MFD_CLOEXEC);
	struct place *p = *state;
	struct storage_options o = options(p);
	uint8_t *far, block[512] = {5};
	struct proxy x;
	struct rig rig;

	need("nbdkit");
	server_start(p, "nbdkit -f -U %s memory 8M", p->sock);
	proxy_start(&x, p);
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	assert_int_equal(ftruncate(fd, (off_t)(2 * page)), 0);
	far = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(far, MAP_FAILED);
	assert_int_equal(ftruncate(fd, (off_t)page), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, far, 2 * page), -EFAULT);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, far, 2 * page), -EFAULT);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, far, page), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, block, 512), 0);
	assert_true(all_bytes_are(block, 0, 512));
	assert_int_equal(load_acquire(&x.accepted), 1);
	munmap(far, 2 * page);
	close(fd);
	rig_close(&rig);
	proxy_end(&x);
}

/* The server's own errors are the request's, and each is told once. */
static void errors_of_the_server_are_told(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);
	uint8_t *mem;
	struct rig rig;

	need("nbdkit");
	mem = calloc(1, MIB);
	server_start(
		p,
		"nbdkit -f -U %s --filter=error --filter=delay memory 8M error-pread=EIO "
		"error-pread-rate=100%% error-pwrite=ENOSPC error-pwrite-rate=100%% wdelay=10ms",
		p->sock);
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, mem, MIB), -EIO);
		assert_int_equal(rig_rw(&rig, STORAGE_WRITE, STORAGE_FUA, 0, mem, MIB), -ENOSPC);
		assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), 0);
	}
	rig_close(&rig);
	free(mem);
}

/*
 * A server whose kernel tells of a lost page once: its next flush would succeed, and be a lie, to the
 * guest as well as to who tries again for it.
 */
static void a_flush_that_failed_is_the_last_one_that_is_believed(void **state)
{
#define FLUSHES_FAIL_ONCE                                                        \
	"nbdkit -f -U %s eval get_size='echo 8M' can_write=true can_flush=true " \
	"can_multi_conn=true can_fua='echo none' "                               \
	"pread='head -c $3 /dev/zero' pwrite='cat >/dev/null' "                  \
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
		server_start(p, FLUSHES_FAIL_ONCE, p->sock, p->image, p->image);
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
		server_start(p, FLUSHES_FAIL_ONCE, p->sock, p->image, p->image);
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
			     "nbdkit -f -U %s eval thread_model='echo parallel' get_size='echo 8M' "
			     "can_write=true can_flush=true can_multi_conn=%s "
			     "pread='head -c $3 /dev/zero' flush='mkdir %s.told 2>/dev/null || "
			     "exit 0; sleep 0.5; echo EIO >&2; exit 1'",
			     p->sock, several ? "true" : "'exit 3'", p->image);
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

static void await_waiting(struct rig *rig, const struct storage_io *io)
{
	struct nbd_link *l = container_of(rig->ch, struct nbd_channel, base)->link;
	bool waits = false;

	while (!waits) {
		usleep(1000);
		pthread_mutex_lock(&l->sync.lock);
		for (struct storage_io *i = l->sync.waiting.head; i; i = i->next)
			waits |= i == io;
		pthread_mutex_unlock(&l->sync.lock);
	}
}

/*
 * The write whose flush others share is lost with it, and fails when it is repeated: that is no
 * failed flush, and theirs is done.
 */
static void a_repeated_write_that_fails_is_no_failed_flush(void **state)
{
#define NO_FUA_EVAL                                                             \
	"nbdkit -f -U %s eval thread_model='echo parallel' get_size='echo 8M' " \
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
		     p->sock, p->image, p->image, p->image);
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	rig_start(&rig, &w[0]);
	rig_start(&rig, &w[1]);
	await_waiting(&rig, &w[1].io);
	rig_start(&rig, &w[2]);
	await_waiting(&rig, &w[2].io);
	run("touch %s.go; until test -e %s.begun; do sleep 0.01; done", p->image, p->image);
	assert_int_equal(rig_wait(&rig, &w[0]), 0);
	server_end(p);
	server_start(p, NO_FUA_EVAL "pwrite='cat >/dev/null; echo ENOSPC >&2; exit 1' flush=true",
		     p->sock);
	assert_int_equal(rig_wait(&rig, &w[1]), -ENOSPC);
	assert_int_equal(rig_wait(&rig, &w[2]), 0);
	rig_close(&rig);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(several_connections_hold_the_data),
		T(one_connection_is_shared),
		T(limits_of_the_server_are_kept),
		T(coarse_servers_hold_the_data),
		T(edits_of_one_block_lose_nothing),
		T(read_only_servers_are_said),
		T(nobody_there_is_a_sentence),
		T(a_server_that_is_restarted_loses_nothing),
		T(a_server_that_stays_away_fails_requests),
		T(what_is_repeated_waits_for_nothing),
		T(fewer_connections_than_channels),
		T(a_server_that_goes_at_every_byte),
		T(a_server_that_goes_at_the_start),
		T(wrong_answers_end_the_connection),
		T(an_answer_that_comes_twice),
		T(a_server_that_answers_nothing_costs_nothing),
		T(a_smaller_disk_is_not_taken),
		T(a_server_that_promises_less_gets_one_connection),
		T(a_connection_that_ends_under_an_edit),
		T(a_server_that_hangs_is_not_gone),
		T(the_kernel_gives_up_no_server_that_hangs),
		T(a_hung_server_is_given_up_when_asked),
		T(memory_that_goes_is_an_error_of_the_request),
		T(errors_of_the_server_are_told),
		T(a_flush_that_failed_is_the_last_one_that_is_believed),
		T(flushes_at_once_share_a_loss),
		T(a_repeated_write_that_fails_is_no_failed_flush),
	};

	cmocka_set_test_filter(getenv("TEST_ONLY"));
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("storage/nbd", tests, NULL, NULL);
}
