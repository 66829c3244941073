/* SPDX-License-Identifier: MIT */
/*
 * SCSI as a disk and its initiator speak it: commands and sense (SPC-4, SBC-3), messages and phases
 * of the parallel bus (SPI-3, chapters 10 and 16; SCSI-2, chapter 6).  Fields are big-endian and
 * unaligned: scsi_get32() and its kin.
 */
#ifndef WIRE_SCSI_H
#define WIRE_SCSI_H

#include <stdint.h>

static inline uint32_t scsi_get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}
static inline uint32_t scsi_get24(const uint8_t *p)
{
	return (uint32_t)p[0] << 16 | scsi_get16(p + 1);
}
static inline uint32_t scsi_get32(const uint8_t *p)
{
	return scsi_get16(p) << 16 | scsi_get16(p + 2);
}
static inline uint64_t scsi_get64(const uint8_t *p)
{
	return (uint64_t)scsi_get32(p) << 32 | scsi_get32(p + 4);
}
static inline void scsi_put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}
static inline void scsi_put32(uint8_t *p, uint32_t v)
{
	scsi_put16(p, v >> 16);
	scsi_put16(p + 2, v);
}
static inline void scsi_put64(uint8_t *p, uint64_t v)
{
	scsi_put32(p, (uint32_t)(v >> 32));
	scsi_put32(p + 4, (uint32_t)v);
}

/* ---- operation codes ---- */

#define SCSI_TEST_UNIT_READY   0x00
#define SCSI_REQUEST_SENSE     0x03
#define SCSI_READ_6	       0x08
#define SCSI_WRITE_6	       0x0a
#define SCSI_INQUIRY	       0x12
#define SCSI_MODE_SELECT_6     0x15
#define SCSI_RESERVE_6	       0x16
#define SCSI_RELEASE_6	       0x17
#define SCSI_MODE_SENSE_6      0x1a
#define SCSI_START_STOP_UNIT   0x1b
#define SCSI_SEND_DIAGNOSTIC   0x1d
#define SCSI_READ_CAPACITY_10  0x25
#define SCSI_READ_10	       0x28
#define SCSI_WRITE_10	       0x2a
#define SCSI_WRITE_VERIFY_10   0x2e
#define SCSI_VERIFY_10	       0x2f
#define SCSI_SYNC_CACHE_10     0x35
#define SCSI_WRITE_SAME_10     0x41
#define SCSI_UNMAP	       0x42
#define SCSI_MODE_SELECT_10    0x55
#define SCSI_RESERVE_10	       0x56
#define SCSI_RELEASE_10	       0x57
#define SCSI_MODE_SENSE_10     0x5a
#define SCSI_READ_16	       0x88
#define SCSI_WRITE_16	       0x8a
#define SCSI_WRITE_VERIFY_16   0x8e
#define SCSI_VERIFY_16	       0x8f
#define SCSI_SYNC_CACHE_16     0x91
#define SCSI_WRITE_SAME_16     0x93
#define SCSI_SERVICE_IN_16     0x9e
#define SCSI_SA_READ_CAPACITY  0x10
#define SCSI_REPORT_LUNS       0xa0
#define SCSI_MAINTENANCE_IN    0xa3
#define SCSI_SA_REPORT_OPCODES 0x0c
#define SCSI_READ_12	       0xa8
#define SCSI_WRITE_12	       0xaa
#define SCSI_WRITE_VERIFY_12   0xae
#define SCSI_VERIFY_12	       0xaf
#define SCSI_CDB_MAX	       16u

/* The last byte of a CDB: linked commands, and contingent allegiance kept by the initiator. */
#define SCSI_CONTROL_LINK 0x03
#define SCSI_CONTROL_NACA 0x04

/* ---- status ---- */

#define SCSI_GOOD	     0x00
#define SCSI_CHECK_CONDITION 0x02
#define SCSI_BUSY_STATUS     0x08
#define SCSI_TASK_SET_FULL   0x28

/* ---- sense keys, and additional sense codes with their qualifiers ---- */

