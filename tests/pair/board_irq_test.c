/* SPDX-License-Identifier: MIT */
/*
 * Interrupts of the board: MSI-X with masks and pending bits, the pin with ISR and status bit
 * (virtio 1.4, 4.1.4.5, 4.1.5.1; PCI 6.8.2).
 */
#include "test.h"

#include "board_rig.h"

#include "wire/virtio_blk.h"

#include <string.h>

static struct board_rig R;

static void start_with(const struct br_options *o, bool msix)
{
	br_init(&R, o);
	br_find(&R, VPCI_MODERN);
	br_start(&R, 0, msix);
}

static int setup_irqfd(void **state)
{
	struct br_options o = {.queues = 2};

	(void)state;
	start_with(&o, true);
	return 0;
}
static int setup_by_hand(void **state)
{
	struct br_options o = {.queues = 2, .host.no_irqfd = true};

	(void)state;
	start_with(&o, true);
	return 0;
}
static int setup_pin(void **state)
{
	struct br_options o = {.queues = 2};

	(void)state;
	start_with(&o, false);
	return 0;
}
static int setup_pin_by_hand(void **state)
{
	struct br_options o = {.queues = 2, .host.no_line_irqfd = true};

	(void)state;
	start_with(&o, false);
	return 0;
}
static int teardown(void **state)
{
	(void)state;
	br_fini(&R);
	return 0;
}

static uint64_t table_at(unsigned vector)
{
	return R.dev.bars[R.v.table.bar].address + vector * PCI_MSIX_ENTRY_BYTES;
}
static uint64_t pba(void)
{
	uint32_t where = pcidev_config_read(&R.dev, R.v.msix_cap + PCI_MSIX_PBA, 4);
	uint64_t at = R.dev.bars[where & 7].address + (where & ~7u);

	return sysbus_read(&R.plane.bus, SYSBUS_MEMORY, at, 8);
}

/* ---- MSI-X ---- */

static void pci_d_27_table_size(void **state)
{
	(void)state;
	assert_int_equal(R.v.n_vectors, 3);
}

static void pci_d_28_any_event_to_any_vector(void **state)
{
	(void)state;
	for (uint16_t v = 0; v < 3; v++) {
		unsigned before = R.below.messages[v];
		struct vpci_ring ring = R.queues[0].ring;
		struct vpci_kick kick;

		ring.vector = v;
		assert_int_equal(vpci_queue_setup(&R.v, 0, &ring, &kick), 0);
		br_complete(&R, 0);
		assert_true(R.below.messages[v] > before);
		before = R.below.messages[v];
		assert_int_equal(vpci_config_vector(&R.v, v), 0);
		virtio_device_config_changed(&R.blk->vdev);
		assert_int_equal(R.below.messages[v], before + 1);
	}
}

static void pci_d_29_impossible_vectors_read_as_none(void **state)
{
	static const uint16_t bad[] = {3, 4, 0x7ff, 0x800, 0xfffe, 0xffff};
	uint64_t common = R.dev.bars[4].address;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		sysbus_write(&R.plane.bus, SYSBUS_MEMORY, common + 16, bad[i], 2);
		assert_int_equal(sysbus_read(&R.plane.bus, SYSBUS_MEMORY, common + 16, 2), 0xffff);
		sysbus_write(&R.plane.bus, SYSBUS_MEMORY, common + 22, 1, 2);
		sysbus_write(&R.plane.bus, SYSBUS_MEMORY, common + 26, bad[i], 2);
		assert_int_equal(sysbus_read(&R.plane.bus, SYSBUS_MEMORY, common + 26, 2), 0xffff);
	}
}

