/* SPDX-License-Identifier: MIT */
/* IDENTIFY DEVICE (ATA8-ACS, 7.16). */
#include "backend/ide/drive.h"
#include "base/bits.h"

#include <string.h>

#define MODEL		"RINGSIDE DISK"
#define FIRMWARE	"1.0"

#define HEADS		16u
#define TRACK		63u
#define CYLINDERS_MAX	0xffffu

#define MARK		0x4000u /* bit 14 set, bit 15 clear: the word means something */

#define VERSIONS	0x01f0u /* ATA-4 to ATA8-ACS */
#define CYCLE_NS	120

#define ENABLED_1_CACHE 0x0020u
#define ENABLED_1_LOOK	0x0040u
#define COMMANDS_1	(MARK | 0x0008u | ENABLED_1_CACHE | ENABLED_1_LOOK) /* NOP, power */
#define COMMANDS_2	0x3400u /* FLUSH CACHE, FLUSH CACHE EXT, 48 bits */
#define COMMANDS_3	0x0040u /* WRITE DMA FUA EXT, WRITE MULTIPLE FUA EXT */

struct ide_geometry ide_geometry_of(uint64_t sectors, uint32_t heads, uint32_t track)
{
	uint64_t cylinders = min_u64(sectors, ATA_SECTORS_CHS) / (heads * track);

	return (struct ide_geometry){
		.cylinders = (uint32_t)max_u64(1, min_u64(cylinders, CYLINDERS_MAX)),
		.heads = heads,
		.track = track,
	};
}

struct ide_geometry ide_natural_geometry(uint64_t sectors)
{
	return ide_geometry_of(sectors, HEADS, TRACK);
}

/* Two characters a word, the first in the upper half. */
static void put_text(le16 *words, const char *text, size_t length, size_t bytes)
{
	char padded[ATA_ID_MODEL_BYTES];

	memset(padded, ' ', sizeof(padded));
	memcpy(padded, text, min_u64(length, bytes));
	for (size_t i = 0; i < bytes / 2; i++)
		words[i] = le16_make(
			(uint16_t)((uint8_t)padded[2 * i] << 8 | (uint8_t)padded[2 * i + 1]));
}

static void put_words(le16 *words, unsigned n, uint64_t v)
{
	for (unsigned i = 0; i < n; i++)
		words[i] = le16_make((uint16_t)(v >> (16 * i)));
}

/* Kinds of modes that the disk has, and which one is chosen. */
static uint16_t modes(const struct ide_drive *d, unsigned kind, unsigned supported)
{
	unsigned chosen = d->mode >> 3 == kind ? 1u << (8 + (d->mode & 7)) : 0;

	return (uint16_t)(supported | chosen);
}

static uint16_t sector_size(const struct ide_drive *d)
{
	uint32_t physical = storage_limits(d->storage)->physical_block_size;
	unsigned exponent = 0;

	while ((ATA_SECTOR << (exponent + 1)) <= physical && exponent < 15)
		exponent++;
	return (uint16_t)(MARK | (exponent ? 0x2000 | exponent : 0));
}

static void put_integrity(le16 words[ATA_ID_WORDS])
{
	const uint8_t *bytes = (const uint8_t *)words;
	uint8_t sum = ATA_ID_SIGNATURE;

	for (size_t i = 0; i < ATA_ID_INTEGRITY * sizeof(words[0]); i++)
		sum = (uint8_t)(sum + bytes[i]);
	put_words(&words[ATA_ID_INTEGRITY], 1, (unsigned)(uint8_t)-sum << 8 | ATA_ID_SIGNATURE);
}

