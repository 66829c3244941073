/* SPDX-License-Identifier: MIT */
/*
 * A guest that writes anything anywhere: ports, configuration space, BARs, rings, of any width and
 * order, while another processor kicks.  Nothing may crash, hang or touch a byte outside guest
 * memory (the memory has nothing around it), and after a reset of the machine everything works.
 *
 * Each variant makes BOARD_FUZZ_ACCESSES accesses (the environment may name another
 * number) from a fixed seed.
 */
#include "test.h"

#include "board_rig.h"
#include "net_wire.h"

#include "base/atomic.h"
#include "base/log.h"
#include "wire/virtio_blk.h"
#include "wire/virtio_net.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * The device copies out of memory that the guest writes to: a race by nature, and nothing for
 * ThreadSanitizer.  In the three builds of ./check there are 14.8 million accesses in all.
 */
#ifdef BASE_TSAN
#define GUEST_WRITES_MEMORY false
#define ACCESSES_DEFAULT    150000u
#else
#define GUEST_WRITES_MEMORY true
#define ACCESSES_DEFAULT    600000u
#endif

struct variant {
	struct br_options o;
	bool net; /* a network card instead of the disk */
	uint64_t seed;
};

static uint64_t next(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static unsigned below(uint64_t *s, unsigned n)
{
	return (unsigned)(next(s) >> 20) % n;
}

static uint64_t some_value(uint64_t *s)
{
	static const uint64_t known[] = {0,
					 1,
					 2,
					 3,
					 4,
					 7,
					 8,
					 11,
					 15,
					 0x7f,
					 0x80,
					 0xff,
					 0x100,
					 0x7fff,
					 0xffff,
					 0x10000,
					 0x101000,
					 0x102000,
					 0x104000,
					 0x10fff0,
					 0x7fffffff,
					 0xe0004000,
					 0xfee00000,
					 0xffffffff,
					 UINT64_C(1) << 32,
					 UINT64_C(1) << 63,
					 UINT64_MAX};

	switch (below(s, 4)) {
	case 0:
		return next(s);
	case 1:
		return BR_RAM + (next(s) & (BR_RAM_SIZE - 1) & ~UINT64_C(4095));
	default:
		return known[below(s, ARRAY_SIZE(known))];
	}
}

static unsigned some_size(uint64_t *s, unsigned max)
{
	unsigned size = 1u << below(s, 4);

	return size > max ? max : size;
}

/* Where a driver would write: more than now and then. */
static uint64_t some_offset(uint64_t *s, uint64_t bar_size)
{
	switch (below(s, 8)) {
	case 0:
		return next(s) % bar_size;
	case 1:
		return (VIRTIO_PCI_AT_NOTIFY + 4 * below(s, 5)) % bar_size;
	case 2:
		return (VIRTIO_PCI_AT_DEVICE + below(s, 100)) % bar_size;
	case 3:
		return VIRTIO_PCI_AT_ISR % bar_size;
	default:
		return below(s, 64) % bar_size;
	}
}

static void touch_bar(struct board_rig *r, uint64_t *s)
{
	static const uint8_t which[] = {0, 0, 1, 4, 4, 4};
	struct pci_bar *bar = &r->board->fn.bars[which[below(s, sizeof(which))]];
	uint64_t at;
	unsigned size;

	if (!bar->mapped)
		return;
	at = bar->region.base + some_offset(s, bar->region.size);
	size = some_size(s, bar->region.space == SYSBUS_PORT ? 4 : 8);
	if (below(s, 3))
		sysbus_write(&r->plane.bus, bar->region.space, at, some_value(s), size);
	else
		sysbus_read(&r->plane.bus, bar->region.space, at, size);
}

static void touch_config(struct board_rig *r, uint64_t *s)
{
	static const uint8_t devfns[] = {0, 8, 0x18, 0x18, 0x18, 0x18, 0x20};
	uint32_t address = PCI_CONFIG_ENABLE | (uint32_t)devfns[below(s, sizeof(devfns))] << 8 |
			   (below(s, 256) & 0xfc);
	unsigned size = some_size(s, 4);

	if (!below(s, 16))
		address = (uint32_t)some_value(s);
	sysbus_write(&r->plane.bus, SYSBUS_PORT, PCI_CONFIG_ADDRESS_PORT, address, 4);
	if (below(s, 2))
		sysbus_write(&r->plane.bus, SYSBUS_PORT, PCI_CONFIG_DATA_PORT + below(s, 4),
			     some_value(s), size);
	else
		sysbus_read(&r->plane.bus, SYSBUS_PORT, PCI_CONFIG_DATA_PORT + below(s, 4), size);
}

static void decode_on(struct board_rig *r, uint64_t *s)
{
	struct pci_function *fn = &r->board->fn;

	pci_function_config_write(fn, PCI_COMMAND, 7 | below(s, 2) << 10, 2);
	for (unsigned i = 0; i < PCI_BARS; i++)
		if (fn->bars[i].region.size && !fn->bars[i].mapped) {
			bool io = fn->bars[i].flags & PCI_BAR_IO;

			pci_function_config_write(fn, PCI_BAR0 + 4 * i,
						  io ? 0xc000 : 0xe0000000 + (i << 20), 4);
			if (fn->bars[i].flags & PCI_BAR_64)
				pci_function_config_write(fn, PCI_BAR0 + 4 * i + 4, 0, 4);
		}
}

/* Rings and descriptors of random content, at the places that some_value() knows. */
static void touch_memory(struct board_rig *r, uint64_t *s)
{
	uint64_t at = 0x101000 + next(s) % 0x4000;
	uint8_t value = (uint8_t)some_value(s);

	/* The device may read it at the same time: as a guest's store, which is no data race. */
	__atomic_store_n((uint8_t *)br_at(r, at), value, __ATOMIC_RELAXED);
}

static bool not_resetting(struct board_rig *r, void *arg)
{
	(void)arg;
	return !r->board->resetting;
}

struct step {
	unsigned at, size;
	uint64_t value;
};

static void take(struct board_rig *r, uint64_t *s, unsigned bar, const struct step *steps, size_t n)
{
	const struct pci_bar *b = &r->board->fn.bars[bar];

	for (size_t i = 0; i < n && b->mapped; i++)
		if (below(s, 60))
			sysbus_write(&r->plane.bus, b->region.space, b->region.base + steps[i].at,
				     steps[i].value, steps[i].size);
}

/*
 * As a driver would start the device, more or less, so that what lies behind DRIVER_OK is met, too.
 */
static void almost_start(struct board_rig *r, uint64_t *s)
{
	/* VERSION_1, and now and then packed rings and queue reset. */
	uint64_t high = 1 | (next(s) & 0x104), queue = r->net ? below(s, 3) : 0;
	/* MAC, MRG_RXBUF, STATUS, CTRL_VQ and what it can do, or anything. */
	uint64_t low = !r->net ? 0 : below(s, 2) ? 0x9f8020 : next(s) & 0xffffff;

	const struct step modern[] = {
		{20, 1, 1},  {20, 1, 3},	{8, 4, 0},	   {12, 4, low | below(s, 2) << 28},
		{8, 4, 1},   {12, 4, high},	{20, 1, 11},	   {22, 2, queue},
		{24, 2, 16}, {32, 8, 0x101000}, {40, 8, 0x102000}, {48, 8, 0x103000},
		{26, 2, 1},  {28, 2, 1},	{20, 1, 15},
	};
	const struct step legacy[] = {
		{18, 1, 1}, {18, 1, 3}, {4, 4, 0}, {14, 2, queue}, {8, 4, 0x101}, {18, 1, 7},
	};

	decode_on(r, s);
	if (below(s, 4)) {
		take(r, s, VIRTIO_PCI_BAR_MODERN, &(struct step){20, 1, 0}, 1);
		take(r, s, VIRTIO_PCI_BAR_LEGACY, &(struct step){18, 1, 0}, 1);
		br_until(r, not_resetting, NULL);
	}
	if (r->board->options.no_modern || (!r->board->options.no_legacy && below(s, 2)))
		take(r, s, VIRTIO_PCI_BAR_LEGACY, legacy, ARRAY_SIZE(legacy));
	else
		take(r, s, VIRTIO_PCI_BAR_MODERN, modern, ARRAY_SIZE(modern));
}

/*
 * A request that is good, or nearly: split rings as almost_start() lays them, a packed one by luck.
 */
static void almost_request(struct board_rig *r, uint64_t *s)
{
	struct virtq_desc desc[3] = {
		{le64_make(0x108000), le32_make(16), le16_make(VIRTQ_DESC_F_NEXT), le16_make(1)},
		{le64_make(0x109000), le32_make(512), le16_make(VIRTQ_DESC_F_NEXT), le16_make(2)},
		{le64_make(0x10a000), le32_make(1), le16_make(VIRTQ_DESC_F_WRITE), le16_make(0)},
	};
	unsigned type = below(s, 2) ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT;
	struct virtio_blk_req header = {.type = le32_make(type)};
	uint16_t idx = (uint16_t)__atomic_load_n((uint16_t *)br_at(r, 0x103002), __ATOMIC_RELAXED);
	struct virtio_pci_queue *q = &r->board->queues[r->net ? below(s, 3) : 0];
	const uint8_t *from = (const uint8_t *)desc;

	if (type == VIRTIO_BLK_T_IN)
		desc[1].flags = le16_make(VIRTQ_DESC_F_NEXT | VIRTQ_DESC_F_WRITE);
	if (!below(s, 8))
		desc[below(s, 3)].addr = le64_make(some_value(s));
	if (!below(s, 8))
		desc[below(s, 3)].len = le32_make((uint32_t)some_value(s));
	for (size_t i = 0; i < sizeof(desc); i++)
		__atomic_store_n((uint8_t *)br_at(r, 0x101000 + i), from[i], __ATOMIC_RELAXED);
	from = (const uint8_t *)&header;
	for (size_t i = 0; i < sizeof(header); i++)
		__atomic_store_n((uint8_t *)br_at(r, 0x108000 + i), from[i], __ATOMIC_RELAXED);
	for (unsigned i = 0; i < 16; i++)
		__atomic_store_n((uint16_t *)br_at(r, 0x102004 + 2 * i), (uint16_t)0,
				 __ATOMIC_RELAXED);
	__atomic_store_n((uint16_t *)br_at(r, 0x102002), (uint16_t)(idx + 1), __ATOMIC_RELEASE);
	(void)eventfd_write(q->kick_fd, 1);
}

/* Frames of any length, most of them for the card, with a header that means something or not. */
static void touch_wire(struct nr_wire *w, uint64_t *s)
{
	static const uint8_t mac[] = {2, 1, 2, 3, 4, 5};
	static uint8_t frame[4000], out[70000];
	struct virtio_net_hdr h = {0};
	size_t len = 1 + below(s, sizeof(frame) - 1);
	uint64_t lies = next(s);

	memcpy(frame, mac, below(s, 4) ? sizeof(mac) : 0);
	memcpy(&h, &lies, below(s, 3) ? 0 : sizeof(lies));
	while (nr_wire_receive(w, 0, &h, out, sizeof(out)) >= 0)
		;
	(void)nr_wire_try(w, 0, &h, frame, len);
}

struct kicker {
	pthread_t thread;
	const struct board_rig *r;
	bool stop;
};

static void *kick(void *arg)
{
	struct kicker *k = arg;

	while (!__atomic_load_n(&k->stop, __ATOMIC_RELAXED)) {
		for (unsigned i = 0; i < k->r->board->n_queues; i++)
			(void)eventfd_write(k->r->board->queues[i].kick_fd, 1);
		usleep(200);
	}
	return NULL;
}

static unsigned accesses(void)
{
	const char *n = getenv("BOARD_FUZZ_ACCESSES");

	return n ? (unsigned)strtoul(n, NULL, 10) : ACCESSES_DEFAULT;
}

static bool reset_is_over(struct board_rig *r, void *arg)
{
	(void)arg;
	return !r->board->resetting && !r->board->vdev->status;
}

/* A frame goes out, from the transmit queue to the wire. */
static void check_card(struct board_rig *r, struct nr_wire *w)
{
	bool long_header = r->features >> VIRTIO_NET_F_MRG_RXBUF & 1 ||
			   r->features >> VIRTIO_F_VERSION_1 & 1;
	struct vqdrv_buf buf = {br_alloc(r, 100, 16), long_header ? 72 : 70};
	struct br_queue *q = &r->queues[1];
	struct virtio_net_hdr h;
	uint8_t frame[100];
	uint32_t used;
	void *cookie;

	memset(br_at(r, buf.addr), 0, buf.len);
	while (nr_wire_receive(w, 0, &h, frame, sizeof(frame)) >= 0)
		;
	assert_int_equal(vqdrv_add(&q->drv, &buf, 1, 0, r), 0);
	vqdrv_publish(&q->drv);
	if (vqdrv_needs_kick(&q->drv))
		vpci_kick(&r->v, &q->kick, vqdrv_notify_value(&q->drv, 1));
	for (unsigned i = 0; !vqdrv_waiting(&q->drv) && i < 20000; i++)
		br_pump(r);
	assert_int_equal(vqdrv_reap(&q->drv, &cookie, &used), 1);
	assert_int_equal(nr_wire_receive(w, 0, &h, frame, sizeof(frame)), 60);
}

static void p_anything_anywhere(void **state)
{
	const struct variant *v = *state;
	struct br_options o = v->o;
	uint64_t s = v->seed;
	struct nr_wire *wire = NULL;
	struct board_rig r;
	struct kicker k = {.r = &r};

	if (v->net) {
		wire = nr_wire_new();
		o.net = &wire->link;
	}
	br_init(&r, &o);
	decode_on(&r, &s);
	assert_int_equal(pthread_create(&k.thread, NULL, kick, &k), 0);
	for (unsigned n = accesses(), i = 0; i < n; i++) {
		unsigned what = below(&s, 256);

		if (what < 120)
			touch_bar(&r, &s);
		else if (what < 200)
			touch_config(&r, &s);
		else if (what < 220 && GUEST_WRITES_MEMORY)
			touch_memory(&r, &s);
		else if (what < 244 && GUEST_WRITES_MEMORY)
			almost_request(&r, &s);
		else if (what < 248)
			decode_on(&r, &s);
		else if (what < 250)
			almost_start(&r, &s);
		else if (what == 250)
			virtio_device_config_changed(r.board->vdev);
		else if (what == 251 && !below(&s, 64))
			br_reset_line(&r);
		else if (what == 252 && wire)
			touch_wire(wire, &s);
		else if (what < 254)
			reactor_process(r.plane.home);
	}
	__atomic_store_n(&k.stop, true, __ATOMIC_RELAXED);
	pthread_join(k.thread, NULL);

	br_reset_line(&r);
	br_until(&r, reset_is_over, NULL);
	r.used = 0x10000;
	r.below.strange_messages = 0;
	br_find(&r, v->o.board.no_modern ? VPCI_LEGACY : VPCI_MODERN);
	br_start(&r, 0, !v->o.board.no_msix);
	if (wire)
		check_card(&r, wire);
	else
		br_check_io(&r);
	br_fini(&r);
}

#define VARIANT(n, sd, ...)                                                                     \
	{                                                                                       \
		.name = n, .test_func = p_anything_anywhere, .initial_state = &(struct variant) \
		{                                                                               \
			.seed = sd, __VA_ARGS__                                                 \
		}                                                                               \
	}

int main(void)
{
	struct CMUnitTest tests[] = {
		VARIANT("p_anything_anywhere_modern", 0x1234567, .o.board.no_legacy = true,
			.o.queues = 4),
		VARIANT("p_anything_anywhere_modern_bare_host", 0x2345671,
			.o.board.no_legacy = true, .o.host.no_ioeventfd = true,
			.o.host.no_irqfd = true),
		VARIANT("p_anything_anywhere_transitional", 0x3456712, .o.queues = 2),
		VARIANT("p_anything_anywhere_transitional_bare_host", 0x4567123, .o.queues = 3,
			.o.host.no_ioeventfd = true, .o.host.no_irqfd = true),
		VARIANT("p_anything_anywhere_transitional_no_msix", 0x5671234,
			.o.board.no_msix = true),
		VARIANT("p_anything_anywhere_transitional_small_rings", 0x6712345,
			.o.queue_size = 8, .o.host.no_any_size = true),
		VARIANT("p_anything_anywhere_legacy", 0x7123456, .o.board.no_modern = true,
			.o.queues = 2),
		VARIANT("p_anything_anywhere_legacy_bare_host", 0x8234567,
			.o.board.no_modern = true, .o.host.no_ioeventfd = true,
			.o.host.no_irqfd = true),
		VARIANT("p_anything_anywhere_net", 0x9345678, .net = true),
		VARIANT("p_anything_anywhere_net_legacy", 0xa456789, .net = true,
			.o.board.no_modern = true),
		VARIANT("p_anything_anywhere_net_bare_host", 0xb56789a, .net = true,
			.o.host.no_ioeventfd = true, .o.host.no_irqfd = true),
	};

	log_setup(LOG_LEVEL_ERR, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
