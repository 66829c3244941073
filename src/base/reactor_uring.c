/* SPDX-License-Identifier: MIT */
/*
 * The reactor as an io_uring.
 *
 * user_data of a completion: 0 - nobody cares; bit 0 set - a struct reactor_watch_op; otherwise a
 * struct reactor_op.
 */
#include "base/reactor_priv.h"

#include "base/clock.h"
#include "base/uring_trial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#define TAG_WATCH UINT64_C(1)

static int open_tried(struct reactor *r, unsigned entries, unsigned flags, struct error *err)
{
	struct io_uring_params params = {
		.flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
		.cq_entries = entries * 8,
	};
	struct uring_abilities able = {0};
	int rc = io_uring_queue_init_params(entries, &r->ring, &params);

	if (rc)
		return error_set(err, rc, "an io_uring cannot be created");
	rc = uring_trial(&r->ring, &able, err);
	if (rc)
		io_uring_queue_exit(&r->ring);
	r->quiet = able.quiet;
	return rc;
}

static int uring_kind_open(struct reactor *r, unsigned entries, struct error *err)
{
	/* From the flags that fit best (6.1) to what every io_uring kernel takes. */
	static const unsigned flags[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		0,
	};
	int rc = -ENOSYS;

	for (size_t i = 0; i < ARRAY_SIZE(flags) && rc; i++)
		rc = open_tried(r, entries, flags[i], err);
	return rc;
}

static void uring_kind_close(struct reactor *r)
{
	io_uring_queue_exit(&r->ring);
}

static struct io_uring_sqe *get_sqe(struct reactor *r)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->ring);

	if (sqe)
		return sqe;
	r->kind->submit(r);
	return io_uring_get_sqe(&r->ring);
}

struct io_uring_sqe *reactor_sqe(struct reactor *r)
{
	return get_sqe(r);
}

