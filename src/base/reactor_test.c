/* SPDX-License-Identifier: MIT */
/* The reactor in both kinds: messages, watches, timers, pollers, and the notifier on hostile fds.
 */

#include "test.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "base/evsignal.h"
#include "base/notifier.h"
#include "base/reactor_priv.h"
#include "base/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct reactor *new_reactor(bool uring)
{
	struct reactor_config c = {.uring = uring};
	struct reactor *r = NULL;
	struct error err = {""};

	if (reactor_create(&r, &c, &err))
		skip(); /* io_uring forbidden here */
	return r;
}

struct counter {
	struct reactor_msg msg;
	struct reactor_watch watch;
	struct reactor_timer timer;
	struct reactor_poller poller;
	struct reactor *r;
	unsigned n, armed;
	uint32_t events;
	bool stop_in_callback;
	unsigned busy; /* polls that find work */
};

static void count_watch(struct reactor_watch *w, uint32_t events)
{
	struct counter *c = container_of(w, struct counter, watch);

	c->n++;
	c->events = events;
	if (c->stop_in_callback)
		reactor_watch_stop(c->r, w);
}

static void count_timer(struct reactor_timer *t)
{
	container_of(t, struct counter, timer)->n++;
}

static unsigned count_poll(struct reactor_poller *p)
{
	struct counter *c = container_of(p, struct counter, poller);

	c->n++;
	if (!c->busy)
		return 0;
	c->busy--;
	return 1;
}

static bool count_arm(struct reactor_poller *p)
{
	container_of(p, struct counter, poller)->armed++;
	return true;
}

/* A few turns, ended by a timer so that a broken test does not hang. */
static void turn(struct reactor *r, int n)
{
	struct counter guard = {.n = 0};

	for (int i = 0; i < n; i++) {
		reactor_timer_init(&guard.timer, count_timer);
		reactor_timer_start(r, &guard.timer, 2 * NSEC_PER_MSEC);
		reactor_turn(r);
		reactor_timer_stop(r, &guard.timer);
	}
}

static void *post_many(void *arg)
{
	struct counter *c = arg;

	for (int i = 0; i < 1000; i++) {
		unsigned want = load_acquire(&c->n) + 1;

		reactor_post(c->r, &c->msg);
		while (load_acquire(&c->n) < want)
			sched_yield();
	}
	return NULL;
}

static void count_msg_atomic(struct reactor_msg *msg)
{
	__atomic_add_fetch(&container_of(msg, struct counter, msg)->n, 1, __ATOMIC_RELEASE);
}

static void messages_from_threads(bool uring)
{
	struct reactor *r = new_reactor(uring);
	struct counter c[2] = {{.r = r}, {.r = r}};
	pthread_t t[2];

	for (int i = 0; i < 2; i++) {
		c[i].msg.run = count_msg_atomic;
		assert_int_equal(pthread_create(&t[i], NULL, post_many, &c[i]), 0);
	}
	while (read_once(&c[0].n) < 1000 || read_once(&c[1].n) < 1000)
		reactor_turn(r);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	reactor_destroy(&r);
	assert_null(r);
}

static void watch_tells_each_signal(bool uring)
{
	struct reactor *r = new_reactor(uring);
	struct counter c = {.r = r, .watch.ready = count_watch};
	int fd = eventfd(0, EFD_CLOEXEC);
	uint64_t one = 1;

	assert_int_equal(reactor_watch_start(r, &c.watch, fd, EPOLLIN), 0);
	turn(r, 3);
	assert_int_equal(c.n, 0);
	for (unsigned i = 1; i <= 3; i++) { /* nobody reads the counter: every signal still comes */
		assert_int_equal(write(fd, &one, 8), 8);
		turn(r, 3);
		assert_true(c.n >= i);
	}
	reactor_watch_stop(r, &c.watch);
	c.n = 0;
	assert_int_equal(write(fd, &one, 8), 8);
	turn(r, 3);
	assert_int_equal(c.n, 0);
	reactor_watch_stop(r, &c.watch); /* harmless */
	close(fd);
	reactor_destroy(&r);
}

