/* SPDX-License-Identifier: MIT */
/*
 * The MultiProcessor table (Intel's MultiProcessor Specification 1.4, chapter 4): what the ACPI
 * tables say of processors and interrupts, for kernels that do not read those.  Firmware makes its
 * own; this one is for kernels that are booted without any.
 */
#ifndef BACKEND_MACHINE_MPTABLE_H
#define BACKEND_MACHINE_MPTABLE_H

#include "backend/machine/acpi.h"

/*
 * Writes the table for address @gpa, a multiple of 16 between 0xf0000 and 1 MiB, where kernels
 * search, into @at; it begins with the floating pointer.
 * Return: the number of bytes, or -ENOSPC when there are more than @max.
 */
int mptable_write(const struct acpi_machine *machine, uint32_t gpa, uint8_t *at, size_t max);

#endif
