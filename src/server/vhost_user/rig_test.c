/* SPDX-License-Identifier: MIT */
#include "server/vhost_user/rig_test.h"

#include "base/clock.h"
#include "base/log.h"
#include "wire/virtio.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- the device ---- */

#define HELD_MAX 256
#define DELAY_NS (300 * NSEC_PER_USEC)

struct held {
	struct vq_ticket ticket;
	struct iovec iov[2];
	uint32_t len;
};

struct echo_queue {
	struct virtio_queue *q;
	struct reactor_timer timer;
	unsigned n;
	struct held held[HELD_MAX];
};

static struct echo *echo_of(struct virtio_device *vdev)
{
	return container_of(vdev, struct echo, vdev);
}

static void finish(struct echo_queue *eq)
{
	for (unsigned i = 0; i < eq->n; i++) {
		struct held *h = &eq->held[i];

		if (h->len)
			memcpy(h->iov[1].iov_base, h->iov[0].iov_base, h->len);
		virtio_queue_push(eq->q, &h->ticket, h->len);
	}
	eq->n = 0;
}

static void delay_over(struct reactor_timer *t)
{
	finish(container_of(t, struct echo_queue, timer));
}

static int echo_queue_start(struct virtio_device *vdev, struct virtio_queue *q, struct error *err)
{
	struct echo_queue *eq = calloc(1, sizeof(*eq));

	(void)err;
	eq->q = q;
	reactor_timer_init(&eq->timer, delay_over);
	q->device = eq;
	echo_of(vdev)->running++;
	return 0;
}

static void echo_queue_stop(struct virtio_device *vdev, struct virtio_queue *q)
{
	struct echo_queue *eq = q->device;

	reactor_timer_stop(q->reactor, &eq->timer);
	free(eq);
	q->device = NULL;
	echo_of(vdev)->running--;
}

static int echo_process(struct virtio_device *vdev, struct virtio_queue *q, unsigned budget)
{
	struct echo *echo = echo_of(vdev);
	struct echo_queue *eq = q->device;
	int n = 0, rc = 0;

	while ((unsigned)n < budget && eq->n < HELD_MAX) {
		struct held *h = &eq->held[eq->n];
		struct iovec iov[64];
		struct vq_chain chain = {.iov = iov, .iov_max = 64};

		/* What was popped before the ring broke is completed all the same. */
		rc = vqdev_pop(&q->ring, &chain);
		if (rc <= 0)
			break;
		n++;
		h->ticket = chain.ticket;
		h->len = 0;
		if (chain.readable == 1 && chain.writable == 1 &&
		    iov[0].iov_len == iov[1].iov_len) {
			h->iov[0] = iov[0];
			h->iov[1] = iov[1];
			h->len = (uint32_t)iov[0].iov_len;
		}
		eq->n++;
		echo->popped++;
	}
	if (eq->n && echo->mode == ECHO_AT_ONCE)
		finish(eq);
	else if (eq->n && echo->mode == ECHO_DELAY)
		reactor_timer_start(q->reactor, &eq->timer, DELAY_NS);
	return rc < 0 ? rc : n;
}

static void echo_config_read(struct virtio_device *vdev, size_t offset, void *buf, size_t len)
{
	memcpy(buf, echo_of(vdev)->config + offset, len);
}

static int echo_config_write(struct virtio_device *vdev, size_t offset, const void *buf, size_t len)
{
	uint8_t v = *(const uint8_t *)buf;

	if (offset != CONFIG_WRITABLE || len != 1)
		return -EPERM;
	if (v > 1)
		return -EINVAL;
	echo_of(vdev)->config[CONFIG_WRITABLE] = v;
	return 0;
}

static void echo_features_set(struct virtio_device *vdev)
{
	echo_of(vdev)->features_set++;
}

static void echo_reset(struct virtio_device *vdev)
{
	echo_of(vdev)->resets++;
}

static const struct virtio_device_class echo_class = {
	.name = "echo",
	.id = 0x7f,
	.config_size = CONFIG_LEN,
	.config_read = echo_config_read,
	.config_write = echo_config_write,
	.features_set = echo_features_set,
	.reset = echo_reset,
	.queue_start = echo_queue_start,
	.queue_stop = echo_queue_stop,
	.process = echo_process,
};

void echo_mode(struct rig *rig, enum echo_mode mode)
{
	rig->echo.mode = (int)mode;
}

