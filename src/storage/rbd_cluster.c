/* SPDX-License-Identifier: MIT */
/* One connection to a Ceph cluster, shared by the disks that name it alike. */
#include "storage/rbd.h"

#include "base/bits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static int copy_text(char **to, const char *from)
{
	*to = from ? strdup(from) : NULL;
	return !from || *to ? 0 : -ENOMEM;
}

static void cluster_free(struct rbd_cluster *c)
{
	if (c->connected)
		c->lib.rados_shutdown(c->rados);
	pthread_mutex_destroy(&c->lock);
	free(c->conf);
	free(c->name);
	free(c->keyring);
	free(c);
}

void rbd_cluster_ref(struct rbd_cluster *c)
{
	__atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
}

void rbd_cluster_unref(struct rbd_cluster *c)
{
	if (!__atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL))
		cluster_free(c);
}

void rbd_cluster_leave(struct rbd_cluster *c)
{
	storage_set_lock(c->set);
	if (!--c->users)
		list_del(&c->link);
	storage_set_unlock(c->set);
	rbd_cluster_unref(c);
}

/* With the set's lock held. */
static int cluster_create(const struct storage_options *o, const struct rbd_lib *lib,
			  struct rbd_cluster **out, struct error *err)
{
	struct rbd_cluster *c = calloc(1, sizeof(*c));
	int rc = 0;

	if (!c)
		return error_set(err, -ENOMEM, "cannot set up %s", o->target);
	pthread_mutex_init(&c->lock, NULL);
	c->lib = *lib;
	if (copy_text(&c->conf, o->rbd_conf) || copy_text(&c->name, o->rbd_name) ||
	    copy_text(&c->keyring, o->rbd_keyring))
		rc = error_set(err, -ENOMEM, "cannot set up %s", o->target);
	if (rc) {
		cluster_free(c);
		return rc;
	}
	list_init(&c->link);
	c->set = o->set;
	if (o->set)
		list_add_tail(&o->set->rbd_clusters, &c->link);
	*out = c;
	return 0;
}

/* With the set's lock held. */
static struct rbd_cluster *cluster_find(const struct storage_options *o)
{
	list_for_each (l, &o->set->rbd_clusters) {
		struct rbd_cluster *c = list_entry(l, struct rbd_cluster, link);

		if (same_text(c->conf, o->rbd_conf) && same_text(c->name, o->rbd_name) &&
		    same_text(c->keyring, o->rbd_keyring))
			return c;
	}
	return NULL;
}

int rbd_cluster_get(const struct storage_options *o, struct rbd_cluster **out, struct error *err)
{
	struct rbd_cluster *c;
	struct rbd_lib lib;
	/* Fifty megabytes, perhaps from a file system that takes its time: not under the lock. */
	int rc = rbd_lib_load(&lib, err);

	if (rc)
		return rc;
	storage_set_lock(o->set);
	c = o->set ? cluster_find(o) : NULL;
	if (!c)
		rc = cluster_create(o, &lib, &c, err);
	if (!rc) {
		c->users++;
		rbd_cluster_ref(c);
		*out = c;
	}
	storage_set_unlock(o->set);
	return rc;
}

/* ---- connecting ---- */

static int set_options(struct rbd_cluster *c, struct error *err)
{
	static const char *const ours[][2] = {
		/* A limit, and nothing on our standard error: the sentences are ours. */
		{"client_mount_timeout", RBD_MOUNT_SECONDS},
		{"log_to_stderr", "false"},
		{"err_to_stderr", "false"},
		/* Writes are stable when they are answered. */
		{"rbd_cache", "false"},
		/* Small discards are done, too; by default they are answered and not done. */
		{"rbd_skip_partial_discard", "false"},
		/* Data lies in buffers that stay until the answer. */
		{"rbd_disable_zero_copy_writes", "false"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
		int rc = c->lib.rados_conf_set(c->rados, ours[i][0], ours[i][1]);

		/* Other versions have other options. */
		if (rc && rc != -ENOENT)
			return error_set(err, rc, "cannot set %s of librados", ours[i][0]);
	}
	if (c->keyring)
		return c->lib.rados_conf_set(c->rados, "keyring", c->keyring);
	return 0;
}

static int explain_connect(const struct rbd_cluster *c, int rc, struct error *err)
{
	const char *conf = c->conf ? c->conf : "the default ceph.conf";
	const char *name = c->name ? c->name : "client.admin";

	if (rc == -ETIMEDOUT)
		return error_set(
			err, rc,
			"the monitors that %s names do not answer within " RBD_MOUNT_SECONDS
			" seconds; does the cluster run?",
			conf);
	if (rc == -EACCES || rc == -EPERM)
		return error_set(err, rc, "the cluster of %s does not let %s in; is its key right?",
				 conf, name);
	if (rc == -ENOENT || rc == -EOPNOTSUPP)
		return error_set(
			err, rc,
			"no key or no monitor for %s is found by way of %s; name them with "
			"rbd.conf= and rbd.keyring=.",
			name, conf);
	return error_set(err, rc, "cannot connect to the cluster of %s as %s", conf, name);
}

static int cluster_connect_locked(struct rbd_cluster *c, struct error *err)
{
	int rc = c->lib.rados_create2(&c->rados, "ceph", c->name ? c->name : "client.admin", 0);

	if (rc < 0)
		return error_set(err, rc, "rbd.name=%s cannot be; a name is client.SOMETHING.",
				 c->name ? c->name : "client.admin");
	rc = c->lib.rados_conf_read_file(c->rados, c->conf);
	if (rc < 0)
		error_set(err, rc, "cannot read %s; name the cluster's ceph.conf with rbd.conf=",
			  c->conf ? c->conf : "/etc/ceph/ceph.conf");
	if (rc >= 0)
		rc = set_options(c, err);
	if (rc >= 0) {
		rc = c->lib.rados_connect(c->rados);
		if (rc < 0)
			explain_connect(c, rc, err);
	}
	if (rc >= 0) {
		c->connected = true;
		return 0;
	}
	c->lib.rados_shutdown(c->rados);
	return rc;
}

int rbd_cluster_connect(struct rbd_cluster *c, struct error *err)
{
	int rc = 0;

	pthread_mutex_lock(&c->lock);
	if (!c->connected)
		rc = cluster_connect_locked(c, err);
	pthread_mutex_unlock(&c->lock);
	return rc;
}
