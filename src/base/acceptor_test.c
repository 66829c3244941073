/* SPDX-License-Identifier: MIT */
/* Clients at a listening socket: none is left waiting. */
#include "test.h"

#include "base/acceptor.h"
#include "base/bits.h"
#include "base/clock.h"
#include "base/sock.h"
#include "lingering.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CROWD 40

struct door {
	struct acceptor acceptor;
	struct reactor *r;
	int fd;
	struct sockaddr_un at; /* abstract, the kernel's choice */
	socklen_t at_len;
	int inside[CROWD], n, room;
	bool closes; /* after the first one */
};

static unsigned complaints;

static void count_complaints(void *opaque, enum log_level level, const char *line)
{
	(void)opaque;
	(void)level;
	complaints += strstr(line, "ulimit -n") != NULL;
}

static bool door_came(struct acceptor *a, int fd)
{
	struct door *d = container_of(a, struct door, acceptor);

	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	d->inside[d->n++] = fd;
	if (d->closes)
		acceptor_stop(a);
	return d->n < d->room;
}

static void door_open(struct door *d, int room)
{
	const struct reactor_config epoll = {.uring = false};

	*d = (struct door){.room = room, .at.sun_family = AF_UNIX, .at_len = sizeof(d->at)};
	d->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(d->fd >= 0);
	assert_int_equal(bind(d->fd, (struct sockaddr *)&d->at, sizeof(sa_family_t)), 0);
	assert_int_equal(getsockname(d->fd, (struct sockaddr *)&d->at, &d->at_len), 0);
	assert_int_equal(listen(d->fd, CROWD), 0);
	assert_int_equal(reactor_create(&d->r, &epoll, NULL), 0);
	acceptor_init(&d->acceptor, "door", door_came);
	assert_int_equal(acceptor_start(&d->acceptor, d->r, d->fd), 0);
}

static void door_close(struct door *d)
{
	acceptor_stop(&d->acceptor);
	acceptor_stop(&d->acceptor);
	acceptor_look(&d->acceptor);
	while (d->n)
		close(d->inside[--d->n]);
	reactor_destroy(&d->r);
	close(d->fd);
}

static int knock(const struct door *d)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&d->at, d->at_len), 0);
	return fd;
}

static void wakes(struct reactor_timer *t)
{
	(void)t;
}

/* Turns until @n are inside, or nothing has happened for long. */
static void door_wait(struct door *d, int n)
{
	uint64_t until = clock_ns() + 20 * NSEC_PER_SEC;
	struct reactor_timer t;

	reactor_timer_init(&t, wakes);
	while (d->n < n && clock_ns() < until) {
		reactor_timer_start(d->r, &t, NSEC_PER_SEC);
		reactor_turn(d->r);
	}
	reactor_timer_stop(d->r, &t);
	assert_int_equal(d->n, n);
}

static void a_client_for_whom_there_is_no_file_is_let_in_later(void **state)
{
	struct rlimit before, few;
	struct door d;
	int client;

	(void)state;
	door_open(&d, CROWD);
	client = knock(&d);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = (struct rlimit){.rlim_cur = 3, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	complaints = 0;
	reactor_process(d.r);
	assert_int_equal(d.n, 0);
	assert_int_equal(complaints, 1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	/* Nobody else knocks. */
	door_wait(&d, 1);
	close(client);
	door_close(&d);
}

static void a_crowd_is_let_in_piece_by_piece(void **state)
{
	int clients[CROWD];
	struct door d;

	(void)state;
	door_open(&d, CROWD + 1);
	for (int i = 0; i < CROWD; i++)
		clients[i] = knock(&d);
	reactor_turn(d.r);
	assert_in_range(d.n, 1, CROWD - 1);
	door_wait(&d, CROWD);
	for (int i = 0; i < CROWD; i++)
		close(clients[i]);
	door_close(&d);
}

static void who_finds_no_room_waits_until_there_is_some(void **state)
{
	int clients[3];
	struct door d;

	(void)state;
	door_open(&d, 1);
	for (int i = 0; i < 3; i++)
		clients[i] = knock(&d);
	reactor_process(d.r);
	reactor_process(d.r);
	assert_int_equal(d.n, 1);
	d.room = 2;
	acceptor_look(&d.acceptor);
	assert_int_equal(d.n, 2);
	for (int i = 0; i < 3; i++)
		close(clients[i]);
	door_close(&d);
}

static void it_may_be_stopped_by_a_client(void **state)
{
	int clients[2];
	struct door d;

	(void)state;
	door_open(&d, CROWD);
	d.closes = true;
	clients[0] = knock(&d);
	clients[1] = knock(&d);
	reactor_process(d.r);
	assert_int_equal(d.n, 1);
	close(clients[0]);
	close(clients[1]);
	door_close(&d);
}

/* A socket without a file has no permissions: who comes is asked. */
static void others_are_hung_up_on_where_the_owner_alone_may_come(void **state)
{
	int stranger, client;
	struct door d;
	char c;

	(void)state;
	if (geteuid())
		skip();
	door_open(&d, CROWD);
	d.acceptor.owner_only = true;
	assert_int_equal(seteuid(65534), 0);
	stranger = knock(&d);
	assert_int_equal(seteuid(0), 0);
	client = knock(&d);
	door_wait(&d, 1);
	assert_int_equal(recv(stranger, &c, 1, 0), 0);
	assert_int_equal(recv(client, &c, 1, MSG_DONTWAIT), -1);
	close(stranger);
	close(client);
	door_close(&d);
}

/* What a stranger has sent along is closed with the connection, and may take as long as he likes. */
static void a_stranger_keeps_up_nobody(void **state)
{
	const struct iovec text = {"x", 1};
	int strangers[3], other[3], client;
	struct door d;

	(void)state;
	if (geteuid())
		skip();
	door_open(&d, CROWD);
	d.acceptor.owner_only = true;
	for (unsigned i = 0; i < ARRAY_SIZE(strangers); i++) {
		int fd = test_lingering(&other[i]);

		assert_int_equal(seteuid(65534), 0);
		strangers[i] = knock(&d);
		assert_int_equal(seteuid(0), 0);
		assert_int_equal(sock_send_some(strangers[i], &text, 1, &fd, 1), 1);
		close(fd); /* another one is on its way */
		/* He has gone, and what he sent is there still. */
		close(strangers[i]);
	}
	client = knock(&d);
	alarm(20);
	door_wait(&d, 1);
	alarm(0);
	close(client);
	door_close(&d);
	for (unsigned i = 0; i < ARRAY_SIZE(other); i++)
		close(other[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_for_whom_there_is_no_file_is_let_in_later),
		cmocka_unit_test(a_crowd_is_let_in_piece_by_piece),
		cmocka_unit_test(who_finds_no_room_waits_until_there_is_some),
		cmocka_unit_test(it_may_be_stopped_by_a_client),
		cmocka_unit_test(others_are_hung_up_on_where_the_owner_alone_may_come),
		cmocka_unit_test(a_stranger_keeps_up_nobody),
	};

	log_setup(LOG_LEVEL_WARN, count_complaints, NULL);
	return cmocka_run_group_tests_name("acceptor", tests, NULL, NULL);
}
