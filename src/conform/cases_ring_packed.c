/* SPDX-License-Identifier: MIT */
/* Packed rings: virtio 1.4, 2.8. */
#include "conform/cases.h"

#include "base/atomic.h"
#include "conform/blk.h"

#include <string.h>

#define PACKED FEAT(RING_PACKED)

static void laps(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = PACKED, .num = 8});

	/* Chains of 3 in a ring of 8: they cross the end in every possible way. */
	for (unsigned i = 0; i < 64; i++)
		blk_read_and_forget(r);
}

static void odd_sizes(struct trial *t)
{
	static const uint16_t nums[] = {3, 5, 7, 12, 100, 255};

	for (unsigned i = 0; i < ARRAY_SIZE(nums); i++) {
		struct ring *r = disk_up(t, (struct setup){.want = PACKED, .num = nums[i]});

		for (unsigned n = 0; n < nums[i] + 4u; n++)
			blk_read_and_forget(r);
		redial(t);
	}
}

static void whole_ring(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = PACKED, .num = 8});
	struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 6 * 512);
	struct seg segs[8];

	if (offered(t, VIRTIO_BLK_F_SEG_MAX) && t->config_len >= 16 &&
	    le32_get(t->config.seg_max) < 6)
		trial_skip(t, "seg_max is only %u", le32_get(t->config.seg_max));
	segs[0] = (struct seg){q.header, 16, 0};
	for (unsigned i = 0; i < 6; i++)
		segs[1 + i] = (struct seg){q.data + i * 512, 512, F_WRITE};
	segs[7] = (struct seg){q.status, 1, F_WRITE};
	for (unsigned i = 0; i < 5; i++) {
		/* Not always from slot 0. */
		blk_read_and_forget(r);
		req_header(t, &q);
		expect_status(t, req_run_segs(r, &q, segs, 8), VIRTIO_BLK_S_OK);
	}
}

static void many(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = PACKED, .num = 48});
	struct req q[16];

	for (unsigned round = 0; round < 20; round++) {
		bool seen[16] = {0};

		for (unsigned i = 0; i < 16; i++) {
			q[i] = req_make(t, VIRTIO_BLK_T_IN, 0, i % 3 ? 512 : 16384);
			req_add(r, &q[i]);
		}
		trial_sent(t, "16 reads at once in a packed ring of 48, which fills it; round %u",
			   round + 1);
		ring_publish(r);
		ring_kick(r);
		for (unsigned n = 0; n < 16; n++) {
			struct used u;
			unsigned i;

			ring_wait(r, &u);
			for (i = 0; i < 16 && q[i].id != u.id; i++)
				;
			if (i == 16 || seen[i])
				trial_fail(t, "each buffer id is used exactly once", "id %u %s",
					   u.id,
					   i == 16 ? "was never made available" : "a second time");
			seen[i] = true;
			expect_status(t, byte_at(t, q[i].status), VIRTIO_BLK_S_OK);
		}
		t->next_gpa = q[0].header;
	}
}

static void zero_is_nothing(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = PACKED, .num = 8});

	ring_kick(r);
	ring_expect_nothing(r, "a ring full of zeros holds no available descriptor");
	for (unsigned i = 0; i < 8; i++)
		if (le16_read(&r->slots[i].flags) || le32_read(&r->slots[i].len))
			trial_fail(t, "a descriptor that is not available is not touched",
				   "slot %u changed", i);
	blk_read_and_forget(r);
}

/* What an earlier lap left behind, completed with the used bit of that lap, is not available. */
static void stale(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = PACKED, .num = 6});

	for (unsigned i = 0; i < 7; i++) {
		blk_read_and_forget(r);
		for (unsigned k = 0; k < 5; k++)
			ring_kick(r);
	}
	ring_expect_nothing(r, "descriptors of an earlier lap are not used again");
	for (unsigned i = 0; i < 6; i++) {
		struct pvirtq_desc *d = &r->slots[i];

		/* AVAIL differs from USED, but it is the other lap's AVAIL. */
		le16_store_release(&d->flags,
				   (uint16_t)(F_WRITE | (r->avail_wrap ? VIRTQ_DESC_F_USED
								       : VIRTQ_DESC_F_AVAIL)));
		if (i >= r->avail_slot)
			continue;
		/* Slots before avail_slot belong to the next lap: for them it is that lap's. */
		le16_store_release(&d->flags, (uint16_t)(r->avail_wrap ? VIRTQ_DESC_F_AVAIL
								       : VIRTQ_DESC_F_USED));
	}
	ring_kick(r);
	ring_expect_nothing(r,
			    "a descriptor whose AVAIL bit is that of the earlier lap is not used");
}

