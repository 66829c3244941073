/* SPDX-License-Identifier: MIT */
/*
 * What a front end may not do.  After each: an answer that says no or a closed socket, no fd kept,
 * and the next front end is served.
 */
#include "server/vhost_user/rig_test.h"

#include "wire/virtio.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

struct bad {
	uint32_t request;
	const void *payload;
	uint32_t size;
	int fds[VHOST_USER_FDS_MAX];
	int n_fds;
};

static struct rig rig;

static int set_up(void **state)
{
	(void)state;
	rig_start(&rig);
	return 0;
}

/* The health check behind every case. */
static int tear_down(void **state)
{
	(void)state;
	rig_quiet(&rig);
	rig_healthy(&rig);
	rig_stop(&rig);
	return 0;
}

/* On a front end that has started, or only negotiated. */
static void open_at(struct front *f, bool started)
{
	front_open(f, &rig);
	if (started) {
		front_start(f);
	} else {
		front_negotiate(f);
		front_share_memory(f);
	}
}

/* A nack when asked for, and the connection goes on; else the connection is closed. */
static void refused_when(bool started, const struct bad *b)
{
	struct front f;

	open_at(&f, started);
	assert_int_equal(front_ack(&f, b->request, b->payload, b->size, b->fds, b->n_fds), 1);
	assert_true(front_alive(&f));
	if (started)
		front_echo(&f, 0);
	front_send(&f, b->request, FLAGS_PLAIN, b->payload, b->size, b->fds, b->n_fds);
	assert_true(front_closed(&f));
	front_close(&f);
}

static void refused(const struct bad *b)
{
	refused_when(false, b);
	refused_when(true, b);
}

static void refused_u64(uint32_t request, uint64_t v)
{
	refused(&(struct bad){request, &v, sizeof(v), {0}, 0});
}

static void refused_state(uint32_t request, uint32_t index, uint32_t num)
{
	struct vhost_user_vring_state s = {index, num};

	refused(&(struct bad){request, &s, sizeof(s), {0}, 0});
}

static void refused_fd(uint32_t request, uint64_t v, int fd)
{
	refused(&(struct bad){request, &v, sizeof(v), {fd}, 1});
}

/* Nothing that follows can be understood: closed even if an answer was asked for. */
static void closes(uint32_t request, uint32_t flags, const void *payload, uint32_t size)
{
	struct front f;

	open_at(&f, true);
	front_send(&f, request, flags, payload, size, NULL, 0);
	assert_true(front_closed(&f));
	front_close(&f);
}

/* ---- V-01: bytes ---- */

static void v_01_kb_75_header_cut_short(void **state)
{
	struct vhost_user_header h = {VHOST_USER_GET_FEATURES, FLAGS_PLAIN, 0};

	(void)state;
	for (size_t n = 1; n < sizeof(h); n++) {
		struct front f;

		open_at(&f, n % 2);
		front_write(&f, &h, n, NULL, 0);
		shutdown(f.sock, SHUT_WR);
		assert_true(front_closed(&f));
		front_close(&f);
	}
}

static void v_01_payload_cut_short(void **state)
{
	struct {
		struct vhost_user_header h;
		uint8_t payload[40];
	} msg = {{VHOST_USER_SET_VRING_ADDR, FLAGS_REPLY, 40}, {0}};

	(void)state;
	for (size_t n = sizeof(msg.h); n < sizeof(msg); n += 3) {
		struct front f;

		open_at(&f, false);
		/* fds that came with half a message are closed, too. */
		front_write(&f, &msg, n, &f.memfd, 1);
		front_close(&f);
		rig_quiet(&rig);
	}
}

static void v_01_kb_75_one_byte_at_a_time(void **state)
{
	struct {
		struct vhost_user_header h;
		struct vhost_user_mem_table table;
	} __attribute__((packed)) msg = {.h = {VHOST_USER_SET_MEM_TABLE, FLAGS_REPLY, 8 + 32}};
	struct vhost_user_header h;
	union vhost_user_payload reply;
	struct front f;

	(void)state;
	msg.table = front_table();
	open_at(&f, true);
	for (size_t i = 0; i < sizeof(msg.h) + 40; i++) {
		assert_true(front_write(&f, (char *)&msg + i, 1, &f.memfd, i == 0));
		rig_settle(&rig);
	}
	assert_true(front_recv(&f, &h, &reply));
	assert_int_equal(reply.u64, 0);
	front_echo(&f, 0);
	front_close(&f);
}

static void v_01_others_are_served_meanwhile(void **state)
{
	struct rig other;
	struct front half, f;

	(void)state;
	rig_start(&other);
	front_open(&half, &rig);
	front_write(&half, "\1\0\0\0\1", 5, NULL, 0);
	front_open(&f, &other);
	front_start(&f);
	front_echo(&f, 0);
	front_close(&half);
	front_close(&f);
	rig_quiet(&other);
	rig_end(&other);
}

static void v_01_messages_glued_together(void **state)
{
	struct {
		struct vhost_user_header h;
		uint64_t v;
	} __attribute__((packed)) msg[100];
	struct vhost_user_header h;
	union vhost_user_payload reply;
	struct front f;

	(void)state;
	open_at(&f, true);
	for (size_t i = 0; i < ARRAY_SIZE(msg); i++) {
		msg[i].h = (struct vhost_user_header){VHOST_USER_SET_FEATURES, FLAGS_REPLY, 8};
		msg[i].v = f.features;
	}
	assert_true(front_write(&f, msg, sizeof(msg), NULL, 0));
	for (size_t i = 0; i < ARRAY_SIZE(msg); i++) {
		assert_true(front_recv(&f, &h, &reply));
		assert_int_equal(h.request, VHOST_USER_SET_FEATURES);
		assert_int_equal(reply.u64, 0);
	}
	assert_true(front_alive(&f));
	front_close(&f);
}

