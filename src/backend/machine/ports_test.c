/* SPDX-License-Identifier: MIT */
/* What stands on the main bus by itself: power, keyboard controller; seen through their ports. */
#include "test.h"

#include "backend/machine/keyboard.h"
#include "backend/machine/power.h"
#include "backend/machine/serial.h"
#include "base/clock.h"

#include <string.h>

struct board {
	struct sysbus bus;
	struct sysbus_host host;
	bool level[24];
	struct serial serial;
	struct serial_line line;
	uint8_t sent[64];
	unsigned sent_n, room;
	struct power power;
	char messages[16];
	struct keyboard keyboard;
	char did[16];
	uint8_t value;
};

static void irq_set(struct sysbus_host *h, unsigned gsi, bool level)
{
	container_of(h, struct board, host)->level[gsi] = level;
}

static const struct sysbus_host_ops host_ops = {.irq_set = irq_set};

static bool sent(struct serial_line *line, uint8_t byte)
{
	struct board *b = container_of(line, struct board, line);

	b->sent[b->sent_n++] = byte;
	return b->sent_n < b->room;
}

static const struct serial_line_ops line_ops = {.sent = sent};

static void off(struct power *p)
{
	strcpy(container_of(p, struct board, power)->did, "off");
}

static void reset(struct power *p)
{
	strcpy(container_of(p, struct board, power)->did, "reset");
}

static void exits(struct power *p, uint8_t value)
{
	strcpy(container_of(p, struct board, power)->did, "exit");
	container_of(p, struct board, power)->value = value;
}

static void keyboard_resets(struct keyboard *k)
{
	strcpy(container_of(k, struct board, keyboard)->did, "reset");
}

static const struct keyboard_ops keyboard_ops = {.reset = keyboard_resets};
static void debug(struct power *p, char c)
{
	char *messages = container_of(p, struct board, power)->messages;

	messages[strlen(messages) % 15] = c;
}

static const struct power_ops power_ops = {
	.off = off, .reset = reset, .exit = exits, .debug = debug};

static void set_up(struct board *b)
{
	memset(b, 0, sizeof(*b));
	b->host.ops = &host_ops;
	sysbus_init(&b->bus, &b->host);
	b->line.ops = &line_ops;
	b->room = sizeof(b->sent);
	serial_init(&b->serial, &b->bus, 0x3f8, 4);
	b->serial.line = &b->line;
	power_init(&b->power, &b->bus, &power_ops);
	keyboard_init(&b->keyboard, &b->bus, &keyboard_ops);
}

static void out(struct board *b, uint64_t port, uint64_t v)
{
	sysbus_write(&b->bus, SYSBUS_PORT, port, v, 1);
}

static uint8_t in(struct board *b, uint64_t port)
{
	return (uint8_t)sysbus_read(&b->bus, SYSBUS_PORT, port, 1);
}

/* ---- keyboard controller ---- */

static uint8_t answer(struct board *b, uint8_t command)
{
	out(b, 0x64, command);
	assert_int_equal(in(b, 0x64) & 0x01, 0x01);
	return in(b, 0x60);
}

static void the_keyboard_controller_passes_its_tests(void **state)
{
	struct board b;

	(void)state;
	set_up(&b);
	assert_int_equal(in(&b, 0x64), 0x10);
	assert_int_equal(answer(&b, 0xaa), 0x55);
	assert_int_equal(in(&b, 0x64) & 0x05, 0x04);
	assert_int_equal(answer(&b, 0xab), 0x00);
	assert_int_equal(answer(&b, 0xd0), 0x03);
}

static void the_keyboard_controller_keeps_its_configuration(void **state)
{
	struct board b;

	(void)state;
	set_up(&b);
	out(&b, 0x64, 0x60);
	out(&b, 0x60, 0x47);
	assert_int_equal(answer(&b, 0x20), 0x47);
	out(&b, 0x64, 0xad);
	out(&b, 0x64, 0xa7);
	assert_int_equal(answer(&b, 0x20), 0x77);
	out(&b, 0x64, 0xae);
	out(&b, 0x64, 0xa8);
	assert_int_equal(answer(&b, 0x20), 0x47);
}

