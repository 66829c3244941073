/* SPDX-License-Identifier: MIT */
/* A storage that fails: which sector is named, what of the rest arrives. */
#include "backend/ide/ide_test.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#define LOST	     (READY | ATA_STATUS_ERR | ATA_STATUS_FAULT)

#define GOOD_SECTORS 88u

/* A disk whose file lost its end after it was opened. */
static void cut_start(struct guest *g, char *path)
{
	int fd;

	strcpy(path, "/tmp/ringside-ide-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 0x10000), 0);
	guest_start(g, path);
	disk_write(g, 0, 128);
	out(g, BM + BM_COMMAND, 0, 1);
	assert_int_equal(ftruncate(fd, GOOD_SECTORS * ATA_SECTOR), 0);
	close(fd);
}

static void h_02_a_bad_sector_is_named(void **state)
{
	struct guest g;
	char path[32];
	uint8_t want[16 * ATA_SECTOR], got[16 * ATA_SECTOR];

	(void)state;
	cut_start(&g, path);
	fill(want, 80, 16);
	memset(g.ram + BUFFER, 0xee, 8192);
	prd(&g, 0, BUFFER, 8192, true);
	command28(&g, ATA_READ_DMA, 80, 16);
	bm_start(&g, true);
	assert_int_equal(status(&g), FAILED);
	assert_int_equal(error(&g), ATA_ERROR_MEDIA);
	assert_int_equal(lba_registers(&g), GOOD_SECTORS);
	assert_int_equal(in(&g, CMD + ATA_REG_COUNT, 1), 8);
	assert_memory_equal(g.ram + BUFFER, want, 8 * ATA_SECTOR);

	/* By PIO all in front of it comes. */
	command28(&g, ATA_READ, 80, 16);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(status(&g), DATA);
		ins(&g, got + i * ATA_SECTOR, ATA_SECTOR);
	}
	assert_int_equal(status(&g), FAILED);
	assert_int_equal(error(&g), ATA_ERROR_MEDIA);
	assert_int_equal(lba_registers(&g), GOOD_SECTORS);
	assert_memory_equal(got, want, 8 * ATA_SECTOR);

	command28(&g, ATA_VERIFY, 80, 16);
	assert_int_equal(status(&g), FAILED);
	assert_int_equal(lba_registers(&g), GOOD_SECTORS);
	healthy(&g);
	guest_fini(&g);
	unlink(path);
}

/* ---- a sector that cannot be reached, and a flush that fails ---- */

static struct {
	void (*done)(struct storage_io *io, int err);
	uint64_t sector; /* every request that has it fails */
	bool flush;
} bad;

static void bad_done(struct storage_io *io, int err)
{
	const uint64_t at = bad.sector * ATA_SECTOR;

	if (io->op == STORAGE_FLUSH ? bad.flush : io->offset <= at && at - io->offset < io->len)
		err = -EIO;
	bad.done(io, err);
}

static void bad_start(struct guest *g, uint64_t sector)
{
	struct ide_drive *d;

	guest_start(g, "memory:1M");
	disk_write(g, 0, 64);
	out(g, BM + BM_COMMAND, 0, 1);
	d = piix3_ide_drive(g->ide, 0);
	bad.done = d->request.done;
	bad.sector = sector;
	bad.flush = false;
	d->request.done = bad_done;
}

