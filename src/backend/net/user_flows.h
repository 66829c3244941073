/* SPDX-License-Identifier: MIT */
/*
 * The flows that a guest has open through libslirp, each of which costs this process a file.
 *
 * A guest can ask for flows without end, and libslirp opens them until no file is left: then the
 * control socket and everything else would stand still.  So a flow whose file is one of the last
 * few (limits_fd_is_reserve()) is the last one: frames that would open another are refused until
 * as many as that are closed; flows that are open go on.
 *
 * libslirp tells of the files that it opens and closes, and does both within calls of ours.  A
 * datagram's flow is known by its source, as there; a stream's begins with SYN.
 *
 * Threads: the link's.
 */
#ifndef BACKEND_NET_USER_FLOWS_H
#define BACKEND_NET_USER_FLOWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct user_flow {
	bool open;
	bool listens;  /* a forwarded port: whoever comes there is one more flow */
	uint64_t from; /* of datagrams: address and port; 0: a stream, or opened from outside */
};

struct user_flows {
	struct user_flow *by_fd;
	unsigned places;
	unsigned n;	   /* open                                      */
	unsigned reserved; /* of these, with one of the last few files  */
	unsigned max;	   /* as many were open when the first was that */
	uint64_t from;	   /* of the datagram that libslirp is given    */
};

void user_flows_fini(struct user_flows *f);

/* What libslirp tells. */
void user_flows_opened(struct user_flows *f, int fd);
void user_flows_closed(struct user_flows *f, int fd);
/* A descriptor of libslirp's that waits for streams, from the start on. */
void user_flows_listens(struct user_flows *f, int fd);

bool user_flows_full(const struct user_flows *f);
/* Whether nothing may be taken from it now: it would open a flow, and all are taken. */
bool user_flows_holds_back(const struct user_flows *f, int fd);
/*
 * Before a frame of the guest's goes to libslirp.  false: it would open a flow, and all are taken.
 */
bool user_flows_admit(struct user_flows *f, const uint8_t *frame, size_t len);

#endif
