/* SPDX-License-Identifier: MIT */
/*
 * Upper halves of addresses: which register, word or table gives them.  Two memories of the same
 * shape, one at 0 and one at HIGH, hold different bytes, which tell where the card has looked.
 */
#include "backend/lsi/bus_rig_test.h"

#include <sys/mman.h>

#define UPPER	3u
#define HIGH	((uint64_t)UPPER << 32)

#define IN_LOW	(IDENTIFY | 1)
#define IN_HIGH (IDENTIFY | 2)

static uint8_t *high_memory(struct lsi_rig *r)
{
	uint8_t *high = mmap(NULL, LR_RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			     0);
	struct gmem *both;

	assert_ptr_not_equal(high, MAP_FAILED);
	assert_int_equal(gmem_with_host(r->mem, HIGH, LR_RAM, 0, high, &both, NULL), 0);
	gmem_put(r->lsi->mem);
	r->lsi->mem = both;
	return high;
}

static void reset(struct lsi_rig *r)
{
	lr_out8(r, LSI_ISTAT, ISTAT_SRST);
	lr_out8(r, LSI_ISTAT, 0);
	lr_begin(r);
}

#define SELECTOR(index) (0x00000001u | (uint32_t)(index) << 24)
#define NO_REGISTER	0u

/* IDENTIFY goes out from either memory, and the unit that it names is the answer. */
static void lsi_upper_halves_of_block_moves(void **state)
{
	static const struct {
		uint32_t word, third;
		unsigned reg; /* holds UPPER */
		uint8_t mode;
		uint32_t entry; /* first word of the table's entry */
		bool high;
	} cases[] = {
		{0, 0, NO_REGISTER, 0, 0, false},
		{0, 0, LSI_SBMS, 0, 0, true},
		{0, 0, LSI_MMRS, 0, 0, false},
		{0, UPPER, NO_REGISTER, CCNTL1_DIRECT64, 0, true},
		{0, 0, LSI_SBMS, CCNTL1_DIRECT64, 0, false},
		{S_INDIRECT, 0, NO_REGISTER, 0, 0, false},
		{S_INDIRECT, 0, LSI_SBMS, 0, 0, true},
		{S_INDIRECT, 0, LSI_SBMS, CCNTL1_DIRECT64, 0, true},
		{S_TABLE, 0, NO_REGISTER, 0, 1, false},
		{S_TABLE, 0, LSI_SBMS, 0, 1, true},
		{S_TABLE, 0, LSI_SBMS, CCNTL1_DIRECT64, 1, true},
		{S_TABLE, 0, LSI_SBMS, CCNTL1_TI64 | CCNTL1_TI64_INDEX, 1, false},
		{S_TABLE, 0, NO_REGISTER, CCNTL1_TI64 | CCNTL1_TI64_INDEX, SELECTOR(UPPER), true},
		{S_TABLE, 0, LSI_SCRATCHC, CCNTL1_TI64, SELECTOR(0), true},
		{S_TABLE, 0, LSI_SCRATCHC, CCNTL1_TI64, SELECTOR(1), false},
		{S_TABLE, 0, LSI_SCRATCHC + 4, CCNTL1_TI64, SELECTOR(1), true},
		{S_TABLE, 0, LSI_SCRATCHC + 60, CCNTL1_TI64, SELECTOR(15), true},
		{S_TABLE, 0, LSI_MMRS, CCNTL1_TI64, SELECTOR(16), true},
		{S_TABLE, 0, LSI_MMWS, CCNTL1_TI64, SELECTOR(17), true},
		{S_TABLE, 0, LSI_SFS, CCNTL1_TI64, SELECTOR(18), true},
		{S_TABLE, 0, LSI_DRS, CCNTL1_TI64, SELECTOR(19), true},
		{S_TABLE, 0, LSI_SBMS, CCNTL1_TI64, SELECTOR(20), true},
		{S_TABLE, 0, LSI_DBMS, CCNTL1_TI64, SELECTOR(21), true},
		{S_TABLE, 0, LSI_DBMS, CCNTL1_TI64, SELECTOR(31), false}, /* there is none */
	};
	RIG(r);
	uint8_t *high = high_memory(&r);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t word = S_MOVE(SPI_MSG_OUT, 1) | cases[i].word;
		uint32_t second = cases[i].word == S_INDIRECT ? LR_TABLE : LR_DATA;

		reset(&r);
		/* The table says where the byte is; a place in memory does so, too. */
		lr_put32(&r, LR_TABLE, cases[i].word == S_TABLE ? cases[i].entry : LR_DATA);
		lr_put32(&r, LR_TABLE + 4, LR_DATA);
		lr_emit(&r, S_SELECT(0) | S_ATN, LR_NOBODY);
		if (cases[i].mode == CCNTL1_DIRECT64 && !cases[i].word)
			lr_emit3(&r, word, second, cases[i].third);
		else
			lr_emit(&r, word, cases[i].word == S_TABLE ? 0 : second);
		lr_emit(&r, S_INT | S_TRUE, END);
		memcpy(high, r.ram, LR_RAM);
		r.ram[LR_DATA] = IN_LOW;
		high[LR_DATA] = IN_HIGH;
		lr_out8(&r, LSI_CCNTL1, cases[i].mode);
		lr_out32(&r, LSI_DSA, LR_TABLE);
		if (cases[i].reg != NO_REGISTER)
			lr_out32(&r, cases[i].reg, UPPER);
		lr_run_to(&r, END);
		assert_non_null(r.lsi->bus.now);
		assert_int_equal(r.lsi->bus.now->lun,
				 (cases[i].high ? IN_HIGH : IN_LOW) & SPI_MSG_LUN);
	}
	lr_fini(&r);
	munmap(high, LR_RAM);
}

