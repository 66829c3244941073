/* SPDX-License-Identifier: MIT */
#include "mem/gmem.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "mem/gmem_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static void mapping_put(struct gmem_mapping *m)
{
	if (!m || __atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL))
		return;
	if (m->ours)
		munmap(m->base, m->len);
	free(m);
}

/* ---- lineages ---- */

void gmem_lineage_lock(struct gmem_lineage *l)
{
	while (__atomic_exchange_n(&l->locked, true, __ATOMIC_ACQUIRE))
		sched_yield();
}

void gmem_lineage_unlock(struct gmem_lineage *l)
{
	store_release(&l->locked, false);
}

static bool any_lost(const struct gmem *mem)
{
	for (uint32_t i = 0; i < mem->n; i++)
		if (mem->regions[i].mapping->lost)
			return true;
	return false;
}

/* The map is complete: from here on it learns what is lost. */
static void lineage_join(struct gmem *mem)
{
	struct gmem_lineage *l = mem->lineage;

	gmem_lineage_lock(l);
	l->refs++;
	list_add_tail(&l->maps, &mem->link);
	if (any_lost(mem))
		write_once(&mem->lost, true);
	gmem_lineage_unlock(l);
}

static void lineage_leave(struct gmem *mem)
{
	struct gmem_lineage *l = mem->lineage;
	bool last;

	gmem_lineage_lock(l);
	list_del(&mem->link);
	last = !--l->refs;
	gmem_lineage_unlock(l);
	if (last)
		free(l);
}

/* A map of @n regions to be filled in, of the lineage of @from (NULL: a new one). */
static struct gmem *alloc_map(uint32_t n, const struct gmem *from)
{
	struct gmem *mem = calloc(1, sizeof(*mem) + n * sizeof(mem->regions[0]));

	if (!mem)
		return NULL;
	mem->refs = 1;
	if (from) {
		mem->lineage = from->lineage;
		mem->remote = from->remote;
		return mem;
	}
	mem->lineage = calloc(1, sizeof(*mem->lineage));
	if (!mem->lineage) {
		free(mem);
		return NULL;
	}
	list_init(&mem->lineage->maps);
	return mem;
}

struct gmem *gmem_new(void)
{
	struct gmem *mem = alloc_map(0, NULL);

	if (mem)
		lineage_join(mem);
	return mem;
}

struct gmem *gmem_get(struct gmem *mem)
{
	__atomic_add_fetch(&mem->refs, 1, __ATOMIC_RELAXED);
	return mem;
}

void gmem_put(struct gmem *mem)
{
	if (!mem || __atomic_sub_fetch(&mem->refs, 1, __ATOMIC_ACQ_REL))
		return;
	lineage_leave(mem);
	gmem_log_put(mem->log);
	for (uint32_t i = 0; i < mem->n; i++)
		mapping_put(mem->regions[i].mapping);
	free(mem);
}

static int check_region(const struct gmem *mem, const struct gmem_region *add, struct error *err)
{
	uint64_t at = add->gpa, size = add->size;

	if (!size || at + size - 1 < at || add->user + size - 1 < add->user)
		return error_set(err, -EINVAL,
				 "memory region 0x%llx+0x%llx is empty or wraps around",
				 (unsigned long long)at, (unsigned long long)size);
	if (!mem)
		return 0;
	if (mem->n >= GMEM_REGIONS_MAX)
		return error_set(err, -ENOSPC, "more than %d memory regions.", GMEM_REGIONS_MAX);
	for (uint32_t i = 0; i < mem->n; i++) {
		const struct gmem_region *r = &mem->regions[i];

		/* By last bytes: a region may end at 2^64. */
		if (at <= r->gpa + (r->size - 1) && r->gpa <= at + (size - 1))
			return error_set(err, -EEXIST,
					 "memory region 0x%llx+0x%llx overlaps 0x%llx+0x%llx",
					 (unsigned long long)at, (unsigned long long)size,
					 (unsigned long long)r->gpa, (unsigned long long)r->size);
	}
	return 0;
}

