/* SPDX-License-Identifier: MIT */
/* One client of the control socket; for control.c. */
#ifndef CONTROL_PEER_H
#define CONTROL_PEER_H

#include "control/control.h"

struct control_peer {
	struct list link; /* in control.peers */
	struct control *control;
	int fd; /* -1: gone; only within a call */
	struct reactor_watch watch;
	char line[CONTROL_LINE_MAX];
	size_t line_n;
	char *answer; /* on its way out, NULL: none */
	size_t answer_n, sent;
	bool too_long; /* the line that is arriving */
	bool broken;   /* there was no memory for an answer */
	struct reactor_timer again;
	struct reactor_timer patience; /* of one that has a descriptor of the reserve */
};

/* Takes over @fd, on failure too.  @brief: files are short, it may not stay long. */
int control_peer_create(struct control *c, int fd, bool brief);
/* Closes and frees it. */
void control_peer_destroy(struct control_peer *p);

#endif
