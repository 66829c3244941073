/* SPDX-License-Identifier: MIT */
#include "backend/machine/pc.h"

#include "backend/machine/mptable.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COM1_PORT 0x3f8
#define COM1_GSI  4

/* ---- how it ends ---- */

/* With the lock held.  The CPUs leave the guest; the control thread sees to the rest. */
static void pc_end_with(struct pc *pc, enum pc_end how)
{
	if (pc->end != PC_RUNNING)
		return;
	pc->end = how;
	kvm_vm_halt(&pc->vm);
	backplane_wake(&pc->plane);
}

static void power_off(struct power *p)
{
	pc_end_with(container_of(p, struct pc, power), PC_OFF);
}

static void power_resets(struct power *p)
{
	pc_end_with(container_of(p, struct pc, power), PC_RESET);
}

static void keyboard_resets(struct keyboard *k)
{
	pc_end_with(container_of(k, struct pc, keyboard), PC_RESET);
}

static const struct keyboard_ops keyboard_ops = {
	.reset = keyboard_resets,
};

static void power_exit(struct power *p, uint8_t value)
{
	struct pc *pc = container_of(p, struct pc, power);

	if (pc->end == PC_RUNNING)
		pc->exit_value = value;
	pc_end_with(pc, PC_EXIT);
}

static void power_debug(struct power *p, char c)
{
	struct pc *pc = container_of(p, struct pc, power);

	if (c != '\n' && pc->message_n < sizeof(pc->message) - 1) {
		pc->message[pc->message_n++] = c >= ' ' && c <= '~' ? c : '?';
		return;
	}
	pc->message[pc->message_n] = '\0';
	pc->message_n = 0;
	log_dbg("pc/firmware", "%s", pc->message);
}

static const struct power_ops power_ops = {
	.off = power_off,
	.reset = power_resets,
	.exit = power_exit,
	.debug = power_debug,
};

static void vm_ended(struct kvm_vm *vm, enum kvm_end how, const char *text)
{
	struct pc *pc = container_of(vm, struct pc, vm);

	if (pc->end == PC_RUNNING)
		snprintf(pc->failure, sizeof(pc->failure), "%s", text);
	pc_end_with(pc, how == KVM_END_RESET ? PC_CRASHED : PC_FAILED);
}

static const struct kvm_vm_ops vm_ops = {
	.ended = vm_ended,
};

void pc_stop(struct pc *pc)
{
	/* A reset that is on its way must not lose the order. */
	if (pc->end == PC_RESET || pc->end == PC_CRASHED) {
		pc->end = PC_STOPPED;
		backplane_wake(&pc->plane);
	}
	pc_end_with(pc, PC_STOPPED);
}

/* ---- power on ---- */

static int load(struct pc *pc, struct kvm_start *start, struct error *err)
{
	const struct acpi_machine machine = {
		.cpus = pc->vm.n_cpus,
		.pci_hole = PC_PCI_HOLE,
		.pci_hole_end = PC_PCI_HOLE_END,
	};
	uint8_t *acpi = pc_memory_at(&pc->memory, PC_ACPI, PC_ACPI_SIZE);
	uint8_t *mp = pc_memory_at(&pc->memory, PC_MPTABLE, PC_MPTABLE_SIZE);
	int n;

	if (pc->bios.data)
		return pc_bios_start(pc, &machine, start, err);
	n = acpi_write(&machine, PC_ACPI, acpi, PC_ACPI_SIZE);
	if (n >= 0)
		n = mptable_write(&machine, PC_MPTABLE, mp, PC_MPTABLE_SIZE);
	if (n < 0)
		return error_set(err, n, "the machine's tables do not fit into their place");
	pc->image.acpi_rsdp = PC_ACPI;
	pc_assign_pci(pc);
	return boot_load(&pc->memory, &pc->image, start, err);
}

/*
 * What the reset line does.  The cards come first: when they are through with it nothing of theirs
 * is in flight any more, so that what is loaded now stays as it is.
 */
