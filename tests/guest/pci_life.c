/* SPDX-License-Identifier: MIT */
/*
 * The installed library on a PCI device, for vfio_test.py: each command is one case, and
 * says what went wrong.
 *
 *	pci_life life TARGET SERIAL	memory of every kind, every request, resets
 *	pci_life grow TARGET		says "ready BYTES", waits until the capacity changes, says "now BYTES"
 */
#include <ringside/driver.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BYTES	     65536u
#define PIECES	     20
#define F_RING_RESET 40

static struct ringside_error err;

static void must(const char *what, int rc, int wanted)
{
	if (rc == wanted)
		return;
	printf("%s: %d, not %d; %s\n", what, rc, wanted, err.text);
	exit(1);
}

static void on_done(struct ringside_request *req)
{
	*(int *)req->opaque = req->result;
}

#define RUNNING 1

/* What @call submits, done and with its result. */
#define run(q, call)                                                               \
	({                                                                         \
		int outcome = RUNNING;                                             \
		struct ringside_request r = {.done = on_done, .opaque = &outcome}; \
                                                                                   \
		call;                                                              \
		ringside_commit(q);                                                \
		while (outcome == RUNNING)                                         \
			if (ringside_wait(q, 10000) <= 0)                          \
				break;                                             \
		outcome;                                                           \
	})

static void fill(uint8_t *p, unsigned seed)
{
	for (unsigned i = 0; i < BYTES; i++)
		p[i] = (uint8_t)(i * 31 + (i >> 8) + seed);
}

static void same(const char *what, const uint8_t *a, const uint8_t *b)
{
	must(what, memcmp(a, b, BYTES), 0);
}

/* Written from one piece of memory, read into the other. */
static void round_trip(struct ringside_disk *disk, uint8_t *from, uint8_t *to, unsigned seed)
{
	struct ringside_info info;

	ringside_get_info(disk, &info);
	for (unsigned i = 0; i < info.queues; i++) {
		struct ringside_queue *q = ringside_queue(disk, i);

		fill(from, seed + i);
		memset(to, 0, BYTES);
		must("write", run(q, ringside_write(q, &r, i * BYTES, from, BYTES)), 0);
		must("read", run(q, ringside_read(q, &r, i * BYTES, to, BYTES)), 0);
		same("what was written is read", from, to);
	}
}

static uint8_t *registered(struct ringside_disk *disk, int *fd)
{
	uint8_t *p;

	*fd = memfd_create("pci-life", MFD_CLOEXEC);
	must("memory of one's own", *fd < 0 || ftruncate(*fd, 2 * BYTES), 0);
	p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, BYTES);
	must("a mapping of it", p == MAP_FAILED, 0);
	must("register", ringside_mem_register(disk, p, BYTES, *fd, BYTES, &err), 0);
	return p;
}

static void many_buffers(struct ringside_queue *q, uint8_t *from, uint8_t *to)
{
	struct iovec iov[16];

	for (unsigned i = 0; i < 16; i++)
		iov[i] = (struct iovec){(i & 1 ? from : to) + i * 4096, 4096};
	fill(from, 77);
	fill(to, 78);
	must("writev", run(q, ringside_writev(q, &r, 0, iov, 16)), 0);
	memset(from, 0, BYTES);
	memset(to, 0, BYTES);
	must("readv", run(q, ringside_readv(q, &r, 0, iov, 16)), 0);
	for (unsigned i = 0; i < BYTES; i++) {
		const uint8_t *p = i >> 12 & 1 ? from : to;
		unsigned seed = i >> 12 & 1 ? 77 : 78;

		must("a byte of many buffers", p[i], (uint8_t)(i * 31 + (i >> 8) + seed));
	}
}

