/* SPDX-License-Identifier: MIT */
#include "storage/layer/zoned.h"

#include <errno.h>
#include <string.h>

static struct zoned_io *to_io(struct layer_io *l)
{
	return container_of(l, struct zoned_io, l);
}

static struct zoned_io *of_io(struct storage_io *io)
{
	return container_of(io, struct zoned_io, l.io);
}

static struct zoned_channel *channel_of(const struct zoned_io *z)
{
	return container_of(z->l.ch, struct zoned_channel, ch);
}

static struct zoned *disk_of(const struct zoned_io *z)
{
	return zoned_of(z->l.ch->base.storage);
}

/* What is below was not asked by whoever sent this. */
static int zoned_error(int err)
{
	return err == -EINVAL || err == -EOPNOTSUPP || err == -EROFS ? -EIO : err;
}

static void zoned_answer(struct zoned_io *z, int err)
{
	layer_answer(&z->l, err);
}

/* Under the lock. */
static int zoned_store(struct zoned *d, uint32_t i, uint8_t condition, uint64_t wp)
{
	int rc = zone_state_store(&d->state, i, condition, wp);

	d->stored++;
	if (rc)
		log_limited(&d->complaints, LOG_LEVEL_ERR, d->layer.path,
			    "cannot write the zone state %s: %s", d->path, strerror(-rc));
	return rc;
}

static int zoned_store_as_is(struct zoned *d, uint32_t i)
{
	return zoned_store(d, i, d->zones.zone[i].condition, d->zones.zone[i].done);
}

/* ---- waiting ---- */

/* Under the lock; the request is looked at again when somebody has rung. */
static void zoned_wait(struct zoned_io *z)
{
	disk_of(z)->waiting++;
	list_add_tail(&channel_of(z)->waiting, &z->link);
}

/* Whether one that came earlier waits for that zone: writes keep their order. */
static bool zoned_one_waits(struct zoned_channel *ch, uint32_t zone)
{
	list_for_each (i, &ch->waiting) {
		const struct zoned_io *z = list_entry(i, struct zoned_io, link);

		if (z->w.i == zone && z->w.len)
			return true;
	}
	return false;
}

/* Not under the lock, and not when the channel may have closed. */
static void zoned_ring(struct zoned *d, bool ring)
{
	if (unlikely(ring))
		layer_ring(&d->layer);
}

/* ---- the file ---- */

static void zoned_sync_done(struct storage_io *io, int err)
{
	struct zoned_io *z = container_of(io, struct zoned_io, sync);
	struct zoned *d = disk_of(z);

	pthread_mutex_lock(&d->lock);
	if (!err)
		d->synced = max_u64(d->synced, z->synced);
	pthread_mutex_unlock(&d->lock);
	z->then(z, zoned_error(err));
}

/* What has been stored until now is stable when @then comes. */
static void zoned_sync(struct zoned_io *z, void (*then)(struct zoned_io *z, int err))
{
	struct zoned *d = disk_of(z);
	bool is_stable;

	pthread_mutex_lock(&d->lock);
	z->synced = d->stored;
	is_stable = !d->file || d->synced >= z->synced;
	pthread_mutex_unlock(&d->lock);
	if (is_stable) {
		then(z, 0);
		return;
	}
	z->then = then;
	z->sync.op = STORAGE_FLUSH;
	z->sync.flags = 0;
	z->sync.offset = z->sync.len = 0;
	z->sync.done = zoned_sync_done;
	storage_submit(channel_of(z)->file, &z->sync);
}

/* ---- reads ---- */

static void zoned_passed(struct storage_io *io, int err)
{
	zoned_answer(of_io(io), err);
}

/* [skip, skip + len) of what the vector covers. */
static void zero_part(const struct iovec *iov, uint64_t skip, uint64_t len)
{
	for (; len; iov++) {
		uint64_t here;

		if (skip >= iov->iov_len) {
			skip -= iov->iov_len;
			continue;
		}
		here = min_u64(len, iov->iov_len - skip);
		memset((uint8_t *)iov->iov_base + skip, 0, here);
		len -= here;
		skip = 0;
	}
}

static void zoned_read_done(struct storage_io *io, int err)
{
	struct zoned_io *z = of_io(io);
	const struct storage_io *parent = z->l.parent;

	iov_window_close(&z->window, parent->iov);
	if (!err)
		zero_part(parent->iov, z->part, parent->len - z->part);
	zoned_answer(z, err);
}

