/* SPDX-License-Identifier: MIT */
#include "cli/control.h"

#include "base/bits.h"
#include "base/clock.h"
#include "base/sock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define SOCKET_MODE	0600
#define ANSWERS_AT_ONCE 4
#define PAUSE_NS	NSEC_PER_MSEC

static void drop(struct control_peer *p)
{
	reactor_watch_stop(p->control->home, &p->watch);
	reactor_timer_stop(p->control->home, &p->again);
	close(p->fd);
	free(p->answer);
	p->fd = -1;
	p->answer = NULL;
	p->line_n = 0;
	p->too_long = p->broken = false;
}

/* ---- answering ---- */

/* Takes over @message. */
static void say(struct control_peer *p, json_t *message)
{
	char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;
	size_t n = text ? strlen(text) : 0;

	json_decref(message);
	p->sent = 0;
	p->answer = text ? realloc(text, n + 1) : NULL;
	if (!p->answer) {
		free(text);
		p->broken = true;
		return;
	}
	p->answer[n] = '\n';
	p->answer_n = n + 1;
}

static void say_error(struct control_peer *p, const char *sentence)
{
	say(p, json_pack("{ss}", "error", sentence));
}

static void answer_line(struct control_peer *p, const char *line, size_t n)
{
	json_t *asked = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL), *answer;
	const char *request = json_string_value(json_object_get(asked, "request"));

	if (!request) {
		say_error(p, "this is no request: {\"request\": \"tree\"} would be one.");
	} else {
		answer = p->control->ops->answer(p->control, request);
		if (answer)
			say(p, json_pack("{so}", "answer", answer));
		else
			say_error(p, "there is no such request.");
	}
	json_decref(asked);
}

/* ---- the connection ---- */

/* false: the peer takes no more for now, or is gone. */
static bool flush(struct control_peer *p)
{
	while (p->answer && p->sent < p->answer_n) {
		const struct iovec rest = {p->answer + p->sent, p->answer_n - p->sent};
		ssize_t n = sock_send_some(p->fd, &rest, 1, NULL, 0);

		if (n < 0)
			drop(p);
		if (n <= 0)
			return false;
		p->sent += (size_t)n;
	}
	free(p->answer);
	p->answer = NULL;
	if (p->broken)
		drop(p);
	return p->fd >= 0;
}

/* Answers the first whole line that has arrived; false: there is none. */
static bool take_line(struct control_peer *p)
{
	const char *end = memchr(p->line, '\n', p->line_n);
	size_t n;

	if (!end && p->line_n == sizeof(p->line)) {
		p->too_long = true;
		p->line_n = 0;
	}
	if (!end)
		return false;
	n = (size_t)(end - p->line);
	if (p->too_long)
		say_error(p, "this line is too long.");
	else
		answer_line(p, p->line, n);
	p->too_long = false;
	p->line_n -= n + 1;
	memmove(p->line, end + 1, p->line_n);
	return true;
}

/* false: nothing has arrived, or nothing will any more. */
static bool receive(struct control_peer *p)
{
	ssize_t n = sock_recv_some(p->fd, p->line + p->line_n, sizeof(p->line) - p->line_n, NULL);

	if (n < 0)
		drop(p);
	if (n <= 0)
		return false;
	p->line_n += (size_t)n;
	return true;
}

/* Goes on until the peer has nothing to say, or takes nothing, or has had its share. */
static void converse(struct control_peer *p)
{
	unsigned answers = 0;

	while (flush(p)) {
		if (answers == ANSWERS_AT_ONCE) {
			reactor_timer_start(p->control->home, &p->again, PAUSE_NS);
			return;
		}
		if (take_line(p))
			answers++;
		else if (!receive(p))
			return;
	}
}

static void peer_ready(struct reactor_watch *w, uint32_t events)
{
	struct control_peer *p = container_of(w, struct control_peer, watch);

	(void)events;
	reactor_timer_stop(p->control->home, &p->again);
	converse(p);
}

static void peer_again(struct reactor_timer *t)
{
	converse(container_of(t, struct control_peer, again));
}

static bool peer_came(struct acceptor *a, int fd)
{
	struct control *c = container_of(a, struct control, acceptor);

	for (unsigned i = 0; i < CONTROL_PEERS; i++) {
		struct control_peer *p = &c->peers[i];

		if (p->fd >= 0)
			continue;
		p->fd = fd;
		if (reactor_watch_start(c->home, &p->watch, fd, EPOLLIN | EPOLLOUT))
			drop(p);
		return true;
	}
	close(fd);
	return true;
}

/* ---- life ---- */

int control_open(struct control *c, const struct control_ops *ops, const char *path,
		 struct reactor *home, struct error *err)
{
	const struct socket_place where = {.path = path, .mode = SOCKET_MODE};
	int rc;

	*c = (struct control){.ops = ops, .home = home};
	acceptor_init(&c->acceptor, NULL, peer_came);
	rc = socket_listener_open(&c->listener, &where, err);
	if (rc)
		return rc;
	c->peers = calloc(CONTROL_PEERS, sizeof(c->peers[0]));
	rc = c->peers ? 0 : -ENOMEM;
	for (unsigned i = 0; !rc && i < CONTROL_PEERS; i++) {
		c->peers[i] = (struct control_peer){
			.control = c, .fd = -1, .watch.ready = peer_ready};
		reactor_timer_init(&c->peers[i].again, peer_again);
	}
	if (!rc)
		rc = acceptor_start(&c->acceptor, home, c->listener.fd);
	if (!rc)
		return 0;
	free(c->peers);
	c->peers = NULL;
	socket_listener_close(&c->listener);
	return error_set(err, rc, "cannot listen on %s", path);
}

void control_close(struct control *c)
{
	if (!c->peers)
		return;
	acceptor_stop(&c->acceptor);
	for (unsigned i = 0; i < CONTROL_PEERS; i++)
		if (c->peers[i].fd >= 0)
			drop(&c->peers[i]);
	free(c->peers);
	c->peers = NULL;
	socket_listener_close(&c->listener);
}
