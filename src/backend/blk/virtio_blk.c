/* SPDX-License-Identifier: MIT */
#include "backend/blk/virtio_blk.h"

#include "backend/blk/perform.h"
#include "backend/blk/request.h"
#include "base/atomic.h"
#include "wire/virtio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- features and config space ---- */

static uint64_t offer(const struct storage *s, const struct virtio_blk_options *o)
{
	const struct storage_limits *l = storage_limits(s);
	uint64_t f = BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_F_INDIRECT_DESC) |
		     BIT64(VIRTIO_F_EVENT_IDX) | BIT64(VIRTIO_F_IN_ORDER) |
		     BIT64(VIRTIO_BLK_F_SEG_MAX) | BIT64(VIRTIO_BLK_F_BLK_SIZE) |
		     BIT64(VIRTIO_BLK_F_TOPOLOGY) | BIT64(VIRTIO_BLK_F_FLUSH) |
		     BIT64(VIRTIO_BLK_F_CONFIG_WCE) | BIT64(VIRTIO_BLK_F_MQ);

	if (!o->no_packed)
		f |= BIT64(VIRTIO_F_RING_PACKED);
	if (o->no_event_idx)
		f &= ~BIT64(VIRTIO_F_EVENT_IDX);
	if (storage_limits_zoned(l))
		f |= BIT64(VIRTIO_BLK_F_ZONED);
	if (l->lifetime)
		f |= BIT64(VIRTIO_BLK_F_LIFETIME);
	if (storage_readonly(s))
		return f | BIT64(VIRTIO_BLK_F_RO);
	/* BLK-G-03: never with host-managed zones. */
	if (l->max_discard && !storage_limits_zoned(l))
		f |= BIT64(VIRTIO_BLK_F_DISCARD);
	if (l->max_write_zeroes)
		f |= BIT64(VIRTIO_BLK_F_WRITE_ZEROES);
	/* BLK-D-28 would make a reset of zones of it. */
	if (l->max_secure_erase && !storage_limits_zoned(l))
		f |= BIT64(VIRTIO_BLK_F_SECURE_ERASE);
	return f;
}

static uint32_t whole_sectors(uint64_t bytes, uint32_t block)
{
	return (uint32_t)(min_u64(align_down(bytes, block), UINT64_C(1) << 40) / VIRTIO_BLK_SECTOR);
}

static void fill_config(struct virtio_blk *blk, const struct virtio_blk_options *o)
{
	const struct storage_limits *l = storage_limits(blk->storage);
	struct virtio_blk_config *c = &blk->config;
	uint32_t block = l->block_size;
	unsigned exp = 0;

	while (exp < 15 && (block << (exp + 1)) <= l->physical_block_size)
		exp++;
	c->capacity = le64_make(storage_size(blk->storage) / VIRTIO_BLK_SECTOR);
	/*
	 * A ring without indirect descriptors must hold the longest request and its header and
	 * status.
	 */
	c->seg_max = le32_make(o->queue_size > 2 && o->queue_size < BLK_SEG_MAX + 2
				       ? o->queue_size - 2
			       : o->queue_size && o->queue_size <= 2 ? 1
								     : BLK_SEG_MAX);
	c->blk_size = le32_make(block);
	c->physical_block_exp = (uint8_t)exp;
	c->min_io_size = le16_make((uint16_t)(1u << exp));
	c->opt_io_size = le32_make(l->opt_io_size / block);
	c->num_queues = le16_make((uint16_t)blk->vdev.n_queues);
	if (l->max_discard) {
		c->max_discard_sectors = le32_make(whole_sectors(l->max_discard, block));
		c->max_discard_seg = le32_make(BLK_RANGES_MAX);
		c->discard_sector_alignment = le32_make(
			(uint32_t)max_u64(l->discard_alignment / VIRTIO_BLK_SECTOR, 1));
	}
	if (l->max_write_zeroes) {
		c->max_write_zeroes_sectors = le32_make(whole_sectors(l->max_write_zeroes, block));
		c->max_write_zeroes_seg = le32_make(BLK_RANGES_MAX);
		c->write_zeroes_may_unmap = l->write_zeroes_unmaps;
	}
	if (l->max_secure_erase && !storage_limits_zoned(l)) {
		c->max_secure_erase_sectors = le32_make(whole_sectors(l->max_secure_erase, block));
		c->max_secure_erase_seg = le32_make(BLK_RANGES_MAX);
		c->secure_erase_sector_alignment = le32_make(
			(uint32_t)max_u64(l->erase_alignment / VIRTIO_BLK_SECTOR, 1));
	}
}

