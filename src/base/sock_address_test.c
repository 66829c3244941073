/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "base/sock_address.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void a_path_is_itself(void **state)
{
	struct sock_address a;

	(void)state;
	assert_int_equal(sock_address(&a, "/tmp/x", NULL), 0);
	assert_string_equal(a.un.sun_path, "/tmp/x");
	assert_int_equal(a.len, offsetof(struct sockaddr_un, sun_path) + 7);
	assert_false(sock_address_is_abstract(&a));
	assert_int_equal(sock_address(&a, "./@x", NULL), 0);
	assert_string_equal(a.un.sun_path, "./@x");
}

/* The name in /proc/net/unix is the one that was written, without zeroes behind it. */
static void an_at_sign_makes_it_abstract(void **state)
{
	struct sock_address a, got;
	socklen_t len = sizeof(got.un);
	char name[64];
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	snprintf(name, sizeof(name), "@ringside-test-%d", getpid());
	assert_int_equal(sock_address(&a, name, NULL), 0);
	assert_true(sock_address_is_abstract(&a));
	assert_int_equal(bind(fd, sock_address_of(&a), a.len), 0);
	assert_int_equal(access(name, F_OK), -1);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&got.un, &len), 0);
	assert_int_equal(len, offsetof(struct sockaddr_un, sun_path) + strlen(name));
	assert_memory_equal(got.un.sun_path + 1, name + 1, strlen(name) - 1);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(connect(client, sock_address_of(&a), a.len), 0);
	close(client);
	close(fd);
}

static void the_text_is_what_was_given(void **state)
{
	char longest[109] = "", text[SOCK_ADDRESS_TEXT];
	const char *const list[] = {"disk.sock", "./@x", "@x", longest, longest + 1};
	struct sock_address a;

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	*longest = '@';
	for (unsigned i = 0; i < sizeof(list) / sizeof(*list); i++) {
		assert_int_equal(sock_address(&a, list[i], NULL), 0);
		assert_string_equal(sock_address_text(&a, text), list[i]);
	}
	assert_int_equal(sock_address(&a, "", NULL), -EINVAL);
	assert_string_equal(sock_address_text(&a, text), "");
}

static void what_does_not_fit_is_said(void **state)
{
	struct sock_address a;
	struct error err;
	char text[200];

	(void)state;
	for (int abstract = 0; abstract < 2; abstract++) {
		memset(text, 'x', sizeof(text));
		if (abstract)
			*text = '@';
		text[107 + abstract] = '\0';
		assert_int_equal(sock_address(&a, text, NULL), 0);
		assert_int_equal(a.len, sizeof(a.un));
		text[107 + abstract] = 'x';
		text[108 + abstract] = '\0';
		assert_int_equal(sock_address(&a, text, &err), -ENAMETOOLONG);
		assert_non_null(strstr(err.text, "108 bytes"));
		assert_non_null(strstr(err.text, "at most 107"));
		assert_int_equal(a.len, 0);
	}
	assert_int_equal(sock_address(&a, "", &err), -EINVAL);
	assert_non_null(strstr(err.text, "empty"));
	assert_int_equal(sock_address(&a, "@", &err), -EINVAL);
	assert_non_null(strstr(err.text, "@NAME"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_is_itself),
		cmocka_unit_test(an_at_sign_makes_it_abstract),
		cmocka_unit_test(the_text_is_what_was_given),
		cmocka_unit_test(what_does_not_fit_is_said),
	};

	return cmocka_run_group_tests_name("base/sock_address", tests, NULL, NULL);
}
