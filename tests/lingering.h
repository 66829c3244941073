/* SPDX-License-Identifier: MIT */
/* A file that takes long to close, as a peer may send one. */
#ifndef TESTS_LINGERING_H
#define TESTS_LINGERING_H

#include "test.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* A socket whose close() waits until the other end is gone: there is unsent data in it. */
static inline int test_lingering(int *other)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct linger linger = {.l_onoff = 1, .l_linger = 1000};
	socklen_t len = sizeof(at);
	int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), small = 4096;
	static const char bytes[65536];

	assert_int_equal(setsockopt(l, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	assert_int_equal(bind(l, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&at, &len), 0);
	assert_int_equal(connect(c, (struct sockaddr *)&at, sizeof(at)), 0);
	*other = accept(l, NULL, NULL);
	assert_true(*other >= 0);
	close(l);
	while (send(c, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	assert_int_equal(setsockopt(c, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	return c;
}

#endif
