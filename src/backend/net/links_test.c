/* SPDX-License-Identifier: MIT */
/* Sockets and TAP interfaces by themselves. */
#include "test.h"

#include "backend/net/card_test.h"
#include "backend/net/links.h"
#include "base/reactor_priv.h"
#include "base/sock.h"
#include "lingering.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct card C, D;

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

static void find_each_other_again(const char *path)
{
	struct net_link *link;
	struct stat st;

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
}

static void sockets_find_each_other_again(void **state)
{
	char folder[] = "/tmp/ringside-links-XXXXXX", path[64];

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/wire", folder);
	find_each_other_again(path);
	assert_int_equal(rmdir(folder), 0);
}

static void abstract_sockets_too(void **state)
{
	char name[64];

	(void)state;
	snprintf(name, sizeof(name), "@ringside-links-%d", getpid());
	find_each_other_again(name);
}

/* Files that come along are no frames; nobody waits until they are closed, read or not. */
static void who_sends_files_along_is_hung_up_on(void **state)
{
	struct net_link *link;
	int other[2], fd[2];

	(void)state;
	for (unsigned read = 0; read < 2; read++) {
		const struct iovec text = {"0123456789abcdef", 16};
		int file = test_lingering(&other[read]);

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), 0);
		assert_int_equal(net_socket_adopt(&link, fd[0], NULL), 0);
		alarm(20);
		card_init(&C, link);
		/* The end is in front of them, or they are the end. */
		if (!read)
			assert_int_equal(send(fd[1], "", 0, 0), 0);
		assert_int_equal(sock_send_some(fd[1], &text, 1, &file, 1), 16);
		close(file); /* another one is on its way */
		changes(&C, 1, false);
		assert_int_equal(card_send(&C, "0123456789abcdef", 16), -ENOLINK);
		close(fd[1]);
		card_fini(&C);
		alarm(0);
	}
	close(other[0]);
	close(other[1]);
}

/* ---- memory that is short, for watches on one thread ---- */

static pthread_t short_thread;
static bool short_of_watches; /* atomic */
static unsigned refusals;     /* atomic */

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

/* The sanitizers have an allocator of their own; there is memory then. */
#ifndef SANITIZED
extern void *__libc_calloc(size_t n, size_t size);

void *calloc(size_t n, size_t size)
{
	if (size == sizeof(struct reactor_watch_op) && read_once(&short_of_watches) &&
	    pthread_equal(pthread_self(), short_thread)) {
		write_once(&refusals, refusals + 1);
		return NULL;
	}
	return __libc_calloc(n, size);
}
#endif

static void note_thread(void *thread)
{
	*(pthread_t *)thread = pthread_self();
}

