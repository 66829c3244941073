/* SPDX-License-Identifier: MIT */
/*
 * The measure for our driver as a client: the same loop as one queue of `ringside bench`, over
 * libblkio's virtio-blk-vhost-user driver.  One thread, random or sequential, reads or writes; it
 * takes back all that is done, fills up, and reads the clock once in a turn, as ours does.
 *
 *	blkio SOCKET rw=randread bs=4096 depth=32 runtime=2 ramp=0.2 poll=0
 *
 * Prints one JSON object with the members of `ringside bench --format=json` that it knows.
 */
#include "base/clock.h"
#include "bench/histogram.h"

#include <blkio.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DEPTH_MAX 1024

struct slot {
	struct slot *next;
	uint8_t *buf;
	uint64_t begun_ns;
};

struct load {
	const char *socket;
	bool random, write, poll;
	uint64_t bs, depth;
	double runtime, ramp;

	struct blkio *b;
	struct blkioq *q;
	uint64_t capacity, state, next;
	struct slot slots[DEPTH_MAX], *idle;
	struct histogram latency;
	uint64_t requests;
	double seconds;
	uint64_t cpu_ns;
};

static void die(const char *what)
{
	fprintf(stderr, "blkio: %s: %s\n", what, blkio_get_error_msg());
	exit(1);
}

static void check(int rc, const char *what)
{
	if (rc)
		die(what);
}

static uint64_t random64(struct load *l)
{
	uint64_t z = l->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint64_t offset(struct load *l)
{
	uint64_t at;

	if (l->random)
		return (uint64_t)((unsigned __int128)random64(l) * (l->capacity / l->bs) >> 64) *
		       l->bs;
	at = l->next;
	l->next = at + 2 * l->bs <= l->capacity ? at + l->bs : 0;
	return at;
}

static uint64_t cpu_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static void set_up(struct load *l)
{
	struct blkio_mem_region region;

	check(blkio_create("virtio-blk-vhost-user", &l->b), "create");
	check(blkio_set_str(l->b, "path", l->socket), "path");
	check(blkio_connect(l->b), "connect");
	check(blkio_set_int(l->b, "num-queues", 1), "num-queues");
	check(blkio_set_int(l->b, "queue-size", 256), "queue-size");
	check(blkio_start(l->b), "start");
	check(blkio_get_uint64(l->b, "capacity", &l->capacity), "capacity");
	check(blkio_alloc_mem_region(l->b, &region, align_up(l->bs, 4096) * l->depth), "memory");
	check(blkio_map_mem_region(l->b, &region), "map");
	l->q = blkio_get_queue(l->b, 0);
	blkioq_set_completion_fd_enabled(l->q, !l->poll);
	for (unsigned i = 0; i < l->depth; i++) {
		l->slots[i].buf = (uint8_t *)region.addr + i * align_up(l->bs, 4096);
		memset(l->slots[i].buf, (int)i, l->bs);
		l->slots[i].next = l->idle;
		l->idle = &l->slots[i];
	}
}

static void refill(struct load *l, uint64_t now)
{
	while (l->idle) {
		struct slot *s = l->idle;

		l->idle = s->next;
		s->begun_ns = now;
		if (l->write)
			blkioq_write(l->q, offset(l), s->buf, l->bs, s, 0);
		else
			blkioq_read(l->q, offset(l), s->buf, l->bs, s, 0);
	}
}

static void run(struct load *l)
{
	static struct blkio_completion done[DEPTH_MAX];
	uint64_t now = clock_ns(), begin = now, cpu = cpu_now();
	uint64_t measure = now + (uint64_t)(l->ramp * 1e9);
	uint64_t end = measure + (uint64_t)(l->runtime * 1e9);
	bool measuring = false;

	while (now < end) {
		int n;

		refill(l, now);
		do
			n = blkioq_do_io(l->q, done, l->poll ? 0 : 1, (int)l->depth, NULL);
		while (!n);
		if (n < 0)
			die("do_io");
		now = clock_ns();
		if (!measuring && now >= measure) {
			measuring = true;
			begin = now;
			cpu = cpu_now();
		}
		for (int i = 0; i < n; i++) {
			struct slot *s = done[i].user_data;

			if (done[i].ret) {
				fprintf(stderr, "blkio: a request failed: %s\n",
					strerror(-done[i].ret));
				exit(1);
			}
			if (measuring) {
				histogram_add(&l->latency, now - s->begun_ns);
				l->requests++;
			}
			s->next = l->idle;
			l->idle = s;
		}
	}
	l->seconds = (double)(now - begin) / 1e9;
	l->cpu_ns = cpu_now() - cpu;
}

static void take_word(struct load *l, char *word)
{
	char *value = strchr(word, '=');

	if (!value) {
		l->socket = word;
		return;
	}
	*value++ = '\0';
	if (!strcmp(word, "rw")) {
		l->random = !strncmp(value, "rand", 4);
		l->write = strstr(value, "write");
	} else if (!strcmp(word, "bs")) {
		l->bs = strtoull(value, NULL, 10);
	} else if (!strcmp(word, "depth")) {
		l->depth = strtoull(value, NULL, 10);
	} else if (!strcmp(word, "runtime")) {
		l->runtime = strtod(value, NULL);
	} else if (!strcmp(word, "ramp")) {
		l->ramp = strtod(value, NULL);
	} else if (!strcmp(word, "poll")) {
		l->poll = strtoull(value, NULL, 10);
	}
}

int main(int argc, char **argv)
{
	static struct load l = {
		.random = true, .bs = 4096, .depth = 1, .runtime = 2, .ramp = 0.2, .state = 1};

	for (int i = 1; i < argc; i++)
		take_word(&l, argv[i]);
	if (!l.socket || !l.bs || l.bs % 512 || !l.depth || l.depth > DEPTH_MAX) {
		fputs("Usage: blkio SOCKET rw=randread bs=4096 depth=32 runtime=2 ramp=0.2 "
		      "poll=0\n",
		      stderr);
		return 2;
	}
	set_up(&l);
	run(&l);
	printf("{\"requests\": %llu, \"seconds\": %.6f, \"iops\": %.1f, "
	       "\"client\": {\"cpu_ns_per_request\": %.1f}, \"latency_ns\": {\"mean\": %.1f, "
	       "\"50.00\": %llu, \"99.00\": %llu}}\n",
	       (unsigned long long)l.requests, l.seconds, (double)l.requests / l.seconds,
	       (double)l.cpu_ns / (double)(l.requests ? l.requests : 1), histogram_mean(&l.latency),
	       (unsigned long long)histogram_percentile(&l.latency, 50),
	       (unsigned long long)histogram_percentile(&l.latency, 99));
	blkio_destroy(&l.b);
	return 0;
}
