/* SPDX-License-Identifier: MIT */
/* Messages that no good front end sends; health is checked by the runner behind every case. */
#include "conform/cases.h"

#include "conform/blk.h"
#include "wire/vhost_user_names.h"

#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static void raw(struct trial *t, uint32_t request, uint32_t flags, uint32_t size,
		const void *payload, uint32_t len)
{
	const struct vhost_user_header h = {request, flags, size};
	uint8_t bytes[sizeof(h) + 4096] = {0};

	memcpy(bytes, &h, sizeof(h));
	if (payload)
		memcpy(bytes + sizeof(h), payload, len);
	peer_send_raw(&t->peer, bytes, sizeof(h) + len, NULL, 0);
}

/* Lets the back end have it, then goes. */
static void and_go(struct trial *t)
{
	peer_closed(&t->peer, 20);
	redial(t);
}

static void cut_headers(struct trial *t)
{
	const struct vhost_user_header h = {VHOST_USER_GET_FEATURES, VHOST_USER_VERSION, 0};

	for (unsigned n = 1; n < sizeof(h); n++) {
		dial(t);
		trial_sent(t, "%u bytes of a header, then the end", n);
		peer_send_raw(&t->peer, &h, n, NULL, 0);
		redial(t);
	}
}

static void cut_payload(struct trial *t)
{
	static const uint8_t some[7] = {0};

	dial(t);
	trial_sent(t, "7 bytes of SET_FEATURES' 8, then the end");
	raw(t, VHOST_USER_SET_FEATURES, VHOST_USER_VERSION, 8, some, sizeof(some));
	redial(t);
}

static void sizes(struct trial *t)
{
	static const uint32_t list[] = {1, 7, 9, 4097, 65536, 0x7fffffff, 0xffffffff};

	for (unsigned i = 0; i < ARRAY_SIZE(list); i++) {
		uint8_t zeros[4096] = {0};

		dial(t);
		trial_sent(t, "SET_FEATURES with a size of %u", list[i]);
		raw(t, VHOST_USER_SET_FEATURES, VHOST_USER_VERSION, list[i], zeros,
		    (uint32_t)min_u64(list[i], sizeof(zeros)));
		and_go(t);
	}
}

static void wrong_sizes(struct trial *t)
{
	static const uint32_t requests[] = {5,	6,  8,	9,  10, 11, 12, 13, 14,
					    18, 24, 25, 31, 32, 37, 38, 39};
	uint8_t zeros[4096] = {0};

	for (unsigned i = 0; i < ARRAY_SIZE(requests); i++)
		for (unsigned k = 0; k < 3; k++) {
			uint32_t size = k == 0 ? 0 : k == 1 ? 4 : 1000;

			dial(t);
			trial_sent(t, "%s with %u bytes", vhost_user_request_name(requests[i]),
				   size);
			raw(t, requests[i], VHOST_USER_VERSION, size, zeros, size);
			peer_closed(&t->peer, 5);
			redial(t);
		}
}

static void unknown(struct trial *t)
{
	static const uint32_t requests[] = {0, 42, 99, 0x7fffffff, 0xffffffff};

	for (unsigned i = 0; i < ARRAY_SIZE(requests); i++) {
		dial(t);
		trial_sent(t, "request %u", requests[i]);
		raw(t, requests[i], VHOST_USER_VERSION, 0, NULL, 0);
		and_go(t);
	}
}

static void flags(struct trial *t)
{
	static const uint32_t list[] = {0, 2, 3, 5, 0xd, 0xffffffff};

	for (unsigned i = 0; i < ARRAY_SIZE(list); i++) {
		dial(t);
		trial_sent(t, "GET_FEATURES with flags 0x%x", list[i]);
		raw(t, VHOST_USER_GET_FEATURES, list[i], 0, NULL, 0);
		and_go(t);
	}
}

