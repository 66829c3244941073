/* SPDX-License-Identifier: MIT */
/*
 * throttle: the accounting against a clock of our own, and the layer with requests.  No test waits
 * for time to pass but where the time is its own.
 */
#include "storage/layer/throttle.h"
#include "storage/model_test.h"

#include "base/clock.h"

#include <errno.h>

#define START (1000 * NSEC_PER_SEC)

/* ---- the accounting ---- */

/* Requests that pass until @until, when as many as may be always wait. */
static uint64_t passed(struct throttle_rate *r, enum throttle_direction dir, uint64_t bytes,
		       uint64_t *now, uint64_t until, uint64_t late)
{
	bool waited = false;
	uint64_t n = 0;

	for (;;) {
		uint64_t wait = throttle_rate_wait(r, dir, *now);

		waited |= wait;
		if (wait)
			*now += wait + late;
		if (*now >= until)
			return n;
		if (throttle_rate_wait(r, dir, *now))
			continue;
		throttle_rate_take(r, dir, bytes, waited, *now);
		n++;
	}
}

static void check_rate(const struct storage_throttle_options *o, enum throttle_direction dir,
		       uint64_t bytes, double per_second, uint64_t late)
{
	static const uint64_t seconds[] = {1, 10};

	for (unsigned i = 0; i < ARRAY_SIZE(seconds); i++) {
		double want = per_second * (double)seconds[i], allowed = want * 0.02 + 1;
		struct throttle_rate r;
		uint64_t now = START, got;

		if (want > 200000)
			continue;
		throttle_rate_set(&r, o, now);
		got = passed(&r, dir, bytes, &now, START + seconds[i] * NSEC_PER_SEC, late);
		if ((double)got < want - allowed || (double)got > want + allowed)
			fail_msg("%llu passed in %llu s at %f a second", (unsigned long long)got,
				 (unsigned long long)seconds[i], per_second);
	}
}

static void the_rate_is_right_over_one_second_and_ten(void **state)
{
	static const uint64_t iops[] = {1, 7, 10, 100, 333, 500, 9999, 123457};
	static const uint64_t lates[] = {0, 50 * NSEC_PER_USEC, 5 * NSEC_PER_MSEC};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(iops); i++)
		for (unsigned k = 0; k < ARRAY_SIZE(lates); k++) {
			struct storage_throttle_options o = {.iops = iops[i]};

			check_rate(&o, THROTTLE_READ, 4096, (double)iops[i], lates[k]);
			o = (struct storage_throttle_options){.iops_write = iops[i]};
			check_rate(&o, THROTTLE_WRITE, 512, (double)iops[i], lates[k]);
		}
	for (unsigned k = 0; k < ARRAY_SIZE(lates); k++) {
		struct storage_throttle_options o = {.bps = 50u << 20};

		check_rate(&o, THROTTLE_READ, 4096, 12800, lates[k]);
		check_rate(&o, THROTTLE_WRITE, 1 << 20, 50, lates[k]);
		o = (struct storage_throttle_options){.bps_read = 1000003};
		check_rate(&o, THROTTLE_READ, 512, 1000003 / 512.0, lates[k]);
	}
}

static void the_other_direction_is_not_limited(void **state)
{
	struct storage_throttle_options o = {.iops_read = 1, .bps_read = 512};
	struct throttle_rate r;

	(void)state;
	throttle_rate_set(&r, &o, START);
	throttle_rate_take(&r, THROTTLE_READ, 4096, false, START);
	assert_true(throttle_rate_wait(&r, THROTTLE_READ, START) > 0);
	for (unsigned i = 0; i < 1000; i++) {
		assert_true(throttle_rate_wait(&r, THROTTLE_WRITE, START) == 0);
		throttle_rate_take(&r, THROTTLE_WRITE, 1 << 20, false, START);
	}
}

static void who_stays_below_the_limit_never_waits(void **state)
{
	struct storage_throttle_options o = {.iops = 500, .bps = 500 * 4096};
	struct throttle_rate r;
	uint64_t now = START;

	(void)state;
	throttle_rate_set(&r, &o, now);
	for (unsigned i = 0; i < 10000; i++, now += NSEC_PER_SEC / 499) {
		assert_true(throttle_rate_wait(&r, THROTTLE_READ, now) == 0);
		throttle_rate_take(&r, THROTTLE_READ, 4096, false, now);
	}
}

