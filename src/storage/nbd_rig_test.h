/* SPDX-License-Identifier: MIT */
/* NBD servers for tests: a place for their socket and image, started and ended. */
#ifndef STORAGE_NBD_RIG_TEST_H
#define STORAGE_NBD_RIG_TEST_H

#include "storage/mix_test.h"
#include "storage/nbd.h"

#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define DISK MIX_DISK

extern char **environ;

struct place {
	char *dir, *sock, *uri, *image;
	pid_t server;
};

static inline bool have(const char *program)
{
	char command[128];

	snprintf(command, sizeof(command), "command -v %s >/dev/null 2>&1", program);
	return !system(command);
}

static inline void need(const char *program)
{
	if (have(program))
		return;
	print_message("# skipped: %s is not installed\n", program);
	skip();
}

static inline void run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static inline void run(const char *fmt, ...)
{
	char command[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	if (system(command))
		fail_msg("failed: %s", command);
}

static inline void wait_for_socket(const struct place *p)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", p->sock);
	for (unsigned i = 0; i < 2000; i++) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		int rc = connect(fd, (struct sockaddr *)&a, sizeof(a));

		close(fd);
		if (!rc)
			return;
		usleep(5000);
	}
	fail_msg("the server does not come");
}

/* @command: what a shell replaces itself by. */
static inline void server_start(struct place *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static inline void server_start(struct place *p, const char *fmt, ...)
{
	char command[1024] = "exec ";
	char *argv[] = {"sh", "-c", command, NULL};
	posix_spawnattr_t attr;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command + 5, sizeof(command) - 5, fmt, ap);
	va_end(ap);
	unlink(p->sock);
	/* A group of its own: what it has started ends with it. */
	posix_spawnattr_init(&attr);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
	assert_int_equal(posix_spawn(&p->server, "/bin/sh", NULL, &attr, argv, environ), 0);
	posix_spawnattr_destroy(&attr);
	wait_for_socket(p);
}

static inline void server_end(struct place *p)
{
	if (!p->server)
		return;
	kill(-p->server, SIGKILL);
	kill(p->server, SIGKILL);
	waitpid(p->server, NULL, 0);
	p->server = 0;
}

/* Written by a server that has gone to the background, in its own time. */
static inline int await_number_in(const char *path)
{
	for (unsigned i = 0; i < 2000; i++) {
		FILE *f = fopen(path, "r");
		int n = 0, got = f ? fscanf(f, "%d", &n) : 0;

		if (f)
			fclose(f);
		if (got == 1)
			return n;
		usleep(5000);
	}
	fail_msg("the server does not come");
	return 0;
}

/* At any port that is free; @uri is where. */
static inline void tcp_server_start(struct place *p, char *uri, size_t size)
{
	*uri = '\0';
	for (unsigned port = 20000 + (unsigned)getpid() % 10000, i = 0; i < 50; i++, port++) {
		char command[128];

		snprintf(command, sizeof(command),
			 "nbdkit -i 127.0.0.1 -p %u -P %s memory 8M 2>/dev/null", port, p->image);
		if (system(command))
			continue;
		snprintf(uri, size, "nbd://127.0.0.1:%u/", port);
		break;
	}
	p->server = await_number_in(p->image);
}

/* Until @io waits for the flush of another. */
static inline void await_waiting(const struct storage_channel *ch, const struct storage_io *io)
{
	struct nbd_link *l = container_of(ch, struct nbd_channel, base)->link;
	bool waits = false;

	while (!waits) {
		usleep(1000);
		pthread_mutex_lock(&l->sync.lock);
		for (struct storage_io *i = l->sync.waiting.head; i; i = i->next)
			waits |= i == io;
		pthread_mutex_unlock(&l->sync.lock);
	}
}

/*
 * A server that a shell answers for: it keeps its scripts in a directory of its own, which it tells
 * us, as it is killed and does not remove it.  The arguments of the first two %s are p->sock and
 * p->dir.
 */
#define EVAL_WITH(filters) "nbdkit -f -U %s " filters " eval get_ready='echo $tmpdir >>%s/scripts' "
#define EVAL		   EVAL_WITH("")

static inline int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	p->dir = scratch_make("/tmp");
	if (!p->dir || asprintf(&p->sock, "%s/s", p->dir) < 0 ||
	    asprintf(&p->uri, "nbd+unix:///?socket=%s", p->sock) < 0 ||
	    asprintf(&p->image, "%s/image", p->dir) < 0)
		return -1;
	*state = p;
	return 0;
}

static inline int tear_down(void **state)
{
	struct place *p = *state;

	server_end(p);
	run("test ! -e %s/scripts || xargs rm -rf <%s/scripts", p->dir, p->dir);
	scratch_remove(p->dir);
	free(p->sock);
	free(p->uri);
	free(p->image);
	free(p);
	return 0;
}

static inline struct storage_options options(const struct place *p)
{
	return (struct storage_options){.target = p->uri, .nbd_reconnect = 30};
}

#endif
