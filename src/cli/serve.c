/* SPDX-License-Identifier: MIT */
/* `ringside serve`: disks on sockets, until a signal comes. */
#include "backend/virtio_pci/words.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/size.h"
#include "cli/commands.h"
#include "cli/serve_items.h"
#include "cli/serve_verbs.h"
#include "mem/gmem.h"
#include "server/server.h"
#include "server/socket/activation.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define POLL_US_MAX 1000000

struct serve {
	struct serve_items items;
	unsigned workers; /* 0: choose */
	uint32_t poll_us;
	int mode;
	struct control_places places;
	struct serve_control control;
	struct server *server;
	bool readonly;
	bool any_memory;
	bool done; /* an option has already done all there is to do */
};

/* What --print-capabilities prints (vhost-user back-end program conventions). */
static const char capabilities[] = "{\n"
				   "  \"type\": \"block\",\n"
				   "  \"features\": [\"read-only\", \"blk-file\"]\n"
				   "}\n";

static const char serve_help_head[] =
	"Usage: ringside serve --vhost-user SOCKET --disk SPEC [--vhost-user SOCKET --disk "
	"SPEC]...\n"
	"       ringside serve --vfio-user SOCKET --disk SPEC|--net SPEC ...\n"
	"\n"
	"Gives virtual machines disks over vhost-user or vfio-user: one socket for each disk, in "
	"the\n"
	"order given.\n"
	"Ends on SIGTERM or SIGINT, when what is in flight has been completed.\n"
	"\n"
	"  --vhost-user SOCKET  listen there (also: --socket-path)\n"
	"  --vfio-user SOCKET   listen there, and give the whole PCI board instead of the device "
	"alone\n"
	"  --disk SPEC          the disk behind it: words with commas between them, see below\n"
	"  --net SPEC           a network card behind a --vfio-user, SPEC as in ringside pc --net\n"
	"  --fd N               a socket that is open already, listening or connected, instead of "
	"a path\n"
	"  --blk-file PATH      the same as --disk file=PATH\n"
	"  --read-only          every disk is read-only\n"
	"  --socket-mode MODE   permissions of the sockets, octal; default: what the umask leaves\n"
	"  --workers N          threads that share all queues; default: one per CPU, at most one "
	"per queue\n"
	"  --poll-us N|max      longest time to look for requests before sleeping; default 200, 0: "
	"never,\n"
	"                       max: never sleep\n"
	"  --memory-files any   guest memory may be any file; default (memory): memfd, tmpfs and "
	"hugetlbfs\n"
	"                       only, since other files can make the server wait\n"
	"  --name NAME          of the next --disk or --net, in messages and for ctl; default "
	"disk0, "
	"disk1, ...\n"
	"  --control SOCKET     is asked and changed there (ringside ctl SOCKET --help); no --disk "
	"is needed then\n"
	"  --control-readonly SOCKET  is asked there and not changed\n"
	"  --control-mode MODE  permissions of both, octal; default 0600\n"
	"  --print-capabilities what this back end can do, as JSON\n"
	"  --quiet, --verbose   fewer or more messages\n"
	"\n"
	"SPEC, for example file=vm.raw,readonly=on,serial=abc:\n";

static const char serve_help_tail[] =
	"\n"
	"QEMU takes such a disk with shared guest memory, say of 1 GiB:\n"
	"  -object memory-backend-memfd,id=mem,size=1G,share=on -machine memory-backend=mem\n"
	"  -chardev socket,id=disk,path=SOCKET,reconnect=1 -device "
	"vhost-user-blk-pci,chardev=disk\n"
	"or, behind --vfio-user, from QEMU 10.1 on:\n"
	"  -device "
	"'{\"driver\":\"vfio-user-pci\",\"socket\":{\"path\":\"SOCKET\",\"type\":\"unix\"}}'\n"
	"\n"
	"More: ringside-serve(1)\n";

