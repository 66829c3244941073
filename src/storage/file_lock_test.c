/* SPDX-License-Identifier: MIT */
/* Two writers never share an image: we with ourselves, and with QEMU's tools where they are
 * installed. */
#include "storage/storage_test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static int open_image(const char *path, bool readonly, bool no_lock, struct storage **s,
		      struct error *err)
{
	struct storage_options o = {.target = path, .readonly = readonly, .no_lock = no_lock};

	return storage_open(&o, s, err);
}

static void h_01_two_writers(void **state)
{
	char *dir = scratch_make("."), *path = image_make(dir, "a.raw", 65536);
	struct error err = {""};
	struct storage *a, *b;

	(void)state;
	assert_int_equal(open_image(path, false, false, &a, &err), 0);
	assert_int_equal(open_image(path, false, false, &b, &err), -EBUSY);
	assert_non_null(strstr(err.text, "in use by another program or server"));
	assert_non_null(strstr(err.text, path));
	assert_non_null(strstr(err.text, "readonly=on"));
	assert_int_equal(open_image(path, false, true, &b, &err), 0);
	storage_close(&b);
	/* The refused one left no lock behind, nor did the unlocked one take ours away. */
	assert_int_equal(open_image(path, false, false, &b, &err), -EBUSY);
	storage_close(&a);
	assert_int_equal(open_image(path, false, false, &b, &err), 0);
	storage_close(&b);
	free(path);
	scratch_remove(dir);
}

static void h_01_readers_share_and_keep_writers_out(void **state)
{
	char *dir = scratch_make("."), *path = image_make(dir, "a.raw", 65536);
	struct error err = {""};
	struct storage *a, *b, *w;

	(void)state;
	assert_int_equal(open_image(path, true, false, &a, &err), 0);
	assert_int_equal(open_image(path, true, false, &b, &err), 0);
	assert_int_equal(open_image(path, false, false, &w, &err), -EBUSY);
	storage_close(&a);
	assert_int_equal(open_image(path, false, false, &w, &err), -EBUSY);
	storage_close(&b);
	assert_int_equal(open_image(path, false, false, &w, &err), 0);
	assert_int_equal(open_image(path, true, false, &b, &err), -EBUSY);
	assert_non_null(strstr(err.text, "being written by another program or server"));
	storage_close(&w);
	free(path);
	scratch_remove(dir);
}

/* A ring that registered the file may hold it open after us; the lock must not wait for that. */
static void the_lock_ends_with_the_close(void **state)
{
	char *dir = scratch_make("."), *path = image_make(dir, "a.raw", 65536);
	struct storage_options o = {.target = path};
	uint8_t buf[4096];

	(void)state;
	for (unsigned n = 0; n < 20; n++) {
		struct storage *again;
		struct error err = {""};
		struct rig rig;

		if (rig_open(&rig, &o, true, &err))
			skip();
		assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, buf, sizeof(buf)), 0);
		storage_channel_close(&rig.ch);
		storage_close(&rig.s);
		assert_int_equal(open_image(path, false, false, &again, &err), 0);
		storage_close(&again);
		reactor_destroy(&rig.r);
	}
	free(path);
	scratch_remove(dir);
}

#define QUIET " >/dev/null 2>&1 </dev/null"

static int run(const char *tool, const char *path)
{
	char *cmd = NULL;
	int rc;

	assert_true(asprintf(&cmd, "%s '%s'" QUIET, tool, path) > 0);
	rc = system(cmd);
	free(cmd);
	return rc;
}

static void need_qemu(void)
{
	if (system("command -v qemu-io" QUIET) || system("command -v qemu-img" QUIET))
		skip();
}

static void h_01_qemu_heeds_our_writer(void **state)
{
	char *dir, *path;
	struct storage *a;

	(void)state;
	need_qemu();
	dir = scratch_make(".");
	path = image_make(dir, "a.raw", 65536);
	assert_int_equal(run("qemu-io -f raw -c 'write 0 512'", path), 0);
	assert_int_equal(open_image(path, false, false, &a, NULL), 0);
	assert_int_not_equal(run("qemu-io -f raw -c 'write 0 512'", path), 0);
	/* Its tools read beside a writer, as they do beside QEMU. */
	assert_int_equal(run("qemu-img info -f raw", path), 0);
	storage_close(&a);
	assert_int_equal(run("qemu-io -f raw -c 'write 0 512'", path), 0);
	free(path);
	scratch_remove(dir);
}

