/* SPDX-License-Identifier: MIT */
#include "storage/file_sync.h"

#include "base/atomic.h"
#include "storage/engine.h"

void file_sync_init(struct file_sync *s)
{
	*s = (struct file_sync){.lost = 0};
	pthread_mutex_init(&s->lock, NULL);
}

void file_sync_fini(struct file_sync *s)
{
	pthread_mutex_destroy(&s->lock);
}

bool file_sync_join(struct file_sync *s, struct storage_io *io)
{
	bool leads;

	pthread_mutex_lock(&s->lock);
	leads = !s->under_way;
	s->under_way = true;
	if (!leads)
		io_fifo_push(&s->waiting, io);
	pthread_mutex_unlock(&s->lock);
	return leads;
}

bool file_sync_lose(struct file_sync *s, int err)
{
	return storage_lose(&s->lost, err);
}

int file_sync_leave(struct file_sync *s, int res, struct io_fifo *told, struct storage_io **next)
{
	int lost;

	pthread_mutex_lock(&s->lock);
	*told = s->members;
	*next = io_fifo_pop(&s->waiting);
	s->members = s->waiting;
	s->waiting = (struct io_fifo){0};
	s->under_way = *next;
	pthread_mutex_unlock(&s->lock);
	lost = load_acquire(&s->lost);
	return lost ? lost : res;
}

static void fifo_withdraw(struct io_fifo *from, bool (*which)(const struct storage_io *io),
			  struct io_fifo *out)
{
	struct io_fifo all = *from;
	struct storage_io *io;

	*from = (struct io_fifo){0};
	while ((io = io_fifo_pop(&all)))
		io_fifo_push(which(io) ? out : from, io);
}

void file_sync_withdraw(struct file_sync *s, bool (*which)(const struct storage_io *io),
			struct io_fifo *out)
{
	*out = (struct io_fifo){0};
	pthread_mutex_lock(&s->lock);
	fifo_withdraw(&s->members, which, out);
	fifo_withdraw(&s->waiting, which, out);
	pthread_mutex_unlock(&s->lock);
}
