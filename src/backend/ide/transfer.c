/* SPDX-License-Identifier: MIT */
/*
 * Moving sectors.  A command is cut into parts: what fits into the buffer, or what the bus master's
 * table gives at a time.  When a part fails it is done once more, sector by sector, so that the
 * guest learns which sector is bad, and gets all in front of it.
 */
#include "backend/ide/channel.h"

#include <errno.h>
#include <string.h>

static void transfer_next_part(struct ide_drive *d);

/* ---- storage <-> the part's memory ---- */

/* Bytes [from, from + n) of the slices, to the scratch array.  Returns the number of slices. */
static int transfer_cut(struct ide_drive *d, size_t from, size_t n)
{
	int out = 0;

	for (int i = 0; n && i < d->n_slices; i++) {
		size_t here = d->slices[i].iov_len;

		if (from >= here) {
			from -= here;
			continue;
		}
		here = min_u64(here - from, n);
		d->scratch[out].iov_base = (uint8_t *)d->slices[i].iov_base + from;
		d->scratch[out++].iov_len = here;
		n -= here;
		from = 0;
	}
	return out;
}

static void use_buffer(struct ide_drive *d)
{
	d->slices[0] = (struct iovec){.iov_base = d->buffer, .iov_len = sizeof(d->buffer)};
	d->n_slices = 1;
}

static bool transfer_writes(const struct ide_transfer *t)
{
	return t->kind == IDE_PIO_OUT || t->kind == IDE_DMA_OUT;
}

static bool transfer_is_direct(const struct ide_transfer *t)
{
	return t->kind == IDE_DMA_IN || t->kind == IDE_DMA_OUT;
}

/* The guest has stopped the bus master: the part's memory is not to be touched by anything new. */
static bool transfer_lost_memory(const struct ide_drive *d)
{
	const struct ide_dma *dma = &d->channel->dma;

	return transfer_is_direct(&d->t) && (!ide_dma_active(dma) || dma->starts != d->t.dma_start);
}

static void transfer_stepped(struct ide_drive *d, int err);

static void transfer_step(struct ide_drive *d)
{
	struct ide_transfer *t = &d->t;

	/* For each request anew: whoever stops the bus master waits for this one. */
	if (transfer_is_direct(t))
		d->channel->dma.drive = d;
	t->step = t->single ? 1 : t->want - t->have;
	ide_drive_submit(
		d, transfer_writes(t) ? STORAGE_WRITE : STORAGE_READ, t->flags, t->lba + t->have,
		t->step,
		transfer_cut(d, (size_t)t->have * ATA_SECTOR, (size_t)t->step * ATA_SECTOR),
		transfer_stepped);
}

static void transfer_failed(struct ide_drive *d, int err)
{
	struct ide_transfer *t = &d->t;
	uint64_t lba = t->lba + t->have;

	log_limited(&d->complaints, LOG_LEVEL_WARN, d->path, "a request failed: %s",
		    strerror(-err));
	t->left -= t->have;
	if (transfer_is_direct(t))
		ide_dma_done(&d->channel->dma);
	if (transfer_writes(t))
		ide_drive_fail_at(d, lba, ATA_STATUS_ERR | ATA_STATUS_FAULT, ATA_ERROR_ABORTED);
	else
		ide_drive_fail_at(d, lba, ATA_STATUS_ERR, ATA_ERROR_MEDIA);
}

static void transfer_advance(struct ide_drive *d)
{
	d->t.lba += d->t.want;
	d->t.left -= d->t.want;
}

/* ---- the data port ---- */

static void offer_block(struct ide_drive *d, bool interrupt)
{
	struct ide_transfer *t = &d->t;

	t->end = (uint32_t)min_u64((uint64_t)t->pos + t->block * ATA_SECTOR,
				   (uint64_t)t->want * ATA_SECTOR);
	d->regs.status = ATA_STATUS_READY | ATA_STATUS_SEEK | ATA_STATUS_DRQ;
	if (interrupt) {
		d->irq = true;
		ide_channel_update_irq(d->channel);
	}
}

/* The guest has taken a block. */
static void block_taken(struct ide_drive *d)
{
	struct ide_transfer *t = &d->t;

	if (t->pos < t->want * ATA_SECTOR) {
		offer_block(d, true);
		return;
	}
	transfer_advance(d);
	if (t->left) {
		transfer_next_part(d);
		return;
	}
	t->kind = IDE_NONE;
	d->regs.status = ATA_STATUS_READY | ATA_STATUS_SEEK;
}

static void block_given(struct ide_drive *d)
{
	if (d->t.pos < d->t.want * ATA_SECTOR)
		offer_block(d, true);
	else
		transfer_step(d);
}

static bool transfer_moves(const struct ide_drive *d, enum ide_transfer_kind kind)
{
	return d->t.kind == kind && (d->regs.status & ATA_STATUS_DRQ);
}

void ide_drive_data_read(struct ide_drive *d, uint8_t *data, size_t n)
{
	while (n && transfer_moves(d, IDE_PIO_IN)) {
		size_t here = min_u64(n, d->t.end - d->t.pos);

		memcpy(data, d->buffer + d->t.pos, here);
		d->channel->counters.copied += here;
		d->t.pos += (uint32_t)here;
		data += here;
		n -= here;
		if (d->t.pos == d->t.end)
			block_taken(d);
	}
	memset(data, 0, n);
}

