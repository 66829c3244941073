/* SPDX-License-Identifier: MIT */
/*
 * Images of a real Ceph cluster of one machine (tools/ceph-one): a random mix held against a copy,
 * an OSD that hangs, is killed and comes back, images that grow and shrink, owners, snapshots,
 * keys.  Skipped with the reason where Ceph is not installed.
 */
#include "storage/mix_test.h"
#include "storage/suite_test.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "storage/engine.h"
#include "storage/rbd.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define DISK MIX_DISK

struct place {
	char *dir, *conf, *keyring;
	bool there;
	const char *why; /* it is not there */
};

static int shell(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));
static int shell(const char *fmt, va_list ap)
{
	char command[2048];

	vsnprintf(command, sizeof(command), fmt, ap);
	return system(command);
}

static void run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void run(const char *fmt, ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = shell(fmt, ap);
	va_end(ap);
	if (rc)
		fail_msg("failed: %s", fmt);
}

/* The first line of what a command says. */
static void ask(char *line, size_t size, const char *command)
{
	FILE *f = popen(command, "r");

	assert_non_null(fgets(line, (int)size, f));
	line[strcspn(line, "\n")] = '\0';
	pclose(f);
}

static bool cluster_start(struct place *p, const char *store)
{
	const char *tools = getenv("RINGSIDE_TOOLS");
	char command[512];
	int rc;

	p->dir = scratch_make("/tmp");
	if (!tools || !p->dir || asprintf(&p->conf, "%s/c/ceph.conf", p->dir) < 0 ||
	    asprintf(&p->keyring, "%s/c/keyring", p->dir) < 0)
		return false;
	snprintf(command, sizeof(command), "%s/ceph-one start %s/c %s cephx >/dev/null", tools,
		 p->dir, store);
	rc = system(command);
	if (WIFEXITED(rc) && WEXITSTATUS(rc) == 77)
		return false;
	assert_int_equal(rc, 0);
	setenv("CEPH_CONF", p->conf, 1);
	return true;
}

static void cluster_end(struct place *p)
{
	if (p->there)
		run("%s/ceph-one stop %s/c", getenv("RINGSIDE_TOOLS"), p->dir);
	scratch_remove(p->dir);
	free(p->conf);
	free(p->keyring);
}

static int group_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

#ifdef BASE_TSAN
	p->why = "librados is not built with the thread sanitizer, which takes its locks for none";
#else
	p->there = cluster_start(p, "memstore");
	p->why = "the packages ceph-mon, ceph-osd and ceph-common are not installed";
#endif
	*state = p;
	return 0;
}

static int group_down(void **state)
{
	struct place *p = *state;

	cluster_end(p);
	free(p);
	return 0;
}

/* An image of that name, of DISK bytes. */
static void need_image(void **state, const char *name)
{
	struct place *p = *state;

	if (!p->there) {
		print_message("# skipped: %s\n", p->why);
		skip();
	}
	run("rbd create --size %u %s", (unsigned)(DISK / MIB), name);
}

static pid_t daemon_of(const struct place *p, const char *name)
{
	char path[256];
	FILE *f;
	int pid;

	snprintf(path, sizeof(path), "%s/c/%s.pid", p->dir, name);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &pid), 1);
	fclose(f);
	return pid;
}

static void open_well(struct rig *rig, const struct storage_options *o)
{
	struct error err = {""};

	if (rig_open(rig, o, true, &err))
		fail_msg("%s", err.text);
}

/* ---- data: what every engine goes through ---- */

static bool make_image(const struct suite_row *row, struct suite_place *p)
{
	static unsigned n;

	if (!getenv("CEPH_CONF")) {
		p->why = "there is no cluster";
		return false;
	}
	snprintf(p->target, sizeof(p->target), "rbd:rbd/%s-%u", row->name, n++);
	run("rbd create --size %u %s", (unsigned)(MODEL_DISK / MIB), p->target + strlen("rbd:"));
	return true;
}

/* The lock of who was killed is his until his watch has ended: one kill. */
static const struct suite_row rows[] = {
	{.name = "rbd", .make = make_image, .kills = 1, .o = {.target = ""}},
	{.name = NULL},
};

