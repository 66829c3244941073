/* SPDX-License-Identifier: MIT */
/*
 * The configuration space of a conventional PCI function, its capability list and MSI-X (PCI Local
 * Bus 3.0, 6.1, 6.2, 6.7, 6.8.2), and the addresses by which a PC reaches it (3.2.2.3.2:
 * configuration mechanism 1).
 */
#ifndef WIRE_PCI_H
#define WIRE_PCI_H

#define PCI_CONFIG_BYTES    256u
#define PCI_DEVFNS	    256u
#define PCI_DEVFN(slot, fn) ((unsigned)(slot) << 3 | (unsigned)(fn))
#define PCI_SLOT(devfn)	    ((unsigned)(devfn) >> 3 & 31)
#define PCI_FUNC(devfn)	    ((unsigned)(devfn)&7)

/* 6.1: offsets */
#define PCI_VENDOR_ID		0x00
#define PCI_DEVICE_ID		0x02
#define PCI_COMMAND		0x04
#define PCI_STATUS		0x06
#define PCI_REVISION		0x08
#define PCI_CLASS		0x09 /* interface, sub-class, class */
#define PCI_CACHE_LINE		0x0c
#define PCI_LATENCY		0x0d
#define PCI_HEADER_TYPE		0x0e
#define PCI_BAR0		0x10
#define PCI_BARS		6u
#define PCI_SUBSYSTEM_VENDOR_ID 0x2c
#define PCI_SUBSYSTEM_ID	0x2e
#define PCI_CAP_POINTER		0x34
#define PCI_INTERRUPT_LINE	0x3c
#define PCI_INTERRUPT_PIN	0x3d
#define PCI_HEADER_BYTES	0x40 /* what follows is the function's own */

/* 6.2.2 */
#define PCI_COMMAND_IO		 0x0001u
#define PCI_COMMAND_MEMORY	 0x0002u
#define PCI_COMMAND_MASTER	 0x0004u
#define PCI_COMMAND_PARITY	 0x0040u
#define PCI_COMMAND_SERR	 0x0100u
#define PCI_COMMAND_INTX_DISABLE 0x0400u

/* 6.2.3 */
#define PCI_STATUS_INTERRUPT 0x0008u
#define PCI_STATUS_CAP_LIST  0x0010u
/* Errors that were seen; cleared by writing ones. */
#define PCI_STATUS_ERRORS	 0xf900u

#define PCI_HEADER_MULTIFUNCTION 0x80u

/* 6.2.5.1 */
#define PCI_BAR_IO	 0x1u
#define PCI_BAR_TYPE	 0x6u
#define PCI_BAR_64	 0x4u
#define PCI_BAR_PREFETCH 0x8u
#define PCI_BAR_IO_MASK	 0x3u /* bits that are not address */
#define PCI_BAR_MEM_MASK 0xfu

#define PCI_CAP_VENDOR	 0x09
#define PCI_CAP_MSIX	 0x11

/* 6.8.2: offsets into the MSI-X capability, and its table */
#define PCI_MSIX_CONTROL	2
#define PCI_MSIX_TABLE		4
#define PCI_MSIX_PBA		8
#define PCI_MSIX_CAP_BYTES	12
#define PCI_MSIX_CONTROL_SIZE	0x07ffu /* entries less one */
#define PCI_MSIX_CONTROL_MASK	0x4000u
#define PCI_MSIX_CONTROL_ENABLE 0x8000u
#define PCI_MSIX_BAR_MASK	0x7u /* of table and PBA: which BAR; the rest is the offset */
#define PCI_MSIX_ENTRY_BYTES	16u
#define PCI_MSIX_ENTRY_DATA	8
#define PCI_MSIX_ENTRY_CONTROL	12
#define PCI_MSIX_ENTRY_MASKED	1u
#define PCI_MSIX_VECTORS_MAX	2048u

/* Configuration mechanism 1 */
#define PCI_CONFIG_ADDRESS_PORT 0xcf8
#define PCI_CONFIG_DATA_PORT	0xcfc
#define PCI_CONFIG_ENABLE	0x80000000u

#endif
