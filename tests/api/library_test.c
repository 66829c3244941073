/* SPDX-License-Identifier: MIT */
/*
 * The installed library as a program outside this tree sees it: installed headers only, linked with
 * the shared object.  Its server and its driver meet over a socket in one process, the server in
 * the test's own loop.
 */
#include "test.h"

#include <ringside/driver.h>
#include <ringside/server.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct loop {
	struct ringside_server *server;
	pthread_t thread;
	int stop[2]; /* a byte here: stop */
};

static void *run(void *arg)
{
	struct loop *l = arg;
	struct pollfd p[2] = {{ringside_server_fd(l->server), POLLIN, 0}, {l->stop[0], POLLIN, 0}};

	do {
		poll(p, 2, ringside_server_timeout_ms(l->server));
		if (p[1].revents) {
			ringside_server_stop(l->server);
			p[1].fd = -1;
		}
	} while (!ringside_server_process(l->server));
	return NULL;
}

static void start(struct loop *l)
{
	assert_int_equal(pipe(l->stop), 0);
	assert_int_equal(pthread_create(&l->thread, NULL, run, l), 0);
}

static void stop(struct loop *l)
{
	assert_int_equal(write(l->stop[1], "x", 1), 1);
	pthread_join(l->thread, NULL);
	close(l->stop[0]);
	close(l->stop[1]);
	ringside_server_destroy(&l->server);
	assert_null(l->server);
}

static void finished(struct ringside_request *req)
{
	(void)req;
}

static unsigned lines;

static void take_line(void *opaque, enum ringside_log_level level, const char *line)
{
	(void)level;
	assert_string_equal(opaque, "mine");
	assert_true(strlen(line) > 0);
	lines++;
}

/* A front end that comes and goes, by a server with these options; what was printed meanwhile. */
static off_t printed(const struct ringside_server_options *options)
{
	FILE *file = tmpfile();
	int before = dup(STDERR_FILENO), fds[2];
	struct ringside_error err;
	struct loop l;
	off_t n;

	assert_non_null(file);
	dup2(fileno(file), STDERR_FILENO);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(ringside_server_create(options, &l.server, &err), 0);
	assert_int_equal(ringside_server_add_fd(l.server, fds[0], "memory:1M", &err), 0);
	start(&l);
	/* Nonsense: the connection is closed, and something is said about it. */
	assert_int_equal(write(fds[1], "nonsense on a socket", 20), 20);
	while (read(fds[1], &(char){0}, 1) > 0)
		;
	stop(&l);
	close(fds[1]);
	n = lseek(STDERR_FILENO, 0, SEEK_END);
	dup2(before, STDERR_FILENO);
	close(before);
	fclose(file);
	return n;
}

static void nothing_is_printed_by_the_server(void **state)
{
	struct ringside_server_options o = {.log = take_line, .log_opaque = (void *)"mine"};

	(void)state;
	assert_int_equal(printed(NULL), 0);
	assert_int_equal(lines, 0);
	assert_int_equal(printed(&o), 0);
	assert_true(lines >= 2);
}

static void the_reserve_of_the_servers_options_is_zero(void **state)
{
	struct ringside_server_options o = {0};
	struct ringside_server *s;
	struct ringside_error err;

	(void)state;
	for (unsigned i = 0; i < sizeof(o.reserved) / sizeof(o.reserved[0]); i++) {
		o.reserved[i] = 1;
		assert_int_equal(ringside_server_create(&o, &s, &err), -EINVAL);
		assert_non_null(strstr(err.text, "reserve"));
		o.reserved[i] = 0;
	}
	o.reserved0 = 1;
	assert_int_equal(ringside_server_create(&o, &s, NULL), -EINVAL);
	o.reserved0 = 0;
	o.any_memory = 2;
	assert_int_equal(ringside_server_create(&o, &s, NULL), -EINVAL);
}

static void server_and_driver_meet(void **state)
{
	struct ringside_error err;
	struct ringside_disk *disk;
	struct ringside_info info;
	struct ringside_request req = {.done = finished};
	struct loop l;
	void *memory;
	char *data;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(ringside_server_create(NULL, &l.server, &err), 0);
	assert_int_equal(ringside_server_add_fd(l.server, fds[0], "memory:1M", &err), 0);
	start(&l);

	assert_int_equal(ringside_open_fd(fds[1], NULL, &disk, &err), 0);
	ringside_get_info(disk, &info);
	assert_int_equal(info.capacity, 1 << 20);
	assert_int_equal(ringside_mem_alloc(disk, 8192, &memory, &err), 0);
	assert_int_equal(ringside_start(disk, &err), 0);
	data = memory;
	memset(data, 0x5c, 4096);
	ringside_write(ringside_queue(disk, 0), &req, 8192, data, 4096);
	ringside_commit(ringside_queue(disk, 0));
	while (ringside_pending(ringside_queue(disk, 0)))
		ringside_wait(ringside_queue(disk, 0), 1000);
	assert_int_equal(req.result, 0);
	ringside_read(ringside_queue(disk, 0), &req, 8192, data + 4096, 4096);
	ringside_commit(ringside_queue(disk, 0));
	while (ringside_pending(ringside_queue(disk, 0)))
		ringside_wait(ringside_queue(disk, 0), 1000);
	assert_int_equal(req.result, 0);
	assert_memory_equal(data, data + 4096, 4096);
	ringside_close(&disk);
	stop(&l);
}

