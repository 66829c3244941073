/* SPDX-License-Identifier: MIT */
#include "server/socket/activation.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

/* Digits and nothing else, up to @max. */
static bool parse_number(const char *s, long max, long *out)
{
	char *end;

	if (*s < '0' || *s > '9')
		return false;
	errno = 0;
	*out = strtol(s, &end, 10);
	return !errno && !*end && *out <= max;
}

int socket_activation_parse(const char *listen_pid, const char *listen_fds, pid_t self,
			    struct error *err)
{
	long pid, n;

	if (!listen_pid || !listen_fds)
		return 0;
	if (!parse_number(listen_pid, INT_MAX, &pid))
		return error_set(err, -EINVAL, "LISTEN_PID=%s is not a process id.", listen_pid);
	if (pid != self)
		return 0;
	if (!parse_number(listen_fds, INT_MAX - SOCKET_ACTIVATION_FIRST, &n))
		return error_set(err, -EINVAL, "LISTEN_FDS=%s is not a number of sockets.",
				 listen_fds);
	return (int)n;
}

int socket_activation_take(struct error *err)
{
	int n = socket_activation_parse(getenv("LISTEN_PID"), getenv("LISTEN_FDS"), getpid(), err);

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	for (int i = 0; i < n; i++)
		if (fcntl(SOCKET_ACTIVATION_FIRST + i, F_SETFD, FD_CLOEXEC))
			return error_set(err, -errno, "LISTEN_FDS=%d, but fd %d", n,
					 SOCKET_ACTIVATION_FIRST + i);
	return n;
}
