/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "base/bits.h"
#include "disk/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct place {
	struct reactor *home;
	struct disk_room room;
	char dir[32];
};

static int set_up(void **state)
{
	const struct worker_pool_config config = {.n = 3, .reactor = {.uring = false}};
	const struct reactor_config control = {.uring = false};
	struct place *p = calloc(1, sizeof(*p));

	strcpy(p->dir, "/tmp/disk-test-XXXXXX");
	if (!mkdtemp(p->dir) || reactor_create(&p->home, &control, NULL) ||
	    disk_room_init(&p->room, p->home, &config, NULL))
		return -1;
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	disk_room_fini(&p->room);
	disk_room_fini(&p->room);
	reactor_destroy(&p->home);
	rmdir(p->dir);
	free(p);
	return 0;
}

static int add(struct place *p, const char *words, const char *name, struct virtio_blk **blk,
	       struct error *err)
{
	struct disk_spec spec;
	int rc = disk_spec_parse(words, &spec, err);

	if (rc)
		return rc;
	rc = disk_from_spec(&p->room, &spec, name, blk, err);
	disk_spec_fini(&spec);
	return rc;
}

static void words_become_a_device(void **state)
{
	struct place *p = *state;
	struct virtio_blk *blk;

	assert_int_equal(add(p,
			     "memory:1M,serial=abc,queues=2,queue-size=64,blk-size=4096,"
			     "packed=off,wce=off,readonly=on",
			     "disk7", &blk, NULL),
			 0);
	assert_string_equal(blk->vdev.path, "disk7");
	assert_memory_equal(blk->serial, "abc", 4);
	assert_int_equal(blk->vdev.n_queues, 2);
	assert_int_equal(blk->vdev.queue_size_max, 64);
	assert_int_equal(le32_get(blk->config.blk_size), 4096);
	assert_true(blk->write_through_at_start);
	assert_true(storage_readonly(blk->storage));
	assert_int_equal(storage_size(blk->storage), 1 << 20);
	virtio_blk_destroy(&blk);
}

static void queues_go_around_the_workers(void **state)
{
	struct place *p = *state;
	static const unsigned queues[] = {1, 2, 5, 1}, first[] = {0, 1, 0, 2};
	struct virtio_blk *blk[4];

	for (unsigned i = 0; i < 4; i++) {
		char words[32];

		snprintf(words, sizeof(words), "null:1M,queues=%u", queues[i]);
		assert_int_equal(add(p, words, "disk", &blk[i], NULL), 0);
		for (unsigned q = 0; q < queues[i]; q++)
			assert_ptr_equal(blk[i]->vdev.queues[q].worker,
					 p->room.pool.workers[(first[i] + q) % 3]);
	}
	for (unsigned i = 0; i < 4; i++)
		virtio_blk_destroy(&blk[i]);
}

/* A device that cannot be made gives its storage back: the image is free again. */
static void what_fails_leaves_nothing_open(void **state)
{
	struct place *p = *state;
	char path[64], words[128];
	struct disk_spec spec;
	struct virtio_blk *blk;
	struct error err;
	int fd;

	snprintf(path, sizeof(path), "%s/a.raw", p->dir);
	fd = open(path, O_CREAT | O_RDWR, 0600);
	assert_int_equal(ftruncate(fd, 512), 0);
	close(fd);
	snprintf(words, sizeof(words), "file=%s", path);
	assert_int_equal(disk_spec_parse(words, &spec, &err), 0);
	spec.queues = BLK_QUEUES_MAX + 1;
	assert_int_equal(disk_from_spec(&p->room, &spec, "disk0", &blk, &err), -EINVAL);
	assert_non_null(strstr(err.text, "disk0"));
	disk_spec_fini(&spec);
	assert_true(list_empty(&p->room.storages->all));
	assert_int_equal(add(p, words, "disk0", &blk, &err), 0);
	virtio_blk_destroy(&blk);
	assert_int_equal(add(p, "file=/nowhere/x", "disk0", &blk, &err), -ENOENT);
	unlink(path);
}

