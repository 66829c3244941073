/* SPDX-License-Identifier: MIT */
#include "server/vfio_user/connection.h"

#include "base/aside.h"
#include "base/bits.h"
#include "base/clock.h"
#include "base/evsignal.h"
#include "server/vfio_user/feature.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

/* Commands in a row before others' devices have their turn. */
#define COMMANDS_MAX 64

/* How soon it is looked again at a client whose fds do not close. */
#define STUCK_NS (10 * NSEC_PER_MSEC)

/* What a command's handler returns besides 0 and -errno: its answer comes later. */
#define ANSWER_LATER 1

static void connection_talk(struct vfio_user_connection *c);
static void connection_leave(struct vfio_user_connection *c);

/* Done with the command at hand. */
static void command_release(struct vfio_user_connection *c)
{
	struct vfio_user_message *m = c->cmd;

	c->cmd = NULL;
	if (m == c->ch.in)
		vfio_user_channel_next(&c->ch);
	else if (m == c->late)
		vfio_user_message_drop_fds(m, c->aside);
	else
		vfio_user_held_free(m, c->aside);
}

/* ---- answers ---- */

static void connection_broken(struct vfio_user_connection *c, const char *what, const char *why)
{
	log_limited(&c->complaints, LOG_LEVEL_WARN, c->name, "%s: %s; its connection is closed",
		    what, why);
	connection_leave(c);
}

/* The answer to the message at hand: @size bytes stand in the reply's body, or an errno. */
static void connection_answer(struct vfio_user_connection *c, int rc, uint32_t size)
{
	const struct vfio_user_header *h = &c->cmd->header;
	struct vfio_user_message *m = c->ch.out;

	m->header = (struct vfio_user_header){
		.id = h->id,
		.command = h->command,
		.size = (uint32_t)sizeof(m->header) + (rc ? 0 : size),
		.flags = VFIO_USER_TYPE_REPLY | (rc ? VFIO_USER_ERROR : 0),
		.error = (uint32_t)-rc,
	};
	if (rc)
		m->n_fds = 0;
	if (!(h->flags & VFIO_USER_NO_REPLY) && vfio_user_channel_send(&c->ch))
		c->left = true;
	command_release(c);
}

/* The answer to a command that took time. */
static void connection_late_answer(struct vfio_user_connection *c, int rc, uint32_t size)
{
	c->state = VFIO_USER_TALKING;
	reactor_timer_stop(c->home, &c->patience);
	if (!c->left)
		vfio_user_reach_reopen(&c->reach);
	if (c->left)
		command_release(c);
	else
		connection_answer(c, rc, size);
	connection_talk(c);
}

/* ---- commands: what is said, with its body of @size bytes ---- */

struct command {
	struct vfio_user_connection *c;
	const uint8_t *body;
	uint32_t size;
	uint8_t *reply;
	uint32_t reply_size;
};

static int do_version(struct command *cmd)
{
	struct vfio_user_connection *c = cmd->c;
	struct vfio_user_version v;
	struct error err;
	int rc;

	if (c->versioned)
		return -EINVAL;
	memcpy(&v, cmd->body, sizeof(v));
	rc = vfio_user_version_read(v.major, v.minor, (const char *)cmd->body + sizeof(v),
				    cmd->size - (uint32_t)sizeof(v), &c->terms, &err);
	if (rc) {
		log_limited(&c->complaints, LOG_LEVEL_WARN, c->name,
			    "the client cannot be understood: %s", err.text);
		return rc;
	}
	c->versioned = true;
	c->reach.transfer_max = c->terms.transfer_max;
	v.minor = c->terms.minor;
	memcpy(cmd->reply, &v, sizeof(v));
	cmd->reply_size = (uint32_t)sizeof(v) +
			  vfio_user_version_write((char *)cmd->reply + sizeof(v),
						  VFIO_USER_TRANSFER);
	return 0;
}

static void memory_moved(struct vfio_user_device *d)
{
	struct vfio_user_connection *c = container_of(d, struct vfio_user_connection, device);

	connection_late_answer(c, 0, c->ch.out->header.size);
}

