/* SPDX-License-Identifier: MIT */
#include "guest/measure.h"

#include "base/bits.h"
#include "guest/clock.h"
#include "guest/console.h"
#include "guest/cpu.h"
#include "guest/pattern.h"
#include "guest/report.h"
#include "wire/virtio_blk.h"

#include <stdio.h>

static void measure_submit(struct io *io, bool write, uint64_t sector)
{
	struct io_slot *s = io_slot(io);
	uint64_t at = sector * VIRTIO_BLK_SECTOR;

	if (write) {
		pattern_fill(s->buffer, sector, io->o.size / VIRTIO_BLK_SECTOR, io->o.seed);
		ringside_write(io->q, &s->req, at, s->buffer, io->o.size);
	} else {
		ringside_read(io->q, &s->req, at, s->buffer, io->o.size);
	}
}

/* In batches of @depth, each committed at once and waited for. */
static int batches(struct io *io, bool write, uint32_t depth, uint64_t *cycles)
{
	uint32_t places = (uint32_t)min_u64(io->o.area, io->info.capacity) / io->o.size;
	uint32_t left = io->o.requests, place = 0;
	int rc = 0;

	*cycles = 0;
	while (!rc && left) {
		uint64_t began = cpu_cycles();

		for (uint32_t i = 0; left && i < depth; i++, left--) {
			measure_submit(io, write,
				       (uint64_t)place * (io->o.size / VIRTIO_BLK_SECTOR));
			place = place + 1 == places ? 0 : place + 1;
		}
		rc = io_finish(io);
		*cycles += cpu_cycles() - began;
	}
	return rc;
}

static void measure(struct io *io, bool write, uint32_t depth)
{
	struct ringside_stats before, after;
	uint32_t n = io->o.requests;
	char name[32];
	uint64_t cycles;
	int rc;

	snprintf(name, sizeof(name), "%s_depth_%u", write ? "write" : "read", depth);
	ringside_get_stats(io->q, &before);
	rc = batches(io, write, depth, &cycles);
	ringside_get_stats(io->q, &after);
	if (rc) {
		report_bad(name, "error %d", -rc);
		return;
	}
	say("measured %s: %u requests of %u bytes in %u batches, %llu kicks, %llu interrupts, "
	    "%llu cycles each (%llu us)",
	    name, n, io->o.size, (n + depth - 1) / depth, after.kicks - before.kicks,
	    after.calls - before.calls, cycles / n, cycles / n / clock_mhz());
	report_ok(name);
}

void measure_run(struct io *io)
{
	bool write = io->o.write && !io->info.readonly;

	if (!io->o.requests)
		return;
	for (int w = 0; w <= write; w++) {
		measure(io, w, 1);
		if (io->o.depth > 1)
			measure(io, w, io->o.depth);
	}
}
