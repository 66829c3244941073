/* SPDX-License-Identifier: MIT */
#include "conformance/mutant.h"

#include "base/atomic.h"
#include "vring/size.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct view {
	struct virtq_desc *desc;
	struct pvirtq_desc *slots;
	struct virtq_avail *avail;
	struct virtq_used *used;
	struct pvirtq_event *driver, *device;
};

static bool look(struct mutant *m, struct queue *q, struct view *v)
{
	bool packed = has(m, VIRTIO_F_RING_PACKED);
	void *desc, *driver, *device;

	if (q->num == 0 && is(m, M_DIE_ZERO))
		abort();
	if (!q->addressed || !vring_num_ok(q->num, packed))
		return false;
	desc = guest_at_user(m, q->desc_user, vring_desc_size(q->num));
	driver = guest_at_user(m, q->driver_user, vring_driver_size(q->num, packed));
	device = guest_at_user(m, q->device_user, vring_device_size(q->num, packed));
	*v = (struct view){.desc = desc,
			   .slots = desc,
			   .avail = driver,
			   .driver = driver,
			   .used = device,
			   .device = device};
	return desc && driver && device && !((uintptr_t)desc % 16) && !((uintptr_t)driver % 4) &&
	       !((uintptr_t)device % 4);
}

static bool add_part(struct chain *c, uint64_t addr, uint32_t len, bool write)
{
	if (c->n == PARTS_MAX || (uint64_t)c->readable + c->writable + len > UINT32_MAX)
		return false;
	if (!write && c->writable && len)
		return false;
	c->parts[c->n++] = (struct part){addr, len, write};
	*(write ? &c->writable : &c->readable) += len;
	return true;
}

/* Split */

static bool walk_table(struct mutant *m, struct chain *c, uint64_t table, uint32_t len)
{
	uint32_t n = len / 16, i = 0;

	if (!n || len % 16 || n > PARTS_MAX || is(m, M_NO_INDIRECT))
		return false;
	c->table = table;
	for (uint32_t turn = 0; turn < n || is(m, M_HANG_LOOP); turn++) {
		struct virtq_desc d;
		uint16_t flags;

		if (!guest_read(m, table + i * 16, &d, sizeof(d)))
			return false;
		flags = le16_get(d.flags);
		if (flags & VIRTQ_DESC_F_INDIRECT)
			return false;
		if (!add_part(c, le64_get(d.addr), le32_get(d.len), flags & VIRTQ_DESC_F_WRITE) &&
		    !is(m, M_HANG_LOOP))
			return false;
		if (!(flags & VIRTQ_DESC_F_NEXT))
			return true;
		i = is(m, M_INDIRECT_PLACE) ? i + 1 : le16_get(d.next);
		if (i >= n)
			return false;
	}
	return false;
}

/* 1: a chain; 0: nothing; -1: broken */
static int pop_split(struct mutant *m, struct queue *q, struct view *v, struct chain *c)
{
	uint16_t idx = le16_load_acquire(&v->avail->idx);
	uint16_t pending = (uint16_t)(idx - q->last_avail), i;

	if (is(m, M_INDEX_WRAP) && idx < q->last_avail)
		return 0;
	if (is(m, M_FULL_EMPTY))
		pending = (uint16_t)(pending % q->num);
	if (!pending)
		return 0;
	if (pending > q->num)
		return -1;
	i = le16_read(&v->avail->ring[q->last_avail & (q->num - 1)]);
	if (is(m, M_WRITE_AVAIL))
		le16_write(&v->avail->ring[q->last_avail & (q->num - 1)], 0xabcd);
	q->last_avail++;
	c->id = i;
	for (uint32_t turn = 0; turn < q->num; turn++) {
		uint16_t flags;
		uint64_t addr;
		uint32_t len;

		if (i >= q->num)
			return -1;
		addr = le64_read(&v->desc[i].addr);
		len = le32_read(&v->desc[i].len);
		flags = le16_read(&v->desc[i].flags);
		if (flags & VIRTQ_DESC_F_INDIRECT) {
			if (flags & VIRTQ_DESC_F_NEXT || !has(m, VIRTIO_F_INDIRECT_DESC))
				return -1;
			if ((is(m, M_INDIRECT_WRITE) && flags & VIRTQ_DESC_F_WRITE) ||
			    (is(m, M_INDIRECT_FIRST) && turn))
				return -1;
			return walk_table(m, c, addr, len) ? 1 : -1;
		}
		if (!add_part(c, addr, len, flags & VIRTQ_DESC_F_WRITE))
			return -1;
		if (is(m, M_WRITE_TABLE) && !turn)
			le32_write(&v->desc[i].len, 0);
		if (!(flags & VIRTQ_DESC_F_NEXT))
			return is(m, M_CHAIN_SHORT) && turn + 1 == q->num ? -1 : 1;
		i = le16_read(&v->desc[i].next);
	}
	if (is(m, M_DIE_LOOP))
		abort();
	return -1;
}

