/* SPDX-License-Identifier: MIT */
/* faulty: the rules alone, and a disk that obeys them. */
#include "storage/layer/faulty.h"
#include "storage/model_test.h"

#include "base/clock.h"

#include <errno.h>

#define DISK 65536u

/* ---- rules ---- */

static const struct faulty_rule *meet(struct faulty_rules *r, enum storage_op op, uint64_t offset,
				      uint64_t len, uint64_t ms)
{
	const struct storage_io io = {.op = op, .offset = offset, .len = len};

	return faulty_rules_meet(r, &io, ms);
}

static void rules_are_met_by_place_count_and_time(void **state)
{
	struct faulty_rules r;
	struct error err = {""};

	(void)state;
	assert_int_equal(faulty_rules_parse(&r,
					    "error:op=write:offset=4K:length=512:errno=ENOSPC;"
					    "delay:op=read:after=2:times=3:ms=7;"
					    "error:op=flush:from=100:until=200",
					    0, &err),
			 0);
	assert_int_equal(r.n, 3);
	assert_null(meet(&r, STORAGE_WRITE, 3584, 512, 0));
	assert_null(meet(&r, STORAGE_WRITE, 4608, 512, 0));
	assert_null(meet(&r, STORAGE_DISCARD, 4096, 512, 0));
	assert_int_equal(meet(&r, STORAGE_WRITE, 0, 8192, 0)->err, -ENOSPC);
	for (unsigned i = 0; i < 10; i++) {
		const struct faulty_rule *rule = meet(&r, STORAGE_READ, 0, 512, 0);

		assert_int_equal(rule != NULL, i >= 2 && i < 5);
		if (rule)
			assert_int_equal(rule->delay_ms, 7);
	}
	assert_null(meet(&r, STORAGE_FLUSH, 0, 0, 99));
	assert_non_null(meet(&r, STORAGE_FLUSH, 0, 0, 100));
	assert_null(meet(&r, STORAGE_FLUSH, 0, 0, 200));
}

static void chance_is_fixed_by_the_seed(void **state)
{
	unsigned n[3] = {0}, same = 0;
	bool met[2][1000];

	(void)state;
	for (unsigned seed = 0; seed < 3; seed++) {
		struct faulty_rules r;

		assert_int_equal(faulty_rules_parse(&r, "error:percent=20", seed / 2, NULL), 0);
		for (unsigned i = 0; i < 1000; i++) {
			bool now = meet(&r, STORAGE_READ, 0, 512, 0);

			n[seed] += now;
			if (seed < 2)
				met[seed][i] = now;
			else
				same += now == met[0][i];
		}
	}
	assert_memory_equal(met[0], met[1], sizeof(met[0]));
	assert_in_range(n[0], 150, 250);
	assert_in_range(n[2], 150, 250);
	assert_in_range(same, 500, 900);
}

static void rules_that_cannot_be_are_one_sentence(void **state)
{
	static const struct {
		const char *text, *words;
	} bad[] = {
		{"explode", "kind of fault"},
		{"error:op=scan", "kind of request"},
		{"error:errno=EHARD", "no error"},
		{"error:errno=5", "no error"},
		{"error:colour=red", "no field \"colour\""},
		{"error:times", "no value"},
		{"error:times=0", "times=0"},
		{"error:percent=101", "percent=101"},
		{"error:offset=x", "give a size"},
		{"torn:op=read", "cannot be torn"},
		{"lost:op=read", "cannot be lost"},
		{"delay", "ms=N"},
		{"error;;error", "kind of fault"},
		{"error;error;error;error;error;error;error;error;error;error;error;error;error;"
		 "error;error;error;error",
		 "more than 16"},
	};
	struct faulty_rules r;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct error err = {""};

		assert_int_equal(faulty_rules_parse(&r, bad[i].text, 0, &err), -EINVAL);
		if (!strstr(err.text, bad[i].words))
			fail_msg("%s: %s", bad[i].text, err.text);
	}
	assert_int_equal(faulty_rules_parse(&r, "", 0, NULL), 0);
	assert_int_equal(r.n, 0);
}

/* ---- a disk ---- */

static void open_faulty(struct rig *rig, char *rules)
{
	struct storage_options o = {.target = "memory:64K", .layers.faulty.rules = rules};
	struct error err = {""};

	if (rig_open(rig, &o, false, &err))
		fail_msg("%s", err.text);
}

static void change(struct rig *rig, const char *rules)
{
	struct error err = {""};
	char text[200];

	snprintf(text, sizeof(text), "faulty.rules=%s", rules);
	if (storage_set_options(rig->s, text, &err))
		fail_msg("%s", err.text);
	reactor_process(rig->r);
}

static void errors_are_answered_and_nothing_is_done(void **state)
{
	char rules[] = "error:op=write:errno=ENOSPC;error:op=change;error:op=any:errno=ENOTCONN";
	uint8_t buf[512];
	struct rig rig;

	(void)state;
	open_faulty(&rig, rules);
	memset(buf, 5, sizeof(buf));
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, buf, 512), -ENOSPC);
	assert_int_equal(rig_do(&rig, STORAGE_DISCARD, 0, 0, 512), -EIO);
	assert_int_equal(rig_do(&rig, STORAGE_WRITE_ZEROES, 0, 0, 512), -EIO);
	assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), -ENOTCONN);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, buf, 512), -ENOTCONN);
	change(&rig, "");
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, buf, 512), 0);
	assert_true(all_bytes_are(buf, 0, 512));
	rig_close(&rig);
}

