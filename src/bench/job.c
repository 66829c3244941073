/* SPDX-License-Identifier: MIT */
#include "bench/job.h"

#include "base/bits.h"
#include "base/clock.h"
#include "base/size.h"
#include "bench/stamp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_MAX (UINT64_C(64) << 20)

/* One request a day. */
#define RATE_MIN (1.0 / 86400)

struct option;
typedef int option_fn(struct job *job, const struct option *o, const char *value,
		      struct error *err);

struct option {
	const char *name;
	option_fn *set;
	const char *allowed; /* what the value must be; NULL: the option takes none */
};

static int refuse(const struct option *o, const char *value, struct error *err)
{
	if (!o->allowed)
		return error_set(err, -EINVAL, "--%s takes no value.", o->name);
	return error_set(err, -EINVAL, "\"--%s=%s\" cannot be: the value must be %s.", o->name,
			 value, o->allowed);
}

static int number(const struct option *o, const char *value, uint64_t min, uint64_t max,
		  uint64_t *out, struct error *err)
{
	return number_parse(value, min, max, out) ? refuse(o, value, err) : 0;
}

/* ---- what ---- */

static int set_rw(struct job *job, const struct option *o, const char *value, struct error *err)
{
	static const struct {
		const char *name;
		bool random, writes;
		unsigned reads;
		enum job_zones zones;
	} words[] = {
		{"read", false, false, 100, JOB_NO_ZONES},
		{"randread", true, false, 100, JOB_NO_ZONES},
		{"write", false, true, 0, JOB_NO_ZONES},
		{"randwrite", true, true, 0, JOB_NO_ZONES},
		{"rw", false, true, 50, JOB_NO_ZONES},
		{"readwrite", false, true, 50, JOB_NO_ZONES},
		{"randrw", true, true, 50, JOB_NO_ZONES},
		{"zonewrite", false, true, 0, JOB_ZONE_WRITE},
		{"append", false, true, 0, JOB_ZONE_APPEND},
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(words[i].name, value) != 0)
			continue;
		job->random = words[i].random;
		job->writes = words[i].writes;
		job->read_percent = words[i].reads;
		job->zones = words[i].zones;
		return 0;
	}
	return refuse(o, value, err);
}

static int set_mix(struct job *job, const struct option *o, const char *value, struct error *err)
{
	uint64_t v;
	int rc = number(o, value, 0, 100, &v, err);

	if (!rc)
		job->read_percent = (unsigned)v;
	return rc;
}

static int set_discards(struct job *job, const struct option *o, const char *value,
			struct error *err)
{
	uint64_t v;
	int rc = number(o, value, 0, 100, &v, err);

	if (!rc)
		job->discard_percent = (unsigned)v;
	return rc;
}

static int set_flush(struct job *job, const struct option *o, const char *value, struct error *err)
{
	uint64_t v;
	int rc = number(o, value, 0, UINT32_MAX, &v, err);

	if (!rc)
		job->flush_every = (uint32_t)v;
	return rc;
}