void pc_reset_devices(struct pc *pc)
{
	backplane_reset(&pc->plane);
	backplane_lock(&pc->plane);
	pci_host_reset(&pc->host);
	serial_reset(&pc->serial);
	rtc_reset(&pc->rtc);
	keyboard_reset(&pc->keyboard);
	power_reset(&pc->power);
	pci_function_reset(&pc->pm.fn);
	backplane_unlock(&pc->plane);
}

/* The CPUs are stopped. */
static int reset(struct pc *pc, struct error *err)
{
	struct kvm_start start;
	bool stopped;
	int rc;

	pc_reset_devices(pc);
	rc = kvm_vm_reset(&pc->vm, err);
	if (!rc)
		rc = load(pc, &start, err);
	if (rc)
		return rc;
	/* Devices took their time: pc_stop() may have come meanwhile. */
	backplane_lock(&pc->plane);
	stopped = pc->end == PC_STOPPED;
	if (!stopped)
		pc->end = PC_RUNNING;
	backplane_unlock(&pc->plane);
	if (stopped)
		return 0;
	pc->resets++;
	pc->crashes.started_ns = clock_ns();
	return kvm_vm_start(&pc->vm, &start, err);
}

static bool resets(const struct pc *pc)
{
	return (pc->end == PC_RESET || pc->end == PC_CRASHED) && !pc->no_reboot;
}

static enum pc_end how_ended(struct pc *pc)
{
	enum pc_end how;

	backplane_lock(&pc->plane);
	how = pc->end;
	backplane_unlock(&pc->plane);
	return how;
}

/* ---- triple faults ---- */

/* A run of this length was no crash at the start. */
#define LASTED_NS    (2 * NSEC_PER_SEC)
#define PAUSE_MIN_NS (50 * NSEC_PER_MSEC)
#define PAUSE_MAX_NS (10 * NSEC_PER_SEC)

uint64_t pc_crash_pause(struct pc_crashes *c, uint64_t ran_ns)
{
	uint64_t pause;

	if (ran_ns >= LASTED_NS)
		c->in_a_row = 0;
	/* The first one may be how the guest reboots. */
	if (!c->in_a_row++)
		return 0;
	pause = PAUSE_MIN_NS << min_u64(c->in_a_row - 2, 16);
	return min_u64(pause, PAUSE_MAX_NS);
}

static void pause_over(struct reactor_timer *t)
{
	container_of(t, struct pc_crashes, pause)->pausing = false;
}

/* Until the pause is over, or pc_stop() has come. */
static void rest_after_crash(struct pc *pc)
{
	struct pc_crashes *c = &pc->crashes;
	uint64_t pause = pc_crash_pause(c, clock_ns() - c->started_ns);

	log_limited(&c->limit, LOG_LEVEL_WARN, "pc", "%s; the machine is reset after %llu ms",
		    pc->failure, (unsigned long long)(pause / NSEC_PER_MSEC));
	if (!pause)
		return;
	c->pausing = true;
	reactor_timer_init(&c->pause, pause_over);
	reactor_timer_start(pc->plane.home, &c->pause, pause);
	while (c->pausing && how_ended(pc) == PC_CRASHED)
		backplane_turn(&pc->plane);
	reactor_timer_stop(pc->plane.home, &c->pause);
}

int pc_run(struct pc *pc, struct error *err)
{
	struct kvm_start start;
	int rc = load(pc, &start, err);

	if (!rc) {
		backplane_refresh_regularly(&pc->plane);
		pc->crashes.started_ns = clock_ns();
		rc = kvm_vm_start(&pc->vm, &start, err);
	}
	while (!rc) {
		if (how_ended(pc) == PC_RUNNING) {
			backplane_turn(&pc->plane);
			continue;
		}
		kvm_vm_stop(&pc->vm);
		if (resets(pc) && pc->end == PC_CRASHED)
			rest_after_crash(pc);
		if (!resets(pc))
			break;
		rc = reset(pc, err);
	}
	return rc;
}

/* ---- life ---- */

