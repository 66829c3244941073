/* SPDX-License-Identifier: MIT */
#include "base/reactor.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "base/evsignal.h"
#include "base/reactor_priv.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* An idle poller among busy ones is armed after so many fruitless looks, to spare the others its
 * cache lines. */
#define POLLER_IDLE_TURNS 1024
static void wake_ready(struct reactor_watch *w, uint32_t events)
{
	/* The inbox is looked at in every turn: this only ended the sleep. */
	(void)w;
	(void)events;
}

int reactor_create(struct reactor **out, const struct reactor_config *config, struct error *err)
{
	struct reactor *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return error_set(err, -ENOMEM, "cannot create an event loop");
	r->kind = config->uring ? &reactor_kind_uring : &reactor_kind_epoll;
	r->epfd = -1;
	list_init(&r->watches);
	list_init(&r->timers);
	list_init(&r->pollers);
	poll_budget_init(&r->budget, config->poll_us == REACTOR_POLL_FOREVER
					     ? UINT64_MAX
					     : config->poll_us * NSEC_PER_USEC);

	r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->wake_fd < 0) {
		rc = error_set(err, -errno, "cannot create an eventfd");
		goto free_reactor;
	}
	rc = r->kind->open(r, config->entries ? config->entries : 256, err);
	if (rc)
		goto close_wake;
	r->wake.ready = wake_ready;
	rc = reactor_watch_start(r, &r->wake, r->wake_fd, EPOLLIN);
	if (rc) {
		error_set(err, rc, "cannot watch an eventfd");
		goto close_kind;
	}
	/* Without it, eventfds of peers are signalled as well as can be. */
	(void)evsignal_create(&r->evsignal);
	*out = r;
	return 0;
close_kind:
	r->kind->close(r);
close_wake:
	close(r->wake_fd);
free_reactor:
	free(r);
	return rc;
}

void reactor_destroy(struct reactor **rp)
{
	struct reactor *r = *rp;

	if (!r)
		return;
	reactor_watch_stop(r, &r->wake);
	r->kind->close(r);
	list_for_each_safe (l, &r->watches) {
		struct reactor_watch_op *op = list_entry(l, struct reactor_watch_op, link);

		list_del(&op->link);
		free(op);
	}
	evsignal_destroy(&r->evsignal);
	close(r->wake_fd);
	free(r);
	*rp = NULL;
}

/* ---- messages ---- */

static void wake(struct reactor *r)
{
	uint64_t one = 1;

	/* Can only fail when the counter is full, and then the reactor is awake. */
	if (write(r->wake_fd, &one, sizeof(one)) < 0)
		return;
}

void reactor_post(struct reactor *r, struct reactor_msg *msg)
{
	struct reactor_msg *head;

	/*
	 * One exchange on either side, so that one of the two sees the other: either this one finds
	 * the message taken, or run_inbox() sees what was written before it.
	 */
	if (__atomic_exchange_n(&msg->queued, true, __ATOMIC_ACQ_REL))
		return;
	head = read_once(&r->inbox);
	/* Release: what the sender wrote into the message is seen by run_inbox()'s exchange. */
	do {
		msg->next = head;
	} while (!__atomic_compare_exchange_n(&r->inbox, &head, msg, true, __ATOMIC_RELEASE,
					      __ATOMIC_RELAXED));
	if (!head)
		wake(r);
}

static unsigned run_inbox(struct reactor *r)
{
	struct reactor_msg *msg, *next, *ordered = NULL;
	unsigned n = 0;

	if (!read_once(&r->inbox))
		return 0;
	msg = __atomic_exchange_n(&r->inbox, NULL, __ATOMIC_ACQUIRE);
	for (; msg; msg = next) {
		next = msg->next;
		msg->next = ordered;
		ordered = msg;
	}
	for (msg = ordered; msg; msg = next, n++) {
		next = msg->next; /* from here on it may be queued again; run() may free it */
		(void)__atomic_exchange_n(&msg->queued, false, __ATOMIC_ACQ_REL);
		msg->run(msg);
	}
	return n;
}

void reactor_stop(struct reactor *r)
{
	store_release(&r->stop, true);
	wake(r);
}

/* ---- watches ---- */

