/* SPDX-License-Identifier: MIT */
#include "backend/pci/msix.h"

#include "backend/pci/bus.h"
#include "backend/pci/function.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define CONTROL_WORD 3

static const struct sysbus_host_ops *host_of(const struct pci_function *fn)
{
	return fn->bus ? fn->bus->sysbus->host : NULL;
}

static uint64_t address_of(const struct pci_msix_entry *e)
{
	return (uint64_t)e->word[1] << 32 | e->word[0];
}

static bool can_send(const struct pci_function *fn, const struct pci_msix_entry *e)
{
	return fn->msix.enabled && !fn->msix.silent &&
	       !(e->word[CONTROL_WORD] & PCI_MSIX_ENTRY_MASKED);
}

static void send_now(struct pci_function *fn, const struct pci_msix_entry *e)
{
	const struct sysbus_host_ops *host = host_of(fn);

	if (!host || !host->msi_send)
		return;
	fn->msix.sent++;
	host->msi_send(fn->bus->sysbus, address_of(e), e->word[2]);
}

void pci_msix_notify(struct pci_function *fn, unsigned vector)
{
	struct pci_msix_entry *e;

	if (!fn->msix.enabled || vector >= fn->msix.n)
		return;
	e = &fn->msix.entries[vector];
	if (can_send(fn, e))
		send_now(fn, e);
	else
		e->pending = true;
}

static void send_pending(struct pci_function *fn, struct pci_msix_entry *e)
{
	if (!e->pending || !can_send(fn, e))
		return;
	e->pending = false;
	send_now(fn, e);
}

/* ---- calls ---- */

static bool drain(const struct pci_call *call)
{
	eventfd_t n;

	return !eventfd_read(call->fd, &n);
}

void pci_call_look(struct pci_call *call)
{
	if (call->way != PCI_CALL_WATCHED || !drain(call))
		return;
	if (call->fn->msix.enabled)
		pci_msix_notify(call->fn, call->vector);
	else
		call->pin(call);
}

static void call_ready(struct reactor_watch *w, uint32_t events)
{
	(void)events;
	pci_call_look(container_of(w, struct pci_call, watch));
}

static const struct pci_msix_entry *entry_of(const struct pci_call *call)
{
	return call->vector < call->fn->msix.n ? &call->fn->msix.entries[call->vector] : NULL;
}

static bool irqfd_wanted(const struct pci_call *call)
{
	const struct sysbus_host_ops *host = host_of(call->fn);
	const struct pci_msix_entry *e = entry_of(call);

	return e && host && host->irqfd_msi_add && !call->fn->msix.no_irqfd &&
	       can_send(call->fn, e);
}

static void leave_way(struct pci_call *call)
{
	const struct sysbus_host_ops *host = host_of(call->fn);

	if (call->way == PCI_CALL_WATCHED)
		reactor_watch_stop(call->home, &call->watch);
	else if (call->way == PCI_CALL_IRQFD && host)
		host->irqfd_msi_del(call->fn->bus->sysbus, call->irqfd, call->fd);
	call->way = PCI_CALL_NOWHERE;
}

static int enter_watch(struct pci_call *call)
{
	int rc = reactor_watch_start(call->home, &call->watch, call->fd, EPOLLIN);

	call->way = rc ? PCI_CALL_NOWHERE : PCI_CALL_WATCHED;
	return rc;
}

static bool enter_irqfd(struct pci_call *call)
{
	const struct pci_msix_entry *e = entry_of(call);
	struct pci_function *fn = call->fn;
	/* What waits in the fd goes out by hand: nobody promises that an irqfd looks back. */
	bool waiting = drain(call);
	int rc = host_of(fn)->irqfd_msi_add(fn->bus->sysbus, call->fd, address_of(e), e->word[2]);

	if (rc >= 0) {
		call->irqfd = rc;
		call->sent = *e;
		call->way = PCI_CALL_IRQFD;
	}
	if (waiting)
		pci_msix_notify(fn, call->vector);
	return rc >= 0;
}

