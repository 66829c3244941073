/* SPDX-License-Identifier: MIT */
/*
 * Memory that is reached by messages: requests over it, what a client may do to our questions, and
 * what may come in between.
 */
#include "server/vfio_user/driver_test.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "wire/virtio.h"
#include "wire/virtio_blk.h"
#include "wire/virtio_pci.h"
#include "wire/vring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RW	(VFIO_USER_DMA_READABLE | VFIO_USER_DMA_WRITABLE)
#define HANG_NS (20 * NSEC_PER_SEC)

/* Some way into the data: not for a write that goes unnoticed. */
#define SECTORS 8u
#define BYTES	(SECTORS * 512u)

static const struct drv_request writing = {
	.type = VIRTIO_BLK_T_OUT,
	.header = DRV_DATA,
	.data = DRV_DATA + 0x1000,
	.len = BYTES,
	.status = DRV_DATA + 0x100,
};
static const struct drv_request reading = {
	.type = VIRTIO_BLK_T_IN,
	.header = DRV_DATA,
	.data = DRV_DATA + 0x4000,
	.len = BYTES,
	.status = DRV_DATA + 0x100,
};

static void all_remote(struct rig *r)
{
	assert_int_equal(rig_map(r, RIG_MEM_AT, RIG_MEM_SIZE, RW, 0, -1), 0);
}

static void reset(struct drv *d)
{
	drv_set_status(d, 0);
	while (drv_status(d))
		rig_turn(d->r, 1);
}

/* Writes a pattern, reads it back elsewhere. */
static void round_trip(struct drv *d, uint8_t seed)
{
	struct drv_request w = writing, r = reading;

	w.sector = r.sector = seed % 16u * SECTORS;
	for (unsigned i = 0; i < BYTES; i++)
		((uint8_t *)drv_at(d, w.data))[i] = (uint8_t)(i * 7 + seed);
	memset(drv_at(d, r.data), 0xee, BYTES + 16);
	assert_int_equal(drv_do(d, &w), VIRTIO_BLK_S_OK);
	assert_int_equal(drv_do(d, &r), VIRTIO_BLK_S_OK);
	assert_memory_equal(drv_at(d, r.data), drv_at(d, w.data), BYTES);
	/* Not a byte more. */
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(((uint8_t *)drv_at(d, r.data))[BYTES + i], 0xee);
}

static void requests_of_every_ring(void **state)
{
	static const uint64_t features[] = {
		0,
		BIT64(VIRTIO_F_EVENT_IDX),
		BIT64(VIRTIO_F_IN_ORDER),
		BIT64(VIRTIO_F_EVENT_IDX) | BIT64(VIRTIO_F_IN_ORDER),
	};

	(void)state;
	for (int packed = 0; packed < 2; packed++)
		for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
			struct rig r;
			struct drv d;

			rig_init(&r, "memory:1M");
			all_remote(&r);
			drv_up(&d, &r, 1, packed, features[i]);
			/* More than a lap of the ring. */
			for (uint8_t n = 0; n < DRV_NUM / 3 + 4; n++)
				round_trip(&d, n);
			assert_true(r.reads && r.writes);
			reset(&d);
			drv_up(&d, &r, 1, packed, features[i]);
			round_trip(&d, 99);
			rig_fini(&r);
		}
}

static void no_message_is_longer_than_the_client_takes(void **state)
{
	struct rig r;
	struct drv d;

	(void)state;
	rig_init_mute(&r, "memory:1M");
	assert_int_equal(rig_version(&r, 0, 1, "{\"capabilities\":{\"max_data_xfer_size\":100}}"),
			 0);
	all_remote(&r);
	drv_up(&d, &r, 1, false, 0);
	round_trip(&d, 1);
	assert_int_equal(r.longest, 100);
	rig_fini(&r);
	rig_init_mute(&r, "memory:1M");
	assert_int_equal(rig_version(&r, 0, 1, "{\"capabilities\":{\"max_data_xfer_size\":0}}"),
			 EINVAL);
	rig_fini(&r);
}

/* As QEMU had it once: an answer to a write says nothing but that it is one. */
static void dma_strange(struct rig *r, const struct vfio_user_header *h, const uint8_t *body)
{
	struct vfio_user_dma_access a;

	memcpy(&a, body, sizeof(a));
	assert_int_equal(h->command, VFIO_USER_DMA_WRITE);
	assert_int_equal(h->size, sizeof(*h) + sizeof(a));
	assert_int_equal(a.count, 0);
	rig_reply(r, h, 0, 0, NULL, 0);
}

