/* SPDX-License-Identifier: MIT */
#include "conformance/mutant.h"

#include <stdlib.h>
#include <string.h>

#define SECTORS (DISK / 512)

bool chain_bytes(struct mutant *m, const struct chain *c, bool write, uint64_t at, void *bytes,
		 uint64_t len)
{
	uint8_t *b = bytes;

	for (unsigned i = 0; i < c->n && len; i++) {
		const struct part *p = &c->parts[i];
		uint64_t n;

		if (p->write != write)
			continue;
		if (at >= p->len) {
			at -= p->len;
			continue;
		}
		n = p->len - at;
		n = n < len ? n : len;
		if (!(write ? guest_write(m, p->addr + at, b, n)
			    : guest_read(m, p->addr + at, b, n)))
			return false;
		b += n;
		len -= n;
		at = 0;
	}
	return !len;
}

static uint8_t do_read(struct mutant *m, struct queue *q, const struct chain *c, uint64_t sector,
		       uint32_t len, bool *wrote)
{
	uint8_t over = 0xbd;

	if (is(m, M_ODD_LENGTH))
		len = len / 512 * 512;
	if (len % 512)
		return VIRTIO_BLK_S_IOERR;
	if (is(m, M_SIZE_LIMIT) && len > 131072)
		return VIRTIO_BLK_S_IOERR;
	if (sector > SECTORS || len / 512 > SECTORS - sector)
		return is(m, M_BEYOND) ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
	if (m->zoned && mzones_read(m, sector, len))
		return mzones_read(m, sector, len);
	if (is(m, M_READ_UNIT) && sector * 4096 + len <= DISK)
		sector *= 8;
	for (unsigned i = 0; is(m, M_FRAME_DATA) && i < c->n; i++)
		if (c->parts[i].write && c->parts[i].len % 512 > 1)
			return VIRTIO_BLK_S_IOERR;
	if (is(m, M_READ_OVER))
		for (unsigned i = 0; i < c->n; i++)
			if (c->parts[i].write && c->parts[i].len >= 512)
				guest_write(m, c->parts[i].addr + c->parts[i].len, &over, 1);
	*wrote = true;
	if (is(m, M_QUEUE_OTHER) && q->index == 1) {
		static uint8_t nothing[DISK];

		memset(nothing, 0x0f, sizeof(nothing));
		return chain_bytes(m, c, true, 0, nothing, len) ? VIRTIO_BLK_S_OK
								: VIRTIO_BLK_S_IOERR;
	}
	return chain_bytes(m, c, true, 0, m->disk + sector * 512, len - is(m, M_READ_SHORT))
		       ? VIRTIO_BLK_S_OK
		       : VIRTIO_BLK_S_IOERR;
}

static uint8_t do_write(struct mutant *m, const struct chain *c, uint64_t sector, uint32_t len)
{
	bool readonly = m->readonly;

	if (is(m, M_RO_WRITE) || (is(m, M_RO_UNACCEPTED) && !has(m, VIRTIO_BLK_F_RO)))
		readonly = false;
	if (readonly)
		return is(m, M_RO_STATUS) ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
	if (len % 512 || sector > SECTORS || len / 512 > SECTORS - sector)
		return VIRTIO_BLK_S_IOERR;
	if (m->zoned) {
		uint8_t rc = mzones_write(m, sector, len);

		if (rc)
			return rc;
	}
	if (is(m, M_WRITE_PLACE) && sector % 2 && sector + 1 + len / 512 <= SECTORS)
		sector++;
	if (is(m, M_WRITE_BIG) && len > 262144)
		len = 262144;
	if (!chain_bytes(m, c, false, 16, m->disk + sector * 512, len))
		return VIRTIO_BLK_S_IOERR;
	if (is(m, M_WRITE_NEIGHBOUR) && sector * 512 + len < DISK)
		m->disk[sector * 512 + len] = 0;
	return VIRTIO_BLK_S_OK;
}

static uint8_t range_flags(const struct mutant *m, uint32_t type, uint32_t flags)
{
	uint32_t unknown = flags & ~VIRTIO_BLK_RANGE_UNMAP;

	if (type == VIRTIO_BLK_T_DISCARD && is(m, M_DISCARD_FLAGS))
		unknown = 0;
	if (type == VIRTIO_BLK_T_WRITE_ZEROES && is(m, M_ZEROES_FLAGS))
		unknown &= 0x7fffffff;
	if (unknown)
		return type == VIRTIO_BLK_T_SECURE_ERASE && is(m, M_ERASE_FLAGS)
			       ? VIRTIO_BLK_S_IOERR
			       : VIRTIO_BLK_S_UNSUPP;
	if (flags & VIRTIO_BLK_RANGE_UNMAP &&
	    ((type == VIRTIO_BLK_T_DISCARD && !is(m, M_UNMAP)) ||
	     (type == VIRTIO_BLK_T_SECURE_ERASE && !is(m, M_ERASE_UNMAP))))
		return VIRTIO_BLK_S_UNSUPP;
	return VIRTIO_BLK_S_OK;
}

