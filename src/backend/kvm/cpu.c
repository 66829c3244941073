/* SPDX-License-Identifier: MIT */
#include "backend/kvm/vcpu.h"

#include "backend/kvm/vm.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define CPUID_ENTRIES 256
#define MSRS_MAX      512

#define CR0_PE	      BIT64(0)
#define CR0_ET	      BIT64(4)
#define CR0_PG	      BIT64(31)
#define CR4_PAE	      BIT64(5)
#define EFER_LME      BIT64(8)
#define EFER_LMA      BIT64(10)

/* ---- what the guest is told about its processor ---- */

#define CPUID_1_XSAVE BIT64(26)

/*
 * Instructions on registers that only XSAVE can switch.  An emulated host may have them without
 * XSAVE; a guest that believes it dies of the first of them, since it cannot switch them on.
 */
static void drop_wide_registers(struct kvm_cpuid_entry2 *e)
{
	switch (e->function) {
	case 0x1: /* FMA, AVX, F16C */
		e->ecx &= ~(1u << 12 | 1u << 28 | 1u << 29);
		break;
	case 0x7: /* AVX2, AVX-512, AMX; VAES and VPCLMULQDQ; protection keys */
		if (e->index == 0) {
			e->ebx &= ~(1u << 5 | 1u << 16 | 1u << 17 | 1u << 21 | 1u << 26 | 1u << 27 |
				    1u << 28 | 1u << 30 | 1u << 31);
			e->ecx &= ~(1u << 1 | 1u << 3 | 1u << 6 | 1u << 9 | 1u << 10 | 1u << 11 |
				    1u << 12 | 1u << 14);
			e->edx &= ~(1u << 2 | 1u << 3 | 1u << 8 | 1u << 22 | 1u << 23 | 1u << 24 |
				    1u << 25);
		} else {
			e->eax = e->ebx = e->ecx = e->edx = 0;
		}
		break;
	case 0x80000001: /* XOP, FMA4 */
		e->ecx &= ~(1u << 11 | 1u << 16);
		break;
	default:
		break;
	}
}

/* Each CPU is a package of its own, with its index as its APIC number. */
static void adapt_leaf(struct kvm_cpuid_entry2 *e, uint32_t apic, bool deadline_timer)
{
	switch (e->function) {
	case 0x1:
		e->ebx = (e->ebx & 0xff00) | 1u << 16 | apic << 24;
		e->ecx |= 1u << 31; /* a hypervisor is there */
		if (deadline_timer)
			e->ecx |= 1u << 24;
		e->edx &= ~(1u << 28); /* one logical processor */
		break;
	case 0x4:
		e->eax &= 0x3fff;
		break;
	case 0xb:
	case 0x1f:
		e->eax = 0;
		e->ebx = e->index < 2;
		e->ecx = e->index | (e->index == 0 ? 0x100u : e->index == 1 ? 0x200u : 0);
		e->edx = apic;
		break;
	case 0x80000008:
		e->ecx = 0;
		break;
	case 0x8000001e:
		e->eax = apic;
		e->ebx = apic & 0xff;
		e->ecx = 0;
		break;
	default:
		break;
	}
}

