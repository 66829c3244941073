/* SPDX-License-Identifier: MIT */
/*
 * A guest that reads and writes anything anywhere on a whole PC: every port, memory and
 * configuration register, at every width, in any order.  No byte outside guest memory may
 * be touched, nothing may crash or hang, and after a reset each disk works and the machine
 * ends as it is told to.
 *
 * The accesses of all programs in one run of ./check make more than ten million; PC_FUZZ_ACCESSES
 * names another number for each variant.
 */
#include "test.h"

#include "pc_fuzz.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#ifdef BASE_TSAN
#define ACCESSES 250000u
#define AND_SCSI /* whose program comes out of guest memory: see pc_fuzz.h */
#else
#define ACCESSES 1300000u
#define AND_SCSI "scsi",
#endif

#define REGIONS_MAX 128

struct region {
	enum sysbus_space space;
	uint64_t base, size;
};

struct variant {
	const char *devices[8];
	uint64_t seed;
};

struct run {
	struct fuzz f;
	struct region regions[REGIONS_MAX];
	unsigned n_regions;
};

/* Who answers where at present. */
static void look_around(struct run *run)
{
	struct sysbus *bus = &run->f.r->pc->plane.bus;
	struct list *lists[] = {&bus->ports, &bus->memory};

	run->n_regions = 0;
	for (unsigned i = 0; i < 2; i++)
		list_for_each (l, lists[i]) {
			const struct sysbus_region *r = list_entry(l, struct sysbus_region, link);

			if (run->n_regions < REGIONS_MAX)
				run->regions[run->n_regions++] = (struct region){r->space, r->base,
										 r->size};
		}
}

static void touch(struct run *run, enum sysbus_space space, uint64_t at)
{
	struct fuzz *f = &run->f;
	unsigned size = 1u << fuzz_below(f, space == SYSBUS_PORT ? 3 : 4);

	if (space == SYSBUS_PORT)
		at &= 0xffff;
	if (fuzz_below(f, 2))
		pc_rig_write(f->r, space, at, fuzz_value(f), size);
	else
		pc_rig_read(f->r, space, at, size);
}

/* Registers crowd at the beginning of a region, and of each page of it. */
static void touch_region(struct run *run)
{
	struct fuzz *f = &run->f;
	const struct region *r = &run->regions[fuzz_below(f, run->n_regions)];
	uint64_t offset = fuzz_next(f);

	if (fuzz_below(f, 8))
		offset &= fuzz_below(f, 2) ? 0x3f : 0xf0ff;
	touch(run, r->space, r->base + offset % r->size);
}

static void touch_config(struct run *run)
{
	struct fuzz *f = &run->f;
	unsigned offset = fuzz_below(f, 256), size = 1u << fuzz_below(f, 3);
	uint32_t address = PCI_CONFIG_ENABLE | fuzz_below(f, 16) << 11 | (offset & 0xfc);

	if (!fuzz_below(f, 4))
		address |= fuzz_below(f, 4) << 8;
	if (!fuzz_below(f, 32))
		address = (uint32_t)fuzz_value(f);
	pc_rig_write(f->r, SYSBUS_PORT, PCI_CONFIG_ADDRESS_PORT, address, 4);
	if (fuzz_below(f, 2))
		pc_rig_write(f->r, SYSBUS_PORT, PCI_CONFIG_DATA_PORT + (offset & 3), fuzz_value(f),
			     size);
	else
		pc_rig_read(f->r, SYSBUS_PORT, PCI_CONFIG_DATA_PORT + (offset & 3), size);
}

static void touch_anything(struct run *run)
{
	touch(run, fuzz_below(&run->f, 2) ? SYSBUS_PORT : SYSBUS_MEMORY, fuzz_value(&run->f));
}

static void spoil_memory(struct run *run)
{
	uint64_t value = fuzz_value(&run->f);

	fuzz_store(&run->f, fuzz_address(&run->f, 8), &value, sizeof(value));
}

