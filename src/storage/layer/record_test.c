/* SPDX-License-Identifier: MIT */
/*
 * record: the log tells what was done in which order, and what it makes of it is what the disk held,
 * at every point; what a crash may leave is all of that and no more.
 */
#include "storage/layer/record_log.h"
#include "storage/model_test.h"

#include "base/atomic.h"
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#define DISK 32768u

struct place {
	char *dir, *log;
};

static struct place place_make(void)
{
	struct place p = {.dir = scratch_make("/tmp")};

	assert_non_null(p.dir);
	assert_true(asprintf(&p.log, "%s/log", p.dir) > 0);
	return p;
}

static void place_remove(struct place *p)
{
	free(p->log);
	scratch_remove(p->dir);
}

static void open_recorded(struct rig *rig, struct place *p)
{
	struct storage_options o = {.target = "memory:32K", .layers.record = p->log};
	struct error err = {""};

	if (rig_open(rig, &o, true, &err))
		fail_msg("%s", err.text);
}

static void put(struct rig *rig, unsigned sector, unsigned sectors, uint8_t v, unsigned flags)
{
	uint8_t buf[8192];

	memset(buf, v, sizeof(buf));
	assert_int_equal(rig_rw(rig, STORAGE_WRITE, flags, sector * 512, buf, sectors * 512), 0);
}

static void open_log(struct record_log *l, const struct place *p)
{
	struct error err = {""};

	if (record_log_open(l, p->log, &err))
		fail_msg("%s", err.text);
}

struct choice {
	struct record_choice c;
	uint64_t lost; /* by bits */
	bool torn;
	uint64_t seed;
};

static enum record_fate choice_fate(struct record_choice *c, size_t k)
{
	const struct choice *mine = container_of(c, struct choice, c);

	return mine->torn ? RECORD_TORN : mine->lost >> k & 1 ? RECORD_LOST : RECORD_KEPT;
}

static uint64_t choice_random(struct record_choice *c)
{
	struct choice *mine = container_of(c, struct choice, c);

	mine->seed = mine->seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return mine->seed >> 33;
}

/* What the first @n events leave of a disk of zeroes. */
static void image_of(const struct record_log *l, size_t n, uint64_t lost, uint8_t *image)
{
	struct choice c = {.c = {choice_fate, choice_random}, .lost = lost};
	FILE *f = tmpfile();

	assert_non_null(f);
	assert_int_equal(ftruncate(fileno(f), DISK), 0);
	assert_int_equal(record_apply(l, n, &c.c, fileno(f), NULL), 0);
	assert_int_equal(pread(fileno(f), image, DISK, 0), DISK);
	fclose(f);
}

static void every_prefix_is_what_the_disk_held(void **state)
{
	struct place p = place_make();
	uint8_t(*held)[DISK] = calloc(12, DISK), image[DISK];
	struct record_log l;
	struct rig rig;
	unsigned n = 0;

	(void)state;
	assert_non_null(held);
	open_recorded(&rig, &p);
	for (unsigned i = 0; i < 11; i++) {
		if (i % 4 == 3)
			assert_int_equal(rig_do(&rig, STORAGE_WRITE_ZEROES, 0, i * 512, 4096), 0);
		else
			put(&rig, i * 3, 1 + i % 5, (uint8_t)(i + 1), 0);
		assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, held[++n], DISK), 0);
	}
	rig_close(&rig);
	open_log(&l, &p);
	assert_int_equal(l.disk_size, DISK);
	assert_int_equal(l.n, 2 * n);
	for (unsigned i = 0; i <= n; i++) {
		image_of(&l, 2 * i, 0, image);
		assert_memory_equal(image, held[i], DISK);
	}
	record_log_close(&l);
	free(held);
	place_remove(&p);
}

