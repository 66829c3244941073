/* SPDX-License-Identifier: MIT */
/*
 * The in-flight region: made here, kept by the front end, and given back to whoever serves it next.
 *
 * Nothing of it is held on to between GET and SET.  Its size suits either ring layout, since the
 * features may still change.
 */
#include "base/log.h"
#include "server/vhost_user/connection_priv.h"
#include "wire/vhost_user_inflight.h"
#include "wire/virtio.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * What a driver may make of a queue that the front end believes to be shorter: QEMU asks for a
 * record of queue-size= entries, and gives a driver that does not set the size a ring of 1,024.
 */
#define ENTRIES_USUAL 1024

static int check_counts(const struct vhost_user_inflight *in, struct error *err)
{
	/* More queues than there are cost a few bytes; they have no index in any message, though. */
	if (!in->num_queues || in->num_queues > VHOST_USER_VRING_INDEX_MASK + 1 ||
	    !in->queue_size || in->queue_size > VRING_SIZE_MAX)
		return error_set(err, -EINVAL, "%u queues of %u entries.", in->num_queues,
				 in->queue_size);
	return 0;
}

/* How long a ring may become. */
static uint16_t entries_for(const struct vhost_user_connection *c, uint16_t asked)
{
	unsigned most = vhost_user_device(c)->queue_size_max;

	if (!most)
		most = ENTRIES_USUAL;
	return asked > most ? asked : (uint16_t)most;
}

/* Memory that nobody can take away from under those who have it mapped. */
static int make_region(uint64_t size, struct error *err)
{
	int fd = memfd_create("ringside-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING), rc;

	if (fd < 0)
		return error_set(err, -errno, "cannot make an in-flight region");
	if (ftruncate(fd, (off_t)size) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		rc = -errno;
		close(fd);
		return error_set(err, rc, "cannot make an in-flight region of %llu bytes",
				 (unsigned long long)size);
	}
	return fd;
}

int vhost_user_get_inflight_fd(struct vhost_user_connection *c, struct vhost_user_message *m,
			       struct error *err)
{
	struct vhost_user_inflight *in = &m->payload.inflight;
	int rc = check_counts(in, err);

	if (rc)
		return rc;
	in->mmap_size = in->num_queues * inflight_bytes(entries_for(c, in->queue_size), true);
	in->mmap_offset = 0;
	rc = make_region(in->mmap_size, err);
	if (rc < 0)
		return rc;
	c->reply_fd = rc;
	return VHOST_USER_ANSWER;
}

static bool any_running(const struct vhost_user_connection *c)
{
	for (unsigned i = 0; i < vhost_user_device(c)->n_queues; i++)
		if (c->vrings[i].running)
			return true;
	return false;
}

static int check_room(const struct vhost_user_inflight_region *region, bool packed,
		      struct error *err)
{
	uint64_t need = region->num_queues * inflight_bytes(region->queue_size, packed);

	if (region->size < need)
		return error_set(err, -EINVAL,
				 "an in-flight region of %llu bytes; %u queues of %u entries need "
				 "%llu.",
				 (unsigned long long)region->size, region->num_queues,
				 region->queue_size, (unsigned long long)need);
	return 0;
}

int vhost_user_set_inflight_fd(struct vhost_user_connection *c, struct vhost_user_message *m,
			       struct error *err)
{
	const struct vhost_user_inflight *in = &m->payload.inflight;
	struct vhost_user_inflight_region region = {
		.size = in->mmap_size,
		.num_queues = in->num_queues,
		.queue_size = in->queue_size,
	};
	int rc = check_counts(in, err);

	if (rc)
		return rc;
	if (m->n_fds != 1)
		return error_set(err, -EINVAL, "no fd came with it.");
	if (any_running(c))
		return error_set(err, -EBUSY, "rings run.");
	if (in->mmap_offset % INFLIGHT_ALIGN)
		return error_set(err, -EINVAL, "an in-flight region at offset 0x%llx",
				 (unsigned long long)in->mmap_offset);
	rc = check_room(&region, virtio_device_has(vhost_user_device(c), VIRTIO_F_RING_PACKED),
			err);
	if (!rc && !gmem_fd_is_memory(m->fds[0]))
		rc = error_set(err, -EINVAL, "the in-flight region's file is not a memfd.");
	if (rc)
		return rc;
	rc = gmem_with_fd(NULL, 0, region.size, 0, m->fds[0], in->mmap_offset, &region.mem, err);
	if (rc)
		return rc;
	vhost_user_inflight_forget(c);
	c->inflight = region;
	return 0;
}

/*
 * Where the parts lie.  A region of just the bytes that its queue size needs, as earlier versions
 * made, has them one behind the other; in a larger one each has an equal share.
 */
static uint64_t part_bytes(const struct vhost_user_inflight_region *region, bool packed)
{
	uint64_t least = inflight_bytes(region->queue_size, true);

	if (region->size <= region->num_queues * least)
		return inflight_bytes(region->queue_size, packed);
	return region->size / region->num_queues / INFLIGHT_ALIGN * INFLIGHT_ALIGN;
}

static uint16_t part_entries(uint64_t bytes, bool packed)
{
	uint64_t n = packed ? (bytes - sizeof(struct inflight_packed)) /
				      sizeof(struct inflight_packed_desc)
			    : (bytes - sizeof(struct inflight_split)) /
				      sizeof(struct inflight_split_desc);

	return n < VRING_SIZE_MAX ? (uint16_t)n : VRING_SIZE_MAX;
}

void vhost_user_inflight_attach(struct vhost_user_connection *c, unsigned index,
				const struct vring_config *config)
{
	const struct vhost_user_inflight_region *region = &c->inflight;
	struct virtio_queue *q = &vhost_user_device(c)->queues[index];
	struct vqdev_record record = {.entries = 0};
	struct gmem_hint hint = {0};
	uint64_t part;

	virtio_queue_set_record(q, NULL, NULL);
	if (!region->mem || index >= region->num_queues)
		return;
	part = part_bytes(region, config->packed);
	if (region->size > region->num_queues * inflight_bytes(region->queue_size, true))
		record.entries = part_entries(part, config->packed);
	else
		record.entries = region->queue_size;
	record.at = gmem_at(region->mem, &hint, gpa(index * part), part);
	if (record.at && record.entries >= config->num) {
		virtio_queue_set_record(q, region->mem, &record);
		return;
	}
	log_limited(&c->complaints, LOG_LEVEL_WARN, q->path,
		    "a ring of %u entries, an in-flight record for %u: served without a record; "
		    "should this server be killed, what is in flight then is lost track of",
		    config->num, record.at ? record.entries : 0);
}

void vhost_user_inflight_forget(struct vhost_user_connection *c)
{
	struct virtio_device *vdev = vhost_user_device(c);

	for (unsigned i = 0; i < vdev->n_queues; i++)
		virtio_queue_set_record(&vdev->queues[i], NULL, NULL);
	gmem_put(c->inflight.mem);
	memset(&c->inflight, 0, sizeof(c->inflight));
}