/* One image twice: who has it is named; readers share it. */
static void one_image_is_one_disk(void **state)
{
	struct place *p = *state;
	char path[64], other[64], words[128];
	struct virtio_blk *a, *b;
	struct error err;
	int fd;

	snprintf(path, sizeof(path), "%s/a.raw", p->dir);
	snprintf(other, sizeof(other), "%s/b.raw", p->dir);
	fd = open(path, O_CREAT | O_RDWR, 0600);
	assert_int_equal(ftruncate(fd, 65536), 0);
	close(fd);
	assert_int_equal(symlink("a.raw", other), 0);
	snprintf(words, sizeof(words), "file=%s", path);
	assert_int_equal(add(p, "null:1M", "disk0", &b, &err), 0);
	assert_int_equal(add(p, words, "disk1", &a, &err), 0);
	virtio_blk_destroy(&b);

	/* By whatever name. */
	snprintf(words, sizeof(words), "file=%s", other);
	assert_int_equal(add(p, words, "disk2", &b, &err), -EBUSY);
	assert_non_null(strstr(err.text, "b.raw is in use by disk1"));
	assert_null(strstr(err.text, "program"));
	snprintf(words, sizeof(words), "file=%s,readonly=on", other);
	assert_int_equal(add(p, words, "disk2", &b, &err), -EBUSY);
	assert_non_null(strstr(err.text, "in use by disk1"));
	virtio_blk_destroy(&a);

	assert_int_equal(add(p, words, "disk1", &a, &err), 0);
	assert_int_equal(add(p, words, "disk2", &b, &err), 0);
	virtio_blk_destroy(&a);
	virtio_blk_destroy(&b);
	unlink(other);
	unlink(path);
}

static void pools_have_bounds(void **state)
{
	struct worker_pool pool;
	struct error err;

	(void)state;
	assert_int_equal(worker_pool_init(&pool, &(struct worker_pool_config){.n = 0}, &err),
			 -EINVAL);
	assert_int_equal(worker_pool_init(&pool,
					  &(struct worker_pool_config){.n = WORKER_POOL_MAX + 1},
					  &err),
			 -EINVAL);
	worker_pool_fini(&pool);
	assert_int_equal(worker_pool_suits(0), 1);
	assert_int_equal(worker_pool_suits(1), 1);
	assert_in_range(worker_pool_suits(1000000), 1, WORKER_POOL_MAX);
}

/* A disk that must not be written anywhere is no IDE or SCSI disk, whose guests would do that. */
static void zones_are_for_virtio_blk_alone(void **state)
{
	struct place *p = *state;
	struct disk_spec spec;
	struct virtio_blk *blk;
	struct storage *s;
	struct error err = {""};

	for (enum disk_kind kind = DISK_IDE; kind <= DISK_SCSI; kind++) {
		assert_int_equal(disk_spec_parse_as(kind,
						    "memory:1M,zoned=host-managed,zone-size=64K",
						    NULL, &spec, &err),
				 0);
		assert_int_equal(disk_open_storage(&p->room, &spec, "ide0", &s, &err), -EINVAL);
		assert_non_null(strstr(err.text, "virtio-blk"));
		disk_spec_fini(&spec);
	}
	assert_int_equal(add(p, "memory:1M,zoned=host-managed,zone-size=64K", "disk0", &blk, &err),
			 0);
	assert_true(blk->vdev.offered & BIT64(VIRTIO_BLK_F_ZONED));
	virtio_blk_destroy(&blk);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(words_become_a_device, set_up, tear_down),
		cmocka_unit_test_setup_teardown(queues_go_around_the_workers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_fails_leaves_nothing_open, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_image_is_one_disk, set_up, tear_down),
		cmocka_unit_test_setup_teardown(zones_are_for_virtio_blk_alone, set_up, tear_down),
		cmocka_unit_test(pools_have_bounds),
	};

	return cmocka_run_group_tests_name("disk/disk", tests, NULL, NULL);
}
