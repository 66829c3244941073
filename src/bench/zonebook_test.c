/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "bench/zonebook.h"

#include <errno.h>
#include <string.h>

#define UNIT 4096u
#define ZONE (16u * UNIT)

/* What ringside_zone_report() says; pointer in units. */
static struct ringside_zone told(uint64_t index, uint8_t state, uint64_t capacity, uint64_t pointer)
{
	struct ringside_zone z = {
		.start = index * ZONE,
		.size = ZONE,
		.capacity = capacity,
		.type = RINGSIDE_ZONE_SEQUENTIAL,
		.state = state,
	};

	z.write_pointer = state == RINGSIDE_ZONE_FULL ? RINGSIDE_ZONE_NO_POINTER
						      : z.start + pointer * UNIT;
	return z;
}

static void init(struct zonebook *zs, enum job_zones kind, const struct ringside_zone *from,
		 uint32_t n, uint32_t width)
{
	struct job job = {.zones = kind, .size_unit = UNIT};

	assert_int_equal(zonebook_init(zs, &job, from, n, 0, n * (uint64_t)ZONE, width, NULL), 0);
}

static struct zone *take(struct zonebook *zs, uint32_t want, uint32_t len, uint64_t offset)
{
	enum zone_need what;
	uint64_t at;
	struct zone *z;

	assert_null(zonebook_chore(zs, &what));
	z = zonebook_take(zs, &want, &at);
	assert_non_null(z);
	assert_int_equal(want, len);
	assert_int_equal(at, offset);
	return z;
}

static void nothing_now(struct zonebook *zs)
{
	enum zone_need what;
	uint32_t len = UNIT;
	uint64_t at;

	assert_null(zonebook_chore(zs, &what));
	assert_null(zonebook_take(zs, &len, &at));
}

static struct zone *chore(struct zonebook *zs, enum zone_need wanted, uint64_t start)
{
	enum zone_need what;
	struct zone *z = zonebook_chore(zs, &what);

	assert_non_null(z);
	assert_int_equal(what, wanted);
	assert_int_equal(z->start, start);
	return z;
}

static void only_zones_that_can_be_filled_are(void **state)
{
	struct ringside_zone from[] = {told(0, RINGSIDE_ZONE_EMPTY, ZONE, 0),
				       told(1, RINGSIDE_ZONE_READ_ONLY, ZONE, 0),
				       told(2, RINGSIDE_ZONE_OFFLINE, ZONE, 0),
				       told(3, RINGSIDE_ZONE_NOT_WP, ZONE, 0),
				       told(4, RINGSIDE_ZONE_EMPTY, UNIT - 512, 0),
				       told(5, RINGSIDE_ZONE_FULL, ZONE / 2, 0),
				       told(6, RINGSIDE_ZONE_EMPTY, ZONE, 0)};
	struct job job = {.zones = JOB_ZONE_WRITE, .size_unit = UNIT};
	struct zonebook zs;
	struct error err;

	(void)state;
	from[3].type = RINGSIDE_ZONE_CONVENTIONAL;
	assert_int_equal(zonebook_init(&zs, &job, from, 7, 0, 6 * ZONE, 1, &err), 0);
	assert_int_equal(zs.n, 2);
	assert_int_equal(zonebook_bytes(&zs), ZONE + ZONE / 2);
	zonebook_fini(&zs);
	assert_int_equal(zonebook_init(&zs, &job, from, 7, ZONE, 5 * ZONE, 1, &err), -ENOENT);
	zonebook_fini(&zs);
}

static void one_write_at_a_time_in_each_zone(void **state)
{
	const struct ringside_zone from[] = {told(0, RINGSIDE_ZONE_EMPTY, ZONE, 0),
					     told(1, RINGSIDE_ZONE_CLOSED, ZONE, 3),
					     told(2, RINGSIDE_ZONE_EMPTY, ZONE, 0)};
	struct zone *a, *b;
	struct zonebook zs;

	(void)state;
	init(&zs, JOB_ZONE_WRITE, from, 3, 2);
	/* Those that hold data come first. */
	a = take(&zs, UNIT, UNIT, ZONE + 3 * UNIT);
	b = take(&zs, 2 * UNIT, 2 * UNIT, 0);
	nothing_now(&zs);
	assert_true(zonebook_wrote(&zs, a, ZONE + 3 * UNIT, UNIT));
	a = take(&zs, ZONE, 12 * UNIT, ZONE + 4 * UNIT);
	nothing_now(&zs);
	assert_true(zonebook_wrote(&zs, b, 0, 2 * UNIT));
	b = take(&zs, UNIT, UNIT, 2 * UNIT);
	/* A zone that is through makes room for another one. */
	assert_true(zonebook_wrote(&zs, a, ZONE + 4 * UNIT, 12 * UNIT));
	a = take(&zs, UNIT, UNIT, 2 * ZONE);
	assert_true(zonebook_wrote(&zs, a, 2 * ZONE, UNIT));
	assert_true(zonebook_wrote(&zs, b, 2 * UNIT, UNIT));
	zonebook_fini(&zs);
}

