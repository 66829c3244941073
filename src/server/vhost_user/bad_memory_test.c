/* SPDX-License-Identifier: MIT */
/* What a front end may not share: regions and tables that cannot be, memory that goes away. */
#include "server/vhost_user/bad_rig_test.h"

#include "wire/virtio.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- V-05, V-06: memory ---- */

static void refused_region(const struct vhost_user_region *r, int fd)
{
	struct vhost_user_mem_table table = {.n = 1, .regions = {*r}};
	struct vhost_user_mem_reg reg = {.region = *r};

	refused(&(struct bad){VHOST_USER_SET_MEM_TABLE, &table, 40, {fd}, 1});
	refused(&(struct bad){VHOST_USER_ADD_MEM_REG, &reg, sizeof(reg), {fd}, 1});
}

static void v_05_regions_that_cannot_be(void **state)
{
	struct vhost_user_region good = front_table().regions[0], r;
	int fd = memfd_create("region", MFD_CLOEXEC);

	(void)state;
	rig.fds++;
	assert_false(ftruncate(fd, FRONT_MEM));
	good.gpa += FRONT_MEM;
	good.user += FRONT_MEM;
	r = good, r.size = 0, refused_region(&r, fd);
	r = good, r.size = UINT64_MAX, refused_region(&r, fd);
	r = good, r.gpa = UINT64_MAX - 0xfff, refused_region(&r, fd);
	r = good, r.user = UINT64_MAX - 0xfff, refused_region(&r, fd);
	r = good, r.offset = 0x1000, refused_region(&r, fd);
	r = good, r.offset = FRONT_MEM, refused_region(&r, fd);
	r = good, r.offset = UINT64_MAX, refused_region(&r, fd);
	r = good, r.offset = UINT64_MAX - r.size + 1, refused_region(&r, fd);
	r = good, r.size = FRONT_MEM + 1, refused_region(&r, fd);
	close(fd);
	rig.fds--;
}

static void kb_67_memory_that_cannot_be_written(void **state)
{
	struct vhost_user_region r = front_table().regions[0];
	char path[] = "/proc/self/fd/00000000";
	int fd = memfd_create("region", MFD_CLOEXEC), readonly;

	(void)state;
	assert_false(ftruncate(fd, FRONT_MEM));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	readonly = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(readonly >= 0);
	rig.fds += 2;
	r.gpa += FRONT_MEM;
	r.user += FRONT_MEM;
	refused_region(&r, readonly);
	close(readonly);
	close(fd);
	rig.fds -= 2;
}

static void kb_67_tables_that_cannot_be(void **state)
{
	static const uint32_t counts[] = {0, 9, 10, 255, 0x10000001, 0xffffffff};
	struct vhost_user_mem_table t = front_table();
	struct bad b = {VHOST_USER_SET_MEM_TABLE, &t, sizeof(t), {0}, VHOST_USER_FDS_MAX};
	int fd = memfd_create("region", MFD_CLOEXEC);

	(void)state;
	rig.fds++;
	assert_false(ftruncate(fd, FRONT_MEM));
	for (int i = 0; i < VHOST_USER_FDS_MAX; i++)
		b.fds[i] = fd;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		t.n = counts[i];
		refused(&b);
	}
	/* Two regions at the same guest address, at the same address of the front end, and more
	 * regions than payload. */
	t = front_table();
	t.n = 2;
	t.regions[1] = t.regions[0];
	b.n_fds = 2;
	b.size = 8 + 64;
	t.regions[1].user += FRONT_MEM;
	t.regions[1].gpa += FRONT_MEM - 1;
	refused(&b);
	t.regions[1] = t.regions[0];
	t.regions[1].gpa += FRONT_MEM;
	t.regions[1].user -= 1;
	refused(&b);
	t.regions[1].user += 1 + FRONT_MEM;
	b.size = 8 + 32;
	refused(&b);
	close(fd);
	rig.fds--;
}

static void v_06_slots_that_cannot_be(void **state)
{
	struct vhost_user_mem_reg reg = {.region = front_table().regions[0]};
	int fd = memfd_create("region", MFD_CLOEXEC);
	struct front f;

	(void)state;
	rig.fds++;
	assert_false(ftruncate(fd, FRONT_MEM));
	refused(&(struct bad){VHOST_USER_ADD_MEM_REG, &reg, sizeof(reg), {fd}, 1});
	reg.region.gpa += 0x1000;
	refused(&(struct bad){VHOST_USER_REM_MEM_REG, &reg, sizeof(reg), {fd}, 1});
	reg.region.gpa -= 0x1000;
	reg.region.size -= 1;
	refused(&(struct bad){VHOST_USER_REM_MEM_REG, &reg, sizeof(reg), {0}, 0});

	/* As many as there are slots, and one more. */
	front_open(&f, &rig);
	front_negotiate(&f);
	reg.region.size = 0x1000;
	for (int i = 0; i <= GMEM_REGIONS_MAX; i++) {
		reg.region.gpa = FRONT_GPA + (uint64_t)i * 0x1000;
		reg.region.user = FRONT_USER + (uint64_t)i * 0x1000;
		assert_int_equal(front_ack(&f, VHOST_USER_ADD_MEM_REG, &reg, sizeof(reg), &fd, 1),
				 i == GMEM_REGIONS_MAX);
	}
	assert_true(front_alive(&f));
	front_close(&f);
	close(fd);
	rig.fds--;
}

