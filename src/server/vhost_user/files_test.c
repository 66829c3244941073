/* SPDX-License-Identifier: MIT */
/* A server that has no files left: it says so, blames nobody else, and goes on. */
#include "server/vhost_user/rig_test.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static struct rig rig;

/*
 * Lines that name the limit: of the message whose fd could not be taken, and of anything else; but not
 * of whoever could not be let in meanwhile, who is tried again as often as it takes.
 */
static _Atomic unsigned named, named_elsewhere, blamed;

static void look_at_line(void *opaque, enum log_level level, const char *line)
{
	(void)opaque;
	(void)level;
	if (getenv("RIG_LOG"))
		fprintf(stderr, "# %s\n", line);
	if (strstr(line, "than a message may"))
		blamed++;
	if (!strstr(line, "too many open files: the limit is "))
		return;
	if (strstr(line, "what the front end sent cannot be taken"))
		named++;
	else if (!strstr(line, "cannot accept a connection"))
		named_elsewhere++;
}

/* So that no number is free for a file that arrives. */
static void limit_files_to(rlim_t n, struct rlimit *before)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, before), 0);
	limit = (struct rlimit){.rlim_cur = n, .rlim_max = before->rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void files_that_ran_out_are_not_the_front_ends_fault(void **state)
{
	struct rlimit before;
	struct front f;
	int rc;

	(void)state;
	rig_start(&rig);
	for (int i = 0; i < 2; i++) {
		named = named_elsewhere = blamed = 0;
		front_open(&f, &rig);
		front_start(&f);
		front_echo(&f, 0);
		/* All below are in use already, or none is allowed. */
		limit_files_to(3, &before);
		rc = front_ack_fd(&f, VHOST_USER_SET_VRING_CALL, 0, f.rings[0].call);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
		assert_int_equal(rc, -1);
		assert_int_equal(named, 1);
		assert_int_equal(named_elsewhere, 0);
		assert_int_equal(blamed, 0);
		front_close(&f);
		rig_quiet(&rig);
		rig_healthy(&rig);
	}
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_that_ran_out_are_not_the_front_ends_fault),
	};

	log_setup(LOG_LEVEL_INFO, look_at_line, NULL);
	return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