/* ---- V-02, V-03: headers ---- */

static void v_02_kb_75_size_that_cannot_be(void **state)
{
	static const uint32_t sizes[] = {4097, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct vhost_user_header h = {VHOST_USER_SET_FEATURES, FLAGS_REPLY, sizes[i]};
		struct front f;

		open_at(&f, i % 2);
		front_write(&f, &h, sizeof(h), NULL, 0);
		assert_true(front_closed(&f));
		front_close(&f);
	}
}

static void v_02_size_wrong_for_the_request(void **state)
{
	static const uint8_t zeroes[4096];

	(void)state;
	for (uint32_t request = 0; request < VHOST_USER_REQUEST_MAX; request++) {
		const struct vhost_user_rule *rule = vhost_user_rule(request);

		if (!rule)
			continue;
		if (rule->size_min)
			closes(request, FLAGS_REPLY, zeroes, rule->size_min - 1u);
		closes(request, FLAGS_REPLY, zeroes, rule->size_max + 1u);
		closes(request, FLAGS_REPLY, zeroes, 4096);
	}
}

static void v_03_unknown_requests(void **state)
{
	static const uint32_t requests[] = {0,	19, 20, 22,  23,      26,	  27,	     28,
					    29, 30, 33, 35,  41,      42,	  43,	     44,
					    45, 46, 99, 255, 0x10001, 0x80000001, 0xffffffff};
	static const uint8_t payload[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		refused_when(false, &(struct bad){requests[i], payload, (uint32_t)i, {0}, 0});
}

static void v_03_version_and_reply_bits(void **state)
{
	(void)state;
	closes(VHOST_USER_GET_FEATURES, 0, NULL, 0);
	closes(VHOST_USER_GET_FEATURES, 2, NULL, 0);
	closes(VHOST_USER_GET_FEATURES, 3, NULL, 0);
	closes(VHOST_USER_GET_FEATURES, FLAGS_PLAIN | VHOST_USER_REPLY, NULL, 0);
	closes(VHOST_USER_GET_FEATURES, FLAGS_REPLY | VHOST_USER_REPLY, NULL, 0);
}

/* Each request answered once: with its own reply, or with an acknowledgement if that is on. */
static void kb_74_need_reply_on_everything(void **state)
{
	(void)state;
	for (int acks = 0; acks < 2; acks++) {
		struct vhost_user_header h;
		union vhost_user_payload reply;
		struct front f;

		front_open(&f, &rig);
		if (acks) {
			uint64_t v = BIT64(VHOST_USER_PROTOCOL_F_REPLY_ACK);

			assert_int_equal(front_ack_u64(&f, VHOST_USER_SET_PROTOCOL_FEATURES, v), 0);
		}
		for (int i = 0; i < 3; i++) {
			uint64_t features = BIT64(VIRTIO_F_VERSION_1);

			front_send(&f, VHOST_USER_SET_OWNER, FLAGS_REPLY, NULL, 0, NULL, 0);
			front_send(&f, VHOST_USER_RESET_OWNER, FLAGS_REPLY, NULL, 0, NULL, 0);
			front_send(&f, VHOST_USER_SET_FEATURES, FLAGS_REPLY, &features, 8, NULL, 0);
			front_send(&f, VHOST_USER_RESET_DEVICE, FLAGS_REPLY, NULL, 0, NULL, 0);
			front_send(&f, VHOST_USER_GET_FEATURES, FLAGS_REPLY, NULL, 0, NULL, 0);
			for (int n = acks ? 0 : 4; n < 5; n++) {
				assert_true(front_recv(&f, &h, &reply));
				assert_int_equal(h.flags, 5);
				if (n < 4)
					assert_int_equal(reply.u64, 0);
			}
			assert_int_equal(h.request, VHOST_USER_GET_FEATURES);
			assert_int_equal(reply.u64, OFFERED | PROTOCOL);
		}
		front_close(&f);
		rig_quiet(&rig);
	}
}

/* ---- V-04: fds ---- */

static void v_04_fds_where_none_are_taken(void **state)
{
	uint64_t features = BIT64(VIRTIO_F_VERSION_1) | PROTOCOL;
	struct bad b = {VHOST_USER_SET_FEATURES, &features, 8, {0}, 8};

	(void)state;
	for (int i = 0; i < 8; i++)
		b.fds[i] = STDIN_FILENO;
	refused(&b);
	b = (struct bad){VHOST_USER_SET_OWNER, NULL, 0, {STDIN_FILENO}, 1};
	refused(&b);
}

static void v_04_kb_66_more_fds_than_a_message_may_have(void **state)
{
	static const int counts[] = {9, 10, 64, 253};
	struct vhost_user_header h = {VHOST_USER_SET_OWNER, FLAGS_REPLY, 0};
	int fds[253];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = STDIN_FILENO;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		struct front f;

		open_at(&f, false);
		front_write(&f, &h, sizeof(h), fds, counts[i]);
		assert_true(front_closed(&f));
		front_close(&f);
		rig_quiet(&rig);
	}
}

