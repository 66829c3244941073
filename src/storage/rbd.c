/* SPDX-License-Identifier: MIT */
/* rbd:POOL/IMAGE: names, an image opened, watched and closed. */
#include "storage/rbd.h"

#include "base/atomic.h"
#include "base/log.h"
#include "storage/rbd_words.h"
#include "storage/secret.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RBD_MAX_RUN    (UINT64_C(1) << 30)
#define RBD_UNIT_BYTES 65536u /* a smaller discard gives no space back, as a rule */
#define RBD_CONFIG_MAX 512

/* ---- names ---- */

struct rbd_target {
	char *text; /* what the others point into */
	const char *pool, *space, *image, *snapshot;
};

/* POOL/IMAGE, POOL/NAMESPACE/IMAGE, each perhaps with @SNAPSHOT. */
static int target_parse(const struct storage_options *o, struct rbd_target *t, struct error *err)
{
	char *rest, *at;

	*t = (struct rbd_target){.text = strdup(o->target + strlen("rbd:"))};
	if (!t->text)
		return error_set(err, -ENOMEM, "cannot set up %s", o->target);
	rest = t->text;
	t->pool = strsep(&rest, "/");
	at = rest ? strchr(rest, '/') : NULL;
	t->space = o->rbd_namespace;
	if (at && !t->space) {
		*at = '\0';
		t->space = rest;
		rest = at + 1;
		at = NULL;
	}
	t->image = strsep(&rest, "@");
	t->snapshot = rest;
	if (!at && *t->pool && t->image && *t->image && !strchr(t->image, '/') &&
	    (!t->snapshot || *t->snapshot) && (!t->space || *t->space))
		return 0;
	free(t->text);
	return error_set(err, -EINVAL,
			 "%s names no image: it is rbd:POOL/IMAGE, rbd:POOL/NAMESPACE/IMAGE or "
			 "rbd:POOL/IMAGE@SNAPSHOT.",
			 o->target);
}

/* ---- on the thread that waits for the cluster ---- */

struct rbd_opening {
	struct apart apart;
	struct storage_options o; /* numbers alone */
	struct rbd_target target;
	char *space; /* what target.space is, copied */
	struct rbd_disk *disk;
	struct error err;
	int rc;
};

static int explain_image(const struct rbd_opening *w, int rc, struct error *err)
{
	const char *name = w->disk->target;

	if (rc == -ENOENT)
		return error_set(err, rc,
				 "%s does not exist; make it with: rbd create --size 10G %s.", name,
				 name + strlen("rbd:"));
	if (rc == -EACCES || rc == -EPERM)
		return error_set(err, rc,
				 "the cluster does not permit us to use %s; the key needs the caps "
				 "\"profile rbd\" for its pool.",
				 name);
	return error_set(err, rc, "cannot open %s", name);
}

/* On a thread of librbd's that is for this. */
static void image_changed(void *arg)
{
	struct rbd_disk *d = arg;
	uint64_t size;

	/* This may ask the cluster. */
	if (d->cluster->lib.rbd_get_size(d->image, &size))
		return;
	store_release(&d->known, size);
	rbd_disk_news(d);
	pthread_mutex_lock(&d->lock);
	if (!d->closing)
		storage_changed(&d->base);
	pthread_mutex_unlock(&d->lock);
}

/* What the image's own settings made of ours. */
static bool cache_is_off(struct rbd_disk *d)
{
	const struct rbd_lib *lib = &d->cluster->lib;
	rbd_config_option_t *options = calloc(RBD_CONFIG_MAX, sizeof(options[0]));
	int n = RBD_CONFIG_MAX;
	bool off = false;

	if (options && !lib->rbd_config_image_list(d->image, options, &n)) {
		for (int i = 0; i < n; i++)
			if (!strcmp(options[i].name, "rbd_cache"))
				off = !strcmp(options[i].value, "false");
		lib->rbd_config_image_list_cleanup(options, n);
	}
	free(options);
	return off;
}

