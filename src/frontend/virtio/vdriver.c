/* SPDX-License-Identifier: MIT */
#include "frontend/virtio/vdriver.h"

#include "base/clock.h"
#include "frontend/virtio/os.h"

#include <errno.h>
#include <string.h>

/* Bits that mean the same for all device types; those beyond a transport's ability are in t->can.
 */
#define TRANSPORT_BITS ((BIT64(44) - 1) & ~(BIT64(24) - 1))

/* Generation that never stands still: how often a reader tries. */
#define CONFIG_TRIES 64

void vdriver_init(struct vdriver *v, struct transport *t)
{
	memset(v, 0, sizeof(*v));
	v->t = t;
	v->shifts = t->ops->address;
}

static void region_free(struct dma_region *r)
{
	if (r->ours)
		os_shared_free(r);
	store_release(&r->size, 0);
}

void vdriver_fini(struct vdriver *v)
{
	for (unsigned i = 0; i < VDRIVER_REGIONS_MAX; i++)
		if (v->regions[i].size)
			region_free(&v->regions[i]);
}

/* ---- status ---- */

static int set_status(struct vdriver *v, uint8_t bits, struct error *err)
{
	uint8_t now = (uint8_t)(v->status | bits);
	int rc;

	if (v->status & VIRTIO_STATUS_FAILED)
		return error_set(err, -EIO, "the device was given up; it has to be reset.");
	rc = v->t->ops->set_status(v->t, now, err);
	if (!rc)
		v->status = now;
	return rc;
}

void vdriver_fail(struct vdriver *v)
{
	struct error none;

	if (v->status && !(v->status & VIRTIO_STATUS_FAILED))
		(void)set_status(v, VIRTIO_STATUS_FAILED, &none);
	/* Even if the device did not hear it: nobody here goes on. */
	if (v->status)
		v->status |= VIRTIO_STATUS_FAILED;
}

void vdriver_lost(struct vdriver *v)
{
	v->status = 0;
	v->features = 0;
	v->agreed = false;
}

int vdriver_reset(struct vdriver *v, struct error *err)
{
	uint64_t until = clock_ns() + v->t->reset_ms * NSEC_PER_MSEC;
	uint8_t status;
	int rc;

	rc = v->t->ops->set_status(v->t, 0, err);
	if (rc)
		return rc;
	for (;;) {
		rc = v->t->ops->get_status(v->t, &status, err);
		if (rc)
			return rc;
		if (!status)
			break;
		if (clock_ns() >= until)
			return error_set(err, -ETIMEDOUT,
					 "the device does not finish its reset, its status is "
					 "0x%02x",
					 status);
		os_nap();
	}
	vdriver_lost(v);
	return 0;
}

int vdriver_begin(struct vdriver *v, struct error *err)
{
	int rc;

	rc = vdriver_reset(v, err);
	if (!rc)
		rc = set_status(v, VIRTIO_STATUS_ACKNOWLEDGE, err);
	if (!rc)
		rc = set_status(v, VIRTIO_STATUS_DRIVER, err);
	if (!rc)
		rc = v->t->ops->get_features(v->t, &v->offered, err);
	if (rc)
		vdriver_fail(v);
	return rc;
}

/* Settled by what was accepted: one that was not asked for VERSION_1 behaves as before it. */
static bool is_legacy(const struct vdriver *v)
{
	return !(v->features & BIT64(VIRTIO_F_VERSION_1));
}

/* The device's word on what was accepted; a legacy one is not asked. */
static int confirm(struct vdriver *v, struct error *err)
{
	uint8_t status;
	int rc;

	if (is_legacy(v))
		return 0;
	rc = set_status(v, VIRTIO_STATUS_FEATURES_OK, err);
	if (!rc)
		rc = v->t->ops->get_status(v->t, &status, err);
	if (!rc && !(status & VIRTIO_STATUS_FEATURES_OK))
		rc = error_set(err, -ENOTSUP, "the device refuses the features 0x%llx",
			       (unsigned long long)v->features);
	return rc;
}

