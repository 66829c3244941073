/* SPDX-License-Identifier: MIT */
/*
 * The driver and a vfio-user server that goes: who sleeps is woken, and a server that comes back is
 * found, however often one has gone in between, and wherever.
 */
#include "test.h"

#include "base/bits.h"
#include "frontend/vfio_user/client.h"
#include "server/disk.h"
#include "server/offer_vfio_user.h"

#include <errno.h>
#include <ringside/driver.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char dir[32], path[48];

static int set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/ringside-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sock", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	assert_int_equal(rmdir(dir), 0);
	return 0;
}

/* ---- a server of ours ---- */

struct ours {
	struct server *server;
	pthread_t thread;
	struct reactor_msg stop;
};

static void ours_stop(struct reactor_msg *msg)
{
	server_stop(container_of(msg, struct ours, stop)->server);
}

static void *ours_serve(void *arg)
{
	return server_run(((struct ours *)arg)->server) ? "" : NULL;
}

static void ours_begin(struct ours *s)
{
	const struct server_config config = {
		.workers = {.n = 1, .reactor = {.uring = test_uring()}}};
	const struct virtio_pci_options board = {0};
	struct socket_place place = {.path = path, .mode = 0600, .fd = -1};
	struct disk_spec spec;
	struct error err = {""};

	*s = (struct ours){.stop.run = ours_stop};
	assert_int_equal(server_create(&s->server, &config, &err), 0);
	assert_int_equal(disk_spec_parse("memory:1M", &spec, &err), 0);
	if (server_add_vfio_user_disk(s->server, &spec, NULL, &board, &place, &err))
		fail_msg("%s", err.text);
	disk_spec_fini(&spec);
	assert_int_equal(pthread_create(&s->thread, NULL, ours_serve, s), 0);
}

static void ours_end(struct ours *s)
{
	void *failed;

	pthread_join(s->thread, &failed);
	assert_null(failed);
	server_destroy(&s->server);
}

static struct ringside_disk *disk_open_there(void)
{
	struct ringside_disk *disk = NULL;
	struct ringside_error err = {""};
	char uri[64];

	snprintf(uri, sizeof(uri), "vfio-user:%s", path);
	if (ringside_open(uri, NULL, &disk, &err) || ringside_start(disk, &err))
		fail_msg("%s", err.text);
	return disk;
}

/* Not by the time that it gave, and not only if somebody looks at the disk's events. */
static void who_sleeps_is_woken_when_the_server_goes(void **state)
{
	struct ringside_disk *disk;
	struct ours s;

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		ours_begin(&s);
		if (!round)
			disk = disk_open_there();
		else
			assert_int_equal(ringside_reconnect(disk, NULL), 0);
		reactor_post(server_home(s.server), &s.stop);
		assert_int_equal(ringside_wait(ringside_queue(disk, 0), 60000), -ENODEV);
		ours_end(&s);
	}
	ringside_close(&disk);
}

/* ---- a server that answers as much as opening takes, and goes when it is told ---- */

struct false_server {
	int listener;
	pthread_t thread;
	unsigned connections; /* so many, one after the other */
	int goes_at;	      /* of the second: the write to the configuration space */
	uint32_t config[64];  /* of the last one that was served */
};

static bool false_read(int fd, void *to, size_t n)
{
	return recv(fd, to, n, MSG_WAITALL) == (ssize_t)n;
}

