/* SPDX-License-Identifier: MIT */
/*
 * vfio-user messages over a connected socket, without ever waiting for the peer.
 *
 * Receiving takes what is there, exactly up to the end of one message, so that the fds found on the
 * way are that message's.  Sending keeps at most one answer and one command of ours; whoever has an
 * unsent answer reads no further commands, so a client that never reads holds up nobody but itself
 * and costs no memory.
 *
 * Invariant: a body never has more than VFIO_USER_BODY_MAX bytes, which is all the memory that a
 * channel takes for messages, three times.
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
	int fds[VFIO_USER_FDS_MAX]; /* received: -1 once taken, else the message's */
	unsigned n_fds;
	/* And one byte more: texts end with a NUL of ours. */
	_Alignas(8) uint8_t body[];
};

struct vfio_user_channel {
	int fd; /* -1: closed */
	struct aside *aside;

	struct vfio_user_message *in, *out; /* the reply's fds are borrowed */
	struct vfio_user_message *ask;	    /* a command of ours            */
	struct vfio_user_message *going;    /* what is sent of, or NULL     */
	uint32_t in_bytes;		    /* of header and body together  */
	uint32_t out_bytes;		    /* of @going sent so far        */
	bool unsent;			    /* some of @out is left         */
	bool unsent_ask;		    /* of @ask                      */
	bool expects;			    /* an answer may come           */
};

static inline uint32_t vfio_user_body_size(const struct vfio_user_message *m)
{
	return m->header.size - (uint32_t)sizeof(m->header);
}

/* With room for any body; NULL. */
struct vfio_user_message *vfio_user_message_new(void);
/* Closes the fds that nobody took. */
void vfio_user_message_drop_fds(struct vfio_user_message *m, struct aside *aside);

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
 * vfio_user_channel_receive() - the next command, or answer where one is expected, if all of it is
 * there
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
/* Sends @ch->out, only while not @unsent.  0, also when not all could be sent yet; -errno. */
int vfio_user_channel_send(struct vfio_user_channel *ch);
/* The same for @ch->ask. */
int vfio_user_channel_ask(struct vfio_user_channel *ch);
/* Goes on with what is unsent.  0 or -errno. */
int vfio_user_channel_flush(struct vfio_user_channel *ch);

#endif
