/* SPDX-License-Identifier: MIT */
#include "backend/kvm/vm.h"

#include "base/atomic.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int open_kvm(struct kvm_vm *vm, struct error *err)
{
	int version;

	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm < 0 && (errno == ENOENT || errno == ENODEV || errno == ENXIO))
		return error_set(
			err, -errno,
			"there is no /dev/kvm here: load kvm_intel or kvm_amd, or ask for nested "
			"virtualization where this is a guest itself.");
	if (vm->kvm < 0)
		return error_set(err, -errno, "cannot open /dev/kvm (is this user in group kvm?)");
	version = ioctl(vm->kvm, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION)
		return error_set(err, -ENOTSUP, "/dev/kvm speaks version %d, not %d.", version,
				 KVM_API_VERSION);
	return 0;
}

static int check_extensions(const struct kvm_vm *vm, struct error *err)
{
	static const struct {
		int cap;
		const char *name;
	} needed[] = {
		{KVM_CAP_USER_MEMORY, "memory slots"},
		{KVM_CAP_IRQCHIP, "interrupt controllers"},
		{KVM_CAP_PIT2, "a timer"},
		{KVM_CAP_IRQ_ROUTING, "interrupt routing"},
		{KVM_CAP_SIGNAL_MSI, "interrupt messages"},
		{KVM_CAP_IMMEDIATE_EXIT, "the immediate exit"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (ioctl(vm->fd, KVM_CHECK_EXTENSION, needed[i].cap) <= 0)
			return error_set(err, -ENOTSUP, "/dev/kvm here does not offer %s.",
					 needed[i].name);
	return 0;
}

static int create_cpus(struct kvm_vm *vm, unsigned n, struct error *err)
{
	int rc;

	vm->cpus = calloc(n, sizeof(vm->cpus[0]));
	if (!vm->cpus)
		return error_set(err, -ENOMEM, "cannot make %u virtual CPUs", n);
	for (; vm->n_cpus < n; vm->n_cpus++) {
		rc = kvm_vcpu_create(&vm->cpus[vm->n_cpus], vm, vm->n_cpus, err);
		if (rc)
			return rc;
	}
	/* All of them exist: the state of power-on is complete. */
	for (unsigned i = 0; i < n; i++) {
		rc = kvm_cpu_save(vm->cpus[i], err);
		if (rc)
			return rc;
	}
	return 0;
}

int kvm_vm_open(struct kvm_vm *vm, const struct kvm_vm_config *config, struct error *err)
{
	int rc;

	*vm = (struct kvm_vm){.kvm = -1, .fd = -1, .plane = config->plane, .ops = config->ops};
	rc = open_kvm(vm, err);
	if (rc)
		goto close_vm;
	vm->fd = ioctl(vm->kvm, KVM_CREATE_VM, 0);
	if (vm->fd < 0) {
		rc = error_set(err, -errno, "KVM cannot make a virtual machine");
		goto close_vm;
	}
	rc = check_extensions(vm, err);
	if (!rc)
		rc = kvm_chips_create(vm, err);
	if (!rc)
		rc = kvm_irq_init(vm, config->no_irqfd, config->no_ioeventfd, err);
	if (!rc)
		rc = create_cpus(vm, config->cpus, err);
	if (!rc) {
		vm->plane->bus.host = &vm->host;
		return 0;
	}
close_vm:
	kvm_vm_close(vm);
	return rc;
}

void kvm_vm_close(struct kvm_vm *vm)
{
	if (!vm->plane)
		return;
	kvm_vm_stop(vm);
	for (unsigned i = 0; i < vm->n_cpus; i++)
		kvm_vcpu_destroy(&vm->cpus[i]);
	free(vm->cpus);
	kvm_irq_fini(vm);
	free(vm->chips);
	if (vm->fd >= 0)
		close(vm->fd);
	if (vm->kvm >= 0)
		close(vm->kvm);
	vm->plane->bus.host = NULL;
	*vm = (struct kvm_vm){.kvm = -1, .fd = -1};
}

int kvm_vm_add_memory(struct kvm_vm *vm, uint64_t gpa, uint64_t size, void *host, bool readonly,
		      struct error *err)
{
	struct kvm_userspace_memory_region slot = {
		.slot = vm->slots,
		.flags = readonly ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)host,
	};

	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot))
		return error_set(err, -errno, "KVM does not take %llu bytes of memory at 0x%llx",
				 (unsigned long long)size, (unsigned long long)gpa);
	vm->slots++;
	return 0;
}

int kvm_vm_start(struct kvm_vm *vm, const struct kvm_start *start, struct error *err)
{
	int rc;

	write_once(&vm->halt, false);
	rc = kvm_cpu_set_start(vm->cpus[0], start, err);
	for (unsigned i = 0; !rc && i < vm->n_cpus; i++)
		rc = kvm_vcpu_start(vm->cpus[i], err);
	if (rc)
		kvm_vm_stop(vm);
	return rc;
}

void kvm_vm_halt(struct kvm_vm *vm)
{
	write_once(&vm->halt, true);
}

void kvm_vm_stop(struct kvm_vm *vm)
{
	kvm_vm_halt(vm);
	for (unsigned i = 0; i < vm->n_cpus; i++)
		kvm_vcpu_kick(vm->cpus[i]);
	for (unsigned i = 0; i < vm->n_cpus; i++)
		kvm_vcpu_join(vm->cpus[i]);
}

int kvm_vm_reset(struct kvm_vm *vm, struct error *err)
{
	int rc = kvm_chips_restore(vm, err);

	for (unsigned i = 0; !rc && i < vm->n_cpus; i++)
		rc = kvm_cpu_restore(vm->cpus[i], err);
	return rc;
}