/*
 * The device works in the new map.  Where queues run that takes until what they have in flight is
 * done; what the reply will be is there already.
 */
static int move_memory(struct command *cmd)
{
	if (!vfio_user_device_move(&cmd->c->device, memory_moved))
		return 0;
	cmd->c->ch.out->header.size = cmd->reply_size;
	return ANSWER_LATER;
}

static int do_dma_map(struct command *cmd)
{
	struct vfio_user_connection *c = cmd->c;
	const struct vfio_user_message *in = c->cmd;
	struct vfio_user_dma_map m;
	struct error err;
	int rc;

	memcpy(&m, cmd->body, sizeof(m));
	if (in->n_fds > 1)
		return -EINVAL;
	/* Others may make whoever touches them wait. */
	if (in->n_fds && !gmem_fd_is_memory(in->fds[0])) {
		log_limited(&c->complaints, LOG_LEVEL_WARN, c->name,
			    "the file of %llu bytes at 0x%llx is not a memfd, nor of tmpfs or "
			    "hugetlbfs",
			    (unsigned long long)m.size, (unsigned long long)m.iova);
		return -EINVAL;
	}
	rc = vfio_user_dma_add(&c->device.dma, &m, in->n_fds ? in->fds[0] : -1, &err);
	if (rc) {
		log_limited(&c->complaints, LOG_LEVEL_WARN, c->name,
			    "%llu bytes at 0x%llx cannot be mapped: %s", (unsigned long long)m.size,
			    (unsigned long long)m.iova, err.text);
		return rc;
	}
	log_dbg(c->name, "maps %llu bytes at 0x%llx%s", (unsigned long long)m.size,
		(unsigned long long)m.iova, in->n_fds ? "" : ", by messages");
	/* QEMU's ROMs never have one, and no device is sent there. */
	if (!in->n_fds && m.flags & VFIO_USER_DMA_WRITABLE)
		log_limited(&c->complaints, LOG_LEVEL_WARN, c->name,
			    "%llu bytes at 0x%llx come without a file descriptor, so the device "
			    "reaches them by messages, which is slow (QEMU: "
			    "memory-backend-memfd,share=on)",
			    (unsigned long long)m.size, (unsigned long long)m.iova);
	return move_memory(cmd);
}

static int do_dma_unmap(struct command *cmd)
{
	struct vfio_user_dma *dma = &cmd->c->device.dma;
	struct vfio_user_dma_unmap m;
	int rc = 0;

	memcpy(&m, cmd->body, sizeof(m));
	log_dbg(cmd->c->name, "takes %llu bytes at 0x%llx back", (unsigned long long)m.size,
		(unsigned long long)m.iova);
	if (m.flags == VFIO_USER_UNMAP_ALL)
		rc = m.iova || m.size ? -EINVAL : 0;
	else if (m.flags)
		rc = m.flags & VFIO_USER_UNMAP_DIRTY ? -ENOTSUP : -EINVAL;
	else
		rc = vfio_user_dma_remove(dma, m.iova, m.size);
	if (rc)
		return rc;
	if (m.flags == VFIO_USER_UNMAP_ALL)
		vfio_user_dma_clear(dma);
	memcpy(cmd->reply, &m, sizeof(m));
	cmd->reply_size = sizeof(m);
	return move_memory(cmd);
}

static int do_get_info(struct command *cmd)
{
	struct vfio_user_device_info info;

	memcpy(&info, cmd->body, sizeof(info));
	if (info.argsz < sizeof(info))
		return -EINVAL;
	info = (struct vfio_user_device_info){
		.argsz = sizeof(info),
		.flags = VFIO_USER_DEVICE_RESETS | VFIO_USER_DEVICE_PCI,
		.regions = VFIO_USER_REGIONS,
		.irqs = VFIO_USER_IRQS,
	};
	memcpy(cmd->reply, &info, sizeof(info));
	cmd->reply_size = sizeof(info);
	return 0;
}

