/* SPDX-License-Identifier: MIT */
#include "bench/pattern.h"

#include "base/bits.h"

/* splitmix64: any state is as good as any other. */
uint64_t pattern_random(struct pattern *p)
{
	uint64_t z = p->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint64_t below(struct pattern *p, uint64_t n)
{
	return (uint64_t)((unsigned __int128)pattern_random(p) * n >> 64);
}

void pattern_init(struct pattern *p, const struct job *job, unsigned index)
{
	*p = (struct pattern){.job = job, .random = job->seed};
	p->random = pattern_random(p) + index;
	p->random = pattern_random(p);
	job_share(job, index, &p->begin, &p->end, &p->left);
	p->bytes = job->once ? p->end - p->begin : UINT64_MAX;
	if (job->random && !job->verify) {
		p->begin = job->offset;
		p->end = job->offset + job->size / job->size_unit * job->size_unit;
	}
	p->next = p->begin;
}

static enum job_op pick_op(struct pattern *p)
{
	const struct job *job = p->job;

	if (job->read_percent == 100 || (job->read_percent && below(p, 100) < job->read_percent))
		return JOB_READ;
	if (job->zones == JOB_ZONE_APPEND)
		return JOB_APPEND;
	if (job->discard_percent && below(p, 100) < job->discard_percent)
		return JOB_DISCARD;
	return JOB_WRITE;
}

static uint32_t pick_len(struct pattern *p)
{
	const struct job *job = p->job;

	if (job->size_count == 1)
		return job->sizes[0];
	if (job->size_count)
		return job->sizes[below(p, job->size_count)];
	return job->size_min * (uint32_t)(1 + below(p, job->size_max / job->size_min));
}

static uint64_t pick_offset(struct pattern *p, uint32_t len)
{
	const uint32_t unit = p->job->size_unit;
	uint64_t offset;

	if (p->job->random)
		return p->begin + below(p, (p->end - p->begin - len) / unit + 1) * unit;
	if (len > p->end - p->next)
		p->next = p->begin;
	offset = p->next;
	p->next += len;
	return offset;
}

bool pattern_next(struct pattern *p, struct access *a)
{
	if (p->job->flush_every && p->unflushed == p->job->flush_every) {
		p->unflushed = 0;
		*a = (struct access){.op = JOB_FLUSH};
		return true;
	}
	if (!p->left || !p->bytes)
		return false;
	p->left--;
	a->op = pick_op(p);
	a->len = pick_len(p);
	/* One pass ends with what is left; it is whole units, as the share is. */
	if (p->job->once) {
		a->len = (uint32_t)min_u64(a->len, p->bytes);
		if (!p->job->random && !p->job->zones)
			a->len = (uint32_t)min_u64(a->len, p->end - p->next);
		p->bytes -= a->len;
	}
	/* In zones the place is found when the request begins, or by the disk. */
	a->offset = p->job->zones ? 0 : pick_offset(p, a->len);
	p->unflushed += a->op == JOB_WRITE || a->op == JOB_APPEND;
	return true;
}
