/* SPDX-License-Identifier: MIT */
/*
 * A program's own functions, with names that the library uses inside.  Linked with the archive the names must neither clash nor be taken
 * for the library's: each of these ends the program.
 */
#include <stdlib.h>

int error_set(void);
int reactor_create(void);
int gmem_at(void);
int log_line(void);

int error_set(void)
{
	abort();
}

int reactor_create(void)
{
	abort();
}

int gmem_at(void)
{
	abort();
}

int log_line(void)
{
	abort();
}