static void zoned_read(struct zoned_io *z)
{
	struct zoned *d = disk_of(z);
	const struct storage_io *parent = z->l.parent;
	int64_t written;
	bool plain;
	int rc = zone_map_range(&d->zones, parent->offset, parent->len, &z->i, &plain);

	if (rc) {
		zoned_answer(z, rc);
		return;
	}
	if (plain) {
		layer_pass(&z->l, zoned_passed);
		return;
	}
	pthread_mutex_lock(&d->lock);
	written = zone_map_readable(&d->zones, z->i, parent->offset);
	pthread_mutex_unlock(&d->lock);
	if (written < 0) {
		zoned_answer(z, (int)written);
	} else if (!written) {
		zero_part(parent->iov, 0, parent->len);
		zoned_answer(z, 0);
	} else if ((uint64_t)written >= parent->len) {
		layer_pass(&z->l, zoned_passed);
	} else {
		z->part = (uint64_t)written;
		iov_window_open(&z->window, parent->iov, 0, z->part);
		z->l.io.iovcnt = z->window.last + 1;
		z->l.io.len = z->part;
		layer_pass(&z->l, zoned_read_done);
	}
}

/* ---- writes ---- */

static void zoned_write_done(struct storage_io *io, int err)
{
	struct zoned_io *z = of_io(io);
	struct zoned *d = disk_of(z);
	const struct storage_io *parent = z->l.parent;
	uint8_t condition;
	uint64_t done;
	bool ring;

	err = zoned_error(err);
	pthread_mutex_lock(&d->lock);
	if (!err && !z->w.again) {
		zone_map_write_forecast(&d->zones, &z->w, &done, &condition);
		err = zoned_store(d, z->w.i, condition, done);
	}
	ring = zone_map_write_end(&d->zones, &z->w, err) && d->waiting;
	pthread_mutex_unlock(&d->lock);
	zoned_ring(d, ring);
	if (!err && parent->op == STORAGE_APPEND)
		parent->zone->position = io->offset;
	if (!err && (io->flags & STORAGE_FUA))
		zoned_sync(z, zoned_answer);
	else
		zoned_answer(z, err);
}

/* Where it is to go: @plain, or z->w.  0 or an error. */
static int zoned_write_place(const struct zone_map *t, struct zoned_io *z, bool *plain)
{
	const struct storage_io *parent = z->l.parent;
	int rc;

	*plain = false;
	z->w = (struct zone_write){.len = parent->len, .again = parent->flags & STORAGE_AGAIN};
	if (parent->op == STORAGE_APPEND) {
		z->w.i = zone_map_at(t, parent->offset);
		z->w.at = ZONES_APPEND;
		return parent->offset % t->limits.size || z->w.i < t->conventional
			       ? -STORAGE_EZONE_COMMAND
			       : 0;
	}
	rc = zone_map_range(t, parent->offset, parent->len, &z->w.i, plain);
	if (!rc)
		z->w.at = parent->offset - zone_map_start(t, z->w.i);
	return rc;
}

static void zoned_write(struct zoned_io *z)
{
	struct zoned_channel *ch = channel_of(z);
	struct zoned *d = disk_of(z);
	uint32_t closed;
	bool plain;
	int rc = zoned_write_place(&d->zones, z, &plain);

	if (rc) {
		zoned_answer(z, rc);
		return;
	}
	z->l.io.flags &= ~STORAGE_AGAIN;
	if (plain) {
		layer_pass(&z->l, zoned_passed);
		return;
	}
	pthread_mutex_lock(&d->lock);
	closed = z->w.i;
	rc = ZONES_WAIT;
	if (list_empty(&ch->waiting) || !zoned_one_waits(ch, z->w.i))
		rc = zone_map_write_begin(&d->zones, &z->w, &closed);
	if (closed != z->w.i)
		(void)zoned_store_as_is(d, closed);
	if (rc == ZONES_WAIT)
		zoned_wait(z);
	pthread_mutex_unlock(&d->lock);
	if (rc == ZONES_WAIT)
		return;
	if (rc) {
		zoned_answer(z, rc);
		return;
	}
	if (z->l.io.op == STORAGE_APPEND)
		z->l.io.op = STORAGE_WRITE;
	z->l.io.offset = zone_map_start(&d->zones, z->w.i) + z->w.at;
	layer_pass(&z->l, zoned_write_done);
}

/* ---- flush ---- */

static void zoned_flush_done(struct storage_io *io, int err)
{
	struct zoned_io *z = of_io(io);

	if (err)
		zoned_answer(z, err);
	else
		zoned_sync(z, zoned_answer);
}

/* ---- report ---- */