/* A copy of @mem with @add in its place; takes over @add's reference to its mapping on success. */
static int with_region(const struct gmem *mem, const struct gmem_region *add, struct gmem **out)
{
	uint32_t n = mem ? mem->n : 0, at = 0;
	struct gmem_log *log = mem ? mem->log : NULL;
	int rc = log ? gmem_log_cover(log, add->gpa, add->size) : 0;
	struct gmem *next = rc ? NULL : alloc_map(n + 1, mem);

	if (!next)
		return rc ? rc : -ENOMEM;
	while (at < n && mem->regions[at].gpa < add->gpa)
		at++;
	for (uint32_t i = 0; i < n; i++) {
		next->regions[i < at ? i : i + 1] = mem->regions[i];
		__atomic_add_fetch(&mem->regions[i].mapping->refs, 1, __ATOMIC_RELAXED);
	}
	next->regions[at] = *add;
	next->n = n + 1;
	next->log = log ? gmem_log_get(log) : NULL;
	lineage_join(next);
	*out = next;
	return 0;
}

/* @like: the new mapping, to be copied. */
static int add_mapping(const struct gmem *mem, struct gmem_region *add,
		       const struct gmem_mapping *like, struct gmem **out, struct error *err)
{
	struct gmem_mapping *m = calloc(1, sizeof(*m));
	int rc = -ENOMEM;

	if (m) {
		*m = *like;
		m->refs = 1;
		add->mapping = m;
		rc = with_region(mem, add, out);
	}
	if (rc) {
		free(m);
		error_set(err, rc, "cannot note a memory region");
	}
	return rc;
}

static int protection(uint32_t access)
{
	return (access & GMEM_READ ? PROT_READ : 0) | (access & GMEM_WRITE ? PROT_WRITE : 0);
}

static int with_fd(const struct gmem *mem, struct gmem_region add, int fd, uint64_t offset,
		   struct gmem **out, struct error *err)
{
	struct gmem_mapping like = {.ours = true};
	uint64_t gpa = add.gpa, size = add.size;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), slack;
	struct stat st;
	struct statfs fs;
	uint8_t *base;
	int rc;

	rc = check_region(mem, &add, err);
	if (rc)
		return rc;
	if (fstat(fd, &st))
		return error_set(err, -errno, "cannot look at a memory region's file");
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "a memory region's file is not memory.");
	if (offset > (uint64_t)st.st_size || size > (uint64_t)st.st_size - offset)
		return error_set(err, -EINVAL,
				 "memory region 0x%llx+0x%llx ends behind the end of its file.",
				 (unsigned long long)gpa, (unsigned long long)size);
	if (!fstatfs(fd, &fs) && fs.f_type == HUGETLBFS_MAGIC)
		page = (uint64_t)fs.f_bsize;
	slack = offset & (page - 1);
	base = mmap(NULL, size + slack, protection(add.access), MAP_SHARED | MAP_NORESERVE, fd,
		    (off_t)(offset - slack));
	if (base == MAP_FAILED)
		return error_set(err, -errno, "cannot map memory region 0x%llx+0x%llx",
				 (unsigned long long)gpa, (unsigned long long)size);
	madvise(base, size + slack, MADV_DONTDUMP);
	add.host = base + slack;
	like.base = base;
	like.len = align_up(size + slack, page);
	like.page = page;
	rc = add_mapping(mem, &add, &like, out, err);
	if (rc)
		munmap(base, size + slack);
	return rc;
}

int gmem_with_fd(const struct gmem *mem, uint64_t gpa, uint64_t size, uint64_t user, int fd,
		 uint64_t offset, struct gmem **out, struct error *err)
{
	const struct gmem_region add = {
		.gpa = gpa, .size = size, .user = user, .access = GMEM_BOTH};

	return with_fd(mem, add, fd, offset, out, err);
}

