/* SPDX-License-Identifier: MIT */
#include "server/socket/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Front ends that may wait while one is served. */
#define BACKLOG 16

/* ---- sockets handed over ---- */

static int option_of(int fd, int option)
{
	int v = -1;
	socklen_t len = sizeof(v);

	return getsockopt(fd, SOL_SOCKET, option, &v, &len) ? -1 : v;
}

static int adopt(struct socket_listener *l, int fd, struct error *err)
{
	int flags;

	if (option_of(fd, SO_DOMAIN) != AF_UNIX || option_of(fd, SO_TYPE) != SOCK_STREAM)
		return error_set(err, -ENOTSOCK, "fd %d is not a Unix stream socket.", fd);
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC))
		return error_set(err, -errno, "cannot use fd %d", fd);
	l->single = option_of(fd, SO_ACCEPTCONN) != 1;
	l->fd = fd;
	return 0;
}

/* ---- sockets of our own ---- */

/* Whether somebody answers at @addr: 1, 0, or -errno when we cannot ask. */
static int is_live(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool live;

	if (fd < 0)
		return -errno;
	live = !connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) ||
	       (errno != ECONNREFUSED && errno != ENOENT);
	close(fd);
	return live;
}

static int clear_way(const struct sockaddr_un *addr, struct error *err)
{
	struct stat st;
	int live;

	if (lstat(addr->sun_path, &st))
		return errno == ENOENT ? 0
				       : error_set(err, -errno, "cannot use socket path %s",
						   addr->sun_path);
	if (!S_ISSOCK(st.st_mode))
		return error_set(err, -EEXIST, "%s is in the way and is not a socket.",
				 addr->sun_path);
	live = is_live(addr);
	if (live < 0)
		return error_set(err, live, "cannot find out whether a server listens on %s",
				 addr->sun_path);
	if (live)
		return error_set(err, -EADDRINUSE,
				 "another server listens on %s; stop it or take another path.",
				 addr->sun_path);
	if (unlink(addr->sun_path) && errno != ENOENT)
		return error_set(err, -errno, "cannot remove the stale socket %s", addr->sun_path);
	return 0;
}

static int make(struct socket_listener *l, const struct socket_place *where, struct error *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t len = strlen(where->path);
	struct stat st;
	int rc;

	if (!len)
		return error_set(err, -EINVAL, "the socket path is empty.");
	if (len >= sizeof(addr.sun_path))
		return error_set(err, -ENAMETOOLONG,
				 "socket path %s is too long; a Unix socket's path has at most %zu "
				 "bytes.",
				 where->path, sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, where->path, len);
	rc = clear_way(&addr, err);
	if (rc)
		return rc;
	l->path = strdup(where->path);
	if (!l->path)
		return error_set(err, -ENOMEM, "cannot note socket path %s", where->path);
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0) {
		rc = error_set(err, -errno, "cannot create a socket");
		goto free_path;
	}
	if (bind(l->fd, (struct sockaddr *)&addr, sizeof(addr))) {
		rc = error_set(err, -errno, "cannot create socket %s", where->path);
		goto close_fd;
	}
	/* Before listen(): nobody gets in by a mode that was not meant. */
	if ((where->mode >= 0 && chmod(where->path, (mode_t)where->mode)) ||
	    stat(where->path, &st) || listen(l->fd, BACKLOG)) {
		rc = error_set(err, -errno, "cannot listen on %s", where->path);
		goto unlink_path;
	}
	l->device = st.st_dev;
	l->inode = st.st_ino;
	return 0;
unlink_path:
	unlink(where->path);
close_fd:
	close(l->fd);
	l->fd = -1;
free_path:
	free(l->path);
	l->path = NULL;
	return rc;
}

int socket_listener_open(struct socket_listener *l, const struct socket_place *where,
			 struct error *err)
{
	*l = (struct socket_listener){.fd = -1};
	return where->path ? make(l, where, err) : adopt(l, where->fd, err);
}

void socket_listener_close(struct socket_listener *l)
{
	struct stat st;

	/* The file first: who finds it must find a server. */
	if (l->path && !lstat(l->path, &st) && st.st_dev == l->device && st.st_ino == l->inode)
		unlink(l->path);
	free(l->path);
	l->path = NULL;
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

int socket_listener_accept(struct socket_listener *l)
{
	int fd;

	if (l->single) {
		fd = l->fd;
		l->fd = -1;
		return fd >= 0 ? fd : -ENOTCONN;
	}
	do {
		fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	} while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	return fd >= 0 ? fd : -errno;
}
