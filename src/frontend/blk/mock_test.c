/* SPDX-License-Identifier: MIT */
#include "frontend/blk/mock_test.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static struct mock *mock_of(const struct transport *t)
{
	return (struct mock *)(uintptr_t)t;
}

static void record(struct mock *m, enum act act, uint64_t value)
{
	if (m->n_acts < MOCK_ACTS)
		m->acts[m->n_acts++] = (struct mock_act){act, value};
}

static void breach(struct mock *m, bool is, const char *what)
{
	if (is && !m->breach)
		m->breach = what;
}

static bool failed(const struct mock *m)
{
	return m->status & VIRTIO_STATUS_FAILED;
}

static int get_features(struct transport *t, uint64_t *features, struct error *err)
{
	struct mock *m = mock_of(t);

	(void)err;
	record(m, ACT_GET_FEATURES, 0);
	breach(m, !(m->status & VIRTIO_STATUS_DRIVER), "features read before DRIVER");
	*features = m->offered;
	return 0;
}

static int set_features(struct transport *t, uint64_t features, struct error *err)
{
	struct mock *m = mock_of(t);

	(void)err;
	record(m, ACT_SET_FEATURES, features);
	breach(m, features & ~m->offered, "a feature was accepted that is not offered");
	breach(m, m->status & VIRTIO_STATUS_FEATURES_OK, "features after FEATURES_OK");
	breach(m, failed(m), "features after FAILED");
	m->accepted = features;
	return 0;
}

static int get_status(struct transport *t, uint8_t *status, struct error *err)
{
	struct mock *m = mock_of(t);

	(void)err;
	record(m, ACT_GET_STATUS, 0);
	if (m->reset_never && !m->status) {
		*status = 0xaa;
		return 0;
	}
	if (m->lag) {
		m->lag--;
		*status = VIRTIO_STATUS_ACKNOWLEDGE;
		return 0;
	}
	*status = m->status | m->status_noise;
	return 0;
}

/* The driver has said what it accepts. */
static bool settled(const struct mock *m)
{
	return m->base.legacy_align ? m->status & VIRTIO_STATUS_DRIVER
				    : m->status & VIRTIO_STATUS_FEATURES_OK;
}

static int set_status(struct transport *t, uint8_t status, struct error *err)
{
	struct mock *m = mock_of(t);

	if (m->gone)
		return error_set(err, -ENOTCONN, "gone.");
	record(m, ACT_SET_STATUS, status);
	breach(m, status && (status & m->status) != m->status, "a status bit was cleared");
	breach(m, status && failed(m), "a status bit was set after FAILED");
	breach(m, m->base.legacy_align && status & VIRTIO_STATUS_FEATURES_OK,
	       "FEATURES_OK for a legacy device");
	if (!status) {
		m->lag = m->reset_lags;
		m->accepted = 0;
		memset(m->enabled, 0, sizeof(m->enabled));
		memset(m->next_avail, 0, sizeof(m->next_avail));
		memset(m->next_used, 0, sizeof(m->next_used));
	}
	m->status = status;
	if (m->refuse_features)
		m->status &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
	if (status & VIRTIO_STATUS_SUSPEND && !m->mute_suspend) {
		m->suspended = !m->suspended;
		m->status &= (uint8_t) ~(m->suspended ? VIRTIO_STATUS_DRIVER_OK
						      : VIRTIO_STATUS_SUSPEND);
	}
	return 0;
}