int gmem_with_fd_for(const struct gmem *mem, uint32_t access, uint64_t gpa, uint64_t size, int fd,
		     uint64_t offset, struct gmem **out, struct error *err)
{
	const struct gmem_region add = {.gpa = gpa, .size = size, .access = access};

	return with_fd(mem, add, fd, offset, out, err);
}

bool gmem_fd_is_memory(int fd)
{
	return fcntl(fd, F_GET_SEALS) >= 0;
}

int gmem_with_host(const struct gmem *mem, uint64_t gpa, uint64_t size, uint64_t user, void *host,
		   struct gmem **out, struct error *err)
{
	struct gmem_region add = {
		.gpa = gpa, .size = size, .user = user, .host = host, .access = GMEM_BOTH};
	struct gmem_mapping like = {.base = host, .len = size, .page = 4096};
	int rc = check_region(mem, &add, err);

	return rc ? rc : add_mapping(mem, &add, &like, out, err);
}

int gmem_with_remote(const struct gmem *mem, uint32_t access, uint64_t gpa, uint64_t size,
		     struct gmem_remote *remote, struct gmem **out, struct error *err)
{
	struct gmem_region add = {.gpa = gpa, .size = size, .remote = access};
	/* Of no bytes: no fault is ever found in it. */
	struct gmem_mapping like = {.page = 4096};
	int rc = check_region(mem, &add, err);

	if (!rc)
		rc = add_mapping(mem, &add, &like, out, err);
	if (!rc)
		(*out)->remote = remote;
	return rc;
}

int gmem_without(const struct gmem *mem, uint64_t gpa, uint64_t size, uint64_t user,
		 struct gmem **out)
{
	struct gmem *next;
	uint32_t at;

	for (at = 0; at < mem->n; at++)
		if (mem->regions[at].gpa == gpa && mem->regions[at].size == size &&
		    mem->regions[at].user == user)
			break;
	if (at == mem->n)
		return -ENOENT;
	next = alloc_map(mem->n - 1, mem);
	if (!next)
		return -ENOMEM;
	for (uint32_t i = 0; i < mem->n; i++) {
		if (i == at)
			continue;
		next->regions[next->n++] = mem->regions[i];
		__atomic_add_fetch(&mem->regions[i].mapping->refs, 1, __ATOMIC_RELAXED);
	}
	next->log = mem->log ? gmem_log_get(mem->log) : NULL;
	lineage_join(next);
	*out = next;
	return 0;
}

int gmem_with_log(const struct gmem *mem, struct gmem_log *log, struct gmem **out)
{
	struct gmem *next;

	for (uint32_t i = 0; log && i < mem->n; i++) {
		int rc = gmem_log_cover(log, mem->regions[i].gpa, mem->regions[i].size);

		if (rc)
			return rc;
	}
	next = alloc_map(mem->n, mem);
	if (!next)
		return -ENOMEM;
	for (uint32_t i = 0; i < mem->n; i++) {
		next->regions[i] = mem->regions[i];
		__atomic_add_fetch(&mem->regions[i].mapping->refs, 1, __ATOMIC_RELAXED);
	}
	next->n = mem->n;
	next->log = log ? gmem_log_get(log) : NULL;
	lineage_join(next);
	*out = next;
	return 0;
}

/* ---- looking up ---- */

const struct gmem_region gmem_nowhere;

static bool region_has(const struct gmem_region *r, uint64_t at)
{
	return at >= r->gpa && at - r->gpa < r->size;
}

static const struct gmem_region *find(const struct gmem *mem, struct gmem_hint *hint, uint64_t at)
{
	uint32_t lo = 0, hi = mem->n;

	if (likely(hint->region < mem->n && region_has(&mem->regions[hint->region], at)))
		return &mem->regions[hint->region];
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (mem->regions[mid].gpa <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo || !region_has(&mem->regions[lo - 1], at))
		return NULL;
	hint->region = lo - 1;
	return &mem->regions[lo - 1];
}

