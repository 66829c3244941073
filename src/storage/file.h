/* SPDX-License-Identifier: MIT */
/*
 * The inside of the file engine: a disk whose bytes are a regular file or a block device.
 *
 *   file.c          the disk: open, size, close
 *   file_probe.c    what the file below can do
 *   file_erase.c    how what is to be gone for good is made so
 *   file_life.c     how worn the medium is
 *   file_look.c     the periodical look; file systems that may not answer
 *   file_lock.c     nobody else writes it
 *   file_io.c       one request as a row of steps: what to do next, and what an outcome means
 *   file_sync.c     one sync at a time, and what a failed one means
 *   file_rmw.c      the steps of a request that is finer than O_DIRECT takes
 *   file_channel.c  one worker's requests in flight
 *   file_uring.c    carries out a step on the reactor's io_uring
 *   file_threads.c  carries out a step on a pool of threads
 *   bounce.c        aligned buffers for O_DIRECT
 *   rmw.c           who writes which blocks
 *
 * Threads: struct file is constant after open but for the fields marked atomic or locked; struct
 * file_channel belongs to its reactor's thread but for the part marked locked.  The state of a
 * request belongs to the channel's thread, and to a pool thread while that carries out a step.
 */
#ifndef STORAGE_FILE_H
#define STORAGE_FILE_H

#include "base/bits.h"
#include "mem/far_copy.h"
#include "storage/bounce.h"
#include "storage/engine.h"
#include "storage/file_sync.h"
#include "storage/rmw.h"

#include <pthread.h>
#include <sys/stat.h>

#define ZERO_ALIGN   4096u /* of the zeroes that are written; more cannot be asked for */
#define FILE_MAX_RUN (UINT64_C(1) << 30) /* longest discard or zeroing in one request */

struct file_pool;
struct file_look;

/* Where the file is that was opened, seen from its path. */
enum file_place {
	FILE_IN_PLACE,
	FILE_DELETED,
	FILE_MOVED,
	FILE_REPLACED,
};

enum file_life_kind {
	FILE_LIFE_EMMC,
	FILE_LIFE_UFS,
};

struct file_state {
	int rc; /* of the size */
	uint64_t size;
	enum file_place place;
};

struct file {
	struct storage base;
	char *path;
	int fd; /* holds the lock                                                   */
	bool direct;
	bool coarse; /* O_DIRECT on blocks above 512 bytes: finer requests are edits */
	bool block_device;
	bool threads;  /* asked for by the user, or its file system may hang  */
	bool instant;  /* reads and writes are copies of memory: they cannot wait for a device */
	bool may_hang; /* its file system may not answer, not even about a lock              */
	/* Control thread. */
	bool look_apart;  /* on a thread of its own                     */
	bool place_apart; /* so is it looked where it is, and only that */
	struct file_look *look;
	enum file_place place;
	uint32_t align;	     /* of offset and length on fd; 1 without O_DIRECT      */
	uint32_t mem_align;  /* of memory on fd; 1 without O_DIRECT                 */
	uint32_t zero_align; /* of offset and length of fallocate                   */
	bool no_zero_range;  /* atomic: the file system said so                     */
	bool said_readonly;  /* atomic                                              */
	bool overwrites;     /* secure erase: by zeroes in the place                */
	bool may_share;	     /* ... and the file system tells of shared blocks      */
	bool said_shared;    /* atomic                                              */
	int life_dir;	     /* -1: the medium's life is not told                   */
	enum file_life_kind life_kind;

	struct rmw rmw;	       /* coarse        */
	struct file_sync sync; /* page cache    */

	pthread_mutex_t lock;	       /* protects what follows */
	struct file_pool *pool;	       /* NULL until somebody needs it                */
	struct file_channel *channels; /* open ones                                 */
};

