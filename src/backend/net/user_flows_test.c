/* SPDX-License-Identifier: MIT */
/* How many flows a guest may have, when files run out. */
#include "test.h"

#include "backend/net/user_flows.h"
#include "base/limits.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>

#define LIMIT 128

static struct rlimit as_it_was;
static struct user_flows F;

static int set_up(void **state)
{
	struct rlimit l;

	(void)state;
	memset(&F, 0, sizeof(F));
	if (getrlimit(RLIMIT_NOFILE, &as_it_was))
		return -1;
	l = as_it_was;
	l.rlim_cur = LIMIT;
	return setrlimit(RLIMIT_NOFILE, &l);
}

static int tear_down(void **state)
{
	(void)state;
	user_flows_fini(&F);
	return setrlimit(RLIMIT_NOFILE, &as_it_was);
}

static bool admits(uint8_t protocol, unsigned from, unsigned to, uint8_t flags)
{
	uint8_t f[60] = {[12] = 0x08, [14] = 0x45, [23] = protocol, [26] = 10, [29] = 15};

	f[34] = (uint8_t)(from >> 8);
	f[35] = (uint8_t)from;
	f[36] = (uint8_t)(to >> 8);
	f[37] = (uint8_t)to;
	f[47] = flags;
	return user_flows_admit(&F, f, sizeof(f));
}

static void fill(int first)
{
	for (int fd = first; !user_flows_full(&F); fd++) {
		assert_true(fd < LIMIT);
		assert_true(admits(IPPROTO_UDP, (unsigned)(1000 + fd), 9, 0));
		user_flows_opened(&F, fd);
		F.from = 0;
	}
}

static void the_last_files_are_kept(void **state)
{
	(void)state;
	fill(10);
	assert_int_equal(F.n, LIMIT - LIMITS_RESERVE - 10 + 1);
	assert_int_equal(F.reserved, 1);
	/* New ones are refused, */
	assert_false(admits(IPPROTO_UDP, 5000, 9, 0));
	assert_false(admits(IPPROTO_TCP, 5000, 80, 0x02));
	assert_false(admits(IPPROTO_ICMP, 0x0800, 0, 0));
	/* old ones go on, and what needs no file. */
	assert_true(admits(IPPROTO_UDP, 1010, 53, 0));
	assert_true(admits(IPPROTO_TCP, 5000, 80, 0x10));
	assert_true(admits(IPPROTO_TCP, 5000, 80, 0x12));
	assert_true(admits(IPPROTO_UDP, 68, 67, 0));
	assert_true(user_flows_admit(&F, (const uint8_t[60]){[12] = 0x08, 0x06}, 60));
}

/* Whoever closes and opens again gets no nearer to the end. */
static void the_reserve_does_not_melt(void **state)
{
	(void)state;
	fill(10);
	for (unsigned i = 0; i < 50; i++) {
		user_flows_closed(&F, 10 + (int)i);
		user_flows_closed(&F, 10 + (int)i); /* known to be closed */
		assert_false(user_flows_full(&F));
		fill(10 + (int)i);
		assert_int_equal(F.reserved, 1);
		assert_true(user_flows_full(&F));
	}
	/* The one that has one of the last files goes: they are counted anew. */
	user_flows_closed(&F, LIMIT - LIMITS_RESERVE);
	assert_int_equal(F.reserved, 0);
	assert_false(user_flows_full(&F));
	fill(LIMIT - LIMITS_RESERVE);
	assert_int_equal(F.reserved, 1);
}

static void forwarded_ports_wait(void **state)
{
	(void)state;
	user_flows_listens(&F, 5);
	assert_false(user_flows_holds_back(&F, 5));
	fill(10);
	assert_true(user_flows_holds_back(&F, 5));
	assert_false(user_flows_holds_back(&F, 10));
	assert_false(user_flows_holds_back(&F, 5000));
	user_flows_closed(&F, 11);
	assert_false(user_flows_holds_back(&F, 5));
}

/* Frames that are cut short are libslirp's to refuse. */
static void short_frames_are_let_through(void **state)
{
	static const uint8_t protocols[] = {IPPROTO_UDP, IPPROTO_TCP, IPPROTO_ICMP, 99};

	(void)state;
	fill(10);
	for (size_t k = 0; k < sizeof(protocols); k++)
		for (size_t n = 0; n < 60; n++) {
			uint8_t f[60] = {
				[12] = 0x08, [14] = (uint8_t)(0x40 | k), [23] = protocols[k]};

			(void)user_flows_admit(&F, f, n);
		}
	assert_true(user_flows_admit(&F, (const uint8_t[20]){0}, 20));
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_last_files_are_kept),
		T(the_reserve_does_not_melt),
		T(forwarded_ports_wait),
		T(short_frames_are_let_through),
	};

	return cmocka_run_group_tests_name("user_flows", tests, NULL, NULL);
}
