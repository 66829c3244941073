/* SPDX-License-Identifier: MIT */
/*
 * The PC: a backplane with a chipset in the shape of an i440FX/PIIX3 board, memory and cards.
 *
 *      struct pc
 *        plane         the main system bus, the machine lock, the home reactor, the cards
 *        vm            KVM, the backplane's host, once pc_use_kvm() has been called
 *        memory
 *        host          the PCI host bridge, with its bus
 *          isa           the ISA bridge, which leads PCI interrupts to lines
 *          pm            power management
 *        serial, rtc, keyboard, power, fw_cfg      what stands on the main bus by itself
 *
 *      pc.c             the machine's life
 *      cards.c          its cards and their workers
 *      bios.c           firmware
 *      firmware.c       what a BIOS does to the PCI bus before a kernel starts
 *
 * Without pc_use_kvm() nobody is its host: a machine that can be looked at, or that a test drives.
 *
 * No globals: as many machines as wanted live in one process.
 *
 * Threads: pc_create(), pc_run() and pc_destroy() on one thread, the machine's control thread,
 * whose reactor is pc_home().  It holds the machine lock while it processes the reactor, so that
 * whatever is called from there and the virtual CPUs' exits come one at a time.  The cards' queues
 * run on workers and take no lock.
 */
#ifndef BACKEND_MACHINE_PC_H
#define BACKEND_MACHINE_PC_H

#include "backend/board/virtio_card.h"
#include "backend/ide/piix3_ide.h"
#include "backend/kvm/vm.h"
#include "backend/machine/acpi.h"
#include "backend/machine/boot.h"
#include "backend/machine/fw_cfg.h"
#include "backend/machine/keyboard.h"
#include "backend/machine/memory.h"
#include "backend/machine/piix4_pm.h"
#include "backend/machine/power.h"
#include "backend/machine/rtc.h"
#include "backend/machine/serial.h"
#include "backend/net/spec.h"
#include "backend/pci/piix3.h"
#include "base/log.h"
#include "base/reactor.h"
#include "disk/disk.h"

#define PC_MEMORY_MAX (UINT64_C(1) << 40)

/* How a run ends. */
enum pc_end {
	PC_RUNNING,
	PC_OFF,	    /* the guest switched the power off                    */
	PC_EXIT,    /* it wrote a byte to the exit port                    */
	PC_RESET,   /* it asked for a reset, and shall not have one        */
	PC_CRASHED, /* triple fault, and no reset shall follow             */
	PC_FAILED,  /* the host cannot go on: pc->failure says why         */
	PC_STOPPED, /* pc_stop()                                           */
};

struct pc_config {
	uint64_t memory; /* bytes, whole MiB */
	unsigned cpus;
	const char *bios; /* firmware; NULL: the kernel is booted directly */
	const char *kernel;
	/* Unpacks a kernel that is compressed (unpack.h); NULL: such ones are refused. */
	int (*unpack)(struct boot_file *kernel, struct error *err);
	const char *initrd;	    /* NULL: none */
	const char *cmdline;	    /* NULL: empty */
	struct serial_line *serial; /* what COM1 is plugged into; NULL: nothing */
	bool no_reboot;		    /* a reset ends the run */
	bool no_ioeventfd, no_irqfd;
	unsigned workers; /* threads that share the disks' queues, at least 1 */
	uint32_t poll_us; /* longest time that they look for requests before sleeping */
};

struct lsi;

/*
 * Triple faults in a row, each soon after the one before.  A guest that does nothing else is
 * started again ever later, so that it costs nothing and its console can be read.
 */
struct pc_crashes {
	unsigned in_a_row;
	uint64_t started_ns; /* the run that ended so */
	struct log_limit limit;
	bool pausing;
	struct reactor_timer pause;
};

struct pc {
	struct backplane plane;
	struct kvm_vm vm;
	struct pc_memory memory;
	struct pci_host host;
	struct piix3 isa;
	struct piix4_pm pm;
	bool host_ready;
	struct serial serial;
	struct rtc rtc;
	struct power power;
	struct keyboard keyboard;
	struct fw_cfg fw_cfg; /* with firmware only */

