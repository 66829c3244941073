/* SPDX-License-Identifier: MIT */
#include "conform/ring.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "conform/trial.h"
#include "vring/size.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

void ring_clear(struct ring *r)
{
	memset(at(r->t, r->desc, vring_desc_size(r->num)), 0, vring_desc_size(r->num));
	memset(at(r->t, r->driver, vring_driver_size(r->num, r->packed)), 0,
	       vring_driver_size(r->num, r->packed));
	memset(at(r->t, r->device, vring_device_size(r->num, r->packed)), 0,
	       vring_device_size(r->num, r->packed));
	r->next_desc = r->avail_idx = r->used_idx = 0;
	r->avail_slot = r->used_slot = r->next_id = 0;
	r->avail_wrap = r->used_wrap = true;
	r->held = false;
}

void ring_alloc(struct ring *r, struct trial *t, unsigned index, uint16_t num, bool packed)
{
	memset(r, 0, sizeof(*r));
	r->t = t;
	r->index = index;
	r->num = num;
	r->packed = packed;
	r->desc = mem_aligned(t, vring_desc_size(num), 4096);
	r->driver = mem_aligned(t, vring_driver_size(num, packed), 4096);
	r->device = mem_aligned(t, vring_device_size(num, packed), 4096);
	if (packed) {
		r->slots = at(t, r->desc, vring_desc_size(num));
		r->driver_event = at(t, r->driver, sizeof(*r->driver_event));
		r->device_event = at(t, r->device, sizeof(*r->device_event));
	} else {
		r->table = at(t, r->desc, vring_desc_size(num));
		r->avail = at(t, r->driver, vring_driver_size(num, packed));
		r->used = at(t, r->device, vring_device_size(num, packed));
	}
	r->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->err = -1;
	ring_clear(r);
}

void ring_close(struct ring *r)
{
	if (!r->t)
		return;
	close(r->kick);
	close(r->call);
	if (r->err >= 0)
		close(r->err);
	r->t = NULL;
}

void ring_desc(struct ring *r, unsigned i, uint64_t addr, uint32_t len, unsigned flags,
	       uint16_t next)
{
	struct virtq_desc *d = &r->table[i];

	le64_write(&d->addr, addr);
	le32_write(&d->len, len);
	le16_write(&d->flags, (uint16_t)flags);
	le16_write(&d->next, next);
}

void table_desc(struct trial *t, uint64_t table, unsigned i, uint64_t addr, uint32_t len,
		unsigned flags, uint16_t next)
{
	const struct virtq_desc d = {le64_make(addr), le32_make(len), le16_make((uint16_t)flags),
				     le16_make(next)};

	memcpy(at(t, table + i * sizeof(d), sizeof(d)), &d, sizeof(d));
}

void ring_offer(struct ring *r, uint16_t head)
{
	le16_write(&r->avail->ring[r->avail_idx & (r->num - 1)], head);
	r->avail_idx++;
}

static uint16_t flags_now(const struct ring *r, unsigned flags)
{
	return (uint16_t)(flags | (r->avail_wrap ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED));
}

static void ring_step(uint16_t *slot, bool *wrap, uint16_t by, uint16_t num)
{
	*slot = (uint16_t)(*slot + by);
	if (*slot >= num) {
		*slot = (uint16_t)(*slot - num);
		*wrap = !*wrap;
	}
}

void ring_put(struct ring *r, uint64_t addr, uint32_t len, unsigned flags, uint16_t id)
{
	struct pvirtq_desc *d = &r->slots[r->avail_slot];

	le64_write(&d->addr, addr);
	le32_write(&d->len, len);
	le16_write(&d->id, id);
	le16_store_release(&d->flags, flags_now(r, flags));
	ring_step(&r->avail_slot, &r->avail_wrap, 1, r->num);
}

static uint16_t add_packed(struct ring *r, const struct seg *segs, unsigned n)
{
	uint16_t id = r->next_id;

	r->next_id = (uint16_t)((id + 1) % r->num);
	r->entries[id] = (uint16_t)n;
	for (unsigned i = 0; i < n; i++) {
		struct pvirtq_desc *d = &r->slots[r->avail_slot];
		uint16_t flags = flags_now(r, segs[i].flags | (i + 1 < n ? F_NEXT : 0));

		le64_write(&d->addr, segs[i].addr);
		le32_write(&d->len, segs[i].len);
		le16_write(&d->id, id);
		if (!r->held) {
			r->held = true;
			r->held_slot = r->avail_slot;
			r->held_flags = flags;
		} else {
			le16_store_release(&d->flags, flags);
		}
		ring_step(&r->avail_slot, &r->avail_wrap, 1, r->num);
	}
	return id;
}

