/* SPDX-License-Identifier: MIT */
#include "backend/net/header.h"
#include "backend/net/links.h"
#include "backend/net/tap_host.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "base/reactor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Last: it has its own idea of some names. */
#include <linux/if_tun.h>

/* Newer than the oldest kernel headers that this is built with. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

struct tap_pair {
	struct tap *tap;
	int fd;
	bool attached;
	struct reactor_watch watch;
};

struct tap {
	struct net_link link;
	unsigned n;
	struct tap_pair pairs[];
};

static struct tap *tap_of(struct net_link *l)
{
	return container_of(l, struct tap, link);
}

/* ---- offloads ---- */

static unsigned tun_flags(uint64_t features)
{
	struct net_offloads o = net_offloads_in(features);

	return (o.csum ? TUN_F_CSUM : 0) | (o.tso4 ? TUN_F_TSO4 : 0) | (o.tso6 ? TUN_F_TSO6 : 0) |
	       (o.ecn ? TUN_F_TSO_ECN : 0) | (o.uso4 ? TUN_F_USO4 : 0) | (o.uso6 ? TUN_F_USO6 : 0);
}

static int tap_set_offloads(struct net_link *l, uint64_t features)
{
	return ioctl(tap_of(l)->pairs[0].fd, TUNSETOFFLOAD, (unsigned long)tun_flags(features))
		       ? -errno
		       : 0;
}

static const uint64_t base_offloads = BIT64(VIRTIO_NET_F_CSUM) | BIT64(VIRTIO_NET_F_HOST_TSO4) |
				      BIT64(VIRTIO_NET_F_HOST_TSO6) | BIT64(VIRTIO_NET_F_HOST_ECN) |
				      BIT64(VIRTIO_NET_F_GUEST_CSUM) |
				      BIT64(VIRTIO_NET_F_GUEST_TSO4) |
				      BIT64(VIRTIO_NET_F_GUEST_TSO6) |
				      BIT64(VIRTIO_NET_F_GUEST_ECN);
static const uint64_t uso_offloads = BIT64(VIRTIO_NET_F_HOST_USO) | BIT64(VIRTIO_NET_F_GUEST_USO4) |
				     BIT64(VIRTIO_NET_F_GUEST_USO6);

/* UDP segmentation came later, and for both directions at once. */
static uint64_t tap_find_offloads(struct tap *t)
{
	if (!tap_set_offloads(&t->link, base_offloads | uso_offloads))
		return base_offloads | uso_offloads;
	return tap_set_offloads(&t->link, base_offloads) ? 0 : base_offloads;
}

/* ---- frames ---- */

static void tap_readable(struct reactor_watch *w, uint32_t events)
{
	struct tap_pair *p = container_of(w, struct tap_pair, watch);
	struct net_link_client *client = p->tap->link.client;

	(void)events;
	client->arrived(client, (unsigned)(p - p->tap->pairs));
}

static int tap_receive_start(struct net_link *l, unsigned pair, struct reactor *r,
			     struct error *err)
{
	struct tap_pair *p = &tap_of(l)->pairs[pair];
	int rc = reactor_watch_start(r, &p->watch, p->fd, EPOLLIN);

	return rc ? error_set(err, rc, "the TAP interface cannot be waited for") : 0;
}

static void tap_receive_stop(struct net_link *l, unsigned pair, struct reactor *r)
{
	reactor_watch_stop(r, &tap_of(l)->pairs[pair].watch);
}

static ssize_t tap_receive(struct net_link *l, unsigned pair, struct virtio_net_hdr *hdr, void *buf,
			   size_t size)
{
	struct iovec iov[] = {{.iov_base = hdr, .iov_len = sizeof(*hdr)},
			      {.iov_base = buf, .iov_len = size}};
	ssize_t n = readv(tap_of(l)->pairs[pair].fd, iov, 2);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0 && (errno == EBADFD || errno == EIO)) {
		/* Somebody has taken the interface away; nothing more will come. */
		if (read_once(&l->up))
			l->client->carrier(l->client, false);
		return 0;
	}
	if (n < 0)
		return -errno;
	if (n <= (ssize_t)sizeof(*hdr))
		return -EINVAL;
	n -= (ssize_t)sizeof(*hdr);
	return (size_t)n > size ? -EMSGSIZE : n;
}

