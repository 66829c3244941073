/* SPDX-License-Identifier: MIT */
#include "cli/vfio_target.h"

#include "conform/peer.h"
#include "frontend/virtio_pci/vfio_board.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PREFIX "pci:"

struct vfio_target {
	struct transport *t;
	struct dma_region memory;
	struct pci_target target;
};

bool vfio_target_is(const char *target)
{
	return !strncmp(target, PREFIX, strlen(PREFIX));
}

static int make_memory(struct dma_region *r, struct error *err)
{
	*r = (struct dma_region){.size = PEER_MEM, .fd = -1};
	r->host = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r->host == MAP_FAILED)
		return error_set(err, -errno, "no memory to share with the device");
	return 0;
}

int vfio_target_open(const char *target, uint32_t timeout_ms, struct vfio_target **out,
		     struct pci_target **board, struct error *err)
{
	/* Every vector that the board has: which ones a case takes is its own business. */
	const struct vfio_board_options bo = {.queues = VPCI_QUEUES_MAX, .timeout_ms = timeout_ms};
	static const struct pci_target_ops none = {0};
	struct vfio_target *vt = calloc(1, sizeof(*vt));
	int rc;

	if (!vt)
		return error_set(err, -ENOMEM, "cannot open %s", target);
	rc = vfio_board_open(target + strlen(PREFIX), &bo, &vt->t, err);
	if (rc)
		goto free_target;
	rc = make_memory(&vt->memory, err);
	if (rc)
		goto close_board;
	rc = vt->t->ops->mem_add(vt->t, &vt->memory, err);
	if (rc)
		goto unmap;
	vt->target = (struct pci_target){
		.ops = &none,
		.access = vfio_board_access(vt->t),
		.platform = vfio_board_platform(vt->t),
		.memory = vt->memory.host,
		.memory_at = vt->t->ops->address(vt->t, vt->memory.host),
		.memory_size = vt->memory.size,
	};
	*out = vt;
	*board = &vt->target;
	return 0;
unmap:
	munmap(vt->memory.host, vt->memory.size);
close_board:
	vt->t->ops->disconnect(vt->t);
	vt->t->ops->destroy(vt->t);
free_target:
	free(vt);
	return rc;
}

void vfio_target_close(struct vfio_target **p)
{
	struct vfio_target *vt = *p;

	if (!vt)
		return;
	vt->t->ops->disconnect(vt->t);
	vt->t->ops->mem_remove(vt->t, &vt->memory, NULL);
	munmap(vt->memory.host, vt->memory.size);
	vt->t->ops->destroy(vt->t);
	free(vt);
	*p = NULL;
}
