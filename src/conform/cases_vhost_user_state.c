/* SPDX-License-Identifier: MIT */
/* The vhost-user protocol: rings that start, stop, are enabled, reset, logged. */
#include "conform/cases.h"

#include "base/atomic.h"
#include "conform/blk.h"

#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

static void need_enable(struct trial *t)
{
	dial(t);
	if (!(t->peer.offered & FEAT_PROTOCOL))
		trial_skip(t, "the back end does not offer PROTOCOL_FEATURES (30), rings are "
			      "always enabled");
}

/* Stop and start */

static void stop_base(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	uint32_t base;

	for (unsigned i = 0; i < 7; i++)
		blk_read_and_forget(r);
	trial_sent(t, "7 reads, then GET_VRING_BASE");
	base = ring_stop(r);
	if (base != 7)
		trial_fail(t, "the next available index, 7", "%u", base);
}

static void stop_unused(struct trial *t)
{
	uint32_t base;
	struct ring *r;

	disk_up(t, (struct setup){.stopped = true});
	r = ring_new(t, 0, 64);
	trial_sent(t, "GET_VRING_BASE of a ring that was never told");
	base = ring_stop(r);
	if (base)
		trial_fail(t, "0", "%u", base);
}

static void restart(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});

	for (unsigned round = 0; round < 20; round++) {
		struct req old = blk_read(r, 0, 512);
		uint32_t base;

		base = ring_stop(r);
		if (base != r->avail_idx)
			trial_fail(t, "GET_VRING_BASE gives the next available index", "%u, not %u",
				   base, r->avail_idx);
		trial_sent(t, "the ring is started anew at base %u, then read from", base);
		req_header(t, &old);
		ring_start(r, base);
		ring_enable(r, true);
		blk_read_and_forget(r);
		if (byte_at(t, old.status) != BLK_NO_STATUS)
			trial_fail(t, "what was completed before the stop is not done again",
				   "the status byte of an old request was written again");
	}
}

static void restart_elsewhere(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	struct ring *other;

	for (unsigned i = 0; i < 5; i++)
		blk_read_and_forget(r);
	ring_stop(r);
	t->next_gpa += 8192;
	other = ring_new(t, 0, 32);
	trial_sent(t, "the ring is started anew with 32 entries at other addresses and base 0");
	ring_start(other, 0);
	ring_enable(other, true);
	for (unsigned i = 0; i < 40; i++)
		blk_read_and_forget(other);
}

static void stop_is_quiet(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	struct req q;

	blk_read_and_forget(r);
	ring_stop(r);
	ring_calls(r, 0);
	q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
	req_add(r, &q);
	ring_publish(r);
	ring_kick(r);
	ring_expect_nothing(r, "a stopped ring is not processed");
	if (!filled(t, q.data, 0xa5, 512))
		trial_fail(t, "a stopped ring is not processed", "data was written");
	if (ring_calls(r, 0))
		trial_fail(t, "a stopped ring notifies nobody", "a notification");
}

/* Requests in flight when the ring is stopped: done before the answer, or not at all. */
static void stop_in_flight(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 128});
	struct req q[40];
	struct used u;
	unsigned done = 0;
	uint16_t idx;
	uint32_t base;

	for (unsigned i = 0; i < ARRAY_SIZE(q); i++) {
		q[i] = req_make(t, VIRTIO_BLK_T_IN, 0, 65536);
		req_add(r, &q[i]);
	}
	trial_sent(t, "40 reads of 64 KiB at once, then GET_VRING_BASE");
	ring_publish(r);
	ring_kick(r);
	base = ring_stop(r);
	idx = le16_read(&r->used->idx);
	while (ring_take(r, &u))
		done++;
	if (base > ARRAY_SIZE(q))
		trial_fail(t, "a base of at most 40", "%u", base);
	ring_calls(r, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(q); i++)
		fill(t, q[i].data, 0x66, 65536);
	quiet(t);
	if (le16_read(&r->used->idx) != idx)
		trial_fail(t, "nothing is used after GET_VRING_BASE was answered",
			   "used.idx went from %u to %u", idx, le16_read(&r->used->idx));
	for (unsigned i = 0; i < ARRAY_SIZE(q); i++)
		if (!filled(t, q[i].data, 0x66, 65536))
			trial_fail(t, "no memory is written after GET_VRING_BASE was answered",
				   "the buffer of request %u changed", i);
	if (ring_calls(r, 0))
		trial_fail(t, "no notification after GET_VRING_BASE was answered",
			   "a notification");
	if (!(t->peer.proto & PROTO(INFLIGHT_SHMFD)) && done != base)
		trial_fail(t,
			   "what was taken from the ring (its base) has been used when the back "
			   "end answers",
			   "base %u, but %u used", base, done);
}

