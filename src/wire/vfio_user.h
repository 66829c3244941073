/* SPDX-License-Identifier: MIT */
/*
 * vfio-user messages as they stand on the socket, in host byte order: a header, whose size counts
 * the header too, then the command's own fields.  fds ride with the first byte of a header.
 *
 * The client is the machine (QEMU, cloud-hypervisor); it asks.  The server is the device.  A reply
 * carries the command's id and number, and on failure an errno and nothing behind the header.
 *
 * Structures and numbers are those of VFIO's ioctls (linux/vfio.h) where there is one.
 */
#ifndef WIRE_VFIO_USER_H
#define WIRE_VFIO_USER_H

#include <stddef.h>
#include <stdint.h>

#define VFIO_USER_MAJOR 0
#define VFIO_USER_MINOR 1

enum vfio_user_command {
	VFIO_USER_VERSION = 1,
	VFIO_USER_DMA_MAP = 2,
	VFIO_USER_DMA_UNMAP = 3,
	VFIO_USER_DEVICE_GET_INFO = 4,
	VFIO_USER_DEVICE_GET_REGION_INFO = 5,
	VFIO_USER_DEVICE_GET_REGION_IO_FDS = 6,
	VFIO_USER_DEVICE_GET_IRQ_INFO = 7,
	VFIO_USER_DEVICE_SET_IRQS = 8,
	VFIO_USER_REGION_READ = 9,
	VFIO_USER_REGION_WRITE = 10,
	VFIO_USER_DMA_READ = 11, /* of the server */
	VFIO_USER_DMA_WRITE = 12,
	VFIO_USER_DEVICE_RESET = 13,
	VFIO_USER_DIRTY_PAGES = 14,
	VFIO_USER_REGION_WRITE_MULTI = 15,
	VFIO_USER_DEVICE_FEATURE = 16,
	VFIO_USER_MIG_DATA_READ = 17,
	VFIO_USER_MIG_DATA_WRITE = 18,
	VFIO_USER_COMMAND_MAX
};

#define VFIO_USER_TYPE_MASK    0xfu
#define VFIO_USER_TYPE_COMMAND 0u
#define VFIO_USER_TYPE_REPLY   1u
#define VFIO_USER_NO_REPLY     0x10u
#define VFIO_USER_ERROR	       0x20u

struct vfio_user_header {
	uint16_t id;
	uint16_t command;
	uint32_t size; /* with the header */
	uint32_t flags;
	uint32_t error; /* errno, in replies that are errors */
};

/* What a client may be told and tell; the protocol's words for "all clients take this". */
#define VFIO_USER_FDS_MAX      16u
#define VFIO_USER_TRANSFER_MAX 1048576u

/* ---- VERSION: this, then a JSON text that ends with a NUL ---- */

struct vfio_user_version {
	uint16_t major, minor;
};

/* ---- memory ---- */

#define VFIO_USER_DMA_READABLE 1u
#define VFIO_USER_DMA_WRITABLE 2u

struct vfio_user_dma_map {
	uint32_t argsz, flags;
	uint64_t offset; /* into the fd that comes along, if there is one */
	uint64_t iova, size;
};

/* DMA_READ, DMA_WRITE and their answers: this, then the data, if any */
struct vfio_user_dma_access {
	uint64_t address, count;
};

#define VFIO_USER_UNMAP_DIRTY 1u
#define VFIO_USER_UNMAP_ALL   2u

struct vfio_user_dma_unmap {
	uint32_t argsz, flags;
	uint64_t iova, size;
};

/* ---- what the device is ---- */

#define VFIO_USER_DEVICE_RESETS 1u
#define VFIO_USER_DEVICE_PCI	2u

struct vfio_user_device_info {
	uint32_t argsz, flags, regions, irqs;
};

/* Regions and interrupts of a PCI device, by index */
#define VFIO_USER_REGION_BAR0	  0u
#define VFIO_USER_REGION_CONFIG	  7u
#define VFIO_USER_REGIONS	  9u

#define VFIO_USER_IRQ_INTX	  0u
#define VFIO_USER_IRQ_MSI	  1u
#define VFIO_USER_IRQ_MSIX	  2u
#define VFIO_USER_IRQS		  3u

#define VFIO_USER_REGION_READABLE 1u
#define VFIO_USER_REGION_WRITABLE 2u
#define VFIO_USER_REGION_MMAP	  4u
#define VFIO_USER_REGION_CAPS	  8u

struct vfio_user_region_info {
	uint32_t argsz, flags, index, cap_offset;
	uint64_t size, offset;
};

#define VFIO_USER_IO_FD_IOEVENTFD 0u

/* A write to [offset, offset + size) of the region is a signal of fds[fd_index]. */
struct vfio_user_io_fd {
	uint64_t offset, size;
	uint32_t fd_index, type, flags, padding;
	uint64_t datamatch;
};

/* Only a write of exactly this value */
#define VFIO_USER_IO_FD_DATAMATCH 1u

struct vfio_user_io_fds {
	uint32_t argsz, flags, index, count; /* then as many struct vfio_user_io_fd */
};

