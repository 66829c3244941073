/* SPDX-License-Identifier: MIT */
/*
 * What a client may do while requests are in flight: nothing is lost, nothing is done twice, and
 * memory that was taken back is not touched any more.
 */
#include "vfio_user_drive.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "base/clock.h"
#include "base/sock.h"
#include "wire/virtio_blk.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define RW	  (VFIO_USER_DMA_READABLE | VFIO_USER_DMA_WRITABLE)
#define CONFIG	  VFIO_USER_REGION_CONFIG
#define IN_FLIGHT (DRIVE_QUEUES * DRIVE_IOS)
#define OTHER_AT  UINT64_C(0x40000000)
#define OTHER_LEN UINT64_C(0x10000)

/* Both queues have all that fits into them at the disk, which holds it. */
static void fill(struct drive *d)
{
	write_once(&d->disk->hold, true);
	for (unsigned i = 0; i < DRIVE_QUEUES; i++)
		drive_submit(d, i, VIRTIO_BLK_T_OUT, DRIVE_IOS);
	drive_held(d, IN_FLIGHT);
}

static void all_done(struct drive *d)
{
	for (unsigned i = 0; i < DRIVE_QUEUES; i++)
		drive_complete(d, i);
}

/* Every feature set that makes the rings other ones. */
static const uint64_t without[] = {
	0,
	BIT64(VIRTIO_F_RING_PACKED),
	BIT64(VIRTIO_F_EVENT_IDX),
	BIT64(VIRTIO_F_RING_PACKED) | BIT64(VIRTIO_F_EVENT_IDX) | BIT64(VIRTIO_F_IN_ORDER),
};

/* The answer to what was said last comes when the disk has let go, and not before. */
static void answered_when_quiet(struct drive *d)
{
	assert_true(rig_silent(&d->r));
	drive_release(d);
	assert_int_equal(rig_hear(&d->r), 0);
	assert_int_equal(d->r.h.id, d->r.id);
}

/* ---- memory ---- */

static void unmap_waits_for_what_is_in_flight(void **state)
{
	struct vfio_user_dma_unmap m = {sizeof(m), 0, RIG_MEM_AT, RIG_MEM_SIZE};
	static uint8_t before[RIG_MEM_SIZE];
	struct drive d;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(without); i++) {
		drive_init(&d);
		drive_start(&d, without[i], true);
		fill(&d);
		rig_say(&d.r, VFIO_USER_DMA_UNMAP, 0, &m, sizeof(m), NULL, 0);
		answered_when_quiet(&d);
		/* All was done before the answer, and nobody touches the memory from then on. */
		for (unsigned q = 0; q < DRIVE_QUEUES; q++)
			assert_int_equal(drive_reap(&d, q), DRIVE_IOS);
		memcpy(before, d.r.mem, sizeof(before));
		for (unsigned q = 0; q < DRIVE_QUEUES; q++)
			vpci_kick(&d.v, &d.queues[q].kick, q);
		assert_true(rig_silent(&d.r));
		assert_memory_equal(before, d.r.mem, sizeof(before));
		/* A queue without memory is broken; a reset heals it. */
		assert_int_equal(rig_map(&d.r, RIG_MEM_AT, RIG_MEM_SIZE, RW, 0, d.r.mem_fd), 0);
		drive_start(&d, without[i], true);
		drive_works(&d);
		drive_fini(&d);
	}
}

static void unmap_of_all_waits_too(void **state)
{
	struct vfio_user_dma_unmap m = {sizeof(m), VFIO_USER_UNMAP_ALL, 0, 0};
	struct drive d;

	(void)state;
	drive_init(&d);
	drive_start(&d, 0, true);
	fill(&d);
	rig_say(&d.r, VFIO_USER_DMA_UNMAP, 0, &m, sizeof(m), NULL, 0);
	answered_when_quiet(&d);
	all_done(&d);
	drive_fini(&d);
}

static void unmap_of_a_part_is_refused_and_io_goes_on(void **state)
{
	struct drive d;

	(void)state;
	drive_init(&d);
	drive_start(&d, 0, true);
	fill(&d);
	assert_int_equal(rig_unmap(&d.r, RIG_MEM_AT, RIG_MEM_SIZE / 2, 0), ENOENT);
	assert_int_equal(rig_unmap(&d.r, RIG_MEM_AT + 4096, 4096, 0), ENOENT);
	assert_int_equal(rig_unmap(&d.r, RIG_MEM_AT - 4096, RIG_MEM_SIZE + 4096, 0), ENOENT);
	drive_release(&d);
	all_done(&d);
	drive_works(&d);
	drive_fini(&d);
}

