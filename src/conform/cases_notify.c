/* SPDX-License-Identifier: MIT */
/* Notifications both ways, split rings: virtio 1.4, 2.7.7 and 2.7.10. */
#include "conform/cases.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "conform/blk.h"

static void flags_zero(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});

	for (unsigned i = 0; i < 64; i++) {
		ring_calls(r, 0);
		blk_read_and_forget(r);
		ring_expect_call(
			r, "avail.flags is 0, so the device notifies when it has used a buffer");
	}
}

static void used_event_ignored(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 16});
	static const uint16_t values[] = {0, 1, 0xffff, 0x7fff, 0x8000, 5, 40, 0x1234};

	for (unsigned i = 0; i < 32; i++) {
		ring_calls(r, 0);
		ring_used_event(r, values[i % ARRAY_SIZE(values)]);
		blk_read_and_forget(r);
		ring_expect_call(
			r, "without EVENT_IDX used_event means nothing, and the device notifies");
	}
}

static void flags_one(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});

	/* Some notify as the ring starts, which is over with the first answer. */
	ring_driver_flags(r, VIRTQ_AVAIL_F_NO_INTERRUPT);
	blk_read_and_forget(r);
	ring_calls(r, 0);
	for (unsigned i = 0; i < 8; i++)
		blk_read_and_forget(r);
	quiet(t);
	if (ring_calls(r, 0))
		trial_fail(t, "avail.flags is 1, so the device does not notify", "a notification");
}

static void event_reached(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = FEAT(EVENT_IDX), .num = 16});

	for (unsigned i = 0; i < 64; i++) {
		ring_calls(r, 0);
		ring_used_event(r, r->used_idx);
		blk_read_and_forget(r);
		ring_expect_call(r, "used.idx passed used_event, so the device notifies");
	}
}

static void event_wrap(struct trial *t)
{
	struct ring *r = disk_up(t,
				 (struct setup){.want = FEAT(EVENT_IDX), .num = 16, .idle = true});
	uint16_t from = 65536 - 24;

	ring_restart_at(r, from);
	/* The first round settles what a device does at a start. */
	ring_used_event(r, r->used_idx);
	blk_read_and_forget(r);
	for (unsigned i = 0; i < 48; i++) {
		/* The kick of the start may have caused one more notification. */
		ring_calls(r, i ? 0 : t->o->quiet_ms);
		ring_used_event(r, r->used_idx);
		blk_read_and_forget(r);
		ring_expect_call(r,
				 "used.idx passed used_event, also where the indexes run over, so "
				 "the device notifies");
	}
}

static void event_batch(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = FEAT(EVENT_IDX)});

	for (uint16_t at_entry = 0; at_entry < 16; at_entry++) {
		struct req q[16];
		struct used u;

		ring_calls(r, 0);
		ring_used_event(r, (uint16_t)(r->used_idx + at_entry));
		trial_sent(t, "16 reads at once, used_event at the %u. of them", at_entry + 1u);
		blk_read_at_once(r, q, 16, 512, 512);
		for (unsigned i = 0; i < 16; i++)
			ring_wait(r, &u);
		ring_expect_call(
			r, "used.idx passed used_event within the batch, so the device notifies");
		t->next_gpa = q[0].header;
	}
}

static void event_flag_ignored(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = FEAT(EVENT_IDX)});

	ring_driver_flags(r, VIRTQ_AVAIL_F_NO_INTERRUPT);
	for (unsigned i = 0; i < 16; i++) {
		ring_calls(r, 0);
		ring_used_event(r, r->used_idx);
		blk_read_and_forget(r);
		ring_expect_call(r,
				 "with EVENT_IDX avail.flags bit 0 means nothing; used_event was "
				 "reached, so the device notifies");
	}
}

static void event_not_reached(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = FEAT(EVENT_IDX)});

	/*
	 * Whether the very first used buffer notifies is settled differently by devices, and some
	 * notify as the ring starts.  What was notified for the first is there when the second is.
	 */
	ring_used_event(r, 0);
	blk_read_and_forget(r);
	ring_used_event(r, (uint16_t)(r->used_idx + 1000));
	blk_read_and_forget(r);
	ring_calls(r, t->o->quiet_ms);
	for (unsigned i = 0; i < 8; i++)
		blk_read_and_forget(r);
	quiet(t);
	if (ring_calls(r, 0))
		trial_fail(t, "used_event is far ahead, so the device does not notify",
			   "a notification");
}

static void used_flags(struct trial *t, uint16_t mask, const char *expected)
{
	struct ring *r = &t->rings[0];

	for (unsigned i = 0; i < 64; i++) {
		uint16_t flags = le16_read(&r->used->flags);

		if (flags & (uint16_t)~mask)
			trial_fail(t, expected, "used.flags 0x%x", flags);
		blk_read_and_forget(r);
		flags = le16_read(&r->used->flags);
		if (flags & (uint16_t)~mask)
			trial_fail(t, expected, "used.flags 0x%x", flags);
	}
}

static void used_flags_plain(struct trial *t)
{
	disk_up(t, (struct setup){0});
	used_flags(t, 1, "used.flags is 0 or 1");
}

