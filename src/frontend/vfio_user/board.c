/* SPDX-License-Identifier: MIT */
#include "frontend/vfio_user/board.h"

#include "base/bits.h"
#include "base/evsignal.h"
#include "frontend/vfio_user/client.h"
#include "frontend/virtio_pci/transport.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Where BARs are put: addresses that nobody but the client and the server looks at. */
#define PORTS_AT   0xc000u
#define PORTS_END  0x10000u
#define MEMORY_AT  0xc0000000u
#define MEMORY_END 0xe0000000u

struct vfio_user_board {
	struct vpci_platform platform;
	struct vfio_user_client client;
	struct pcidev dev;
	struct vpci_transport t;
	int config_fd; /* the configuration's interrupt        */
	int event_fd;  /* an epoll descriptor: it, the socket  */
};

static struct vfio_user_board *of(struct vpci_platform *p)
{
	return container_of(p, struct vfio_user_board, platform);
}

/* ---- the platform ---- */

static int board_vector(struct vpci_platform *p, uint16_t v, int call_fd, uint64_t *address,
			uint32_t *data)
{
	/* Vectors are known by number; the table is not used. */
	(void)address;
	(void)data;
	return vfio_user_client_vector(&of(p)->client, v, call_fd < 0 ? of(p)->config_fd : call_fd);
}

static uint64_t board_address(struct vpci_platform *p, const void *host)
{
	return vfio_user_client_address(&of(p)->client, host);
}

static int board_map(struct vpci_platform *p, const struct dma_region *r, struct error *err)
{
	return vfio_user_client_map(&of(p)->client, r, err);
}

static int board_unmap(struct vpci_platform *p, const struct dma_region *r, struct error *err)
{
	return vfio_user_client_unmap(&of(p)->client, r, err);
}

static void board_runs(struct vpci_platform *p)
{
	struct vfio_user_board *b = of(p);

	const struct vpci_area *a = &b->t.v.notify;
	struct vfio_user_client_place where = {
		.region = a->bar, .offset = a->offset, .size = a->length};

	if (b->t.v.legacy)
		where = (struct vfio_user_client_place){
			.region = VFIO_USER_REGION_BAR0,
			.offset = VIRTIO_PCI_LEGACY_QUEUE_NOTIFY,
			.size = sizeof(uint16_t),
		};
	vfio_user_client_ask_kicks(&b->client, &where);
}

static int board_event_fd(const struct vpci_platform *p)
{
	return container_of(p, const struct vfio_user_board, platform)->event_fd;
}

static bool board_changed(struct vpci_platform *p)
{
	struct vfio_user_board *b = of(p);

	if (evsignal_take(b->config_fd))
		return true;
	/* One vector only is a queue's; without any the pin would say it. */
	return b->t.v.n_vectors < 2 && vpci_isr(&b->t.v) & VIRTIO_PCI_ISR_CONFIG;
}

static bool board_going(const struct vpci_platform *p)
{
	return !vfio_user_client_alive(
		&container_of(p, const struct vfio_user_board, platform)->client);
}

static int board_hangup_fd(const struct vpci_platform *p)
{
	return container_of(p, const struct vfio_user_board, platform)->client.fd;
}

static int board_watch_socket(struct vfio_user_board *b, struct error *err)
{
	struct epoll_event e = {.events = EPOLLRDHUP};

	/* A socket that was closed has left the set by itself. */
	if (epoll_ctl(b->event_fd, EPOLL_CTL_ADD, b->client.fd, &e))
		return error_set(err, -errno, "cannot wait for the server's end");
	return 0;
}

static int board_recover(struct vpci_platform *p, struct error *err)
{
	struct vfio_user_board *b = of(p);
	int rc;

	if (vfio_user_client_alive(&b->client))
		return vfio_user_client_reset(&b->client, err);
	rc = vfio_user_client_redial(&b->client, err);
	return rc ? rc : board_watch_socket(b, err);
}

static void board_destroy(struct vpci_platform *p)
{
	struct vfio_user_board *b = of(p);

	vfio_user_client_close(&b->client);
	if (b->event_fd >= 0)
		close(b->event_fd);
	if (b->config_fd >= 0)
		close(b->config_fd);
	free(b);
}

static const struct vpci_platform_ops platform_ops = {
	.vector = board_vector,
	.address = board_address,
	.map = board_map,
	.unmap = board_unmap,
	.going = board_going,
	.hangup_fd = board_hangup_fd,
	.recover = board_recover,
	.runs = board_runs,
	.event_fd = board_event_fd,
	.changed = board_changed,
	.destroy = board_destroy,
};

struct pci_access *vfio_user_board_access(struct transport *t)
{
	return &container_of(t, struct vfio_user_board, t.base)->client.access;
}

struct vpci_platform *vfio_user_board_platform(struct transport *t)
{
	return &container_of(t, struct vfio_user_board, t.base)->platform;
}

/* ---- opening ---- */

static int make_events(struct vfio_user_board *b, struct error *err)
{
	struct epoll_event e = {.events = EPOLLIN};

	b->config_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	b->event_fd = epoll_create1(EPOLL_CLOEXEC);
	if (b->config_fd < 0 || b->event_fd < 0 ||
	    epoll_ctl(b->event_fd, EPOLL_CTL_ADD, b->config_fd, &e))
		return error_set(err, -errno, "cannot make descriptors for the device's events");
	return board_watch_socket(b, err);
}

static int make_transport(struct vfio_user_board *b, const struct vfio_user_board_options *o,
			  struct error *err)
{
	struct pcidev_window ports = {PORTS_AT, PORTS_END}, memory = {MEMORY_AT, MEMORY_END};
	int rc = pcidev_open(&b->dev, &b->client.access, 0);

	if (rc)
		return error_set(err, rc, "the server's device does not answer.");
	rc = pcidev_assign(&b->dev, &ports, &memory);
	if (rc)
		return error_set(err, rc, "the device's BARs are too large.");
	b->platform.ops = &platform_ops;
	b->platform.how = o->legacy ? VPCI_LEGACY : VPCI_ANY;
	b->platform.vectors_max = (uint16_t)min_u64(min_u64(o->queues + 1u, VPCI_QUEUES_MAX + 1u),
						    b->client.vectors);
	rc = vpci_transport_init(&b->t, &b->dev, &b->platform, err);
	if (rc)
		return rc;
	if (b->t.v.type != (o->type ? o->type : VIRTIO_ID_BLOCK))
		return error_set(err, -ENODEV,
				 "the server's device is not of the type that is wanted: it is a "
				 "virtio device of type %u.",
				 b->t.v.type);
	/* Nobody listens to the pin. */
	b->t.base.no_calls = !b->t.v.msix;
	b->t.base.regions_max = VFIO_USER_MEMORY_MAX;
	b->t.base.reset_ms = o->timeout_ms;
	return 0;
}

int vfio_user_board_open(const char *path, const struct vfio_user_board_options *o,
			 struct transport **out, struct error *err)
{
	struct vfio_user_board *b = calloc(1, sizeof(*b));
	int rc;

	if (!b)
		return error_set(err, -ENOMEM, "no memory for a vfio-user connection");
	b->config_fd = b->event_fd = -1;
	rc = vfio_user_client_open(&b->client, path, o->timeout_ms, o->dma_messages, err);
	if (!rc)
		rc = make_events(b, err);
	if (!rc)
		rc = make_transport(b, o, err);
	if (rc) {
		board_destroy(&b->platform);
		return rc;
	}
	*out = &b->t.base;
	return 0;
}