static void put_size(const struct ide_drive *d, le16 *w)
{
	const struct ide_geometry *g = &d->current;

	put_words(w + ATA_ID_CYLINDERS, 1, d->natural.cylinders);
	put_words(w + ATA_ID_HEADS, 1, d->natural.heads);
	put_words(w + ATA_ID_TRACK, 1, d->natural.track);
	put_words(w + ATA_ID_CURRENT_CYLINDERS, 1, g->cylinders);
	put_words(w + ATA_ID_CURRENT_HEADS, 1, g->heads);
	put_words(w + ATA_ID_CURRENT_TRACK, 1, g->track);
	put_words(w + ATA_ID_CURRENT_SECTORS, 2, ide_chs_sectors(d));
	put_words(w + ATA_ID_SECTORS, 2, min_u64(d->sectors, ATA_SECTORS_28));
	put_words(w + ATA_ID_SECTORS_48, 4, min_u64(d->sectors, ATA_SECTORS_48));
	put_words(w + ATA_ID_SECTOR_SIZE, 1, sector_size(d));
	put_words(w + ATA_ID_ALIGNMENT, 1, MARK);
}

void ide_identify(const struct ide_drive *d, le16 words[ATA_ID_WORDS])
{
	le16 *w = words;
	uint16_t enabled = COMMANDS_1;

	if (!d->write_cache)
		enabled &= (uint16_t)~ENABLED_1_CACHE;
	if (!d->look_ahead)
		enabled &= (uint16_t)~ENABLED_1_LOOK;
	memset(w, 0, ATA_ID_WORDS * sizeof(w[0]));
	put_words(w + ATA_ID_GENERAL, 1, 0x0040); /* not removable */
	put_text(w + ATA_ID_SERIAL, d->serial, strnlen(d->serial, sizeof(d->serial)),
		 ATA_ID_SERIAL_BYTES);
	put_text(w + ATA_ID_FIRMWARE, FIRMWARE, strlen(FIRMWARE), ATA_ID_FIRMWARE_BYTES);
	put_text(w + ATA_ID_MODEL, MODEL, strlen(MODEL), ATA_ID_MODEL_BYTES);
	put_size(d, w);
	put_words(w + ATA_ID_MULTIPLE_MAX, 1, 0x8000 | IDE_MULTIPLE_MAX);
	put_words(w + ATA_ID_CAPABILITIES, 1,
		  0x2f00); /* standby timer, IORDY that can be off, LBA, DMA */
	put_words(w + ATA_ID_CAPABILITIES_2, 1, MARK);
	put_words(w + ATA_ID_PIO_OLD, 1, 0x0200);
	put_words(w + ATA_ID_VALID, 1, 0x0007);
	put_words(w + ATA_ID_MULTIPLE, 1, d->multiple ? 0x0100u | d->multiple : 0);
	put_words(w + ATA_ID_MULTIWORD, 1, modes(d, ATA_MODE_MULTIWORD, 0x07));
	put_words(w + ATA_ID_PIO, 1, 0x03); /* modes 3 and 4 */
	for (unsigned i = 0; i < 4; i++)
		put_words(w + ATA_ID_CYCLE_TIME + i, 1, CYCLE_NS);
	put_words(w + ATA_ID_MAJOR, 1, VERSIONS);
	put_words(w + ATA_ID_COMMANDS_1, 1, COMMANDS_1);
	put_words(w + ATA_ID_COMMANDS_2, 1, MARK | COMMANDS_2);
	put_words(w + ATA_ID_COMMANDS_3, 1, MARK | COMMANDS_3);
	put_words(w + ATA_ID_ENABLED_1, 1, enabled);
	put_words(w + ATA_ID_ENABLED_2, 1, COMMANDS_2);
	put_words(w + ATA_ID_ENABLED_3, 1, MARK | COMMANDS_3);
	put_words(w + ATA_ID_ULTRA, 1, modes(d, ATA_MODE_ULTRA, 0x3f));
	/* Cable of 80 wires; which of the two we are, found by jumper; passed. */
	put_words(w + ATA_ID_RESET, 1, MARK | 0x2000 | (d->unit ? 0x0300 : 0x000b));
	if (storage_limits(d->storage)->max_discard) {
		put_words(w + ATA_ID_TRIM_BLOCKS, 1, IDE_TRIM_BLOCKS);
		put_words(w + ATA_ID_TRIM, 1, 1);
	}
	put_words(w + ATA_ID_ROTATION, 1, 1); /* none */
	put_integrity(w);
}
