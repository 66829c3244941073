/* SPDX-License-Identifier: MIT */
/*
 * Whoever takes memory back waits until nothing is in flight: a machine's reset, bus mastering that
 * is switched off, a new memory map, a queue's reset, the end.  A storage holds what it is given
 * until it is told, so the order of things is the test's.
 */
#include "test.h"

#include "board_rig.h"
#include "rig.h"

#include "base/atomic.h"
#include "wire/virtio_blk.h"

#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#define LOOKS 10

static struct board_rig R;
static struct held_disk *D;
static struct br_io reads, writes;
static uint64_t read_data, write_data;
static uint8_t *whole; /* all of guest memory, as it shall stay */

static void fill(uint64_t at, uint8_t byte)
{
	memset(br_at(&R, at), byte, 512);
}

static void set_up_with(const struct br_options *options)
{
	struct br_options o = *options;

	D = held_disk_new(1 << 20);
	memset(D->bytes, 0x11, 512);
	o.storage = &D->storage;
	br_init(&R, &o);
	br_find(&R, VPCI_ANY);
	br_start(&R, 0, true);
	read_data = br_alloc(&R, 512, 512);
	write_data = br_alloc(&R, 512, 512);
	fill(read_data, 0x22);
	fill(write_data, 0x33);
	reads = writes = (struct br_io){0};
	D->hold = true;
	br_submit(&R, 0, &reads, VIRTIO_BLK_T_IN, 0, read_data, 512);
	br_submit(&R, 0, &writes, VIRTIO_BLK_T_OUT, 1, write_data, 512);
	held_disk_wait(D, 2);
}

static void set_up(bool waits)
{
	set_up_with(&(struct br_options){.waits = waits});
}

static void release(void)
{
	struct rig rig = {.dev.workers[0] = R.worker};

	rig_release(&rig, D, 0);
	store_release(&D->hold, false);
}

static bool nothing_was_touched(void)
{
	const uint8_t *data = br_at(&R, read_data);

	return data[0] == 0x22 && *(uint8_t *)br_at(&R, reads.status) == 0xff &&
	       *(uint8_t *)br_at(&R, writes.status) == 0xff && D->bytes[512] == 0;
}

/* ---- the control thread while somebody waits: looks a while, then lets the storage answer ---- */

static struct reactor_msg look;
static unsigned looks;

static void look_run(struct reactor_msg *msg)
{
	assert_true(nothing_was_touched());
	assert_int_equal(load_acquire(&D->n), 2);
	if (++looks < LOOKS)
		reactor_post(R.plane.home, msg);
	else
		release();
}

static void look_on(void)
{
	looks = 0;
	look.run = look_run;
	reactor_post(R.plane.home, &look);
}

/* ---- memory that somebody else has now ---- */

static void take_memory_back(void)
{
	memset(R.ram, 0x5a, BR_RAM_SIZE);
	whole = malloc(BR_RAM_SIZE);
	assert_non_null(whole);
	memcpy(whole, R.ram, BR_RAM_SIZE);
}

static void memory_stays(void)
{
	br_settle(&R);
	assert_memory_equal(R.ram, whole, BR_RAM_SIZE);
	free(whole);
	/* What was written is what the driver had there when it asked. */
	assert_int_equal(D->bytes[512], 0x33);
	assert_int_equal(D->bytes[1023], 0x33);
}

static void start_again(void)
{
	R.used = 0;
	br_find(&R, VPCI_ANY);
	br_start(&R, 0, true);
	br_check_io(&R);
	br_fini(&R);
}

static void a_machines_reset_waits_for_what_is_in_flight(void **state)
{
	(void)state;
	set_up(false);
	look_on();
	backplane_reset(&R.plane);
	assert_int_equal(looks, LOOKS);
	pci_host_reset(&R.host);
	take_memory_back();
	memory_stays();
	start_again();
}

static void the_end_waits_for_what_is_in_flight(void **state)
{
	(void)state;
	set_up(false);
	look_on();
	br_fini(&R);
	assert_int_equal(looks, LOOKS);
}