/* Nothing of its memory is changed, and nothing of it believed. */
static void a_client_with_another_layout_is_told_from_others(void **state)
{
	static uint8_t before[RIG_MEM_SIZE];
	uint32_t len;
	struct rig r;
	struct drv d;

	(void)state;
	for (int mapped = 0; mapped < 2; mapped++) {
		rig_init(&r, "memory:1M");
		r.dma = dma_strange;
		if (mapped) {
			/* All but the data. */
			assert_int_equal(rig_map(&r, RIG_MEM_AT, 0x21000, RW, 0, r.mem_fd), 0);
			assert_int_equal(rig_map(&r, DRV_DATA + 0x1000, 0x10000, RW, 0, -1), 0);
		} else {
			all_remote(&r);
		}
		drv_up(&d, &r, 1, false, 0);
		if (mapped) {
			assert_int_equal(drv_do(&d, &reading), 255);
		} else {
			memcpy(before, r.mem, sizeof(before));
			assert_int_equal(drv_wait(&d, 0, &len), -1);
			assert_memory_equal(before, r.mem, sizeof(before));
		}
		assert_int_equal(r.reads, 0);
		assert_int_equal(r.writes, 1);
		rig_fini(&r);
	}
}

/* ---- a client that answers wrongly ---- */

enum wrong {
	WRONG_ERROR,
	WRONG_ID,
	WRONG_COMMAND,
	WRONG_SHORT,
	WRONG_LONG,
	WRONG_EMPTY,
	WRONG_ADDRESS,
	WRONG_COUNT,
	WRONG_TWICE,
	WRONG_GOES,
	WRONG_GOES_IN_THE_MIDDLE,
	WRONGS
};

struct wrongdoing {
	enum wrong how;
	uint16_t command;
	unsigned after; /* answers that are right */
};

static void do_wrong(struct rig *r, const struct vfio_user_header *h, const uint8_t *body,
		     enum wrong how)
{
	bool read = h->command == VFIO_USER_DMA_READ;
	struct vfio_user_header wrong = *h;
	struct vfio_user_dma_access a;
	uint32_t size;
	uint8_t *m;

	memcpy(&a, body, sizeof(a));
	size = (uint32_t)sizeof(a) + (read ? (uint32_t)a.count : 0);
	m = calloc(1, size + 8);
	a.address += how == WRONG_ADDRESS ? 8 : 0;
	a.count += how == WRONG_COUNT ? 1 : 0;
	memcpy(m, &a, sizeof(a));
	if (read)
		memset(m + sizeof(a), 0xbb, size - sizeof(a));
	wrong.id = (uint16_t)(h->id + (how == WRONG_ID));
	if (how == WRONG_COMMAND)
		wrong.command = read ? VFIO_USER_DMA_WRITE : VFIO_USER_DMA_READ;
	if (how == WRONG_ERROR) {
		rig_reply(r, h, VFIO_USER_ERROR, EFAULT, NULL, 0);
	} else if (how == WRONG_TWICE) {
		rig_dma(r, h, body);
		rig_dma(r, h, body);
	} else if (how == WRONG_GOES) {
		close(r->fd);
		r->fd = -1;
	} else if (how == WRONG_GOES_IN_THE_MIDDLE) {
		wrong.flags = VFIO_USER_TYPE_REPLY;
		wrong.size = (uint32_t)sizeof(wrong) + size;
		rig_send(r, &wrong, sizeof(wrong), NULL, 0);
		rig_send(r, m, sizeof(a), NULL, 0);
		close(r->fd);
		r->fd = -1;
	} else {
		rig_reply(r, &wrong, 0, 0, m,
			  how == WRONG_SHORT   ? size - 1
			  : how == WRONG_LONG  ? size + 8
			  : how == WRONG_EMPTY ? 0
					       : size);
	}
	free(m);
}

static void dma_wrong(struct rig *r, const struct vfio_user_header *h, const uint8_t *body)
{
	struct wrongdoing *w = r->of_test;

	if (h->command == w->command && !w->after) {
		w->after = UINT32_MAX;
		do_wrong(r, h, body, w->how);
		return;
	}
	if (h->command == w->command && w->after != UINT32_MAX)
		w->after--;
	rig_dma(r, h, body);
}

