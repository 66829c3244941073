/* SPDX-License-Identifier: MIT */
/*
 * A serial port: 16550A with its FIFOs of 16 bytes.  What goes over the wire goes to a struct
 * serial_line, at any speed.
 *
 * The transmitter is honest about a line that cannot take more: it stays "not empty"
 * until serial_room().
 *
 * Threads: the machine lock.
 */
#ifndef BACKEND_MACHINE_SERIAL_H
#define BACKEND_MACHINE_SERIAL_H

#include "backend/sysbus/sysbus.h"

#define SERIAL_FIFO 16

struct serial_line;

struct serial_line_ops {
	/* A byte from the guest.  False: the line is full after this one, serial_room() will come. */
	bool (*sent)(struct serial_line *line, uint8_t byte);
	/* The guest has taken bytes: there is room for more (see serial_receive).  Optional. */
	void (*taken)(struct serial_line *line);
};

struct serial_line {
	const struct serial_line_ops *ops;
};

struct serial {
	struct sysbus *bus;
	struct sysbus_region region;
	struct serial_line *line; /* NULL: nothing is plugged in */
	unsigned gsi;

	uint8_t ier, fcr, lcr, mcr, scratch;
	uint16_t divisor;
	bool overrun;
	bool sending;	   /* the line is full */
	bool sent_pending; /* "transmitter empty" was not acknowledged yet */
	bool irq;
	uint8_t fifo[SERIAL_FIFO];
	unsigned fifo_first, fifo_n;
};

void serial_init(struct serial *s, struct sysbus *bus, uint64_t port, unsigned gsi);
void serial_fini(struct serial *s);
void serial_reset(struct serial *s);

/* Bytes that arrive; returns how many there was room for. */
unsigned serial_receive(struct serial *s, const uint8_t *bytes, unsigned n);
/* The line takes bytes again. */
void serial_room(struct serial *s);

#endif
