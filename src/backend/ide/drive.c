/* SPDX-License-Identifier: MIT */
#include "backend/ide/drive.h"

#include "backend/ide/channel.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- ends of commands ---- */

static void drive_end(struct ide_drive *d, uint8_t status, uint8_t error)
{
	d->t.kind = IDE_NONE;
	d->regs.error = error;
	d->regs.status = ATA_STATUS_READY | ATA_STATUS_SEEK | status;
	d->irq = true;
	ide_channel_update_irq(d->channel);
}

void ide_drive_done(struct ide_drive *d)
{
	drive_end(d, 0, 0);
}

void ide_drive_fail(struct ide_drive *d, uint8_t status, uint8_t error)
{
	d->channel->counters.errors++;
	drive_end(d, status, error);
}

/* Cylinder, head and sector, 28 bits, 48 bits. */
void ide_drive_put_address(struct ide_drive *d, uint64_t lba)
{
	struct ide_registers *r = &d->regs;
	const struct ide_geometry *g = &d->current;
	uint32_t head = (uint32_t)(lba >> 24);

	if (!d->t.ext && !(r->device & ATA_DEVICE_LBA)) {
		uint32_t sector = (uint32_t)(lba % g->track) + 1,
			 track = (uint32_t)(lba / g->track);

		lba = sector | (uint64_t)(track / g->heads & 0xffff) << 8;
		head = track % g->heads;
	}
	for (unsigned i = 0; i < 3; i++) {
		r->lba[i][0] = (uint8_t)(lba >> (8 * i));
		if (d->t.ext)
			r->lba[i][1] = (uint8_t)(lba >> (8 * i + 24));
	}
	if (!d->t.ext)
		r->device = (uint8_t)((r->device & ~ATA_DEVICE_HEAD) | (head & ATA_DEVICE_HEAD));
}

void ide_drive_fail_at(struct ide_drive *d, uint64_t lba, uint8_t status, uint8_t error)
{
	ide_drive_put_address(d, lba);
	d->regs.count[0] = (uint8_t)d->t.left;
	if (d->t.ext)
		d->regs.count[1] = (uint8_t)(d->t.left >> 8);
	ide_drive_fail(d, status, error);
}

void ide_drive_sign(struct ide_drive *d)
{
	struct ide_registers *r = &d->regs;

	memset(r->feature, 0, sizeof(r->feature));
	memset(r->lba, 0, sizeof(r->lba));
	r->count[0] = r->lba[0][0] = 1;
	r->count[1] = 0;
	r->device = 0;
	r->error = ATA_DIAGNOSTIC_GOOD;
}

/* ---- requests to the storage ---- */

static void drive_request_done(struct storage_io *io, int err)
{
	struct ide_drive *d = container_of(io, struct ide_drive, request);
	struct ide_channel *ch = d->channel;

	fair_lock_take(ch->lock);
	d->flying = false;
	if (ch->dma.drive == d)
		ch->dma.drive = NULL;
	if (!d->cancelled) {
		d->landed(d, err);
	} else {
		d->cancelled = false;
		if (!(ch->control_register & ATA_CONTROL_RESET))
			ide_drive_reset_end(d);
	}
	pthread_cond_broadcast(&ch->landed);
	if (ch->idle && !ide_channel_flies(ch))
		ch->idle(ch);
	fair_lock_give(ch->lock);
}

static void drive_go(struct reactor_msg *msg)
{
	struct ide_drive *d = container_of(msg, struct ide_drive, go);

	storage_submit(d->io_channel, &d->request);
}

static void drive_let_go(struct reactor_msg *msg)
{
	storage_drain(container_of(msg, struct ide_drive, let_go)->io_channel, NULL);
}

void ide_drive_let_go(struct ide_drive *d)
{
	if (d->flying)
		reactor_post(worker_reactor(d->io), &d->let_go);
}

