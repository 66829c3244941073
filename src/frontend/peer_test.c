/* SPDX-License-Identifier: MIT */
/*
 * The driver against a back end that is not ours: qemu-storage-daemon, on a null device and on a
 * file.  Where the program is missing every case is skipped.
 */
#include "test.h"

#include <ringside/driver.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DAEMON	   "qemu-storage-daemon"
#define DISK_BYTES (4u << 20)
#define BLOCK	   4096u
#define DEPTH	   16u

struct peer {
	char dir[64], socket[96], image[96], blockdev[192], export[256];
	pid_t pid;
};

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

static void spawn(struct peer *p)
{
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (!p->pid) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, 1);
		dup2(null, 2);
		execlp(DAEMON, DAEMON, "--blockdev", p->blockdev, "--export", p->export, NULL);
		_exit(127);
	}
	for (unsigned i = 0; i < 2000; i++) {
		struct stat st;
		int status;

		if (waitpid(p->pid, &status, WNOHANG) == p->pid) {
			p->pid = 0;
			return;
		}
		if (!stat(p->socket, &st))
			return;
		nap();
	}
}

static void finish_peer(struct peer *p)
{
	if (p->pid > 0) {
		kill(p->pid, SIGKILL);
		waitpid(p->pid, NULL, 0);
	}
	p->pid = 0;
	unlink(p->socket);
}