static void watch_stopped_inside_its_callback(bool uring)
{
	struct reactor *r = new_reactor(uring);
	struct counter c = {.r = r, .watch.ready = count_watch, .stop_in_callback = true};
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(reactor_watch_start(r, &c.watch, fds[0], EPOLLIN), 0);
	turn(r, 3);
	assert_int_equal(c.n, 1);
	close(fds[0]);
	close(fds[1]);
	turn(r, 3);
	assert_int_equal(c.n, 1);
	reactor_destroy(&r);
}

/* Of the stopped ones that the reactor still has in its books. */
static unsigned stopped_watches(struct reactor *r)
{
	unsigned n = 0;

	list_for_each (l, &r->watches)
		n += !list_entry(l, struct reactor_watch_op, link)->watch;
	return n;
}

/* The poll in the kernel holds the file: a peer would wait for ever for its end. */
static void a_watch_stopped_while_an_event_waits_is_gone(bool uring)
{
	struct reactor *r = new_reactor(uring);
	struct counter c = {.r = r, .watch.ready = count_watch};
	uint64_t one = 1;
	int fds[2];

	for (int kind = 0; kind < 2; kind++) {
		if (kind)
			assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
		else
			fds[0] = fds[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		assert_int_equal(reactor_watch_start(r, &c.watch, fds[0], EPOLLIN), 0);
		turn(r, 2);
		c.n = 0;
		assert_int_equal(write(fds[1], &one, 8), 8);
		reactor_watch_stop(r, &c.watch);
		for (int i = 0; i < 10 && stopped_watches(r); i++)
			turn(r, 1);
		assert_int_equal(stopped_watches(r), 0);
		assert_int_equal(c.n, 0);
		close(fds[0]);
		if (kind)
			close(fds[1]);
	}
	reactor_destroy(&r);
}

/* As the kernel does when it has no memory to tell of an event. */
static void end_the_poll(struct reactor *r, const struct counter *c)
{
	struct io_uring_sqe *sqe = reactor_sqe(r);

	assert_non_null(sqe);
	io_uring_prep_cancel64(sqe, (uintptr_t)c->watch.op | 1, 0);
	reactor_sqe_set(r, sqe, NULL);
	reactor_submit(r);
	turn(r, 2);
}

static void a_poll_that_the_kernel_ends_is_made_anew(void **state)
{
	struct reactor *r = new_reactor(true);
	struct counter c = {.r = r, .watch.ready = count_watch};
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	(void)state;
	assert_int_equal(reactor_watch_start(r, &c.watch, fd, EPOLLIN), 0);
	turn(r, 2);
	for (unsigned i = 0; i < 3; i++) {
		end_the_poll(r, &c);
		assert_int_equal(c.events & EPOLLERR, 0);
		c.n = 0;
		assert_int_equal(eventfd_write(fd, 1), 0);
		turn(r, 2);
		assert_true(c.n >= 1);
	}
	assert_int_equal(r->unarmed, 0);
	reactor_watch_stop(r, &c.watch);
	turn(r, 2);
	assert_int_equal(stopped_watches(r), 0);
	close(fd);
	reactor_destroy(&r);
}

static void hang_up_is_told_once(bool uring)
{
	struct reactor *r = new_reactor(uring);
	struct counter c = {.r = r, .watch.ready = count_watch};
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(reactor_watch_start(r, &c.watch, fds[0], EPOLLIN), 0);
	close(fds[1]);
	turn(r, 5);
	assert_int_equal(c.n, 1);
	assert_true(c.events & EPOLLHUP);
	reactor_watch_stop(r, &c.watch);
	close(fds[0]);
	reactor_destroy(&r);
}

struct clocked {
	struct reactor_timer timer;
	unsigned *expired;
	unsigned place; /* 1: expired first; 0: not yet */
};

static void note_order(struct reactor_timer *t)
{
	struct clocked *c = container_of(t, struct clocked, timer);

	c->place = ++*c->expired;
}

static void timers_expire_in_order(bool uring)
{
	struct reactor *r = new_reactor(uring);
	unsigned expired = 0;
	struct clocked a = {.expired = &expired}, b = {.expired = &expired};
	uint64_t start = clock_ns();

	reactor_timer_init(&a.timer, note_order);
	reactor_timer_init(&b.timer, note_order);
	reactor_timer_start(r, &a.timer, 20 * NSEC_PER_MSEC);
	reactor_timer_start(r, &b.timer, NSEC_PER_MSEC);
	while (!a.place)
		reactor_turn(r);
	assert_true(clock_ns() - start >= 20 * NSEC_PER_MSEC);
	assert_int_equal(b.place, 1);
	assert_int_equal(a.place, 2);
	reactor_timer_start(r, &a.timer, NSEC_PER_MSEC);
	reactor_timer_stop(r, &a.timer);
	assert_int_equal(reactor_timeout_ms(r), -1);
	reactor_destroy(&r);
}

static void poller_is_polled_until_armed(bool uring)
{
	struct reactor *r = new_reactor(uring);
	struct counter c = {.busy = 3};

	reactor_poller_init(&c.poller, count_poll, count_arm);
	reactor_poller_activate(r, &c.poller);
	turn(r, 8);
	assert_int_equal(c.busy, 0);
	assert_int_equal(c.armed, 1);
	c.n = 0;
	turn(r, 2);
	assert_int_equal(c.n, 0); /* asleep until activated again */
	reactor_poller_activate(r, &c.poller);
	turn(r, 2);
	assert_int_equal(c.armed, 2);
	reactor_poller_stop(r, &c.poller);
	reactor_destroy(&r);
}

/* Stops every other one of its kind in its callback, frees them, and perhaps itself. */
struct stopper {
	struct reactor_poller poller;
	struct reactor *r;
	struct stopper **all; /* STOPPERS of them, NULL: gone */
	bool in_arm, itself;
	unsigned *polls, *gone;
};
#define STOPPERS 5

static void stop_others(struct stopper *s)
{
	struct stopper **all = s->all;

	for (unsigned i = 0; i < STOPPERS; i++) {
		struct stopper *other = all[i];

		if (!other || (other == s && !s->itself))
			continue;
		reactor_poller_stop(other->r, &other->poller);
		++*other->gone;
		all[i] = NULL;
		if (other != s)
			free(other);
	}
	if (s->itself)
		free(s);
}

static unsigned stopper_poll(struct reactor_poller *p)
{
	struct stopper *s = container_of(p, struct stopper, poller);

	++*s->polls;
	if (!s->in_arm)
		stop_others(s);
	return 0;
}

static bool stopper_arm(struct reactor_poller *p)
{
	struct stopper *s = container_of(p, struct stopper, poller);

	if (s->in_arm)
		stop_others(s);
	return true;
}

static void pollers_may_stop_each_other(bool uring)
{
	/* Which one does it, from which callback, and whether it goes itself. */
	for (unsigned way = 0; way < STOPPERS * 4; way++) {
		struct reactor *r = new_reactor(uring);
		struct stopper *all[STOPPERS];
		unsigned polls = 0, gone = 0;
		bool itself = way & 2;

		for (unsigned i = 0; i < STOPPERS; i++) {
			all[i] = calloc(1, sizeof(*all[i]));
			assert_non_null(all[i]);
			*all[i] = (struct stopper){.r = r,
						   .all = all,
						   .in_arm = way & 1,
						   .itself = itself,
						   .polls = &polls,
						   .gone = &gone};
			reactor_poller_init(&all[i]->poller, stopper_poll, stopper_arm);
		}
		/* The one that is looked at first does it: it stands in the place of @way. */
		for (unsigned i = 0; i < STOPPERS; i++)
			reactor_poller_activate(r, &all[(i + way / 4) % STOPPERS]->poller);
		turn(r, 3);
		assert_int_equal(gone, STOPPERS - !itself);
		assert_true(polls >= 1);
		for (unsigned i = 0; i < STOPPERS; i++) {
			if (all[i])
				reactor_poller_stop(r, &all[i]->poller);
			free(all[i]);
		}
		reactor_destroy(&r);
	}
}

static bool arm_never(struct reactor_poller *p)
{
	(void)p;
	return false;
}

static unsigned poll_and_start_anew(struct reactor_poller *p)
{
	struct counter *c = container_of(p, struct counter, poller);

	c->n++;
	reactor_poller_stop(c->r, p);
	reactor_poller_activate(c->r, p);
	return 1;
}

/* A round ends, whatever its callbacks activate. */
static void a_poller_that_starts_itself_anew_has_one_look_a_turn(bool uring)
{
	struct reactor *r = new_reactor(uring);
	struct counter c = {.r = r};

	reactor_poller_init(&c.poller, poll_and_start_anew, arm_never);
	reactor_poller_activate(r, &c.poller);
	turn(r, 3);
	assert_int_equal(c.n, 3);
	reactor_poller_stop(r, &c.poller);
	reactor_destroy(&r);
}

struct message {
	struct reactor_msg msg;
	struct reactor *r;
	struct message *then; /* posted by run() */
	unsigned ran;
};

static void message_run(struct reactor_msg *msg)
{
	struct message *m = container_of(msg, struct message, msg);

	m->ran++;
	if (m->then)
		reactor_post(m->r, &m->then->msg);
}

static void a_message_posted_twice_runs_once_and_loses_no_other(bool uring)
{
	struct reactor *r = new_reactor(uring);
	struct message m[4];

	for (unsigned i = 0; i < 4; i++)
		m[i] = (struct message){.msg.run = message_run, .r = r};
	for (unsigned i = 0; i < 12; i++) /* in a ring, three times */
		reactor_post(r, &m[i % 4].msg);
	turn(r, 1);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(m[i].ran, 1);

	/* Posted anew while the reactor has it in hand: by the one in front of it, by itself. */
	m[0].then = &m[2];
	m[3].then = &m[3];
	for (unsigned i = 0; i < 4; i++)
		reactor_post(r, &m[i].msg);
	turn(r, 1);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(m[i].ran, 2);
	m[3].then = NULL;
	turn(r, 1);
	assert_int_equal(m[2].ran, 2);
	assert_int_equal(m[3].ran, 3);
	turn(r, 1);
	assert_int_equal(m[3].ran, 3);
	reactor_destroy(&r);
}

struct told {
	struct reactor_msg msg;
	unsigned written; /* atomic: by the posters, each adds before it posts */
	unsigned seen;	  /* what the last run saw */
	struct reactor *r;
};

static void told_run(struct reactor_msg *msg)
{
	struct told *t = container_of(msg, struct told, msg);

	t->seen = read_once(&t->written);
}

#define TOLD_TIMES 20000

static void *tell_often(void *arg)
{
	struct told *t = arg;

	for (unsigned i = 0; i < TOLD_TIMES; i++) {
		__atomic_add_fetch(&t->written, 1, __ATOMIC_RELAXED);
		reactor_post(t->r, &t->msg);
	}
	return NULL;
}

/* Two threads post one message as fast as they can: the last run comes behind the last post. */
static void no_post_of_a_queued_message_is_lost(bool uring)
{
	struct reactor *r = new_reactor(uring);
	struct told t = {.msg.run = told_run, .r = r};
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, tell_often, &t), 0);
	while (t.seen < 2 * TOLD_TIMES)
		reactor_turn(r);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	reactor_destroy(&r);
}

