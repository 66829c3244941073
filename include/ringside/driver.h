/* SPDX-License-Identifier: MIT */
/*
 * Ringside's virtio-blk driver: a disk behind a ring, driven from user space.  See
 * ringside-driver(3).
 *
 * Life: ringside_open() -> memory -> ringside_start() -> requests -> ringside_stop() ->
 * ringside_close().
 *
 * Invariants: submitting cannot fail; every request is completed exactly once, by its done
 * callback, from inside ringside_poll(), ringside_wait(), ringside_queue_reset(), ringside_stop()
 * or ringside_close() and never from inside the call that submitted it.  The device is not
 * believed: it can fail requests, it cannot make the driver touch memory that is not its own.
 *
 * Threads: one thread at a time owns a queue; different queues do not share anything that is
 * written on the way of a request.  Calls that take a disk belong to one thread, the disk's;
 * ringside_start(), _stop(), _reconnect() and _close() only while no other thread is in a call on
 * one of its queues.
 *
 * fork(): the child shares rings, connection and the memory of ringside_mem_alloc() with its parent;
 * it calls no function on a disk of the parent's, not even ringside_close().  All descriptors are
 * close-on-exec.
 *
 * Functions return 0 (or a documented count) or -errno.
 */
#ifndef RINGSIDE_DRIVER_H
#define RINGSIDE_DRIVER_H

#include <ringside/export.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ringside_disk;
struct ringside_queue;
struct ringside_request;

/* All zero is the default for everything; the reserve must stay zero. */
struct ringside_options {
	uint16_t queues;	/* 0: one                                                       */
	uint16_t queue_size;	/* entries; 0: 256; rounded down to what device and layout take */
	uint32_t timeout_ms;	/* for each answer of the back end; 0: 10000                    */
	uint64_t features_off;	/* bits never to accept                                         */
	uint64_t features_on;	/* bits to accept although the default is not to (IN_ORDER ...) */
	uint64_t features_must; /* bits without which opening fails                             */
	bool zoned;		/* the caller can handle zoned disks of every model             */
	bool no_mem_slots;	/* vhost-user: whole memory tables even where single regions go */
	bool any_platform;	/* pci: also a device that does not offer ACCESS_PLATFORM       */
	bool dma_messages; /* vfio-user: the server gets no fds of memory, it asks by messages */
	uint8_t reserved0[4];
	uint64_t reserved[10];
};

/* What the device told, limits made sane. */
struct ringside_info {
	uint64_t features; /* as negotiated                                           */
	uint64_t offered;
	uint64_t capacity; /* bytes; changes only inside ringside_process()           */
	uint32_t block_size;
	uint32_t physical_block_size;
	uint32_t min_io_size, optimal_io_size; /* bytes; 0: not told                  */
	uint32_t max_segments;		       /* buffers of one request                          */
	uint32_t max_segment_bytes;	       /* of one buffer                                   */
	uint16_t queues, queue_size;
	bool readonly;
	bool writeback; /* a completed write needs a flush to be durable           */
	bool write_zeroes_may_unmap;
	uint8_t zone_model; /* 0 none, 1 host-managed, 2 host-aware                    */
	uint32_t max_discard_sectors, max_discard_ranges, discard_alignment;
	uint32_t max_write_zeroes_sectors, max_write_zeroes_ranges;
	uint32_t max_secure_erase_sectors, max_secure_erase_ranges, secure_erase_alignment;
	/*
	 * Of a zoned disk. max_open_zones, max_active_zones 0: no limit; max_append_sectors 0: no
	 * appends; write_granularity in bytes.
	 */
	uint32_t zone_sectors, max_open_zones, max_active_zones, max_append_sectors,
		write_granularity;
	uint64_t reserved[8];
};

/*
 * Opens a disk.  @uri: "vhost-user:PATH", "vfio-user:PATH", or "pci:ADDRESS" (0000:00:04.0), a PCI device bound to
 * vfio-pci; with options behind a question mark: queues=N, queue-size=N, packed=, indirect=,
 * event-idx=, in-order=, mem-slots=, zoned=, access-platform=, dma-messages= (on or off) and timeout-ms=N; they go
 * before those of @options.  @options and @err may be NULL.
 *
 * Features are negotiated and the configuration is read when it returns.  -EINVAL: the URI cannot be
 * understood; -EPROTO: the device says what cannot be of itself.  A vhost-user back end that knows
 * no virtio 1 is driven, too, with what there was before it.
 */
RINGSIDE_API int ringside_open(const char *uri, const struct ringside_options *options,
			       struct ringside_disk **disk, struct ringside_error *err);