static void noise(struct trial *t)
{
	uint32_t seed = 1;

	for (unsigned round = 0; round < 50; round++) {
		uint8_t bytes[256];

		for (unsigned i = 0; i < sizeof(bytes); i++) {
			seed = seed * 1664525 + 1013904223;
			bytes[i] = (uint8_t)(seed >> 24);
		}
		/* Half of them begin like a message. */
		if (round % 2) {
			const struct vhost_user_header h = {bytes[0] % 45u, VHOST_USER_VERSION,
							    bytes[1] % 200u};

			memcpy(bytes, &h, sizeof(h));
		}
		dial(t);
		trial_sent(t, "256 bytes of noise, seed round %u", round);
		peer_send_raw(&t->peer, bytes, sizeof(bytes), NULL, 0);
		peer_closed(&t->peer, 5);
		redial(t);
	}
}

/* File descriptors */

static void fds_missing(struct trial *t)
{
	struct vhost_user_mem_table table = {
		.n = 1, .regions = {{.gpa = PEER_GPA, .size = 1 << 20, .user = PEER_GPA}}};
	uint64_t index = 0;

	dial(t);
	trial_sent(t, "SET_MEM_TABLE without a file descriptor");
	peer_send(&t->peer, VHOST_USER_SET_MEM_TABLE, 0, &table, 40, NULL, 0);
	and_go(t);
	dial(t);
	trial_sent(t, "SET_VRING_KICK without a file descriptor and without the no-fd bit");
	peer_send(&t->peer, VHOST_USER_SET_VRING_KICK, 0, &index, 8, NULL, 0);
	and_go(t);
	disk_up(t, (struct setup){0});
	trial_sent(t, "SET_VRING_KICK with the no-fd bit while the ring runs");
	index = VHOST_USER_VRING_NOFD;
	peer_send(&t->peer, VHOST_USER_SET_VRING_KICK, 0, &index, 8, NULL, 0);
	and_go(t);
}

static void fds_many(struct trial *t)
{
	int fds[32];
	uint64_t index = 0;

	for (unsigned i = 0; i < 32; i++)
		fds[i] = STDERR_FILENO;
	for (unsigned n = 2; n <= 32; n *= 2) {
		dial(t);
		trial_sent(t, "SET_VRING_KICK and GET_FEATURES with %u file descriptors", n);
		peer_send(&t->peer, VHOST_USER_GET_FEATURES, 0, NULL, 0, fds, n);
		peer_send(&t->peer, VHOST_USER_SET_VRING_KICK, 0, &index, 8, fds, n);
		and_go(t);
	}
}

static void fds_odd(struct trial *t)
{
	const uint64_t index = 0;
	int odd[3] = {open("/", O_RDONLY | O_CLOEXEC), open("/dev/null", O_RDWR | O_CLOEXEC), -1};
	int ends[2] = {-1, -1};

	if (!pipe2(ends, O_CLOEXEC))
		close(ends[0]);
	odd[2] = ends[1];
	for (unsigned i = 0; i < 3; i++) {
		struct vhost_user_mem_table table = {
			.n = 1, .regions = {{.gpa = PEER_GPA, .size = 1 << 20, .user = PEER_GPA}}};

		if (odd[i] < 0)
			continue;
		dial(t);
		trial_sent(t,
			   "SET_MEM_TABLE with a directory, /dev/null or a broken pipe for memory");
		peer_send(&t->peer, VHOST_USER_SET_MEM_TABLE, 0, &table, 40, &odd[i], 1);
		and_go(t);
		disk_up(t, (struct setup){0});
		trial_sent(t, "a directory, /dev/null or a broken pipe for kick and call");
		peer_send(&t->peer, VHOST_USER_SET_VRING_CALL, 0, &index, 8, &odd[i], 1);
		ring_kick(&t->rings[0]);
		peer_send(&t->peer, VHOST_USER_SET_VRING_KICK, 0, &index, 8, &odd[i], 1);
		and_go(t);
	}
	for (unsigned i = 0; i < 3; i++)
		if (odd[i] >= 0)
			close(odd[i]);
}

