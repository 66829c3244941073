/* SPDX-License-Identifier: MIT */
/* What the SCSI adapter and its disks have counted. */
#ifndef CLI_SCSI_STATS_H
#define CLI_SCSI_STATS_H

#include <jansson.h>

struct lsi;

/* A new object; @lsi NULL: null. */
json_t *scsi_stats(const struct lsi *lsi);

#endif
