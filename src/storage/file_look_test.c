/* SPDX-License-Identifier: MIT */
/* The periodical look: images that go away under us, file systems that may not answer. */
#include "storage/file.h"
#include "storage/place_test.h"

#include "base/atomic.h"
#include "base/log.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/magic.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

static char said[512];
static unsigned lines;

static void note_line(void *opaque, enum log_level level, const char *line)
{
	(void)opaque;
	(void)level;
	lines++;
	snprintf(said, sizeof(said), "%s", line);
}

/*
 * Whether a path is followed by the thread that looks at disks: this program's stat() is its own.
 */
static pthread_t control;
static unsigned followed;

int stat(const char *path, struct stat *st)
{
	int (*fn)(const char *path, struct stat *st) = dlsym(RTLD_NEXT, "stat");

	if (pthread_equal(pthread_self(), control))
		followed++;
	return fn(path, st);
}

static void look(struct storage *s)
{
	followed = 0;
	assert_int_equal(storage_refresh(s), 0);
	assert_int_equal(followed, 0);
}

/* A look says this, and those after it nothing. */
static void look_says(struct storage *s, const char *what)
{
	lines = 0;
	for (unsigned i = 0; !lines && i < (what ? 100000 : 3); i++) {
		look(s);
		usleep(what ? 100 : 0);
	}
	assert_int_equal(lines, what != NULL);
	if (what && !strstr(said, what))
		fail_msg("said: %s", said);
	for (unsigned i = 0; i < 20; i++) {
		look(s);
		usleep(100);
	}
	assert_int_equal(lines, what != NULL);
}

static void an_image_that_goes_away_is_told_once(void **state)
{
	struct place p = place_make(".", MIB);
	char *aside = NULL, *other;
	uint8_t buf[512] = {0};
	struct rig rig;

	(void)state;
	control = pthread_self();
	assert_true(asprintf(&aside, "%s/aside", p.dir) > 0);
	assert_int_equal(rig_open(&rig, &(struct storage_options){.target = p.path}, false, NULL),
			 0);
	log_setup(LOG_LEVEL_INFO, note_line, NULL);
	look_says(rig.s, NULL);
	/* While it is where it was no thread is needed to find that out. */
	if (!container_of(rig.s, struct file, base)->look_apart)
		assert_false(container_of(rig.s, struct file, base)->place_apart);
	assert_int_equal(rename(p.path, aside), 0);
	look_says(rig.s, "moved away");
	assert_int_equal(rename(aside, p.path), 0);
	look_says(rig.s, "in its place again");
	assert_int_equal(rename(p.path, aside), 0);
	other = image_make(p.dir, "disk.raw", 2 * MIB);
	look_says(rig.s, "another file");
	assert_true(storage_size(rig.s) == MIB);
	assert_int_equal(unlink(aside), 0);
	look_says(rig.s, "deleted");
	/* It goes on. */
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, buf, sizeof(buf)), 0);
	log_setup(LOG_LEVEL_INFO, NULL, NULL);
	rig_close(&rig);
	free(other);
	free(aside);
	place_remove(&p);
}

static void kinds_that_may_hang(void **state)
{
	(void)state;
	assert_string_equal(file_hang_kind(NFS_SUPER_MAGIC), "nfs");
	assert_string_equal(file_hang_kind(0x65735546), "fuse");
	/* As statfs() tells it where the field is signed and longer. */
	assert_string_equal(file_hang_kind((uint64_t)(int32_t)0xff534d42), "cifs");
	assert_string_equal(file_hang_kind(V9FS_MAGIC), "9p");
	assert_null(file_hang_kind(EXT4_SUPER_MAGIC));
	assert_null(file_hang_kind(TMPFS_MAGIC));
	assert_null(file_hang_kind(XFS_SUPER_MAGIC));
}

/* A look on its own thread brings the same news, at a later look. */
static void a_look_apart_brings_its_news_later(void **state)
{
	struct place p = place_make(".", MIB);
	struct storage *s;

	(void)state;
	assert_int_equal(storage_open(&(struct storage_options){.target = p.path}, &s, NULL), 0);
	container_of(s, struct file, base)->look_apart = true;
	assert_int_equal(storage_refresh(s), 0);
	place_truncate(&p, 2 * MIB);
	/* The first look may have been before or after. */
	while (!storage_refresh(s))
		usleep(100);
	assert_true(storage_size(s) == 2 * MIB);
	assert_int_equal(storage_refresh(s), 0);
	storage_close(&s); /* perhaps with a look under way */
	place_remove(&p);
}

/* ---- threads that do not get on ---- */

static sem_t get_on;
static bool hold_threads;

struct held_thread {
	void *(*run)(void *arg);
	void *arg;
};

static void *run_held(void *arg)
{
	struct held_thread h = *(struct held_thread *)arg;

	free(arg);
	while (sem_wait(&get_on))
		;
	return h.run(h.arg);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
	int (*fn)(pthread_t * thread, const pthread_attr_t *attr, void *(*run)(void *),
		  void *arg) = dlsym(RTLD_NEXT, "pthread_create");
	struct held_thread *h;

	if (!read_once(&hold_threads))
		return fn(thread, attr, run, arg);
	h = malloc(sizeof(*h));
	assert_non_null(h);
	*h = (struct held_thread){run, arg};
	return fn(thread, attr, run_held, h);
}

/* Its file may be closed some time later; whoever wants the image next need not wait for that. */
static void a_closed_disk_has_no_lock(void **state)
{
	struct place p = place_make(".", MIB);
	const struct storage_options mine = {.target = p.path};
	struct storage *s, *next;
	struct error err;

	(void)state;
	sem_init(&get_on, 0, 0);
	assert_int_equal(storage_open(&mine, &s, NULL), 0);
	if (container_of(s, struct file, base)->may_hang) {
		storage_close(&s);
		place_remove(&p);
		skip(); /* there it goes when the file system answers */
	}
	assert_int_equal(storage_open(&mine, &next, &err), -EBUSY);
	container_of(s, struct file, base)->look_apart = true;
	write_once(&hold_threads, true);
	storage_close(&s);
	write_once(&hold_threads, false);
	assert_int_equal(storage_open(&mine, &next, &err), 0);
	sem_post(&get_on);
	storage_close(&next);
	place_remove(&p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_image_that_goes_away_is_told_once),
		cmocka_unit_test(kinds_that_may_hang),
		cmocka_unit_test(a_look_apart_brings_its_news_later),
		cmocka_unit_test(a_closed_disk_has_no_lock),
	};

	return cmocka_run_group_tests_name("storage/file_look", tests, NULL, NULL);
}
