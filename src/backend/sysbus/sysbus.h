/* SPDX-License-Identifier: MIT */
/*
 * The main system bus: the root of the machine's tree.  Devices claim ranges of port and memory
 * space on it, drive interrupt lines, send message-signalled interrupts; the virtual CPUs' accesses
 * come in from above.
 *
 * What the machine runs on (KVM, a process on the other end of a socket, nobody at all) stands
 * behind struct sysbus_host, so that no device knows it.
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
 * Threads: one at a time, which is the machine lock's business (backplane.h): virtual CPUs while
 * they handle an exit, and the control thread while it processes its reactor, both hold it.
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

/* Embedded by the host. */
struct sysbus_host {
	const struct sysbus_host_ops *ops;
};

/*
 * What the machine under the bus can do.  All members are optional; a device then does without
 * (an exit to user space instead of an ioeventfd, msi_send() instead of an irqfd, silence).
 */
struct sysbus_host_ops {
	/* Level of a global interrupt line (GSI). */
	void (*irq_set)(struct sysbus_host *host, unsigned gsi, bool level);
	/* A message-signalled interrupt, now. */
	void (*msi_send)(struct sysbus_host *host, uint64_t address, uint32_t data);

	/*
	 * For hosts that know vectors and no messages: the eventfd of vector @vector of the PCI
	 * function @devfn, which stays the host's and is signalled by whoever has an interrupt,
	 * queues' workers included.  -1: it has none at present.  When that changes the host tells
	 * the function by pci_vector_changed(), with the lock held and before it closes the old
	 * one.  With it msi_send() and irqfd_msi_add() are not used.
	 */
	int (*vector_fd)(struct sysbus_host *host, unsigned devfn, unsigned vector);
	/*
	 * Signals a vector that has an eventfd, for who is not a queue's worker; where a peer holds
	 * the eventfd, too, a write could wait.  Without it the eventfd is written to.
	 */
	void (*vector_signal)(struct sysbus_host *host, unsigned devfn, unsigned vector);
	/* With vector_fd: entries of MSI-X tables are the host's business, masks included. */
	bool keeps_tables;

	/*
	 * A guest's write of @size bytes (0: any) at @addr becomes a signal of @fd without leaving
	 * for user space; with @match only when @value is written.  0 or -errno, then the write
	 * arrives at the region as ever.  Both or none.
	 */
	int (*ioeventfd_add)(struct sysbus_host *host, enum sysbus_space space, uint64_t addr,
			     unsigned size, bool match, uint64_t value, int fd);
	void (*ioeventfd_del)(struct sysbus_host *host, enum sysbus_space space, uint64_t addr,
			      unsigned size, bool match, uint64_t value, int fd);

	/*
	 * A signal of @fd becomes the interrupt message, until irqfd_msi_del() or another add for
	 * the same fd.  Returns a handle >= 0, or -errno.
	 */
	int (*irqfd_msi_add)(struct sysbus_host *host, int fd, uint64_t address, uint32_t data);
	void (*irqfd_msi_del)(struct sysbus_host *host, int handle, int fd);
	/*
	 * A signal of @fd raises the line; the guest's end of interrupt lowers it and signals
	 * @resample_fd.
	 */
	int (*irqfd_line_add)(struct sysbus_host *host, int fd, int resample_fd, unsigned gsi);
	void (*irqfd_line_del)(struct sysbus_host *host, int fd, unsigned gsi);

	/*
	 * From inside a region's read or write that cannot be answered yet: the machine goes on for
	 * a moment, in which anything on the bus may change.  false: it stops, so do not wait.
	 * Without it an access is answered at once.
	 */
	bool (*wait)(struct sysbus_host *host);
};

struct sysbus {
	struct sysbus_host *host; /* NULL: nobody */
	struct list ports;	  /* mapped regions, the last mapped first */
	struct list memory;
};

/* @host may be NULL: nobody hears what devices say, as in a machine that is only planned. */
void sysbus_init(struct sysbus *bus, struct sysbus_host *host);

/* Maps at @base (moves it there if mapped already).  The region stays the caller's. */
void sysbus_map(struct sysbus *bus, struct sysbus_region *r, uint64_t base);
/* Harmless when not mapped. */
void sysbus_unmap(struct sysbus_region *r);

/* An access that does not leave the region, mapped or not; split as its ops say. */
uint64_t sysbus_region_read(struct sysbus_region *r, uint64_t offset, unsigned size);
void sysbus_region_write(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size);

/* A virtual CPU's access: 1 to 8 bytes, anywhere. */
uint64_t sysbus_read(struct sysbus *bus, enum sysbus_space space, uint64_t addr, unsigned size);
void sysbus_write(struct sysbus *bus, enum sysbus_space space, uint64_t addr, uint64_t value,
		  unsigned size);
/* Its string instruction: @count accesses to one port, little-endian in @data. */
void sysbus_read_string(struct sysbus *bus, uint64_t port, uint8_t *data, unsigned size,
			uint32_t count);
void sysbus_write_string(struct sysbus *bus, uint64_t port, const uint8_t *data, unsigned size,
			 uint32_t count);

/* ---- for devices: what the host may be asked for at any time ---- */

/* NULL: nobody. */
static inline const struct sysbus_host_ops *sysbus_host_of(const struct sysbus *bus)
{
	return bus && bus->host ? bus->host->ops : NULL;
}
void sysbus_irq_set(struct sysbus *bus, unsigned gsi, bool level);
/* Returns when *@busy is false, or at once where an access cannot wait. */
void sysbus_wait_while(struct sysbus *bus, const bool *busy);

#endif
