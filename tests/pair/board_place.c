/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "board_place.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct place *place_of(struct vpci_platform *p)
{
	return container_of(p, struct place, base);
}

static int vector(struct vpci_platform *p, uint16_t v, int call_fd, uint64_t *address,
		  uint32_t *data)
{
	place_of(p)->rig.below.call_fds[v] = call_fd < 0 ? place_of(p)->config_fd : call_fd;
	*address = BR_MSI;
	*data = v;
	return 0;
}

static int map(struct vpci_platform *p, const struct dma_region *r, struct error *err)
{
	struct board_rig *rig = &place_of(p)->rig;
	struct gmem *more;
	int rc = gmem_with_host(rig->board->mem, (uintptr_t)r->host + place_of(p)->shift, r->size,
				0, r->host, &more, err);

	if (rc)
		return rc;
	virtio_pci_set_mem(rig->board, more, NULL);
	gmem_put(more);
	return 0;
}

static int unmap(struct vpci_platform *p, const struct dma_region *r, struct error *err)
{
	struct board_rig *rig = &place_of(p)->rig;
	struct gmem *less;
	int rc = gmem_without(rig->board->mem, (uintptr_t)r->host + place_of(p)->shift, r->size, 0,
			      &less);

	if (rc)
		return error_set(err, rc, "not mapped");
	virtio_pci_set_mem(rig->board, less, NULL);
	gmem_put(less);
	return 0;
}

/* A legacy board knows no page beyond 44 bits: memory is there under a second, lower address. */
static uint64_t low_address(struct vpci_platform *p, const void *host)
{
	(void)p;
	return (uintptr_t)host & (BIT64(43) - 1);
}

static int map_low_too(struct vpci_platform *p, const struct dma_region *r, struct error *err)
{
	struct board_rig *rig = &place_of(p)->rig;
	struct gmem *more;
	int rc = map(p, r, err);

	if (rc)
		return rc;
	rc = gmem_with_host(rig->board->mem, low_address(p, r->host), r->size, 0, r->host, &more,
			    err);
	if (rc)
		return rc;
	virtio_pci_set_mem(rig->board, more, NULL);
	gmem_put(more);
	return 0;
}

static int event_fd(const struct vpci_platform *p)
{
	return container_of(p, const struct place, base)->config_fd;
}

static bool changed(struct vpci_platform *p)
{
	eventfd_t n;

	return !eventfd_read(place_of(p)->config_fd, &n);
}

static void destroy(struct vpci_platform *p)
{
	place_of(p)->destroyed = true;
}

static uint64_t address(struct vpci_platform *p, const void *host)
{
	return (uintptr_t)host + place_of(p)->shift;
}

static bool going(const struct vpci_platform *p)
{
	return container_of(p, const struct place, base)->going;
}

static int recover(struct vpci_platform *p, struct error *err)
{
	(void)err;
	place_of(p)->recovered++;
	return 0;
}

const struct vpci_platform_ops place_shifted_ops = {
	.vector = vector,
	.address = address,
	.map = map,
	.unmap = unmap,
	.going = going,
	.recover = recover,
	.event_fd = event_fd,
	.changed = changed,
	.destroy = destroy,
};
const struct vpci_platform_ops place_ops = {
	.vector = vector,
	.map = map,
	.unmap = unmap,
	.event_fd = event_fd,
	.changed = changed,
	.destroy = destroy,
};
const struct vpci_platform_ops place_legacy_ops = {
	.vector = vector,
	.address = low_address,
	.map = map_low_too,
	.unmap = unmap,
	.event_fd = event_fd,
	.changed = changed,
	.destroy = destroy,
};
const struct vpci_platform_ops place_polling_ops = {.map = map, .unmap = unmap, .destroy = destroy};

void place_init(struct place *p, const struct br_options *o, const struct vpci_platform_ops *ops)
{
	struct error err;

	memset(p, 0, sizeof(*p));
	p->base.ops = ops;
	p->base.how = ops == &place_legacy_ops ? VPCI_LEGACY : VPCI_ANY;
	/* Below, so that an address of ours is none of the board's. */
	p->shift = ops == &place_shifted_ops ? -(UINT64_C(1) << 44) : 0;
	p->config_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	br_init(&p->rig, o);
	br_find(&p->rig, VPCI_ANY);
	p->rig.busy = true;
	assert_int_equal(vpci_transport_init(&p->t, &p->rig.dev, &p->base, &err), 0);
}

void place_fini(struct place *p)
{
	assert_true(p->destroyed);
	memset(p->rig.below.call_fds, 0, sizeof(p->rig.below.call_fds));
	br_fini(&p->rig);
	close(p->config_fd);
}
