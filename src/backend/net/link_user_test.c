/* SPDX-License-Identifier: MIT */
/* User-mode networking by itself: what a guest, and who speaks to it from outside, finds there. */
#include "test.h"

#include "backend/net/card_test.h"
#include "backend/net/links.h"
#include "backend/net/user_dns.h"
#include "base/bits.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static struct card C;

/* ---- frames ---- */

static uint16_t checksum(const uint8_t *p, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i += 2)
		sum += (uint32_t)p[i] << 8 | (i + 1 < n ? p[i + 1] : 0u);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* DHCPDISCOVER; the UDP checksum may be left out in IPv4. */
static size_t discover(uint8_t *f)
{
	static const uint8_t mac[] = {2, 1, 2, 3, 4, 5};
	uint8_t *ip = f + 14, *udp = ip + 20, *dhcp = udp + 8;

	memset(f, 0, 342);
	memset(f, 0xff, 6);
	memcpy(f + 6, mac, 6);
	put16(f + 12, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, 328);
	ip[8] = 64;
	ip[9] = 17;
	memset(ip + 16, 0xff, 4);
	put16(ip + 10, checksum(ip, 20));
	put16(udp, 68);
	put16(udp + 2, 67);
	put16(udp + 4, 308);
	dhcp[0] = dhcp[1] = 1;
	dhcp[2] = 6;
	memcpy(dhcp + 28, mac, 6);
	memcpy(dhcp + 236, "\x63\x82\x53\x63\x35\x01\x01\xff", 8);
	return 342;
}

static bool has_slirp(struct net_link **link, const struct net_user_options *o)
{
	struct error err = {""};
	int rc = net_user_open(link, o, &err);

	if (rc == -ENOTSUP) {
		assert_non_null(strstr(err.text, "libslirp"));
		return false;
	}
	assert_int_equal(rc, 0);
	assert_true((*link)->up);
	return true;
}

static void user_mode_gives_an_address(void **state)
{
	struct net_link *link;
	uint8_t frame[400];
	size_t len = discover(frame);

	(void)state;
	if (!has_slirp(&link, &(struct net_user_options){0}))
		skip();
	card_init(&C, link);
	assert_int_equal(card_send(&C, frame, len), 0);
	/* DHCPOFFER of 10.0.2.15 */
	assert_true(card_receive(&C) > 280);
	assert_int_equal(C.frame[14 + 9], 17);
	assert_memory_equal(C.frame + 14 + 28 + 16, "\x0a\x00\x02\x0f", 4);
	/* Frames of any length are survived. */
	for (size_t n = 0; n < len; n++)
		assert_int_equal(card_send(&C, frame, n), 0);
	card_fini(&C);
}

/* A driver that takes no frames: what waits for it is bounded, the rest is lost and counted. */
static void user_mode_holds_a_bounded_number_of_frames(void **state)
{
	struct net_link *link;
	uint8_t frame[400];
	size_t len = discover(frame);
	unsigned n = 0;

	(void)state;
	if (!has_slirp(&link, &(struct net_user_options){0}))
		skip();
	card_init(&C, link);
	for (unsigned i = 0; i < 4000; i++)
		assert_int_equal(card_send(&C, frame, len), 0);
	assert_true(link->lost > 0);
	do {
		worker_call(C.worker, take, &C);
		n += C.len > 0;
	} while (C.len);
	assert_true(n > 100 && n < 4000);
	assert_int_equal(card_send(&C, frame, len), 0);
	assert_true(card_receive(&C) > 280);
	card_fini(&C);
}

/*
 * Frames that begin as real ones and go on as anything; restricted, so that none of it
 * leaves this process.
 */
static void user_mode_survives_garbage(void **state)
{
	static const uint8_t types[][2] = {{8, 0}, {8, 6}, {0x86, 0xdd}, {0x88, 0xf8}};
	uint64_t seed = 0x123456789;
	struct net_link *link;
	uint8_t frame[1600];

	(void)state;
	if (!has_slirp(&link, &(struct net_user_options){.restricted = true}))
		skip();
	card_init(&C, link);
	for (unsigned n = 0; n < 20000; n++) {
		size_t len = discover(frame);

		for (unsigned i = 0; i < 12; i++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			if (i < 2)
				memcpy(frame + 12, types[seed % 4], i ? 0 : 2);
			else if (i == 2 && seed % 4 == 0)
				len = seed >> 8 & 1023;
			else if (seed & 1)
				frame[(seed >> 8) % 100] = (uint8_t)(seed >> 32);
		}
		/* A header whose checksum holds gets further. */
		put16(frame + 24, 0);
		put16(frame + 24, checksum(frame + 14, 20));
		(void)card_send(&C, frame, len);
	}
	card_fini(&C);
}

