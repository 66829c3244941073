/* SPDX-License-Identifier: MIT */
/* What the files of the vhost-user client share. */
#ifndef FRONTEND_VHOST_USER_CLIENT_PRIV_H
#define FRONTEND_VHOST_USER_CLIENT_PRIV_H

#include "base/bits.h"
#include "base/sock_address.h"
#include "frontend/vhost_user/channel.h"
#include "frontend/vhost_user/client.h"

#define CLIENT_QUEUES_MAX  256 /* an index has 8 bits */
#define CLIENT_REGIONS_MAX 64

/* What comes on the channel back is read piece by piece; longer messages are not for a disk. */
#define BACK_BYTES_MAX (sizeof(struct vhost_user_header) + 512)

struct client_queue {
	int kick_fd, err_fd;
	bool set; /* the back end has it */
};

struct client {
	struct transport base;
	struct channel ch;
	struct sock_address address; /* len 0: not known */
	bool no_mem_slots;
	bool used; /* a connection was here */

	uint64_t offered;  /* feature bits with VHOST_USER_F_PROTOCOL_FEATURES */
	uint64_t protocol; /* agreed protocol features */
	uint8_t status;	   /* without STATUS */

	uint32_t n_queues;
	struct client_queue *queues;

	struct dma_region mem[CLIENT_REGIONS_MAX];
	unsigned n_mem;

	uint8_t config[VHOST_USER_CONFIG_MAX];
	uint32_t config_len; /* 0: not yet read */
	uint32_t generation;

	int epoll_fd;
	int back_fd; /* our end of the channel back; -1: none */
	size_t back_len;
	uint8_t back[BACK_BYTES_MAX];
};

static inline struct client *client_of(struct transport *t)
{
	return container_of(t, struct client, base);
}

static inline bool client_has(const struct client *c, unsigned protocol_bit)
{
	return c->protocol >> protocol_bit & 1;
}

/* session.c: connecting, memory, what comes back. */
int client_handshake(struct client *c, struct error *err);
int client_reconnect(struct transport *t, struct error *err);
void client_hang_up(struct client *c);
int client_mem_add(struct transport *t, const struct dma_region *r, struct error *err);
int client_mem_remove(struct transport *t, const struct dma_region *r, struct error *err);
unsigned client_process(struct transport *t);
int client_watch(struct client *c, int fd, uint32_t events, uint32_t what, struct error *err);

/* client.c */
int client_dial(struct client *c, struct error *err);
extern const struct transport_ops client_ops;

/* What an event of the epoll fd is about: one of these, or a queue's number. */
#define CLIENT_WATCH_SOCKET 0x10000u
#define CLIENT_WATCH_BACK   0x10001u

#endif
