/* SPDX-License-Identifier: MIT */
#include "storage/spec.h"

#include "base/bits.h"
#include "base/size.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PHYSICAL_MAX (UINT64_C(2) << 20)
#define RUN_MAX	     (UINT64_C(1) << 30)

enum kind {
	KIND_TEXT,
	KIND_CHOICE,
	KIND_NUMBER,
	KIND_SIZE, /* a number, with K, M or G if one likes */
};

/* One word of the language.  A choice is a bool: false is the first of the two values, true the
 * second. */
struct key {
	const char *name;
	const char *same_as; /* another name for that key */
	enum kind kind;
	size_t at; /* in struct disk_spec */
	size_t size;
	const char *off, *on;
	uint64_t min, max;
	bool pow2;
};

#define FIELD(f)  .at = offsetof(struct disk_spec, f), .size = sizeof(((struct disk_spec *)0)->f)
#define TEXT(f)	  .kind = KIND_TEXT, FIELD(f)
#define CHOICE(f) .kind = KIND_CHOICE, FIELD(f)
#define NUMBER(f) .kind = KIND_NUMBER, FIELD(f)
#define SIZE(f)	  .kind = KIND_SIZE, FIELD(f)

static const struct key keys[] = {
	{"file", TEXT(file)},
	{"serial", TEXT(serial), .max = DISK_SERIAL_MAX},
	{"readonly", CHOICE(readonly), .off = "off", .on = "on"},
	{"cache", CHOICE(direct), .off = "writeback", .on = "none"},
	{"aio", CHOICE(threads), .off = "io_uring", .on = "threads"},
	{"discard", CHOICE(ignore_discard), .off = "unmap", .on = "ignore"},
	{"locking", CHOICE(no_lock), .off = "on", .on = "off"},
	{"queues", NUMBER(queues), .min = 1, .max = DISK_QUEUES_MAX},
	{"num-queues", .same_as = "queues", NUMBER(queues), .min = 1, .max = DISK_QUEUES_MAX},
	{"queue-size", NUMBER(queue_size), .min = 2, .max = DISK_QUEUE_SIZE_MAX, .pow2 = true},
	{"blk-size", SIZE(geometry.block_size), .min = 512, .max = STORAGE_BLOCK_MAX, .pow2 = true},
	{"physical-block-size", SIZE(geometry.physical_block_size), .min = 512, .max = PHYSICAL_MAX,
	 .pow2 = true},
	{"opt-io-size", SIZE(geometry.opt_io_size), .max = RUN_MAX},
	{"discard-granularity", SIZE(geometry.discard_granularity), .min = 512, .max = RUN_MAX},
	{"packed", CHOICE(packed), .off = "off", .on = "on"},
	{"event-idx", CHOICE(event_idx), .off = "off", .on = "on"},
	{"wce", CHOICE(wce), .off = "off", .on = "on"},
};

const char disk_spec_help[] =
	"  file=TARGET             image file, block device, null:SIZE or memory:SIZE (needed)\n"
	"  serial=TEXT             at most 20 bytes, shown to the guest\n"
	"  readonly=on|off         default off\n"
	"  cache=writeback|none    none: past the page cache (O_DIRECT); default writeback\n"
	"  aio=io_uring|threads    default io_uring, threads where the kernel forbids it\n"
	"  discard=unmap|ignore    ignore: the guest cannot give space back; default unmap\n"
	"  locking=on|off          off: share the image with other writers; default on\n"
	"  queues=N                1 to 256, default 1 (also: num-queues)\n"
	"  queue-size=N            the largest ring to take, a power of two, 2 to 32768; default "
	"any\n"
	"  blk-size=N              logical block, a power of two, 512 to 65536; default 512\n"
	"  physical-block-size=N   a power of two; default 4096, or blk-size if that is larger\n"
	"  opt-io-size=N           best size of I/O to tell the guest; default 0: none\n"
	"  discard-granularity=N   default: what the storage can give back\n"
	"  packed=on|off           offer packed virtqueues; default on\n"
	"  event-idx=on|off        offer event indices; default on\n"
	"  wce=on|off              write cache on at the start; default on\n";

static const struct disk_spec defaults = {
	.queues = 1,
	.packed = true,
	.event_idx = true,
	.wce = true,
};