/* Longer than a piece and than an object, and more of them than there are pieces. */
static void long_requests_are_cut(void **state)
{
	struct storage_options o = {.target = "rbd:rbd/long"};
	struct waited w[64] = {0};
	struct iovec iov[64];
	uint8_t *mem, *back;
	struct rig rig;

	need_image(state, "rbd/long");
	mem = malloc(64 * DISK / 8);
	back = malloc(DISK);
	open_well(&rig, &o);
	for (uint64_t i = 0; i < DISK / 8; i++)
		((uint64_t *)mem)[i] = i * 0x9e3779b97f4a7c15u;
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, STORAGE_FUA, 0, mem, DISK), 0);
	/* Eight at once, of eight pieces each, eight times over. */
	for (unsigned i = 0; i < 64; i++) {
		iov[i] = (struct iovec){mem + i * (DISK / 8), DISK / 8};
		if (i < 8) {
			iov[i].iov_base = mem;
			iov[i].iov_len = DISK;
		}
		w[i].io = (struct storage_io){
			.op = STORAGE_READ, .len = iov[i].iov_len, .iov = &iov[i], .iovcnt = 1};
	}
	for (unsigned i = 8; i < 64; i++)
		rig_start(&rig, &w[i]);
	for (unsigned i = 8; i < 64; i++)
		assert_int_equal(rig_wait(&rig, &w[i]), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, back, DISK), 0);
	for (uint64_t i = 0; i < DISK / 8; i++)
		assert_int_equal(((uint64_t *)back)[i], i * 0x9e3779b97f4a7c15u);
	rig_close(&rig);
	free(mem);
	free(back);
}

/* A guest's memory that goes away spoils the request, and puts no zeroes into the image. */
static void memory_that_goes_is_an_error_of_the_request(void **state)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct storage_options o = {.target = "rbd:rbd/gone"};
	int fd = memfd_create("guest", MFD_CLOEXEC);
	uint8_t *far, back[4096];
	struct rig rig;

	need_image(state, "rbd/gone");
	open_well(&rig, &o);
	memset(back, 4, sizeof(back));
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, page, back, sizeof(back)), 0);
	assert_int_equal(ftruncate(fd, (off_t)page), 0);
	far = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(far, MAP_FAILED);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, far, 2 * page), -EFAULT);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, page, back, sizeof(back)), 0);
	assert_true(all_bytes_are(back, 4, sizeof(back)));
	rig_close(&rig);
	munmap(far, 2 * page);
	close(fd);
}

/* Discards and zeroes of any size are done, and not what is beside them. */
static void small_zeroes_are_exact(void **state)
{
	struct storage_options o = {.target = "rbd:rbd/zero"};
	uint8_t ones[8192], back[8192];
	struct rig rig;

	need_image(state, "rbd/zero");
	open_well(&rig, &o);
	memset(ones, 0xff, sizeof(ones));
	for (unsigned i = 0; i < 3; i++) {
		const enum storage_op op = i ? STORAGE_WRITE_ZEROES : STORAGE_DISCARD;

		assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, ones, 8192), 0);
		assert_int_equal(rig_do(&rig, op, i == 2 ? STORAGE_UNMAP : 0, 1024, 512), 0);
		assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, back, 8192), 0);
		assert_true(all_bytes_are(back, 0xff, 1024));
		assert_true(all_bytes_are(back + 1024, 0, 512));
		assert_true(all_bytes_are(back + 1536, 0xff, 8192 - 1536));
	}
	rig_close(&rig);
}

/* ---- a cluster that hangs or goes ---- */

static void an_osd_that_hangs_is_waited_for(void **state)
{
	struct storage_options o = {.target = "rbd:rbd/hang"};
	struct rig rig;
	struct mix m;
	pid_t osd;

	need_image(state, "rbd/hang");
	osd = daemon_of(*state, "osd");
	open_well(&rig, &o);
	mix_init(&m, &rig, 2);
	for (unsigned i = 0; i < 3; i++) {
		mix_run(&m, 200);
		assert_int_equal(kill(osd, SIGSTOP), 0);
		for (unsigned k = 0; k < MIX_IN_FLIGHT; k++)
			if (!m.slots[k].busy)
				mix_slot_start(&m, &m.slots[k]);
		/* Nobody is told a success that has not been. */
		usleep(50000);
		assert_int_equal(kill(osd, SIGCONT), 0);
	}
	mix_fini(&m);
	rig_close(&rig);
}

