/* SPDX-License-Identifier: MIT */
/*
 * The terminal that the guest's serial port is plugged into: standard input and output.
 *
 * A terminal is put into raw mode while the machine runs, and back in console_fini(), however it
 * ends, and while the program is stopped (console_suspend()).  Ctrl-A X ends the machine and Ctrl-A Ctrl-A sends a Ctrl-A.  Without a terminal every
 * byte goes to the guest.
 *
 * Threads: the machine's control thread; the line's ops come with the machine lock held.
 */
#ifndef CLI_CONSOLE_H
#define CLI_CONSOLE_H

#include "backend/machine/serial.h"
#include "base/reactor.h"

#include <termios.h>

#define CONSOLE_BUFFER 4096

struct console {
	struct serial_line line;
	struct serial *serial;
	struct reactor *home;
	void (*quit)(struct console *c);

	struct reactor_watch in, out;
	bool out_waits; /* bytes wait for the other end to read */
	bool out_polls; /* the output can be waited for */
	bool in_over;
	bool raw;
	bool escape;   /* a Ctrl-A was typed */
	bool terminal; /* that was ours at the start: before and with are its modes */
	struct termios before, with;
	uint8_t typed[256];
	unsigned typed_first, typed_n;
	uint8_t sent[CONSOLE_BUFFER];
	unsigned sent_n;
};

/* Before the machine is made: the line is ready to be plugged in. */
void console_init(struct console *c);
/* Before it runs; bytes flow from now on. */
int console_start(struct console *c, struct serial *serial, struct reactor *home,
		  void (*quit)(struct console *c), struct error *err);
/*
 * The program is about to be stopped, or goes on after that: the terminal is the shell's meanwhile.
 * In the background it stays so.
 */
void console_suspend(struct console *c);
void console_resume(struct console *c);
/* Writes what waits, puts the terminal back.  Harmless when not started. */
void console_fini(struct console *c);

#endif
