/* SPDX-License-Identifier: MIT */
/*
 * A disk in a file when the host says no: full file systems, limits, odd devices, more than fits at
 * once, several channels.
 */
#include "storage/file.h"
#include "storage/loop_test.h"
#include "storage/place_test.h"

#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* ---- the file system says no ---- */

static void done_never(struct storage_io *io, int err)
{
	(void)io;
	(void)err;
}

/* A writer that is going to be killed with writes in flight. */
static void write_until_killed(const char *path, int ready)
{
	static struct storage_io ios[64];
	static struct iovec iov[64];
	static uint8_t buf[256 * 1024];
	struct storage_options o = {.target = path};
	struct rig rig;

	if (!rig_open(&rig, &o, true, NULL)) {
		for (size_t i = 0; i < ARRAY_SIZE(ios); i++) {
			iov[i] = (struct iovec){buf, sizeof(buf)};
			ios[i] = (struct storage_io){.op = STORAGE_WRITE,
						     .flags = STORAGE_FUA,
						     .offset = i * sizeof(buf),
						     .len = sizeof(buf),
						     .iov = &iov[i],
						     .iovcnt = 1,
						     .done = done_never};
			storage_submit(rig.ch, &ios[i]);
		}
		reactor_submit(rig.r);
	}
	if (write(ready, "", 1) == 1)
		pause();
	_exit(0);
}

static void a_killed_server_starts_anew(void **state)
{
	struct place p = place_make(".", 16 * MIB);
	struct storage_options o = {.target = p.path};
	struct error err = {""};
	struct storage *s;
	int ready[2];
	char c;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid)
		write_until_killed(p.path, ready[1]);
	assert_true(pid > 0);
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	if (storage_open(&o, &s, &err))
		fail_msg("%s", err.text);
	storage_close(&s);
	close(ready[0]);
	close(ready[1]);
	place_remove(&p);
}

static void h_03_file_system_full(void **state)
{
	struct place p;
	char *dir = scratch_make("."), *fs = NULL;
	uint8_t *buf = aligned_alloc(4096, 4 * MIB);

	(void)state;
	assert_non_null(buf);
	memset(buf, 5, 4 * MIB);
	assert_true(asprintf(&fs, "%s/fs", dir) > 0);
	assert_int_equal(mkdir(fs, 0755), 0);
	if (!own_mounts() || mount("tmpfs", fs, "tmpfs", 0, "size=1m")) {
		free(buf);
		free(fs);
		scratch_remove(dir);
		skip();
	}
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct rig rig;

		p = place_make(fs, 4 * MIB);
		if (open_way(&rig, &p, &ways[i])) {
			assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, buf, 512 * KIB), 0);
			assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, buf, 4 * MIB), -ENOSPC);
			assert_int_equal(rig_do(&rig, STORAGE_WRITE_ZEROES, 0, 0, 4 * MIB),
					 -ENOSPC);
			assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, buf, 4096), 0);
			/* Space given back is space again. */
			assert_int_equal(rig_do(&rig, STORAGE_DISCARD, 0, 0, 4 * MIB), 0);
			memset(buf, 6, 4096);
			assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, MIB, buf, 4096), 0);
			assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, MIB, buf, 4096), 0);
			assert_true(all_bytes_are(buf, 6, 4096));
			rig_close(&rig);
		}
		place_remove(&p);
	}
	assert_int_equal(umount(fs), 0);
	free(buf);
	free(fs);
	scratch_remove(dir);
}

static void h_02_file_size_limit(void **state)
{
	struct place p = place_make(".", 4 * MIB);
	uint8_t *buf = calloc(1, MIB);
	struct rlimit old, small;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 2 * MIB;
	for (size_t i = 0; i < 3; i++) {
		struct rig rig;

		if (!open_way(&rig, &p, &ways[i]))
			continue;
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
		assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 3 * MIB, buf, 4096), -EFBIG);
		/* Half of it fits, half does not: still an error. */
		assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 2 * MIB - 4096, buf, 8192), -EFBIG);
		assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, MIB, buf, 4096), 0);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
		assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 3 * MIB, buf, 4096), 0);
		rig_close(&rig);
	}
	signal(SIGXFSZ, SIG_DFL);
	free(buf);
	place_remove(&p);
}

static void h_02_bad_memory_is_an_error(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct place p = place_make(".", 65536);
		struct rig rig;

		if (open_way(&rig, &p, &ways[i])) {
			assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, (void *)4096, 4096),
					 -EFAULT);
			assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, (void *)4096, 4096),
					 -EFAULT);
			rig_close(&rig);
		}
		place_remove(&p);
	}
}

