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

struct storage_faulty_options {
	char *rules; /* layer/faulty_rules.h; NULL: none; owned by whoever has the words */
	uint32_t seed;
};

enum storage_policy {
	STORAGE_POLICY_NONE, /* not said: as report */
	STORAGE_REPORT,
	STORAGE_RETRY,
	STORAGE_HOLD,
	STORAGE_ENOSPC, /* hold what lacks space, report the rest */
};

struct storage_errors_options {
	uint32_t rerror, werror; /* enum storage_policy */
	uint32_t timeout;	 /* seconds; 0: never   */
};

struct storage_zoned_options {
	uint32_t model; /* 0: no zones; 1: host-managed */
	uint64_t size, capacity, max_append;
	uint32_t max_open, max_active, conventional;
	char *state; /* path; NULL: beside the image; owned by whoever has the words */
};

struct storage_layer_options {
	char *cow; /* path of the overlay; NULL: none; owned by whoever has the words */
	struct storage_faulty_options faulty;
	char *record; /* path of the log; NULL: none; owned by whoever has the words */
	struct storage_zoned_options zoned;
	struct storage_throttle_options throttle;
	struct storage_errors_options errors;
};

#endif
