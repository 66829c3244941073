/* SPDX-License-Identifier: MIT */
#include "guest/console.h"

#include "guest/cpu.h"

#include <stdio.h>

#define COM1	     0x3f8
#define LINE_CONTROL (COM1 + 3)
#define LINE_STATUS  (COM1 + 5)
#define CAN_SEND     0x20

void console_init(void)
{
	port_out8(COM1 + 1, 0);
	port_out8(LINE_CONTROL, 0x80);
	port_out8(COM1, 1); /* 115200 baud */
	port_out8(COM1 + 1, 0);
	port_out8(LINE_CONTROL, 3); /* 8n1 */
	port_out8(COM1 + 2, 7);
}

static void console_write(const char *s)
{
	for (; *s; s++) {
		while (!(port_in8(LINE_STATUS) & CAN_SEND))
			;
		port_out8(COM1, (uint8_t)*s);
	}
}

void vsay(const char *prefix, const char *fmt, va_list ap)
{
	char line[768];

	vsnprintf(line, sizeof(line), fmt, ap);
	console_write(prefix);
	console_write(line);
	console_write("\r\n");
}

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsay("", fmt, ap);
	va_end(ap);
}
