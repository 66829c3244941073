/* SPDX-License-Identifier: MIT */
/*
 * The options of layers, as the words of a disk fill them (struct storage_options).  The tables of
 * words stand beside the code that obeys them, in layer/.
 */
#ifndef STORAGE_LAYERS_H
#define STORAGE_LAYERS_H

#include <stdint.h>

/* 0: no limit, or the default. */
struct storage_throttle_options {
	uint64_t iops, iops_read, iops_write;
	uint64_t bps, bps_read, bps_write;
	uint32_t burst;	       /* times the limit                    */
	uint32_t burst_length; /* seconds                            */
	char *group;	       /* NULL: the disk is alone; owned by whoever has the words */
};

struct storage_layer_options {
	struct storage_throttle_options throttle;
};

#endif
