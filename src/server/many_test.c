/* SPDX-License-Identifier: MIT */
/* A thousand disks in one process: there are as many as there are files for. */
#include "test.h"

#include "base/bits.h"
#include "base/limits.h"
#include "base/sock_address.h"
#include "server/disk.h"
#include "wire/vhost_user.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DISKS	1000
#define CLIENTS 50

/* What a disk that nobody uses may cost: its image and its socket. */
#define FILES_PER_IDLE_DISK 2

static char dir[32];

static int set_up(void **state)
{
	struct limits_files before;

	(void)state;
	(void)limits_raise_files(&before);
	strcpy(dir, "/tmp/many-test-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	return rmdir(dir);
}

static unsigned entries(const char *of)
{
	DIR *d = opendir(of);
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static struct server *make_server(void)
{
	const struct server_config config = {.workers = {.n = 2, .reactor = {.uring = true}}};
	struct server *s;

	assert_int_equal(server_create(&s, &config, NULL), 0);
	return s;
}

static void place_of(char *path, size_t size, const char *kind, unsigned i)
{
	snprintf(path, size, "%s/%s%u", dir, kind, i);
}

static void add_disk(struct server *s, unsigned i)
{
	char image[64], socket[64], words[128];
	const struct socket_place where = {.path = socket, .mode = -1, .fd = -1};
	struct disk_spec spec;
	struct error err = {""};
	int fd;

	place_of(image, sizeof(image), "image", i);
	place_of(socket, sizeof(socket), "socket", i);
	fd = open(image, O_CREAT | O_RDWR, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	close(fd);
	snprintf(words, sizeof(words), "file=%s,serial=disk%u", image, i);
	assert_int_equal(disk_spec_parse(words, &spec, &err), 0);
	if (server_add_disk(s, &spec, NULL, &where, &err))
		fail_msg("disk %u: %s", i, err.text);
	disk_spec_fini(&spec);
	/* It is open; nothing is left behind. */
	unlink(image);
}

static int connect_to(unsigned i)
{
	struct sock_address at;
	char path[64];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	place_of(path, sizeof(path), "socket", i);
	assert_int_equal(sock_address(&at, path, NULL), 0);
	assert_int_equal(connect(fd, sock_address_of(&at), at.len), 0);
	return fd;
}

static void run_once(struct server *s)
{
	struct pollfd fd = {.fd = server_fd(s), .events = POLLIN};

	poll(&fd, 1, server_timeout_ms(s));
	server_process(s);
}

static void assert_served(struct server *s, int fd)
{
	const struct vhost_user_header ask = {VHOST_USER_GET_QUEUE_NUM, VHOST_USER_VERSION, 0};
	struct {
		struct vhost_user_header h;
		uint64_t v;
	} __attribute__((packed)) answer;

	assert_int_equal(send(fd, &ask, sizeof(ask), MSG_NOSIGNAL), sizeof(ask));
	while (recv(fd, &answer, sizeof(answer), MSG_DONTWAIT | MSG_PEEK) !=
	       (ssize_t)sizeof(answer))
		run_once(s);
	assert_int_equal(recv(fd, &answer, sizeof(answer), 0), sizeof(answer));
	assert_int_equal(answer.v, 1);
}

static void a_thousand_disks_are_served(void **state)
{
	unsigned before, idle;
	struct server *s;
	int fds[CLIENTS];

	(void)state;
	if (limits_files() < DISKS * (FILES_PER_IDLE_DISK + 1)) {
		print_message("a thousand disks need %u files\n",
			      DISKS * (FILES_PER_IDLE_DISK + 1));
		skip();
	}
	s = make_server();
	add_disk(s, 0);
	before = entries("/proc/self/fd");
	for (unsigned i = 1; i < DISKS; i++)
		add_disk(s, i);
	assert_int_equal(server_offers(s), DISKS);
	idle = entries("/proc/self/fd") - before;
	assert_true(idle <= FILES_PER_IDLE_DISK * (DISKS - 1));

	for (unsigned i = 0; i < CLIENTS; i++) {
		fds[i] = connect_to((i + 1) * (DISKS / CLIENTS) - 1);
		assert_served(s, fds[i]);
	}
	/* All of them at the same time, and some of them gone. */
	for (unsigned i = 0; i < CLIENTS; i++)
		assert_served(s, fds[i]);
	for (unsigned i = 0; i < CLIENTS / 2; i++)
		close(fds[i]);

	server_stop(s);
	while (!server_process(s)) {
		struct pollfd fd = {.fd = server_fd(s), .events = POLLIN};

		poll(&fd, 1, server_timeout_ms(s));
	}
	for (unsigned i = CLIENTS / 2; i < CLIENTS; i++) {
		char byte;

		assert_int_equal(recv(fds[i], &byte, 1, 0), 0);
		close(fds[i]);
	}
	server_destroy(&s);
	/* No socket file, no open file. */
	assert_int_equal(entries(dir), 2);
	assert_true(entries("/proc/self/fd") < before);
}

/* One disk more than there are files for is refused with the limit; those before it go on. */
static void one_too_many_is_refused_by_the_limit(void **state)
{
	const uint64_t few = 128;
	struct server *s = make_server();
	struct limits_files was;
	struct error err = {""};
	struct disk_spec spec;
	unsigned n = 0;
	int kept[4], client, rc;

	(void)state;
	assert_int_equal(limits_raise_files(&was), 0);
	limits_restore_files(&(struct limits_files){.soft = few, .hard = was.hard});
	for (unsigned i = 0; i < ARRAY_SIZE(kept); i++)
		kept[i] = dup(STDERR_FILENO);
	assert_int_equal(disk_spec_parse("null:1M", &spec, NULL), 0);
	do {
		char path[64];
		const struct socket_place where = {.path = path, .mode = -1, .fd = -1};

		place_of(path, sizeof(path), "socket", n++);
		rc = server_add_disk(s, &spec, NULL, &where, &err);
	} while (!rc && n < few);
	assert_int_equal(rc, -EMFILE);
	assert_non_null(strstr(err.text, "the limit is 128"));
	for (unsigned i = 0; i < ARRAY_SIZE(kept); i++)
		close(kept[i]);
	client = connect_to(n / 2);
	assert_served(s, client);
	close(client);
	disk_spec_fini(&spec);
	server_destroy(&s);
	limits_restore_files(&was);
	assert_int_equal(entries(dir), 2);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_thousand_disks_are_served, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_too_many_is_refused_by_the_limit, set_up,
						tear_down),
	};

	return cmocka_run_group_tests_name("server/many", tests, NULL, NULL);
}
