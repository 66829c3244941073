/* SPDX-License-Identifier: MIT */
/*
 * Writing a map to the overlay: of each image one cycle at a time, carried out on the channel of the
 * request that leads it.
 */
#include "storage/layer/cow.h"

static struct cow_channel *cow_leading_channel(const struct cow_cycle *y)
{
	return cow_channel_of(y->leader->l.ch);
}

static void cow_fifo_push(struct cow_fifo *f, struct layer_io *l)
{
	l->next = NULL;
	if (f->head)
		f->tail->next = l;
	else
		f->head = l;
	f->tail = l;
}

static struct layer_io *cow_fifo_pop(struct cow_fifo *f)
{
	struct layer_io *l = f->head;

	if (l)
		f->head = l->next;
	return l;
}

static struct cow_io *cow_io_of(struct layer_io *l)
{
	return container_of(l, struct cow_io, l);
}

/* ---- the end ---- */

/*
 * Under the lock until everybody has been rung: who is told on another thread may close his channel
 * at once, and finds the lock taken until then.
 */
static void cow_cycle_end(struct cow_cycle *y, int err)
{
	struct cow *d = y->disk;
	struct cow_io *leader;
	struct layer_io *l;

	if (err)
		cow_map_lost(&d->map, y->which);
	else
		cow_map_landed(&d->map, y->which);
	pthread_mutex_lock(&d->lock);
	leader = y->leader;
	while ((l = cow_fifo_pop(&y->members))) {
		struct cow_channel *ch = cow_channel_of(l->ch);

		cow_io_of(l)->err = err;
		cow_fifo_push(&ch->told, l);
		layer_ring_channel(&ch->ch);
	}
	y->members = y->waiting;
	y->waiting = (struct cow_fifo){0};
	l = cow_fifo_pop(&y->members);
	y->leader = l ? cow_io_of(l) : NULL;
	if (l) {
		/* By a message, also to this thread: cycles that fail at once are no recursion. */
		cow_channel_of(l->ch)->leads[y->which] = true;
		layer_ring_channel(l->ch);
	}
	pthread_mutex_unlock(&d->lock);
	leader->then(leader, err);
}

/* ---- the way ---- */

static void cow_round(struct cow_cycle *y);
static void cow_pages_written(struct storage_io *io, int err);

static void cow_sync(struct cow_cycle *y, void (*done)(struct storage_io *io, int err))
{
	y->sync.op = STORAGE_FLUSH;
	y->sync.flags = 0;
	y->sync.offset = y->sync.len = 0;
	y->sync.done = done;
	cow_submit_overlay(cow_leading_channel(y), &y->sync);
}

static void cow_synced_last(struct storage_io *io, int err)
{
	cow_cycle_end(container_of(io, struct cow_cycle, sync), err);
}

static struct cow_map_io *cow_map_io_idle(struct cow_cycle *y)
{
	for (unsigned i = 0; i < COW_MAP_IOS; i++)
		if (!y->map_io[i].busy)
			return &y->map_io[i];
	return NULL;
}

/* Nothing of the image is changed while it is written: the next round or cycle comes behind. */
static void cow_write_run(struct cow_cycle *y, struct cow_map_io *m, uint64_t page, uint64_t n)
{
	uint8_t *words = (uint8_t *)y->disk->map.image[y->which].words;

	m->busy = true;
	m->cycle = y;
	m->iov = (struct iovec){words + page * COW_PAGE, n * COW_PAGE};
	m->io.op = STORAGE_WRITE;
	m->io.flags = 0;
	m->io.offset = y->place + page * COW_PAGE;
	m->io.len = n * COW_PAGE;
	m->io.iov = &m->iov;
	m->io.iovcnt = 1;
	m->io.done = cow_pages_written;
	y->in_flight++;
	cow_submit_overlay(cow_leading_channel(y), &m->io);
}

/* As many as may be under way; then the next round, when all have come back. */
static void cow_write_pages(struct cow_cycle *y)
{
	struct cow_map_io *m;
	uint64_t n;

	y->writing = true;
	while (!y->err && y->next < y->end && (m = cow_map_io_idle(y))) {
		n = cow_map_flying(&y->disk->map, y->which, &y->next, y->end, COW_MAP_RUN);
		if (!n)
			break;
		cow_write_run(y, m, y->next, n);
		y->next += n;
	}
	y->writing = false;
	if (y->in_flight)
		return;
	if (y->err)
		cow_cycle_end(y, y->err);
	else
		cow_round(y);
}

static void cow_pages_written(struct storage_io *io, int err)
{
	struct cow_map_io *m = container_of(io, struct cow_map_io, io);
	struct cow_cycle *y = m->cycle;

	m->busy = false;
	y->in_flight--;
	if (err && !y->err)
		y->err = err;
	if (!y->writing)
		cow_write_pages(y);
}

static void cow_synced_data(struct storage_io *io, int err)
{
	struct cow_cycle *y = container_of(io, struct cow_cycle, sync);

	if (err)
		cow_cycle_end(y, err);
	else
		cow_write_pages(y);
}

static void cow_round(struct cow_cycle *y)
{
	bool any;

	y->next = y->at;
	any = cow_map_take(&y->disk->map, y->which, &y->at, COW_MAP_ROUND);
	y->end = y->at;
	if (y->which == COW_STABLE)
		/* The last one: of what was written of the map or, where nothing was, of data. */
		cow_sync(y, any ? cow_synced_data : cow_synced_last);
	else if (any)
		cow_write_pages(y);
	else
		cow_cycle_end(y, 0);
}

static void cow_cycle_begin(struct cow_cycle *y)
{
	y->at = 0;
	y->err = 0;
	cow_round(y);
}

/* ---- who comes ---- */

void cow_cycles_init(struct cow *d)
{
	for (unsigned w = 0; w < COW_IMAGES; w++) {
		d->cycle[w].disk = d;
		d->cycle[w].which = w;
		d->cycle[w].place = cow_file_map_at(d->map.sectors * COW_SECTOR, w);
	}
}

void cow_cycle_join(struct cow_io *c, enum cow_which which, void (*then)(struct cow_io *c, int err))
{
	struct cow *d = cow_of(c->l.ch->base.storage);
	struct cow_cycle *y = &d->cycle[which];
	bool leads;

	c->then = then;
	pthread_mutex_lock(&d->lock);
	leads = !y->leader;
	if (leads)
		y->leader = c;
	else
		cow_fifo_push(&y->waiting, &c->l);
	pthread_mutex_unlock(&d->lock);
	if (leads)
		cow_cycle_begin(y);
}

void cow_cycle_rung(struct layer_channel *base)
{
	struct cow *d = cow_of(base->base.storage);
	struct cow_channel *ch = cow_channel_of(base);
	bool leads[COW_IMAGES];
	struct cow_fifo told;
	struct layer_io *l;

	pthread_mutex_lock(&d->lock);
	told = ch->told;
	ch->told = (struct cow_fifo){0};
	for (unsigned w = 0; w < COW_IMAGES; w++) {
		leads[w] = ch->leads[w];
		ch->leads[w] = false;
	}
	pthread_mutex_unlock(&d->lock);
	for (unsigned w = 0; w < COW_IMAGES; w++)
		if (leads[w])
			cow_cycle_begin(&d->cycle[w]);
	while ((l = cow_fifo_pop(&told)))
		cow_io_of(l)->then(cow_io_of(l), cow_io_of(l)->err);
}