static void notifier_survives_hostile_fds(bool uring)
{
	struct reactor *r = new_reactor(uring);
	struct notifier n;
	uint64_t full = UINT64_MAX - 1, got = 0;
	int fds[2], fd;

	signal(SIGPIPE, SIG_IGN);
	notifier_init(&n);
	notifier_signal(&n, r); /* nobody there */

	for (int flags = 0; flags <= EFD_NONBLOCK; flags += EFD_NONBLOCK) {
		fd = eventfd(0, EFD_CLOEXEC | flags);
		notifier_set(&n, r, dup(fd));
		notifier_signal(&n, r);
		reactor_submit(r);
		turn(r, 1);
		assert_int_equal(read(fd, &got, 8), 8);
		assert_int_equal(got, 1);
		assert_int_equal(write(fd, &full, 8), 8); /* V-13: no room for one more */
		notifier_signal(&n, r);
		reactor_submit(r);
		turn(r, 1);
		assert_int_equal(read(fd, &got, 8), 8);
		close(fd);
	}
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0); /* a pipe nobody reads */
	notifier_set(&n, r, fds[1]);
	close(fds[0]);
	notifier_signal(&n, r);
	reactor_submit(r);
	turn(r, 1);
	notifier_set(&n, r, -1);
	reactor_destroy(&r);
}