static int add_memory(struct pc *pc, struct error *err)
{
	const struct gmem *map = pc->memory.map;
	int rc = 0;

	for (uint32_t i = 0; !rc && i < map->n; i++)
		rc = kvm_vm_add_memory(&pc->vm, map->regions[i].gpa, map->regions[i].size,
				       map->regions[i].host, false, err);
	return rc;
}

static int read_files(struct pc *pc, const struct pc_config *config, struct error *err)
{
	int rc;

	if (config->bios)
		return pc_bios_read(pc, config->bios, err);
	rc = boot_file_read(&pc->image.kernel, config->kernel, err);
	if (!rc && config->unpack)
		rc = config->unpack(&pc->image.kernel, err);
	if (!rc && config->initrd)
		rc = boot_file_read(&pc->image.initrd, config->initrd, err);
	pc->image.cmdline = config->cmdline ? config->cmdline : "";
	return rc;
}

int pc_use_kvm(struct pc *pc, const struct pc_config *config, struct error *err)
{
	const struct kvm_vm_config vm = {
		.plane = &pc->plane,
		.ops = &vm_ops,
		.cpus = config->cpus,
		.no_ioeventfd = config->no_ioeventfd,
		.no_irqfd = config->no_irqfd,
	};
	int rc = read_files(pc, config, err);

	if (!rc)
		rc = kvm_vm_open(&pc->vm, &vm, err);
	if (!rc)
		rc = add_memory(pc, err);
	if (!rc && pc->bios.data) {
		rc = pc_bios_map(pc, err);
		fw_cfg_init(&pc->fw_cfg, &pc->plane.bus, config->cpus);
	}
	return rc;
}

int pc_create(struct pc **out, const struct pc_config *config, struct error *err)
{
	const struct worker_pool_config pool = {
		.n = config->workers, .reactor = {.uring = true, .poll_us = config->poll_us}};
	struct pc *pc = calloc(1, sizeof(*pc));
	struct sysbus *bus;
	int rc;

	if (!pc)
		return error_set(err, -ENOMEM, "cannot make a machine");
	pc->no_reboot = config->no_reboot;
	pc->poll_us = config->poll_us;
	bus = &pc->plane.bus;
	rc = backplane_init(&pc->plane, NULL, err);
	if (!rc)
		rc = pc_memory_init(&pc->memory, config->memory, err);
	if (!rc)
		rc = disk_room_init(&pc->room, pc->plane.home, &pool, err);
	if (rc)
		goto destroy;
	pci_host_init(&pc->host, bus);
	pc->host_ready = true;
	rc = piix3_init(&pc->isa, &pc->host, err);
	if (!rc)
		rc = piix4_pm_init(&pc->pm, &pc->host.bus, err);
	if (rc)
		goto destroy;
	serial_init(&pc->serial, bus, COM1_PORT, COM1_GSI);
	pc->serial.line = config->serial;
	rtc_init(&pc->rtc, bus, pc->plane.home, pc->memory.size, pc->memory.low, config->cpus);
	keyboard_init(&pc->keyboard, bus, &keyboard_ops);
	power_init(&pc->power, bus, &power_ops);
	*out = pc;
	return 0;
destroy:
	pc_destroy(&pc);
	return rc;
}

void pc_destroy(struct pc **pcp)
{
	struct pc *pc = *pcp;

	if (!pc)
		return;
	pc_cards_destroy(pc);
	if (pc->host_ready) {
		piix4_pm_fini(&pc->pm);
		piix3_fini(&pc->isa);
		pci_host_fini(&pc->host);
	}
	rtc_fini(&pc->rtc);
	fw_cfg_fini(&pc->fw_cfg);
	kvm_vm_close(&pc->vm);
	pc_bios_unmap(pc);
	pc_memory_fini(&pc->memory);
	backplane_fini(&pc->plane);
	boot_file_free(&pc->image.kernel);
	boot_file_free(&pc->image.initrd);
	free(pc);
	*pcp = NULL;
}

struct reactor *pc_home(struct pc *pc)
{
	return pc->plane.home;
}