static uint32_t gcd(uint32_t a, uint32_t b)
{
	while (b) {
		uint32_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

static int block_size(const char *text, size_t len, uint32_t *out)
{
	char word[24];
	uint64_t v;

	if (!len || len >= sizeof(word))
		return -EINVAL;
	memcpy(word, text, len);
	word[len] = '\0';
	if (size_parse(word, &v) || !v || v % SECTOR_SIZE || v > BLOCK_MAX)
		return -EINVAL;
	*out = (uint32_t)v;
	return 0;
}

static int set_block_range(struct job *job, const struct option *o, const char *value,
			   const char *dash, struct error *err)
{
	uint32_t min, max;

	if (block_size(value, (size_t)(dash - value), &min) ||
	    block_size(dash + 1, strlen(dash + 1), &max) || max < min)
		return refuse(o, value, err);
	job->size_count = 0;
	job->size_min = job->size_unit = min;
	job->size_max = max - max % min;
	return 0;
}

static int set_block_sizes(struct job *job, const struct option *o, const char *value,
			   struct error *err)
{
	const char *dash = strchr(value, '-'), *at = value;
	unsigned n = 0;
	size_t len;

	if (dash)
		return set_block_range(job, o, value, dash, err);
	job->size_min = UINT32_MAX;
	job->size_max = job->size_unit = 0;
	for (;; at += len + 1) {
		uint32_t *size = &job->sizes[n];

		len = strcspn(at, ",");
		if (n == JOB_SIZES_MAX || block_size(at, len, size))
			return refuse(o, value, err);
		n++;
		job->size_min = *size < job->size_min ? *size : job->size_min;
		job->size_max = *size > job->size_max ? *size : job->size_max;
		job->size_unit = gcd(*size, job->size_unit);
		if (!at[len])
			break;
	}
	job->size_count = n;
	return 0;
}

static int set_offset(struct job *job, const struct option *o, const char *value, struct error *err)
{
	uint64_t v;

	if (size_parse(value, &v) || v % SECTOR_SIZE)
		return refuse(o, value, err);
	job->offset = v;
	return 0;
}

static int set_size(struct job *job, const struct option *o, const char *value, struct error *err)
{
	uint64_t v;

	if (size_parse(value, &v) || !v || v % SECTOR_SIZE)
		return refuse(o, value, err);
	job->size = v;
	return 0;
}

static int set_seed(struct job *job, const struct option *o, const char *value, struct error *err)
{
	return number(o, value, 0, UINT64_MAX, &job->seed, err);
}

/* ---- how hard, how long ---- */

static int set_depth(struct job *job, const struct option *o, const char *value, struct error *err)
{
	uint64_t v;
	int rc = number(o, value, 1, JOB_DEPTH_MAX, &v, err);

	if (!rc)
		job->depth = (uint16_t)v;
	return rc;
}

static int set_queues(struct job *job, const struct option *o, const char *value, struct error *err)
{
	uint64_t v;
	int rc = number(o, value, 1, JOB_QUEUES_MAX, &v, err);

	if (!rc)
		job->queues = (uint16_t)v;
	return rc;
}

static int set_poll(struct job *job, const struct option *o, const char *value, struct error *err)
{
	if (value)
		return refuse(o, value, err);
	job->poll = !strcmp(o->name, "poll");
	return 0;
}

static int set_rate(struct job *job, const struct option *o, const char *value, struct error *err)
{
	char *end;
	double v;

	/* strtod() also knows signs, nan and hexadecimal words. */
	if (value[strspn(value, "0123456789.")] || *value == '.')
		return refuse(o, value, err);
	v = strtod(value, &end);
	if (*end || v < RATE_MIN || v > 1e9)
		return refuse(o, value, err);
	job->rate = v;
	return 0;
}

static int set_ios(struct job *job, const struct option *o, const char *value, struct error *err)
{
	return number(o, value, 1, UINT64_MAX / BLOCK_MAX, &job->ios, err);
}

/* "10", "0.5", "10s", "500ms", "2m", "1h" */
static int seconds(const struct option *o, const char *value, uint64_t *out, struct error *err)
{
	static const struct {
		const char *name;
		double factor;
	} units[] = {{"", 1e9}, {"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"m", 60e9}, {"h", 3600e9}};
	char *end;
	double v;

	if (*value < '0' || *value > '9')
		return refuse(o, value, err);
	v = strtod(value, &end);
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(end, units[i].name) != 0)
			continue;
		v *= units[i].factor;
		if (!(v >= 0 && v <= 366.0 * 86400e9))
			break;
		*out = (uint64_t)v;
		return 0;
	}
	return refuse(o, value, err);
}

static int set_runtime(struct job *job, const struct option *o, const char *value,
		       struct error *err)
{
	int rc = seconds(o, value, &job->runtime_ns, err);

	return rc || job->runtime_ns ? rc : refuse(o, value, err);
}

static int set_ramp(struct job *job, const struct option *o, const char *value, struct error *err)
{
	return seconds(o, value, &job->ramp_ns, err);
}

static int set_timeout(struct job *job, const struct option *o, const char *value,
		       struct error *err)
{
	int rc = seconds(o, value, &job->timeout_ns, err);

	return rc || job->timeout_ns ? rc : refuse(o, value, err);
}

static int set_verify(struct job *job, const struct option *o, const char *value, struct error *err)
{
	if (value)
		return refuse(o, value, err);
	job->verify = true;
	return 0;
}

static int set_reconnect(struct job *job, const struct option *o, const char *value,
			 struct error *err)
{
	job->reconnect = true;
	return value ? seconds(o, value, &job->reconnect_ns, err) : 0;
}

static int set_cpus(struct job *job, const struct option *o, const char *value, struct error *err)
{
	const char *at = value;
	unsigned n = 0;

	for (;;) {
		unsigned long long first, last;
		char *end;

		if (*at < '0' || *at > '9')
			return refuse(o, value, err);
		first = last = strtoull(at, &end, 10);
		if (*end == '-' && end[1] >= '0' && end[1] <= '9')
			last = strtoull(end + 1, &end, 10);
		if (last < first || last > 4095 || last - first >= JOB_CPUS_MAX - n)
			return refuse(o, value, err);
		for (; first <= last; first++)
			job->cpus[n++] = (unsigned)first;
		if (!*end)
			break;
		if (*end != ',')
			return refuse(o, value, err);
		at = end + 1;
	}
	job->cpu_count = n;
	return 0;
}

static int set_pid(struct job *job, const struct option *o, const char *value, struct error *err)
{
	uint64_t v;
	int rc = number(o, value, 1, INT32_MAX, &v, err);

	if (!rc)
		job->backend_pid = (pid_t)v;
	return rc;
}

static int set_format(struct job *job, const struct option *o, const char *value, struct error *err)
{
	job->json = !strcmp(value, "json");
	return job->json || !strcmp(value, "text") ? 0 : refuse(o, value, err);
}

static int set_quiet(struct job *job, const struct option *o, const char *value, struct error *err)
{
	if (value)
		return refuse(o, value, err);
	job->quiet = true;
	return 0;
}

#define SECONDS_WORDS "a time like 10, 0.5, 500ms, 2m or 1h"

static const struct option options[] = {
	{"rw", set_rw, "read, randread, write, randwrite, rw, randrw, zonewrite or append"},
	{"rwmixread", set_mix, "a percentage from 0 to 100"},
	{"discard", set_discards, "a percentage from 0 to 100"},
	{"flush-every", set_flush, "a number of writes"},
	{"bs", set_block_sizes,
	 "one size, up to 16 sizes behind commas or a range SIZE-SIZE, each a multiple of 512 and "
	 "at "
	 "most 64M"},
	{"offset", set_offset, "a multiple of 512, with K, M, G or T if you like"},
	{"size", set_size, "a multiple of 512, with K, M, G or T if you like"},
	{"seed", set_seed, "a number"},
	{"depth", set_depth, "a number from 1 to 32768"},
	{"queues", set_queues, "a number from 1 to 1024"},
	{"poll", set_poll, NULL},
	{"sleep", set_poll, NULL},
	{"rate", set_rate, "a number of requests a second, like 1000 or 0.5"},
	{"ios", set_ios, "a number of requests"},
	{"runtime", set_runtime, SECONDS_WORDS},
	{"ramp", set_ramp, SECONDS_WORDS},
	{"timeout", set_timeout, SECONDS_WORDS},
	{"verify", set_verify, NULL},
	{"reconnect", set_reconnect, SECONDS_WORDS},
	{"cpu", set_cpus, "a list of CPUs like 0,2-3"},
	{"backend-pid", set_pid, "the number of a process"},
	{"format", set_format, "text or json"},
	{"quiet", set_quiet, NULL},
};

/* The length of the name at @text, up to its end or "=". */
static const struct option *find(const char *text, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (strlen(options[i].name) == len && !strncmp(options[i].name, text, len))
			return &options[i];
	}
	return NULL;
}

static int check(const struct job *job, bool mix_given, struct error *err)
{
	if (!job->target)
		return error_set(err, -EINVAL,
				 "a target is missing, for example vhost-user:/tmp/disk.sock.");
	if (job->zones && (mix_given || job->discard_percent))
		return error_set(err, -EINVAL,
				 "--%s does not go with --rw=zonewrite and --rw=append.",
				 mix_given ? "rwmixread" : "discard");
	if (mix_given && !job->writes)
		return error_set(err, -EINVAL,
				 "--rwmixread goes with --rw=rw or --rw=randrw only.");
	if (!job->writes && (job->discard_percent || job->flush_every))
		return error_set(err, -EINVAL,
				 "--%s goes with a job that writes only; say so with --rw.",
				 job->discard_percent ? "discard" : "flush-every");
	if (job->ramp_ns && !job->runtime_ns)
		return error_set(err, -EINVAL, "--ramp goes with --runtime only.");
	return 0;
}

static int set_target(struct job *job, const char *word, struct error *err)
{
	if (job->target)
		return error_set(err, -EINVAL, "there is one target, not both %s and %s.",
				 job->target, word);
	job->target = word;
	return 0;
}

/* One option, "--NAME[=VALUE]", perhaps with the word behind it; moves *@at over that. */
static int take_option(struct job *job, char **argv, int *at, const char **mix, struct error *err)
{
	const char *name = argv[*at] + 2;
	size_t len = strcspn(name, "=");
	const char *value = name[len] ? name + len + 1 : NULL;
	const struct option *o = find(name, len);

	if (!o)
		return error_set(err, -EINVAL, "there is no option --%.*s.", (int)len, name);
	if (!value && o->allowed && o->set != set_reconnect) {
		value = argv[*at + 1];
		if (!value)
			return error_set(err, -EINVAL, "--%s needs %s.", o->name, o->allowed);
		++*at;
	}
	if (o->set == set_mix)
		*mix = value;
	return o->set(job, o, value, err);
}

int job_parse(struct job *job, int argc, char **argv, struct error *err)
{
	bool words_only = false;
	const char *mix = NULL;
	int rc = 0;

	*job = (struct job){
		.read_percent = 100,
		.sizes = {4096},
		.size_count = 1,
		.size_min = 4096,
		.size_max = 4096,
		.size_unit = 4096,
		.depth = 1,
		.seed = 1,
		.timeout_ns = 30 * NSEC_PER_SEC,
		.reconnect_ns = 60 * NSEC_PER_SEC,
	};
	for (int i = 1; i < argc && !rc; i++) {
		const char *word = argv[i];

		if (words_only || *word != '-')
			rc = set_target(job, word, err);
		else if (!strcmp(word, "--"))
			words_only = true;
		else if (word[1] == '-')
			rc = take_option(job, argv, &i, &mix, err);
		else
			rc = error_set(err, -EINVAL,
				       "there is no option %s; options are written --NAME=VALUE.",
				       word);
	}
	if (rc)
		return rc;
	/* It refines --rw, also one that stands behind it. */
	if (mix && job->writes)
		rc = set_mix(job, find("rwmixread", strlen("rwmixread")), mix, err);
	job->once = !job->ios && !job->runtime_ns;
	return rc ? rc : check(job, mix, err);
}
