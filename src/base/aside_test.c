/* SPDX-License-Identifier: MIT */
/* What may hang, aside; and eventfds that somebody else holds. */
#include "test.h"

#include "lingering.h"

#include "base/aside.h"
#include "base/bits.h"
#include "base/clock.h"
#include "base/evsignal.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define PATIENCE_NS (20 * NSEC_PER_SEC)

static bool wait_for_none(const struct aside *a)
{
	uint64_t end = clock_ns() + PATIENCE_NS;

	while (aside_waiting(a) && clock_ns() < end)
		usleep(100);
	return !aside_waiting(a);
}

static struct reactor *reactor(void)
{
	struct reactor_config config = {.uring = false};
	struct reactor *r;

	assert_int_equal(reactor_create(&r, &config, NULL), 0);
	return r;
}

static void a_close_that_waits_is_nobodys_business(void **state)
{
	struct reactor *r = reactor();
	struct aside *slow, *other;
	int end, fd = test_lingering(&end), p[2];

	(void)state;
	assert_int_equal(aside_create(&slow, r), 0);
	assert_int_equal(aside_create(&other, r), 0);
	aside_close(slow, fd);
	/* Another's are closed meanwhile. */
	assert_int_equal(pipe(p), 0);
	aside_close(other, p[0]);
	aside_close(other, p[1]);
	aside_close(other, -1);
	assert_true(wait_for_none(other));
	assert_int_equal(fcntl(p[0], F_GETFD), -1);
	assert_int_equal(fcntl(p[1], F_GETFD), -1);
	assert_int_equal(aside_waiting(slow), 1);
	/* Nobody waits for it, and it ends when it can. */
	aside_release(&slow);
	aside_release(&other);
	close(end);
	reactor_destroy(&r);
}

struct job {
	struct aside_job job;
	sem_t go, gone;
	unsigned run, done, dropped;
};

static void job_run(struct aside_job *j)
{
	struct job *job = container_of(j, struct job, job);

	while (sem_wait(&job->go))
		;
	job->run++;
}

static void job_done(struct aside_job *j)
{
	container_of(j, struct job, job)->done++;
}

static void job_drop(struct aside_job *j)
{
	struct job *job = container_of(j, struct job, job);

	job->dropped++;
	sem_post(&job->gone);
}

static void a_job_comes_back_or_is_dropped(void **state)
{
	struct reactor *r = reactor();
	struct aside *a;
	struct job job = {.job = {.run = job_run, .done = job_done, .drop = job_drop}};

	(void)state;
	sem_init(&job.go, 0, 0);
	sem_init(&job.gone, 0, 0);
	assert_int_equal(aside_create(&a, r), 0);
	aside_run(a, &job.job);
	reactor_process(r);
	assert_int_equal(job.done, 0);
	sem_post(&job.go);
	assert_true(wait_for_none(a));
	reactor_process(r);
	assert_int_equal(job.run, 1);
	assert_int_equal(job.done, 1);
	/* The same once more; now whoever asked goes before it is over. */
	aside_run(a, &job.job);
	aside_release(&a);
	sem_post(&job.go);
	while (sem_wait(&job.gone))
		;
	reactor_process(r);
	assert_int_equal(job.run, 2);
	assert_int_equal(job.done, 1);
	assert_int_equal(job.dropped, 1);
	reactor_destroy(&r);
}

/* ---- where no thread is to be had ---- */

static bool no_threads;

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
	int (*fn)(pthread_t * thread, const pthread_attr_t *attr, void *(*run)(void *),
		  void *arg) = dlsym(RTLD_NEXT, "pthread_create");

	return no_threads ? EAGAIN : fn(thread, attr, run, arg);
}

