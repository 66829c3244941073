/* SPDX-License-Identifier: MIT */
/*
 * The overlay of a disk, as a file or block device: what stands in it where, how it comes into
 * being, and how it is emptied.
 *
 *	0         the header, a sector
 *	4096      the map COW_STABLE (cow_map.h), of sectors of 504 bytes of states and their sum;
 *	          what is all zeroes was never written
 *	          the map COW_RECENT, of the same form
 *	1 MiB *   the data: each sector of the disk has its place, in the disk's order.  The file is
 *	          sparse, so what was never written takes no space.
 *
 *	* or a later multiple of it, where the maps are longer
 *
 * COW_RECENT is never synced: it is in the host's page cache when this program is killed, and there
 * it is as good as the data.  When the host fails it may be newer than the data, and does not count:
 * the header has the kernel's boot id, and one that is another's is of a host that has failed, or
 * of another host.  Then the map is cleared before the boot id of today is written.
 *
 * Both header and map are written by sectors, each of which can be told from a torn one by its sum.
 * A sector of 512 bytes is the smallest thing that a medium writes, so a crash leaves each as it was
 * or as it was to be; what is neither is damage, and is refused, never guessed.
 *
 * A blank overlay is a file without bytes, or a device whose first MiB is zeroes.  It is made an
 * overlay of the first disk that it is used for.  Creation writes the header last, and emptying an
 * overlay makes it blank at one stroke: a kill leaves an overlay, a blank one, or one whose header
 * says that it is being emptied.
 *
 * The base is known by its size and, if it is a regular file, by the time of its last change.
 *
 * Threads: one at a time; calls wait for the file.
 */
#ifndef STORAGE_LAYER_COW_FILE_H
#define STORAGE_LAYER_COW_FILE_H

#include "storage/layer/cow_map.h"
#include "storage/storage.h"

#define COW_MAGIC      "RINGCOW\n"
#define COW_VERSION    1
#define COW_MAP_AT     UINT64_C(4096) /* of COW_STABLE */
#define COW_DATA_ALIGN (UINT64_C(1) << 20)
#define COW_SIZE_ALIGN (UINT64_C(64) << 10) /* the file's size: O_DIRECT wants whole blocks */
#define COW_NAME_MAX   256

enum cow_phase {
	COW_IN_USE = 0,
	COW_COMMITTING = 1, /* a part of it may be in the base already */
	COW_EMPTYING = 2,   /* nothing in it counts                    */
};

struct cow_header {
	char magic[8];
	le32 version;
	le32 phase;
	uint8_t id[16];
	le64 disk_size;
	le64 map_at, recent_at, map_bytes;
	le64 data_at;
	le64 base_seconds; /* of its last change ... */
	le32 base_nanoseconds;
	le32 base_dated;  /* ... 1: if it has one */
	uint8_t boot[16]; /* in which COW_RECENT counts; zeroes: in none */
	uint8_t zeroes[144];
	char base[COW_NAME_MAX]; /* its name, for a person; its end, where it is longer */
	le64 sum;		 /* of what is in front of it */
};

/* What a base is known by. */
struct cow_base {
	const char *name;
	uint64_t size;
	bool dated;
	int64_t seconds;
	uint32_t nanoseconds;
};

struct cow_file {
	char *path; /* one that no engine takes for anything else */
	int fd;	    /* -1: closed */
	struct cow_header header;
	uint64_t
		made; /* how long one is that would have been made; 0: any that is a hole is blank */
	bool ours;    /* there was no such file before cow_file_make() */
	uint64_t disk_size, data_at;
	uint64_t map_at[COW_IMAGES];
};

/*
 * What is known of the disk at @target, before and after it is opened as @base: to be opened for
 * writing is a change to some file systems.
 */
void cow_base_look(struct cow_base *b, const char *target);
void cow_base_settle(struct cow_base *b, const struct storage *base);

/* The base's name as the header has it. */
void cow_header_name(struct cow_header *h, const char *name);

/* Where the data begin, and how long the overlay is, for a disk of that size. */
uint64_t cow_file_data_at(uint64_t disk_size);
uint64_t cow_file_bytes(uint64_t disk_size);
uint64_t cow_file_map_at(uint64_t disk_size, enum cow_which which);

/* Nothing is open yet.  -ENOMEM. */
int cow_file_init(struct cow_file *f, const char *path, struct error *err);
/* Harmless when zeroed. */
void cow_file_fini(struct cow_file *f);

/* If there is no overlay, or a blank one, it becomes one of @base. */
int cow_file_make(struct cow_file *f, const struct cow_base *base, struct error *err);
/* Opens the file.  -ENODATA: it is blank; -EINVAL: it is something else. */
int cow_file_open(struct cow_file *f, bool writable, struct error *err);
/* Reads the header.  Whoever goes by what it says has locked the file before, by storage_open(). */
int cow_file_read(struct cow_file *f, struct error *err);
/* Whether it is an overlay of that disk.  -ESTALE, -EINVAL, -EUCLEAN and a sentence: it is not. */
int cow_file_judge(const struct cow_file *f, const struct cow_base *base, struct error *err);
/* @m is initialised here. */
int cow_file_load_map(const struct cow_file *f, struct cow_map *m, struct error *err);
/* COW_RECENT will count from now on: of a file that was opened for writing. */
int cow_file_begin(struct cow_file *f, struct error *err);
/* Writes the header with that phase; stable when it returns. */
int cow_file_set_phase(struct cow_file *f, enum cow_phase phase, struct error *err);
int cow_file_set_base(struct cow_file *f, const struct cow_base *base, struct error *err);
/* Makes it blank. */
int cow_file_empty(struct cow_file *f, struct error *err);

#endif
