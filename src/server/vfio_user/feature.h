/* SPDX-License-Identifier: MIT */
/*
 * DEVICE_FEATURE: what a device may have beside its registers, each got, set or probed.
 *
 *      1, 2        migration: whether it can be; the state, and the way to another one
 *      6, 7, 8     the log of what the device writes to: start, stop, report
 *
 * Threads: the control thread.
 */
#ifndef SERVER_VFIO_USER_FEATURE_H
#define SERVER_VFIO_USER_FEATURE_H

#include "server/vfio_user/device.h"

/* A command and its answer. */
struct vfio_user_feature_call {
	const uint8_t *body; /* what came, at least a struct vfio_user_feature */
	uint32_t size;
	uint8_t *reply; /* room for VFIO_USER_BODY_MAX bytes */
	uint32_t reply_size;
	bool moved; /* dma.map is a new one: the answer waits until the device works in it */
};

/*
 * 0; -ENOTTY: there is no such feature, or it cannot be done with it; -EINVAL; -E2BIG: the answer
 * does not fit a message; -EINPROGRESS: the reply is ready, and follows when
 * vfio_user_migration_go_on() says so; -EALREADY, -ENOMEM, ...
 */
int vfio_user_feature(struct vfio_user_device *d, struct vfio_user_feature_call *call);

#endif
