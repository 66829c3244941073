/* SPDX-License-Identifier: MIT */
/* The medium's life: found in a tree like the kernel's, read at each request, else not offered. */
#include "storage/file.h"
#include "storage/place_test.h"

#include <sys/sysmacros.h>

struct tree {
	struct place p;
	char *root, *device;
};

static void put(const char *dir, const char *name, const char *text)
{
	char *path = NULL;
	FILE *out;

	assert_true(asprintf(&path, "%s/%s", dir, name) > 0);
	out = fopen(path, "we");
	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	fclose(out);
	free(path);
}

/* As the kernel's: a card, its disk, a partition of that, and a link by number to the last. */
static struct tree tree_make(const char *device, const char *partition)
{
	struct tree t = {.p = place_make(".", MIB)};
	char *cmd = NULL;
	struct stat st;

	assert_int_equal(stat(t.p.path, &st), 0);
	assert_true(asprintf(&t.root, "%s/sys", t.p.dir) > 0);
	assert_true(asprintf(&t.device, "%s/devices/%s", t.root, device) > 0);
	assert_true(asprintf(&cmd,
			     "mkdir -p '%s/%s' '%s/dev/block' && "
			     "ln -s '../../devices/%s/%s' '%s/dev/block/%u:%u'",
			     t.device, partition, t.root, device, partition, t.root,
			     major(st.st_dev), minor(st.st_dev)) > 0);
	assert_int_equal(system(cmd), 0);
	free(cmd);
	return t;
}

static void tree_remove(struct tree *t)
{
	free(t->device);
	free(t->root);
	place_remove(&t->p);
}

static struct storage_options options_of(const struct tree *t)
{
	return (struct storage_options){
		.target = t->p.path, .life = STORAGE_LIFE_MEDIUM, .sysfs = t->root};
}

static int ask(struct rig *rig, struct storage_lifetime *life)
{
	memset(life, 0xff, sizeof(*life));
	return rig_rw(rig, STORAGE_LIFETIME, 0, 0, life, sizeof(*life));
}

static void is(struct rig *rig, unsigned pre_eol, unsigned a, unsigned b)
{
	struct storage_lifetime life;

	assert_int_equal(ask(rig, &life), 0);
	assert_int_equal(life.pre_eol, pre_eol);
	assert_int_equal(life.a, a);
	assert_int_equal(life.b, b);
}

static void open_it(struct rig *rig, const struct storage_options *o, bool uring)
{
	struct error err = {""};

	if (rig_open(rig, o, uring, &err))
		fail_msg("%s", err.text);
	assert_true(storage_limits(rig->s)->lifetime);
}

static void an_emmc_is_asked_at_each_request(void **state)
{
	struct tree t = tree_make("mmc0/mmc0:0001", "block/mmcblk0/mmcblk0p2");
	struct storage_options o = options_of(&t);

	(void)state;
	for (unsigned uring = 0; uring < 2; uring++) {
		struct rig rig;

		put(t.device, "life_time", "0x01 0x02\n");
		put(t.device, "pre_eol_info", "0x01\n");
		open_it(&rig, &o, uring);
		is(&rig, 1, 1, 2);
		put(t.device, "life_time", "0x0b 0x0a\n");
		put(t.device, "pre_eol_info", "0x03\n");
		is(&rig, 3, 11, 10);
		rig_close(&rig);
	}
	tree_remove(&t);
}

static void the_disk_may_name_its_device(void **state)
{
	struct tree t = tree_make("virtual", "block/mmcblk1");
	struct storage_options o = options_of(&t);
	char *device = NULL;
	struct rig rig;

	(void)state;
	assert_true(asprintf(&device, "%s/block/mmcblk1/device", t.device) > 0);
	assert_int_equal(mkdir(device, 0755), 0);
	put(device, "life_time", "0x04 0x00\n");
	put(device, "pre_eol_info", "0x02\n");
	open_it(&rig, &o, true);
	is(&rig, 2, 4, 0);
	rig_close(&rig);
	free(device);
	tree_remove(&t);
}

static void a_ufs_device_is_found_above_its_unit(void **state)
{
	struct tree t = tree_make("1d84000.ufshc", "host0/target0:0:0/0:0:0:0/block/sda/sda1");
	struct storage_options o = options_of(&t);
	char *health = NULL;
	struct rig rig;

	(void)state;
	assert_true(asprintf(&health, "%s/health_descriptor", t.device) > 0);
	assert_int_equal(mkdir(health, 0755), 0);
	put(health, "eol_info", "0x01\n");
	put(health, "life_time_estimation_a", "0x03\n");
	put(health, "life_time_estimation_b", "0x05\n");
	open_it(&rig, &o, true);
	is(&rig, 1, 3, 5);
	rig_close(&rig);
	free(health);
	tree_remove(&t);
}

