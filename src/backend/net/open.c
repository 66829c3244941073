/* SPDX-License-Identifier: MIT */
#include "backend/net/spec.h"

#include <errno.h>
#include <sys/stat.h>

static int open_fd(struct net_link **link, int fd, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st))
		return error_set(err, -errno, "fd=%d: it is not open", fd);
	return S_ISSOCK(st.st_mode) ? net_socket_adopt(link, fd, err)
				    : net_tap_adopt(link, fd, err);
}

int net_spec_open(const struct net_spec *spec, struct net_link **link, struct error *err)
{
	const struct net_user_options user = {
		.mtu = spec->mtu,
		.restricted = spec->restricted,
		.forwards = spec->forwards,
		.n_forwards = spec->n_forwards,
	};
	switch (spec->kind) {
	case NET_TAP:
		return net_tap_open(link, spec->target, spec->queues, err);
	case NET_SOCKET:
		return net_socket_open(link, spec->target, err);
	case NET_FD:
		return open_fd(link, spec->fd, err);
	case NET_USER:
		return net_user_open(link, &user, err);
	}
	return -EINVAL;
}
