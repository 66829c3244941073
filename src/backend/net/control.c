/* SPDX-License-Identifier: MIT */
/*
 * The control queue (virtio 1.4, 5.1.6.5): parse, change the master copy of the settings, have
 * every pair take it over, answer.
 *
 * One command at a time: while pairs are awaited nothing more is popped.  A command that is
 * malformed, unknown or not negotiated changes nothing and is answered ERR.
 */
#include "backend/net/virtio_net.h"

#include "base/atomic.h"

#include <errno.h>
#include <string.h>

/*
 * Header, data and ack of the commands there are; the longest table is read in
 * place, however it is cut.
 */
#define PIECES_MAX (NET_QUEUE_SIZE_MAX + 64)

/* What the driver has written and nobody has read yet. */
struct reader {
	const struct iovec *iov;
	int n;
	size_t at; /* in *iov */
	uint64_t left;
};

/* @to NULL: leaves the bytes out. */
static bool take(struct reader *r, void *to, uint64_t n)
{
	uint8_t *out = to;

	if (n > r->left)
		return false;
	r->left -= n;
	while (n) {
		size_t here = min_u64(n, r->iov->iov_len - r->at);

		if (out) {
			memcpy(out, (const uint8_t *)r->iov->iov_base + r->at, here);
			out += here;
		}
		n -= here;
		r->at += here;
		if (r->at == r->iov->iov_len) {
			r->iov++;
			r->at = 0;
		}
	}
	return true;
}

/* All that is left, and no byte more. */
static bool take_all(struct reader *r, void *to, uint64_t n)
{
	return r->left == n && take(r, to, n);
}

static bool has(const struct virtio_net *net, unsigned feature)
{
	return virtio_device_has(&net->vdev, feature);
}

/* ---- commands: true is OK ---- */

static bool set_mode(struct virtio_net *net, uint8_t command, struct reader *data)
{
	struct net_filter *f = &net->wanted.filter;
	struct {
		bool *mode;
		unsigned feature;
	} const modes[] = {
		[VIRTIO_NET_CTRL_RX_PROMISC] = {&f->promisc, VIRTIO_NET_F_CTRL_RX},
		[VIRTIO_NET_CTRL_RX_ALLMULTI] = {&f->allmulti, VIRTIO_NET_F_CTRL_RX},
		[VIRTIO_NET_CTRL_RX_ALLUNI] = {&f->alluni, VIRTIO_NET_F_CTRL_RX_EXTRA},
		[VIRTIO_NET_CTRL_RX_NOMULTI] = {&f->nomulti, VIRTIO_NET_F_CTRL_RX_EXTRA},
		[VIRTIO_NET_CTRL_RX_NOUNI] = {&f->nouni, VIRTIO_NET_F_CTRL_RX_EXTRA},
		[VIRTIO_NET_CTRL_RX_NOBCAST] = {&f->nobcast, VIRTIO_NET_F_CTRL_RX_EXTRA},
	};
	uint8_t on;

	if (command >= ARRAY_SIZE(modes) || !has(net, modes[command].feature) ||
	    !take_all(data, &on, sizeof(on)))
		return false;
	*modes[command].mode = on;
	return true;
}

static bool take_macs(struct reader *data, struct net_macs *macs)
{
	le32 entries;
	uint64_t n;

	memset(macs, 0, sizeof(*macs));
	if (!take(data, &entries, sizeof(entries)))
		return false;
	n = le32_get(entries);
	if (n > NET_FILTER_MACS) {
		macs->overflow = true;
		return take(data, NULL, n * VIRTIO_NET_MAC_BYTES);
	}
	macs->n = (uint8_t)n;
	return take(data, macs->at, n * VIRTIO_NET_MAC_BYTES);
}

static bool set_mac_table(struct virtio_net *net, struct reader *data)
{
	struct net_macs unicast, multicast;

	if (!has(net, VIRTIO_NET_F_CTRL_RX) || !take_macs(data, &unicast) ||
	    !take_macs(data, &multicast) || data->left)
		return false;
	net->wanted.filter.unicast = unicast;
	net->wanted.filter.multicast = multicast;
	return true;
}

static bool set_mac(struct virtio_net *net, struct reader *data)
{
	uint8_t mac[VIRTIO_NET_MAC_BYTES];

	if (!has(net, VIRTIO_NET_F_CTRL_MAC_ADDR) || !take_all(data, mac, sizeof(mac)))
		return false;
	write_once(&net->mac, net_mac_number(mac));
	return true;
}

static bool set_vlan(struct virtio_net *net, uint8_t command, struct reader *data)
{
	uint64_t *word;
	unsigned id;
	le16 raw;

	if (!has(net, VIRTIO_NET_F_CTRL_VLAN) || command > VIRTIO_NET_CTRL_VLAN_DEL ||
	    !take_all(data, &raw, sizeof(raw)))
		return false;
	id = le16_get(raw);
	if (id >= NET_FILTER_VLANS)
		return false;
	word = &net->wanted.filter.vlans[id / 64];
	if (command == VIRTIO_NET_CTRL_VLAN_ADD)
		*word |= BIT64(id % 64);
	else
		*word &= ~BIT64(id % 64);
	return true;
}

static bool set_pairs(struct virtio_net *net, struct reader *data)
{
	struct net_link *link = net->link;
	unsigned n;
	le16 raw;

	if (!has(net, VIRTIO_NET_F_MQ) || !take_all(data, &raw, sizeof(raw)))
		return false;
	n = le16_get(raw);
	if (!n || n > net->n_pairs || (link->ops->set_pairs && link->ops->set_pairs(link, n)))
		return false;
	net->wanted.pairs = n;
	return true;
}