void reactor_sqe_set(struct reactor *r, struct io_uring_sqe *sqe, struct reactor_op *op)
{
	io_uring_sqe_set_data(sqe, op);
	r->in_flight += op != NULL;
	if (!op && r->quiet)
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

static int uring_kind_watch(struct reactor *r, struct reactor_watch_op *op)
{
	struct io_uring_sqe *sqe = get_sqe(r);

	if (!sqe)
		return -EAGAIN;
	io_uring_prep_poll_multishot(sqe, op->fd, op->events);
	sqe->user_data = (uintptr_t)op | TAG_WATCH;
	op->armed = true;
	return 0;
}

static void forget(struct reactor_watch_op *op)
{
	list_del(&op->link);
	free(op);
}

/*
 * A cancellation, not a removal of the poll: that one is refused while an event of the poll waits to
 * be delivered, and the poll would stay, with its fd.  false: the ring is full.
 */
static bool cancel(struct reactor *r, struct reactor_watch_op *op)
{
	struct io_uring_sqe *sqe = get_sqe(r);

	if (!sqe)
		return false;
	io_uring_prep_cancel64(sqe, (uintptr_t)op | TAG_WATCH, 0);
	reactor_sqe_set(r, sqe, NULL);
	/* The caller may close the fd next, and a queued entry may still name it. */
	reactor_submit(r);
	return true;
}

static void uring_kind_unwatch(struct reactor *r, struct reactor_watch_op *op)
{
	if (op->armed)
		r->uncancelled += !cancel(r, op);
	else if (!op->busy)
		forget(op);
}

/* Those that found no room in the ring. */
static void cancel_the_rest(struct reactor *r)
{
	r->uncancelled = 0;
	list_for_each (l, &r->watches) {
		struct reactor_watch_op *op = list_entry(l, struct reactor_watch_op, link);

		if (op->watch || !op->armed)
			continue;
		if (!cancel(r, op)) {
			r->uncancelled++;
			return;
		}
	}
}

/* Those that are not watched for want of room in the ring; what came meanwhile is told then. */
static void arm_the_rest(struct reactor *r)
{
	r->unarmed = 0;
	list_for_each (l, &r->watches) {
		struct reactor_watch_op *op = list_entry(l, struct reactor_watch_op, link);

		if (!op->watch || op->armed || op->over)
			continue;
		if (uring_kind_watch(r, op)) {
			r->unarmed++;
			return;
		}
	}
}

/*
 * The kernel may end a poll by itself, when it has no memory to tell of an event, say.  That is no
 * word about the file: something may have come, and it is watched anew.
 */
static uint32_t watch_events(const struct reactor_watch_op *op, int res)
{
	switch (res) {
	case -ECANCELED:
	case -ENOMEM:
	case -EAGAIN:
	case -EINTR:
	case -EOVERFLOW:
		return op->events;
	default:
		return res < 0 ? EPOLLERR : (uint32_t)res;
	}
}

static void watch_completed(struct reactor *r, struct reactor_watch_op *op, int res, uint32_t flags)
{
	op->armed = flags & IORING_CQE_F_MORE;
	reactor_watch_deliver(op, watch_events(op, res));
	if (op->armed)
		return;
	if (!op->watch)
		forget(op);
	else if (!op->over && uring_kind_watch(r, op))
		r->unarmed++;
}

static unsigned uring_kind_reap(struct reactor *r)
{
	struct io_uring_cqe *cqe;
	unsigned n = 0;

	/* With deferred task work, completions come into being only when the kernel is asked for
	 * them. */
	if (!io_uring_cq_ready(&r->ring)) {
		if (!(IO_URING_READ_ONCE(*r->ring.sq.kflags) &
		      (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)))
			return 0;
		r->stats.syscalls++;
		io_uring_get_events(&r->ring);
	}
	while (io_uring_peek_cqe(&r->ring, &cqe) == 0) {
		uint64_t data = cqe->user_data;
		uint32_t flags = cqe->flags;
		int res = cqe->res;

		/* Seen before it is delivered: what it leads to may submit and wants the room. */
		io_uring_cqe_seen(&r->ring, cqe);
		n++;
		if (!data)
			continue;
		if (data & TAG_WATCH) {
			watch_completed(r,
					(struct reactor_watch_op *)(uintptr_t)(data & ~TAG_WATCH),
					res, flags);
		} else {
			struct reactor_op *op = (struct reactor_op *)(uintptr_t)data;

			r->in_flight--;
			op->done(op, res);
		}
	}
	if (unlikely(r->uncancelled))
		cancel_the_rest(r);
	if (unlikely(r->unarmed))
		arm_the_rest(r);
	return n;
}

static void uring_kind_submit(struct reactor *r)
{
	if (!io_uring_sq_ready(&r->ring))
		return;
	r->stats.syscalls++;
	io_uring_submit(&r->ring);
}

/* An io_uring that passed the trial and fails now must not make the thread spin. */
#define FAILED_PAUSE_NS NSEC_PER_MSEC

static void wait_failed(struct reactor *r, int rc)
{
	const struct timespec pause = {.tv_nsec = FAILED_PAUSE_NS};

	if (rc == -ETIME || rc == -EINTR || rc == -EBUSY || rc == -EAGAIN)
		return; /* as it should be; or completions are to be taken first */
	log_limited(&r->complaints, LOG_LEVEL_ERR, NULL, "io_uring fails: %s; trying again",
		    strerror(-rc));
	nanosleep(&pause, NULL);
}

static void uring_kind_wait(struct reactor *r, uint64_t timeout_ns)
{
	struct io_uring_cqe *cqe;
	int rc;

	r->stats.syscalls++;
	if (timeout_ns == UINT64_MAX) {
		rc = io_uring_submit_and_wait(&r->ring, 1);
	} else {
		struct __kernel_timespec ts = {
			.tv_sec = (int64_t)(timeout_ns / NSEC_PER_SEC),
			.tv_nsec = (int64_t)(timeout_ns % NSEC_PER_SEC),
		};

		rc = io_uring_submit_and_wait_timeout(&r->ring, &cqe, 1, &ts, NULL);
	}
	if (unlikely(rc < 0))
		wait_failed(r, rc);
}

const struct reactor_kind reactor_kind_uring = {
	.open = uring_kind_open,
	.close = uring_kind_close,
	.watch = uring_kind_watch,
	.unwatch = uring_kind_unwatch,
	.reap = uring_kind_reap,
	.submit = uring_kind_submit,
	.wait = uring_kind_wait,
};