/* A connection that cannot be watched is none: it is closed, and the next try is a new one. */
static void a_connection_that_cannot_be_watched_is_tried_anew(void **state)
{
	uint64_t end = clock_ns() + HANG_NS;
	struct net_link *link;
	char name[64];

	(void)state;
#ifdef SANITIZED
	skip();
#endif
	snprintf(name, sizeof(name), "@ringside-watch-%d", getpid());
	assert_int_equal(net_socket_open(&link, name, NULL), 0);
	card_init(&C, link);
	assert_int_equal(net_socket_open(&link, name, NULL), 0);
	card_init(&D, link);
	changes(&C, 1, true);
	worker_call(D.worker, note_thread, &short_thread);
	/* The one who waited goes; the other one finds the next, and has no memory for it. */
	card_fini(&C);
	changes(&D, 1, false);
	write_once(&short_of_watches, true);
	assert_int_equal(net_socket_open(&link, name, NULL), 0);
	card_init(&C, link);
	while (read_once(&refusals) < 2 && clock_ns() < end)
		usleep(1000);
	write_once(&short_of_watches, false);
	assert_true(refusals >= 2);
	/* Perhaps more than once: those that cannot be watched come and go. */
	for (; !read_once(&D.link->up); usleep(1000)) {
		assert_true(clock_ns() < end);
		worker_call(D.worker, take, &D);
	}
	/* Both get over connections that came and went, as soon as they look. */
	for (C.len = 0; C.len != 14 && clock_ns() < end; usleep(1000)) {
		worker_call(D.worker, take, &D);
		card_send(&D, "0123456789abcdef", 14);
		worker_call(C.worker, take, &C);
	}
	assert_int_equal(C.len, 14);
	assert_int_equal(card_send(&C, "0123456789abcdef", 13), 0);
	assert_int_equal(card_receive(&D), 13);
	card_fini(&C);
	card_fini(&D);
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

static void refused(int rc, int want, const struct error *err, const char *word)
{
	assert_int_equal(rc, want);
	if (!strstr(err->text, word))
		fail_msg("\"%s\" does not say \"%s\"", err->text, word);
}

/* What is there and is no socket is left alone, and told. */
static void socket_place_that_is_taken(void **state)
{
	char folder[] = "/tmp/ringside-links-XXXXXX", path[64], below[80];
	struct net_link *link;
	struct error err;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(folder));
	refused(net_socket_open(&link, folder, &err), -EISDIR, &err, "directory");
	snprintf(path, sizeof(path), "%s/file", folder);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	refused(net_socket_open(&link, path, &err), -ENOTSOCK, &err, "no socket");
	assert_int_equal(access(path, F_OK), 0);
	snprintf(below, sizeof(below), "%s/wire", path);
	refused(net_socket_open(&link, below, &err), -ENOTDIR, &err, "directory");
	assert_int_equal(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/none/wire", folder);
	refused(net_socket_open(&link, path, &err), -ENOENT, &err, "directory");
	assert_int_equal(rmdir(folder), 0);
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

/* Where this process may not have one; skips then.  Any other failure is one of ours. */
static struct net_link *own_tap(const char *name, unsigned pairs)
{
	static const int may_not[] = {-EPERM, -EACCES, -ENOENT, -ENODEV, -ENXIO};
	struct net_link *link = NULL;
	struct error err = {""};
	bool skipped = own_network();
	int rc = skipped ? 0 : net_tap_open(&link, name, pairs, &err);

	for (size_t i = 0; i < ARRAY_SIZE(may_not); i++)
		skipped |= rc == may_not[i];
	if (skipped) {
		print_message("no network of our own: %s\n", err.text);
		skip();
	}
	if (rc)
		fail_msg("%s", err.text);
	assert_true(link->up);
	return link;
}

static void delete_interface(const char *name)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg info;
	} msg = {.head = {.nlmsg_len = sizeof(msg),
			  .nlmsg_type = RTM_DELLINK,
			  .nlmsg_flags = NLM_F_REQUEST},
		 .info.ifi_index = (int)if_nametoindex(name)};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	assert_true(msg.info.ifi_index > 0);
	assert_int_equal(send(fd, &msg, sizeof(msg), 0), sizeof(msg));
	close(fd);
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
	struct net_link *link = own_tap("ring0", 1);
	uint8_t frame[60];

	(void)state;
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

/* The link is down then; nothing more comes, and nobody looks for it again and again. */
static void tap_is_taken_away(void **state)
{
	struct net_link *link = own_tap("ring2", 1);
	unsigned arrivals;
	uint8_t frame[60];

	(void)state;
	card_init(&C, link);
	delete_interface("ring2");
	changes(&C, 1, false);
	assert_true(card_send(&C, frame, arp_request(frame)) < 0);
	poll(NULL, 0, 20);
	arrivals = read_once(&C.arrivals);
	poll(NULL, 0, 20);
	assert_true(read_once(&C.arrivals) - arrivals < 3);
	assert_int_equal(read_once(&C.changes), 1);
	card_fini(&C);
}

static void tap_has_pairs(void **state)
{
	struct net_link *link = own_tap("ring1", 4);

	(void)state;
	for (unsigned n = 1; n <= 4; n++)
		assert_int_equal(link->ops->set_pairs(link, n), 0);
	assert_int_equal(link->ops->set_pairs(link, 1), 0);
	net_link_close(&link);
}

static int set_mtu(const char *name, int mtu)
{
	struct ifreq req = {.ifr_mtu = mtu};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	rc = ioctl(fd, SIOCSIFMTU, &req);
	close(fd);
	return rc;
}

/* One pair does with an interface of many queues, and knows what the host knows. */
static void tap_of_many_queues_with_one_pair(void **state)
{
	struct net_link *many = own_tap("ring3", 2), *one;
	struct error err = {""};

	(void)state;
	assert_int_equal(set_mtu("ring3", 9000), 0);
	if (net_tap_open(&one, "ring3", 1, &err))
		fail_msg("%s", err.text);
	assert_int_equal(one->pairs, 1);
	assert_null(one->ops->set_pairs);
	assert_int_equal(one->mtu, 9000);
	assert_true(one->has_mac && !(one->mac[0] & 1));
	assert_memory_equal(one->mac, many->mac, sizeof(one->mac));
	net_link_close(&one);
	net_link_close(&many);
}

static int new_tun(const char *name)
{
	struct ifreq req = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	assert_int_equal(ioctl(fd, TUNSETIFF, &req), 0);
	return fd;
}

static void tap_that_is_none_is_said(void **state)
{
	struct net_link *single = own_tap("ring4", 1), *link;
	struct error err = {""};
	int tun;

	(void)state;
	refused(net_tap_open(&link, "ring4", 2, &err), -EINVAL, &err, "multi_queue");
	refused(net_tap_open(&link, "ring4", 1, &err), -EBUSY, &err, "in use");
	net_link_close(&single);
	tun = new_tun("ring5");
	refused(net_tap_open(&link, "ring5", 1, &err), -EINVAL, &err, "TUN");
	refused(net_tap_adopt(&link, tun, &err), -EINVAL, &err, "TUN");
	close(tun);
	refused(net_tap_open(&link, "lo", 1, &err), -EINVAL, &err, "no TAP interface");
	/* Opened, but no interface. */
	tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	assert_true(net_tap_adopt(&link, tun, &err) < 0);
	close(tun);
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
		cmocka_unit_test(abstract_sockets_too),
		cmocka_unit_test(who_sends_files_along_is_hung_up_on),
		cmocka_unit_test(a_connection_that_cannot_be_watched_is_tried_anew),
		cmocka_unit_test(socket_left_behind_is_taken_over),
		cmocka_unit_test(socket_place_that_is_taken),
		cmocka_unit_test(tap_that_cannot_be_is_said),
		cmocka_unit_test(tap_talks_to_the_host),
		cmocka_unit_test(tap_is_taken_away),
		cmocka_unit_test(tap_has_pairs),
		cmocka_unit_test(tap_of_many_queues_with_one_pair),
		cmocka_unit_test(tap_that_is_none_is_said),
	};

	return cmocka_run_group_tests_name("links", tests, NULL, NULL);
}
