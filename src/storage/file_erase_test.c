/* SPDX-License-Identifier: MIT */
/*
 * Secure erase: what a file can, by which steps, and that what was erased is not to be found below
 * any more.
 */
#include "storage/file.h"
#include "storage/loop_test.h"
#include "storage/place_test.h"

#include "base/log.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

/* ---- steps, without a kernel ---- */

static struct file overwritten_file(bool may_share)
{
	return (struct file){.fd = 7,
			     .align = 1,
			     .mem_align = 1,
			     .zero_align = 1,
			     .overwrites = true,
			     .may_share = may_share,
			     .base.limits = {.write_zeroes_unmaps = true}};
}

/* One step of it, which must be of that kind, and its outcome. */
static enum file_verdict play(struct file *f, struct storage_io *io, enum file_step_kind kind,
			      int res)
{
	struct file_step s;

	file_io_step(f, io, &s);
	assert_int_equal(s.kind, kind);
	return file_io_advance(f, io, res);
}

/* Neither a hole nor a mark: both leave what was there. In pieces, and stable before the answer. */
static void overwriting_writes_all_of_it_and_syncs(void **state)
{
	struct storage_io io = {
		.op = STORAGE_SECURE_ERASE, .offset = 4096, .len = 3 * MIB, .flags = STORAGE_UNMAP};
	struct file f = overwritten_file(false);
	enum file_verdict v;
	struct file_step s;
	uint64_t at = io.offset;

	(void)state;
	assert_false(file_io_begin(&f, &io));
	do {
		file_io_step(&f, &io, &s);
		assert_int_equal(s.kind, FILE_WRITE);
		assert_true(s.offset == at && s.len && s.len <= MIB);
		at += s.len;
		v = file_io_advance(&f, &io, (int)s.len);
		assert_int_equal(v, FILE_MORE);
	} while (at < io.offset + io.len);
	assert_int_equal(play(&f, &io, FILE_SYNC, -EIO), FILE_DONE);
	assert_int_equal(io.result, -EIO);
}

static void what_is_shared_is_not_erased(void **state)
{
	struct storage_io io = {.op = STORAGE_SECURE_ERASE, .offset = 4096, .len = 8192};
	struct file f = overwritten_file(true);

	(void)state;
	f.path = (char *)(uintptr_t) "vm.raw";
	assert_false(file_io_begin(&f, &io));
	assert_int_equal(play(&f, &io, FILE_LOOK_SHARED, 1), FILE_DONE);
	assert_int_equal(io.result, -EOPNOTSUPP);

	assert_false(file_io_begin(&f, &io));
	assert_int_equal(play(&f, &io, FILE_LOOK_SHARED, -EIO), FILE_DONE);
	assert_int_equal(io.result, -EIO);

	assert_false(file_io_begin(&f, &io));
	assert_int_equal(play(&f, &io, FILE_LOOK_SHARED, 0), FILE_MORE);
	assert_int_equal(play(&f, &io, FILE_WRITE, 8192), FILE_MORE);
	assert_int_equal(play(&f, &io, FILE_SYNC, 0), FILE_DONE);
	assert_int_equal(io.result, 0);
}

static void a_device_erases_and_is_flushed(void **state)
{
	struct storage_io io = {.op = STORAGE_SECURE_ERASE, .offset = MIB, .len = MIB};
	struct file f = overwritten_file(false);
	struct file_step s;

	(void)state;
	f.overwrites = false;
	f.block_device = true;
	assert_false(file_io_begin(&f, &io));
	file_io_step(&f, &io, &s);
	assert_int_equal(s.kind, FILE_BLKSECDISCARD);
	assert_true(s.offset == MIB && s.len == MIB);
	assert_int_equal(file_io_advance(&f, &io, 0), FILE_MORE);
	assert_int_equal(play(&f, &io, FILE_SYNC, 0), FILE_DONE);
	assert_int_equal(io.result, 0);

	assert_false(file_io_begin(&f, &io));
	assert_int_equal(play(&f, &io, FILE_BLKSECDISCARD, -EREMOTEIO), FILE_DONE);
	assert_int_equal(io.result, -EREMOTEIO);
}

/* ---- a file ---- */

static bool erase_is_offered(const struct storage_options *o)
{
	struct error err = {""};
	struct storage *s;
	bool offered;

	if (storage_open(o, &s, &err))
		fail_msg("%s", err.text);
	offered = storage_limits(s)->max_secure_erase;
	storage_close(&s);
	return offered;
}

