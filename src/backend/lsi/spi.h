/* SPDX-License-Identifier: MIT */
/*
 * A parallel SCSI bus with disks on it, as its initiator sees it (SPI-3; SCSI-2, chapter 6):
 * phases, messages, disconnection and reselection.
 *
 *      bus free
 *         |  select; or reselect, with MSG IN (who it is)
 *      MSG OUT        who is meant; perhaps a negotiation, answered by MSG IN
 *         |
 *      COMMAND ------ MSG IN (disconnect), bus free until the storage is done
 *         |
 *      DATA IN or OUT
 *         |
 *      STATUS, MSG IN (complete), bus free
 *
 * The target decides on the phase; the initiator moves bytes in it as long as `req` is up.  Behind
 * the last byte of MSG IN the initiator holds ACK until spi_ack(): only then does the target go on.
 * A target with nothing to say while the storage works keeps the bus, with `req` down, if it may
 * not disconnect.
 *
 * Threads: those of the disks.
 */
#ifndef BACKEND_LSI_SPI_H
#define BACKEND_LSI_SPI_H

#include "backend/scsi/disk.h"

#define SPI_IDS		16u
#define SPI_MSG_OUT_MAX 64u
#define SPI_MSG_IN_MAX	16u

struct spi_bus;

/* One command on its way: initiator, target, logical unit, perhaps a tag. */
struct spi_nexus {
	struct list link; /* waiting or ready */
	struct spi_bus *bus;
	unsigned id;
	unsigned lun;
	bool identified, may_disconnect, tagged;
	uint8_t tag_kind, tag;

	struct scsi_task *task; /* NULL: no command yet, or it has not even begun */
	enum scsi_step step;
	bool commanded;
	bool told_status;
	uint8_t status;
	bool moved;   /* data have been moved in this connection */
	uint32_t pos; /* of task->len */

	uint8_t cdb[SCSI_CDB_MAX];
	unsigned cdb_n;
	uint8_t out[SPI_MSG_OUT_MAX];
	unsigned out_n;
	uint8_t in[SPI_MSG_IN_MAX];
	unsigned in_n, in_at;
	bool leaving; /* bus free behind the message, to come back */
	bool freeing; /* ... and that is the end of it             */
};

struct spi_bus {
	struct scsi_disk *disks[SPI_IDS];
	/* REQ went up or somebody wants to reselect, not in answer to a call of the initiator. */
	void (*changed)(struct spi_bus *bus);
	struct spi_nexus *now; /* connected, NULL: bus free */
	enum spi_phase phase;
	bool req;
	bool held; /* ACK is up behind a message */
	bool atn;
	bool fresh; /* just selected: nothing has been moved yet */
	struct list waiting;
	struct list ready; /* want to reselect, in this order */
};

void spi_init(struct spi_bus *bus, void (*changed)(struct spi_bus *bus));

/* Bus free.  false: nobody answers. */
bool spi_select(struct spi_bus *bus, unsigned id, bool atn);
/* Bus free.  The first that wants to comes back; false: nobody does. */
bool spi_reselect(struct spi_bus *bus);
void spi_set_atn(struct spi_bus *bus, bool atn);
/*
 * The initiator has a message although it selected without ATN, as SeaBIOS does: a target just
 * selected listens.
 */
void spi_offer_message(struct spi_bus *bus);
/* ACK goes down; harmless when it is not up. */
void spi_ack(struct spi_bus *bus);

/* ---- with req up, in the phase that the name says; each may change the phase ---- */

/* Takes at most @n bytes; returns how many. */
unsigned spi_message_out(struct spi_bus *bus, const uint8_t *bytes, unsigned n);
/*
 * Up to SCSI_CDB_MAX bytes are taken, even if the command is shorter: SeaBIOS always sends so many.
 */
unsigned spi_command(struct spi_bus *bus, const uint8_t *bytes, unsigned n);
/* Gives at most @n bytes; returns how many. */
unsigned spi_message_in(struct spi_bus *bus, uint8_t *bytes, unsigned n);
uint8_t spi_status(struct spi_bus *bus);
/* Data in or out: where they are or go, and how many at most; then what was moved. */
uint8_t *spi_data(struct spi_bus *bus, uint32_t *n);
void spi_data_moved(struct spi_bus *bus, uint32_t n);

/* The target that is connected goes, and its command is forgotten. */
void spi_drop(struct spi_bus *bus);
/* RST: everything is forgotten; the disks will tell @asc. */
void spi_reset(struct spi_bus *bus, uint16_t asc);

#endif
