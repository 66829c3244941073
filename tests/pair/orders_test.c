/* SPDX-License-Identifier: MIT */
/*
 * Orders to a queue whose worker stands still: they need no memory, they do not pile up, and the
 * last word holds.
 */
#include "test.h"

#include "rig.h"

#include "base/atomic.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define DISK (1u << 20)

/* ---- memory that is short, on the thread that says so ---- */

static _Thread_local bool short_of_memory;

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

/* The sanitizers have an allocator of their own; there the tests run with memory. */
#ifndef SANITIZED
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_malloc(size_t size);

void *calloc(size_t n, size_t size)
{
	return short_of_memory ? NULL : __libc_calloc(n, size);
}

void *malloc(size_t size)
{
	return short_of_memory ? NULL : __libc_malloc(size);
}
#endif

/* ---- a worker that stands still ---- */

struct hold {
	struct reactor_msg msg;
	sem_t in, go;
};

static void hold_run(struct reactor_msg *m)
{
	struct hold *h = container_of(m, struct hold, msg);

	sem_post(&h->in);
	while (sem_wait(&h->go))
		;
}

static void hold_begin(struct rig *rig, struct hold *h)
{
	*h = (struct hold){.msg.run = hold_run};
	sem_init(&h->in, 0, 0);
	sem_init(&h->go, 0, 0);
	reactor_post(worker_reactor(rig->dev.workers[0]), &h->msg);
	while (sem_wait(&h->in))
		;
}

static void nothing(void *arg)
{
	(void)arg;
}

/* Everything that was ordered has been carried out and has come back. */
static void hold_end(struct rig *rig, struct hold *h)
{
	sem_post(&h->go);
	for (unsigned i = 0; i < 4; i++) {
		worker_call(rig->dev.workers[0], nothing, NULL);
		rig_pump(rig);
	}
	sem_destroy(&h->in);
	sem_destroy(&h->go);
}

static int open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void rig_make(struct rig *rig)
{
	static const struct rig_options plain;

	rig_init(rig, rig_memory(DISK), &plain);
}

static void kicks_do_not_pile_up(void **state)
{
	struct virtio_queue *q;
	struct hold h;
	struct rig rig;
	uint64_t before;

	(void)state;
	rig_make(&rig);
	q = &rig.blk->vdev.queues[0];
	hold_begin(&rig, &h);
	before = read_once(&q->kicks);
	short_of_memory = true;
	for (unsigned i = 0; i < 100000; i++)
		virtio_queue_kick(q);
	short_of_memory = false;
	hold_end(&rig, &h);
	/* The one that was under way, and one for all that came behind it. */
	assert_int_equal(read_once(&q->kicks) - before, 2);
	assert_true(rig_healthy(&rig, 0));
	rig_fini(&rig);
}

static void the_last_call_fd_holds_and_the_others_are_closed(void **state)
{
	int last = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), before;
	struct virtio_queue *q;
	struct hold h;
	struct rig rig;
	eventfd_t n;

	(void)state;
	rig_make(&rig);
	q = &rig.blk->vdev.queues[0];
	hold_begin(&rig, &h);
	before = open_fds();
	for (unsigned i = 0; i < 1000; i++)
		virtio_queue_set_call(q, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), NULL);
	virtio_queue_set_call(q, dup(last), NULL);
	/* One under way, one behind it. */
	assert_int_equal(open_fds() - before, 2);
	hold_end(&rig, &h);
	assert_int_equal(open_fds(), before);
	assert_int_equal(eventfd_read(last, &n), 0);
	virtio_queue_set_call(q, dup(rig.dev.queues[0].call), rig_waiter(&rig));
	assert_int_equal(rig_wait(&rig), 0);
	assert_true(rig_healthy(&rig, 0));
	rig_fini(&rig);
	close(last);
}

