/* SPDX-License-Identifier: MIT */
/*
 * The file that keeps the zones of a zoned disk: of each its condition and its write pointer.
 *
 *	byte 0	  header: what the zones are like; written once
 *	4096	  one word of eight bytes for each zone
 *	behind	  the same again, on other sectors
 *
 * A word is written in one piece, in both places, before whoever sent the request is told.  So it is
 * there when this program is killed at any instant.  When the host fails, a word is any of those since
 * the last sync of the file, and the sync is part of each flush.  A word has a check of its own, by
 * its place and the file's id, and a sector that was torn is found by it: then the second one counts.
 * If both are damaged the zone can be read, as a whole, and is never written again, but by a new file.
 *
 * Threads: one at a time (the disk's lock).  Writes 16 bytes to a file on this host at a time; it must
 * not be on a network, since a worker waits for it.
 */
#ifndef STORAGE_LAYER_ZONE_STATE_H
#define STORAGE_LAYER_ZONE_STATE_H

#include "base/endian.h"
#include "storage/layer/zone_map.h"

#include <sys/types.h>

#define ZONE_STATE_WORDS UINT64_C(4096) /* where they begin */

struct zone_state_header {
	char magic[8]; /* ZONE_STATE_MAGIC */
	le32 version;  /* 1 */
	le32 check;    /* of what follows */
	le64 id;
	le64 disk_size;
	le64 zone_size;
	le64 capacity;
	le32 conventional;
	le32 zero;
};
#define ZONE_STATE_MAGIC "RINGZON\n"

struct zone_state {
	int fd; /* -1: nothing is kept */
	uint64_t id;
	uint32_t n;
	/* pwrite(); a test has another. */
	ssize_t (*write)(int fd, const void *buf, size_t len, off_t at);
};

/* Makes the file for @t if there is none.  -EEXIST: there is one.  Waits for the disk. */
int zone_state_make(const char *path, const struct zone_map *t, struct error *err);
/*
 * Opens it, and sets @t as it says.  -EINVAL: it is not of such a disk, or of another version.
 * *damaged: how many zones cannot be written any more.
 */
int zone_state_open(struct zone_state *st, const char *path, bool readonly, struct zone_map *t,
		    uint32_t *damaged, struct error *err);
void zone_state_close(struct zone_state *st);

/* 0 or -errno: perhaps one of the two places has the new word then. */
int zone_state_store(const struct zone_state *st, uint32_t i, uint8_t condition, uint64_t wp);

#endif
