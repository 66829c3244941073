/* SPDX-License-Identifier: MIT */
#include "conformance/mutant_pci.h"

#include "vring/size.h"

#include <string.h>

#define BIT(n) (UINT64_C(1) << (n))

/* ---- features and reset ---- */

static uint64_t offers(const struct mutant_pci *b)
{
	uint64_t f = mutant_offers(&b->m) & ~(BIT(VHOST_USER_F_PROTOCOL_FEATURES) | BIT(26));

	f |= BIT(VIRTIO_F_NOTIFICATION_DATA) | BIT(VIRTIO_F_NOTIF_CONFIG_DATA) |
	     BIT(VIRTIO_F_RING_RESET);
	return wrong(b, PM_ADMIN) ? f | BIT(VIRTIO_F_ADMIN_VQ) : f;
}

static uint16_t largest(const struct mutant_pci *b)
{
	return wrong(b, PM_SIZE_ODD) ? 200 : BOARD_RING;
}

static void forget(struct mutant_pci *b, unsigned i)
{
	b->queues[i] = (struct board_queue){
		.size = largest(b),
		.vector = wrong(b, PM_VECTOR_STAYS) ? b->queues[i].vector : 0xffff};
	if (!wrong(b, PM_RESET_GOES_ON) && !wrong(b, PM_QUEUE_ON))
		b->m.queues[i].started = b->m.queues[i].enabled = false;
}

void board_reset_all(struct mutant_pci *b)
{
	for (unsigned i = 0; i < QUEUES; i++) {
		bool enable = b->queues[i].enable;
		uint64_t desc = b->queues[i].desc;

		forget(b, i);
		b->queues[i].enable = enable && wrong(b, PM_ENABLE_STAYS);
		if (wrong(b, PM_PAGE_STAYS))
			b->queues[i].desc = desc;
		b->m.queues[i].started = b->m.queues[i].started && wrong(b, PM_RESET_GOES_ON);
	}
	memset(b->features, 0, sizeof(b->features));
	b->device_select = b->driver_select = 0;
	if (!wrong(b, PM_VECTOR_STAYS))
		b->config_vector = VIRTIO_MSI_NO_VECTOR;
	b->queue_select = 0;
	b->status = 0;
	b->legacy = false;
	b->m.features_set = false;
	if (!wrong(b, PM_RESET_GOES_ON))
		b->m.features = 0;
	mutant_config(&b->m);
	b->isr = 0;
	if (!wrong(b, PM_PIN_STAYS))
		board_update_pin(b);
}

static bool possible(const struct mutant_pci *b)
{
	uint64_t f = b->features[0] | (uint64_t)b->features[1] << 32;

	if ((b->features[2] || b->features[3]) && !wrong(b, PM_FEATURES_FAR))
		return false;
	return wrong(b, PM_FEATURES_OK) || (!(f & ~offers(b)) && f & BIT(VIRTIO_F_VERSION_1));
}

static void agree(struct mutant_pci *b)
{
	b->m.features = b->features[0] | (uint64_t)b->features[1] << 32;
	b->m.features_set = true;
	mutant_config(&b->m);
}

static void set_status(struct mutant_pci *b, uint8_t status)
{
	if (!status) {
		b->slow = wrong(b, PM_LEGACY_SLOW) ? 3 : 0;
		board_reset_all(b);
		return;
	}
	if (status & ~b->status & VIRTIO_STATUS_FEATURES_OK) {
		if (possible(b))
			agree(b);
		else
			status &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
	}
	b->status = status | (b->status & VIRTIO_STATUS_NEEDS_RESET);
}

static uint8_t shown_status(struct mutant_pci *b)
{
	if (b->slow) {
		b->slow--;
		return 1;
	}
	return wrong(b, PM_STATUS_STICKS) ? b->status & (uint8_t)~VIRTIO_STATUS_DRIVER_OK
					  : b->status;
}

/* ---- queues ---- */

