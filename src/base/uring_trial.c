/* SPDX-License-Identifier: MIT */
#include "base/uring_trial.h"

#include "base/bits.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Nothing here takes long; a ring that says nothing for so many seconds does not work. */
#define PATIENCE_S 5

enum tag { NO_OP = 1, POLL, SIGNAL, CANCEL, READ, QUIET };

struct trial {
	struct io_uring *ring;
	int fd; /* an eventfd */
	uint64_t one, got;
	const char *what;	  /* is being tried */
	struct io_uring_cqe last; /* taken by trial_take() */
};

static const uint8_t needed[] = {
	IORING_OP_NOP,	    IORING_OP_READV,	    IORING_OP_WRITEV,
	IORING_OP_FSYNC,    IORING_OP_READ,	    IORING_OP_WRITE,
	IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL, IORING_OP_FALLOCATE,
};

static struct io_uring_sqe *trial_sqe(struct trial *t, const char *what)
{
	t->what = what;
	return io_uring_get_sqe(t->ring);
}

/* Submits, and takes one completion.  0 or -errno of the system call. */
static int trial_take(struct trial *t)
{
	struct __kernel_timespec patience = {.tv_sec = PATIENCE_S};
	struct io_uring_cqe *cqe;
	int rc;

	do {
		rc = io_uring_submit_and_wait_timeout(t->ring, &cqe, 1, &patience, NULL);
	} while (rc == -EINTR);
	if (io_uring_peek_cqe(t->ring, &cqe))
		return rc < 0 ? rc : -ETIME;
	t->last = (struct io_uring_cqe){
		.user_data = cqe->user_data, .res = cqe->res, .flags = cqe->flags};
	io_uring_cqe_seen(t->ring, cqe);
	return 0;
}

/* The next completion is @tag's, with @res. */
static int trial_expect(struct trial *t, enum tag tag, int res)
{
	int rc = trial_take(t);

	if (rc)
		return rc;
	if (t->last.user_data != tag)
		return -EPROTO;
	if (t->last.res == res)
		return 0;
	return t->last.res < 0 ? t->last.res : -EPROTO;
}

static int try_no_op(struct trial *t)
{
	struct io_uring_sqe *sqe = trial_sqe(t, "a no-op");

	io_uring_prep_nop(sqe);
	sqe->user_data = NO_OP;
	return trial_expect(t, NO_OP, 0);
}

static int try_timeout(struct trial *t)
{
	struct __kernel_timespec soon = {.tv_nsec = 1000};
	struct io_uring_cqe *cqe;
	int rc;

	t->what = "a wait that runs out";
	rc = io_uring_submit_and_wait_timeout(t->ring, &cqe, 1, &soon, NULL);
	if (rc == -ETIME || rc == -EINTR || rc == 0)
		return 0;
	return rc < 0 ? rc : -EPROTO;
}

static void prep_signal(struct trial *t, struct io_uring_sqe *sqe, enum tag tag)
{
	io_uring_prep_write(sqe, t->fd, &t->one, sizeof(t->one), 0);
	sqe->user_data = tag;
}

/* One signal: its own completion and one of the poll, which goes on; in whatever order. */
static int signal_polled(struct trial *t)
{
	bool signalled = false, polled = false;
	int rc;

	prep_signal(t, trial_sqe(t, "a poll that goes on"), SIGNAL);
	while (!signalled || !polled) {
		rc = trial_take(t);
		if (rc)
			return rc;
		if (t->last.res < 0)
			return t->last.res;
		if (t->last.user_data == SIGNAL && !signalled && t->last.res == sizeof(t->one))
			signalled = true;
		else if (t->last.user_data == POLL && !polled && t->last.res & POLLIN &&
			 t->last.flags & IORING_CQE_F_MORE)
			polled = true;
		else
			return -EPROTO;
	}
	return 0;
}

/* The cancellation and the poll's last word, in whatever order. */
static int cancel_poll(struct trial *t)
{
	struct io_uring_sqe *sqe = trial_sqe(t, "the end of a poll");
	int rc;

	io_uring_prep_cancel64(sqe, POLL, 0);
	sqe->user_data = CANCEL;
	for (int i = 0; i < 2; i++) {
		rc = trial_take(t);
		if (rc)
			return rc;
		if (t->last.user_data == CANCEL ? t->last.res != 0 : t->last.res != -ECANCELED)
			return t->last.res < 0 ? t->last.res : -EPROTO;
	}
	return 0;
}

/* Not read between two signals, as the reactor does not read its kicks. */
static int try_poll(struct trial *t)
{
	struct io_uring_sqe *sqe = trial_sqe(t, "a poll that goes on");
	int rc;

	io_uring_prep_poll_multishot(sqe, t->fd, POLLIN);
	sqe->user_data = POLL;
	rc = signal_polled(t);
	if (!rc)
		rc = signal_polled(t);
	return rc ? rc : cancel_poll(t);
}

static int try_read(struct trial *t, uint64_t want)
{
	struct io_uring_sqe *sqe = trial_sqe(t, "a read");
	int rc;

	io_uring_prep_read(sqe, t->fd, &t->got, sizeof(t->got), 0);
	sqe->user_data = READ;
	rc = trial_expect(t, READ, sizeof(t->got));
	if (!rc && t->got != want)
		rc = -EPROTO;
	return rc;
}

/* Not to be had is no failure: @able says so. */
static int try_quiet(struct trial *t, struct uring_abilities *able)
{
	struct io_uring_sqe *sqe;
	int rc;

	able->quiet = false;
	if (!(t->ring->features & IORING_FEAT_CQE_SKIP))
		return 0;
	sqe = trial_sqe(t, "a write without a completion");
	prep_signal(t, sqe, QUIET);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	sqe = trial_sqe(t, t->what);
	io_uring_prep_nop(sqe);
	sqe->user_data = NO_OP;
	rc = trial_take(t);
	if (rc)
		return rc;
	if (t->last.user_data == NO_OP) {
		able->quiet = true;
		return try_read(t, 1);
	}
	/* It was refused, or the flag was ignored. */
	return t->last.user_data == QUIET ? trial_expect(t, NO_OP, 0) : -EPROTO;
}

/* What is not tried, being nothing that an eventfd can do, the kernel is asked about. */
static int ask_for_operations(struct trial *t)
{
	struct io_uring_probe *probe = io_uring_get_probe_ring(t->ring);
	bool all = true;

	t->what = "one of the operations";
	if (!probe)
		return 0; /* it cannot be asked */
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		all &= io_uring_opcode_supported(probe, needed[i]) != 0;
	io_uring_free_probe(probe);
	return all ? 0 : -EOPNOTSUPP;
}

static int try_all(struct trial *t, struct uring_abilities *able)
{
	int rc;

	t->what = "a wait that runs out";
	if (!(t->ring->features & IORING_FEAT_EXT_ARG))
		return -EOPNOTSUPP;
	rc = try_no_op(t);
	if (!rc)
		rc = ask_for_operations(t);
	if (!rc)
		rc = try_timeout(t);
	if (!rc)
		rc = try_poll(t);
	if (!rc)
		rc = try_read(t, 2);
	return rc ? rc : try_quiet(t, able);
}

int uring_trial(struct io_uring *ring, struct uring_abilities *able, struct error *err)
{
	struct trial t = {.ring = ring, .one = 1};
	int rc;

	t.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t.fd < 0)
		return error_set(err, -errno, "cannot create an eventfd");
	rc = try_all(&t, able);
	close(t.fd);
	return rc ? error_set(err, rc, "io_uring was tried and failed at %s", t.what) : 0;
}