/* The connection ends, or the device needs a reset; the request is never said to be done. */
static bool ends_or_breaks(struct drv *d)
{
	uint64_t until = clock_ns() + HANG_NS;
	struct rig *r = d->r;
	uint32_t len;

	while (clock_ns() < until) {
		if (drv_take(d, 0, &len) >= 0)
			return false;
		rig_turn(r, 1);
		if (r->gone)
			return true;
		if (r->fd >= 0 && r->c.device.card->board.vdev->status & VIRTIO_STATUS_NEEDS_RESET)
			return true;
	}
	return false;
}

/* How many answers of a kind one such request takes when all goes well. */
static unsigned right_answers(const struct drv_request *what, uint16_t command, bool packed)
{
	unsigned n;
	struct rig r;
	struct drv d;

	rig_init(&r, "memory:1M");
	all_remote(&r);
	drv_up(&d, &r, 1, packed, 0);
	rig_silent(&r);
	r.reads = r.writes = 0;
	assert_int_equal(drv_do(&d, what), VIRTIO_BLK_S_OK);
	n = command == VFIO_USER_DMA_READ ? r.reads : r.writes;
	rig_fini(&r);
	return n;
}

static void wrong_answer(struct wrongdoing w, const struct drv_request *what, bool packed)
{
	static uint8_t zeroes[BYTES];
	bool broken;
	struct rig r;
	struct drv d;

	rig_init(&r, "memory:1M");
	all_remote(&r);
	drv_up(&d, &r, 1, packed, 0);
	assert_true(rig_silent(&r));
	r.dma = dma_wrong;
	r.of_test = &w;
	memset(drv_at(&d, what->data), 0x5a, BYTES);
	*(uint8_t *)drv_at(&d, what->status) = 0x77;
	drv_offer(&d, 0, 0, what);
	rig_say(&r, VFIO_USER_REGION_WRITE, VFIO_USER_NO_REPLY, &(struct {
		struct vfio_user_access a;
		uint16_t data;
	} __attribute__((packed))){{.offset = 0x3000, .region = 4, .count = 2}, 0},
		sizeof(struct vfio_user_access) + 2, NULL, 0);
	broken = ends_or_breaks(&d);
	/* A second answer may come when the request is done. */
	assert_true(broken || w.how == WRONG_TWICE);
	r.dma = NULL;
	if (r.fd >= 0 && w.how != WRONG_ERROR)
		assert_int_equal(rig_hear(&r), -1);
	rig_hang_up(&r);
	/* The next one is served as ever, and a write that was not fetched was not written. */
	rig_connect(&r);
	assert_int_equal(rig_version(&r, 0, 1, NULL), 0);
	all_remote(&r);
	drv_up(&d, &r, 1, packed, 0);
	assert_int_equal(drv_do(&d, &reading), VIRTIO_BLK_S_OK);
	if (w.command == VFIO_USER_DMA_READ && w.how != WRONG_TWICE &&
	    what->type == VIRTIO_BLK_T_OUT)
		assert_memory_equal(drv_at(&d, reading.data), zeroes, BYTES);
	round_trip(&d, 5);
	rig_fini(&r);
}

/*
 * The last reads of a write request may come when it is done; those up to its data are the first
 * ones: the announcement, the ring, the descriptors, header and data.
 */
static void answers_to_reads_of_every_wrong_kind(void **state)
{
	(void)state;
	for (int packed = 0; packed < 2; packed++)
		for (enum wrong how = 0; how < WRONGS; how++)
			for (unsigned after = 0; after < (packed ? 4 : 5); after++)
				wrong_answer((struct wrongdoing){how, VFIO_USER_DMA_READ, after},
					     &writing, packed);
}

static void answers_to_writes_of_every_wrong_kind(void **state)
{
	unsigned n[2] = {right_answers(&reading, VFIO_USER_DMA_WRITE, false),
			 right_answers(&reading, VFIO_USER_DMA_WRITE, true)};

	(void)state;
	/* Data, status, entry, index; and later ones about kicks. */
	assert_true(n[0] >= 4 && n[1] >= 4);
	for (int packed = 0; packed < 2; packed++)
		for (enum wrong how = 0; how < WRONGS; how++)
			for (unsigned after = 0; after < 3; after++)
				if (how != WRONG_SHORT || after)
					wrong_answer((struct wrongdoing){how, VFIO_USER_DMA_WRITE,
									 after},
						     &reading, packed);
}

