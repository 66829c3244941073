/* SPDX-License-Identifier: MIT */
/* The common configuration and the device's own: virtio 1.4, 2.1, 2.4, 4.1.3, 4.1.4.3, 4.1.4.6. */
#include "conform/cases.h"

#include "base/clock.h"
#include "conform/blk.h"
#include "conform/board.h"

#include <unistd.h>

/* ---- features ---- */

static uint64_t device_features(struct trial *t)
{
	uint64_t low;

	common_put(t, device_feature_select, 0);
	low = common_get(t, device_feature);
	common_put(t, device_feature_select, 1);
	return low | (uint64_t)common_get(t, device_feature) << 32;
}

static void any_select(struct trial *t)
{
	static const uint32_t selects[] = {4, 5, 7, 8, 0x80000000, 0xffffffff};

	board_modern(t);
	for (unsigned i = 0; i < ARRAY_SIZE(selects); i++) {
		common_put(t, device_feature_select, selects[i]);
		trial_sent(t, "device_feature_select %u", selects[i]);
		if (common_get(t, device_feature_select) != selects[i] ||
		    common_get(t, device_feature))
			trial_fail(t, "no features there: 0", "0x%x at select %u",
				   common_get(t, device_feature),
				   common_get(t, device_feature_select));
	}
	if (!(device_features(t) & FEAT(VERSION_1)))
		trial_fail(t, "VERSION_1 is still offered", "features 0x%llx",
			   (unsigned long long)device_features(t));
}

static void read_back(struct trial *t)
{
	uint64_t offered, words[2] = {0, 0};

	board_modern(t);
	offered = device_features(t);
	for (uint32_t i = 0; i < 2; i++) {
		common_put(t, driver_feature_select, i);
		common_put(t, driver_feature, (uint32_t)(offered >> 32 * i));
	}
	for (uint32_t i = 0; i < 2; i++) {
		common_put(t, driver_feature_select, i);
		words[i] = common_get(t, driver_feature);
	}
	if ((words[0] | words[1] << 32) != offered)
		trial_fail(t, "driver_feature reads back what was written of each word",
			   "0x%llx was written, 0x%llx read", (unsigned long long)offered,
			   (unsigned long long)(words[0] | words[1] << 32));
}

static void refused(struct trial *t)
{
	uint64_t strange;

	board_modern(t);
	strange = ~device_features(t) & (FEAT(SR_IOV) | BIT64(55));
	vpci_set_features(&t->board.v, board_least_features(t) | (strange & -strange));
	trial_sent(t, "VERSION_1 and a feature that is not offered");
	board_set_status(t, 11);
	if (board_status(t) & VIRTIO_STATUS_FEATURES_OK)
		trial_fail(t, "FEATURES_OK does not stay", "the status is 0x%x", board_status(t));
}

static void far_features(struct trial *t)
{
	board_modern(t);
	vpci_set_features(&t->board.v, board_least_features(t));
	common_put(t, driver_feature_select, 2);
	common_put(t, driver_feature, 1);
	trial_sent(t, "VERSION_1 and feature 64");
	board_set_status(t, 11);
	if (board_status(t) & VIRTIO_STATUS_FEATURES_OK)
		trial_fail(t, "FEATURES_OK does not stay", "the status is 0x%x", board_status(t));
}

/* ---- status and reset ---- */

static void ladder(struct trial *t)
{
	static const uint8_t steps[] = {1, 3, 11, 15};

	board_modern(t);
	board_reset(t);
	for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
		if (steps[i] == 11)
			vpci_set_features(&t->board.v, board_least_features(t));
		board_set_status(t, steps[i]);
		if (board_status(t) != steps[i])
			trial_fail(t, "the status reads as it was written",
				   "0x%x was written, 0x%x read", steps[i], board_status(t));
	}
	board_reset(t);
}

static void reset_forgets(struct trial *t)
{
	disk_up(t, (struct setup){.num = 16});
	vpci_config_vector(&t->board.v, t->board.v.msix ? 0 : VIRTIO_MSI_NO_VECTOR);
	common_put(t, driver_feature_select, 1);
	trial_sent(t, "a reset of a running device");
	board_reset(t);
	for (uint32_t i = 0; i < t->queues; i++) {
		common_put(t, queue_select, i);
		if (common_get(t, queue_enable))
			trial_fail(t, "queue_enable is 0 after a reset", "queue %u: %u", i,
				   common_get(t, queue_enable));
	}
}