/* Five times the limit for two seconds, then the limit; and as much again after a rest. */
static void a_burst_has_a_size_and_a_length(void **state)
{
	struct storage_throttle_options o = {.iops = 1000, .burst = 5, .burst_length = 2};
	struct throttle_rate r;
	uint64_t now = START, n;

	(void)state;
	throttle_rate_set(&r, &o, now);
	for (unsigned round = 0; round < 2; round++) {
		uint64_t begin = now;

		n = passed(&r, THROTTLE_READ, 512, &now, begin + NSEC_PER_SEC, 0);
		assert_in_range(n, 4900, 5100);
		n = passed(&r, THROTTLE_READ, 512, &now, begin + 2 * NSEC_PER_SEC, 0);
		assert_in_range(n, 4900, 5100);
		n = passed(&r, THROTTLE_READ, 512, &now, begin + 3 * NSEC_PER_SEC, 0);
		assert_in_range(n, 980, 1100);
		n = passed(&r, THROTTLE_READ, 512, &now, begin + 4 * NSEC_PER_SEC, 0);
		assert_in_range(n, 980, 1020);
		now += 9 * NSEC_PER_SEC;
	}
}

static void a_request_larger_than_a_second_of_the_limit_passes(void **state)
{
	struct storage_throttle_options o = {.bps = 1 << 20};
	struct throttle_rate r;

	(void)state;
	throttle_rate_set(&r, &o, START);
	assert_true(throttle_rate_wait(&r, THROTTLE_READ, START) == 0);
	throttle_rate_take(&r, THROTTLE_READ, 4 << 20, false, START);
	assert_true(throttle_rate_wait(&r, THROTTLE_READ, START) ==
		    4 * NSEC_PER_SEC - THROTTLE_SLACK_NS);
	assert_true(throttle_rate_wait(&r, THROTTLE_READ, START + 4 * NSEC_PER_SEC) == 0);
	/* The largest that there are do not overflow. */
	throttle_rate_take(&r, THROTTLE_READ, UINT64_MAX, false, START + 4 * NSEC_PER_SEC);
	assert_true(throttle_rate_wait(&r, THROTTLE_READ, START + 4 * NSEC_PER_SEC) >
		    8000 * NSEC_PER_SEC);
	throttle_rate_forgive(&r, START, NSEC_PER_SEC);
	assert_true(throttle_rate_wait(&r, THROTTLE_READ, START) == NSEC_PER_SEC);
}

static void what_was_not_used_is_lost(void **state)
{
	struct storage_throttle_options o = {.iops = 100};
	struct throttle_rate r;
	uint64_t now = START;

	(void)state;
	throttle_rate_set(&r, &o, now);
	throttle_rate_take(&r, THROTTLE_READ, 512, false, now);
	now += 3600 * NSEC_PER_SEC;
	for (unsigned i = 0; i < 2; i++) {
		assert_true(throttle_rate_wait(&r, THROTTLE_READ, now) == 0);
		throttle_rate_take(&r, THROTTLE_READ, 512, false, now);
	}
	assert_true(throttle_rate_wait(&r, THROTTLE_READ, now) > 0);
}

/* ---- the layer ---- */

static uint64_t test_now = START;

static uint64_t test_clock(void)
{
	return __atomic_load_n(&test_now, __ATOMIC_RELAXED);
}

static void time_passes(uint64_t ns)
{
	__atomic_add_fetch(&test_now, ns, __ATOMIC_RELAXED);
}

static struct throttle_group *group_of(struct rig *rig)
{
	return container_of(layer_channel_of(rig->ch), struct throttle_member, ch)->group;
}

static void rig_make(struct rig *rig, const struct storage_options *o)
{
	struct error err = {""};

	if (rig_open(rig, o, false, &err))
		fail_msg("%s", err.text);
	group_of(rig)->now = test_clock;
	throttle_group_change(group_of(rig), &o->layers.throttle);
}

