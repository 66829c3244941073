/* SPDX-License-Identifier: MIT */
#include "storage/layer/errors.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MAX 86400

struct errors_io {
	struct layer_io l;
	struct list link; /* in the channel's kept */
	enum storage_policy policy;
	int err;
	unsigned tries;
	uint64_t since_ns; /* it failed first; 0: never */
	uint64_t again_ns; /* RETRY */
};

static const char *const op_names[STORAGE_OPS] = {
	[STORAGE_READ] = "read",
	[STORAGE_WRITE] = "write",
	[STORAGE_FLUSH] = "flush",
	[STORAGE_DISCARD] = "discard",
	[STORAGE_WRITE_ZEROES] = "zeroing",
	[STORAGE_SECURE_ERASE] = "secure erase",
	[STORAGE_LIFETIME] = "look at the medium's life",
	[STORAGE_APPEND] = "append",
	[STORAGE_ZONE_REPORT] = "report of zones",
	[STORAGE_ZONE_OPEN] = "zone open",
	[STORAGE_ZONE_CLOSE] = "zone close",
	[STORAGE_ZONE_FINISH] = "zone finish",
	[STORAGE_ZONE_RESET] = "zone reset",
	[STORAGE_ZONE_RESET_ALL] = "reset of all zones",
};

static struct errors_channel *to_channel(struct layer_channel *ch)
{
	return container_of(ch, struct errors_channel, ch);
}

static struct errors *disk_of(const struct layer_channel *ch)
{
	return errors_of(ch->base.storage);
}

/* ---- what is kept ---- */

/* When it has to be looked at. */
static uint64_t errors_due(const struct errors_io *e, uint64_t timeout_ns)
{
	uint64_t late = timeout_ns ? e->since_ns + timeout_ns : UINT64_MAX;

	return e->policy == STORAGE_RETRY ? min_u64(e->again_ns, late) : late;
}

static uint64_t errors_timeout_ns(struct errors *d)
{
	uint64_t seconds;

	pthread_mutex_lock(&d->lock);
	seconds = d->options.timeout;
	pthread_mutex_unlock(&d->lock);
	return seconds * NSEC_PER_SEC;
}

static void errors_sleep(struct errors_channel *ch)
{
	struct errors *d = disk_of(&ch->ch);
	uint64_t now = d->now(), next = UINT64_MAX, timeout_ns = errors_timeout_ns(d);

	reactor_timer_stop(ch->ch.base.reactor, &ch->timer);
	list_for_each (i, &ch->kept)
		next = min_u64(next, errors_due(list_entry(i, struct errors_io, link), timeout_ns));
	if (next != UINT64_MAX)
		reactor_timer_start(ch->ch.base.reactor, &ch->timer, next > now ? next - now : 0);
}

static void errors_count(struct errors *d, enum storage_policy policy, int by)
{
	unsigned *n = policy == STORAGE_HOLD ? &d->held : &d->retrying;

	*n = (unsigned)((int)*n + by);
}

/*
 * The event that an operator looks for: once, until nothing is held any more.  A guest that resets
 * its disk again and again makes it come as often.
 */
static void errors_say(struct errors *d, enum storage_policy policy, enum storage_op op, int err)
{
	if (policy == STORAGE_RETRY)
		log_limited(&d->complaints, LOG_LEVEL_WARN, d->layer.path,
			    "a %s failed and is tried again: %s", op_names[op], strerror(-err));
	else if (d->held == 1)
		log_limited(&d->holds, LOG_LEVEL_WARN, d->layer.path,
			    "requests are held: a %s failed: %s; once that is mended they go on "
			    "by: ringside ctl SOCKET resume %s",
			    op_names[op], strerror(-err), d->layer.path);
}

static void errors_keep(struct errors_io *e, enum storage_policy policy, int err)
{
	struct errors_channel *ch = to_channel(e->l.ch);
	struct errors *d = disk_of(&ch->ch);
	uint64_t now = d->now(), pause = ERRORS_PAUSE_NS << min_u64(e->tries, 16);

	e->policy = policy;
	e->err = err;
	if (!e->since_ns)
		e->since_ns = now;
	e->again_ns = now + min_u64(pause, ERRORS_PAUSE_MAX_NS);
	e->tries++;
	list_add_tail(&ch->kept, &e->link);
	pthread_mutex_lock(&d->lock);
	errors_count(d, policy, 1);
	errors_say(d, policy, e->l.io.op, err);
	pthread_mutex_unlock(&d->lock);
	errors_sleep(ch);
}

static void errors_done(struct storage_io *io, int err);

enum errors_look {
	LOOK_DUE, /* what is due, by its pause or by the timeout */
	LOOK_ALL,
};

