/* SPDX-License-Identifier: MIT */
/*
 * The whole front end, from ringside/driver.h down, over the PCI transport,
 * against the whole back end.
 */
#include "test.h"

#include "board_place.h"

#include "frontend/blk/disk.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct place P;

static struct ringside_disk *open_with(const struct br_options *o,
				       const struct vpci_platform_ops *ops,
				       const struct ringside_options *ro)
{
	struct ringside_disk *disk;
	struct error err;

	place_init(&P, o, ops);
	if (disk_open(&P.t.base, ro, &disk, &err))
		fail_msg("%s", err.text);
	return disk;
}

static void close_all(struct ringside_disk *disk)
{
	ringside_close(&disk);
	place_fini(&P);
}

static void done(struct ringside_request *req)
{
	*(int *)req->opaque = req->result;
}

static void finish(struct ringside_queue *q, const int *result)
{
	ringside_commit(q);
	for (unsigned i = 0; *result == 1 && i < 20000; i++) {
		br_pump(&P.rig);
		assert_true(ringside_poll(q, 0) >= 0);
	}
	assert_int_equal(*result, 0);
}

static void write_and_read(struct ringside_disk *disk, uint8_t *mem)
{
	struct ringside_info info;

	ringside_get_info(disk, &info);
	for (unsigned i = 0; i < info.queues; i++) {
		struct ringside_queue *q = ringside_queue(disk, i);
		int result = 1;
		struct ringside_request req = {.done = done, .opaque = &result};

		memset(mem, (int)(0x11 * (i + 1)), 4096);
		ringside_write(q, &req, i * 4096, mem, 4096);
		finish(q, &result);
		memset(mem, 0, 4096);
		result = 1;
		ringside_read(q, &req, i * 4096, mem, 4096);
		finish(q, &result);
		for (unsigned b = 0; b < 4096; b++)
			assert_int_equal(mem[b], 0x11 * (i + 1));
	}
}

static void whole_life(const struct br_options *o, const struct vpci_platform_ops *ops,
		       const struct ringside_options *ro)
{
	struct ringside_disk *disk = open_with(o, ops, ro);
	struct ringside_error err;
	void *mem, *more;

	assert_int_equal(ringside_mem_alloc(disk, 4096, &mem, &err), 0);
	assert_int_equal(ringside_start(disk, &err), 0);
	write_and_read(disk, mem);
	/* Memory comes and goes while it runs. */
	assert_int_equal(ringside_mem_alloc(disk, 8192, &more, &err), 0);
	write_and_read(disk, more);
	assert_int_equal(ringside_mem_remove(disk, more), 0);
	write_and_read(disk, mem);
	assert_int_equal(ringside_queue_reset(ringside_queue(disk, 0)), 0);
	write_and_read(disk, mem);
	assert_int_equal(ringside_stop(disk, &err), 0);
	assert_int_equal(ringside_start(disk, &err), 0);
	write_and_read(disk, mem);
	close_all(disk);
}

static void whole_life_msix(void **state)
{
	struct br_options o = {.queues = 4};
	struct ringside_options ro = {.queues = 4};

	(void)state;
	whole_life(&o, &place_ops, &ro);
}

static void whole_life_msix_split(void **state)
{
	struct br_options o = {.board.no_legacy = true, .queues = 2};
	struct ringside_options ro = {.queues = 2, .features_off = BIT64(VIRTIO_F_RING_PACKED)};

	(void)state;
	whole_life(&o, &place_ops, &ro);
}

static void whole_life_with_addresses_of_its_own(void **state)
{
	static const uint64_t off[] = {0, BIT64(VIRTIO_F_RING_PACKED),
				       BIT64(VIRTIO_F_INDIRECT_DESC)};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(off); i++) {
		struct br_options o = {.queues = 2};
		struct ringside_options ro = {.queues = 2, .features_off = off[i]};

		whole_life(&o, &place_shifted_ops, &ro);
	}
}