/* A byte each with an fd: more than eight over one message. */
static void kb_66_fds_all_along_one_message(void **state)
{
	struct {
		struct vhost_user_header h;
		uint64_t v;
	} __attribute__((packed)) msg = {{VHOST_USER_SET_FEATURES, FLAGS_REPLY, 8}, 0};
	struct front f;

	(void)state;
	open_at(&f, false);
	for (size_t i = 0; i < sizeof(msg); i++)
		if (!front_write(&f, (char *)&msg + i, 1, &f.memfd, 1))
			break;
	assert_true(front_closed(&f));
	front_close(&f);
}

static void v_04_fds_missing(void **state)
{
	struct vhost_user_mem_reg reg = {.region = front_table().regions[0]};
	struct vhost_user_mem_table table = front_table();

	(void)state;
	reg.region.gpa += FRONT_MEM;
	reg.region.user += FRONT_MEM;
	refused_u64(VHOST_USER_SET_VRING_KICK, 0);
	refused_u64(VHOST_USER_SET_VRING_CALL, 0);
	refused_u64(VHOST_USER_SET_VRING_ERR, 0);
	refused_u64(VHOST_USER_SET_BACKEND_REQ_FD, 0);
	refused(&(struct bad){VHOST_USER_ADD_MEM_REG, &reg, sizeof(reg), {0}, 0});
	refused(&(struct bad){VHOST_USER_SET_MEM_TABLE, &table, 40, {0}, 0});
	refused(&(struct bad){VHOST_USER_SET_MEM_TABLE, &table, 40, {0, 0}, 2});
}

static void v_04_fds_of_the_wrong_kind(void **state)
{
	static const uint32_t requests[] = {VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_CALL,
					    VHOST_USER_SET_VRING_ERR};
	struct vhost_user_mem_table table = front_table();
	int directory = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int file = memfd_create("file", MFD_CLOEXEC);
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fds[] = {directory, null, file, sock};

	(void)state;
	rig.fds += 4;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		for (size_t r = 0; r < ARRAY_SIZE(requests); r++)
			refused_fd(requests[r], 0, fds[i]);
		refused(&(struct bad){VHOST_USER_SET_MEM_TABLE, &table, 40, {fds[i]}, 1});
		if (fds[i] != sock)
			refused_fd(VHOST_USER_SET_BACKEND_REQ_FD, 0, fds[i]);
		close(fds[i]);
		rig.fds--;
	}
}

/* The bit that says there is none, and one all the same. */
static void v_04_no_fd_and_an_fd(void **state)
{
	(void)state;
	refused_fd(VHOST_USER_SET_VRING_CALL, VHOST_USER_VRING_NOFD, STDIN_FILENO);
	refused_fd(VHOST_USER_SET_VRING_KICK, VHOST_USER_VRING_NOFD, STDIN_FILENO);
}

/* ---- V-05, V-06: memory ---- */

static void refused_region(const struct vhost_user_region *r, int fd)
{
	struct vhost_user_mem_table table = {.n = 1, .regions = {*r}};
	struct vhost_user_mem_reg reg = {.region = *r};

	refused(&(struct bad){VHOST_USER_SET_MEM_TABLE, &table, 40, {fd}, 1});
	refused(&(struct bad){VHOST_USER_ADD_MEM_REG, &reg, sizeof(reg), {fd}, 1});
}

static void v_05_regions_that_cannot_be(void **state)
{
	struct vhost_user_region good = front_table().regions[0], r;
	int fd = memfd_create("region", MFD_CLOEXEC);

	(void)state;
	rig.fds++;
	assert_false(ftruncate(fd, FRONT_MEM));
	good.gpa += FRONT_MEM;
	good.user += FRONT_MEM;
	r = good, r.size = 0, refused_region(&r, fd);
	r = good, r.size = UINT64_MAX, refused_region(&r, fd);
	r = good, r.gpa = UINT64_MAX - 0xfff, refused_region(&r, fd);
	r = good, r.user = UINT64_MAX - 0xfff, refused_region(&r, fd);
	r = good, r.offset = 0x1000, refused_region(&r, fd);
	r = good, r.offset = FRONT_MEM, refused_region(&r, fd);
	r = good, r.offset = UINT64_MAX, refused_region(&r, fd);
	r = good, r.offset = UINT64_MAX - r.size + 1, refused_region(&r, fd);
	r = good, r.size = FRONT_MEM + 1, refused_region(&r, fd);
	close(fd);
	rig.fds--;
}

static void kb_67_memory_that_cannot_be_written(void **state)
{
	struct vhost_user_region r = front_table().regions[0];
	char path[] = "/proc/self/fd/00000000";
	int fd = memfd_create("region", MFD_CLOEXEC), readonly;

	(void)state;
	assert_false(ftruncate(fd, FRONT_MEM));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	readonly = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(readonly >= 0);
	rig.fds += 2;
	r.gpa += FRONT_MEM;
	r.user += FRONT_MEM;
	refused_region(&r, readonly);
	close(readonly);
	close(fd);
	rig.fds -= 2;
}

