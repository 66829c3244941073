/* SPDX-License-Identifier: MIT */
#include "cli/local_pci.h"

#include "backend/machine/pc.h"
#include "base/atomic.h"
#include "cli/disk_words.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PREFIX "local-pci:"

/* The machine's memory ends where the board's last 16 MiB do. */
#define MEMORY_AT   (UINT64_C(1) << 30)
#define MEMORY_SIZE (UINT64_C(16) << 20)
/* What a message-signalled interrupt is to say: the vector's number, at this address. */
#define MESSAGE_AT UINT64_C(0xfee00000)

struct local_pci {
	struct pc *pc;
	struct serial_line line; /* leads from the machine back to this */
	struct virtio_blk_pci *card;
	pthread_t thread;
	bool stop;
	struct reactor_msg wake;
	int vectors
		[PCI_MSIX_VECTORS_MAX]; /* under the machine lock: copy of an eventfd, + 1; 0: none */
	struct pci_access access;
	struct vpci_platform platform;
	struct pci_target target;
};

bool local_pci_is(const char *target)
{
	return !strncmp(target, PREFIX, strlen(PREFIX));
}

/* ---- the host of its bus ---- */

static void irq_set(struct sysbus *bus, unsigned gsi, bool level)
{
	(void)bus;
	(void)gsi;
	(void)level;
}

static void msi_send(struct sysbus *bus, uint64_t address, uint32_t data)
{
	struct kvm_vm *vm = container_of(bus, struct kvm_vm, bus);
	struct serial_line *line = container_of(vm, struct pc, vm)->serial.line;
	const struct local_pci *l = container_of(line, struct local_pci, line);

	if (address == MESSAGE_AT && data < PCI_MSIX_VECTORS_MAX && l->vectors[data])
		(void)eventfd_write(l->vectors[data] - 1, 1);
}

static const struct sysbus_host_ops host_ops = {.irq_set = irq_set, .msi_send = msi_send};

static bool sent(struct serial_line *line, uint8_t byte)
{
	(void)line;
	(void)byte;
	return true;
}

static const struct serial_line_ops line_ops = {.sent = sent};

/* ---- register access ---- */

static struct pc *lock(struct pci_access *a)
{
	struct pc *pc = container_of(a, struct local_pci, access)->pc;

	pthread_mutex_lock(&pc->vm.lock);
	return pc;
}

static void unlock(struct pc *pc)
{
	pthread_mutex_unlock(&pc->vm.lock);
}

static uint32_t config_read(struct pci_access *a, unsigned bdf, unsigned offset, unsigned size)
{
	struct pc *pc = lock(a);
	uint32_t value;

	sysbus_write(&pc->vm.bus, SYSBUS_PORT, PCI_CONFIG_ADDRESS_PORT,
		     PCI_CONFIG_ENABLE | bdf << 8 | (offset & 0xfc), 4);
	value = (uint32_t)sysbus_read(&pc->vm.bus, SYSBUS_PORT, PCI_CONFIG_DATA_PORT + (offset & 3),
				      size);
	unlock(pc);
	return value;
}

static void config_write(struct pci_access *a, unsigned bdf, unsigned offset, uint32_t value,
			 unsigned size)
{
	struct pc *pc = lock(a);

	sysbus_write(&pc->vm.bus, SYSBUS_PORT, PCI_CONFIG_ADDRESS_PORT,
		     PCI_CONFIG_ENABLE | bdf << 8 | (offset & 0xfc), 4);
	sysbus_write(&pc->vm.bus, SYSBUS_PORT, PCI_CONFIG_DATA_PORT + (offset & 3), value, size);
	unlock(pc);
}

static uint32_t bar_read(struct pci_access *a, bool io, uint64_t address, unsigned size)
{
	struct pc *pc = lock(a);
	uint32_t value = (uint32_t)sysbus_read(&pc->vm.bus, io ? SYSBUS_PORT : SYSBUS_MEMORY,
					       address, size);

	unlock(pc);
	return value;
}

static void bar_write(struct pci_access *a, bool io, uint64_t address, uint32_t value,
		      unsigned size)
{
	struct pc *pc = lock(a);

	sysbus_write(&pc->vm.bus, io ? SYSBUS_PORT : SYSBUS_MEMORY, address, value, size);
	unlock(pc);
}

static const struct pci_access_ops access_ops = {
	.config_read = config_read,
	.config_write = config_write,
	.read = bar_read,
	.write = bar_write,
};

