/* SPDX-License-Identifier: MIT */
#include "storage/layer/zone_map.h"

#include "base/atomic.h"
#include "base/bits.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int zone_map_init(struct zone_map *t)
{
	t->zone = calloc(t->n, sizeof(t->zone[0]));
	if (!t->zone)
		return -ENOMEM;
	list_init(&t->implicit);
	for (uint32_t i = t->conventional; i < t->n; i++)
		t->zone[i].condition = STORAGE_ZONE_EMPTY;
	return 0;
}

void zone_map_fini(struct zone_map *t)
{
	free(t->zone);
	t->zone = NULL;
}

static bool is_conventional(const struct zone_map *t, uint32_t i)
{
	return i < t->conventional;
}

static uint64_t zone_size(const struct zone_map *t, uint32_t i)
{
	return min_u64(t->limits.size, t->disk_size - zone_map_start(t, i));
}

uint64_t zone_map_capacity(const struct zone_map *t, uint32_t i)
{
	uint64_t size = zone_size(t, i);

	if (is_conventional(t, i))
		return size;
	return align_down(min_u64(t->capacity, size), t->limits.write_granularity);
}

void zone_map_tell(const struct zone_map *t, uint32_t i, struct storage_zone *z)
{
	*z = (struct storage_zone){
		.start = zone_map_start(t, i),
		.size = zone_size(t, i),
		.capacity = zone_map_capacity(t, i),
		.type = is_conventional(t, i) ? STORAGE_ZONE_CONVENTIONAL : STORAGE_ZONE_SEQUENTIAL,
		.condition = t->zone[i].condition,
	};
	z->wp = z->start + t->zone[i].wp;
	/* What is written of a full zone is nobody's affair (BLK-D-27). */
	if (z->condition == STORAGE_ZONE_FULL)
		z->wp = z->start + z->size;
}

int zone_map_range(const struct zone_map *t, uint64_t offset, uint64_t len, uint32_t *i,
		   bool *plain)
{
	uint32_t last = zone_map_at(t, offset + len - 1);

	*i = zone_map_at(t, offset);
	*plain = is_conventional(t, last);
	return *plain || *i == last ? 0 : -STORAGE_EZONE_COMMAND;
}

int64_t zone_map_readable(const struct zone_map *t, uint32_t i, uint64_t offset)
{
	const struct zone *z = &t->zone[i];
	uint64_t at = offset - zone_map_start(t, i);

	if (z->condition == STORAGE_ZONE_OFFLINE)
		return -STORAGE_EZONE_COMMAND;
	return at < z->wp ? (int64_t)(z->wp - at) : 0;
}

/* ---- conditions ---- */

static bool is_open(const struct zone *z)
{
	return z->condition == STORAGE_ZONE_IMPLICIT || z->condition == STORAGE_ZONE_EXPLICIT;
}

static bool is_active(const struct zone *z)
{
	return is_open(z) || z->condition == STORAGE_ZONE_CLOSED;
}

static void zone_become(struct zone_map *t, struct zone *z, enum storage_zone_condition c)
{
	t->open -= is_open(z);
	t->active -= is_active(z);
	if (z->condition == STORAGE_ZONE_IMPLICIT)
		list_del(&z->open);
	z->condition = (uint8_t)c;
	if (c == STORAGE_ZONE_IMPLICIT)
		list_add_tail(&t->implicit, &z->open);
	t->open += is_open(z);
	t->active += is_active(z);
}

static void zone_close(struct zone_map *t, struct zone *z)
{
	zone_become(t, z, z->wp ? STORAGE_ZONE_CLOSED : STORAGE_ZONE_EMPTY);
}

/* Makes it open.  BLK-D-20: where both are used up the active ones are named. */
static int zone_activate(struct zone_map *t, struct zone *z, enum storage_zone_condition c,
			 uint32_t *closed)
{
	const struct storage_zone_limits *l = &t->limits;

	if (is_open(z)) {
		if (c == STORAGE_ZONE_EXPLICIT)
			zone_become(t, z, c);
		return 0;
	}
	if (z->condition != STORAGE_ZONE_EMPTY && z->condition != STORAGE_ZONE_CLOSED)
		return -STORAGE_EZONE_COMMAND;
	if (!is_active(z) && l->max_active && t->active >= l->max_active)
		return -STORAGE_EZONE_ACTIVE;
	if (l->max_open && t->open >= l->max_open) {
		struct zone *old;

		if (list_empty(&t->implicit))
			return -STORAGE_EZONE_OPEN;
		old = list_entry(t->implicit.next, struct zone, open);
		zone_close(t, old);
		*closed = (uint32_t)(old - t->zone);
	}
	zone_become(t, z, c);
	return 0;
}

void zone_map_load(struct zone_map *t, uint32_t i, uint8_t condition, uint64_t wp)
{
	const struct storage_zone_limits *l = &t->limits;
	struct zone *z = &t->zone[i];

	z->wp = z->done = wp;
	/* Nobody writes it at present; what was opened by name stays so as long as the limits let it. */
	if (condition == STORAGE_ZONE_IMPLICIT ||
	    (condition == STORAGE_ZONE_EXPLICIT && l->max_open && t->open >= l->max_open))
		condition = STORAGE_ZONE_CLOSED;
	if (condition == STORAGE_ZONE_CLOSED && !wp)
		condition = STORAGE_ZONE_EMPTY;
	zone_become(t, z, condition);
}

/* ---- writes ---- */

/* In full, or in part, where it may have been done. */
static bool was_done(const struct zone *z, const struct zone_write *w)
{
	return w->again && w->at <= z->done && w->len <= z->done - w->at;
}

