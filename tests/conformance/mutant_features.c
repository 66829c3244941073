/* SPDX-License-Identifier: MIT */
#include "conformance/mutant.h"

#include <string.h>

#define BIT(n) (UINT64_C(1) << (n))

void mutant_init(struct mutant *m)
{
	for (unsigned i = 0; i < QUEUES; i++)
		m->queues[i] = (struct queue){.index = i, .kick = -1, .call = -1, .old_call = -1};
	for (size_t i = 0; i < DISK; i++)
		m->disk[i] = (uint8_t)(i / 512 * 7 + i);
	memcpy(m->stable, m->disk, DISK);
	if (m->zoned)
		mzones_init(m);
}

uint64_t mutant_offers(const struct mutant *m)
{
	uint64_t f = BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_BLK_SIZE) |
		     BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_CONFIG_WCE) | BIT(VIRTIO_BLK_F_MQ) |
		     BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES) |
		     BIT(VIRTIO_BLK_F_LIFETIME) | BIT(VIRTIO_BLK_F_SECURE_ERASE) |
		     BIT(VIRTIO_F_INDIRECT_DESC) | BIT(VIRTIO_F_EVENT_IDX) |
		     BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_F_IN_ORDER) |
		     BIT(VHOST_USER_F_PROTOCOL_FEATURES) | BIT(26);

	if (m->readonly)
		f |= BIT(VIRTIO_BLK_F_RO);
	if (m->zoned) {
		f |= BIT(VIRTIO_BLK_F_ZONED);
		f &= ~(BIT(VIRTIO_BLK_F_WRITE_ZEROES) | BIT(VIRTIO_BLK_F_CONFIG_WCE));
		if (!is(m, M_ZONED_DISCARD))
			f &= ~BIT(VIRTIO_BLK_F_DISCARD);
		if (!is(m, M_ZONED_ERASE))
			f &= ~BIT(VIRTIO_BLK_F_SECURE_ERASE);
	}
	if (is(m, M_STRANGE))
		f |= BIT(55);
	if (is(m, M_NO_VERSION_1))
		f &= ~BIT(VIRTIO_F_VERSION_1);
	if (is(m, M_NO_FLUSH))
		f &= ~(BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_CONFIG_WCE));
	if (is(m, M_WCE_NO_FLUSH))
		f &= ~BIT(VIRTIO_BLK_F_FLUSH);
	return f;
}

uint64_t mutant_protocols(void)
{
	return BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_LOG_SHMFD) |
	       BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) | BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) |
	       BIT(VHOST_USER_PROTOCOL_F_CONFIG) | BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE) |
	       BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS) | BIT(VHOST_USER_PROTOCOL_F_STATUS);
}

void mutant_config(struct mutant *m)
{
	bool wce = !m->features_set || has(m, VIRTIO_BLK_F_FLUSH) || is(m, M_WRITEBACK);

	m->config = (struct virtio_blk_config){
		.capacity = le64_make(DISK / 512 + is(m, M_CAPACITY)),
		.seg_max = le32_make(is(m, M_CONFIG_CHANGES) && m->features_set ? 64 : 126),
		.blk_size = le32_make(512),
		.writeback = wce,
		.unused0 = is(m, M_PADDING) ? 0x40 : 0,
		.num_queues = le16_make(QUEUES),
		.max_discard_sectors = le32_make(DISK / 512),
		.max_discard_seg = le32_make(8),
		.discard_sector_alignment = le32_make(1),
		.max_write_zeroes_sectors = le32_make(DISK / 512),
		.max_write_zeroes_seg = le32_make(8),
		.write_zeroes_may_unmap = 0,
		.max_secure_erase_sectors = le32_make(DISK / 512),
		.max_secure_erase_seg = le32_make(8),
		.secure_erase_sector_alignment = le32_make(1),
	};
	if (m->zoned)
		mzones_config(m);
}
