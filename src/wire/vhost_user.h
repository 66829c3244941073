/* SPDX-License-Identifier: MIT */
/*
 * vhost-user messages as they stand on the socket, in host byte order: a header, then a payload of
 * header.size bytes.  fds ride with the first byte of a header.
 *
 * Front end: the machine (QEMU, cloud-hypervisor, libblkio); it asks.  Back end: the device; it
 * answers with the request's number, flags exactly 0x5, and the payload of that request.
 */
#ifndef WIRE_VHOST_USER_H
#define WIRE_VHOST_USER_H

#include <stddef.h>
#include <stdint.h>

/* Requests of the front end that a disk can meet */
enum vhost_user_request {
	VHOST_USER_GET_FEATURES = 1,
	VHOST_USER_SET_FEATURES = 2,
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_RESET_OWNER = 4,
	VHOST_USER_SET_MEM_TABLE = 5,
	VHOST_USER_SET_LOG_BASE = 6,
	VHOST_USER_SET_LOG_FD = 7,
	VHOST_USER_SET_VRING_NUM = 8,
	VHOST_USER_SET_VRING_ADDR = 9,
	VHOST_USER_SET_VRING_BASE = 10,
	VHOST_USER_GET_VRING_BASE = 11,
	VHOST_USER_SET_VRING_KICK = 12,
	VHOST_USER_SET_VRING_CALL = 13,
	VHOST_USER_SET_VRING_ERR = 14,
	VHOST_USER_GET_PROTOCOL_FEATURES = 15,
	VHOST_USER_SET_PROTOCOL_FEATURES = 16,
	VHOST_USER_GET_QUEUE_NUM = 17,
	VHOST_USER_SET_VRING_ENABLE = 18,
	VHOST_USER_SET_BACKEND_REQ_FD = 21,
	VHOST_USER_GET_CONFIG = 24,
	VHOST_USER_SET_CONFIG = 25,
	VHOST_USER_GET_INFLIGHT_FD = 31,
	VHOST_USER_SET_INFLIGHT_FD = 32,
	VHOST_USER_RESET_DEVICE = 34,
	VHOST_USER_GET_MAX_MEM_SLOTS = 36,
	VHOST_USER_ADD_MEM_REG = 37,
	VHOST_USER_REM_MEM_REG = 38,
	VHOST_USER_SET_STATUS = 39,
	VHOST_USER_GET_STATUS = 40,
	VHOST_USER_REQUEST_MAX
};

/* Requests of the back end, on the socket that SET_BACKEND_REQ_FD gave it */
#define VHOST_USER_BACKEND_CONFIG_CHANGE_MSG 2

/* Feature bits that mean something between front end and back end only; numbers */
#define VHOST_F_LOG_ALL		       26
#define VHOST_USER_F_PROTOCOL_FEATURES 30

/* Protocol features; numbers */
#define VHOST_USER_PROTOCOL_F_MQ		  0
#define VHOST_USER_PROTOCOL_F_LOG_SHMFD		  1
#define VHOST_USER_PROTOCOL_F_REPLY_ACK		  3
#define VHOST_USER_PROTOCOL_F_BACKEND_REQ	  5
#define VHOST_USER_PROTOCOL_F_CONFIG		  9
#define VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD	  12
#define VHOST_USER_PROTOCOL_F_RESET_DEVICE	  13
#define VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS 15
#define VHOST_USER_PROTOCOL_F_STATUS		  16

struct vhost_user_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload */
};
_Static_assert(sizeof(struct vhost_user_header) == 12, "vhost-user: header");

#define VHOST_USER_VERSION_MASK 0x3u
#define VHOST_USER_VERSION	0x1u
#define VHOST_USER_REPLY	0x4u
#define VHOST_USER_NEED_REPLY	0x8u

/* fds in one message */
#define VHOST_USER_FDS_MAX 8

struct vhost_user_vring_state {
	uint32_t index;
	uint32_t num;
};
_Static_assert(sizeof(struct vhost_user_vring_state) == 8, "vhost-user: vring state");

struct vhost_user_vring_addr {
	uint32_t index;
	uint32_t flags; /* bit 0: log writes to the used ring */
	uint64_t desc;	/* all three: the front end's own addresses */
	uint64_t used;
	uint64_t avail;
	uint64_t log; /* a guest address */
};
_Static_assert(sizeof(struct vhost_user_vring_addr) == 40, "vhost-user: vring address");

struct vhost_user_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t user;
	uint64_t offset; /* into the file */
};
_Static_assert(sizeof(struct vhost_user_region) == 32, "vhost-user: memory region");

#define VHOST_USER_TABLE_REGIONS_MAX 8

struct vhost_user_mem_table {
	uint32_t n;
	uint32_t padding;
	struct vhost_user_region regions[VHOST_USER_TABLE_REGIONS_MAX];
};
_Static_assert(offsetof(struct vhost_user_mem_table, regions) == 8, "vhost-user: memory table");

struct vhost_user_mem_reg {
	uint64_t padding;
	struct vhost_user_region region;
};
_Static_assert(sizeof(struct vhost_user_mem_reg) == 40, "vhost-user: single memory region");

#define VHOST_USER_VRING_F_LOG 0x1u /* vhost_user_vring_addr.flags */

#define VHOST_USER_CONFIG_MAX  256
/* In front of the data; the payload is this and what the request says beside it */
#define VHOST_USER_CONFIG_HEADER 12

struct vhost_user_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
	uint8_t data[VHOST_USER_CONFIG_MAX];
};
_Static_assert(offsetof(struct vhost_user_config, data) == 12, "vhost-user: device config");

/* SET_LOG_BASE */
struct vhost_user_log {
	uint64_t size;
	uint64_t offset; /* into the file */
};
_Static_assert(sizeof(struct vhost_user_log) == 16, "vhost-user: log");

/* GET_INFLIGHT_FD, SET_INFLIGHT_FD: 20 bytes are meant, some peers send the padding too */
struct vhost_user_inflight {
	uint64_t mmap_size;
	uint64_t mmap_offset;
	uint16_t num_queues;
	uint16_t queue_size;
};
_Static_assert(offsetof(struct vhost_user_inflight, queue_size) == 18, "vhost-user: in flight");

/* The u64 of SET_VRING_KICK, _CALL and _ERR */
#define VHOST_USER_VRING_INDEX_MASK 0xffu
#define VHOST_USER_VRING_NOFD	    0x100u

union vhost_user_payload {
	uint64_t u64;
	struct vhost_user_vring_state state;
	struct vhost_user_vring_addr addr;
	struct vhost_user_mem_table table;
	struct vhost_user_mem_reg reg;
	struct vhost_user_config config;
	struct vhost_user_log log;
	struct vhost_user_inflight inflight;
	uint8_t bytes[4096];
};

#endif
