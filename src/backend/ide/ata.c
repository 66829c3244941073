/* SPDX-License-Identifier: MIT */
/* What each command is: a table from its number to the function that begins it. */
#include "backend/ide/channel.h"

#include <string.h>

/* How a command names sectors and moves them. */
#define EXT	 0x01u
#define MULTIPLE 0x02u
#define DMA	 0x04u
#define WRITE	 0x08u
#define FUA	 0x10u
#define VERIFY	 0x20u

struct ata_command {
	void (*begin)(struct ide_drive *d, unsigned how);
	unsigned how;
};

/* ---- addresses ---- */

/* false: there is no such sector. */
static bool read_address(const struct ide_drive *d, bool ext, uint64_t *lba)
{
	const struct ide_registers *r = &d->regs;
	const struct ide_geometry *g = &d->current;
	uint64_t low = r->lba[0][0] | (uint64_t)r->lba[1][0] << 8 | (uint64_t)r->lba[2][0] << 16;
	unsigned head = r->device & ATA_DEVICE_HEAD;

	if (ext) {
		*lba = low | (uint64_t)r->lba[0][1] << 24 | (uint64_t)r->lba[1][1] << 32 |
		       (uint64_t)r->lba[2][1] << 40;
		return true;
	}
	if (r->device & ATA_DEVICE_LBA) {
		*lba = low | (uint64_t)head << 24;
		return true;
	}
	if (!r->lba[0][0] || r->lba[0][0] > g->track || head >= g->heads)
		return false;
	*lba = ((low >> 8) * g->heads + head) * g->track + r->lba[0][0] - 1;
	return true;
}

/* 0 stands for one more than the register can hold. */
static uint32_t read_count(const struct ide_drive *d, bool ext)
{
	uint32_t n = d->regs.count[0];

	if (!ext)
		return n ? n : 0x100;
	n |= (uint32_t)d->regs.count[1] << 8;
	return n ? n : 0x10000;
}

/* How many sectors the command's kind of address reaches. */
static uint64_t reach(const struct ide_drive *d, bool ext)
{
	if (ext)
		return d->sectors;
	if (d->regs.device & ATA_DEVICE_LBA)
		return min_u64(d->sectors, ATA_SECTORS_28);
	return ide_chs_sectors(d);
}

static bool inside(const struct ide_drive *d, bool ext, uint64_t lba, uint32_t n)
{
	uint64_t end = reach(d, ext);

	return lba < end && n <= end - lba;
}

/* ---- sectors ---- */

static enum ide_transfer_kind kind_of(unsigned how)
{
	if (how & VERIFY)
		return IDE_VERIFY;
	if (how & DMA)
		return how & WRITE ? IDE_DMA_OUT : IDE_DMA_IN;
	return how & WRITE ? IDE_PIO_OUT : IDE_PIO_IN;
}

static void ata_transfer(struct ide_drive *d, unsigned how)
{
	struct ide_transfer t = {.kind = kind_of(how), .ext = how & EXT, .block = 1};
	bool possible = read_address(d, t.ext, &t.lba);

	t.left = read_count(d, t.ext);
	if (how & MULTIPLE)
		t.block = d->multiple;
	if ((how & WRITE) && (!d->write_cache || (how & FUA)))
		t.flags = STORAGE_FUA;
	d->t.ext = t.ext;
	d->t.left = t.left;
	d->standby = false;
	if (!t.block || ((how & WRITE) && storage_readonly(d->storage)))
		ide_drive_abort(d);
	else if (!possible)
		ide_drive_fail(d, ATA_STATUS_ERR, ATA_ERROR_NO_ADDRESS);
	else if (!inside(d, t.ext, t.lba, t.left))
		ide_drive_fail_at(d, max_u64(t.lba, reach(d, t.ext)), ATA_STATUS_ERR,
				  ATA_ERROR_NO_ADDRESS);
	else
		ide_transfer_begin(d, &t);
}

static void ata_seek(struct ide_drive *d, unsigned how)
{
	uint64_t lba;

	if (read_address(d, how & EXT, &lba) && inside(d, how & EXT, lba, 1))
		ide_drive_done(d);
	else
		ide_drive_fail(d, ATA_STATUS_ERR, ATA_ERROR_NO_ADDRESS);
}

static void ata_trim(struct ide_drive *d, unsigned how)
{
	uint32_t blocks = read_count(d, how & EXT);

	if (d->regs.feature[0] != ATA_DATA_SET_TRIM || blocks > IDE_TRIM_BLOCKS ||
	    !storage_limits(d->storage)->max_discard || storage_readonly(d->storage))
		ide_drive_abort(d);
	else
		ide_trim_begin(d, blocks);
}

