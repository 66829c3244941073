/* SPDX-License-Identifier: MIT */
#include "conformance/catalogue.h"

#include <stdio.h>
#include <string.h>

int catalogue_print(const struct mutation_words *mutations, size_t n, bool table, const char *who)
{
	if (table)
		printf("| case | mutation | what the %s does wrong |\n|---|---|---|\n", who);
	for (size_t i = 1; i < n; i++)
		printf(table ? "| %s | %s | %s |\n" : "%s\t%s\t%s\n",
		       table ? mutations[i].where : mutations[i].name,
		       table ? mutations[i].name : mutations[i].where, mutations[i].what);
	return fflush(stdout) ? 1 : 0;
}

size_t catalogue_find(const struct mutation_words *mutations, size_t n, const char *name)
{
	for (size_t i = 1; i < n; i++)
		if (!strcmp(mutations[i].name, name))
			return i;
	return 0;
}
