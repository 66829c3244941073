/* SPDX-License-Identifier: MIT */
/*
 * Memory that a server is told of without its file descriptors, served by messages: a thread that
 * reads the socket, answers DMA_READ and DMA_WRITE, and hands answers to whoever waits for one.
 *
 * It answers whatever our own commands wait for, since what a server does for one of those may
 * need our memory first.
 *
 * Locks: send, around all of a message; lock, around the answer that has come and the memory's table.
 * Neither is held while waiting for the server.
 *
 * Threads: its own, and the client's.
 */
#ifndef FRONTEND_VFIO_USER_SERVE_H
#define FRONTEND_VFIO_USER_SERVE_H

#include "base/error.h"
#include "base/sock.h"
#include "wire/vfio_user.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* The longest answer that is looked at. */
#define VFIO_USER_REPLY_MAX 4096u

struct vfio_user_client;

struct vfio_user_serve {
	pthread_t thread;
	bool runs;
	pthread_mutex_t send;
	pthread_mutex_t lock;
	pthread_cond_t came;
	bool here, over; /* an answer; none comes any more */
	struct vfio_user_header header;
	uint8_t body[VFIO_USER_REPLY_MAX];
	int fds[VFIO_USER_FDS_MAX];
	unsigned n_fds;
	uint64_t reads, writes; /* served so far */
};

void vfio_user_serve_init(struct vfio_user_serve *s);
void vfio_user_serve_fini(struct vfio_user_serve *s);
/* The client is connected.  -errno and a sentence. */
int vfio_user_serve_start(struct vfio_user_client *c, struct error *err);
/* Its socket is shut down already. */
void vfio_user_serve_stop(struct vfio_user_client *c);

/*
 * The next answer: its header, and its body of up to VFIO_USER_REPLY_MAX bytes.  @take: fds, which are
 * the caller's then.  0, -ETIMEDOUT, -ENOTCONN, -EPROTO.
 */
int vfio_user_serve_wait(struct vfio_user_serve *s, struct vfio_user_header *h, uint8_t *body,
			 struct sock_fds *take, uint64_t until);

#endif
