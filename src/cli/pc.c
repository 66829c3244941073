/* SPDX-License-Identifier: MIT */
/* `ringside pc`: a small PC on KVM, with its serial port on standard input and output. */
#include "backend/machine/pc.h"

#include "base/log.h"
#include "base/size.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/disk_words.h"
#include "cli/pc_stats.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define DISKS_MAX   28 /* slots that are free */
#define WORKERS_MAX 64
#define POLL_US	    50
#define DEFAULT_MIB 512
#define MIB	    (UINT64_C(1) << 20)

struct machine {
	struct pc_config config;
	struct pc *pc;
	struct disk_words disks[DISKS_MAX];
	unsigned n_disks;
	const char *stats; /* file for the counters, NULL: none */
	struct console console;
	int signal_fd;
	int signal; /* that ended it, 0: none */
	struct reactor_watch signals;
	bool done; /* an option has already done all there is to do */
};

static const char pc_help_head[] =
	"Usage: ringside pc --kernel FILE [OPTION...]\n"
	"       ringside pc --bios FILE --disk SPEC [OPTION...]\n"
	"\n"
	"Boots a PC on KVM.  Its serial port is standard input and output; on a terminal Ctrl-A X "
	"ends it.\n"
	"\n"
	"  --bios FILE          firmware, which boots from the first disk: SeaBIOS' bios-256k.bin\n"
	"  --kernel FILE        a bzImage, or an ELF file with a PVH entry point\n"
	"  --initrd FILE        its initial RAM disk\n"
	"  --append TEXT        its command line\n"
	"  --disk SPEC          a disk on a virtio-blk-pci card, see below; repeat for more\n"
	"  --memory MIB         default: 512; a suffix makes it another unit: 2G\n"
	"  --cpus N             virtual CPUs, 1 to 64; default: 1\n"
	"  --no-reboot          a reset ends the machine\n"
	"  --ioeventfd on|off   off: a guest's kick leaves to user space\n"
	"  --irqfd on|off       off: an interrupt is sent by a system call\n"
	"  --stats FILE         what was counted, as JSON, when the machine has ended\n"
	"  --quiet, --verbose   fewer or more messages\n"
	"\n"
	"SPEC, for example file=vm.raw,readonly=on,serial=abc:\n";

static const char pc_help_tail[] =
	"\n"
	"Exit status: 0 when the guest switched itself off; (v << 1) | 1 when it wrote v to port "
	"0xf4; 1 after\n"
	"a failure, 2 after a wrong command line, 128 and the signal's number after a signal.\n"
	"\n"
	"More: ringside-pc(1)\n";

