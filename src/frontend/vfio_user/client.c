/* SPDX-License-Identifier: MIT */
#include "frontend/vfio_user/client.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "base/clock.h"
#include "base/evsignal.h"
#include "base/sock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define HEADER ((uint32_t)sizeof(struct vfio_user_header))

/* What the legacy interface can say: a page number of 32 bits. */
#define ADDRESS_LAST ((UINT64_C(1) << 44) - 1)

/* Bytes of one access (pci_access_ops). */
#define ACCESS_MAX 4u

#define REPLY_MAX  VFIO_USER_REPLY_MAX

/* ---- messages; the lock is held ---- */

static uint64_t deadline(const struct vfio_user_client *c)
{
	return clock_ns() + c->timeout_ms * NSEC_PER_MSEC;
}

static int client_lost(struct vfio_user_client *c, int rc)
{
	write_once(&c->dead, true);
	if (c->fd >= 0)
		shutdown(c->fd, SHUT_RDWR);
	return rc;
}

static int client_say(struct vfio_user_client *c, uint16_t command, uint32_t flags,
		      const struct iovec *body, unsigned n, const int *fds, unsigned n_fds,
		      uint64_t until)
{
	uint8_t m[HEADER + REPLY_MAX];
	struct vfio_user_header h = {
		.id = ++c->id, .command = command, .size = HEADER, .flags = flags};
	int rc;

	for (unsigned i = 0; i < n; i++) {
		if (body[i].iov_len > sizeof(m) - h.size)
			return -EMSGSIZE;
		if (body[i].iov_len)
			memcpy(m + h.size, body[i].iov_base, body[i].iov_len);
		h.size += (uint32_t)body[i].iov_len;
	}
	memcpy(m, &h, sizeof(h));
	if (!c->by_messages)
		return sock_send(c->fd, m, h.size, fds, n_fds, until);
	pthread_mutex_lock(&c->serve.send);
	rc = sock_send(c->fd, m, h.size, fds, n_fds, until);
	pthread_mutex_unlock(&c->serve.send);
	return rc;
}

/* The answer to the last command.  @take: fds that come along. */
static int client_hear(struct vfio_user_client *c, uint16_t command, void *reply, uint32_t *size,
		       struct sock_fds *take, uint64_t until)
{
	uint8_t body[REPLY_MAX];
	struct vfio_user_header h;
	uint32_t got;
	int rc = c->by_messages ? vfio_user_serve_wait(&c->serve, &h, body, take, until)
				: sock_recv(c->fd, &h, sizeof(h), take, until);

	if (rc)
		return rc;
	if (h.id != c->id || h.command != command || h.size < HEADER ||
	    h.size - HEADER > sizeof(body) ||
	    (h.flags & VFIO_USER_TYPE_MASK) != VFIO_USER_TYPE_REPLY)
		return -EPROTO;
	got = h.size - HEADER;
	if (!c->by_messages)
		rc = sock_recv(c->fd, body, got, take, until);
	if (rc)
		return rc;
	if (h.flags & VFIO_USER_ERROR) {
		*size = 0;
		return h.error && h.error < 4096 ? (int)h.error : EIO;
	}
	if (got < *size)
		*size = got;
	if (*size)
		memcpy(reply, body, *size);
	return 0;
}

/* 0; the server's errno, above 0; or -errno: the connection is dead. */
static int client_talk(struct vfio_user_client *c, uint16_t command, const struct iovec *body,
		       unsigned n, const int *fds, unsigned n_fds, void *reply, uint32_t *size,
		       struct sock_fds *take)
{
	uint64_t until = deadline(c);
	int rc;

	if (read_once(&c->dead))
		return -ENOTCONN;
	rc = client_say(c, command, VFIO_USER_TYPE_COMMAND, body, n, fds, n_fds, until);
	if (!rc)
		rc = client_hear(c, command, reply, size, take, until);
	return rc < 0 ? client_lost(c, rc) : rc;
}

