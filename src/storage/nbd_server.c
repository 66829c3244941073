/* SPDX-License-Identifier: MIT */
#include "storage/nbd_server.h"

#include "base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS_MAX 16
#define LOOK_MS	 10

/* LISTEN_PID has to be the server's own, which the shell knows. */
static const char script[] =
	"export LISTEN_PID=$$\n"
	"if command -v setpriv >/dev/null 2>&1; then exec setpriv --pdeathsig TERM \"$@\"; fi\n"
	"exec \"$@\"\n";

/* Both ends: @listening has one that waits to be accepted, and nobody can come after it. */
static int make_sockets(int *listening, int *client)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	/* sun_path is short: not TMPDIR. */
	char dir[] = "/tmp/ringside-nbd-XXXXXX";
	int rc = 0;

	*listening = *client = -1;
	if (!mkdtemp(dir))
		return -errno;
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/socket", dir);
	*listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	*client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*listening < 0 || *client < 0 || bind(*listening, (struct sockaddr *)&a, sizeof(a)) ||
	    listen(*listening, 1) || connect(*client, (struct sockaddr *)&a, sizeof(a)))
		rc = -errno;
	unlink(a.sun_path);
	rmdir(dir);
	return rc;
}

/* NULL, or our environment without a word of other sockets, and with ours. */
static char **make_environment(void)
{
	size_t n = 0, k = 0;
	char **env;

	while (environ[n])
		n++;
	env = calloc(n + 2, sizeof(env[0]));
	for (size_t i = 0; env && i < n; i++)
		if (strncmp(environ[i], "LISTEN_", 7) != 0)
			env[k++] = environ[i];
	if (env)
		env[k] = (char *)"LISTEN_FDS=1";
	return env;
}

static int spawn(struct nbd_server *s, char **argv, int listening, int words)
{
	char *args[ARGS_MAX + 5] = {(char *)"sh", (char *)"-c", (char *)script, (char *)"sh"};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	char **env = make_environment();
	size_t n = 4;
	int rc = 0;

	for (size_t i = 0; argv[i] && i < ARGS_MAX; i++)
		args[n++] = argv[i];
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	/* A group of its own: Ctrl-C is for us, who end it in order. */
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
						POSIX_SPAWN_SETPGROUP);
	posix_spawn_file_actions_init(&actions);
	rc |= posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	rc |= posix_spawn_file_actions_adddup2(&actions, words, 1);
	rc |= posix_spawn_file_actions_adddup2(&actions, words, 2);
	rc |= posix_spawn_file_actions_adddup2(&actions, listening, 3);
	rc |= posix_spawn_file_actions_addclosefrom_np(&actions, 4);
	if (rc || !env)
		rc = ENOMEM;
	else
		rc = posix_spawn(&s->pid, "/bin/sh", &actions, &attr, args, env);
	if (rc)
		s->pid = 0;
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	free(env);
	return -rc;
}

/* Out of the way of the numbers that the server's files get. */
static int lift(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, 10);
	int rc = high < 0 ? -errno : high;

	close(fd);
	return rc;
}

static void close_if_open(int fd)
{
	if (fd >= 0)
		close(fd);
}

int nbd_server_start(struct nbd_server *s, char **argv)
{
	int words[2] = {-1, -1}, listening, client, rc;

	*s = (struct nbd_server){.words = -1, .pidfd = -1};
	rc = make_sockets(&listening, &client);
	if (!rc)
		rc = listening = lift(listening);
	if (rc >= 0)
		rc = pipe2(words, O_CLOEXEC) ? -errno : 0;
	if (!rc)
		rc = words[1] = lift(words[1]);
	if (rc >= 0)
		rc = spawn(s, argv, listening, words[1]);
	close_if_open(listening);
	close_if_open(words[1]);
	if (rc) {
		close_if_open(words[0]);
		close_if_open(client);
		return rc;
	}
	fcntl(words[0], F_SETFL, O_NONBLOCK);
	s->words = words[0];
	return client;
}

static void server_line(struct nbd_server *s, const char *name)
{
	if (!s->part[0])
		return;
	snprintf(s->said, sizeof(s->said), "%s", s->part);
	log_limited(&s->log, LOG_LEVEL_WARN, name, "its server says: %s", s->part);
	s->part[0] = '\0';
}

bool nbd_server_listen(struct nbd_server *s, const char *name)
{
	char text[1024];
	size_t used;
	ssize_t n;

	if (s->words < 0)
		return false;
	n = read(s->words, text, sizeof(text));
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (!n) {
		server_line(s, name);
		close(s->words);
		s->words = -1;
		return false;
	}
	/* It comes in pieces of lines. */
	used = strlen(s->part);
	for (ssize_t i = 0; i < n; i++) {
		if (text[i] == '\n') {
			server_line(s, name);
			used = 0;
		} else if (text[i] && used < sizeof(s->part) - 1) {
			/* It may quote the image, and a terminal may show the log. */
			s->part[used++] = iscntrl((unsigned char)text[i]) ? '?' : text[i];
			s->part[used] = '\0';
		}
	}
	return true;
}

/* ---- its end ---- */

void nbd_server_leave(struct nbd_server *s, bool now)
{
	if (!s->pid || s->left_ns)
		return;
	s->left_ns = clock_ns();
	/* Without pidfds (before Linux 5.3) it is looked at. */
	s->pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
	/* It has written nothing of a guest's, and may not listen to SIGTERM yet. */
	if (now)
		kill(s->pid, SIGKILL);
}

/* Its last words, too. */
static void server_over(struct nbd_server *s, const char *name)
{
	close_if_open(s->pidfd);
	while (nbd_server_listen(s, name))
		if (poll(&(struct pollfd){.fd = s->words, .events = POLLIN}, 1, 0) <= 0)
			break;
	close_if_open(s->words);
	s->words = s->pidfd = -1;
	s->pid = 0;
	s->left_ns = s->signals = 0;
}

static uint64_t signal_due(const struct nbd_server *s)
{
	static const unsigned ms[] = {NBD_SERVER_TERM_MS, NBD_SERVER_KILL_MS,
				      NBD_SERVER_KILL_MS + NBD_SERVER_TERM_MS};

	return s->left_ns + ms[s->signals] * NSEC_PER_MSEC;
}

bool nbd_server_has_ended(struct nbd_server *s, const char *name, uint64_t now)
{
	if (waitpid(s->pid, NULL, WNOHANG) != 0) {
		server_over(s, name);
		return true;
	}
	if (now < signal_due(s))
		return false;
	switch (s->signals++) {
	case 0:
		kill(s->pid, SIGTERM);
		return false;
	case 1:
		log_warn(name, "its server does not end, and is killed");
		kill(s->pid, SIGKILL);
		return false;
	default:
		/* In a system call that never returns even that has no effect. */
		server_over(s, name);
		return true;
	}
}

uint64_t nbd_server_due(const struct nbd_server *s, uint64_t now)
{
	uint64_t due = signal_due(s), soon = now + LOOK_MS * NSEC_PER_MSEC;

	return s->pidfd < 0 && soon < due ? soon : due;
}

void nbd_server_end(struct nbd_server *s, const char *name, bool now)
{
	nbd_server_leave(s, now);
	while (s->pid && !nbd_server_has_ended(s, name, clock_ns())) {
		struct pollfd p = {.fd = s->pidfd, .events = POLLIN};
		uint64_t at = clock_ns(), due = nbd_server_due(s, at);

		(void)poll(&p, 1, due > at ? (int)((due - at) / NSEC_PER_MSEC + 1) : 0);
	}
}
