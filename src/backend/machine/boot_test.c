/* SPDX-License-Identifier: MIT */
/* Direct boot of a bzImage: what is put into memory, what broken kernels are told; files. */
#include "backend/machine/boot_test.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

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

static void the_initrd_ends_where_the_kernel_lets_it(void **state)
{
	struct rig *r = set_up(64 * MIB);

	(void)state;
	r->image.initrd = (struct boot_file){
		.name = "initrd", .data = r->initrd, .size = sizeof(r->initrd)};
	put(r->kernel + 0x22c, 32 * MIB - 1, 4);
	assert_int_equal(load(r), 0);
	assert_int_equal(get(r, BOOT_ZERO_PAGE + 0x218, 4), 32 * MIB - 8192);
	/* As low as the kernel's end, and no lower. */
	put(r->kernel + 0x22c, 24 * MIB + 8191, 4);
	assert_int_equal(load(r), 0);
	assert_int_equal(get(r, BOOT_ZERO_PAGE + 0x218, 4), 24 * MIB);
	put(r->kernel + 0x22c, 24 * MIB + 8190, 4);
	refused(r, -ENOSPC, "does not fit");
}

static void a_command_line_may_be_as_long_as_the_kernel_says(void **state)
{
	struct rig *r = set_up(64 * MIB);
	static char line[BOOT_CMDLINE_MAX + 1];
	static const struct {
		uint32_t says;
		size_t most;
	} kernels[] = {{2047, 2047}, {UINT32_MAX, BOOT_CMDLINE_MAX - 1}};

	(void)state;
	r->image.cmdline = line;
	for (unsigned i = 0; i < ARRAY_SIZE(kernels); i++) {
		memset(line, 0, sizeof(line));
		memset(line, 'x', kernels[i].most);
		put(r->kernel + 0x238, kernels[i].says, 4);
		memset(pc_memory_at(&r->memory, BOOT_CMDLINE, BOOT_CMDLINE_MAX), 0xee,
		       BOOT_CMDLINE_MAX);
		assert_int_equal(load(r), 0);
		assert_string_equal(pc_memory_at(&r->memory, BOOT_CMDLINE, BOOT_CMDLINE_MAX), line);
		line[kernels[i].most] = 'x';
		assert_int_equal(load(r), -EINVAL);
	}
	tear_down(r);
}

/* What each version of the protocol has, and where such a kernel begins. */
static void the_version_decides_what_is_believed(void **state)
{
	static const struct {
		uint16_t version;
		uint64_t ip;
		enum kvm_start_mode mode;
	} kernels[] = {
		{0x206, 1 * MIB, KVM_START_PROTECTED},
		{0x209, 1 * MIB, KVM_START_PROTECTED},
		{0x20a, 16 * MIB, KVM_START_PROTECTED},
		{0x20b, 16 * MIB, KVM_START_PROTECTED},
		{0x20c, 16 * MIB + 0x200, KVM_START_LONG},
		{0x20f, 16 * MIB + 0x200, KVM_START_LONG},
	};
	struct rig *r = set_up(64 * MIB);

	(void)state;
	put(r->kernel + 0x234, 0, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(kernels); i++) {
		put(r->kernel + 0x206, kernels[i].version, 2);
		assert_int_equal(load(r), 0);
		assert_int_equal(r->start.ip, kernels[i].ip);
		assert_int_equal(r->start.mode, kernels[i].mode);
		/* Flat code of its width, flat data; in entries 2 and 3. */
		assert_int_equal(get(r, r->start.gdt, 8) | get(r, r->start.gdt + 8, 8), 0);
		assert_int_equal(get(r, r->start.gdt + 16, 8), kernels[i].mode == KVM_START_LONG
								       ? 0x00af9b000000ffff
								       : 0x00cf9b000000ffff);
		assert_int_equal(get(r, r->start.gdt + 24, 8), 0x00cf93000000ffff);
		assert_int_equal(r->start.gdt_size, 32);
	}
	tear_down(r);
	/* One that cannot move, and does not fit where it would like to be. */
	r = set_up(16 * MIB);
	put(r->kernel + 0x234, 0, 1);
	assert_int_equal(load(r), 0);
	assert_int_equal(r->start.ip, 1 * MIB + 0x200);
	tear_down(r);
}

/* All that its jump says, and no byte more: what follows is the loader's. */
static void the_header_is_copied_whole(void **state)
{
	struct rig *r = set_up(64 * MIB);

	(void)state;
	memset(r->kernel + 0x268, 0x77, 0x100);
	memset(r->kernel + 0x1e0, 0x77, 0x11);
	r->kernel[0x201] = 0x70;
	r->kernel[0x1f1] = 0; /* as much as 4 */
	assert_int_equal(load(r), 0);
	assert_int_equal(get(r, r->start.ip, 1), 0xab);
	assert_int_equal(get(r, BOOT_ZERO_PAGE + 0x271, 1), 0x77);
	assert_int_equal(get(r, BOOT_ZERO_PAGE + 0x272, 1), 0);
	assert_int_equal(get(r, BOOT_ZERO_PAGE + 0x1f0, 1), 0);
	assert_int_equal(get(r, BOOT_ZERO_PAGE + 0x218, 8), 0); /* no initrd */
	/* However long it claims to be, the memory list is behind it. */
	r->kernel[0x201] = 0xff;
	assert_int_equal(load(r), 0);
	assert_int_equal(get(r, BOOT_ZERO_PAGE + 0x2cf, 1), 0x77);
	assert_int_equal(get(r, BOOT_ZERO_PAGE + 0x2d0, 8), 0);
	tear_down(r);
}

