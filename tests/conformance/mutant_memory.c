/* SPDX-License-Identifier: MIT */
#include "conformance/mutant.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const struct region *region_of(const struct mutant *m, uint64_t gpa)
{
	for (unsigned i = 0; i < m->n_regions; i++)
		if (gpa >= m->regions[i].gpa && gpa - m->regions[i].gpa < m->regions[i].size)
			return &m->regions[i];
	return NULL;
}

static bool copy(const struct mutant *m, uint64_t gpa, void *bytes, uint64_t len, bool write)
{
	uint64_t at = gpa;
	uint8_t *b = bytes;

	/* All of it or nothing. */
	for (uint64_t done = 0; done < len;) {
		const struct region *r = region_of(m, gpa + done);

		if (!r || gpa + done < gpa) {
			if (is(m, M_DIE_OUTSIDE))
				abort();
			if (is(m, M_LENIENT) && done) {
				len = done;
				break;
			}
			return false;
		}
		done += r->size - (gpa + done - r->gpa);
	}
	while (len) {
		const struct region *r = region_of(m, at);
		uint64_t n = r->size - (at - r->gpa);

		n = n < len ? n : len;
		if (write)
			memcpy(r->host + (at - r->gpa), b, n);
		else
			memcpy(b, r->host + (at - r->gpa), n);
		at += n;
		b += n;
		len -= n;
	}
	return true;
}

bool guest_read(const struct mutant *m, uint64_t gpa, void *to, uint64_t len)
{
	return copy(m, gpa, to, len, false);
}

void guest_log(struct mutant *m, uint64_t gpa, uint64_t len)
{
	if (!m->log || !(m->features >> 26 & 1) || !len)
		return;
	for (uint64_t page = gpa / 4096; page <= (gpa + len - 1) / 4096; page++)
		if (page / 8 < m->log_size)
			__atomic_fetch_or(&m->log[page / 8], (uint8_t)(1u << page % 8),
					  __ATOMIC_RELAXED);
}

bool guest_write(struct mutant *m, uint64_t gpa, const void *from, uint64_t len)
{
	if (!copy(m, gpa, (void *)(uintptr_t)from, len, true))
		return false;
	if (!is(m, M_LOG_DATA) || len == 1)
		guest_log(m, gpa, len);
	return true;
}

void *guest_at_user(const struct mutant *m, uint64_t user, uint64_t len)
{
	for (unsigned i = 0; i < m->n_regions; i++) {
		const struct region *r = &m->regions[i];

		if (user >= r->user && user - r->user <= r->size &&
		    len <= r->size - (user - r->user))
			return r->host + (user - r->user);
	}
	return NULL;
}

void guest_forget(struct mutant *m)
{
	for (unsigned i = 0; i < m->n_regions; i++)
		munmap(m->regions[i].host, m->regions[i].size);
	m->n_regions = 0;
}
