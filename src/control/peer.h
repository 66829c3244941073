/* SPDX-License-Identifier: MIT */
/* One client of the control socket, and its calls; for control/ alone. */
#ifndef CONTROL_PEER_H
#define CONTROL_PEER_H

#include "control/control.h"

/* Events that wait for a peer; more are dropped. */
#define CONTROL_EVENTS_MAX (256u << 10)

struct control_peer {
	struct list link; /* in control.peers */
	struct control_socket *socket;
	int fd; /* -1: gone; only within a call */
	struct reactor_watch watch;
	char line[CONTROL_LINE_MAX];
	size_t line_n;
	char *out; /* on its way, NULL: nothing */
	size_t out_n, out_size, sent;
	struct control_call *call; /* under way; nothing is read meanwhile */
	bool talking;		   /* peer_converse() is at work                    */
	bool too_long;		   /* the line that is arriving */
	bool broken;		   /* there was no memory for an answer, or it hung up */
	bool subscribed;
	uint64_t lost; /* events that it has not been told of */
	struct reactor_timer again;
	struct reactor_timer patience; /* of one that has a descriptor of the reserve */
};

/* Takes over @fd, on failure too.  @brief: files are short, it may not stay long. */
int control_peer_create(struct control_socket *s, int fd, bool brief);
/* Closes and frees it. */
void control_peer_destroy(struct control_peer *p);
/* A message for it, which is taken over; NULL: out of memory, and it is hung up on. */
void control_peer_say(struct control_peer *p, json_t *message);
/* The same for an event: dropped where too many wait. */
void control_peer_tell(struct control_peer *p, const json_t *event);

/* A line that was JSON. */
void control_call_begin(struct control_peer *p, json_t *asked);
/* What is wrong with a line; @id may be NULL: nobody can tell which. */
void control_peer_object(struct control_peer *p, int code, const json_t *id, const char *sentence);

/* Of the program, or of those that every program has: NULL behind the last. */
const struct control_verb *control_verb_at(const struct control *c, size_t i);

#endif
