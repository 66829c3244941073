/* SPDX-License-Identifier: MIT */
/* The inside of a connection: what its files share, and the handlers of the messages. */
#ifndef SERVER_VHOST_USER_CONNECTION_PRIV_H
#define SERVER_VHOST_USER_CONNECTION_PRIV_H

#include "server/vhost_user/connection.h"

/*
 * A handler's answer: 0 - done; negative - refused, with a sentence in @err; or one of these.
 */
#define VHOST_USER_ANSWER 1 /* header.size and payload of the message are the reply */
/*
 * Orders were given to c->waiter: c->then (NULL: the waiter's rc is the answer) is asked when they
 * have been carried out.  Right for none, too.
 */
#define VHOST_USER_WAIT 2

typedef int vhost_user_handler(struct vhost_user_connection *c, struct vhost_user_message *m,
			       struct error *err);

static inline struct virtio_device *vhost_user_device(const struct vhost_user_connection *c)
{
	return c->bus.child;
}

static inline int vhost_user_answer_u64(struct vhost_user_message *m, uint64_t v)
{
	m->payload.u64 = v;
	m->header.size = sizeof(m->payload.u64);
	return VHOST_USER_ANSWER;
}

/* features.c */
#define VHOST_USER_PROTOCOL_FEATURES                                                               \
	(BIT64(VHOST_USER_PROTOCOL_F_MQ) | BIT64(VHOST_USER_PROTOCOL_F_REPLY_ACK) |                \
	 BIT64(VHOST_USER_PROTOCOL_F_BACKEND_REQ) | BIT64(VHOST_USER_PROTOCOL_F_CONFIG) |          \
	 BIT64(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD) | BIT64(VHOST_USER_PROTOCOL_F_RESET_DEVICE) | \
	 BIT64(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS) | BIT64(VHOST_USER_PROTOCOL_F_STATUS))
vhost_user_handler vhost_user_get_features;
vhost_user_handler vhost_user_set_features;
vhost_user_handler vhost_user_get_protocol_features;
vhost_user_handler vhost_user_set_protocol_features;
vhost_user_handler vhost_user_get_queue_num;
vhost_user_handler vhost_user_get_status;
vhost_user_handler vhost_user_set_status;
vhost_user_handler vhost_user_reset_device;
vhost_user_handler vhost_user_nothing_to_do;

/* memory.c */
vhost_user_handler vhost_user_get_max_mem_slots;
vhost_user_handler vhost_user_set_mem_table;
vhost_user_handler vhost_user_add_mem_reg;
vhost_user_handler vhost_user_rem_mem_reg;
/* 0, or -EINVAL: a file that may make us wait, which was not allowed. */
int vhost_user_check_memory_fd(const struct vhost_user_connection *c, int fd, struct error *err);
/* Timer: a file that was to be mapped does not answer. */
void vhost_user_map_patience_over(struct reactor_timer *t);

/* vring.c */
vhost_user_handler vhost_user_set_vring_num;
vhost_user_handler vhost_user_set_vring_addr;
vhost_user_handler vhost_user_set_vring_base;
vhost_user_handler vhost_user_get_vring_base;
vhost_user_handler vhost_user_set_vring_kick;
vhost_user_handler vhost_user_set_vring_call;
vhost_user_handler vhost_user_set_vring_err;
vhost_user_handler vhost_user_set_vring_enable;
/*
 * Orders the queues on or off as the front end enabled them.  One that tells the status is believed
 * in that, too: nothing is taken from a ring before DRIVER_OK (virtio 1.4, 2.1.2).
 */
void vhost_user_vrings_gate(struct vhost_user_connection *c);
/* The device was reset: no ring runs or is enabled; sizes, addresses and fds are kept. */
void vhost_user_vrings_reset(struct vhost_user_connection *c);
/* The front end is gone: nothing is kept. */
void vhost_user_vrings_forget(struct vhost_user_connection *c);
/* Timer: looks at the rings that nobody kicks. */
void vhost_user_vrings_poll(struct reactor_timer *t);

/* inflight.c */
vhost_user_handler vhost_user_get_inflight_fd;
vhost_user_handler vhost_user_set_inflight_fd;
/*
 * The ring, about to start, keeps its record in the region, if there is one for it that is long
 * enough; else it is served without, and the log says so.
 */
void vhost_user_inflight_attach(struct vhost_user_connection *c, unsigned index,
				const struct vring_config *config);
/* Lets go of the region; running queues keep theirs until they stop. */
void vhost_user_inflight_forget(struct vhost_user_connection *c);

/* config.c */
vhost_user_handler vhost_user_get_config;
vhost_user_handler vhost_user_set_config;

/* backend_request.c: what the back end asks of the front end */
vhost_user_handler vhost_user_set_backend_req_fd;
void vhost_user_config_changed(struct virtio_bus *bus);
void vhost_user_backend_request_init(struct vhost_user_connection *c);
void vhost_user_backend_request_close(struct vhost_user_connection *c);

#endif
