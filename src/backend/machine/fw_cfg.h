/* SPDX-License-Identifier: MIT */
/*
 * The firmware configuration device, as QEMU's machines have it and as SeaBIOS asks it: numbered
 * items and named files, read byte by byte.
 *
 *      port 0x510, written with 16 bits   selects an item
 *      either port, read                  its next byte for each byte read, 0 behind its end
 *
 * Threads: the machine lock.
 */
#ifndef BACKEND_MACHINE_FW_CFG_H
#define BACKEND_MACHINE_FW_CFG_H

#include "backend/sysbus/sysbus.h"

#include <stddef.h>

#define FW_CFG_FILES_MAX 16
#define FW_CFG_NAME	 56

/* Items that are numbers. */
enum fw_cfg_item {
	FW_CFG_SIGNATURE = 0x00,
	FW_CFG_ID = 0x01,
	FW_CFG_CPUS = 0x05,
	FW_CFG_CPUS_MAX = 0x0f,
	FW_CFG_DIRECTORY = 0x19,
	FW_CFG_FILE_FIRST = 0x20,
};

struct fw_cfg_file {
	char name[FW_CFG_NAME];
	uint8_t *data;
	size_t size;
};

struct fw_cfg {
	struct sysbus_region region;
	uint16_t selected;
	size_t offset;
	unsigned cpus;
	struct fw_cfg_file files[FW_CFG_FILES_MAX];
	unsigned n_files;
};

void fw_cfg_init(struct fw_cfg *f, struct sysbus *bus, unsigned cpus);
/* Harmless when zeroed. */
void fw_cfg_fini(struct fw_cfg *f);
/* Copies @data; replaces a file of that name.  -ENOMEM, -ENOSPC. */
int fw_cfg_set_file(struct fw_cfg *f, const char *name, const void *data, size_t size);

#endif