static void memory_comes_and_goes_under_io(void **state)
{
	struct vfio_user_dma_map m = {sizeof(m), RW, 0, OTHER_AT, OTHER_LEN};
	struct vfio_user_dma_unmap u = {sizeof(u), 0, OTHER_AT, OTHER_LEN};
	struct drive d;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(without); i++) {
		drive_init(&d);
		drive_start(&d, without[i], true);
		fill(&d);
		rig_say(&d.r, VFIO_USER_DMA_MAP, 0, &m, sizeof(m), &d.r.mem_fd, 1);
		answered_when_quiet(&d);
		all_done(&d);
		fill(&d);
		rig_say(&d.r, VFIO_USER_DMA_UNMAP, 0, &u, sizeof(u), NULL, 0);
		answered_when_quiet(&d);
		all_done(&d);
		/* Memory that is reached by messages is memory. */
		fill(&d);
		rig_say(&d.r, VFIO_USER_DMA_MAP, 0, &m, sizeof(m), NULL, 0);
		answered_when_quiet(&d);
		all_done(&d);
		fill(&d);
		rig_say(&d.r, VFIO_USER_DMA_UNMAP, 0, &u, sizeof(u), NULL, 0);
		answered_when_quiet(&d);
		all_done(&d);
		drive_works(&d);
		drive_fini(&d);
	}
}

static void memory_that_shrinks_breaks_the_queue_and_nothing_else(void **state)
{
	const uint64_t half = RIG_MEM_SIZE / 2;
	struct drive d;

	(void)state;
	assert_int_equal(gmem_guard_install(NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(without); i++) {
		drive_init(&d);
		/* Rings are in what is left, or in what goes. */
		drive_start(&d, without[i], true);
		fill(&d);
		assert_false(ftruncate(d.r.mem_fd, i % 2 ? 0 : (off_t)half));
		drive_release(&d);
		for (unsigned q = 0; q < DRIVE_QUEUES; q++)
			vpci_kick(&d.v, &d.queues[q].kick, q);
		assert_true(rig_silent(&d.r));
		assert_int_equal(rig_unmap(&d.r, RIG_MEM_AT, RIG_MEM_SIZE, 0), 0);
		/* The client makes it whole again, and the device works as if nothing had been. */
		assert_false(ftruncate(d.r.mem_fd, RIG_MEM_SIZE));
		assert_int_equal(rig_map(&d.r, RIG_MEM_AT, RIG_MEM_SIZE, RW, 0, d.r.mem_fd), 0);
		drive_start(&d, without[i], true);
		drive_works(&d);
		drive_fini(&d);
	}
}

/* ---- resets ---- */

static void reset_waits_for_what_is_in_flight(void **state)
{
	static uint8_t before[RIG_MEM_SIZE];
	struct drive d;

	(void)state;
	drive_init(&d);
	drive_start(&d, 0, true);
	fill(&d);
	rig_say(&d.r, VFIO_USER_DEVICE_RESET, 0, NULL, 0, NULL, 0);
	answered_when_quiet(&d);
	memcpy(before, d.r.mem, sizeof(before));
	/* As at power-on: no BAR has an address. */
	assert_int_equal(rig_get(&d.r, CONFIG, PCI_COMMAND, 2), 0);
	assert_int_equal(rig_get(&d.r, CONFIG, PCI_BAR0 + 16, 4) & ~15u, 0);
	assert_true(rig_silent(&d.r));
	assert_memory_equal(before, d.r.mem, sizeof(before));
	/* The client's memory and interrupts stay. */
	drive_find(&d);
	drive_start(&d, 0, true);
	drive_works(&d);
	drive_fini(&d);
}

static void status_0_reads_as_something_else_while_requests_are_in_flight(void **state)
{
	struct drive d;

	(void)state;
	drive_init(&d);
	drive_start(&d, 0, true);
	fill(&d);
	vpci_set_status(&d.v, 0);
	for (unsigned i = 0; i < 10; i++)
		assert_int_not_equal(vpci_status(&d.v), 0);
	drive_release(&d);
	drive_start(&d, 0, true);
	drive_works(&d);
	drive_fini(&d);
}

static void queue_reset_leaves_the_other_queue_alone(void **state)
{
	struct drive d;
	uint64_t until = clock_ns() + 20 * NSEC_PER_SEC;

	(void)state;
	drive_init(&d);
	drive_start(&d, 0, true);
	fill(&d);
	vpci_queue_reset(&d.v, 0);
	assert_true(vpci_queue_resetting(&d.v, 0));
	drive_release(&d);
	while (vpci_queue_resetting(&d.v, 0))
		assert_true(clock_ns() < until);
	drive_complete(&d, 1);
	drive_submit(&d, 1, VIRTIO_BLK_T_IN, DRIVE_IOS);
	drive_complete(&d, 1);
	drive_fini(&d);
}

/* ---- bus mastering ---- */

static void bus_master_off_waits_and_on_again_goes_on(void **state)
{
	const uint16_t on = PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY | PCI_COMMAND_IO;
	struct {
		struct vfio_user_access a;
		uint16_t v;
	} __attribute__((packed)) m = {{PCI_COMMAND, CONFIG, 2}, on & ~PCI_COMMAND_MASTER};
	static uint8_t before[RIG_MEM_SIZE];
	struct drive d;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(without); i++) {
		drive_init(&d);
		drive_start(&d, without[i], true);
		write_once(&d.disk->hold, true);
		for (unsigned q = 0; q < DRIVE_QUEUES; q++)
			drive_submit(&d, q, VIRTIO_BLK_T_OUT, 2);
		drive_held(&d, 2 * DRIVE_QUEUES);
		rig_say(&d.r, VFIO_USER_REGION_WRITE, 0, &m, sizeof(m), NULL, 0);
		answered_when_quiet(&d);
		/* What is submitted now stays where it is. */
		for (unsigned q = 0; q < DRIVE_QUEUES; q++) {
			assert_int_equal(drive_reap(&d, q), 2);
			drive_submit(&d, q, VIRTIO_BLK_T_OUT, 3);
		}
		memcpy(before, d.r.mem, sizeof(before));
		assert_true(rig_silent(&d.r));
		assert_memory_equal(before, d.r.mem, sizeof(before));
		rig_put(&d.r, CONFIG, PCI_COMMAND, on, 2);
		all_done(&d);
		drive_works(&d);
		drive_fini(&d);
	}
}

