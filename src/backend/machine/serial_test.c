/* SPDX-License-Identifier: MIT */
/* The serial port, seen through its eight ports, its line, its interrupt. */
#include "test.h"

#include "backend/machine/serial.h"

#include <string.h>

#define COM1 0x3f8

struct board {
	struct sysbus bus;
	struct sysbus_host host;
	bool level[24];
	struct serial serial;
	struct serial_line line;
	uint8_t sent[64];
	unsigned sent_n, room;
	unsigned taken; /* times that the guest had emptied the FIFO */
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

static void taken(struct serial_line *line)
{
	container_of(line, struct board, line)->taken++;
}

static const struct serial_line_ops line_ops = {.sent = sent, .taken = taken};

static void set_up(struct board *b)
{
	memset(b, 0, sizeof(*b));
	b->host.ops = &host_ops;
	sysbus_init(&b->bus, &b->host);
	b->line.ops = &line_ops;
	b->room = sizeof(b->sent);
	serial_init(&b->serial, &b->bus, COM1, 4);
	b->serial.line = &b->line;
}

static void out(struct board *b, uint64_t port, uint64_t v)
{
	sysbus_write(&b->bus, SYSBUS_PORT, port, v, 1);
}

static uint8_t in(struct board *b, uint64_t port)
{
	return (uint8_t)sysbus_read(&b->bus, SYSBUS_PORT, port, 1);
}

static unsigned receive(struct board *b, const char *text)
{
	return serial_receive(&b->serial, (const uint8_t *)text, (unsigned)strlen(text));
}

static void what_is_sent_goes_over_the_line(void **state)
{
	struct board b;

	(void)state;
	set_up(&b);
	out(&b, COM1, 'h');
	out(&b, COM1, 'i');
	assert_int_equal(b.sent_n, 2);
	assert_memory_equal(b.sent, "hi", 2);
	assert_int_equal(in(&b, COM1 + 5) & 0x60, 0x60);
}

static void a_full_line_holds_the_transmitter(void **state)
{
	struct board b;

	(void)state;
	set_up(&b);
	b.room = 1;
	out(&b, COM1 + 4, 8);
	out(&b, COM1, 'a');
	assert_int_equal(in(&b, COM1 + 5) & 0x60, 0);
	out(&b, COM1 + 1, 2);
	assert_false(b.level[4]);
	serial_room(&b.serial);
	assert_true(b.level[4]);
	assert_int_equal(in(&b, COM1 + 5) & 0x60, 0x60);
	assert_int_equal(in(&b, COM1 + 2) & 0x0f, 2);
	assert_false(b.level[4]); /* the reading was the acknowledgement */
}

static void what_arrives_interrupts_until_it_is_read(void **state)
{
	struct board b;

	(void)state;
	set_up(&b);
	out(&b, COM1 + 2, 1);
	out(&b, COM1 + 1, 1);
	out(&b, COM1 + 4, 8);
	assert_int_equal(serial_receive(&b.serial, (const uint8_t *)"0123456789abcdefgh", 18), 16);
	assert_true(b.level[4]);
	assert_int_equal(in(&b, COM1 + 2), 0xc4);
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(in(&b, COM1 + 5) & 1, 1);
		assert_int_equal(in(&b, COM1), "0123456789abcdef"[i]);
	}
	assert_int_equal(in(&b, COM1 + 5) & 1, 0);
	assert_false(b.level[4]);
}

static void without_fifos_there_is_room_for_one(void **state)
{
	struct board b;

	(void)state;
	set_up(&b);
	assert_int_equal(serial_receive(&b.serial, (const uint8_t *)"xy", 2), 1);
	assert_int_equal(in(&b, COM1), 'x');
}

static void without_out2_no_interrupt_leaves_the_card(void **state)
{
	struct board b;

	(void)state;
	set_up(&b);
	out(&b, COM1 + 1, 1);
	serial_receive(&b.serial, (const uint8_t *)"x", 1);
	assert_false(b.level[4]);
	out(&b, COM1 + 4, 8);
	assert_true(b.level[4]);
}

static void a_loop_comes_back(void **state)
{
	struct board b;

	(void)state;
	set_up(&b);
	out(&b, COM1 + 4, 0x1a);
	assert_int_equal(in(&b, COM1 + 6) & 0xf0, 0x90);
	out(&b, COM1, 'l');
	assert_int_equal(b.sent_n, 0);
	assert_int_equal(in(&b, COM1), 'l');
	out(&b, COM1, 'a');
	out(&b, COM1, 'b');
	assert_int_equal(in(&b, COM1 + 5) & 2, 2);
	assert_int_equal(in(&b, COM1 + 5) & 2, 0);
}