static void a_full_zone_is_reset_when_its_turn_comes(void **state)
{
	const struct ringside_zone from[] = {told(0, RINGSIDE_ZONE_FULL, ZONE, 0),
					     told(1, RINGSIDE_ZONE_CLOSED, ZONE, 15)};
	struct zonebook zs;
	struct zone *z;

	(void)state;
	init(&zs, JOB_ZONE_APPEND, from, 2, 1);
	for (unsigned round = 0; round < 3; round++) {
		z = take(&zs, 4 * UNIT, UNIT, ZONE);
		nothing_now(&zs);
		assert_true(zonebook_wrote(&zs, z, ZONE + 15 * UNIT, UNIT));
		z = chore(&zs, ZONE_RESET, 0);
		nothing_now(&zs);
		zonebook_did(&zs, z);
		z = take(&zs, ZONE, ZONE, 0);
		nothing_now(&zs);
		assert_true(zonebook_wrote(&zs, z, 0, ZONE));
		z = chore(&zs, ZONE_RESET, ZONE);
		zonebook_did(&zs, z);
		z = take(&zs, 15 * UNIT, 15 * UNIT, ZONE);
		assert_true(zonebook_wrote(&zs, z, ZONE, 15 * UNIT));
	}
	zonebook_fini(&zs);
}

static void a_rest_that_no_block_fits_is_finished(void **state)
{
	const struct ringside_zone from[] = {told(0, RINGSIDE_ZONE_EMPTY, ZONE - UNIT + 512, 0)};
	struct ringside_zone now = told(0, RINGSIDE_ZONE_FULL, ZONE - UNIT + 512, 0);
	struct zonebook zs;
	struct zone *z;

	(void)state;
	init(&zs, JOB_ZONE_WRITE, from, 1, 1);
	z = take(&zs, ZONE, 15 * UNIT, 0);
	assert_true(zonebook_wrote(&zs, z, 0, 15 * UNIT));
	assert_int_equal(zonebook_compare(z, &now, NULL), -EIO);
	z = chore(&zs, ZONE_FINISH, 0);
	nothing_now(&zs);
	zonebook_did(&zs, z);
	assert_int_equal(zonebook_compare(z, &now, NULL), 0);
	zonebook_did(&zs, chore(&zs, ZONE_RESET, 0));
	take(&zs, UNIT, UNIT, 0);
	zonebook_fini(&zs);
}

static void appends_are_given_away_by_bytes_and_lie_anywhere(void **state)
{
	const struct ringside_zone from[] = {told(0, RINGSIDE_ZONE_EMPTY, ZONE, 0),
					     told(1, RINGSIDE_ZONE_EMPTY, ZONE, 0)};
	struct zonebook zs;
	struct zone *z[5];

	(void)state;
	init(&zs, JOB_ZONE_APPEND, from, 2, 2);
	for (unsigned i = 0; i < 3; i++)
		z[i] = take(&zs, 5 * UNIT, 5 * UNIT, 0);
	z[3] = take(&zs, 5 * UNIT, UNIT, 0);
	/* The next zone is begun while these are under way; a third one would be too many. */
	z[4] = take(&zs, ZONE, ZONE, ZONE);
	nothing_now(&zs);
	assert_true(zonebook_wrote(&zs, z[2], 0, 5 * UNIT));
	assert_true(zonebook_wrote(&zs, z[3], 5 * UNIT, UNIT));
	assert_true(zonebook_wrote(&zs, z[0], 11 * UNIT, 5 * UNIT));
	/* Not there. */
	assert_false(zonebook_wrote(&zs, z[1], 12 * UNIT, 5 * UNIT));
	assert_false(zonebook_wrote(&zs, z[4], 0, UNIT));
	zonebook_fini(&zs);
	init(&zs, JOB_ZONE_APPEND, from, 2, 2);
	z[0] = take(&zs, UNIT, UNIT, 0);
	assert_false(zonebook_wrote(&zs, z[0], 512, UNIT));
	zonebook_fini(&zs);
}

