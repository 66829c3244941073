/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "held_disk.h"

#include "base/atomic.h"
#include "base/clock.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HANG_NS (20 * NSEC_PER_SEC)

static void held_perform(struct held_disk *d, struct storage_io *io, int err)
{
	uint64_t at = io->offset;

	for (int i = 0; !err && i < io->iovcnt && io->op <= STORAGE_WRITE; i++) {
		if (io->op == STORAGE_READ)
			memcpy(io->iov[i].iov_base, d->bytes + at, io->iov[i].iov_len);
		else
			memcpy(d->bytes + at, io->iov[i].iov_base, io->iov[i].iov_len);
		at += io->iov[i].iov_len;
	}
	if (io->op == STORAGE_LIFETIME)
		memcpy(io->iov->iov_base, &d->life, sizeof(d->life));
	else if (!err && io->op > STORAGE_FLUSH)
		memset(d->bytes + io->offset, 0, io->len);
	io->done(io, err);
}

static void held_submit(struct storage_channel *ch, struct storage_io *io)
{
	struct held_disk *d = container_of(ch->storage, struct held_disk, storage);

	if (io->op == STORAGE_FLUSH)
		__atomic_add_fetch(&d->flushes, 1, __ATOMIC_RELAXED);
	else if (io->op != STORAGE_READ && io->op != STORAGE_LIFETIME)
		__atomic_add_fetch(io->flags & STORAGE_FUA ? &d->fua : &d->rest, 1,
				   __ATOMIC_RELAXED);
	if (!read_once(&d->hold)) {
		held_perform(d, io, 0);
		return;
	}
	assert_true(d->n < HELD_MAX);
	d->held[d->n] = io;
	store_release(&d->n, d->n + 1);
}

static int held_channel_open(struct storage *s, struct reactor *r, struct storage_channel **out,
			     struct error *err)
{
	struct held_disk *d = container_of(s, struct held_disk, storage);

	(void)err;
	d->channel.storage = s;
	d->channel.reactor = r;
	*out = &d->channel;
	return 0;
}

static void held_channel_close(struct storage_channel *ch)
{
	(void)ch;
}

static void held_close(struct storage *s)
{
	struct held_disk *d = container_of(s, struct held_disk, storage);

	free(d->bytes);
	free(d);
}

static bool held_spoiled(const struct storage *s)
{
	return container_of(s, const struct held_disk, storage)->spoiled;
}

static const struct storage_engine_ops held_ops = {
	.close = held_close,
	.channel_open = held_channel_open,
	.channel_close = held_channel_close,
	.submit = held_submit,
	.spoiled = held_spoiled,
};

struct held_disk *held_disk_new(uint64_t bytes)
{
	struct held_disk *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	d->bytes = calloc(1, bytes);
	assert_non_null(d->bytes);
	list_init(&d->storage.link);
	d->storage.ops = &held_ops;
	list_init(&d->storage.link);
	d->storage.size = bytes;
	d->storage.limits = (struct storage_limits){
		.block_size = 512,
		.physical_block_size = 512,
		.max_discard = 1u << 30,
		.discard_alignment = 512,
		.max_write_zeroes = 1u << 30,
		.write_zeroes_unmaps = true,
	};
	return d;
}

struct release {
	struct held_disk *d;
	int err;
};

static void release_on_worker(void *arg)
{
	struct release *r = arg;
	unsigned n = r->d->n;

	store_release(&r->d->n, 0);
	for (unsigned i = 0; i < n; i++)
		held_perform(r->d, r->d->held[i], r->err);
}

void held_disk_release(struct held_disk *d, struct worker *worker, int err)
{
	struct release r = {d, err};

	worker_call(worker, release_on_worker, &r);
}

void held_disk_wait(struct held_disk *d, unsigned n)
{
	uint64_t end = clock_ns() + HANG_NS;

	while (load_acquire(&d->n) < n && clock_ns() < end)
		usleep(100);
	assert_true(load_acquire(&d->n) >= n);
}
