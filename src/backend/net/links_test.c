/* SPDX-License-Identifier: MIT */
/* The links by themselves, on a worker: the card in front of them is a double that counts. */
#include "test.h"

#include "backend/net/links.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "base/clock.h"
#include "base/worker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HANG_NS (20 * NSEC_PER_SEC)

struct card {
	struct net_link_client client;
	struct net_link *link;
	struct worker *worker;
	unsigned arrivals, changes; /* atomic */
	uint8_t frame[NET_FRAME_MAX];
	struct virtio_net_hdr header;
	ssize_t len;
	int rc;
	const struct iovec *iov;
};

static struct card C, D;

static void arrived(struct net_link_client *client, unsigned pair)
{
	assert_int_equal(pair, 0);
	__atomic_add_fetch(&container_of(client, struct card, client)->arrivals, 1,
			   __ATOMIC_RELAXED);
}

static void carrier(struct net_link_client *client, bool up)
{
	struct card *c = container_of(client, struct card, client);

	write_once(&c->link->up, up);
	__atomic_add_fetch(&c->changes, 1, __ATOMIC_RELEASE);
}

static void start(void *arg)
{
	struct card *c = arg;

	c->rc = c->link->ops->receive_start(c->link, 0, worker_reactor(c->worker), NULL);
}

static void stop(void *arg)
{
	struct card *c = arg;

	c->link->ops->receive_stop(c->link, 0, worker_reactor(c->worker));
}

static void take(void *arg)
{
	struct card *c = arg;

	c->len = c->link->ops->receive(c->link, 0, &c->header, c->frame, sizeof(c->frame));
}

static void give(void *arg)
{
	static const struct virtio_net_hdr none;
	struct card *c = arg;

	c->rc = c->link->ops->send(c->link, 0, &none, c->iov, 1, c->iov->iov_len);
}

static void card_init(struct card *c, struct net_link *link)
{
	struct worker_config w = {.name = "links-test", .reactor.uring = true, .cpu = -1};

	memset(c, 0, sizeof(*c));
	c->client = (struct net_link_client){.arrived = arrived, .carrier = carrier};
	c->link = link;
	link->client = &c->client;
	assert_int_equal(worker_create(&c->worker, &w, NULL), 0);
	worker_call(c->worker, start, c);
	assert_int_equal(c->rc, 0);
}

static void card_fini(struct card *c)
{
	worker_call(c->worker, stop, c);
	worker_destroy(&c->worker);
	net_link_close(&c->link);
}

static int card_send(struct card *c, const void *frame, size_t len)
{
	struct iovec iov = {(void *)frame, len};

	c->iov = &iov;
	worker_call(c->worker, give, c);
	return c->rc;
}

/* The next frame, waited for as a card would; 0: none in absurdly long. */
static ssize_t card_receive(struct card *c)
{
	uint64_t end = clock_ns() + HANG_NS;

	for (;;) {
		unsigned before = read_once(&c->arrivals);

		worker_call(c->worker, take, c);
		if (c->len)
			return c->len;
		while (read_once(&c->arrivals) == before) {
			if (clock_ns() > end)
				return 0;
			poll(NULL, 0, 1);
		}
	}
}

/* A card that is told of frames looks for them; that they have ended is found so. */
static void changes(struct card *c, unsigned n, bool up)
{
	uint64_t end = clock_ns() + HANG_NS;

	while (load_acquire(&c->changes) < n) {
		assert_true(clock_ns() < end);
		worker_call(c->worker, take, c);
		poll(NULL, 0, 1);
	}
	assert_int_equal(read_once(&c->link->up), up);
}

/* ---- sockets ---- */

