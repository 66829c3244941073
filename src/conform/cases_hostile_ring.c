/* SPDX-License-Identifier: MIT */
/*
 * Rings as the worst of drivers would write them.  The standard leaves a device free in
 * what it does then; that it survives and serves the next front end is checked by the
 * runner behind every case.
 */
#include "conform/cases.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "conform/blk.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OUTSIDE UINT64_C(0x7000000000)

/* Where the last of the memory ends. */
static uint64_t memory_end(const struct trial *t)
{
	return t->peer.areas[0].gpa + t->peer.areas[0].size;
}

/* Publishes and kicks; a request that cannot be right must not be answered with OK. */
static void throw_at(struct ring *r, struct req *q, const char *what)
{
	struct trial *t = r->t;
	struct used u;

	trial_sent(t, "%s", what);
	ring_publish(r);
	ring_kick(r);
	if (ring_poll(r, &u, t->o->quiet_ms) && byte_at(t, q->status) == VIRTIO_BLK_S_OK)
		trial_fail(t, "the ring is taken as broken, or the request is refused",
			   "status 0 (OK)");
}

/* As throw_at, for what may well be served. */
static void offer_to(struct ring *r, const char *what)
{
	struct used u;

	trial_sent(r->t, "%s", what);
	ring_publish(r);
	ring_kick(r);
	ring_poll(r, &u, r->t->o->quiet_ms);
}

static void put_read(struct ring *r, struct req *q)
{
	*q = req_make(r->t, VIRTIO_BLK_T_IN, 0, 512);
	ring_desc(r, 0, q->header, 16, F_NEXT, 1);
	ring_desc(r, 1, q->data, 512, F_NEXT | F_WRITE, 2);
	ring_desc(r, 2, q->status, 1, F_WRITE, 0);
}

static void index_jumps(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 16});
	struct req q;

	put_read(r, &q);
	ring_offer(r, 0);
	r->avail_idx = 1000;
	offer_to(r, "avail.idx 1000 in a ring of 16");
}

static void index_back(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 16});

	blk_read(r, 0, 512);
	blk_read(r, 0, 512);
	r->avail_idx = 1;
	offer_to(r, "avail.idx goes back from 2 to 1");
}

static void head_range(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 16});
	struct req q;

	put_read(r, &q);
	ring_offer(r, 16);
	throw_at(r, &q, "head 16 in a ring of 16");
}

static void head_far(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 16});
	struct req q;

	put_read(r, &q);
	ring_offer(r, 0xffff);
	throw_at(r, &q, "head 65535 in a ring of 16");
}

static void next_range(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 16});
	struct req q;

	put_read(r, &q);
	ring_desc(r, 1, q.data, 512, F_NEXT | F_WRITE, 16);
	ring_offer(r, 0);
	throw_at(r, &q, "next 16 in a ring of 16");
}

static void loop(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 16});
	struct req q;

	put_read(r, &q);
	ring_desc(r, 1, q.data, 512, F_NEXT | F_WRITE, 1);
	ring_offer(r, 0);
	throw_at(r, &q, "a descriptor whose next is itself");
}

static void loop_all(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 16});
	struct req q;

	put_read(r, &q);
	for (uint16_t i = 1; i < 16; i++)
		ring_desc(r, i, q.data, 512, F_NEXT | F_WRITE, i == 15 ? 1 : (uint16_t)(i + 1));
	ring_offer(r, 0);
	throw_at(r, &q, "a chain that goes round in the whole table");
}

