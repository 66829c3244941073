/* SPDX-License-Identifier: MIT */
/*
 * vfio-user messages over a connected socket, without ever waiting for the peer.
 *
 * Receiving takes what is there, exactly up to the end of one message, so that the fds found on the
 * way are that message's.  Sending keeps at most one message; whoever has an unsent one reads no
 * further commands, so a client that never reads holds up nobody but itself and costs no memory.
 *
 * Invariant: a body never has more than VFIO_USER_BODY_MAX bytes, which is all the memory that a
 * connection takes for messages, twice.
 *
 * Threads: one, the control thread.
 */
#ifndef SERVER_VFIO_USER_CHANNEL_H
#define SERVER_VFIO_USER_CHANNEL_H

#include "wire/vfio_user.h"

#include <stdbool.h>

struct aside;

/* The most bytes of a region that one message may move; clients are told. */
#define VFIO_USER_TRANSFER 65536u
/* As much, behind the longest of the commands' own fields. */
#define VFIO_USER_BODY_MAX                                                 \
	(VFIO_USER_TRANSFER + (uint32_t)sizeof(struct vfio_user_feature) + \
	 (uint32_t)sizeof(struct vfio_user_logging_report))

struct vfio_user_message {
	struct vfio_user_header header;
	uint8_t body[VFIO_USER_BODY_MAX + 1]; /* one more: texts end with a NUL of ours */
	int fds[VFIO_USER_FDS_MAX];	      /* received: -1 once taken, else the message's */
	unsigned n_fds;
};

struct vfio_user_channel {
	int fd; /* -1: closed */
	struct aside *aside;

	struct vfio_user_message *in, *out; /* the reply's fds are borrowed */
	uint32_t in_bytes;		    /* of header and body together  */
	uint32_t out_bytes;		    /* sent so far                  */
	bool unsent;			    /* some of @out is left         */
};

static inline uint32_t vfio_user_body_size(const struct vfio_user_message *m)
{
	return m->header.size - (uint32_t)sizeof(m->header);
}

/*
 * -ENOMEM.  Closed.  Whatever came from the peer is closed @aside; so is the socket, since closing
 * it closes what lies in it unread.
 */
int vfio_user_channel_init(struct vfio_user_channel *ch, struct aside *aside);
void vfio_user_channel_fini(struct vfio_user_channel *ch);
/* Takes over @fd, of any mode. */
void vfio_user_channel_open(struct vfio_user_channel *ch, int fd);
/* Closes it, and every fd that waits in it. */
void vfio_user_channel_close(struct vfio_user_channel *ch);

/**
 * vfio_user_channel_receive() - the next command, if all of it is there
 * @why: set on -EPROTO
 *
 * Return: 1 - @ch->in is a whole message; done with it, call vfio_user_channel_next().  0 - not
 * yet.  -EPIPE - the peer has left, between two messages.  -ECONNRESET - in the middle of one.
 * -EPROTO - nothing that follows can be understood.  -EMFILE, -ENFILE, -EACCES: fds that came were
 * withheld from us.
 */
int vfio_user_channel_receive(struct vfio_user_channel *ch, const char **why);
/* Forgets the message received; closes the fds that nobody took. */
void vfio_user_channel_next(struct vfio_user_channel *ch);
/* The message's fd @i, which is the caller's then; -1: there is none. */
int vfio_user_channel_take_fd(struct vfio_user_channel *ch, unsigned i);

/* Sends @ch->out, only while not @unsent.  0, also when not all could be sent yet; -errno. */
int vfio_user_channel_send(struct vfio_user_channel *ch);
/* Goes on with what is unsent.  0 or -errno. */
int vfio_user_channel_flush(struct vfio_user_channel *ch);

#endif
