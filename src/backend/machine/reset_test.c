/* SPDX-License-Identifier: MIT */
/*
 * What a reset leaves: a firmware of a few instructions looks at the machine, changes it, pulls the
 * reset line, and looks again.  Only where this host's KVM can be used.
 */
#include "test.h"

#include "backend/machine/pc.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROM_BYTES 65536
#define NOTES	  0x10000 /* the guest's data segment */
#define FRESH	  0x100	  /* what it read at first */
#define CHANGED	  0x200	  /* after it had written */
#define RESET	  0x300	  /* after the reset */

/* A register: ports that lead to it, what is written; @index_port 0: none. */
struct look {
	const char *name;
	uint16_t index_port;
	uint32_t to_write, to_read; /* for that port, which has 32 bits if it is 0xcf8 */
	uint16_t port;
	uint8_t value;
	bool stays;
};

static const struct look looks[] = {
	{"serial scratch", 0, 0, 0, 0x3ff, 0x55, false},
	{"serial line control", 0, 0, 0, 0x3fb, 0x03, false},
	{"serial interrupts", 0, 0, 0, 0x3f9, 0x05, false},
	{"serial modem control", 0, 0, 0, 0x3fc, 0x0b, false},
	{"keyboard configuration", 0x64, 0x60, 0x20, 0x60, 0x47, false},
	{"clock interrupts", 0x70, 0x0b, 0x0b, 0x71, 0x22, false},
	{"clock memory", 0x70, 0x40, 0x40, 0x71, 0x5a, true},
	{"power events", 0, 0, 0, 0x602, 0x20, false},
	{"reset control", 0, 0, 0, 0xcf9, 0x02, false},
	{"PCI command", 0xcf8, 0x80000904, 0x80000904, 0xcfc, 0x05, false},
};

/* ---- the firmware, written instruction by instruction ---- */

struct code {
	uint8_t bytes[ROM_BYTES];
	size_t n;
};

static void emit(struct code *c, const char *bytes, size_t n)
{
	memcpy(c->bytes + c->n, bytes, n);
	c->n += n;
}
#define EMIT(c, text) emit(c, text, sizeof(text) - 1)

static void emit_le(struct code *c, uint32_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		c->bytes[c->n++] = (uint8_t)(v >> (8 * i));
}

static void emit_out(struct code *c, uint16_t port, uint32_t v, unsigned bytes)
{
	EMIT(c, "\xba"); /* mov $port, %dx */
	emit_le(c, port, 2);
	if (bytes == 4)
		EMIT(c, "\x66\xb8"); /* mov $v, %eax */
	else
		EMIT(c, "\xb0"); /* mov $v, %al */
	emit_le(c, v, bytes);
	if (bytes == 4)
		EMIT(c, "\x66\xef"); /* out %eax, %dx */
	else
		EMIT(c, "\xee"); /* out %al, %dx */
}

static void emit_index(struct code *c, const struct look *l, uint32_t v)
{
	if (l->index_port)
		emit_out(c, l->index_port, v, l->index_port == 0xcf8 ? 4 : 1);
}

static void emit_looks(struct code *c, uint16_t to)
{
	for (unsigned i = 0; i < ARRAY_SIZE(looks); i++) {
		emit_index(c, &looks[i], looks[i].to_read);
		EMIT(c, "\xba"); /* mov $port, %dx */
		emit_le(c, looks[i].port, 2);
		EMIT(c, "\xec\xa2"); /* in %dx, %al; mov %al, to + i */
		emit_le(c, to + i, 2);
	}
}

static void emit_all(struct code *c)
{
	size_t jump;

	EMIT(c, "\xfa\xb8\x00\x10\x8e\xd8");		 /* cli; mov $0x1000, %ax; mov %ax, %ds */
	EMIT(c, "\xa0\x00\x00\x3c\x01\x0f\x84\x00\x00"); /* mov 0, %al; cmp $1, %al; je after */
	jump = c->n;
	emit_looks(c, FRESH);
	for (unsigned i = 0; i < ARRAY_SIZE(looks); i++) {
		emit_index(c, &looks[i], looks[i].to_write);
		emit_out(c, looks[i].port, looks[i].value, 1);
	}
	emit_looks(c, CHANGED);
	EMIT(c, "\xc6\x06\x00\x00\x01"); /* movb $1, 0 */
	emit_out(c, 0xcf9, 0x06, 1);
	EMIT(c, "\xf4\xeb\xfd"); /* hlt; jmp to it */
	c->bytes[jump - 2] = (uint8_t)(c->n - jump);
	c->bytes[jump - 1] = (uint8_t)((c->n - jump) >> 8);
	emit_looks(c, RESET);
	emit_out(c, 0xf4, 0x2a, 1);
	EMIT(c, "\xf4\xeb\xfd");
}

static void make_rom(char *name)
{
	struct code *c = calloc(1, sizeof(*c));
	int fd;

	assert_non_null(c);
	emit_all(c);
	memcpy(c->bytes + 0xfff0, "\xea\x00\x00\x00\xf0", 5); /* ljmp $0xf000, $0 */
	strcpy(name, "/tmp/ringside-reset-XXXXXX");
	fd = mkstemp(name);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, c->bytes, ROM_BYTES), ROM_BYTES);
	close(fd);
	free(c);
}

static struct pc *run(bool no_reboot)
{
	char name[32];
	const struct pc_config config = {.memory = UINT64_C(4) << 20,
					 .cpus = 1,
					 .bios = name,
					 .workers = 1,
					 .no_reboot = no_reboot};
	struct disk_spec spec = {0};
	struct error err;
	struct pc *pc;

	make_rom(name);
	if (pc_create(&pc, &config, &err) || pc_use_kvm(pc, &config, &err))
		fail_msg("%s", err.text);
	unlink(name);
	assert_int_equal(disk_spec_parse("file=memory:1M", &spec, &err), 0);
	if (pc_add_ide(pc, &spec, &err) || pc_run(pc, &err))
		fail_msg("%s", err.text);
	disk_spec_fini(&spec);
	return pc;
}

/* ---- the rules ---- */

static void a_reset_puts_every_device_back(void **state)
{
	const uint8_t *notes;
	struct pc *pc;

	(void)state;
	if (access("/dev/kvm", R_OK | W_OK))
		skip();
	pc = run(false);
	assert_int_equal(pc->end, PC_EXIT);
	assert_int_equal(pc->exit_value, 0x2a);
	assert_int_equal(pc->resets, 1);
	notes = pc_memory_at(&pc->memory, NOTES, 0x400);
	for (unsigned i = 0; i < ARRAY_SIZE(looks); i++) {
		uint8_t want = looks[i].stays ? looks[i].value : notes[FRESH + i];

		if (notes[CHANGED + i] != looks[i].value)
			fail_msg("%s is 0x%02x", looks[i].name, notes[CHANGED + i]);
		if (notes[RESET + i] != want)
			fail_msg("%s is 0x%02x after a reset", looks[i].name, notes[RESET + i]);
	}
	pc_destroy(&pc);
}

static void a_reset_ends_the_run_where_that_is_wanted(void **state)
{
	struct pc *pc;

	(void)state;
	if (access("/dev/kvm", R_OK | W_OK))
		skip();
	pc = run(true);
	assert_int_equal(pc->end, PC_RESET);
	assert_int_equal(pc->resets, 0);
	pc_destroy(&pc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reset_puts_every_device_back),
		cmocka_unit_test(a_reset_ends_the_run_where_that_is_wanted),
	};

	return cmocka_run_group_tests_name("reset", tests, NULL, NULL);
}
