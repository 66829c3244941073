/* SPDX-License-Identifier: MIT */
/*
 * The main system bus: the root of the machine's tree.  Devices claim ranges of port and memory
 * space on it, drive interrupt lines, send message-signalled interrupts; the virtual CPUs' accesses
 * come in from above.
 *
 * What the machine runs on (KVM; nothing at all in a test) stands behind struct sysbus_host, so
 * that no device knows it.
 *
 * Invariants: regions of one space may overlap, as PCI BARs do when a guest moves them: the one
 * mapped last wins; where nobody is, reads give all ones and writes vanish.
 *
 * Sizes: each byte of an access reaches the address it has, as on the buses of a PC.  A region says
 * which sizes it takes.  An access that it does not take as it is - of another size, not aligned to
 * its size, begun below the region, reaching past its end - is split, in the order of addresses,
 * into the largest aligned pieces that somebody takes; a byte that cannot be delivered is as
 * nobody's.  So a handler never sees an access that leaves its region.
 *
 * Threads: one at a time, which is the machine lock's business (backend/machine): virtual CPUs
 * while they handle an exit, and the control thread while it processes its reactor, both hold it.
 */
#ifndef BACKEND_SYSBUS_SYSBUS_H
#define BACKEND_SYSBUS_SYSBUS_H

#include "base/error.h"
#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

struct sysbus;
struct sysbus_region;

enum sysbus_space {
	SYSBUS_PORT,
	SYSBUS_MEMORY,
};

/* Sizes of accesses, in bytes; a region's are their sum. */
enum sysbus_size {
	SYSBUS_BYTE = 1,
	SYSBUS_WORD = 2,
	SYSBUS_DWORD = 4,
	SYSBUS_QWORD = 8,
	SYSBUS_UP_TO_DWORD = SYSBUS_BYTE | SYSBUS_WORD | SYSBUS_DWORD,
	SYSBUS_ANY_SIZE = SYSBUS_UP_TO_DWORD | SYSBUS_QWORD,
};

struct sysbus_region_ops {
	/* Required: enum sysbus_size; which sizes the handlers take, reads and writes alike. */
	unsigned sizes;
	/* Optional: they take these at any address, not at multiples of the size only. */
	bool unaligned;
	/* @size: one that is taken; all of it lies in the region. */
	uint64_t (*read)(struct sysbus_region *r, uint64_t offset, unsigned size);
	void (*write)(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size);
	/*
	 * Optional: @count accesses of @size bytes, 1, 2 or 4, to the same place, as one access
	 * after the other would do them; @data holds them in the order of their addresses.  false:
	 * nothing is done, one by one please.
	 */
	bool (*read_string)(struct sysbus_region *r, uint64_t offset, uint8_t *data, unsigned size,
			    uint32_t count);
	bool (*write_string)(struct sysbus_region *r, uint64_t offset, const uint8_t *data,
			     unsigned size, uint32_t count);
};

/* A range of addresses that a device answers; embedded by the device. */
struct sysbus_region {
	const char *name; /* for `ringside tree` and messages */
	enum sysbus_space space;
	uint64_t base;
	uint64_t size;
	const struct sysbus_region_ops *ops;
	struct list link; /* the bus's; unlinked: not mapped */
};

/*
 * What the machine under the bus can do.  Optional members may be NULL; a device then does without
 * (an exit to user space instead of an ioeventfd, msi_send() instead of an irqfd).
 */
struct sysbus_host_ops {
	/* Level of a global interrupt line (GSI). */
	void (*irq_set)(struct sysbus *bus, unsigned gsi, bool level);
	/* A message-signalled interrupt, now. */
	void (*msi_send)(struct sysbus *bus, uint64_t address, uint32_t data);

	/*
	 * A guest's write of @size bytes (0: any) at @addr becomes a signal of @fd without leaving
	 * for user space; with @match only when @value is written.  Optional; 0 or -errno, then the
	 * write arrives at the region as ever.
	 */
	int (*ioeventfd_add)(struct sysbus *bus, enum sysbus_space space, uint64_t addr,
			     unsigned size, bool match, uint64_t value, int fd);
	void (*ioeventfd_del)(struct sysbus *bus, enum sysbus_space space, uint64_t addr,
			      unsigned size, bool match, uint64_t value, int fd);

	/*
	 * A signal of @fd becomes the interrupt message, until irqfd_msi_del() or another add for
	 * the same fd.  Returns a handle >= 0, or -errno. Optional.
	 */
	int (*irqfd_msi_add)(struct sysbus *bus, int fd, uint64_t address, uint32_t data);
	void (*irqfd_msi_del)(struct sysbus *bus, int handle, int fd);
	/*
	 * A signal of @fd raises the line; the guest's end of interrupt lowers it and signals
	 * @resample_fd. Optional.
	 */
	int (*irqfd_line_add)(struct sysbus *bus, int fd, int resample_fd, unsigned gsi);
	void (*irqfd_line_del)(struct sysbus *bus, int fd, unsigned gsi);

	/*
	 * From inside a region's read or write that cannot be answered yet: the machine goes on for
	 * a moment, in which anything on the bus may change.  false: it stops, so do not wait.
	 * Optional: an access is answered at once.
	 */
	bool (*wait)(struct sysbus *bus);
};

struct sysbus {
	const struct sysbus_host_ops *host;
	struct list ports; /* mapped regions, the last mapped first */
	struct list memory;
};

void sysbus_init(struct sysbus *bus, const struct sysbus_host_ops *host);

/* Maps at @base (moves it there if mapped already).  The region stays the caller's. */
void sysbus_map(struct sysbus *bus, struct sysbus_region *r, uint64_t base);
/* Harmless when not mapped. */
void sysbus_unmap(struct sysbus_region *r);

/* A virtual CPU's access: 1 to 8 bytes, anywhere. */
uint64_t sysbus_read(struct sysbus *bus, enum sysbus_space space, uint64_t addr, unsigned size);
void sysbus_write(struct sysbus *bus, enum sysbus_space space, uint64_t addr, uint64_t value,
		  unsigned size);
/* Its string instruction: @count accesses to one port, little-endian in @data. */
void sysbus_read_string(struct sysbus *bus, uint64_t port, uint8_t *data, unsigned size,
			uint32_t count);
void sysbus_write_string(struct sysbus *bus, uint64_t port, const uint8_t *data, unsigned size,
			 uint32_t count);

#endif
