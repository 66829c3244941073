/* SPDX-License-Identifier: MIT */
/*
 * What is left of a zoned disk when its server ends: kills at each store of the zones' file, files
 * that are damaged, calls that fail.
 */
#include "storage/layer/zoned_rig_test.h"

#include <fcntl.h>

struct place {
	char *dir, *image, *state;
};

static void place_make(struct place *p)
{
	p->dir = scratch_make("/tmp");
	p->image = image_make(p->dir, "vm.raw", DISK);
	assert_true(asprintf(&p->state, "%s.zones", p->image) > 0);
}

static void place_remove(struct place *p)
{
	scratch_remove(p->dir);
	free(p->image);
	free(p->state);
}

static void place_open(struct rig *rig, const struct place *p, char *rules)
{
	zoned_open_on(rig, p->image, &zoned_plain, rules);
}

/* -errno and a sentence. */
static int place_try(const struct place *p, const struct storage_zoned_options *z,
		     struct error *err)
{
	struct storage_options o = {.target = p->image, .layers.zoned = *z};
	struct storage *s;
	int rc;

	*err = (struct error){0};
	rc = storage_open(&o, &s, err);
	if (!rc)
		storage_close(&s);
	return rc;
}

static void zones_outlive_the_server(void **state)
{
	struct place p;
	struct rig rig;

	(void)state;
	place_make(&p);
	place_open(&rig, &p, NULL);
	assert_int_equal(zone_write(&rig, 2, 0, 3, 1), 0);
	assert_int_equal(zone_write(&rig, 3, 0, 2, 2), 0);
	assert_int_equal(zone_do(&rig, STORAGE_ZONE_CLOSE, 3), 0);
	assert_int_equal(zone_write(&rig, 4, 0, 1, 3), 0);
	assert_int_equal(zone_do(&rig, STORAGE_ZONE_FINISH, 4), 0);
	assert_int_equal(zone_do(&rig, STORAGE_ZONE_OPEN, 5), 0);
	assert_int_equal(zone_write(&rig, 6, 0, 12, 4), 0);
	assert_int_equal(zone_write(&rig, 7, 0, 4, 4), 0);
	assert_int_equal(zone_do(&rig, STORAGE_ZONE_RESET, 7), 0);
	assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), 0);
	rig_close(&rig);

	place_open(&rig, &p, NULL);
	/* Nobody writes it at present. */
	zone_is(&rig, 2, STORAGE_ZONE_CLOSED, 3);
	zone_is(&rig, 3, STORAGE_ZONE_CLOSED, 2);
	zone_is(&rig, 4, STORAGE_ZONE_FULL, 0);
	zone_is(&rig, 5, STORAGE_ZONE_EXPLICIT, 0);
	zone_is(&rig, 6, STORAGE_ZONE_FULL, 0);
	zone_is(&rig, 7, STORAGE_ZONE_EMPTY, 0);
	assert_int_equal(zoned_of(rig.s)->zones.active, 3);
	assert_int_equal(zoned_of(rig.s)->zones.open, 1);
	zone_reads(&rig, 2, 0, 3, 1);
	zone_reads(&rig, 4, 1, 10, 0);
	zone_reads(&rig, 7, 0, 10, 0);
	assert_int_equal(zone_write(&rig, 2, 3, 1, 5), 0);
	rig_close(&rig);
	place_remove(&p);
}

static void another_kind_of_zones_is_refused(void **state)
{
	static const struct {
		uint64_t size, capacity;
		uint32_t conventional;
		const char *says;
	} other[] = {
		{2 * ZONE, CAP, FIRST, "zone-size"},
		{ZONE, CAP - BLOCK, FIRST, "zone-capacity"},
		{ZONE, CAP, FIRST + 1, "zone-conventional"},
	};
	struct storage_zoned_options o = zoned_plain;
	struct error err;
	struct place p;

	(void)state;
	place_make(&p);
	assert_int_equal(place_try(&p, &o, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(other); i++) {
		o = zoned_plain;
		o.size = other[i].size;
		o.capacity = other[i].capacity;
		o.conventional = other[i].conventional;
		assert_int_equal(place_try(&p, &o, &err), -EINVAL);
		assert_non_null(strstr(err.text, other[i].says));
	}
	assert_int_equal(truncate(p.image, DISK + ZONE), 0);
	assert_int_equal(place_try(&p, &zoned_plain, &err), -EINVAL);
	assert_non_null(strstr(err.text, "size"));
	assert_int_equal(truncate(p.image, DISK), 0);
	assert_int_equal(place_try(&p, &zoned_plain, &err), 0);
	place_remove(&p);
}

static void spoil(const char *path, off_t where, const void *bytes, size_t n)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, n, where), n);
	close(fd);
}