int vfio_user_client_ask(struct vfio_user_client *c, uint16_t command, const void *body,
			 uint32_t size, const int *fds, unsigned n_fds, void *reply,
			 uint32_t *reply_size)
{
	const struct iovec iov = {(void *)(uintptr_t)body, size};
	int rc;

	pthread_mutex_lock(&c->lock);
	rc = client_talk(c, command, &iov, 1, fds, n_fds, reply, reply_size, NULL);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

/* A command whose answer has exactly @want bytes, or none that matter; as -errno. */
static int client_do(struct vfio_user_client *c, uint16_t command, const void *body, uint32_t size,
		     const int *fds, unsigned n_fds, void *reply, uint32_t want)
{
	uint32_t got = want;
	int rc = vfio_user_client_ask(c, command, body, size, fds, n_fds, reply, &got);

	if (!rc && got < want)
		rc = client_lost(c, -EPROTO);
	return rc > 0 ? -rc : rc;
}

/* ---- accesses ---- */

static struct vfio_user_client *of(struct pci_access *a)
{
	return container_of(a, struct vfio_user_client, access);
}

static uint32_t region_read(struct vfio_user_client *c, uint32_t region, uint64_t offset,
			    unsigned size)
{
	struct vfio_user_access a = {.offset = offset, .region = region, .count = size};
	struct {
		struct vfio_user_access a;
		uint8_t data[ACCESS_MAX];
	} reply;
	uint32_t value = 0;

	if (client_do(c, VFIO_USER_REGION_READ, &a, sizeof(a), NULL, 0, &reply,
		      (uint32_t)sizeof(a) + size) ||
	    reply.a.count != size)
		return UINT32_MAX >> (32 - 8 * size);
	for (unsigned i = 0; i < size && i < ACCESS_MAX; i++)
		value |= (uint32_t)reply.data[i] << 8 * i;
	return value;
}

static void region_write(struct vfio_user_client *c, uint32_t region, uint64_t offset,
			 uint32_t value, unsigned size)
{
	struct {
		struct vfio_user_access a;
		uint8_t data[ACCESS_MAX];
	} m = {.a = {.offset = offset, .region = region, .count = size}};

	for (unsigned i = 0; i < size && i < ACCESS_MAX; i++)
		m.data[i] = (uint8_t)(value >> 8 * i);
	(void)client_do(c, VFIO_USER_REGION_WRITE, &m, (uint32_t)sizeof(m.a) + size, NULL, 0, NULL,
			0);
}

/* Nobody waits until it is done. */
static void region_post(struct vfio_user_client *c, uint32_t region, uint64_t offset,
			uint32_t value, unsigned size)
{
	struct vfio_user_access a = {.offset = offset, .region = region, .count = size};
	uint8_t data[ACCESS_MAX] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
				    (uint8_t)(value >> 24)};
	const struct iovec body[2] = {{&a, sizeof(a)}, {data, size}};
	int rc;

	pthread_mutex_lock(&c->lock);
	if (!read_once(&c->dead)) {
		rc = client_say(c, VFIO_USER_REGION_WRITE, VFIO_USER_NO_REPLY, body, 2, NULL, 0,
				deadline(c));
		if (rc)
			client_lost(c, rc);
	}
	pthread_mutex_unlock(&c->lock);
}

static uint32_t config_read(struct pci_access *a, unsigned bdf, unsigned offset, unsigned size)
{
	if (bdf)
		return UINT32_MAX;
	return region_read(of(a), VFIO_USER_REGION_CONFIG, offset, size);
}