/* A disk is closed in bounded time whatever the cluster does. */
static void a_hung_cluster_does_not_hold_the_end(void **state)
{
	struct storage_options o = {.target = "rbd:rbd/end"};
	struct rig rig;
	pid_t osd;

	need_image(state, "rbd/end");
	osd = daemon_of(*state, "osd");
	open_well(&rig, &o);
	assert_int_equal(kill(osd, SIGSTOP), 0);
	rig_close(&rig);
	assert_int_equal(kill(osd, SIGCONT), 0);
	/* And what was left behind lets the image go when it can. */
	open_well(&rig, &o);
	rig_close(&rig);
}

/* What librbd has is waited for; what it has not been given yet is not, once the cluster is mute. */
static void a_drain_sends_nothing_more_to_a_hung_cluster(void **state)
{
	enum { N = RBD_PIECES + 32 };
	struct storage_options o = {.target = "rbd:rbd/drain"};
	static uint8_t block[4096];
	struct iovec iov[N];
	struct waited *w = calloc(N, sizeof(w[0]));
	struct rig rig;
	pid_t osd;

	need_image(state, "rbd/drain");
	osd = daemon_of(*state, "osd");
	open_well(&rig, &o);
	assert_int_equal(kill(osd, SIGSTOP), 0);
	for (unsigned i = 0; i < N; i++) {
		iov[i] = (struct iovec){block, sizeof(block)};
		w[i].io = (struct storage_io){.op = STORAGE_WRITE,
					      .offset = i * sizeof(block),
					      .len = sizeof(block),
					      .iov = &iov[i],
					      .iovcnt = 1};
		rig_start(&rig, &w[i]);
	}
	storage_drain(rig.ch, NULL);
	for (unsigned i = 0; i < 2; i++)
		assert_true(storage_refresh(rig.s) >= 0);
	for (unsigned i = RBD_PIECES; i < N; i++)
		assert_int_equal(rig_wait(&rig, &w[i]), -EIO);
	for (unsigned i = 0; i < RBD_PIECES; i++)
		assert_false(w[i].over);
	assert_int_equal(kill(osd, SIGCONT), 0);
	for (unsigned i = 0; i < RBD_PIECES; i++)
		assert_int_equal(rig_wait(&rig, &w[i]), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, block, sizeof(block)), 0);
	rig_close(&rig);
	free(w);
}

/* ---- sizes ---- */

static void wait_for_size(struct rig *rig, uint64_t size)
{
	for (unsigned i = 0; i < 3000 && storage_size(rig->s) != size; i++) {
		usleep(10000);
		assert_true(storage_refresh(rig->s) >= 0);
	}
	assert_int_equal(storage_size(rig->s), size);
}

static void an_image_that_grows_is_seen(void **state)
{
	struct storage_options o = {.target = "rbd:rbd/grow"};
	uint8_t block[512] = {3}, back[512];
	struct rig rig;

	need_image(state, "rbd/grow");
	open_well(&rig, &o);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, DISK, block, 512), -EINVAL);
	run("rbd resize --no-progress --size 16M rbd/grow");
	wait_for_size(&rig, 2 * DISK);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 2 * DISK - 512, block, 512), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 2 * DISK - 512, back, 512), 0);
	assert_memory_equal(block, back, 512);
	rig_close(&rig);
}

/* Before we look at the size: librbd cuts what goes across the end, and says that all is well. */
static void an_image_that_shrinks_takes_no_write_across_its_end(void **state)
{
	struct storage_options o = {.target = "rbd:rbd/shrink"};
	uint8_t *mem;
	struct rig rig;

	need_image(state, "rbd/shrink");
	mem = calloc(1, DISK);
	open_well(&rig, &o);
	run("rbd resize --no-progress --allow-shrink --size 4M rbd/shrink");
	assert_int_equal(storage_size(rig.s), DISK);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, DISK / 2 - 4096, mem, 8192), -EIO);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, DISK / 2 - 4096, mem, 8192), -EIO);
	assert_true(rig_rw(&rig, STORAGE_READ, 0, DISK / 2, mem, 8192) < 0);
	assert_true(rig_rw(&rig, STORAGE_WRITE, 0, DISK / 2, mem, 8192) < 0);
	assert_true(rig_do(&rig, STORAGE_WRITE_ZEROES, 0, DISK / 2, 8192) < 0);
	assert_true(rig_do(&rig, STORAGE_DISCARD, 0, DISK / 2 - 4096, 8192) < 0);
	wait_for_size(&rig, DISK / 2);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, mem, DISK / 2), 0);
	rig_close(&rig);
	free(mem);
}

