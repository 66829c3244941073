/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "bench/job.h"
#include "bench/pattern.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)

static struct error why;

/* Words end in NULL. */
static int parse(struct job *job, const char *const *words)
{
	char *argv[24] = {(char *)(uintptr_t) "bench"};
	int argc = 1;

	for (; *words; words++)
		argv[argc++] = (char *)(uintptr_t)*words;
	why.text[0] = '\0';
	return job_parse(job, argc, argv, &why);
}

#define PARSE(job, ...) parse((job), (const char *const[]){__VA_ARGS__, NULL})

static void defaults_read_the_disk_once(void **state)
{
	struct job job;

	(void)state;
	assert_int_equal(PARSE(&job, "vhost-user:x"), 0);
	assert_string_equal(job.target, "vhost-user:x");
	assert_false(job.writes || job.random || job.poll || job.verify || job.json);
	assert_int_equal(job.read_percent, 100);
	assert_int_equal(job.size_max, 4096);
	assert_int_equal(job.depth, 1);
	assert_true(job.once);
}

static void only_words_with_write_in_them_write(void **state)
{
	struct job job;

	(void)state;
	assert_int_equal(PARSE(&job, "--rw=randread", "t"), 0);
	assert_false(job.writes);
	assert_int_equal(PARSE(&job, "--rw=write", "t"), 0);
	assert_true(job.writes && !job.random && job.read_percent == 0);
	assert_int_equal(PARSE(&job, "--rw", "randrw", "--rwmixread", "70", "t"), 0);
	assert_true(job.writes && job.random && job.read_percent == 70);
	/* The order does not matter. */
	assert_int_equal(PARSE(&job, "--rwmixread=70", "--rw=rw", "t"), 0);
	assert_true(job.writes && job.read_percent == 70);
	assert_int_equal(PARSE(&job, "--rwmixread=70", "t"), -EINVAL);
	assert_int_equal(PARSE(&job, "--discard=10", "t"), -EINVAL);
	assert_int_equal(PARSE(&job, "--flush-every=10", "--rw=randread", "t"), -EINVAL);
}

static void block_sizes(void **state)
{
	struct job job;

	(void)state;
	assert_int_equal(PARSE(&job, "--bs=64K", "t"), 0);
	assert_true(job.size_count == 1 && job.size_unit == 65536);
	assert_int_equal(PARSE(&job, "--bs=4K,6K,512", "t"), 0);
	assert_true(job.size_count == 3 && job.size_unit == 512 && job.size_min == 512 &&
		    job.size_max == 6144);
	assert_int_equal(PARSE(&job, "--bs=4K-30K", "t"), 0);
	assert_true(job.size_count == 0 && job.size_min == 4096 && job.size_max == 28 * 1024);
	static const char *const bad[] = {"",	      "0",   "5",      "513",	"4K,",
					  ",4K",      "4K-", "-4K",    "8K-4K", "1G",
					  "4K-8K-9K", "4X",  "4K,,8K", "4K 8K"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char word[32] = "--bs=";

		strcat(word, bad[i]);
		assert_int_equal(PARSE(&job, word, "t"), -EINVAL);
		assert_non_null(strstr(why.text, "--bs="));
	}
}

static void times_have_units(void **state)
{
	struct job job;

	(void)state;
	assert_int_equal(PARSE(&job, "--runtime=1.5", "--ramp=250ms", "t"), 0);
	assert_true(job.runtime_ns == 1500000000 && job.ramp_ns == 250000000);
	assert_int_equal(PARSE(&job, "--runtime=2m", "--reconnect", "t"), 0);
	assert_true(job.runtime_ns == 120000000000 && job.reconnect);
	assert_int_equal(PARSE(&job, "--reconnect=5", "--timeout=3s", "t"), 0);
	assert_true(job.reconnect_ns == 5000000000 && job.timeout_ns == 3000000000);
	assert_int_equal(PARSE(&job, "--runtime=0", "t"), -EINVAL);
	assert_int_equal(PARSE(&job, "--runtime=-1", "t"), -EINVAL);
	assert_int_equal(PARSE(&job, "--runtime=inf", "t"), -EINVAL);
	assert_int_equal(PARSE(&job, "--runtime=5x", "t"), -EINVAL);
	assert_int_equal(PARSE(&job, "--runtime=1e30", "t"), -EINVAL);
	assert_int_equal(PARSE(&job, "--ramp=1", "t"), -EINVAL);
}

static void cpu_lists(void **state)
{
	struct job job;

	(void)state;
	assert_int_equal(PARSE(&job, "--cpu=3,0-2", "t"), 0);
	assert_true(job.cpu_count == 4 && job.cpus[0] == 3 && job.cpus[3] == 2);
	assert_int_equal(PARSE(&job, "--cpu=0-", "t"), -EINVAL);
	assert_int_equal(PARSE(&job, "--cpu=2-1", "t"), -EINVAL);
	assert_int_equal(PARSE(&job, "--cpu=0-1000", "t"), -EINVAL);
	assert_int_equal(PARSE(&job, "--cpu=99999", "t"), -EINVAL);
	assert_int_equal(PARSE(&job, "--cpu=", "t"), -EINVAL);
}

