/* SPDX-License-Identifier: MIT */
/*
 * An ATA disk: its registers, its settings, the command that it is carrying out.
 *
 *      drive.c      life, registers, ends of commands, requests to the storage
 *      ata.c        what each command is: the guest's bytes become a struct ide_transfer here
 *      transfer.c   moving sectors: storage <-> buffer <-> data port, storage <-> guest memory
 *      trim.c       DATA SET MANAGEMENT
 *      identify.c   what the disk says of itself
 *
 *      idle --command--> waits for the guest (DRQ) <--> waits for the storage (BSY, flying)
 *        ^                                                      |
 *        `-------------- an interrupt, or a reset --------------'
 *
 * Invariants: at most one request is at the storage, and BSY is shown while it is; a command's
 * address and count are read from the registers once, when it is written, so what the guest writes
 * meanwhile changes nothing; a reset during a request is over, and BSY gone, when the request is;
 * guest memory is touched only by a request at the storage, or with the lock held.
 *
 * Threads: the machine lock, but for what ide_drive_submit() hands to the I/O thread.
 */
#ifndef BACKEND_IDE_DRIVE_H
#define BACKEND_IDE_DRIVE_H

#include "base/bits.h"
#include "base/log.h"
#include "base/worker.h"
#include "storage/storage.h"
#include "wire/ata.h"

#include <pthread.h>

/* Sectors of the buffer: as many as a command with 28 address bits can name. */
#define IDE_BUFFER_SECTORS 256u
/*
 * Pieces of guest memory in one request; a sector may come in 256 pieces, and a piece may cross a
 * region's border.
 */
#define IDE_SLICES_MAX	 512
#define IDE_MULTIPLE_MAX 16u
#define IDE_TRIM_BLOCKS	 8u

struct ide_channel;
struct ide_drive;

/*
 * Registers that the 48-bit commands fill twice: [0] is what was written last, [1] what stood there
 * before.
 */
struct ide_registers {
	uint8_t feature[2];
	uint8_t count[2];
	uint8_t lba[3][2];
	uint8_t device;
	uint8_t error;
	uint8_t status;
};

struct ide_geometry {
	uint32_t cylinders, heads, track; /* sectors of a track */
};

struct ide_drive_options {
	const char *path;   /* name for messages */
	const char *serial; /* NULL: one is made from where the drive is; copied */
	bool write_through; /* the write cache is off at power-on */
};

enum ide_transfer_kind {
	IDE_NONE,
	IDE_PIO_IN,
	IDE_PIO_OUT,
	IDE_DMA_IN,
	IDE_DMA_OUT,
	IDE_VERIFY,
	IDE_TRIM, /* data by DMA, into the buffer */
};

/* The command under way. */
struct ide_transfer {
	enum ide_transfer_kind kind;
	bool ext;	    /* 48-bit: the form in which an address is reported  */
	bool begun;	    /* past the first part, and interrupts with each     */
	uint32_t dma_start; /* of which start of the bus master the part is */
	bool dma_waits;	    /* DRQ is shown, the bus master has not taken it yet */
	unsigned flags;	    /* STORAGE_FUA                                       */
	uint64_t lba;	    /* first sector that is not done                     */
	uint32_t left;	    /* sectors that are not done                         */
	uint32_t block;	    /* sectors between two interrupts                    */

	/* Of the part that is in the buffer, or in the slices of guest memory. */
	uint32_t want;	    /* its sectors                                           */
	uint32_t have;	    /* of them, read or written                              */
	uint32_t step;	    /* of them, in the request at the storage                */
	bool single;	    /* sector by sector, to find the bad one                 */
	uint32_t pos, end;  /* the block that the guest is moving, bytes in buffer[] */
	unsigned range;	    /* TRIM: the one being discarded                         */
	uint32_t discarded; /* of it, sectors                                        */
};

struct ide_drive {
	struct ide_channel *channel;
	unsigned unit; /* 0 or 1 */
	char path[32];
	struct storage *storage; /* NULL: there is no drive here */
	uint64_t sectors;
	char serial[ATA_ID_SERIAL_BYTES];
	struct ide_geometry natural, current;

	struct ide_registers regs;
	bool irq; /* INTRQ */

	/* Settings. */
	bool write_cache_at_start;
	bool write_cache, look_ahead, keep, standby;
	uint8_t multiple; /* 0: the MULTIPLE commands are off */
	uint8_t mode;	  /* transfer mode, as SET FEATURES wrote it */

	struct ide_transfer t;