/* Its thread is that of the other devices. */
static void a_disk_that_hangs_is_looked_at_ever_less(void **state)
{
	const uint16_t off = PCI_COMMAND_MEMORY;
	struct {
		struct vfio_user_access a;
		uint16_t v;
	} __attribute__((packed)) m = {{PCI_COMMAND, CONFIG, 2}, off};
	uint64_t until = clock_ns() + 20 * NSEC_PER_SEC;
	struct drive d;

	(void)state;
	drive_init(&d);
	drive_start(&d, 0, true);
	fill(&d);
	rig_say(&d.r, VFIO_USER_REGION_WRITE, 0, &m, sizeof(m), NULL, 0);
	while (d.r.c.look_ns < VFIO_USER_LOOK_MAX_NS && clock_ns() < until)
		rig_turn(&d.r, 10);
	assert_int_equal(d.r.c.look_ns, VFIO_USER_LOOK_MAX_NS);
	answered_when_quiet(&d);
	drive_fini(&d);
}

/* ---- interrupts ---- */

/* Entries of the table are the client's: it masks one by taking the eventfd back. */
static void a_masked_vector_is_pending_until_it_is_unmasked(void **state)
{
	const uint32_t flags = VFIO_USER_IRQ_DATA_FD | VFIO_USER_IRQ_ACTION_TRIGGER;
	struct drive d;

	(void)state;
	drive_init(&d);
	drive_start(&d, 0, true);
	fill(&d);
	assert_int_equal(rig_irqs(&d.r, flags, VFIO_USER_IRQ_MSIX, 1, 1, NULL, 0), 0);
	drive_release(&d);
	all_done(&d);
	/* The other one's interrupt comes; this one's does not. */
	drive_wait_signal(&d, d.queues[1].call);
	assert_true(rig_silent(&d.r));
	assert_false(drive_signalled(d.queues[0].call));
	assert_int_equal(rig_irqs(&d.r, flags, VFIO_USER_IRQ_MSIX, 1, 1, &d.queues[0].call, 1), 0);
	drive_wait_signal(&d, d.queues[0].call);
	/* The function's mask is the device's. */
	fill(&d);
	rig_put(&d.r, CONFIG, d.v.msix_cap + PCI_MSIX_CONTROL,
		PCI_MSIX_CONTROL_ENABLE | PCI_MSIX_CONTROL_MASK, 2);
	drive_release(&d);
	all_done(&d);
	assert_true(rig_silent(&d.r));
	for (unsigned q = 0; q < DRIVE_QUEUES; q++)
		assert_false(drive_signalled(d.queues[q].call));
	rig_put(&d.r, CONFIG, d.v.msix_cap + PCI_MSIX_CONTROL, PCI_MSIX_CONTROL_ENABLE, 2);
	for (unsigned q = 0; q < DRIVE_QUEUES; q++)
		drive_wait_signal(&d, d.queues[q].call);
	drive_fini(&d);
}

