/* SPDX-License-Identifier: MIT */
#include "server/vfio_user/dma.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_MASK 4095u

int vfio_user_dma_init(struct vfio_user_dma *dma, struct gmem_remote *remote)
{
	*dma = (struct vfio_user_dma){.remote = remote, .empty = gmem_new()};
	if (!dma->empty)
		return -ENOMEM;
	dma->map = gmem_get(dma->empty);
	return 0;
}

void vfio_user_dma_fini(struct vfio_user_dma *dma)
{
	vfio_user_dma_log_drop(dma);
	gmem_put(dma->map);
	gmem_put(dma->empty);
	free(dma->entries);
	*dma = (struct vfio_user_dma){0};
}

/* The first entry that ends behind @iova. */
static unsigned dma_find(const struct vfio_user_dma *dma, uint64_t iova)
{
	unsigned low = 0, high = dma->n;

	while (low < high) {
		unsigned mid = (low + high) / 2;
		const struct vfio_user_dma_entry *e = &dma->entries[mid];

		if (e->iova + (e->size - 1) < iova)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int dma_check(const struct vfio_user_dma *dma, const struct vfio_user_dma_map *m,
		     struct error *err)
{
	const uint32_t access = VFIO_USER_DMA_READABLE | VFIO_USER_DMA_WRITABLE;
	uint64_t last = m->iova + (m->size - 1);
	unsigned at;

	if (!m->size || last < m->iova || (m->iova | m->size | m->offset) & PAGE_MASK ||
	    m->offset + m->size < m->offset)
		return error_set(err, -EINVAL, "memory is empty, wraps, or is not in whole pages.");
	if (m->flags & ~access || !(m->flags & access))
		return error_set(err, -EINVAL, "memory has the flags 0x%x.", m->flags);
	at = dma_find(dma, m->iova);
	if (at < dma->n && dma->entries[at].iova <= last)
		return error_set(err, -EEXIST, "memory overlaps other memory.");
	if (dma->n == VFIO_USER_DMA_MAX)
		return error_set(err, -ENOSPC, "there are %u pieces of memory already.", dma->n);
	return 0;
}

static uint32_t dma_access(uint32_t flags)
{
	return (flags & VFIO_USER_DMA_READABLE ? GMEM_READ : 0) |
	       (flags & VFIO_USER_DMA_WRITABLE ? GMEM_WRITE : 0);
}

static int dma_reserve(struct vfio_user_dma *dma)
{
	unsigned room = dma->room ? 2 * dma->room : 16;
	struct vfio_user_dma_entry *more;

	if (dma->n < dma->room)
		return 0;
	more = realloc(dma->entries, room * sizeof(*more));
	if (!more)
		return -ENOMEM;
	dma->entries = more;
	dma->room = room;
	return 0;
}

int vfio_user_dma_add(struct vfio_user_dma *dma, const struct vfio_user_dma_map *m, int fd,
		      struct error *err)
{
	struct gmem *map;
	unsigned at;
	int rc = dma_check(dma, m, err);

	if (rc)
		return rc;
	rc = dma_reserve(dma);
	if (rc)
		return error_set(err, rc, "cannot note a piece of memory");
	if (fd >= 0)
		rc = gmem_with_fd_for(dma->map, dma_access(m->flags), m->iova, m->size, fd,
				      m->offset, &map, err);
	else
		rc = gmem_with_remote(dma->map, dma_access(m->flags), m->iova, m->size, dma->remote,
				      &map, err);
	if (rc)
		return rc;
	gmem_put(dma->map);
	dma->map = map;
	at = dma_find(dma, m->iova);
	memmove(&dma->entries[at + 1], &dma->entries[at], (dma->n - at) * sizeof(*dma->entries));
	dma->entries[at] = (struct vfio_user_dma_entry){.iova = m->iova, .size = m->size};
	dma->n++;
	return 0;
}

int vfio_user_dma_remove(struct vfio_user_dma *dma, uint64_t iova, uint64_t size)
{
	unsigned at = size ? dma_find(dma, iova) : dma->n;
	struct gmem *map;
	int rc;

	if (at == dma->n || dma->entries[at].iova != iova || dma->entries[at].size != size)
		return -ENOENT;
	rc = gmem_without(dma->map, iova, size, 0, &map);
	if (rc)
		return rc;
	gmem_put(dma->map);
	dma->map = map;
	dma->n--;
	memmove(&dma->entries[at], &dma->entries[at + 1], (dma->n - at) * sizeof(*dma->entries));
	return 0;
}

void vfio_user_dma_clear(struct vfio_user_dma *dma)
{
	gmem_put(dma->map);
	dma->map = gmem_get(dma->log ? dma->empty_logged : dma->empty);
	dma->n = 0;
}

/* ---- the log ---- */

int vfio_user_dma_log_start(struct vfio_user_dma *dma)
{
	struct gmem_log *log;
	struct gmem *map, *empty;
	int rc;

	if (dma->log)
		return -EALREADY;
	log = gmem_log_new();
	if (!log)
		return -ENOMEM;
	rc = gmem_with_log(dma->empty, log, &empty);
	if (rc)
		goto put_log;
	rc = gmem_with_log(dma->map, log, &map);
	if (rc)
		goto put_empty;
	gmem_put(dma->map);
	dma->map = map;
	dma->empty_logged = empty;
	dma->log = log;
	return 0;
put_empty:
	gmem_put(empty);
put_log:
	gmem_log_put(log);
	return rc;
}

int vfio_user_dma_log_stop(struct vfio_user_dma *dma)
{
	struct gmem *map;
	int rc;

	if (!dma->log)
		return -EALREADY;
	rc = gmem_with_log(dma->map, NULL, &map);
	if (rc)
		return rc;
	gmem_put(dma->map);
	dma->map = map;
	vfio_user_dma_log_drop(dma);
	return 0;
}

void vfio_user_dma_log_drop(struct vfio_user_dma *dma)
{
	gmem_put(dma->empty_logged);
	gmem_log_put(dma->log);
	dma->empty_logged = NULL;
	dma->log = NULL;
}
