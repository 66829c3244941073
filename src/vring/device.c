/* SPDX-License-Identifier: MIT */
#include "vring/remote.h"

#include "vring/device_walk.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void vqdev_ask(struct vqdev *vq, bool kicks)
{
	if (vq->is_packed)
		vqdev_packed_ask(vq, kicks);
	else
		vqdev_split_ask(vq, kicks);
	vq->kicks = kicks;
}

/* ---- set-up ---- */

static void vqdev_set_areas(struct vqdev *vq, const struct vqdev_areas *a)
{
	uint16_t num = vq->config.num;

	if (vq->config.packed) {
		vq->packed.ring = a->ring;
		vq->packed.driver = a->driver;
		vq->packed.device = a->device;
	} else {
		vq->split.desc = a->desc;
		vq->split.avail = a->driver;
		vq->split.used_event = &vq->split.avail->ring[num];
		vq->split.used = a->device;
		vq->split.avail_event = (le16 *)(void *)&vq->split.used->ring[num];
	}
}

int vqdev_areas_find(const struct vring_config *config, const struct gmem *mem,
		     struct vqdev_areas *areas)
{
	uint64_t bytes = vring_desc_bytes(config);
	struct gmem_hint hint = {0};

	areas->ring = config->packed ? gmem_at(mem, &hint, config->desc, bytes) : NULL;
	areas->desc = config->packed ? areas->ring : gmem_at_read(mem, &hint, config->desc, bytes);
	areas->driver = gmem_at_read(mem, &hint, config->driver, vring_driver_bytes(config));
	areas->device = gmem_at_write(mem, &hint, config->device, vring_device_bytes(config));
	if (!areas->desc || !areas->driver || !areas->device)
		return -EFAULT;
	/* A region may be mapped anywhere: aligned guest addresses do not yet make aligned
	 * pointers. */
	if ((uintptr_t)areas->desc % 16 || (uintptr_t)areas->driver % (config->packed ? 4 : 2) ||
	    (uintptr_t)areas->device % 4)
		return -EFAULT;
	return 0;
}

/* The areas as host pointers: 0 or -EFAULT. */
static int vqdev_map_areas(struct vqdev *vq)
{
	struct vqdev_areas areas;
	int rc = vqdev_areas_find(&vq->config, vq->mem, &areas);

	if (!rc)
		vqdev_set_areas(vq, &areas);
	return rc;
}

/*
 * An empty ring of our own takes the place of the driver's: whoever looks finds nothing to pop, and
 * no look costs more for that.  Zeroes are an empty packed ring in either lap.
 */
int vqdev_stand_in(struct vqdev *vq, struct vqdev_areas *areas)
{
	const struct vring_config *c = &vq->config;
	uint64_t desc = align_up(vring_desc_bytes(c), 16),
		 driver = align_up(vring_driver_bytes(c), 16);
	uint8_t *empty = calloc(1, (size_t)(desc + driver + vring_device_bytes(c)));

	if (!empty)
		return -ENOMEM;
	*areas = (struct vqdev_areas){.desc = empty,
				      .ring = empty,
				      .driver = empty + desc,
				      .device = empty + desc + driver};
	vqdev_set_areas(vq, areas);
	if (!c->packed) {
		struct virtq_avail *avail = (void *)(empty + desc);

		/* Chains that were seen and not popped are seen anew. */
		vq->avail_seen = vq->avail;
		avail->idx = le16_make(vq->avail);
	}
	free(vq->away);
	vq->away = empty;
	return 0;
}

/* Places of a base: 0 or -EINVAL. */
static int vqdev_set_base(struct vqdev *vq)
{
	uint32_t base = vq->config.base;
	uint16_t avail = (uint16_t)base, used = (uint16_t)(base >> 16);
	uint32_t ahead;

	if (!vq->is_packed) {
		vq->avail = vq->avail_seen = vq->used = vq->used_shown = avail;
		return used ? -EINVAL : 0;
	}
	vq->avail = avail & 0x7fff;
	vq->avail_wrap = avail >> 15;
	vq->used = used & 0x7fff;
	vq->used_wrap = used >> 15;
	if (vq->avail >= vq->num || vq->used >= vq->num)
		return -EINVAL;
	ahead = (uint32_t)vq->avail + (vq->avail_wrap != vq->used_wrap ? (uint32_t)vq->num : 0);
	if (ahead < vq->used || ahead - vq->used > vq->num)
		return -EINVAL;
	vq->slots_out = ahead - vq->used;
	return 0;
}

