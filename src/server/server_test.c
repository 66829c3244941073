/* SPDX-License-Identifier: MIT */
/* The server as a whole: several disks, signals, the end. */
#include "test.h"

#include "backend/blk/virtio_blk.h"
#include "base/log.h"
#include "server/offer_vhost_user.h"
#include "wire/vhost_user.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64];
static atomic_uint ticks;
static atomic_uint destroyed;

/* What a disk's class is, and one that counts. */
static const struct virtio_device_class *blk_class;
static struct virtio_device_class counting;

static void count_refresh(struct virtio_device *vdev)
{
	blk_class->refresh(vdev);
	ticks++;
}

static void count_destroy(struct virtio_device *vdev)
{
	blk_class->destroy(vdev);
	destroyed++;
}

static struct server *make_server(void)
{
	struct server_config config = {.workers = {.n = 2, .reactor = {.uring = true}},
				       .signals = true};
	struct server *s;

	assert_int_equal(server_create(&s, &config, NULL), 0);
	return s;
}

static struct virtio_blk *make_disk(struct server *s, const char *name)
{
	struct storage_options so = {.target = "memory:1M"};
	struct virtio_blk_options bo = {.path = name, .queues = 2};
	const struct worker_pool *pool = &server_room(s)->pool;
	struct storage *storage;
	struct virtio_blk *blk;

	assert_int_equal(pool->n, 2);
	assert_int_equal(storage_open(&so, &storage, NULL), 0);
	assert_int_equal(virtio_blk_create(&blk, &bo, storage, server_home(s), pool->workers,
					   pool->n, 0, NULL),
			 0);
	blk_class = blk->vdev.cls;
	counting = *blk_class;
	counting.refresh = count_refresh;
	counting.destroy = count_destroy;
	blk->vdev.cls = &counting;
	return blk;
}

static void sock_path(char *out, size_t size, unsigned i)
{
	snprintf(out, size, "%s/disk%u", dir, i);
}

static void add_disk(struct server *s, unsigned i)
{
	char name[16], path[96];
	struct socket_place place = {.path = path, .mode = 0600, .fd = -1};

	snprintf(name, sizeof(name), "disk%u", i);
	sock_path(path, sizeof(path), i);
	assert_int_equal(server_add_vhost_user(s, &make_disk(s, name)->vdev, &place, NULL), 0);
}

static int set_up(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/ringside-XXXXXX");
	assert_non_null(mkdtemp(dir));
	ticks = destroyed = 0;
	return 0;
}

/* No socket is left behind. */
static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(rmdir(dir), 0);
	return 0;
}

/* ---- a front end on a thread of its own; true: it was served ---- */

static bool served(int fd)
{
	struct vhost_user_header ask = {VHOST_USER_GET_QUEUE_NUM, VHOST_USER_VERSION, 0};
	struct {
		struct vhost_user_header h;
		uint64_t v;
	} __attribute__((packed)) answer;

	return send(fd, &ask, sizeof(ask), MSG_NOSIGNAL) == sizeof(ask) &&
	       recv(fd, &answer, sizeof(answer), MSG_WAITALL) == sizeof(answer) && answer.v == 2;
}

static int connect_to(unsigned i)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char path[96];

	sock_path(path, sizeof(path), i);
	memcpy(addr.sun_path, path, strlen(path));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		close(fd);
		return -1;
	}
	return fd;
}

static void *visit_both_and_terminate(void *arg)
{
	int a = connect_to(0), b = connect_to(1);
	bool *ok = arg;
	char byte;

	*ok = served(a) && served(b);
	kill(getpid(), SIGTERM);
	/* The server closes both. */
	*ok = *ok && recv(a, &byte, 1, 0) == 0 && recv(b, &byte, 1, 0) == 0;
	close(a);
	close(b);
	return NULL;
}

static void h_06_a_signal_drains_and_ends_it(void **state)
{
	struct server *s = make_server();
	pthread_t thread;
	bool ok = false;

	(void)state;
	add_disk(s, 0);
	add_disk(s, 1);
	assert_int_equal(pthread_create(&thread, NULL, visit_both_and_terminate, &ok), 0);
	assert_int_equal(server_run(s), 0);
	pthread_join(thread, NULL);
	assert_true(ok);
	server_destroy(&s);
	assert_null(s);
	assert_int_equal(destroyed, 2);
}