static int do_region_info(struct command *cmd)
{
	struct vfio_user_region_info info;

	memcpy(&info, cmd->body, sizeof(info));
	if (info.argsz < sizeof(info) || info.index >= VFIO_USER_REGIONS)
		return -EINVAL;
	info = (struct vfio_user_region_info){.argsz = sizeof(info), .index = info.index};
	info.size = vfio_user_device_region(&cmd->c->device, info.index, &info.flags);
	memcpy(cmd->reply, &info, sizeof(info));
	cmd->reply_size = sizeof(info);
	return 0;
}

/* As many as go into one message; the others' kicks come as writes. */
static int do_io_fds(struct command *cmd)
{
	const struct vfio_user_device *d = &cmd->c->device;
	struct vfio_user_message *out = cmd->c->ch.out;
	struct vfio_user_io_fds info;
	uint32_t flags, room, count = 0;

	memcpy(&info, cmd->body, sizeof(info));
	if (info.argsz < sizeof(info) || info.flags || info.count ||
	    !vfio_user_device_region(d, info.index, &flags))
		return -EINVAL;
	room = (uint32_t)((info.argsz - sizeof(info)) / sizeof(struct vfio_user_io_fd));
	for (unsigned i = 0; i < d->n_kicks && count < cmd->c->terms.fds_max; i++) {
		const struct vfio_user_kick *k = &d->kicks[i];
		struct vfio_user_io_fd fd = {
			.offset = k->offset,
			.size = k->size,
			.fd_index = count,
			.type = VFIO_USER_IO_FD_IOEVENTFD,
			.flags = k->match ? VFIO_USER_IO_FD_DATAMATCH : 0,
			.datamatch = k->value,
		};

		if (k->region != info.index)
			continue;
		if (count < room)
			memcpy(cmd->reply + sizeof(info) + count * sizeof(fd), &fd, sizeof(fd));
		out->fds[count++] = k->fd;
	}
	/* Too small: how large it has to be, and nothing more. */
	info.argsz = (uint32_t)(sizeof(info) + count * sizeof(struct vfio_user_io_fd));
	info.count = count;
	memcpy(cmd->reply, &info, sizeof(info));
	cmd->reply_size = sizeof(info);
	if (count <= room) {
		cmd->reply_size = info.argsz;
		out->n_fds = count;
	}
	return 0;
}

static int do_irq_info(struct command *cmd)
{
	struct vfio_user_irq_info info;
	int rc;

	memcpy(&info, cmd->body, sizeof(info));
	if (info.argsz < sizeof(info))
		return -EINVAL;
	info.argsz = sizeof(info);
	rc = vfio_user_irqs_info(&cmd->c->device.irqs, &info);
	memcpy(cmd->reply, &info, sizeof(info));
	cmd->reply_size = sizeof(info);
	return rc;
}

static int do_set_irqs(struct command *cmd)
{
	struct vfio_user_message *in = cmd->c->cmd;
	struct vfio_user_irq_set set;

	memcpy(&set, cmd->body, sizeof(set));
	if (set.argsz < sizeof(set))
		return -EINVAL;
	/* Of other files a signal could make its sender wait. */
	for (unsigned i = 0; i < in->n_fds; i++)
		if (fd_is_eventfd(in->fds[i]) != 1)
			return -EINVAL;
	return vfio_user_irqs_set(&cmd->c->device.irqs, &set, cmd->body + sizeof(set),
				  cmd->size - (uint32_t)sizeof(set), in->fds, in->n_fds);
}

static bool access_is_possible(const struct command *cmd, const struct vfio_user_access *a)
{
	uint32_t flags;
	uint64_t size = vfio_user_device_region(&cmd->c->device, a->region, &flags);

	return a->count && a->count <= VFIO_USER_TRANSFER && a->offset < size &&
	       a->count <= size - a->offset;
}

static int do_read(struct command *cmd)
{
	struct vfio_user_access a;

	memcpy(&a, cmd->body, sizeof(a));
	if (!access_is_possible(cmd, &a))
		return -EINVAL;
	memcpy(cmd->reply, &a, sizeof(a));
	vfio_user_device_read(&cmd->c->device, a.region, a.offset, cmd->reply + sizeof(a), a.count);
	cmd->reply_size = (uint32_t)sizeof(a) + a.count;
	return 0;
}

