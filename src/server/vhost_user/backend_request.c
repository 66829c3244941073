/* SPDX-License-Identifier: MIT */
/* The other way round: what the back end has to tell, on a socket of its own. */
#include "base/log.h"
#include "server/vhost_user/connection_priv.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

void vhost_user_backend_request_close(struct vhost_user_connection *c)
{
	reactor_watch_stop(c->home, &c->backend_watch);
	vhost_user_channel_close(&c->backend);
}

/*
 * Nothing is read: no reply is ever asked for, and who gave us this end of the socket may have kept
 * it, too, and hold it up for readers.
 */
static void backend_ready(struct reactor_watch *w, uint32_t events)
{
	struct vhost_user_connection *c = container_of(w, struct vhost_user_connection,
						       backend_watch);

	if (events & (EPOLLHUP | EPOLLERR) || vhost_user_channel_flush(&c->backend))
		vhost_user_backend_request_close(c);
}

void vhost_user_backend_request_init(struct vhost_user_connection *c)
{
	vhost_user_channel_init(&c->backend, -1, c->aside);
	c->backend_watch.ready = backend_ready;
}

/* Asks the socket layer, which knows sockets only: a file of any other kind is not asked. */
static bool is_unix_stream(int fd)
{
	int domain = 0, type = 0;
	socklen_t len = sizeof(int);

	return !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) && domain == AF_UNIX &&
	       !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) && type == SOCK_STREAM;
}

int vhost_user_set_backend_req_fd(struct vhost_user_connection *c, struct vhost_user_message *m,
				  struct error *err)
{
	int fd = vhost_user_message_take_fd(m, 0), rc;

	if (fd < 0)
		return error_set(err, -EINVAL, "no fd came with it.");
	if (!is_unix_stream(fd)) {
		aside_close(c->aside, fd);
		return error_set(err, -ENOTSOCK, "the fd is not a Unix stream socket.");
	}
	vhost_user_backend_request_close(c);
	vhost_user_channel_init(&c->backend, fd, c->aside);
	rc = reactor_watch_start(c->home, &c->backend_watch, fd, EPOLLOUT);
	if (rc) {
		vhost_user_channel_close(&c->backend);
		return error_set(err, rc, "the fd cannot be waited for");
	}
	return 0;
}

void vhost_user_config_changed(struct virtio_bus *bus)
{
	struct vhost_user_connection *c = container_of(bus, struct vhost_user_connection, bus);

	if (c->backend.fd < 0 || !(c->protocol_features & BIT64(VHOST_USER_PROTOCOL_F_BACKEND_REQ)))
		return;
	/* The front end looks when it has read the message; one on its way is enough. */
	if (c->backend.unsent)
		return;
	c->backend.out.header = (struct vhost_user_header){
		.request = VHOST_USER_BACKEND_CONFIG_CHANGE_MSG,
		.flags = VHOST_USER_VERSION,
	};
	c->backend.out.n_fds = 0;
	if (vhost_user_channel_send(&c->backend))
		vhost_user_backend_request_close(c);
}
