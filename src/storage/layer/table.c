/* SPDX-License-Identifier: MIT */
/* The layers, in the order in which they stand on the engine, the outermost last. */
#include "storage/engine.h"

const struct storage_engine_ops *const storage_layers[] = {
	&faulty_layer_ops, &record_layer_ops, &throttle_layer_ops, &errors_layer_ops, NULL,
};