/* Sends again what is due, and answers what has waited too long. */
static void errors_look(struct errors_channel *ch, enum errors_look what)
{
	struct errors *d = disk_of(&ch->ch);
	uint64_t now = d->now(), timeout_ns = errors_timeout_ns(d);
	struct list kept, go;

	list_init(&go);
	list_take_all(&kept, &ch->kept);
	while (!list_empty(&kept)) {
		struct errors_io *e = list_entry(kept.next, struct errors_io, link);

		list_del(&e->link);
		if (what == LOOK_ALL || errors_due(e, timeout_ns) <= now) {
			list_add_tail(&go, &e->link);
			pthread_mutex_lock(&d->lock);
			errors_count(d, e->policy, -1);
			pthread_mutex_unlock(&d->lock);
		} else {
			list_add_tail(&ch->kept, &e->link);
		}
	}
	errors_sleep(ch);
	/* The list is this function's: what goes may complete, and come back. */
	while (!list_empty(&go)) {
		struct errors_io *e = list_entry(go.next, struct errors_io, link);

		list_del(&e->link);
		if (what == LOOK_DUE && timeout_ns && e->since_ns + timeout_ns <= now)
			layer_answer(&e->l, e->err);
		else
			layer_pass(&e->l, errors_done);
	}
}

static void errors_expired(struct reactor_timer *t)
{
	errors_look(container_of(t, struct errors_channel, timer), LOOK_DUE);
}

/* Somebody said go on, or the options are others. */
static void errors_rung(struct layer_channel *ch)
{
	errors_look(to_channel(ch), LOOK_ALL);
}

static void errors_let_go(struct layer_channel *ch)
{
	errors_look(to_channel(ch), LOOK_ALL);
}

/* ---- the way of a request ---- */

static enum storage_policy errors_policy(struct errors *d, const struct storage_io *io, int err)
{
	enum storage_policy policy;

	/* No access to the disk at all: nobody shall wait for it. */
	if (err == -EINVAL || err == -EOPNOTSUPP || io->op == STORAGE_LIFETIME)
		return STORAGE_REPORT;
	if (storage_limits_zoned(&d->layer.base.limits) && storage_error_zone(err))
		return STORAGE_REPORT;
	if (storage_spoiled(&d->layer.base) &&
	    (io->op == STORAGE_FLUSH || io->op == STORAGE_SECURE_ERASE ||
	     (io->flags & STORAGE_FUA)))
		return STORAGE_REPORT;
	pthread_mutex_lock(&d->lock);
	policy = io->op == STORAGE_READ || io->op == STORAGE_ZONE_REPORT ? d->options.rerror
									 : d->options.werror;
	d->failures++;
	d->op = io->op;
	d->err = err;
	pthread_mutex_unlock(&d->lock);
	if (policy == STORAGE_ENOSPC)
		return err == -ENOSPC || err == -EDQUOT ? STORAGE_HOLD : STORAGE_REPORT;
	return policy;
}

static void errors_done(struct storage_io *io, int err)
{
	struct errors_io *e = container_of(io, struct errors_io, l.io);
	struct layer_channel *ch = e->l.ch;
	enum storage_policy policy = STORAGE_REPORT;

	if (unlikely(err))
		policy = errors_policy(disk_of(ch), io, err);
	if (likely(policy <= STORAGE_REPORT) || ch->draining)
		layer_answer(&e->l, err);
	else
		errors_keep(e, policy, err);
}

static void errors_begin(struct layer_io *l)
{
	struct errors_io *e = container_of(l, struct errors_io, l);

	e->since_ns = 0;
	e->tries = 0;
	layer_pass(l, errors_done);
}

static const struct layer_channel_ops channel_ops = {
	.io_size = sizeof(struct errors_io),
	.begin = errors_begin,
	.rung = errors_rung,
	.let_go = errors_let_go,
};

/* ---- life ---- */

static int errors_channel_open(struct storage *s, struct reactor *r, struct storage_channel **out,
			       struct error *err)
{
	struct errors_channel *ch = calloc(1, sizeof(*ch));
	int rc;

	if (!ch)
		return error_set(err, -ENOMEM, "cannot set up a channel of %s", layer_of(s)->path);
	list_init(&ch->kept);
	reactor_timer_init(&ch->timer, errors_expired);
	rc = layer_channel_init(&ch->ch, &channel_ops, s, r, err);
	if (rc) {
		free(ch);
		return rc;
	}
	*out = &ch->ch.base;
	return 0;
}

static void errors_channel_close(struct storage_channel *base)
{
	struct errors_channel *ch = to_channel(layer_channel_of(base));

	reactor_timer_stop(base->reactor, &ch->timer);
	layer_channel_fini(&ch->ch);
	free(ch);
}

