/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "noting_host.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct noting_host *of(struct sysbus_host *host)
{
	return container_of(host, struct noting_host, host);
}

static void irq_set(struct sysbus_host *host, unsigned gsi, bool level)
{
	struct noting_host *h = of(host);

	assert_true(gsi < 16);
	assert_true(h->line[gsi] != level);
	h->line[gsi] = level;
	h->rises[gsi] += level;
}

static void message(struct noting_host *h, uint64_t address, uint32_t data)
{
	if (address != NOTING_MSI || data >= NOTING_VECTORS)
		h->strange_messages++;
	else {
		h->messages[data]++;
		if (h->call_fds[data] > 0)
			assert_int_equal(eventfd_write(h->call_fds[data], 1), 0);
	}
}

static void msi_send(struct sysbus_host *host, uint64_t address, uint32_t data)
{
	of(host)->sent_by_hand++;
	message(of(host), address, data);
}

static struct noting_bound *bind_fd(struct noting_bound *table, int fd)
{
	for (unsigned i = 0; i < NOTING_BOUND; i++)
		if (table[i].fd < 0) {
			table[i] = (struct noting_bound){.fd = fd};
			return &table[i];
		}
	fail_msg("more bindings than there can be");
	return NULL;
}

static int ioeventfd_add(struct sysbus_host *host, enum sysbus_space space, uint64_t addr,
			 unsigned size, bool match, uint64_t value, int fd)
{
	struct noting_host *h = of(host);
	struct noting_bound *b;

	if (!size && h->no_any_size)
		return -EINVAL;
	b = bind_fd(h->kicks, fd);
	b->space = space;
	b->addr = addr;
	b->size = size;
	b->match = match;
	b->value = value;
	return 0;
}

static void ioeventfd_del(struct sysbus_host *host, enum sysbus_space space, uint64_t addr,
			  unsigned size, bool match, uint64_t value, int fd)
{
	struct noting_host *h = of(host);

	for (unsigned i = 0; i < NOTING_BOUND; i++) {
		struct noting_bound *b = &h->kicks[i];

		if (b->fd == fd && b->space == space && b->addr == addr && b->size == size &&
		    b->match == match && b->value == value) {
			b->fd = -1;
			return;
		}
	}
	fail_msg("an ioeventfd is taken away that is not there");
}

static int irqfd_msi_add(struct sysbus_host *host, int fd, uint64_t address, uint32_t data)
{
	struct noting_bound *b = bind_fd(of(host)->irqfds, fd);

	b->addr = address;
	b->data = data;
	return (int)(b - of(host)->irqfds);
}

static void irqfd_msi_del(struct sysbus_host *host, int handle, int fd)
{
	assert_int_equal(of(host)->irqfds[handle].fd, fd);
	of(host)->irqfds[handle].fd = -1;
}

static int irqfd_line_add(struct sysbus_host *host, int fd, int resample_fd, unsigned gsi)
{
	struct noting_host *h = of(host);

	assert_true(gsi < 16 && resample_fd >= 0);
	for (unsigned i = 0; i < NOTING_BOUND; i++) {
		assert_int_not_equal(h->lines[i].fd, fd);
		if (h->lines[i].fd < 0) {
			h->lines[i] = (struct noting_bound_line){fd, resample_fd, gsi};
			return 0;
		}
	}
	return -ENOSPC;
}

static bool is_bound(const struct noting_host *h, unsigned gsi)
{
	for (unsigned i = 0; i < NOTING_BOUND; i++)
		if (h->lines[i].fd >= 0 && h->lines[i].gsi == gsi)
			return true;
	return false;
}

/* The last one to leave a line lowers it. */
static void irqfd_line_del(struct sysbus_host *host, int fd, unsigned gsi)
{
	struct noting_host *h = of(host);

	for (unsigned i = 0; i < NOTING_BOUND; i++) {
		if (h->lines[i].fd != fd || h->lines[i].gsi != gsi)
			continue;
		h->lines[i].fd = -1;
		h->raised[gsi] &= is_bound(h, gsi);
		return;
	}
	fail_msg("an irqfd of a line is taken away that is not there");
}