static void interrupt(struct mutant_pci *b, unsigned index)
{
	uint16_t vector = b->queues[index].vector;

	if (!board_msix(b) || wrong(b, PM_PIN_MSIX)) {
		if (!wrong(b, PM_ISR_QUEUE))
			b->isr |= VIRTIO_PCI_ISR_QUEUE;
		board_update_pin(b);
	}
	if (!board_msix(b))
		return;
	if (wrong(b, PM_VECTOR_FIXED) && !index)
		vector = 1;
	if (wrong(b, PM_NO_VECTOR_0) && vector == VIRTIO_MSI_NO_VECTOR)
		vector = 0;
	board_message(b, vector);
}

static void run(struct mutant_pci *b, unsigned index)
{
	struct queue *q = &b->m.queues[index];
	unsigned before = q->calls;

	if (!(b->status & VIRTIO_STATUS_DRIVER_OK) && !b->legacy && !wrong(b, PM_EARLY) &&
	    !wrong(b, PM_RESET_GOES_ON))
		return;
	q->kicked = true;
	queue_run(&b->m, q);
	if (q->calls != before)
		interrupt(b, index);
	if (!q->broken || b->status & VIRTIO_STATUS_NEEDS_RESET || wrong(b, PM_NO_NEEDS_RESET))
		return;
	b->status |= VIRTIO_STATUS_NEEDS_RESET;
	if (!wrong(b, PM_NEEDS_SILENT))
		board_config_changed(b);
}

static bool usable(const struct mutant_pci *b, const struct board_queue *q)
{
	bool packed = b->features[1] & 4;
	bool in_memory = guest_at_user(&b->m, q->desc, vring_desc_size(q->size)) &&
			 guest_at_user(&b->m, q->driver, vring_driver_size(q->size, packed)) &&
			 guest_at_user(&b->m, q->device, vring_device_size(q->size, packed));

	if (wrong(b, PM_TAKES_SIZE))
		return true;
	return vring_num_ok(q->size, packed) && (in_memory || wrong(b, PM_TAKES_OUTSIDE)) &&
	       ((!(q->desc % 16) && !(q->driver % 2) && !(q->device % 4)) ||
		wrong(b, PM_TAKES_ODD));
}

static void place(struct mutant_pci *b, unsigned index)
{
	const struct board_queue *q = &b->queues[index];
	struct queue *ring = &b->m.queues[index];

	ring->num = q->size;
	ring->desc_user = q->desc;
	ring->driver_user = q->driver;
	ring->device_user = q->device;
	ring->addressed = true;
}

static void enable(struct mutant_pci *b, unsigned index)
{
	struct queue *ring = &b->m.queues[index];

	if (!usable(b, &b->queues[index]) && !b->legacy)
		return;
	b->queues[index].enable = true;
	place(b, index);
	ring->started = ring->enabled = true;
	ring->broken = false;
	if (!wrong(b, PM_QUEUE_AGAIN) || !ring->last_avail || !b->queues[index].resetting) {
		ring->last_avail = ring->last_used = 0;
		ring->avail_wrap = ring->used_wrap = true;
	}
	b->queues[index].resetting = wrong(b, PM_QUEUE_RESET_1);
	ring->signalled_valid = false;
	if (wrong(b, PM_EARLY))
		run(b, index);
}

static void reset_queue(struct mutant_pci *b, unsigned index)
{
	for (unsigned i = 0; i < QUEUES; i++)
		if (i == index || wrong(b, PM_QUEUE_ALL))
			forget(b, i);
}

static void kick(struct mutant_pci *b, unsigned index, uint32_t value, unsigned size)
{
	bool packed = b->m.features & BIT(VIRTIO_F_RING_PACKED);
	bool data = b->m.features & BIT(VIRTIO_F_NOTIFICATION_DATA);
	uint32_t wanted = index;

	if (b->m.features & BIT(VIRTIO_F_NOTIF_CONFIG_DATA) && !wrong(b, PM_KICK_CONFIG))
		wanted += BOARD_DATA;
	if (index >= QUEUES || (value & 0xffff) != wanted || size != (data ? 4 : 2))
		return;
	if ((wrong(b, PM_KICK_FIRST) && index) || (wrong(b, PM_KICK_PACKED) && packed) ||
	    (wrong(b, PM_KICK_DATA) && data) ||
	    (wrong(b, PM_KICK_DATA_PACKED) && data && packed && value >> 31))
		return;
	run(b, index);
}