/* After each change of one of these. */
static void vqdev_judge(struct vqdev *vq)
{
	vq->special = vq->why || vq->rec || vq->in_order || vq->log || vq->remote;
}

int vqdev_init(struct vqdev *vq, const struct vring_config *config, const struct gmem *mem,
	       struct error *err)
{
	return vqdev_init_recorded(vq, config, mem, NULL, err);
}

int vqdev_init_recorded(struct vqdev *vq, const struct vring_config *config, const struct gmem *mem,
			const struct vqdev_record *record, struct error *err)
{
	/* Of those that no driver uses the kernel gives no page. */
	size_t ids = config->packed ? 65536 : config->num;
	int rc;

	memset(vq, 0, sizeof(*vq));
	rc = vring_config_check(config);
	if (rc)
		return error_set(err, rc, "a %s ring of %u entries or its alignment is not valid",
				 config->packed ? "packed" : "split", config->num);
	vq->config = *config;
	vq->mem = mem;
	vq->near = &gmem_nowhere;
	vq->num = config->num;
	vq->chain_max = vring_chain_max(config->num);
	vq->is_packed = config->packed;
	vq->event_idx = config->event_idx;
	vq->indirect = config->indirect;
	vq->in_order = config->in_order;
	rc = vqdev_set_base(vq);
	if (rc)
		return error_set(err, rc, "a ring cannot start at 0x%x", config->base);
	rc = vqdev_areas_check(config, mem);
	if (rc)
		return error_set(err, rc,
				 "the ring does not lie in guest memory that the device may use");
	vq->ids = calloc(ids, sizeof(*vq->ids));
	if (!vq->ids)
		return error_set(err, -ENOMEM, "no memory for a ring");
	rc = vqdev_log_open(vq);
	/* Not there as a whole, and yet a place for it. */
	if (!rc && vqdev_map_areas(vq))
		rc = vqdev_remote_begin(vq);
	if (!rc && vq->in_order) {
		vq->held = calloc(vq->num, sizeof(*vq->held));
		rc = vq->held ? 0 : -ENOMEM;
	}
	if (rc) {
		vqdev_fini(vq);
		return error_set(err, rc, "no memory for a ring");
	}
	if (record) {
		rc = vqdev_record_open(vq, record, err);
		if (rc) {
			vqdev_fini(vq);
			return rc;
		}
	}
	vqdev_judge(vq);
	if (!vq->remote)
		vqdev_ask(vq, true);
	return 0;
}

void vqdev_fini(struct vqdev *vq)
{
	vqdev_record_close(vq);
	vqdev_log_close(vq);
	vqdev_remote_end(vq);
	free(vq->held);
	free(vq->ids);
	free(vq->away);
	vq->held = NULL;
	vq->ids = NULL;
	vq->away = NULL;
}

/* The new map lacks the ring, or it is remote there. */
static int vqdev_without_areas(struct vqdev *vq)
{
	struct vqdev_areas areas;
	int rc;

	if (!vq->why && !vqdev_areas_check(&vq->config, vq->mem))
		rc = vqdev_remote_begin(vq);
	else
		rc = vqdev_stand_in(vq, &areas);
	if (rc)
		vqdev_break(vq, "no memory to wait for the ring's");
	return rc;
}