static void damage_is_recognised(void **state)
{
	static const uint8_t rot[512] = {0xff, 0x13, 0x27};
	struct error err;
	struct place p;
	struct rig rig;

	(void)state;
	place_make(&p);
	place_open(&rig, &p, NULL);
	assert_int_equal(zone_write(&rig, 2, 0, 3, 1), 0);
	assert_int_equal(zone_write(&rig, 5, 0, 4, 2), 0);
	rig_close(&rig);
	/* A sector of the first place: the second one has all of it. */
	spoil(p.state, 4096, rot, sizeof(rot));
	place_open(&rig, &p, NULL);
	zone_is(&rig, 2, STORAGE_ZONE_CLOSED, 3);
	zone_is(&rig, 5, STORAGE_ZONE_CLOSED, 4);
	rig_close(&rig);
	/* A word of the second place, too: the zone is what can be said of it. */
	spoil(p.state, 8192 + 2 * 8, rot, 8);
	place_open(&rig, &p, NULL);
	zone_is(&rig, 2, STORAGE_ZONE_READONLY, CAP / BLOCK);
	zone_is(&rig, 5, STORAGE_ZONE_CLOSED, 4);
	zone_reads(&rig, 2, 0, 3, 1);
	assert_int_equal(zone_write(&rig, 2, 3, 1, 1), -STORAGE_EZONE_COMMAND);
	assert_int_equal(rig_do(&rig, STORAGE_ZONE_RESET_ALL, 0, 0, 0), 0);
	zone_is(&rig, 2, STORAGE_ZONE_READONLY, CAP / BLOCK);
	rig_close(&rig);
	/* A file that ends early. */
	assert_int_equal(truncate(p.state, 4096), 0);
	place_open(&rig, &p, NULL);
	zone_is(&rig, 5, STORAGE_ZONE_READONLY, CAP / BLOCK);
	rig_close(&rig);
	for (unsigned at_byte = 0; at_byte < sizeof(struct zone_state_header); at_byte++) {
		uint8_t was, is;
		int fd = open(p.state, O_RDWR | O_CLOEXEC);

		assert_int_equal(pread(fd, &was, 1, at_byte), 1);
		is = was ^ 0x40;
		assert_int_equal(pwrite(fd, &is, 1, at_byte), 1);
		/* The last four bytes are zero, and part of the sum. */
		assert_int_equal(place_try(&p, &zoned_plain, &err), -EINVAL);
		assert_int_equal(pwrite(fd, &was, 1, at_byte), 1);
		close(fd);
	}
	assert_int_equal(place_try(&p, &zoned_plain, &err), 0);
	place_remove(&p);
}

static void readonly_makes_no_file(void **state)
{
	struct storage_options o = {.readonly = STORAGE_READONLY, .layers.zoned = zoned_plain};
	struct error err = {""};
	struct place p;
	struct rig rig;

	(void)state;
	place_make(&p);
	o.target = p.image;
	assert_true(rig_open(&rig, &o, false, &err) < 0);
	place_open(&rig, &p, NULL);
	assert_int_equal(zone_write(&rig, 2, 0, 3, 1), 0);
	rig_close(&rig);
	if (rig_open(&rig, &o, false, &err))
		fail_msg("%s", err.text);
	zone_is(&rig, 2, STORAGE_ZONE_CLOSED, 3);
	zone_reads(&rig, 2, 0, 3, 1);
	assert_int_equal(zone_do(&rig, STORAGE_ZONE_RESET, 2), -EROFS);
	assert_int_equal(zone_write(&rig, 2, 3, 1, 1), -EROFS);
	rig_close(&rig);
	place_remove(&p);
}