static void indirect_bad(struct trial *t, unsigned kind)
{
	struct ring *r = disk_up(t, (struct setup){.want = FEAT(INDIRECT_DESC), .num = 16});
	struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
	uint64_t table = mem(t, 16 * 64);
	uint32_t len = 48;
	unsigned flags = F_INDIRECT;
	char what[96] = "";

	table_desc(t, table, 0, q.header, 16, F_NEXT, 1);
	table_desc(t, table, 1, q.data, 512, F_NEXT | F_WRITE, 2);
	table_desc(t, table, 2, q.status, 1, F_WRITE, 0);
	ring_desc(r, 1, q.status, 1, F_WRITE, 0);
	switch (kind) {
	case 0:
		snprintf(what, sizeof(what),
			 "an indirect table whose next (3) lies behind its end");
		table_desc(t, table, 1, q.data, 512, F_NEXT | F_WRITE, 3);
		break;
	case 1:
		snprintf(what, sizeof(what), "a loop inside an indirect table");
		table_desc(t, table, 1, q.data, 512, F_NEXT | F_WRITE, 1);
		break;
	case 2:
		snprintf(what, sizeof(what), "an indirect table inside an indirect table");
		table_desc(t, table, 0, table, 48, F_INDIRECT, 0);
		break;
	case 3:
		snprintf(what, sizeof(what), "INDIRECT and NEXT on one descriptor");
		flags |= F_NEXT;
		break;
	case 4:
		snprintf(what, sizeof(what), "an indirect table of 0 bytes");
		len = 0;
		break;
	case 5:
		snprintf(what, sizeof(what), "an indirect table of 17 bytes");
		len = 17;
		break;
	case 6:
		snprintf(what, sizeof(what), "an indirect table of 4 GiB - 16 bytes");
		len = 0xfffffff0;
		break;
	default:
		snprintf(what, sizeof(what), "an indirect table outside memory");
		table = OUTSIDE;
		break;
	}
	ring_desc(r, 0, table, len, flags, 1);
	ring_offer(r, 0);
	/* Of these, a lenient device may well serve INDIRECT with NEXT, and a table too large. */
	if (kind == 3 || kind == 6)
		offer_to(r, what);
	else
		throw_at(r, &q, what);
}

#define INDIRECT_CASE(name, kind)         \
	static void name(struct trial *t) \
	{                                 \
		indirect_bad(t, kind);    \
	}
INDIRECT_CASE(table_next, 0)
INDIRECT_CASE(table_loop, 1)
INDIRECT_CASE(table_nested, 2)
INDIRECT_CASE(table_and_next, 3)
INDIRECT_CASE(table_empty, 4)
INDIRECT_CASE(table_odd, 5)
INDIRECT_CASE(table_huge, 6)
INDIRECT_CASE(table_outside, 7)

static void indirect_unaccepted(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 16});
	struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
	uint64_t table = mem(t, 48);

	table_desc(t, table, 0, q.header, 16, F_NEXT, 1);
	table_desc(t, table, 1, q.data, 512, F_NEXT | F_WRITE, 2);
	table_desc(t, table, 2, q.status, 1, F_WRITE, 0);
	ring_desc(r, 0, table, 48, F_INDIRECT, 0);
	ring_offer(r, 0);
	offer_to(r, "INDIRECT without having accepted INDIRECT_DESC");
}

static void writable_first(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 16});
	struct req q;

	put_read(r, &q);
	ring_desc(r, 0, q.data, 512, F_NEXT | F_WRITE, 1);
	ring_desc(r, 1, q.header, 16, F_NEXT, 2);
	ring_offer(r, 0);
	offer_to(r, "a readable descriptor behind a writable one");
}

static void address(struct trial *t, uint64_t addr, uint32_t len, const char *what)
{
	struct ring *r = &t->rings[0];
	struct req q;

	put_read(r, &q);
	q.len = len;
	ring_desc(r, 1, addr, len, F_NEXT | F_WRITE, 2);
	ring_offer(r, 0);
	throw_at(r, &q, what);
}

static void outside(struct trial *t)
{
	disk_up(t, (struct setup){.num = 16});
	address(t, OUTSIDE, 512, "a buffer outside memory");
}

static void over_the_end(struct trial *t)
{
	disk_up(t, (struct setup){.num = 16});
	address(t, memory_end(t) - 256, 512, "a buffer that begins in memory and ends outside");
}

static void wraps_around(struct trial *t)
{
	disk_up(t, (struct setup){.num = 16});
	address(t, UINT64_MAX - 255, 512, "a buffer that runs over 2^64");
}