void ide_drive_data_write(struct ide_drive *d, const uint8_t *data, size_t n)
{
	while (n && transfer_moves(d, IDE_PIO_OUT)) {
		size_t here = min_u64(n, d->t.end - d->t.pos);

		memcpy(d->buffer + d->t.pos, data, here);
		d->channel->counters.copied += here;
		d->t.pos += (uint32_t)here;
		data += here;
		n -= here;
		if (d->t.pos == d->t.end)
			block_given(d);
	}
}

void ide_transfer_answer(struct ide_drive *d)
{
	d->t = (struct ide_transfer){.kind = IDE_PIO_IN, .left = 1, .block = 1, .want = 1};
	offer_block(d, true);
}

/* ---- direct memory access ---- */

static void transfer_gather(struct ide_drive *d)
{
	uint8_t *to = d->buffer;

	for (int i = 0; i < d->n_slices; i++) {
		memcpy(to, d->slices[i].iov_base, d->slices[i].iov_len);
		to += d->slices[i].iov_len;
	}
	d->channel->counters.copied += (uint64_t)(to - d->buffer);
}

/* The ranges of a TRIM come into the buffer, perhaps in several goes. */
static void take_ranges(struct ide_drive *d, uint32_t sectors)
{
	struct ide_transfer *t = &d->t;

	transfer_gather(d);
	if (sectors < t->left) {
		/* The table is too short, or needs more slices than one request has. */
		ide_dma_stop(&d->channel->dma, BM_STATUS_ERROR);
		ide_drive_abort(d);
		return;
	}
	ide_dma_done(&d->channel->dma);
	ide_trim_ranges(d);
}

void ide_drive_dma(struct ide_drive *d)
{
	struct ide_transfer *t = &d->t;
	struct ide_dma *dma = &d->channel->dma;
	int n = ide_dma_take(dma, t->left, t->kind == IDE_DMA_IN, d->slices, IDE_SLICES_MAX,
			     &d->n_slices);

	t->dma_waits = false;
	if (n < 0) {
		log_limited(&d->complaints, LOG_LEVEL_WARN, d->path,
			    "a table of the bus master leads out of memory");
		ide_dma_stop(dma, BM_STATUS_ERROR);
		ide_drive_abort(d);
		return;
	}
	if (!n) {
		/* Nobody is told of a table that is too short: a real one would wait for ever. */
		ide_dma_stop(dma, 0);
		t->kind = IDE_NONE;
		d->regs.status = ATA_STATUS_READY | ATA_STATUS_SEEK;
		return;
	}
	if (t->kind == IDE_TRIM) {
		take_ranges(d, (uint32_t)n);
		return;
	}
	t->want = (uint32_t)n;
	t->have = 0;
	t->dma_start = dma->starts;
	transfer_step(d);
}

static void wait_for_dma(struct ide_drive *d)
{
	d->t.dma_waits = true;
	d->regs.status = ATA_STATUS_READY | ATA_STATUS_SEEK | ATA_STATUS_DRQ;
	ide_channel_match(d->channel);
}

/* ---- parts ---- */

static void transfer_part_done(struct ide_drive *d)
{
	struct ide_transfer *t = &d->t;

	if (t->kind == IDE_PIO_IN) {
		offer_block(d, true);
		return;
	}
	if (transfer_is_direct(t))
		d->channel->counters.direct += (uint64_t)t->want * ATA_SECTOR;
	transfer_advance(d);
	if (t->left) {
		transfer_next_part(d);
		return;
	}
	if (transfer_is_direct(t))
		ide_dma_done(&d->channel->dma);
	ide_drive_done(d);
}

static void transfer_stepped(struct ide_drive *d, int err)
{
	struct ide_transfer *t = &d->t;

	if (err && (t->step == 1 || transfer_lost_memory(d))) {
		transfer_failed(d, err);
		return;
	}
	if (err) {
		t->single = true;
		/* What is in front of the bad sector goes to the guest first. */
		if (t->kind == IDE_PIO_IN)
			t->want = (uint32_t)min_u64(t->want, t->block);
	} else {
		t->have += t->step;
		/* The rest of the part waits for the bus master, as the rest of the command does. */
		if (transfer_lost_memory(d))
			t->want = t->have;
	}
	if (t->have < t->want)
		transfer_step(d);
	else
		transfer_part_done(d);
}

static void transfer_next_part(struct ide_drive *d)
{
	struct ide_transfer *t = &d->t;

	if (transfer_is_direct(t) || t->kind == IDE_TRIM) {
		wait_for_dma(d);
		return;
	}
	use_buffer(d);
	/* With a bad sector ahead, a block at a time: what is in front of it shall arrive. */
	t->want = (uint32_t)min_u64(t->left, t->single ? t->block : IDE_BUFFER_SECTORS);
	t->have = 0;
	t->pos = 0;
	if (t->kind == IDE_PIO_OUT)
		offer_block(d, t->begun);
	else
		transfer_step(d);
	t->begun = true;
}

void ide_transfer_begin(struct ide_drive *d, const struct ide_transfer *t)
{
	d->t = *t;
	transfer_next_part(d);
}
