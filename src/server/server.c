/* SPDX-License-Identifier: MIT */
#include "server/server.h"

#include "base/clock.h"
#include "base/log.h"
#include "server/watchdog.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define TICK_NS NSEC_PER_SEC

struct server {
	struct reactor *home;
	struct disk_room room;
	struct list offers;
	unsigned n_offers;
	unsigned open; /* offers that are not over */
	bool any_memory;
	bool stays;
	bool stopping;
	bool skip_drain;
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
			if (s->open)
				log_info(NULL,
					 "stopping; a second signal ends it without draining");
			server_stop(s);
		} else {
			s->skip_drain = true;
			reactor_stop(s->home);
		}
	}
}

/* ---- offers ---- */

static struct server_offer *offer_of(struct socket_door *door)
{
	return container_of(door, struct server_offer, door);
}

static int offer_serve(struct socket_door *door, int fd)
{
	return offer_of(door)->ops->serve(offer_of(door), fd);
}

static void offer_send_away(struct socket_door *door)
{
	offer_of(door)->ops->send_away(offer_of(door));
}

/* Nobody is served, and nobody can come. */
static bool server_is_over(const struct server *s)
{
	return !s->open && (s->stopping || !s->stays);
}

static void offer_destroy(struct server_offer *o)
{
	list_del(&o->link);
	o->server->n_offers--;
	o->ops->destroy(o);
}

static void offer_removed(struct server_offer *o)
{
	struct server_removal *r = o->removal;

	offer_destroy(o);
	r->done(r);
}

static void offer_over(struct socket_door *door)
{
	struct server_offer *o = offer_of(door);
	struct server *s = o->server;

	o->over = true;
	if (!--s->open)
		reactor_timer_stop(s->home, &s->tick);
	if (o->removal)
		offer_removed(o);
	if (server_is_over(s))
		reactor_stop(s->home);
}

static const struct socket_door_ops door_ops = {
	.serve = offer_serve,
	.send_away = offer_send_away,
	.over = offer_over,
};

int server_add_offer(struct server *s, struct server_offer *o, const struct server_offer_ops *ops,
		     const char *name, const struct socket_place *where, struct error *err)
{
	int rc = socket_door_open(&o->door, &door_ops, name, where, s->home, err);

	if (rc)
		return rc;
	o->ops = ops;
	o->server = s;
	list_add_tail(&s->offers, &o->link);
	s->n_offers++;
	if (!s->open++)
		reactor_timer_start(s->home, &s->tick, TICK_NS);
	return 0;
}

int server_remove_offer(struct server_offer *o, struct server_removal *r)
{
	if (o->removal)
		return -EALREADY;
	o->removal = r;
	if (o->over)
		offer_removed(o);
	else
		socket_door_stop(&o->door);
	return 0;
}

static void tick_expired(struct reactor_timer *t)
{
	struct server *s = container_of(t, struct server, tick);

	list_for_each (l, &s->offers) {
		struct server_offer *o = list_entry(l, struct server_offer, link);

		o->ops->refresh(o);
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
	s->stays = config->stays;
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

bool server_any_memory(const struct server *s)
{
	return s->any_memory;
}

unsigned server_offers(const struct server *s)
{
	return s->n_offers;
}

void server_show(const struct server *s, void (*one)(void *opaque, const struct server_offer *o),
		 void *opaque)
{
	list_for_each (l, &s->offers)
		one(opaque, list_entry(l, const struct server_offer, link));
}

struct server_offer *server_last(const struct server *s)
{
	return list_empty(&s->offers) ? NULL
				      : list_entry(s->offers.prev, struct server_offer, link);
}

struct server_offer *server_find(const struct server *s, const char *name)
{
	list_for_each (l, &s->offers) {
		struct server_offer *o = list_entry(l, struct server_offer, link);

		if (!strcmp(o->ops->device(o)->path, name))
			return o;
	}
	return NULL;
}

const char *server_free_name(const struct server *s, const char *prefix,
			     char name[SERVER_NAME_MAX + 1])
{
	unsigned n = s->n_offers;

	do {
		snprintf(name, SERVER_NAME_MAX + 1, "%s%u", prefix, n++);
	} while (server_find(s, name));
	return name;
}

int server_name_is_good(const char *name, struct error *err)
{
	static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				   "0123456789._-";
	size_t n = strlen(name);

	if (!n || n > SERVER_NAME_MAX || strspn(name, good) != n || name[0] == '-')
		return error_set(err, -EINVAL,
				 "\"%.60s\" is no name: 1 to %d letters, digits, dots, "
				 "underscores and hyphens are one.",
				 name, SERVER_NAME_MAX);
	return 0;
}

int server_judge_name(const struct server *s, const char *name, struct error *err)
{
	int rc = server_name_is_good(name, err);

	if (rc)
		return rc;
	if (server_find(s, name))
		return error_set(err, -EEXIST, "something here is called %s already.", name);
	return 0;
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
	if (server_is_over(s))
		return 0;
	reactor_run(s->home);
	return s->skip_drain ? -EINTR : 0;
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
	return server_is_over(s);
}

void server_stop(struct server *s)
{
	s->stopping = true;
	list_for_each (l, &s->offers)
		socket_door_stop(&list_entry(l, struct server_offer, link)->door);
	if (server_is_over(s))
		reactor_stop(s->home);
}

bool server_is_stopping(const struct server *s)
{
	return s->stopping;
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
	list_for_each_safe (l, &s->offers)
		offer_destroy(list_entry(l, struct server_offer, link));
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
