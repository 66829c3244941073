/* SPDX-License-Identifier: MIT */
/* Sizes, alignments and the check of a ring's configuration, against the standard's formulas. */
#include "test.h"

#include "base/bits.h"
#include "vring/vring.h"

#include <errno.h>

static void split_sizes(void **state)
{
	(void)state;
	for (uint32_t num = 1; num <= VRING_SIZE_MAX; num *= 2) {
		const struct vring_config c = {.num = (uint16_t)num};

		assert_int_equal(vring_desc_bytes(&c), 16 * num);
		assert_int_equal(vring_driver_bytes(&c), 6 + 2 * num);
		assert_int_equal(vring_device_bytes(&c), 6 + 8 * num);
		assert_int_equal(vring_config_check(&c), 0);
	}
}

static void packed_sizes(void **state)
{
	(void)state;
	for (uint32_t num = 1; num <= VRING_SIZE_MAX; num++) {
		const struct vring_config c = {.num = (uint16_t)num, .packed = true};

		assert_int_equal(vring_desc_bytes(&c), 16 * num);
		assert_int_equal(vring_driver_bytes(&c), 4);
		assert_int_equal(vring_device_bytes(&c), 4);
		assert_int_equal(vring_config_check(&c), 0);
	}
}

static void r_15_kb_13_sizes_that_do_not_exist(void **state)
{
	static const uint16_t bad_split[] = {0, 3, 5, 6, 7, 9, 1000, 32767, 32769, 65535};
	static const uint16_t bad_packed[] = {0, 32769, 40000, 65535};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad_split); i++)
		assert_int_equal(vring_config_check(&(struct vring_config){.num = bad_split[i]}),
				 -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(bad_packed); i++)
		assert_int_equal(vring_config_check(&(struct vring_config){.num = bad_packed[i],
									   .packed = true}),
				 -EINVAL);
}

static void alignments(void **state)
{
	(void)state;
	for (int packed = 0; packed < 2; packed++)
		for (uint64_t off = 0; off < 33; off++) {
			struct vring_config c = {.num = 8, .packed = packed};

			c.desc = gpa(off);
			assert_int_equal(vring_config_check(&c), off % 16 ? -EINVAL : 0);
			c.desc = gpa(0);
			c.driver = gpa(off);
			assert_int_equal(vring_config_check(&c),
					 off % (packed ? 4 : 2) ? -EINVAL : 0);
			c.driver = gpa(0);
			c.device = gpa(off);
			assert_int_equal(vring_config_check(&c), off % 4 ? -EINVAL : 0);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(split_sizes),
		cmocka_unit_test(packed_sizes),
		cmocka_unit_test(r_15_kb_13_sizes_that_do_not_exist),
		cmocka_unit_test(alignments),
	};

	return cmocka_run_group_tests_name("vring/vring", tests, NULL, NULL);
}