/* false: no such program here. */
static bool start_peer(struct peer *p, bool file, unsigned queues)
{
	memset(p, 0, sizeof(*p));
	strcpy(p->dir, "/tmp/ringside-peer-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->socket, sizeof(p->socket), "%s/sock", p->dir);
	snprintf(p->image, sizeof(p->image), "%s/image", p->dir);
	if (file) {
		int fd = open(p->image, O_CREAT | O_RDWR, 0600);

		assert_true(fd >= 0);
		assert_int_equal(ftruncate(fd, DISK_BYTES), 0);
		close(fd);
		snprintf(p->blockdev, sizeof(p->blockdev),
			 "driver=file,node-name=d,filename=%s,discard=unmap", p->image);
	} else {
		snprintf(p->blockdev, sizeof(p->blockdev),
			 "driver=null-co,node-name=d,size=%u,read-zeroes=on", DISK_BYTES);
	}
	snprintf(p->export, sizeof(p->export),
		 "type=vhost-user-blk,id=e,node-name=d,addr.type=unix,addr.path=%s,writable=on,"
		 "num-queues=%u,logical-block-size=512",
		 p->socket, queues);
	spawn(p);
	return p->pid > 0;
}

static void end_peer(struct peer *p)
{
	finish_peer(p);
	unlink(p->image);
	rmdir(p->dir);
}

#define WITH_PEER(p, file, queues)                        \
	do {                                              \
		if (!start_peer((p), (file), (queues))) { \
			end_peer(p);                      \
			skip();                           \
		}                                         \
	} while (0)

static struct ringside_disk *open_disk(const struct peer *p, const char *query)
{
	struct ringside_disk *disk = NULL;
	struct ringside_error err = {""};
	char uri[256];
	int rc;

	snprintf(uri, sizeof(uri), "vhost-user:%s%s", p->socket, query);
	rc = ringside_open(uri, NULL, &disk, &err);
	/* The socket's name is there a little before somebody listens. */
	for (unsigned i = 0; rc == -ECONNREFUSED && i < 200; i++) {
		nap();
		rc = ringside_open(uri, NULL, &disk, &err);
	}
	if (rc)
		fail_msg("%s: %s", uri, err.text);
	return disk;
}

/* ---- random writes and reads that are verified ---- */

struct job {
	struct ringside_request req;
	struct load *load;
	uint8_t *buf;
	uint32_t block;
	bool busy, write;
};

struct load {
	struct ringside_queue *q;
	uint32_t generation[DISK_BYTES / BLOCK];
	bool locked[DISK_BYTES / BLOCK];
	struct job jobs[DEPTH];
	uint64_t seed;
	unsigned done, errors, first, blocks;
	bool zeroes; /* the disk forgets what is written */
	bool sleep, good;
	pthread_t thread;
};

static uint32_t rnd(struct load *l)
{
	l->seed = l->seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(l->seed >> 33);
}

static uint32_t word_of(uint32_t block, uint32_t generation, uint32_t i)
{
	return generation ? block * 2654435761u ^ generation * 40503u ^ i : 0;
}

static void job_done(struct ringside_request *req)
{
	struct job *j = req->opaque;
	struct load *l = j->load;

	j->busy = false;
	l->locked[j->block] = false;
	l->done++;
	if (req->result) {
		l->errors++;
		return;
	}
	if (j->write)
		return;
	for (uint32_t i = 0; i < BLOCK / 4; i++) {
		uint32_t w;

		memcpy(&w, j->buf + i * 4, 4);
		if (w != word_of(j->block, l->zeroes ? 0 : l->generation[j->block], i)) {
			l->errors++;
			return;
		}
	}
}

static void submit_one(struct load *l, struct job *j)
{
	uint32_t b;

	do
		b = l->first + rnd(l) % l->blocks;
	while (l->locked[b]);
	l->locked[b] = true;
	j->block = b;
	j->busy = true;
	j->write = rnd(l) % 2;
	if (j->write) {
		l->generation[b]++;
		for (uint32_t i = 0; i < BLOCK / 4; i++) {
			uint32_t w = word_of(b, l->generation[b], i);

			memcpy(j->buf + i * 4, &w, 4);
		}
		ringside_write(l->q, &j->req, (uint64_t)b * BLOCK, j->buf, BLOCK);
	} else {
		memset(j->buf, 0xee, BLOCK);
		ringside_read(l->q, &j->req, (uint64_t)b * BLOCK, j->buf, BLOCK);
	}
}

/* Whether all went well; no assertions, because it runs in threads. */
static bool run_load(struct load *l)
{
	const unsigned ops = 600;
	unsigned submitted = 0, idle = 0;

	while (l->done < ops) {
		int n;

		for (unsigned i = 0; i < DEPTH && submitted < ops; i++) {
			if (l->jobs[i].busy)
				continue;
			submit_one(l, &l->jobs[i]);
			submitted++;
		}
		ringside_commit(l->q);
		n = l->sleep ? ringside_wait(l->q, 20000) : ringside_poll(l->q, 0);
		if (n < 0 || (l->sleep && !n))
			return false;
		/* On a machine with few cores the back end needs ours. */
		if (!n && ++idle % 64 == 0)
			sched_yield();
	}
	return !l->errors;
}

static void *load_main(void *opaque)
{
	struct load *l = opaque;

	l->good = run_load(l);
	return NULL;
}

static struct load *make_load(struct ringside_queue *q, uint8_t *mem, unsigned part, unsigned parts)
{
	struct load *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	l->q = q;
	l->seed = 1 + part;
	l->blocks = DISK_BYTES / BLOCK / parts;
	l->first = part * l->blocks;
	for (unsigned i = 0; i < DEPTH; i++) {
		l->jobs[i].load = l;
		l->jobs[i].buf = mem + (size_t)i * BLOCK;
		l->jobs[i].req.done = job_done;
		l->jobs[i].req.opaque = &l->jobs[i];
	}
	return l;
}

static void verify(const char *query, bool file, unsigned queues, bool sleep)
{
	struct peer p;
	struct ringside_disk *disk;
	struct ringside_error err = {""};
	struct ringside_info info;
	struct load *l[4];
	void *mem;

	WITH_PEER(&p, file, queues);
	disk = open_disk(&p, query);
	ringside_get_info(disk, &info);
	assert_int_equal(info.capacity, DISK_BYTES);
	assert_int_equal(info.queues, queues);
	assert_int_equal(ringside_mem_alloc(disk, (size_t)queues * DEPTH * BLOCK, &mem, &err), 0);
	if (ringside_start(disk, &err))
		fail_msg("%s", err.text);
	/* One owner each. */
	for (unsigned i = 0; i < queues; i++) {
		l[i] = make_load(ringside_queue(disk, i),
				 (uint8_t *)mem + (size_t)i * DEPTH * BLOCK, i, queues);
		l[i]->zeroes = !file;
		l[i]->sleep = sleep;
		assert_int_equal(pthread_create(&l[i]->thread, NULL, load_main, l[i]), 0);
	}
	for (unsigned i = 0; i < queues; i++) {
		pthread_join(l[i]->thread, NULL);
		if (!l[i]->good)
			fail_msg("queue %u: %u wrong, %u done, %s", i, l[i]->errors, l[i]->done,
				 ringside_why(l[i]->q) ? ringside_why(l[i]->q) : "not broken");
		free(l[i]);
	}
	assert_int_equal(ringside_stop(disk, &err), 0);
	ringside_close(&disk);
	assert_null(disk);
	end_peer(&p);
}

static void null_disk_polling(void **state)
{
	(void)state;
	verify("?packed=off", false, 1, false);
}

static void null_disk_sleeping(void **state)
{
	(void)state;
	verify("", false, 1, true);
}

static void file_verified_polling(void **state)
{
	(void)state;
	verify("", true, 1, false);
}

static void file_verified_sleeping(void **state)
{
	(void)state;
	verify("", true, 1, true);
}

static void file_verified_on_four_queues(void **state)
{
	(void)state;
	verify("?queues=4&queue-size=8", true, 4, true);
}

static void file_verified_without_memory_slots(void **state)
{
	(void)state;
	verify("?mem-slots=off", true, 1, true);
}

static void file_verified_without_indirect_and_event_idx(void **state)
{
	(void)state;
	verify("?indirect=off&event-idx=off", true, 1, true);
}

static void packed_is_negotiated_or_told_missing(void **state)
{
	struct ringside_disk *disk = NULL;
	struct ringside_error err = {""};
	struct peer p;
	char uri[256];
	int rc;

	(void)state;
	WITH_PEER(&p, true, 1);
	disk = open_disk(&p, "");
	ringside_close(&disk);
	snprintf(uri, sizeof(uri), "vhost-user:%s?packed=on", p.socket);
	rc = ringside_open(uri, NULL, &disk, &err);
	if (rc) {
		assert_int_equal(rc, -ENOTSUP);
		assert_non_null(strstr(err.text, "34"));
	}
	ringside_close(&disk);
	end_peer(&p);
}

/* ---- other requests ---- */

static void note(struct ringside_request *req)
{
	*(int *)req->opaque = req->result;
}

static int finish(struct ringside_queue *q, int *result)
{
	ringside_commit(q);
	while (*result == 1) {
		int n = ringside_wait(q, 20000);

		if (n <= 0)
			return n ? n : -ETIMEDOUT;
	}
	return *result;
}

static void every_request_type(void **state)
{
	struct ringside_range r = {.sector = 8, .sectors = 8};
	struct ringside_disk *disk;
	struct ringside_queue *q;
	struct ringside_info info;
	struct ringside_error err = {""};
	struct peer p;
	uint8_t *mem;
	void *m;
	char id[21];
	int result;
	struct ringside_request req = {.done = note, .opaque = &result};
	struct iovec iov[3];

	(void)state;
	WITH_PEER(&p, true, 1);
	disk = open_disk(&p, "");
	ringside_get_info(disk, &info);
	assert_int_equal(ringside_mem_alloc(disk, 16384, &m, &err), 0);
	assert_int_equal(ringside_start(disk, &err), 0);
	mem = m;
	q = ringside_queue(disk, 0);

#define DO(call) (result = 1, (call), finish(q, &result))
	assert_int_equal(DO(ringside_get_id(q, &req, id)), 0);
	assert_true(strlen(id) <= 20);
	memset(mem, 0x5a, 16384);
	iov[0] = (struct iovec){mem, 512};
	iov[1] = (struct iovec){mem + 1000, 1000};
	iov[2] = (struct iovec){mem + 4096, 8192 - 1512};
	assert_int_equal(DO(ringside_writev(q, &req, 4096, iov, 3)), 0);
	assert_int_equal(DO(ringside_flush(q, &req)), 0);
	memset(mem, 0, 16384);
	assert_int_equal(DO(ringside_read(q, &req, 4096, mem, 8192)), 0);
	assert_int_equal(req.used_len, 8193);
	assert_int_equal(mem[0], 0x5a);
	assert_int_equal(mem[8191], 0x5a);
	assert_int_equal(DO(ringside_write_zeroes(q, &req, &r, 1, true)), 0);
	assert_int_equal(DO(ringside_read(q, &req, 4096, mem, 8192)), 0);
	assert_int_equal(mem[0], 0);
	assert_int_equal(mem[4095], 0);
	assert_int_equal(mem[4096], 0x5a);
	assert_int_equal(DO(ringside_discard(q, &req, &r, 1)), 0);
	assert_int_equal(DO(ringside_raw(q, &req, 77, 0, NULL, 0, 0)), -ENOTSUP);
	assert_int_equal(req.status, 2);
	assert_int_equal(DO(ringside_read(q, &req, 0, mem, 511)), -EINVAL);
	assert_int_equal(DO(ringside_read(q, &req, DISK_BYTES, mem, 512)), -EINVAL);
	assert_int_equal(DO(ringside_read(q, &req, 0, &req, 512)), -EFAULT);
	if (ringside_set_writeback(disk, false) == 0)
		assert_int_equal(DO(ringside_write(q, &req, 0, mem, 512)), 0);

	/* Stop, and start again. */
	assert_int_equal(ringside_stop(disk, &err), 0);
	assert_int_equal(DO(ringside_read(q, &req, 0, mem, 512)), -ENODEV);
	if (ringside_start(disk, &err))
		fail_msg("%s", err.text);
	assert_int_equal(DO(ringside_read(q, &req, 4096, mem, 8192)), 0);
	assert_int_equal(mem[4096], 0x5a);
	ringside_close(&disk);
	end_peer(&p);
}

static void kb_96_killed_back_end_wakes_the_waiter_and_reconnect_goes_on(void **state)
{
	struct ringside_disk *disk;
	struct ringside_queue *q;
	struct ringside_error err = {""};
	struct peer p;
	void *mem;
	int result = 1, rc;
	struct ringside_request req = {.done = note, .opaque = &result};

	(void)state;
	WITH_PEER(&p, true, 1);
	disk = open_disk(&p, "?timeout-ms=5000");
	assert_int_equal(ringside_mem_alloc(disk, 4096, &mem, &err), 0);
	assert_int_equal(ringside_start(disk, &err), 0);
	q = ringside_queue(disk, 0);
	memset(mem, 0x77, 4096);

	kill(p.pid, SIGSTOP);
	ringside_write(q, &req, 0, mem, 4096);
	ringside_commit(q);
	finish_peer(&p);
	assert_int_equal(ringside_wait(q, 20000), -ENODEV);
	assert_int_equal(result, 1);
	assert_true(ringside_process(disk) & RINGSIDE_EVENT_GONE);

	spawn(&p);
	rc = -ECONNREFUSED;
	for (unsigned i = 0; rc == -ECONNREFUSED && i < 200; i++) {
		rc = ringside_reconnect(disk, &err);
		if (rc)
			nap();
	}
	if (rc)
		fail_msg("%d %s", rc, err.text);
	assert_int_equal(finish(q, &result), 0);
	memset(mem, 0, 4096);
	assert_int_equal(DO(ringside_read(q, &req, 0, mem, 4096)), 0);
	assert_int_equal(((uint8_t *)mem)[4095], 0x77);

	/* Gone again, with a request under way, and nobody comes back. */
	kill(p.pid, SIGSTOP);
	result = 1;
	ringside_read(q, &req, 0, mem, 4096);
	ringside_commit(q);
	finish_peer(&p);
	assert_true(ringside_stop(disk, &err) < 0);
	assert_int_equal(result, -ECANCELED);
	ringside_close(&disk);
	end_peer(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(null_disk_polling),
		cmocka_unit_test(null_disk_sleeping),
		cmocka_unit_test(file_verified_polling),
		cmocka_unit_test(file_verified_sleeping),
		cmocka_unit_test(file_verified_on_four_queues),
		cmocka_unit_test(file_verified_without_memory_slots),
		cmocka_unit_test(file_verified_without_indirect_and_event_idx),
		cmocka_unit_test(packed_is_negotiated_or_told_missing),
		cmocka_unit_test(every_request_type),
		cmocka_unit_test(kb_96_killed_back_end_wakes_the_waiter_and_reconnect_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