static void config_write(struct pci_access *a, unsigned bdf, unsigned offset, uint32_t value,
			 unsigned size)
{
	struct vfio_user_client *c = of(a);
	uint32_t place;

	if (bdf)
		return;
	region_write(c, VFIO_USER_REGION_CONFIG, offset, value, size);
	if (offset < PCI_BAR0 || offset >= PCI_BAR0 + 4 * PCI_BARS)
		return;
	/*
	 * Accesses are decoded here, and sent by the BAR's number.  What is read from nobody is no
	 * place: the one before is told to whoever comes next (redial).
	 */
	place = region_read(c, VFIO_USER_REGION_CONFIG, offset & ~3u, 4);
	if (!read_once(&c->dead))
		c->bars[(offset - PCI_BAR0) / 4] = place;
}

/* Which BAR has @address; -1: none. */
static int decode(const struct vfio_user_client *c, bool io, uint64_t address, uint64_t *offset)
{
	for (unsigned i = 0; i < PCI_BARS; i++) {
		uint32_t low = c->bars[i];
		uint64_t base = low & (low & PCI_BAR_IO ? ~UINT64_C(3) : ~UINT64_C(15));

		if (!c->sizes[i] || !(low & PCI_BAR_IO) == io)
			continue;
		if (!io && low & PCI_BAR_64 && i + 1 < PCI_BARS)
			base |= (uint64_t)c->bars[i + 1] << 32;
		if (address >= base && address - base < c->sizes[i]) {
			*offset = address - base;
			return (int)i;
		}
	}
	return -1;
}

static uint32_t bar_read(struct pci_access *a, bool io, uint64_t address, unsigned size)
{
	struct vfio_user_client *c = of(a);
	uint64_t offset;
	int bar = decode(c, io, address, &offset);

	if (bar < 0)
		return UINT32_MAX >> (32 - 8 * size);
	return region_read(c, (uint32_t)bar, offset, size);
}

static const struct vfio_user_client_kick *kick_for(const struct vfio_user_client *c,
						    uint32_t region, uint64_t offset,
						    uint32_t value, unsigned size)
{
	for (unsigned i = 0; i < c->n_kicks; i++) {
		const struct vfio_user_client_kick *k = &c->kicks[i];

		if (k->region == region && k->offset == offset && (!k->size || k->size == size) &&
		    (!k->match || k->value == value))
			return k;
	}
	return NULL;
}

static void bar_write(struct pci_access *a, bool io, uint64_t address, uint32_t value,
		      unsigned size)
{
	struct vfio_user_client *c = of(a);
	const struct vfio_user_client_kick *kick;
	uint64_t offset;
	int bar = decode(c, io, address, &offset);

	if (bar < 0)
		return;
	kick = kick_for(c, (uint32_t)bar, offset, value, size);
	if (kick)
		(void)eventfd_write(kick->fd, 1);
	else if ((uint32_t)bar == c->notify.region && offset - c->notify.offset < c->notify.size)
		region_post(c, (uint32_t)bar, offset, value, size);
	else
		region_write(c, (uint32_t)bar, offset, value, size);
}

static const struct pci_access_ops access_ops = {
	.config_read = config_read,
	.config_write = config_write,
	.read = bar_read,
	.write = bar_write,
};

/* ---- kicks ---- */

void vfio_user_client_drop_kicks(struct vfio_user_client *c)
{
	while (c->n_kicks)
		close(c->kicks[--c->n_kicks].fd);
	c->notify.size = 0;
}

