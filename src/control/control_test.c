/* SPDX-License-Identifier: MIT */
/* Both sides of the control socket in one process. */
#include "test.h"

#include "base/aside.h"
#include "base/bits.h"
#include "base/sock.h"
#include "control/peer.h"
#include "lingering.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct place {
	char dir[40], path[64];
	struct reactor *home;
	struct control control;
	unsigned asked;
};

static json_t *answer(struct control *c, const char *request, const json_t *arguments,
		      struct error *err)
{
	struct place *p = container_of(c, struct place, control);

	p->asked++;
	if (!strcmp(request, "count"))
		return json_integer(p->asked);
	if (!strcmp(request, "say")) {
		if (json_array_size(arguments) == 2)
			return json_incref(json_array_get(arguments, 1));
		error_set(err, -EINVAL, "say two words.");
		return NULL;
	}
	return strcmp(request, "echo") ? NULL : json_pack("{ss}", "you", "said echo");
}

static const struct control_ops ops = {.answer = answer, .requests = "count, echo, say"};

static int set_up(void **state)
{
	const struct reactor_config config = {.uring = false};
	struct place *p = calloc(1, sizeof(*p));

	strcpy(p->dir, "/tmp/control-test-XXXXXX");
	if (!mkdtemp(p->dir) || reactor_create(&p->home, &config, NULL))
		return -1;
	snprintf(p->path, sizeof(p->path), "%s/sock", p->dir);
	*state = p;
	return 0;
}

static void poll_home(struct place *p, int ms)
{
	poll(&(struct pollfd){.fd = reactor_fd(p->home), .events = POLLIN}, 1, ms);
	reactor_process(p->home);
}

static int tear_down(void **state)
{
	struct place *p = *state;

	/* Connections that are being closed: the next test may count files. */
	while (p->control.home &&
	       (!list_empty(&p->control.peers) || aside_waiting(p->control.acceptor.aside)))
		poll_home(p, 1);
	control_close(&p->control);
	control_close(&p->control);
	reactor_destroy(&p->home);
	assert_int_equal(rmdir(p->dir), 0);
	free(p);
	return 0;
}

static int new_client(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	return fd;
}

static void dial(int fd, const char *path)
{
	struct sock_address at;

	assert_int_equal(sock_address(&at, path, NULL), 0);
	assert_int_equal(connect(fd, sock_address_of(&at), at.len), 0);
}

static void ask(int fd, const char *line)
{
	assert_int_equal(send(fd, line, strlen(line), MSG_NOSIGNAL), strlen(line));
}

static void turn(struct place *p)
{
	poll_home(p, reactor_timeout_ms(p->home));
}

/* What comes back, up to the end of a line; the other side runs meanwhile.  NULL: it hung up. */
static const char *hear(struct place *p, int fd)
{
	static char line[256];
	size_t n = 0;

	for (;;) {
		ssize_t got = recv(fd, line + n, sizeof(line) - 1 - n, MSG_DONTWAIT);

		if (got > 0)
			n += (size_t)got;
		line[n] = '\0';
		if (strchr(line, '\n'))
			return line;
		if (!got || (got < 0 && errno != EAGAIN))
			return NULL;
		if (got < 0)
			turn(p);
	}
}

static void requests_are_answered_in_turn(void **state)
{
	struct place *p = *state;
	int fd = new_client();

	assert_int_equal(control_open(&p->control, &ops, p->path, p->home, NULL), 0);
	dial(fd, p->path);
	ask(fd, "{\"request\": \"count\"}\n{\"request\": ");
	assert_string_equal(hear(p, fd), "{\"answer\":1}\n");
	ask(fd, "\"count\"}\n");
	assert_string_equal(hear(p, fd), "{\"answer\":2}\n");
	ask(fd, "{\"request\": \"nonsense\"}\n");
	assert_non_null(strstr(hear(p, fd), "there is no such request"));
	ask(fd, "{\"request\": \"say\", \"arguments\": [\"a\", \"b \\\"c\"]}\n");
	assert_string_equal(hear(p, fd), "{\"answer\":\"b \\\"c\"}\n");
	ask(fd, "{\"request\": \"say\", \"arguments\": [\"a\"]}\n");
	assert_string_equal(hear(p, fd), "{\"error\":\"say two words\"}\n");
	ask(fd, "{\"request\": \"say\", \"arguments\": [\"a\", 2]}\n");
	assert_non_null(strstr(hear(p, fd), "this is no request"));
	ask(fd, "{\"request\": \"say\", \"arguments\": \"a\"}\n");
	assert_non_null(strstr(hear(p, fd), "this is no request"));
	ask(fd, "nonsense\n");
	assert_non_null(strstr(hear(p, fd), "this is no request"));
	for (int i = 0; i < 100; i++) {
		char filler[65] = "";

		memset(filler, ' ', 64);
		ask(fd, filler);
		turn(p);
	}
	ask(fd, "\n");
	assert_non_null(strstr(hear(p, fd), "this line is too long"));
	ask(fd, "{\"request\": \"count\"}\n");
	assert_non_null(strstr(hear(p, fd), "answer"));
	close(fd);
}

