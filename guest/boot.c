/* SPDX-License-Identifier: MIT */
#include "guest/boot.h"

#include <stddef.h>
#include <string.h>

#define MEMORY_FIRST UINT32_C(0x100000)
/* Above it there may be devices. */
#define MEMORY_LAST	UINT32_C(0xc0000000)

#define MULTIBOOT_MAGIC 0x2badb002
#define MULTIBOOT_SIZES 1u
#define MULTIBOOT_TEXT	4u
struct multiboot {
	uint32_t flags;
	uint32_t lower_kib, upper_kib;
	uint32_t boot_device;
	uint32_t cmdline;
};

#define PVH_MAGIC 0x336ec578
#define PVH_RAM	  1
struct pvh {
	uint32_t magic, version, flags, modules;
	uint64_t module_list, cmdline, rsdp, map;
	uint32_t map_entries, reserved;
};
struct pvh_memory {
	uint64_t address, size;
	uint32_t type, reserved;
};

static void take_text(struct boot *b, const char *text)
{
	size_t n = strlen(text);

	if (n >= sizeof(b->cmdline))
		n = sizeof(b->cmdline) - 1;
	memcpy(b->cmdline, text, n);
}

static void read_multiboot(struct boot *b, const struct multiboot *m)
{
	b->way = "multiboot";
	if (m->flags & MULTIBOOT_SIZES && m->upper_kib < (MEMORY_LAST - MEMORY_FIRST) / 1024)
		b->memory = MEMORY_FIRST + m->upper_kib * 1024;
	else if (m->flags & MULTIBOOT_SIZES)
		b->memory = MEMORY_LAST;
	if (m->flags & MULTIBOOT_TEXT) {
		const char *text = (const char *)m->cmdline;

		/* The first word is the program's file. */
		while (*text && *text != ' ')
			text++;
		take_text(b, text);
	}
}

static void read_pvh(struct boot *b, const struct pvh *p)
{
	const struct pvh_memory *map = (const struct pvh_memory *)(uint32_t)p->map;

	b->way = "PVH";
	for (uint32_t i = 0; p->version && i < p->map_entries; i++) {
		uint64_t end = map[i].address + map[i].size;

		if (map[i].type == PVH_RAM && map[i].address <= MEMORY_FIRST && end > MEMORY_FIRST)
			b->memory = end < MEMORY_LAST ? (uint32_t)end : MEMORY_LAST;
	}
	if (p->cmdline)
		take_text(b, (const char *)(uint32_t)p->cmdline);
}

void boot_read(struct boot *b, uint32_t magic, uint32_t info)
{
	memset(b, 0, sizeof(*b));
	if (magic == MULTIBOOT_MAGIC)
		read_multiboot(b, (const struct multiboot *)info);
	else if (magic == PVH_MAGIC)
		read_pvh(b, (const struct pvh *)info);
}