static void the_divisor_is_behind_its_latch(void **state)
{
	struct board b;

	(void)state;
	set_up(&b);
	out(&b, COM1 + 3, 0x83);
	out(&b, COM1, 0x34);
	out(&b, COM1 + 1, 0x12);
	assert_int_equal(in(&b, COM1), 0x34);
	assert_int_equal(in(&b, COM1 + 1), 0x12);
	out(&b, COM1 + 3, 0x03);
	assert_int_equal(in(&b, COM1 + 1), 0);
	assert_int_equal(b.sent_n, 0);
}

static void registers_keep_what_they_have(void **state)
{
	struct board b;

	(void)state;
	set_up(&b);
	for (unsigned i = 0; i < 8; i++)
		if (i != 0 && i != 2)
			out(&b, COM1 + i, 0xff & ~0x80u);
	assert_int_equal(in(&b, COM1 + 1), 0x0f);
	assert_int_equal(in(&b, COM1 + 3), 0x7f);
	assert_int_equal(in(&b, COM1 + 4), 0x1f);
	assert_int_equal(in(&b, COM1 + 5), 0x60);
	assert_int_equal(in(&b, COM1 + 7), 0x7f);
	/* In the loop: OUT2, OUT1, DTR, RTS one by one. */
	for (unsigned i = 0; i < 4; i++) {
		out(&b, COM1 + 4, 0x10 | 1u << i);
		assert_int_equal(in(&b, COM1 + 6), "\x20\x10\x40\x80"[i] & 0xff);
	}
	out(&b, COM1 + 4, 0);
	assert_int_equal(in(&b, COM1 + 6), 0xb0);
	assert_int_equal(sysbus_read(&b.bus, SYSBUS_PORT, COM1 + 7, 2) >> 8, 0xff);
	/* 9600 baud at power-on. */
	out(&b, COM1 + 3, 0x80);
	assert_int_equal(in(&b, COM1) | in(&b, COM1 + 1) << 8, 12);
}

static void the_first_cause_is_named_first(void **state)
{
	struct board b;

	(void)state;
	set_up(&b);
	out(&b, COM1 + 4, 0x18);
	out(&b, COM1, 'a');
	out(&b, COM1, 'b'); /* no room for it */
	/* Nothing is named that nobody listens to. */
	assert_int_equal(in(&b, COM1 + 2), 0x01);
	out(&b, COM1 + 1, 0x07);
	assert_false(b.level[4]); /* a loop is silent */
	out(&b, COM1 + 4, 0x08);
	assert_true(b.level[4]);
	assert_int_equal(in(&b, COM1 + 2), 0x06);
	assert_int_equal(in(&b, COM1 + 5), 0x63);
	assert_int_equal(in(&b, COM1 + 2), 0x04);
	assert_int_equal(in(&b, COM1), 'a');
	assert_int_equal(in(&b, COM1 + 2), 0x02);
	assert_false(b.level[4]);
	assert_int_equal(in(&b, COM1 + 2), 0x01);
	/* What was sent is told again only when more was. */
	out(&b, COM1 + 1, 0x07);
	assert_false(b.level[4]);
	out(&b, COM1, 'c');
	assert_true(b.level[4]);
	/* Room that nobody waited for is nothing new. */
	assert_int_equal(in(&b, COM1 + 2), 0x02);
	serial_room(&b.serial);
	assert_false(b.level[4]);
}

static void the_fifo_goes_round(void **state)
{
	struct board b;

	(void)state;
	set_up(&b);
	out(&b, COM1 + 2, 1);
	b.taken = 0;
	assert_int_equal(receive(&b, "0123456789ab"), 12);
	for (unsigned i = 0; i < 9; i++)
		assert_int_equal(in(&b, COM1), "0123456789ab"[i]);
	assert_int_equal(b.taken, 0);
	assert_int_equal(receive(&b, "cdefghijklmnopqr"), 13);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(in(&b, COM1), "9abcdefghijklmno"[i]);
	assert_int_equal(b.taken, 1);
	assert_int_equal(in(&b, COM1), 0);
	assert_int_equal(in(&b, COM1 + 2), 0xc1);
	/* What clears it, and what does not. */
	receive(&b, "xy");
	out(&b, COM1 + 2, 1);
	assert_int_equal(in(&b, COM1 + 5) & 1, 1);
	out(&b, COM1 + 2, 3);
	assert_int_equal(in(&b, COM1 + 5) & 1, 0);
	assert_int_equal(b.taken, 2);
	receive(&b, "xy");
	out(&b, COM1 + 2, 0);
	assert_int_equal(in(&b, COM1 + 5) & 1, 0);
	assert_int_equal(b.taken, 3);
	assert_int_equal(in(&b, COM1 + 2), 0x01);
}

