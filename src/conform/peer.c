/* SPDX-License-Identifier: MIT */
#include "conform/peer.h"

#include "base/clock.h"
#include "base/sock.h"
#include "base/sock_address.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the front end calls its memory: an address that nothing of ours has, so that only its use as
 * "the front end's address" can work. */
#define USER_SHIFT 0x7a0000000000ull

void peer_init(struct peer *p, int timeout_ms)
{
	memset(p, 0, sizeof(*p));
	p->fd = -1;
	p->timeout_ms = timeout_ms;
}

void peer_fini(struct peer *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
	for (unsigned i = 0; i < p->n_areas; i++) {
		munmap(p->areas[i].host, p->areas[i].size);
		close(p->areas[i].fd);
	}
	p->n_areas = 0;
}

int peer_connect(struct peer *p, const char *path, int wait_ms)
{
	uint64_t until = clock_ns() + (uint64_t)wait_ms * NSEC_PER_MSEC;
	struct sock_address a;
	int rc = sock_address(&a, path, NULL);

	if (rc)
		return rc;
	for (;;) {
		p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (p->fd < 0)
			return -errno;
		if (!connect(p->fd, sock_address_of(&a), a.len)) {
			p->met = true;
			return 0;
		}
		rc = -errno;
		close(p->fd);
		p->fd = -1;
		if (rc != -ECONNREFUSED && rc != -ENOENT && rc != -EAGAIN)
			return rc;
		if (clock_ns() >= until)
			return rc;
		usleep(10000);
	}
}

static uint64_t deadline(int ms)
{
	return clock_ns() + (uint64_t)ms * NSEC_PER_MSEC;
}

int peer_send_raw(struct peer *p, const void *data, size_t len, const int *fds, unsigned n_fds)
{
	int rc = sock_send(p->fd, data, len, fds, n_fds, deadline(p->timeout_ms));

	return rc == -ENOTCONN ? -EPIPE : rc;
}

int peer_send(struct peer *p, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
	      const int *fds, unsigned n_fds)
{
	const struct vhost_user_header h = {
		.request = request, .flags = VHOST_USER_VERSION | flags, .size = size};
	uint8_t m[sizeof(h) + sizeof(union vhost_user_payload)];

	if (size > sizeof(union vhost_user_payload))
		return -EINVAL;
	memcpy(m, &h, sizeof(h));
	if (size)
		memcpy(m + sizeof(h), payload, size);
	return peer_send_raw(p, m, sizeof(h) + size, fds, n_fds);
}

int peer_recv(struct peer *p, struct message *m, int timeout_ms)
{
	struct sock_fds take = {.fds = m->fds, .max = VHOST_USER_FDS_MAX};
	uint64_t until = deadline(timeout_ms);
	int rc;

	m->n_fds = 0;
	rc = sock_recv(p->fd, &m->h, sizeof(m->h), &take, until);
	p->heard |= rc != -ETIMEDOUT;
	if (!rc && m->h.size > sizeof(m->payload))
		rc = -EPROTO;
	if (!rc) {
		memset(&m->payload, 0, sizeof(m->payload));
		rc = sock_recv(p->fd, &m->payload, m->h.size, &take, until);
	}
	m->n_fds = take.n;
	return rc;
}

void message_close_fds(struct message *m)
{
	for (unsigned i = 0; i < m->n_fds; i++)
		close(m->fds[i]);
	m->n_fds = 0;
}

bool peer_readable(struct peer *p, int ms)
{
	return sock_ready(p->fd, POLLIN, deadline(ms)) == 0;
}

bool peer_closed(struct peer *p, int ms)
{
	uint64_t until = deadline(ms);

	for (;;) {
		char c[256];
		ssize_t n;

		if (sock_ready(p->fd, POLLIN, until))
			return false;
		n = recv(p->fd, c, sizeof(c), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			p->heard = true;
			return true;
		}
	}
}

struct area *peer_area(struct peer *p, uint64_t size)
{
	struct area *a = &p->areas[p->n_areas];
	const struct area *before = p->n_areas ? a - 1 : NULL;

	if (p->n_areas == PEER_AREAS)
		return NULL;
	a->gpa = before ? before->gpa + before->size : PEER_GPA;
	a->size = size;
	a->offset = PEER_MEM_SHIFT;
	a->known = false;
	a->fd = memfd_create("conform", MFD_CLOEXEC);
	if (a->fd < 0)
		return NULL;
	if (ftruncate(a->fd, (off_t)(a->offset + size)))
		goto close_fd;
	a->host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, (off_t)a->offset);
	if (a->host == MAP_FAILED)
		goto close_fd;
	p->n_areas++;
	return a;
close_fd:
	close(a->fd);
	return NULL;
}

void *peer_at(struct peer *p, uint64_t gpa, uint64_t len)
{
	for (unsigned i = 0; i < p->n_areas; i++) {
		const struct area *a = &p->areas[i];

		if (gpa >= a->gpa && gpa - a->gpa <= a->size && len <= a->size - (gpa - a->gpa))
			return a->host + (gpa - a->gpa);
	}
	return NULL;
}

uint64_t peer_user(struct peer *p, uint64_t gpa)
{
	(void)p;
	return gpa + USER_SHIFT;
}

struct vhost_user_region peer_region(const struct area *a)
{
	return (struct vhost_user_region){
		.gpa = a->gpa, .size = a->size, .user = a->gpa + USER_SHIFT, .offset = a->offset};
}