/* Frames of any length that the other end of the cable sends, and takes. */
static void disturb_wire(struct run *run)
{
	uint8_t frame[2048] = {0};
	unsigned size = fuzz_below(&run->f, 2) ? fuzz_below(&run->f, 70)
					       : fuzz_below(&run->f, sizeof(frame));

	if (!run->f.r->wire)
		return;
	for (unsigned i = 0; i + 8 <= size && i < 64; i += 8)
		memcpy(frame + i, &(uint64_t){fuzz_next(&run->f)}, 8);
	(void)send(run->f.r->wire, frame, size, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (fuzz_below(&run->f, 2))
		(void)recv(run->f.r->wire, frame, sizeof(frame), MSG_DONTWAIT);
}

static uint64_t accesses(void)
{
	const char *n = getenv("PC_FUZZ_ACCESSES");

	return n ? strtoull(n, NULL, 10) : ACCESSES;
}

static void one_step(struct run *run)
{
	struct pc_rig *r = run->f.r;
	unsigned what = fuzz_below(&run->f, 1024);

	if (what < 460)
		touch_region(run);
	else if (what < 760)
		touch_config(run);
	else if (what < 860)
		touch_anything(run);
	else if (what < 960)
		spoil_memory(run);
	else if (what < 966)
		fuzz_drive(&run->f);
	else if (what < 984)
		pc_rig_turn(r);
	else if (what < 990)
		disturb_wire(run);
	else if (what < 1000)
		serial_receive(&r->pc->serial, (const uint8_t *)&run->f.s, 8);
	else if (what < 1010)
		serial_room(&r->pc->serial);
	else if (what < 1020)
		look_around(run);
	else if (what < 1023)
		pc_rig_assign(r);
	else if (!fuzz_below(&run->f, 32))
		pc_rig_reset(r);
	r->pc->end = PC_RUNNING;
}

static void p_nothing_on_the_bus_does_harm(void **state)
{
	const struct variant *v = *state;
	struct pc_rig r;
	struct run run = {.f = {.r = &r, .s = v->seed}};
	unsigned disks = 0;

	for (unsigned i = 0; v->devices[i]; i++)
		disks += strcmp(v->devices[i], "ide") && strcmp(v->devices[i], "net") &&
			 strcmp(v->devices[i], "scsi");
	pc_rig_init(&r, v->devices);
	look_around(&run);
	for (uint64_t n = accesses(); r.accesses < n;)
		one_step(&run);
	/* The almost-drivers got far enough to matter. */
	assert_true(r.interrupts > 0);
	assert_true(!FUZZ_MEMORY || pc_rig_requests(&r) > 0);
	assert_true(!r.pc->ide || r.pc->ide->channels[0].counters.requests > 0);

	pc_rig_reset(&r);
	assert_int_equal(pc_rig_check(&r), disks);
	pc_rig_check_ide(&r);
	/* And it ends as it is told to. */
	pc_rig_write(&r, SYSBUS_PORT, 0xf4, 0x21, 1);
	assert_int_equal(r.pc->end, PC_EXIT);
	assert_int_equal(r.pc->exit_value, 0x21);
	pc_rig_fini(&r);
}

#define VARIANT(n, sd, ...)                                             \
	{                                                               \
		.name = n, .test_func = p_nothing_on_the_bus_does_harm, \
		.initial_state = &(struct variant)                      \
		{                                                       \
			.devices = {__VA_ARGS__}, .seed = sd            \
		}                                                       \
	}

int main(void)
{
	struct CMUnitTest tests[] = {
		VARIANT("p_pc_with_a_disk", 0x7654321, ""),
		VARIANT("p_pc_with_everything", 0x3217654, "", "ide", "net", "ide",
			AND_SCSI "legacy-only"),
		VARIANT("p_pc_with_four_disks", 0x6543217, "", "modern-only queues", "legacy-only",
			"no-msix queues"),
		VARIANT("p_pc_with_modern_disks", 0x5432176, "modern-only", "modern-only queues"),
		VARIANT("p_pc_with_legacy_disks", 0x4321765, "legacy-only queues",
			"legacy-only no-msix"),
	};

	log_setup(LOG_LEVEL_ERR, NULL, NULL);
	return cmocka_run_group_tests_name("pc_fuzz", tests, NULL, NULL);
}
