/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "pc_rig.h"

#include "base/clock.h"
#include "vring/driver.h"
#include "wire/virtio_blk.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HANG_NS (60 * NSEC_PER_SEC)
#define RING	0x100000
#define DATA	0x200000

/* ---- the host ---- */

static struct pc_rig *rig_of(struct sysbus_host *host)
{
	return container_of(host, struct pc_rig, host);
}

static void irq_set(struct sysbus_host *host, unsigned gsi, bool level)
{
	assert_true(gsi < KVM_LINES);
	rig_of(host)->interrupts += level;
}

static void msi_send(struct sysbus_host *host, uint64_t address, uint32_t data)
{
	(void)address;
	(void)data;
	rig_of(host)->interrupts++;
}

static const struct sysbus_host_ops host_ops = {.irq_set = irq_set, .msi_send = msi_send};

static bool sent(struct serial_line *line, uint8_t byte)
{
	(void)line;
	return byte & 1; /* now and then it is full */
}

static const struct serial_line_ops line_ops = {.sent = sent};

/* ---- the processor ---- */

uint64_t pc_rig_read(struct pc_rig *r, enum sysbus_space space, uint64_t addr, unsigned size)
{
	uint64_t value;

	r->accesses++;
	backplane_lock(&r->pc->plane);
	value = sysbus_read(&r->pc->plane.bus, space, addr, size);
	backplane_unlock(&r->pc->plane);
	return value;
}

void pc_rig_write(struct pc_rig *r, enum sysbus_space space, uint64_t addr, uint64_t value,
		  unsigned size)
{
	r->accesses++;
	backplane_lock(&r->pc->plane);
	sysbus_write(&r->pc->plane.bus, space, addr, value, size);
	backplane_unlock(&r->pc->plane);
}

void *pc_rig_at(struct pc_rig *r, uint64_t gpa, uint64_t len)
{
	void *host = pc_memory_at(&r->pc->memory, gpa, len);

	assert_non_null(host);
	return host;
}

static struct pc_rig *of(struct pci_access *a)
{
	return container_of(a, struct pc_rig, access);
}

static void select_config(struct pci_access *a, unsigned bdf, unsigned offset)
{
	pc_rig_write(of(a), SYSBUS_PORT, PCI_CONFIG_ADDRESS_PORT,
		     PCI_CONFIG_ENABLE | bdf << 8 | (offset & 0xfc), 4);
}

static uint32_t config_read(struct pci_access *a, unsigned bdf, unsigned offset, unsigned size)
{
	select_config(a, bdf, offset);
	return (uint32_t)pc_rig_read(of(a), SYSBUS_PORT, PCI_CONFIG_DATA_PORT + (offset & 3), size);
}

static void config_write(struct pci_access *a, unsigned bdf, unsigned offset, uint32_t value,
			 unsigned size)
{
	select_config(a, bdf, offset);
	pc_rig_write(of(a), SYSBUS_PORT, PCI_CONFIG_DATA_PORT + (offset & 3), value, size);
}

static uint32_t bar_read(struct pci_access *a, bool io, uint64_t address, unsigned size)
{
	return (uint32_t)pc_rig_read(of(a), io ? SYSBUS_PORT : SYSBUS_MEMORY, address, size);
}

static void bar_write(struct pci_access *a, bool io, uint64_t address, uint32_t value,
		      unsigned size)
{
	pc_rig_write(of(a), io ? SYSBUS_PORT : SYSBUS_MEMORY, address, value, size);
}

static const struct pci_access_ops access_ops = {
	.config_read = config_read,
	.config_write = config_write,
	.read = bar_read,
	.write = bar_write,
};

/* ---- life ---- */

static void add_disk(struct pc *pc, const char *words)
{
	struct virtio_pci_options board = {
		.no_legacy = strstr(words, "modern-only"),
		.no_modern = strstr(words, "legacy-only"),
		.no_msix = strstr(words, "no-msix"),
	};
	struct disk_spec spec = {0};
	struct error err;

	assert_int_equal(disk_spec_parse("file=memory:1M,packed=on", &spec, &err), 0);
	spec.queues = strstr(words, "queues") ? 4 : 1;
	if (pc_add_disk(pc, &spec, &board, &err))
		fail_msg("%s", err.text);
	disk_spec_fini(&spec);
}

typedef int (*adder)(struct pc *pc, const struct disk_spec *spec, struct error *err);

