/* SPDX-License-Identifier: MIT */
/* Direct boot: what is put into memory, and what broken kernels are told. */
#include "test.h"

#include "backend/machine/boot.h"

#include "base/bits.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB   (UINT64_C(1) << 20)
#define SETUP (5 * 512) /* four setup sectors and the boot sector */

struct rig {
	struct pc_memory memory;
	struct boot_image image;
	struct kvm_start start;
	struct error err;
	uint8_t kernel[SETUP + 4096], initrd[5000];
};

static void put(uint8_t *at, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		at[i] = (uint8_t)(v >> i * 8);
}

static uint64_t get(const struct rig *r, uint64_t at, unsigned bytes)
{
	const uint8_t *p = pc_memory_at(&r->memory, at, bytes);
	uint64_t v = 0;

	assert_non_null(p);
	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)p[i] << i * 8;
	return v;
}

static void make_bzimage(struct rig *r)
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

static struct rig *set_up(uint64_t memory)
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

static void tear_down(struct rig *r)
{
	pc_memory_fini(&r->memory);
	free(r);
}

static int load(struct rig *r)
{
	return boot_load(&r->memory, &r->image, &r->start, &r->err);
}

static void refused(struct rig *r, int rc, const char *words)
{
	assert_int_equal(load(r), rc);
	if (!strstr(r->err.text, words))
		fail_msg("'%s' does not say '%s'", r->err.text, words);
	tear_down(r);
}

/* ---- bzImage ---- */

static void a_bzimage_starts_at_its_64_bit_entry(void **state)
{
	struct rig *r = set_up(64 * MIB);

	(void)state;
	assert_int_equal(load(r), 0);
	assert_int_equal(r->start.mode, KVM_START_LONG);
	assert_int_equal(r->start.ip, 16 * MIB + 0x200);
	assert_int_equal(get(r, r->start.ip, 1), 0xab);
	assert_int_equal(r->start.rsi, BOOT_ZERO_PAGE);
	assert_int_equal(get(r, BOOT_ZERO_PAGE + 0x202, 4), 0x53726448);
	assert_int_equal(get(r, BOOT_ZERO_PAGE + 0x210, 1), 0xff);
	assert_int_equal(get(r, BOOT_ZERO_PAGE + 0x228, 4), BOOT_CMDLINE);
	assert_int_equal(get(r, BOOT_ZERO_PAGE + 0x70, 8), PC_ACPI);
	assert_string_equal(pc_memory_at(&r->memory, BOOT_CMDLINE, 16), "console=ttyS0");
	tear_down(r);
}

static void the_page_tables_map_four_gib_to_themselves(void **state)
{
	const uint64_t probes[] = {0, 0x7000, 16 * MIB, 0xfee00000, UINT32_MAX};
	struct rig *r = set_up(64 * MIB);

	(void)state;
	assert_int_equal(load(r), 0);
	for (size_t i = 0; i < ARRAY_SIZE(probes); i++) {
		uint64_t at = probes[i], e = get(r, r->start.page_table, 8);

		assert_int_equal(e & 1, 1);
		e = get(r, align_down(e, 4096) + (at >> 30) * 8, 8);
		assert_int_equal(e & 1, 1);
		e = get(r, align_down(e, 4096) + (at >> 21 & 511) * 8, 8);
		assert_int_equal(e & 0x81, 0x81);
		assert_int_equal(align_down(e, 2 * MIB) | (at & (2 * MIB - 1)), at);
	}
	tear_down(r);
}

static void the_memory_list_has_all_ram_and_no_more(void **state)
{
	const uint64_t sizes[] = {64 * MIB, 3072 * MIB, 5120 * MIB};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct rig *r = set_up(sizes[i]);
		uint64_t total = 0, end = 0;
		unsigned n;

		assert_int_equal(load(r), 0);
		n = (unsigned)get(r, BOOT_ZERO_PAGE + 0x1e8, 1);
		for (unsigned e = 0; e < n; e++) {
			uint64_t at = BOOT_ZERO_PAGE + 0x2d0 + e * 20;
			uint64_t first = get(r, at, 8), size = get(r, at + 8, 8);

			assert_true(first >= end);
			end = first + size;
			if (get(r, at + 16, 4) != E820_RAM)
				continue;
			total += size;
			assert_non_null(pc_memory_at(&r->memory, first, size));
		}
		/* All but the hole and the place of the firmware, 640 KiB to 1 MiB. */
		assert_int_equal(total, sizes[i] - 0x60000);
		tear_down(r);
	}
}

