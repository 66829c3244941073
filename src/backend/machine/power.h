/* SPDX-License-Identifier: MIT */
/*
 * How a guest ends or starts again, and the few ports on the ISA side that have no
 * device of their own:
 *
 *      0x092   system control: A20 is always on; bit 0 pulls the reset line
 *      0x0f4   exit port: a byte v ends the machine with status (v << 1) | 1
 *      0x402   debug port: firmware's messages
 *      0x600   ACPI: PM1 event, PM1 control (0x604: sleep type 0 and enable is power-off),
 *              timer (0x608)
 *      0xcf9   reset control
 *
 * Threads: the machine lock.
 */
#ifndef BACKEND_MACHINE_POWER_H
#define BACKEND_MACHINE_POWER_H

#include "backend/sysbus/sysbus.h"

#define POWER_PM_BASE	  0x600
#define POWER_PM1_EVENT	  POWER_PM_BASE
#define POWER_PM1_CONTROL (POWER_PM_BASE + 4)
#define POWER_PM_TIMER	  (POWER_PM_BASE + 8)
#define POWER_RESET	  0xcf9
#define POWER_RESET_VALUE 0x06
#define POWER_SCI	  9

struct power;

struct power_ops {
	void (*off)(struct power *p);
	void (*reset)(struct power *p);
	void (*exit)(struct power *p, uint8_t value);
	/* A byte of firmware's messages.  Optional. */
	void (*debug)(struct power *p, char c);
};

struct power {
	const struct power_ops *ops;
	struct sysbus_region port92, exit, debug, pm, control;
	uint16_t pm1_enable, pm1_control;
	uint8_t reset_control;
	uint64_t born_ns; /* when the timer was 0 */
};

/* To be called after the PCI host bridge has its ports: 0xcf9 lies among them. */
void power_init(struct power *p, struct sysbus *bus, const struct power_ops *ops);
void power_fini(struct power *p);
void power_reset(struct power *p);

#endif
