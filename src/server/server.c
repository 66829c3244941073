/* SPDX-License-Identifier: MIT */
#include "server/server.h"

#include "base/clock.h"
#include "base/log.h"
#include "server/vhost_user/export.h"
#include "server/watchdog.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define TICK_NS NSEC_PER_SEC

/* A device and the socket it is offered on. */
struct offer {
	struct list link;
	struct server *server;
	struct virtio_device *vdev;
	const struct server_device_ops *ops;
	struct vhost_user_export export;
};

struct server {
	struct reactor *home;
	struct disk_room room;
	struct list offers;
	unsigned n_offers;
	unsigned open; /* offers that are not over */
	bool any_memory;
	bool stopping;
	bool hurry;
	struct reactor_timer tick;
	struct watchdog watchdog;
	int signal_fd;
	struct reactor_watch signals;
};

/* ---- signals ---- */

static void signal_set(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
}

int server_take_signals(struct error *err)
{
	sigset_t set;

	signal_set(&set);
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || signal(SIGXFSZ, SIG_IGN) == SIG_ERR ||
	    sigprocmask(SIG_BLOCK, &set, NULL))
		return error_set(err, -errno, "cannot set up signals");
	return 0;
}

static void signals_ready(struct reactor_watch *w, uint32_t events)
{
	struct server *s = container_of(w, struct server, signals);
	struct signalfd_siginfo info;

	(void)events;
	while (read(s->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (!s->stopping) {
			log_info(NULL, "stopping; a second signal ends it without draining");
			server_stop(s);
		} else {
			s->hurry = true;
			reactor_stop(s->home);
		}
	}
}

/* ---- offers ---- */

static void offer_over(struct vhost_user_export *e)
{
	struct offer *o = container_of(e, struct offer, export);

	if (!--o->server->open) {
		reactor_timer_stop(o->server->home, &o->server->tick);
		reactor_stop(o->server->home);
	}
}

int server_add_vhost_user(struct server *s, struct virtio_device *vdev,
			  const struct server_device_ops *ops, const struct socket_place *where,
			  struct error *err)
{
	struct offer *o = calloc(1, sizeof(*o));
	int rc;

	if (!o)
		return error_set(err, -ENOMEM, "cannot offer %s", vdev->path);
	o->server = s;
	o->vdev = vdev;
	o->ops = ops;
	rc = vhost_user_export_init(&o->export, vdev, where, s->home, offer_over, err);
	if (rc) {
		free(o);
		return rc;
	}
	o->export.connection.any_memory = s->any_memory;
	list_add_tail(&s->offers, &o->link);
	s->n_offers++;
	if (!s->open++)
		reactor_timer_start(s->home, &s->tick, TICK_NS);
	return 0;
}

static void tick_expired(struct reactor_timer *t)
{
	struct server *s = container_of(t, struct server, tick);

	list_for_each (l, &s->offers) {
		struct offer *o = list_entry(l, struct offer, link);

		if (o->ops->tick)
			o->ops->tick(o->vdev);
	}
	watchdog_look(&s->watchdog);
	reactor_timer_start(s->home, &s->tick, TICK_NS);
}

/* ---- life ---- */

static int watch_signals(struct server *s, struct error *err)
{
	sigset_t set;
	int rc;

	signal_set(&set);
	s->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (s->signal_fd < 0)
		return error_set(err, -errno, "cannot wait for signals");
	s->signals.ready = signals_ready;
	rc = reactor_watch_start(s->home, &s->signals, s->signal_fd, EPOLLIN);
	return rc ? error_set(err, rc, "cannot wait for signals") : 0;
}

int server_create(struct server **out, const struct server_config *config, struct error *err)
{
	struct reactor_config control = {.uring = false};
	struct server *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return error_set(err, -ENOMEM, "cannot create a server");
	list_init(&s->offers);
	s->any_memory = config->any_memory;
	s->signal_fd = -1;
	reactor_timer_init(&s->tick, tick_expired);
	rc = reactor_create(&s->home, &control, err);
	if (!rc && config->signals)
		rc = watch_signals(s, err);
	if (!rc)
		rc = disk_room_init(&s->room, s->home, &config->workers, err);
	if (!rc && watchdog_init(&s->watchdog, s->room.pool.workers, s->room.pool.n))
		rc = error_set(err, -ENOMEM, "cannot watch the workers");
	if (rc) {
		server_destroy(&s);
		return rc;
	}
	*out = s;
	return 0;
}

unsigned server_offers(const struct server *s)
{
	return s->n_offers;
}

void server_show(const struct server *s,
		 void (*one)(void *opaque, const struct virtio_device *vdev,
			     const struct vhost_user_export *where),
		 void *opaque)
{
	list_for_each (l, &s->offers) {
		const struct offer *o = list_entry(l, struct offer, link);

		one(opaque, o->vdev, &o->export);
	}
}

struct reactor *server_home(const struct server *s)
{
	return s->home;
}

struct disk_room *server_room(struct server *s)
{
	return &s->room;
}

int server_run(struct server *s)
{
	if (!s->open)
		return 0;
	reactor_run(s->home);
	return s->hurry ? -EINTR : 0;
}

int server_fd(const struct server *s)
{
	return reactor_fd(s->home);
}

int server_timeout_ms(const struct server *s)
{
	return reactor_timeout_ms(s->home);
}

int server_process(struct server *s)
{
	reactor_process(s->home);
	return !s->open;
}

void server_stop(struct server *s)
{
	s->stopping = true;
	list_for_each (l, &s->offers)
		vhost_user_export_stop(&list_entry(l, struct offer, link)->export);
}

/* Offers that were never run are stopped here. */
static void server_drain(struct server *s)
{
	if (!s->open)
		return;
	server_stop(s);
	reactor_run(s->home);
}

void server_destroy(struct server **sp)
{
	struct server *s = *sp;

	if (!s)
		return;
	server_drain(s);
	list_for_each_safe (l, &s->offers) {
		struct offer *o = list_entry(l, struct offer, link);

		list_del(&o->link);
		vhost_user_export_fini(&o->export);
		o->ops->destroy(o->vdev);
		free(o);
	}
	disk_room_fini(&s->room);
	watchdog_fini(&s->watchdog);
	if (s->home)
		reactor_watch_stop(s->home, &s->signals);
	if (s->signal_fd >= 0)
		close(s->signal_fd);
	reactor_destroy(&s->home);
	free(s);
	*sp = NULL;
}
