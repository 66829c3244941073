/* SPDX-License-Identifier: MIT */
/*
 * Copies between a guest's memory and ours, by the kernel: for threads that serve many maps and
 * stand in no gmem_guard of them.  Where the memory has gone that is an error of the call, and no
 * SIGBUS.
 *
 * Threads: one at a time for each struct.
 */
#ifndef MEM_FAR_COPY_H
#define MEM_FAR_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct far_copy {
	pid_t self;
	int pipe[2]; /* in its place where the kernel forbids process_vm_readv(); else -1 */
};

/* 0 or -errno. */
int far_copy_init(struct far_copy *c);
/* Harmless when done before. */
void far_copy_fini(struct far_copy *c);

/* Between @buf and the bytes [skip, skip + len) of what the vector covers.  0 or -EFAULT. */
int far_copy_in(struct far_copy *c, const struct iovec *iov, int n, uint64_t skip, void *buf,
		size_t len);
int far_copy_out(struct far_copy *c, const struct iovec *iov, int n, uint64_t skip, const void *buf,
		 size_t len);

#endif
