/* SPDX-License-Identifier: MIT */
/*
 * virtio-net, the device: a network card behind the virtio bus (virtio 1.4, 5.1), with a link
 * (link.h) as its cable.
 *
 *      header.c    is a frame's header true?           pure
 *      filter.c    does the driver want this frame?    pure
 *      receive.c   link -> receive queue               its worker
 *      transmit.c  transmit queue -> link              its worker
 *      control.c   the control queue's commands        its worker
 *      state.c     its settings, for another program   control thread
 *      virtio_net.c  features, config space, life      control thread
 *
 * What a command changes for receiving stands in net_settings.  The control queue has the master
 * copy, each pair has one of its own, on the worker of its receive queue; a command is answered
 * when every pair has taken over the new one, which comes to it in a message.  So the way of a
 * frame has no lock, and a command that was answered OK holds for every frame from then on.
 *
 * Threads: control thread, unless a comment names the worker.
 */
#ifndef BACKEND_NET_VIRTIO_NET_H
#define BACKEND_NET_VIRTIO_NET_H

#include "backend/net/filter.h"
#include "backend/net/header.h"
#include "backend/net/link.h"
#include "backend/virtio/device.h"
#include "wire/virtio.h"

#define NET_PAIRS_MAX 64
/* Longer rings are not taken, so that a frame in pieces can be sent by one system call. */
#define NET_QUEUE_SIZE_MAX 1024

struct virtio_net_options {
	const char *path; /* name for messages: "net0" */
	uint8_t mac[VIRTIO_NET_MAC_BYTES];
	unsigned pairs;	     /* of queues, 1 .. NET_PAIRS_MAX, as the link can */
	unsigned queue_size; /* largest ring that is taken; 0: 256             */
	uint16_t mtu;	     /* 0: what the link knows                         */
	uint32_t speed;	     /* Mbit/s; 0: the driver is told none             */
	bool no_packed;	     /* do not offer packed rings                      */
	bool no_event_idx;   /* do not offer EVENT_IDX                         */
	bool no_mrg_rxbuf;   /* do not offer MRG_RXBUF                         */
};

/* Written by the queue's worker, read by anybody. */
struct net_counters {
	uint64_t frames, bytes;
	uint64_t filtered; /* received, and not wanted by the driver             */
	uint64_t lost;	   /* by the link, or too long for the driver's buffers   */
	uint64_t bad;	   /* too short, too long, or with a header that lies     */
};

struct net_settings {
	struct net_filter filter;
	struct net_offloads may; /* received frames */
	unsigned pairs;		 /* that are in use */
};

struct virtio_net;

struct net_pair {
	struct virtio_net *net;
	unsigned index;
	struct net_settings settings; /* the receive queue's worker's */
	struct reactor_msg news;      /* brings new ones and comes back */
	struct net_counters received, sent;
};

struct virtio_net {
	struct virtio_device vdev;
	struct net_link *link; /* ours from a successful create on */
	struct net_link_client client;
	struct net_pair *pairs;
	unsigned n_pairs;
	uint64_t mac;	       /* atomic: see net_mac_number() */
	uint64_t mac_at_start; /* what a reset brings back */
	uint16_t mtu;
	uint32_t speed;
	bool announce; /* atomic: the driver shall make itself known */
	bool was_up;   /* control thread: the carrier as it was told */
	bool told;     /* atomic: the message below is on its way */
	struct reactor_msg carrier;

	/* The control queue's worker; control thread while no queue runs. */
	struct net_settings wanted;
	uint64_t offloads; /* feature bits in force for received frames */
	unsigned awaited;  /* pairs that do not have them yet */
	uint8_t *ack;	   /* of the command that waits for them */
	struct vq_ticket command;
	uint64_t commands, refused;
};

/* Takes over @link on success. */
int virtio_net_create(struct virtio_net **out, const struct virtio_net_options *o,
		      struct net_link *link, struct reactor *home, struct worker *const *workers,
		      unsigned n_workers, unsigned first_worker, struct error *err);
/* All queues have stopped.  Closes the link.  NULLs *net. */
void virtio_net_destroy(struct virtio_net **net);

/* ---- between the files of this folder ---- */

static inline struct virtio_net *virtio_net_of(struct virtio_device *vdev)
{
	return container_of(vdev, struct virtio_net, vdev);
}

/* Bytes in front of a frame; legacy drivers without MRG_RXBUF do not know num_buffers. */
static inline unsigned net_header_bytes(const struct virtio_net *net)
{
	return virtio_device_has(&net->vdev, VIRTIO_F_VERSION_1) ||
			       virtio_device_has(&net->vdev, VIRTIO_NET_F_MRG_RXBUF)
		       ? sizeof(struct virtio_net_hdr)
		       : VIRTIO_NET_HDR_LEGACY_BYTES;
}

/* One per kind of queue; worker thread.  As in struct virtio_device_class. */
int net_receive_start(struct virtio_net *net, struct virtio_queue *q, struct error *err);
void net_receive_stop(struct virtio_net *net, struct virtio_queue *q);
void net_receive_let_go(struct virtio_queue *q);
int net_receive(struct virtio_net *net, struct virtio_queue *q, unsigned budget);
int net_transmit_start(struct virtio_net *net, struct virtio_queue *q, struct error *err);
void net_transmit_stop(struct virtio_queue *q);
int net_transmit(struct virtio_net *net, struct virtio_queue *q, unsigned budget);
int net_control(struct virtio_net *net, struct virtio_queue *q, unsigned budget);

/* state.c: as in struct virtio_device_class. */
void net_save(const struct virtio_device *vdev, struct pack *p);
int net_load(struct virtio_device *vdev, struct unpack *u, bool *changed, struct error *err);

/* Whether a driver may have these of the offloads that it negotiated (5.1.6.5.6). */
bool net_offloads_possible(const struct virtio_net *net, uint64_t bits);
/* The settings that a driver finds with these features; every pair has them.  No queue runs. */
void net_settings_begin(struct virtio_net *net, uint64_t features);
struct virtio_queue *net_control_queue(struct virtio_net *net);

#endif
