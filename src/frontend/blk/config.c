/* SPDX-License-Identifier: MIT */
/* What the device offers and says of itself, made into limits that can be worked with. */
#include "frontend/blk/disk.h"

#include <errno.h>
#include <string.h>

#define BITS_BY_DEFAULT                                                                            \
	(BIT64(VIRTIO_BLK_F_SIZE_MAX) | BIT64(VIRTIO_BLK_F_SEG_MAX) |                              \
	 BIT64(VIRTIO_BLK_F_GEOMETRY) | BIT64(VIRTIO_BLK_F_RO) | BIT64(VIRTIO_BLK_F_BLK_SIZE) |    \
	 BIT64(VIRTIO_BLK_F_FLUSH) | BIT64(VIRTIO_BLK_F_TOPOLOGY) |                                \
	 BIT64(VIRTIO_BLK_F_CONFIG_WCE) | BIT64(VIRTIO_BLK_F_MQ) | BIT64(VIRTIO_BLK_F_DISCARD) |   \
	 BIT64(VIRTIO_BLK_F_WRITE_ZEROES) | BIT64(VIRTIO_BLK_F_LIFETIME) |                         \
	 BIT64(VIRTIO_BLK_F_SECURE_ERASE) | BIT64(VIRTIO_F_INDIRECT_DESC) |                        \
	 BIT64(VIRTIO_F_EVENT_IDX) | BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_F_ACCESS_PLATFORM) | \
	 BIT64(VIRTIO_F_RING_PACKED) | BIT64(VIRTIO_F_ORDER_PLATFORM) |                            \
	 BIT64(VIRTIO_F_NOTIFICATION_DATA) | BIT64(VIRTIO_F_NOTIF_CONFIG_DATA) |                   \
	 BIT64(VIRTIO_F_RING_RESET))

/* Known too, but only if asked for: in order, one slow request holds up all behind it. */
#define BITS_ON_REQUEST BIT64(VIRTIO_F_IN_ORDER)

/* The configuration ends in a field that no feature but these needs. */
#define CONFIG_BASE_SIZE 60

#define FIELD(name)	 offsetof(struct virtio_blk_config, name)

/* No size of a block makes sense beyond this, and none but powers of two. */
#define BLOCK_SIZE_MAX (1u << 20)

static int get8(struct vdriver *v, size_t at, uint8_t *out, struct error *err)
{
	return vdriver_config_field(v, (uint32_t)at, out, 1, err);
}

static int get16(struct vdriver *v, size_t at, uint16_t *out, struct error *err)
{
	le16 f = {0};
	int rc = vdriver_config_field(v, (uint32_t)at, &f, sizeof(f), err);

	*out = le16_get(f);
	return rc;
}

static int get32(struct vdriver *v, size_t at, uint32_t *out, struct error *err)
{
	le32 f = {0};
	int rc = vdriver_config_field(v, (uint32_t)at, &f, sizeof(f), err);

	*out = le32_get(f);
	return rc;
}

static int get64(struct vdriver *v, size_t at, uint64_t *out, struct error *err)
{
	uint32_t low, high;
	int rc;

	/* In two halves: nothing longer than 32 bits is read at once (virtio 1.4, 2.5.2). */
	rc = get32(v, at, &low, err);
	if (!rc)
		rc = get32(v, at + 4, &high, err);
	if (!rc)
		*out = low | (uint64_t)high << 32;
	return rc;
}

static int read_zone_model(struct vdriver *v, void *opaque, struct error *err)
{
	return get8(v, FIELD(zone_model), opaque, err);
}

