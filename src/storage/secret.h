/* SPDX-License-Identifier: MIT */
/*
 * Files with keys in them: one that others can read keeps no secret, and is refused rather than
 * used, as ssh does.
 *
 * Threads: any; may wait for the file system.
 */
#ifndef STORAGE_SECRET_H
#define STORAGE_SECRET_H

#include "base/error.h"

/* 0: it is there and for its owner alone.  @what: "the key", for the sentence. */
int secret_check(const char *path, const char *what, struct error *err);
/*
 * The value of @name in the query of an URI, decoded: NULL: there is none, or no memory.  The
 * caller frees it.
 */
char *uri_query(const char *uri, const char *name);

#endif
