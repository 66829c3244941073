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
#define ANSWER_MAX (UINT64_C(1) << 30)

static uint64_t client_deadline(void)
{
	return clock_ns() + PATIENCE_S * NSEC_PER_SEC;
}

static int client_dial(const char *path, struct error *err)
{
	struct sock_address at;
	int rc = sock_address(&at, path, err);

	return rc ? rc : sock_dial(&at, PATIENCE_S * 1000, err);
}

static int client_no_control(const char *path, const char *how, struct error *err)
{
	return error_set(
		err, -EPROTO,
		"%s is no control socket: %s.  A control socket is what ringside serve or "
		"pc was given by --control; what it was given by --vhost-user or --vfio-user "
		"is a disk.",
		path, how);
}

/* Reads up to the end of a line: *line is the caller's to free, on failure too. */
static int client_read_line(int fd, const char *path, char **line, size_t *n, struct error *err)
{
	size_t size = 0;

	for (;;) {
		char *more;
		ssize_t got;

		if (*n == size) {
			size = size ? 2 * size : 4096;
			more = size <= ANSWER_MAX ? realloc(*line, size) : NULL;
			if (!more)
				return error_set(err, -ENOMEM, "cannot take the answer of %s",
						 path);
			*line = more;
		}
		if (sock_ready(fd, POLLIN, client_deadline()))
			return error_set(err, -ETIMEDOUT,
					 "%s gives no answer: whoever listens there is stopped or "
					 "busy, or it is no control socket.",
					 path);
		got = recv(fd, *line + *n, size - *n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return client_no_control(path,
						 *n ? "it broke off in the middle of an answer"
						    : "it hung up at the first request",
						 err);
		more = memchr(*line + *n, '\n', (size_t)got);
		*n += (size_t)got;
		if (!more)
			continue;
		*n = (size_t)(more - *line);
		return 0;
	}
}

static int client_read_answer(const char *line, size_t n, const char *path, json_t **answer,
			      struct error *err)
{
	json_t *told = json_loadb(line, n, 0, NULL);
	const char *refusal = json_string_value(json_object_get(told, "error"));
	int rc = 0;

	*answer = json_incref(json_object_get(told, "answer"));
	if (!*answer && refusal)
		rc = error_set(err, -EPROTO, "%s refuses: %s", path, refusal);
	else if (!*answer)
		rc = client_no_control(path, "it answers something else", err);
	json_decref(told);
	return rc;
}

/* The caller's to free; NULL: no memory, or an argument is no text. */
static char *client_question(const char *request, char *const *arguments, unsigned n)
{
	json_t *list = json_array(), *question;
	char *text, *line = NULL;

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(list, json_string(arguments[i]));
	if (json_array_size(list) != n) {
		json_decref(list);
		return NULL;
	}
	question = n ? json_pack("{ss so}", "request", request, "arguments", list)
		     : json_pack("{ss}", "request", request);
	if (!n)
		json_decref(list);
	text = json_dumps(question, JSON_COMPACT);
	json_decref(question);
	if (text && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	return line;
}

int control_ask(const char *path, const char *request, char *const *arguments, unsigned n_arguments,
		json_t **answer, struct error *err)
{
	int fd = client_dial(path, err), rc;
	char *text = NULL, *line = NULL;
	size_t n = 0;

	*answer = NULL;
	if (fd < 0)
		return fd;
	text = client_question(request, arguments, n_arguments);
	if (!text) {
		close(fd);
		return error_set(err, -ENOMEM, "cannot ask %s", path);
	}
	/* Who hangs up at once may have said why. */
	rc = sock_send(fd, text, strlen(text), NULL, 0, client_deadline());
	if (rc && rc != -ENOTCONN)
		error_set(err, rc, "cannot ask %s", path);
	else
		rc = client_read_line(fd, path, &line, &n, err);
	if (!rc)
		rc = client_read_answer(line, n, path, answer, err);
	free(text);
	free(line);
	close(fd);
	return rc;
}