static void kb_67_tables_that_cannot_be(void **state)
{
	static const uint32_t counts[] = {0, 9, 10, 255, 0x10000001, 0xffffffff};
	struct vhost_user_mem_table t = front_table();
	struct bad b = {VHOST_USER_SET_MEM_TABLE, &t, sizeof(t), {0}, VHOST_USER_FDS_MAX};
	int fd = memfd_create("region", MFD_CLOEXEC);

	(void)state;
	rig.fds++;
	assert_false(ftruncate(fd, FRONT_MEM));
	for (int i = 0; i < VHOST_USER_FDS_MAX; i++)
		b.fds[i] = fd;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		t.n = counts[i];
		refused(&b);
	}
	/* Two regions at the same guest address, at the same address of the front end, and more
	 * regions than payload. */
	t = front_table();
	t.n = 2;
	t.regions[1] = t.regions[0];
	b.n_fds = 2;
	b.size = 8 + 64;
	t.regions[1].user += FRONT_MEM;
	t.regions[1].gpa += FRONT_MEM - 1;
	refused(&b);
	t.regions[1] = t.regions[0];
	t.regions[1].gpa += FRONT_MEM;
	t.regions[1].user -= 1;
	refused(&b);
	t.regions[1].user += 1 + FRONT_MEM;
	b.size = 8 + 32;
	refused(&b);
	close(fd);
	rig.fds--;
}

static void v_06_slots_that_cannot_be(void **state)
{
	struct vhost_user_mem_reg reg = {.region = front_table().regions[0]};
	int fd = memfd_create("region", MFD_CLOEXEC);
	struct front f;

	(void)state;
	rig.fds++;
	assert_false(ftruncate(fd, FRONT_MEM));
	refused(&(struct bad){VHOST_USER_ADD_MEM_REG, &reg, sizeof(reg), {fd}, 1});
	reg.region.gpa += 0x1000;
	refused(&(struct bad){VHOST_USER_REM_MEM_REG, &reg, sizeof(reg), {fd}, 1});
	reg.region.gpa -= 0x1000;
	reg.region.size -= 1;
	refused(&(struct bad){VHOST_USER_REM_MEM_REG, &reg, sizeof(reg), {0}, 0});

	/* As many as there are slots, and one more. */
	front_open(&f, &rig);
	front_negotiate(&f);
	reg.region.size = 0x1000;
	for (int i = 0; i <= GMEM_REGIONS_MAX; i++) {
		reg.region.gpa = FRONT_GPA + (uint64_t)i * 0x1000;
		reg.region.user = FRONT_USER + (uint64_t)i * 0x1000;
		assert_int_equal(front_ack(&f, VHOST_USER_ADD_MEM_REG, &reg, sizeof(reg), &fd, 1),
				 i == GMEM_REGIONS_MAX);
	}
	assert_true(front_alive(&f));
	front_close(&f);
	close(fd);
	rig.fds--;
}

static void v_06_a_region_in_use_is_drained_first(void **state)
{
	struct vhost_user_mem_reg reg = {.region = front_table().regions[0]};
	struct vhost_user_header h;
	union vhost_user_payload reply;
	struct front f;

	(void)state;
	open_at(&f, true);
	echo_mode(&rig, ECHO_HOLD);
	front_submit(&f, 0, 8);
	front_kick(&f, 0);
	echo_wait_popped(&rig, 8);
	front_send(&f, VHOST_USER_REM_MEM_REG, FLAGS_REPLY, &reg, sizeof(reg), NULL, 0);
	rig_settle(&rig);
	assert_int_equal(recv(f.sock, &h, 1, MSG_DONTWAIT), -1);
	echo_release(&rig);
	assert_true(front_recv(&f, &h, &reply));
	assert_int_equal(reply.u64, 0);
	front_complete(&f, 0, 8);
	assert_true(front_alive(&f));
	front_close(&f);
}

/* The rings are not in the new table: they break, the connection does not. */
static void kb_68_a_table_without_the_rings(void **state)
{
	struct vhost_user_mem_table t = front_table();
	struct front f;
	int err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct pollfd p = {.fd = err, .events = POLLIN};

	(void)state;
	rig.fds++;
	open_at(&f, true);
	assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_ERR, 0, err), 0);
	t.regions[0].gpa += UINT64_C(1) << 32;
	assert_int_equal(front_ack(&f, VHOST_USER_SET_MEM_TABLE, &t, 40, &f.memfd, 1), 0);
	assert_int_equal(poll(&p, 1, PATIENCE_S * 1000), 1);
	assert_int_equal(front_get_u64(&f, VHOST_USER_GET_STATUS) & VIRTIO_STATUS_NEEDS_RESET,
			 VIRTIO_STATUS_NEEDS_RESET);
	/* Stopped, given its memory again and started again, it works. */
	assert_int_equal(front_get_base(&f, 0), 0);
	front_share_memory(&f);
	assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_KICK, 0, f.rings[0].kick), 0);
	front_echo(&f, 0);
	front_close(&f);
	close(err);
	rig.fds--;
}

static void v_14_memory_cut_short_under_us(void **state)
{
	struct front f;
	int err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct pollfd p = {.fd = err, .events = POLLIN};

	(void)state;
	/* Here, because cmocka has a handler of its own for each test. */
	assert_int_equal(gmem_guard_install(NULL), 0);
	rig.fds++;
	open_at(&f, true);
	assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_ERR, 0, err), 0);
	front_submit(&f, 0, 1);
	assert_false(ftruncate(f.memfd, 0));
	assert_int_equal(write(f.rings[0].kick, &(uint64_t){1}, 8), 8);
	assert_int_equal(poll(&p, 1, PATIENCE_S * 1000), 1);
	assert_true(front_alive(&f));
	front_close(&f);
	close(err);
	rig.fds--;
}

/* ---- V-07: rings ---- */

