/* SPDX-License-Identifier: MIT */
#include "server/vfio_user/rig_test.h"

#include "backend/net/virtio_net.h"
#include "base/aside.h"
#include "base/clock.h"
#include "base/shared_copy.h"
#include "base/sock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define HANG_NS (20 * NSEC_PER_SEC)

static void rig_gone(struct vfio_user_connection *c)
{
	container_of(c, struct rig, c)->gone = true;
}

/* ---- the memory, by messages ---- */

void rig_reply(struct rig *r, const struct vfio_user_header *h, uint32_t flags, uint32_t error,
	       const void *body, uint32_t size)
{
	struct vfio_user_header *m = malloc(sizeof(*m) + size);

	*m = (struct vfio_user_header){
		.id = h->id,
		.command = h->command,
		.size = (uint32_t)sizeof(*m) + size,
		.flags = VFIO_USER_TYPE_REPLY | flags,
		.error = error,
	};
	if (size)
		memcpy(m + 1, body, size);
	/* Where the server has hung up there is nobody to hear it. */
	(void)sock_send(r->fd, m, m->size, NULL, 0, clock_ns() + HANG_NS);
	free(m);
}

void rig_dma(struct rig *r, const struct vfio_user_header *h, const uint8_t *body)
{
	bool read = h->command == VFIO_USER_DMA_READ;
	struct vfio_user_dma_access a;
	uint8_t *answer, *at;

	memcpy(&a, body, sizeof(a));
	assert_in_range(a.address, RIG_MEM_AT, RIG_MEM_AT + RIG_MEM_SIZE - 1);
	assert_in_range(a.count, read ? 1 : 0, RIG_MEM_AT + RIG_MEM_SIZE - a.address);
	assert_int_equal(h->size, sizeof(*h) + sizeof(a) + (read ? 0 : a.count));
	at = r->mem + (a.address - RIG_MEM_AT);
	answer = malloc(sizeof(a) + a.count);
	memcpy(answer, &a, sizeof(a));
	if (read)
		shared_copy_from(answer + sizeof(a), at, a.count);
	else
		shared_copy_to(at, body + sizeof(a), a.count);
	rig_reply(r, h, 0, 0, answer, (uint32_t)(sizeof(a) + (read ? a.count : 0)));
	free(answer);
}

/* A command of the server's whose header was read. */
static void rig_serve_one(struct rig *r, const struct vfio_user_header *h)
{
	uint8_t *body = malloc(VFIO_USER_BODY_MAX);
	struct vfio_user_dma_access a;

	assert_true(h->command == VFIO_USER_DMA_READ || h->command == VFIO_USER_DMA_WRITE);
	assert_in_range(h->size, sizeof(*h), sizeof(*h) + VFIO_USER_BODY_MAX);
	assert_int_equal(sock_recv(r->fd, body, h->size - sizeof(*h), NULL, clock_ns() + HANG_NS),
			 0);
	r->reads += h->command == VFIO_USER_DMA_READ;
	r->writes += h->command == VFIO_USER_DMA_WRITE;
	memcpy(&a, body, sizeof(a));
	if (a.count > r->longest)
		r->longest = a.count;
	if (r->dma)
		r->dma(r, h, body);
	else
		rig_dma(r, h, body);
	free(body);
}

static bool is_command(const struct vfio_user_header *h)
{
	return (h->flags & VFIO_USER_TYPE_MASK) == VFIO_USER_TYPE_COMMAND;
}

/* What lies there first, if it is the server's to ask. */
static void rig_serve(struct rig *r)
{
	struct vfio_user_header h;

	while (r->fd >= 0 && !r->deaf &&
	       recv(r->fd, &h, sizeof(h), MSG_PEEK | MSG_DONTWAIT) == sizeof(h) && is_command(&h)) {
		assert_int_equal(sock_recv(r->fd, &h, sizeof(h), NULL, clock_ns() + HANG_NS), 0);
		rig_serve_one(r, &h);
	}
}

void rig_turn(struct rig *r, int ms)
{
	struct pollfd fd = {.fd = reactor_fd(r->home), .events = POLLIN};
	int next = reactor_timeout_ms(r->home);

	poll(&fd, 1, next >= 0 && next < ms ? next : ms);
	reactor_process(r->home);
	rig_serve(r);
}

void rig_connect(struct rig *r)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	r->fd = fds[0];
	r->gone = false;
	assert_int_equal(vfio_user_connection_serve(&r->c, fds[1]), 0);
}

static void rig_prepare(struct rig *r)
{
	const struct worker_pool_config pool = {.n = 1, .reactor = {.uring = test_uring()}};
	const struct reactor_config control = {.uring = false};
	struct error err = {""};

	memset(r, 0, sizeof(*r));
	r->fd = -1;
	assert_int_equal(reactor_create(&r->home, &control, &err), 0);
	assert_int_equal(disk_room_init(&r->room, r->home, &pool, &err), 0);
}

