/* SPDX-License-Identifier: MIT */
/*
 * Notifications both ways on PCI: kick addresses, ISR status and pin, MSI-X; virtio 1.4,
 * 4.1.4.4, 4.1.4.5, 4.1.5.
 */
#include "conform/cases.h"

#include "conform/blk.h"
#include "conform/board.h"

/* ---- kicks ---- */

static void multiplier(struct trial *t)
{
	uint32_t m;

	board_modern(t);
	m = t->board.v.multiplier;
	if (m && (m < 2 || m & (m - 1)))
		trial_fail(t, "0 or a power of two from 2 on", "%u", m);
	if (m == 2 && vpci_features(&t->board.v) & FEAT(NOTIFICATION_DATA))
		trial_fail(t, "0 or a power of two from 4 on, with NOTIFICATION_DATA", "2");
}

static bool with_data(struct trial *t)
{
	return vpci_features(&t->board.v) & FEAT(NOTIFICATION_DATA);
}

static void notify_aligned(struct trial *t)
{
	uint32_t size;

	board_modern(t);
	size = with_data(t) ? 4 : 2;
	for (unsigned cap = board_cap(t, VIRTIO_PCI_CAP_NOTIFY_CFG, 0); cap;
	     cap = board_cap(t, VIRTIO_PCI_CAP_NOTIFY_CFG, cap)) {
		struct vpci_area a = board_cap_area(t, cap);

		if (a.offset % size || a.length < size)
			trial_fail(t, "room for a notification, aligned to it",
				   "offset 0x%x, length %u", a.offset, a.length);
	}
}

static void notify_length(struct trial *t)
{
	uint32_t size;

	board_modern(t);
	size = with_data(t) ? 4 : 2;
	for (uint32_t i = 0; i < common_get(t, num_queues); i++) {
		uint64_t at;

		common_put(t, queue_select, i);
		at = (uint64_t)common_get(t, queue_notify_off) * t->board.v.multiplier;
		if (at + size > t->board.v.notify.length)
			trial_fail(t, "every queue's address lies inside the structure",
				   "queue %u: %llu of %u bytes", i, (unsigned long long)at,
				   t->board.v.notify.length);
	}
}

static void kicked(struct trial *t, uint64_t want)
{
	unsigned queues;

	disk_up(t, (struct setup){.want = want, .num = 16, .stopped = true});
	queues = (unsigned)min_u64(t->queues, TRIAL_RINGS);
	redial(t);
	disk_up(t, (struct setup){.want = want, .num = 16, .queues = queues});
	for (unsigned i = 0; i < 4 * queues; i++)
		blk_read(&t->rings[i % queues], 0, 512);
}

static void kick_split(struct trial *t)
{
	kicked(t, 0);
}

static void kick_packed(struct trial *t)
{
	kicked(t, FEAT(RING_PACKED));
}

static void kick_data_split(struct trial *t)
{
	kicked(t, FEAT(NOTIFICATION_DATA));
}

static void kick_data_packed(struct trial *t)
{
	kicked(t, FEAT(NOTIFICATION_DATA) | FEAT(RING_PACKED));
}

static void kick_config_data(struct trial *t)
{
	kicked(t, FEAT(NOTIF_CONFIG_DATA));
}

/* ---- ISR status and pin ---- */

static struct ring *with_pin(struct trial *t)
{
	t->no_msix = true;
	return disk_up(t, (struct setup){.num = 16});
}

static struct ring *ring_raised(struct trial *t)
{
	struct ring *r = with_pin(t);

	need_pin(t);
	vpci_isr(&t->board.v);
	blk_read(r, 0, 512);
	if (!pin_becomes(t, true))
		trial_fail(t, "the pin is raised when a buffer was used", "it is low after %d ms",
			   t->o->timeout_ms);
	return r;
}

