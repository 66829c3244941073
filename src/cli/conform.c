/* SPDX-License-Identifier: MIT */
/* `ringside conform`: a back end checked clause by clause. */
#include "base/limits.h"
#include "base/log.h"
#include "base/size.h"
#include "cli/commands.h"
#include "cli/local.h"
#include "cli/local_pci.h"
#include "cli/vfio_target.h"
#include "conform/run.h"
#include "mem/gmem.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
	"Usage: ringside conform [OPTION...] TARGET\n"
	"       ringside conform --list [--only=GLOB,...] [--skip=GLOB,...]\n"
	"\n"
	"Checks a virtio-blk back end against virtio 1.4 and the vhost-user protocol, without a\n"
	"virtual machine.  TARGET is one of:\n"
	"  vhost-user:SOCKET  a disk that a server offers\n"
	"  vfio-user:SOCKET   the same with its PCI board; with ?dma-messages=on behind it memory "
	"goes "
	"by messages\n"
	"  pci:ADDRESS        a PCI device bound to vfio-pci, as pci:0000:00:04.0\n"
	"  local:DISK         our own device in this process, DISK as in ringside serve --disk\n"
	"  local-pci:DISK     the same on a PCI board, DISK as in ringside pc --disk\n"
	"\n"
	"  --allow-writes     also cases that write to the disk; what they overwrite is put back\n"
	"  --offset=BYTES     where they write (0)\n"
	"  --size=BYTES       and how far (1M)\n"
	"  --format=FORMAT    text (for people), tap or json\n"
	"  --list             names the cases and their rules\n"
	"  --only=GLOB,...    only cases whose id matches, as in --only='VQ-*,PK-*'\n"
	"  --skip=GLOB,...    no cases whose id matches\n"
	"  --respawn=COMMAND  starts the back end again when a case has killed it\n"
	"  --timeout=SECONDS  how long the back end may take for anything (5)\n"
	"\n"
	"Exit status: 0 no MUST is broken, 1 some are, 2 it could not be checked.\n"
	"\n"
	"More: ringside-conform(1)\n";

static void list(const struct conform_options *o)
{
	for (const struct case_table *const *table = case_tables; *table; table++)
		for (size_t i = 0; i < (*table)->n; i++) {
			const struct conform_case *c = &(*table)->cases[i];

			if (conform_selected(o, *table, c))
				printf("%-28s %-8s %s%s (%s)\n", c->id, level_name(c->level),
				       c->rule, c->needs & CASE_WRITES ? " [writes]" : "",
				       c->section);
		}
}

static int parse_seconds(const char *text, int *ms)
{
	char *end;
	double s = strtod(text, &end);

	if (end == text || *end || !(s >= 0.05 && s <= 3600))
		return -1;
	*ms = (int)(s * 1000);
	return 0;
}

/* The device under test, and what of it is ours. */
struct subject {
	struct local *local;
	struct local_pci *board;
	struct vfio_target *vfio;
};

static int subject_open(struct subject *s, const char *target, struct conform_options *o,
			struct error *err)
{
	const char *uri = target;
	int rc;

	*s = (struct subject){0};
	if (local_is(target) || local_pci_is(target)) {
		log_setup(LOG_LEVEL_ERR, NULL, NULL);
		rc = gmem_guard_install(err);
		if (!rc)
			rc = local_is(target) ? local_start(target, &s->local, &uri, err)
					      : local_pci_start(target, &s->board, &o->pci, err);
		if (rc)
			return rc;
	}
	if (vfio_target_is(target)) {
		rc = vfio_target_open(target, (uint32_t)o->timeout_ms, &s->vfio, &o->pci, err);
		if (rc)
			return rc;
	}
	if (!o->pci)
		o->path = uri + strlen("vhost-user:");
	return 0;
}

static void subject_close(struct subject *s)
{
	local_stop(&s->local);
	local_pci_stop(&s->board);
	vfio_target_close(&s->vfio);
}

static bool is_target(const char *target)
{
	return !strncmp(target, "vhost-user:", strlen("vhost-user:")) || local_is(target) ||
	       local_pci_is(target) || vfio_target_is(target);
}

