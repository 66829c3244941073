/* SPDX-License-Identifier: MIT */
/* The vhost-user client and back ends that answer wrongly, late, or not at all. */
#include "frontend/vhost_user/back_test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int prank(enum prank what, uint32_t at)
{
	unsigned fds = count_fds();
	struct transport *t = NULL;
	struct back b;
	int rc;

	back_init(&b);
	b.prank = what;
	b.prank_at = at;
	rc = adopt(&b, &t);
	if (!rc)
		t->ops->destroy(t);
	back_end(&b);
	assert_int_equal(count_fds(), fds);
	return rc;
}

static void every_wrong_answer_ends_the_connection(void **state)
{
	static const uint32_t at[] = {
		VHOST_USER_GET_FEATURES,       VHOST_USER_GET_PROTOCOL_FEATURES,
		VHOST_USER_GET_QUEUE_NUM,      VHOST_USER_GET_MAX_MEM_SLOTS,
		VHOST_USER_SET_BACKEND_REQ_FD, VHOST_USER_SET_OWNER,
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(at); i++) {
		assert_int_equal(prank(PRANK_WRONG_REQUEST, at[i]), -EPROTO);
		assert_int_equal(prank(PRANK_NO_REPLY_FLAG, at[i]), -EPROTO);
		assert_int_equal(prank(PRANK_WRONG_VERSION, at[i]), -EPROTO);
		assert_int_equal(prank(PRANK_TOO_LONG, at[i]), -EPROTO);
		assert_int_equal(prank(PRANK_TOO_SHORT, at[i]), -EPROTO);
		assert_int_equal(prank(PRANK_HUGE, at[i]), -EPROTO);
		assert_int_equal(prank(PRANK_CLOSE, at[i]), -ENOTCONN);
		assert_int_equal(prank(PRANK_HALF, at[i]), -ENOTCONN);
		assert_int_equal(prank(PRANK_PIECES, at[i]), 0);
		assert_int_equal(prank(PRANK_FDS, at[i]), 0);
	}
	assert_int_equal(prank(PRANK_REFUSE, VHOST_USER_SET_OWNER), -EREMOTEIO);
}

static void a_silent_back_end_is_given_up_in_time(void **state)
{
	(void)state;
	assert_int_equal(prank(PRANK_SILENT, VHOST_USER_GET_FEATURES), -ETIMEDOUT);
	assert_int_equal(prank(PRANK_SILENT, VHOST_USER_SET_OWNER), -ETIMEDOUT);
}

static void a_back_end_that_never_reads_is_given_up_in_time(void **state)
{
	struct vhost_user_options o = {.timeout_ms = 30};
	struct transport *t;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(vhost_user_adopt(fds[1], &o, &t, NULL), -ETIMEDOUT);
	close(fds[0]);
}

static void silence_at_the_reset_is_an_error_too(void **state)
{
	struct vhost_user_options o = {.timeout_ms = 50};
	struct transport_queue q = {.num = 8, .call_fd = -1};
	struct transport *t;
	struct back b;
	uint8_t status;

	(void)state;
	back_init(&b);
	b.prank = PRANK_SILENT;
	b.prank_at = VHOST_USER_GET_VRING_BASE;
	back_start(&b);
	assert_int_equal(vhost_user_adopt(b.peer, &o, &t, NULL), 0);
	assert_int_equal(t->ops->queue_setup(t, &q, NULL), 0);
	/* No call fd: said so. */
	assert_int_equal(b.seen[b.n - 2].request, VHOST_USER_SET_VRING_CALL);
	assert_int_equal(b.seen[b.n - 2].p.u64, VHOST_USER_VRING_NOFD);
	assert_int_equal(b.seen[b.n - 2].fds, 0);
	assert_int_equal(t->ops->set_status(t, 0, NULL), -ETIMEDOUT);
	/* And nothing more is asked of it. */
	assert_int_equal(t->ops->set_status(t, 0, NULL), -ENOTCONN);
	assert_int_equal(t->ops->get_status(t, &status, NULL), -ENOTCONN);
	assert_false(t->ops->alive(t));
	t->ops->destroy(t);
	back_end(&b);
}

static void hang_up_is_told_once(void **state)
{
	struct pollfd p;
	struct transport *t;
	struct back b;

	(void)state;
	back_init(&b);
	assert_int_equal(adopt(&b, &t), 0);
	shutdown(b.fd, SHUT_RDWR);
	assert_false(t->ops->alive(t));
	p = (struct pollfd){.fd = t->ops->event_fd(t), .events = POLLIN};
	assert_int_equal(poll(&p, 1, 1000), 1);
	assert_int_equal(t->ops->process(t), TRANSPORT_EVENT_GONE);
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_int_equal(t->ops->reconnect(t, NULL), -ENOTSUP);
	t->ops->destroy(t);
	back_end(&b);
}

static void no_queue_is_no_device(void **state)
{
	struct transport *t;
	struct back b;

	(void)state;
	back_init(&b);
	b.queues = 0;
	assert_int_equal(adopt(&b, &t), -EPROTO);
	back_end(&b);
	back_init(&b);
	b.queues = UINT64_MAX;
	b.slots = UINT64_MAX;
	assert_int_equal(adopt(&b, &t), 0);
	assert_int_equal(t->regions_max, 64);
	t->ops->destroy(t);
	back_end(&b);
	/* Nor is one without a place for memory of any use, but that shows with the first. */
	back_init(&b);
	b.slots = 0;
	assert_int_equal(adopt(&b, &t), 0);
	assert_int_equal(t->regions_max, 0);
	t->ops->destroy(t);
	back_end(&b);
}

static void paths_that_lead_nowhere(void **state)
{
	struct vhost_user_options o = {.timeout_ms = 1000};
	struct transport *t;
	struct error err;
	char longer[200];

	(void)state;
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(vhost_user_connect("", &o, &t, &err), -EINVAL);
	assert_int_equal(vhost_user_connect(longer, &o, &t, &err), -ENAMETOOLONG);
	assert_int_equal(vhost_user_connect("/nowhere/at/all", &o, &t, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nowhere/at/all"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_wrong_answer_ends_the_connection),
		cmocka_unit_test(a_silent_back_end_is_given_up_in_time),
		cmocka_unit_test(a_back_end_that_never_reads_is_given_up_in_time),
		cmocka_unit_test(silence_at_the_reset_is_an_error_too),
		cmocka_unit_test(hang_up_is_told_once),
		cmocka_unit_test(no_queue_is_no_device),
		cmocka_unit_test(paths_that_lead_nowhere),
	};

	return cmocka_run_group_tests_name("frontend/vhost_user/client_bad", tests, NULL, NULL);
}