static void patience(uint64_t since)
{
	if (clock_ns() - since > PATIENCE_S * NSEC_PER_SEC)
		fail_msg("nothing happens any more");
	usleep(200);
}

void echo_wait_popped(struct rig *rig, unsigned n)
{
	uint64_t start = clock_ns();

	while (rig->echo.popped < n)
		patience(start);
}

static void release_on_worker(void *arg)
{
	struct virtio_queue *q = arg;

	if (q->device)
		finish(q->device);
}

void echo_release(struct rig *rig)
{
	echo_mode(rig, ECHO_AT_ONCE);
	for (unsigned i = 0; i < QUEUES; i++) {
		struct virtio_queue *q = &rig->echo.vdev.queues[i];

		worker_call(q->worker, release_on_worker, q);
	}
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

/* ---- the rig ---- */

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
	rig_call(rig, rig_stop_serving, rig);
	while (sem_wait(&rig->stopped) && errno == EINTR)
		;
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
		patience(start);
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

/* ---- a front end: the socket ---- */

void front_open(struct front *f, struct rig *rig)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct timeval patience_s = {.tv_sec = PATIENCE_S};

	memset(f, 0, sizeof(*f));
	f->features = BIT64(VIRTIO_F_VERSION_1) | PROTOCOL;
	f->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(f->sock >= 0);
	assert_false(setsockopt(f->sock, SOL_SOCKET, SO_RCVTIMEO, &patience_s, sizeof(patience_s)));
	assert_false(setsockopt(f->sock, SOL_SOCKET, SO_SNDTIMEO, &patience_s, sizeof(patience_s)));
	memcpy(addr.sun_path, rig->path, strlen(rig->path));
	assert_false(connect(f->sock, (struct sockaddr *)&addr, sizeof(addr)));
	f->memfd = memfd_create("front", MFD_CLOEXEC);
	assert_true(f->memfd >= 0);
	assert_false(ftruncate(f->memfd, FRONT_MEM));
	f->mem = mmap(NULL, FRONT_MEM, PROT_READ | PROT_WRITE, MAP_SHARED, f->memfd, 0);
	assert_true(f->mem != MAP_FAILED);
	for (unsigned i = 0; i < QUEUES; i++) {
		f->rings[i].index = i;
		f->rings[i].kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		f->rings[i].call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
}

void front_close(struct front *f)
{
	if (f->sock >= 0)
		close(f->sock);
	munmap(f->mem, FRONT_MEM);
	close(f->memfd);
	for (unsigned i = 0; i < QUEUES; i++) {
		close(f->rings[i].kick);
		close(f->rings[i].call);
	}
}

bool front_write(struct front *f, const void *bytes, size_t len, const int *fds, int n_fds)
{
	char control[CMSG_SPACE(253 * sizeof(int))] __attribute__((aligned(8))) = {0};
	struct iovec iov = {(void *)(uintptr_t)bytes, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n_fds) {
		struct cmsghdr *c = (struct cmsghdr *)(void *)control;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE((size_t)n_fds * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN((size_t)n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, (size_t)n_fds * sizeof(int));
	}
	while (iov.iov_len) {
		ssize_t n = sendmsg(f->sock, &msg, MSG_NOSIGNAL);

		if (n < 0)
			return false;
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
	}
	return true;
}

void front_send(struct front *f, uint32_t request, uint32_t flags, const void *payload,
		uint32_t size, const int *fds, int n_fds)
{
	struct {
		struct vhost_user_header h;
		uint8_t payload[sizeof(union vhost_user_payload)];
	} msg = {.h = {request, flags, size}};

	if (size)
		memcpy(msg.payload, payload, size);
	front_write(f, &msg, sizeof(msg.h) + size, fds, n_fds);
}

static bool read_all(int fd, void *to, size_t len)
{
	while (len) {
		ssize_t n = recv(fd, to, len, 0);

		if (n <= 0) {
			if (n < 0 && errno == EAGAIN)
				fail_msg("no reply");
			return false;
		}
		to = (char *)to + n;
		len -= (size_t)n;
	}
	return true;
}

bool front_recv(struct front *f, struct vhost_user_header *h, union vhost_user_payload *payload)
{
	if (!read_all(f->sock, h, sizeof(*h)))
		return false;
	assert_true(h->size <= sizeof(*payload));
	return read_all(f->sock, payload->bytes, h->size);
}

int front_ack(struct front *f, uint32_t request, const void *payload, uint32_t size, const int *fds,
	      int n_fds)
{
	struct vhost_user_header h;
	union vhost_user_payload reply;

	front_send(f, request, FLAGS_REPLY, payload, size, fds, n_fds);
	if (!front_recv(f, &h, &reply))
		return -1;
	assert_int_equal(h.request, request);
	assert_int_equal(h.flags, VHOST_USER_VERSION | VHOST_USER_REPLY);
	assert_int_equal(h.size, sizeof(reply.u64));
	return (int)reply.u64;
}

int front_ack_u64(struct front *f, uint32_t request, uint64_t v)
{
	return front_ack(f, request, &v, sizeof(v), NULL, 0);
}

int front_ack_state(struct front *f, uint32_t request, uint32_t index, uint32_t num)
{
	struct vhost_user_vring_state s = {index, num};

	return front_ack(f, request, &s, sizeof(s), NULL, 0);
}

int front_ack_fd(struct front *f, uint32_t request, uint64_t v, int fd)
{
	return front_ack(f, request, &v, sizeof(v), &fd, 1);
}

uint64_t front_get_u64(struct front *f, uint32_t request)
{
	struct vhost_user_header h;
	union vhost_user_payload reply;

	front_send(f, request, FLAGS_PLAIN, NULL, 0, NULL, 0);
	assert_true(front_recv(f, &h, &reply));
	assert_int_equal(h.request, request);
	assert_int_equal(h.flags, VHOST_USER_VERSION | VHOST_USER_REPLY);
	assert_int_equal(h.size, sizeof(reply.u64));
	return reply.u64;
}

uint32_t front_get_base(struct front *f, unsigned index)
{
	struct vhost_user_vring_state s = {index, 0};
	struct vhost_user_header h;
	union vhost_user_payload reply;

	front_send(f, VHOST_USER_GET_VRING_BASE, FLAGS_PLAIN, &s, sizeof(s), NULL, 0);
	assert_true(front_recv(f, &h, &reply));
	assert_int_equal(h.request, VHOST_USER_GET_VRING_BASE);
	assert_int_equal(h.size, sizeof(s));
	assert_int_equal(reply.state.index, index);
	return reply.state.num;
}

bool front_alive(struct front *f)
{
	return front_get_u64(f, VHOST_USER_GET_QUEUE_NUM) == QUEUES;
}

bool front_closed(struct front *f)
{
	struct vhost_user_header h;
	union vhost_user_payload reply;

	while (front_recv(f, &h, &reply))
		;
	return true;
}

/* ---- a front end: the usual steps ---- */

void front_negotiate(struct front *f)
{
	uint64_t features = front_get_u64(f, VHOST_USER_GET_FEATURES), v;

	assert_int_equal(features, OFFERED | PROTOCOL);
	v = front_get_u64(f, VHOST_USER_GET_PROTOCOL_FEATURES);
	assert_true(v & BIT64(VHOST_USER_PROTOCOL_F_STATUS));
	if (!f->tells_status)
		v &= ~BIT64(VHOST_USER_PROTOCOL_F_STATUS);
	front_send(f, VHOST_USER_SET_PROTOCOL_FEATURES, FLAGS_PLAIN, &v, sizeof(v), NULL, 0);
	assert_int_equal(front_get_u64(f, VHOST_USER_GET_QUEUE_NUM), QUEUES);
	assert_int_equal(front_ack(f, VHOST_USER_SET_OWNER, NULL, 0, NULL, 0), 0);
	assert_int_equal(front_ack_u64(f, VHOST_USER_SET_FEATURES, f->features), 0);
}

struct vhost_user_mem_table front_table(void)
{
	return (struct vhost_user_mem_table){
		.n = 1,
		.regions = {{.gpa = FRONT_GPA, .size = FRONT_MEM, .user = FRONT_USER}},
	};
}

#define TABLE_LEN(n) ((uint32_t)(8 + (n) * sizeof(struct vhost_user_region)))

void front_share_memory(struct front *f)
{
	struct vhost_user_mem_table t = front_table();

	assert_int_equal(front_ack(f, VHOST_USER_SET_MEM_TABLE, &t, TABLE_LEN(1), &f->memfd, 1), 0);
}

static bool is_packed(const struct front *f)
{
	return f->features & BIT64(VIRTIO_F_RING_PACKED);
}

struct vhost_user_vring_addr front_ring_addr(unsigned index)
{
	uint64_t at = FRONT_USER + (uint64_t)index * RING_SPAN;

	return (struct vhost_user_vring_addr){
		.index = index, .desc = at, .avail = at + 0x1000, .used = at + 0x2000};
}

void front_ring_setup(struct front *f, unsigned index)
{
	struct front_ring *r = &f->rings[index];
	uint8_t *at = f->mem + index * RING_SPAN;
	struct vqdrv_config config = {
		.num = RING_NUM,
		.packed = is_packed(f),
		.event_idx = f->features & BIT64(VIRTIO_F_EVENT_IDX),
		.in_order = f->features & BIT64(VIRTIO_F_IN_ORDER),
		.desc = at,
		.driver = at + 0x1000,
		.device = at + 0x2000,
		.state = r->state,
	};

	assert_int_equal(vqdrv_init(&r->drv, &config), 0);
}

void front_ring_start(struct front *f, unsigned index)
{
	struct front_ring *r = &f->rings[index];
	struct vhost_user_vring_addr addr = front_ring_addr(index);

	assert_int_equal(front_ack_state(f, VHOST_USER_SET_VRING_NUM, index, RING_NUM), 0);
	assert_int_equal(front_ack_state(f, VHOST_USER_SET_VRING_BASE, index,
					 vring_base_initial(is_packed(f))),
			 0);
	assert_int_equal(front_ack(f, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 0);
	assert_int_equal(front_ack_fd(f, VHOST_USER_SET_VRING_CALL, index, r->call), 0);
	assert_int_equal(front_ack_fd(f, VHOST_USER_SET_VRING_KICK, index, r->kick), 0);
}

void front_ring_enable(struct front *f, unsigned index)
{
	assert_int_equal(front_ack_state(f, VHOST_USER_SET_VRING_ENABLE, index, 1), 0);
}

void front_start(struct front *f)
{
	front_negotiate(f);
	front_share_memory(f);
	for (unsigned i = 0; i < QUEUES; i++) {
		front_ring_setup(f, i);
		front_ring_start(f, i);
		front_ring_enable(f, i);
	}
}

/* ---- a front end: requests ---- */

#define DATA_LEN 64u

/* Buffers of the slot: what is sent, what comes back. */
static uint32_t data_offset(unsigned index, unsigned slot)
{
	return (uint32_t)(index * RING_SPAN + 0x3000 + slot * 2 * DATA_LEN);
}

void front_submit(struct front *f, unsigned index, unsigned n)
{
	struct front_ring *r = &f->rings[index];

	for (unsigned i = 0; i < n; i++) {
		/* No more than half the ring is ever out, so that a slot is free again in time. */
		unsigned slot = vqdrv_outstanding(&r->drv);
		uint32_t at = data_offset(index, slot);
		struct vqdrv_buf bufs[2] = {
			{FRONT_GPA + at, DATA_LEN},
			{FRONT_GPA + at + DATA_LEN, DATA_LEN},
		};

		memset(f->mem + at, (int)(slot + 1), DATA_LEN);
		memset(f->mem + at + DATA_LEN, 0, DATA_LEN);
		assert_int_equal(vqdrv_add(&r->drv, bufs, 1, 1, f->mem + at), 0);
	}
	vqdrv_publish(&r->drv);
}

void front_kick(struct front *f, unsigned index)
{
	uint64_t one = 1;

	if (vqdrv_needs_kick(&f->rings[index].drv))
		assert_int_equal(write(f->rings[index].kick, &one, sizeof(one)), sizeof(one));
}

static void wait_for_call(struct front_ring *r)
{
	struct pollfd p = {.fd = r->call, .events = POLLIN};
	uint64_t v;

	if (poll(&p, 1, PATIENCE_S * 1000) != 1)
		fail_msg("no interrupt on queue %u", r->index);
	assert_int_equal(read(r->call, &v, sizeof(v)), sizeof(v));
}

void front_complete(struct front *f, unsigned index, unsigned n)
{
	struct front_ring *r = &f->rings[index];
	uint32_t len;
	void *cookie;

	while (n) {
		while (n && vqdrv_reap(&r->drv, &cookie, &len) > 0) {
			assert_int_equal(len, DATA_LEN);
			assert_memory_equal(cookie, (uint8_t *)cookie + DATA_LEN, DATA_LEN);
			n--;
		}
		assert_null(vqdrv_why(&r->drv));
		if (n && !vqdrv_calls_on(&r->drv))
			wait_for_call(r);
	}
}

void front_echo(struct front *f, unsigned index)
{
	front_submit(f, index, 1);
	front_kick(f, index);
	front_complete(f, index, 1);
}