static void there_is_no_keyboard_and_no_mouse(void **state)
{
	struct board b;

	(void)state;
	set_up(&b);
	out(&b, 0x60, 0xff);
	assert_int_equal(in(&b, 0x64) & 0x61, 0x41);
	assert_int_equal(in(&b, 0x60), 0xfe);
	assert_int_equal(in(&b, 0x64) & 0x01, 0);
	out(&b, 0x64, 0xd4);
	out(&b, 0x60, 0xf4);
	assert_int_equal(in(&b, 0x64) & 0x61, 0x61);
	assert_int_equal(in(&b, 0x60), 0xfe);
	/* An echo is the controller's own. */
	out(&b, 0x64, 0xd2);
	out(&b, 0x60, 0x1c);
	assert_int_equal(in(&b, 0x64) & 0x61, 0x01);
	assert_int_equal(in(&b, 0x60), 0x1c);
}

static void the_keyboard_controller_resets_through_its_output_port(void **state)
{
	struct board b;

	(void)state;
	set_up(&b);
	out(&b, 0x64, 0xff);
	out(&b, 0x64, 0xd1);
	out(&b, 0x60, 0xdf); /* A20 on, as always */
	assert_string_equal(b.did, "");
	out(&b, 0x64, 0xd1);
	out(&b, 0x60, 0xfe);
	assert_string_equal(b.did, "reset");
}

static void the_keyboard_controller_says_what_its_bytes_are(void **state)
{
	struct board b;

	(void)state;
	set_up(&b);
	out(&b, 0x64, 0x60);
	out(&b, 0x60, 0x40);
	assert_int_equal(answer(&b, 0xaa), 0x55);
	assert_int_equal(answer(&b, 0x20), 0x44); /* it was tested */
	assert_int_equal(answer(&b, 0xa9), 0x00);
	assert_int_equal(answer(&b, 0xc0), 0x80);
	assert_int_equal(in(&b, 0x64), 0x1c); /* the last write was a command */
	out(&b, 0x64, 0xd3);
	out(&b, 0x60, 0x1d);
	assert_int_equal(in(&b, 0x64), 0x35);
	assert_int_equal(in(&b, 0x60), 0x1d);
	/* Nobody answered; what comes next is an answer again. */
	out(&b, 0x60, 0xf4);
	assert_int_equal(in(&b, 0x64), 0x55);
	assert_int_equal(answer(&b, 0xab), 0x00);
	assert_int_equal(in(&b, 0x64) & 0x60, 0);
	/* A command whose byte does not come is forgotten for the next one. */
	out(&b, 0x64, 0x60);
	out(&b, 0x64, 0xae);
	out(&b, 0x60, 0x7b);
	assert_int_equal(in(&b, 0x60), 0xfe);
	assert_int_equal(answer(&b, 0x20), 0x44);
	out(&b, 0x64, 0xd2);
	keyboard_reset(&b.keyboard);
	assert_int_equal(in(&b, 0x64), 0x10);
	assert_int_equal(in(&b, 0x60), 0);
	assert_int_equal(answer(&b, 0x20), 0);
	out(&b, 0x60, 0x7b);
	assert_int_equal(in(&b, 0x60), 0xfe);
	assert_int_equal(sysbus_read(&b.bus, SYSBUS_PORT, 0x64, 2), 0xff50);
	assert_string_equal(b.did, "");
}

/* ---- power ---- */

static void sleep_type_0_is_power_off(void **state)
{
	struct board b;

	(void)state;
	set_up(&b);
	sysbus_write(&b.bus, SYSBUS_PORT, 0x604, 0x2001 | 1 << 10, 2);
	assert_string_equal(b.did, "");
	sysbus_write(&b.bus, SYSBUS_PORT, 0x604, 0x2000, 2);
	assert_string_equal(b.did, "off");
}

static void three_ways_lead_to_a_reset(void **state)
{
	struct board b;

	(void)state;
	set_up(&b);
	out(&b, 0x64, 0xfe);
	assert_string_equal(b.did, "reset");
	set_up(&b);
	out(&b, 0xcf9, 0x02);
	assert_string_equal(b.did, "");
	out(&b, 0xcf9, 0x06);
	assert_string_equal(b.did, "reset");
	set_up(&b);
	out(&b, 0x92, in(&b, 0x92) | 1);
	assert_string_equal(b.did, "reset");
}

static void the_exit_port_takes_a_byte(void **state)
{
	struct board b;

	(void)state;
	set_up(&b);
	sysbus_write(&b.bus, SYSBUS_PORT, 0xf4, 0x10, 4);
	assert_string_equal(b.did, "exit");
	assert_int_equal(b.value, 0x10);
}

