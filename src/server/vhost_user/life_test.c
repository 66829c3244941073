/* SPDX-License-Identifier: MIT */
/* What a well-behaved front end may do, in every order it may do it. */
#include "server/vhost_user/rig_test.h"

#include "wire/virtio.h"

static void serves_every_layout(void **state)
{
	static const uint64_t sets[] = {
		0,
		BIT64(VIRTIO_F_EVENT_IDX),
		BIT64(VIRTIO_F_RING_PACKED),
		BIT64(VIRTIO_F_RING_PACKED) | BIT64(VIRTIO_F_EVENT_IDX),
		BIT64(VIRTIO_F_IN_ORDER),
	};
	struct rig rig;

	(void)state;
	rig_start(&rig);
	for (size_t s = 0; s < ARRAY_SIZE(sets); s++) {
		struct front f;

		front_open(&f, &rig);
		f.features |= sets[s];
		front_start(&f);
		for (unsigned n = 0; n < 300; n++)
			front_echo(&f, n % QUEUES);
		front_close(&f);
		rig_quiet(&rig);
	}
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(serves_every_layout),
	};

	return cmocka_run_group_tests_name("server/vhost_user/life", tests, NULL, NULL);
}