static void kb_63_queues_that_do_not_exist(void **state)
{
	static const uint32_t indexes[] = {QUEUES, 0xff, 0x100, 0x10000, 0x80000000, 0xffffffff};
	int fd = eventfd(0, EFD_CLOEXEC);

	(void)state;
	rig.fds++;
	for (size_t i = 0; i < ARRAY_SIZE(indexes); i++) {
		uint32_t index = indexes[i];
		struct vhost_user_vring_addr addr = front_ring_addr(0);
		struct vhost_user_vring_state s = {index, 0};
		uint64_t v = index == 0x100 ? 0x200 : index;

		addr.index = index;
		refused_state(VHOST_USER_SET_VRING_NUM, index, 64);
		refused_state(VHOST_USER_SET_VRING_BASE, index, 0);
		refused_state(VHOST_USER_SET_VRING_ENABLE, index, 1);
		refused(&(struct bad){VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), {0}, 0});
		refused_fd(VHOST_USER_SET_VRING_KICK, v & ~UINT64_C(0x100), fd);
		refused_fd(VHOST_USER_SET_VRING_CALL, v & ~UINT64_C(0x100), fd);
		refused_fd(VHOST_USER_SET_VRING_ERR, v & ~UINT64_C(0x100), fd);
		/* Its reply has no way to say no. */
		closes(VHOST_USER_GET_VRING_BASE, FLAGS_REPLY, &s, sizeof(s));
	}
	refused_fd(VHOST_USER_SET_VRING_CALL, UINT64_C(1) << 32, fd);
	close(fd);
	rig.fds--;
}

static void v_07_sizes_that_cannot_be(void **state)
{
	(void)state;
	refused_state(VHOST_USER_SET_VRING_NUM, 0, 0);
	refused_state(VHOST_USER_SET_VRING_NUM, 0, 32769);
	refused_state(VHOST_USER_SET_VRING_NUM, 0, 65536 + 64);
	refused_state(VHOST_USER_SET_VRING_NUM, 0, 0xffffffff);
	refused_state(VHOST_USER_SET_VRING_ENABLE, 0, 2);
}

/* Said in good order, and wrong only together: refused where the ring would start. */
static void no_start(uint32_t num, uint32_t base, const struct vhost_user_vring_addr *addr)
{
	struct front f;

	front_open(&f, &rig);
	front_negotiate(&f);
	front_share_memory(&f);
	if (num)
		assert_int_equal(front_ack_state(&f, VHOST_USER_SET_VRING_NUM, 0, num), 0);
	assert_int_equal(front_ack_state(&f, VHOST_USER_SET_VRING_BASE, 0, base), 0);
	if (addr)
		assert_int_equal(
			front_ack(&f, VHOST_USER_SET_VRING_ADDR, addr, sizeof(*addr), NULL, 0), 0);
	assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_KICK, 0, f.rings[0].kick), 1);
	/* And it can be mended. */
	front_ring_setup(&f, 0);
	front_ring_start(&f, 0);
	front_ring_enable(&f, 0);
	front_echo(&f, 0);
	front_close(&f);
	rig_quiet(&rig);
}

static void v_07_rings_that_cannot_start(void **state)
{
	struct vhost_user_vring_addr good = front_ring_addr(0), a;

	(void)state;
	no_start(0, 0, &good);
	no_start(64, 0, NULL);
	no_start(3, 0, &good);
	no_start(64, 65536, &good);
	no_start(64, 0xffffffff, &good);
	a = good, a.desc += 8, no_start(64, 0, &a);
	a = good, a.avail += 1, no_start(64, 0, &a);
	a = good, a.used += 2, no_start(64, 0, &a);
	a = good, a.desc = 0, no_start(64, 0, &a);
	a = good, a.desc = FRONT_USER + FRONT_MEM - 16, no_start(64, 0, &a);
	a = good, a.used = UINT64_MAX - 3, no_start(64, 0, &a);
	a = good, a.avail = FRONT_GPA, no_start(64, 0, &a);
	a = good, a.desc += FRONT_MEM - 0x40000, no_start(32768, 0, &a);
}

static void v_07_kick_before_memory(void **state)
{
	struct vhost_user_vring_addr addr = front_ring_addr(0);
	struct front f;

	(void)state;
	front_open(&f, &rig);
	front_negotiate(&f);
	assert_int_equal(front_ack_state(&f, VHOST_USER_SET_VRING_NUM, 0, RING_NUM), 0);
	assert_int_equal(front_ack(&f, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 0);
	assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_KICK, 0, f.rings[0].kick), 1);
	front_share_memory(&f);
	front_ring_setup(&f, 0);
	front_ring_start(&f, 0);
	front_ring_enable(&f, 0);
	front_echo(&f, 0);
	front_close(&f);
}

