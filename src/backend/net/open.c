/* SPDX-License-Identifier: MIT */
#include "backend/net/spec.h"

#include <errno.h>

int net_spec_open(const struct net_spec *spec, struct net_link **link, struct error *err)
{
	const struct net_user_options user = {
		.mtu = spec->mtu,
		.restricted = spec->restricted,
		.forwards = spec->forwards,
		.n_forwards = spec->n_forwards,
	};
	struct error ignored;

	switch (spec->kind) {
	case NET_TAP:
		return net_tap_open(link, spec->target, spec->queues, err);
	case NET_SOCKET:
		return net_socket_open(link, spec->target, err);
	case NET_FD:
		return net_tap_adopt(link, spec->fd, &ignored)
			       ? net_socket_adopt(link, spec->fd, err)
			       : 0;
	case NET_USER:
		return net_user_open(link, &user, err);
	}
	return -EINVAL;
}
