/* SPDX-License-Identifier: MIT */
/*
 * Feature bits, device status, reset, configuration space: virtio 1.4, 2.1 to 2.5,
 * 3, 5.2.3 to 5.2.5, 6.
 */
#include "conform/cases.h"

#include "conform/blk.h"

#include <string.h>

#define VHOST_F_LOG_ALL 26

static void version_1(struct trial *t)
{
	dial(t);
	if (!offered(t, VIRTIO_F_VERSION_1))
		trial_fail(t, "VERSION_1 (32) is offered", "features 0x%llx",
			   (unsigned long long)t->peer.offered);
}

static void dependencies(struct trial *t)
{
	static const struct {
		unsigned bit, needs;
	} table[] = {
		{VIRTIO_BLK_F_CONFIG_WCE, VIRTIO_BLK_F_FLUSH},
	};

	dial(t);
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
		if (offered(t, table[i].bit) && !offered(t, table[i].needs))
			trial_fail(t, "no feature is offered without what it requires",
				   "%s (%u) without %s (%u)", feature_name(table[i].bit),
				   table[i].bit, feature_name(table[i].needs), table[i].needs);
}

static void unknown_bits(struct trial *t)
{
	/* Bits of the block device, of rings and transports, and those that vhost-user gave a meaning. */
	uint64_t known = 0x3fe76ull | BIT64(VIRTIO_F_NOTIFY_ON_EMPTY) | BIT64(VHOST_F_LOG_ALL) |
			 BIT64(VIRTIO_F_ANY_LAYOUT) | FEAT(INDIRECT_DESC) | FEAT(EVENT_IDX) |
			 FEAT_PROTOCOL | 0x3ffull << 32 | FEAT(SUSPEND) | 1 | BIT64(7);
	uint64_t strange;

	dial(t);
	strange = t->peer.offered & ~known;
	if (strange)
		trial_fail(t, "only bits that the standard defines for a block device are offered",
			   "these are offered, too: 0x%llx", (unsigned long long)strange);
}

static void other_transport(struct trial *t)
{
	dial(t);
	if (t->peer.offered & (FEAT(SR_IOV) | FEAT(ADMIN_VQ)))
		trial_fail(t, "SR_IOV and ADMIN_VQ belong to PCI devices", "features 0x%llx",
			   (unsigned long long)t->peer.offered);
}

static void legacy_bits(struct trial *t)
{
	dial(t);
	if (t->peer.offered & (BIT64(0) | BIT64(7)))
		trial_fail(t, "BARRIER (0) and SCSI (7) exist on legacy devices only",
			   "features 0x%llx", (unsigned long long)t->peer.offered);
}

static void stable(struct trial *t)
{
	dial(t);
	for (unsigned i = 0; i < 10; i++) {
		uint64_t again = ask_u64(t, VHOST_USER_GET_FEATURES);

		if (again != t->peer.offered)
			trial_fail(t, "the same features each time", "first 0x%llx, then 0x%llx",
				   (unsigned long long)t->peer.offered, (unsigned long long)again);
	}
}

static void again(struct trial *t)
{
	for (unsigned i = 0; i < 50; i++) {
		disk_up(t, (struct setup){.wish = FEAT(EVENT_IDX) | FEAT(INDIRECT_DESC)});
		blk_read(&t->rings[0], 0, 512);
		redial(t);
	}
}

/* Each offered feature alone. What cannot be alone (packed needs VERSION_1) gets what it needs. */
static void subsets(struct trial *t)
{
	uint64_t all, protocol;

	dial(t);
	all = t->peer.offered & (0x1fe76ull | FEAT(INDIRECT_DESC) | FEAT(EVENT_IDX) |
				 FEAT(IN_ORDER) | FEAT(RING_PACKED));
	protocol = t->peer.offered & FEAT_PROTOCOL;
	for (unsigned bit = 0; bit < 64; bit++) {
		struct ring *r;

		if (!(all & BIT64(bit)))
			continue;
		if (!t->dialled)
			dial(t);
		trial_sent(t, "SET_FEATURES with VERSION_1 and %s (%u), then a read",
			   feature_name(bit), bit);
		accept_features(t, (t->peer.offered & (FEAT(VERSION_1) | BLK(ZONED))) | protocol |
					   BIT64(bit));
		share_memory(t);
		r = ring_tell(t, 0, 64);
		ring_enable(r, true);
		blk_read(r, 0, 512);
		redial(t);
	}
}

