/* SPDX-License-Identifier: MIT */
/*
 * The mutant: a small vhost-user disk in memory, written for nothing but to be wrong in one way at
 * a time (mutations.h).  Without a mutation it keeps every rule that `ringside conform` knows.  It
 * shares no code with the disk of src/, so that the suite is proved on a device that its authors'
 * device cannot have influenced.
 *
 * One thread, one connection at a time, every request done where it is found.  Guest memory is
 * copied, never pointed into.
 */
#ifndef CONFORMANCE_MUTANT_H
#define CONFORMANCE_MUTANT_H

#include "conformance/mutations.h"

#include "wire/vhost_user.h"
#include "wire/virtio.h"
#include "wire/virtio_blk.h"
#include "wire/vring.h"

#include <stdbool.h>

#define QUEUES	    4
#define DISK	    (8u << 20)
#define REGIONS_MAX 64
#define PARTS_MAX   2048
#define RING_MAX    32768

struct region {
	uint64_t gpa, size, user, offset;
	uint8_t *host;
};

struct part {
	uint64_t addr;
	uint32_t len;
	bool write;
};

/* A request taken from a ring. */
struct chain {
	struct part parts[PARTS_MAX];
	unsigned n;
	uint16_t id;		     /* head, or buffer id */
	uint16_t slots;		     /* packed: ring entries */
	uint32_t readable, writable; /* bytes */
	bool indirect_first;
	uint64_t table;
};

/* One that is done and not yet used, or to be used late. */
struct done {
	uint16_t id, slots;
	uint32_t len;
	bool wrote;
};

struct queue {
	unsigned index;
	uint32_t num;
	uint64_t desc_user, driver_user, device_user, log;
	bool log_used;
	bool addressed;
	int kick, call, old_call;
	bool started, enabled, broken, kicked;
	uint16_t last_avail, last_used; /* split: indexes; packed: slots */
	bool avail_wrap, used_wrap;
	uint16_t signalled; /* used index when the driver was last notified */
	bool signalled_valid;
	unsigned calls, requests; /* counted, for faults that come now and then */
	struct done late[64];	  /* STOP_LATE */
	unsigned n_late;
	uint16_t touch_slot; /* PK_TOUCH */
	bool touch;
};

/* With --zoned: the first zone is conventional. */
#define ZONES	     16u
#define ZONE_SECTORS (DISK / 512 / ZONES)

struct mzone {
	uint64_t wp; /* sectors behind its start */
	uint8_t state;
};

struct mutant {
	enum mutation mutation;
	bool readonly, zoned;
	int fd; /* of the connection */
	uint64_t features, protocol;
	bool features_set;
	uint8_t status;
	struct virtio_blk_config config;
	struct region regions[REGIONS_MAX];
	unsigned n_regions;
	uint8_t *log;
	uint64_t log_size;
	struct queue queues[QUEUES];
	unsigned asked; /* GET_FEATURES so far */
	unsigned ids;
	struct mzone zones[ZONES];
	unsigned appends;
	uint8_t disk[DISK], stable[DISK];
	bool flushed;
};

static inline bool is(const struct mutant *m, enum mutation which)
{
	return m->mutation == which;
}
static inline bool has(const struct mutant *m, unsigned bit)
{
	return m->features >> bit & 1;
}

/* mutant_features.c */
/* Queues that nobody has set up, and what stands on the disk. */
void mutant_init(struct mutant *m);
uint64_t mutant_offers(const struct mutant *m);
uint64_t mutant_protocols(void);
void mutant_config(struct mutant *m);

/* mutant_memory.c: copies; false if any of it is outside memory */
bool guest_read(const struct mutant *m, uint64_t gpa, void *to, uint64_t len);
bool guest_write(struct mutant *m, uint64_t gpa, const void *from, uint64_t len);
/* Ring memory by the front end's address; NULL */
void *guest_at_user(const struct mutant *m, uint64_t user, uint64_t len);
void guest_log(struct mutant *m, uint64_t gpa, uint64_t len);
void guest_forget(struct mutant *m);

/* mutant_ring.c */
void queue_run(struct mutant *m, struct queue *q);
void queue_stopped(struct mutant *m, struct queue *q);
/* Work that a fault put off; true while there is some. */
bool queue_later(struct mutant *m, struct queue *q);

/* mutant_blk.c: does it; how many bytes it says it wrote, or -1: forget it */
int64_t blk_do(struct mutant *m, struct queue *q, struct chain *c);

/* Readable or writable bytes of a chain as one stream; false: outside memory. */
bool chain_bytes(struct mutant *m, const struct chain *c, bool write, uint64_t at, void *bytes,
		 uint64_t len);

/* mutant_zones.c */
void mzones_init(struct mutant *m);
void mzones_config(struct mutant *m);
/* Requests that there are only with zones, when ZONED was accepted; @in: bytes before the status. */
uint8_t mzones_do(struct mutant *m, const struct chain *c, uint32_t type, uint64_t sector,
		  uint32_t in, uint32_t out, uint32_t *wrote);
/* What zones have against a read, and against a write, which moves the pointer. */
uint8_t mzones_read(const struct mutant *m, uint64_t sector, uint32_t len);
uint8_t mzones_write(struct mutant *m, uint64_t sector, uint32_t len);

/* mutant_messages.c: false: the connection ends */
bool message_handle(struct mutant *m);
void connection_reset(struct mutant *m);

#endif
