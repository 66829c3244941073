/* SPDX-License-Identifier: MIT */
#include "storage/layer/throttle.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define IOPS_MAX   UINT64_C(1000000000)
#define BPS_MAX	   (UINT64_C(1) << 44)
#define BURST_MAX  1000
#define LENGTH_MAX 3600

struct throttle {
	struct layer layer;
	struct throttle_group *group;
};

static struct throttle *to_throttle(const struct storage *s)
{
	return container_of(layer_of(s), struct throttle, layer);
}

static struct throttle_member *to_member(struct layer_channel *ch)
{
	return container_of(ch, struct throttle_member, ch);
}

/* ---- the way of a request ---- */

static void throttle_done(struct storage_io *io, int err)
{
	layer_answer(container_of(io, struct layer_io, io), err);
}

static void throttle_begin(struct layer_io *l)
{
	struct throttle_io *t = container_of(l, struct throttle_io, l);

	if (l->io.op != STORAGE_FLUSH && l->io.op != STORAGE_LIFETIME) {
		bool reads = l->io.op == STORAGE_READ || l->io.op == STORAGE_ZONE_REPORT;

		t->dir = reads ? THROTTLE_READ : THROTTLE_WRITE;
		t->bytes = l->io.op == STORAGE_DISCARD ? 0 : l->io.len;
		if (!throttle_group_enter(to_member(l->ch), t))
			return;
	}
	layer_pass(l, throttle_done);
}

static void pass_all(struct layer_io *all)
{
	while (all) {
		struct layer_io *l = all;

		all = l->next;
		layer_pass(l, throttle_done);
	}
}

static void throttle_expired(struct reactor_timer *timer)
{
	pass_all(throttle_group_look(container_of(timer, struct throttle_member, timer)));
}

static void throttle_rung(struct layer_channel *ch)
{
	pass_all(throttle_group_look(to_member(ch)));
}

static void throttle_let_go(struct layer_channel *ch)
{
	pass_all(throttle_group_let_go(to_member(ch)));
}

static const struct layer_channel_ops channel_ops = {
	.io_size = sizeof(struct throttle_io),
	.begin = throttle_begin,
	.rung = throttle_rung,
	.let_go = throttle_let_go,
};

/* ---- life ---- */

static int throttle_channel_open(struct storage *s, struct reactor *r, struct storage_channel **out,
				 struct error *err)
{
	struct throttle_member *m = calloc(1, sizeof(*m));
	int rc;

	if (!m)
		return error_set(err, -ENOMEM, "cannot set up a channel of %s", layer_of(s)->path);
	m->group = to_throttle(s)->group;
	reactor_timer_init(&m->timer, throttle_expired);
	for (unsigned d = 0; d < THROTTLE_DIRECTIONS; d++)
		list_init(&m->turn[d]);
	rc = layer_channel_init(&m->ch, &channel_ops, s, r, err);
	if (rc) {
		free(m);
		return rc;
	}
	*out = &m->ch.base;
	return 0;
}

static void throttle_channel_close(struct storage_channel *ch)
{
	struct throttle_member *m = to_member(layer_channel_of(ch));

	throttle_group_leave(m);
	layer_channel_fini(&m->ch);
	free(m);
}

static bool throttle_wanted(const struct storage_options *o)
{
	const struct storage_throttle_options *t = &o->layers.throttle;

	return t->group || (t->iops | t->iops_read | t->iops_write | t->bps | t->bps_read |
			    t->bps_write | t->burst | t->burst_length);
}

static int throttle_judge(const struct storage_throttle_options *t, const char *target,
			  struct error *err)
{
	const struct {
		uint64_t both, one;
		const char *name;
	} pairs[] = {
		{t->iops, t->iops_read, "iops-read"},
		{t->iops, t->iops_write, "iops-write"},
		{t->bps, t->bps_read, "bps-read"},
		{t->bps, t->bps_write, "bps-write"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(pairs); i++)
		if (pairs[i].both && pairs[i].one > pairs[i].both)
			return error_set(err, -EINVAL,
					 "%s: throttle.%s=%" PRIu64 " is more than what both "
					 "directions together may have, %" PRIu64 ".",
					 target, pairs[i].name, pairs[i].one, pairs[i].both);
	if (t->burst_length && !t->burst)
		return error_set(err, -EINVAL,
				 "%s: throttle.burst-length says how long a burst may last; say "
				 "how large by throttle.burst.",
				 target);
	return 0;
}

static int throttle_judge_options(const struct storage_options *o, struct error *err)
{
	return throttle_judge(&o->layers.throttle, o->target, err);
}

static int throttle_stack(const struct storage_options *o, struct storage *below,
			  struct storage **out, struct error *err)
{
	struct throttle *t = calloc(1, sizeof(*t));
	int rc;