bool noting_host_line(const struct noting_host *h, unsigned gsi)
{
	return h->line[gsi] || h->raised[gsi];
}

void noting_host_eoi(struct noting_host *h, unsigned gsi)
{
	h->raised[gsi] = false;
	for (unsigned i = 0; i < NOTING_BOUND; i++)
		if (h->lines[i].fd >= 0 && h->lines[i].gsi == gsi)
			assert_int_equal(eventfd_write(h->lines[i].resample_fd, 1), 0);
}

void noting_host_look(struct noting_host *h)
{
	for (unsigned i = 0; i < NOTING_BOUND; i++) {
		eventfd_t n;

		if (h->lines[i].fd >= 0 && !eventfd_read(h->lines[i].fd, &n)) {
			h->raised[h->lines[i].gsi] = true;
			h->raises[h->lines[i].gsi]++;
		}
	}
	for (unsigned i = 0; i < NOTING_BOUND; i++) {
		eventfd_t n;

		if (h->irqfds[i].fd >= 0 && !eventfd_read(h->irqfds[i].fd, &n))
			message(h, h->irqfds[i].addr, h->irqfds[i].data);
	}
}

bool noting_host_takes(struct noting_host *h, enum sysbus_space space, uint64_t addr,
		       uint64_t value, unsigned size)
{
	for (unsigned i = 0; i < NOTING_BOUND; i++) {
		const struct noting_bound *b = &h->kicks[i];

		if (b->fd >= 0 && b->space == space && b->addr == addr &&
		    (!b->size || b->size == size) && (!b->match || b->value == value)) {
			assert_int_equal(eventfd_write(b->fd, 1), 0);
			return true;
		}
	}
	return false;
}

/* ---- a host that knows vectors ---- */

static int vector_fd(struct sysbus_host *host, unsigned devfn, unsigned vector)
{
	(void)devfn;
	return vector < NOTING_VECTORS ? of(host)->vectors[vector] - 1 : -1;
}

int noting_host_vector(struct noting_host *h, unsigned vector, bool on)
{
	int before = h->vectors[vector] - 1;

	h->vectors[vector] = on ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) + 1 : 0;
	return before;
}

unsigned noting_host_signals(struct noting_host *h, unsigned vector)
{
	eventfd_t n;

	return h->vectors[vector] && !eventfd_read(h->vectors[vector] - 1, &n) ? (unsigned)n : 0;
}

/* ---- life ---- */

void noting_host_init(struct noting_host *h, const struct noting_host_options *o)
{
	memset(h, 0, sizeof(*h));
	for (unsigned i = 0; i < NOTING_BOUND; i++)
		h->kicks[i].fd = h->irqfds[i].fd = h->lines[i].fd = -1;
	h->no_any_size = o->no_any_size;
	h->ops = (struct sysbus_host_ops){.irq_set = irq_set, .msi_send = msi_send};
	if (!o->no_ioeventfd) {
		h->ops.ioeventfd_add = ioeventfd_add;
		h->ops.ioeventfd_del = ioeventfd_del;
	}
	if (!o->no_irqfd) {
		h->ops.irqfd_msi_add = irqfd_msi_add;
		h->ops.irqfd_msi_del = irqfd_msi_del;
	}
	if (!o->no_irqfd && !o->no_line_irqfd) {
		h->ops.irqfd_line_add = irqfd_line_add;
		h->ops.irqfd_line_del = irqfd_line_del;
	}
	if (o->vectors)
		h->ops.vector_fd = vector_fd;
	h->ops.keeps_tables = o->keeps_tables;
	h->host.ops = &h->ops;
}

void noting_host_fini(struct noting_host *h)
{
	for (unsigned i = 0; i < NOTING_BOUND; i++) {
		assert_int_equal(h->kicks[i].fd, -1);
		assert_int_equal(h->irqfds[i].fd, -1);
		assert_int_equal(h->lines[i].fd, -1);
	}
	for (unsigned i = 0; i < 16; i++)
		assert_false(noting_host_line(h, i));
	for (unsigned i = 0; i < NOTING_VECTORS; i++)
		if (h->vectors[i])
			close(h->vectors[i] - 1);
}
