/* SPDX-License-Identifier: MIT */
/*
 * The front end's memory.  A change makes a new map and hands it to every running queue; the old
 * one goes when the last of them has let go of it, and only then is the message answered.
 */
#include "server/vhost_user/connection_priv.h"

#include <errno.h>

int vhost_user_get_max_mem_slots(struct vhost_user_connection *c, struct vhost_user_message *m,
				 struct error *err)
{
	(void)c;
	(void)err;
	return vhost_user_answer_u64(m, GMEM_REGIONS_MAX);
}

static int map_in_use(struct vhost_user_connection *c, struct vhost_user_message *m,
		      struct error *err)
{
	(void)m;
	(void)err;
	gmem_put(c->mem);
	c->mem = c->next;
	c->next = NULL;
	return c->waiter.rc;
}

/* Takes over @next. */
static int use_map(struct vhost_user_connection *c, struct gmem *next)
{
	struct virtio_device *vdev = vhost_user_device(c);

	c->next = next;
	c->then = map_in_use;
	for (unsigned i = 0; i < vdev->n_queues; i++)
		if (c->vrings[i].running)
			virtio_queue_set_mem(&vdev->queues[i], next, &c->waiter);
	return VHOST_USER_WAIT;
}

/*
 * Ring addresses are the front end's own, so these must be as unambiguous as guest addresses.
 */
static int check_user(const struct gmem *mem, const struct vhost_user_region *r, struct error *err)
{
	uint64_t last = r->user + (r->size - 1);

	if (!r->size || last < r->user)
		return error_set(err, -EINVAL, "region 0x%llx is empty or its address wraps around",
				 (unsigned long long)r->gpa);
	for (uint32_t i = 0; mem && i < mem->n; i++) {
		const struct gmem_region *old = &mem->regions[i];

		if (r->user <= old->user + (old->size - 1) && old->user <= last)
			return error_set(err, -EEXIST,
					 "front end address 0x%llx of region 0x%llx is taken",
					 (unsigned long long)r->user, (unsigned long long)r->gpa);
	}
	return 0;
}

static int with_region(const struct gmem *mem, const struct vhost_user_region *r, int fd,
		       struct gmem **out, struct error *err)
{
	int rc = check_user(mem, r, err);

	return rc ? rc : gmem_with_fd(mem, r->gpa, r->size, r->user, fd, r->offset, out, err);
}

int vhost_user_set_mem_table(struct vhost_user_connection *c, struct vhost_user_message *m,
			     struct error *err)
{
	const struct vhost_user_mem_table *table = &m->payload.table;
	struct gmem *mem = NULL;
	uint32_t n = table->n;

	if (!n || n > VHOST_USER_TABLE_REGIONS_MAX)
		return error_set(err, -EINVAL, "%u memory regions; 1 to %d may be.", n,
				 VHOST_USER_TABLE_REGIONS_MAX);
	if (m->header.size < offsetof(struct vhost_user_mem_table, regions) +
				     n * sizeof(table->regions[0]) ||
	    m->n_fds != n)
		return error_set(err, -EINVAL, "%u memory regions, %u fds, %u bytes.", n, m->n_fds,
				 m->header.size);
	for (uint32_t i = 0; i < n; i++) {
		struct gmem *more;
		int rc = with_region(mem, &table->regions[i], m->fds[i], &more, err);

		gmem_put(mem);
		if (rc)
			return rc;
		mem = more;
	}
	return use_map(c, mem);
}

int vhost_user_add_mem_reg(struct vhost_user_connection *c, struct vhost_user_message *m,
			   struct error *err)
{
	struct gmem *next;
	int rc;

	if (m->n_fds != 1)
		return error_set(err, -EINVAL, "no fd came with it.");
	rc = with_region(c->mem, &m->payload.reg.region, m->fds[0], &next, err);
	return rc ? rc : use_map(c, next);
}

int vhost_user_rem_mem_reg(struct vhost_user_connection *c, struct vhost_user_message *m,
			   struct error *err)
{
	const struct vhost_user_region *r = &m->payload.reg.region;
	struct gmem *next;
	int rc = c->mem ? gmem_without(c->mem, r->gpa, r->size, r->user, &next) : -ENOENT;

	if (rc)
		return error_set(err, rc, "memory region 0x%llx+0x%llx", (unsigned long long)r->gpa,
				 (unsigned long long)r->size);
	return use_map(c, next);
}
