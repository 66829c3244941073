/* SPDX-License-Identifier: MIT */
/* `ringside replay`: the images that a recorded disk had, or could have after a crash. */
#include "base/bits.h"
#include "base/size.h"
#include "cli/commands.h"
#include "storage/layer/record_log.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
	"Usage: ringside replay LOG [--until N]\n"
	"       ringside replay LOG --image BASE --output FILE [--until N] [--lose WHAT]\n"
	"\n"
	"Reads the log of a disk that was recorded (record=LOG), and prints its events, or makes\n"
	"the image that the first N of them leave. BASE is the image as it was when the log "
	"began.\n"
	"\n"
	"  --image BASE     what the disk held at first; it is copied and not changed\n"
	"  --output FILE    the image to be made\n"
	"  --until N        up to the N-th event; default all\n"
	"  --lose WHAT      as after a crash there: of the changes that were not stable are lost\n"
	"                   none (the default), all, those of a number's bits (1 is the first one\n"
	"                   alone, 2 the second), or random=SEED: each by chance, what was under "
	"way\n"
	"                   sector by sector\n"
	"\n"
	"More: ringside-replay(1)\n";

enum {
	OPT_IMAGE = 256,
	OPT_OUTPUT,
	OPT_UNTIL,
	OPT_LOSE,
	OPT_HELP,
};

static const struct option options[] = {
	{"image", required_argument, NULL, OPT_IMAGE},
	{"output", required_argument, NULL, OPT_OUTPUT},
	{"until", required_argument, NULL, OPT_UNTIL},
	{"lose", required_argument, NULL, OPT_LOSE},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

struct replay {
	const char *log, *image, *output;
	uint64_t until;
	bool lose_all, by_chance, done;
	uint64_t lost; /* by bits */
	uint64_t seed; /* never 0 */
	struct record_choice choice;
};

static uint64_t replay_random(struct record_choice *c)
{
	struct replay *r = container_of(c, struct replay, choice);

	r->seed ^= r->seed << 13;
	r->seed ^= r->seed >> 7;
	r->seed ^= r->seed << 17;
	return r->seed >> 16;
}

static enum record_fate replay_fate(struct record_choice *c, size_t k)
{
	struct replay *r = container_of(c, struct replay, choice);

	if (r->by_chance)
		return RECORD_TORN;
	return r->lose_all || (k < 64 && r->lost >> k & 1) ? RECORD_LOST : RECORD_KEPT;
}

/* ---- the command line ---- */

static bool parse_lose(struct replay *r, const char *text)
{
	uint64_t seed;

	if (!strcmp(text, "none"))
		return true;
	r->lose_all = !strcmp(text, "all");
	if (r->lose_all)
		return true;
	if (strncmp(text, "random=", 7) != 0)
		return !number_parse(text, 0, UINT64_MAX, &r->lost);
	r->by_chance = true;
	if (number_parse(text + 7, 0, UINT32_MAX, &seed))
		return false;
	r->seed = seed * 2654435761u + 1;
	return true;
}

static int take_option(struct replay *r, int opt, const char *arg)
{
	switch (opt) {
	case OPT_IMAGE:
		r->image = arg;
		return EXIT_OK;
	case OPT_OUTPUT:
		r->output = arg;
		return EXIT_OK;
	case OPT_UNTIL:
		if (number_parse(arg, 0, UINT64_MAX, &r->until))
			return usage_error("replay", "--until %s: give a number of events.", arg);
		return EXIT_OK;
	case OPT_LOSE:
		if (!parse_lose(r, arg))
			return usage_error("replay",
					   "--lose %s: give none, all, a number or random=SEED.",
					   arg);
		return EXIT_OK;
	default:
		fputs(help, stdout);
		r->done = true;
		return fflush(stdout) ? EXIT_FAILED : EXIT_OK;
	}
}

static int replay_parse(struct replay *r, int argc, char **argv)
{
	int opt, rc;

	optind = 1;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (opt == ':')
			return usage_error("replay", "%s needs a value.", argv[optind - 1]);
		if (opt == '?')
			return usage_error("replay", "%s is no option of replay.",
					   argv[optind - 1]);
		rc = take_option(r, opt, optarg);
		if (rc || r->done)
			return rc;
	}
	if (argc - optind != 1)
		return usage_error("replay", "give one log.");
	r->log = argv[optind];
	if (!r->image != !r->output)
		return usage_error("replay", "--image and --output are given together.");
	return EXIT_OK;
}

