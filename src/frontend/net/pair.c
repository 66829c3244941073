/* SPDX-License-Identifier: MIT */
/* Frames: one pair of queues (virtio 1.4, 5.1.6.2 to 5.1.6.4). */
#include "frontend/net/nic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Mergeable buffers of a size that suits most frames, and two of them a page. */
#define MERGEABLE_BYTES 2048u

/* Without MRG_RXBUF each holds a whole frame (5.1.6.3.1). */
#define SMALL_BYTES 1526u
#define LARGE_BYTES (NIC_FRAME_MAX + 12u)

/* A frame without a VLAN tag, if nothing else is told. */
#define ETHERNET_BYTES 14u

/* Header, and the frame in one piece. */
#define TABLE_LEN 2

#define LINE	  64

static uint32_t buffer_bytes(const struct nic *nic)
{
	if (vdriver_has(&nic->v, VIRTIO_NET_F_MRG_RXBUF))
		return MERGEABLE_BYTES;
	if (vdriver_has(&nic->v, VIRTIO_NET_F_GUEST_TSO4) ||
	    vdriver_has(&nic->v, VIRTIO_NET_F_GUEST_TSO6) ||
	    vdriver_has(&nic->v, VIRTIO_NET_F_GUEST_USO4) ||
	    vdriver_has(&nic->v, VIRTIO_NET_F_GUEST_USO6))
		return LARGE_BYTES;
	return (uint32_t)max_u64(SMALL_BYTES, nic->header_bytes + ETHERNET_BYTES + nic->mtu);
}

struct layout {
	uint64_t tx, buffers, headers, end; /* rx is at 0 */
	uint16_t table_len;
};

static struct layout layout(const struct nic *nic, uint16_t num)
{
	struct layout l;

	l.table_len = vdriver_has(&nic->v, VIRTIO_F_INDIRECT_DESC) ? TABLE_LEN : 0;
	l.tx = vqueue_bytes(&nic->v, num, 0);
	l.buffers = l.tx + vqueue_bytes(&nic->v, num, l.table_len);
	l.headers = align_up(l.buffers + (uint64_t)num * buffer_bytes(nic), LINE);
	l.end = align_up(l.headers + (uint64_t)num * sizeof(struct virtio_net_hdr), LINE);
	return l;
}

uint64_t nic_pair_bytes(const struct nic *nic, uint16_t num)
{
	return layout(nic, num).end;
}

int nic_pair_init(struct nic_pair *p, struct nic *nic, uint16_t index, uint16_t num,
		  uint8_t *shared, struct error *err)
{
	struct layout l = layout(nic, num);
	int rc;

	p->nic = nic;
	p->buffers = shared + l.buffers;
	p->buffer_bytes = buffer_bytes(nic);
	p->headers = (struct virtio_net_hdr *)(void *)(shared + l.headers);
	p->cookies = calloc(num, sizeof(p->cookies[0]));
	p->free_headers = calloc(num, sizeof(p->free_headers[0]));
	p->frame = malloc(NIC_FRAME_MAX);
	if (!p->cookies || !p->free_headers || !p->frame)
		return error_set(err, -ENOMEM, "no memory for a pair of queues");
	rc = vqueue_init(&p->rx, &nic->v, (uint16_t)(2 * index), num, 0, shared, err);
	if (rc)
		return rc;
	return vqueue_init(&p->tx, &nic->v, (uint16_t)(2 * index + 1), num, l.table_len,
			   shared + l.tx, err);
}

void nic_pair_fini(struct nic_pair *p)
{
	vqueue_fini(&p->rx);
	vqueue_fini(&p->tx);
	free(p->cookies);
	free(p->free_headers);
	free(p->frame);
}

int nic_pair_start(struct nic_pair *p, struct error *err)
{
	int rc = vqueue_start(&p->rx, err);

	p->n_free = 0;
	for (uint16_t i = p->tx.num; i-- > 0;)
		p->free_headers[p->n_free++] = i;
	return rc ? rc : vqueue_start(&p->tx, err);
}

/* ---- receiving ---- */

static int pair_give(struct nic_pair *p, uint8_t *buffer)
{
	const struct vqdrv_buf buf = {nic_address(p->nic, buffer), p->buffer_bytes};

	return vqdrv_add(&p->rx.ring, &buf, 0, 1, buffer);
}

int nic_pair_fill(struct nic_pair *p)
{
	int rc = 0;

	for (uint16_t i = 0; i < p->rx.num && !rc; i++)
		rc = pair_give(p, p->buffers + (uint64_t)i * p->buffer_bytes);
	if (!rc)
		vqueue_commit(&p->rx);
	return rc;
}

/*
 * The buffers behind a frame's first one: appended and given back.  -EPROTO: broken; -EIO: the
 * device said there were more.
 */
static int append(struct nic_pair *p, unsigned n, uint32_t *len)
{
	int rc = 0;

	while (n--) {
		uint8_t *buffer;
		void *cookie;
		uint32_t used;
		int got = vqdrv_reap(&p->rx.ring, &cookie, &used);

		if (got <= 0)
			return got < 0 ? got : -EIO;
		buffer = cookie;
		if (!rc && used <= NIC_FRAME_MAX - *len) {
			memcpy(p->frame + *len, buffer, used);
			*len += used;
		} else {
			rc = -EIO;
		}
		got = pair_give(p, buffer);
		if (got)
			return got;
	}
	return rc;
}

