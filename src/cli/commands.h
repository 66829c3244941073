/* SPDX-License-Identifier: MIT */
/* The subcommands of `ringside`, one file each; main.c lists them. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include <stdbool.h>

/* Exit statuses that scripts rely on. */
enum {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
};

struct command {
	const char *name;
	const char *summary; /* one line of `ringside --help` */
	/* It raises the limit of open files itself, since it puts it back for what it starts. */
	bool starts_programs;
	/* argv[0] is the subcommand's name.  Returns the exit status. */
	int (*run)(int argc, char **argv);
};

extern const struct command command_conform;
extern const struct command command_serve;
extern const struct command command_bench;
extern const struct command command_pc;
extern const struct command command_tree;
extern const struct command command_ctl;
extern const struct command command_replay;
extern const struct command command_cow;

/*
 * One sentence on standard error, in front of it "ringside: ", behind it where to read more;
 * returns EXIT_USAGE.
 */
int usage_error(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* One sentence on standard error; returns EXIT_FAILED. */
int failure(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
