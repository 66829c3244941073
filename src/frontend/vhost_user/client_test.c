/* SPDX-License-Identifier: MIT */
/* The vhost-user client: the order of its messages, memory, configuration. */
#include "frontend/vhost_user/back_test.h"

#include "frontend/virtio/vdriver.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the order of things ---- */

static void handshake_in_order(void **state)
{
	static const uint32_t want[] = {
		VHOST_USER_GET_FEATURES,
		VHOST_USER_GET_PROTOCOL_FEATURES,
		VHOST_USER_SET_PROTOCOL_FEATURES,
		VHOST_USER_GET_QUEUE_NUM,
		VHOST_USER_GET_MAX_MEM_SLOTS,
		VHOST_USER_SET_BACKEND_REQ_FD,
		VHOST_USER_SET_OWNER,
	};
	struct transport *t;
	struct back b;

	(void)state;
	back_init(&b);
	assert_int_equal(adopt(&b, &t), 0);
	expect(&b, 0, want, ARRAY_SIZE(want));
	/* Nothing is agreed on that the client does not know. */
	assert_int_equal(b.agreed, ALL_PROTOCOL);
	/* The answer to SET_PROTOCOL_FEATURES would come before acks are agreed on. */
	assert_false(b.seen[2].flags & VHOST_USER_NEED_REPLY);
	assert_true(b.seen[5].flags & VHOST_USER_NEED_REPLY);
	assert_int_equal(b.seen[5].fds, 1);
	for (unsigned i = 0; i < b.n; i++)
		assert_int_equal(b.seen[i].flags & VHOST_USER_VERSION_MASK, 1);
	assert_int_equal(t->regions_max, 32);
	assert_true(t->mem_while_running);
	t->ops->destroy(t);
	back_end(&b);
}

static void back_end_without_any_protocol_feature(void **state)
{
	static const uint32_t want[] = {VHOST_USER_GET_FEATURES, VHOST_USER_SET_OWNER};
	struct transport *t;
	struct back b;
	uint32_t g;
	uint16_t max;

	(void)state;
	back_init(&b);
	b.features = BIT64(VIRTIO_F_VERSION_1);
	assert_int_equal(adopt(&b, &t), 0);
	assert_int_equal(t->regions_max, 8);
	assert_false(t->mem_while_running);
	assert_int_equal(t->ops->config_generation(t, &g, NULL), -ENOTSUP);
	assert_int_equal(t->ops->queue_max(t, 0, &max, NULL), 0);
	assert_true(max > 0);
	assert_int_equal(t->ops->queue_max(t, 1, &max, NULL), 0);
	assert_int_equal(max, 0);
	t->ops->destroy(t);
	back_end(&b);
	expect(&b, 0, want, ARRAY_SIZE(want));
}

static void queue_in_order(void **state)
{
	static const uint32_t want[] = {
		VHOST_USER_SET_VRING_NUM,    VHOST_USER_SET_VRING_BASE, VHOST_USER_SET_VRING_ADDR,
		VHOST_USER_SET_VRING_ERR,    VHOST_USER_SET_VRING_CALL, VHOST_USER_SET_VRING_KICK,
		VHOST_USER_SET_VRING_ENABLE,
	};
	static const uint32_t stop[] = {VHOST_USER_SET_VRING_ENABLE, VHOST_USER_GET_VRING_BASE,
					VHOST_USER_RESET_DEVICE, VHOST_USER_SET_STATUS,
					VHOST_USER_GET_STATUS};
	struct transport_queue q = {.index = 2, .num = 64, .packed = true};
	struct transport *t;
	struct back b;
	eventfd_t n;
	uint8_t status;
	unsigned at;

	(void)state;
	back_init(&b);
	assert_int_equal(adopt(&b, &t), 0);
	at = b.n;
	q.call_fd = eventfd(0, EFD_CLOEXEC);
	q.desc = (void *)0x10000;
	q.driver = (void *)0x20000;
	q.device = (void *)0x30000;
	assert_int_equal(t->ops->queue_setup(t, &q, NULL), 0);
	assert_int_equal(t->ops->queue_enable(t, 2, NULL), 0);
	expect(&b, at, want, ARRAY_SIZE(want));
	assert_int_equal(b.seen[at].p.state.index, 2);
	assert_int_equal(b.seen[at].p.state.num, 64);
	assert_int_equal(b.seen[at + 1].p.state.num, 0x80008000u);
	assert_int_equal(b.seen[at + 2].p.addr.desc, 0x10000);
	assert_int_equal(b.seen[at + 2].p.addr.avail, 0x20000);
	assert_int_equal(b.seen[at + 2].p.addr.used, 0x30000);
	assert_int_equal(b.seen[at + 2].p.addr.flags, 0);
	for (unsigned i = 3; i < 6; i++) {
		assert_int_equal(b.seen[at + i].p.u64, 2);
		assert_int_equal(b.seen[at + i].fds, 1);
	}
	assert_int_equal(b.seen[at + 6].p.state.num, 1);

	t->ops->kick(t, 2, 0);
	assert_int_equal(eventfd_read(b.kick_fd, &n), 0);
	assert_int_equal(n, 1);
	/* An error of the ring wants a reset. */
	assert_int_equal(eventfd_write(b.err_fd, 1), 0);
	assert_int_equal(t->ops->process(t), TRANSPORT_EVENT_STATUS);
	assert_int_equal(t->ops->process(t), 0);
	assert_int_equal(t->ops->get_status(t, &status, NULL), 0);
	assert_true(status & VIRTIO_STATUS_NEEDS_RESET);

	at = b.n;
	assert_int_equal(t->ops->set_status(t, 0, NULL), 0);
	assert_int_equal(t->ops->get_status(t, &status, NULL), 0);
	assert_int_equal(status, 0);
	expect(&b, at, stop, ARRAY_SIZE(stop));
	assert_int_equal(b.seen[at].p.state.num, 0);

	q.index = 4;
	assert_int_equal(t->ops->queue_setup(t, &q, NULL), -EINVAL);
	t->ops->destroy(t);
	close(q.call_fd);
	back_end(&b);
}