static void a_crash_loses_what_is_not_stable(void **state)
{
	struct place p = place_make();
	struct record_log l;
	uint8_t image[DISK];
	struct rig rig;

	(void)state;
	open_recorded(&rig, &p);
	put(&rig, 0, 1, 1, 0);						    /* 0, 1 */
	assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), 0);	    /* 2, 3 */
	put(&rig, 0, 1, 2, 0);						    /* 4, 5 */
	put(&rig, 1, 1, 3, STORAGE_FUA);				    /* 6, 7 */
	assert_int_equal(rig_do(&rig, STORAGE_WRITE_ZEROES, 0, 0, 512), 0); /* 8, 9 */
	rig_close(&rig);
	open_log(&l, &p);
	assert_int_equal(l.n, 10);
	/* Submitted; done; the flush submitted, too; and done. */
	assert_int_equal(record_volatile(&l, 1), 1);
	assert_int_equal(record_volatile(&l, 2), 1);
	assert_int_equal(record_volatile(&l, 3), 1);
	assert_int_equal(record_volatile(&l, 4), 0);
	assert_int_equal(record_volatile(&l, 6), 1);
	assert_int_equal(record_volatile(&l, 7), 2);
	assert_int_equal(record_volatile(&l, 8), 1);
	assert_int_equal(record_volatile(&l, 10), 2);
	assert_true(record_is_stable(&l, 10, 0) && record_is_stable(&l, 10, 6));
	for (unsigned lost = 0; lost < 4; lost++) {
		static const uint8_t first[] = {0, 0, 2, 1};

		image_of(&l, 10, lost, image);
		assert_true(all_bytes_are(image, first[lost], 512));
		assert_true(all_bytes_are(image + 512, 3, 512));
	}
	record_log_close(&l);
	place_remove(&p);
}

/* One that was under way may be there in part, one that was done wholly or not at all. */
static void what_was_under_way_may_be_torn(void **state)
{
	struct place p = place_make();
	unsigned torn = 0;
	struct record_log l;
	struct rig rig;

	(void)state;
	open_recorded(&rig, &p);
	put(&rig, 0, 8, 7, 0);
	rig_close(&rig);
	open_log(&l, &p);
	for (unsigned n = 1; n <= 2; n++)
		for (unsigned seed = 0; seed < 64; seed++) {
			struct choice c = {
				.c = {choice_fate, choice_random}, .torn = true, .seed = seed};
			unsigned there = 0;
			uint8_t image[4096];
			FILE *f = tmpfile();

			assert_non_null(f);
			assert_int_equal(ftruncate(fileno(f), DISK), 0);
			assert_int_equal(record_apply(&l, n, &c.c, fileno(f), NULL), 0);
			assert_int_equal(pread(fileno(f), image, 4096, 0), 4096);
			fclose(f);
			for (unsigned s = 0; s < 8; s++)
				there += image[s * 512] == 7;
			torn += n == 1 && there && there < 8;
			assert_true(n == 1 || !there || there == 8);
		}
	assert_true(torn > 30);
	record_log_close(&l);
	place_remove(&p);
}