static void push_split(struct mutant *m, struct queue *q, struct view *v, const struct done *d)
{
	struct virtq_used_elem *e = &v->used->ring[q->last_used & (q->num - 1)];

	le32_write(&e->id, d->id);
	le32_write(&e->len, d->len);
	q->last_used++;
	le16_store_release(&v->used->idx, q->last_used);
	if (q->log_used && !is(m, M_LOG_USED)) {
		guest_log(m, q->log + (uint64_t)((uint8_t *)e - (uint8_t *)v->used), sizeof(*e));
		guest_log(m, q->log, 4);
	}
}

/* Packed */

static int pop_packed(struct mutant *m, struct queue *q, struct view *v, struct chain *c)
{
	uint16_t flags = le16_load_acquire(&v->slots[q->last_avail].flags);
	bool avail = flags & VIRTQ_DESC_F_AVAIL, used = flags & VIRTQ_DESC_F_USED;
	uint16_t slot = q->last_avail;

	if (avail == used || (avail != q->avail_wrap && !is(m, M_PK_STALE)))
		return 0;
	for (uint32_t turn = 0; turn < q->num; turn++) {
		struct pvirtq_desc *d = &v->slots[slot];
		uint64_t addr = le64_read(&d->addr);
		uint32_t len = le32_read(&d->len);

		flags = turn ? le16_load_acquire(&d->flags) : flags;
		if (!turn || !is(m, M_PK_FIRST_ID))
			c->id = le16_read(&d->id);
		c->slots++;
		if (++slot == q->num)
			slot = 0;
		if (flags & VIRTQ_DESC_F_INDIRECT) {
			if (flags & VIRTQ_DESC_F_NEXT || !has(m, VIRTIO_F_INDIRECT_DESC) || !len ||
			    len % 16 || len / 16 > PARTS_MAX)
				return -1;
			for (uint32_t i = 0; i < len / 16; i++) {
				struct pvirtq_desc t;

				if (!guest_read(m, addr + i * 16, &t, sizeof(t)))
					return -1;
				if (is(m, M_PK_TABLE_ID))
					c->id = le16_get(t.id);
				if (!add_part(c, le64_get(t.addr), le32_get(t.len),
					      le16_get(t.flags) & VIRTQ_DESC_F_WRITE))
					return -1;
				if (is(m, M_PK_TABLE_NEXT) && i &&
				    le16_get(t.flags) & VIRTQ_DESC_F_NEXT)
					break;
			}
			break;
		}
		if (!add_part(c, addr, len, flags & VIRTQ_DESC_F_WRITE))
			return -1;
		if (!(flags & VIRTQ_DESC_F_NEXT))
			break;
		if (turn + 1 == q->num)
			return -1;
	}
	if (is(m, M_PK_CHAIN) && c->slots == q->num)
		return -1;
	q->last_avail = (uint16_t)(q->last_avail + c->slots);
	if (q->last_avail >= q->num) {
		q->last_avail = (uint16_t)(q->last_avail - q->num);
		q->avail_wrap = !q->avail_wrap;
	}
	return 1;
}

static void push_packed(struct mutant *m, struct queue *q, struct view *v, const struct done *d)
{
	uint16_t at = q->last_used,
		 flags = q->used_wrap ? VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED : 0;
	struct pvirtq_desc *e;

	if (is(m, M_PK_POW2)) {
		uint32_t pow2 = 1;

		while (pow2 * 2 <= q->num)
			pow2 *= 2;
		at = (uint16_t)(at & (pow2 - 1));
	}
	e = &v->slots[at];
	le16_write(&e->id, d->id);
	le32_write(&e->len, d->len);
	if (d->wrote && !is(m, M_PK_NO_WRITE))
		flags |= VIRTQ_DESC_F_WRITE;
	le16_store_release(&e->flags, flags);
	if (q->log_used && !is(m, M_LOG_USED))
		guest_log(m, q->log + at * 16u, 16);
	q->touch_slot = at;
	q->touch = is(m, M_PK_TOUCH);
	q->last_used = (uint16_t)(q->last_used + (is(m, M_PK_SKIP) ? 1 : d->slots));
	if (q->last_used >= q->num) {
		q->last_used = (uint16_t)(q->last_used - q->num);
		if (!is(m, M_PK_WRAP))
			q->used_wrap = !q->used_wrap;
	}
}

/* Notifications */

/* A counter that is full, or a pipe without a reader, keeps nobody waiting. */
static void ring_bell(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	uint64_t one = 1;

	if (fd >= 0 && poll(&p, 1, 0) == 1 && write(fd, &one, sizeof(one)) < 0)
		return;
}

