/* SPDX-License-Identifier: MIT */
/*
 * faulty: a disk that fails, hangs and lies, by rules (faulty_rules.h): for tests of what stands
 * above it, ours and users'.
 *
 * Threads: the rules are shared by the channels, under the lock.
 */
#ifndef STORAGE_LAYER_FAULTY_H
#define STORAGE_LAYER_FAULTY_H

#include "storage/layer/faulty_rules.h"
#include "storage/layer/layer.h"

struct faulty {
	struct layer layer;
	uint32_t seed;
	uint64_t (*now)(void);
	uint64_t opened_ns;

	pthread_mutex_t lock; /* protects what follows */
	char *text;
	struct faulty_rules rules;
	uint64_t faults; /* until now */
	unsigned hanging;
};

static inline struct faulty *faulty_of(const struct storage *s)
{
	return container_of(layer_of(s), struct faulty, layer);
}

#endif
