/* SPDX-License-Identifier: MIT */
/*
 * `ringside ctl`: asks a running program over its control socket, and changes it.
 *
 * Which verbs there are the program itself says (schema), so that this command need not be of the
 * same version.
 */
#include "cli/commands.h"
#include "cli/ctl_text.h"
#include "cli/ctl_words.h"
#include "control/control.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
	"Usage: ringside ctl SOCKET VERB [ARGUMENT]... [--json]\n"
	"       ringside ctl SOCKET --help\n"
	"\n"
	"Asks the program that has the control socket SOCKET, a ringside serve or ringside pc "
	"that was\n"
	"started with --control SOCKET, and prints its answer.  The second form lists its verbs.\n"
	"\n"
	"  --json     the answer as it came, for scripts\n"
	"\n"
	"Some verbs:\n"
	"  list       what a ringside serve has on offer, a line each\n"
	"  tree       buses and devices as they are (also: ringside tree --of SOCKET)\n"
	"  stats      what was counted until now\n"
	"  set NAME KEY=VALUE...\n"
	"             new values for options of a disk's layers: throttle.iops=500\n"
	"  resume NAME\n"
	"             what the disk holds until somebody says so goes on\n"
	"and of a ringside serve:\n"
	"  add --vhost-user|--vfio-user SOCKET --disk|--net SPEC [--name NAME]\n"
	"             one more, as on its command line\n"
	"  remove NAME\n"
	"             drains it, sends away who uses it, closes socket and image\n"
	"  resize NAME SIZE [--shrink]\n"
	"             another length for the image; the guest is told\n"
	"and of every one:\n"
	"  events     tells what happens, a line each, until it is interrupted\n"
	"  stop       ends the program, as SIGTERM does\n"
	"\n"
	"More: ringside-ctl(1)\n";

static int flushed(void)
{
	return fflush(stdout) || ferror(stdout) ? EXIT_FAILED : EXIT_OK;
}

static bool is_word(const char *text)
{
	return *text && strspn(text, "abcdefghijklmnopqrstuvwxyz-") == strlen(text);
}

static bool event_came(void *opaque, const json_t *params)
{
	const bool *json = opaque;

	if (*json)
		ctl_text_json(params, 0);
	else
		ctl_text_event(params);
	return !flushed();
}

static int ctl_listen(const char *path, bool json)
{
	struct error err;

	return control_listen(path, event_came, &json, &err) ? failure("%s", err.text) : EXIT_OK;
}

static int ctl_ask(const char *path, const json_t *schema, const char *name, int argc, char **argv)
{
	struct control_question q = {.method = name};
	struct ctl_words words;
	struct error err;
	json_t *result;
	int rc = ctl_words_parse(&words, schema, name, argc, argv, &err);

	if (rc)
		return usage_error("ctl", "%s", err.text);
	if (!strcmp(name, "events")) {
		json_decref(words.params);
		return ctl_listen(path, words.json);
	}
	q.params = words.params;
	q.slow = words.slow;
	rc = control_ask(path, &q, &result, &err);
	json_decref(words.params);
	if (rc)
		return failure("%s", err.text);
	if (words.json || !strcmp(name, "schema"))
		ctl_text_json(result, 2);
	else
		ctl_text_print(result);
	json_decref(result);
	return flushed();
}

static int ctl_main(int argc, char **argv)
{
	const struct control_question q = {.method = "schema"};
	struct error err = {""};
	json_t *schema;
	int rc;

	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		fputs(help, stdout);
		return flushed();
	}
	if (argc < 3)
		return usage_error("ctl", "give a control socket and a verb.");
	if (strcmp(argv[2], "--help") != 0 && !is_word(argv[2]))
		return usage_error("ctl", "'%s' is no verb.", argv[2]);
	if (control_ask(argv[1], &q, &schema, &err))
		return failure("%s", err.text);
	if (!strcmp(argv[2], "--help")) {
		ctl_words_help(schema);
		rc = flushed();
	} else {
		rc = ctl_ask(argv[1], schema, argv[2], argc - 3, argv + 3);
	}
	json_decref(schema);
	return rc;
}

const struct command command_ctl = {
	.name = "ctl",
	.summary = "ask a running instance, or change it",
	.run = ctl_main,
};
