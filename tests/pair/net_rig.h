/* SPDX-License-Identifier: MIT */
/*
 * A whole network card in one process: guest memory, the driver half of each ring, and behind them
 * the device on its workers, with a link whose other end the test holds (net_wire.h).  The test's
 * thread is guest and control thread at once.
 */
#ifndef TESTS_PAIR_NET_RIG_H
#define TESTS_PAIR_NET_RIG_H

#include "net_wire.h"

#include "backend/net/virtio_net.h"
#include "vring/driver.h"

#define NR_BASE	  UINT64_C(0x100000) /* where guest memory begins */
#define NR_QUEUES (2 * NR_PAIRS + 1)
#define NR_TABLE  80 /* entries of an indirect table */

struct nr_options {
	uint64_t features; /* what the driver takes, of what is offered; 0: everything that is */
	uint64_t without;  /* ... but for these */
	uint16_t num;	   /* ring size; 0: 64 */
	unsigned pairs;	   /* 0: 1 */
	unsigned workers;  /* 0: 1 */
	uint16_t mtu;
	uint32_t speed;
	bool legacy;
};

struct nr_queue {
	struct vqdrv drv;
	struct vring_config config;
	void *state;
	int kick, call;
};

struct net_rig {
	struct reactor *home;
	struct worker *workers[NR_QUEUES];
	unsigned n_workers, n_queues;
	struct nr_wire *wire;
	struct virtio_net *net;
	struct virtio_bus bus;
	struct gmem *mem;
	uint8_t *ram;
	uint64_t ram_size, used;
	struct nr_queue queues[NR_QUEUES];
	struct virtio_waiter waiter;
	bool waiter_done;
	unsigned config_changes, broken;
	uint64_t ctrl; /* memory for a command */
};

extern const uint8_t nr_mac[VIRTIO_NET_MAC_BYTES];

void nr_init(struct net_rig *r, const struct nr_options *o);
void nr_fini(struct net_rig *r);
/* Reset, negotiation as in nr_init(), fresh rings. */
void nr_restart(struct net_rig *r, const struct nr_options *o);

uint64_t nr_alloc(struct net_rig *r, uint64_t bytes, uint64_t align);
void *nr_at(struct net_rig *r, uint64_t gpa);
void nr_pump(struct net_rig *r);
struct virtio_waiter *nr_waiter(struct net_rig *r);
int nr_wait(struct net_rig *r);

/* Adds a chain and kicks. */
void nr_add(struct net_rig *r, unsigned queue, const struct vqdrv_buf *bufs, unsigned readable,
	    unsigned writable, void *cookie);
/* The next used one; sleeps as a guest would.  false: nothing came in absurdly long. */
bool nr_reap(struct net_rig *r, unsigned queue, void **cookie, uint32_t *len);
/* Nothing is used, though the device has had all the time it needs. */
void nr_nothing(struct net_rig *r, unsigned queue);

/* A receive buffer of @len bytes for @pair, filled with 0xee; its guest address. */
uint64_t nr_buffer(struct net_rig *r, unsigned pair, uint32_t len);
/*
 * A frame of @len bytes to our card's address; byte i behind the Ethernet header is i * 7 + @seed.
 */
void nr_frame(uint8_t *frame, size_t len, uint8_t seed);

/* Transmits header and frame as one chain of two buffers and waits for its return. */
void nr_transmit(struct net_rig *r, unsigned pair, const struct virtio_net_hdr *h,
		 const void *frame, size_t len);
/* A command; the answer. */
int nr_command(struct net_rig *r, uint8_t class, uint8_t command, const void *data, uint32_t len);
unsigned nr_control(const struct net_rig *r);
/* Whether the driver receives this frame; one to the card's own address has to pass. */
bool nr_passes(struct net_rig *r, const uint8_t *frame, size_t len);

#endif