/* How many are in flight just then is chance: several times. */
static void stop_drains(struct trial *t)
{
	for (unsigned i = 0; i < 10; i++) {
		stop_in_flight(t);
		redial(t);
	}
}

/* Enable */

static void kick_before_enable(struct trial *t)
{
	struct ring *r;
	struct req q;

	need_enable(t);
	r = disk_up(t, (struct setup){.idle = true});
	q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
	req_add(r, &q);
	trial_sent(t, "a read, kicked before SET_VRING_ENABLE and not again");
	ring_publish(r);
	ring_kick(r);
	quiet(t);
	ring_enable(r, true);
	expect_status(t, req_finish(r, &q), VIRTIO_BLK_S_OK);
}

static void disabled_write(struct trial *t)
{
	struct ring *r;
	struct req q;
	uint64_t s;

	need_enable(t);
	r = disk_up(t, (struct setup){.queues = 1});
	s = scratch(t, 1);
	blk_write(r, s, 0x10, 512);
	ring_enable(r, false);
	q = req_make(t, VIRTIO_BLK_T_OUT, s, 512);
	fill(t, q.data, 0x20, 512);
	req_add(r, &q);
	trial_sent(t, "a write on a ring that was disabled");
	ring_publish(r);
	ring_kick(r);
	quiet(t);
	redial(t);
	r = disk_up(t, (struct setup){0});
	blk_expect(r, s, 0x10, 512, "a disabled ring has no effect on the disk");
}

static void disabled_initially(struct trial *t)
{
	struct ring *r;
	struct req q;
	uint64_t s;

	need_enable(t);
	r = disk_up(t, (struct setup){0});
	s = scratch(t, 1);
	blk_write(r, s, 0x11, 512);
	redial(t);
	r = disk_up(t, (struct setup){.idle = true});
	q = req_make(t, VIRTIO_BLK_T_OUT, s, 512);
	fill(t, q.data, 0x21, 512);
	req_add(r, &q);
	trial_sent(t, "a write on a ring that was not yet enabled");
	ring_publish(r);
	ring_kick(r);
	quiet(t);
	redial(t);
	r = disk_up(t, (struct setup){0});
	blk_expect(r, s, 0x11, 512, "a ring that is not yet enabled has no effect on the disk");
}

static void reenable(struct trial *t)
{
	struct ring *r;

	need_enable(t);
	r = disk_up(t, (struct setup){0});
	for (unsigned i = 0; i < 10; i++) {
		blk_read_and_forget(r);
		ring_enable(r, false);
		ring_enable(r, true);
	}
	blk_read_and_forget(r);
}

static void enable_each(struct trial *t)
{
	struct ring *r;

	need_enable(t);
	disk_up(t, (struct setup){.wish = BLK(MQ), .queues = 2});
	r = t->rings;
	blk_read_and_forget(&r[1]);
	trial_sent(t, "queue 0 disabled, a read on queue 1");
	ring_enable(&r[0], false);
	blk_read_and_forget(&r[1]);
	ring_enable(&r[0], true);
	blk_read_and_forget(&r[0]);
	trial_sent(t, "queue 1 stopped, a read on queue 0");
	ring_stop(&r[1]);
	blk_read_and_forget(&r[0]);
}

/* Call and err fds */

