/* SPDX-License-Identifier: MIT */
#include "base/aside.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "base/grow.h"
#include "base/thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define RETRY_NS  (100 * NSEC_PER_MSEC)
#define STUCK_MIN 64

struct aside {
	pthread_mutex_t lock; /* protects what follows; taken alone */
	struct reactor *home; /* NULL: released */
	bool at_work;	      /* there is a thread */
	bool roomy;
	struct list jobs;
	int *fds; /* to be closed */
	unsigned n_fds;
	unsigned waiting;	    /* also read without the lock */
	struct reactor_timer again; /* home's: for want of a thread */
};

static void aside_free(struct aside *a)
{
	pthread_mutex_destroy(&a->lock);
	free(a->fds);
	free(a);
}

static void aside_job_back(struct reactor_msg *msg)
{
	struct aside_job *job = container_of(msg, struct aside_job, msg);

	job->done(job);
}

/* With the lock held, and again at the end. */
static void aside_one_job(struct aside *a)
{
	struct aside_job *job = list_entry(a->jobs.next, struct aside_job, link);

	list_del(&job->link);
	pthread_mutex_unlock(&a->lock);
	job->run(job);
	pthread_mutex_lock(&a->lock);
	/* Posted under the lock, so that the reactor is still there. */
	if (a->home)
		reactor_post(a->home, &job->msg);
	else
		job->drop(job);
}

static void *aside_thread(void *arg)
{
	struct aside *a = arg;
	bool released;

	pthread_setname_np(pthread_self(), "aside");
	pthread_mutex_lock(&a->lock);
	for (;;) {
		if (!list_empty(&a->jobs)) {
			aside_one_job(a);
		} else if (a->n_fds) {
			int fd = a->fds[--a->n_fds];

			pthread_mutex_unlock(&a->lock);
			close(fd);
			pthread_mutex_lock(&a->lock);
		} else {
			break;
		}
		write_once(&a->waiting, a->waiting - 1);
	}
	a->at_work = false;
	released = !a->home;
	pthread_mutex_unlock(&a->lock);
	if (released)
		aside_free(a);
	return NULL;
}

static int start_roomy(struct aside *a)
{
	pthread_t thread;
	int rc = thread_start(&thread, aside_thread, a);

	if (!rc)
		pthread_detach(thread);
	return rc;
}

/* With the lock held.  false: no thread is to be had. */
static bool aside_start(struct aside *a)
{
	if (!a->at_work && a->waiting)
		a->at_work = !(a->roomy ? start_roomy(a) : thread_start_apart(aside_thread, a));
	return a->at_work || !a->waiting;
}

/* With the lock held. */
static void aside_start_some_time(struct aside *a)
{
	if (!aside_start(a) && !list_is_linked(&a->again.link))
		reactor_timer_start(a->home, &a->again, RETRY_NS);
}

static void aside_again(struct reactor_timer *t)
{
	struct aside *a = container_of(t, struct aside, again);

	pthread_mutex_lock(&a->lock);
	aside_start_some_time(a);
	pthread_mutex_unlock(&a->lock);
}

int aside_create(struct aside **out, struct reactor *home)
{
	struct aside *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	pthread_mutex_init(&a->lock, NULL);
	list_init(&a->jobs);
	reactor_timer_init(&a->again, aside_again);
	a->home = home;
	*out = a;
	return 0;
}

void aside_make_roomy(struct aside *a)
{
	a->roomy = true;
}

/* Released, and nobody else has it. */
static void aside_give_up(struct aside *a)
{
	while (!list_empty(&a->jobs)) {
		struct aside_job *job = list_entry(a->jobs.next, struct aside_job, link);

		list_del(&job->link);
		job->drop(job);
	}
	while (a->n_fds)
		close(a->fds[--a->n_fds]);
}

void aside_release(struct aside **ap)
{
	struct aside *a = *ap;
	bool last;

	if (!a)
		return;
	*ap = NULL;
	reactor_timer_stop(a->home, &a->again);
	pthread_mutex_lock(&a->lock);
	a->home = NULL;
	(void)aside_start(a);
	last = !a->at_work;
	pthread_mutex_unlock(&a->lock);
	if (!last)
		return;
	aside_give_up(a);
	aside_free(a);
}

/* With the lock held. */
static bool aside_keep_fd(struct aside *a, int fd)
{
	int *fds = grow_for_one(a->fds, a->n_fds, sizeof(fds[0]));

	if (!fds)
		return false;
	a->fds = fds;
	a->fds[a->n_fds++] = fd;
	write_once(&a->waiting, a->waiting + 1);
	return true;
}

void aside_close(struct aside *a, int fd)
{
	bool kept;

	if (fd < 0)
		return;
	pthread_mutex_lock(&a->lock);
	kept = aside_keep_fd(a, fd);
	aside_start_some_time(a);
	pthread_mutex_unlock(&a->lock);
	/* Without memory to remember it: better to wait than to lose it. */
	if (!kept)
		close(fd);
}

void aside_run(struct aside *a, struct aside_job *job)
{
	job->msg = (struct reactor_msg){.run = aside_job_back};
	pthread_mutex_lock(&a->lock);
	list_init(&job->link);
	list_add_tail(&a->jobs, &job->link);
	write_once(&a->waiting, a->waiting + 1);
	aside_start_some_time(a);
	pthread_mutex_unlock(&a->lock);
}

unsigned aside_waiting(const struct aside *a)
{
	return read_once(&a->waiting);
}

bool aside_is_stuck(const struct aside *a, unsigned usual)
{
	return aside_waiting(a) > STUCK_MIN + usual;
}
