/* SPDX-License-Identifier: MIT */
/* Packed numbers: what goes in comes out, and nothing goes past an end. */
#include "test.h"

#include "base/pack.h"

static void what_goes_in_comes_out(void **state)
{
	uint8_t at[32], three[3];
	struct pack p = {.to = at, .room = sizeof(at)};
	struct unpack u;

	(void)state;
	pack_8(&p, 0x12);
	pack_16(&p, 0x3456);
	pack_32(&p, 0x789abcde);
	pack_64(&p, UINT64_C(0xf0123456789abcde));
	pack_bytes(&p, "abc", 3);
	pack_bytes(&p, NULL, 0);
	assert_int_equal(p.n, 18);
	assert_false(p.full);
	assert_int_equal(at[1], 0x56); /* little-endian */
	u = (struct unpack){.from = at, .left = p.n};
	assert_int_equal(unpack_8(&u), 0x12);
	assert_int_equal(unpack_16(&u), 0x3456);
	assert_int_equal(unpack_32(&u), 0x789abcde);
	assert_int_equal(unpack_64(&u), UINT64_C(0xf0123456789abcde));
	unpack_bytes(&u, three, 3);
	assert_memory_equal(three, "abc", 3);
	assert_false(u.bad);
	assert_int_equal(u.left, 0);
}

static void nothing_goes_past_an_end(void **state)
{
	uint8_t at[8] = {0, 0, 0, 0, 0, 0, 0, 0x55};
	struct pack p = {.to = at, .room = 7};
	struct unpack u = {.from = at, .left = 7};

	(void)state;
	pack_32(&p, 1);
	pack_32(&p, 2);
	assert_true(p.full);
	assert_int_equal(at[7], 0x55);
	assert_int_equal(unpack_32(&u), 1);
	assert_int_equal(unpack_32(&u), 0);
	assert_true(u.bad);
	/* Once bad, nothing more comes. */
	assert_int_equal(unpack_8(&u), 0);
}

static void a_checksum_of_everybody_s(void **state)
{
	(void)state;
	assert_int_equal(pack_crc("123456789", 9), 0xcbf43926);
	assert_int_equal(pack_crc(NULL, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_goes_in_comes_out),
		cmocka_unit_test(nothing_goes_past_an_end),
		cmocka_unit_test(a_checksum_of_everybody_s),
	};

	return cmocka_run_group_tests_name("base/pack", tests, NULL, NULL);
}
