/* SPDX-License-Identifier: MIT */
/*
 * What the driver needs of an operating system, where there is none.  An event is a place in a
 * table, its sleeper the same place.
 */
#include "frontend/virtio/os.h"

#include "base/clock.h"
#include "base/limits.h"
#include "guest/irq.h"
#include "guest/memory.h"

#include <errno.h>
#include <string.h>

#define EVENTS 64

static struct event {
	bool taken;
	uint32_t signals, counted, woken_for;
} events[EVENTS];

/* ---- memory ---- */

void *os_alloc(size_t size, size_t align)
{
	return memory_alloc(size, align);
}

void os_free(void *memory)
{
	(void)memory;
}

size_t os_page(void)
{
	return MEMORY_PAGE;
}

int os_shared_alloc(struct dma_region *r, size_t size, struct error *err)
{
	*r = (struct dma_region){.size = size, .fd = -1};
	r->host = memory_alloc(size, MEMORY_PAGE);
	return r->host ? 0
		       : error_set(err, -ENOMEM, "there are no %zu bytes of memory left.", size);
}

void os_shared_free(struct dma_region *r)
{
	(void)r;
}

void os_nap(void)
{
	cpu_relax();
}

/* ---- events ---- */

int os_event_create(struct error *err)
{
	for (int i = 0; i < EVENTS; i++) {
		if (events[i].taken)
			continue;
		events[i] = (struct event){.taken = true};
		return i;
	}
	return error_set(err, -ENOSPC, "there are only %d events", EVENTS);
}

void os_event_close(int event)
{
	events[event].taken = false;
}

void os_event_signal(int event)
{
	events[event].signals++;
}

uint64_t os_event_take(int event)
{
	struct event *e = &events[event];
	uint32_t n;

	irq_take();
	n = e->signals - e->counted;
	e->counted += n;
	return n;
}

/* ---- sleep ---- */

int os_sleeper_create(int event, struct error *err)
{
	(void)err;
	return event;
}

int os_sleeper_watch(int sleeper, int fd, struct error *err)
{
	(void)sleeper;
	(void)fd;
	return error_set(err, -ENOTSUP, "nothing can hang up here");
}

void os_sleeper_close(int sleeper)
{
	(void)sleeper;
}

unsigned os_sleep(int sleeper, int timeout_ms)
{
	struct event *e = &events[sleeper];
	uint64_t until = clock_ns() + (uint64_t)timeout_ms * NSEC_PER_MSEC;

	irq_take();
	while (e->woken_for == e->signals) {
		if (timeout_ms >= 0 && clock_ns() >= until)
			return 0;
		irq_sleep();
	}
	e->woken_for = e->signals;
	return OS_CALL;
}

/* Here is no limit to name. */
const char *limits_reason(int rc, char *text, size_t size)
{
	(void)text;
	(void)size;
	return strerror(-rc);
}