static void name_owner(struct rbd_disk *d, char *text, size_t size)
{
	const struct rbd_lib *lib = &d->cluster->lib;
	char *owners[4] = {NULL};
	size_t n = 4;
	rbd_lock_mode_t mode;

	if (!lib->rbd_lock_get_owners(d->image, &mode, owners, &n) && n) {
		snprintf(text, size, "%s", owners[0]);
		lib->rbd_lock_get_owners_cleanup(owners, n);
	}
}

/* Nobody else writes it as long as we are there. */
static int image_lock(struct rbd_opening *w)
{
	struct rbd_disk *d = w->disk;
	const struct rbd_lib *lib = &d->cluster->lib;
	char owner[128] = "another client";
	uint64_t features = 0;
	int rc = lib->rbd_get_features(d->image, &features);

	if (rc)
		return explain_image(w, rc, &w->err);
	if (!(features & RBD_FEATURE_EXCLUSIVE_LOCK)) {
		log_info(d->target, "has no exclusive lock: nothing keeps other writers away; "
				    "\"rbd feature enable ... exclusive-lock\" gives it one");
		return 0;
	}
	rc = lib->rbd_lock_acquire(d->image, RBD_LOCK_MODE_EXCLUSIVE);
	if (!rc)
		return 0;
	if (rc != -EROFS && rc != -EBUSY)
		return explain_image(w, rc, &w->err);
	name_owner(d, owner, sizeof(owner));
	return error_set(&w->err, -EBUSY,
			 "%s is in use by %s; one image is one disk, unless readonly=on on both, "
			 "or locking=off.",
			 d->target, owner);
}

static int image_open(struct rbd_opening *w)
{
	struct rbd_disk *d = w->disk;
	const struct rbd_lib *lib = &d->cluster->lib;
	int rc = rbd_cluster_connect(d->cluster, &w->err);

	if (rc)
		return rc;
	rc = lib->rados_ioctx_create(d->cluster->rados, w->target.pool, &d->pool);
	if (rc)
		return rc == -ENOENT ? error_set(&w->err, rc, "there is no pool \"%s\" for %s.",
						 w->target.pool, d->target)
				     : explain_image(w, rc, &w->err);
	if (w->space)
		lib->rados_ioctx_set_namespace(d->pool, w->space);
	/* Only one who is open for writing is told of changes: that the snapshot is removed, too. */
	rc = lib->rbd_open(d->pool, w->target.image, &d->image, w->target.snapshot);
	if ((rc == -EPERM || rc == -EACCES || rc == -EROFS) && d->base.readonly)
		rc = lib->rbd_open_read_only(d->pool, w->target.image, &d->image,
					     w->target.snapshot);
	if (rc) {
		d->image = NULL;
		return explain_image(w, rc, &w->err);
	}
	rc = lib->rbd_update_watch(d->image, &d->watch, image_changed, d);
	d->watched = !rc;
	if (!rc)
		rc = lib->rbd_get_size(d->image, &d->base.size);
	if (rc)
		return explain_image(w, rc, &w->err);
	store_release(&d->known, d->base.size);
	if (!d->base.readonly && !w->o.no_lock)
		rc = image_lock(w);
	if (rc)
		return rc;
	d->through = cache_is_off(d);
	return 0;
}

static void image_close(struct rbd_disk *d)
{
	const struct rbd_lib *lib = &d->cluster->lib;

	pthread_mutex_lock(&d->lock);
	while (d->probing)
		pthread_cond_wait(&d->probed, &d->lock);
	pthread_mutex_unlock(&d->lock);
	if (d->watched)
		lib->rbd_update_unwatch(d->image, d->watch);
	if (d->image)
		lib->rbd_close(d->image);
	if (d->pool)
		lib->rados_ioctx_destroy(d->pool);
	rbd_cluster_unref(d->cluster);
	pthread_cond_destroy(&d->probed);
	pthread_mutex_destroy(&d->lock);
	free(d->target);
	free(d);
}

static struct rbd_opening *to_opening(struct apart *a)
{
	return container_of(a, struct rbd_opening, apart);
}