static void isr_queue(struct trial *t)
{
	struct ring *r = with_pin(t);
	uint8_t isr = 0;

	vpci_isr(&t->board.v);
	blk_read(r, 0, 512);
	for (int ms = 0; !isr && ms <= t->o->timeout_ms; ms += t->o->quiet_ms) {
		isr = vpci_isr(&t->board.v);
		if (!isr)
			quiet(t);
	}
	if (!(isr & VIRTIO_PCI_ISR_QUEUE))
		trial_fail(t, "bit 0 is set when a buffer was used", "the ISR status is 0x%x", isr);
}

static void isr_config(struct trial *t)
{
	uint8_t isr;

	with_pin(t);
	vpci_isr(&t->board.v);
	board_change(t);
	isr = vpci_isr(&t->board.v);
	if (!(isr & VIRTIO_PCI_ISR_CONFIG))
		trial_fail(t, "bit 1 is set when the configuration changed",
			   "the ISR status is 0x%x", isr);
}

static void isr_config_msix(struct trial *t)
{
	uint8_t isr;

	disk_up(t, (struct setup){.num = 16});
	if (!t->board.v.msix)
		need_msix(t, 1);
	vpci_isr(&t->board.v);
	board_change(t);
	isr = vpci_isr(&t->board.v);
	if (!(isr & VIRTIO_PCI_ISR_CONFIG))
		trial_fail(t, "bit 1 is set when the configuration changed, with MSI-X too",
			   "the ISR status is 0x%x", isr);
}

static void isr_clears(struct trial *t)
{
	uint8_t isr;

	ring_raised(t);
	isr = vpci_isr(&t->board.v);
	if (!isr || vpci_isr(&t->board.v))
		trial_fail(t, "a read gives the status and clears it", "0x%x, then not 0", isr);
	if (!pin_becomes(t, false))
		trial_fail(t, "a read of the ISR status lowers the pin", "it is still up");
}

static void status_bit(struct trial *t)
{
	ring_raised(t);
	if (!intx_status(t))
		trial_fail(t, "the interrupt bit of the PCI status is set with the pin", "it is 0");
	vpci_isr(&t->board.v);
	if (intx_status(t))
		trial_fail(t, "... and cleared with it", "it is still 1");
}

static void pin_disabled(struct trial *t)
{
	ring_raised(t);
	pcidev_command(&t->board.dev, PCI_COMMAND_INTX_DISABLE, 0);
	if (!pin_becomes(t, false))
		trial_fail(t, "with interrupt disable set the pin is not asserted", "it is");
	if (!intx_status(t))
		trial_fail(t, "the interrupt bit of the PCI status tells nevertheless", "it is 0");
	pcidev_command(&t->board.dev, 0, PCI_COMMAND_INTX_DISABLE);
	if (!pin_becomes(t, true))
		trial_fail(t, "with interrupt disable cleared the pin is asserted again",
			   "it is not");
	vpci_isr(&t->board.v);
}

static void pin_reset(struct trial *t)
{
	ring_raised(t);
	board_reset(t);
	if (!pin_becomes(t, false))
		trial_fail(t, "a reset lowers the pin", "it is still up");
}

static void pin_with_msix(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 16});

	if (!t->board.v.msix)
		need_msix(t, 1);
	need_pin(t);
	blk_read(r, 0, 512);
	ring_calls(r, t->o->timeout_ms);
	if (pin(t))
		trial_fail(t, "with MSI-X on the pin is not used", "it is up");
}

/* ---- MSI-X ---- */

static void table_size(struct trial *t)
{
	board_modern(t);
	if (!t->board.v.msix_cap) {
		if (pcidev_cap(&t->board.dev, PCI_CAP_MSIX, 0))
			trial_fail(t, "table and pending bits lie inside their BARs",
				   "they do not");
		trial_skip(t, "the board has no MSI-X");
	}
	if (t->board.v.n_vectors < 2)
		trial_fail(t, "2 to 2048 vectors", "%u", t->board.v.n_vectors);
}