/* ---- kills ---- */

/* The file as it was behind each store; the test's own, as the hook has no place for more. */
static struct {
	char *path;
	unsigned n;
	unsigned fail_at; /* 0: never */
	int what;
} stores;

static void copy_file(const char *from, const char *to)
{
	static uint8_t buf[1 << 16];
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t n = read(in, buf, sizeof(buf));

	assert_true(n > 0 && n < (ssize_t)sizeof(buf));
	assert_int_equal(write(out, buf, (size_t)n), n);
	close(in);
	close(out);
}

static ssize_t watched_write(int fd, const void *buf, size_t len, off_t where)
{
	ssize_t n;
	char *copy;

	if (++stores.n == stores.fail_at) {
		errno = stores.what;
		return -1;
	}
	n = pwrite(fd, buf, len, where);
	if (!stores.path)
		return n;
	assert_true(asprintf(&copy, "%s.%u", stores.path, stores.n) > 0);
	copy_file(stores.path, copy);
	free(copy);
	return n;
}

/* What a zone may hold, at each of a script's steps. */
struct step {
	enum storage_op op;
	uint32_t blocks;
};

static const struct step script[] = {
	{STORAGE_WRITE, 2},	 {STORAGE_ZONE_CLOSE, 0},  {STORAGE_APPEND, 3},
	{STORAGE_ZONE_OPEN, 0},	 {STORAGE_WRITE, 1},	   {STORAGE_ZONE_RESET, 0},
	{STORAGE_APPEND, 1},	 {STORAGE_ZONE_FINISH, 0}, {STORAGE_FLUSH, 0},
	{STORAGE_ZONE_RESET, 0}, {STORAGE_WRITE, 4},	   {STORAGE_ZONE_RESET_ALL, 0},
	{STORAGE_APPEND, 2},	 {STORAGE_WRITE, 10},
};

static int step_do(struct rig *rig, const struct step *s, uint32_t *wp)
{
	uint64_t where;
	int rc;

	switch (s->op) {
	case STORAGE_WRITE:
		rc = zone_write(rig, 2, *wp, s->blocks, 1);
		break;
	case STORAGE_APPEND:
		rc = zone_append_to(rig, at(2, 0), s->blocks * BLOCK, 1, &where);
		break;
	case STORAGE_FLUSH:
	case STORAGE_ZONE_RESET_ALL:
		rc = rig_do(rig, s->op, 0, 0, 0);
		break;
	default:
		rc = zone_do(rig, s->op, 2);
	}
	if (!rc && (s->op == STORAGE_ZONE_RESET || s->op == STORAGE_ZONE_RESET_ALL))
		*wp = 0;
	else if (!rc)
		*wp += s->blocks;
	return rc;
}

static uint32_t blocks_of(struct rig *rig)
{
	return (uint32_t)(zoned_of(rig->s)->zones.zone[2].done / BLOCK);
}

/* Behind each store the pointer is the one before the step that made it, or the one after it. */
static void a_kill_at_each_store_leaves_one_of_two_states(void **state)
{
	uint32_t before[64], after[64], wp = 0;
	struct place p;
	struct rig rig;
	unsigned n;

	(void)state;
	place_make(&p);
	place_open(&rig, &p, NULL);
	zoned_of(rig.s)->state.write = watched_write;
	stores.path = p.state;
	stores.n = stores.fail_at = 0;
	for (size_t i = 0; i < ARRAY_SIZE(script); i++) {
		uint32_t was = wp;
		unsigned first = stores.n + 1;

		assert_int_equal(step_do(&rig, &script[i], &wp), 0);
		assert_int_equal(blocks_of(&rig), wp);
		for (unsigned k = first; k <= stores.n; k++) {
			assert_true(k < ARRAY_SIZE(before));
			before[k] = was;
			after[k] = wp;
		}
	}
	n = stores.n;
	stores.path = NULL;
	rig_close(&rig);
	assert_true(n > ARRAY_SIZE(script));
	for (unsigned k = 1; k <= n; k++) {
		char *copy;
		uint32_t found;

		assert_true(asprintf(&copy, "%s.%u", p.state, k) > 0);
		assert_int_equal(rename(copy, p.state), 0);
		free(copy);
		place_open(&rig, &p, NULL);
		found = blocks_of(&rig);
		if (found != before[k] && found != after[k])
			fail_msg("store %u: %u blocks, not %u or %u", k, found, before[k],
				 after[k]);
		assert_int_not_equal(zoned_of(rig.s)->zones.zone[2].condition,
				     STORAGE_ZONE_READONLY);
		rig_close(&rig);
	}
	place_remove(&p);
}