/* Leads the call to where table and masks want it. */
static int route(struct pci_call *call)
{
	struct pci_function *fn = call->fn;
	bool nowhere = fn->msix.enabled && !entry_of(call);

	if (nowhere) {
		leave_way(call);
		call->stale = true;
		return 0;
	}
	if (call->stale) {
		drain(call);
		call->stale = false;
	}
	if (irqfd_wanted(call)) {
		const struct pci_msix_entry *e = entry_of(call);

		if (call->way == PCI_CALL_IRQFD &&
		    !memcmp(call->sent.word, e->word, sizeof(e->word)))
			return 0;
		leave_way(call);
		if (enter_irqfd(call))
			return 0;
	} else if (call->way == PCI_CALL_WATCHED) {
		return 0;
	}
	leave_way(call);
	return enter_watch(call);
}

int pci_call_init(struct pci_call *call, struct pci_function *fn, struct reactor *home, int fd,
		  void (*pin)(struct pci_call *call))
{
	int rc;

	*call = (struct pci_call){
		.fn = fn,
		.home = home,
		.fd = fd,
		.vector = PCI_MSIX_NO_VECTOR,
		.pin = pin,
		.watch.ready = call_ready,
	};
	rc = route(call);
	if (!rc)
		list_add_tail(&fn->msix.calls, &call->link);
	return rc;
}

void pci_call_fini(struct pci_call *call)
{
	leave_way(call);
	list_del(&call->link);
}

void pci_call_set_vector(struct pci_call *call, unsigned vector)
{
	if (vector == call->vector)
		return;
	/* What was signalled so far was meant for the vector so far. */
	pci_call_look(call);
	call->vector = vector;
	if (call->way == PCI_CALL_IRQFD)
		leave_way(call);
	route(call);
}

static void route_all(struct pci_function *fn, const struct pci_msix_entry *only)
{
	list_for_each (l, &fn->msix.calls) {
		struct pci_call *call = list_entry(l, struct pci_call, link);

		if (!only || entry_of(call) == only)
			route(call);
	}
}

/* ---- table and pending bits ---- */

static unsigned pba_offset(const struct pci_bar *bar)
{
	return (unsigned)(bar->region.size / 2);
}

static void look_at_calls(struct pci_function *fn)
{
	list_for_each (l, &fn->msix.calls)
		pci_call_look(list_entry(l, struct pci_call, link));
}

static uint8_t table_byte(const struct pci_bar *bar, uint64_t offset)
{
	const struct pci_msix *m = &bar->fn->msix;
	uint64_t bits = offset - pba_offset(bar);
	uint8_t byte = 0;

	if (offset >= bar->region.size)
		return 0xff;
	if (offset < pba_offset(bar)) {
		unsigned i = (unsigned)(offset / PCI_MSIX_ENTRY_BYTES);

		if (i < m->n)
			byte = (uint8_t)(m->entries[i].word[offset / 4 % 4] >> 8 * (offset % 4));
		return byte;
	}
	for (unsigned b = 0; b < 8 && bits * 8 + b < m->n; b++)
		if (m->entries[bits * 8 + b].pending)
			byte = (uint8_t)(byte | 1u << b);
	return byte;
}

static uint64_t table_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	struct pci_bar *bar = pci_bar_of(r);
	uint64_t value = 0;

	/* So that pending bits are seen when they are looked for, not when the home reactor gets to it. */
	if (offset >= pba_offset(bar) && bar->fn->msix.enabled)
		look_at_calls(bar->fn);
	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)table_byte(bar, offset + i) << (8 * i);
	return value;
}

static void table_write_word(struct pci_bar *bar, uint64_t offset, uint32_t value)
{
	struct pci_msix *m = &bar->fn->msix;
	struct pci_msix_entry *e;
	unsigned i = (unsigned)(offset / PCI_MSIX_ENTRY_BYTES), w = (unsigned)(offset / 4 % 4);

	if (offset >= pba_offset(bar) || i >= m->n)
		return;
	e = &m->entries[i];
	if (w == 0)
		value &= ~3u;
	else if (w == CONTROL_WORD)
		value &= PCI_MSIX_ENTRY_MASKED;
	if (e->word[w] == value)
		return;
	e->word[w] = value;
	route_all(bar->fn, e);
	send_pending(bar->fn, e);
}

