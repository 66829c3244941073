/* SPDX-License-Identifier: MIT */
/*
 * Sockets from a service manager, by the convention of sd_listen_fds(3): LISTEN_PID names the
 * process they are meant for, LISTEN_FDS says how many there are, and they begin at 3.
 */
#ifndef SERVER_SOCKET_ACTIVATION_H
#define SERVER_SOCKET_ACTIVATION_H

#include "base/error.h"

#include <sys/types.h>

#define SOCKET_ACTIVATION_FIRST 3

/* How many fds those two values give the process @self: a count, 0 for none or for somebody else;
 * -EINVAL.  NULL: the variable is not set. */
int socket_activation_parse(const char *listen_pid, const char *listen_fds, pid_t self,
			    struct error *err);

/* The same from the environment, which is cleared of them; the fds become close-on-exec.  Main
 * only, before threads start. */
int socket_activation_take(struct error *err);

#endif
