/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables for firmware that chooses their place: the tables as acpi_write() makes them for
 * address 0, and a list of what to allocate, which pointers to move and which checksums to mend
 * afterwards (QEMU's table loader, which SeaBIOS carries out).
 */
#ifndef BACKEND_MACHINE_ACPI_LINKER_H
#define BACKEND_MACHINE_ACPI_LINKER_H

#include "backend/machine/acpi.h"
#include "backend/machine/fw_cfg.h"

/* Puts etc/acpi/tables, etc/acpi/rsdp and etc/table-loader there.  -ENOMEM, -ENOSPC. */
int acpi_link(const struct acpi_machine *machine, struct fw_cfg *fw_cfg);

#endif
