/* SPDX-License-Identifier: MIT */
/*
 * Every engine and every layer under the same suite (suite_test.h), one line each; what is missing
 * here is skipped with the reason.  Ceph's lines stand in rbd_test.c, where the cluster is; encrypted
 * images, whose keys take seconds to make, in format_test.c.
 */
#include "storage/suite_test.h"

#include "storage/loop_test.h"
#include "storage/nbd_rig_test.h"

static bool make_file(const struct suite_row *row, struct suite_place *p)
{
	(void)row;
	if (!scratch_has_room(p->dir, MODEL_DISK)) {
		p->why = "no room";
		return false;
	}
	free(image_make(p->dir, "disk", MODEL_DISK));
	return true;
}

/* @arg: the size of its blocks. */
static bool make_loop(const struct suite_row *row, struct suite_place *p)
{
	char path[256];
	struct loop loop;

	if (!make_file(row, p))
		return false;
	snprintf(path, sizeof(path), "%s/disk", p->dir);
	if (!loop_make(&loop, path, (uint32_t)atoi(row->arg))) {
		p->why = "no loop devices";
		return false;
	}
	p->fd = loop.fd;
	snprintf(p->target, sizeof(p->target), "%s", loop.path);
	return true;
}

static bool suite_have(struct suite_place *p, const char *program)
{
	if (have(program))
		return true;
	p->why = program;
	print_message("# %s is not installed\n", program);
	return false;
}

/* @arg: words of nbdkit's behind the socket. */
static bool make_nbdkit(const struct suite_row *row, struct suite_place *p)
{
	struct place nbd = {.dir = p->dir};
	char sock[256];

	if (!suite_have(p, "nbdkit") || !make_file(row, p))
		return false;
	snprintf(sock, sizeof(sock), "%s/s", p->dir);
	nbd.sock = sock;
	server_start(&nbd, "nbdkit -f -U %s file %s/disk %s", sock, p->dir, row->arg);
	p->server = nbd.server;
	return true;
}

/* @arg: words of qemu-nbd's. */
static bool make_qemu_nbd(const struct suite_row *row, struct suite_place *p)
{
	struct place nbd = {.dir = p->dir};
	char sock[256];

	if (!suite_have(p, "qemu-nbd") || !make_file(row, p))
		return false;
	snprintf(sock, sizeof(sock), "%s/s", p->dir);
	nbd.sock = sock;
	server_start(&nbd, "qemu-nbd -t -f raw --discard=unmap -k %s %s %s/disk", sock, row->arg,
		     p->dir);
	p->server = nbd.server;
	return true;
}

static char *images; /* a folder of those that were made */

/* @arg: words of qemu-img create. */
static bool make_image(const struct suite_row *row, struct suite_place *p)
{
	if (!suite_have(p, "qemu-nbd") || !suite_have(p, "qemu-img"))
		return false;
	run("cd %s; truncate -s %u zeroes; "
	    "test -e %s/%s || { qemu-img create -q %s disk %u && cp disk %s/%s; }; "
	    "cp %s/%s disk",
	    p->dir, (unsigned)MODEL_DISK, images, row->name, row->arg, (unsigned)MODEL_DISK, images,
	    row->name, images, row->name);
	return true;
}

/* Whoever was killed may have left clusters that nobody uses (3); 63: this format has no check. */
static void judge_image(const struct suite_row *row, const struct suite_place *p, bool killed)
{
	run("cd %s; qemu-img check -q -f %s disk >said 2>&1; s=$?; "
	    "[ $s = 0 ] || [ $s = 63 ] || [ %u = $s ] || { cat said; exit 1; }",
	    p->dir, row->name, killed ? 3 : 0);
}