/* A program that was killed: entries are missing, or the end is. */
static void gaps_are_skipped(void **state)
{
	struct place p = place_make();
	uint8_t none[512] = {0};
	struct record_log l;
	struct rig rig;
	uint64_t second;
	int fd;

	(void)state;
	open_recorded(&rig, &p);
	for (unsigned i = 0; i < 3; i++)
		put(&rig, i * 8, 8, (uint8_t)(i + 1), 0);
	rig_close(&rig);
	open_log(&l, &p);
	assert_int_equal(l.n, 6);
	second = l.events[2].at;
	record_log_close(&l);

	fd = open(p.log, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	/* Its data are there, its entry is not. */
	assert_int_equal(pwrite(fd, none, 512, (off_t)second), 512);
	open_log(&l, &p);
	assert_int_equal(l.n, 5);
	assert_int_equal(l.events[2].type, RECORD_DONE);
	assert_true(l.events[2].partner == SIZE_MAX);
	assert_int_equal(l.events[3].offset, 8192);
	record_log_close(&l);
	/* As long as it was while the program ran. */
	assert_int_equal(ftruncate(fd, INT64_C(1) << 40), 0);
	open_log(&l, &p);
	assert_int_equal(l.n, 5);
	record_log_close(&l);
	close(fd);
	place_remove(&p);
}

/* Sealed as a good one is: a log is a file that anybody may have made. */
static void an_entry_that_cannot_be_is_none(void **state)
{
	struct place p = place_make();
	uint8_t good[2][512], image[DISK];
	uint64_t at[2];
	struct record_log l;
	struct rig rig;
	int fd;

	(void)state;
	open_recorded(&rig, &p);
	for (unsigned i = 0; i < 3; i++)
		put(&rig, i * 8, 8, (uint8_t)(i + 1), 0);
	rig_close(&rig);
	open_log(&l, &p);
	assert_int_equal(l.n, 6);
	fd = open(p.log, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	/* The SUBMIT of the second one, and its DONE. */
	for (unsigned i = 0; i < 2; i++) {
		at[i] = l.events[2 + i].at;
		assert_int_equal(pread(fd, good[i], 512, (off_t)at[i]), 512);
	}
	record_log_close(&l);
	for (unsigned lie = 0; lie < 9; lie++) {
		const unsigned i = lie == 8;
		struct record_sector s;
		uint8_t sector[512];

		memcpy(&s, good[i], sizeof(s));
		s.crc = le32_make(0);
		switch (lie) {
		case 0: /* what comes next is this one */
			s.len = le64_make(-UINT64_C(512));
			break;
		case 1:
			s.len = le64_make(-at[0] - 512);
			break;
		case 2:
			s.len = le64_make(UINT64_C(1) << 40);
			break;
		case 3:
			s.len = le64_make(4097);
			break;
		case 4:
			s.offset = le64_make(-UINT64_C(512));
			break;
		case 5:
			s.offset = le64_make(INT64_MAX - 511);
			break;
		case 6:
			s.op = STORAGE_LIFETIME;
			break;
		case 7:
			s.type = RECORD_DONE + 1;
			break;
		default:
			s.error = le32_make(UINT32_C(1) << 31);
		}
		record_seal(sector, &s, sizeof(s), offsetof(struct record_sector, crc));
		assert_int_equal(pwrite(fd, sector, 512, (off_t)at[i]), 512);
		open_log(&l, &p);
		assert_int_equal(l.n, 5);
		image_of(&l, l.n, 0, image);
		assert_int_equal(image[0], 1);
		assert_int_equal(image[4096], i ? 2 : 0);
		assert_int_equal(image[8192], 3);
		record_log_close(&l);
		assert_int_equal(pwrite(fd, good[i], 512, (off_t)at[i]), 512);
	}
	open_log(&l, &p);
	assert_int_equal(l.n, 6);
	record_log_close(&l);
	/* A copy that ends in the data of the last write: nobody has those. */
	assert_int_equal(ftruncate(fd, (off_t)(at[1] + 512 + 512 + 1024)), 0);
	open_log(&l, &p);
	assert_int_equal(l.n, 4);
	image_of(&l, l.n, 0, image);
	record_log_close(&l);
	close(fd);
	place_remove(&p);
}

/* A guest gives back all of a large disk. */
static void zeroes_of_a_large_disk_are_holes(void **state)
{
	const uint64_t size = UINT64_C(1) << 40;
	struct record_event events[] = {
		{.type = RECORD_SUBMIT, .op = STORAGE_DISCARD, .len = size, .partner = SIZE_MAX}};
	const struct record_log l = {.fd = -1, .events = events, .n = 1};
	uint8_t buf[4096];
	struct stat st;

	(void)state;
	for (unsigned torn = 0; torn < 2; torn++) {
		struct choice c = {.c = {choice_fate, choice_random}, .torn = torn, .seed = 1};
		FILE *f = tmpfile();

		assert_non_null(f);
		if (fallocate(fileno(f), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096))
			skip();
		memset(buf, 7, sizeof(buf));
		for (unsigned i = 0; i < 64; i++)
			assert_int_equal(pwrite(fileno(f), buf, 4096, i * (INT64_C(16) << 20)),
					 4096);
		assert_int_equal(record_apply(&l, 1, &c.c, fileno(f), NULL), 0);
		assert_int_equal(fstat(fileno(f), &st), 0);
		assert_true(torn || (uint64_t)st.st_size == size);
		for (unsigned i = 0, kept = 0; i < 64; i++) {
			assert_int_equal(pread(fileno(f), buf, 4096, i * (INT64_C(16) << 20)),
					 4096);
			assert_true(all_bytes_are(buf, 7, 4096) || all_bytes_are(buf, 0, 4096));
			kept += buf[0] == 7;
			assert_true(torn || !kept);
			assert_true(i < 63 || !torn || (kept && kept < 64));
		}
		fclose(f);
	}
}

static void a_log_is_begun_in_a_new_file(void **state)
{
	struct place p = place_make();
	struct storage_options o = {.target = "memory:32K", .layers.record = p.log};
	struct record_log l;
	struct error err = {""};
	struct storage *s;
	struct rig rig;
	FILE *f;

	(void)state;
	/* As a tree of a planned machine has it: nothing is left. */
	open_recorded(&rig, &p);
	rig_close(&rig);
	open_recorded(&rig, &p);
	put(&rig, 0, 1, 1, 0);
	rig_close(&rig);
	assert_int_equal(storage_open(&o, &s, &err), -EEXIST);
	assert_non_null(strstr(err.text, "new file"));
	o.readonly = STORAGE_READONLY;
	assert_int_equal(storage_open(&o, &s, &err), -EINVAL);
	assert_non_null(strstr(err.text, "read-only"));
	f = fopen(p.log, "w");
	fputs("something else, which is longer than a sector would have to be to be one", f);
	fclose(f);
	assert_int_equal(record_log_open(&l, p.log, &err), -EINVAL);
	assert_non_null(strstr(err.text, "no log of a recorded disk"));
	o.readonly = STORAGE_WRITABLE;
	o.layers.record = p.dir;
	assert_true(storage_open(&o, &s, &err) < 0);
	place_remove(&p);
}

/* What cannot be recorded is not done: the log may not become longer. */
static void a_log_that_cannot_be_written_fails_changes(void **state)
{
	struct place p = place_make();
	struct rlimit before, small;
	struct record_log l;
	uint8_t buf[4096] = {9};
	struct rig rig;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = 4096;
	open_recorded(&rig, &p);
	put(&rig, 0, 1, 1, 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (unsigned i = 0; i < 2; i++) {
		uint8_t is[512];

		assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, buf, 8 * 512), -EFBIG);
		assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, is, 512), 0);
		assert_int_equal(is[0], 1);
	}
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	rig_close(&rig);
	open_log(&l, &p);
	assert_int_equal(l.n, 2);
	record_log_close(&l);
	place_remove(&p);
}

