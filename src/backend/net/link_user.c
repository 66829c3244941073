/* SPDX-License-Identifier: MIT */
/*
 * libslirp wants a poll() of its own: before each sleep it names descriptors and a time.  Here they
 * stand in an epoll set, which the worker's reactor watches as one descriptor, and a poller does
 * the round whenever something has happened:
 *
 *      what is ready -> slirp_pollfds_poll() -> slirp_pollfds_fill() -> the set, as wanted now
 *
 * All of it runs on the worker that the card's queues are on, so frames pass by plain calls: a
 * transmitted one goes into libslirp at once, one for the driver waits in a bounded queue until the
 * receive queue takes it.
 */
#include "backend/net/links.h"
#include "backend/net/user_dns.h"
#include "backend/net/user_flows.h"

#include "base/bits.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/reactor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Since 4.9 libslirp has other names for what takes a descriptor, for systems whose sockets are no int. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

/* Frames that wait for the driver; what comes beyond is lost, as in a switch. */
#define WAITING_BYTES_MAX (1u << 20)

/* Events taken from the set at a time. */
#define EVENTS 64

/* In an Ethernet frame with IPv4 in it. */
#define AT_TYPE		12
#define AT_FRAGMENT	20

#define PATH		"net/user"
#define RESOLV_CONF	"/etc/resolv.conf"

#define FREE_PORT_TRIES 8

struct frame {
	struct list link;
	size_t len;
	uint8_t bytes[];
};

/* What libslirp wants of one descriptor in this round. */
struct interest {
	int fd;
	uint32_t events;
};

struct user_link {
	struct net_link link;
	Slirp *slirp;
	int epoll_fd;
	struct reactor *reactor; /* NULL: receiving has not started */
	struct reactor_watch watch;
	struct reactor_poller poller;
	struct reactor_timer timer;
	bool dirty; /* a round is due */

	struct interest *interests; /* of this round, and of the one before */
	struct interest *before;
	uint32_t *ready; /* SLIRP_POLL_* by interest */
	unsigned n_interests, n_before, interests_max;
	unsigned *place; /* by fd: its interest in @before and one more, 0: none */
	unsigned places;

	struct user_flows flows;
	struct list waiting;
	size_t waiting_bytes;
	struct log_limit complaints, refusals;
};

static struct user_link *user_of(struct net_link *l)
{
	return container_of(l, struct user_link, link);
}

static void user_due(struct user_link *u)
{
	u->dirty = true;
	if (u->reactor)
		reactor_poller_activate(u->reactor, &u->poller);
}

/* ---- a round ---- */

static uint32_t to_epoll(int wanted)
{
	return (wanted & SLIRP_POLL_IN ? EPOLLIN : 0u) | (wanted & SLIRP_POLL_OUT ? EPOLLOUT : 0u) |
	       (wanted & SLIRP_POLL_PRI ? EPOLLPRI : 0u);
}

static uint32_t to_slirp(uint32_t events)
{
	return (events & EPOLLIN ? (uint32_t)SLIRP_POLL_IN : 0) |
	       (events & EPOLLOUT ? (uint32_t)SLIRP_POLL_OUT : 0) |
	       (events & EPOLLPRI ? (uint32_t)SLIRP_POLL_PRI : 0) |
	       (events & EPOLLERR ? (uint32_t)SLIRP_POLL_ERR : 0) |
	       (events & EPOLLHUP ? (uint32_t)SLIRP_POLL_HUP : 0);
}

static bool interests_grow(struct user_link *u)
{
	unsigned max = u->interests_max ? 2 * u->interests_max : 64;
	struct interest *interests = realloc(u->interests, max * sizeof(*interests)), *before;
	uint32_t *ready;

	if (interests)
		u->interests = interests;
	before = realloc(u->before, max * sizeof(*before));
	if (before)
		u->before = before;
	ready = realloc(u->ready, max * sizeof(*ready));
	if (ready)
		u->ready = ready;
	if (!interests || !before || !ready)
		return false;
	u->interests_max = max;
	return true;
}

static bool places_grow(struct user_link *u, int fd)
{
	unsigned n = u->places ? u->places : 64;
	unsigned *place;

	while ((unsigned)fd >= n)
		n *= 2;
	place = realloc(u->place, n * sizeof(*place));
	if (!place)
		return false;
	memset(place + u->places, 0, (n - u->places) * sizeof(*place));
	u->place = place;
	u->places = n;
	return true;
}

static int interest_add(int fd, int events, void *opaque)
{
	struct user_link *u = opaque;

	/* What it would bring cannot be taken; libslirp asks again in the next round. */
	if (user_flows_holds_back(&u->flows, fd))
		return -1;
	if (fd < 0 || (u->n_interests == u->interests_max && !interests_grow(u)) ||
	    ((unsigned)fd >= u->places && !places_grow(u, fd)))
		return -1;
	u->interests[u->n_interests] = (struct interest){.fd = fd, .events = to_epoll(events)};
	return (int)u->n_interests++;
}