static void call_swap(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});

	for (unsigned i = 0; i < 16; i++) {
		uint64_t index = 0;

		close(r->call);
		r->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		must_tell(t, VHOST_USER_SET_VRING_CALL, &index, sizeof(index), r->call);
		ring_calls(r, 0);
		blk_read_and_forget(r);
		if (!ring_calls(r, t->o->timeout_ms))
			trial_fail(t, "notifications arrive at the call fd that was told last",
				   "none within %d ms, after change %u", t->o->timeout_ms, i + 1);
	}
}

static void call_old(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	int old = r->call;
	uint64_t index = 0, n = 0;
	ssize_t got;

	blk_read_and_forget(r);
	r->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	must_tell(t, VHOST_USER_SET_VRING_CALL, &index, sizeof(index), r->call);
	quiet(t);
	got = read(old, &n, sizeof(n));
	blk_read_and_forget(r);
	quiet(t);
	got = read(old, &n, sizeof(n));
	close(old);
	if (got == (ssize_t)sizeof(n))
		trial_fail(t, "the old call fd is not used any more", "a notification on it");
}

static void call_none(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	uint64_t index = VHOST_USER_VRING_NOFD;

	trial_sent(t, "SET_VRING_CALL with the no-fd bit: the front end polls");
	must_tell(t, VHOST_USER_SET_VRING_CALL, &index, sizeof(index), -1);
	for (unsigned i = 0; i < 16; i++)
		blk_read_and_forget(r);
}

static void err_fd(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.idle = true});
	uint64_t index = 0;

	r->err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	must_tell(t, VHOST_USER_SET_VRING_ERR, &index, sizeof(index), r->err);
	ring_enable(r, true);
	blk_read_and_forget(r);
	index = VHOST_USER_VRING_NOFD;
	must_tell(t, VHOST_USER_SET_VRING_ERR, &index, sizeof(index), -1);
	blk_read_and_forget(r);
}

static void any_order(struct trial *t)
{
	struct ring *r;
	uint64_t index = 0;

	disk_up(t, (struct setup){.stopped = true});
	r = ring_new(t, 0, 64);
	trial_sent(t, "CALL, ADDR, BASE, NUM, then KICK and ENABLE");
	must_tell(t, VHOST_USER_SET_VRING_CALL, &index, sizeof(index), r->call);
	set_vring(t, VHOST_USER_SET_VRING_NUM, 0, 64);
	ring_addresses(r);
	set_vring(t, VHOST_USER_SET_VRING_BASE, 0, 0);
	ring_kick_fd(r);
	ring_enable(r, true);
	blk_read_and_forget(r);
}

/* Reset */

static void reset_device(struct trial *t)
{
	struct ring *r;

	t->protos_wanted = PROTO(MQ) | PROTO(REPLY_ACK) | PROTO(CONFIG) | PROTO(RESET_DEVICE);
	dial(t);
	if (!(t->peer.proto & PROTO(RESET_DEVICE)))
		trial_skip(t, "the back end has no protocol feature RESET_DEVICE (13)");
	r = disk_up(t, (struct setup){0});
	for (unsigned round = 0; round < 5; round++) {
		struct req q;

		blk_read_and_forget(r);
		must_tell(t, VHOST_USER_RESET_DEVICE, NULL, 0, -1);
		ring_calls(r, 0);
		q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
		req_add(r, &q);
		trial_sent(t, "RESET_DEVICE, then a read on the ring as it was");
		ring_publish(r);
		ring_kick(r);
		ring_expect_nothing(r,
				    "after a reset no ring is processed until it is set up again");
		if (ring_calls(r, 0))
			trial_fail(t, "no notification after a reset", "a notification");
		/* Memory and protocol features stay, the rest begins anew. */
		accept_features(t, t->peer.acked);
		ring_clear(r);
		trial_sent(t, "after RESET_DEVICE the ring is set up anew");
		ring_start(r, 0);
		ring_enable(r, true);
	}
	blk_read_and_forget(r);
}

/* In-flight tracking */

struct inflight {
	uint64_t mmap_size, mmap_offset;
	uint16_t queues, num;
};

struct inflight_split {
	uint64_t features;
	uint16_t version, desc_num, last_batch_head, used_idx;
	struct {
		uint8_t inflight, padding[5];
		uint16_t next;
		uint64_t counter;
	} desc[];
};

