/* SPDX-License-Identifier: MIT */
/*
 * Memory of the client that comes without a file descriptor: its bytes are asked for, and brought, by
 * messages (DMA_READ, DMA_WRITE), slow and right.
 *
 *      worker: a queue's mirror           control thread: this              the client
 *      --------------------------------------------------------------------------------
 *      gmem_remote_submit()  -- message -->  waits in line
 *                                            DMA_READ, its id     ------->
 *                                            the answer, checked  <-------
 *      done()                <-- message --  its bytes are there
 *
 * One command is out at a time, and each moves at most what both sides have said they take.  Who
 * asked waits for as long as the client does: it holds up nobody but its own device, and what is
 * asked for needs no memory here.
 *
 * Answers are believed when they are the one that is waited for: its id, its command, its address,
 * its count and exactly as long as that.  Anything else ends the connection, and then, as when the
 * client goes, everything that waits fails.  An answer that is an error fails what it was for.
 *
 * A device that is reset takes no more memory: what waits fails at once, and an answer that is still
 * out is passed over when it comes.  So a client that asks for a reset need not serve us meanwhile;
 * a write that was sent before has come before the reset's answer.  QEMU serves nobody while it waits
 * for one of its accesses; so no answer to a client waits for an answer of that client for ever
 * (connection.h).
 *
 * There are clients with another layout: QEMU's, from 10.1 to 10.2, has the count in 32 bits and the
 * data 4 bytes earlier than the document says, and would damage the guest's memory.  So the first
 * question writes no byte at all.  Such a client says that it is done, and nothing else, where the
 * document has address and count; it is asked no more, and its memory stays out of reach.
 *
 * Threads: the control thread, but for submit.
 */
#ifndef SERVER_VFIO_USER_REACH_H
#define SERVER_VFIO_USER_REACH_H

#include "base/list.h"
#include "base/log.h"
#include "mem/remote.h"
#include "server/vfio_user/channel.h"

struct vfio_user_reach {
	struct gmem_remote remote;
	struct reactor *home;
	const char *name; /* the device's, for messages */
	struct vfio_user_channel *ch;
	uint32_t transfer_max; /* bytes of one message */
	struct log_limit complaints;
	/* Something has been sent, or could not be: its answer has to be listened to. */
	void (*sent)(struct vfio_user_reach *reach);

	bool open;	/* there is a client, and the device is not being reset */
	bool out;	/* a command is not answered yet ... */
	bool probing;	/* ... it is the first one, of no bytes ... */
	bool asked;	/* ... and its io still waits for it: the first of @waiting */
	bool probed;	/* the client has answered that */
	bool strange;	/* otherwise than the document says */
	uint64_t heard; /* answers so far */
	uint16_t id;
	uint16_t command;
	uint64_t address;
	uint32_t count;
	struct list waiting; /* gmem_io */
};

void vfio_user_reach_init(struct vfio_user_reach *reach, struct reactor *home, const char *name,
			  struct vfio_user_channel *ch,
			  void (*sent)(struct vfio_user_reach *reach));
/* A client is there, who may say later that it takes less in one message. */
void vfio_user_reach_open(struct vfio_user_reach *reach);
/* What waits, and what comes from now on, fails. */
void vfio_user_reach_close(struct vfio_user_reach *reach);
/* The same client may be asked again. */
void vfio_user_reach_reopen(struct vfio_user_reach *reach);

/* Sends what is next, if anything may be.  -errno: the client is gone. */
int vfio_user_reach_go_on(struct vfio_user_reach *reach);
/* 0, or -EPROTO and *why: it is no answer that was waited for. */
int vfio_user_reach_answer(struct vfio_user_reach *reach, const struct vfio_user_message *m,
			   const char **why);

#endif
