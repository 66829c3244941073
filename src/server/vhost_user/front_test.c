/* SPDX-License-Identifier: MIT */
/* A front end that sends bytes. */
#include "server/vhost_user/rig_test.h"

#include "wire/virtio.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- the socket ---- */

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

/* ---- the usual steps ---- */

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

void front_join(struct front *f, struct rig *rig, uint64_t features)
{
	front_open(f, rig);
	f->features |= features;
	front_negotiate(f);
	front_share_memory(f);
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

/* ---- the in-flight region ---- */

int front_get_inflight(struct front *f, struct vhost_user_inflight *in, uint32_t len)
{
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct vhost_user_header h;
	struct iovec iov[2] = {{&h, sizeof(h)}, {in, len}};
	struct msghdr msg = {
		.msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int fd;

	front_send(f, VHOST_USER_GET_INFLIGHT_FD, FLAGS_PLAIN, in, len, NULL, 0);
	if (recvmsg(f->sock, &msg, MSG_CMSG_CLOEXEC | MSG_WAITALL) != (ssize_t)(sizeof(h) + len))
		return -1;
	assert_int_equal(h.request, VHOST_USER_GET_INFLIGHT_FD);
	assert_int_equal(h.flags, VHOST_USER_VERSION | VHOST_USER_REPLY);
	assert_int_equal(h.size, len);
	assert_non_null(CMSG_FIRSTHDR(&msg));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

int front_set_inflight(struct front *f, const struct vhost_user_inflight *in, int fd)
{
	return front_ack(f, VHOST_USER_SET_INFLIGHT_FD, in, sizeof(*in), &fd, fd < 0 ? 0 : 1);
}

int inflight_region_fd(uint64_t size)
{
	int fd = memfd_create("region", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_false(ftruncate(fd, (off_t)size));
	return fd;
}

/* ---- requests ---- */

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
