/* SPDX-License-Identifier: MIT */
#include "backend/pci/call.h"

#include "backend/pci/bus.h"
#include "backend/pci/function.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const struct sysbus_host_ops *host_of(const struct pci_function *fn)
{
	return fn->bus ? sysbus_host_of(fn->bus->sysbus) : NULL;
}

/* ---- watched ---- */

static bool drain(const struct pci_call *call)
{
	eventfd_t n;

	return !eventfd_read(call->fd, &n);
}

static void look(struct pci_call *call)
{
	if ((call->way != PCI_CALL_WATCHED && call->way != PCI_CALL_VECTOR) || !drain(call))
		return;
	if (call->fn->msix.enabled)
		pci_msix_notify(call->fn, call->vector);
	else if (call->started)
		call->pin(call);
}

static void call_ready(struct reactor_watch *w, uint32_t events)
{
	(void)events;
	look(container_of(w, struct pci_call, watch));
}

static int enter_watch(struct pci_call *call)
{
	int rc = reactor_watch_start(call->home, &call->watch, call->fd, EPOLLIN);

	call->way = rc ? PCI_CALL_NOWHERE : PCI_CALL_WATCHED;
	return rc;
}

/* ---- irqfds ---- */

static const struct pci_msix_entry *entry_of(const struct pci_call *call)
{
	return call->vector < call->fn->msix.n ? &call->fn->msix.entries[call->vector] : NULL;
}

static bool enter_message(struct pci_call *call)
{
	const struct pci_msix_entry *e = entry_of(call);
	struct pci_function *fn = call->fn;
	/* What waits in the fd goes out by hand: nobody promises that an irqfd looks back. */
	bool waiting = drain(call);
	int rc = host_of(fn)->irqfd_msi_add(fn->bus->sysbus->host, call->fd, pci_msix_address(e),
					    e->word[2]);

	if (rc >= 0) {
		call->irqfd = rc;
		memcpy(call->sent, e->word, sizeof(call->sent));
		call->way = PCI_CALL_IRQFD;
	}
	if (waiting)
		pci_msix_notify(fn, call->vector);
	return rc >= 0;
}

static bool enter_line(struct pci_call *call, int line)
{
	struct pci_function *fn = call->fn;

	drain(call);
	if (host_of(fn)->irqfd_line_add(fn->bus->sysbus->host, call->fd, fn->resample_fd,
					(unsigned)line))
		return false;
	call->irqfd = line;
	call->way = PCI_CALL_LINE;
	return true;
}

/* ---- vectors ---- */

/*
 * What waits in our own fd goes out by hand, as with an irqfd.  The watch stays: the kernel may have
 * looked signal_fd up for a write just before dup3(), and that signal comes to our own fd after it.
 */
static bool enter_vector(struct pci_call *call, int fd)
{
	if (reactor_watch_start(call->home, &call->watch, call->fd, EPOLLIN))
		return false;
	if (dup3(fd, call->signal_fd, O_CLOEXEC) < 0) {
		reactor_watch_stop(call->home, &call->watch);
		return false;
	}
	call->way = PCI_CALL_VECTOR;
	look(call);
	return true;
}

static void leave_vector(struct pci_call *call)
{
	/* Both are open, so nothing is left that could fail but a signal that comes in between. */
	while (dup3(call->fd, call->signal_fd, O_CLOEXEC) < 0 && (errno == EINTR || errno == EBUSY))
		;
	reactor_watch_stop(call->home, &call->watch);
}

static void leave_way(struct pci_call *call)
{
	const struct sysbus_host_ops *host = host_of(call->fn);

	if (call->way == PCI_CALL_WATCHED)
		reactor_watch_stop(call->home, &call->watch);
	else if (call->way == PCI_CALL_IRQFD)
		host->irqfd_msi_del(call->fn->bus->sysbus->host, call->irqfd, call->fd);
	else if (call->way == PCI_CALL_VECTOR)
		leave_vector(call);
	else if (call->way == PCI_CALL_LINE)
		host->irqfd_line_del(call->fn->bus->sysbus->host, call->fd, (unsigned)call->irqfd);
	call->way = PCI_CALL_NOWHERE;
}

/* ---- where it leads ---- */

static enum pci_call_way wanted(const struct pci_call *call, int *line)
{
	const struct pci_function *fn = call->fn;
	const struct sysbus_host_ops *host = host_of(fn);
	bool irqfd = host && !fn->no_irqfd;
	const struct pci_msix_entry *e = entry_of(call);

