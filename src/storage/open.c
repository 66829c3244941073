/* SPDX-License-Identifier: MIT */
/*
 * Disks are opened: an engine for the target, and the layers on it.  On the spot, or by a thread
 * apart.
 *
 * While a disk is being opened it has a claim in its set, so that whoever finds an image in use can
 * say by which disk, and so that two disks of one target are opened in the order of the command
 * line.  A claim apart ends when the control thread has been told, and has listed the disk.
 *
 * A job apart belongs to its lane (base/aside.h) and to whoever may cancel it; the last one frees
 * it.  Whichever of them finds the storage first, closes it or hands it on.
 */
#include "base/aside.h"
#include "base/atomic.h"
#include "storage/geometry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- sets ---- */

struct storage_set *storage_set_create(void)
{
	struct storage_set *set = calloc(1, sizeof(*set));

	if (set)
		storage_set_init(set);
	return set;
}

void storage_set_ref(struct storage_set *set)
{
	__atomic_add_fetch(&set->refs, 1, __ATOMIC_RELAXED);
}

void storage_set_put(struct storage_set **sp)
{
	struct storage_set *set = *sp;

	*sp = NULL;
	if (!set || __atomic_sub_fetch(&set->refs, 1, __ATOMIC_ACQ_REL))
		return;
	pthread_cond_destroy(&set->settled);
	pthread_mutex_destroy(&set->lock);
	free(set);
}

void storage_set_lock(struct storage_set *set)
{
	if (set)
		pthread_mutex_lock(&set->lock);
}

void storage_set_unlock(struct storage_set *set)
{
	if (set)
		pthread_mutex_unlock(&set->lock);
}

/* ---- claims ---- */

struct storage_claim {
	struct list link; /* in the set's opening */
	struct storage_set *set;
	const char *target, *disk;
	bool unlisted;
	struct storage_ident ident;
};

struct storage_ident storage_ident_of(const char *path)
{
	struct storage_ident i = {0};
	struct stat st;

	if (stat(path, &st))
		return i;
	i.known = true;
	i.device = S_ISBLK(st.st_mode);
	i.dev = i.device ? st.st_rdev : st.st_dev;
	i.ino = i.device ? 0 : st.st_ino;
	return i;
}

static bool is_same(const struct storage_ident *a, const struct storage_ident *b)
{
	return a->known && b->known && a->device == b->device && a->dev == b->dev &&
	       a->ino == b->ino;
}

bool storage_is_at(const struct storage *engine, const char *path)
{
	const struct storage_ident there = storage_ident_of(path);

	return is_same(&engine->ident, &there);
}

static void claim_begin(struct storage_claim *c, const struct storage_options *o)
{
	*c = (struct storage_claim){
		.set = o->set, .target = o->target, .disk = o->disk, .unlisted = o->unlisted};
	list_init(&c->link);
	storage_set_lock(c->set);
	if (c->set)
		list_add_tail(&c->set->opening, &c->link);
	storage_set_unlock(c->set);
}

/* With the lock held. */
static void claim_end_locked(struct storage_claim *c)
{
	list_del(&c->link);
	if (c->set)
		pthread_cond_broadcast(&c->set->settled);
}

/* Harmless when done before. */
static void claim_end(struct storage_claim *c)
{
	storage_set_lock(c->set);
	claim_end_locked(c);
	storage_set_unlock(c->set);
}

/* With the lock held. */
static bool claim_is_second(const struct storage_claim *c)
{
	list_for_each (l, &c->set->opening) {
		const struct storage_claim *other = list_entry(l, struct storage_claim, link);

		if (other == c)
			return false;
		if (!strcmp(other->target, c->target))
			return true;
	}
	return false;
}

static void claim_wait(struct storage_claim *c)
{
	if (!c->set)
		return;
	pthread_mutex_lock(&c->set->lock);
	while (claim_is_second(c))
		pthread_cond_wait(&c->set->settled, &c->set->lock);
	pthread_mutex_unlock(&c->set->lock);
}

/* Whose the target is, if it is one of our disks: false: nobody's.  With the lock held. */
static bool claim_find_owner(const struct storage_claim *c, const char **disk)
{
	list_for_each (l, &c->set->all) {
		const struct storage *s = list_entry(l, struct storage, link);
		const struct storage *engine = stack_engine(s);

		*disk = s->disk;
		for (const struct storage *e = s; e; e = e->below)
			if (is_same(&e->ident, &c->ident))
				return true;
		if (!engine->ident.known && !strcmp(engine->name, c->target))
			return true;
	}
	list_for_each (l, &c->set->opening) {
		const struct storage_claim *other = list_entry(l, struct storage_claim, link);

		*disk = other->disk;
		if (other != c && is_same(&other->ident, &c->ident))
			return true;
	}
	return false;
}

