/* SPDX-License-Identifier: MIT */
/*
 * A host that knows vectors: the queue's worker signals the host's own eventfd, and our control
 * thread has no part in it.
 */
#include "test.h"

#include "board_rig.h"

#include "base/clock.h"
#include "wire/virtio_blk.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct board_rig R;
static uint64_t data;

static void start(const struct noting_host_options *host)
{
	struct br_options o = {.queues = 2, .host = *host};

	o.host.vectors = true;
	br_init(&R, &o);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(noting_host_vector(&R.below, i, true), -1);
	br_find(&R, VPCI_MODERN);
	br_start(&R, 0, true);
	data = br_alloc(&R, 512, 512);
	br_settle(&R);
	for (unsigned i = 0; i < 3; i++)
		noting_host_signals(&R.below, i);
}

/* A read that the driver wants to be told of; returns when its used entry is there. */
static void request(unsigned queue)
{
	struct br_queue *q = &R.queues[queue];
	struct br_io io = {0};
	void *cookie;
	uint32_t len;

	while (vqdrv_calls_on(&q->drv))
		vqdrv_reap(&q->drv, &cookie, &len);
	br_submit(&R, queue, &io, VIRTIO_BLK_T_IN, 0, data, 512);
	for (uint64_t end = clock_ns() + 20 * NSEC_PER_SEC; !vqdrv_waiting(&q->drv);)
		assert_true(clock_ns() < end);
	while (vqdrv_reap(&q->drv, &cookie, &len) > 0)
		;
}

static void nothing(void *arg)
{
	(void)arg;
}

/* The turn that published has signalled, too; the control thread is not asked. */
static unsigned signals(unsigned vector)
{
	for (unsigned i = 0; i < 3; i++)
		worker_call(R.worker, nothing, NULL);
	return noting_host_signals(&R.below, vector);
}

static uint64_t table_at(unsigned vector)
{
	return R.board->fn.bars[VIRTIO_PCI_BAR_MSIX].region.base + vector * PCI_MSIX_ENTRY_BYTES;
}

static void mask(unsigned vector, bool masked)
{
	sysbus_write(&R.plane.bus, SYSBUS_MEMORY, table_at(vector) + 12, masked, 4);
}

static uint64_t pending(void)
{
	const struct sysbus_region *r = &R.board->fn.bars[VIRTIO_PCI_BAR_MSIX].region;

	return sysbus_read(&R.plane.bus, SYSBUS_MEMORY, r->base + r->size / 2, 8);
}

static void the_worker_signals_the_hosts_eventfd(void **state)
{
	(void)state;
	start(&(struct noting_host_options){0});
	assert_int_equal(R.board->queues[0].call.way, PCI_CALL_VECTOR);
	for (unsigned i = 0; i < 5; i++) {
		request(0);
		assert_true(signals(1) > 0);
		assert_int_equal(signals(2), 0);
		request(1);
		assert_true(signals(2) > 0);
	}
	assert_int_equal(R.board->fn.msix.sent, 0);
	assert_int_equal(R.below.sent_by_hand, 0);
	/* The configuration has no worker. */
	virtio_device_config_changed(R.board->vdev);
	assert_int_equal(signals(0), 1);
	br_fini(&R);
}

static void a_masked_vector_is_pending_until_it_is_not(void **state)
{
	(void)state;
	start(&(struct noting_host_options){0});
	mask(1, true);
	request(0);
	assert_int_equal(signals(1), 0);
	assert_true(pending() == 1 << 1);
	mask(1, false);
	assert_int_equal(signals(1), 1);
	assert_true(pending() == 0);
	request(0);
	assert_int_equal(signals(1), 1);
	br_fini(&R);
}

static void a_vector_without_an_eventfd_waits_for_one(void **state)
{
	int before;

	(void)state;
	start(&(struct noting_host_options){0});
	before = noting_host_vector(&R.below, 1, false);
	pci_vector_changed(&R.board->fn, 1);
	assert_int_equal(close(before), 0);
	request(0);
	virtio_device_config_changed(R.board->vdev);
	assert_int_equal(signals(0), 1);
	assert_true(pending() == 1 << 1);
	assert_int_equal(noting_host_vector(&R.below, 1, true), -1);
	pci_vector_changed(&R.board->fn, 1);
	assert_int_equal(signals(1), 1);
	request(0);
	assert_int_equal(signals(1), 1);
	br_fini(&R);
}