int kvm_cpu_set_cpuid(struct kvm_vcpu *cpu, struct error *err)
{
	struct kvm_cpuid2 *id = calloc(1, sizeof(*id) + CPUID_ENTRIES * sizeof(id->entries[0]));
	bool deadline = ioctl(cpu->vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	bool xsave = false;
	int rc = 0;

	if (!id)
		return error_set(err, -ENOMEM, "cannot describe the processor");
	id->nent = CPUID_ENTRIES;
	if (ioctl(cpu->vm->kvm, KVM_GET_SUPPORTED_CPUID, id)) {
		rc = error_set(err, -errno, "KVM does not describe the processor");
		goto free_id;
	}
	for (uint32_t i = 0; i < id->nent; i++)
		if (id->entries[i].function == 1)
			xsave = id->entries[i].ecx & CPUID_1_XSAVE;
	for (uint32_t i = 0; i < id->nent; i++) {
		adapt_leaf(&id->entries[i], cpu->index, deadline);
		if (!xsave)
			drop_wide_registers(&id->entries[i]);
	}
	if (ioctl(cpu->fd, KVM_SET_CPUID2, id))
		rc = error_set(err, -errno, "KVM does not take the processor's description");
free_id:
	free(id);
	return rc;
}

/* ---- where it starts ---- */

static struct kvm_segment segment(uint16_t selector, uint8_t type, bool is64, bool is32)
{
	return (struct kvm_segment){
		.limit = UINT32_MAX,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
		.g = 1,
		.l = is64,
		.db = is32,
	};
}

static void set_segments(struct kvm_sregs *s, const struct kvm_start *start)
{
	bool is64 = start->mode == KVM_START_LONG;
	struct kvm_segment data = segment(0x18, 3, false, true);

	s->cs = segment(0x10, 11, is64, !is64);
	s->ds = s->es = s->ss = s->fs = s->gs = data;
	s->tr = (struct kvm_segment){.limit = 0x67, .type = 11, .present = 1};
	s->gdt.base = start->gdt;
	s->gdt.limit = (uint16_t)(start->gdt_size - 1);
	s->idt = (struct kvm_dtable){0};
	s->cr0 = CR0_PE | CR0_ET;
	s->cr4 = 0;
	s->efer = 0;
	if (is64) {
		s->cr0 |= CR0_PG;
		s->cr3 = start->page_table;
		s->cr4 = CR4_PAE;
		s->efer = EFER_LME | EFER_LMA;
	}
}

int kvm_cpu_set_start(struct kvm_vcpu *cpu, const struct kvm_start *start, struct error *err)
{
	struct kvm_regs regs = {
		.rflags = 2, .rip = start->ip, .rsi = start->rsi, .rbx = start->rbx};
	struct kvm_sregs sregs;

	if (start->mode == KVM_START_RESET)
		return 0;
	if (ioctl(cpu->fd, KVM_GET_SREGS, &sregs))
		return error_set(err, -errno, "KVM does not show the registers");
	if (start->mode == KVM_START_REAL) {
		sregs.cs.base = 0;
		sregs.cs.selector = 0;
	} else {
		set_segments(&sregs, start);
	}
	if (ioctl(cpu->fd, KVM_SET_SREGS, &sregs) || ioctl(cpu->fd, KVM_SET_REGS, &regs))
		return error_set(err, -errno, "KVM does not take the registers");
	return 0;
}

/* ---- power-on ---- */

struct kvm_snapshot {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_fpu fpu;
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp_state;
	struct kvm_debugregs debugregs;
	struct kvm_xcrs xcrs;
	bool has_xcrs;
	uint32_t n_msrs;
	struct kvm_msr_entry msrs[MSRS_MAX];
};

/* One at a time: a kernel lists registers that it then refuses on some processors. */
static bool msr_access(const struct kvm_vcpu *cpu, unsigned long request,
		       struct kvm_msr_entry *entry)
{
	union {
		struct kvm_msrs list;
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} one = {.list.nmsrs = 1};

	one.list.entries[0] = *entry;
	if (ioctl(cpu->fd, request, &one) != 1)
		return false;
	*entry = one.list.entries[0];
	return true;
}

static int save_msrs(const struct kvm_vcpu *cpu, struct kvm_snapshot *s)
{
	struct kvm_msr_list *list = calloc(1, sizeof(*list) + MSRS_MAX * sizeof(list->indices[0]));
	int rc = 0;

	if (!list)
		return -ENOMEM;
	list->nmsrs = MSRS_MAX;
	if (ioctl(cpu->vm->kvm, KVM_GET_MSR_INDEX_LIST, list)) {
		rc = -errno;
		goto free_list;
	}
	for (uint32_t i = 0; i < list->nmsrs && i < MSRS_MAX; i++) {
		struct kvm_msr_entry *e = &s->msrs[s->n_msrs];

		*e = (struct kvm_msr_entry){.index = list->indices[i]};
		if (msr_access(cpu, KVM_GET_MSRS, e))
			s->n_msrs++;
	}
free_list:
	free(list);
	return rc;
}

int kvm_cpu_save(struct kvm_vcpu *cpu, struct error *err)
{
	struct kvm_snapshot *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return error_set(err, -ENOMEM, "cannot make virtual CPU %u", cpu->index);
	cpu->power_on = s;
	if (ioctl(cpu->fd, KVM_GET_REGS, &s->regs) || ioctl(cpu->fd, KVM_GET_SREGS, &s->sregs) ||
	    ioctl(cpu->fd, KVM_GET_FPU, &s->fpu) || ioctl(cpu->fd, KVM_GET_LAPIC, &s->lapic) ||
	    ioctl(cpu->fd, KVM_GET_VCPU_EVENTS, &s->events) ||
	    ioctl(cpu->fd, KVM_GET_DEBUGREGS, &s->debugregs) ||
	    ioctl(cpu->fd, KVM_GET_MP_STATE, &s->mp_state))
		return error_set(err, -errno, "KVM does not show the state of virtual CPU %u",
				 cpu->index);
	/* A host without XSAVE shows none, and takes none back. */
	s->has_xcrs = !ioctl(cpu->fd, KVM_GET_XCRS, &s->xcrs) && s->xcrs.nr_xcrs;
	rc = save_msrs(cpu, s);
	return rc ? error_set(err, rc, "KVM does not show its model-specific registers") : 0;
}

int kvm_cpu_restore(struct kvm_vcpu *cpu, struct error *err)
{
	struct kvm_snapshot *s = cpu->power_on;

	/* Bits first that others stand on: EFER and the APIC's base are in sregs. */
	if (ioctl(cpu->fd, KVM_SET_SREGS, &s->sregs) || ioctl(cpu->fd, KVM_SET_REGS, &s->regs) ||
	    ioctl(cpu->fd, KVM_SET_FPU, &s->fpu) ||
	    (s->has_xcrs && ioctl(cpu->fd, KVM_SET_XCRS, &s->xcrs)) ||
	    ioctl(cpu->fd, KVM_SET_DEBUGREGS, &s->debugregs))
		return error_set(err, -errno, "KVM does not take the state of virtual CPU %u",
				 cpu->index);
	for (uint32_t i = 0; i < s->n_msrs; i++)
		msr_access(cpu, KVM_SET_MSRS, &s->msrs[i]);
	if (ioctl(cpu->fd, KVM_SET_LAPIC, &s->lapic) ||
	    ioctl(cpu->fd, KVM_SET_VCPU_EVENTS, &s->events) ||
	    ioctl(cpu->fd, KVM_SET_MP_STATE, &s->mp_state))
		return error_set(err, -errno, "KVM does not take the state of virtual CPU %u",
				 cpu->index);
	return 0;
}

void kvm_cpu_forget(struct kvm_vcpu *cpu)
{
	free(cpu->power_on);
	cpu->power_on = NULL;
}