/* ---- owners ---- */

static void an_image_has_one_writer(void **state)
{
	struct storage_set set;
	struct storage_options o = {.target = "rbd:rbd/own", .disk = "disk0", .set = &set};
	struct error err = {""};
	struct rig rig, other;

	need_image(state, "rbd/own");
	storage_set_init(&set);
	open_well(&rig, &o);
	/* By our own name for it, and by Ceph's where we have none. */
	assert_int_equal(rig_open(&other, &o, false, &err), -EBUSY);
	assert_non_null(strstr(err.text, "in use by disk0"));
	o.set = NULL;
	assert_int_equal(rig_open(&other, &o, false, &err), -EBUSY);
	if (!strstr(err.text, "in use by 127.0.0.1:"))
		fail_msg("%s", err.text);
	o.readonly = STORAGE_READONLY;
	open_well(&other, &o);
	rig_close(&other);
	rig_close(&rig);
	o.readonly = STORAGE_WRITABLE;
	open_well(&rig, &o);
	rig_close(&rig);
}

static void nothing(struct reactor_timer *t)
{
	(void)t;
}

/* One that is shut out by the cluster answers errors from then on, and a new one works. */
static void who_is_blocklisted_has_ended(void **state)
{
	struct storage_options o = {.target = "rbd:rbd/block"};
	uint8_t block[512] = {1};
	char watcher[128];
	struct iovec iov = {block, 512};
	struct waited w = {.io = {.op = STORAGE_WRITE, .len = 512, .iov = &iov, .iovcnt = 1}};
	struct reactor_timer look;
	struct rig rig;
	int rc = 0;

	need_image(state, "rbd/block");
	open_well(&rig, &o);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, block, 512), 0);
	reactor_timer_init(&look, nothing);
	ask(watcher, sizeof(watcher),
	    "rbd status rbd/block | sed -n 's/.*watcher=\\([^ ]*\\) .*/\\1/p'");
	run("ceph osd blocklist add %s >/dev/null 2>&1", watcher);
	/* librbd answers nothing any more where there is an object map: looks at the size find out. */
	for (unsigned i = 0; i < 3000 && rc != -ESHUTDOWN; i++) {
		rig_start(&rig, &w);
		while (!w.over) {
			reactor_timer_start(rig.r, &look, 20 * NSEC_PER_MSEC);
			reactor_turn(rig.r);
			storage_refresh(rig.s);
		}
		rc = w.err;
	}
	reactor_timer_stop(rig.r, &look);
	assert_int_equal(rc, -ESHUTDOWN);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, block, 512), -ESHUTDOWN);
	assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), -ESHUTDOWN);
	rig_close(&rig);
	open_well(&rig, &o);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, block, 512), 0);
	assert_int_equal(block[0], 1);
	rig_close(&rig);
}

static ssize_t cache_lost(rbd_completion_t completion)
{
	(void)completion;
	return -EIO;
}

/* As a cache answers one flush after it has dropped what it could not write, and succeeds then. */
static void a_flush_that_failed_is_the_last_one_that_is_believed(void **state)
{
	struct storage_options o = {.target = "rbd:rbd/lost"};
	uint8_t block[512] = {1};
	struct rbd_disk *d;
	struct rbd_lib lib;
	struct rig rig;

	need_image(state, "rbd/lost");
	for (unsigned fua = 0; fua < 2; fua++) {
		open_well(&rig, &o);
		d = rbd_disk_of(rig.s);
		d->through = false;
		lib = d->cluster->lib;
		assert_int_equal(rig_rw(&rig, STORAGE_WRITE, STORAGE_FUA, 0, block, 512), 0);
		assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), 0);
		assert_false(rig.s->ops->spoiled(rig.s));
		d->cluster->lib.rbd_aio_get_return_value = cache_lost;
		assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), -EIO);
		d->cluster->lib = lib;
		assert_true(rig.s->ops->spoiled(rig.s));
		assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, block, 512), 0);
		if (fua)
			assert_int_equal(rig_rw(&rig, STORAGE_WRITE, STORAGE_FUA, 0, block, 512),
					 -EIO);
		else
			assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), -EIO);
		assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, block, 512), 0);
		rig_close(&rig);
	}
}

