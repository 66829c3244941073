/* SPDX-License-Identifier: MIT */
/*
 * The target "local:DISK": our own device in this very process, behind a vhost-user socket in a
 * private folder.  The socket carries the set-up only; rings and data are shared memory, as with
 * any back end.
 */
#ifndef CLI_LOCAL_H
#define CLI_LOCAL_H

#include "base/error.h"

#include <stdbool.h>

struct local;

bool local_is(const char *target);

/*
 * Serves what "local:DISK" names (the words of --disk) on a thread of its own.  @uri is the target
 * to use instead, valid until local_stop().
 */
int local_start(const char *target, struct local **out, const char **uri, struct error *err);
/* Drains it and removes what it made.  NULLs *local; harmless when NULL. */
void local_stop(struct local **local);

#endif
