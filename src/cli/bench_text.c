/* SPDX-License-Identifier: MIT */
#include "cli/bench_report.h"

#include <inttypes.h>
#include <string.h>

const char *bench_rw(const struct job *job)
{
	if (job->zones)
		return job->zones == JOB_ZONE_WRITE ? "zonewrite" : "append";
	if (!job->writes)
		return job->random ? "randread" : "read";
	if (!job->read_percent)
		return job->random ? "randwrite" : "write";
	return job->random ? "randrw" : "rw";
}

/* With the largest suffix that leaves nothing over. */
static int one_size(char *buf, size_t size, uint64_t v)
{
	static const char suffixes[] = "\0KMGT";
	unsigned n = 0;

	for (; n < 4 && v >= 1024 && v % 1024 == 0; n++)
		v /= 1024;
	return snprintf(buf, size, "%" PRIu64 "%.1s", v, suffixes + n);
}

void bench_sizes(const struct job *job, char *buf, size_t size)
{
	size_t at = 0;

	if (!job->size_count) {
		at = (size_t)one_size(buf, size, job->size_min);
		at += (size_t)snprintf(buf + at, size - at, "-");
		one_size(buf + at, size - at, job->size_max);
		return;
	}
	for (unsigned i = 0; i < job->size_count && at + 12 < size; i++) {
		if (i)
			buf[at++] = ',';
		at += (size_t)one_size(buf + at, size - at, job->sizes[i]);
	}
}

/* Three digits or more, as in "482k". */
static void count(char *buf, size_t size, double v)
{
	if (v >= 1e7)
		snprintf(buf, size, "%.1fM", v / 1e6);
	else if (v >= 1e6)
		snprintf(buf, size, "%.2fM", v / 1e6);
	else if (v >= 1e5)
		snprintf(buf, size, "%.0fk", v / 1e3);
	else if (v >= 1e4)
		snprintf(buf, size, "%.1fk", v / 1e3);
	else
		snprintf(buf, size, "%.0f", v);
}

static void bandwidth(char *buf, size_t size, double v)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
	double binary = v;
	unsigned n = 0;

	for (; n < 3 && binary >= 1024; n++)
		binary /= 1024;
	snprintf(buf, size, "%.*f%s/s (%.*f MB/s)", binary < 100, binary, units[n], v < 1e8,
		 v / 1e6);
}

struct scale {
	const char *unit;
	double by;
};

/* All times of a block in one unit, so that they can be compared at a glance. */
static struct scale scale_of(const struct histogram *h)
{
	double mean = histogram_mean(h);

	if (mean >= 1e7)
		return (struct scale){"msec", 1e6};
	return mean >= 1e4 ? (struct scale){"usec", 1e3} : (struct scale){"nsec", 1};
}

static void put_latency(FILE *out, const struct histogram *h)
{
	static const double percents[] = BENCH_PERCENTILES;
	struct scale s = scale_of(h);

	fprintf(out, "    lat (%s): min=%.*f, max=%.*f, avg=%.2f, stdev=%.2f\n", s.unit, s.by > 1,
		(double)h->min / s.by, s.by > 1, (double)h->max / s.by, histogram_mean(h) / s.by,
		histogram_deviation(h) / s.by);
	fprintf(out, "    lat percentiles (%s):\n", s.unit);
	for (size_t i = 0; i < ARRAY_SIZE(percents); i++) {
		bool last = i + 1 == ARRAY_SIZE(percents);

		fprintf(out, "%s%5.2fth=[%*.*f]%s", i % 4 ? " " : "     | ", percents[i], 7,
			s.by > 1, (double)histogram_percentile(h, percents[i]) / s.by,
			last	     ? "\n"
			: i % 4 == 3 ? ",\n"
				     : ",");
	}
}

static void put_op(FILE *out, const struct result *r, enum job_op op)
{
	const struct tally *t = &r->tally[op];
	char iops[24], bw[64], ios[24];

	if (!t->latency.count)
		return;
	count(iops, sizeof(iops), r->seconds > 0 ? (double)t->latency.count / r->seconds : 0);
	count(ios, sizeof(ios), (double)t->latency.count);
	fprintf(out, "  %s: IOPS=%s", job_op_name(op), iops);
	if (t->bytes) {
		bandwidth(bw, sizeof(bw), r->seconds > 0 ? (double)t->bytes / r->seconds : 0);
		fprintf(out, ", BW=%s", bw);
	}
	fprintf(out, ", %s requests\n", ios);
	put_latency(out, &t->latency);
}

static void put_cpu(FILE *out, const char *who, const struct cpu_use *u, const struct result *r)
{
	double n = r->requests ? (double)r->requests : 1;

	fprintf(out,
		"  %s: %.2f usec CPU per request (%.0f%% of a CPU; %.0f%% user, %.0f%% system), "
		"switches per request: %.3f voluntary, %.4f involuntary\n",
		who, (double)u->total_ns / n / 1e3,
		r->seconds > 0 ? (double)u->total_ns / r->seconds / 1e7 : 0,
		r->seconds > 0 ? (double)u->user_ns / r->seconds / 1e7 : 0,
		r->seconds > 0 ? (double)u->system_ns / r->seconds / 1e7 : 0,
		(double)u->voluntary / n, (double)u->involuntary / n);
}

static void put_disk(FILE *out, const struct ringside_info *i)
{
	char size[24];

	one_size(size, sizeof(size), i->capacity);
	fprintf(out, "  disk: %s, %u-byte blocks%s%s; %s rings of %u%s%s%s\n", size, i->block_size,
		i->readonly ? ", read-only" : "", i->writeback ? ", write cache" : "",
		i->features >> 34 & 1 ? "packed" : "split", i->queue_size,
		i->features >> 28 & 1 ? ", indirect" : "",
		i->features >> 29 & 1 ? ", event-idx" : "",
		i->features >> 35 & 1 ? ", in-order" : "");
}

void bench_text(FILE *out, const struct job *job, const struct result *r)
{
	char sizes[256];
	double n = r->requests ? (double)r->requests : 1;

	bench_sizes(job, sizes, sizeof(sizes));
	fprintf(out, "%s: rw=%s, bs=%s, depth=%u, queues=%u, %s%s\n", job->target, bench_rw(job),
		sizes, job->depth, job->queues, job->poll ? "polling" : "sleeping",
		job->verify ? ", verified" : "");
	put_disk(out, &r->info);
	for (unsigned op = 0; op < JOB_OPS; op++)
		put_op(out, r, (enum job_op)op);
	fprintf(out, "  ring: kicks per request=%.4f, calls per request=%.4f\n",
		(double)r->kicks / n, (double)r->calls / n);
	put_cpu(out, "client", &r->client, r);
	if (r->backend_known)
		put_cpu(out, "back end", &r->backend, r);
	if (job->verify)
		fprintf(out, "  verify: %" PRIu64 " sectors read back, %" PRIu64 " wrong%s\n",
			r->checked, r->bad,
			job->writes && !r->verified ? "; not all that was written" : "");
	if (r->reconnects)
		fprintf(out, "  reconnects: %u\n", r->reconnects);
	fprintf(out, "  run=%.3fs%s%s\n", r->seconds, r->signal ? ", ended early by a signal" : "",
		r->only_ramp ? ", in the ramp: all figures are the ramp's" : "");
}
