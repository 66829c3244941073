/* SPDX-License-Identifier: MIT */
/* Targets by name: what is understood, and the sentences for what is not. */
#include "test.h"

#include <ringside/driver.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void refused(const char *uri, int rc, const char *words)
{
	struct ringside_disk *disk = NULL;
	struct ringside_error err = {""};

	assert_int_equal(ringside_open(uri, NULL, &disk, &err), rc);
	assert_null(disk);
	if (!strstr(err.text, words))
		fail_msg("%s: \"%s\" lacks \"%s\"", uri, err.text, words);
	/* The sentence may be unwanted. */
	assert_int_equal(ringside_open(uri, NULL, &disk, NULL), rc);
}

static void targets_that_do_not_exist(void **state)
{
	(void)state;
	refused("", -EINVAL, "vhost-user:PATH");
	refused("/tmp/sock", -EINVAL, "vhost-user:PATH");
	refused("pci:0000:00:ff.0", -EINVAL, "0000:00:04.0");
	refused("vhost-user:", -EINVAL, "path");
	refused("vhost-user:/nowhere/sock", -ENOENT, "/nowhere/sock");
	refused("vhost-user:/nowhere/sock?queues=4&packed=on", -ENOENT, "/nowhere/sock");
}

static void options_that_do_not_exist(void **state)
{
	char longer[1000];

	(void)state;
	refused("vhost-user:/nowhere?", -EINVAL, "key=value");
	refused("vhost-user:/nowhere?queues", -EINVAL, "key=value");
	refused("vhost-user:/nowhere?que=1", -EINVAL, "queue-size");
	refused("vhost-user:/nowhere?queues=0", -EINVAL, "queues");
	refused("vhost-user:/nowhere?queues=257", -EINVAL, "257");
	refused("vhost-user:/nowhere?queues=-1", -EINVAL, "-1");
	refused("vhost-user:/nowhere?queue-size=2", -EINVAL,
		"queue-size: it must be a number from 3 to 32768");
	refused("vhost-user:/nowhere?queue-size=65536", -EINVAL, "queue-size");
	refused("vhost-user:/nowhere?timeout-ms=0", -EINVAL, "timeout-ms");
	refused("vhost-user:/nowhere?packed=yes", -EINVAL, "yes");
	refused("vhost-user:/nowhere?zoned=", -EINVAL, "zoned: it must be on or off");
	refused("vhost-user:/nowhere?mem-slots=off&&", -EINVAL, "key=value");
	memset(longer, 'a', sizeof(longer));
	memcpy(longer, "vhost-user:", 11);
	longer[sizeof(longer) - 1] = '\0';
	refused(longer, -EINVAL, "too long");
}

static void a_socket_is_taken_over_on_failure_too(void **state)
{
	struct ringside_options o = {.timeout_ms = 1000};
	struct ringside_disk *disk = NULL;
	struct ringside_error err;
	int fds[2];
	char c;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	shutdown(fds[0], SHUT_WR);
	assert_int_equal(ringside_open_fd(fds[1], &o, &disk, &err), -ENOTCONN);
	/* All that was said is read, then the end. */
	while (read(fds[0], &c, 1) == 1)
		;
	close(fds[0]);
	ringside_close(&disk);
	assert_int_equal(ringside_open_fd(-1, &o, &disk, &err) < 0, 1);
}

static void version_is_told(void **state)
{
	(void)state;
	assert_true(strlen(ringside_version()) >= 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(targets_that_do_not_exist),
		cmocka_unit_test(options_that_do_not_exist),
		cmocka_unit_test(a_socket_is_taken_over_on_failure_too),
		cmocka_unit_test(version_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
