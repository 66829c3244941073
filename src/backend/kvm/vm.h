/* SPDX-License-Identifier: MIT */
/*
 * A virtual machine on KVM: memory slots, interrupt controllers, processors.  It is the host of a
 * backplane's main system bus.
 *
 *      vm.c      open and close, memory slots, the threads' life
 *      irq.c     struct sysbus_host_ops: lines, messages, ioeventfd, irqfd
 *      vcpu.c    one virtual CPU: its thread and its exits
 *      cpu.c     what is in its registers: at the entry of a kernel, at power-on
 *      chips.c   interrupt controllers and timer
 *
 * The interrupt controllers (two 8259, one I/O APIC, local APICs) and the timer (8254) are the
 * kernel's.  GSI 0 to 23 are the inputs of the I/O APIC (0 to 15 those of the 8259s too; GSI 0 is
 * input 2); from 24 on each GSI is one interrupt message.
 *
 * Threads: the virtual CPUs run on threads of their own and take the machine lock for each exit
 * that goes to the bus.  kvm_vm_start() and kvm_vm_stop() belong to the control thread, which
 * does not hold the lock then; everything else needs the lock or stopped CPUs.
 */
#ifndef BACKEND_KVM_VM_H
#define BACKEND_KVM_VM_H

#include "backend/kvm/vcpu.h"
#include "backend/sysbus/backplane.h"

#define KVM_CPUS_MAX 64

/* Inputs of the I/O APIC. */
#define KVM_LINES 24

struct kvm_chips;
struct kvm_irq_routing;
struct kvm_vm;

enum kvm_end {
	KVM_END_RESET, /* triple fault: a real processor asks its board for a reset */
	KVM_END_FAILED,
};

struct kvm_vm_ops {
	/* A virtual CPU cannot go on; its thread, with the lock held.  @text: one sentence. */
	void (*ended)(struct kvm_vm *vm, enum kvm_end how, const char *text);
};

/* Counted with the lock held, except by threads of the CPUs, which count their own. */
struct kvm_irq_stats {
	uint64_t lines;	  /* changes of a line's level                        */
	uint64_t msis;	  /* interrupt messages sent from user space          */
	uint64_t irqfds;  /* messages and lines that go by irqfd at present   */
	uint64_t kickfds; /* addresses that are ioeventfds at present         */
};

struct kvm_vm {
	struct sysbus_host host;
	struct backplane *plane; /* NULL: not open */
	const struct kvm_vm_ops *ops;

	int kvm; /* /dev/kvm */
	int fd;
	uint32_t slots;
	struct kvm_irq_routing *routes; /* room for routes_max */
	uint32_t routes_max;
	int *route_fds; /* of each message route: the fd that it serves, -1: free */
	struct kvm_irq_stats irq_stats;
	struct kvm_chips *chips; /* as they were at power-on */

	struct kvm_vcpu **cpus;
	unsigned n_cpus;
	bool halt; /* atomic: CPUs leave their loops */
};

struct kvm_vm_config {
	struct backplane *plane; /* that stands on it, until it is closed */
	const struct kvm_vm_ops *ops;
	unsigned cpus;
	bool no_ioeventfd; /* kicks leave to user space                    */
	bool no_irqfd;	   /* interrupts are sent by a system call         */
};

/*
 * -ENOENT, -EACCES, -ENOTSUP: there is no /dev/kvm, not for us, or it lacks something; the
 * sentence says which.
 */
int kvm_vm_open(struct kvm_vm *vm, const struct kvm_vm_config *config, struct error *err);
/* Stops the CPUs.  Harmless when zeroed. */
void kvm_vm_close(struct kvm_vm *vm);

/* @host must be page-aligned, and stay until the VM is closed. */
int kvm_vm_add_memory(struct kvm_vm *vm, uint64_t gpa, uint64_t size, void *host, bool readonly,
		      struct error *err);

/* Threads run from now on, the first CPU from @start, the others when it wakes them. */
int kvm_vm_start(struct kvm_vm *vm, const struct kvm_start *start, struct error *err);
/* Asks the CPUs to leave the guest soon; any thread, lock or not. */
void kvm_vm_halt(struct kvm_vm *vm);
/* Every CPU has left the guest and its thread is gone.  Harmless when stopped. */
void kvm_vm_stop(struct kvm_vm *vm);
/*
 * CPUs, interrupt controllers and timer as they were when the VM was opened; the CPUs are stopped.
 */
int kvm_vm_reset(struct kvm_vm *vm, struct error *err);

/* ---- between the files of this folder ---- */

int kvm_chips_create(struct kvm_vm *vm, struct error *err);
int kvm_chips_restore(struct kvm_vm *vm, struct error *err);
int kvm_irq_init(struct kvm_vm *vm, bool no_irqfd, bool no_ioeventfd, struct error *err);
void kvm_irq_fini(struct kvm_vm *vm);

#endif
