/* SPDX-License-Identifier: MIT */
/*
 * The Linux boot protocol (Documentation/arch/x86/boot.rst): entered in 64-bit mode, or by a kernel
 * of 32 bits in 32-bit mode.
 */
#include "backend/machine/boot.h"

#include "base/bits.h"
#include "base/endian.h"

#include <errno.h>
#include <string.h>

/* In the file and in the zero page alike. */
#define HDR_FIRST	     0x1f1
#define HDR_SETUP_SECTS	     0x1f1
#define HDR_SYSSIZE	     0x1f4
#define HDR_JUMP_LENGTH	     0x201
#define HDR_MAGIC	     0x202
#define HDR_VERSION	     0x206
#define HDR_LOADER	     0x210
#define HDR_LOADFLAGS	     0x211
#define HDR_CODE32_START     0x214
#define HDR_RAMDISK_IMAGE    0x218
#define HDR_RAMDISK_SIZE     0x21c
#define HDR_CMD_LINE_PTR     0x228
#define HDR_INITRD_ADDR_MAX  0x22c
#define HDR_KERNEL_ALIGNMENT 0x230
#define HDR_RELOCATABLE	     0x234
#define HDR_XLOADFLAGS	     0x236
#define HDR_CMDLINE_SIZE     0x238
#define HDR_PREF_ADDRESS     0x258
#define HDR_INIT_SIZE	     0x260
#define HDR_END		     0x268

/* In the zero page only. */
#define ZERO_ACPI_RSDP	  0x070
#define ZERO_E820_ENTRIES 0x1e8
#define ZERO_E820_TABLE	  0x2d0
#define ZERO_SIZE	  0x1000

#define VERSION_MIN	  0x206 /* the first that tells how long its command line may be */
#define VERSION_PREFERS	  0x20a /* tells where it wants to be and the room it needs */
#define VERSION_64	  0x20c /* has xloadflags */
#define XLF_KERNEL_64	  1
#define LOADED_HIGH	  1
#define LOADER_UNDEFINED  0xff
#define ENTRY_64	  0x200
#define SECTOR		  512

bool boot_is_linux(const struct boot_file *kernel)
{
	return kernel->size >= HDR_MAGIC + 4 && !memcmp(kernel->data + HDR_MAGIC, "HdrS", 4);
}

static bool has_64_bit_entry(const struct boot_file *k)
{
	return le16_at(k->data + HDR_VERSION) >= VERSION_64 &&
	       (le16_at(k->data + HDR_XLOADFLAGS) & XLF_KERNEL_64);
}

static int check_header(const struct boot_file *k, struct error *err)
{
	uint16_t version;

	if (k->size < HDR_END)
		return error_set(err, -ENOEXEC, "%s ends within its header.", k->name);
	version = le16_at(k->data + HDR_VERSION);
	if (version < VERSION_MIN)
		return error_set(err, -ENOEXEC,
				 "%s speaks boot protocol %u.%02u; 2.06 (Linux 2.6.22) is needed.",
				 k->name, version >> 8, version & 0xffu);
	if (!(k->data[HDR_LOADFLAGS] & LOADED_HIGH) || !le32_at(k->data + HDR_CODE32_START))
		return error_set(err, -ENOEXEC,
				 "%s can only be started in 16-bit mode: let a boot loader do it, "
				 "from a disk (--bios).",
				 k->name);
	return 0;
}

/* Identity, 4 GiB in pages of 2 MiB: more than the kernel's entry asks for. */
static void make_page_tables(const struct pc_memory *m)
{
	le64 *table = pc_memory_at(m, BOOT_PAGE_TABLES, 6 * 4096);
	const uint64_t present_writable = 3, large = 0x80;

	memset(table, 0, 6 * 4096);
	table[0] = le64_make((BOOT_PAGE_TABLES + 4096) | present_writable);
	for (unsigned i = 0; i < 4; i++)
		table[512 + i] = le64_make((BOOT_PAGE_TABLES + (2 + i) * 4096) | present_writable);
	for (uint64_t i = 0; i < 4 * 512; i++)
		table[1024 + i] = le64_make(i << 21 | large | present_writable);
}