static void fds_repeated(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	uint64_t index = 0;

	trial_sent(t, "SET_VRING_CALL 5000 times");
	for (unsigned i = 0; i < 5000; i++)
		must_tell(t, VHOST_USER_SET_VRING_CALL, &index, 8, r->call);
	blk_read(r, 0, 512);
}

/* A call fd that is full would block whoever writes to it. */
static void call_full(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	uint64_t index = 0, max = UINT64_MAX - 1;

	close(r->call);
	r->call = eventfd(0, EFD_CLOEXEC);
	must_tell(t, VHOST_USER_SET_VRING_CALL, &index, 8, r->call);
	usleep(10000);
	/* Some signal a call fd as soon as they get it; what is left of the counter is filled. */
	if (fcntl(r->call, F_SETFL, O_NONBLOCK) ||
	    (write(r->call, &max, sizeof(max)) < 0 && read(r->call, &index, sizeof(index)) > 0 &&
	     write(r->call, &max, sizeof(max)) < 0) ||
	    fcntl(r->call, F_SETFL, 0))
		trial_skip(t, "the eventfd cannot be filled");
	trial_sent(t, "reads with a blocking call eventfd whose counter is full");
	for (unsigned i = 0; i < 4; i++) {
		struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);

		req_add(r, &q);
		ring_publish(r);
		ring_kick(r);
		if (!ring_poll(r, &q.used, t->o->timeout_ms)) {
			/* Frees whoever hangs there before the case ends. */
			if (read(r->call, &index, sizeof(index)) < 0)
				trial_skip(t, "the eventfd cannot be read");
			trial_fail(t, "the back end does not wait for the front end's eventfd",
				   "read %u is not completed", i + 1);
		}
	}
	if (read(r->call, &index, sizeof(index)) < 0)
		trial_skip(t, "the eventfd cannot be read");
}

/* Memory */

static void tables(struct trial *t)
{
	const uint64_t big = UINT64_MAX - 4095;
	const struct {
		const char *what;
		uint32_t n;
		struct vhost_user_region a, b;
	} list[] = {
		{"0 regions", 0, {0}, {0}},
		{"9 regions", 9, {PEER_GPA, 4096, PEER_GPA, 0}, {0}},
		{"4294967295 regions", 0xffffffff, {PEER_GPA, 4096, PEER_GPA, 0}, {0}},
		{"a region of size 0", 1, {PEER_GPA, 0, PEER_GPA, 0}, {0}},
		{"a region that runs over 2^64", 1, {big, 8192, PEER_GPA, 0}, {0}},
		{"a region whose offset and size run over 2^64",
		 1,
		 {PEER_GPA, 8192, PEER_GPA, big},
		 {0}},
		{"a region beyond its file", 1, {PEER_GPA, 4096, PEER_GPA, 1u << 30}, {0}},
		{"an unaligned region", 1, {PEER_GPA + 1, 4095, PEER_GPA + 1, 1}, {0}},
		{"a region of 2^63 bytes", 1, {0, UINT64_C(1) << 63, 0, 0}, {0}},
		{"two regions that overlap",
		 2,
		 {PEER_GPA, 1 << 20, PEER_GPA, 0},
		 {PEER_GPA + 4096, 1 << 20, PEER_GPA + 4096, 0}},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(list); i++) {
		struct vhost_user_mem_table table = {.n = list[i].n,
						     .regions = {list[i].a, list[i].b}};
		int fds[2] = {memfd_create("conform", MFD_CLOEXEC), -1};

		if (fds[0] < 0 || ftruncate(fds[0], 1 << 20))
			trial_skip(t, "out of memory");
		fds[1] = fds[0];
		dial(t);
		trial_sent(t, "SET_MEM_TABLE with %s", list[i].what);
		peer_send(&t->peer, VHOST_USER_SET_MEM_TABLE, 0, &table,
			  list[i].n > 8 ? 264 : 8 + 32 * list[i].n, fds, list[i].n == 2 ? 2 : 1);
		close(fds[0]);
		and_go(t);
	}
}

