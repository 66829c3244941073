/* SPDX-License-Identifier: MIT */
/* The zoned layer's words and its life. */
#include "storage/layer/zoned.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ZONE_SIZE_DEFAULT (UINT64_C(64) << 20)
#define ZONE_SIZE_MIN	  4096
#define ZONE_SIZE_MAX	  (UINT64_C(1) << 40)
#define APPEND_DEFAULT	  (UINT64_C(512) << 10)
/* Linux' btrfs takes no larger blocks. */
#define GRANULARITY_MAX 4096

static bool zoned_wanted(const struct storage_options *o)
{
	const struct storage_zoned_options *z = &o->layers.zoned;

	return z->model || z->state || z->size || z->capacity || z->max_open || z->max_active ||
	       z->max_append || z->conventional;
}

/* ---- what the zones are like ---- */

static int zoned_judge(const struct storage_options *o, const struct storage *below,
		       struct zone_map *t, struct error *err)
{
	const struct storage_zone_limits *l = &t->limits;

	if (below->size > t->limits.size * ZONES_MAX)
		return error_set(err, -EINVAL,
				 "%s: %" PRIu64 " bytes are too many for zones of %" PRIu64
				 "; a disk has %u zones at most: give a larger zone-size.",
				 o->target, below->size, l->size, ZONES_MAX);
	t->n = (uint32_t)((below->size + l->size - 1) / l->size);
	if (t->conventional >= t->n)
		return error_set(err, -EINVAL,
				 "%s: the disk has %u zones, so at most %u of them can be "
				 "conventional.",
				 o->target, t->n, t->n ? t->n - 1 : 0);
	if (t->capacity > l->size || t->capacity % l->write_granularity)
		return error_set(err, -EINVAL,
				 "%s: a zone-capacity is a multiple of %u and no more than the "
				 "zone-size, %" PRIu64 ".",
				 o->target, l->write_granularity, l->size);
	if (l->max_append % l->write_granularity || l->max_append > t->capacity)
		return error_set(err, -EINVAL,
				 "%s: zone-max-append is a multiple of %u and no more than the "
				 "zone's capacity, %" PRIu64 ".",
				 o->target, l->write_granularity, t->capacity);
	if (l->max_active && l->max_open > l->max_active)
		return error_set(err, -EINVAL,
				 "%s: no more zones can be open than active: zone-max-open=%u is "
				 "more than zone-max-active=%u.",
				 o->target, l->max_open, l->max_active);
	return 0;
}

static int zoned_make_zones(const struct storage_options *o, const struct storage *below,
			    struct zone_map *t, struct error *err)
{
	const struct storage_zoned_options *z = &o->layers.zoned;
	struct storage_zone_limits *l = &t->limits;
	int rc;

	l->size = z->size ? z->size : ZONE_SIZE_DEFAULT;
	l->write_granularity = (uint32_t)max_u64(
		min_u64(below->limits.physical_block_size, GRANULARITY_MAX),
		below->limits.block_size);
	if (l->write_granularity > l->size)
		return error_set(err, -EINVAL, "%s: zones are not smaller than a block, %u bytes.",
				 o->target, l->write_granularity);
	t->capacity = z->capacity ? z->capacity : l->size;
	l->max_open = z->max_open;
	l->max_active = z->max_active;
	/* An open zone is an active one. */
	if (l->max_active && !l->max_open)
		l->max_open = l->max_active;
	l->max_append = z->max_append ? z->max_append : min_u64(APPEND_DEFAULT, t->capacity);
	t->conventional = z->conventional;
	t->disk_size = below->size;
	rc = zoned_judge(o, below, t, err);
	if (rc)
		return rc;
	return zone_map_init(t)
		       ? error_set(err, -ENOMEM, "cannot set up the zones of %s", o->target)
		       : 0;
}

/* ---- where they are kept ---- */

static bool is_volatile(const char *target)
{
	return !strncmp(target, "memory:", 7) || !strncmp(target, "null:", 5);
}

