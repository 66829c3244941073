/* SPDX-License-Identifier: MIT */
/*
 * A vfio-user server and its client under load; either is killed, again and again.  Every request
 * completes exactly once, whoever served it, and what a completed write wrote is there.
 *
 * Each request belongs to a slot, and each slot has a piece of the disk: it writes a pattern that
 * never came before, reads it back, writes the next.  RINGSIDE names the program.
 */
#include "test.h"

#include "base/bits.h"
#include "base/clock.h"
#include "base/sock_address.h"
#include "wire/vfio_user.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <ringside/driver.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOTS	    20u
#define SLOT_LEN    4096u
#define KILLS	    12u
#define PATIENCE_NS (40 * NSEC_PER_SEC)

struct slot {
	struct ringside_request req;
	struct load *load;
	uint64_t *data;
	uint64_t written; /* the pattern whose write has completed; 0: none */
	uint64_t writing; /* the one on its way */
	bool reading;
	bool out;
};

struct load {
	char dir[32], socket[64], image[64];
	pid_t server;
	struct ringside_disk *disk;
	struct ringside_queue *q;
	uint8_t *mem;
	struct slot slots[SLOTS];
	uint64_t pattern, completed;
	bool more;
};

/* ---- the server ---- */

static void server_start(struct load *l, const char *words)
{
	const char *program = getenv("RINGSIDE");
	char disk[160];

	snprintf(disk, sizeof(disk), "file=%s%s", l->image, words);
	l->server = fork();
	assert_true(l->server >= 0);
	if (!l->server) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that is ended takes its server along */
		execl(program, program, "serve", "--quiet", "--vfio-user", l->socket, "--disk",
		      disk, (char *)NULL);
		_exit(127);
	}
}

static void server_end(struct load *l, int sig)
{
	int status;

	assert_false(kill(l->server, sig));
	assert_int_equal(waitpid(l->server, &status, 0), l->server);
	if (sig == SIGTERM)
		assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
	else
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == sig);
}

static void set_up(struct load *l)
{
	int fd;

	memset(l, 0, sizeof(*l));
	strcpy(l->dir, "/tmp/ringside-XXXXXX");
	assert_non_null(mkdtemp(l->dir));
	snprintf(l->socket, sizeof(l->socket), "%s/sock", l->dir);
	snprintf(l->image, sizeof(l->image), "%s/image", l->dir);
	fd = open(l->image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_false(ftruncate(fd, 1 << 20));
	close(fd);
}

static void tear_down(struct load *l)
{
	server_end(l, SIGTERM);
	unlink(l->image);
	assert_false(rmdir(l->dir));
}

/* ---- the client ---- */

static void fill(uint64_t *data, uint64_t pattern)
{
	for (uint64_t i = 0; i < SLOT_LEN / sizeof(*data); i++)
		data[i] = pattern << 16 | i;
}

static void check_filled(const struct slot *s)
{
	for (uint64_t i = 0; i < SLOT_LEN / sizeof(*s->data); i++)
		if (s->data[i] != (s->written << 16 | i))
			fail_msg("a slot has pattern %llu, wrote %llu",
				 (unsigned long long)(s->data[i] >> 16),
				 (unsigned long long)s->written);
}

static void slot_submit(struct slot *s)
{
	struct load *l = s->load;
	uint64_t at = (uint64_t)(s - l->slots) * SLOT_LEN;

	s->out = true;
	s->reading = s->written && !s->reading;
	if (s->reading) {
		memset(s->data, 0, SLOT_LEN);
		ringside_read(l->q, &s->req, at, s->data, SLOT_LEN);
		return;
	}
	s->writing = ++l->pattern;
	fill(s->data, s->writing);
	ringside_write(l->q, &s->req, at, s->data, SLOT_LEN);
}

static void slot_done(struct ringside_request *req)
{
	struct slot *s = req->opaque;
	struct load *l = s->load;

	/* A second completion is one of a request that is not out. */
	assert_true(s->out);
	s->out = false;
	assert_int_equal(req->result, 0);
	if (s->reading)
		check_filled(s);
	else
		s->written = s->writing;
	l->completed++;
	if (l->more)
		slot_submit(s);
}

/* Tries until somebody listens. */
static void client_open(struct load *l, const char *how)
{
	uint64_t until = clock_ns() + PATIENCE_NS;
	struct ringside_error err;
	char uri[128];
	void *mem;
	int rc;

	snprintf(uri, sizeof(uri), "vfio-user:%s%s", l->socket, how);
	while ((rc = ringside_open(uri, NULL, &l->disk, &err))) {
		assert_true(rc == -ENOENT || rc == -ECONNREFUSED);
		assert_true(clock_ns() < until);
		usleep(2000);
	}
	assert_int_equal(ringside_mem_alloc(l->disk, SLOTS * SLOT_LEN, &mem, &err), 0);
	if (ringside_start(l->disk, &err))
		fail_msg("%s", err.text);
	l->q = ringside_queue(l->disk, 0);
	for (unsigned i = 0; i < SLOTS; i++) {
		struct slot *s = &l->slots[i];

		s->load = l;
		s->data = (void *)((uint8_t *)mem + i * SLOT_LEN);
		s->req = (struct ringside_request){.done = slot_done, .opaque = s};
	}
}

static void client_reconnect(struct load *l)
{
	uint64_t until = clock_ns() + PATIENCE_NS;
	struct ringside_error err;

	while (ringside_reconnect(l->disk, &err)) {
		if (clock_ns() > until)
			fail_msg("%s", err.text);
		usleep(2000);
	}
}

/* Until so many more have completed; 0, or -ENODEV: the server has gone. */
static int client_run(struct load *l, uint64_t n)
{
	uint64_t until = clock_ns() + PATIENCE_NS, goal = l->completed + n;

	l->more = true;
	for (unsigned i = 0; i < SLOTS; i++)
		if (!l->slots[i].out)
			slot_submit(&l->slots[i]);
	ringside_commit(l->q);
	while (l->completed < goal) {
		int rc = ringside_wait(l->q, 1000);

		if (rc == -ENODEV)
			return rc;
		assert_true(rc >= 0);
		assert_true(clock_ns() < until);
	}
	return 0;
}

static void client_drain(struct load *l)
{
	uint64_t until = clock_ns() + PATIENCE_NS;

	l->more = false;
	while (ringside_pending(l->q)) {
		assert_true(ringside_wait(l->q, 1000) >= 0);
		assert_true(clock_ns() < until);
	}
	for (unsigned i = 0; i < SLOTS; i++)
		assert_false(l->slots[i].out);
}

static void client_close(struct load *l)
{
	ringside_close(&l->disk);
}

/* ---- cases ---- */

static void killed_under_load(const char *how)
{
	struct load l;

	if (!getenv("RINGSIDE"))
		skip();
	set_up(&l);
	server_start(&l, "");
	client_open(&l, how);
	for (unsigned i = 0; i < KILLS; i++) {
		assert_int_equal(client_run(&l, 100 + 37 * i), 0);
		server_end(&l, i % 4 == 3 ? SIGTERM : SIGKILL);
		server_start(&l, "");
		/* What was on its way goes to the new one. */
		(void)ringside_process(l.disk);
		client_reconnect(&l);
	}
	assert_int_equal(client_run(&l, 500), 0);
	client_drain(&l);
	/* Everything that was written last is there. */
	assert_int_equal(client_run(&l, 2 * SLOTS), 0);
	client_drain(&l);
	client_close(&l);
	tear_down(&l);
}

static void a_killed_server_is_replaced_packed(void **state)
{
	(void)state;
	killed_under_load("?packed=on");
}

static void a_killed_server_is_replaced_split(void **state)
{
	(void)state;
	killed_under_load("?packed=off");
}

static void a_killed_server_is_replaced_plain(void **state)
{
	(void)state;
	killed_under_load("?packed=off&event-idx=off&indirect=off");
}

static void client_process(struct load *l, int ready)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	client_open(l, "");
	(void)client_run(l, 200);
	if (write(ready, "", 1) == 1)
		(void)client_run(l, UINT64_MAX / 2);
	_exit(1);
}

