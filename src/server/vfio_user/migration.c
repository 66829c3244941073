/* SPDX-License-Identifier: MIT */
#include "server/vfio_user/migration.h"

#include "backend/virtio_pci/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void vfio_user_migration_init(struct vfio_user_migration *m, struct virtio_pci *board)
{
	*m = (struct vfio_user_migration){
		.board = board,
		.state = VFIO_USER_STATE_RUNNING,
		.target = VFIO_USER_STATE_RUNNING,
	};
}

static void migration_drop(struct vfio_user_migration *m)
{
	free(m->data);
	m->data = NULL;
	m->n = m->at = 0;
}

void vfio_user_migration_reset(struct vfio_user_migration *m)
{
	migration_drop(m);
	m->state = m->target = VFIO_USER_STATE_RUNNING;
}

bool vfio_user_migration_can(const struct vfio_user_migration *m)
{
	return virtio_pci_has_state(m->board);
}

bool vfio_user_migration_may_write(const struct vfio_user_migration *m)
{
	return m->state != VFIO_USER_STATE_STOP_COPY && m->state != VFIO_USER_STATE_ERROR;
}

/* ---- from one state to the next ---- */

static int migration_save(struct vfio_user_migration *m)
{
	uint8_t *data = malloc(VIRTIO_PCI_STATE_MAX), *less;
	size_t n = data ? virtio_pci_save(m->board, data, VIRTIO_PCI_STATE_MAX) : 0;

	if (!n) {
		free(data);
		return -ENOMEM;
	}
	less = realloc(data, n);
	m->data = less ? less : data;
	m->n = (uint32_t)n;
	m->at = 0;
	return 0;
}

static int migration_load(struct vfio_user_migration *m)
{
	struct error err;
	int rc = virtio_pci_load(m->board, m->data, m->n, &err);

	if (rc)
		log_limited(&m->complaints, LOG_LEVEL_WARN, m->board->vdev->path,
			    "the state that was brought from another server is refused: %s",
			    err.text);
	migration_drop(m);
	return rc;
}

static int migration_leave_stop(struct vfio_user_migration *m)
{
	int rc = 0;

	switch (m->target) {
	case VFIO_USER_STATE_RUNNING:
		virtio_pci_thaw(m->board);
		break;
	case VFIO_USER_STATE_STOP_COPY:
		rc = migration_save(m);
		break;
	default:
		/* Room for the whole from the start: it is not to run out on the way. */
		m->data = malloc(VIRTIO_PCI_STATE_MAX);
		rc = m->data ? 0 : -ENOMEM;
		break;
	}
	if (!rc)
		m->state = m->target;
	return rc;
}

static int migration_step(struct vfio_user_migration *m)
{
	int rc;

	/* Where it stood still a reset may have been begun since: registers can be written there. */
	virtio_pci_freeze(m->board);
	if (!virtio_pci_is_frozen(m->board))
		return -EINPROGRESS;
	switch (m->state) {
	case VFIO_USER_STATE_RUNNING:
		m->state = VFIO_USER_STATE_STOP;
		return 0;
	case VFIO_USER_STATE_STOP_COPY:
		migration_drop(m);
		m->state = VFIO_USER_STATE_STOP;
		return 0;
	case VFIO_USER_STATE_RESUMING:
		rc = migration_load(m);
		m->state = rc ? VFIO_USER_STATE_ERROR : VFIO_USER_STATE_STOP;
		return rc;
	default:
		return migration_leave_stop(m);
	}
}

int vfio_user_migration_go_on(struct vfio_user_migration *m)
{
	int rc = 0;

	while (!rc && m->state != m->target)
		rc = migration_step(m);
	/* What has failed is over: nobody goes on with it. */
	if (rc && rc != -EINPROGRESS)
		m->target = m->state;
	return rc;
}

int vfio_user_migration_set(struct vfio_user_migration *m, uint32_t state)
{
	switch (state) {
	case VFIO_USER_STATE_STOP:
	case VFIO_USER_STATE_RUNNING:
	case VFIO_USER_STATE_STOP_COPY:
	case VFIO_USER_STATE_RESUMING:
		break;
	default:
		return -EINVAL;
	}
	if (m->state == VFIO_USER_STATE_ERROR)
		return -EINVAL;
	m->target = state;
	return vfio_user_migration_go_on(m);
}

/* ---- the bytes ---- */

int vfio_user_migration_read(struct vfio_user_migration *m, void *to, uint32_t size)
{
	uint32_t n = (uint32_t)min_u64(size, m->n - m->at);

	if (m->state != VFIO_USER_STATE_STOP_COPY)
		return -EINVAL;
	memcpy(to, m->data + m->at, n);
	m->at += n;
	return (int)n;
}

int vfio_user_migration_write(struct vfio_user_migration *m, const void *from, uint32_t size)
{
	if (m->state != VFIO_USER_STATE_RESUMING)
		return -EINVAL;
	if (size > VIRTIO_PCI_STATE_MAX - m->n)
		return -E2BIG;
	memcpy(m->data + m->n, from, size);
	m->n += size;
	return 0;
}