static void slots(struct trial *t)
{
	for (unsigned i = 0; i < 4; i++) {
		struct vhost_user_mem_reg reg;
		struct area *a;

		t->protos_wanted = PROTO(REPLY_ACK) | PROTO(CONFIGURE_MEM_SLOTS);
		dial(t);
		if (!(t->peer.proto & PROTO(CONFIGURE_MEM_SLOTS)))
			trial_skip(t,
				   "the back end has no protocol feature CONFIGURE_MEM_SLOTS (15)");
		a = peer_area(&t->peer, 1 << 20);
		if (!a)
			trial_skip(t, "out of memory");
		reg = (struct vhost_user_mem_reg){.region = peer_region(a)};
		peer_send(&t->peer, VHOST_USER_ADD_MEM_REG, 0, &reg, sizeof(reg), &a->fd, 1);
		switch (i) {
		case 0:
			trial_sent(t, "ADD_MEM_REG of the same region twice");
			peer_send(&t->peer, VHOST_USER_ADD_MEM_REG, 0, &reg, sizeof(reg), &a->fd,
				  1);
			break;
		case 1:
			trial_sent(t, "REM_MEM_REG of a region that is not there");
			reg.region.gpa += 1 << 20;
			peer_send(&t->peer, VHOST_USER_REM_MEM_REG, 0, &reg, sizeof(reg), NULL, 0);
			break;
		case 2:
			trial_sent(t, "REM_MEM_REG of one region twice");
			peer_send(&t->peer, VHOST_USER_REM_MEM_REG, 0, &reg, sizeof(reg), NULL, 0);
			peer_send(&t->peer, VHOST_USER_REM_MEM_REG, 0, &reg, sizeof(reg), NULL, 0);
			break;
		default:
			trial_sent(t, "ADD_MEM_REG of 600 regions");
			for (unsigned n = 1; n < 600; n++) {
				reg.region.gpa += 1 << 20;
				reg.region.user += 1 << 20;
				peer_send(&t->peer, VHOST_USER_ADD_MEM_REG, 0, &reg, sizeof(reg),
					  &a->fd, 1);
			}
			break;
		}
		and_go(t);
	}
}

static void remove_in_use(struct trial *t)
{
	struct vhost_user_mem_reg reg;
	struct area *a;
	struct ring *r;
	struct req q;

	t->protos_wanted = PROTO(REPLY_ACK) | PROTO(CONFIGURE_MEM_SLOTS) | PROTO(CONFIG) |
			   PROTO(MQ);
	dial(t);
	if (!(t->peer.proto & PROTO(CONFIGURE_MEM_SLOTS)))
		trial_skip(t, "the back end has no protocol feature CONFIGURE_MEM_SLOTS (15)");
	accept_features(t, t->peer.offered & FEAT_LEAST);
	a = peer_area(&t->peer, PEER_MEM);
	if (!a)
		trial_skip(t, "out of memory");
	t->next_gpa = a->gpa;
	reg = (struct vhost_user_mem_reg){.region = peer_region(a)};
	must_tell(t, VHOST_USER_ADD_MEM_REG, &reg, sizeof(reg), a->fd);
	r = ring_tell(t, 0, 64);
	ring_enable(r, true);
	for (unsigned i = 0; i < 16; i++) {
		q = req_make(t, VIRTIO_BLK_T_IN, 0, 65536);
		req_add(r, &q);
	}
	ring_publish(r);
	ring_kick(r);
	trial_sent(
		t,
		"REM_MEM_REG of the memory that ring and requests in flight are in, then a kick");
	peer_send(&t->peer, VHOST_USER_REM_MEM_REG, 0, &reg, sizeof(reg), NULL, 0);
	ring_kick(r);
	r->told = false;
	peer_closed(&t->peer, t->o->quiet_ms);
}

/* Whether the back end is in that memory just then is chance: several times. */
static void slot_in_use(struct trial *t)
{
	for (unsigned i = 0; i < 10; i++) {
		remove_in_use(t);
		redial(t);
	}
}

/* Rings */