/* ---- calls that fail ---- */

/* Each store fails in turn: that step fails, or one that needs it not; what is told holds afterwards. */
static void a_store_that_fails_is_a_request_that_fails(void **state)
{
	bool failed = true;

	(void)state;
	for (unsigned k = 1; failed; k++) {
		uint32_t wp = 0, kept;
		struct place p;
		struct rig rig;

		failed = false;
		place_make(&p);
		place_open(&rig, &p, NULL);
		zoned_of(rig.s)->state.write = watched_write;
		stores.n = 0;
		stores.fail_at = k;
		stores.what = k % 2 ? EIO : ENOSPC;
		for (size_t i = 0; i < ARRAY_SIZE(script) && !failed; i++)
			failed = step_do(&rig, &script[i], &wp);
		if (failed) {
			/* The disk goes on from where it is. */
			stores.fail_at = 0;
			kept = blocks_of(&rig);
			assert_int_equal(kept, wp);
			assert_int_equal(zone_do(&rig, STORAGE_ZONE_RESET, 2), 0);
			assert_int_equal(zone_write(&rig, 2, 0, 5, 7), 0);
			wp = 5;
		}
		rig_close(&rig);
		place_open(&rig, &p, NULL);
		assert_int_equal(blocks_of(&rig), wp);
		rig_close(&rig);
		place_remove(&p);
		assert_true(k < 64);
	}
	stores.fail_at = 0;
}

/* Each request below fails in turn, the whole script long; the pointer is never behind a success. */
static void requests_that_fail_below(void **state)
{
	static const char *const kinds[] = {"error:op=any", "torn:op=write", "short:op=write"};
	unsigned failures = 0;

	(void)state;
	for (size_t kind = 0; kind < ARRAY_SIZE(kinds); kind++) {
		for (unsigned k = 0; k < 24; k++) {
			char rules[64];
			uint32_t wp = 0;
			struct place p;
			struct rig rig;

			snprintf(rules, sizeof(rules), "%s:after=%u:times=1", kinds[kind], k);
			place_make(&p);
			place_open(&rig, &p, rules);
			for (size_t i = 0; i < ARRAY_SIZE(script); i++) {
				int rc = step_do(&rig, &script[i], &wp);

				failures += rc == -EIO;
				assert_int_equal(blocks_of(&rig), wp);
				assert_int_equal(zoned_of(rig.s)->zones.zone[2].wp, wp * BLOCK);
			}
			rig_close(&rig);
			place_open(&rig, &p, NULL);
			assert_int_equal(blocks_of(&rig), wp);
			rig_close(&rig);
			place_remove(&p);
		}
	}
	assert_true(failures > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zones_outlive_the_server),
		cmocka_unit_test(another_kind_of_zones_is_refused),
		cmocka_unit_test(damage_is_recognised),
		cmocka_unit_test(readonly_makes_no_file),
		cmocka_unit_test(a_kill_at_each_store_leaves_one_of_two_states),
		cmocka_unit_test(a_store_that_fails_is_a_request_that_fails),
		cmocka_unit_test(requests_that_fail_below),
	};

	return cmocka_run_group_tests_name("storage/layer/zone_state", tests, NULL, NULL);
}