static void wrong_lines_are_refused(void **state)
{
	struct job job;

	(void)state;
	assert_int_equal(PARSE(&job, "--poll"), -EINVAL);
	assert_int_equal(PARSE(&job, "a", "b"), -EINVAL);
	assert_int_equal(PARSE(&job, "--nonsense", "t"), -EINVAL);
	assert_int_equal(PARSE(&job, "-x", "t"), -EINVAL);
	assert_int_equal(PARSE(&job, "t", "--depth"), -EINVAL);
	assert_int_equal(PARSE(&job, "t", "--poll=yes"), -EINVAL);
	assert_int_equal(PARSE(&job, "t", "--depth=0"), -EINVAL);
	assert_int_equal(PARSE(&job, "t", "--format=xml"), -EINVAL);
	assert_int_equal(PARSE(&job, "t", "--size=100"), -EINVAL);
	assert_int_equal(PARSE(&job, "t", "--rw=wipe"), -EINVAL);
	/* Behind a lone -- everything is the target. */
	assert_int_equal(PARSE(&job, "--", "--odd"), 0);
	assert_string_equal(job.target, "--odd");
}

static struct ringside_info disk(void)
{
	return (struct ringside_info){
		.capacity = 64 * MIB,
		.block_size = 512,
		.max_segments = 126,
		.max_segment_bytes = UINT32_MAX,
		.queues = 2,
		.queue_size = 256,
	};
}

static void the_job_is_held_against_the_disk(void **state)
{
	struct ringside_info info = disk();
	struct job job;

	(void)state;
	assert_int_equal(PARSE(&job, "t"), 0);
	assert_int_equal(job_fit(&job, &info, &why), 0);
	assert_true(job.size == 64 * MIB && job.queues == 2);

	PARSE(&job, "--queues=3", "t");
	assert_int_equal(job_fit(&job, &info, &why), -ENOTSUP);
	PARSE(&job, "--offset=64M", "t");
	assert_int_equal(job_fit(&job, &info, &why), -ERANGE);
	PARSE(&job, "--offset=1M", "--size=64M", "t");
	assert_int_equal(job_fit(&job, &info, &why), -ERANGE);
	PARSE(&job, "--size=64K", "--bs=64K", "t");
	assert_int_equal(job_fit(&job, &info, &why), -ERANGE);
	PARSE(&job, "--rw=write", "--discard=1", "t");
	assert_int_equal(job_fit(&job, &info, &why), -ENOTSUP);
	PARSE(&job, "--ios=1", "t");
	assert_int_equal(job_fit(&job, &info, &why), -EINVAL);

	info.max_segment_bytes = 4096;
	PARSE(&job, "--bs=1M", "t");
	assert_int_equal(job_fit(&job, &info, &why), -ERANGE);
	PARSE(&job, "--bs=504K", "t");
	assert_int_equal(job_fit(&job, &info, &why), 0);

	info = disk();
	info.readonly = true;
	PARSE(&job, "--rw=write", "t");
	assert_int_equal(job_fit(&job, &info, &why), -EROFS);

	info = disk();
	info.block_size = 4096;
	PARSE(&job, "--bs=512", "t");
	assert_int_equal(job_fit(&job, &info, &why), -EINVAL);
}

static void shares_do_not_overlap(void **state)
{
	struct ringside_info info = disk();
	struct job job;

	(void)state;
	info.queues = 3;
	PARSE(&job, "--bs=64K", "--offset=1M", "--ios=100", "t");
	assert_int_equal(job_fit(&job, &info, &why), 0);
	uint64_t last = MIB, sum = 0;
	for (unsigned i = 0; i < 3; i++) {
		uint64_t begin, end, ios;

		job_share(&job, i, &begin, &end, &ios);
		assert_true(begin == last && end > begin && (end - begin) % 65536 == 0);
		last = end;
		sum += ios;
	}
	assert_true(last <= 64 * MIB && last > 64 * MIB - 3 * 65536);
	assert_int_equal(sum, 100);
}

/* ---- the stream ---- */

static void setup(struct pattern *p, struct job *job, const char *const *words)
{
	struct ringside_info info = disk();

	assert_int_equal(parse(job, words), 0);
	info.queues = job->queues ? job->queues : 1;
	info.max_discard_sectors = UINT32_MAX;
	assert_int_equal(job_fit(job, &info, &why), 0);
	pattern_init(p, job, 0);
}

#define SETUP(p, job, ...) setup((p), (job), (const char *const[]){__VA_ARGS__, "t", NULL})

static void one_pass_covers_the_size_exactly(void **state)
{
	struct pattern p;
	struct access a;
	struct job job;
	uint64_t next = 512;

	(void)state;
	SETUP(&p, &job, "--bs=512-4K", "--offset=512", "--size=1000K");
	while (pattern_next(&p, &a)) {
		assert_true(a.op == JOB_READ && a.offset == next && a.len);
		next += a.len;
	}
	assert_int_equal(next, 512 + 1000 * 1024);
	assert_false(pattern_next(&p, &a));
}

