/* SPDX-License-Identifier: MIT */
#include "backend/sysbus/sysbus.h"

#include "base/endian.h"

#include <assert.h>
#include <string.h>

void sysbus_init(struct sysbus *bus, struct sysbus_host *host)
{
	bus->host = host;
	list_init(&bus->ports);
	list_init(&bus->memory);
}

static struct list *space_of(struct sysbus *bus, enum sysbus_space space)
{
	return space == SYSBUS_PORT ? &bus->ports : &bus->memory;
}

void sysbus_unmap(struct sysbus_region *r)
{
	if (r->link.next)
		list_del(&r->link);
}

void sysbus_map(struct sysbus *bus, struct sysbus_region *r, uint64_t base)
{
	assert(r->ops->sizes && !(r->ops->sizes & ~(unsigned)SYSBUS_ANY_SIZE));
	sysbus_unmap(r);
	r->base = base;
	/* In front: behind the head's next. */
	list_add_tail(space_of(bus, r->space)->next, &r->link);
}

static struct sysbus_region *find(struct sysbus *bus, enum sysbus_space space, uint64_t addr)
{
	list_for_each (l, space_of(bus, space)) {
		struct sysbus_region *r = list_entry(l, struct sysbus_region, link);

		if (addr >= r->base && addr - r->base < r->size)
			return r;
	}
	return NULL;
}

/*
 * How many of the @left bytes of an access the region at @addr takes at once; 0: not even the
 * first.
 */
static unsigned piece_size(const struct sysbus_region *r, uint64_t addr, unsigned left)
{
	uint64_t room = r->size - (addr - r->base);

	for (unsigned size = 8; size; size /= 2)
		if (r->ops->sizes & size && size <= left && size <= room &&
		    (r->ops->unaligned || !(addr % size)))
			return size;
	return 0;
}

static uint64_t ones(unsigned size)
{
	return size >= 8 ? UINT64_MAX : BIT64(size * 8) - 1;
}

uint64_t sysbus_read(struct sysbus *bus, enum sysbus_space space, uint64_t addr, unsigned size)
{
	uint64_t value = ones(size);

	/* Each piece is looked for anew: the one before it may have moved what stands there. */
	for (unsigned at = 0, n; at < size; at += n ? n : 1) {
		struct sysbus_region *r = find(bus, space, addr + at);
		uint64_t piece;

		n = r ? piece_size(r, addr + at, size - at) : 0;
		if (!n)
			continue;
		piece = r->ops->read(r, addr + at - r->base, n) & ones(n);
		value = (value & ~(ones(n) << 8 * at)) | piece << 8 * at;
	}
	return value;
}

void sysbus_write(struct sysbus *bus, enum sysbus_space space, uint64_t addr, uint64_t value,
		  unsigned size)
{
	for (unsigned at = 0, n; at < size; at += n ? n : 1) {
		struct sysbus_region *r = find(bus, space, addr + at);

		n = r ? piece_size(r, addr + at, size - at) : 0;
		if (n)
			r->ops->write(r, addr + at - r->base, value >> 8 * at & ones(n), n);
	}
}

uint64_t sysbus_region_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	uint64_t value = ones(size);

	for (unsigned at = 0, n; at < size; at += n ? n : 1) {
		uint64_t piece;

		n = piece_size(r, r->base + offset + at, size - at);
		if (!n)
			continue;
		piece = r->ops->read(r, offset + at, n) & ones(n);
		value = (value & ~(ones(n) << 8 * at)) | piece << 8 * at;
	}
	return value;
}

void sysbus_region_write(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size)
{
	for (unsigned at = 0, n; at < size; at += n ? n : 1) {
		n = piece_size(r, r->base + offset + at, size - at);
		if (n)
			r->ops->write(r, offset + at, value >> 8 * at & ones(n), n);
	}
}

/* The region that takes every access of a string as it is; NULL: they go one by one. */
static struct sysbus_region *takes_string(struct sysbus *bus, uint64_t port, unsigned size)
{
	struct sysbus_region *r = find(bus, SYSBUS_PORT, port);

	return r && piece_size(r, port, size) == size ? r : NULL;
}

void sysbus_read_string(struct sysbus *bus, uint64_t port, uint8_t *data, unsigned size,
			uint32_t count)
{
	struct sysbus_region *r = takes_string(bus, port, size);

	if (r && r->ops->read_string && r->ops->read_string(r, port - r->base, data, size, count))
		return;
	/* A device may move while it is read. */
	for (uint32_t i = 0; i < count; i++, data += size) {
		le64 v = le64_make(sysbus_read(bus, SYSBUS_PORT, port, size));

		memcpy(data, &v, size);
	}
}

void sysbus_write_string(struct sysbus *bus, uint64_t port, const uint8_t *data, unsigned size,
			 uint32_t count)
{
	struct sysbus_region *r = takes_string(bus, port, size);

	if (r && r->ops->write_string && r->ops->write_string(r, port - r->base, data, size, count))
		return;
	for (uint32_t i = 0; i < count; i++, data += size) {
		le64 v = {0};

		memcpy(&v, data, size);
		sysbus_write(bus, SYSBUS_PORT, port, le64_get(v), size);
	}
}

/* ---- the host ---- */

void sysbus_irq_set(struct sysbus *bus, unsigned gsi, bool level)
{
	const struct sysbus_host_ops *host = sysbus_host_of(bus);

	if (host && host->irq_set)
		host->irq_set(bus->host, gsi, level);
}

void sysbus_wait_while(struct sysbus *bus, const bool *busy)
{
	const struct sysbus_host_ops *host = sysbus_host_of(bus);

	while (*busy && host && host->wait && host->wait(bus->host))
		;
}