/* ---- a second signal, in a process of its own ---- */

struct stuck {
	struct server *s;
	sem_t forever;
};

static void hang(void *arg)
{
	struct stuck *k = arg;

	kill(getpid(), SIGINT);
	kill(getpid(), SIGTERM);
	while (sem_wait(&k->forever) && errno == EINTR)
		;
}

static void *hang_a_worker(void *arg)
{
	struct stuck *k = arg;

	/* Somebody must be connected, or there is nothing to drain. */
	if (!served(connect_to(0)))
		_exit(9);
	worker_call(server_room(k->s)->pool.workers[0], hang, k);
	return NULL;
}

static void run_stuck(void)
{
	struct stuck k = {.s = make_server()};
	pthread_t thread;

	alarm(60); /* a failure is not to hang the test */
	sem_init(&k.forever, 0, 0);
	add_disk(k.s, 0);
	if (pthread_create(&thread, NULL, hang_a_worker, &k))
		_exit(8);
	_exit(server_run(k.s) == -EINTR ? 0 : 7);
}

static void h_06_a_second_signal_ends_it_at_once(void **state)
{
	pid_t pid = fork();
	char path[96];
	int status;

	(void)state;
	assert_true(pid >= 0);
	if (!pid)
		run_stuck();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	sock_path(path, sizeof(path), 0);
	unlink(path);
}

/* ---- the rest ---- */

static void *visit_fd(void *arg)
{
	int *fd = arg;

	if (!served(*fd))
		_exit(9);
	close(*fd);
	return NULL;
}

static void ends_when_a_connected_front_end_leaves(void **state)
{
	struct server *s = make_server();
	struct socket_place place = {.mode = -1};
	pthread_t thread;
	int pair[2];

	(void)state;
	assert_false(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	place.fd = pair[0];
	assert_int_equal(server_add_vhost_user(s, &make_disk(s, "disk0")->vdev, &place, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, visit_fd, &pair[1]), 0);
	assert_int_equal(server_run(s), 0);
	pthread_join(thread, NULL);
	server_destroy(&s);
	assert_int_equal(destroyed, 1);
}

static void a_disk_that_cannot_be_offered_stays_the_callers(void **state)
{
	struct socket_place nowhere = {.path = "/nonexistent/sock", .mode = 0600, .fd = -1};
	struct server *s = make_server();
	struct virtio_blk *blk;
	struct error err;

	(void)state;
	add_disk(s, 0);
	blk = make_disk(s, "disk1");
	assert_int_equal(server_add_vhost_user(s, &blk->vdev, &nowhere, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/sock"));
	virtio_blk_destroy(&blk);
	server_destroy(&s); /* never run */
	assert_int_equal(destroyed, 1);
}

static void *wait_for_tick(void *arg)
{
	while (!ticks)
		usleep(1000);
	kill(getpid(), SIGHUP);
	return arg;
}

static void disks_are_looked_at_every_second(void **state)
{
	struct server *s = make_server();
	pthread_t thread;

	(void)state;
	add_disk(s, 0);
	assert_int_equal(pthread_create(&thread, NULL, wait_for_tick, NULL), 0);
	assert_int_equal(server_run(s), 0);
	pthread_join(thread, NULL);
	assert_true(ticks > 0);
	server_destroy(&s);
}

static void a_server_without_disks_ends_at_once(void **state)
{
	struct server *s = make_server();

	(void)state;
	assert_int_equal(server_run(s), 0);
	server_destroy(&s);
	server_destroy(&s);
}

static void no_log(void *opaque, enum log_level level, const char *line)
{
	(void)opaque;
	(void)level;
	(void)line;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(h_06_a_second_signal_ends_it_at_once),
		CASE(h_06_a_signal_drains_and_ends_it),
		CASE(ends_when_a_connected_front_end_leaves),
		CASE(a_disk_that_cannot_be_offered_stays_the_callers),
		CASE(disks_are_looked_at_every_second),
		CASE(a_server_without_disks_ends_at_once),
	};

	log_setup(LOG_LEVEL_DBG, no_log, NULL);
	if (server_take_signals(NULL))
		return 1;
	return cmocka_run_group_tests_name("server/server", tests, NULL, NULL);
}
