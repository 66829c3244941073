/* SPDX-License-Identifier: MIT */
/*
 * cow: a disk of a base and an overlay is a disk as any other, the base is never touched, and what
 * is no overlay of it is refused.
 */
#include "storage/layer/cow_rig_test.h"

#include <sys/ioctl.h>

#define DISK (UINT64_C(24) << 20) /* several pages of the map */

static void put(struct rig *rig, uint64_t sector, uint64_t sectors, uint8_t v, unsigned flags)
{
	uint8_t buf[16384];

	memset(buf, v, sizeof(buf));
	assert_int_equal(rig_rw(rig, STORAGE_WRITE, flags, sector * 512, buf, sectors * 512), 0);
}

static void reads_come_from_where_the_map_says(void **state)
{
	struct golden g = golden_make(DISK);
	uint8_t want[32768], is[32768];

	(void)state;
	for (unsigned way = 0; way < 2; way++) {
		struct rig rig;

		unlink(g.overlay);
		golden_rig(&rig, &g, NULL, NULL, way);
		memcpy(want, g.bytes, sizeof(want));
		assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, is, sizeof(is)), 0);
		assert_memory_equal(is, want, sizeof(is));
		put(&rig, 1, 3, 1, 0);
		memset(want + 512, 1, 3 * 512);
		put(&rig, 33, 1, 2, 0);
		memset(want + 33 * 512, 2, 512);
		assert_int_equal(rig_do(&rig, STORAGE_WRITE_ZEROES, 0, 512 * 3, 4096), 0);
		memset(want + 512 * 3, 0, 4096);
		assert_int_equal(rig_do(&rig, STORAGE_WRITE_ZEROES, STORAGE_UNMAP, 512, 512), 0);
		memset(want + 512, 0, 512);
		put(&rig, 5, 1, 3, 0);
		memset(want + 512 * 5, 3, 512);
		for (unsigned at = 0; at < sizeof(is); at += 512)
			for (unsigned len = 512; at + len <= sizeof(is); len *= 3) {
				assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, at, is, len), 0);
				assert_memory_equal(is, want + at, len);
			}
		golden_rig_close(&rig);
	}
	golden_is_untouched(&g);
	golden_remove(&g);
}

/* Where an iovec ends is not where a run ends. */
static void a_read_of_many_runs_fills_any_vector(void **state)
{
	struct golden g = golden_make(DISK);
	uint8_t want[16384], *is = malloc(2 * sizeof(want));
	struct iovec iov[200], before[200];
	struct rig rig;

	(void)state;
	golden_rig(&rig, &g, NULL, NULL, true);
	memcpy(want, g.bytes, sizeof(want));
	for (unsigned i = 0; i < 32; i += 2) {
		put(&rig, i, 1, (uint8_t)(i + 1), 0);
		memset(want + 512 * i, (int)i + 1, 512);
	}
	for (unsigned piece = 1; piece < 5000; piece = piece * 3 + 4) {
		struct waited w = {.io = {.op = STORAGE_READ, .len = sizeof(want), .iov = iov}};
		unsigned at = 0, n = 0;
		uint8_t *p = is;

		while (at < sizeof(want) && n < ARRAY_SIZE(iov)) {
			unsigned len = n == ARRAY_SIZE(iov) - 1
					       ? (unsigned)sizeof(want) - at
					       : (unsigned)min_u64(piece, sizeof(want) - at);

			iov[n++] = (struct iovec){p, len};
			p += len + 3;
			at += len;
		}
		memcpy(before, iov, sizeof(iov));
		w.io.iovcnt = (int)n;
		memset(is, 0xee, 2 * sizeof(want));
		rig_start(&rig, &w);
		assert_int_equal(rig_wait(&rig, &w), 0);
		assert_memory_equal(before, iov, n * sizeof(*iov));
		for (unsigned i = 0, k = 0; i < n; k += (unsigned)iov[i++].iov_len) {
			assert_memory_equal(iov[i].iov_base, want + k, iov[i].iov_len);
			assert_int_equal(((uint8_t *)iov[i].iov_base)[iov[i].iov_len], 0xee);
		}
	}
	golden_rig_close(&rig);
	free(is);
	golden_remove(&g);
}