static void h_02_a_write_names_its_bad_sector(void **state)
{
	uint8_t data[6 * ATA_SECTOR];
	struct guest g;

	(void)state;
	bad_start(&g, 1003);
	fill(data, 1000, 6);
	command28(&g, ATA_WRITE, 1000, 6);
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(status(&g), DATA);
		outs(&g, data + i * ATA_SECTOR, ATA_SECTOR);
	}
	assert_int_equal(status(&g), LOST);
	assert_int_equal(error(&g), ATA_ERROR_ABORTED);
	assert_int_equal(lba_registers(&g), 1003);
	assert_int_equal(in(&g, CMD + ATA_REG_COUNT, 1), 3);
	assert_true(disk_holds(&g, 1000, 3));

	/* By the bus master, in pieces that are no sectors. */
	out(&g, BM + BM_COMMAND, 0, 1);
	fill(g.ram + BUFFER, 1001, 5);
	memmove(g.ram + BUFFER + 8000, g.ram + BUFFER + 700, 5 * ATA_SECTOR - 700);
	prd(&g, 0, BUFFER, 700, false);
	prd(&g, 1, BUFFER + 8000, 5 * ATA_SECTOR - 700, true);
	command48(&g, ATA_WRITE_DMA_EXT, 1001, 5);
	bm_start(&g, false);
	settle(&g);
	assert_int_equal(bm_status(&g), BM_STATUS_INTERRUPT);
	assert_int_equal(status(&g), LOST);
	assert_int_equal(error(&g), ATA_ERROR_ABORTED);
	assert_int_equal(lba_registers(&g), 1003);
	assert_int_equal(in(&g, CMD + ATA_REG_COUNT, 1), 3);
	out(&g, BM + BM_COMMAND, 0, 1);
	assert_true(disk_holds(&g, 1001, 2));
	assert_int_equal(g.ide->channels[0].counters.errors, 2);
	healthy(&g);
	guest_fini(&g);
}

/* The block with the bad sector does not come; all in front of that block does. */
static void h_02_blocks_in_front_of_a_bad_sector_arrive(void **state)
{
	uint8_t want[16 * ATA_SECTOR], got[4 * ATA_SECTOR];
	struct guest g;

	(void)state;
	bad_start(&g, 30);
	fill(want, 20, 16);
	command28(&g, ATA_SET_MULTIPLE, 0, 4);
	assert_int_equal(status(&g), READY);
	command28(&g, ATA_READ_MULTIPLE, 20, 16);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(status(&g), DATA);
		ins(&g, got, sizeof(got));
		assert_memory_equal(got, want + i * sizeof(got), sizeof(got));
	}
	assert_int_equal(status(&g), FAILED);
	assert_int_equal(error(&g), ATA_ERROR_MEDIA);
	assert_int_equal(lba_registers(&g), 30);
	assert_int_equal(in(&g, CMD + ATA_REG_COUNT, 1), 6);
	/* 28 address bits more than there are in a part: VERIFY goes on part by part. */
	bad.sector = 300;
	command48(&g, ATA_VERIFY_EXT, 2, 2000);
	assert_int_equal(status(&g), FAILED);
	assert_int_equal(error(&g), ATA_ERROR_MEDIA);
	assert_int_equal(lba_registers(&g), 300);
	assert_int_equal(in(&g, CMD + ATA_REG_COUNT, 1), (2000 - 298) & 0xff);
	guest_fini(&g);
}

static void h_02_a_flush_that_fails_is_told(void **state)
{
	uint8_t data[512];
	struct guest g;

	(void)state;
	bad_start(&g, UINT64_MAX / ATA_SECTOR);
	bad.flush = true;
	for (unsigned i = 0; i < 3; i++) {
		if (i < 2)
			out(&g, CMD + ATA_REG_COMMAND, i ? ATA_FLUSH_EXT : ATA_FLUSH, 1);
		else
			feature(&g, ATA_FEATURE_CACHE_OFF, 0);
		assert_int_equal(status(&g), LOST);
		assert_int_equal(error(&g), ATA_ERROR_ABORTED);
	}
	/* The cache could not be emptied: it is still on. */
	identify(&g, data);
	assert_int_equal(word(data, ATA_ID_ENABLED_1) & 0x20, 0x20);
	guest_fini(&g);
}

/* One that was off stays off: nobody flushes what is written from then on. */
static void a_cache_that_is_off_stays_off_when_a_flush_fails(void **state)
{
	uint8_t data[512];
	struct guest g;

	(void)state;
	bad_start(&g, UINT64_MAX / ATA_SECTOR);
	feature(&g, ATA_FEATURE_CACHE_OFF, 0);
	assert_int_equal(status(&g), READY);
	bad.flush = true;
	feature(&g, ATA_FEATURE_CACHE_OFF, 0);
	assert_int_equal(status(&g), LOST);
	identify(&g, data);
	assert_int_equal(word(data, ATA_ID_ENABLED_1) & 0x20, 0);
	guest_fini(&g);
}

static void *stop_bus_master(void *g)
{
	out(g, BM + BM_COMMAND, 0, 1);
	return NULL;
}