static void an_answer_that_nobody_waits_for(void **state)
{
	struct vfio_user_header h = {.id = 7, .command = VFIO_USER_DMA_READ};
	struct rig r;

	(void)state;
	rig_init(&r, "memory:1M");
	all_remote(&r);
	rig_reply(&r, &h, 0, 0, NULL, 0);
	assert_int_equal(rig_hear(&r), -1);
	rig_fini(&r);
}

/* ---- a client that does not answer, or later ---- */

/* A request whose first message lies in the socket. */
static void ask_a_deaf_client(struct rig *r, struct drv *d, bool packed)
{
	rig_init(r, "memory:1M");
	all_remote(r);
	drv_up(d, r, 1, packed, 0);
	assert_true(rig_silent(r));
	r->deaf = true;
	drv_offer(d, 0, 0, &writing);
	rig_say(r, VFIO_USER_REGION_WRITE, VFIO_USER_NO_REPLY, &(struct {
			struct vfio_user_access a;
			uint16_t data;
		} __attribute__((packed))){{.offset = 0x3000, .region = 4, .count = 2}, 0},
		sizeof(struct vfio_user_access) + 2, NULL, 0);
	/* Something lies there: a question. */
	for (unsigned i = 0; i < 10000 && rig_silent(r); i++)
		;
	assert_false(rig_silent(r));
}

static void who_never_answers_is_let_go(void **state)
{
	struct rig r;
	struct drv d;

	(void)state;
	for (int packed = 0; packed < 2; packed++) {
		ask_a_deaf_client(&r, &d, packed);
		rig_hang_up(&r);
		r.deaf = false;
		rig_connect(&r);
		assert_int_equal(rig_version(&r, 0, 1, NULL), 0);
		all_remote(&r);
		drv_up(&d, &r, 1, packed, 0);
		round_trip(&d, 3);
		rig_fini(&r);
		/* And one that is sent away. */
		ask_a_deaf_client(&r, &d, packed);
		rig_fini(&r);
	}
}

/* It waits for the reset's answer and serves nothing before: our question comes first, it is passed
 * over, and its late answer, too. */
static void a_reset_waits_for_no_answer(void **state)
{
	struct vfio_user_header h;
	uint8_t body[sizeof(struct vfio_user_dma_access)];
	uint32_t len;
	struct rig r;
	struct drv d;

	(void)state;
	ask_a_deaf_client(&r, &d, false);
	rig_say(&r, VFIO_USER_DEVICE_RESET, 0, NULL, 0, NULL, 0);
	/* The question. */
	assert_int_equal(recv(r.fd, &h, sizeof(h), MSG_WAITALL), sizeof(h));
	assert_int_equal(h.command, VFIO_USER_DMA_READ);
	assert_int_equal(recv(r.fd, body, sizeof(body), MSG_WAITALL), sizeof(body));
	assert_int_equal(rig_hear(&r), 0);
	assert_int_equal(r.h.command, VFIO_USER_DEVICE_RESET);
	assert_int_equal(drv_take(&d, 0, &len), -1);
	rig_dma(&r, &h, body);
	r.deaf = false;
	drv_up(&d, &r, 1, false, 0);
	round_trip(&d, 3);
	rig_fini(&r);
}

/* Answered when nothing is in flight. */
static void say_master_off(struct rig *r)
{
	const struct {
		struct vfio_user_access a;
		uint16_t data;
	} __attribute__((packed))
	m = {{.offset = PCI_COMMAND, .region = VFIO_USER_REGION_CONFIG, .count = 2},
	     PCI_COMMAND_MEMORY};

	rig_say(r, VFIO_USER_REGION_WRITE, 0, &m, sizeof(m), NULL, 0);
}

/* The question that lies in the socket. */
static void take_question(struct rig *r, struct vfio_user_header *h, struct vfio_user_dma_access *a)
{
	assert_int_equal(recv(r->fd, h, sizeof(*h), MSG_WAITALL), sizeof(*h));
	assert_int_equal(h->command, VFIO_USER_DMA_READ);
	assert_int_equal(recv(r->fd, a, sizeof(*a), MSG_WAITALL), sizeof(*a));
}

