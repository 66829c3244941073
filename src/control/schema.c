/* SPDX-License-Identifier: MIT */
/* The verbs that every program has: what there is to ask for, and events. */
#include "base/bits.h"
#include "control/peer.h"

static const char *const type_words[] = {
	[CONTROL_STRING] = "string",
	[CONTROL_NUMBER] = "number",
	[CONTROL_BOOL] = "boolean",
	[CONTROL_STRINGS] = "strings",
};

static json_t *schema_params(const struct control_verb *verb)
{
	json_t *all = json_array();

	for (const struct control_param *p = verb->params; p && p->name; p++)
		json_array_append_new(all, json_pack("{ss ss sb sb ss}", "name", p->name, "type",
						     type_words[p->type], "optional", p->optional,
						     "option", p->option, "text", p->text));
	return all;
}

static void schema_run(struct control_call *call)
{
	const struct control *c = call->control;
	const struct control_verb *verb;
	json_t *all = json_array();

	for (size_t i = 0; (verb = control_verb_at(c, i)); i++)
		json_array_append_new(all, json_pack("{ss ss sb sb so}", "name", verb->name, "text",
						     verb->text, "changes", verb->changes, "slow",
						     verb->slow, "params", schema_params(verb)));
	control_reply(call, json_pack("{ss ss so}", "program", "ringside", "version",
				      RINGSIDE_VERSION, "verbs", all));
}

static void events_run(struct control_call *call)
{
	call->peer->subscribed = true;
	control_reply(call, json_true());
}

static const struct control_verb control_verbs[] = {
	{.name = "events", .text = "tells what happens, from now on", .run = events_run},
	{.name = "schema", .text = "all verbs and their parameters", .run = schema_run},
};

const struct control_verb *control_verb_at(const struct control *c, size_t i)
{
	size_t n = 0;

	while (c->verbs[n]) {
		if (n == i)
			return c->verbs[n];
		n++;
	}
	return i - n < ARRAY_SIZE(control_verbs) ? &control_verbs[i - n] : NULL;
}
