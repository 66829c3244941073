/* SPDX-License-Identifier: MIT */
#include "conform/report.h"

#include <string.h>

const char *level_name(enum level level)
{
	static const char *const names[] = {"MUST", "SHOULD", "practice"};

	return names[level];
}

void report_begin(struct report *r, enum report_format format, FILE *out, const char *target,
		  unsigned cases)
{
	memset(r, 0, sizeof(*r));
	r->format = format;
	r->out = out;
	r->target = target;
	if (format == REPORT_JSON)
		r->cases = json_array();
	else if (format == REPORT_TAP)
		fprintf(out, "TAP version 13\n1..%u\n", cases);
}

static void evidence(struct report *r, const char *before, const struct trial *t)
{
	if (*t->sent)
		fprintf(r->out, "%ssent:     %s\n", before, t->sent);
	fprintf(r->out, "%sexpected: %s\n", before, t->expected);
	fprintf(r->out, "%sgot:      %s\n", before, t->got);
}

static void tap(struct report *r, const struct trial *t)
{
	const struct conform_case *c = t->c;

	fprintf(r->out, "%s %u - %s %s (%s, %s)", t->outcome == OUTCOME_FAILED ? "not ok" : "ok",
		r->number, c->id, c->rule, level_name(c->level), c->section);
	if (t->outcome == OUTCOME_SKIPPED)
		fprintf(r->out, " # SKIP %s", t->got);
	else if (t->outcome == OUTCOME_FAILED && c->level != LEVEL_MUST)
		fprintf(r->out, " # TODO %s, no MUST", level_name(c->level));
	fputc('\n', r->out);
	if (t->outcome == OUTCOME_FAILED)
		evidence(r, "# ", t);
}

static void text(struct report *r, const struct case_table *table, const struct trial *t)
{
	const struct conform_case *c = t->c;

	if (table != r->table)
		fprintf(r->out, "%s%s\n", r->table ? "\n" : "", table->title);
	switch (t->outcome) {
	case OUTCOME_OK:
		fprintf(r->out, "  ok    %-28s %s\n", c->id, c->rule);
		break;
	case OUTCOME_SKIPPED:
		fprintf(r->out, "  skip  %-28s %s\n", c->id, t->got);
		break;
	case OUTCOME_FAILED:
		fprintf(r->out, "  %-5s %-28s %s\n", c->level == LEVEL_MUST ? "FAIL" : "weak",
			c->id, c->rule);
		fprintf(r->out, "          rule:     %s, %s\n", level_name(c->level), c->section);
		evidence(r, "          ", t);
		break;
	}
}

static void add(json_t *o, const char *key, const char *value)
{
	json_t *string = json_string(value);

	/* Not UTF-8: a device's own words, perhaps. */
	json_object_set_new(o, key, string ? string : json_string("(not text)"));
}

static void json(struct report *r, const struct trial *t)
{
	static const char *const outcomes[] = {"ok", "failed", "skipped"};
	json_t *o = json_object();

	add(o, "id", t->c->id);
	add(o, "section", t->c->section);
	add(o, "level", level_name(t->c->level));
	add(o, "rule", t->c->rule);
	add(o, "outcome", outcomes[t->outcome]);
	if (t->outcome == OUTCOME_SKIPPED)
		add(o, "why", t->got);
	if (t->outcome == OUTCOME_FAILED) {
		add(o, "sent", t->sent);
		add(o, "expected", t->expected);
		add(o, "got", t->got);
	}
	json_array_append_new(r->cases, o);
}

void report_case(struct report *r, const struct case_table *table, const struct trial *t)
{
	r->number++;
	if (t->outcome == OUTCOME_OK)
		r->passed++;
	else if (t->outcome == OUTCOME_SKIPPED)
		r->skipped++;
	else
		r->failed[t->c->level]++;
	if (r->format == REPORT_TAP)
		tap(r, t);
	else if (r->format == REPORT_TEXT)
		text(r, table, t);
	else
		json(r, t);
	r->table = table;
	fflush(r->out);
}

static void json_end(struct report *r, bool gone)
{
	json_t *o = json_object();
	json_t *sum = json_object();

	add(o, "tool", "ringside conform " RINGSIDE_VERSION);
	add(o, "target", r->target);
	json_object_set_new(o, "cases", r->cases);
	json_object_set_new(sum, "ok", json_integer(r->passed));
	json_object_set_new(sum, "skipped", json_integer(r->skipped));
	json_object_set_new(sum, "must_broken", json_integer(r->failed[LEVEL_MUST]));
	json_object_set_new(sum, "should_broken", json_integer(r->failed[LEVEL_SHOULD]));
	json_object_set_new(sum, "practice_broken", json_integer(r->failed[LEVEL_PRACTICE]));
	json_object_set_new(sum, "complete", json_boolean(!gone));
	json_object_set_new(o, "summary", sum);
	json_dumpf(o, r->out, JSON_INDENT(2));
	fputc('\n', r->out);
	json_decref(o);
}

void report_end(struct report *r, bool gone)
{
	const char *before = r->format == REPORT_TAP ? "# " : "";

	if (r->format == REPORT_JSON) {
		json_end(r, gone);
		return;
	}
	if (r->format == REPORT_TEXT)
		fputc('\n', r->out);
	fprintf(r->out,
		"%s%u cases: %u kept, %u skipped; broken: %u MUST, %u SHOULD, %u of practice\n",
		before, r->number, r->passed, r->skipped, r->failed[LEVEL_MUST],
		r->failed[LEVEL_SHOULD], r->failed[LEVEL_PRACTICE]);
	if (gone && r->number)
		fprintf(r->out,
			"%sthe back end went away and nothing started it again (--respawn)\n",
			before);
}