struct file_channel {
	struct storage_channel base;
	struct file *file;
	struct file_channel *next; /* file->lock                                           */
	bool uring;
	bool fixed;		/* the fds stand in the ring's table, at their own number */
	struct rmw_channel rmw; /* of a coarse file */
	struct bounce_pool bounce;
	struct far_copy copy;	    /* into bounce buffers ... */
	bool copies;		    /* ... once there was one  */
	struct io_fifo need_bounce; /* wait for a buffer                                   */
	struct io_fifo retry;	    /* the kernel took no more, or asked to come again     */
	struct reactor_poller retry_poller;

	pthread_mutex_t lock;	 /* protects what follows; taken after no other lock       */
	struct io_fifo finished; /* steps that the pool has carried out                    */
	struct io_fifo resumed;	 /* requests that waited for their blocks                  */
	bool posted;		 /* @msg, and nobody has looked since                      */
	struct reactor_msg msg;
};

/* ---- file_probe.c ---- */

/* Fills alignments, limits and capabilities of an open file. */
int file_probe(struct file *f, const struct storage_options *o, struct error *err);
/* The file's size as it is now, in bytes; -errno. */
int file_probe_size(int fd, bool block_device, uint64_t *size);

/* ---- file_erase.c ---- */

/* The limits hold in what a device erases, all else is known.  -EOPNOTSUPP: not by what the user
 * asks for. */
int file_erase_probe(struct file *f, const struct storage_options *o, struct error *err);
/* Whether somebody else has blocks of that range, too: 1, 0 or -errno.  May take a while. */
int file_erase_look(int fd, uint64_t offset, uint64_t len);
/* Once. */
void file_erase_say_shared(struct file *f);

/* ---- file_life.c ---- */

/* @st: of the file.  -EOPNOTSUPP: there is none of what the user asks for. */
int file_life_probe(struct file *f, const struct storage_options *o, const struct stat *st,
		    struct error *err);
/* 0 or -errno.  May take a while. */
int file_life_read(int dir, enum file_life_kind kind, struct storage_lifetime *life);

/* ---- file_look.c ---- */

/* The name of a kind of file system that may not answer, by statfs()'s number; else NULL. */
const char *file_hang_kind(uint64_t magic);
/* Notes what the file lies on. */
void file_find_kind(struct file *f);
/* The size, and one line when the path names something else now. -EAGAIN: no news yet. */
int file_look(struct file *f, uint64_t *size);
void file_look_end(struct file *f);
/*
 * Unlocks and closes f->fd.  Nobody holds the lock any more when it returns, but on a file system
 * that may hang: there the lock goes when that answers, on a thread apart.
 */
void file_close_fd(struct file *f);

/* ---- file_lock.c ---- */

/* Takes the image in use, as QEMU does: one writer, or any number of readers. */
int file_lock(int fd, const char *path, bool readonly, struct error *err);
void file_unlock(int fd);

/* ---- file_io.c ---- */

enum file_step_kind {
	FILE_READ,
	FILE_WRITE,
	FILE_FALLOCATE,
	FILE_SYNC,
	/* What no io_uring of a common kernel can do: carried out by a thread of the pool. */
	FILE_BY_THREAD,
	FILE_BLKDISCARD = FILE_BY_THREAD, /* the ioctl */
	FILE_BLKSECDISCARD,		  /* the ioctl */
	FILE_LOOK_SHARED,		  /* file_erase_look() */
	FILE_LIFETIME,			  /* file_life_read(): fd, mode is its kind, buf */
};

/* One thing to ask of the kernel. */
struct file_step {
	enum file_step_kind kind;
	int fd;
	int rw_flags; /* READ, WRITE: RWF_*                                          */
	int mode;     /* FALLOCATE                                                   */
	uint64_t offset, len;
	const struct iovec *iov; /* READ, WRITE: iovcnt of them; or iovcnt is 0: buf and len */
	int iovcnt;
	void *buf;
};

enum file_verdict {
	FILE_DONE,  /* io->result is the outcome                     */
	FILE_MORE,  /* there is a next step                          */
	FILE_AGAIN, /* the same step again, but not right away       */
};

