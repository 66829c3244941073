/* SPDX-License-Identifier: MIT */
/*
 * The layers, in the order in which they stand on the engine, the outermost last.  cow is the first:
 * base and overlay together are the disk, which the others limit, record or let fail.
 */
#include "storage/engine.h"

const struct storage_engine_ops *const storage_layers[] = {
	&cow_layer_ops,
	&faulty_layer_ops,
	&record_layer_ops,
	&zoned_layer_ops,
	&throttle_layer_ops,
	&errors_layer_ops,
	NULL,
};