static void status_is_kept_here_where_there_is_none(void **state)
{
	struct transport *t;
	struct back b;
	uint8_t status;
	unsigned at;

	(void)state;
	back_init(&b);
	b.protocol = P(REPLY_ACK) | P(CONFIG);
	assert_int_equal(adopt(&b, &t), 0);
	at = b.n;
	assert_int_equal(t->ops->set_status(t, 3, NULL), 0);
	assert_int_equal(t->ops->get_status(t, &status, NULL), 0);
	assert_int_equal(status, 3);
	assert_int_equal(b.n, at);
	t->ops->destroy(t);
	back_end(&b);
}

static void features_carry_the_protocol_bit(void **state)
{
	struct transport *t;
	struct back b;
	uint64_t features;

	(void)state;
	back_init(&b);
	assert_int_equal(adopt(&b, &t), 0);
	assert_int_equal(t->ops->get_features(t, &features, NULL), 0);
	assert_int_equal(features, BIT64(VIRTIO_F_VERSION_1));
	assert_int_equal(t->ops->set_features(t, features, NULL), 0);
	assert_int_equal(b.seen[b.n - 1].p.u64,
			 BIT64(VIRTIO_F_VERSION_1) | BIT64(VHOST_USER_F_PROTOCOL_FEATURES));
	t->ops->destroy(t);
	back_end(&b);
}

/* ---- memory ---- */

static void memory_by_slots(void **state)
{
	struct vdriver v;
	struct transport *t;
	struct back b;
	void *p[2];
	const struct seen *s;

	(void)state;
	back_init(&b);
	assert_int_equal(adopt(&b, &t), 0);
	vdriver_init(&v, t);
	assert_int_equal(vdriver_mem_alloc(&v, 8192, &p[0], NULL), 0);
	s = &b.seen[b.n - 1];
	assert_int_equal(s->request, VHOST_USER_ADD_MEM_REG);
	assert_int_equal(s->size, 40);
	assert_int_equal(s->fds, 1);
	assert_int_equal(s->p.reg.region.gpa, (uintptr_t)p[0]);
	assert_int_equal(s->p.reg.region.user, (uintptr_t)p[0]);
	assert_int_equal(s->p.reg.region.size, 8192);
	assert_int_equal(vdriver_mem_alloc(&v, 4096, &p[1], NULL), 0);
	assert_int_equal(vdriver_mem_remove(&v, p[0], NULL), 0);
	s = &b.seen[b.n - 1];
	assert_int_equal(s->request, VHOST_USER_REM_MEM_REG);
	assert_int_equal(s->p.reg.region.gpa, (uintptr_t)p[0]);
	assert_int_equal(s->fds, 0);
	vdriver_fini(&v);
	t->ops->destroy(t);
	back_end(&b);
}

