/* SPDX-License-Identifier: MIT */
/*
 * A server under load is killed, again and again, and another one takes its place: every request
 * completes exactly once, and none that was completed is done again.
 *
 * Each request belongs to a slot, and each slot has a piece of the disk: it writes a pattern that
 * never came before, reads it back, writes the next.  A write that is repeated after its completion
 * brings an old pattern back; one that is lost leaves an old pattern; a second completion is one of
 * a chain that the driver does not have out.  RINGSIDE names the program.
 */
#include "server/vhost_user/rig_test.h"

#include "base/clock.h"
#include "wire/virtio.h"
#include "wire/virtio_blk.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOTS	  20u
#define SLOT_LEN  4096u
#define SLOTS_AT  0x20000u
#define SLOT_SPAN 0x2000u
#define KILLS	  15u

struct slot {
	struct virtio_blk_req *header;
	uint8_t *status;
	uint64_t *data;
	uint64_t written; /* the pattern whose write has completed; 0: none */
	uint64_t writing; /* the one on its way */
	bool reading;
	bool out;
};

struct load {
	struct front f;
	struct rig where; /* its path */
	char image[96];
	pid_t server;
	int region;
	struct vhost_user_inflight inflight;
	struct slot slots[SLOTS];
	uint64_t pattern, random, completed;
};

static uint32_t pick(struct load *l, uint32_t below)
{
	l->random = l->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(l->random >> 33) % below;
}

/* ---- the server ---- */

static void server_start(struct load *l)
{
	const char *program = getenv("RINGSIDE");
	char disk[160];

	snprintf(disk, sizeof(disk), "file=%s,packed=on", l->image);
	l->server = fork();
	assert_true(l->server >= 0);
	if (!l->server) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that is ended takes its server along */
		execl(program, program, "serve", "--vhost-user", l->where.path, "--disk", disk,
		      (char *)NULL);
		_exit(127);
	}
}

static void server_end(struct load *l, int sig)
{
	int status;

	assert_false(kill(l->server, sig));
	assert_int_equal(waitpid(l->server, &status, 0), l->server);
	if (sig == SIGTERM)
		assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
	else
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == sig);
}

/* Waits until it listens. */
static void server_wait(struct load *l)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	uint64_t start = clock_ns();
	struct timeval patience = {.tv_sec = PATIENCE_S};
	int sock;

	memcpy(addr.sun_path, l->where.path, strlen(l->where.path));
	for (;;) {
		sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_true(sock >= 0);
		if (!connect(sock, (struct sockaddr *)&addr, sizeof(addr)))
			break;
		close(sock);
		assert_int_equal(waitpid(l->server, NULL, WNOHANG), 0);
		assert_true(clock_ns() - start < PATIENCE_S * NSEC_PER_SEC);
		usleep(2000);
	}
	assert_false(setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)));
	close(l->f.sock);
	l->f.sock = sock;
}

static void get_region(struct load *l)
{
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct vhost_user_header h;
	struct iovec iov[2] = {{&h, sizeof(h)}, {&l->inflight, sizeof(l->inflight)}};
	struct msghdr msg = {
		.msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};

	l->inflight = (struct vhost_user_inflight){.num_queues = 1, .queue_size = RING_NUM};
	front_send(&l->f, VHOST_USER_GET_INFLIGHT_FD, FLAGS_PLAIN, &l->inflight,
		   sizeof(l->inflight), NULL, 0);
	assert_int_equal(recvmsg(l->f.sock, &msg, MSG_CMSG_CLOEXEC | MSG_WAITALL),
			 sizeof(h) + sizeof(l->inflight));
	assert_non_null(CMSG_FIRSTHDR(&msg));
	memcpy(&l->region, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(l->region));
}

/*
 * As QEMU does it: the base of a split ring is its used index, that of a packed one
 * is what it once was.
 */
static uint32_t base_of(const struct load *l)
{
	const struct vqdrv *drv = &l->f.rings[0].drv;

	return drv->is_packed ? vring_base_initial(true) : le16_get(drv->split.used->idx);
}

