/* SPDX-License-Identifier: MIT */
/*
 * Messages over a connected socket, without ever waiting for the peer.
 *
 * Receiving takes what is there, exactly up to the end of one message, so that the fds found on
 * the way are that message's.  Sending keeps at most one message; whoever has an unsent one reads
 * no further requests, so a peer that never reads holds up nobody but itself and costs no memory.
 *
 * Threads: one, the control thread.
 */
#ifndef SERVER_VHOST_USER_CHANNEL_H
#define SERVER_VHOST_USER_CHANNEL_H

#include "server/vhost_user/message.h"

struct vhost_user_channel {
	int fd; /* -1: closed */
	struct aside *aside;

	struct vhost_user_message in;
	uint32_t in_bytes; /* of header and payload together */

	struct vhost_user_message out;
	uint32_t out_bytes; /* sent so far         */
	bool unsent;	    /* some of @out is left */
};

/*
 * Takes over @fd, of any mode; -1 for a channel that is closed.  Whatever came from the peer is
 * closed @aside; so is the socket, since closing it closes what lies in it unread.
 */
void vhost_user_channel_init(struct vhost_user_channel *ch, int fd, struct aside *aside);
/* Closes it, and every fd that waits in it. */
void vhost_user_channel_close(struct vhost_user_channel *ch);

/**
 * vhost_user_channel_receive() - the next message, if all of it is there
 * @from_front_end: the peer asks; otherwise it answers, and any header of a sane size is taken
 * @why: set on -EPROTO
 *
 * Return: 1 - @ch->in is a whole message, its header checked; done with it, call
 * vhost_user_channel_next(). 0 - not yet.  -EPIPE - the peer has left, between two messages.
 * -ECONNRESET - in the middle of one.  -EPROTO - nothing that follows can be understood.  -EMFILE,
 * -ENFILE, -EACCES - its fds could not be taken (base/sock.h), which is our fault and not the peer's;
 * nothing that follows can be relied on all the same.
 */
int vhost_user_channel_receive(struct vhost_user_channel *ch, bool from_front_end,
			       const char **why);
/* Forgets the message received; closes the fds that nobody took. */
void vhost_user_channel_next(struct vhost_user_channel *ch);

/* Sends @ch->out (its fds are taken over), only while not @unsent. 0, also when not all could be
 * sent yet; -errno. */
int vhost_user_channel_send(struct vhost_user_channel *ch);
/* Goes on with what is unsent.  0 or -errno. */
int vhost_user_channel_flush(struct vhost_user_channel *ch);

#endif
