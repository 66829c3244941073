/* SPDX-License-Identifier: MIT */
/* errors: policies on a disk that fails by rules, with a clock of our own. */
#include "storage/layer/errors.h"
#include "storage/layer/faulty.h"
#include "storage/model_test.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "storage/file.h"

#include <errno.h>

static uint64_t test_now = 1000 * NSEC_PER_SEC;

static uint64_t test_clock(void)
{
	return test_now;
}

/* Nothing has to be waited for. */
static uint64_t fast_clock(void)
{
	return __atomic_add_fetch(&test_now, 10 * NSEC_PER_SEC, __ATOMIC_RELAXED);
}

static uint8_t mem[4096];
static struct iovec iov = {mem, sizeof(mem)};

static void open_errors(struct rig *rig, const struct storage_errors_options *errors, char *rules)
{
	struct storage_options o = {.target = "memory:1M",
				    .disk = "disk7",
				    .layers = {.errors = *errors, .faulty.rules = rules}};
	struct error err = {""};

	if (rig_open(rig, &o, false, &err))
		fail_msg("%s", err.text);
	assert_string_equal(storage_kind(rig->s), "errors");
	assert_string_equal(storage_kind(storage_below(rig->s)), "faulty");
	errors_of(rig->s)->now = test_clock;
}

static void set(struct rig *rig, const char *text)
{
	struct error err = {""};

	if (storage_set_options(rig->s, text, &err))
		fail_msg("%s", err.text);
	reactor_process(rig->r);
}

/* As when the timer comes. */
static void look(struct rig *rig)
{
	struct errors_channel *ch = container_of(layer_channel_of(rig->ch), struct errors_channel,
						 ch);

	reactor_timer_stop(rig->r, &ch->timer);
	ch->timer.expired(&ch->timer);
}

static void turn(struct rig *rig)
{
	reactor_process(rig->r);
}

static void start(struct rig *rig, struct waited *w, enum storage_op op)
{
	*w = (struct waited){.io = {.op = op, .len = sizeof(mem), .iov = &iov, .iovcnt = 1}};
	if (op == STORAGE_FLUSH)
		w->io.len = 0;
	rig_start(rig, w);
}

static void report_is_what_there_is_without_a_layer(void **state)
{
	char rules[] = "error:times=1";
	struct waited w;
	struct rig rig;

	(void)state;
	open_errors(&rig, &(struct storage_errors_options){.rerror = STORAGE_REPORT}, rules);
	start(&rig, &w, STORAGE_READ);
	assert_true(w.over);
	assert_int_equal(w.err, -EIO);
	start(&rig, &w, STORAGE_WRITE);
	assert_int_equal(w.err, 0);
	rig_close(&rig);
}

static void a_retry_pauses_longer_each_time_and_succeeds(void **state)
{
	char rules[] = "error:op=write:times=3";
	struct waited w, r;
	struct rig rig;

	(void)state;
	open_errors(&rig, &(struct storage_errors_options){.werror = STORAGE_RETRY}, rules);
	start(&rig, &w, STORAGE_WRITE);
	for (unsigned i = 1; i <= 3; i++) {
		/* Others go on. */
		start(&rig, &r, STORAGE_READ);
		assert_true(r.over);
		test_now += (ERRORS_PAUSE_NS << (i - 1)) - 1;
		look(&rig);
		assert_int_equal(errors_of(rig.s)->failures, i);
		assert_false(w.over);
		test_now += 1;
		look(&rig);
	}
	assert_true(w.over);
	assert_int_equal(w.err, 0);
	assert_int_equal(errors_of(rig.s)->failures, 3);
	rig_close(&rig);
}

static void what_is_held_waits_for_the_operator(void **state)
{
	char rules[] = "error:op=change:errno=ENOSPC";
	struct waited w[3], r;
	char text[200];
	struct rig rig;

	(void)state;
	open_errors(&rig, &(struct storage_errors_options){.werror = STORAGE_HOLD}, rules);
	start(&rig, &w[0], STORAGE_WRITE);
	start(&rig, &w[1], STORAGE_DISCARD);
	start(&rig, &w[2], STORAGE_WRITE_ZEROES);
	start(&rig, &r, STORAGE_READ);
	assert_true(r.over);
	test_now += 3600 * NSEC_PER_SEC;
	turn(&rig);
	storage_describe(rig.s, text, sizeof(text));
	assert_string_equal(text, "rerror=report, werror=hold, 3 held, 0 tried again, 3 failures, "
				  "the last of a zeroing: No space left on device");
	/* Nothing is better: they are held again. */
	assert_int_equal(storage_resume(rig.s), 3);
	turn(&rig);
	assert_false(w[0].over || w[1].over || w[2].over);
	set(&rig, "faulty.rules=");
	assert_false(w[0].over || w[1].over || w[2].over);
	assert_int_equal(storage_resume(rig.s), 3);
	turn(&rig);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(w[i].times, 1);
		assert_int_equal(w[i].err, 0);
	}
	assert_int_equal(storage_resume(rig.s), 0);
	turn(&rig);
	rig_close(&rig);
}