static void inflight(struct trial *t)
{
	struct inflight wanted = {.queues = 1, .num = 64};
	struct inflight_split *area;
	struct message m;
	struct ring *r;
	int fd;

	t->protos_wanted = PROTO(MQ) | PROTO(REPLY_ACK) | PROTO(CONFIG) | PROTO(INFLIGHT_SHMFD);
	dial(t);
	if (!(t->peer.proto & PROTO(INFLIGHT_SHMFD)))
		trial_skip(t, "the back end has no protocol feature INFLIGHT_SHMFD (12)");
	disk_up(t, (struct setup){.stopped = true});
	trial_sent(t, "GET_INFLIGHT_FD for 1 queue of 64");
	ask(t, VHOST_USER_GET_INFLIGHT_FD, &wanted, 20, &m);
	if (m.h.size < 20 || m.n_fds != 1) {
		message_close_fds(&m);
		trial_fail(t, "the area's size and offset, and its file descriptor",
			   "%u bytes, %u fds", m.h.size, m.n_fds);
	}
	fd = m.fds[0];
	memcpy(&wanted, &m.payload, 20);
	if (wanted.mmap_size < 16 + 64 * 16) {
		close(fd);
		trial_fail(t, "an area that holds 64 descriptors (1040 bytes)", "%llu bytes",
			   (unsigned long long)wanted.mmap_size);
	}
	area = mmap(NULL, wanted.mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    (off_t)wanted.mmap_offset);
	if (area == MAP_FAILED) {
		close(fd);
		trial_fail(t, "an area that can be mapped", "mmap fails");
	}
	munmap(area, wanted.mmap_size);
	trial_sent(t, "SET_INFLIGHT_FD with the same area, then reads");
	must_tell(t, VHOST_USER_SET_INFLIGHT_FD, &wanted, 20, fd);
	close(fd);
	r = ring_tell(t, 0, 64);
	ring_enable(r, true);
	for (unsigned i = 0; i < 100; i++)
		blk_read_and_forget(r);
}

/* Dirty log */

static bool logged(const uint8_t *log, uint64_t gpa)
{
	uint64_t page = gpa / 4096;

	return read_once(&log[page / 8]) & (1u << (page % 8));
}

static void dirty_log(struct trial *t)
{
	const uint64_t size = (PEER_GPA + PEER_MEM) / 4096 / 8;
	struct {
		uint64_t size, offset;
	} base = {size, 0};
	struct vhost_user_vring_addr a;
	struct ring *r;
	struct message m;
	struct req q;
	uint8_t *log;
	bool data, status, used;
	int fd;

	t->protos_wanted = PROTO(MQ) | PROTO(REPLY_ACK) | PROTO(CONFIG) | PROTO(LOG_SHMFD);
	dial(t);
	if (!(t->peer.proto & PROTO(LOG_SHMFD)) || !offered(t, 26))
		trial_skip(t, "the back end does not log (protocol feature LOG_SHMFD (1), feature "
			      "LOG_ALL (26))");
	r = disk_up(t, (struct setup){0});
	fd = memfd_create("log", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)size))
		trial_skip(t, "no memory for a log");
	trial_sent(t, "SET_LOG_BASE with a log for all of the memory");
	if (peer_send(&t->peer, VHOST_USER_SET_LOG_BASE, 0, &base, sizeof(base), &fd, 1) ||
	    peer_recv(&t->peer, &m, t->o->timeout_ms) || m.h.request != VHOST_USER_SET_LOG_BASE) {
		close(fd);
		trial_fail(t, "SET_LOG_BASE is answered", "no answer, or to something else");
	}
	message_close_fds(&m);
	log = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (log == MAP_FAILED)
		trial_skip(t, "no memory for a log");
	accept_features(t, t->peer.acked | BIT64(26));
	a = (struct vhost_user_vring_addr){.index = 0,
					   .flags = 1,
					   .desc = peer_user(&t->peer, r->desc),
					   .used = peer_user(&t->peer, r->device),
					   .avail = peer_user(&t->peer, r->driver),
					   .log = r->device};
	must_tell(t, VHOST_USER_SET_VRING_ADDR, &a, sizeof(a), -1);
	q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
	q.data = mem_aligned(t, 4096, 4096);
	q.status = mem_aligned(t, 4096, 4096);
	req_header(t, &q);
	req_ok(r, &q);
	data = logged(log, q.data);
	status = logged(log, q.status);
	used = logged(log, r->device);
	munmap(log, size);
	if (!data || !status || !used)
		trial_fail(t,
			   "the pages of data, status byte and used ring are in the log when the "
			   "request is used",
			   "missing:%s%s%s", data ? "" : " data", status ? "" : " status",
			   used ? "" : " used ring");
}