static void server_join(struct load *l)
{
	struct vhost_user_vring_addr addr = front_ring_addr(0);
	struct front_ring *r = &l->f.rings[0];
	uint64_t v;

	server_wait(l);
	v = front_get_u64(&l->f, VHOST_USER_GET_FEATURES);
	assert_int_equal(l->f.features & ~v, 0);
	v = front_get_u64(&l->f, VHOST_USER_GET_PROTOCOL_FEATURES);
	assert_true(v & BIT64(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD));
	v &= ~BIT64(VHOST_USER_PROTOCOL_F_STATUS); /* this front end tells none */
	front_send(&l->f, VHOST_USER_SET_PROTOCOL_FEATURES, FLAGS_PLAIN, &v, sizeof(v), NULL, 0);
	assert_int_equal(front_ack_u64(&l->f, VHOST_USER_SET_FEATURES, l->f.features), 0);
	if (l->region < 0)
		get_region(l);
	assert_int_equal(front_ack(&l->f, VHOST_USER_SET_INFLIGHT_FD, &l->inflight,
				   sizeof(l->inflight), &l->region, 1),
			 0);
	front_share_memory(&l->f);
	assert_int_equal(front_ack_state(&l->f, VHOST_USER_SET_VRING_NUM, 0, RING_NUM), 0);
	assert_int_equal(front_ack_state(&l->f, VHOST_USER_SET_VRING_BASE, 0, base_of(l)), 0);
	assert_int_equal(front_ack(&l->f, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0),
			 0);
	assert_int_equal(front_ack_fd(&l->f, VHOST_USER_SET_VRING_CALL, 0, r->call), 0);
	assert_int_equal(front_ack_fd(&l->f, VHOST_USER_SET_VRING_KICK, 0, r->kick), 0);
	front_ring_enable(&l->f, 0);
}

/* ---- the load ---- */

static uint64_t gpa_of(const struct load *l, const void *p)
{
	return FRONT_GPA + (uint64_t)((const uint8_t *)p - l->f.mem);
}

static void fill(uint64_t *data, uint64_t pattern)
{
	for (uint64_t i = 0; i < SLOT_LEN / sizeof(*data); i++)
		data[i] = pattern << 16 | i;
}

static bool filled(const uint64_t *data, uint64_t pattern)
{
	for (uint64_t i = 0; i < SLOT_LEN / sizeof(*data); i++)
		if (data[i] != (pattern << 16 | i))
			return false;
	return true;
}

static void submit(struct load *l, struct slot *s)
{
	unsigned index = (unsigned)(s - l->slots);
	struct vqdrv_buf header = {gpa_of(l, s->header), sizeof(*s->header)};
	struct vqdrv_buf data = {gpa_of(l, s->data), SLOT_LEN};
	struct vqdrv_buf status = {gpa_of(l, s->status), 1};
	struct vqdrv_buf bufs[3] = {header, data, status};

	s->reading = s->written && !s->reading;
	if (s->reading) {
		memset(s->data, 0, SLOT_LEN);
	} else {
		s->writing = ++l->pattern;
		fill(s->data, s->writing);
	}
	*s->header = (struct virtio_blk_req){
		.type = le32_make(s->reading ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT),
		.sector = le64_make((uint64_t)index * SLOT_LEN / VIRTIO_BLK_SECTOR),
	};
	*s->status = 0xff;
	assert_int_equal(
		vqdrv_add(&l->f.rings[0].drv, bufs, s->reading ? 1 : 2, s->reading ? 2 : 1, s), 0);
	s->out = true;
}

static unsigned complete(struct load *l)
{
	struct vqdrv *drv = &l->f.rings[0].drv;
	unsigned n = 0;
	uint32_t len;
	void *cookie;

	while (vqdrv_reap(drv, &cookie, &len) == 1) {
		struct slot *s = cookie;

		assert_true(s->out);
		assert_int_equal(*s->status, VIRTIO_BLK_S_OK);
		if (s->reading && !filled(s->data, s->written))
			fail_msg("a slot has pattern %llu, wrote %llu",
				 (unsigned long long)(s->data[0] >> 16),
				 (unsigned long long)s->written);
		if (!s->reading)
			s->written = s->writing;
		s->out = false;
		n++;
	}
	if (vqdrv_why(drv))
		fail_msg("%s", vqdrv_why(drv));
	l->completed += n;
	return n;
}

