/* SPDX-License-Identifier: MIT */
/*
 * What a front end may not do, in four programs.  After each case: an answer that says no or a
 * closed socket, no fd kept, and the next front end is served.
 */
#ifndef SERVER_VHOST_USER_BAD_RIG_TEST_H
#define SERVER_VHOST_USER_BAD_RIG_TEST_H

#include "server/vhost_user/rig_test.h"

struct bad {
	uint32_t request;
	const void *payload;
	uint32_t size;
	int fds[VHOST_USER_FDS_MAX];
	int n_fds;
};

/* Of the case that runs. */
extern struct rig rig;

int bad_set_up(void **state);
/* With the health check behind every case. */
int bad_tear_down(void **state);
#define CASE(name) cmocka_unit_test_setup_teardown(name, bad_set_up, bad_tear_down)

/* On a front end that has started, or only negotiated. */
void open_at(struct front *f, bool started);
/* A nack when asked for, and the connection goes on; else the connection is closed. */
void refused_when(bool started, const struct bad *b);
/* Both ways. */
void refused(const struct bad *b);
void refused_u64(uint32_t request, uint64_t v);
void refused_state(uint32_t request, uint32_t index, uint32_t num);
void refused_fd(uint32_t request, uint64_t v, int fd);
/* Nothing that follows can be understood: closed even if an answer was asked for. */
void closes(uint32_t request, uint32_t flags, const void *payload, uint32_t size);

#endif