static void add_emulated(struct pc *pc, adder add)
{
	struct disk_spec spec = {0};
	struct error err;

	assert_int_equal(disk_spec_parse("file=memory:1M", &spec, &err), 0);
	if (add(pc, &spec, &err))
		fail_msg("%s", err.text);
	disk_spec_fini(&spec);
}

static void add_net(struct pc_rig *r)
{
	const struct virtio_pci_options board = {0};
	struct net_link *link;
	struct net_spec spec;
	struct error err;
	int ends[2];

	assert_int_equal(net_spec_parse("socket=nowhere", &spec, &err), 0);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
	if (net_socket_adopt(&link, ends[0], &err) || pc_add_net(r->pc, link, &spec, &board, &err))
		fail_msg("%s", err.text);
	r->wire = ends[1];
}

static void add_device(struct pc_rig *r, const char *words)
{
	if (!strcmp(words, "ide"))
		add_emulated(r->pc, pc_add_ide);
	else if (!strcmp(words, "scsi"))
		add_emulated(r->pc, pc_add_scsi_disk);
	else if (!strcmp(words, "net"))
		add_net(r);
	else
		add_disk(r->pc, words);
}

void pc_rig_init(struct pc_rig *r, const char *const *devices)
{
	struct pc_config config = {
		.memory = PC_RIG_MEMORY, .cpus = 1, .serial = &r->line, .workers = 2};
	struct error err;

	*r = (struct pc_rig){.line.ops = &line_ops, .access.ops = &access_ops};
	if (pc_create(&r->pc, &config, &err))
		fail_msg("%s", err.text);
	r->host.ops = &host_ops;
	r->pc->plane.bus.host = &r->host;
	for (; *devices; devices++)
		add_device(r, *devices);
	fw_cfg_init(&r->pc->fw_cfg, &r->pc->plane.bus, 1);
	assert_int_equal(fw_cfg_set_file(&r->pc->fw_cfg, "bootorder", "nothing", 8), 0);
	pc_rig_assign(r);
}

void pc_rig_fini(struct pc_rig *r)
{
	pc_destroy(&r->pc);
	if (r->wire)
		close(r->wire);
}

void pc_rig_assign(struct pc_rig *r)
{
	backplane_lock(&r->pc->plane);
	pc_assign_pci(r->pc);
	backplane_unlock(&r->pc->plane);
}

void pc_rig_turn(struct pc_rig *r)
{
	backplane_lock(&r->pc->plane);
	reactor_process(r->pc->plane.home);
	backplane_unlock(&r->pc->plane);
}

void pc_rig_wait(struct pc_rig *r, int ms)
{
	struct pollfd fd = {.fd = reactor_fd(r->pc->plane.home), .events = POLLIN};

	poll(&fd, 1, ms);
	pc_rig_turn(r);
}

static bool resetting(const struct pc_rig *r)
{
	list_for_each (l, &r->pc->plane.cards) {
		const struct virtio_card *c = virtio_card_of(list_entry(l, struct card, link));

		if (c && (c->board.resetting || c->vdev->status))
			return true;
	}
	return false;
}

static void wait_for_it(struct pc_rig *r, uint64_t end)
{
	assert_true(clock_ns() < end);
	pc_rig_wait(r, 1);
}

void pc_rig_reset(struct pc_rig *r)
{
	pc_reset_devices(r->pc);
	r->pc->end = PC_RUNNING;
	pc_rig_assign(r);
}

/* ---- a disk that works ---- */

uint64_t pc_rig_requests(const struct pc_rig *r)
{
	const struct virtio_card *c;
	uint64_t n = 0;

	for (unsigned i = 0; (c = pc_virtio_card(r->pc, VIRTIO_ID_BLOCK, i)); i++)
		for (unsigned k = 0; k < c->vdev->n_queues; k++)
			n += c->vdev->queues[k].requests;
	return n;
}

struct check {
	struct pc_rig *r;
	struct vpci v;
	struct vqdrv drv;
	struct vpci_kick kick;
	void *state;
};

