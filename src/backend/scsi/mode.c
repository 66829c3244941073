/* SPDX-License-Identifier: MIT */
/* SPC-4, 6.11, 6.13 and 7.5; SBC-3, 6.4. */
#include "backend/scsi/disk_priv.h"

#include <string.h>

/* Which values MODE SENSE asks for. */
enum {
	CURRENT,
	CHANGEABLE,
	DEFAULT,
	SAVED,
};

#define WCE	       0x04
#define SELECT_SP      0x01
#define SELECT_RTD     0x02
#define SELECT_PF      0x10
#define PARAMETERS_MAX 512u
#define BLOCK_BYTES    8u
#define LONG_BLOCK     16u

static const struct page {
	uint8_t code;
	uint8_t bytes; /* behind the first two */
	uint8_t values[22];
} pages[] = {
	/* 01: reallocates and corrects by itself, reports nothing */
	{SCSI_PAGE_ERROR_RECOVERY, 10, {0xc0}},
	{SCSI_PAGE_DISCONNECT, 14, {0x80, 0x80}},
	{SCSI_PAGE_CACHING, 18, {0}},
	/* 0a: tasks may be reordered; a task set per initiator */
	{SCSI_PAGE_CONTROL, 10, {0, 0x10}},
};

static unsigned put_page(const struct scsi_disk *disk, const struct page *page, unsigned which,
			 uint8_t *p)
{
	p[0] = page->code;
	p[1] = page->bytes;
	if (which != CHANGEABLE)
		memcpy(p + 2, page->values, page->bytes);
	if (page->code == SCSI_PAGE_CACHING) {
		bool wce = which == CURRENT ? disk->wce : disk->wce_default;

		p[2] = which == CHANGEABLE || wce ? WCE : 0;
	}
	return 2u + page->bytes;
}

/* Returns the bytes of a block descriptor. */
static unsigned put_block(const struct scsi_disk *disk, bool is_long, uint8_t *p)
{
	if (is_long) {
		scsi_put64(p, disk->blocks);
		scsi_put32(p + 12, disk->block_size);
		return LONG_BLOCK;
	}
	scsi_put32(p, (uint32_t)min_u64(disk->blocks, UINT32_MAX));
	scsi_put32(p + 4, disk->block_size); /* below 2^24: the density in front of it is 0 */
	return BLOCK_BYTES;
}

enum scsi_step scsi_mode_sense(struct scsi_task *task)
{
	const struct scsi_disk *disk = task->disk;
	bool ten = task->cdb[0] == SCSI_MODE_SENSE_10;
	uint32_t allocated = ten ? scsi_get16(task->cdb + 7) : task->cdb[4];
	unsigned which = task->cdb[2] >> 6, code = task->cdb[2] & 0x3f;
	unsigned n = ten ? 8 : 4, blocks = 0, found = 0;
	uint8_t *p;

	if (which == SAVED)
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_SAVING);
	/* No page here has sub-pages; 255 with all pages asks for those, too. */
	if (task->cdb[3] && (task->cdb[3] != 0xff || code != SCSI_PAGE_ALL))
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	if (!scsi_task_room(task, PARAMETERS_MAX))
		return SCSI_DONE;
	p = task->data;
	if (!(task->cdb[1] & 8))
		blocks = put_block(disk, ten && task->cdb[1] & 0x10, p + n);
	n += blocks;
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		if (code != SCSI_PAGE_ALL && code != pages[i].code)
			continue;
		n += put_page(disk, &pages[i], which, p + n);
		found++;
	}
	if (!found && code != SCSI_PAGE_NONE)
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	/* DPO and FUA are understood. */
	p[ten ? 3 : 2] = (uint8_t)(0x10 | (disk->readonly ? 0x80 : 0));
	if (ten) {
		scsi_put16(p, n - 2);
		p[4] = blocks == LONG_BLOCK;
		scsi_put16(p + 6, blocks);
	} else {
		p[0] = (uint8_t)(n - 1);
		p[3] = (uint8_t)blocks;
	}
	return scsi_reply(task, n, allocated);
}

/* ---- MODE SELECT ---- */

