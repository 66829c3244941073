/* SPDX-License-Identifier: MIT */
#include "server/socket/door.h"

#include "base/clock.h"
#include "base/limits.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#define ACCEPT_RETRY_NS (100 * NSEC_PER_MSEC)

static void door_shut(struct socket_door *door)
{
	reactor_watch_stop(door->home, &door->watch);
	reactor_timer_stop(door->home, &door->retry);
	socket_listener_close(&door->listener);
}

static void door_over(struct socket_door *door)
{
	if (door->is_over)
		return;
	door->is_over = true;
	door_shut(door);
	/* Behind whatever the connection has posted. */
	reactor_post(door->home, &door->last);
}

static void door_last(struct reactor_msg *msg)
{
	struct socket_door *door = container_of(msg, struct socket_door, last);

	door->ops->over(door);
}

/* The next client, if there is room for one. */
static void door_welcome(struct socket_door *door)
{
	while (!door->busy && !door->is_over) {
		int fd = socket_listener_accept(&door->listener), rc;

		if (fd == -EAGAIN)
			return;
		if (fd == -ENOTCONN) {
			door_over(door);
			return;
		}
		rc = fd < 0 ? fd : door->ops->serve(door, fd);
		if (rc) {
			char reason[128];

			log_limited(&door->complaints, LOG_LEVEL_ERR, door->name,
				    "cannot accept a front end: %s; trying again",
				    limits_reason(rc, reason, sizeof(reason)));
			reactor_timer_start(door->home, &door->retry, ACCEPT_RETRY_NS);
			return;
		}
		door->busy = true;
	}
}

static void door_ready(struct reactor_watch *w, uint32_t events)
{
	(void)events;
	door_welcome(container_of(w, struct socket_door, watch));
}

static void door_retry(struct reactor_timer *t)
{
	door_welcome(container_of(t, struct socket_door, retry));
}

void socket_door_free(struct socket_door *door)
{
	door->busy = false;
	if (door->stopping)
		door_over(door);
	else
		door_welcome(door);
}

int socket_door_open(struct socket_door *door, const struct socket_door_ops *ops, const char *name,
		     const struct socket_place *where, struct reactor *home, struct error *err)
{
	int rc;

	*door = (struct socket_door){
		.ops = ops,
		.name = name,
		.home = home,
		.watch.ready = door_ready,
		.last.run = door_last,
	};
	reactor_timer_init(&door->retry, door_retry);
	rc = socket_listener_open(&door->listener, where, err);
	if (rc)
		return rc;
	if (door->listener.single) {
		reactor_timer_start(home, &door->retry, 0);
		return 0;
	}
	rc = reactor_watch_start(home, &door->watch, door->listener.fd, EPOLLIN);
	if (rc) {
		error_set(err, rc, "cannot wait for front ends");
		socket_listener_close(&door->listener);
	}
	return rc;
}

void socket_door_stop(struct socket_door *door)
{
	if (door->stopping || door->is_over)
		return;
	door->stopping = true;
	door_shut(door);
	if (door->busy)
		door->ops->send_away(door);
	else
		door_over(door);
}
