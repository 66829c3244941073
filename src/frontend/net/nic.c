/* SPDX-License-Identifier: MIT */
#include "frontend/net/nic.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_SIZE_DEFAULT 256
#define CONTROL_SIZE	   16
#define COMMAND_BYTES	   1024
#define COMMAND_MS	   5000u

#define GUEST_GSO                                                          \
	(BIT64(VIRTIO_NET_F_GUEST_TSO4) | BIT64(VIRTIO_NET_F_GUEST_TSO6) | \
	 BIT64(VIRTIO_NET_F_GUEST_USO4) | BIT64(VIRTIO_NET_F_GUEST_USO6))

/* What this driver understands. */
static const uint64_t wanted = BIT64(VIRTIO_F_INDIRECT_DESC) | BIT64(VIRTIO_F_EVENT_IDX) |
			       BIT64(VIRTIO_F_RING_PACKED) | BIT64(VIRTIO_F_IN_ORDER) |
			       BIT64(VIRTIO_F_ACCESS_PLATFORM) | BIT64(VIRTIO_F_ORDER_PLATFORM) |
			       BIT64(VIRTIO_F_NOTIFICATION_DATA) | BIT64(VIRTIO_NET_F_CSUM) |
			       BIT64(VIRTIO_NET_F_GUEST_CSUM) | BIT64(VIRTIO_NET_F_MTU) |
			       BIT64(VIRTIO_NET_F_MAC) | GUEST_GSO | BIT64(VIRTIO_NET_F_HOST_TSO4) |
			       BIT64(VIRTIO_NET_F_HOST_TSO6) | BIT64(VIRTIO_NET_F_HOST_USO) |
			       BIT64(VIRTIO_NET_F_MRG_RXBUF) | BIT64(VIRTIO_NET_F_STATUS) |
			       BIT64(VIRTIO_NET_F_CTRL_VQ) | BIT64(VIRTIO_NET_F_CTRL_RX) |
			       BIT64(VIRTIO_NET_F_CTRL_VLAN) | BIT64(VIRTIO_NET_F_CTRL_RX_EXTRA) |
			       BIT64(VIRTIO_NET_F_MQ) | BIT64(VIRTIO_NET_F_CTRL_MAC_ADDR);

static int read_config(struct vdriver *v, void *opaque, struct error *err)
{
	struct nic *nic = opaque;
	le16 pairs = le16_make(1), mtu = le16_make(0);
	int rc = 0;

	if (vdriver_has(v, VIRTIO_NET_F_MAC))
		rc = vdriver_config_field(v, offsetof(struct virtio_net_config, mac), nic->mac,
					  sizeof(nic->mac), err);
	if (!rc && vdriver_has(v, VIRTIO_NET_F_MQ))
		rc = vdriver_config_field(v,
					  offsetof(struct virtio_net_config, max_virtqueue_pairs),
					  &pairs, sizeof(pairs), err);
	if (!rc && vdriver_has(v, VIRTIO_NET_F_MTU))
		rc = vdriver_config_field(v, offsetof(struct virtio_net_config, mtu), &mtu,
					  sizeof(mtu), err);
	nic->max_pairs = le16_get(pairs);
	nic->mtu = le16_get(mtu);
	return rc;
}

/* 5.1.3.1: what stands on a feature that will not be there is left, too. */
static uint64_t choose(uint64_t features)
{
	if (!(features & BIT64(VIRTIO_NET_F_CSUM)))
		features &= ~(BIT64(VIRTIO_NET_F_HOST_TSO4) | BIT64(VIRTIO_NET_F_HOST_TSO6) |
			      BIT64(VIRTIO_NET_F_HOST_USO));
	if (!(features & BIT64(VIRTIO_NET_F_GUEST_CSUM)))
		features &= ~GUEST_GSO;
	if (!(features & BIT64(VIRTIO_NET_F_CTRL_VQ)))
		features &= ~(BIT64(VIRTIO_NET_F_CTRL_RX) | BIT64(VIRTIO_NET_F_CTRL_VLAN) |
			      BIT64(VIRTIO_NET_F_CTRL_RX_EXTRA) | BIT64(VIRTIO_NET_F_MQ) |
			      BIT64(VIRTIO_NET_F_CTRL_MAC_ADDR));
	return features;
}

