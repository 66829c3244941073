/* SPDX-License-Identifier: MIT */
/* What all engines have in common: the choice of the engine, and the checks that each request
 * passes before an engine sees it. */
#include "storage/storage.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "base/log.h"
#include "storage/geometry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR_MASK UINT64_C(511)

static bool engine_takes(const struct storage_engine_ops *e, const char *target)
{
	return e->claims ? e->claims(target) : !strncmp(target, e->prefix, strlen(e->prefix));
}

/* The last one takes what is left. */
const struct storage_engine_ops *storage_engine_for(const char *target)
{
	const struct storage_engine_ops *const *e = storage_engines;

	while ((*e)->prefix && !engine_takes(*e, target))
		e++;
	return *e;
}

const struct words_table *storage_words(const char *target)
{
	return &storage_engine_for(target)->words;
}

const struct words_table *storage_words_at(unsigned i)
{
	return storage_engines[i] ? &storage_engines[i]->words : NULL;
}

const struct words_table *storage_layer_words_at(unsigned i)
{
	return storage_layers[i] ? &storage_layers[i]->words : NULL;
}

uint64_t storage_size(const struct storage *s)
{
	return read_once(&s->size);
}

bool storage_readonly(const struct storage *s)
{
	return s->readonly;
}

const struct storage_limits *storage_limits(const struct storage *s)
{
	return &s->limits;
}

int storage_refresh(struct storage *s)
{
	struct error err;
	uint64_t size;
	int rc;

	if (!s->ops->measure && s->below) {
		rc = storage_refresh(s->below);
		if (rc > 0)
			write_once(&s->size, storage_size(s->below));
		return rc;
	}
	if (!s->ops->measure)
		return 0;
	rc = s->ops->measure(s, &size);
	if (rc)
		return rc == -EAGAIN ? 0 : rc;
	if (size == read_once(&s->size)) {
		s->judged = size;
		return 0;
	}
	if (size == s->judged)
		return 0;
	s->judged = size;
	if (geometry_judge_size(s, s->name, size, &err)) {
		log_warn(s->name, "the size changed and cannot be taken over, %llu bytes stay: %s",
			 (unsigned long long)read_once(&s->size), err.text);
		return 0;
	}
	write_once(&s->size, size);
	return 1;
}

int storage_resize_fd(const struct storage *s, uint64_t size, struct error *err)
{
	const char *name = s->disk ? s->disk : s->name;
	uint64_t unit = max_u64(s->limits.block_size, s->size_unit);
	int fd;

	if (s->readonly)
		return error_set(err, -EROFS, "%s is read-only.", name);
	if (!size || size % unit)
		return error_set(err, -EINVAL, "%s has a size of whole blocks of %llu bytes.", name,
				 (unsigned long long)unit);
	while (s->below) {
		if (!s->ops->follows_size)
			return error_set(err, -EOPNOTSUPP, "%s keeps its size, because of its %s.",
					 name, s->ops->kind);
		s = s->below;
		unit = max_u64(unit, s->size_unit);
	}
	if (!s->ops->length_fd)
		return error_set(err, -EOPNOTSUPP,
				 "%s is no file of its own here: change its size where it is, and "
				 "it is taken over.",
				 name);
	fd = s->ops->length_fd(s);
	return fd < 0 ? error_set(err, fd, "the size of %s cannot be changed", name) : fd;
}

int storage_channel_open(struct storage *s, struct reactor *r, struct storage_channel **out,
			 struct error *err)
{
	*out = NULL;
	return s->ops->channel_open(s, r, out, err);
}

void storage_channel_close(struct storage_channel **ch)
{
	if (!*ch)
		return;
	(*ch)->storage->ops->channel_close(*ch);
	*ch = NULL;
}

/* How long a request of a kind that has a limit may be; 0: not at all. */
static uint64_t longest(const struct storage_limits *l, enum storage_op op)
{
	switch (op) {
	case STORAGE_DISCARD:
		return l->max_discard;
	case STORAGE_WRITE_ZEROES:
		return l->max_write_zeroes;
	case STORAGE_SECURE_ERASE:
		return l->max_secure_erase;
	default:
		return UINT64_MAX;
	}
}

static bool outside(const struct storage *s, const struct storage_io *io)
{
	uint64_t size = read_once(&s->size);

	return (io->offset | io->len) & SECTOR_MASK || io->offset > size ||
	       io->len > size - io->offset;
}

static int check_lifetime(const struct storage *s, const struct storage_io *io)
{
	if (!s->limits.lifetime)
		return -EOPNOTSUPP;
	return io->offset || io->len != sizeof(struct storage_lifetime) || io->iovcnt != 1 ? -EINVAL
											   : 0;
}

static int check_zones(const struct storage *s, const struct storage_io *io)
{
	const struct storage_zone_limits *z = &s->limits.zones;

	if (!z->size)
		return -EOPNOTSUPP;
	if (outside(s, io))
		return -EINVAL;
	if (io->op == STORAGE_ZONE_REPORT)
		return 0;
	if (s->readonly)
		return -EROFS;
	if (io->op != STORAGE_APPEND)
		return 0;
	if (!z->max_append)
		return -EOPNOTSUPP;
	return !io->len || io->len > z->max_append ? -STORAGE_EZONE_COMMAND : 0;
}

/* All but READ and WRITE. */
static __attribute__((noinline)) int check_other(const struct storage *s,
						 const struct storage_io *io)
{
	uint64_t max;

	if (io->op == STORAGE_FLUSH)
		return s->readonly ? 1 : 0;
	if (io->op == STORAGE_LIFETIME)
		return check_lifetime(s, io);
	if (io->op >= STORAGE_APPEND)
		return check_zones(s, io);
	if (outside(s, io))
		return -EINVAL;
	if (s->readonly)
		return -EROFS;
	max = longest(&s->limits, io->op);
	if (!max)
		return -EOPNOTSUPP;
	if (io->len > max)
		return -EINVAL;
	return io->len ? 0 : 1;
}

/* 0: the engine shall do it; 1: nothing is left to do; -errno. */
static inline int check(const struct storage *s, const struct storage_io *io)
{
	if (unlikely(io->op > STORAGE_WRITE))
		return check_other(s, io);
	if (unlikely(outside(s, io)))
		return -EINVAL;
	if (unlikely(s->readonly && io->op != STORAGE_READ))
		return -EROFS;
	return io->len ? 0 : 1;
}

void storage_submit(struct storage_channel *ch, struct storage_io *io)
{
	int rc = check(ch->storage, io);

	if (unlikely(rc)) {
		io->done(io, rc < 0 ? rc : 0);
		return;
	}
	io->channel = ch;
	ch->storage->ops->submit(ch, io);
}
