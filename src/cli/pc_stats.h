/* SPDX-License-Identifier: MIT */
/*
 * What a machine has counted, as JSON: exits of its virtual CPUs by reason, interrupts, and what
 * each device counted.
 */
#ifndef CLI_PC_STATS_H
#define CLI_PC_STATS_H

#include "backend/machine/pc.h"

#include <jansson.h>

/* A new reference; NULL: no memory.  Under the machine lock, or when the machine has ended. */
json_t *pc_stats(const struct pc *pc);

/* @file: "-" is standard error.  The machine has ended. */
int pc_stats_write(struct pc *pc, const char *file, struct error *err);

#endif
