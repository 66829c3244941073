/* SPDX-License-Identifier: MIT */
#include "backend/machine/memory.h"

#include "base/bits.h"

#include <errno.h>
#include <sys/mman.h>

static int add(struct pc_memory *m, uint64_t gpa, uint64_t size, uint64_t offset, struct error *err)
{
	struct gmem *map;
	int rc;

	if (!size)
		return 0;
	rc = gmem_with_host(m->map, gpa, size, 0, m->host + offset, &map, err);
	if (rc)
		return rc;
	gmem_put(m->map);
	m->map = map;
	return 0;
}

int pc_memory_init(struct pc_memory *m, uint64_t size, struct error *err)
{
	void *host;
	int rc;

	*m = (struct pc_memory){.size = size, .low = min_u64(size, PC_PCI_HOLE)};
	host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		    -1, 0);
	if (host == MAP_FAILED)
		return error_set(err, -errno, "cannot get %llu MiB of memory for the guest",
				 (unsigned long long)(size >> 20));
	m->host = host;
	madvise(host, size, MADV_HUGEPAGE);
	rc = add(m, 0, PC_LOW_HOLE, 0, err);
	if (!rc)
		rc = add(m, PC_LOW_HOLE_END, m->low - PC_LOW_HOLE_END, PC_LOW_HOLE_END, err);
	if (!rc)
		rc = add(m, PC_HIGH, size - m->low, m->low, err);
	if (rc)
		pc_memory_fini(m);
	return rc;
}

void pc_memory_fini(struct pc_memory *m)
{
	gmem_put(m->map);
	if (m->host)
		munmap(m->host, m->size);
	*m = (struct pc_memory){0};
}

unsigned pc_memory_e820(const struct pc_memory *m, struct e820_entry *out)
{
	const struct {
		uint64_t from, to;
		uint32_t type;
	} ranges[] = {
		{0, PC_LOW_HOLE, E820_RAM},
		{PC_ACPI, PC_MPTABLE + PC_MPTABLE_SIZE, E820_RESERVED},
		{PC_MPTABLE + PC_MPTABLE_SIZE, m->low, E820_RAM},
		{0xfec00000, PC_HIGH, E820_RESERVED},
		{PC_HIGH, PC_HIGH + m->size - m->low, E820_RAM},
	};
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		if (ranges[i].from == ranges[i].to)
			continue;
		out[n++] = (struct e820_entry){
			.addr = le64_make(ranges[i].from),
			.size = le64_make(ranges[i].to - ranges[i].from),
			.type = le32_make(ranges[i].type),
		};
	}
	return n;
}

void *pc_memory_at(const struct pc_memory *m, uint64_t gpa_first, uint64_t len)
{
	struct gmem_hint hint = {0};

	return gmem_at(m->map, &hint, gpa(gpa_first), len);
}