/* The sentence of somebody in the way, when that is one of our own. */
static void explain_busy(const struct storage_claim *c, struct error *err)
{
	const char *disk;

	storage_set_lock(c->set);
	if (c->set && claim_find_owner(c, &disk))
		error_set(err, -EBUSY,
			  "%s is in use by %s; one image is one disk, unless readonly=on on "
			  "both.",
			  c->target, disk ? disk : "another disk");
	storage_set_unlock(c->set);
}

/* ---- opening ---- */

static const struct storage_engine_ops *engine_of(const struct storage_options *o)
{
	return o->format == STORAGE_FORMAT_RAW ? storage_engine_for(o->target) : &format_engine_ops;
}

int storage_judge_options(const struct storage_options *o, struct error *err)
{
	const struct storage_engine_ops *engine;
	int rc;

	if (!o->target || !*o->target)
		return error_set(err, -EINVAL,
				 "no disk is named: give a path, null:SIZE, memory:SIZE, "
				 "nbd://HOST/EXPORT or rbd:POOL/IMAGE.");
	rc = geometry_check(&o->geometry, o->target, err);
	engine = engine_of(o);
	if (!rc && engine->judge)
		rc = engine->judge(o, err);
	for (const struct storage_engine_ops *const *l = storage_layers; !rc && *l; l++)
		if ((*l)->judge && (*l)->wanted(o))
			rc = (*l)->judge(o, err);
	return rc;
}

static int open_engine(const struct storage_options *o, struct storage **out, struct error *err)
{
	const struct storage_engine_ops *ops = engine_of(o);
	struct storage *s;
	int rc = ops->open(o, &s, err);

	if (rc)
		return rc;
	s->ops = ops;
	geometry_apply(s, &o->geometry);
	s->judged = s->size;
	rc = geometry_judge_size(s, o->target, s->size, err);
	if (rc)
		stack_close(s);
	else
		*out = s;
	return rc;
}

/* Any thread.  It is in no list yet. */
static int open_stack(const struct storage_options *o, struct storage_claim *c,
		      struct storage **out, struct error *err)
{
	struct storage_options engine = *o;
	struct storage_ident ident;
	struct storage *s;
	char *disk = NULL;
	int rc;

	*out = NULL;
	rc = storage_judge_options(o, err);
	if (rc)
		return rc;
	if (o->disk && !(disk = strdup(o->disk)))
		return error_set(err, -ENOMEM, "cannot open %s", o->target);
	ident = o->set && o->target ? storage_ident_of(o->target) : (struct storage_ident){0};
	storage_set_lock(c->set);
	c->ident = ident;
	storage_set_unlock(c->set);
	stack_prepare(&engine);
	rc = open_engine(&engine, &s, err);
	if (rc == -EBUSY)
		explain_busy(c, err);
	if (!rc)
		rc = stack_layers(o, &s, err);
	if (rc) {
		free(disk);
		return rc;
	}
	s->disk = disk;
	list_init(&s->link);
	*out = s;
	return 0;
}

/* In the place of the claim. */
static void storage_list(struct storage *s, struct storage_claim *c)
{
	storage_set_lock(c->set);
	s->set = c->unlisted ? NULL : c->set;
	if (s->set)
		list_add_tail(&s->set->all, &s->link);
	claim_end_locked(c);
	storage_set_unlock(c->set);
}

int storage_open(const struct storage_options *o, struct storage **out, struct error *err)
{
	struct storage_claim claim;
	int rc;

	claim_begin(&claim, o);
	rc = open_stack(o, &claim, out, err);
	if (rc)
		claim_end(&claim);
	else
		storage_list(*out, &claim);
	return rc;
}

void storage_close(struct storage **sp)
{
	struct storage *s = *sp;

	if (!s)
		return;
	storage_set_lock(s->set);
	/* One that was made by hand, for a test, is in no set. */
	if (s->link.next)
		list_del(&s->link);
	storage_set_unlock(s->set);
	free(s->disk);
	stack_close(s);
	*sp = NULL;
}

/* ---- apart ---- */

struct storage_opening_job {
	struct aside_job aside;
	struct aside *lane;	    /* control thread                              */
	struct storage_opening *op; /* control thread; NULL: cancelled             */
	struct storage_options o;   /* with texts of its own                       */
	struct storage_claim claim;
	struct error err;
	int rc;
	struct storage *storage; /* atomic: whoever takes it out has it            */
	unsigned refs;		 /* atomic: the lane's, and that of who may cancel */
};