	/* Cards that disks are plugged into; NULL: there is none. */
	struct piix3_ide *ide;
	struct lsi *scsi;

	struct disk_room room; /* of the virtio cards' workers, and of all storages */
	uint32_t poll_us;

	struct boot_image image;
	struct boot_file bios; /* data NULL: none */
	void *rom;
	bool no_reboot;

	enum pc_end end; /* the first reason counts */
	struct pc_crashes crashes;
	uint8_t exit_value;
	char failure[256];
	uint64_t resets;

	char message[160]; /* of the firmware, until its line ends */
	size_t message_n;
};

/* The board with its memory and workers, and no card in it.  The strings stay the caller's. */
int pc_create(struct pc **out, const struct pc_config *config, struct error *err);
/*
 * Before the cards: reads what is to be booted, opens KVM, which is the machine's host from then
 * on.  What can be wrong with either is said here.
 */
int pc_use_kvm(struct pc *pc, const struct pc_config *config, struct error *err);
/*
 * The name that the @nth disk of that kind will have, so that its storage can be opened ahead
 * (disk/ahead.h).
 */
#define PC_DISK_PATH 32
void pc_disk_path(enum disk_kind kind, unsigned nth, char path[PC_DISK_PATH]);
/*
 * A virtio-blk-pci card with this disk, in the next empty slot, before the machine runs.  @board:
 * what the card is like; its name and class may be left out.
 */
int pc_add_disk(struct pc *pc, const struct disk_spec *spec, const struct virtio_pci_options *board,
		struct error *err);
/*
 * An IDE disk, in the next empty place; the words that speak of a virtio device
 * have their defaults.
 */
int pc_add_ide(struct pc *pc, const struct disk_spec *spec, struct error *err);
/* A SCSI disk.  With the first one the adapter comes into the next empty slot. */
int pc_add_scsi_disk(struct pc *pc, const struct disk_spec *spec, struct error *err);

/* The same for a virtio-net-pci card.  Takes over @link, on failure too. */
int pc_add_net(struct pc *pc, struct net_link *link, const struct net_spec *spec,
	       const struct virtio_pci_options *board, struct error *err);

/* The @n-th card with a device of that type, in the order in which they came; NULL: there is none. */
struct virtio_card *pc_virtio_card(const struct pc *pc, uint16_t id, unsigned n);

/* Not running.  Waits until nothing is in flight.  NULLs *pc. */
void pc_destroy(struct pc **pc);

struct reactor *pc_home(struct pc *pc);

/* With KVM: runs until the machine ends; may be called once.  -errno: it could not even begin. */
int pc_run(struct pc *pc, struct error *err);

/* From the home reactor or with the lock held: the run ends soon. */
void pc_stop(struct pc *pc);

/* ---- between the files of this folder ---- */

/* Quiesces and destroys the cards, then their workers. */
void pc_cards_destroy(struct pc *pc);
/* Lines of the firmware's boot order, one a disk; returns their length. */
size_t pc_boot_order(const struct pc *pc, char *text, size_t size);

/* How long a machine rests before it is reset, after a run of @ran_ns that a crash has ended. */
uint64_t pc_crash_pause(struct pc_crashes *c, uint64_t ran_ns);
/* What the reset line does to every device; waits until nothing is in flight. */
void pc_reset_devices(struct pc *pc);

/* ---- bios.c ---- */

/* -EINVAL: no firmware has that size. */
int pc_bios_read(struct pc *pc, const char *name, struct error *err);
int pc_bios_map(struct pc *pc, struct error *err);
/* What it finds at each start. */
int pc_bios_start(struct pc *pc, const struct acpi_machine *machine, struct kvm_start *start,
		  struct error *err);
void pc_bios_unmap(struct pc *pc);

/* Addresses for every card, their decoding on; interrupt lines as they are wired. */
void pc_assign_pci(struct pc *pc);

#endif
