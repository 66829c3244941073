/* SPDX-License-Identifier: MIT */
/*
 * The requests that zoned disks have beside all others (virtio 1.4, 5.2.6): report, open, close,
 * finish, reset, append.  Worker thread only; each begins what bq->request asks for.
 *
 * A report is made in pieces of a few zones, straight into the driver's buffer, however long that
 * is: nothing is allocated by its length.  One request reports ZONES_REPORT_MAX at most; a driver
 * asks for the rest from where the report ends.
 *
 * An append that was in flight when a server ended may have been carried out, and then nobody knows
 * where: the next server answers it by an error, and never writes it a second time.
 */
#ifndef BACKEND_BLK_ZONES_H
#define BACKEND_BLK_ZONES_H

#include "backend/blk/perform_priv.h"

#define ZONES_REPORT_MAX 4096

void blk_zone_append(struct blk_queue *bq, const struct vq_ticket *ticket);
void blk_zone_report(struct blk_queue *bq, const struct vq_ticket *ticket);
void blk_zone_command(struct blk_queue *bq, const struct vq_ticket *ticket);
/* The status byte for an error of zones. */
uint8_t blk_zone_status(int err);

#endif