void ide_drive_submit(struct ide_drive *d, enum storage_op op, unsigned flags, uint64_t lba,
		      uint32_t sectors, int n_iov, void (*landed)(struct ide_drive *d, int err))
{
	d->request.op = op;
	d->request.flags = flags;
	d->request.offset = lba * ATA_SECTOR;
	d->request.len = (uint64_t)sectors * ATA_SECTOR;
	d->request.iov = d->scratch;
	d->request.iovcnt = n_iov;
	d->landed = landed;
	d->regs.status = ATA_STATUS_BUSY;
	d->flying = true;
	d->flights++;
	d->channel->counters.requests++;
	reactor_post(worker_reactor(d->io), &d->go);
}

/* ---- reset ---- */

void ide_drive_reset_begin(struct ide_drive *d)
{
	if (!ide_drive_present(d))
		return;
	d->t = (struct ide_transfer){0};
	d->cancelled = d->flying;
	ide_drive_let_go(d);
	d->irq = false;
	d->regs.status = ATA_STATUS_BUSY;
}

void ide_drive_reset_end(struct ide_drive *d)
{
	if (!ide_drive_present(d) || d->cancelled)
		return;
	if (!d->keep) {
		d->multiple = IDE_MULTIPLE_MAX;
		d->write_cache = d->write_cache_at_start;
		d->look_ahead = true;
		d->current = d->natural;
	}
	d->standby = false;
	ide_drive_sign(d);
	d->regs.status = ATA_STATUS_READY | ATA_STATUS_SEEK;
}

void ide_drive_power_on(struct ide_drive *d)
{
	if (!ide_drive_present(d))
		return;
	ide_drive_reset_begin(d);
	d->keep = false;
	d->mode = 0;
	ide_drive_reset_end(d);
}

/* ---- life ---- */

struct opening {
	struct ide_drive *d;
	struct error *err;
	int rc;
};

static void open_channel(void *arg)
{
	struct opening *o = arg;

	o->rc = storage_channel_open(o->d->storage, worker_reactor(o->d->io), &o->d->io_channel,
				     o->err);
}

static void close_channel(void *arg)
{
	struct ide_drive *d = arg;

	storage_channel_close(&d->io_channel);
}

int ide_drive_init(struct ide_drive *d, const struct ide_drive_options *o, struct storage *storage,
		   struct worker *io, struct error *err)
{
	struct opening opening = {.d = d, .err = err};
	int n;

	if (storage_limits(storage)->block_size != ATA_SECTOR)
		return error_set(err, -EINVAL, "%s: blocks of %u bytes: an IDE disk has 512.",
				 o->path, storage_limits(storage)->block_size);
	d->sectors = min_u64(storage_size(storage) / ATA_SECTOR, ATA_SECTORS_48);
	if (!d->sectors)
		return error_set(err, -EINVAL, "%s: a disk of no sectors cannot be", o->path);
	d->io = io;
	d->storage = storage;
	worker_call(io, open_channel, &opening);
	if (opening.rc) {
		d->storage = NULL;
		return opening.rc;
	}
	snprintf(d->path, sizeof(d->path), "%s", o->path);
	d->natural = ide_natural_geometry(d->sectors);
	d->write_cache_at_start = !o->write_through;
	if (o->serial) {
		memcpy(d->serial, o->serial, strnlen(o->serial, sizeof(d->serial)));
	} else {
		char made[ATA_ID_SERIAL_BYTES + 1];

		n = snprintf(made, sizeof(made), "RS-%s-%u", d->channel->name, d->unit);
		memcpy(d->serial, made, min_u64((uint64_t)n, sizeof(d->serial)));
	}
	d->go.run = drive_go;
	d->let_go.run = drive_let_go;
	d->request.done = drive_request_done;
	ide_drive_power_on(d);
	return 0;
}

void ide_drive_fini(struct ide_drive *d)
{
	if (!ide_drive_present(d))
		return;
	worker_call(d->io, close_channel, d);
	storage_close(&d->storage);
}
