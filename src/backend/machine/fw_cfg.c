/* SPDX-License-Identifier: MIT */
#include "backend/machine/fw_cfg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PORT	   0x510
#define ID_PLAIN   1 /* no memory access of its own */
#define DIR_HEAD   4
#define DIR_RECORD (8 + FW_CFG_NAME)

static uint8_t byte_of(uint64_t v, size_t offset)
{
	if (offset >= 8)
		return 0;
	return (uint8_t)(v >> offset * 8);
}

/*
 * A count, then for each file: size, item, two bytes of nothing, name; numbers with
 * the high byte first.
 */
static uint8_t directory_byte(const struct fw_cfg *f, size_t offset)
{
	const struct fw_cfg_file *file;
	size_t i, at;

	if (offset < DIR_HEAD)
		return (uint8_t)(f->n_files >> (3 - offset) * 8);
	i = (offset - DIR_HEAD) / DIR_RECORD;
	at = (offset - DIR_HEAD) % DIR_RECORD;
	if (i >= f->n_files)
		return 0;
	file = &f->files[i];
	if (at < 4)
		return (uint8_t)(file->size >> (3 - at) * 8);
	if (at < 6)
		return (uint8_t)((FW_CFG_FILE_FIRST + i) >> (5 - at) * 8);
	return at < 8 ? 0 : (uint8_t)file->name[at - 8];
}

static uint8_t item_byte(const struct fw_cfg *f, uint16_t item, size_t offset)
{
	static const uint8_t signature[] = {'Q', 'E', 'M', 'U'};

	switch (item) {
	case FW_CFG_SIGNATURE:
		return offset < 4 ? signature[offset] : 0;
	case FW_CFG_ID:
		return byte_of(ID_PLAIN, offset);
	case FW_CFG_CPUS:
	case FW_CFG_CPUS_MAX:
		return byte_of(f->cpus, offset);
	case FW_CFG_DIRECTORY:
		return directory_byte(f, offset);
	default:
		break;
	}
	item = (uint16_t)(item - FW_CFG_FILE_FIRST);
	if (item < f->n_files && offset < f->files[item].size)
		return f->files[item].data[offset];
	return 0;
}

static uint64_t fw_cfg_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	struct fw_cfg *f = container_of(r, struct fw_cfg, region);

	uint64_t v = 0;

	(void)offset;
	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)item_byte(f, f->selected, f->offset++) << 8 * i;
	return v;
}

static void fw_cfg_write(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size)
{
	struct fw_cfg *f = container_of(r, struct fw_cfg, region);

	(void)offset;
	if (size != 2)
		return;
	f->selected = (uint16_t)value;
	f->offset = 0;
}

static const struct sysbus_region_ops fw_cfg_ops = {
	.sizes = SYSBUS_BYTE | SYSBUS_WORD,
	.read = fw_cfg_read,
	.write = fw_cfg_write,
};

void fw_cfg_init(struct fw_cfg *f, struct sysbus *bus, unsigned cpus)
{
	*f = (struct fw_cfg){
		.cpus = cpus,
		.region = {.name = "fw-cfg", .space = SYSBUS_PORT, .size = 2, .ops = &fw_cfg_ops},
	};
	sysbus_map(bus, &f->region, PORT);
}

void fw_cfg_fini(struct fw_cfg *f)
{
	sysbus_unmap(&f->region);
	for (unsigned i = 0; i < f->n_files; i++)
		free(f->files[i].data);
	f->n_files = 0;
}

int fw_cfg_set_file(struct fw_cfg *f, const char *name, const void *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	unsigned i = 0;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, size);
	while (i < f->n_files && strcmp(f->files[i].name, name))
		i++;
	if (i == FW_CFG_FILES_MAX) {
		free(copy);
		return -ENOSPC;
	}
	if (i == f->n_files) {
		f->files[i] = (struct fw_cfg_file){0};
		strncpy(f->files[i].name, name, FW_CFG_NAME - 1);
		f->n_files++;
	}
	free(f->files[i].data);
	f->files[i].data = copy;
	f->files[i].size = size;
	return 0;
}
