/* SPDX-License-Identifier: MIT */
#include "conformance/mutant.h"
#include "conformance/catalogue.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const struct mutation_words mutations[] = {[M_NONE] = {"none", "", ""},
#define X(id, name, where, what) [M_##id] = {name, where, what},
						  MUTATIONS(X)
#undef X
};
#define N_MUTATIONS (sizeof(mutations) / sizeof(mutations[0]))

static void serve(struct mutant *m)
{
	for (;;) {
		struct pollfd fds[1 + QUEUES] = {{.fd = m->fd, .events = POLLIN}};
		bool later = false;
		int n;

		for (unsigned i = 0; i < QUEUES; i++) {
			struct queue *q = &m->queues[i];

			fds[1 + i] = (struct pollfd){
				.fd = q->started || is(m, M_STOP_IGNORED) ? q->kick : -1,
				.events = POLLIN};
			later |= q->touch || q->n_late;
		}
		n = poll(fds, 1 + QUEUES, later ? 10 : -1);
		if (n < 0 && errno != EINTR)
			return;
		/*
		 * A queue is looked at when it is kicked, and after every message: enabling may
		 * have been what was missing.
		 */
		for (unsigned i = 0; i < QUEUES; i++) {
			struct queue *q = &m->queues[i];
			uint64_t count;

			if (n == 0)
				queue_later(m, q);
			if (!fds[1 + i].revents)
				continue;
			if (read(q->kick, &count, sizeof(count)) != sizeof(count)) {
				q->started = false; /* no eventfd */
				continue;
			}
			q->kicked = true;
			queue_run(m, q);
		}
		if (!fds[0].revents)
			continue;
		if (!message_handle(m))
			return;
		for (unsigned i = 0; i < QUEUES; i++)
			if (!is(m, M_KICK_FIRST))
				queue_run(m, &m->queues[i]);
	}
}

static int listen_at(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(a.sun_path))
		return -1;
	memcpy(a.sun_path, path, strlen(path));
	unlink(path);
	if (bind(fd, (const struct sockaddr *)&a, sizeof(a)) || listen(fd, 64))
		return -1;
	return fd;
}

/* The disk's sum into PATH.fingerprint: first of all, and what it is now. */
static void fingerprint(const struct mutant *m, const char *path)
{
	static uint64_t first;
	uint64_t sum = 14695981039346656037u;
	char name[200];
	FILE *f;

	for (size_t i = 0; i < DISK; i++)
		sum = (sum ^ m->disk[i]) * 1099511628211u;
	first = first ? first : sum;
	snprintf(name, sizeof(name), "%s.fingerprint", path);
	f = fopen(name, "w");
	if (!f)
		return;
	fprintf(f, "%016llx %016llx\n", (unsigned long long)first, (unsigned long long)sum);
	fclose(f);
}

static int usage(void)
{
	fputs("Usage: mutant [--readonly] [--zoned] [--fingerprint] [--mutation=NAME] SOCKET\n"
	      "       mutant --list | --table\n",
	      stderr);
	return 2;
}

int main(int argc, char **argv)
{
	static struct mutant m;
	const char *path = NULL;
	bool fingerprints = false;
	int fd;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--list") || !strcmp(argv[i], "--table"))
			return catalogue_print(mutations, N_MUTATIONS, argv[i][2] == 't', "device");
		if (!strcmp(argv[i], "--readonly")) {
			m.readonly = true;
		} else if (!strcmp(argv[i], "--zoned")) {
			m.zoned = true;
		} else if (!strcmp(argv[i], "--fingerprint")) {
			fingerprints = true;
		} else if (!strncmp(argv[i], "--mutation=", 11)) {
			m.mutation = (enum mutation)catalogue_find(mutations, N_MUTATIONS,
								   argv[i] + 11);
			if (!m.mutation)
				return usage();
		} else if (argv[i][0] == '-' || path) {
			return usage();
		} else {
			path = argv[i];
		}
	}
	if (!path)
		return usage();
	signal(SIGPIPE, SIG_IGN);
	mutant_init(&m);
	fd = listen_at(path);
	if (fd < 0) {
		perror(path);
		return 1;
	}
	mutant_config(&m);
	if (fingerprints)
		fingerprint(&m, path);
	for (;;) {
		m.fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		if (m.fd < 0)
			continue;
		serve(&m);
		close(m.fd);
		connection_reset(&m);
		if (fingerprints)
			fingerprint(&m, path);
	}
}
