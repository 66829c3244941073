/* SPDX-License-Identifier: MIT */
/* Tiny real-mode guests on the KVM of this machine, where there is one that we may use. */
#include "test.h"

#include "backend/kvm/probe.h"
#include "backend/kvm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEMORY 0x10000
#define CODE   0x1000
#define PORT   0x500
#define HOLE   0xa0000

struct rig {
	struct backplane plane;
	struct kvm_vm vm;
	uint8_t *memory;
	struct sysbus_region port, hole;
	uint8_t last_port, last_hole, answer;
	unsigned ports, holes;
	int said; /* signalled by each write to the port */
	enum kvm_end ended;
	bool has_ended;
};

static uint64_t port_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	(void)offset;
	(void)size;
	return container_of(r, struct rig, port)->answer;
}

static void say(struct rig *r)
{
	eventfd_write(r->said, 1);
}

static void port_write(struct sysbus_region *reg, uint64_t offset, uint64_t value, unsigned size)
{
	struct rig *r = container_of(reg, struct rig, port);

	(void)offset;
	(void)size;
	r->last_port = (uint8_t)value;
	r->ports++;
	say(r);
}

static uint64_t hole_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	(void)size;
	return container_of(r, struct rig, hole)->answer + offset;
}

static void hole_write(struct sysbus_region *reg, uint64_t offset, uint64_t value, unsigned size)
{
	struct rig *r = container_of(reg, struct rig, hole);

	(void)offset;
	(void)size;
	r->last_hole = (uint8_t)value;
	r->holes++;
}

static const struct sysbus_region_ops port_ops = {
	.sizes = SYSBUS_BYTE, .read = port_read, .write = port_write};
static const struct sysbus_region_ops hole_ops = {
	.sizes = SYSBUS_ANY_SIZE, .unaligned = true, .read = hole_read, .write = hole_write};

static void ended(struct kvm_vm *vm, enum kvm_end how, const char *text)
{
	struct rig *r = container_of(vm, struct rig, vm);

	(void)text;
	r->ended = how;
	r->has_ended = true;
	say(r);
}

static const struct kvm_vm_ops ops = {.ended = ended};

static struct rig *set_up(const struct kvm_vm_config *with)
{
	struct kvm_vm_config config = with ? *with : (struct kvm_vm_config){.cpus = 1};
	struct rig *r = calloc(1, sizeof(*r));
	struct error err;

	if (access("/dev/kvm", R_OK | W_OK)) {
		free(r);
		skip();
	}
	assert_non_null(r);
	config.ops = &ops;
	config.plane = &r->plane;
	assert_int_equal(backplane_init(&r->plane, NULL, NULL), 0);
	if (kvm_vm_open(&r->vm, &config, &err))
		fail_msg("%s", err.text);
	r->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(r->memory, MAP_FAILED);
	assert_int_equal(kvm_vm_add_memory(&r->vm, 0, MEMORY, r->memory, false, &err), 0);
	r->port = (struct sysbus_region){
		.name = "port", .space = SYSBUS_PORT, .size = 4, .ops = &port_ops};
	r->hole = (struct sysbus_region){
		.name = "hole", .space = SYSBUS_MEMORY, .size = 4096, .ops = &hole_ops};
	sysbus_map(&r->plane.bus, &r->port, PORT);
	sysbus_map(&r->plane.bus, &r->hole, HOLE);
	r->said = eventfd(0, EFD_CLOEXEC);
	return r;
}

static void tear_down(struct rig *r)
{
	kvm_vm_close(&r->vm);
	assert_null(r->plane.bus.host);
	backplane_fini(&r->plane);
	munmap(r->memory, MEMORY);
	close(r->said);
	free(r);
}

static void run(struct rig *r, const uint8_t *code, size_t n)
{
	const struct kvm_start start = {.mode = KVM_START_REAL, .ip = CODE};
	struct error err;

	memcpy(r->memory + CODE, code, n);
	if (kvm_vm_start(&r->vm, &start, &err))
		fail_msg("%s", err.text);
}

static void wait_for_word(struct rig *r)
{
	eventfd_t v;

	assert_int_equal(eventfd_read(r->said, &v), 0);
}