static void reset_register(struct trial *t)
{
	disk_up(t, (struct setup){.want = FEAT(RING_RESET), .num = 16});
	common_put(t, queue_select, 0);
	if (common_get(t, queue_reset))
		trial_fail(t, "queue_reset is 0 after queue_enable", "it is %u",
			   common_get(t, queue_reset));
	board_reset(t);
	common_put(t, queue_select, 0);
	if (common_get(t, queue_reset))
		trial_fail(t, "queue_reset is 0 after a reset", "it is %u",
			   common_get(t, queue_reset));
}

static void reset_quiet(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 16});
	struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);

	blk_read(r, 0, 512);
	/* Where an interrupt goes through a kernel it may come later than what it tells of. */
	if (t->board.v.msix)
		ring_calls(r, t->o->quiet_ms);
	board_reset(t);
	ring_calls(r, 0);
	req_add(r, &q);
	ring_publish(r);
	ring_kick(r);
	trial_sent(t, "a request and a kick after a reset");
	ring_expect_nothing(r, "after a reset no buffer is used");
	if (t->board.v.msix && ring_calls(r, 0))
		trial_fail(t, "after a reset nothing is notified", "a notification");
}

static void before_driver_ok(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 16, .idle = true});
	struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
	struct used u;

	req_add(r, &q);
	ring_publish(r);
	trial_sent(t, "a request, and DRIVER_OK only later");
	ring_enable(r, true);
	ring_expect_nothing(r, "before DRIVER_OK no buffer is used");
	board_set_status(t, 15);
	ring_kick(r);
	ring_wait(r, &u);
}

/* A head that cannot be.  A device may look at a ring without being kicked. */
static void break_ring(struct trial *t, struct ring *r)
{
	ring_offer(r, 0x7fff);
	ring_publish(r);
	trial_sent(t, "head 32767 on a ring of 16 entries");
	ring_kick(r);
}

static void needs_reset(struct trial *t)
{
	break_ring(t, disk_up(t, (struct setup){.num = 16}));
	if (!board_wait_status(t, VIRTIO_STATUS_NEEDS_RESET, VIRTIO_STATUS_NEEDS_RESET))
		trial_fail(t, "DEVICE_NEEDS_RESET is set", "the status is 0x%x", board_status(t));
}

static void needs_reset_told(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 16});

	if (!t->board.v.msix || t->board.v.n_vectors < 2)
		need_msix(t, 2);
	vector_connect(t, 0);
	if (vpci_config_vector(&t->board.v, 0))
		trial_fail(t, "the configuration takes vector 0", "it does not");
	break_ring(t, r);
	if (!board_wait_status(t, VIRTIO_STATUS_NEEDS_RESET, VIRTIO_STATUS_NEEDS_RESET))
		trial_skip(t, "DEVICE_NEEDS_RESET is not set");
	if (!vector_count(t, 0, t->o->timeout_ms))
		trial_fail(t, "DEVICE_NEEDS_RESET comes with a configuration notification",
			   "none within %d ms", t->o->timeout_ms);
}

/* ---- queues ---- */

static uint64_t get64(struct trial *t, uint32_t at)
{
	return board_get(t, &t->board.v.common, at, 4) |
	       (uint64_t)board_get(t, &t->board.v.common, at + 4, 4) << 32;
}

static void halves(struct trial *t)
{
	static const struct {
		const char *name;
		uint32_t at;
	} fields[] = {{"queue_desc", COMMON_AT(queue_desc)},
		      {"queue_driver", COMMON_AT(queue_driver)},
		      {"queue_device", COMMON_AT(queue_device)}};

	board_modern(t);
	common_put(t, queue_select, 0);
	for (unsigned order = 0; order < 2; order++)
		for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
			uint32_t at = fields[i].at;
			uint64_t value = UINT64_C(0x0123456789abc000) + i * 0x1000 + order;

			for (unsigned k = 0; k < 2; k++) {
				unsigned half = k ^ order;

				board_put(t, &t->board.v.common, at + 4 * half,
					  (uint32_t)(value >> 32 * half), 4);
			}
			if (get64(t, at) != value)
				trial_fail(t, "both halves read as they were written, in any order",
					   "%s: 0x%llx was written, 0x%llx read", fields[i].name,
					   (unsigned long long)value,
					   (unsigned long long)get64(t, at));
		}
}

static void beyond(struct trial *t)
{
	uint32_t n;

	board_modern(t);
	n = common_get(t, num_queues);
	for (uint32_t i = n; i < 65536; i += i < n + 64 ? 1 : 997) {
		common_put(t, queue_select, i);
		if (common_get(t, queue_size))
			trial_fail(t, "queue_size is 0 where there is no queue",
				   "queue %u of %u: %u", i, n, common_get(t, queue_size));
	}
	if (!n)
		trial_fail(t, "a disk has a queue", "num_queues is 0");
}

