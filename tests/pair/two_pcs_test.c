/* SPDX-License-Identifier: MIT */
/*
 * Two whole machines in one process, running at the same time, each with its own disk: nothing of
 * one is to be seen in the other.
 *
 * Where this machine's KVM can be used each has a guest, a firmware of a hundred instructions
 * that drives the disk from real mode; elsewhere two threads are the processors of two
 * machines without any.
 */
#include "test.h"

#include "pc_rig.h"

#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROM_BYTES  65536
#define DISK_BYTES (1 << 20)

/*
 * Memory of the guest, from 0x10000 on: the ring (8 entries) on two pages, the header at 0x400, the
 * status byte at 0x500, the data at 0x800.  It reads sector 0 many times, writes it to sector 1,
 * and leaves its first byte at the exit port; 0x7f if anything was wrong.
 */
__asm__(".pushsection .rodata\n"
	"two_pcs_code:\n"
	".code16\n"
	"	cli\n"
	"	mov	$0x1000, %ax\n"
	"	mov	%ax, %ds\n"
	/* 00:02.0: ports from 0xc000 on, decoding and bus mastering */
	"	mov	$0xcf8, %dx\n"
	"	mov	$0x80001010, %eax\n"
	"	out	%eax, %dx\n"
	"	mov	$0xcfc, %dx\n"
	"	mov	$0xc000, %eax\n"
	"	out	%eax, %dx\n"
	"	mov	$0xcf8, %dx\n"
	"	mov	$0x80001004, %eax\n"
	"	out	%eax, %dx\n"
	"	mov	$0xcfc, %dx\n"
	"	mov	$5, %eax\n"
	"	out	%eax, %dx\n"
	/* The legacy header: reset, acknowledge, driver, no features, the ring */
	"	mov	$0xc012, %dx\n"
	"	mov	$0, %al\n"
	"	out	%al, %dx\n"
	"	mov	$1, %al\n"
	"	out	%al, %dx\n"
	"	mov	$3, %al\n"
	"	out	%al, %dx\n"
	"	mov	$0xc004, %dx\n"
	"	mov	$0, %eax\n"
	"	out	%eax, %dx\n"
	"	mov	$0xc00e, %dx\n"
	"	mov	$0, %ax\n"
	"	out	%ax, %dx\n"
	"	mov	$0xc008, %dx\n"
	"	mov	$0x10, %eax\n"
	"	out	%eax, %dx\n"
	/* Three descriptors: header, 512 bytes, status */
	"	movl	$0x10400, 0\n"
	"	movl	$0, 4\n"
	"	movl	$16, 8\n"
	"	movl	$0x00010001, 12\n"
	"	movl	$0x10800, 16\n"
	"	movl	$0, 20\n"
	"	movl	$512, 24\n"
	"	movl	$0x00020003, 28\n"
	"	movl	$0x10500, 32\n"
	"	movl	$0, 36\n"
	"	movl	$1, 40\n"
	"	movl	$0x00000002, 44\n"
	"	movl	$0, 0x400\n"
	"	movl	$0, 0x404\n"
	"	movl	$0, 0x408\n"
	"	movl	$0, 0x40c\n"
	/* No interrupts; every entry of the available ring is head 0 */
	"	movl	$1, 128\n"
	"	movl	$0, 132\n"
	"	movl	$0, 136\n"
	"	movl	$0, 140\n"
	"	movl	$0, 144\n"
	"	movl	$0, 0x1000\n"
	"	mov	$0xc012, %dx\n"
	"	mov	$7, %al\n"
	"	out	%al, %dx\n"
	"	mov	$0, %bx\n"
	"	mov	$2000, %cx\n"
	"1:	call	2f\n"
	"	dec	%cx\n"
	"	jnz	1b\n"
	"	movl	$1, 0x400\n"
	"	movl	$1, 0x408\n"
	"	movl	$0x00020001, 28\n"
	"	call	2f\n"
	"	mov	0x800, %al\n"
	"5:	mov	$0xf4, %dx\n"
	"	out	%al, %dx\n"
	"6:	hlt\n"
	"	jmp	6b\n"
	/* One request, number %bx */
	"2:	movb	$0xff, 0x500\n"
	"	inc	%bx\n"
	"	mov	%bx, 130\n"
	"	mov	$0xc010, %dx\n"
	"	mov	$0, %ax\n"
	"	out	%ax, %dx\n"
	"3:	mov	0x1002, %ax\n"
	"	cmp	%ax, %bx\n"
	"	jne	3b\n"
	"	mov	0x500, %al\n"
	"	cmp	$0, %al\n"
	"	jne	4f\n"
	"	ret\n"
	"4:	mov	$0x7f, %al\n"
	"	jmp	5b\n"
	".code64\n"
	"two_pcs_code_end:\n"
	".popsection\n");
extern const uint8_t two_pcs_code[], two_pcs_code_end[];

struct machine {
	pthread_t thread;
	char folder[32], rom[64], disk[64];
	uint8_t marker;
	struct pc *pc;
	int rc;
	struct error err;
};

static void put_file(const char *path, const uint8_t *bytes, size_t n)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	close(fd);
}