/* mov dx, PORT; in al, dx; inc al; out dx, al; hlt, for ever */
static const uint8_t echo[] = {0xba, 0x00, 0x05, 0xec, 0xfe, 0xc0, 0xee, 0xf4, 0xeb, 0xfd};

static void a_guest_reaches_a_port(void **state)
{
	struct rig *r = set_up(NULL);

	(void)state;
	r->answer = 0x41;
	run(r, echo, sizeof(echo));
	wait_for_word(r);
	kvm_vm_stop(&r->vm);
	assert_int_equal(r->last_port, 0x42);
	assert_int_equal(r->vm.cpus[0]->exits[KVM_EXIT_COUNT_PORT_IN], 1);
	assert_int_equal(r->vm.cpus[0]->exits[KVM_EXIT_COUNT_PORT_OUT], 1);
	tear_down(r);
}

static void a_guest_reaches_memory_that_is_not_ram(void **state)
{
	/* mov ax, 0xa000; mov ds, ax; mov al, [5]; mov [7], al; mov dx, PORT; out dx, al; hlt */
	static const uint8_t code[] = {0xb8, 0x00, 0xa0, 0x8e, 0xd8, 0xa0, 0x05, 0x00, 0xa2,
				       0x07, 0x00, 0xba, 0x00, 0x05, 0xee, 0xf4, 0xeb, 0xfd};
	struct rig *r = set_up(NULL);

	(void)state;
	r->answer = 0x30;
	run(r, code, sizeof(code));
	wait_for_word(r);
	kvm_vm_stop(&r->vm);
	assert_int_equal(r->last_port, 0x35);
	assert_int_equal(r->last_hole, 0x35);
	assert_int_equal(r->vm.cpus[0]->exits[KVM_EXIT_COUNT_MEMORY_READ], 1);
	assert_int_equal(r->vm.cpus[0]->exits[KVM_EXIT_COUNT_MEMORY_WRITE], 1);
	tear_down(r);
}

/* jmp to itself */
static const uint8_t spin[] = {0xeb, 0xfe};

static void a_spinning_guest_can_be_stopped(void **state)
{
	const struct kvm_vm_config two = {.cpus = 2};
	struct rig *r = set_up(&two);

	(void)state;
	run(r, spin, sizeof(spin));
	kvm_vm_stop(&r->vm);
	assert_false(r->has_ended);
	/* And again: a CPU that has stopped starts where it was told to. */
	run(r, echo, sizeof(echo));
	wait_for_word(r);
	tear_down(r);
}

static void after_a_reset_all_is_as_at_power_on(void **state)
{
	struct rig *r = set_up(NULL);
	struct error err;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		r->answer = (uint8_t)i;
		run(r, echo, sizeof(echo));
		wait_for_word(r);
		kvm_vm_stop(&r->vm);
		assert_int_equal(r->last_port, i + 1);
		if (kvm_vm_reset(&r->vm, &err))
			fail_msg("%s", err.text);
	}
	tear_down(r);
}

static void two_machines_live_in_one_process(void **state)
{
	struct rig *a = set_up(NULL), *b = set_up(NULL);

	(void)state;
	a->answer = 10;
	b->answer = 20;
	run(a, echo, sizeof(echo));
	run(b, echo, sizeof(echo));
	wait_for_word(a);
	wait_for_word(b);
	tear_down(a);
	kvm_vm_stop(&b->vm);
	assert_int_equal(b->last_port, 21);
	tear_down(b);
}

static void wait_for_port(struct rig *r, unsigned writes)
{
	unsigned seen = 0;

	while (seen < writes) {
		wait_for_word(r);
		backplane_lock(&r->plane);
		seen = r->ports;
		backplane_unlock(&r->plane);
	}
}

/* mov dx, PORT; mov al, 7; out dx, al; inc dx; out dx, al; hlt */
static const uint8_t kick[] = {0xba, 0x00, 0x05, 0xb0, 0x07, 0xee, 0x42, 0xee, 0xf4, 0xeb, 0xfd};

