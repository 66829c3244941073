/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "net_rig.h"

#include "base/atomic.h"
#include "base/clock.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#define HANG_NS	 (20 * NSEC_PER_SEC)
#define INDIRECT 80 /* entries of a table */

const uint8_t nr_mac[VIRTIO_NET_MAC_BYTES] = {0x02, 0x11, 0x22, 0x33, 0x44, 0x55};

/* ---- life ---- */

static void negotiate(struct net_rig *r, const struct nr_options *o)
{
	uint64_t features = dr_features(&r->net->vdev, o->features, o->without);

	if (o->legacy)
		features = virtio_features_grounded(features & (BIT64(32) - 1));
	r->dev.bus.takes_legacy = o->legacy;
	dr_drive(&r->dev, features, o->num ? o->num : 64, 0);
}

void nr_init(struct net_rig *r, const struct nr_options *o)
{
	struct virtio_net_options net = {.path = "net0",
					 .pairs = o->pairs ? o->pairs : 1,
					 .mtu = o->mtu,
					 .speed = o->speed,
					 .no_packed = o->no_packed,
					 .no_event_idx = o->no_event_idx,
					 .no_mrg_rxbuf = o->no_mrg_rxbuf,
					 .queue_size = NET_QUEUE_SIZE_MAX};
	struct device_rig *d = &r->dev;

	memcpy(net.mac, nr_mac, sizeof(nr_mac));
	dr_init(d, "net-rig", 256u << 20, o->workers ? o->workers : 1, test_uring());
	d->table_len = INDIRECT;
	r->wire = nr_wire_new();
	assert_int_equal(virtio_net_create(&r->net, &net, &r->wire->link, d->home, d->workers,
					   d->n_workers, 0, NULL),
			 0);
	dr_attach(d, &r->net->vdev, 2 * net.pairs + 1);
	negotiate(r, o);
	r->ctrl = nr_alloc(r, 4096, 16);
}

void nr_restart(struct net_rig *r, const struct nr_options *o)
{
	assert_int_equal(dr_reset(&r->dev), 0);
	negotiate(r, o);
}

void nr_fini(struct net_rig *r)
{
	assert_int_equal(dr_reset(&r->dev), 0);
	dr_detach(&r->dev);
	virtio_net_destroy(&r->net);
	dr_fini(&r->dev);
}

/* ---- chains ---- */

bool nr_reap(struct net_rig *r, unsigned queue, void **cookie, uint32_t *len)
{
	struct dr_queue *nq = &r->dev.queues[queue];
	uint64_t end = clock_ns() + HANG_NS;

	for (;;) {
		struct pollfd p = {.fd = nq->call, .events = POLLIN};
		eventfd_t n;
		int rc = vqdrv_reap(&nq->drv, cookie, len);

		if (rc)
			return rc > 0;
		if (clock_ns() > end)
			return false;
		if (vqdrv_calls_on(&nq->drv))
			continue;
		/* Sleeps as a guest would: an interrupt that never comes shows as a hang here. */
		if (poll(&p, 1, 20) == 1)
			(void)eventfd_read(nq->call, &n);
		reactor_process(r->dev.home);
		vqdrv_calls_off(&nq->drv);
	}
}

static void nothing(void *arg)
{
	(void)arg;
}

void nr_nothing(struct net_rig *r, unsigned queue)
{
	uint32_t len;
	void *cookie;

	/* Every worker has been through its whole loop. */
	for (unsigned k = 0; k < 3; k++)
		for (unsigned i = 0; i < r->dev.n_workers; i++)
			worker_call(r->dev.workers[i], nothing, NULL);
	assert_int_equal(vqdrv_reap(&r->dev.queues[queue].drv, &cookie, &len), 0);
}

uint64_t nr_buffer(struct net_rig *r, unsigned pair, uint32_t len)
{
	uint64_t at = nr_alloc(r, len, 16);
	struct vqdrv_buf buf = {at, len};

	memset(nr_at(r, at), 0xee, len);
	nr_add(r, 2 * pair, &buf, 0, 1, nr_at(r, at));
	return at;
}