static void indexes(struct trial *t)
{
	static const uint32_t requests[] = {VHOST_USER_SET_VRING_NUM, VHOST_USER_SET_VRING_BASE,
					    VHOST_USER_SET_VRING_ENABLE, VHOST_USER_GET_VRING_BASE,
					    VHOST_USER_SET_VRING_ADDR};
	static const uint32_t list[] = {255, 256, 65535, 65536, 0x7fffffff, 0xffffffff};

	for (unsigned i = 0; i < ARRAY_SIZE(requests); i++)
		for (unsigned k = 0; k < ARRAY_SIZE(list); k++) {
			struct vhost_user_vring_addr a = {.index = list[k], .flags = 1};
			uint32_t size = requests[i] == VHOST_USER_SET_VRING_ADDR ? sizeof(a) : 8;

			dial(t);
			trial_sent(t, "%s for ring %u", vhost_user_request_name(requests[i]),
				   list[k]);
			peer_send(&t->peer, requests[i], 0, &a, size, NULL, 0);
			peer_closed(&t->peer, 5);
			redial(t);
		}
}

static void fd_indexes(struct trial *t)
{
	for (uint32_t request = VHOST_USER_SET_VRING_KICK; request <= VHOST_USER_SET_VRING_ERR;
	     request++)
		for (uint64_t index = 200; index < 256; index += 55) {
			int fd = eventfd(1, EFD_CLOEXEC);

			dial(t);
			trial_sent(t, "%s for ring %u", vhost_user_request_name(request),
				   (unsigned)index);
			peer_send(&t->peer, request, 0, &index, 8, &fd, 1);
			close(fd);
			peer_closed(&t->peer, 5);
			redial(t);
		}
}

static void wrong_order(struct trial *t)
{
	struct vhost_user_vring_addr a = {.desc = 0x1000, .used = 0x2000, .avail = 0x3000};
	struct vhost_user_vring_state s = {0, 1};
	uint64_t index = 0;
	int fd = eventfd(1, EFD_CLOEXEC);

	dial(t);
	trial_sent(t, "SET_VRING_ENABLE and a kicked SET_VRING_KICK before anything else");
	peer_send(&t->peer, VHOST_USER_SET_VRING_ENABLE, 0, &s, 8, NULL, 0);
	peer_send(&t->peer, VHOST_USER_SET_VRING_KICK, 0, &index, 8, &fd, 1);
	and_go(t);
	dial(t);
	trial_sent(t, "SET_VRING_ADDR before any memory, then a kick");
	peer_send(&t->peer, VHOST_USER_SET_VRING_ADDR, 0, &a, sizeof(a), NULL, 0);
	peer_send(&t->peer, VHOST_USER_SET_VRING_KICK, 0, &index, 8, &fd, 1);
	peer_send(&t->peer, VHOST_USER_SET_VRING_ENABLE, 0, &s, 8, NULL, 0);
	and_go(t);
	close(fd);
	disk_up(t, (struct setup){0});
	trial_sent(t, "GET_VRING_BASE twice, SET_VRING_KICK twice");
	ring_stop(&t->rings[0]);
	peer_send(&t->peer, VHOST_USER_GET_VRING_BASE, 0, &(struct vhost_user_vring_state){0, 0}, 8,
		  NULL, 0);
	and_go(t);
	disk_up(t, (struct setup){0});
	ring_kick_fd(&t->rings[0]);
	and_go(t);
}

static void base_far(struct trial *t)
{
	static const uint32_t list[] = {65, 65535, 65536, 0xffffffff};

	for (unsigned i = 0; i < ARRAY_SIZE(list); i++) {
		struct ring *r;
		struct vhost_user_vring_state s = {0, list[i]};

		disk_up(t, (struct setup){.stopped = true});
		r = ring_new(t, 0, 64);
		ring_start(r, 0);
		trial_sent(t, "SET_VRING_BASE %u on a ring that is at 0", list[i]);
		peer_send(&t->peer, VHOST_USER_SET_VRING_BASE, 0, &s, 8, NULL, 0);
		s.num = 1;
		peer_send(&t->peer, VHOST_USER_SET_VRING_ENABLE, 0, &s, 8, NULL, 0);
		ring_kick(r);
		r->told = false;
		and_go(t);
	}
}

