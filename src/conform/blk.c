/* SPDX-License-Identifier: MIT */
#include "conform/blk.h"

#include <stdio.h>
#include <string.h>

static bool writes_data(uint32_t type)
{
	switch (type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_GET_ID:
	case VIRTIO_BLK_T_GET_LIFETIME:
	case VIRTIO_BLK_T_ZONE_REPORT:
		return true;
	default:
		return false;
	}
}

static const char *type_name(uint32_t type)
{
	switch (type) {
	case VIRTIO_BLK_T_IN:
		return "IN";
	case VIRTIO_BLK_T_OUT:
		return "OUT";
	case VIRTIO_BLK_T_FLUSH:
		return "FLUSH";
	case VIRTIO_BLK_T_GET_ID:
		return "GET_ID";
	case VIRTIO_BLK_T_GET_LIFETIME:
		return "GET_LIFETIME";
	case VIRTIO_BLK_T_DISCARD:
		return "DISCARD";
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return "WRITE_ZEROES";
	case VIRTIO_BLK_T_SECURE_ERASE:
		return "SECURE_ERASE";
	case VIRTIO_BLK_T_ZONE_APPEND:
		return "ZONE_APPEND";
	case VIRTIO_BLK_T_ZONE_REPORT:
		return "ZONE_REPORT";
	case VIRTIO_BLK_T_ZONE_OPEN:
		return "ZONE_OPEN";
	case VIRTIO_BLK_T_ZONE_CLOSE:
		return "ZONE_CLOSE";
	case VIRTIO_BLK_T_ZONE_FINISH:
		return "ZONE_FINISH";
	case VIRTIO_BLK_T_ZONE_RESET:
		return "ZONE_RESET";
	case VIRTIO_BLK_T_ZONE_RESET_ALL:
		return "ZONE_RESET_ALL";
	default:
		return "request";
	}
}

void req_header(struct trial *t, const struct req *q)
{
	const struct virtio_blk_req h = {.type = le32_make(q->type),
					 .sector = le64_make(q->sector)};

	memcpy(at(t, q->header, sizeof(h)), &h, sizeof(h));
	fill(t, q->status, BLK_NO_STATUS, 1);
}

struct req req_make(struct trial *t, uint32_t type, uint64_t sector, uint32_t len)
{
	struct req q = {.type = type, .sector = sector, .len = len, .in = writes_data(type)};

	q.header = mem(t, sizeof(struct virtio_blk_req));
	q.data = len ? mem(t, len) : 0;
	q.status = mem(t, 1);
	req_header(t, &q);
	if (q.in && len)
		fill(t, q.data, 0xa5, len);
	return q;
}

unsigned req_segs(const struct req *q, struct seg segs[3])
{
	unsigned n = 0;

	segs[n++] = (struct seg){q->header, sizeof(struct virtio_blk_req), 0};
	if (q->len)
		segs[n++] = (struct seg){q->data, q->len, q->in ? F_WRITE : 0};
	segs[n++] = (struct seg){q->status, 1, F_WRITE};
	return n;
}

static void say(struct ring *r, const struct req *q, const struct seg *segs, unsigned n)
{
	char chain[128] = "";
	size_t len = 0;

	for (unsigned i = 0; i < n && len < sizeof(chain) - 24; i++)
		len += (size_t)snprintf(chain + len, sizeof(chain) - len, " %u%s%s", segs[i].len,
					segs[i].flags & F_WRITE ? "w" : "r",
					segs[i].flags & F_INDIRECT ? " (indirect)" : "");
	if (len >= sizeof(chain) - 24)
		snprintf(chain + len, sizeof(chain) - len, " ...");
	trial_sent(r->t, "%s (type %u) at sector %llu on queue %u, %s ring of %u, chain of %u:%s",
		   type_name(q->type), q->type, (unsigned long long)q->sector, r->index,
		   r->packed ? "packed" : "split", r->num, n, chain);
}

void req_add(struct ring *r, struct req *q)
{
	struct seg segs[3];
	unsigned n = req_segs(q, segs);

	say(r, q, segs, n);
	q->id = ring_add(r, segs, n);
}

uint8_t req_finish(struct ring *r, struct req *q)
{
	ring_wait(r, &q->used);
	if (q->used.id != q->id)
		trial_fail(r->t, "the used entry names the request that was made available",
			   "id %u, but only %u was outstanding", q->used.id, q->id);
	return byte_at(r->t, q->status);
}

uint8_t req_run_segs(struct ring *r, struct req *q, const struct seg *segs, unsigned n)
{
	say(r, q, segs, n);
	q->id = ring_add(r, segs, n);
	ring_publish(r);
	ring_kick(r);
	return req_finish(r, q);
}

uint8_t req_run(struct ring *r, struct req *q)
{
	struct seg segs[3];
	unsigned n = req_segs(q, segs);

	return req_run_segs(r, q, segs, n);
}

