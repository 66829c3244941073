/* SPDX-License-Identifier: MIT */
/* The engines, in the order in which they are asked.  The one without a prefix takes what is left
 * and stands last. */
#include "storage/engine.h"

const struct storage_engine_ops *const storage_engines[] = {
	&null_engine_ops, &memory_engine_ops, &nbd_engine_ops,
	&rbd_engine_ops,  &file_engine_ops,   NULL,
};
