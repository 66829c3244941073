/* SPDX-License-Identifier: MIT */
/* Targets by name: which transport, with which options.  schemes[] has them all. */
#include "base/bits.h"
#include "base/size.h"
#include "frontend/blk/disk.h"
#include "frontend/vhost_user/client.h"
#include "frontend/virtio_pci/vfio_board.h"

#include <errno.h>
#include <string.h>

#define TIMEOUT_MS_DEFAULT 10000
#define PATH_BYTES	   256

static int set_bit(struct ringside_options *o, unsigned bit, const char *value)
{
	if (!strcmp(value, "on")) {
		o->features_must |= BIT64(bit);
		o->features_on |= BIT64(bit);
		o->features_off &= ~BIT64(bit);
	} else if (!strcmp(value, "off")) {
		o->features_off |= BIT64(bit);
		o->features_must &= ~BIT64(bit);
	} else {
		return -EINVAL;
	}
	return 0;
}

static int set_switch(bool *out, const char *value, bool on)
{
	if (!strcmp(value, "on"))
		*out = on;
	else if (!strcmp(value, "off"))
		*out = !on;
	else
		return -EINVAL;
	return 0;
}

static int set_option(struct ringside_options *o, const char *key, const char *value)
{
	static const struct {
		const char *key;
		unsigned bit;
	} bits[] = {
		{"packed", VIRTIO_F_RING_PACKED},
		{"indirect", VIRTIO_F_INDIRECT_DESC},
		{"event-idx", VIRTIO_F_EVENT_IDX},
		{"in-order", VIRTIO_F_IN_ORDER},
	};
	uint64_t n;
	int rc;

	for (size_t i = 0; i < ARRAY_SIZE(bits); i++)
		if (!strcmp(key, bits[i].key))
			return set_bit(o, bits[i].bit, value);
	if (!strcmp(key, "mem-slots"))
		return set_switch(&o->no_mem_slots, value, false);
	if (!strcmp(key, "zoned"))
		return set_switch(&o->zoned, value, true);
	if (!strcmp(key, "access-platform"))
		return set_switch(&o->any_platform, value, false);
	if (!strcmp(key, "queues")) {
		rc = number_parse(value, 1, 256, &n);
		if (!rc)
			o->queues = (uint16_t)n;
		return rc;
	}
	if (!strcmp(key, "queue-size")) {
		rc = number_parse(value, 3, 32768, &n);
		if (!rc)
			o->queue_size = (uint16_t)n;
		return rc;
	}
	if (!strcmp(key, "timeout-ms")) {
		rc = number_parse(value, 1, 3600000, &n);
		if (!rc)
			o->timeout_ms = (uint32_t)n;
		return rc;
	}
	return -ENOENT;
}

/* Takes "key=value&key=value" apart, in place. */
static int parse_query(struct ringside_options *o, char *query, struct error *err)
{
	char *rest = query, *word;

	while ((word = strsep(&rest, "&"))) {
		char *value = strchr(word, '=');
		int rc;

		if (!value)
			return error_set(err, -EINVAL, "'%s' is no key=value.", word);
		*value++ = '\0';
		rc = set_option(o, word, value);
		if (rc == -ENOENT)
			return error_set(err, -EINVAL,
					 "there is no option '%s'; there are queues, queue-size, "
					 "packed, indirect, event-idx, in-order, mem-slots, zoned, "
					 "access-platform, timeout-ms.",
					 word);
		if (rc)
			return error_set(err, -EINVAL, "'%s' is no value for %s.", value, word);
	}
	return 0;
}

static struct vhost_user_options vhost_user_options(const struct ringside_options *o)
{
	return (struct vhost_user_options){
		.timeout_ms = o->timeout_ms ? o->timeout_ms : TIMEOUT_MS_DEFAULT,
		.no_mem_slots = o->no_mem_slots,
	};
}

static int open_vhost_user(const char *path, const struct ringside_options *o, struct transport **t,
			   struct error *err)
{
	struct vhost_user_options vo = vhost_user_options(o);

	return vhost_user_connect(path, &vo, t, err);
}

static int open_pci(const char *address, const struct ringside_options *o, struct transport **t,
		    struct error *err)
{
	const struct vfio_board_options bo = {
		.queues = o->queues ? o->queues : 1,
		.timeout_ms = o->timeout_ms ? o->timeout_ms : TIMEOUT_MS_DEFAULT,
		.any_platform = o->any_platform,
	};

	return vfio_board_open(address, &bo, t, err);
}

static const struct scheme {
	const char *name;
	int (*open)(const char *rest, const struct ringside_options *o, struct transport **t,
		    struct error *err);
} schemes[] = {
	{"vhost-user:", open_vhost_user},
	{"pci:", open_pci},
};

static const struct scheme *scheme_of(const char *uri)
{
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
		if (!strncmp(uri, schemes[i].name, strlen(schemes[i].name)))
			return &schemes[i];
	return NULL;
}

int ringside_open(const char *uri, const struct ringside_options *options,
		  struct ringside_disk **disk, struct ringside_error *e)
{
	const struct scheme *scheme = scheme_of(uri);
	struct ringside_options o = {0};
	struct error *err = disk_error(e);
	struct transport *t;
	char text[PATH_BYTES + 256], *query;
	int rc;

	if (options)
		o = *options;
	if (!scheme)
		return error_set(
			err, -EINVAL,
			"'%s' names no target; a target is vhost-user:PATH or pci:ADDRESS, "
			"with options behind a question mark.",
			uri);
	uri += strlen(scheme->name);
	if (strlen(uri) >= sizeof(text))
		return error_set(err, -ENAMETOOLONG, "the target's name is too long.");
	strcpy(text, uri);
	query = strchr(text, '?');
	if (query) {
		*query++ = '\0';
		rc = parse_query(&o, query, err);
		if (rc)
			return rc;
	}
	rc = scheme->open(text, &o, &t, err);
	return rc ? rc : disk_open(t, &o, disk, err);
}

int ringside_open_fd(int socket, const struct ringside_options *options,
		     struct ringside_disk **disk, struct ringside_error *e)
{
	struct ringside_options o = {0};
	struct vhost_user_options vo;
	struct transport *t;
	int rc;

	if (options)
		o = *options;
	vo = vhost_user_options(&o);
	rc = vhost_user_adopt(socket, &vo, &t, disk_error(e));
	return rc ? rc : disk_open(t, &o, disk, disk_error(e));
}

const char *ringside_version(void)
{
	return RINGSIDE_VERSION;
}
