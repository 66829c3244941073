/* SPDX-License-Identifier: MIT */
/*
 * What the vhost-user tests are made of: a connection with a small device behind it, on threads of
 * its own, and a front end that sends bytes.
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
#include "vring/driver.h"

#include <semaphore.h>
#include <stdatomic.h>

#define PATIENCE_S 20
#define QUEUES	   3
#define CONFIG_LEN 60
/* The one byte of the config space that a driver may write, to 0 or 1. */
#define CONFIG_WRITABLE 32

#define OFFERED                                                                                \
	(BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_F_RING_PACKED) | BIT64(VIRTIO_F_EVENT_IDX) | \
	 BIT64(VIRTIO_F_INDIRECT_DESC) | BIT64(VIRTIO_F_IN_ORDER))
#define PROTOCOL BIT64(VHOST_USER_F_PROTOCOL_FEATURES)

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
/* On every worker, whatever was posted to it before has run. */
void rig_settle(struct rig *rig);
/* What is held, and at once from now on. */
void echo_release(struct rig *rig);
int count_fds(void);

/* ---- a front end ---- */

#define FRONT_MEM  0x100000u
#define FRONT_GPA  UINT64_C(0x40000000)
#define FRONT_USER UINT64_C(0x7f1200000000)
#define RING_NUM   64
#define RING_SPAN  0x8000u

struct front_ring {
	struct vqdrv drv;
	uint64_t state[(RING_NUM * sizeof(struct vqdrv_slot) + 7) / 8];
	int kick, call;
	unsigned index;
};

struct front {
	int sock;
	int memfd;
	uint8_t *mem;
	uint64_t features; /* to be acknowledged */
	bool tells_status; /* takes the protocol feature STATUS */
	struct front_ring rings[QUEUES];
};

/* Connects; has memory, has said nothing. */
void front_open(struct front *f, struct rig *rig);
void front_close(struct front *f);

/* One message in one piece; fails the test only if @sure. */
void front_send(struct front *f, uint32_t request, uint32_t flags, const void *payload,
		uint32_t size, const int *fds, int n_fds);
/* Any bytes; false: the peer has closed. */
bool front_write(struct front *f, const void *bytes, size_t len, const int *fds, int n_fds);
/* A reply: true, or false when the peer has closed. */
bool front_recv(struct front *f, struct vhost_user_header *h, union vhost_user_payload *payload);

#define FLAGS_PLAIN VHOST_USER_VERSION
#define FLAGS_REPLY (VHOST_USER_VERSION | VHOST_USER_NEED_REPLY)

/*
 * Sends with need_reply and returns the acknowledgement: 0 or what the back end says; -1: closed.
 */
int front_ack(struct front *f, uint32_t request, const void *payload, uint32_t size, const int *fds,
	      int n_fds);
int front_ack_u64(struct front *f, uint32_t request, uint64_t v);
int front_ack_state(struct front *f, uint32_t request, uint32_t index, uint32_t num);
int front_ack_fd(struct front *f, uint32_t request, uint64_t v, int fd);
uint64_t front_get_u64(struct front *f, uint32_t request);
/* GET_VRING_BASE */
uint32_t front_get_base(struct front *f, unsigned index);
/* Still served: answers a request that changes nothing. */
bool front_alive(struct front *f);
/* The back end has closed the socket, perhaps after replies. */
bool front_closed(struct front *f);

/* The steps of a usual front end. */
void front_negotiate(struct front *f);
struct vhost_user_mem_table front_table(void);
void front_share_memory(struct front *f);
void front_ring_setup(struct front *f, unsigned index);
struct vhost_user_vring_addr front_ring_addr(unsigned index);
void front_ring_start(struct front *f, unsigned index); /* base, addresses, call, kick */
void front_ring_enable(struct front *f, unsigned index);
/* All of it, for every queue. */
void front_start(struct front *f);

/* Requests on a ring, each echoing its own 64 bytes. */
void front_submit(struct front *f, unsigned index, unsigned n);
void front_kick(struct front *f, unsigned index);
/* Waits for interrupts until so many have come back, and checks what they brought. */
void front_complete(struct front *f, unsigned index, unsigned n);
void front_echo(struct front *f, unsigned index);

#endif
