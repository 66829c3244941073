/* SPDX-License-Identifier: MIT */
#include "backend/sysbus/sysbus.h"

void sysbus_init(struct sysbus *bus, const struct sysbus_host_ops *host)
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

static uint64_t ones(unsigned size)
{
	return size >= 8 ? UINT64_MAX : BIT64(size * 8) - 1;
}

uint64_t sysbus_read(struct sysbus *bus, enum sysbus_space space, uint64_t addr, unsigned size)
{
	struct sysbus_region *r = find(bus, space, addr);

	return r ? r->ops->read(r, addr - r->base, size) & ones(size) : ones(size);
}

void sysbus_write(struct sysbus *bus, enum sysbus_space space, uint64_t addr, uint64_t value,
		  unsigned size)
{
	struct sysbus_region *r = find(bus, space, addr);

	if (r)
		r->ops->write(r, addr - r->base, value & ones(size), size);
}