static void wait_for_call(struct front_ring *r)
{
	struct pollfd p = {.fd = r->call, .events = POLLIN};
	uint64_t v;

	if (poll(&p, 1, PATIENCE_S * 1000) != 1)
		fail_msg("no interrupt");
	assert_int_equal(read(r->call, &v, sizeof(v)), sizeof(v));
}

/* Until @n more have completed; submits as long as @more. */
static void run(struct load *l, unsigned n, bool more)
{
	struct front_ring *r = &l->f.rings[0];

	for (;;) {
		unsigned done = complete(l);

		n -= done < n ? done : n;
		for (unsigned i = 0; more && i < SLOTS; i++)
			if (!l->slots[i].out)
				submit(l, &l->slots[i]);
		vqdrv_publish(&r->drv);
		front_kick(&l->f, 0);
		if (!n)
			return;
		if (!done && !vqdrv_calls_on(&r->drv))
			wait_for_call(r);
	}
}

static void killed_under_load(uint64_t features)
{
	struct load l = {.region = -1, .random = features + 1, .f = {.sock = -1}};
	uint8_t *at;
	int fd;

	if (!getenv("RINGSIDE"))
		skip();
	snprintf(l.where.dir, sizeof(l.where.dir), "/tmp/ringside-XXXXXX");
	assert_non_null(mkdtemp(l.where.dir));
	snprintf(l.where.path, sizeof(l.where.path), "%s/sock", l.where.dir);
	snprintf(l.image, sizeof(l.image), "%s/image", l.where.dir);
	fd = open(l.image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_false(ftruncate(fd, 1 << 20));

	server_start(&l);
	{
		struct front *f = &l.f;
		int sock;

		server_wait(&l);
		sock = f->sock;
		front_open(f, &l.where);
		close(sock);
	}
	l.f.features |= features;
	front_ring_setup(&l.f, 0);
	for (unsigned i = 0; i < SLOTS; i++) {
		at = l.f.mem + SLOTS_AT + i * SLOT_SPAN;
		l.slots[i].header = (void *)at;
		l.slots[i].status = at + 64;
		l.slots[i].data = (void *)(at + SLOT_LEN);
	}
	for (unsigned n = 0; n < KILLS; n++) {
		server_join(&l);
		run(&l, pick(&l, 300), true);
		server_end(&l, n % 4 == 3 ? SIGTERM : SIGKILL);
		server_start(&l);
	}
	server_join(&l);
	run(&l, vqdrv_outstanding(&l.f.rings[0].drv), false);
	assert_int_equal(vqdrv_outstanding(&l.f.rings[0].drv), 0);
	server_end(&l, SIGTERM);
	at = mmap(NULL, SLOTS * SLOT_LEN, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(at != MAP_FAILED);
	for (unsigned i = 0; i < SLOTS; i++) {
		const uint64_t *data = (const void *)(at + i * SLOT_LEN);

		if (!filled(data, l.slots[i].written))
			fail_msg("slot %u: %llx on the disk, wrote %llx", i,
				 (unsigned long long)data[0],
				 (unsigned long long)l.slots[i].written);
	}
	munmap(at, SLOTS * SLOT_LEN);
	print_message("# %llu requests\n", (unsigned long long)l.completed);
	front_close(&l.f);
	close(l.region);
	close(fd);
	unlink(l.where.path);
	assert_false(unlink(l.image));
	assert_false(rmdir(l.where.dir));
}

static void killed_under_load_split(void **state)
{
	(void)state;
	killed_under_load(0);
}

static void killed_under_load_split_event_idx(void **state)
{
	(void)state;
	killed_under_load(BIT64(VIRTIO_F_EVENT_IDX));
}

static void killed_under_load_packed(void **state)
{
	(void)state;
	killed_under_load(BIT64(VIRTIO_F_RING_PACKED) | BIT64(VIRTIO_F_EVENT_IDX));
}

static void killed_under_load_packed_in_order(void **state)
{
	(void)state;
	killed_under_load(BIT64(VIRTIO_F_RING_PACKED) | BIT64(VIRTIO_F_IN_ORDER));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed_under_load_split),
		cmocka_unit_test(killed_under_load_split_event_idx),
		cmocka_unit_test(killed_under_load_packed),
		cmocka_unit_test(killed_under_load_packed_in_order),
	};

	return cmocka_run_group_tests_name("faults/server_kill", tests, NULL, NULL);
}
