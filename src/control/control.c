/* SPDX-License-Identifier: MIT */
#include "control/control.h"

#include "base/bits.h"
#include "base/limits.h"
#include "control/peer.h"

#define SOCKET_MODE 0600

static bool control_came(struct acceptor *a, int fd)
{
	(void)control_peer_create(container_of(a, struct control_socket, acceptor), fd,
				  a->on_spare || limits_fd_is_reserve(fd));
	return true;
}

static int control_socket_open(struct control_socket *s, struct control *c, const char *path,
			       int mode, struct error *err)
{
	const struct socket_place where = {.path = path, .mode = mode ? mode : SOCKET_MODE};
	int rc;

	acceptor_init(&s->acceptor, NULL, control_came);
	rc = socket_listener_open(&s->listener, &where, err);
	if (rc)
		return rc;
	s->acceptor.owner_only = s->listener.private;
	s->acceptor.keep_spare = true;
	rc = acceptor_start(&s->acceptor, c->home, s->listener.fd);
	if (rc) {
		socket_listener_close(&s->listener);
		return error_set(err, rc, "cannot listen on %s", path);
	}
	s->control = c;
	return 0;
}

static void control_socket_close(struct control_socket *s)
{
	if (!s->control)
		return;
	acceptor_stop(&s->acceptor);
	socket_listener_close(&s->listener);
	s->control = NULL;
}

int control_open(struct control *c, const struct control_verb *const *verbs,
		 const struct control_places *places, struct reactor *home, struct error *err)
{
	int rc = 0;

	*c = (struct control){.verbs = verbs, .home = home, .reads.reads = true};
	list_init(&c->peers);
	if (places->all)
		rc = control_socket_open(&c->all, c, places->all, places->mode, err);
	if (!rc && places->reads)
		rc = control_socket_open(&c->reads, c, places->reads, places->mode, err);
	if (rc)
		control_close(c);
	return rc;
}

void control_close(struct control *c)
{
	if (!c->home)
		return;
	list_for_each_safe (l, &c->peers)
		control_peer_destroy(list_entry(l, struct control_peer, link));
	control_socket_close(&c->all);
	control_socket_close(&c->reads);
	c->home = NULL;
}

void control_event(struct control *c, const char *event, json_t *about)
{
	json_t *params, *message;

	if (!c->home) {
		json_decref(about);
		return;
	}
	params = json_pack("{ss}", "event", event);
	json_object_update(params, about);
	json_decref(about);
	message = json_pack("{ss ss so}", "jsonrpc", "2.0", "method", "event", "params", params);
	list_for_each (l, &c->peers) {
		struct control_peer *p = list_entry(l, struct control_peer, link);

		if (p->subscribed)
			control_peer_tell(p, message);
	}
	json_decref(message);
}
