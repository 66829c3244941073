/* SPDX-License-Identifier: MIT */
/* Somebody between a test's disk and its NBD server: cuts, flips, repeats, goes deaf. */
#ifndef STORAGE_NBD_PROXY_TEST_H
#define STORAGE_NBD_PROXY_TEST_H

#include "storage/nbd_rig_test.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "base/thread.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

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

static inline int connect_to(const char *path)
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

static inline void line_end(struct proxy_line *l)
{
	close(l->client);
	close(l->server);
	l->client = l->server = -1;
}

static inline void say_all(int fd, const uint8_t *bytes, size_t n)
{
	while (n) {
		ssize_t did = write(fd, bytes, n);

		if (did <= 0)
			return;
		bytes += did;
		n -= (size_t)did;
	}
}

static inline void proxy_hand_on(struct proxy *p, struct proxy_line *l)
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

static inline void *proxy_run(void *arg)
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
static inline void proxy_start(struct proxy *x, struct place *p)
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

static inline void proxy_end(struct proxy *x)
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
static inline uint64_t handshake_of(const struct storage_options *o, struct proxy *x)
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

#endif
