/* SPDX-License-Identifier: MIT */
/*
 * A client of arbitrary bytes: the input is cut into records, each of them bytes as they are, a
 * command with a header that fits, or a step of a driver that sets up rings in memory of arbitrary
 * bytes, with fds of every kind, to a vfio-user connection with a real disk behind it.  Whatever is
 * said, the connection must end when the socket does, with nothing left behind.
 */
#include "backend/blk/virtio_blk.h"
#include "backend/virtio_pci/state.h"
#include "base/bits.h"
#include "base/log.h"
#include "base/sock.h"
#include "server/vfio_user/connection.h"
#include "wire/virtio.h"
#include "wire/virtio_blk.h"
#include "wire/virtio_pci.h"
#include "wire/vring.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY	  (1u << 20)
#define MEMORY_AT 0x100000u
#define RING	  16u

static struct {
	struct reactor *home;
	struct worker *worker;
	struct virtio_blk *blk;
	struct vfio_user_connection connection;
	bool gone;
	/* The client's */
	int sock;
	uint8_t *mem;
	uint16_t id;
	uint16_t next[2];			      /* request of each queue */
	uint8_t heard[2 * (VFIO_USER_BODY_MAX + 64)]; /* of the server, not yet looked at */
	size_t n_heard;
	uint8_t lie; /* which answers about memory are wrong, and how */
	enum { FD_MEMORY, FD_EVENT, FD_SHORT, FD_FOLDER, FD_SOCKET, FD_NULL, FDS } kinds;
	int fds[FDS];
} rig;

static void gone(struct vfio_user_connection *c)
{
	(void)c;
	rig.gone = true;
}

static void quiet(void *opaque, enum log_level level, const char *line)
{
	(void)opaque;
	(void)level;
	(void)line;
}

static void must(int rc)
{
	if (rc)
		abort();
}

static void make_fds(void)
{
	rig.fds[FD_MEMORY] = memfd_create("fuzz", MFD_CLOEXEC);
	rig.fds[FD_EVENT] = eventfd(0, EFD_CLOEXEC);
	rig.fds[FD_SHORT] = memfd_create("short", MFD_CLOEXEC);
	rig.fds[FD_FOLDER] = open("/", O_RDONLY | O_CLOEXEC);
	rig.fds[FD_SOCKET] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	rig.fds[FD_NULL] = open("/dev/null", O_RDWR | O_CLOEXEC);
	must(ftruncate(rig.fds[FD_MEMORY], MEMORY));
	must(ftruncate(rig.fds[FD_SHORT], 4096));
	rig.mem = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, rig.fds[FD_MEMORY], 0);
	must(rig.mem == MAP_FAILED);
}

static void set_up(void)
{
	struct reactor_config control = {.uring = false};
	struct worker_config worker = {.name = "fuzz", .reactor.uring = true, .cpu = -1};
	struct storage_options so = {.target = "memory:1M"};
	struct virtio_blk_options bo = {.path = "disk0", .queues = 2};
	const struct virtio_pci_options board = {0};
	struct storage *storage;

	log_setup(LOG_LEVEL_ERR, quiet, NULL);
	must(gmem_guard_install(NULL));
	must(reactor_create(&rig.home, &control, NULL));
	must(worker_create(&rig.worker, &worker, NULL));
	must(storage_open(&so, &storage, NULL));
	must(virtio_blk_create(&rig.blk, &bo, storage, rig.home, &rig.worker, 1, 0, NULL));
	must(vfio_user_connection_init(&rig.connection, &rig.blk->vdev, &board, rig.home, gone,
				       NULL));
	make_fds();
}

static void turn(int wait_ms)
{
	struct pollfd p = {.fd = reactor_fd(rig.home), .events = POLLIN};
	int next = reactor_timeout_ms(rig.home);

	poll(&p, 1, next >= 0 && next < wait_ms ? next : wait_ms);
	reactor_process(rig.home);
}

/* ---- the client ---- */

static void answer_dma(const struct vfio_user_header *h, const uint8_t *body);