static bool one_quieted;

static void quieted(struct card *card)
{
	assert_int_equal(card->state, CARD_QUIET);
	one_quieted = true;
}

static bool is_quiet(struct board_rig *r, void *arg)
{
	(void)r;
	(void)arg;
	return one_quieted;
}

static void one_card_answers_when_it_is_quiet(void **state)
{
	struct card *card;

	(void)state;
	set_up(false);
	card = list_entry(R.plane.cards.next, struct card, link);
	one_quieted = false;
	card_quiesce(card, quieted);
	for (unsigned i = 0; i < LOOKS; i++)
		br_pump(&R);
	assert_false(one_quieted);
	assert_true(nothing_was_touched());
	release();
	br_until(&R, is_quiet, NULL);
	card_reset(card);
	assert_int_equal(card->state, CARD_WORKS);
	take_memory_back();
	memory_stays();
	start_again();
}

/* Asked twice, it answers the second question, too. */
static void a_quiet_card_says_so_at_once(void **state)
{
	struct card *card;

	(void)state;
	set_up(false);
	release();
	card = list_entry(R.plane.cards.next, struct card, link);
	for (unsigned i = 0; i < 2; i++) {
		one_quieted = false;
		card_quiesce(card, quieted);
		assert_false(one_quieted);
		br_until(&R, is_quiet, NULL);
	}
	br_fini(&R);
}

/* ---- bus mastering ---- */

static uint32_t command(void)
{
	return pci_function_config_read(&R.board->fn, PCI_COMMAND, 2);
}

static void set_master(bool on)
{
	pci_function_config_write(
		&R.board->fn, PCI_COMMAND,
		(command() & ~(uint32_t)PCI_COMMAND_MASTER) | (on ? PCI_COMMAND_MASTER : 0), 2);
}

static void release_at_last(struct board_rig *r)
{
	/* What was released may have been answered at any later look. */
	if (r->waits > LOOKS)
		return;
	assert_true(nothing_was_touched());
	if (r->waits == LOOKS)
		release();
}

static void a_card_that_may_not_be_master_touches_no_memory(void **state)
{
	struct br_io more = {0};
	uint64_t data;

	(void)state;
	set_up(true);
	R.on_wait = release_at_last;
	set_master(false);
	assert_true(R.waits >= LOOKS);
	assert_int_equal(*(uint8_t *)br_at(&R, reads.status), 0);
	data = br_alloc(&R, 512, 512);
	fill(data, 0x44);
	br_submit(&R, 0, &more, VIRTIO_BLK_T_IN, 0, data, 512);
	whole = malloc(BR_RAM_SIZE);
	assert_non_null(whole);
	memcpy(whole, R.ram, BR_RAM_SIZE);
	memory_stays();
	/* What has come meanwhile is served when it may be. */
	set_master(true);
	assert_int_equal(br_finish(&R, 0, &more), 0);
	assert_int_equal(*(uint8_t *)br_at(&R, data), 0x11);
	br_check_io(&R);
	br_fini(&R);
}

static void a_queue_that_starts_without_bus_mastering_waits_for_it(void **state)
{
	struct br_io io = {0};
	uint64_t data;

	(void)state;
	set_up(false);
	release();
	br_reset(&R);
	set_master(false);
	br_start(&R, 0, true);
	data = br_alloc(&R, 512, 512);
	fill(data, 0x44);
	br_submit(&R, 0, &io, VIRTIO_BLK_T_IN, 0, data, 512);
	br_settle(&R);
	assert_int_equal(*(uint8_t *)br_at(&R, data), 0x44);
	set_master(true);
	assert_int_equal(br_finish(&R, 0, &io), 0);
	br_fini(&R);
}

static bool has_paused(struct board_rig *r, void *arg)
{
	(void)arg;
	return !virtio_pci_access_waits(r->board);
}