static void left_alone(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = PACKED, .num = 16});

	for (unsigned i = 0; i < 5; i++) {
		struct pvirtq_desc mine = {le64_make(0x1111111111111111), le32_make(0x2222),
					   le16_make(0x33), le16_make(0)};
		uint16_t slot = r->used_slot;

		blk_read_and_forget(r);
		/* Not available whichever lap it is: AVAIL and USED as the device left them. */
		mine.flags = le16_make((uint16_t)(le16_read(&r->slots[slot].flags) &
						  (VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED)));
		memcpy(&r->slots[slot], &mine, sizeof(mine));
		quiet(t);
		if (memcmp(&r->slots[slot], &mine, sizeof(mine)))
			trial_fail(t, "a descriptor is not touched after it was marked used",
				   "slot %u changed", slot);
	}
}

static void id_of_last(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = PACKED, .num = 8});
	struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
	uint16_t head = r->avail_slot, flags;
	struct used u;

	trial_sent(t, "a read in 3 descriptors with the ids 77, 88 and 5");
	r->entries[5] = 3;
	le64_write(&r->slots[head].addr, q.header);
	le32_write(&r->slots[head].len, 16);
	le16_write(&r->slots[head].id, 77);
	flags = F_NEXT | VIRTQ_DESC_F_AVAIL;
	r->avail_slot++;
	ring_put(r, q.data, 512, F_NEXT | F_WRITE, 88);
	ring_put(r, q.status, 1, F_WRITE, 5);
	le16_store_release(&r->slots[head].flags, flags);
	ring_kick(r);
	ring_wait(r, &u);
	if (u.id != 5)
		trial_fail(t, "the used entry carries the id of the chain's last descriptor, 5",
			   "id %u", u.id);
	expect_status(t, byte_at(t, q.status), VIRTIO_BLK_S_OK);
}

static void used_flags(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = PACKED, .num = 8});

	for (unsigned i = 0; i < 6; i++) {
		struct req q = blk_read(r, 0, 512);

		if (!(q.used.flags & F_WRITE))
			trial_fail(t, "the used descriptor has WRITE set when data was written",
				   "flags 0x%04x", q.used.flags);
	}
}

static void len_honest(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = PACKED, .num = 8});
	struct req q = blk_read(r, 0, 4096);

	if (q.used.len > 4097)
		trial_fail(t, "len is at most what the writable buffers hold", "len %u of 4097",
			   q.used.len);
	q = req_make(t, VIRTIO_BLK_T_IN, UINT64_C(1) << 50, 4096);
	req_run(r, &q);
	if (q.used.len > 1 && filled(t, q.data, 0xa5, 4096))
		trial_fail(t, "len counts bytes that were written",
			   "len %u, but the buffer is as it was", q.used.len);
}

static void len_exact(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = PACKED, .num = 8});
	struct req q = blk_read(r, 0, 4096);

	if (q.used.len != 4097)
		trial_fail(t, "len counts the data and the status byte", "len %u", q.used.len);
}

static void readable_kept(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = PACKED, .num = 8});
	struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
	uint8_t before[16];

	memcpy(before, at(t, q.header, 16), 16);
	req_ok(r, &q);
	if (memcmp(before, at(t, q.header, 16), 16))
		trial_fail(t, "the request header as it was", "the device changed it");
}

static void indirect(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = PACKED | FEAT(INDIRECT_DESC), .num = 4});

	for (unsigned i = 0; i < 11; i++) {
		struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
		uint64_t table = mem(t, 48);
		uint8_t before[48];

		/* In an indirect table of a packed ring only WRITE counts; ids mean nothing. */
		table_desc(t, table, 0, q.header, 16, (uint16_t)(100 + i), 0);
		table_desc(t, table, 1, q.data, 512, 0xffff, F_WRITE);
		table_desc(t, table, 2, q.status, 1, 3, F_WRITE);
		memcpy(before, at(t, table, 48), 48);
		expect_status(t,
			      req_run_segs(r, &q,
					   &(const struct seg){
						   table, 48,
						   (uint16_t)(F_INDIRECT | (i % 2 ? F_WRITE : 0))},
					   1),
			      VIRTIO_BLK_S_OK);
		if (memcmp(before, at(t, table, 48), 48))
			trial_fail(t, "the indirect table as it was", "the device changed it");
	}
}