static void look_later(struct vfio_user_connection *c, uint64_t pause)
{
	c->look_ns = min_u64(pause, VFIO_USER_LOOK_MAX_NS);
	reactor_timer_start(c->home, &c->look, c->look_ns);
}

static void look_expired(struct reactor_timer *t)
{
	struct vfio_user_connection *c = container_of(t, struct vfio_user_connection, look);
	int rc = vfio_user_migration_go_on(&c->device.migration);

	if (rc == -EINPROGRESS || vfio_user_device_write_waits(&c->device))
		look_later(c, 2 * c->look_ns);
	else
		connection_late_answer(c, rc, c->ch.out->header.size);
}

/* What was asked for is under way: the answer, which is ready, follows it. */
static int answer_when_done(struct command *cmd)
{
	cmd->c->ch.out->header.size = cmd->reply_size;
	look_later(cmd->c, VFIO_USER_LOOK_NS);
	return ANSWER_LATER;
}

static int after_write(struct command *cmd)
{
	struct vfio_user_connection *c = cmd->c;

	/* The driver takes its memory back, and its processor may stand still until we answer. */
	if (vfio_user_device_is_resetting(&c->device))
		vfio_user_reach_close(&c->reach);
	return vfio_user_device_write_waits(&cmd->c->device) ? answer_when_done(cmd) : 0;
}

static int do_write(struct command *cmd)
{
	struct vfio_user_access a;

	memcpy(&a, cmd->body, sizeof(a));
	if (!access_is_possible(cmd, &a) || a.count > cmd->size - sizeof(a) ||
	    !vfio_user_migration_may_write(&cmd->c->device.migration))
		return -EINVAL;
	vfio_user_device_write(&cmd->c->device, a.region, a.offset, cmd->body + sizeof(a), a.count);
	memcpy(cmd->reply, &a, sizeof(a));
	cmd->reply_size = sizeof(a);
	return after_write(cmd);
}

/* All are looked at before the first is carried out. */
static int do_write_multi(struct command *cmd)
{
	const uint8_t *at = cmd->body + sizeof(struct vfio_user_write_multi);
	struct vfio_user_write_multi m;
	struct vfio_user_write w;

	memcpy(&m, cmd->body, sizeof(m));
	if (m.n > (cmd->size - sizeof(m)) / sizeof(w) ||
	    !vfio_user_migration_may_write(&cmd->c->device.migration))
		return -EINVAL;
	for (uint64_t i = 0; i < m.n; i++) {
		memcpy(&w, at + i * sizeof(w), sizeof(w));
		if (w.count > sizeof(w.data) ||
		    !access_is_possible(cmd,
					&(struct vfio_user_access){w.offset, w.region, w.count}))
			return -EINVAL;
	}
	for (uint64_t i = 0; i < m.n; i++) {
		memcpy(&w, at + i * sizeof(w), sizeof(w));
		vfio_user_device_write(&cmd->c->device, w.region, w.offset, w.data, w.count);
	}
	memcpy(cmd->reply, &m, sizeof(m));
	cmd->reply_size = sizeof(m);
	return after_write(cmd);
}

static void device_was_reset(struct vfio_user_device *d)
{
	connection_late_answer(container_of(d, struct vfio_user_connection, device), 0, 0);
}

static int do_reset(struct command *cmd)
{
	/* Who asks for it may not listen until it is done. */
	vfio_user_reach_close(&cmd->c->reach);
	vfio_user_device_reset(&cmd->c->device, device_was_reset);
	return ANSWER_LATER;
}

static int do_feature(struct command *cmd)
{
	struct vfio_user_feature_call call = {
		.body = cmd->body, .size = cmd->size, .reply = cmd->reply};
	int rc = vfio_user_feature(&cmd->c->device, &call);

	cmd->reply_size = call.reply_size;
	if (rc == -EINPROGRESS)
		return answer_when_done(cmd);
	return !rc && call.moved ? move_memory(cmd) : rc;
}