void nr_frame(uint8_t *frame, size_t len, uint8_t seed)
{
	static const uint8_t head[8] = {0x02, 0x66, 0x77, 0x88, 0x99, 0xaa, 0x08, 0x00};

	memcpy(frame, nr_mac, sizeof(nr_mac));
	memcpy(frame + sizeof(nr_mac), head, sizeof(head));
	for (size_t i = 14; i < len; i++)
		frame[i] = (uint8_t)(i * 7 + seed);
}

void nr_transmit(struct net_rig *r, unsigned pair, const struct virtio_net_hdr *h,
		 const void *frame, size_t len)
{
	struct virtio_net_hdr none = {0};
	unsigned header = net_header_bytes(r->net);
	uint64_t at = nr_alloc(r, header + len + 1, 16);
	struct vqdrv_buf bufs[] = {{at, header}, {at + header, (uint32_t)len}};
	uint32_t used;
	void *cookie;

	memcpy(nr_at(r, at), h ? h : &none, header);
	memcpy(nr_at(r, at + header), frame, len);
	nr_add(r, 2 * pair + 1, bufs, len ? 2 : 1, 0, r);
	assert_true(nr_reap(r, 2 * pair + 1, &cookie, &used));
	assert_ptr_equal(cookie, r);
	assert_int_equal(used, 0);
}

unsigned nr_control(const struct net_rig *r)
{
	return virtio_device_has(&r->net->vdev, VIRTIO_NET_F_MQ) ? r->dev.n_queues - 1 : 2;
}

int nr_command(struct net_rig *r, uint8_t class, uint8_t command, const void *data, uint32_t len)
{
	struct virtio_net_ctrl head = {class, command};
	uint64_t ack = r->ctrl + sizeof(head) + len;
	struct vqdrv_buf bufs[] = {
		{r->ctrl, sizeof(head)}, {r->ctrl + sizeof(head), len}, {ack, 1}};
	uint32_t used;
	void *cookie;

	assert_true(sizeof(head) + len < 4096);
	memcpy(nr_at(r, r->ctrl), &head, sizeof(head));
	memcpy(nr_at(r, r->ctrl + sizeof(head)), data, len);
	*(uint8_t *)nr_at(r, ack) = 0xff;
	if (!len)
		bufs[1] = bufs[2];
	nr_add(r, nr_control(r), bufs, len ? 2 : 1, 1, r);
	assert_true(nr_reap(r, nr_control(r), &cookie, &used));
	assert_int_equal(used, 1);
	return *(uint8_t *)nr_at(r, ack);
}

bool nr_passes(struct net_rig *r, const uint8_t *frame, size_t len)
{
	uint8_t mark[64];
	uint32_t used;
	void *cookie;
	uint8_t *got;

	/* Behind it comes one that certainly passes: what arrives first tells. */
	nr_frame(mark, sizeof(mark), 0x5a);
	for (unsigned i = 0; i < VIRTIO_NET_MAC_BYTES; i++)
		mark[i] = (uint8_t)(r->mark_all ? 0xff : read_once(&r->net->mac) >> 8 * i);
	nr_buffer(r, 0, 2048);
	nr_wire_send(r->wire, 0, NULL, frame, len);
	nr_wire_send(r->wire, 0, NULL, mark, sizeof(mark));
	assert_true(nr_reap(r, 0, &cookie, &used));
	got = (uint8_t *)cookie + net_header_bytes(r->net);
	if (used == net_header_bytes(r->net) + sizeof(mark) && !memcmp(got, mark, sizeof(mark)))
		return false;
	assert_int_equal(used, net_header_bytes(r->net) + len);
	assert_memory_equal(got, frame, len);
	nr_buffer(r, 0, 2048);
	assert_true(nr_reap(r, 0, &cookie, &used));
	return true;
}
