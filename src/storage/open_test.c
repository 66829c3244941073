/* SPDX-License-Identifier: MIT */
/*
 * Disks that are opened apart: told once, on the thread that asked; side by side; cancelled at any
 * moment.  The slow one has an NBD server that takes the connection and says nothing.
 */
#include "storage/storage_test.h"

#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#define IMAGE (1u << 20)

struct place {
	char *dir, *image, *mute;
	int listening;
	struct storage_set *set;
	struct reactor *home;
};

struct told {
	struct storage_opening op;
	unsigned times;
	int rc;
	struct storage *s;
	struct error err;
	pthread_t thread;
};

static void opened(struct storage_opening *op, int rc, struct storage *s, const struct error *err)
{
	struct told *t = container_of(op, struct told, op);

	t->times++;
	t->rc = rc;
	t->s = s;
	t->err = *err;
	t->thread = pthread_self();
}

static void begin(struct place *p, struct told *t, const char *target, const char *disk)
{
	const struct storage_options o = {.target = target, .disk = disk, .set = p->set};

	*t = (struct told){.op = {.done = opened}};
	assert_int_equal(storage_open_begin(&o, p->home, &t->op, NULL), 0);
}

static void await(struct place *p, struct told *t)
{
	while (!t->times)
		reactor_turn(p->home);
}

static int set_up(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct reactor_config config = {.uring = false};
	struct place *p = calloc(1, sizeof(*p));

	p->dir = scratch_make("/tmp");
	p->image = image_make(p->dir, "image", IMAGE);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/mute", p->dir);
	assert_true(asprintf(&p->mute, "nbd+unix:///?socket=%s", a.sun_path) > 0);
	p->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(p->listening, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(p->listening, 16), 0);
	p->set = storage_set_create();
	*state = p;
	return reactor_create(&p->home, &config, NULL);
}

/* Those whose disks wait for it hear that it is gone. */
static void mute_end(struct place *p)
{
	if (p->listening >= 0)
		close(p->listening);
	p->listening = -1;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	mute_end(p);
	storage_set_put(&p->set);
	reactor_destroy(&p->home);
	scratch_remove(p->dir);
	free(p->image);
	free(p->mute);
	free(p);
	return 0;
}

static void it_is_told_once_on_the_thread_that_asked(void **state)
{
	struct place *p = *state;
	struct told t;

	begin(p, &t, "memory:1M", "disk0");
	assert_int_equal(t.times, 0);
	await(p, &t);
	assert_int_equal(t.rc, 0);
	assert_true(pthread_equal(t.thread, pthread_self()));
	assert_ptr_equal(storage_find(p->set, "disk0"), t.s);
	storage_close(&t.s);
	assert_null(storage_find(p->set, "disk0"));
	begin(p, &t, "/nowhere/x", "disk0");
	await(p, &t);
	assert_int_equal(t.rc, -ENOENT);
	assert_null(t.s);
	assert_non_null(strstr(t.err.text, "/nowhere/x does not exist"));
	/* Harmless afterwards. */
	storage_open_cancel(&t.op);
	assert_int_equal(t.times, 1);
}

static void what_was_asked_is_copied(void **state)
{
	struct place *p = *state;
	struct storage_options o = {.set = p->set};
	struct told t = {.op = {.done = opened}};
	char *target = strdup(p->image), *disk = strdup("disk7"), *group = strdup("web");

	o.target = target;
	o.disk = disk;
	o.layers.throttle.iops = 100;
	o.layers.throttle.group = group;
	assert_int_equal(storage_open_begin(&o, p->home, &t.op, NULL), 0);
	memset(target, 'x', strlen(target));
	memset(disk, 'x', strlen(disk));
	memset(group, 'x', strlen(group));
	free(target);
	free(disk);
	free(group);
	await(p, &t);
	assert_int_equal(t.rc, 0);
	assert_string_equal(storage_kind(t.s), "throttle");
	assert_ptr_equal(storage_find(p->set, "disk7"), t.s);
	storage_close(&t.s);
	assert_true(list_empty(&p->set->throttle_groups));
}

static void a_server_that_is_mute_delays_nobody(void **state)
{
	struct place *p = *state;
	struct told t[3];

	begin(p, &t[0], p->mute, "disk0");
	begin(p, &t[1], p->image, "disk1");
	begin(p, &t[2], "null:1M", "disk2");
	await(p, &t[1]);
	await(p, &t[2]);
	assert_int_equal(t[1].rc, 0);
	assert_int_equal(t[2].rc, 0);
	assert_int_equal(t[0].times, 0);
	mute_end(p);
	await(p, &t[0]);
	assert_int_equal(t[0].rc, -ECONNREFUSED);
	storage_close(&t[1].s);
	storage_close(&t[2].s);
}

/* In the order of beginning; and the second has its turn when the first came to nothing. */
static void the_second_of_one_target_is_refused(void **state)
{
	struct place *p = *state;
	struct told t[2];

	for (unsigned i = 0; i < 3; i++) {
		begin(p, &t[0], p->image, "disk0");
		begin(p, &t[1], p->image, "disk1");
		await(p, &t[0]);
		await(p, &t[1]);
		assert_int_equal(t[0].rc, 0);
		assert_int_equal(t[1].rc, -EBUSY);
		assert_non_null(strstr(t[1].err.text, "is in use by disk0"));
		storage_close(&t[0].s);
	}
	begin(p, &t[0], p->mute, "disk0");
	begin(p, &t[1], p->mute, "disk1");
	storage_open_cancel(&t[0].op);
	mute_end(p);
	await(p, &t[1]);
	assert_int_equal(t[1].rc, -ECONNREFUSED);
	assert_int_equal(t[0].times, 0);
}

/* Before, while and after it is opened: it is not told, and the image is free again. */
static void one_that_is_cancelled_leaves_nothing(void **state)
{
	struct place *p = *state;
	const struct storage_options o = {.target = p->image, .set = p->set};
	struct told t, last;

	for (unsigned i = 0; i < 60; i++) {
		struct storage *s;

		begin(p, &t, p->image, "disk0");
		usleep(i * 10);
		storage_open_cancel(&t.op);
		storage_open_cancel(&t.op);
		assert_int_equal(storage_open(&o, &s, NULL), 0);
		storage_close(&s);
		begin(p, &last, "null:1M", NULL);
		await(p, &last);
		storage_close(&last.s);
		assert_int_equal(t.times, 0);
	}
}

/* The one that is given up ends when everybody else is gone. */
static void one_that_hangs_holds_nobody(void **state)
{
	struct place *p = *state;
	struct told t;

	begin(p, &t, p->mute, "disk0");
	storage_open_cancel(&t.op);
	storage_set_put(&p->set);
	reactor_destroy(&p->home);
	mute_end(p);
	assert_int_equal(t.times, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(it_is_told_once_on_the_thread_that_asked), T(what_was_asked_is_copied),
		T(a_server_that_is_mute_delays_nobody),	     T(the_second_of_one_target_is_refused),
		T(one_that_is_cancelled_leaves_nothing),     T(one_that_hangs_holds_nobody),
	};

	return cmocka_run_group_tests_name("storage/open", tests, NULL, NULL);
}