#define VFIO_USER_IRQ_EVENTFD	 1u
#define VFIO_USER_IRQ_MASKABLE	 2u
#define VFIO_USER_IRQ_AUTOMASKED 4u
#define VFIO_USER_IRQ_NORESIZE	 8u

struct vfio_user_irq_info {
	uint32_t argsz, flags, index, count;
};

#define VFIO_USER_IRQ_DATA_NONE	     1u
#define VFIO_USER_IRQ_DATA_BOOL	     2u
#define VFIO_USER_IRQ_DATA_FD	     4u
#define VFIO_USER_IRQ_DATA_MASK	     7u
#define VFIO_USER_IRQ_ACTION_MASK    8u
#define VFIO_USER_IRQ_ACTION_UNMASK  16u
#define VFIO_USER_IRQ_ACTION_TRIGGER 32u
#define VFIO_USER_IRQ_ACTIONS	     56u

struct vfio_user_irq_set {
	uint32_t argsz, flags, index, start, count; /* then bools */
};

/* ---- accesses ---- */

struct vfio_user_access {
	uint64_t offset;
	uint32_t region, count; /* then the data */
};

struct vfio_user_write {
	uint64_t offset;
	uint32_t region, count;
	uint8_t data[8];
};

struct vfio_user_write_multi {
	uint64_t n; /* then as many struct vfio_user_write */
};

/* ---- features of the device ---- */

#define VFIO_USER_FEATURE_MASK		 0xffffu
#define VFIO_USER_FEATURE_GET		 0x10000u
#define VFIO_USER_FEATURE_SET		 0x20000u
#define VFIO_USER_FEATURE_PROBE		 0x40000u

#define VFIO_USER_FEATURE_MIGRATION	 1u
#define VFIO_USER_FEATURE_MIG_STATE	 2u
#define VFIO_USER_FEATURE_LOGGING_START	 6u
#define VFIO_USER_FEATURE_LOGGING_STOP	 7u
#define VFIO_USER_FEATURE_LOGGING_REPORT 8u

struct vfio_user_feature {
	uint32_t argsz, flags; /* then the feature's own data, where it is set, or got */
};

/* What can be done with it beside running. */
#define VFIO_USER_MIGRATION_STOP_COPY 1u

struct vfio_user_migration_flags {
	uint64_t flags;
};

#define VFIO_USER_STATE_ERROR	  0u
#define VFIO_USER_STATE_STOP	  1u
#define VFIO_USER_STATE_RUNNING	  2u
#define VFIO_USER_STATE_STOP_COPY 3u
#define VFIO_USER_STATE_RESUMING  4u
#define VFIO_USER_STATES	  8u /* the others of VFIO are not for us */

struct vfio_user_mig_state {
	uint32_t state, data_fd; /* unused: the state goes by messages */
};

struct vfio_user_mig_data {
	uint32_t argsz, size; /* then the data, in what carries it */
};

struct vfio_user_logging_range {
	uint64_t iova, length;
};

struct vfio_user_logging_start {
	uint64_t page_size;
	uint32_t ranges, reserved; /* then as many struct vfio_user_logging_range */
};

struct vfio_user_logging_report {
	uint64_t iova, length, page_size; /* the answer: then a bitmap of 64-bit words */
};

_Static_assert(sizeof(struct vfio_user_header) == 16, "header");
_Static_assert(sizeof(struct vfio_user_version) == 4, "VERSION");
_Static_assert(sizeof(struct vfio_user_dma_map) == 32, "DMA_MAP");
_Static_assert(sizeof(struct vfio_user_dma_unmap) == 24, "DMA_UNMAP");
_Static_assert(sizeof(struct vfio_user_dma_access) == 16, "DMA_READ");
_Static_assert(sizeof(struct vfio_user_device_info) == 16, "GET_INFO");
_Static_assert(sizeof(struct vfio_user_region_info) == 32, "GET_REGION_INFO");
_Static_assert(offsetof(struct vfio_user_region_info, size) == 16, "GET_REGION_INFO");
_Static_assert(sizeof(struct vfio_user_io_fd) == 40, "GET_REGION_IO_FDS");
_Static_assert(sizeof(struct vfio_user_irq_info) == 16, "GET_IRQ_INFO");
_Static_assert(sizeof(struct vfio_user_irq_set) == 20, "SET_IRQS");
_Static_assert(sizeof(struct vfio_user_access) == 16, "REGION_READ");
_Static_assert(sizeof(struct vfio_user_write) == 24, "REGION_WRITE_MULTI");
_Static_assert(sizeof(struct vfio_user_feature) == 8, "DEVICE_FEATURE");
_Static_assert(sizeof(struct vfio_user_migration_flags) == 8, "MIGRATION");
_Static_assert(sizeof(struct vfio_user_mig_state) == 8, "MIG_DEVICE_STATE");
_Static_assert(sizeof(struct vfio_user_mig_data) == 8, "MIG_DATA_READ");
_Static_assert(sizeof(struct vfio_user_logging_start) == 16, "DMA_LOGGING_START");
_Static_assert(sizeof(struct vfio_user_logging_report) == 24, "DMA_LOGGING_REPORT");

#endif
