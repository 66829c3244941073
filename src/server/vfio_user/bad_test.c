/* SPDX-License-Identifier: MIT */
/* What a client may do wrong: an errno or a closed connection, and the next client is served. */
#include "server/vfio_user/driver_test.h"

#include "base/aside.h"
#include "lingering.h"
#include "wire/virtio_blk.h"
#include "wire/virtio_pci.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define RW	     (VFIO_USER_DMA_READABLE | VFIO_USER_DMA_WRITABLE)
#define CONFIG	     VFIO_USER_REGION_CONFIG
#define FD_TRIGGER   (VFIO_USER_IRQ_DATA_FD | VFIO_USER_IRQ_ACTION_TRIGGER)
#define NONE_TRIGGER (VFIO_USER_IRQ_DATA_NONE | VFIO_USER_IRQ_ACTION_TRIGGER)
#define BOOL_TRIGGER (VFIO_USER_IRQ_DATA_BOOL | VFIO_USER_IRQ_ACTION_TRIGGER)

/* It still works: the device's identity can be read. */
static void works(struct rig *r)
{
	assert_int_equal(rig_get(r, CONFIG, PCI_VENDOR_ID, 2), VIRTIO_PCI_VENDOR);
}

static void next_client_works(struct rig *r)
{
	rig_hang_up(r);
	assert_true(r->gone);
	rig_connect(r);
	assert_int_equal(rig_version(r, 0, 0, NULL), 0);
	works(r);
}

/* ---- VERSION ---- */

static void version_is_answered_with_the_lower_minor(void **state)
{
	struct rig r;

	(void)state;
	for (uint16_t minor = 0; minor < 3; minor++) {
		rig_init_mute(&r, "memory:1M");
		assert_int_equal(rig_version(&r, 0, minor, "{\"capabilities\":{\"x\":[1]}}"), 0);
		assert_int_equal(((struct vfio_user_version *)r.body)->major, 0);
		assert_int_equal(((struct vfio_user_version *)r.body)->minor, minor < 1 ? 0 : 1);
		/* QEMU has room for no more than what it said itself, about 200 bytes. */
		assert_true(r.h.size < 200);
		assert_int_equal(r.body[r.h.size - sizeof(r.h) - 1], 0);
		assert_non_null(strstr((char *)r.body + 4, "\"max_msg_fds\":16"));
		rig_fini(&r);
	}
}

