/* SPDX-License-Identifier: MIT */
#include "backend/kvm/probe.h"

#include "backend/kvm/vcpu.h"
#include "backend/kvm/vm.h"
#include "base/clock.h"
#include "base/endian.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEMORY 0x10000
#define GDT    0x1000
#define PAGES  0x2000
#define CODE   0x5000
#define PORT   0xf4
#define ANSWER 0x64
#define TRIES  5
/* Of the processor, which has been given to others meanwhile where a machine is busy. */
#define USED_MAX (60 * NSEC_PER_MSEC)
#define LOOK_MS	 10
#define WAIT_MAX (2 * NSEC_PER_SEC)

struct probe {
	struct kvm_vm vm;
	struct sysbus_region port;
	int done; /* eventfd */
	bool right;
	char text[192]; /* why the CPU gave up */
};

/*
 * What an emulator of small guests gets wrong: 64-bit arithmetic, SSE3's presence, a register
 * that every kernel reads.
 *
 *	mov $1, %eax; cpuid; test $1, %ecx; jz bad		SSE3, as every 64-bit processor has had for long
 *	mov $0x10, %ecx; rdmsr					time stamp counter
 *	mov $0x1234567890abcdef, %rax; mov %rax, %rbx; shr $32, %rbx; cmp $0x12345678, %ebx; jne bad
 *	mov $200000, %ecx; 1: dec %ecx; jnz 1b			1 ms; 200 ms where each is emulated
 *	mov $0x64, %al; out %al, $0xf4; 1: hlt; jmp 1b
 *  bad: mov $0, %al; out %al, $0xf4; 1: hlt; jmp 1b
 */
static const uint8_t guest[] = {
	0xb8, 0x01, 0x00, 0x00, 0x00, 0x0f, 0xa2, 0xf7, 0xc1, 0x01, 0x00, 0x00, 0x00, 0x74, 0x2c,
	0xb9, 0x10, 0x00, 0x00, 0x00, 0x0f, 0x32, 0x48, 0xb8, 0xef, 0xcd, 0xab, 0x90, 0x78, 0x56,
	0x34, 0x12, 0x48, 0x89, 0xc3, 0x48, 0xc1, 0xeb, 0x20, 0x81, 0xfb, 0x78, 0x56, 0x34, 0x12,
	0x75, 0x15, 0xb9, 0x40, 0x0d, 0x03, 0x00, 0xff, 0xc9, 0x75, 0xfc, 0xb0, 0x64, 0xe6, 0xf4,
	0xf4, 0xeb, 0xfd, 0x90, 0x90, 0x90, 0x90, 0x90, 0xb0, 0x00, 0xe6, 0xf4, 0xf4, 0xeb, 0xfd,
};

static uint64_t port_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	(void)r;
	(void)offset;
	(void)size;
	return UINT64_MAX;
}

static void port_write(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size)
{
	struct probe *p = container_of(r, struct probe, port);

	(void)offset;
	(void)size;
	p->right = (uint8_t)value == ANSWER;
	eventfd_write(p->done, 1);
}

static const struct sysbus_region_ops port_ops = {
	.sizes = SYSBUS_BYTE, .read = port_read, .write = port_write};

static void ended(struct kvm_vm *vm, enum kvm_end how, const char *text)
{
	struct probe *p = container_of(vm, struct probe, vm);

	(void)how;
	snprintf(p->text, sizeof(p->text), "%s", text);
	eventfd_write(p->done, 1);
}

static const struct kvm_vm_ops ops = {.ended = ended};

/* The first 2 MiB mapped to themselves. */
static void fill(uint8_t *memory)
{
	const le64 gdt[] = {le64_make(0), le64_make(0), le64_make(0x00af9b000000ffff),
			    le64_make(0x00cf93000000ffff)};
	const le64 upper = le64_make((PAGES + 0x1000) | 3),
		   middle = le64_make((PAGES + 0x2000) | 3);
	const le64 large = le64_make(0x83);

	memcpy(memory + GDT, gdt, sizeof(gdt));
	memcpy(memory + PAGES, &upper, sizeof(upper));
	memcpy(memory + PAGES + 0x1000, &middle, sizeof(middle));
	memcpy(memory + PAGES + 0x2000, &large, sizeof(large));
	memcpy(memory + CODE, guest, sizeof(guest));
}

/* false: it takes too long. */
static bool probe_wait(struct probe *p)
{
	struct pollfd fd = {.fd = p->done, .events = POLLIN};
	uint64_t until = clock_ns() + WAIT_MAX;

	while (poll(&fd, 1, LOOK_MS) != 1)
		if (kvm_vcpu_used_ns(p->vm.cpus[0]) > USED_MAX || clock_ns() >= until)
			return false;
	return true;
}

static int probe_run(struct probe *p, struct error *err)
{
	const struct kvm_start start = {
		.mode = KVM_START_LONG,
		.ip = CODE,
		.page_table = PAGES,
		.gdt = GDT,
		.gdt_size = 32,
	};
	bool in_time = false;
	int rc;

	/*
	 * More than once: within a virtual machine time is taken away unseen, and a busy machine is not
	 * a slow one.
	 */
	for (unsigned i = 0; i < TRIES && !in_time; i++) {
		rc = kvm_vm_start(&p->vm, &start, err);
		if (rc)
			return rc;
		in_time = probe_wait(p);
		kvm_vm_stop(&p->vm);
	}
	if (p->text[0])
		return error_set(err, -ENOTSUP, "KVM here does not run 64-bit guests: %s.",
				 p->text);
	if (!in_time)
		return error_set(err, -ENOTSUP,
				 "KVM here runs 64-bit guests far too slowly: it emulates their "
				 "instructions.");
	if (!p->right)
		return error_set(err, -ENOTSUP,
				 "KVM here does not run 64-bit guests as a processor would.");
	return 0;
}

int kvm_probe(struct error *err)
{
	struct backplane plane;
	const struct kvm_vm_config config = {.plane = &plane, .ops = &ops, .cpus = 1};
	struct probe p = {
		.port = {.name = "probe", .space = SYSBUS_PORT, .size = 1, .ops = &port_ops}};
	void *memory;
	int rc = backplane_init(&plane, NULL, err);

	if (rc)
		return rc;
	rc = kvm_vm_open(&p.vm, &config, err);
	if (rc) {
		backplane_fini(&plane);
		return rc;
	}
	p.done = eventfd(0, EFD_CLOEXEC);
	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p.done < 0 || memory == MAP_FAILED) {
		rc = error_set(err, -errno, "cannot try KVM out");
		goto close_all;
	}
	fill(memory);
	sysbus_map(&plane.bus, &p.port, PORT);
	rc = kvm_vm_add_memory(&p.vm, 0, MEMORY, memory, false, err);
	if (!rc)
		rc = probe_run(&p, err);
close_all:
	kvm_vm_close(&p.vm);
	backplane_fini(&plane);
	if (memory != MAP_FAILED)
		munmap(memory, MEMORY);
	if (p.done >= 0)
		close(p.done);
	return rc;
}