static void one_connection_serves_all_disks_of_a_cluster(void **state)
{
	struct storage_set set;
	struct storage_options o = {.target = "rbd:rbd/one", .set = &set};
	struct rig a, b, c;

	need_image(state, "rbd/one");
	need_image(state, "rbd/two");
	storage_set_init(&set);
	open_well(&a, &o);
	o.target = "rbd:rbd/two";
	open_well(&b, &o);
	assert_ptr_equal(set.rbd_clusters.next, set.rbd_clusters.prev);
	/* Named in another way it is another one. */
	o.rbd_keyring = ((struct place *)*state)->keyring;
	o.readonly = STORAGE_READONLY;
	open_well(&c, &o);
	assert_ptr_not_equal(set.rbd_clusters.next, set.rbd_clusters.prev);
	rig_close(&a);
	rig_close(&c);
	rig_close(&b);
	assert_true(list_empty(&set.rbd_clusters));
}

/* ---- names, keys, snapshots ---- */

static void snapshots_are_read(void **state)
{
	struct storage_options o = {.target = "rbd:rbd/snap"};
	uint8_t block[512], back[512];
	struct error err = {""};
	struct rig rig;

	need_image(state, "rbd/snap");
	memset(block, 1, 512);
	open_well(&rig, &o);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, STORAGE_FUA, 0, block, 512), 0);
	run("rbd snap create --no-progress rbd/snap@s 2>/dev/null");
	memset(block, 2, 512);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, STORAGE_FUA, 0, block, 512), 0);
	rig_close(&rig);
	o.target = "rbd:rbd/snap@s";
	assert_int_equal(rig_open(&rig, &o, false, &err), -EROFS);
	assert_non_null(strstr(err.text, "readonly=on"));
	o.readonly = STORAGE_AUTO;
	open_well(&rig, &o);
	assert_true(storage_readonly(rig.s));
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, back, 512), 0);
	assert_true(all_bytes_are(back, 1, 512));
	/* One that is removed under us is an error, as soon as it is known. */
	run("rbd snap rm --no-progress rbd/snap@s");
	for (unsigned i = 0; i < 3000 && !rig_rw(&rig, STORAGE_READ, 0, 0, back, 512); i++)
		usleep(10000);
	assert_true(rig_rw(&rig, STORAGE_READ, 0, 0, back, 512) < 0);
	rig_close(&rig);
}

static void namespaces_and_keys(void **state)
{
	struct place *p = *state;
	char keyring[256];
	struct storage_options o = {.target = "rbd:rbd/img", .rbd_namespace = (char *)"space"};
	struct error err = {""};
	uint8_t block[512];
	struct rig rig;

	need_image(state, "rbd/outside");
	run("rbd namespace create rbd/space");
	run("rbd create --size 8 rbd/space/img");
	open_well(&rig, &o);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, block, 512), 0);
	rig_close(&rig);
	/* As Ceph's own programs write it. */
	o.rbd_namespace = NULL;
	o.target = "rbd:rbd/space/img";
	open_well(&rig, &o);
	rig_close(&rig);
	snprintf(keyring, sizeof(keyring), "%s/x.keyring", p->dir);
	run("ceph auth get-or-create client.x mon 'profile rbd' osd 'profile rbd pool=rbd "
	    "namespace=space' >%s 2>/dev/null",
	    keyring);
	o.rbd_name = (char *)"client.x";
	o.rbd_keyring = keyring;
	run("chmod 644 %s", keyring);
	assert_int_equal(rig_open(&rig, &o, false, &err), -EACCES);
	assert_non_null(strstr(err.text, "chmod 600"));
	run("chmod 600 %s", keyring);
	open_well(&rig, &o);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, block, 512), 0);
	rig_close(&rig);
	o.target = "rbd:rbd/outside";
	assert_int_equal(rig_open(&rig, &o, false, &err), -EPERM);
	assert_non_null(strstr(err.text, "profile rbd"));
}