static void huge(struct trial *t)
{
	disk_up(t, (struct setup){.num = 16});
	address(t, t->peer.areas[0].gpa, 0xffffffff, "a buffer of 4 GiB - 1");
}

static void below(struct trial *t)
{
	if (t->o->pci)
		trial_skip(t, "a machine may have memory there");
	disk_up(t, (struct setup){.num = 16});
	address(t, 0, 512, "a buffer at address 0");
}

static void header_outside(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 16});
	struct req q;

	put_read(r, &q);
	ring_desc(r, 0, OUTSIDE, 16, F_NEXT, 1);
	ring_offer(r, 0);
	throw_at(r, &q, "a request header outside memory");
}

static void zero_length(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 16});
	struct req q;

	put_read(r, &q);
	ring_desc(r, 0, q.header, 16, F_NEXT, 3);
	ring_desc(r, 3, q.header, 0, F_NEXT, 4);
	ring_desc(r, 4, OUTSIDE, 0, F_NEXT | F_WRITE, 1);
	ring_offer(r, 0);
	offer_to(r, "descriptors of length 0 in a chain, one of them outside memory");
}

static void all_zero(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 16});

	for (uint16_t i = 0; i < 16; i++)
		ring_desc(r, i, t->peer.areas[0].gpa, 0, i == 15 ? 0 : F_NEXT, (uint16_t)(i + 1));
	ring_offer(r, 0);
	offer_to(r, "a chain of 16 descriptors of length 0");
}

static void head_twice(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 16});
	struct req q;

	put_read(r, &q);
	for (unsigned i = 0; i < 8; i++)
		ring_offer(r, 0);
	offer_to(r, "one head 8 times at once");
}

static void ring_addresses_bad(struct trial *t, unsigned kind)
{
	static const char *const whats[] = {
		"a ring outside memory", "a descriptor table aligned to 1",
		"descriptor table, available and used ring at one address",
		"a used ring that lies on the request's data",
		"a descriptor table that ends outside memory"};
	struct vhost_user_vring_addr a;
	uint64_t index = 0;
	struct ring *r;
	struct req q;

	need_vhost_user(t);
	disk_up(t, (struct setup){.stopped = true});
	r = ring_new(t, 0, 64);
	put_read(r, &q);
	ring_offer(r, 0);
	ring_publish(r);
	a = (struct vhost_user_vring_addr){.desc = peer_user(&t->peer, r->desc),
					   .used = peer_user(&t->peer, r->device),
					   .avail = peer_user(&t->peer, r->driver)};
	if (kind == 0)
		a.desc = a.used = a.avail = peer_user(&t->peer, OUTSIDE);
	else if (kind == 1)
		a.desc++;
	else if (kind == 2)
		a.used = a.avail = a.desc;
	else if (kind == 3)
		a.used = peer_user(&t->peer, q.data);
	else
		a.desc = peer_user(&t->peer, memory_end(t) - 64);
	trial_sent(t, "%s", whats[kind]);
	/* Each of these may be the last that the back end wants to hear. */
	if (peer_send(&t->peer, VHOST_USER_SET_VRING_NUM, 0,
		      &(struct vhost_user_vring_state){0, 64}, 8, NULL, 0) ||
	    peer_send(&t->peer, VHOST_USER_SET_VRING_BASE, 0,
		      &(struct vhost_user_vring_state){0, 0}, 8, NULL, 0) ||
	    peer_send(&t->peer, VHOST_USER_SET_VRING_ADDR, 0, &a, sizeof(a), NULL, 0) ||
	    peer_send(&t->peer, VHOST_USER_SET_VRING_CALL, 0, &index, 8, &r->call, 1) ||
	    peer_send(&t->peer, VHOST_USER_SET_VRING_KICK, 0, &index, 8, &r->kick, 1) ||
	    peer_send(&t->peer, VHOST_USER_SET_VRING_ENABLE, 0,
		      &(struct vhost_user_vring_state){0, 1}, 8, NULL, 0))
		return;
	ring_kick(r);
	quiet(t);
}