static void user_mode_port_in_use_is_said(void **state)
{
	struct net_forward f = {.host.s_addr = htonl(INADDR_LOOPBACK), .guest_port = 80};
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct net_user_options o = {.forwards = &f, .n_forwards = 1};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(a);
	struct net_link *link;
	struct error err;
	int rc;

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	f.host_port = ntohs(a.sin_port);
	rc = net_user_open(&link, &o, &err);
	close(fd);
	if (rc == -ENOTSUP)
		skip();
	assert_int_equal(rc, -EADDRINUSE);
	assert_non_null(strstr(err.text, "127.0.0.1"));
}

/* Port 0 of the host: one that is free, several times over; a pair of programs finds two. */
static void user_mode_finds_free_ports(void **state)
{
	const struct net_forward f[] = {
		{.host.s_addr = htonl(INADDR_LOOPBACK), .guest_port = 80},
		{.host.s_addr = htonl(INADDR_LOOPBACK), .guest_port = 81},
		{.host.s_addr = htonl(INADDR_LOOPBACK), .guest_port = 53, .udp = true},
	};
	const struct net_user_options o = {.forwards = f, .n_forwards = ARRAY_SIZE(f)};
	struct net_link *link, *other;

	(void)state;
	if (!has_slirp(&link, &o))
		skip();
	assert_true(has_slirp(&other, &o));
	net_link_close(&other);
	net_link_close(&link);
}

static void dns_is(const char *text, bool readable, unsigned ipv4, unsigned ipv6)
{
	char name[] = "/tmp/ringside-dns-XXXXXX";
	int fd = mkstemp(name);
	struct user_dns dns;

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	dns = user_dns_look(readable ? name : "/nonexistent/resolv.conf");
	unlink(name);
	assert_int_equal(dns.readable, readable);
	assert_int_equal(dns.ipv4, ipv4);
	assert_int_equal(dns.ipv6, ipv6);
}

static void user_mode_knows_which_name_servers_answer(void **state)
{
	(void)state;
	dns_is("", true, 0, 0);
	dns_is("", false, 0, 0);
	dns_is("search example.org\nnameserver 127.0.0.53\noptions edns0\n", true, 1, 0);
	dns_is("nameserver 2001:db8::1\nnameserver\tfe80::1%eth0\n", true, 0, 2);
	dns_is("# nameserver 10.0.0.1\nnameserver ::1\nnameserver 10.0.0.1", true, 1, 1);
	dns_is("nameserver nonsense\n", true, 0, 0);
}

/* ---- through it ---- */

#define GUEST_MAC "\x02\x01\x02\x03\x04\x05"
#define GUEST_IP  "\x0a\x00\x02\x0f"
#define HOST_IP	  "\x0a\x00\x02\x02"

static unsigned be16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/* Who has 10.0.2.2?  Asks 10.0.2.15, who is known from then on. */
static size_t who_has(uint8_t *f)
{
	memset(f, 0, 60);
	memcpy(f, "\xff\xff\xff\xff\xff\xff" GUEST_MAC "\x08\x06", 14);
	memcpy(f + 14, "\0\1\x08\0\6\4\0\1" GUEST_MAC GUEST_IP "\0\0\0\0\0\0" HOST_IP, 28);
	return 60;
}

/* From the guest to 10.0.2.2, with @n bytes behind the header of 20; returns those. */
static uint8_t *packet(uint8_t *f, uint8_t protocol, size_t n)
{
	uint8_t *ip = f + 14;

	memcpy(f, "\x52\x55\x0a\x00\x02\x02" GUEST_MAC "\x08\x00", 14);
	memset(ip, 0, 20 + n);
	ip[0] = 0x45;
	put16(ip + 2, (unsigned)(20 + n));
	ip[8] = 64;
	ip[9] = protocol;
	memcpy(ip + 12, GUEST_IP HOST_IP, 8);
	put16(ip + 10, checksum(ip, 20));
	return ip + 20;
}

static size_t datagram(uint8_t *f, unsigned from, unsigned to, const void *data, size_t n)
{
	uint8_t *udp = packet(f, 17, 8 + n);

	put16(udp, from);
	put16(udp + 2, to);
	put16(udp + 4, (unsigned)(8 + n));
	memcpy(udp + 8, data, n);
	return 42 + n;
}

