/* SPDX-License-Identifier: MIT */
/* What may be asked of the disks of a running program, over its control socket.  Control thread. */
#ifndef CLI_DISK_VERBS_H
#define CLI_DISK_VERBS_H

#include "storage/storage.h"

#include <jansson.h>

/*
 *	set DISK OPTIONS    storage_set_options()
 *	resume DISK	    storage_resume()
 *
 * The answer; NULL: @err says why not, or nothing: there is no such request.
 */
json_t *disk_verb(const struct storage_set *set, const char *request, const json_t *arguments,
		  struct error *err);

/* The state of each of a disk's layers, by its name; the caller's. */
json_t *disk_layers(const struct storage *s);

#endif
