/* SPDX-License-Identifier: MIT */
/*
 * The mutant board: the mutant's rings and disk behind the registers of a transitional
 * virtio-pci board, to be wrong in one way at a time (pci_mutations.h).  It shares no code
 * with the board of src/.
 *
 *      BAR 0  64 ports     the legacy header
 *      BAR 1  4 KiB        MSI-X table, pending bits at 0x800
 *      BAR 4  16 KiB       common configuration; ISR status at 0x400, device configuration at
 *                          0x800, kicks at 0xc00
 *
 *      mutant_pci.c       configuration space, BARs, interrupts
 *      mutant_pci_regs.c  what is in the BARs
 *      mutant_pci_main.c  the program
 *
 * One thread: every request is done where it is kicked.
 */
#ifndef CONFORMANCE_MUTANT_PCI_H
#define CONFORMANCE_MUTANT_PCI_H

#include "conformance/mutant.h"
#include "conformance/pci_mutations.h"

#include "base/bits.h"
#include "conform/pci_target.h"

#define BOARD_VECTORS 6
#define BOARD_RING    256
#define BOARD_ISR     0x400u
#define BOARD_DEVICE  0x800u
#define BOARD_NOTIFY  0xc00u
#define BOARD_PBA     0x800u
#define BOARD_DATA    0x40u /* what NOTIF_CONFIG_DATA gives queue 0 */

struct board_queue {
	uint16_t size, vector;
	bool enable, resetting;
	uint64_t desc, driver, device;
};

struct mutant_pci {
	struct mutant m;
	enum pci_mutation fault;
	bool modern_only;
	uint8_t config[PCI_CONFIG_BYTES], writable[PCI_CONFIG_BYTES];
	unsigned caps_end, last_cap, window, msix;
	uint64_t first_address; /* BAR_STAYS */

	uint32_t device_select, driver_select, features[4];
	uint16_t config_vector, queue_select;
	uint8_t status, isr, generation;
	bool changed; /* since the generation was read */
	bool legacy;
	unsigned slow; /* LEGACY_SLOW: reads of the status that still show the reset */
	struct board_queue queues[QUEUES];

	uint8_t table[BOARD_VECTORS * 16];
	uint32_t pending;
	int fds[BOARD_VECTORS];
	bool pin;

	struct pci_access access;
	struct vpci_platform platform;
	struct pci_target target;
};

static inline bool wrong(const struct mutant_pci *b, enum pci_mutation which)
{
	return b->fault == which;
}

/* mutant_pci.c */
void board_init(struct mutant_pci *b, void *memory, uint64_t at, uint64_t size);
bool board_msix(const struct mutant_pci *b);
void board_message(struct mutant_pci *b, uint16_t vector);
/* The pin and the interrupt bit follow the ISR status. */
void board_update_pin(struct mutant_pci *b);
void board_update_pending(struct mutant_pci *b);
void board_config_changed(struct mutant_pci *b);

/* mutant_pci_regs.c */
uint32_t legacy_read(struct mutant_pci *b, uint32_t at, unsigned size);
void legacy_write(struct mutant_pci *b, uint32_t at, uint32_t value, unsigned size);
uint32_t modern_read(struct mutant_pci *b, uint32_t at, unsigned size);
void modern_write(struct mutant_pci *b, uint32_t at, uint32_t value, unsigned size);
void board_reset_all(struct mutant_pci *b);

#endif
