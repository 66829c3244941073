/* SPDX-License-Identifier: MIT */
#include "backend/net/tap_host.h"

#include "base/bits.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_tun.h>

/* A socket for questions about interfaces of this namespace, or -1. */
static int question_socket(void)
{
	return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

/* ---- facts ---- */

struct tap_facts tap_host_facts(int fd)
{
	struct tap_facts facts = {0};
	struct ifreq ours = {0}, named = {0};
	int ask;

	if (ioctl(fd, TUNGETIFF, &named))
		return facts;
	memcpy(ours.ifr_name, named.ifr_name, sizeof(ours.ifr_name));
	if (ioctl(fd, SIOCGIFHWADDR, &ours) || ours.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		return facts;
	facts.has_mac = true;
	memcpy(facts.mac, ours.ifr_hwaddr.sa_data, sizeof(facts.mac));
	ask = question_socket();
	if (ask < 0)
		return facts;
	if (!ioctl(ask, SIOCGIFHWADDR, &named) &&
	    !memcmp(named.ifr_hwaddr.sa_data, facts.mac, sizeof(facts.mac)) &&
	    !ioctl(ask, SIOCGIFMTU, &named) && named.ifr_mtu >= (int)VIRTIO_NET_MTU_MIN)
		facts.mtu = (uint16_t)min_u64((uint64_t)named.ifr_mtu, UINT16_MAX);
	close(ask);
	return facts;
}

/* ---- refusals ---- */

enum interface_kind {
	KIND_UNKNOWN, /* or there is none of that name */
	KIND_TAP,
	KIND_TUN,
	KIND_OTHER,
};

static enum interface_kind kind_of(const char *name, bool *exists)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq req = {.ifr_data = (void *)&info};
	enum interface_kind kind = KIND_UNKNOWN;
	int ask = question_socket();

	*exists = if_nametoindex(name);
	if (ask < 0 || !*exists)
		goto out;
	strncpy(req.ifr_name, name, IFNAMSIZ - 1);
	/* What has no driver to tell of (a bridge of old, the loopback) is no TAP interface. */
	if (ioctl(ask, SIOCETHTOOL, &req))
		kind = errno == EOPNOTSUPP ? KIND_OTHER : KIND_UNKNOWN;
	else if (strcmp(info.driver, "tun"))
		kind = KIND_OTHER;
	else
		kind = strcmp(info.bus_info, "tun") ? KIND_TAP : KIND_TUN;
out:
	if (ask >= 0)
		close(ask);
	return kind;
}

int tap_host_refusal(const char *name, unsigned pairs, int rc, struct error *err)
{
	bool exists;
	enum interface_kind kind = kind_of(name, &exists);

	if (kind == KIND_TUN)
		return error_set(err, rc,
				 "%s is a TUN interface, which carries no Ethernet: make one with "
				 "\"ip tuntap add NAME mode tap\".",
				 name);
	if (kind == KIND_OTHER)
		return error_set(err, rc,
				 "%s is no TAP interface: make one with \"ip tuntap add NAME mode "
				 "tap\".",
				 name);
	if (rc == -EBUSY)
		return error_set(
			err, rc,
			"the TAP interface %s is in use: one program, or one card, at a time.",
			name);
	if (rc == -EPERM && exists)
		return error_set(err, rc,
				 "the TAP interface %s is another user's: make it with \"ip tuntap "
				 "add %s mode tap user NAME\".",
				 name, name);
	if (rc == -EPERM)
		return error_set(err, rc,
				 "there is no TAP interface %s, and this user may not make one: as "
				 "root, \"ip tuntap add %s mode tap user NAME\".",
				 name, name);
	if (rc == -EINVAL && kind == KIND_TAP && pairs > 1)
		return error_set(err, rc,
				 "the TAP interface %s was made without multi_queue, so it has one "
				 "pair of queues: make it with \"ip tuntap add %s mode tap "
				 "multi_queue\", or leave queues= away.",
				 name, name);
	if (rc == -E2BIG)
		return error_set(err, rc, "the TAP interface %s has no %u queues left.", name,
				 pairs);
	return error_set(err, rc, "cannot use the TAP interface %s", name);
}
