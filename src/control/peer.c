/* SPDX-License-Identifier: MIT */
#include "control/peer.h"

#include "base/aside.h"
#include "base/bits.h"
#include "base/clock.h"
#include "base/sock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of a turn of the thread, whoever else it serves: so many answers and pieces of lines. */
#define SHARE	 8
#define PAUSE_NS NSEC_PER_MSEC
#define BRIEF_NS NSEC_PER_SEC

/* ---- what goes out ---- */

/* @text is malloc()ed, of @n bytes, without its end of line; taken over. */
static void peer_send_line(struct control_peer *p, char *text, size_t n)
{
	size_t need = p->out_n + n + 1;

	if (!text || p->broken) {
		p->broken = true;
		free(text);
		return;
	}
	if (need > p->out_size) {
		char *more = realloc(p->out, need);

		if (!more) {
			p->broken = true;
			free(text);
			return;
		}
		p->out = more;
		p->out_size = need;
	}
	memcpy(p->out + p->out_n, text, n);
	p->out[need - 1] = '\n';
	p->out_n = need;
	free(text);
}

static void peer_send(struct control_peer *p, const json_t *message)
{
	char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;

	peer_send_line(p, text, text ? strlen(text) : 0);
	/* From inside the peer's own turn it goes out at the turn's end. */
	if (!p->talking)
		reactor_timer_start(p->socket->control->home, &p->again, 0);
}

void control_peer_say(struct control_peer *p, json_t *message)
{
	peer_send(p, message);
	json_decref(message);
}

void control_peer_object(struct control_peer *p, int code, const json_t *id, const char *sentence)
{
	json_t *none = id ? json_incref((json_t *)(uintptr_t)id) : json_null();

	control_peer_say(p, json_pack("{ss s{si ss} so}", "jsonrpc", "2.0", "error", "code", code,
				      "message", sentence, "id", none));
}

void control_peer_tell(struct control_peer *p, const json_t *event)
{
	if (p->out_n - p->sent > CONTROL_EVENTS_MAX)
		p->lost++;
	else
		peer_send(p, event);
}

static void peer_tell_lost(struct control_peer *p)
{
	uint64_t lost = p->lost;

	if (!lost)
		return;
	p->lost = 0;
	control_peer_say(p, json_pack("{ss ss s{ss sI}}", "jsonrpc", "2.0", "method", "event",
				      "params", "event", "events-lost", "count", (json_int_t)lost));
}

/* ---- the connection ---- */

/* false: the peer takes no more for now, or is gone. */
static bool peer_flush(struct control_peer *p)
{
	while (p->sent < p->out_n && !p->broken) {
		const struct iovec rest = {p->out + p->sent, p->out_n - p->sent};
		ssize_t n = sock_send_some(p->fd, &rest, 1, NULL, 0);

		p->broken |= n < 0;
		if (n <= 0)
			return false;
		p->sent += (size_t)n;
		if (p->sent == p->out_n) {
			p->sent = p->out_n = 0;
			peer_tell_lost(p);
		}
	}
	if (!p->out_n) {
		free(p->out);
		p->out = NULL;
		p->out_size = 0;
	}
	return !p->broken;
}

static void peer_take_text(struct control_peer *p, const char *line, size_t n)
{
	json_error_t why;
	json_t *asked = json_loadb(line, n, JSON_REJECT_DUPLICATES, &why);
	char text[sizeof(why.text) + 40];

	if (asked) {
		control_call_begin(p, asked);
		return;
	}
	snprintf(text, sizeof(text), "this line is no JSON: %s", why.text);
	control_peer_object(p, CONTROL_NO_JSON, NULL, text);
}

/* Takes the first whole line that has arrived; false: there is none. */
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
		control_peer_object(p, CONTROL_NO_REQUEST, NULL, "this line is too long");
	else
		peer_take_text(p, p->line, n);
	p->too_long = false;
	p->line_n -= n + 1;
	memmove(p->line, end + 1, p->line_n);
	return true;
}

/* false: nothing has arrived, or nothing will any more. */
static bool peer_receive(struct control_peer *p)
{
	/* Files that come along are nobody's, and may take long to be closed. */
	struct sock_fds none = {.aside = p->socket->acceptor.aside};
	ssize_t n = sock_recv_some(p->fd, p->line + p->line_n, sizeof(p->line) - p->line_n, &none);

	p->broken |= n < 0 || none.more;
	if (n <= 0)
		return false;
	p->line_n += (size_t)n;
	return true;
}

static void peer_leave(struct control_peer *p)
{
	struct control_socket *s = p->socket;

	control_peer_destroy(p);
	acceptor_restock(&s->acceptor);
}

/* Goes on until the peer has nothing to say, or takes nothing, or waits for an answer, or has had
 * its share. */
static void peer_converse(struct control_peer *p)
{
	unsigned done = 0;

	p->talking = true;
	while (peer_flush(p) && !p->call) {
		if (done++ == SHARE) {
			reactor_timer_start(p->socket->control->home, &p->again, PAUSE_NS);
			break;
		}
		if (!peer_take_line(p) && !peer_receive(p))
			break;
	}
	p->talking = false;
	if (p->broken)
		peer_leave(p);
}

static void peer_ready(struct reactor_watch *w, uint32_t events)
{
	struct control_peer *p = container_of(w, struct control_peer, watch);

	/* Who waits for an answer is not read, and so is not seen to end. */
	if (p->call && events & (EPOLLHUP | EPOLLERR))
		p->broken = true;
	reactor_timer_stop(p->socket->control->home, &p->again);
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

int control_peer_create(struct control_socket *s, int fd, bool brief)
{
	struct control *c = s->control;
	struct control_peer *p = calloc(1, sizeof(*p));
	int rc;

	if (!p) {
		close(fd);
		return -ENOMEM;
	}
	p->socket = s;
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
	struct reactor *home = p->socket->control->home;

	reactor_watch_stop(home, &p->watch);
	reactor_timer_stop(home, &p->again);
	reactor_timer_stop(home, &p->patience);
	list_del(&p->link);
	if (p->call)
		p->call->peer = NULL;
	/* The other side sees the end now, whenever the rest of it comes. */
	shutdown(p->fd, SHUT_RDWR);
	aside_close(p->socket->acceptor.aside, p->fd);
	free(p->out);
	free(p);
}