static void feature_storm(struct trial *t)
{
	uint64_t all = UINT64_MAX;

	dial(t);
	trial_sent(t, "SET_FEATURES and SET_PROTOCOL_FEATURES with all bits");
	peer_send(&t->peer, VHOST_USER_SET_FEATURES, 0, &all, 8, NULL, 0);
	and_go(t);
	dial(t);
	peer_send(&t->peer, VHOST_USER_SET_PROTOCOL_FEATURES, 0, &all, 8, NULL, 0);
	and_go(t);
	disk_up(t, (struct setup){0});
	trial_sent(t, "SET_FEATURES with no bits while the ring runs");
	all = 0;
	peer_send(&t->peer, VHOST_USER_SET_FEATURES, 0, &all, 8, NULL, 0);
	ring_kick(&t->rings[0]);
	and_go(t);
}

/* Configuration, log, in-flight area */

static void configs(struct trial *t)
{
	static const struct {
		uint32_t offset, size;
	} list[] = {{0, 0},  {0, 257},	      {0, 4000},	 {255, 2},	 {256, 1},
		    {96, 1}, {0xffffffff, 1}, {0xffffff00, 256}, {0x80000000, 8}};

	for (unsigned i = 0; i < ARRAY_SIZE(list); i++)
		for (unsigned set = 0; set < 2; set++) {
			uint8_t m[4096] = {0};
			struct vhost_user_config c = {.offset = list[i].offset,
						      .size = list[i].size};
			uint32_t size = (uint32_t)min_u64(12 + list[i].size, sizeof(m));

			memcpy(m, &c, 12);
			dial(t);
			trial_sent(t, "%s of %u bytes at offset %u",
				   set ? "SET_CONFIG" : "GET_CONFIG", c.size, c.offset);
			peer_send(&t->peer, set ? VHOST_USER_SET_CONFIG : VHOST_USER_GET_CONFIG, 0,
				  m, size, NULL, 0);
			peer_closed(&t->peer, 5);
			redial(t);
		}
}

static void config_lies(struct trial *t)
{
	struct vhost_user_config c = {.offset = 0, .size = 256};

	dial(t);
	trial_sent(t, "GET_CONFIG that says 256 bytes and carries 4");
	peer_send(&t->peer, VHOST_USER_GET_CONFIG, 0, &c, 16, NULL, 0);
	and_go(t);
	dial(t);
	trial_sent(t, "SET_CONFIG that says 256 bytes and carries 4");
	peer_send(&t->peer, VHOST_USER_SET_CONFIG, 0, &c, 16, NULL, 0);
	and_go(t);
}

static void logs(struct trial *t)
{
	static const struct {
		uint64_t size, offset;
	} list[] = {
		{1, 0}, {0, 0}, {4096, UINT64_MAX - 100}, {UINT64_MAX, 4096}, {1 << 20, 1 << 30}};

	for (unsigned i = 0; i < ARRAY_SIZE(list); i++) {
		int fd = memfd_create("log", MFD_CLOEXEC);
		struct ring *r;
		struct message m;

		if (fd < 0 || ftruncate(fd, 4096))
			trial_skip(t, "out of memory");
		t->protos_wanted = PROTO(MQ) | PROTO(REPLY_ACK) | PROTO(CONFIG) | PROTO(LOG_SHMFD);
		r = disk_up(t, (struct setup){0});
		trial_sent(t, "SET_LOG_BASE of %llu bytes at %llu, then LOG_ALL and a read",
			   (unsigned long long)list[i].size, (unsigned long long)list[i].offset);
		peer_send(&t->peer, VHOST_USER_SET_LOG_BASE, 0, &list[i], 16, &fd, 1);
		close(fd);
		if (!peer_recv(&t->peer, &m, 50)) {
			uint64_t bits = t->peer.acked | BIT64(26);

			message_close_fds(&m);
			peer_send(&t->peer, VHOST_USER_SET_FEATURES, 0, &bits, 8, NULL, 0);
			usleep(5000);
			for (unsigned n = 0; n < 3; n++) {
				struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);

				req_add(r, &q);
			}
			ring_publish(r);
			ring_kick(r);
			usleep(20000);
		}
		r->told = false;
		and_go(t);
	}
}

