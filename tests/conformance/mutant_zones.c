/* SPDX-License-Identifier: MIT */
/* The mutant as a host-managed zoned disk. */
#include "conformance/mutant.h"

#include <string.h>

#define MAX_OPEN    3u
#define MAX_ACTIVE  5u
#define MAX_APPEND  128u
#define GRANULE	    8u
#define LAST_CAP    (ZONE_SECTORS - 64) /* of the last zone */
#define REPORT_HEAD 64u

void mzones_init(struct mutant *m)
{
	for (unsigned i = 0; i < ZONES; i++)
		m->zones[i] = (struct mzone){.state = i ? VIRTIO_BLK_ZS_EMPTY
							: VIRTIO_BLK_ZS_NOT_WP};
	memset(m->disk + ZONE_SECTORS * 512, 0, DISK - ZONE_SECTORS * 512);
	memcpy(m->stable, m->disk, DISK);
}

void mzones_config(struct mutant *m)
{
	struct virtio_blk_config *c = &m->config;

	c->zone_sectors = le32_make(is(m, M_ZONED_SIZE) ? 0 : ZONE_SECTORS);
	c->max_open_zones = le32_make(is(m, M_ZONED_LIMITS) ? MAX_ACTIVE + 1 : MAX_OPEN);
	c->max_active_zones = le32_make(MAX_ACTIVE);
	c->max_append_sectors = le32_make(is(m, M_ZONED_APPEND_MAX) ? 2 * ZONE_SECTORS
								    : MAX_APPEND);
	c->write_granularity = le32_make(is(m, M_ZONED_GRANULARITY) ? 1000 : GRANULE * 512);
	c->zone_model = is(m, M_ZONED_FIELDS)  ? VIRTIO_BLK_Z_HA
			: is(m, M_ZONED_MODEL) ? 3
					       : VIRTIO_BLK_Z_HM;
	c->unused2[1] = is(m, M_ZONED_PADDING) ? 7 : 0;
	c->secure_erase_sector_alignment = le32_make(1);
}

static unsigned zone_of(uint64_t sector)
{
	return (unsigned)(sector / ZONE_SECTORS);
}

static uint64_t capacity_of(unsigned i)
{
	return i == ZONES - 1 ? LAST_CAP : ZONE_SECTORS;
}

static unsigned count(const struct mutant *m, bool active)
{
	unsigned n = 0;

	for (unsigned i = 1; i < ZONES; i++) {
		uint8_t s = m->zones[i].state;

		n += s == VIRTIO_BLK_ZS_IOPEN || s == VIRTIO_BLK_ZS_EOPEN ||
		     (active && s == VIRTIO_BLK_ZS_CLOSED);
	}
	return n;
}

static bool is_open(const struct mzone *z)
{
	return z->state == VIRTIO_BLK_ZS_IOPEN || z->state == VIRTIO_BLK_ZS_EOPEN;
}

/* Room for one more open zone, by closing one that a write opened if need be. */
static uint8_t make_room(struct mutant *m, const struct mzone *z)
{
	bool active = is_open(z) || z->state == VIRTIO_BLK_ZS_CLOSED;

	if (!active && count(m, true) >= MAX_ACTIVE && !is(m, M_ZONED_ACTIVE_LIMIT))
		return VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE;
	if (is_open(z) || count(m, false) < MAX_OPEN || is(m, M_ZONED_OPEN_LIMIT))
		return VIRTIO_BLK_S_OK;
	for (unsigned i = 1; i < ZONES && !is(m, M_ZONED_IMPLICIT); i++)
		if (m->zones[i].state == VIRTIO_BLK_ZS_IOPEN) {
			m->zones[i].state = VIRTIO_BLK_ZS_CLOSED;
			return VIRTIO_BLK_S_OK;
		}
	return VIRTIO_BLK_S_ZONE_OPEN_RESOURCE;
}

/* ---- data ---- */

uint8_t mzones_read(const struct mutant *m, uint64_t sector, uint32_t len)
{
	uint64_t last = sector + len / 512 - (len ? 1 : 0);

	if (is(m, M_ZONED_READ_BORDER) || !has(m, VIRTIO_BLK_F_ZONED) || last >= DISK / 512)
		return 0;
	return zone_of(sector) && zone_of(sector) != zone_of(last) ? VIRTIO_BLK_S_ZONE_INVALID_CMD
								   : 0;
}

/* At the pointer of a zone that takes writes: it moves. */
static void moved(struct mutant *m, struct mzone *z, uint64_t n, uint64_t capacity)
{
	z->wp += n;
	if (is(m, M_ZONED_STATE))
		return;
	if (z->wp == capacity && !is(m, M_ZONED_FULL))
		z->state = VIRTIO_BLK_ZS_FULL;
	else if (z->state != VIRTIO_BLK_ZS_EOPEN || is(m, M_ZONED_CLOSED))
		z->state = VIRTIO_BLK_ZS_IOPEN;
}

