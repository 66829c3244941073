/* SPDX-License-Identifier: MIT */
/* Copies to and from memory that may have gone: both ways of copying, every cut, holes. */
#include "test.h"

#include "mem/far_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BYTES 20000u
#define CUTS  150

static void by_pipe(struct far_copy *c)
{
	assert_int_equal(pipe2(c->pipe, O_CLOEXEC | O_NONBLOCK), 0);
}

static void every_cut_is_right(void **state)
{
	uint8_t *far = malloc(BYTES), *near = malloc(BYTES), *back = malloc(BYTES);
	struct iovec iov[CUTS];
	struct far_copy c;
	size_t at = 0;

	(void)state;
	for (unsigned i = 0; i < BYTES; i++)
		far[i] = (uint8_t)(i * 7 + i / 256);
	/* With empty pieces between. */
	for (unsigned i = 0; i < CUTS; i++) {
		size_t len = i == CUTS - 1 ? BYTES - at : i % 5 ? i : 0;

		iov[i] = (struct iovec){far + at, len};
		at += len;
	}
	assert_int_equal(far_copy_init(&c), 0);
	for (unsigned pass = 0; pass < 2; pass++) {
		for (size_t skip = 0; skip < BYTES; skip += 613) {
			size_t len = (BYTES - skip) / (1 + skip % 3);

			memset(near, 0, BYTES);
			assert_int_equal(far_copy_in(&c, iov, CUTS, skip, near, len), 0);
			assert_memory_equal(near, far + skip, len);
			memcpy(back, far, BYTES);
			for (size_t i = 0; i < len; i++)
				near[i] = (uint8_t)~near[i];
			assert_int_equal(far_copy_out(&c, iov, CUTS, skip, near, len), 0);
			assert_memory_equal(far + skip, near, len);
			memcpy(back + skip, near, len);
			assert_memory_equal(far, back, BYTES);
		}
		if (!pass)
			by_pipe(&c);
	}
	far_copy_fini(&c);
	free(far);
	free(near);
	free(back);
}

static void memory_that_has_gone_is_an_error(void **state)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int fd = memfd_create("far", MFD_CLOEXEC);
	uint8_t *far, *near = calloc(4, page);
	struct far_copy c;
	struct iovec iov;

	(void)state;
	assert_int_equal(ftruncate(fd, (off_t)(4 * page)), 0);
	far = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(far, MAP_FAILED);
	iov = (struct iovec){far, 4 * page};
	memset(far, 1, 4 * page);
	assert_int_equal(ftruncate(fd, (off_t)(2 * page)), 0);
	assert_int_equal(far_copy_init(&c), 0);
	for (unsigned pass = 0; pass < 2; pass++) {
		assert_int_equal(far_copy_in(&c, &iov, 1, 0, near, 4 * page), -EFAULT);
		assert_int_equal(far_copy_out(&c, &iov, 1, 2 * page - 512, near, 1024), -EFAULT);
		/* And what comes after that is right again. */
		assert_int_equal(far_copy_in(&c, &iov, 1, 0, near, page), 0);
		assert_int_equal(near[page - 1], 1);
		assert_int_equal(far_copy_out(&c, &iov, 1, 0, near, page), 0);
		if (!pass)
			by_pipe(&c);
	}
	far_copy_fini(&c);
	munmap(far, 4 * page);
	close(fd);
	free(near);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cut_is_right),
		cmocka_unit_test(memory_that_has_gone_is_an_error),
	};

	return cmocka_run_group_tests_name("mem/far_copy", tests, NULL, NULL);
}
