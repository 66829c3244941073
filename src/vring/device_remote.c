/* SPDX-License-Identifier: MIT */
#include "vring/remote.h"

#include "vring/device_walk.h"

#include <stdlib.h>
#include <string.h>

/* An address travels in a slice until the chain has memory. */
_Static_assert(sizeof(uintptr_t) == sizeof(uint64_t), "a guest address fits a pointer");

/* What an index of 16 bits can reach. */
#define TABLE_ENTRIES_MAX 65536u

#define DESC_BYTES	  ((uint32_t)sizeof(struct virtq_desc))

int vqdev_areas_check(const struct vring_config *c, const struct gmem *mem)
{
	struct gmem_hint hint = {0};
	struct vqdev_areas areas;
	int rc = vqdev_areas_find(c, mem, &areas);

	if (!rc || !mem->remote)
		return rc;
	rc = gmem_check(mem, &hint, c->desc, vring_desc_bytes(c), false);
	if (!rc && c->packed)
		rc = gmem_check(mem, &hint, c->desc, vring_desc_bytes(c), true);
	if (!rc)
		rc = gmem_check(mem, &hint, c->driver, vring_driver_bytes(c), false);
	if (!rc)
		rc = gmem_check(mem, &hint, c->device, vring_device_bytes(c), true);
	return rc ? -EFAULT : 0;
}

/* ---- modes ---- */

int vqdev_remote_begin(struct vqdev *vq)
{
	const struct vring_config *c = &vq->config;
	struct vqdev_remote *m = calloc(1, sizeof(*m));
	/* Of ids that no driver uses the kernel gives no page. */
	size_t ids = vq->is_packed ? 65536 : vq->num;
	struct vqdev_areas areas;

	if (!m)
		return -ENOMEM;
	list_init(&m->taken);
	list_init(&m->pushed);
	m->of = calloc(ids, sizeof(*m->of));
	m->filled = calloc(vq->num, sizeof(*m->filled));
	m->scratch_max = vq->chain_max;
	m->scratch = calloc(m->scratch_max, sizeof(*m->scratch));
	if (!m->of || !m->filled || !m->scratch || vqdev_stand_in(vq, &areas)) {
		free(m->of);
		free(m->filled);
		free(m->scratch);
		free(m);
		return -ENOMEM;
	}
	m->desc = (struct vqdev_piece){c->desc.v, areas.ring, vring_desc_bytes(c)};
	m->driver = (struct vqdev_piece){c->driver.v, (uint8_t *)(uintptr_t)areas.driver,
					 vring_driver_bytes(c)};
	m->device = (struct vqdev_piece){c->device.v, areas.device, vring_device_bytes(c)};
	m->look = true;
	vq->remote = m;
	vq->reach = VQDEV_REMOTE;
	vq->near = &gmem_nowhere;
	vq->special = true;
	vq->kicks = false;
	return 0;
}

int vqdev_remote_follow(struct vqdev *vq, const struct gmem *mem)
{
	vq->mem = mem;
	vq->hint = vq->table_hint = (struct gmem_hint){0};
	vqdev_log_close(vq);
	if (vqdev_log_open(vq)) {
		vqdev_break(vq, "no memory for the log of what is written");
		return -ENOMEM;
	}
	vq->remote->look = true;
	return vqdev_areas_check(&vq->config, mem);
}

void vqdev_remote_end(struct vqdev *vq)
{
	struct vqdev_remote *m = vq->remote;

	vq->reach = VQDEV_NEAR;
	if (!m)
		return;
	vqdev_remote_unwind(vq);
	free(m->table.host);
	free(m->of);
	free(m->filled);
	free(m->scratch);
	free(m);
	vq->remote = NULL;
	free(vq->away);
	vq->away = NULL;
}

/* ---- chains ---- */

void vqdev_remote_free(struct vqdev *vq, struct vqdev_remote_chain *c)
{
	vq->remote->held -= c->bytes;
	free(c->memory);
	free(c);
}

/* Where a piece of @len bytes begins: data as a disk wants it, the rest as fields want it. */
static uint64_t piece_align(uint64_t at, uint64_t len)
{
	return align_up(at, len >= 4096 ? 4096 : len >= 512 ? 512 : 16);
}

/* Of the chain that was just walked, whose addresses stand in the scratch. */
static int remote_chain_new(struct vqdev *vq, const struct vq_chain *from,
			    struct vqdev_remote_chain **out)
{
	const struct vqdev_remote *m = vq->remote;
	uint32_t n = (uint32_t)(from->readable + from->writable);
	struct vqdev_remote_chain *c = calloc(1, sizeof(*c) + (n + 1) * sizeof(c->pieces[0]));
	uint64_t bytes = 0, cleared = 0;

