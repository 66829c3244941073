/* SPDX-License-Identifier: MIT */
/*
 * What a conformance case is, and how its verdict comes about.
 *
 * A case is a function that is given a trial: a fresh connection to the back end, fresh memory, and
 * nothing else.  It ends by returning (the rule is kept), by trial_fail() (it is broken) or by
 * trial_skip() (it cannot be tested here).  The last two do not return: they jump back to the
 * runner, which frees whatever the trial holds; so a case owns nothing outside of its trial.
 *
 * Threads: one.
 */
#ifndef CONFORM_CASE_H
#define CONFORM_CASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum level {
	LEVEL_MUST, /* the standard's or the protocol document's MUST; breaking it fails the run */
	LEVEL_SHOULD,	/* their SHOULD */
	LEVEL_PRACTICE, /* in no document; what robust back ends do */
};

/* What a case needs beyond a back end that answers. */
#define CASE_WRITES \
	1u /* writes to the disk: only with --allow-writes, and what it overwrites is put back */

struct trial;

struct conform_case {
	const char *id;	     /* requirement, a full stop, what of it: "VQ-D-07.notify"         */
	const char *section; /* "virtio 2.7.7.2", "vhost-user, Ring states"                    */
	enum level level;
	unsigned needs;
	const char *rule; /* one sentence */
	void (*run)(struct trial *t);
};

/* What has to carry the virtio bus for a table's cases to make sense. */
enum carried_by {
	BY_ANY,
	BY_VHOST_USER,
	BY_PCI,
};

struct case_table {
	const char *title;
	const struct conform_case *cases;
	size_t n;
	enum carried_by by;
};

/* Every case there is, in the order in which they run; ends with NULL. */
extern const struct case_table *const case_tables[];

/* The rule is broken. @expected: what should have been; @fmt: what was instead. */
_Noreturn void trial_fail(struct trial *t, const char *expected, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The rule cannot be tested, and why. */
_Noreturn void trial_skip(struct trial *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* What is being sent at present; stands in the evidence. */
void trial_sent(struct trial *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