static void acpi_says_it_is_on_and_its_timer_runs(void **state)
{
	struct board b;
	uint32_t first;

	(void)state;
	set_up(&b);
	assert_int_equal(sysbus_read(&b.bus, SYSBUS_PORT, 0x604, 2) & 1, 1);
	first = (uint32_t)sysbus_read(&b.bus, SYSBUS_PORT, 0x608, 4);
	while ((uint32_t)sysbus_read(&b.bus, SYSBUS_PORT, 0x608, 4) == first)
		;
}

/* ACPI 6.5, 4.8.3: nothing ever happens, so that no status bit is ever set. */
static void acpi_event_and_control_registers(void **state)
{
	struct board b;

	(void)state;
	set_up(&b);
	sysbus_write(&b.bus, SYSBUS_PORT, 0x600, 0x03214321, 4);
	assert_int_equal(sysbus_read(&b.bus, SYSBUS_PORT, 0x600, 4), 0x03210000);
	sysbus_write(&b.bus, SYSBUS_PORT, 0x600, 0xffff, 2);
	assert_int_equal(sysbus_read(&b.bus, SYSBUS_PORT, 0x602, 2), 0x0321);
	sysbus_write(&b.bus, SYSBUS_PORT, 0x602, 0x0120, 2);
	assert_int_equal(sysbus_read(&b.bus, SYSBUS_PORT, 0x600, 4), 0x01200000);
	sysbus_write(&b.bus, SYSBUS_PORT, 0x604, 0x3c02, 2);
	assert_int_equal(sysbus_read(&b.bus, SYSBUS_PORT, 0x604, 2), 0x1c03);
	assert_int_equal(in(&b, 0x605), 0x1c);
	assert_string_equal(b.did, "");
	out(&b, 0xcf9, 0x0a);
	assert_int_equal(in(&b, 0xcf9), 0x0a);
	power_reset(&b.power);
	assert_int_equal(sysbus_read(&b.bus, SYSBUS_PORT, 0x600, 4), 0);
	assert_int_equal(sysbus_read(&b.bus, SYSBUS_PORT, 0x604, 2), 1);
	assert_int_equal(in(&b, 0xcf9), 0);
	assert_string_equal(b.did, "");
}

/* A part of a register changes that part. */
static void acpi_registers_byte_by_byte(void **state)
{
	struct board b;

	(void)state;
	set_up(&b);
	sysbus_write(&b.bus, SYSBUS_PORT, 0x602, 0x0321, 2);
	out(&b, 0x602, 0x44);
	assert_int_equal(sysbus_read(&b.bus, SYSBUS_PORT, 0x602, 2), 0x0344);
	out(&b, 0x603, 0x01);
	assert_int_equal(sysbus_read(&b.bus, SYSBUS_PORT, 0x602, 2), 0x0144);
	/* Both registers at once; at a place that is not theirs. */
	sysbus_write(&b.bus, SYSBUS_PORT, 0x601, 0x04abcd00, 4);
	assert_int_equal(sysbus_read(&b.bus, SYSBUS_PORT, 0x602, 2), 0xabcd);
	assert_int_equal(sysbus_read(&b.bus, SYSBUS_PORT, 0x604, 2), 0x0005);
	out(&b, 0x605, 0x1c);
	out(&b, 0x604, 0x02);
	assert_int_equal(sysbus_read(&b.bus, SYSBUS_PORT, 0x604, 2), 0x1c03);
	assert_string_equal(b.did, "");
	out(&b, 0x605, 0x20);
	assert_string_equal(b.did, "off");
}

/* Neighbours of 8 bits each, by one access of 16 or 32. */
static void wide_accesses_reach_every_port(void **state)
{
	struct board b;

	(void)state;
	set_up(&b);
	out(&b, 0x60, 0xff);
	assert_int_equal(sysbus_read(&b.bus, SYSBUS_PORT, 0x5f, 2), 0xfeff);
	out(&b, 0x60, 0xff);
	assert_int_equal(sysbus_read(&b.bus, SYSBUS_PORT, 0x61, 4), 0x51ffffff);
	out(&b, 0x3fb, 0x83);
	sysbus_write(&b.bus, SYSBUS_PORT, 0x3f8, 0x0102, 2);
	assert_int_equal(in(&b, 0x3f8), 0x02);
	assert_int_equal(in(&b, 0x3f9), 0x01);
	assert_int_equal(sysbus_read(&b.bus, SYSBUS_PORT, 0x3f8, 4), 0x83010102);
	sysbus_write(&b.bus, SYSBUS_PORT, 0x91, 0x0100, 2);
	assert_string_equal(b.did, "reset");
	set_up(&b);
	sysbus_write(&b.bus, SYSBUS_PORT, 0xcf8, 0x0600, 2);
	assert_string_equal(b.did, "reset");
	set_up(&b);
	sysbus_write(&b.bus, SYSBUS_PORT, 0xf3, 0x0700, 2);
	assert_string_equal(b.did, "exit");
	assert_int_equal(b.value, 7);
}