/* Turns until the timer has looked at the clock; it comes a millisecond late at most. */
static void look(struct rig *rig)
{
	struct throttle_member *m = container_of(layer_channel_of(rig->ch), struct throttle_member,
						 ch);

	reactor_timer_stop(rig->r, &m->timer);
	m->timer.expired(&m->timer);
}

static void read_some(struct rig *rig, struct waited *w, unsigned n, struct iovec *iov)
{
	for (unsigned i = 0; i < n; i++) {
		w[i] = (struct waited){
			.io = {.op = STORAGE_READ, .len = 512, .iov = iov, .iovcnt = 1}};
		rig_start(rig, &w[i]);
	}
}

static unsigned over(const struct waited *w, unsigned n)
{
	unsigned done = 0;

	for (unsigned i = 0; i < n; i++) {
		assert_true(w[i].times <= 1);
		done += w[i].over;
	}
	return done;
}

static uint8_t mem[512];

static void requests_wait_for_their_time(void **state)
{
	struct storage_options o = {.target = "memory:1M", .layers.throttle = {.iops = 10}};
	struct iovec iov = {mem, sizeof(mem)};
	struct waited w[8];
	struct rig rig;

	(void)state;
	rig_make(&rig, &o);
	read_some(&rig, w, 8, &iov);
	for (unsigned i = 1; i <= 8; i++) {
		assert_int_equal(over(w, 8), i);
		assert_true(w[i - 1].over); /* in their order */
		time_passes(NSEC_PER_SEC / 10);
		look(&rig);
	}
	rig_close(&rig);
}

/* The thread is late each time; the rate is right all the same, with one request in flight. */
static void a_late_thread_loses_nothing(void **state)
{
	struct storage_options o = {.target = "memory:1M", .layers.throttle = {.iops = 100}};
	struct iovec iov = {mem, sizeof(mem)};
	struct waited w = {.over = true};
	unsigned n = 0;
	struct rig rig;

	(void)state;
	rig_make(&rig, &o);
	for (unsigned i = 0; i < 10; i++) {
		look(&rig);
		while (w.over) {
			read_some(&rig, &w, 1, &iov);
			n++;
		}
		time_passes(35 * NSEC_PER_MSEC);
	}
	assert_in_range(n, 34, 36);
	look(&rig);
	/* A pause is one, however: then there is the slack and no more. */
	time_passes(10 * NSEC_PER_SEC);
	for (n = 0; w.over; n++)
		read_some(&rig, &w, 1, &iov);
	assert_int_equal(n, 3);
	storage_drain(rig.ch, NULL);
	rig_close(&rig);
}

static void flushes_pass_at_once(void **state)
{
	struct storage_options o = {.target = "memory:1M", .layers.throttle = {.iops = 1}};
	struct iovec iov = {mem, sizeof(mem)};
	struct waited w[2];
	struct rig rig;

	(void)state;
	rig_make(&rig, &o);
	read_some(&rig, w, 2, &iov);
	assert_int_equal(over(w, 2), 1);
	assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), 0);
	assert_int_equal(over(w, 2), 1);
	storage_drain(rig.ch, NULL);
	assert_int_equal(over(w, 2), 2);
	rig_close(&rig);
}

struct noted_drain {
	struct storage_drain d;
	unsigned times;
};

static void note_drain(struct storage_drain *d)
{
	container_of(d, struct noted_drain, d)->times++;
}

static void a_drain_lets_all_go_and_answers_once(void **state)
{
	struct storage_options o = {.target = "memory:1M", .layers.throttle = {.iops = 1}};
	struct noted_drain d = {.d.done = note_drain}, idle = {.d.done = note_drain};
	struct iovec iov = {mem, sizeof(mem)};
	struct waited *w = calloc(3000, sizeof(*w));
	struct rig rig;

	(void)state;
	assert_non_null(w);
	rig_make(&rig, &o);
	storage_drain(rig.ch, &idle.d);
	assert_int_equal(idle.times, 1);
	/* More than the pool holds. */
	read_some(&rig, w, 3000, &iov);
	assert_int_equal(over(w, 3000), 1);
	storage_drain(rig.ch, &d.d);
	assert_int_equal(over(w, 3000), 3000);
	assert_int_equal(d.times, 1);
	/* The limit holds again, with a debt of a second at most. */
	read_some(&rig, w, 1, &iov);
	assert_int_equal(over(w, 1), 0);
	time_passes(NSEC_PER_SEC + NSEC_PER_MSEC);
	look(&rig);
	assert_int_equal(over(w, 1), 1);
	rig_close(&rig);
	free(w);
}