/* What was opened in vain is closed here, too: that may take as long. */
static void opening_run(struct apart *a)
{
	struct rbd_opening *w = to_opening(a);

	w->rc = image_open(w);
	if (!w->rc)
		return;
	image_close(w->disk);
	w->disk = NULL;
}

static void opening_free(struct rbd_opening *w)
{
	free(w->target.text);
	free(w->space);
	free(w);
}

static void opening_drop(struct apart *a)
{
	struct rbd_opening *w = to_opening(a);

	if (w->disk)
		image_close(w->disk);
	opening_free(w);
}

/* ---- on the control thread ---- */

static int disk_create(const struct storage_options *o, struct rbd_disk **out, struct error *err)
{
	struct rbd_disk *d = calloc(1, sizeof(*d));
	int rc;

	if (!d || !(d->target = strdup(o->target))) {
		free(d);
		return error_set(err, -ENOMEM, "cannot set up %s", o->target);
	}
	rc = rbd_cluster_get(o, &d->cluster, err);
	if (rc) {
		free(d->target);
		free(d);
		return rc;
	}
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->probed, NULL);
	list_init(&d->channels);
	d->base.name = d->target;
	*out = d;
	return 0;
}

static void set_limits(struct rbd_disk *d, const struct storage_options *o)
{
	const bool readonly = d->base.readonly;

	d->base.limits = (struct storage_limits){
		.max_discard = readonly || o->no_discard ? 0 : RBD_MAX_RUN,
		.discard_alignment = RBD_UNIT_BYTES,
		.max_write_zeroes = readonly ? 0 : RBD_MAX_RUN,
		.write_zeroes_unmaps = !readonly && !o->no_discard,
	};
}

static int opening_start(const struct storage_options *o, struct rbd_opening **out,
			 struct error *err)
{
	struct rbd_opening *w = calloc(1, sizeof(*w));
	int rc;

	if (!w)
		return error_set(err, -ENOMEM, "cannot set up %s", o->target);
	rc = target_parse(o, &w->target, err);
	if (rc) {
		free(w);
		return rc;
	}
	w->apart = (struct apart){.run = opening_run, .drop = opening_drop};
	w->o.no_lock = o->no_lock;
	if (w->target.space && !(w->space = strdup(w->target.space)))
		rc = error_set(err, -ENOMEM, "cannot set up %s", o->target);
	if (!rc && w->target.snapshot && o->readonly == STORAGE_WRITABLE)
		rc = error_set(err, -EROFS,
			       "%s is a snapshot, and cannot be written; use readonly=on.",
			       o->target);
	if (!rc && o->rbd_keyring)
		rc = secret_check(o->rbd_keyring, "the keyring", err);
	if (!rc)
		rc = disk_create(o, &w->disk, err);
	if (rc)
		opening_free(w);
	else
		*out = w;
	return rc;
}

static int rbd_engine_open(const struct storage_options *o, struct storage **out, struct error *err)
{
	struct rbd_cluster *cluster;
	struct rbd_opening *w = NULL;
	struct rbd_disk *d;
	int rc = opening_start(o, &w, err), waited;

	if (rc)
		return rc;
	d = w->disk;
	cluster = d->cluster;
	/* An image is not read-only by its nature; a snapshot is. */
	d->base.readonly = o->readonly == STORAGE_READONLY || w->target.snapshot;
	/* The disk's own; the other one is ours until the disk is closed. */
	rbd_cluster_ref(cluster);
	waited = apart_do(&w->apart, RBD_OPEN_SECONDS);
	if (waited == -ETIMEDOUT) {
		/* Disk and work are undone there. */
		storage_leave_threads();
		rc = error_set(err, waited,
			       "%s does not answer within %u seconds; is the cluster well?",
			       o->target, RBD_OPEN_SECONDS);
	} else if (waited) {
		rc = error_set(err, waited, "cannot start a thread for %s", o->target);
	} else if (w->rc) {
		rc = w->rc;
		if (err)
			*err = w->err;
	}
	/* Nothing of it has been opened. */
	if (waited && waited != -ETIMEDOUT)
		image_close(d);
	if (waited != -ETIMEDOUT)
		opening_free(w);
	if (rc) {
		rbd_cluster_leave(cluster);
		return rc;
	}
	set_limits(d, o);
	*out = &d->base;
	return 0;
}

