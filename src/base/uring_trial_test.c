/* SPDX-License-Identifier: MIT */
/*
 * Where io_uring does not work, in whole or in part, everything goes on without it or with less of
 * it.  System calls are refused by a filter; kernels that lack something are emulated by what stands
 * between this program and liburing: entries that such a kernel would refuse are made unknown ones.
 */
#include "test.h"

#include "base/log.h"
#include "base/notifier.h"
#include "base/reactor_priv.h"
#include "base/worker.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- kernels that lack something ---- */

static void (*spoil)(struct io_uring_sqe *sqe); /* NULL: nothing lacks */

static void refuse(struct io_uring_sqe *sqe)
{
	sqe->opcode = 250;
	sqe->flags = 0;
}

static void without_quiet(struct io_uring_sqe *sqe) /* before 5.17 */
{
	if (sqe->flags & IOSQE_CQE_SKIP_SUCCESS)
		refuse(sqe);
}

static void deaf_to_quiet(struct io_uring_sqe *sqe)
{
	sqe->flags &= (uint8_t)~IOSQE_CQE_SKIP_SUCCESS;
}

static void without_multishot(struct io_uring_sqe *sqe) /* before 5.13 */
{
	if (sqe->opcode == IORING_OP_POLL_ADD && sqe->len & IORING_POLL_ADD_MULTI)
		refuse(sqe);
}

static void deaf_to_multishot(struct io_uring_sqe *sqe)
{
	if (sqe->opcode == IORING_OP_POLL_ADD)
		sqe->len = 0;
}

static void without_cancel(struct io_uring_sqe *sqe)
{
	if (sqe->opcode == IORING_OP_ASYNC_CANCEL)
		refuse(sqe);
}

static void without_read(struct io_uring_sqe *sqe)
{
	if (sqe->opcode == IORING_OP_READ)
		refuse(sqe);
}

static void without_no_op(struct io_uring_sqe *sqe)
{
	if (sqe->opcode == IORING_OP_NOP)
		refuse(sqe);
}

static void spoil_queued(struct io_uring *ring)
{
	for (unsigned i = ring->sq.sqe_head; spoil && i != ring->sq.sqe_tail; i++)
		spoil(&ring->sq.sqes[i & *ring->sq.kring_mask]);
}

static void *real(const char *name)
{
	void *fn = dlsym(RTLD_NEXT, name);

	assert_non_null(fn);
	return fn;
}

int io_uring_submit(struct io_uring *ring)
{
	int (*fn)(struct io_uring * ring) = real("io_uring_submit");

	spoil_queued(ring);
	return fn(ring);
}

int io_uring_submit_and_wait(struct io_uring *ring, unsigned n)
{
	int (*fn)(struct io_uring * ring, unsigned n) = real("io_uring_submit_and_wait");

	spoil_queued(ring);
	return fn(ring, n);
}

int io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **cqe, unsigned n,
				     struct __kernel_timespec *ts, sigset_t *mask)
{
	int (*fn)(struct io_uring * ring, struct io_uring_cqe * *cqe, unsigned n,
		  struct __kernel_timespec *ts,
		  sigset_t *mask) = real("io_uring_submit_and_wait_timeout");

	spoil_queued(ring);
	return fn(ring, cqe, n, ts, mask);
}

/* ---- a worker that has kicks to wait for and calls to give ---- */

#define KICKS 5

struct served {
	struct worker *w;
	struct reactor_watch kick;
	struct notifier call;
	int kick_fd, call_fd;
	unsigned ops_left; /* of watches that were stopped */
};

static unsigned warnings;

static void count_warnings(void *opaque, enum log_level level, const char *line)
{
	(void)opaque;
	if (getenv("TRIAL_LOG"))
		fprintf(stderr, "# %s\n", line);
	warnings += level == LOG_LEVEL_WARN;
}

static void kicked(struct reactor_watch *w, uint32_t events)
{
	struct served *s = container_of(w, struct served, kick);

	(void)events;
	notifier_signal(&s->call, worker_reactor(s->w));
}

static void served_start(void *arg)
{
	struct served *s = arg;

	s->kick.ready = kicked;
	notifier_init(&s->call);
	notifier_set(&s->call, worker_reactor(s->w), dup(s->call_fd));
	if (reactor_watch_start(worker_reactor(s->w), &s->kick, s->kick_fd, EPOLLIN))
		abort();
}

static void served_stop(void *arg)
{
	struct served *s = arg;

	reactor_watch_stop(worker_reactor(s->w), &s->kick);
	notifier_set(&s->call, worker_reactor(s->w), -1);
}