static struct ring *with_vectors(struct trial *t, unsigned n)
{
	struct ring *r = disk_up(t, (struct setup){.num = 16});

	need_msix(t, n);
	return r;
}

static void set_queue_vector(struct trial *t, uint16_t index, uint16_t vector)
{
	common_put(t, queue_select, index);
	common_put(t, queue_msix_vector, vector);
	if (common_get(t, queue_msix_vector) != vector)
		trial_fail(t, "the vector reads as it was written", "queue %u: 0x%x, then 0x%x",
			   index, vector, common_get(t, queue_msix_vector));
}

static void set_config_vector(struct trial *t, uint16_t vector)
{
	common_put(t, config_msix_vector, vector);
	if (common_get(t, config_msix_vector) != vector)
		trial_fail(t, "the vector reads as it was written",
			   "configuration: 0x%x, then 0x%x", vector,
			   common_get(t, config_msix_vector));
}

static void any_vector(struct trial *t)
{
	struct ring *r = with_vectors(t, 1);
	uint16_t n = (uint16_t)min_u64(t->board.v.n_vectors, TRIAL_VECTORS);

	for (uint16_t v = 0; v < n; v++) {
		vector_connect(t, v);
		set_queue_vector(t, 0, v);
		blk_read(r, 0, 512);
		if (!vector_count(t, v, t->o->timeout_ms))
			trial_fail(t, "the queue calls by any vector it was given",
				   "no message of vector %u", v);
	}
}

static void config_vector(struct trial *t)
{
	uint16_t n;

	with_vectors(t, 1);
	n = (uint16_t)min_u64(t->board.v.n_vectors, TRIAL_VECTORS);
	for (uint16_t v = 0; v < n; v++) {
		vector_connect(t, v);
		set_config_vector(t, v);
		board_change(t);
		if (!vector_count(t, v, t->o->timeout_ms))
			trial_fail(t, "the configuration calls by any vector it was given",
				   "no message of vector %u", v);
	}
}

static void one_for_all(struct trial *t)
{
	struct ring *r = with_vectors(t, 1);

	vector_connect(t, 0);
	set_config_vector(t, 0);
	set_queue_vector(t, 0, 0);
	blk_read(r, 0, 512);
	if (!vector_count(t, 0, t->o->timeout_ms))
		trial_fail(t, "one vector serves queue and configuration", "none for the queue");
	board_change(t);
	if (!vector_count(t, 0, t->o->timeout_ms))
		trial_fail(t, "one vector serves queue and configuration",
			   "none for the configuration");
}

static void unusable(struct trial *t)
{
	static const uint16_t vectors[] = {0x7ff, 0x800, 0x1234, 0xfffe};

	with_vectors(t, 1);
	common_put(t, queue_select, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(vectors); i++) {
		if (vectors[i] < t->board.v.n_vectors)
			continue;
		trial_sent(t, "vector 0x%x of %u", vectors[i], t->board.v.n_vectors);
		common_put(t, config_msix_vector, vectors[i]);
		common_put(t, queue_msix_vector, vectors[i]);
		if (common_get(t, config_msix_vector) != VIRTIO_MSI_NO_VECTOR ||
		    common_get(t, queue_msix_vector) != VIRTIO_MSI_NO_VECTOR)
			trial_fail(t, "a vector that cannot be had reads back as 0xffff",
				   "0x%x, 0x%x", common_get(t, config_msix_vector),
				   common_get(t, queue_msix_vector));
	}
}

static void unmapped_after_reset(struct trial *t)
{
	with_vectors(t, 1);
	vector_connect(t, 0);
	set_config_vector(t, 0);
	set_queue_vector(t, 0, 0);
	board_reset(t);
	common_put(t, queue_select, 0);
	if (common_get(t, config_msix_vector) != VIRTIO_MSI_NO_VECTOR ||
	    common_get(t, queue_msix_vector) != VIRTIO_MSI_NO_VECTOR)
		trial_fail(t, "no event has a vector after a reset",
			   "configuration 0x%x, queue 0x%x", common_get(t, config_msix_vector),
			   common_get(t, queue_msix_vector));
}