const char *status_name(uint8_t status)
{
	switch (status) {
	case VIRTIO_BLK_S_OK:
		return "OK";
	case VIRTIO_BLK_S_IOERR:
		return "IOERR";
	case VIRTIO_BLK_S_UNSUPP:
		return "UNSUPP";
	case VIRTIO_BLK_S_ZONE_INVALID_CMD:
		return "ZONE_INVALID_CMD";
	case VIRTIO_BLK_S_ZONE_UNALIGNED_WP:
		return "ZONE_UNALIGNED_WP";
	case VIRTIO_BLK_S_ZONE_OPEN_RESOURCE:
		return "ZONE_OPEN_RESOURCE";
	case VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE:
		return "ZONE_ACTIVE_RESOURCE";
	case BLK_NO_STATUS:
		return "never written";
	default:
		return "no status of the standard";
	}
}

void expect_status(struct trial *t, uint8_t got, uint8_t wanted)
{
	char expected[64];

	if (got == wanted)
		return;
	snprintf(expected, sizeof(expected), "status %u (%s)", wanted, status_name(wanted));
	trial_fail(t, expected, "status %u (%s)", got, status_name(got));
}

void expect_not_ok(struct trial *t, uint8_t got)
{
	if (got == VIRTIO_BLK_S_OK || got == BLK_NO_STATUS)
		trial_fail(t, "a status other than OK", "status %u (%s)", got, status_name(got));
}

void req_ok(struct ring *r, struct req *q)
{
	expect_status(r->t, req_run(r, q), VIRTIO_BLK_S_OK);
}

struct req blk_read(struct ring *r, uint64_t sector, uint32_t len)
{
	struct req q = req_make(r->t, VIRTIO_BLK_T_IN, sector, len);

	req_ok(r, &q);
	return q;
}

void blk_read_and_forget(struct ring *r)
{
	struct req q = blk_read(r, 0, 512);

	r->t->next_gpa = q.header;
}

void blk_read_at_once(struct ring *r, struct req *q, unsigned n, uint32_t len, uint32_t third)
{
	for (unsigned i = 0; i < n; i++) {
		q[i] = req_make(r->t, VIRTIO_BLK_T_IN, 0, i % 3 ? len : third);
		req_add(r, &q[i]);
	}
	ring_publish(r);
	ring_kick(r);
}

void blk_write(struct ring *r, uint64_t sector, uint8_t value, uint32_t len)
{
	struct req q = req_make(r->t, VIRTIO_BLK_T_OUT, sector, len);

	fill(r->t, q.data, value, len);
	req_ok(r, &q);
}

void blk_expect(struct ring *r, uint64_t sector, uint8_t value, uint32_t len, const char *expected)
{
	char sent[sizeof(r->t->sent)];
	const uint8_t *b;
	struct req q;

	memcpy(sent, r->t->sent, sizeof(sent));
	q = blk_read(r, sector, len);
	memcpy(r->t->sent, sent, sizeof(sent));
	b = at(r->t, q.data, len);
	for (uint32_t i = 0; i < len; i++)
		if (b[i] != value)
			trial_fail(r->t, expected, "sector %llu, byte %u is 0x%02x, not 0x%02x",
				   (unsigned long long)(sector + i / 512), i % 512, b[i], value);
}

void range_set(struct trial *t, const struct req *q, unsigned i, uint64_t sector, uint32_t n,
	       uint32_t flags)
{
	const struct virtio_blk_range range = {le64_make(sector), le32_make(n), le32_make(flags)};

	memcpy(at(t, q->data + i * sizeof(range), sizeof(range)), &range, sizeof(range));
}

struct req range_make(struct trial *t, uint32_t type, uint64_t sector, uint32_t n, uint32_t flags)
{
	struct req q = req_make(t, type, 0, sizeof(struct virtio_blk_range));

	range_set(t, &q, 0, sector, n, flags);
	return q;
}

uint64_t capacity(struct trial *t)
{
	if (t->config_len < 8)
		trial_skip(t, "the capacity cannot be read without the protocol feature CONFIG");
	return le64_get(t->config.capacity);
}

bool host_managed(const struct trial *t)
{
	return offered(t, VIRTIO_BLK_F_ZONED) &&
	       t->config_len > offsetof(struct virtio_blk_config, zone_model) &&
	       t->config.zone_model == VIRTIO_BLK_Z_HM;
}

uint64_t scratch(struct trial *t, uint64_t sectors)
{
	uint64_t first = (t->o->offset + 511) / 512;
	uint64_t end = min_u64((t->o->offset + t->o->size) / 512, capacity(t));

	if (offered(t, VIRTIO_BLK_F_RO))
		trial_skip(t, "the disk is read-only");
	if (host_managed(t))
		trial_skip(t, "the disk has host-managed zones, which only their own cases write");
	if (first + sectors > end)
		trial_skip(t,
			   "the part of the disk that may be written (--offset, --size) is smaller "
			   "than %llu sectors",
			   (unsigned long long)sectors);
	return first;
}