int vdriver_negotiate(struct vdriver *v, uint64_t want, uint64_t must, struct error *err)
{
	uint64_t usable = v->offered & (~TRANSPORT_BITS | v->t->can);
	bool legacy = v->t->legacy_align ||
		      (v->t->takes_legacy && !(v->offered & BIT64(VIRTIO_F_VERSION_1)));
	uint64_t version = legacy ? 0 : BIT64(VIRTIO_F_VERSION_1);
	uint64_t accept, missing;
	int rc;

	if (legacy)
		usable &= UINT32_MAX;

	if (v->agreed)
		return error_set(err, -EBUSY, "the features are settled until the next reset.");
	must |= version | v->t->must;
	accept = usable & (want | must);
	missing = must & ~accept;
	if (missing) {
		rc = error_set(err, -ENOTSUP, "the device lacks feature bit %d%s",
			       __builtin_ctzll(missing),
			       missing & BIT64(VIRTIO_F_VERSION_1) ? " (virtio 1)" : "");
		goto fail;
	}
	rc = v->t->ops->set_features(v->t, accept, err);
	if (rc)
		goto fail;
	v->features = accept;
	rc = confirm(v, err);
	if (rc)
		goto fail;
	v->agreed = true;
	return 0;
fail:
	vdriver_fail(v);
	return rc;
}

int vdriver_ok(struct vdriver *v, struct error *err)
{
	return set_status(v, VIRTIO_STATUS_DRIVER_OK, err);
}

bool vdriver_needs_reset(struct vdriver *v)
{
	uint8_t status;

	return v->t->ops->get_status(v->t, &status, NULL) || status & VIRTIO_STATUS_NEEDS_RESET;
}

/* Waits until the device shows @set and not @clear. */
static int await(struct vdriver *v, uint8_t set, uint8_t clear, struct error *err)
{
	uint64_t until = clock_ns() + v->t->reset_ms * NSEC_PER_MSEC;
	uint8_t status;
	int rc;

	for (;;) {
		rc = v->t->ops->get_status(v->t, &status, err);
		if (rc)
			return rc;
		if (status & VIRTIO_STATUS_NEEDS_RESET)
			return error_set(err, -EIO, "the device wants to be reset.");
		if ((status & set) == set && !(status & clear)) {
			v->status = status;
			return 0;
		}
		if (clock_ns() >= until)
			return error_set(err, -ETIMEDOUT, "the device's status stays at 0x%02x",
					 status);
		os_nap();
	}
}

int vdriver_suspend(struct vdriver *v, struct error *err)
{
	int rc;

	if (!vdriver_has(v, VIRTIO_F_SUSPEND))
		return error_set(err, -ENOTSUP, "the device cannot be suspended");
	rc = set_status(v, VIRTIO_STATUS_SUSPEND, err);
	return rc ? rc : await(v, VIRTIO_STATUS_SUSPEND, VIRTIO_STATUS_DRIVER_OK, err);
}

int vdriver_resume(struct vdriver *v, struct error *err)
{
	int rc;

	rc = set_status(v, VIRTIO_STATUS_DRIVER_OK, err);
	return rc ? rc : await(v, VIRTIO_STATUS_DRIVER_OK, VIRTIO_STATUS_SUSPEND, err);
}

/* ---- configuration ---- */

int vdriver_config(struct vdriver *v, vdriver_config_fn *read, void *opaque, struct error *err)
{
	const struct transport_ops *ops = v->t->ops;
	uint32_t before, after;
	int rc;

	if (!ops->config_generation)
		return read(v, opaque, err);
	rc = ops->config_generation(v->t, &before, err);
	for (unsigned i = 0; !rc && i < CONFIG_TRIES; i++) {
		rc = read(v, opaque, err);
		if (!rc)
			rc = ops->config_generation(v->t, &after, err);
		if (!rc && before == after)
			return 0;
		before = after;
	}
	return rc ? rc : error_set(err, -EIO, "the device's configuration never stands still.");
}

