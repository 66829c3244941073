/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "backend/net/spec.h"
#include "base/bits.h"

#include <arpa/inet.h>
#include <string.h>

static struct net_spec S;

static void parses(const char *text)
{
	struct error err = {""};

	if (net_spec_parse(text, &S, &err))
		fail_msg("%s: %s", text, err.text);
}

static void words_become_a_card(void **state)
{
	static const uint8_t mac[] = {0x02, 0xab, 0, 1, 2, 0xff};
	struct virtio_net_options o;

	(void)state;
	parses("user");
	assert_int_equal(S.kind, NET_USER);
	assert_true(S.packed && S.event_idx && S.mrg_rxbuf && !S.restricted && !S.has_mac);
	assert_int_equal(S.queues, 1);
	parses("tap=tap7,queues=4,mac=02:AB:00:01:02:ff,mtu=9000,speed=10000,packed=off,"
	       "event-idx=off,mrg-rxbuf=off,queue-size=1024");
	assert_int_equal(S.kind, NET_TAP);
	assert_string_equal(S.target, "tap7");
	assert_int_equal(S.queues, 4);
	assert_memory_equal(S.mac, mac, 6);
	assert_int_equal(S.mtu, 9000);
	assert_int_equal(S.speed, 10000);
	assert_true(!S.packed && !S.event_idx && !S.mrg_rxbuf);
	assert_int_equal(S.queue_size, 1024);
	o = net_spec_options(&S, "pc/net0");
	assert_memory_equal(o.mac, mac, 6);
	assert_int_equal(o.pairs, 4);
	assert_int_equal(o.mtu, 9000);
	assert_int_equal(o.speed, 10000);
	assert_int_equal(o.queue_size, 1024);
	assert_true(o.no_packed && o.no_event_idx && o.no_mrg_rxbuf);
	parses("socket=/tmp/a=b");
	assert_int_equal(S.kind, NET_SOCKET);
	assert_string_equal(S.target, "/tmp/a=b");
	parses("fd=7");
	assert_int_equal(S.fd, 7);
}

static void ports_are_forwarded(void **state)
{
	(void)state;
	parses("user,restrict=on,hostfwd=tcp::8080-:80,hostfwd=udp:127.0.0.1:53-10.0.2.9:5353");
	assert_true(S.restricted);
	assert_int_equal(S.n_forwards, 2);
	assert_false(S.forwards[0].udp);
	assert_int_equal(S.forwards[0].host.s_addr, INADDR_ANY);
	assert_int_equal(S.forwards[0].host_port, 8080);
	assert_int_equal(S.forwards[0].guest_port, 80);
	assert_true(S.forwards[1].udp);
	assert_int_equal(S.forwards[1].host.s_addr, htonl(INADDR_LOOPBACK));
	assert_int_equal(S.forwards[1].guest.s_addr, inet_addr("10.0.2.9"));
	assert_int_equal(S.forwards[1].guest_port, 5353);
	parses("user,hostfwd=tcp:localhost:0-:22");
	assert_int_equal(S.forwards[0].host.s_addr, htonl(INADDR_LOOPBACK));
	assert_int_equal(S.forwards[0].host_port, 0);
}

static void what_is_not_understood_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		",",
		"tap",
		"tap=",
		"user=1",
		"tup=x",
		"user,",
		"user,mac",
		"user,mac=",
		"user,mac=02:00:00:00:00",
		"user,mac=02:00:00:00:00:00:00",
		"user,mac=02-00-00-00-00-00",
		"user,mac=01:00:00:00:00:00",
		"user,mac=02:0:00:00:00:000",
		"user,mac=0x:00:00:00:00:00",
		"user,queues=2",
		"user,queues=0",
		"tap=x,queues=65",
		"tap=x,queue-size=3",
		"tap=x,queue-size=2048",
		"user,mtu=67",
		"user,mtu=65536",
		"user,speed=0",
		"user,packed=yes",
		"tap=x,hostfwd=tcp::1-:2",
		"user,hostfwd=tcp",
		"user,hostfwd=icmp::1-:2",
		"user,hostfwd=tcp:[::1]:2-:2",
		"user,hostfwd=tcp::1-:65536",
		"user,hostfwd=tcp:x:1-:2",
		"user,hostfwd=tcp::1:2",
		"user,colour=red",
		"fd=",
		"fd=-1",
		"fd=x",
		"tap="
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	};
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		err.text[0] = '\0';
		if (!net_spec_parse(bad[i], &S, &err))
			fail_msg("\"%s\" was taken", bad[i]);
		assert_true(strlen(err.text) > 10);
	}
}

/* Always the same, a single card's, local; not that of another card. */
static void default_mac_is_stable_and_local(void **state)
{
	struct virtio_net_options a, b, c;

	(void)state;
	parses("tap=tap0");
	a = net_spec_options(&S, "pc/net0");
	b = net_spec_options(&S, "pc/net0");
	c = net_spec_options(&S, "pc/net1");
	assert_memory_equal(a.mac, b.mac, 6);
	assert_memory_not_equal(a.mac, c.mac, 6);
	assert_int_equal(a.mac[0] & 3, 2);
	parses("tap=tap1");
	b = net_spec_options(&S, "pc/net0");
	assert_memory_not_equal(a.mac, b.mac, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_become_a_card),
		cmocka_unit_test(ports_are_forwarded),
		cmocka_unit_test(what_is_not_understood_is_refused),
		cmocka_unit_test(default_mac_is_stable_and_local),
	};

	return cmocka_run_group_tests_name("spec", tests, NULL, NULL);
}
