/* SPDX-License-Identifier: MIT */
#include "backend/kvm/vcpu.h"

#include "backend/kvm/vm.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/thread.h"

#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * Wakes a CPU's thread from the guest; blocked everywhere but in there, so that
 * it needs no handler.
 */
#define KICK_SIGNAL SIGRTMIN

#define CR0_PE	    BIT64(0)
#define EFER_LMA    BIT64(10)

const char *const kvm_exit_names[KVM_EXIT_COUNTS] = {
	[KVM_EXIT_COUNT_PORT_IN] = "port-in",
	[KVM_EXIT_COUNT_PORT_OUT] = "port-out",
	[KVM_EXIT_COUNT_MEMORY_READ] = "memory-read",
	[KVM_EXIT_COUNT_MEMORY_WRITE] = "memory-write",
	[KVM_EXIT_COUNT_SIGNAL] = "signal",
	[KVM_EXIT_COUNT_OTHER] = "other",
};

static void count(struct kvm_vcpu *cpu, enum kvm_exit why)
{
	write_once(&cpu->exits[why], cpu->exits[why] + 1);
}

static uint64_t value_of(const uint8_t *bytes, unsigned size)
{
	uint64_t v = 0;

	memcpy(&v, bytes, size);
	return le64toh(v);
}

static void bytes_of(uint8_t *bytes, uint64_t v, unsigned size)
{
	v = htole64(v);
	memcpy(bytes, &v, size);
}

/* A string instruction comes as many accesses to one port. */
static void port_access(struct kvm_vcpu *cpu)
{
	struct kvm_run *run = cpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	bool in = run->io.direction == KVM_EXIT_IO_IN;

	count(cpu, in ? KVM_EXIT_COUNT_PORT_IN : KVM_EXIT_COUNT_PORT_OUT);
	backplane_lock(cpu->vm->plane);
	if (in)
		sysbus_read_string(&cpu->vm->plane->bus, run->io.port, data, run->io.size,
				   run->io.count);
	else
		sysbus_write_string(&cpu->vm->plane->bus, run->io.port, data, run->io.size,
				    run->io.count);
	backplane_unlock(cpu->vm->plane);
}

/* KVM hands over pieces of 1 to 8 bytes, of any number; a bus knows the powers of two. */
static void memory_access(struct kvm_vcpu *cpu)
{
	struct kvm_run *run = cpu->run;
	uint64_t addr = run->mmio.phys_addr;
	uint32_t len = run->mmio.len <= 8 ? run->mmio.len : 8;

	count(cpu, run->mmio.is_write ? KVM_EXIT_COUNT_MEMORY_WRITE : KVM_EXIT_COUNT_MEMORY_READ);
	backplane_lock(cpu->vm->plane);
	for (uint32_t at = 0, size; at < len; at += size) {
		for (size = 8; size > len - at; size /= 2)
			;
		if (run->mmio.is_write)
			sysbus_write(&cpu->vm->plane->bus, SYSBUS_MEMORY, addr + at,
				     value_of(run->mmio.data + at, size), size);
		else
			bytes_of(run->mmio.data + at,
				 sysbus_read(&cpu->vm->plane->bus, SYSBUS_MEMORY, addr + at, size),
				 size);
	}
	backplane_unlock(cpu->vm->plane);
}

static const char *mode_of(const struct kvm_sregs *s)
{
	if (!(s->cr0 & CR0_PE))
		return "real mode";
	if (s->efer & EFER_LMA && s->cs.l)
		return "64-bit mode";
	return s->cs.db ? "32-bit mode" : "16-bit protected mode";
}