static int negotiate(struct nic *nic, struct error *err)
{
	uint64_t want = wanted & ~nic->options.features_off;
	int rc;

	nic->v.t->config_size = sizeof(struct virtio_net_config);
	rc = vdriver_begin(&nic->v, err);
	if (rc)
		return rc;
	/* Headers of a legacy device are others. */
	rc = vdriver_negotiate(&nic->v, choose(want & nic->v.offered), BIT64(VIRTIO_F_VERSION_1),
			       err);
	if (rc)
		return rc;
	/* Version 1 always has num_buffers. */
	nic->header_bytes = sizeof(struct virtio_net_hdr);
	rc = vdriver_config(&nic->v, read_config, nic, err);
	if (!rc && (!nic->max_pairs || nic->max_pairs > VIRTIO_NET_PAIRS_MAX))
		rc = error_set(err, -EIO, "the device has %u pairs of queues, which cannot be",
			       nic->max_pairs);
	if (rc)
		vdriver_fail(&nic->v);
	return rc;
}

/* ---- queues ---- */

static uint16_t control_index(const struct nic *nic)
{
	return (uint16_t)(2 * nic->max_pairs);
}

static int queue_num(struct nic *nic, uint16_t index, uint32_t want, uint16_t *num,
		     struct error *err)
{
	uint16_t max;
	int rc = nic->v.t->ops->queue_max(nic->v.t, index, &max, err);

	if (rc)
		return rc;
	*num = vqueue_size(want, max, vdriver_has(&nic->v, VIRTIO_F_RING_PACKED));
	return *num < 2 ? error_set(err, -EINVAL, "queue %u has only %u entries", index, *num) : 0;
}

static int make_queues(struct nic *nic, struct error *err)
{
	uint32_t want = nic->options.queue_size ? nic->options.queue_size : QUEUE_SIZE_DEFAULT;
	uint16_t num, ctrl = 0;
	uint64_t each, control = 0;
	unsigned hint = 0;
	uint8_t *at;
	void *shared;
	int rc;

	nic->n_pairs = (uint16_t)min_u64(nic->options.pairs ? nic->options.pairs : 1,
					 nic->max_pairs);
	rc = queue_num(nic, 0, want, &num, err);
	if (!rc && vdriver_has(&nic->v, VIRTIO_NET_F_CTRL_VQ)) {
		rc = queue_num(nic, control_index(nic), CONTROL_SIZE, &ctrl, err);
		control = vqueue_bytes(&nic->v, ctrl, 0) + COMMAND_BYTES;
	}
	if (rc)
		return rc;
	each = nic_pair_bytes(nic, num);
	rc = vdriver_mem_alloc(&nic->v, each * nic->n_pairs + control, &shared, err);
	if (rc)
		return rc;
	at = nic->shared = shared;
	nic->shift = vdriver_address(&nic->v, shared, &hint) - (uintptr_t)shared;
	nic->pairs = calloc(nic->n_pairs, sizeof(nic->pairs[0]));
	if (!nic->pairs)
		return error_set(err, -ENOMEM, "no memory for %u pairs of queues", nic->n_pairs);
	for (uint16_t i = 0; i < nic->n_pairs && !rc; i++, at += each)
		rc = nic_pair_init(&nic->pairs[i], nic, i, num, at, err);
	if (rc || !ctrl)
		return rc;
	nic->command = at + vqueue_bytes(&nic->v, ctrl, 0);
	rc = vqueue_init(&nic->control, &nic->v, control_index(nic), ctrl, 0, at, err);
	nic->has_control = !rc;
	return rc;
}

/* ---- commands ---- */

static int wait_for_answer(struct nic *nic)
{
	uint32_t ms = nic->options.command_ms ? nic->options.command_ms : COMMAND_MS;
	uint64_t until = clock_ns() + ms * NSEC_PER_MSEC;

	for (;;) {
		struct pollfd p = {.fd = nic->control.call_fd, .events = POLLIN};
		uint32_t used;
		void *cookie;
		int rc = vqdrv_reap(&nic->control.ring, &cookie, &used);

		if (rc)
			return rc < 0 ? rc : used ? 0 : -EPROTO;
		if (clock_ns() >= until)
			return -ETIMEDOUT;
		if (vqueue_arm(&nic->control))
			continue;
		poll(&p, 1, 1);
		vqueue_disarm(&nic->control);
	}
}

/* The command's memory is the device's, for as long as it likes: nothing else is put there. */
static void give_up_control(struct nic *nic)
{
	void *cookie;

	while (vqdrv_detach(&nic->control.ring, &cookie))
		;
}

int nic_command(struct nic *nic, uint8_t class, uint8_t command, const void *data, uint32_t len)
{
	struct virtio_net_ctrl head = {class, command};
	uint8_t *ack = nic->command + COMMAND_BYTES - 1;
	const struct vqdrv_buf bufs[] = {
		{nic_address(nic, nic->command), (uint32_t)sizeof(head) + len},
		{nic_address(nic, ack), 1},
	};
	int rc;

	if (!nic->has_control || !nic->started)
		return -ENOTSUP;
	if (len > COMMAND_BYTES - sizeof(head) - 1)
		return -E2BIG;
	memcpy(nic->command, &head, sizeof(head));
	memcpy(nic->command + sizeof(head), data, len);
	*ack = VIRTIO_NET_ERR;
	rc = vqdrv_add(&nic->control.ring, bufs, 1, 1, nic);
	if (rc)
		return rc;
	vqueue_commit(&nic->control);
	rc = wait_for_answer(nic);
	if (rc == -ETIMEDOUT)
		give_up_control(nic);
	if (rc)
		return rc;
	return read_once(ack) == VIRTIO_NET_OK ? 0 : -EPERM;
}