static uint8_t *at_for(const struct gmem *mem, struct gmem_hint *hint, gpa_t at, uint64_t len,
		       uint32_t access)
{
	const struct gmem_region *r = find(mem, hint, at.v);

	if (!r || !len || len > r->size - (at.v - r->gpa) || access & ~r->access)
		return NULL;
	return r->host + (at.v - r->gpa);
}

void *gmem_at(const struct gmem *mem, struct gmem_hint *hint, gpa_t at, uint64_t len)
{
	return at_for(mem, hint, at, len, GMEM_BOTH);
}

void *gmem_at_write(const struct gmem *mem, struct gmem_hint *hint, gpa_t at, uint64_t len)
{
	return at_for(mem, hint, at, len, GMEM_WRITE);
}

const void *gmem_at_read(const struct gmem *mem, struct gmem_hint *hint, gpa_t at, uint64_t len)
{
	return at_for(mem, hint, at, len, GMEM_READ);
}

int gmem_slices(const struct gmem *mem, struct gmem_hint *hint, gpa_t at, uint64_t len, bool write,
		struct iovec *iov, int max)
{
	uint32_t access = write ? GMEM_WRITE : GMEM_READ;
	uint64_t pos = at.v, left = len;
	int n = 0;

	while (left) {
		const struct gmem_region *r = find(mem, hint, pos);
		uint64_t here;

		if (!r)
			return -EFAULT;
		if (!(r->access & access))
			return r->remote & access ? -EREMOTE : -EACCES;
		if (n == max)
			return -E2BIG;
		here = min_u64(left, r->size - (pos - r->gpa));
		iov[n].iov_base = r->host + (pos - r->gpa);
		iov[n].iov_len = here;
		n++;
		left -= here;
		pos += here;
		if (left && !pos)
			return -EFAULT; /* past 2^64 */
	}
	return n;
}

int64_t gmem_piece(const struct gmem *mem, struct gmem_hint *hint, gpa_t at, uint64_t len,
		   bool write, uint8_t **host)
{
	const struct gmem_region *r = find(mem, hint, at.v);
	uint64_t offset;

	if (!r)
		return -EFAULT;
	if (!((r->access | r->remote) & (write ? GMEM_WRITE : GMEM_READ)))
		return -EACCES;
	offset = at.v - r->gpa;
	*host = r->remote ? NULL : r->host + offset;
	return (int64_t)min_u64(min_u64(len, r->size - offset), INT64_MAX);
}

int gmem_check(const struct gmem *mem, struct gmem_hint *hint, gpa_t at, uint64_t len, bool write)
{
	uint8_t *host;

	while (len) {
		int64_t n = gmem_piece(mem, hint, at, len, write, &host);

		if (n < 0)
			return (int)n;
		len -= (uint64_t)n;
		at.v += (uint64_t)n;
		if (len && !at.v)
			return -EFAULT; /* past 2^64 */
	}
	return 0;
}

const struct gmem_region *gmem_near(const struct gmem *mem, const struct gmem_hint *hint)
{
	const struct gmem_region *r = &mem->regions[hint->region];

	if (hint->region >= mem->n || mem->log || r->access != GMEM_BOTH)
		return &gmem_nowhere;
	return r;
}

int gmem_from_user(const struct gmem *mem, uint64_t user, uint64_t len, gpa_t *out)
{
	for (uint32_t i = 0; i < mem->n; i++) {
		const struct gmem_region *r = &mem->regions[i];

		if (user < r->user || user - r->user >= r->size)
			continue;
		if (len > r->size - (user - r->user))
			return -EFAULT;
		*out = gpa(r->gpa + (user - r->user));
		return 0;
	}
	return -EFAULT;
}
