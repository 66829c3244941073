/* SPDX-License-Identifier: MIT */
/*
 * Log lines: "ringside: disk0/queue1: text".  The sink and the level are the one mutable global of
 * the project; main sets them once, before any thread runs.  A line that a guest or a peer can
 * cause at will goes through log_limited(), which lets a burst pass and then counts what it holds
 * back.
 *
 * Standard error that nobody reads (a full pipe, a terminal that was stopped) is waited for by
 * nobody: the line is lost, and the next one that is taken says how many were.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level {
	LOG_LEVEL_ERR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DBG,
};

/* Called with a whole line, no newline; any thread. */
typedef void log_sink_fn(void *opaque, enum log_level level, const char *line);

/* Main only, before threads start.  A NULL @sink means standard error. */
void log_setup(enum log_level level, log_sink_fn *sink, void *opaque);
/*
 * If the sink was given this @opaque it gets NULL instead: what it stood for goes away.  Waits for
 * whoever is in the sink; not from inside it.
 */
void log_let_go(const void *opaque);
bool log_wants(enum log_level level);

/* @path names the thing that speaks ("disk0/queue1"), NULL for the program itself. */
void log_line(enum log_level level, const char *path, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_err(path, ...)  log_line(LOG_LEVEL_ERR, (path), __VA_ARGS__)
#define log_warn(path, ...) log_line(LOG_LEVEL_WARN, (path), __VA_ARGS__)
#define log_info(path, ...) log_line(LOG_LEVEL_INFO, (path), __VA_ARGS__)
#define log_dbg(path, ...)                                            \
	do {                                                          \
		if (log_wants(LOG_LEVEL_DBG))                         \
			log_line(LOG_LEVEL_DBG, (path), __VA_ARGS__); \
	} while (0)

/* One of these per object that a guest or peer can make speak; zeroed is ready; used by one thread
 * at a time. */
struct log_limit {
	uint64_t window_ns; /* when the present window began       */
	uint32_t passed;    /* lines let through in this window    */
	uint32_t held;	    /* lines held back since the last one  */
};

/* Like log_line(), at most LOG_LIMIT_BURST lines in LOG_LIMIT_SECONDS. */
#define LOG_LIMIT_BURST	  8
#define LOG_LIMIT_SECONDS 10
void log_limited(struct log_limit *limit, enum log_level level, const char *path, const char *fmt,
		 ...) __attribute__((format(printf, 4, 5)));

#endif