bool net_offloads_possible(const struct virtio_net *net, uint64_t bits)
{
	uint64_t with_ground = bits | BIT64(VIRTIO_F_VERSION_1);

	return !(bits & ~(net->vdev.features & net_offload_bits_in())) &&
	       net->vdev.cls->grounded(with_ground) == with_ground;
}

/* 5.1.6.5.6: which of the offloads that were negotiated are used from now on. */
static bool set_offloads(struct virtio_net *net, struct reader *data)
{
	struct net_link *link = net->link;
	uint64_t bits;
	le64 raw;

	if (!has(net, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) || !take_all(data, &raw, sizeof(raw)))
		return false;
	bits = le64_get(raw);
	if (!net_offloads_possible(net, bits) ||
	    (link->ops->set_offloads && link->ops->set_offloads(link, bits)))
		return false;
	net->offloads = bits;
	net->wanted.may = net_offloads_in(bits);
	return true;
}

static bool announced(struct virtio_net *net, const struct reader *data)
{
	if (!has(net, VIRTIO_NET_F_GUEST_ANNOUNCE) || data->left)
		return false;
	write_once(&net->announce, false);
	return true;
}

static bool perform(struct virtio_net *net, struct reader *data)
{
	struct virtio_net_ctrl c;

	if (!take(data, &c, sizeof(c)))
		return false;
	switch (c.class) {
	case VIRTIO_NET_CTRL_RX:
		return set_mode(net, c.command, data);
	case VIRTIO_NET_CTRL_MAC:
		if (c.command == VIRTIO_NET_CTRL_MAC_TABLE_SET)
			return set_mac_table(net, data);
		return c.command == VIRTIO_NET_CTRL_MAC_ADDR_SET && set_mac(net, data);
	case VIRTIO_NET_CTRL_VLAN:
		return set_vlan(net, c.command, data);
	case VIRTIO_NET_CTRL_ANNOUNCE:
		return c.command == VIRTIO_NET_CTRL_ANNOUNCE_ACK && announced(net, data);
	case VIRTIO_NET_CTRL_MQ:
		return c.command == VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET && set_pairs(net, data);
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
		return c.command == VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET && set_offloads(net, data);
	default:
		return false;
	}
}

/* ---- news for the pairs ---- */

struct virtio_queue *net_control_queue(struct virtio_net *net)
{
	unsigned index = has(net, VIRTIO_NET_F_MQ) ? 2 * net->n_pairs : 2;

	return &net->vdev.queues[index];
}

static void control_answer(struct virtio_net *net, struct virtio_queue *q, bool ok)
{
	count_add(&net->commands, 1);
	count_add(&net->refused, !ok);
	write_once(net->ack, ok ? VIRTIO_NET_OK : VIRTIO_NET_ERR);
	virtio_queue_push(q, &net->command, 1);
}

/* Back on the control queue's worker. */
static void taken(struct reactor_msg *msg)
{
	struct virtio_net *net = container_of(msg, struct net_pair, news)->net;
	struct virtio_queue *q = net_control_queue(net);

	if (--net->awaited)
		return;
	control_answer(net, q, true);
	virtio_queue_wake(q);
}

/* On the pair's. */
static void take_over(struct reactor_msg *msg)
{
	struct net_pair *pair = container_of(msg, struct net_pair, news);
	struct virtio_net *net = pair->net;
	struct virtio_queue *q = &net->vdev.queues[2 * pair->index];

	/* The master copy stands still until the last one is back. */
	pair->settings = net->wanted;
	msg->run = taken;
	reactor_post(net_control_queue(net)->reactor, msg);
	if (q->running)
		virtio_queue_wake(q);
}

static void tell(struct virtio_net *net)
{
	net->awaited = net->n_pairs;
	for (unsigned i = 0; i < net->n_pairs; i++) {
		net->pairs[i].news.run = take_over;
		reactor_post(net->vdev.queues[2 * i].reactor, &net->pairs[i].news);
	}
}

void net_settings_begin(struct virtio_net *net, uint64_t features)
{
	net->wanted = (struct net_settings){
		.filter = {.promisc = !(features & BIT64(VIRTIO_NET_F_CTRL_RX)),
			   .by_vlan = features & BIT64(VIRTIO_NET_F_CTRL_VLAN)},
		.may = net_offloads_in(features),
		.pairs = 1,
	};
	net->offloads = features & net_offload_bits_in();
	for (unsigned i = 0; i < net->n_pairs; i++)
		net->pairs[i].settings = net->wanted;
}

int net_control(struct virtio_net *net, struct virtio_queue *q, unsigned budget)
{
	struct iovec iov[PIECES_MAX];
	struct vq_chain chain = {.iov = iov, .iov_max = PIECES_MAX};
	unsigned n = 0;
	int rc = 0;

	while (n < budget && !net->awaited && !virtio_queue_spent(q)) {
		struct reader data;

		rc = vqdev_pop(&q->ring, &chain);
		if (rc <= 0)
			break;
		virtio_queue_spend(q, &chain);
		n++;
		if (!chain.writable_len) {
			vqdev_push(&q->ring, &chain.ticket, 0);
			vqdev_break(&q->ring, "a command without a byte for its answer");
			break;
		}
		net->ack = iov[chain.readable].iov_base;
		net->command = chain.ticket;
		data = (struct reader){.iov = iov, .n = chain.readable, .left = chain.readable_len};
		if (perform(net, &data))
			tell(net);
		else
			control_answer(net, q, false);
	}
	if (rc == -E2BIG)
		vqdev_break(&q->ring, "a command of too many pieces");
	if (net->awaited)
		virtio_queue_rest(q);
	return (int)n;
}