static void nothing_is_offered_unless_asked_for_by_name(void **state)
{
	static const char *const others[] = {"memory:1M", "null:1M"};
	struct place p = place_make(".", MIB);
	struct storage_options o = {.target = p.path};

	(void)state;
	for (size_t i = 0; i <= ARRAY_SIZE(others); i++) {
		o.target = i < ARRAY_SIZE(others) ? others[i] : p.path;
		o.erase = STORAGE_ERASE_DEVICE;
		assert_false(erase_is_offered(&o));
		o.erase = STORAGE_ERASE_OVERWRITE;
		assert_true(erase_is_offered(&o));
		o.readonly = STORAGE_READONLY;
		assert_false(erase_is_offered(&o));
		o.readonly = STORAGE_WRITABLE;
		o.erase = STORAGE_ERASE_OFF;
		assert_false(erase_is_offered(&o));
	}
	place_remove(&p);
}

static void erased_is_zeroes_whatever_the_way(void **state)
{
	struct place p = place_make(".", 4 * MIB);
	uint8_t *buf = aligned_alloc(4096, MIB);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct storage_options o = {.target = p.path,
					    .threads = ways[i].threads,
					    .direct = ways[i].direct,
					    .erase = STORAGE_ERASE_OVERWRITE};
		struct rig rig;

		if (rig_open(&rig, &o, ways[i].uring, NULL))
			continue;
		memset(buf, 0x77, MIB);
		for (uint64_t at = 0; at < 4; at++)
			assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, at * MIB, buf, MIB), 0);
		assert_int_equal(rig_do(&rig, STORAGE_SECURE_ERASE, 0, 512, 2 * MIB), 0);
		assert_int_equal(rig_do(&rig, STORAGE_SECURE_ERASE, 0, 4 * MIB - 512, 512), 0);
		assert_int_equal(rig_do(&rig, STORAGE_SECURE_ERASE, 0, 4 * MIB - 512, 1024),
				 -EINVAL);
		assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, buf, MIB), 0);
		assert_true(all_bytes_are(buf, 0x77, 512));
		assert_true(all_bytes_are(buf + 512, 0, MIB - 512));
		assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 2 * MIB, buf, MIB), 0);
		assert_true(all_bytes_are(buf, 0, 512));
		assert_true(all_bytes_are(buf + 512, 0x77, MIB - 512));
		assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 3 * MIB, buf, MIB), 0);
		assert_true(all_bytes_are(buf, 0x77, MIB - 512));
		assert_true(all_bytes_are(buf + MIB - 512, 0, 512));
		rig_close(&rig);
	}
	free(buf);
	place_remove(&p);
}

/* ---- what lies below ---- */

static const char secret[] = "what nobody shall find below any more, 6f1c";

static bool file_holds(const char *path, const char *text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t *buf = malloc(MIB + 512);
	size_t kept = 0;
	bool found = false;
	ssize_t n;

	assert_true(fd >= 0 && buf);
	while (!found && (n = read(fd, buf + kept, MIB)) > 0) {
		found = memmem(buf, kept + (size_t)n, text, strlen(text));
		kept = min_u64(kept + (size_t)n, 64);
		memmove(buf, buf + (size_t)n, kept);
	}
	free(buf);
	close(fd);
	return found;
}

struct fs {
	char *dir, *below, *at;
	struct loop loop;
};

static bool fs_make(struct fs *fs, const char *kind, const char *mkfs, uint64_t size)
{
	char *cmd = NULL;
	bool ok;

	*fs = (struct fs){.dir = scratch_make(".")};
	fs->below = image_make(fs->dir, "below", size);
	assert_true(asprintf(&fs->at, "%s/at", fs->dir) > 0);
	assert_int_equal(mkdir(fs->at, 0755), 0);
	assert_true(asprintf(&cmd, "%s '%s' >/dev/null 2>&1", mkfs, fs->below) > 0);
	ok = !system(cmd) && loop_make(&fs->loop, fs->below, 512);
	free(cmd);
	if (ok && own_mounts() && !mount(fs->loop.path, fs->at, kind, 0, NULL))
		return true;
	if (ok)
		loop_remove(&fs->loop);
	return false;
}

static void fs_sync(const struct fs *fs)
{
	int fd = open(fs->at, O_RDONLY | O_CLOEXEC);

	assert_int_equal(syncfs(fd), 0);
	close(fd);
	fd = open(fs->loop.path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fsync(fd), 0);
	close(fd);
}

