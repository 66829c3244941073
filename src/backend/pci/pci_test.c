/* SPDX-License-Identifier: MIT */
/*
 * The PCI bus as a guest finds it: configuration mechanism 1, headers, BARs, pins; two
 * machines in one process.
 */
#include "test.h"

#include "backend/pci/host.h"
#include "backend/pci/piix3.h"

#include <errno.h>
#include <string.h>

struct machine {
	struct sysbus sysbus;
	struct sysbus_host below;
	struct pci_host host;
	struct piix3 isa;
	bool line[16];
};

static void irq_set(struct sysbus_host *h, unsigned gsi, bool level)
{
	container_of(h, struct machine, below)->line[gsi] = level;
}

static const struct sysbus_host_ops host_ops = {.irq_set = irq_set};

static void machine_init(struct machine *m)
{
	memset(m, 0, sizeof(*m));
	m->below.ops = &host_ops;
	sysbus_init(&m->sysbus, &m->below);
	pci_host_init(&m->host, &m->sysbus);
	assert_int_equal(piix3_init(&m->isa, &m->host, NULL), 0);
}
static void machine_fini(struct machine *m)
{
	piix3_fini(&m->isa);
	pci_host_fini(&m->host);
}

static void out(struct machine *m, uint16_t port, uint32_t v, unsigned size)
{
	sysbus_write(&m->sysbus, SYSBUS_PORT, port, v, size);
}
static uint32_t in(struct machine *m, uint16_t port, unsigned size)
{
	return (uint32_t)sysbus_read(&m->sysbus, SYSBUS_PORT, port, size);
}
static uint32_t config(struct machine *m, unsigned bus, unsigned devfn, unsigned offset)
{
	out(m, 0xcf8, PCI_CONFIG_ENABLE | bus << 16 | devfn << 8 | offset, 4);
	return in(m, 0xcfc, 4);
}

static uint64_t echo_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	(void)r;
	return offset * 16 + size;
}
static void echo_write(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size)
{
	(void)r;
	(void)offset;
	(void)value;
	(void)size;
}
static const struct sysbus_region_ops echo_ops = {
	.sizes = SYSBUS_ANY_SIZE, .unaligned = true, .read = echo_read, .write = echo_write};
static const struct pci_function_ops no_ops = {0};

static void card(struct pci_function *fn, const char *name)
{
	static const struct pci_identity id = {
		.vendor = 0x1234, .device = 0x5678, .class_code = 0xff0000, .pin = true};

	pci_function_init(fn, name, &no_ops, &id);
	pci_function_bar(fn, 0, "ports", PCI_BAR_IO, 32, &echo_ops);
	pci_function_bar(fn, 1, "memory", 0, 4096, &echo_ops);
	pci_function_bar(fn, 2, "memory64", PCI_BAR_64, 65536, &echo_ops);
}

static void mechanism_1(void **state)
{
	struct machine m;

	(void)state;
	machine_init(&m);
	assert_int_equal(config(&m, 0, 0, 0), 0x12378086);
	assert_int_equal(config(&m, 0, 8, 0), 0x70008086);
	assert_int_equal(config(&m, 0, 8, 0x0c) >> 16 & 0x80, 0x80);
	assert_int_equal(in(&m, 0xcf8, 4), PCI_CONFIG_ENABLE | 8 << 8 | 0x0c);
	/* Bytes and words of the data port. */
	config(&m, 0, 0, 0);
	assert_int_equal(in(&m, 0xcfc, 2), 0x8086);
	assert_int_equal(in(&m, 0xcfe, 2), 0x1237);
	assert_int_equal(in(&m, 0xcfd, 1), 0x80);
	/* Nobody there, another bus, not enabled. */
	assert_int_equal(config(&m, 0, 0x20, 0), 0xffffffff);
	assert_int_equal(config(&m, 1, 0, 0), 0xffffffff);
	out(&m, 0xcf8, 0, 4);
	assert_int_equal(in(&m, 0xcfc, 4), 0xffffffff);
	/* Narrow accesses do not change the address. */
	config(&m, 0, 0, 0);
	out(&m, 0xcf8, 8, 1);
	out(&m, 0xcf9, 0x06, 1);
	assert_int_equal(in(&m, 0xcfc, 2), 0x8086);
	for (unsigned size = 1; size < 4; size *= 2)
		for (uint16_t port = 0xcf8; port < 0xcfc; port = (uint16_t)(port + size))
			assert_int_equal(in(&m, port, size), BIT64(8 * size) - 1);
	machine_fini(&m);
}

