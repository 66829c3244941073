/* SPDX-License-Identifier: MIT */
#include "backend/net/user_flows.h"

#include "base/bits.h"
#include "base/limits.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* In an Ethernet frame with IPv4 in it. */
#define AT_TYPE	     12
#define AT_IP	     14
#define AT_PROTOCOL  (AT_IP + 9)
#define AT_SOURCE    (AT_IP + 12)
#define TCP_FLAGS    13
#define TCP_SYN	     0x02
#define TCP_ACK	     0x10
#define DHCP_SERVER  67

#define IS_DATAGRAMS BIT64(48)

/* ---- by descriptor ---- */

/* NULL: no memory; that flow is not counted. */
static struct user_flow *flow_of(struct user_flows *f, int fd)
{
	unsigned n = f->places ? f->places : 64;
	struct user_flow *grown;

	if (fd < 0)
		return NULL;
	if ((unsigned)fd < f->places)
		return &f->by_fd[fd];
	while ((unsigned)fd >= n)
		n *= 2;
	grown = realloc(f->by_fd, n * sizeof(*grown));
	if (!grown)
		return NULL;
	memset(grown + f->places, 0, (n - f->places) * sizeof(*grown));
	f->by_fd = grown;
	f->places = n;
	return &grown[fd];
}

void user_flows_opened(struct user_flows *f, int fd)
{
	struct user_flow *flow = flow_of(f, fd);

	if (!flow || flow->open)
		return;
	*flow = (struct user_flow){.open = true, .from = f->from};
	f->n++;
	if (!limits_fd_is_reserve(fd))
		return;
	f->reserved++;
	f->max = f->reserved == 1 ? f->n : (unsigned)min_u64(f->max, f->n);
}

void user_flows_closed(struct user_flows *f, int fd)
{
	if (fd < 0 || (unsigned)fd >= f->places || !f->by_fd[fd].open)
		return;
	f->by_fd[fd] = (struct user_flow){0};
	f->n--;
	if (limits_fd_is_reserve(fd) && f->reserved)
		f->reserved--;
}

void user_flows_listens(struct user_flows *f, int fd)
{
	struct user_flow *flow = flow_of(f, fd);

	if (flow)
		flow->listens = true;
}

void user_flows_fini(struct user_flows *f)
{
	free(f->by_fd);
	*f = (struct user_flows){0};
}

/* ---- who may ---- */

bool user_flows_full(const struct user_flows *f)
{
	return f->reserved && f->n >= f->max;
}

bool user_flows_holds_back(const struct user_flows *f, int fd)
{
	return user_flows_full(f) && fd >= 0 && (unsigned)fd < f->places && f->by_fd[fd].listens;
}

static bool is_known(const struct user_flows *f, uint64_t from)
{
	for (unsigned i = 0; i < f->places; i++)
		if (f->by_fd[i].open && f->by_fd[i].from == from)
			return true;
	return false;
}

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

bool user_flows_admit(struct user_flows *f, const uint8_t *frame, size_t len)
{
	size_t at;

	f->from = 0;
	if (len < AT_IP + 20 || get16(frame + AT_TYPE) != 0x0800)
		return true;
	at = AT_IP + (size_t)(frame[AT_IP] & 15) * 4;
	switch (frame[AT_PROTOCOL]) {
	case IPPROTO_UDP:
		if (len < at + 8)
			return true;
		f->from = IS_DATAGRAMS | (uint64_t)get16(frame + AT_SOURCE) << 32 |
			  (uint64_t)get16(frame + AT_SOURCE + 2) << 16 | get16(frame + at);
		/* libslirp's own answers need no file. */
		return !user_flows_full(f) || get16(frame + at + 2) == DHCP_SERVER ||
		       is_known(f, f->from);
	case IPPROTO_TCP:
		return len < at + 20 || (frame[at + TCP_FLAGS] & (TCP_SYN | TCP_ACK)) != TCP_SYN ||
		       !user_flows_full(f);
	case IPPROTO_ICMP:
		return !user_flows_full(f);
	default:
		return true;
	}
}
