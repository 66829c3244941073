/* SPDX-License-Identifier: MIT */
#include "backend/machine/power.h"

#include "base/clock.h"

#define A20		 0x02
#define PORT92_RESET	 0x01
#define RESET_CPU	 0x04
#define PM1_ENABLE	 2
#define PM1_CONTROL	 4
#define PM1_SCI_EN	 0x0001
#define PM1_SLEEP_TYPE	 0x1c00
#define PM1_SLEEP_ENABLE 0x2000
#define PM_TIMER_HZ	 3579545

static uint64_t all_ones(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	(void)r;
	(void)offset;
	(void)size;
	return UINT64_MAX;
}

/* ---- system control ---- */

static uint64_t port92_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	(void)r;
	(void)offset;
	(void)size;
	return A20;
}

static void port92_write(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size)
{
	struct power *p = container_of(r, struct power, port92);

	(void)offset;
	(void)size;
	if (value & PORT92_RESET)
		p->ops->reset(p);
}

/* ---- exit and debug ---- */

static void exit_write(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size)
{
	struct power *p = container_of(r, struct power, exit);

	(void)size;
	if (!offset)
		p->ops->exit(p, (uint8_t)value);
}

/* Firmware asks whether somebody listens. */
static uint64_t debug_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	(void)r;
	(void)offset;
	(void)size;
	return 0xe9;
}

static void debug_write(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size)
{
	struct power *p = container_of(r, struct power, debug);

	(void)offset;
	(void)size;
	if (p->ops->debug)
		p->ops->debug(p, (char)value);
}

/* ---- reset control ---- */

static uint64_t control_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	(void)offset;
	(void)size;
	return container_of(r, struct power, control)->reset_control;
}

static void control_write(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size)
{
	struct power *p = container_of(r, struct power, control);

	(void)offset;
	(void)size;
	p->reset_control = value & 0x0a;
	if (value & RESET_CPU)
		p->ops->reset(p);
}

/* ---- ACPI ---- */

static uint32_t timer(const struct power *p)
{
	uint64_t ns = clock_ns() - p->born_ns;

	return (uint32_t)(((unsigned __int128)ns * PM_TIMER_HZ / NSEC_PER_SEC) & 0xffffff);
}

static uint64_t pm_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	const struct power *p = container_of(r, struct power, pm);
	/* The status comes first: nothing ever happens. */
	const uint64_t all = (uint64_t)p->pm1_enable << 16 | (uint64_t)p->pm1_control << 32;

	(void)size;
	return offset >= 8 ? timer(p) >> (offset - 8) * 8 : all >> offset * 8;
}

static void pm_write_byte(struct power *p, unsigned at, uint8_t v)
{
	switch (at) {
	case PM1_ENABLE:
		p->pm1_enable = (uint16_t)((p->pm1_enable & 0xff00) | v);
		break;
	case PM1_ENABLE + 1:
		p->pm1_enable = (uint16_t)((p->pm1_enable & 0xff) | v << 8);
		break;
	case PM1_CONTROL:
		p->pm1_control = (uint16_t)((p->pm1_control & 0xff00) | v | PM1_SCI_EN);
		break;
	case PM1_CONTROL + 1:
		p->pm1_control = (uint16_t)((p->pm1_control & 0xff) | (v << 8 & ~PM1_SLEEP_ENABLE));
		if (v << 8 & PM1_SLEEP_ENABLE && !(v << 8 & PM1_SLEEP_TYPE))
			p->ops->off(p);
		break;
	default: /* status bits are never set, the timer runs by itself */
		break;
	}
}

static void pm_write(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size)
{
	struct power *p = container_of(r, struct power, pm);

	for (unsigned i = 0; i < size; i++)
		pm_write_byte(p, (unsigned)offset + i, (uint8_t)(value >> 8 * i));
}

/* ---- life ---- */

static const struct sysbus_region_ops port92_ops = {
	.sizes = SYSBUS_BYTE,
	.read = port92_read,
	.write = port92_write,
};

static const struct sysbus_region_ops exit_ops = {
	.sizes = SYSBUS_BYTE,
	.read = all_ones,
	.write = exit_write,
};

static const struct sysbus_region_ops debug_ops = {
	.sizes = SYSBUS_BYTE,
	.read = debug_read,
	.write = debug_write,
};

static const struct sysbus_region_ops pm_ops = {
	.sizes = SYSBUS_UP_TO_DWORD,
	.read = pm_read,
	.write = pm_write,
};

static const struct sysbus_region_ops control_ops = {
	.sizes = SYSBUS_BYTE,
	.read = control_read,
	.write = control_write,
};

static void map(struct sysbus *bus, struct sysbus_region *r, const char *name, uint64_t port,
		uint64_t size, const struct sysbus_region_ops *ops)
{
	*r = (struct sysbus_region){.name = name, .space = SYSBUS_PORT, .size = size, .ops = ops};
	sysbus_map(bus, r, port);
}

void power_init(struct power *p, struct sysbus *bus, const struct power_ops *ops)
{
	*p = (struct power){.ops = ops, .born_ns = clock_ns()};
	map(bus, &p->port92, "system-control", 0x92, 1, &port92_ops);
	map(bus, &p->exit, "exit-port", 0xf4, 4, &exit_ops);
	map(bus, &p->debug, "debug-port", 0x402, 1, &debug_ops);
	map(bus, &p->pm, "acpi-pm", POWER_PM_BASE, 12, &pm_ops);
	map(bus, &p->control, "reset-control", POWER_RESET, 1, &control_ops);
	power_reset(p);
}

void power_fini(struct power *p)
{
	struct sysbus_region *const all[] = {&p->port92, &p->exit, &p->debug, &p->pm, &p->control};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		sysbus_unmap(all[i]);
}

void power_reset(struct power *p)
{
	p->pm1_enable = 0;
	p->pm1_control = PM1_SCI_EN;
	p->reset_control = 0;
}
