/* SPDX-License-Identifier: MIT */
/*
 * Our layouts and numbers of virtio and virtio-blk against those of the kernel's headers, name by
 * name.
 */
#include "test.h"

#include "wire/kernel_view_test.h"
#include "wire/virtio.h"
#include "wire/virtio_blk.h"

#include <string.h>

#define FIELD(field)                                        \
	{#field, offsetof(struct virtio_blk_config, field), \
	 sizeof(((struct virtio_blk_config *)0)->field)},
#define NUMBER(name) {#name, name},

static const struct kernel_field fields[] = {
	KERNEL_BLK_FIELDS(FIELD) /* each with its comma */
	{NULL, 0, 0},
};

static const struct kernel_number numbers[] = {
	KERNEL_NUMBERS(NUMBER) /* each with its comma */
	{NULL, 0},
};

static void blk_config_is_the_kernels(void **state)
{
	int i;

	(void)state;
	for (i = 0; fields[i].name && kernel_blk_fields[i].name; i++) {
		assert_string_equal(fields[i].name, kernel_blk_fields[i].name);
		assert_int_equal(fields[i].offset, kernel_blk_fields[i].offset);
		assert_int_equal(fields[i].size, kernel_blk_fields[i].size);
	}
	assert_ptr_equal(fields[i].name, kernel_blk_fields[i].name);
}

static void numbers_are_the_kernels(void **state)
{
	int i;

	(void)state;
	for (i = 0; numbers[i].name && kernel_numbers[i].name; i++) {
		assert_string_equal(numbers[i].name, kernel_numbers[i].name);
		assert_int_equal(numbers[i].value, kernel_numbers[i].value);
	}
	assert_ptr_equal(numbers[i].name, kernel_numbers[i].name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blk_config_is_the_kernels),
		cmocka_unit_test(numbers_are_the_kernels),
	};

	return cmocka_run_group_tests_name("virtio", tests, NULL, NULL);
}
