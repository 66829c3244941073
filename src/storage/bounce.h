/* SPDX-License-Identifier: MIT */
/*
 * Aligned buffers for O_DIRECT requests whose own memory is not aligned.  Rare by design: a Linux
 * guest aligns its buffers, boot loaders and old drivers do not.  So the buffers come into being on
 * demand, are few, and are kept; who finds none waits.
 *
 * Threads: one pool per channel, used by its thread.
 */
#ifndef STORAGE_BOUNCE_H
#define STORAGE_BOUNCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define BOUNCE_BYTES ((size_t)128 << 10) /* of one buffer; longer requests take several rounds */
#define BOUNCE_MAX   16			 /* buffers of a pool                                  */

struct bounce_pool {
	void *idle[BOUNCE_MAX];
	unsigned nidle;
	unsigned nmade;
	size_t align;
};

/* @align is a power of two. */
void bounce_init(struct bounce_pool *p, size_t align);
/* All buffers are back. */
void bounce_fini(struct bounce_pool *p);
/* NULL: all are taken (bounce_put() will come), or, if none was ever made, there is no memory. */
void *bounce_get(struct bounce_pool *p);
void bounce_put(struct bounce_pool *p, void *buf);

/* Whether each element's address and length are multiples; both are powers of two. */
bool iov_is_aligned(const struct iovec *iov, int n, size_t addr_align, size_t len_align);
/* Between @buf and the bytes [skip, skip + len) of what the vector covers. */
void iov_gather(const struct iovec *iov, int n, uint64_t skip, void *buf, size_t len);
void iov_scatter(const struct iovec *iov, int n, uint64_t skip, const void *buf, size_t len);
/*
 * Cuts off the first @len bytes: what is left is iov[i] and what follows, i being returned; n if
 * nothing is.  Nothing but iov[i] changes, and iov_uncut() makes it as it was.
 */
int iov_cut(struct iovec *iov, int n, uint64_t len);
void iov_uncut(struct iovec *iov, int i, uint64_t len);

/* A part of what a vector covers, as a vector: iov[first] up to iov[last]. */
struct iov_window {
	int first, last;
	struct iovec was_first, was_last;
};
/* @len is not 0, and the vector covers it.  Nothing but the two elements changes. */
void iov_window_open(struct iov_window *w, struct iovec *iov, uint64_t skip, uint64_t len);
/* The vector is as it was. */
void iov_window_close(const struct iov_window *w, struct iovec *iov);

#endif