static void who_does_not_know_looks(void **state)
{
	const struct ringside_zone from[] = {told(0, RINGSIDE_ZONE_EMPTY, ZONE, 0)};
	static const struct {
		enum job_zones kind;
		unsigned pointer; /* with 2 done, 2 to 6 under way, 4 of them lost */
		int rc;
		bool found;
	} cases[] = {
		{JOB_ZONE_WRITE, 2, 0, false},	   {JOB_ZONE_WRITE, 6, 0, true},
		{JOB_ZONE_WRITE, 4, -EIO, false},  {JOB_ZONE_WRITE, 1, -EIO, false},
		{JOB_ZONE_WRITE, 7, -EIO, false},  {JOB_ZONE_APPEND, 2, 0, false},
		{JOB_ZONE_APPEND, 4, 0, false},	   {JOB_ZONE_APPEND, 6, 0, false},
		{JOB_ZONE_APPEND, 1, -EIO, false}, {JOB_ZONE_APPEND, 7, -EIO, false},
	};
	struct ringside_zone now;
	struct error err;
	struct zonebook zs;
	struct zone *z;
	bool found;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		init(&zs, cases[i].kind, from, 1, 1);
		z = take(&zs, 2 * UNIT, 2 * UNIT, 0);
		assert_true(zonebook_wrote(&zs, z, 0, 2 * UNIT));
		z = take(&zs, 4 * UNIT, 4 * UNIT, cases[i].kind == JOB_ZONE_WRITE ? 2 * UNIT : 0);
		zonebook_lost(&zs, z, 2 * UNIT);
		assert_ptr_equal(chore(&zs, ZONE_LOOK, 0), z);
		nothing_now(&zs);
		now = told(0, RINGSIDE_ZONE_CLOSED, ZONE, cases[i].pointer);
		assert_int_equal(zonebook_looked(&zs, z, &now, &found, &err), cases[i].rc);
		if (!cases[i].rc) {
			assert_int_equal(found, cases[i].found);
			take(&zs, UNIT, UNIT,
			     cases[i].kind == JOB_ZONE_WRITE ? cases[i].pointer * UNIT : 0);
		}
		zonebook_fini(&zs);
	}
	/* Others of the same zone are still under way: not before they are through. */
	init(&zs, JOB_ZONE_APPEND, from, 1, 1);
	z = take(&zs, 8 * UNIT, 8 * UNIT, 0);
	take(&zs, 8 * UNIT, 8 * UNIT, 0);
	zonebook_lost(&zs, z, 0);
	nothing_now(&zs);
	assert_true(zonebook_wrote(&zs, z, 8 * UNIT, 8 * UNIT));
	assert_ptr_equal(chore(&zs, ZONE_LOOK, 0), z);
	now = told(0, RINGSIDE_ZONE_FULL, ZONE, 0);
	assert_int_equal(zonebook_looked(&zs, z, &now, &found, &err), 0);
	/* It was: the next one is this one again. */
	assert_ptr_equal(chore(&zs, ZONE_RESET, 0), z);
	zonebook_fini(&zs);
	/* A torn append: what is left of the zone begins between two units. */
	init(&zs, JOB_ZONE_APPEND, from, 1, 1);
	z = take(&zs, 2 * UNIT, 2 * UNIT, 0);
	zonebook_lost(&zs, z, 0);
	chore(&zs, ZONE_LOOK, 0);
	now = told(0, RINGSIDE_ZONE_IMPLICIT_OPEN, ZONE, 0);
	now.write_pointer = UNIT + 512;
	assert_int_equal(zonebook_looked(&zs, z, &now, &found, &err), 0);
	zonebook_did(&zs, chore(&zs, ZONE_FINISH, 0));
	chore(&zs, ZONE_RESET, 0);
	zonebook_fini(&zs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_zones_that_can_be_filled_are),
		cmocka_unit_test(one_write_at_a_time_in_each_zone),
		cmocka_unit_test(a_full_zone_is_reset_when_its_turn_comes),
		cmocka_unit_test(a_rest_that_no_block_fits_is_finished),
		cmocka_unit_test(appends_are_given_away_by_bytes_and_lie_anywhere),
		cmocka_unit_test(who_does_not_know_looks),
	};

	return cmocka_run_group_tests_name("zonebook", tests, NULL, NULL);
}