/* Nobody asks for anything else that would try again. */
static void what_found_no_thread_is_done_when_there_is_one(void **state)
{
	struct reactor *r = reactor();
	struct aside *a;
	struct job job = {.job = {.run = job_run, .done = job_done, .drop = job_drop}};
	int p[2];

	(void)state;
	sem_init(&job.go, 0, 1);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(aside_create(&a, r), 0);
	no_threads = true;
	aside_run(a, &job.job);
	aside_close(a, p[0]);
	aside_close(a, p[1]);
	assert_int_equal(aside_waiting(a), 3);
	no_threads = false;
	while (!job.done)
		reactor_turn(r);
	assert_true(wait_for_none(a));
	assert_int_equal(fcntl(p[0], F_GETFD), -1);
	assert_int_equal(job.run, 1);
	aside_release(&a);
	reactor_destroy(&r);
}

static void without_any_thread_a_release_loses_nothing(void **state)
{
	struct reactor *r = reactor();
	struct aside *a;
	struct job job = {.job = {.run = job_run, .done = job_done, .drop = job_drop}};
	int p[2];

	(void)state;
	sem_init(&job.gone, 0, 0);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(aside_create(&a, r), 0);
	no_threads = true;
	aside_run(a, &job.job);
	aside_close(a, p[0]);
	aside_close(a, p[1]);
	aside_release(&a);
	no_threads = false;
	assert_int_equal(job.run, 0);
	assert_int_equal(job.done, 0);
	assert_int_equal(job.dropped, 1);
	assert_int_equal(fcntl(p[0], F_GETFD), -1);
	assert_int_equal(fcntl(p[1], F_GETFD), -1);
	reactor_destroy(&r);
}

/* ---- eventfds ---- */

static void only_eventfds_are_eventfds(void **state)
{
	int p[2], fd = eventfd(0, EFD_CLOEXEC);

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(fd_is_eventfd(fd), 1);
	assert_int_equal(fd_is_eventfd(p[1]), 0);
	assert_true(fd_is_eventfd(-1) <= 0);
	close(p[0]);
	close(p[1]);
	close(fd);
	fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	assert_int_equal(fd_is_eventfd(fd), 0);
	close(fd);
	fd = memfd_create("anon_inode:[eventfd]", MFD_CLOEXEC);
	assert_int_equal(fd_is_eventfd(fd), 0);
	close(fd);
}

/* Neither its mode nor its counter makes it wait; a full counter stays readable. */
static void a_full_eventfd_in_blocking_mode_is_signalled_without_waiting(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct evsignal *s;
	eventfd_t n;
	int pipes[2];

	(void)state;
	assert_int_equal(evsignal_create(&s), 0);
	if (!evsignal_works(s)) {
		evsignal_destroy(&s);
		close(fd);
		skip();
	}
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(evsignal_send(s, fd), 0);
	assert_int_equal(eventfd_read(fd, &n), 0);
	assert_int_equal(n, 1000);
	assert_int_equal(eventfd_write(fd, UINT64_MAX - 1), 0);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(evsignal_send(s, fd), 0);
	assert_int_equal(poll(&p, 1, 0), 1);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(evsignal_send(s, pipes[1]), -EINVAL);
	close(pipes[0]);
	close(pipes[1]);
	evsignal_destroy(&s);
	close(fd);
}

static void an_eventfd_that_somebody_else_has_emptied_is_taken_from_without_waiting(void **state)
{
	int fd = eventfd(3, 0);

	(void)state;
	assert_true(fd >= 0);
	alarm(20);
	assert_int_equal(evsignal_take(fd), 3);
	assert_int_equal(evsignal_take(fd), 0);
	alarm(0);
	close(fd);
	assert_int_equal(evsignal_take(fd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_close_that_waits_is_nobodys_business),
		cmocka_unit_test(a_job_comes_back_or_is_dropped),
		cmocka_unit_test(what_found_no_thread_is_done_when_there_is_one),
		cmocka_unit_test(without_any_thread_a_release_loses_nothing),
		cmocka_unit_test(only_eventfds_are_eventfds),
		cmocka_unit_test(a_full_eventfd_in_blocking_mode_is_signalled_without_waiting),
		cmocka_unit_test(
			an_eventfd_that_somebody_else_has_emptied_is_taken_from_without_waiting),
	};

	return cmocka_run_group_tests_name("base/aside", tests, NULL, NULL);
}
