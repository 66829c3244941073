/* SPDX-License-Identifier: MIT */
/*
 * The words of the command line, KEY=VALUE each:
 *
 *	disk=N				which virtio-blk card of the bus, from 0
 *	legacy=on|off			by its legacy interface, or by the modern one; without: modern if it has one
 *	irq=msix|poll			msix needs a card that has it
 *	packed= event-idx= indirect= in-order=	on|off: off never accepts the feature, on fails without it
 *	queues=N queue-size=N		at most; 1 and 256
 *	area=BYTES			how much of the disk, from its beginning, gets the pattern
 *	seed=N				which pattern
 *	write=on|off			off: the pattern has to be there already
 *	checks=on|off			off: only what is measured
 *	size=BYTES requests=N depth=N	of the requests that are measured; requests=0: none are
 *	serial=TEXT			what the disk has to answer
 */
#ifndef GUEST_OPTIONS_H
#define GUEST_OPTIONS_H

#include "frontend/virtio_pci/vpci.h"

#include <stdbool.h>
#include <stdint.h>

struct options {
	unsigned disk;
	enum vpci_how how;
	bool poll, write, checks;
	uint64_t features_off, features_must;
	uint32_t queues, queue_size;
	uint32_t area, seed;
	uint32_t size, requests, depth;
	const char *serial; /* NULL: any */
};

/* Cuts @words up. -EINVAL, and a line about the word that is wrong. */
int options_parse(struct options *o, char *words);

#endif