/* Memory that goes away is an error, and what was on the disk stays there: no zeroes come instead. */
static void nothing_is_written_for_memory_that_is_not_there(void **state)
{
	const long page = sysconf(_SC_PAGESIZE);
	uint8_t *mem = mmap(NULL, (size_t)(2 * page), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
		*all = aligned_alloc(4096, 65536);

	(void)state;
	assert_true(mem != MAP_FAILED);
	assert_int_equal(mprotect(mem + page, (size_t)page, PROT_NONE), 0);
	memset(all, 0x11, 65536);
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct place p = place_make(".", 65536);
		struct rig rig;

		if (open_way(&rig, &p, &ways[i])) {
			assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, all, 65536), 0);
			/* Off every raster, so that it goes by a buffer; the second half is not there. */
			assert_int_equal(
				rig_rw(&rig, STORAGE_WRITE, 0, 4096, mem + page - 4095, 8192),
				-EFAULT);
			assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 512, mem + page + 1, 1024),
					 -EFAULT);
			assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, all, 65536), 0);
			/* Through the page cache a part may have been written before it was missed. */
			if (ways[i].direct)
				assert_true(all_bytes_are(all, 0x11, 65536));
			assert_true(all_bytes_are(all + 8192, 0x11, 65536 - 8192));
			memset(all, 0x11, 65536);
			rig_close(&rig);
		}
		place_remove(&p);
	}
	free(all);
	munmap(mem, (size_t)(2 * page));
}

/* ---- block devices ---- */

static void a_block_device_tells_its_blocks(void **state)
{
	static const uint32_t sizes[] = {512, 4096};
	struct place p = place_make(".", 4 * MIB);
	struct loop loop;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		const struct storage_limits *l;
		struct storage_options o = {.target = loop.path};
		struct error err = {""};
		struct storage *s, *second;

		place_truncate(&p, 4 * MIB);
		if (!loop_make(&loop, p.path, sizes[i])) {
			place_remove(&p);
			skip();
		}
		assert_int_equal(storage_open(&o, &s, &err), 0);
		l = storage_limits(s);
		assert_true(storage_size(s) == 4 * MIB);
		/* Not the device's: a guest's partitions must not depend on it. */
		assert_int_equal(l->block_size, 512);
		assert_int_equal(l->physical_block_size, 4096);
		assert_true(l->max_discard > 0 && l->write_zeroes_unmaps);
		assert_true(is_pow2(l->discard_alignment) && l->discard_alignment >= sizes[i]);
		assert_int_equal(storage_open(&o, &second, &err), -EBUSY);
		assert_non_null(strstr(err.text, "in use"));

		place_truncate(&p, 8 * MIB);
		assert_int_equal(ioctl(loop.fd, LOOP_SET_CAPACITY), 0);
		assert_int_equal(storage_refresh(s), 1);
		assert_true(storage_size(s) == 8 * MIB);
		storage_close(&s);
		loop_remove(&loop);
	}
	place_remove(&p);
}

/* A file system on blocks of 4096: O_DIRECT takes nothing finer, the guest may send it all the
 * same. */
static void h_01_size_off_the_block_of_o_direct(void **state)
{
	struct place p = place_make(".", 16 * MIB);
	char *cmd = NULL, *fs = NULL, *image = NULL;
	uint8_t buf[8192] __attribute__((aligned(4096)));
	struct loop loop;
	struct rig rig;

	(void)state;
	assert_true(asprintf(&fs, "%s/fs", p.dir) > 0);
	assert_int_equal(mkdir(fs, 0755), 0);
	if (!loop_make(&loop, p.path, 4096))
		goto no_loop;
	assert_true(asprintf(&cmd, "mke2fs -q -b 4096 %s >/dev/null 2>&1", loop.path) > 0);
	if (system(cmd) || !own_mounts() || mount(loop.path, fs, "ext4", 0, NULL))
		goto no_mount;
	/* What is mounted is nobody's disk. */
	refused(&(struct storage_options){.target = loop.path}, -EBUSY, "mounted");
	image = image_make(fs, "a.raw", 8192 + 512);
	refused(&(struct storage_options){.target = image, .direct = true}, -EINVAL,
		"no multiple of 4096");
	assert_int_equal(truncate(image, 8192), 0);
	assert_int_equal(rig_open(&rig, &(struct storage_options){.target = image, .direct = true},
				  true, NULL),
			 0);
	assert_int_equal(storage_limits(rig.s)->block_size, 512);
	for (unsigned n = 0; n < 16; n++) {
		memset(buf, (int)n + 1, 512);
		assert_int_equal(
			rig_rw(&rig, STORAGE_WRITE, n % 2 ? STORAGE_FUA : 0, n * 512, buf, 512), 0);
	}
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, buf, 8192), 0);
	for (unsigned n = 0; n < 16; n++)
		assert_true(all_bytes_are(buf + n * 512, (uint8_t)(n + 1), 512));
	rig_close(&rig);
	assert_int_equal(umount(fs), 0);
	loop_remove(&loop);
	free(image);
	free(cmd);
	free(fs);
	place_remove(&p);
	return;
