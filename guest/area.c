/* SPDX-License-Identifier: MIT */
#include "guest/area.h"

#include "base/bits.h"
#include "guest/pattern.h"
#include "guest/report.h"
#include "wire/virtio_blk.h"

#include <string.h>

/*
 * Sectors of one request after the other; reads and writes begin at different ones, so that their
 * borders differ.
 */
static const uint16_t lengths[] = {8, 1, 64, 3, 256, 17, 2, 128, 33, 5};
#define FIRST_WRITE 0u
#define FIRST_READ  3u

/* Nothing that the pattern has. */
#define UNREAD 0xee

enum what { WRITE, CHECK, CHECK_ZERO };

struct piece {
	struct io_slot *slot;
	uint64_t sector;
	uint32_t n;
};

/* One request of four has its data in several buffers of odd sizes. */
static unsigned cut(const struct io *io, struct io_slot *s, uint32_t bytes, unsigned turn)
{
	unsigned n = 0, most = turn % 4 == 3 ? (unsigned)min_u64(4, io->info.max_segments) : 1;
	uint32_t at = 0;

	for (; n + 1 < most && bytes - at > VIRTIO_BLK_SECTOR; n++) {
		uint32_t len = 100 * (n + 1);

		s->iov[n] = (struct iovec){s->buffer + at, len};
		at += len;
	}
	s->iov[n++] = (struct iovec){s->buffer + at, bytes - at};
	return n;
}

static void area_submit(struct io *io, enum what what, const struct piece *p, unsigned turn)
{
	uint32_t bytes = p->n * VIRTIO_BLK_SECTOR;
	unsigned n = cut(io, p->slot, bytes, turn);

	if (what == WRITE) {
		pattern_fill(p->slot->buffer, p->sector, p->n, io->o.seed);
		ringside_writev(io->q, &p->slot->req, p->sector * VIRTIO_BLK_SECTOR, p->slot->iov,
				n);
	} else {
		memset(p->slot->buffer, UNREAD, bytes);
		ringside_readv(io->q, &p->slot->req, p->sector * VIRTIO_BLK_SECTOR, p->slot->iov,
			       n);
	}
}

static int look(const struct io *io, enum what what, const struct piece *p, struct area_fault *f)
{
	const void *data = p->slot->buffer;
	int64_t where = what == CHECK	     ? pattern_differs(data, p->sector, p->n, io->o.seed)
			: what == CHECK_ZERO ? bytes_differ(data, p->n * VIRTIO_BLK_SECTOR, 0)
					     : -1;

	if (where < 0)
		return 0;
	*f = (struct area_fault){.byte = p->sector * VIRTIO_BLK_SECTOR + (uint64_t)where};
	return 1;
}

static uint32_t length_of(const struct io *io, unsigned turn, uint32_t left)
{
	uint64_t n = lengths[turn % ARRAY_SIZE(lengths)];

	n = min_u64(n, io->info.max_segment_bytes / VIRTIO_BLK_SECTOR);
	return (uint32_t)min_u64(n ? n : 1, left);
}

/* On one queue. */
static int area_run(struct io *io, enum what what, uint64_t sector, uint32_t left,
		    struct area_fault *f)
{
	unsigned turn = what == WRITE ? FIRST_WRITE : FIRST_READ;
	struct piece pieces[IO_BUFFERS];

	while (left) {
		unsigned n = 0;
		int rc;

		for (; left && n < io->o.depth; n++, turn++) {
			pieces[n] = (struct piece){io_slot(io), sector, length_of(io, turn, left)};
			area_submit(io, what, &pieces[n], turn);
			sector += pieces[n].n;
			left -= pieces[n].n;
		}
		rc = io_finish(io);
		if (rc) {
			*f = (struct area_fault){.result = rc, .byte = pieces[0].sector << 9};
			return rc;
		}
		for (unsigned i = 0; i < n; i++)
			if (look(io, what, &pieces[i], f))
				return 1;
	}
	return 0;
}

/* A share for every queue. */
static int on_all(struct io *io, enum what what, uint64_t sector, uint32_t n, struct area_fault *f)
{
	uint32_t share = n / io->info.queues;
	int rc = 0;

	for (unsigned i = 0; !rc && i < io->info.queues; i++) {
		bool last = i + 1u == io->info.queues;

		io->q = ringside_queue(io->disk, i);
		rc = area_run(io, what, sector + (uint64_t)i * share, last ? n - i * share : share,
			      f);
	}
	io->q = ringside_queue(io->disk, 0);
	return rc;
}

int area_write(struct io *io, uint64_t sector, uint32_t n_sectors, struct area_fault *fault)
{
	return on_all(io, WRITE, sector, n_sectors, fault);
}

int area_check(struct io *io, uint64_t sector, uint32_t n_sectors, struct area_fault *fault)
{
	return on_all(io, CHECK, sector, n_sectors, fault);
}

int area_check_zero(struct io *io, uint64_t sector, uint32_t n_sectors, struct area_fault *fault)
{
	return on_all(io, CHECK_ZERO, sector, n_sectors, fault);
}

void area_report(const char *name, int rc, const struct area_fault *f)
{
	if (!rc)
		report_ok(name);
	else if (rc > 0)
		report_bad(name, "wrong data at byte %llu", (unsigned long long)f->byte);
	else
		report_bad(name, "error %d at or behind byte %llu", -rc,
			   (unsigned long long)f->byte);
}