void vfio_user_client_ask_kicks(struct vfio_user_client *c,
				const struct vfio_user_client_place *where)
{
	const uint32_t region = where->region;
	struct {
		struct vfio_user_io_fds head;
		struct vfio_user_io_fd fd[VFIO_USER_FDS_MAX];
	} reply;
	struct vfio_user_io_fds ask = {.argsz = sizeof(reply), .index = region};
	const struct iovec body = {&ask, sizeof(ask)};
	int fds[VFIO_USER_FDS_MAX];
	struct sock_fds take = {.fds = fds, .max = VFIO_USER_FDS_MAX};
	uint32_t got = sizeof(reply), n = 0;
	int rc;

	vfio_user_client_drop_kicks(c);
	c->notify = *where;
	pthread_mutex_lock(&c->lock);
	rc = client_talk(c, VFIO_USER_DEVICE_GET_REGION_IO_FDS, &body, 1, NULL, 0, &reply, &got,
			 &take);
	pthread_mutex_unlock(&c->lock);
	if (!rc && got >= sizeof(reply.head))
		n = (uint32_t)((got - sizeof(reply.head)) / sizeof(reply.fd[0]));
	for (uint32_t i = 0; i < n; i++) {
		const struct vfio_user_io_fd *f = &reply.fd[i];
		int fd;

		/* Of another file a kick could make us wait; it is a message then. */
		if (f->type != VFIO_USER_IO_FD_IOEVENTFD || f->fd_index >= take.n ||
		    fd_is_eventfd(fds[f->fd_index]) != 1)
			continue;
		fd = dup(fds[f->fd_index]);
		if (fd < 0)
			continue;
		c->kicks[c->n_kicks++] = (struct vfio_user_client_kick){
			.region = region,
			.offset = f->offset,
			.size = f->size,
			.match = f->flags & VFIO_USER_IO_FD_DATAMATCH,
			.value = f->datamatch,
			.fd = fd,
		};
	}
	for (unsigned i = 0; i < take.n; i++)
		close(fds[i]);
}

/* ---- memory, interrupts ---- */

static int send_map(struct vfio_user_client *c, const struct vfio_user_client_memory *memory,
		    struct error *err)
{
	const struct dma_region *r = &memory->r;
	struct vfio_user_dma_map m = {
		.argsz = sizeof(m),
		.flags = VFIO_USER_DMA_READABLE | VFIO_USER_DMA_WRITABLE,
		.offset = r->offset,
		.iova = memory->iova,
		.size = r->size,
	};
	int rc = client_do(c, VFIO_USER_DMA_MAP, &m, sizeof(m), &r->fd,
			   r->fd >= 0 && !c->by_messages, NULL, 0);

	return rc ? error_set(err, rc, "the server does not take %llu KiB of memory",
			      (unsigned long long)r->size / 1024)
		  : 0;
}

static void table_resize(struct vfio_user_client *c, unsigned n)
{
	pthread_mutex_lock(&c->serve.lock);
	c->n_memory = n;
	pthread_mutex_unlock(&c->serve.lock);
}

int vfio_user_client_map(struct vfio_user_client *c, const struct dma_region *r, struct error *err)
{
	struct vfio_user_client_memory *memory = &c->memory[c->n_memory];
	int rc;

	if (r->fd < 0)
		return error_set(err, -EINVAL, "memory for a vfio-user server needs an fd.");
	if (c->n_memory == VFIO_USER_MEMORY_MAX)
		return error_set(err, -ENOSPC, "the server is given too many pieces of memory.");
	rc = iova_take(&c->space, r->size, &memory->iova);
	if (rc)
		return error_set(err, rc, "memory is not in whole pages, or too much.");
	memory->r = *r;
	/* The server may ask for it before it says that it is mapped. */
	table_resize(c, c->n_memory + 1);
	rc = send_map(c, memory, err);
	if (rc) {
		table_resize(c, c->n_memory - 1);
		iova_give(&c->space, memory->iova);
	}
	return rc;
}

uint64_t vfio_user_client_address(const struct vfio_user_client *c, const void *host)
{
	for (unsigned i = 0; i < c->n_memory; i++) {
		const struct vfio_user_client_memory *m = &c->memory[i];
		uint64_t offset = (uintptr_t)host - (uintptr_t)m->r.host;

		if (offset < m->r.size)
			return m->iova + offset;
	}
	return 0;
}

int vfio_user_client_unmap(struct vfio_user_client *c, const struct dma_region *r,
			   struct error *err)
{
	struct vfio_user_dma_unmap m = {.argsz = sizeof(m), .size = r->size};
	unsigned i = 0;
	int rc;