static void what_is_given_back_takes_no_space(void **state)
{
	struct golden g = golden_make(DISK);
	uint8_t *buf = calloc(1, 1 << 20);
	struct stat full, after;
	struct rig rig;

	(void)state;
	memset(buf, 7, 1 << 20);
	golden_rig(&rig, &g, NULL, NULL, true);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, buf, 1 << 20), 0);
	assert_int_equal(stat(g.overlay, &full), 0);
	assert_int_equal(rig_do(&rig, STORAGE_DISCARD, STORAGE_FUA, 0, 1 << 20), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, buf, 1 << 20), 0);
	assert_true(all_bytes_are(buf, 0, 1 << 20));
	/* All of the disk, which takes no space either. */
	assert_int_equal(rig_do(&rig, STORAGE_DISCARD, 0, 0, DISK), 0);
	assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), 0);
	assert_int_equal(stat(g.overlay, &after), 0);
	assert_true(full.st_blocks >= 2048 && after.st_blocks < 200);
	golden_rig_close(&rig);
	golden_is_untouched(&g);
	free(buf);
	golden_remove(&g);
}

static void the_model_disk(void **state)
{
	static const struct {
		bool threads, direct;
	} ways[] = {{false, false}, {true, false}, {false, true}, {true, true}};
	uint8_t *first = malloc(MODEL_DISK), *then = malloc(MODEL_DISK);

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
		struct golden g = golden_make(MODEL_DISK);
		struct storage_options o = golden_options(&g);
		struct error err = {""};
		struct storage *s;
		int rc;

		o.threads = ways[i].threads;
		o.direct = ways[i].direct;
		/* Nothing is flushed before it is closed: that is no failure of the host. */
		memcpy(then, g.bytes, MODEL_DISK);
		for (unsigned round = 0; round < 2; round++) {
			if (round)
				golden_read_all(&g, then);
			rc = storage_open(&o, &s, &err);
			if (rc == -EINVAL && o.direct)
				break;
			if (rc)
				fail_msg("%s", err.text);
			model_run_how(s, &(struct model_how){.rounds = 150,
							     .first = then,
							     .epoll = round,
							     .discard_zeroes = true});
			storage_close(&s);
		}
		if (!rc) {
			golden_read_all(&g, first);
			golden_read_all(&g, then);
			assert_memory_equal(first, then, MODEL_DISK);
		}
		golden_is_untouched(&g);
		golden_remove(&g);
	}
	free(first);
	free(then);
}

static void two_guests_from_one_base(void **state)
{
	struct golden g = golden_make(DISK);
	struct storage_set set;
	struct storage_options o = golden_options(&g);
	char *second = NULL;
	uint8_t is[512];
	struct error err = {""};
	struct storage *s;
	struct rig a, b;

	(void)state;
	storage_set_init(&set);
	o.set = &set;
	assert_true(asprintf(&second, "%s2", g.overlay) > 0);
	assert_int_equal(rig_open(&a, &o, true, NULL), 0);
	o.disk = "disk1";
	/* One overlay is one disk. */
	assert_int_equal(storage_open(&o, &s, &err), -EBUSY);
	assert_non_null(strstr(err.text, "in use by disk0"));
	o.layers.cow = second;
	assert_int_equal(rig_open(&b, &o, true, NULL), 0);
	put(&a, 8, 8, 1, 0);
	put(&b, 8, 4, 2, 0);
	assert_int_equal(rig_rw(&a, STORAGE_READ, 0, 8 * 512, is, 512), 0);
	assert_true(all_bytes_are(is, 1, 512));
	assert_int_equal(rig_rw(&b, STORAGE_READ, 0, 8 * 512, is, 512), 0);
	assert_true(all_bytes_are(is, 2, 512));
	assert_int_equal(rig_rw(&b, STORAGE_READ, 0, 12 * 512, is, 512), 0);
	assert_memory_equal(is, g.bytes + 12 * 512, 512);
	/* Who would write the base is told that it is somebody's. */
	o.layers.cow = NULL;
	o.disk = "disk2";
	assert_int_equal(storage_open(&o, &s, &err), -EBUSY);
	assert_non_null(strstr(err.text, "in use by disk"));
	rig_close(&a);
	rig_close(&b);
	golden_is_untouched(&g);
	free(second);
	golden_remove(&g);
}

