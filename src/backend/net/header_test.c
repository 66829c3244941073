/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "backend/net/header.h"
#include "base/bits.h"

#include <string.h>

static const struct net_offloads all = {
	.csum = true, .tso4 = true, .tso6 = true, .ecn = true, .uso4 = true, .uso6 = true};

static struct virtio_net_hdr header(uint8_t flags, uint8_t gso, unsigned size, unsigned start,
				    unsigned offset)
{
	return (struct virtio_net_hdr){.flags = flags,
				       .gso_type = gso,
				       .gso_size = le16_make((uint16_t)size),
				       .csum_start = le16_make((uint16_t)start),
				       .csum_offset = le16_make((uint16_t)offset)};
}

static int checked(struct virtio_net_hdr h, const struct net_offloads *may, size_t len)
{
	return net_header_check(&h, may, len);
}

/* 5.1.6.2.2: bits that nobody knows are ignored, and go no further. */
static void net_d_unknown_flags_are_left_out(void **state)
{
	struct virtio_net_hdr h = header(0xf8, 0, 7, 1, 2), zero = {0};

	(void)state;
	h.num_buffers = le16_make(9);
	assert_int_equal(net_header_check(&h, &all, 60), 0);
	assert_memory_equal(&h, &zero, sizeof(h));
}

static void net_d_checksum_lies_inside_the_frame(void **state)
{
	(void)state;
	for (unsigned len = 14; len < 80; len++)
		for (unsigned start = 0; start < 90; start++)
			for (unsigned offset = 0; offset < 90; offset++) {
				bool good = start >= 14 && start + offset + 2 <= len;

				assert_int_equal(
					!checked(header(1, 0, 0, start, offset), &all, len), good);
			}
	assert_true(checked(header(1, 0, 0, 0xffff, 0xffff), &all, 65589) < 0);
	assert_int_equal(checked(header(1, 0, 0, 34, 0xfffe), &all, 65570), 0);
	assert_true(checked(header(1, 0, 0, 34, 0xfffe), &all, 65569) < 0);
}

static void net_d_segmentation_needs_all_it_stands_on(void **state)
{
	static const struct net_offloads none;
	struct net_offloads some;

	(void)state;
	assert_int_equal(checked(header(1, 1, 1448, 34, 16), &all, 9000), 0);
	assert_true(checked(header(0, 1, 1448, 34, 16), &all, 9000) < 0);
	assert_true(checked(header(1, 1, 0, 34, 16), &all, 9000) < 0);
	assert_true(checked(header(1, 1, 1448, 34, 16), &none, 9000) < 0);
	assert_true(checked(header(1, 1, 1448, 34, 16), &all, 54) < 0);
	assert_int_equal(checked(header(1, 1, 1448, 34, 16), &all, 55), 0);
	assert_true(checked(header(1, 2, 1448, 34, 16), &all, 9000) < 0);
	assert_true(checked(header(1, 3, 1448, 34, 6), &all, 9000) < 0);
	assert_int_equal(checked(header(1, 4, 1448, 54, 16), &all, 9000), 0);
	assert_int_equal(checked(header(1, 5, 1448, 34, 6), &all, 9000), 0);
	assert_int_equal(checked(header(1, 0x81, 1448, 34, 16), &all, 9000), 0);
	assert_true(checked(header(1, 0x85, 1448, 34, 6), &all, 9000) < 0);
	some = all;
	some.ecn = false;
	assert_true(checked(header(1, 0x81, 1448, 34, 16), &some, 9000) < 0);
	some = all;
	some.tso6 = false;
	assert_true(checked(header(1, 4, 1448, 54, 16), &some, 9000) < 0);
	assert_int_equal(checked(header(1, 1, 1448, 34, 16), &some, 9000), 0);
}

/* 5.1.6.2.2: the driver's hdr_len is not relied on. */
static void net_d_header_length_is_made_to_hold(void **state)
{
	static const unsigned told[] = {0, 1, 53, 54, 66, 8999, 9000, 9001, 65535};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(told); i++) {
		struct virtio_net_hdr h = header(1, 1, 1448, 34, 16);

		h.hdr_len = le16_make((uint16_t)told[i]);
		assert_int_equal(net_header_check(&h, &all, 9000), 0);
		assert_true(le16_get(h.hdr_len) >= 54 && le16_get(h.hdr_len) <= 9000);
		if (told[i] >= 54 && told[i] <= 9000)
			assert_int_equal(le16_get(h.hdr_len), told[i]);
		/* The checksum itself is never payload, however far behind it is. */
		h = header(1, 1, 1448, 34, 40);
		h.hdr_len = le16_make((uint16_t)told[i]);
		assert_int_equal(net_header_check(&h, &all, 9000), 0);
		assert_true(le16_get(h.hdr_len) >= 76 && le16_get(h.hdr_len) <= 9000);
	}
}

static void net_d_03_valid_is_for_those_who_agreed(void **state)
{
	static const struct net_offloads none;
	struct virtio_net_hdr h = header(VIRTIO_NET_HDR_F_DATA_VALID, 0, 0, 0, 0);

	(void)state;
	assert_int_equal(net_header_check(&h, &all, 60), 0);
	assert_int_equal(h.flags, VIRTIO_NET_HDR_F_DATA_VALID);
	assert_int_equal(net_header_check(&h, &none, 60), 0);
	assert_int_equal(h.flags, 0);
}

static void offloads_are_the_feature_bits(void **state)
{
	struct net_offloads none = {0}, o;

	(void)state;
	o = net_offloads_out(UINT64_MAX & ~net_offload_bits_out());
	assert_memory_equal(&o, &none, sizeof(o));
	o = net_offloads_in(UINT64_MAX & ~net_offload_bits_in());
	assert_memory_equal(&o, &none, sizeof(o));
	o = net_offloads_out(net_offload_bits_out());
	assert_memory_equal(&o, &all, sizeof(o));
	o = net_offloads_in(net_offload_bits_in());
	assert_memory_equal(&o, &all, sizeof(o));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(net_d_unknown_flags_are_left_out),
		cmocka_unit_test(net_d_checksum_lies_inside_the_frame),
		cmocka_unit_test(net_d_segmentation_needs_all_it_stands_on),
		cmocka_unit_test(net_d_header_length_is_made_to_hold),
		cmocka_unit_test(net_d_03_valid_is_for_those_who_agreed),
		cmocka_unit_test(offloads_are_the_feature_bits),
	};

	return cmocka_run_group_tests_name("header", tests, NULL, NULL);
}