/* Memory moves, load and store have one for reading and one for writing. */
static void lsi_upper_halves_of_memory_moves(void **state)
{
	static const struct {
		unsigned reg;
		bool from_high, to_high;
	} cases[] = {{NO_REGISTER, false, false},
		     {LSI_MMRS, true, false},
		     {LSI_MMWS, false, true},
		     {LSI_DRS, false, false}};
	RIG(r);
	uint8_t *high = high_memory(&r);

	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		bool by_move = i & 1;
		const uint8_t *to = cases[i / 2].to_high ? high : r.ram;
		const uint8_t *other = cases[i / 2].to_high ? r.ram : high;

		reset(&r);
		memset(r.ram + LR_DATA, 0x11, 4);
		memset(high + LR_DATA, 0x22, 4);
		memset(r.ram + LR_DATA + 8, 0, 4);
		memset(high + LR_DATA + 8, 0, 4);
		if (by_move) {
			lr_emit3(&r, S_MEMORY(4), LR_DATA, LR_DATA + 8);
		} else {
			lr_emit(&r, S_LOAD(LSI_SCRATCHA, 4), LR_DATA);
			lr_emit(&r, S_STORE(LSI_SCRATCHA, 4), LR_DATA + 8);
		}
		lr_emit(&r, S_INT | S_TRUE, END);
		if (cases[i / 2].reg != NO_REGISTER)
			lr_out32(&r, cases[i / 2].reg, UPPER);
		lr_run_to(&r, END);
		assert_int_equal(to[LR_DATA + 8], cases[i / 2].from_high ? 0x22 : 0x11);
		assert_int_equal(other[LR_DATA + 8], 0);
	}
	lr_fini(&r);
	munmap(high, LR_RAM);
}

/* Programs, and all that is relative to DSA. */
static void lsi_upper_halves_of_programs_and_tables(void **state)
{
	RIG(r);
	uint8_t *high = high_memory(&r);

	/* Both memories have a table, and a target's ID and a word in it. */
	lr_emit(&r, S_SELECT(0) | S_SEL_TABLE | S_ATN, LR_NOBODY);
	lr_emit(&r, S_LOAD(LSI_SCRATCHA, 4) | S_DSA, 4);
	lr_emit(&r, S_STORE(LSI_SCRATCHA, 4) | S_DSA, 8);
	lr_emit(&r, S_INT | S_TRUE, END);
	lr_put32(&r, LR_TABLE, 3 << 16);
	lr_put32(&r, LR_TABLE + 4, 0x33333333);
	memcpy(high, r.ram, LR_RAM);
	lr_put32(&r, LR_TABLE, 0);
	lr_put32(&r, LR_TABLE + 4, 0);
	lr_out32(&r, LSI_DSA, LR_TABLE);
	lr_out32(&r, LSI_DRS, UPPER);
	lr_run_to(&r, END);
	assert_int_equal(lr_in8(&r, LSI_SDID), 3);
	assert_int_equal(lr_in32(&r, LSI_SCRATCHA), 0x33333333);
	assert_int_equal(high[LR_TABLE + 8], 0x33);
	assert_int_equal(r.ram[LR_TABLE + 8], 0);
	/* The program itself, a move's third word with it. */
	reset(&r);
	lr_emit3(&r, S_MEMORY(4), LR_DATA, LR_DATA + 8);
	lr_emit(&r, S_INT | S_TRUE, END);
	memcpy(high, r.ram, LR_RAM);
	memset(r.ram + LR_CODE, 0xff, 0x100);
	memset(r.ram + LR_DATA, 0x44, 4);
	lr_out32(&r, LSI_SFS, UPPER);
	lr_run_to(&r, END);
	assert_int_equal(r.ram[LR_DATA + 8], 0x44);
	lr_fini(&r);
	munmap(high, LR_RAM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lsi_upper_halves_of_block_moves),
		cmocka_unit_test(lsi_upper_halves_of_memory_moves),
		cmocka_unit_test(lsi_upper_halves_of_programs_and_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