static void zoned_report(struct zoned_io *z)
{
	struct zoned *d = disk_of(z);
	struct storage_zone_reply *r = z->l.parent->zone;
	uint32_t i = zone_map_at(&d->zones, z->l.parent->offset);

	pthread_mutex_lock(&d->lock);
	for (r->n = 0; r->n < r->max && i < d->zones.n; r->n++, i++)
		zone_map_tell(&d->zones, i, &r->zones[r->n]);
	pthread_mutex_unlock(&d->lock);
	zoned_answer(z, 0);
}

/* ---- open, close, finish ---- */

/* The zone of a command; false: it is answered. */
static bool zoned_command_zone(struct zoned_io *z)
{
	const struct zoned *d = disk_of(z);
	uint64_t offset = z->l.parent->offset;

	if (offset % d->zones.limits.size || offset >= d->zones.disk_size) {
		zoned_answer(z, -STORAGE_EZONE_COMMAND);
		return false;
	}
	z->i = zone_map_at(&d->zones, offset);
	z->last = z->i + 1;
	return true;
}

/* Under the lock. */
static int zoned_carry_out(struct zoned *d, struct zoned_io *z)
{
	const struct storage_io *parent = z->l.parent;
	uint32_t closed = z->i;
	int rc;

	if (parent->op == STORAGE_ZONE_OPEN)
		rc = zone_map_open(&d->zones, z->i, &closed);
	else if (parent->op == STORAGE_ZONE_CLOSE)
		rc = zone_map_close(&d->zones, z->i, parent->flags & STORAGE_AGAIN);
	else
		rc = zone_map_finish(&d->zones, z->i);
	if (rc)
		return rc;
	if (closed != z->i)
		(void)zoned_store_as_is(d, closed);
	return zoned_store_as_is(d, z->i);
}

static void zoned_command(struct zoned_io *z)
{
	struct zoned *d = disk_of(z);
	bool ring = false;
	int rc;

	if (!zoned_command_zone(z))
		return;
	pthread_mutex_lock(&d->lock);
	rc = zone_map_own(&d->zones, z->i, z);
	if (rc == ZONES_WAIT) {
		zoned_wait(z);
	} else {
		rc = zoned_carry_out(d, z);
		zone_map_disown(&d->zones, z->i, z);
		ring = d->waiting;
	}
	pthread_mutex_unlock(&d->lock);
	if (rc == ZONES_WAIT)
		return;
	zoned_ring(d, ring);
	zoned_answer(z, rc);
}

/* ---- reset ---- */

static bool is_all(const struct zoned_io *z)
{
	return z->l.parent->op == STORAGE_ZONE_RESET_ALL;
}

/* Under the lock. */
static bool needs_reset(const struct zoned *d, uint32_t i)
{
	return !zone_map_may_reset(&d->zones, i) &&
	       d->zones.zone[i].condition != STORAGE_ZONE_EMPTY;
}

static uint32_t reset_first(const struct zoned_io *z)
{
	return is_all(z) ? disk_of(z)->zones.conventional : z->last - 1;
}

/* The zones are the old ones, or empty. */
static void zoned_reset_end(struct zoned_io *z, int err)
{
	struct zoned *d = disk_of(z);
	bool ring;

	pthread_mutex_lock(&d->lock);
	for (uint32_t i = reset_first(z); i < z->last; i++) {
		if (!needs_reset(d, i))
			continue;
		if (err)
			(void)zoned_store_as_is(d, i);
		else
			zone_map_reset(&d->zones, i);
	}
	if (is_all(z))
		zone_map_disown_all(&d->zones, z);
	else
		zone_map_disown(&d->zones, z->last - 1, z);
	ring = d->waiting;
	pthread_mutex_unlock(&d->lock);
	zoned_ring(d, ring);
	zoned_answer(z, err);
}

static void zoned_give_back(struct zoned_io *z);

static void zoned_gave_back(struct storage_io *io, int err)
{
	struct zoned_io *z = of_io(io);

	/* That space is given back is a favour: the zone is empty in any case. */
	(void)err;
	io->offset += io->len;
	z->under_way = false;
	if (!z->sending)
		zoned_give_back(z);
}

/* The next zone with something to give back; z->last: there is none. */
static uint32_t zoned_next_full(struct zoned_io *z, uint32_t i)
{
	struct zoned *d = disk_of(z);

	pthread_mutex_lock(&d->lock);
	while (i < z->last && !(needs_reset(d, i) && d->zones.zone[i].wp))
		i++;
	pthread_mutex_unlock(&d->lock);
	return i;
}

static void zoned_give_back_from(struct zoned_io *z, uint32_t i)
{
	const struct zone_map *t = &disk_of(z)->zones;

	z->i = zoned_next_full(z, i);
	z->l.io.offset = zone_map_start(t, z->i);
	z->end = z->l.io.offset + (z->i < z->last ? zone_map_capacity(t, z->i) : 0);
}