static void power_of_two(struct trial *t)
{
	board_modern(t);
	for (uint32_t i = 0; i < common_get(t, num_queues); i++) {
		uint32_t size;

		common_put(t, queue_select, i);
		size = common_get(t, queue_size);
		if (size & (size - 1))
			trial_fail(t, "a power of two, as long as rings are not packed",
				   "queue %u: %u", i, size);
	}
}

static void smaller(struct trial *t)
{
	struct ring *r;

	board_modern(t);
	common_put(t, queue_select, 0);
	for (uint32_t size = common_get(t, queue_size); size; size /= 2) {
		common_put(t, queue_size, size);
		if (common_get(t, queue_size) != size)
			trial_fail(t, "the driver can choose a smaller size", "%u reads as %u",
				   size, common_get(t, queue_size));
	}
	redial(t);
	r = disk_up(t, (struct setup){.num = 8});
	for (unsigned i = 0; i < 20; i++)
		blk_read(r, 0, 512);
}

static void admin_queues(struct trial *t)
{
	uint32_t index, num;

	board_modern(t);
	if (!(device_features(t) & FEAT(ADMIN_VQ)))
		trial_skip(t, "the device does not offer ADMIN_VQ (41)");
	index = common_get(t, admin_queue_index);
	num = common_get(t, admin_queue_num);
	if (index < common_get(t, num_queues) || index + num > 0x10000)
		trial_fail(t, "admin queues behind the others", "index %u, %u of them", index, num);
}

/* Refused at once, or told by the status when the device begins. */
static void expect_refused(struct trial *t, const char *what)
{
	trial_sent(t, "%s, queue_enable, DRIVER_OK", what);
	common_put(t, queue_enable, 1);
	board_set_status(t, 15);
	if (common_get(t, queue_enable) &&
	    !board_wait_status(t, VIRTIO_STATUS_NEEDS_RESET, VIRTIO_STATUS_NEEDS_RESET))
		trial_fail(t, "queue_enable stays 0 or DEVICE_NEEDS_RESET is set",
			   "%s: neither; the status is 0x%x", what, board_status(t));
}

static void put64(struct trial *t, uint32_t at, uint64_t value)
{
	board_put(t, &t->board.v.common, at, (uint32_t)value, 4);
	board_put(t, &t->board.v.common, at + 4, (uint32_t)(value >> 32), 4);
}

static void bad_queues(struct trial *t)
{
	static const struct {
		const char *what;
		uint32_t at;
		uint64_t value;
	} bad[] = {{"a descriptor table outside memory", COMMON_AT(queue_desc), 0x7000000000},
		   {"an available ring outside memory", COMMON_AT(queue_driver), 0x7000000000},
		   {"a used ring outside memory", COMMON_AT(queue_device), 0x7000000000},
		   {"a used ring that runs over 2^64", COMMON_AT(queue_device), UINT64_MAX - 7}};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		disk_up(t, (struct setup){.num = 16, .idle = true});
		put64(t, bad[i].at, bad[i].value);
		expect_refused(t, bad[i].what);
		redial(t);
	}
}

static void unaligned(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 16, .idle = true});

	put64(t, COMMON_AT(queue_desc), r->desc + 8);
	expect_refused(t, "a descriptor table aligned to 8");
}

static void bad_size(struct trial *t)
{
	static const uint32_t sizes[] = {0, 3, 65535, 32769};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		disk_up(t, (struct setup){.num = 16, .idle = true});
		common_put(t, queue_size, sizes[i]);
		if (common_get(t, queue_size) == sizes[i] || !common_get(t, queue_size))
			expect_refused(t, "a split ring whose size is no power of two, or too big");
		redial(t);
	}
}

static void enabled_stays(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 16});

	common_put(t, queue_select, 0);
	trial_sent(t, "other addresses and another size for an enabled queue");
	put64(t, COMMON_AT(queue_desc), 0x7000000000);
	put64(t, COMMON_AT(queue_device), 0x7000000000);
	common_put(t, queue_size, 8);
	common_put(t, queue_enable, 0);
	for (unsigned i = 0; i < 20; i++)
		blk_read(r, 0, 512);
}

