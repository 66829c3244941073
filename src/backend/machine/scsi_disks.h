/* SPDX-License-Identifier: MIT */
/*
 * SCSI disks of the PC, all of them on one LSI53C895A.
 *
 * Threads: the machine's control thread, before and after a run.
 */
#ifndef BACKEND_MACHINE_SCSI_DISKS_H
#define BACKEND_MACHINE_SCSI_DISKS_H

#include "base/error.h"

struct disk_spec;
struct pc;

/* With the first one, puts the card into the next empty slot. */
int pc_add_scsi_disk(struct pc *pc, const struct disk_spec *spec, struct error *err);

/* ---- between the files of this folder ---- */

/* Looks at the disks' sizes. */
void pc_scsi_refresh(struct pc *pc);
/* Stops and destroys the card with its disks.  Harmless without. */
void pc_scsi_destroy(struct pc *pc);

#endif
