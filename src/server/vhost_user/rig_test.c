/* SPDX-License-Identifier: MIT */
#include "server/vhost_user/rig_test.h"

#include "base/aside.h"
#include "base/clock.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void no_log(void *opaque, enum log_level level, const char *line)
{
	(void)opaque;
	(void)level;
	(void)line;
}

void rig_setup(void)
{
	log_setup(LOG_LEVEL_DBG, getenv("RIG_LOG") ? NULL : no_log, NULL);
}

int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = -3; /* ".", ".." and the directory itself */

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int rig_serve(struct socket_door *door, int fd)
{
	return vhost_user_connection_serve(&container_of(door, struct rig, door)->connection, fd);
}

static void rig_send_away(struct socket_door *door)
{
	vhost_user_connection_close(&container_of(door, struct rig, door)->connection);
}

static void rig_over(struct socket_door *door)
{
	sem_post(&container_of(door, struct rig, door)->stopped);
}

static const struct socket_door_ops door_ops = {
	.serve = rig_serve,
	.send_away = rig_send_away,
	.over = rig_over,
};

static void front_gone(struct vhost_user_connection *c)
{
	socket_door_free(&container_of(c, struct rig, connection)->door);
}

void rig_call(struct rig *rig, void (*fn)(void *arg), void *arg)
{
	worker_call(rig->control, fn, arg);
}

void rig_patience(uint64_t since)
{
	if (clock_ns() - since > PATIENCE_S * NSEC_PER_SEC)
		fail_msg("nothing happens any more");
	usleep(200);
}

static void nothing(void *arg)
{
	(void)arg;
}

void rig_settle(struct rig *rig)
{
	rig_call(rig, nothing, NULL);
	for (unsigned i = 0; i < 2; i++)
		worker_call(rig->workers[i], nothing, NULL);
}

static void open_door(void *arg)
{
	struct rig *rig = arg;
	struct socket_place place = {.path = rig->path, .mode = 0600, .fd = -1};
	struct error err = {""};
	int rc;

	rc = virtio_device_init(&rig->echo.vdev, &echo_class, "echo0", OFFERED, QUEUES,
				worker_reactor(rig->control), rig->workers, 2, 0, &err);
	assert_int_equal(rc, 0);
	for (unsigned i = 0; i < CONFIG_LEN; i++)
		rig->echo.config[i] = (uint8_t)(i * 7 + 1);
	rc = vhost_user_connection_init(&rig->connection, &rig->echo.vdev,
					worker_reactor(rig->control), front_gone, &err);
	if (!rc)
		rc = socket_door_open(&rig->door, &door_ops, "echo0", &place,
				      worker_reactor(rig->control), &err);
	if (rc)
		fail_msg("%s", err.text);
}

void rig_start(struct rig *rig)
{
	struct worker_config control = {.name = "control", .cpu = -1};
	struct worker_config worker = {
		.name = "worker", .reactor = {.uring = test_uring()}, .cpu = -1};

	memset(rig, 0, sizeof(*rig));
	sem_init(&rig->stopped, 0, 0);
	snprintf(rig->dir, sizeof(rig->dir), "%s/ringside-XXXXXX", "/tmp");
	assert_non_null(mkdtemp(rig->dir));
	snprintf(rig->path, sizeof(rig->path), "%s/sock", rig->dir);
	assert_int_equal(worker_create(&rig->control, &control, NULL), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(worker_create(&rig->workers[i], &worker, NULL), 0);
	rig_call(rig, open_door, rig);
	rig->fds = count_fds();
}

static void let_go(void *arg)
{
	struct rig *rig = arg;

	vhost_user_connection_fini(&rig->connection);
	virtio_device_fini(&rig->echo.vdev);
}

void rig_stop_serving(void *rig)
{
	socket_door_stop(&((struct rig *)rig)->door);
}

void rig_stop(struct rig *rig)
{
	rig_quiet(rig);
	rig_end(rig);
}

void rig_end(struct rig *rig)
{
	uint64_t start;

	rig_call(rig, rig_stop_serving, rig);
	while (sem_wait(&rig->stopped) && errno == EINTR)
		;
	/* A lane that is released closes what it has when it likes; the next test counts files. */
	for (start = clock_ns(); aside_waiting(rig->connection.aside);)
		rig_patience(start);
	rig_call(rig, let_go, rig);
	worker_destroy(&rig->control);
	for (unsigned i = 0; i < 2; i++)
		worker_destroy(&rig->workers[i]);
	sem_destroy(&rig->stopped);
	assert_int_equal(access(rig->path, F_OK), -1);
	assert_int_equal(rmdir(rig->dir), 0);
}

static void look_idle(void *arg)
{
	struct {
		struct rig *rig;
		bool idle;
	} *look = arg;

	look->idle = look->rig->connection.state == VHOST_USER_IDLE;
}

void rig_quiet(struct rig *rig)
{
	struct {
		struct rig *rig;
		bool idle;
	} look = {rig, false};
	uint64_t start = clock_ns();

	/* An fd that is closed may still be in the kernel's hands for a moment: io_uring lets go later. */
	for (;;) {
		rig_call(rig, look_idle, &look);
		if (look.idle && count_fds() == rig->fds)
			break;
		rig_patience(start);
	}
	assert_int_equal(rig->echo.running, 0);
}

void rig_healthy(struct rig *rig)
{
	struct front f;

	front_open(&f, rig);
	front_start(&f);
	for (unsigned i = 0; i < QUEUES; i++)
		front_echo(&f, i);
	front_close(&f);
	rig_quiet(rig);
}