static int interest_ready(int index, void *opaque)
{
	const struct user_link *u = opaque;

	return index >= 0 && (unsigned)index < u->n_interests ? (int)u->ready[index] : 0;
}

/*
 * The descriptor may have been closed since, and its number be another one's: the set forgets
 * closed ones by itself.
 */
static void interest_put(struct user_link *u, unsigned i)
{
	struct epoll_event e = {.events = u->interests[i].events, .data.u32 = i};
	int fd = u->interests[i].fd;

	if (epoll_ctl(u->epoll_fd, EPOLL_CTL_MOD, fd, &e) && errno == ENOENT)
		(void)epoll_ctl(u->epoll_fd, EPOLL_CTL_ADD, fd, &e);
}

/* The set holds what is wanted now, each with its index. */
static void interests_update(struct user_link *u)
{
	for (unsigned i = 0; i < u->n_interests; i++) {
		interest_put(u, i);
		u->place[u->interests[i].fd] = i + 1;
	}
	for (unsigned i = 0; i < u->n_before; i++)
		if (!u->place[u->before[i].fd])
			(void)epoll_ctl(u->epoll_fd, EPOLL_CTL_DEL, u->before[i].fd, NULL);
	for (unsigned i = 0; i < u->n_interests; i++)
		u->place[u->interests[i].fd] = 0;
}

static void user_fill(struct user_link *u)
{
	struct interest *before = u->before;
	uint32_t timeout_ms = UINT32_MAX;

	u->before = u->interests;
	u->n_before = u->n_interests;
	u->interests = before;
	u->n_interests = 0;
	slirp_pollfds_fill(u->slirp, &timeout_ms, interest_add, u);
	interests_update(u);
	if (timeout_ms == UINT32_MAX)
		reactor_timer_stop(u->reactor, &u->timer);
	else
		reactor_timer_start(u->reactor, &u->timer, timeout_ms * NSEC_PER_MSEC);
}

/* A bounded piece of work: one look at the set, one call of libslirp's. */
static unsigned user_round(struct reactor_poller *p)
{
	struct user_link *u = container_of(p, struct user_link, poller);
	struct epoll_event events[EVENTS];
	int n;

	if (u->n_interests)
		memset(u->ready, 0, u->n_interests * sizeof(u->ready[0]));
	n = epoll_wait(u->epoll_fd, events, EVENTS, 0);
	if (n <= 0 && !u->dirty)
		return 0;
	for (int i = 0; i < n; i++)
		if (events[i].data.u32 < u->n_interests)
			u->ready[events[i].data.u32] = to_slirp(events[i].events);
	u->dirty = false;
	slirp_pollfds_poll(u->slirp, n < 0, interest_ready, u);
	user_fill(u);
	return 1;
}

static bool user_is_quiet(struct reactor_poller *p)
{
	return !container_of(p, struct user_link, poller)->dirty;
}

static void user_set_ready(struct reactor_watch *w, uint32_t events)
{
	(void)events;
	user_due(container_of(w, struct user_link, watch));
}

static void user_time_is_up(struct reactor_timer *t)
{
	user_due(container_of(t, struct user_link, timer));
}

/* ---- what libslirp calls ---- */

static ssize_t frame_for_driver(const void *buf, size_t len, void *opaque)
{
	struct user_link *u = opaque;
	struct frame *f = NULL;

	if (len <= NET_FRAME_MAX && u->waiting_bytes + len <= WAITING_BYTES_MAX)
		f = malloc(sizeof(*f) + len);
	if (!f) {
		count_add(&u->link.lost, 1);
		return (ssize_t)len;
	}
	f->len = len;
	memcpy(f->bytes, buf, len);
	list_add_tail(&u->waiting, &f->link);
	u->waiting_bytes += len;
	u->link.client->arrived(u->link.client, 0);
	return (ssize_t)len;
}

static void user_guest_error(const char *text, void *opaque)
{
	struct user_link *u = opaque;

	log_limited(&u->complaints, LOG_LEVEL_WARN, PATH, "the guest: %s", text);
}

static int64_t user_now_ns(void *opaque)
{
	(void)opaque;
	return (int64_t)clock_ns();
}

/* Timers are for router advertisements, which belong to IPv6. */
static void *timer_new(SlirpTimerCb run, void *run_opaque, void *opaque)
{
	(void)run;
	(void)run_opaque;
	(void)opaque;
	return NULL;
}

static void timer_free(void *timer, void *opaque)
{
	(void)timer;
	(void)opaque;
}