static void ids_and_ranges_with_addresses_of_its_own(void **state)
{
	struct br_options o = {.queues = 1};
	struct ringside_options ro = {0};
	struct ringside_disk *disk = open_with(&o, &place_shifted_ops, &ro);
	struct ringside_queue *q = ringside_queue(disk, 0);
	const struct ringside_range range = {.sector = 8, .sectors = 8};
	struct ringside_error err;
	int result = 1;
	struct ringside_request req = {.done = done, .opaque = &result};
	char id[21];

	(void)state;
	assert_int_equal(ringside_start(disk, &err), 0);
	ringside_get_id(q, &req, id);
	finish(q, &result);
	result = 1;
	ringside_write_zeroes(q, &req, &range, 1, false);
	finish(q, &result);
	close_all(disk);
}

static void a_device_that_is_wanted_back_is_gone_and_can_be_found_again(void **state)
{
	struct br_options o = {.queues = 1};
	struct ringside_options ro = {0};
	struct ringside_disk *disk = open_with(&o, &place_shifted_ops, &ro);
	struct ringside_error err;
	void *mem;

	(void)state;
	assert_int_equal(ringside_mem_alloc(disk, 4096, &mem, &err), 0);
	assert_int_equal(ringside_start(disk, &err), 0);
	write_and_read(disk, mem);
	P.going = true;
	assert_int_equal(ringside_process(disk), RINGSIDE_EVENT_GONE);
	assert_int_equal(ringside_poll(ringside_queue(disk, 0), 0), -ENODEV);
	P.going = false;
	assert_int_equal(ringside_reconnect(disk, &err), 0);
	assert_int_equal(P.recovered, 1);
	write_and_read(disk, mem);
	close_all(disk);
}

static void nobody_is_found_again_where_the_place_cannot(void **state)
{
	struct br_options o = {.queues = 1};
	struct ringside_options ro = {0};
	struct ringside_disk *disk = open_with(&o, &place_ops, &ro);
	struct ringside_error err;

	(void)state;
	assert_int_equal(ringside_reconnect(disk, &err), -ENOTSUP);
	close_all(disk);
}

/* Nobody would wake a sleeper, so nobody sleeps for long. */
static void who_waits_without_interrupts_looks(void **state)
{
	struct br_options o = {.board.no_msix = true, .host.no_ioeventfd = true};
	struct ringside_options ro = {0};
	struct ringside_disk *disk = open_with(&o, &place_polling_ops, &ro);
	struct ringside_queue *q = ringside_queue(disk, 0);
	struct ringside_error err;
	int result = 1;
	struct ringside_request req = {.done = done, .opaque = &result};
	void *mem;

	(void)state;
	P.t.base.no_calls = true;
	assert_int_equal(ringside_mem_alloc(disk, 4096, &mem, &err), 0);
	assert_int_equal(ringside_start(disk, &err), 0);
	assert_int_equal(ringside_wait(q, 1), 0);
	ringside_read(q, &req, 0, mem, 4096);
	ringside_commit(q);
	assert_true(ringside_arm(q));
	for (unsigned i = 0; result == 1 && i < 20000; i++) {
		br_pump(&P.rig);
		assert_true(ringside_wait(q, 1) >= 0);
	}
	assert_int_equal(result, 0);
	close_all(disk);
}

static void vectors_beyond_the_limit_are_not_used(void **state)
{
	struct br_options o = {.queues = 4};

	(void)state;
	place_init(&P, &o, &place_ops);
	P.base.vectors_max = 3;
	assert_int_equal(vpci_transport_init(&P.t, &P.rig.dev, &P.base, NULL), 0);
	assert_int_equal(P.t.v.n_vectors, 3);
	assert_int_equal(P.t.n_queues, 2);
	P.t.base.ops->destroy(&P.t.base);
	place_fini(&P);
}

/*
 * A bit without which the transport cannot carry the device is taken although the
 * caller does not want it.
 */
