/* SPDX-License-Identifier: MIT */
#include "backend/net/virtio_net.h"

#include "base/atomic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_SIZE_DEFAULT 256

/* ---- features ---- */

static uint64_t offer(const struct net_link *link, const struct virtio_net_options *o)
{
	uint64_t f = BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_F_INDIRECT_DESC) |
		     BIT64(VIRTIO_F_EVENT_IDX) | BIT64(VIRTIO_F_IN_ORDER) |
		     BIT64(VIRTIO_F_RING_PACKED) | BIT64(VIRTIO_NET_F_MAC) |
		     BIT64(VIRTIO_NET_F_STATUS) | BIT64(VIRTIO_NET_F_MRG_RXBUF) |
		     BIT64(VIRTIO_NET_F_CTRL_VQ) | BIT64(VIRTIO_NET_F_CTRL_RX) |
		     BIT64(VIRTIO_NET_F_CTRL_RX_EXTRA) | BIT64(VIRTIO_NET_F_CTRL_VLAN) |
		     BIT64(VIRTIO_NET_F_CTRL_MAC_ADDR) | BIT64(VIRTIO_NET_F_GUEST_ANNOUNCE);

	f |= link->offloads;
	if (link->offloads & BIT64(VIRTIO_NET_F_GUEST_CSUM))
		f |= BIT64(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	if (o->pairs > 1)
		f |= BIT64(VIRTIO_NET_F_MQ);
	if (o->mtu || link->mtu)
		f |= BIT64(VIRTIO_NET_F_MTU);
	if (o->speed)
		f |= BIT64(VIRTIO_NET_F_SPEED_DUPLEX);
	if (o->no_packed)
		f &= ~BIT64(VIRTIO_F_RING_PACKED);
	if (o->no_event_idx)
		f &= ~BIT64(VIRTIO_F_EVENT_IDX);
	if (o->no_mrg_rxbuf)
		f &= ~BIT64(VIRTIO_NET_F_MRG_RXBUF);
	return f;
}

/* 5.1.3.1: each stands on one of those in @ground. */
static uint64_t net_grounded(uint64_t f)
{
	static const struct {
		unsigned feature;
		uint64_t ground;
	} on[] = {
		{VIRTIO_NET_F_GUEST_TSO4, BIT64(VIRTIO_NET_F_GUEST_CSUM)},
		{VIRTIO_NET_F_GUEST_TSO6, BIT64(VIRTIO_NET_F_GUEST_CSUM)},
		{VIRTIO_NET_F_GUEST_ECN,
		 BIT64(VIRTIO_NET_F_GUEST_TSO4) | BIT64(VIRTIO_NET_F_GUEST_TSO6)},
		{VIRTIO_NET_F_GUEST_USO4, BIT64(VIRTIO_NET_F_GUEST_CSUM)},
		{VIRTIO_NET_F_GUEST_USO6, BIT64(VIRTIO_NET_F_GUEST_CSUM)},
		{VIRTIO_NET_F_HOST_TSO4, BIT64(VIRTIO_NET_F_CSUM)},
		{VIRTIO_NET_F_HOST_TSO6, BIT64(VIRTIO_NET_F_CSUM)},
		{VIRTIO_NET_F_HOST_ECN,
		 BIT64(VIRTIO_NET_F_HOST_TSO4) | BIT64(VIRTIO_NET_F_HOST_TSO6)},
		{VIRTIO_NET_F_HOST_USO, BIT64(VIRTIO_NET_F_CSUM)},
		{VIRTIO_NET_F_CTRL_RX, BIT64(VIRTIO_NET_F_CTRL_VQ)},
		{VIRTIO_NET_F_CTRL_RX_EXTRA, BIT64(VIRTIO_NET_F_CTRL_VQ)},
		{VIRTIO_NET_F_CTRL_VLAN, BIT64(VIRTIO_NET_F_CTRL_VQ)},
		{VIRTIO_NET_F_GUEST_ANNOUNCE, BIT64(VIRTIO_NET_F_CTRL_VQ)},
		{VIRTIO_NET_F_MQ, BIT64(VIRTIO_NET_F_CTRL_VQ)},
		{VIRTIO_NET_F_CTRL_MAC_ADDR, BIT64(VIRTIO_NET_F_CTRL_VQ)},
		{VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, BIT64(VIRTIO_NET_F_CTRL_VQ)},
	};

	for (size_t i = 0; i < ARRAY_SIZE(on); i++)
		if (!(f & on[i].ground))
			f &= ~BIT64(on[i].feature);
	return f;
}

static void settle(struct virtio_net *net, uint64_t features)
{
	struct net_link *link = net->link;

	net_settings_begin(net, features);
	if (link->ops->set_pairs)
		(void)link->ops->set_pairs(link, 1);
	if (link->ops->set_offloads && link->ops->set_offloads(link, net->offloads))
		log_warn(net->vdev.path, "the link does not take the offloads 0x%llx",
			 (unsigned long long)net->offloads);
}

static void net_features_set(struct virtio_device *vdev)
{
	settle(virtio_net_of(vdev), vdev->features);
}

