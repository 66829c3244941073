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
		cmocka_unit_test(errors_are_sentences),
		cmocka_unit_test(a_socket_by_path),
		cmocka_unit_test(a_program_that_is_executed_inherits_nothing),
	};

	return cmocka_run_group_tests_name("library", tests, NULL, NULL);
}