no_mount:
	loop_remove(&loop);
no_loop:
	free(cmd);
	free(fs);
	place_remove(&p);
	skip();
}

static void h_02_eagain_is_tried_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct place p = place_make(".", 65536);
		uint8_t *buf = aligned_alloc(4096, 3 * 4096);
		struct rig rig;

		assert_non_null(buf);
		memset(buf, 1, 3 * 4096);
		if (open_way(&rig, &p, &ways[i])) {
			struct file_channel *ch = container_of(rig.ch, struct file_channel, base);
			struct waited w[3];
			struct iovec iov[3];

			/* As if the kernel had just said so. */
			for (unsigned k = 0; k < ARRAY_SIZE(w); k++) {
				iov[k] = (struct iovec){buf + k * 4096, 4096};
				w[k] = (struct waited){.io = {.op = STORAGE_READ,
							      .offset = k * 4096,
							      .len = 4096,
							      .iov = &iov[k],
							      .iovcnt = 1,
							      .done = waited_done,
							      .channel = rig.ch}};
				assert_false(file_io_begin(ch->file, &w[k].io));
				file_channel_outcome(ch, &w[k].io, k == 1 ? -EINTR : -EAGAIN);
				assert_false(w[k].over);
			}
			for (unsigned k = 0; k < ARRAY_SIZE(w); k++)
				assert_int_equal(rig_wait(&rig, &w[k]), 0);
			assert_true(all_bytes_are(buf, 0, 3 * 4096));
			rig_close(&rig);
		}
		free(buf);
		place_remove(&p);
	}
}

/* ---- many at once, and in many pieces ---- */

enum { CROWD = 300 };

static void crowd(const struct way *w, uint64_t len, unsigned odd, unsigned entries)
{
	struct place p = place_make(".", CROWD * len);
	struct storage_options o = {.target = p.path, .threads = w->threads, .direct = w->direct};
	struct reactor_config c = {.uring = w->uring, .entries = entries};
	struct waited *ws = calloc(CROWD, sizeof(*ws));
	struct iovec *iov = calloc(CROWD, sizeof(*iov));
	uint8_t *mem = aligned_alloc(4096, CROWD * len + 4096);
	struct rig rig = {0};

	assert_true(ws && iov && mem);
	if (storage_open(&o, &rig.s, NULL) || reactor_create(&rig.r, &c, NULL))
		goto out;
	assert_int_equal(storage_channel_open(rig.s, rig.r, &rig.ch, NULL), 0);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < CROWD; i++) {
			iov[i] = (struct iovec){mem + i * len + odd, len};
			ws[i].io = (struct storage_io){.op = round ? STORAGE_READ : STORAGE_WRITE,
						       .offset = i * len,
						       .len = len,
						       .iov = &iov[i],
						       .iovcnt = 1};
			memset(iov[i].iov_base, round ? 0 : (int)(1 + i % 250), len);
		}
		for (unsigned i = 0; i < CROWD; i++)
			rig_start(&rig, &ws[i]);
		for (unsigned i = 0; i < CROWD; i++)
			assert_int_equal(rig_wait(&rig, &ws[i]), 0);
	}
	for (unsigned i = 0; i < CROWD; i++)
		assert_true(all_bytes_are(mem + i * len + odd, (uint8_t)(1 + i % 250), len));
	storage_channel_close(&rig.ch);
out:
	if (rig.r)
		reactor_destroy(&rig.r);
	storage_close(&rig.s);
	free(mem);
	free(iov);
	free(ws);
	place_remove(&p);
}

static void b_12_more_requests_than_the_ring_holds(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		crowd(&ways[i], 4096, 0, 4);
}