/* A driver whose processor stands still until its write is done serves nobody. */
static void accesses_that_wait_wait_for_no_answer(void **state)
{
	struct vfio_user_dma_access a;
	struct vfio_user_header h;
	uint32_t len;
	struct rig r;
	struct drv d;

	(void)state;
	for (int legacy = 0; legacy < 2; legacy++) {
		const uint16_t off = PCI_COMMAND_MEMORY;
		const uint8_t zero = 0;

		ask_a_deaf_client(&r, &d, false);
		take_question(&r, &h, &a);
		/* A legacy reset; bus mastering off, which takes until our patience ends. */
		if (legacy)
			assert_int_equal(rig_write(&r, 0, VIRTIO_PCI_LEGACY_STATUS, &zero, 1), 0);
		else
			assert_int_equal(
				rig_write(&r, VFIO_USER_REGION_CONFIG, PCI_COMMAND, &off, 2), 0);
		assert_int_equal(drv_take(&d, 0, &len), -1);
		rig_dma(&r, &h, (const uint8_t *)&a);
		r.deaf = false;
		reset(&d);
		drv_up(&d, &r, 1, false, 0);
		round_trip(&d, 3);
		rig_fini(&r);
	}
}

/* Memory is taken back, and comes back in other pieces; then the question is answered. */
static void memory_moves_with_requests_in_flight(void **state)
{
	const uint64_t half = RIG_MEM_SIZE / 2;
	struct vfio_user_dma_access a;
	struct vfio_user_header h;
	uint32_t len;
	struct rig r;
	struct drv d;

	(void)state;
	for (int packed = 0; packed < 2; packed++)
		for (int mapped = 0; mapped < 2; mapped++) {
			ask_a_deaf_client(&r, &d, packed);
			take_question(&r, &h, &a);
			assert_int_equal(rig_unmap(&r, RIG_MEM_AT, RIG_MEM_SIZE, 0), 0);
			assert_true(rig_silent(&r));
			assert_int_equal(drv_take(&d, 0, &len), -1);
			assert_int_equal(rig_map(&r, RIG_MEM_AT + half, half, RW, half,
						 mapped ? r.mem_fd : -1),
					 0);
			assert_int_equal(
				rig_map(&r, RIG_MEM_AT, half, RW, 0, mapped ? r.mem_fd : -1), 0);
			r.deaf = false;
			rig_dma(&r, &h, (const uint8_t *)&a);
			assert_int_equal(drv_wait(&d, 0, &len), 0);
			assert_int_equal(*(uint8_t *)drv_at(&d, writing.status), VIRTIO_BLK_S_OK);
			round_trip(&d, 3);
			rig_fini(&r);
			/* It does not come back, and the driver resets. */
			ask_a_deaf_client(&r, &d, packed);
			take_question(&r, &h, &a);
			assert_int_equal(rig_unmap(&r, RIG_MEM_AT, RIG_MEM_SIZE, 0), 0);
			r.deaf = false;
			rig_dma(&r, &h, (const uint8_t *)&a);
			reset(&d);
			all_remote(&r);
			drv_up(&d, &r, 1, packed, 0);
			round_trip(&d, 3);
			rig_fini(&r);
		}
}

/* Commands that come in front of the answer are carried out behind the one that waits for it. */
static void commands_in_front_of_an_answer(void **state)
{
	const struct vfio_user_dma_unmap u = {sizeof(u), 0, RIG_MEM_AT + RIG_MEM_SIZE, 0x1000};
	struct vfio_user_device_info info = {.argsz = sizeof(info)};
	struct vfio_user_header h;
	uint8_t body[sizeof(struct vfio_user_dma_access)];
	uint16_t first;
	uint32_t len;
	struct rig r;
	struct drv d;

	(void)state;
	ask_a_deaf_client(&r, &d, false);
	assert_int_equal(recv(r.fd, &h, sizeof(h), MSG_WAITALL), sizeof(h));
	assert_int_equal(recv(r.fd, body, sizeof(body), MSG_WAITALL), sizeof(body));
	/* One that waits, and others; then the answer. */
	say_master_off(&r);
	first = r.id;
	for (unsigned i = 0; i < 10; i++)
		rig_say(&r, VFIO_USER_DEVICE_GET_INFO, 0, &info, sizeof(info), NULL, 0);
	rig_say(&r, VFIO_USER_DMA_UNMAP, 0, &u, sizeof(u), NULL, 0);
	rig_say(&r, VFIO_USER_DMA_MAP, 0,
		&(struct vfio_user_dma_map){sizeof(struct vfio_user_dma_map), RW, 0,
					    RIG_MEM_AT + RIG_MEM_SIZE, 0x1000},
		sizeof(struct vfio_user_dma_map), &r.mem_fd, 1);
	assert_true(rig_silent(&r));
	rig_dma(&r, &h, body);
	r.deaf = false;
	for (unsigned i = 0; i < 13; i++) {
		/* The second to the last one: nothing is mapped there. */
		assert_int_equal(rig_hear(&r), i == 11 ? ENOENT : 0);
		assert_int_equal(r.h.id, first + i);
	}
	rig_put(&r, VFIO_USER_REGION_CONFIG, PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY,
		2);
	assert_int_equal(drv_wait(&d, 0, &len), 0);
	assert_int_equal(*(uint8_t *)drv_at(&d, writing.status), VIRTIO_BLK_S_OK);
	round_trip(&d, 3);
	rig_fini(&r);
}