/* *path is NULL: nothing is kept, as of the data. */
static int zoned_find_path(const struct storage_options *o, char **path, struct error *err)
{
	const char *said = o->layers.zoned.state;
	/* The data are in the overlay, if there is one; the base is many disks'. */
	const char *image = o->layers.cow ? o->layers.cow : o->target;
	struct stat st;
	int n = 0;

	*path = NULL;
	if (said)
		/* A path, whatever it looks like. */
		n = asprintf(path, "%s%s", *said == '/' ? "" : "./", said);
	else if (!stat(image, &st) && S_ISREG(st.st_mode))
		n = asprintf(path, "%s.zones", image);
	else if (!is_volatile(image))
		return error_set(err, -EINVAL,
				 "%s: say where the state of its zones is kept, by "
				 "zone-state=PATH.",
				 o->target);
	if (n >= 0)
		return 0;
	*path = NULL;
	return error_set(err, -ENOMEM, "cannot set up the zones of %s", o->target);
}

static int zoned_open_state(struct zoned *d, const struct storage *below, struct error *err)
{
	struct storage_options file = {
		.target = d->path,
		.readonly = below->readonly ? STORAGE_READONLY : STORAGE_WRITABLE,
	};
	uint32_t damaged;
	int rc = below->readonly ? -EEXIST : zone_state_make(d->path, &d->zones, err);
	bool is_new = !rc;

	if (rc && rc != -EEXIST)
		return rc;
	/* The storage has it for itself from here on. */
	rc = storage_open(&file, &d->file, err);
	if (rc)
		return rc;
	rc = zone_state_open(&d->state, d->path, below->readonly, &d->zones, &damaged, err);
	if (rc) {
		storage_close(&d->file);
		return rc;
	}
	if (is_new)
		log_info(d->layer.path,
			 "%s is new: all sequential zones are empty, whatever was in the image",
			 d->path);
	if (damaged)
		log_err(d->layer.path,
			"%u zones are damaged in %s: they can be read and never written", damaged,
			d->path);
	return 0;
}

/* ---- life ---- */

static void zoned_set_limits(struct zoned *d, const struct storage *below)
{
	struct storage_limits *l = &d->layer.base.limits;

	d->discard = align_down(below->limits.max_discard, l->block_size);
	/* A zone is emptied by a reset, and by nothing else. */
	l->max_discard = 0;
	l->discard_alignment = 0;
	l->max_secure_erase = 0;
	l->erase_alignment = 0;
	l->zones = d->zones.limits;
}

static int zoned_stack(const struct storage_options *o, struct storage *below, struct storage **out,
		       struct error *err)
{
	struct zoned *d;
	int rc;

	if (!o->layers.zoned.model)
		return error_set(err, -EINVAL,
				 "%s: what begins with zone- is for zoned=host-managed; give that, "
				 "too.",
				 o->target);
	d = calloc(1, sizeof(*d));
	if (!d)
		return error_set(err, -ENOMEM, "cannot set up the zones of %s", o->target);
	d->state.fd = -1;
	rc = zoned_make_zones(o, below, &d->zones, err);
	if (rc)
		goto free_disk;
	layer_init(&d->layer, o, below);
	rc = zoned_find_path(o, &d->path, err);
	if (!rc && d->path)
		rc = zoned_open_state(d, below, err);
	if (rc)
		goto fini_layer;
	pthread_mutex_init(&d->lock, NULL);
	zoned_set_limits(d, below);
	*out = &d->layer.base;
	return 0;
fini_layer:
	free(d->path);
	layer_fini(&d->layer);
	zone_map_fini(&d->zones);
free_disk:
	free(d);
	return rc;
}

static void zoned_close(struct storage *s)
{
	struct zoned *d = zoned_of(s);

	zone_state_close(&d->state);
	storage_close(&d->file);
	zone_map_fini(&d->zones);
	pthread_mutex_destroy(&d->lock);
	layer_fini(&d->layer);
	free(d->path);
	free(d);
}

/* The zones are as they were made, whatever becomes of what is below. */
static int zoned_measure(struct storage *s, uint64_t *size)
{
	*size = zoned_of(s)->zones.disk_size;
	return 0;
}

