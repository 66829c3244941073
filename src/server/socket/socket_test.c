/* SPDX-License-Identifier: MIT */
/* Where front ends come from: paths that may and may not be used, fds, socket activation. */
#include "test.h"

#include "base/bits.h"
#include "base/sock_address.h"
#include "server/socket/activation.h"
#include "server/socket/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char dir[64];
static char path[80];

static int set_up(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/ringside-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sock", dir);
	return 0;
}

/* Nothing is left behind. */
static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(rmdir(dir), 0);
	return 0;
}

static int open_path(struct socket_listener *l, const char *at, int mode, struct error *err)
{
	struct socket_place place = {.path = at, .mode = mode, .fd = -1};

	return socket_listener_open(l, &place, err);
}

static int open_fd(struct socket_listener *l, int fd)
{
	struct socket_place place = {.mode = -1, .fd = fd};
	struct error err;

	return socket_listener_open(l, &place, &err);
}

static int connect_to(const char *at)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(addr.sun_path, at, strlen(at));
	assert_false(connect(fd, (struct sockaddr *)&addr, sizeof(addr)));
	return fd;
}

/* A client who waits, or -errno. */
static int let_in(const struct socket_listener *l)
{
	int fd = accept(l->fd, NULL, NULL);

	return fd < 0 ? -errno : fd;
}

static void accepts_and_unlinks(void **state)
{
	struct socket_listener l;
	int client, fd;

	(void)state;
	assert_int_equal(open_path(&l, path, -1, NULL), 0);
	assert_int_equal(let_in(&l), -EAGAIN);
	client = connect_to(path);
	fd = let_in(&l);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(l.fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(let_in(&l), -EAGAIN);
	close(fd);
	close(client);
	socket_listener_close(&l);
	socket_listener_close(&l);
	assert_int_equal(access(path, F_OK), -1);
}

static void has_the_mode_asked_for(void **state)
{
	static const int modes[] = {0600, 0660, 0666};
	struct socket_listener l;
	struct stat st;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		assert_int_equal(open_path(&l, path, modes[i], NULL), 0);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, modes[i]);
		socket_listener_close(&l);
	}
}

static void h_05_a_path_too_long(void **state)
{
	char longest[108], more[200];
	struct socket_listener l;
	struct error err;

	(void)state;
	snprintf(longest, sizeof(longest), "%s/%0*d", dir, (int)(106 - strlen(dir)), 0);
	assert_int_equal(strlen(longest), 107);
	assert_int_equal(open_path(&l, longest, -1, &err), 0);
	socket_listener_close(&l);
	snprintf(more, sizeof(more), "%s0", longest);
	assert_int_equal(open_path(&l, more, -1, &err), -ENAMETOOLONG);
	assert_non_null(strstr(err.text, "107"));
	assert_int_equal(open_path(&l, "", -1, &err), -EINVAL);
}

/* "@name" makes no file, keeps others out by who they are, and has no other modes. */
static void an_abstract_socket_needs_no_file(void **state)
{
	struct socket_listener l, second;
	struct sock_address at;
	struct error err;
	char name[64];
	int client, fd;

	(void)state;
	snprintf(name, sizeof(name), "@ringside-test-%d", getpid());
	assert_int_equal(open_path(&l, name, -1, &err), 0);
	assert_int_equal(access(name, F_OK), -1);
	assert_int_equal(open_path(&second, name, -1, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, "another server listens on @ringside"));
	assert_int_equal(sock_address(&at, name, NULL), 0);
	client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(client, sock_address_of(&at), at.len), 0);
	fd = let_in(&l);
	assert_true(fd >= 0);
	close(fd);
	close(client);
	socket_listener_close(&l);

	assert_int_equal(open_path(&l, name, 0660, &err), -EINVAL);
	assert_non_null(strstr(err.text, "mode 0660"));
	assert_int_equal(open_path(&l, name, 0600, &err), 0);
	assert_true(l.private);
	client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(client, sock_address_of(&at), at.len), 0);
	fd = let_in(&l);
	assert_true(fd >= 0);
	close(fd);
	close(client);
	socket_listener_close(&l);
	assert_int_equal(open_path(&l, "@", -1, &err), -EINVAL);
}

static void h_05_a_live_server_is_not_displaced(void **state)
{
	struct socket_listener first, second;
	struct error err;
	int clients[40];

	(void)state;
	assert_int_equal(open_path(&first, path, -1, NULL), 0);
	assert_int_equal(open_path(&second, path, -1, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, path));
	/* Nor when its backlog is full. */
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		struct sockaddr_un addr = {.sun_family = AF_UNIX};

		clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		memcpy(addr.sun_path, path, strlen(path));
		if (connect(clients[i], (struct sockaddr *)&addr, sizeof(addr)))
			assert_int_equal(errno, EAGAIN);
	}
	assert_int_equal(open_path(&second, path, -1, &err), -EADDRINUSE);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		close(clients[i]);
	socket_listener_close(&first);
}

