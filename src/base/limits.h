/* SPDX-License-Identifier: MIT */
/*
 * How many files this process may have open, and what is said when they are too few.
 *
 * Rules: our programs raise the soft limit to the hard one first thing, for nothing here uses
 * select(); a library never does, since limits are the process's; who starts another program puts
 * back what was.  Where files run out all the
 * same, the message names the limit and the number that is needed: it is our limit, and never
 * somebody else's fault (limits_is_ours()).  What a peer or a guest can ask for without end
 * (connections, flows, descriptors in messages) gives back what limits_fd_is_reserve() claims, so
 * that listeners and the control socket always have some left.
 *
 * Threads: any, but for what is said to be main's.
 */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct limits_files {
	uint64_t soft, hard; /* as the process was started */
};

/*
 * Raises the soft limit of open files to the hard one.  0 or -errno: then the limit is what it was.
 * @before is filled in either case; NULL: nobody needs it.  Main only, before threads start.
 */
int limits_raise_files(struct limits_files *before);
/* For what is started: programs that use select() go wrong with a high limit. */
void limits_restore_files(const struct limits_files *before);

/* Makes sure that 0, 1 and 2 are open (on /dev/null if need be), so that no file of ours becomes
 * standard output.  0 or -errno.  Main only, first of all. */
int limits_keep_standard_files(void);

/* How many files may be open at once, as things are. */
uint64_t limits_files(void);

/* Of the limit the last few files are a reserve. */
#define LIMITS_RESERVE 16
/*
 * Whether @fd, which has just been opened, is one of the last few that can be.  (A new one takes
 * the lowest free number, so nearly all below it are in use.)
 */
bool limits_fd_is_reserve(int fd);

/* Whether @rc (-errno) tells of a shortage in this process or host: files (also those on
 * their way in messages), memory, buffers. */
bool limits_is_ours(int rc);

/*
 * 0: @need files may be open at once.  Else -EMFILE, and in @err "WHAT need N files; the limit is M
 * (ulimit -n, LimitNOFILE=)."
 */
int limits_files_enough(uint64_t need, struct error *err, const char *what, ...)
	__attribute__((format(printf, 3, 4)));

/* The reason of @rc in words: strerror(), but a shortage of files is told with the limit and the
 * remedy.  error_set() uses it.  Returns @text. */
const char *limits_reason(int rc, char *text, size_t size);

#endif
