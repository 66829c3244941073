/* SPDX-License-Identifier: MIT */
/* The words of a Ceph image, the same in a build without librbd. */
#ifndef STORAGE_RBD_WORDS_H
#define STORAGE_RBD_WORDS_H

#include "storage/engine.h"

static const struct word rbd_words[] = {
	STORAGE_WORD_READONLY,
	STORAGE_WORD_DISCARD,
	{"locking", .help = "off: share the image with other writers; default on",
	 WORD_NO_SWITCH(struct storage_options, no_lock)},
	{"rbd.conf", .kind = WORD_TEXT, .min = 1, .sample = "FILE",
	 .help = "the cluster's ceph.conf; default $CEPH_CONF, then /etc/ceph/ceph.conf",
	 WORD_FIELD(struct storage_options, rbd_conf)},
	{"rbd.name", .kind = WORD_TEXT, .min = 1, .sample = "client.NAME",
	 .help = "who we are to the cluster; default client.admin",
	 WORD_FIELD(struct storage_options, rbd_name)},
	{"rbd.keyring", .kind = WORD_TEXT, .min = 1, .sample = "FILE",
	 .help = "with the key of that name; default what ceph.conf says",
	 WORD_FIELD(struct storage_options, rbd_keyring)},
	{"rbd.namespace", .kind = WORD_TEXT, .min = 1, .sample = "NAME",
	 .help = "of the pool; default none", WORD_FIELD(struct storage_options, rbd_namespace)},
};

#define RBD_WORDS WORDS_TABLE("rbd:", rbd_words)

#endif
