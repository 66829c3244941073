/* SPDX-License-Identifier: MIT */
/*
 * Guest memory that goes away under a disk: nothing that was prepared from it succeeds, whichever
 * queue it is in and whenever it completes.
 */
#include "test.h"

#include "rig.h"

#include "base/log.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DISK (1u << 20)
#define PAGE 4096u

/* Puts a file without contents where guest memory is: the next touch raises SIGBUS. */
static void take_away(struct rig *rig, uint64_t at, uint64_t len)
{
	int fd = memfd_create("taken-away", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_ptr_equal(
		mmap(rig_at(rig, at), len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0),
		rig_at(rig, at));
	close(fd);
}

/* A chain whose header nobody can read. */
static void submit_headless(struct rig *rig, unsigned queue)
{
	uint64_t header = rig_alloc(rig, PAGE, PAGE), rest = rig_alloc(rig, 1024, 512);
	struct vqdrv_buf bufs[] = {{header, 16}, {rest, 512}, {rest + 512, 1}};
	static struct rig_io io;

	take_away(rig, header, PAGE);
	rig_submit_bufs(rig, queue, &io, bufs, 2, 1);
}

static bool anything_used(struct rig *rig, unsigned queue)
{
	uint32_t len;
	void *cookie;

	return vqdrv_reap(&rig->dev.queues[queue].drv, &cookie, &len) > 0;
}

static void wait_broken(struct rig *rig, unsigned n)
{
	for (unsigned i = 0; i < 20000 && rig->dev.broken < n; i++) {
		rig_pump(rig);
		usleep(1000);
	}
	assert_true(rig->dev.broken >= n);
}

static void no_success_is_told_once_memory_is_lost(void **state)
{
	struct held_disk *d = held_disk_new(DISK);
	struct rig_options o = {.queues = 2};
	struct rig_io io[3] = {0};
	struct rig rig;

	(void)state;
	assert_int_equal(gmem_guard_install(NULL), 0);
	rig_init(&rig, &d->storage, &o);
	d->hold = true;
	/* In flight already, with all of their own memory in order, on both queues. */
	rig_submit(&rig, 0, &io[0], VIRTIO_BLK_T_OUT, 0, 512, true);
	rig_submit(&rig, 0, &io[1], VIRTIO_BLK_T_IN, 8, 512, false);
	rig_submit(&rig, 1, &io[2], VIRTIO_BLK_T_OUT, 16, 512, true);
	held_disk_wait(d, 3);
	submit_headless(&rig, 0);
	wait_broken(&rig, 1);
	rig_release(&rig, d, 0);
	wait_broken(&rig, 2);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(rig_status(&rig, &io[i]), VIRTIO_BLK_S_IOERR);
	/* None of them was published. */
	for (unsigned q = 0; q < 2; q++)
		assert_false(anything_used(&rig, q));
	rig_fini(&rig);
}

/* What a page of zeroes says is a READ of sector 0: it must not even be submitted. */
static void nothing_is_submitted_from_lost_memory(void **state)
{
	struct held_disk *d = held_disk_new(DISK);
	struct rig_options o = {.queues = 1};
	struct rig rig;
	uint64_t header, rest;
	static struct rig_io io;

	(void)state;
	assert_int_equal(gmem_guard_install(NULL), 0);
	rig_init(&rig, &d->storage, &o);
	d->hold = true;
	header = rig_alloc(&rig, PAGE, PAGE);
	rest = rig_alloc(&rig, 1024, 512);
	take_away(&rig, header, PAGE);
	rig_submit_bufs(&rig, 0, &io,
			(struct vqdrv_buf[]){{header, 16}, {rest, 512}, {rest + 512, 1}}, 1, 2);
	wait_broken(&rig, 1);
	assert_int_equal(__atomic_load_n(&d->n, __ATOMIC_ACQUIRE), 0);
	rig_fini(&rig);
}

/* The status byte itself has nowhere to go: the guest is not told of a request that succeeded. */
static void a_lost_status_byte_is_not_published(void **state)
{
	struct held_disk *d = held_disk_new(DISK);
	struct rig_options o = {.queues = 1};
	struct rig rig;
	uint64_t header, status;
	static struct rig_io io;

	(void)state;
	assert_int_equal(gmem_guard_install(NULL), 0);
	rig_init(&rig, &d->storage, &o);
	d->hold = true;
	header = rig_alloc(&rig, PAGE, PAGE);
	status = rig_alloc(&rig, PAGE, PAGE);
	memset(rig_at(&rig, header), 0, 16);
	rig_submit_bufs(&rig, 0, &io,
			(struct vqdrv_buf[]){{header, 16}, {header + 512, 512}, {status, 1}}, 1, 2);
	held_disk_wait(d, 1);
	take_away(&rig, status, PAGE);
	rig_release(&rig, d, 0);
	wait_broken(&rig, 1);
	assert_false(anything_used(&rig, 0));
	rig_fini(&rig);
}

static void no_lines(void *opaque, enum log_level level, const char *line)
{
	(void)opaque;
	(void)level;
	(void)line;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_success_is_told_once_memory_is_lost),
		cmocka_unit_test(nothing_is_submitted_from_lost_memory),
		cmocka_unit_test(a_lost_status_byte_is_not_published),
	};

	log_setup(LOG_LEVEL_ERR, no_lines, NULL);
	return cmocka_run_group_tests_name("pair/blk_lost", tests, NULL, NULL);
}