static void b_12_more_bounces_than_buffers(void **state)
{
	(void)state;
	crowd(&ways[3], 4096, 1, 0);
	crowd(&ways[4], 4096, 1, 0);
	crowd(&ways[3], 144 * KIB, 3, 0);
}

static void b_11_thousands_of_pieces(void **state)
{
	enum { PIECES = 3000 };

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(ways); k++) {
		struct place p = place_make(".", PIECES * 512);
		uint8_t *mem = aligned_alloc(4096, PIECES * 1024);
		struct iovec *iov = calloc(PIECES, sizeof(*iov));
		struct rig rig;

		assert_true(mem && iov);
		if (open_way(&rig, &p, &ways[k])) {
			for (unsigned round = 0; round < 2; round++) {
				struct waited w = {
					.io = {.op = round ? STORAGE_READ : STORAGE_WRITE,
					       .len = PIECES * 512,
					       .iov = iov,
					       .iovcnt = PIECES}};

				for (size_t i = 0; i < PIECES; i++) {
					iov[i] = (struct iovec){mem + i * 1024, 512};
					memset(iov[i].iov_base, round ? 0 : (int)(i % 251), 512);
				}
				rig_start(&rig, &w);
				assert_int_equal(rig_wait(&rig, &w), 0);
			}
			for (size_t i = 0; i < PIECES; i++)
				assert_true(all_bytes_are(mem + i * 1024, (uint8_t)(i % 251), 512));
			rig_close(&rig);
		}
		free(iov);
		free(mem);
		place_remove(&p);
	}
}

/* ---- several channels ---- */

static void channels_of_one_ring_do_not_disturb_each_other(void **state)
{
	struct place p = place_make(".", 65536), q = place_make(".", 65536);
	struct storage_channel *second = NULL;
	struct storage_options o = {.target = q.path};
	struct rig rig, other = {0};
	uint8_t buf[512] = {1};

	(void)state;
	if (!open_way(&rig, &p, &ways[0])) {
		place_remove(&p);
		place_remove(&q);
		skip();
	}
	/* Another disk, and the same disk once more. */
	other.r = rig.r;
	assert_int_equal(storage_open(&o, &other.s, NULL), 0);
	assert_int_equal(storage_channel_open(other.s, rig.r, &other.ch, NULL), 0);
	assert_int_equal(storage_channel_open(rig.s, rig.r, &second, NULL), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, buf, 512), 0);
	buf[0] = 2;
	assert_int_equal(rig_rw(&other, STORAGE_WRITE, 0, 0, buf, 512), 0);
	storage_channel_close(&second);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, buf, 512), 0);
	assert_int_equal(buf[0], 1);
	assert_int_equal(rig_rw(&other, STORAGE_READ, 0, 0, buf, 512), 0);
	assert_int_equal(buf[0], 2);
	storage_channel_close(&other.ch);
	storage_close(&other.s);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, buf, 512), 0);
	assert_int_equal(buf[0], 1);
	rig_close(&rig);
	place_remove(&p);
	place_remove(&q);
}

static void h_04_no_room_in_the_table_of_files(void **state)
{
	struct place p = place_make(".", 65536);
	struct storage_options o = {.target = p.path};
	struct reactor_config c = {.uring = true};
	uint8_t buf[512] = {1};
	struct rig rig = {0};

	(void)state;
	if (reactor_create(&rig.r, &c, NULL)) {
		place_remove(&p);
		skip();
	}
	assert_int_equal(io_uring_register_files_sparse(reactor_uring(rig.r), 1), 0);
	assert_int_equal(storage_open(&o, &rig.s, NULL), 0);
	assert_int_equal(storage_channel_open(rig.s, rig.r, &rig.ch, NULL), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, buf, 512), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, buf, 512), 0);
	assert_int_equal(buf[0], 1);
	rig_close(&rig);
	place_remove(&p);
}

struct hand {
	pthread_t thread;
	struct storage *s;
	bool uring;
	unsigned index;
	unsigned failures;
};

