/* SPDX-License-Identifier: MIT */
#include "cli/console.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define CTRL_A 0x01

/* ---- out ---- */

static bool writable(void)
{
	struct pollfd fd = {.fd = STDOUT_FILENO, .events = POLLOUT};

	return poll(&fd, 1, 0) == 1;
}

/*
 * A pipe or a terminal that can be written takes one byte without waiting; a reader that went
 * away loses the rest.
 */
static void flush_some(struct console *c)
{
	unsigned done = 0;

	while (done < c->sent_n && writable()) {
		ssize_t n = write(STDOUT_FILENO, c->sent + done, 1);

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			break;
		done++;
	}
	memmove(c->sent, c->sent + done, c->sent_n - done);
	c->sent_n -= done;
}

static void out_ready(struct reactor_watch *w, uint32_t events)
{
	struct console *c = container_of(w, struct console, out);

	(void)events;
	flush_some(c);
	if (c->sent_n)
		return;
	c->out_waits = false;
	reactor_watch_stop(c->home, &c->out);
	serial_room(c->serial);
}

static bool console_sent(struct serial_line *line, uint8_t byte)
{
	struct console *c = container_of(line, struct console, line);

	if (c->sent_n == CONSOLE_BUFFER)
		return false;
	c->sent[c->sent_n++] = byte;
	if (c->out_waits)
		return c->sent_n < CONSOLE_BUFFER;
	flush_some(c);
	if (!c->sent_n)
		return true;
	if (reactor_watch_start(c->home, &c->out, STDOUT_FILENO, EPOLLOUT)) {
		c->sent_n = 0; /* nobody could ever say when */
		return true;
	}
	c->out_waits = true;
	return true;
}

/* ---- in ---- */

static void deliver(struct console *c)
{
	unsigned n = serial_receive(c->serial, c->typed + c->typed_first, c->typed_n);

	c->typed_first += n;
	c->typed_n -= n;
	if (!c->typed_n)
		c->typed_first = 0;
}

/* Takes the escape sequences out of what was typed. */
static void filter(struct console *c)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < c->typed_n; i++) {
		uint8_t b = c->typed[i];

		if (!c->escape && b == CTRL_A) {
			c->escape = true;
			continue;
		}
		if (c->escape && (b == 'x' || b == 'X'))
			c->quit(c);
		else if (!c->escape || b == CTRL_A)
			c->typed[kept++] = b;
		c->escape = false;
	}
	c->typed_n = kept;
}

static bool readable(void)
{
	struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};

	return poll(&fd, 1, 0) == 1;
}

static void in_ready(struct reactor_watch *w, uint32_t events)
{
	struct console *c = container_of(w, struct console, in);

	(void)events;
	while (!c->in_over && !c->typed_n && readable()) {
		ssize_t n = read(STDIN_FILENO, c->typed, sizeof(c->typed));

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			return;
		if (n <= 0) {
			c->in_over = true;
			return;
		}
		c->typed_n = (unsigned)n;
		if (c->raw)
			filter(c);
		deliver(c);
	}
}

static void taken(struct serial_line *line)
{
	struct console *c = container_of(line, struct console, line);

	if (c->typed_n)
		deliver(c);
	if (!c->typed_n)
		in_ready(&c->in, 0);
}

static const struct serial_line_ops line_ops = {
	.sent = console_sent,
	.taken = taken,
};

/* ---- life ---- */

void console_init(struct console *c)
{
	*c = (struct console){.line.ops = &line_ops};
	c->in.ready = in_ready;
	c->out.ready = out_ready;
}

/* A terminal, and we are in its foreground: a background job must not touch it. */
static bool is_ours(void)
{
	return isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp();
}

int console_start(struct console *c, struct serial *serial, struct reactor *home,
		  void (*quit)(struct console *c), struct error *err)
{
	int rc;

	c->serial = serial;
	c->quit = quit;
	c->home = home;
	rc = reactor_watch_start(home, &c->in, STDIN_FILENO, EPOLLIN);
	if (rc == -EPERM) /* a file: it can always be read */
		in_ready(&c->in, 0);
	else if (rc && rc != -EBADF)
		return error_set(err, rc, "cannot wait for standard input");
	if (!is_ours() || tcgetattr(STDIN_FILENO, &c->before))
		return 0;
	c->terminal = true;
	c->with = c->before;
	cfmakeraw(&c->with);
	c->with.c_oflag |= OPOST & c->before.c_oflag;
	console_resume(c);
	return 0;
}

void console_suspend(struct console *c)
{
	if (c->raw && is_ours())
		tcsetattr(STDIN_FILENO, TCSADRAIN, &c->before);
	c->raw = false;
}

void console_resume(struct console *c)
{
	if (c->terminal && !c->raw && is_ours())
		c->raw = !tcsetattr(STDIN_FILENO, TCSANOW, &c->with);
}

void console_fini(struct console *c)
{
	if (!c->home)
		return;
	flush_some(c);
	reactor_watch_stop(c->home, &c->in);
	reactor_watch_stop(c->home, &c->out);
	console_suspend(c);
	c->terminal = false;
	c->home = NULL;
}
