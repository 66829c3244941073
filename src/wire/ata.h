/* SPDX-License-Identifier: MIT */
/*
 * ATA disks as a host sees them (ATA8-ACS, and ATA/ATAPI-7 for the parallel bus): registers,
 * commands, words of IDENTIFY DEVICE; and the bus master interface of PCI IDE controllers
 * (Programming Interface for Bus Master IDE Controller 1.0).
 */
#ifndef WIRE_ATA_H
#define WIRE_ATA_H

#include "base/endian.h"

#include <stddef.h>

#define ATA_SECTOR 512u

/* ---- command block: offsets from its first port ---- */

#define ATA_REG_DATA	 0u
#define ATA_REG_ERROR	 1u /* read */
#define ATA_REG_FEATURE	 1u /* write */
#define ATA_REG_COUNT	 2u
#define ATA_REG_LBA_LOW	 3u
#define ATA_REG_LBA_MID	 4u
#define ATA_REG_LBA_HIGH 5u
#define ATA_REG_DEVICE	 6u
#define ATA_REG_STATUS	 7u /* read */
#define ATA_REG_COMMAND	 7u /* write */
#define ATA_REGISTERS	 8u

/* Of the legacy channels. */
#define ATA_PRIMARY_COMMAND   0x1f0u
#define ATA_PRIMARY_CONTROL   0x3f6u
#define ATA_PRIMARY_IRQ	      14u
#define ATA_SECONDARY_COMMAND 0x170u
#define ATA_SECONDARY_CONTROL 0x376u
#define ATA_SECONDARY_IRQ     15u

#define ATA_STATUS_ERR	      0x01u
#define ATA_STATUS_DRQ	      0x08u /* a block may be transferred */
#define ATA_STATUS_SEEK	      0x10u
#define ATA_STATUS_FAULT      0x20u
#define ATA_STATUS_READY      0x40u
#define ATA_STATUS_BUSY	      0x80u

#define ATA_ERROR_ABORTED     0x04u
#define ATA_ERROR_NO_ADDRESS  0x10u
#define ATA_ERROR_MEDIA	      0x40u
#define ATA_DIAGNOSTIC_GOOD   0x01u /* in the error register, after a reset */

#define ATA_DEVICE_HEAD	      0x0fu /* or bits 27:24 of the address */
#define ATA_DEVICE_SECOND     0x10u
#define ATA_DEVICE_LBA	      0x40u
#define ATA_DEVICE_ONES	      0xa0u /* read as ones by old disks */

/* Device control register. */
#define ATA_CONTROL_NO_IRQ 0x02u
#define ATA_CONTROL_RESET  0x04u
#define ATA_CONTROL_HIGH   0x80u /* the previous contents are read */

/* ---- commands ---- */

#define ATA_NOP		       0x00u
#define ATA_DATA_SET	       0x06u
#define ATA_RECALIBRATE	       0x10u /* to 0x1f */
#define ATA_READ	       0x20u
#define ATA_READ_ONCE	       0x21u
#define ATA_READ_EXT	       0x24u
#define ATA_READ_DMA_EXT       0x25u
#define ATA_READ_MAX_EXT       0x27u
#define ATA_READ_MULTIPLE_EXT  0x29u
#define ATA_WRITE	       0x30u
#define ATA_WRITE_ONCE	       0x31u
#define ATA_WRITE_EXT	       0x34u
#define ATA_WRITE_DMA_EXT      0x35u
#define ATA_WRITE_MULTIPLE_EXT 0x39u
#define ATA_WRITE_DMA_FUA_EXT  0x3du
#define ATA_VERIFY	       0x40u
#define ATA_VERIFY_ONCE	       0x41u
#define ATA_VERIFY_EXT	       0x42u
#define ATA_SEEK	       0x70u /* to 0x7f */
#define ATA_DIAGNOSTIC	       0x90u
#define ATA_SET_GEOMETRY       0x91u
#define ATA_STANDBY_NOW_OLD    0x94u
#define ATA_IDLE_NOW_OLD       0x95u
#define ATA_STANDBY_OLD	       0x96u
#define ATA_IDLE_OLD	       0x97u
#define ATA_CHECK_POWER_OLD    0x98u
#define ATA_SLEEP_OLD	       0x99u
#define ATA_IDENTIFY_PACKET    0xa1u
#define ATA_SMART	       0xb0u
#define ATA_READ_MULTIPLE      0xc4u
#define ATA_WRITE_MULTIPLE     0xc5u
#define ATA_SET_MULTIPLE       0xc6u
#define ATA_READ_DMA	       0xc8u
#define ATA_READ_DMA_ONCE      0xc9u
#define ATA_WRITE_DMA	       0xcau
#define ATA_WRITE_DMA_ONCE     0xcbu
#define ATA_WRITE_MULTIPLE_FUA 0xceu
#define ATA_STANDBY_NOW	       0xe0u
#define ATA_IDLE_NOW	       0xe1u
#define ATA_STANDBY	       0xe2u
#define ATA_IDLE	       0xe3u
#define ATA_CHECK_POWER	       0xe5u
#define ATA_SLEEP	       0xe6u
#define ATA_FLUSH	       0xe7u
#define ATA_FLUSH_EXT	       0xeau
#define ATA_IDENTIFY	       0xecu
#define ATA_SET_FEATURES       0xefu
#define ATA_READ_MAX	       0xf8u

#define ATA_DATA_SET_TRIM      0x01u /* feature register */