static void h_05_a_stale_socket_is_replaced(void **state)
{
	struct socket_listener dead, l;

	(void)state;
	assert_int_equal(open_path(&dead, path, -1, NULL), 0);
	close(dead.fd); /* as a process that was killed leaves it */
	assert_int_equal(open_path(&l, path, -1, NULL), 0);
	close(connect_to(path));
	socket_listener_close(&l);
	dead.fd = -1;
	socket_listener_close(&dead);
}

static void h_05_what_is_in_the_way_stays(void **state)
{
	struct socket_listener l;
	struct error err;
	char inside[128];
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	(void)state;
	close(fd);
	assert_int_equal(open_path(&l, path, -1, &err), -EEXIST);
	snprintf(inside, sizeof(inside), "%s/sock", path);
	assert_int_equal(open_path(&l, inside, -1, &err), -ENOTDIR);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(open_path(&l, inside, -1, &err), -ENOENT);
	assert_int_equal(open_path(&l, dir, -1, &err), -EEXIST);
}

static void another_ones_socket_is_not_unlinked(void **state)
{
	struct socket_listener old, new;

	(void)state;
	assert_int_equal(open_path(&old, path, -1, NULL), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(open_path(&new, path, -1, NULL), 0);
	socket_listener_close(&old);
	close(connect_to(path));
	socket_listener_close(&new);
}

static void takes_a_listening_fd(void **state)
{
	struct socket_listener made, l;
	int client, fd;

	(void)state;
	assert_int_equal(open_path(&made, path, -1, NULL), 0);
	assert_int_equal(open_fd(&l, dup(made.fd)), 0);
	assert_false(l.single);
	client = connect_to(path);
	fd = let_in(&l);
	assert_true(fd >= 0);
	close(fd);
	close(client);
	socket_listener_close(&l);
	/* The file is its maker's. */
	assert_int_equal(access(path, F_OK), 0);
	socket_listener_close(&made);
}

static void takes_a_connected_fd(void **state)
{
	struct socket_listener l;
	int pair[2], fd;

	(void)state;
	assert_false(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	assert_int_equal(open_fd(&l, pair[0]), 0);
	assert_true(l.single);
	fd = socket_listener_take(&l);
	assert_int_equal(fd, pair[0]);
	assert_int_equal(socket_listener_take(&l), -ENOTCONN);
	socket_listener_close(&l);
	close(fd);
	close(pair[1]);
}

static void refuses_other_fds(void **state)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int datagram = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct socket_listener l;

	(void)state;
	assert_int_equal(open_fd(&l, null), -ENOTSOCK);
	assert_int_equal(open_fd(&l, udp), -ENOTSOCK);
	assert_int_equal(open_fd(&l, datagram), -ENOTSOCK);
	assert_int_equal(open_fd(&l, 1000000), -ENOTSOCK);
	assert_int_equal(open_fd(&l, -1), -ENOTSOCK);
	close(null);
	close(udp);
	close(datagram);
}

/* ---- socket activation ---- */

static void activation_is_for_one_process(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(socket_activation_parse("42", "2", 42, &err), 2);
	assert_int_equal(socket_activation_parse("42", "0", 42, &err), 0);
	assert_int_equal(socket_activation_parse("43", "2", 42, &err), 0);
	assert_int_equal(socket_activation_parse("43", "nonsense", 42, &err), 0);
	assert_int_equal(socket_activation_parse(NULL, "2", 42, &err), 0);
	assert_int_equal(socket_activation_parse("42", NULL, 42, &err), 0);
}

static void activation_that_makes_no_sense(void **state)
{
	static const char *const bad[] = {
		"", " 1", "+1", "-1", "1 ", "0x1", "1x", "x", "9999999999999999999"};
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(socket_activation_parse("42", bad[i], 42, &err), -EINVAL);
		assert_int_equal(socket_activation_parse(bad[i], "1", 42, &err), -EINVAL);
	}
}

static void activation_clears_the_environment(void **state)
{
	char pid[32];
	struct error err;

	(void)state;
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "0", 1);
	setenv("LISTEN_FDNAMES", "a", 1);
	assert_int_equal(socket_activation_take(&err), 0);
	assert_null(getenv("LISTEN_PID"));
	assert_null(getenv("LISTEN_FDS"));
	assert_null(getenv("LISTEN_FDNAMES"));
	/* fds that were promised and are not there. */
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "100000", 1);
	assert_int_equal(socket_activation_take(&err), -EBADF);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(accepts_and_unlinks),
		CASE(has_the_mode_asked_for),
		CASE(h_05_a_path_too_long),
		CASE(an_abstract_socket_needs_no_file),
		CASE(h_05_a_live_server_is_not_displaced),
		CASE(h_05_a_stale_socket_is_replaced),
		CASE(h_05_what_is_in_the_way_stays),
		CASE(another_ones_socket_is_not_unlinked),
		CASE(takes_a_listening_fd),
		CASE(takes_a_connected_fd),
		CASE(refuses_other_fds),
		cmocka_unit_test(activation_is_for_one_process),
		cmocka_unit_test(activation_that_makes_no_sense),
		cmocka_unit_test(activation_clears_the_environment),
	};

	return cmocka_run_group_tests_name("server/socket", tests, NULL, NULL);
}