static const struct key *find_key(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (!strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

/* The index that stands for the key under all its names. */
static size_t key_index(const struct key *k)
{
	const struct key *first = k->same_as ? find_key(k->same_as) : k;

	return (size_t)(first - keys);
}

static int unknown_key(const char *name, struct error *err)
{
	char list[256] = "";
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		int len = snprintf(list + n, sizeof(list) - n, "%s%s", i ? ", " : "", keys[i].name);

		if (len < 0 || (size_t)len >= sizeof(list) - n)
			break;
		n += (size_t)len;
	}
	return error_set(err, -EINVAL, "a disk has no option \"%s\"; it has %s.", name, list);
}

/* What may stand behind the key, for sentences. */
static void describe_values(const struct key *k, char *buf, size_t size)
{
	switch (k->kind) {
	case KIND_TEXT:
		if (k->max)
			snprintf(buf, size, "a text of at most %llu bytes",
				 (unsigned long long)k->max);
		else
			snprintf(buf, size, "a path, null:SIZE or memory:SIZE");
		break;
	case KIND_CHOICE:
		snprintf(buf, size, "%s or %s", k->on, k->off);
		break;
	case KIND_NUMBER:
	case KIND_SIZE:
		snprintf(buf, size, "a %s from %llu to %llu", k->pow2 ? "power of two" : "number",
			 (unsigned long long)k->min, (unsigned long long)k->max);
		break;
	}
}

static int bad_value(const struct key *k, const char *value, struct error *err)
{
	char allowed[96];

	describe_values(k, allowed, sizeof(allowed));
	return error_set(err, -EINVAL, "\"%s=%s\" cannot be: the value must be %s.", k->name, value,
			 allowed);
}

static int set_text(const struct key *k, const char *value, char **field, struct error *err)
{
	if (k->max ? strlen(value) > k->max : !*value)
		return bad_value(k, value, err);
	*field = strdup(value);
	return *field ? 0 : error_set(err, -ENOMEM, "cannot keep the option %s", k->name);
}

static int set_number(const struct key *k, const char *value, void *field, struct error *err)
{
	uint64_t v;

	if (k->kind == KIND_SIZE ? size_parse(value, &v) || v < k->min || v > k->max
				 : number_parse(value, k->min, k->max, &v))
		return bad_value(k, value, err);
	if (k->pow2 && !is_pow2(v))
		return bad_value(k, value, err);
	if (k->size == sizeof(uint16_t))
		*(uint16_t *)field = (uint16_t)v;
	else
		*(uint32_t *)field = (uint32_t)v;
	return 0;
}

static int set_choice(const struct key *k, const char *value, bool *field, struct error *err)
{
	bool on = !strcmp(value, k->on);

	if (!on && strcmp(value, k->off) != 0)
		return bad_value(k, value, err);
	*field = on;
	return 0;
}

static int set_value(struct disk_spec *spec, const struct key *k, const char *value,
		     struct error *err)
{
	void *field = (char *)spec + k->at;

	switch (k->kind) {
	case KIND_TEXT:
		return set_text(k, value, field, err);
	case KIND_CHOICE:
		return set_choice(k, value, field, err);
	case KIND_NUMBER:
	case KIND_SIZE:
		return set_number(k, value, field, err);
	}
	return -EINVAL;
}

/* Copies the next word to @word, ",," as ",".  Returns what follows the comma behind it, NULL at
 * the end. */
static const char *next_word(const char *text, char *word)
{
	for (; *text; text++) {
		if (*text == ',') {
			if (text[1] != ',')
				break;
			text++;
		}
		*word++ = *text;
	}
	*word = '\0';
	return *text ? text + 1 : NULL;
}

static int take_word(struct disk_spec *spec, char *word, bool first, bool seen[], struct error *err)
{
	char *eq = strchr(word, '=');
	const char *value = eq ? eq + 1 : word;
	const struct key *k;
	char allowed[96];

	if (eq)
		*eq = '\0';
	k = eq || !first ? find_key(word) : find_key("file");
	if (!*word)
		return error_set(
			err, -EINVAL,
			"an option is missing at a comma of the disk; a comma in a value is "
			"written twice.");
	if (!k)
		return unknown_key(word, err);
	if (!eq && !first) {
		describe_values(k, allowed, sizeof(allowed));
		return error_set(err, -EINVAL, "the disk option %s needs a value: %s.", word,
				 allowed);
	}
	if (seen[key_index(k)])
		return error_set(err, -EINVAL, "the disk option %s is given twice.",
				 k->same_as ? k->same_as : k->name);
	seen[key_index(k)] = true;
	return set_value(spec, k, value, err);
}

int disk_spec_parse(const char *text, struct disk_spec *spec, struct error *err)
{
	bool seen[ARRAY_SIZE(keys)] = {false};
	const char *rest = text;
	bool first = true;
	char *word;
	int rc = 0;

	*spec = defaults;
	word = malloc(strlen(text) + 1);
	if (!word)
		return error_set(err, -ENOMEM, "cannot read the disk %s", text);
	while (rest && !rc) {
		rest = next_word(rest, word);
		rc = take_word(spec, word, first, seen, err);
		first = false;
	}
	if (!rc && !spec->file)
		rc = error_set(err, -EINVAL,
			       "the disk \"%s\" names no file; add file=PATH, file=null:SIZE or "
			       "file=memory:SIZE.",
			       text);
	if (rc)
		disk_spec_fini(spec);
	free(word);
	return rc;
}

void disk_spec_fini(struct disk_spec *spec)
{
	free(spec->file);
	free(spec->serial);
	*spec = (struct disk_spec){0};
}

struct storage_options disk_spec_storage(const struct disk_spec *spec)
{
	return (struct storage_options){
		.target = spec->file,
		.readonly = spec->readonly,
		.direct = spec->direct,
		.threads = spec->threads,
		.no_lock = spec->no_lock,
		.no_discard = spec->ignore_discard,
		.geometry = spec->geometry,
	};
}