uint8_t mzones_write(struct mutant *m, uint64_t sector, uint32_t len)
{
	unsigned i = zone_of(sector);
	struct mzone *z = &m->zones[i];
	uint64_t n = len / 512;
	uint8_t rc;

	if (!n || !i)
		return 0;
	if (z->state == VIRTIO_BLK_ZS_FULL && !is(m, M_ZONED_FULL))
		return VIRTIO_BLK_S_ZONE_INVALID_CMD;
	if (sector % ZONE_SECTORS + n > capacity_of(i)) {
		if (is(m, M_ZONED_BORDER))
			return VIRTIO_BLK_S_IOERR;
		return is(m, M_ZONED_CAPACITY) ? VIRTIO_BLK_S_ZONE_UNALIGNED_WP
					       : VIRTIO_BLK_S_ZONE_INVALID_CMD;
	}
	if (n % GRANULE && !is(m, M_ZONED_GRANULE))
		return VIRTIO_BLK_S_ZONE_UNALIGNED_WP;
	if (sector % ZONE_SECTORS != z->wp && !is(m, M_ZONED_POINTER))
		return VIRTIO_BLK_S_ZONE_UNALIGNED_WP;
	rc = make_room(m, z);
	if (!rc)
		moved(m, z, n, capacity_of(i));
	return rc;
}

static uint8_t mzones_append(struct mutant *m, const struct chain *c, uint64_t sector, uint32_t in,
			     uint32_t out, uint32_t *wrote)
{
	unsigned i = zone_of(sector);
	uint64_t n = out / 512, at;
	struct mzone *z = &m->zones[i];
	uint8_t rc;
	le64 place;

	if (sector >= DISK / 512 || out % 512 || !n || in < sizeof(place))
		return VIRTIO_BLK_S_IOERR;
	if (!i)
		return is(m, M_ZONED_CONV_APPEND) ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_ZONE_INVALID_CMD;
	if (sector % ZONE_SECTORS && !is(m, M_ZONED_APPEND_START))
		return VIRTIO_BLK_S_ZONE_INVALID_CMD;
	if (n > MAX_APPEND && !is(m, M_ZONED_APPEND_LENGTH))
		return VIRTIO_BLK_S_ZONE_INVALID_CMD;
	if (n % GRANULE && is(m, M_ZONED_APPEND_GRANULE))
		n = GRANULE;
	if (z->state == VIRTIO_BLK_ZS_FULL)
		return VIRTIO_BLK_S_ZONE_INVALID_CMD;
	at = i * (uint64_t)ZONE_SECTORS + z->wp;
	rc = mzones_write(m, at, (uint32_t)n * 512);
	if (rc)
		return rc;
	if (out == n * 512 && !chain_bytes(m, c, false, 16, m->disk + at * 512, out))
		return VIRTIO_BLK_S_IOERR;
	if (is(m, M_ZONED_PLACE))
		at += n;
	if (is(m, M_ZONED_PARALLEL) && ++m->appends % 3 == 0)
		at -= n;
	place = le64_make(at);
	/* Seven bytes that are a buffer of their own cannot be filled, thinks this one. */
	if (is(m, M_ZONED_FRAMING) && c->parts[c->n - 1].len != 1)
		place = le64_make(0);
	*wrote = sizeof(place);
	return chain_bytes(m, c, true, is(m, M_ZONED_PADDED) ? in - sizeof(place) : 0, &place,
			   sizeof(place))
		       ? VIRTIO_BLK_S_OK
		       : VIRTIO_BLK_S_IOERR;
}

/* ---- reports ---- */

static struct virtio_blk_zone_descriptor describe(const struct mutant *m, unsigned i)
{
	uint64_t start = i * (uint64_t)ZONE_SECTORS;
	const struct mzone *z = &m->zones[i];

	return (struct virtio_blk_zone_descriptor){
		.z_cap = le64_make(capacity_of(i)),
		.z_start = le64_make(start),
		.z_wp = le64_make(is(m, M_ZONED_REPORT) && !z->wp ? 0 : start + z->wp),
		.z_type = i ? VIRTIO_BLK_ZT_SWR : VIRTIO_BLK_ZT_CONV,
		.z_state = z->state,
	};
}

