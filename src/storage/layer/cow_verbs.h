/* SPDX-License-Identifier: MIT */
/*
 * What is done to an overlay that no guest uses: `ringside cow`.
 *
 * A commit writes what is in the overlay into its base.  In this order, each step stable before the
 * next one begins:
 *
 *	the header says COW_COMMITTING -> data and zeroes are written -> the base is flushed -> the
 *	overlay is emptied
 *
 * Until the last step base and overlay together are the disk as it was, whatever part of it is in
 * the base, since all of that is in the overlay, too.  So a commit that was interrupted is done once
 * more from the start.  Meanwhile nobody may use the base, least of all under another overlay: an
 * overlay that says COW_COMMITTING is refused to guests, and other overlays see that the base has
 * changed.
 *
 * Threads: the caller's, which waits.
 */
#ifndef STORAGE_LAYER_COW_VERBS_H
#define STORAGE_LAYER_COW_VERBS_H

#include "storage/layer/cow_file.h"

struct cow_progress {
	/* Before each step; false: it shall stop there.  Optional. */
	bool (*go_on)(struct cow_progress *p);
	uint64_t data, zeroes; /* bytes that are in the base */
};

/*
 * @o are a disk's options, an overlay among them.  An overlay in which nothing is, is no error.
 * -ECANCELED: it was to stop.
 */
int cow_commit(const struct storage_options *o, struct cow_progress *p, struct error *err);
/* Empties an overlay.  -EUCLEAN: its commit was interrupted, so its base needs it. */
int cow_discard(const char *path, struct error *err);
/* The disk's base is what the overlay was begun on, whatever its time says. */
int cow_rebase(const struct storage_options *o, struct error *err);

struct cow_facts {
	bool blank; /* then there is nothing else to tell */
	struct cow_header header;
	uint64_t disk_size;
	uint64_t data, zeroes; /* bytes */
};
int cow_look(const char *path, struct cow_facts *facts, struct error *err);

#endif
