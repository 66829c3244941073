/* SPDX-License-Identifier: MIT */
#include "frontend/pci/iova.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Below 4 GiB are the windows of PCI bridges, which may catch an access before the IOMMU sees it.
 */
#define PREFERRED (UINT64_C(1) << 32)
#define LOWEST	  (UINT64_C(1) << 20)

void iova_init(struct iova_space *s, uint64_t page)
{
	*s = (struct iova_space){.page = page};
}

void iova_allow(struct iova_space *s, uint64_t first, uint64_t last)
{
	if (first <= last && s->n_allowed < IOVA_RANGES_MAX)
		s->allowed[s->n_allowed++] = (struct iova_range){first, last};
}

/* What is taken and overlaps [at, at + size), which does not run over the end. */
static const struct iova_range *in_the_way(const struct iova_space *s, uint64_t at, uint64_t size)
{
	for (unsigned i = 0; i < s->n_taken; i++)
		if (at <= s->taken[i].last && at + (size - 1) >= s->taken[i].first)
			return &s->taken[i];
	return NULL;
}

/* The first free place in a range from @from on. */
static bool find(const struct iova_space *s, const struct iova_range *r, uint64_t from,
		 uint64_t size, uint64_t *at)
{
	uint64_t first = r->first > from ? r->first : from;

	for (;;) {
		const struct iova_range *t;

		/* Up to the next page, unless that is beyond the end of all addresses. */
		if (first > UINT64_MAX - (s->page - 1))
			return false;
		first = (first + s->page - 1) & ~(s->page - 1);
		if (first > r->last || r->last - first < size - 1)
			return false;
		t = in_the_way(s, first, size);
		if (!t) {
			*at = first;
			return true;
		}
		if (t->last == UINT64_MAX)
			return false;
		first = t->last + 1;
	}
}

int iova_take(struct iova_space *s, uint64_t size, uint64_t *at)
{
	static const uint64_t from[] = {PREFERRED, LOWEST};

	if (!size || size % s->page)
		return -EINVAL;
	if (s->n_taken == IOVA_TAKEN_MAX)
		return -ENOSPC;
	for (unsigned f = 0; f < 2; f++)
		for (unsigned i = 0; i < s->n_allowed; i++)
			if (find(s, &s->allowed[i], from[f], size, at)) {
				s->taken[s->n_taken++] = (struct iova_range){*at, *at + (size - 1)};
				return 0;
			}
	return -ENOSPC;
}

void iova_give(struct iova_space *s, uint64_t at)
{
	for (unsigned i = 0; i < s->n_taken; i++)
		if (s->taken[i].first == at) {
			s->taken[i] = s->taken[--s->n_taken];
			return;
		}
}
