/* SPDX-License-Identifier: MIT */
#include "backend/kvm/vm.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>

/* Pages that Intel's processors need for real mode, in the hole below the firmware. */
#define IDENTITY_MAP_ADDR 0xfeffc000
#define TSS_ADDR	  0xfeffd000

struct kvm_chips {
	struct kvm_irqchip chip[3]; /* two 8259, the I/O APIC */
	struct kvm_pit_state2 pit;
};

static int save(struct kvm_vm *vm, struct error *err)
{
	struct kvm_chips *c = calloc(1, sizeof(*c));

	if (!c)
		return error_set(err, -ENOMEM, "cannot make interrupt controllers");
	vm->chips = c;
	for (unsigned i = 0; i < ARRAY_SIZE(c->chip); i++) {
		c->chip[i].chip_id = i;
		if (ioctl(vm->fd, KVM_GET_IRQCHIP, &c->chip[i]))
			return error_set(err, -errno, "KVM does not show interrupt controller %u",
					 i);
	}
	if (ioctl(vm->fd, KVM_GET_PIT2, &c->pit))
		return error_set(err, -errno, "KVM does not show the timer");
	return 0;
}

int kvm_chips_create(struct kvm_vm *vm, struct error *err)
{
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
	uint64_t identity = IDENTITY_MAP_ADDR;

	if (ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) ||
	    ioctl(vm->fd, KVM_SET_TSS_ADDR, TSS_ADDR))
		return error_set(err, -errno, "KVM does not take the pages for real mode");
	if (ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0))
		return error_set(err, -errno, "KVM cannot make interrupt controllers");
	if (ioctl(vm->fd, KVM_CREATE_PIT2, &pit))
		return error_set(err, -errno, "KVM cannot make a timer");
	return save(vm, err);
}

int kvm_chips_restore(struct kvm_vm *vm, struct error *err)
{
	for (unsigned i = 0; i < ARRAY_SIZE(vm->chips->chip); i++)
		if (ioctl(vm->fd, KVM_SET_IRQCHIP, &vm->chips->chip[i]))
			return error_set(err, -errno, "KVM does not take interrupt controller %u",
					 i);
	if (ioctl(vm->fd, KVM_SET_PIT2, &vm->chips->pit))
		return error_set(err, -errno, "KVM does not take the timer");
	return 0;
}