static unsigned kicks_that_left(const struct kvm_vm_config *config, bool *signalled)
{
	struct rig *r = set_up(config);
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	const struct sysbus_host_ops *host = r->vm.host.ops;
	unsigned left;
	eventfd_t v;

	if (host->ioeventfd_add)
		assert_int_equal(
			host->ioeventfd_add(&r->vm.host, SYSBUS_PORT, PORT, 1, true, 7, fd), 0);
	run(r, kick, sizeof(kick));
	wait_for_port(r, host->ioeventfd_add ? 1 : 2);
	kvm_vm_stop(&r->vm);
	*signalled = !eventfd_read(fd, &v);
	left = r->ports;
	if (host->ioeventfd_del)
		host->ioeventfd_del(&r->vm.host, SYSBUS_PORT, PORT, 1, true, 7, fd);
	assert_int_equal(r->vm.irq_stats.kickfds, 0);
	tear_down(r);
	close(fd);
	return left;
}

static void a_kick_does_not_leave_where_an_eventfd_waits(void **state)
{
	const struct kvm_vm_config with = {.cpus = 1};
	bool signalled;

	(void)state;
	assert_int_equal(kicks_that_left(&with, &signalled), 1);
	assert_true(signalled);
}

static void without_ioeventfd_every_kick_leaves(void **state)
{
	const struct kvm_vm_config without = {.cpus = 1, .no_ioeventfd = true};
	bool signalled;

	(void)state;
	assert_int_equal(kicks_that_left(&without, &signalled), 2);
	assert_false(signalled);
}

static void an_irqfd_keeps_its_route_and_gives_it_back(void **state)
{
	struct rig *r = set_up(NULL);
	const struct sysbus_host_ops *host = r->vm.host.ops;
	int fds[3], handles[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		fds[i] = eventfd(0, EFD_CLOEXEC);
		handles[i] = host->irqfd_msi_add(&r->vm.host, fds[i], 0xfee00000, 0x30 + i);
		assert_int_equal(handles[i], i);
	}
	assert_int_equal(host->irqfd_msi_add(&r->vm.host, fds[1], 0xfee00000, 0x55), 1);
	assert_int_equal(r->vm.irq_stats.irqfds, 3);
	host->irqfd_msi_del(&r->vm.host, handles[1], fds[1]);
	host->irqfd_msi_del(&r->vm.host, handles[1], fds[1]);
	assert_int_equal(r->vm.irq_stats.irqfds, 2);
	assert_int_equal(host->irqfd_msi_add(&r->vm.host, fds[1], 0xfee00000, 0x31), 1);
	for (unsigned i = 0; i < 3; i++)
		host->irqfd_msi_del(&r->vm.host, handles[i], fds[i]);
	assert_int_equal(r->vm.irq_stats.irqfds, 0);
	for (unsigned i = 0; i < 3; i++)
		close(fds[i]);
	tear_down(r);
}

/*
 * Interrupt controllers set up, line 10 taken as a level (0x4d1), then: out PORT, 1; sti; hlt, for
 * ever.  Its handler: out PORT, 2; end of interrupt on both controllers; iret.
 */
static const uint8_t takes_line_10[] = {
	0xfa, 0xb0, 0x11, 0xe6, 0x20, 0xe6, 0xa0, 0xb0, 0x08, 0xe6, 0x21, 0xb0, 0x70,
	0xe6, 0xa1, 0xb0, 0x04, 0xe6, 0x21, 0xb0, 0x02, 0xe6, 0xa1, 0xb0, 0x01, 0xe6,
	0x21, 0xe6, 0xa1, 0xb0, 0xfb, 0xe6, 0x21, 0xe6, 0xa1, 0xba, 0xd1, 0x04, 0xb0,
	0x04, 0xee, 0xba, 0x00, 0x05, 0xb0, 0x01, 0xee, 0xfb, 0xf4, 0xeb, 0xfd};
static const uint8_t handler_10[] = {0xba, 0x00, 0x05, 0xb0, 0x02, 0xee, 0xb0,
				     0x20, 0xe6, 0xa0, 0xe6, 0x20, 0xcf};
#define HANDLER	  0x1100
#define VECTOR_10 (0x72 * 4)

static bool signalled_within_a_while(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	eventfd_t v;

	return poll(&p, 1, 5000) == 1 && !eventfd_read(fd, &v);
}