static void a_read_only_disk_writes_nothing(void **state)
{
	struct golden g = golden_make(DISK);
	struct storage_options o = golden_options(&g);
	struct stat before, after;
	struct error err = {""};
	struct storage *s;
	uint8_t is[4096];
	struct rig rig;

	(void)state;
	o.readonly = STORAGE_READONLY;
	assert_int_equal(storage_open(&o, &s, &err), -ENOENT);
	assert_non_null(strstr(err.text, "does not exist"));
	close(open(g.overlay, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(storage_open(&o, &s, &err), -ENODATA);
	o.readonly = STORAGE_WRITABLE;
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	put(&rig, 0, 4, 9, 0);
	rig_close(&rig);
	assert_int_equal(stat(g.overlay, &before), 0);
	o.readonly = STORAGE_READONLY;
	for (unsigned i = 0; i < 2; i++) {
		struct rig also;

		assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
		assert_true(storage_readonly(rig.s) && !storage_limits(rig.s)->max_discard);
		assert_int_equal(rig_open(&also, &o, true, NULL), 0);
		assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, is, 4096), 0);
		assert_true(all_bytes_are(is, i ? 0 : 9, 1) || i);
		assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, is, 4096), -EROFS);
		assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), 0);
		rig_close(&also);
		rig_close(&rig);
		if (i)
			break;
		assert_int_equal(stat(g.overlay, &after), 0);
		assert_true(before.st_mtim.tv_nsec == after.st_mtim.tv_nsec &&
			    before.st_mtim.tv_sec == after.st_mtim.tv_sec);
		/* What was not flushed is not there after a failure of the host. */
		golden_forget_boot(g.overlay);
	}
	golden_remove(&g);
}

static void refuse(const struct golden *g, int rc, const char *must_say)
{
	struct storage_options o = golden_options(g);
	struct error err = {""};
	struct storage *s;
	int is = storage_open(&o, &s, &err);

	if (is != rc || !strstr(err.text, must_say))
		fail_msg("%d: %s", is, err.text);
}

static void flip(const char *path, uint64_t at)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
	byte ^= 0x40;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
	close(fd);
}