static void memory_by_tables(void **state)
{
	struct vdriver v;
	struct transport *t;
	struct back b;
	void *p[9];
	const struct seen *s;

	(void)state;
	back_init(&b);
	b.protocol = P(REPLY_ACK) | P(CONFIG);
	assert_int_equal(adopt(&b, &t), 0);
	vdriver_init(&v, t);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(vdriver_mem_alloc(&v, 4096, &p[i], NULL), 0);
		s = &b.seen[b.n - 1];
		assert_int_equal(s->request, VHOST_USER_SET_MEM_TABLE);
		assert_int_equal(s->p.table.n, i + 1);
		assert_int_equal(s->fds, i + 1);
		assert_int_equal(s->size, 8 + 32 * (i + 1));
		assert_int_equal(s->p.table.regions[i].gpa, (uintptr_t)p[i]);
	}
	assert_int_equal(vdriver_mem_alloc(&v, 4096, &p[8], NULL), -ENOSPC);
	assert_int_equal(vdriver_mem_remove(&v, p[2], NULL), 0);
	assert_int_equal(b.seen[b.n - 1].p.table.n, 7);
	vdriver_fini(&v);
	t->ops->destroy(t);
	back_end(&b);
}

/* A back end that maps more than the file has dies at the first access behind its end. */
static void memory_longer_than_its_file_is_refused(void **state)
{
	struct error err = {""};
	struct dma_region r = {.host = (void *)0x10000, .size = 8192, .fd = -1, .offset = 0};
	struct transport *t;
	struct back b;
	unsigned at;

	(void)state;
	back_init(&b);
	assert_int_equal(adopt(&b, &t), 0);
	at = b.n;
	r.fd = memfd_create("short", MFD_CLOEXEC);
	assert_int_equal(ftruncate(r.fd, 8191), 0);
	assert_int_equal(t->ops->mem_add(t, &r, &err), -ERANGE);
	assert_non_null(strstr(err.text, "8191"));
	assert_int_equal(ftruncate(r.fd, 12288), 0);
	r.offset = 8192;
	assert_int_equal(t->ops->mem_add(t, &r, &err), -ERANGE);
	r.offset = UINT64_MAX - 4095;
	assert_int_equal(t->ops->mem_add(t, &r, &err), -ERANGE);
	assert_int_equal(b.n, at);
	r.offset = 4096;
	assert_int_equal(t->ops->mem_add(t, &r, &err), 0);
	t->ops->destroy(t);
	close(r.fd);
	back_end(&b);
}

static void refused_memory_is_not_used(void **state)
{
	struct vdriver v;
	struct transport *t;
	struct back b;
	unsigned hint = 0, fds;
	void *p = NULL;

	(void)state;
	back_init(&b);
	b.prank = PRANK_REFUSE;
	b.prank_at = VHOST_USER_ADD_MEM_REG;
	assert_int_equal(adopt(&b, &t), 0);
	vdriver_init(&v, t);
	fds = count_fds();
	assert_int_equal(vdriver_mem_alloc(&v, 8192, &p, NULL), -EREMOTEIO);
	assert_int_equal(count_fds(), fds);
	assert_false(vdriver_mem_has(&v, p, 1, &hint));
	/* The connection lives. */
	assert_true(t->ops->alive(t));
	vdriver_fini(&v);
	t->ops->destroy(t);
	back_end(&b);
}

/* ---- configuration ---- */

/* It stays the device's, whichever message takes memory back, and can be asked for once more. */
static void memory_that_is_not_given_back_is_kept(void **state)
{
	static const struct {
		uint64_t protocol;
		uint32_t request;
	} ways[] = {{ALL_PROTOCOL, VHOST_USER_REM_MEM_REG},
		    {P(REPLY_ACK) | P(CONFIG), VHOST_USER_SET_MEM_TABLE}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct vdriver v;
		struct transport *t;
		struct back b;
		unsigned hint = 0;
		void *p[2];

		back_init(&b);
		b.protocol = ways[i].protocol;
		assert_int_equal(adopt(&b, &t), 0);
		vdriver_init(&v, t);
		for (unsigned m = 0; m < 2; m++)
			assert_int_equal(vdriver_mem_alloc(&v, 4096, &p[m], NULL), 0);
		b.prank_at = ways[i].request;
		b.prank = PRANK_REFUSE;
		assert_int_equal(vdriver_mem_remove(&v, p[0], NULL), -EREMOTEIO);
		assert_true(vdriver_mem_has(&v, p[0], 1, &hint));
		b.prank = PRANK_NONE;
		assert_int_equal(vdriver_mem_remove(&v, p[0], NULL), 0);
		assert_int_equal(b.seen[b.n - 1].request, ways[i].request);
		vdriver_fini(&v);
		t->ops->destroy(t);
		back_end(&b);
	}
}