struct rbd_closing {
	struct apart apart;
	struct rbd_disk *disk;
};

static void closing_run(struct apart *a)
{
	image_close(container_of(a, struct rbd_closing, apart)->disk);
}

static void closing_drop(struct apart *a)
{
	free(container_of(a, struct rbd_closing, apart));
}

static void rbd_engine_close(struct storage *s)
{
	struct rbd_disk *d = rbd_disk_of(s);
	struct rbd_cluster *cluster = d->cluster;
	struct rbd_closing *w = calloc(1, sizeof(*w));
	int rc = -ENOMEM;

	pthread_mutex_lock(&d->lock);
	d->closing = true;
	pthread_mutex_unlock(&d->lock);
	if (w) {
		*w = (struct rbd_closing){.apart = {.run = closing_run, .drop = closing_drop},
					  .disk = d};
		rc = apart_do(&w->apart, RBD_CLOSE_SECONDS);
	}
	if (rc == -ETIMEDOUT)
		storage_leave_threads();
	else if (rc)
		image_close(d);
	if (rc != -ETIMEDOUT)
		free(w);
	rbd_cluster_leave(cluster);
}

/* On a thread of librados'. */
static void probe_answered(rados_completion_t completion, void *arg)
{
	struct rbd_disk *d = arg;
	int rc = d->cluster->lib.rados_aio_get_return_value(completion);

	d->cluster->lib.rados_aio_release(completion);
	if (rc == -ESHUTDOWN)
		rbd_disk_end(d);
	pthread_mutex_lock(&d->lock);
	d->probing = false;
	pthread_cond_signal(&d->probed);
	pthread_mutex_unlock(&d->lock);
}

/* Whether the cluster still takes us, if librbd has been mute since the last look. */
static void probe_if_mute(struct rbd_disk *d)
{
	const struct rbd_lib *lib = &d->cluster->lib;
	uint64_t answered = read_once(&d->answered);
	bool mute = read_once(&d->sent) != answered && answered == d->answered_before;
	rados_completion_t completion;

	d->answered_before = answered;
	/* The first such look may have come right behind the first request. */
	if (!mute)
		store_release(&d->mute, false);
	else if (d->looked_mute && !load_acquire(&d->mute))
		rbd_disk_is_mute(d);
	d->looked_mute = mute;
	pthread_mutex_lock(&d->lock);
	/* Of any object: what counts is who asks. */
	if (mute && !d->probing && !load_acquire(&d->ended) &&
	    !lib->rados_aio_create_completion2(d, probe_answered, &completion)) {
		d->probing = !lib->rados_aio_stat(d->pool, "rbd_directory", completion, NULL, NULL);
		if (!d->probing)
			lib->rados_aio_release(completion);
	}
	pthread_mutex_unlock(&d->lock);
}

static int rbd_measure(struct storage *s, uint64_t *size)
{
	struct rbd_disk *d = rbd_disk_of(s);

	probe_if_mute(d);
	*size = load_acquire(&d->known);
	return 0;
}

static void rbd_describe(const struct storage *s, char *text, size_t size)
{
	const struct rbd_disk *d = container_of(s, const struct rbd_disk, base);

	if (load_acquire(&d->ended))
		snprintf(text, size, "blocklisted: every request fails");
}

static bool rbd_spoiled(const struct storage *s)
{
	return load_acquire(&container_of(s, const struct rbd_disk, base)->lost) != 0;
}

const struct storage_engine_ops rbd_engine_ops = {
	.kind = "rbd",
	.prefix = "rbd:",
	.words = RBD_WORDS,
	.open = rbd_engine_open,
	.close = rbd_engine_close,
	.measure = rbd_measure,
	.has_threads = true,
	.channel_open = rbd_channel_open,
	.channel_close = rbd_channel_close,
	.submit = rbd_submit,
	.drain = rbd_drain,
	.describe = rbd_describe,
	.spoiled = rbd_spoiled,
};
