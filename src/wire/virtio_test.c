/* SPDX-License-Identifier: MIT */
/*
 * Our layouts and numbers of virtio, virtio-blk and virtio-net against those of the kernel's
 * headers, name by name.
 */
#include "test.h"

#include "wire/kernel_view_test.h"
#include "wire/virtio.h"
#include "wire/virtio_blk.h"
#include "wire/virtio_net.h"

#include <string.h>

#define FIELD(field)                                        \
	{#field, offsetof(struct virtio_blk_config, field), \
	 sizeof(((struct virtio_blk_config *)0)->field)},
#define NUMBER(name) {#name, name},

static const struct kernel_field blk_fields[] = {
	KERNEL_BLK_FIELDS(FIELD) /* each with its comma */
	{NULL, 0, 0},
};

#undef FIELD
#define FIELD(field)                                        \
	{#field, offsetof(struct virtio_net_config, field), \
	 sizeof(((struct virtio_net_config *)0)->field)},

static const struct kernel_field net_fields[] = {
	KERNEL_NET_FIELDS(FIELD) /* each with its comma */
	{NULL, 0, 0},
};

static const struct kernel_number numbers[] = {
	KERNEL_NUMBERS(NUMBER) /* each with its comma */
	{NULL, 0},
};

static void same(const struct kernel_field *ours, const struct kernel_field *theirs)
{
	for (; ours->name && theirs->name; ours++, theirs++) {
		assert_string_equal(ours->name, theirs->name);
		assert_int_equal(ours->offset, theirs->offset);
		assert_int_equal(ours->size, theirs->size);
	}
	assert_ptr_equal(ours->name, theirs->name);
}

static void blk_config_is_the_kernels(void **state)
{
	(void)state;
	same(blk_fields, kernel_blk_fields);
}

static void net_config_is_the_kernels(void **state)
{
	(void)state;
	same(net_fields, kernel_net_fields);
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
		cmocka_unit_test(net_config_is_the_kernels),
		cmocka_unit_test(numbers_are_the_kernels),
	};

	return cmocka_run_group_tests_name("virtio", tests, NULL, NULL);
}