static void the_model_disk(void **state)
{
	struct place p = place_make();
	struct storage_options o = {.target = "memory:4M", .layers.record = p.log};
	struct record_log l;

	(void)state;
	model_run(&o, 150);
	open_log(&l, &p);
	assert_true(l.n > 600);
	for (size_t i = 0; i < l.n; i++)
		assert_true(l.events[i].partner < l.n);
	record_log_close(&l);
	place_remove(&p);
}

/* ---- a log whose file system tells of a failure at a sync ---- */

static struct {
	bool fail; /* atomic: syncs */
	char said[1024];
} log_fs;

static int log_sync(void)
{
	if (!load_acquire(&log_fs.fail))
		return 0;
	errno = EIO;
	return -1;
}

/* In the place of the C library's. */
int fdatasync(int fd)
{
	(void)fd;
	return log_sync();
}

int fsync(int fd)
{
	(void)fd;
	return log_sync();
}

static void keep_line(void *opaque, enum log_level level, const char *line)
{
	(void)opaque;
	(void)level;
	snprintf(log_fs.said, sizeof(log_fs.said), "%s", line);
}

static void a_log_that_is_not_kept_is_an_error(void **state)
{
	struct place p = place_make();
	struct storage_options o = {.target = "memory:32K", .layers.record = p.log};
	struct rig rig;
	char text[256];

	(void)state;
	log_setup(LOG_LEVEL_INFO, keep_line, NULL);
	assert_int_equal(rig_open(&rig, &o, false, NULL), 0);
	put(&rig, 0, 1, 1, 0);
	assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), 0);
	store_release(&log_fs.fail, true);
	assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), -EIO);
	storage_describe(rig.s, text, sizeof(text));
	assert_non_null(strstr(text, "FAILED"));
	rig_close(&rig);
	assert_non_null(strstr(log_fs.said, "may lack what was recorded: Input/output error"));
	store_release(&log_fs.fail, false);
	log_setup(LOG_LEVEL_INFO, NULL, NULL);
	place_remove(&p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_prefix_is_what_the_disk_held),
		cmocka_unit_test(a_crash_loses_what_is_not_stable),
		cmocka_unit_test(what_was_under_way_may_be_torn),
		cmocka_unit_test(gaps_are_skipped),
		cmocka_unit_test(an_entry_that_cannot_be_is_none),
		cmocka_unit_test(zeroes_of_a_large_disk_are_holes),
		cmocka_unit_test(a_log_is_begun_in_a_new_file),
		cmocka_unit_test(a_log_that_cannot_be_written_fails_changes),
		cmocka_unit_test(the_model_disk),
		cmocka_unit_test(a_log_that_is_not_kept_is_an_error),
	};

	return cmocka_run_group_tests_name("storage/layer/record", tests, NULL, NULL);
}