/* A storage that holds everything has nothing any more once the access is over, and gets nothing. */
static void silence_is_kept(void)
{
	for (unsigned i = 0; i < LOOKS && !has_paused(&R, NULL); i++)
		br_pump(&R);
	if (!has_paused(&R, NULL)) {
		release();
		store_release(&D->hold, true);
		br_until(&R, has_paused, NULL);
	}
	br_settle(&R);
	assert_int_equal(load_acquire(&D->n), 0);
	store_release(&D->hold, false);
}

/* The worker stands still meanwhile, so that all orders reach it at once. */
static struct reactor_msg gate;
static sem_t gate_reached, gate_open;

static void gate_run(struct reactor_msg *msg)
{
	(void)msg;
	sem_post(&gate_reached);
	while (sem_wait(&gate_open))
		;
}

static void worker_stops(void)
{
	sem_init(&gate_reached, 0, 0);
	sem_init(&gate_open, 0, 0);
	gate.run = gate_run;
	reactor_post(worker_reactor(R.worker), &gate);
	while (sem_wait(&gate_reached))
		;
}

static void worker_goes_on(void)
{
	sem_post(&gate_open);
}

/* Where an access cannot wait it is asked afterwards; as over a socket. */
static void bus_mastering_on_and_off_again_leaves_nothing_in_flight(void **state)
{
	struct br_io more = {0};

	(void)state;
	set_up(false);
	release();
	set_master(false);
	br_until(&R, has_paused, NULL);
	br_submit(&R, 0, &more, VIRTIO_BLK_T_IN, 0, br_alloc(&R, 512, 512), 512);
	store_release(&D->hold, true);
	worker_stops();
	set_master(true);
	set_master(false);
	worker_goes_on();
	silence_is_kept();
	set_master(true);
	assert_int_equal(br_finish(&R, 0, &more), 0);
	br_fini(&R);
}

static void bus_mastering_off_during_its_pause_leaves_nothing_in_flight(void **state)
{
	struct br_io more = {0};

	(void)state;
	set_up(false);
	br_submit(&R, 0, &more, VIRTIO_BLK_T_IN, 0, br_alloc(&R, 512, 512), 512);
	held_disk_wait(D, 3);
	set_master(false);
	for (unsigned i = 0; i < 3; i++) {
		set_master(true);
		br_pump(&R);
		set_master(false);
	}
	assert_false(has_paused(&R, NULL));
	silence_is_kept();
	set_master(true);
	assert_int_equal(br_finish(&R, 0, &more), 0);
	br_check_io(&R);
	br_fini(&R);
}

static void common_write(unsigned offset, uint32_t value, unsigned size)
{
	pci_bar_write(&R.board->fn, VIRTIO_PCI_BAR_MODERN, VIRTIO_PCI_AT_COMMON + offset, value,
		      size);
}

#define STATUS	     20
#define QUEUE_SELECT 22
#define QUEUE_RESET  58

/* A modern driver looks whether a reset is over, and may do without. */
static void begin_reset(bool of_queue)
{
	if (of_queue) {
		assert_true(virtio_device_has(R.board->vdev, VIRTIO_F_RING_RESET));
		common_write(QUEUE_SELECT, 0, 2);
		common_write(QUEUE_RESET, 1, 2);
	} else {
		common_write(STATUS, 0, 1);
	}
}

static void bus_mastering_off_waits_for_a_reset_that_is_under_way(void **state)
{
	(void)state;
	for (unsigned of_queue = 0; of_queue < 2; of_queue++) {
		set_up(true);
		begin_reset(of_queue);
		assert_int_equal(R.waits, 0);
		R.on_wait = release_at_last;
		set_master(false);
		assert_true(R.waits >= LOOKS);
		assert_int_equal(load_acquire(&D->n), 0);
		take_memory_back();
		memory_stays();
		br_fini(&R);
	}
}

static void an_access_that_cannot_wait_tells_so(void **state)
{
	(void)state;
	for (unsigned of_queue = 0; of_queue < 2; of_queue++) {
		set_up(false);
		begin_reset(of_queue);
		assert_false(virtio_pci_access_waits(R.board));
		set_master(false);
		for (unsigned i = 0; i < LOOKS; i++)
			br_pump(&R);
		assert_true(virtio_pci_access_waits(R.board));
		assert_true(nothing_was_touched());
		release();
		br_until(&R, has_paused, NULL);
		take_memory_back();
		memory_stays();
		br_fini(&R);
	}
}