static void limits_change_while_requests_wait(void **state)
{
	struct storage_options o = {.target = "memory:1M", .layers.throttle = {.iops = 1}};
	struct error err = {""};
	struct iovec iov = {mem, sizeof(mem)};
	struct waited w[100];
	struct rig rig;
	char text[160];

	(void)state;
	rig_make(&rig, &o);
	read_some(&rig, w, 100, &iov);
	assert_int_equal(over(w, 100), 1);
	assert_int_equal(storage_set_options(rig.s, "throttle.iops=0,throttle.bps=512000", &err),
			 0);
	storage_describe(rig.s, text, sizeof(text));
	assert_string_equal(text, "bps=512000, 99 waiting, 99 have waited");
	/* The bell, and what a slack of 10 ms allows. */
	reactor_process(rig.r);
	assert_int_equal(over(w, 100), 12);
	time_passes(20 * NSEC_PER_MSEC);
	look(&rig);
	assert_int_equal(over(w, 100), 32);
	assert_int_equal(storage_set_options(rig.s, "throttle.bps=0", &err), 0);
	reactor_process(rig.r);
	assert_int_equal(over(w, 100), 100);

	assert_int_equal(storage_set_options(rig.s, "throttle.iops=x", &err), -EINVAL);
	assert_int_equal(storage_set_options(rig.s, "throttle.group=a", &err), -EINVAL);
	assert_int_equal(storage_set_options(rig.s, "readonly=on", &err), -EINVAL);
	assert_int_equal(storage_set_options(rig.s, "throttle.iops=5,throttle.iops-read=6", &err),
			 -EINVAL);
	assert_non_null(strstr(err.text, "both directions"));
	rig_close(&rig);
}

/* One has a hundred requests waiting, the other never more than one. */
static void members_of_a_group_take_turns(void **state)
{
	struct storage_set set;
	char name[] = "web";
	struct storage_options o = {.target = "memory:1M",
				    .set = &set,
				    .layers.throttle = {.iops = 100, .group = name}};
	struct iovec iov = {mem, sizeof(mem)};
	struct waited many[100], one;
	unsigned ones = 0;
	struct rig a, b;

	(void)state;
	storage_set_init(&set);
	rig_make(&a, &o);
	o.layers.throttle = (struct storage_throttle_options){.group = name};
	rig_make(&b, &o);
	assert_ptr_equal(group_of(&a), group_of(&b));
	o.layers.throttle.iops = 100;
	throttle_group_change(group_of(&a), &o.layers.throttle);
	read_some(&a, many, 100, &iov);
	assert_int_equal(over(many, 100), 2);
	read_some(&b, &one, 1, &iov);
	for (unsigned i = 0; i < 50; i++) {
		time_passes(10 * NSEC_PER_MSEC);
		look(&a);
		reactor_process(b.r);
		if (one.over) {
			ones++;
			read_some(&b, &one, 1, &iov);
		}
	}
	assert_int_equal(ones, 25);
	assert_int_equal(over(many, 100), 2 + 25);
	storage_drain(a.ch, NULL);
	assert_int_equal(over(many, 100), 100);
	/* The keeper goes; the other one has the timer now. */
	rig_close(&a);
	reactor_process(b.r);
	time_passes(2 * NSEC_PER_SEC);
	look(&b);
	assert_true(one.over);
	rig_close(&b);
	assert_true(list_empty(&set.throttle_groups));
}

