/* SPDX-License-Identifier: MIT */
#include "control/peer.h"

#include "base/aside.h"
#include "base/bits.h"
#include "base/clock.h"
#include "base/sock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of a turn of the thread, whoever else it serves: so many answers and pieces of lines. */
#define SHARE	 8
#define PAUSE_NS NSEC_PER_MSEC
#define BRIEF_NS NSEC_PER_SEC

/* ---- answering ---- */

/* Takes over @message. */
static void peer_say(struct control_peer *p, json_t *message)
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

static void peer_say_error(struct control_peer *p, const char *sentence)
{
	peer_say(p, json_pack("{ss}", "error", sentence));
}

/* The caller's; NULL: they are something else than strings. */
static json_t *peer_arguments(const json_t *asked)
{
	json_t *given = json_object_get(asked, "arguments");

	if (!given)
		return json_array();
	if (!json_is_array(given))
		return NULL;
	for (size_t i = 0; i < json_array_size(given); i++)
		if (!json_is_string(json_array_get(given, i)))
			return NULL;
	return json_incref(given);
}

static void peer_answer_line(struct control_peer *p, const char *line, size_t n)
{
	json_t *asked = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL), *answer;
	const char *request = json_string_value(json_object_get(asked, "request"));
	json_t *arguments = peer_arguments(asked);
	struct error err = {""};

	if (!request || !arguments) {
		peer_say_error(p, "this is no request: {\"request\": \"tree\"} would be one.");
	} else {
		answer = p->control->ops->answer(p->control, request, arguments, &err);
		if (answer)
			peer_say(p, json_pack("{so}", "answer", answer));
		else if (*err.text)
			peer_say_error(p, err.text);
		else
			peer_say(p, json_pack("{so}", "error",
					      json_sprintf("there is no such request here (%s).",
							   p->control->ops->requests)));
	}
	json_decref(arguments);
	json_decref(asked);
}

/* ---- the connection ---- */

/* false: the peer takes no more for now, or is gone. */
static bool peer_flush(struct control_peer *p)
{
	while (p->answer && p->sent < p->answer_n) {
		const struct iovec rest = {p->answer + p->sent, p->answer_n - p->sent};
		ssize_t n = sock_send_some(p->fd, &rest, 1, NULL, 0);

		p->broken |= n < 0;
		if (n <= 0)
			return false;
		p->sent += (size_t)n;
	}
	free(p->answer);
	p->answer = NULL;
	return !p->broken;
}

/* Answers the first whole line that has arrived; false: there is none. */
static bool peer_take_line(struct control_peer *p)
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
		peer_say_error(p, "this line is too long.");
	else
		peer_answer_line(p, p->line, n);
	p->too_long = false;
	p->line_n -= n + 1;
	memmove(p->line, end + 1, p->line_n);
	return true;
}

/* false: nothing has arrived, or nothing will any more. */
static bool peer_receive(struct control_peer *p)
{
	/* Files that come along are nobody's, and may take long to be closed. */
	struct sock_fds none = {.aside = p->control->acceptor.aside};
	ssize_t n = sock_recv_some(p->fd, p->line + p->line_n, sizeof(p->line) - p->line_n, &none);

	p->broken |= n < 0 || none.more;
	if (n <= 0)
		return false;
	p->line_n += (size_t)n;
	return true;
}

static void peer_leave(struct control_peer *p)
{
	struct control *c = p->control;

	control_peer_destroy(p);
	acceptor_restock(&c->acceptor);
}

/* Goes on until the peer has nothing to say, or takes nothing, or has had its share. */
static void peer_converse(struct control_peer *p)
{
	unsigned done = 0;

	while (peer_flush(p)) {
		if (done++ == SHARE) {
			reactor_timer_start(p->control->home, &p->again, PAUSE_NS);
			return;
		}
		if (!peer_take_line(p) && !peer_receive(p))
			break;
	}
	if (p->broken)
		peer_leave(p);
}

static void peer_ready(struct reactor_watch *w, uint32_t events)
{
	struct control_peer *p = container_of(w, struct control_peer, watch);

	(void)events;
	reactor_timer_stop(p->control->home, &p->again);
	peer_converse(p);
}

static void peer_again(struct reactor_timer *t)
{
	peer_converse(container_of(t, struct control_peer, again));
}

static void peer_overdue(struct reactor_timer *t)
{
	peer_leave(container_of(t, struct control_peer, patience));
}

/* ---- life ---- */

int control_peer_create(struct control *c, int fd, bool brief)
{
	struct control_peer *p = calloc(1, sizeof(*p));
	int rc;

	if (!p) {
		close(fd);
		return -ENOMEM;
	}
	p->control = c;
	p->fd = fd;
	p->watch.ready = peer_ready;
	reactor_timer_init(&p->again, peer_again);
	reactor_timer_init(&p->patience, peer_overdue);
	list_add_tail(&c->peers, &p->link);
	rc = reactor_watch_start(c->home, &p->watch, fd, EPOLLIN | EPOLLOUT);
	if (rc)
		control_peer_destroy(p);
	else if (brief)
		reactor_timer_start(c->home, &p->patience, BRIEF_NS);
	return rc;
}

void control_peer_destroy(struct control_peer *p)
{
	reactor_watch_stop(p->control->home, &p->watch);
	reactor_timer_stop(p->control->home, &p->again);
	reactor_timer_stop(p->control->home, &p->patience);
	list_del(&p->link);
	/* The other side sees the end now, whenever the rest of it comes. */
	shutdown(p->fd, SHUT_RDWR);
	aside_close(p->control->acceptor.aside, p->fd);
	free(p->answer);
	free(p);
}
