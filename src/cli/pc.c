/* SPDX-License-Identifier: MIT */
/* `ringside pc`: a small PC on KVM, with its serial port on standard input and output. */
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/instance.h"
#include "cli/pc_options.h"
#include "cli/pc_stats.h"
#include "cli/tree.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct machine {
	struct pc_options options;
	struct pc *pc;
	struct console console;
	struct instance instance;
	int signal_fd;
	int signal; /* that ended it, 0: none */
	struct reactor_watch signals;
};

/* ---- signals ---- */

static void signals_ready(struct reactor_watch *w, uint32_t events)
{
	struct machine *m = container_of(w, struct machine, signals);
	struct signalfd_siginfo info;

	(void)events;
	while (read(m->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		switch ((int)info.ssi_signo) {
		case SIGTSTP:
			console_suspend(&m->console);
			raise(SIGSTOP); /* until somebody continues us */
			console_resume(&m->console);
			break;
		case SIGCONT:
			console_resume(&m->console);
			break;
		default:
			m->signal = (int)info.ssi_signo;
			pc_stop(m->pc);
		}
	}
}

static int take_signals(struct machine *m, struct error *err)
{
	/*
	 * All whose default is the end of the program, so that none leaves the terminal raw; what
	 * only a program that has gone wrong gets (SIGSEGV, SIGABRT and their kind) keeps its default.
	 */
	static const int taken[] = {
		SIGTERM, SIGINT,    SIGHUP,  SIGQUIT, SIGALRM, SIGVTALRM, SIGPROF, SIGUSR1,
		SIGUSR2, SIGSTKFLT, SIGXCPU, SIGIO,   SIGPWR,  SIGTSTP,	  SIGCONT,
	};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		sigaddset(&set, taken[i]);
	/* The first one is the virtual CPUs'. */
	for (int i = SIGRTMIN + 1; i <= SIGRTMAX; i++)
		sigaddset(&set, i);
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || signal(SIGXFSZ, SIG_IGN) == SIG_ERR ||
	    sigprocmask(SIG_BLOCK, &set, NULL))
		return error_set(err, -errno, "cannot set up signals");
	m->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return m->signal_fd < 0 ? error_set(err, -errno, "cannot wait for signals") : 0;
}

/* ---- running ---- */

static void pc_quit(struct console *c)
{
	pc_stop(container_of(c, struct machine, console)->pc);
}

static struct machine *machine_of(const struct control_call *call)
{
	return container_of(instance_of(call), struct machine, instance);
}

static void verb_tree(struct control_call *call)
{
	const struct machine *m = machine_of(call);

	control_reply(call, tree_machine(m->pc, &m->options));
}

static void verb_stats(struct control_call *call)
{
	control_reply(call, pc_stats(machine_of(call)->pc));
}

static const struct control_verb pc_tree = {
	.name = "tree", .text = "buses and devices as they are", .run = verb_tree};
static const struct control_verb pc_counters = {
	.name = "stats",
	.text = "what was counted until now: exits by reason, kicks, interrupts, requests",
	.run = verb_stats,
};

static const struct control_verb *const pc_verbs[] = {
	&pc_tree, &pc_counters, &instance_set, &instance_resume, &instance_stop, NULL,
};

static void pc_told_to_stop(struct instance *in)
{
	pc_stop(container_of(in, struct machine, instance)->pc);
}

static int pc_listen(struct machine *m, struct error *err)
{
	m->instance.storages = m->pc->room.storages;
	m->instance.stop = pc_told_to_stop;
	return control_open(&m->instance.control, pc_verbs, &m->options.control, pc_home(m->pc),
			    err);
}

static int pc_run_machine(struct machine *m, struct error *err)
{
	int rc = pc_listen(m, err);

	if (!rc)
		rc = console_start(&m->console, &m->pc->serial, pc_home(m->pc), pc_quit, err);
	if (!rc)
		rc = pc_run(m->pc, err);
	console_fini(&m->console);
	control_close(&m->instance.control);
	if (!rc && m->options.stats)
		rc = pc_stats_write(m->pc, m->options.stats, err);
	return rc;
}

static int pc_verdict(const struct machine *m)
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

static bool has_signal(void *machine)
{
	return ((const struct machine *)machine)->signal;
}

/* -ECANCELED: a signal came before there was anything to run. */
static int pc_make(struct machine *m, struct error *err)
{
	int rc = pc_use_kvm(m->pc, &m->options.config, err);

	if (!rc)
		rc = pc_options_open(&m->options, m->pc, has_signal, m, err);
	return rc ? rc : pc_options_plug(&m->options, m->pc, false, err);
}

static int pc_boot(struct machine *m)
{
	struct error err = {""};
	int rc;

	console_init(&m->console);
	m->options.config.serial = &m->console.line;
	if (take_signals(m, &err) || pc_create(&m->pc, &m->options.config, &err))
		return failure("%s", err.text);
	m->signals.ready = signals_ready;
	rc = reactor_watch_start(pc_home(m->pc), &m->signals, m->signal_fd, EPOLLIN);
	if (rc)
		error_set(&err, rc, "cannot wait for signals");
	else
		rc = pc_make(m, &err);
	if (!rc)
		rc = pc_run_machine(m, &err);
	rc = rc && rc != -ECANCELED ? failure("%s", err.text) : pc_verdict(m);
	reactor_watch_stop(pc_home(m->pc), &m->signals);
	pc_destroy(&m->pc);
	return rc;
}

static int pc_main(int argc, char **argv)
{
	struct machine *m = calloc(1, sizeof(*m));
	int rc;

	if (!m)
		return failure("out of memory");
	m->signal_fd = -1;
	rc = pc_options_parse(&m->options, argv[0], argc, argv);
	if (!rc && !m->options.done)
		rc = pc_boot(m);
	if (m->signal_fd >= 0)
		close(m->signal_fd);
	pc_options_fini(&m->options);
	free(m);
	return rc;
}

const struct command command_pc = {
	.name = "pc",
	.summary = "boot a PC on KVM",
	.run = pc_main,
};
