/* SPDX-License-Identifier: MIT */
/* What every cmocka test includes first; cmocka.h wants these three before it, in this order. */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#endif
