/* SPDX-License-Identifier: MIT */
#include "frontend/vfio_user/serve.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "base/shared_copy.h"
#include "base/thread.h"
#include "frontend/vfio_user/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEADER	 ((uint32_t)sizeof(struct vfio_user_header))
#define HEAD	 ((uint32_t)sizeof(struct vfio_user_dma_access))
#define FOR_EVER UINT64_MAX
#define BODY_MAX (HEAD + VFIO_USER_TRANSFER_MAX)

/* ---- the server's questions ---- */

/* Our memory at the device's address; NULL: it is not all there. */
static uint8_t *serve_find(const struct vfio_user_client *c, uint64_t address, uint64_t len)
{
	for (unsigned i = 0; i < c->n_memory; i++) {
		const struct vfio_user_client_memory *m = &c->memory[i];
		uint64_t offset = address - m->iova;

		if (offset < m->r.size && len <= m->r.size - offset)
			return (uint8_t *)m->r.host + offset;
	}
	return NULL;
}

/* Body in, body out: its new size, or -errno. */
static int64_t serve_dma(struct vfio_user_client *c, bool read, uint8_t *body, uint32_t size)
{
	struct vfio_user_dma_access a;
	uint8_t *at;
	int64_t rc = -EINVAL;

	if (size < HEAD)
		return rc;
	memcpy(&a, body, HEAD);
	if (a.count > VFIO_USER_TRANSFER_MAX || size != HEAD + (read ? 0 : a.count))
		return rc;
	pthread_mutex_lock(&c->serve.lock);
	at = serve_find(c, a.address, a.count);
	if (!at)
		rc = -EFAULT;
	else if (read)
		shared_copy_from(body + HEAD, at, a.count);
	else
		shared_copy_to(at, body + HEAD, a.count);
	if (at)
		rc = HEAD + (read ? (int64_t)a.count : 0);
	count_add(read ? &c->serve.reads : &c->serve.writes, 1);
	pthread_mutex_unlock(&c->serve.lock);
	return rc;
}

/* @message: a header, and behind it the body. */
static int serve_command(struct vfio_user_client *c, uint8_t *message)
{
	struct vfio_user_header h;
	uint8_t *body = message + HEADER;
	int64_t n = -ENOTSUP;
	int rc;

	memcpy(&h, message, HEADER);
	if (h.command == VFIO_USER_DMA_READ || h.command == VFIO_USER_DMA_WRITE)
		n = serve_dma(c, h.command == VFIO_USER_DMA_READ, body, h.size - HEADER);
	if (h.flags & VFIO_USER_NO_REPLY)
		return 0;
	h.flags = VFIO_USER_TYPE_REPLY | (n < 0 ? VFIO_USER_ERROR : 0);
	h.error = n < 0 ? (uint32_t)-n : 0;
	h.size = HEADER + (n < 0 ? 0 : (uint32_t)n);
	memcpy(message, &h, HEADER);
	pthread_mutex_lock(&c->serve.send);
	rc = sock_send(c->fd, message, h.size, NULL, 0, clock_ns() + c->timeout_ms * NSEC_PER_MSEC);
	pthread_mutex_unlock(&c->serve.send);
	return rc;
}

/* ---- the thread ---- */

static int serve_answer(struct vfio_user_serve *s, const uint8_t *message, struct sock_fds *take)
{
	int rc = -EPROTO;

	pthread_mutex_lock(&s->lock);
	memcpy(&s->header, message, HEADER);
	/* One command is under way at a time. */
	if (!s->here && s->header.size - HEADER <= VFIO_USER_REPLY_MAX) {
		memcpy(s->body, message + HEADER, s->header.size - HEADER);
		memcpy(s->fds, take->fds, take->n * sizeof(s->fds[0]));
		s->n_fds = take->n;
		take->n = 0;
		s->here = true;
		pthread_cond_signal(&s->came);
		rc = 0;
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static int serve_message(struct vfio_user_client *c, uint8_t *message)
{
	int fds[VFIO_USER_FDS_MAX];
	struct sock_fds take = {.fds = fds, .max = VFIO_USER_FDS_MAX};
	struct vfio_user_header h;
	int rc = sock_recv(c->fd, message, HEADER, &take, FOR_EVER);

	if (!rc) {
		memcpy(&h, message, HEADER);
		if (h.size < HEADER || h.size - HEADER > BODY_MAX)
			rc = -EPROTO;
		else if (h.size > HEADER)
			rc = sock_recv(c->fd, message + HEADER, h.size - HEADER, &take, FOR_EVER);
		if (rc)
			;
		else if ((h.flags & VFIO_USER_TYPE_MASK) == VFIO_USER_TYPE_REPLY)
			rc = serve_answer(&c->serve, message, &take);
		else
			rc = serve_command(c, message);
	}
	for (unsigned i = 0; i < take.n; i++)
		close(fds[i]);
	return rc;
}

static void *serve_run(void *arg)
{
	struct vfio_user_client *c = arg;
	struct vfio_user_serve *s = &c->serve;
	uint8_t *message = malloc(HEADER + BODY_MAX);

	while (message && !serve_message(c, message))
		;
	free(message);
	write_once(&c->dead, true);
	shutdown(c->fd, SHUT_RDWR);
	pthread_mutex_lock(&s->lock);
	s->over = true;
	pthread_cond_signal(&s->came);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* ---- who waits for an answer ---- */

int vfio_user_serve_wait(struct vfio_user_serve *s, struct vfio_user_header *h, uint8_t *body,
			 struct sock_fds *take, uint64_t until)
{
	const struct timespec t = {(time_t)(until / NSEC_PER_SEC), (long)(until % NSEC_PER_SEC)};
	unsigned kept = 0;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	while (!s->here && !s->over && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&s->came, &s->lock, &t);
	if (!s->here) {
		pthread_mutex_unlock(&s->lock);
		return rc == ETIMEDOUT ? -ETIMEDOUT : -ENOTCONN;
	}
	*h = s->header;
	memcpy(body, s->body, h->size - HEADER);
	for (; take && kept < s->n_fds && take->n < take->max; kept++)
		take->fds[take->n++] = s->fds[kept];
	for (; kept < s->n_fds; kept++)
		close(s->fds[kept]);
	s->n_fds = 0;
	s->here = false;
	pthread_mutex_unlock(&s->lock);
	return 0;
}

/* ---- life ---- */

int vfio_user_serve_start(struct vfio_user_client *c, struct error *err)
{
	int rc;

	c->serve.here = c->serve.over = false;
	rc = thread_start(&c->serve.thread, serve_run, c);
	if (rc)
		return error_set(err, rc, "no thread to serve memory by messages");
	c->serve.runs = true;
	return 0;
}

void vfio_user_serve_stop(struct vfio_user_client *c)
{
	struct vfio_user_serve *s = &c->serve;

	if (!s->runs)
		return;
	pthread_join(s->thread, NULL);
	s->runs = false;
	while (s->n_fds)
		close(s->fds[--s->n_fds]);
	s->here = false;
}

void vfio_user_serve_init(struct vfio_user_serve *s)
{
	pthread_condattr_t attr;

	*s = (struct vfio_user_serve){0};
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&s->send, NULL);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->came, &attr);
	pthread_condattr_destroy(&attr);
}

void vfio_user_serve_fini(struct vfio_user_serve *s)
{
	pthread_cond_destroy(&s->came);
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->send);
}