static void what_is_no_overlay_of_the_base_is_refused(void **state)
{
	struct golden g = golden_make(DISK);
	struct storage_options o = golden_options(&g);
	const struct timespec other[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000}},
			      later[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 2000}};
	struct stat st;
	struct storage *s;
	struct rig rig;
	FILE *f;

	(void)state;
	f = fopen(g.overlay, "w");
	fputs("somebody's letters", f);
	fclose(f);
	refuse(&g, -EINVAL, "no overlay of a disk");
	/* All zeroes, and of another length than we would have made. */
	assert_int_equal(truncate(g.overlay, 0), 0);
	assert_int_equal(truncate(g.overlay, 12345), 0);
	refuse(&g, -EINVAL, "no overlay of a disk");
	assert_int_equal(truncate(g.overlay, 0), 0);
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	put(&rig, 0, 1, 1, STORAGE_FUA);
	rig_close(&rig);
	assert_int_equal(storage_open(&o, &s, NULL), 0);
	storage_close(&s);

	/* What it cannot do is not offered under its name. */
	o.erase = STORAGE_ERASE_OVERWRITE;
	assert_int_equal(storage_open(&o, &s, NULL), -EINVAL);
	o.erase = STORAGE_ERASE_DEVICE;
	/* The base itself. */
	o.layers.cow = g.base;
	assert_true(storage_open(&o, &s, NULL) < 0);
	golden_is_untouched(&g);
	/* Another base. */
	assert_int_equal(truncate(g.base, DISK + 512), 0);
	refuse(&g, -EINVAL, "is the overlay of a disk of 25165824 bytes");
	assert_int_equal(truncate(g.base, DISK), 0);
	assert_int_equal(utimensat(AT_FDCWD, g.base, other, 0), 0);
	refuse(&g, -ESTALE, "ringside cow rebase file=");
	golden_is_untouched(&g);
	golden_remove(&g);

	g = golden_make(DISK);
	o = golden_options(&g);
	/* Nothing is left of one in which nothing is, unless it was there before. */
	assert_int_equal(storage_open(&o, &s, NULL), 0);
	storage_close(&s);
	assert_int_equal(stat(g.overlay, &st), -1);
	close(open(g.overlay, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(storage_open(&o, &s, NULL), 0);
	storage_close(&s);
	/* And it goes with any base of that size. */
	assert_int_equal(utimensat(AT_FDCWD, g.base, other, 0), 0);
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	put(&rig, 0, 1, 1, 0);
	rig_close(&rig);
	assert_int_equal(storage_open(&o, &s, NULL), 0);
	storage_close(&s);
	assert_int_equal(utimensat(AT_FDCWD, g.base, later, 0), 0);
	refuse(&g, -ESTALE, "has changed since");
	assert_int_equal(utimensat(AT_FDCWD, g.base, other, 0), 0);
	assert_int_equal(stat(g.overlay, &st), 0);
	assert_int_equal(truncate(g.overlay, st.st_size - 4096), 0);
	refuse(&g, -EINVAL, "was cut off");
	golden_remove(&g);
}

static void torn_metadata_is_noticed(void **state)
{
	struct golden g = golden_make(DISK);
	struct storage_options o = golden_options(&g);
	const uint64_t maps[] = {cow_file_map_at(DISK, COW_STABLE),
				 cow_file_map_at(DISK, COW_RECENT)};
	struct rig rig;

	(void)state;
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	put(&rig, 40000, 1, 1, STORAGE_FUA);
	rig_close(&rig);
	/* The header; every byte of the sector of the map, its sum among them. */
	for (uint64_t at = 0; at < 512; at += 13) {
		flip(g.overlay, at);
		refuse(&g, at < 8 ? -EINVAL : -EBADMSG, at < 8 ? "no overlay" : "damaged");
		flip(g.overlay, at);
	}
	for (unsigned m = 0; m < 2; m++)
		for (uint64_t at = 0; at < 512; at += 7) {
			uint64_t place = maps[m] + 40000 / COW_PER_MAP * 512 + at;

			flip(g.overlay, place);
			refuse(&g, -EBADMSG, "is damaged at its byte");
			flip(g.overlay, place);
		}
	/* A sector in another's place, and of another overlay. */
	for (unsigned i = 0; i < 2; i++) {
		uint8_t sector[512];
		int fd = open(g.overlay, O_RDWR | O_CLOEXEC);

		assert_int_equal(
			pread(fd, sector, 512, (off_t)(maps[0] + 40000 / COW_PER_MAP * 512)), 512);
		if (i) {
			close(fd);
			unlink(g.overlay);
			assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
			put(&rig, 0, 1, 1, 0);
			rig_close(&rig);
			fd = open(g.overlay, O_RDWR | O_CLOEXEC);
		}
		assert_int_equal(pwrite(fd, sector, 512,
					(off_t)(maps[0] + (i ? 40000 / COW_PER_MAP : 1) * 512)),
				 512);
		close(fd);
		refuse(&g, -EBADMSG, "is damaged at its byte");
	}
	golden_is_untouched(&g);
	golden_remove(&g);
}

/* Each state that a creation that was killed leaves. */
static void a_creation_that_was_cut_off_is_made_anew(void **state)
{
	struct golden g = golden_make(DISK);
	struct storage_options o = golden_options(&g);
	struct storage *s;
	struct rig rig;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		unlink(g.overlay);
		close(open(g.overlay, O_CREAT | O_WRONLY, 0600));
		if (i)
			assert_int_equal(truncate(g.overlay, (off_t)cow_file_bytes(DISK)), 0);
		assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
		put(&rig, 0, 1, 1, STORAGE_FUA);
		rig_close(&rig);
		assert_int_equal(storage_open(&o, &s, NULL), 0);
		storage_close(&s);
	}
	golden_remove(&g);
}

