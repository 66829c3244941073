/* SPDX-License-Identifier: MIT */
/*
 * The interrupt pin by irqfd: raised without us, lowered by the guest's end of interrupt (virtio
 * 1.4, 4.1.5.4; KVM_IRQFD with resample). Whatever the order of call, ISR read and end of
 * interrupt, no call may be lost, and none is told twice for ever.
 */
#include "test.h"

#include "board_rig.h"

#include "base/clock.h"
#include "wire/virtio_blk.h"

#include <string.h>

static struct board_rig R;

static int start_with(const struct br_options *o)
{
	br_init(&R, o);
	br_find(&R, VPCI_MODERN);
	br_start(&R, 0, false);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return start_with(&(struct br_options){.queues = 2});
}
static int setup_by_hand(void **state)
{
	(void)state;
	return start_with(&(struct br_options){.queues = 2, .host.no_irqfd = true});
}
static int teardown(void **state)
{
	(void)state;
	br_fini(&R);
	return 0;
}

static unsigned gsi(void)
{
	return (unsigned)piix3_line(&R.isa, 3, 0);
}

static bool status_bit(void)
{
	return pcidev_config_read(&R.dev, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT;
}

static unsigned bound(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < NOTING_BOUND; i++)
		n += R.below.lines[i].fd >= 0;
	return n;
}

static void an_interrupt_needs_nobody_but_the_worker(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		br_complete(&R, i & 1);
		assert_true(R.below.raised[gsi()]);
		assert_int_equal(br_acknowledge(&R), VIRTIO_PCI_ISR_QUEUE);
		br_settle(&R);
		assert_false(br_disk_line(&R));
	}
	assert_int_equal(R.board->fn.rises, 0);
	assert_true(R.below.raises[gsi()] >= 20);
}

static void a_call_between_isr_and_end_is_told_after_the_end(void **state)
{
	(void)state;
	br_complete(&R, 0);
	assert_int_equal(vpci_isr(&R.v), VIRTIO_PCI_ISR_QUEUE);
	br_complete(&R, 1);
	br_eoi(&R, gsi());
	br_settle(&R);
	assert_true(br_disk_line(&R));
	assert_int_equal(br_acknowledge(&R), VIRTIO_PCI_ISR_QUEUE);
	br_settle(&R);
	assert_false(br_disk_line(&R));
	assert_int_equal(vpci_isr(&R.v), 0);
}

/* As 8259s are served, and as it looks when another card on the line was meant. */
static void an_end_before_the_isr_is_read_loses_nothing(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		br_complete(&R, 0);
		br_eoi(&R, gsi());
		assert_false(br_disk_line(&R));
		br_settle(&R);
		assert_true(br_disk_line(&R));
		/* Raised by hand now: it comes down as the ISR is read. */
		assert_int_equal(vpci_isr(&R.v), VIRTIO_PCI_ISR_QUEUE);
		assert_false(br_disk_line(&R));
		br_settle(&R);
		assert_false(br_disk_line(&R));
	}
}

static void an_end_with_nothing_to_say_is_silent(void **state)
{
	(void)state;
	br_complete(&R, 0);
	br_acknowledge(&R);
	for (unsigned i = 0; i < 5; i++) {
		br_eoi(&R, gsi());
		br_settle(&R);
		assert_false(br_disk_line(&R));
	}
	assert_int_equal(R.board->fn.rises, 0);
}

static void pci_d_20_status_bit_while_the_host_holds_the_line(void **state)
{
	(void)state;
	assert_false(status_bit());
	br_complete(&R, 0);
	assert_true(status_bit());
	br_acknowledge(&R);
	assert_false(status_bit());
	assert_false(br_disk_line(&R));
}

static void a_disabled_pin_has_no_irqfd(void **state)
{
	(void)state;
	assert_int_equal(bound(), R.n_queues);
	pcidev_command(&R.dev, PCI_COMMAND_INTX_DISABLE, 0);
	assert_int_equal(bound(), 0);
	br_complete(&R, 0);
	assert_false(br_disk_line(&R));
	assert_true(status_bit());
	pcidev_command(&R.dev, 0, PCI_COMMAND_INTX_DISABLE);
	assert_int_equal(bound(), R.n_queues);
	assert_true(br_disk_line(&R));
	assert_int_equal(br_acknowledge(&R), VIRTIO_PCI_ISR_QUEUE);
	assert_false(br_disk_line(&R));
}

/* The line goes along, also while it is up. */
static void irqfds_follow_the_routes(void **state)
{
	static const uint8_t routes[] = {5, 9, PIIX3_PIRQ_NONE, 10, 0, 11};
	unsigned pirq = (3 + 0 - 1) & 3, old = gsi();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		int line;

		br_complete(&R, 0);
		pci_function_config_write(&R.isa.fn, PIIX3_PIRQ + pirq, routes[i], 1);
		line = piix3_line(&R.isa, 3, 0);
		br_settle(&R);
		assert_true((int)old == line || !br_line(&R, old));
		assert_int_equal(bound(), line < 0 ? 0 : R.n_queues);
		assert_int_equal(br_disk_line(&R), line >= 0);
		br_acknowledge(&R);
		br_settle(&R);
		assert_false(br_disk_line(&R));
		br_complete(&R, 1);
		assert_int_equal(br_disk_line(&R), line >= 0);
		br_acknowledge(&R);
		old = line < 0 ? 0 : (unsigned)line;
	}
}