/* QEMU gives all vectors' eventfds anew when the guest unmasks one for the first time. */
static void eventfds_change_under_io(void **state)
{
	struct drive d;
	int other = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	const uint32_t flags = VFIO_USER_IRQ_DATA_FD | VFIO_USER_IRQ_ACTION_TRIGGER;

	(void)state;
	drive_init(&d);
	drive_start(&d, 0, true);
	fill(&d);
	assert_int_equal(rig_irqs(&d.r, flags, VFIO_USER_IRQ_MSIX, 1, 1, &other, 1), 0);
	drive_release(&d);
	all_done(&d);
	drive_wait_signal(&d, other);
	assert_false(drive_signalled(d.queues[0].call));
	/* None at all; then one again. */
	fill(&d);
	assert_int_equal(rig_irqs(&d.r, flags, VFIO_USER_IRQ_MSIX, 1, 1, NULL, 0), 0);
	drive_release(&d);
	all_done(&d);
	assert_int_equal(rig_irqs(&d.r, flags, VFIO_USER_IRQ_MSIX, 1, 1, &other, 1), 0);
	fill(&d);
	drive_release(&d);
	all_done(&d);
	drive_wait_signal(&d, other);
	close(other);
	drive_fini(&d);
}

static void the_pin_comes_again_after_each_unmasking(void **state)
{
	const uint32_t unmask = VFIO_USER_IRQ_DATA_NONE | VFIO_USER_IRQ_ACTION_UNMASK;
	struct drive d;

	(void)state;
	drive_init(&d);
	drive_start(&d, 0, false);
	for (unsigned i = 0; i < 20; i++) {
		fill(&d);
		drive_release(&d);
		drive_wait_signal(&d, d.pin);
		/* It masked itself, and is still up when it is unmasked too early. */
		assert_int_equal(rig_irqs(&d.r, unmask, VFIO_USER_IRQ_INTX, 0, 1, NULL, 0), 0);
		drive_wait_signal(&d, d.pin);
		all_done(&d);
		assert_int_not_equal(vpci_isr(&d.v) & VIRTIO_PCI_ISR_QUEUE, 0);
		while (vpci_isr(&d.v))
			rig_turn(&d.r, 1);
		assert_int_equal(rig_irqs(&d.r, unmask, VFIO_USER_IRQ_INTX, 0, 1, NULL, 0), 0);
		(void)drive_signalled(d.pin);
	}
	assert_false(drive_signalled(d.pin));
	drive_fini(&d);
}

/* ---- the client goes ---- */

static void client_leaves(struct drive *d, uint16_t command, const void *body, uint32_t size)
{
	static uint8_t before[RIG_MEM_SIZE];

	drive_start(d, 0, true);
	fill(d);
	if (command) {
		rig_say(&d->r, command, 0, body, size, NULL, 0);
		assert_true(rig_silent(&d->r));
	}
	close(d->r.fd);
	d->r.fd = -1;
	/* It is gone when nothing of its is in use any more. */
	for (unsigned i = 0; i < 20; i++)
		rig_turn(&d->r, 1);
	assert_int_not_equal(d->r.c.state, VFIO_USER_IDLE);
	assert_false(d->r.gone);
	drive_release(d);
	rig_hang_up(&d->r);
	assert_true(d->r.gone);
	assert_int_equal(d->r.c.device.dma.n, 0);
	memcpy(before, d->r.mem, sizeof(before));
	drive_come_back(d);
	assert_true(rig_silent(&d->r));
	assert_memory_equal(before, d->r.mem, sizeof(before));
	drive_start(d, 0, true);
	drive_works(d);
}