static void pci_d_31_no_vector_no_interrupt(void **state)
{
	struct vpci_ring ring = R.queues[0].ring;
	struct vpci_kick kick;
	unsigned sum = 0, after = 0;

	(void)state;
	br_check_io(&R);
	/* Its last message, from the other queue, may still be on its way. */
	br_settle(&R);
	ring.vector = VIRTIO_MSI_NO_VECTOR;
	assert_int_equal(vpci_queue_setup(&R.v, 0, &ring, &kick), 0);
	assert_int_equal(vpci_config_vector(&R.v, VIRTIO_MSI_NO_VECTOR), 0);
	for (unsigned i = 0; i < NOTING_VECTORS; i++)
		sum += R.below.messages[i];
	br_complete(&R, 0);
	virtio_device_config_changed(&R.blk->vdev);
	for (unsigned i = 0; i < NOTING_VECTORS; i++)
		after += R.below.messages[i];
	assert_int_equal(after, sum);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(R.below.rises[i], 0);
	/* What was signalled meanwhile is not delivered late. */
	ring.vector = 1;
	sum = R.below.messages[1];
	assert_int_equal(vpci_queue_setup(&R.v, 0, &ring, &kick), 0);
	br_pump(&R);
	assert_int_equal(R.below.messages[1], sum);
	br_complete(&R, 0);
	assert_true(R.below.messages[1] > sum);
}

static void pci_d_32_masked_vector_is_pending(void **state)
{
	unsigned before;

	(void)state;
	br_check_io(&R);
	br_settle(&R);
	before = R.below.messages[1];
	vpci_vector_mask(&R.v, 1, true);
	assert_true(pba() == 0);
	br_complete(&R, 0);
	assert_int_equal(R.below.messages[1], before);
	assert_true(pba() == 2);
	/* The other vectors are not concerned. */
	br_complete(&R, 1);
	assert_true(pba() == 2);
	vpci_vector_mask(&R.v, 1, false);
	assert_int_equal(R.below.messages[1], before + 1);
	assert_true(pba() == 0);
	br_check_io(&R);
}

/* Whoever polls the pending bits finds them, though our own thread has not run. */
static void pci_d_32_pending_is_found_by_looking(void **state)
{
	uint64_t data = br_alloc(&R, 512, 512);
	unsigned turns = 0, before;
	struct br_io io = {0};

	(void)state;
	br_check_io(&R);
	br_settle(&R);
	before = R.below.messages[1];
	vpci_vector_mask(&R.v, 1, true);
	vqdrv_calls_on(&R.queues[0].drv);
	br_submit(&R, 0, &io, VIRTIO_BLK_T_IN, 0, data, 512);
	while (!pba())
		assert_true(++turns < 100000000);
	assert_true(pba() == 2);
	assert_int_equal(R.below.messages[1], before);
	vpci_vector_mask(&R.v, 1, false);
	assert_int_equal(R.below.messages[1], before + 1);
	assert_int_equal(br_finish(&R, 0, &io), 0);
}

static void pci_d_32_function_mask(void **state)
{
	unsigned control = R.v.msix_cap + PCI_MSIX_CONTROL, before, config;

	(void)state;
	before = R.below.messages[1];
	config = R.below.messages[0];
	pcidev_config_write(&R.dev, control, PCI_MSIX_CONTROL_ENABLE | PCI_MSIX_CONTROL_MASK, 2);
	br_complete(&R, 0);
	virtio_device_config_changed(&R.blk->vdev);
	assert_int_equal(R.below.messages[1], before);
	assert_int_equal(R.below.messages[0], config);
	assert_true(pba() == 3);
	pcidev_config_write(&R.dev, control, PCI_MSIX_CONTROL_ENABLE, 2);
	assert_int_equal(R.below.messages[1], before + 1);
	assert_int_equal(R.below.messages[0], config + 1);
	assert_true(pba() == 0);
	br_check_io(&R);
}

