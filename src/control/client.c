/* SPDX-License-Identifier: MIT */
#include "control/control.h"

#include "base/clock.h"
#include "base/sock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A program that lives answers at once; one that is stopped never does. */
#define PATIENCE_S 10

/* A machine's tree has some 100 KiB. */
#define ANSWER_MAX  (UINT64_C(1) << 30)

#define QUESTION_ID 1

/* The other side, and what it has said beyond the line at hand. */
struct client {
	const char *path;
	int fd;
	bool spoke; /* this far it talks as a control socket does */
	char *text;
	size_t n, size;
};

static uint64_t client_deadline(void)
{
	return clock_ns() + PATIENCE_S * NSEC_PER_SEC;
}

static int client_dial(struct client *c, const char *path, struct error *err)
{
	struct sock_address at;
	int rc = sock_address(&at, path, err);

	*c = (struct client){.path = path, .fd = -1};
	if (rc)
		return rc;
	c->fd = sock_dial(&at, PATIENCE_S * 1000, err);
	return c->fd < 0 ? c->fd : 0;
}

static void client_close(struct client *c)
{
	free(c->text);
	if (c->fd >= 0)
		close(c->fd);
}

static int client_no_control(const struct client *c, const char *how, struct error *err)
{
	return error_set(
		err, -EPROTO,
		"%s is no control socket: %s.  A control socket is what ringside serve or "
		"pc was given by --control; what it was given by --vhost-user or --vfio-user "
		"is a disk.",
		c->path, how);
}

/* More of what the other side says: 0 or -errno. */
static int client_hear(struct client *c, uint64_t until, struct error *err)
{
	ssize_t got;

	if (c->n == c->size) {
		size_t size = c->size ? 2 * c->size : 4096;
		char *more = size <= ANSWER_MAX ? realloc(c->text, size) : NULL;

		if (!more)
			return error_set(err, -ENOMEM, "cannot take the answer of %s", c->path);
		c->text = more;
		c->size = size;
	}
	if (sock_ready(c->fd, POLLIN, until))
		return error_set(err, -ETIMEDOUT,
				 "%s gives no answer: whoever listens there is stopped or "
				 "busy, or it is no control socket.",
				 c->path);
	do {
		got = recv(c->fd, c->text + c->n, c->size - c->n, 0);
	} while (got < 0 && errno == EINTR);
	if (got <= 0 && c->spoke)
		return error_set(err, -ENOTCONN, "%s has gone.", c->path);
	if (got <= 0)
		return client_no_control(c,
					 c->n ? "it broke off in the middle of an answer"
					      : "it hung up at the first request",
					 err);
	c->n += (size_t)got;
	return 0;
}

/* The next message; the caller's. */
static int client_next(struct client *c, uint64_t until, json_t **message, struct error *err)
{
	size_t from = 0, line;
	const char *end;
	int rc;

	while (!c->n || !(end = memchr(c->text + from, '\n', c->n - from))) {
		from = c->n;
		rc = client_hear(c, until, err);
		if (rc)
			return rc;
	}
	line = (size_t)(end - c->text);
	*message = json_loadb(c->text, line, 0, NULL);
	c->n -= line + 1;
	memmove(c->text, end + 1, c->n);
	if (!json_object_get(*message, "jsonrpc")) {
		json_decref(*message);
		return client_no_control(c, "it answers something else", err);
	}
	c->spoke = true;
	return 0;
}

/* Who hangs up at once may have said why: not an error. */
static int client_say(struct client *c, const struct control_question *q, struct error *err)
{
	json_t *asked = json_pack("{ss ss si}", "jsonrpc", "2.0", "method", q->method, "id",
				  QUESTION_ID);
	char *text, *line = NULL;
	int rc;

	if (q->params)
		json_object_set(asked, "params", q->params);
	text = json_dumps(asked, JSON_COMPACT);
	json_decref(asked);
	if (!text || asprintf(&line, "%s\n", text) < 0) {
		free(text);
		return error_set(err, -ENOMEM, "cannot ask %s", c->path);
	}
	rc = sock_send(c->fd, line, strlen(line), NULL, 0, client_deadline());
	free(text);
	free(line);
	return rc && rc != -ENOTCONN ? error_set(err, rc, "cannot ask %s", c->path) : 0;
}

/* What the answer to our question says; 1: it is none. */
static int client_read(const struct client *c, const json_t *message, json_t **result,
		       struct error *err)
{
	const char *refusal;

	if (json_object_get(message, "method"))
		return 1;
	*result = json_incref(json_object_get(message, "result"));
	if (*result)
		return 0;
	refusal = json_string_value(json_object_get(json_object_get(message, "error"), "message"));
	if (refusal)
		return error_set(err, -EPROTO, "%s refuses: %s.", c->path, refusal);
	return client_no_control(c, "it answers something else", err);
}

static int client_ask(struct client *c, const struct control_question *q, json_t **result,
		      struct error *err)
{
	uint64_t until = q->slow ? UINT64_MAX : client_deadline();
	int rc = client_say(c, q, err);

	*result = NULL;
	while (!rc) {
		json_t *message;

		rc = client_next(c, until, &message, err);
		if (rc)
			break;
		rc = client_read(c, message, result, err);
		json_decref(message);
		if (rc <= 0)
			return rc;
		rc = 0;
	}
	return rc;
}

int control_ask(const char *path, const struct control_question *q, json_t **result,
		struct error *err)
{
	struct client c;
	int rc = client_dial(&c, path, err);

	*result = NULL;
	if (!rc)
		rc = client_ask(&c, q, result, err);
	client_close(&c);
	return rc;
}

int control_listen(const char *path, bool (*event)(void *opaque, const json_t *params),
		   void *opaque, struct error *err)
{
	const struct control_question q = {.method = "events"};
	json_t *message = NULL;
	struct client c;
	int rc = client_dial(&c, path, err);

	if (!rc)
		rc = client_ask(&c, &q, &message, err);
	json_decref(message);
	while (!rc) {
		bool more;

		rc = client_next(&c, UINT64_MAX, &message, err);
		if (rc)
			break;
		more = event(opaque, json_object_get(message, "params"));
		json_decref(message);
		if (!more)
			break;
	}
	client_close(&c);
	return rc;
}