/* ---- printing ---- */

static const char *op_name(const struct record_event *e)
{
	static const char *const names[] = {
		[STORAGE_READ] = "read",	   [STORAGE_WRITE] = "write",
		[STORAGE_FLUSH] = "flush",	   [STORAGE_DISCARD] = "discard",
		[STORAGE_WRITE_ZEROES] = "zeroes", [STORAGE_SECURE_ERASE] = "erase",
	};

	return (size_t)e->op < ARRAY_SIZE(names) ? names[e->op] : "?";
}

static void print_event(const struct record_log *l, size_t i)
{
	const struct record_event *e = &l->events[i];

	printf("%zu %s %s", i + 1, e->type == RECORD_SUBMIT ? "submit" : "done", op_name(e));
	if (e->type == RECORD_DONE) {
		if (e->partner != SIZE_MAX)
			printf(" of %zu", e->partner + 1);
		printf(e->err ? " %s\n" : "\n", e->err ? strerror(-e->err) : "");
		return;
	}
	if (e->op != STORAGE_FLUSH)
		printf(" offset=%" PRIu64 " length=%" PRIu64 "%s%s", e->offset, e->len,
		       e->flags & STORAGE_FUA ? " fua" : "",
		       e->op == STORAGE_WRITE_ZEROES && e->flags & STORAGE_UNMAP ? " unmap" : "");
	putchar('\n');
}

static int replay_print(const struct record_log *l, size_t n)
{
	for (size_t i = 0; i < n; i++)
		print_event(l, i);
	printf("%zu events; a crash here may lose %zu changes\n", n, record_volatile(l, n));
	return fflush(stdout) ? EXIT_FAILED : EXIT_OK;
}

/* ---- making an image ---- */

static int copy_image(const struct replay *r, uint64_t size, int to, struct error *err)
{
	static uint8_t buf[1 << 16];
	int from = open(r->image, O_RDONLY | O_CLOEXEC), rc = 0;
	uint64_t at = 0;
	ssize_t n;

	if (from < 0)
		return error_set(err, -errno, "cannot open %s", r->image);
	while (!rc && (n = pread(from, buf, sizeof(buf), (off_t)at)) != 0) {
		if (n < 0)
			rc = error_set(err, -errno, "cannot read %s", r->image);
		else if (buf[0] || memcmp(buf, buf + 1, (size_t)n - 1) != 0)
			if (pwrite(to, buf, (size_t)n, (off_t)at) != n)
				rc = error_set(err, errno ? -errno : -EIO, "cannot write %s",
					       r->output);
		at += n > 0 ? (uint64_t)n : 0;
	}
	close(from);
	if (!rc && ftruncate(to, (off_t)max_u64(at, size)) < 0)
		rc = error_set(err, -errno, "cannot write %s", r->output);
	return rc;
}

static int replay_make(struct replay *r, const struct record_log *l, size_t n)
{
	int fd = open(r->output, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), rc;
	struct error err;

	if (fd < 0)
		return failure("cannot make %s: %s", r->output,
			       errno == EEXIST ? "it exists" : strerror(errno));
	r->choice = (struct record_choice){.fate = replay_fate, .random = replay_random};
	rc = copy_image(r, l->disk_size, fd, &err);
	if (!rc)
		rc = record_apply(l, n, &r->choice, fd, &err);
	if (close(fd) < 0 && !rc)
		rc = error_set(&err, -errno, "cannot write %s", r->output);
	if (!rc)
		return EXIT_OK;
	unlink(r->output);
	return failure("%s", err.text);
}

static int replay_run(int argc, char **argv)
{
	struct replay r = {.until = UINT64_MAX, .seed = 1};
	struct record_log log;
	struct error err;
	size_t n;
	int rc = replay_parse(&r, argc, argv);

	if (rc || r.done)
		return rc;
	if (record_log_open(&log, r.log, &err))
		return failure("%s", err.text);
	n = (size_t)min_u64(r.until, log.n);
	rc = r.image ? replay_make(&r, &log, n) : replay_print(&log, n);
	record_log_close(&log);
	return rc;
}

const struct command command_replay = {
	.name = "replay",
	.summary = "make the images that a recorded disk had, or could have after a crash",
	.run = replay_run,
};
