/* SPDX-License-Identifier: MIT */
#include "backend/lsi/spi.h"

#include <stdlib.h>
#include <string.h>

void spi_init(struct spi_bus *bus, void (*changed)(struct spi_bus *bus))
{
	memset(bus, 0, sizeof(*bus));
	bus->changed = changed;
	list_init(&bus->waiting);
	list_init(&bus->ready);
}

/* ---- coming and going ---- */

static void bus_free(struct spi_bus *bus)
{
	bus->now = NULL;
	bus->req = false;
	bus->held = false;
	bus->atn = false;
	bus->fresh = false;
	bus->phase = SPI_DATA_OUT;
}

static void nexus_free(struct spi_nexus *n)
{
	list_del(&n->link);
	if (n->bus->now == n)
		bus_free(n->bus);
	if (n->task)
		scsi_task_free(n->task);
	free(n);
}

static void enter(struct spi_bus *bus, enum spi_phase phase)
{
	bus->phase = phase;
	bus->req = true;
}

static void say(struct spi_nexus *n, uint8_t byte)
{
	if (n->in_at == n->in_n)
		n->in_at = n->in_n = 0;
	if (n->in_n < SPI_MSG_IN_MAX)
		n->in[n->in_n++] = byte;
}

static void disconnect(struct spi_nexus *n)
{
	n->leaving = false;
	n->moved = false;
	bus_free(n->bus);
	/* The storage may have been quicker than the message. */
	list_add_tail(n->step == SCSI_BUSY ? &n->bus->waiting : &n->bus->ready, &n->link);
}

/* The connected target goes to its next phase. */
static void go_on(struct spi_nexus *n)
{
	struct spi_bus *bus = n->bus;

	if (bus->atn) {
		enter(bus, SPI_MSG_OUT);
	} else if (n->in_at < n->in_n) {
		enter(bus, SPI_MSG_IN);
	} else if (n->freeing) {
		nexus_free(n);
	} else if (n->leaving) {
		disconnect(n);
	} else if (!n->commanded) {
		enter(bus, SPI_COMMAND);
	} else if (n->step == SCSI_WANTS_DATA) {
		enter(bus, SPI_DATA_OUT);
	} else if (n->step == SCSI_BUSY && n->may_disconnect) {
		if (n->moved)
			say(n, SPI_MSG_SAVE_POINTER);
		say(n, SPI_MSG_DISCONNECT);
		n->leaving = true;
		enter(bus, SPI_MSG_IN);
	} else if (n->step == SCSI_BUSY) {
		bus->req = false;
	} else if (n->task && n->pos < n->task->len) {
		enter(bus, SPI_DATA_IN);
	} else if (!n->told_status) {
		enter(bus, SPI_STATUS);
	} else {
		say(n, SPI_MSG_COMPLETE);
		n->freeing = true;
		enter(bus, SPI_MSG_IN);
	}
}

bool spi_select(struct spi_bus *bus, unsigned id, bool atn)
{
	struct spi_nexus *n;

	if (id >= SPI_IDS || !bus->disks[id])
		return false;
	n = calloc(1, sizeof(*n));
	if (!n)
		return false;
	list_init(&n->link);
	n->bus = bus;
	n->id = id;
	bus->now = n;
	bus->atn = atn;
	bus->fresh = true;
	go_on(n);
	return true;
}

bool spi_reselect(struct spi_bus *bus)
{
	struct spi_nexus *n;

	if (list_empty(&bus->ready))
		return false;
	n = list_entry(bus->ready.next, struct spi_nexus, link);
	list_del(&n->link);
	bus->now = n;
	say(n, (uint8_t)(SPI_MSG_IDENTIFY | n->lun));
	if (n->tagged) {
		say(n, SPI_MSG_SIMPLE_TAG);
		say(n, n->tag);
	}
	go_on(n);
	return true;
}

void spi_set_atn(struct spi_bus *bus, bool atn)
{
	bus->atn = atn;
	/* The target listens at once, if it is not about to say something itself. */
	if (atn && bus->now && !bus->held && !(bus->req && bus->phase == SPI_MSG_IN))
		enter(bus, SPI_MSG_OUT);
}

void spi_ack(struct spi_bus *bus)
{
	if (!bus->held)
		return;
	bus->held = false;
	go_on(bus->now);
}

void spi_drop(struct spi_bus *bus)
{
	if (bus->now)
		nexus_free(bus->now);
}

static void forget(struct list *from)
{
	list_for_each_safe (l, from)
		nexus_free(list_entry(l, struct spi_nexus, link));
}