static void the_initrd_lies_high_and_whole(void **state)
{
	struct rig *r = set_up(64 * MIB);
	uint64_t at;

	(void)state;
	r->image.initrd = (struct boot_file){
		.name = "initrd", .data = r->initrd, .size = sizeof(r->initrd)};
	assert_int_equal(load(r), 0);
	at = get(r, BOOT_ZERO_PAGE + 0x218, 4);
	assert_int_equal(get(r, BOOT_ZERO_PAGE + 0x21c, 4), sizeof(r->initrd));
	assert_int_equal(at, 64 * MIB - 8192);
	assert_memory_equal(pc_memory_at(&r->memory, at, sizeof(r->initrd)), r->initrd,
			    sizeof(r->initrd));
	tear_down(r);
}

static void a_kernel_that_moves_fits_into_little_memory(void **state)
{
	struct rig *r = set_up(16 * MIB);

	(void)state;
	assert_int_equal(load(r), 0);
	assert_int_equal(r->start.ip, 2 * MIB + 0x200);
	tear_down(r);
}

static void too_little_memory_is_said(void **state)
{
	struct rig *r = set_up(8 * MIB);

	(void)state;
	refused(r, -ENOSPC, "give the guest more memory");
}

static void an_initrd_that_does_not_fit_is_said(void **state)
{
	struct rig *r = set_up(25 * MIB);

	(void)state;
	r->image.initrd = (struct boot_file){
		.name = "initrd", .data = r->initrd, .size = sizeof(r->initrd)};
	put(r->kernel + 0x22c, 24 * MIB - 1, 4);
	refused(r, -ENOSPC, "initrd has 4 KiB, which does not fit");
}

static void a_long_command_line_is_said(void **state)
{
	struct rig *r = set_up(64 * MIB);
	static char line[3000];

	(void)state;
	memset(line, 'x', sizeof(line) - 1);
	r->image.cmdline = line;
	refused(r, -EINVAL, "2999 bytes, vmlinuz takes 2047");
}

static void an_old_boot_protocol_is_said(void **state)
{
	struct rig *r = set_up(64 * MIB);

	(void)state;
	put(r->kernel + 0x206, 0x205, 2);
	refused(r, -ENOEXEC, "2.05");
}

static void a_32_bit_kernel_starts_at_its_32_bit_entry(void **state)
{
	struct rig *r = set_up(64 * MIB);

	(void)state;
	put(r->kernel + 0x236, 0, 2);
	assert_int_equal(load(r), 0);
	assert_int_equal(r->start.mode, KVM_START_PROTECTED);
	assert_int_equal(r->start.ip, 16 * MIB);
	assert_int_equal(r->start.rsi, BOOT_ZERO_PAGE);
	tear_down(r);
}

static void an_old_32_bit_kernel_lies_at_1_mib(void **state)
{
	struct rig *r = set_up(64 * MIB);

	(void)state;
	put(r->kernel + 0x206, 0x207, 2);
	assert_int_equal(load(r), 0);
	assert_int_equal(r->start.mode, KVM_START_PROTECTED);
	assert_int_equal(r->start.ip, 1 * MIB);
	assert_int_equal(get(r, 1 * MIB, 1), 0xab);
	tear_down(r);
}

static void a_16_bit_program_is_said(void **state)
{
	struct rig *r = set_up(64 * MIB);

	(void)state;
	put(r->kernel + 0x214, 0, 4);
	refused(r, -ENOEXEC, "16-bit mode");
}

static void no_kernel_at_all_is_said(void **state)
{
	struct rig *r = set_up(64 * MIB);

	(void)state;
	memset(r->kernel, 'x', sizeof(r->kernel));
	refused(r, -ENOEXEC, "not a kernel");
}

/*
 * Wherever a file ends, it is refused or loaded; under a sanitizer nothing is read behind its end.
 */
static void a_cut_bzimage_is_refused_at_every_length(void **state)
{
	struct rig *r = set_up(64 * MIB);

	(void)state;
	for (size_t size = 0; size <= SETUP + 0x200; size += 1 + size / 64) {
		uint8_t *copy = malloc(size + 1);

		assert_non_null(copy);
		memcpy(copy, r->kernel, size);
		copy = realloc(copy, size ? size : 1);
		r->image.kernel.data = copy;
		r->image.kernel.size = size;
		assert_int_equal(load(r), -ENOEXEC);
		free(copy);
	}
	tear_down(r);
}

/* Beyond the entry point, too: such a kernel would start, and unpack garbage. */
static void a_bzimage_without_its_end_is_said(void **state)
{
	struct rig *r = set_up(64 * MIB);

	(void)state;
	r->image.kernel.size -= 15;
	assert_int_equal(load(r), 0);
	r->image.kernel.size -= 1;
	refused(r, -ENOEXEC, "is cut off: 3 KiB of code are there, its header tells of 4");
}

static void random_headers_do_no_harm(void **state)
{
	struct rig *r = set_up(64 * MIB);
	uint64_t seed = 1;

	(void)state;
	for (unsigned round = 0; round < 2000; round++) {
		make_bzimage(r);
		for (unsigned i = 0; i < 8; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			r->kernel[0x1f1 + (seed >> 33) % 0x77] = (uint8_t)(seed >> 56);
		}
		load(r);
	}
	tear_down(r);
}

