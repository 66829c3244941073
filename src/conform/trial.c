/* SPDX-License-Identifier: MIT */
#include "conform/carrier.h"

#include "base/atomic.h"
#include "vring/vring.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void trial_fail(struct trial *t, const char *expected, const char *fmt, ...)
{
	va_list ap;

	t->outcome = OUTCOME_FAILED;
	snprintf(t->expected, sizeof(t->expected), "%s", expected);
	va_start(ap, fmt);
	vsnprintf(t->got, sizeof(t->got), fmt, ap);
	va_end(ap);
	longjmp(t->end, 1);
}

void trial_skip(struct trial *t, const char *fmt, ...)
{
	va_list ap;

	t->outcome = OUTCOME_SKIPPED;
	va_start(ap, fmt);
	vsnprintf(t->got, sizeof(t->got), fmt, ap);
	va_end(ap);
	longjmp(t->end, 1);
}

void trial_sent(struct trial *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(t->sent, sizeof(t->sent), fmt, ap);
	va_end(ap);
}

/* Bring-up */

static const struct carrier *carrier_of(const struct trial *t)
{
	return t->o->pci ? &carrier_pci : &carrier_vhost_user;
}

void reach(struct trial *t)
{
	carrier_of(t)->reach(t);
}

void dial(struct trial *t)
{
	carrier_of(t)->dial(t);
}

void read_config(struct trial *t)
{
	if (!t->o->pci && !(t->peer.proto & PROTO(CONFIG)))
		trial_skip(t, "the back end has no protocol feature CONFIG, its configuration "
			      "cannot be read");
	if (!carrier_of(t)->config(t))
		trial_fail(t,
			   "GET_CONFIG of some usual length (8 to 96 bytes) is answered with as "
			   "many bytes",
			   "every length is refused");
}

void share_memory(struct trial *t)
{
	carrier_of(t)->share_memory(t);
}

void accept_features(struct trial *t, uint64_t bits)
{
	carrier_of(t)->accept_features(t, bits);
}

void ring_start(struct ring *r, uint32_t base)
{
	carrier_of(r->t)->ring_start(r, base);
}

void ring_enable(struct ring *r, bool on)
{
	carrier_of(r->t)->ring_enable(r, on);
}

uint32_t ring_stop(struct ring *r)
{
	return carrier_of(r->t)->ring_stop(r);
}

void ring_kick(struct ring *r)
{
	carrier_of(r->t)->kick(r);
}

uint64_t ring_calls(struct ring *r, int ms)
{
	return carrier_of(r->t)->calls(r, ms);
}

bool gone(struct trial *t)
{
	return carrier_of(t)->gone(t);
}

void need_vhost_user(struct trial *t)
{
	if (t->o->pci)
		trial_skip(t, "this is done with messages of vhost-user");
}

struct ring *ring_new(struct trial *t, unsigned index, uint16_t num)
{
	struct ring *r = &t->rings[t->n_rings];

	if (t->n_rings == TRIAL_RINGS)
		trial_skip(t, "out of rings");
	t->n_rings++;
	ring_alloc(r, t, index, num, t->peer.acked & FEAT(RING_PACKED));
	r->event_idx = t->peer.acked & FEAT(EVENT_IDX);
	return r;
}

struct ring *ring_tell(struct trial *t, unsigned index, uint16_t num)
{
	struct ring *r = ring_new(t, index, num);

	ring_start(r, vring_base_initial(r->packed));
	return r;
}

void ring_restart_at(struct ring *r, uint16_t index)
{
	ring_stop(r);
	ring_clear(r);
	r->avail_idx = r->used_idx = index;
	le16_write(&r->avail->idx, index);
	le16_write(&r->used->idx, index);
	ring_start(r, index);
	ring_enable(r, true);
}

