/* SPDX-License-Identifier: MIT */
/* Requests of zoned disks (virtio 1.4, 5.2.6). */
#include "frontend/blk/disk.h"

#include <errno.h>
#include <string.h>

static uint64_t disk_sectors(const struct ringside_queue *q)
{
	return read_once(&q->disk->limits.sectors);
}

/* ---- into the ring ---- */

/* 0 if the disk has zones and @offset lies in one. */
static int check_zoned(const struct ringside_queue *q, uint64_t offset)
{
	if (q->disk->limits.info.zone_model == VIRTIO_BLK_Z_NONE)
		return -ENOTSUP;
	return offset / VIRTIO_BLK_SECTOR < disk_sectors(q) ? 0 : -EINVAL;
}

/* ... begins there, and may be changed. */
static int check_zone(const struct ringside_queue *q, uint64_t offset)
{
	const struct ringside_info *i = &q->disk->limits.info;
	int rc = check_zoned(q, offset);

	if (rc)
		return rc;
	if (i->readonly)
		return -EROFS;
	return offset % ((uint64_t)i->zone_sectors * VIRTIO_BLK_SECTOR) ? -EINVAL : 0;
}

void ringside_zone_report(struct ringside_queue *q, struct ringside_request *req, uint64_t offset,
			  struct ringside_zone *zones, unsigned *n)
{
	const struct ringside_info *i = &q->disk->limits.info;
	uint64_t room = min_u64(i->max_segment_bytes, sizeof(struct disk_report));
	int rc = check_zoned(q, offset);

	disk_request_simple(req, KIND_REPORT, VIRTIO_BLK_T_ZONE_REPORT, zones);
	req->sector = offset / VIRTIO_BLK_SECTOR;
	req->count = n;
	/* Header and zones are one buffer, as large as the device takes. */
	room /= sizeof(struct virtio_blk_zone_descriptor);
	if (!rc && (room < 2 || !*n))
		rc = -EINVAL;
	if (!rc)
		req->readable = (uint32_t)min_u64(*n, room - 1);
	disk_queue_submit(q, req, rc);
}

static void submit_command(struct ringside_queue *q, struct ringside_request *req, uint32_t type,
			   uint64_t offset)
{
	disk_request_simple(req, KIND_ZONE, type, NULL);
	req->sector = offset / VIRTIO_BLK_SECTOR;
	disk_queue_submit(q, req, check_zone(q, offset));
}

void ringside_zone_open(struct ringside_queue *q, struct ringside_request *req, uint64_t offset)
{
	submit_command(q, req, VIRTIO_BLK_T_ZONE_OPEN, offset);
}

void ringside_zone_close(struct ringside_queue *q, struct ringside_request *req, uint64_t offset)
{
	submit_command(q, req, VIRTIO_BLK_T_ZONE_CLOSE, offset);
}

void ringside_zone_finish(struct ringside_queue *q, struct ringside_request *req, uint64_t offset)
{
	submit_command(q, req, VIRTIO_BLK_T_ZONE_FINISH, offset);
}

void ringside_zone_reset(struct ringside_queue *q, struct ringside_request *req, uint64_t offset)
{
	submit_command(q, req, VIRTIO_BLK_T_ZONE_RESET, offset);
}

void ringside_zone_reset_all(struct ringside_queue *q, struct ringside_request *req)
{
	submit_command(q, req, VIRTIO_BLK_T_ZONE_RESET_ALL, 0);
}

static int check_append(struct ringside_queue *q, uint64_t zone, const struct iovec *iov,
			unsigned n)
{
	const struct ringside_info *i = &q->disk->limits.info;
	uint64_t total;
	int rc = check_zone(q, zone);

	if (rc)
		return rc;
	if (!i->max_append_sectors)
		return -ENOTSUP;
	/* Header, place and status stand beside them. */
	if (!n || n > i->max_segments || n + 3 > q->vq.num)
		return -EINVAL;
	rc = disk_check_iovs(q, iov, n, i->max_segment_bytes, &total);
	if (rc)
		return rc;
	if (total % i->write_granularity ||
	    total > (uint64_t)i->max_append_sectors * VIRTIO_BLK_SECTOR)
		return -EINVAL;
	return 0;
}