static void fill_zones(struct virtio_blk_config *c, const struct storage_zone_limits *z)
{
	if (!z->size)
		return;
	c->zone_sectors = le32_make((uint32_t)(z->size / VIRTIO_BLK_SECTOR));
	c->max_open_zones = le32_make(z->max_open);
	c->max_active_zones = le32_make(z->max_active);
	c->max_append_sectors = le32_make(
		(uint32_t)(min_u64(z->max_append, UINT64_C(1) << 40) / VIRTIO_BLK_SECTOR));
	c->write_granularity = le32_make(z->write_granularity);
	c->zone_model = VIRTIO_BLK_Z_HM;
}

static void blk_config_read(struct virtio_device *vdev, size_t offset, void *buf, size_t len)
{
	struct virtio_blk *blk = virtio_blk_of(vdev);
	struct virtio_blk_config c = blk->config;

	c.capacity = le64_make(storage_size(blk->storage) / VIRTIO_BLK_SECTOR);
	c.writeback = blk->writeback;
	memcpy(buf, (const uint8_t *)&c + offset, len);
}

static int blk_config_write(struct virtio_device *vdev, size_t offset, const void *buf, size_t len)
{
	struct virtio_blk *blk = virtio_blk_of(vdev);
	uint8_t value;

	if (offset != offsetof(struct virtio_blk_config, writeback) || len != 1 ||
	    !virtio_device_has(vdev, VIRTIO_BLK_F_CONFIG_WCE))
		return -EPERM;
	memcpy(&value, buf, 1);
	if (value > 1)
		return -EINVAL;
	write_once(&blk->writeback, value != 0);
	return 0;
}

/* A device of legacy drivers has no zones. */
static uint64_t blk_grounded(uint64_t features)
{
	return features & BIT64(VIRTIO_F_VERSION_1) ? features
						    : features & ~BIT64(VIRTIO_BLK_F_ZONED);
}

/* 5.2.5.2: a driver that does not know host-managed zones is refused. */
static bool blk_fits(const struct virtio_device *vdev, uint64_t features)
{
	return !(vdev->offered & BIT64(VIRTIO_BLK_F_ZONED)) || features & BIT64(VIRTIO_BLK_F_ZONED);
}

/*
 * 5.2.5, 5.2.6.2: without CONFIG_WCE the driver that took FLUSH gets write-back, the one that did
 * not can never flush and gets write-through; with CONFIG_WCE but without FLUSH the mode starts as
 * write-through.
 */
static void blk_features_set(struct virtio_device *vdev)
{
	struct virtio_blk *blk = virtio_blk_of(vdev);
	bool flush = virtio_device_has(vdev, VIRTIO_BLK_F_FLUSH);
	bool wce = virtio_device_has(vdev, VIRTIO_BLK_F_CONFIG_WCE);

	write_once(&blk->writeback, flush && !(wce && blk->write_through_at_start));
}

static void blk_reset(struct virtio_device *vdev)
{
	write_once(&virtio_blk_of(vdev)->writeback, !virtio_blk_of(vdev)->write_through_at_start);
}

static void blk_refresh(struct virtio_device *vdev)
{
	virtio_blk_refresh(virtio_blk_of(vdev));
}

/* ---- state ---- */

