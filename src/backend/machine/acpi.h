/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables (ACPI 6.5, chapter 5): the processors, where interrupts go, how to switch off, what
 * stands on the main bus.
 *
 * A PCI device's pin X in slot S is wired to interrupt line (S + X - 1) mod 4 of the ISA bridge,
 * and the lines to IRQ 10, 10, 11, 11, as firmware of this board has always set it; both APIC and
 * 8259 number them so.
 */
#ifndef BACKEND_MACHINE_ACPI_H
#define BACKEND_MACHINE_ACPI_H

#include <stddef.h>
#include <stdint.h>

/*
 * What firmware writes into the ISA bridge's routing registers, and into a function's
 * interrupt line register.
 */
#define ACPI_PIRQ_IRQ(line) ((line) < 2 ? 10 : 11)
#define ACPI_PCI_SLOTS	    32
#define ACPI_LOCAL_APIC	    0xfee00000
#define ACPI_IO_APIC	    0xfec00000

struct acpi_machine {
	unsigned cpus;
	uint32_t pci_hole, pci_hole_end; /* memory for PCI devices: first byte, first byte behind */
};

/*
 * Writes the tables for address @gpa into @at; they begin with the root pointer.
 * Return: the number of bytes, or -ENOSPC when there are more than @max.
 */
int acpi_write(const struct acpi_machine *machine, uint64_t gpa, uint8_t *at, size_t max);

#endif
