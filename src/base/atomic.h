/* SPDX-License-Identifier: MIT */
/*
 * Loads and stores of memory that somebody else writes at the same time: ring fields shared with a
 * guest, fields shared between threads.
 *
 * le16_read() and its kin are the "fetch once" of the ring code: one real load, into a local.
 * Acquire pairs with the other side's release; the full barrier orders "publish, then look whether
 * the other side sleeps" (virtio 1.4, 2.7.13.3.1 and 2.8.21.1).
 */
#ifndef BASE_ATOMIC_H
#define BASE_ATOMIC_H

#include "base/endian.h"

#define read_once(p)	    __atomic_load_n((p), __ATOMIC_RELAXED)
#define write_once(p, v)    __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define load_acquire(p)	    __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

/* Of a counter that has one writer, and any number of readers by read_once(). */
#define count_add(p, n) write_once(p, *(p) + (n))

#if defined(__SANITIZE_THREAD__)
#define BASE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BASE_TSAN 1
#endif
#endif

static inline void barrier_full(void)
{
#ifdef BASE_TSAN
	/*
	 * ThreadSanitizer knows no fences; it needs none for "store, then load", but the processor
	 * does.
	 */
	int here = 0;

	__atomic_exchange_n(&here, 1, __ATOMIC_SEQ_CST);
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}
/* What is read behind it is not older than what was read in front of it. */
static inline void barrier_acquire(void)
{
#ifdef BASE_TSAN
	__atomic_signal_fence(__ATOMIC_ACQUIRE);
#else
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
#endif
}
static inline uint16_t le16_read(const le16 *p)
{
	return le16toh(read_once(&p->raw));
}
static inline uint32_t le32_read(const le32 *p)
{
	return le32toh(read_once(&p->raw));
}
static inline uint64_t le64_read(const le64 *p)
{
	return le64toh(read_once(&p->raw));
}
static inline void le16_write(le16 *p, uint16_t v)
{
	write_once(&p->raw, htole16(v));
}
static inline void le32_write(le32 *p, uint32_t v)
{
	write_once(&p->raw, htole32(v));
}
static inline void le64_write(le64 *p, uint64_t v)
{
#if UINTPTR_MAX > UINT32_MAX
	write_once(&p->raw, htole64(v));
#else
	/* No field of 64 bits is looked at before another one says that it is there. */
	le32 *half = (le32 *)(void *)p;

	le32_write(&half[0], (uint32_t)v);
	le32_write(&half[1], (uint32_t)(v >> 32));
#endif
}
static inline uint16_t le16_load_acquire(const le16 *p)
{
	return le16toh(load_acquire(&p->raw));
}
static inline void le16_store_release(le16 *p, uint16_t v)
{
	store_release(&p->raw, htole16(v));
}

#endif
