/* SPDX-License-Identifier: MIT */
/*
 * vhost-user messages over a connected socket, from the front end's side.
 *
 * Invariants: no call waits longer than timeout_ms for the peer; after the first thing that does
 * not fit the protocol the channel is dead, because nobody knows any more which answer belongs to
 * what; fds that nobody asked for are closed.
 *
 * Threads: the disk's, channel_alive() any.
 */
#ifndef FRONTEND_VHOST_USER_CHANNEL_H
#define FRONTEND_VHOST_USER_CHANNEL_H

#include "base/error.h"
#include "wire/vhost_user.h"

#include <stdbool.h>

struct channel {
	int fd;
	uint32_t timeout_ms;
	bool dead;
	bool acks; /* REPLY_ACK is agreed on: every message is answered */
};

/**
 * channel_tell() - a message that has no answer of its own
 * @fd: rides with it, stays the caller's; -1: none
 *
 * With acks it waits for the peer's word on it.
 *
 * Return: 0; -EREMOTEIO: the peer could not do it; -ENOTCONN, -ETIMEDOUT, -EPROTO: the channel is
 * dead.
 */
int channel_tell(struct channel *c, uint32_t request, const void *payload, uint32_t size,
		 const int *fds, unsigned n_fds, struct error *err);
/* A message with an answer of @min to @max bytes, its length in @got. */
int channel_ask(struct channel *c, uint32_t request, const void *payload, uint32_t size,
		void *answer, uint32_t min, uint32_t max, uint32_t *got, struct error *err);

int channel_tell_u64(struct channel *c, uint32_t request, uint64_t value, struct error *err);
int channel_ask_u64(struct channel *c, uint32_t request, uint64_t *value, struct error *err);

bool channel_alive(const struct channel *c);
/* Wakes who polls the socket, too. */
void channel_kill(struct channel *c);

#endif
