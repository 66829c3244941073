/* SPDX-License-Identifier: MIT */
/*
 * What the driver needs of the place where it runs: memory, pauses, and sleep until the device
 * calls.  os_linux.c is this on Linux; a program with no system under it links its own instead
 * (guest/os.c), and the rest of the driver as it is.
 *
 * Of the C library the driver then needs memcpy, memset, clock_gettime, and for its sentences
 * snprintf, vsnprintf, strlen and strerror.
 *
 * An event is a number >= 0 that counts calls, a sleeper one that waits for an event; on Linux both
 * are file descriptors.
 *
 * Threads: os_event_signal() any; an event and its sleeper belong to one thread, the rest to the
 * disk's.
 */
#ifndef FRONTEND_VIRTIO_OS_H
#define FRONTEND_VIRTIO_OS_H

#include "base/error.h"
#include "frontend/virtio/transport.h"

/* Zeroed memory, @align a power of two; NULL: there is none. */
void *os_alloc(size_t size, size_t align);
void os_free(void *memory);

/* What memory shown to a device has to be a multiple of. */
size_t os_page(void);
/* Zeroed memory that a device can be shown: fills all of @r. @size is whole pages. */
int os_shared_alloc(struct dma_region *r, size_t size, struct error *err);
void os_shared_free(struct dma_region *r);

/* A pause of about a millisecond, or none. */
void os_nap(void);

/* An event, or -errno. */
int os_event_create(struct error *err);
void os_event_close(int event);
void os_event_signal(int event);
/* The signals since it was last asked. */
uint64_t os_event_take(int event);

/* A sleeper that a signal of @event wakes once; or -errno. */
int os_sleeper_create(int event, struct error *err);
/* Also to wake it: the hang-up of @fd. Once more for the same fd is no mistake. */
int os_sleeper_watch(int sleeper, int fd, struct error *err);
void os_sleeper_close(int sleeper);

#define OS_CALL	  1u
#define OS_HANGUP 2u
/* What woke it; 0: nothing in that time, or an interruption. @timeout_ms negative: no limit. */
unsigned os_sleep(int sleeper, int timeout_ms);

#endif
