/* SPDX-License-Identifier: MIT */
#include "bench/stamp.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define MAGIC UINT64_C(0x31706d6174735352)
#define SPOIL UINT64_C(0x6c696f7073da7a5a)
#define WORDS (SECTOR_SIZE / sizeof(uint64_t))

enum { WORD_MAGIC, WORD_SECTOR, WORD_RUN, WORD_GENERATION, WORD_FILLING, WORD_SUM = WORDS - 1 };

static uint64_t word(const void *sector, unsigned i)
{
	uint64_t raw;

	memcpy(&raw, (const uint8_t *)sector + i * sizeof(raw), sizeof(raw));
	return le64toh(raw);
}

static void set_word(void *sector, unsigned i, uint64_t v)
{
	uint64_t raw = htole64(v);

	memcpy((uint8_t *)sector + i * sizeof(raw), &raw, sizeof(raw));
}

static uint64_t mix(uint64_t v)
{
	v ^= v >> 32;
	v *= UINT64_C(0xd6e8feb86659fd93);
	return v ^ v >> 29;
}

/* Each step is one to one in the word and in the sum so far: no single changed word goes unseen. */
static uint64_t checksum(const void *sector)
{
	uint64_t sum = MAGIC;

	for (unsigned i = 0; i < WORD_SUM; i++) {
		sum = (sum ^ word(sector, i)) * UINT64_C(0x9e3779b97f4a7c15);
		sum ^= sum >> 31;
	}
	return sum;
}

void stamp_write(void *sector, const struct stamp *stamp)
{
	uint64_t fill = mix(mix(mix(stamp->run) + stamp->sector) + stamp->generation);

	set_word(sector, WORD_MAGIC, MAGIC);
	set_word(sector, WORD_SECTOR, stamp->sector);
	set_word(sector, WORD_RUN, stamp->run);
	set_word(sector, WORD_GENERATION, stamp->generation);
	for (unsigned i = WORD_FILLING; i < WORD_SUM; i++) {
		fill += UINT64_C(0x9e3779b97f4a7c15);
		set_word(sector, i, fill ^ fill >> 27);
	}
	set_word(sector, WORD_SUM, checksum(sector));
}

void stamp_spoil(void *sector)
{
	set_word(sector, WORD_MAGIC, SPOIL);
	set_word(sector, WORD_SUM, SPOIL);
}

static bool all_zero(const void *sector)
{
	const uint8_t *p = sector;

	return !p[0] && !memcmp(p, p + 1, SECTOR_SIZE - 1);
}

enum stamp_state stamp_check(const void *sector, const struct stamp *want, bool any_run)
{
	if (word(sector, WORD_MAGIC) == SPOIL && word(sector, WORD_SUM) == SPOIL)
		return STAMP_UNTOUCHED;
	if (all_zero(sector))
		return STAMP_ZEROES;
	if (word(sector, WORD_SUM) != checksum(sector))
		return word(sector, WORD_MAGIC) == MAGIC ? STAMP_DAMAGED : STAMP_NONE;
	if (word(sector, WORD_MAGIC) != MAGIC)
		return STAMP_NONE;
	if (word(sector, WORD_SECTOR) != want->sector)
		return STAMP_MISPLACED;
	if (any_run)
		return STAMP_GOOD;
	if (word(sector, WORD_RUN) != want->run)
		return STAMP_OTHER_RUN;
	if (word(sector, WORD_GENERATION) != want->generation)
		return word(sector, WORD_GENERATION) < want->generation ? STAMP_OLD : STAMP_NEW;
	return STAMP_GOOD;
}

void stamp_explain(const void *sector, const struct stamp *want, enum stamp_state state,
		   struct error *err)
{
	const uint64_t at = want->sector * SECTOR_SIZE;
	const uint64_t generation = word(sector, WORD_GENERATION);

	switch (state) {
	case STAMP_GOOD:
		error_set(err, 0, "the sector at offset %" PRIu64 " is good.", at);
		break;
	case STAMP_UNTOUCHED:
		error_set(err, -EIO,
			  "the read of the sector at offset %" PRIu64
			  " succeeded and brought nothing.",
			  at);
		break;
	case STAMP_ZEROES:
		error_set(err, -EIO, "the sector at offset %" PRIu64 " holds nothing but zeroes.",
			  at);
		break;
	case STAMP_NONE:
		error_set(err, -EIO,
			  "the sector at offset %" PRIu64
			  " holds nothing that --verify has written.",
			  at);
		break;
	case STAMP_DAMAGED:
		error_set(err, -EIO,
			  "the sector at offset %" PRIu64
			  " is damaged: its checksum does not fit (it calls itself offset %" PRIu64
			  ", generation %" PRIu64 ").",
			  at, word(sector, WORD_SECTOR) * SECTOR_SIZE, generation);
		break;
	case STAMP_MISPLACED:
		error_set(err, -EIO,
			  "the sector at offset %" PRIu64 " holds what belongs to offset %" PRIu64
			  ".",
			  at, word(sector, WORD_SECTOR) * SECTOR_SIZE);
		break;
	case STAMP_OTHER_RUN:
		error_set(err, -EIO,
			  "the sector at offset %" PRIu64
			  " holds what an earlier run wrote: a write of this run is lost.",
			  at);
		break;
	case STAMP_OLD:
		error_set(err, -EIO,
			  "the sector at offset %" PRIu64 " is of generation %" PRIu64
			  " and should be of %" PRIu64
			  ": a write is lost, or an old one was repeated.",
			  at, generation, want->generation);
		break;
	case STAMP_NEW:
		error_set(err, -EIO,
			  "the sector at offset %" PRIu64 " is of generation %" PRIu64
			  ", which was never completed; it should be of %" PRIu64 ".",
			  at, generation, want->generation);
		break;
	}
}