static int do_mig_read(struct command *cmd)
{
	struct vfio_user_mig_data m;
	int n;

	memcpy(&m, cmd->body, sizeof(m));
	if (m.size > VFIO_USER_TRANSFER || m.argsz < sizeof(m) || m.size > m.argsz - sizeof(m))
		return -EINVAL;
	n = vfio_user_migration_read(&cmd->c->device.migration, cmd->reply + sizeof(m), m.size);
	if (n < 0)
		return n;
	m.size = (uint32_t)n;
	m.argsz = (uint32_t)sizeof(m) + m.size;
	memcpy(cmd->reply, &m, sizeof(m));
	cmd->reply_size = m.argsz;
	return 0;
}

static int do_mig_write(struct command *cmd)
{
	struct vfio_user_mig_data m;

	memcpy(&m, cmd->body, sizeof(m));
	if (m.size > cmd->size - sizeof(m))
		return -EINVAL;
	return vfio_user_migration_write(&cmd->c->device.migration, cmd->body + sizeof(m), m.size);
}

/* Its fixed part's size, and whether fds may come along. */
static const struct rule {
	int (*carry_out)(struct command *cmd);
	uint32_t size;
	bool fds;
} rules[VFIO_USER_COMMAND_MAX] = {
	[VFIO_USER_VERSION] = {do_version, sizeof(struct vfio_user_version), false},
	[VFIO_USER_DMA_MAP] = {do_dma_map, sizeof(struct vfio_user_dma_map), true},
	[VFIO_USER_DMA_UNMAP] = {do_dma_unmap, sizeof(struct vfio_user_dma_unmap), false},
	[VFIO_USER_DEVICE_GET_INFO] = {do_get_info, sizeof(struct vfio_user_device_info), false},
	[VFIO_USER_DEVICE_GET_REGION_INFO] = {do_region_info, sizeof(struct vfio_user_region_info),
					      false},
	[VFIO_USER_DEVICE_GET_REGION_IO_FDS] = {do_io_fds, sizeof(struct vfio_user_io_fds), false},
	[VFIO_USER_DEVICE_GET_IRQ_INFO] = {do_irq_info, sizeof(struct vfio_user_irq_info), false},
	[VFIO_USER_DEVICE_SET_IRQS] = {do_set_irqs, sizeof(struct vfio_user_irq_set), true},
	[VFIO_USER_REGION_READ] = {do_read, sizeof(struct vfio_user_access), false},
	[VFIO_USER_REGION_WRITE] = {do_write, sizeof(struct vfio_user_access), false},
	[VFIO_USER_DEVICE_RESET] = {do_reset, 0, false},
	[VFIO_USER_DEVICE_FEATURE] = {do_feature, sizeof(struct vfio_user_feature), false},
	[VFIO_USER_MIG_DATA_READ] = {do_mig_read, sizeof(struct vfio_user_mig_data), false},
	[VFIO_USER_MIG_DATA_WRITE] = {do_mig_write, sizeof(struct vfio_user_mig_data), false},
	[VFIO_USER_REGION_WRITE_MULTI] = {do_write_multi, sizeof(struct vfio_user_write_multi),
					  false},
};

static int connection_obey(struct vfio_user_connection *c, uint32_t *reply_size)
{
	const struct vfio_user_message *in = c->cmd;
	const struct rule *rule = in->header.command < VFIO_USER_COMMAND_MAX
					  ? &rules[in->header.command]
					  : NULL;
	struct command cmd = {
		.c = c,
		.body = in->body,
		.size = vfio_user_body_size(in),
		.reply = c->ch.out->body,
	};
	int rc;

	c->ch.out->n_fds = 0;
	if (!rule || !rule->carry_out)
		return -ENOTSUP;
	if (!c->versioned && in->header.command != VFIO_USER_VERSION)
		return -EINVAL;
	if (cmd.size < rule->size || (in->n_fds && !rule->fds))
		return -EINVAL;
	rc = rule->carry_out(&cmd);
	*reply_size = cmd.reply_size;
	return rc;
}

/* ---- coming and going ---- */