static void socket_frames_and_giants(void **state)
{
	static uint8_t frame[NET_FRAME_MAX + 1];
	struct net_link *link;
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), 0);
	assert_int_equal(net_socket_adopt(&link, fd[0], NULL), 0);
	card_init(&C, link);
	for (size_t i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)(i * 5);
	assert_int_equal(send(fd[1], frame, sizeof(frame), 0), sizeof(frame));
	assert_int_equal(send(fd[1], frame, NET_FRAME_MAX, 0), NET_FRAME_MAX);
	assert_int_equal(card_receive(&C), -EMSGSIZE);
	assert_int_equal(card_receive(&C), NET_FRAME_MAX);
	assert_memory_equal(C.frame, frame, NET_FRAME_MAX);
	assert_int_equal(card_send(&C, frame, 1514), 0);
	assert_int_equal(recv(fd[1], frame, sizeof(frame), 0), 1514);
	/* A reader that does not read: what does not fit is lost, and nobody waits. */
	for (unsigned i = 0; !card_send(&C, frame, 60000); i++)
		assert_true(i < 1000);
	/* An empty message ends it. */
	assert_int_equal(send(fd[1], frame, 0, 0), 0);
	changes(&C, 1, false);
	assert_int_equal(card_send(&C, frame, 60), -ENOLINK);
	close(fd[1]);
	card_fini(&C);
}

static void sockets_only_of_the_right_kind(void **state)
{
	struct net_link *link;
	int fd[2], file = open("/dev/null", O_RDONLY);

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_int_equal(net_socket_adopt(&link, fd[0], NULL), -EINVAL);
	assert_int_equal(net_socket_adopt(&link, file, NULL), -ENOTSOCK);
	close(fd[0]);
	close(fd[1]);
	close(file);
}

static void sockets_find_each_other_again(void **state)
{
	char folder[] = "/tmp/ringside-links-XXXXXX", path[64];
	struct net_link *link;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/wire", folder);
	assert_int_equal(net_socket_open(&link, path, NULL), 0);
	assert_false(link->up);
	card_init(&C, link);
	assert_int_equal(card_send(&C, "0123456789abcdef", 16), -ENOLINK);
	assert_int_equal(net_socket_open(&link, path, NULL), 0);
	assert_true(link->up);
	card_init(&D, link);
	changes(&C, 1, true);
	assert_int_equal(card_send(&D, "0123456789abcdef", 16), 0);
	assert_int_equal(card_receive(&C), 16);
	/* The one who connected goes, and another comes. */
	card_fini(&D);
	changes(&C, 2, false);
	assert_int_equal(net_socket_open(&link, path, NULL), 0);
	card_init(&D, link);
	changes(&C, 3, true);
	assert_int_equal(card_send(&C, "0123456789abcdef", 15), 0);
	assert_int_equal(card_receive(&D), 15);
	/* The one who waits goes, and another comes: it is found again. */
	card_fini(&C);
	changes(&D, 1, false);
	assert_int_equal(stat(path, &st), -1);
	assert_int_equal(net_socket_open(&link, path, NULL), 0);
	card_init(&C, link);
	changes(&D, 2, true);
	changes(&C, 1, true);
	assert_int_equal(card_send(&D, "0123456789abcdef", 14), 0);
	assert_int_equal(card_receive(&C), 14);
	card_fini(&C);
	card_fini(&D);
	assert_int_equal(rmdir(folder), 0);
}

static void socket_left_behind_is_taken_over(void **state)
{
	char folder[] = "/tmp/ringside-links-XXXXXX", path[64];
	struct net_link *link;
	int status;
	pid_t child;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/wire", folder);
	child = fork();
	if (!child)
		_exit(net_socket_open(&link, path, NULL) ? 1 : 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(net_socket_open(&link, path, NULL), 0);
	card_init(&C, link);
	card_fini(&C);
	assert_int_equal(rmdir(folder), 0);
}

/* ---- user mode ---- */

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

/* ---- TAP, in a network of our own ---- */

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd >= 0) {
		(void)!write(fd, text, strlen(text));
		close(fd);
	}
}