static void indirect_next(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = PACKED | FEAT(INDIRECT_DESC), .num = 4});
	struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
	uint64_t table = mem(t, 48);

	table_desc(t, table, 0, q.header, 16, 0, F_NEXT);
	table_desc(t, table, 1, q.data, 512, 0, F_WRITE | F_NEXT);
	table_desc(t, table, 2, q.status, 1, 0, F_WRITE);
	expect_status(t, req_run_segs(r, &q, &(const struct seg){table, 48, F_INDIRECT}, 1),
		      VIRTIO_BLK_S_OK);
}

static void indirect_full(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = PACKED | FEAT(INDIRECT_DESC), .num = 4});

	for (unsigned round = 0; round < 5; round++) {
		struct req q[4];
		struct used u;

		for (unsigned i = 0; i < 4; i++) {
			uint64_t table = mem(t, 48);

			q[i] = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
			table_desc(t, table, 0, q[i].header, 16, 0, 0);
			table_desc(t, table, 1, q[i].data, 512, 0, F_WRITE);
			table_desc(t, table, 2, q[i].status, 1, 0, F_WRITE);
			q[i].id = ring_add(r, &(const struct seg){table, 48, F_INDIRECT}, 1);
		}
		trial_sent(t,
			   "4 reads, each behind one indirect descriptor, in a packed ring of 4");
		ring_publish(r);
		ring_kick(r);
		for (unsigned i = 0; i < 4; i++)
			ring_wait(r, &u);
		for (unsigned i = 0; i < 4; i++)
			expect_status(t, byte_at(t, q[i].status), VIRTIO_BLK_S_OK);
	}
}

static void framing(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = PACKED, .num = 32});
	struct req plain = blk_read(r, 0, 512);
	struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);

	expect_status(t,
		      req_run_segs(r, &q,
				   (const struct seg[]){{q.header, 3, 0},
							{q.header + 3, 13, 0},
							{q.data, 1, F_WRITE},
							{q.data + 1, 500, F_WRITE},
							{q.data + 501, 11, F_WRITE},
							{q.status, 1, F_WRITE}},
				   6),
		      VIRTIO_BLK_S_OK);
	if (memcmp(at(t, q.data, 512), at(t, plain.data, 512), 512))
		trial_fail(t, "the sector that a plain read returns", "other bytes");
}

/* Notifications */

static void enabled(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = PACKED, .num = 8});

	for (unsigned i = 0; i < 32; i++) {
		ring_calls(r, 0);
		blk_read_and_forget(r);
		ring_expect_call(
			r, "event flags 0 (enable): the device notifies when it has used a buffer");
	}
}

static void enabled_garbage(struct trial *t)
{
	struct ring *r = disk_up(t,
				 (struct setup){.want = PACKED, .wish = FEAT(EVENT_IDX), .num = 8});

	for (unsigned i = 0; i < 32; i++) {
		ring_calls(r, 0);
		ring_used_event(r, (uint16_t)(i * 0x2345));
		blk_read_and_forget(r);
		ring_expect_call(
			r,
			"event flags 0 (enable): off_wrap means nothing, and the device notifies");
	}
}

static void disabled(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = PACKED, .num = 8});

	/* Some notify as the ring starts, which is over with the first answer. */
	ring_driver_flags(r, RING_EVENT_FLAGS_DISABLE);
	blk_read_and_forget(r);
	ring_calls(r, 0);
	for (unsigned i = 0; i < 8; i++)
		blk_read_and_forget(r);
	quiet(t);
	if (ring_calls(r, 0))
		trial_fail(t, "event flags 1 (disable): the device does not notify",
			   "a notification");
}

static void event_reached(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = PACKED | FEAT(EVENT_IDX), .num = 8});

	ring_driver_flags(r, RING_EVENT_FLAGS_DESC);
	for (unsigned i = 0; i < 40; i++) {
		ring_calls(r, 0);
		ring_used_event(r, (uint16_t)(r->used_slot | (r->used_wrap ? RING_EVENT_WRAP : 0)));
		blk_read_and_forget(r);
		ring_expect_call(
			r, "event flags 2: the used descriptor passed off_wrap, so the device "
			   "notifies");
	}
}

