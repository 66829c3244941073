/* SPDX-License-Identifier: MIT */
/* A device's state that is damaged, foreign or made up is refused or harms nobody. */
#include "vfio_user_move.h"

#include "base/pack.h"
#include "held_disk.h"
#include "wire/virtio_blk.h"
#include "wire/virtio_pci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void seal(uint8_t *at, uint32_t n)
{
	struct pack p = {.to = at, .n = n - 4, .room = n};

	pack_32(&p, pack_crc(at, n - 4));
}

static void works(struct rig *r)
{
	struct drv d;

	drv_up(&d, r, 1, false, 0);
	move_read_one(&d);
}

static void damaged_states_are_refused(void **state)
{
	struct drv_request some = move_request(VIRTIO_BLK_T_IN, 0, 0, 0);
	struct move_state s = move_state_of_disk("memory:1M,queues=2", &some);
	struct rig r;

	(void)state;
	rig_init(&r, "memory:1M,queues=2");
	move_map_all(&r);
	for (uint32_t i = 0; i < s.n; i++) {
		s.at[i] ^= (uint8_t)(1u << i % 8);
		assert_int_equal(move_load(&r, s.at, s.n, 65536), EINVAL);
		s.at[i] ^= (uint8_t)(1u << i % 8);
		assert_int_equal(move_set_state(&r, RUNNING), EINVAL);
		move_reset(&r);
	}
	for (uint32_t n = 0; n < s.n; n++) {
		assert_int_equal(move_load(&r, s.at, n, 65536), EINVAL);
		move_reset(&r);
	}
	s.at[s.n] = 0;
	assert_int_equal(move_load(&r, s.at, s.n + 1, 65536), EINVAL);
	move_reset(&r);
	works(&r);
	assert_int_equal(move_load(&r, s.at, s.n, 65536), 0);
	rig_fini(&r);
	free(s.at);
}

/* Made up by somebody who knows the checksum: refused, or no worse than what a guest can do. */
static void made_up_states_harm_nobody(void **state)
{
	static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
	struct drv_request some = move_request(VIRTIO_BLK_T_IN, 0, 0, 0);
	struct move_state s = move_state_of_disk("memory:1M,queues=2", &some);
	unsigned taken = 0, refused = 0;
	struct rig r;

	(void)state;
	rig_init(&r, "memory:1M,queues=2");
	move_map_all(&r);
	for (uint32_t i = 0; i < s.n - 4; i++) {
		for (size_t v = 0; v < ARRAY_SIZE(values); v++) {
			uint8_t was = s.at[i];
			int rc;

			if (was == values[v])
				continue;
			s.at[i] = values[v];
			seal(s.at, s.n);
			rc = move_load(&r, s.at, s.n, 65536);
			s.at[i] = was;
			if (rc) {
				assert_int_equal(rc, EINVAL);
				refused++;
			} else {
				assert_int_equal(move_set_state(&r, RUNNING), 0);
				taken++;
			}
			move_reset(&r);
		}
		if (i % 64 == 0) {
			works(&r);
			move_reset(&r);
		}
	}
	assert_true(taken && refused);
	/* Shorter and longer ones that say so. */
	for (uint32_t n = 12; n < s.n + 8; n++) {
		uint8_t *at = calloc(1, n + 4);
		struct pack length = {.to = at, .n = 8, .room = 12};

		memcpy(at, s.at, min_u64(n, s.n - 4));
		pack_32(&length, n + 4);
		seal(at, n + 4);
		assert_int_equal(move_load(&r, at, n + 4, 65536), n + 4 == s.n ? 0 : EINVAL);
		move_reset(&r);
		free(at);
	}
	works(&r);
	rig_fini(&r);
	free(s.at);
}

static void foreign_states_are_refused(void **state)
{
	static const char *const there[] = {
		"memory:1M,queues=1",
		"memory:2M,queues=2", /* a disk that does not get smaller */
		"memory:1M,queues=2,serial=other",
		"memory:1M,queues=2,queue-size=128",
	};
	struct rig r;

	(void)state;
	rig_init(&r, "memory:1M,queues=2");
	for (size_t i = 0; i < ARRAY_SIZE(there); i++) {
		struct move_state s = move_state_of_disk(there[i], NULL);

		assert_int_equal(move_load(&r, s.at, s.n, 65536), EINVAL);
		move_reset(&r);
		free(s.at);
	}
	move_map_all(&r);
	works(&r);
	rig_fini(&r);
}

/* A flush that fails here would succeed there. */
static void a_disk_that_has_lost_data_stays(void **state)
{
	(void)state;
	for (int spoiled = 0; spoiled < 2; spoiled++) {
		struct held_disk *disk = held_disk_new(1 << 20);
		struct rig a, b;
		struct move_state s;
		struct drv d;

		rig_init_storage(&a, &disk->storage, 1);
		rig_init_storage(&b, &held_disk_new(1 << 20)->storage, 1);
		move_share(&a, &b);
		drv_up(&d, &a, 1, false, 0);
		move_read_one(&d);
		disk->spoiled = spoiled;
		s = move_save(&a, 65536);
		assert_int_equal(move_load(&b, s.at, s.n, 65536), spoiled ? EINVAL : 0);
		free(s.at);
		rig_fini(&a);
		rig_fini(&b);
	}
}

/* A larger disk is a change that the driver is told of. */
static void a_disk_that_has_grown(void **state)
{
	struct drv_request some = move_request(VIRTIO_BLK_T_IN, 0, 0, 0);
	struct move_state s = move_state_of_disk("memory:1M", &some);
	struct rig r;

	(void)state;
	rig_init(&r, "memory:2M");
	move_map_all(&r);
	assert_int_equal(move_load(&r, s.at, s.n, 65536), 0);
	assert_int_equal(rig_get(&r, BAR, 0x1000, 1) & 2, 0);
	assert_int_equal(move_set_state(&r, RUNNING), 0);
	assert_int_equal(rig_get(&r, BAR, 0x1000, 1) & 2, 2);
	rig_fini(&r);
	free(s.at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(damaged_states_are_refused),
		cmocka_unit_test(made_up_states_harm_nobody),
		cmocka_unit_test(foreign_states_are_refused),
		cmocka_unit_test(a_disk_that_has_lost_data_stays),
		cmocka_unit_test(a_disk_that_has_grown),
	};

	return cmocka_run_group_tests_name("pair/vfio_user_move_bad", tests, NULL, NULL);
}
