/* SPDX-License-Identifier: MIT */
/* What every cmocka test includes first; cmocka.h wants these three before it, in this order. */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
/* Newer versions would have names that older ones lack. */
#define CMOCKA_DISABLE_DEPRECATION_WARNINGS
#include <cmocka.h>
/* clang-format on */

/* cmocka 2 takes these two words for itself. */
#undef start
#undef stop

#include <stdbool.h>
#include <stdlib.h>

/*
 * Which kind of reactor a rig's workers have.  tests/meson.build runs some programs a second time
 * with TEST_EPOLL in the environment: where io_uring is forbidden everything takes another way.
 */
static inline bool test_uring(void)
{
	return !getenv("TEST_EPOLL");
}

#endif