static void event_not_reached(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = PACKED | FEAT(EVENT_IDX), .num = 64});

	blk_read_and_forget(r);
	ring_driver_flags(r, RING_EVENT_FLAGS_DESC);
	ring_used_event(r, 60 | RING_EVENT_WRAP);
	/* What was notified for the first is there when the second is. */
	blk_read_and_forget(r);
	ring_calls(r, t->o->quiet_ms);
	for (unsigned i = 0; i < 8; i++)
		blk_read_and_forget(r);
	quiet(t);
	if (ring_calls(r, 0))
		trial_fail(t, "event flags 2 and off_wrap far ahead: the device does not notify",
			   "a notification");
}

static void event_batch(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = PACKED | FEAT(EVENT_IDX), .num = 20});

	ring_driver_flags(r, RING_EVENT_FLAGS_DESC);
	for (unsigned round = 0; round < 30; round++) {
		unsigned at_slot = r->used_slot + 3 * (round % 5);
		bool over = at_slot >= 20;
		struct req q[5];
		struct used u;

		ring_calls(r, 0);
		ring_used_event(r, (uint16_t)((over ? at_slot - 20 : at_slot) |
					      (r->used_wrap != over ? RING_EVENT_WRAP : 0)));
		trial_sent(t, "5 reads at once in a packed ring of 20, off_wrap at the %u. of them",
			   1 + round % 5);
		blk_read_at_once(r, q, 5, 512, 512);
		for (unsigned i = 0; i < 5; i++)
			ring_wait(r, &u);
		ring_expect_call(r, "off_wrap was passed within the batch, so the device notifies");
		t->next_gpa = q[0].header;
	}
}

static void device_event(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = PACKED, .num = 8});

	for (unsigned i = 0; i < 20; i++) {
		uint16_t flags;

		blk_read_and_forget(r);
		flags = le16_read(&r->device_event->flags);
		if (flags != RING_EVENT_FLAGS_ENABLE && flags != RING_EVENT_FLAGS_DISABLE)
			trial_fail(t, "without EVENT_IDX the device's event flags are 0 or 1",
				   "flags 0x%x", flags);
	}
}

static void driver_area_kept(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = PACKED, .num = 8});

	ring_used_event(r, 0x1234);
	for (unsigned i = 0; i < 10; i++)
		blk_read_and_forget(r);
	if (le16_read(&r->driver_event->off_wrap) != 0x1234 || le16_read(&r->driver_event->flags))
		trial_fail(t, "the driver's event area as it was", "off_wrap 0x%x, flags 0x%x",
			   le16_read(&r->driver_event->off_wrap),
			   le16_read(&r->driver_event->flags));
}

static void in_order(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = PACKED | FEAT(IN_ORDER), .num = 24});

	for (unsigned round = 0; round < 20; round++) {
		struct req q[8];
		unsigned done = 0;

		trial_sent(t, "8 reads of 512 bytes and 64 KiB at once, packed, IN_ORDER, round %u",
			   round + 1);
		blk_read_at_once(r, q, 8, 512, 65536);
		while (done < 8) {
			struct used u;
			unsigned i;

			ring_wait(r, &u);
			for (i = done; i < 8 && q[i].id != u.id; i++)
				;
			if (i == 8)
				trial_fail(t,
					   "buffers are used in the order in which they were made "
					   "available",
					   "id %u when id %u was next", u.id, q[done].id);
			/* A batch: its single used entry stands for all up to this one. */
			for (; done < i; done++) {
				expect_status(t, byte_at(t, q[done].status), VIRTIO_BLK_S_OK);
				ring_skip(r, 3);
			}
			expect_status(t, byte_at(t, q[done++].status), VIRTIO_BLK_S_OK);
		}
		t->next_gpa = q[0].header;
	}
}

static void base(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = PACKED, .num = 8});

	/* 5 reads end in slot 7 of the second lap, 6 more in slot 1 of the fifth. */
	for (unsigned n = 5; n < 8; n++) {
		uint32_t got, wanted;

		for (unsigned i = 0; i < n; i++)
			blk_read_and_forget(r);
		wanted = r->avail_slot | (r->avail_wrap ? 0x8000u : 0);
		wanted |= (uint32_t)(r->used_slot | (r->used_wrap ? 0x8000u : 0)) << 16;
		trial_sent(
			t,
			"%u reads of 3 descriptors each in a packed ring of 8, then GET_VRING_BASE",
			n);
		got = ring_stop(r);
		if (got != wanted)
			trial_fail(t,
				   "next available slot and wrap counter in the low half, next "
				   "used in the high",
				   "0x%08x, not 0x%08x", got, wanted);
		ring_start(r, got);
		ring_enable(r, true);
	}
	blk_read_and_forget(r);
}

