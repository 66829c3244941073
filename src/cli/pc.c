/* SPDX-License-Identifier: MIT */
/* `ringside pc`: a small PC on KVM, with its serial port on standard input and output. */
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/disk_verbs.h"
#include "cli/pc_options.h"
#include "cli/pc_stats.h"
#include "cli/tree.h"
#include "control/control.h"

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
	struct control control;
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

static json_t *pc_answer(struct control *c, const char *request, const json_t *arguments,
			 struct error *err)
{
	const struct machine *m = container_of(c, struct machine, control);

	if (!strcmp(request, "tree"))
		return tree_machine(m->pc, &m->options);
	if (!strcmp(request, "stats"))
		return pc_stats(m->pc);
	return disk_verb(&m->pc->room.storages, request, arguments, err);
}

static const struct control_ops control_ops = {
	.answer = pc_answer,
	.requests = "tree, stats, set, resume",
};

static int pc_run_machine(struct machine *m, struct error *err)
{
	int rc;

	m->signals.ready = signals_ready;
	rc = reactor_watch_start(pc_home(m->pc), &m->signals, m->signal_fd, EPOLLIN);
	if (rc)
		return error_set(err, rc, "cannot wait for signals");
	if (m->options.control)
		rc = control_open(&m->control, &control_ops, m->options.control, pc_home(m->pc),
				  err);
	if (!rc)
		rc = console_start(&m->console, &m->pc->serial, pc_home(m->pc), pc_quit, err);
	if (!rc)
		rc = pc_run(m->pc, err);
	console_fini(&m->console);
	control_close(&m->control);
	reactor_watch_stop(pc_home(m->pc), &m->signals);
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

static int pc_boot(struct machine *m)
{
	struct error err = {""};
	int rc;

	console_init(&m->console);
	m->options.config.serial = &m->console.line;
	if (take_signals(m, &err) || pc_create(&m->pc, &m->options.config, &err))
		return failure("%s", err.text);
	rc = pc_use_kvm(m->pc, &m->options.config, &err) ||
			     pc_options_plug(&m->options, m->pc, false, &err) ||
			     pc_run_machine(m, &err)
		     ? failure("%s", err.text)
		     : pc_verdict(m);
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
