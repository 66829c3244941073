/* SPDX-License-Identifier: MIT */
/*
 * What is done to overlays: a commit leaves the disk's bytes in the base, wherever it was stopped
 * and begun anew, and until it is through nobody is given a disk that is neither.
 */
#include "storage/layer/cow_rig_test.h"
#include "storage/layer/cow_verbs.h"
#include "storage/loop_test.h"

#define DISK (UINT64_C(12) << 20)

struct stopper {
	struct cow_progress p;
	unsigned left;
};

static bool stopper_go_on(struct cow_progress *p)
{
	struct stopper *s = container_of(p, struct stopper, p);

	return s->left && s->left--;
}

/* Data, zeroes and base in turn; of data more than a piece. */
static void fill(const struct golden *g)
{
	struct storage_options o = golden_options(g);
	uint8_t *buf = malloc(3 << 20);
	struct rig rig;

	memset(buf, 0x5a, 3 << 20);
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 512 * 1001, buf, (3 << 20) - 512), 0);
	assert_int_equal(rig_do(&rig, STORAGE_WRITE_ZEROES, 0, 512 * 1100, 4096), 0);
	assert_int_equal(rig_do(&rig, STORAGE_DISCARD, 0, 6 << 20, 5 << 20), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 8 << 20, buf, 512), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, DISK - 512, buf, 512), 0);
	rig_close(&rig);
	free(buf);
}

static void base_is(const struct golden *g, const uint8_t *want)
{
	uint8_t *is = malloc(DISK);
	int fd = open(g->base, O_RDONLY | O_CLOEXEC);

	assert_true(pread(fd, is, DISK, 0) == (ssize_t)DISK);
	assert_memory_equal(is, want, DISK);
	close(fd);
	free(is);
}

static void refused_to_guests(const struct golden *g, int rc, const char *must_say)
{
	struct storage_options o = golden_options(g);
	struct error err = {""};
	struct storage *s;

	assert_int_equal(storage_open(&o, &s, &err), rc);
	if (!strstr(err.text, must_say))
		fail_msg("said: %s", err.text);
}

static void into_another(const struct golden *g)
{
	struct storage_options o = golden_options(g);
	char *other = image_make(g->dir, "other", DISK);
	struct error err = {""};

	o.target = other;
	assert_int_equal(cow_commit(&o, NULL, &err), -EINVAL);
	assert_non_null(strstr(err.text, "was begun into"));
	free(other);
}

static void a_commit_may_be_stopped_anywhere(void **state)
{
	uint8_t *want = malloc(DISK), *is = malloc(DISK);
	unsigned stops = 0;
	int rc;

	(void)state;
	do {
		struct golden g = golden_make(DISK);
		struct storage_options o = golden_options(&g);
		struct stopper s = {.p.go_on = stopper_go_on, .left = stops++};
		struct error err = {""};
		struct cow_facts facts;

		fill(&g);
		golden_read_all(&g, want);
		rc = cow_commit(&o, &s.p, &err);
		if (rc) {
			assert_int_equal(rc, -ECANCELED);
			if (stops > 1) {
				refused_to_guests(&g, -EUCLEAN, "ringside cow commit file=");
				assert_int_equal(cow_look(g.overlay, &facts, NULL), 0);
				assert_int_equal(le32_get(facts.header.phase), COW_COMMITTING);
				/* The base is no disk without it. */
				assert_int_equal(cow_discard(g.overlay, &err), -EUCLEAN);
				/* And no other file is: its time tells nothing any more. */
				into_another(&g);
			} else {
				golden_is_untouched(&g);
				golden_read_all(&g, is);
				assert_memory_equal(is, want, DISK);
			}
			s.left = 1 + stops / 2;
			cow_commit(&o, &s.p, &err);
			s.p = (struct cow_progress){.go_on = NULL};
			if (cow_commit(&o, &s.p, &err))
				fail_msg("%s", err.text);
		}
		base_is(&g, want);
		/* Nothing is left in it; the base is as good as any. */
		assert_int_equal(cow_look(g.overlay, &facts, NULL), 0);
		assert_true(facts.blank);
		assert_int_equal(cow_commit(&o, NULL, &err), 0);
		golden_read_all(&g, is);
		assert_memory_equal(is, want, DISK);
		base_is(&g, want);
		golden_remove(&g);
		assert_true(stops < 40);
	} while (rc);
	assert_in_range(stops, 9, 30);
	free(want);
	free(is);
}