static void a_line_by_irqfd_is_lowered_by_the_end_of_interrupt(void **state)
{
	struct rig *r = set_up(NULL);
	const struct sysbus_host_ops *host = r->vm.host.ops;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	    resample = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int rc = host->irqfd_line_add(&r->vm.host, fd, resample, 10);

	(void)state;
	if (rc) {
		print_message("KVM here has no resampling irqfd (%d)\n", rc);
		tear_down(r);
		skip();
	}
	assert_int_equal(r->vm.irq_stats.irqfds, 1);
	memcpy(r->memory + HANDLER, handler_10, sizeof(handler_10));
	r->memory[VECTOR_10] = HANDLER & 0xff;
	r->memory[VECTOR_10 + 1] = HANDLER >> 8;
	run(r, takes_line_10, sizeof(takes_line_10));
	wait_for_port(r, 1);
	for (unsigned i = 1; i <= 10; i++) {
		assert_int_equal(eventfd_write(fd, 1), 0);
		wait_for_port(r, 1 + i);
		assert_true(signalled_within_a_while(resample));
	}
	host->irqfd_line_del(&r->vm.host, fd, 10);
	assert_int_equal(r->vm.irq_stats.irqfds, 0);
	kvm_vm_stop(&r->vm);
	/* Once each: the line did not stay up. */
	assert_int_equal(r->ports, 11);
	assert_int_equal(r->vm.irq_stats.lines, 0);
	tear_down(r);
	close(fd);
	close(resample);
}

/* mov dx, 0x4d1; mov al, 0x0c; out dx, al; in al, dx; mov dx, PORT; out dx, al; hlt, for ever */
static const uint8_t asks_for_levels[] = {0xba, 0xd1, 0x04, 0xb0, 0x0c, 0xee, 0xec,
					  0xba, 0x00, 0x05, 0xee, 0xf4, 0xeb, 0xfd};

/* The PIIX3's edge/level register belongs to the interrupt controllers, which are KVM's. */
static void kvm_keeps_the_edge_level_register(void **state)
{
	struct rig *r = set_up(NULL);

	(void)state;
	run(r, asks_for_levels, sizeof(asks_for_levels));
	wait_for_port(r, 1);
	kvm_vm_stop(&r->vm);
	assert_int_equal(r->last_port, 0x0c);
	assert_int_equal(r->vm.cpus[0]->exits[KVM_EXIT_COUNT_PORT_IN], 0);
	assert_int_equal(r->vm.cpus[0]->exits[KVM_EXIT_COUNT_PORT_OUT], 1);
	tear_down(r);
}

static void without_irqfd_none_is_offered(void **state)
{
	const struct kvm_vm_config without = {.cpus = 1, .no_irqfd = true};
	struct rig *r = set_up(&without);

	(void)state;
	assert_null(r->vm.host.ops->irqfd_msi_add);
	assert_non_null(r->vm.host.ops->ioeventfd_add);
	tear_down(r);
}

static void the_probe_answers(void **state)
{
	struct error err = {""};
	int rc = kvm_probe(&err);

	(void)state;
	/* Whatever it is, a sentence goes with a no. */
	assert_true(rc <= 0);
	assert_int_equal(!rc, !err.text[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_reaches_a_port),
		cmocka_unit_test(a_guest_reaches_memory_that_is_not_ram),
		cmocka_unit_test(a_spinning_guest_can_be_stopped),
		cmocka_unit_test(after_a_reset_all_is_as_at_power_on),
		cmocka_unit_test(two_machines_live_in_one_process),
		cmocka_unit_test(a_kick_does_not_leave_where_an_eventfd_waits),
		cmocka_unit_test(without_ioeventfd_every_kick_leaves),
		cmocka_unit_test(an_irqfd_keeps_its_route_and_gives_it_back),
		cmocka_unit_test(a_line_by_irqfd_is_lowered_by_the_end_of_interrupt),
		cmocka_unit_test(kvm_keeps_the_edge_level_register),
		cmocka_unit_test(without_irqfd_none_is_offered),
		cmocka_unit_test(the_probe_answers),
	};

	return cmocka_run_group_tests_name("kvm", tests, NULL, NULL);
}