static const struct words_table *words_of(const struct storage_options *o)
{
	return storage_words(o->target);
}

static void options_fini(struct storage_options *o)
{
	const struct words_table *layer;

	words_clear(words_of(o), o);
	for (unsigned i = 0; (layer = storage_layer_words_at(i)); i++)
		words_clear(layer, o);
	free((char *)o->disk);
	free((char *)o->target);
}

static int options_copy(struct storage_options *to, const struct storage_options *from)
{
	const struct words_table *layer;
	int rc;

	*to = *from;
	to->target = strdup(from->target);
	to->disk = from->disk ? strdup(from->disk) : NULL;
	if (!to->target || (from->disk && !to->disk)) {
		free((char *)to->disk);
		free((char *)to->target);
		return -ENOMEM;
	}
	rc = words_copy(words_of(to), to);
	for (unsigned i = 0; (layer = storage_layer_words_at(i)); i++)
		if (words_copy(layer, to))
			rc = -ENOMEM;
	if (rc)
		options_fini(to);
	return rc;
}

static struct storage *job_take(struct storage_opening_job *job)
{
	return __atomic_exchange_n(&job->storage, NULL, __ATOMIC_ACQ_REL);
}

/* Closes what nobody has taken. */
static void job_put(struct storage_opening_job *job)
{
	struct storage *s = job_take(job);

	storage_close(&s);
	if (__atomic_sub_fetch(&job->refs, 1, __ATOMIC_ACQ_REL))
		return;
	claim_end(&job->claim);
	storage_set_put(&job->o.set);
	options_fini(&job->o);
	free(job);
}

static struct storage_opening_job *job_of(struct aside_job *aside)
{
	return container_of(aside, struct storage_opening_job, aside);
}

static void opening_run(struct aside_job *aside)
{
	struct storage_opening_job *job = job_of(aside);
	struct storage *s;

	claim_wait(&job->claim);
	job->rc = open_stack(&job->o, &job->claim, &s, &job->err);
	store_release(&job->storage, s);
}

static void opening_drop(struct aside_job *aside)
{
	job_put(job_of(aside));
}

static void opening_done(struct aside_job *aside)
{
	struct storage_opening_job *job = job_of(aside);
	struct storage_opening *op = job->op;
	struct storage *s;
	struct error err = job->err;
	int rc = job->rc;

	if (!op) {
		job_put(job);
		return;
	}
	op->job = NULL;
	aside_release(&job->lane);
	s = job_take(job);
	if (s)
		storage_list(s, &job->claim);
	/* Its own, and that of who might have cancelled it. */
	__atomic_sub_fetch(&job->refs, 1, __ATOMIC_RELAXED);
	job_put(job);
	op->done(op, rc, s, &err);
}

int storage_open_begin(const struct storage_options *o, struct reactor *home,
		       struct storage_opening *op, struct error *err)
{
	struct storage_opening_job *job = calloc(1, sizeof(*job));
	int rc;

	op->job = NULL;
	if (!job || options_copy(&job->o, o)) {
		free(job);
		return error_set(err, -ENOMEM, "cannot open %s", o->target);
	}
	rc = aside_create(&job->lane, home);
	if (rc) {
		options_fini(&job->o);
		free(job);
		return error_set(err, rc, "cannot open %s", o->target);
	}
	aside_make_roomy(job->lane);
	job->aside = (struct aside_job){
		.run = opening_run, .done = opening_done, .drop = opening_drop};
	job->refs = 2;
	job->op = op;
	op->job = job;
	if (job->o.set)
		storage_set_ref(job->o.set);
	claim_begin(&job->claim, &job->o);
	aside_run(job->lane, &job->aside);
	return 0;
}

/*
 * A library may end badly in a process that goes while its threads are still at work (librados
 * does): its data is destroyed under them.
 */
static void go_at_once(int status, void *arg)
{
	(void)arg;
	fflush(NULL);
	_exit(status);
}

void storage_leave_threads(void)
{
	on_exit(go_at_once, NULL);
}

void storage_open_cancel(struct storage_opening *op)
{
	struct storage_opening_job *job = op->job;
	struct aside *lane;

	if (!job)
		return;
	op->job = NULL;
	job->op = NULL;
	if (engine_of(&job->o)->has_threads)
		storage_leave_threads();
	lane = job->lane;
	/* From here on the lane is through with it, or drops it, or its message is under way. */
	aside_release(&lane);
	job_put(job);
}