static void kb_68_a_running_ring_stays_as_it_is(void **state)
{
	struct vhost_user_vring_addr addr = front_ring_addr(0);
	struct front f;

	(void)state;
	open_at(&f, true);
	assert_int_equal(front_ack_state(&f, VHOST_USER_SET_VRING_NUM, 0, RING_NUM), 0);
	assert_int_equal(front_ack_state(&f, VHOST_USER_SET_VRING_NUM, 0, 2 * RING_NUM), 1);
	assert_int_equal(front_ack_state(&f, VHOST_USER_SET_VRING_BASE, 0, 5), 1);
	addr.desc = 0x1000;
	assert_int_equal(front_ack(&f, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 1);
	addr = front_ring_addr(0);
	addr.flags = 2;
	assert_int_equal(front_ack(&f, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 1);
	front_echo(&f, 0);
	front_close(&f);
}

/* The guest breaks one ring: the others, and the connection, go on; stopped and started, it heals.
 */
static void a_broken_ring_is_signalled_and_heals(void **state)
{
	struct front f;
	int err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct pollfd p = {.fd = err, .events = POLLIN};

	(void)state;
	rig.fds++;
	open_at(&f, true);
	assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_ERR, 0, err), 0);
	*(uint16_t *)(void *)(f.mem + 0x1002) = 1000; /* avail.idx */
	assert_int_equal(write(f.rings[0].kick, &(uint64_t){1}, 8), 8);
	assert_int_equal(poll(&p, 1, PATIENCE_S * 1000), 1);
	front_echo(&f, 1);
	front_echo(&f, 2);
	assert_int_equal(front_get_base(&f, 0), 0);
	front_ring_setup(&f, 0);
	front_ring_start(&f, 0);
	front_echo(&f, 0);
	front_close(&f);
	close(err);
	rig.fds--;
}

static void kb_69_a_million_kicks_on_an_empty_ring(void **state)
{
	uint64_t one = 1;
	struct front f;

	(void)state;
	open_at(&f, true);
	for (int i = 0; i < 1000000; i++)
		assert_int_equal(write(f.rings[0].kick, &one, sizeof(one)), sizeof(one));
	front_echo(&f, 0);
	front_close(&f);
}

static void kb_69_a_kick_fd_that_is_a_closed_pipe(void **state)
{
	int fds[2];

	(void)state;
	assert_false(pipe2(fds, O_CLOEXEC));
	close(fds[1]);
	rig.fds++;
	refused_fd(VHOST_USER_SET_VRING_KICK, 0, fds[0]);
	close(fds[0]);
	rig.fds--;
}

/* ---- V-08: features ---- */

static void v_08_features_never_offered(void **state)
{
	(void)state;
	refused_u64(VHOST_USER_SET_FEATURES, ~UINT64_C(0));
	refused_u64(VHOST_USER_SET_FEATURES, BIT64(VIRTIO_F_VERSION_1) | BIT64(VHOST_F_LOG_ALL));
	refused_u64(VHOST_USER_SET_FEATURES,
		    BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_F_ACCESS_PLATFORM));
	refused_u64(VHOST_USER_SET_FEATURES, BIT64(VIRTIO_F_RING_PACKED)); /* without its ground */
	refused_u64(VHOST_USER_SET_PROTOCOL_FEATURES, BIT64(1));
	refused_u64(VHOST_USER_SET_PROTOCOL_FEATURES, ~UINT64_C(0));
	refused_u64(VHOST_USER_SET_STATUS, 0x100);
}

static void v_08_features_while_rings_run(void **state)
{
	struct front f;

	(void)state;
	open_at(&f, true);
	assert_int_equal(front_ack_u64(&f, VHOST_USER_SET_FEATURES,
				       f.features | BIT64(VIRTIO_F_RING_PACKED)),
			 1);
	front_echo(&f, 0);
	front_close(&f);
}

/* ---- V-09: config space ---- */

static void v_09_config_that_cannot_be_read(void **state)
{
	static const uint32_t ranges[][2] = {
		{0, 0}, {0, 257}, {256, 1}, {255, 2}, {1, 256}, {0xffffffff, 2}, {2, 0xffffffff},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		struct vhost_user_config c = {.offset = ranges[i][0], .size = ranges[i][1]};
		struct vhost_user_header h;
		union vhost_user_payload reply;
		struct front f;

		open_at(&f, true);
		front_send(&f, VHOST_USER_GET_CONFIG, FLAGS_REPLY, &c, sizeof(c), NULL, 0);
		assert_true(front_recv(&f, &h, &reply));
		assert_int_equal(h.request, VHOST_USER_GET_CONFIG);
		assert_int_equal(h.size, 0);
		assert_true(front_alive(&f));
		front_close(&f);
	}
}

