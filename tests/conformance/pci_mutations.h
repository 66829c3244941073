/* SPDX-License-Identifier: MIT */
/*
 * The faults that the mutant board (mutant_pci.h) can be told to have, as in mutations.h.  docs/mutations.md is made of this list by
 * `mutant-pci --table`.
 */
#ifndef CONFORMANCE_PCI_MUTATIONS_H
#define CONFORMANCE_PCI_MUTATIONS_H

/* clang-format off */
#define PCI_MUTATIONS(X) \
	/* The function */ \
	X(HEADER_HALVES,   "header-halves",	"PCI-D-01.widths",	"returns the lower half of a header word for both its halves") \
	X(ID_WRITABLE,	   "id-writable",	"PCI-D-01.read-only",	"lets the subsystem id be written") \
	X(BAR_SIZE,	   "bar-size",		"PCI-D-01.bars",	"has a BAR of 12 KiB") \
	X(DECODE,	   "decode-ignored",	"PCI-D-01.decode",	"answers without memory decoding") \
	X(BAR_STAYS,	   "bar-stays",		"PCI-D-01.move",	"answers where its BAR was first") \
	X(CAP_LOOP,	   "cap-loop",		"PCI-D-01.caps",	"links its last capability to the first") \
	X(ID,		   "id",		"PCI-D-02.id",		"is device 1af4:1050") \
	X(REVISION,	   "revision-0",	"PCI-D-02.modern",	"is modern only and has revision 0") \
	X(CAP_LEN,	   "cap-len",		"PCI-D-04.cap-len",	"leaves the extra data out of cap_len") \
	X(OUTSIDE_BAR,	   "outside-bar",	"PCI-D-04.inside",	"has a second ISR status behind its BAR") \
	X(COMMON_OFFSET,   "common-offset",	"PCI-D-05.common",	"has its common configuration at an odd place") \
	X(NO_ISR,	   "no-isr",		"PCI-D-19.there",	"has no ISR status") \
	X(NO_DEVICE,	   "no-device-config",	"PCI-D-22.there",	"has no device configuration") \
	X(SHARED,	   "shared-outside",	"PCI-D-23.regions",	"has shared memory behind its BAR") \
	X(VENDOR,	   "vendor-data",	"PCI-D-24.vendor",	"has vendor data of the vendor 1af4") \
	X(NO_WINDOW,	   "no-window",		"PCI-D-25.there",	"has no access through configuration space") \
	X(WINDOW_READ,	   "window-read",	"PCI-D-26.read",	"reads through the window at multiples of 4 only") \
	X(WINDOW_WRITE,	   "window-write",	"PCI-D-26.write",	"loses 2 bytes written through the window") \
	X(WINDOW_KICK,	   "window-kick",	"PCI-D-26.drive",	"cannot be kicked through the window") \
	X(WINDOW_ASTRAY,   "window-astray",	"PCI-D-26.astray",	"is reset by an access astray") \
	/* Status, features, queues */ \
	X(HALVES,	   "halves",		"PCI-D-03.halves",	"clears the high half when the low one is written") \
	X(SELECT,	   "select",		"PCI-D-06.select",	"looks at bit 0 of device_feature_select only") \
	X(FEATURE_WORD,	   "feature-word",	"PCI-D-07.read-back",	"shows word 0 of driver_feature always") \
	X(FEATURES_OK,	   "features-ok",	"ST-D-05.refused",	"accepts features that it did not offer") \
	X(FEATURES_FAR,	   "features-far",	"ST-D-05.far",		"does not look at features above 63") \
	X(EARLY,	   "early",		"ST-D-01.registers",	"serves a queue as soon as it is enabled") \
	X(NO_NEEDS_RESET,  "no-needs-reset",	"ST-D-02.registers",	"stops silently") \
	X(NEEDS_SILENT,	   "needs-reset-silent", "ST-D-03.registers",	"sets DEVICE_NEEDS_RESET and does not say so") \
	X(GENERATION,	   "generation",	"PCI-D-08.generation",	"counts every change, so that 256 of them go unseen") \
	X(STATUS_STICKS,   "status-sticks",	"PCI-D-09.ladder",	"does not show DRIVER_OK") \
	X(RESET_GOES_ON,   "reset-goes-on",	"PCI-D-09.quiet",	"serves its queues after a reset") \
	X(ENABLE_STAYS,	   "enable-stays",	"PCI-D-10.enable",	"keeps queue_enable over a reset") \
	X(QUEUE_RESET_1,   "queue-reset-1",	"PCI-D-10.reset",	"reads queue_reset as 1 after queue_enable") \
	X(QUEUE_AGAIN,	   "queue-again",	"PCI-D-11.again",	"goes on at the old index after a queue reset") \
	X(QUEUE_ON,	   "queue-reset-on",	"PCI-D-11.in-flight",	"serves a queue that was reset") \
	X(QUEUE_ALL,	   "queue-reset-all",	"PCI-D-11.alone",	"resets all queues at once") \
	X(SIZE_BEYOND,	   "size-beyond",	"PCI-D-12.beyond",	"has a size for queues that it does not have") \
	X(SIZE_ODD,	   "size-odd",		"PCI-D-13.power",	"has queues of 200 entries") \
	X(SIZE_FIXED,	   "size-fixed",	"PCI-D-13.smaller",	"ignores the size that the driver wants") \
	X(ADMIN,	   "admin",		"PCI-D-14.admin",	"has its admin queue at index 0") \
	X(TAKES_OUTSIDE,   "takes-outside",	"PCI-D-15.outside",	"enables queues outside memory") \
	X(TAKES_ODD,	   "takes-unaligned",	"PCI-D-15.unaligned",	"enables queues that are not aligned") \
	X(TAKES_SIZE,	   "takes-size",	"PCI-D-15.size",	"enables queues of any size") \
	X(ENABLED_MOVES,   "enabled-moves",	"PCI-D-15.enabled",	"moves an enabled queue") \
	X(NEIGHBOUR,	   "neighbour",		"PCI-D-15.neighbours",	"writes a byte to its neighbour, too") \
	X(CONFIG_WORDS,	   "config-words",	"PCI-D-22.widths",	"gives the first byte of a word for all four") \
	X(CONFIG_END,	   "config-end",	"PCI-D-22.end",		"is reset by a write behind its configuration") \
	/* Kicks and interrupts */ \
	X(MULTIPLIER,	   "multiplier",	"PCI-D-16.multiplier",	"has a multiplier of 6") \
	X(NOTIFY_ODD,	   "notify-odd",	"PCI-D-17.aligned",	"has a second notification structure at an odd place") \
	X(NOTIFY_SHORT,	   "notify-short",	"PCI-D-18.length",	"has a notification structure for one queue") \
	X(KICK_FIRST,	   "kick-first",	"PCI-D-16.split",	"takes kicks of its first queue only") \
	X(KICK_PACKED,	   "kick-packed",	"PCI-D-16.packed",	"loses kicks of packed rings") \
	X(KICK_DATA,	   "kick-data",		"PCI-D-16.data",	"loses kicks of 32 bits") \
	X(KICK_DATA_PACKED, "kick-data-packed",	"PCI-D-16.data-packed",	"loses kicks of 32 bits with the wrap counter set") \
	X(KICK_CONFIG,	   "kick-config-data",	"PCI-D-16.config-data",	"wants the queue's index in spite of NOTIF_CONFIG_DATA") \
	X(ISR_QUEUE,	   "isr-queue",		"PCI-D-19.queue",	"does not set bit 0 of the ISR status") \
	X(ISR_CONFIG,	   "isr-config",	"PCI-D-19.config",	"does not set bit 1 of the ISR status") \
	X(ISR_MSIX,	   "isr-config-msix",	"PCI-D-19.config-msix",	"sets bit 1 of the ISR status without MSI-X only") \
	X(STATUS_BIT,	   "status-bit",	"PCI-D-20.status",	"never sets the interrupt bit of the PCI status") \
	X(PIN_DISABLE,	   "pin-disable",	"PCI-D-20.disable",	"ignores interrupt disable") \
	X(ISR_STAYS,	   "isr-stays",		"PCI-D-21.clears",	"does not clear the ISR status when it is read") \
	X(PIN_STAYS,	   "pin-stays",		"PCI-D-21.reset",	"keeps its pin up over a reset") \
	X(PIN_MSIX,	   "pin-msix",		"PCI-D-21.msix",	"raises its pin along with messages") \
	X(ONE_VECTOR,	   "one-vector",	"PCI-D-27.size",	"has one vector") \
	X(VECTOR_FIXED,	   "vector-fixed",	"PCI-D-28.queue",	"uses vector 1 for queue 0 whatever was written") \
	X(CONFIG_FIXED,	   "config-fixed",	"PCI-D-28.config",	"uses vector 0 for the configuration whatever was written") \
	X(VECTOR_ALONE,	   "vector-alone",	"PCI-D-28.one",		"cannot share a vector") \
	X(VECTOR_ANY,	   "vector-any",	"PCI-D-29.unusable",	"takes vectors that it does not have") \
	X(VECTOR_STAYS,	   "vector-stays",	"PCI-D-30.reset",	"keeps vectors over a reset") \
	X(NO_VECTOR_0,	   "no-vector",		"PCI-D-31.queue",	"sends vector 0 for a queue without a vector") \
	X(CONFIG_NO_0,	   "config-no-vector",	"PCI-D-31.config",	"sends vector 0 for a configuration without a vector") \
	X(MASK,		   "mask-ignored",	"PCI-D-32.masked",	"sends masked vectors") \
	X(MASK_LOST,	   "mask-lost",		"PCI-D-32.masked",	"forgets what a mask held back") \
	X(FUNCTION_MASK,   "function-mask",	"PCI-D-32.function",	"ignores the function's mask") \
	/* The legacy header */ \
	X(LEGACY_ID,	   "legacy-id",		"PCI-L-01.id",		"is transitional and has revision 1") \
	X(LEGACY_MEMORY,   "legacy-memory",	"PCI-L-02.ports",	"has its legacy header in memory") \
	X(LEGACY_SIZE,	   "legacy-size",	"PCI-L-02.registers",	"lets the queue size be written") \
	X(LEGACY_SLOW,	   "legacy-slow",	"PCI-L-02.status",	"does not show the end of a reset at once") \
	X(PAGE_STAYS,	   "page-stays",	"PCI-L-02.page",	"keeps a queue's page over a reset") \
	X(LEGACY_ALIGN,	   "legacy-align",	"PCI-L-02.io",		"has the used ring right behind the available one") \
	X(LEGACY_ISR,	   "legacy-isr",	"PCI-L-02.isr",		"does not clear the ISR status when it is read") \
	X(LEGACY_VECTORS,  "legacy-vectors",	"PCI-L-02.vectors",	"has no vectors in its legacy header") \
	X(LEGACY_PLACE,	   "legacy-place",	"PCI-L-03.place",	"has its configuration at 20 with MSI-X, too") \
	X(LEGACY_WORDS,	   "legacy-words",	"PCI-L-03.widths",	"gives the first byte of a word for all four") \
	X(LEGACY_HIGH,	   "legacy-high",	"PCI-L-04.high",	"takes VERSION_1 as accepted by legacy drivers")
/* clang-format on */

enum pci_mutation {
	PM_NONE,
#define X(id, name, where, what) PM_##id,
	PCI_MUTATIONS(X)
#undef X
};

#endif
