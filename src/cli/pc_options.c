/* SPDX-License-Identifier: MIT */
#include "cli/pc_options.h"

#include "backend/kvm/probe.h"
#include "backend/machine/unpack.h"
#include "backend/virtio_pci/words.h"
#include "base/grow.h"
#include "base/log.h"
#include "base/size.h"
#include "cli/commands.h"
#include "disk/pool.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_MIB 512
#define MIB	    (UINT64_C(1) << 20)

static const char pc_help_head[] =
	"Usage: ringside pc --kernel FILE [OPTION...]\n"
	"       ringside pc --bios FILE --disk SPEC [OPTION...]\n"
	"\n"
	"Boots a PC on KVM.  Its serial port is standard input and output; on a terminal Ctrl-A X "
	"ends it.\n"
	"\n"
	"";

static const char tree_help_head[] =
	"Usage: ringside tree [--format text|json] [OPTION of ringside pc...]\n"
	"       ringside tree [--format text|json] --of SOCKET\n"
	"\n"
	"Prints the buses and devices of the machine that ringside pc would make, without making "
	"it;\n"
	"with --of SOCKET, of the machine that runs and has that control socket.\n"
	"\n"
	"  --of SOCKET          the control socket of a ringside pc or ringside serve that runs\n"
	"  --format text|json   default: text\n"
	"\n"
	"of ringside pc:\n";

static const char pc_help_options[] =
	"  --bios FILE          firmware, which boots from the first disk: SeaBIOS' bios-256k.bin\n"
	"  --kernel FILE        a bzImage, or an ELF file with a PVH entry point; may be "
	"compressed\n"
	"                       (zstd, gzip, xz, lz4), and a pipe, as all of these files\n"
	"  --initrd FILE        its initial RAM disk\n"
	"  --append TEXT        its command line\n"
	"  --disk SPEC          a disk on a virtio-blk-pci card, see below; repeat for more\n"
	"  --ide SPEC           an IDE disk, at most 4\n"
	"  --scsi SPEC          a disk on an LSI53C895A SCSI adapter; repeat for more\n"
	"  --net SPEC           a network card on a virtio-net-pci card, see below; repeat for "
	"more\n"
	"  --memory MIB         default: 512; a suffix makes it another unit: 2G\n"
	"  --cpus N             virtual CPUs, 1 to 64; default: 1\n"
	"  --no-reboot          a reset ends the machine\n"
	"  --ioeventfd on|off   off: a guest's kick leaves to user space\n"
	"  --irqfd on|off       off: an interrupt is sent by a system call\n"
	"  --stats FILE         what was counted, as JSON, when the machine has ended\n"
	"  --control SOCKET     answers questions there: see ringside tree --of SOCKET\n"
	"  --probe              only says whether KVM here can run 64-bit guests\n"
	"  --quiet, --verbose   fewer or more messages\n"
	"\n"
	"SPEC of a disk, for example file=vm.raw,readonly=on,serial=abc:\n";

static const char pc_help_tail[] =
	"\n"
	"Exit status of pc: 0 when the guest switched itself off; (v << 1) | 1 when it wrote v to "
	"port "
	"0xf4; 1 after\n"
	"a failure, 2 after a wrong command line, 128 and the signal's number after a signal.\n"
	"\n"
	"More: ringside-pc(1), ringside-tree(1)\n";

enum {
	OPT_BIOS = 256,
	OPT_KERNEL,
	OPT_INITRD,
	OPT_APPEND,
	OPT_DISK,
	OPT_IDE,
	OPT_SCSI,
	OPT_NET,
	OPT_MEMORY,
	OPT_CPUS,
	OPT_NO_REBOOT,
	OPT_IOEVENTFD,
	OPT_IRQFD,
	OPT_PROBE,
	OPT_STATS,
	OPT_CONTROL,
	OPT_OF,
	OPT_FORMAT,
	OPT_QUIET,
	OPT_VERBOSE,
	OPT_HELP,
};

