/* SPDX-License-Identifier: MIT */
/*
 * Rules of the PCI transport for drivers (virtio 1.4, 4.1), against boards made by hand: odd,
 * decoyed and hostile ones.
 */
#include "test.h"

#include "frontend/virtio/vdriver.h"
#include "frontend/virtio_pci/transport.h"

#include <errno.h>
#include <string.h>

#define BAR4	  UINT64_C(0xe0000000)
#define BAR4_SIZE 0x4000u
#define IO_BASE	  0xc000u

struct board {
	struct pci_access access;
	uint8_t config[256];
	uint8_t mem[BAR4_SIZE];
	uint8_t io[64];
	unsigned last; /* end of the capability list */
	/* What the driver did. */
	unsigned bad_width, cap_writes, outside, writes_of_0_to_size, kicks_16, kicks_32;
	uint32_t last_kick;
	uint64_t last_kick_at;
	bool gone, no_vectors;
	uint64_t queue_fields; /* first bytes of those written, one bit each */
	uint64_t fields_at_enable;
	unsigned busy_looks, early_status; /* what a reset takes, and writes meanwhile */
	unsigned reset_looks, gone_after;  /* at a queue's reset; 0: it stays there    */
};

static struct board B;

static uint32_t load(const uint8_t *p, unsigned size)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < size; i++)
		v |= (uint32_t)p[i] << 8 * i;
	return v;
}
static void store(uint8_t *p, uint32_t v, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static uint32_t config_read(struct pci_access *a, unsigned bdf, unsigned offset, unsigned size)
{
	(void)a;
	if (bdf || B.gone || offset + size > 256)
		return size == 4 ? UINT32_MAX : (1u << 8 * size) - 1;
	return load(B.config + offset, size);
}
static void config_write(struct pci_access *a, unsigned bdf, unsigned offset, uint32_t v,
			 unsigned size)
{
	uint32_t mask = UINT32_MAX;

	(void)a;
	if (bdf || B.gone)
		return;
	if (offset >= 0x40 && load(B.config + PCI_CAP_POINTER, 1) &&
	    B.config[offset & 0xfc] != 0x11 && B.config[(offset - 2) & 0xff] != 0x11)
		B.cap_writes++;
	if (offset == PCI_BAR0)
		mask = ~((uint32_t)sizeof(B.io) - 1u);
	else if (offset == PCI_BAR0 + 16)
		mask = ~(BAR4_SIZE - 1u);
	else if (offset > PCI_BAR0 && offset < PCI_BAR0 + 24 && offset != PCI_BAR0 + 20)
		mask = 0;
	store(B.config + offset, (load(B.config + offset, size) & ~mask) | (v & mask), size);
}

/* Widths of the common configuration's registers by their first byte. */
static unsigned width_at(uint64_t at)
{
	static const uint8_t two[] = {16, 18, 22, 24, 26, 28, 30, 56, 58};

	if (at == 20 || at == 21)
		return 1;
	for (size_t i = 0; i < sizeof(two); i++)
		if (two[i] == at)
			return 2;
	return 4;
}

static uint32_t mem_read(uint64_t address, unsigned size)
{
	uint64_t at = address - BAR4;

	if (at + size > BAR4_SIZE || at % size) {
		B.outside++;
		return UINT32_MAX;
	}
	if (at < 64 && (width_at(at) != size))
		B.bad_width++;
	if (at == 58 && ++B.reset_looks == B.gone_after)
		B.gone = true;
	if (B.no_vectors && (at == 16 || at == 26))
		return 0xffff;
	if (at == 20 && B.busy_looks) {
		B.busy_looks--;
		return VIRTIO_STATUS_DRIVER_OK;
	}
	return load(B.mem + at, size);
}
static void mem_write(uint64_t address, uint32_t v, unsigned size)
{
	uint64_t at = address - BAR4;

	if (at + size > BAR4_SIZE || at % size) {
		B.outside++;
		return;
	}
	if (at < 64 && width_at(at) != size)
		B.bad_width++;
	/* PCI-G-05: the read-only ones, and values that may not be written. */
	if (at == 4 || at == 18 || at == 21 || at == 30 || at == 56)
		B.bad_width++;
	if ((at == 24 && (!v || v & (v - 1))) || (at == 28 && v != 1))
		B.writes_of_0_to_size++;
	if (at >= 24 && at < 56)
		B.queue_fields |= UINT64_C(1) << at;
	if (at == 28)
		B.fields_at_enable = B.queue_fields;
	B.early_status += at == 20 && v && B.busy_looks;
	if (at >= 0x3000) {
		B.last_kick = v;
		B.last_kick_at = at;
		*(size == 2 ? &B.kicks_16 : &B.kicks_32) += 1;
	}
	store(B.mem + at, v, size);
}
static uint32_t port_read(uint64_t port, unsigned size)
{
	return port - IO_BASE + size <= sizeof(B.io) ? load(B.io + (port - IO_BASE), size)
						     : UINT32_MAX;
}
static void port_write(uint64_t port, uint32_t v, unsigned size)
{
	if (port - IO_BASE + size <= sizeof(B.io))
		store(B.io + (port - IO_BASE), v, size);
	else
		B.outside++;
}
static uint32_t bar_read(struct pci_access *a, bool io, uint64_t address, unsigned size)
{
	(void)a;
	return io ? port_read(address, size) : mem_read(address, size);
}
static void bar_write(struct pci_access *a, bool io, uint64_t address, uint32_t v, unsigned size)
{
	(void)a;
	if (io)
		port_write(address, v, size);
	else
		mem_write(address, v, size);
}

static const struct pci_access_ops ops = {
	.config_read = config_read,
	.config_write = config_write,
	.read = bar_read,
	.write = bar_write,
};

static void link_cap(unsigned at)
{
	B.config[B.last] = (uint8_t)at;
	B.last = at + 1;
}
static void vcap(unsigned at, unsigned type, unsigned len, unsigned bar, uint32_t offset,
		 uint32_t length)
{
	link_cap(at);
	B.config[at] = PCI_CAP_VENDOR;
	B.config[at + 2] = (uint8_t)len;
	B.config[at + 3] = (uint8_t)type;
	B.config[at + 4] = (uint8_t)bar;
	store(B.config + at + 8, offset, 4);
	store(B.config + at + 12, length, 4);
}

/* A function with BARs and no capabilities. */
static void bare(uint16_t device, uint8_t revision)
{
	memset(&B, 0, sizeof(B));
	B.access.ops = &ops;
	store(B.config, 0x1af4, 2);
	store(B.config + 2, device, 2);
	B.config[PCI_REVISION] = revision;
	store(B.config + PCI_SUBSYSTEM_ID, 2, 2);
	B.config[PCI_STATUS] = PCI_STATUS_CAP_LIST;
	store(B.config + PCI_BAR0, IO_BASE | PCI_BAR_IO, 4);
	store(B.config + PCI_BAR0 + 16, (uint32_t)BAR4 | PCI_BAR_64, 4);
	B.last = PCI_CAP_POINTER;
	store(B.mem + 18, 4, 2);
	store(B.mem + 24, 128, 2);
}
static void good_caps(void)
{
	vcap(0x60, VIRTIO_PCI_CAP_COMMON_CFG, 16, 4, 0, 64);
	vcap(0x70, VIRTIO_PCI_CAP_ISR_CFG, 16, 4, 0x1000, 1);
	vcap(0x80, VIRTIO_PCI_CAP_DEVICE_CFG, 16, 4, 0x2000, 60);
	vcap(0x90, VIRTIO_PCI_CAP_NOTIFY_CFG, 20, 4, 0x3000, 16);
	store(B.config + 0xa0, 4, 4);
}
static int open_board(struct pcidev *dev, struct vpci *v, enum vpci_how how)
{
	int rc = pcidev_open(dev, &B.access, 0);

	return rc ? rc : vpci_open(v, dev, how);
}
static void check_good(const struct vpci *v)
{
	assert_int_equal(v->common.offset, 0);
	assert_int_equal(v->isr.offset, 0x1000);
	assert_int_equal(v->device.offset, 0x2000);
	assert_int_equal(v->notify.offset, 0x3000);
	assert_int_equal(v->multiplier, 4);
	assert_int_equal(B.cap_writes, 0);
	assert_int_equal(B.outside, 0);
	assert_int_equal(B.bad_width, 0);
}

static void pci_g_01_ids_of_any_revision(void **state)
{
	static const struct {
		uint16_t device, type;
		int rc;
	} ids[] = {{0x1042, 2, 0}, {0x1041, 1, 0},	{0x1001, 2, 0},	     {0x107f, 0x3f, 0},
		   {0x103f, 2, 0}, {0xfff, 0, -ENODEV}, {0x1080, 0, -ENODEV}};
	struct pcidev dev;
	struct vpci v;

	(void)state;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		for (unsigned revision = 0; revision < 256; revision += 51) {
			bare(ids[i].device, (uint8_t)revision);
			good_caps();
			assert_int_equal(open_board(&dev, &v, VPCI_MODERN), ids[i].rc);
			if (!ids[i].rc)
				assert_int_equal(v.type, ids[i].type);
		}
	bare(0x1042, 1);
	good_caps();
	store(B.config, 0x8086, 2);
	assert_int_equal(open_board(&dev, &v, VPCI_ANY), -ENODEV);
}

static void pci_g_02_widths(void **state)
{
	struct vpci_ring ring = {.num = 16,
				 .desc = 0x123456000,
				 .driver = 0x2000,
				 .device = 0x3000,
				 .vector = VIRTIO_MSI_NO_VECTOR};
	struct vpci_kick kick;
	uint8_t buf[60];
	struct pcidev dev;
	struct vpci v;

	(void)state;
	bare(0x1042, 1);
	good_caps();
	assert_int_equal(open_board(&dev, &v, VPCI_ANY), 0);
	vpci_features(&v);
	vpci_set_features(&v, UINT64_MAX);
	vpci_set_status(&v, 0);
	vpci_status(&v);
	vpci_generation(&v);
	vpci_num_queues(&v);
	v.features = 0;
	assert_int_equal(vpci_queue_setup(&v, 0, &ring, &kick), 0);
	vpci_queue_enable(&v, 0);
	vpci_queue_reset(&v, 0);
	vpci_queue_resetting(&v, 0);
	vpci_isr(&v);
	assert_int_equal(vpci_config_read(&v, 0, buf, 60), 0);
	assert_int_equal(vpci_config_read(&v, 33, buf, 1), 0);
	assert_int_equal(vpci_config_read(&v, 57, buf, 4), -EINVAL);
	check_good(&v);
	assert_int_equal(B.writes_of_0_to_size, 0);
	assert_int_equal(load(B.mem + 32, 4), 0x23456000);
	assert_int_equal(load(B.mem + 36, 4), 1);
}

static void pci_g_03_decoys_before_the_real_ones(void **state)
{
	struct pcidev dev;
	struct vpci v;

	(void)state;
	bare(0x1042, 1);
	vcap(0x40, 77, 16, 4, 0, 64);					/* reserved type */
	vcap(0x50, VIRTIO_PCI_CAP_COMMON_CFG, 16, 6, 0, 64);		/* reserved BAR */
	vcap(0xa8, VIRTIO_PCI_CAP_COMMON_CFG, 16, 4, 2, 64);		/* unaligned */
	vcap(0xb8, VIRTIO_PCI_CAP_COMMON_CFG, 16, 2, 0, 64);		/* no such BAR */
	vcap(0xc8, VIRTIO_PCI_CAP_NOTIFY_CFG, 20, 4, BAR4_SIZE - 1, 4); /* off the end */
	vcap(0xe0, VIRTIO_PCI_CAP_ISR_CFG, 8, 4, 0, 1);			/* too short a capability */
	good_caps();
	assert_int_equal(open_board(&dev, &v, VPCI_ANY), 0);
	check_good(&v);
}

static void pci_g_03_longer_than_known(void **state)
{
	struct pcidev dev;
	struct vpci v;

	(void)state;
	bare(0x1042, 1);
	vcap(0x40, VIRTIO_PCI_CAP_COMMON_CFG, 40, 4, 0, 0x400);
	vcap(0x70, VIRTIO_PCI_CAP_ISR_CFG, 24, 4, 0x1000, 0x100);
	vcap(0x90, VIRTIO_PCI_CAP_DEVICE_CFG, 16, 4, 0x2000, 0x1000);
	vcap(0xa0, VIRTIO_PCI_CAP_NOTIFY_CFG, 32, 4, 0x3000, 0x1000);
	store(B.config + 0xb0, 4, 4);
	assert_int_equal(open_board(&dev, &v, VPCI_ANY), 0);
	check_good(&v);
}

static void pci_g_03_first_usable_one_counts(void **state)
{
	struct pcidev dev;
	struct vpci v;

	(void)state;
	bare(0x1042, 1);
	good_caps();
	vcap(0xb0, VIRTIO_PCI_CAP_COMMON_CFG, 16, 4, 0x400, 64);
	vcap(0xc0, VIRTIO_PCI_CAP_NOTIFY_CFG, 20, 4, 0x3800, 16);
	store(B.config + 0xd0, 64, 4);
	assert_int_equal(open_board(&dev, &v, VPCI_ANY), 0);
	check_good(&v);
}

static void kb_95_hostile_capability_lists(void **state)
{
	struct pcidev dev;
	struct vpci v;

	(void)state;
	/* A loop of one, a loop of all, a pointer into the header, all ones. */
	for (unsigned next = 0; next < 256; next++) {
		bare(0x1042, 1);
		vcap(0x60, VIRTIO_PCI_CAP_COMMON_CFG, 16, 4, 0, 64);
		B.config[0x61] = (uint8_t)next;
		open_board(&dev, &v, VPCI_MODERN);
		bare(0x1042, 1);
		good_caps();
		B.config[0x91] = (uint8_t)next;
		assert_int_equal(open_board(&dev, &v, VPCI_MODERN), 0);
		bare(0x1042, 1);
		good_caps();
		B.config[PCI_CAP_POINTER] = (uint8_t)next;
		open_board(&dev, &v, VPCI_MODERN);
		assert_int_equal(B.outside, 0);
	}
	/* Any one byte of the capabilities wrong. */
	for (unsigned at = 0x60; at < 0xa4; at++)
		for (unsigned value = 0; value < 256; value += 5) {
			struct vpci_ring ring = {.num = 16, .vector = VIRTIO_MSI_NO_VECTOR};
			struct vpci_kick kick;

			bare(0x1042, 1);
			good_caps();
			B.config[at] = (uint8_t)value;
			if (open_board(&dev, &v, VPCI_MODERN))
				continue;
			store(B.mem + v.common.offset + 30, 3, 2);
			if (!vpci_queue_setup(&v, 3, &ring, &kick))
				vpci_kick(&v, &kick, 3);
			assert_int_equal(B.outside, 0);
		}
	bare(0x1042, 1);
	B.gone = true;
	assert_int_equal(open_board(&dev, &v, VPCI_ANY), -ENODEV);
}

static void kb_95_unplugged(void **state)
{
	struct pcidev dev;
	struct vpci v;

	(void)state;
	bare(0x1042, 1);
	good_caps();
	assert_int_equal(open_board(&dev, &v, VPCI_ANY), 0);
	assert_true(pcidev_alive(&dev));
	B.gone = true;
	assert_false(pcidev_alive(&dev));
	assert_int_equal(pcidev_cap(&dev, PCI_CAP_VENDOR, 0), 0);
}

/* A good board with two vectors, and MSI-X on. */
static void open_with_vectors(struct pcidev *dev, struct vpci *v)
{
	bare(0x1042, 1);
	good_caps();
	link_cap(0xb0);
	B.config[0xb0] = PCI_CAP_MSIX;
	store(B.config + 0xb2, 1, 2);
	store(B.config + 0xb4, 0x2800 | 4, 4);
	assert_int_equal(open_board(dev, v, VPCI_ANY), 0);
	assert_int_equal(vpci_msix(v, true), 0);
}

static void pci_g_06_queue_fields_before_enable(void **state)
{
	static const unsigned fields[] = {24, 26, 32, 36, 40, 44, 48, 52};
	struct vpci_ring ring = {
		.num = 16, .desc = 0x1000, .driver = 0x2000, .device = 0x3000, .vector = 1};
	struct vpci_kick kick;
	struct pcidev dev;
	struct vpci v;

	(void)state;
	open_with_vectors(&dev, &v);
	assert_int_equal(vpci_queue_setup(&v, 0, &ring, &kick), 0);
	vpci_queue_enable(&v, 0);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		assert_true(B.fields_at_enable >> fields[i] & 1);
	B.queue_fields = 0;
	vpci_kick(&v, &kick, 0);
	vpci_status(&v);
	assert_true(B.queue_fields == 0);
}

static void pci_g_06_a_queue_reset_is_over_when_it_reads_0(void **state)
{
	struct pcidev dev;
	struct vpci v;

	(void)state;
	open_with_vectors(&dev, &v);
	vpci_queue_enable(&v, 0);
	vpci_queue_reset(&v, 0);
	assert_int_equal(load(B.mem + 58, 2), 1);
	assert_true(vpci_queue_resetting(&v, 0));
	store(B.mem + 58, 0, 2);
	assert_true(vpci_queue_resetting(&v, 0)); /* enabled still */
	store(B.mem + 28, 0, 2);
	assert_false(vpci_queue_resetting(&v, 0));
}

static void pci_g_06_a_reset_is_awaited(void **state)
{
	static const struct vpci_platform_ops nothing = {0};
	struct vpci_platform platform = {.ops = &nothing};
	static struct vpci_transport t;
	struct vdriver driver;
	struct pcidev dev;
	struct error err;

	(void)state;
	bare(0x1042, 1);
	good_caps();
	assert_int_equal(pcidev_open(&dev, &B.access, 0), 0);
	assert_int_equal(vpci_transport_init(&t, &dev, &platform, &err), 0);
	vdriver_init(&driver, &t.base);
	B.busy_looks = 3;
	assert_int_equal(vdriver_begin(&driver, &err), 0);
	assert_int_equal(B.busy_looks, 0);
	assert_int_equal(B.early_status, 0);
	assert_int_equal(load(B.mem + 20, 1), VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
}

/* Each look costs an access, and may cost a message: they become fewer, and end. */
static void a_queues_reset_is_not_awaited_for_ever(void **state)
{
	static const struct vpci_platform_ops nothing = {0};
	struct vpci_platform platform = {.ops = &nothing};
	static struct vpci_transport t;
	struct pcidev dev;
	struct error err;

	(void)state;
	bare(0x1042, 1);
	good_caps();
	assert_int_equal(pcidev_open(&dev, &B.access, 0), 0);
	assert_int_equal(vpci_transport_init(&t, &dev, &platform, &err), 0);
	t.base.reset_ms = 20;
	B.reset_looks = 0;
	assert_int_equal(t.base.ops->queue_reset(&t.base, 0, &err), -ETIMEDOUT);
	assert_true(B.reset_looks < 2000);
	/* One that goes meanwhile is not waited for at all. */
	t.base.reset_ms = 3600000;
	B.reset_looks = 0;
	B.gone_after = 1010;
	assert_int_equal(t.base.ops->queue_reset(&t.base, 0, &err), -ENOTCONN);
}

/*
 * There is one kind of access to capabilities, by reading: no window into a BAR is
 * used, no vendor's data.
 */
static void pci_g_08_capabilities_are_only_read(void **state)
{
	struct vpci_ring ring = {.num = 16, .vector = 0};
	struct vpci_kick kick;
	struct pcidev dev;
	struct vpci v;

	(void)state;
	open_with_vectors(&dev, &v);
	vcap(0xc0, VIRTIO_PCI_CAP_PCI_CFG, 20, 0, 0, 0);
	vcap(0xe0, 9, 16, 0, 0, 0); /* vendor data */
	assert_int_equal(open_board(&dev, &v, VPCI_ANY), 0);
	assert_int_equal(vpci_msix(&v, true), 0);
	vpci_set_status(&v, 0);
	vpci_set_features(&v, 0);
	assert_int_equal(vpci_queue_setup(&v, 0, &ring, &kick), 0);
	vpci_queue_enable(&v, 0);
	vpci_kick(&v, &kick, 0);
	assert_int_equal(B.cap_writes, 0);
	assert_int_equal(B.outside, 0);
}

static void pci_g_11_one_look_tells_queue_and_config(void **state)
{
	struct pcidev dev;
	struct vpci v;

	(void)state;
	open_with_vectors(&dev, &v);
	B.mem[0x1000] = VIRTIO_PCI_ISR_QUEUE | VIRTIO_PCI_ISR_CONFIG;
	assert_int_equal(vpci_isr(&v), VIRTIO_PCI_ISR_QUEUE | VIRTIO_PCI_ISR_CONFIG);
}

static void pci_g_09_vectors(void **state)
{
	struct vpci_ring ring = {.num = 16, .vector = 1};
	struct vpci_kick kick;
	struct pcidev dev;
	struct vpci v;

	(void)state;
	bare(0x1042, 1);
	good_caps();
	link_cap(0xb0);
	B.config[0xb0] = PCI_CAP_MSIX;
	store(B.config + 0xb2, 1, 2); /* two vectors */
	store(B.config + 0xb4, 0x2800 | 4, 4);
	assert_int_equal(open_board(&dev, &v, VPCI_ANY), 0);
	assert_int_equal(v.n_vectors, 2);
	assert_int_equal(vpci_queue_setup(&v, 0, &ring, &kick), -EIO); /* not on yet */
	assert_int_equal(vpci_msix(&v, true), 0);
	assert_int_equal(load(B.config + 0xb2, 2), 0x8001);
	assert_int_equal(vpci_queue_setup(&v, 0, &ring, &kick), 0);
	ring.vector = 2; /* beyond the table */
	assert_int_equal(vpci_queue_setup(&v, 0, &ring, &kick), -EIO);
	assert_int_equal(vpci_config_vector(&v, 0), 0);
	B.no_vectors = true;
	ring.vector = 1;
	assert_int_equal(vpci_queue_setup(&v, 0, &ring, &kick), -EIO);
	assert_int_equal(vpci_config_vector(&v, 1), -EIO);
	vpci_vector(&v, 1, UINT64_C(0x1fee00000), 0x4321);
	assert_int_equal(load(B.mem + 0x2810, 4), 0xfee00000);
	assert_int_equal(load(B.mem + 0x2814, 4), 1);
	assert_int_equal(load(B.mem + 0x2818, 4), 0x4321);
	assert_int_equal(load(B.mem + 0x281c, 4), 0);
	/* A table off the end of its BAR is none. */
	store(B.config + 0xb4, 0x3ff0 | 4, 4);
	assert_int_equal(open_board(&dev, &v, VPCI_ANY), 0);
	assert_int_equal(vpci_msix(&v, true), -ENOTSUP);
}

static void pci_g_10_notifications(void **state)
{
	struct vpci_ring ring = {.num = 16, .vector = VIRTIO_MSI_NO_VECTOR};
	struct vpci_kick kick;
	struct pcidev dev;
	struct vpci v;

	(void)state;
	for (unsigned how = 0; how < 4; how++) {
		uint16_t data = how & 2 ? 0xabcd : 2;

		bare(0x1042, 1);
		good_caps();
		store(B.mem + 30, 2, 2);
		store(B.mem + 56, 0xabcd, 2);
		assert_int_equal(open_board(&dev, &v, VPCI_ANY), 0);
		vpci_set_features(
			&v, (how & 1 ? UINT64_C(1) << VIRTIO_F_NOTIFICATION_DATA : 0) |
				    (how & 2 ? UINT64_C(1) << VIRTIO_F_NOTIF_CONFIG_DATA : 0));
		assert_int_equal(vpci_queue_setup(&v, 2, &ring, &kick), 0);
		vpci_kick(&v, &kick, 0x12340002);
		assert_int_equal(B.last_kick_at, 0x3008);
		assert_int_equal(B.kicks_16, !(how & 1));
		assert_int_equal(B.kicks_32, how & 1);
		assert_int_equal(B.last_kick, how & 1 ? 0x12340000u | data : data);
		assert_int_equal(B.outside, 0);
	}
	/* A place outside the structure. */
	store(B.mem + 30, 4, 2);
	assert_int_equal(vpci_queue_setup(&v, 2, &ring, &kick), -EIO);
}

static void pci_l_05_no_capabilities_is_legacy(void **state)
{
	struct vpci_ring ring = {.num = 4,
				 .desc = 0x10000,
				 .driver = 0x10040,
				 .device = 0x11000,
				 .vector = VIRTIO_MSI_NO_VECTOR};
	struct vpci_kick kick;
	struct pcidev dev;
	struct vpci v;

	(void)state;
	bare(0x1001, 0);
	assert_int_equal(open_board(&dev, &v, VPCI_ANY), 0);
	assert_true(v.legacy);
	assert_int_equal(vpci_queue_setup(&v, 1, &ring, &kick), 0);
	assert_int_equal(load(B.io + 8, 4), 0x10);
	vpci_kick(&v, &kick, 0x50001);
	assert_int_equal(load(B.io + 16, 2), 1);
	ring.device = 0x12000; /* not where it must be */
	assert_int_equal(vpci_queue_setup(&v, 1, &ring, &kick), -EINVAL);
	assert_int_equal(open_board(&dev, &v, VPCI_MODERN), -ENXIO);
	/* A modern id never had the header. */
	bare(0x1042, 0);
	assert_int_equal(open_board(&dev, &v, VPCI_ANY), -ENXIO);
	/* Both: the capabilities win, unless asked otherwise. */
	bare(0x1001, 0);
	good_caps();
	assert_int_equal(open_board(&dev, &v, VPCI_ANY), 0);
	assert_false(v.legacy);
	assert_int_equal(open_board(&dev, &v, VPCI_LEGACY), 0);
	assert_true(v.legacy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pci_g_01_ids_of_any_revision),
		cmocka_unit_test(pci_g_02_widths),
		cmocka_unit_test(pci_g_03_decoys_before_the_real_ones),
		cmocka_unit_test(pci_g_03_longer_than_known),
		cmocka_unit_test(pci_g_03_first_usable_one_counts),
		cmocka_unit_test(kb_95_hostile_capability_lists),
		cmocka_unit_test(kb_95_unplugged),
		cmocka_unit_test(pci_g_06_queue_fields_before_enable),
		cmocka_unit_test(pci_g_06_a_queue_reset_is_over_when_it_reads_0),
		cmocka_unit_test(pci_g_06_a_reset_is_awaited),
		cmocka_unit_test(a_queues_reset_is_not_awaited_for_ever),
		cmocka_unit_test(pci_g_08_capabilities_are_only_read),
		cmocka_unit_test(pci_g_09_vectors),
		cmocka_unit_test(pci_g_10_notifications),
		cmocka_unit_test(pci_g_11_one_look_tells_queue_and_config),
		cmocka_unit_test(pci_l_05_no_capabilities_is_legacy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
