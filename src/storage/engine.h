/* SPDX-License-Identifier: MIT */
/*
 * The inside of src/storage: what an engine is.  The engines stand in table.c, to be read there.
 */
#ifndef STORAGE_ENGINE_H
#define STORAGE_ENGINE_H

#include "storage/storage.h"

#include <sys/types.h>

struct storage_engine_ops {
	const char *kind;   /* "file", for a person */
	const char *prefix; /* "null:"; NULL: takes every target that no prefix claims */
	/* Whether it takes that target, in the place of the prefix.  Optional. */
	bool (*claims)(const char *target);
	/* The options that it obeys; fields of struct storage_options. */
	struct words_table words;
	/*
	 * Fills the size as found, and of the limits what can be discarded and zeroed;
	 * storage_open() judges the size and sets the blocks.
	 */
	int (*open)(const struct storage_options *o, struct storage **out, struct error *err);
	void (*close)(struct storage *s);
	/* The size as it is now; -EAGAIN: nothing new is known.  Does not wait for storage that may
	 * hang. Optional: the size never changes. */
	int (*measure)(struct storage *s, uint64_t *size);
	/* storage_resize_fd(), or -errno.  Optional: it has no length. */
	int (*length_fd)(const struct storage *s);
	/* Whether its words go together, a layer's if it is wanted; looks at nothing else.  -EINVAL and a
	 * sentence.  Optional: they always do. */
	int (*judge)(const struct storage_options *o, struct error *err);
	/* Libraries that it brings have threads, which outlive an open that is given up: the process
	 * must not destroy what they use. */
	bool has_threads;
	/* Fills the base of the channel, too. */
	int (*channel_open)(struct storage *s, struct reactor *r, struct storage_channel **out,
			    struct error *err);
	void (*channel_close)(struct storage_channel *ch);
	/* Bounds, read-only and capabilities have been checked; never fails. */
	void (*submit)(struct storage_channel *ch, struct storage_io *io);
	/* storage_describe(), storage_drain().  Optional: it has nothing to say, keeps nothing. */
	void (*describe)(const struct storage *s, char *text, size_t size);
	void (*drain)(struct storage_channel *ch, struct storage_drain *d);

	/* What was written may be lost, and no flush will succeed any more.  Optional: of engines that
	 * cannot tell, and of layers that write nowhere else. */
	bool (*spoiled)(const struct storage *s);

	/* ---- of layers alone, in the place of prefix, claims and open ---- */

	/* Whether the disk's words ask for it. */
	bool (*wanted)(const struct storage_options *o);
	/* Puts itself on @below, which is its own on success. */
	int (*stack)(const struct storage_options *o, struct storage *below, struct storage **out,
		     struct error *err);
	/* It cannot do what @below it cannot: storage_open() sees to that.  One that does not pass
	 * keeps bytes of its own: no secure erase is offered through it. */
	bool passes;
	/* Takes the requests of zoned disks, too; a layer that does not cannot stand on one. */
	bool zones;
	/* What it stands on may get another size: its own is the same, whatever that is. */
	bool follows_size;
	/* Changes what the engine is told.  Optional. */
	void (*prepare)(struct storage_options *engine);
	/* Options that may change while it runs; optional, as what follows. */
	struct words_table change_words;
	/* Texts: NULL.  Numbers: as they are. */
	void (*current)(const struct storage *s, struct storage_options *o);
	/*
	 * Takes over new ones; a NULL text: as it was.  -EINVAL: they cannot be.  It is asked twice, since
	 * all layers change or none: first @only_check, then for good, which cannot fail: what needs
	 * memory is taken out of @o.
	 */
	int (*change)(struct storage *s, struct storage_options *o, bool only_check,
		      struct error *err);
	unsigned (*resume)(struct storage *s);
};

/* A file or block device, whatever its name is. */
struct storage_ident {
	bool known, device;
	dev_t dev; /* of a block device its own number */
	ino_t ino;
};

/* Embedded by each engine's own disk struct. */
struct storage {
	const struct storage_engine_ops *ops;
	struct storage_set *set; /* NULL: none */
	/* Of an engine whose bytes are in a file (else its name counts), and of a layer that has one
	 * besides. */
	struct storage_ident ident;
	struct list link;   /* in a storage_set                                   */
	char *disk;	    /* its name, for sentences; NULL: none was given      */
	const char *name;   /* for messages; the engine's, valid until close      */
	uint64_t size;	    /* atomic: read by workers, changed by refresh        */
	uint64_t judged;    /* the size that was judged last; control thread    */
	uint32_t size_unit; /* the engine needs sizes of a multiple of this; 0, or a power of two */
	bool readonly;
	struct storage_limits limits;
	struct storage *below, *above; /* in the stack of its disk; NULL: none   */
	struct storage_notice *notice; /* of the outermost; NULL: nobody watches */
};