/* A front part of it for short, some sectors for torn; never all, and the vector as it was. */
static void short_and_torn_writes_leave_something_out(void **state)
{
	static const char *const kinds[] = {"short", "torn"};
	uint8_t *buf = malloc(DISK), *got = malloc(DISK);
	bool holes = false, some = false;

	(void)state;
	assert_true(buf && got);
	for (unsigned k = 0; k < 2; k++) {
		char rules[16];
		struct rig rig;

		snprintf(rules, sizeof(rules), "%s", kinds[k]);
		open_faulty(&rig, rules);
		for (unsigned round = 0; round < 50; round++) {
			struct iovec iov[3] = {{buf, 700}, {buf + 700, 0}, {buf + 700, DISK - 700}};
			struct iovec before[3];
			struct waited w = {
				.io = {.op = STORAGE_WRITE, .len = DISK, .iov = iov, .iovcnt = 3}};
			unsigned written = 0, gaps = 0;

			memset(buf, (int)(round + 1), DISK);
			memcpy(before, iov, sizeof(iov));
			rig_start(&rig, &w);
			assert_int_equal(rig_wait(&rig, &w), -EIO);
			assert_memory_equal(iov, before, sizeof(iov));
			change(&rig, "");
			assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, got, DISK), 0);
			change(&rig, kinds[k]);
			for (unsigned s = 0; s < DISK / 512; s++) {
				bool is = got[s * 512] == round + 1;

				assert_true(all_bytes_are(got + s * 512, got[s * 512], 512));
				written += is;
				gaps += is && s && got[(s - 1) * 512] != round + 1;
			}
			assert_true(written < DISK / 512);
			assert_true(k || !gaps);
			holes |= gaps;
			some |= written;
			/* The next round changes the seed's place, not the seed. */
			assert_int_equal(faulty_of(rig.s)->faults, round + 1);
			for (unsigned i = 0; i <= round; i++)
				faulty_random(&faulty_of(rig.s)->rules.random);
		}
		rig_close(&rig);
	}
	assert_true(holes && some);
	free(got);
	free(buf);
}

static void a_lost_write_is_told_to_be_done(void **state)
{
	char rules[] = "lost:op=write:times=1";
	uint8_t buf[512];
	struct rig rig;

	(void)state;
	open_faulty(&rig, rules);
	memset(buf, 9, sizeof(buf));
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, STORAGE_FUA, 0, buf, 512), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, buf, 512), 0);
	assert_true(all_bytes_are(buf, 0, 512));
	rig_close(&rig);
}

static uint64_t test_now = 1000 * NSEC_PER_SEC;

static uint64_t test_clock(void)
{
	return test_now;
}

static void delays_and_hangs_end(void **state)
{
	char rules[] = "delay:op=read:ms=5;hang:op=write";
	uint8_t buf[512] = {0}, out[512];
	struct iovec in = {buf, 512}, iov = {out, 512};
	struct waited r = {.io = {.op = STORAGE_READ, .len = 512, .iov = &in, .iovcnt = 1}};
	struct waited w = {.io = {.op = STORAGE_WRITE, .len = 512, .iov = &iov, .iovcnt = 1}};
	struct waited late = w;
	char text[120];
	struct rig rig;

	(void)state;
	memset(out, 3, sizeof(out));
	open_faulty(&rig, rules);
	faulty_of(rig.s)->now = test_clock;
	rig_start(&rig, &r);
	rig_start(&rig, &w);
	assert_false(r.over || w.over);
	assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), 0);
	storage_describe(rig.s, text, sizeof(text));
	assert_string_equal(text, "2 faults, 1 hanging, rules delay:op=read:ms=5;hang:op=write");
	test_now += 6 * NSEC_PER_MSEC;
	assert_int_equal(rig_wait(&rig, &r), 0);
	assert_false(w.over);
	/* One that is under way is carried out when the rules are others. */
	change(&rig, "hang:op=write");
	assert_int_equal(rig_wait(&rig, &w), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, buf, 512), 0);
	assert_true(all_bytes_are(buf, 3, 512));
	late.io.iov = &iov;
	rig_start(&rig, &late);
	assert_false(late.over);
	storage_drain(rig.ch, NULL);
	assert_true(late.over);
	rig_close(&rig);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_are_met_by_place_count_and_time),
		cmocka_unit_test(chance_is_fixed_by_the_seed),
		cmocka_unit_test(rules_that_cannot_be_are_one_sentence),
		cmocka_unit_test(errors_are_answered_and_nothing_is_done),
		cmocka_unit_test(short_and_torn_writes_leave_something_out),
		cmocka_unit_test(a_lost_write_is_told_to_be_done),
		cmocka_unit_test(delays_and_hangs_end),
	};

	return cmocka_run_group_tests_name("storage/layer/faulty", tests, NULL, NULL);
}
