/* SPDX-License-Identifier: MIT */
#include "server/socket/door.h"

#include "base/limits.h"

#include <errno.h>

static void door_shut(struct socket_door *door)
{
	acceptor_stop(&door->acceptor);
	reactor_timer_stop(door->home, &door->first);
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

/* false: nobody else before this one has gone. */
static bool door_let_in(struct socket_door *door, int fd)
{
	char reason[128];
	int rc = door->ops->serve(door, fd);

	if (rc)
		log_limited(&door->complaints, LOG_LEVEL_ERR, door->name,
			    "cannot serve a front end: %s",
			    limits_reason(rc, reason, sizeof(reason)));
	door->busy = !rc;
	return !door->busy;
}

static bool door_came(struct acceptor *a, int fd)
{
	return door_let_in(container_of(a, struct socket_door, acceptor), fd);
}

/* Only one client comes over a connected fd. */
static void door_first(struct reactor_timer *t)
{
	struct socket_door *door = container_of(t, struct socket_door, first);

	if (door_let_in(door, socket_listener_take(&door->listener)))
		door_over(door);
}

void socket_door_free(struct socket_door *door)
{
	door->busy = false;
	if (door->stopping || door->listener.single)
		door_over(door);
	else
		acceptor_look(&door->acceptor);
}

int socket_door_open(struct socket_door *door, const struct socket_door_ops *ops, const char *name,
		     const struct socket_place *where, struct reactor *home, struct error *err)
{
	int rc;

	*door = (struct socket_door){
		.ops = ops,
		.name = name,
		.home = home,
		.last.run = door_last,
	};
	reactor_timer_init(&door->first, door_first);
	acceptor_init(&door->acceptor, name, door_came);
	rc = socket_listener_open(&door->listener, where, err);
	if (rc)
		return rc;
	if (door->listener.single) {
		reactor_timer_start(home, &door->first, 0);
		return 0;
	}
	door->acceptor.owner_only = door->listener.private;
	rc = acceptor_start(&door->acceptor, home, door->listener.fd);
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
