/* SPDX-License-Identifier: MIT */
/*
 * Name servers of the host, as libslirp sees them: it passes the guest's questions on to the first
 * IPv4 one of /etc/resolv.conf, and to no other kind; without one they stay unanswered, so that has
 * to be said.
 *
 * Threads: any.
 */
#ifndef BACKEND_NET_USER_DNS_H
#define BACKEND_NET_USER_DNS_H

#include <stdbool.h>

struct user_dns {
	bool readable;
	unsigned ipv4, ipv6; /* servers */
};

struct user_dns user_dns_look(const char *resolv_conf);

#endif
