/* SPDX-License-Identifier: MIT */
/*
 * A front end that sends bytes: message by message, or in the usual steps.
 *
 * Threads: the test's; its socket is a blocking one, and what does not come within PATIENCE_S
 * seconds fails.
 */
#ifndef SERVER_VHOST_USER_FRONT_TEST_H
#define SERVER_VHOST_USER_FRONT_TEST_H

#include "test.h"

#include "server/vhost_user/message.h"
#include "vring/driver.h"

#define PATIENCE_S 20
#define QUEUES	   3
#define PROTOCOL   BIT64(VHOST_USER_F_PROTOCOL_FEATURES)

struct rig;

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
/* Open, with @features beside the usual ones, and its memory is shared: rings can be set up. */
void front_join(struct front *f, struct rig *rig, uint64_t features);
/* All of it, for every queue, of one that is open. */
void front_start(struct front *f);

/*
 * GET_INFLIGHT_FD with a payload of @len bytes: the answer in @in, its fd; -1: the back end has
 * closed.
 */
int front_get_inflight(struct front *f, struct vhost_user_inflight *in, uint32_t len);
/* As front_ack(). */
int front_set_inflight(struct front *f, const struct vhost_user_inflight *in, int fd);
/* A file for a region. */
int inflight_region_fd(uint64_t size);

/* Requests on a ring, each echoing its own 64 bytes. */
void front_submit(struct front *f, unsigned index, unsigned n);
void front_kick(struct front *f, unsigned index);
/* Waits for interrupts until so many have come back, and checks what they brought. */
void front_complete(struct front *f, unsigned index, unsigned n);
void front_echo(struct front *f, unsigned index);

#endif
