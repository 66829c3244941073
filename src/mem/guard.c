/* SPDX-License-Identifier: MIT */
/*
 * Memory that goes away: a peer may shorten the file behind a region at any time, and the next
 * touch raises SIGBUS on the thread that did it.
 *
 * The handler knows from a thread-local pointer which map its thread is using; it puts an anonymous
 * page where the lost one was, so that the instruction can be taken again, and marks the mapping.
 * Whoever set the guard looks at gmem_lost() after its turn. Only calls that signal-safety(7)
 * allows or that are plain system calls (mmap) stand in the handler.
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

static bool put_zero_pages(void *at, size_t len)
{
	return mmap(at, len, PROT_READ | PROT_WRITE,
		    MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

static bool mend(struct gmem_mapping *m, uintptr_t fault)
{
	uintptr_t base = (uintptr_t)m->base, page = fault & ~(uintptr_t)4095;

	if (fault < base || fault - base >= m->len)
		return false;
	/*
	 * From here to the end: a file is cut at its end.  Inside a huge page that cannot be done:
	 * then the whole mapping is given up.
	 */
	if (!put_zero_pages((void *)page, m->len - (page - base)) &&
	    !put_zero_pages(m->base, m->len))
		return false;
	write_once(&m->lost, true);
	return true;
}

static bool mend_any(uintptr_t fault)
{
	bool mended = false;

	/* Several maps may hold the mapping; each of them must know. */
	for (struct gmem_guard *g = guards; g; g = g->next) {
		for (uint32_t i = 0; i < g->mem->n; i++) {
			struct gmem_mapping *m = g->mem->regions[i].mapping;

			if (!mended && mend(m, fault))
				mended = true;
			if (read_once(&m->lost))
				write_once(&g->mem->lost, true);
		}
	}
	return mended;
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	int saved = errno;

	(void)context;
	if (!mend_any((uintptr_t)info->si_addr)) {
		/* Not ours to mend: die as without a handler, when the instruction is taken again.
		 */
		signal(sig, SIG_DFL);
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