/* BLK-D-15: no reserved value is told, whatever the kernel shows. */
static void values_that_are_reserved_are_not_told(void **state)
{
	struct tree t = tree_make("mmc0/mmc0:0001", "block/mmcblk0");
	struct storage_options o = options_of(&t);
	struct rig rig;

	(void)state;
	put(t.device, "life_time", "0x01 0xff\n");
	put(t.device, "pre_eol_info", "0x04\n");
	open_it(&rig, &o, true);
	is(&rig, 0, 1, 0);
	put(t.device, "life_time", "0x0c 0x10001\n");
	put(t.device, "pre_eol_info", "0x10002\n");
	is(&rig, 0, 0, 0);
	rig_close(&rig);
	tree_remove(&t);
}

static void a_device_that_has_gone_is_an_error(void **state)
{
	struct tree t = tree_make("mmc0/mmc0:0001", "block/mmcblk0");
	struct storage_options o = options_of(&t);
	struct storage_lifetime life;
	char *cmd = NULL;
	struct rig rig;

	(void)state;
	put(t.device, "life_time", "0x01 0x01\n");
	put(t.device, "pre_eol_info", "0x01\n");
	open_it(&rig, &o, true);
	put(t.device, "life_time", "soon\n");
	assert_int_equal(ask(&rig, &life), -EIO);
	/* Another one in its place is not taken for it. */
	assert_true(asprintf(&cmd, "rm -r '%s' && mkdir -p '%s'", t.device, t.device) > 0);
	assert_int_equal(system(cmd), 0);
	put(t.device, "life_time", "0x01 0x01\n");
	put(t.device, "pre_eol_info", "0x01\n");
	assert_int_equal(ask(&rig, &life), -ENOENT);
	rig_close(&rig);
	free(cmd);
	tree_remove(&t);
}

/* BLK-D-15: only where there are real metrics. */
static void nothing_to_tell_is_not_offered(void **state)
{
	struct tree t = tree_make("mmc0/mmc0:0001", "block/mmcblk0");
	struct storage_options o = options_of(&t);
	struct storage_lifetime life;
	struct rig rig;

	(void)state;
	refused(&o, -EOPNOTSUPP, "lifetime=medium");
	/* As of a card that is older than the fields. */
	put(t.device, "life_time", "0x00 0x00\n");
	put(t.device, "pre_eol_info", "0x00\n");
	refused(&o, -EOPNOTSUPP, "lifetime=medium");
	/* An image is not the device, unless asked for. */
	put(t.device, "life_time", "0x01 0x01\n");
	o.life = STORAGE_LIFE_DEVICE;
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	assert_false(storage_limits(rig.s)->lifetime);
	assert_int_equal(ask(&rig, &life), -EOPNOTSUPP);
	rig_close(&rig);
	o.life = STORAGE_LIFE_OFF;
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	assert_false(storage_limits(rig.s)->lifetime);
	rig_close(&rig);
	tree_remove(&t);
}

static void a_request_of_another_shape_is_refused(void **state)
{
	struct tree t = tree_make("mmc0/mmc0:0001", "block/mmcblk0");
	struct storage_options o = options_of(&t);
	uint8_t buf[512];
	struct rig rig;

	(void)state;
	put(t.device, "life_time", "0x01 0x01\n");
	put(t.device, "pre_eol_info", "0x01\n");
	o.readonly = STORAGE_READONLY;
	open_it(&rig, &o, true);
	is(&rig, 1, 1, 1);
	assert_int_equal(rig_rw(&rig, STORAGE_LIFETIME, 0, 512, buf, 6), -EINVAL);
	assert_int_equal(rig_rw(&rig, STORAGE_LIFETIME, 0, 0, buf, 5), -EINVAL);
	assert_int_equal(rig_rw(&rig, STORAGE_LIFETIME, 0, 0, buf, 512), -EINVAL);
	rig_close(&rig);
	tree_remove(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_emmc_is_asked_at_each_request),
		cmocka_unit_test(the_disk_may_name_its_device),
		cmocka_unit_test(a_ufs_device_is_found_above_its_unit),
		cmocka_unit_test(values_that_are_reserved_are_not_told),
		cmocka_unit_test(a_device_that_has_gone_is_an_error),
		cmocka_unit_test(nothing_to_tell_is_not_offered),
		cmocka_unit_test(a_request_of_another_shape_is_refused),
	};

	return cmocka_run_group_tests_name("storage/file_life", tests, NULL, NULL);
}