static int tap_send(struct net_link *l, unsigned pair, const struct virtio_net_hdr *hdr,
		    const struct iovec *frame, int n, size_t len)
{
	struct virtio_net_hdr copy = *hdr;
	struct iovec iov[IOV_MAX];
	ssize_t done;

	if (n >= IOV_MAX)
		return -E2BIG;
	iov[0] = (struct iovec){.iov_base = &copy, .iov_len = sizeof(copy)};
	memcpy(iov + 1, frame, (size_t)n * sizeof(frame[0]));
	do
		done = writev(tap_of(l)->pairs[pair].fd, iov, n + 1);
	while (done < 0 && errno == EINTR);
	if (done < 0)
		return -errno;
	return (size_t)done == sizeof(copy) + len ? 0 : -EIO;
}

/* ---- pairs ---- */

/* The kernel steers frames to attached descriptors only. */
static int tap_attach(struct tap_pair *p, bool on)
{
	struct ifreq req = {.ifr_flags = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};

	if (p->attached == on)
		return 0;
	if (ioctl(p->fd, TUNSETQUEUE, &req))
		return -errno;
	p->attached = on;
	return 0;
}

static int tap_set_pairs(struct net_link *l, unsigned n)
{
	struct tap *t = tap_of(l);

	for (unsigned i = 0; i < t->n; i++) {
		int rc = tap_attach(&t->pairs[i], i < n);

		if (rc)
			return rc;
	}
	return 0;
}

/* ---- life ---- */

static void tap_close(struct net_link *l)
{
	struct tap *t = tap_of(l);

	for (unsigned i = 0; i < t->n; i++)
		close(t->pairs[i].fd);
	free(t);
}

static const struct net_link_ops tap_ops = {
	.name = "a TAP interface",
	.receive_start = tap_receive_start,
	.receive_stop = tap_receive_stop,
	.receive = tap_receive,
	.send = tap_send,
	.set_offloads = tap_set_offloads,
	.close = tap_close,
};

static const struct net_link_ops multi_tap_ops = {
	.name = "a TAP interface",
	.receive_start = tap_receive_start,
	.receive_stop = tap_receive_stop,
	.receive = tap_receive,
	.send = tap_send,
	.set_offloads = tap_set_offloads,
	.set_pairs = tap_set_pairs,
	.close = tap_close,
};

static struct tap *tap_new(unsigned pairs)
{
	struct tap *t = calloc(1, sizeof(*t) + pairs * sizeof(t->pairs[0]));

	if (!t)
		return NULL;
	t->link.ops = pairs > 1 ? &multi_tap_ops : &tap_ops;
	t->link.pairs = pairs;
	t->link.up = true;
	for (unsigned i = 0; i < pairs; i++) {
		t->pairs[i].tap = t;
		t->pairs[i].attached = true;
		t->pairs[i].watch.ready = tap_readable;
	}
	return t;
}

static int tap_set_header(int fd)
{
	int size = sizeof(struct virtio_net_hdr), little = 1;

	if (ioctl(fd, TUNSETVNETHDRSZ, &size))
		return -errno;
	/* 5.1.6.1: little-endian whatever the host is. */
	return ioctl(fd, TUNSETVNETLE, &little) ? -errno : 0;
}

/*
 * Whether the interface has many queues is decided when it is made; the kernel wants to hear the
 * same of everybody who opens it.  One pair does with either kind.
 */