static const struct conform_case cases[] = {
	{"VU-11.base", "vhost-user, GET_VRING_BASE", LEVEL_MUST, 0,
	 "GET_VRING_BASE answers with the next available index.", stop_base},
	{"VU-11.unused", "practice", LEVEL_PRACTICE, 0,
	 "GET_VRING_BASE of a ring never used is no error.", stop_unused},
	{"VU-11.restart", "vhost-user, Ring states", LEVEL_MUST, 0,
	 "A stopped ring goes on from the base that it gave.", restart},
	{"VU-11.elsewhere", "vhost-user, Ring states", LEVEL_MUST, 0,
	 "A stopped ring can begin anew at other addresses, with another size.", restart_elsewhere},
	{"VU-11.stopped", "vhost-user, Ring states", LEVEL_MUST, 0,
	 "A stopped ring is not processed.", stop_is_quiet},
	{"VU-11.drained", "vhost-user, Ring states; virtio 2.4.1", LEVEL_MUST, 0,
	 "After the answer to GET_VRING_BASE nothing is written and nobody is notified.",
	 stop_drains},
	{"VU-18.kick-first", "vhost-user, Ring states", LEVEL_MUST, 0,
	 "A kick that came before SET_VRING_ENABLE is not lost.", kick_before_enable},
	{"VU-18.disabled", "vhost-user, Ring states", LEVEL_MUST, CASE_WRITES,
	 "A ring that was disabled has no effect on the disk.", disabled_write},
	{"VU-18.initially", "vhost-user, Ring states", LEVEL_MUST, CASE_WRITES,
	 "A ring is disabled to begin with, and has no effect on the disk.", disabled_initially},
	{"VU-18.again", "vhost-user, SET_VRING_ENABLE", LEVEL_MUST, 0,
	 "A ring can be disabled and enabled again.", reenable},
	{"VU-18.each", "vhost-user, Multiple queue support", LEVEL_MUST, 0,
	 "Each ring is enabled and stopped for itself.", enable_each},
	{"VU-13.swap", "vhost-user, SET_VRING_CALL", LEVEL_MUST, 0,
	 "Notifications go to the call fd that was told last.", call_swap},
	{"VU-13.old", "practice", LEVEL_PRACTICE, 0,
	 "A call fd that was replaced is not used any more.", call_old},
	{"VU-13.none", "vhost-user, SET_VRING_CALL", LEVEL_MUST, 0,
	 "Without a call fd requests are served all the same.", call_none},
	{"VU-14.err", "vhost-user, SET_VRING_ERR", LEVEL_MUST, 0,
	 "An error fd is taken and given up.", err_fd},
	{"VU-8.order", "practice", LEVEL_PRACTICE, 0,
	 "Size, base, addresses and call fd may come in any order.", any_order},
	{"VU-34.reset", "vhost-user, RESET_DEVICE", LEVEL_MUST, 0,
	 "RESET_DEVICE stops all rings, and they can be set up again.", reset_device},
	{"VU-31.inflight", "vhost-user, Inflight I/O tracking", LEVEL_MUST, 0,
	 "The in-flight area is handed out and taken back, and requests are served.", inflight},
	{"VU-6.log", "vhost-user, Migration", LEVEL_MUST, 0, "Pages that are written are logged.",
	 dirty_log},
};
const struct case_table vhost_user_state_cases = {"vhost-user: states of rings", cases,
						  ARRAY_SIZE(cases), BY_VHOST_USER};
