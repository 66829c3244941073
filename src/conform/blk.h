/* SPDX-License-Identifier: MIT */
/*
 * Block requests on a ring: their three parts in shared memory, the chain, the verdict.  The status
 * byte starts as BLK_NO_STATUS, so that a status that was never written shows.
 */
#ifndef CONFORM_BLK_H
#define CONFORM_BLK_H

#include "conform/trial.h"

#define BLK_NO_STATUS 0xee

struct req {
	uint32_t type;
	uint64_t sector;
	uint64_t header, data, status; /* guest addresses */
	uint32_t len;		       /* of data */
	bool in;		       /* the device writes the data */
	uint16_t id;		       /* once added */
	struct used used;	       /* once done */
};

/* Memory for a request of that kind; the direction of the data follows from the type. */
struct req req_make(struct trial *t, uint32_t type, uint64_t sector, uint32_t len);
void req_header(struct trial *t, const struct req *q);
/* Its plain chain: header, data if any, status.  Returns how many. */
unsigned req_segs(const struct req *q, struct seg segs[3]);
void req_add(struct ring *r, struct req *q);
/* The status byte once used; the case fails if the entry is not this request's. */
uint8_t req_finish(struct ring *r, struct req *q);
/* Add, publish, kick, finish. */
uint8_t req_run(struct ring *r, struct req *q);
/* The same with a chain of the caller's own. */
uint8_t req_run_segs(struct ring *r, struct req *q, const struct seg *segs, unsigned n);
/* ... and it has to be OK. */
void req_ok(struct ring *r, struct req *q);

/* One-call requests, which have to be OK. @gpa: where the data is. */
struct req blk_read(struct ring *r, uint64_t sector, uint32_t len);
/* Its memory is used again by the next request. */
void blk_read_and_forget(struct ring *r);
/* So many reads in one batch, every third of another length; not waited for. */
void blk_read_at_once(struct ring *r, struct req *q, unsigned n, uint32_t len, uint32_t third);
void blk_write(struct ring *r, uint64_t sector, uint8_t value, uint32_t len);
/* The case fails unless these sectors hold that byte. */
void blk_expect(struct ring *r, uint64_t sector, uint8_t value, uint32_t len, const char *expected);
/* One range for DISCARD, WRITE_ZEROES, SECURE_ERASE. */
struct req range_make(struct trial *t, uint32_t type, uint64_t sector, uint32_t n, uint32_t flags);
void range_set(struct trial *t, const struct req *q, unsigned i, uint64_t sector, uint32_t n,
	       uint32_t flags);

const char *status_name(uint8_t status);
void expect_status(struct trial *t, uint8_t got, uint8_t wanted);
/* For requests that have to fail: anything but OK. */
void expect_not_ok(struct trial *t, uint8_t got);

/* Sectors of the disk; skips where they cannot be known. */
uint64_t capacity(struct trial *t);
/* Written at write pointers only, as far as the configuration tells. */
bool host_managed(const struct trial *t);
/* First sector of the part that may be written, at least @sectors long; skips a read-only disk. */
uint64_t scratch(struct trial *t, uint64_t sectors);

#endif
