/* SPDX-License-Identifier: MIT */
#include "base/worker.h"

#include "base/log.h"
#include "base/thread.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct worker {
	pthread_t thread;
	struct reactor *reactor;
	struct worker_config config;
	char name[16];
	sem_t ready;
	sem_t leave; /* nobody touches the reactor from outside any more */
	int rc;	     /* of starting up, read after @ready */
	struct error error;
};

static int open_reactor(struct worker *w)
{
	struct reactor_config config = w->config.reactor;
	int rc = reactor_create(&w->reactor, &config, &w->error);
	struct error why = w->error;

	if (!rc || !config.uring)
		return rc;
	config.uring = false;
	rc = reactor_create(&w->reactor, &config, &w->error);
	if (!rc)
		log_warn(w->name,
			 "%s; going on without io_uring, with epoll and threads, which costs speed",
			 why.text);
	return rc;
}

static void pin(const struct worker *w)
{
	cpu_set_t set;

	if (w->config.cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((unsigned)w->config.cpu, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set))
		log_warn(w->name, "cannot run on CPU %d only; going on without", w->config.cpu);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	pthread_setname_np(pthread_self(), w->name);
	pin(w);
	w->rc = open_reactor(w);
	sem_post(&w->ready);
	if (w->rc)
		return NULL;
	reactor_run(w->reactor);
	while (sem_wait(&w->leave) && errno == EINTR)
		;
	reactor_destroy(&w->reactor);
	return NULL;
}

int worker_create(struct worker **out, const struct worker_config *config, struct error *err)
{
	struct worker *w = calloc(1, sizeof(*w));
	int rc;

	if (!w)
		return error_set(err, -ENOMEM, "cannot create a worker thread");
	w->config = *config;
	snprintf(w->name, sizeof(w->name), "%s", config->name);
	sem_init(&w->ready, 0, 0);
	sem_init(&w->leave, 0, 0);

	rc = thread_start(&w->thread, worker_main, w);
	if (rc) {
		error_set(err, rc, "cannot create a worker thread");
		goto free_worker;
	}
	while (sem_wait(&w->ready) && errno == EINTR)
		;
	rc = w->rc;
	if (rc) {
		pthread_join(w->thread, NULL);
		error_set(err, rc, "%s.", w->error.text);
		goto free_worker;
	}
	*out = w;
	return 0;
free_worker:
	sem_destroy(&w->ready);
	sem_destroy(&w->leave);
	free(w);
	return rc;
}

void worker_destroy(struct worker **wp)
{
	struct worker *w = *wp;

	if (!w)
		return;
	reactor_stop(w->reactor);
	sem_post(&w->leave);
	pthread_join(w->thread, NULL);
	sem_destroy(&w->ready);
	sem_destroy(&w->leave);
	free(w);
	*wp = NULL;
}

struct reactor *worker_reactor(struct worker *w)
{
	return w->reactor;
}

struct call {
	struct reactor_msg msg;
	void (*fn)(void *arg);
	void *arg;
	sem_t done;
};

static void call_run(struct reactor_msg *msg)
{
	struct call *c = container_of(msg, struct call, msg);

	c->fn(c->arg);
	sem_post(&c->done);
}

void worker_call(struct worker *w, void (*fn)(void *arg), void *arg)
{
	struct call c = {.msg.run = call_run, .fn = fn, .arg = arg};

	sem_init(&c.done, 0, 0);
	reactor_post(w->reactor, &c.msg);
	while (sem_wait(&c.done) && errno == EINTR)
		;
	sem_destroy(&c.done);
}