static void rig_offer(struct rig *r, struct virtio_device *vdev)
{
	const struct virtio_pci_options board = {0};
	struct error err = {""};

	assert_int_equal(vfio_user_connection_init(&r->c, vdev, &board, r->home, rig_gone, &err),
			 0);
	r->mem_fd = memfd_create("rig", MFD_CLOEXEC);
	assert_int_equal(ftruncate(r->mem_fd, RIG_MEM_SIZE), 0);
	r->mem = mmap(NULL, RIG_MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, r->mem_fd, 0);
	assert_ptr_not_equal(r->mem, MAP_FAILED);
	rig_connect(r);
}

void rig_init_mute(struct rig *r, const char *disk)
{
	struct virtio_blk *blk;
	struct disk_spec spec;
	struct error err = {""};

	rig_prepare(r);
	assert_int_equal(disk_spec_parse(disk, &spec, &err), 0);
	assert_int_equal(disk_from_spec(&r->room, &spec, "disk", &blk, &err), 0);
	disk_spec_fini(&spec);
	rig_offer(r, &blk->vdev);
}

void rig_init_storage(struct rig *r, struct storage *storage, unsigned queues)
{
	struct virtio_blk_options options = {.path = "disk", .queues = queues};
	struct virtio_blk *blk;

	rig_prepare(r);
	assert_int_equal(virtio_blk_create(&blk, &options, storage, r->home, r->room.pool.workers,
					   r->room.pool.n, 0, NULL),
			 0);
	rig_offer(r, &blk->vdev);
	assert_int_equal(rig_version(r, 0, 1, NULL), 0);
}

void rig_init_net(struct rig *r, struct net_link *link)
{
	struct virtio_net_options options = {.path = "net", .pairs = 1, .mac = {2}};
	struct virtio_net *net;

	rig_prepare(r);
	assert_int_equal(virtio_net_create(&net, &options, link, r->home, r->room.pool.workers,
					   r->room.pool.n, 0, NULL),
			 0);
	rig_offer(r, &net->vdev);
	assert_int_equal(rig_version(r, 0, 1, NULL), 0);
}

void rig_init(struct rig *r, const char *disk)
{
	rig_init_mute(r, disk);
	assert_int_equal(rig_version(r, 0, 1, "{\"capabilities\":{\"max_msg_fds\":16}}"), 0);
}

void rig_hang_up(struct rig *r)
{
	uint64_t until = clock_ns() + HANG_NS;

	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	while (r->c.state != VFIO_USER_IDLE) {
		assert_true(clock_ns() < until);
		rig_turn(r, 100);
	}
}

static void drop_fds(struct rig *r)
{
	while (r->n_fds)
		close(r->fds[--r->n_fds]);
}

void rig_fini(struct rig *r)
{
	drop_fds(r);
	if (r->c.state != VFIO_USER_IDLE)
		vfio_user_connection_close(&r->c);
	rig_hang_up(r);
	/* A lane that is released closes what it has when it likes; the next test may count files. */
	while (aside_waiting(r->c.aside))
		rig_turn(r, 1);
	vfio_user_connection_fini(&r->c);
	disk_room_fini(&r->room);
	reactor_destroy(&r->home);
	munmap(r->mem, RIG_MEM_SIZE);
	close(r->mem_fd);
}

/* ---- messages ---- */

void rig_send(struct rig *r, const void *data, size_t n, const int *fds, unsigned n_fds)
{
	assert_int_equal(sock_send(r->fd, data, n, fds, n_fds, clock_ns() + HANG_NS), 0);
}

void rig_say(struct rig *r, uint16_t command, uint32_t flags, const void *body, uint32_t size,
	     const int *fds, unsigned n_fds)
{
	struct vfio_user_header h = {.id = ++r->id,
				     .command = command,
				     .size = (uint32_t)sizeof(h) + size,
				     .flags = flags};
	uint8_t *m = malloc(sizeof(h) + size);

	memcpy(m, &h, sizeof(h));
	if (size)
		memcpy(m + sizeof(h), body, size);
	rig_send(r, m, sizeof(h) + size, fds, n_fds);
	free(m);
}