	if (!c)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		bytes = piece_align(bytes, m->scratch[i].iov_len) + m->scratch[i].iov_len;
		if (i + 1 == (uint32_t)from->readable)
			cleared = bytes;
	}
	c->memory = bytes ? aligned_alloc(4096, align_up(bytes, 4096)) : NULL;
	if (bytes && !c->memory) {
		free(c);
		return -ENOMEM;
	}
	if (bytes)
		memset(c->memory + cleared, 0, bytes - cleared);
	bytes = 0;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t len = m->scratch[i].iov_len;

		bytes = piece_align(bytes, len);
		c->pieces[i] = (struct vqdev_piece){
			.gpa = (uintptr_t)m->scratch[i].iov_base,
			.host = c->memory + bytes,
			.len = len,
		};
		bytes += len;
	}
	list_init(&c->link);
	c->ticket = from->ticket;
	c->readable = (uint32_t)from->readable;
	c->writable = (uint32_t)from->writable;
	c->readable_len = from->readable_len;
	c->writable_len = from->writable_len;
	c->descs = from->descs;
	c->bytes = bytes + sizeof(*c) + (n + 1) * sizeof(c->pieces[0]);
	*out = c;
	return 0;
}

int vqdev_remote_slice(struct vqdev *vq, struct vq_walk *w, uint64_t addr, uint32_t len, bool write)
{
	int rc = gmem_check(vq->mem, &vq->hint, gpa(addr), len, write);

	if (rc)
		return rc;
	if (w->iov == w->end)
		return -E2BIG;
	w->iov->iov_base = (void *)(uintptr_t)addr;
	w->iov->iov_len = len;
	w->iov++;
	return 0;
}

int vqdev_remote_table(struct vqdev *vq, struct vq_table *t, const struct vq_desc *d)
{
	struct vqdev_piece *table = &vq->remote->table;
	uint64_t len = (uint64_t)t->count * DESC_BYTES;

	/* The walk says what is wrong with it, without a look inside. */
	if (vq->is_packed && t->count > vq->chain_max)
		return 0;
	if (t->count > TABLE_ENTRIES_MAX)
		len = (uint64_t)TABLE_ENTRIES_MAX * DESC_BYTES;
	if (gmem_check(vq->mem, &vq->table_hint, gpa(d->addr), d->len, false))
		return vq_fail(vq, "indirect table outside memory");
	if (vq->remote->table_here && table->gpa == d->addr && table->len == len) {
		t->at = table->host;
		t->aligned = true;
		return 0;
	}
	if (len > vq->remote->table_room) {
		free(table->host);
		table->host = malloc(len);
		vq->remote->table_room = table->host ? len : 0;
		if (!table->host)
			return vq_fail(vq, "no memory for an indirect table");
	}
	table->gpa = d->addr;
	table->len = len;
	vq->remote->table_here = false;
	return -EAGAIN;
}

static int remote_walk(struct vqdev *vq, struct vq_chain *chain)
{
	int rc;

	if (!vq->is_packed)
		return vqdev_split_pop(vq, chain);
	if (!vq->remote->head)
		return 0;
	rc = vqdev_packed_pop(vq, chain);
	/* What is behind it was not announced by what was looked at. */
	if (rc != -EAGAIN)
		vq->remote->head = false;
	return rc;
}

int vqdev_remote_take(struct vqdev *vq, struct vqdev_remote_chain **out)
{
	struct vqdev_remote *m = vq->remote;
	struct vq_chain chain = {.iov = m->scratch, .iov_max = (int)m->scratch_max};
	int rc;

	if (vq->why)
		return -EPROTO;
	if (vq->log)
		vqdev_log_begin(vq);
	rc = remote_walk(vq, &chain);
	if (rc == -EAGAIN)
		return rc;
	/* At the same place another one may lie next time. */
	m->table_here = false;
	if (rc == -E2BIG)
		return vq_fail(vq, "a chain of too many pieces");
	if (rc <= 0)
		return rc;
	if (chain.readable_len + chain.writable_len > VQDEV_REMOTE_CHAIN)
		rc = vq_fail(vq, "a chain of more than 64 MiB in memory that comes by messages");
	else if (remote_chain_new(vq, &chain, out))
		rc = vq_fail(vq, "no memory for a chain");
	if (rc < 0) {
		/* Nobody will push it. */
		vq->in_flight--;
		vq->ids[chain.ticket.id] = false;
		return rc;
	}
	m->held += (*out)->bytes;
	list_add_tail(&m->taken, &(*out)->link);
	return 1;
}

