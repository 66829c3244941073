/* SPDX-License-Identifier: MIT */
/*
 * The front end's memory.  A change makes a new map and hands it to every running queue; the old
 * one goes when the last of them has let go of it, and only then is the message answered.
 *
 * The files are memory of the kernel's own (memfd, tmpfs, hugetlbfs), which nobody can make wait for
 * themselves.  Where the user allows others, they are looked at and mapped aside, with a limit; a
 * worker that touches them later waits for their file system all the same.
 */
#include "base/clock.h"
#include "server/vhost_user/connection_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* What is to be mapped, on whichever thread. */
struct map_plan {
	struct gmem *base; /* NULL: nothing */
	struct vhost_user_region regions[VHOST_USER_TABLE_REGIONS_MAX];
	int fds[VHOST_USER_TABLE_REGIONS_MAX];
	unsigned n;
};

static int map_carry_out(const struct map_plan *plan, struct gmem **out, struct error *err)
{
	struct gmem *mem = plan->base ? gmem_get(plan->base) : NULL;

	for (unsigned i = 0; i < plan->n; i++) {
		const struct vhost_user_region *r = &plan->regions[i];
		struct gmem *more;
		int rc = check_user(mem, r, err);

		if (!rc)
			rc = gmem_with_fd(mem, r->gpa, r->size, r->user, plan->fds[i], r->offset,
					  &more, err);
		gmem_put(mem);
		if (rc)
			return rc;
		mem = more;
	}
	*out = mem;
	return 0;
}

/* ---- files that may make whoever touches them wait ---- */

/* Longer than any file system needs that works. */
#define MAP_PATIENCE_NS (5 * NSEC_PER_SEC)

struct vhost_user_map_job {
	struct aside_job job;
	struct vhost_user_connection *c; /* NULL: nobody waits any more */
	struct map_plan plan;
	struct gmem *mem;
	int rc;
	struct error err;
};

static void map_job_close_fds(struct vhost_user_map_job *j)
{
	while (j->plan.n)
		close(j->plan.fds[--j->plan.n]);
}

static void map_job_free(struct vhost_user_map_job *j)
{
	/* One that was dropped before it ran has them still. */
	map_job_close_fds(j);
	gmem_put(j->mem);
	gmem_put(j->plan.base);
	free(j);
}

static void map_job_run(struct aside_job *job)
{
	struct vhost_user_map_job *j = container_of(job, struct vhost_user_map_job, job);

	j->rc = map_carry_out(&j->plan, &j->mem, &j->err);
	map_job_close_fds(j);
}

static void map_job_drop(struct aside_job *job)
{
	map_job_free(container_of(job, struct vhost_user_map_job, job));
}

static void map_job_over(struct vhost_user_connection *c)
{
	reactor_timer_stop(c->home, &c->map_patience);
	if (!--c->waiter.pending)
		c->waiter.done(&c->waiter);
}

static void map_job_done(struct aside_job *job)
{
	struct vhost_user_map_job *j = container_of(job, struct vhost_user_map_job, job);
	struct vhost_user_connection *c = j->c;

	if (c) {
		c->map_job = NULL;
		c->next = j->mem;
		j->mem = NULL;
		c->waiter.rc = j->rc;
		c->waiter.err = j->err;
	}
	map_job_free(j);
	if (c)
		map_job_over(c);
}

void vhost_user_map_patience_over(struct reactor_timer *t)
{
	struct vhost_user_connection *c = container_of(t, struct vhost_user_connection,
						       map_patience);

	c->map_job->c = NULL;
	c->map_job = NULL;
	c->waiter.rc = error_set(&c->waiter.err, -ETIMEDOUT,
				 "the file of a memory region does not answer");
	map_job_over(c);
}

/* ---- taking a map into use ---- */

static int map_made(struct vhost_user_connection *c, struct vhost_user_message *m,
		    struct error *err)
{
	struct gmem *next = c->next;

	(void)m;
	(void)err;
	if (c->waiter.rc)
		return c->waiter.rc;
	return use_map(c, next);
}

static int map_aside(struct vhost_user_connection *c, struct vhost_user_message *m,
		     const struct map_plan *plan, struct error *err)
{
	struct vhost_user_map_job *j = calloc(1, sizeof(*j));

	if (!j)
		return error_set(err, -ENOMEM, "cannot map memory regions");
	j->job.run = map_job_run;
	j->job.done = map_job_done;
	j->job.drop = map_job_drop;
	j->c = c;
	j->plan = *plan;
	if (plan->base)
		gmem_get(plan->base);
	for (unsigned i = 0; i < plan->n; i++)
		(void)vhost_user_message_take_fd(m, i);
	c->map_job = j;
	c->then = map_made;
	c->waiter.pending++;
	reactor_timer_start(c->home, &c->map_patience, MAP_PATIENCE_NS);
	aside_run(c->aside, &j->job);
	return VHOST_USER_WAIT;
}

int vhost_user_check_memory_fd(const struct vhost_user_connection *c, int fd, struct error *err)
{
	if (c->any_memory || gmem_fd_is_memory(fd))
		return 0;
	return error_set(err, -EINVAL,
			 "a memory region's file is not a memfd, nor of tmpfs or hugetlbfs "
			 "(--memory-files=any would take it).");
}

/* Maps the first @plan->n fds of the message. */
static int map_and_use(struct vhost_user_connection *c, struct vhost_user_message *m,
		       struct map_plan *plan, struct error *err)
{
	bool may_wait = false;
	struct gmem *next;
	int rc;

	for (unsigned i = 0; i < plan->n; i++) {
		plan->fds[i] = m->fds[i];
		rc = vhost_user_check_memory_fd(c, m->fds[i], err);
		if (rc)
			return rc;
		may_wait |= !gmem_fd_is_memory(m->fds[i]);
	}
	if (may_wait)
		return map_aside(c, m, plan, err);
	rc = map_carry_out(plan, &next, err);
	return rc ? rc : use_map(c, next);
}

int vhost_user_set_mem_table(struct vhost_user_connection *c, struct vhost_user_message *m,
			     struct error *err)
{
	const struct vhost_user_mem_table *table = &m->payload.table;
	struct map_plan plan = {.n = table->n};

	if (!plan.n || plan.n > VHOST_USER_TABLE_REGIONS_MAX)
		return error_set(err, -EINVAL, "%u memory regions; 1 to %d may be.", plan.n,
				 VHOST_USER_TABLE_REGIONS_MAX);
	if (m->header.size < offsetof(struct vhost_user_mem_table, regions) +
				     plan.n * sizeof(table->regions[0]) ||
	    m->n_fds != plan.n)
		return error_set(err, -EINVAL, "%u memory regions, %u fds, %u bytes.", plan.n,
				 m->n_fds, m->header.size);
	memcpy(plan.regions, table->regions, plan.n * sizeof(plan.regions[0]));
	return map_and_use(c, m, &plan, err);
}

int vhost_user_add_mem_reg(struct vhost_user_connection *c, struct vhost_user_message *m,
			   struct error *err)
{
	struct map_plan plan = {.base = c->mem, .n = 1};

	if (m->n_fds != 1)
		return error_set(err, -EINVAL, "no fd came with it.");
	plan.regions[0] = m->payload.reg.region;
	return map_and_use(c, m, &plan, err);
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