/* Whole messages: questions are answered, answers forgotten. */
static void look_at_what_was_heard(void)
{
	struct vfio_user_header h;
	size_t at = 0;

	while (rig.n_heard - at >= sizeof(h)) {
		memcpy(&h, rig.heard + at, sizeof(h));
		if (h.size > rig.n_heard - at)
			break;
		if (!(h.flags & VFIO_USER_TYPE_MASK))
			answer_dma(&h, rig.heard + at + sizeof(h));
		at += h.size;
	}
	memmove(rig.heard, rig.heard + at, rig.n_heard - at);
	rig.n_heard -= at;
}

/* What the server says is read, with its fds; now and then nobody reads. */
static void drain(void)
{
	int fds[VFIO_USER_FDS_MAX];
	struct sock_fds take = {.fds = fds, .max = VFIO_USER_FDS_MAX};
	ssize_t n;

	while ((n = sock_recv_some(rig.sock, rig.heard + rig.n_heard,
				   sizeof(rig.heard) - rig.n_heard, &take)) > 0) {
		while (take.n)
			close(fds[--take.n]);
		rig.n_heard += (size_t)n;
		look_at_what_was_heard();
	}
}

/* Full or closed: then the rest is not said. */
static void send_bytes(const void *bytes, size_t n, unsigned n_fds, unsigned first)
{
	struct iovec iov = {(void *)(uintptr_t)bytes, n};
	int fds[VFIO_USER_FDS_MAX + 2];

	for (unsigned i = 0; i < n_fds; i++)
		fds[i] = rig.fds[first < FDS ? first : i % FDS];
	(void)sock_send_some(rig.sock, &iov, 1, fds, n_fds);
}

static void say(uint16_t command, uint32_t flags, const void *body, size_t n, unsigned n_fds,
		unsigned first)
{
	uint8_t m[sizeof(struct vfio_user_header) + 1024];
	struct vfio_user_header h = {.id = ++rig.id, .command = command, .flags = flags};

	if (n > sizeof(m) - sizeof(h))
		n = sizeof(m) - sizeof(h);
	h.size = (uint32_t)(sizeof(h) + n);
	memcpy(m, &h, sizeof(h));
	if (n)
		memcpy(m + sizeof(h), body, n);
	send_bytes(m, h.size, n_fds, first);
}

/* Right, but for one bit of header or body where the input wants it. */
static void answer_dma(const struct vfio_user_header *h, const uint8_t *body)
{
	static uint8_t m[sizeof(*h) + VFIO_USER_BODY_MAX];
	struct vfio_user_header r = {.id = h->id,
				     .command = h->command,
				     .size = sizeof(r),
				     .flags = VFIO_USER_TYPE_REPLY};
	struct vfio_user_dma_access a;
	bool read = h->command == VFIO_USER_DMA_READ;

	must(h->size < sizeof(*h) + sizeof(a));
	memcpy(&a, body, sizeof(a));
	must(a.count > VFIO_USER_TRANSFER);
	if (a.address < MEMORY_AT || a.address - MEMORY_AT > MEMORY ||
	    a.count > MEMORY - (a.address - MEMORY_AT)) {
		r.flags |= VFIO_USER_ERROR;
		r.error = 14;
	} else {
		uint8_t *at = rig.mem + (a.address - MEMORY_AT);

		memcpy(m + sizeof(r), &a, sizeof(a));
		if (read)
			memcpy(m + sizeof(r) + sizeof(a), at, a.count);
		else
			memcpy(at, body + sizeof(a), a.count);
		r.size += (uint32_t)(sizeof(a) + (read ? a.count : 0));
	}
	memcpy(m, &r, sizeof(r));
	if (rig.lie) {
		unsigned bit = rig.lie * 7u % (8 * (sizeof(r) + sizeof(a)));

		m[bit / 8] ^= (uint8_t)(1 << bit % 8);
		rig.lie = 0;
	}
	send_bytes(m, r.size, 0, 0);
}

