/* SPDX-License-Identifier: MIT */
#include "base/evsignal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Completions that may lie in the kernel's ring before they are taken out. */
#define EVENTS 64

struct evsignal {
	aio_context_t ctx;
	int empty; /* a file of no bytes, to be read from */
	unsigned done;
	bool refused; /* by this kernel, or a filter */
};

static int sys_io_submit(aio_context_t ctx, struct iocb *io)
{
	return syscall(SYS_io_submit, ctx, 1L, &io) == 1 ? 0 : -errno;
}

static void evsignal_take_events(struct evsignal *s)
{
	struct io_event events[EVENTS];
	struct timespec now = {0};

	syscall(SYS_io_getevents, s->ctx, 0L, (long)EVENTS, events, &now);
	s->done = 0;
}

int evsignal_create(struct evsignal **out)
{
	struct evsignal *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	s->empty = memfd_create("ringside-empty", MFD_CLOEXEC);
	if (s->empty < 0) {
		rc = -errno;
		goto free_it;
	}
	*out = s;
	return 0;
free_it:
	free(s);
	return rc;
}

bool evsignal_works(struct evsignal *s)
{
	if (!s->ctx && !s->refused)
		s->refused = syscall(SYS_io_setup, EVENTS, &s->ctx) != 0;
	return !s->refused;
}

void evsignal_destroy(struct evsignal **sp)
{
	struct evsignal *s = *sp;

	if (!s)
		return;
	if (s->ctx)
		syscall(SYS_io_destroy, s->ctx);
	close(s->empty);
	free(s);
	*sp = NULL;
}

int evsignal_send(struct evsignal *s, int fd)
{
	struct iocb io = {
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)s->empty,
		.aio_flags = IOCB_FLAG_RESFD,
		.aio_resfd = (uint32_t)fd,
	};
	int rc;

	/* It is over when the call returns: there was nothing to read. */
	if (++s->done >= EVENTS / 2)
		evsignal_take_events(s);
	rc = sys_io_submit(s->ctx, &io);
	if (rc == -EAGAIN) {
		evsignal_take_events(s);
		rc = sys_io_submit(s->ctx, &io);
	}
	return rc;
}

uint64_t evsignal_take(int fd)
{
	struct pollfd readable = {.fd = fd, .events = POLLIN};
	uint64_t count = 0;
	struct iovec iov = {&count, sizeof(count)};
	ssize_t n = preadv2(fd, &iov, 1, -1, RWF_NOWAIT);

	/* Before Linux 5.8 a look has to do. */
	if (n < 0 && errno == EOPNOTSUPP && poll(&readable, 1, 0) == 1)
		n = read(fd, &count, sizeof(count));
	return n == (ssize_t)sizeof(count) ? count : 0;
}

/* The kernel's own name of the file; no file system is asked for it. */
static int by_name(int fd)
{
	static const char name[] = "anon_inode:[eventfd]";
	char link[40], is[sizeof(name) + 1];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, is, sizeof(is));
	if (n < 0)
		return -errno;
	return n == (ssize_t)sizeof(name) - 1 && !memcmp(is, name, sizeof(name) - 1);
}

/* A request that fails for another reason, but only after the eventfd has been looked at. */
static int by_request(int fd)
{
	struct iocb io = {
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_flags = IOCB_FLAG_RESFD,
		.aio_resfd = (uint32_t)fd,
	};
	aio_context_t ctx = 0;
	int pipes[2], rc;

	if (syscall(SYS_io_setup, 1, &ctx))
		return -errno;
	rc = pipe(pipes) ? -errno : 0;
	if (!rc) {
		io.aio_fildes = (uint32_t)pipes[1]; /* cannot be read from: EBADF */
		rc = sys_io_submit(ctx, &io);
		rc = rc == -EBADF ? 1 : rc == -EINVAL ? 0 : rc ? rc : -EIO;
		close(pipes[0]);
		close(pipes[1]);
	}
	syscall(SYS_io_destroy, ctx);
	return rc;
}

int fd_is_eventfd(int fd)
{
	int rc;

	if (fcntl(fd, F_GETFD) < 0)
		return -errno;
	rc = by_name(fd);
	return rc < 0 ? by_request(fd) : rc;
}