/* A worker with its own reactor and its own part of the disk. */
static void *hand_works(void *arg)
{
	struct hand *h = arg;
	struct reactor_config c = {.uring = h->uring};
	struct rig rig = {.s = h->s};
	uint8_t buf[4096];

	if (reactor_create(&rig.r, &c, NULL)) {
		c.uring = false;
		if (reactor_create(&rig.r, &c, NULL))
			return NULL;
	}
	if (!storage_channel_open(h->s, rig.r, &rig.ch, NULL)) {
		for (unsigned n = 0; n < 200; n++) {
			uint64_t at = h->index * MIB + n % 64 * 4096;
			bool ok;

			memset(buf, (int)(n + h->index), sizeof(buf));
			ok = !rig_rw(&rig, STORAGE_WRITE, 0, at, buf, sizeof(buf)) &&
			     !rig_rw(&rig, STORAGE_READ, 0, at, buf, sizeof(buf)) &&
			     all_bytes_are(buf, (uint8_t)(n + h->index), sizeof(buf));
			if (n % 50 == 0)
				ok &= !rig_do(&rig, STORAGE_WRITE_ZEROES, STORAGE_UNMAP, at,
					      4096) &&
				      !rig_do(&rig, STORAGE_FLUSH, 0, 0, 0);
			h->failures += !ok;
		}
		storage_channel_close(&rig.ch);
	}
	reactor_destroy(&rig.r);
	return NULL;
}

static void workers_share_a_disk(void **state)
{
	struct place p = place_with_room("/dev/shm", 4 * MIB);
	struct storage_options o = {.target = p.path};
	struct hand hands[4];
	struct storage *s;

	(void)state;
	assert_int_equal(storage_open(&o, &s, NULL), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(hands); i++) {
		hands[i] = (struct hand){.s = s, .uring = i % 2, .index = i};
		assert_int_equal(pthread_create(&hands[i].thread, NULL, hand_works, &hands[i]), 0);
	}
	for (unsigned n = 0; n < 20; n++) {
		assert_true(storage_size(s) == 4 * MIB);
		assert_int_equal(storage_refresh(s), 0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(hands); i++) {
		pthread_join(hands[i].thread, NULL);
		assert_int_equal(hands[i].failures, 0);
	}
	storage_close(&s);
	place_remove(&p);
}

/* ---- outcomes of other threads ---- */

/* A step that ends between the message's delivery and the look at what has ended. */
static struct storage_io *late;
static void (*take)(struct reactor_msg *msg);

static void one_more_ends(struct reactor_msg *msg)
{
	file_channel_finished(late);
	take(msg);
}

static void note_done(struct storage_io *io, int err)
{
	assert_int_equal(err, 0);
	*(bool *)io->iov->iov_base = true;
}

static void no_message_outlives_the_last_request(void **state)
{
	struct place p = place_make(".", MIB);
	struct storage_options o = {.target = p.path};
	bool ended[2] = {false};
	struct iovec iov[2] = {{&ended[0], 1}, {&ended[1], 1}};
	struct storage_io ios[2];
	struct file_channel *ch;
	struct rig rig;

	(void)state;
	assert_int_equal(rig_open(&rig, &o, false, NULL), 0);
	ch = container_of(rig.ch, struct file_channel, base);
	for (unsigned i = 0; i < 2; i++)
		ios[i] = (struct storage_io){
			.op = STORAGE_FLUSH, .iov = &iov[i], .channel = rig.ch, .done = note_done};
	late = &ios[1];
	take = ch->msg.run;
	ch->msg.run = one_more_ends;
	file_channel_finished(&ios[0]);
	reactor_turn(rig.r);
	assert_true(ended[0] && ended[1]);
	/* Nothing is in flight, so the channel may be closed and freed now. */
	assert_false(ch->msg.queued);
	ch->msg.run = take;
	rig_close(&rig);
	place_remove(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_killed_server_starts_anew),
		cmocka_unit_test(h_03_file_system_full),
		cmocka_unit_test(h_02_file_size_limit),
		cmocka_unit_test(h_02_bad_memory_is_an_error),
		cmocka_unit_test(nothing_is_written_for_memory_that_is_not_there),
		cmocka_unit_test(h_02_eagain_is_tried_again),
		cmocka_unit_test(a_block_device_tells_its_blocks),
		cmocka_unit_test(h_01_size_off_the_block_of_o_direct),
		cmocka_unit_test(b_12_more_requests_than_the_ring_holds),
		cmocka_unit_test(b_12_more_bounces_than_buffers),
		cmocka_unit_test(b_11_thousands_of_pieces),
		cmocka_unit_test(channels_of_one_ring_do_not_disturb_each_other),
		cmocka_unit_test(h_04_no_room_in_the_table_of_files),
		cmocka_unit_test(workers_share_a_disk),
		cmocka_unit_test(no_message_outlives_the_last_request),
	};

	return cmocka_run_group_tests_name("storage/file_fault", tests, NULL, NULL);
}
