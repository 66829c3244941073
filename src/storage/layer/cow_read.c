/* SPDX-License-Identifier: MIT */
/*
 * Reading a disk of two: most reads are in one of them and are passed as they are; the others are
 * cut at the ends of runs.  Their parts are under way at once, each with a vector of its own; where
 * none of those is left, or a vector is too short for what a guest has thought of, a part is a window
 * in the guest's, and the next one waits for it.
 */
#include "storage/layer/cow.h"

#include <string.h>

void cow_parts_init(struct cow_channel *ch)
{
	for (unsigned i = 0; i < COW_PARTS; i++) {
		ch->parts[i].next = ch->idle_parts;
		ch->idle_parts = &ch->parts[i];
	}
}

static void iov_clear(const struct iovec *iov, int n)
{
	for (int i = 0; i < n; i++)
		memset(iov[i].iov_base, 0, iov[i].iov_len);
}

/* Copies what covers [skip, skip + len).  How many elements; 0: more than @most. */
static int iov_slice(const struct iovec *iov, uint64_t skip, uint64_t len, struct iovec *to,
		     int most)
{
	int n = 0;

	while (skip >= iov->iov_len)
		skip -= (iov++)->iov_len;
	for (; len; iov++, skip = 0) {
		size_t size = (size_t)min_u64(iov->iov_len - skip, len);

		if (n == most)
			return 0;
		to[n++] = (struct iovec){(uint8_t *)iov->iov_base + skip, size};
		len -= size;
	}
	return n;
}

static void cow_read_on(struct cow_io *c);

static void cow_part_over(struct cow_io *c, int err)
{
	c->in_flight--;
	if (err && !c->err)
		c->err = err;
	cow_read_on(c);
}

static void cow_part_done(struct storage_io *io, int err)
{
	struct cow_part *p = container_of(io, struct cow_part, io);
	struct cow_io *c = p->owner;
	struct cow_channel *ch = cow_channel_of(c->l.ch);

	p->next = ch->idle_parts;
	ch->idle_parts = p;
	cow_part_over(c, err);
}

static void cow_window_done(struct storage_io *io, int err)
{
	struct cow_io *c = container_of(io, struct cow_io, l.io);

	iov_window_close(&c->window, c->l.parent->iov);
	c->windowed = false;
	cow_part_over(c, err);
}

/* By a vector of its own; false: there is none, or it would be too long. */
static bool cow_send_part(struct cow_io *c, enum cow_state state, uint64_t skip, uint64_t len)
{
	struct cow_channel *ch = cow_channel_of(c->l.ch);
	const struct storage_io *parent = c->l.parent;
	struct cow_part *p = ch->idle_parts;
	bool draining = ch->ch.draining;

	if (!p)
		return false;
	p->io.iovcnt = iov_slice(parent->iov, skip, len, p->iov, COW_PART_IOV);
	if (!p->io.iovcnt)
		return false;
	ch->idle_parts = p->next;
	p->owner = c;
	p->io.op = STORAGE_READ;
	p->io.flags = 0;
	p->io.offset = parent->offset + skip;
	p->io.len = len;
	p->io.iov = p->iov;
	p->io.done = cow_part_done;
	c->in_flight++;
	if (state == COW_DATA) {
		p->io.offset += cow_of_io(c)->data_at;
		cow_submit_overlay(ch, &p->io);
		return true;
	}
	storage_submit(ch->ch.below, &p->io);
	if (unlikely(draining))
		storage_drain(ch->ch.below, NULL);
	return true;
}

static void cow_send_window(struct cow_io *c, enum cow_state state, uint64_t skip, uint64_t len)
{
	struct storage_io *io = &c->l.io;

	iov_window_open(&c->window, c->l.parent->iov, skip, len);
	c->windowed = true;
	c->in_flight++;
	io->offset = c->l.parent->offset + skip;
	io->len = len;
	io->iov = c->l.parent->iov + c->window.first;
	io->iovcnt = c->window.last - c->window.first + 1;
	if (state == COW_DATA) {
		cow_send(c, cow_window_done);
	} else if (state == COW_BASE) {
		layer_pass(&c->l, cow_window_done);
	} else {
		iov_clear(io->iov, io->iovcnt);
		cow_window_done(io, 0);
	}
}

/* The next run of what a read asks for; false: not now. */
static bool cow_read_part(struct cow_io *c)
{
	const struct storage_io *parent = c->l.parent;
	uint64_t skip = c->at, left = parent->len - skip, len;
	enum cow_state state;

	if (!left || c->err || c->windowed)
		return false;
	len = COW_SECTOR * cow_map_run(&cow_of_io(c)->map, (parent->offset + skip) / COW_SECTOR,
				       left / COW_SECTOR, &state);
	c->at += len;
	if (state == COW_ZERO || !cow_send_part(c, state, skip, len))
		cow_send_window(c, state, skip, len);
	return true;
}

/* Parts that are done at once find the loop going on, and do not begin the next one themselves. */
static void cow_read_on(struct cow_io *c)
{
	if (c->reading)
		return;
	c->reading = true;
	while (cow_read_part(c))
		;
	c->reading = false;
	if (!c->in_flight)
		layer_answer(&c->l, c->err);
}

static void cow_read_passed(struct storage_io *io, int err)
{
	layer_answer(container_of(io, struct layer_io, io), err);
}

void cow_read(struct cow_io *c)
{
	const struct storage_io *parent = c->l.parent;
	uint64_t from = parent->offset / COW_SECTOR, n = parent->len / COW_SECTOR;
	enum cow_state state;

	if (cow_map_run(&cow_of_io(c)->map, from, n, &state) < n) {
		c->at = 0;
		c->in_flight = 0;
		c->windowed = c->reading = false;
		c->err = 0;
		cow_read_on(c);
	} else if (state == COW_DATA) {
		cow_send(c, cow_read_passed);
	} else if (state == COW_BASE) {
		layer_pass(&c->l, cow_read_passed);
	} else {
		iov_clear(parent->iov, parent->iovcnt);
		layer_answer(&c->l, 0);
	}
}
