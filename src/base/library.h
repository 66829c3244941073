/* SPDX-License-Identifier: MIT */
/*
 * Libraries that are loaded when they are needed: a program without what they are for wants neither
 * them nor what they bring, and one that is linked statically cannot have them.  The build needs
 * their headers alone.  Once loaded they stay, as they may have threads.
 *
 * Threads: any.
 */
#ifndef BASE_LIBRARY_H
#define BASE_LIBRARY_H

#include "base/error.h"

#include <stddef.h>

struct library {
	const char *file;    /* "libnbd.so.0"                    */
	const char *package; /* that has it                      */
	const char *needs;   /* who does, for the sentence: "NBD needs" */
};

/* A function of it, and where its address goes. */
struct library_call {
	const char *name;
	size_t at;
};

#define LIBRARY_CALL(type, call) {#call, offsetof(type, call)},

/* Fills the struct of pointers at @calls.  0, or -ENOENT and a sentence. */
int library_load(const struct library *l, const struct library_call *list, size_t n, void *calls,
		 struct error *err);

#endif
