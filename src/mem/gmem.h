/* SPDX-License-Identifier: MIT */
/*
 * Guest memory: the only code that turns a guest address into a pointer.
 *
 * A map (struct gmem) is an immutable set of regions, each a piece of guest-physical address space
 * mapped into this process.  It is built once, shared by reference between the control thread and
 * the workers, and replaced as a whole: the regions' mappings live until the last map that holds
 * them is let go.
 *
 * A region may be remote: the front end has named it, and does not let it be mapped.  It is in the map,
 * so that who asks learns what is there, but it is no memory of this process's: look-ups say -EREMOTE,
 * and the bytes are moved by whoever stands behind the map (mem/remote.h).
 *
 * Invariants: regions are sorted by guest address and do not overlap; no region wraps; a slice is
 * all of (address, length) or nothing; what a region may not be used for is not there for whoever
 * asks to use it so. Threads: a map may be read by any thread; get/put are atomic.
 */
#ifndef MEM_GMEM_H
#define MEM_GMEM_H

#include "base/atomic.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/list.h"
#include "mem/log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* A guest-physical address: a type that cannot be dereferenced. */
typedef struct {
	uint64_t v;
} gpa_t;

static inline gpa_t gpa(uint64_t v)
{
	return (gpa_t){v};
}

/* The most regions a map can hold (vhost-user: GET_MAX_MEM_SLOTS). */
#define GMEM_REGIONS_MAX 509

struct gmem_mapping; /* one mmap, counted */
struct gmem_remote;

/* What a device may do with memory. */
#define GMEM_READ  1u
#define GMEM_WRITE 2u
#define GMEM_BOTH  (GMEM_READ | GMEM_WRITE)

struct gmem_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t user; /* where the front end itself has it mapped (vhost-user user address) */
	uint8_t *host;
	uint32_t access; /* GMEM_READ, GMEM_WRITE; 0: it is remote */
	uint32_t remote; /* of a remote one, what it may be used for: no look-up asks twice */
	struct gmem_mapping *mapping;
};

struct gmem {
	uint32_t refs;
	uint32_t n;
	bool lost;	      /* atomic: see gmem_lost(); on the line that a look-up reads */
	struct gmem_log *log; /* of what devices write; NULL: nobody wants to know */
	struct gmem_lineage *lineage; /* of maps that may share mappings */
	struct list link;	      /* on lineage->maps */
	struct gmem_remote *remote;   /* moves bytes of remote regions; NULL: there are none */
	struct gmem_region regions[]; /* sorted by gpa */
};

/* Where a lookup last hit; owned by one queue, so that most lookups cost one comparison.  Zeroed is
 * ready. */
struct gmem_hint {
	uint32_t region;
};

/* ---- building maps (control thread) ---- */

/* An empty map, one reference. NULL when out of memory. */
struct gmem *gmem_new(void);

/**
 * gmem_with_fd() - a new map: @mem and one more region, mapped from a file
 * @mem:    may be NULL (empty); not changed
 * @gpa:    first guest address; @size bytes must not wrap, be zero or overlap a region (-EEXIST)
 * @user:   the front end's own address of it (0 if unused)
 * @fd:     of memory (memfd, shm, hugetlbfs file); stays the caller's; refused when shorter than
 * @offset + @size
 * @offset: into the file; need not be page-aligned
 *
 * Return: 0 and the new map in *@out with one reference, or -errno.
 */
int gmem_with_fd(const struct gmem *mem, uint64_t gpa, uint64_t size, uint64_t user, int fd,
		 uint64_t offset, struct gmem **out, struct error *err);

/* The same for a region that may be used for @access only; the file need not allow more. */
int gmem_with_fd_for(const struct gmem *mem, uint32_t access, uint64_t gpa, uint64_t size, int fd,
		     uint64_t offset, struct gmem **out, struct error *err);

/*
 * Whether @fd is memory of the kernel's own: a memfd, a file of tmpfs or hugetlbfs.  Of others a
 * mere look (fstat), and any touch later, may wait for whoever stands behind their file system.
 * This question itself never waits: only those files have seals.
 */
bool gmem_fd_is_memory(int fd);

/* The same for memory that the caller owns and keeps until the map is gone (our own PC, tests). */
int gmem_with_host(const struct gmem *mem, uint64_t gpa, uint64_t size, uint64_t user, void *host,
		   struct gmem **out, struct error *err);

/*
 * A new map: @mem and memory that is reached by @remote only, which outlives every use of the map.
 * One map's remote regions are all of one @remote.
 */
int gmem_with_remote(const struct gmem *mem, uint32_t access, uint64_t gpa, uint64_t size,
		     struct gmem_remote *remote, struct gmem **out, struct error *err);

/* A new map without the region that has exactly this gpa, user address and size; -ENOENT. */
int gmem_without(const struct gmem *mem, uint64_t gpa, uint64_t size, uint64_t user,
		 struct gmem **out);

/*
 * A new map: the same memory, and what is written there stands in @log (a reference is taken); NULL:
 * nowhere.  Maps that are made of it have the log, too.  -ENOMEM, -ENOSPC.
 */
