/* SPDX-License-Identifier: MIT */
/*
 * The workers that the disks and network cards of one server or machine share.  Queues are spread
 * over them in turn.
 *
 * Threads: the control thread.
 */
#ifndef DISK_POOL_H
#define DISK_POOL_H

#include "base/error.h"
#include "base/reactor.h"
#include "base/worker.h"

/* More than any machine has CPUs for; each worker costs a thread and a few descriptors. */
#define WORKER_POOL_MAX 4096

struct worker_pool_config {
	unsigned n; /* 1 .. WORKER_POOL_MAX */
	struct reactor_config reactor;
};

struct worker_pool {
	struct worker **workers;
	unsigned n;
	unsigned next; /* who gets the next queue */
};

/* How many workers suit so many queues: one for each, but no more than CPUs that we may use. */
unsigned worker_pool_suits(unsigned queues);

int worker_pool_init(struct worker_pool *pool, const struct worker_pool_config *config,
		     struct error *err);
/* Nothing runs on them any more.  Harmless when zeroed or done before. */
void worker_pool_fini(struct worker_pool *pool);

/* For a device with @queues queues: the first of them belongs to the worker of this number, the
 * others to those that follow (virtio_device_init()). */
unsigned worker_pool_take(struct worker_pool *pool, unsigned queues);

#endif