static void inflights(struct trial *t)
{
	static const struct {
		uint64_t size, offset;
		uint16_t queues, num;
	} list[] = {{0, 0, 0, 0},
		    {16, 0, 1, 64},
		    {1 << 16, 0, 65535, 65535},
		    {1 << 16, UINT64_MAX - 10, 1, 64},
		    {UINT64_MAX, 0, 1, 64},
		    {1 << 16, 1 << 30, 1, 64},
		    {1 << 16, 0, 4, 1024}};

	for (unsigned i = 0; i < ARRAY_SIZE(list); i++) {
		uint8_t m[24] = {0};
		int fd = memfd_create("inflight", MFD_CLOEXEC);
		struct ring *r;

		if (fd < 0 || ftruncate(fd, 1 << 16))
			trial_skip(t, "out of memory");
		for (unsigned k = 0; k < 1 << 16; k += 4)
			if (pwrite(fd, "\xff\xfe\x01\x00", 4, k) < 0)
				trial_skip(t, "out of memory");
		memcpy(m, &list[i].size, 8);
		memcpy(m + 8, &list[i].offset, 8);
		memcpy(m + 16, &list[i].queues, 2);
		memcpy(m + 18, &list[i].num, 2);
		t->protos_wanted = PROTO(MQ) | PROTO(REPLY_ACK) | PROTO(CONFIG) |
				   PROTO(INFLIGHT_SHMFD);
		disk_up(t, (struct setup){.stopped = true});
		if (!(t->peer.proto & PROTO(INFLIGHT_SHMFD)))
			trial_skip(t, "the back end has no protocol feature INFLIGHT_SHMFD (12)");
		r = ring_new(t, 0, 64);
		trial_sent(t, "SET_INFLIGHT_FD full of garbage: %llu bytes, %u queues of %u",
			   (unsigned long long)list[i].size, list[i].queues, list[i].num);
		peer_send(&t->peer, VHOST_USER_SET_INFLIGHT_FD, 0, m, 20, &fd, 1);
		close(fd);
		if (!peer_closed(&t->peer, 20)) {
			const struct vhost_user_vring_addr a = {
				.desc = peer_user(&t->peer, r->desc),
				.used = peer_user(&t->peer, r->device),
				.avail = peer_user(&t->peer, r->driver)};
			uint64_t index = 0;
			struct vhost_user_vring_state s = {0, 64};

			peer_send(&t->peer, VHOST_USER_SET_VRING_NUM, 0, &s, 8, NULL, 0);
			peer_send(&t->peer, VHOST_USER_SET_VRING_ADDR, 0, &a, sizeof(a), NULL, 0);
			peer_send(&t->peer, VHOST_USER_SET_VRING_KICK, 0, &index, 8, &r->kick, 1);
			s.num = 1;
			peer_send(&t->peer, VHOST_USER_SET_VRING_ENABLE, 0, &s, 8, NULL, 0);
			ring_kick(r);
		}
		and_go(t);
	}
}

static void inflight_asked(struct trial *t)
{
	static const uint16_t list[][2] = {{0, 0}, {65535, 65535}, {1, 0}, {4, 32768}};

	for (unsigned i = 0; i < ARRAY_SIZE(list); i++)
		for (unsigned n = 0; n < 20; n++) {
			uint8_t m[20] = {0};

			memcpy(m + 16, list[i], 4);
			if (!t->dialled) {
				t->protos_wanted = PROTO(MQ) | PROTO(INFLIGHT_SHMFD);
				dial(t);
				if (!(t->peer.proto & PROTO(INFLIGHT_SHMFD)))
					trial_skip(t, "the back end has no protocol feature "
						      "INFLIGHT_SHMFD (12)");
			}
			trial_sent(t, "GET_INFLIGHT_FD for %u queues of %u, time %u", list[i][0],
				   list[i][1], n + 1);
			peer_send(&t->peer, VHOST_USER_GET_INFLIGHT_FD, 0, m, 20, NULL, 0);
			if (peer_closed(&t->peer, 5))
				redial(t);
		}
}