static void what_is_not_there_is_a_sentence(void **state)
{
	static const struct {
		const char *target, *conf, *name;
		int rc;
		const char *says;
	} all[] = {
		{"rbd:", NULL, NULL, -EINVAL, "names no image"},
		{"rbd:rbd", NULL, NULL, -EINVAL, "names no image"},
		{"rbd:rbd/", NULL, NULL, -EINVAL, "names no image"},
		{"rbd:/a", NULL, NULL, -EINVAL, "names no image"},
		{"rbd:a/b/c/d", NULL, NULL, -EINVAL, "names no image"},
		{"rbd:rbd/a@", NULL, NULL, -EINVAL, "names no image"},
		{"rbd:rbd/nothing", NULL, NULL, -ENOENT, "rbd create --size 10G rbd/nothing"},
		{"rbd:nowhere/a", NULL, NULL, -ENOENT, "there is no pool \"nowhere\""},
		{"rbd:rbd/sentence@s", NULL, NULL, -EROFS, "readonly=on"},
		{"rbd:rbd/sentence", "/nowhere/ceph.conf", NULL, -ENOENT, "rbd.conf="},
		{"rbd:rbd/sentence", NULL, "admin", -EINVAL, "client.SOMETHING"},
		{"rbd:rbd/sentence", NULL, "client.nobody", -EACCES, "client.nobody"},
	};

	need_image(state, "rbd/sentence");
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
		struct storage_options o = {.target = all[i].target,
					    .rbd_conf = (char *)all[i].conf,
					    .rbd_name = (char *)all[i].name};
		struct error err = {""};
		struct rig rig;

		assert_int_equal(rig_open(&rig, &o, false, &err), all[i].rc);
		if (!strstr(err.text, all[i].says))
			fail_msg("%s: %s", all[i].target, err.text);
	}
}

/* ---- bluestore ---- */

/* Killed and started again: what was answered is there. */
static void an_osd_that_is_killed_keeps_what_was_answered(void **state)
{
	struct storage_options o = {.target = "rbd:rbd/kill"};
	struct place p = {0};
	struct rig rig;
	struct mix m;

	if (!((struct place *)*state)->there)
		skip();
	p.there = cluster_start(&p, "bluestore");
	assert_true(p.there);
	run("rbd create --size 8 rbd/kill");
	open_well(&rig, &o);
	mix_init(&m, &rig, 2);
	mix_run(&m, 200);
	kill(daemon_of(&p, "osd"), SIGKILL);
	for (unsigned k = 0; k < MIX_IN_FLIGHT; k++)
		if (!m.slots[k].busy)
			mix_slot_start(&m, &m.slots[k]);
	run("%s/ceph-one start %s/c bluestore cephx >/dev/null", getenv("RINGSIDE_TOOLS"), p.dir);
	mix_run(&m, 200);
	mix_fini(&m);
	rig_close(&rig);
	cluster_end(&p);
	setenv("CEPH_CONF", ((struct place *)*state)->conf, 1);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(long_requests_are_cut),
		cmocka_unit_test(memory_that_goes_is_an_error_of_the_request),
		cmocka_unit_test(small_zeroes_are_exact),
		cmocka_unit_test(an_osd_that_hangs_is_waited_for),
		cmocka_unit_test(a_hung_cluster_does_not_hold_the_end),
		cmocka_unit_test(a_drain_sends_nothing_more_to_a_hung_cluster),
		cmocka_unit_test(an_image_that_grows_is_seen),
		cmocka_unit_test(an_image_that_shrinks_takes_no_write_across_its_end),
		cmocka_unit_test(an_image_has_one_writer),
		cmocka_unit_test(who_is_blocklisted_has_ended),
		cmocka_unit_test(a_flush_that_failed_is_the_last_one_that_is_believed),
		cmocka_unit_test(one_connection_serves_all_disks_of_a_cluster),
		cmocka_unit_test(snapshots_are_read),
		cmocka_unit_test(namespaces_and_keys),
		cmocka_unit_test(what_is_not_there_is_a_sentence),
		cmocka_unit_test(an_osd_that_is_killed_keeps_what_was_answered),
	};

	suite_child(argc, argv, rows);
	cmocka_set_test_filter(getenv("TEST_ONLY"));
	return suite_run("storage/rbd", rows, tests, ARRAY_SIZE(tests), group_up, group_down);
}
