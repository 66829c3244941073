/* SPDX-License-Identifier: MIT */
/*
 * A backplane's host that notes everything: messages and levels.  It does by itself what KVM would:
 * signal the eventfds that writes were bound to, send the messages and raise the lines that eventfds
 * were bound to, lower such a line at an end of interrupt and tell those who asked for it.  Or it
 * knows vectors, as a front end on the other end of a socket does.
 *
 * Threads: the backplane's; vectors' fds are signalled by any.
 */
#ifndef TESTS_PAIR_NOTING_HOST_H
#define TESTS_PAIR_NOTING_HOST_H

#include "backend/sysbus/sysbus.h"

#define NOTING_MSI     UINT64_C(0xfee00000)
#define NOTING_VECTORS 64 /* message data below this are counted */
#define NOTING_BOUND   64

struct noting_host_options {
	bool no_ioeventfd, no_irqfd, no_line_irqfd; /* it cannot */
	bool no_any_size;			    /* its ioeventfds need a width */
	bool vectors;				    /* it knows vectors instead of messages */
	bool keeps_tables;
};

struct noting_bound {
	int fd; /* -1: free */
	enum sysbus_space space;
	uint64_t addr;
	unsigned size;
	bool match;
	uint64_t value;
	uint32_t data; /* irqfd */
};

struct noting_bound_line {
	int fd; /* -1: free */
	int resample_fd;
	unsigned gsi;
};

struct noting_host {
	struct sysbus_host host;
	struct sysbus_host_ops ops;
	bool no_any_size;
	int call_fds[NOTING_VECTORS]; /* what a message signals, 0: nothing */
	int vectors[NOTING_VECTORS];  /* eventfd + 1, 0: none */

	unsigned messages[NOTING_VECTORS]; /* by data */
	unsigned sent_by_hand, strange_messages;
	bool line[16];
	unsigned rises[16];
	struct noting_bound kicks[NOTING_BOUND], irqfds[NOTING_BOUND];
	struct noting_bound_line lines[NOTING_BOUND];
	bool raised[16];     /* by an irqfd, until the end of interrupt */
	unsigned raises[16]; /* signals of irqfds */
};

void noting_host_init(struct noting_host *h, const struct noting_host_options *o);
/* Nothing is bound any more, and no line is up. */
void noting_host_fini(struct noting_host *h);

/* Takes what irqfds were signalled. */
void noting_host_look(struct noting_host *h);
/* The level of a line, whoever raised it. */
bool noting_host_line(const struct noting_host *h, unsigned gsi);
/* The processor ends an interrupt of that line. */
void noting_host_eoi(struct noting_host *h, unsigned gsi);
/* The processor writes: whether an eventfd takes it. */
bool noting_host_takes(struct noting_host *h, enum sysbus_space space, uint64_t addr,
		       uint64_t value, unsigned size);

/* A vector gets another eventfd, or none; the one before (-1: none) is the caller's. */
int noting_host_vector(struct noting_host *h, unsigned vector, bool on);
/* Signals of a vector since this was asked last. */
unsigned noting_host_signals(struct noting_host *h, unsigned vector);

#endif
