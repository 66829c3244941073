/* SPDX-License-Identifier: MIT */
/* `ringside cow`: overlays of disks, while no guest uses them. */
#include "base/bits.h"
#include "cli/commands.h"
#include "disk/spec.h"
#include "storage/layer/cow_verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char help[] =
	"Usage: ringside cow show OVERLAY\n"
	"       ringside cow commit DISK\n"
	"       ringside cow discard OVERLAY\n"
	"       ringside cow rebase DISK\n"
	"\n"
	"Works on the overlay of a disk that no guest uses. DISK is the disk as its guest has it,\n"
	"file=BASE,cow=OVERLAY with whatever else BASE needs.\n"
	"\n"
	"  show       what the overlay is of, and how much is in it\n"
	"  commit     write what is in it into BASE, and empty it; when that was interrupted it "
	"is\n"
	"             done again from the start\n"
	"  discard    empty it: the disk is BASE again\n"
	"  rebase     BASE is what the overlay was begun on, though it looks as if it had "
	"changed;\n"
	"             if its bytes are others, the disk is broken\n"
	"\n"
	"More: ringside-cow(1)\n";

/* The disk's other options are for its guest; there is nothing to obey here. */
static int cow_disk(const char *text, struct disk_spec *spec)
{
	struct error err;

	if (disk_spec_parse(text, spec, &err))
		return usage_error("cow", "%s", err.text);
	if (spec->storage.layers.cow)
		return EXIT_OK;
	disk_spec_fini(spec);
	return usage_error("cow", "%s: give the disk as its guest has it, file=BASE,cow=OVERLAY.",
			   text);
}

static int cow_verb_commit(const char *text)
{
	struct cow_progress p = {.go_on = NULL};
	struct disk_spec spec;
	struct error err;
	int rc = cow_disk(text, &spec);

	if (rc)
		return rc;
	if (spec.storage.readonly == STORAGE_READONLY)
		rc = usage_error("cow", "a commit writes to %s; leave readonly=on away.",
				 spec.file);
	else if (cow_commit(&spec.storage, &p, &err))
		rc = failure("%s", err.text);
	else
		printf("%s: %" PRIu64 " bytes of data and %" PRIu64 " bytes of zeroes written\n",
		       spec.file, p.data, p.zeroes);
	disk_spec_fini(&spec);
	return rc;
}

static int cow_verb_discard(const char *text)
{
	struct error err;

	return cow_discard(text, &err) ? failure("%s", err.text) : EXIT_OK;
}

static int cow_verb_rebase(const char *text)
{
	struct disk_spec spec;
	struct error err;
	int rc = cow_disk(text, &spec);

	if (rc)
		return rc;
	if (cow_rebase(&spec.storage, &err))
		rc = failure("%s", err.text);
	disk_spec_fini(&spec);
	return rc;
}

static void print_time(const struct cow_header *h)
{
	time_t at = (time_t)le64_get(h->base_seconds);
	char text[64];
	struct tm tm;

	if (!le32_get(h->base_dated) || !gmtime_r(&at, &tm) ||
	    !strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm))
		return;
	printf("base changed last: %s.%09u UTC\n", text, le32_get(h->base_nanoseconds));
}

static int cow_verb_show(const char *text)
{
	static const char *const phases[] = {
		[COW_IN_USE] = "whole",
		[COW_COMMITTING] = "its commit was interrupted",
		[COW_EMPTYING] = "its discard was interrupted",
	};
	struct cow_facts facts;
	struct error err;

	if (cow_look(text, &facts, &err))
		return failure("%s", err.text);
	if (facts.blank) {
		puts("state: empty");
		return EXIT_OK;
	}
	printf("state: %s\n", phases[le32_get(facts.header.phase)]);
	printf("base: %s\n", facts.header.base);
	print_time(&facts.header);
	printf("disk: %" PRIu64 " bytes\n", facts.disk_size);
	printf("data: %" PRIu64 " bytes\n", facts.data);
	printf("zeroes: %" PRIu64 " bytes\n", facts.zeroes);
	return EXIT_OK;
}

static const struct {
	const char *name, *of;
	int (*run)(const char *text);
} verbs[] = {
	{"show", "one overlay", cow_verb_show},
	{"commit", "one disk", cow_verb_commit},
	{"discard", "one overlay", cow_verb_discard},
	{"rebase", "one disk", cow_verb_rebase},
};

static int cow_run(int argc, char **argv)
{
	int rc;

	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			fputs(help, stdout);
			return fflush(stdout) ? EXIT_FAILED : EXIT_OK;
		}
	if (argc < 2)
		return usage_error("cow", "say what to do: show, commit, discard or rebase.");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (strcmp(argv[1], verbs[i].name) != 0)
			continue;
		if (argc != 3)
			return usage_error("cow", "%s takes %s.", verbs[i].name, verbs[i].of);
		rc = verbs[i].run(argv[2]);
		return fflush(stdout) && !rc ? EXIT_FAILED : rc;
	}
	return usage_error("cow", "%s is none of show, commit, discard and rebase.", argv[1]);
}

const struct command command_cow = {
	.name = "cow",
	.summary = "show, commit or empty the overlay of a disk",
	.run = cow_run,
};