static bool zoned_spoiled(const struct storage *s)
{
	const struct zoned *d = zoned_of(s);

	return d->file && storage_spoiled(d->file);
}

static int zoned_channel_open(struct storage *s, struct reactor *r, struct storage_channel **out,
			      struct error *err)
{
	struct zoned *d = zoned_of(s);
	struct zoned_channel *ch = calloc(1, sizeof(*ch));
	int rc = 0;

	if (!ch)
		return error_set(err, -ENOMEM, "cannot set up a channel of %s", layer_of(s)->path);
	list_init(&ch->waiting);
	if (d->file)
		rc = storage_channel_open(d->file, r, &ch->file, err);
	if (rc)
		goto free_channel;
	rc = layer_channel_init(&ch->ch, &zoned_channel_ops, s, r, err);
	if (rc)
		goto close_file;
	*out = &ch->ch.base;
	return 0;
close_file:
	storage_channel_close(&ch->file);
free_channel:
	free(ch);
	return rc;
}

static void zoned_channel_close(struct storage_channel *base)
{
	struct zoned_channel *ch = container_of(layer_channel_of(base), struct zoned_channel, ch);

	layer_channel_fini(&ch->ch);
	storage_channel_close(&ch->file);
	free(ch);
}

static void zoned_describe(const struct storage *s, char *text, size_t size)
{
	struct zoned *d = zoned_of(s);
	uint32_t open, active;

	pthread_mutex_lock(&d->lock);
	open = d->zones.open;
	active = d->zones.active;
	pthread_mutex_unlock(&d->lock);
	snprintf(text, size,
		 "%u zones of %" PRIu64 " bytes, %u of them conventional, %u open, %u active, %s%s",
		 d->zones.n, d->zones.limits.size, d->zones.conventional, open, active,
		 d->path ? "kept in " : "not kept", d->path ? d->path : "");
}

#define ZONES(word, f, k, lowest, highest, text)                              \
	{                                                                     \
		word, .kind = k, .min = lowest, .max = highest, .help = text, \
		      WORD_FIELD(struct storage_options, layers.zoned.f)      \
	}

static const struct word zoned_words[] = {
	{"zoned", .kind = WORD_CHOICE,
	 .help = "host-managed: zones that are written at their write pointer; default none",
	 WORD_VALUES({"none", 0}, {"host-managed", 1}),
	 WORD_FIELD(struct storage_options, layers.zoned.model)},
	{"zone-size", .kind = WORD_SIZE, .min = ZONE_SIZE_MIN, .max = ZONE_SIZE_MAX, .pow2 = true,
	 .help = "default 64M", WORD_FIELD(struct storage_options, layers.zoned.size)},
	ZONES("zone-capacity", capacity, WORD_SIZE, 512, ZONE_SIZE_MAX,
	      "what of a zone can be written; default all"),
	ZONES("zone-conventional", conventional, WORD_NUMBER, 0, ZONES_MAX,
	      "zones at the beginning that are written anywhere; default 0"),
	ZONES("zone-max-open", max_open, WORD_NUMBER, 0, ZONES_MAX, "default 0: no limit"),
	ZONES("zone-max-active", max_active, WORD_NUMBER, 0, ZONES_MAX,
	      "open or closed; default 0: no limit"),
	ZONES("zone-max-append", max_append, WORD_SIZE, 512, ZONE_SIZE_MAX,
	      "the longest append; default 512K, or the zone's capacity if that is less"),
	{"zone-state", .kind = WORD_TEXT, .min = 1, .sample = "PATH",
	 .help = "a file that keeps the zones; default the image's name and .zones",
	 WORD_FIELD(struct storage_options, layers.zoned.state)},
};

const struct storage_engine_ops zoned_layer_ops = {
	.kind = "zoned",
	.words = WORDS_TABLE("a zoned disk", zoned_words),
	.wanted = zoned_wanted,
	.stack = zoned_stack,
	.close = zoned_close,
	.measure = zoned_measure,
	.channel_open = zoned_channel_open,
	.channel_close = zoned_channel_close,
	.submit = layer_submit,
	.drain = layer_drain,
	.describe = zoned_describe,
	.spoiled = zoned_spoiled,
};