static void reads_do_not_wait_behind_writes(void **state)
{
	struct storage_options o = {.target = "memory:1M", .layers.throttle = {.iops_write = 1}};
	struct iovec iov = {mem, sizeof(mem)};
	struct waited r[4], w[4];
	struct rig rig;

	(void)state;
	rig_make(&rig, &o);
	for (unsigned i = 0; i < 4; i++) {
		w[i] = (struct waited){
			.io = {.op = STORAGE_WRITE, .len = 512, .iov = &iov, .iovcnt = 1}};
		rig_start(&rig, &w[i]);
	}
	assert_int_equal(over(w, 4), 1);
	read_some(&rig, r, 4, &iov);
	assert_int_equal(over(r, 4), 4);
	storage_drain(rig.ch, NULL);
	assert_int_equal(over(w, 4), 4);
	rig_close(&rig);
}

static void options_that_cannot_be_are_refused(void **state)
{
	static const struct {
		struct storage_throttle_options o;
		const char *words;
	} bad[] = {
		{{.iops = 5, .iops_read = 6}, "throttle.iops-read=6"},
		{{.bps = 5, .bps_write = 6}, "throttle.bps-write=6"},
		{{.iops = 5, .burst_length = 3}, "throttle.burst"},
	};
	struct storage_set set;
	char name[] = "web";
	struct storage_options o = {.target = "memory:1M",
				    .set = &set,
				    .layers.throttle = {.iops = 100, .group = name}};
	struct storage *s, *other;
	struct error err = {""};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct storage_options b = {.target = "memory:1M", .layers.throttle = bad[i].o};

		assert_int_equal(storage_open(&b, &s, &err), -EINVAL);
		assert_non_null(strstr(err.text, bad[i].words));
	}
	storage_set_init(&set);
	assert_int_equal(storage_open(&o, &s, &err), 0);
	o.layers.throttle.iops = 101;
	assert_int_equal(storage_open(&o, &other, &err), -EINVAL);
	assert_non_null(strstr(err.text, "group web"));
	storage_close(&s);
}

static void the_stack_has_names_and_states(void **state)
{
	struct storage_options o = {.target = "memory:1M", .layers.throttle = {.iops = 100}};
	struct storage *s, *plain;
	struct error err = {""};
	char text[80];

	(void)state;
	assert_int_equal(storage_open(&o, &s, NULL), 0);
	assert_string_equal(storage_kind(s), "throttle");
	storage_describe(s, text, sizeof(text));
	assert_string_equal(text, "iops=100, 0 waiting, 0 have waited");
	assert_string_equal(storage_kind(storage_below(s)), "memory");
	assert_null(storage_below(storage_below(s)));
	storage_close(&s);
	o.layers.throttle.iops = 0;
	assert_int_equal(storage_open(&o, &plain, NULL), 0);
	assert_string_equal(storage_kind(plain), "memory");
	assert_int_equal(storage_set_options(plain, "throttle.iops=5", &err), -EINVAL);
	assert_non_null(strstr(err.text, "no option that can change"));
	storage_close(&plain);
}

/* ---- under load ---- */

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rate_is_right_over_one_second_and_ten),
		cmocka_unit_test(the_other_direction_is_not_limited),
		cmocka_unit_test(who_stays_below_the_limit_never_waits),
		cmocka_unit_test(a_burst_has_a_size_and_a_length),
		cmocka_unit_test(a_request_larger_than_a_second_of_the_limit_passes),
		cmocka_unit_test(what_was_not_used_is_lost),
		cmocka_unit_test(requests_wait_for_their_time),
		cmocka_unit_test(a_late_thread_loses_nothing),
		cmocka_unit_test(flushes_pass_at_once),
		cmocka_unit_test(a_drain_lets_all_go_and_answers_once),
		cmocka_unit_test(limits_change_while_requests_wait),
		cmocka_unit_test(members_of_a_group_take_turns),
		cmocka_unit_test(reads_do_not_wait_behind_writes),
		cmocka_unit_test(options_that_cannot_be_are_refused),
		cmocka_unit_test(the_stack_has_names_and_states),
	};

	return cmocka_run_group_tests_name("storage/layer/throttle", tests, NULL, NULL);
}