static void sequential_goes_round(void **state)
{
	struct pattern p;
	struct access a;
	struct job job;

	(void)state;
	SETUP(&p, &job, "--bs=4K", "--size=10K", "--ios=5", "--rw=write");
	for (unsigned i = 0; i < 5; i++) {
		assert_true(pattern_next(&p, &a));
		assert_true(a.op == JOB_WRITE && a.offset == i % 2 * 4096 && a.len == 4096);
	}
	assert_false(pattern_next(&p, &a));
}

static void random_stays_inside_and_reaches_both_ends(void **state)
{
	struct pattern p;
	struct access a;
	struct job job;
	bool first = false, last = false;

	(void)state;
	SETUP(&p, &job, "--rw=randread", "--bs=1K,3K", "--offset=2K", "--size=16K", "--ios=2000");
	while (pattern_next(&p, &a)) {
		assert_true(a.offset >= 2048 && a.offset + a.len <= 18 * 1024);
		assert_true(a.offset % 1024 == 0 && (a.len == 1024 || a.len == 3072));
		first |= a.offset == 2048;
		last |= a.offset + a.len == 18 * 1024;
	}
	assert_true(first && last);
}

static void mixes_are_as_asked(void **state)
{
	unsigned n[JOB_OPS] = {0}, since = 0;
	struct pattern p;
	struct access a;
	struct job job;

	(void)state;
	SETUP(&p, &job, "--rw=randrw", "--rwmixread=30", "--discard=20", "--flush-every=7",
	      "--ios=100000");
	while (pattern_next(&p, &a)) {
		n[a.op]++;
		if (a.op == JOB_FLUSH) {
			assert_int_equal(since, 7);
			since = 0;
		}
		since += a.op == JOB_WRITE;
		assert_true(since <= 7);
	}
	assert_int_equal(n[JOB_READ] + n[JOB_WRITE] + n[JOB_DISCARD], 100000);
	assert_in_range(n[JOB_READ], 29000, 31000);
	assert_in_range(n[JOB_DISCARD], 13000, 15000);
	assert_int_equal(n[JOB_FLUSH], n[JOB_WRITE] / 7);
}

static void the_seed_decides(void **state)
{
	struct pattern a, b, c;
	struct job job, other;
	bool differs = false;

	(void)state;
	SETUP(&a, &job, "--rw=randrw", "--bs=512-64K", "--seed=7", "--ios=100", "--queues=2");
	SETUP(&b, &job, "--rw=randrw", "--bs=512-64K", "--seed=7", "--ios=100", "--queues=2");
	SETUP(&c, &other, "--rw=randrw", "--bs=512-64K", "--seed=8", "--ios=100", "--queues=2");
	for (unsigned i = 0; i < 50; i++) {
		struct access x, y, z;

		assert_true(pattern_next(&a, &x) && pattern_next(&b, &y) && pattern_next(&c, &z));
		assert_true(x.op == y.op && x.offset == y.offset && x.len == y.len);
		differs |= x.offset != z.offset;
	}
	assert_true(differs);
	pattern_init(&a, &job, 0);
	pattern_init(&b, &job, 1);
	differs = false;
	for (unsigned i = 0; i < 50; i++) {
		struct access x, y;

		assert_true(pattern_next(&a, &x) && pattern_next(&b, &y));
		differs |= x.offset != y.offset;
	}
	assert_true(differs);
}

static void verified_streams_keep_to_their_share(void **state)
{
	struct pattern p;
	struct access a;
	struct job job;
	uint64_t begin, end, ios;

	(void)state;
	SETUP(&p, &job, "--rw=randwrite", "--verify", "--bs=4K-64K", "--queues=4", "--ios=4000");
	pattern_init(&p, &job, 2);
	job_share(&job, 2, &begin, &end, &ios);
	while (pattern_next(&p, &a))
		assert_true(a.offset >= begin && a.offset + a.len <= end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_read_the_disk_once),
		cmocka_unit_test(only_words_with_write_in_them_write),
		cmocka_unit_test(block_sizes),
		cmocka_unit_test(times_have_units),
		cmocka_unit_test(cpu_lists),
		cmocka_unit_test(wrong_lines_are_refused),
		cmocka_unit_test(the_job_is_held_against_the_disk),
		cmocka_unit_test(shares_do_not_overlap),
		cmocka_unit_test(one_pass_covers_the_size_exactly),
		cmocka_unit_test(sequential_goes_round),
		cmocka_unit_test(random_stays_inside_and_reaches_both_ends),
		cmocka_unit_test(mixes_are_as_asked),
		cmocka_unit_test(the_seed_decides),
		cmocka_unit_test(verified_streams_keep_to_their_share),
	};

	return cmocka_run_group_tests_name("job", tests, NULL, NULL);
}