#define ATA_POWER_STANDBY      0x00u
#define ATA_POWER_ACTIVE       0xffu

/* SET FEATURES */
#define ATA_FEATURE_CACHE_ON  0x02u
#define ATA_FEATURE_MODE      0x03u
#define ATA_FEATURE_LOOK_OFF  0x55u
#define ATA_FEATURE_KEEP      0x66u /* settings survive a soft reset */
#define ATA_FEATURE_CACHE_OFF 0x82u
#define ATA_FEATURE_LOOK_ON   0xaau
#define ATA_FEATURE_FORGET    0xccu

/* Its transfer modes: kind in bits 7:3, number in bits 2:0. */
#define ATA_MODE_PIO_DEFAULT 0u
#define ATA_MODE_PIO	     1u
#define ATA_MODE_MULTIWORD   4u
#define ATA_MODE_ULTRA	     8u

/* ---- addresses ---- */

/*
 * The most that each way of addressing reaches: cylinder, head and sector (16,383 x 16 x 63,
 * whatever the geometry), 28 bits, 48 bits.
 */
#define ATA_SECTORS_CHS UINT64_C(16514064)
#define ATA_SECTORS_28	UINT64_C(0x0fffffff)
#define ATA_SECTORS_48	UINT64_C(0xffffffffffff)

/* One range of a TRIM: the first sector in bits 47:0, the number in bits 63:48. */
#define ATA_TRIM_RANGES	   64u /* in a block of 512 bytes */
#define ATA_TRIM_SECTOR(v) ((v)&ATA_SECTORS_48)
#define ATA_TRIM_COUNT(v)  ((v) >> 48)

/* ---- words of IDENTIFY DEVICE ---- */

#define ATA_ID_WORDS		 256u
#define ATA_ID_GENERAL		 0u
#define ATA_ID_CYLINDERS	 1u
#define ATA_ID_HEADS		 3u
#define ATA_ID_TRACK		 6u
#define ATA_ID_SERIAL		 10u
#define ATA_ID_SERIAL_BYTES	 20u
#define ATA_ID_FIRMWARE		 23u
#define ATA_ID_FIRMWARE_BYTES	 8u
#define ATA_ID_MODEL		 27u
#define ATA_ID_MODEL_BYTES	 40u
#define ATA_ID_MULTIPLE_MAX	 47u
#define ATA_ID_CAPABILITIES	 49u
#define ATA_ID_CAPABILITIES_2	 50u
#define ATA_ID_PIO_OLD		 51u
#define ATA_ID_VALID		 53u
#define ATA_ID_CURRENT_CYLINDERS 54u
#define ATA_ID_CURRENT_HEADS	 55u
#define ATA_ID_CURRENT_TRACK	 56u
#define ATA_ID_CURRENT_SECTORS	 57u /* two words */
#define ATA_ID_MULTIPLE		 59u
#define ATA_ID_SECTORS		 60u /* two words */
#define ATA_ID_MULTIWORD	 63u
#define ATA_ID_PIO		 64u
#define ATA_ID_CYCLE_TIME	 65u /* four words */
#define ATA_ID_MAJOR		 80u
#define ATA_ID_COMMANDS_1	 82u
#define ATA_ID_COMMANDS_2	 83u
#define ATA_ID_COMMANDS_3	 84u
#define ATA_ID_ENABLED_1	 85u
#define ATA_ID_ENABLED_2	 86u
#define ATA_ID_ENABLED_3	 87u
#define ATA_ID_ULTRA		 88u
#define ATA_ID_RESET		 93u
#define ATA_ID_SECTORS_48	 100u /* four words */
#define ATA_ID_TRIM_BLOCKS	 105u
#define ATA_ID_SECTOR_SIZE	 106u
#define ATA_ID_COMMANDS_4	 119u
#define ATA_ID_ENABLED_4	 120u
#define ATA_ID_TRIM		 169u
#define ATA_ID_ALIGNMENT	 209u
#define ATA_ID_ROTATION		 217u
#define ATA_ID_INTEGRITY	 255u

#define ATA_ID_SIGNATURE	 0xa5u

/* ---- bus master: offsets from a channel's first port ---- */

#define BM_COMMAND	     0u
#define BM_STATUS	     2u
#define BM_TABLE	     4u /* four bytes */
#define BM_CHANNEL	     8u /* ports of one channel */

#define BM_COMMAND_START     0x01u
#define BM_COMMAND_TO_MEMORY 0x08u

#define BM_STATUS_ACTIVE     0x01u
#define BM_STATUS_ERROR	     0x02u
#define BM_STATUS_INTERRUPT  0x04u
#define BM_STATUS_CAPABLE    0x60u /* the guest's notes on the two disks */

/* A piece of memory; the tables' address is a multiple of four, and none crosses 64 KiB. */
struct bm_prd {
	le32 address;
	le16 bytes; /* 0: 64 KiB */
	le16 flags;
};
_Static_assert(sizeof(struct bm_prd) == 8, "bus master IDE 1.0, 1.2");
_Static_assert(offsetof(struct bm_prd, flags) == 6, "bus master IDE 1.0, 1.2");

#define BM_PRD_LAST  0x8000u
#define BM_PRD_TABLE 0x10000u

/* ---- configuration registers of the PIIX3's IDE function ---- */

#define PIIX3_IDE_TIMING	0x40u /* 16 bits for each channel */
#define PIIX3_IDE_TIMING_SECOND 0x44u
#define PIIX3_IDE_DECODE	0x8000u /* the channel answers at its ports */

#endif