static void v_06_a_region_in_use_is_drained_first(void **state)
{
	struct vhost_user_mem_reg reg = {.region = front_table().regions[0]};
	struct vhost_user_header h;
	union vhost_user_payload reply;
	struct front f;

	(void)state;
	open_at(&f, true);
	echo_mode(&rig, ECHO_HOLD);
	front_submit(&f, 0, 8);
	front_kick(&f, 0);
	echo_wait_popped(&rig, 8);
	front_send(&f, VHOST_USER_REM_MEM_REG, FLAGS_REPLY, &reg, sizeof(reg), NULL, 0);
	rig_settle(&rig);
	assert_int_equal(recv(f.sock, &h, 1, MSG_DONTWAIT), -1);
	echo_release(&rig);
	assert_true(front_recv(&f, &h, &reply));
	assert_int_equal(reply.u64, 0);
	front_complete(&f, 0, 8);
	assert_true(front_alive(&f));
	front_close(&f);
}

/* The rings are not in the new table: they wait for one that has them, nothing is touched. */
static void kb_68_a_table_without_the_rings(void **state)
{
	struct vhost_user_mem_table t = front_table();
	struct front f;
	int err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct pollfd p = {.fd = err, .events = POLLIN};

	(void)state;
	rig.fds++;
	open_at(&f, true);
	assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_ERR, 0, err), 0);
	t.regions[0].gpa += UINT64_C(1) << 32;
	assert_int_equal(front_ack(&f, VHOST_USER_SET_MEM_TABLE, &t, 40, &f.memfd, 1), 0);
	front_submit(&f, 0, 1);
	front_kick(&f, 0);
	rig_settle(&rig);
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_int_equal(front_get_u64(&f, VHOST_USER_GET_STATUS) & VIRTIO_STATUS_NEEDS_RESET, 0);
	/* What was made available meanwhile is found without another kick. */
	front_share_memory(&f);
	front_complete(&f, 0, 1);
	front_echo(&f, 0);
	/* Stopped while it waits: it is where it was, and starts again. */
	assert_int_equal(front_ack(&f, VHOST_USER_SET_MEM_TABLE, &t, 40, &f.memfd, 1), 0);
	assert_int_equal(front_get_base(&f, 0), 2);
	front_share_memory(&f);
	assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_KICK, 0, f.rings[0].kick), 0);
	front_echo(&f, 0);
	front_close(&f);
	close(err);
	rig.fds--;
}

static void set_any_memory(void *on)
{
	rig.connection.any_memory = *(const bool *)on;
}

/* A file of a file system that may not answer: refused, or mapped aside where it is allowed. */
static void v_05_memory_that_is_any_file(void **state)
{
	char path[] = "/var/tmp/ringside-memory.XXXXXX";
	struct vhost_user_mem_table t = front_table();
	int fd = mkstemp(path);
	struct front f;

	(void)state;
	assert_true(fd >= 0);
	unlink(path);
	if (fcntl(fd, F_GET_SEALS) >= 0) { /* tmpfs */
		close(fd);
		skip();
	}
	assert_int_equal(ftruncate(fd, FRONT_MEM), 0);
	rig.fds++;
	refused(&(struct bad){VHOST_USER_SET_MEM_TABLE, &t, 40, {fd}, 1});
	worker_call(rig.control, set_any_memory, &(bool){true});
	open_at(&f, false);
	assert_int_equal(front_ack(&f, VHOST_USER_SET_MEM_TABLE, &t, 40, &fd, 1), 0);
	/* What is wrong with it is found there, too. */
	t.regions[0].size *= 2;
	assert_int_equal(front_ack(&f, VHOST_USER_SET_MEM_TABLE, &t, 40, &fd, 1), 1);
	t.regions[0].size /= 2;
	assert_int_equal(front_ack(&f, VHOST_USER_SET_MEM_TABLE, &t, 40, &fd, 1), 0);
	front_close(&f);
	worker_call(rig.control, set_any_memory, &(bool){false});
	close(fd);
	rig.fds--;
}

static void v_14_memory_cut_short_under_us(void **state)
{
	struct front f;
	int err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct pollfd p = {.fd = err, .events = POLLIN};

	(void)state;
	/* Here, because cmocka has a handler of its own for each test. */
	assert_int_equal(gmem_guard_install(NULL), 0);
	rig.fds++;
	open_at(&f, true);
	assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_ERR, 0, err), 0);
	front_submit(&f, 0, 1);
	assert_false(ftruncate(f.memfd, 0));
	assert_int_equal(write(f.rings[0].kick, &(uint64_t){1}, 8), 8);
	assert_int_equal(poll(&p, 1, PATIENCE_S * 1000), 1);
	assert_true(front_alive(&f));
	front_close(&f);
	close(err);
	rig.fds--;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(v_05_regions_that_cannot_be),
		CASE(kb_67_memory_that_cannot_be_written),
		CASE(kb_67_tables_that_cannot_be),
		CASE(v_06_slots_that_cannot_be),
		CASE(v_06_a_region_in_use_is_drained_first),
		CASE(kb_68_a_table_without_the_rings),
		CASE(v_05_memory_that_is_any_file),
		CASE(v_14_memory_cut_short_under_us),
	};

	signal(SIGPIPE, SIG_IGN);
	rig_setup();
	return cmocka_run_group_tests_name("server/vhost_user/bad_memory", tests, NULL, NULL);
}
