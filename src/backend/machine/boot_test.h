/* SPDX-License-Identifier: MIT */
/* A guest's memory and a small bzImage, for the tests of direct boot. */
#ifndef BACKEND_MACHINE_BOOT_TEST_H
#define BACKEND_MACHINE_BOOT_TEST_H

#include "test.h"

#include "backend/machine/boot.h"

#include "base/bits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MIB   (UINT64_C(1) << 20)
#define SETUP (5 * 512) /* four setup sectors and the boot sector */

struct rig {
	struct pc_memory memory;
	struct boot_image image;
	struct kvm_start start;
	struct error err;
	uint8_t kernel[SETUP + 4096], initrd[5000];
};

static inline void put(uint8_t *at, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		at[i] = (uint8_t)(v >> i * 8);
}

static inline uint64_t get(const struct rig *r, uint64_t at, unsigned bytes)
{
	const uint8_t *p = pc_memory_at(&r->memory, at, bytes);
	uint64_t v = 0;

	assert_non_null(p);
	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)p[i] << i * 8;
	return v;
}

static inline void make_bzimage(struct rig *r)
{
	uint8_t *k = r->kernel;

	memset(k, 0, sizeof(r->kernel));
	k[0x1f1] = 4;
	k[0x201] = 0x66;
	memcpy(k + 0x202, "HdrS", 4);
	put(k + 0x1f4, 4096 / 16, 4);
	put(k + 0x206, 0x20f, 2);
	k[0x211] = 1;
	put(k + 0x214, 1 * MIB, 4);
	put(k + 0x22c, 0x7fffffff, 4);
	put(k + 0x230, 2 * MIB, 4);
	k[0x234] = 1;
	put(k + 0x236, 1, 2);
	put(k + 0x238, 2047, 4);
	put(k + 0x258, 16 * MIB, 8);
	put(k + 0x260, 8 * MIB, 4);
	memset(k + SETUP, 0xab, 4096);
}

static inline struct rig *set_up(uint64_t memory)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	assert_int_equal(pc_memory_init(&r->memory, memory, &r->err), 0);
	make_bzimage(r);
	memset(r->initrd, 0xcd, sizeof(r->initrd));
	r->image = (struct boot_image){
		.kernel = {.name = "vmlinuz", .data = r->kernel, .size = sizeof(r->kernel)},
		.cmdline = "console=ttyS0",
		.acpi_rsdp = PC_ACPI,
	};
	return r;
}

static inline void tear_down(struct rig *r)
{
	pc_memory_fini(&r->memory);
	free(r);
}

static inline int load(struct rig *r)
{
	return boot_load(&r->memory, &r->image, &r->start, &r->err);
}

static inline void refused(struct rig *r, int rc, const char *words)
{
	assert_int_equal(load(r), rc);
	if (!strstr(r->err.text, words))
		fail_msg("'%s' does not say '%s'", r->err.text, words);
	tear_down(r);
}

#endif