/* Which feature has to be offered before a field may be touched; -1: none. */
static int feature_of(uint32_t at)
{
	static const struct {
		uint32_t from, to;
		int bit;
	} fields[] = {
		{8, 12, VIRTIO_BLK_F_SIZE_MAX},	     {12, 16, VIRTIO_BLK_F_SEG_MAX},
		{16, 20, VIRTIO_BLK_F_GEOMETRY},     {20, 24, VIRTIO_BLK_F_BLK_SIZE},
		{24, 32, VIRTIO_BLK_F_TOPOLOGY},     {32, 34, VIRTIO_BLK_F_CONFIG_WCE},
		{34, 36, VIRTIO_BLK_F_MQ},	     {36, 48, VIRTIO_BLK_F_DISCARD},
		{48, 60, VIRTIO_BLK_F_WRITE_ZEROES}, {60, 72, VIRTIO_BLK_F_SECURE_ERASE},
		{72, 96, VIRTIO_BLK_F_ZONED},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		if (at >= fields[i].from && at < fields[i].to)
			return fields[i].bit;
	return -1;
}

static int config_generation(struct transport *t, uint32_t *generation, struct error *err)
{
	(void)err;
	*generation = mock_of(t)->generation;
	return 0;
}

static int config_read(struct transport *t, uint32_t offset, void *buf, uint32_t len,
		       struct error *err)
{
	struct mock *m = mock_of(t);
	int bit = feature_of(offset);

	record(m, ACT_CONFIG_READ, offset);
	breach(m, len > 4, "more than 32 bits of configuration at once");
	breach(m, bit >= 0 && !(m->offered >> bit & 1), "a field was read that no feature has");
	breach(m, offset == 32 && !settled(m), "writeback was read before FEATURES_OK");
	if (offset + len > m->config_size)
		return error_set(err, -EINVAL, "beyond the configuration.");
	memcpy(buf, m->config + offset, len);
	/* Behind the first half of the capacity. */
	if (m->generation_bumps && offset == 0) {
		m->generation_bumps--;
		m->generation++;
		if (m->on_bump)
			m->on_bump(m);
	}
	return 0;
}

static int config_write(struct transport *t, uint32_t offset, const void *buf, uint32_t len,
			struct error *err)
{
	struct mock *m = mock_of(t);

	(void)err;
	record(m, ACT_CONFIG_WRITE, offset);
	breach(m, !settled(m), "configured before FEATURES_OK");
	breach(m, offset != 32 || len != 1, "a field was written that is not the driver's");
	memcpy(m->config + offset, buf, len);
	return 0;
}

static int queue_max(struct transport *t, uint16_t index, uint16_t *max, struct error *err)
{
	struct mock *m = mock_of(t);

	(void)err;
	*max = index < m->n_queues ? m->queue_size : 0;
	if (m->last_queue_size && index + 1u == m->n_queues)
		*max = m->last_queue_size;
	return 0;
}

static bool all_zero(const void *p, size_t n)
{
	const uint8_t *b = p;

	while (n)
		if (b[--n])
			return false;
	return true;
}

static bool in_one_piece(const struct mock *m, const struct transport_queue *q)
{
	uintptr_t align = m->base.legacy_align, desc = (uintptr_t)q->desc;
	uintptr_t avail = desc + 16u * q->num, used = avail + 4 + 2u * q->num + 2;

	return q->num == m->queue_size && !q->packed && !(desc % align) &&
	       (uintptr_t)q->driver == avail && (uintptr_t)q->device == align_up(used, align);
}

static int queue_setup(struct transport *t, const struct transport_queue *q, struct error *err)
{
	struct mock *m = mock_of(t);

	(void)err;
	record(m, ACT_QUEUE_SETUP, q->index);
	breach(m, !settled(m), "a queue before FEATURES_OK");
	breach(m, m->base.legacy_align && !in_one_piece(m, q),
	       "a ring is not laid out as a legacy device wants it");
	breach(m, m->enabled[q->index], "a queue was set up that is enabled");
	breach(m, failed(m), "a queue after FAILED");
	breach(m,
	       (uintptr_t)q->desc % 16 || (uintptr_t)q->driver % (q->packed ? 4 : 2) ||
		       (uintptr_t)q->device % 4,
	       "a ring's part is not aligned");
	breach(m, !q->num || q->num > m->queue_size || (!q->packed && q->num & (q->num - 1)),
	       "a queue has a size that it may not have");
	breach(m, !q->packed && !all_zero(q->device, vring_device_size(q->num, false)),
	       "the used ring was not zeroed");
	m->q[q->index] = *q;
	m->next_avail[q->index] = m->next_used[q->index] = 0;
	return 0;
}

static int queue_enable(struct transport *t, uint16_t index, struct error *err)
{
	struct mock *m = mock_of(t);

	(void)err;
	record(m, ACT_QUEUE_ENABLE, index);
	m->enabled[index] = true;
	return 0;
}

static int queue_reset(struct transport *t, uint16_t index, struct error *err)
{
	struct mock *m = mock_of(t);

	(void)err;
	record(m, ACT_QUEUE_RESET, index);
	m->enabled[index] = false;
	return 0;
}

static void kick(struct transport *t, uint16_t index, uint32_t value)
{
	struct mock *m = mock_of(t);

	(void)value;
	record(m, ACT_KICK, index);
	breach(m, !(m->status & VIRTIO_STATUS_DRIVER_OK), "a kick before DRIVER_OK");
	breach(m, !m->enabled[index], "a kick of a queue that is not enabled");
	m->kicks[index]++;
}

static int mem_add(struct transport *t, const struct dma_region *r, struct error *err)
{
	(void)err;
	record(mock_of(t), ACT_MEM_ADD, r->size);
	return 0;
}

static int mem_remove(struct transport *t, const struct dma_region *r, struct error *err)
{
	(void)err;
	record(mock_of(t), ACT_MEM_REMOVE, r->size);
	return 0;
}

static unsigned process(struct transport *t)
{
	struct mock *m = mock_of(t);
	unsigned events = m->next_events;

	m->next_events = 0;
	return events;
}

static bool alive(const struct transport *t)
{
	return !mock_of(t)->gone;
}

/* A new connection: the device begins anew. */
static int reconnect(struct transport *t, struct error *err)
{
	struct mock *m = mock_of(t);

	(void)err;
	record(m, ACT_RECONNECT, 0);
	m->gone = false;
	m->status = 0;
	m->accepted = 0;
	memset(m->enabled, 0, sizeof(m->enabled));
	return 0;
}

static void disconnect(struct transport *t)
{
	record(mock_of(t), ACT_DISCONNECT, 0);
}

static void destroy(struct transport *t)
{
	mock_of(t)->destroyed = true;
}

static const struct transport_ops mock_ops = {
	.name = "mock",
	.get_features = get_features,
	.set_features = set_features,
	.get_status = get_status,
	.set_status = set_status,
	.config_generation = config_generation,
	.config_read = config_read,
	.config_write = config_write,
	.queue_max = queue_max,
	.queue_setup = queue_setup,
	.queue_enable = queue_enable,
	.queue_reset = queue_reset,
	.kick = kick,
	.mem_add = mem_add,
	.mem_remove = mem_remove,
	.process = process,
	.alive = alive,
	.reconnect = reconnect,
	.disconnect = disconnect,
	.destroy = destroy,
};

void mock_config32(struct mock *m, size_t at, uint32_t v)
{
	le32 f = le32_make(v);

	memcpy(m->config + at, &f, sizeof(f));
}

void mock_config64(struct mock *m, size_t at, uint64_t v)
{
	le64 f = le64_make(v);

	memcpy(m->config + at, &f, sizeof(f));
}

void mock_init(struct mock *m)
{
	memset(m, 0, sizeof(*m));
	m->base = (struct transport){
		.ops = &mock_ops,
		.can = ~UINT64_C(0),
		.regions_max = 8,
		.reset_ms = 2000,
		.mem_while_running = true,
	};
	m->offered = BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_BLK_F_SEG_MAX) |
		     BIT64(VIRTIO_BLK_F_FLUSH);
	m->config_size = 96;
	m->queue_size = 16;
	m->n_queues = 1;
	mock_config64(m, MOCK_FIELD(capacity), 2048);
	mock_config32(m, MOCK_FIELD(seg_max), 6);
}