static void every_request(struct ringside_queue *q, const char *serial, uint8_t *from, uint8_t *to)
{
	const struct ringside_range range = {.sector = 0, .sectors = BYTES / 512};
	char id[21] = "";
	uint8_t private[512];

	must("flush", run(q, ringside_flush(q, &r)), 0);
	must("get_id", run(q, ringside_get_id(q, &r, id)), 0);
	must("the serial number", strcmp(id, serial), 0);
	must("discard", run(q, ringside_discard(q, &r, &range, 1)), 0);
	must("write_zeroes", run(q, ringside_write_zeroes(q, &r, &range, 1, true)), 0);
	memset(from, 0, BYTES);
	must("read zeroes", run(q, ringside_read(q, &r, 0, to, BYTES)), 0);
	same("zeroes", from, to);
	must("memory that is not registered",
	     run(q, ringside_read(q, &r, 0, private, sizeof(private))), -EFAULT);
	must("an unknown request", run(q, ringside_raw(q, &r, 0x1234, 0, NULL, 0, 0)), -ENOTSUP);
}

static void life(const char *target, const char *serial)
{
	struct ringside_disk *disk = NULL;
	struct ringside_queue *q;
	struct ringside_info info;
	void *a, *more[PIECES];
	uint8_t *b;
	int fd;

	must("open", ringside_open(target, NULL, &disk, &err), 0);
	must("open twice", ringside_open(target, NULL, &(struct ringside_disk *){NULL}, NULL),
	     -EBUSY);
	must("alloc", ringside_mem_alloc(disk, BYTES, &a, &err), 0);
	b = registered(disk, &fd);
	must("start", ringside_start(disk, &err), 0);
	ringside_get_info(disk, &info);
	q = ringside_queue(disk, 0);
	round_trip(disk, a, b, 1);
	round_trip(disk, b, a, 2);
	many_buffers(q, a, b);
	every_request(q, serial, a, b);
	/* Memory comes and goes while it runs. */
	for (unsigned i = 0; i < PIECES; i++)
		must("alloc many", ringside_mem_alloc(disk, BYTES, &more[i], &err), 0);
	for (unsigned i = 0; i < PIECES; i += 2)
		round_trip(disk, more[i], more[i + 1], i);
	for (unsigned i = 0; i < PIECES; i++)
		must("remove", ringside_mem_remove(disk, more[i]), 0);
	must("queue reset", ringside_queue_reset(q),
	     info.features >> F_RING_RESET & 1 ? 0 : -ENOTSUP);
	round_trip(disk, a, b, 3);
	must("stop", ringside_stop(disk, &err), 0);
	must("start again", ringside_start(disk, &err), 0);
	round_trip(disk, a, b, 4);
	/* From outside, with a request under way that comes again. */
	fill(a, 5);
	must("a reset of the function",
	     run(q, ringside_write(q, &r, 0, a, BYTES); ringside_commit(q);
		 must("reconnect", ringside_reconnect(disk, &err), 0)),
	     0);
	must("read", run(q, ringside_read(q, &r, 0, b, BYTES)), 0);
	same("what was written is read", a, b);
	round_trip(disk, a, b, 6);
	must("unregister", ringside_mem_remove(disk, b), 0);
	ringside_close(&disk);
	close(fd);
	must("open again", ringside_open(target, NULL, &disk, &err), 0);
	ringside_close(&disk);
}

static void grow(const char *target)
{
	struct ringside_disk *disk = NULL;
	struct ringside_info info;
	int events = 0;

	must("open", ringside_open(target, NULL, &disk, &err), 0);
	must("start", ringside_start(disk, &err), 0);
	ringside_get_info(disk, &info);
	printf("ready %llu\n", (unsigned long long)info.capacity);
	while (!(events & RINGSIDE_EVENT_CONFIG)) {
		struct pollfd p = {.fd = ringside_event_fd(disk), .events = POLLIN};

		must("an event in time", poll(&p, 1, 30000), 1);
		events = ringside_process(disk);
		must("an event without failure", events < 0, 0);
	}
	ringside_get_info(disk, &info);
	printf("now %llu\n", (unsigned long long)info.capacity);
	ringside_close(&disk);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 4 && !strcmp(argv[1], "life"))
		life(argv[2], argv[3]);
	else if (argc == 3 && !strcmp(argv[1], "grow"))
		grow(argv[2]);
	else
		return 2;
	return 0;
}