static void the_memory_list_entry_by_entry(void **state)
{
	static const struct {
		uint64_t first, end, type;
	} want[] = {
		{0, 0xa0000, E820_RAM},
		{0xe0000, 0x100000, E820_RESERVED}, /* the ACPI tables */
		{0x100000, 0xc0000000, E820_RAM},
		{0xfec00000, 0x100000000, E820_RESERVED}, /* APICs, firmware */
		{0x100000000, 0x180000000, E820_RAM},
	};
	struct rig *r = set_up(5120 * MIB);

	(void)state;
	assert_int_equal(load(r), 0);
	assert_int_equal(get(r, BOOT_ZERO_PAGE + 0x1e8, 1), ARRAY_SIZE(want));
	for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
		uint64_t at = BOOT_ZERO_PAGE + 0x2d0 + 20 * i;

		assert_int_equal(get(r, at, 8), want[i].first);
		assert_int_equal(get(r, at + 8, 8), want[i].end - want[i].first);
		assert_int_equal(get(r, at + 16, 4), want[i].type);
	}
	assert_null(pc_memory_at(&r->memory, 0xa0000, 1));
	assert_non_null(pc_memory_at(&r->memory, 0xc0000, 0x40000));
	assert_null(pc_memory_at(&r->memory, 0xc0000000, 1));
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
	assert_int_equal(boot_file_read(&f, "/", &err), -EISDIR);
	assert_non_null(strstr(err.text, "directory"));
	assert_int_equal(boot_file_read(&f, "/dev/null", &err), -EINVAL);
	assert_null(f.data);
}

static void *write_slowly(void *pipe)
{
	int fd = open(pipe, O_WRONLY | O_CLOEXEC);
	uint8_t piece[1000];

	for (unsigned i = 0; i < 6000; i++) {
		memset(piece, (int)i, sizeof(piece));
		assert_int_equal(write(fd, piece, sizeof(piece)), sizeof(piece));
	}
	close(fd);
	return NULL;
}

/* Its size shows at its end; whoever writes may come later. */
static void a_pipe_is_read_to_its_end(void **state)
{
	char folder[] = "/tmp/ringside-boot-XXXXXX", name[64];
	struct boot_file f;
	pthread_t writer;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(name, sizeof(name), "%s/pipe", folder);
	assert_int_equal(mkfifo(name, 0600), 0);
	assert_int_equal(pthread_create(&writer, NULL, write_slowly, name), 0);
	assert_int_equal(boot_file_read(&f, name, NULL), 0);
	pthread_join(writer, NULL);
	assert_int_equal(f.size, 6000000);
	for (unsigned i = 0; i < 6000; i++)
		assert_int_equal(f.data[1000 * i + 999], (uint8_t)i);
	boot_file_free(&f);
	unlink(name);
	rmdir(folder);
}

/* Nobody writes to it: a signal that is to be taken later ends the waiting. */
static void waiting_for_a_pipe_ends_with_a_signal(void **state)
{
	char folder[] = "/tmp/ringside-boot-XXXXXX", name[64];
	struct boot_file f;
	struct error err;
	sigset_t set;
	int taken;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(name, sizeof(name), "%s/pipe", folder);
	assert_int_equal(mkfifo(name, 0600), 0);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	assert_int_equal(sigprocmask(SIG_BLOCK, &set, NULL), 0);
	kill(getpid(), SIGTERM);
	assert_int_equal(boot_file_read(&f, name, &err), -EINTR);
	assert_int_equal(sigwait(&set, &taken), 0);
	assert_int_equal(sigprocmask(SIG_UNBLOCK, &set, NULL), 0);
	assert_null(f.data);
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
		cmocka_unit_test(a_bzimage_without_its_end_is_said),
		cmocka_unit_test(random_headers_do_no_harm),
		cmocka_unit_test(the_initrd_ends_where_the_kernel_lets_it),
		cmocka_unit_test(a_command_line_may_be_as_long_as_the_kernel_says),
		cmocka_unit_test(the_version_decides_what_is_believed),
		cmocka_unit_test(the_header_is_copied_whole),
		cmocka_unit_test(the_memory_list_entry_by_entry),
		cmocka_unit_test(a_missing_file_is_said),
		cmocka_unit_test(a_pipe_is_read_to_its_end),
		cmocka_unit_test(waiting_for_a_pipe_ends_with_a_signal),
		cmocka_unit_test(a_file_that_is_not_ours_to_read_is_said),
		cmocka_unit_test(an_empty_file_is_said),
	};

	return cmocka_run_group_tests_name("boot", tests, NULL, NULL);
}
