/* SPDX-License-Identifier: MIT */
#include "guest/checks.h"

#include "base/bits.h"
#include "base/clock.h"
#include "guest/area.h"
#include "guest/console.h"
#include "guest/pattern.h"
#include "guest/report.h"
#include "wire/virtio_blk.h"

#include <errno.h>
#include <string.h>

static void say_result(const char *name, int rc)
{
	if (rc)
		report_bad(name, "error %d", -rc);
	else
		report_ok(name);
}

static uint32_t area_sectors(const struct io *io)
{
	return (uint32_t)(min_u64(io->o.area, io->info.capacity) / VIRTIO_BLK_SECTOR);
}

/* ---- one request ---- */

static void serial(struct io *io)
{
	char id[21];
	int rc;

	ringside_get_id(io->q, &io_slot(io)->req, id);
	rc = io_finish(io);
	if (rc) {
		report_bad("serial", "error %d", -rc);
		return;
	}
	say("serial \"%s\"", id);
	if (io->o.serial && strcmp(id, io->o.serial))
		report_bad("serial", "it should be \"%s\"", io->o.serial);
	else
		report_ok("serial");
}

static void flush(struct io *io)
{
	ringside_flush(io->q, &io_slot(io)->req);
	say_result("flush", io_finish(io));
}

/* The driver itself would refuse it: the device is asked past the driver's own look. */
static void past_the_end(struct io *io)
{
	struct io_slot *s = io_slot(io);
	int rc;

	s->iov[0] = (struct iovec){s->buffer, VIRTIO_BLK_SECTOR};
	ringside_raw(io->q, &s->req, VIRTIO_BLK_T_IN, io->info.capacity / VIRTIO_BLK_SECTOR, s->iov,
		     0, 1);
	rc = io_finish(io);
	if (rc == -EIO && s->req.status == VIRTIO_BLK_S_IOERR)
		report_ok("past_the_end");
	else
		report_bad("past_the_end", "error %d, status %u", -rc, s->req.status);
}

/* ---- data ---- */

static void write_area(struct io *io, const char *name)
{
	struct area_fault f;

	area_report(name, area_write(io, 0, area_sectors(io), &f), &f);
}

static void check_area(struct io *io, const char *name)
{
	struct area_fault f;

	area_report(name, area_check(io, 0, area_sectors(io), &f), &f);
}

/* A quarter of the area, begun at its second: no more than the device takes in one range. */
static struct ringside_range middle(const struct io *io, uint32_t max_sectors)
{
	uint32_t quarter = area_sectors(io) / 4;

	return (struct ringside_range){.sector = quarter,
				       .sectors = (uint32_t)min_u64(quarter, max_sectors)};
}

static void discard(struct io *io)
{
	struct ringside_range r = middle(io, io->info.max_discard_sectors);

	if (!(io->info.features & BIT64(VIRTIO_BLK_F_DISCARD))) {
		report_skip("discard", "not offered");
		return;
	}
	ringside_discard(io->q, &io_slot(io)->req, &r, 1);
	say_result("discard", io_finish(io));
}

static void write_zeroes(struct io *io)
{
	struct ringside_range r = middle(io, io->info.max_write_zeroes_sectors);
	struct area_fault f = {0};
	int rc;

	if (!(io->info.features & BIT64(VIRTIO_BLK_F_WRITE_ZEROES))) {
		report_skip("write_zeroes", "not offered");
		return;
	}
	/* So that there is something to be seen, whatever discard has left. */
	rc = area_write(io, r.sector, r.sectors, &f);
	if (!rc) {
		ringside_write_zeroes(io->q, &io_slot(io)->req, &r, 1, false);
		rc = io_finish(io);
	}
	if (!rc)
		rc = area_check_zero(io, r.sector, r.sectors, &f);
	area_report("write_zeroes", rc, &f);
}

