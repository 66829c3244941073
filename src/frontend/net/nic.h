/* SPDX-License-Identifier: MIT */
/*
 * The virtio-net driver: a network card with its pairs of queues, over any transport (virtio 1.4,
 * 5.1).  Bus, rings and transports are the disk's (frontend/virtio); here is only what a network
 * card has of its own.
 *
 *      nic.c   life, configuration, commands          pair.c   frames
 *
 * Invariants: the device is not believed: lengths, num_buffers and headers are checked before they
 * are used; a buffer is in exactly one of the ring and our hands.
 *
 * Threads: a card's life and commands belong to one thread; a pair to one thread at a time.
 */
#ifndef FRONTEND_NET_NIC_H
#define FRONTEND_NET_NIC_H

#include "frontend/virtio/vqueue.h"
#include "wire/virtio_net.h"

#define NIC_FRAME_MAX 65589u

struct nic_options {
	uint64_t features_off; /* not to be accepted */
	uint16_t pairs;	       /* 0: 1 */
	uint16_t queue_size;   /* 0: 256 */
	uint32_t command_ms;   /* how long an answer is waited for; 0: 5 s */
};

struct nic_stats {
	uint64_t sent, received;
	uint64_t bad; /* what the device gave that cannot be */
};

struct nic;

/* A received frame, until the call returns. */
typedef void nic_frame_fn(void *opaque, const struct virtio_net_hdr *h, const uint8_t *frame,
			  uint32_t len);
/* A frame's memory is the caller's again. */
typedef void nic_sent_fn(void *opaque, void *cookie);

struct nic_pair {
	struct nic *nic;
	struct vqueue rx, tx;
	uint8_t *buffers; /* receive buffers, as many as rx has entries */
	uint32_t buffer_bytes;
	struct virtio_net_hdr
		*headers;	/* of frames that are being sent, as many as tx has entries */
	void **cookies;		/* ... and their owners' */
	uint16_t *free_headers; /* a stack */
	uint16_t n_free;
	uint8_t *frame; /* one that came in pieces is put together here */
	struct nic_stats stats;
};

struct nic {
	struct vdriver v;
	struct nic_options options;
	uint8_t mac[VIRTIO_NET_MAC_BYTES];
	uint16_t mtu; /* 0: not told */
	uint16_t max_pairs;
	unsigned header_bytes;
	bool started;
	struct nic_pair *pairs;
	uint16_t n_pairs;
	struct vqueue control;
	bool has_control;
	uint8_t *command; /* shared: header, data, answer */
	void *shared;
	uint64_t shift; /* from an address in it to the device's */
};

/* An address of the shared memory as the device knows it. */
static inline uint64_t nic_address(const struct nic *nic, const void *p)
{
	return (uintptr_t)p + nic->shift;
}

/* Open over a transport, which becomes the card's, on failure too. */
int nic_open(struct transport *t, const struct nic_options *o, struct nic **out, struct error *err);
/* Fresh rings, receive buffers, DRIVER_OK; all the pairs that were asked for are in use. */
int nic_start(struct nic *nic, struct error *err);
/* Resets the device: frames that were being sent are the caller's again, without nic_sent_fn. */
int nic_stop(struct nic *nic, struct error *err);
/* Harmless on NULL. */
void nic_close(struct nic **nic);

/* Without STATUS the link counts as up. */
bool nic_link_up(struct nic *nic);

/*
 * A command; waits for the answer.  0; -EPERM: the device refused; -ENOTSUP: there is no control
 * queue; -E2BIG; -ETIMEDOUT; -EPROTO: the queue is broken.  After a command that was not answered in
 * time it counts as broken, until the next start: the answer that comes later would be taken for the
 * next command's.
 */
int nic_command(struct nic *nic, uint8_t class, uint8_t command, const void *data, uint32_t len);
int nic_set_promisc(struct nic *nic, bool on);
int nic_set_mac(struct nic *nic, const uint8_t mac[VIRTIO_NET_MAC_BYTES]);
int nic_set_pairs(struct nic *nic, uint16_t n);

/* ---- pair.c ---- */

uint64_t nic_pair_bytes(const struct nic *nic, uint16_t num);
int nic_pair_init(struct nic_pair *p, struct nic *nic, uint16_t index, uint16_t num,
		  uint8_t *shared, struct error *err);
void nic_pair_fini(struct nic_pair *p);
int nic_pair_start(struct nic_pair *p, struct error *err);
/* Shows the device the receive buffers, all of them. */
int nic_pair_fill(struct nic_pair *p);

/*
 * Sends a frame of @len bytes, which lies in memory that the device reaches (vdriver_mem_alloc())
 * and stays the device's until nic_poll() hands @cookie back.  @h: flags and segmentation, or NULL;
 * only what was agreed on.  0; -ENOSPC: no room at present; -EINVAL; -EPROTO.
 */
int nic_send(struct nic_pair *p, const struct virtio_net_hdr *h, const void *frame, uint32_t len,
	     void *cookie);
/* Shows the device what was sent since. */
void nic_commit(struct nic_pair *p);
/* Takes frames and what was sent; either callback may be NULL.  How many of both, or -EPROTO. */
int nic_poll(struct nic_pair *p, nic_frame_fn *frame, nic_sent_fn *sent, void *opaque);
/* Asks both queues for calls; true: something is there already. */
bool nic_arm(struct nic_pair *p);

#endif
