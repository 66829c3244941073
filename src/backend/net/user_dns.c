/* SPDX-License-Identifier: MIT */
#include "backend/net/user_dns.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

struct user_dns user_dns_look(const char *resolv_conf)
{
	FILE *file = fopen(resolv_conf, "re");
	struct user_dns dns = {.readable = file};
	char line[512], server[257];

	while (file && fgets(line, sizeof(line), file)) {
		struct in6_addr address;

		if (sscanf(line, " nameserver %256s", server) != 1)
			continue;
		server[strcspn(server, "%")] = '\0'; /* the interface of a link-local one */
		dns.ipv4 += inet_pton(AF_INET, server, &address) == 1;
		dns.ipv6 += inet_pton(AF_INET6, server, &address) == 1;
	}
	if (file)
		fclose(file);
	return dns;
}