void spi_reset(struct spi_bus *bus, uint16_t asc)
{
	spi_drop(bus);
	forget(&bus->waiting);
	forget(&bus->ready);
	for (unsigned i = 0; i < SPI_IDS; i++)
		if (bus->disks[i])
			scsi_disk_reset(bus->disks[i], asc);
}

/* ---- the command ---- */

static void nexus_task_done(struct scsi_task *task, enum scsi_step step)
{
	struct spi_nexus *n = task->owner;
	struct spi_bus *bus = n->bus;

	n->step = step;
	if (list_is_linked(&n->link)) {
		list_del(&n->link);
		list_add_tail(&bus->ready, &n->link);
	} else if (!bus->req && !bus->held) {
		go_on(n);
	}
	bus->changed(bus);
}

static bool same_nexus(const struct spi_nexus *a, const struct spi_nexus *b)
{
	return a != b && a->id == b->id && a->lun == b->lun && a->tagged == b->tagged &&
	       a->tag == b->tag;
}

/* Disconnected commands of this nexus. */
static void forget_same(const struct spi_nexus *n, struct list *from)
{
	list_for_each_safe (l, from) {
		struct spi_nexus *other = list_entry(l, struct spi_nexus, link);

		if (same_nexus(n, other))
			nexus_free(other);
	}
}

static void nexus_start(struct spi_nexus *n)
{
	struct spi_bus *bus = n->bus;

	/* An initiator that uses a nexus anew has given up the command before. */
	forget_same(n, &bus->waiting);
	forget_same(n, &bus->ready);
	n->commanded = true;
	n->step = SCSI_DONE;
	n->task = scsi_task_new(bus->disks[n->id], n->lun, n->cdb, nexus_task_done);
	if (n->task) {
		n->task->owner = n;
		n->task->ordered = n->tag_kind == SPI_MSG_ORDERED_TAG;
		n->step = scsi_task_start(n->task);
	}
	go_on(n);
}

unsigned spi_command(struct spi_bus *bus, const uint8_t *bytes, unsigned n)
{
	struct spi_nexus *now = bus->now;
	unsigned taken = 0;

	n = (unsigned)min_u64(n, SCSI_CDB_MAX);

	bus->fresh = false;
	while (taken < n && !now->commanded) {
		now->cdb[now->cdb_n++] = bytes[taken++];
		if (now->cdb_n == scsi_cdb_bytes(now->cdb[0]))
			nexus_start(now);
	}
	return n;
}

uint8_t *spi_data(struct spi_bus *bus, uint32_t *n)
{
	struct spi_nexus *now = bus->now;

	*n = now->task->len - now->pos;
	return now->task->data + now->pos;
}

void spi_data_moved(struct spi_bus *bus, uint32_t n)
{
	struct spi_nexus *now = bus->now;

	now->pos += n;
	now->moved = true;
	if (now->pos == now->task->len && now->step == SCSI_WANTS_DATA) {
		now->pos = 0;
		now->step = scsi_task_data(now->task);
	}
	go_on(now);
}

uint8_t spi_status(struct spi_bus *bus)
{
	struct spi_nexus *now = bus->now;
	uint8_t status = now->task ? now->task->status : SCSI_TASK_SET_FULL;

	now->told_status = true;
	go_on(now);
	return status;
}

/* ---- messages ---- */

unsigned spi_message_in(struct spi_bus *bus, uint8_t *bytes, unsigned n)
{
	struct spi_nexus *now = bus->now;
	unsigned given = 0;

	while (given < n && now->in_at < now->in_n)
		bytes[given++] = now->in[now->in_at++];
	bus->req = now->in_at < now->in_n;
	bus->held = true;
	return given;
}

static void forget_unit(struct spi_nexus *n, struct list *from, bool all_luns)
{
	list_for_each_safe (l, from) {
		struct spi_nexus *other = list_entry(l, struct spi_nexus, link);

		if (other->id == n->id && (all_luns || other->lun == n->lun))
			nexus_free(other);
	}
}

/* Synchronous transfers up to Fast-40 and 31 bytes ahead, 16 bits wide; no double transitions. */
#define PERIOD_MIN 10
#define OFFSET_MAX 31

static uint8_t nexus_period(uint8_t asked)
{
	return asked < PERIOD_MIN ? PERIOD_MIN : asked;
}

