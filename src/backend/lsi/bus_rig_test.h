/* SPDX-License-Identifier: MIT */
/* What the tests of the bus have in common: some commands, and ways to begin or leave them. */
#ifndef BACKEND_LSI_BUS_RIG_TEST_H
#define BACKEND_LSI_BUS_RIG_TEST_H

#include "test.h"

#include "backend/lsi/rig_test.h"

#include <string.h>

#define RIG(r)            \
	struct lsi_rig r; \
	(void)state;      \
	lr_init(&r, NULL)

#define END 7u

static const uint8_t inquiry[16] = {SCSI_INQUIRY, 0, 0, 0, 36};
static const uint8_t ready[16] = {SCSI_TEST_UNIT_READY};
static const uint8_t read_8[16] = {SCSI_READ_10, 0, 0, 0, 0, 16, 0, 0, 8};
static const uint8_t write_8[16] = {SCSI_WRITE_10, 0, 0, 0, 0, 16, 0, 0, 8};
static const uint8_t sense[16] = {SCSI_REQUEST_SENSE, 0, 0, 0, 18};

#define IDENTIFY 0xc0 /* may disconnect */
#define STAY	 0x80

static inline struct lr_command make(const uint8_t *cdb, uint32_t len)
{
	return (struct lr_command){.message = {IDENTIFY}, .message_n = 1, .cdb = cdb, .len = len};
}

static inline void pattern(uint8_t *p, size_t n, uint32_t seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = (uint8_t)(seed >> 24);
	}
}

static inline uint8_t do_one(struct lsi_rig *r, const uint8_t *cdb, uint32_t len, bool out)
{
	struct lr_command c = make(cdb, len);

	c.out = out;
	return lr_do(r, &c);
}

static inline void check_attention(struct lsi_rig *r, uint16_t asc)
{
	assert_int_equal(do_one(r, ready, 0, false), SCSI_CHECK_CONDITION);
	assert_int_equal(do_one(r, sense, 18, false), SCSI_GOOD);
	assert_int_equal(scsi_get16(r->ram + LR_DATA + 12), asc);
	assert_int_equal(do_one(r, ready, 0, false), SCSI_GOOD);
}

static inline void start_read(struct lsi_rig *r, uint32_t room)
{
	struct lr_command c = make(inquiry, room);

	lr_begin(r);
	lr_driver(r, &c);
	lr_out32(r, LSI_DSA, LR_TABLE);
}

/* Leaves a read with this tag (0: none) disconnected. */
static inline void leave_one(struct lsi_rig *r, uint8_t tag)
{
	struct lr_command c = make(read_8, 4096);

	c.message_n = tag ? 3 : 1;
	c.message[1] = SPI_MSG_SIMPLE_TAG;
	c.message[2] = tag;
	lr_begin(r);
	lr_driver(r, &c);
	lr_out32(r, LSI_DSA, LR_TABLE);
	lr_out32(r, LSI_DSP, LR_CODE);
	assert_int_equal(r->lsi->wait, LSI_WAITS_RESELECT);
	lr_out8(r, LSI_ISTAT, ISTAT_ABRT);
	lr_in8(r, LSI_DSTAT);
	lr_out8(r, LSI_ISTAT, 0);
}

static inline unsigned left_behind(const struct lsi_rig *r)
{
	unsigned n = 0;

	list_for_each (l, &r->lsi->bus.waiting)
		n++;
	list_for_each (l, &r->lsi->bus.ready)
		n++;
	return n;
}

#endif