static void need_status(struct trial *t)
{
	t->protos_wanted = PROTO(MQ) | PROTO(REPLY_ACK) | PROTO(CONFIG) | PROTO(STATUS);
	dial(t);
	if (!(t->peer.proto & PROTO(STATUS)))
		trial_skip(t, "the back end has no protocol feature STATUS (16), the device status "
			      "cannot be seen");
}

static void put_status(struct trial *t, uint64_t status)
{
	tell(t, VHOST_USER_SET_STATUS, &status, sizeof(status), -1);
}

static void expect_status_bits(struct trial *t, uint8_t wanted, const char *expected)
{
	uint64_t got = ask_u64(t, VHOST_USER_GET_STATUS);

	if (got != wanted)
		trial_fail(t, expected, "status 0x%llx, not 0x%x", (unsigned long long)got, wanted);
}

#define ACK	    VIRTIO_STATUS_ACKNOWLEDGE
#define DRIVER	    VIRTIO_STATUS_DRIVER
#define FEATURES_OK VIRTIO_STATUS_FEATURES_OK
#define DRIVER_OK   VIRTIO_STATUS_DRIVER_OK

static void status_ladder(struct trial *t)
{
	need_status(t);
	trial_sent(t, "the status ladder by SET_STATUS, GET_STATUS after each step");
	put_status(t, 0);
	expect_status_bits(t, 0, "status 0 after a reset");
	put_status(t, ACK);
	put_status(t, ACK | DRIVER);
	expect_status_bits(t, ACK | DRIVER, "the bits that were written");
	accept_features(t, t->peer.offered & FEAT_LEAST);
	put_status(t, ACK | DRIVER | FEATURES_OK);
	expect_status_bits(t, ACK | DRIVER | FEATURES_OK,
			   "a valid set of features: FEATURES_OK stays");
	put_status(t, ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	expect_status_bits(t, ACK | DRIVER | FEATURES_OK | DRIVER_OK, "the bits that were written");
	put_status(t, 0);
	expect_status_bits(t, 0, "status 0 after a reset");
}

static void status_unoffered(struct trial *t)
{
	uint64_t bits;
	unsigned bit;

	need_status(t);
	for (bit = 1; bit < 24 && offered(t, bit); bit++)
		;
	bits = (t->peer.offered & FEAT_LEAST) | BIT64(bit);
	trial_sent(t, "SET_FEATURES with bit %u, which is not offered, then FEATURES_OK", bit);
	put_status(t, 0);
	put_status(t, ACK | DRIVER);
	if (tell(t, VHOST_USER_SET_FEATURES, &bits, sizeof(bits), -1))
		return; /* refused at once */
	put_status(t, ACK | DRIVER | FEATURES_OK);
	if (ask_u64(t, VHOST_USER_GET_STATUS) & FEATURES_OK)
		trial_fail(t, "SET_FEATURES is refused, or FEATURES_OK does not stay",
			   "FEATURES_OK is set");
}

/* The ring is there and enabled, and the status is not yet DRIVER_OK. */
static void before_driver_ok(struct trial *t)
{
	struct ring *r;
	struct req q;

	need_status(t);
	put_status(t, 0);
	put_status(t, ACK | DRIVER);
	accept_features(t, t->peer.offered & FEAT_LEAST);
	put_status(t, ACK | DRIVER | FEATURES_OK);
	share_memory(t);
	r = ring_tell(t, 0, 16);
	q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
	req_add(r, &q);
	trial_sent(t, "a read in an enabled ring, not kicked, with the status at FEATURES_OK");
	ring_publish(r);
	ring_enable(r, true);
	ring_expect_nothing(r, "nothing is used before DRIVER_OK");
	if (ring_calls(r, 0))
		trial_fail(t, "no notification before DRIVER_OK", "a notification");
	put_status(t, ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	ring_kick(r);
	expect_status(t, req_finish(r, &q), VIRTIO_BLK_S_OK);
}

static void status_reset_quiet(struct trial *t)
{
	struct ring *r;
	struct req q;

	need_status(t);
	put_status(t, 0);
	put_status(t, ACK | DRIVER);
	r = disk_up(t, (struct setup){0});
	put_status(t, ACK | DRIVER | FEATURES_OK);
	put_status(t, ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	blk_read(r, 0, 512);
	put_status(t, 0);
	expect_status_bits(t, 0, "status 0 after a reset");
	ring_calls(r, 0);
	q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
	req_add(r, &q);
	ring_publish(r);
	ring_kick(r);
	ring_expect_nothing(
		r, "after a reset no queue is touched until the device is initialised again");
	if (ring_calls(r, 0))
		trial_fail(t, "no notification after a reset", "a notification");
}

/* Configuration space */

static void config_early(struct trial *t)
{
	dial(t);
	read_config(t);
	if (!le64_get(t->config.capacity))
		trial_fail(t, "the capacity can be read before features are accepted",
			   "it reads 0");
}

static void config_stable(struct trial *t)
{
	struct virtio_blk_config before;

	dial(t);
	read_config(t);
	before = t->config;
	accept_features(t, t->peer.offered & (FEAT_LEAST | BLK(FLUSH) | BLK(SIZE_MAX) |
					      BLK(SEG_MAX) | BLK(BLK_SIZE) | BLK(TOPOLOGY) |
					      BLK(MQ) | BLK(DISCARD) | BLK(WRITE_ZEROES)));
	read_config(t);
	if (memcmp(&before, &t->config, offsetof(struct virtio_blk_config, writeback)))
		trial_fail(t,
			   "fields of offered features read the same before and after SET_FEATURES",
			   "they differ");
}

static void paddings(struct trial *t)
{
	dial(t);
	read_config(t);
	if (t->config_len >= 34 && t->config.unused0)
		trial_fail(t, "unused0 is 0", "it is 0x%02x", t->config.unused0);
	if (t->config_len >= 60 &&
	    (t->config.unused1[0] || t->config.unused1[1] || t->config.unused1[2]))
		trial_fail(t, "unused1 is 0", "it is %02x %02x %02x", t->config.unused1[0],
			   t->config.unused1[1], t->config.unused1[2]);
}

static void flush_offered(struct trial *t)
{
	dial(t);
	if (!offered(t, VIRTIO_BLK_F_FLUSH))
		trial_fail(t, "FLUSH (9) is offered", "features 0x%llx",
			   (unsigned long long)t->peer.offered);
}

static void wce_needs_flush(struct trial *t)
{
	dial(t);
	need_feature(t, VIRTIO_BLK_F_CONFIG_WCE);
	if (!offered(t, VIRTIO_BLK_F_FLUSH))
		trial_fail(t, "FLUSH (9) is offered along with CONFIG_WCE (11)", "features 0x%llx",
			   (unsigned long long)t->peer.offered);
}

static void wce_without_flush(struct trial *t)
{
	dial(t);
	need_feature(t, VIRTIO_BLK_F_CONFIG_WCE);
	trial_sent(t, "SET_FEATURES with CONFIG_WCE and without FLUSH, then GET_CONFIG");
	disk_up(t, (struct setup){.want = BLK(CONFIG_WCE), .without = BLK(FLUSH)});
	read_config(t);
	if (t->config_len < 33)
		trial_skip(t, "the back end's configuration ends before writeback");
	if (t->config.writeback)
		trial_fail(t, "writeback is 0 if CONFIG_WCE is accepted and FLUSH is not",
			   "writeback is %u", t->config.writeback);
}

static void wce_values(struct trial *t)
{
	dial(t);
	need_feature(t, VIRTIO_BLK_F_CONFIG_WCE);
	for (unsigned value = 0; value < 2; value++) {
		struct vhost_user_config c = {.offset = 32, .size = 1};

		c.data[0] = (uint8_t)(1 - value);
		if (!value)
			disk_up(t, (struct setup){.want = BLK(CONFIG_WCE)});
		trial_sent(t, "SET_CONFIG of writeback to %u", 1 - value);
		must_tell(t, VHOST_USER_SET_CONFIG, &c,
			  (uint32_t)offsetof(struct vhost_user_config, data) + 1, -1);
		read_config(t);
		if (t->config.writeback != 1 - value)
			trial_fail(t, "writeback reads as it was written", "it reads %u",
				   t->config.writeback);
	}
}

static void queue_numbers(struct trial *t)
{
	dial(t);
	need_feature(t, VIRTIO_BLK_F_MQ);
	read_config(t);
	if (t->config_len < 36)
		trial_skip(t, "the back end's configuration ends before num_queues");
	if (!le16_get(t->config.num_queues))
		trial_fail(t, "num_queues is at least 1 if MQ is offered", "it is 0");
	if (t->peer.proto & PROTO(MQ) && le16_get(t->config.num_queues) > t->queues)
		trial_fail(t, "num_queues is not more than GET_QUEUE_NUM says",
			   "num_queues %u, GET_QUEUE_NUM %u", le16_get(t->config.num_queues),
			   t->queues);
}

static void block_size(struct trial *t)
{
	uint32_t size;

	dial(t);
	need_feature(t, VIRTIO_BLK_F_BLK_SIZE);
	read_config(t);
	size = le32_get(t->config.blk_size);
	if (size < 512 || !is_pow2(size))
		trial_fail(t, "blk_size is a power of two of at least 512", "it is %u", size);
}

static void segments(struct trial *t)
{
	dial(t);
	read_config(t);
	if (offered(t, VIRTIO_BLK_F_SEG_MAX) && !le32_get(t->config.seg_max))
		trial_fail(t, "seg_max is at least 1 if SEG_MAX is offered", "it is 0");
	if (offered(t, VIRTIO_BLK_F_SIZE_MAX) && !le32_get(t->config.size_max))
		trial_fail(t, "size_max is at least 1 if SIZE_MAX is offered", "it is 0");
}

static void discard_limits(struct trial *t)
{
	dial(t);
	need_feature(t, VIRTIO_BLK_F_DISCARD);
	read_config(t);
	if (t->config_len < 48)
		trial_fail(t, "the configuration has the fields of DISCARD, which is offered",
			   "it ends after %u bytes", t->config_len);
	if (!le32_get(t->config.max_discard_sectors) || !le32_get(t->config.max_discard_seg))
		trial_fail(t,
			   "with DISCARD offered, a request may have at least one segment of one "
			   "sector",
			   "max_discard_sectors %u, max_discard_seg %u",
			   le32_get(t->config.max_discard_sectors),
			   le32_get(t->config.max_discard_seg));
}

static void zeroes_limits(struct trial *t)
{
	dial(t);
	need_feature(t, VIRTIO_BLK_F_WRITE_ZEROES);
	read_config(t);
	if (t->config_len < 57)
		trial_fail(t, "the configuration has the fields of WRITE_ZEROES, which is offered",
			   "it ends after %u bytes", t->config_len);
	if (!le32_get(t->config.max_write_zeroes_sectors) ||
	    !le32_get(t->config.max_write_zeroes_seg))
		trial_fail(t,
			   "with WRITE_ZEROES offered, a request may have at least one segment of "
			   "one sector",
			   "max_write_zeroes_sectors %u, max_write_zeroes_seg %u",
			   le32_get(t->config.max_write_zeroes_sectors),
			   le32_get(t->config.max_write_zeroes_seg));
}

static void zoned_offered(struct trial *t)
{
	dial(t);
	need_feature(t, VIRTIO_BLK_F_ZONED);
	disk_up(t, (struct setup){.want = BLK(ZONED), .stopped = true});
	if (t->config_len >= 93 && t->config.zone_model == 0)
		trial_fail(t, "ZONED is offered by zoned devices", "its zone model is 0 (none)");
}

static const struct conform_case cases[] = {
	{"ST-D-01.driver-ok", "virtio 2.1.2", LEVEL_MUST, 0,
	 "Before DRIVER_OK no buffer is consumed and nothing is notified.", before_driver_ok},
	{"ST-D-04.requires", "virtio 2.2.2, 6.1", LEVEL_MUST, 0,
	 "No feature is offered without the feature that it requires.", dependencies},
	{"ST-D-05.single", "virtio 2.2.2", LEVEL_SHOULD, 0,
	 "Every valid subset of features is accepted and works: each feature by itself.", subsets},
	{"ST-D-05.unoffered", "virtio 2.2.2", LEVEL_MUST, 0,
	 "A feature that was not offered is not accepted: FEATURES_OK does not stay.",
	 status_unoffered},
	{"ST-D-06.unknown", "virtio 2.2.2", LEVEL_MUST, 0,
	 "No reserved bit and no bit of another device is offered.", unknown_bits},
	{"ST-D-06.transport", "practice", LEVEL_PRACTICE, 0,
	 "Features that only PCI has are not offered here.", other_transport},
	{"ST-D-06.legacy", "practice", LEVEL_PRACTICE, 0,
	 "Features that only legacy devices have are not offered.", legacy_bits},
	{"ST-D-06.stable", "practice", LEVEL_PRACTICE, 0, "The features on offer do not change.",
	 stable},
	{"ST-D-07.again", "virtio 2.2.2", LEVEL_SHOULD, 0,
	 "Features that were accepted once are accepted again.", again},
	{"ST-D-08.status", "virtio 2.1, 2.4.1", LEVEL_MUST, 0,
	 "The status reads as it was written, and 0 after a reset.", status_ladder},
	{"ST-D-09.status", "virtio 2.4.1", LEVEL_MUST, 0,
	 "After a reset no queue is touched and nothing is notified.", status_reset_quiet},
	{"ST-D-13.early", "virtio 2.5.2", LEVEL_MUST, 0,
	 "The configuration can be read before features are accepted.", config_early},
	{"ST-D-13.same", "virtio 2.5.2", LEVEL_MUST, 0,
	 "Fields of offered features read before acceptance as they do afterwards.", config_stable},
	{"ST-D-20.version-1", "virtio 6.2", LEVEL_MUST, 0, "VERSION_1 is offered.", version_1},
	{"BLK-D-01.flush", "virtio 5.2.5.2", LEVEL_SHOULD, 0, "FLUSH is offered.", flush_offered},
	{"BLK-D-01.wce", "virtio 5.2.5.2", LEVEL_MUST, 0,
	 "CONFIG_WCE is offered only along with FLUSH.", wce_needs_flush},
	{"BLK-D-02.writeback", "virtio 5.2.5.2", LEVEL_MUST, 0,
	 "With CONFIG_WCE and without FLUSH, writeback starts as 0.", wce_without_flush},
	{"BLK-D-02.values", "virtio 5.2.5", LEVEL_PRACTICE, 0,
	 "With CONFIG_WCE the driver can switch the cache mode both ways.", wce_values},
	{"BLK-D-03.unused", "virtio 5.2.5.2", LEVEL_MUST, 0, "Padding in the configuration is 0.",
	 paddings},
	{"BLK-D-04.zoned", "virtio 5.2.5.2", LEVEL_SHOULD, 0, "Only a zoned device offers ZONED.",
	 zoned_offered},
	{"BLK-C.queues", "virtio 5.2.4", LEVEL_PRACTICE, 0,
	 "num_queues is at least 1 and no more than the back end has.", queue_numbers},
	{"BLK-C.blk-size", "practice", LEVEL_PRACTICE, 0,
	 "blk_size is a power of two of at least 512.", block_size},
	{"BLK-C.segments", "practice", LEVEL_PRACTICE, 0,
	 "seg_max and size_max leave room for a request.", segments},
	{"BLK-C.discard", "practice", LEVEL_PRACTICE, 0,
	 "The limits of DISCARD leave room for a request.", discard_limits},
	{"BLK-C.zeroes", "practice", LEVEL_PRACTICE, 0,
	 "The limits of WRITE_ZEROES leave room for a request.", zeroes_limits},
};
const struct case_table feature_cases = {"Features, status, configuration", cases,
					 ARRAY_SIZE(cases), BY_VHOST_USER};
