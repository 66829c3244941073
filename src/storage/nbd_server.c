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

/* LISTEN_PID has to be the server's own, which the shell knows. */
static const char script[] =
	"export LISTEN_PID=$$\n"
	"if command -v setpriv >/dev/null 2>&1; then exec setpriv --pdeathsig TERM \"$@\"; fi\n"
	"exec \"$@\"\n";

static int make_socket(struct nbd_server *s)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd, rc;

	/* sun_path is short: not TMPDIR. */
	strcpy(s->dir, "/tmp/ringside-nbd-XXXXXX");
	if (!mkdtemp(s->dir)) {
		s->dir[0] = '\0';
		return -errno;
	}
	snprintf(s->path, sizeof(s->path), "%s/socket", s->dir);
	strcpy(a.sun_path, s->path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 1)) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

void nbd_server_hide(struct nbd_server *s)
{
	if (!s->dir[0])
		return;
	unlink(s->path);
	rmdir(s->dir);
	s->dir[0] = '\0';
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

int nbd_server_start(struct nbd_server *s, char **argv)
{
	int words[2] = {-1, -1}, fd, rc;

	*s = (struct nbd_server){.words = -1};
	fd = make_socket(s);
	if (fd < 0) {
		nbd_server_hide(s);
		return fd;
	}
	rc = fd = lift(fd);
	if (rc >= 0)
		rc = pipe2(words, O_CLOEXEC) ? -errno : 0;
	if (!rc)
		rc = words[1] = lift(words[1]);
	if (rc >= 0)
		rc = spawn(s, argv, fd, words[1]);
	if (fd >= 0)
		close(fd);
	if (words[1] >= 0)
		close(words[1]);
	if (rc) {
		if (words[0] >= 0)
			close(words[0]);
		nbd_server_hide(s);
		return rc;
	}
	fcntl(words[0], F_SETFL, O_NONBLOCK);
	s->words = words[0];
	return 0;
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

static bool has_ended(struct nbd_server *s, int pidfd, int ms)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	/* Without pidfds (before Linux 5.3) it is looked at. */
	if (pidfd >= 0) {
		(void)poll(&p, 1, ms);
		return waitpid(s->pid, NULL, WNOHANG) != 0;
	}
	for (uint64_t until = clock_ns() + (uint64_t)ms * NSEC_PER_MSEC;;) {
		if (waitpid(s->pid, NULL, WNOHANG) != 0)
			return true;
		if (clock_ns() >= until)
			return false;
		(void)poll(NULL, 0, 10);
	}
}

void nbd_server_end(struct nbd_server *s, const char *name, bool now)
{
	int pidfd;

	nbd_server_hide(s);
	if (!s->pid)
		return;
	pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
	/* It has written nothing of a guest's, and may not listen to SIGTERM yet. */
	if (now)
		kill(s->pid, SIGKILL);
	if (!has_ended(s, pidfd, NBD_SERVER_TERM_MS)) {
		kill(s->pid, SIGTERM);
		if (!has_ended(s, pidfd, NBD_SERVER_KILL_MS - NBD_SERVER_TERM_MS)) {
			log_warn(name, "its server does not end, and is killed");
			kill(s->pid, SIGKILL);
			/* In a system call that never returns even that has no effect. */
			(void)has_ended(s, pidfd, NBD_SERVER_TERM_MS);
		}
	}
	if (pidfd >= 0)
		close(pidfd);
	while (nbd_server_listen(s, name))
		if (poll(&(struct pollfd){.fd = s->words, .events = POLLIN}, 1, 0) <= 0)
			break;
	if (s->words >= 0)
		close(s->words);
	s->words = -1;
	s->pid = 0;
}
