/* SPDX-License-Identifier: MIT */
#include "storage/layer/faulty_rules.h"

#include "base/bits.h"
#include "base/size.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX   2048
#define BIT_OF(op) (1u << (op))
#define CHANGES                                                                           \
	(BIT_OF(STORAGE_WRITE) | BIT_OF(STORAGE_DISCARD) | BIT_OF(STORAGE_WRITE_ZEROES) | \
	 BIT_OF(STORAGE_SECURE_ERASE))
#define ANY    (CHANGES | BIT_OF(STORAGE_READ) | BIT_OF(STORAGE_FLUSH) | BIT_OF(STORAGE_LIFETIME))
#define MS_MAX UINT64_C(86400000)

struct name {
	const char *name;
	unsigned value;
};

static const struct name kinds[] = {
	{"error", FAULTY_ERROR}, {"short", FAULTY_SHORT}, {"torn", FAULTY_TORN},
	{"lost", FAULTY_LOST},	 {"delay", FAULTY_DELAY}, {"hang", FAULTY_HANG},
};

static const struct name ops[] = {
	{"read", BIT_OF(STORAGE_READ)},
	{"write", BIT_OF(STORAGE_WRITE)},
	{"flush", BIT_OF(STORAGE_FLUSH)},
	{"discard", BIT_OF(STORAGE_DISCARD)},
	{"zeroes", BIT_OF(STORAGE_WRITE_ZEROES)},
	{"erase", BIT_OF(STORAGE_SECURE_ERASE)},
	{"lifetime", BIT_OF(STORAGE_LIFETIME)},
	{"change", CHANGES},
	{"any", ANY},
};

static const struct name errors[] = {
	{"none", 0},
	{"EIO", EIO},
	{"ENOSPC", ENOSPC},
	{"EDQUOT", EDQUOT},
	{"ENOMEM", ENOMEM},
	{"EROFS", EROFS},
	{"EPERM", EPERM},
	{"ENODEV", ENODEV},
	{"ENXIO", ENXIO},
	{"ENOLINK", ENOLINK},
	{"EREMOTEIO", EREMOTEIO},
	{"ETIMEDOUT", ETIMEDOUT},
	{"ENOTCONN", ENOTCONN},
	{"ESHUTDOWN", ESHUTDOWN},
	{"EOPNOTSUPP", EOPNOTSUPP},
};

static bool name_find(const struct name *list, size_t n, const char *text, unsigned *value)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(list[i].name, text)) {
			*value = list[i].value;
			return true;
		}
	return false;
}

static int names_refuse(const struct name *list, size_t n, const char *what, const char *text,
			struct error *err)
{
	char known[200] = "";

	for (size_t i = 0; i < n; i++)
		snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s",
			 i ? ", " : "", list[i].name);
	return error_set(err, -EINVAL, "faulty.rules: \"%s\" is no %s; there are %s.", text, what,
			 known);
}

/* ---- numbers of a rule ---- */

static const struct {
	const char *name;
	size_t at;
	bool size;
	uint64_t min, max;
} numbers[] = {
	{"offset", offsetof(struct faulty_rule, offset), true, 0, INT64_MAX},
	{"length", offsetof(struct faulty_rule, length), true, 1, INT64_MAX},
	{"after", offsetof(struct faulty_rule, after), false, 0, UINT64_MAX},
	{"times", offsetof(struct faulty_rule, times), false, 1, UINT64_MAX},
	{"percent", offsetof(struct faulty_rule, percent), false, 1, 100},
	{"from", offsetof(struct faulty_rule, from_ms), false, 0, MS_MAX},
	{"until", offsetof(struct faulty_rule, until_ms), false, 0, MS_MAX},
	{"ms", offsetof(struct faulty_rule, delay_ms), false, 0, MS_MAX},
};

static int number_take(struct faulty_rule *rule, size_t i, const char *text, struct error *err)
{
	uint64_t *field = (uint64_t *)(void *)((char *)rule + numbers[i].at), v;
	int rc = numbers[i].size ? size_parse(text, &v)
				 : number_parse(text, numbers[i].min, numbers[i].max, &v);

	if (rc || v < numbers[i].min || v > numbers[i].max)
		return error_set(err, -EINVAL, "faulty.rules: \"%s=%s\" cannot be: give a %s.",
				 numbers[i].name, text, numbers[i].size ? "size" : "number");
	*field = v;
	rule->placed |= numbers[i].size;
	return 0;
}