	while (i < c->n_memory && c->memory[i].r.host != r->host)
		i++;
	if (i == c->n_memory)
		return error_set(err, -ENOENT, "this memory is not mapped.");
	m.iova = c->memory[i].iova;
	rc = client_do(c, VFIO_USER_DMA_UNMAP, &m, sizeof(m), NULL, 0, NULL, 0);
	/* A server that is gone has let go of it. */
	if (rc && !read_once(&c->dead))
		return error_set(err, rc, "the server does not give memory back");
	iova_give(&c->space, m.iova);
	pthread_mutex_lock(&c->serve.lock);
	c->memory[i] = c->memory[--c->n_memory];
	pthread_mutex_unlock(&c->serve.lock);
	return 0;
}

static int set_irq(struct vfio_user_client *c, uint32_t index, uint32_t start, int fd)
{
	struct vfio_user_irq_set set = {
		.argsz = sizeof(set),
		.flags = VFIO_USER_IRQ_DATA_FD | VFIO_USER_IRQ_ACTION_TRIGGER,
		.index = index,
		.start = start,
		.count = 1,
	};

	return client_do(c, VFIO_USER_DEVICE_SET_IRQS, &set, sizeof(set), &fd, fd >= 0, NULL, 0);
}

int vfio_user_client_vector(struct vfio_user_client *c, uint32_t index, int fd)
{
	return index < c->vectors ? set_irq(c, VFIO_USER_IRQ_MSIX, index, fd) : -EINVAL;
}

int vfio_user_client_pin(struct vfio_user_client *c, int fd)
{
	return set_irq(c, VFIO_USER_IRQ_INTX, 0, fd);
}

int vfio_user_client_reset(struct vfio_user_client *c, struct error *err)
{
	int rc = c->resets ? client_do(c, VFIO_USER_DEVICE_RESET, NULL, 0, NULL, 0, NULL, 0)
			   : -ENOTSUP;

	return rc ? error_set(err, rc, "the device cannot be reset") : 0;
}

bool vfio_user_client_alive(const struct vfio_user_client *c)
{
	struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};

	if (read_once(&c->dead))
		return false;
	return poll(&p, 1, 0) <= 0 || !(p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL));
}

/* ---- opening ---- */

static int client_dial(struct vfio_user_client *c, struct error *err)
{
	int fd = sock_dial(&c->address, c->timeout_ms, err);

	if (fd < 0)
		return fd;
	c->fd = fd;
	write_once(&c->dead, false);
	return c->by_messages ? vfio_user_serve_start(c, err) : 0;
}

static int client_versions(struct vfio_user_client *c, struct error *err)
{
	struct {
		struct vfio_user_version v;
		char text[REPLY_MAX - sizeof(struct vfio_user_version)];
	} m = {.v = {VFIO_USER_MAJOR, VFIO_USER_MINOR}};
	uint32_t got = sizeof(m);
	int n = snprintf(m.text, sizeof(m.text),
			 "{\"capabilities\":{\"max_msg_fds\":%u,\"max_data_xfer_size\":%u,"
			 "\"pgsizes\":4096,\"max_dma_maps\":%u,\"migration\":{\"pgsize\":4096}}}",
			 VFIO_USER_FDS_MAX, VFIO_USER_TRANSFER_MAX, VFIO_USER_MEMORY_MAX);
	int rc = vfio_user_client_ask(c, VFIO_USER_VERSION, &m,
				      (uint32_t)sizeof(m.v) + (uint32_t)n + 1, NULL, 0, &m, &got);

	if (!rc && (got < sizeof(m.v) || m.v.major != VFIO_USER_MAJOR))
		rc = EPROTO;
	if (rc == -ENOTCONN)
		return error_set(
			err, rc,
			"the server hung up when it was asked for its version; a server of "
			"vhost-user does so.");
	if (rc < 0)
		return error_set(err, rc, "the server does not tell its version");
	return rc ? error_set(err, -rc, "the server does not agree on a version") : 0;
}