int nic_set_promisc(struct nic *nic, bool on)
{
	uint8_t byte = on;

	return nic_command(nic, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &byte, 1);
}

int nic_set_mac(struct nic *nic, const uint8_t mac[VIRTIO_NET_MAC_BYTES])
{
	int rc = nic_command(nic, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac,
			     VIRTIO_NET_MAC_BYTES);

	if (!rc)
		memcpy(nic->mac, mac, sizeof(nic->mac));
	return rc;
}

int nic_set_pairs(struct nic *nic, uint16_t n)
{
	le16 raw = le16_make(n);

	if (n > nic->n_pairs)
		return -EINVAL;
	return nic_command(nic, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &raw,
			   sizeof(raw));
}

bool nic_link_up(struct nic *nic)
{
	le16 status;

	if (!vdriver_has(&nic->v, VIRTIO_NET_F_STATUS))
		return true;
	return !vdriver_config_field(&nic->v, offsetof(struct virtio_net_config, status), &status,
				     sizeof(status), NULL) &&
	       le16_get(status) & VIRTIO_NET_S_LINK_UP;
}

/* ---- life ---- */

static void destroy(struct nic *nic)
{
	for (uint16_t i = 0; nic->pairs && i < nic->n_pairs; i++)
		nic_pair_fini(&nic->pairs[i]);
	free(nic->pairs);
	if (nic->has_control)
		vqueue_fini(&nic->control);
	nic->v.t->ops->disconnect(nic->v.t);
	vdriver_fini(&nic->v);
	nic->v.t->ops->destroy(nic->v.t);
	free(nic);
}

int nic_open(struct transport *t, const struct nic_options *o, struct nic **out, struct error *err)
{
	struct nic *nic = calloc(1, sizeof(*nic));
	int rc;

	if (!nic) {
		t->ops->disconnect(t);
		t->ops->destroy(t);
		return error_set(err, -ENOMEM, "no memory for a network card");
	}
	if (o)
		nic->options = *o;
	vdriver_init(&nic->v, t);
	rc = negotiate(nic, err);
	if (!rc) {
		rc = make_queues(nic, err);
		if (rc)
			vdriver_fail(&nic->v);
	}
	if (rc) {
		destroy(nic);
		return rc;
	}
	*out = nic;
	return 0;
}

int nic_start(struct nic *nic, struct error *err)
{
	uint16_t pairs = nic->max_pairs;
	int rc = 0;

	if (nic->started)
		return error_set(err, -EBUSY, "the card is started already.");
	if (!(nic->v.status & VIRTIO_STATUS_FEATURES_OK))
		rc = negotiate(nic, err);
	if (!rc && nic->max_pairs != pairs)
		rc = error_set(err, -EIO, "the device has another number of queues now.");
	for (uint16_t i = 0; i < nic->n_pairs && !rc; i++)
		rc = nic_pair_start(&nic->pairs[i], err);
	if (!rc && nic->has_control)
		rc = vqueue_start(&nic->control, err);
	if (!rc)
		rc = vdriver_ok(&nic->v, err);
	if (rc)
		goto fail;
	nic->started = true;
	for (uint16_t i = 0; i < nic->n_pairs && !rc; i++)
		rc = nic_pair_fill(&nic->pairs[i]);
	if (!rc && nic->n_pairs > 1)
		rc = nic_set_pairs(nic, nic->n_pairs);
	if (!rc)
		return 0;
	nic->started = false;
	error_set(err, rc, "the card cannot be started");
fail:
	vdriver_fail(&nic->v);
	return rc;
}

int nic_stop(struct nic *nic, struct error *err)
{
	int rc = 0;

	if (nic->started || nic->v.status) {
		rc = vdriver_reset(&nic->v, err);
		/* Nothing is taken back from a device that may still use it. */
		if (rc)
			nic->v.t->ops->disconnect(nic->v.t);
	}
	vdriver_lost(&nic->v);
	nic->started = false;
	return rc;
}

void nic_close(struct nic **nicp)
{
	struct nic *nic = *nicp;

	if (!nic)
		return;
	*nicp = NULL;
	(void)nic_stop(nic, NULL);
	destroy(nic);
}