static int field_take(struct faulty_rule *rule, char *field, struct error *err)
{
	char *value = strchr(field, '=');
	unsigned number;

	if (!value)
		return error_set(err, -EINVAL, "faulty.rules: \"%s\" has no value.", field);
	*value++ = '\0';
	if (!strcmp(field, "op"))
		return name_find(ops, ARRAY_SIZE(ops), value, &rule->ops)
			       ? 0
			       : names_refuse(ops, ARRAY_SIZE(ops), "kind of request", value, err);
	if (!strcmp(field, "errno")) {
		if (!name_find(errors, ARRAY_SIZE(errors), value, &number))
			return names_refuse(errors, ARRAY_SIZE(errors), "error", value, err);
		rule->err = -(int)number;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (!strcmp(field, numbers[i].name))
			return number_take(rule, i, value, err);
	return error_set(err, -EINVAL,
			 "faulty.rules: a rule has no field \"%s\"; there are op, offset, length, "
			 "after, times, percent, from, until, errno, ms.",
			 field);
}

static unsigned ops_of(enum faulty_kind kind)
{
	switch (kind) {
	case FAULTY_SHORT:
		return BIT_OF(STORAGE_READ) | BIT_OF(STORAGE_WRITE);
	case FAULTY_TORN:
		return BIT_OF(STORAGE_WRITE);
	case FAULTY_LOST:
		return CHANGES | BIT_OF(STORAGE_FLUSH);
	default:
		return ANY;
	}
}

static int rule_parse(struct faulty_rule *rule, char *text, struct error *err)
{
	char *rest = text, *field = strsep(&rest, ":");
	unsigned kind;
	int rc = 0;

	if (!name_find(kinds, ARRAY_SIZE(kinds), field, &kind))
		return names_refuse(kinds, ARRAY_SIZE(kinds), "kind of fault", field, err);
	*rule = (struct faulty_rule){.kind = kind,
				     .ops = ANY,
				     .length = INT64_MAX,
				     .times = UINT64_MAX,
				     .percent = 100,
				     .until_ms = UINT64_MAX,
				     .err = -EIO};
	while (!rc && (field = strsep(&rest, ":")))
		rc = field_take(rule, field, err);
	if (rc)
		return rc;
	rule->ops &= ops_of(kind);
	if (!rule->ops)
		return error_set(err, -EINVAL, "faulty.rules: requests of that kind cannot be %s.",
				 text);
	if (kind == FAULTY_DELAY && !rule->delay_ms)
		return error_set(err, -EINVAL, "faulty.rules: a delay needs ms=N.");
	if (kind == FAULTY_LOST)
		rule->err = 0;
	return 0;
}

int faulty_rules_parse(struct faulty_rules *r, const char *text, uint32_t seed, struct error *err)
{
	char copy[TEXT_MAX], *rest = copy, *one;
	int rc = 0;

	*r = (struct faulty_rules){.random = (uint64_t)seed * 2654435761u + 1};
	if (strlen(text) >= sizeof(copy))
		return error_set(err, -EINVAL, "faulty.rules is longer than %d bytes.",
				 TEXT_MAX - 1);
	memcpy(copy, text, strlen(text) + 1);
	while (!rc && *text && (one = strsep(&rest, ";"))) {
		if (r->n == FAULTY_RULES_MAX)
			return error_set(err, -EINVAL, "faulty.rules has more than %d rules.",
					 FAULTY_RULES_MAX);
		rc = rule_parse(&r->rules[r->n++], one, err);
	}
	return rc;
}

uint32_t faulty_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t)(*state >> 16);
}

static bool rule_fits(const struct faulty_rule *rule, const struct storage_io *io, uint64_t ms)
{
	if (!(rule->ops & BIT_OF(io->op)) || ms < rule->from_ms || ms >= rule->until_ms)
		return false;
	return !rule->placed || (io->op != STORAGE_FLUSH && io->op != STORAGE_LIFETIME &&
				 ranges_overlap(io->offset, io->len, rule->offset, rule->length));
}

const struct faulty_rule *faulty_rules_meet(struct faulty_rules *r, const struct storage_io *io,
					    uint64_t ms)
{
	for (unsigned i = 0; i < r->n; i++) {
		struct faulty_rule *rule = &r->rules[i];

		if (!rule_fits(rule, io, ms) || rule->applied == rule->times)
			continue;
		if (rule->met++ < rule->after)
			continue;
		if (rule->percent < 100 && faulty_random(&r->random) % 100 >= rule->percent)
			continue;
		rule->applied++;
		return rule;
	}
	return NULL;
}