/* 3.579545 MHz, 24 bits: of ten seconds the remainder is left. */
static void the_acpi_timer_counts_at_its_pace(void **state)
{
	struct board b;
	uint64_t before, after;
	uint32_t ticks;

	(void)state;
	set_up(&b);
	b.power.born_ns = clock_ns() - 10 * NSEC_PER_SEC;
	before = clock_ns() - b.power.born_ns;
	ticks = (uint32_t)sysbus_read(&b.bus, SYSBUS_PORT, 0x608, 4);
	after = clock_ns() - b.power.born_ns;
	assert_true(ticks < 1 << 24);
	assert_true(ticks >= (before / 1000 * 3579545 / 1000000 & 0xffffff) ||
		    after >= 14000000000);
	assert_true(ticks <= ((after / 1000 + 1) * 3579545 / 1000000 & 0xffffff) ||
		    after >= 14000000000);
	/* Byte by byte, the upper ones too. */
	assert_int_equal(in(&b, 0x60b), 0);
	assert_true(in(&b, 0x60a) >= 2241018 >> 16 || after >= 14000000000);
}

static void small_ports(void **state)
{
	struct board b;

	(void)state;
	set_up(&b);
	assert_int_equal(in(&b, 0x92), 0x02);
	assert_int_equal(in(&b, 0xf4), 0xff);
	assert_int_equal(in(&b, 0x402), 0xe9);
	out(&b, 0x402, 'o');
	out(&b, 0x402, 'k');
	assert_string_equal(b.messages, "ok");
	out(&b, 0xf5, 3);
	out(&b, 0x92, 2);
	assert_string_equal(b.did, "");
	power_fini(&b.power);
	assert_int_equal(in(&b, 0x402), 0xff);
	assert_int_equal(in(&b, 0x92), 0xff);
	assert_int_equal(in(&b, 0x604), 0xff);
}

/* ---- all of them ---- */

static void random_accesses_do_no_harm(void **state)
{
	static const uint16_t ports[] = {0x60, 0x64, 0x70, 0x92, 0xf4, 0x3f8, 0x402, 0x600, 0xcf8};
	uint64_t seed = 3;
	struct board b;

	(void)state;
	set_up(&b);
	b.room = 0;
	for (unsigned i = 0; i < 200000; i++) {
		uint64_t port;
		unsigned size;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		port = ports[seed >> 61] + (seed >> 40) % 16;
		size = 1u << (seed >> 36) % 3;
		b.sent_n = 0;
		if (seed >> 35 & 1)
			sysbus_write(&b.bus, SYSBUS_PORT, port, seed >> 3, size);
		else
			sysbus_read(&b.bus, SYSBUS_PORT, port, size);
		if (!(i % 64))
			serial_receive(&b.serial, (const uint8_t *)&seed, 8);
		if (!(i % 128))
			serial_room(&b.serial);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_keyboard_controller_passes_its_tests),
		cmocka_unit_test(the_keyboard_controller_keeps_its_configuration),
		cmocka_unit_test(there_is_no_keyboard_and_no_mouse),
		cmocka_unit_test(the_keyboard_controller_resets_through_its_output_port),
		cmocka_unit_test(the_keyboard_controller_says_what_its_bytes_are),
		cmocka_unit_test(acpi_event_and_control_registers),
		cmocka_unit_test(acpi_registers_byte_by_byte),
		cmocka_unit_test(wide_accesses_reach_every_port),
		cmocka_unit_test(the_acpi_timer_counts_at_its_pace),
		cmocka_unit_test(small_ports),
		cmocka_unit_test(sleep_type_0_is_power_off),
		cmocka_unit_test(three_ways_lead_to_a_reset),
		cmocka_unit_test(the_exit_port_takes_a_byte),
		cmocka_unit_test(acpi_says_it_is_on_and_its_timer_runs),
		cmocka_unit_test(random_accesses_do_no_harm),
	};

	return cmocka_run_group_tests_name("ports", tests, NULL, NULL);
}