uint16_t ring_add(struct ring *r, const struct seg *segs, unsigned n)
{
	uint16_t head = r->next_desc;

	if (r->packed)
		return add_packed(r, segs, n);
	for (unsigned i = 0; i < n; i++) {
		uint16_t next = (uint16_t)((r->next_desc + 1) % r->num);

		ring_desc(r, r->next_desc, segs[i].addr, segs[i].len,
			  segs[i].flags | (i + 1 < n ? F_NEXT : 0), next);
		r->next_desc = next;
	}
	ring_offer(r, head);
	return head;
}

void ring_publish(struct ring *r)
{
	if (!r->packed) {
		le16_store_release(&r->avail->idx, r->avail_idx);
	} else if (r->held) {
		le16_store_release(&r->slots[r->held_slot].flags, r->held_flags);
		r->held = false;
	}
	barrier_full();
}

bool ring_take(struct ring *r, struct used *u)
{
	const struct virtq_used_elem *e;

	if (r->packed) {
		const struct pvirtq_desc *d = &r->slots[r->used_slot];
		uint16_t flags = le16_load_acquire(&d->flags);
		bool avail = flags & VIRTQ_DESC_F_AVAIL, used = flags & VIRTQ_DESC_F_USED;

		if (avail != used || used != r->used_wrap)
			return false;
		u->id = le16_read(&d->id);
		u->len = le32_read(&d->len);
		u->flags = flags;
		ring_step(&r->used_slot, &r->used_wrap,
			  u->id < r->num && r->entries[u->id] ? r->entries[u->id] : 1, r->num);
		return true;
	}
	if (le16_load_acquire(&r->used->idx) == r->used_idx)
		return false;
	e = &r->used->ring[r->used_idx & (r->num - 1)];
	u->id = le32_read(&e->id);
	u->len = le32_read(&e->len);
	u->flags = 0;
	r->used_idx++;
	return true;
}

void ring_skip(struct ring *r, uint16_t n)
{
	ring_step(&r->used_slot, &r->used_wrap, n, r->num);
}

bool ring_poll(struct ring *r, struct used *u, int ms)
{
	uint64_t until = clock_ns() + (uint64_t)ms * NSEC_PER_MSEC;

	for (unsigned turn = 0;; turn++) {
		if (ring_take(r, u))
			return true;
		if (clock_ns() >= until)
			return ring_take(r, u);
		if (turn < 100)
			cpu_relax();
		else
			usleep(turn < 1000 ? 20 : 1000);
	}
}

void ring_wait(struct ring *r, struct used *u)
{
	if (!ring_poll(r, u, r->t->o->timeout_ms))
		trial_fail(r->t, "the request is completed",
			   "nothing was used on queue %u within %d ms%s", r->index,
			   r->t->o->timeout_ms, gone(r->t) ? "; the device has gone away" : "");
}

void ring_expect_nothing(struct ring *r, const char *expected)
{
	struct used u;

	if (ring_poll(r, &u, r->t->o->quiet_ms))
		trial_fail(r->t, expected, "queue %u: used entry with id %u, len %u", r->index,
			   u.id, u.len);
}

void ring_expect_call(struct ring *r, const char *expected)
{
	if (!ring_calls(r, r->t->o->timeout_ms))
		trial_fail(r->t, expected,
			   "no notification on queue %u within %d ms, and the request was used",
			   r->index, r->t->o->timeout_ms);
}

void ring_used_event(struct ring *r, uint16_t idx)
{
	if (r->packed)
		le16_write(&r->driver_event->off_wrap, idx);
	else
		le16_write(&r->avail->ring[r->num], idx);
	barrier_full();
}

void ring_driver_flags(struct ring *r, uint16_t flags)
{
	if (r->packed)
		le16_write(&r->driver_event->flags, flags);
	else
		le16_write(&r->avail->flags, flags);
	barrier_full();
}