static void net_reset(struct virtio_device *vdev)
{
	struct virtio_net *net = virtio_net_of(vdev);

	write_once(&net->mac, net->mac_at_start);
	write_once(&net->announce, false);
	settle(net, 0);
}

/* ---- config space ---- */

static void net_config_read(struct virtio_device *vdev, size_t offset, void *buf, size_t len)
{
	struct virtio_net *net = virtio_net_of(vdev);
	struct virtio_net_config c = {0};
	uint64_t mac = read_once(&net->mac);
	uint16_t status = read_once(&net->link->up) ? VIRTIO_NET_S_LINK_UP : 0;

	if (read_once(&net->announce) && virtio_device_has(vdev, VIRTIO_NET_F_GUEST_ANNOUNCE))
		status |= VIRTIO_NET_S_ANNOUNCE;
	for (unsigned i = 0; i < sizeof(c.mac); i++)
		c.mac[i] = (uint8_t)(mac >> 8 * i);
	c.status = le16_make(status);
	c.max_virtqueue_pairs = le16_make((uint16_t)net->n_pairs);
	c.mtu = le16_make(net->mtu);
	c.speed = le32_make(net->speed ? net->speed : VIRTIO_NET_SPEED_UNKNOWN);
	c.duplex = net->speed ? VIRTIO_NET_DUPLEX_FULL : VIRTIO_NET_DUPLEX_NONE;
	memcpy(buf, (const uint8_t *)&c + offset, len);
}

/* 5.1.4.3: before version 1 the address was set by writing it here. */
static int net_config_write(struct virtio_device *vdev, size_t offset, const void *buf, size_t len)
{
	struct virtio_net *net = virtio_net_of(vdev);
	uint64_t mac = read_once(&net->mac);
	const uint8_t *bytes = buf;

	if (virtio_device_has(vdev, VIRTIO_F_VERSION_1) || offset + len > VIRTIO_NET_MAC_BYTES)
		return -EPERM;
	for (size_t i = 0; i < len; i++) {
		mac &= ~(UINT64_C(0xff) << 8 * (offset + i));
		mac |= (uint64_t)bytes[i] << 8 * (offset + i);
	}
	write_once(&net->mac, mac);
	return 0;
}

/* ---- the carrier ---- */

static void carrier_told(struct reactor_msg *msg)
{
	struct virtio_net *net = container_of(msg, struct virtio_net, carrier);
	bool up;

	store_release(&net->told, false);
	up = read_once(&net->link->up);
	if (up == net->was_up)
		return;
	net->was_up = up;
	/* Whoever is at the other end now has not seen the driver yet. */
	if (up)
		write_once(&net->announce, true);
	log_info(net->vdev.path, "the link is %s", up ? "up" : "down");
	virtio_device_config_changed(&net->vdev);
}

static void carrier(struct net_link_client *client, bool up)
{
	struct virtio_net *net = container_of(client, struct virtio_net, client);

	write_once(&net->link->up, up);
	if (!__atomic_exchange_n(&net->told, true, __ATOMIC_ACQ_REL))
		reactor_post(net->vdev.home, &net->carrier);
}

static void arrived(struct net_link_client *client, unsigned pair)
{
	struct virtio_net *net = container_of(client, struct virtio_net, client);

	virtio_queue_wake(&net->vdev.queues[2 * pair]);
}

/* ---- queues ---- */

enum role { RECEIVE, TRANSMIT, CONTROL, NONE };

/* 5.1.2: where the control queue is depends on MQ. */
static enum role role_of(struct virtio_net *net, const struct virtio_queue *q)
{
	if (q == net_control_queue(net))
		return virtio_device_has(&net->vdev, VIRTIO_NET_F_CTRL_VQ) ? CONTROL : NONE;
	if (q->index >= 2 && !virtio_device_has(&net->vdev, VIRTIO_NET_F_MQ))
		return NONE;
	return q->index % 2 ? TRANSMIT : RECEIVE;
}

static int net_queue_start(struct virtio_device *vdev, struct virtio_queue *q, struct error *err)
{
	struct virtio_net *net = virtio_net_of(vdev);

	switch (role_of(net, q)) {
	case RECEIVE:
		return net_receive_start(net, q, err);
	case TRANSMIT:
		return net_transmit_start(net, q, err);
	default:
		return 0;
	}
}

static void net_queue_stop(struct virtio_device *vdev, struct virtio_queue *q)
{
	struct virtio_net *net = virtio_net_of(vdev);

	switch (role_of(net, q)) {
	case RECEIVE:
		net_receive_stop(net, q);
		break;
	case TRANSMIT:
		net_transmit_stop(q);
		break;
	default:
		break;
	}
}

static int net_process(struct virtio_device *vdev, struct virtio_queue *q, unsigned budget)
{
	struct virtio_net *net = virtio_net_of(vdev);

	switch (role_of(net, q)) {
	case RECEIVE:
		return net_receive(net, q, budget);
	case TRANSMIT:
		return net_transmit(net, q, budget);
	case CONTROL:
		return net_control(net, q, budget);
	default:
		/* With these features there is no such queue; what waits there is not looked at. */
		virtio_queue_rest(q);
		return 0;
	}
}