/* A counter at its very end, where only the kernel can take it: it can be read, and shows an error. */
static int past_its_end(struct reactor *r)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct evsignal *s = reactor_evsignal(r);

	if (!s)
		skip();
	assert_int_equal(eventfd_write(fd, UINT64_MAX - 1), 0);
	assert_int_equal(evsignal_send(s, fd), 0);
	return fd;
}

/* In blocking mode, with and without the kernel's help: who waits is ended by the alarm. */
static void a_peers_eventfd_holds_nobody_up(bool uring)
{
	struct reactor *r = new_reactor(uring);
	int full = past_its_end(r), fd = eventfd(0, EFD_CLOEXEC);
	struct notifier n;
	eventfd_t got;

	alarm(60);
	notifier_init(&n);
	for (int i = 0; i < 2; i++) {
		notifier_signal_foreign(r, full);
		assert_int_equal(notifier_swap(&n, r, full, true), -1);
		notifier_signal(&n, r);
		assert_int_equal(notifier_swap(&n, r, fd, true), full);
		notifier_signal(&n, r);
		notifier_signal_foreign(r, fd);
		assert_int_equal(eventfd_read(fd, &got), 0);
		assert_int_equal(got, 2);
		assert_int_equal(notifier_swap(&n, r, -1, true), fd);
		evsignal_destroy(&r->evsignal);
	}
	alarm(0);
	close(full);
	close(fd);
	reactor_destroy(&r);
}