static void put(uint32_t region, uint64_t offset, uint64_t value, uint32_t n)
{
	struct {
		struct vfio_user_access a;
		uint64_t value;
	} m = {{offset, region, n}, value};

	say(VFIO_USER_REGION_WRITE, VFIO_USER_NO_REPLY, &m, sizeof(m.a) + n, 0, 0);
}

static void put_common(size_t offset, uint64_t value, uint32_t n)
{
	put(VIRTIO_PCI_BAR_MODERN, VIRTIO_PCI_AT_COMMON + offset, value, n);
}

#define COMMON(field) offsetof(struct virtio_pci_common_cfg, field)

static void say_version(void)
{
	static const char version[] = "\0\0\1\0{\"capabilities\":{\"max_msg_fds\":16}}";

	say(VFIO_USER_VERSION, 0, version, sizeof(version), 0, 0);
}

/* All of it with its fd, all without, or a half each. */
static void map_memory(uint8_t with)
{
	struct vfio_user_dma_map m = {sizeof(m), 3, 0, MEMORY_AT, MEMORY};

	if (with & 2)
		m.size /= 2;
	say(VFIO_USER_DMA_MAP, 0, &m, sizeof(m), !(with & 1), FD_MEMORY);
	if (!(with & 2))
		return;
	m.iova += m.size;
	m.offset += m.size;
	say(VFIO_USER_DMA_MAP, 0, &m, sizeof(m), with & 1, FD_MEMORY);
}

/* A queue whose areas are where a driver has them; what is in them is the input's. */
static void start_queue(uint16_t index)
{
	uint64_t at = MEMORY_AT + index * 0x8000u;

	rig.next[index] = 0;
	memset(rig.mem + index * 0x8000u, 0, 0x8000);
	put_common(COMMON(queue_select), index, 2);
	put_common(COMMON(queue_size), RING, 2);
	put_common(COMMON(queue_msix_vector), index + 1u, 2);
	put_common(COMMON(queue_desc), at, 8);
	put_common(COMMON(queue_driver), at + 0x1000, 8);
	put_common(COMMON(queue_device), at + 0x2000, 8);
	put_common(COMMON(queue_enable), 1, 2);
}

/* What is offered, but for some; or what is not. */
static uint64_t choose_features(uint8_t with)
{
	uint64_t f = rig.blk->vdev.offered;

	if (with & 1)
		f &= ~BIT64(VIRTIO_F_EVENT_IDX);
	if (with & 2)
		f &= ~BIT64(VIRTIO_F_RING_PACKED);
	if (with & 4)
		f &= ~(BIT64(VIRTIO_F_IN_ORDER) | BIT64(VIRTIO_F_NOTIFICATION_DATA));
	if (with & 8)
		f &= ~BIT64(VIRTIO_F_INDIRECT_DESC);
	return with & 0x80 ? f ^ with * UINT64_C(0x0101010101010101) : f;
}

static void start_device(uint8_t with)
{
	uint64_t features = choose_features(with);
	struct vfio_user_irq_set set = {sizeof(set), 36, 2, 0, 3};

	put(VFIO_USER_REGION_CONFIG, PCI_BAR0, 0xc000, 4);
	put(VFIO_USER_REGION_CONFIG, PCI_BAR0 + 16, 0xc0000000, 4);
	put(VFIO_USER_REGION_CONFIG, PCI_COMMAND, 7, 2);
	say(VFIO_USER_DEVICE_SET_IRQS, 0, &set, sizeof(set), 3, FD_EVENT);
	put_common(COMMON(device_status), 0, 1);
	put_common(COMMON(device_status), 3, 1);
	put_common(COMMON(driver_feature_select), 0, 4);
	put_common(COMMON(driver_feature), (uint32_t)features, 4);
	put_common(COMMON(driver_feature_select), 1, 4);
	put_common(COMMON(driver_feature), features >> 32, 4);
	put_common(COMMON(device_status), 11, 1);
	start_queue(0);
	start_queue(1);
	put_common(COMMON(device_status), 15, 1);
}

