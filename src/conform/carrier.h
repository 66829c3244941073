/* SPDX-License-Identifier: MIT */
/*
 * What carries the virtio bus to the device under test: messages of vhost-user, or registers of a
 * PCI board.  The helpers of trial.h go through one of these tables, so that a case about rings or
 * requests does not know which.
 *
 * Each function ends the case (trial_fail) when the device does not play along.
 */
#ifndef CONFORM_CARRIER_H
#define CONFORM_CARRIER_H

#include "conform/trial.h"

struct carrier {
	/* Somebody is there. */
	void (*reach)(struct trial *t);
	/* ... and tells its features and queues. */
	void (*dial)(struct trial *t);
	/* Into t->config; false: it cannot be read. */
	bool (*config)(struct trial *t);
	void (*share_memory)(struct trial *t);
	void (*accept_features)(struct trial *t, uint64_t bits);
	void (*ring_start)(struct ring *r, uint32_t base);
	void (*ring_enable)(struct ring *r, bool on);
	uint32_t (*ring_stop)(struct ring *r);
	/* The driver is ready: behind the set-up of all rings.  Optional. */
	void (*ready)(struct trial *t);
	void (*kick)(struct ring *r);
	uint64_t (*calls)(struct ring *r, int ms);
	/* The other side has gone away. */
	bool (*gone)(struct trial *t);
	/* Rings are at rest and memory is ours alone when it returns.  Never fails. */
	void (*hang_up)(struct trial *t);
};

extern const struct carrier carrier_vhost_user, carrier_pci;

#endif