/* Every vector that a case can watch is connected; none may say anything. */
static void expect_no_message(struct trial *t, const char *expected)
{
	for (uint16_t v = 0; v < t->board.v.n_vectors && v < TRIAL_VECTORS; v++)
		if (vector_count(t, v, v ? 0 : t->o->quiet_ms))
			trial_fail(t, expected, "a message of vector %u", v);
}

static void connect_all(struct trial *t)
{
	for (uint16_t v = 0; v < t->board.v.n_vectors && v < TRIAL_VECTORS; v++)
		vector_connect(t, v);
}

static void queue_without(struct trial *t)
{
	struct ring *r = with_vectors(t, 1);

	connect_all(t);
	set_queue_vector(t, 0, VIRTIO_MSI_NO_VECTOR);
	blk_read(r, 0, 512);
	expect_no_message(t, "a queue without a vector sends no message");
	if (t->o->pci->ops->pin && pin(t))
		trial_fail(t, "... nor raises the pin", "it is up");
}

static void config_without(struct trial *t)
{
	with_vectors(t, 1);
	connect_all(t);
	set_config_vector(t, VIRTIO_MSI_NO_VECTOR);
	board_change(t);
	expect_no_message(t, "a configuration without a vector sends no message");
}

static void delivered_on(struct trial *t, const char *by, void (*mask)(struct trial *t, bool on))
{
	struct ring *r = with_vectors(t, 1);

	if (!t->o->pci->masks)
		trial_skip(t, "masks are not the board's own here");
	vector_connect(t, 0);
	set_queue_vector(t, 0, 0);
	mask(t, true);
	blk_read(r, 0, 512);
	trial_sent(t, "a read with the vector masked by %s", by);
	if (vector_count(t, 0, t->o->quiet_ms))
		trial_fail(t, "a masked vector sends no message", "it does");
	if (!vector_pending(t, 0))
		trial_fail(t, "its pending bit is set", "it is 0");
	mask(t, false);
	if (!vector_count(t, 0, t->o->timeout_ms))
		trial_fail(t, "the message comes when the mask is taken away", "it does not");
	if (vector_pending(t, 0))
		trial_fail(t, "its pending bit is cleared then", "it is 1");
}

static void mask_vector(struct trial *t, bool on)
{
	vpci_vector_mask(&t->board.v, 0, on);
}

static void mask_function(struct trial *t, bool on)
{
	unsigned at = t->board.v.msix_cap + PCI_MSIX_CONTROL;
	uint32_t control = config_get(t, at, 2) & ~PCI_MSIX_CONTROL_MASK;

	config_put(t, at, control | (on ? PCI_MSIX_CONTROL_MASK : 0), 2);
}

static void masked(struct trial *t)
{
	delivered_on(t, "its entry", mask_vector);
}

static void function_masked(struct trial *t)
{
	delivered_on(t, "the function's mask", mask_function);
}

#define MUST(section)	  section, LEVEL_MUST, 0
#define SHOULD(section)	  section, LEVEL_SHOULD, 0
#define PRACTICE(section) section, LEVEL_PRACTICE, 0