enum {
	OPT_VHOST_USER = 256,
	OPT_VFIO_USER,
	OPT_DISK,
	OPT_NET,
	OPT_FD,
	OPT_BLK_FILE,
	OPT_READ_ONLY,
	OPT_SOCKET_MODE,
	OPT_WORKERS,
	OPT_POLL_US,
	OPT_MEMORY_FILES,
	OPT_NAME,
	OPT_CONTROL,
	OPT_CONTROL_READONLY,
	OPT_CONTROL_MODE,
	OPT_PRINT_CAPABILITIES,
	OPT_QUIET,
	OPT_VERBOSE,
	OPT_HELP,
};

static const struct option serve_options[] = {
	{"vhost-user", required_argument, NULL, OPT_VHOST_USER},
	{"socket-path", required_argument, NULL, OPT_VHOST_USER},
	{"vfio-user", required_argument, NULL, OPT_VFIO_USER},
	{"disk", required_argument, NULL, OPT_DISK},
	{"net", required_argument, NULL, OPT_NET},
	{"fd", required_argument, NULL, OPT_FD},
	{"blk-file", required_argument, NULL, OPT_BLK_FILE},
	{"read-only", no_argument, NULL, OPT_READ_ONLY},
	{"socket-mode", required_argument, NULL, OPT_SOCKET_MODE},
	{"workers", required_argument, NULL, OPT_WORKERS},
	{"poll-us", required_argument, NULL, OPT_POLL_US},
	{"memory-files", required_argument, NULL, OPT_MEMORY_FILES},
	{"name", required_argument, NULL, OPT_NAME},
	{"control", required_argument, NULL, OPT_CONTROL},
	{"control-readonly", required_argument, NULL, OPT_CONTROL_READONLY},
	{"control-mode", required_argument, NULL, OPT_CONTROL_MODE},
	{"print-capabilities", no_argument, NULL, OPT_PRINT_CAPABILITIES},
	{"quiet", no_argument, NULL, OPT_QUIET},
	{"verbose", no_argument, NULL, OPT_VERBOSE},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static void print_help(void)
{
	fputs(serve_help_head, stdout);
	disk_spec_help(stdout);
	fputs("\nand behind --vfio-user those of the board:\n", stdout);
	words_help(stdout, &virtio_pci_words);
	fputs(serve_help_tail, stdout);
}

/* ---- the command line ---- */

static bool parse_number(const char *text, int base, unsigned long max, unsigned long *out)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*out = strtoul(text, &end, base);
	return !errno && !*end && *out <= max;
}

/* What adding something to the items came to. */
static int added(int rc)
{
	return rc ? failure("out of memory") : EXIT_OK;
}

