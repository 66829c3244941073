/* SPDX-License-Identifier: MIT */
#include "server/vhost_user/bad_rig_test.h"

struct rig rig;

int bad_set_up(void **state)
{
	(void)state;
	rig_start(&rig);
	return 0;
}

int bad_tear_down(void **state)
{
	(void)state;
	rig_quiet(&rig);
	rig_healthy(&rig);
	rig_stop(&rig);
	return 0;
}

void open_at(struct front *f, bool started)
{
	front_open(f, &rig);
	if (started) {
		front_start(f);
	} else {
		front_negotiate(f);
		front_share_memory(f);
	}
}

void refused_when(bool started, const struct bad *b)
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

void refused(const struct bad *b)
{
	refused_when(false, b);
	refused_when(true, b);
}

void refused_u64(uint32_t request, uint64_t v)
{
	refused(&(struct bad){request, &v, sizeof(v), {0}, 0});
}

void refused_state(uint32_t request, uint32_t index, uint32_t num)
{
	struct vhost_user_vring_state s = {index, num};

	refused(&(struct bad){request, &s, sizeof(s), {0}, 0});
}

void refused_fd(uint32_t request, uint64_t v, int fd)
{
	refused(&(struct bad){request, &v, sizeof(v), {fd}, 1});
}

void closes(uint32_t request, uint32_t flags, const void *payload, uint32_t size)
{
	struct front f;

	open_at(&f, true);
	front_send(&f, request, flags, payload, size, NULL, 0);
	assert_true(front_closed(&f));
	front_close(&f);
}