static const struct conform_case cases[] = {
	{"PCI-D-16.multiplier", MUST("virtio 4.1.4.4.1"),
	 "notify_off_multiplier is 0 or a power of two wide enough.", multiplier},
	{"PCI-D-17.aligned", MUST("virtio 4.1.4.4.1"),
	 "The notification structure has room for a notification, aligned.", notify_aligned},
	{"PCI-D-18.length", MUST("virtio 4.1.4.4.1"),
	 "Each queue's kick address lies inside the notification structure.", notify_length},
	{"PCI-D-16.split", MUST("virtio 4.1.5.2"), "Each queue is kicked at its address.",
	 kick_split},
	{"PCI-D-16.packed", MUST("virtio 4.1.5.2"),
	 "Each queue is kicked at its address, with packed rings.", kick_packed},
	{"PCI-D-16.data", MUST("virtio 4.1.5.2.1"),
	 "With NOTIFICATION_DATA a kick of 32 bits says where the ring is.", kick_data_split},
	{"PCI-D-16.data-packed", MUST("virtio 4.1.5.2.1"),
	 "With NOTIFICATION_DATA and packed rings a kick says slot and wrap counter.",
	 kick_data_packed},
	{"PCI-D-16.config-data", MUST("virtio 4.1.5.2.1"),
	 "With NOTIF_CONFIG_DATA a kick carries the device's own number.", kick_config_data},
	{"PCI-D-19.queue", MUST("virtio 4.1.4.5.1"),
	 "Without MSI-X bit 0 of the ISR status tells of used buffers.", isr_queue},
	{"PCI-D-19.config", MUST("virtio 4.1.4.5.1"),
	 "Bit 1 of the ISR status tells of a configuration change.", isr_config},
	{"PCI-D-19.config-msix", MUST("virtio 4.1.4.5.1"),
	 "Bit 1 of the ISR status tells of a configuration change, with MSI-X too.",
	 isr_config_msix},
	{"PCI-D-20.status", MUST("virtio 4.1.4.5.1"),
	 "Without MSI-X the interrupt bit of the PCI status follows the ISR status.", status_bit},
	{"PCI-D-20.disable", MUST("PCI 3.0, 6.2.2"),
	 "Interrupt disable keeps the pin down and the status bit as it is.", pin_disabled},
	{"PCI-D-21.clears", MUST("virtio 4.1.4.5.1"),
	 "A read of the ISR status clears it and lowers the pin.", isr_clears},
	{"PCI-D-21.reset", PRACTICE("practice"), "A reset lowers the pin.", pin_reset},
	{"PCI-D-21.msix", MUST("PCI 3.0, 6.8.3.3"), "With MSI-X on the pin is not used.",
	 pin_with_msix},
	{"PCI-D-27.size", SHOULD("virtio 4.1.5.1.2.1"), "There are 2 to 2048 vectors.", table_size},
	{"PCI-D-28.queue", MUST("virtio 4.1.5.1.2.1"), "A queue can have any vector.", any_vector},
	{"PCI-D-28.config", MUST("virtio 4.1.5.1.2.1"), "The configuration can have any vector.",
	 config_vector},
	{"PCI-D-28.one", MUST("virtio 4.1.5.1.2.1"), "One vector can serve all events.",
	 one_for_all},
	{"PCI-D-29.unusable", MUST("virtio 4.1.5.1.2.1"),
	 "A vector that cannot be had reads back as NO_VECTOR.", unusable},
	{"PCI-D-30.reset", MUST("virtio 4.1.5.1.2.1"), "No event has a vector after a reset.",
	 unmapped_after_reset},
	{"PCI-D-31.queue", MUST("virtio 4.1.5.1.3.1"),
	 "A queue without a vector sends no interrupt.", queue_without},
	{"PCI-D-31.config", MUST("virtio 4.1.5.1.4.1"),
	 "A configuration without a vector sends no interrupt.", config_without},
	{"PCI-D-32.masked", MUST("PCI 3.0, 6.8.2.9"),
	 "A masked vector is pending, and sent when unmasked.", masked},
	{"PCI-D-32.function", MUST("PCI 3.0, 6.8.2.3"),
	 "With the function masked all vectors are pending, and sent when it is unmasked.",
	 function_masked},
};
const struct case_table pci_interrupt_cases = {"PCI: kicks and interrupts", cases,
					       ARRAY_SIZE(cases), BY_PCI};