static int client_look(struct vfio_user_client *c, struct error *err)
{
	struct vfio_user_device_info info = {.argsz = sizeof(info)};
	struct vfio_user_irq_info irq = {.argsz = sizeof(irq), .index = VFIO_USER_IRQ_MSIX};
	int rc;

	rc = client_do(c, VFIO_USER_DEVICE_GET_INFO, &info, sizeof(info), NULL, 0, &info,
		       sizeof(info));
	if (!rc &&
	    (!(info.flags & VFIO_USER_DEVICE_PCI) || info.regions <= VFIO_USER_REGION_CONFIG))
		return error_set(err, -EPROTO, "what the server offers is no PCI device.");
	c->resets = info.flags & VFIO_USER_DEVICE_RESETS;
	for (uint32_t i = 0; !rc && i <= VFIO_USER_REGION_CONFIG; i++) {
		struct vfio_user_region_info r = {.argsz = sizeof(r), .index = i};

		rc = client_do(c, VFIO_USER_DEVICE_GET_REGION_INFO, &r, sizeof(r), NULL, 0, &r,
			       sizeof(r));
		c->sizes[i] = r.size;
	}
	if (!rc)
		rc = client_do(c, VFIO_USER_DEVICE_GET_IRQ_INFO, &irq, sizeof(irq), NULL, 0, &irq,
			       sizeof(irq));
	c->vectors = irq.count > PCI_MSIX_VECTORS_MAX ? PCI_MSIX_VECTORS_MAX : irq.count;
	return rc ? error_set(err, rc, "the server does not describe its device") : 0;
}

int vfio_user_client_open(struct vfio_user_client *c, const char *path, uint32_t timeout_ms,
			  bool by_messages, struct error *err)
{
	int rc;

	*c = (struct vfio_user_client){
		.access = {&access_ops},
		.fd = -1,
		.timeout_ms = timeout_ms,
		.by_messages = by_messages,
		.dead = true,
	};
	vfio_user_serve_init(&c->serve);
	pthread_mutex_init(&c->lock, NULL);
	iova_init(&c->space, 4096);
	iova_allow(&c->space, 0, ADDRESS_LAST);
	rc = sock_address(&c->address, path, err);
	if (!rc)
		rc = client_dial(c, err);
	if (!rc)
		rc = client_versions(c, err);
	return rc ? rc : client_look(c, err);
}

static void client_hang_up(struct vfio_user_client *c)
{
	write_once(&c->dead, true);
	if (c->fd >= 0 && c->serve.runs) {
		shutdown(c->fd, SHUT_RDWR);
		vfio_user_serve_stop(c);
	}
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	vfio_user_client_drop_kicks(c);
}

void vfio_user_client_close(struct vfio_user_client *c)
{
	client_hang_up(c);
	vfio_user_serve_fini(&c->serve);
	pthread_mutex_destroy(&c->lock);
}

int vfio_user_client_redial(struct vfio_user_client *c, struct error *err)
{
	uint32_t bars[PCI_BARS];
	int rc;

	memcpy(bars, c->bars, sizeof(bars));
	client_hang_up(c);
	rc = client_dial(c, err);
	if (!rc)
		rc = client_versions(c, err);
	if (!rc)
		rc = client_look(c, err);
	for (unsigned i = 0; !rc && i < c->n_memory; i++)
		rc = send_map(c, &c->memory[i], err);
	for (unsigned i = 0; !rc && i < PCI_BARS; i++)
		config_write(&c->access, 0, PCI_BAR0 + 4 * i, bars[i], 4);
	if (!rc && read_once(&c->dead))
		rc = error_set(err, -ENOTCONN, "the server has gone again.");
	if (rc) {
		client_lost(c, rc);
		memcpy(c->bars, bars, sizeof(bars));
	}
	return rc;
}
