/* SPDX-License-Identifier: MIT */
#include "cli/bench_report.h"

#include <errno.h>
#include <jansson.h>

/* Members that could not be made are missed at the end: json_object_set_new(.., NULL) fails. */
struct maker {
	int failed;
};

static void report_put(struct maker *m, json_t *object, const char *name, json_t *value)
{
	m->failed |= json_object_set_new(object, name, value);
}

static void put_int(struct maker *m, json_t *object, const char *name, uint64_t v)
{
	report_put(m, object, name, json_integer((json_int_t)v));
}

static void put_real(struct maker *m, json_t *object, const char *name, double v)
{
	report_put(m, object, name, json_real(v));
}

static void put_text(struct maker *m, json_t *object, const char *name, const char *text)
{
	json_t *value = json_string(text);

	/* A path need not be UTF-8. */
	report_put(m, object, name, value ? value : json_string("?"));
}

static json_t *job_object(struct maker *m, const struct job *job)
{
	json_t *o = json_object();
	char sizes[256];

	bench_sizes(job, sizes, sizeof(sizes));
	put_text(m, o, "rw", bench_rw(job));
	put_int(m, o, "rwmixread", job->read_percent);
	put_int(m, o, "discard", job->discard_percent);
	put_int(m, o, "flush_every", job->flush_every);
	put_text(m, o, "bs", sizes);
	put_int(m, o, "depth", job->depth);
	put_int(m, o, "queues", job->queues);
	report_put(m, o, "poll", json_boolean(job->poll));
	put_int(m, o, "offset", job->offset);
	put_int(m, o, "size", job->size);
	put_int(m, o, "seed", job->seed);
	put_real(m, o, "rate", job->rate);
	put_int(m, o, "ios", job->ios);
	put_real(m, o, "runtime", (double)job->runtime_ns / 1e9);
	put_real(m, o, "ramp", (double)job->ramp_ns / 1e9);
	report_put(m, o, "verify", json_boolean(job->verify));
	return o;
}

static json_t *disk_object(struct maker *m, const struct ringside_info *i)
{
	json_t *o = json_object();
	char features[24];

	snprintf(features, sizeof(features), "0x%llx", (unsigned long long)i->features);
	put_int(m, o, "capacity", i->capacity);
	put_int(m, o, "block_size", i->block_size);
	report_put(m, o, "readonly", json_boolean(i->readonly));
	report_put(m, o, "writeback", json_boolean(i->writeback));
	put_int(m, o, "queue_size", i->queue_size);
	put_text(m, o, "features", features);
	report_put(m, o, "packed", json_boolean(i->features >> 34 & 1));
	return o;
}

static json_t *latency_object(struct maker *m, const struct histogram *h)
{
	static const double percents[] = BENCH_PERCENTILES;
	json_t *o = json_object(), *p = json_object();

	put_int(m, o, "min", h->min);
	put_int(m, o, "max", h->max);
	put_real(m, o, "mean", histogram_mean(h));
	put_real(m, o, "stddev", histogram_deviation(h));
	for (size_t i = 0; i < ARRAY_SIZE(percents); i++) {
		char name[16];

		snprintf(name, sizeof(name), "%.2f", percents[i]);
		put_int(m, p, name, histogram_percentile(h, percents[i]));
	}
	report_put(m, o, "percentiles", p);
	return o;
}

static json_t *op_object(struct maker *m, const struct tally *t, double seconds)
{
	json_t *o = json_object();

	put_int(m, o, "requests", t->latency.count);
	put_int(m, o, "bytes", t->bytes);
	put_real(m, o, "iops", seconds > 0 ? (double)t->latency.count / seconds : 0);
	put_real(m, o, "bytes_per_second", seconds > 0 ? (double)t->bytes / seconds : 0);
	report_put(m, o, "latency_ns", latency_object(m, &t->latency));
	return o;
}

static json_t *cpu_object(struct maker *m, const struct cpu_use *u, uint64_t requests)
{
	json_t *o = json_object();
	double n = requests ? (double)requests : 1;

	put_int(m, o, "cpu_ns", u->total_ns);
	put_int(m, o, "user_ns", u->user_ns);
	put_int(m, o, "system_ns", u->system_ns);
	put_real(m, o, "cpu_ns_per_request", (double)u->total_ns / n);
	put_int(m, o, "voluntary_switches", u->voluntary);
	put_int(m, o, "involuntary_switches", u->involuntary);
	return o;
}

static json_t *result_object(struct maker *m, const struct job *job, const struct result *r)
{
	json_t *o = json_object(), *ring = json_object(), *verify = json_object();
	double n = r->requests ? (double)r->requests : 1;

	put_text(m, o, "ringside", RINGSIDE_VERSION);
	put_text(m, o, "target", job->target);
	report_put(m, o, "job", job_object(m, job));
	report_put(m, o, "disk", disk_object(m, &r->info));
	put_real(m, o, "seconds", r->seconds);
	put_int(m, o, "requests", r->requests);
	put_real(m, o, "iops", r->seconds > 0 ? (double)r->requests / r->seconds : 0);
	for (unsigned op = 0; op < JOB_OPS; op++)
		report_put(m, o, job_op_name((enum job_op)op),
			   op_object(m, &r->tally[op], r->seconds));
	put_int(m, ring, "kicks", r->kicks);
	put_int(m, ring, "calls", r->calls);
	put_real(m, ring, "kicks_per_request", (double)r->kicks / n);
	put_real(m, ring, "calls_per_request", (double)r->calls / n);
	report_put(m, o, "ring", ring);
	report_put(m, o, "client", cpu_object(m, &r->client, r->requests));
	report_put(m, o, "backend",
		   r->backend_known ? cpu_object(m, &r->backend, r->requests) : json_null());
	put_int(m, verify, "sectors", r->checked);
	put_int(m, verify, "wrong", r->bad);
	report_put(m, verify, "complete", json_boolean(r->verified));
	report_put(m, o, "verify", verify);
	put_int(m, o, "reconnects", r->reconnects);
	report_put(m, o, "interrupted", json_boolean(r->signal != 0));
	report_put(m, o, "only_ramp", json_boolean(r->only_ramp));
	put_int(m, o, "errors", r->errors);
	if (r->why.text[0])
		put_text(m, o, "error", r->why.text);
	else
		report_put(m, o, "error", json_null());
	return o;
}

int bench_json(FILE *out, const struct job *job, const struct result *r)
{
	struct maker m = {0};
	json_t *o = result_object(&m, job, r);
	int rc = 0;

	if (m.failed)
		rc = -ENOMEM;
	else if (json_dumpf(o, out, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) ||
		 fputc('\n', out) == EOF)
		rc = -EIO;
	json_decref(o);
	return rc;
}