static void only_running_queues_have_irqfds(void **state)
{
	(void)state;
	br_reset(&R);
	assert_int_equal(bound(), 0);
	br_start(&R, 0, true);
	assert_int_equal(bound(), 0);
	br_check_io(&R);
	br_start(&R, 0, false);
	assert_int_equal(bound(), R.n_queues);
	br_check_io(&R);
	br_complete(&R, 0);
	br_reset_line(&R);
	assert_int_equal(bound(), 0);
	assert_false(br_line(&R, 11));
	br_pump(&R);
	br_find(&R, VPCI_MODERN);
	br_start(&R, 0, false);
	br_check_io(&R);
}

/* ---- all orders, with a worker that does not wait ---- */

#define DEPTH	 6
#define REQUESTS 6000

enum order {
	ISR_FIRST, /* I/O APIC: the end comes last */
	END_FIRST, /* 8259                        */
};

struct load {
	struct br_io io[DEPTH];
	unsigned sent, done;
	uint32_t random;
};

static uint32_t dice(struct load *l)
{
	l->random = l->random * 1664525 + 1013904223;
	return l->random >> 16;
}

static void fill(struct load *l, uint64_t data)
{
	for (unsigned i = 0; i < DEPTH && l->sent < REQUESTS; i++)
		if (l->io[i].done) {
			br_submit(&R, i & 1, &l->io[i], VIRTIO_BLK_T_IN, i, data + i * 512, 512);
			l->sent++;
		}
}

/*
 * What the driver's handler does: looks at both rings until they are empty and calls are asked for.
 */
static void handle(struct load *l)
{
	for (unsigned i = 0; i < 2; i++) {
		struct br_queue *q = &R.queues[i];
		void *cookie;
		uint32_t len;

		do {
			while (vqdrv_reap(&q->drv, &cookie, &len) > 0) {
				((struct br_io *)cookie)->done = true;
				l->done++;
			}
		} while (vqdrv_calls_on(&q->drv));
	}
}

static void dawdle(struct load *l)
{
	for (uint32_t n = dice(l) % 200; n; n--)
		cpu_relax();
	if (!(dice(l) % 4))
		br_host(&R);
	if (!(dice(l) % 4))
		reactor_process(R.plane.home);
}

/*
 * Completions are looked for by the handler only, and it runs only by interrupt: a lost one hangs.
 */
static void hammer(enum order order)
{
	struct load l = {.random = 1};
	uint64_t data = br_alloc(&R, DEPTH * 512, 512), end = clock_ns() + 60 * NSEC_PER_SEC;
	unsigned nothing = 0, interrupts = 0;

	for (unsigned i = 0; i < DEPTH; i++)
		l.io[i].done = true;
	handle(&l);
	fill(&l, data);
	while (l.done < REQUESTS) {
		uint8_t isr;

		assert_true(clock_ns() < end);
		if (!br_disk_line(&R)) {
			br_pump(&R);
			continue;
		}
		interrupts++;
		if (order == END_FIRST) {
			br_eoi(&R, gsi());
			dawdle(&l);
		}
		isr = vpci_isr(&R.v);
		dawdle(&l);
		if (isr & VIRTIO_PCI_ISR_QUEUE)
			handle(&l);
		else
			nothing++;
		fill(&l, data);
		dawdle(&l);
		if (order == ISR_FIRST)
			br_eoi(&R, gsi());
	}
	/*
	 * An interrupt for nothing now and then is the price; a kernel gives a line up that has
	 * little else.
	 */
	assert_true(nothing <= interrupts / 2 + 1);
	/* The call of what was found without it may still be on its way. */
	br_settle(&R);
	br_acknowledge(&R);
	br_settle(&R);
	assert_false(br_disk_line(&R));
}

static void no_call_is_lost_isr_first(void **state)
{
	(void)state;
	hammer(ISR_FIRST);
}

static void no_call_is_lost_end_first(void **state)
{
	(void)state;
	hammer(END_FIRST);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define BOTH(f)                                                                           \
	T(f),                                                                             \
	{                                                                                 \
		.name = #f "_without_irqfd", .test_func = f, .setup_func = setup_by_hand, \
		.teardown_func = teardown,                                                \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_interrupt_needs_nobody_but_the_worker),
		T(a_call_between_isr_and_end_is_told_after_the_end),
		T(an_end_before_the_isr_is_read_loses_nothing),
		T(an_end_with_nothing_to_say_is_silent),
		T(pci_d_20_status_bit_while_the_host_holds_the_line),
		T(a_disabled_pin_has_no_irqfd),
		T(irqfds_follow_the_routes),
		T(only_running_queues_have_irqfds),
		BOTH(no_call_is_lost_isr_first),
		BOTH(no_call_is_lost_end_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
