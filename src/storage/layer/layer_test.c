/* SPDX-License-Identifier: MIT */
/* Stacks: what a layer may offer, and what holds for each that there is. */
#include "storage/engine.h"
#include "storage/geometry.h"
#include "storage/model_test.h"

#include <errno.h>

/* What is offered is what the device above tells its driver. */
static void a_layer_that_offers_more_than_it_stands_on_is_refused(void **state)
{
	static const struct storage_engine_ops engine = {.kind = "engine"};
	static const struct storage_engine_ops passes = {.kind = "passes", .passes = true};
	static const struct storage_engine_ops does_itself = {.kind = "does"};
	const struct storage below = {
		.ops = &engine,
		.name = "disk",
		.size = 1 << 20,
		.readonly = true,
		.limits = {.block_size = 512, .max_discard = 4096, .max_write_zeroes = 4096}};
	struct error err = {""};

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		struct storage s = below;

		s.ops = &passes;
		s.below = (struct storage *)(uintptr_t)&below;
		switch (i) {
		case 0:
			break;
		case 1:
			s.limits.max_discard = 512; /* less is well */
			break;
		case 2:
			s.limits.max_discard = 8192;
			break;
		case 3:
			s.limits.max_write_zeroes = 8192;
			break;
		case 4:
			s.limits.write_zeroes_unmaps = true;
			break;
		case 5:
			s.readonly = false;
			break;
		case 6:
			s.size = 2 << 20;
			break;
		case 7:
			s.ops = &does_itself;
			s.limits.max_discard = 8192;
			break;
		}
		assert_int_equal(stack_judge(&s, "vm.raw", &err),
				 i < 2 || i == 7 ? 0 : -EOPNOTSUPP);
		if (i == 2)
			assert_non_null(strstr(err.text, "passes cannot be"));
		/* A size that no disk can have is none of a layer's either. */
		s.size = 1000;
		assert_true(stack_judge(&s, "vm.raw", &err) < 0);
	}
}

static char rules[] = "delay:op=any:percent=3:ms=1";

static struct storage_options everything(const char *target)
{
	return (struct storage_options){
		.target = target,
		.disk = "disk0",
		.layers = {.faulty.rules = rules,
			   .throttle = {.iops = 100000000},
			   .errors = {.rerror = STORAGE_RETRY, .werror = STORAGE_HOLD}}};
}

static void sizes_pass_through(void **state)
{
	char *dir = scratch_make("/tmp"), *path = image_make(dir, "disk", 1 << 20);
	struct storage_options o = everything(path);
	struct storage *s;

	(void)state;
	assert_int_equal(storage_open(&o, &s, NULL), 0);
	assert_int_equal(storage_refresh(s), 0);
	assert_int_equal(truncate(path, 2 << 20), 0);
	assert_int_equal(storage_refresh(s), 1);
	assert_int_equal(storage_size(s), 2 << 20);
	assert_int_equal(storage_refresh(s), 0);
	assert_int_equal(truncate(path, 1000), 0); /* refused, said once */
	assert_int_equal(storage_refresh(s), 0);
	assert_int_equal(storage_size(s), 2 << 20);
	assert_ptr_equal(stack_engine(s)->below, NULL);
	storage_close(&s);
	free(path);
	scratch_remove(dir);
}

static void a_disk_is_found_by_its_name(void **state)
{
	struct storage_set set;
	struct storage_options o = everything("memory:1M"), plain = {.target = "memory:1M"};
	struct storage *a, *b;

	(void)state;
	storage_set_init(&set);
	o.set = plain.set = &set;
	plain.disk = "disk1";
	assert_int_equal(storage_open(&o, &a, NULL), 0);
	assert_int_equal(storage_open(&plain, &b, NULL), 0);
	assert_ptr_equal(storage_find(&set, "disk0"), a);
	assert_ptr_equal(storage_find(&set, "disk1"), b);
	assert_null(storage_find(&set, "disk"));
	storage_close(&a);
	assert_null(storage_find(&set, "disk0"));
	storage_close(&b);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_layer_that_offers_more_than_it_stands_on_is_refused),
		cmocka_unit_test(sizes_pass_through),
		cmocka_unit_test(a_disk_is_found_by_its_name),
	};

	return cmocka_run_group_tests_name("storage/layer/layer", tests, NULL, NULL);
}