static void enospc_holds_for_lack_of_space_alone(void **state)
{
	char rules[] = "error:times=1;error:op=write:errno=ENOSPC:times=1;error:errno=EDQUOT";
	struct waited w[3];
	struct rig rig;

	(void)state;
	open_errors(&rig, &(struct storage_errors_options){.werror = STORAGE_ENOSPC}, rules);
	for (unsigned i = 0; i < 3; i++)
		start(&rig, &w[i], STORAGE_WRITE);
	assert_int_equal(w[0].err, -EIO);
	assert_false(w[1].over || w[2].over);
	set(&rig, "faulty.rules=");
	storage_resume(rig.s);
	turn(&rig);
	assert_true(w[1].over && w[2].over);
	assert_int_equal(w[1].err | w[2].err, 0);
	rig_close(&rig);
}

static void a_timeout_ends_the_waiting(void **state)
{
	static const enum storage_policy policies[] = {STORAGE_HOLD, STORAGE_RETRY};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(policies); i++) {
		char rules[] = "error:errno=ENOTCONN";
		struct waited w;
		struct rig rig;

		open_errors(&rig,
			    &(struct storage_errors_options){.rerror = policies[i], .timeout = 30},
			    rules);
		start(&rig, &w, STORAGE_READ);
		test_now += 29 * NSEC_PER_SEC;
		look(&rig);
		storage_resume(rig.s); /* that begins no new time */
		turn(&rig);
		assert_false(w.over);
		test_now += NSEC_PER_SEC;
		look(&rig);
		assert_true(w.over);
		assert_int_equal(w.err, -ENOTCONN);
		rig_close(&rig);
	}
}

static void a_drain_tries_once_more_and_reports(void **state)
{
	char rules[] = "error:op=write:times=2;hang:op=read";
	struct waited w[2], r;
	struct rig rig;

	(void)state;
	open_errors(
		&rig,
		&(struct storage_errors_options){.rerror = STORAGE_HOLD, .werror = STORAGE_HOLD},
		rules);
	start(&rig, &w[0], STORAGE_WRITE);
	start(&rig, &w[1], STORAGE_WRITE);
	start(&rig, &r, STORAGE_READ); /* hangs below */
	assert_false(w[0].over || w[1].over || r.over);
	set(&rig, "faulty.rules=error:op=write:times=1");
	/* Those that hung have gone on with the new rules. */
	assert_true(r.over);
	storage_drain(rig.ch, NULL);
	assert_int_equal(w[0].err, -EIO);
	assert_int_equal(w[1].err, 0);
	assert_true(w[0].times == 1 && w[1].times == 1);
	/* It holds again. */
	set(&rig, "faulty.rules=error:op=write");
	start(&rig, &w[0], STORAGE_WRITE);
	assert_false(w[0].over);
	set(&rig, "werror=report");
	assert_int_equal(w[0].err, -EIO);
	assert_int_equal(w[0].times, 1);
	rig_close(&rig);
}

static void count_line(void *opaque, enum log_level level, const char *line)
{
	(void)level;
	*(unsigned *)opaque += strstr(line, "requests are held") != NULL;
}

/* A guest resets its disk as often as it likes, and each time something is held for the first time. */
static void a_guest_does_not_fill_the_log(void **state)
{
	char rules[] = "error:op=write";
	unsigned lines = 0;
	struct waited w;
	struct rig rig;

	(void)state;
	open_errors(&rig, &(struct storage_errors_options){.werror = STORAGE_HOLD}, rules);
	log_setup(LOG_LEVEL_WARN, count_line, &lines);
	for (unsigned i = 0; i < 1000; i++) {
		start(&rig, &w, STORAGE_WRITE);
		assert_false(w.over);
		storage_drain(rig.ch, NULL);
		assert_int_equal(w.err, -EIO);
	}
	log_setup(LOG_LEVEL_WARN, NULL, NULL);
	assert_in_range(lines, 1, 100);
	rig_close(&rig);
}

