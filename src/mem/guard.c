/* SPDX-License-Identifier: MIT */
/*
 * Memory that goes away: a peer may shorten the file behind a region at any time, the file system
 * behind it may be full when a hole is touched for the first time, the machine may have lost a page
 * to a memory error; the next touch raises SIGBUS on the thread that did it.
 *
 * The handler knows from a thread-local pointer which maps its thread is using.  It marks the
 * mapping, and every map that holds it, as lost; then it puts one anonymous page where the lost one
 * was, so that the instruction can be taken again.  One page, because all others still are what they
 * were: the I/O that the kernel does with them is right, and its touch of another lost page is an
 * EFAULT.  Marked first, because other threads see the new page at once, and ask afterwards
 * (gmem_lost()).  A mark stays: a file that has been made longer again has other contents.
 *
 * BUS_MCEERR_AO speaks of a page that nobody has touched yet: whoever does so raises BUS_MCEERR_AR.
 *
 * Only calls that signal-safety(7) allows or that are plain system calls (mmap, sched_yield) stand
 * in the handler.
 */
#include "mem/gmem.h"

#include "base/atomic.h"
#include "mem/gmem_priv.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

static _Thread_local struct gmem_guard *guards __attribute__((tls_model("initial-exec")));

void gmem_guard_enter(struct gmem_guard *guard, struct gmem *mem)
{
	guard->mem = mem;
	guard->next = guards;
	/* The handler runs on this thread: only the compiler could reorder. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	guards = guard;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

void gmem_guard_leave(struct gmem_guard *guard)
{
	struct gmem_guard **at = &guards;

	while (*at && *at != guard)
		at = &(*at)->next;
	if (*at)
		*at = guard->next;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/*
 * Each replaced page cuts a mapping in three, and their number is limited for the process: a peer
 * that takes away every other page loses the whole mapping, and nobody else theirs.
 */
#define HOLES_MAX 16

static bool put_zero_pages(void *at, size_t len)
{
	return mmap(at, len, PROT_READ | PROT_WRITE,
		    MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

/* The mapping that was touched there, and a map that holds it. */
static struct gmem_mapping *find_mapping(uintptr_t fault, struct gmem **mem)
{
	for (struct gmem_guard *g = guards; g; g = g->next) {
		for (uint32_t i = 0; i < g->mem->n; i++) {
			struct gmem_mapping *m = g->mem->regions[i].mapping;

			if (fault < (uintptr_t)m->base || fault - (uintptr_t)m->base >= m->len)
				continue;
			*mem = g->mem;
			return m;
		}
	}
	return NULL;
}

/* false: so many of its pages are lost that the rest had better go, too. */
static bool mark_lost(struct gmem_lineage *l, struct gmem_mapping *m)
{
	bool few;

	gmem_lineage_lock(l);
	m->lost = true;
	few = ++m->holes <= HOLES_MAX;
	list_for_each (at, &l->maps) {
		struct gmem *mem = list_entry(at, struct gmem, link);

		for (uint32_t i = 0; i < mem->n; i++)
			if (mem->regions[i].mapping == m)
				write_once(&mem->lost, true);
	}
	gmem_lineage_unlock(l);
	return few;
}

/* @granule: how much was lost at once, as far as the kernel says so. */
static bool replace_page(struct gmem_mapping *m, uintptr_t fault, size_t granule)
{
	size_t page = granule > m->page ? granule : m->page;
	size_t at = (fault - (uintptr_t)m->base) & ~(page - 1);
	size_t len = page < m->len - at ? page : m->len - at;

	return put_zero_pages(m->base + at, len);
}

/* Where the process has as many mappings as it may, none is made before some are gone. */
static bool replace_all(struct gmem_mapping *m)
{
	if (put_zero_pages(m->base, m->len))
		return true;
	return !munmap(m->base, m->len) && put_zero_pages(m->base, m->len);
}

static bool mend(const siginfo_t *info)
{
	uintptr_t fault = (uintptr_t)info->si_addr;
	struct gmem_mapping *m;
	struct gmem *mem;
	size_t granule = 0;

	/* Sent by somebody, not raised by a touch. */
	if (info->si_code <= 0)
		return false;
	m = find_mapping(fault, &mem);
	if (!m)
		return false;
	if (info->si_code == BUS_MCEERR_AR && (unsigned)info->si_addr_lsb < 8 * sizeof(granule) - 1)
		granule = (size_t)1 << info->si_addr_lsb;
	if (mark_lost(mem->lineage, m) && replace_page(m, fault, granule))
		return true;
	return replace_all(m);
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	int saved = errno;

	(void)context;
	if (info->si_code != BUS_MCEERR_AO && !mend(info)) {
		/*
		 * Not ours to mend: end as without a handler, when the instruction is taken again; one
		 * that was sent is not raised again by itself.
		 */
		signal(sig, SIG_DFL);
		if (info->si_code <= 0)
			raise(sig);
	}
	errno = saved;
}

int gmem_guard_install(struct error *err)
{
	struct sigaction sa = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};

	sigemptyset(&sa.sa_mask);
	if (sigaction(SIGBUS, &sa, NULL))
		return error_set(err, -errno, "cannot install the handler for lost memory");
	return 0;
}
