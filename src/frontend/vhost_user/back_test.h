/* SPDX-License-Identifier: MIT */
/*
 * A scripted back end on a socket pair: it writes down what the client says, and answers rightly,
 * or in one place wrongly.
 *
 * Threads: it has its own; what it has seen may be looked at while the client waits for nothing.
 */
#ifndef FRONTEND_VHOST_USER_BACK_TEST_H
#define FRONTEND_VHOST_USER_BACK_TEST_H

#include "test.h"

#include "base/bits.h"
#include "frontend/vhost_user/client.h"
#include "wire/vhost_user.h"
#include "wire/virtio.h"

#include <pthread.h>

#define P(name) BIT64(VHOST_USER_PROTOCOL_F_##name)
#define ALL_PROTOCOL                                                           \
	(P(MQ) | P(REPLY_ACK) | P(BACKEND_REQ) | P(CONFIG) | P(RESET_DEVICE) | \
	 P(CONFIGURE_MEM_SLOTS) | P(STATUS))
#define SEEN_MAX 256

/* What the back end does instead of answering rightly. */
enum prank {
	PRANK_NONE,
	PRANK_SILENT,
	PRANK_CLOSE,
	PRANK_WRONG_REQUEST,
	PRANK_NO_REPLY_FLAG,
	PRANK_WRONG_VERSION,
	PRANK_TOO_LONG,
	PRANK_HUGE,
	PRANK_TOO_SHORT,
	PRANK_PIECES,
	PRANK_HALF,
	PRANK_REFUSE,
	PRANK_FDS,
};

struct seen {
	uint32_t request, flags, size;
	unsigned fds;
	union vhost_user_payload p;
};

struct back {
	int fd, peer;
	pthread_t thread;
	uint64_t features, protocol, queues, slots;
	uint32_t config_bytes;
	enum prank prank;
	uint32_t prank_at; /* the request */
	uint64_t status;
	uint64_t agreed;
	int back_fd; /* their end of the channel back */
	int kick_fd, call_fd, err_fd;
	struct seen seen[SEEN_MAX];
	unsigned n;
};

/* A good back end of four queues; what is to be different is set before back_start(). */
void back_init(struct back *b);
void back_start(struct back *b);
void back_end(struct back *b);
/* ... and a client that takes it. */
int adopt(struct back *b, struct transport **t);
/* What it has seen from @from on: these, and no more. */
void expect(const struct back *b, unsigned from, const uint32_t *requests, unsigned n);
unsigned count_fds(void);
/* False: the other side closed before that many bytes. */
bool read_all(int fd, void *buf, size_t n);

#endif