static void served_count(void *arg)
{
	struct served *s = arg;

	s->ops_left = 0;
	list_for_each (l, &worker_reactor(s->w)->watches)
		s->ops_left += !list_entry(l, struct reactor_watch_op, link)->watch;
}

/* Each kick is followed by a call, no watch is left behind.  Returns 0, or what went wrong. */
static int serves(bool *uring)
{
	struct worker_config config = {.name = "trial", .reactor.uring = true, .cpu = -1};
	struct served s = {.kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
			   .call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	int rc = 0;

	if (worker_create(&s.w, &config, NULL))
		return 1;
	*uring = reactor_is_uring(worker_reactor(s.w));
	worker_call(s.w, served_start, &s);
	for (int i = 0; i < KICKS && !rc; i++) {
		struct pollfd p = {.fd = s.call_fd, .events = POLLIN};
		eventfd_t v;

		if (eventfd_write(s.kick_fd, 1) || poll(&p, 1, 20000) != 1)
			rc = 2;
		eventfd_read(s.call_fd, &v);
	}
	/* More often than the ring has entries: completions that nobody wants must go. */
	for (int i = 0; i < 600 && !rc; i++) {
		worker_call(s.w, served_stop, &s);
		worker_call(s.w, served_start, &s);
	}
	worker_call(s.w, served_stop, &s);
	for (int i = 0; i < 1000 && !rc; i++) {
		worker_call(s.w, served_count, &s);
		if (!s.ops_left)
			break;
		usleep(1000);
	}
	if (s.ops_left)
		rc = 3;
	worker_destroy(&s.w);
	close(s.kick_fd);
	close(s.call_fd);
	return rc;
}

/* ---- refused by a filter ---- */

static bool refuse_syscall(uint32_t nr, uint32_t with)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | with),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {ARRAY_SIZE(code), code};

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

enum { FINE_URING = 10, FINE_EPOLL, NO_FILTER };

/* In a child, for a filter cannot be taken off again. */
static int with_refused(uint32_t nr, int with)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		bool uring;
		int rc;

		if (!refuse_syscall(nr, (uint32_t)with))
			_exit(NO_FILTER);
		warnings = 0;
		rc = serves(&uring);
		if (!rc && warnings != !uring)
			rc = 4;
		_exit(rc ? rc : uring ? FINE_URING : FINE_EPOLL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFEXITED(status))
		fail_msg("status 0x%x", status);
	if (WEXITSTATUS(status) == NO_FILTER)
		skip();
	return WEXITSTATUS(status);
}

static const int refusals[] = {ENOSYS, EPERM, EACCES, ENOMEM, EINVAL,	EOPNOTSUPP,
			       EMFILE, EBADF, EFAULT, EIO,    EOVERFLOW};

static void the_set_up_refused_with_any_error(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		assert_int_equal(with_refused(__NR_io_uring_setup, refusals[i]), FINE_EPOLL);
}

static void entering_refused_with_any_error(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		assert_int_equal(with_refused(__NR_io_uring_enter, refusals[i]), FINE_EPOLL);
}

/* Nothing that is needed is registered. */
static void registering_refused_with_any_error(void **state)
{
	bool uring = false;

	(void)state;
	assert_int_equal(serves(&uring), 0);
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		assert_int_equal(with_refused(__NR_io_uring_register, refusals[i]),
				 uring ? FINE_URING : FINE_EPOLL);
}

/* ---- a kernel that lacks it ---- */

static void on_such_a_kernel(void (*kernel)(struct io_uring_sqe *), bool still_uring)
{
	bool uring = false;

	assert_int_equal(serves(&uring), 0);
	if (!uring)
		skip(); /* not even on this one */
	warnings = 0;
	spoil = kernel;
	assert_int_equal(serves(&uring), 0);
	spoil = NULL;
	assert_int_equal(uring, still_uring);
	assert_int_equal(warnings, !still_uring);
}

static void what_lacks_is_done_without_or_epoll_does_it(void **state)
{
	(void)state;
	on_such_a_kernel(without_quiet, true);
	on_such_a_kernel(deaf_to_quiet, true);
	on_such_a_kernel(without_multishot, false);
	on_such_a_kernel(deaf_to_multishot, false);
	on_such_a_kernel(without_cancel, false);
	on_such_a_kernel(without_read, false);
	on_such_a_kernel(without_no_op, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_set_up_refused_with_any_error),
		cmocka_unit_test(entering_refused_with_any_error),
		cmocka_unit_test(registering_refused_with_any_error),
		cmocka_unit_test(what_lacks_is_done_without_or_epoll_does_it),
	};

	log_setup(LOG_LEVEL_WARN, count_warnings, NULL);
	return cmocka_run_group_tests_name("uring_trial", tests, NULL, NULL);
}
