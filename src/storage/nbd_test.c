/* SPDX-License-Identifier: MIT */
/*
 * Disks behind real NBD servers, nbdkit and qemu-nbd: a random mix held against a copy in memory, and
 * what a server can and cannot.
 * What is missing of the programs is skipped with the reason.
 */
#include "storage/nbd_proxy_test.h"

#include <errno.h>
#include <sys/mman.h>

/* Zeroes of less than a block of the server's are not to be had. */
static void coarse_servers_offer_no_zeroes(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);
	struct rig rig;

	need("nbdkit");
	server_start(p,
		     "nbdkit -f -U %s --filter=blocksize-policy memory 8M blocksize-minimum=4096 "
		     "blocksize-preferred=4096 blocksize-maximum=1M blocksize-error-policy=error",
		     p->sock);
	assert_int_equal(rig_open(&rig, &o, false, NULL), 0);
	assert_int_equal(storage_limits(rig.s)->max_write_zeroes, 0);
	rig_close(&rig);
	o.geometry.block_size = 4096;
	assert_int_equal(rig_open(&rig, &o, false, NULL), 0);
	assert_true(storage_limits(rig.s)->max_write_zeroes > 0);
	assert_int_equal(rig_do(&rig, STORAGE_WRITE_ZEROES, 0, 4096, 8192), 0);
	rig_close(&rig);
}

/* Edits of one block at once: each keeps what the others wrote, also over a loss. */
static void edits_of_one_block_lose_nothing(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);
	uint8_t mem[8][512], back[4096];
	struct iovec iov[8];
	struct rig rig;

	need("nbdkit");
	free(image_make(p->dir, "image", DISK));
	for (unsigned round = 0; round < 20; round++) {
		struct waited w[8] = {0};

#define COARSE                                                                      \
	"nbdkit -f -U %s --filter=blocksize-policy file %s blocksize-minimum=4096 " \
	"blocksize-preferred=4096 blocksize-maximum=1M blocksize-error-policy=error"
		if (!round) {
			server_start(p, COARSE, p->sock, p->image);
			assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
		}
		if (round % 5 == 4) {
			kill(p->server, SIGSTOP);
			waitpid(p->server, NULL, WUNTRACED);
		}
		for (unsigned i = 0; i < 8; i++) {
			memset(mem[i], (int)(round * 8 + i), 512);
			iov[i] = (struct iovec){mem[i], 512};
			w[i].io = (struct storage_io){.op = STORAGE_WRITE,
						      .offset = 8192 + i * 512,
						      .len = 512,
						      .iov = &iov[i],
						      .iovcnt = 1};
			rig_start(&rig, &w[i]);
		}
		if (round % 5 == 4) {
			server_end(p);
			server_start(p, COARSE, p->sock, p->image);
		}
		for (unsigned i = 0; i < 8; i++)
			assert_int_equal(rig_wait(&rig, &w[i]), 0);
		assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 8192, back, 4096), 0);
		for (unsigned i = 0; i < 8; i++)
			assert_memory_equal(back + i * 512, mem[i], 512);
	}
	rig_close(&rig);
}

static void read_only_servers_are_said(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);
	struct error err = {""};
	uint8_t block[512];
	struct rig rig;

	need("nbdkit");
	server_start(p, "nbdkit -f -r -U %s memory 8M", p->sock);
	assert_int_equal(rig_open(&rig, &o, false, &err), -EROFS);
	assert_non_null(strstr(err.text, "readonly=on"));
	o.readonly = STORAGE_AUTO;
	assert_int_equal(rig_open(&rig, &o, false, &err), 0);
	assert_true(storage_readonly(rig.s));
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, block, 512), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, block, 512), -EROFS);
	rig_close(&rig);
}

static void nobody_there_is_a_sentence(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);
	struct error err = {""};
	struct rig rig;

	assert_int_equal(rig_open(&rig, &o, false, &err), -ECONNREFUSED);
	assert_non_null(strstr(err.text, "cannot reach nbd+unix:"));
	o.target = "nbd+unix:///?socket=";
	assert_true(rig_open(&rig, &o, false, &err) < 0);
}

/* A guest's memory that goes away spoils the requests that use it, and nothing else. */
static void memory_that_goes_is_an_error_of_the_request(void **state)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int fd = memfd_create("guest", MFD_CLOEXEC);
	struct place *p = *state;
	struct storage_options o = options(p);
	uint8_t *far, block[512] = {5};
	struct proxy x;
	struct rig rig;

	need("nbdkit");
	server_start(p, "nbdkit -f -U %s memory 8M", p->sock);
	proxy_start(&x, p);
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	assert_int_equal(ftruncate(fd, (off_t)(2 * page)), 0);
	far = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(far, MAP_FAILED);
	assert_int_equal(ftruncate(fd, (off_t)page), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, far, 2 * page), -EFAULT);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, far, 2 * page), -EFAULT);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, far, page), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, block, 512), 0);
	assert_true(all_bytes_are(block, 0, 512));
	assert_int_equal(load_acquire(&x.accepted), 1);
	munmap(far, 2 * page);
	close(fd);
	rig_close(&rig);
	proxy_end(&x);
}

/* The server's own errors are the request's, and each is told once. */
static void errors_of_the_server_are_told(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);
	uint8_t *mem;
	struct rig rig;

	need("nbdkit");
	mem = calloc(1, MIB);
	server_start(
		p,
		"nbdkit -f -U %s --filter=error --filter=delay memory 8M error-pread=EIO "
		"error-pread-rate=100%% error-pwrite=ENOSPC error-pwrite-rate=100%% wdelay=10ms",
		p->sock);
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, mem, MIB), -EIO);
		assert_int_equal(rig_rw(&rig, STORAGE_WRITE, STORAGE_FUA, 0, mem, MIB), -ENOSPC);
		assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), 0);
	}
	rig_close(&rig);
	free(mem);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(coarse_servers_offer_no_zeroes),
		T(edits_of_one_block_lose_nothing),
		T(read_only_servers_are_said),
		T(nobody_there_is_a_sentence),
		T(memory_that_goes_is_an_error_of_the_request),
		T(errors_of_the_server_are_told),
	};

	cmocka_set_test_filter(getenv("TEST_ONLY"));
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("storage/nbd", tests, NULL, NULL);
}