/*
 * A request of the usual three descriptors, in the next places of a split or a packed ring, but for
 * what is said of one field.
 */
static void submit(unsigned index, bool packed, uint8_t wrong, const uint8_t *bytes, size_t n)
{
	const uint64_t data = MEMORY_AT + 0x20000u;
	uint16_t next = rig.next[index]++, head = next % 5 * 3;
	struct virtio_blk_req *req = (void *)(rig.mem + 0x10000);
	uint8_t *ring = rig.mem + index * 0x8000u;
	struct virtq_desc desc[3] = {
		{le64_make(MEMORY_AT + 0x10000), le32_make(16), le16_make(1),
		 le16_make((uint16_t)(head + 1))},
		{le64_make(data), le32_make(4096), le16_make(wrong & 64 ? 3 : 1),
		 le16_make((uint16_t)(head + 2))},
		{le64_make(data + 0x10000), le32_make(1), le16_make(2), le16_make(0)},
	};

	*req = (struct virtio_blk_req){.type = le32_make(wrong & 64 ? 0 : 1)};
	if (wrong & 32 && n) {
		size_t from = bytes[0] % sizeof(desc), room = sizeof(desc) - from;

		memcpy((uint8_t *)desc + from, bytes, n < room ? n : room);
	}
	if (wrong & 16 && n)
		memcpy(req, bytes, n < sizeof(*req) ? n : sizeof(*req));
	if (!packed) {
		struct virtq_avail *avail = (void *)(ring + 0x1000);

		memcpy(ring + head * sizeof(*desc), desc, sizeof(desc));
		avail->ring[next % RING] = le16_make(head);
		avail->idx = le16_make((uint16_t)(next + 1));
		return;
	}
	for (unsigned i = 0; i < 3; i++) {
		unsigned place = next * 3u + i;
		struct pvirtq_desc *d = (struct pvirtq_desc *)ring + place % RING;
		bool wrap = place / RING % 2 == 0;

		d->addr = desc[i].addr;
		d->len = desc[i].len;
		d->id = le16_make(head);
		d->flags = le16_make(
			(uint16_t)(le16_get(desc[i].flags) | (wrap ? 1 << 7 : 1 << 15)));
	}
}

static void kick(unsigned index)
{
	put(VIRTIO_PCI_BAR_MODERN, VIRTIO_PCI_AT_NOTIFY + index * VIRTIO_PCI_NOTIFY_STRIDE, index,
	    2);
}

/* ---- moving ---- */

static void set_state(uint32_t state)
{
	struct {
		struct vfio_user_feature head;
		struct vfio_user_mig_state s;
	} m = {{sizeof(m), VFIO_USER_FEATURE_MIG_STATE | VFIO_USER_FEATURE_SET}, {state, 0}};

	say(VFIO_USER_DEVICE_FEATURE, 0, &m, sizeof(m), 0, 0);
}

/* The board's own state with some bytes of it made up, the length and the checksum being right. */
static void load_state(const uint8_t *bytes, size_t n)
{
	struct {
		struct vfio_user_mig_data head;
		uint8_t state[1000];
	} m = {{8, 0}, {0}};
	size_t size = virtio_pci_save(&rig.connection.device.card->board, m.state, sizeof(m.state));
	struct pack seal = {.to = m.state, .n = size - 4, .room = size};

	must(!size);
	for (; n >= 3; bytes += 3, n -= 3)
		m.state[12 + (size_t)(bytes[0] | bytes[1] << 8) % (size - 16)] = bytes[2];
	pack_32(&seal, pack_crc(m.state, size - 4));
	m.head.size = (uint32_t)size;
	set_state(VFIO_USER_STATE_RESUMING);
	say(VFIO_USER_MIG_DATA_WRITE, 0, &m, sizeof(m.head) + size, 0, 0);
}