static void a_killed_client_leaves_the_disk_to_the_next(void **state)
{
	struct load l;

	(void)state;
	if (!getenv("RINGSIDE"))
		skip();
	set_up(&l);
	server_start(&l, "");
	for (unsigned i = 0; i < KILLS; i++) {
		int ready[2], status;
		pid_t client;
		char byte;

		assert_false(pipe(ready));
		client = fork();
		assert_true(client >= 0);
		if (!client)
			client_process(&l, ready[1]);
		close(ready[1]);
		assert_int_equal(read(ready[0], &byte, 1), 1);
		close(ready[0]);
		usleep(500 * i);
		assert_false(kill(client, SIGKILL));
		assert_int_equal(waitpid(client, &status, 0), client);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(waitpid(l.server, NULL, WNOHANG), 0);
	}
	/* Nothing that they had under way comes after a next client's requests. */
	client_open(&l, "");
	assert_int_equal(client_run(&l, 2000), 0);
	client_drain(&l);
	client_close(&l);
	tear_down(&l);
}

/* ---- two clients ---- */

static int dial(const struct load *l)
{
	uint64_t until = clock_ns() + PATIENCE_NS;
	struct sock_address at;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(sock_address(&at, l->socket, NULL), 0);
	while (connect(fd, sock_address_of(&at), at.len)) {
		assert_true(clock_ns() < until);
		usleep(2000);
	}
	return fd;
}

static void say_version(int fd)
{
	struct {
		struct vfio_user_header h;
		struct vfio_user_version v;
	} m = {{.id = 1, .command = VFIO_USER_VERSION, .size = sizeof(m)}, {0, 1}};

	assert_int_equal(send(fd, &m, sizeof(m), MSG_NOSIGNAL), sizeof(m));
}

static bool hears(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char answer[1000];

	return poll(&p, 1, ms) == 1 && recv(fd, answer, sizeof(answer), 0) > 0;
}

static void a_second_client_waits_for_the_first(void **state)
{
	struct load l;
	int first, second;

	(void)state;
	if (!getenv("RINGSIDE"))
		skip();
	set_up(&l);
	server_start(&l, "");
	first = dial(&l);
	say_version(first);
	assert_true(hears(first, 30000));
	second = dial(&l);
	say_version(second);
	assert_false(hears(second, 100));
	/* The one that is served goes on. */
	say_version(first);
	assert_true(hears(first, 30000));
	assert_false(hears(second, 0));
	close(first);
	assert_true(hears(second, 30000));
	close(second);
	tear_down(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_killed_server_is_replaced_packed),
		cmocka_unit_test(a_killed_server_is_replaced_split),
		cmocka_unit_test(a_killed_server_is_replaced_plain),
		cmocka_unit_test(a_killed_client_leaves_the_disk_to_the_next),
		cmocka_unit_test(a_second_client_waits_for_the_first),
	};

	return cmocka_run_group_tests_name("faults/vfio_user_kill", tests, NULL, NULL);
}
