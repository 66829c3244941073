/* SPDX-License-Identifier: MIT */
/*
 * Direct boot: a kernel, an initial RAM disk and a command line put into memory as a boot loader
 * would, without firmware.
 *
 *      boot.c        files, the RAM disk, which kind of kernel it is
 *      boot_linux.c  bzImage: the Linux boot protocol, 64-bit entry
 *      boot_pvh.c    ELF with a PVH entry point in its notes
 *
 * What the loaders themselves need lies below 640 KiB, see the addresses.
 *
 * Threads: control thread; the CPUs are stopped.
 */
#ifndef BACKEND_MACHINE_BOOT_H
#define BACKEND_MACHINE_BOOT_H

#include "backend/kvm/vcpu.h"
#include "backend/machine/memory.h"

#include <stddef.h>

#define BOOT_GDT	  0x6000
#define BOOT_PVH_INFO	  0x6800
#define BOOT_ZERO_PAGE	  0x7000
#define BOOT_PAGE_TABLES  0x8000 /* six pages */
#define BOOT_CMDLINE	  0x20000
#define BOOT_CMDLINE_MAX  0x10000
#define BOOT_KERNEL_FIRST 0x100000

/* A file's bytes, and its name for messages. */
struct boot_file {
	const char *name; /* borrowed */
	uint8_t *data;
	size_t size;
};

struct boot_image {
	struct boot_file kernel;
	struct boot_file initrd; /* data NULL: none */
	const char *cmdline;	 /* borrowed */
	uint64_t acpi_rsdp;	 /* where the ACPI tables begin, 0: there are none */
};

/*
 * Reads a whole file, or a pipe to its end (-EINVAL: empty; -EFBIG: more than 2 GiB; -EINTR: a
 * signal that the caller has blocked came while it waited).
 */
int boot_file_read(struct boot_file *f, const char *name, struct error *err);
void boot_file_free(struct boot_file *f);

/* Fills memory and tells where the first CPU begins.  -EINVAL, -ENOEXEC, -ENOSPC and a sentence. */
int boot_load(const struct pc_memory *m, const struct boot_image *image, struct kvm_start *start,
	      struct error *err);

/* ---- between the loaders ---- */

/*
 * Where the initrd goes: the highest page below @limit and behind @kernel_end
 * that leaves room for it.
 */
int boot_load_initrd(const struct pc_memory *m, const struct boot_image *image, uint64_t kernel_end,
		     uint64_t limit, uint64_t *at, struct error *err);
/* @max: bytes without the final zero. */
int boot_load_cmdline(const struct pc_memory *m, const struct boot_image *image, size_t max,
		      struct error *err);
/* Flat segments at BOOT_GDT: entry 2 code, 64 bits or 32; entry 3 data. */
void boot_load_gdt(const struct pc_memory *m, struct kvm_start *start);

bool boot_is_linux(const struct boot_file *kernel);
int boot_load_linux(const struct pc_memory *m, const struct boot_image *image,
		    struct kvm_start *start, struct error *err);
bool boot_is_elf(const struct boot_file *kernel);
int boot_load_pvh(const struct pc_memory *m, const struct boot_image *image,
		  struct kvm_start *start, struct error *err);

#endif