static void connection_gone(struct vfio_user_device *d)
{
	struct vfio_user_connection *c = container_of(d, struct vfio_user_connection, device);

	/* Nothing runs: the queues are reset, and the memory can go. */
	vfio_user_irqs_reset(&d->irqs);
	vfio_user_dma_log_drop(&d->dma);
	vfio_user_dma_clear(&d->dma);
	vfio_user_held_drop(&c->held, c->aside);
	virtio_pci_set_mem(&d->card->board, d->dma.map, NULL);
	vfio_user_channel_close(&c->ch);
	c->state = VFIO_USER_IDLE;
	c->gone(c);
}

/* What takes time is waited for: its answer comes here, and then this again. */
static void connection_leave(struct vfio_user_connection *c)
{
	c->left = true;
	/* What waits for the client's answers waits no longer, or nothing would come to rest. */
	vfio_user_reach_close(&c->reach);
	if (c->state != VFIO_USER_TALKING)
		return;
	c->state = VFIO_USER_LEAVING;
	reactor_watch_stop(c->home, &c->watch);
	reactor_timer_stop(c->home, &c->more);
	vfio_user_device_reset(&c->device, connection_gone);
}

/* An answer has come, to what we asked. */
static void connection_answered(struct vfio_user_connection *c)
{
	const char *why = NULL;
	int rc = vfio_user_reach_answer(&c->reach, c->ch.in, &why);

	vfio_user_channel_next(&c->ch);
	if (rc)
		connection_broken(c, "a message of the client cannot be understood", why);
	else if (vfio_user_reach_go_on(&c->reach))
		c->left = true;
}

/* A command has come while one takes time. */
static void connection_hold(struct vfio_user_connection *c)
{
	int rc = vfio_user_held_add(&c->held, &c->ch);

	if (rc)
		connection_broken(c,
				  "the client sends command after command and not the answer that "
				  "is waited for",
				  rc == -ENOMEM ? "no memory for them" : "they are too many");
}

static void connection_carry_out(struct vfio_user_connection *c, struct vfio_user_message *m)
{
	uint32_t size = 0;
	int rc;

	c->cmd = m;
	rc = connection_obey(c, &size);
	if (rc != ANSWER_LATER) {
		connection_answer(c, rc, size);
		return;
	}
	c->state = VFIO_USER_BUSY;
	c->heard = c->reach.heard;
	reactor_timer_start(c->home, &c->patience, VFIO_USER_PATIENCE_NS);
	if (m != c->ch.in)
		return;
	/* It is needed for the answer, and others may come meanwhile. */
	c->ch.in = c->late;
	c->late = m;
	c->ch.in_bytes = 0;
}

/* Whether what comes is to be read: a client whose command takes time may owe us an answer. */
static bool connection_listens(const struct vfio_user_connection *c)
{
	return c->state == VFIO_USER_TALKING || (c->state == VFIO_USER_BUSY && c->reach.out);
}

/* Carries out what has come, as far as it goes. */
static void connection_talk(struct vfio_user_connection *c)
{
	for (unsigned n = 0; connection_listens(c); n++) {
		struct vfio_user_message *held;
		const char *why = NULL;
		int rc;

		if (!c->left && (c->ch.unsent || c->ch.unsent_ask))
			c->left = vfio_user_channel_flush(&c->ch) != 0;
		if (c->left) {
			connection_leave(c);
			return;
		}
		if (c->ch.unsent)
			return;
		if (n == COMMANDS_MAX) {
			reactor_timer_start(c->home, &c->more, 0);
			return;
		}
		if (aside_is_stuck(c->aside, 0)) {
			/* A client whose fds do not close gives us no more of them. */
			log_limited(
				&c->complaints, LOG_LEVEL_WARN, c->name,
				"%u file descriptors of the client take long to close; it waits",
				aside_waiting(c->aside));
			reactor_timer_start(c->home, &c->more, STUCK_NS);
			return;
		}
		held = c->state == VFIO_USER_TALKING ? vfio_user_held_take(&c->held) : NULL;
		if (held) {
			connection_carry_out(c, held);
			continue;
		}
		c->ch.expects = c->reach.out;
		rc = vfio_user_channel_receive(&c->ch, &why);
		if (!rc)
			return;
		if (rc == -EPROTO) {
			connection_broken(c, "a message of the client cannot be understood", why);
			return;
		}
		if (rc < 0) {
			connection_leave(c);
			return;
		}
		if ((c->ch.in->header.flags & VFIO_USER_TYPE_MASK) == VFIO_USER_TYPE_REPLY)
			connection_answered(c);
		else if (c->state == VFIO_USER_BUSY)
			connection_hold(c);
		else
			connection_carry_out(c, c->ch.in);
	}
}

