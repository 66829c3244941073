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
	/*
	 * Fills the size as found, and of the limits what can be discarded and zeroed;
	 * storage_open() judges the size and sets the blocks.
	 */
	int (*open)(const struct storage_options *o, struct storage **out, struct error *err);
	void (*close)(struct storage *s);
	/* The size as it is now.  Optional: the size never changes. */
	int (*measure)(struct storage *s, uint64_t *size);
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
	const char *name;   /* for messages; the engine's, valid until close      */
	uint64_t size;	    /* atomic: read by workers, changed by refresh        */
	uint64_t judged;    /* the size that was judged last; control thread    */
	uint32_t size_unit; /* the engine needs sizes of a multiple of this; 0, or a power of two */
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