static void a_new_eventfd_gets_what_comes_from_then_on(void **state)
{
	eventfd_t n;
	int before;

	(void)state;
	start(&(struct noting_host_options){0});
	before = noting_host_vector(&R.below, 1, true);
	pci_vector_changed(&R.board->fn, 1);
	request(0);
	assert_int_equal(signals(1), 1);
	assert_int_equal(eventfd_read(before, &n), -1);
	close(before);
	br_fini(&R);
}

/*
 * A worker that looked its fd up just before it came to stand for the host's signals our own, and
 * maybe for the last time.
 */
static void a_signal_that_comes_late_is_not_lost(void **state)
{
	struct pci_call *call;

	(void)state;
	start(&(struct noting_host_options){0});
	call = &R.board->queues[0].call;
	assert_int_equal(call->way, PCI_CALL_VECTOR);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(eventfd_write(call->fd, 1), 0);
		br_settle(&R);
		assert_int_equal(signals(1), 1);
		/* Each way of coming there. */
		mask(1, i != 1);
		mask(1, false);
		assert_int_equal(call->way, PCI_CALL_VECTOR);
		signals(1);
	}
	br_fini(&R);
}

static void a_host_that_keeps_the_tables_masks_by_itself(void **state)
{
	(void)state;
	start(&(struct noting_host_options){.keeps_tables = true});
	for (unsigned i = 0; i < 3; i++)
		mask(i, true);
	request(0);
	assert_int_equal(signals(1), 1);
	virtio_device_config_changed(R.board->vdev);
	assert_int_equal(signals(0), 1);
	br_fini(&R);
}

/* Interrupts by pin, and none at all. */
static void a_pin_needs_no_vector(void **state)
{
	(void)state;
	start(&(struct noting_host_options){0});
	br_start(&R, 0, false);
	br_check_io(&R);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(signals(i), 0);
	br_reset(&R);
	br_fini(&R);
}

static void a_bar_is_reached_by_its_number(void **state)
{
	struct pci_function *fn;
	uint64_t at;

	(void)state;
	start(&(struct noting_host_options){0});
	fn = &R.board->fn;
	at = fn->bars[VIRTIO_PCI_BAR_MODERN].region.base;
	assert_int_equal(pci_bar_read(fn, VIRTIO_PCI_BAR_MODERN, 20, 1), 15);
	/* Wherever it is, and whether it is decoded or not. */
	pci_function_config_write(fn, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
	assert_int_equal(sysbus_read(&R.plane.bus, SYSBUS_MEMORY, at + 20, 1), 0xff);
	assert_int_equal(pci_bar_read(fn, VIRTIO_PCI_BAR_MODERN, 20, 1), 15);
	pci_bar_write(fn, VIRTIO_PCI_BAR_MODERN, 22, 1, 2);
	assert_int_equal(pci_bar_read(fn, VIRTIO_PCI_BAR_MODERN, 22, 2), 1);
	/* Past the end, and where no BAR is. */
	at = fn->bars[VIRTIO_PCI_BAR_MODERN].region.size;
	assert_true(pci_bar_read(fn, VIRTIO_PCI_BAR_MODERN, at - 2, 4) == UINT64_MAX);
	assert_true(pci_bar_read(fn, VIRTIO_PCI_BAR_MODERN, UINT64_MAX, 8) == UINT64_MAX);
	assert_true(pci_bar_read(fn, 3, 0, 4) == UINT64_MAX);
	assert_true(pci_bar_read(fn, 77, 0, 4) == UINT64_MAX);
	pci_bar_write(fn, 77, 0, 0, 4);
	br_fini(&R);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_worker_signals_the_hosts_eventfd),
		cmocka_unit_test(a_masked_vector_is_pending_until_it_is_not),
		cmocka_unit_test(a_vector_without_an_eventfd_waits_for_one),
		cmocka_unit_test(a_new_eventfd_gets_what_comes_from_then_on),
		cmocka_unit_test(a_signal_that_comes_late_is_not_lost),
		cmocka_unit_test(a_host_that_keeps_the_tables_masks_by_itself),
		cmocka_unit_test(a_pin_needs_no_vector),
		cmocka_unit_test(a_bar_is_reached_by_its_number),
	};

	log_setup(LOG_LEVEL_ERR, NULL, NULL);
	return cmocka_run_group_tests_name("board_vector", tests, NULL, NULL);
}
