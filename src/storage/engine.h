/* SPDX-License-Identifier: MIT */
/*
 * The inside of src/storage: what an engine is.  The engines stand in table.c, to be read there.
 */
#ifndef STORAGE_ENGINE_H
#define STORAGE_ENGINE_H

#include "storage/storage.h"

struct storage_engine_ops {
	const char *name;
	const char *prefix; /* "null:"; NULL: takes every target that no prefix claims */
	int (*open)(const struct storage_options *o, struct storage **out, struct error *err);
	void (*close)(struct storage *s);
	int (*refresh)(struct storage *s); /* optional: the size never changes */
	/* Fills the base of the channel, too. */
	int (*channel_open)(struct storage *s, struct reactor *r, struct storage_channel **out,
			    struct error *err);
	void (*channel_close)(struct storage_channel *ch);
	/* Bounds, read-only and capabilities have been checked; never fails. */
	void (*submit)(struct storage_channel *ch, struct storage_io *io);
};

/* Embedded by each engine's own disk struct. */
struct storage {
	const struct storage_engine_ops *ops;
	uint64_t size; /* atomic: read by workers, changed by refresh */
	bool readonly;
	struct storage_limits limits;
};

struct storage_channel {
	struct storage *storage;
	struct reactor *reactor;
};

extern const struct storage_engine_ops null_engine_ops;
extern const struct storage_engine_ops memory_engine_ops;
extern const struct storage_engine_ops file_engine_ops;

/* table.c; ends with NULL. */
extern const struct storage_engine_ops *const storage_engines[];

#endif