int reactor_watch_start(struct reactor *r, struct reactor_watch *w, int fd, uint32_t events)
{
	struct reactor_watch_op *op = calloc(1, sizeof(*op));
	int rc;

	if (!op)
		return -ENOMEM;
	op->reactor = r;
	op->watch = w;
	op->fd = fd;
	op->events = events;
	list_add_tail(&r->watches, &op->link);
	w->op = op;
	rc = r->kind->watch(r, op);
	if (rc) {
		w->op = NULL;
		list_del(&op->link);
		free(op);
	}
	return rc;
}

void reactor_watch_stop(struct reactor *r, struct reactor_watch *w)
{
	struct reactor_watch_op *op = w->op;

	if (!op)
		return;
	w->op = NULL;
	op->watch = NULL;
	r->kind->unwatch(r, op);
}

void reactor_watch_deliver(struct reactor_watch_op *op, uint32_t events)
{
	if (!op->watch || op->over)
		return;
	if (events & (EPOLLHUP | EPOLLERR))
		op->over = true;
	op->busy = true;
	op->watch->ready(op->watch, events);
	op->busy = false;
}

/* ---- timers ---- */

void reactor_timer_init(struct reactor_timer *t, void (*expired)(struct reactor_timer *t))
{
	t->expired = expired;
	t->at_ns = 0;
	list_init(&t->link);
}

void reactor_timer_start(struct reactor *r, struct reactor_timer *t, uint64_t delay_ns)
{
	struct list *before = &r->timers;

	list_del(&t->link);
	t->at_ns = clock_ns() + delay_ns;
	list_for_each (l, &r->timers) {
		if (list_entry(l, struct reactor_timer, link)->at_ns > t->at_ns) {
			before = l;
			break;
		}
	}
	list_add_tail(before, &t->link); /* the tail of "before's list" is just in front of it */
}

void reactor_timer_stop(struct reactor *r, struct reactor_timer *t)
{
	(void)r;
	list_del(&t->link);
}

static unsigned run_timers(struct reactor *r)
{
	unsigned n = 0;
	uint64_t now;

	if (list_empty(&r->timers))
		return 0;
	now = clock_ns();
	while (!list_empty(&r->timers)) {
		struct reactor_timer *t = list_entry(r->timers.next, struct reactor_timer, link);

		if (t->at_ns > now)
			break;
		list_del(&t->link);
		t->expired(t);
		n++;
	}
	return n;
}

static uint64_t until_next_timer(const struct reactor *r)
{
	const struct reactor_timer *t;
	uint64_t now;

	if (list_empty(&r->timers))
		return UINT64_MAX;
	t = list_entry(r->timers.next, struct reactor_timer, link);
	now = clock_ns();
	return t->at_ns > now ? t->at_ns - now : 0;
}

/* ---- pollers ---- */

void reactor_poller_init(struct reactor_poller *p, unsigned (*poll)(struct reactor_poller *p),
			 bool (*arm)(struct reactor_poller *p))
{
	p->poll = poll;
	p->arm = arm;
	p->idle_turns = 0;
	list_init(&p->link);
}

void reactor_poller_add(struct reactor *r, struct reactor_poller *p)
{
	p->idle_turns = 0;
	list_add_tail(&r->pollers, &p->link);
}

/* Whoever stops a poller may free it next: nothing here may touch it any more. */
void reactor_poller_stop(struct reactor *r, struct reactor_poller *p)
{
	if (r->polled == p)
		r->polled = NULL;
	list_del(&p->link);
}

/*
 * Callbacks activate and stop pollers at will, so a round keeps no pointer into the list: it
 * empties the list into its own, and each poller goes back before it is called.  What is activated
 * meanwhile has its turn in the next round.
 */
static struct reactor_poller *next_of_round(struct reactor *r, struct list *round)
{
	struct reactor_poller *p;

	if (list_empty(round))
		return NULL;
	p = list_entry(round->next, struct reactor_poller, link);
	list_del(&p->link);
	list_add_tail(&r->pollers, &p->link);
	return p;
}

static void poller_arm(struct reactor *r, struct reactor_poller *p)
{
	bool armed;

	r->polled = p;
	armed = p->arm(p);
	if (r->polled == p && armed)
		list_del(&p->link);
	r->polled = NULL;
}

static unsigned run_pollers(struct reactor *r)
{
	struct reactor_poller *p;
	struct list round;
	unsigned n = 0;

	list_take_all(&round, &r->pollers);
	while ((p = next_of_round(r, &round))) {
		unsigned did;

		r->polled = p;
		did = p->poll(p);
		n += did;
		if (r->polled != p)
			continue;
		r->polled = NULL;
		if (did)
			p->idle_turns = 0;
		else if (++p->idle_turns > POLLER_IDLE_TURNS && r->budget.limit_ns != UINT64_MAX)
			poller_arm(r, p);
	}
	return n;
}