int mock_open(struct mock *m, const struct ringside_options *o, struct ringside_disk **d)
{
	struct error err = {""};

	*d = NULL;
	return disk_open(&m->base, o, d, &err);
}

struct ringside_disk *mock_run(struct mock *m, const struct ringside_options *o, size_t bytes,
			       uint8_t **memory)
{
	struct ringside_disk *d;
	void *p;

	assert_int_equal(mock_open(m, o, &d), 0);
	assert_int_equal(ringside_mem_alloc(d, bytes, &p, NULL), 0);
	assert_int_equal(ringside_start(d, NULL), 0);
	*memory = p;
	return d;
}

void mock_close(struct mock *m, struct ringside_disk **d)
{
	ringside_close(d);
	if (m->breach)
		fail_msg("the driver broke a rule: %s", m->breach);
	assert_true(m->destroyed);
}

unsigned mock_count(const struct mock *m, enum act act)
{
	unsigned n = 0;

	for (unsigned i = 0; i < m->n_acts; i++)
		n += m->acts[i].act == act;
	return n;
}

int mock_find(const struct mock *m, enum act act, uint64_t value)
{
	for (unsigned i = 0; i < m->n_acts; i++)
		if (m->acts[i].act == act && m->acts[i].value == value)
			return (int)i;
	return -1;
}

/* ---- the ring ---- */

uint16_t mock_avail_idx(const struct mock *m, unsigned queue)
{
	return le16_load_acquire(&((struct virtq_avail *)m->q[queue].driver)->idx);
}