static void neighbours(struct trial *t)
{
	uint32_t select = 0;

	board_modern(t);
	common_put(t, queue_select, 0);
	put64(t, COMMON_AT(queue_desc), UINT64_C(0x1122334455667788));
	common_put(t, driver_feature_select, select);
	trial_sent(t, "0xaa to the status' neighbour, by one byte");
	board_put(t, &t->board.v.common, COMMON_AT(config_generation), 0xaa, 1);
	if (board_status(t) != 3 || common_get(t, queue_select))
		trial_fail(t, "a byte written changes its own register only",
			   "the status is 0x%x, queue_select 0x%x", board_status(t),
			   common_get(t, queue_select));
	if (get64(t, COMMON_AT(queue_desc)) != UINT64_C(0x1122334455667788))
		trial_fail(t, "a byte written changes its own register only",
			   "queue_desc is 0x%llx",
			   (unsigned long long)get64(t, COMMON_AT(queue_desc)));
}

/* ---- queue reset ---- */

static void reset_queue(struct trial *t, struct ring *r)
{
	uint64_t until = clock_ns() + (uint64_t)t->o->timeout_ms * NSEC_PER_MSEC;

	common_put(t, queue_select, r->index);
	common_put(t, queue_reset, 1);
	while (common_get(t, queue_reset)) {
		if (clock_ns() > until)
			trial_fail(t, "queue_reset reads 0 when the reset is done",
				   "it reads 1 for %d ms", t->o->timeout_ms);
		usleep(50);
	}
	if (common_get(t, queue_enable))
		trial_fail(t, "after its reset a queue is not enabled", "queue_enable is %u",
			   common_get(t, queue_enable));
}

static void queue_again(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = FEAT(RING_RESET), .num = 16});
	struct ring *other;

	for (unsigned i = 0; i < 5; i++)
		blk_read(r, 0, 512);
	reset_queue(t, r);
	trial_sent(t, "the queue again, with another size and other memory");
	other = ring_tell(t, 0, 32);
	ring_enable(other, true);
	for (unsigned i = 0; i < 40; i++)
		blk_read(other, 0, 512);
}

static void queue_in_flight(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = FEAT(RING_RESET), .num = 64});
	struct used u;
	struct req q;

	for (unsigned i = 0; i < 16; i++) {
		q = req_make(t, VIRTIO_BLK_T_IN, 0, 4096);
		req_add(r, &q);
	}
	ring_publish(r);
	ring_kick(r);
	trial_sent(t, "16 reads, and the reset of their queue");
	reset_queue(t, r);
	while (ring_take(r, &u))
		;
	q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
	req_add(r, &q);
	ring_publish(r);
	ring_kick(r);
	ring_expect_nothing(r, "after its reset a queue uses no buffer");
}

static void queue_alone(struct trial *t)
{
	struct ring *r = disk_up(t,
				 (struct setup){.want = FEAT(RING_RESET), .num = 16, .queues = 2});

	reset_queue(t, r);
	for (unsigned i = 0; i < 20; i++)
		blk_read(&t->rings[1], 0, 512);
}

/* ---- the device's configuration ---- */

static void config_widths(struct trial *t)
{
	const struct vpci_area *a = &t->board.v.device;

	board_modern(t);
	for (uint32_t at = 0; at + 4 <= a->length; at += 4) {
		uint32_t whole = board_get(t, a, at, 4), bytes = 0, words;

		for (unsigned i = 0; i < 4; i++)
			bytes |= board_get(t, a, at + i, 1) << 8 * i;
		words = board_get(t, a, at, 2) | board_get(t, a, at + 2, 2) << 16;
		if (bytes != whole || words != whole)
			trial_fail(t, "one value, whether read by 4, 2 or 1 bytes",
				   "at %u: 0x%08x, 0x%08x, 0x%08x", at, whole, words, bytes);
	}
}

static void config_end(struct trial *t)
{
	const struct vpci_area *a = &t->board.v.device;
	uint8_t status;

	board_modern(t);
	status = board_status(t);
	trial_sent(t, "reads and writes behind the device configuration");
	for (uint32_t at = a->length; at < a->length + 64; at++) {
		if (!pcidev_bar_has(&t->board.dev, a->bar, a->offset + at, 1))
			break;
		board_get(t, a, at, 1);
		board_put(t, a, at, 0xff, 1);
	}
	if (board_status(t) != status)
		trial_fail(t, "they do nothing", "the status was 0x%x and is 0x%x", status,
			   board_status(t));
}

static void generation(struct trial *t)
{
	uint32_t before;

	disk_up(t, (struct setup){.num = 16});
	for (unsigned changes = 1; changes <= 256; changes *= 2) {
		before = common_get(t, config_generation);
		if (before != common_get(t, config_generation))
			trial_fail(t, "the generation stays as long as nothing changes",
				   "%u, then %u", before, common_get(t, config_generation));
		for (unsigned i = 0; i < changes; i++)
			board_change(t);
		trial_sent(t, "%u changes of the configuration", changes);
		if (common_get(t, config_generation) == before)
			trial_fail(t, "another generation after changes", "%u before and after",
				   before);
	}
}

