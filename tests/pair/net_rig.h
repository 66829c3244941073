/* SPDX-License-Identifier: MIT */
/*
 * A whole network card in one process, on the rig of any device (device_rig.h), with a link whose
 * other end the test holds (net_wire.h).
 */
#ifndef TESTS_PAIR_NET_RIG_H
#define TESTS_PAIR_NET_RIG_H

#include "device_rig.h"
#include "net_wire.h"

#include "backend/net/virtio_net.h"

struct nr_options {
	uint64_t features; /* what the driver takes, of what is offered; 0: everything that is */
	uint64_t without;  /* ... but for these */
	uint16_t num;	   /* ring size; 0: 64 */
	unsigned pairs;	   /* 0: 1 */
	unsigned workers;  /* 0: 1 */
	uint16_t mtu;
	uint32_t speed;
	bool legacy;
	bool no_packed, no_event_idx, no_mrg_rxbuf; /* not offered */
};

struct net_rig {
	struct device_rig dev;
	struct nr_wire *wire;
	struct virtio_net *net;
	uint64_t ctrl; /* memory for a command */
	bool mark_all; /* nr_passes() marks by a broadcast, where our own address does not pass */
};

extern const uint8_t nr_mac[VIRTIO_NET_MAC_BYTES];

void nr_init(struct net_rig *r, const struct nr_options *o);
void nr_fini(struct net_rig *r);
/* Reset, negotiation as in nr_init(), fresh rings. */
void nr_restart(struct net_rig *r, const struct nr_options *o);

static inline uint64_t nr_alloc(struct net_rig *r, uint64_t bytes, uint64_t align)
{
	return dr_alloc(&r->dev, bytes, align);
}
static inline void *nr_at(struct net_rig *r, uint64_t at)
{
	return dr_at(&r->dev, at);
}
static inline void nr_pump(struct net_rig *r)
{
	dr_pump(&r->dev);
}
static inline struct virtio_waiter *nr_waiter(struct net_rig *r)
{
	return dr_waiter(&r->dev);
}
static inline int nr_wait(struct net_rig *r)
{
	return dr_wait(&r->dev);
}
static inline void nr_add(struct net_rig *r, unsigned queue, const struct vqdrv_buf *bufs,
			  unsigned readable_n, unsigned writable, void *cookie)
{
	dr_add(&r->dev, queue, bufs, readable_n, writable, cookie);
}

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