static void h_01_qemu_shares_with_our_reader(void **state)
{
	char *dir, *path;
	struct storage *a;

	(void)state;
	need_qemu();
	dir = scratch_make(".");
	path = image_make(dir, "a.raw", 65536);
	assert_int_equal(open_image(path, true, false, &a, NULL), 0);
	assert_int_not_equal(run("qemu-io -f raw -c 'write 0 512'", path), 0);
	assert_int_equal(run("qemu-io -f raw -r -c 'read 0 512'", path), 0);
	assert_int_equal(run("qemu-img info -f raw", path), 0);
	storage_close(&a);
	free(path);
	scratch_remove(dir);
}

/* Until a machine, started just now, holds the image; asked without a lock of our own, which might
 * turn it away. */
static bool soon_held(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	bool held = false;

	assert_true(fd >= 0);
	for (unsigned n = 0; n < 500 && !held; n++) {
		struct flock unshared_write = {
			.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 201, .l_len = 1};

		usleep(20000);
		assert_int_equal(fcntl(fd, F_OFD_GETLK, &unshared_write), 0);
		held = unshared_write.l_type != F_UNLCK;
	}
	close(fd);
	return held;
}

/* Ends with this process, should a test fail before it is told to. */
static pid_t machine_start(const char *path, bool readonly)
{
	char *drive = NULL;
	pid_t pid;

	assert_true(asprintf(&drive, "file=%s,if=virtio,format=raw,readonly=%s", path,
			     readonly ? "on" : "off") > 0);
	pid = fork();
	if (!pid) {
		int null = open("/dev/null", O_RDWR);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execlp("qemu-system-x86_64", "qemu-system-x86_64", "-machine", "pc,accel=tcg", "-m",
		       "16", "-S", "-nodefaults", "-display", "none", "-drive", drive, NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	free(drive);
	return pid;
}

/* A virtual machine that is never started has its disk open all the same. */
static void hold_by_machine(bool readonly)
{
	struct storage *a;
	char *dir, *path;
	pid_t qemu;

	if (system("command -v qemu-system-x86_64" QUIET))
		skip();
	dir = scratch_make(".");
	path = image_make(dir, "a.raw", 65536);
	qemu = machine_start(path, readonly);
	assert_true(soon_held(path));
	assert_int_equal(open_image(path, false, false, &a, NULL), -EBUSY);
	assert_int_equal(open_image(path, true, false, &a, NULL), readonly ? 0 : -EBUSY);
	storage_close(&a);
	assert_int_equal(open_image(path, true, true, &a, NULL), 0);
	storage_close(&a);
	assert_int_equal(kill(qemu, SIGTERM), 0);
	assert_int_equal(waitpid(qemu, NULL, 0), qemu);
	assert_int_equal(open_image(path, false, false, &a, NULL), 0);
	storage_close(&a);
	free(path);
	scratch_remove(dir);
}

static void h_01_we_heed_a_qemu_that_writes(void **state)
{
	(void)state;
	hold_by_machine(false);
}

static void h_01_we_share_with_a_qemu_that_reads(void **state)
{
	(void)state;
	hold_by_machine(true);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(h_01_two_writers),
		cmocka_unit_test(h_01_readers_share_and_keep_writers_out),
		cmocka_unit_test(the_lock_ends_with_the_close),
		cmocka_unit_test(h_01_qemu_heeds_our_writer),
		cmocka_unit_test(h_01_qemu_shares_with_our_reader),
		cmocka_unit_test(h_01_we_heed_a_qemu_that_writes),
		cmocka_unit_test(h_01_we_share_with_a_qemu_that_reads),
	};

	return cmocka_run_group_tests_name("storage/file_lock", tests, NULL, NULL);
}