/* Memory is taken back by them: a reset without memory is a reset. */
static void stopping_needs_no_memory(void **state)
{
	struct held_disk *d = held_disk_new(DISK);
	struct rig_options o = {.queues = 2};
	struct rig_io io = {0};
	struct rig rig;

	(void)state;
	rig_init(&rig, &d->storage, &o);
	d->hold = true;
	rig_submit(&rig, 0, &io, VIRTIO_BLK_T_IN, 0, 512, false);
	held_disk_wait(d, 1);
	short_of_memory = true;
	virtio_device_reset(&rig.blk->vdev, rig_waiter(&rig));
	short_of_memory = false;
	rig_pump(&rig);
	/* Not before nothing is in flight. */
	assert_false(rig.dev.waiter_done);
	rig_release(&rig, d, 0);
	assert_int_equal(rig_wait(&rig), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_false(rig.blk->vdev.queues[i].running);
	assert_int_equal(rig.blk->vdev.features, 0);
	d->hold = false;
	rig_fini(&rig);
}

static unsigned done;

static void count_done(struct virtio_waiter *w)
{
	(void)w;
	done++;
}

/* Each who waits for a stop or a reset is told, also when several do. */
static void everybody_who_waits_is_told(void **state)
{
	struct virtio_waiter w[4];
	struct virtio_device *vdev;
	struct hold h;
	struct rig rig;

	(void)state;
	rig_make(&rig);
	vdev = &rig.blk->vdev;
	for (unsigned i = 0; i < 4; i++)
		w[i] = (struct virtio_waiter){.done = count_done};
	done = 0;
	hold_begin(&rig, &h);
	virtio_queue_stop(&vdev->queues[0], &w[0]);
	virtio_device_reset(vdev, &w[1]);
	virtio_device_reset(vdev, &w[2]);
	virtio_queue_stop(&vdev->queues[0], &w[3]);
	rig_pump(&rig);
	assert_int_equal(done, 0);
	hold_end(&rig, &h);
	assert_int_equal(done, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(w[i].pending, 0);
	assert_int_equal(vdev->status, 0);
	rig_fini(&rig);
}

/* However often somebody waits for the same orders: there is room for who waits, not for how often. */
static void who_waits_many_times_is_told_once(void **state)
{
	struct virtio_waiter w = {.done = count_done};
	struct virtio_queue *q;
	struct hold h;
	struct rig rig;

	(void)state;
	rig_make(&rig);
	q = &rig.blk->vdev.queues[0];
	done = 0;
	hold_begin(&rig, &h);
	for (unsigned i = 0; i < 100; i++) {
		virtio_queue_set_enabled(q, i % 2, &w);
		virtio_queue_set_mem(q, rig.dev.mem, &w);
	}
	for (unsigned i = 0; i < 100; i++)
		virtio_device_reset(&rig.blk->vdev, &w);
	hold_end(&rig, &h);
	assert_int_equal(done, 1);
	assert_int_equal(w.pending, 0);
	rig_fini(&rig);
}

/* A map that is still to come when the queue is stopped does not come to the next start. */
static void a_stop_forgets_the_map_to_come(void **state)
{
	struct virtio_waiter w[3];
	struct gmem *empty = gmem_new(), *mem;
	struct virtio_queue *q;
	struct hold h;
	struct rig rig;

	(void)state;
	rig_make(&rig);
	q = &rig.blk->vdev.queues[0];
	mem = rig.dev.mem;
	for (unsigned i = 0; i < 3; i++)
		w[i] = (struct virtio_waiter){.done = count_done};
	done = 0;
	hold_begin(&rig, &h);
	virtio_queue_set_mem(q, mem, &w[0]);
	virtio_queue_set_mem(q, empty, &w[1]);
	virtio_queue_stop(q, NULL);
	assert_int_equal(virtio_queue_start(q, &rig.dev.queues[0].config, mem, &w[2]), 0);
	assert_int_equal(virtio_queue_start(q, &rig.dev.queues[0].config, mem, &w[2]), -EBUSY);
	hold_end(&rig, &h);
	assert_int_equal(done, 3);
	assert_int_equal(w[2].rc, 0);
	assert_true(q->running);
	assert_ptr_equal(q->mem, mem);
	gmem_put(empty);
	rig_fini(&rig);
}

static void nowhere(struct rig *rig)
{
	struct vqdrv_buf buf = {rig_alloc(rig, 16, 16), 16};
	static struct rig_io io;

	/* Nothing to put a status in. */
	rig_submit_bufs(rig, 0, &io, &buf, 1, 0);
}

/*
 * The message that a queue broke may arrive when the queue has been stopped and started again: the
 * new life is not blamed for the old one.
 */
static void a_break_is_told_of_the_life_that_broke(void **state)
{
	struct virtio_device *vdev;
	struct virtio_queue *q;
	struct hold h;
	struct rig rig;

	(void)state;
	rig_make(&rig);
	vdev = &rig.blk->vdev;
	q = &vdev->queues[0];
	nowhere(&rig);
	for (unsigned i = 0; i < 20000 && !__atomic_load_n(&q->failed_life, __ATOMIC_ACQUIRE); i++)
		usleep(1000);
	assert_int_equal(q->failed_life, 1);
	/* The control thread has not looked yet; it stops and starts the queue first. */
	hold_begin(&rig, &h);
	virtio_queue_stop(q, NULL);
	assert_int_equal(virtio_queue_start(q, &rig.dev.queues[0].config, rig.dev.mem, NULL), 0);
	virtio_queue_set_enabled(q, false, NULL);
	hold_end(&rig, &h);
	assert_int_equal(rig.dev.broken, 0);
	assert_int_equal(vdev->status & VIRTIO_STATUS_NEEDS_RESET, 0);
	rig_fini(&rig);
}

static void no_lines(void *opaque, enum log_level level, const char *line)
{
	(void)opaque;
	(void)level;
	(void)line;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kicks_do_not_pile_up),
		cmocka_unit_test(the_last_call_fd_holds_and_the_others_are_closed),
		cmocka_unit_test(stopping_needs_no_memory),
		cmocka_unit_test(everybody_who_waits_is_told),
		cmocka_unit_test(who_waits_many_times_is_told_once),
		cmocka_unit_test(a_stop_forgets_the_map_to_come),
		cmocka_unit_test(a_break_is_told_of_the_life_that_broke),
	};

	log_setup(LOG_LEVEL_ERR, no_lines, NULL);
	return cmocka_run_group_tests_name("pair/orders", tests, NULL, NULL);
}