static int zone_write_check(const struct zone_map *t, const struct zone *z,
			    const struct zone_write *w)
{
	uint64_t capacity = zone_map_capacity(t, w->i);

	if (z->condition == STORAGE_ZONE_READONLY || z->condition == STORAGE_ZONE_OFFLINE ||
	    z->condition == STORAGE_ZONE_FULL)
		return -STORAGE_EZONE_COMMAND;
	if (w->at != ZONES_APPEND && w->at != z->wp)
		return w->len > capacity - min_u64(w->at, capacity) ? -STORAGE_EZONE_COMMAND
								    : -STORAGE_EZONE_UNALIGNED;
	if (w->len > capacity - z->wp)
		return -STORAGE_EZONE_COMMAND;
	return w->len % t->limits.write_granularity ? -STORAGE_EZONE_UNALIGNED : 0;
}

int zone_map_write_begin(struct zone_map *t, struct zone_write *w, uint32_t *closed)
{
	struct zone *z = &t->zone[w->i];
	int rc;

	*closed = w->i;
	if (t->owner || z->owner || (t->one_write && z->in_flight))
		return ZONES_WAIT;
	w->again = w->at != ZONES_APPEND && was_done(z, w) &&
		   z->condition != STORAGE_ZONE_READONLY && z->condition != STORAGE_ZONE_OFFLINE;
	if (!w->again) {
		rc = zone_write_check(t, z, w);
		if (!rc)
			rc = zone_activate(t, z, STORAGE_ZONE_IMPLICIT, closed);
		if (rc)
			return rc;
		w->at = z->wp;
		z->wp += w->len;
	}
	z->in_flight++;
	t->in_flight++;
	return 0;
}

void zone_map_write_forecast(const struct zone_map *t, const struct zone_write *w, uint64_t *done,
			     uint8_t *condition)
{
	const struct zone *z = &t->zone[w->i];

	*done = max_u64(z->done, w->at + w->len);
	*condition = is_active(z) && w->at + w->len == zone_map_capacity(t, w->i)
			     ? STORAGE_ZONE_FULL
			     : z->condition;
}

bool zone_map_write_end(struct zone_map *t, const struct zone_write *w, int err)
{
	struct zone *z = &t->zone[w->i];
	uint8_t condition;

	z->in_flight--;
	t->in_flight--;
	if (!err) {
		zone_map_write_forecast(t, w, &z->done, &condition);
		if (condition != z->condition)
			zone_become(t, z, condition);
	} else if (!w->again && z->wp == w->at + w->len) {
		z->wp = max_u64(w->at, z->done);
	}
	if (!z->in_flight)
		z->wp = z->done;
	return !z->in_flight && (z->owner || t->owner || t->one_write);
}

/* ---- commands ---- */

int zone_map_own(struct zone_map *t, uint32_t i, const void *owner)
{
	struct zone *z = &t->zone[i];

	if (z->owner != owner) {
		if (z->owner || t->owner)
			return ZONES_WAIT;
		z->owner = owner;
		t->owned++;
	}
	return z->in_flight ? ZONES_WAIT : 0;
}

void zone_map_disown(struct zone_map *t, uint32_t i, const void *owner)
{
	struct zone *z = &t->zone[i];

	(void)owner; /* without assertions */
	assert(z->owner == owner);
	z->owner = NULL;
	t->owned--;
}

int zone_map_own_all(struct zone_map *t, const void *owner)
{
	if (t->owner && t->owner != owner)
		return ZONES_WAIT;
	t->owner = owner;
	return t->owned || t->in_flight ? ZONES_WAIT : 0;
}

void zone_map_disown_all(struct zone_map *t, const void *owner)
{
	(void)owner;
	assert(t->owner == owner);
	t->owner = NULL;
}

int zone_map_open(struct zone_map *t, uint32_t i, uint32_t *closed)
{
	*closed = i;
	return is_conventional(t, i) ? -STORAGE_EZONE_COMMAND
				     : zone_activate(t, &t->zone[i], STORAGE_ZONE_EXPLICIT, closed);
}

int zone_map_close(struct zone_map *t, uint32_t i, bool again)
{
	struct zone *z = &t->zone[i];

	if (is_open(z)) {
		zone_close(t, z);
		return 0;
	}
	/* Nothing is left to do for one that is closed; an open zone without data became empty. */
	return z->condition == STORAGE_ZONE_CLOSED || (again && z->condition == STORAGE_ZONE_EMPTY)
		       ? 0
		       : -STORAGE_EZONE_COMMAND;
}

int zone_map_finish(struct zone_map *t, uint32_t i)
{
	struct zone *z = &t->zone[i];

	if (z->condition != STORAGE_ZONE_EMPTY && !is_active(z) &&
	    z->condition != STORAGE_ZONE_FULL)
		return -STORAGE_EZONE_COMMAND;
	zone_become(t, z, STORAGE_ZONE_FULL);
	return 0;
}

int zone_map_may_reset(const struct zone_map *t, uint32_t i)
{
	const struct zone *z = &t->zone[i];

	return z->condition == STORAGE_ZONE_EMPTY || is_active(z) ||
			       z->condition == STORAGE_ZONE_FULL
		       ? 0
		       : -STORAGE_EZONE_COMMAND;
}

void zone_map_reset(struct zone_map *t, uint32_t i)
{
	struct zone *z = &t->zone[i];

	z->wp = z->done = 0;
	zone_become(t, z, STORAGE_ZONE_EMPTY);
}