static void vcpu_end(struct kvm_vcpu *cpu, enum kvm_end how, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void vcpu_end(struct kvm_vcpu *cpu, enum kvm_end how, const char *fmt, ...)
{
	char why[96], text[192];
	struct kvm_regs regs = {0};
	struct kvm_sregs sregs = {0};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	ioctl(cpu->fd, KVM_GET_REGS, &regs);
	ioctl(cpu->fd, KVM_GET_SREGS, &sregs);
	snprintf(text, sizeof(text), "virtual CPU %u %s, at 0x%x:0x%llx in %s", cpu->index, why,
		 sregs.cs.selector, (unsigned long long)regs.rip, mode_of(&sregs));
	kvm_vm_halt(cpu->vm);
	backplane_lock(cpu->vm->plane);
	cpu->vm->ops->ended(cpu->vm, how, text);
	backplane_unlock(cpu->vm->plane);
}

static void exited(struct kvm_vcpu *cpu)
{
	struct kvm_run *run = cpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		port_access(cpu);
		return;
	case KVM_EXIT_MMIO:
		memory_access(cpu);
		return;
	case KVM_EXIT_INTR:
		count(cpu, KVM_EXIT_COUNT_SIGNAL);
		return;
	case KVM_EXIT_SHUTDOWN:
		vcpu_end(cpu, KVM_END_RESET, "has shut down after a triple fault");
		break;
	case KVM_EXIT_FAIL_ENTRY:
		vcpu_end(cpu, KVM_END_FAILED, "cannot enter the guest: hardware reason 0x%llx",
			 (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		vcpu_end(cpu, KVM_END_FAILED, "met an instruction that KVM cannot run (error %u)",
			 run->internal.suberror);
		break;
	default:
		vcpu_end(cpu, KVM_END_FAILED,
			 "left the guest for reason %u, which is not known here", run->exit_reason);
		break;
	}
	count(cpu, KVM_EXIT_COUNT_OTHER);
}

static void *vcpu_main(void *arg)
{
	struct kvm_vcpu *cpu = arg;
	char name[16];

	snprintf(name, sizeof(name), "cpu%u", cpu->index % 1000);
	pthread_setname_np(pthread_self(), name);
	while (!read_once(&cpu->vm->halt)) {
		if (!ioctl(cpu->fd, KVM_RUN, 0)) {
			exited(cpu);
		} else if (errno == EINTR || errno == EAGAIN) {
			count(cpu, KVM_EXIT_COUNT_SIGNAL);
		} else {
			vcpu_end(cpu, KVM_END_FAILED, "cannot run: KVM says error %d", errno);
			count(cpu, KVM_EXIT_COUNT_OTHER);
		}
	}
	/* An access that was half done is completed, so that the registers are whole again. */
	write_once(&cpu->run->immediate_exit, 1);
	ioctl(cpu->fd, KVM_RUN, 0);
	return NULL;
}

/* In the guest every signal but the kick is blocked. */
static int set_signal_mask(struct kvm_vcpu *cpu)
{
	const uint64_t blocked = ~BIT64(KICK_SIGNAL - 1);
	union {
		struct kvm_signal_mask mask;
		uint8_t room[sizeof(struct kvm_signal_mask) + sizeof(blocked)];
	} arg = {.mask.len = sizeof(blocked)};

	memcpy(arg.mask.sigset, &blocked, sizeof(blocked));
	return ioctl(cpu->fd, KVM_SET_SIGNAL_MASK, &arg) ? -errno : 0;
}

int kvm_vcpu_create(struct kvm_vcpu **out, struct kvm_vm *vm, unsigned index, struct error *err)
{
	struct kvm_vcpu *cpu = calloc(1, sizeof(*cpu));
	void *run;
	int size, rc;

	if (!cpu)
		return error_set(err, -ENOMEM, "cannot make virtual CPU %u", index);
	cpu->vm = vm;
	cpu->index = index;
	cpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, index);
	if (cpu->fd < 0) {
		rc = error_set(err, -errno, "KVM cannot make virtual CPU %u", index);
		goto free_cpu;
	}
	size = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < 0) {
		rc = error_set(err, -errno, "KVM does not tell the size of a CPU's page");
		goto close_fd;
	}
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu->fd, 0);
	if (run == MAP_FAILED) {
		rc = error_set(err, -errno, "cannot map the page of virtual CPU %u", index);
		goto close_fd;
	}
	cpu->run = run;
	cpu->run_size = (size_t)size;
	rc = set_signal_mask(cpu);
	if (rc)
		error_set(err, rc, "KVM does not take a signal mask");
	else
		rc = kvm_cpu_set_cpuid(cpu, err);
	if (rc)
		goto unmap;
	*out = cpu;
	return 0;
unmap:
	munmap(cpu->run, cpu->run_size);
close_fd:
	close(cpu->fd);
free_cpu:
	free(cpu);
	return rc;
}

void kvm_vcpu_destroy(struct kvm_vcpu **cpup)
{
	struct kvm_vcpu *cpu = *cpup;

	if (!cpu)
		return;
	kvm_cpu_forget(cpu);
	munmap(cpu->run, cpu->run_size);
	close(cpu->fd);
	free(cpu);
	*cpup = NULL;
}

int kvm_vcpu_start(struct kvm_vcpu *cpu, struct error *err)
{
	int rc;

	write_once(&cpu->run->immediate_exit, 0);
	rc = thread_start(&cpu->thread, vcpu_main, cpu);
	cpu->running = !rc;
	return rc ? error_set(err, rc, "cannot start virtual CPU %u", cpu->index) : 0;
}

void kvm_vcpu_kick(struct kvm_vcpu *cpu)
{
	if (!cpu->running)
		return;
	write_once(&cpu->run->immediate_exit, 1);
	pthread_kill(cpu->thread, KICK_SIGNAL);
}

uint64_t kvm_vcpu_used_ns(const struct kvm_vcpu *cpu)
{
	struct timespec used;
	clockid_t clock;

	if (!cpu->running || pthread_getcpuclockid(cpu->thread, &clock) ||
	    clock_gettime(clock, &used))
		return 0;
	return (uint64_t)used.tv_sec * NSEC_PER_SEC + (uint64_t)used.tv_nsec;
}

void kvm_vcpu_join(struct kvm_vcpu *cpu)
{
	if (!cpu->running)
		return;
	pthread_join(cpu->thread, NULL);
	cpu->running = false;
}