	if (!t)
		return error_set(err, -ENOMEM, "cannot set up the throttle of %s", o->target);
	rc = throttle_group_get(o, &t->group, err);
	if (rc) {
		free(t);
		return rc;
	}
	layer_init(&t->layer, o, below);
	*out = &t->layer.base;
	return 0;
}

static void throttle_close(struct storage *s)
{
	struct throttle *t = to_throttle(s);

	throttle_group_put(t->group);
	layer_fini(&t->layer);
	free(t);
}

/* ---- looked at and changed ---- */

static void describe_limit(char *text, size_t size, size_t *at, const char *name, uint64_t limit)
{
	if (limit && *at < size)
		*at += (size_t)snprintf(text + *at, size - *at, "%s=%" PRIu64 ", ", name, limit);
}

static void throttle_describe(const struct storage *s, char *text, size_t size)
{
	struct throttle_group *g = to_throttle(s)->group;
	struct storage_throttle_options o;
	uint64_t waited;
	unsigned waiting;
	size_t at = 0;

	pthread_mutex_lock(&g->lock);
	o = g->options;
	waited = g->waited;
	waiting = g->n_waiting;
	pthread_mutex_unlock(&g->lock);
	describe_limit(text, size, &at, "iops", o.iops);
	describe_limit(text, size, &at, "iops-read", o.iops_read);
	describe_limit(text, size, &at, "iops-write", o.iops_write);
	describe_limit(text, size, &at, "bps", o.bps);
	describe_limit(text, size, &at, "bps-read", o.bps_read);
	describe_limit(text, size, &at, "bps-write", o.bps_write);
	describe_limit(text, size, &at, "burst", o.burst);
	describe_limit(text, size, &at, "burst-length", o.burst_length);
	if (at < size)
		snprintf(text + at, size - at, "%s%s%s%u waiting, %" PRIu64 " have waited",
			 g->name ? "group " : "", g->name ? g->name : "", g->name ? ", " : "",
			 waiting, waited);
}

static void throttle_current(const struct storage *s, struct storage_options *o)
{
	struct throttle_group *g = to_throttle(s)->group;

	/* Written by this thread alone. */
	o->layers.throttle = g->options;
	o->layers.throttle.group = NULL;
}

static int throttle_change(struct storage *s, struct storage_options *o, bool only_check,
			   struct error *err)
{
	struct throttle *t = to_throttle(s);
	int rc = throttle_judge(&o->layers.throttle, t->layer.path, err);

	if (rc || only_check)
		return rc;
	throttle_group_change(t->group, &o->layers.throttle);
	return 0;
}

#define LIMIT(word, f, k, most, text)                                           \
	{                                                                       \
		.name = "throttle." word, .kind = k, .max = most, .help = text, \
		WORD_FIELD(struct storage_options, layers.throttle.f)           \
	}

static const struct word throttle_words[] = {
	LIMIT("iops", iops, WORD_NUMBER, IOPS_MAX, "requests a second; 0: no limit"),
	LIMIT("iops-read", iops_read, WORD_NUMBER, IOPS_MAX, "the same of reads"),
	LIMIT("iops-write", iops_write, WORD_NUMBER, IOPS_MAX, "the same of writes"),
	LIMIT("bps", bps, WORD_SIZE, BPS_MAX, "bytes a second; 0: no limit"),
	LIMIT("bps-read", bps_read, WORD_SIZE, BPS_MAX, "the same of reads"),
	LIMIT("bps-write", bps_write, WORD_SIZE, BPS_MAX, "the same of writes"),
	LIMIT("burst", burst, WORD_NUMBER, BURST_MAX,
	      "how many times the limits a burst may have; default 1"),
	LIMIT("burst-length", burst_length, WORD_NUMBER, LENGTH_MAX,
	      "seconds that a burst may last; default 1"),
	{.name = "throttle.group",
	 .kind = WORD_TEXT,
	 .min = 1,
	 .max = 64,
	 .help = "disks of one name share the limits; their members take turns",
	 WORD_FIELD(struct storage_options, layers.throttle.group)},
};

const struct storage_engine_ops throttle_layer_ops = {
	.kind = "throttle",
	.words = WORDS_TABLE("a throttle", throttle_words),
	.wanted = throttle_wanted,
	.judge = throttle_judge_options,
	.stack = throttle_stack,
	.passes = true,
	.follows_size = true,
	.zones = true,
	.close = throttle_close,
	.channel_open = throttle_channel_open,
	.channel_close = throttle_channel_close,
	.submit = layer_submit,
	.drain = layer_drain,
	.describe = throttle_describe,
	/* All but the group, which stands last. */
	.change_words = {.of = "a throttle",
			 .words = throttle_words,
			 .n = ARRAY_SIZE(throttle_words) - 1},
	.current = throttle_current,
	.change = throttle_change,
};
