/* SPDX-License-Identifier: MIT */
/* `ringside ctl`: asks a running program over its control socket. */
#include "cli/commands.h"
#include "control/control.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
	"Usage: ringside ctl SOCKET REQUEST [ARGUMENT]...\n"
	"\n"
	"Asks the program that has the control socket SOCKET, and prints its answer as JSON.\n"
	"\n"
	"Requests to ringside pc or ringside serve --control SOCKET:\n"
	"  tree       buses and devices as they are (ringside tree --of SOCKET prints them as "
	"text)\n"
	"  set DISK OPTIONS\n"
	"             new values for options of a disk's layers: throttle.iops=500,throttle.bps=0\n"
	"  resume DISK\n"
	"             what the disk holds until somebody says so goes on\n"
	"and to ringside pc alone:\n"
	"  stats      what was counted until now: exits by reason, kicks, interrupts, requests\n"
	"\n"
	"DISK is the name that stands as path in the tree.\n"
	"\n"
	"More: ringside-ctl(1)\n";

static bool is_word(const char *text)
{
	return *text && strspn(text, "abcdefghijklmnopqrstuvwxyz-") == strlen(text);
}

static int ctl_main(int argc, char **argv)
{
	struct error err = {""};
	json_t *answer = NULL;

	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		fputs(help, stdout);
		return fflush(stdout) || ferror(stdout) ? EXIT_FAILED : EXIT_OK;
	}
	if (argc < 3)
		return usage_error("ctl", "give a control socket and a request.");
	if (!is_word(argv[2]))
		return usage_error("ctl", "'%s' is no request.", argv[2]);
	if (control_ask(argv[1], argv[2], argv + 3, (unsigned)argc - 3, &answer, &err))
		return failure("%s", err.text);
	json_dumpf(answer, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(answer);
	return fflush(stdout) || ferror(stdout) ? EXIT_FAILED : EXIT_OK;
}

const struct command command_ctl = {
	.name = "ctl",
	.summary = "ask a running instance for what it counted, or change it",
	.run = ctl_main,
};