static void call(struct mutant *m, struct queue *q)
{
	bool packed = has(m, VIRTIO_F_RING_PACKED);
	bool keeps = q->old_call >= 0 && (is(m, M_CALL_SWAP) || is(m, M_CALL_OLD));

	q->calls++;
	if (((is(m, M_CALL_LOST) && !packed) || (is(m, M_PK_CALL) && packed)) && q->calls % 7 == 0)
		return;
	if (keeps)
		ring_bell(q->old_call);
	if (!keeps || !is(m, M_CALL_SWAP))
		ring_bell(q->call);
}

static void notify_split(struct mutant *m, struct queue *q, struct view *v, uint16_t before)
{
	uint16_t now = q->last_used, event = le16_read(&v->avail->ring[q->num]);
	bool wanted;

	if (has(m, VIRTIO_F_EVENT_IDX)) {
		uint16_t old = q->signalled_valid ? q->signalled : before;

		wanted = !q->signalled_valid || (uint16_t)(now - event - 1) < (uint16_t)(now - old);
		if (is(m, M_EVENT_OFF))
			wanted = (uint16_t)(now - event - 2) < (uint16_t)(now - old);
		if (is(m, M_EVENT_WRAP))
			wanted = event < now && event >= old;
		if (is(m, M_EVENT_BATCH))
			wanted = (uint16_t)(now - 1) == event;
		if (is(m, M_EVENT_FLAG))
			wanted = wanted && !(le16_read(&v->avail->flags) & 1);
		if (is(m, M_EVENT_ALWAYS))
			wanted = true;
		q->signalled = now;
		q->signalled_valid = true;
	} else {
		wanted = !(le16_read(&v->avail->flags) & 1) || is(m, M_CALL_FLAG);
		if (is(m, M_CALL_USED_EVENT) && event)
			wanted = (uint16_t)(now - event - 1) < (uint16_t)(now - before);
	}
	if (wanted)
		call(m, q);
}

static void notify_packed(struct mutant *m, struct queue *q, struct view *v, uint16_t before,
			  bool before_wrap)
{
	uint16_t flags = le16_read(&v->driver->flags) & RING_EVENT_FLAGS_MASK;
	uint16_t off = le16_read(&v->driver->off_wrap);
	bool wrap = off & RING_EVENT_WRAP;
	bool wanted = true;

	off &= 0x7fff;
	if (flags == RING_EVENT_FLAGS_DISABLE)
		wanted = is(m, M_PK_DISABLE);
	else if ((flags == RING_EVENT_FLAGS_DESC && has(m, VIRTIO_F_EVENT_IDX)) ||
		 (flags == RING_EVENT_FLAGS_ENABLE && is(m, M_PK_IGNORED))) {
		/* Positions counted from where the batch began, with laps as multiples of the size. */
		int32_t at = off + (wrap != before_wrap ? (int32_t)q->num : 0);
		int32_t end = q->last_used + (q->used_wrap != before_wrap ? (int32_t)q->num : 0);

		if (is(m, M_PK_EVENT))
			at = wrap ? off : 0x7fff;
		wanted = at >= before && at < end;
		if (is(m, M_PK_EVENT_BATCH))
			wanted = at + 3 == end;
		if (is(m, M_PK_EVENT_ALWAYS))
			wanted = true;
	}
	if (wanted)
		call(m, q);
}

/* A batch: everything that is available. */

static bool served(const struct mutant *m, const struct queue *q)
{
	bool enabled = q->enabled || is(m, M_ENABLED_EARLY);

	if (m->protocol >> VHOST_USER_PROTOCOL_F_STATUS & 1 &&
	    !(m->status & VIRTIO_STATUS_DRIVER_OK) && !is(m, M_DRIVER_OK) && !is(m, M_STATUS_RESET))
		return false;
	if (is(m, M_QUEUE_DEAD) && q->index == QUEUES - 1)
		return false;
	if (is(m, M_ALONE) && has(m, VIRTIO_F_EVENT_IDX) && !has(m, VIRTIO_F_INDIRECT_DESC))
		return false;
	return (q->started || is(m, M_STOP_IGNORED)) && enabled && !q->broken &&
	       !(is(m, M_CALL_NEEDED) && q->call < 0);
}

static void flags_out(struct mutant *m, struct queue *q, struct view *v)
{
	bool packed = has(m, VIRTIO_F_RING_PACKED), event_idx = has(m, VIRTIO_F_EVENT_IDX);

	if (packed) {
		if (is(m, M_PK_DEVICE_FLAGS) && !event_idx)
			le16_write(&v->device->flags, RING_EVENT_FLAGS_DESC);
		return;
	}
	if (is(m, M_USED_FLAGS) && !event_idx)
		le16_write(&v->used->flags, 2);
	if ((is(m, M_USED_FLAGS_EVENT) && event_idx) ||
	    (is(m, M_KICK_OFF) && !event_idx && q->requests > 8))
		le16_write(&v->used->flags, 1);
	if (event_idx)
		le16_write((le16 *)(void *)&v->used->ring[q->num],
			   (uint16_t)(q->last_avail +
				      (is(m, M_KICK_EVENT) && q->requests > 8 ? 2 : 0)));
}

