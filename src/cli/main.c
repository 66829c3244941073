/* SPDX-License-Identifier: MIT */
/* `ringside`: finds the subcommand and runs it. */
#include "base/bits.h"
#include "base/limits.h"
#include "cli/commands.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct command *const commands[] = {
	&command_pc,   &command_serve, &command_bench,	&command_conform,
	&command_tree, &command_ctl,   &command_replay, &command_cow,
};

static void vsentence(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));

static void vsentence(const char *fmt, va_list ap)
{
	fflush(stdout);
	fputs("ringside: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

int usage_error(const char *command, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsentence(fmt, ap);
	va_end(ap);
	fprintf(stderr, "Try 'ringside %s%s--help'.\n", command ? command : "", command ? " " : "");
	return EXIT_USAGE;
}

int failure(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsentence(fmt, ap);
	va_end(ap);
	return EXIT_FAILED;
}

static int help(void)
{
	puts("Usage: ringside COMMAND [OPTION...]\n"
	     "\n"
	     "virtio-blk from both sides of the ring.\n"
	     "\n"
	     "Commands:");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
	puts("\n"
	     "  --help     this page; 'ringside COMMAND --help' tells about a command\n"
	     "  --version  the version\n"
	     "\n"
	     "More: ringside(1)");
	return fflush(stdout) || ferror(stdout) ? EXIT_FAILED : EXIT_OK;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;

	if (limits_keep_standard_files())
		return EXIT_FAILED;
	if (!name)
		return usage_error(NULL, "what shall be done? A command is missing.");
	if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help"))
		return help();
	if (!strcmp(name, "--version")) {
		puts("ringside " RINGSIDE_VERSION);
		return fflush(stdout) || ferror(stdout) ? EXIT_FAILED : EXIT_OK;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(name, commands[i]->name))
			continue;
		/* Each queue of a disk has files of its own; the default limit is for those who
		 * select(). */
		if (!commands[i]->starts_programs)
			(void)limits_raise_files(NULL);
		return commands[i]->run(argc - 1, argv + 1);
	}
	return usage_error(NULL, "'%s' is no command of ringside.", name);
}
