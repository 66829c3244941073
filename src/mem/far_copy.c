/* SPDX-License-Identifier: MIT */
#include "mem/far_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define PIECES	   64
#define PIPE_BYTES 4096 /* what any pipe takes at once */

enum direction { TO_US, FROM_US };

/* All of the pieces, or -EFAULT. */
static int copy_by_call(const struct far_copy *c, enum direction way, struct iovec *far, int n,
			void *buf, size_t len)
{
	const struct iovec near = {buf, len};
	ssize_t did = way == TO_US ? process_vm_readv(c->self, &near, 1, far, (size_t)n, 0)
				   : process_vm_writev(c->self, &near, 1, far, (size_t)n, 0);

	return did == (ssize_t)len ? 0 : -EFAULT;
}

/* One piece; the pipe is empty before and after. */
static int copy_by_pipe(const struct far_copy *c, enum direction way, uint8_t *far, uint8_t *near,
			size_t len)
{
	while (len) {
		size_t part = len < PIPE_BYTES ? len : PIPE_BYTES;
		uint8_t *from = way == TO_US ? far : near, *to = way == TO_US ? near : far;
		uint8_t rest[PIPE_BYTES];
		ssize_t n = write(c->pipe[1], from, part), got;

		if (n <= 0)
			return -EFAULT;
		got = read(c->pipe[0], to, (size_t)n);
		if (got != n) {
			/* What the kernel had copied before it met the hole is gone from the pipe. */
			while (read(c->pipe[0], rest, sizeof(rest)) > 0)
				;
			return -EFAULT;
		}
		far += n;
		near += n;
		len -= (size_t)n;
	}
	return 0;
}

static int copy_pieces(const struct far_copy *c, enum direction way, struct iovec *far, int n,
		       uint8_t *buf, size_t len)
{
	if (c->pipe[0] < 0)
		return copy_by_call(c, way, far, n, buf, len);
	for (int i = 0; i < n; i++) {
		int rc = copy_by_pipe(c, way, far[i].iov_base, buf, far[i].iov_len);

		if (rc)
			return rc;
		buf += far[i].iov_len;
	}
	return 0;
}

static int far_copy(const struct far_copy *c, enum direction way, const struct iovec *iov, int n,
		    uint64_t skip, uint8_t *buf, size_t len)
{
	int at = 0;

	while (at < n && skip >= iov[at].iov_len)
		skip -= iov[at++].iov_len;
	while (len) {
		struct iovec far[PIECES];
		size_t bytes = 0;
		int pieces = 0, rc;

		for (; at < n && pieces < PIECES && bytes < len; at++, skip = 0) {
			size_t part = iov[at].iov_len - skip;

			if (part > len - bytes)
				part = len - bytes;
			far[pieces++] = (struct iovec){(uint8_t *)iov[at].iov_base + skip, part};
			bytes += part;
		}
		rc = bytes ? copy_pieces(c, way, far, pieces, buf, bytes) : -EFAULT;
		if (rc)
			return rc;
		buf += bytes;
		len -= bytes;
	}
	return 0;
}

int far_copy_in(struct far_copy *c, const struct iovec *iov, int n, uint64_t skip, void *buf,
		size_t len)
{
	return far_copy(c, TO_US, iov, n, skip, buf, len);
}

int far_copy_out(struct far_copy *c, const struct iovec *iov, int n, uint64_t skip, const void *buf,
		 size_t len)
{
	return far_copy(c, FROM_US, iov, n, skip, (uint8_t *)buf, len);
}

int far_copy_init(struct far_copy *c)
{
	uint8_t from = 1, to = 0;
	struct iovec far = {&from, 1};

	*c = (struct far_copy){.self = getpid(), .pipe = {-1, -1}};
	if (!copy_by_call(c, TO_US, &far, 1, &to, 1) && !copy_by_call(c, FROM_US, &far, 1, &to, 1))
		return 0;
	return pipe2(c->pipe, O_CLOEXEC | O_NONBLOCK) ? -errno : 0;
}

void far_copy_fini(struct far_copy *c)
{
	for (int i = 0; i < 2; i++) {
		if (c->pipe[i] >= 0)
			close(c->pipe[i]);
		c->pipe[i] = -1;
	}
}