#define SCSI_KEY_NONE		  0x0
#define SCSI_KEY_NOT_READY	  0x2
#define SCSI_KEY_MEDIUM_ERROR	  0x3
#define SCSI_KEY_HARDWARE_ERROR	  0x4
#define SCSI_KEY_ILLEGAL_REQUEST  0x5
#define SCSI_KEY_UNIT_ATTENTION	  0x6
#define SCSI_KEY_DATA_PROTECT	  0x7
#define SCSI_KEY_ABORTED_COMMAND  0xb
#define SCSI_KEY_MISCOMPARE	  0xe

#define SCSI_ASC_START_NEEDED	  0x0402
#define SCSI_ASC_WRITE_ERROR	  0x0c00
#define SCSI_ASC_READ_ERROR	  0x1100
#define SCSI_ASC_LIST_LENGTH	  0x1a00
#define SCSI_ASC_MISCOMPARE	  0x1d00
#define SCSI_ASC_OPCODE		  0x2000
#define SCSI_ASC_LBA		  0x2100
#define SCSI_ASC_CDB_FIELD	  0x2400
#define SCSI_ASC_LUN		  0x2500
#define SCSI_ASC_LIST_FIELD	  0x2600
#define SCSI_ASC_WRITE_PROTECTED  0x2700
#define SCSI_ASC_NO_SPACE	  0x2707
#define SCSI_ASC_POWER_ON	  0x2900
#define SCSI_ASC_BUS_RESET	  0x2902
#define SCSI_ASC_DEVICE_RESET	  0x2903
#define SCSI_ASC_MODE_CHANGED	  0x2a01
#define SCSI_ASC_CAPACITY_CHANGED 0x2a09
#define SCSI_ASC_SAVING		  0x3900
#define SCSI_ASC_INTERNAL	  0x4400
#define SCSI_ASC_OVERLAPPED	  0x4e00

#define SCSI_SENSE_BYTES	  18u

/* ---- vital product data ---- */

#define SCSI_VPD_PAGES	      0x00
#define SCSI_VPD_SERIAL	      0x80
#define SCSI_VPD_IDENTIFIERS  0x83
#define SCSI_VPD_LIMITS	      0xb0
#define SCSI_VPD_MEDIUM	      0xb1
#define SCSI_VPD_PROVISIONING 0xb2

/* ---- mode pages ---- */

#define SCSI_PAGE_NONE		 0x00 /* header and block descriptor alone */
#define SCSI_PAGE_ERROR_RECOVERY 0x01
#define SCSI_PAGE_DISCONNECT	 0x02
#define SCSI_PAGE_CACHING	 0x08
#define SCSI_PAGE_CONTROL	 0x0a
#define SCSI_PAGE_ALL		 0x3f

/* ---- the parallel bus ---- */

/* MSG, C/D and I/O, as the chips encode them. */
enum spi_phase {
	SPI_DATA_OUT,
	SPI_DATA_IN,
	SPI_COMMAND,
	SPI_STATUS,
	SPI_RESERVED_OUT,
	SPI_RESERVED_IN,
	SPI_MSG_OUT,
	SPI_MSG_IN,
};

#define SPI_MSG_COMPLETE	0x00
#define SPI_MSG_EXTENDED	0x01
#define SPI_MSG_SAVE_POINTER	0x02
#define SPI_MSG_DISCONNECT	0x04
#define SPI_MSG_INITIATOR_ERROR 0x05
#define SPI_MSG_ABORT		0x06
#define SPI_MSG_REJECT		0x07
#define SPI_MSG_NOP		0x08
#define SPI_MSG_PARITY_ERROR	0x09
#define SPI_MSG_DEVICE_RESET	0x0c
#define SPI_MSG_ABORT_TAG	0x0d
#define SPI_MSG_CLEAR_QUEUE	0x0e
#define SPI_MSG_SIMPLE_TAG	0x20
#define SPI_MSG_HEAD_TAG	0x21
#define SPI_MSG_ORDERED_TAG	0x22
#define SPI_MSG_IDENTIFY	0x80
#define SPI_MSG_DISC_PRIV	0x40 /* of IDENTIFY */
#define SPI_MSG_LUN		0x07

/* Extended messages: 01, length, code, ... */
#define SPI_EXT_SDTR 0x01
#define SPI_EXT_WDTR 0x03
#define SPI_EXT_PPR  0x04

#endif