#define MUST(section)	  section, LEVEL_MUST, 0
#define SHOULD(section)	  section, LEVEL_SHOULD, 0
#define PRACTICE(section) section, LEVEL_PRACTICE, 0

static const struct conform_case cases[] = {
	{"PCI-D-03.halves", MUST("virtio 4.1.3.1"),
	 "The halves of 64-bit registers are independent.", halves},
	{"PCI-D-06.select", MUST("virtio 4.1.4.3.1"),
	 "device_feature is 0 wherever there are no features.", any_select},
	{"PCI-D-07.read-back", MUST("virtio 4.1.4.3.1"),
	 "driver_feature reads back the bits of any word.", read_back},
	{"ST-D-05.refused", MUST("virtio 2.2.2"),
	 "FEATURES_OK does not stay with a feature that is not offered.", refused},
	{"ST-D-05.far", MUST("virtio 2.2.2"),
	 "FEATURES_OK does not stay with a feature beyond all that exist.", far_features},
	{"ST-D-01.registers", MUST("virtio 2.1.2"), "Before DRIVER_OK no buffer is used.",
	 before_driver_ok},
	{"ST-D-02.registers", SHOULD("virtio 2.1.2"),
	 "A device that cannot go on sets DEVICE_NEEDS_RESET.", needs_reset},
	{"ST-D-03.registers", MUST("virtio 2.1.2"),
	 "DEVICE_NEEDS_RESET comes with a configuration notification.", needs_reset_told},
	{"PCI-D-08.generation", MUST("virtio 4.1.4.3.1"),
	 "config_generation changes with the configuration, however often that did.", generation},
	{"PCI-D-09.ladder", MUST("virtio 2.1, 4.1.4.3.1"),
	 "The status reads as it was written, and 0 after a reset.", ladder},
	{"PCI-D-09.quiet", MUST("virtio 2.4.1"),
	 "After a reset no buffer is used and nothing is notified.", reset_quiet},
	{"PCI-D-10.enable", MUST("virtio 4.1.4.3.1"), "queue_enable is 0 after a reset.",
	 reset_forgets},
	{"PCI-D-10.reset", MUST("virtio 4.1.4.3.1"),
	 "queue_reset is 0 after a reset, and after queue_enable.", reset_register},
	{"PCI-D-11.again", MUST("virtio 2.6.1.1, 4.1.4.3.1"),
	 "A queue that was reset can be set up anew, with another size and other memory.",
	 queue_again},
	{"PCI-D-11.in-flight", MUST("virtio 2.6.1.1"),
	 "A queue that was reset uses no buffer, whatever was in flight.", queue_in_flight},
	{"PCI-D-11.alone", MUST("virtio 2.6.1"), "The other queues go on.", queue_alone},
	{"PCI-D-12.beyond", MUST("virtio 4.1.4.3.1"),
	 "queue_size is 0 for a queue that does not exist.", beyond},
	{"PCI-D-13.power", MUST("virtio 4.1.4.3.1"),
	 "queue_size is a power of two as long as rings are not packed.", power_of_two},
	{"PCI-D-13.smaller", MUST("virtio 4.1.4.3.2"), "A smaller size is taken.", smaller},
	{"PCI-D-14.admin", MUST("virtio 4.1.4.3.1"), "Admin queues come behind the others.",
	 admin_queues},
	{"PCI-D-15.outside", PRACTICE("practice"), "A queue outside memory is refused.",
	 bad_queues},
	{"PCI-D-15.unaligned", PRACTICE("practice"), "An unaligned queue is refused.", unaligned},
	{"PCI-D-15.size", PRACTICE("practice"), "A queue of a bad size is refused.", bad_size},
	{"PCI-D-15.enabled", PRACTICE("practice"),
	 "What an enabled queue was set up with stays as it is.", enabled_stays},
	{"PCI-D-15.neighbours", PRACTICE("practice"),
	 "A byte written changes its own register only.", neighbours},
	{"PCI-D-22.widths", PRACTICE("practice"),
	 "The device configuration reads the same by 1, 2 and 4 bytes.", config_widths},
	{"PCI-D-22.end", PRACTICE("practice"),
	 "Accesses behind the device configuration do nothing.", config_end},
};
const struct case_table pci_common_cases = {"PCI: status, features, queues", cases,
					    ARRAY_SIZE(cases), BY_PCI};
