/* SPDX-License-Identifier: MIT */
/*
 * One vhost-user message, and what may be in it: for each request a row in one table with the size
 * of its payload, the fds it may carry and whether it has a reply of its own.
 *
 * Invariant: an fd in @fds belongs to the message until somebody takes it; what nobody took is
 * closed with the message.
 */
#ifndef SERVER_VHOST_USER_MESSAGE_H
#define SERVER_VHOST_USER_MESSAGE_H

#include "base/aside.h"
#include "wire/vhost_user.h"

#include <stdbool.h>

struct vhost_user_message {
	struct vhost_user_header header;
	union vhost_user_payload payload;
	int fds[VHOST_USER_FDS_MAX];
	unsigned n_fds;
};

struct vhost_user_rule {
	bool known;		     /* to this back end */
	uint16_t size_min, size_max; /* of the payload */
	uint8_t fds_max;
	bool replies; /* by a payload of its own, not by an acknowledgement */
};

/* NULL: a request that this back end does not know. */
const struct vhost_user_rule *vhost_user_rule(uint32_t request);

/* NULL, or why a front end's message with this header cannot be believed. */
const char *vhost_user_header_wrong(const struct vhost_user_header *h);

/* The message's fd number @i becomes the caller's; -1 if there is none. */
int vhost_user_message_take_fd(struct vhost_user_message *m, unsigned i);
/* Closes what nobody took: @aside, or at once if NULL, for fds that are our own. */
void vhost_user_message_drop_fds(struct vhost_user_message *m, struct aside *aside);

#endif