#define ADDRESS_CASE(name, kind)             \
	static void name(struct trial *t)    \
	{                                    \
		ring_addresses_bad(t, kind); \
	}
ADDRESS_CASE(ring_outside, 0)
ADDRESS_CASE(ring_unaligned, 1)
ADDRESS_CASE(ring_overlap, 2)
ADDRESS_CASE(ring_on_data, 3)
ADDRESS_CASE(ring_over_end, 4)

static void bad_sizes(struct trial *t)
{
	static const uint32_t nums[] = {0, 3, 65535, 65536, 0x80000000, 0xffffffff, 32768};

	for (unsigned i = 0; i < ARRAY_SIZE(nums); i++) {
		struct vhost_user_vring_state s = {0, nums[i]};
		uint64_t index = 0;
		struct ring *r;

		need_vhost_user(t);
		disk_up(t, (struct setup){.stopped = true});
		r = ring_new(t, 0, 64);
		trial_sent(t, "SET_VRING_NUM %u, then a ring of it", nums[i]);
		if (!peer_send(&t->peer, VHOST_USER_SET_VRING_NUM, 0, &s, sizeof(s), NULL, 0)) {
			struct vhost_user_vring_addr a = {.desc = peer_user(&t->peer, r->desc),
							  .used = peer_user(&t->peer, r->device),
							  .avail = peer_user(&t->peer, r->driver)};

			le16_write(&r->avail->idx, 1);
			peer_send(&t->peer, VHOST_USER_SET_VRING_ADDR, 0, &a, sizeof(a), NULL, 0);
			peer_send(&t->peer, VHOST_USER_SET_VRING_KICK, 0, &index, 8, &r->kick, 1);
			s.num = 1;
			peer_send(&t->peer, VHOST_USER_SET_VRING_ENABLE, 0, &s, sizeof(s), NULL, 0);
			ring_kick(r);
			quiet(t);
		}
		redial(t);
	}
}

static void double_fetch(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 16});
	uint64_t until = clock_ns() + 300 * NSEC_PER_MSEC;
	struct req q;
	unsigned n = 0;

	trial_sent(t, "reads whose descriptors change while the device looks at them");
	while (clock_ns() < until && !gone(t)) {
		struct used u;

		t->next_gpa = align_up(r->device + 4096, 4096);
		put_read(r, &q);
		ring_offer(r, 0);
		ring_publish(r);
		ring_kick(r);
		for (unsigned i = 0; i < 200 && !ring_take(r, &u); i++) {
			le32_write(&r->table[1].len, i & 1 ? 512 : 0xfffffe00);
			le64_write(&r->table[1].addr, i & 2 ? q.data : OUTSIDE);
			le16_write(&r->table[1].next, i & 4 ? 2 : 0xffff);
			le16_write(&r->table[0].flags, i & 8 ? F_NEXT : F_NEXT | F_WRITE);
			le32_write(&((struct virtio_blk_req *)at(t, q.header, 16))->type,
				   i & 16 ? 0 : 8);
		}
		if (!ring_poll(r, &u, 20))
			break; /* broken by now: one answer of several */
		n++;
	}
	(void)n;
}

static void garbage_events(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.wish = FEAT(EVENT_IDX), .num = 16});

	for (unsigned i = 0; i < 64; i++) {
		struct req q;

		ring_used_event(r, (uint16_t)(i * 0x3f1));
		ring_driver_flags(r, (uint16_t)(0xfffe & (i * 0x777)));
		q = blk_read(r, 0, 512);
		t->next_gpa = q.header;
	}
}

static void kick_storm(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	uint64_t max = UINT64_MAX - 1;

	for (unsigned i = 0; i < 100000; i++)
		ring_kick(r);
	/* As far as an eventfd goes. */
	if (write(r->kick, &max, sizeof(max)) < 0)
		quiet(t);
	blk_read(r, 0, 512);
}

