/* SPDX-License-Identifier: MIT */
/*
 * What the vhost-user tests are made of: a connection with a small device behind it (echo_test.c), on
 * threads of its own, and a front end that sends bytes (front_test.h).
 *
 * The device copies what it reads to what it may write.  It can be told to keep requests in flight
 * until they are released or for a little while; then it touches guest memory only at the end.
 *
 * Threads: the device's control thread is a worker; the test and its front ends run on the main
 * thread, with blocking sockets.  Nothing here decides by time; what does not come within
 * PATIENCE_S seconds fails.
 */
#ifndef SERVER_VHOST_USER_RIG_TEST_H
#define SERVER_VHOST_USER_RIG_TEST_H

#include "test.h"

#include "server/socket/door.h"
#include "server/vhost_user/connection.h"
#include "server/vhost_user/front_test.h"
#include "wire/virtio.h"

#include <semaphore.h>
#include <stdatomic.h>

#define CONFIG_LEN 60
/* The one byte of the config space that a driver may write, to 0 or 1. */
#define CONFIG_WRITABLE 32

#define OFFERED                                                                                \
	(BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_F_RING_PACKED) | BIT64(VIRTIO_F_EVENT_IDX) | \
	 BIT64(VIRTIO_F_INDIRECT_DESC) | BIT64(VIRTIO_F_IN_ORDER))

enum echo_mode {
	ECHO_AT_ONCE,
	ECHO_HOLD,  /* until echo_release()       */
	ECHO_DELAY, /* some hundred microseconds  */
};

struct echo {
	struct virtio_device vdev;
	uint8_t config[CONFIG_LEN];
	_Atomic int mode;
	atomic_uint popped;  /* since the rig was made */
	atomic_uint running; /* queues                 */
	atomic_uint features_set;
	atomic_uint resets;
};

extern const struct virtio_device_class echo_class;

struct rig {
	struct worker *control;
	struct worker *workers[2];
	struct echo echo;
	struct socket_door door;
	struct vhost_user_connection connection;
	sem_t stopped;
	char dir[64], path[80];
	int fds; /* open in this process while nobody is connected */
};

/* Once, by main: no log lines among the results. */
void rig_setup(void);
void rig_start(struct rig *rig);
/* Stops serving and checks that no fd was lost. */
void rig_stop(struct rig *rig);
/* Stops serving, without a look at what is open. */
void rig_end(struct rig *rig);
/* Waits until nobody is served, and checks that no fd is left open. */
void rig_quiet(struct rig *rig);
/* A new front end is served on every queue, then leaves. */
void rig_healthy(struct rig *rig);
/* For rig_call(): takes nobody new, and sends away who is served. */
void rig_stop_serving(void *rig);
void rig_call(struct rig *rig, void (*fn)(void *arg), void *arg);
void echo_mode(struct rig *rig, enum echo_mode mode);
/* Until so many requests have been popped since the rig was made. */
void echo_wait_popped(struct rig *rig, unsigned n);
/* A while; fails when PATIENCE_S seconds have passed @since. */
void rig_patience(uint64_t since);
/* On every worker, whatever was posted to it before has run. */
void rig_settle(struct rig *rig);
/* What is held, and at once from now on. */
void echo_release(struct rig *rig);
int count_fds(void);

#endif