static void errors_are_sentences(void **state)
{
	struct ringside_error err;
	struct ringside_server *s;

	(void)state;
	assert_int_equal(ringside_server_create(NULL, &s, &err), 0);
	assert_int_equal(ringside_server_add(s, "x.sock", "file=/nonexistent/disk.raw", &err),
			 -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/disk.raw"));
	assert_int_equal(ringside_server_add(s, "x.sock", "frob=1", &err), -EINVAL);
	assert_int_equal(access("x.sock", F_OK), -1);
	ringside_server_destroy(&s);
	ringside_server_destroy(&s);
}

static void a_socket_by_path(void **state)
{
	char folder[] = "/tmp/ringside-api-XXXXXX", path[64], uri[80];
	struct ringside_error err;
	struct ringside_disk *disk;
	struct loop l;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/s.sock", folder);
	snprintf(uri, sizeof(uri), "vhost-user:%s", path);
	assert_int_equal(ringside_server_create(&(struct ringside_server_options){.workers = 2},
						&l.server, &err),
			 0);
	assert_int_equal(ringside_server_add(l.server, path, "null:1G,queues=2", &err), 0);
	start(&l);
	assert_int_equal(ringside_open(uri, NULL, &disk, &err), 0);
	ringside_close(&disk);
	stop(&l);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(rmdir(folder), 0);
}

#define FDS_MAX 1024

static void note_fds(bool *open)
{
	for (int fd = 0; fd < FDS_MAX; fd++)
		open[fd] = fcntl(fd, F_GETFD) >= 0;
}

/* With a server and a driver at work, a program that is executed gets none of their descriptors. */
static void a_program_that_is_executed_inherits_nothing(void **state)
{
	char folder[] = "/tmp/ringside-api-XXXXXX", path[64], image[64], uri[80], spec[80];
	struct ringside_error err;
	struct ringside_disk *disk;
	bool before[FDS_MAX];
	struct loop l;
	void *memory;
	int fd, fds[2];
	unsigned ours = 0;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/s.sock", folder);
	snprintf(uri, sizeof(uri), "vhost-user:%s", path);
	snprintf(image, sizeof(image), "%s/disk.raw", folder);
	snprintf(spec, sizeof(spec), "file=%s,queues=2", image);
	fd = open(image, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	close(fd);
	assert_int_equal(pipe2(l.stop, O_CLOEXEC), 0);
	note_fds(before);
	/* One that is handed over becomes close-on-exec, too. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(ringside_server_create(NULL, &l.server, &err), 0);
	assert_int_equal(ringside_server_add(l.server, path, spec, &err), 0);
	assert_int_equal(ringside_server_add_fd(l.server, fds[0], "null:1M", &err), 0);
	assert_int_equal(pthread_create(&l.thread, NULL, run, &l), 0);
	assert_int_equal(ringside_open(uri, NULL, &disk, &err), 0);
	assert_int_equal(ringside_mem_alloc(disk, 8192, &memory, &err), 0);
	assert_int_equal(ringside_start(disk, &err), 0);
	for (fd = 0; fd < FDS_MAX; fd++) {
		int flags = fcntl(fd, F_GETFD);

		if (flags < 0 || before[fd] || fd == fds[1])
			continue;
		ours++;
		if (!(flags & FD_CLOEXEC))
			fail_msg("descriptor %d is not close-on-exec", fd);
	}
	assert_true(ours > 10);
	ringside_close(&disk);
	close(fds[1]);
	stop(&l);
	assert_int_equal(unlink(image), 0);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(server_and_driver_meet),
		cmocka_unit_test(nothing_is_printed_by_the_server),
		cmocka_unit_test(the_reserve_of_the_servers_options_is_zero),
		cmocka_unit_test(errors_are_sentences),
		cmocka_unit_test(a_socket_by_path),
		cmocka_unit_test(a_program_that_is_executed_inherits_nothing),
	};

	return cmocka_run_group_tests_name("library", tests, NULL, NULL);
}