static void ata_flushed(struct ide_drive *d, int err)
{
	if (err)
		ide_drive_fail(d, ATA_STATUS_ERR | ATA_STATUS_FAULT, ATA_ERROR_ABORTED);
	else
		ide_drive_done(d);
}

static void ata_flush(struct ide_drive *d, unsigned how)
{
	(void)how;
	ide_drive_submit(d, STORAGE_FLUSH, 0, 0, 0, 0, ata_flushed);
}

/* ---- what the disk is ---- */

static void ata_identify(struct ide_drive *d, unsigned how)
{
	le16 words[ATA_ID_WORDS];

	(void)how;
	ide_identify(d, words);
	memcpy(d->buffer, words, sizeof(words));
	ide_transfer_answer(d);
}

static void ata_read_max(struct ide_drive *d, unsigned how)
{
	d->t.ext = how & EXT;
	ide_drive_put_address(d, reach(d, how & EXT) - 1);
	ide_drive_done(d);
}

static void ata_diagnose(struct ide_drive *d, unsigned how)
{
	(void)how;
	ide_channel_diagnose(d->channel);
}

/* ---- settings ---- */

static void ata_set_geometry(struct ide_drive *d, unsigned how)
{
	(void)how;
	if (!d->regs.count[0]) {
		ide_drive_abort(d);
		return;
	}
	d->current = ide_geometry_of(d->sectors, (d->regs.device & ATA_DEVICE_HEAD) + 1u,
				     d->regs.count[0]);
	ide_drive_done(d);
}

static void ata_set_multiple(struct ide_drive *d, unsigned how)
{
	uint8_t n = d->regs.count[0];

	(void)how;
	if (n && (n > IDE_MULTIPLE_MAX || !is_pow2(n))) {
		ide_drive_abort(d);
		return;
	}
	d->multiple = n;
	ide_drive_done(d);
}

static bool mode_possible(uint8_t mode)
{
	switch (mode >> 3) {
	case ATA_MODE_PIO_DEFAULT:
		return (mode & 7) <= 1;
	case ATA_MODE_PIO:
		return (mode & 7) <= 4;
	case ATA_MODE_MULTIWORD:
		return (mode & 7) <= 2;
	case ATA_MODE_ULTRA:
		return (mode & 7) <= 5;
	default:
		return false;
	}
}

static bool take_mode(struct ide_drive *d, uint8_t mode)
{
	if (!mode_possible(mode))
		return false;
	/* PIO is a pace of the data port; the mode of direct transfers stays beside it. */
	if (mode >> 3 >= ATA_MODE_MULTIWORD)
		d->mode = mode;
	return true;
}

static bool take_feature(struct ide_drive *d, uint8_t feature)
{
	switch (feature) {
	case ATA_FEATURE_MODE:
		return take_mode(d, d->regs.count[0]);
	case ATA_FEATURE_CACHE_ON:
		d->write_cache = true;
		return true;
	case ATA_FEATURE_LOOK_ON:
	case ATA_FEATURE_LOOK_OFF:
		d->look_ahead = feature == ATA_FEATURE_LOOK_ON;
		return true;
	case ATA_FEATURE_KEEP:
	case ATA_FEATURE_FORGET:
		d->keep = feature == ATA_FEATURE_KEEP;
		return true;
	default:
		return false;
	}
}

static void ata_cache_is_off(struct ide_drive *d, int err)
{
	/* One that could not be emptied is as it was; one that was off holds nothing. */
	if (!err)
		d->write_cache = false;
	ata_flushed(d, err);
}

static void ata_set_features(struct ide_drive *d, unsigned how)
{
	uint8_t feature = d->regs.feature[0];

	(void)how;
	if (feature == ATA_FEATURE_CACHE_OFF)
		ide_drive_submit(d, STORAGE_FLUSH, 0, 0, 0, 0, ata_cache_is_off);
	else if (take_feature(d, feature))
		ide_drive_done(d);
	else
		ide_drive_abort(d);
}

/* ---- power ---- */

static void ata_wake(struct ide_drive *d, unsigned how)
{
	(void)how;
	d->standby = false;
	ide_drive_done(d);
}

static void ata_standby(struct ide_drive *d, unsigned how)
{
	(void)how;
	d->standby = true;
	ide_drive_done(d);
}

static void ata_check_power(struct ide_drive *d, unsigned how)
{
	(void)how;
	d->regs.count[0] = d->standby ? ATA_POWER_STANDBY : ATA_POWER_ACTIVE;
	ide_drive_done(d);
}