static void other_queue(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.wish = BLK(MQ), .queues = 2, .num = 16});
	struct req q;

	put_read(r, &q);
	ring_offer(r, 0xffff);
	throw_at(r, &q, "head 65535 on queue 0, then a read on queue 1");
	q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
	req_add(&r[1], &q);
	trial_sent(t, "head 65535 on queue 0, then a read on queue 1");
	ring_publish(&r[1]);
	ring_kick(&r[1]);
	expect_status(t, req_finish(&r[1], &q), VIRTIO_BLK_S_OK);
}

/* Packed */

static void packed_ids(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = FEAT(RING_PACKED), .num = 8});
	struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);

	ring_put(r, q.header, 16, F_NEXT, 0xffff);
	ring_put(r, q.data, 512, F_NEXT | F_WRITE, 0xffff);
	ring_put(r, q.status, 1, F_WRITE, 0xffff);
	offer_to(r, "buffer id 65535 in a packed ring of 8");
}

static void packed_loop(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = FEAT(RING_PACKED), .num = 8});
	struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);

	for (unsigned i = 0; i < 8; i++)
		ring_put(r, q.data, 512, F_NEXT | F_WRITE, 1);
	offer_to(r, "a packed ring in which every descriptor has NEXT");
}

static void packed_same_id(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = FEAT(RING_PACKED), .num = 16});
	struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);

	for (unsigned i = 0; i < 4; i++) {
		ring_put(r, q.header, 16, F_NEXT, 3);
		ring_put(r, q.data, 512, F_NEXT | F_WRITE, 3);
		ring_put(r, q.status, 1, F_WRITE, 3);
	}
	offer_to(r, "4 requests at once with the same buffer id");
}

static void packed_events(struct trial *t)
{
	struct ring *r = disk_up(
		t, (struct setup){.want = FEAT(RING_PACKED), .wish = FEAT(EVENT_IDX), .num = 8});

	for (unsigned i = 0; i < 64; i++) {
		struct req q;

		ring_used_event(r, (uint16_t)(i * 0x3f1));
		ring_driver_flags(r, (uint16_t)(i * 0x777));
		q = blk_read(r, 0, 512);
		t->next_gpa = q.header;
	}
}

static void packed_indirect(struct trial *t)
{
	static const uint32_t lens[] = {0, 17, 0xfffffff0, 48};
	unsigned i = 0;

	for (; i < ARRAY_SIZE(lens); i++) {
		struct ring *r = disk_up(
			t,
			(struct setup){.want = FEAT(RING_PACKED) | FEAT(INDIRECT_DESC), .num = 8});
		struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);

		ring_put(r, mem(t, 48), lens[i], F_INDIRECT | (lens[i] == 48 ? F_NEXT : 0), 0);
		if (lens[i] == 48)
			ring_put(r, q.status, 1, F_WRITE, 0);
		throw_at(r, &q, "a packed ring's indirect table of a bad length, or with NEXT");
		redial(t);
	}
}

/* What pulls the ground away; last, because a back end may not survive it. */
static void truncated(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 16});
	struct req q;

	put_read(r, &q);
	ring_offer(r, 0);
	ring_publish(r);
	trial_sent(t, "the file behind the memory is cut to 0 bytes, then a kick");
	/* Ours is gone, too: nothing may be looked at from here on. */
	if (ftruncate(t->peer.areas[0].fd, 0))
		trial_skip(t, "the memory cannot be cut");
	ring_kick(r);
	quiet(t);
	r->told = false;
}

#define PRACTICE "practice", LEVEL_PRACTICE, 0

