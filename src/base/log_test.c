/* SPDX-License-Identifier: MIT */
/* Lines that nobody takes. */
#include "test.h"

#include "base/atomic.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned drain(int fd, char *text, size_t size)
{
	ssize_t n = read(fd, text, size - 1);

	text[n > 0 ? n : 0] = '\0';
	return n > 0 ? (unsigned)n : 0;
}

/* In a process of its own, whose standard error is a pipe.  0: all is as it should be. */
static int with_a_full_pipe(void)
{
	char text[65536];
	int p[2];

	if (pipe(p) || dup2(p[1], STDERR_FILENO) < 0 || fcntl(p[0], F_SETFL, O_NONBLOCK) ||
	    fcntl(p[1], F_SETFL, O_NONBLOCK))
		return 2;
	log_line(LOG_LEVEL_WARN, "disk0", "is %s", "here");
	drain(p[0], text, sizeof(text));
	if (strcmp(text, "ringside: warning: disk0: is here\n"))
		return 3;
	while (write(p[1], text, 4096) > 0)
		;
	/* Whoever holds the pipe, too, may wish to wait. */
	if (fcntl(p[1], F_SETFL, 0))
		return 4;
	alarm(20);
	for (unsigned i = 0; i < 3; i++)
		log_line(LOG_LEVEL_ERR, NULL, "nobody hears this");
	alarm(0);
	while (drain(p[0], text, sizeof(text)))
		;
	log_line(LOG_LEVEL_ERR, NULL, "and this?");
	drain(p[0], text, sizeof(text));
	return strcmp(text, "ringside: warning: 3 lines were lost, as nobody took them\n"
			    "ringside: and this?\n") != 0;
}

static void a_line_waits_for_nobody(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (!pid)
		_exit(with_a_full_pipe());
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* ---- a sink that goes away ---- */

static sem_t entered, get_on;
static bool left; /* atomic */

static void slow_sink(void *opaque, enum log_level level, const char *line)
{
	(void)opaque;
	(void)level;
	(void)line;
	sem_post(&entered);
	while (sem_wait(&get_on))
		;
	store_release(&left, true);
}

static void *say(void *arg)
{
	log_line(LOG_LEVEL_ERR, NULL, "%s", (const char *)arg);
	return NULL;
}

static void *let_get_on(void *arg)
{
	(void)arg;
	usleep(10000);
	sem_post(&get_on);
	return NULL;
}

/* Whoever frees what a sink uses does so behind this. */
static void a_sink_is_let_go_when_nobody_is_in_it(void **state)
{
	static char line[] = "a line";
	pthread_t t[2];

	(void)state;
	sem_init(&entered, 0, 0);
	sem_init(&get_on, 0, 0);
	log_setup(LOG_LEVEL_INFO, slow_sink, line);
	assert_int_equal(pthread_create(&t[0], NULL, say, line), 0);
	while (sem_wait(&entered))
		;
	assert_int_equal(pthread_create(&t[1], NULL, let_get_on, NULL), 0);
	log_let_go(line);
	assert_true(load_acquire(&left));
	for (unsigned i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	log_setup(LOG_LEVEL_INFO, NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_waits_for_nobody),
		cmocka_unit_test(a_sink_is_let_go_when_nobody_is_in_it),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