/* The next frame to the guest that is not ARP: a datagram from 10.0.2.2 with this in it. */
static void datagram_comes(unsigned to, const void *data, size_t n)
{
	do
		assert_true(card_receive(&C) > 0);
	while (be16(C.frame + 12) == 0x0806);
	assert_int_equal(C.len, 42 + n);
	assert_memory_equal(C.frame, GUEST_MAC, 6);
	assert_memory_equal(C.frame + 26, HOST_IP GUEST_IP, 8);
	assert_int_equal(be16(C.frame + 36), to);
	assert_memory_equal(C.frame + 42, data, n);
}

static int host_socket(struct sockaddr_in *a, int type)
{
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	struct timeval hang = {.tv_sec = 20};
	socklen_t len = sizeof(*a);

	*a = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(fd, (struct sockaddr *)a, sizeof(*a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)a, &len), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &hang, sizeof(hang)), 0);
	return fd;
}

static void guest_is_known(void)
{
	uint8_t frame[60];

	assert_int_equal(card_send(&C, frame, who_has(frame)), 0);
	assert_true(card_receive(&C) >= 42);
	assert_memory_equal(C.frame + 20, "\0\2", 2);
	assert_memory_equal(C.frame + 28, HOST_IP GUEST_MAC GUEST_IP, 14);
}

/* More flows at once than libslirp's descriptors have had room for at first. */
static void user_mode_datagrams_go_out_and_come_back(void **state)
{
	struct sockaddr_in a, from[150];
	int fd = host_socket(&a, SOCK_DGRAM);
	struct net_link *link;
	uint8_t frame[100];

	(void)state;
	if (!has_slirp(&link, &(struct net_user_options){0})) {
		close(fd);
		skip();
	}
	card_init(&C, link);
	guest_is_known();
	for (unsigned i = 0; i < ARRAY_SIZE(from); i++) {
		socklen_t len = sizeof(from[i]);
		unsigned got;

		assert_int_equal(
			card_send(&C, frame,
				  datagram(frame, 2000 + i, ntohs(a.sin_port), &i, sizeof(i))),
			0);
		assert_int_equal(
			recvfrom(fd, &got, sizeof(got), 0, (struct sockaddr *)&from[i], &len),
			sizeof(got));
		assert_int_equal(got, i);
	}
	/* Every one of them is still looked at. */
	for (unsigned i = ARRAY_SIZE(from); i-- > 0;) {
		assert_int_equal(
			sendto(fd, &i, sizeof(i), 0, (struct sockaddr *)&from[i], sizeof(from[i])),
			sizeof(i));
		datagram_comes(2000 + i, &i, sizeof(i));
	}
	card_fini(&C);
	close(fd);
}

/* A guest that opens flows without end leaves some files to others, and its own flows go on. */
static void user_mode_leaves_some_files(void **state)
{
	struct sockaddr_in a, first;
	int fd = host_socket(&a, SOCK_DGRAM), others[8];
	struct rlimit as_it_was, few;
	socklen_t len = sizeof(first);
	struct net_link *link;
	uint8_t frame[100];
	unsigned refused = 0;

	(void)state;
	if (!has_slirp(&link, &(struct net_user_options){0})) {
		close(fd);
		skip();
	}
	card_init(&C, link);
	guest_is_known();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &as_it_was), 0);
	few = as_it_was;
	few.rlim_cur = 96;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	for (unsigned i = 0; i < 200; i++) {
		size_t n = datagram(frame, 2000 + i, ntohs(a.sin_port), "flow", 4);

		refused += card_send(&C, frame, n) == -EMFILE;
	}
	assert_true(refused > 100);
	for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
		others[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		assert_true(others[i] >= 0);
	}
	assert_int_equal(recvfrom(fd, frame, 4, 0, (struct sockaddr *)&first, &len), 4);
	assert_int_equal(sendto(fd, "back", 4, 0, (struct sockaddr *)&first, len), 4);
	datagram_comes(2000, "back", 4);
	for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
		close(others[i]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &as_it_was), 0);
	card_fini(&C);
	close(fd);
}

static void user_mode_restricted_lets_nothing_out(void **state)
{
	struct sockaddr_in a;
	int fd = host_socket(&a, SOCK_DGRAM);
	struct net_link *link;
	uint8_t frame[100];
	char c;

	(void)state;
	if (!has_slirp(&link, &(struct net_user_options){.restricted = true})) {
		close(fd);
		skip();
	}
	card_init(&C, link);
	assert_int_equal(card_send(&C, frame, datagram(frame, 2000, ntohs(a.sin_port), "x", 1)), 0);
	guest_is_known();
	assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), -1);
	card_fini(&C);
	close(fd);
}

