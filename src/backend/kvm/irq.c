/* SPDX-License-Identifier: MIT */
#include "backend/kvm/vm.h"

#include "base/atomic.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>

/* Interrupt messages that may have an irqfd at a time; KVM itself takes 4096 routes. */
#define MESSAGES_MAX 4000

/* A moment, for an access that has to wait. */
#define WAIT_NS 50000

/* Lines below 16 go to an 8259, and each but the cascade of the 8259s to the I/O APIC. */
#define BASE_ROUTES (16 + KVM_LINES - 1)

static struct kvm_vm *vm_of(struct sysbus_host *host)
{
	return container_of(host, struct kvm_vm, host);
}

/* ---- lines and messages, now ---- */

static void irq_set(struct sysbus_host *host, unsigned gsi, bool level)
{
	struct kvm_vm *vm = vm_of(host);
	struct kvm_irq_level irq = {.irq = gsi, .level = level};

	vm->irq_stats.lines++;
	ioctl(vm->fd, KVM_IRQ_LINE, &irq);
}

static void msi_send(struct sysbus_host *host, uint64_t address, uint32_t data)
{
	struct kvm_vm *vm = vm_of(host);
	struct kvm_msi msi = {
		.address_lo = (uint32_t)address,
		.address_hi = (uint32_t)(address >> 32),
		.data = data,
	};

	/* Workers send too, where there is no irqfd. */
	__atomic_fetch_add(&vm->irq_stats.msis, 1, __ATOMIC_RELAXED);
	ioctl(vm->fd, KVM_SIGNAL_MSI, &msi);
}

/* ---- ioeventfd ---- */

static int ioeventfd(struct sysbus_host *host, enum sysbus_space space, uint64_t addr,
		     unsigned size, bool match, uint64_t value, int fd, uint32_t flags)
{
	struct kvm_ioeventfd io = {
		.datamatch = match ? value : 0,
		.addr = addr,
		.len = size,
		.fd = fd,
		.flags = flags,
	};

	if (space == SYSBUS_PORT)
		io.flags |= KVM_IOEVENTFD_FLAG_PIO;
	if (match)
		io.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
	return ioctl(vm_of(host)->fd, KVM_IOEVENTFD, &io) ? -errno : 0;
}

static int ioeventfd_add(struct sysbus_host *host, enum sysbus_space space, uint64_t addr,
			 unsigned size, bool match, uint64_t value, int fd)
{
	int rc = ioeventfd(host, space, addr, size, match, value, fd, 0);

	vm_of(host)->irq_stats.kickfds += !rc;
	return rc;
}

static void ioeventfd_del(struct sysbus_host *host, enum sysbus_space space, uint64_t addr,
			  unsigned size, bool match, uint64_t value, int fd)
{
	if (!ioeventfd(host, space, addr, size, match, value, fd, KVM_IOEVENTFD_FLAG_DEASSIGN))
		vm_of(host)->irq_stats.kickfds--;
}

/* ---- irqfd ---- */

static int set_routes(struct kvm_vm *vm)
{
	return ioctl(vm->fd, KVM_SET_GSI_ROUTING, vm->routes) ? -errno : 0;
}

static int irqfd(struct kvm_vm *vm, int fd, int resample_fd, unsigned gsi, uint32_t flags)
{
	struct kvm_irqfd arg = {.fd = (uint32_t)fd, .gsi = gsi, .flags = flags};

	if (resample_fd >= 0) {
		arg.flags |= KVM_IRQFD_FLAG_RESAMPLE;
		arg.resamplefd = (uint32_t)resample_fd;
	}
	return ioctl(vm->fd, KVM_IRQFD, &arg) ? -errno : 0;
}

/*
 * The messages' routes stand behind the lines'; a free one keeps its place and is never signalled.
 */
static uint32_t find_message(const struct kvm_vm *vm, int fd)
{
	uint32_t n = vm->routes->nr - BASE_ROUTES, i;

	for (i = 0; i < n; i++)
		if (vm->route_fds[i] == fd)
			break;
	return i;
}

static void set_message(struct kvm_vm *vm, uint32_t i, uint64_t address, uint32_t data)
{
	vm->routes->entries[BASE_ROUTES + i] = (struct kvm_irq_routing_entry){
		.gsi = KVM_LINES + i,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi.address_lo = (uint32_t)address,
		.u.msi.address_hi = (uint32_t)(address >> 32),
		.u.msi.data = data,
	};
}

static int irqfd_msi_add(struct sysbus_host *host, int fd, uint64_t address, uint32_t data)
{
	struct kvm_vm *vm = vm_of(host);
	uint32_t n = vm->routes->nr - BASE_ROUTES, i = find_message(vm, fd);
	int rc;

	if (i < n) { /* the same fd, another message: KVM moves its irqfds along */
		set_message(vm, i, address, data);
		rc = set_routes(vm);
		return rc ? rc : (int)i;
	}
	i = find_message(vm, -1);
	if (i == MESSAGES_MAX || BASE_ROUTES + i >= vm->routes_max)
		return -ENOSPC;
	set_message(vm, i, address, data);
	vm->route_fds[i] = fd;
	vm->routes->nr += i == n;
	rc = set_routes(vm);
	if (!rc)
		rc = irqfd(vm, fd, -1, KVM_LINES + i, 0);
	if (rc) {
		vm->route_fds[i] = -1;
		return rc;
	}
	vm->irq_stats.irqfds++;
	return (int)i;
}

