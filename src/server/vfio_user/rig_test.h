/* SPDX-License-Identifier: MIT */
/*
 * A vfio-user connection with a disk in memory, and a client that says what it is told to, on one
 * thread.
 */
#ifndef SERVER_VFIO_USER_RIG_TEST_H
#define SERVER_VFIO_USER_RIG_TEST_H

#include "test.h"

#include "disk/disk.h"
#include "server/vfio_user/connection.h"

#define RIG_MEM_AT   UINT64_C(0x100000)
#define RIG_MEM_SIZE UINT64_C(0x100000)

struct net_link;

struct rig {
	struct disk_room room;
	struct reactor *home;
	struct vfio_user_connection c;
	bool gone; /* the device is free for the next client */
	int fd;	   /* the client's end; -1: none */
	uint16_t id;
	/* The last answer. */
	struct vfio_user_header h;
	uint8_t body[VFIO_USER_BODY_MAX];
	int fds[VFIO_USER_FDS_MAX];
	unsigned n_fds;

	int mem_fd;
	uint8_t *mem; /* of RIG_MEM_AT */

	/*
	 * What the server asks of the memory is served wherever the rig takes turns or waits for an
	 * answer: rightly, or as @dma does, which may say nothing, or use rig_dma().
	 */
	void (*dma)(struct rig *r, const struct vfio_user_header *h, const uint8_t *body);
	bool deaf; /* it stays in the socket */
	unsigned reads, writes;
	uint64_t longest; /* bytes of one message */
	void *of_test;
};

/* @disk: its words.  The client is connected and has said VERSION, but for rig_init_mute(). */
void rig_init(struct rig *r, const char *disk);
void rig_init_mute(struct rig *r, const char *disk);
/* Takes over @storage. */
void rig_init_storage(struct rig *r, struct storage *storage, unsigned queues);
/* A network card.  Takes over @link. */
void rig_init_net(struct rig *r, struct net_link *link);
void rig_fini(struct rig *r);

void rig_connect(struct rig *r);
/* The client goes; waits until the device is free. */
void rig_hang_up(struct rig *r);
/* One turn of the server; @ms at most. */
void rig_turn(struct rig *r, int ms);

/* Any bytes. */
void rig_send(struct rig *r, const void *data, size_t n, const int *fds, unsigned n_fds);
/* A command with its header. */
void rig_say(struct rig *r, uint16_t command, uint32_t flags, const void *body, uint32_t size,
	     const int *fds, unsigned n_fds);
/* The next answer: 0 or its errno; -1: the server closed the connection. */
int rig_hear(struct rig *r);
/* Both. */
int rig_ask(struct rig *r, uint16_t command, const void *body, uint32_t size);
int rig_ask_fds(struct rig *r, uint16_t command, const void *body, uint32_t size, const int *fds,
		unsigned n_fds);
/* Serves DMA_READ or DMA_WRITE, whose body is behind @h. */
void rig_dma(struct rig *r, const struct vfio_user_header *h, const uint8_t *body);
/* An answer to it. */
void rig_reply(struct rig *r, const struct vfio_user_header *h, uint32_t flags, uint32_t error,
	       const void *body, uint32_t size);

/* Nothing is answered now. */
bool rig_silent(struct rig *r);

/* Commands */
int rig_version(struct rig *r, uint16_t major, uint16_t minor, const char *text);
int rig_map(struct rig *r, uint64_t iova, uint64_t size, uint32_t flags, uint64_t offset, int fd);
int rig_unmap(struct rig *r, uint64_t iova, uint64_t size, uint32_t flags);
int rig_read(struct rig *r, uint32_t region, uint64_t offset, uint32_t count);
int rig_write(struct rig *r, uint32_t region, uint64_t offset, const void *data, uint32_t count);
uint32_t rig_get(struct rig *r, uint32_t region, uint64_t offset, unsigned size);
void rig_put(struct rig *r, uint32_t region, uint64_t offset, uint32_t value, unsigned size);
int rig_irqs(struct rig *r, uint32_t flags, uint32_t index, uint32_t start, uint32_t count,
	     const int *fds, unsigned n_fds);

#endif