/* What the device asked for wrongly is its own affair. */
static void what_cannot_be_asked_is_not_held(void **state)
{
	char rules[] = "error:errno=EOPNOTSUPP";
	struct waited w;
	struct rig rig;

	(void)state;
	open_errors(
		&rig,
		&(struct storage_errors_options){.rerror = STORAGE_HOLD, .werror = STORAGE_HOLD},
		rules);
	start(&rig, &w, STORAGE_WRITE);
	assert_int_equal(w.err, -EOPNOTSUPP);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 1 << 20, mem, 512), -EINVAL);
	rig_close(&rig);
}

/* The kernel told of lost pages once; the next sync would succeed, and lie. */
static void a_flush_of_lost_data_is_reported(void **state)
{
	char *dir = scratch_make("/tmp"), *path = image_make(dir, "disk", 1 << 20);
	struct storage_options o = {.target = path,
				    .erase = STORAGE_ERASE_OVERWRITE,
				    .layers.errors = {.werror = STORAGE_HOLD}};
	struct rig rig;
	struct file *f;

	(void)state;
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	f = container_of(storage_below(rig.s), struct file, base);
	store_release(&f->sync.lost, -EIO);
	assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), -EIO);
	/* An erase ends in a sync, which will never succeed. */
	assert_int_equal(rig_do(&rig, STORAGE_SECURE_ERASE, 0, 0, 4096), -EIO);
	rig_close(&rig);
	free(path);
	scratch_remove(dir);
}

static void a_timeout_without_a_policy_is_refused(void **state)
{
	struct storage_options o = {.target = "memory:1M", .layers.errors = {.timeout = 5}};
	struct error err = {""};
	struct storage *s;

	(void)state;
	assert_int_equal(storage_open(&o, &s, &err), -EINVAL);
	assert_non_null(strstr(err.text, "errors.timeout"));
}

/* Every request fails now and then, in every way, on every channel; none is lost or told twice. */
static void the_model_disk_on_one_that_fails(void **state)
{
	char rules[] = "error:percent=15;short:percent=15;torn:percent=30";
	struct storage_options o = {
		.target = "memory:4M",
		.layers = {.errors = {.rerror = STORAGE_RETRY, .werror = STORAGE_RETRY},
			   .faulty.rules = rules}};
	struct storage *s;

	(void)state;
	assert_int_equal(storage_open(&o, &s, NULL), 0);
	errors_of(s)->now = fast_clock;
	log_setup(LOG_LEVEL_ERR, NULL, NULL);
	model_run_on(s, NULL, 300);
	assert_true(errors_of(s)->failures > 100);
	storage_close(&s);
}

/* The operator says go on, again and again, while all channels are at work. */
struct nagging {
	struct storage *s;
	bool end;
};

static void *nag(void *arg)
{
	struct nagging *n = arg;

	while (!load_acquire(&n->end)) {
		storage_resume(n->s);
		usleep(200);
	}
	return NULL;
}

static void the_model_disk_that_is_held_and_resumed(void **state)
{
	char rules[] = "error:percent=5";
	struct storage_options o = {
		.target = "memory:4M",
		.layers = {.errors = {.rerror = STORAGE_HOLD, .werror = STORAGE_HOLD},
			   .faulty.rules = rules}};
	struct nagging n = {0};
	pthread_t thread;

	(void)state;
	log_setup(LOG_LEVEL_ERR, NULL, NULL);
	assert_int_equal(storage_open(&o, &n.s, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, nag, &n), 0);
	model_run_on(n.s, NULL, 200);
	store_release(&n.end, true);
	pthread_join(thread, NULL);
	storage_close(&n.s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(report_is_what_there_is_without_a_layer),
		cmocka_unit_test(a_retry_pauses_longer_each_time_and_succeeds),
		cmocka_unit_test(what_is_held_waits_for_the_operator),
		cmocka_unit_test(enospc_holds_for_lack_of_space_alone),
		cmocka_unit_test(a_timeout_ends_the_waiting),
		cmocka_unit_test(a_drain_tries_once_more_and_reports),
		cmocka_unit_test(a_guest_does_not_fill_the_log),
		cmocka_unit_test(what_cannot_be_asked_is_not_held),
		cmocka_unit_test(a_flush_of_lost_data_is_reported),
		cmocka_unit_test(a_timeout_without_a_policy_is_refused),
		cmocka_unit_test(the_model_disk_on_one_that_fails),
		cmocka_unit_test(the_model_disk_that_is_held_and_resumed),
	};

	return cmocka_run_group_tests_name("storage/layer/errors", tests, NULL, NULL);
}