/* ---- the common configuration ---- */

#define AT(field)   offsetof(struct virtio_pci_common_cfg, field)
#define SIZE(field) sizeof(((struct virtio_pci_common_cfg *)NULL)->field)

static void halves(le32 to[2], uint64_t v)
{
	to[0] = le32_make((uint32_t)v);
	to[1] = le32_make((uint32_t)(v >> 32));
}

static uint32_t offered_word(const struct mutant_pci *b)
{
	uint32_t select = wrong(b, PM_SELECT) ? b->device_select & 1 : b->device_select;

	return select < 2 ? (uint32_t)(offers(b) >> 32 * select) : 0;
}

static uint32_t driver_word(const struct mutant_pci *b)
{
	uint32_t select = wrong(b, PM_FEATURE_WORD) ? 0 : b->driver_select;

	if (b->legacy && select == 1)
		return wrong(b, PM_LEGACY_HIGH);
	return select < 2 ? b->features[select] & (uint32_t)(offers(b) >> 32 * select) : 0;
}

/* What the driver would see everywhere. */
static struct virtio_pci_common_cfg face(struct mutant_pci *b)
{
	static const struct board_queue none = {.vector = VIRTIO_MSI_NO_VECTOR};
	bool there = b->queue_select < QUEUES;
	const struct board_queue *q = there ? &b->queues[b->queue_select] : &none;
	struct virtio_pci_common_cfg r = {
		.device_feature_select = le32_make(b->device_select),
		.device_feature = le32_make(offered_word(b)),
		.driver_feature_select = le32_make(b->driver_select),
		.driver_feature = le32_make(driver_word(b)),
		.config_msix_vector = le16_make(b->config_vector),
		.num_queues = le16_make(QUEUES),
		.device_status = b->status,
		.config_generation = b->generation,
		.queue_select = le16_make(b->queue_select),
		.queue_size = le16_make(there || !wrong(b, PM_SIZE_BEYOND) ? q->size : 64),
		.queue_msix_vector = le16_make(q->vector),
		.queue_enable = le16_make(q->enable),
		.queue_notify_off = le16_make(there ? b->queue_select : 0),
		.queue_notif_config_data = le16_make((uint16_t)(BOARD_DATA + b->queue_select)),
		.queue_reset = le16_make(q->resetting && q->enable),
		.admin_queue_index = le16_make(0),
		.admin_queue_num = le16_make(wrong(b, PM_ADMIN)),
	};

	if (!there && wrong(b, PM_SIZE_BEYOND))
		r.queue_size = le16_make(64);
	halves(r.queue_desc, q->desc);
	halves(r.queue_driver, q->driver);
	halves(r.queue_device, q->device);
	return r;
}

static uint16_t possible_vector(const struct mutant_pci *b, le16 v)
{
	return le16_get(v) < BOARD_VECTORS || wrong(b, PM_VECTOR_ANY) ? le16_get(v)
								      : VIRTIO_MSI_NO_VECTOR;
}

static uint64_t whole(const struct mutant_pci *b, const le32 v[2], bool low_written)
{
	uint64_t high = wrong(b, PM_HALVES) && low_written ? 0 : le32_get(v[1]);

	return le32_get(v[0]) | high << 32;
}

