/* SPDX-License-Identifier: MIT */
/* SPC-4, 6.6 and 7.8; SBC-3, 6.5. */
#include "backend/scsi/disk_priv.h"

#include <stdio.h>
#include <string.h>

#define EVPD	      0x01
#define CMDDT	      0x02
#define INQUIRY_BYTES 96u
#define VENDOR	      "RINGSIDE"
#define PRODUCT	      "SCSI DISK       "
#define REVISION      "1.0 "

static enum scsi_step standard(struct scsi_task *task, uint32_t allocated)
{
	uint8_t *p = task->data;

	p[0] = task->lun ? 0x7f : 0x00; /* no such unit, or a disk */
	p[2] = 5;			/* SPC-3 */
	p[3] = 2;
	p[4] = INQUIRY_BYTES - 5;
	p[7] = 0x32; /* wide, synchronous, tagged */
	memcpy(p + 8, VENDOR PRODUCT REVISION, 28);
	scsi_put16(p + 58, 0x0460); /* SPC-4 */
	scsi_put16(p + 60, 0x04c0); /* SBC-3 */
	return scsi_reply(task, INQUIRY_BYTES, allocated);
}

/* Returns the length of the page's own part. */
static unsigned put_text(uint8_t *p, const char *text)
{
	unsigned n = (unsigned)strlen(text);

	memcpy(p, text, n);
	return n;
}

struct vital_page {
	uint8_t code;
	unsigned (*fill)(const struct scsi_disk *disk, uint8_t *p);
};

#define N_VITAL 6u
static const struct vital_page vital[N_VITAL];

/* A disk that was given no serial number has no page for it: an empty one is every disk's. */
static bool offered(const struct scsi_disk *disk, uint8_t code)
{
	return code != SCSI_VPD_SERIAL || *disk->serial;
}

static unsigned pages(const struct scsi_disk *disk, uint8_t *p)
{
	unsigned n = 0;

	for (size_t i = 0; i < N_VITAL; i++)
		if (offered(disk, vital[i].code))
			p[n++] = vital[i].code;
	return n;
}

static unsigned serial(const struct scsi_disk *disk, uint8_t *p)
{
	return put_text(p, disk->serial);
}

/* One designator: vendor and a name, in ASCII (7.8.6.4). */
static unsigned identifiers(const struct scsi_disk *disk, uint8_t *p)
{
	char name[sizeof(VENDOR) + sizeof(disk->path)];

	snprintf(name, sizeof(name), VENDOR "%s", *disk->serial ? disk->serial : disk->path);
	p[0] = 2;
	p[1] = 1;
	p[3] = (uint8_t)put_text(p + 4, name);
	return 4u + p[3];
}

static unsigned limits(const struct scsi_disk *disk, uint8_t *p)
{
	const struct storage_limits *l = storage_limits(disk->storage);
	/* No more than the disk takes at all: initiators do not believe it otherwise. */
	uint32_t best = (uint32_t)min_u64(l->opt_io_size, SCSI_TRANSFER_MAX) / disk->block_size;
	uint32_t run = (uint32_t)min_u64(SCSI_RUN_MAX, l->max_discard / disk->block_size);

	p[0] = 1; /* WRITE SAME of no blocks is refused */
	scsi_put16(p + 2, best ? (uint16_t)(l->physical_block_size / disk->block_size) : 0);
	scsi_put32(p + 4, SCSI_TRANSFER_MAX / disk->block_size);
	scsi_put32(p + 8, best);
	if (scsi_unmaps(disk)) {
		scsi_put32(p + 16, run);
		scsi_put32(p + 20, 255); /* descriptors */
		scsi_put32(p + 24, (uint32_t)max_u64(1, l->discard_alignment / disk->block_size));
	}
	scsi_put64(p + 32, SCSI_RUN_MAX);
	return 60;
}

static unsigned medium(const struct scsi_disk *disk, uint8_t *p)
{
	(void)disk;
	scsi_put16(p, 1); /* it does not rotate */
	return 60;
}

static unsigned provisioning(const struct scsi_disk *disk, uint8_t *p)
{
	p[1] = scsi_unmaps(disk) ? 0x80 : 0; /* UNMAP */
	p[2] = scsi_unmaps(disk) ? 2 : 0;    /* thin */
	return 4;
}

static const struct vital_page vital[N_VITAL] = {
	{SCSI_VPD_PAGES, pages},   {SCSI_VPD_SERIAL, serial}, {SCSI_VPD_IDENTIFIERS, identifiers},
	{SCSI_VPD_LIMITS, limits}, {SCSI_VPD_MEDIUM, medium}, {SCSI_VPD_PROVISIONING, provisioning},
};

enum scsi_step scsi_inquiry(struct scsi_task *task)
{
	uint32_t allocated = scsi_get16(task->cdb + 3);
	uint8_t code = task->cdb[2];
	unsigned n;

	if (!scsi_task_room(task, 4 + INQUIRY_BYTES))
		return SCSI_DONE;
	if (task->cdb[1] & CMDDT)
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	if (!(task->cdb[1] & EVPD)) {
		if (code)
			return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
		return standard(task, allocated);
	}
	for (size_t i = 0; i < ARRAY_SIZE(vital); i++) {
		if (vital[i].code != code || !offered(task->disk, code))
			continue;
		task->data[0] = task->lun ? 0x7f : 0;
		task->data[1] = code;
		n = vital[i].fill(task->disk, task->data + 4);
		scsi_put16(task->data + 2, n);
		return scsi_reply(task, 4 + n, allocated);
	}
	return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
}