static void v_09_config_that_cannot_be_written(void **state)
{
	static const struct vhost_user_config bad[] = {
		{.offset = 0, .size = 1},
		{.offset = CONFIG_WRITABLE, .size = 2},
		{.offset = CONFIG_WRITABLE, .size = 1, .data = {7}},
		{.offset = CONFIG_WRITABLE, .size = 0},
		{.offset = CONFIG_LEN, .size = 1},
		{.offset = CONFIG_LEN - 1, .size = 2, .flags = 1},
		{.offset = 0, .size = 257},
		{.offset = 0xffffffff, .size = 2},
		{.offset = 2, .size = 0xffffffff},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		refused(&(struct bad){VHOST_USER_SET_CONFIG, &bad[i], sizeof(bad[i]), {0}, 0});
}

/* ---- V-12, V-13, KB-61 to 65 ---- */

static void v_12_kb_75_a_peer_that_never_reads(void **state)
{
	struct vhost_user_header ask[64];
	struct rig other;
	struct front deaf, f;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ask); i++)
		ask[i] = (struct vhost_user_header){VHOST_USER_GET_FEATURES, FLAGS_REPLY, 0};
	rig_start(&other);
	front_open(&deaf, &rig);
	while (send(deaf.sock, ask, sizeof(ask), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		rig_settle(&rig);
	front_open(&f, &other);
	front_start(&f);
	front_echo(&f, 0);
	front_close(&deaf);
	front_close(&f);
	rig_quiet(&other);
	rig_end(&other);
}

/* It reads in the end: nothing was lost. */
static void v_12_replies_wait_for_a_slow_reader(void **state)
{
	struct vhost_user_header ask = {VHOST_USER_GET_FEATURES, FLAGS_REPLY, 0}, h;
	union vhost_user_payload reply;
	unsigned asked = 0;
	struct front f;

	(void)state;
	front_open(&f, &rig);
	while (send(f.sock, &ask, sizeof(ask), MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(ask)) {
		asked++;
		if (asked % 64 == 0)
			rig_settle(&rig);
	}
	for (unsigned i = 0; i < asked; i++) {
		assert_true(front_recv(&f, &h, &reply));
		assert_int_equal(h.request, VHOST_USER_GET_FEATURES);
		assert_int_equal(reply.u64, OFFERED | PROTOCOL);
	}
	front_close(&f);
}

static void v_13_a_call_fd_that_is_full(void **state)
{
	int call = eventfd(0, EFD_CLOEXEC), fds[2];
	struct front f;

	(void)state;
	assert_int_equal(write(call, &(uint64_t){UINT64_MAX - 1}, 8), 8);
	assert_false(pipe2(fds, O_CLOEXEC));
	close(fds[0]);
	rig.fds += 2;
	open_at(&f, true);
	assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_CALL, 0, call), 0);
	assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_CALL, 1, fds[1]), 0);
	front_submit(&f, 0, 4);
	front_kick(&f, 0);
	front_submit(&f, 1, 4);
	front_kick(&f, 1);
	echo_wait_popped(&rig, 8);
	rig_settle(&rig);
	front_echo(&f, 2); /* of the same worker */
	assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_CALL, 0, f.rings[0].call), 0);
	front_complete(&f, 0, 4);
	front_close(&f);
	close(call);
	close(fds[1]);
	rig.fds -= 2;
}

static void kb_61_the_same_message_again_and_again(void **state)
{
	static const uint32_t requests[] = {VHOST_USER_SET_VRING_CALL, VHOST_USER_SET_VRING_KICK,
					    VHOST_USER_SET_VRING_ERR};
	struct vhost_user_vring_state s = {0, RING_NUM};
	struct front f;

	(void)state;
	open_at(&f, true);
	for (int i = 0; i < 100000; i++)
		front_send(&f, VHOST_USER_SET_VRING_NUM, FLAGS_PLAIN, &s, sizeof(s), NULL, 0);
	for (int i = 0; i < 3000; i++)
		front_send(&f, requests[i % 3], FLAGS_PLAIN, &(uint64_t){0}, 8, &f.rings[0].call,
			   1);
	for (int i = 0; i < 50; i++) {
		int pair[2];

		assert_false(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
		assert_int_equal(front_ack(&f, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, pair, 1), 0);
		close(pair[0]);
		close(pair[1]);
	}
	assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_KICK, 0, f.rings[0].kick), 0);
	front_echo(&f, 0);
	front_close(&f);
}

/* What is not offered is not known, whatever is in it. */
static void kb_62_64_65_logs_and_inflight_areas(void **state)
{
	struct vhost_user_log log = {UINT64_MAX, UINT64_MAX};
	struct vhost_user_inflight inflight = {UINT64_MAX, 1, 65535, 65535};
	int fd = memfd_create("area", MFD_CLOEXEC);

	(void)state;
	rig.fds++;
	refused(&(struct bad){VHOST_USER_SET_LOG_BASE, &log, sizeof(log), {fd}, 1});
	refused(&(struct bad){VHOST_USER_SET_LOG_FD, NULL, 0, {fd}, 1});
	/* A request with an answer of its own has none that says no. */
	for (int i = 0; i < 20; i++)
		closes(VHOST_USER_GET_INFLIGHT_FD, FLAGS_PLAIN, &inflight, 20);
	refused(&(struct bad){VHOST_USER_SET_INFLIGHT_FD, &inflight, 20, {fd}, 1});
	close(fd);
	rig.fds--;
}

/* ---- everything at once ---- */

static uint32_t next_random(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x;
}

/* A number that means something somewhere, or none. */
static uint64_t some_number(uint32_t *x)
{
	static const uint64_t known[] = {0,
					 1,
					 2,
					 QUEUES,
					 8,
					 RING_NUM,
					 0x100,
					 0x101,
					 0x1000,
					 32768,
					 0xffff,
					 0x10000,
					 FRONT_MEM,
					 FRONT_GPA,
					 FRONT_USER,
					 FRONT_USER + 0x1000,
					 FRONT_USER + 0x2000,
					 FRONT_USER + FRONT_MEM - 64,
					 BIT64(VIRTIO_F_VERSION_1),
					 BIT64(VIRTIO_F_VERSION_1) | PROTOCOL,
					 BIT64(VHOST_USER_PROTOCOL_F_REPLY_ACK),
					 UINT32_MAX,
					 UINT64_MAX - 0xfff,
					 UINT64_MAX};
	uint32_t n = next_random(x) % (ARRAY_SIZE(known) + 1);

	return n < ARRAY_SIZE(known) ? known[n] : (uint64_t)next_random(x) << 32 | next_random(x);
}