static void common_write(struct mutant_pci *b, uint32_t at, uint32_t value, unsigned size)
{
	struct virtio_pci_common_cfg r = face(b);
	struct board_queue *q = b->queue_select < QUEUES ? &b->queues[b->queue_select] : NULL;
	bool fixed = !q || (q->enable && !wrong(b, PM_ENABLED_MOVES));

	if (at + size > sizeof(r))
		return;
	memcpy((uint8_t *)&r + at, &value, size);
#define WRITTEN(field) (at < AT(field) + SIZE(field) && at + size > AT(field))
	if (WRITTEN(device_feature_select))
		b->device_select = le32_get(r.device_feature_select);
	if (WRITTEN(driver_feature_select))
		b->driver_select = le32_get(r.driver_feature_select);
	if (WRITTEN(driver_feature) && b->driver_select < 4)
		b->features[b->driver_select] = le32_get(r.driver_feature);
	if (WRITTEN(config_msix_vector))
		b->config_vector = possible_vector(b, r.config_msix_vector);
	if (WRITTEN(device_status))
		set_status(b, r.device_status);
	if (WRITTEN(config_generation) && wrong(b, PM_NEIGHBOUR))
		b->status = (uint8_t)value;
	if (WRITTEN(queue_select))
		b->queue_select = le16_get(r.queue_select);
	if (WRITTEN(queue_msix_vector) && q)
		q->vector = possible_vector(b, r.queue_msix_vector);
	if (WRITTEN(queue_reset) && le16_get(r.queue_reset) == 1 && q && q->enable) {
		reset_queue(b, b->queue_select);
		q->resetting = wrong(b, PM_QUEUE_AGAIN);
	}
	if (fixed)
		return;
	if (WRITTEN(queue_size) && !wrong(b, PM_SIZE_FIXED))
		q->size = le16_get(r.queue_size);
	if (WRITTEN(queue_desc))
		q->desc = whole(b, r.queue_desc, at == AT(queue_desc));
	if (WRITTEN(queue_driver))
		q->driver = whole(b, r.queue_driver, at == AT(queue_driver));
	if (WRITTEN(queue_device))
		q->device = whole(b, r.queue_device, at == AT(queue_device));
	if (q->enable)
		place(b, b->queue_select);
	if (WRITTEN(queue_enable) && le16_get(r.queue_enable) == 1)
		enable(b, b->queue_select);
}

/* ---- ISR status, device configuration, the whole BAR ---- */

static uint8_t isr_read(struct mutant_pci *b, bool stays)
{
	uint8_t isr = b->isr;

	if (!stays)
		b->isr = 0;
	board_update_pin(b);
	return isr;
}

static uint32_t device_read(struct mutant_pci *b, uint32_t at, unsigned size, bool words)
{
	uint32_t value = 0;

	if (words && size == 1)
		at &= ~3u;
	if (at < sizeof(b->m.config) && size <= sizeof(b->m.config) - at)
		memcpy(&value, (uint8_t *)&b->m.config + at, size);
	return value;
}

static void device_write(struct mutant_pci *b, uint32_t at, uint32_t value)
{
	if (at >= sizeof(b->m.config) && wrong(b, PM_CONFIG_END))
		board_reset_all(b);
	if (at == offsetof(struct virtio_blk_config, writeback))
		b->m.config.writeback = (uint8_t)value;
}

uint32_t modern_read(struct mutant_pci *b, uint32_t at, unsigned size)
{
	struct virtio_pci_common_cfg r;
	uint32_t value = 0;

	if (at >= BOARD_NOTIFY)
		return 0;
	if (at >= BOARD_DEVICE)
		return device_read(b, at - BOARD_DEVICE, size, wrong(b, PM_CONFIG_WORDS));
	if (at >= BOARD_ISR)
		return at == BOARD_ISR ? isr_read(b, wrong(b, PM_ISR_STAYS)) : 0;
	if (at <= AT(config_generation) && at + size > AT(config_generation) && b->changed) {
		if (!wrong(b, PM_GENERATION))
			b->generation++;
		b->changed = false;
	}
	r = face(b);
	r.device_status = at == AT(device_status) ? shown_status(b) : b->status;
	if (at + size <= sizeof(r))
		memcpy(&value, (uint8_t *)&r + at, size);
	return value;
}

void modern_write(struct mutant_pci *b, uint32_t at, uint32_t value, unsigned size)
{
	if (at >= BOARD_NOTIFY)
		kick(b, (at - BOARD_NOTIFY) / 4, value, size);
	else if (at >= BOARD_DEVICE)
		device_write(b, at - BOARD_DEVICE, value);
	else if (at < BOARD_ISR)
		common_write(b, at, value, size);
}

