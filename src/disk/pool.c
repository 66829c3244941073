/* SPDX-License-Identifier: MIT */
#include "disk/pool.h"

#include "base/bits.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

/* CPUs that this process may use.  The kernel wants a mask as long as its own. */
static unsigned cpus(void)
{
	for (size_t n = 1024; n <= 1024 * 1024; n *= 4) {
		size_t size = CPU_ALLOC_SIZE(n);
		cpu_set_t *set = CPU_ALLOC(n);
		int count = 0;

		if (set && !sched_getaffinity(0, size, set))
			count = CPU_COUNT_S(size, set);
		CPU_FREE(set);
		if (count > 0)
			return (unsigned)count;
	}
	return 1;
}

unsigned worker_pool_suits(unsigned queues)
{
	return (unsigned)max_u64(1, min_u64(min_u64(queues, cpus()), WORKER_POOL_MAX));
}

int worker_pool_init(struct worker_pool *pool, const struct worker_pool_config *config,
		     struct error *err)
{
	int rc = 0;

	*pool = (struct worker_pool){0};
	if (!config->n || config->n > WORKER_POOL_MAX)
		return error_set(err, -EINVAL, "there may be 1 to %d workers, not %u.",
				 WORKER_POOL_MAX, config->n);
	pool->workers = calloc(config->n, sizeof(pool->workers[0]));
	if (!pool->workers)
		return error_set(err, -ENOMEM, "cannot create %u workers", config->n);
	while (!rc && pool->n < config->n) {
		char name[16];
		struct worker_config w = {.name = name, .reactor = config->reactor, .cpu = -1};

		snprintf(name, sizeof(name), "worker%u", pool->n % WORKER_POOL_MAX);
		/* What the first found not to work is not tried again, and is said once. */
		if (pool->n)
			w.reactor.uring &= reactor_is_uring(worker_reactor(pool->workers[0]));
		rc = worker_create(&pool->workers[pool->n], &w, err);
		pool->n += !rc;
	}
	if (rc)
		worker_pool_fini(pool);
	return rc;
}

void worker_pool_fini(struct worker_pool *pool)
{
	for (unsigned i = 0; i < pool->n; i++)
		worker_destroy(&pool->workers[i]);
	free(pool->workers);
	*pool = (struct worker_pool){0};
}

unsigned worker_pool_take(struct worker_pool *pool, unsigned queues)
{
	unsigned first = pool->next;

	pool->next = (unsigned)(((uint64_t)first + queues) % pool->n);
	return first;
}