static bool errors_wanted(const struct storage_options *o)
{
	const struct storage_errors_options *e = &o->layers.errors;

	return e->rerror || e->werror || e->timeout;
}

static int errors_judge(const struct storage_errors_options *e, const char *target,
			struct error *err)
{
	if (e->timeout && e->rerror <= STORAGE_REPORT && e->werror <= STORAGE_REPORT)
		return error_set(err, -EINVAL,
				 "%s: errors.timeout says how long requests may wait; give "
				 "rerror or werror as retry, hold or enospc, too.",
				 target);
	return 0;
}

static int errors_judge_options(const struct storage_options *o, struct error *err)
{
	return errors_judge(&o->layers.errors, o->target, err);
}

static int errors_stack(const struct storage_options *o, struct storage *below,
			struct storage **out, struct error *err)
{
	struct errors *d = calloc(1, sizeof(*d));

	if (!d)
		return error_set(err, -ENOMEM, "cannot set up %s", o->target);
	layer_init(&d->layer, o, below);
	pthread_mutex_init(&d->lock, NULL);
	d->options = o->layers.errors;
	d->now = clock_ns;
	*out = &d->layer.base;
	return 0;
}

static void errors_close(struct storage *s)
{
	struct errors *d = errors_of(s);

	pthread_mutex_destroy(&d->lock);
	layer_fini(&d->layer);
	free(d);
}

/* ---- looked at and changed ---- */

static const struct word_value policies[] = {
	{"report", STORAGE_REPORT},
	{"retry", STORAGE_RETRY},
	{"hold", STORAGE_HOLD},
	{"enospc", STORAGE_ENOSPC},
	{NULL, 0},
};

static const char *policy_name(uint32_t policy)
{
	return policies[policy ? policy - STORAGE_REPORT : 0].name;
}

static void errors_describe(const struct storage *s, char *text, size_t size)
{
	struct errors *d = errors_of(s);
	int n;

	pthread_mutex_lock(&d->lock);
	n = snprintf(text, size,
		     "rerror=%s, werror=%s, %u held, %u tried again, %" PRIu64 " failures",
		     policy_name(d->options.rerror), policy_name(d->options.werror), d->held,
		     d->retrying, d->failures);
	if (d->failures && n > 0 && (size_t)n < size)
		snprintf(text + n, size - (size_t)n, ", the last of a %s: %s", op_names[d->op],
			 strerror(-d->err));
	pthread_mutex_unlock(&d->lock);
}

static void errors_current(const struct storage *s, struct storage_options *o)
{
	/* Written by this thread alone. */
	o->layers.errors = errors_of(s)->options;
}

static int errors_change(struct storage *s, struct storage_options *o, bool only_check,
			 struct error *err)
{
	struct errors *d = errors_of(s);
	int rc = errors_judge(&o->layers.errors, d->layer.path, err);

	if (rc || only_check)
		return rc;
	pthread_mutex_lock(&d->lock);
	d->options = o->layers.errors;
	pthread_mutex_unlock(&d->lock);
	layer_ring(&d->layer);
	return 0;
}

static unsigned errors_resume(struct storage *s)
{
	struct errors *d = errors_of(s);
	unsigned n;

	pthread_mutex_lock(&d->lock);
	n = d->held;
	pthread_mutex_unlock(&d->lock);
	if (n)
		log_info(d->layer.path, "%u requests that were held go on", n);
	layer_ring(&d->layer);
	return n;
}

#define POLICY(word, f, text)                                                        \
	{                                                                            \
		.name = word, .kind = WORD_CHOICE, .values = policies, .help = text, \
		WORD_FIELD(struct storage_options, layers.errors.f)                  \
	}

static const struct word errors_words[] = {
	POLICY("rerror", rerror, "what becomes of reads that fail; default report"),
	POLICY("werror", werror, "of all others that fail; default report"),
	{"errors.timeout", .kind = WORD_NUMBER, .max = TIMEOUT_MAX,
	 .help = "seconds until what is held or tried again is reported; default 0: never",
	 WORD_FIELD(struct storage_options, layers.errors.timeout)},
};

const struct storage_engine_ops errors_layer_ops = {
	.kind = "errors",
	.words = WORDS_TABLE("an error policy", errors_words),
	.wanted = errors_wanted,
	.judge = errors_judge_options,
	.stack = errors_stack,
	.passes = true,
	.follows_size = true,
	.zones = true,
	.close = errors_close,
	.channel_open = errors_channel_open,
	.channel_close = errors_channel_close,
	.submit = layer_submit,
	.drain = layer_drain,
	.describe = errors_describe,
	.change_words = WORDS_TABLE("an error policy", errors_words),
	.current = errors_current,
	.change = errors_change,
	.resume = errors_resume,
};
