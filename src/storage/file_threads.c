/* SPDX-License-Identifier: MIT */
/*
 * A pool of threads that carries out steps by plain system calls: where io_uring is forbidden or
 * not wanted, and for what it cannot do.  One pool per disk, shared by its channels; outcomes go
 * back to the channel's reactor in batches.
 */
#include "storage/file.h"

#include "base/thread.h"

#include <errno.h>
#include <stdlib.h>

#define POOL_THREADS 8

struct file_pool {
	pthread_mutex_t lock; /* protects what follows; taken alone */
	pthread_cond_t work;
	struct io_fifo queue;
	bool stopping;
	unsigned nthreads;
	pthread_t threads[POOL_THREADS];
};

static void carry_out(struct storage_io *io)
{
	struct file_channel *ch = container_of(io->channel, struct file_channel, base);
	struct file_step step;

	file_io_step(ch->file, io, &step);
	io->result = file_io_run(&step);
	file_channel_finished(io);
}

static void *pool_thread(void *arg)
{
	struct file_pool *p = arg;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		struct storage_io *io = io_fifo_pop(&p->queue);

		if (io) {
			pthread_mutex_unlock(&p->lock);
			carry_out(io);
			pthread_mutex_lock(&p->lock);
		} else if (p->stopping) {
			break;
		} else {
			pthread_cond_wait(&p->work, &p->lock);
		}
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

int file_pool_create(struct file_pool **out, struct error *err)
{
	struct file_pool *p;
	int rc = 0;

	p = calloc(1, sizeof(*p));
	if (!p)
		return error_set(err, -ENOMEM, "cannot set up the storage threads");
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	for (; p->nthreads < POOL_THREADS && !rc; p->nthreads += !rc)
		rc = thread_start(&p->threads[p->nthreads], pool_thread, p);
	if (!p->nthreads) {
		file_pool_destroy(&p);
		return error_set(err, rc, "cannot start a storage thread");
	}
	*out = p;
	return 0;
}

void file_pool_destroy(struct file_pool **pp)
{
	struct file_pool *p = *pp;

	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	while (p->nthreads)
		pthread_join(p->threads[--p->nthreads], NULL);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	free(p);
	*pp = NULL;
}

void file_pool_start(struct file_pool *p, struct storage_io *io)
{
	pthread_mutex_lock(&p->lock);
	io_fifo_push(&p->queue, io);
	pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
}