static void what_the_transport_must_have_is_accepted(void **state)
{
	struct br_options o = {.queues = 1};
	struct vdriver v;
	uint64_t has = BIT64(VIRTIO_F_EVENT_IDX), lacks = BIT64(VIRTIO_F_SR_IOV);
	struct error err;

	(void)state;
	place_init(&P, &o, &place_ops);
	vdriver_init(&v, &P.t.base);
	P.t.base.must = has;
	assert_int_equal(vdriver_begin(&v, &err), 0);
	assert_int_equal(vdriver_negotiate(&v, 0, 0, &err), 0);
	assert_true(v.features & has);
	P.t.base.must = lacks;
	assert_int_equal(vdriver_begin(&v, &err), 0);
	assert_int_equal(vdriver_negotiate(&v, UINT64_MAX, 0, &err), -ENOTSUP);
	assert_int_equal(vdriver_reset(&v, &err), 0);
	P.t.base.ops->destroy(&P.t.base);
	place_fini(&P);
}

static void whole_life_polling(void **state)
{
	struct br_options o = {.board.no_msix = true, .host.no_ioeventfd = true};
	struct ringside_options ro = {0};

	(void)state;
	whole_life(&o, &place_polling_ops, &ro);
}

static void pci_g_09_any_table_size(void **state)
{
	static const unsigned sizes[] = {1, 2, 3, 5, 2048};
	struct ringside_options ro = {.queues = 4};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct br_options o = {.board.vectors = sizes[i], .queues = 4};

		whole_life(&o, &place_ops, &ro);
	}
}

static void pci_g_07_a_call_by_message_needs_no_isr(void **state)
{
	struct br_options o = {.queues = 1};
	struct ringside_options ro = {0};
	struct ringside_disk *disk = open_with(&o, &place_ops, &ro);
	struct ringside_queue *q = ringside_queue(disk, 0);
	struct ringside_error err;
	int result = 1;
	struct ringside_request req = {.done = done, .opaque = &result};
	void *mem;

	(void)state;
	assert_int_equal(ringside_mem_alloc(disk, 4096, &mem, &err), 0);
	assert_int_equal(ringside_start(disk, &err), 0);
	q = ringside_queue(disk, 0);
	assert_false(ringside_arm(q));
	ringside_read(q, &req, 0, mem, 4096);
	ringside_commit(q);
	for (unsigned i = 0; !P.rig.below.messages[1] && i < 20000; i++)
		br_pump(&P.rig);
	assert_true(P.rig.below.messages[1]);
	ringside_disarm(q);
	assert_int_equal(ringside_poll(q, 0), 1);
	assert_int_equal(result, 0);
	assert_int_equal(P.rig.isr_reads, 0);
	/* The disk grows, and the driver hears of it. */
	virtio_device_config_changed(&P.rig.blk->vdev);
	assert_int_equal(ringside_process(disk), RINGSIDE_EVENT_CONFIG);
	close_all(disk);
}

static bool not_resetting(struct board_rig *r, void *arg)
{
	(void)arg;
	return !r->board->resetting;
}

static void kb_95_all_ones_after_unplug(void **state)
{
	struct br_options o = {.queues = 1};
	struct ringside_options ro = {0};
	struct ringside_disk *disk = open_with(&o, &place_ops, &ro);
	struct ringside_error err;
	struct virtio_pci *board = P.rig.board;

	(void)state;
	assert_int_equal(ringside_start(disk, &err), 0);
	/* It lets go of our memory, then its slot is empty as far as the guest can see. */
	pci_function_reset(&board->fn);
	br_until(&P.rig, not_resetting, NULL);
	P.rig.host.bus.functions[board->fn.devfn] = NULL;
	assert_int_equal(ringside_process(disk), RINGSIDE_EVENT_GONE);
	assert_int_not_equal(ringside_stop(disk, &err), 0);
	P.rig.host.bus.functions[board->fn.devfn] = &board->fn;
	close_all(disk);
}

