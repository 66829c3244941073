/* SPDX-License-Identifier: MIT */
/*
 * A PCI function: configuration space, base address registers, capabilities, interrupt pin, MSI-X
 * (PCI Local Bus 3.0, chapter 6).
 *
 * A device embeds struct pci_function, describes itself (identity, BARs, capabilities), then
 * is attached to a bus; from then on the guest's configuration accesses move its regions
 * about on the system bus.
 *
 * Invariants: a configuration byte changes only where its mask allows; a BAR's region is mapped
 * exactly while the guest has its decoding on and its address is a possible one; the pin is
 * asserted on the bus only while MSI-X is off and the guest has not disabled it.
 *
 * Threads: those of the system bus (one at a time, under the machine's lock), the
 * home reactor's included.
 */
#ifndef BACKEND_PCI_FUNCTION_H
#define BACKEND_PCI_FUNCTION_H

#include "backend/pci/call.h"
#include "backend/pci/msix.h"
#include "backend/sysbus/sysbus.h"
#include "wire/pci.h"

struct pci_bus;
struct pci_function;

struct pci_bar {
	struct sysbus_region
		region; /* size 0: there is no such BAR; the upper half of a 64-bit one neither */
	struct pci_function *fn;
	uint32_t flags; /* PCI_BAR_IO, PCI_BAR_64 */
	bool mapped;	/* at region.base */
};

static inline struct pci_bar *pci_bar_of(struct sysbus_region *r)
{
	return container_of(r, struct pci_bar, region);
}

/* All optional. */
struct pci_function_ops {
	/* The guest is about to read these bytes of config[]. */
	void (*config_reading)(struct pci_function *fn, unsigned offset, unsigned size);
	/* The guest wrote there; config[] holds what the masks let through. */
	void (*config_written)(struct pci_function *fn, unsigned offset, unsigned size);
	void (*bar_mapped)(struct pci_function *fn, struct pci_bar *bar);
	void (*bar_unmapping)(struct pci_function *fn, struct pci_bar *bar);
	/* The function is reset; configuration space and MSI-X are so already. */
	void (*reset)(struct pci_function *fn);
};

struct pci_identity {
	uint16_t vendor, device;
	uint8_t revision;
	uint32_t class_code; /* class, sub-class, interface: 0x010000 */
	uint16_t subsystem_vendor, subsystem;
	bool pin; /* it can assert INTA# */
};

struct pci_function {
	const char *name; /* for `ringside tree` and messages */
	const struct pci_function_ops *ops;
	struct pci_bus *bus; /* NULL: not attached */
	uint8_t devfn;
	uint8_t config[PCI_CONFIG_BYTES];
	uint8_t writable[PCI_CONFIG_BYTES]; /* bits that the guest may change */
	uint8_t clears[PCI_CONFIG_BYTES];   /* bits that it clears by writing ones */
	uint8_t initial[PCI_CONFIG_BYTES];  /* config[] as it was attached */
	struct pci_bar bars[PCI_BARS];
	uint8_t last_cap; /* offset of the last capability, 0: none */
	uint8_t caps_end;
	bool intx;	 /* the device wants its pin asserted */
	bool intx_shown; /* and so the bus has been told */
	uint64_t rises;	 /* how often it was told */
	/*
	 * The device's eventfd, which the host signals at each end of an interrupt on a line that
	 * calls of this function raise by irqfd; the device then looks whether it has something
	 * left to tell.  -1: calls reach the pin through the device only.
	 */
	int resample_fd;
	bool no_irqfd; /* do without, though the host could */
	struct list calls;
	struct pci_msix msix;
};

/* @ops and @name stay the caller's. */
void pci_function_init(struct pci_function *fn, const char *name,
		       const struct pci_function_ops *ops, const struct pci_identity *id);
/* Detached. */
void pci_function_fini(struct pci_function *fn);

/*
 * Before attach: BAR @index of @size bytes, a power of two, at least 16 (4 for ports); @flags
 * PCI_BAR_IO or PCI_BAR_64, which takes the next BAR too.
 */
void pci_function_bar(struct pci_function *fn, unsigned index, const char *name, uint32_t flags,
		      uint64_t size, const struct sysbus_region_ops *ops);
/*
 * Before attach: a capability of @len bytes, copied from @cap, whose first two bytes (id, next) are
 * filled in.  Returns its offset, or -ENOSPC.
 */
int pci_function_add_cap(struct pci_function *fn, uint8_t id, const void *cap, unsigned len);

/* The guest's accesses; @size 1, 2 or 4 at any offset.  Bytes behind the end read as ones. */
uint32_t pci_function_config_read(struct pci_function *fn, unsigned offset, unsigned size);
void pci_function_config_write(struct pci_function *fn, unsigned offset, uint32_t value,
			       unsigned size);

/*
 * The same for @size bytes, 1 to 8, at @offset of BAR @index, wherever the guest has put it and
 * whether it decodes it or not.  What does not lie inside the BAR reads as ones, and writes there
 * vanish.
 */
uint64_t pci_bar_read(struct pci_function *fn, unsigned index, uint64_t offset, unsigned size);
void pci_bar_write(struct pci_function *fn, unsigned index, uint64_t offset, uint64_t value,
		   unsigned size);

/* The level of the interrupt pin, as the device wants it. */
void pci_function_set_intx(struct pci_function *fn, bool level);

/* The line that its pin leads to at present, -1: none. */
int pci_function_line(const struct pci_function *fn);

/*
 * Power-on state.  What the device has in flight may outlive this: whoever takes the guest's memory
 * back quiesces the card first (backplane.h).
 */
void pci_function_reset(struct pci_function *fn);

/* For hosts that know vectors: vector_fd() of this one has changed, or does so now. */
void pci_vector_changed(struct pci_function *fn, unsigned vector);

/* For pci/: power-on state of what is PCI's; the device is not told. */
void pci_function_quiet(struct pci_function *fn);
/* For pci/: the pin follows a change of MSI-X, command or bus. */
void pci_function_update_intx(struct pci_function *fn);
/* For pci/: every BAR to where the configuration says; all unmapped without a bus. */
void pci_function_update_bars(struct pci_function *fn);

static inline uint16_t pci_function_get16(const struct pci_function *fn, unsigned offset)
{
	return (uint16_t)(fn->config[offset] | fn->config[offset + 1] << 8);
}
static inline uint32_t pci_function_get32(const struct pci_function *fn, unsigned offset)
{
	return pci_function_get16(fn, offset) | (uint32_t)pci_function_get16(fn, offset + 2) << 16;
}
static inline void pci_function_put16(struct pci_function *fn, unsigned offset, uint16_t v)
{
	fn->config[offset] = (uint8_t)v;
	fn->config[offset + 1] = (uint8_t)(v >> 8);
}
static inline void pci_function_put32(struct pci_function *fn, unsigned offset, uint32_t v)
{
	pci_function_put16(fn, offset, (uint16_t)v);
	pci_function_put16(fn, offset + 2, (uint16_t)(v >> 16));
}
/* Makes bits of a 16-bit register writable. */
static inline void pci_function_allow16(struct pci_function *fn, unsigned offset, uint16_t bits)
{
	fn->writable[offset] |= (uint8_t)bits;
	fn->writable[offset + 1] |= (uint8_t)(bits >> 8);
}

#endif