/* Registers of the legacy header. */
#define LEGACY(offset) VIRTIO_PCI_BAR_LEGACY, VIRTIO_PCI_LEGACY_##offset

static void a_legacy_drivers_reset_is_one_that_is_waited_for(void **state)
{
	const struct br_options o = {.board.no_modern = true};

	(void)state;
	for (unsigned of_queue = 0; of_queue < 2; of_queue++) {
		set_up_with(&o);
		pci_bar_write(&R.board->fn, LEGACY(QUEUE_SELECT), 0, 2);
		if (of_queue)
			pci_bar_write(&R.board->fn, LEGACY(QUEUE_PFN), 0, 4);
		else
			pci_bar_write(&R.board->fn, LEGACY(STATUS), 0, 1);
		for (unsigned i = 0; i < LOOKS; i++)
			br_pump(&R);
		assert_true(virtio_pci_access_waits(R.board));
		assert_true(nothing_was_touched());
		release();
		br_until(&R, has_paused, NULL);
		take_memory_back();
		memory_stays();
		br_fini(&R);
	}
}

/* ---- a new memory map ---- */

static void moved(struct virtio_waiter *w)
{
	(void)w;
	one_quieted = true;
}

static void a_map_is_given_back_when_nothing_is_in_flight(void **state)
{
	struct virtio_waiter w = {.done = moved};

	(void)state;
	set_up(false);
	one_quieted = false;
	virtio_pci_set_mem(R.board, R.mem, &w);
	assert_int_equal(w.pending, 1);
	for (unsigned i = 0; i < LOOKS; i++)
		br_pump(&R);
	assert_false(one_quieted);
	assert_true(nothing_was_touched());
	release();
	br_until(&R, is_quiet, NULL);
	assert_int_equal(br_finish(&R, 0, &reads), 0);
	br_check_io(&R);
	br_fini(&R);
}

static void a_map_is_given_back_when_a_reset_is_over(void **state)
{
	struct virtio_waiter w;

	(void)state;
	for (unsigned of_queue = 0; of_queue < 2; of_queue++) {
		set_up(false);
		begin_reset(of_queue);
		one_quieted = false;
		w = (struct virtio_waiter){.done = moved};
		virtio_pci_set_mem(R.board, R.mem, &w);
		assert_int_not_equal(w.pending, 0);
		for (unsigned i = 0; i < LOOKS; i++)
			br_pump(&R);
		assert_false(one_quieted);
		assert_true(nothing_was_touched());
		release();
		br_until(&R, is_quiet, NULL);
		take_memory_back();
		memory_stays();
		start_again();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_machines_reset_waits_for_what_is_in_flight),
		cmocka_unit_test(the_end_waits_for_what_is_in_flight),
		cmocka_unit_test(one_card_answers_when_it_is_quiet),
		cmocka_unit_test(a_quiet_card_says_so_at_once),
		cmocka_unit_test(a_card_that_may_not_be_master_touches_no_memory),
		cmocka_unit_test(a_queue_that_starts_without_bus_mastering_waits_for_it),
		cmocka_unit_test(bus_mastering_on_and_off_again_leaves_nothing_in_flight),
		cmocka_unit_test(bus_mastering_off_during_its_pause_leaves_nothing_in_flight),
		cmocka_unit_test(bus_mastering_off_waits_for_a_reset_that_is_under_way),
		cmocka_unit_test(an_access_that_cannot_wait_tells_so),
		cmocka_unit_test(a_legacy_drivers_reset_is_one_that_is_waited_for),
		cmocka_unit_test(a_map_is_given_back_when_nothing_is_in_flight),
		cmocka_unit_test(a_map_is_given_back_when_a_reset_is_over),
	};

	log_setup(LOG_LEVEL_ERR, NULL, NULL);
	return cmocka_run_group_tests_name("board_quiet", tests, NULL, NULL);
}
