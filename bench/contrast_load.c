/* SPDX-License-Identifier: MIT */
/*
 * The load of bench/contrast, inside the guest: COUNT reads or writes of SIZE bytes, past the
 * page cache, DEPTH at a time, at places that a fixed generator draws.  Prints the nanoseconds
 * that all of them took.
 *
 *	contrast_load DEVICE read|write SIZE DEPTH COUNT
 *
 * Built static, so that it runs in a guest that has nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DEPTH_MAX 64

struct load {
	int fd;
	bool write;
	unsigned size, depth, count;
	uint64_t places; /* of SIZE bytes, on the device */
	uint64_t state;	 /* of the generator */
	struct io_uring ring;
	char *buffers;
};

static void fail(const char *what, int error)
{
	fprintf(stderr, "contrast_load: %s: %s\n", what, strerror(error));
	exit(1);
}

/* Knuth's MMIX generator; the high bits are the good ones. */
static uint64_t draw(struct load *l)
{
	l->state = l->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (l->state >> 33) % l->places;
}

static void start(struct load *l, unsigned slot)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&l->ring);
	char *buffer = l->buffers + (size_t)slot * l->size;
	uint64_t offset = draw(l) * l->size;

	if (l->write)
		io_uring_prep_write(sqe, l->fd, buffer, l->size, offset);
	else
		io_uring_prep_read(sqe, l->fd, buffer, l->size, offset);
	io_uring_sqe_set_data64(sqe, slot);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t run(struct load *l)
{
	unsigned started = 0, done = 0;
	uint64_t begin = now();

	while (started < l->depth && started < l->count) {
		start(l, started);
		started++;
	}
	while (done < l->count) {
		struct io_uring_cqe *cqe;
		int rc = io_uring_submit_and_wait(&l->ring, 1);

		if (rc < 0 && rc != -EINTR)
			fail("io_uring", -rc);
		while (!io_uring_peek_cqe(&l->ring, &cqe)) {
			if (cqe->res != (int)l->size)
				fail("a request", cqe->res < 0 ? -cqe->res : EIO);
			done++;
			if (started < l->count) {
				start(l, (unsigned)cqe->user_data);
				started++;
			}
			io_uring_cqe_seen(&l->ring, cqe);
		}
	}
	return now() - begin;
}

static unsigned number(const char *text, unsigned max)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || !n || n > max)
		fail(text, EINVAL);
	return (unsigned)n;
}

int main(int argc, char **argv)
{
	struct load l = {.state = 1};
	off_t bytes;
	int rc;

	if (argc != 6) {
		fputs("usage: contrast_load DEVICE read|write SIZE DEPTH COUNT\n", stderr);
		return 2;
	}
	l.write = !strcmp(argv[2], "write");
	l.size = number(argv[3], 1 << 20);
	l.depth = number(argv[4], DEPTH_MAX);
	l.count = number(argv[5], 1 << 30);
	l.fd = open(argv[1], O_RDWR | O_DIRECT);
	if (l.fd < 0)
		fail(argv[1], errno);
	bytes = lseek(l.fd, 0, SEEK_END);
	if (bytes < (off_t)l.size)
		fail(argv[1], EINVAL);
	l.places = (uint64_t)bytes / l.size;
	if (posix_memalign((void **)&l.buffers, 4096, (size_t)l.size * l.depth))
		fail("buffers", ENOMEM);
	memset(l.buffers, 0x5a, (size_t)l.size * l.depth);
	rc = io_uring_queue_init(DEPTH_MAX, &l.ring, 0);
	if (rc)
		fail("io_uring", -rc);
	printf("%" PRIu64 "\n", run(&l));
	return fflush(stdout) ? 1 : 0;
}
