/* SPDX-License-Identifier: MIT */
#include "cli/disk_verbs.h"

#include <errno.h>
#include <string.h>

json_t *disk_layers(const struct storage *s)
{
	json_t *states = json_object();

	for (; storage_below(s); s = storage_below(s)) {
		char state[300];

		storage_describe(s, state, sizeof(state));
		json_object_set_new(states, storage_kind(s), json_string(state));
	}
	return states;
}

static json_t *verb_set(struct storage *s, const char *options, struct error *err)
{
	return storage_set_options(s, options, err) ? NULL : disk_layers(s);
}

static json_t *verb_resume(struct storage *s, const char *none, struct error *err)
{
	(void)none;
	(void)err;
	return json_pack("{sI}", "resumed", (json_int_t)storage_resume(s));
}

static const struct {
	const char *name;
	size_t arguments;
	const char *usage;
	json_t *(*answer)(struct storage *s, const char *argument, struct error *err);
} verbs[] = {
	{"set", 2, "a disk and options of its layers", verb_set},
	{"resume", 1, "a disk", verb_resume},
};

json_t *disk_verb(const struct storage_set *set, const char *request, const json_t *arguments,
		  struct error *err)
{
	const char *disk = json_string_value(json_array_get(arguments, 0));
	const char *argument = json_string_value(json_array_get(arguments, 1));
	struct storage *s;
	size_t i = 0;

	while (i < ARRAY_SIZE(verbs) && strcmp(request, verbs[i].name) != 0)
		i++;
	if (i == ARRAY_SIZE(verbs))
		return NULL;
	if (json_array_size(arguments) != verbs[i].arguments) {
		error_set(err, -EINVAL, "%s needs %s.", request, verbs[i].usage);
		return NULL;
	}
	s = storage_find(set, disk);
	if (!s) {
		error_set(err, -ENOENT, "there is no disk %s; the tree has their names, as path.",
			  disk);
		return NULL;
	}
	return verbs[i].answer(s, argument, err);
}