void ringside_zone_appendv(struct ringside_queue *q, struct ringside_request *req, uint64_t zone,
			   const struct iovec *iov, unsigned n, uint64_t *place)
{
	disk_request_simple(req, KIND_APPEND, VIRTIO_BLK_T_ZONE_APPEND, place);
	req->sector = zone / VIRTIO_BLK_SECTOR;
	req->iov = iov;
	req->readable = n;
	disk_queue_submit(q, req, check_append(q, zone, iov, n));
}

void ringside_zone_append(struct ringside_queue *q, struct ringside_request *req, uint64_t zone,
			  const void *buf, size_t len, uint64_t *place)
{
	req->one = (struct iovec){.iov_base = (void *)(uintptr_t)buf, .iov_len = len};
	ringside_zone_appendv(q, req, zone, &req->one, 1, place);
}

/* ---- out of the ring ---- */

static bool has_pointer(const struct ringside_zone *z)
{
	return z->type != VIRTIO_BLK_ZT_CONV && z->state >= VIRTIO_BLK_ZS_EMPTY &&
	       z->state <= VIRTIO_BLK_ZS_CLOSED;
}

/* The zone that begins at @sector; -EPROTO: the device speaks of another one, or of none that can be. */
static int take_zone(const struct ringside_queue *q, const struct virtio_blk_zone_descriptor *from,
		     uint64_t sector, struct ringside_zone *z)
{
	const uint64_t all = disk_sectors(q);
	struct virtio_blk_zone_descriptor d;
	uint64_t size, capacity, pointer;

	if (sector >= all)
		return -EPROTO;
	/* Once: it is shared memory. */
	memcpy(&d, from, sizeof(d));
	size = min_u64(q->disk->limits.info.zone_sectors, all - sector);
	capacity = le64_get(d.z_cap);
	pointer = le64_get(d.z_wp);
	if (le64_get(d.z_start) != sector || capacity > size)
		return -EPROTO;
	*z = (struct ringside_zone){
		.start = sector * VIRTIO_BLK_SECTOR,
		.size = size * VIRTIO_BLK_SECTOR,
		.capacity = capacity * VIRTIO_BLK_SECTOR,
		.write_pointer = RINGSIDE_ZONE_NO_POINTER,
		.type = d.z_type,
		.state = d.z_state,
	};
	if (!has_pointer(z))
		return 0;
	if (pointer < sector || pointer > sector + capacity)
		return -EPROTO;
	z->write_pointer = pointer * VIRTIO_BLK_SECTOR;
	return 0;
}

void disk_take_report(struct ringside_queue *q, struct ringside_request *req, uint32_t len)
{
	const uint32_t zone_sectors = q->disk->limits.info.zone_sectors;
	const struct disk_report *r = &q->reports[req->writable];
	struct virtio_blk_zone_report header;
	struct ringside_zone *zones = req->out;
	uint64_t n, sector;

	/* A back end that was found again may say that there are no zones any more. */
	if (!zone_sectors) {
		req->result = -EPROTO;
		return;
	}
	sector = req->sector - req->sector % zone_sectors;
	memcpy(&header, &r->header, sizeof(header));
	n = len < sizeof(header) ? 0 : (len - sizeof(header)) / sizeof(r->zones[0]);
	n = min_u64(n, req->readable);
	n = min_u64(n, le64_get(header.nr_zones));
	if (!n)
		req->result = -EPROTO;
	for (uint64_t i = 0; i < n && !req->result; i++)
		req->result = take_zone(q, &r->zones[i], sector + i * zone_sectors, &zones[i]);
	if (!req->result)
		*req->count = (unsigned)n;
}

void disk_take_append(struct ringside_queue *q, struct ringside_request *req, uint32_t len)
{
	const uint32_t zone_sectors = q->disk->limits.info.zone_sectors;
	uint64_t *place = req->out, bytes = 0, at;
	le64 raw;

	memcpy(&raw, q->slots[req->slot].data, sizeof(raw));
	at = le64_get(raw);
	for (unsigned i = 0; i < req->readable; i++)
		bytes += req->iov[i].iov_len;
	if (len < sizeof(raw) || at < req->sector || at - req->sector > zone_sectors ||
	    bytes / VIRTIO_BLK_SECTOR > zone_sectors - (at - req->sector))
		req->result = -EPROTO;
	else if (place)
		*place = at * VIRTIO_BLK_SECTOR;
}