int vqdev_remote_pop(struct vqdev *vq, struct vq_chain *chain)
{
	struct vqdev_remote *m = vq->remote;
	struct vqdev_remote_chain *c;
	uint32_t n;

	if (list_empty(&m->taken))
		return 0;
	c = list_entry(m->taken.next, struct vqdev_remote_chain, link);
	if (!c->ready)
		return 0;
	n = c->readable + c->writable;
	if (n > (uint32_t)chain->iov_max)
		return -E2BIG;
	for (uint32_t i = 0; i < n; i++)
		chain->iov[i] = (struct iovec){c->pieces[i].host, c->pieces[i].len};
	chain->ticket = c->ticket;
	chain->readable = (int)c->readable;
	chain->writable = (int)c->writable;
	chain->readable_len = c->readable_len;
	chain->writable_len = c->writable_len;
	chain->descs = c->descs;
	list_del(&c->link);
	m->of[c->ticket.id] = c;
	return 1;
}

bool vqdev_remote_waiting(const struct vqdev *vq)
{
	const struct list *taken = &vq->remote->taken;

	return !list_empty(taken) &&
	       list_entry(taken->next, struct vqdev_remote_chain, link)->ready;
}

void vqdev_remote_pushed(struct vqdev *vq, const struct vq_ticket *ticket, uint32_t len)
{
	struct vqdev_remote *m = vq->remote;
	struct vqdev_remote_chain *c = m->of[ticket->id];

	m->of[ticket->id] = NULL;
	c->len = len;
	list_add_tail(&m->pushed, &c->link);
}

/* The one that was popped last is put back: behind those that were taken later. */
void vqdev_remote_unpopped(struct vqdev *vq, const struct vq_ticket *ticket)
{
	struct vqdev_remote *m = vq->remote;
	struct vqdev_remote_chain *c = m->of[ticket->id];

	vqdev_remote_unwind(vq);
	vqdev_put_back(vq, ticket);
	m->of[ticket->id] = NULL;
	vqdev_remote_free(vq, c);
	m->look = true;
	m->head = false;
}

void vqdev_remote_unwind(struct vqdev *vq)
{
	struct vqdev_remote *m = vq->remote;

	while (!list_empty(&m->taken)) {
		struct vqdev_remote_chain *c = list_entry(m->taken.prev, struct vqdev_remote_chain,
							  link);

		list_del(&c->link);
		vqdev_put_back(vq, &c->ticket);
		c->dropped = true;
		if (c != m->moving)
			vqdev_remote_free(vq, c);
		m->look = true;
		m->head = false;
	}
}

void vqdev_remote_drop(struct vqdev *vq)
{
	struct vqdev_remote *m = vq->remote;

	while (!list_empty(&m->pushed)) {
		struct vqdev_remote_chain *c = list_entry(m->pushed.next, struct vqdev_remote_chain,
							  link);

		list_del(&c->link);
		vqdev_remote_settle(vq, c);
	}
	m->n_filled = 0;
}

/* ---- what is to be moved ---- */

/* [at, at + len) of an area. */
static struct vqdev_piece area_part(const struct vqdev_piece *area, uint64_t at, uint64_t len)
{
	return (struct vqdev_piece){area->gpa + at, area->host + at, len};
}

/* @n entries of @size bytes, from the one at @first on, of a circle of num of them at @at. */
static unsigned circle_parts(const struct vqdev *vq, const struct vqdev_piece *area, uint64_t at,
			     uint32_t size, uint32_t first, uint32_t n, struct vqdev_piece *p)
{
	uint32_t to_end = vq->num - first, here = n < to_end ? n : to_end;

	p[0] = area_part(area, at + (uint64_t)first * size, (uint64_t)here * size);
	if (here == n)
		return 1;
	p[1] = area_part(area, at, (uint64_t)(n - here) * size);
	return 2;
}

unsigned vqdev_remote_look(struct vqdev *vq, struct vqdev_piece *p)
{
	const struct vqdev_remote *m = vq->remote;

	if (vq->is_packed)
		p[0] = area_part(&m->desc,
				 vq->avail * DESC_BYTES + offsetof(struct pvirtq_desc, flags),
				 sizeof(le16));
	else
		p[0] = area_part(&m->driver, offsetof(struct virtq_avail, idx), sizeof(le16));
	return 1;
}

unsigned vqdev_remote_find(struct vqdev *vq, struct vqdev_piece *p)
{
	struct vqdev_remote *m = vq->remote;
	uint16_t ahead;
	unsigned n;

	if (vq->is_packed) {
		m->head = vqdev_packed_waiting(vq) && vq->slots_out < vq->num;
		return m->head ? circle_parts(vq, &m->desc, 0, DESC_BYTES, vq->avail,
					      vq->num - vq->slots_out, p)
			       : 0;
	}
	ahead = (uint16_t)(le16_read(&vq->split.avail->idx) - vq->avail);
	if (!ahead)
		return 0;
	/* More than there can be: taking one says so. */
	if (ahead > vq->num)
		ahead = vq->num;
	n = circle_parts(vq, &m->driver, sizeof(struct virtq_avail), sizeof(le16),
			 vq->avail & (vq->num - 1), ahead, p);
	p[n++] = m->desc;
	return n;
}

