/* SPDX-License-Identifier: MIT */
/* Direct boot of an ELF file by PVH. */
#include "backend/machine/boot_test.h"

#include <elf.h>

static void make_elf(struct rig *r, bool note)
{
	Elf64_Ehdr *e = (Elf64_Ehdr *)r->kernel;
	Elf64_Phdr *p = (Elf64_Phdr *)(r->kernel + sizeof(*e));
	uint8_t *n = r->kernel + 0x200;

	memset(r->kernel, 0, sizeof(r->kernel));
	memcpy(e->e_ident, ELFMAG, SELFMAG);
	e->e_ident[EI_CLASS] = ELFCLASS64;
	e->e_ident[EI_DATA] = ELFDATA2LSB;
	e->e_machine = EM_X86_64;
	e->e_phoff = sizeof(*e);
	e->e_phnum = note ? 2 : 1;
	e->e_phentsize = sizeof(*p);
	p[0] = (Elf64_Phdr){.p_type = PT_LOAD,
			    .p_offset = 0x400,
			    .p_paddr = 2 * MIB,
			    .p_filesz = 0x100,
			    .p_memsz = 0x300};
	p[1] = (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = 0x200, .p_filesz = 44, .p_align = 4};
	/* Another note first. */
	put(n, 4, 4);
	put(n + 4, 4, 4);
	put(n + 8, 5, 4);
	memcpy(n + 12, "Xen", 4);
	put(n + 20, 4, 4);
	put(n + 24, 8, 4);
	put(n + 28, 18, 4);
	memcpy(n + 32, "Xen", 4);
	put(n + 36, 2 * MIB + 0x40, 8);
	memset(r->kernel + 0x400, 0xab, 0x100);
}

static void an_elf_starts_at_its_pvh_entry(void **state)
{
	struct rig *r = set_up(64 * MIB);
	uint64_t list;

	(void)state;
	make_elf(r, true);
	memset(pc_memory_at(&r->memory, 2 * MIB, 0x300), 0xff, 0x300);
	assert_int_equal(load(r), 0);
	assert_int_equal(r->start.mode, KVM_START_PROTECTED);
	assert_int_equal(r->start.ip, 2 * MIB + 0x40);
	assert_int_equal(get(r, 2 * MIB + 0xff, 1), 0xab);
	assert_int_equal(get(r, 2 * MIB + 0x100, 8), 0);
	assert_int_equal(get(r, 2 * MIB + 0x2f8, 8), 0);
	assert_int_equal(get(r, r->start.rbx, 4), 0x336ec578);
	assert_int_equal(get(r, r->start.rbx + 24, 8), BOOT_CMDLINE);
	assert_int_equal(get(r, r->start.rbx + 32, 8), PC_ACPI);
	list = get(r, r->start.rbx + 40, 8);
	assert_int_equal(get(r, list, 8), 0);
	assert_int_equal(get(r, list + 8, 8), PC_LOW_HOLE);
	assert_int_equal(get(r, list + 16, 4), E820_RAM);
	tear_down(r);
}

static void an_elf_without_pvh_is_said(void **state)
{
	struct rig *r = set_up(64 * MIB);

	(void)state;
	make_elf(r, false);
	refused(r, -ENOEXEC, "no PVH entry point");
}

static void an_elf_outside_memory_is_said(void **state)
{
	struct rig *r = set_up(64 * MIB);
	Elf64_Phdr *p = (Elf64_Phdr *)(r->kernel + sizeof(Elf64_Ehdr));

	(void)state;
	make_elf(r, true);
	p->p_paddr = 64 * MIB - 0x200;
	refused(r, -ENOSPC, "no free memory");
}

/* The same as make_elf(), of 32 bits. */
static void make_elf32(struct rig *r, uint32_t paddr, uint32_t entry)
{
	const Elf32_Ehdr e = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB},
			      .e_machine = EM_386,
			      .e_phoff = sizeof(e),
			      .e_phnum = 2,
			      .e_phentsize = sizeof(Elf32_Phdr)};
	const Elf32_Phdr p[2] = {{.p_type = PT_LOAD,
				  .p_offset = 0x400,
				  .p_paddr = paddr,
				  .p_filesz = 0x100,
				  .p_memsz = 0x300},
				 {.p_type = PT_NOTE, .p_offset = 0x200, .p_filesz = 20}};
	uint8_t *n = r->kernel + 0x200;

	memset(r->kernel, 0, sizeof(r->kernel));
	memcpy(r->kernel, &e, sizeof(e));
	memcpy(r->kernel + sizeof(e), p, sizeof(p));
	put(n, 4, 4);
	put(n + 4, 4, 4);
	put(n + 8, 18, 4);
	memcpy(n + 12, "Xen", 4);
	put(n + 16, entry, 4);
}