int rig_hear(struct rig *r)
{
	struct sock_fds take = {.fds = r->fds, .max = VFIO_USER_FDS_MAX};
	uint64_t until = clock_ns() + HANG_NS;
	int rc;

	drop_fds(r);
	for (rig_serve(r); sock_ready(r->fd, POLLIN, 0); rig_serve(r)) {
		assert_true(clock_ns() < until);
		rig_turn(r, 100);
	}
	rc = sock_recv(r->fd, &r->h, sizeof(r->h), &take, until);
	if (rc == -ENOTCONN)
		return -1;
	assert_int_equal(rc, 0);
	assert_in_range(r->h.size, sizeof(r->h), sizeof(r->h) + sizeof(r->body));
	assert_int_equal(
		sock_recv(r->fd, r->body, r->h.size - sizeof(r->h), &take, clock_ns() + HANG_NS),
		0);
	r->n_fds = take.n;
	assert_int_equal(r->h.flags & VFIO_USER_TYPE_MASK, VFIO_USER_TYPE_REPLY);
	if (!(r->h.flags & VFIO_USER_ERROR)) {
		assert_int_equal(r->h.error, 0);
		return 0;
	}
	/* An error is an errno and nothing else. */
	assert_int_equal(r->h.size, sizeof(r->h));
	assert_int_not_equal(r->h.error, 0);
	return (int)r->h.error;
}

int rig_ask_fds(struct rig *r, uint16_t command, const void *body, uint32_t size, const int *fds,
		unsigned n_fds)
{
	int rc;

	rig_say(r, command, VFIO_USER_TYPE_COMMAND, body, size, fds, n_fds);
	rc = rig_hear(r);
	if (rc >= 0) {
		assert_int_equal(r->h.id, r->id);
		assert_int_equal(r->h.command, command);
	}
	return rc;
}

int rig_ask(struct rig *r, uint16_t command, const void *body, uint32_t size)
{
	return rig_ask_fds(r, command, body, size, NULL, 0);
}

bool rig_silent(struct rig *r)
{
	for (unsigned i = 0; i < 20; i++)
		rig_turn(r, 1);
	return sock_ready(r->fd, POLLIN, 0) != 0;
}

/* ---- commands ---- */

int rig_version(struct rig *r, uint16_t major, uint16_t minor, const char *text)
{
	uint32_t n = text ? (uint32_t)strlen(text) + 1 : 0;
	struct vfio_user_version v = {major, minor};
	uint8_t *m = malloc(sizeof(v) + n);
	int rc;

	memcpy(m, &v, sizeof(v));
	if (n)
		memcpy(m + sizeof(v), text, n);
	rc = rig_ask(r, VFIO_USER_VERSION, m, (uint32_t)sizeof(v) + n);
	free(m);
	return rc;
}

int rig_map(struct rig *r, uint64_t iova, uint64_t size, uint32_t flags, uint64_t offset, int fd)
{
	struct vfio_user_dma_map m = {
		.argsz = sizeof(m), .flags = flags, .offset = offset, .iova = iova, .size = size};

	return rig_ask_fds(r, VFIO_USER_DMA_MAP, &m, sizeof(m), &fd, fd >= 0);
}

int rig_unmap(struct rig *r, uint64_t iova, uint64_t size, uint32_t flags)
{
	struct vfio_user_dma_unmap m = {
		.argsz = sizeof(m), .flags = flags, .iova = iova, .size = size};

	return rig_ask(r, VFIO_USER_DMA_UNMAP, &m, sizeof(m));
}

int rig_read(struct rig *r, uint32_t region, uint64_t offset, uint32_t count)
{
	struct vfio_user_access a = {.offset = offset, .region = region, .count = count};

	return rig_ask(r, VFIO_USER_REGION_READ, &a, sizeof(a));
}

int rig_write(struct rig *r, uint32_t region, uint64_t offset, const void *data, uint32_t count)
{
	struct vfio_user_access a = {.offset = offset, .region = region, .count = count};
	uint8_t *m = malloc(sizeof(a) + count);
	int rc;

	memcpy(m, &a, sizeof(a));
	memcpy(m + sizeof(a), data, count);
	rc = rig_ask(r, VFIO_USER_REGION_WRITE, m, (uint32_t)sizeof(a) + count);
	free(m);
	return rc;
}

uint32_t rig_get(struct rig *r, uint32_t region, uint64_t offset, unsigned size)
{
	uint32_t v = 0;

	assert_int_equal(rig_read(r, region, offset, size), 0);
	assert_int_equal(r->h.size, sizeof(r->h) + sizeof(struct vfio_user_access) + size);
	memcpy(&v, r->body + sizeof(struct vfio_user_access), size);
	return v;
}

void rig_put(struct rig *r, uint32_t region, uint64_t offset, uint32_t value, unsigned size)
{
	assert_int_equal(rig_write(r, region, offset, &value, size), 0);
}

int rig_irqs(struct rig *r, uint32_t flags, uint32_t index, uint32_t start, uint32_t count,
	     const int *fds, unsigned n_fds)
{
	struct vfio_user_irq_set set = {.argsz = sizeof(set),
					.flags = flags,
					.index = index,
					.start = start,
					.count = count};

	return rig_ask_fds(r, VFIO_USER_DEVICE_SET_IRQS, &set, sizeof(set), fds, n_fds);
}