static void start(struct check *c)
{
	struct vpci_ring ring = {.desc = RING, .vector = VIRTIO_MSI_NO_VECTOR};
	struct vqdrv_config d = {0};
	uint64_t features;

	vpci_set_status(&c->v, 0);
	assert_int_equal(vpci_status(&c->v), 0);
	assert_int_equal(vpci_msix(&c->v, false), 0);
	vpci_set_status(&c->v, 1);
	vpci_set_status(&c->v, 3);
	features = vpci_features(&c->v) & (UINT64_C(1) << VIRTIO_F_VERSION_1);
	vpci_set_features(&c->v, features);
	if (!c->v.legacy) {
		vpci_set_status(&c->v, 11);
		assert_int_equal(vpci_status(&c->v), 11);
	}
	d.num = ring.num = vpci_queue_max(&c->v, 0);
	ring.driver = ring.desc + vring_desc_size(d.num);
	ring.device = align_up(ring.driver + vring_driver_size(d.num, false), 4096);
	d.desc = pc_rig_at(c->r, ring.desc, vring_desc_size(d.num));
	d.driver = pc_rig_at(c->r, ring.driver, vring_driver_size(d.num, false));
	d.device = pc_rig_at(c->r, ring.device, vring_device_size(d.num, false));
	d.state = c->state = calloc(1, vqdrv_state_bytes(d.num));
	assert_non_null(d.state);
	assert_int_equal(vqdrv_init(&c->drv, &d), 0);
	assert_int_equal(vpci_queue_setup(&c->v, 0, &ring, &c->kick), 0);
	vpci_queue_enable(&c->v, 0);
	vpci_set_status(&c->v, c->v.legacy ? 7 : 15);
}

static void request(struct check *c, uint32_t type, uint8_t *bytes)
{
	const struct virtio_blk_req header = {le32_make(type), le32_make(0), le64_make(5)};
	const struct vqdrv_buf bufs[] = {{DATA, sizeof(header)}, {DATA + 512, 512}, {DATA + 64, 1}};
	unsigned out = type == VIRTIO_BLK_T_OUT ? 2 : 1;
	uint64_t end = clock_ns() + HANG_NS;
	uint8_t *data = pc_rig_at(c->r, DATA, 1024);
	void *cookie;
	uint32_t len;

	memcpy(data, &header, sizeof(header));
	data[64] = 0xff;
	if (type == VIRTIO_BLK_T_OUT)
		memcpy(data + 512, bytes, 512);
	else
		memset(data + 512, 0, 512);
	assert_int_equal(vqdrv_add(&c->drv, bufs, out, 3 - out, c), 0);
	vqdrv_publish(&c->drv);
	vpci_kick(&c->v, &c->kick, vqdrv_notify_value(&c->drv, 0));
	while (vqdrv_reap(&c->drv, &cookie, &len) <= 0)
		wait_for_it(c->r, end);
	assert_int_equal(data[64], VIRTIO_BLK_S_OK);
	if (type == VIRTIO_BLK_T_IN)
		memcpy(bytes, data + 512, 512);
}

unsigned pc_rig_check(struct pc_rig *r)
{
	unsigned n = 0, bdf = 0;
	struct pcidev dev;

	for (; !pcidev_next(&dev, &r->access, bdf); bdf = dev.bdf + 1) {
		struct check c = {.r = r};
		uint8_t wrote[512], got[512] = {0};

		if (vpci_open(&c.v, &dev, VPCI_ANY) || c.v.type != VIRTIO_ID_BLOCK)
			continue;
		for (unsigned i = 0; i < sizeof(wrote); i++)
			wrote[i] = (uint8_t)(i * 7 + dev.bdf);
		start(&c);
		request(&c, VIRTIO_BLK_T_OUT, wrote);
		request(&c, VIRTIO_BLK_T_IN, got);
		assert_memory_equal(wrote, got, sizeof(wrote));
		vpci_set_status(&c.v, 0);
		for (uint64_t end = clock_ns() + HANG_NS; resetting(r);)
			wait_for_it(r, end);
		free(c.state);
		n++;
	}
	return n;
}

static uint64_t ide_read(struct pc_rig *r, uint64_t port, unsigned size)
{
	return pc_rig_read(r, SYSBUS_PORT, port, size);
}

void pc_rig_check_ide(struct pc_rig *r)
{
	for (unsigned i = 0; r->pc->ide && i < r->pc->ide->n_disks; i++) {
		uint64_t base = i / IDE_DRIVES ? 0x170 : 0x1f0, end = clock_ns() + HANG_NS;
		uint64_t words[256];

		pc_rig_write(r, SYSBUS_PORT, base + 6, 0xa0 | i % IDE_DRIVES << 4, 1);
		pc_rig_write(r, SYSBUS_PORT, base + 7, 0xec, 1); /* IDENTIFY DEVICE */
		while ((ide_read(r, base + 7, 1) & 0x88) != 0x08)
			wait_for_it(r, end);
		for (unsigned k = 0; k < ARRAY_SIZE(words); k++)
			words[k] = ide_read(r, base, 2);
		assert_true((words[60] | words[61] << 16) == 2048);
	}
}