/* false: it goes. */
static bool false_answer(struct false_server *s, int fd, const struct vfio_user_header *h,
			 const uint8_t *body, int *writes_left)
{
	struct {
		struct vfio_user_header h;
		uint8_t body[256];
	} m = {.h = *h};
	uint32_t n = h->size - (uint32_t)sizeof(*h);
	struct vfio_user_region_info region;
	struct vfio_user_device_info info;
	struct vfio_user_irq_info irq;
	struct vfio_user_access a;

	memcpy(m.body, body, n < sizeof(m.body) ? n : sizeof(m.body));
	switch (h->command) {
	case VFIO_USER_VERSION:
		n = sizeof(struct vfio_user_version);
		break;
	case VFIO_USER_DEVICE_GET_INFO:
		info = (struct vfio_user_device_info){.argsz = sizeof(info),
						      .flags = VFIO_USER_DEVICE_PCI,
						      .regions = VFIO_USER_REGIONS};
		memcpy(m.body, &info, n = sizeof(info));
		break;
	case VFIO_USER_DEVICE_GET_REGION_INFO:
		memcpy(&region, body, sizeof(region));
		region.size = 256;
		memcpy(m.body, &region, n = sizeof(region));
		break;
	case VFIO_USER_DEVICE_GET_IRQ_INFO:
		irq = (struct vfio_user_irq_info){.argsz = sizeof(irq)};
		memcpy(m.body, &irq, n = sizeof(irq));
		break;
	case VFIO_USER_REGION_READ:
		memcpy(&a, body, sizeof(a));
		memcpy(m.body + sizeof(a), (uint8_t *)s->config + a.offset, a.count);
		n = (uint32_t)sizeof(a) + a.count;
		break;
	case VFIO_USER_REGION_WRITE:
		if (!(*writes_left)--)
			return false;
		memcpy(&a, body, sizeof(a));
		memcpy((uint8_t *)s->config + a.offset, body + sizeof(a), a.count);
		n = sizeof(a);
		break;
	default:
		n = 0;
	}
	m.h.flags = VFIO_USER_TYPE_REPLY;
	m.h.size = (uint32_t)sizeof(m.h) + n;
	return send(fd, &m, m.h.size, MSG_NOSIGNAL) == (ssize_t)m.h.size;
}

static void *false_serve(void *arg)
{
	struct false_server *s = arg;

	for (unsigned i = 0; i < s->connections; i++) {
		int fd = accept(s->listener, NULL, NULL), writes = i == 1 ? s->goes_at : INT32_MAX;
		struct vfio_user_header h;
		uint8_t body[4096];

		memset(s->config, 0, sizeof(s->config));
		while (false_read(fd, &h, sizeof(h)) && h.size - sizeof(h) <= sizeof(body) &&
		       false_read(fd, body, h.size - sizeof(h)) &&
		       false_answer(s, fd, &h, body, &writes))
			;
		close(fd);
	}
	return NULL;
}

static void false_begin(struct false_server *s)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	strcpy(at.sun_path, path);
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(s->listener, 4), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, false_serve, s), 0);
}

static void false_end(struct false_server *s)
{
	pthread_join(s->thread, NULL);
	close(s->listener);
	unlink(path);
}

/* What was read when nobody was there any more is told to nobody. */
static void bars_are_where_they_were_after_a_server_that_went_again(void **state)
{
	(void)state;
	/* At each write of the second connection. */
	for (int goes_at = 0; goes_at < (int)PCI_BARS; goes_at++) {
		struct false_server s = {.connections = 3, .goes_at = goes_at};
		struct vfio_user_client c;
		struct error err = {""};

		false_begin(&s);
		assert_int_equal(vfio_user_client_open(&c, path, 20000, false, &err), 0);
		for (unsigned i = 0; i < PCI_BARS; i++)
			c.access.ops->config_write(&c.access, 0, PCI_BAR0 + 4 * i,
						   0xc0000000 + (i << 16), 4);
		assert_int_equal(vfio_user_client_redial(&c, &err), -ENOTCONN);
		assert_false(vfio_user_client_alive(&c));
		assert_int_equal(vfio_user_client_redial(&c, &err), 0);
		for (unsigned i = 0; i < PCI_BARS; i++) {
			assert_int_equal(c.bars[i], 0xc0000000 + (i << 16));
			assert_int_equal(s.config[PCI_BAR0 / 4 + i], 0xc0000000 + (i << 16));
		}
		vfio_user_client_close(&c);
		false_end(&s);
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(who_sleeps_is_woken_when_the_server_goes),
		CASE(bars_are_where_they_were_after_a_server_that_went_again),
	};

	return cmocka_run_group_tests_name("pair/vfio_user_gone", tests, NULL, NULL);
}