enum {
	OPT_BIOS = 256,
	OPT_KERNEL,
	OPT_INITRD,
	OPT_APPEND,
	OPT_DISK,
	OPT_MEMORY,
	OPT_CPUS,
	OPT_NO_REBOOT,
	OPT_IOEVENTFD,
	OPT_IRQFD,
	OPT_STATS,
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
	{"memory", required_argument, NULL, OPT_MEMORY},
	{"cpus", required_argument, NULL, OPT_CPUS},
	{"no-reboot", no_argument, NULL, OPT_NO_REBOOT},
	{"ioeventfd", required_argument, NULL, OPT_IOEVENTFD},
	{"irqfd", required_argument, NULL, OPT_IRQFD},
	{"stats", required_argument, NULL, OPT_STATS},
	{"quiet", no_argument, NULL, OPT_QUIET},
	{"verbose", no_argument, NULL, OPT_VERBOSE},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

/* ---- the command line ---- */

static int take_memory(struct machine *m, const char *arg)
{
	uint64_t size;
	int rc = size_parse(arg, &size);

	if (!rc && strspn(arg, "0123456789") == strlen(arg))
		size = size > PC_MEMORY_MAX / MIB ? UINT64_MAX : size * MIB;
	if (rc == -EINVAL)
		return usage_error("pc", "--memory %s: this is no size.", arg);
	if (rc || size < PC_MEMORY_MIN || size > PC_MEMORY_MAX || size % MIB)
		return usage_error("pc", "--memory %s: give %llu to %llu, in whole MiB.", arg,
				   (unsigned long long)(PC_MEMORY_MIN / MIB),
				   (unsigned long long)(PC_MEMORY_MAX / MIB));
	m->config.memory = size;
	return EXIT_OK;
}

static int add_disk(struct machine *m, const char *arg)
{
	struct error err;

	if (m->n_disks == DISKS_MAX)
		return usage_error("pc", "more than %d disks.", DISKS_MAX);
	if (disk_words_parse(arg, &m->disks[m->n_disks], &err))
		return usage_error("pc", "--disk %s: %s.", arg, err.text);
	m->n_disks++;
	return EXIT_OK;
}

static int take_switch(const char *name, const char *arg, bool *off)
{
	if (strcmp(arg, "on") && strcmp(arg, "off"))
		return usage_error("pc", "--%s %s: say on or off.", name, arg);
	*off = !strcmp(arg, "off");
	return EXIT_OK;
}

static int take_option(struct machine *m, int opt, const char *arg)
{
	uint64_t n;

	switch (opt) {
	case OPT_BIOS:
		m->config.bios = arg;
		return EXIT_OK;
	case OPT_KERNEL:
		m->config.kernel = arg;
		return EXIT_OK;
	case OPT_INITRD:
		m->config.initrd = arg;
		return EXIT_OK;
	case OPT_APPEND:
		m->config.cmdline = arg;
		return EXIT_OK;
	case OPT_DISK:
		return add_disk(m, arg);
	case OPT_MEMORY:
		return take_memory(m, arg);
	case OPT_CPUS:
		if (number_parse(arg, 1, KVM_CPUS_MAX, &n))
			return usage_error("pc", "--cpus %s: give 1 to %d.", arg, KVM_CPUS_MAX);
		m->config.cpus = (unsigned)n;
		return EXIT_OK;
	case OPT_NO_REBOOT:
		m->config.no_reboot = true;
		return EXIT_OK;
	case OPT_IOEVENTFD:
		return take_switch("ioeventfd", arg, &m->config.no_ioeventfd);
	case OPT_IRQFD:
		return take_switch("irqfd", arg, &m->config.no_irqfd);
	case OPT_STATS:
		m->stats = arg;
		return EXIT_OK;
	case OPT_QUIET:
		log_setup(LOG_LEVEL_ERR, NULL, NULL);
		return EXIT_OK;
	case OPT_VERBOSE:
		log_setup(LOG_LEVEL_DBG, NULL, NULL);
		return EXIT_OK;
	case OPT_HELP:
		fputs(pc_help_head, stdout);
		fputs(disk_spec_help, stdout);
		fputs(disk_words_help, stdout);
		fputs(pc_help_tail, stdout);
		m->done = true;
		return fflush(stdout) ? EXIT_FAILED : EXIT_OK;
	default:
		return EXIT_USAGE;
	}
}

static int parse(struct machine *m, int argc, char **argv)
{
	int opt, rc;

	optind = 1;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, "+:", pc_options, NULL)) != -1) {
		if (opt == ':')
			return usage_error("pc", "%s needs a value.", argv[optind - 1]);
		if (opt == '?')
			return usage_error("pc", "%s is no option of pc.", argv[optind - 1]);
		rc = take_option(m, opt, optarg);
		if (rc || m->done)
			return rc;
	}
	if (optind < argc)
		return usage_error("pc", "'%s' stands alone: did you mean --kernel %s?",
				   argv[optind], argv[optind]);
	if (!m->config.kernel && !m->config.bios)
		return usage_error("pc",
				   "what shall be booted? Give --kernel FILE or --bios FILE.");
	if (m->config.bios && (m->config.kernel || m->config.initrd || m->config.cmdline))
		return usage_error("pc", "--bios boots from a disk: it takes no kernel.");
	return EXIT_OK;
}