static void a_client_leaves_at_any_time(void **state)
{
	struct vfio_user_dma_unmap all = {sizeof(all), VFIO_USER_UNMAP_ALL, 0, 0};
	struct {
		struct vfio_user_access a;
		uint16_t v;
	} __attribute__((packed)) off = {{PCI_COMMAND, CONFIG, 2}, PCI_COMMAND_MEMORY};
	struct drive d;

	(void)state;
	drive_init(&d);
	client_leaves(&d, 0, NULL, 0);
	client_leaves(&d, VFIO_USER_DMA_UNMAP, &all, sizeof(all));
	client_leaves(&d, VFIO_USER_DEVICE_RESET, NULL, 0);
	client_leaves(&d, VFIO_USER_REGION_WRITE, &off, sizeof(off));
	drive_fini(&d);
}

static void a_client_is_sent_away_with_requests_in_flight(void **state)
{
	struct drive d;

	(void)state;
	drive_init(&d);
	drive_start(&d, 0, true);
	fill(&d);
	vfio_user_connection_close(&d.r.c);
	for (unsigned i = 0; i < 20; i++)
		rig_turn(&d.r, 1);
	assert_int_equal(d.r.c.state, VFIO_USER_LEAVING);
	drive_release(&d);
	rig_hang_up(&d.r);
	all_done(&d);
	drive_come_back(&d);
	drive_start(&d, 0, true);
	drive_works(&d);
	drive_fini(&d);
}

/* ---- more commands than are answered ---- */

static void what_is_asked_meanwhile_is_answered_afterwards_in_order(void **state)
{
	struct vfio_user_dma_unmap m = {sizeof(m), 0, RIG_MEM_AT, RIG_MEM_SIZE};
	struct vfio_user_access a = {PCI_VENDOR_ID, CONFIG, 2};
	struct drive d;
	uint16_t first;

	(void)state;
	drive_init(&d);
	drive_start(&d, 0, true);
	fill(&d);
	rig_say(&d.r, VFIO_USER_DMA_UNMAP, 0, &m, sizeof(m), NULL, 0);
	first = d.r.id;
	for (unsigned i = 0; i < 100; i++)
		rig_say(&d.r, VFIO_USER_REGION_READ, 0, &a, sizeof(a), NULL, 0);
	assert_true(rig_silent(&d.r));
	drive_release(&d);
	for (unsigned i = 0; i <= 100; i++) {
		assert_int_equal(rig_hear(&d.r), 0);
		assert_int_equal(d.r.h.id, first + i);
	}
	all_done(&d);
	drive_fini(&d);
}

/* Says @say as often as the socket takes it without waiting. */
static unsigned until_full(struct rig *r, const void *m, size_t size)
{
	struct iovec iov = {(void *)(uintptr_t)m, size};
	unsigned n = 0, idle = 0;

	while (idle < 50) {
		ssize_t sent = sock_send_some(r->fd, &iov, 1, NULL, 0);

		rig_turn(r, 0);
		if (sent == (ssize_t)size) {
			n++;
			idle = 0;
			continue;
		}
		/* A small message goes in as a whole or not at all. */
		assert_int_equal(sent, 0);
		idle++;
	}
	return n;
}

static void a_full_socket_never_blocks_the_server(void **state)
{
	const struct {
		struct vfio_user_header h;
		struct vfio_user_access a;
	} m = {{7, VFIO_USER_REGION_READ, sizeof(m), 0, 0}, {0, 4, 0x4000}};
	struct drive d;
	unsigned n;

	(void)state;
	drive_init(&d);
	drive_start(&d, 0, true);
	/* 16 KiB are answered to 32 bytes, and nobody reads. */
	n = until_full(&d.r, &m, sizeof(m));
	assert_true(n > 16);
	assert_true(d.r.c.ch.unsent);
	/* When it reads, every answer is there, in order and whole. */
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(rig_hear(&d.r), 0);
		assert_int_equal(d.r.h.size, sizeof(m) + 0x4000);
	}
	drive_works(&d);
	/* Or it leaves. */
	(void)until_full(&d.r, &m, sizeof(m));
	rig_hang_up(&d.r);
	drive_come_back(&d);
	drive_start(&d, 0, true);
	drive_works(&d);
	drive_fini(&d);
}