/* The code at F000:0000, at the reset vector a jump to it.  Its stack is in its memory, too. */
static void make_rom(const char *path)
{
	static const uint8_t vector[] = {
		0xb8, 0x00, 0x20,	      /* mov $0x2000, %ax */
		0x8e, 0xd0,		      /* mov %ax, %ss     */
		0xbc, 0x00, 0x10,	      /* mov $0x1000, %sp */
		0xea, 0x00, 0x00, 0x00, 0xf0, /* ljmp $0xf000, $0 */
	};
	uint8_t *rom = calloc(1, ROM_BYTES);

	assert_non_null(rom);
	memcpy(rom, two_pcs_code, (size_t)(two_pcs_code_end - two_pcs_code));
	memcpy(rom + 0xfff0, vector, sizeof(vector));
	put_file(path, rom, ROM_BYTES);
	free(rom);
}

static void power_up(struct machine *m)
{
	const struct pc_config config = {
		.memory = UINT64_C(4) << 20, .cpus = 1, .bios = m->rom, .workers = 1};
	const struct virtio_pci_options board = {0};
	struct disk_spec spec = {0};
	uint8_t *bytes = malloc(DISK_BYTES);
	char words[96];

	strcpy(m->folder, "/tmp/two-pcs-XXXXXX");
	assert_non_null(mkdtemp(m->folder));
	snprintf(m->rom, sizeof(m->rom), "%s/rom", m->folder);
	snprintf(m->disk, sizeof(m->disk), "%s/disk", m->folder);
	make_rom(m->rom);
	assert_non_null(bytes);
	memset(bytes, m->marker, DISK_BYTES);
	memset(bytes + 512, 0, 512);
	put_file(m->disk, bytes, DISK_BYTES);
	free(bytes);
	if (pc_create(&m->pc, &config, &m->err) || pc_use_kvm(m->pc, &config, &m->err))
		fail_msg("%s", m->err.text);
	snprintf(words, sizeof(words), "file=%s,queue-size=8", m->disk);
	assert_int_equal(disk_spec_parse(words, &spec, &m->err), 0);
	if (pc_add_disk(m->pc, &spec, &board, &m->err))
		fail_msg("%s", m->err.text);
	disk_spec_fini(&spec);
}

static void *run(void *arg)
{
	struct machine *m = arg;

	m->rc = pc_run(m->pc, &m->err);
	return NULL;
}

static void power_down(struct machine *m)
{
	uint8_t bytes[1024], expected[1024];
	int fd;

	pc_destroy(&m->pc);
	memset(expected, m->marker, sizeof(expected));
	fd = open(m->disk, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, bytes, sizeof(bytes)), sizeof(bytes));
	close(fd);
	assert_memory_equal(bytes, expected, sizeof(bytes));
	unlink(m->disk);
	unlink(m->rom);
	rmdir(m->folder);
}

static void two_guests_run_at_once(void **state)
{
	struct machine m[2] = {{.marker = 0x15}, {.marker = 0x2a}};

	(void)state;
	if (access("/dev/kvm", R_OK | W_OK))
		skip();
	for (unsigned i = 0; i < 2; i++)
		power_up(&m[i]);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&m[i].thread, NULL, run, &m[i]), 0);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(m[i].thread, NULL);
	for (unsigned i = 0; i < 2; i++) {
		if (m[i].rc)
			fail_msg("%s", m[i].err.text);
		assert_int_equal(m[i].pc->end, PC_EXIT);
		assert_int_equal(m[i].pc->exit_value, m[i].marker);
		power_down(&m[i]);
	}
}

static void *drive(void *arg)
{
	struct pc_rig *r = arg;

	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(pc_rig_check(r), 2);
	return NULL;
}

static void two_machines_without_processors_work_at_once(void **state)
{
	static const char *const disks[] = {"modern-only", "queues", NULL};
	struct pc_rig r[2];
	pthread_t threads[2];

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		pc_rig_init(&r[i], disks);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, drive, &r[i]), 0);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(pc_rig_requests(&r[i]) == 20 * 2 * 2);
		pc_rig_fini(&r[i]);
	}
}

/* What is written to one machine's registers is not to be read in the other's. */
static void their_buses_are_not_one(void **state)
{
	static const char *const one[] = {"", NULL}, *const none[] = {NULL};
	struct pci_access *a, *b;
	struct pc_rig r[2];

	(void)state;
	pc_rig_init(&r[0], one);
	pc_rig_init(&r[1], none);
	a = &r[0].access;
	b = &r[1].access;
	assert_int_equal(a->ops->config_read(a, PCI_DEVFN(2, 0), PCI_VENDOR_ID, 2),
			 VIRTIO_PCI_VENDOR);
	assert_int_equal(b->ops->config_read(b, PCI_DEVFN(2, 0), PCI_VENDOR_ID, 2), 0xffff);
	pc_rig_write(&r[0], SYSBUS_PORT, 0xf4, 1, 1);
	assert_int_equal(r[0].pc->end, PC_EXIT);
	assert_int_equal(r[1].pc->end, PC_RUNNING);
	pc_rig_fini(&r[0]);
	assert_int_equal(pc_rig_check(&r[1]), 0);
	pc_rig_fini(&r[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_guests_run_at_once),
		cmocka_unit_test(two_machines_without_processors_work_at_once),
		cmocka_unit_test(their_buses_are_not_one),
	};

	log_setup(LOG_LEVEL_ERR, NULL, NULL);
	return cmocka_run_group_tests_name("two_pcs", tests, NULL, NULL);
}