static void blk_save(const struct virtio_device *vdev, struct pack *p)
{
	const struct virtio_blk *blk = container_of(vdev, const struct virtio_blk, vdev);
	const struct virtio_blk_config *c = &blk->config;

	pack_bytes(p, blk->serial, sizeof(blk->serial));
	pack_64(p, storage_size(blk->storage) / VIRTIO_BLK_SECTOR);
	pack_32(p, le32_get(c->blk_size));
	pack_32(p, le32_get(c->seg_max));
	pack_16(p, le16_get(c->num_queues));
	pack_32(p, le32_get(c->max_discard_sectors));
	pack_32(p, le32_get(c->max_discard_seg));
	pack_32(p, le32_get(c->max_write_zeroes_sectors));
	pack_32(p, le32_get(c->max_write_zeroes_seg));
	pack_32(p, le32_get(c->max_secure_erase_sectors));
	pack_32(p, le32_get(c->max_secure_erase_seg));
	pack_8(p, blk->writeback);
	pack_8(p, storage_spoiled(blk->storage));
	if (!storage_limits_zoned(storage_limits(blk->storage)))
		return;
	/* What the zones are like is the storage's, which both sides see; the driver has read these. */
	pack_32(p, le32_get(c->zone_sectors));
	pack_32(p, le32_get(c->max_append_sectors));
	pack_32(p, le32_get(c->write_granularity));
}

/* The driver has read these, and sends requests by them. */
static int check_limit(const char *what, uint32_t there, uint32_t here, struct error *err)
{
	if (here >= there)
		return 0;
	return error_set(err, -EINVAL, "its %s is %u, and this disk's %u.", what, there, here);
}

/* Whether there are zones at all, features tell. */
static int check_zones(const struct virtio_blk_config *c, struct unpack *u, struct error *err)
{
	uint32_t zone = unpack_32(u), append = unpack_32(u), granularity = unpack_32(u);

	if (zone != le32_get(c->zone_sectors))
		return error_set(err, -EINVAL, "its zones have %u sectors, and this disk's %u.",
				 zone, le32_get(c->zone_sectors));
	if (granularity != le32_get(c->write_granularity))
		return error_set(err, -EINVAL,
				 "its zones are written in units of %u bytes, and this disk's of "
				 "%u.",
				 granularity, le32_get(c->write_granularity));
	return check_limit("longest append", append, le32_get(c->max_append_sectors), err);
}

static int blk_load(struct virtio_device *vdev, struct unpack *u, bool *changed, struct error *err)
{
	struct virtio_blk *blk = virtio_blk_of(vdev);
	const struct virtio_blk_config *c = &blk->config;
	uint64_t here = storage_size(blk->storage) / VIRTIO_BLK_SECTOR, there;
	char serial[sizeof(blk->serial)];
	uint32_t block;
	uint8_t writeback;
	int rc;

	unpack_bytes(u, serial, sizeof(serial));
	if (memcmp(serial, blk->serial, sizeof(serial)))
		return error_set(err, -EINVAL, "it is of a disk with another serial number.");
	there = unpack_64(u);
	if (there > here)
		return error_set(err, -EINVAL, "its disk has %llu sectors, and this one %llu.",
				 (unsigned long long)there, (unsigned long long)here);
	block = unpack_32(u);
	if (block != le32_get(c->blk_size))
		return error_set(err, -EINVAL, "its disk has blocks of %u bytes, and this one %u.",
				 block, le32_get(c->blk_size));
	rc = check_limit("number of segments", unpack_32(u), le32_get(c->seg_max), err);
	if (!rc)
		rc = check_limit("number of queues", unpack_16(u), le16_get(c->num_queues), err);
	if (!rc)
		rc = check_limit("longest discard", unpack_32(u), le32_get(c->max_discard_sectors),
				 err);
	if (!rc)
		rc = check_limit("number of ranges to discard", unpack_32(u),
				 le32_get(c->max_discard_seg), err);
	if (!rc)
		rc = check_limit("longest write of zeroes", unpack_32(u),
				 le32_get(c->max_write_zeroes_sectors), err);
	if (!rc)
		rc = check_limit("number of ranges of zeroes", unpack_32(u),
				 le32_get(c->max_write_zeroes_seg), err);
	if (!rc)
		rc = check_limit("longest secure erase", unpack_32(u),
				 le32_get(c->max_secure_erase_sectors), err);
	if (!rc)
		rc = check_limit("number of ranges to erase", unpack_32(u),
				 le32_get(c->max_secure_erase_seg), err);
	if (rc)
		return rc;
	writeback = unpack_8(u);
	if (writeback > 1)
		return error_set(err, -EINVAL, "its cache is neither on nor off.");
	/* There a flush fails; here it would succeed, though what was written is lost. */
	if (unpack_8(u))
		return error_set(err, -EINVAL,
				 "its disk has lost data that were written, and no flush there "
				 "succeeds any more.");
	if (storage_limits_zoned(storage_limits(blk->storage))) {
		rc = check_zones(c, u, err);
		if (rc)
			return rc;
	}
	*changed |= there != here;
	write_once(&blk->writeback, writeback);
	return 0;
}