static void timer_mod(void *timer, int64_t at_ms, void *opaque)
{
	(void)timer;
	(void)at_ms;
	(void)opaque;
}

static void flow_opened(int fd, void *opaque)
{
	struct user_link *u = opaque;

	user_flows_opened(&u->flows, fd);
	if (user_flows_full(&u->flows))
		log_limited(&u->refusals, LOG_LEVEL_WARN, PATH,
			    "the guest has %u flows open, and the files of this process run out "
			    "(ulimit -n: %llu): new ones are refused",
			    u->flows.n, (unsigned long long)limits_files());
}

static void flow_closed(int fd, void *opaque)
{
	user_flows_closed(&((struct user_link *)opaque)->flows, fd);
}

static void user_notify(void *opaque)
{
	user_due(opaque);
}

static const SlirpCb callbacks = {
	.send_packet = frame_for_driver,
	.guest_error = user_guest_error,
	.clock_get_ns = user_now_ns,
	.timer_new = timer_new,
	.timer_free = timer_free,
	.timer_mod = timer_mod,
	.register_poll_fd = flow_opened,
	.unregister_poll_fd = flow_closed,
	.notify = user_notify,
};

/* ---- frames ---- */

static int user_receive_start(struct net_link *l, unsigned pair, struct reactor *r,
			      struct error *err)
{
	struct user_link *u = user_of(l);
	int rc = reactor_watch_start(r, &u->watch, u->epoll_fd, EPOLLIN);

	(void)pair;
	if (rc)
		return error_set(err, rc, "libslirp's descriptors cannot be waited for");
	u->reactor = r;
	user_due(u);
	return 0;
}

static void user_receive_stop(struct net_link *l, unsigned pair, struct reactor *r)
{
	struct user_link *u = user_of(l);

	(void)pair;
	reactor_watch_stop(r, &u->watch);
	reactor_poller_stop(r, &u->poller);
	reactor_timer_stop(r, &u->timer);
	u->reactor = NULL;
}

static ssize_t user_receive(struct net_link *l, unsigned pair, struct virtio_net_hdr *hdr,
			    void *buf, size_t size)
{
	struct user_link *u = user_of(l);
	struct frame *f;
	size_t len;

	(void)pair;
	if (list_empty(&u->waiting))
		return 0;
	f = list_entry(u->waiting.next, struct frame, link);
	list_del(&f->link);
	len = f->len;
	u->waiting_bytes -= len;
	if (len <= size)
		memcpy(buf, f->bytes, len);
	free(f);
	*hdr = (struct virtio_net_hdr){0};
	return len <= size ? (ssize_t)len : -EMSGSIZE;
}

/*
 * Version 4.7 of libslirp, Debian 12's, can be made to write outside its memory by pieces of an
 * IPv4 packet that do not fit together; who sends by TCP, or by UDP within the MTU, sends none.
 */
static bool is_fragment(const uint8_t *frame, size_t len)
{
	static const uint8_t ipv4[] = {0x08, 0x00};

	return len >= AT_FRAGMENT + 2 && !memcmp(frame + AT_TYPE, ipv4, sizeof(ipv4)) &&
	       (frame[AT_FRAGMENT] & 0x3f || frame[AT_FRAGMENT + 1]);
}

static int user_send(struct net_link *l, unsigned pair, const struct virtio_net_hdr *hdr,
		     const struct iovec *iov, int n, size_t len)
{
	struct user_link *u = user_of(l);
	const uint8_t *frame = iov->iov_base;

	(void)pair;
	(void)hdr;
	(void)n;
	if (is_fragment(frame, len))
		return -EPROTONOSUPPORT;
	if (!user_flows_admit(&u->flows, frame, len))
		return -EMFILE;
	slirp_input(u->slirp, frame, (int)len);
	u->flows.from = 0;
	user_due(u);
	return 0;
}

/* ---- life ---- */

static void user_close(struct net_link *l)
{
	struct user_link *u = user_of(l);

	if (u->slirp)
		slirp_cleanup(u->slirp);
	list_for_each_safe (f, &u->waiting)
		free(list_entry(f, struct frame, link));
	if (u->epoll_fd >= 0)
		close(u->epoll_fd);
	free(u->interests);
	free(u->before);
	free(u->ready);
	free(u->place);
	user_flows_fini(&u->flows);
	free(u);
}

static const struct net_link_ops user_ops = {
	.name = "user-mode networking",
	.receive_start = user_receive_start,
	.receive_stop = user_receive_stop,
	.receive = user_receive,
	.send = user_send,
	.close = user_close,
};