static uint8_t mzones_report(struct mutant *m, const struct chain *c, uint64_t sector, uint32_t in,
			     uint32_t *wrote)
{
	struct virtio_blk_zone_report h = {.nr_zones = le64_make(0)};
	uint32_t room = in / 64 ? in / 64 - 1 : 0, n = 0;
	unsigned first;

	if (sector >= DISK / 512) {
		if (!is(m, M_ZONED_REPORT_BEYOND))
			return VIRTIO_BLK_S_IOERR;
		sector = DISK / 512 - 1;
	}
	if (in < REPORT_HEAD)
		return is(m, M_ZONED_REPORT_SHORT) ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
	first = zone_of(is(m, M_ZONED_REPORT_INSIDE) ? sector + ZONE_SECTORS - 1 : sector);
	for (; n < room && first + n < ZONES; n++) {
		struct virtio_blk_zone_descriptor d = describe(m, first + n);

		if (is(m, M_ZONED_REPORT_PIECES) && c->n > 3)
			memset(&d, 0, sizeof(d));
		if (!chain_bytes(m, c, true, REPORT_HEAD + n * sizeof(d), &d, sizeof(d)))
			return VIRTIO_BLK_S_IOERR;
	}
	h.nr_zones = le64_make(is(m, M_ZONED_REPORT_LENGTH) ? ZONES - first : n);
	*wrote = REPORT_HEAD + n * 64;
	return chain_bytes(m, c, true, 0, &h, sizeof(h)) ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
}

/* ---- commands ---- */

static void zone_reset(struct mutant *m, unsigned i)
{
	m->zones[i] = (struct mzone){.state = VIRTIO_BLK_ZS_EMPTY};
	if (!is(m, M_ZONED_BEHIND))
		memset(m->disk + i * ZONE_SECTORS * 512, 0, ZONE_SECTORS * 512);
}

static uint8_t zone_open(struct mutant *m, struct mzone *z)
{
	uint8_t rc;

	if (z->state == VIRTIO_BLK_ZS_EOPEN)
		return is(m, M_ZONED_OPEN_AGAIN) ? VIRTIO_BLK_S_ZONE_INVALID_CMD : VIRTIO_BLK_S_OK;
	if (z->state == VIRTIO_BLK_ZS_FULL && !is(m, M_ZONED_IMPOSSIBLE))
		return VIRTIO_BLK_S_ZONE_INVALID_CMD;
	rc = make_room(m, z);
	if (!rc)
		z->state = VIRTIO_BLK_ZS_EOPEN;
	return rc;
}

static uint8_t zone_close(const struct mutant *m, struct mzone *z)
{
	if (z->state == VIRTIO_BLK_ZS_FULL || z->state == VIRTIO_BLK_ZS_EMPTY)
		return VIRTIO_BLK_S_ZONE_INVALID_CMD;
	z->state = z->wp || is(m, M_ZONED_CLOSE_EMPTY) ? VIRTIO_BLK_ZS_CLOSED : VIRTIO_BLK_ZS_EMPTY;
	return VIRTIO_BLK_S_OK;
}

static uint8_t reset_all(struct mutant *m)
{
	for (unsigned i = 1; i < ZONES; i++)
		if (!is(m, M_ZONED_RESET_ALL) || m->zones[i].state != VIRTIO_BLK_ZS_CLOSED)
			zone_reset(m, i);
	return VIRTIO_BLK_S_OK;
}

uint8_t mzones_do(struct mutant *m, const struct chain *c, uint32_t type, uint64_t sector,
		  uint32_t in, uint32_t out, uint32_t *wrote)
{
	unsigned i = zone_of(sector);

	if (type == VIRTIO_BLK_T_ZONE_REPORT)
		return mzones_report(m, c, sector, in, wrote);
	if (type == VIRTIO_BLK_T_ZONE_APPEND)
		return mzones_append(m, c, sector, in, out, wrote);
	if (type == VIRTIO_BLK_T_ZONE_RESET_ALL)
		return reset_all(m);
	if (sector >= DISK / 512)
		return is(m, M_ZONED_BEYOND) ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_ZONE_INVALID_CMD;
	if (sector % ZONE_SECTORS && !is(m, M_ZONED_OFF_START))
		return VIRTIO_BLK_S_ZONE_INVALID_CMD;
	if (!i)
		return is(m, M_ZONED_CONV) ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_ZONE_INVALID_CMD;
	switch (type) {
	case VIRTIO_BLK_T_ZONE_OPEN:
		return zone_open(m, &m->zones[i]);
	case VIRTIO_BLK_T_ZONE_CLOSE:
		return zone_close(m, &m->zones[i]);
	case VIRTIO_BLK_T_ZONE_FINISH:
		m->zones[i] = (struct mzone){capacity_of(i), VIRTIO_BLK_ZS_FULL};
		return VIRTIO_BLK_S_OK;
	default:
		zone_reset(m, i);
		return VIRTIO_BLK_S_OK;
	}
}