int vdriver_config_field(struct vdriver *v, uint32_t offset, void *field, uint32_t len,
			 struct error *err)
{
	return v->t->ops->config_read(v->t, offset, field, len, err);
}

/* ---- memory ---- */

static struct dma_region *free_region(struct vdriver *v)
{
	unsigned n = 0;
	struct dma_region *found = NULL;

	for (unsigned i = 0; i < VDRIVER_REGIONS_MAX; i++) {
		if (v->regions[i].size)
			n++;
		else if (!found)
			found = &v->regions[i];
	}
	return n < v->t->regions_max ? found : NULL;
}

static bool overlaps(const struct vdriver *v, const struct dma_region *r)
{
	for (unsigned i = 0; i < VDRIVER_REGIONS_MAX; i++)
		if (ranges_overlap((uintptr_t)v->regions[i].host, v->regions[i].size,
				   (uintptr_t)r->host, r->size))
			return true;
	return false;
}

int vdriver_mem_register(struct vdriver *v, const struct dma_region *r, struct error *err)
{
	struct dma_region *place = free_region(v);
	size_t page = os_page();
	int rc;

	if (!r->size || ((uintptr_t)r->host | r->size | r->offset) % page ||
	    (uintptr_t)r->host > UINTPTR_MAX - r->size || r->offset > (uint64_t)INT64_MAX - r->size)
		return error_set(err, -EINVAL, "memory has to be given in whole pages.");
	if (overlaps(v, r))
		return error_set(err, -EEXIST, "the memory is registered already.");
	if (!place)
		return error_set(err, -ENOSPC, "the device takes at most %u pieces of memory.",
				 v->t->regions_max < VDRIVER_REGIONS_MAX ? v->t->regions_max
									 : VDRIVER_REGIONS_MAX);
	if (!v->t->mem_while_running && v->status & VIRTIO_STATUS_DRIVER_OK)
		return error_set(err, -EBUSY,
				 "this device takes no more memory while it runs: register it "
				 "before the start.");
	rc = v->t->ops->mem_add(v->t, r, err);
	if (rc)
		return rc;
	place->fd = r->fd;
	place->offset = r->offset;
	place->ours = r->ours;
	place->shift = v->shifts ? v->t->ops->address(v->t, r->host) - (uintptr_t)r->host : 0;
	write_once(&place->host, r->host);
	store_release(&place->size, r->size);
	return 0;
}

int vdriver_mem_alloc(struct vdriver *v, size_t size, void **memory, struct error *err)
{
	size_t whole = (size_t)align_up(size, os_page());
	struct dma_region r;
	int rc;

	if (!size || whole < size || whole > PTRDIFF_MAX)
		return error_set(err, -EINVAL, "no memory has this size.");
	rc = os_shared_alloc(&r, whole, err);
	if (rc)
		return rc;
	r.ours = true;
	rc = vdriver_mem_register(v, &r, err);
	if (rc) {
		os_shared_free(&r);
		return rc;
	}
	*memory = r.host;
	return 0;
}

int vdriver_mem_remove(struct vdriver *v, void *memory, struct error *err)
{
	for (unsigned i = 0; i < VDRIVER_REGIONS_MAX; i++) {
		struct dma_region *r = &v->regions[i];
		int rc;

		if (!r->size || r->host != memory)
			continue;
		if (!v->t->mem_while_running && v->status & VIRTIO_STATUS_DRIVER_OK)
			return error_set(err, -EBUSY,
					 "this device gives no memory back while it runs.");
		rc = v->t->ops->mem_remove(v->t, r, err);
		/* A device that is gone reaches no memory any more. */
		if (rc && rc != -ENOTCONN)
			return rc;
		region_free(r);
		return 0;
	}
	return error_set(err, -ENOENT, "this memory is not registered.");
}
