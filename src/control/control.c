/* SPDX-License-Identifier: MIT */
#include "control/control.h"

#include "base/bits.h"
#include "base/limits.h"
#include "control/peer.h"

#define SOCKET_MODE 0600

static bool control_came(struct acceptor *a, int fd)
{
	struct control *c = container_of(a, struct control, acceptor);

	(void)control_peer_create(c, fd, a->on_spare || limits_fd_is_reserve(fd));
	return true;
}

int control_open(struct control *c, const struct control_ops *ops, const char *path,
		 struct reactor *home, struct error *err)
{
	const struct socket_place where = {.path = path, .mode = SOCKET_MODE};
	int rc;

	*c = (struct control){.ops = ops};
	list_init(&c->peers);
	acceptor_init(&c->acceptor, NULL, control_came);
	rc = socket_listener_open(&c->listener, &where, err);
	if (rc)
		return rc;
	c->acceptor.owner_only = c->listener.private;
	c->acceptor.keep_spare = true;
	rc = acceptor_start(&c->acceptor, home, c->listener.fd);
	if (rc) {
		socket_listener_close(&c->listener);
		return error_set(err, rc, "cannot listen on %s", path);
	}
	c->home = home;
	return 0;
}

void control_close(struct control *c)
{
	if (!c->home)
		return;
	list_for_each_safe (l, &c->peers)
		control_peer_destroy(list_entry(l, struct control_peer, link));
	acceptor_stop(&c->acceptor);
	socket_listener_close(&c->listener);
	c->home = NULL;
}
