/* SPDX-License-Identifier: MIT */
/*
 * A disk as people write it: `--disk file=vm.raw,readonly=on,serial=abc`, in the manner of QEMU.
 *
 * A first word without "=" is the file; so is one that begins with a scheme ("nbd://"), whatever
 * else is in it.  The file decides which engine of src/storage holds the bytes, and each engine has
 * a table of its own options, and so does each layer that may be put on any of them
 * ("throttle.iops=500").  The device in front has another, by its kind.  So a word is taken
 * where somebody obeys it, and refused everywhere else, never ignored.
 *
 * To add a device's option: a field here and a line in a table of spec.c.  An engine's: a field in
 * struct storage_options and a line in the engine's table.  Help, sentences and their tests follow
 * from the tables.
 */
#ifndef DISK_SPEC_H
#define DISK_SPEC_H

#include "base/error.h"
#include "base/words.h"
#include "storage/storage.h"

#define DISK_SERIAL_MAX	    20
#define DISK_QUEUES_MAX	    256
#define DISK_QUEUE_SIZE_MAX 32768

/* The devices that a disk may be; each takes some of the words. */
enum disk_kind {
	DISK_VIRTIO,
	DISK_IDE,
	DISK_SCSI,
};

struct disk_spec {
	char *file;   /* never NULL after a parse; owned                           */
	char *serial; /* NULL: none given; at most DISK_SERIAL_MAX bytes; owned    */
	struct storage_options storage; /* its target is @file                       */

	/* Of the device. */
	uint16_t queues;
	uint16_t queue_size; /* largest ring to take, 0: any                            */
	bool packed;	     /* offer the packed layout                                   */
	bool event_idx;	     /* offer the event index                                     */
	bool wce;	     /* the write cache starts switched on                        */
};

/*
 * A virtio-blk disk.  0, or -EINVAL and a sentence that says what is allowed; then there is nothing
 * to fini.
 */
int disk_spec_parse(const char *text, struct disk_spec *spec, struct error *err);
/*
 * A disk of that kind, with words of the card that it is on: @card may be NULL.  On failure its
 * fields may have been set.
 */
int disk_spec_parse_as(enum disk_kind kind, const char *text, const struct words_for *card,
		       struct disk_spec *spec, struct error *err);
/* Harmless when zeroed or done before. */
void disk_spec_fini(struct disk_spec *spec);

/* The words of a device. */
const struct words_table *disk_device_words(enum disk_kind kind);

/* Every word of a virtio-blk disk with its values, one a line: the engines', the device's, the
 * layers'. */
void disk_spec_help(FILE *out);

#endif
