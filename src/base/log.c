/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include "base/atomic.h"
#include "base/clock.h"

#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void to_stderr(void *opaque, enum log_level level, const char *line);

static struct {
	enum log_level level; /* atomic */
	/* Who is in the sink holds it: what @opaque stands for stays until then. */
	pthread_rwlock_t lock;
	log_sink_fn *sink;
	void *opaque;
} log_state = {LOG_LEVEL_INFO, PTHREAD_RWLOCK_INITIALIZER, to_stderr, NULL};

/* ---- standard error ---- */

/* Of a thread that others need, when another one is just writing. */
#define PATIENCE_NS (20 * NSEC_PER_MSEC)

static struct {
	pthread_mutex_t lock; /* from the look to the write; protects @lost */
	unsigned lost;	      /* lines since the last one that was written  */
} log_stderr = {.lock = PTHREAD_MUTEX_INITIALIZER};

/*
 * A terminal that was stopped and a pipe that nobody reads take nothing, and whoever writes waits:
 * guests cause lines, on workers.  A line is shorter than what a pipe takes at once (PIPE_BUF).
 */
static bool stderr_takes_a_line(void)
{
	struct pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT};

	return poll(&fd, 1, 0) != 0;
}

static void write_stderr(const char *out, size_t n)
{
	char lost[80];
	int len;

	if (!stderr_takes_a_line()) {
		log_stderr.lost++;
		return;
	}
	if (log_stderr.lost) {
		len = snprintf(lost, sizeof(lost),
			       "ringside: warning: %u lines were lost, as nobody took them\n",
			       log_stderr.lost);
		log_stderr.lost = 0;
		if (write(STDERR_FILENO, lost, (size_t)len) < 0)
			return;
		if (!stderr_takes_a_line()) {
			log_stderr.lost++;
			return;
		}
	}
	if (write(STDERR_FILENO, out, n) < 0)
		return; /* nowhere left to complain to */
}

/*
 * false: somebody else is at it for too long.  Not pthread_mutex_clocklock(): the thread sanitizer of
 * gcc 12 does not know it, and takes what follows for an unlock of what was never locked.
 */
static bool lock_stderr(void)
{
	const struct timespec moment = {.tv_nsec = 100 * NSEC_PER_USEC};
	uint64_t until = clock_ns() + PATIENCE_NS;

	while (pthread_mutex_trylock(&log_stderr.lock)) {
		if (clock_ns() >= until)
			return false;
		nanosleep(&moment, NULL);
	}
	return true;
}

/* One write per line, so that lines of several threads do not mix. */
static void to_stderr(void *opaque, enum log_level level, const char *line)
{
	char out[1100];
	int n;

	(void)opaque;
	n = snprintf(out, sizeof(out), "ringside: %s%s\n",
		     level == LOG_LEVEL_WARN ? "warning: " : "", line);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof(out))
		n = sizeof(out) - 1;
	if (!lock_stderr())
		return;
	write_stderr(out, (size_t)n);
	pthread_mutex_unlock(&log_stderr.lock);
}

/* ---- lines ---- */

void log_setup(enum log_level level, log_sink_fn *sink, void *opaque)
{
	write_once(&log_state.level, level);
	pthread_rwlock_wrlock(&log_state.lock);
	log_state.sink = sink ? sink : to_stderr;
	log_state.opaque = opaque;
	pthread_rwlock_unlock(&log_state.lock);
}

void log_let_go(const void *opaque)
{
	pthread_rwlock_wrlock(&log_state.lock);
	if (log_state.opaque == opaque)
		log_state.opaque = NULL;
	pthread_rwlock_unlock(&log_state.lock);
}

bool log_wants(enum log_level level)
{
	return level <= read_once(&log_state.level);
}

__attribute__((format(printf, 3, 0))) static void emit(enum log_level level, const char *path,
						       const char *fmt, va_list ap)
{
	char line[1024];
	size_t n = 0;

	if (path) {
		int len = snprintf(line, sizeof(line), "%s: ", path);

		if (len > 0)
			n = (size_t)len < sizeof(line) ? (size_t)len : sizeof(line) - 1;
	}
	vsnprintf(line + n, sizeof(line) - n, fmt, ap);
	pthread_rwlock_rdlock(&log_state.lock);
	log_state.sink(log_state.opaque, level, line);
	pthread_rwlock_unlock(&log_state.lock);
}

void log_line(enum log_level level, const char *path, const char *fmt, ...)
{
	va_list ap;

	if (!log_wants(level))
		return;
	va_start(ap, fmt);
	emit(level, path, fmt, ap);
	va_end(ap);
}

void log_limited(struct log_limit *limit, enum log_level level, const char *path, const char *fmt,
		 ...)
{
	uint64_t now = clock_ns();
	va_list ap;

	if (now - limit->window_ns > LOG_LIMIT_SECONDS * NSEC_PER_SEC) {
		if (limit->held)
			log_line(level, path, "%u similar lines were held back", limit->held);
		limit->window_ns = now;
		limit->passed = 0;
		limit->held = 0;
	}
	if (limit->passed >= LOG_LIMIT_BURST) {
		limit->held++;
		return;
	}
	limit->passed++;
	if (!log_wants(level))
		return;
	va_start(ap, fmt);
	emit(level, path, fmt, ap);
	va_end(ap);
}
