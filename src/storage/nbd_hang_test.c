/* SPDX-License-Identifier: MIT */
/* NBD servers that hang, and those that are gone. */
#include "storage/nbd_rig_test.h"

#include "base/bits.h"
#include "storage/nbd.h"

#include <errno.h>
#include <netinet/in.h>

/*
 * The kernel of a server that hangs acknowledges what it is sent, or the probes of its closed window;
 * one that is gone acknowledges nothing.
 */
static void a_server_that_hangs_is_not_gone(void **state)
{
	static const struct {
		struct tcp_info t;
		bool gone;
	} cases[] = {
		/* Answered a moment ago, though it was slow. */
		{{.tcpi_last_ack_recv = 1000, .tcpi_unacked = 9, .tcpi_retransmits = 9}, false},
		/* Has all of it, and is silent. */
		{{.tcpi_last_ack_recv = 3600000}, false},
		/* Its window is closed; the next probe is not due, or has just been sent. */
		{{.tcpi_last_ack_recv = 90000}, false},
		{{.tcpi_last_ack_recv = 119000, .tcpi_probes = 1}, false},
		/* Something was sent after a long silence. */
		{{.tcpi_last_ack_recv = 119000, .tcpi_unacked = 1}, false},
		{{.tcpi_last_ack_recv = NBD_GONE_MS, .tcpi_unacked = 1, .tcpi_retransmits = 6},
		 true},
		{{.tcpi_last_ack_recv = 2 * NBD_GONE_MS, .tcpi_probes = 5}, true},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(nbd_host_is_gone(&cases[i].t), cases[i].gone);
}

/* Nor does the kernel give it up for us when it reads no more. */
static void the_kernel_gives_up_no_server_that_hangs(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);
	socklen_t size = sizeof(unsigned);
	unsigned ms = 1, found = 0;
	struct rig rig;
	char uri[64];

	need("nbdkit");
	tcp_server_start(p, uri, sizeof(uri));
	o.target = uri;
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	for (int fd = 3; fd < 1024; fd++) {
		int protocol = 0, alive = 0;
		socklen_t n = sizeof(int);

		if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &n) ||
		    protocol != IPPROTO_TCP)
			continue;
		found++;
		/* A further connection may be in its handshake. */
		for (unsigned i = 0; i < 6000 && !alive; i++) {
			assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &alive, &n), 0);
			if (!alive)
				usleep(5000);
		}
		assert_int_equal(alive, 1);
		assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, &size), 0);
		assert_int_equal(ms, 0);
	}
	assert_true(found >= 1);
	rig_close(&rig);
}

/* A hung server is given up when asked so, and its requests go to the one that comes. */
static void a_hung_server_is_given_up_when_asked(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);
	struct iovec iov;
	uint8_t block[512];
	struct waited w = {.io = {.op = STORAGE_READ, .len = 512, .iov = &iov, .iovcnt = 1}};
	struct rig rig;

	iov = (struct iovec){block, 512};
	need("nbdkit");
	server_start(p, "nbdkit -f -U %s memory 8M", p->sock);
	o.nbd_timeout = 1;
	o.nbd_reconnect = 2;
	assert_int_equal(rig_open(&rig, &o, false, NULL), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, block, 512), 0);
	kill(p->server, SIGSTOP);
	waitpid(p->server, NULL, WUNTRACED);
	rig_start(&rig, &w);
	assert_int_equal(rig_wait(&rig, &w), -EIO);
	rig_close(&rig);
	kill(p->server, SIGCONT);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(a_server_that_hangs_is_not_gone),
		T(the_kernel_gives_up_no_server_that_hangs),
		T(a_hung_server_is_given_up_when_asked),
	};

	cmocka_set_test_filter(getenv("TEST_ONLY"));
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("storage/nbd_hang", tests, NULL, NULL);
}