static void configuration_is_read_whole_and_served_in_fields(void **state)
{
	struct transport *t;
	struct back b;
	uint32_t g, again;
	uint8_t f[4];

	(void)state;
	back_init(&b);
	assert_int_equal(adopt(&b, &t), 0);
	assert_int_equal(t->ops->config_generation(t, &g, NULL), 0);
	assert_int_equal(b.seen[b.n - 1].p.config.offset, 0);
	assert_int_equal(b.seen[b.n - 1].p.config.size, 60);
	assert_int_equal(b.seen[b.n - 1].size, 72);
	assert_int_equal(t->ops->config_read(t, 20, f, 4, NULL), 0);
	assert_int_equal(f[3], 23);
	assert_int_equal(t->ops->config_generation(t, &again, NULL), 0);
	assert_int_equal(g, again);
	assert_int_equal(t->ops->config_read(t, 58, f, 4, NULL), -EINVAL);
	assert_int_equal(t->ops->config_read(t, UINT32_MAX, f, 4, NULL), -EINVAL);
	f[0] = 1;
	assert_int_equal(t->ops->config_write(t, 32, f, 1, NULL), 0);
	assert_int_equal(b.seen[b.n - 1].request, VHOST_USER_SET_CONFIG);
	assert_int_equal(b.seen[b.n - 1].size, 13);
	assert_int_equal(t->ops->config_write(t, 256, f, 1, NULL), -EINVAL);
	/* More than the back end has. */
	t->config_size = 96;
	assert_int_equal(t->ops->config_generation(t, &again, NULL), -EREMOTEIO);
	assert_true(t->ops->alive(t));
	t->ops->destroy(t);
	back_end(&b);
}

static void tell_change(struct back *b, uint32_t request, uint32_t flags, uint32_t size)
{
	struct vhost_user_header h = {.request = request, .flags = flags, .size = size};

	assert_int_equal(send(b->back_fd, &h, sizeof(h), MSG_NOSIGNAL), sizeof(h));
}

static void changes_come_on_the_channel_back(void **state)
{
	struct {
		struct vhost_user_header h;
		uint64_t result;
	} __attribute__((packed)) reply;
	struct pollfd p;
	struct transport *t;
	struct back b;
	uint8_t junk[600] = {0};

	(void)state;
	back_init(&b);
	assert_int_equal(adopt(&b, &t), 0);
	p = (struct pollfd){.fd = t->ops->event_fd(t), .events = POLLIN};
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_int_equal(t->ops->process(t), 0);
	tell_change(&b, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 1, 0);
	assert_int_equal(poll(&p, 1, 1000), 1);
	assert_int_equal(t->ops->process(t), TRANSPORT_EVENT_CONFIG);
	/* Two in one, an answer wanted for the second; then one that is not known. */
	tell_change(&b, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 1, 0);
	tell_change(&b, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 9, 0);
	assert_int_equal(t->ops->process(t), TRANSPORT_EVENT_CONFIG);
	assert_true(read_all(b.back_fd, &reply, sizeof(reply)));
	assert_int_equal(reply.h.request, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG);
	assert_int_equal(reply.h.flags, 5);
	assert_int_equal(reply.result, 0);
	tell_change(&b, 99, 9, 0);
	assert_int_equal(t->ops->process(t), 0);
	assert_true(read_all(b.back_fd, &reply, sizeof(reply)));
	assert_int_equal(reply.h.request, 99);
	assert_int_equal(reply.result, 1);
	/* One in pieces. */
	assert_int_equal(send(b.back_fd, "\2\0\0", 3, 0), 3);
	assert_int_equal(t->ops->process(t), 0);
	assert_int_equal(send(b.back_fd, "\0\1\0\0\0\0\0\0\0", 9, 0), 9);
	assert_int_equal(t->ops->process(t), TRANSPORT_EVENT_CONFIG);
	/* One too long: that channel ends, the disk goes on. */
	tell_change(&b, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 1, 0x7fffffff);
	assert_int_equal(send(b.back_fd, junk, sizeof(junk), MSG_NOSIGNAL), sizeof(junk));
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(t->ops->process(t), 0);
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_true(t->ops->alive(t));
	t->ops->destroy(t);
	back_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshake_in_order),
		cmocka_unit_test(back_end_without_any_protocol_feature),
		cmocka_unit_test(queue_in_order),
		cmocka_unit_test(status_is_kept_here_where_there_is_none),
		cmocka_unit_test(features_carry_the_protocol_bit),
		cmocka_unit_test(memory_by_slots),
		cmocka_unit_test(memory_by_tables),
		cmocka_unit_test(memory_longer_than_its_file_is_refused),
		cmocka_unit_test(refused_memory_is_not_used),
		cmocka_unit_test(memory_that_is_not_given_back_is_kept),
		cmocka_unit_test(configuration_is_read_whole_and_served_in_fields),
		cmocka_unit_test(changes_come_on_the_channel_back),
	};

	return cmocka_run_group_tests_name("frontend/vhost_user/client", tests, NULL, NULL);
}