/* Whoever stops the bus master has its memory back: a part that fails is not done once more. */
static void what_failed_is_not_repeated_when_the_bus_master_was_stopped(void **state)
{
	const struct ide_counters *counters;
	pthread_t stopper;
	struct guest g;
	uint64_t before;

	(void)state;
	bad_start(&g, 1003);
	counters = &g.ide->channels[0].counters;
	before = counters->requests;
	hold(&g);
	prd(&g, 0, BUFFER, 4096, true);
	command28(&g, ATA_READ_DMA, 1000, 8);
	bm_start(&g, true);
	assert_int_equal(pthread_create(&stopper, NULL, stop_bus_master, &g), 0);
	/* It has stopped it, and waits until the request is over. */
	while (in(&g, BM + BM_COMMAND, 1) & BM_COMMAND_START)
		sched_yield();
	let_go(&g);
	pthread_join(stopper, NULL);
	settle(&g);
	assert_int_equal(counters->requests - before, 1);
	assert_int_equal(status(&g), FAILED);
	assert_int_equal(error(&g), ATA_ERROR_MEDIA);
	assert_int_equal(lba_registers(&g), 1000);
	bad.sector = UINT64_MAX / ATA_SECTOR;
	healthy(&g);
	guest_fini(&g);
}

static struct guest *held_in_repeats;

/* The I/O thread stands still behind the part that failed, in front of its first sector. */
static void bad_done_and_held(struct storage_io *io, int err)
{
	struct guest *g = held_in_repeats;

	if (g && io->len > ATA_SECTOR) {
		g->gate.run = gate_run;
		reactor_post(worker_reactor(g->ide->io), &g->gate);
	}
	bad_done(io, err);
}

/* While sectors are repeated one by one their memory is in use as it was in one piece. */
static void a_stop_waits_for_the_sector_at_hand(void **state)
{
	struct ide_channel *ch;
	pthread_t stopper;
	struct guest g;
	uint64_t before;

	(void)state;
	bad_start(&g, 1003);
	held_in_repeats = &g;
	piix3_ide_drive(g.ide, 0)->request.done = bad_done_and_held;
	ch = &g.ide->channels[0];
	before = ch->counters.requests;
	prd(&g, 0, BUFFER, 4096, true);
	command28(&g, ATA_READ_DMA, 1000, 8);
	bm_start(&g, true);
	while (sem_wait(&g.reached))
		;
	/* Whoever stops it now waits, and no other drive may begin. */
	backplane_lock(&g.plane);
	assert_ptr_equal(ch->dma.drive, piix3_ide_drive(g.ide, 0));
	backplane_unlock(&g.plane);
	assert_int_equal(pthread_create(&stopper, NULL, stop_bus_master, &g), 0);
	while (in(&g, BM + BM_COMMAND, 1) & BM_COMMAND_START)
		sched_yield();
	let_go(&g);
	pthread_join(stopper, NULL);
	settle(&g);
	/* The whole, its first sector, and no more. */
	assert_int_equal(ch->counters.requests - before, 2);
	assert_null(ch->dma.drive);
	/* The rest waits for the bus master, as the rest of any command does. */
	assert_int_equal(status(&g), DATA);
	held_in_repeats = NULL;
	prd(&g, 0, BUFFER, 4096, true);
	bm_start(&g, true);
	assert_int_equal(status(&g), FAILED);
	assert_int_equal(lba_registers(&g), 1003);
	bad.sector = UINT64_MAX / ATA_SECTOR;
	out(&g, BM + BM_COMMAND, 0, 1);
	healthy(&g);
	guest_fini(&g);
}

static unsigned moments;

/* The machine stops while the storage does not answer. */
static bool stop_soon(struct sysbus_host *host)
{
	(void)host;
	return ++moments < 3;
}

static void who_waits_for_a_storage_that_hangs_leaves_when_the_machine_stops(void **state)
{
	static const struct sysbus_host_ops stopping = {.irq_set = guest_irq, .wait = stop_soon};
	struct guest g;

	(void)state;
	bad_start(&g, UINT64_MAX / ATA_SECTOR);
	g.host.ops = &stopping;
	hold(&g);
	for (unsigned i = 0; i < 2; i++) {
		prd(&g, 0, BUFFER, 4096, true);
		command28(&g, ATA_READ_DMA, 1000, 8);
		bm_start(&g, true);
		moments = 0;
		alarm(60);
		if (i)
			config_out(&g, PCI_COMMAND, PCI_COMMAND_IO, 2);
		else
			out(&g, BM + BM_COMMAND, 0, 1);
		alarm(0);
		assert_int_equal(moments, 3);
	}
	let_go(&g);
	settle(&g);
	guest_fini(&g);
}

