/* SPDX-License-Identifier: MIT */
/*
 * What becomes known of the cases, written down: as TAP, as JSON or as text for people.  TAP and
 * text appear line by line, JSON at the end.
 *
 * In TAP a broken practice is a "not ok" with a TODO directive: shown, and not
 * counted as a failure.
 */
#ifndef CONFORM_REPORT_H
#define CONFORM_REPORT_H

#include "conform/trial.h"

#include <jansson.h>
#include <stdio.h>

enum report_format {
	REPORT_TEXT,
	REPORT_TAP,
	REPORT_JSON,
};

struct report {
	enum report_format format;
	FILE *out;
	const char *target;
	const struct case_table *table; /* of the last case: text has a heading for each */
	json_t *cases;
	unsigned number;
	unsigned passed, skipped;
	unsigned failed[LEVEL_PRACTICE + 1];
};

void report_begin(struct report *r, enum report_format format, FILE *out, const char *target,
		  unsigned cases);
void report_case(struct report *r, const struct case_table *table, const struct trial *t);
/* @gone: the back end could not be reached any more. */
void report_end(struct report *r, bool gone);

const char *level_name(enum level level);

#endif