/* ---- kicks ---- */

static void kicks_without_end_do_nothing_twice(void **state)
{
	struct drive d;

	(void)state;
	drive_init(&d);
	drive_start(&d, 0, true);
	fill(&d);
	for (unsigned i = 0; i < 2000; i++)
		vpci_kick(&d.v, &d.queues[i % DRIVE_QUEUES].kick, i % DRIVE_QUEUES);
	assert_int_equal(load_acquire(&d.disk->n), IN_FLIGHT);
	drive_release(&d);
	all_done(&d);
	drive_works(&d);
	drive_fini(&d);
}

/* ---- all of it, in any order ---- */

struct storm {
	struct drive d;
	uint64_t random;
};

static uint32_t pick(struct storm *s, uint32_t below)
{
	s->random = s->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(s->random >> 33) % below;
}

/* Says it while requests are in flight, and hears the answer when they are not. */
static void say_and_release(struct drive *d, uint16_t command, const void *body, uint32_t size,
			    const int *fds, unsigned n_fds)
{
	rig_say(&d->r, command, 0, body, size, fds, n_fds);
	rig_turn(&d->r, 0);
	drive_release(d);
	assert_int_equal(rig_hear(&d->r), 0);
	assert_int_equal(d->r.h.id, d->r.id);
}

static void storm_memory(struct storm *s)
{
	struct vfio_user_dma_map m = {sizeof(m), RW, 0, OTHER_AT, OTHER_LEN};

	say_and_release(&s->d, VFIO_USER_DMA_MAP, &m, sizeof(m), &s->d.r.mem_fd, 1);
	assert_int_equal(rig_unmap(&s->d.r, OTHER_AT, OTHER_LEN, 0), 0);
}

static void storm_master(struct storm *s)
{
	const uint16_t on = PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY | PCI_COMMAND_IO;
	struct {
		struct vfio_user_access a;
		uint16_t v;
	} __attribute__((packed)) m = {{PCI_COMMAND, CONFIG, 2}, on & ~PCI_COMMAND_MASTER};

	say_and_release(&s->d, VFIO_USER_REGION_WRITE, &m, sizeof(m), NULL, 0);
	rig_put(&s->d.r, CONFIG, PCI_COMMAND, on, 2);
}

static void storm_vectors(struct storm *s)
{
	const uint32_t flags = VFIO_USER_IRQ_DATA_FD | VFIO_USER_IRQ_ACTION_TRIGGER;
	unsigned q = pick(s, DRIVE_QUEUES);

	if (pick(s, 2)) {
		rig_put(&s->d.r, CONFIG, s->d.v.msix_cap + PCI_MSIX_CONTROL,
			PCI_MSIX_CONTROL_ENABLE | PCI_MSIX_CONTROL_MASK, 2);
		drive_release(&s->d);
		rig_put(&s->d.r, CONFIG, s->d.v.msix_cap + PCI_MSIX_CONTROL,
			PCI_MSIX_CONTROL_ENABLE, 2);
		return;
	}
	assert_int_equal(rig_irqs(&s->d.r, flags, VFIO_USER_IRQ_MSIX, q + 1, 1, NULL, 0), 0);
	drive_release(&s->d);
	assert_int_equal(
		rig_irqs(&s->d.r, flags, VFIO_USER_IRQ_MSIX, q + 1, 1, &s->d.queues[q].call, 1), 0);
}

static void storm_kicks(struct storm *s)
{
	for (unsigned i = 0; i < 20; i++)
		vpci_kick(&s->d.v, &s->d.queues[i % DRIVE_QUEUES].kick, i % DRIVE_QUEUES);
}

/* From here on what was in flight is done, or never will be. */

static void storm_reset(struct storm *s)
{
	say_and_release(&s->d, VFIO_USER_DEVICE_RESET, NULL, 0, NULL, 0);
	drive_find(&s->d);
}

