/* SPDX-License-Identifier: MIT */
/* One request: which verb, are its parameters right, its answer. */
#include "base/bits.h"
#include "control/peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- answers ---- */

static void call_free(struct control_call *call)
{
	if (call->peer)
		call->peer->call = NULL;
	json_decref(call->params);
	json_decref(call->id);
	free(call);
}

void control_reply(struct control_call *call, json_t *result)
{
	struct control_peer *p = call->peer;

	if (p && call->id)
		control_peer_say(p, json_pack("{ss so sO}", "jsonrpc", "2.0", "result", result,
					      "id", call->id));
	else
		json_decref(result);
	call_free(call);
}

static void call_object(struct control_call *call, int code, const char *sentence)
{
	if (call->peer && call->id)
		control_peer_object(call->peer, code, call->id, sentence);
	call_free(call);
}

void control_refuse(struct control_call *call, const struct error *err)
{
	call_object(call, CONTROL_REFUSED, err->text);
}

/* ---- parameters ---- */

const char *control_string(const struct control_call *call, const char *name)
{
	return json_string_value(json_object_get(call->params, name));
}

bool control_flag(const struct control_call *call, const char *name)
{
	return json_is_true(json_object_get(call->params, name));
}

static const char *const type_names[] = {
	[CONTROL_STRING] = "a string",
	[CONTROL_NUMBER] = "a number that is not negative",
	[CONTROL_BOOL] = "true or false",
	[CONTROL_STRINGS] = "an array of strings",
};

static bool param_is_right(const struct control_param *param, const json_t *value)
{
	switch (param->type) {
	case CONTROL_STRING:
		return json_is_string(value);
	case CONTROL_NUMBER:
		return json_is_integer(value) && json_integer_value(value) >= 0;
	case CONTROL_BOOL:
		return json_is_boolean(value);
	case CONTROL_STRINGS:
		for (size_t i = 0; i < json_array_size(value); i++)
			if (!json_is_string(json_array_get(value, i)))
				return false;
		return json_array_size(value);
	}
	return false;
}

static const struct control_param *param_find(const struct control_verb *verb, const char *name)
{
	for (const struct control_param *p = verb->params; p && p->name; p++)
		if (!strcmp(p->name, name))
			return p;
	return NULL;
}

/* Parameters by their places, as an object; NULL: there are too many, or no memory. */
static json_t *params_named(const struct control_verb *verb, const json_t *given)
{
	const struct control_param *p = verb->params;
	json_t *named = json_object();

	for (size_t i = 0; i < json_array_size(given); i++, p++) {
		if (!p || !p->name) {
			json_decref(named);
			return NULL;
		}
		json_object_set(named, p->name, json_array_get(given, i));
	}
	return named;
}

/* Takes over @params, which becomes the call's: 0 or -EINVAL and a sentence. */
static int params_take(struct control_call *call, json_t *params, struct error *err)
{
	const struct control_verb *verb = call->verb;
	const char *name;
	json_t *value;

	if (json_is_array(params)) {
		json_t *named = params_named(verb, params);

		json_decref(params);
		params = named;
		if (!params)
			return error_set(err, -EINVAL, "%s has fewer parameters.", verb->name);
	} else if (!params) {
		params = json_object();
	}
	call->params = params;
	if (!json_is_object(params))
		return error_set(err, -EINVAL, "params is an object or an array.");
	json_object_foreach(params, name, value)
	{
		const struct control_param *p = param_find(verb, name);

		if (!p)
			return error_set(err, -EINVAL, "%s has no parameter \"%.60s\".", verb->name,
					 name);
		if (!param_is_right(p, value))
			return error_set(err, -EINVAL, "%s of %s is %s.", name, verb->name,
					 type_names[p->type]);
	}
	for (const struct control_param *p = verb->params; p && p->name; p++)
		if (!p->optional && !json_object_get(params, p->name))
			return error_set(err, -EINVAL, "%s needs %s, %s.", verb->name, p->name,
					 p->text);
	return 0;
}

/* ---- requests ---- */

static const struct control_verb *verb_find(const struct control *c, const char *name)
{
	const struct control_verb *verb;

	for (size_t i = 0; (verb = control_verb_at(c, i)); i++)
		if (!strcmp(verb->name, name))
			return verb;
	return NULL;
}

static void call_no_verb(struct control_call *call, const char *name)
{
	const struct control *c = call->peer->socket->control;
	const struct control_verb *verb;
	char text[1024];
	size_t n;

	n = (size_t)snprintf(text, sizeof(text), "there is no \"%.60s\" here; there is ", name);
	for (size_t i = 0; (verb = control_verb_at(c, i)) && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i ? ", " : "",
				      verb->name);
	call_object(call, CONTROL_NO_VERB, text);
}

static bool id_is_right(const json_t *id)
{
	return !id || json_is_string(id) || json_is_number(id) || json_is_null(id);
}

/* What is wrong with the envelope; NULL: nothing. */
static const char *asked_wrongly(const json_t *asked)
{
	static const char *const members[] = {"jsonrpc", "method", "params", "id"};
	const char *version = json_string_value(json_object_get(asked, "jsonrpc"));
	const char *key;
	json_t *value;

	if (json_is_array(asked))
		return "one request a line; batches are not taken";
	if (!json_is_object(asked))
		return "a request is an object: {\"jsonrpc\": \"2.0\", \"method\": \"tree\", "
		       "\"id\": 1} would be one";
	if (!version || strcmp(version, "2.0"))
		return "a request has a member \"jsonrpc\", which is \"2.0\"";
	if (!json_is_string(json_object_get(asked, "method")))
		return "a request has a member \"method\", a string";
	if (!id_is_right(json_object_get(asked, "id")))
		return "\"id\" is a string or a number";
	json_object_foreach((json_t *)(uintptr_t)asked, key, value)
	{
		size_t i = 0;

		while (i < ARRAY_SIZE(members) && strcmp(key, members[i]) != 0)
			i++;
		if (i == ARRAY_SIZE(members))
			return "a request has the members jsonrpc, method, params, id and no "
			       "others";
	}
	return NULL;
}

static void call_run(struct control_call *call)
{
	struct control_socket *s = call->peer->socket;

	if (call->verb->changes && s->reads)
		call_object(call, CONTROL_REFUSED, "this socket is for reading");
	else
		call->verb->run(call);
}

void control_call_begin(struct control_peer *p, json_t *asked)
{
	const char *wrong = asked_wrongly(asked);
	const char *method = json_string_value(json_object_get(asked, "method"));
	struct control_call *call;
	struct error err;

	if (wrong) {
		const json_t *id = json_object_get(asked, "id");

		control_peer_object(p, CONTROL_NO_REQUEST, id_is_right(id) ? id : NULL, wrong);
		json_decref(asked);
		return;
	}
	call = calloc(1, sizeof(*call));
	if (!call) {
		p->broken = true;
		json_decref(asked);
		return;
	}
	p->call = call;
	call->peer = p;
	call->control = p->socket->control;
	call->id = json_incref(json_object_get(asked, "id"));
	call->verb = verb_find(call->control, method);
	if (!call->verb)
		call_no_verb(call, method);
	else if (params_take(call, json_incref(json_object_get(asked, "params")), &err))
		call_object(call, CONTROL_BAD_PARAMS, err.text);
	else
		call_run(call);
	json_decref(asked);
}