static void make_zero_page(const struct pc_memory *m, const struct boot_image *image,
			   uint64_t initrd)
{
	const uint8_t *file = image->kernel.data;
	uint8_t *zero = pc_memory_at(m, BOOT_ZERO_PAGE, ZERO_SIZE);
	struct e820_entry e820[E820_MAX];
	size_t end = HDR_MAGIC + file[HDR_JUMP_LENGTH];
	unsigned n = pc_memory_e820(m, e820);
	le64 rsdp = le64_make(image->acpi_rsdp);

	memset(zero, 0, ZERO_SIZE);
	memcpy(zero + HDR_FIRST, file + HDR_FIRST,
	       min_u64(end < HDR_END ? HDR_END : end, ZERO_E820_TABLE) - HDR_FIRST);
	zero[HDR_LOADER] = LOADER_UNDEFINED;
	le32_put_at(zero + HDR_CMD_LINE_PTR, BOOT_CMDLINE);
	le32_put_at(zero + HDR_RAMDISK_IMAGE, (uint32_t)initrd);
	le32_put_at(zero + HDR_RAMDISK_SIZE, initrd ? (uint32_t)image->initrd.size : 0);
	memcpy(zero + ZERO_ACPI_RSDP, &rsdp, sizeof(rsdp));
	zero[ZERO_E820_ENTRIES] = (uint8_t)n;
	memcpy(zero + ZERO_E820_TABLE, e820, n * sizeof(e820[0]));
}

int boot_load_linux(const struct pc_memory *m, const struct boot_image *image,
		    struct kvm_start *start, struct error *err)
{
	const struct boot_file *k = &image->kernel;
	uint64_t at, setup, body, room, initrd;
	uint8_t *to;
	int rc = check_header(k, err);

	if (rc)
		return rc;
	setup = k->data[HDR_SETUP_SECTS] ? k->data[HDR_SETUP_SECTS] : 4u;
	setup = (setup + 1) * SECTOR;
	if (setup + ENTRY_64 >= k->size)
		return error_set(err, -ENOEXEC, "%s ends before its code: it is cut off.", k->name);
	body = k->size - setup;
	/*
	 * The size stands in units of 16 bytes, of which a builder may leave the last unfilled; a
	 * signature may follow.
	 */
	if (body + 15 < (uint64_t)le32_at(k->data + HDR_SYSSIZE) * 16)
		return error_set(err, -ENOEXEC,
				 "%s is cut off: %llu KiB of code are there, its header tells of "
				 "%llu.",
				 k->name, (unsigned long long)(body >> 10),
				 (unsigned long long)le32_at(k->data + HDR_SYSSIZE) * 16 >> 10);
	at = BOOT_KERNEL_FIRST;
	room = body;
	if (le16_at(k->data + HDR_VERSION) >= VERSION_PREFERS) {
		at = le64_at(k->data + HDR_PREF_ADDRESS);
		room = max_u64(le32_at(k->data + HDR_INIT_SIZE), body);
	}
	if (at < BOOT_KERNEL_FIRST || at > m->low || m->low - at < room) {
		/* Not where it would like to be; it moves if it can. */
		uint32_t alignment = le32_at(k->data + HDR_KERNEL_ALIGNMENT);

		at = BOOT_KERNEL_FIRST;
		if (k->data[HDR_RELOCATABLE] && is_pow2(alignment))
			at = align_up(at, alignment);
	}
	to = at <= m->low && m->low - at >= room ? pc_memory_at(m, at, room) : NULL;
	if (!to)
		return error_set(err, -ENOSPC,
				 "%s needs %llu MiB to start in: give the guest more memory.",
				 k->name, (unsigned long long)((room + at) >> 20) + 1);
	memcpy(to, k->data + setup, body);
	rc = boot_load_initrd(m, image, at + room,
			      (uint64_t)le32_at(k->data + HDR_INITRD_ADDR_MAX) + 1, &initrd, err);
	if (!rc)
		rc = boot_load_cmdline(m, image, le32_at(k->data + HDR_CMDLINE_SIZE), err);
	if (rc)
		return rc;
	make_zero_page(m, image, initrd);
	*start = (struct kvm_start){.mode = KVM_START_PROTECTED, .ip = at, .rsi = BOOT_ZERO_PAGE};
	if (has_64_bit_entry(k)) {
		make_page_tables(m);
		*start = (struct kvm_start){
			.mode = KVM_START_LONG,
			.ip = at + ENTRY_64,
			.rsi = BOOT_ZERO_PAGE,
			.page_table = BOOT_PAGE_TABLES,
		};
	}
	boot_load_gdt(m, start);
	return 0;
}