static void storm_take_all(struct storm *s)
{
	struct vfio_user_dma_unmap m = {sizeof(m), 0, RIG_MEM_AT, RIG_MEM_SIZE};

	say_and_release(&s->d, VFIO_USER_DMA_UNMAP, &m, sizeof(m), NULL, 0);
	assert_int_equal(rig_map(&s->d.r, RIG_MEM_AT, RIG_MEM_SIZE, RW, 0, s->d.r.mem_fd), 0);
}

static void storm_leave(struct storm *s)
{
	close(s->d.r.fd);
	s->d.r.fd = -1;
	rig_turn(&s->d.r, 0);
	drive_release(&s->d);
	rig_hang_up(&s->d.r);
	drive_come_back(&s->d);
}

/* How many writes the disk was given. */
static unsigned writes(const struct drive *d)
{
	return __atomic_load_n(&d->disk->fua, __ATOMIC_ACQUIRE) +
	       __atomic_load_n(&d->disk->rest, __ATOMIC_ACQUIRE);
}

static void events_in_any_order_lose_nothing_and_repeat_nothing(void **state)
{
	static const struct {
		void (*happen)(struct storm *s);
		bool goes_on; /* what is in flight will be completed */
	} events[] = {
		{storm_memory, true}, {storm_master, true}, {storm_vectors, true},
		{storm_kicks, true},  {storm_reset, false}, {storm_take_all, false},
		{storm_leave, false},
	};
	struct storm s = {.random = 1};

	(void)state;
	drive_init(&s.d);
	drive_start(&s.d, 0, true);
	for (unsigned i = 0; i < 300; i++) {
		unsigned what = pick(&s, ARRAY_SIZE(events)), in_flight = 0;
		unsigned before = writes(&s.d);

		/* A disk that does not hold is a race, and that is as good. */
		write_once(&s.d.disk->hold, pick(&s, 3) != 0);
		for (unsigned q = 0; q < DRIVE_QUEUES; q++) {
			unsigned n = pick(&s, DRIVE_IOS + 1);

			drive_submit(&s.d, q, VIRTIO_BLK_T_OUT, n);
			in_flight += n;
		}
		if (s.d.disk->hold)
			drive_held(&s.d, in_flight);
		events[what].happen(&s);
		drive_release(&s.d);
		if (events[what].goes_on) {
			all_done(&s.d);
			assert_int_equal(writes(&s.d) - before, in_flight);
		} else {
			assert_in_range(writes(&s.d) - before, 0, in_flight);
			for (unsigned q = 0; q < DRIVE_QUEUES; q++)
				(void)drive_reap(&s.d, q);
			drive_start(&s.d, without[pick(&s, ARRAY_SIZE(without))], true);
		}
	}
	drive_works(&s.d);
	drive_fini(&s.d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unmap_waits_for_what_is_in_flight),
		cmocka_unit_test(unmap_of_all_waits_too),
		cmocka_unit_test(unmap_of_a_part_is_refused_and_io_goes_on),
		cmocka_unit_test(memory_comes_and_goes_under_io),
		cmocka_unit_test(memory_that_shrinks_breaks_the_queue_and_nothing_else),
		cmocka_unit_test(reset_waits_for_what_is_in_flight),
		cmocka_unit_test(status_0_reads_as_something_else_while_requests_are_in_flight),
		cmocka_unit_test(queue_reset_leaves_the_other_queue_alone),
		cmocka_unit_test(bus_master_off_waits_and_on_again_goes_on),
		cmocka_unit_test(a_disk_that_hangs_is_looked_at_ever_less),
		cmocka_unit_test(a_masked_vector_is_pending_until_it_is_unmasked),
		cmocka_unit_test(eventfds_change_under_io),
		cmocka_unit_test(the_pin_comes_again_after_each_unmasking),
		cmocka_unit_test(a_client_leaves_at_any_time),
		cmocka_unit_test(a_client_is_sent_away_with_requests_in_flight),
		cmocka_unit_test(what_is_asked_meanwhile_is_answered_afterwards_in_order),
		cmocka_unit_test(a_full_socket_never_blocks_the_server),
		cmocka_unit_test(kicks_without_end_do_nothing_twice),
		cmocka_unit_test(events_in_any_order_lose_nothing_and_repeat_nothing),
	};

	return cmocka_run_group_tests_name("pair/vfio_user_life", tests, NULL, NULL);
}