/* A front end that does not read what it is told. */
static void deaf(struct trial *t)
{
	const struct vhost_user_header h = {VHOST_USER_GET_FEATURES, VHOST_USER_VERSION, 0};

	dial(t);
	trial_sent(t, "GET_FEATURES until the socket is full, no answer read, then the end");
	for (unsigned i = 0; i < 20000; i++)
		if (send(t->peer.fd, &h, sizeof(h), MSG_NOSIGNAL | MSG_DONTWAIT) !=
		    (ssize_t)sizeof(h))
			break;
	quiet(t);
}

#define PRACTICE "practice", LEVEL_PRACTICE, 0

static const struct conform_case cases[] = {
	{"V-01.cut-header", PRACTICE, "Half a header does no harm.", cut_headers},
	{"V-01.cut-payload", PRACTICE, "Half a payload does no harm.", cut_payload},
	{"V-02.size", PRACTICE, "Wrong and huge sizes do no harm.", sizes},
	{"V-02.each", PRACTICE, "A payload of the wrong size does no harm, whatever the message.",
	 wrong_sizes},
	{"V-03.unknown", PRACTICE, "Unknown messages do no harm.", unknown},
	{"V-03.flags", PRACTICE, "Wrong versions and flags do no harm.", flags},
	{"V-03.noise", PRACTICE, "Noise does no harm.", noise},
	{"V-04.missing", PRACTICE, "Missing file descriptors do no harm.", fds_missing},
	{"V-04.many", PRACTICE, "Too many file descriptors do no harm.", fds_many},
	{"V-04.odd", PRACTICE, "File descriptors of the wrong kind do no harm.", fds_odd},
	{"V-04.repeated", PRACTICE, "A call fd told 5000 times is not kept 5000 times.",
	 fds_repeated},
	{"V-05.table", PRACTICE, "Impossible memory tables do no harm.", tables},
	{"V-06.slots", PRACTICE, "Impossible memory slots do no harm.", slots},
	{"V-06.in-use", PRACTICE, "Taking away memory in use does no harm.", slot_in_use},
	{"V-07.index", PRACTICE, "Messages for rings that do not exist do no harm.", indexes},
	{"V-07.fd-index", PRACTICE, "File descriptors for rings that do not exist do no harm.",
	 fd_indexes},
	{"V-07.order", PRACTICE, "Ring messages in the wrong order do no harm.", wrong_order},
	{"V-07.base", PRACTICE, "A base that does not fit the ring does no harm.", base_far},
	{"V-08.features", PRACTICE, "Features that were not offered do no harm.", feature_storm},
	{"V-09.config", PRACTICE, "Configuration accesses out of range do no harm.", configs},
	{"V-09.lies", PRACTICE, "Configuration messages that lie about their size do no harm.",
	 config_lies},
	{"V-10.log", PRACTICE, "A log that is too small or impossible does no harm.", logs},
	{"V-10.inflight", PRACTICE, "An in-flight area full of garbage does no harm.", inflights},
	{"V-10.inflight-sizes", PRACTICE, "Impossible sizes of an in-flight area do no harm.",
	 inflight_asked},
	{"V-12.deaf", PRACTICE, "A front end that reads no answers does no harm.", deaf},
	{"V-13.full", PRACTICE, "The back end does not wait for a call eventfd that is full.",
	 call_full},
};
const struct case_table hostile_vhost_user_cases = {"Hostile vhost-user messages", cases,
						    ARRAY_SIZE(cases), BY_VHOST_USER};
