/* SPDX-License-Identifier: MIT */
/*
 * What a client that moves a device does: the commands about its state, and the little that a driver
 * has to do before there is any.  A command that must succeed is checked here; who expects an error
 * gets the errno.
 */
#ifndef PAIR_VFIO_USER_MOVE_H
#define PAIR_VFIO_USER_MOVE_H

#include "server/vfio_user/driver_test.h"

#define RW	      (VFIO_USER_DMA_READABLE | VFIO_USER_DMA_WRITABLE)
#define GET	      VFIO_USER_FEATURE_GET
#define SET	      VFIO_USER_FEATURE_SET
#define ERROR	      VFIO_USER_STATE_ERROR
#define STOP	      VFIO_USER_STATE_STOP
#define RUNNING	      VFIO_USER_STATE_RUNNING
#define SAVING	      VFIO_USER_STATE_STOP_COPY
#define LOADING	      VFIO_USER_STATE_RESUMING
#define CONFIG	      VFIO_USER_REGION_CONFIG
#define BAR	      4
#define COMMON(field) offsetof(struct virtio_pci_common_cfg, field)

struct move_command {
	struct vfio_user_feature head;
	struct vfio_user_mig_state s;
};
struct move_command move_command(uint32_t flags, uint32_t state);
int move_set_state(struct rig *r, uint32_t state);
uint32_t move_state_of(struct rig *r);

/* Up to @max bytes; how many, or the negative errno. */
int move_read(struct rig *r, void *to, uint32_t max);
int move_write(struct rig *r, const void *from, uint32_t n);

struct move_state {
	uint8_t *at; /* for free() */
	uint32_t n;
};
/* In pieces of @piece bytes.  The device stays in SAVING. */
struct move_state move_save(struct rig *r, uint32_t piece);
/* Into STOP. */
int move_load(struct rig *r, const uint8_t *at, uint32_t n, uint32_t piece);
/* What a device of that disk has to save, after one request or none. */
struct move_state move_state_of_disk(const char *disk, const struct drv_request *some);
void move_reset(struct rig *r);

/* A request of 4 KiB with memory of its own. */
struct drv_request move_request(uint32_t type, unsigned q, unsigned i, uint64_t sector);
void move_read_one(struct drv *d);
void move_map_all(struct rig *r);
/* Two servers with one guest's memory. */
void move_share(struct rig *a, struct rig *b);

#endif