/* Device and driver share the buffer, so the header is copied before it is believed. */
static int take_frame(struct nic_pair *p, uint8_t *buffer, uint32_t used, nic_frame_fn *frame,
		      void *opaque)
{
	unsigned header = p->nic->header_bytes, n = 1;
	struct virtio_net_hdr h;
	uint32_t len = used - header;
	int rc;

	if (used < header) {
		p->stats.bad++;
		return pair_give(p, buffer);
	}
	memcpy(&h, buffer, header);
	if (vdriver_has(&p->nic->v, VIRTIO_NET_F_MRG_RXBUF))
		n = le16_get(h.num_buffers);
	if (n == 1) {
		p->stats.received++;
		if (frame)
			frame(opaque, &h, buffer + header, len);
		return pair_give(p, buffer);
	}
	if (!n || n > p->rx.num) {
		p->stats.bad++;
		return pair_give(p, buffer);
	}
	memcpy(p->frame, buffer + header, len);
	rc = pair_give(p, buffer);
	if (!rc)
		rc = append(p, n - 1, &len);
	if (rc == -EIO) {
		p->stats.bad++;
		return 0;
	}
	if (rc)
		return rc;
	p->stats.received++;
	if (frame)
		frame(opaque, &h, p->frame, len);
	return 0;
}

static int poll_rx(struct nic_pair *p, nic_frame_fn *frame, void *opaque)
{
	int n = 0, rc;

	/* A lap at most, so that a busy device does not keep us here. */
	while (n < p->rx.num) {
		uint32_t used;
		void *cookie;

		rc = vqdrv_reap(&p->rx.ring, &cookie, &used);
		if (rc <= 0)
			break;
		n++;
		rc = take_frame(p, cookie, used, frame, opaque);
		if (rc)
			break;
	}
	if (n)
		vqueue_commit(&p->rx);
	return vqdrv_broken(&p->rx.ring) ? -EPROTO : n;
}

/* ---- sending ---- */

/* Only what was agreed on may be asked of the device (5.1.6.2.1). */
static bool allowed(const struct vdriver *v, const struct virtio_net_hdr *h)
{
	static const struct {
		uint8_t type, feature;
	} gso[] = {
		{VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_F_HOST_TSO4},
		{VIRTIO_NET_HDR_GSO_TCPV6, VIRTIO_NET_F_HOST_TSO6},
		{VIRTIO_NET_HDR_GSO_UDP_L4, VIRTIO_NET_F_HOST_USO},
	};

	if (h->flags & ~VIRTIO_NET_HDR_F_NEEDS_CSUM ||
	    (h->flags && !vdriver_has(v, VIRTIO_NET_F_CSUM)))
		return false;
	if (h->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(gso); i++)
		if (h->gso_type == gso[i].type)
			return h->flags && vdriver_has(v, gso[i].feature);
	return false;
}

int nic_send(struct nic_pair *p, const struct virtio_net_hdr *h, const void *frame, uint32_t len,
	     void *cookie)
{
	static const struct virtio_net_hdr plain;
	struct vqdrv_buf bufs[2];
	unsigned hint = 0;
	uint16_t slot;
	int rc;

	if (!h)
		h = &plain;
	if (!len || len > NIC_FRAME_MAX || !allowed(&p->nic->v, h) ||
	    !vdriver_mem_has(&p->nic->v, frame, len, &hint))
		return -EINVAL;
	if (!p->n_free)
		return -ENOSPC;
	slot = p->free_headers[p->n_free - 1];
	p->headers[slot] = *h;
	p->headers[slot].num_buffers = le16_make(0);
	bufs[0] = (struct vqdrv_buf){nic_address(p->nic, &p->headers[slot]), p->nic->header_bytes};
	bufs[1] = (struct vqdrv_buf){vdriver_address(&p->nic->v, frame, &hint), len};
	rc = vqdrv_add(&p->tx.ring, bufs, 2, 0, &p->cookies[slot]);
	if (rc)
		return rc;
	p->n_free--;
	p->cookies[slot] = cookie;
	return 0;
}

void nic_commit(struct nic_pair *p)
{
	vqueue_commit(&p->tx);
}

static int poll_tx(struct nic_pair *p, nic_sent_fn *sent, void *opaque)
{
	int n = 0, rc = 0;

	for (; n < p->tx.num; n++) {
		uint32_t used;
		void *place;

		rc = vqdrv_reap(&p->tx.ring, &place, &used);
		if (rc <= 0)
			break;
		p->free_headers[p->n_free++] = (uint16_t)((void **)place - p->cookies);
		p->stats.sent++;
		if (sent)
			sent(opaque, *(void **)place);
	}
	return rc < 0 ? rc : n;
}

int nic_poll(struct nic_pair *p, nic_frame_fn *frame, nic_sent_fn *sent, void *opaque)
{
	int out = poll_tx(p, sent, opaque), in;

	if (out < 0)
		return out;
	in = poll_rx(p, frame, opaque);
	return in < 0 ? in : in + out;
}

bool nic_arm(struct nic_pair *p)
{
	bool rx = vqueue_arm(&p->rx), tx = vqueue_arm(&p->tx);

	return rx || tx;
}
