/* SPDX-License-Identifier: MIT */
/*
 * A virtual CPU: a thread that enters the guest, and deals with why it came back.
 *
 * Threads: see vm.h; `exits` is written by the CPU's own thread and may be read by
 * any (a count may lag).
 */
#ifndef BACKEND_KVM_VCPU_H
#define BACKEND_KVM_VCPU_H

#include "base/error.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kvm_run;
struct kvm_snapshot;
struct kvm_vm;

/* Where a CPU begins. */
enum kvm_start_mode {
	KVM_START_RESET,     /* real mode at the reset vector: firmware            */
	KVM_START_LONG,	     /* 64 bits, paging on: the Linux 64-bit boot protocol */
	KVM_START_PROTECTED, /* 32 bits, flat, no paging: PVH                      */
	KVM_START_REAL,	     /* real mode at segment 0                             */
};

struct kvm_start {
	enum kvm_start_mode mode;
	uint64_t ip;
	uint64_t rsi, rbx;
	uint64_t page_table; /* of LONG */
	uint64_t gdt;	     /* whose entries 2 and 3 are flat code and data */
	uint16_t gdt_size;
};

/* Why the guest was left. */
enum kvm_exit {
	KVM_EXIT_COUNT_PORT_IN,
	KVM_EXIT_COUNT_PORT_OUT,
	KVM_EXIT_COUNT_MEMORY_READ,
	KVM_EXIT_COUNT_MEMORY_WRITE,
	KVM_EXIT_COUNT_SIGNAL,
	KVM_EXIT_COUNT_OTHER,
	KVM_EXIT_COUNTS,
};
extern const char *const kvm_exit_names[KVM_EXIT_COUNTS];

struct kvm_vcpu {
	struct kvm_vm *vm;
	unsigned index;
	int fd;
	struct kvm_run *run;
	size_t run_size;
	pthread_t thread;
	bool running; /* the thread exists */
	uint64_t exits[KVM_EXIT_COUNTS];
	struct kvm_snapshot *power_on;
};

int kvm_vcpu_create(struct kvm_vcpu **out, struct kvm_vm *vm, unsigned index, struct error *err);
/* Stopped.  NULLs *cpu. */
void kvm_vcpu_destroy(struct kvm_vcpu **cpu);
int kvm_vcpu_start(struct kvm_vcpu *cpu, struct error *err);
/* The processor time that its thread has had since it was started. */
uint64_t kvm_vcpu_used_ns(const struct kvm_vcpu *cpu);
/* From any thread: leave the guest now. */
void kvm_vcpu_kick(struct kvm_vcpu *cpu);
void kvm_vcpu_join(struct kvm_vcpu *cpu);

/* ---- cpu.c ---- */

int kvm_cpu_set_cpuid(struct kvm_vcpu *cpu, struct error *err);
int kvm_cpu_set_start(struct kvm_vcpu *cpu, const struct kvm_start *start, struct error *err);
/* Remembers the registers as they are, and puts them back. */
int kvm_cpu_save(struct kvm_vcpu *cpu, struct error *err);
int kvm_cpu_restore(struct kvm_vcpu *cpu, struct error *err);
void kvm_cpu_forget(struct kvm_vcpu *cpu);

#endif
