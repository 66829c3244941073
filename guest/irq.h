/* SPDX-License-Identifier: MIT */
/*
 * Interrupts: messages for the processor's local APIC, and its timer, which ends a sleep that
 * nothing else would.
 *
 * They come in only inside irq_sleep() and irq_take(), so nobody else has to expect them.
 */
#ifndef GUEST_IRQ_H
#define GUEST_IRQ_H

#include <stdint.h>

#define IRQ_MESSAGES 64

void irq_init(void);

/* Lets in those that are waiting. */
void irq_take(void);
/* Sleeps until the next one; one that is waiting already counts. */
void irq_sleep(void);

/* The message that raises number @n, and what is called then. */
uint64_t irq_message_address(void);
uint32_t irq_message_data(unsigned n);
void irq_set(unsigned n, void (*call)(int arg), int arg);

#endif
