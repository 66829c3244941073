/* SPDX-License-Identifier: MIT */
/*
 * The keyboard controller (8042), with nothing plugged into it: for software that waits for its
 * answers, tests it, or pulls the reset line through it.  A command for a keyboard or a mouse is
 * answered as by a cable that leads nowhere.
 *
 *      0x60   data                0x64   status; commands
 *
 * It raises no interrupt: nobody types, and who sends a command polls.  The ACPI
 * tables do not mention it.
 *
 * Threads: the machine lock.
 */
#ifndef BACKEND_MACHINE_KEYBOARD_H
#define BACKEND_MACHINE_KEYBOARD_H

#include "backend/sysbus/sysbus.h"

struct keyboard;

struct keyboard_ops {
	void (*reset)(struct keyboard *k);
};

struct keyboard {
	const struct keyboard_ops *ops;
	struct sysbus_region data, command;
	uint8_t config;
	uint8_t status;
	uint8_t out;	 /* what the next read of the data port gets */
	uint8_t waiting; /* the command whose byte comes by the data port, 0: none */
};

void keyboard_init(struct keyboard *k, struct sysbus *bus, const struct keyboard_ops *ops);
/* Power-on state. */
void keyboard_reset(struct keyboard *k);

#endif