static const struct option pc_options[] = {
	{"bios", required_argument, NULL, OPT_BIOS},
	{"kernel", required_argument, NULL, OPT_KERNEL},
	{"initrd", required_argument, NULL, OPT_INITRD},
	{"append", required_argument, NULL, OPT_APPEND},
	{"disk", required_argument, NULL, OPT_DISK},
	{"ide", required_argument, NULL, OPT_IDE},
	{"scsi", required_argument, NULL, OPT_SCSI},
	{"net", required_argument, NULL, OPT_NET},
	{"memory", required_argument, NULL, OPT_MEMORY},
	{"cpus", required_argument, NULL, OPT_CPUS},
	{"no-reboot", no_argument, NULL, OPT_NO_REBOOT},
	{"ioeventfd", required_argument, NULL, OPT_IOEVENTFD},
	{"irqfd", required_argument, NULL, OPT_IRQFD},
	{"probe", no_argument, NULL, OPT_PROBE},
	{"control", required_argument, NULL, OPT_CONTROL},
	{"of", required_argument, NULL, OPT_OF},
	{"format", required_argument, NULL, OPT_FORMAT},
	{"stats", required_argument, NULL, OPT_STATS},
	{"quiet", no_argument, NULL, OPT_QUIET},
	{"verbose", no_argument, NULL, OPT_VERBOSE},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

/* ---- the command line ---- */

static int take_memory(struct pc_options *o, const char *arg)
{
	uint64_t size;
	int rc = size_parse(arg, &size);

	if (!rc && strspn(arg, "0123456789") == strlen(arg))
		size = size > PC_MEMORY_MAX / MIB ? UINT64_MAX : size * MIB;
	if (rc == -EINVAL)
		return usage_error(o->command, "--memory %s: this is no size.", arg);
	if (rc || size < PC_MEMORY_MIN || size > PC_MEMORY_MAX || size % MIB)
		return usage_error(o->command, "--memory %s: give %llu to %llu, in whole MiB.", arg,
				   (unsigned long long)(PC_MEMORY_MIN / MIB),
				   (unsigned long long)(PC_MEMORY_MAX / MIB));
	o->config.memory = size;
	return EXIT_OK;
}

static int add_disk(struct pc_options *o, const char *arg)
{
	struct disk_words *all = grow_for_one(o->disks, o->n_disks, sizeof(*all));
	struct error err;

	if (!all)
		return failure("out of memory");
	o->disks = all;
	if (disk_words_parse(arg, &all[o->n_disks], &err))
		return usage_error(o->command, "--disk %s: %s.", arg, err.text);
	o->n_disks++;
	if (storage_judge_options(&all[o->n_disks - 1].disk.storage, &err))
		return usage_error(o->command, "--disk %s: %s.", arg, err.text);
	return EXIT_OK;
}

static int add_ide(struct pc_options *o, const char *arg)
{
	struct disk_spec *spec = &o->ide[o->n_ide];
	struct error err;

	if (o->n_ide == PIIX3_IDE_DISKS_MAX)
		return usage_error(o->command, "more than %u IDE disks.", PIIX3_IDE_DISKS_MAX);
	if (disk_spec_parse_as(DISK_IDE, arg, NULL, spec, &err))
		return usage_error(o->command, "--ide %s: %s.", arg, err.text);
	o->n_ide++;
	if (storage_judge_options(&spec->storage, &err))
		return usage_error(o->command, "--ide %s: %s.", arg, err.text);
	return EXIT_OK;
}

static int add_scsi(struct pc_options *o, const char *arg)
{
	struct disk_spec *spec = &o->scsi[o->n_scsi];
	struct error err;

	if (o->n_scsi == PC_SCSI_MAX)
		return usage_error(o->command, "more than %d SCSI disks.", PC_SCSI_MAX);
	if (disk_spec_parse_as(DISK_SCSI, arg, NULL, spec, &err))
		return usage_error(o->command, "--scsi %s: %s.", arg, err.text);
	o->n_scsi++;
	if (storage_judge_options(&spec->storage, &err))
		return usage_error(o->command, "--scsi %s: %s.", arg, err.text);
	return EXIT_OK;
}

static int add_net(struct pc_options *o, const char *arg)
{
	struct net_words *all = grow_for_one(o->nets, o->n_nets, sizeof(*all));
	struct error err;

	if (!all)
		return failure("out of memory");
	o->nets = all;
	if (net_words_parse(arg, &all[o->n_nets], &err))
		return usage_error(o->command, "--net %s: %s.", arg, err.text);
	o->n_nets++;
	return EXIT_OK;
}

static int take_switch(const struct pc_options *o, const char *name, const char *arg, bool *off)
{
	if (strcmp(arg, "on") && strcmp(arg, "off"))
		return usage_error(o->command, "--%s %s: say on or off.", name, arg);
	*off = !strcmp(arg, "off");
	return EXIT_OK;
}

static int probe(void)
{
	struct error err;

	if (kvm_probe(&err))
		return failure("%s", err.text);
	puts("KVM here runs 64-bit guests.");
	return fflush(stdout) || ferror(stdout) ? EXIT_FAILED : EXIT_OK;
}

static void print_names(const char *option, enum disk_kind kind)
{
	char names[160] = "";

	words_names(disk_device_words(kind), names, sizeof(names));
	printf("SPEC of --%s: the words of the storage, and %s\n", option, names);
}

static int take_option(struct pc_options *o, int opt, const char *arg)
{
	uint64_t n;

	switch (opt) {
	case OPT_BIOS:
		o->config.bios = arg;
		return EXIT_OK;
	case OPT_KERNEL:
		o->config.kernel = arg;
		o->config.unpack = boot_unpack;
		return EXIT_OK;
	case OPT_INITRD:
		o->config.initrd = arg;
		return EXIT_OK;
	case OPT_APPEND:
		o->config.cmdline = arg;
		return EXIT_OK;
	case OPT_DISK:
		return add_disk(o, arg);
	case OPT_IDE:
		return add_ide(o, arg);
	case OPT_SCSI:
		return add_scsi(o, arg);
	case OPT_NET:
		return add_net(o, arg);
	case OPT_MEMORY:
		return take_memory(o, arg);
	case OPT_CPUS:
		if (number_parse(arg, 1, KVM_CPUS_MAX, &n))
			return usage_error(o->command, "--cpus %s: give 1 to %d.", arg,
					   KVM_CPUS_MAX);
		o->config.cpus = (unsigned)n;
		return EXIT_OK;
	case OPT_NO_REBOOT:
		o->config.no_reboot = true;
		return EXIT_OK;
	case OPT_IOEVENTFD:
		return take_switch(o, "ioeventfd", arg, &o->config.no_ioeventfd);
	case OPT_IRQFD:
		return take_switch(o, "irqfd", arg, &o->config.no_irqfd);
	case OPT_PROBE:
		o->done = true;
		return probe();
	case OPT_FORMAT:
		if (strcmp(o->command, "tree"))
			return usage_error(o->command, "--format is for ringside tree.");
		if (strcmp(arg, "text") && strcmp(arg, "json"))
			return usage_error(o->command, "--format %s: give text or json.", arg);
		o->json = !strcmp(arg, "json");
		return EXIT_OK;
	case OPT_CONTROL:
		o->control.all = arg;
		return EXIT_OK;
	case OPT_OF:
		if (strcmp(o->command, "tree"))
			return usage_error(o->command, "--of is for ringside tree.");
		o->of = arg;
		return EXIT_OK;
	case OPT_STATS:
		o->stats = arg;
		return EXIT_OK;
	case OPT_QUIET:
		log_setup(LOG_LEVEL_ERR, NULL, NULL);
		return EXIT_OK;
	case OPT_VERBOSE:
		log_setup(LOG_LEVEL_DBG, NULL, NULL);
		return EXIT_OK;
	case 'h':
	case OPT_HELP:
		fputs(strcmp(o->command, "tree") ? pc_help_head : tree_help_head, stdout);
		fputs(pc_help_options, stdout);
		disk_spec_help(stdout);
		print_names("ide", DISK_IDE);
		print_names("scsi", DISK_SCSI);
		fputs("\nSPEC of a network card, for example user,hostfwd=tcp::8080-:80:\n",
		      stdout);
		fputs(net_spec_help, stdout);
		fputs("\nof either card:\n", stdout);
		words_help(stdout, &virtio_pci_words);
		fputs(pc_help_tail, stdout);
		o->done = true;
		return fflush(stdout) || ferror(stdout) ? EXIT_FAILED : EXIT_OK;
	default:
		return EXIT_USAGE;
	}
}

static int check(const struct pc_options *o)
{
	if (!strcmp(o->command, "tree"))
		return EXIT_OK;
	if (!o->config.kernel && !o->config.bios)
		return usage_error(o->command,
				   "what shall be booted? Give --kernel FILE or --bios FILE.");
	if (o->config.bios && (o->config.kernel || o->config.initrd || o->config.cmdline))
		return usage_error(o->command, "--bios boots from a disk: it takes no kernel.");
	/* Firmware of another kind may need none. */
	if (o->config.bios && !o->n_disks && !o->n_ide && !o->n_scsi)
		log_warn("pc",
			 "there is no disk that %s could boot from: give --disk, --ide or "
			 "--scsi; it may wait for one for ever (Ctrl-A X, or SIGTERM, ends it)",
			 o->config.bios);
	return EXIT_OK;
}

static unsigned choose_workers(const struct pc_options *o)
{
	unsigned queues = 0;

	for (unsigned i = 0; i < o->n_disks; i++)
		queues += o->disks[i].disk.queues;
	for (unsigned i = 0; i < o->n_nets; i++)
		queues += o->nets[i].net.kind == NET_TAP ? 2u * o->nets[i].net.queues : 1;
	return worker_pool_suits(queues);
}

int pc_options_parse(struct pc_options *o, const char *command, int argc, char **argv)
{
	int opt, rc;

	*o = (struct pc_options){
		.command = command,
		.config = {.memory = DEFAULT_MIB * MIB, .cpus = 1, .poll_us = REACTOR_POLL_US},
	};

	optind = 1;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, "+:h", pc_options, NULL)) != -1) {
		if (opt == ':')
			return usage_error(o->command, "%s needs a value.", argv[optind - 1]);
		if (opt == '?')
			return usage_error(o->command, "%s is no option of %s.", argv[optind - 1],
					   o->command);
		rc = take_option(o, opt, optarg);
		if (rc || o->done)
			return rc;
	}
	if (optind < argc)
		return usage_error(o->command, "'%s' stands alone: did you mean --kernel %s?",
				   argv[optind], argv[optind]);
	o->config.workers = choose_workers(o);
	return check(o);
}