	if (fn->msix.enabled) {
		if (!e)
			return PCI_CALL_NOWHERE;
		if (host && host->vector_fd)
			return pci_msix_can_send(fn, e) && pci_msix_vector_fd(fn, call->vector) >= 0
				       ? PCI_CALL_VECTOR
				       : PCI_CALL_WATCHED;
		return irqfd && host->irqfd_msi_add && pci_msix_can_send(fn, e) ? PCI_CALL_IRQFD
										: PCI_CALL_WATCHED;
	}
	if (!irqfd || !host->irqfd_line_add || !call->started || fn->resample_fd < 0 ||
	    pci_function_get16(fn, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE)
		return PCI_CALL_WATCHED;
	*line = pci_function_line(fn);
	return *line >= 0 ? PCI_CALL_LINE : PCI_CALL_WATCHED;
}

static bool is_there(const struct pci_call *call, enum pci_call_way way, int line)
{
	if (call->way != way)
		return false;
	if (way == PCI_CALL_IRQFD)
		return !memcmp(call->sent, entry_of(call)->word, sizeof(call->sent));
	return way != PCI_CALL_LINE || call->irqfd == line;
}

static int route(struct pci_call *call)
{
	int line = -1, rc = 0;
	enum pci_call_way way = wanted(call, &line);

	if (way == PCI_CALL_NOWHERE) {
		leave_way(call);
		call->stale = true;
		return 0;
	}
	if (call->stale) {
		drain(call);
		call->stale = false;
	}
	if (is_there(call, way, line))
		return 0;
	leave_way(call);
	if (!(way == PCI_CALL_IRQFD && enter_message(call)) &&
	    !(way == PCI_CALL_VECTOR &&
	      enter_vector(call, pci_msix_vector_fd(call->fn, call->vector))) &&
	    !(way == PCI_CALL_LINE && enter_line(call, line)))
		rc = enter_watch(call);
	if (!call->fn->msix.enabled && call->started)
		call->pin(call);
	return rc;
}

void pci_calls_route(struct pci_function *fn, const struct pci_msix_entry *only)
{
	list_for_each (l, &fn->calls) {
		struct pci_call *call = list_entry(l, struct pci_call, link);

		if (!only || entry_of(call) == only)
			route(call);
	}
}

void pci_vector_changed(struct pci_function *fn, unsigned vector)
{
	list_for_each (l, &fn->calls) {
		struct pci_call *call = list_entry(l, struct pci_call, link);

		if (call->vector != vector)
			continue;
		if (call->way == PCI_CALL_VECTOR)
			leave_way(call);
		route(call);
	}
	pci_msix_send_pending(fn, vector);
}

void pci_calls_look(struct pci_function *fn)
{
	list_for_each (l, &fn->calls)
		look(list_entry(l, struct pci_call, link));
}

void pci_calls_stop(struct pci_function *fn)
{
	list_for_each (l, &fn->calls)
		list_entry(l, struct pci_call, link)->started = false;
}

/* ---- life ---- */

int pci_call_init(struct pci_call *call, struct pci_function *fn, struct reactor *home, int fd,
		  int signal_fd, void (*pin)(struct pci_call *call))
{
	int rc;

	*call = (struct pci_call){
		.fn = fn,
		.home = home,
		.fd = fd,
		.signal_fd = signal_fd,
		.vector = PCI_MSIX_NO_VECTOR,
		.pin = pin,
		.watch.ready = call_ready,
	};
	rc = route(call);
	if (!rc)
		list_add_tail(&fn->calls, &call->link);
	return rc;
}

void pci_call_fini(struct pci_call *call)
{
	leave_way(call);
	list_del(&call->link);
}

void pci_call_start(struct pci_call *call)
{
	call->started = true;
	look(call);
	route(call);
}

void pci_call_stop(struct pci_call *call)
{
	call->started = false;
	route(call);
}

void pci_call_set_vector(struct pci_call *call, unsigned vector)
{
	if (vector == call->vector)
		return;
	/* What was signalled so far was meant for the vector so far. */
	look(call);
	call->vector = vector;
	if (call->way == PCI_CALL_IRQFD || call->way == PCI_CALL_VECTOR)
		leave_way(call);
	route(call);
}