static const struct {
	unsigned bit;
	const char *name;
} feature_names[] = {
	{VIRTIO_BLK_F_SIZE_MAX, "SIZE_MAX"},
	{VIRTIO_BLK_F_SEG_MAX, "SEG_MAX"},
	{VIRTIO_BLK_F_GEOMETRY, "GEOMETRY"},
	{VIRTIO_BLK_F_RO, "RO"},
	{VIRTIO_BLK_F_BLK_SIZE, "BLK_SIZE"},
	{VIRTIO_BLK_F_FLUSH, "FLUSH"},
	{VIRTIO_BLK_F_TOPOLOGY, "TOPOLOGY"},
	{VIRTIO_BLK_F_CONFIG_WCE, "CONFIG_WCE"},
	{VIRTIO_BLK_F_MQ, "MQ"},
	{VIRTIO_BLK_F_DISCARD, "DISCARD"},
	{VIRTIO_BLK_F_WRITE_ZEROES, "WRITE_ZEROES"},
	{VIRTIO_BLK_F_LIFETIME, "LIFETIME"},
	{VIRTIO_BLK_F_SECURE_ERASE, "SECURE_ERASE"},
	{VIRTIO_BLK_F_ZONED, "ZONED"},
	{VIRTIO_F_INDIRECT_DESC, "INDIRECT_DESC"},
	{VIRTIO_F_EVENT_IDX, "EVENT_IDX"},
	{VHOST_USER_F_PROTOCOL_FEATURES, "PROTOCOL_FEATURES"},
	{VIRTIO_F_VERSION_1, "VERSION_1"},
	{VIRTIO_F_RING_PACKED, "RING_PACKED"},
	{VIRTIO_F_IN_ORDER, "IN_ORDER"},
	{VIRTIO_F_RING_RESET, "RING_RESET"},
	{VIRTIO_F_SUSPEND, "SUSPEND"},
};

const char *feature_name(unsigned bit)
{
	for (size_t i = 0; i < ARRAY_SIZE(feature_names); i++)
		if (feature_names[i].bit == bit)
			return feature_names[i].name;
	return "that feature";
}

void need_feature(struct trial *t, unsigned bit)
{
	if (!offered(t, bit))
		trial_skip(t, "the back end does not offer %s (%u)", feature_name(bit), bit);
}

struct ring *disk_up(struct trial *t, struct setup s)
{
	uint64_t plain = FEAT_LEAST | BLK(RO) | BLK(FLUSH);

	if (!t->dialled)
		dial(t);
	for (unsigned bit = 0; bit < 64; bit++)
		if (s.want & BIT64(bit))
			need_feature(t, bit);
	if (t->o->pci || t->peer.proto & PROTO(CONFIG))
		carrier_of(t)->config(t);
	accept_features(t, t->peer.offered & (((plain | s.wish) & ~s.without) | s.want));
	share_memory(t);
	if (s.stopped)
		return NULL;
	if (s.queues > t->queues)
		trial_skip(t, "the back end has %u queue%s", t->queues, t->queues == 1 ? "" : "s");
	for (unsigned i = 0; i < (s.queues ? s.queues : 1); i++) {
		struct ring *r = ring_tell(t, i, s.num ? s.num : 64);

		if (!s.idle)
			ring_enable(r, true);
	}
	if (carrier_of(t)->ready && !s.idle)
		carrier_of(t)->ready(t);
	return &t->rings[0];
}

void hang_up(struct trial *t)
{
	carrier_of(t)->hang_up(t);
	for (unsigned i = 0; i < t->n_rings; i++)
		ring_close(&t->rings[i]);
	t->n_rings = 0;
	peer_fini(&t->peer);
}

void redial(struct trial *t)
{
	hang_up(t);
	peer_init(&t->peer, t->o->timeout_ms);
	t->dialled = false;
}

/* Memory */

uint64_t mem_aligned(struct trial *t, uint32_t len, uint32_t align)
{
	uint64_t gpa = align_up(t->next_gpa, align);

	if (!peer_at(&t->peer, gpa, len))
		trial_skip(t, "out of shared memory");
	t->next_gpa = gpa + len;
	return gpa;
}

uint64_t mem(struct trial *t, uint32_t len)
{
	return mem_aligned(t, len, 64);
}

void *at(struct trial *t, uint64_t gpa, uint64_t len)
{
	void *host = peer_at(&t->peer, gpa, len);

	if (!host)
		trial_skip(t, "no memory at 0x%llx", (unsigned long long)gpa);
	return host;
}

void fill(struct trial *t, uint64_t gpa, uint8_t value, uint32_t len)
{
	memset(at(t, gpa, len), value, len);
}

bool filled(struct trial *t, uint64_t gpa, uint8_t value, uint32_t len)
{
	const uint8_t *b = at(t, gpa, len);

	for (uint32_t i = 0; i < len; i++)
		if (b[i] != value)
			return false;
	return true;
}

uint8_t byte_at(struct trial *t, uint64_t gpa)
{
	return *(volatile uint8_t *)at(t, gpa, 1);
}

uint64_t eventfd_wait(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t n = 0;

	if (poll(&p, 1, ms) < 1 || read(fd, &n, sizeof(n)) != sizeof(n))
		return 0;
	return n;
}

void quiet(struct trial *t)
{
	usleep((unsigned)t->o->quiet_ms * 1000);
}