static void irqfd_msi_del(struct sysbus_host *host, int handle, int fd)
{
	struct kvm_vm *vm = vm_of(host);
	uint32_t i = (uint32_t)handle;

	if (i >= vm->routes->nr - BASE_ROUTES || vm->route_fds[i] != fd)
		return;
	irqfd(vm, fd, -1, KVM_LINES + i, KVM_IRQFD_FLAG_DEASSIGN);
	vm->route_fds[i] = -1;
	vm->irq_stats.irqfds--;
}

static int irqfd_line_add(struct sysbus_host *host, int fd, int resample_fd, unsigned gsi)
{
	int rc = irqfd(vm_of(host), fd, resample_fd, gsi, 0);

	vm_of(host)->irq_stats.irqfds += !rc;
	return rc;
}

static void irqfd_line_del(struct sysbus_host *host, int fd, unsigned gsi)
{
	if (!irqfd(vm_of(host), fd, -1, gsi, KVM_IRQFD_FLAG_DEASSIGN))
		vm_of(host)->irq_stats.irqfds--;
}

/* ---- which of them a machine has ---- */

/* The CPU that has the lock stays where it is; the control thread and the others go on. */
static bool give_way(struct sysbus_host *host)
{
	struct kvm_vm *vm = vm_of(host);

	backplane_unlock(vm->plane);
	nanosleep(&(struct timespec){.tv_nsec = WAIT_NS}, NULL);
	backplane_lock(vm->plane);
	return !read_once(&vm->halt);
}

static const struct sysbus_host_ops host_all = {
	.irq_set = irq_set,
	.msi_send = msi_send,
	.wait = give_way,
	.ioeventfd_add = ioeventfd_add,
	.ioeventfd_del = ioeventfd_del,
	.irqfd_msi_add = irqfd_msi_add,
	.irqfd_msi_del = irqfd_msi_del,
	.irqfd_line_add = irqfd_line_add,
	.irqfd_line_del = irqfd_line_del,
};

static const struct sysbus_host_ops host_no_irqfd = {
	.irq_set = irq_set,
	.msi_send = msi_send,
	.wait = give_way,
	.ioeventfd_add = ioeventfd_add,
	.ioeventfd_del = ioeventfd_del,
};

static const struct sysbus_host_ops host_no_ioeventfd = {
	.irq_set = irq_set,
	.msi_send = msi_send,
	.wait = give_way,
	.irqfd_msi_add = irqfd_msi_add,
	.irqfd_msi_del = irqfd_msi_del,
	.irqfd_line_add = irqfd_line_add,
	.irqfd_line_del = irqfd_line_del,
};

static const struct sysbus_host_ops host_plain = {
	.irq_set = irq_set,
	.msi_send = msi_send,
	.wait = give_way,
};

static void add_pin(struct kvm_irq_routing *r, unsigned gsi, unsigned chip, unsigned pin)
{
	r->entries[r->nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = {.irqchip = chip, .pin = pin},
	};
}

/* The timer's GSI 0 is input 2 of the I/O APIC, as on every PC; the ACPI tables say so too. */
static void add_lines(struct kvm_irq_routing *r)
{
	for (unsigned gsi = 0; gsi < 16; gsi++)
		add_pin(r, gsi, gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, gsi % 8);
	add_pin(r, 0, KVM_IRQCHIP_IOAPIC, 2);
	for (unsigned gsi = 1; gsi < KVM_LINES; gsi++)
		if (gsi != 2)
			add_pin(r, gsi, KVM_IRQCHIP_IOAPIC, gsi);
}

int kvm_irq_init(struct kvm_vm *vm, bool no_irqfd, bool no_ioeventfd, struct error *err)
{
	int max = ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_IRQ_ROUTING), rc;
	bool fds = ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_IRQFD) > 0 && !no_irqfd;
	bool kicks = ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_IOEVENTFD) > 0 && !no_ioeventfd;

	vm->routes_max = (uint32_t)max;
	vm->routes = calloc(1, sizeof(*vm->routes) + (BASE_ROUTES + MESSAGES_MAX) *
							     sizeof(vm->routes->entries[0]));
	vm->route_fds = calloc(MESSAGES_MAX, sizeof(vm->route_fds[0]));
	if (!vm->routes || !vm->route_fds)
		return error_set(err, -ENOMEM, "cannot route interrupts");
	for (unsigned i = 0; i < MESSAGES_MAX; i++)
		vm->route_fds[i] = -1;
	add_lines(vm->routes);
	rc = set_routes(vm);
	if (rc)
		return error_set(err, rc, "KVM does not take the interrupt routes");
	vm->host.ops = fds && kicks ? &host_all
		       : kicks	    ? &host_no_irqfd
		       : fds	    ? &host_no_ioeventfd
				    : &host_plain;
	return 0;
}

void kvm_irq_fini(struct kvm_vm *vm)
{
	free(vm->routes);
	free(vm->route_fds);
	vm->routes = NULL;
	vm->route_fds = NULL;
}
