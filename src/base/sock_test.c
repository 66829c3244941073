/* SPDX-License-Identifier: MIT */
/* Messages with fds over a socket pair. */
#include "test.h"

#include "base/clock.h"
#include "base/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BIG (4u << 20)

static uint64_t in(unsigned ms)
{
	return clock_ns() + ms * NSEC_PER_MSEC;
}

static void a_message_brings_its_fds(void **state)
{
	int pair[2], sent = eventfd(7, EFD_CLOEXEC), got[2] = {-1, -1};
	struct sock_fds take = {.fds = got, .max = 2};
	char text[6] = "";
	eventfd_t v;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(sock_send(pair[0], "hello", 6, (int[]){sent, sent, sent}, 3, in(5000)), 0);
	assert_int_equal(sock_recv(pair[1], text, 6, &take, in(5000)), 0);
	assert_string_equal(text, "hello");
	/* The third had no room. */
	assert_int_equal(take.n, 2);
	assert_true(fcntl(got[0], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(eventfd_read(got[1], &v), 0);
	assert_int_equal(v, 7);
	close(got[0]);
	close(got[1]);
	close(sent);
	close(pair[0]);
	close(pair[1]);
}

static void fds_that_nobody_takes_are_closed(void **state)
{
	int pair[2], pipe_ends[2];
	struct pollfd p;
	char c;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
	assert_int_equal(sock_send(pair[0], "x", 1, &pipe_ends[1], 1, in(5000)), 0);
	close(pipe_ends[1]);
	assert_int_equal(sock_recv(pair[1], &c, 1, NULL, in(5000)), 0);
	p = (struct pollfd){.fd = pipe_ends[0], .events = POLLIN};
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_true(p.revents & POLLHUP);
	close(pipe_ends[0]);
	close(pair[0]);
	close(pair[1]);
}

static void *drain(void *arg)
{
	char *bytes = malloc(BIG);
	int fd = *(int *)arg;
	int rc = bytes ? sock_recv(fd, bytes, BIG, NULL, in(60000)) : -ENOMEM;

	free(bytes);
	return (void *)(intptr_t)rc;
}

static void more_than_the_socket_holds_goes_through(void **state)
{
	char *bytes = calloc(1, BIG);
	pthread_t thread;
	void *rc;
	int pair[2];

	(void)state;
	assert_non_null(bytes);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(pthread_create(&thread, NULL, drain, &pair[1]), 0);
	assert_int_equal(sock_send(pair[0], bytes, BIG, NULL, 0, in(60000)), 0);
	pthread_join(thread, &rc);
	assert_null(rc);
	free(bytes);
	close(pair[0]);
	close(pair[1]);
}

static void nobody_waits_for_ever(void **state)
{
	char *bytes = calloc(1, BIG), c;
	int pair[2];

	(void)state;
	assert_non_null(bytes);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(sock_recv(pair[0], &c, 1, NULL, in(10)), -ETIMEDOUT);
	assert_int_equal(sock_send(pair[0], bytes, BIG, NULL, 0, in(10)), -ETIMEDOUT);
	assert_int_equal(sock_ready(pair[0], POLLIN, 0), -ETIMEDOUT);
	close(pair[1]);
	assert_int_equal(sock_recv(pair[0], &c, 1, NULL, in(5000)), -ENOTCONN);
	assert_int_equal(sock_send(pair[0], "x", 1, NULL, 0, in(5000)), -ENOTCONN);
	assert_int_equal(sock_send(pair[0], "x", 1, NULL, SOCK_FDS_MAX + 1, 0), -EINVAL);
	free(bytes);
	close(pair[0]);
}

/* Leaves room for @left more files. */
static void fill_files(int *fds, int *n, int left)
{
	int fd;

	for (*n = 0; (fd = eventfd(0, EFD_CLOEXEC)) >= 0; ++*n)
		fds[*n] = fd;
	assert_int_equal(errno, EMFILE);
	while (left--)
		close(fds[--*n]);
}

/* What cannot be taken for want of files is our lack, whatever the number; nothing is left open. */
static void fds_that_find_no_file_are_our_lack_and_not_too_many(void **state)
{
	int pair[2], got[8], fill[128], n_fill, four[4];
	struct rlimit before, limit;
	char c;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = (struct rlimit){.rlim_cur = 128, .rlim_max = before.rlim_max};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	four[0] = four[1] = four[2] = four[3] = pair[0];
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	/* Room for none, for some, for all of them, but of the reserve. */
	for (int left = 0; left <= 8; left += 2) {
		struct sock_fds take = {.fds = got, .max = 8};
		int again[128], n_again;

		fill_files(fill, &n_fill, left);
		assert_int_equal(sock_send(pair[0], "x", 1, four, 4, in(5000)), 0);
		assert_int_equal(sock_recv_some(pair[1], &c, 1, &take), -EMFILE);
		assert_int_equal(take.n, 0);
		assert_false(take.more);
		/* Who wants none does not care. */
		assert_int_equal(sock_send(pair[0], "x", 1, four, 4, in(5000)), 0);
		assert_int_equal(sock_recv_some(pair[1], &c, 1, NULL), 1);
		fill_files(again, &n_again, 0);
		assert_int_equal(n_again, left);
		while (n_again)
			close(again[--n_again]);
		while (n_fill)
			close(fill[--n_fill]);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	close(pair[0]);
	close(pair[1]);
}

static void what_goes_at_once_never_waits(void **state)
{
	char *bytes = calloc(1, BIG), c[2];
	struct iovec iov[2] = {{bytes, 1}, {bytes, BIG}};
	struct sock_fds take = {.fds = (int[1]){-1}, .max = 1};
	int pair[2];
	ssize_t n;

	(void)state;
	assert_non_null(bytes);
	/* In blocking mode, which peers may choose. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(sock_recv_some(pair[1], c, 2, NULL), 0);
	n = sock_send_some(pair[0], iov, 2, pair, 2);
	assert_true(n > 0);
	while (n > 0)
		n = sock_send_some(pair[0], &iov[1], 1, NULL, 0);
	assert_int_equal(n, 0);
	assert_int_equal(sock_recv_some(pair[1], c, 2, &take), 2);
	assert_int_equal(take.n, 1);
	assert_true(take.more);
	close(take.fds[0]);
	close(pair[0]);
	while ((n = sock_recv_some(pair[1], bytes, BIG, NULL)) > 0)
		;
	assert_int_equal(n, -EPIPE);
	assert_int_equal(sock_send_some(pair[1], iov, 1, NULL, 0), -EPIPE);
	close(pair[1]);
	free(bytes);
}

static void dial_fails(const struct sock_address *at, int rc, const char *why)
{
	struct error err = {""};

	assert_int_equal(sock_dial(at, 1, &err), rc);
	assert_non_null(strstr(err.text, why));
}

static void who_dials_gets_through_or_hears_why_not(void **state)
{
	char name[64];
	int l = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fds[2];
	struct sock_address at, file;

	(void)state;
	snprintf(name, sizeof(name), "@ringside-sock-test-%d", getpid());
	assert_int_equal(sock_address(&at, name, NULL), 0);
	assert_int_equal(bind(l, sock_address_of(&at), at.len), 0);
	dial_fails(&at, -ECONNREFUSED, name);
	/* Room for one that waits, and then for none. */
	assert_int_equal(listen(l, 0), 0);
	fds[0] = sock_dial(&at, 10000, NULL);
	assert_true(fds[0] >= 0);
	assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	assert_false(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
	dial_fails(&at, -EAGAIN, "too many wait");
	fds[1] = accept(l, NULL, NULL);
	assert_int_equal(sock_send(fds[0], "x", 1, NULL, 0, in(5000)), 0);
	assert_int_equal(sock_recv(fds[1], name, 1, NULL, in(5000)), 0);
	close(fds[1]);
	close(fds[0]);
	close(l);

	assert_int_equal(sock_address(&file, "/nowhere/at/all", NULL), 0);
	dial_fails(&file, -ENOENT, "nobody answers at /nowhere/at/all");
	assert_int_equal(sock_address(&file, "/dev/null/no", NULL), 0);
	dial_fails(&file, -ENOTDIR, "cannot connect to /dev/null/no");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_brings_its_fds),
		cmocka_unit_test(fds_that_nobody_takes_are_closed),
		cmocka_unit_test(more_than_the_socket_holds_goes_through),
		cmocka_unit_test(nobody_waits_for_ever),
		cmocka_unit_test(what_goes_at_once_never_waits),
		cmocka_unit_test(fds_that_find_no_file_are_our_lack_and_not_too_many),
		cmocka_unit_test(who_dials_gets_through_or_hears_why_not),
	};

	return cmocka_run_group_tests_name("sock", tests, NULL, NULL);
}
