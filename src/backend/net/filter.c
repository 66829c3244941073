/* SPDX-License-Identifier: MIT */
#include "backend/net/filter.h"

#include "base/bits.h"

#include <string.h>

#define BROADCAST    UINT64_C(0xffffffffffff)
#define GROUP	     1u
#define AT_TYPE	     12
#define AT_VLAN	     14
#define VLAN_PRESENT 0x8100u

static unsigned be16_at(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static bool listed(const struct net_macs *macs, const uint8_t *mac)
{
	for (unsigned i = 0; i < macs->n; i++)
		if (!memcmp(macs->at[i], mac, VIRTIO_NET_MAC_BYTES))
			return true;
	return macs->overflow;
}

static bool vlan_passes(const struct net_filter *f, const uint8_t *frame, size_t len)
{
	unsigned id;

	if (!f->by_vlan || len < AT_VLAN + 2 || be16_at(frame + AT_TYPE) != VLAN_PRESENT)
		return true;
	/* A tag of VLAN 0 carries a priority and no VLAN (IEEE 802.1Q). */
	id = be16_at(frame + AT_VLAN) & (NET_FILTER_VLANS - 1);
	return !id || f->vlans[id / 64] & BIT64(id % 64);
}

bool net_filter_accepts(const struct net_filter *f, uint64_t mac, const uint8_t *frame, size_t len)
{
	uint64_t to = net_mac_number(frame);

	if (f->promisc)
		return true;
	if (!vlan_passes(f, frame, len))
		return false;
	if (to == BROADCAST)
		return !f->nobcast;
	if (frame[0] & GROUP)
		return !f->nomulti && (f->allmulti || listed(&f->multicast, frame));
	return !f->nouni && (f->alluni || to == mac || listed(&f->unicast, frame));
}