/* A port of the host that was free a moment ago. */
static bool open_forward(struct net_link **link, struct net_forward *f, struct sockaddr_in *at)
{
	for (unsigned tries = 0; tries < 20; tries++) {
		int fd = host_socket(at, SOCK_DGRAM), rc;

		close(fd);
		f->host = at->sin_addr;
		f->host_port = ntohs(at->sin_port);
		rc = net_user_open(link, &(struct net_user_options){.forwards = f, .n_forwards = 1},
				   NULL);
		if (rc == -ENOTSUP)
			return false;
		if (!rc)
			return true;
	}
	fail_msg("no port can be forwarded");
	return false;
}

/* To the guest's first address where none is given; the guest's answers lead back. */
static void user_mode_forwarded_port(void **state)
{
	struct net_forward forwards[] = {
		{.udp = true, .guest_port = 69},
		{.udp = true, .guest_port = 69, .guest.s_addr = inet_addr("10.0.2.15")},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(forwards); i++) {
		struct sockaddr_in a, port;
		struct net_link *link;
		uint8_t frame[100];
		char text[8];
		int fd;

		if (!open_forward(&link, &forwards[i], &port))
			skip();
		card_init(&C, link);
		guest_is_known();
		fd = host_socket(&a, SOCK_DGRAM);
		assert_int_equal(sendto(fd, "hello", 5, 0, (struct sockaddr *)&port, sizeof(port)),
				 5);
		datagram_comes(69, "hello", 5);
		assert_int_equal(be16(C.frame + 34), ntohs(a.sin_port));
		assert_int_equal(
			card_send(&C, frame, datagram(frame, 69, ntohs(a.sin_port), "guest", 5)),
			0);
		assert_int_equal(recv(fd, text, sizeof(text), 0), 5);
		assert_memory_equal(text, "guest", 5);
		close(fd);
		card_fini(&C);
	}
}

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define ACK 0x10

/* One end of a connection of the guest's. */
struct guest_tcp {
	unsigned port, to;
	uint32_t sent, got; /* sequence numbers that follow */
};

static void tcp_send(struct guest_tcp *g, uint8_t flags, const void *data, size_t n)
{
	uint8_t frame[200], pseudo[100] = GUEST_IP HOST_IP "\0\6";
	uint8_t *tcp = packet(frame, 6, 20 + n);

	put16(tcp, g->port);
	put16(tcp + 2, g->to);
	put16(tcp + 4, g->sent >> 16);
	put16(tcp + 6, g->sent & 0xffff);
	put16(tcp + 8, g->got >> 16);
	put16(tcp + 10, g->got & 0xffff);
	tcp[12] = 5 << 4;
	tcp[13] = flags;
	put16(tcp + 14, 8192);
	memcpy(tcp + 20, data, n);
	put16(pseudo + 10, (unsigned)(20 + n));
	memcpy(pseudo + 12, tcp, 20 + n);
	put16(tcp + 16, checksum(pseudo, 32 + n));
	g->sent += (uint32_t)n + (flags & SYN ? 1 : 0);
	assert_int_equal(card_send(&C, frame, 54 + n), 0);
}

/* The next segment that has any of these flags, or data where @n is not 0. */
static uint8_t tcp_comes(struct guest_tcp *g, uint8_t flags, const void *data, size_t n)
{
	for (;;) {
		const uint8_t *tcp = C.frame + 34, *at;
		size_t have;

		assert_true(card_receive(&C) > 0);
		if (be16(C.frame + 12) != 0x0800 || C.frame[23] != 6)
			continue;
		assert_int_equal(be16(tcp), g->to);
		assert_int_equal(be16(tcp + 2), g->port);
		at = tcp + 4 * (tcp[12] >> 4);
		have = be16(C.frame + 16) - (size_t)(at - (C.frame + 14));
		if (!(tcp[13] & flags) && !(n && have))
			continue;
		assert_int_equal(have, n);
		assert_memory_equal(at, data, n);
		g->got = (be16(tcp + 4) << 16 | be16(tcp + 6)) + (uint32_t)n +
			 (tcp[13] & (SYN | FIN) ? 1 : 0);
		return tcp[13];
	}
}

