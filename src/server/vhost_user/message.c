/* SPDX-License-Identifier: MIT */
#include "server/vhost_user/message.h"

#include "base/bits.h"

#include <unistd.h>

#define U64   sizeof(uint64_t), sizeof(uint64_t)
#define STATE sizeof(struct vhost_user_vring_state), sizeof(struct vhost_user_vring_state)
#define ADDR  sizeof(struct vhost_user_vring_addr), sizeof(struct vhost_user_vring_addr)
#define TABLE offsetof(struct vhost_user_mem_table, regions), sizeof(struct vhost_user_mem_table)
#define REG   sizeof(struct vhost_user_mem_reg), sizeof(struct vhost_user_mem_reg)
/* 20 bytes, or 24 with the padding behind them */
#define INFLIGHT                                                             \
	offsetof(struct vhost_user_inflight, queue_size) + sizeof(uint16_t), \
		sizeof(struct vhost_user_inflight)
#define CONFIG offsetof(struct vhost_user_config, data), sizeof(struct vhost_user_config)

static const struct vhost_user_rule rules[VHOST_USER_REQUEST_MAX] = {
	/* request                     known  payload  fds  own reply */
	[VHOST_USER_GET_FEATURES] = {true, 0, 0, 0, true},
	[VHOST_USER_SET_FEATURES] = {true, U64, 0, false},
	[VHOST_USER_SET_OWNER] = {true, 0, 0, 0, false},
	[VHOST_USER_RESET_OWNER] = {true, 0, 0, 0, false},
	[VHOST_USER_SET_MEM_TABLE] = {true, TABLE, VHOST_USER_FDS_MAX, false},
	[VHOST_USER_SET_VRING_NUM] = {true, STATE, 0, false},
	[VHOST_USER_SET_VRING_ADDR] = {true, ADDR, 0, false},
	[VHOST_USER_SET_VRING_BASE] = {true, STATE, 0, false},
	[VHOST_USER_GET_VRING_BASE] = {true, STATE, 0, true},
	[VHOST_USER_SET_VRING_KICK] = {true, U64, 1, false},
	[VHOST_USER_SET_VRING_CALL] = {true, U64, 1, false},
	[VHOST_USER_SET_VRING_ERR] = {true, U64, 1, false},
	[VHOST_USER_GET_PROTOCOL_FEATURES] = {true, 0, 0, 0, true},
	[VHOST_USER_SET_PROTOCOL_FEATURES] = {true, U64, 0, false},
	[VHOST_USER_GET_QUEUE_NUM] = {true, 0, 0, 0, true},
	[VHOST_USER_SET_VRING_ENABLE] = {true, STATE, 0, false},
	[VHOST_USER_SET_BACKEND_REQ_FD] = {true, 0, sizeof(uint64_t), 1, false},
	[VHOST_USER_GET_CONFIG] = {true, CONFIG, 0, true},
	[VHOST_USER_SET_CONFIG] = {true, CONFIG, 0, false},
	[VHOST_USER_GET_INFLIGHT_FD] = {true, INFLIGHT, 0, true},
	[VHOST_USER_SET_INFLIGHT_FD] = {true, INFLIGHT, 1, false},
	[VHOST_USER_RESET_DEVICE] = {true, 0, 0, 0, false},
	[VHOST_USER_GET_MAX_MEM_SLOTS] = {true, 0, 0, 0, true},
	[VHOST_USER_ADD_MEM_REG] = {true, REG, 1, false},
	/* Says nothing about an fd, and yet some front ends send the region's along. */
	[VHOST_USER_REM_MEM_REG] = {true, REG, 1, false},
	[VHOST_USER_SET_STATUS] = {true, U64, 0, false},
	[VHOST_USER_GET_STATUS] = {true, 0, 0, 0, true},
};

const struct vhost_user_rule *vhost_user_rule(uint32_t request)
{
	if (request >= ARRAY_SIZE(rules) || !rules[request].known)
		return NULL;
	return &rules[request];
}

const char *vhost_user_header_wrong(const struct vhost_user_header *h)
{
	const struct vhost_user_rule *rule = vhost_user_rule(h->request);

	if ((h->flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION)
		return "its version is not 1";
	if (h->flags & VHOST_USER_REPLY)
		return "it says that it is a reply";
	if (h->size > sizeof(union vhost_user_payload))
		return "its payload is longer than any can be";
	if (rule && (h->size < rule->size_min || h->size > rule->size_max))
		return "its payload does not have the size of this request";
	return NULL;
}

int vhost_user_message_take_fd(struct vhost_user_message *m, unsigned i)
{
	int fd;

	if (i >= m->n_fds)
		return -1;
	fd = m->fds[i];
	m->fds[i] = -1;
	return fd;
}

void vhost_user_message_drop_fds(struct vhost_user_message *m, struct aside *aside)
{
	for (unsigned i = 0; i < m->n_fds; i++) {
		if (aside)
			aside_close(aside, m->fds[i]);
		else if (m->fds[i] >= 0)
			close(m->fds[i]);
	}
	m->n_fds = 0;
}
