/* SPDX-License-Identifier: MIT */
#include "frontend/virtio/os.h"

#include "base/clock.h"
#include "base/evsignal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- memory ---- */

void *os_alloc(size_t size, size_t align)
{
	void *memory;

	if (posix_memalign(&memory, align < sizeof(void *) ? sizeof(void *) : align, size))
		return NULL;
	return memset(memory, 0, size);
}

void os_free(void *memory)
{
	free(memory);
}

size_t os_page(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

int os_shared_alloc(struct dma_region *r, size_t size, struct error *err)
{
	int rc;

	*r = (struct dma_region){.size = size};
	r->fd = memfd_create("ringside", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (r->fd < 0)
		return error_set(err, -errno, "cannot make shared memory");
	/* Sealed, so that the other side cannot take the pages away under us. */
	if (ftruncate(r->fd, (off_t)size) || fcntl(r->fd, F_ADD_SEALS, F_SEAL_SHRINK)) {
		rc = error_set(err, -errno, "cannot make %zu bytes of shared memory", size);
		goto close_fd;
	}
	r->host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	if (r->host == MAP_FAILED) {
		rc = error_set(err, -errno, "cannot map %zu bytes of shared memory", size);
		goto close_fd;
	}
	return 0;
close_fd:
	close(r->fd);
	return rc;
}

void os_shared_free(struct dma_region *r)
{
	munmap(r->host, r->size);
	close(r->fd);
}

void os_nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = NSEC_PER_MSEC}, NULL);
}

/* ---- events ---- */

int os_event_create(struct error *err)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? error_set(err, -errno, "cannot make an eventfd") : fd;
}

void os_event_close(int event)
{
	close(event);
}

void os_event_signal(int event)
{
	(void)eventfd_write(event, 1);
}

uint64_t os_event_take(int event)
{
	/* The device holds it, too. */
	return evsignal_take(event);
}

/* ---- sleep ---- */

/*
 * Edge-triggered, so that a call wakes once and the eventfd need not be read: one system call for
 * one sleep.
 */
int os_sleeper_create(int event, struct error *err)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.u32 = OS_CALL};
	int fd = epoll_create1(EPOLL_CLOEXEC), rc;

	if (fd < 0)
		return error_set(err, -errno, "cannot make an epoll descriptor");
	if (epoll_ctl(fd, EPOLL_CTL_ADD, event, &e)) {
		rc = error_set(err, -errno, "cannot watch a queue");
		close(fd);
		return rc;
	}
	return fd;
}

/* The connection is a new one after each reconnection; a closed one has gone by itself. */
int os_sleeper_watch(int sleeper, int fd, struct error *err)
{
	struct epoll_event e = {.events = EPOLLRDHUP, .data.u32 = OS_HANGUP};

	if (epoll_ctl(sleeper, EPOLL_CTL_ADD, fd, &e) && errno != EEXIST)
		return error_set(err, -errno, "cannot watch the connection");
	return 0;
}

void os_sleeper_close(int sleeper)
{
	close(sleeper);
}

unsigned os_sleep(int sleeper, int timeout_ms)
{
	struct epoll_event events[2];
	int n = epoll_wait(sleeper, events, 2, timeout_ms);
	unsigned woken = 0;

	for (int i = 0; i < n; i++)
		woken |= events[i].data.u32;
	return woken;
}
