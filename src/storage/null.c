/* SPDX-License-Identifier: MIT */
/*
 * null:SIZE - a disk without bytes, for measuring everything but the storage.
 *
 * Its contents are undefined: writes are dropped, reads leave the caller's buffer as it is.  Every
 * request completes, well, before submit returns.
 */
#include "base/size.h"
#include "storage/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NULL_PREFIX  "null:"
#define NULL_BLOCK   512
#define NULL_MAX_RUN (UINT64_C(1) << 30)

static int null_open(const struct storage_options *o, struct storage **out, struct error *err)
{
	const bool readonly = o->readonly == STORAGE_READONLY; /* it can be written */
	struct storage *s;
	uint64_t size;
	int rc;

	rc = size_parse(o->target + strlen(NULL_PREFIX), &size);
	if (rc || !size || size % NULL_BLOCK || size > INT64_MAX)
		return error_set(
			err, rc ? rc : -EINVAL,
			"%s is not a disk: the size must be a positive multiple of 512, as in "
			"null:1G.",
			o->target);
	s = calloc(1, sizeof(*s));
	if (!s)
		return error_set(err, -ENOMEM, "cannot set up %s", o->target);
	s->name = "null";
	s->size = size;
	s->readonly = readonly;
	s->limits = (struct storage_limits){
		.max_discard = readonly || o->no_discard ? 0 : NULL_MAX_RUN,
		.discard_alignment = NULL_BLOCK,
		/* Nothing was kept, so nothing is left. */
		.max_secure_erase = !readonly && o->erase == STORAGE_ERASE_OVERWRITE ? NULL_MAX_RUN
										     : 0,
	};
	*out = s;
	return 0;
}

static void null_close(struct storage *s)
{
	free(s);
}

static int null_channel_open(struct storage *s, struct reactor *r, struct storage_channel **out,
			     struct error *err)
{
	struct storage_channel *ch = malloc(sizeof(*ch));

	if (!ch)
		return error_set(err, -ENOMEM, "cannot set up a channel");
	*ch = (struct storage_channel){.storage = s, .reactor = r};
	*out = ch;
	return 0;
}

static void null_channel_close(struct storage_channel *ch)
{
	free(ch);
}

static void null_submit(struct storage_channel *ch, struct storage_io *io)
{
	(void)ch;
	io->done(io, 0);
}

static const struct word null_words[] = {
	STORAGE_WORD_READONLY,
	STORAGE_WORD_DISCARD,
	STORAGE_WORD_ERASE,
};

const struct storage_engine_ops null_engine_ops = {
	.kind = "null",
	.prefix = NULL_PREFIX,
	.words = WORDS_TABLE("null:", null_words),
	.open = null_open,
	.close = null_close,
	.channel_open = null_channel_open,
	.channel_close = null_channel_close,
	.submit = null_submit,
};