/* ---- signals ---- */

static void signals_ready(struct reactor_watch *w, uint32_t events)
{
	struct machine *m = container_of(w, struct machine, signals);
	struct signalfd_siginfo info;

	(void)events;
	while (read(m->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		m->signal = (int)info.ssi_signo;
		pc_stop(m->pc);
	}
}

static int take_signals(struct machine *m, struct error *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || signal(SIGXFSZ, SIG_IGN) == SIG_ERR ||
	    sigprocmask(SIG_BLOCK, &set, NULL))
		return error_set(err, -errno, "cannot set up signals");
	m->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return m->signal_fd < 0 ? error_set(err, -errno, "cannot wait for signals") : 0;
}

/* ---- running ---- */

static void quit(struct console *c)
{
	pc_stop(container_of(c, struct machine, console)->pc);
}

static int run(struct machine *m, struct error *err)
{
	int rc;

	m->signals.ready = signals_ready;
	rc = reactor_watch_start(pc_home(m->pc), &m->signals, m->signal_fd, EPOLLIN);
	if (rc)
		return error_set(err, rc, "cannot wait for signals");
	rc = console_start(&m->console, &m->pc->serial, pc_home(m->pc), quit, err);
	if (!rc)
		rc = pc_run(m->pc, err);
	console_fini(&m->console);
	reactor_watch_stop(pc_home(m->pc), &m->signals);
	if (!rc && m->stats)
		rc = pc_stats_write(m->pc, m->stats, err);
	return rc;
}

static int verdict(const struct machine *m)
{
	switch (m->pc->end) {
	case PC_EXIT:
		return m->pc->exit_value << 1 | 1;
	case PC_CRASHED:
	case PC_FAILED:
		return failure("%s", m->pc->failure);
	case PC_STOPPED:
		return m->signal ? 128 + m->signal : EXIT_OK;
	default:
		return EXIT_OK;
	}
}

static unsigned choose_workers(const struct machine *m)
{
	unsigned queues = 0, cpus = 1;
	cpu_set_t set;

	for (unsigned i = 0; i < m->n_disks; i++)
		queues += m->disks[i].disk.queues;
	if (!sched_getaffinity(0, sizeof(set), &set))
		cpus = (unsigned)CPU_COUNT(&set);
	return (unsigned)max_u64(1, min_u64(min_u64(queues, cpus), WORKERS_MAX));
}

static int plug_disks(struct machine *m, struct error *err)
{
	for (unsigned i = 0; i < m->n_disks; i++) {
		int rc = pc_add_disk(m->pc, &m->disks[i].disk, &m->disks[i].board, err);

		if (rc)
			return rc;
	}
	return 0;
}

static int boot(struct machine *m)
{
	struct error err = {""};
	int rc;

	console_init(&m->console);
	m->config.serial = &m->console.line;
	m->config.workers = choose_workers(m);
	m->config.poll_us = POLL_US;
	if (take_signals(m, &err) || pc_create(&m->pc, &m->config, &err))
		return failure("%s", err.text);
	rc = plug_disks(m, &err) || run(m, &err) ? failure("%s", err.text) : verdict(m);
	pc_destroy(&m->pc);
	return rc;
}

static int pc_main(int argc, char **argv)
{
	struct machine *m = calloc(1, sizeof(*m));
	int rc;

	if (!m)
		return failure("out of memory");
	m->config.memory = DEFAULT_MIB * MIB;
	m->config.cpus = 1;
	m->signal_fd = -1;
	rc = parse(m, argc, argv);
	if (!rc && !m->done)
		rc = boot(m);
	if (m->signal_fd >= 0)
		close(m->signal_fd);
	for (unsigned i = 0; i < m->n_disks; i++)
		disk_words_fini(&m->disks[i]);
	free(m);
	return rc;
}

const struct command command_pc = {
	.name = "pc",
	.summary = "boot a PC on KVM",
	.run = pc_main,
};
