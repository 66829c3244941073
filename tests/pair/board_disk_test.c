/* SPDX-License-Identifier: MIT */
/* The whole front end, from ringside/driver.h down, over the PCI transport, against the whole back end. */
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

static void whole_life_polling(void **state)
{
	struct br_options o = {.board.no_msix = true, .no_ioeventfd = true};
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
	for (unsigned i = 0; !P.rig.messages[1] && i < 20000; i++)
		br_pump(&P.rig);
	assert_true(P.rig.messages[1]);
	ringside_disarm(q);
	assert_int_equal(ringside_poll(q, 0), 1);
	assert_int_equal(result, 0);
	assert_int_equal(P.rig.isr_reads, 0);
	/* The disk grows, and the driver hears of it. */
	virtio_device_config_changed(&P.rig.disk->blk->vdev);
	assert_int_equal(ringside_process(disk), RINGSIDE_EVENT_CONFIG);
	close_all(disk);
}

static bool not_resetting(struct board_rig *r, void *arg)
{
	(void)arg;
	return !r->disk->board.resetting;
}

static void kb_95_all_ones_after_unplug(void **state)
{
	struct br_options o = {.queues = 1};
	struct ringside_options ro = {0};
	struct ringside_disk *disk = open_with(&o, &place_ops, &ro);
	struct ringside_error err;
	struct virtio_pci *board = &P.rig.disk->board;

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