int vqdev_remap(struct vqdev *vq, const struct gmem *mem)
{
	bool elsewhere = vq->away;
	int rc;

	vqdev_remote_end(vq);
	vq->mem = mem;
	vq->near = &gmem_nowhere;
	vq->hint = vq->table_hint = (struct gmem_hint){0};
	vqdev_log_close(vq);
	rc = vqdev_log_open(vq);
	if (rc) {
		vqdev_break(vq, "no memory for the log of what is written");
		return rc;
	}
	vqdev_judge(vq);
	if (vqdev_map_areas(vq))
		return vqdev_without_areas(vq);
	free(vq->away);
	vq->away = NULL;
	/* What was asked for meanwhile the driver has not heard. */
	if (elsewhere && !vq->why)
		vqdev_ask(vq, true);
	return 0;
}

bool vqdev_away(const struct vqdev *vq)
{
	return vq->away && !vq->remote;
}

/* ---- chains ---- */

int vq_fail(struct vqdev *vq, const char *why)
{
	vqdev_break(vq, why);
	return -EPROTO;
}

int vq_table_open(struct vqdev *vq, struct vq_table *t, const struct vq_desc *d)
{
	struct iovec slice;

	if (d->flags & VIRTQ_DESC_F_NEXT)
		return vq_fail(vq, "indirect descriptor with a next one");
	if (!d->len || d->len % sizeof(struct virtq_desc))
		return vq_fail(vq, "indirect table of a bad length");
	t->count = d->len / (uint32_t)sizeof(struct virtq_desc);
	if (d->addr + d->len < d->addr)
		return vq_fail(vq, "indirect table outside memory");
	t->gpa = d->addr;
	t->at = NULL;
	t->aligned = false;
	if (unlikely(vq->remote))
		return vqdev_remote_table(vq, t, d);
	t->at = gmem_hit(vq->near, gpa(d->addr), d->len, &slice)
			? slice.iov_base
			: gmem_at_read(vq->mem, &vq->table_hint, gpa(d->addr), d->len);
	t->aligned = t->at && !((uintptr_t)t->at % 8);
	return 0;
}

/* What gmem_slices() could not do, as vq_walk_other() returns it. */
static int vq_walk_no_slices(struct vqdev *vq, int rc, bool write)
{
	if (rc == -EREMOTE)
		vq->reach = VQDEV_LEAVING;
	if (rc == -E2BIG || rc == -EREMOTE)
		return rc;
	if (rc == -EACCES)
		return vq_fail(vq, write ? "buffer in memory that must not be written"
					 : "buffer in memory that must not be read");
	return vq_fail(vq, "buffer outside memory");
}

int vq_walk_other(struct vqdev *vq, struct vq_walk *w, uint64_t addr, uint32_t len, uint32_t flags)
{
	bool write = flags & VIRTQ_DESC_F_WRITE;
	int n;

	if (!write && w->write)
		return vq_fail(vq, "readable descriptor after a writable one");
	w->len += len;
	if (!len)
		return 0;
	if (unlikely(vq->remote)) {
		n = vqdev_remote_slice(vq, w, addr, len, write);
		return n ? vq_walk_no_slices(vq, n, write) : 0;
	}
	n = gmem_slices(vq->mem, &vq->hint, gpa(addr), len, write, w->iov, (int)(w->end - w->iov));
	if (n < 0)
		return vq_walk_no_slices(vq, n, write);
	if (write && vq->log && vqdev_log_note(vq, addr, len))
		return vq_fail(vq, "no memory for the log of what is written");
	w->iov += n;
	vq->near = gmem_near(vq->mem, &vq->hint);
	return 0;
}

/* Guest memory that need not be aligned; volatile, so that a field is read when and as often as it
 * is written here. */
struct raw_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t first;
	uint16_t second;
} __attribute__((packed));

static int vq_table_read_across(struct vqdev *vq, const struct vq_table *t, uint32_t i,
				struct raw_desc *raw)
{
	struct iovec iov[sizeof(*raw)];
	uint8_t *to = (uint8_t *)raw;
	int n = gmem_slices(vq->mem, &vq->table_hint, gpa(t->gpa + (uint64_t)i * sizeof(*raw)),
			    sizeof(*raw), false, iov, (int)ARRAY_SIZE(iov));

