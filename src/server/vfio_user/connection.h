/* SPDX-License-Identifier: MIT */
/*
 * A client of the vfio-user protocol and the device that it is given.
 *
 *      IDLE --open--> TALKING --a command that takes time--> BUSY --its answer--> TALKING
 *                        |                                     |
 *                        +------ the client leaves, or a stop -+--> LEAVING --reset--> IDLE
 *
 * Commands are carried out one after the other.  While one takes time (memory is given back, the
 * device is reset) no further one is carried out; others' devices go on.  It may take time because
 * the client owes us an answer (reach.h): then what comes is read all the same, and commands that come
 * in front of the answer are held, a bounded number.  A client that answers nothing for
 * VFIO_USER_PATIENCE_NS meanwhile is waiting for us: what we wait for is given up, and queues break.
 * A reset gives it up at once.  LEAVING ends when nothing of the client's is
 * in use any more.
 *
 * What a client does wrong is answered with an errno where the protocol has a place for it; a
 * stream that cannot be understood any more ends the connection.
 *
 * Threads: the control thread.
 */
#ifndef SERVER_VFIO_USER_CONNECTION_H
#define SERVER_VFIO_USER_CONNECTION_H

#include "base/log.h"
#include "server/vfio_user/channel.h"
#include "server/vfio_user/device.h"
#include "server/vfio_user/held.h"
#include "server/vfio_user/reach.h"
#include "server/vfio_user/version.h"

enum vfio_user_state {
	VFIO_USER_IDLE,
	VFIO_USER_TALKING,
	VFIO_USER_BUSY,
	VFIO_USER_LEAVING,
};

/*
 * How often it is looked whether a reset by a legacy driver is over, or a device stands still.  The
 * pause doubles up to the longest one: a disk that hangs takes no time of the other devices' thread.
 */
#define VFIO_USER_LOOK_NS     (200 * UINT64_C(1000))
#define VFIO_USER_LOOK_MAX_NS (10 * UINT64_C(1000000))

/* Less than QEMU's own patience, 5 s. */
#define VFIO_USER_PATIENCE_NS (2 * UINT64_C(1000000000))

struct vfio_user_connection {
	enum vfio_user_state state;
	const char *name; /* the device's, for messages */
	struct reactor *home;
	struct aside *aside; /* closes the client's fds */
	struct vfio_user_channel ch;
	struct vfio_user_reach reach;
	struct vfio_user_device device;
	struct vfio_user_message *cmd;	/* the command at hand                             */
	struct vfio_user_message *late; /* BUSY: may be that; else a free one for ch.in    */
	struct vfio_user_held held;	/* BUSY: for later */
	bool versioned;			/* VERSION is done */
	struct vfio_user_terms terms;
	bool left; /* the client goes, or went, while BUSY */
	struct reactor_watch watch;
	struct reactor_timer look; /* whether a write is done by now */
	uint64_t look_ns;	   /* until the next one             */
	struct reactor_timer more; /* commands wait for others' turn */
	struct reactor_timer patience;
	uint64_t heard; /* of reach, when it began */
	struct log_limit complaints;
	/* The client has gone and the device is as at power-on; never from inside a call. */
	void (*gone)(struct vfio_user_connection *c);
};

/* Takes over @vdev, whose home is @home, on failure too.  IDLE. */
int vfio_user_connection_init(struct vfio_user_connection *c, struct virtio_device *vdev,
			      const struct virtio_pci_options *board, struct reactor *home,
			      void (*gone)(struct vfio_user_connection *c), struct error *err);
/* IDLE. */
void vfio_user_connection_fini(struct vfio_user_connection *c);

/* IDLE: serves the client on @fd, which is taken over, on failure too. */
int vfio_user_connection_serve(struct vfio_user_connection *c, int fd);
/* Sends it away; gone() comes.  Not IDLE. */
void vfio_user_connection_close(struct vfio_user_connection *c);

#endif