unsigned vqdev_remote_stored(struct vqdev_remote_chain *c, struct vqdev_piece **p)
{
	struct vqdev_piece *first = &c->pieces[c->readable], last;
	uint64_t left = c->len;
	unsigned n = 0;

	*p = first;
	if (left >= c->writable_len)
		return c->writable;
	last = first[c->writable - 1];
	last = (struct vqdev_piece){last.gpa + last.len - 1, last.host + last.len - 1, 1};
	for (; left; n++) {
		if (first[n].len > left)
			first[n].len = left;
		left -= first[n].len;
	}
	first[n] = last;
	return n + 1;
}

void vqdev_remote_filled(struct vqdev *vq, uint16_t at)
{
	struct vqdev_remote *m = vq->remote;
	uint64_t offset;

	if (vq->is_packed) {
		/* The first one's flags are the last to be shown. */
		bool first = !m->n_filled;

		offset = at * DESC_BYTES + offsetof(struct pvirtq_desc, len);
		m->filled[m->n_filled++] = area_part(&m->desc, offset,
						     first ? sizeof(le32) + sizeof(le16) : 8);
		return;
	}
	at &= (uint16_t)(vq->num - 1);
	offset = sizeof(struct virtq_used) + at * sizeof(struct virtq_used_elem);
	if (m->n_filled && at &&
	    m->filled[m->n_filled - 1].gpa + m->filled[m->n_filled - 1].len ==
		    m->device.gpa + offset)
		m->filled[m->n_filled - 1].len += sizeof(struct virtq_used_elem);
	else
		m->filled[m->n_filled++] = area_part(&m->device, offset,
						     sizeof(struct virtq_used_elem));
}

unsigned vqdev_remote_show(struct vqdev *vq, struct vqdev_piece *p)
{
	const struct vqdev_remote *m = vq->remote;

	if (vq->is_packed) {
		p[0] = area_part(&m->desc,
				 vq->batch_at * DESC_BYTES + offsetof(struct pvirtq_desc, flags),
				 sizeof(le16));
		vqdev_packed_publish(vq);
	} else {
		p[0] = area_part(&m->device, offsetof(struct virtq_used, idx), sizeof(le16));
		vqdev_split_publish(vq);
	}
	return 1;
}

unsigned vqdev_remote_event(struct vqdev *vq, struct vqdev_piece *p)
{
	const struct vqdev_remote *m = vq->remote;

	if (vq->is_packed) {
		p[0] = area_part(&m->driver, offsetof(struct pvirtq_event, flags), sizeof(le16));
		p[1] = area_part(&m->driver, offsetof(struct pvirtq_event, off_wrap), sizeof(le16));
		return vq->event_idx ? 2 : 1;
	}
	if (vq->event_idx)
		p[0] = area_part(&m->driver, m->driver.len - sizeof(le16), sizeof(le16));
	else
		p[0] = area_part(&m->driver, offsetof(struct virtq_avail, flags), sizeof(le16));
	return 1;
}

bool vqdev_remote_wanted(struct vqdev *vq)
{
	bool wanted;

	if (!vq->passed || vq->why)
		return false;
	wanted = vq->is_packed ? vqdev_packed_wanted(vq) : vqdev_split_wanted(vq);
	vq->passed = 0;
	return wanted;
}

unsigned vqdev_remote_ask(struct vqdev *vq, struct vqdev_piece *p)
{
	struct vqdev_remote *m = vq->remote;
	uint32_t place = vq->event_idx ? vq->avail | (uint32_t)vq->avail_wrap << 16 : 0;
	unsigned n = 0;

	if (m->asked && m->asked_at == place)
		return 0;
	m->asked = true;
	m->asked_at = place;
	if (vq->is_packed) {
		vqdev_packed_ask(vq, true);
		/* The place comes first. */
		if (vq->event_idx)
			p[n++] = area_part(&m->device, offsetof(struct pvirtq_event, off_wrap),
					   sizeof(le16));
		p[n++] = area_part(&m->device, offsetof(struct pvirtq_event, flags), sizeof(le16));
		return n;
	}
	vqdev_split_ask(vq, true);
	if (vq->event_idx)
		p[n++] = area_part(&m->device, m->device.len - sizeof(le16), sizeof(le16));
	else
		p[n++] = area_part(&m->device, offsetof(struct virtq_used, flags), sizeof(le16));
	return n;
}