static void fs_free(struct fs *fs)
{
	free(fs->at);
	free(fs->below);
	scratch_remove(fs->dir);
}

static void fs_remove(struct fs *fs)
{
	assert_int_equal(umount(fs->at), 0);
	loop_remove(&fs->loop);
	fs_free(fs);
}

static void put_secret(struct rig *rig, uint64_t offset)
{
	uint8_t *buf = calloc(1, 4096);

	memcpy(buf + 100, secret, sizeof(secret));
	assert_int_equal(rig_rw(rig, STORAGE_WRITE, 0, offset, buf, 4096), 0);
	assert_int_equal(rig_do(rig, STORAGE_FLUSH, 0, 0, 0), 0);
	free(buf);
}

/* A mark of zeroes leaves it, here or in blocks that are given back: on such a disk zeroes are
 * written. */
static void what_was_erased_is_not_below_any_more(const char *kind, const char *mkfs, uint64_t size)
{
	struct storage_options o = {.erase = STORAGE_ERASE_OVERWRITE};
	struct error err = {""};
	struct place p;
	struct fs fs;
	struct rig rig;

	if (!fs_make(&fs, kind, mkfs, size)) {
		fs_free(&fs);
		skip();
	}
	p = place_make(fs.at, 8 * MIB);
	o.target = p.path;
	if (rig_open(&rig, &o, true, &err) && rig_open(&rig, &o, false, &err))
		fail_msg("%s", err.text);
	put_secret(&rig, MIB);
	fs_sync(&fs);
	assert_true(file_holds(fs.below, secret));
	assert_int_equal(rig_do(&rig, STORAGE_SECURE_ERASE, 0, MIB, 4096), 0);
	fs_sync(&fs);
	assert_false(file_holds(fs.below, secret));
	put_secret(&rig, 2 * MIB);
	assert_int_equal(rig_do(&rig, STORAGE_WRITE_ZEROES, STORAGE_FUA, 2 * MIB, 4096), 0);
	assert_int_equal(rig_do(&rig, STORAGE_SECURE_ERASE, 0, 2 * MIB, 4096), 0);
	fs_sync(&fs);
	assert_false(file_holds(fs.below, secret));
	rig_close(&rig);
	place_remove(&p);
	fs_remove(&fs);
}

static void nothing_is_left_below_ext4(void **state)
{
	(void)state;
	what_was_erased_is_not_below_any_more("ext4", "mkfs.ext4 -q -F", 64 * MIB);
}

static void nothing_is_left_below_xfs(void **state)
{
	(void)state;
	what_was_erased_is_not_below_any_more("xfs", "mkfs.xfs -q -f", 320 * MIB);
}

static void share(const char *from, const char *to)
{
	int a = open(from, O_RDONLY | O_CLOEXEC);
	int b = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(a >= 0 && b >= 0);
	assert_int_equal(ioctl(b, FICLONE, a), 0);
	close(a);
	close(b);
}

static void shared_blocks_are_refused_at_open_and_later(void **state)
{
	struct storage_options o = {.erase = STORAGE_ERASE_OVERWRITE};
	struct error err = {""};
	char *copy = NULL;
	struct place p;
	struct rig rig;
	struct fs fs;

	(void)state;
	if (!fs_make(&fs, "xfs", "mkfs.xfs -q -f", 320 * MIB)) {
		fs_free(&fs);
		skip();
	}
	p = place_make(fs.at, 8 * MIB);
	o.target = p.path;
	assert_true(asprintf(&copy, "%s/copy", fs.at) > 0);
	if (rig_open(&rig, &o, true, &err) && rig_open(&rig, &o, false, &err))
		fail_msg("%s", err.text);
	put_secret(&rig, MIB);
	put_secret(&rig, 4 * MIB);
	share(p.path, copy);
	assert_int_equal(rig_do(&rig, STORAGE_SECURE_ERASE, 0, MIB, 4096), -EOPNOTSUPP);
	/* Never shared: a hole. */
	assert_int_equal(rig_do(&rig, STORAGE_SECURE_ERASE, 0, 6 * MIB, 4096), 0);
	/* Written anew since, so it is ours alone, though perhaps not on the disk yet. */
	put_secret(&rig, MIB);
	assert_int_equal(rig_do(&rig, STORAGE_SECURE_ERASE, 0, MIB, 4096), 0);
	rig_close(&rig);
	refused(&o, -EOPNOTSUPP, "reflink");
	/* A file that is merely unlinked may keep its blocks for a while. */
	assert_int_equal(truncate(copy, 0), 0);
	assert_true(erase_is_offered(&o));
	free(copy);
	place_remove(&p);
	fs_remove(&fs);
}