int gmem_with_log(const struct gmem *mem, struct gmem_log *log, struct gmem **out);

struct gmem *gmem_get(struct gmem *mem);
/* Lets go of one reference; NULL is allowed. */
void gmem_put(struct gmem *mem);

/* ---- looking up (any thread) ---- */

/*
 * Guest range as host memory, to be read and written, when it lies in one region; NULL otherwise,
 * and for @len 0.
 */
void *gmem_at(const struct gmem *mem, struct gmem_hint *hint, gpa_t at, uint64_t len);
/* To be read, or to be written, only. */
void *gmem_at_write(const struct gmem *mem, struct gmem_hint *hint, gpa_t at, uint64_t len);
const void *gmem_at_read(const struct gmem *mem, struct gmem_hint *hint, gpa_t at, uint64_t len);

/**
 * gmem_slices() - guest range as host memory, also across regions that touch
 * @write: the caller will write there, and not read
 * @iov:   room for @max slices
 *
 * Return: the number of slices; -EFAULT when any byte lies outside memory, -EACCES when
 * one lies in memory that may not be used so, -EREMOTE when one may, but is remote, -E2BIG when @max is too small.  A length of 0 gives 0 slices, wherever it points.
 */
int gmem_slices(const struct gmem *mem, struct gmem_hint *hint, gpa_t at, uint64_t len, bool write,
		struct iovec *iov, int max);

/*
 * What of a range lies in the region that its first byte is in, remote ones included: how many bytes,
 * *host, and there NULL for remote; -EFAULT; -EACCES.  @len is not 0.
 */
int64_t gmem_piece(const struct gmem *mem, struct gmem_hint *hint, gpa_t at, uint64_t len,
		   bool write, uint8_t **host);
/* Whether all of the range may be used so, mapped or remote: 0, -EFAULT, -EACCES. */
int gmem_check(const struct gmem *mem, struct gmem_hint *hint, gpa_t at, uint64_t len, bool write);

/* A region that nothing lies in. */
extern const struct gmem_region gmem_nowhere;

/*
 * The region that was hit last, for gmem_hit(), if look-ups there have nothing to do but to look: it
 * may be read and written, and no log runs.  Else gmem_nowhere.
 */
const struct gmem_region *gmem_near(const struct gmem *mem, const struct gmem_hint *hint);

/*
 * The common case of gmem_slices(), without a call: whether the range is one slice in @near, which
 * gmem_near() returned.  false says nothing, and is the answer for @len 0: ask gmem_slices().
 */
static inline bool gmem_hit(const struct gmem_region *near, gpa_t at, uint32_t len,
			    struct iovec *slice)
{
	uint64_t offset = at.v - near->gpa; /* in front of the region: more than any size */

	/* A length of 0 becomes the greatest. */
	if (unlikely(offset >= near->size || (uint64_t)len - 1 >= near->size - offset))
		return false;
	slice->iov_base = near->host + offset;
	slice->iov_len = len;
	return true;
}

/* The guest address of a front end's own address (vhost-user ring addresses), when all @len bytes
 * lie in one region; -EFAULT. */
int gmem_from_user(const struct gmem *mem, uint64_t user, uint64_t len, gpa_t *out);

/*
 * Guest bytes *were* written: stands in the log, if there is one.  Not before they were: whoever
 * moves the guest takes the mark, copies the page, and what is written then is lost.  Hence a
 * look-up marks nothing, and the ring does it when a chain is given back (vring/device_log.c).
 */
static inline void gmem_wrote(const struct gmem *mem, gpa_t at, uint64_t len)
{
	if (unlikely(mem->log))
		gmem_log_mark(mem->log, at.v, len);
}

/* ---- memory that goes away under us (a file made shorter: SIGBUS) ---- */

/*
 * From enter to leave this thread touches @mem, which must stay as long: a SIGBUS in one of its
 * mappings marks every map that holds the mapping as lost, puts one page of zeroes there and goes
 * on.  Any other SIGBUS ends the process as ever.  The guard is the caller's memory; enter and leave
 * on the same thread.
 */
struct gmem_guard {
	struct gmem *mem;
	struct gmem_guard *next;
};
void gmem_guard_enter(struct gmem_guard *guard, struct gmem *mem);
void gmem_guard_leave(struct gmem_guard *guard);
/*
 * Whether a page of this map had to be replaced, by whatever thread: what was read from the map may
 * be zeroes that nobody wrote, and what was written may have gone nowhere.  The mark is set before
 * the page is there, so who asks *after* touching memory and is told false has touched the guest's
 * own.  Hence the rule: nothing that was prepared from guest memory is submitted, and no success is
 * told, before this was asked.
 */
static inline bool gmem_lost(const struct gmem *mem)
{
	barrier_acquire();
	return unlikely(read_once(&mem->lost));
}
/* Installs the SIGBUS handler; once per process, by main. */
int gmem_guard_install(struct error *err);

#endif
