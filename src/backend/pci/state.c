/* SPDX-License-Identifier: MIT */
#include "backend/pci/state.h"

#include <errno.h>
#include <string.h>

void pci_state_save(struct pci_function *fn, struct pack *p)
{
	const struct pci_msix *m = &fn->msix;

	pci_calls_look(fn);
	pack_bytes(p, fn->config, sizeof(fn->config));
	pack_8(p, fn->intx);
	pack_16(p, (uint16_t)m->n);
	for (unsigned i = 0; i < m->n; i++) {
		for (unsigned w = 0; w < 4; w++)
			pack_32(p, m->entries[i].word[w]);
		pack_8(p, m->entries[i].pending);
	}
}

void pci_state_read(struct pci_state *s, struct unpack *u)
{
	unpack_bytes(u, s->config, sizeof(s->config));
	s->intx = unpack_8(u);
	s->n_vectors = unpack_16(u);
	for (unsigned i = 0; i < s->n_vectors && !u->bad; i++) {
		struct pci_msix_entry e;

		for (unsigned w = 0; w < 4; w++)
			e.word[w] = unpack_32(u);
		e.pending = unpack_8(u);
		if (i < PCI_MSIX_VECTORS_MAX)
			s->entries[i] = e;
	}
}

/* Bits that are not the same in all functions of this shape. */
static uint8_t own_bits(const struct pci_function *fn, unsigned offset)
{
	uint8_t bits = fn->writable[offset] | fn->clears[offset];

	/* Whether the pin is up. */
	return offset == PCI_STATUS ? (uint8_t)(bits | PCI_STATUS_INTERRUPT) : bits;
}

int pci_state_check(const struct pci_function *fn, const struct pci_state *s, struct error *err)
{
	for (unsigned i = 0; i < PCI_CONFIG_BYTES; i++)
		if ((s->config[i] ^ fn->initial[i]) & ~own_bits(fn, i))
			return error_set(
				err, -EINVAL,
				"byte 0x%02x of its configuration space is 0x%02x, and here "
				"0x%02x: it is another board's.",
				i, s->config[i], fn->initial[i]);
	if (s->n_vectors != fn->msix.n)
		return error_set(err, -EINVAL, "it has %u interrupt vectors, and this board %u.",
				 s->n_vectors, fn->msix.n);
	return 0;
}

void pci_state_apply(struct pci_function *fn, const struct pci_state *s)
{
	for (unsigned i = 0; i < PCI_CONFIG_BYTES; i++) {
		uint8_t mine = own_bits(fn, i);

		fn->config[i] = (uint8_t)((s->config[i] & mine) | (fn->initial[i] & ~mine));
	}
	for (unsigned i = 0; i < fn->msix.n; i++) {
		struct pci_msix_entry *e = &fn->msix.entries[i];

		*e = s->entries[i];
		e->word[0] &= ~3u;
		e->word[3] &= PCI_MSIX_ENTRY_MASKED;
	}
	pci_function_update_bars(fn);
	pci_msix_update(fn);
	pci_calls_route(fn, NULL);
	/* Not all that waits there waits for the function to be switched on. */
	for (unsigned i = 0; i < fn->msix.n; i++)
		pci_msix_send_pending(fn, i);
	pci_function_set_intx(fn, s->intx);
}