/* A failed request changes nothing that it does not say; what succeeds later is true. */
static void errors_below_are_told_and_leave_no_lies(void **state)
{
	static const char *const kinds[] = {"write", "flush", "any", "discard"};
	struct golden g = golden_make(DISK);
	const uint64_t sectors = 64;
	uint8_t *want = malloc(sectors * 512), *is = malloc(sectors * 512);
	uint8_t known[64];

	(void)state;
	for (unsigned kind = 0; kind < ARRAY_SIZE(kinds); kind++)
		for (unsigned after = 0, met = 1; met; after++) {
			char rules[128], text[256];
			struct storage_layer_options bad = {.faulty.rules = rules};
			struct rig rig;

			snprintf(rules, sizeof(rules), "error:op=%s:after=%u:times=1:errno=ENOSPC",
				 kinds[kind], after);
			unlink(g.overlay);
			golden_rig(&rig, &g, NULL, &bad, false);
			memcpy(want, g.bytes, sectors * 512);
			memset(known, 1, sizeof(known));
			for (unsigned i = 0; i < 14; i++) {
				unsigned at = i * 5 % 48, flags = i % 3 ? 0 : STORAGE_FUA;
				enum storage_op op = i % 5 == 4	  ? STORAGE_FLUSH
						     : i % 4 == 3 ? STORAGE_WRITE_ZEROES
						     : i % 7 == 6 ? STORAGE_DISCARD
								  : STORAGE_WRITE;
				uint8_t buf[8 * 512];
				int rc;

				memset(buf, (int)i + 1, sizeof(buf));
				rc = op == STORAGE_WRITE
					     ? rig_rw(&rig, op, flags, at * 512, buf, 4096)
				     : op == STORAGE_FLUSH ? rig_do(&rig, op, 0, 0, 0)
							   : rig_do(&rig, op, flags | STORAGE_UNMAP,
								    at * 512, 4096);
				assert_true(!rc || rc == -ENOSPC);
				if (op == STORAGE_FLUSH)
					continue;
				if (op != STORAGE_WRITE)
					memset(buf, 0, sizeof(buf));
				memcpy(want + at * 512, buf, sizeof(buf));
				memset(known + at, !rc, 8);
			}
			storage_describe(cow_of(rig.s)->overlay, text, sizeof(text));
			met = strstr(text, "0 faults") != text;
			if (rig_do(&rig, STORAGE_FLUSH, 0, 0, 0))
				assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), 0);
			for (unsigned round = 0; round < 2; round++) {
				assert_int_equal(
					rig_rw(&rig, STORAGE_READ, 0, 0, is, sectors * 512), 0);
				for (unsigned k = 0; k < sectors; k++)
					if (known[k])
						assert_memory_equal(is + k * 512, want + k * 512,
								    512);
				golden_rig_close(&rig);
				if (round)
					break;
				golden_forget_boot(g.overlay);
				golden_rig(&rig, &g, NULL, NULL, false);
			}
			assert_true(after < 200);
		}
	free(want);
	free(is);
	golden_is_untouched(&g);
	golden_remove(&g);
}

static void an_error_of_the_base_is_the_reads(void **state)
{
	char rules[] = "error:op=read:offset=4096:length=4096";
	struct golden g = golden_make(DISK);
	struct storage_layer_options bad = {.faulty.rules = rules};
	uint8_t is[16384];
	struct rig rig;

	(void)state;
	golden_rig(&rig, &g, &bad, NULL, true);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, is, 4096), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, is, sizeof(is)), -EIO);
	put(&rig, 9, 2, 1, 0);
	put(&rig, 20, 1, 1, 0);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, is, sizeof(is)), -EIO);
	put(&rig, 8, 8, 3, 0);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, is, sizeof(is)), 0);
	assert_true(all_bytes_are(is + 4096, 3, 4096));
	golden_rig_close(&rig);
	golden_remove(&g);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_come_from_where_the_map_says),
		cmocka_unit_test(a_read_of_many_runs_fills_any_vector),
		cmocka_unit_test(what_is_given_back_takes_no_space),
		cmocka_unit_test(the_model_disk),
		cmocka_unit_test(two_guests_from_one_base),
		cmocka_unit_test(a_read_only_disk_writes_nothing),
		cmocka_unit_test(what_is_no_overlay_of_the_base_is_refused),
		cmocka_unit_test(torn_metadata_is_noticed),
		cmocka_unit_test(a_creation_that_was_cut_off_is_made_anew),
		cmocka_unit_test(errors_below_are_told_and_leave_no_lies),
		cmocka_unit_test(an_error_of_the_base_is_the_reads),
	};

	return cmocka_run_group_tests_name("storage/layer/cow", tests, NULL, NULL);
}
