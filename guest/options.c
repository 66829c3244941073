/* SPDX-License-Identifier: MIT */
#include "guest/options.h"

#include "base/bits.h"
#include "guest/console.h"
#include "wire/virtio_blk.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static int to_number(const char *s, uint32_t *out)
{
	uint64_t v = 0;

	if (!*s)
		return -EINVAL;
	for (; *s >= '0' && *s <= '9' && v <= UINT32_MAX; s++)
		v = 10 * v + (unsigned)(*s - '0');
	if (*s == 'K' || *s == 'M')
		v <<= *s++ == 'K' ? 10 : 20;
	*out = (uint32_t)v;
	return *s || v > UINT32_MAX ? -EINVAL : 0;
}

/* 0 or 1: the place of @s between the two words. */
static int which(const char *s, const char *no, const char *yes)
{
	return !strcmp(s, no) ? 0 : !strcmp(s, yes) ? 1 : -EINVAL;
}

static const struct {
	const char *key;
	size_t at;
	uint32_t min, max;
} numbers[] = {
	{"disk", offsetof(struct options, disk), 0, 31},
	{"queues", offsetof(struct options, queues), 1, 32},
	{"queue-size", offsetof(struct options, queue_size), 3, 32768},
	{"area", offsetof(struct options, area), 65536, 256u << 20},
	{"seed", offsetof(struct options, seed), 0, UINT32_MAX},
	{"size", offsetof(struct options, size), VIRTIO_BLK_SECTOR, 1u << 20},
	{"requests", offsetof(struct options, requests), 0, 1000000},
	{"depth", offsetof(struct options, depth), 1, 64},
};

static const struct {
	const char *key;
	unsigned bit;
} features[] = {
	{"packed", VIRTIO_F_RING_PACKED},
	{"event-idx", VIRTIO_F_EVENT_IDX},
	{"indirect", VIRTIO_F_INDIRECT_DESC},
	{"in-order", VIRTIO_F_IN_ORDER},
};

static int set_number(struct options *o, size_t i, const char *value)
{
	uint32_t v;

	if (to_number(value, &v) || v < numbers[i].min || v > numbers[i].max)
		return -EINVAL;
	memcpy((char *)o + numbers[i].at, &v, sizeof(v));
	return 0;
}

static int set(struct options *o, const char *key, const char *value)
{
	int on;

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (!strcmp(key, numbers[i].key))
			return set_number(o, i, value);
	if (!strcmp(key, "serial")) {
		o->serial = value;
		return 0;
	}
	if (!strcmp(key, "irq")) {
		on = which(value, "msix", "poll");
		o->poll = on == 1;
		return on < 0 ? on : 0;
	}
	on = which(value, "off", "on");
	if (on < 0)
		return on;
	if (!strcmp(key, "legacy")) {
		o->how = on ? VPCI_LEGACY : VPCI_MODERN;
		return 0;
	}
	if (!strcmp(key, "write")) {
		o->write = on;
		return 0;
	}
	if (!strcmp(key, "checks")) {
		o->checks = on;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		if (strcmp(key, features[i].key))
			continue;
		*(on ? &o->features_must : &o->features_off) |= BIT64(features[i].bit);
		return 0;
	}
	return -EINVAL;
}

/* The next word, NUL-terminated; NULL: none is left. */
static char *cut(char **words)
{
	char *word = *words;

	while (*word == ' ')
		word++;
	*words = word;
	while (**words && **words != ' ')
		++*words;
	if (**words)
		*(*words)++ = '\0';
	return *word ? word : NULL;
}

int options_parse(struct options *o, char *words)
{
	char *word;

	*o = (struct options){
		.write = true,
		.checks = true,
		.queues = 1,
		.queue_size = 256,
		.area = 1u << 20,
		.seed = 1,
		.size = 4096,
		.requests = 256,
		.depth = 32,
	};
	while ((word = cut(&words))) {
		char *value = word;

		while (*value && *value != '=')
			value++;
		if (*value)
			*value++ = '\0';
		if (set(o, word, value)) {
			say("not ok options: %s=%s is not understood", word, value);
			return -EINVAL;
		}
	}
	if (o->size % VIRTIO_BLK_SECTOR || o->area % VIRTIO_BLK_SECTOR || o->size > o->area) {
		say("not ok options: size and area are whole sectors, and size fits area");
		return -EINVAL;
	}
	return 0;
}