static void net_let_go(struct virtio_device *vdev, struct virtio_queue *q)
{
	if (role_of(virtio_net_of(vdev), q) == RECEIVE)
		net_receive_let_go(q);
}

static void net_destroy(struct virtio_device *vdev)
{
	struct virtio_net *net = virtio_net_of(vdev);

	virtio_net_destroy(&net);
}

static const struct virtio_device_class virtio_net_class = {
	.name = "virtio-net",
	.id = VIRTIO_ID_NET,
	.config_size = sizeof(struct virtio_net_config),
	.config_read = net_config_read,
	.config_write = net_config_write,
	.grounded = net_grounded,
	.features_set = net_features_set,
	.reset = net_reset,
	.save = net_save,
	.load = net_load,
	.destroy = net_destroy,
	.queue_start = net_queue_start,
	.queue_stop = net_queue_stop,
	.process = net_process,
	.let_go = net_let_go,
};

/* ---- life ---- */

static int check(const struct virtio_net_options *o, const struct net_link *link, struct error *err)
{
	if (!o->pairs || o->pairs > NET_PAIRS_MAX)
		return error_set(err, -EINVAL, "%s: a network card has 1 to %d pairs of queues.",
				 o->path, NET_PAIRS_MAX);
	if (o->pairs > link->pairs)
		return error_set(err, -EINVAL, "%s: %s has at most %u pairs of queues, not %u.",
				 o->path, link->ops->name, link->pairs, o->pairs);
	if (o->queue_size > NET_QUEUE_SIZE_MAX)
		return error_set(err, -EINVAL, "%s: a ring has at most %d entries.", o->path,
				 NET_QUEUE_SIZE_MAX);
	if (o->mtu && o->mtu < VIRTIO_NET_MTU_MIN)
		return error_set(err, -EINVAL, "%s: an MTU is at least %u.", o->path,
				 VIRTIO_NET_MTU_MIN);
	if (o->speed > VIRTIO_NET_SPEED_MAX)
		return error_set(err, -EINVAL, "%s: a speed is at most %u Mbit/s.", o->path,
				 VIRTIO_NET_SPEED_MAX);
	if (o->mac[0] & 1)
		return error_set(err, -EINVAL, "%s: a group's address is no card's.", o->path);
	return 0;
}

/* What works badly, but works. */
static void warn_of_words(const struct virtio_net_options *o, const struct net_link *link)
{
	if (link->mtu && o->mtu > link->mtu)
		log_warn(o->path, "mtu=%u is more than %s has (%u): longer frames will be lost",
			 o->mtu, link->ops->name, link->mtu);
	if (link->has_mac && !memcmp(link->mac, o->mac, sizeof(o->mac)))
		log_warn(o->path,
			 "the card's address is %s's own: the host takes what is sent to it for "
			 "itself; give another mac=",
			 link->ops->name);
}

int virtio_net_create(struct virtio_net **out, const struct virtio_net_options *o,
		      struct net_link *link, struct reactor *home, struct worker *const *workers,
		      unsigned n_workers, unsigned first_worker, struct error *err)
{
	struct virtio_net *net;
	int rc = check(o, link, err);

	if (rc)
		return rc;
	if (link->one_thread) {
		workers += first_worker % n_workers;
		n_workers = 1;
	}
	net = calloc(1, sizeof(*net));
	if (!net)
		return error_set(err, -ENOMEM, "%s: cannot set up the card", o->path);
	net->n_pairs = o->pairs;
	net->pairs = calloc(o->pairs, sizeof(net->pairs[0]));
	if (!net->pairs) {
		rc = error_set(err, -ENOMEM, "%s: cannot set up the card", o->path);
		goto free_net;
	}
	for (unsigned i = 0; i < o->pairs; i++) {
		net->pairs[i].net = net;
		net->pairs[i].index = i;
	}
	rc = virtio_device_init(&net->vdev, &virtio_net_class, o->path, offer(link, o),
				2 * o->pairs + 1, home, workers, n_workers, first_worker, err);
	if (rc)
		goto free_pairs;
	net->vdev.queue_size_max = o->queue_size ? o->queue_size : QUEUE_SIZE_DEFAULT;
	net->mac = net->mac_at_start = net_mac_number(o->mac);
	net->mtu = o->mtu ? o->mtu : link->mtu;
	net->speed = o->speed;
	net->was_up = link->up;
	net->carrier.run = carrier_told;
	net->client = (struct net_link_client){.arrived = arrived, .carrier = carrier};
	net->link = link;
	link->client = &net->client;
	settle(net, 0);
	warn_of_words(o, link);
	*out = net;
	return 0;
free_pairs:
	free(net->pairs);
free_net:
	free(net);
	return rc;
}

void virtio_net_destroy(struct virtio_net **netp)
{
	struct virtio_net *net = *netp;

	if (!net)
		return;
	virtio_device_fini(&net->vdev);
	net_link_close(&net->link);
	free(net->pairs);
	free(net);
	*netp = NULL;
}
