/* SPDX-License-Identifier: MIT */
#include "cli/instance.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

json_t *instance_layers(const struct storage *s)
{
	json_t *states = json_object();

	for (; storage_below(s); s = storage_below(s)) {
		char state[300];

		storage_describe(s, state, sizeof(state));
		json_object_set_new(states, storage_kind(s), json_string(state));
	}
	return states;
}

void instance_answer(struct control_call *call, json_t *result, const struct error *err)
{
	if (result)
		control_reply(call, result);
	else
		control_refuse(call, err);
}

/* The disk that the call is about; NULL and a sentence. */
static struct storage *instance_disk(const struct control_call *call, struct error *err)
{
	const char *name = control_string(call, "name");
	struct storage *s = storage_find(instance_of(call)->storages, name);

	if (!s)
		error_set(err, -ENOENT, "there is no disk %s; the tree has their names, as path.",
			  name);
	return s;
}

/* Joined by commas, as on the command line; the caller's. */
static char *joined(const json_t *words)
{
	size_t n = 1, at = 0;
	char *text;

	for (size_t i = 0; i < json_array_size(words); i++)
		n += json_string_length(json_array_get(words, i)) + 1;
	text = malloc(n);
	for (size_t i = 0; text && i < json_array_size(words); i++) {
		const json_t *word = json_array_get(words, i);

		if (i)
			text[at++] = ',';
		memcpy(text + at, json_string_value(word), json_string_length(word));
		at += json_string_length(word);
	}
	if (text)
		text[at] = '\0';
	return text;
}

static void run_set(struct control_call *call)
{
	struct error err = {"out of memory"};
	struct storage *s = instance_disk(call, &err);
	char *options = s ? joined(json_object_get(call->params, "options")) : NULL;
	json_t *states = NULL;

	if (options && !storage_set_options(s, options, &err)) {
		states = instance_layers(s);
		control_event(call->control, "disk-set",
			      json_pack("{sO ss}", "name", json_object_get(call->params, "name"),
					"options", options));
	}
	free(options);
	instance_answer(call, states, &err);
}

static void run_resume(struct control_call *call)
{
	struct error err;
	struct storage *s = instance_disk(call, &err);
	json_int_t n = s ? (json_int_t)storage_resume(s) : 0;

	if (s)
		control_event(call->control, "disk-resumed",
			      json_pack("{sO sI}", "name", json_object_get(call->params, "name"),
					"requests", n));
	instance_answer(call, s ? json_pack("{sI}", "resumed", n) : NULL, &err);
}

static void run_stop(struct control_call *call)
{
	struct instance *in = instance_of(call);

	control_event(call->control, "stopping", NULL);
	control_reply(call, json_true());
	in->stop(in);
}

static const struct control_param set_params[] = {
	INSTANCE_DISK,
	{.name = "options", .type = CONTROL_STRINGS, .text = "KEY=VALUE of its layers"},
	{0},
};
static const struct control_param disk_params[] = {INSTANCE_DISK, {0}};

const struct control_verb instance_set = {
	.name = "set",
	.text = "new values for options of a disk's layers: throttle.iops=500",
	.changes = true,
	.params = set_params,
	.run = run_set,
};
const struct control_verb instance_resume = {
	.name = "resume",
	.text = "what a disk holds until somebody says so goes on",
	.changes = true,
	.params = disk_params,
	.run = run_resume,
};
const struct control_verb instance_stop = {
	.name = "stop",
	.text = "ends the program, as SIGTERM does",
	.changes = true,
	.run = run_stop,
};
