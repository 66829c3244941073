/* SPDX-License-Identifier: MIT */
/* The limit of open files: raised, named, kept from children, with a reserve. */
#include "test.h"

#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FEW 64

static struct rlimit as_it_was;

static int note_limit(void **state)
{
	(void)state;
	return getrlimit(RLIMIT_NOFILE, &as_it_was);
}

static int put_limit_back(void **state)
{
	(void)state;
	return setrlimit(RLIMIT_NOFILE, &as_it_was);
}

static void set_soft(rlim_t soft)
{
	const struct rlimit l = {.rlim_cur = soft, .rlim_max = as_it_was.rlim_max};

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &l), 0);
}

static void the_soft_limit_is_raised_and_children_get_it_back(void **state)
{
	struct limits_files before;
	int status;
	pid_t child;

	(void)state;
	set_soft(FEW);
	assert_int_equal(limits_files(), FEW);
	assert_int_equal(limits_raise_files(&before), 0);
	assert_int_equal(before.soft, FEW);
	assert_int_equal(before.hard, as_it_was.rlim_max);
	assert_int_equal(limits_files(), as_it_was.rlim_max);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		limits_restore_files(&before);
		_exit(limits_files() == FEW ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(limits_files(), as_it_was.rlim_max);
}

static void too_few_files_are_told_by_number(void **state)
{
	struct error err = {""};

	(void)state;
	set_soft(FEW);
	assert_int_equal(limits_files_enough(FEW, &err, "%d disks", 5), 0);
	assert_int_equal(limits_files_enough(1300, &err, "%d disks", 5), -EMFILE);
	assert_string_equal(err.text,
			    "5 disks need 1300 files; the limit is 64 (ulimit -n, LimitNOFILE=)");
}

static void every_sentence_about_files_that_ran_out_has_the_remedy(void **state)
{
	struct error err = {""};

	(void)state;
	set_soft(FEW);
	assert_int_equal(error_set(&err, -EMFILE, "cannot make a thing"), -EMFILE);
	assert_non_null(strstr(err.text, "cannot make a thing: "));
	assert_non_null(strstr(err.text, "64"));
	assert_non_null(strstr(err.text, "ulimit -n"));
	error_set(&err, -ENFILE, "cannot make a thing");
	assert_non_null(strstr(err.text, "fs.file-max"));
	assert_true(limits_is_ours(-EMFILE) && limits_is_ours(-ENOMEM));
	assert_false(limits_is_ours(-ECONNRESET));
}

static void the_last_files_are_a_reserve(void **state)
{
	int fds[FEW], n = 0, reserve = 0;

	(void)state;
	set_soft(FEW * 4);
	assert_false(limits_fd_is_reserve(-1));
	assert_false(limits_fd_is_reserve(FEW * 4 - LIMITS_RESERVE - 1));
	assert_true(limits_fd_is_reserve(FEW * 4 - LIMITS_RESERVE));
	/* A small limit has a small one. */
	set_soft(FEW);
	while ((fds[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		reserve += limits_fd_is_reserve(fds[n++]);
	assert_int_equal(errno, EMFILE);
	assert_int_equal(reserve, FEW / 8);
	while (n)
		close(fds[--n]);
}

/* In a child: what fd 0, 1 and 2 are after those in @closed were closed. */
static int standard_files_after(unsigned closed)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		struct stat null, st;
		int wrong = 0;

		for (int fd = 0; fd < 3; fd++)
			if (closed & 1u << fd)
				close(fd);
		wrong |= limits_keep_standard_files() != 0 || stat("/dev/null", &null);
		for (int fd = 0; fd < 3; fd++) {
			wrong |= fstat(fd, &st) != 0;
			wrong |= (closed & 1u << fd) && st.st_rdev != null.st_rdev;
		}
		_exit(wrong);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void standard_files_are_never_somebody_elses(void **state)
{
	(void)state;
	for (unsigned closed = 0; closed < 8; closed++)
		assert_int_equal(standard_files_after(closed), 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, note_limit, put_limit_back)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_soft_limit_is_raised_and_children_get_it_back),
		T(too_few_files_are_told_by_number),
		T(every_sentence_about_files_that_ran_out_has_the_remedy),
		T(the_last_files_are_a_reserve),
		T(standard_files_are_never_somebody_elses),
	};

	return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