static void a_file_system_that_writes_elsewhere_is_refused(void **state)
{
	struct storage_options o = {.erase = STORAGE_ERASE_OVERWRITE};
	struct place p;
	struct fs fs;

	(void)state;
	if (!fs_make(&fs, "btrfs", "mkfs.btrfs -q -f", 128 * MIB)) {
		fs_free(&fs);
		skip();
	}
	p = place_make(fs.at, 8 * MIB);
	o.target = p.path;
	refused(&o, -EOPNOTSUPP, "btrfs");
	o.erase = STORAGE_ERASE_DEVICE;
	assert_false(erase_is_offered(&o));
	place_remove(&p);
	fs_remove(&fs);
}

/* A loop device cannot; no kernel carries out the range that asks. */
static void a_device_that_cannot_is_found_out_without_harm(void **state)
{
	struct place p = place_make(".", 4 * MIB);
	struct storage_options o = {0};
	struct loop loop;
	struct rig rig;

	(void)state;
	if (!loop_make(&loop, p.path, 512)) {
		place_remove(&p);
		skip();
	}
	o.target = loop.path;
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	assert_true(storage_limits(rig.s)->max_secure_erase == 0);
	assert_int_equal(rig_do(&rig, STORAGE_SECURE_ERASE, 0, 0, 4096), -EOPNOTSUPP);
	put_secret(&rig, 0);
	rig_close(&rig);
	assert_false(erase_is_offered(&o));
	assert_true(file_holds(p.path, secret));
	o.erase = STORAGE_ERASE_OVERWRITE;
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	assert_int_equal(rig_do(&rig, STORAGE_SECURE_ERASE, 0, 0, 4096), 0);
	rig_close(&rig);
	assert_false(file_holds(p.path, secret));
	loop_remove(&loop);
	place_remove(&p);
}

/* In a guest, which has such a device (tests/guest/erase_test.py). */
static void a_device_that_can_erases(void **state)
{
	struct storage_options o = {.target = getenv("RINGSIDE_ERASE_DEVICE")};
	struct error err = {""};

	(void)state;
	for (unsigned uring = 0; uring < 2; uring++) {
		uint8_t *buf = aligned_alloc(4096, 4096);
		struct rig rig;

		if (rig_open(&rig, &o, uring, &err))
			fail_msg("%s", err.text);
		assert_true(storage_limits(rig.s)->max_secure_erase >= MIB);
		assert_true(storage_limits(rig.s)->erase_alignment >= 512);
		put_secret(&rig, MIB);
		assert_true(file_holds(o.target, secret));
		assert_int_equal(rig_do(&rig, STORAGE_SECURE_ERASE, 0, MIB, MIB), 0);
		assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, MIB, buf, 4096), 0);
		assert_true(all_bytes_are(buf, 0, 4096));
		assert_false(file_holds(o.target, secret));
		rig_close(&rig);
		free(buf);
	}
	o.readonly = STORAGE_READONLY;
	assert_false(erase_is_offered(&o));
}

int main(void)
{
	const struct CMUnitTest in_a_guest[] = {
		cmocka_unit_test(a_device_that_can_erases),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(overwriting_writes_all_of_it_and_syncs),
		cmocka_unit_test(what_is_shared_is_not_erased),
		cmocka_unit_test(a_device_erases_and_is_flushed),
		cmocka_unit_test(nothing_is_offered_unless_asked_for_by_name),
		cmocka_unit_test(erased_is_zeroes_whatever_the_way),
		cmocka_unit_test(nothing_is_left_below_ext4),
		cmocka_unit_test(nothing_is_left_below_xfs),
		cmocka_unit_test(shared_blocks_are_refused_at_open_and_later),
		cmocka_unit_test(a_file_system_that_writes_elsewhere_is_refused),
		cmocka_unit_test(a_device_that_cannot_is_found_out_without_harm),
	};

	if (getenv("RINGSIDE_ERASE_DEVICE"))
		return cmocka_run_group_tests_name("storage/file_erase", in_a_guest, NULL, NULL);
	return cmocka_run_group_tests_name("storage/file_erase", tests, NULL, NULL);
}