static int take_option(struct serve *s, int opt, const char *arg)
{
	unsigned long n;

	switch (opt) {
	case OPT_VHOST_USER:
		return added(serve_items_place(&s->items, SERVE_VHOST_USER, arg, -1));
	case OPT_VFIO_USER:
		return added(serve_items_place(&s->items, SERVE_VFIO_USER, arg, -1));
	case OPT_DISK:
		return added(serve_items_disk(&s->items, arg));
	case OPT_NET:
		return added(serve_items_net(&s->items, arg));
	case OPT_BLK_FILE:
		return added(serve_items_file(&s->items, arg));
	case OPT_FD:
		if (!parse_number(arg, 10, INT32_MAX, &n))
			return usage_error("serve", "--fd %s: this is no file descriptor.", arg);
		if (fcntl((int)n, F_GETFD) < 0)
			return failure("--fd %s: nothing is open there.", arg);
		return added(serve_items_place(&s->items, SERVE_VHOST_USER, NULL, (int)n));
	case OPT_READ_ONLY:
		s->readonly = true;
		return EXIT_OK;
	case OPT_SOCKET_MODE:
		if (!parse_number(arg, 8, 0777, &n))
			return usage_error("serve", "--socket-mode %s: give it in octal, as 0660.",
					   arg);
		s->mode = (int)n;
		return EXIT_OK;
	case OPT_WORKERS:
		if (!parse_number(arg, 10, WORKER_POOL_MAX, &n) || !n)
			return usage_error("serve", "--workers %s: give 1 to %d.", arg,
					   WORKER_POOL_MAX);
		s->workers = (unsigned)n;
		return EXIT_OK;
	case OPT_POLL_US:
		if (!strcmp(arg, "max"))
			s->poll_us = REACTOR_POLL_FOREVER;
		else if (parse_number(arg, 10, POLL_US_MAX, &n))
			s->poll_us = (uint32_t)n;
		else
			return usage_error("serve", "--poll-us %s: give 0 to %d, or max.", arg,
					   POLL_US_MAX);
		return EXIT_OK;
	case OPT_MEMORY_FILES:
		if (strcmp(arg, "any") && strcmp(arg, "memory"))
			return usage_error("serve", "--memory-files %s: give memory or any.", arg);
		s->any_memory = !strcmp(arg, "any");
		return EXIT_OK;
	case OPT_CONTROL:
		s->places.all = arg;
		return EXIT_OK;
	case OPT_CONTROL_READONLY:
		s->places.reads = arg;
		return EXIT_OK;
	case OPT_CONTROL_MODE:
		if (!parse_number(arg, 8, 0777, &n) || !n)
			return usage_error("serve", "--control-mode %s: give it in octal, as 0660.",
					   arg);
		s->places.mode = (int)n;
		return EXIT_OK;
	case OPT_NAME:
		return serve_items_name(&s->items, arg)
			       ? usage_error("serve",
					     "--name %s: another --name comes before it, "
					     "and no --disk between them.",
					     arg)
			       : EXIT_OK;
	case OPT_PRINT_CAPABILITIES:
		fputs(capabilities, stdout);
		s->done = true;
		return fflush(stdout) || ferror(stdout) ? EXIT_FAILED : EXIT_OK;
	case OPT_QUIET:
		log_setup(LOG_LEVEL_ERR, NULL, NULL);
		return EXIT_OK;
	case OPT_VERBOSE:
		log_setup(LOG_LEVEL_DBG, NULL, NULL);
		return EXIT_OK;
	case 'h':
	case OPT_HELP:
		print_help();
		s->done = true;
		return fflush(stdout) || ferror(stdout) ? EXIT_FAILED : EXIT_OK;
	default:
		return EXIT_USAGE;
	}
}

static int serve_parse(struct serve *s, int argc, char **argv)
{
	int opt, rc;

	optind = 1;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, "+:h", serve_options, NULL)) != -1) {
		if (opt == ':')
			return usage_error("serve", "%s needs a value.", argv[optind - 1]);
		if (opt == '?')
			return usage_error("serve", "%s is no option of serve.", argv[optind - 1]);
		rc = take_option(s, opt, optarg);
		if (rc || s->done)
			return rc;
	}
	if (optind < argc)
		return usage_error("serve", "'%s' stands alone: did you mean --disk %s?",
				   argv[optind], argv[optind]);
	return EXIT_OK;
}

/* Sockets from the service manager come before, or rather instead of, those of the command line. */
static int take_activation(struct serve *s)
{
	struct error err;
	int n = socket_activation_take(&err), rc = 0;

	if (n < 0)
		return failure("%s", err.text);
	for (int i = 0; !rc && i < n; i++)
		rc = serve_items_place(&s->items, SERVE_VHOST_USER, NULL,
				       SOCKET_ACTIVATION_FIRST + i);
	return added(rc);
}

static int serve_check(struct serve *s)
{
	struct error err;

	if (!s->items.n_things && !s->items.n_places && s->places.all)
		return EXIT_OK;
	if (serve_items_check(&s->items, &err))
		return usage_error("serve", "%s", err.text);
	for (unsigned i = 0; i < s->items.n_things; i++) {
		s->items.places[i].where.mode = s->mode;
		if (s->readonly)
			s->items.things[i].disk.disk.storage.readonly = STORAGE_READONLY;
	}
	return EXIT_OK;
}

