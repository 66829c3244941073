/* SPDX-License-Identifier: MIT */
/*
 * A whole virtual disk in one process, on the rig of any device (device_rig.h).
 */
#ifndef TESTS_PAIR_RIG_H
#define TESTS_PAIR_RIG_H

#include "device_rig.h"

#include "backend/blk/virtio_blk.h"
#include "held_disk.h"
#include "wire/virtio.h"

struct rig_options {
	uint64_t features; /* what the driver takes, of what is offered; 0: everything that is */
	uint64_t without;  /* ... but for these */
	uint16_t num;	   /* ring size; 0: 64 */
	unsigned queues;   /* 0: 1 */
	unsigned workers;  /* 0: 1 */
	uint32_t base;	   /* of rings; 0: the initial one */
	uint16_t table;	   /* entries of an indirect table; 0: 160 */
	bool no_uring;
	bool write_through;
};

struct rig {
	struct device_rig dev;
	struct virtio_blk *blk;
};

/* Takes over @storage. Starts and enables all queues. */
void rig_init(struct rig *rig, struct storage *storage, const struct rig_options *o);
/* Resets the device and takes everything down. */
void rig_fini(struct rig *rig);

/* memory:SIZE */
struct storage *rig_memory(uint64_t bytes);

static inline uint64_t rig_alloc(struct rig *rig, uint64_t bytes, uint64_t align)
{
	return dr_alloc(&rig->dev, bytes, align);
}
static inline void *rig_at(struct rig *rig, uint64_t at)
{
	return dr_at(&rig->dev, at);
}
static inline void rig_pump(struct rig *rig)
{
	dr_pump(&rig->dev);
}
static inline struct virtio_waiter *rig_waiter(struct rig *rig)
{
	return dr_waiter(&rig->dev);
}
static inline int rig_wait(struct rig *rig)
{
	return dr_wait(&rig->dev);
}

/* ---- requests ---- */

struct rig_io {
	uint64_t header, data, status; /* guest addresses */
	uint64_t len;		       /* of data */
	bool done;
	uint32_t used_len;
};

/*
 * Header, @len bytes of data (readable for what is written) and a status byte of 0xff, as separate
 * buffers; published and kicked.
 */
void rig_submit(struct rig *rig, unsigned queue, struct rig_io *io, uint32_t type, uint64_t sector,
		uint64_t len, bool data_readable);
/* The same chain cut as the test likes. */
void rig_submit_bufs(struct rig *rig, unsigned queue, struct rig_io *io,
		     const struct vqdrv_buf *bufs, unsigned readable, unsigned writable);
/* Waits until @io is done; false: it took absurdly long. */
bool rig_finish(struct rig *rig, unsigned queue, struct rig_io *io);
uint8_t rig_status(struct rig *rig, const struct rig_io *io);
/* submit and finish; returns the status byte, or -1 when nothing came. */
int rig_do(struct rig *rig, unsigned queue, struct rig_io *io, uint32_t type, uint64_t sector,
	   uint64_t len, bool data_readable);
/* DISCARD, WRITE_ZEROES: one range. Returns the status byte. */
int rig_range(struct rig *rig, struct rig_io *io, uint32_t type, uint64_t sector, uint32_t n,
	      uint32_t flags);
/* A write and a read of one sector on @queue: is it alive? */
bool rig_healthy(struct rig *rig, unsigned queue);

/* Completes everything that is held with @err. */
static inline void rig_release(struct rig *rig, struct held_disk *d, int err)
{
	held_disk_release(d, rig->dev.workers[0], err);
}

#endif