/* No table that could be full: every one of them is answered while all are there. */
static void as_many_clients_as_there_are_files_for(void **state)
{
	struct place *p = *state;
	int fds[300];

	assert_int_equal(control_open(&p->control, &ops, p->path, p->home, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = new_client();
		dial(fds[i], p->path);
		ask(fds[i], "{\"request\": \"echo\"}\n");
		assert_string_equal(hear(p, fds[i]), "{\"answer\":{\"you\":\"said echo\"}}\n");
	}
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		ask(fds[i], "{\"request\": \"echo\"}\n");
		assert_non_null(hear(p, fds[i]));
		close(fds[i]);
	}
	while (!list_empty(&p->control.peers))
		turn(p);
}

#define FILES 64

/* Takes all files that may be open; returns how many. */
static unsigned take_files(int *fds)
{
	unsigned n = 0;

	while ((fds[n] = dup(STDERR_FILENO)) >= 0)
		n++;
	assert_int_equal(errno, EMFILE);
	return n;
}

static void a_client_is_served_when_files_have_run_out(void **state)
{
	struct place *p = *state;
	struct rlimit before, few;
	int fds[FILES], a = new_client(), b = new_client(), c = new_client();
	unsigned n;

	assert_int_equal(control_open(&p->control, &ops, p->path, p->home, NULL), 0);
	getrlimit(RLIMIT_NOFILE, &before);
	few = (struct rlimit){.rlim_cur = FILES, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	n = take_files(fds);

	dial(a, p->path);
	ask(a, "{\"request\": \"count\"}\n");
	assert_string_equal(hear(p, a), "{\"answer\":1}\n");
	/* Two more wait until he has gone, without knocking again. */
	dial(b, p->path);
	dial(c, p->path);
	ask(b, "{\"request\": \"count\"}\n");
	ask(c, "{\"request\": \"count\"}\n");
	/* His end stays open: the one file of his connection is all that there is. */
	shutdown(a, SHUT_RDWR);
	assert_string_equal(hear(p, b), "{\"answer\":2}\n");
	shutdown(b, SHUT_RDWR);
	assert_string_equal(hear(p, c), "{\"answer\":3}\n");
	/* Who stays for nothing does not keep the next one out for ever. */
	assert_null(hear(p, c));
	close(c);
	close(b);
	close(a);

	while (n)
		close(fds[--n]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	while (!list_empty(&p->control.peers) || p->control.acceptor.spare < 0)
		turn(p);
}

static struct control_peer *only_peer(struct place *p)
{
	while (list_empty(&p->control.peers))
		turn(p);
	return list_entry(p->control.peers.next, struct control_peer, link);
}

/* Whoever else the thread serves has its turn, though the line never ends. */
static void a_line_without_end_is_read_a_piece_at_a_time(void **state)
{
	struct place *p = *state;
	static const char piece[4096] = {'x'};
	int fd = new_client(), size = 1 << 20, before, after;
	const struct control_peer *peer;

	assert_int_equal(control_open(&p->control, &ops, p->path, p->home, NULL), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	dial(fd, p->path);
	peer = only_peer(p);
	while (send(fd, piece, sizeof(piece), MSG_NOSIGNAL) > 0)
		;
	assert_int_equal(ioctl(peer->fd, FIONREAD, &before), 0);
	assert_true(before > 32 * CONTROL_LINE_MAX);
	reactor_process(p->home);
	assert_int_equal(ioctl(peer->fd, FIONREAD, &after), 0);
	assert_in_range(before - after, 1, 16 * CONTROL_LINE_MAX);
	/* And gets on. */
	while (after > 0) {
		turn(p);
		assert_int_equal(ioctl(peer->fd, FIONREAD, &after), 0);
	}
	ask(fd, "\n");
	assert_non_null(strstr(hear(p, fd), "this line is too long"));
	close(fd);
}

/* Files that a client sends along, read or not: nobody waits until they are closed. */
static void a_client_whose_files_take_long_to_be_closed_keeps_up_nobody(void **state)
{
	struct place *p = *state;
	int other[2], fds[2];

	assert_int_equal(control_open(&p->control, &ops, p->path, p->home, NULL), 0);
	alarm(20);
	for (unsigned i = 0; i < 2; i++) {
		const struct iovec text = {"x", 1};
		int fd = new_client();

		fds[i] = test_lingering(&other[i]);
		dial(fd, p->path);
		(void)only_peer(p);
		assert_int_equal(sock_send_some(fd, &text, 1, &fds[i], 1), 1);
		close(fds[i]); /* another one is on its way */
		if (i)	       /* it goes before anything of it is read */
			control_peer_destroy(only_peer(p));
		close(fd);
		while (!list_empty(&p->control.peers))
			turn(p);
		fd = new_client();
		dial(fd, p->path);
		ask(fd, "{\"request\": \"echo\"}\n");
		assert_string_equal(hear(p, fd), "{\"answer\":{\"you\":\"said echo\"}}\n");
		close(fd);
		while (!list_empty(&p->control.peers))
			turn(p);
	}
	alarm(0);
	close(other[0]);
	close(other[1]);
}

/* ---- the other side ---- */

static void *run_home(void *arg)
{
	reactor_run(((struct place *)arg)->home);
	return NULL;
}

static void the_client_asks_and_is_told(void **state)
{
	struct place *p = *state;
	struct error err = {""};
	pthread_t thread;
	json_t *told;

	assert_int_equal(control_open(&p->control, &ops, p->path, p->home, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, run_home, p), 0);
	assert_int_equal(control_ask(p->path, "echo", NULL, 0, &told, &err), 0);
	assert_string_equal(json_string_value(json_object_get(told, "you")), "said echo");
	json_decref(told);
	assert_int_equal(control_ask(p->path, "frob", NULL, 0, &told, &err), -EPROTO);
	assert_non_null(strstr(err.text, "there is no such request here (count, echo, say)"));
	assert_null(told);
	reactor_stop(p->home);
	pthread_join(thread, NULL);
}

/* Somebody who listens, and answers whoever comes with the same words. */
struct stranger {
	int fd;
	const char *says;
};

static void *run_stranger(void *arg)
{
	struct stranger *s = arg;
	int fd = accept(s->fd, NULL, NULL);
	char buf[128];

	/* Reads the request first, or the answer may be thrown away with the connection. */
	if (recv(fd, buf, sizeof(buf), 0) > 0)
		(void)!write(fd, s->says, strlen(s->says));
	close(fd);
	return NULL;
}

static void a_socket_of_another_kind_is_said_to_be_one(void **state)
{
	static const struct {
		const char *says, *must_say;
	} list[] = {
		{"", "it hung up at the first request"}, /* as a vhost-user back end */
		{"HTTP/1.1 400 Bad Request\r\n", "it answers something else"},
		{"{\"answer\"", "it broke off in the middle"},
		{"{\"result\": 1}\n", "it answers something else"},
		{"\n", "it answers something else"},
	};
	struct place *p = *state;
	struct error err = {""};
	json_t *told;

	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		struct stranger s = {.fd = socket(AF_UNIX, SOCK_STREAM, 0), .says = list[i].says};
		struct sock_address at;
		pthread_t thread;

		assert_int_equal(sock_address(&at, p->path, NULL), 0);
		assert_int_equal(bind(s.fd, sock_address_of(&at), at.len), 0);
		assert_int_equal(listen(s.fd, 1), 0);
		assert_int_equal(pthread_create(&thread, NULL, run_stranger, &s), 0);
		assert_int_equal(control_ask(p->path, "tree", NULL, 0, &told, &err), -EPROTO);
		if (!strstr(err.text, list[i].must_say))
			fail_msg("\"%s\" gave: %s", list[i].says, err.text);
		assert_non_null(strstr(err.text, "is no control socket"));
		assert_non_null(strstr(err.text, p->path));
		pthread_join(thread, NULL);
		close(s.fd);
		unlink(p->path);
	}
	assert_int_equal(control_ask(p->path, "tree", NULL, 0, &told, &err), -ENOENT);
	assert_non_null(strstr(err.text, "nobody answers"));
	assert_int_equal(control_ask("", "tree", NULL, 0, &told, &err), -EINVAL);
}

/* An abstract socket has no mode; its owner alone is let in all the same. */
static void an_abstract_socket_lets_only_its_owner_in(void **state)
{
	struct place *p = *state;
	char name[64];
	int fd = new_client(), status;
	pid_t other;

	snprintf(name, sizeof(name), "@control-test-%d", getpid());
	assert_int_equal(control_open(&p->control, &ops, name, p->home, NULL), 0);
	assert_int_equal(access(name, F_OK), -1);
	dial(fd, name);
	ask(fd, "{\"request\": \"count\"}\n");
	assert_string_equal(hear(p, fd), "{\"answer\":1}\n");
	close(fd);
	while (!list_empty(&p->control.peers))
		turn(p);
	if (geteuid() != 0)
		return;
	other = fork();
	if (!other) {
		char c;

		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (setuid(65534))
			_exit(2);
		dial(fd, name);
		_exit(recv(fd, &c, 1, 0) > 0);
	}
	while (!waitpid(other, &status, WNOHANG)) {
		poll_home(p, 20);
	}
	assert_int_equal(status, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(requests_are_answered_in_turn, set_up, tear_down),
		cmocka_unit_test_setup_teardown(as_many_clients_as_there_are_files_for, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_client_is_served_when_files_have_run_out, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_line_without_end_is_read_a_piece_at_a_time,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_client_whose_files_take_long_to_be_closed_keeps_up_nobody, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(the_client_asks_and_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_socket_of_another_kind_is_said_to_be_one, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(an_abstract_socket_lets_only_its_owner_in, set_up,
						tear_down),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