/* ---- PVH ---- */

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

/* ---- files ---- */

static void a_missing_file_is_said(void **state)
{
	struct boot_file f;
	struct error err;

	(void)state;
	assert_int_equal(boot_file_read(&f, "/nonexistent/vmlinuz", &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/vmlinuz"));
	assert_int_equal(boot_file_read(&f, "/", &err), -EINVAL);
	assert_int_equal(boot_file_read(&f, "/dev/null", &err), -EINVAL);
	assert_null(f.data);
}

/* Nobody writes to it: it must not be waited for. */
static void a_pipe_is_said(void **state)
{
	char folder[] = "/tmp/ringside-boot-XXXXXX", name[64];
	struct boot_file f;
	struct error err;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(name, sizeof(name), "%s/pipe", folder);
	assert_int_equal(mkfifo(name, 0600), 0);
	assert_int_equal(boot_file_read(&f, name, &err), -EINVAL);
	assert_non_null(strstr(err.text, "is not a file"));
	unlink(name);
	rmdir(folder);
}

static void a_file_that_is_not_ours_to_read_is_said(void **state)
{
	char name[] = "/tmp/ringside-boot-XXXXXX";
	int fd = mkstemp(name);
	struct boot_file f;
	struct error err;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, 0), 0);
	close(fd);
	if (!access(name, R_OK)) {
		unlink(name);
		skip(); /* root reads everything */
	}
	assert_int_equal(boot_file_read(&f, name, &err), -EACCES);
	assert_non_null(strstr(err.text, name));
	unlink(name);
}

static void an_empty_file_is_said(void **state)
{
	char name[] = "/tmp/ringside-boot-XXXXXX";
	int fd = mkstemp(name);
	struct boot_file f;
	struct error err;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(boot_file_read(&f, name, &err), -EINVAL);
	assert_non_null(strstr(err.text, "is empty"));
	assert_int_equal(write(fd, "hello", 5), 5);
	assert_int_equal(boot_file_read(&f, name, &err), 0);
	assert_int_equal(f.size, 5);
	assert_memory_equal(f.data, "hello", 5);
	boot_file_free(&f);
	close(fd);
	unlink(name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bzimage_starts_at_its_64_bit_entry),
		cmocka_unit_test(the_page_tables_map_four_gib_to_themselves),
		cmocka_unit_test(the_memory_list_has_all_ram_and_no_more),
		cmocka_unit_test(the_initrd_lies_high_and_whole),
		cmocka_unit_test(a_kernel_that_moves_fits_into_little_memory),
		cmocka_unit_test(too_little_memory_is_said),
		cmocka_unit_test(an_initrd_that_does_not_fit_is_said),
		cmocka_unit_test(a_long_command_line_is_said),
		cmocka_unit_test(an_old_boot_protocol_is_said),
		cmocka_unit_test(a_32_bit_kernel_starts_at_its_32_bit_entry),
		cmocka_unit_test(an_old_32_bit_kernel_lies_at_1_mib),
		cmocka_unit_test(a_16_bit_program_is_said),
		cmocka_unit_test(no_kernel_at_all_is_said),
		cmocka_unit_test(a_cut_bzimage_is_refused_at_every_length),
		cmocka_unit_test(random_headers_do_no_harm),
		cmocka_unit_test(an_elf_starts_at_its_pvh_entry),
		cmocka_unit_test(an_elf_without_pvh_is_said),
		cmocka_unit_test(an_elf_outside_memory_is_said),
		cmocka_unit_test(an_elf_over_the_loaders_own_tables_is_refused),
		cmocka_unit_test(random_elf_headers_do_no_harm),
		cmocka_unit_test(a_bzimage_without_its_end_is_said),
		cmocka_unit_test(an_elf_of_32_bits_starts_too),
		cmocka_unit_test(an_elf_of_32_bits_outside_memory_is_said),
		cmocka_unit_test(an_elf_that_begins_elsewhere_is_said),
		cmocka_unit_test(an_elf_with_a_short_end_is_said),
		cmocka_unit_test(an_elf_of_another_processor_is_said),
		cmocka_unit_test(a_compressed_kernel_is_said),
		cmocka_unit_test(an_initrd_larger_than_memory_is_said),
		cmocka_unit_test(a_long_command_line_for_an_elf_is_said),
		cmocka_unit_test(a_pipe_is_said),
		cmocka_unit_test(a_file_that_is_not_ours_to_read_is_said),
		cmocka_unit_test(a_missing_file_is_said),
		cmocka_unit_test(an_empty_file_is_said),
	};

	return cmocka_run_group_tests_name("boot", tests, NULL, NULL);
}