int disk_want(struct ringside_disk *d, uint64_t *want, struct error *err)
{
	const struct ringside_options *o = &d->options;
	struct vdriver *v = &d->v;
	uint8_t model = 0;
	int rc;

	v->t->config_size = CONFIG_BASE_SIZE;
	if (v->offered & (BIT64(VIRTIO_BLK_F_SECURE_ERASE) | BIT64(VIRTIO_BLK_F_ZONED)))
		v->t->config_size = sizeof(struct virtio_blk_config);

	*want = BITS_BY_DEFAULT | (o->features_on & BITS_ON_REQUEST);
	if (o->zoned)
		*want |= BIT64(VIRTIO_BLK_F_ZONED);
	*want &= ~o->features_off;
	/* A cache that cannot be flushed must not be written back to. */
	if (!(*want & v->offered & BIT64(VIRTIO_BLK_F_FLUSH)))
		*want &= ~BIT64(VIRTIO_BLK_F_CONFIG_WCE);

	if (!vdriver_offers(v, VIRTIO_BLK_F_ZONED))
		return 0;
	rc = vdriver_config(v, read_zone_model, &model, err);
	if (rc)
		return rc;
	if (model != VIRTIO_BLK_Z_HM)
		return 0;
	if (!(*want & BIT64(VIRTIO_BLK_F_ZONED)))
		return error_set(err, -ENOTSUP,
				 "the disk is host-managed zoned and was not opened as such.");
	*want &= ~BIT64(VIRTIO_BLK_F_DISCARD);
	return 0;
}

struct raw_config {
	uint64_t capacity;
	uint32_t size_max, seg_max, blk_size, opt_io_size;
	uint32_t discard[3], zeroes[2], erase[3], zoned[5];
	uint16_t min_io_size, num_queues;
	uint8_t physical_exp, writeback, may_unmap, zone_model;
};

static int get32s(struct vdriver *v, size_t at, uint32_t *out, unsigned n, struct error *err)
{
	int rc = 0;

	for (unsigned i = 0; !rc && i < n; i++)
		rc = get32(v, at + i * sizeof(le32), &out[i], err);
	return rc;
}

/* Fields that no accepted feature speaks of are not looked at. */
static int read_fields(struct vdriver *v, void *opaque, struct error *err)
{
	struct raw_config *c = opaque;
	int rc;

	memset(c, 0, sizeof(*c));
	rc = get64(v, FIELD(capacity), &c->capacity, err);
	if (!rc && vdriver_has(v, VIRTIO_BLK_F_SIZE_MAX))
		rc = get32(v, FIELD(size_max), &c->size_max, err);
	if (!rc && vdriver_has(v, VIRTIO_BLK_F_SEG_MAX))
		rc = get32(v, FIELD(seg_max), &c->seg_max, err);
	if (!rc && vdriver_has(v, VIRTIO_BLK_F_BLK_SIZE))
		rc = get32(v, FIELD(blk_size), &c->blk_size, err);
	if (!rc && vdriver_has(v, VIRTIO_BLK_F_TOPOLOGY)) {
		rc = get8(v, FIELD(physical_block_exp), &c->physical_exp, err);
		if (!rc)
			rc = get16(v, FIELD(min_io_size), &c->min_io_size, err);
		if (!rc)
			rc = get32(v, FIELD(opt_io_size), &c->opt_io_size, err);
	}
	if (!rc && vdriver_has(v, VIRTIO_BLK_F_CONFIG_WCE))
		rc = get8(v, FIELD(writeback), &c->writeback, err);
	if (!rc && vdriver_has(v, VIRTIO_BLK_F_MQ))
		rc = get16(v, FIELD(num_queues), &c->num_queues, err);
	if (!rc && vdriver_has(v, VIRTIO_BLK_F_DISCARD))
		rc = get32s(v, FIELD(max_discard_sectors), c->discard, 3, err);
	if (!rc && vdriver_has(v, VIRTIO_BLK_F_WRITE_ZEROES)) {
		rc = get32s(v, FIELD(max_write_zeroes_sectors), c->zeroes, 2, err);
		if (!rc)
			rc = get8(v, FIELD(write_zeroes_may_unmap), &c->may_unmap, err);
	}
	if (!rc && vdriver_has(v, VIRTIO_BLK_F_SECURE_ERASE))
		rc = get32s(v, FIELD(max_secure_erase_sectors), c->erase, 3, err);
	if (!rc && vdriver_has(v, VIRTIO_BLK_F_ZONED)) {
		rc = get32s(v, FIELD(zone_sectors), c->zoned, 5, err);
		if (!rc)
			rc = get8(v, FIELD(zone_model), &c->zone_model, err);
	}
	return rc;
}