static void too_many_commands_in_front_of_an_answer(void **state)
{
	struct vfio_user_device_info info = {.argsz = sizeof(info)};
	struct vfio_user_dma_map m = {sizeof(m), RW, 0, RIG_MEM_AT + RIG_MEM_SIZE, 0x1000};
	struct rig r;
	struct drv d;

	(void)state;
	for (int fds = 0; fds < 2; fds++) {
		ask_a_deaf_client(&r, &d, false);
		say_master_off(&r);
		for (unsigned i = 0; !r.gone && i < VFIO_USER_HELD_MAX + 2; i++) {
			if (fds)
				rig_say(&r, VFIO_USER_DMA_MAP, 0, &m, sizeof(m), &r.mem_fd, 1);
			else
				rig_say(&r, VFIO_USER_DEVICE_GET_INFO, 0, &info, sizeof(info), NULL,
					0);
			rig_turn(&r, 0);
			if (r.c.left)
				break;
		}
		assert_true(r.c.left);
		rig_hang_up(&r);
		rig_fini(&r);
	}
}

/* ---- memory that comes and goes ---- */

static void memory_changes_its_kind_under_a_running_queue(void **state)
{
	struct rig r;
	struct drv d;

	(void)state;
	for (int packed = 0; packed < 2; packed++) {
		rig_init(&r, "memory:1M");
		all_remote(&r);
		drv_up(&d, &r, 1, packed, BIT64(VIRTIO_F_EVENT_IDX));
		for (uint8_t i = 0; i < 6; i++) {
			round_trip(&d, i);
			assert_int_equal(rig_unmap(&r, RIG_MEM_AT, RIG_MEM_SIZE, 0), 0);
			assert_int_equal(
				rig_map(&r, RIG_MEM_AT, RIG_MEM_SIZE, RW, 0, i % 2 ? -1 : r.mem_fd),
				0);
		}
		round_trip(&d, 99);
		rig_fini(&r);
	}
}

/* Standing still, and going on: where the ring stands is known without its memory. */
static void a_device_stands_still_and_goes_on(void **state)
{
	static const uint32_t states[] = {VFIO_USER_STATE_STOP, VFIO_USER_STATE_STOP_COPY,
					  VFIO_USER_STATE_RUNNING};
	struct rig r;
	struct drv d;

	(void)state;
	for (int packed = 0; packed < 2; packed++) {
		rig_init(&r, "memory:1M");
		all_remote(&r);
		drv_up(&d, &r, 1, packed, BIT64(VIRTIO_F_EVENT_IDX));
		for (uint8_t n = 0; n < 3; n++) {
			round_trip(&d, n);
			for (unsigned i = 0; i < ARRAY_SIZE(states); i++) {
				const struct {
					struct vfio_user_feature head;
					struct vfio_user_mig_state s;
				} m = {{sizeof(m),
					VFIO_USER_FEATURE_MIG_STATE | VFIO_USER_FEATURE_SET},
				       {states[i], 0}};

				assert_int_equal(
					rig_ask(&r, VFIO_USER_DEVICE_FEATURE, &m, sizeof(m)), 0);
			}
		}
		round_trip(&d, 9);
		rig_fini(&r);
	}
}

/* ---- the log ---- */