/* Of @m there is only what its length says. */
static void nexus_answer_extended(struct spi_nexus *n, const uint8_t *m)
{
	switch (m[2] | m[1] << 8) {
	case SPI_EXT_SDTR | 3 << 8:
		say(n, SPI_MSG_EXTENDED);
		say(n, 3);
		say(n, SPI_EXT_SDTR);
		say(n, nexus_period(m[3]));
		say(n, m[4] > OFFSET_MAX ? OFFSET_MAX : m[4]);
		break;
	case SPI_EXT_WDTR | 2 << 8:
		say(n, SPI_MSG_EXTENDED);
		say(n, 2);
		say(n, SPI_EXT_WDTR);
		say(n, m[3] ? 1 : 0);
		break;
	case SPI_EXT_PPR | 6 << 8:
		say(n, SPI_MSG_EXTENDED);
		say(n, 6);
		say(n, SPI_EXT_PPR);
		say(n, nexus_period(m[3]));
		say(n, 0);
		say(n, m[5] > OFFSET_MAX ? OFFSET_MAX : m[5]);
		say(n, m[6] ? 1 : 0);
		say(n, 0);
		break;
	default:
		say(n, SPI_MSG_REJECT);
	}
}

/* Bytes of the message at @m, of which @n are there; 0: more are needed to tell. */
static unsigned message_bytes(const uint8_t *m, unsigned n)
{
	if (m[0] == SPI_MSG_EXTENDED)
		return n < 2 ? 0 : 2u + (m[1] ? m[1] : 256u);
	return m[0] >= 0x20 && m[0] <= 0x2f ? 2 : 1;
}

static void nexus_identify(struct spi_nexus *n, uint8_t byte)
{
	n->identified = true;
	n->lun = byte & SPI_MSG_LUN;
	n->may_disconnect = byte & SPI_MSG_DISC_PRIV;
}

/* false: the connection is over, and the nexus gone. */
static bool hear(struct spi_nexus *n, const uint8_t *m)
{
	struct spi_bus *bus = n->bus;

	if (m[0] & SPI_MSG_IDENTIFY) {
		if (n->commanded)
			n->may_disconnect = m[0] & SPI_MSG_DISC_PRIV;
		else
			nexus_identify(n, m[0]);
		return true;
	}
	switch (m[0]) {
	case SPI_MSG_SIMPLE_TAG:
	case SPI_MSG_HEAD_TAG:
	case SPI_MSG_ORDERED_TAG:
		if (!n->commanded) {
			n->tagged = true;
			n->tag_kind = m[0];
			n->tag = m[1];
		}
		return true;
	case SPI_MSG_EXTENDED:
		nexus_answer_extended(n, m);
		return true;
	case SPI_MSG_REJECT:
		/* A disconnection that is refused does not take place, now or later. */
		n->may_disconnect &= !n->leaving;
		n->leaving = false;
		return true;
	case SPI_MSG_NOP:
		return true;
	case SPI_MSG_ABORT_TAG:
		forget_same(n, &bus->waiting);
		forget_same(n, &bus->ready);
		nexus_free(n);
		return false;
	case SPI_MSG_ABORT:
	case SPI_MSG_CLEAR_QUEUE:
		forget_unit(n, &bus->waiting, false);
		forget_unit(n, &bus->ready, false);
		nexus_free(n);
		return false;
	case SPI_MSG_DEVICE_RESET:
		forget_unit(n, &bus->waiting, true);
		forget_unit(n, &bus->ready, true);
		scsi_disk_reset(bus->disks[n->id], SCSI_ASC_DEVICE_RESET);
		nexus_free(n);
		return false;
	default:
		say(n, SPI_MSG_REJECT);
		return true;
	}
}

void spi_offer_message(struct spi_bus *bus)
{
	if (bus->now && bus->fresh && bus->req)
		enter(bus, SPI_MSG_OUT);
}

unsigned spi_message_out(struct spi_bus *bus, const uint8_t *bytes, unsigned n)
{
	struct spi_nexus *now = bus->now;
	unsigned taken = (unsigned)min_u64(n, SPI_MSG_OUT_MAX - now->out_n), at = 0, len;

	bus->fresh = false;
	memcpy(now->out + now->out_n, bytes, taken);
	now->out_n += taken;
	while (at < now->out_n) {
		len = message_bytes(now->out + at, now->out_n - at);
		if (!len || len > now->out_n - at)
			break;
		if (!hear(now, now->out + at))
			return taken;
		at += len;
	}
	now->out_n -= at;
	memmove(now->out, now->out + at, now->out_n);
	/* A message longer than any that there is: it is not listened to. */
	if (now->out_n == SPI_MSG_OUT_MAX ||
	    (now->out_n && message_bytes(now->out, now->out_n) > SPI_MSG_OUT_MAX)) {
		now->out_n = 0;
		bus->atn = false;
		say(now, SPI_MSG_REJECT);
	}
	if (!now->out_n)
		go_on(now);
	return taken;
}
