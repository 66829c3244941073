/* SPDX-License-Identifier: MIT */
#include "storage/layer/throttle_rate.h"

#include "base/bits.h"
#include "base/clock.h"

#define BOTH	  THROTTLE_DIRECTIONS
#define UNITS_MAX (UINT64_C(1) << 33)

static void meter_set(struct throttle_meter *m, uint64_t rate, uint64_t slack_ns, uint64_t now)
{
	*m = (struct throttle_meter){
		.rate = rate, .slack_ns = max_u64(slack_ns, THROTTLE_SLACK_NS), .due_ns = now};
}

void throttle_rate_set(struct throttle_rate *r, const struct storage_throttle_options *o,
		       uint64_t now)
{
	const uint64_t limits[2][THROTTLE_DIRECTIONS + 1] = {
		{o->iops_read, o->iops_write, o->iops},
		{o->bps_read, o->bps_write, o->bps},
	};
	const uint64_t times = o->burst ? o->burst : 1;
	const uint64_t length = o->burst_length ? o->burst_length : 1;

	for (unsigned i = 0; i < 2; i++)
		for (unsigned k = 0; k <= BOTH; k++) {
			meter_set(&r->meters[i][k], limits[i][k],
				  (times - 1) * length * NSEC_PER_SEC, now);
			meter_set(&r->bursts[i][k], times > 1 ? limits[i][k] * times : 0, 0, now);
		}
}

bool throttle_rate_limits(const struct throttle_rate *r)
{
	for (unsigned i = 0; i < 2; i++)
		for (unsigned k = 0; k <= BOTH; k++)
			if (r->meters[i][k].rate)
				return true;
	return false;
}

static uint64_t meter_wait(const struct throttle_meter *m, uint64_t now)
{
	return m->rate && m->due_ns > now + m->slack_ns ? m->due_ns - m->slack_ns - now : 0;
}

uint64_t throttle_rate_wait(const struct throttle_rate *r, enum throttle_direction dir,
			    uint64_t now)
{
	uint64_t wait = 0;

	for (unsigned i = 0; i < 2; i++) {
		wait = max_u64(wait, meter_wait(&r->meters[i][dir], now));
		wait = max_u64(wait, meter_wait(&r->meters[i][BOTH], now));
		wait = max_u64(wait, meter_wait(&r->bursts[i][dir], now));
		wait = max_u64(wait, meter_wait(&r->bursts[i][BOTH], now));
	}
	return wait;
}

static void meter_take(struct throttle_meter *m, uint64_t units, uint64_t since)
{
	uint64_t parts;

	if (!m->rate)
		return;
	if (m->due_ns < since) {
		m->due_ns = since;
		m->rest = 0;
	}
	parts = min_u64(units, UNITS_MAX) * NSEC_PER_SEC + m->rest;
	m->due_ns += parts / m->rate;
	m->rest = parts % m->rate;
}

void throttle_rate_take(struct throttle_rate *r, enum throttle_direction dir, uint64_t bytes,
			bool late, uint64_t now)
{
	const uint64_t units[2] = {1, bytes};
	const uint64_t since = late ? now - min_u64(now, THROTTLE_LATE_NS) : now;

	for (unsigned i = 0; i < 2; i++) {
		meter_take(&r->meters[i][dir], units[i], since);
		meter_take(&r->meters[i][BOTH], units[i], since);
		meter_take(&r->bursts[i][dir], units[i], since);
		meter_take(&r->bursts[i][BOTH], units[i], since);
	}
}

void throttle_rate_forgive(struct throttle_rate *r, uint64_t now, uint64_t ns)
{
	for (unsigned i = 0; i < 2; i++)
		for (unsigned k = 0; k <= BOTH; k++) {
			struct throttle_meter *m = &r->meters[i][k], *b = &r->bursts[i][k];

			m->due_ns = min_u64(m->due_ns, now + m->slack_ns + ns);
			b->due_ns = min_u64(b->due_ns, now + b->slack_ns + ns);
		}
}
