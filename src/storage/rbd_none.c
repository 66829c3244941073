/* SPDX-License-Identifier: MIT */
/* In the place of rbd.c in a build without librbd: says so. */
#include "storage/rbd_words.h"

#include <errno.h>

static int rbd_none_open(const struct storage_options *o, struct storage **out, struct error *err)
{
	(void)out;
	return error_set(err, -EOPNOTSUPP,
			 "%s is a Ceph image, and this program was built without them: install "
			 "librbd-dev and build with -Drbd=enabled.",
			 o->target);
}

const struct storage_engine_ops rbd_engine_ops = {
	.kind = "rbd",
	.prefix = "rbd:",
	.words = RBD_WORDS,
	.open = rbd_none_open,
};