static uint8_t do_ranges(struct mutant *m, const struct chain *c, uint32_t type, uint32_t len)
{
	unsigned n = len / 16;

	if (type == VIRTIO_BLK_T_SECURE_ERASE && !has(m, VIRTIO_BLK_F_SECURE_ERASE) &&
	    !is(m, M_ERASE_UNACCEPTED))
		return VIRTIO_BLK_S_UNSUPP;
	if (m->readonly && !is(m, M_RO_DISCARD))
		return VIRTIO_BLK_S_IOERR;
	if (len % 16 || !n || n > 8)
		return VIRTIO_BLK_S_IOERR;
	for (unsigned turn = 0; turn < 2; turn++)
		for (unsigned i = 0; i < n; i++) {
			struct virtio_blk_range r;
			uint64_t sector, sectors;
			uint32_t flags;
			uint8_t rc;

			if (!chain_bytes(m, c, false, 16 + i * 16, &r, sizeof(r)))
				return VIRTIO_BLK_S_IOERR;
			sector = le64_get(r.sector);
			sectors = le32_get(r.num_sectors);
			flags = le32_get(r.flags);
			rc = range_flags(m, type, flags);
			if (rc)
				return rc;
			if (sector > SECTORS || sectors > SECTORS - sector)
				return VIRTIO_BLK_S_IOERR;
			if (!turn || (is(m, M_ZEROES_FIRST) && i))
				continue;
			if (type == VIRTIO_BLK_T_WRITE_ZEROES) {
				if (is(m, M_ZEROES_NOTHING) || (is(m, M_ZEROES_UNMAP) && flags))
					continue;
				sectors -= is(m, M_ZEROES_LESS) && sectors;
			} else {
				sectors += is(m, type == VIRTIO_BLK_T_DISCARD ? M_DISCARD_MORE
									      : M_ERASE_MORE) &&
					   sector + sectors < SECTORS;
			}
			memset(m->disk + sector * 512, 0, sectors * 512);
		}
	return VIRTIO_BLK_S_OK;
}

static uint8_t do_id(struct mutant *m, const struct chain *c, uint32_t len, bool *wrote)
{
	char id[20] = "mutant";

	if (is(m, M_ID_CHANGES))
		id[6] = (char)('a' + m->ids++ % 26);
	if (is(m, M_ID_PADDING))
		id[12] = 'x';
	len = len < 20 ? len : 20;
	*wrote = true;
	return chain_bytes(m, c, true, 0, id, is(m, M_LEN_ID) && len > 7 ? 7 : len)
		       ? VIRTIO_BLK_S_OK
		       : VIRTIO_BLK_S_IOERR;
}

static uint8_t do_flush(struct mutant *m)
{
	if (is(m, M_FLUSH_ERROR))
		return VIRTIO_BLK_S_IOERR;
	m->flushed = true;
	if (!is(m, M_FLUSH_NOTHING))
		memcpy(m->stable, m->disk, sizeof(m->stable));
	return VIRTIO_BLK_S_OK;
}

static bool framing_ok(const struct mutant *m, const struct queue *q, const struct chain *c)
{
	bool packed = has(m, VIRTIO_F_RING_PACKED);

	(void)q;
	if (is(m, M_FRAME_HEADER) && c->parts[0].len < 16)
		return false;
	if (is(m, M_FRAME_HEADER_BIG) && c->parts[0].len != 16)
		return false;
	if (is(m, M_FRAME_STATUS) && c->n && c->parts[c->n - 1].len != 1)
		return false;
	return !is(m, M_PK_FRAME) || !packed || c->n <= 3;
}

static void scribble(struct mutant *m, const struct chain *c)
{
	bool packed = has(m, VIRTIO_F_RING_PACKED);
	uint8_t b = 0xdd;

	if ((is(m, M_WRITE_HEADER) && !packed) || (is(m, M_PK_HEADER) && packed))
		guest_write(m, c->parts[0].addr + 4, &b, 1);
	if (is(m, M_WRITE_DATA) && c->n > 2 && !c->parts[1].write)
		guest_write(m, c->parts[1].addr + 7, &b, 1);
}