static void a_commit_into_what_is_in_use_or_has_changed_is_refused(void **state)
{
	const struct timespec other[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000}};
	struct golden g = golden_make(DISK);
	struct storage_options o = golden_options(&g), readers;
	struct error err = {""};
	struct storage *s;

	(void)state;
	fill(&g);
	readers = o;
	readers.readonly = STORAGE_READONLY;
	readers.layers.cow = NULL;
	assert_int_equal(storage_open(&readers, &s, NULL), 0);
	assert_int_equal(cow_commit(&o, NULL, &err), -EBUSY);
	storage_close(&s);
	/* Nothing has come of it. */
	assert_int_equal(storage_open(&o, &s, NULL), 0);
	assert_int_equal(cow_commit(&o, NULL, &err), -EBUSY);
	assert_int_equal(cow_discard(g.overlay, &err), -EBUSY);
	assert_int_equal(cow_rebase(&o, &err), -EBUSY);
	storage_close(&s);
	assert_int_equal(utimensat(AT_FDCWD, g.base, other, 0), 0);
	assert_int_equal(cow_commit(&o, NULL, &err), -ESTALE);
	golden_is_untouched(&g);
	/* Somebody says that its bytes are the same. */
	assert_int_equal(cow_rebase(&o, &err), 0);
	assert_int_equal(storage_open(&o, &s, NULL), 0);
	storage_close(&s);
	assert_int_equal(cow_commit(&o, NULL, &err), 0);
	o.layers.cow = NULL;
	assert_int_equal(cow_commit(&o, NULL, &err), -EINVAL);
	assert_non_null(strstr(err.text, "cow=OVERLAY"));
	golden_remove(&g);
}

static void what_is_discarded_is_gone(void **state)
{
	struct golden g = golden_make(DISK);
	uint8_t *is = malloc(DISK);
	struct error err = {""};
	struct cow_facts facts;

	(void)state;
	assert_int_equal(cow_discard(g.overlay, &err), -ENOENT);
	fill(&g);
	assert_int_equal(cow_look(g.overlay, &facts, NULL), 0);
	assert_string_equal(facts.header.base, g.base);
	assert_int_equal(facts.disk_size, DISK);
	assert_int_equal(facts.data, (3 << 20) - 512 - 4096 + 1024);
	assert_int_equal(facts.zeroes, (5 << 20) + 4096 - 512);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(cow_discard(g.overlay, &err), 0);
	assert_int_equal(cow_look(g.overlay, &facts, NULL), 0);
	assert_true(facts.blank);
	golden_read_all(&g, is);
	assert_memory_equal(is, g.bytes, DISK);
	golden_is_untouched(&g);
	/* What is no overlay is not emptied. */
	assert_int_equal(cow_discard(g.base, &err), -EINVAL);
	golden_is_untouched(&g);
	golden_remove(&g);
	free(is);
}

/* Nothing of a device is a hole: what was there before is not the overlay's. */
static void a_device_is_as_good_a_place(void **state)
{
	struct golden g = golden_make(DISK);
	uint8_t *want = malloc(DISK), *is = malloc(DISK), *junk = malloc(4 << 20);
	const uint64_t bytes = cow_file_bytes(DISK);
	struct error err = {""};
	struct cow_facts facts;
	struct loop loop;
	char *image;
	int fd;

	(void)state;
	image = image_make(g.dir, "device", bytes);
	fd = open(image, O_WRONLY | O_CLOEXEC);
	memset(junk, 0xa5, 4 << 20);
	for (uint64_t at = COW_DATA_ALIGN; at < bytes; at += 4 << 20)
		assert_true(pwrite(fd, junk, min_u64(4 << 20, bytes - at), (off_t)at) > 0);
	close(fd);
	if (!loop_make(&loop, image, 512)) {
		free(image);
		golden_remove(&g);
		skip();
	}
	free(g.overlay);
	g.overlay = strdup(loop.path);
	/* Somebody's, as far as anybody can tell. */
	assert_int_equal(pwrite(loop.fd, "ext4", 4, 1024), 4);
	refused_to_guests(&g, -EINVAL, "no overlay of a disk");
	assert_int_equal(pwrite(loop.fd, "\0\0\0\0", 4, 1024), 4);
	for (unsigned round = 0; round < 2; round++) {
		fill(&g);
		golden_read_all(&g, want);
		assert_true(all_bytes_are(want + (7 << 20), 0, 1 << 20));
		assert_memory_equal(want, g.bytes, 512 * 1000);
		if (round)
			break;
		assert_int_equal(cow_discard(g.overlay, &err), 0);
		assert_int_equal(cow_look(g.overlay, &facts, NULL), 0);
		assert_true(facts.blank);
		golden_read_all(&g, is);
		assert_memory_equal(is, g.bytes, DISK);
	}
	if (cow_commit(&(struct storage_options){.target = g.base, .layers.cow = g.overlay}, NULL,
		       &err))
		fail_msg("%s", err.text);
	base_is(&g, want);
	loop_remove(&loop);
	free(image);
	free(junk);
	free(want);
	free(is);
	golden_remove(&g);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_commit_may_be_stopped_anywhere),
		cmocka_unit_test(a_commit_into_what_is_in_use_or_has_changed_is_refused),
		cmocka_unit_test(what_is_discarded_is_gone),
		cmocka_unit_test(a_device_is_as_good_a_place),
	};

	return cmocka_run_group_tests_name("storage/layer/cow_verbs", tests, NULL, NULL);
}