struct storage_channel {
	struct storage *storage;
	struct reactor *reactor;
};

/*
 * What was written may be lost; each flush of the disk fails with that error from now on (the kind
 * of @lost: atomic, -errno, 0: none).  true: for the first time, which is to be said.  Any thread.
 */
static inline bool storage_lose(int *lost, int err)
{
	int none = 0;

	return __atomic_compare_exchange_n(lost, &none, err, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE);
}

/* Options that several engines have. */
#define STORAGE_WORD_READONLY                                                    \
	{                                                                        \
		.name = "readonly", .kind = WORD_CHOICE,                         \
		.help = "auto: where it cannot be written; default off",         \
		WORD_VALUES({"on", STORAGE_READONLY}, {"off", STORAGE_WRITABLE}, \
			    {"auto", STORAGE_AUTO}),                             \
		WORD_FIELD(struct storage_options, readonly)                     \
	}
#define STORAGE_WORD_DISCARD                                                       \
	{                                                                          \
		.name = "discard", .kind = WORD_CHOICE,                            \
		.help = "ignore: the guest cannot give space back; default unmap", \
		WORD_VALUES({"unmap", 0}, {"ignore", 1}),                          \
		WORD_FIELD(struct storage_options, no_discard),                    \
	}

#define STORAGE_WORD_ERASE                                                                       \
	{                                                                                        \
		.name = "secure-erase", .kind = WORD_CHOICE,                                     \
		.help = "device: by a block device that can; overwrite: by zeroes in the "       \
			"place, worth what lies below is worth; default device",                 \
		WORD_VALUES({"device", STORAGE_ERASE_DEVICE},                                    \
			    {"overwrite", STORAGE_ERASE_OVERWRITE}, {"off", STORAGE_ERASE_OFF}), \
		WORD_FIELD(struct storage_options, erase)                                        \
	}

extern const struct storage_engine_ops null_engine_ops;
extern const struct storage_engine_ops memory_engine_ops;
extern const struct storage_engine_ops nbd_engine_ops;
extern const struct storage_engine_ops rbd_engine_ops;
extern const struct storage_engine_ops file_engine_ops;
/* Files in an image format; not in the table: files with a word more are its. */
extern const struct storage_engine_ops format_engine_ops;

extern const struct storage_engine_ops cow_layer_ops;
extern const struct storage_engine_ops errors_layer_ops;
extern const struct storage_engine_ops faulty_layer_ops;
extern const struct storage_engine_ops record_layer_ops;
extern const struct storage_engine_ops throttle_layer_ops;
extern const struct storage_engine_ops zoned_layer_ops;

/* ---- storage.c ---- */

const struct storage_engine_ops *storage_engine_for(const char *target);

/* ---- open.c ---- */

/* A thread of a library's is left behind: the process ends without destructors from now on. */
void storage_leave_threads(void);
/* May wait for the file system, as what follows. */
struct storage_ident storage_ident_of(const char *path);
/* Whether the file of that name is where its bytes are. */
bool storage_is_at(const struct storage *engine, const char *path);
/* Stops those that are on their way, for as long as the lists of @set are read; NULL: none. */
void storage_set_lock(struct storage_set *set);
void storage_set_unlock(struct storage_set *set);

/* ---- stack.c ---- */

void stack_prepare(struct storage_options *engine);
/* Puts the layers that @o wants on *s, which becomes the outermost; on failure it is closed. */
int stack_layers(const struct storage_options *o, struct storage **s, struct error *err);
/* Whether a layer on another storage can do what the device above reads off its limits, and promises
 * its driver.  -EOPNOTSUPP: not; or as geometry_judge_size(). */
int stack_judge(const struct storage *s, const char *target, struct error *err);
static inline const struct storage *stack_engine(const struct storage *s)
{
	while (s->below)
		s = s->below;
	return s;
}
/* Closes all of the stack. */
void stack_close(struct storage *s);

/*
 * The size may be another; whoever watches the disk is told.  Any thread, before close.
 */
void storage_changed(struct storage *s);

/* table.c, layer/table.c: from the one next to the engine outwards.  Both end with NULL. */
extern const struct storage_engine_ops *const storage_engines[];
extern const struct storage_engine_ops *const storage_layers[];

#endif
