/* SPDX-License-Identifier: MIT */
/*
 * Signalling an eventfd that somebody else holds, too, without ever waiting for them.
 *
 * write() to an eventfd waits while its counter is full, unless O_NONBLOCK is set, and that flag
 * belongs to the open file: whoever shares it may change it between any look at it and the write.
 * No flag of a single write helps (RWF_NOWAIT is not for eventfds), and io_uring looks at O_NONBLOCK
 * as early as we would.  What the kernel itself does when it signals an eventfd never waits: the
 * counter saturates.  So an asynchronous read of nothing is submitted whose completion signals the
 * eventfd (io_submit(2), IOCB_FLAG_RESFD): one system call, which takes eventfds and refuses
 * everything else.
 *
 * Threads: one at a time.
 */
#ifndef BASE_EVSIGNAL_H
#define BASE_EVSIGNAL_H

#include <stdbool.h>
#include <stdint.h>

struct evsignal;

/* 0 or -errno. */
int evsignal_create(struct evsignal **out);
/* false: this kernel, or a filter, does not allow it.  To be asked before the first send. */
bool evsignal_works(struct evsignal *s);
/* NULLs *s.  Takes a few milliseconds if something was sent. */
void evsignal_destroy(struct evsignal **s);
/* 0; -EINVAL: not an eventfd; -EBADF. */
int evsignal_send(struct evsignal *s, int fd);

/*
 * The other way about: takes the count of an eventfd that somebody else holds, too, and may have
 * emptied, or made blocking, since it was found readable.  Never waits.  0: nothing was there.
 */
uint64_t evsignal_take(int fd);

/*
 * Whether @fd is an eventfd.  Asks the kernel, not the file, so no file can make the caller wait.
 * 1; 0; -errno: cannot be told here, without /proc and without io_submit().
 */
int fd_is_eventfd(int fd);

#endif
