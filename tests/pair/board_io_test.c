/* SPDX-License-Identifier: MIT */
/*
 * Requests from our driver through the board to the disk and back, in every way that board, host
 * and driver can be combined.
 */
#include "test.h"

#include "board_rig.h"

struct way {
	const char *name;
	bool no_modern, no_legacy, packed, legacy_driver, msix, no_ioeventfd, no_irqfd, no_any_size;
	bool off; /* the user wants neither ioeventfd nor irqfd, which the host could do */
	unsigned queues;
};

static bool nothing_is_bound(const struct board_rig *r)
{
	for (unsigned i = 0; i < NOTING_BOUND; i++)
		if (r->below.kicks[i].fd >= 0 || r->below.irqfds[i].fd >= 0 ||
		    r->below.lines[i].fd >= 0)
			return false;
	return true;
}

static void io_works(void **state)
{
	const struct way *w = *state;
	struct br_options o = {
		.board = {.no_modern = w->no_modern,
			  .no_legacy = w->no_legacy,
			  .no_ioeventfd = w->off,
			  .no_irqfd = w->off},
		.queues = w->queues,
		.host = {.no_ioeventfd = w->no_ioeventfd,
			 .no_irqfd = w->no_irqfd,
			 .no_any_size = w->no_any_size},
	};
	struct board_rig r;

	br_init(&r, &o);
	br_find(&r, w->legacy_driver ? VPCI_LEGACY : VPCI_MODERN);
	/* Twice: also after a reset. */
	for (unsigned turn = 0; turn < 2; turn++) {
		br_start(&r, w->packed ? 0 : BIT64(VIRTIO_F_RING_PACKED), w->msix);
		assert_int_equal(r.n_queues, w->queues ? w->queues : 1);
		br_check_io(&r);
		br_check_io(&r);
		if (w->off)
			assert_true(nothing_is_bound(&r));
	}
	/* Only what the host cannot do by itself takes an exit or our thread. */
	if (w->no_ioeventfd || w->off)
		assert_true(r.kick_exits > 0);
	else if (w->legacy_driver)
		/* It did not wait for the second turn's reset, before which nothing is bound. */
		assert_true(r.kick_exits <= 1);
	else
		assert_int_equal(r.kick_exits, 0);
	if (w->msix && !w->no_irqfd && !w->off)
		assert_int_equal(r.below.sent_by_hand, 0);
	br_fini(&r);
}

#define WAY(n, ...)                                                              \
	{                                                                        \
		.name = n, .test_func = io_works, .initial_state = &(struct way) \
		{                                                                \
			.name = n, __VA_ARGS__                                   \
		}                                                                \
	}

int main(void)
{
	struct CMUnitTest tests[] = {
		WAY("modern_msix", .no_legacy = true, .msix = true),
		WAY("modern_msix_packed", .no_legacy = true, .msix = true, .packed = true),
		WAY("modern_msix_4_queues", .no_legacy = true, .msix = true, .queues = 4),
		WAY("modern_intx", .no_legacy = true),
		WAY("modern_intx_packed_4_queues", .no_legacy = true, .packed = true, .queues = 4),
		WAY("modern_msix_no_ioeventfd", .no_legacy = true, .msix = true,
		    .no_ioeventfd = true),
		WAY("modern_msix_no_irqfd", .no_legacy = true, .msix = true, .no_irqfd = true),
		WAY("modern_msix_neither", .no_legacy = true, .msix = true, .no_irqfd = true,
		    .no_ioeventfd = true),
		WAY("modern_msix_off", .no_legacy = true, .msix = true, .off = true),
		WAY("modern_intx_off", .no_legacy = true, .off = true),
		WAY("legacy_msix_off", .legacy_driver = true, .msix = true, .off = true),
		WAY("legacy_intx_off", .legacy_driver = true, .off = true),
		WAY("modern_ioeventfd_of_fixed_width", .no_legacy = true, .msix = true,
		    .no_any_size = true),
		WAY("transitional_modern_driver", .msix = true),
		WAY("transitional_modern_driver_packed", .msix = true, .packed = true),
		WAY("transitional_modern_driver_intx", .queues = 2),
		WAY("transitional_legacy_driver_msix", .legacy_driver = true, .msix = true),
		WAY("transitional_legacy_driver_intx", .legacy_driver = true),
		WAY("transitional_legacy_driver_4_queues", .legacy_driver = true, .msix = true,
		    .queues = 4),
		WAY("legacy_msix", .no_modern = true, .legacy_driver = true, .msix = true),
		WAY("legacy_intx", .no_modern = true, .legacy_driver = true),
		WAY("legacy_intx_no_ioeventfd", .no_modern = true, .legacy_driver = true,
		    .no_ioeventfd = true),
		WAY("legacy_msix_no_irqfd", .no_modern = true, .legacy_driver = true, .msix = true,
		    .no_irqfd = true),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