static void reach_sent(struct vfio_user_reach *reach)
{
	struct vfio_user_connection *c = container_of(reach, struct vfio_user_connection, reach);

	if (vfio_user_reach_go_on(reach))
		c->left = true;
	connection_talk(c);
}

/* It waits for us, and we for it. */
static void patience_expired(struct reactor_timer *t)
{
	struct vfio_user_connection *c = container_of(t, struct vfio_user_connection, patience);

	if (c->state != VFIO_USER_BUSY || c->left)
		return;
	if (c->reach.out && c->heard == c->reach.heard) {
		log_limited(&c->complaints, LOG_LEVEL_WARN, c->name,
			    "the client answers nothing about its memory while it waits for an "
			    "answer; its requests in flight are given up");
		vfio_user_reach_close(&c->reach);
		return;
	}
	c->heard = c->reach.heard;
	reactor_timer_start(c->home, &c->patience, VFIO_USER_PATIENCE_NS);
}

static void more_expired(struct reactor_timer *t)
{
	connection_talk(container_of(t, struct vfio_user_connection, more));
}

static void connection_ready(struct reactor_watch *w, uint32_t events)
{
	struct vfio_user_connection *c = container_of(w, struct vfio_user_connection, watch);

	/* What it still said before it left is read first; while BUSY it is only noted. */
	if (events & (EPOLLHUP | EPOLLERR) && c->state == VFIO_USER_BUSY)
		connection_leave(c);
	connection_talk(c);
}

int vfio_user_connection_serve(struct vfio_user_connection *c, int fd)
{
	int rc;

	vfio_user_channel_open(&c->ch, fd);
	vfio_user_reach_open(&c->reach);
	c->versioned = c->left = false;
	rc = reactor_watch_start(c->home, &c->watch, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
	if (rc) {
		vfio_user_channel_close(&c->ch);
		return rc;
	}
	c->state = VFIO_USER_TALKING;
	return 0;
}

void vfio_user_connection_close(struct vfio_user_connection *c)
{
	connection_leave(c);
}

int vfio_user_connection_init(struct vfio_user_connection *c, struct virtio_device *vdev,
			      const struct virtio_pci_options *board, struct reactor *home,
			      void (*gone)(struct vfio_user_connection *c), struct error *err)
{
	int rc;

	memset(c, 0, sizeof(*c));
	c->name = vdev->path;
	c->home = home;
	c->gone = gone;
	c->watch.ready = connection_ready;
	reactor_timer_init(&c->look, look_expired);
	reactor_timer_init(&c->more, more_expired);
	reactor_timer_init(&c->patience, patience_expired);
	vfio_user_held_init(&c->held);
	vfio_user_reach_init(&c->reach, home, c->name, &c->ch, reach_sent);
	rc = vfio_user_device_init(&c->device, vdev, board, home, &c->reach.remote, err);
	if (rc)
		return rc;
	rc = aside_create(&c->aside, home);
	if (!rc)
		rc = vfio_user_channel_init(&c->ch, c->aside);
	c->late = vfio_user_message_new();
	if (!rc && !c->late)
		rc = -ENOMEM;
	if (rc) {
		error_set(err, rc, "%s: no memory for messages", vdev->path);
		vfio_user_channel_fini(&c->ch);
		free(c->late);
		aside_release(&c->aside);
		vfio_user_device_fini(&c->device);
	}
	return rc;
}

void vfio_user_connection_fini(struct vfio_user_connection *c)
{
	vfio_user_channel_fini(&c->ch);
	free(c->late);
	aside_release(&c->aside);
	vfio_user_device_fini(&c->device);
}