/* Only whole words, as the standard demands; anything else is dropped. */
static void table_write(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size)
{
	struct pci_bar *bar = pci_bar_of(r);

	if (size < 4 || offset % size)
		return;
	table_write_word(bar, offset, (uint32_t)value);
	if (size == 8)
		table_write_word(bar, offset + 4, (uint32_t)(value >> 32));
}

static const struct sysbus_region_ops table_ops = {
	.read = table_read,
	.write = table_write,
};

/* ---- the function's part ---- */

void pci_msix_update(struct pci_function *fn)
{
	struct pci_msix *m = &fn->msix;
	uint16_t control;
	bool enabled, silent;

	if (!m->n)
		return;
	control = pci_function_get16(fn, m->cap + PCI_MSIX_CONTROL);
	enabled = control & PCI_MSIX_CONTROL_ENABLE;
	silent = control & PCI_MSIX_CONTROL_MASK ||
		 !(pci_function_get16(fn, PCI_COMMAND) & PCI_COMMAND_MASTER);
	if (enabled == m->enabled && silent == m->silent)
		return;
	/* What was signalled under the old rules goes by them. */
	look_at_calls(fn);
	m->enabled = enabled;
	m->silent = silent;
	route_all(fn, NULL);
	for (unsigned i = 0; i < m->n; i++)
		send_pending(fn, &m->entries[i]);
}

void pci_msix_reset(struct pci_function *fn)
{
	struct pci_msix *m = &fn->msix;

	for (unsigned i = 0; i < m->n; i++)
		m->entries[i] = (struct pci_msix_entry){
			.word[CONTROL_WORD] = PCI_MSIX_ENTRY_MASKED};
	pci_msix_update(fn);
}

int pci_msix_init(struct pci_function *fn, unsigned bar, unsigned n, struct error *err)
{
	struct pci_msix *m = &fn->msix;
	uint64_t half = 2048;
	uint8_t cap[PCI_MSIX_CAP_BYTES] = {0};
	int at;

	if (!n || n > PCI_MSIX_VECTORS_MAX)
		return error_set(err, -EINVAL, "%s: %u interrupt vectors, of 1 to %u", fn->name, n,
				 PCI_MSIX_VECTORS_MAX);
	while (half < n * PCI_MSIX_ENTRY_BYTES)
		half *= 2;
	m->entries = calloc(n, sizeof(m->entries[0]));
	if (!m->entries)
		return error_set(err, -ENOMEM, "%s: no memory for %u vectors", fn->name, n);
	at = pci_function_add_cap(fn, PCI_CAP_MSIX, cap, sizeof(cap));
	if (at < 0) {
		free(m->entries);
		m->entries = NULL;
		return error_set(err, at, "%s: no room for one more capability", fn->name);
	}
	m->n = n;
	m->cap = (unsigned)at;
	m->silent = true;
	pci_function_put16(fn, m->cap + PCI_MSIX_CONTROL, (uint16_t)(n - 1));
	pci_function_allow16(fn, m->cap + PCI_MSIX_CONTROL,
			     PCI_MSIX_CONTROL_ENABLE | PCI_MSIX_CONTROL_MASK);
	pci_function_put32(fn, m->cap + PCI_MSIX_TABLE, bar);
	pci_function_put32(fn, m->cap + PCI_MSIX_PBA, (uint32_t)half | bar);
	pci_function_bar(fn, bar, "msix", 0, 2 * half, &table_ops);
	pci_msix_reset(fn);
	return 0;
}

void pci_msix_fini(struct pci_function *fn)
{
	free(fn->msix.entries);
	fn->msix.entries = NULL;
	fn->msix.n = 0;
}
