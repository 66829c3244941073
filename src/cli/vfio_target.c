/* SPDX-License-Identifier: MIT */
#include "cli/vfio_target.h"

#include "conform/peer.h"
#include "frontend/vfio_user/board.h"
#include "frontend/virtio_pci/vfio_board.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PREFIX		  "pci:"
#define USER_PREFIX	  "vfio-user:"
#define BY_MESSAGES	  "?dma-messages=on"
#define SOCK_ADDRESS_TEXT 256

struct vfio_target {
	struct transport *t;
	bool is_user; /* behind a socket */
	struct dma_region memory;
	struct pci_target target;
};

bool vfio_target_is(const char *target)
{
	return !strncmp(target, PREFIX, strlen(PREFIX)) ||
	       !strncmp(target, USER_PREFIX, strlen(USER_PREFIX));
}

static int make_memory(struct dma_region *r, struct error *err)
{
	int rc;

	*r = (struct dma_region){.size = PEER_MEM, .fd = memfd_create("conform", MFD_CLOEXEC)};
	if (r->fd >= 0 && !ftruncate(r->fd, (off_t)r->size)) {
		r->host = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
		if (r->host != MAP_FAILED)
			return 0;
	}
	rc = error_set(err, -errno, "no memory to share with the device");
	if (r->fd >= 0)
		close(r->fd);
	return rc;
}

static void drop_memory(struct dma_region *r)
{
	munmap(r->host, r->size);
	close(r->fd);
}

/* Every vector that the board has: which ones a case takes is its own business. */
static int open_board(struct vfio_target *vt, const char *target, uint32_t timeout_ms,
		      struct error *err)
{
	const struct vfio_board_options bo = {.queues = VPCI_QUEUES_MAX, .timeout_ms = timeout_ms};
	struct vfio_user_board_options uo = {.queues = VPCI_QUEUES_MAX, .timeout_ms = timeout_ms};
	char path[SOCK_ADDRESS_TEXT];
	const char *query;

	if (!strncmp(target, PREFIX, strlen(PREFIX)))
		return vfio_board_open(target + strlen(PREFIX), &bo, &vt->t, err);
	vt->is_user = true;
	target += strlen(USER_PREFIX);
	query = strchr(target, '?');
	if (!query)
		return vfio_user_board_open(target, &uo, &vt->t, err);
	if (strcmp(query, BY_MESSAGES) != 0 || (size_t)(query - target) >= sizeof(path))
		return error_set(err, -EINVAL, "'%s' is no option of a target; %s is one.", query,
				 BY_MESSAGES);
	uo.dma_messages = true;
	snprintf(path, sizeof(path), "%.*s", (int)(query - target), target);
	return vfio_user_board_open(path, &uo, &vt->t, err);
}

int vfio_target_open(const char *target, uint32_t timeout_ms, struct vfio_target **out,
		     struct pci_target **board, struct error *err)
{
	static const struct pci_target_ops none = {0};
	struct vfio_target *vt = calloc(1, sizeof(*vt));
	int rc;

	if (!vt)
		return error_set(err, -ENOMEM, "cannot open %s", target);
	rc = open_board(vt, target, timeout_ms, err);
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
		.access = vt->is_user ? vfio_user_board_access(vt->t) : vfio_board_access(vt->t),
		.platform = vt->is_user ? vfio_user_board_platform(vt->t)
					: vfio_board_platform(vt->t),
		.memory = vt->memory.host,
		.memory_at = vt->t->ops->address(vt->t, vt->memory.host),
		.memory_size = vt->memory.size,
	};
	*out = vt;
	*board = &vt->target;
	return 0;
unmap:
	drop_memory(&vt->memory);
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
	drop_memory(&vt->memory);
	vt->t->ops->destroy(vt->t);
	free(vt);
	*p = NULL;
}