/* What is around must not have been touched. */
static void check_around(struct io *io)
{
	uint32_t quarter = area_sectors(io) / 4;
	struct area_fault f;
	int rc = area_check(io, 0, quarter, &f);

	if (!rc)
		rc = area_check(io, 2ull * quarter, area_sectors(io) - 2 * quarter, &f);
	area_report("around_is_untouched", rc, &f);
}

static void read_only(struct io *io)
{
	struct io_slot *s = io_slot(io);
	int rc;

	s->iov[0] = (struct iovec){s->buffer, VIRTIO_BLK_SECTOR};
	ringside_raw(io->q, &s->req, VIRTIO_BLK_T_OUT, 0, s->iov, 1, 0);
	rc = io_finish(io);
	if (rc == -EIO && s->req.status == VIRTIO_BLK_S_IOERR)
		report_ok("read_only_refuses_a_write");
	else
		report_bad("read_only_refuses_a_write", "error %d, status %u", -rc, s->req.status);
}

/* ---- life ---- */

static void queue_reset(struct io *io)
{
	int rc = 0;

	if (!(io->info.features & BIT64(VIRTIO_F_RING_RESET))) {
		report_skip("queue_reset", "not offered");
		return;
	}
	for (unsigned i = 0; !rc && i < io->info.queues; i++)
		rc = ringside_queue_reset(ringside_queue(io->disk, i));
	say_result("queue_reset", rc);
}

static void device_reset(struct io *io)
{
	struct ringside_error err;
	int rc = ringside_stop(io->disk, &err);

	if (!rc)
		rc = ringside_start(io->disk, &err);
	if (rc)
		report_bad("device_reset", "%s", err.text);
	else
		report_ok("device_reset");
}

#define IN_FLIGHT_BYTES 16384u
#define QUIET_MS	20
#define UNTOUCHED	0xa5

/* Where the buffers of a reset device are written to, somebody else's data are lost. */
static const uint8_t *touched(struct io_slot *const *slots, unsigned n)
{
	uint64_t until = clock_ns() + QUIET_MS * NSEC_PER_MSEC;

	for (unsigned i = 0; i < n; i++)
		memset(slots[i]->buffer, UNTOUCHED, IN_FLIGHT_BYTES);
	while (clock_ns() < until)
		cpu_relax();
	for (unsigned i = 0; i < n; i++) {
		int64_t at = bytes_differ(slots[i]->buffer, IN_FLIGHT_BYTES, UNTOUCHED);

		if (at >= 0)
			return slots[i]->buffer + at;
	}
	return NULL;
}

static void reset_in_flight(struct io *io)
{
	uint32_t len = (uint32_t)min_u64(IN_FLIGHT_BYTES, io->info.max_segment_bytes);
	struct io_slot *slots[IO_BUFFERS];
	struct ringside_error err;
	const uint8_t *at;
	int rc;

	for (unsigned i = 0; i < io->o.depth; i++) {
		slots[i] = io_slot(io);
		ringside_read(io->q, &slots[i]->req, 0, slots[i]->buffer,
			      len - len % VIRTIO_BLK_SECTOR);
	}
	ringside_commit(io->q);
	rc = ringside_stop(io->disk, &err);
	io->result = 0;
	at = touched(slots, io->o.depth);
	if (rc)
		report_bad("reset_in_flight", "%s", err.text);
	else if (io->busy)
		report_bad("reset_in_flight", "%u requests were not given back", io->busy);
	else if (at)
		report_bad("reset_in_flight", "memory at 0x%x was written after the reset",
			   (uintptr_t)at);
	else
		report_ok("reset_in_flight");
	if (ringside_start(io->disk, &err))
		report_bad("start_again", "%s", err.text);
}

void checks_run(struct io *io)
{
	serial(io);
	past_the_end(io);
	if (io->o.write && !io->info.readonly) {
		write_area(io, "write");
		check_area(io, "read_back");
		flush(io);
		discard(io);
		write_zeroes(io);
		check_around(io);
		write_area(io, "write_again");
	} else if (io->info.readonly) {
		read_only(io);
	}
	queue_reset(io);
	device_reset(io);
	reset_in_flight(io);
	check_area(io, "data_after_reset");
}