/* What the fields of a zoned disk say of each other. */
static int check_zones(const struct raw_config *c, uint32_t block, struct error *err)
{
	uint32_t granularity = c->zoned[4];

	if (c->zone_model > VIRTIO_BLK_Z_HA)
		return error_set(err, -EPROTO, "the device claims to have the zone model %u.",
				 c->zone_model);
	if (c->zone_model == VIRTIO_BLK_Z_NONE)
		return 0;
	if (!c->zoned[0])
		return error_set(err, -EPROTO, "the device claims to have zones of no sectors.");
	if (granularity && granularity % block)
		return error_set(err, -EPROTO,
				 "the device claims to be written by %u bytes, with blocks of %u.",
				 granularity, block);
	return 0;
}

static uint32_t or_else(uint32_t v, uint32_t instead)
{
	return v ? v : instead;
}

int disk_read_config(struct vdriver *v, struct ringside_info *i, uint16_t *num_queues,
		     struct error *err)
{
	struct raw_config c;
	uint32_t block;
	int rc;

	rc = vdriver_config(v, read_fields, &c, err);
	if (rc)
		return rc;
	if (c.capacity > (UINT64_MAX >> 9))
		return error_set(err, -EPROTO, "the device claims to be %llu sectors large.",
				 (unsigned long long)c.capacity);
	block = vdriver_has(v, VIRTIO_BLK_F_BLK_SIZE) ? c.blk_size : VIRTIO_BLK_SECTOR;
	if (block < VIRTIO_BLK_SECTOR || block > BLOCK_SIZE_MAX || !is_pow2(block))
		return error_set(err, -EPROTO, "the device claims to have blocks of %u bytes.",
				 block);
	rc = check_zones(&c, block, err);
	if (rc)
		return rc;

	i->features = v->features;
	i->offered = v->offered;
	i->capacity = c.capacity * VIRTIO_BLK_SECTOR;
	i->block_size = block;
	i->physical_block_size = c.physical_exp < 12 ? block << c.physical_exp : block;
	i->min_io_size = c.min_io_size > UINT32_MAX / block ? 0 : c.min_io_size * block;
	i->optimal_io_size = c.opt_io_size > UINT32_MAX / block ? 0 : c.opt_io_size * block;
	/* A device of which no request has a segment would be none: 0 counts as 1 or as no limit.
	 */
	i->max_segments = or_else(c.seg_max, 1);
	i->max_segment_bytes = or_else(c.size_max, UINT32_MAX);
	i->readonly = vdriver_offers(v, VIRTIO_BLK_F_RO);
	i->writeback = vdriver_has(v, VIRTIO_BLK_F_CONFIG_WCE) ? c.writeback != 0
							       : vdriver_has(v, VIRTIO_BLK_F_FLUSH);
	i->max_discard_sectors = or_else(c.discard[0], UINT32_MAX);
	i->max_discard_ranges = or_else(c.discard[1], 1);
	i->discard_alignment = c.discard[2];
	i->max_write_zeroes_sectors = or_else(c.zeroes[0], UINT32_MAX);
	i->max_write_zeroes_ranges = or_else(c.zeroes[1], 1);
	i->write_zeroes_may_unmap = c.may_unmap;
	i->max_secure_erase_sectors = or_else(c.erase[0], UINT32_MAX);
	i->max_secure_erase_ranges = or_else(c.erase[1], 1);
	i->secure_erase_alignment = c.erase[2];
	i->zone_sectors = c.zoned[0];
	i->max_open_zones = c.zoned[1];
	i->max_active_zones = c.zoned[2];
	i->max_append_sectors = (uint32_t)min_u64(c.zoned[3], c.zoned[0]);
	i->zone_model = c.zone_model;
	i->write_granularity = c.zone_model ? or_else(c.zoned[4], block) : 0;
	*num_queues = (uint16_t)or_else(c.num_queues, 1);
	return 0;
}
