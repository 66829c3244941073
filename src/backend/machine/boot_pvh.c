/* SPDX-License-Identifier: MIT */
/*
 * PVH: an ELF file whose notes name a 32-bit entry point, which gets the address of a start info
 * (Xen's public/arch-x86/hvm/start_info.h).
 */
#include "backend/machine/boot.h"

#include "base/bits.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#define NOTE_PHYS32_ENTRY  18
#define START_INFO_MAGIC   0x336ec578
#define START_INFO_VERSION 1

struct pvh_start_info {
	le32 magic;
	le32 version;
	le32 flags;
	le32 nr_modules;
	le64 modlist;
	le64 cmdline;
	le64 rsdp;
	le64 memmap;
	le32 memmap_entries;
	le32 reserved;
};
_Static_assert(sizeof(struct pvh_start_info) == 56, "version 1");

struct pvh_module {
	le64 addr;
	le64 size;
	le64 cmdline;
	le64 reserved;
};

struct pvh_memory {
	le64 addr;
	le64 size;
	le32 type;
	le32 reserved;
};

struct pvh_block {
	struct pvh_start_info info;
	struct pvh_module module;
	struct pvh_memory memory[E820_MAX];
};

/* A program header of either width. */
struct segment {
	uint32_t type;
	uint64_t offset, paddr, filesz, memsz, align;
};

bool boot_is_elf(const struct boot_file *kernel)
{
	return kernel->size >= EI_NIDENT && !memcmp(kernel->data, ELFMAG, SELFMAG);
}

static bool inside(const struct boot_file *k, uint64_t offset, uint64_t len)
{
	return offset <= k->size && len <= k->size - offset;
}

static bool is_64(const struct boot_file *k)
{
	return k->data[EI_CLASS] == ELFCLASS64;
}

/* Where the program headers are; false: not an ELF file for this processor. */
static bool headers(const struct boot_file *k, uint64_t *offset, unsigned *n)
{
	uint16_t machine, entsize;

	if (k->data[EI_DATA] != ELFDATA2LSB)
		return false;
	if (is_64(k)) {
		Elf64_Ehdr e;

		if (!inside(k, 0, sizeof(e)))
			return false;
		memcpy(&e, k->data, sizeof(e));
		*offset = e.e_phoff;
		*n = e.e_phnum;
		machine = e.e_machine;
		entsize = e.e_phentsize == sizeof(Elf64_Phdr);
	} else {
		Elf32_Ehdr e;

		if (!inside(k, 0, sizeof(e)))
			return false;
		memcpy(&e, k->data, sizeof(e));
		*offset = e.e_phoff;
		*n = e.e_phnum;
		machine = e.e_machine;
		entsize = e.e_phentsize == sizeof(Elf32_Phdr);
	}
	return entsize && (machine == EM_X86_64 || machine == EM_386) &&
	       inside(k, *offset, *n * (is_64(k) ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)));
}

static struct segment get_segment(const struct boot_file *k, uint64_t offset, unsigned i)
{
	if (is_64(k)) {
		Elf64_Phdr p;

		memcpy(&p, k->data + offset + i * sizeof(p), sizeof(p));
		return (struct segment){p.p_type,   p.p_offset, p.p_paddr,
					p.p_filesz, p.p_memsz,	p.p_align};
	} else {
		Elf32_Phdr p;

		memcpy(&p, k->data + offset + i * sizeof(p), sizeof(p));
		return (struct segment){p.p_type,   p.p_offset, p.p_paddr,
					p.p_filesz, p.p_memsz,	p.p_align};
	}
}

static bool find_entry(const struct boot_file *k, const struct segment *s, uint64_t *entry)
{
	const uint64_t align = s->align == 8 ? 8 : 4;
	uint64_t at = 0;
	Elf32_Nhdr note; /* the same in both widths */

	while (s->filesz - at >= sizeof(note)) {
		const uint8_t *p = k->data + s->offset + at;
		uint64_t name = sizeof(note), desc, next;

		memcpy(&note, p, sizeof(note));
		desc = align_up(name + note.n_namesz, align);
		next = align_up(desc + note.n_descsz, align);
		if (desc + note.n_descsz > s->filesz - at)
			return false;
		if (note.n_type == NOTE_PHYS32_ENTRY && note.n_namesz == 4 &&
		    !memcmp(p + name, "Xen", 4) && (note.n_descsz == 4 || note.n_descsz == 8)) {
			le64 v = {0};

			memcpy(&v, p + desc, note.n_descsz);
			*entry = le64_get(v);
			return *entry <= UINT32_MAX;
		}
		if (next > s->filesz - at)
			return false;
		at += next;
	}
	return false;
}

