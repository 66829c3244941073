/* SPDX-License-Identifier: MIT */
/*
 * A disk that holds its requests until it is told: what is in flight is then known.
 *
 * Threads: submits come from one worker; the test looks and releases.
 */
#ifndef TESTS_HELD_DISK_H
#define TESTS_HELD_DISK_H

#include "base/worker.h"
#include "storage/engine.h"

#define HELD_MAX 1280

struct held_disk {
	struct storage storage;
	struct storage_channel channel;
	uint8_t *bytes;
	struct storage_io *held[HELD_MAX];
	unsigned n;		      /* atomic: held now */
	bool spoiled;		      /* it has lost what was written */
	struct storage_lifetime life; /* what STORAGE_LIFETIME is told */
	bool hold;		      /* atomic */
	unsigned flushes;	      /* atomic: FLUSH requests seen */
	unsigned fua;		      /* atomic: requests with STORAGE_FUA */
	unsigned rest;		      /* atomic: of the other writing requests */
};

/* Lives until the storage is closed. */
struct held_disk *held_disk_new(uint64_t bytes);
/* Completes everything that is held with @err, on @worker, which is the disk's only one. */
void held_disk_release(struct held_disk *d, struct worker *worker, int err);
/* Waits until @n requests are held. */
void held_disk_wait(struct held_disk *d, unsigned n);

#endif