static void legacy_life(const struct br_options *o, const struct ringside_options *ro)
{
	struct ringside_disk *disk = open_with(o, &place_legacy_ops, ro);
	struct ringside_error err;
	struct ringside_info info;
	void *mem;

	assert_int_equal(ringside_mem_alloc(disk, 4096, &mem, &err), 0);
	ringside_get_info(disk, &info);
	assert_false(info.features & BIT64(VIRTIO_F_VERSION_1));
	assert_int_equal(info.queue_size, o->queue_size);
	assert_int_equal(ringside_start(disk, &err), 0);
	write_and_read(disk, mem);
	assert_int_equal(ringside_queue_reset(ringside_queue(disk, 0)), -ENOTSUP);
	assert_int_equal(ringside_stop(disk, &err), 0);
	assert_int_equal(ringside_start(disk, &err), 0);
	write_and_read(disk, mem);
	close_all(disk);
}

static void legacy_board_whole_life(void **state)
{
	struct br_options o = {
		.board.no_modern = true, .queues = 2, .queue_size = 64, .waits = true};
	struct ringside_options ro = {.queues = 2, .queue_size = 16};

	(void)state;
	legacy_life(&o, &ro);
}

static void transitional_board_by_its_legacy_face(void **state)
{
	struct br_options o = {
		.queues = 1, .queue_size = 128, .board.no_msix = true, .waits = true};
	struct ringside_options ro = {.features_off = BIT64(VIRTIO_F_INDIRECT_DESC) |
						      BIT64(VIRTIO_F_EVENT_IDX)};

	(void)state;
	legacy_life(&o, &ro);
}

static void legacy_board_lacks_version_1(void **state)
{
	struct br_options o = {.board.no_modern = true};
	struct ringside_options ro = {.features_must = BIT64(VIRTIO_F_VERSION_1)};
	struct ringside_disk *disk;
	struct error err;

	(void)state;
	memset(&P, 0, sizeof(P));
	P.base.ops = &place_legacy_ops;
	br_init(&P.rig, &o);
	br_find(&P.rig, VPCI_LEGACY);
	P.rig.busy = true;
	assert_int_equal(vpci_transport_init(&P.t, &P.rig.dev, &P.base, &err), 0);
	assert_int_equal(disk_open(&P.t.base, &ro, &disk, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "virtio 1"));
	br_fini(&P.rig);
}

static void pci_l_05_legacy_board_is_refused_with_a_sentence(void **state)
{
	struct br_options o = {.board.no_modern = true};
	struct error err;

	(void)state;
	memset(&P, 0, sizeof(P));
	P.base = (struct vpci_platform){.ops = &place_ops, .how = VPCI_MODERN};
	br_init(&P.rig, &o);
	br_find(&P.rig, VPCI_LEGACY);
	assert_int_equal(vpci_transport_init(&P.t, &P.rig.dev, &P.base, &err), -ENXIO);
	assert_non_null(strstr(err.text, "virtio 1"));
	br_fini(&P.rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_life_msix),
		cmocka_unit_test(whole_life_msix_split),
		cmocka_unit_test(whole_life_polling),
		cmocka_unit_test(whole_life_with_addresses_of_its_own),
		cmocka_unit_test(ids_and_ranges_with_addresses_of_its_own),
		cmocka_unit_test(a_device_that_is_wanted_back_is_gone_and_can_be_found_again),
		cmocka_unit_test(nobody_is_found_again_where_the_place_cannot),
		cmocka_unit_test(who_waits_without_interrupts_looks),
		cmocka_unit_test(vectors_beyond_the_limit_are_not_used),
		cmocka_unit_test(what_the_transport_must_have_is_accepted),
		cmocka_unit_test(pci_g_09_any_table_size),
		cmocka_unit_test(pci_g_07_a_call_by_message_needs_no_isr),
		cmocka_unit_test(kb_95_all_ones_after_unplug),
		cmocka_unit_test(legacy_board_whole_life),
		cmocka_unit_test(transitional_board_by_its_legacy_face),
		cmocka_unit_test(legacy_board_lacks_version_1),
		cmocka_unit_test(pci_l_05_legacy_board_is_refused_with_a_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