void pc_options_fini(struct pc_options *o)
{
	for (unsigned i = 0; i < o->n_disks; i++)
		disk_words_fini(&o->disks[i]);
	for (unsigned i = 0; i < o->n_ide; i++)
		disk_spec_fini(&o->ide[i]);
	for (unsigned i = 0; i < o->n_scsi; i++)
		disk_spec_fini(&o->scsi[i]);
	free(o->disks);
	free(o->nets);
	o->disks = NULL;
	o->nets = NULL;
	o->n_disks = o->n_nets = o->n_ide = o->n_scsi = 0;
}

static int plug_net(const struct net_words *w, bool plan, struct pc *pc, struct error *err)
{
	struct net_link *link;
	int rc = plan ? net_none_open(&link, w->net.queues, err)
		      : net_spec_open(&w->net, &link, err);

	return rc ? rc : pc_add_net(pc, link, &w->net, &w->board, err);
}

static int open_ahead(const struct disk_spec *spec, enum disk_kind kind, unsigned nth,
		      struct pc *pc, struct error *err)
{
	char path[PC_DISK_PATH];

	pc_disk_path(kind, nth, path);
	return disk_ahead_begin(&pc->room, spec, path, err);
}

int pc_options_open(const struct pc_options *o, struct pc *pc, bool (*stopped)(void *opaque),
		    void *opaque, struct error *err)
{
	int rc = 0;

	for (unsigned i = 0; !rc && i < o->n_disks; i++)
		rc = open_ahead(&o->disks[i].disk, DISK_VIRTIO, i, pc, err);
	for (unsigned i = 0; !rc && i < o->n_ide; i++)
		rc = open_ahead(&o->ide[i], DISK_IDE, i, pc, err);
	for (unsigned i = 0; !rc && i < o->n_scsi; i++)
		rc = open_ahead(&o->scsi[i], DISK_SCSI, i, pc, err);
	if (!rc)
		rc = disk_ahead_wait(&pc->room, stopped, opaque, err);
	if (rc)
		disk_ahead_end(&pc->room);
	return rc;
}

int pc_options_plug(const struct pc_options *o, struct pc *pc, bool plan, struct error *err)
{
	int rc = 0;

	for (unsigned i = 0; !rc && i < o->n_disks; i++)
		rc = pc_add_disk(pc, &o->disks[i].disk, &o->disks[i].board, err);
	for (unsigned i = 0; !rc && i < o->n_ide; i++)
		rc = pc_add_ide(pc, &o->ide[i], err);
	for (unsigned i = 0; !rc && i < o->n_scsi; i++)
		rc = pc_add_scsi_disk(pc, &o->scsi[i], err);
	for (unsigned i = 0; !rc && i < o->n_nets; i++)
		rc = plug_net(&o->nets[i], plan, pc, err);
	return rc;
}