static void ata_recalibrate(struct ide_drive *d, unsigned how)
{
	(void)how;
	ide_drive_done(d);
}

/* ---- the table; NOP, SMART, IDENTIFY PACKET DEVICE and all that is not in it are aborted ---- */

static const struct ata_command commands[256] = {
	[ATA_DATA_SET] = {ata_trim, EXT},
	[ATA_RECALIBRATE... ATA_RECALIBRATE + 15] = {ata_recalibrate, 0},
	[ATA_READ] = {ata_transfer, 0},
	[ATA_READ_ONCE] = {ata_transfer, 0},
	[ATA_READ_EXT] = {ata_transfer, EXT},
	[ATA_READ_DMA_EXT] = {ata_transfer, DMA | EXT},
	[ATA_READ_MAX_EXT] = {ata_read_max, EXT},
	[ATA_READ_MULTIPLE_EXT] = {ata_transfer, MULTIPLE | EXT},
	[ATA_WRITE] = {ata_transfer, WRITE},
	[ATA_WRITE_ONCE] = {ata_transfer, WRITE},
	[ATA_WRITE_EXT] = {ata_transfer, WRITE | EXT},
	[ATA_WRITE_DMA_EXT] = {ata_transfer, WRITE | DMA | EXT},
	[ATA_WRITE_MULTIPLE_EXT] = {ata_transfer, WRITE | MULTIPLE | EXT},
	[ATA_WRITE_DMA_FUA_EXT] = {ata_transfer, WRITE | DMA | EXT | FUA},
	[ATA_VERIFY] = {ata_transfer, VERIFY},
	[ATA_VERIFY_ONCE] = {ata_transfer, VERIFY},
	[ATA_VERIFY_EXT] = {ata_transfer, VERIFY | EXT},
	[ATA_SEEK... ATA_SEEK + 15] = {ata_seek, 0},
	[ATA_DIAGNOSTIC] = {ata_diagnose, 0},
	[ATA_SET_GEOMETRY] = {ata_set_geometry, 0},
	[ATA_STANDBY_NOW_OLD] = {ata_standby, 0},
	[ATA_IDLE_NOW_OLD] = {ata_wake, 0},
	[ATA_STANDBY_OLD] = {ata_standby, 0},
	[ATA_IDLE_OLD] = {ata_wake, 0},
	[ATA_CHECK_POWER_OLD] = {ata_check_power, 0},
	[ATA_SLEEP_OLD] = {ata_standby, 0},
	[ATA_READ_MULTIPLE] = {ata_transfer, MULTIPLE},
	[ATA_WRITE_MULTIPLE] = {ata_transfer, WRITE | MULTIPLE},
	[ATA_SET_MULTIPLE] = {ata_set_multiple, 0},
	[ATA_READ_DMA] = {ata_transfer, DMA},
	[ATA_READ_DMA_ONCE] = {ata_transfer, DMA},
	[ATA_WRITE_DMA] = {ata_transfer, WRITE | DMA},
	[ATA_WRITE_DMA_ONCE] = {ata_transfer, WRITE | DMA},
	[ATA_WRITE_MULTIPLE_FUA] = {ata_transfer, WRITE | MULTIPLE | EXT | FUA},
	[ATA_STANDBY_NOW] = {ata_standby, 0},
	[ATA_IDLE_NOW] = {ata_wake, 0},
	[ATA_STANDBY] = {ata_standby, 0},
	[ATA_IDLE] = {ata_wake, 0},
	[ATA_CHECK_POWER] = {ata_check_power, 0},
	[ATA_SLEEP] = {ata_standby, 0},
	[ATA_FLUSH] = {ata_flush, 0},
	[ATA_FLUSH_EXT] = {ata_flush, 0},
	[ATA_IDENTIFY] = {ata_identify, 0},
	[ATA_SET_FEATURES] = {ata_set_features, 0},
	[ATA_READ_MAX] = {ata_read_max, 0},
};

void ide_drive_command(struct ide_drive *d, uint8_t opcode)
{
	const struct ata_command *c = &commands[opcode];

	if (!ide_drive_present(d) || (d->regs.status & (ATA_STATUS_BUSY | ATA_STATUS_DRQ)))
		return;
	d->channel->counters.commands++;
	d->irq = false;
	ide_channel_update_irq(d->channel);
	d->regs.error = 0;
	if (c->begin)
		c->begin(d, c->how);
	else
		ide_drive_abort(d);
}