/* ---- interrupts, and what only we can do ---- */

static int connect_vector(struct vpci_platform *p, uint16_t vector, int call_fd, uint64_t *address,
			  uint32_t *data)
{
	struct local_pci *l = container_of(p, struct local_pci, platform);
	int fd = fcntl(call_fd, F_DUPFD_CLOEXEC, 0), old;
	struct pc *pc;

	if (fd < 0)
		return -errno;
	vector %= PCI_MSIX_VECTORS_MAX;
	pc = lock(&l->access);
	old = l->vectors[vector] - 1;
	l->vectors[vector] = fd + 1;
	unlock(pc);
	if (old >= 0)
		close(old);
	*address = MESSAGE_AT;
	*data = vector;
	return 0;
}

static const struct vpci_platform_ops platform_ops = {.vector = connect_vector};

static struct local_pci *of(struct pci_target *t)
{
	return container_of(t, struct local_pci, target);
}

static bool pin(struct pci_target *t)
{
	struct pc *pc = lock(t->access);
	bool level = of(t)->card->board.fn.intx_shown;

	unlock(pc);
	return level;
}

static void change(struct pci_target *t)
{
	struct pc *pc = lock(t->access);

	virtio_device_config_changed(&of(t)->card->blk->vdev);
	unlock(pc);
}

static const struct pci_target_ops target_ops = {.pin = pin, .change = change};

/* ---- life ---- */

static void *work(void *arg)
{
	struct local_pci *l = arg;

	while (!load_acquire(&l->stop))
		pc_turn(l->pc);
	return NULL;
}

static void woken(struct reactor_msg *msg)
{
	(void)msg;
}

/* Signals are for the thread that asked. */
static int start_thread(struct local_pci *l)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = -pthread_create(&l->thread, NULL, work, l);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

static int make_machine(struct local_pci *l, const char *disk, struct error *err)
{
	const struct pc_config config = {
		.memory = MEMORY_AT + MEMORY_SIZE,
		.cpus = 1,
		.serial = &l->line,
		.plan = true,
		.workers = 1,
		.poll_us = 50,
	};
	struct disk_words words;
	int rc = disk_words_parse(disk, &words, err);

	if (rc)
		return rc;
	rc = pc_create(&l->pc, &config, err);
	if (!rc) {
		l->pc->vm.bus.host = &host_ops;
		rc = pc_add_disk(l->pc, &words.disk, &words.board, err);
	}
	disk_words_fini(&words);
	if (!rc)
		l->card = list_entry(l->pc->disks.next, struct pc_disk, link)->card;
	return rc;
}

int local_pci_start(const char *target, struct local_pci **out, struct pci_target **board,
		    struct error *err)
{
	struct local_pci *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return error_set(err, -ENOMEM, "cannot make a machine for %s", target);
	l->line.ops = &line_ops;
	l->wake.run = woken;
	rc = make_machine(l, target + strlen(PREFIX), err);
	if (rc)
		goto destroy;
	l->access.ops = &access_ops;
	l->platform.ops = &platform_ops;
	l->target = (struct pci_target){
		.ops = &target_ops,
		.access = &l->access,
		.bdf = l->card->board.fn.devfn,
		.platform = &l->platform,
		.memory = pc_memory_at(&l->pc->memory, MEMORY_AT, MEMORY_SIZE),
		.memory_at = MEMORY_AT,
		.memory_size = MEMORY_SIZE,
		.masks = true,
		.ports = {0xc000, 0x10000},
		.bars = {PC_PCI_HOLE, PC_PCI_HOLE_END},
	};
	rc = start_thread(l);
	if (rc) {
		error_set(err, rc, "cannot run a machine for %s", target);
		goto destroy;
	}
	*out = l;
	*board = &l->target;
	return 0;
destroy:
	pc_destroy(&l->pc);
	free(l);
	return rc;
}

void local_pci_stop(struct local_pci **lp)
{
	struct local_pci *l = *lp;

	if (!l)
		return;
	store_release(&l->stop, true);
	reactor_post(pc_home(l->pc), &l->wake);
	pthread_join(l->thread, NULL);
	pc_destroy(&l->pc);
	for (unsigned i = 0; i < PCI_MSIX_VECTORS_MAX; i++)
		if (l->vectors[i])
			close(l->vectors[i] - 1);
	free(l);
	*lp = NULL;
}