/* The same over a connected vhost-user socket, which becomes the disk's (it is closed on failure
 * too). */
RINGSIDE_API int ringside_open_fd(int socket, const struct ringside_options *options,
				  struct ringside_disk **disk, struct ringside_error *err);
/* Stops if need be and takes everything down; *@disk becomes NULL. */
RINGSIDE_API void ringside_close(struct ringside_disk **disk);

RINGSIDE_API void ringside_get_info(const struct ringside_disk *disk, struct ringside_info *info);

/*
 * Memory for buffers: only what was allocated or registered here can be used in requests.  Where
 * the back end knows no single regions (vhost-user without memory slots) all of it has to be there
 * before ringside_start(): -EBUSY afterwards.  There are at most 64 pieces, one of them the rings';
 * a back end may take fewer (8 without memory slots): -ENOSPC.
 */
RINGSIDE_API int ringside_mem_alloc(struct ringside_disk *disk, size_t size, void **memory,
				    struct ringside_error *err);
/*
 * @memory is a shared mapping of @fd at @offset; all three page-aligned. The fd is not kept.  -ERANGE:
 * the file ends before the memory does (it must not be made shorter afterwards either).
 */
RINGSIDE_API int ringside_mem_register(struct ringside_disk *disk, void *memory, size_t size,
				       int fd, uint64_t offset, struct ringside_error *err);
/* Frees or unregisters; no request may use it any more. */
RINGSIDE_API int ringside_mem_remove(struct ringside_disk *disk, void *memory);

/* Sets the queues up and lets the device run. After ringside_stop() it negotiates anew first. */
RINGSIDE_API int ringside_start(struct ringside_disk *disk, struct ringside_error *err);
/*
 * Resets the device, then completes whatever is outstanding with -ECANCELED.  Where the device
 * cannot be reset (-ETIMEDOUT, -ENOTCONN) the connection is closed instead and the requests are
 * completed all the same.
 */
RINGSIDE_API int ringside_stop(struct ringside_disk *disk, struct ringside_error *err);
/*
 * After the back end went away: connects again and puts every outstanding request into the new
 * rings (a write may so be done twice; a zone append that the device had seen, which must not, is
 * completed with -EIO).  A disk that was not started stays so.
 */
RINGSIDE_API int ringside_reconnect(struct ringside_disk *disk, struct ringside_error *err);

/* Readable when ringside_process() has something to do; -1: never. */
RINGSIDE_API int ringside_event_fd(const struct ringside_disk *disk);
#define RINGSIDE_EVENT_CONFIG	   1 /* the configuration was read again                       */
#define RINGSIDE_EVENT_NEEDS_RESET 2 /* the device wants to be reset: stop and start           */
#define RINGSIDE_EVENT_GONE	   4 /* no back end any more: reconnect, or stop               */
/* Return: events, or -errno. */
RINGSIDE_API int ringside_process(struct ringside_disk *disk);
/* With CONFIG_WCE: switches the write cache. Off makes nothing durable that was written before:
 * flush. */
RINGSIDE_API int ringside_set_writeback(struct ringside_disk *disk, bool on);

/* NULL: no such queue. Queues live as long as the disk. */
RINGSIDE_API struct ringside_queue *ringside_queue(struct ringside_disk *disk, unsigned index);

/* ---- requests ---- */

typedef void ringside_done_fn(struct ringside_request *req);

#define RINGSIDE_STATUS_NONE 0xff /* the device gave no status                              */

/*
 * A request belongs to the caller, who sets done and opaque; the rest is set by the calls below.
 * From submission to completion it and its buffers must not be touched.
 */
struct ringside_request {
	ringside_done_fn *done;
	void *opaque;
	/* The outcome. */
	int result;	   /* 0 or -errno                                                 */
	uint32_t used_len; /* bytes that the device says it wrote, its status among them  */
	uint8_t status;	   /* of the device, as it stands there                           */
	/* Private. */
	uint8_t kind;
	uint16_t slot;
	uint32_t type;
	uint64_t sector;
	const struct iovec *iov;
	uint32_t readable, writable;
	struct iovec one;
	void *out;
	struct ringside_request *next;
	unsigned *count;
	uint64_t reserved[1];
};