/*
 * The header and its block descriptors: nothing of what they say can be changed, so they say what
 * is, or nothing (0; all ones for "as many blocks as there are").  The initiator may send back what
 * MODE SENSE gave it.  0, or an additional sense code; *@at: where the pages begin.
 */
static uint16_t take_header(const struct scsi_task *task, bool ten, uint32_t *at)
{
	const struct scsi_disk *disk = task->disk;
	const uint8_t *p = task->data;
	uint8_t medium = ten ? p[2] : p[1];
	bool is_long = ten && p[4] & 1;
	uint32_t bytes = ten ? scsi_get16(p + 6) : p[3], block;
	uint64_t blocks, all = is_long ? UINT64_MAX : UINT32_MAX;

	*at = ten ? 8 : 4;
	if (bytes > task->len - *at)
		return SCSI_ASC_LIST_LENGTH;
	if (medium || (bytes && bytes != (is_long ? LONG_BLOCK : BLOCK_BYTES)))
		return SCSI_ASC_LIST_FIELD;
	p += *at;
	*at += bytes;
	if (!bytes)
		return 0;
	blocks = is_long ? scsi_get64(p) : scsi_get32(p);
	block = is_long ? scsi_get32(p + 12) : scsi_get24(p + 5);
	if ((blocks && blocks != all && blocks != disk->blocks) ||
	    (block && block != disk->block_size))
		return SCSI_ASC_LIST_FIELD;
	return 0;
}

/* One page as the initiator wants it.  false: it changes what cannot be changed. */
static bool take_page(const struct scsi_disk *disk, const uint8_t *p, bool *wce)
{
	uint8_t now[PARAMETERS_MAX], can[PARAMETERS_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		/* Its topmost bit means nothing here; the next one is for sub-pages. */
		if ((p[0] & 0x7f) != pages[i].code || p[1] != pages[i].bytes)
			continue;
		memset(now, 0, sizeof(now));
		memset(can, 0, sizeof(can));
		put_page(disk, &pages[i], CURRENT, now);
		put_page(disk, &pages[i], CHANGEABLE, can);
		for (unsigned b = 2; b < 2u + pages[i].bytes; b++)
			if ((p[b] ^ now[b]) & ~can[b])
				return false;
		if (pages[i].code == SCSI_PAGE_CACHING)
			*wce = p[2] & WCE;
		return true;
	}
	return false;
}

static enum scsi_step mode_flushed(struct scsi_task *task, int err)
{
	return err ? scsi_check_errno(task, err) : scsi_good(task);
}

static enum scsi_step mode_parameters(struct scsi_task *task)
{
	struct scsi_disk *disk = task->disk;
	bool ten = task->cdb[0] == SCSI_MODE_SELECT_10, wce = disk->wce, was = disk->wce;
	uint32_t at, left;
	uint16_t asc;

	if (task->len < (ten ? 8 : 4))
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LIST_LENGTH);
	asc = take_header(task, ten, &at);
	if (asc)
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, asc);
	/* PF clear: pages of the vendor's format, and there are none. */
	if (at < task->len && !(task->cdb[1] & SELECT_PF))
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	while (at < task->len) {
		left = task->len - at;
		if (left < 2 || left - 2 < task->data[at + 1])
			return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LIST_LENGTH);
		if (!take_page(disk, task->data + at, &wce))
			return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LIST_FIELD);
		at += 2u + task->data[at + 1];
	}
	disk->wce = wce;
	/* Without the cache everything is stable: what was written before, too. */
	if (was && !wce)
		return scsi_io(task, STORAGE_FLUSH, 0, 0, 0, 0, mode_flushed);
	return scsi_good(task);
}

enum scsi_step scsi_mode_select(struct scsi_task *task)
{
	bool ten = task->cdb[0] == SCSI_MODE_SELECT_10;
	uint32_t len = ten ? scsi_get16(task->cdb + 7) : task->cdb[4];

	/* SP: nothing can be saved.  RTD: there is no going back to defaults by it. */
	if (task->cdb[1] & (SELECT_SP | SELECT_RTD))
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	return len ? scsi_take(task, len, mode_parameters) : scsi_good(task);
}
