/* SPDX-License-Identifier: MIT */
#include "cli/control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* A program that lives answers at once; one that is stopped never does. */
#define PATIENCE_S 10

static int dial(const char *path, struct error *err)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t len = strlen(path);
	int fd, rc;

	if (len >= sizeof(addr.sun_path))
		return error_set(err, -ENAMETOOLONG, "socket path %s is too long.", path);
	memcpy(addr.sun_path, path, len);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set(err, -errno, "cannot create a socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (!connect(fd, (const struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	rc = error_set(err, -errno, "nobody answers at %s", path);
	close(fd);
	return rc;
}

static int converse(FILE *stream, const char *path, const char *request, json_t **answer,
		    struct error *err)
{
	json_error_t wrong;
	json_t *told;
	const char *refusal;
	int rc = 0;

	if (fprintf(stream, "{\"request\": \"%s\"}\n", request) < 0 || fflush(stream))
		return error_set(err, -errno, "cannot ask %s", path);
	told = json_loadf(stream, JSON_DISABLE_EOF_CHECK, &wrong);
	if (!told)
		return error_set(err, -EPROTO, "%s gives no answer: %s.", path, wrong.text);
	refusal = json_string_value(json_object_get(told, "error"));
	*answer = json_incref(json_object_get(told, "answer"));
	if (!*answer)
		rc = error_set(err, -EPROTO, "%s refuses: %s", path,
			       refusal ? refusal : "it does not say why.");
	json_decref(told);
	return rc;
}

int control_ask(const char *path, const char *request, json_t **answer, struct error *err)
{
	int fd = dial(path, err), rc;
	FILE *stream;

	if (fd < 0)
		return fd;
	stream = fdopen(fd, "r+");
	if (!stream) {
		rc = error_set(err, -errno, "cannot ask %s", path);
		close(fd);
		return rc;
	}
	rc = converse(stream, path, request, answer, err);
	fclose(stream);
	return rc;
}