static void what_is_written_by_messages_is_logged(void **state)
{
	struct {
		struct vfio_user_feature f;
		struct vfio_user_logging_start start;
	} on = {.f = {.argsz = sizeof(on),
		      .flags = VFIO_USER_FEATURE_SET | VFIO_USER_FEATURE_LOGGING_START},
		.start = {.page_size = 4096}};
	struct {
		struct vfio_user_feature f;
		struct vfio_user_logging_report report;
	} ask = {.f = {.argsz = 4096,
		       .flags = VFIO_USER_FEATURE_GET | VFIO_USER_FEATURE_LOGGING_REPORT},
		 .report = {.iova = RIG_MEM_AT, .length = RIG_MEM_SIZE, .page_size = 4096}};
	struct rig r;
	struct drv d;

	(void)state;
	for (int packed = 0; packed < 2; packed++) {
		uint64_t wanted[4] = {0}, bits[4];

		rig_init(&r, "memory:1M");
		all_remote(&r);
		drv_up(&d, &r, 1, packed, 0);
		assert_int_equal(rig_ask(&r, VFIO_USER_DEVICE_FEATURE, &on, sizeof(on)), 0);
		assert_int_equal(drv_do(&d, &reading), VIRTIO_BLK_S_OK);
		assert_int_equal(rig_ask(&r, VFIO_USER_DEVICE_FEATURE, &ask, sizeof(ask)), 0);
		memcpy(bits, r.body + sizeof(ask), sizeof(bits));
		wanted[0] |= BIT64(((packed ? DRV_RING(0) : DRV_DEVICE(0)) - RIG_MEM_AT) / 4096);
		wanted[0] |= BIT64((DRV_DATA - RIG_MEM_AT) / 4096);
		wanted[0] |= BIT64((reading.data - RIG_MEM_AT) / 4096);
		for (unsigned i = 0; i < ARRAY_SIZE(wanted); i++)
			assert_int_equal(bits[i] & wanted[i], wanted[i]);
		/* What the driver alone writes is not there. */
		assert_int_equal(bits[0] & BIT64((writing.data - RIG_MEM_AT) / 4096), 0);
		rig_fini(&r);
	}
}

/* ---- interrupts ---- */

static void an_interrupt_follows_what_it_tells_of(void **state)
{
	struct rig r;
	struct drv d;
	int fd;

	(void)state;
	for (int packed = 0; packed < 2; packed++) {
		eventfd_t calls = 0;

		rig_init(&r, "memory:1M");
		all_remote(&r);
		fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		assert_int_equal(rig_irqs(&r, VFIO_USER_IRQ_DATA_FD | VFIO_USER_IRQ_ACTION_TRIGGER,
					  VFIO_USER_IRQ_MSIX, 0, 1, &fd, 1),
				 0);
		rig_put(&r, VFIO_USER_REGION_CONFIG, PCI_COMMAND,
			PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY, 2);
		drv_up(&d, &r, 1, packed, 0);
		round_trip(&d, 1);
		/* The last one's may still be on its way. */
		for (unsigned i = 0; i < 1000; i++) {
			eventfd_t more;

			if (!eventfd_read(fd, &more))
				calls += more;
			if (calls >= 2)
				break;
			rig_turn(&r, 1);
		}
		if (calls)
			assert_int_equal(calls, 2);
		close(fd);
		rig_fini(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_of_every_ring),
		cmocka_unit_test(no_message_is_longer_than_the_client_takes),
		cmocka_unit_test(a_client_with_another_layout_is_told_from_others),
		cmocka_unit_test(answers_to_reads_of_every_wrong_kind),
		cmocka_unit_test(answers_to_writes_of_every_wrong_kind),
		cmocka_unit_test(an_answer_that_nobody_waits_for),
		cmocka_unit_test(who_never_answers_is_let_go),
		cmocka_unit_test(a_reset_waits_for_no_answer),
		cmocka_unit_test(accesses_that_wait_wait_for_no_answer),
		cmocka_unit_test(memory_moves_with_requests_in_flight),
		cmocka_unit_test(commands_in_front_of_an_answer),
		cmocka_unit_test(too_many_commands_in_front_of_an_answer),
		cmocka_unit_test(memory_changes_its_kind_under_a_running_queue),
		cmocka_unit_test(a_device_stands_still_and_goes_on),
		cmocka_unit_test(what_is_written_by_messages_is_logged),
		cmocka_unit_test(an_interrupt_follows_what_it_tells_of),
	};

	return cmocka_run_group_tests_name("server/vfio_user/reach", tests, NULL, NULL);
}
