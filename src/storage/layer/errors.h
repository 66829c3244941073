/* SPDX-License-Identifier: MIT */
/*
 * errors: what becomes of a request that the storage could not carry out (rerror=, werror=).
 *
 *	report	the device above is told
 *	retry	it is sent again, after a pause that grows, until it succeeds
 *	hold	it waits until an operator says that it shall be tried again (storage_resume())
 *	enospc	hold for lack of space, report for everything else
 *
 * By errors.timeout a request that waited so long is reported after all.  Others go on meanwhile:
 * only what failed waits, and the guest waits for that.
 *
 * Reported at once in any case: what cannot be asked of the storage at all (-EINVAL, -EOPNOTSUPP), or
 * not now (the errors of zones);
 * flushes of a storage that has lost data (engine's spoiled()), where a later success would be a
 * lie; and everything while the disk is to be quiet (storage_drain()): what is kept is tried once
 * more then.
 *
 * Threads: options and counts are shared by the channels, under the lock.
 */
#ifndef STORAGE_LAYER_ERRORS_H
#define STORAGE_LAYER_ERRORS_H

#include "base/log.h"
#include "storage/layer/layer.h"

/* Until the first retry; twice as long with each one, up to the last. */
#define ERRORS_PAUSE_NS	    UINT64_C(100000000)
#define ERRORS_PAUSE_MAX_NS UINT64_C(5000000000)

struct errors {
	struct layer layer;
	uint64_t (*now)(void);

	pthread_mutex_t lock; /* protects what follows */
	struct storage_errors_options options;
	unsigned held, retrying;
	uint64_t failures;  /* until now */
	enum storage_op op; /* of the last one, as what follows */
	int err;
	struct log_limit complaints, holds; /* of retries; of being held */
};

struct errors_channel {
	struct layer_channel ch;
	struct list kept;
	struct reactor_timer timer;
};

static inline struct errors *errors_of(const struct storage *s)
{
	return container_of(layer_of(s), struct errors, layer);
}

#endif