static void an_elf_of_32_bits_starts_too(void **state)
{
	struct rig *r = set_up(64 * MIB);

	(void)state;
	make_elf32(r, 2 * MIB, 2 * MIB + 0x10);
	assert_int_equal(load(r), 0);
	assert_int_equal(r->start.ip, 2 * MIB + 0x10);
	tear_down(r);
}

static void an_elf_of_32_bits_outside_memory_is_said(void **state)
{
	static const uint32_t places[] = {64 * MIB - 0x200, 64 * MIB, 0xa0000, 0xfffffe00};

	(void)state;
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct rig *r = set_up(64 * MIB);

		make_elf32(r, places[i], places[i]);
		refused(r, -ENOSPC, "no free memory");
	}
}

static void an_elf_that_begins_elsewhere_is_said(void **state)
{
	static const uint32_t entries[] = {0, 2 * MIB - 1, 2 * MIB + 0x100, 0xffffffff};

	(void)state;
	for (unsigned i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		struct rig *r = set_up(64 * MIB);

		make_elf32(r, 2 * MIB, entries[i]);
		refused(r, -ENOEXEC, "in none of its segments");
	}
}

static void an_elf_with_a_short_end_is_said(void **state)
{
	struct rig *r = set_up(64 * MIB);

	(void)state;
	make_elf(r, true);
	r->image.kernel.size = 0x4ff;
	refused(r, -ENOEXEC, "it is cut off");
}

static void an_elf_of_another_processor_is_said(void **state)
{
	struct rig *r = set_up(64 * MIB);

	(void)state;
	make_elf(r, true);
	((Elf64_Ehdr *)r->kernel)->e_machine = EM_AARCH64;
	refused(r, -ENOEXEC, "not an x86 ELF program");
}

static void a_compressed_kernel_is_said(void **state)
{
	struct rig *r = set_up(64 * MIB);

	(void)state;
	memset(r->kernel, 0, sizeof(r->kernel));
	put(r->kernel, 0x8b1f, 2);
	refused(r, -ENOEXEC, "compressed by gzip");
}

static void an_initrd_larger_than_memory_is_said(void **state)
{
	struct rig *r = set_up(64 * MIB);

	(void)state;
	make_elf(r, true);
	r->image.initrd = (struct boot_file){
		.name = "initrd", .data = r->initrd, .size = (size_t)3 << 30};
	refused(r, -ENOSPC, "give the guest more");
}

static void a_long_command_line_for_an_elf_is_said(void **state)
{
	struct rig *r = set_up(64 * MIB);
	char text[BOOT_CMDLINE_MAX + 1];

	(void)state;
	make_elf(r, true);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	r->image.cmdline = text;
	refused(r, -EINVAL, "at most");
}

static void an_elf_over_the_loaders_own_tables_is_refused(void **state)
{
	struct rig *r = set_up(64 * MIB);
	Elf64_Phdr *p = (Elf64_Phdr *)(r->kernel + sizeof(Elf64_Ehdr));

	(void)state;
	make_elf(r, true);
	p->p_paddr = 0x1000;
	refused(r, -ENOSPC, "0x1000");
}

static void random_elf_headers_do_no_harm(void **state)
{
	struct rig *r = set_up(64 * MIB);
	uint64_t seed = 7;

	(void)state;
	for (unsigned round = 0; round < 5000; round++) {
		make_elf(r, true);
		for (unsigned i = 0; i < 6; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			r->kernel[4 + (seed >> 33) % 0x22c] = (uint8_t)(seed >> 56);
		}
		load(r);
	}
	tear_down(r);
}

static void an_elf_finds_its_initrd_and_the_memory(void **state)
{
	struct rig *r = set_up(64 * MIB);
	uint64_t info, module, list;

	(void)state;
	make_elf(r, true);
	assert_int_equal(load(r), 0);
	info = r->start.rbx;
	assert_int_equal(get(r, info + 12, 4), 0); /* no module */
	assert_int_equal(get(r, info + 16, 8), 0);
	r->image.initrd = (struct boot_file){
		.name = "initrd", .data = r->initrd, .size = sizeof(r->initrd)};
	assert_int_equal(load(r), 0);
	assert_int_equal(get(r, info + 4, 4), 1); /* version */
	assert_int_equal(get(r, info + 8, 4), 0);
	assert_int_equal(get(r, info + 12, 4), 1);
	module = get(r, info + 16, 8);
	assert_int_equal(get(r, module, 8), 64 * MIB - 8192);
	assert_int_equal(get(r, module + 8, 8), sizeof(r->initrd));
	assert_int_equal(get(r, 64 * MIB - 8192, 1), 0xcd);
	assert_int_equal(get(r, info + 48, 4), 4);
	list = get(r, info + 40, 8) + 3 * 24;
	assert_int_equal(get(r, list, 8), 0xfec00000);
	assert_int_equal(get(r, list + 8, 8), 0x1400000);
	assert_int_equal(get(r, list + 16, 8), E820_RESERVED);
	/* Flat code of 32 bits. */
	assert_int_equal(get(r, r->start.gdt + 16, 8), 0x00cf9b000000ffff);
	assert_string_equal(pc_memory_at(&r->memory, BOOT_CMDLINE, 16), "console=ttyS0");
	tear_down(r);
}

