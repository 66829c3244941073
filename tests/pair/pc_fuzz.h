/* SPDX-License-Identifier: MIT */
/*
 * Accesses that no driver would make, and almost-drivers: each begins to use a function as its
 * class asks for, and goes wrong somewhere.  What sits on the bus is found by looking; a class that
 * is not there costs nothing.
 *
 * Threads: the test's.
 */
#ifndef TESTS_PAIR_PC_FUZZ_H
#define TESTS_PAIR_PC_FUZZ_H

#include "pc_rig.h"

#include "base/atomic.h"
#include "base/bits.h"

/*
 * The devices copy out of memory that the guest writes to: a race by nature, and nothing for
 * ThreadSanitizer.  It gets the registers, and fewer of them.
 */
#ifdef BASE_TSAN
#define FUZZ_MEMORY false
#else
#define FUZZ_MEMORY true
#endif

struct fuzz {
	struct pc_rig *r;
	uint64_t s; /* of the generator */
};

static inline uint64_t fuzz_next(struct fuzz *f)
{
	f->s ^= f->s << 13;
	f->s ^= f->s >> 7;
	f->s ^= f->s << 17;
	return f->s;
}

static inline unsigned fuzz_below(struct fuzz *f, unsigned n)
{
	return (unsigned)(fuzz_next(f) >> 20) % n;
}

/* A number: any, one at the edge of something, or an address in guest memory. */
uint64_t fuzz_value(struct fuzz *f);
/* An address in the guest memory that is ours to spoil, aligned to @align. */
uint64_t fuzz_address(struct fuzz *f, uint64_t align);
/* Stores to guest memory as a processor's, byte by byte: devices read it at the same time. */
void fuzz_store(struct fuzz *f, uint64_t at, const void *bytes, size_t n);

/* An almost-driver for a function chosen by chance. */
void fuzz_drive(struct fuzz *f);

#endif