/*
 * Offsets and lengths are bytes, multiples of 512.  What is out of bounds, has too many or too
 * large buffers or buffers outside registered memory is completed with -EINVAL (-EFAULT for the
 * memory), what the device does not offer with -ENOTSUP, a write to a read-only disk with -EROFS.
 * Arrays of buffers and of ranges must live until completion.  Nothing is split.
 *
 * What a device answers: IOERR, and what no standard knows, is -EIO, UNSUPP -ENOTSUP; of zoned disks
 * ZONE_INVALID_CMD is -EBADRQC, ZONE_UNALIGNED_WP (a write that is not at the write pointer, or not
 * a multiple of write_granularity) -ESPIPE, ZONE_OPEN_RESOURCE -ETOOMANYREFS, ZONE_ACTIVE_RESOURCE
 * -EOVERFLOW.
 */
RINGSIDE_API void ringside_read(struct ringside_queue *q, struct ringside_request *req,
				uint64_t offset, void *buf, size_t len);
RINGSIDE_API void ringside_write(struct ringside_queue *q, struct ringside_request *req,
				 uint64_t offset, const void *buf, size_t len);
RINGSIDE_API void ringside_readv(struct ringside_queue *q, struct ringside_request *req,
				 uint64_t offset, const struct iovec *iov, unsigned n);
RINGSIDE_API void ringside_writev(struct ringside_queue *q, struct ringside_request *req,
				  uint64_t offset, const struct iovec *iov, unsigned n);
/* Completed at once with 0 where writes are durable without. */
RINGSIDE_API void ringside_flush(struct ringside_queue *q, struct ringside_request *req);

struct ringside_range {
	uint64_t sector; /* of 512 bytes */
	uint32_t sectors;
};
#define RINGSIDE_RANGES_MAX 16
/* At most RINGSIDE_RANGES_MAX ranges, and not more than the device takes. */
RINGSIDE_API void ringside_discard(struct ringside_queue *q, struct ringside_request *req,
				   const struct ringside_range *ranges, unsigned n);
RINGSIDE_API void ringside_write_zeroes(struct ringside_queue *q, struct ringside_request *req,
					const struct ringside_range *ranges, unsigned n,
					bool unmap);
RINGSIDE_API void ringside_secure_erase(struct ringside_queue *q, struct ringside_request *req,
					const struct ringside_range *ranges, unsigned n);
/* 20 characters and a NUL. */
RINGSIDE_API void ringside_get_id(struct ringside_queue *q, struct ringside_request *req,
				  char id[21]);
struct ringside_lifetime {
	uint16_t pre_eol_info, typ_a, typ_b;
};
RINGSIDE_API void ringside_get_lifetime(struct ringside_queue *q, struct ringside_request *req,
					struct ringside_lifetime *lifetime);

/* ---- zones (virtio 1.4, 5.2.6): for disks whose zone_model is not 0, else -ENOTSUP ---- */

/* Of a zone; other numbers are the device's own. */
#define RINGSIDE_ZONE_CONVENTIONAL  1 /* written anywhere                                 */
#define RINGSIDE_ZONE_SEQUENTIAL    2 /* written at its write pointer only                 */
#define RINGSIDE_ZONE_PREFERRED	    3 /* better written there                              */

#define RINGSIDE_ZONE_NOT_WP	    0 /* conventional                                     */
#define RINGSIDE_ZONE_EMPTY	    1
#define RINGSIDE_ZONE_IMPLICIT_OPEN 2 /* by a write or an append                          */
#define RINGSIDE_ZONE_EXPLICIT_OPEN 3 /* by ringside_zone_open()                          */
#define RINGSIDE_ZONE_CLOSED	    4
#define RINGSIDE_ZONE_READ_ONLY	    13
#define RINGSIDE_ZONE_FULL	    14
#define RINGSIDE_ZONE_OFFLINE	    15

#define RINGSIDE_ZONE_NO_POINTER    UINT64_MAX

/* Bytes, all of them. */
struct ringside_zone {
	uint64_t start;
	uint64_t size;	   /* to the next zone                                            */
	uint64_t capacity; /* of it can be written                                        */
	/* RINGSIDE_ZONE_NO_POINTER: there is none in this state. */
	uint64_t write_pointer;
	uint8_t type, state;
	uint8_t reserved0[6];
	uint64_t reserved[3];
};

/**
 * ringside_zone_report() - what the zones are like, from the one that holds @offset on
 * @zones: any memory; filled when the request is completed with 0
 * @n:     how many there is room for; then, how many were filled: 1 or more
 *
 * Both must live until completion.  No request brings more than RINGSIDE_ZONES_MAX zones, and some
 * devices bring fewer: the next one begins where the last zone ends.  -EPROTO: what the device says
 * of its zones cannot be.
 */