static const struct conform_case cases[] = {
	{"R-01.jump", PRACTICE, "An available index that jumps ahead does no harm.", index_jumps},
	{"R-02.back", PRACTICE, "An available index that goes back does no harm.", index_back},
	{"R-03.head", PRACTICE, "A head behind the table is refused.", head_range},
	{"R-03.head-far", PRACTICE, "A head far behind the table is refused.", head_far},
	{"R-04.next", PRACTICE, "A next behind the table is refused.", next_range},
	{"R-04.table-next", PRACTICE, "A next behind an indirect table is refused.", table_next},
	{"R-05.loop", PRACTICE, "A descriptor loop ends.", loop},
	{"R-05.loop-all", PRACTICE, "A loop through the whole table ends.", loop_all},
	{"R-05.table-loop", PRACTICE, "A loop in an indirect table ends.", table_loop},
	{"R-07.unaccepted", PRACTICE, "An indirect table without the feature does no harm.",
	 indirect_unaccepted},
	{"R-07.nested", PRACTICE, "A nested indirect table is refused.", table_nested},
	{"R-07.with-next", PRACTICE, "INDIRECT together with NEXT does no harm.", table_and_next},
	{"R-08.empty", PRACTICE, "An indirect table of 0 bytes is refused.", table_empty},
	{"R-08.odd", PRACTICE, "An indirect table of 17 bytes is refused.", table_odd},
	{"R-08.huge", PRACTICE, "An indirect table of 4 GiB does no harm.", table_huge},
	{"R-08.outside", PRACTICE, "An indirect table outside memory is refused.", table_outside},
	{"R-09.order", PRACTICE, "A readable descriptor behind a writable one does no harm.",
	 writable_first},
	{"R-10.outside", PRACTICE, "A buffer outside memory is refused.", outside},
	{"R-10.end", PRACTICE, "A buffer that ends outside memory is refused.", over_the_end},
	{"R-10.wrap", PRACTICE, "A buffer that runs over 2^64 is refused.", wraps_around},
	{"R-10.null", PRACTICE, "A buffer at address 0, where no memory is, is refused.", below},
	{"R-10.header", PRACTICE, "A request header outside memory is refused.", header_outside},
	{"R-11.zero", PRACTICE, "Descriptors of length 0 do no harm.", zero_length},
	{"R-11.all-zero", PRACTICE, "A chain of nothing does no harm.", all_zero},
	{"R-12.huge", PRACTICE, "A buffer of 4 GiB in 16 MiB of memory is refused.", huge},
	{"R-13.twice", PRACTICE, "One head several times at once does no harm.", head_twice},
	{"R-14.outside", PRACTICE, "A ring outside memory does no harm.", ring_outside},
	{"R-14.unaligned", PRACTICE, "An unaligned ring does no harm.", ring_unaligned},
	{"R-14.overlap", PRACTICE, "Ring areas that overlap do no harm.", ring_overlap},
	{"R-14.on-data", PRACTICE, "A used ring that overlaps data does no harm.", ring_on_data},
	{"R-14.end", PRACTICE, "A ring that ends outside memory does no harm.", ring_over_end},
	{"R-15.size", PRACTICE, "Bad ring sizes do no harm.", bad_sizes},
	{"R-16.fetch", PRACTICE, "Descriptors that change while they are read do no harm.",
	 double_fetch},
	{"R-17.events", PRACTICE, "Garbage in used_event and avail.flags does no harm.",
	 garbage_events},
	{"R-18.storm", PRACTICE, "100,000 kicks, and a full eventfd, do no harm.", kick_storm},
	{"R-19.id", PRACTICE, "Packed: a buffer id beyond the ring does no harm.", packed_ids},
	{"R-19.loop", PRACTICE, "Packed: a chain without end ends.", packed_loop},
	{"R-19.same-id", PRACTICE, "Packed: one buffer id several times at once does no harm.",
	 packed_same_id},
	{"R-19.events", PRACTICE, "Packed: garbage in the driver's event area does no harm.",
	 packed_events},
	{"R-19.table", PRACTICE, "Packed: bad indirect tables are refused.", packed_indirect},
	{"R-00.other-queue", PRACTICE, "A broken queue does not disturb the others.", other_queue},
};
const struct case_table hostile_ring_cases = {"Hostile rings", cases, ARRAY_SIZE(cases), BY_ANY};

static const struct conform_case last[] = {
	{"R-21.truncated", PRACTICE, "Memory that is cut away under the back end does not kill it.",
	 truncated},
};
const struct case_table last_cases = {"What a back end may not survive", last, ARRAY_SIZE(last),
				      BY_VHOST_USER};