static void version_that_cannot_be(void **state)
{
	static const char *const texts[] = {
		"",
		"{",
		"[]",
		"null",
		"{\"capabilities\":[]}",
		"{\"capabilities\":{\"max_msg_fds\":-1}}",
		"{\"capabilities\":{\"max_msg_fds\":\"x\"}}",
		"{\"capabilities\":{},\"capabilities\":{}}",
		"{\"capabilities\":{}} x",
	};
	char deep[4000], huge[8000];
	struct rig r;

	(void)state;
	rig_init_mute(&r, "memory:1M");
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(rig_version(&r, 0, 1, texts[i]), EINVAL);
	memset(deep, '[', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	assert_int_equal(rig_version(&r, 0, 1, deep), EINVAL);
	memset(huge, ' ', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	assert_int_equal(rig_version(&r, 0, 1, huge), EINVAL);
	assert_int_equal(rig_version(&r, 1, 0, NULL), EINVAL);
	/* No NUL at the end; one in the middle; less than two numbers. */
	assert_int_equal(rig_ask(&r, VFIO_USER_VERSION, "\0\0\1\0{}", 6), EINVAL);
	assert_int_equal(rig_ask(&r, VFIO_USER_VERSION, "\0\0\1\0{}\0\0", 8), EINVAL);
	assert_int_equal(rig_ask(&r, VFIO_USER_VERSION, "\0\0\1", 3), EINVAL);
	/* Nothing goes before it, and it does not come twice. */
	assert_int_equal(rig_read(&r, CONFIG, 0, 4), EINVAL);
	assert_int_equal(rig_ask(&r, VFIO_USER_DEVICE_RESET, NULL, 0), EINVAL);
	assert_int_equal(rig_version(&r, 0, 1, "{\"capabilities\":{}}"), 0);
	assert_int_equal(rig_version(&r, 0, 1, "{\"capabilities\":{}}"), EINVAL);
	works(&r);
	rig_fini(&r);
}

/* ---- headers ---- */

static void headers_that_cannot_be_close_the_connection(void **state)
{
	static const struct vfio_user_header bad[] = {
		{.command = VFIO_USER_REGION_READ, .size = 0},
		{.command = VFIO_USER_REGION_READ, .size = 15},
		{.command = VFIO_USER_REGION_READ, .size = UINT32_MAX},
		{.command = VFIO_USER_REGION_READ, .size = VFIO_USER_BODY_MAX + 17},
		/* An answer that nobody waits for. */
		{.command = VFIO_USER_DMA_READ, .size = 16, .flags = VFIO_USER_TYPE_REPLY},
		{.command = VFIO_USER_REGION_READ, .size = 16, .flags = 2},
	};
	struct rig r;

	(void)state;
	rig_init(&r, "memory:1M");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		rig_send(&r, &bad[i], sizeof(bad[i]), NULL, 0);
		assert_int_equal(rig_hear(&r), -1);
		next_client_works(&r);
	}
	/* Half a message, then the end. */
	rig_send(&r, "\1\0\2", 3, NULL, 0);
	next_client_works(&r);
	rig_fini(&r);
}

static void commands_that_are_not_known_or_too_short(void **state)
{
	static const uint16_t none[] = {0,
					VFIO_USER_DMA_READ,
					VFIO_USER_DMA_WRITE,
					VFIO_USER_DIRTY_PAGES,
					VFIO_USER_COMMAND_MAX,
					UINT16_MAX};
	uint8_t zero[64] = {0};
	struct rig r;

	(void)state;
	rig_init(&r, "memory:1M");
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		assert_int_equal(rig_ask(&r, none[i], zero, sizeof(zero)), ENOTSUP);
	for (uint16_t c = VFIO_USER_DMA_MAP; c <= VFIO_USER_REGION_WRITE; c++)
		for (uint32_t size = 0; size < 8; size++)
			assert_int_equal(rig_ask(&r, c, zero, size), EINVAL);
	works(&r);
	rig_fini(&r);
}

static void pieces_of_a_message_are_put_together(void **state)
{
	struct vfio_user_access a = {.region = CONFIG, .count = 2};
	struct vfio_user_header h = {.id = 7, .command = VFIO_USER_REGION_READ, .size = 32};
	uint8_t m[32];
	struct rig r;

	(void)state;
	rig_init(&r, "memory:1M");
	memcpy(m, &h, sizeof(h));
	memcpy(m + sizeof(h), &a, sizeof(a));
	for (size_t i = 0; i < sizeof(m); i++) {
		assert_true(rig_silent(&r));
		rig_send(&r, m + i, 1, NULL, 0);
	}
	assert_int_equal(rig_hear(&r), 0);
	assert_int_equal(r.h.id, 7);
	rig_fini(&r);
}

static void no_reply_means_none(void **state)
{
	struct {
		struct vfio_user_access a;
		uint8_t data[4];
	} m = {.a = {.offset = PCI_CACHE_LINE, .region = CONFIG, .count = 1}, .data = {0x40}};
	struct rig r;

	(void)state;
	rig_init(&r, "memory:1M");
	rig_say(&r, VFIO_USER_REGION_WRITE, VFIO_USER_NO_REPLY, &m, sizeof(m.a) + 1, NULL, 0);
	/* An error neither. */
	rig_say(&r, VFIO_USER_REGION_WRITE, VFIO_USER_NO_REPLY, &m, 3, NULL, 0);
	rig_say(&r, 99, VFIO_USER_NO_REPLY, NULL, 0, NULL, 0);
	assert_true(rig_silent(&r));
	assert_int_equal(rig_get(&r, CONFIG, PCI_CACHE_LINE, 1), 0x40);
	rig_fini(&r);
}

/* How many files are open, once all that is closed aside is closed. */
static int open_files(struct rig *r)
{
	DIR *dir;
	int n = 0;

	while (aside_waiting(r->c.aside))
		rig_turn(r, 1);
	dir = opendir("/proc/self/fd");
	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void fds_that_nobody_takes_are_closed(void **state)
{
	int fds[20], n;
	struct rig r;

	(void)state;
	rig_init(&r, "memory:1M");
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = r.mem_fd;
	n = open_files(&r);
	/* Where none belong; too many; more than a message may have. */
	assert_int_equal(rig_ask_fds(&r, VFIO_USER_REGION_READ, fds, 16, fds, 3), EINVAL);
	assert_int_equal(
		rig_ask_fds(&r, VFIO_USER_DMA_MAP,
			    &(struct vfio_user_dma_map){32, RW, 0, RIG_MEM_AT, RIG_MEM_SIZE}, 32,
			    fds, 2),
		EINVAL);
	/* Memory is no eventfd, and a folder is no memory. */
	assert_int_equal(rig_irqs(&r, FD_TRIGGER, 2, 0, 1, fds, 1), EINVAL);
	fds[0] = open("/", O_RDONLY | O_CLOEXEC);
	assert_int_equal(rig_map(&r, 0x1000, 0x1000, RW, 0, fds[0]), EINVAL);
	close(fds[0]);
	fds[0] = r.mem_fd;
	assert_true(open_files(&r) <= n);
	rig_say(&r, VFIO_USER_REGION_READ, 0, fds, 16, fds, 17);
	assert_int_equal(rig_hear(&r), -1);
	next_client_works(&r);
	assert_int_equal(open_files(&r), n);
	rig_fini(&r);
}

/* ---- memory ---- */

static void memory_that_cannot_be(void **state)
{
	struct rig r;
	int fd;

	(void)state;
	rig_init(&r, "memory:1M");
	fd = r.mem_fd;
	assert_int_equal(rig_map(&r, 0x1000, 0, RW, 0, fd), EINVAL);
	assert_int_equal(rig_map(&r, 0x1001, 0x1000, RW, 0, fd), EINVAL);
	assert_int_equal(rig_map(&r, 0x1000, 0x1001, RW, 0, fd), EINVAL);
	assert_int_equal(rig_map(&r, 0x1000, 0x1000, RW, 1, fd), EINVAL);
	assert_int_equal(rig_map(&r, UINT64_MAX - 0xfff, 0x2000, RW, 0, fd), EINVAL);
	assert_int_equal(rig_map(&r, 0x1000, 0x1000, RW, UINT64_MAX - 0xfff, fd), EINVAL);
	assert_int_equal(rig_map(&r, 0x1000, 0x1000, 0, 0, fd), EINVAL);
	assert_int_equal(rig_map(&r, 0x1000, 0x1000, 4, 0, fd), EINVAL);
	/* Longer than the file. */
	assert_int_not_equal(rig_map(&r, 0x1000, RIG_MEM_SIZE + 0x1000, RW, 0, fd), 0);
	/* One that lies over another: over its begin, its end, in it, around it. */
	assert_int_equal(rig_map(&r, 0x10000, 0x10000, RW, 0, fd), 0);
	assert_int_equal(rig_map(&r, 0xf000, 0x2000, RW, 0, fd), EEXIST);
	assert_int_equal(rig_map(&r, 0x1f000, 0x2000, RW, 0, fd), EEXIST);
	assert_int_equal(rig_map(&r, 0x12000, 0x1000, RW, 0, fd), EEXIST);
	assert_int_equal(rig_map(&r, 0xf000, 0x20000, RW, 0, fd), EEXIST);
	assert_int_equal(rig_map(&r, 0xf000, 0x1000, RW, 0, fd), 0);
	assert_int_equal(rig_map(&r, 0x20000, 0x1000, RW, 0, fd), 0);
	/* Only what was mapped is unmapped, as a whole. */
	assert_int_equal(rig_unmap(&r, 0x10000, 0x8000, 0), ENOENT);
	assert_int_equal(rig_unmap(&r, 0x11000, 0x1000, 0), ENOENT);
	assert_int_equal(rig_unmap(&r, 0xf000, 0x11000, 0), ENOENT);
	assert_int_equal(rig_unmap(&r, 0x10000, 0, 0), ENOENT);
	assert_int_equal(rig_unmap(&r, 0x10000, 0x10000, 4), EINVAL);
	assert_int_equal(rig_unmap(&r, 0x10000, 0x10000, VFIO_USER_UNMAP_DIRTY), ENOTSUP);
	assert_int_equal(rig_unmap(&r, 0x10000, 0x10000, VFIO_USER_UNMAP_ALL), EINVAL);
	assert_int_equal(rig_unmap(&r, 0x10000, 0x10000, 0), 0);
	assert_int_equal(rig_unmap(&r, 0x10000, 0x10000, 0), ENOENT);
	assert_int_equal(rig_unmap(&r, 0, 0, VFIO_USER_UNMAP_ALL), 0);
	assert_int_equal(rig_unmap(&r, 0xf000, 0x1000, 0), ENOENT);
	works(&r);
	rig_fini(&r);
}

static void memory_in_very_many_pieces(void **state)
{
	struct rig r;
	unsigned n = 0;

	(void)state;
	rig_init(&r, "memory:1M");
	/* Without fds they cost no mappings; the limit holds all the same. */
	while (n < 70000 &&
	       !rig_map(&r, UINT64_C(0x2000) * n, 0x1000, RW, 0, n % 2 ? r.mem_fd : -1))
		n++;
	assert_int_equal(n, VFIO_USER_DMA_MAX);
	assert_int_equal(r.h.error, ENOSPC);
	assert_int_equal(rig_unmap(&r, 0x2000, 0x1000, 0), 0);
	assert_int_equal(rig_map(&r, 0x2000, 0x1000, RW, 0, r.mem_fd), 0);
	assert_int_equal(rig_unmap(&r, 0, 0, VFIO_USER_UNMAP_ALL), 0);
	works(&r);
	rig_fini(&r);
}

/* ---- what the device is ---- */

static void infos(void **state)
{
	struct vfio_user_device_info d = {.argsz = sizeof(d)};
	struct vfio_user_region_info g = {.argsz = sizeof(g)};
	struct vfio_user_irq_info q = {.argsz = sizeof(q)};
	struct rig r;

	(void)state;
	rig_init(&r, "memory:1M,queues=3");
	assert_int_equal(rig_ask(&r, VFIO_USER_DEVICE_GET_INFO, &d, sizeof(d)), 0);
	memcpy(&d, r.body, sizeof(d));
	assert_int_equal(d.flags, VFIO_USER_DEVICE_PCI | VFIO_USER_DEVICE_RESETS);
	assert_int_equal(d.regions, 9);
	d.argsz = 8;
	assert_int_equal(rig_ask(&r, VFIO_USER_DEVICE_GET_INFO, &d, sizeof(d)), EINVAL);
	for (uint32_t i = 0; i < 9; i++) {
		g = (struct vfio_user_region_info){.argsz = sizeof(g), .index = i};
		assert_int_equal(rig_ask(&r, VFIO_USER_DEVICE_GET_REGION_INFO, &g, sizeof(g)), 0);
		memcpy(&g, r.body, sizeof(g));
		assert_int_equal(g.index, i);
		assert_int_equal(g.size != 0, i == 0 || i == 1 || i == 4 || i == 7);
		assert_int_equal(g.flags, g.size ? 3 : 0);
		if (i == 7)
			assert_int_equal(g.size, 256);
	}
	g.index = 9;
	assert_int_equal(rig_ask(&r, VFIO_USER_DEVICE_GET_REGION_INFO, &g, sizeof(g)), EINVAL);
	for (uint32_t i = 0; i < 5; i++) {
		q = (struct vfio_user_irq_info){.argsz = sizeof(q), .index = i};
		assert_int_equal(rig_ask(&r, VFIO_USER_DEVICE_GET_IRQ_INFO, &q, sizeof(q)),
				 i < 3 ? 0 : EINVAL);
		memcpy(&q, r.body, sizeof(q));
		if (i < 3)
			assert_int_equal(q.count, i == 0 ? 1 : i == 1 ? 0 : 4);
	}
	rig_fini(&r);
}

/* ---- accesses ---- */

/* Every place where there is something; of the rest, which is all the same, some. */
static uint32_t next_place(uint32_t at, uint32_t size)
{
	return at % 4096 < 80 || at + 16 > size || size <= 256 ? 1 : 41;
}

static void accesses_of_every_width_at_every_place(void **state)
{
	static const struct {
		uint32_t region;
		uint32_t size;
	} regions[] = {{0, 128}, {1, 4096}, {4, 0x4000}, {7, 256}};
	static uint8_t ones[0x4000];
	struct rig r;

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	rig_init(&r, "memory:1M");
	for (size_t i = 0; i < ARRAY_SIZE(regions); i++) {
		uint32_t size = regions[i].size;

		for (uint32_t at = 0; at <= size + 8; at += next_place(at, size))
			for (uint32_t n = 0; n <= 9; n++) {
				bool inside = n && at < size && n <= size - at;

				assert_int_equal(rig_read(&r, regions[i].region, at, n),
						 inside ? 0 : EINVAL);
				assert_int_equal(rig_write(&r, regions[i].region, at, ones, n),
						 inside ? 0 : EINVAL);
			}
		assert_int_equal(rig_read(&r, regions[i].region, UINT64_MAX, 1), EINVAL);
		assert_int_equal(rig_read(&r, regions[i].region, UINT64_MAX - 3, 8), EINVAL);
		assert_int_equal(rig_read(&r, regions[i].region, 0, UINT32_MAX), EINVAL);
		assert_int_equal(rig_read(&r, regions[i].region, 0, size), 0);
		assert_int_equal(rig_write(&r, regions[i].region, 0, ones, size), 0);
		assert_int_equal(rig_read(&r, regions[i].region, 0, size + 1), EINVAL);
		assert_int_equal(rig_write(&r, regions[i].region, 1, ones, size), EINVAL);
	}
	for (uint32_t region = 0; region < 20; region++)
		if (region != 0 && region != 1 && region != 4 && region != 7)
			assert_int_equal(rig_read(&r, region, 0, 1), EINVAL);
	/* More is announced than comes. */
	assert_int_equal(
		rig_ask(&r, VFIO_USER_REGION_WRITE, &(struct vfio_user_access){0, CONFIG, 4}, 16),
		EINVAL);
	assert_int_equal(rig_ask(&r, VFIO_USER_DEVICE_RESET, NULL, 0), 0);
	works(&r);
	rig_fini(&r);
}

static void many_writes_in_one_message(void **state)
{
	struct {
		uint64_t n;
		struct vfio_user_write w[3];
	} m = {.n = 3,
	       .w = {{PCI_CACHE_LINE, CONFIG, 1, {0x10}},
		     {PCI_INTERRUPT_LINE, CONFIG, 1, {0x0b}},
		     {PCI_LATENCY, CONFIG, 1, {0x20}}}};
	struct rig r;

	(void)state;
	rig_init(&r, "memory:1M");
	assert_int_equal(rig_ask(&r, VFIO_USER_REGION_WRITE_MULTI, &m, sizeof(m)), 0);
	assert_int_equal(rig_get(&r, CONFIG, PCI_CACHE_LINE, 1), 0x10);
	assert_int_equal(rig_get(&r, CONFIG, PCI_INTERRUPT_LINE, 1), 0x0b);
	/* One that is wrong: none is carried out. */
	m.w[0].data[0] = 0x11;
	m.w[2].count = 9;
	assert_int_equal(rig_ask(&r, VFIO_USER_REGION_WRITE_MULTI, &m, sizeof(m)), EINVAL);
	m.w[2].count = 1;
	m.w[2].region = 3;
	assert_int_equal(rig_ask(&r, VFIO_USER_REGION_WRITE_MULTI, &m, sizeof(m)), EINVAL);
	assert_int_equal(rig_get(&r, CONFIG, PCI_CACHE_LINE, 1), 0x10);
	m.n = UINT64_MAX / 24 + 2;
	assert_int_equal(rig_ask(&r, VFIO_USER_REGION_WRITE_MULTI, &m, sizeof(m)), EINVAL);
	m.n = 4;
	assert_int_equal(rig_ask(&r, VFIO_USER_REGION_WRITE_MULTI, &m, sizeof(m)), EINVAL);
	m.n = 0;
	assert_int_equal(rig_ask(&r, VFIO_USER_REGION_WRITE_MULTI, &m, sizeof(m)), 0);
	rig_fini(&r);
}

/* It is the client's, too: blocking, and full, so that a write to it would wait for ever. */
static void hold_up_kick(int fd)
{
	eventfd_t n;

	(void)eventfd_read(fd, &n);
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	assert_int_equal(eventfd_write(fd, UINT64_MAX - 1), 0);
}

static void a_kick_that_the_client_holds_up_keeps_up_nobody(void **state)
{
	const struct drv_request request = {
		.type = VIRTIO_BLK_T_IN,
		.header = DRV_DATA,
		.data = DRV_DATA + 0x1000,
		.len = 512,
		.status = DRV_DATA + 0x100,
	};
	struct {
		struct vfio_user_io_fds info;
		struct vfio_user_io_fd fd[2];
	} fds = {.info = {.argsz = sizeof(fds), .index = 4}};
	struct rig r;
	struct drv d;

	(void)state;
	rig_init(&r, "memory:1M,queues=2");
	assert_int_equal(rig_map(&r, RIG_MEM_AT, RIG_MEM_SIZE, RW, 0, r.mem_fd), 0);
	/* Where the client has it is where it kicks. */
	rig_put(&r, CONFIG, PCI_BAR0 + 4 * VIRTIO_PCI_BAR_MODERN, 0xe0000000, 4);
	rig_put(&r, CONFIG, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	drv_up(&d, &r, 2, false, 0);
	assert_int_equal(
		rig_ask(&r, VFIO_USER_DEVICE_GET_REGION_IO_FDS, &fds.info, sizeof(fds.info)), 0);
	memcpy(&fds.info, r.body, sizeof(fds.info));
	fds.info.count = 0;
	assert_int_equal(rig_ask(&r, VFIO_USER_DEVICE_GET_REGION_IO_FDS, &fds.info, sizeof(fds)),
			 0);
	assert_int_equal(r.n_fds, 2);
	while (r.n_fds) {
		hold_up_kick(r.fds[--r.n_fds]);
		close(r.fds[r.n_fds]);
	}
	alarm(20);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(drv_do(&d, &request), VIRTIO_BLK_S_OK);
	alarm(0);
	rig_fini(&r);
}

/* What waits to be closed is files of the server: a client cannot make them more and more. */
static void a_client_whose_files_take_long_to_be_closed_has_to_wait(void **state)
{
	struct vfio_user_irq_set set = {sizeof(set), FD_TRIGGER, VFIO_USER_IRQ_MSIX, 0, 1};
	int other, slow = test_lingering(&other), null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	unsigned answers = 0;
	struct rig r;

	(void)state;
	rig_init(&r, "memory:1M");
	alarm(60);
	rig_say(&r, VFIO_USER_DEVICE_SET_IRQS, VFIO_USER_TYPE_COMMAND, &set, sizeof(set), &slow, 1);
	close(slow); /* another one is on its way */
	assert_int_equal(rig_hear(&r), EINVAL);
	for (; answers < 200; answers++) {
		rig_say(&r, VFIO_USER_DEVICE_SET_IRQS, VFIO_USER_TYPE_COMMAND, &set, sizeof(set),
			&null, 1);
		if (rig_silent(&r))
			break;
		assert_int_equal(rig_hear(&r), EINVAL);
	}
	assert_in_range(answers, 32, 128);
	assert_in_range(aside_waiting(r.c.aside), 32, 128);
	/* It gets on as soon as they are. */
	close(other);
	assert_int_equal(rig_hear(&r), EINVAL);
	alarm(0);
	close(null);
	works(&r);
	rig_fini(&r);
}

/* ---- interrupts ---- */

static void interrupts_that_cannot_be(void **state)
{
	static const uint32_t flags[] = {0,
					 1,
					 8,
					 7,
					 FD_TRIGGER | VFIO_USER_IRQ_ACTION_MASK,
					 BOOL_TRIGGER | NONE_TRIGGER,
					 FD_TRIGGER | 64,
					 UINT32_MAX};
	int fds[4];
	struct rig r;

	(void)state;
	rig_init(&r, "memory:1M,queues=3");
	for (unsigned i = 0; i < 4; i++)
		fds[i] = eventfd(0, EFD_NONBLOCK);
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		assert_int_equal(rig_irqs(&r, flags[i], 2, 0, 1, NULL, 0), EINVAL);
	assert_int_equal(rig_irqs(&r, FD_TRIGGER, 3, 0, 1, fds, 1), EINVAL);
	assert_int_equal(rig_irqs(&r, FD_TRIGGER, 1, 0, 1, fds, 1), EINVAL);
	assert_int_equal(rig_irqs(&r, FD_TRIGGER, UINT32_MAX, 0, 1, fds, 1), EINVAL);
	assert_int_equal(rig_irqs(&r, FD_TRIGGER, 2, 4, 1, fds, 1), EINVAL);
	assert_int_equal(rig_irqs(&r, FD_TRIGGER, 2, 1, 4, fds, 4), EINVAL);
	assert_int_equal(rig_irqs(&r, FD_TRIGGER, 2, UINT32_MAX, 1, fds, 1), EINVAL);
	assert_int_equal(rig_irqs(&r, FD_TRIGGER, 2, 2, UINT32_MAX, fds, 1), EINVAL);
	/* fds missing, too many, where none belong. */
	assert_int_equal(rig_irqs(&r, FD_TRIGGER, 2, 0, 2, fds, 1), EINVAL);
	assert_int_equal(rig_irqs(&r, FD_TRIGGER, 2, 0, 1, fds, 2), EINVAL);
	assert_int_equal(rig_irqs(&r, NONE_TRIGGER, 2, 0, 1, fds, 1), EINVAL);
	/* Bools that do not come. */
	assert_int_equal(rig_irqs(&r, BOOL_TRIGGER, 2, 0, 4, NULL, 0), EINVAL);
	/* Only the pin can be masked from outside. */
	assert_int_equal(
		rig_irqs(&r, VFIO_USER_IRQ_DATA_NONE | VFIO_USER_IRQ_ACTION_MASK, 2, 0, 1, NULL, 0),
		EINVAL);
	assert_int_equal(rig_irqs(&r, FD_TRIGGER, 2, 0, 0, NULL, 0), EINVAL);
	assert_int_equal(rig_irqs(&r, NONE_TRIGGER, 2, 1, 0, NULL, 0), EINVAL);
	/* And what can be. */
	assert_int_equal(rig_irqs(&r, FD_TRIGGER, 2, 0, 4, fds, 4), 0);
	assert_int_equal(rig_irqs(&r, FD_TRIGGER, 2, 0, 4, NULL, 0), 0);
	assert_int_equal(rig_irqs(&r, FD_TRIGGER, 2, 3, 1, fds, 1), 0);
	assert_int_equal(rig_irqs(&r, FD_TRIGGER, 0, 0, 1, fds, 1), 0);
	assert_int_equal(rig_irqs(&r, NONE_TRIGGER, 2, 0, 0, NULL, 0), 0);
	assert_int_equal(rig_irqs(&r, NONE_TRIGGER, 0, 0, 0, NULL, 0), 0);
	for (unsigned i = 0; i < 4; i++)
		close(fds[i]);
	works(&r);
	rig_fini(&r);
}

static void a_client_triggers_its_own_interrupts(void **state)
{
	struct {
		struct vfio_user_irq_set set;
		uint8_t bools[2];
	} m = {.set = {sizeof(m), BOOL_TRIGGER, 2, 0, 2}, .bools = {0, 1}};
	int fd = eventfd(0, EFD_NONBLOCK), pin = eventfd(0, EFD_NONBLOCK);
	struct rig r;
	eventfd_t n;
	uint32_t cap = 0;

	(void)state;
	rig_init(&r, "memory:1M");
	assert_int_equal(rig_irqs(&r, FD_TRIGGER, 0, 0, 1, &pin, 1), 0);
	assert_int_equal(rig_irqs(&r, NONE_TRIGGER, 0, 0, 1, NULL, 0), 0);
	assert_int_equal(eventfd_read(pin, &n), 0);
	/* MSI-X on and bus mastering, as the guest's driver does. */
	for (cap = rig_get(&r, CONFIG, PCI_CAP_POINTER, 1);
	     rig_get(&r, CONFIG, cap, 1) != PCI_CAP_MSIX; cap = rig_get(&r, CONFIG, cap + 1, 1))
		assert_int_not_equal(cap, 0);
	rig_put(&r, CONFIG, PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY, 2);
	rig_put(&r, CONFIG, cap + PCI_MSIX_CONTROL, PCI_MSIX_CONTROL_ENABLE, 2);
	assert_int_equal(rig_irqs(&r, FD_TRIGGER, 2, 1, 1, &fd, 1), 0);
	/* None of the MSI that there are not are taken away: MSI-X stays. */
	assert_int_equal(rig_irqs(&r, NONE_TRIGGER, 1, 0, 0, NULL, 0), 0);
	assert_int_equal(rig_irqs(&r, NONE_TRIGGER, 2, 0, 2, NULL, 0), 0);
	assert_int_equal(eventfd_read(fd, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(rig_ask(&r, VFIO_USER_DEVICE_SET_IRQS, &m, sizeof(m.set) + 2), 0);
	assert_int_equal(eventfd_read(fd, &n), 0);
	m.bools[1] = 0;
	assert_int_equal(rig_ask(&r, VFIO_USER_DEVICE_SET_IRQS, &m, sizeof(m.set) + 2), 0);
	assert_int_equal(eventfd_read(fd, &n), -1);
	close(fd);
	close(pin);
	rig_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(version_is_answered_with_the_lower_minor),
		cmocka_unit_test(version_that_cannot_be),
		cmocka_unit_test(headers_that_cannot_be_close_the_connection),
		cmocka_unit_test(commands_that_are_not_known_or_too_short),
		cmocka_unit_test(pieces_of_a_message_are_put_together),
		cmocka_unit_test(no_reply_means_none),
		cmocka_unit_test(fds_that_nobody_takes_are_closed),
		cmocka_unit_test(memory_that_cannot_be),
		cmocka_unit_test(memory_in_very_many_pieces),
		cmocka_unit_test(infos),
		cmocka_unit_test(accesses_of_every_width_at_every_place),
		cmocka_unit_test(many_writes_in_one_message),
		cmocka_unit_test(a_kick_that_the_client_holds_up_keeps_up_nobody),
		cmocka_unit_test(a_client_whose_files_take_long_to_be_closed_has_to_wait),
		cmocka_unit_test(interrupts_that_cannot_be),
		cmocka_unit_test(a_client_triggers_its_own_interrupts),
	};

	return cmocka_run_group_tests_name("server/vfio_user/bad", tests, NULL, NULL);
}
