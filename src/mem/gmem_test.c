/* SPDX-License-Identifier: MIT */
/* Guest memory: building maps, looking up, ranges that wrap or leave, memory that is taken away. */
#include "test.h"

#include "base/bits.h"
#include "mem/gmem.h"
#include "mem/gmem_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB 0x100000u

static int memfd(size_t size)
{
	int fd = memfd_create("gmem-test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

/* Two regions that touch at 1 MiB, a hole, and one at 4 GiB; contents from one file, in reverse
 * order. */
static struct gmem *three_regions(void)
{
	int fd = memfd(3 * MIB);
	struct gmem *a, *b, *c;

	assert_int_equal(gmem_with_fd(NULL, MIB, MIB, 0x7000000, fd, 0, &a, NULL), 0);
	assert_int_equal(gmem_with_fd(a, 0, MIB, 0x9000000, fd, MIB, &b, NULL), 0);
	assert_int_equal(gmem_with_fd(b, UINT64_C(4) << 30, MIB, 0xb000000, fd, 2 * MIB, &c, NULL),
			 0);
	gmem_put(a);
	gmem_put(b);
	close(fd);
	return c;
}

static void lookup_is_all_or_nothing(void **state)
{
	struct gmem *m = three_regions();
	struct gmem_hint hint = {0};
	uint8_t *p;

	(void)state;
	p = gmem_at(m, &hint, gpa(0), MIB);
	assert_non_null(p);
	assert_ptr_equal(gmem_at(m, &hint, gpa(17), 1), p + 17);
	assert_null(gmem_at(m, &hint, gpa(1), MIB));	 /* one byte too far for one region */
	assert_null(gmem_at(m, &hint, gpa(2 * MIB), 1)); /* the hole */
	assert_non_null(gmem_at(m, &hint, gpa(2 * MIB - 1), 1)); /* last byte before it */
	assert_null(gmem_at(m, &hint, gpa(0), 0));
	assert_null(gmem_at(m, &hint, gpa(UINT64_MAX), 2));
	assert_null(gmem_at(m, &hint, gpa(5), UINT64_MAX));
	gmem_put(m);
}

static void r_10_slices_cross_touching_regions(void **state)
{
	struct gmem *m = three_regions();
	struct gmem_hint hint = {0};
	struct iovec iov[4];

	(void)state;
	assert_int_equal(gmem_slices(m, &hint, gpa(MIB - 3), 10, true, iov, 4), 2);
	assert_int_equal(iov[0].iov_len, 3);
	assert_int_equal(iov[1].iov_len, 7);
	assert_ptr_equal(iov[1].iov_base, gmem_at(m, &hint, gpa(MIB), 7));
	assert_int_equal(gmem_slices(m, &hint, gpa(MIB - 3), 10, false, iov, 1), -E2BIG);
	gmem_put(m);
}

static void r_10_slices_never_leave_memory(void **state)
{
	struct gmem *m = three_regions();
	struct gmem_hint hint = {0};
	struct iovec iov[4];

	(void)state;
	assert_int_equal(gmem_slices(m, &hint, gpa(2 * MIB - 1), 2, false, iov, 4), -EFAULT);
	assert_int_equal(gmem_slices(m, &hint, gpa(3 * MIB), 1, false, iov, 4), -EFAULT);
	assert_int_equal(gmem_slices(m, &hint, gpa(UINT64_MAX - 3), 8, false, iov, 4), -EFAULT);
	assert_int_equal(gmem_slices(m, &hint, gpa(16), UINT64_MAX, false, iov, 4), -EFAULT);
	/* KB-18: an invalid address with length 0 is nothing, not an error and not a crash. */
	assert_int_equal(gmem_slices(m, &hint, gpa(3 * MIB), 0, false, iov, 4), 0);
	gmem_put(m);
}

static void kb_31_range_that_wraps_2_64(void **state)
{
	uint8_t page[64];
	struct gmem *m;
	struct gmem_hint hint = {0};
	struct iovec iov[4];

	(void)state;
	assert_int_equal(gmem_with_host(NULL, UINT64_MAX - 63, 64, 0, page, &m, NULL), 0);
	assert_int_equal(gmem_slices(m, &hint, gpa(UINT64_MAX - 7), 8, false, iov, 4), 1);
	assert_int_equal(gmem_slices(m, &hint, gpa(UINT64_MAX - 7), 9, false, iov, 4), -EFAULT);
	assert_null(gmem_at(m, &hint, gpa(UINT64_MAX - 7), 9));
	gmem_put(m);
}

static void regions_of_one_file_show_its_bytes(void **state)
{
	int fd = memfd(2 * MIB);
	struct gmem *m;
	struct gmem_hint hint = {0};
	char *p;

	(void)state;
	/* an offset that is no multiple of a page */
	assert_int_equal(pwrite(fd, "here", 4, 5000), 4);
	assert_int_equal(gmem_with_fd(NULL, 0x1000, MIB, 0, fd, 5000, &m, NULL), 0);
	p = gmem_at(m, &hint, gpa(0x1000), MIB);
	assert_memory_equal(p, "here", 4);
	gmem_put(m);
	close(fd);
}

static void v_05_bad_regions_are_refused(void **state)
{
	struct gmem *m = three_regions(), *out = NULL;
	int fd = memfd(MIB), dir = open("/", O_RDONLY | O_DIRECTORY),
	    null = open("/dev/null", O_RDWR);
	struct error err;

	(void)state;
	assert_int_equal(gmem_with_fd(m, 8 * MIB, 0, 0, fd, 0, &out, &err), -EINVAL);
	assert_int_equal(gmem_with_fd(m, UINT64_MAX - 5, MIB, 0, fd, 0, &out, &err), -EINVAL);
	assert_int_equal(gmem_with_fd(m, 8 * MIB, MIB, UINT64_MAX - 5, fd, 0, &out, &err), -EINVAL);
	assert_int_equal(gmem_with_fd(m, MIB - 1, 2, 0, fd, 0, &out, &err), -EEXIST);
	assert_int_equal(gmem_with_fd(m, 8 * MIB, MIB, 0, fd, 1, &out, &err), -EINVAL);
	assert_int_equal(gmem_with_fd(m, 8 * MIB, MIB, 0, fd, UINT64_MAX - 10, &out, &err),
			 -EINVAL);
	assert_int_equal(gmem_with_fd(m, 8 * MIB, 4096, 0, dir, 0, &out, &err), -EINVAL);
	assert_int_equal(gmem_with_fd(m, 8 * MIB, 4096, 0, null, 0, &out, &err), -EINVAL);
	assert_int_equal(gmem_with_fd(m, 8 * MIB, 4096, 0, -1, 0, &out, &err), -EBADF);
	assert_null(out);
	close(fd);
	close(dir);
	close(null);
	gmem_put(m);
}

static void v_06_regions_come_and_go(void **state)
{
	struct gmem *m = three_regions(), *out = NULL;
	struct gmem_hint hint = {2};

	(void)state;
	assert_int_equal(gmem_without(m, MIB, MIB, 0x1, &out), -ENOENT);
	assert_int_equal(gmem_without(m, MIB, MIB - 1, 0x7000000, &out), -ENOENT);
	assert_int_equal(gmem_without(m, MIB, MIB, 0x7000000, &out), 0);
	assert_non_null(gmem_at(m, &hint, gpa(MIB), 1)); /* the old map still stands */
	gmem_put(m);
	assert_null(gmem_at(out, &hint, gpa(MIB), 1));
	assert_non_null(gmem_at(out, &hint, gpa(0), MIB));
	gmem_put(out);
}

static void v_05_more_than_the_slots(void **state)
{
	uint8_t byte[GMEM_REGIONS_MAX + 1];
	struct gmem *m = gmem_new(), *next;

	(void)state;
	for (uint64_t i = 0; i < GMEM_REGIONS_MAX; i++) {
		assert_int_equal(gmem_with_host(m, i * 2, 1, 0, &byte[i], &next, NULL), 0);
		gmem_put(m);
		m = next;
	}
	assert_int_equal(gmem_with_host(m, 1, 1, 0, byte, &next, NULL), -ENOSPC);
	for (uint64_t i = 0; i < GMEM_REGIONS_MAX; i++) {
		struct gmem_hint hint = {7};

		assert_ptr_equal(gmem_at(m, &hint, gpa(i * 2), 1), &byte[i]);
		assert_null(gmem_at(m, &hint, gpa(i * 2 + 1), 1));
	}
	gmem_put(m);
}

static void user_addresses_are_translated(void **state)
{
	struct gmem *m = three_regions();
	gpa_t at;

	(void)state;
	assert_int_equal(gmem_from_user(m, 0x7000010, 16, &at), 0);
	assert_int_equal(at.v, MIB + 0x10);
	assert_int_equal(gmem_from_user(m, 0x7000000 + MIB - 8, 16, &at), -EFAULT);
	assert_int_equal(gmem_from_user(m, 0x6ffffff, 1, &at), -EFAULT);
	assert_int_equal(gmem_from_user(m, 0x7000000, UINT64_MAX, &at), -EFAULT);
	gmem_put(m);
}

/* Whatever map of the log's is written through, also memory that has been taken out of it. */
static void a_log_follows_its_maps(void **state)
{
	struct gmem *m = three_regions(), *logged, *less, *more, *quiet;
	struct gmem_log *log = gmem_log_new();
	int fd = memfd(MIB);
	uint64_t bits[2];

	(void)state;
	assert_int_equal(gmem_with_log(m, log, &logged), 0);
	gmem_wrote(m, gpa(0), 1); /* not a map of the log's */
	gmem_wrote(logged, gpa(4095), 2);
	gmem_wrote(logged, gpa(MIB - 1), 2);
	gmem_wrote(logged, gpa(2 * MIB), 10); /* no memory there */
	assert_int_equal(gmem_without(logged, 0, MIB, 0x9000000, &less), 0);
	assert_int_equal(gmem_with_fd(less, UINT64_C(8) << 30, MIB, 0, fd, 0, &more, NULL), 0);
	gmem_wrote(more, gpa((UINT64_C(8) << 30) + 3 * 4096), 1);
	memset(bits, 0, sizeof(bits));
	gmem_log_take(log, 0, 3 * MIB, 65536, bits);
	assert_int_equal(bits[0], 1u << 0 | 1u << 15 | 1u << 16);
	memset(bits, 0, sizeof(bits));
	gmem_log_take(log, UINT64_C(8) << 30, MIB, 4096, bits);
	assert_int_equal(bits[0], 8);
	/* They are gone. */
	gmem_log_take(log, 0, 3 * MIB, 65536, bits);
	assert_int_equal(bits[0], 8);
	assert_int_equal(gmem_with_log(more, NULL, &quiet), 0);
	gmem_wrote(quiet, gpa(MIB), 1);
	gmem_log_take(log, 0, 3 * MIB, 65536, bits);
	assert_int_equal(bits[0], 8);
	gmem_log_put(log);
	gmem_put(m);
	gmem_put(logged);
	gmem_put(less);
	gmem_put(quiet);
	gmem_wrote(more, gpa(MIB), 1); /* the last one holds it */
	gmem_put(more);
	close(fd);
}

static void r_21_truncated_memory_does_not_kill(void **state)
{
	int fd = memfd(2 * MIB);
	struct gmem *m;
	struct gmem_hint hint = {0};
	struct gmem_guard guard;
	volatile uint8_t *p;

	(void)state;
	assert_int_equal(gmem_guard_install(NULL), 0);
	assert_int_equal(gmem_with_fd(NULL, 0, 2 * MIB, 0, fd, 0, &m, NULL), 0);
	p = gmem_at(m, &hint, gpa(0), 2 * MIB);
	gmem_guard_enter(&guard, m);
	p[0] = 1;
	p[MIB + 5] = 7;
	assert_false(gmem_lost(m));
	assert_int_equal(ftruncate(fd, MIB), 0);
	assert_int_equal(p[MIB + 5], 0);
	assert_true(gmem_lost(m));
	p[2 * MIB - 1] = 9;
	assert_int_equal(p[0], 1); /* what is still there is untouched */
	gmem_guard_leave(&guard);
	gmem_put(m);
	close(fd);
}

/* What a region may not be used for is not there for it; the file's own mode holds, too. */
static void regions_of_each_kind(void **state)
{
	(void)state;
	for (uint32_t access = GMEM_READ; access <= GMEM_BOTH; access++) {
		struct gmem_hint hint = {0};
		int fd = memfd(2 * MIB);
		struct gmem *one, *m;
		struct iovec iov[2];

		assert_int_equal(gmem_with_fd(NULL, 0, MIB, 0, fd, 0, &one, NULL), 0);
		assert_int_equal(gmem_with_fd_for(one, access, MIB, MIB, fd, MIB, &m, NULL), 0);
		assert_true(!gmem_at_read(m, &hint, gpa(MIB), 1) == !(access & GMEM_READ));
		assert_true(!gmem_at_write(m, &hint, gpa(MIB), 1) == !(access & GMEM_WRITE));
		assert_true(!gmem_at(m, &hint, gpa(MIB), 1) == (access != GMEM_BOTH));
		for (int write = 0; write < 2; write++) {
			bool may = access & (write ? GMEM_WRITE : GMEM_READ);

			assert_int_equal(gmem_slices(m, &hint, gpa(MIB - 1), 1, write, iov, 2), 1);
			assert_int_equal(gmem_slices(m, &hint, gpa(MIB), 1, write, iov, 2),
					 may ? 1 : -EACCES);
			assert_int_equal(gmem_slices(m, &hint, gpa(MIB - 1), 2, write, iov, 2),
					 may ? 2 : -EACCES);
		}
		gmem_put(one);
		gmem_put(m);
		close(fd);
	}
}

/* It never says more than the look-up, and as much where the range lies in the region hit last. */
static void a_hit_says_what_a_look_up_says(void **state)
{
	static const uint64_t at[] = {0,
				      1,
				      MIB - 1,
				      MIB,
				      MIB + 1,
				      2 * MIB - 1,
				      2 * MIB,
				      (UINT64_C(4) << 30) - 1,
				      UINT64_C(4) << 30,
				      (UINT64_C(4) << 30) + MIB - 1,
				      (UINT64_C(4) << 30) + MIB,
				      UINT64_MAX - 1,
				      UINT64_MAX};
	static const uint32_t len[] = {
		0, 1, 2, MIB - 1, MIB, MIB + 1, 2 * MIB, UINT32_MAX - 1, UINT32_MAX};
	struct gmem *m = three_regions();
	unsigned hits = 0;

	(void)state;
	for (uint32_t region = 0; region < m->n; region++) {
		const struct gmem_region *r = &m->regions[region];
		struct gmem_hint hint = {region};
		const struct gmem_region *near = gmem_near(m, &hint);

		assert_ptr_equal(near, r);
		for (unsigned i = 0; i < ARRAY_SIZE(at); i++) {
			for (unsigned k = 0; k < ARRAY_SIZE(len); k++) {
				struct iovec slice, iov[4];
				struct gmem_hint none = {0};
				bool inside = len[k] && at[i] >= r->gpa &&
					      at[i] - r->gpa < r->size &&
					      len[k] <= r->size - (at[i] - r->gpa);

				assert_int_equal(gmem_hit(near, gpa(at[i]), len[k], &slice),
						 inside);
				assert_false(gmem_hit(&gmem_nowhere, gpa(at[i]), len[k], &slice));
				if (!inside)
					continue;
				hits++;
				assert_int_equal(
					gmem_slices(m, &none, gpa(at[i]), len[k], true, iov, 4), 1);
				assert_ptr_equal(iov[0].iov_base, slice.iov_base);
				assert_int_equal(iov[0].iov_len, slice.iov_len);
			}
		}
	}
	assert_true(hits > 10);
	gmem_put(m);
}

/* Where more is to be done than to look, there is no hit. */
static void what_is_logged_or_not_for_all_is_no_hit(void **state)
{
	struct gmem_log *log = gmem_log_new();
	struct gmem_hint hint = {0};
	struct gmem *m = three_regions(), *logged;

	(void)state;
	assert_non_null(log);
	assert_int_equal(gmem_with_log(m, log, &logged), 0);
	assert_ptr_equal(gmem_near(logged, &hint), &gmem_nowhere);
	gmem_put(logged);
	gmem_log_put(log);
	for (uint32_t access = GMEM_READ; access <= GMEM_BOTH; access++) {
		m->regions[0].access = access;
		assert_true((gmem_near(m, &hint) == &gmem_nowhere) == (access != GMEM_BOTH));
	}
	hint.region = m->n;
	assert_ptr_equal(gmem_near(m, &hint), &gmem_nowhere);
	gmem_put(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hit_says_what_a_look_up_says),
		cmocka_unit_test(what_is_logged_or_not_for_all_is_no_hit),
		cmocka_unit_test(lookup_is_all_or_nothing),
		cmocka_unit_test(regions_of_each_kind),
		cmocka_unit_test(r_10_slices_cross_touching_regions),
		cmocka_unit_test(r_10_slices_never_leave_memory),
		cmocka_unit_test(kb_31_range_that_wraps_2_64),
		cmocka_unit_test(regions_of_one_file_show_its_bytes),
		cmocka_unit_test(v_05_bad_regions_are_refused),
		cmocka_unit_test(v_06_regions_come_and_go),
		cmocka_unit_test(v_05_more_than_the_slots),
		cmocka_unit_test(user_addresses_are_translated),
		cmocka_unit_test(a_log_follows_its_maps),
		cmocka_unit_test(r_21_truncated_memory_does_not_kill),
	};

	return cmocka_run_group_tests_name("gmem", tests, NULL, NULL);
}
