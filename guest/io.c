/* SPDX-License-Identifier: MIT */
#include "guest/io.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>

static void io_done(struct ringside_request *req)
{
	struct io_slot *s = req->opaque;

	s->io->idle[IO_BUFFERS - s->io->busy--] = s;
	if (req->result && !s->io->result)
		s->io->result = req->result;
}

int io_init(struct io *io, struct ringside_disk *disk, const struct options *o, struct error *err)
{
	struct ringside_error *e = (struct ringside_error *)(void *)err;
	void *memory;
	int rc;

	memset(io, 0, sizeof(*io));
	io->disk = disk;
	io->o = *o;
	ringside_get_info(disk, &io->info);
	io->q = ringside_queue(disk, 0);
	rc = ringside_mem_alloc(disk, (size_t)IO_BUFFERS * IO_BUFFER, &memory, e);
	if (rc)
		return rc;
	for (unsigned i = 0; i < IO_BUFFERS; i++) {
		io->idle[i] = &io->slots[i];
		io->slots[i] = (struct io_slot){
			.req = {.done = io_done, .opaque = &io->slots[i]},
			.io = io,
			.buffer = (uint8_t *)memory + (size_t)i * IO_BUFFER,
		};
	}
	return 0;
}

struct io_slot *io_slot(struct io *io)
{
	return io->busy < IO_BUFFERS ? io->idle[IO_BUFFERS - ++io->busy] : NULL;
}

int io_wait(struct io *io)
{
	uint64_t until;
	int n;

	if (!io->o.poll) {
		n = ringside_wait(io->q, IO_WAIT_MS);
		return n < 0 ? n : n ? 0 : -ETIMEDOUT;
	}
	n = ringside_poll(io->q, 0);
	until = clock_ns() + IO_WAIT_MS * NSEC_PER_MSEC;
	while (!n && clock_ns() < until) {
		cpu_relax();
		n = ringside_poll(io->q, 0);
	}
	return n < 0 ? n : n ? 0 : -ETIMEDOUT;
}

int io_finish(struct io *io)
{
	int rc = 0;

	if (!io->o.poll)
		(void)ringside_arm(io->q);
	ringside_commit(io->q);
	while (!rc && io->busy)
		rc = io_wait(io);
	ringside_disarm(io->q);
	if (!rc)
		rc = io->result;
	io->result = 0;
	return rc;
}