/* The memory behind an ELF file's last byte is its own: the initrd does not lie there. */
static void an_initrd_lies_behind_all_of_an_elf(void **state)
{
	struct rig *r = set_up(64 * MIB);
	Elf64_Phdr *p = (Elf64_Phdr *)(r->kernel + sizeof(Elf64_Ehdr));

	(void)state;
	make_elf(r, true);
	r->image.initrd = (struct boot_file){
		.name = "initrd", .data = r->initrd, .size = sizeof(r->initrd)};
	p->p_memsz = 62 * MIB - 8192;
	assert_int_equal(load(r), 0);
	p->p_memsz++;
	refused(r, -ENOSPC, "does not fit");
}

static void notes_are_aligned_as_their_segment_says(void **state)
{
	struct rig *r = set_up(64 * MIB);
	Elf64_Phdr *p = (Elf64_Phdr *)(r->kernel + sizeof(Elf64_Ehdr));
	uint8_t *n = r->kernel + 0x200;

	(void)state;
	make_elf(r, true);
	memset(n, 0, 64);
	/* One with a name of 5 bytes and 1 of description: 16 + 8, 8, then ours. */
	put(n, 4, 4);
	put(n + 4, 1, 4);
	put(n + 8, 18, 4);
	memcpy(n + 12, "GNU", 4);
	put(n + 24, 4, 4);
	put(n + 28, 4, 4);
	put(n + 32, 18, 4);
	memcpy(n + 36, "Xen", 4);
	put(n + 40, 2 * MIB + 0x80, 4);
	p[1].p_align = 8;
	p[1].p_filesz = 44;
	assert_int_equal(load(r), 0);
	assert_int_equal(r->start.ip, 2 * MIB + 0x80);
	/* Cut off within the note. */
	p[1].p_filesz = 43;
	refused(r, -ENOEXEC, "no PVH entry point");
}

static void an_elf_that_contradicts_itself_is_said(void **state)
{
	struct rig *r = set_up(64 * MIB);
	Elf64_Ehdr *e = (Elf64_Ehdr *)r->kernel;
	Elf64_Phdr *p = (Elf64_Phdr *)(r->kernel + sizeof(*e));

	(void)state;
	make_elf(r, true);
	e->e_phentsize++;
	assert_int_equal(load(r), -ENOEXEC);
	make_elf(r, true);
	e->e_ident[EI_DATA] = ELFDATA2MSB;
	assert_int_equal(load(r), -ENOEXEC);
	make_elf(r, true);
	e->e_phoff = sizeof(r->kernel) - sizeof(*p); /* room for one of the two */
	assert_int_equal(load(r), -ENOEXEC);
	assert_non_null(strstr(r->err.text, "not an x86 ELF program"));
	/* A segment without memory needs none, wherever it would be. */
	make_elf(r, true);
	p[0].p_filesz = p[0].p_memsz = 0;
	p[0].p_paddr = 0;
	assert_int_equal(load(r), -ENOEXEC);
	assert_non_null(strstr(r->err.text, "in none of its segments"));
	make_elf(r, true);
	p[0].p_memsz = 0xff;
	refused(r, -ENOEXEC, "not a sound ELF file");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_elf_starts_at_its_pvh_entry),
		cmocka_unit_test(an_elf_without_pvh_is_said),
		cmocka_unit_test(an_elf_outside_memory_is_said),
		cmocka_unit_test(an_elf_of_32_bits_starts_too),
		cmocka_unit_test(an_elf_of_32_bits_outside_memory_is_said),
		cmocka_unit_test(an_elf_that_begins_elsewhere_is_said),
		cmocka_unit_test(an_elf_with_a_short_end_is_said),
		cmocka_unit_test(an_elf_of_another_processor_is_said),
		cmocka_unit_test(a_compressed_kernel_is_said),
		cmocka_unit_test(an_initrd_larger_than_memory_is_said),
		cmocka_unit_test(a_long_command_line_for_an_elf_is_said),
		cmocka_unit_test(an_elf_over_the_loaders_own_tables_is_refused),
		cmocka_unit_test(random_elf_headers_do_no_harm),
		cmocka_unit_test(an_elf_finds_its_initrd_and_the_memory),
		cmocka_unit_test(an_initrd_lies_behind_all_of_an_elf),
		cmocka_unit_test(notes_are_aligned_as_their_segment_says),
		cmocka_unit_test(an_elf_that_contradicts_itself_is_said),
	};

	return cmocka_run_group_tests_name("boot_pvh", tests, NULL, NULL);
}
