/* SPDX-License-Identifier: MIT */
#include "guest/irq.h"

#include "guest/console.h"
#include "guest/cpu.h"
#include "guest/power.h"

#include <stddef.h>

#define EXCEPTIONS	32
#define VECTOR_TIMER	0x30
#define VECTOR_SPURIOUS 0x3f
#define VECTOR_MESSAGE	0x40 /* the first of them */
_Static_assert(VECTOR_MESSAGE + IRQ_MESSAGES <= IRQ_VECTORS, "each has an entry");

#define ENTRY_BYTES  16 /* start.S */
#define CODE_SEGMENT 8
#define GATE	     0x8e00 /* present, of 32 bits, interrupts stay off */

struct gate {
	uint16_t low, segment, kind, high;
};

struct frame {
	uint32_t edi, esi, ebp, esp, ebx, edx, ecx, eax;
	uint32_t vector, error;
	uint32_t eip, cs, eflags;
};

static uint32_t taken;

static struct gate idt[IRQ_VECTORS];

static struct {
	void (*call)(int arg);
	int arg;
} messages[IRQ_MESSAGES];

extern const char irq_entries[];
void irq_dispatch(const struct frame *f);

/* ---- the local APIC ---- */

#define APIC	       0xfee00000u
#define APIC_ID	       0x20
#define APIC_EOI       0xb0
#define APIC_SPURIOUS  0xf0
#define APIC_ON	       0x100u
#define APIC_TIMER     0x320
#define TIMER_PERIODIC 0x20000u
#define APIC_COUNT     0x380
#define APIC_DIVIDE    0x3e0
#define DIVIDE_BY_1    0xbu

/* Some milliseconds, whatever its frequency. */
#define TICK 10000000u

static volatile uint32_t *apic(unsigned reg)
{
	return (volatile uint32_t *)(APIC + reg);
}

uint64_t irq_message_address(void)
{
	return APIC | (*apic(APIC_ID) >> 24) << 12;
}

uint32_t irq_message_data(unsigned n)
{
	return VECTOR_MESSAGE + n;
}

void irq_set(unsigned n, void (*call)(int arg), int arg)
{
	messages[n].arg = arg;
	messages[n].call = call;
}

void irq_dispatch(const struct frame *f)
{
	unsigned n = f->vector - VECTOR_MESSAGE;

	taken++;
	if (f->vector < EXCEPTIONS) {
		say("not ok processor: exception %u, code 0x%x, at 0x%x", f->vector, f->error,
		    f->eip);
		power_end(false);
	}
	if (n < IRQ_MESSAGES && messages[n].call)
		messages[n].call(messages[n].arg);
	if (f->vector == VECTOR_TIMER || n < IRQ_MESSAGES)
		*apic(APIC_EOI) = 0;
}

/* Each of the two lets in one at most: it leaves them off (start.S). */
void irq_sleep(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory", "cc");
}

void irq_take(void)
{
	uint32_t before;

	do {
		before = taken;
		__asm__ volatile("sti; nop; cli" : : : "memory", "cc");
	} while (taken != before);
}

/* ---- beginning ---- */

/* The old interrupt controllers are moved away from the exceptions and silenced. */
static void silence_8259(void)
{
	static const uint8_t words[][2] = {{0x11, 0x11}, {0x20, 0x28}, {4, 2}, {1, 1}};

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		port_out8(i ? 0x21 : 0x20, words[i][0]);
		port_out8(i ? 0xa1 : 0xa0, words[i][1]);
	}
	port_out8(0x21, 0xff);
	port_out8(0xa1, 0xff);
}

void irq_init(void)
{
	const struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) reg = {sizeof(idt) - 1, (uint32_t)idt};

	for (unsigned i = 0; i < IRQ_VECTORS; i++) {
		uint32_t at = (uint32_t)irq_entries + i * ENTRY_BYTES;

		idt[i] = (struct gate){(uint16_t)at, CODE_SEGMENT, GATE, (uint16_t)(at >> 16)};
	}
	__asm__ volatile("lidt %0" : : "m"(reg));
	silence_8259();
	*apic(APIC_SPURIOUS) = APIC_ON | VECTOR_SPURIOUS;
	*apic(APIC_DIVIDE) = DIVIDE_BY_1;
	*apic(APIC_TIMER) = TIMER_PERIODIC | VECTOR_TIMER;
	*apic(APIC_COUNT) = TICK;
}
