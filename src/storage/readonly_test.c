/* SPDX-License-Identifier: MIT */
/* What cannot be written: refused with the remedy, or served read-only when asked for that. */
#include "storage/loop_test.h"
#include "storage/place_test.h"

#include "base/log.h"

#include <linux/fs.h>
#include <sys/sysmacros.h>

static void is_refused_or_readonly(const char *path, int rc, const char *says)
{
	struct storage_options o = {.target = path};
	struct storage *s;
	struct error err = {""};

	refused(&o, rc, says);
	refused(&o, rc, "readonly=on");
	for (unsigned r = STORAGE_READONLY; r <= STORAGE_AUTO; r++) {
		o.readonly = r;
		if (storage_open(&o, &s, &err))
			fail_msg("%s", err.text);
		assert_true(storage_readonly(s));
		assert_true(storage_limits(s)->max_write_zeroes == 0);
		assert_true(storage_limits(s)->max_discard == 0);
		storage_close(&s);
	}
}

static void auto_writes_where_it_can(void **state)
{
	static const char *const others[] = {"memory:1M", "null:1M"};
	struct place p = place_make(".", MIB);
	struct storage_options o = {.target = p.path, .readonly = STORAGE_AUTO};
	struct storage *s, *second;

	(void)state;
	assert_int_equal(storage_open(&o, &s, NULL), 0);
	assert_false(storage_readonly(s));
	/* Another's image is not taken read-only: it is in use. */
	assert_int_equal(storage_open(&o, &second, NULL), -EBUSY);
	storage_close(&s);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		o.target = others[i];
		assert_int_equal(storage_open(&o, &s, NULL), 0);
		assert_false(storage_readonly(s));
		storage_close(&s);
	}
	place_remove(&p);
}

static void a_readonly_device(void **state)
{
	struct place p = place_make(".", MIB);
	struct loop loop;
	int on = 1;

	(void)state;
	if (!loop_make(&loop, p.path, 512)) {
		place_remove(&p);
		skip();
	}
	assert_int_equal(ioctl(loop.fd, BLKROSET, &on), 0);
	is_refused_or_readonly(loop.path, -EROFS, "blockdev --setrw");
	on = 0;
	assert_int_equal(ioctl(loop.fd, BLKROSET, &on), 0);
	loop_remove(&loop);
	place_remove(&p);
}

/* Zones are a device's own affair, and nothing that a plain disk can stand on. */
static void a_device_of_host_managed_zones(void **state)
{
	struct place p = place_make(".", MIB);
	struct error err = {""};
	struct loop loop;
	struct storage *s;
	struct stat st;
	char *sysfs, *cmd;

	(void)state;
	if (!loop_make(&loop, p.path, 512)) {
		place_remove(&p);
		skip();
	}
	assert_int_equal(fstat(loop.fd, &st), 0);
	assert_true(asprintf(&sysfs, "%s/sys", p.dir) > 0);
	assert_true(asprintf(&cmd,
			     "d=%s/dev/block/%u:%u/queue; mkdir -p $d; echo host-managed >$d/zoned",
			     sysfs, major(st.st_rdev), minor(st.st_rdev)) > 0);
	assert_int_equal(system(cmd), 0);
	assert_int_equal(
		storage_open(&(struct storage_options){.target = loop.path, .sysfs = sysfs}, &s,
			     &err),
		-EOPNOTSUPP);
	assert_non_null(strstr(err.text, "zones"));
	assert_int_equal(storage_open(&(struct storage_options){.target = loop.path,
								.sysfs = sysfs,
								.readonly = STORAGE_READONLY},
				      &s, &err),
			 0);
	storage_close(&s);
	free(cmd);
	assert_true(asprintf(&cmd, "rm -r %s", sysfs) > 0);
	assert_int_equal(system(cmd), 0);
	free(cmd);
	free(sysfs);
	loop_remove(&loop);
	place_remove(&p);
}

static void a_readonly_mount(void **state)
{
	struct place p = place_make(".", MIB);

	(void)state;
	if (!own_mounts() || mount(p.dir, p.dir, NULL, MS_BIND, NULL) ||
	    mount(NULL, p.dir, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL)) {
		place_remove(&p);
		skip();
	}
	is_refused_or_readonly(p.path, -EROFS, "read-only file system");
	assert_int_equal(umount(p.dir), 0);
	place_remove(&p);
}

static bool set_immutable(const struct place *p, bool on)
{
	int fd = open(p->path, O_RDONLY | O_CLOEXEC), flags = 0;
	bool ok = !ioctl(fd, FS_IOC_GETFLAGS, &flags);

	flags = on ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
	ok = ok && !ioctl(fd, FS_IOC_SETFLAGS, &flags);
	close(fd);
	return ok;
}

static void an_immutable_file(void **state)
{
	struct place p = place_make(".", MIB);

	(void)state;
	if (!set_immutable(&p, true)) {
		place_remove(&p);
		skip();
	}
	is_refused_or_readonly(p.path, -EPERM, "chattr -ia");
	assert_true(set_immutable(&p, false));
	place_remove(&p);
}

static void count_warning(void *opaque, enum log_level level, const char *line)
{
	if (level == LOG_LEVEL_WARN && strstr(line, "read-only"))
		++*(unsigned *)opaque;
}

/* While it runs: each write is answered with the error, and one line says why. */
static void a_device_that_becomes_readonly(void **state)
{
	uint8_t *buf = aligned_alloc(4096, 4096);
	struct place p = place_make(".", MIB);
	unsigned lines = 0;
	struct loop loop;
	struct rig rig;
	int on = 1;

	(void)state;
	assert_non_null(buf);
	memset(buf, 1, 4096);
	if (!loop_make(&loop, p.path, 512)) {
		place_remove(&p);
		free(buf);
		skip();
	}
	assert_int_equal(rig_open(&rig,
				  &(struct storage_options){.target = loop.path, .direct = true},
				  true, NULL),
			 0);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, buf, 4096), 0);
	assert_int_equal(ioctl(loop.fd, BLKROSET, &on), 0);
	log_setup(LOG_LEVEL_INFO, count_warning, &lines);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 4096, buf, 4096), -EPERM);
	log_setup(LOG_LEVEL_INFO, NULL, NULL);
	assert_int_equal(lines, 1);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, buf, 4096), 0);
	on = 0;
	assert_int_equal(ioctl(loop.fd, BLKROSET, &on), 0);
	rig_close(&rig);
	loop_remove(&loop);
	place_remove(&p);
	free(buf);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(auto_writes_where_it_can),
		cmocka_unit_test(a_readonly_device),
		cmocka_unit_test(a_device_of_host_managed_zones),
		cmocka_unit_test(a_readonly_mount),
		cmocka_unit_test(an_immutable_file),
		cmocka_unit_test(a_device_that_becomes_readonly),
	};

	return cmocka_run_group_tests_name("storage/readonly", tests, NULL, NULL);
}
