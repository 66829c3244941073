/* SPDX-License-Identifier: MIT */
/*
 * What a reset leaves: a firmware of a few instructions looks at the machine, changes it, pulls the
 * reset line, and looks again.  Only where this host's KVM can be used.
 */
#include "test.h"

#include "backend/machine/pc.h"
#include "base/clock.h"

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

/* In 32-bit mode, for some KVMs emulate real mode: no exception has a handler, and then one comes. */
static void emit_crash(struct code *c)
{
	EMIT(c, "\xfa\x2e\x66\x0f\x01\x16\x00\x02"); /* cli; lgdt %cs:0x200        */
	EMIT(c, "\x0f\x20\xc0\x0c\x01\x0f\x22\xc0"); /* cr0 |= 1                   */
	EMIT(c, "\x66\xea\x40\x00\x0f\x00\x08\x00"); /* ljmp $8, $0xf0040          */
	c->n = 0x40;
	EMIT(c, "\x2e\x0f\x01\x1d\x00\x01\x0f\x00\x0f\x0b"); /* lidt %cs:0xf0100, 0s; ud2  */
	c->n = 0x200;
	EMIT(c, "\x0f\x00\x10\x02\x0f\x00"); /* its limit and address */
	c->n = 0x218;
	EMIT(c, "\xff\xff\x00\x00\x00\x9a\xcf\x00"); /* flat code */
}

static void make_rom(char *name, void (*emit_code)(struct code *c))
{
	struct code *c = calloc(1, sizeof(*c));
	int fd;

	assert_non_null(c);
	emit_code(c);
	memcpy(c->bytes + 0xfff0, "\xea\x00\x00\x00\xf0", 5); /* ljmp $0xf000, $0 */
	strcpy(name, "/tmp/ringside-reset-XXXXXX");
	fd = mkstemp(name);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, c->bytes, ROM_BYTES), ROM_BYTES);
	close(fd);
	free(c);
}

static struct pc *make(bool no_reboot, void (*emit_code)(struct code *c))
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

	make_rom(name, emit_code);
	if (pc_create(&pc, &config, &err) || pc_use_kvm(pc, &config, &err))
		fail_msg("%s", err.text);
	unlink(name);
	assert_int_equal(disk_spec_parse("file=memory:1M", &spec, &err), 0);
	if (pc_add_ide(pc, &spec, &err))
		fail_msg("%s", err.text);
	disk_spec_fini(&spec);
	return pc;
}

static struct pc *run(bool no_reboot)
{
	struct pc *pc = make(no_reboot, emit_all);
	struct error err;

	if (pc_run(pc, &err))
		fail_msg("%s", err.text);
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

/* ---- a guest that only crashes ---- */

#define LOOK_NS (5 * NSEC_PER_MSEC)

struct stopper {
	struct pc *pc;
	struct reactor_timer timer;
};

/* Stops the machine in the middle of its third rest. */
static void stop_in_a_pause(struct reactor_timer *t)
{
	struct stopper *s = container_of(t, struct stopper, timer);

	if (s->pc->crashes.pausing && s->pc->resets >= 3)
		pc_stop(s->pc);
	else
		reactor_timer_start(pc_home(s->pc), t, LOOK_NS);
}

static void a_machine_that_rests_after_a_crash_can_be_stopped(void **state)
{
	struct stopper s;
	struct error err;

	(void)state;
	if (access("/dev/kvm", R_OK | W_OK))
		skip();
	s.pc = make(false, emit_crash);
	reactor_timer_init(&s.timer, stop_in_a_pause);
	reactor_timer_start(pc_home(s.pc), &s.timer, LOOK_NS);
	if (pc_run(s.pc, &err))
		fail_msg("%s", err.text);
	if (s.pc->end != PC_STOPPED)
		fail_msg("%s", s.pc->failure);
	assert_true(s.pc->crashes.pausing);
	assert_non_null(strstr(s.pc->failure, "triple fault, at 0x8:0xf0048 in 32-bit mode"));
	pc_destroy(&s.pc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reset_puts_every_device_back),
		cmocka_unit_test(a_reset_ends_the_run_where_that_is_wanted),
		cmocka_unit_test(a_machine_that_rests_after_a_crash_can_be_stopped),
	};

	log_setup(LOG_LEVEL_ERR, NULL, NULL);
	return cmocka_run_group_tests_name("reset", tests, NULL, NULL);
}
