/* SPDX-License-Identifier: MIT */
#include "server/socket/listener.h"

#include "base/sock_address.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
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

static int listener_adopt(struct socket_listener *l, int fd, struct error *err)
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

/* Whether somebody answers there: 1, 0, or -errno when we cannot ask. */
static int listener_is_live(const struct sock_address *at)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool live;

	if (fd < 0)
		return -errno;
	live = !connect(fd, sock_address_of(at), at->len) ||
	       (errno != ECONNREFUSED && errno != ENOENT);
	close(fd);
	return live;
}

static int listener_clear_way(const struct sock_address *at, struct error *err)
{
	const char *path = at->un.sun_path;
	struct stat st;
	int live;

	if (lstat(path, &st))
		return errno == ENOENT ? 0
				       : error_set(err, -errno, "cannot use socket path %s", path);
	if (!S_ISSOCK(st.st_mode))
		return error_set(err, -EEXIST, "%s is in the way and is not a socket.", path);
	live = listener_is_live(at);
	if (live < 0)
		return error_set(err, live, "cannot find out whether a server listens on %s", path);
	if (live)
		return error_set(err, -EADDRINUSE,
				 "another server listens on %s; stop it or take another path.",
				 path);
	if (unlink(path) && errno != ENOENT)
		return error_set(err, -errno, "cannot remove the stale socket %s", path);
	return 0;
}

/* A socket file with its mode, noted to be removed at the end. */
static int listener_bind_file(struct socket_listener *l, const struct sock_address *at, int mode,
			      struct error *err)
{
	const char *path = at->un.sun_path;
	struct stat st;
	int rc;

	rc = listener_clear_way(at, err);
	if (rc)
		return rc;
	if (bind(l->fd, sock_address_of(at), at->len))
		return error_set(err, -errno, "cannot create socket %s", path);
	/* Before listen(): nobody gets in by a mode that was not meant. */
	if ((mode >= 0 && chmod(path, (mode_t)mode)) || stat(path, &st)) {
		rc = error_set(err, -errno, "cannot set the mode of %s", path);
		unlink(path);
		return rc;
	}
	l->file = true;
	l->device = st.st_dev;
	l->inode = st.st_ino;
	return 0;
}

static int listener_bind_name(struct socket_listener *l, const struct sock_address *at,
			      const char *name, int mode, struct error *err)
{
	if (mode >= 0 && (mode & ~S_IRWXU))
		return error_set(err, -EINVAL,
				 "the abstract socket %s has no file that could have the mode "
				 "%04o; use a path, or a mode for the owner alone.",
				 name, (unsigned)mode);
	l->private = mode >= 0;
	if (!bind(l->fd, sock_address_of(at), at->len))
		return 0;
	if (errno == EADDRINUSE)
		return error_set(err, -EADDRINUSE,
				 "another server listens on %s; stop it or take another name.",
				 name);
	return error_set(err, -errno, "cannot create socket %s", name);
}

static int listener_make(struct socket_listener *l, const struct socket_place *where,
			 struct error *err)
{
	struct sock_address at;
	int rc = sock_address(&at, where->path, err);

	if (rc)
		return rc;
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return error_set(err, -errno, "cannot create a socket");
	l->path = strdup(where->path);
	if (!l->path)
		rc = error_set(err, -ENOMEM, "cannot note socket path %s", where->path);
	else
		rc = sock_address_is_abstract(&at)
			     ? listener_bind_name(l, &at, where->path, where->mode, err)
			     : listener_bind_file(l, &at, where->mode, err);
	if (!rc && listen(l->fd, BACKLOG))
		rc = error_set(err, -errno, "cannot listen on %s", where->path);
	if (rc)
		socket_listener_close(l);
	return rc;
}

int socket_listener_open(struct socket_listener *l, const struct socket_place *where,
			 struct error *err)
{
	*l = (struct socket_listener){.fd = -1};
	return where->path ? listener_make(l, where, err) : listener_adopt(l, where->fd, err);
}

void socket_listener_close(struct socket_listener *l)
{
	struct stat st;

	/* The file first: who finds it must find a server. */
	if (l->file && !lstat(l->path, &st) && st.st_dev == l->device && st.st_ino == l->inode)
		unlink(l->path);
	l->file = false;
	free(l->path);
	l->path = NULL;
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

int socket_listener_take(struct socket_listener *l)
{
	int fd = l->fd;

	l->fd = -1;
	return fd >= 0 ? fd : -ENOTCONN;
}