	if (n == -EREMOTE) {
		vq->reach = VQDEV_LEAVING;
		return n;
	}
	if (n < 0)
		return vq_fail(vq, "indirect table outside memory");
	for (int k = 0; k < n; k++) {
		const volatile uint8_t *from = iov[k].iov_base;

		for (size_t b = 0; b < iov[k].iov_len; b++)
			*to++ = from[b];
	}
	return 0;
}

int vq_table_read_raw(struct vqdev *vq, const struct vq_table *t, uint32_t i, struct vq_desc *d,
		      uint16_t *first, uint16_t *second)
{
	struct raw_desc raw;

	if (t->at) {
		const volatile struct raw_desc *p =
			(const volatile struct raw_desc *)(t->at + (size_t)i * sizeof(raw));

		raw.addr = p->addr;
		raw.len = p->len;
		raw.first = p->first;
		raw.second = p->second;
	} else {
		int rc = vq_table_read_across(vq, t, i, &raw);

		if (rc)
			return rc;
	}
	d->addr = le64toh(raw.addr);
	d->len = le32toh(raw.len);
	*first = le16toh(raw.first);
	*second = le16toh(raw.second);
	return 0;
}

/* ---- one interface for both layouts ---- */

void vq_walk_note(struct vqdev *vq, struct vq_chain *chain)
{
	if (vq->in_order) {
		chain->ticket.seq = vq->seq_pop;
		if (++vq->seq_pop == vq->num)
			vq->seq_pop = 0;
	}
	if (vq->log)
		vqdev_log_popped(vq, chain->ticket.id);
}

int vqdev_pop(struct vqdev *vq, struct vq_chain *chain)
{
	if (unlikely(vq->special)) {
		if (vq->why)
			return -EPROTO;
		if (vq->remote)
			return vqdev_remote_pop(vq, chain);
		if (vq->log)
			vqdev_log_begin(vq);
		if (vq->rec)
			return vqdev_recorded_pop(vq, chain);
	}
	return vq->is_packed ? vqdev_packed_pop(vq, chain) : vqdev_split_pop(vq, chain);
}

static void vqdev_fill(struct vqdev *vq, uint16_t id, uint16_t slots, uint32_t len)
{
	if (vq->remote)
		vqdev_remote_filled(vq, vq->used);
	if (vq->is_packed)
		vqdev_packed_fill(vq, id, slots, len);
	else
		vqdev_split_fill(vq, id, len);
	if (vq->rec)
		vqdev_recorded_filled(vq, id);
}

static void vqdev_push_in_order(struct vqdev *vq, const struct vq_ticket *ticket, uint32_t len)
{
	struct vqdev_held *h = &vq->held[ticket->seq];

	*h = (struct vqdev_held){
		.len = len, .id = ticket->id, .slots = ticket->slots, .done = true};
	for (h = &vq->held[vq->seq_push]; h->done; h = &vq->held[vq->seq_push]) {
		h->done = false;
		vq->ids[h->id] = false;
		vqdev_fill(vq, h->id, h->slots, h->len);
		if (++vq->seq_push == vq->num)
			vq->seq_push = 0;
	}
}

static void vqdev_push_now(struct vqdev *vq, const struct vq_ticket *ticket, uint32_t len)
{
	/* Also on a broken queue: what was written, was. */
	if (vq->log)
		vqdev_log_pushed(vq, ticket->id);
	if (!vq->why && vq->in_order) {
		vqdev_push_in_order(vq, ticket, len);
		return;
	}
	vq->ids[ticket->id] = false;
	if (!vq->why)
		vqdev_fill(vq, ticket->id, ticket->slots, len);
}

static __attribute__((noinline)) void
vqdev_push_special(struct vqdev *vq, const struct vq_ticket *ticket, uint32_t len)
{
	if (!vq->remote) {
		vqdev_push_now(vq, ticket, len);
		return;
	}
	/* In flight until its bytes are with the driver. */
	vq->in_flight++;
	vqdev_remote_pushed(vq, ticket, len);
}

void vqdev_remote_settle(struct vqdev *vq, struct vqdev_remote_chain *c)
{
	vq->in_flight--;
	vqdev_push_now(vq, &c->ticket, c->len);
	vqdev_remote_free(vq, c);
}

