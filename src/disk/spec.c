/* SPDX-License-Identifier: MIT */
#include "disk/spec.h"

#include "base/bits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PHYSICAL_MAX (UINT64_C(2) << 20)
#define RUN_MAX	     (UINT64_C(1) << 30)

/* ---- the device's words ---- */

#define SERIAL                                                                                     \
	{                                                                                          \
		"serial", .kind = WORD_TEXT, .max = DISK_SERIAL_MAX, .help = "shown to the guest", \
			  WORD_FIELD(struct disk_spec, serial)                                     \
	}
#define WCE                                                               \
	{                                                                 \
		"wce", .help = "write cache on at the start; default on", \
		       WORD_SWITCH(struct disk_spec, wce)                 \
	}
#define BLK_SIZE                                                                                   \
	{                                                                                          \
		"blk-size", .kind = WORD_SIZE, .min = 512, .max = STORAGE_BLOCK_MAX, .pow2 = true, \
			    .help = "logical block; default 512",                                  \
			    WORD_FIELD(struct disk_spec, storage.geometry.block_size)              \
	}
#define PHYSICAL                                                                           \
	{                                                                                  \
		"physical-block-size",                                                     \
			.kind = WORD_SIZE, .min = 512, .max = PHYSICAL_MAX, .pow2 = true,  \
			.help = "default 4096, or blk-size if that is larger",             \
			WORD_FIELD(struct disk_spec, storage.geometry.physical_block_size) \
	}
#define OPT_IO                                                                                \
	{                                                                                     \
		"opt-io-size", .kind = WORD_SIZE, .max = RUN_MAX,                             \
			       .help = "best size of I/O to tell the guest; default 0: none", \
			       WORD_FIELD(struct disk_spec, storage.geometry.opt_io_size)     \
	}
#define DISCARD_UNIT                                                                       \
	{                                                                                  \
		"discard-granularity",                                                     \
			.kind = WORD_SIZE, .min = 512, .max = RUN_MAX,                     \
			.help = "default what the storage can give back",                  \
			WORD_FIELD(struct disk_spec, storage.geometry.discard_granularity) \
	}

static const struct word virtio_words[] = {
	SERIAL,
	{"queues", .kind = WORD_NUMBER, .min = 1, .max = DISK_QUEUES_MAX, .help = "default 1",
	 WORD_FIELD(struct disk_spec, queues)},
	{"num-queues", .same_as = "queues"},
	{"queue-size", .kind = WORD_NUMBER, .min = 2, .max = DISK_QUEUE_SIZE_MAX, .pow2 = true,
	 .help = "the largest ring to take; default any", WORD_FIELD(struct disk_spec, queue_size)},
	BLK_SIZE,
	PHYSICAL,
	OPT_IO,
	DISCARD_UNIT,
	{"packed", .help = "offer packed virtqueues; default on",
	 WORD_SWITCH(struct disk_spec, packed)},
	{"event-idx", .help = "offer event indices; default on",
	 WORD_SWITCH(struct disk_spec, event_idx)},
	WCE,
};

static const struct word ide_words[] = {SERIAL, PHYSICAL, WCE};

static const struct word scsi_words[] = {SERIAL, BLK_SIZE, PHYSICAL, OPT_IO, DISCARD_UNIT, WCE};

static const struct words_table device_tables[] = {
	[DISK_VIRTIO] = WORDS_TABLE("a virtio-blk disk", virtio_words),
	[DISK_IDE] = WORDS_TABLE("an IDE disk", ide_words),
	[DISK_SCSI] = WORDS_TABLE("a SCSI disk", scsi_words),
};

/* The one word that comes before all tables: it says which of them count. */
static const struct word target_words[] = {
	{"file", .kind = WORD_TEXT, .min = 1, .sample = "TARGET",
	 .help = "image file, block device, null:SIZE, memory:SIZE, nbd://HOST/EXPORT, "
		 "rbd:POOL/IMAGE (needed)",
	 WORD_FIELD(struct disk_spec, file)},
};

static const struct words_table target_table = WORDS_TABLE("a disk", target_words);

const struct words_table *disk_device_words(enum disk_kind kind)
{
	return &device_tables[kind];
}

/* ---- reading ---- */

static const struct disk_spec defaults = {
	.queues = 1,
	.packed = true,
	.event_idx = true,
	.wce = true,
	.storage = {.nbd_reconnect = STORAGE_RECONNECT_SECONDS},
};

static int take_target(struct disk_spec *spec, struct word_given *g, const char *value,
		       struct error *err)
{
	if (spec->file)
		return error_set(err, -EINVAL, "the option file is given twice.");
	if (!value || !*value)
		return error_set(err, -EINVAL,
				 "\"%s%s\" cannot be: the value must be a path, null:SIZE, "
				 "memory:SIZE, nbd://HOST/EXPORT or rbd:POOL/IMAGE.",
				 g->name, value ? "=" : "");
	g->taken = true;
	spec->file = strdup(value);
	return spec->file ? 0 : error_set(err, -ENOMEM, "cannot note the file %s", value);
}

