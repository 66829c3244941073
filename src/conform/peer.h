/* SPDX-License-Identifier: MIT */
/*
 * A raw vhost-user front end: the socket, messages good and bad, and memory shared with the back
 * end.  It checks nothing that it sends.
 *
 * Memory: areas of shared memory, each a region of its own.  The guest address of a byte, the front
 * end's address of it and its offset in the file all differ, so that a back end that takes one for
 * another is found out.
 *
 * Invariant: no call waits longer than timeout_ms.
 */
#ifndef CONFORM_PEER_H
#define CONFORM_PEER_H

#include "base/error.h"
#include "wire/vhost_user.h"

#include <stdbool.h>

#define PEER_AREAS     4
#define PEER_MEM       (16u << 20)
#define PEER_GPA       0x40000000ull
#define PEER_MEM_SHIFT 0x200000u /* where the area starts in its file */

struct area {
	uint64_t gpa;
	uint64_t size;
	uint64_t offset; /* in the file */
	uint8_t *host;	 /* of gpa; the mapping begins there */
	int fd;
	bool known; /* the back end was told */
};

struct message {
	struct vhost_user_header h;
	union vhost_user_payload payload;
	int fds[VHOST_USER_FDS_MAX]; /* the receiver's to close */
	unsigned n_fds;
};

struct peer {
	int fd; /* -1: not connected */
	int timeout_ms;
	bool met;		       /* somebody took the connection */
	bool heard;		       /* the back end has said something, or closed */
	uint64_t offered, acked;       /* virtio feature bits */
	uint64_t proto_offered, proto; /* protocol feature bits */
	struct area areas[PEER_AREAS];
	unsigned n_areas;
};

void peer_init(struct peer *p, int timeout_ms);
/* Closes everything. */
void peer_fini(struct peer *p);

/* Connects, again and again until the back end listens or @wait_ms have passed. */
int peer_connect(struct peer *p, const char *path, int wait_ms);

/* Any bytes at all, with fds. 0, -EPIPE when the peer is gone, -ETIMEDOUT. */
int peer_send_raw(struct peer *p, const void *data, size_t len, const int *fds, unsigned n_fds);
int peer_send(struct peer *p, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
	      const int *fds, unsigned n_fds);
/* The next message: 0; -ETIMEDOUT; -ENOTCONN: the back end closed; -EPROTO: no message. */
int peer_recv(struct peer *p, struct message *m, int timeout_ms);
void message_close_fds(struct message *m);
/* Whether the back end closed the connection by now; waits for it up to @ms. */
bool peer_closed(struct peer *p, int ms);
/* Whether bytes are waiting; waits for them up to @ms. */
bool peer_readable(struct peer *p, int ms);

/* One more area behind the last one (touching it), not yet told. NULL: out of memory. */
struct area *peer_area(struct peer *p, uint64_t size);
/* Host memory of a guest range that lies in one area; NULL if there is none. */
void *peer_at(struct peer *p, uint64_t gpa, uint64_t len);
/* The front end's address of a guest address, as SET_VRING_ADDR wants it. */
uint64_t peer_user(struct peer *p, uint64_t gpa);
struct vhost_user_region peer_region(const struct area *a);

#endif