static void kb_58_accesses_at_the_end(void **state)
{
	struct machine m;

	(void)state;
	machine_init(&m);
	for (unsigned offset = 0xf0; offset < 0x108; offset++)
		for (unsigned size = 1; size <= 4; size *= 2) {
			pci_bus_config_read(&m.host.bus, 0, offset, size);
			pci_bus_config_write(&m.host.bus, 0, offset, 0xffffffff, size);
		}
	assert_int_equal(pci_bus_config_read(&m.host.bus, 0, 0xff, 4), 0xffffff00);
	config(&m, 0, 0, 0xfc);
	assert_int_equal(in(&m, 0xcff, 4), 0xffffff00);
	assert_int_equal(config(&m, 0, 0, 0), 0x12378086);
	machine_fini(&m);
}

static void firmware_registers_hold_what_is_written(void **state)
{
	struct machine m;

	(void)state;
	machine_init(&m);
	for (unsigned at = 0x59; at < 0x60; at++) {
		pci_bus_config_write(&m.host.bus, 0, at, 0x33, 1);
		assert_int_equal(pci_bus_config_read(&m.host.bus, 0, at, 1),
				 at == 0x59 ? 0x30 : 0x33);
	}
	pci_bus_config_write(&m.host.bus, 0, 0x72, 0x4a, 1);
	assert_int_equal(pci_bus_config_read(&m.host.bus, 0, 0x72, 1), 0x4a);
	pci_host_reset(&m.host);
	assert_int_equal(pci_bus_config_read(&m.host.bus, 0, 0x5a, 1), 0);
	machine_fini(&m);
}

static void slots(void **state)
{
	struct pci_function a, b, c;
	struct machine m;
	struct error err;

	(void)state;
	machine_init(&m);
	card(&a, "a");
	card(&b, "b");
	card(&c, "c");
	assert_int_equal(pci_bus_attach(&m.host.bus, &a, -1, &err), 0);
	assert_int_equal(a.devfn, PCI_DEVFN(2, 0));
	assert_int_equal(pci_bus_attach(&m.host.bus, &b, PCI_DEVFN(2, 0), &err), -EBUSY);
	assert_non_null(strstr(err.text, "holds a a"));
	assert_int_equal(pci_bus_attach(&m.host.bus, &b, 256, &err), -EINVAL);
	assert_int_equal(pci_bus_attach(&m.host.bus, &b, -1, &err), 0);
	assert_int_equal(b.devfn, PCI_DEVFN(3, 0));
	assert_int_equal(pci_bus_attach(&m.host.bus, &b, 0x80, &err), -EBUSY);
	pci_bus_detach(&a);
	pci_bus_detach(&a);
	assert_int_equal(pci_bus_attach(&m.host.bus, &c, -1, &err), 0);
	assert_int_equal(c.devfn, PCI_DEVFN(2, 0));
	pci_bus_detach(&b);
	pci_bus_detach(&c);
	machine_fini(&m);
}

static void bars_follow_their_registers(void **state)
{
	struct pci_function a;
	struct machine m;

	(void)state;
	machine_init(&m);
	card(&a, "a");
	assert_int_equal(pci_bus_attach(&m.host.bus, &a, -1, NULL), 0);
	pci_function_config_write(&a, PCI_BAR0, 0xffffffff, 4);
	assert_int_equal(pci_function_config_read(&a, PCI_BAR0, 4), 0xffffffe1);
	pci_function_config_write(&a, PCI_BAR0 + 8, 0xffffffff, 4);
	pci_function_config_write(&a, PCI_BAR0 + 12, 0xffffffff, 4);
	assert_int_equal(pci_function_config_read(&a, PCI_BAR0 + 8, 4), 0xffff0004);
	assert_int_equal(pci_function_config_read(&a, PCI_BAR0 + 12, 4), 0xffffffff);
	assert_int_equal(pci_function_config_read(&a, PCI_BAR0 + 16, 4), 0);
	pci_function_config_write(&a, PCI_COMMAND, 3, 2);
	for (unsigned i = 0; i < PCI_BARS; i++)
		assert_false(a.bars[i].mapped);
	pci_function_config_write(&a, PCI_BAR0, 0xc000, 4);
	pci_function_config_write(&a, PCI_BAR0 + 4, 0xe0000000, 4);
	pci_function_config_write(&a, PCI_BAR0 + 8, 0, 4);
	pci_function_config_write(&a, PCI_BAR0 + 12, 5, 4);
	assert_int_equal(in(&m, 0xc010, 2), 0x102);
	assert_int_equal(sysbus_read(&m.sysbus, SYSBUS_MEMORY, 0xe0000008, 4), 0x84);
	assert_int_equal(sysbus_read(&m.sysbus, SYSBUS_MEMORY, UINT64_C(0x500000010), 4), 0x104);
	/* One byte of the address moves it. */
	pci_function_config_write(&a, PCI_BAR0 + 1, 0xd0, 1);
	assert_int_equal(in(&m, 0xc010, 1), 0xff);
	assert_int_equal(in(&m, 0xd010, 1), 0x01);
	/* BAR on BAR: the last one wins, and both survive it. */
	pci_function_config_write(&a, PCI_BAR0 + 8, 0xe0000000, 4);
	pci_function_config_write(&a, PCI_BAR0 + 12, 0, 4);
	assert_int_equal(sysbus_read(&m.sysbus, SYSBUS_MEMORY, 0xe0000008, 4), 0x84);
	pci_function_config_write(&a, PCI_COMMAND, 0, 2);
	assert_int_equal(sysbus_read(&m.sysbus, SYSBUS_MEMORY, 0xe0000008, 4), 0xffffffff);
	pci_function_config_write(&a, PCI_COMMAND, 3, 2);
	pci_function_reset(&a);
	assert_int_equal(in(&m, 0xd010, 1), 0xff);
	pci_bus_detach(&a);
	machine_fini(&m);
}