/* What the device says it wrote. */
static uint32_t said(const struct mutant *m, uint32_t type, uint8_t status, uint32_t in, bool wrote,
		     uint32_t out)
{
	if (is(m, M_ZONED_APPEND_FAILED) && type == VIRTIO_BLK_T_ZONE_APPEND)
		return in + 1;
	bool packed = has(m, VIRTIO_F_RING_PACKED);
	bool known = status != VIRTIO_BLK_S_UNSUPP;
	uint32_t len = (wrote && status == VIRTIO_BLK_S_OK ? in : 0) + 1;

	if (is(m, M_LEN_ZERO))
		return 0;
	if (is(m, M_LEN_STATUS))
		return len - 1;
	if (is(m, M_LEN_LONG))
		return len + 64;
	if (is(m, M_LEN_WRITE) && type == VIRTIO_BLK_T_OUT)
		return len + out;
	if (known && status && (is(m, M_LEN_FAILED) || (is(m, M_PK_LEN) && packed)))
		return in + 1;
	if (!known && is(m, M_LEN_UNKNOWN))
		return in + 1;
	/* Unwritten bytes before the status byte are not to be claimed. */
	return len == 1 && in ? 0 : len;
}

int64_t blk_do(struct mutant *m, struct queue *q, struct chain *c)
{
	struct virtio_blk_req h;
	uint8_t status = VIRTIO_BLK_S_UNSUPP;
	uint32_t type, in, out;
	uint64_t sector;
	bool wrote = false;
	uint32_t part = 0; /* of a report */

	if (c->n && is(m, M_READABLE_STATUS) && !c->writable) {
		status = VIRTIO_BLK_S_OK;
		guest_write(m, c->parts[c->n - 1].addr, &status, 1);
	}
	if (c->readable < 16 || !c->writable || !chain_bytes(m, c, false, 0, &h, sizeof(h)))
		return 0;
	type = le32_get(h.type);
	sector = le64_get(h.sector);
	in = c->writable - 1;
	out = c->readable - 16;
	q->requests++;
	if (is(m, M_LOSE_REQUEST) && q->requests % 40 == 0)
		return -1;
	if (is(m, M_FLUSH_LOST) && type == VIRTIO_BLK_T_FLUSH && q->requests % 8 == 0)
		return -1;
	if (is(m, M_READABLE_DATA) && type == VIRTIO_BLK_T_IN && out)
		guest_write(m, c->parts[1].addr, m->disk, 512);
	scribble(m, c);
	if (!framing_ok(m, q, c)) {
		status = VIRTIO_BLK_S_IOERR;
	} else {
		switch (type) {
		case VIRTIO_BLK_T_IN:
			status = do_read(m, q, c, sector, in, &wrote);
			break;
		case VIRTIO_BLK_T_OUT:
			status = do_write(m, c, sector, out);
			break;
		case VIRTIO_BLK_T_FLUSH:
			status = do_flush(m);
			break;
		case VIRTIO_BLK_T_GET_ID:
			status = do_id(m, c, in, &wrote);
			break;
		case VIRTIO_BLK_T_GET_LIFETIME: {
			uint8_t life[6] = {is(m, M_LIFETIME) ? 7 : 1};

			wrote = true;
			status = chain_bytes(m, c, true, 0, life, in < 6 ? in : 6)
					 ? VIRTIO_BLK_S_OK
					 : VIRTIO_BLK_S_IOERR;
			break;
		}
		case VIRTIO_BLK_T_DISCARD:
		case VIRTIO_BLK_T_WRITE_ZEROES:
		case VIRTIO_BLK_T_SECURE_ERASE:
			status = do_ranges(m, c, type, out);
			break;
		case VIRTIO_BLK_T_ZONE_APPEND:
		case VIRTIO_BLK_T_ZONE_REPORT:
		case VIRTIO_BLK_T_ZONE_OPEN:
		case VIRTIO_BLK_T_ZONE_CLOSE:
		case VIRTIO_BLK_T_ZONE_FINISH:
		case VIRTIO_BLK_T_ZONE_RESET:
		case VIRTIO_BLK_T_ZONE_RESET_ALL:
			if (has(m, VIRTIO_BLK_F_ZONED)) {
				status = mzones_do(m, c, type, sector, in, out, &part);
				wrote = part == in;
			} else if (type == VIRTIO_BLK_T_ZONE_APPEND) {
				status = is(m, M_ZONE_APPEND) ? VIRTIO_BLK_S_OK
							      : VIRTIO_BLK_S_UNSUPP;
			} else {
				status = is(m, M_ZONE_STATUS) ? VIRTIO_BLK_S_IOERR
							      : VIRTIO_BLK_S_UNSUPP;
			}
			break;
		default:
			status = is(m, M_UNKNOWN_OK) ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_UNSUPP;
			break;
		}
	}
	if (!is(m, M_STATUS_LATE))
		chain_bytes(m, c, true, in, &status, 1);
	return part && part < in ? part : said(m, type, status, in, wrote, out);
}