/* Before everything else: the file decides which words there are. */
static int find_target(struct words *w, struct disk_spec *spec, struct error *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < w->n; i++) {
		struct word_given *g = &w->given[i];

		if (!i && !g->value && strcmp(g->name, "file") != 0)
			rc = take_target(spec, g, g->name, err);
		else if (!strcmp(g->name, "file"))
			rc = take_target(spec, g, g->value, err);
	}
	if (!rc && !spec->file)
		rc = error_set(err, -EINVAL,
			       "the disk names no file; add file=PATH, file=null:SIZE, "
			       "file=memory:SIZE, file=nbd://HOST/EXPORT or file=rbd:POOL/IMAGE.");
	return rc;
}

/* What other engines and devices have: for the sentence that a word is none of this disk's. */
#define FOREIGN_MAX 32
#define LAYERS_MAX  16

static void list_foreign(const struct words_table **list)
{
	const struct words_table *t;
	unsigned n = 0;

	for (unsigned i = 0; n < FOREIGN_MAX && (t = storage_words_at(i)); i++)
		list[n++] = t;
	for (unsigned i = 0; n < FOREIGN_MAX && i < ARRAY_SIZE(device_tables); i++)
		list[n++] = &device_tables[i];
	list[n] = NULL;
}

static int take_options(enum disk_kind kind, struct words *w, const struct words_for *card,
			struct disk_spec *spec, struct error *err)
{
	const struct words_table *engine = storage_words(spec->file);
	const struct words_table *foreign[FOREIGN_MAX + 1], *layer;
	struct words_for tables[3 + LAYERS_MAX] = {
		{engine, &spec->storage},
		{&device_tables[kind], spec},
	};
	struct words_rules rules = {.tables = tables, .n = 2, .foreign = foreign};
	char of[80];

	if (card)
		tables[rules.n++] = *card;
	for (unsigned i = 0; i < LAYERS_MAX && (layer = storage_layer_words_at(i)); i++)
		tables[rules.n++] = (struct words_for){layer, &spec->storage};
	list_foreign(foreign);
	snprintf(of, sizeof(of), "%s of %s", device_tables[kind].of, engine->of);
	rules.of = of;
	return words_set(w, &rules, err);
}

int disk_spec_parse_as(enum disk_kind kind, const char *text, const struct words_for *card,
		       struct disk_spec *spec, struct error *err)
{
	struct words w;
	int rc = words_split(text, &w, err);

	*spec = defaults;
	if (rc)
		return rc;
	rc = find_target(&w, spec, err);
	if (!rc)
		rc = take_options(kind, &w, card, spec, err);
	words_fini(&w);
	if (rc)
		disk_spec_fini(spec);
	else
		spec->storage.target = spec->file;
	return rc;
}

int disk_spec_parse(const char *text, struct disk_spec *spec, struct error *err)
{
	return disk_spec_parse_as(DISK_VIRTIO, text, NULL, spec, err);
}

void disk_spec_fini(struct disk_spec *spec)
{
	const struct words_table *layer;

	if (spec->file)
		words_clear(storage_words(spec->file), &spec->storage);
	for (unsigned i = 0; (layer = storage_layer_words_at(i)); i++)
		words_clear(layer, &spec->storage);
	words_clear(&target_table, spec);
	words_clear(&device_tables[DISK_VIRTIO], spec);
	*spec = (struct disk_spec){0};
}

/* ---- help ---- */

/* The engines that have that option, as it stands behind "only for"; NULL: all. */
static const char *owners(const char *name, char *text, size_t size)
{
	const struct words_table *t, *mine[FOREIGN_MAX];
	unsigned all = 0, n = 0;
	size_t at = 0;

	for (; (t = storage_words_at(all)) && all < FOREIGN_MAX; all++)
		if (words_find(t, name))
			mine[n++] = t;
	for (unsigned i = 0; i < n && at < size; i++)
		at += (size_t)snprintf(text + at, size - at, "%s%s",
				       !i	   ? ""
				       : i + 1 < n ? ", "
						   : " and ",
				       mine[i]->of);
	return n == all ? NULL : text;
}

static bool stands_before(unsigned engine, const char *name)
{
	for (unsigned i = 0; i < engine; i++)
		if (words_find(storage_words_at(i), name))
			return true;
	return false;
}

void disk_spec_help(FILE *out)
{
	const struct words_table *t;
	char who[128];

	words_help(out, &target_table);
	for (unsigned i = 0; (t = storage_words_at(i)); i++)
		for (size_t k = 0; k < t->n; k++)
			if (!stands_before(i, t->words[k].name))
				word_help(out, t, &t->words[k],
					  owners(t->words[k].name, who, sizeof(who)));
	words_help(out, &device_tables[DISK_VIRTIO]);
	for (unsigned i = 0; (t = storage_layer_words_at(i)); i++)
		words_help(out, t);
}