static int load_segment(const struct pc_memory *m, const struct boot_file *k,
			const struct segment *s, struct error *err)
{
	uint8_t *to;

	if (!s->memsz)
		return 0;
	if (s->filesz > s->memsz)
		return error_set(err, -ENOEXEC, "%s is not a sound ELF file.", k->name);
	to = s->paddr >= BOOT_KERNEL_FIRST ? pc_memory_at(m, s->paddr, s->memsz) : NULL;
	if (!to)
		return error_set(err, -ENOSPC,
				 "%s wants to be loaded at 0x%llx to 0x%llx, where the guest has "
				 "no free memory.",
				 k->name, (unsigned long long)s->paddr,
				 (unsigned long long)(s->paddr + s->memsz));
	memcpy(to, k->data + s->offset, s->filesz);
	memset(to + s->filesz, 0, s->memsz - s->filesz);
	return 0;
}

static void make_start_info(const struct pc_memory *m, const struct boot_image *image,
			    uint64_t initrd)
{
	struct pvh_block *b = pc_memory_at(m, BOOT_PVH_INFO, sizeof(*b));
	struct e820_entry e820[E820_MAX];
	unsigned n = pc_memory_e820(m, e820);

	*b = (struct pvh_block){
		.info =
			{
				.magic = le32_make(START_INFO_MAGIC),
				.version = le32_make(START_INFO_VERSION),
				.cmdline = le64_make(BOOT_CMDLINE),
				.rsdp = le64_make(image->acpi_rsdp),
				.memmap = le64_make(BOOT_PVH_INFO +
						    offsetof(struct pvh_block, memory)),
				.memmap_entries = le32_make(n),
			},
	};
	if (initrd) {
		b->info.nr_modules = le32_make(1);
		b->info.modlist = le64_make(BOOT_PVH_INFO + offsetof(struct pvh_block, module));
		b->module.addr = le64_make(initrd);
		b->module.size = le64_make(image->initrd.size);
	}
	for (unsigned i = 0; i < n; i++)
		b->memory[i] = (struct pvh_memory){e820[i].addr, e820[i].size, e820[i].type, {0}};
}

int boot_load_pvh(const struct pc_memory *m, const struct boot_image *image,
		  struct kvm_start *start, struct error *err)
{
	const struct boot_file *k = &image->kernel;
	uint64_t offset, entry = 0, end = BOOT_KERNEL_FIRST, initrd;
	bool found = false, entered = false;
	unsigned n;
	int rc;

	if (!headers(k, &offset, &n))
		return error_set(err, -ENOEXEC, "%s is not an x86 ELF program.", k->name);
	for (unsigned i = 0; i < n; i++) {
		struct segment s = get_segment(k, offset, i);

		if (s.type != PT_LOAD && s.type != PT_NOTE)
			continue;
		if (!inside(k, s.offset, s.filesz))
			return error_set(err, -ENOEXEC,
					 "%s ends before what its headers promise: it is cut off.",
					 k->name);
		if (s.type == PT_NOTE) {
			found = found || find_entry(k, &s, &entry);
			continue;
		}
		rc = load_segment(m, k, &s, err);
		if (rc)
			return rc;
		end = max_u64(end, s.paddr + s.memsz);
	}
	if (!found)
		return error_set(err, -ENOEXEC,
				 "%s has no PVH entry point among its ELF notes (CONFIG_PVH).",
				 k->name);
	for (unsigned i = 0; i < n && !entered; i++) {
		struct segment s = get_segment(k, offset, i);

		entered = s.type == PT_LOAD && entry >= s.paddr && entry - s.paddr < s.filesz;
	}
	if (!entered)
		return error_set(err, -ENOEXEC,
				 "%s begins at 0x%llx, which is in none of its segments.", k->name,
				 (unsigned long long)entry);
	rc = boot_load_initrd(m, image, end, UINT32_MAX, &initrd, err);
	if (!rc)
		rc = boot_load_cmdline(m, image, BOOT_CMDLINE_MAX - 1, err);
	if (rc)
		return rc;
	make_start_info(m, image, initrd);
	*start = (struct kvm_start){
		.mode = KVM_START_PROTECTED,
		.ip = entry,
		.rbx = BOOT_PVH_INFO,
	};
	boot_load_gdt(m, start);
	return 0;
}