static void use(struct mutant *m, struct queue *q, struct view *v, const struct done *d)
{
	if (has(m, VIRTIO_F_RING_PACKED))
		push_packed(m, q, v, d);
	else
		push_split(m, q, v, d);
}

static void break_queue(struct mutant *m, struct queue *q)
{
	q->broken = true;
	if (is(m, M_BREAK_ALL))
		for (unsigned i = 0; i < QUEUES; i++)
			m->queues[i].broken = true;
}

/* Whether there may be more. */
static bool run_once(struct mutant *m, struct queue *q)
{
	static struct chain c;
	struct done done[1024];
	bool packed = has(m, VIRTIO_F_RING_PACKED), wrap = q->used_wrap, kicked = q->kicked;
	uint16_t before = q->last_used;
	bool overtakes = has(m, VIRTIO_F_IN_ORDER) &&
			 ((is(m, M_ORDER) && !packed) || (is(m, M_PK_ORDER) && packed));
	unsigned n = 0, slots = 0;
	static struct chain first;
	bool held = false;
	struct view v;
	int rc = 0;

	q->kicked = false;
	if (!served(m, q) || !look(m, q, &v))
		return false;
	barrier_full();
	while (n < 1024) {
		int64_t len;

		c.n = c.slots = 0;
		c.readable = c.writable = 0;
		c.table = 0;
		rc = packed ? pop_packed(m, q, &v, &c) : pop_split(m, q, &v, &c);
		if (rc <= 0)
			break;
		slots += c.slots;
		if (is(m, M_PK_FULL) && slots == q->num && n > 2) {
			rc = -1;
			break;
		}
		if (overtakes && !held) {
			first = c;
			held = true;
			continue;
		}
		len = blk_do(m, q, &c);
		if (is(m, M_WRITE_INDIRECT) && c.table)
			guest_write(m, c.table, "\0\0\0\0\0\0\0", 8);
		if (len < 0)
			continue;
		if (is(m, M_STOP_LATE) && n >= 8 && q->n_late < 64) {
			q->late[q->n_late++] = (struct done){c.id, c.slots, (uint32_t)len,
							     c.writable > 0};
			continue;
		}
		if (is(m, M_STOP_EARLY) && n >= 8)
			continue;
		done[n++] = (struct done){c.id, c.slots, (uint32_t)len, c.writable > 0};
	}
	if (rc < 0 || (is(m, M_SPURIOUS) && kicked && !n))
		break_queue(m, q);
	if (!n && !held) {
		flags_out(m, q, &v);
		return false;
	}
	for (unsigned i = 0; i < n; i++) {
		use(m, q, &v, &done[i]);
		if (is(m, M_USED_TWICE) && q->requests % 10 == 0)
			use(m, q, &v, &done[i]);
	}
	if (held) {
		int64_t len;

		usleep(n ? 3000 : 0);
		len = blk_do(m, q, &first);
		use(m, q, &v,
		    &(struct done){first.id, first.slots, (uint32_t)len, first.writable > 0});
	}
	flags_out(m, q, &v);
	barrier_full();
	if (packed)
		notify_packed(m, q, &v, before, wrap);
	else
		notify_split(m, q, &v, before);
	if (is(m, M_STATUS_LATE) && c.n) {
		uint8_t ok = VIRTIO_BLK_S_OK;

		usleep(3000);
		guest_write(m, c.parts[c.n - 1].addr + c.parts[c.n - 1].len - 1, &ok, 1);
	}
	return true;
}

void queue_run(struct mutant *m, struct queue *q)
{
	while (run_once(m, q))
		;
}

bool queue_later(struct mutant *m, struct queue *q)
{
	struct view v;

	if (q->touch && has(m, VIRTIO_F_RING_PACKED) && look(m, q, &v)) {
		q->touch = false;
		le32_write(&v.slots[q->touch_slot].len, 0x7777);
	}
	if (!q->n_late || q->started)
		return q->n_late;
	if (look(m, q, &v)) {
		for (unsigned i = 0; i < q->n_late; i++)
			use(m, q, &v, &q->late[i]);
		call(m, q);
	}
	q->n_late = 0;
	return false;
}

void queue_stopped(struct mutant *m, struct queue *q)
{
	(void)m;
	q->started = false;
	q->signalled_valid = false;
}
