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

static _Thread_local struct gmem *guarded __attribute__((tls_model("initial-exec")));

void gmem_guard(struct gmem *mem)
{
	guarded = mem;
	/* The handler runs on this thread: only the compiler could reorder. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static bool replace_page(uintptr_t fault)
{
	struct gmem *mem = guarded;

	if (!mem)
		return false;
	for (uint32_t i = 0; i < mem->n; i++) {
		struct gmem_mapping *m = mem->regions[i].mapping;
		uintptr_t base = (uintptr_t)m->base, page = fault & ~(uintptr_t)4095;
		size_t left;

		if (fault < base || fault - base >= m->len)
			continue;
		/* From here to the end: a file is cut at its end, and huge pages cannot be replaced
		 * one small page at a time. */
		left = m->len - (page - base);
		if (mmap((void *)page, left, PROT_READ | PROT_WRITE,
			 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			 0) == MAP_FAILED) {
			page = base; /* inside a huge page: give the whole mapping up */
			if (mmap((void *)page, m->len, PROT_READ | PROT_WRITE,
				 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
				 0) == MAP_FAILED)
				return false;
		}
		write_once(&m->lost, true);
		write_once(&mem->lost, true);
		return true;
	}
	return false;
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	int saved = errno;

	(void)context;
	if (!replace_page((uintptr_t)info->si_addr)) {
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
