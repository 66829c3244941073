/* SPDX-License-Identifier: MIT */
/* Targets by name: which transport, with which options.  schemes[] has them all. */
#include "base/bits.h"
#include "base/size.h"
#include "frontend/blk/disk.h"
#include "frontend/vfio_user/board.h"
#include "frontend/vhost_user/client.h"
#include "frontend/virtio_pci/vfio_board.h"

#include <errno.h>
#include <string.h>

#define TIMEOUT_MS_DEFAULT 10000
#define PATH_BYTES	   256

struct option;
typedef int option_fn(struct ringside_options *o, const struct option *option, const char *value);

/* One word behind the question mark. */
struct option {
	const char *name;
	option_fn *set;
	size_t at;     /* in struct ringside_options; of a feature bit its number    */
	uint32_t size; /* of that field                                             */
	uint32_t min, max;
	bool off; /* the field says no where the word says yes                  */
};

static bool word_is_on(const char *value, bool *on)
{
	*on = !strcmp(value, "on");
	return *on || !strcmp(value, "off");
}

static int set_bit(struct ringside_options *o, const struct option *option, const char *value)
{
	uint64_t bit = BIT64(option->at);
	bool on;

	if (!word_is_on(value, &on))
		return -EINVAL;
	if (on) {
		o->features_must |= bit;
		o->features_on |= bit;
		o->features_off &= ~bit;
	} else {
		o->features_off |= bit;
		o->features_must &= ~bit;
	}
	return 0;
}

static int set_switch(struct ringside_options *o, const struct option *option, const char *value)
{
	bool on;

	if (!word_is_on(value, &on))
		return -EINVAL;
	*(bool *)((char *)o + option->at) = on != option->off;
	return 0;
}

static int set_number(struct ringside_options *o, const struct option *option, const char *value)
{
	void *field = (char *)o + option->at;
	uint64_t n;
	int rc = number_parse(value, option->min, option->max, &n);

	if (rc)
		return rc;
	if (option->size == sizeof(uint16_t))
		*(uint16_t *)field = (uint16_t)n;
	else
		*(uint32_t *)field = (uint32_t)n;
	return 0;
}

#define FIELD(f)                                    \
	.at = offsetof(struct ringside_options, f), \
	.size = sizeof(((struct ringside_options *)0)->f)

/* A ring of less than QUEUE_SIZE_LEAST entries has no room for header, data and status. */
#define QUEUE_SIZE_LEAST 3

static const struct option target_options[] = {
	{"queues", set_number, FIELD(queues), .min = 1, .max = 256},
	{"queue-size", set_number, FIELD(queue_size), .min = QUEUE_SIZE_LEAST, .max = 32768},
	{"packed", set_bit, .at = VIRTIO_F_RING_PACKED},
	{"indirect", set_bit, .at = VIRTIO_F_INDIRECT_DESC},
	{"event-idx", set_bit, .at = VIRTIO_F_EVENT_IDX},
	{"in-order", set_bit, .at = VIRTIO_F_IN_ORDER},
	{"mem-slots", set_switch, FIELD(no_mem_slots), .off = true},
	{"zoned", set_switch, FIELD(zoned)},
	{"access-platform", set_switch, FIELD(any_platform), .off = true},
	{"dma-messages", set_switch, FIELD(dma_messages)},
	{"timeout-ms", set_number, FIELD(timeout_ms), .min = 1, .max = 3600000},
};

static int set_option(struct ringside_options *o, const char *key, const char *value,
		      struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(target_options); i++) {
		const struct option *option = &target_options[i];

		if (strcmp(key, option->name) != 0)
			continue;
		if (!option->set(o, option, value))
			return 0;
		if (option->set == set_number)
			return error_set(err, -EINVAL,
					 "'%s' is no value for %s: it must be a number from %u to "
					 "%u.",
					 value, key, option->min, option->max);
		return error_set(err, -EINVAL, "'%s' is no value for %s: it must be on or off.",
				 value, key);
	}
	return error_set(err, -EINVAL,
			 "there is no option '%s'; there are queues, queue-size, packed, indirect, "
			 "event-idx, in-order, mem-slots, zoned, access-platform, dma-messages, "
			 "timeout-ms.",
			 key);
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
		rc = set_option(o, word, value, err);
		if (rc)
			return rc;
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

static int open_vfio_user(const char *path, const struct ringside_options *o, struct transport **t,
			  struct error *err)
{
	const struct vfio_user_board_options bo = {
		.queues = o->queues ? o->queues : 1,
		.timeout_ms = o->timeout_ms ? o->timeout_ms : TIMEOUT_MS_DEFAULT,
		.dma_messages = o->dma_messages,
	};

	return vfio_user_board_open(path, &bo, t, err);
}

static const struct scheme {
	const char *name;
	int (*open)(const char *rest, const struct ringside_options *o, struct transport **t,
		    struct error *err);
} schemes[] = {
	{"vhost-user:", open_vhost_user},
	{"vfio-user:", open_vfio_user},
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
		return error_set(err, -EINVAL,
				 "'%s' names no target; a target is vhost-user:PATH, "
				 "vfio-user:PATH or pci:ADDRESS, "
				 "with options behind a question mark.",
				 uri);
	uri += strlen(scheme->name);
	if (strlen(uri) >= sizeof(text))
		return error_set(err, -EINVAL, "the target's name is too long.");
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
