/* SPDX-License-Identifier: MIT */
/*
 * Programs of random words and registers of random values: nothing may crash, hang or touch a byte
 * outside memory (there is nothing around it), and after a reset everything works.
 *
 * Some programs are bytes of any value, some are instructions that make sense by themselves, and
 * some are a driver's with a few words changed.  LSI_FUZZ_PROGRAMS in the environment names another
 * number of programs.
 */
#include "test.h"

#include "backend/lsi/rig_test.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#ifndef PROGRAMS_DEFAULT
#define PROGRAMS_DEFAULT 25000u
#endif

static uint64_t next(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static uint32_t below(uint64_t *s, uint32_t n)
{
	return (uint32_t)((next(s) >> 20) % n);
}

static uint32_t some_address(uint64_t *s)
{
	static const uint32_t bases[] = {LR_CODE,   LR_CODE, LR_TABLE,	   LR_TABLE,
					 LR_DATA,   LR_DATA, LR_REGISTERS, LR_ONCHIP,
					 LR_NOBODY, 0,	     LR_RAM - 8};

	if (!below(s, 12))
		return (uint32_t)next(s);
	return bases[below(s, ARRAY_SIZE(bases))] + (below(s, 256) & (below(s, 4) ? 0xfcu : 0xffu));
}

static uint32_t some_count(uint64_t *s)
{
	switch (below(s, 16)) {
	case 0:
		return 0xffffff;
	case 1:
		return below(s, 0x1000000);
	case 2:
		return 0;
	case 3:
		return 4096;
	default:
		return below(s, 64);
	}
}

static uint8_t some_register(uint64_t *s)
{
	static const uint8_t risky[] = {LSI_ISTAT,  LSI_SCNTL1, LSI_DSP + 3, LSI_DCNTL,
					LSI_CTEST2, LSI_DSTAT,	LSI_SIST,    LSI_SCNTL0,
					LSI_SFBR,   LSI_DSA,	LSI_TEMP,    LSI_CCNTL0};

	return below(s, 4) ? (uint8_t)next(s) : risky[below(s, sizeof(risky))];
}

static uint32_t some_jump(uint64_t *s)
{
	uint32_t word = 0x80000000u | (below(s, 5) << 27) | (uint32_t)(next(s) & 0x07bfffff);

	/* Most are taken, and most know where to. */
	if (below(s, 3))
		word = (word & ~0x00270000u) | S_TRUE;
	return word;
}

static void some_instruction(struct lsi_rig *r, uint64_t *s)
{
	uint8_t reg = some_register(s);

	switch (below(s, 12)) {
	case 0:
	case 1:
		lr_emit(r, S_MOVE(below(s, 8), some_count(s)) | (below(s, 4) ? 0 : S_TABLE),
			some_address(s));
		break;
	case 2:
		lr_emit(r,
			S_SELECT(below(s, 3) ? 3 * below(s, 2) : below(s, 16)) |
				(below(s, 3) ? S_ATN : 0) | (below(s, 6) ? 0 : S_SEL_TABLE),
			some_address(s));
		break;
	case 3:
		lr_emit(r, 0x40000000u | below(s, 5) << 27 | (next(s) & 0x648), some_address(s));
		break;
	case 4:
		lr_emit(r,
			(below(s, 3) + 5) << 27 | 0x40000000u | S_REG(reg) |
				S_OP(below(s, 8), below(s, 256)),
			0);
		break;
	case 5:
	case 6:
		lr_emit(r, some_jump(s), some_address(s));
		break;
	case 7:
		lr_emit3(r, S_MEMORY(some_count(s)), some_address(s), some_address(s));
		break;
	case 8:
		lr_emit(r,
			0xe0000000u | below(s, 2) << 28 | below(s, 2) << 24 | (uint32_t)reg << 16 |
				below(s, 6),
			some_address(s));
		break;
	case 9:
		lr_emit(r, (uint32_t)next(s), (uint32_t)next(s));
		break;
	default: /* what gets a command going */
		lr_emit(r, S_SELECT(3 * below(s, 2)) | S_ATN, some_address(s));
		lr_emit(r, S_MOVE(SPI_MSG_OUT, 1 + below(s, 4)), LR_TABLE);
		lr_emit(r, S_MOVE(SPI_COMMAND, 6 + 4 * below(s, 3)), LR_TABLE + 16);
		lr_emit(r, S_MOVE(below(s, 2), some_count(s)), some_address(s));
	}
}

static void some_tables(struct lsi_rig *r, uint64_t *s)
{
	static const uint8_t ops[] = {SCSI_READ_10,	  SCSI_WRITE_10,    SCSI_INQUIRY,
				      SCSI_READ_6,	  SCSI_UNMAP,	    SCSI_WRITE_SAME_16,
				      SCSI_MODE_SELECT_6, SCSI_READ_16,	    SCSI_VERIFY_10,
				      SCSI_MODE_SENSE_10, SCSI_REPORT_LUNS, SCSI_SYNC_CACHE_10};
	static const uint8_t messages[] = {0xc0, 0x80, 0xc0, 0x20, 0x01, 0x03,
					   0x06, 0x0c, 0x0d, 0x07, 0xc3};

	for (unsigned i = 0; i < 0x200; i++)
		r->ram[LR_TABLE + i] = (uint8_t)(below(s, 3) ? 0 : next(s));
	for (unsigned i = 0; i < 8; i++)
		r->ram[LR_TABLE + i] = messages[below(s, i ? sizeof(messages) : 2)];
	memset(r->ram + LR_TABLE + 16, 0, 16);
	r->ram[LR_TABLE + 16] = below(s, 8) ? ops[below(s, sizeof(ops))] : (uint8_t)next(s);
	r->ram[LR_TABLE + 24] = (uint8_t)below(s, 40);
	r->ram[LR_TABLE + 21] = (uint8_t)below(s, 256);
	if (!below(s, 4))
		r->ram[LR_TABLE + 16 + below(s, 16)] = (uint8_t)next(s);
}

/* A driver's program for some command, with some of its words or bytes of its tables changed. */
static void almost_a_driver(struct lsi_rig *r, uint64_t *s)
{
	uint8_t cdb[16];
	struct lr_command c = {
		.id = below(s, 8) ? 3 * below(s, 2) : below(s, 16),
		.message_n = 1 + below(s, 3) * below(s, 2),
		.cdb = cdb,
		.len = some_count(s) * (1 + below(s, 64)) & 0xffffff,
		.out = below(s, 2),
	};

	memcpy(cdb, r->ram + LR_TABLE + 16, sizeof(cdb));
	memcpy(c.message, r->ram + LR_TABLE, 8);
	lr_driver(r, &c);
	for (unsigned n = below(s, 4); n--;)
		lr_put32(r, LR_CODE + 4 * below(s, (r->at - LR_CODE) / 4),
			 below(s, 2) ? (uint32_t)next(s) : some_address(s));
	if (!below(s, 4))
		r->ram[LR_TABLE + below(s, 128)] = (uint8_t)next(s);
	/* Where some_tables() puts the next one's. */
	if (below(s, 2)) {
		memcpy(r->ram + LR_TABLE + 0x200, r->ram + LR_TABLE, 0x100);
		lr_out32(r, LSI_DSA, LR_TABLE + 0x200);
	}
}

static void some_program(struct lsi_rig *r, uint64_t *s)
{
	lr_begin(r);
	if (below(s, 2)) {
		almost_a_driver(r, s);
		return;
	}
	if (!below(s, 3)) {
		for (unsigned i = 0; i < 0x100; i += 4)
			lr_put32(r, LR_CODE + i, (uint32_t)next(s));
		return;
	}
	for (unsigned n = 1 + below(s, 24); n--;)
		some_instruction(r, s);
	lr_emit(r, below(s, 3) ? S_INT | S_TRUE : S_JUMP | S_TRUE, LR_CODE);
}

static void touch(struct lsi_rig *r, uint64_t *s)
{
	enum sysbus_space space = below(s, 2) ? SYSBUS_MEMORY : SYSBUS_PORT;
	uint64_t base = space == SYSBUS_PORT ? LR_PORTS : below(s, 4) ? LR_REGISTERS : LR_ONCHIP;
	unsigned size = 1u << below(s, space == SYSBUS_PORT ? 3 : 4);
	uint8_t reg = some_register(s);

	if (below(s, 2))
		sysbus_write(&r->plane.bus, space, base + reg, below(s, 3) ? next(s) : 0, size);
	else
		sysbus_read(&r->plane.bus, space, base + reg, size);
}

static unsigned programs(void)
{
	const char *n = getenv("LSI_FUZZ_PROGRAMS");

	return n ? (unsigned)strtoul(n, NULL, 10) : PROGRAMS_DEFAULT;
}

/* Back to a card that works, by what a driver can do. */
static void heal(struct lsi_rig *r)
{
	pci_function_config_write(&r->lsi->fn, PCI_COMMAND, 7, 2);
	lr_out8(r, LSI_ISTAT, 0);
	lr_out8(r, LSI_ISTAT, ISTAT_SRST);
	lr_out8(r, LSI_ISTAT, 0);
	lr_out8(r, LSI_SCNTL1, SCNTL1_RST);
	lr_out8(r, LSI_SCNTL1, 0);
	lr_in8(r, LSI_SIST);
	lr_out8(r, LSI_SCID, SCID_RRE | 7);
}

/* Without this most commands would end before they begin. */
static void make_ready(struct lsi_rig *r)
{
	for (unsigned id = 0; id < 4; id += 3) {
		r->lsi->bus.disks[id]->attention = 0;
		r->lsi->bus.disks[id]->halted = false;
	}
}

static void lsi_any_program(void **state)
{
	static const uint8_t inquiry[16] = {SCSI_INQUIRY, 0, 0, 0, 36};
	uint64_t s = *(const uint64_t *)*state;
	struct lr_command c = {.message = {0xc0}, .message_n = 1, .cdb = inquiry, .len = 36};
	struct lsi_rig r;

	log_setup(LOG_LEVEL_ERR, NULL, NULL);
	lr_init(&r, NULL);
	for (unsigned n = programs(), i = 0; i < n; i++) {
		some_tables(&r, &s);
		if (below(&s, 8))
			make_ready(&r);
		lr_out32(&r, LSI_DSA, below(&s, 8) ? LR_TABLE : some_address(&s) & ~3u);
		some_program(&r, &s);
		lr_out32(&r, LSI_DSP, LR_CODE + 4 * below(&s, 2) * below(&s, 8));
		for (unsigned k = below(&s, 6); k--;) {
			if (below(&s, 2))
				touch(&r, &s);
			else
				reactor_process(r.home);
		}
		if (below(&s, 2))
			heal(&r);
		if (!below(&s, 200))
			pci_function_reset(&r.lsi->fn);
		if (!below(&s, 64)) {
			pci_function_config_write(&r.lsi->fn, PCI_BAR0, LR_PORTS, 4);
			pci_function_config_write(&r.lsi->fn, PCI_BAR0 + 4, LR_REGISTERS, 4);
			pci_function_config_write(&r.lsi->fn, PCI_BAR0 + 8, LR_ONCHIP, 4);
			heal(&r);
			make_ready(&r);
			assert_int_equal(lr_do(&r, &c), SCSI_GOOD);
			assert_memory_equal(r.ram + LR_DATA + 8, "RINGSIDE", 8);
		}
	}
	print_message("# %llu instructions, %llu commands, %llu storage requests\n",
		      (unsigned long long)r.lsi->stats.instructions,
		      (unsigned long long)(r.lsi->bus.disks[0]->stats.commands +
					   r.lsi->bus.disks[3]->stats.commands),
		      (unsigned long long)(r.lsi->bus.disks[0]->stats.reads +
					   r.lsi->bus.disks[0]->stats.writes +
					   r.lsi->bus.disks[3]->stats.reads +
					   r.lsi->bus.disks[3]->stats.writes));
	lr_fini(&r);
}

int main(void)
{
	static const uint64_t seeds[] = {0x9e3779b97f4a7c15u, 0x123456789abcdefu,
					 0xfeedfacecafebeefu};
	const struct CMUnitTest tests[] = {
		{"lsi_any_program_1", lsi_any_program, NULL, NULL, (void *)(uintptr_t)&seeds[0]},
		{"lsi_any_program_2", lsi_any_program, NULL, NULL, (void *)(uintptr_t)&seeds[1]},
		{"lsi_any_program_3", lsi_any_program, NULL, NULL, (void *)(uintptr_t)&seeds[2]},
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
