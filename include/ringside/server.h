/* SPDX-License-Identifier: MIT */
/*
 * Ringside's disk server, inside your own program: virtio-blk disks over vhost-user.
 *
 * Life: ringside_server_create() -> ringside_server_add() ... -> your loop waits for
 * ringside_server_fd() and calls ringside_server_process() -> ringside_server_stop() -> process
 * until it says 1 -> ringside_server_destroy().
 *
 * Requests are served by worker threads of the library's own; connections, sizes and everything
 * else happen inside ringside_server_process(), which never waits.  No signal disposition is
 * changed and nothing is printed: what there is to say goes to your log callback, if you give one.
 * Ignore SIGPIPE and SIGXFSZ in your program, since a peer that leaves and a file that may not grow
 * raise them.
 *
 * Each queue that is served takes two or three descriptors.  The limit of open files is the
 * process's and left alone: raise it yourself (RLIMIT_NOFILE).
 *
 * fork(): the child has no worker threads and shares what the parent serves.  It calls no function
 * on a server of its parent's, not even ringside_server_destroy(), and soon calls execve() or
 * _exit(): until then sockets stay open and images stay locked, even when the parent has ended.
 * All descriptors are close-on-exec.
 *
 * Threads: all calls on one thread.  Functions return 0 or -errno where nothing else is said.
 */
#ifndef RINGSIDE_SERVER_H
#define RINGSIDE_SERVER_H

#include <ringside/export.h>

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ringside_server;

enum ringside_log_level {
	RINGSIDE_LOG_ERROR,
	RINGSIDE_LOG_WARNING,
	RINGSIDE_LOG_INFO,
};

/* A line of the log, without a newline; on any thread, at any time. */
typedef void ringside_log_fn(void *opaque, enum ringside_log_level level, const char *line);

/* All zero is the default for everything; the reserve must stay zero. */
struct ringside_server_options {
	uint32_t workers; /* threads that share all queues; 0: one       */
	uint32_t
		poll_us; /* longest time to look for requests before sleeping; UINT32_MAX: never sleep */
	/*
	 * NULL: silence.  The log is the process's: the server that was created last decides for
	 * all, until it is destroyed.
	 */
	ringside_log_fn *log;
	void *log_opaque;
	/* 0: a front end's memory is a memfd or a file of tmpfs or hugetlbfs; 1: any file, though it
	 * may make a worker wait. */
	uint32_t any_memory;
	uint32_t reserved0;
	uint64_t reserved[5];
};

/* @options and @err may be NULL.  -EINVAL: the reserve is not zero, or a value means nothing. */
RINGSIDE_API int ringside_server_create(const struct ringside_server_options *options,
					struct ringside_server **server,
					struct ringside_error *err);

/*
 * Offers a disk on a socket.  @disk is what `ringside serve --disk` takes:
 * "file=vm.raw,readonly=on,queues=2".  -EADDRINUSE: a live server has that socket.
 */
RINGSIDE_API int ringside_server_add(struct ringside_server *server, const char *socket_path,
				     const char *disk, struct ringside_error *err);
/* The same on a socket that is open, listening or connected; it becomes the server's on success. */
RINGSIDE_API int ringside_server_add_fd(struct ringside_server *server, int fd, const char *disk,
					struct ringside_error *err);

/* Readable when there is something to process. */
RINGSIDE_API int ringside_server_fd(const struct ringside_server *server);
/* Milliseconds until ringside_server_process() wants to be called even so; -1: not by itself. */
RINGSIDE_API int ringside_server_timeout_ms(const struct ringside_server *server);
/* Return: 0 - go on; 1 - stopped: nothing is in flight and no socket is left. */
RINGSIDE_API int ringside_server_process(struct ringside_server *server);

/*
 * Takes no new front end, completes what is in flight; ringside_server_process() tells when that is
 * done.
 */
RINGSIDE_API void ringside_server_stop(struct ringside_server *server);
/* Before the first front end could come, or after process said 1.  *@server becomes NULL. */
RINGSIDE_API void ringside_server_destroy(struct ringside_server **server);

/*
 * Memory that a front end takes away by shortening its file raises SIGBUS on a worker.  This
 * installs a handler that makes the disk's queues stop instead of the process; for programs that
 * have no handler of their own.
 */
RINGSIDE_API int ringside_server_guard_memory(struct ringside_error *err);

#ifdef __cplusplus
}
#endif

#endif
