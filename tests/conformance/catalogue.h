/* SPDX-License-Identifier: MIT */
/* The mutations of a mutant, as people and the test that runs them all read them. */
#ifndef CONFORMANCE_CATALOGUE_H
#define CONFORMANCE_CATALOGUE_H

#include <stdbool.h>
#include <stddef.h>

struct mutation_words {
	const char *name, *where, *what; /* @where: the case that has to find it */
};

/*
 * All but the first of @n, which is none: a line each, or as a table for people about @who.
 * Returns an exit status.
 */
int catalogue_print(const struct mutation_words *mutations, size_t n, bool table, const char *who);
/* Its number; 0: there is none of that name. */
size_t catalogue_find(const struct mutation_words *mutations, size_t n, const char *name);

#endif
