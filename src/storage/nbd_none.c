/* SPDX-License-Identifier: MIT */
/* In the place of nbd.c and format.c in a build without libnbd: says so. */
#include "storage/nbd_words.h"

#include <errno.h>

static int nbd_open(const struct storage_options *o, struct storage **out, struct error *err)
{
	(void)out;
	return error_set(err, -EOPNOTSUPP,
			 "%s needs NBD, and this program was built without it: install libnbd-dev "
			 "and build with -Dnbd=enabled.",
			 o->target);
}

const struct storage_engine_ops nbd_engine_ops = {
	.prefix = "nbd:",
	.claims = nbd_claims,
	.words = NBD_WORDS,
	.open = nbd_open,
};

const struct storage_engine_ops format_engine_ops = {
	.open = nbd_open,
};