static void set_flag(void *arg)
{
	*(pthread_t *)arg = pthread_self();
}

static void worker_runs_calls_on_its_thread(bool uring)
{
	struct worker_config c = {.name = "w0", .reactor.uring = uring, .cpu = -1};
	struct worker *w = NULL;
	pthread_t t = pthread_self();

	assert_int_equal(worker_create(&w, &c, NULL), 0);
	for (int i = 0; i < 100; i++)
		worker_call(w, set_flag, &t);
	assert_false(pthread_equal(t, pthread_self()));
	worker_destroy(&w);
	assert_null(w);
}

#define BOTH_KINDS(fn)                       \
	static void fn##_uring(void **state) \
	{                                    \
		(void)state;                 \
		fn(true);                    \
	}                                    \
	static void fn##_epoll(void **state) \
	{                                    \
		(void)state;                 \
		fn(false);                   \
	}
BOTH_KINDS(messages_from_threads)
BOTH_KINDS(watch_tells_each_signal)
BOTH_KINDS(watch_stopped_inside_its_callback)
BOTH_KINDS(a_watch_stopped_while_an_event_waits_is_gone)
BOTH_KINDS(hang_up_is_told_once)
BOTH_KINDS(timers_expire_in_order)
BOTH_KINDS(poller_is_polled_until_armed)
BOTH_KINDS(pollers_may_stop_each_other)
BOTH_KINDS(a_poller_that_starts_itself_anew_has_one_look_a_turn)
BOTH_KINDS(a_message_posted_twice_runs_once_and_loses_no_other)
BOTH_KINDS(no_post_of_a_queued_message_is_lost)
BOTH_KINDS(notifier_survives_hostile_fds)
BOTH_KINDS(a_peers_eventfd_holds_nobody_up)
BOTH_KINDS(worker_runs_calls_on_its_thread)

#define BOTH(fn) cmocka_unit_test(fn##_uring), cmocka_unit_test(fn##_epoll)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(messages_from_threads),
		BOTH(watch_tells_each_signal),
		BOTH(watch_stopped_inside_its_callback),
		BOTH(a_watch_stopped_while_an_event_waits_is_gone),
		cmocka_unit_test(a_poll_that_the_kernel_ends_is_made_anew),
		BOTH(hang_up_is_told_once),
		BOTH(timers_expire_in_order),
		BOTH(poller_is_polled_until_armed),
		BOTH(pollers_may_stop_each_other),
		BOTH(a_poller_that_starts_itself_anew_has_one_look_a_turn),
		BOTH(a_message_posted_twice_runs_once_and_loses_no_other),
		BOTH(no_post_of_a_queued_message_is_lost),
		BOTH(notifier_survives_hostile_fds),
		BOTH(a_peers_eventfd_holds_nobody_up),
		BOTH(worker_runs_calls_on_its_thread),
	};

	return cmocka_run_group_tests_name("reactor", tests, NULL, NULL);
}
