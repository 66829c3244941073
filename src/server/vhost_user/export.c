/* SPDX-License-Identifier: MIT */
#include "server/vhost_user/export.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#define ACCEPT_RETRY_NS (100 * NSEC_PER_MSEC)

static void over(struct vhost_user_export *e)
{
	if (e->is_over)
		return;
	e->is_over = true;
	reactor_watch_stop(e->home, &e->watch);
	reactor_timer_stop(e->home, &e->retry);
	socket_listener_close(&e->listener);
	/* Behind whatever the connection has posted. */
	reactor_post(e->home, &e->over);
}

static void tell_owner(struct reactor_msg *msg)
{
	struct vhost_user_export *e = container_of(msg, struct vhost_user_export, over);

	e->stopped(e);
}

/* The next front end, if there is room for one. */
static void welcome(struct vhost_user_export *e)
{
	while (e->connection.state == VHOST_USER_IDLE && !e->is_over) {
		int fd = socket_listener_accept(&e->listener), rc;

		if (fd == -EAGAIN)
			return;
		if (fd == -ENOTCONN) {
			over(e);
			return;
		}
		rc = fd < 0 ? fd : vhost_user_connection_serve(&e->connection, fd);
		if (rc) {
			log_limited(&e->connection.complaints, LOG_LEVEL_ERR, e->name,
				    "cannot accept a front end: %s; trying again", strerror(-rc));
			reactor_timer_start(e->home, &e->retry, ACCEPT_RETRY_NS);
			return;
		}
	}
}

static void listener_ready(struct reactor_watch *w, uint32_t events)
{
	(void)events;
	welcome(container_of(w, struct vhost_user_export, watch));
}

static void retry_expired(struct reactor_timer *t)
{
	welcome(container_of(t, struct vhost_user_export, retry));
}

static void front_end_gone(struct vhost_user_connection *c)
{
	struct vhost_user_export *e = container_of(c, struct vhost_user_export, connection);

	if (e->stopping)
		over(e);
	else
		welcome(e);
}

int vhost_user_export_init(struct vhost_user_export *e, struct virtio_device *vdev,
			   const struct socket_place *where, struct reactor *home,
			   void (*stopped)(struct vhost_user_export *e), struct error *err)
{
	int rc;

	memset(e, 0, sizeof(*e));
	snprintf(e->name, sizeof(e->name), "%s", vdev->path);
	e->home = home;
	e->stopped = stopped;
	e->watch.ready = listener_ready;
	e->over.run = tell_owner;
	reactor_timer_init(&e->retry, retry_expired);
	rc = vhost_user_connection_init(&e->connection, e->name, vdev, home, front_end_gone, err);
	if (rc)
		return rc;
	rc = socket_listener_open(&e->listener, where, err);
	if (rc)
		goto fini_connection;
	if (e->listener.single) {
		reactor_timer_start(home, &e->retry, 0);
		return 0;
	}
	rc = reactor_watch_start(home, &e->watch, e->listener.fd, EPOLLIN);
	if (rc) {
		error_set(err, rc, "cannot wait for front ends");
		goto close_listener;
	}
	return 0;
close_listener:
	socket_listener_close(&e->listener);
fini_connection:
	vhost_user_connection_fini(&e->connection);
	return rc;
}

void vhost_user_export_stop(struct vhost_user_export *e)
{
	if (e->stopping || e->is_over)
		return;
	e->stopping = true;
	reactor_watch_stop(e->home, &e->watch);
	reactor_timer_stop(e->home, &e->retry);
	socket_listener_close(&e->listener);
	if (e->connection.state == VHOST_USER_IDLE)
		over(e);
	else
		vhost_user_connection_close(&e->connection);
}

void vhost_user_export_fini(struct vhost_user_export *e)
{
	vhost_user_connection_fini(&e->connection);
}

const char *vhost_user_blk_capabilities(void)
{
	return "{\n"
	       "  \"type\": \"block\",\n"
	       "  \"features\": [\"read-only\", \"blk-file\"]\n"
	       "}\n";
}