static const struct conform_case cases[] = {
	{"PK-D-01.framing", "virtio 2.8.5", LEVEL_MUST, 0,
	 "A request may be cut into descriptors anywhere.", framing},
	{"PK-D-01.many", "virtio 2.8", LEVEL_MUST, 0,
	 "A ring filled completely is served completely, each buffer once.", many},
	{"PK-D-02.header", "virtio 2.8.15", LEVEL_MUST, 0,
	 "The device does not write the request header.", readable_kept},
	{"PK-D-03.zero", "virtio 2.8.15", LEVEL_MUST, 0, "Zeroed descriptors are not available.",
	 zero_is_nothing},
	{"PK-D-03.stale", "virtio 2.8.1, 2.8.15", LEVEL_MUST, 0,
	 "What an earlier lap left behind is not available.", stale},
	{"PK-D-03.laps", "virtio 2.8.1", LEVEL_MUST, 0,
	 "Both wrap counters flip at the ring's end.", laps},
	{"PK-D-03.sizes", "virtio 2.8", LEVEL_MUST, 0,
	 "A packed ring need not be a power of two long.", odd_sizes},
	{"PK-D-04.alone", "virtio 2.8.15", LEVEL_MUST, 0,
	 "A descriptor is not touched any more once it is marked used.", left_alone},
	{"PK-D-05.last-id", "virtio 2.8.6", LEVEL_MUST, 0,
	 "The id of a chain is that of its last descriptor.", id_of_last},
	{"PK-D-05.whole-ring", "virtio 2.8.6", LEVEL_MUST, 0, "A chain may be as long as the ring.",
	 whole_ring},
	{"PK-D-06.write-flag", "virtio 2.8.3", LEVEL_PRACTICE, 0,
	 "WRITE of a used descriptor says that something was written.", used_flags},
	{"PK-D-06.len", "virtio 2.8.4", LEVEL_MUST, 0,
	 "The reported length is not more than was written.", len_honest},
	{"PK-D-06.exact", "practice", LEVEL_PRACTICE, 0,
	 "A successful request reports data and status byte as written.", len_exact},
	{"PK-D-07.indirect", "virtio 2.8.7", LEVEL_MUST, 0,
	 "Of an indirect table, ids are ignored, and WRITE on the descriptor that points to it.",
	 indirect},
	{"PK-D-07.next", "virtio 2.8.7", LEVEL_MUST, 0, "NEXT inside an indirect table is ignored.",
	 indirect_next},
	{"PK-D-07.full", "virtio 2.8.7", LEVEL_MUST, 0,
	 "A ring full of indirect descriptors is served.", indirect_full},
	{"PK-D-08.enable", "virtio 2.8.10", LEVEL_MUST, 0,
	 "With event flags 0 the device notifies after using a buffer.", enabled},
	{"PK-D-08.ignored", "virtio 2.8.10", LEVEL_MUST, 0,
	 "With event flags 0 off_wrap means nothing.", enabled_garbage},
	{"PK-D-08.disable", "virtio 2.8.10", LEVEL_SHOULD, 0,
	 "With event flags 1 the device does not notify.", disabled},
	{"PK-D-08.reached", "virtio 2.8.10", LEVEL_MUST, 0,
	 "With event flags 2 the device notifies when off_wrap is passed.", event_reached},
	{"PK-D-08.batch", "virtio 2.8.10", LEVEL_MUST, 0,
	 "With event flags 2 the device notifies when off_wrap lies inside a batch, also over the "
	 "ring's end.",
	 event_batch},
	{"PK-D-08.silence", "virtio 2.8.10", LEVEL_SHOULD, 0,
	 "With event flags 2 the device does not notify before off_wrap is passed.",
	 event_not_reached},
	{"PK-D-08.device-flags", "virtio 2.8.10", LEVEL_MUST, 0,
	 "Without EVENT_IDX the device's event flags are 0 or 1.", device_event},
	{"PK-D-08.driver-area", "virtio 2.8.10", LEVEL_MUST, 0,
	 "The device does not write the driver's event area.", driver_area_kept},
	{"ST-D-21.packed", "virtio 2.8.8, 6.2", LEVEL_MUST, 0,
	 "With IN_ORDER, buffers are used in the order in which they were made available.",
	 in_order},
	{"VU-11.packed", "vhost-user, GET_VRING_BASE", LEVEL_MUST, 0,
	 "GET_VRING_BASE tells both slots and wrap counters, and the ring goes on from there.",
	 base},
};
const struct case_table ring_packed_cases = {"Packed rings", cases, ARRAY_SIZE(cases), BY_ANY};