static void zoned_give_back(struct zoned_io *z)
{
	const struct zoned *d = disk_of(z);

	while (z->i < z->last) {
		if (z->l.io.offset == z->end) {
			zoned_give_back_from(z, z->i + 1);
			continue;
		}
		z->l.io.op = STORAGE_DISCARD;
		z->l.io.flags = 0;
		z->l.io.len = min_u64(d->discard, z->end - z->l.io.offset);
		z->sending = z->under_way = true;
		layer_pass(&z->l, zoned_gave_back);
		z->sending = false;
		if (z->under_way)
			return;
	}
	zoned_reset_end(z, 0);
}

static void zoned_reset_synced(struct zoned_io *z, int err)
{
	if (err || !disk_of(z)->discard) {
		zoned_reset_end(z, err);
		return;
	}
	zoned_give_back_from(z, reset_first(z));
	zoned_give_back(z);
}

/* Under the lock, and owned: in the file, and nowhere else yet. */
static int zoned_reset_store(struct zoned *d, struct zoned_io *z)
{
	int rc = is_all(z) ? 0 : zone_map_may_reset(&d->zones, z->i);

	for (uint32_t i = reset_first(z); !rc && i < z->last; i++)
		if (needs_reset(d, i))
			rc = zoned_store(d, i, STORAGE_ZONE_EMPTY, 0);
	return rc;
}

static void zoned_reset(struct zoned_io *z)
{
	struct zoned *d = disk_of(z);
	int rc;

	if (is_all(z)) {
		z->i = d->zones.conventional;
		z->last = d->zones.n;
	} else if (!zoned_command_zone(z)) {
		return;
	}
	pthread_mutex_lock(&d->lock);
	rc = is_all(z) ? zone_map_own_all(&d->zones, z) : zone_map_own(&d->zones, z->i, z);
	if (rc == ZONES_WAIT)
		zoned_wait(z);
	else
		rc = zoned_reset_store(d, z);
	pthread_mutex_unlock(&d->lock);
	if (rc == ZONES_WAIT)
		return;
	if (rc)
		zoned_reset_end(z, rc);
	else
		zoned_sync(z, zoned_reset_synced);
}

/* ---- all of them ---- */

static void zoned_start(struct zoned_io *z)
{
	switch (z->l.parent->op) {
	case STORAGE_READ:
		zoned_read(z);
		return;
	case STORAGE_WRITE:
	case STORAGE_WRITE_ZEROES:
	case STORAGE_APPEND:
		zoned_write(z);
		return;
	case STORAGE_FLUSH:
		layer_pass(&z->l, zoned_flush_done);
		return;
	case STORAGE_ZONE_REPORT:
		zoned_report(z);
		return;
	case STORAGE_ZONE_OPEN:
	case STORAGE_ZONE_CLOSE:
	case STORAGE_ZONE_FINISH:
		zoned_command(z);
		return;
	case STORAGE_ZONE_RESET:
	case STORAGE_ZONE_RESET_ALL:
		zoned_reset(z);
		return;
	default:
		layer_pass(&z->l, zoned_passed);
	}
}

static void zoned_begin(struct layer_io *l)
{
	struct zoned_io *z = to_io(l);
	struct zoned_channel *ch = channel_of(z);

	z->w.len = 0;
	/* It came from inside a done: those that waited go first. */
	if (unlikely(ch->is_going))
		list_add_tail(&ch->going, &z->link);
	else
		zoned_start(z);
}

static void zoned_rung(struct layer_channel *base)
{
	struct zoned_channel *ch = container_of(base, struct zoned_channel, ch);
	struct zoned *d = zoned_of(base->base.storage);
	bool more = true;

	if (list_empty(&ch->waiting))
		return;
	/* What has to wait still is in the channel's list again. */
	pthread_mutex_lock(&d->lock);
	list_take_all(&ch->going, &ch->waiting);
	list_for_each (i, &ch->going)
		d->waiting--;
	pthread_mutex_unlock(&d->lock);
	ch->is_going = true;
	while (more) {
		struct zoned_io *z = list_entry(ch->going.next, struct zoned_io, link);

		list_del(&z->link);
		/* The channel may be gone behind the last one. */
		more = ch->is_going = !list_empty(&ch->going);
		zoned_start(z);
	}
}

const struct layer_channel_ops zoned_channel_ops = {
	.io_size = sizeof(struct zoned_io),
	.begin = zoned_begin,
	.rung = zoned_rung,
};