static int tap_set_interface(int fd, const char *name, unsigned pairs)
{
	const short plain = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR,
		    many = (short)(plain | IFF_MULTI_QUEUE);
	struct ifreq req = {.ifr_flags = pairs > 1 ? many : plain};

	memcpy(req.ifr_name, name, strlen(name));
	if (!ioctl(fd, TUNSETIFF, &req))
		return 0;
	if (errno != EINVAL || pairs > 1)
		return -errno;
	req.ifr_flags = many;
	return ioctl(fd, TUNSETIFF, &req) ? -errno : 0;
}

static int tap_open_device(struct error *err)
{
	static const char path[] = "/dev/net/tun";
	int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		return error_set(
			err, -errno,
			"this kernel has no TAP interfaces (%s): \"modprobe tun\", or pass "
			"the device to the container.",
			path);
	return error_set(err, -errno, "cannot open %s", path);
}

/* The descriptor, or -errno. */
static int tap_open_queue(const char *name, unsigned pairs, struct error *err)
{
	int fd = tap_open_device(err), rc;

	if (fd < 0)
		return fd;
	rc = tap_set_interface(fd, name, pairs);
	if (rc) {
		tap_host_refusal(name, pairs, rc, err);
		goto close_fd;
	}
	rc = tap_set_header(fd);
	if (rc) {
		error_set(err, rc, "the TAP interface %s takes no virtio header", name);
		goto close_fd;
	}
	return fd;
close_fd:
	close(fd);
	return rc;
}

/* All descriptors are open. */
static void tap_ask_host(struct tap *t)
{
	struct tap_facts facts = tap_host_facts(t->pairs[0].fd);

	t->link.offloads = tap_find_offloads(t);
	t->link.mtu = facts.mtu;
	t->link.has_mac = facts.has_mac;
	memcpy(t->link.mac, facts.mac, sizeof(t->link.mac));
}

int net_tap_open(struct net_link **out, const char *name, unsigned pairs, struct error *err)
{
	struct tap *t;

	if (!*name || strlen(name) >= IFNAMSIZ)
		return error_set(err, -EINVAL, "tap=%s: an interface's name has 1 to %d bytes.",
				 name, IFNAMSIZ - 1);
	t = tap_new(pairs);
	if (!t)
		return error_set(err, -ENOMEM, "cannot use the TAP interface %s", name);
	for (; t->n < pairs; t->n++) {
		int fd = tap_open_queue(name, pairs, err);

		if (fd < 0) {
			tap_close(&t->link);
			return fd;
		}
		t->pairs[t->n].fd = fd;
	}
	tap_ask_host(t);
	*out = &t->link;
	return 0;
}

int net_tap_adopt(struct net_link **out, int fd, struct error *err)
{
	struct ifreq req = {0};
	struct tap *t;
	int rc;

	if (ioctl(fd, TUNGETIFF, &req)) {
		if (errno == EBADFD)
			return error_set(err, -errno, "fd %d is /dev/net/tun without an interface.",
					 fd);
		return error_set(
			err, -errno,
			"fd %d is neither a TAP interface nor a socket that keeps messages "
			"apart.",
			fd);
	}
	if (!(req.ifr_flags & IFF_TAP))
		return error_set(err, -EINVAL,
				 "fd %d is a TUN interface, which carries no Ethernet.", fd);
	if (!(req.ifr_flags & IFF_VNET_HDR) || !(req.ifr_flags & IFF_NO_PI))
		return error_set(
			err, -EINVAL,
			"fd %d is a TAP interface that was opened without IFF_VNET_HDR and "
			"IFF_NO_PI.",
			fd);
	rc = tap_set_header(fd);
	if (!rc && fcntl(fd, F_SETFL, O_NONBLOCK))
		rc = -errno;
	if (rc)
		return error_set(err, rc, "fd %d cannot be set up", fd);
	t = tap_new(1);
	if (!t)
		return error_set(err, -ENOMEM, "cannot use fd %d", fd);
	t->n = 1;
	t->pairs[0].fd = fd;
	tap_ask_host(t);
	*out = &t->link;
	return 0;
}
