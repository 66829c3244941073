/* SPDX-License-Identifier: MIT */
/*
 * A disk as people write it: `--disk file=vm.raw,readonly=on,serial=abc`, in the manner of QEMU.
 *
 * Keys and values are split by commas; a literal comma is written twice.  A first word without "="
 * is the file.  What is not understood is refused, never ignored.  Some words speak of the storage,
 * others of the device in front of it; here they all are plain data.
 */
#ifndef STORAGE_SPEC_H
#define STORAGE_SPEC_H

#include "base/error.h"
#include "storage/storage.h"

#define DISK_SERIAL_MAX	    20
#define DISK_QUEUES_MAX	    256
#define DISK_QUEUE_SIZE_MAX 32768

struct disk_spec {
	char *file;   /* never NULL after a parse; owned                           */
	char *serial; /* NULL: none given; at most DISK_SERIAL_MAX bytes; owned    */
	bool readonly;
	bool direct;	     /* cache=none                                                */
	bool threads;	     /* aio=threads                                               */
	bool ignore_discard; /* discard=ignore                                            */
	bool no_lock;	     /* locking=off                                               */

	struct storage_geometry geometry; /* blk-size and its kin                        */

	/* Of the device. */
	uint16_t queues;
	uint16_t queue_size; /* largest ring to take, 0: any                            */
	bool packed;	     /* offer the packed layout                                   */
	bool event_idx;	     /* offer the event index                                     */
	bool wce;	     /* the write cache starts switched on                        */
};

/* 0, or -EINVAL and a sentence that says what is allowed; then there is nothing to fini. */
int disk_spec_parse(const char *text, struct disk_spec *spec, struct error *err);
/* Harmless when zeroed or done before. */
void disk_spec_fini(struct disk_spec *spec);

/* Points into @spec. */
struct storage_options disk_spec_storage(const struct disk_spec *spec);

/* For help texts: every key with its values, one a line, and the defaults. */
extern const char disk_spec_help[];

#endif
