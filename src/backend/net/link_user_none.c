/* SPDX-License-Identifier: MIT */
/* In the place of link_user.c, where libslirp was not there to build with. */
#include "backend/net/links.h"

#include <errno.h>

int net_user_open(struct net_link **out, const struct net_user_options *o, struct error *err)
{
	(void)out;
	(void)o;
	return error_set(
		err, -ENOTSUP,
		"user-mode networking needs libslirp, and this program was built without it "
		"(package libslirp-dev).");
}