static int conform_main(int argc, char **argv)
{
	enum { HELP = 1, LIST, WRITES, OFFSET, SIZE, FORMAT, ONLY, SKIP, RESPAWN, TIMEOUT };
	static const struct option longs[] = {
		{"help", no_argument, NULL, HELP},
		{"list", no_argument, NULL, LIST},
		{"allow-writes", no_argument, NULL, WRITES},
		{"offset", required_argument, NULL, OFFSET},
		{"size", required_argument, NULL, SIZE},
		{"format", required_argument, NULL, FORMAT},
		{"only", required_argument, NULL, ONLY},
		{"skip", required_argument, NULL, SKIP},
		{"respawn", required_argument, NULL, RESPAWN},
		{"timeout", required_argument, NULL, TIMEOUT},
		{NULL, 0, NULL, 0},
	};
	static const char *const formats[] = {"text", "tap", "json"};
	struct conform_options o = {.timeout_ms = 5000, .quiet_ms = 100, .size = 1 << 20};
	enum report_format format = REPORT_TEXT;
	bool listing = false;
	const char *target;
	struct subject subject;
	struct report report;
	struct error err;
	unsigned cases = 0;
	size_t f;
	int c, rc;

	while ((c = getopt_long(argc, argv, ":h", longs, NULL)) != -1) {
		switch (c) {
		case 'h':
		case HELP:
			fputs(help, stdout);
			return fflush(stdout) || ferror(stdout) ? EXIT_USAGE : EXIT_OK;
		case LIST:
			listing = true;
			break;
		case WRITES:
			o.allow_writes = true;
			break;
		case OFFSET:
			if (size_parse(optarg, &o.offset))
				return usage_error("conform", "--offset=%s is no size.", optarg);
			break;
		case SIZE:
			if (size_parse(optarg, &o.size) || o.size > UINT64_C(1) << 30)
				return usage_error("conform", "--size=%s is no size up to 1G.",
						   optarg);
			break;
		case FORMAT:
			for (f = 0; f < 3 && strcmp(optarg, formats[f]); f++)
				;
			if (f == 3)
				return usage_error("conform",
						   "--format=%s: there are text, tap and json.",
						   optarg);
			format = (enum report_format)f;
			break;
		case ONLY:
			o.only = optarg;
			break;
		case SKIP:
			o.skip = optarg;
			break;
		case RESPAWN:
			o.respawn = optarg;
			break;
		case TIMEOUT:
			if (parse_seconds(optarg, &o.timeout_ms))
				return usage_error("conform",
						   "--timeout=%s is no number of seconds.", optarg);
			break;
		case ':':
			return usage_error("conform", "%s needs a value.", argv[optind - 1]);
		default:
			return usage_error("conform", "%s is no option of conform.",
					   argv[optind - 1]);
		}
	}
	if (listing) {
		list(&o);
		return fflush(stdout) || ferror(stdout) ? EXIT_USAGE : EXIT_OK;
	}
	if (optind != argc - 1)
		return usage_error("conform",
				   "one target is wanted, as in vhost-user:/run/disk.sock.");
	target = argv[optind];
	if (!is_target(target))
		return usage_error(
			"conform",
			"'%s' is no target; vhost-user:SOCKET, vfio-user:SOCKET, pci:ADDRESS, "
			"local:DISK and local-pci:DISK are.",
			target);
	(void)limits_raise_files(&o.files);
	signal(SIGPIPE, SIG_IGN);
	if (subject_open(&subject, target, &o, &err)) {
		failure("%s", err.text);
		return 2;
	}
	for (const struct case_table *const *table = case_tables; *table; table++)
		for (size_t i = 0; i < (*table)->n; i++)
			cases += conform_selected(&o, *table, &(*table)->cases[i]);
	if (!cases) {
		subject_close(&subject);
		return usage_error("conform", "no case is left to run.");
	}
	report_begin(&report, format, stdout, target, cases);
	rc = conform_run(&o, &report, &err);
	report_end(&report, rc);
	subject_close(&subject);
	if (rc)
		failure("%s", err.text);
	if (report.failed[LEVEL_MUST])
		return 1;
	return rc || fflush(stdout) || ferror(stdout) ? 2 : 0;
}

const struct command command_conform = {
	.name = "conform",
	.summary = "check a back end clause by clause",
	.starts_programs = true,
	.run = conform_main,
};