/* Every poller asks for notifications; false: one of them found work. */
static bool arm_pollers(struct reactor *r)
{
	struct reactor_poller *p;
	struct list round;

	list_take_all(&round, &r->pollers);
	while ((p = next_of_round(r, &round)))
		poller_arm(r, p);
	return list_empty(&r->pollers);
}

/* ---- how long to poll before sleeping: poll_budget.h ---- */

/* Whether to go on looking rather than sleep. */
static bool keep_polling(struct reactor *r)
{
	if (list_empty(&r->pollers) || !r->budget.limit_ns)
		return false;
	return r->budget.limit_ns == UINT64_MAX || poll_budget_look(&r->budget, clock_ns());
}

static void sleep_until_event(struct reactor *r)
{
	uint64_t timeout = until_next_timer(r), before = 0;
	bool learn = r->budget.limit_ns && r->budget.limit_ns != UINT64_MAX;

	r->unsubmitted = false;
	r->stats.sleeps++;
	if (learn)
		before = clock_ns();
	r->kind->wait(r, timeout);
	if (learn) {
		uint64_t now = clock_ns();

		poll_budget_slept(&r->budget, now - before, now);
	}
}

/* What is there to do now, without waiting. */
static unsigned work(struct reactor *r)
{
	unsigned n = r->kind->reap(r);

	n += run_inbox(r);
	n += run_timers(r);
	n += run_pollers(r);
	write_once(&r->stats.turns, r->stats.turns + 1);
	return n;
}

void reactor_turn(struct reactor *r)
{
	if (work(r)) {
		/* One more look before paying for a system call: most often the next turn can
		 * submit and sleep in one. */
		if (r->unsubmitted)
			r->kind->submit(r);
		r->unsubmitted = !r->unsubmitted;
		poll_budget_caught(&r->budget);
		return;
	}
	if (keep_polling(r)) {
		r->kind->submit(r);
		r->unsubmitted = false;
		/*
		 * What is awaited may need this very CPU: the kernel does some file I/O in threads
		 * of its own.  With nobody else to run, this costs a fraction of a microsecond.
		 */
		if (r->in_flight)
			sched_yield();
		else
			cpu_relax();
		return;
	}
	if (load_acquire(&r->stop) || !arm_pollers(r))
		return;
	sleep_until_event(r);
}

void reactor_run(struct reactor *r)
{
	while (!load_acquire(&r->stop))
		reactor_turn(r);
	reactor_submit(r);
}

/* Bounded, so that a busy peer cannot keep the caller's own loop waiting. */
#define PROCESS_TURNS 64

void reactor_process(struct reactor *r)
{
	for (int i = 0; i < PROCESS_TURNS && work(r); i++)
		;
	arm_pollers(r);
	reactor_submit(r);
}

void reactor_submit(struct reactor *r)
{
	r->kind->submit(r);
	r->unsubmitted = false;
}

int reactor_fd(const struct reactor *r)
{
	return r->epfd;
}

int reactor_timeout_ms(const struct reactor *r)
{
	uint64_t ns = until_next_timer(r);

	if (ns == UINT64_MAX)
		return -1;
	return (int)min_u64((ns + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC, INT32_MAX);
}

struct evsignal *reactor_evsignal(struct reactor *r)
{
	return r->evsignal && evsignal_works(r->evsignal) ? r->evsignal : NULL;
}

bool reactor_is_uring(const struct reactor *r)
{
	return r->kind == &reactor_kind_uring;
}

const char *reactor_describe(const struct reactor *r)
{
	if (!reactor_is_uring(r))
		return "epoll and threads";
	return r->quiet ? "io_uring"
			: "io_uring, with a completion for each signal (as before Linux 5.17)";
}

struct io_uring *reactor_uring(struct reactor *r)
{
	return reactor_is_uring(r) ? &r->ring : NULL;
}

const struct reactor_stats *reactor_stats(const struct reactor *r)
{
	return &r->stats;
}

uint64_t reactor_turns(const struct reactor *r)
{
	return read_once(&r->stats.turns);
}

void reactor_note(struct reactor *r, const char *what)
{
	write_once(&r->noted, what);
}

const char *reactor_noted(const struct reactor *r)
{
	return read_once(&r->noted);
}