static void h_02_a_discard_that_fails_ends_the_trim(void **state)
{
	struct guest g;

	(void)state;
	bad_start(&g, 16);
	memset(g.ram + BUFFER, 0, 512);
	trim_range(&g, 0, 0, 8);
	trim_range(&g, 1, 16, 8);
	trim_range(&g, 2, 32, 8);
	trim(&g, 1);
	assert_int_equal(status(&g), LOST);
	assert_int_equal(error(&g), ATA_ERROR_ABORTED);
	bad.sector = 100;
	assert_false(disk_holds(&g, 0, 8));
	assert_true(disk_holds(&g, 32, 8));
	healthy(&g);
	guest_fini(&g);
}

/* ---- a storage that holds what failed until somebody has mended it ---- */

static void held_start(struct guest *g)
{
	char rules[] = "error:op=flush";

	guest_init(g);
	guest_disk(g, &(struct storage_options){
			      .target = "memory:1M",
			      .disk = "disk",
			      .layers = {.errors.werror = STORAGE_HOLD, .faulty.rules = rules}});
	command28(g, ATA_FLUSH, 0, 0);
}

static void a_reset_ends_what_the_storage_holds(void **state)
{
	struct guest g;

	(void)state;
	held_start(&g);
	assert_true(in(&g, CMD + ATA_REG_STATUS, 1) & ATA_STATUS_BUSY);
	out(&g, CTL, ATA_CONTROL_RESET, 1);
	settle(&g);
	out(&g, CTL, 0, 1);
	healthy(&g);
	guest_fini(&g);
}

/* Its memory is wanted back: a processor does not wait for an operator. */
static void a_stop_of_the_bus_master_ends_what_the_storage_holds(void **state)
{
	char rules[] = "error:op=read";
	struct guest g;

	(void)state;
	guest_init(&g);
	guest_disk(&g, &(struct storage_options){
			       .target = "memory:1M",
			       .disk = "disk",
			       .layers = {.errors.rerror = STORAGE_HOLD, .faulty.rules = rules}});
	for (unsigned i = 0; i < 2; i++) {
		prd(&g, 0, BUFFER, 4096, true);
		command28(&g, ATA_READ_DMA, 0, 8);
		bm_start(&g, true);
		assert_true(in(&g, CMD + ATA_REG_STATUS, 1) & ATA_STATUS_BUSY);
		alarm(60);
		if (i)
			config_out(&g, PCI_COMMAND, PCI_COMMAND_IO, 2);
		else
			out(&g, BM + BM_COMMAND, 0, 1);
		alarm(0);
		assert_false(ide_channel_flies(&g.ide->channels[0]));
	}
	guest_fini(&g);
}

static void the_card_goes_while_the_storage_holds(void **state)
{
	struct guest g;

	(void)state;
	held_start(&g);
	guest_fini(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(h_02_a_bad_sector_is_named),
		cmocka_unit_test(h_02_a_write_names_its_bad_sector),
		cmocka_unit_test(h_02_blocks_in_front_of_a_bad_sector_arrive),
		cmocka_unit_test(h_02_a_flush_that_fails_is_told),
		cmocka_unit_test(a_cache_that_is_off_stays_off_when_a_flush_fails),
		cmocka_unit_test(what_failed_is_not_repeated_when_the_bus_master_was_stopped),
		cmocka_unit_test(a_stop_waits_for_the_sector_at_hand),
		cmocka_unit_test(who_waits_for_a_storage_that_hangs_leaves_when_the_machine_stops),
		cmocka_unit_test(h_02_a_discard_that_fails_ends_the_trim),
		cmocka_unit_test(a_reset_ends_what_the_storage_holds),
		cmocka_unit_test(a_stop_of_the_bus_master_ends_what_the_storage_holds),
		cmocka_unit_test(the_card_goes_while_the_storage_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