/* A connection out to the host, as far as its end; and one that nobody takes. */
static void user_mode_streams_go_out(void **state)
{
	struct sockaddr_in a;
	int fd = host_socket(&a, SOCK_STREAM), other;
	struct guest_tcp g = {.port = 3000, .to = ntohs(a.sin_port), .sent = 77};
	struct net_link *link;
	char text[8];

	(void)state;
	assert_int_equal(listen(fd, 1), 0);
	if (!has_slirp(&link, &(struct net_user_options){0})) {
		close(fd);
		skip();
	}
	card_init(&C, link);
	guest_is_known();
	tcp_send(&g, SYN, "", 0);
	assert_int_equal(tcp_comes(&g, SYN | RST, "", 0), SYN | ACK);
	tcp_send(&g, ACK, "", 0);
	other = accept(fd, NULL, NULL);
	assert_true(other >= 0);
	tcp_send(&g, ACK, "hello", 5);
	assert_int_equal(recv(other, text, sizeof(text), 0), 5);
	assert_memory_equal(text, "hello", 5);
	assert_int_equal(send(other, "host", 4, 0), 4);
	tcp_comes(&g, RST, "host", 4);
	tcp_send(&g, ACK, "", 0);
	close(other);
	assert_int_equal(tcp_comes(&g, FIN | RST, "", 0) & (FIN | RST), FIN);
	close(fd);
	g = (struct guest_tcp){.port = 3001, .to = g.to, .sent = 88};
	tcp_send(&g, SYN, "", 0);
	assert_true(tcp_comes(&g, SYN | RST, "", 0) & RST);
	card_fini(&C);
}

static void read_turns(void *turns)
{
	*(uint64_t *)turns = reactor_stats(worker_reactor(C.worker))->turns;
}

/* Something has passed, and a flow is still open: but for libslirp's slow timer nobody wakes up. */
static void user_mode_sleeps_when_idle(void **state)
{
	struct sockaddr_in a;
	int fd = host_socket(&a, SOCK_DGRAM);
	struct net_link *link;
	uint64_t before, after;
	uint8_t frame[100];
	char c;

	(void)state;
	if (!has_slirp(&link, &(struct net_user_options){0})) {
		close(fd);
		skip();
	}
	card_init(&C, link);
	guest_is_known();
	assert_int_equal(card_send(&C, frame, datagram(frame, 2000, ntohs(a.sin_port), "x", 1)), 0);
	assert_int_equal(recv(fd, &c, 1, 0), 1);
	poll(NULL, 0, 20);
	worker_call(C.worker, read_turns, &before);
	poll(NULL, 0, 80);
	worker_call(C.worker, read_turns, &after);
	assert_true(after - before < 20);
	card_fini(&C);
	close(fd);
}

/* Pieces of a packet are dangerous to libslirp 4.7; what must not be cut is no piece. */
static void user_mode_takes_no_pieces(void **state)
{
	static const struct {
		unsigned field;
		int rc;
	} cases[] = {{0x4000, 0},
		     {0x8000, 0},
		     {0x2000, -EPROTONOSUPPORT},
		     {0x0001, -EPROTONOSUPPORT},
		     {0x0100, -EPROTONOSUPPORT},
		     {0x3fff, -EPROTONOSUPPORT}};
	struct net_link *link;
	uint8_t frame[100];
	size_t len = datagram(frame, 1, 1, "x", 1);

	(void)state;
	if (!has_slirp(&link, &(struct net_user_options){.restricted = true}))
		skip();
	card_init(&C, link);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		put16(frame + 20, cases[i].field);
		assert_int_equal(card_send(&C, frame, len), cases[i].rc);
		/* In a frame of another kind these bytes are something else. */
		frame[13] = 6;
		assert_int_equal(card_send(&C, frame, len), 0);
		frame[13] = 0;
	}
	card_fini(&C);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(user_mode_gives_an_address),
		cmocka_unit_test(user_mode_holds_a_bounded_number_of_frames),
		cmocka_unit_test(user_mode_survives_garbage),
		cmocka_unit_test(user_mode_finds_free_ports),
		cmocka_unit_test(user_mode_knows_which_name_servers_answer),
		cmocka_unit_test(user_mode_port_in_use_is_said),
		cmocka_unit_test(user_mode_datagrams_go_out_and_come_back),
		cmocka_unit_test(user_mode_leaves_some_files),
		cmocka_unit_test(user_mode_restricted_lets_nothing_out),
		cmocka_unit_test(user_mode_forwarded_port),
		cmocka_unit_test(user_mode_streams_go_out),
		cmocka_unit_test(user_mode_sleeps_when_idle),
		cmocka_unit_test(user_mode_takes_no_pieces),
	};

	return cmocka_run_group_tests_name("link_user", tests, NULL, NULL);
}