uint16_t mock_avail_flags(const struct mock *m, unsigned queue)
{
	return le16_read(&((struct virtq_avail *)m->q[queue].driver)->flags);
}

void mock_used_flags(struct mock *m, unsigned queue, uint16_t flags)
{
	le16_write(&((struct virtq_used *)m->q[queue].device)->flags, flags);
}

void mock_avail_event(struct mock *m, unsigned queue, uint16_t event)
{
	struct virtq_used *u = m->q[queue].device;

	le16_write((le16 *)(void *)&u->ring[m->q[queue].num], event);
}

static void add_buf(struct mock *m, struct mock_chain *c, const struct virtq_desc *d)
{
	bool writable = le16_get(d->flags) & VIRTQ_DESC_F_WRITE;

	breach(m, c->n == ARRAY_SIZE(c->bufs), "a chain is endless");
	breach(m, !writable && c->readable < c->n, "a readable buffer behind a writable one");
	if (c->n == ARRAY_SIZE(c->bufs))
		return;
	c->bufs[c->n].p = (uint8_t *)(uintptr_t)le64_get(d->addr);
	c->bufs[c->n].len = le32_get(d->len);
	c->n++;
	if (!writable)
		c->readable = c->n;
}

static void walk(struct mock *m, const struct virtq_desc *table, unsigned size, uint16_t at,
		 struct mock_chain *c)
{
	for (unsigned steps = 0; steps < size; steps++) {
		const struct virtq_desc *d = &table[at];
		uint16_t flags = le16_get(d->flags);

		if (flags & VIRTQ_DESC_F_INDIRECT) {
			breach(m, !(m->accepted & BIT64(VIRTIO_F_INDIRECT_DESC)),
			       "an indirect table without the feature");
			breach(m, c->indirect, "a table in a table");
			breach(m, flags & VIRTQ_DESC_F_NEXT, "INDIRECT with NEXT");
			c->indirect = true;
			walk(m, (const struct virtq_desc *)(uintptr_t)le64_get(d->addr),
			     le32_get(d->len) / (unsigned)sizeof(*d), 0, c);
			return;
		}
		add_buf(m, c, d);
		if (!(flags & VIRTQ_DESC_F_NEXT))
			return;
		at = le16_get(d->next);
		if (at >= size)
			break;
	}
	breach(m, true, "a chain without an end");
}

bool mock_pop(struct mock *m, unsigned queue, struct mock_chain *c)
{
	const struct transport_queue *q = &m->q[queue];
	const struct virtq_avail *a = q->driver;

	if (mock_avail_idx(m, queue) == m->next_avail[queue])
		return false;
	memset(c, 0, sizeof(*c));
	c->head = le16_read(&a->ring[m->next_avail[queue]++ % q->num]);
	breach(m, c->head >= q->num, "a head out of range");
	walk(m, q->desc, q->num, c->head, c);
	breach(m, c->n > q->num, "a chain longer than the queue");
	return true;
}

void mock_push(struct mock *m, unsigned queue, uint32_t id, uint32_t len)
{
	const struct transport_queue *q = &m->q[queue];
	struct virtq_used *u = q->device;
	uint16_t at = m->next_used[queue]++;

	u->ring[at % q->num] = (struct virtq_used_elem){.id = le32_make(id), .len = le32_make(len)};
	le16_store_release(&u->idx, m->next_used[queue]);
}

void mock_answer(struct mock *m, unsigned queue, const struct mock_chain *c, uint8_t fill,
		 uint8_t status)
{
	uint32_t len = 1;

	for (unsigned i = c->readable; i + 1 < c->n; i++) {
		memset(c->bufs[i].p, fill, c->bufs[i].len);
		len += c->bufs[i].len;
	}
	*c->bufs[c->n - 1].p = status;
	mock_push(m, queue, c->head, len);
}

unsigned mock_serve(struct mock *m, unsigned queue)
{
	struct mock_chain c;
	unsigned n = 0;

	for (; mock_pop(m, queue, &c); n++)
		mock_answer(m, queue, &c, 0x5a, VIRTIO_BLK_S_OK);
	return n;
}

static void tried_done(struct ringside_request *req)
{
	struct tried *t = req->opaque;

	t->times++;
	t->result = req->result;
}

void tried_init(struct tried *t)
{
	memset(t, 0, sizeof(*t));
	t->req.done = tried_done;
	t->req.opaque = t;
	t->result = 1;
}
