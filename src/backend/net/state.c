/* SPDX-License-Identifier: MIT */
/*
 * What a driver has made of a card by its control queue, for a card in another program: no queue
 * runs, so no command is under way and every pair has the same settings.
 *
 * The card's own address has to be the same on both sides, since a reset brings it back.
 */
#include "backend/net/virtio_net.h"

#include "base/atomic.h"

#include <errno.h>
#include <string.h>

static void save_macs(struct pack *p, const struct net_macs *m)
{
	pack_8(p, m->overflow);
	pack_8(p, m->n);
	pack_bytes(p, m->at, sizeof(m->at));
}

static void read_macs(struct unpack *u, struct net_macs *m)
{
	m->overflow = unpack_8(u);
	m->n = unpack_8(u);
	unpack_bytes(u, m->at, sizeof(m->at));
}

static void save_filter(struct pack *p, const struct net_filter *f)
{
	pack_8(p, f->promisc);
	pack_8(p, f->allmulti);
	pack_8(p, f->alluni);
	pack_8(p, f->nomulti);
	pack_8(p, f->nouni);
	pack_8(p, f->nobcast);
	save_macs(p, &f->unicast);
	save_macs(p, &f->multicast);
	for (unsigned i = 0; i < NET_FILTER_VLANS / 64; i++)
		pack_64(p, f->vlans[i]);
}

static void read_filter(struct unpack *u, struct net_filter *f)
{
	f->promisc = unpack_8(u);
	f->allmulti = unpack_8(u);
	f->alluni = unpack_8(u);
	f->nomulti = unpack_8(u);
	f->nouni = unpack_8(u);
	f->nobcast = unpack_8(u);
	read_macs(u, &f->unicast);
	read_macs(u, &f->multicast);
	for (unsigned i = 0; i < NET_FILTER_VLANS / 64; i++)
		f->vlans[i] = unpack_64(u);
}

void net_save(const struct virtio_device *vdev, struct pack *p)
{
	const struct virtio_net *net = container_of(vdev, const struct virtio_net, vdev);

	pack_64(p, net->mac_at_start);
	pack_16(p, net->mtu);
	pack_64(p, read_once(&net->mac));
	pack_8(p, read_once(&net->link->up));
	pack_64(p, net->offloads);
	pack_16(p, (uint16_t)net->wanted.pairs);
	save_filter(p, &net->wanted.filter);
}

/* As the control queue's commands would refuse it. */
static int take_settings(struct virtio_net *net, uint64_t offloads, unsigned pairs)
{
	const struct net_link_ops *link = net->link->ops;

	if (!net_offloads_possible(net, offloads) || !pairs || pairs > net->n_pairs ||
	    (pairs > 1 && !virtio_device_has(&net->vdev, VIRTIO_NET_F_MQ)))
		return -EINVAL;
	if (link->set_offloads && link->set_offloads(net->link, offloads))
		return -EINVAL;
	return link->set_pairs && link->set_pairs(net->link, pairs) ? -EINVAL : 0;
}

int net_load(struct virtio_device *vdev, struct unpack *u, bool *changed, struct error *err)
{
	struct virtio_net *net = virtio_net_of(vdev);
	struct net_settings wanted = net->wanted;
	uint64_t mac, offloads;
	uint16_t mtu, pairs;
	bool up;

	if (unpack_64(u) != net->mac_at_start)
		return error_set(err, -EINVAL, "it is of a card with another address (mac=).");
	mtu = unpack_16(u);
	if (mtu != net->mtu)
		return error_set(err, -EINVAL, "its MTU is %u, and this card's %u.", mtu, net->mtu);
	mac = unpack_64(u);
	up = unpack_8(u);
	offloads = unpack_64(u);
	pairs = unpack_16(u);
	read_filter(u, &wanted.filter);
	if (u->bad || mac >> 8 * VIRTIO_NET_MAC_BYTES ||
	    wanted.filter.unicast.n > NET_FILTER_MACS ||
	    wanted.filter.multicast.n > NET_FILTER_MACS)
		return error_set(err, -EINVAL, "its settings are not possible.");
	if (take_settings(net, offloads, pairs))
		return error_set(
			err, -EINVAL,
			"the link does not take its offloads 0x%llx and %u pairs of queues.",
			(unsigned long long)offloads, pairs);
	wanted.may = net_offloads_in(offloads);
	wanted.pairs = pairs;
	net->offloads = offloads;
	net->wanted = wanted;
	for (unsigned i = 0; i < net->n_pairs; i++)
		net->pairs[i].settings = wanted;
	write_once(&net->mac, mac);
	/* Nobody at the other end of this link has seen it. */
	write_once(&net->announce, true);
	*changed |= virtio_device_has(vdev, VIRTIO_NET_F_GUEST_ANNOUNCE) ||
		    up != read_once(&net->link->up);
	return 0;
}
