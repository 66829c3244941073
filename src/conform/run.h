/* SPDX-License-Identifier: MIT */
/*
 * Runs the cases against a back end, one fresh connection each, looks after the back end's health
 * behind each, and tells a report.
 *
 * Threads: one.
 */
#ifndef CONFORM_RUN_H
#define CONFORM_RUN_H

#include "base/error.h"
#include "conform/report.h"
#include "conform/trial.h"

/*
 * Whether the target can have such cases, and --only and --skip let this one run.  Without a
 * target: whatever it is.
 */
bool conform_selected(const struct conform_options *o, const struct case_table *table,
		      const struct conform_case *c);

/**
 * conform_run() - every selected case
 *
 * Return: 0 - they ran, the report tells how they went; -errno - the back end could not be reached
 * to begin with, or went away and stayed away (the report then has skips in it).
 */
int conform_run(const struct conform_options *o, struct report *report, struct error *err);

#endif