static void blk_destroy(struct virtio_device *vdev)
{
	struct virtio_blk *blk = virtio_blk_of(vdev);

	virtio_blk_destroy(&blk);
}

static const struct virtio_device_class virtio_blk_class = {
	.name = "virtio-blk",
	.id = VIRTIO_ID_BLOCK,
	.config_size = sizeof(struct virtio_blk_config),
	.config_read = blk_config_read,
	.config_write = blk_config_write,
	.grounded = blk_grounded,
	.fits = blk_fits,
	.features_set = blk_features_set,
	.reset = blk_reset,
	.refresh = blk_refresh,
	.save = blk_save,
	.load = blk_load,
	.destroy = blk_destroy,
	.queue_start = blk_queue_start,
	.queue_stop = blk_queue_stop,
	.process = blk_queue_process,
	.let_go = blk_queue_let_go,
};

/* ---- life ---- */

static void blk_storage_changed(struct storage_watch *w)
{
	virtio_blk_refresh(container_of(w, struct virtio_blk, watch));
}

int virtio_blk_create(struct virtio_blk **out, const struct virtio_blk_options *o,
		      struct storage *storage, struct reactor *home, struct worker *const *workers,
		      unsigned n_workers, unsigned first_worker, struct error *err)
{
	struct virtio_blk *blk;
	int rc;

	if (!o->queues || o->queues > BLK_QUEUES_MAX)
		return error_set(err, -EINVAL, "%s: a disk has 1 to %d queues, not %u.", o->path,
				 BLK_QUEUES_MAX, o->queues);
	if (o->serial && strlen(o->serial) > VIRTIO_BLK_ID_BYTES)
		return error_set(err, -EINVAL, "%s: the serial \"%s\" is longer than %d bytes.",
				 o->path, o->serial, VIRTIO_BLK_ID_BYTES);
	blk = calloc(1, sizeof(*blk));
	if (!blk)
		return error_set(err, -ENOMEM, "%s: cannot set up the disk", o->path);
	rc = virtio_device_init(&blk->vdev, &virtio_blk_class, o->path, offer(storage, o),
				o->queues, home, workers, n_workers, first_worker, err);
	if (rc) {
		free(blk);
		return rc;
	}
	blk->watch.changed = blk_storage_changed;
	rc = storage_watch_start(storage, home, &blk->watch);
	if (rc) {
		virtio_device_fini(&blk->vdev);
		free(blk);
		return error_set(err, rc, "%s: cannot set up the disk", o->path);
	}
	blk->storage = storage;
	blk->vdev.queue_size_max = o->queue_size;
	if (o->serial)
		memcpy(blk->serial, o->serial, strlen(o->serial));
	blk->write_through_at_start = o->write_through;
	blk->writeback = !o->write_through;
	fill_config(blk, o);
	fill_zones(&blk->config, &storage_limits(storage)->zones);
	*out = blk;
	return 0;
}

void virtio_blk_destroy(struct virtio_blk **blkp)
{
	struct virtio_blk *blk = *blkp;

	if (!blk)
		return;
	virtio_device_fini(&blk->vdev);
	storage_watch_stop(blk->storage, &blk->watch);
	storage_close(&blk->storage);
	free(blk);
	*blkp = NULL;
}

void virtio_blk_refresh(struct virtio_blk *blk)
{
	int rc = storage_refresh(blk->storage);

	if (rc < 0) {
		log_limited(&blk->vdev.complaints, LOG_LEVEL_WARN, blk->vdev.path,
			    "cannot look at the image's size: %s", strerror(-rc));
		return;
	}
	if (!rc)
		return;
	log_info(blk->vdev.path, "the image has %llu bytes now",
		 (unsigned long long)storage_size(blk->storage));
	virtio_device_config_changed(&blk->vdev);
}