	/* The request at the storage. */
	struct worker *io;
	struct storage_channel *io_channel; /* the I/O thread's */
	struct reactor_msg go;
	struct reactor_msg let_go; /* the storage shall keep nothing back */
	struct storage_io request;
	bool flying;
	bool cancelled; /* a reset came meanwhile */
	uint64_t flights;
	void (*landed)(struct ide_drive *d, int err);
	struct log_limit complaints;

	int n_slices;
	struct iovec slices[IDE_SLICES_MAX];
	struct iovec scratch[IDE_SLICES_MAX];
	uint8_t buffer[IDE_BUFFER_SECTORS * ATA_SECTOR];
};

/* Takes over @storage on success. @io: the thread that talks to it. */
int ide_drive_init(struct ide_drive *d, const struct ide_drive_options *o, struct storage *storage,
		   struct worker *io, struct error *err);
/* Nothing is in flight; the lock is not held.  Closes the storage.  Harmless without a drive. */
void ide_drive_fini(struct ide_drive *d);

static inline bool ide_drive_present(const struct ide_drive *d)
{
	return d->storage;
}

/* ---- for the channel ---- */

/* Power-on. */
void ide_drive_power_on(struct ide_drive *d);
/* The reset bit is set: the command is given up, BSY. */
void ide_drive_reset_begin(struct ide_drive *d);
/* It is cleared: the drive is ready when nothing is in flight any more. */
void ide_drive_reset_end(struct ide_drive *d);
/* The guest wrote the command register. */
void ide_drive_command(struct ide_drive *d, uint8_t opcode);
/* The data port; what nobody waits for reads as zeroes and vanishes. */
void ide_drive_data_read(struct ide_drive *d, uint8_t *data, size_t n);
void ide_drive_data_write(struct ide_drive *d, const uint8_t *data, size_t n);
/* The bus master is ready, and t.dma_waits. */
void ide_drive_dma(struct ide_drive *d);

/* Somebody waits for the request in flight: the storage shall keep it back no longer. */
void ide_drive_let_go(struct ide_drive *d);

/* ---- between the files of this folder ---- */

/* Ends the command, with an interrupt. */
void ide_drive_done(struct ide_drive *d);
void ide_drive_fail(struct ide_drive *d, uint8_t status, uint8_t error);
static inline void ide_drive_abort(struct ide_drive *d)
{
	ide_drive_fail(d, ATA_STATUS_ERR, ATA_ERROR_ABORTED);
}
/*
 * The same for a transfer, with the address and the number of sectors that are left in the
 * registers.
 */
void ide_drive_fail_at(struct ide_drive *d, uint64_t lba, uint8_t status, uint8_t error);
/* An address to the registers, in the form that the command at hand has: t.ext, device register. */
void ide_drive_put_address(struct ide_drive *d, uint64_t lba);
/* What a reset or a diagnosis leaves in the registers. */
void ide_drive_sign(struct ide_drive *d);
/* BSY; @landed comes with the lock held, unless the drive is reset meanwhile. */
void ide_drive_submit(struct ide_drive *d, enum storage_op op, unsigned flags, uint64_t lba,
		      uint32_t sectors, int n_iov, void (*landed)(struct ide_drive *d, int err));

/* transfer.c; @t is begun with kind, ext, flags, lba, left and block. */
void ide_transfer_begin(struct ide_drive *d, const struct ide_transfer *t);
/* 512 bytes that are in the buffer already. */
void ide_transfer_answer(struct ide_drive *d);

/* trim.c; the ranges are in the buffer. */
void ide_trim_begin(struct ide_drive *d, uint32_t blocks);
void ide_trim_ranges(struct ide_drive *d);

/* identify.c */
void ide_identify(const struct ide_drive *d, le16 words[ATA_ID_WORDS]);
/*
 * What a disk has by so many heads, and sectors of a track: whole cylinders, of what this kind of
 * address may reach.  The smallest disk has one cylinder, perhaps not whole.
 */
struct ide_geometry ide_geometry_of(uint64_t sectors, uint32_t heads, uint32_t track);
/* Its own, before a guest has another one. */
struct ide_geometry ide_natural_geometry(uint64_t sectors);
/* How many sectors the current geometry reaches; words 57 and 58. */
static inline uint64_t ide_chs_sectors(const struct ide_drive *d)
{
	const struct ide_geometry *g = &d->current;

	return min_u64((uint64_t)g->cylinders * g->heads * g->track, d->sectors);
}

#endif