/* storage_io.state */
#define IO_BOUNCE     (UINT32_C(1) << 0) /* by io->bounce                                */
#define IO_PUNCH      (UINT32_C(1) << 1) /* zeroing: by a hole                           */
#define IO_ZERO_RANGE (UINT32_C(1) << 2) /* zeroing: by FALLOC_FL_ZERO_RANGE             */
#define IO_ZERO_WRITE (UINT32_C(1) << 3) /* zeroing: by writing zeroes                   */
#define IO_SYNC	      (UINT32_C(1) << 4) /* all is done but the sync                     */
#define IO_EDGES      (UINT32_C(1) << 5) /* zeroing: what is no whole block is edited    */
#define IO_RMW	      (UINT32_C(1) << 6) /* the steps are those of file_rmw.c            */
#define IO_RMW_TAIL   (UINT32_C(1) << 7) /* the next one reads the last block            */
#define IO_RMW_WRITE  (UINT32_C(1) << 8) /* the next one writes                          */
#define IO_COUNTED    (UINT32_C(1) << 9) /* rmw_leave() is due, as is below              */
#define IO_HELD	      (UINT32_C(1) << 10)
#define IO_EDIT	      (UINT32_C(1) << 11)
#define IO_LEADS      (UINT32_C(1) << 12) /* file_sync_leave() is due                    */
#define IO_LOOK	      (UINT32_C(1) << 13) /* erasing: whether blocks are shared comes first */

/* What a request needs before its first step. */
#define FILE_NEEDS_BOUNCE 1u /* a buffer                                                 */
#define FILE_NEEDS_BLOCKS 2u /* rmw_enter(): it writes to a coarse file                  */
#define FILE_IS_NOTHING	  8u /* it has succeeded                                         */

/* Decides how the request will be done; returns what it needs first. */
unsigned file_io_begin(struct file *f, struct storage_io *io);
/* The next step.  Pure: may be called again for the same step. */
void file_io_step(const struct file *f, const struct storage_io *io, struct file_step *step);
/* Takes in a step's outcome: a count or -errno. */
enum file_verdict file_io_advance(struct file *f, struct storage_io *io, int res);
/* Carries out a step by plain system calls. */
int file_io_run(const struct file_step *step);

/* The edges have been edited; what next? */
enum file_verdict file_io_edges_done(const struct file *f, struct storage_io *io);

/* ---- file_rmw.c ---- */

/* io->op, and for zeroing IO_EDGES and the way of the middle, are set. */
void file_rmw_begin(const struct file *f, struct storage_io *io);
/*
 * Before a step is started: how many of the request's bytes, from io->progress on, it writes, and
 * where they go in the buffer.
 */
size_t file_rmw_fill(const struct file *f, const struct storage_io *io, void **to);
void file_rmw_step(const struct file *f, const struct storage_io *io, struct file_step *step);
enum file_verdict file_rmw_advance(const struct file *f, struct storage_io *io, int res);

/* ---- file_channel.c ---- */

int file_channel_open(struct storage *s, struct reactor *r, struct storage_channel **out,
		      struct error *err);
void file_channel_close(struct storage_channel *ch);
void file_channel_submit(struct storage_channel *ch, struct storage_io *io);
/* A pool thread has carried out a step; the outcome is io->result. */
void file_channel_finished(struct storage_io *io);
/* Its blocks are its own now, or it leads the next sync; any thread. */
void file_channel_resume(struct storage_io *io);
/* A step's outcome arrived, on the channel's thread.  @ch may be gone afterwards. */
void file_channel_outcome(struct file_channel *ch, struct storage_io *io, int res);

/* ---- file_uring.c ---- */

void file_uring_attach(struct file_channel *ch);
void file_uring_detach(struct file_channel *ch);
/* false: the ring is full at present. */
bool file_uring_start(struct file_channel *ch, struct storage_io *io, const struct file_step *step);

/* ---- file_threads.c ---- */

int file_pool_create(struct file_pool **out, struct error *err);
/* Nothing may be queued or running.  NULLs *p. */
void file_pool_destroy(struct file_pool **p);
void file_pool_start(struct file_pool *p, struct storage_io *io);

#endif