static void pins_share_lines(void **state)
{
	struct pci_function f[3];
	struct machine m;

	(void)state;
	machine_init(&m);
	for (unsigned i = 0; i < 3; i++)
		card(&f[i], "card");
	/* 3 and 7 lead to the same PIRQ; the third is one more function of slot 3. */
	assert_int_equal(pci_bus_attach(&m.host.bus, &f[0], PCI_DEVFN(3, 0), NULL), 0);
	assert_int_equal(pci_bus_attach(&m.host.bus, &f[1], PCI_DEVFN(7, 0), NULL), 0);
	assert_int_equal(pci_bus_attach(&m.host.bus, &f[2], PCI_DEVFN(3, 1), NULL), 0);
	assert_int_equal(piix3_line(&m.isa, 3, 0), piix3_line(&m.isa, 7, 0));
	for (unsigned i = 0; i < 3; i++) {
		pci_function_set_intx(&f[i], true);
		assert_true(m.line[11]);
	}
	pci_function_set_intx(&f[0], false);
	assert_true(m.line[11]);
	pci_function_set_intx(&f[2], false);
	assert_true(m.line[11]);
	/* One that leaves takes its level along. */
	pci_bus_detach(&f[1]);
	assert_false(m.line[11]);
	pci_bus_detach(&f[0]);
	pci_bus_detach(&f[2]);
	machine_fini(&m);
}

static void pins_on_other_lines_stay_as_they_are(void **state)
{
	struct pci_function a, b;
	struct machine m;

	(void)state;
	machine_init(&m);
	card(&a, "a");
	card(&b, "b");
	assert_int_equal(pci_bus_attach(&m.host.bus, &a, PCI_DEVFN(2, 0), NULL), 0);
	assert_int_equal(pci_bus_attach(&m.host.bus, &b, PCI_DEVFN(3, 0), NULL), 0);
	pci_function_set_intx(&a, true);
	pci_function_set_intx(&b, true);
	assert_true(m.line[10]);
	assert_true(m.line[11]);
	pci_function_set_intx(&b, false);
	assert_true(m.line[10]);
	assert_false(m.line[11]);
	pci_bus_detach(&a);
	pci_bus_detach(&b);
	machine_fini(&m);
}

static void two_machines_in_one_process(void **state)
{
	struct pci_function a;
	struct machine m, n;

	(void)state;
	machine_init(&m);
	machine_init(&n);
	card(&a, "a");
	assert_int_equal(pci_bus_attach(&m.host.bus, &a, -1, NULL), 0);
	assert_int_equal(config(&m, 0, PCI_DEVFN(2, 0), 0), 0x56781234);
	assert_int_equal(config(&n, 0, PCI_DEVFN(2, 0), 0), 0xffffffff);
	pci_function_set_intx(&a, true);
	assert_true(m.line[10]);
	assert_false(n.line[10]);
	pci_function_set_intx(&a, false);
	pci_bus_detach(&a);
	machine_fini(&m);
	machine_fini(&n);
}

static void capabilities_end_with_the_space(void **state)
{
	uint8_t cap[64] = {0};
	struct pci_function a;
	unsigned n = 0;

	(void)state;
	card(&a, "a");
	while (pci_function_add_cap(&a, PCI_CAP_VENDOR, cap, sizeof(cap)) > 0)
		n++;
	assert_int_equal(n, 3);
	assert_int_equal(pci_function_add_cap(&a, PCI_CAP_VENDOR, cap, 1), -ENOSPC);
	assert_int_equal(a.config[PCI_CAP_POINTER], 0x40);
	assert_int_equal(a.config[0x41], 0x80);
	assert_int_equal(a.config[a.last_cap + 1], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mechanism_1),
		cmocka_unit_test(kb_58_accesses_at_the_end),
		cmocka_unit_test(firmware_registers_hold_what_is_written),
		cmocka_unit_test(slots),
		cmocka_unit_test(bars_follow_their_registers),
		cmocka_unit_test(pins_share_lines),
		cmocka_unit_test(pins_on_other_lines_stay_as_they_are),
		cmocka_unit_test(two_machines_in_one_process),
		cmocka_unit_test(capabilities_end_with_the_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