static void used_flags_event(struct trial *t)
{
	disk_up(t, (struct setup){.want = FEAT(EVENT_IDX)});
	used_flags(t, 0, "with EVENT_IDX used.flags is 0");
}

static void spurious(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});

	for (unsigned i = 0; i < 10000; i++)
		ring_kick(r);
	ring_expect_nothing(r, "kicks on an empty queue do nothing");
	blk_read_and_forget(r);
	for (unsigned i = 0; i < 100; i++) {
		ring_kick(r);
		blk_read_and_forget(r);
		ring_kick(r);
	}
	ring_expect_nothing(r, "kicks on an empty queue do nothing");
}

/* Whether the device asked to be kicked for what went from @old to avail_idx. */
static bool wants_kick(const struct ring *r, uint16_t old)
{
	uint16_t event;

	barrier_full();
	if (!r->event_idx)
		return !(le16_read(&r->used->flags) & VIRTQ_USED_F_NO_NOTIFY);
	event = le16_read((const le16 *)(const void *)&r->used->ring[r->num]);
	return (uint16_t)(r->avail_idx - event - 1) < (uint16_t)(r->avail_idx - old);
}

/*
 * Kicks only when asked to, as drivers do: a device that forgets to look again
 * leaves a request lying.
 */
static void polite_kicks(struct trial *t, uint64_t features)
{
	struct ring *r = disk_up(t, (struct setup){.want = features});
	uint64_t until = clock_ns() + 500 * NSEC_PER_MSEC;
	unsigned n = 0, round = 0;

	while (clock_ns() < until && n < 50000) {
		struct req q[4];
		struct used u;
		unsigned batch = 1 + round++ % 4;
		uint16_t old = r->avail_idx;

		for (unsigned i = 0; i < batch; i++) {
			q[i] = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
			req_add(r, &q[i]);
		}
		trial_sent(t, "%u reads, kicked only if the device asks for it (request %u)", batch,
			   n);
		ring_publish(r);
		if (wants_kick(r, old))
			ring_kick(r);
		/* Sometimes at once, sometimes when the device may be falling asleep. */
		for (unsigned i = 0; i < (n * 37) % 400; i++)
			cpu_relax();
		for (unsigned i = 0; i < batch; i++)
			ring_wait(r, &u);
		t->next_gpa = q[0].header;
		n += batch;
	}
}

static void polite_flags(struct trial *t)
{
	polite_kicks(t, 0);
}

static void polite_event(struct trial *t)
{
	polite_kicks(t, FEAT(EVENT_IDX));
}

static const struct conform_case cases[] = {
	{"VQ-D-07.notify", "virtio 2.7.7.2", LEVEL_MUST, 0,
	 "Without EVENT_IDX and with avail.flags 0, the device notifies after using a buffer.",
	 flags_zero},
	{"VQ-D-07.used-event", "virtio 2.7.7.2", LEVEL_MUST, 0,
	 "Without EVENT_IDX the device ignores used_event.", used_event_ignored},
	{"VQ-D-07.silence", "virtio 2.7.7.2", LEVEL_SHOULD, 0,
	 "Without EVENT_IDX and with avail.flags 1, the device does not notify.", flags_one},
	{"VQ-D-08.reached", "virtio 2.7.7.2", LEVEL_MUST, 0,
	 "With EVENT_IDX the device notifies when used.idx passes used_event.", event_reached},
	{"VQ-D-08.wrap", "virtio 2.7.7.2", LEVEL_MUST, 0,
	 "With EVENT_IDX the device notifies also where the indexes run over.", event_wrap},
	{"VQ-D-08.batch", "virtio 2.7.7.2", LEVEL_MUST, 0,
	 "With EVENT_IDX the device notifies when used_event lies inside a batch.", event_batch},
	{"VQ-D-08.flag", "virtio 2.7.7.2", LEVEL_MUST, 0,
	 "With EVENT_IDX the device ignores bit 0 of avail.flags.", event_flag_ignored},
	{"VQ-D-08.silence", "virtio 2.7.7.2", LEVEL_SHOULD, 0,
	 "With EVENT_IDX the device does not notify before used_event is passed.",
	 event_not_reached},
	{"VQ-D-11.flags", "virtio 2.7.10.2", LEVEL_MUST, 0,
	 "Without EVENT_IDX used.flags is 0 or 1.", used_flags_plain},
	{"VQ-D-11.event-idx", "virtio 2.7.10.2", LEVEL_MUST, 0, "With EVENT_IDX used.flags is 0.",
	 used_flags_event},
	{"VQ-D-12.spurious", "virtio 2.7.10.2", LEVEL_MUST, 0,
	 "The device puts up with kicks that announce nothing.", spurious},
	{"VQ-D-13.flags", "virtio 2.7.10", LEVEL_PRACTICE, 0,
	 "No request is left lying when the driver kicks only while used.flags is 0.",
	 polite_flags},
	{"VQ-D-13.event-idx", "virtio 2.7.10", LEVEL_PRACTICE, 0,
	 "No request is left lying when the driver kicks only when avail_event is passed.",
	 polite_event},
};
const struct case_table notify_cases = {"Notifications, split rings", cases, ARRAY_SIZE(cases),
					BY_ANY};
