/* SPDX-License-Identifier: MIT */
#include "backend/pci/msix.h"

#include "backend/pci/bus.h"
#include "backend/pci/call.h"
#include "backend/pci/function.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#define CONTROL_WORD 3

static const struct sysbus_host_ops *host_of(const struct pci_function *fn)
{
	return fn->bus ? sysbus_host_of(fn->bus->sysbus) : NULL;
}

int pci_msix_vector_fd(const struct pci_function *fn, unsigned vector)
{
	const struct sysbus_host_ops *host = host_of(fn);

	return host && host->vector_fd ? host->vector_fd(fn->bus->sysbus->host, fn->devfn, vector)
				       : -1;
}

bool pci_msix_can_send(const struct pci_function *fn, const struct pci_msix_entry *e)
{
	const struct sysbus_host_ops *host = host_of(fn);

	return fn->msix.enabled && !fn->msix.silent &&
	       (!(e->word[CONTROL_WORD] & PCI_MSIX_ENTRY_MASKED) || (host && host->keeps_tables));
}

static void send_now(struct pci_function *fn, struct pci_msix_entry *e)
{
	const struct sysbus_host_ops *host = host_of(fn);

	if (host && host->vector_fd) {
		int fd = pci_msix_vector_fd(fn, (unsigned)(e - fn->msix.entries));

		/* Where nobody takes it, it waits. */
		if (fd < 0) {
			e->pending = true;
			return;
		}
		if (host->vector_signal)
			host->vector_signal(fn->bus->sysbus->host, fn->devfn,
					    (unsigned)(e - fn->msix.entries));
		else if (eventfd_write(fd, 1))
			return;
		fn->msix.sent++;
	} else if (host && host->msi_send) {
		fn->msix.sent++;
		host->msi_send(fn->bus->sysbus->host, pci_msix_address(e), e->word[2]);
	}
}

void pci_msix_notify(struct pci_function *fn, unsigned vector)
{
	struct pci_msix_entry *e;

	if (!fn->msix.enabled || vector >= fn->msix.n)
		return;
	e = &fn->msix.entries[vector];
	if (pci_msix_can_send(fn, e))
		send_now(fn, e);
	else
		e->pending = true;
}

static void send_pending(struct pci_function *fn, struct pci_msix_entry *e)
{
	if (!e->pending || !pci_msix_can_send(fn, e))
		return;
	e->pending = false;
	send_now(fn, e);
}

void pci_msix_send_pending(struct pci_function *fn, unsigned vector)
{
	if (vector < fn->msix.n)
		send_pending(fn, &fn->msix.entries[vector]);
}

/* ---- table and pending bits ---- */

static unsigned pba_offset(const struct pci_bar *bar)
{
	return (unsigned)(bar->region.size / 2);
}

static uint8_t table_byte(const struct pci_bar *bar, uint64_t offset)
{
	const struct pci_msix *m = &bar->fn->msix;
	uint64_t bits = offset - pba_offset(bar);
	uint8_t byte = 0;

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
		pci_calls_look(bar->fn);
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
	pci_calls_route(bar->fn, e);
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
	.sizes = SYSBUS_ANY_SIZE,
	.unaligned = true, /* to be dropped whole */
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
	pci_calls_look(fn);
	m->enabled = enabled;
	m->silent = silent;
	pci_calls_route(fn, NULL);
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