/* Who waits for room in the FIFO is told when a reset of the machine has made some. */
static void a_reset_makes_room(void **state)
{
	struct board b;

	(void)state;
	set_up(&b);
	out(&b, COM1 + 2, 1);
	assert_int_equal(receive(&b, "0123456789abcdefgh"), SERIAL_FIFO);
	b.taken = 0;
	serial_reset(&b.serial);
	assert_int_equal(b.taken, 1);
	assert_int_equal(in(&b, COM1 + 5) & 1, 0);
}

static void a_full_line_loses_what_is_written_all_the_same(void **state)
{
	struct board b;

	(void)state;
	set_up(&b);
	b.room = 1;
	out(&b, COM1, 'a');
	out(&b, COM1, 'b');
	assert_int_equal(b.sent_n, 1);
	serial_room(&b.serial);
	out(&b, COM1, 'c');
	assert_int_equal(b.sent_n, 2);
	assert_memory_equal(b.sent, "ac", 2);
}

static void nothing_is_plugged_in(void **state)
{
	struct board b;

	(void)state;
	set_up(&b);
	b.serial.line = NULL;
	out(&b, COM1, 'a');
	assert_int_equal(in(&b, COM1 + 5), 0x60);
	receive(&b, "x");
	assert_int_equal(in(&b, COM1), 'x');
}

static void a_loop_sends_too(void **state)
{
	struct board b;

	(void)state;
	set_up(&b);
	out(&b, COM1 + 4, 0x10);
	out(&b, COM1 + 1, 0x02);
	assert_int_equal(in(&b, COM1 + 2), 0x02);
	assert_int_equal(in(&b, COM1 + 2), 0x01);
	out(&b, COM1, 'a');
	assert_int_equal(in(&b, COM1 + 2), 0x02);
}

static void in_a_loop_nothing_arrives(void **state)
{
	struct board b;

	(void)state;
	set_up(&b);
	out(&b, COM1 + 4, 0x10);
	assert_int_equal(receive(&b, "xyz"), 3);
	assert_int_equal(in(&b, COM1 + 5) & 1, 0);
}

static void a_reset_silences_the_port(void **state)
{
	struct board b;

	(void)state;
	set_up(&b);
	out(&b, COM1 + 3, 0x80);
	out(&b, COM1, 1);
	out(&b, COM1 + 3, 0x03);
	out(&b, COM1 + 7, 0x55);
	out(&b, COM1 + 2, 1);
	out(&b, COM1 + 1, 0x03);
	out(&b, COM1 + 4, 0x08);
	receive(&b, "xy");
	assert_true(b.level[4]);
	serial_reset(&b.serial);
	assert_false(b.level[4]);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(in(&b, COM1 + i), "\0\0\x01\0\0\x60\xb0\0"[i] & 0xff);
	out(&b, COM1 + 3, 0x80);
	assert_int_equal(in(&b, COM1), 12);
	serial_fini(&b.serial);
	assert_int_equal(in(&b, COM1 + 5), 0xff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sent_goes_over_the_line),
		cmocka_unit_test(a_full_line_holds_the_transmitter),
		cmocka_unit_test(what_arrives_interrupts_until_it_is_read),
		cmocka_unit_test(without_fifos_there_is_room_for_one),
		cmocka_unit_test(without_out2_no_interrupt_leaves_the_card),
		cmocka_unit_test(a_loop_comes_back),
		cmocka_unit_test(the_divisor_is_behind_its_latch),
		cmocka_unit_test(registers_keep_what_they_have),
		cmocka_unit_test(the_first_cause_is_named_first),
		cmocka_unit_test(the_fifo_goes_round),
		cmocka_unit_test(a_reset_makes_room),
		cmocka_unit_test(a_full_line_loses_what_is_written_all_the_same),
		cmocka_unit_test(nothing_is_plugged_in),
		cmocka_unit_test(a_loop_sends_too),
		cmocka_unit_test(in_a_loop_nothing_arrives),
		cmocka_unit_test(a_reset_silences_the_port),
	};

	return cmocka_run_group_tests_name("serial", tests, NULL, NULL);
}