#define RINGSIDE_ZONES_MAX 63
RINGSIDE_API void ringside_zone_report(struct ringside_queue *q, struct ringside_request *req,
				       uint64_t offset, struct ringside_zone *zones, unsigned *n);

/* @offset: where the zone begins. */
RINGSIDE_API void ringside_zone_open(struct ringside_queue *q, struct ringside_request *req,
				     uint64_t offset);
RINGSIDE_API void ringside_zone_close(struct ringside_queue *q, struct ringside_request *req,
				      uint64_t offset);
RINGSIDE_API void ringside_zone_finish(struct ringside_queue *q, struct ringside_request *req,
				       uint64_t offset);
RINGSIDE_API void ringside_zone_reset(struct ringside_queue *q, struct ringside_request *req,
				      uint64_t offset);
RINGSIDE_API void ringside_zone_reset_all(struct ringside_queue *q, struct ringside_request *req);

/**
 * ringside_zone_append() - write at the write pointer, wherever it is when the device comes to it
 * @zone:  where the zone begins
 * @place: where the data came to lie, in bytes; set when the request is completed with 0; or NULL
 *
 * The length is a multiple of write_granularity, at most max_append_sectors and in one buffer less
 * than the ring has entries for.  Never sent twice: see ringside_reconnect().  -EPROTO: the place
 * that the device tells is not in the zone.
 */
RINGSIDE_API void ringside_zone_append(struct ringside_queue *q, struct ringside_request *req,
				       uint64_t zone, const void *buf, size_t len, uint64_t *place);
RINGSIDE_API void ringside_zone_appendv(struct ringside_queue *q, struct ringside_request *req,
					uint64_t zone, const struct iovec *iov, unsigned n,
					uint64_t *place);

/*
 * Any type with any sector and data: first @readable buffers that the device reads, then @writable
 * ones that it writes.  Header and status are added; nothing is checked but that the chain fits the
 * ring and lies in registered memory.
 */
RINGSIDE_API void ringside_raw(struct ringside_queue *q, struct ringside_request *req,
			       uint32_t type, uint64_t sector, const struct iovec *iov,
			       unsigned readable, unsigned writable);
/* The chain as it is: header and status are among the buffers, the result is 0 once it is used, and
 * memory is not looked at.  For those who test devices. */
RINGSIDE_API void ringside_chain(struct ringside_queue *q, struct ringside_request *req,
				 const struct iovec *iov, unsigned readable, unsigned writable);

/* Shows what was submitted to the device, and kicks it if it wants that. A device that is awake may
 * have seen a part of it before. */
RINGSIDE_API void ringside_commit(struct ringside_queue *q);

/**
 * ringside_poll() - complete what is done
 * @max: requests at most; 0: all there are
 *
 * Requests that had to wait for room, and those that callbacks submit, are committed before it
 * returns.
 *
 * Return: requests completed; or, when there were none: -EPROTO - the device broke the rules of the
 * ring; -ENODEV - it is gone, stopped or wants to be reset. Then nothing more comes before
 * ringside_stop() or ringside_reconnect(). -EBUSY - called from a callback.
 */
RINGSIDE_API int ringside_poll(struct ringside_queue *q, unsigned max);
/* Sleeps until something is completed; 0: the time was over. @timeout_ms negative: no limit. */
RINGSIDE_API int ringside_wait(struct ringside_queue *q, int timeout_ms);

/*
 * For an event loop of one's own: ringside_arm(); false: sleep on the fd; true: something is done
 * already, poll first. After the fd was readable: ringside_disarm(), ringside_poll().
 */
RINGSIDE_API int ringside_queue_fd(const struct ringside_queue *q);
RINGSIDE_API bool ringside_arm(struct ringside_queue *q);
RINGSIDE_API void ringside_disarm(struct ringside_queue *q);

/* Takes the queue back from the device (RING_RESET), completes what is outstanding with -ECANCELED
 * and sets the queue up again.  A call on the disk, too. */
RINGSIDE_API int ringside_queue_reset(struct ringside_queue *q);

struct ringside_stats {
	uint64_t submitted, completed, kicks, calls;
	uint64_t reserved[4];
};
RINGSIDE_API void ringside_get_stats(struct ringside_queue *q, struct ringside_stats *stats);
/* Submitted and not completed. */
RINGSIDE_API unsigned ringside_pending(const struct ringside_queue *q);
/* Why the queue is broken, in a few words; NULL while it is not. */
RINGSIDE_API const char *ringside_why(const struct ringside_queue *q);

#ifdef __cplusplus
}
#endif

#endif
