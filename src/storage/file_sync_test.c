/* SPDX-License-Identifier: MIT */
/*
 * A sync that fails: who is told so, and for how long.  This program's fdatasync() is its own, so a
 * disk that syncs by threads calls it.
 */
#include "storage/file.h"
#include "storage/storage_test.h"

#include "base/atomic.h"
#include "base/log.h"

#include <errno.h>
#include <semaphore.h>

#define MIB (1u << 20)

/* ---- the order of things ---- */

static unsigned count(const struct io_fifo *q)
{
	unsigned n = 0;

	for (const struct storage_io *io = q->head; io; io = io->next)
		n++;
	return n;
}

static void one_syncs_and_those_who_come_meanwhile_share_the_next_one(void **state)
{
	struct storage_io io[5] = {0}, *next;
	struct file_sync s;
	struct io_fifo told;

	(void)state;
	file_sync_init(&s);
	assert_true(file_sync_join(&s, &io[0]));
	for (unsigned i = 1; i < 4; i++)
		assert_false(file_sync_join(&s, &io[i]));
	assert_int_equal(file_sync_leave(&s, 0, &told, &next), 0);
	assert_int_equal(count(&told), 0);
	assert_ptr_equal(next, &io[1]);
	/* Too late for the one that began before it came. */
	assert_false(file_sync_join(&s, &io[4]));
	assert_int_equal(file_sync_leave(&s, 0, &told, &next), 0);
	assert_int_equal(count(&told), 2);
	assert_ptr_equal(told.head, &io[2]);
	assert_ptr_equal(next, &io[4]);
	assert_int_equal(file_sync_leave(&s, 0, &told, &next), 0);
	assert_int_equal(count(&told), 0);
	assert_null(next);
	assert_true(file_sync_join(&s, &io[0]));
	file_sync_fini(&s);
}

static void what_is_lost_stays_lost(void **state)
{
	struct storage_io io[3] = {0}, *next;
	struct file_sync s;
	struct io_fifo told;

	(void)state;
	file_sync_init(&s);
	assert_true(file_sync_join(&s, &io[0]));
	assert_false(file_sync_join(&s, &io[1]));
	assert_true(file_sync_lose(&s, -EIO));
	assert_false(file_sync_lose(&s, -ENOSPC));
	assert_int_equal(file_sync_leave(&s, -EIO, &told, &next), -EIO);
	assert_ptr_equal(next, &io[1]);
	/* The kernel says that all is well. */
	assert_int_equal(file_sync_leave(&s, 0, &told, &next), -EIO);
	assert_null(next);
	file_sync_fini(&s);
}

/* ---- a disk ---- */

static unsigned syncs, failing; /* atomic */
static sem_t reached, let;
static bool stops; /* atomic */

int fdatasync(int fd)
{
	unsigned n = __atomic_add_fetch(&syncs, 1, __ATOMIC_ACQ_REL);

	(void)fd;
	if (load_acquire(&stops)) {
		sem_post(&reached);
		while (sem_wait(&let))
			;
	}
	if (n != load_acquire(&failing))
		return 0;
	errno = EIO;
	return -1;
}

static unsigned lines; /* atomic */

static void count_lines(void *opaque, enum log_level level, const char *line)
{
	(void)opaque;
	(void)level;
	(void)line;
	__atomic_add_fetch(&lines, 1, __ATOMIC_RELAXED);
}

struct disk {
	char *dir, *path;
	struct rig rig;
};

static void disk_start(struct disk *d, bool uring)
{
	struct storage_options o = {.threads = true};

	d->dir = scratch_make(".");
	d->path = image_make(d->dir, "image", MIB);
	o.target = d->path;
	syncs = failing = 0;
	assert_int_equal(rig_open(&d->rig, &o, uring, NULL), 0);
}

static void disk_end(struct disk *d)
{
	rig_close(&d->rig);
	free(d->path);
	scratch_remove(d->dir);
}

static int disk_flush(struct disk *d)
{
	return rig_do(&d->rig, STORAGE_FLUSH, 0, 0, 0);
}

static void a_flush_that_failed_is_followed_by_no_success(void **state)
{
	uint8_t bytes[512] = {0};
	struct iovec iov = {bytes, sizeof(bytes)};
	struct waited w = {
		.io = {.op = STORAGE_WRITE, .len = sizeof(bytes), .iov = &iov, .iovcnt = 1}};
	struct disk d;

	(void)state;
	disk_start(&d, false);
	assert_int_equal(disk_flush(&d), 0);
	failing = 2;
	assert_int_equal(disk_flush(&d), -EIO);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(disk_flush(&d), -EIO);
	assert_int_equal(rig_do(&d.rig, STORAGE_DISCARD, STORAGE_FUA, 0, 4096), -EIO);
	/* What promises nothing goes on. */
	rig_start(&d.rig, &w);
	assert_int_equal(rig_wait(&d.rig, &w), 0);
	assert_int_equal(rig_do(&d.rig, STORAGE_DISCARD, 0, 0, 4096), 0);
	assert_int_equal(load_acquire(&lines), 1);
	disk_end(&d);
	/* Opened anew it is another one. */
	disk_start(&d, true);
	assert_int_equal(disk_flush(&d), 0);
	disk_end(&d);
}

/* The kernel tells one of two that sync at the same time. */
static void all_flushes_that_wait_for_a_failed_one_fail(void **state)
{
	struct waited w[8] = {0};
	struct disk d;

	(void)state;
	sem_init(&reached, 0, 0);
	sem_init(&let, 0, 0);
	disk_start(&d, false);
	failing = 1;
	store_release(&stops, true);
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
		w[i].io.op = STORAGE_FLUSH;
		rig_start(&d.rig, &w[i]);
	}
	while (sem_wait(&reached))
		;
	store_release(&stops, false);
	assert_int_equal(load_acquire(&syncs), 1);
	sem_post(&let);
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++)
		assert_int_equal(rig_wait(&d.rig, &w[i]), -EIO);
	/* One for the first, one for all others. */
	assert_int_equal(load_acquire(&syncs), 2);
	disk_end(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_syncs_and_those_who_come_meanwhile_share_the_next_one),
		cmocka_unit_test(what_is_lost_stays_lost),
		cmocka_unit_test(a_flush_that_failed_is_followed_by_no_success),
		cmocka_unit_test(all_flushes_that_wait_for_a_failed_one_fail),
	};

	log_setup(LOG_LEVEL_ERR, count_lines, NULL);
	return cmocka_run_group_tests_name("file_sync", tests, NULL, NULL);
}