void vqdev_push(struct vqdev *vq, const struct vq_ticket *ticket, uint32_t len)
{
	assert(vq_id_in_flight(vq, ticket->id));
	vq->in_flight--;
	if (unlikely(vq->special)) {
		vqdev_push_special(vq, ticket, len);
		return;
	}
	vq->ids[ticket->id] = false;
	if (vq->is_packed)
		vqdev_packed_fill(vq, ticket->id, ticket->slots, len);
	else
		vqdev_split_fill(vq, ticket->id, len);
}

void vqdev_unpop(struct vqdev *vq, const struct vq_ticket *ticket)
{
	if (unlikely(vq->remote)) {
		vqdev_remote_unpopped(vq, ticket);
		return;
	}
	vqdev_put_back(vq, ticket);
}

void vqdev_put_back(struct vqdev *vq, const struct vq_ticket *ticket)
{
	assert(vq_id_in_flight(vq, ticket->id) && !vq->rec);
	vq->in_flight--;
	vq->ids[ticket->id] = false;
	if (unlikely(vq->log))
		vqdev_log_unpopped(vq, ticket->id);
	if (unlikely(vq->why))
		return;
	if (vq->in_order)
		vq->seq_pop = ticket->seq;
	if (!vq->is_packed) {
		vq->avail--;
		return;
	}
	vq->slots_out -= ticket->slots;
	if (vq->avail < ticket->slots) {
		vq->avail = (uint16_t)(vq->avail + vq->num);
		vq->avail_wrap = !vq->avail_wrap;
	}
	vq->avail = (uint16_t)(vq->avail - ticket->slots);
}

void vqdev_publish(struct vqdev *vq)
{
	if (unlikely(vq->why) || unlikely(vq->remote))
		return;
	if (unlikely(vq->rec))
		vqdev_recorded_publish(vq);
	else if (vq->is_packed)
		vqdev_packed_publish(vq);
	else
		vqdev_split_publish(vq);
}

bool vqdev_needs_interrupt(struct vqdev *vq)
{
	bool wanted;

	if (!vq->passed || unlikely(vq->remote))
		return false;
	wanted = vq->why ? true : vq->is_packed ? vqdev_packed_wanted(vq) : vqdev_split_wanted(vq);
	vq->passed = 0;
	return wanted;
}

bool vqdev_waiting(const struct vqdev *vq)
{
	if (vq->why)
		return false;
	if (unlikely(vq->remote))
		return vqdev_remote_waiting(vq);
	if (vqdev_again(vq))
		return true;
	return vq->is_packed ? vqdev_packed_waiting(vq) : vqdev_split_waiting(vq);
}

void vqdev_kicks_off(struct vqdev *vq)
{
	if (vq->kicks && !vq->why)
		vqdev_ask(vq, false);
}

bool vqdev_kicks_on(struct vqdev *vq)
{
	if (vq->why)
		return false;
	if (unlikely(vq->remote))
		return vqdev_remote_waiting(vq);
	vqdev_ask(vq, true);
	/* Pairs with the full barrier of the driver between publishing and reading what was asked
	 * for here. */
	barrier_full();
	if (!vqdev_waiting(vq))
		return false;
	vqdev_kicks_off(vq);
	return true;
}

/* ---- what is to know ---- */

bool vqdev_broken(const struct vqdev *vq)
{
	return vq->why;
}

const char *vqdev_why(const struct vqdev *vq)
{
	return vq->why;
}

void vqdev_break(struct vqdev *vq, const char *why)
{
	if (!vq->why)
		vq->why = why;
	vq->special = true;
}

unsigned vqdev_in_flight(const struct vqdev *vq)
{
	return vq->in_flight + vqdev_again(vq);
}

uint32_t vqdev_base(const struct vqdev *vq)
{
	uint32_t avail = vq->avail, used = vq->used;

	if (!vq->is_packed)
		return avail;
	return avail | (uint32_t)vq->avail_wrap << 15 | used << 16 | (uint32_t)vq->used_wrap << 31;
}
