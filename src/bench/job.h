/* SPDX-License-Identifier: MIT */
/*
 * What is to be done: the words of `ringside bench` as data.  Parsing knows no disk; job_fit()
 * holds the job against one.
 *
 * Threads: written by one, before the run; then read by all.
 */
#ifndef BENCH_JOB_H
#define BENCH_JOB_H

#include "base/error.h"

#include <ringside/driver.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define JOB_SIZES_MAX  16
#define JOB_CPUS_MAX   64
#define JOB_DEPTH_MAX  32768
#define JOB_QUEUES_MAX 1024

enum job_op {
	JOB_READ,
	JOB_WRITE,
	JOB_DISCARD,
	JOB_FLUSH,
	/* Of zones, the last three with no data. */
	JOB_APPEND,
	JOB_RESET,
	JOB_FINISH,
	JOB_REPORT,
	JOB_OPS
};

/* How the zones of a zoned disk are filled. */
enum job_zones {
	JOB_NO_ZONES,
	JOB_ZONE_WRITE, /* at their write pointers */
	JOB_ZONE_APPEND,
};

const char *job_op_name(enum job_op op);

struct job {
	const char *target; /* borrowed from the command line */
	const char *uri;    /* how it is reached, where its name does not tell; borrowed */

	/* What is asked for. */
	bool random;
	enum job_zones zones;
	bool writes;		  /* the job may change the disk: --rw said so         */
	unsigned read_percent;	  /* of all requests but flushes                       */
	unsigned discard_percent; /* of those that change the disk                     */
	uint32_t flush_every;	  /* writes; 0: never                                  */
	uint32_t sizes[JOB_SIZES_MAX];
	unsigned size_count; /* 0: any multiple of sizes[0] up to sizes[1]        */
	uint32_t size_min, size_max, size_unit; /* the unit divides all sizes          */
	uint64_t offset, size; /* size 0: to the end of the disk                    */
	uint64_t zone_bytes;   /* with zones: of one; set by job_fit()              */
	uint64_t seed;

	/* How hard, how long. */
	uint16_t depth;
	uint16_t queues; /* 0: as many as the URI asked for, or one */
	bool poll;
	double rate;  /* requests a second, of all queues; 0: as fast as can be */
	uint64_t ios; /* 0: no limit */
	uint64_t runtime_ns, ramp_ns;
	bool once;	     /* neither ios nor runtime: each byte of the size once */
	uint64_t timeout_ns; /* without any progress                             */

	bool verify;
	bool reconnect;
	uint64_t reconnect_ns;
	unsigned cpus[JOB_CPUS_MAX];
	unsigned cpu_count;
	pid_t backend_pid; /* 0: not known */

	/* How to tell. */
	bool json;
	bool quiet; /* no progress line */
};

/* argv[0] is the command's name.  -EINVAL: a sentence that says what is wrong with the line. */
int job_parse(struct job *job, int argc, char **argv, struct error *err);

/**
 * job_fit() - hold the job against the disk
 *
 * Fills in size, queues and the number of requests.
 *
 * Return: 0; -EROFS, -ENOTSUP, -ERANGE, -EINVAL and a sentence.
 */
int job_fit(struct job *job, const struct ringside_info *info, struct error *err);

/* The part of the disk that is queue @index's own, and the number of its requests. */
void job_share(const struct job *job, unsigned index, uint64_t *begin, uint64_t *end,
	       uint64_t *ios);

#endif