/* Nor is a queue served then (board_quiet_test.c), but the configuration may change. */
static void without_bus_mastering_no_message_is_sent(void **state)
{
	unsigned before = R.below.messages[0];

	(void)state;
	pcidev_command(&R.dev, 0, PCI_COMMAND_MASTER);
	virtio_device_config_changed(&R.blk->vdev);
	br_settle(&R);
	assert_int_equal(R.below.messages[0], before);
	assert_true(pba() == 1);
	pcidev_command(&R.dev, PCI_COMMAND_MASTER, 0);
	assert_int_equal(R.below.messages[0], before + 1);
	br_check_io(&R);
}

static void message_rewritten_while_unmasked(void **state)
{
	(void)state;
	br_check_io(&R);
	br_settle(&R);
	for (unsigned data = 10; data < 30; data++) {
		sysbus_write(&R.plane.bus, SYSBUS_MEMORY, table_at(1) + 8, data, 4);
		br_complete(&R, 0);
		assert_int_equal(R.below.messages[data], 1);
	}
	assert_int_equal(R.below.strange_messages, 0);
}

static void kb_52_odd_table_accesses(void **state)
{
	uint64_t before = sysbus_read(&R.plane.bus, SYSBUS_MEMORY, table_at(1), 8);
	uint64_t end = R.dev.bars[R.v.table.bar].address + R.dev.bars[R.v.table.bar].size;

	(void)state;
	for (uint64_t at = table_at(0); at < end; at++) {
		sysbus_write(&R.plane.bus, SYSBUS_MEMORY, at, 0xff, 1);
		sysbus_write(&R.plane.bus, SYSBUS_MEMORY, at, 0xffff, 2);
		if (at % 4)
			sysbus_write(&R.plane.bus, SYSBUS_MEMORY, at, 0xffffffff, 4);
		if (at % 8)
			sysbus_write(&R.plane.bus, SYSBUS_MEMORY, at, UINT64_MAX, 8);
		/* Behind the table, and the pending bits. */
		if (at >= table_at(3))
			sysbus_write(&R.plane.bus, SYSBUS_MEMORY, at, 0xffffffff, 4);
		for (unsigned size = 1; size <= 8; size *= 2)
			sysbus_read(&R.plane.bus, SYSBUS_MEMORY, at, size);
	}
	assert_true(sysbus_read(&R.plane.bus, SYSBUS_MEMORY, table_at(1), 8) == before);
	assert_int_equal(sysbus_read(&R.plane.bus, SYSBUS_MEMORY, table_at(1) + 1, 1),
			 before >> 8 & 0xff);
	/* A quad word is two words. */
	sysbus_write(&R.plane.bus, SYSBUS_MEMORY, table_at(1) + 8, 12 | UINT64_C(1) << 32, 8);
	assert_true(sysbus_read(&R.plane.bus, SYSBUS_MEMORY, table_at(1) + 8, 8) ==
		    (12 | UINT64_C(1) << 32));
	sysbus_write(&R.plane.bus, SYSBUS_MEMORY, table_at(1) + 8, 1, 8);
	br_check_io(&R);
}

static void kb_51_config_vector_changes_before_the_config(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		vpci_config_vector(&R.v, i % 4 ? (uint16_t)(i % 3) : VIRTIO_MSI_NO_VECTOR);
		vpci_vector_mask(&R.v, (uint16_t)(i % 3), i & 1);
		virtio_device_config_changed(&R.blk->vdev);
		br_pump(&R);
	}
	for (uint16_t v = 0; v < 3; v++)
		vpci_vector_mask(&R.v, v, false);
	br_check_io(&R);
}

static void pci_d_30_reset_unmaps_all(void **state)
{
	(void)state;
	br_check_io(&R);
	br_reset(&R);
	for (unsigned i = 0; i < NOTING_BOUND; i++) {
		assert_int_equal(R.below.irqfds[i].fd, -1);
		assert_int_equal(R.below.kicks[i].fd, -1);
	}
	br_start(&R, 0, true);
	br_check_io(&R);
}

