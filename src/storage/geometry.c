/* SPDX-License-Identifier: MIT */
#include "storage/geometry.h"

#include "base/bits.h"

#include <errno.h>

#define BLOCK_DEFAULT	 512u
#define PHYSICAL_DEFAULT 4096u
/* Virtio, SCSI and ATA all tell the physical block as a power of two of logical ones, in 4 bits. */
#define PHYSICAL_RATIO (UINT64_C(1) << 15)
/* Rounding up to a block must not overflow what a file offset holds. */
#define SIZE_MAX_BYTES ((uint64_t)INT64_MAX - (1u << 20))

static uint32_t or_default(uint32_t asked, uint32_t otherwise)
{
	return asked ? asked : otherwise;
}

static uint32_t physical_of(const struct storage_geometry *asked)
{
	uint32_t block = or_default(asked->block_size, BLOCK_DEFAULT);

	return or_default(asked->physical_block_size, (uint32_t)max_u64(block, PHYSICAL_DEFAULT));
}

int geometry_check(const struct storage_geometry *asked, const char *target, struct error *err)
{
	uint32_t block = or_default(asked->block_size, BLOCK_DEFAULT);
	uint32_t physical = physical_of(asked);

	if (!is_pow2(block) || block < BLOCK_DEFAULT || block > STORAGE_BLOCK_MAX)
		return error_set(err, -EINVAL,
				 "%s: blk-size=%u cannot be: it must be a power of two from 512 "
				 "to %u.",
				 target, block, STORAGE_BLOCK_MAX);
	if (!is_pow2(physical) || physical < block || physical / block > PHYSICAL_RATIO)
		return error_set(err, -EINVAL,
				 "%s: physical-block-size=%u cannot be: it must be a power of two, "
				 "no smaller than the logical block of %u bytes, and no more than "
				 "%llu of them.",
				 target, physical, block, (unsigned long long)PHYSICAL_RATIO);
	if (asked->opt_io_size % physical)
		return error_set(err, -EINVAL,
				 "%s: opt-io-size=%u cannot be: it must be a multiple of the "
				 "physical block, %u bytes.",
				 target, asked->opt_io_size, physical);
	if (asked->discard_granularity % block)
		return error_set(err, -EINVAL,
				 "%s: discard-granularity=%u cannot be: it must be a multiple of "
				 "the logical block, %u bytes.",
				 target, asked->discard_granularity, block);
	return 0;
}

void geometry_apply(struct storage *s, const struct storage_geometry *asked)
{
	struct storage_limits *l = &s->limits;

	l->block_size = or_default(asked->block_size, BLOCK_DEFAULT);
	l->physical_block_size = physical_of(asked);
	l->opt_io_size = asked->opt_io_size;
	if (asked->discard_granularity)
		l->discard_alignment = asked->discard_granularity;
	else if (l->discard_alignment < l->block_size)
		l->discard_alignment = l->block_size;
	if (l->erase_alignment < l->block_size)
		l->erase_alignment = l->block_size;
}

int geometry_judge_size(const struct storage *s, const char *target, uint64_t size,
			struct error *err)
{
	uint32_t block = s->limits.block_size;
	const unsigned long long bytes = size;

	if (!size)
		return error_set(err, -EINVAL,
				 "%s is empty; give it a size with: truncate -s 10G %s.", target,
				 target);
	if (size > SIZE_MAX_BYTES)
		return error_set(err, -EFBIG, "%s has %llu bytes, more than a disk can have.",
				 target, bytes);
	if (size % block)
		return error_set(err, -EINVAL,
				 "the size of %s, %llu bytes, is no multiple of %s%u; extend it "
				 "with: truncate -s %%%u %s.",
				 target, bytes, block > BLOCK_DEFAULT ? "blk-size=" : "", block,
				 block, target);
	if (s->size_unit && size % s->size_unit)
		return error_set(err, -EINVAL,
				 "the size of %s, %llu bytes, is no multiple of %u, and no less "
				 "can be read or written past the page cache there; use "
				 "cache=writeback, or extend it with: truncate -s %%%u %s.",
				 target, bytes, s->size_unit, s->size_unit, target);
	return 0;
}