/* -errno: none of them is free, or may be had. */
static int find_free_port(const struct net_forward *f, uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = f->host};
	int fd = socket(AF_INET, (f->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0), rc = 0;
	socklen_t len = sizeof(a);

	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&a, sizeof(a)) ||
	    getsockname(fd, (struct sockaddr *)&a, &len))
		rc = -errno;
	*port = ntohs(a.sin_port);
	close(fd);
	return rc;
}

static int forward_port(struct user_link *u, const struct net_forward *f, uint16_t port)
{
	struct in_addr guest = f->guest;

	if (!guest.s_addr)
		guest.s_addr = inet_addr("10.0.2.15");
	errno = 0;
	if (!slirp_add_hostfwd(u->slirp, f->udp, f->host, port, guest, f->guest_port))
		return 0;
	return errno ? -errno : -EADDRINUSE;
}

/* Between finding it and taking it another program may take a free port. */
static int forward_free_port(struct user_link *u, const struct net_forward *f, uint16_t *port)
{
	int rc = -EADDRINUSE;

	for (unsigned i = 0; rc == -EADDRINUSE && i < FREE_PORT_TRIES; i++) {
		rc = find_free_port(f, port);
		if (!rc)
			rc = forward_port(u, f, *port);
	}
	return rc;
}

static int user_forward(struct user_link *u, const struct net_forward *f, struct error *err)
{
	uint16_t port = f->host_port;
	char host[INET_ADDRSTRLEN] = "";
	int rc = port ? forward_port(u, f, port) : forward_free_port(u, f, &port);

	inet_ntop(AF_INET, &f->host, host, sizeof(host));
	if (rc == -EACCES)
		return error_set(err, rc,
				 "port %u of %s cannot be forwarded: those below 1024 need rights "
				 "(CAP_NET_BIND_SERVICE).",
				 port, host);
	if (rc)
		return error_set(err, rc, "port %u of %s cannot be forwarded", port, host);
	if (!f->host_port)
		log_info(PATH, "%s port %u of %s leads to the guest's port %u",
			 f->udp ? "UDP" : "TCP", port, host, f->guest_port);
	return 0;
}

static void warn_of_dns(void)
{
	struct user_dns dns = user_dns_look(RESOLV_CONF);

	if (dns.ipv4)
		return;
	log_warn(PATH,
		 "%s: the guest's name server, 10.0.2.3, will not answer, for it passes questions "
		 "on to "
		 "an IPv4 one of the host only; let %s name one, or the guest use another",
		 !dns.readable ? RESOLV_CONF " cannot be read"
		 : dns.ipv6    ? RESOLV_CONF " has IPv6 name servers only"
			       : RESOLV_CONF " has no name server",
		 RESOLV_CONF);
}

/* Which of libslirp's descriptors are forwarded ports: before the first flow it has no others. */
static int listener_add(int fd, int events, void *opaque)
{
	socklen_t len = sizeof(int);
	int listens = 0;

	(void)events;
	if (!getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) && listens)
		user_flows_listens(&((struct user_link *)opaque)->flows, fd);
	return -1;
}

int net_user_open(struct net_link **out, const struct net_user_options *o, struct error *err)
{
	const SlirpConfig config = {
		.version = 3,
		.restricted = o->restricted,
		.in_enabled = true,
		.vnetwork.s_addr = inet_addr("10.0.2.0"),
		.vnetmask.s_addr = inet_addr("255.255.255.0"),
		.vhost.s_addr = inet_addr("10.0.2.2"),
		.vdhcp_start.s_addr = inet_addr("10.0.2.15"),
		.vnameserver.s_addr = inet_addr("10.0.2.3"),
		.if_mtu = o->mtu,
		.if_mru = o->mtu,
	};
	struct user_link *u = calloc(1, sizeof(*u));
	uint32_t timeout_ms = UINT32_MAX;
	int rc = 0;

	if (!u)
		return error_set(err, -ENOMEM, "cannot set up user-mode networking");
	u->link.ops = &user_ops;
	u->link.pairs = 1;
	u->link.one_thread = u->link.copies = true;
	u->link.up = true;
	u->watch.ready = user_set_ready;
	list_init(&u->waiting);
	reactor_poller_init(&u->poller, user_round, user_is_quiet);
	reactor_timer_init(&u->timer, user_time_is_up);
	u->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (u->epoll_fd >= 0)
		u->slirp = slirp_new(&config, &callbacks, u);
	if (!u->slirp)
		rc = error_set(err, -ENOMEM, "cannot set up user-mode networking");
	for (unsigned i = 0; !rc && i < o->n_forwards; i++)
		rc = user_forward(u, &o->forwards[i], err);
	if (rc) {
		user_close(&u->link);
		return rc;
	}
	slirp_pollfds_fill(u->slirp, &timeout_ms, listener_add, u);
	if (!o->restricted)
		warn_of_dns();
	*out = &u->link;
	return 0;
}
