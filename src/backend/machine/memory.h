/* SPDX-License-Identifier: MIT */
/*
 * The PC's memory: where it lies, and the list of it (e820) that firmware and kernels are given.
 *
 *      0x0000_0000  RAM, the first 640 KiB
 *      0x000a_0000  nothing (a VGA card's window)
 *      0x000c_0000  RAM that firmware fills; ACPI and MultiProcessor tables when a kernel is
 *                   booted directly
 *      0x0010_0000  RAM, up to 3 GiB
 *      0xc000_0000  PCI memory, up to the I/O APIC at 0xfec0_0000
 *      0xfffc_0000  the firmware's image
 *    0x1_0000_0000  the rest of the RAM
 *
 * Threads: built on the control thread; the map is read by all.
 */
#ifndef BACKEND_MACHINE_MEMORY_H
#define BACKEND_MACHINE_MEMORY_H

#include "base/endian.h"
#include "base/error.h"
#include "mem/gmem.h"

#define PC_LOW_HOLE	0xa0000
#define PC_LOW_HOLE_END 0xc0000
#define PC_ACPI		0xe0000
#define PC_ACPI_SIZE	0x10000
#define PC_MPTABLE	0xf0000 /* to 1 MiB */
#define PC_MPTABLE_SIZE 0x10000
#define PC_PCI_HOLE	0xc0000000
#define PC_PCI_HOLE_END 0xfec00000
#define PC_HIGH		0x100000000
#define PC_MEMORY_MIN	(4 << 20)

/* Type of a range. */
#define E820_RAM      1
#define E820_RESERVED 2

struct e820_entry {
	le64 addr;
	le64 size;
	le32 type;
} __attribute__((packed));
_Static_assert(sizeof(struct e820_entry) == 20, "as the BIOS call gives it");

#define E820_MAX 8

struct pc_memory {
	uint8_t *host; /* all of it, in one piece; the hole's part is not used */
	uint64_t size;
	uint64_t low; /* below the PCI hole */
	struct gmem *map;
};

/* @size is a multiple of 1 MiB and at least PC_MEMORY_MIN. */
int pc_memory_init(struct pc_memory *m, uint64_t size, struct error *err);
/* Nobody uses the map any more but by references of their own.  Harmless when zeroed. */
void pc_memory_fini(struct pc_memory *m);

/* Returns the number of entries, at most E820_MAX. */
unsigned pc_memory_e820(const struct pc_memory *m, struct e820_entry *out);

/* All of the range in RAM, or NULL. */
void *pc_memory_at(const struct pc_memory *m, uint64_t gpa, uint64_t len);

#endif
