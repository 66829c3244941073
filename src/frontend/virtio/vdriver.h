/* SPDX-License-Identifier: MIT */
/*
 * The virtio bus from the driver's side: one device, its status, features, configuration and the
 * memory it may reach (virtio 1.4, 2.1 to 2.5, 3.1).
 *
 *	reset -> ACKNOWLEDGE -> DRIVER -> FEATURES_OK -> DRIVER_OK <-> SUSPEND
 *	            \_____________\___________\______________\____ -> FAILED -> reset
 *
 * A legacy device knows no FEATURES_OK: what was accepted holds from then on.
 *
 * Invariants: a status bit is never cleared but by reset; nothing is accepted that was not offered
 * or is not known to the caller; once FAILED only a reset goes on.
 *
 * Threads: the disk's; vdriver_mem_has() any.
 */
#ifndef FRONTEND_VIRTIO_VDRIVER_H
#define FRONTEND_VIRTIO_VDRIVER_H

#include "base/atomic.h"
#include "base/bits.h"
#include "frontend/virtio/transport.h"
#include "wire/virtio.h"

#define VDRIVER_REGIONS_MAX 64

struct vdriver {
	struct transport *t;
	uint8_t status; /* as last written */
	bool agreed;	/* features are settled until the next reset */
	uint64_t offered, features;
	bool shifts; /* the device has addresses of its own for our memory */
	struct dma_region regions[VDRIVER_REGIONS_MAX];
};

void vdriver_init(struct vdriver *v, struct transport *t);
/* Frees the memory that is ours. The device must have been reset or disconnected. */
void vdriver_fini(struct vdriver *v);

static inline bool vdriver_has(const struct vdriver *v, unsigned bit)
{
	return v->features >> bit & 1;
}
static inline bool vdriver_offers(const struct vdriver *v, unsigned bit)
{
	return v->offered >> bit & 1;
}

/* The device is not there any more, or is a new one: nothing is settled. */
void vdriver_lost(struct vdriver *v);
/* Returns once the status reads 0; -ETIMEDOUT when it does not. */
int vdriver_reset(struct vdriver *v, struct error *err);
/* Reset, ACKNOWLEDGE, DRIVER; reads what is offered. */
int vdriver_begin(struct vdriver *v, struct error *err);
/*
 * Accepts of what is offered and the transport can carry the bits of @want, tells the device and
 * has it confirm.  -ENOTSUP: a bit of @must or, but for a legacy device, VERSION_1 is missing, or
 * the device refused; the device is FAILED then.
 */
int vdriver_negotiate(struct vdriver *v, uint64_t want, uint64_t must, struct error *err);
int vdriver_ok(struct vdriver *v, struct error *err);
/* Gives up on the device: FAILED. Does not fail itself. */
void vdriver_fail(struct vdriver *v);
bool vdriver_needs_reset(struct vdriver *v);

/* With SUSPEND accepted. After vdriver_suspend() nothing may be added, kicked or configured. */
int vdriver_suspend(struct vdriver *v, struct error *err);
int vdriver_resume(struct vdriver *v, struct error *err);

/* Reads what belongs together; called again until no change came in between. */
typedef int vdriver_config_fn(struct vdriver *v, void *opaque, struct error *err);
int vdriver_config(struct vdriver *v, vdriver_config_fn *read, void *opaque, struct error *err);
/* One field, at most 4 bytes at a time. */
int vdriver_config_field(struct vdriver *v, uint32_t offset, void *field, uint32_t len,
			 struct error *err);

int vdriver_mem_alloc(struct vdriver *v, size_t size, void **memory, struct error *err);
int vdriver_mem_register(struct vdriver *v, const struct dma_region *r, struct error *err);
int vdriver_mem_remove(struct vdriver *v, void *memory, struct error *err);

/* Whether the device can reach all of it. Never false while it can; the last hit is @hint. */
static inline bool vdriver_mem_has(const struct vdriver *v, const void *p, uint64_t len,
				   unsigned *hint)
{
	uintptr_t a = (uintptr_t)p;

	for (unsigned n = 0, i = *hint; n < VDRIVER_REGIONS_MAX; n++) {
		const struct dma_region *r = &v->regions[i];
		/* Acquire: pairs with the release of the thread that added the region. */
		size_t size = load_acquire(&r->size);
		uintptr_t at = a - (uintptr_t)read_once(&r->host);

		if (likely(at < size && len <= size - at)) {
			*hint = i;
			return true;
		}
		i = i + 1 == VDRIVER_REGIONS_MAX ? 0 : i + 1;
	}
	return false;
}

/*
 * The address under which the device knows a byte that it can reach; what it
 * cannot is left as it is.
 */
static inline uint64_t vdriver_address(const struct vdriver *v, const void *p, unsigned *hint)
{
	uint64_t a = (uintptr_t)p;

	if (likely(!v->shifts) || !vdriver_mem_has(v, p, 1, hint))
		return a;
	return a + v->regions[*hint].shift;
}

#endif