static void logging(uint8_t with)
{
	struct {
		struct vfio_user_feature head;
		union {
			struct vfio_user_logging_start start;
			struct vfio_user_logging_report report;
		};
	} m = {.head = {32 + 4096, VFIO_USER_FEATURE_LOGGING_START | VFIO_USER_FEATURE_SET}};

	m.start.page_size = UINT64_C(1) << with % 64;
	if (with & 64) {
		m.head.flags = VFIO_USER_FEATURE_LOGGING_REPORT | VFIO_USER_FEATURE_GET;
		m.report = (struct vfio_user_logging_report){MEMORY_AT, MEMORY,
							     UINT64_C(1) << with % 64};
	} else if (with & 128) {
		m.head.flags = VFIO_USER_FEATURE_LOGGING_STOP | VFIO_USER_FEATURE_SET;
	}
	say(VFIO_USER_DEVICE_FEATURE, 0, &m, sizeof(m), 0, 0);
}

static void move(uint8_t with, const uint8_t *bytes, size_t n)
{
	switch (with % 4) {
	case 0:
		set_state(with / 4 % 8);
		break;
	case 1:
		load_state(bytes, n);
		set_state(VFIO_USER_STATE_RUNNING);
		break;
	case 2:
		load_state(bytes, n);
		set_state(VFIO_USER_STATE_STOP);
		break;
	default:
		logging(n ? bytes[0] : 0);
		break;
	}
}

/* ---- one input ---- */

/* A record: what to do, with which fds, how many bytes, the bytes. */
static void act(uint8_t what, uint8_t with, const uint8_t *bytes, size_t n)
{
	unsigned n_fds = with & 15, first = with >> 4 & 7;
	uint64_t at = 0;

	switch (what % 32) {
	case 0 ... VFIO_USER_MIG_DATA_WRITE:
		say(what % 32, what & 32 ? VFIO_USER_NO_REPLY : 0, bytes, n, n_fds % 4, first);
		break;
	case VFIO_USER_COMMAND_MAX:
		move(with, bytes, n);
		break;
	case 20:
		send_bytes(bytes, n, n_fds + (with >> 7) * 2u, first);
		break;
	case 21:
		say_version();
		break;
	case 22:
		map_memory(with);
		break;
	case 23:
		start_device(with);
		break;
	case 24:
		kick(with % 3);
		break;
	case 25 ... 27: /* of the guest's memory */
		if (n < 2)
			break;
		at = (uint64_t)(bytes[0] | bytes[1] << 8) * 16;
		n -= 2;
		if (at + n <= MEMORY)
			memcpy(rig.mem + at, bytes + 2, n);
		break;
	case 28:
		put(with % 10, n ? bytes[0] * 4u : 0, with * UINT64_C(0x0102030405060708),
		    1u << with % 4);
		break;
	case 29:
		rig.lie = with & 1 ? with : 0;
		drain();
		break;
	case 30:
		submit(with & 1, with & 2, with, bytes, n);
		if (with & 4)
			kick(with & 1);
		break;
	default:
		turn(with % 2);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int socks[2];

	if (!rig.home)
		set_up();
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, socks))
		abort();
	rig.gone = false;
	rig.n_heard = 0;
	rig.lie = 0;
	rig.sock = socks[1];
	must(vfio_user_connection_serve(&rig.connection, socks[0]));
	/* Most clients begin like this. */
	if (size && data[0] & 3)
		say_version();
	if (size && data[0] & 2)
		map_memory(data[0] >> 6);
	while (size > 3 && !rig.gone) {
		size_t n = data[2] < size - 3 ? data[2] : size - 3;

		act(data[0], data[1], data + 3, n);
		data += 3 + n;
		size -= 3 + n;
		turn(0);
		if (data[-1] & 7)
			drain();
	}
	close(rig.sock);
	while (!rig.gone)
		turn(1);
	turn(0);
	if (rig.connection.state != VFIO_USER_IDLE || rig.connection.device.dma.n ||
	    rig.connection.device.n_kicks || rig.connection.device.migration.data ||
	    rig.connection.device.dma.log || rig.blk->vdev.status ||
	    rig.blk->vdev.queues[0].running || rig.connection.device.irqs.pin_fd >= 0)
		abort();
	return 0;
}
