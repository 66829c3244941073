/* SPDX-License-Identifier: MIT */
/*
 * A front end served: the vhost-user protocol on one socket, and behind it the virtio bus that the
 * device is plugged into.  The machine's PCI board stays with the front end; what arrives here is
 * its memory, its rings and its fds.
 *
 *	IDLE --serve--> SERVING <---> WAITING          WAITING: orders are with the workers; not a
 *	  ^                |             |             byte is read until they have been carried out
 *	  |                v             v
 *	  +-- reset --- CLOSING <--------+             CLOSING: every queue drained first, so that
 *	                                               the front end sees no ring move after it saw
 *	                                               the socket close
 *
 * Invariants: messages are handled one after the other, each wholly, also by the workers, before
 * the next is read; nothing here waits in a system call; a message is answered exactly once or the
 * socket is closed; an fd is either in a message, with a queue, or closed.
 *
 * Rings: started by SET_VRING_KICK, stopped by GET_VRING_BASE; enabled or not independently of
 * that.  Addresses are translated when the ring starts, so that they may come in any order.
 *
 * Threads: control thread.
 */
#ifndef SERVER_VHOST_USER_CONNECTION_H
#define SERVER_VHOST_USER_CONNECTION_H

#include "backend/virtio/device.h"
#include "base/notifier.h"
#include "base/reactor.h"
#include "server/vhost_user/channel.h"

/* What the front end said about one ring. */
struct vhost_user_vring {
	struct vhost_user_vring_addr addr;
	uint32_t num; /* 0: not said yet */
	uint32_t base;
	bool has_base;
	bool has_addr;
	bool running;  /* its queue is                              */
	bool enabled;  /* by the front end                          */
	bool on;       /* its queue may take requests, as ordered last */
	bool unkicked; /* started without a kick fd: to be polled   */
	struct notifier err;
};

/* The memory of SET_INFLIGHT_FD. */
struct vhost_user_inflight_region {
	struct gmem *mem; /* one region, at 0; NULL: none was given */
	uint64_t size;
	uint16_t num_queues;
	uint16_t queue_size;
};

enum vhost_user_state {
	VHOST_USER_IDLE,
	VHOST_USER_SERVING,
	VHOST_USER_WAITING,
	VHOST_USER_CLOSING,
};

struct vhost_user_connection {
	struct virtio_bus bus;
	struct reactor *home;
	/* The socket is closed, the device as after init, the memory let go.  Not called from
	 * inside a call of the owner. */
	void (*closed)(struct vhost_user_connection *c);

	enum vhost_user_state state;
	bool leaving;	     /* close as soon as the workers are done */
	struct aside *aside; /* closes the peer's fds, asks what may hang */
	struct vhost_user_channel channel;
	struct reactor_watch watch;
	struct reactor_msg more; /* the socket has more than one turn should take */

	/* The way of our own requests, from SET_BACKEND_REQ_FD. */
	struct vhost_user_channel backend;
	struct reactor_watch backend_watch;

	uint64_t protocol_features;
	bool any_memory;    /* memory may be any file: set by the owner after init */
	bool enables_rings; /* feature bit 30 acknowledged: SET_VRING_ENABLE does it */
	struct gmem *mem;   /* NULL: none yet */
	struct gmem *next;  /* to be, once the workers have let go of @mem */
	struct vhost_user_map_job *map_job; /* makes it, aside; NULL: none does */
	struct reactor_timer map_patience;
	struct vhost_user_vring *vrings;
	struct vhost_user_inflight_region inflight;
	int reply_fd; /* goes with the reply to come; -1: none */

	/* Of the message that waits for workers: */
	struct virtio_waiter waiter;
	int (*then)(struct vhost_user_connection *c, struct vhost_user_message *m,
		    struct error *err);
	struct vhost_user_vring *vring;

	struct reactor_timer poll;  /* rings without a kick fd             */
	struct reactor_timer retry; /* until some of the peer's fds are closed */
	struct log_limit complaints;
	struct log_limit visits; /* apart, so that coming and going hides no complaint */
};

/*
 * Plugs @vdev into the bus, which stays the caller's and must outlive the connection; @home is its
 * home.  0 or -errno.
 */
int vhost_user_connection_init(struct vhost_user_connection *c, struct virtio_device *vdev,
			       struct reactor *home,
			       void (*closed)(struct vhost_user_connection *c), struct error *err);
/* Only while idle, and after a message posted to @home since it became idle has come through. */
void vhost_user_connection_fini(struct vhost_user_connection *c);

/* Serves the front end on @fd, which is taken over in any case.  Only while idle. */
int vhost_user_connection_serve(struct vhost_user_connection *c, int fd);

/* Drains, closes the socket, then closed() comes.  Harmless when idle or on its way. */
void vhost_user_connection_close(struct vhost_user_connection *c);

#endif