/* ---- serving ---- */

/* Where disks may be added, for any number of them. */
static unsigned choose_workers(const struct serve *s)
{
	unsigned queues = s->places.all ? WORKER_POOL_MAX : serve_items_queues(&s->items);

	return s->workers ? s->workers : worker_pool_suits(queues);
}

static int serve_offer(struct serve *s, struct error *err)
{
	int rc = serve_items_open(&s->items, s->server, err);

	if (rc)
		return rc;
	s->control.mode = s->mode;
	s->control.readonly = s->readonly;
	rc = serve_control_open(&s->control, s->server, &s->places, err);
	for (unsigned i = 0; !rc && i < s->items.n_things; i++)
		rc = serve_items_offer(&s->items, i, s->server, err);
	return rc;
}

/* What the program found this kernel to be able to do. */
static void tell_kind(struct server *server)
{
	const struct worker_pool *pool = &server_room(server)->pool;
	struct utsname host;

	if (!uname(&host))
		log_info(NULL, "%u worker%s with %s, on %s %s", pool->n, pool->n == 1 ? "" : "s",
			 reactor_describe(worker_reactor(pool->workers[0])), host.sysname,
			 host.release);
}

/* What a front end brings: the connection, its back channel, in-flight record and memory regions;
 * and for each queue kick, call and error event. */
#define FILES_PER_DISK	11
#define FILES_PER_QUEUE 3

/* Said at the start, since front ends that come later can only be turned away. */
static void tell_files(const struct serve *s)
{
	/* The lowest free number: about as many are in use. */
	int next = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	uint64_t queues = serve_items_queues(&s->items), need;
	unsigned n = s->items.n_things;
	struct error err;

	if (next < 0)
		return;
	close(next);
	need = (uint64_t)next + LIMITS_RESERVE + (uint64_t)n * FILES_PER_DISK +
	       queues * FILES_PER_QUEUE;
	if (limits_files_enough(need, &err, "the disks (%u, with %llu queues in all)", n,
				(unsigned long long)queues))
		log_warn(NULL, "%s", err.text);
}

static int serve_disks(struct serve *s)
{
	struct server_config config = {
		.workers = {.n = choose_workers(s),
			    .reactor = {.uring = true, .poll_us = s->poll_us}},
		.any_memory = s->any_memory,
		.stays = s->places.all,
		.signals = true,
	};
	struct error err = {""};
	int rc;

	if (gmem_guard_install(&err) || server_take_signals(&err) ||
	    server_create(&s->server, &config, &err))
		return failure("%s", err.text);
	rc = serve_offer(s, &err);
	if (rc) {
		serve_control_close(&s->control);
		server_destroy(&s->server);
		return rc == -ECANCELED ? EXIT_OK : failure("%s", err.text);
	}
	tell_kind(s->server);
	tell_files(s);
	rc = server_run(s->server);
	/* Past what libraries do at an exit: their threads are at work still, and may hang. */
	if (rc == -EINTR) {
		rc = failure("ended at once by a second signal; requests were in flight");
		fflush(NULL);
		_exit(rc);
	}
	serve_control_close(&s->control);
	server_destroy(&s->server);
	return rc ? failure("%s", strerror(-rc)) : EXIT_OK;
}

static int serve_run(int argc, char **argv)
{
	struct serve *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return failure("out of memory");
	s->poll_us = REACTOR_POLL_US;
	s->mode = -1;
	rc = serve_parse(s, argc, argv);
	if (!rc && !s->done)
		rc = take_activation(s);
	if (!rc && !s->done)
		rc = serve_check(s);
	if (!rc && !s->done)
		rc = serve_disks(s);
	serve_items_fini(&s->items);
	free(s);
	return rc;
}

const struct command command_serve = {
	.name = "serve",
	.summary = "give virtual machines disks over vhost-user or vfio-user",
	.run = serve_run,
};