static void random_message(struct front *f, uint32_t *x)
{
	uint32_t request = next_random(x) % VHOST_USER_REQUEST_MAX, size, words;
	const struct vhost_user_rule *rule = vhost_user_rule(request);
	uint64_t payload[64];
	int fds[VHOST_USER_FDS_MAX], n_fds = 0;

	if (!rule)
		return; /* it would only end the connection */
	size = rule->size_min;
	if (rule->size_max > rule->size_min)
		size += next_random(x) % (rule->size_max - rule->size_min + 1u);
	for (words = 0; words < ARRAY_SIZE(payload); words++)
		payload[words] = words % 2 ? some_number(x)
					   : some_number(x) << 32 | (uint32_t)some_number(x);
	if (next_random(x) % 2)
		payload[0] = next_random(x) % (QUEUES + 1);
	while (n_fds < rule->fds_max && next_random(x) % 8)
		fds[n_fds++] = next_random(x) % 4 ? f->rings[0].kick : f->memfd;
	if (request == VHOST_USER_SET_MEM_TABLE || request == VHOST_USER_ADD_MEM_REG)
		for (int i = 0; i < n_fds; i++)
			fds[i] = f->memfd;
	front_send(f, request, next_random(x) % 4 ? FLAGS_REPLY : FLAGS_PLAIN, payload, size, fds,
		   n_fds);
}

/* Messages of the right form and no sense, thrown in between those of a usual start. */
static void messages_at_random(void **state)
{
	uint32_t x = 1;

	(void)state;
	echo_mode(&rig, ECHO_DELAY);
	for (int round = 0; round < 600; round++) {
		uint32_t until = next_random(&x) % 40;
		struct vhost_user_vring_addr addr = front_ring_addr(0);
		struct vhost_user_vring_state size = {0, RING_NUM};
		struct vhost_user_mem_table table = front_table();
		uint64_t v = BIT64(VHOST_USER_PROTOCOL_F_REPLY_ACK);
		struct front f;

		front_open(&f, &rig);
		front_ring_setup(&f, 0);
		front_submit(&f, 0, 8);
		front_send(&f, VHOST_USER_SET_PROTOCOL_FEATURES, FLAGS_PLAIN, &v, 8, NULL, 0);
		for (uint32_t i = 0; i < until; i++) {
			random_message(&f, &x);
			if (i == 5)
				front_send(&f, VHOST_USER_SET_MEM_TABLE, FLAGS_REPLY, &table, 40,
					   &f.memfd, 1);
			if (i == 8)
				front_send(&f, VHOST_USER_SET_VRING_NUM, FLAGS_REPLY, &size,
					   sizeof(size), NULL, 0);
			if (i == 9)
				front_send(&f, VHOST_USER_SET_VRING_ADDR, FLAGS_REPLY, &addr,
					   sizeof(addr), NULL, 0);
			if (i == 12)
				front_send(&f, VHOST_USER_SET_VRING_KICK, FLAGS_REPLY,
					   &(uint64_t){0}, 8, &f.rings[0].kick, 1);
			if (i == 14)
				front_send(&f, VHOST_USER_SET_VRING_ENABLE, FLAGS_REPLY,
					   &(struct vhost_user_vring_state){0, 1}, 8, NULL, 0);
		}
		front_close(&f);
	}
	echo_mode(&rig, ECHO_AT_ONCE);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(v_01_kb_75_header_cut_short),
		CASE(v_01_payload_cut_short),
		CASE(v_01_kb_75_one_byte_at_a_time),
		CASE(v_01_others_are_served_meanwhile),
		CASE(v_01_messages_glued_together),
		CASE(v_02_kb_75_size_that_cannot_be),
		CASE(v_02_size_wrong_for_the_request),
		CASE(v_03_unknown_requests),
		CASE(v_03_version_and_reply_bits),
		CASE(kb_74_need_reply_on_everything),
		CASE(v_04_fds_where_none_are_taken),
		CASE(v_04_kb_66_more_fds_than_a_message_may_have),
		CASE(kb_66_fds_all_along_one_message),
		CASE(v_04_fds_missing),
		CASE(v_04_fds_of_the_wrong_kind),
		CASE(v_04_no_fd_and_an_fd),
		CASE(v_05_regions_that_cannot_be),
		CASE(kb_67_memory_that_cannot_be_written),
		CASE(kb_67_tables_that_cannot_be),
		CASE(v_06_slots_that_cannot_be),
		CASE(v_06_a_region_in_use_is_drained_first),
		CASE(kb_68_a_table_without_the_rings),
		CASE(v_14_memory_cut_short_under_us),
		CASE(kb_63_queues_that_do_not_exist),
		CASE(v_07_sizes_that_cannot_be),
		CASE(v_07_rings_that_cannot_start),
		CASE(v_07_kick_before_memory),
		CASE(kb_68_a_running_ring_stays_as_it_is),
		CASE(a_broken_ring_is_signalled_and_heals),
		CASE(kb_69_a_million_kicks_on_an_empty_ring),
		CASE(kb_69_a_kick_fd_that_is_a_closed_pipe),
		CASE(v_08_features_never_offered),
		CASE(v_08_features_while_rings_run),
		CASE(v_09_config_that_cannot_be_read),
		CASE(v_09_config_that_cannot_be_written),
		CASE(v_12_kb_75_a_peer_that_never_reads),
		CASE(v_12_replies_wait_for_a_slow_reader),
		CASE(v_13_a_call_fd_that_is_full),
		CASE(kb_61_the_same_message_again_and_again),
		CASE(kb_62_64_65_logs_and_inflight_areas),
		CASE(messages_at_random),
	};

	signal(SIGPIPE, SIG_IGN);
	rig_setup();
	return cmocka_run_group_tests_name("server/vhost_user/bad", tests, NULL, NULL);
}
