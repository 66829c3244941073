/* SPDX-License-Identifier: MIT */
/* A worker that stands still is named, once; one that sleeps is not. */
#include "test.h"

#include "base/bits.h"
#include "server/watchdog.h"

#include <semaphore.h>
#include <string.h>

static unsigned stands, goes;
static bool named;

static void take_line(void *opaque, enum log_level level, const char *line)
{
	(void)opaque;
	(void)level;
	stands += strstr(line, "has taken no turn") != NULL;
	goes += strstr(line, "goes on") != NULL;
	named |= strstr(line, "disk7/queue3") != NULL;
}

struct hold {
	struct reactor_msg msg;
	sem_t in, go;
};

static void hold_run(struct reactor_msg *m)
{
	struct hold *h = container_of(m, struct hold, msg);

	sem_post(&h->in);
	while (sem_wait(&h->go))
		;
}

static void note(void *arg)
{
	reactor_note(arg, "disk7/queue3");
}

static void nothing(void *arg)
{
	(void)arg;
}

static void a_worker_that_stands_still_is_named_once(void **state)
{
	struct worker_config config = {.name = "held", .cpu = -1};
	struct hold h = {.msg.run = hold_run};
	struct watchdog d;
	struct worker *w;

	(void)state;
	sem_init(&h.in, 0, 0);
	sem_init(&h.go, 0, 0);
	assert_int_equal(worker_create(&w, &config, NULL), 0);
	assert_int_equal(watchdog_init(&d, &w, 1), 0);
	worker_call(w, note, worker_reactor(w));
	/* Asleep for want of work: each look wakes it, which the next one sees. */
	for (unsigned i = 0; i < 20; i++) {
		watchdog_look(&d);
		worker_call(w, nothing, NULL);
	}
	assert_int_equal(stands, 0);
	reactor_post(worker_reactor(w), &h.msg);
	while (sem_wait(&h.in))
		;
	for (unsigned i = 0; i < 20; i++)
		watchdog_look(&d);
	assert_int_equal(stands, 1);
	assert_true(named);
	assert_int_equal(goes, 0);
	sem_post(&h.go);
	worker_call(w, nothing, NULL);
	worker_call(w, nothing, NULL);
	watchdog_look(&d);
	assert_int_equal(goes, 1);
	assert_int_equal(stands, 1);
	worker_destroy(&w);
	watchdog_fini(&d);
	sem_destroy(&h.in);
	sem_destroy(&h.go);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_worker_that_stands_still_is_named_once),
	};

	log_setup(LOG_LEVEL_INFO, take_line, NULL);
	return cmocka_run_group_tests_name("server/watchdog", tests, NULL, NULL);
}
