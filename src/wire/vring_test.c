/* SPDX-License-Identifier: MIT */
/* Our ring layouts against those of the Linux user API, which other people drive. */
#include "test.h"

#include "wire/vring.h"

#include <linux/virtio_ring.h>

#define SAME(ours, our_field, theirs, their_field)                                          \
	do {                                                                                \
		assert_int_equal(offsetof(ours, our_field), offsetof(theirs, their_field)); \
		assert_int_equal(sizeof(((ours *)0)->our_field),                            \
				 sizeof(((theirs *)0)->their_field));                       \
	} while (0)

static void split_layout_is_that_of_linux(void **state)
{
	(void)state;
	assert_int_equal(sizeof(struct virtq_desc), sizeof(struct vring_desc));
	SAME(struct virtq_desc, addr, struct vring_desc, addr);
	SAME(struct virtq_desc, len, struct vring_desc, len);
	SAME(struct virtq_desc, flags, struct vring_desc, flags);
	SAME(struct virtq_desc, next, struct vring_desc, next);
	SAME(struct virtq_avail, flags, struct vring_avail, flags);
	SAME(struct virtq_avail, idx, struct vring_avail, idx);
	assert_int_equal(offsetof(struct virtq_avail, ring), offsetof(struct vring_avail, ring));
	assert_int_equal(sizeof(struct virtq_used_elem), sizeof(struct vring_used_elem));
	SAME(struct virtq_used_elem, id, struct vring_used_elem, id);
	SAME(struct virtq_used_elem, len, struct vring_used_elem, len);
	SAME(struct virtq_used, flags, struct vring_used, flags);
	SAME(struct virtq_used, idx, struct vring_used, idx);
	assert_int_equal(offsetof(struct virtq_used, ring), offsetof(struct vring_used, ring));
	assert_int_equal(VIRTQ_DESC_F_NEXT, VRING_DESC_F_NEXT);
	assert_int_equal(VIRTQ_DESC_F_WRITE, VRING_DESC_F_WRITE);
	assert_int_equal(VIRTQ_DESC_F_INDIRECT, VRING_DESC_F_INDIRECT);
	assert_int_equal(VIRTQ_AVAIL_F_NO_INTERRUPT, VRING_AVAIL_F_NO_INTERRUPT);
	assert_int_equal(VIRTQ_USED_F_NO_NOTIFY, VRING_USED_F_NO_NOTIFY);
}

static void packed_layout_is_that_of_linux(void **state)
{
	(void)state;
	assert_int_equal(sizeof(struct pvirtq_desc), sizeof(struct vring_packed_desc));
	SAME(struct pvirtq_desc, addr, struct vring_packed_desc, addr);
	SAME(struct pvirtq_desc, len, struct vring_packed_desc, len);
	SAME(struct pvirtq_desc, id, struct vring_packed_desc, id);
	SAME(struct pvirtq_desc, flags, struct vring_packed_desc, flags);
	assert_int_equal(sizeof(struct pvirtq_event), sizeof(struct vring_packed_desc_event));
	SAME(struct pvirtq_event, off_wrap, struct vring_packed_desc_event, off_wrap);
	SAME(struct pvirtq_event, flags, struct vring_packed_desc_event, flags);
	assert_int_equal(VIRTQ_DESC_F_AVAIL, 1 << VRING_PACKED_DESC_F_AVAIL);
	assert_int_equal(VIRTQ_DESC_F_USED, 1 << VRING_PACKED_DESC_F_USED);
	assert_int_equal(RING_EVENT_FLAGS_ENABLE, VRING_PACKED_EVENT_FLAG_ENABLE);
	assert_int_equal(RING_EVENT_FLAGS_DISABLE, VRING_PACKED_EVENT_FLAG_DISABLE);
	assert_int_equal(RING_EVENT_FLAGS_DESC, VRING_PACKED_EVENT_FLAG_DESC);
	assert_int_equal(RING_EVENT_WRAP, 1 << VRING_PACKED_EVENT_F_WRAP_CTR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(split_layout_is_that_of_linux),
		cmocka_unit_test(packed_layout_is_that_of_linux),
	};

	return cmocka_run_group_tests_name("wire/vring", tests, NULL, NULL);
}