/* ---- the legacy header ---- */

static uint32_t config_at(const struct mutant_pci *b)
{
	return board_msix(b) && !wrong(b, PM_LEGACY_PLACE) && !wrong(b, PM_LEGACY_VECTORS) ? 24
											   : 20;
}

uint32_t legacy_read(struct mutant_pci *b, uint32_t at, unsigned size)
{
	const struct board_queue *q = b->queue_select < QUEUES ? &b->queues[b->queue_select] : NULL;

	if (at >= config_at(b))
		return device_read(b, at - config_at(b), size, wrong(b, PM_LEGACY_WORDS));
	switch (at) {
	case VIRTIO_PCI_LEGACY_DEVICE_FEATURES:
		return (uint32_t)offers(b);
	case VIRTIO_PCI_LEGACY_DRIVER_FEATURES:
		return b->features[0];
	case VIRTIO_PCI_LEGACY_QUEUE_PFN:
		return q && (q->enable || wrong(b, PM_PAGE_STAYS)) ? (uint32_t)(q->desc / 4096) : 0;
	case VIRTIO_PCI_LEGACY_QUEUE_SIZE:
		return q ? q->size : 0;
	case VIRTIO_PCI_LEGACY_QUEUE_SELECT:
		return b->queue_select;
	case VIRTIO_PCI_LEGACY_STATUS:
		return shown_status(b);
	case VIRTIO_PCI_LEGACY_ISR:
		return isr_read(b, wrong(b, PM_LEGACY_ISR));
	case VIRTIO_PCI_LEGACY_CONFIG_VECTOR:
		return b->config_vector;
	case VIRTIO_PCI_LEGACY_QUEUE_VECTOR:
		return q ? q->vector : VIRTIO_MSI_NO_VECTOR;
	default:
		return 0;
	}
}

static void set_page(struct mutant_pci *b, struct board_queue *q, uint32_t page)
{
	if (!page) {
		forget(b, b->queue_select);
		return;
	}
	q->size = BOARD_RING;
	q->desc = page * UINT64_C(4096);
	q->driver = q->desc + vring_desc_size(q->size);
	q->device = q->driver + vring_driver_size(q->size, false);
	q->device = wrong(b, PM_LEGACY_ALIGN) ? (q->device + 3) & ~UINT64_C(3)
					      : (q->device + 4095) & ~UINT64_C(4095);
	enable(b, b->queue_select);
}

void legacy_write(struct mutant_pci *b, uint32_t at, uint32_t value, unsigned size)
{
	struct board_queue *q = b->queue_select < QUEUES ? &b->queues[b->queue_select] : NULL;

	(void)size;
	if (at >= config_at(b)) {
		device_write(b, at - config_at(b), value);
		return;
	}
	b->legacy = true;
	switch (at) {
	case VIRTIO_PCI_LEGACY_DRIVER_FEATURES:
		b->features[0] = value & (uint32_t)offers(b);
		agree(b);
		break;
	case VIRTIO_PCI_LEGACY_QUEUE_PFN:
		if (q)
			set_page(b, q, value);
		break;
	case VIRTIO_PCI_LEGACY_QUEUE_SIZE:
		if (q && wrong(b, PM_LEGACY_SIZE))
			q->size = (uint16_t)value;
		break;
	case VIRTIO_PCI_LEGACY_QUEUE_SELECT:
		b->queue_select = (uint16_t)value;
		break;
	case VIRTIO_PCI_LEGACY_QUEUE_NOTIFY:
		if (value < QUEUES)
			run(b, value);
		break;
	case VIRTIO_PCI_LEGACY_STATUS:
		set_status(b, (uint8_t)value);
		b->legacy = value;
		break;
	case VIRTIO_PCI_LEGACY_CONFIG_VECTOR:
		b->config_vector = possible_vector(b, le16_make((uint16_t)value));
		break;
	case VIRTIO_PCI_LEGACY_QUEUE_VECTOR:
		if (q)
			q->vector = possible_vector(b, le16_make((uint16_t)value));
		break;
	default:
		break;
	}
}