#define FILE_ROW(title, ...)                                                             \
	{                                                                                \
		.name = title, .make = make_file, .parent = ".", .discard_zeroes = true, \
		.o = {.target = "%s/disk",                                               \
		      ##__VA_ARGS__ }                                                    \
	}
#define LOOP_ROW(title, block, ...)                                                           \
	{                                                                                     \
		.name = title, .make = make_loop, .arg = block, .rounds = 100, .parent = ".", \
		.o = {.target = "",                                                           \
		      ##__VA_ARGS__ }                                                         \
	}
/*
 * What a dead client had sent may be done after the next one has come: one kill.  And none with nbdkit:
 * version 1.32 aborts now and then when a client goes (raw_send_socket).
 */
#define NBD_ROW(title, how, words)                                    \
	{                                                             \
		.name = title, .make = how, .arg = words, .kills = 1, \
		.no_kills = how == make_nbdkit,                       \
		.o = {.target = "nbd+unix:///?socket=%s/s",           \
		      .nbd_reconnect = 30 }                           \
	}
#define FORMAT_ROW(title, kind, ...)                                                         \
	{                                                                                    \
		.name = title, .make = make_image, .judge = judge_image, .arg = "-f " title, \
		.rounds = 60, .forgets = true,                                               \
		.o = {.target = "%s/disk",                                                   \
		      .format = kind,                                                        \
		      ##__VA_ARGS__ }                                                        \
	}
#define LAYER_ROW(title, ...)                                             \
	{                                                                 \
		.name = title, .make = make_file, .discard_zeroes = true, \
		.o = {.target = "%s/disk",                                \
		      .layers = {__VA_ARGS__} }                           \
	}
#define BLOCKS "--filter=blocksize-policy blocksize-error-policy=error blocksize-preferred=65536 "

static char delays[] = "delay:op=any:percent=3:ms=1", web[] = "web";
static char log_path[] = "%s/log", overlay_path[] = "%s/overlay";

static const struct suite_row rows[] = {
	{.name = "memory",
	 .no_kills = true,
	 .discard_zeroes = true,
	 .o = {.target = "memory:4M", .erase = STORAGE_ERASE_OVERWRITE}},
	FILE_ROW("file"),
	FILE_ROW("file-threads", .threads = true, .erase = STORAGE_ERASE_OVERWRITE),
	{.name = "file-tmpfs",
	 .make = make_file,
	 .parent = "/dev/shm",
	 .discard_zeroes = true,
	 .o = {.target = "%s/disk"}},
	{.name = "file-tmpfs-threads",
	 .make = make_file,
	 .parent = "/dev/shm",
	 .discard_zeroes = true,
	 .o = {.target = "%s/disk", .threads = true}},
	FILE_ROW("file-direct", .direct = true),
	FILE_ROW("file-direct-threads", .direct = true, .threads = true,
		 .erase = STORAGE_ERASE_OVERWRITE),
	LOOP_ROW("device-512", "512"),
	LOOP_ROW("device-512-direct", "512", .direct = true, .erase = STORAGE_ERASE_OVERWRITE),
	LOOP_ROW("device-4096", "4096"),
	LOOP_ROW("device-4096-direct", "4096", .direct = true, .erase = STORAGE_ERASE_OVERWRITE),
	LOOP_ROW("device-4096-direct-threads", "4096", .direct = true, .threads = true),

	NBD_ROW("nbd-several-connections", make_nbdkit, ""),
	NBD_ROW("nbd-one-connection", make_nbdkit, "--filter=multi-conn multi-conn-mode=disable"),
	NBD_ROW("nbd-fewer-connections-than-channels", make_qemu_nbd, "-e 2"),
	/* Requests of more than the server takes are cut; FUA and zeroes are done without. */
	NBD_ROW("nbd-little-offered", make_nbdkit,
		BLOCKS "blocksize-minimum=512 blocksize-maximum=64K --filter=fua "
		       "--filter=nozero zeromode=none"),
	/* Blocks of the server that are larger than the guest's: read, changed, written. */
	NBD_ROW("nbd-4096", make_nbdkit, BLOCKS "blocksize-minimum=4096 blocksize-maximum=1M"),
	NBD_ROW("nbd-65536", make_nbdkit, BLOCKS "blocksize-minimum=65536 blocksize-maximum=1M"),

	FORMAT_ROW("qcow2", STORAGE_FORMAT_QCOW2),
	FORMAT_ROW("vmdk", STORAGE_FORMAT_VMDK),
	FORMAT_ROW("vdi", STORAGE_FORMAT_VDI),
	FORMAT_ROW("vhdx", STORAGE_FORMAT_VHDX),
	FORMAT_ROW("parallels", STORAGE_FORMAT_PARALLELS),
	{.name = "qcow2-on-a-base",
	 .make = make_image,
	 .arg = "-f qcow2 -b zeroes -F raw",
	 .rounds = 60,
	 .forgets = true,
	 .o = {.target = "%s/disk", .format = STORAGE_FORMAT_QCOW2}},

	LAYER_ROW("throttle", .throttle = {.iops = 200000, .group = web}),
	LAYER_ROW("throttle-that-is-not-felt", .throttle = {.iops = 1000000000}),
	LAYER_ROW("record", .record = log_path),
	LAYER_ROW("cow", .cow = overlay_path),
	{.name = "cow-direct",
	 .make = make_file,
	 .parent = ".",
	 .discard_zeroes = true,
	 .o = {.target = "%s/disk", .direct = true, .layers.cow = overlay_path}},
	{.name = "cow-on-qcow2",
	 .make = make_image,
	 .rounds = 60,
	 .discard_zeroes = true,
	 .arg = "-f qcow2",
	 .o = {.target = "%s/disk", .format = STORAGE_FORMAT_QCOW2, .layers.cow = overlay_path}},
	{.name = "errors",
	 .make = make_file,
	 .never_fails = true,
	 .discard_zeroes = true,
	 .o = {.target = "%s/disk",
	       .layers.errors = {.rerror = STORAGE_HOLD, .werror = STORAGE_HOLD}}},
	{.name = "faulty",
	 .make = make_file,
	 .has_faults = true,
	 .discard_zeroes = true,
	 .o = {.target = "%s/disk", .layers.faulty.rules = delays}},
	{.name = "all-layers-threads",
	 .make = make_file,
	 .has_faults = true,
	 .discard_zeroes = true,
	 .o = {.target = "%s/disk",
	       .threads = true,
	       .layers = {.faulty.rules = delays,
			  .throttle = {.iops = 100000000},
			  .errors = {.rerror = STORAGE_RETRY, .werror = STORAGE_HOLD}}}},
	{.name = "all-layers",
	 .make = make_file,
	 .has_faults = true,
	 .discard_zeroes = true,
	 .o = {.target = "%s/disk",
	       .layers = {.cow = overlay_path,
			  .faulty.rules = delays,
			  .record = log_path,
			  .throttle = {.iops = 100000000},
			  .errors = {.rerror = STORAGE_RETRY, .werror = STORAGE_HOLD}}}},
	{.name = NULL},
};

int main(int argc, char **argv)
{
	int rc;

	suite_child(argc, argv, rows);
	cmocka_set_test_filter(getenv("TEST_ONLY"));
	signal(SIGPIPE, SIG_IGN);
	images = scratch_make("/tmp");
	rc = suite_run("storage/suite", rows, NULL, 0, NULL, NULL);
	scratch_remove(images);
	return rc;
}
