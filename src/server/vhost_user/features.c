/* SPDX-License-Identifier: MIT */
/* Features, status and the like: what concerns the device as a whole. */
#include "server/vhost_user/connection_priv.h"

#include <errno.h>

/* Told by the front end to us, not by the driver to the device. */
#define OWN_FEATURES BIT64(VHOST_USER_F_PROTOCOL_FEATURES)

int vhost_user_get_features(struct vhost_user_connection *c, struct vhost_user_message *m,
			    struct error *err)
{
	(void)err;
	return vhost_user_answer_u64(m, vhost_user_device(c)->offered | OWN_FEATURES);
}

static bool any_running(const struct vhost_user_connection *c)
{
	for (unsigned i = 0; i < vhost_user_device(c)->n_queues; i++)
		if (c->vrings[i].running)
			return true;
	return false;
}

int vhost_user_set_features(struct vhost_user_connection *c, struct vhost_user_message *m,
			    struct error *err)
{
	struct virtio_device *vdev = vhost_user_device(c);
	uint64_t features = m->payload.u64 & ~OWN_FEATURES;
	int rc;

	/* Sent again and again by some; the same once more disturbs nobody. */
	if (features != vdev->features) {
		if (any_running(c))
			return error_set(
				err, -EBUSY, "features 0x%llx cannot become 0x%llx while rings run",
				(unsigned long long)vdev->features, (unsigned long long)features);
		rc = virtio_device_set_features(vdev, features);
		if (rc)
			return error_set(err, rc, "features 0x%llx, of 0x%llx on offer%s",
					 (unsigned long long)features,
					 (unsigned long long)vdev->offered,
					 features & ~vdev->offered
						 ? ""
						 : ": what they stand on is missing, or what this "
						   "device cannot do without");
	}
	c->enables_rings = m->payload.u64 & OWN_FEATURES;
	if (c->enables_rings)
		return 0;
	for (unsigned i = 0; i < vdev->n_queues; i++)
		c->vrings[i].enabled = true;
	vhost_user_vrings_gate(c);
	return VHOST_USER_WAIT;
}

int vhost_user_get_protocol_features(struct vhost_user_connection *c, struct vhost_user_message *m,
				     struct error *err)
{
	(void)c;
	(void)err;
	return vhost_user_answer_u64(m, VHOST_USER_PROTOCOL_FEATURES);
}

int vhost_user_set_protocol_features(struct vhost_user_connection *c, struct vhost_user_message *m,
				     struct error *err)
{
	if (m->payload.u64 & ~VHOST_USER_PROTOCOL_FEATURES)
		return error_set(err, -EINVAL, "protocol features 0x%llx, of 0x%llx on offer",
				 (unsigned long long)m->payload.u64,
				 (unsigned long long)VHOST_USER_PROTOCOL_FEATURES);
	c->protocol_features = m->payload.u64;
	return 0;
}

int vhost_user_get_queue_num(struct vhost_user_connection *c, struct vhost_user_message *m,
			     struct error *err)
{
	(void)err;
	return vhost_user_answer_u64(m, vhost_user_device(c)->n_queues);
}

int vhost_user_get_status(struct vhost_user_connection *c, struct vhost_user_message *m,
			  struct error *err)
{
	(void)err;
	return vhost_user_answer_u64(m, vhost_user_device(c)->status);
}

static int reset_done(struct vhost_user_connection *c, struct vhost_user_message *m,
		      struct error *err)
{
	(void)m;
	(void)err;
	if (!c->waiter.rc)
		vhost_user_vrings_reset(c);
	return c->waiter.rc;
}

/* The virtio state only: memory, fds, protocol features and ownership stay. */
int vhost_user_reset_device(struct vhost_user_connection *c, struct vhost_user_message *m,
			    struct error *err)
{
	(void)m;
	(void)err;
	virtio_device_reset(vhost_user_device(c), &c->waiter);
	c->then = reset_done;
	return VHOST_USER_WAIT;
}

int vhost_user_set_status(struct vhost_user_connection *c, struct vhost_user_message *m,
			  struct error *err)
{
	if (m->payload.u64 > UINT8_MAX)
		return error_set(err, -EINVAL, "status 0x%llx", (unsigned long long)m->payload.u64);
	if (!m->payload.u64)
		return vhost_user_reset_device(c, m, err);
	virtio_device_set_status(vhost_user_device(c), (uint8_t)m->payload.u64);
	vhost_user_vrings_gate(c);
	return VHOST_USER_WAIT;
}

int vhost_user_nothing_to_do(struct vhost_user_connection *c, struct vhost_user_message *m,
			     struct error *err)
{
	(void)c;
	(void)m;
	(void)err;
	return 0;
}
