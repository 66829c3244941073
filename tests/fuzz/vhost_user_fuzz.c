/* SPDX-License-Identifier: MIT */
/*
 * A front end of arbitrary bytes: the input is cut into writes, some of them with fds, to a
 * vhost-user connection with a real disk behind it. Whatever is said, the connection must end when
 * the socket does, with nothing left behind.
 */
#include "backend/blk/virtio_blk.h"
#include "base/log.h"
#include "server/vhost_user/connection.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY (1u << 20)

static struct {
	struct reactor *home;
	struct worker *worker;
	struct virtio_blk *blk;
	struct vhost_user_connection connection;
	bool closed;
} rig;

static void closed(struct vhost_user_connection *c)
{
	(void)c;
	rig.closed = true;
}

static void quiet(void *opaque, enum log_level level, const char *line)
{
	(void)opaque;
	(void)level;
	(void)line;
}

static void must(int rc)
{
	if (rc)
		abort();
}

static void set_up(void)
{
	struct reactor_config control = {.uring = false};
	struct worker_config worker = {.name = "fuzz", .reactor.uring = true, .cpu = -1};
	struct storage_options so = {.target = "memory:1M"};
	struct virtio_blk_options bo = {.path = "disk0", .queues = 2};
	struct storage *storage;

	log_setup(LOG_LEVEL_ERR, quiet, NULL);
	must(gmem_guard_install(NULL));
	must(reactor_create(&rig.home, &control, NULL));
	must(worker_create(&rig.worker, &worker, NULL));
	must(storage_open(&so, &storage, NULL));
	must(virtio_blk_create(&rig.blk, &bo, storage, rig.home, &rig.worker, 1, 0, NULL));
	must(vhost_user_connection_init(&rig.connection, &rig.blk->vdev, rig.home, closed, NULL));
}

static void turn(int wait_ms)
{
	struct pollfd p = {.fd = reactor_fd(rig.home), .events = POLLIN};

	poll(&p, 1, wait_ms);
	reactor_process(rig.home);
}

/* One write: @n bytes, with that many fds, alternately memory and eventfds. */
static void send_piece(int sock, const uint8_t *bytes, size_t n, unsigned n_fds)
{
	union {
		char buf[CMSG_SPACE(16 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {(void *)(uintptr_t)bytes, n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	int fds[16];

	for (unsigned i = 0; i < n_fds; i++) {
		fds[i] = i % 2 ? eventfd(0, EFD_CLOEXEC) : memfd_create("fuzz", MFD_CLOEXEC);
		if (!(i % 2) && ftruncate(fds[i], MEMORY))
			abort();
	}
	if (n_fds) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	/* Full or closed: then the rest is not said. */
	(void)!sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	for (unsigned i = 0; i < n_fds; i++)
		close(fds[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int socks[2];

	if (!rig.home)
		set_up();
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, socks))
		abort();
	rig.closed = false;
	must(vhost_user_connection_serve(&rig.connection, socks[0]));
	/* Records: how many bytes, how many fds, the bytes. */
	while (size > 2 && !rig.closed) {
		size_t n = data[0] < size - 2 ? data[0] : size - 2;

		if (n)
			send_piece(socks[1], data + 2, n, data[1] % 17 > 8 ? 0 : data[1] % 17);
		data += 2 + n;
		size -= 2 + n;
		turn(0);
	}
	close(socks[1]);
	while (!rig.closed)
		turn(1);
	turn(0);
	if (rig.connection.mem || rig.blk->vdev.status || rig.blk->vdev.queues[0].running)
		abort();
	return 0;
}