static void irqfd_is_used_and_nothing_is_sent_by_hand(void **state)
{
	(void)state;
	br_check_io(&R);
	for (unsigned i = 0; i < 20; i++)
		br_complete(&R, 0);
	assert_int_equal(R.below.sent_by_hand, 0);
	assert_true(R.below.messages[1] >= 20);
}

/* ---- the pin ---- */

static bool line(void)
{
	return br_disk_line(&R);
}
/* As a guest's handler does: ISR, end of interrupt; and time for what follows from them. */
static uint8_t acknowledge(void)
{
	uint8_t isr = br_acknowledge(&R);

	for (unsigned i = 0; i < 20; i++)
		br_pump(&R);
	return isr;
}
static bool status_bit(void)
{
	return pcidev_config_read(&R.dev, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT;
}

static void pci_d_19_isr_says_who(void **state)
{
	(void)state;
	br_check_io(&R);
	acknowledge();
	virtio_device_config_changed(&R.blk->vdev);
	assert_true(line());
	assert_true(status_bit()); /* PCI-D-20 */
	assert_int_equal(acknowledge(), VIRTIO_PCI_ISR_CONFIG);
	/* PCI-D-21 */
	assert_false(line());
	assert_false(status_bit());
	assert_int_equal(acknowledge(), 0);
	br_complete(&R, 0);
	assert_true(line());
	/* KB-57 */
	assert_int_equal(acknowledge(), VIRTIO_PCI_ISR_QUEUE);
	br_complete(&R, 1);
	virtio_device_config_changed(&R.blk->vdev);
	assert_int_equal(acknowledge(), VIRTIO_PCI_ISR_QUEUE | VIRTIO_PCI_ISR_CONFIG);
	assert_false(line());
}

static void pci_d_20_interrupt_disable(void **state)
{
	(void)state;
	virtio_device_config_changed(&R.blk->vdev);
	assert_true(line());
	pcidev_command(&R.dev, PCI_COMMAND_INTX_DISABLE, 0);
	assert_false(line());
	assert_true(status_bit());
	pcidev_command(&R.dev, 0, PCI_COMMAND_INTX_DISABLE);
	assert_true(line());
	acknowledge();
	assert_false(line());
}

static void pin_is_silent_while_msix_is_on(void **state)
{
	unsigned gsi = (unsigned)piix3_line(&R.isa, 3, 0), rises;

	(void)state;
	virtio_device_config_changed(&R.blk->vdev);
	assert_true(line());
	assert_int_equal(vpci_msix(&R.v, true), 0);
	assert_false(line());
	rises = R.below.rises[gsi] + R.below.raises[gsi];
	br_complete(&R, 0);
	virtio_device_config_changed(&R.blk->vdev);
	assert_int_equal(R.below.rises[gsi] + R.below.raises[gsi], rises);
	acknowledge();
	assert_int_equal(vpci_msix(&R.v, false), 0);
	br_check_io(&R);
}

static void isr_read_finds_what_nobody_was_told_of_yet(void **state)
{
	struct br_queue *q = &R.queues[0];
	uint64_t data = br_alloc(&R, 512, 512);
	struct br_io io = {0};
	unsigned turns = 0;

	(void)state;
	vqdrv_calls_on(&q->drv);
	br_submit(&R, 0, &io, VIRTIO_BLK_T_IN, 0, data, 512);
	/* The home reactor does not run at all. */
	while (!(vpci_isr(&R.v) & VIRTIO_PCI_ISR_QUEUE))
		assert_true(++turns < 100000000);
	assert_true(vqdrv_waiting(&q->drv));
	assert_int_equal(br_finish(&R, 0, &io), 0);
}

static void routes_move_with_their_registers(void **state)
{
	struct pci_function *isa = &R.isa.fn;
	unsigned pirq = (3 + 0 - 1) & 3;

	(void)state;
	virtio_device_config_changed(&R.blk->vdev);
	assert_true(line());
	pci_function_config_write(isa, PIIX3_PIRQ + pirq, 5, 1);
	assert_true(br_line(&R, 5));
	assert_false(br_line(&R, 11));
	pci_function_config_write(isa, PIIX3_PIRQ + pirq, PIIX3_PIRQ_NONE, 1);
	assert_false(br_line(&R, 5));
	assert_int_equal(piix3_line(&R.isa, 3, 0), -1);
	/* Switched off, whatever line stands beside the bit. */
	pci_function_config_write(isa, PIIX3_PIRQ + pirq, PIIX3_PIRQ_NONE | 5, 1);
	assert_false(br_line(&R, 5));
	assert_int_equal(piix3_line(&R.isa, 3, 0), -1);
	/* Lines that belong to the board itself. */
	pci_function_config_write(isa, PIIX3_PIRQ + pirq, 0, 1);
	assert_false(br_line(&R, 0));
	pci_function_config_write(isa, PIIX3_PIRQ + pirq, 9, 1);
	assert_true(br_line(&R, 9));
	acknowledge();
	assert_false(br_line(&R, 9));
}

static void machine_reset_comes_back_to_the_beginning(void **state)
{
	(void)state;
	br_check_io(&R);
	virtio_device_config_changed(&R.blk->vdev);
	br_reset_line(&R);
	for (unsigned i = 0; i < 16; i++)
		assert_false(br_line(&R, i));
	assert_int_equal(pcidev_config_read(&R.dev, PCI_COMMAND, 2), 0);
	for (unsigned i = 0; i < NOTING_BOUND; i++)
		assert_int_equal(R.below.kicks[i].fd, -1);
	br_pump(&R);
	br_find(&R, VPCI_MODERN);
	br_start(&R, 0, true);
	br_check_io(&R);
}

#define IRQFD(f) cmocka_unit_test_setup_teardown(f, setup_irqfd, teardown)
#define HAND(f)	 cmocka_unit_test_setup_teardown(f, setup_by_hand, teardown)
#define PIN(f)	 cmocka_unit_test_setup_teardown(f, setup_pin, teardown)
#define BOTH_PINS(f)                                                                          \
	PIN(f),                                                                               \
	{                                                                                     \
		.name = #f "_without_irqfd", .test_func = f, .setup_func = setup_pin_by_hand, \
		.teardown_func = teardown,                                                    \
	}
/* By both ways of sending; the second is named for it. */
#define BOTH(f)                                                                           \
	IRQFD(f),                                                                         \
	{                                                                                 \
		.name = #f "_without_irqfd", .test_func = f, .setup_func = setup_by_hand, \
		.teardown_func = teardown,                                                \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IRQFD(pci_d_27_table_size),
		BOTH(pci_d_28_any_event_to_any_vector),
		BOTH(pci_d_29_impossible_vectors_read_as_none),
		BOTH(pci_d_31_no_vector_no_interrupt),
		BOTH(pci_d_32_masked_vector_is_pending),
		BOTH(pci_d_32_pending_is_found_by_looking),
		BOTH(pci_d_32_function_mask),
		BOTH(without_bus_mastering_no_message_is_sent),
		BOTH(message_rewritten_while_unmasked),
		BOTH(kb_52_odd_table_accesses),
		BOTH(kb_51_config_vector_changes_before_the_config),
		BOTH(pci_d_30_reset_unmaps_all),
		IRQFD(irqfd_is_used_and_nothing_is_sent_by_hand),
		BOTH_PINS(pci_d_19_isr_says_who),
		BOTH_PINS(pci_d_20_interrupt_disable),
		BOTH_PINS(pin_is_silent_while_msix_is_on),
		BOTH_PINS(isr_read_finds_what_nobody_was_told_of_yet),
		BOTH_PINS(routes_move_with_their_registers),
		BOTH_PINS(machine_reset_comes_back_to_the_beginning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