/* -errno where this process may not. */
static int own_network(void)
{
	char map[32];
	unsigned uid = getuid(), gid = getgid();

	if (!unshare(CLONE_NEWNET))
		return 0;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return -errno;
	write_file("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %u 1", uid);
	write_file("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "0 %u 1", gid);
	write_file("/proc/self/gid_map", map);
	return 0;
}

static int set_interface_up(const char *name)
{
	struct ifreq req = {0};
	struct sockaddr_in *a = (struct sockaddr_in *)(void *)&req.ifr_addr;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc = 0;

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	a->sin_family = AF_INET;
	a->sin_addr.s_addr = inet_addr("10.7.0.1");
	if (ioctl(fd, SIOCSIFADDR, &req))
		rc = -errno;
	req.ifr_flags = IFF_UP | IFF_RUNNING;
	if (!rc && ioctl(fd, SIOCSIFFLAGS, &req))
		rc = -errno;
	close(fd);
	return rc;
}

static size_t arp_request(uint8_t *f)
{
	static const uint8_t head[] = {0, 1, 8, 0, 6, 4, 0, 1, 2, 1, 2, 3, 4, 5, 10, 7, 0, 2};

	memset(f, 0, 60);
	memset(f, 0xff, 6);
	memcpy(f + 6, "\x02\x01\x02\x03\x04\x05\x08\x06", 8);
	memcpy(f + 14, head, sizeof(head));
	memcpy(f + 38, "\x0a\x07\x00\x01", 4);
	return 60;
}

static bool is_arp_reply(const struct card *c)
{
	return c->frame[12] == 8 && c->frame[13] == 6 && c->frame[21] == 2 &&
	       !memcmp(c->frame + 28, "\x0a\x07\x00\x01", 4);
}

static void tap_talks_to_the_host(void **state)
{
	struct net_link *link = NULL;
	struct error err = {""};
	uint8_t frame[60];
	int rc = own_network();

	(void)state;
	if (!rc)
		rc = net_tap_open(&link, "ring0", 1, &err);
	if (rc) {
		print_message("no network of our own: %s %s\n", strerror(-rc), err.text);
		skip();
	}
	assert_true(link->offloads & BIT64(VIRTIO_NET_F_HOST_TSO4));
	assert_int_equal(link->ops->set_offloads(link, 0), 0);
	assert_int_equal(link->ops->set_offloads(link, link->offloads), 0);
	assert_int_equal(set_interface_up("ring0"), 0);
	card_init(&C, link);
	assert_int_equal(card_send(&C, frame, arp_request(frame)), 0);
	do
		assert_true(card_receive(&C) > 0);
	while (!is_arp_reply(&C));
	/* A header that the kernel does not believe loses its frame only. */
	assert_true(card_send(&C, frame, 1) < 0);
	assert_int_equal(card_send(&C, frame, arp_request(frame)), 0);
	do
		assert_true(card_receive(&C) > 0);
	while (!is_arp_reply(&C));
	card_fini(&C);
}

static void tap_has_pairs(void **state)
{
	struct net_link *link = NULL;
	int rc = own_network();

	(void)state;
	if (!rc)
		rc = net_tap_open(&link, "ring1", 4, NULL);
	if (rc) {
		print_message("no network of our own: %s\n", strerror(-rc));
		skip();
	}
	for (unsigned n = 1; n <= 4; n++)
		assert_int_equal(link->ops->set_pairs(link, n), 0);
	assert_int_equal(link->ops->set_pairs(link, 1), 0);
	net_link_close(&link);
}

static void tap_that_cannot_be_is_said(void **state)
{
	struct net_link *link;
	struct error err;
	int fd = open("/dev/null", O_RDWR);

	(void)state;
	assert_int_equal(net_tap_open(&link, "a-name-that-is-too-long", 1, &err), -EINVAL);
	assert_true(net_tap_adopt(&link, fd, &err) < 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(socket_frames_and_giants),
		cmocka_unit_test(sockets_only_of_the_right_kind),
		cmocka_unit_test(sockets_find_each_other_again),
		cmocka_unit_test(socket_left_behind_is_taken_over),
		cmocka_unit_test(user_mode_gives_an_address),
		cmocka_unit_test(user_mode_holds_a_bounded_number_of_frames),
		cmocka_unit_test(user_mode_survives_garbage),
		cmocka_unit_test(user_mode_port_in_use_is_said),
		cmocka_unit_test(tap_that_cannot_be_is_said),
		cmocka_unit_test(tap_talks_to_the_host),
		cmocka_unit_test(tap_has_pairs),
	};

	return cmocka_run_group_tests_name("links", tests, NULL, NULL);
}
