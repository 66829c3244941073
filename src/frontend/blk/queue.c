/* SPDX-License-Identifier: MIT */
/* The way of a request through a queue; the hot path. */
#include "frontend/blk/disk.h"

#include "base/clock.h"
#include "frontend/virtio/os.h"

#include <errno.h>
#include <string.h>

#define LIFETIME_BYTES 6

/* A device that is awake sees so many at a time: it works on them while the next are made. */
#define SHOW_EACH 8

/* So many polls that find nothing, and a look whether the device is still there pays. */
#define POLLS_PER_LOOK 65536

/* Where no interrupt wakes a sleeper: so many looks before it rests between two. */
#define LOOKS 1000

static void list_append(struct disk_list *l, struct ringside_request *req)
{
	req->next = NULL;
	if (l->head)
		l->tail->next = req;
	else
		l->head = req;
	l->tail = req;
}

static struct ringside_request *list_take(struct disk_list *l)
{
	struct ringside_request *req = l->head;

	if (req)
		l->head = req->next;
	return req;
}

/* ---- life ---- */

uint64_t disk_queue_bytes(const struct vdriver *v, uint16_t num, uint16_t table_len)
{
	uint64_t n = vqueue_bytes(v, num, table_len);

	n += num * (sizeof(struct disk_slot) + sizeof(struct disk_slot_ranges));
	if (vdriver_has(v, VIRTIO_BLK_F_ZONED))
		n += DISK_REPORTS * sizeof(struct disk_report);
	return align_up(n, vqueue_align(v));
}

/* The connection is a new one after each reconnection. */
static int sleep_watch_hangup(struct ringside_queue *q, struct error *err)
{
	struct transport *t = q->disk->v.t;
	int fd = t->ops->hangup_fd ? t->ops->hangup_fd(t) : -1;

	return fd < 0 ? 0 : os_sleeper_watch(q->sleeper, fd, err);
}

int disk_queue_init(struct ringside_queue *q, struct ringside_disk *d, uint16_t index, uint16_t num,
		    uint16_t table_len, uint8_t *shared, struct error *err)
{
	int rc;

	q->disk = d;
	q->sleeper = -1;
	q->slots = (struct disk_slot *)(void *)(shared + vqueue_bytes(&d->v, num, table_len));
	q->shift = vdriver_address(&d->v, q->slots, &q->hint) - (uintptr_t)q->slots;
	q->ranges = (struct disk_slot_ranges *)(void *)(q->slots + num);
	if (vdriver_has(&d->v, VIRTIO_BLK_F_ZONED))
		q->reports = (struct disk_report *)(void *)(q->ranges + num);
	q->free_slots = os_alloc(num * sizeof(*q->free_slots), _Alignof(uint16_t));
	q->bufs = os_alloc(num * sizeof(*q->bufs), _Alignof(struct vqdrv_buf));
	if (!q->free_slots || !q->bufs)
		return error_set(err, -ENOMEM, "no memory for a queue of %u", num);
	rc = vqueue_init(&q->vq, &d->v, index, num, table_len, shared, err);
	if (rc)
		return rc;
	q->sleeper = os_sleeper_create(q->vq.call_fd, err);
	return q->sleeper < 0 ? q->sleeper : 0;
}

void disk_queue_fini(struct ringside_queue *q)
{
	vqueue_fini(&q->vq);
	if (q->disk && q->sleeper >= 0)
		os_sleeper_close(q->sleeper);
	os_free(q->free_slots);
	os_free(q->bufs);
}

int disk_queue_start(struct ringside_queue *q, struct error *err)
{
	int rc = sleep_watch_hangup(q, err);

	if (rc)
		return rc;
	for (uint16_t i = 0; i < q->vq.num; i++)
		q->free_slots[i] = (uint16_t)(q->vq.num - 1 - i);
	q->n_free = q->vq.num;
	q->free_reports = (1u << DISK_REPORTS) - 1;
	q->idle_polls = 0;
	return vqueue_start(&q->vq, err);
}

/* ---- into the ring ---- */

static struct vqdrv_buf buf_of(struct ringside_queue *q, const void *p, size_t len)
{
	return (struct vqdrv_buf){.addr = vdriver_address(&q->disk->v, p, &q->hint),
				  .len = (uint32_t)len};
}

/* Of the queue's own shared memory. */
static struct vqdrv_buf own_buf(const struct ringside_queue *q, const void *p, size_t len)
{
	return (struct vqdrv_buf){.addr = (uintptr_t)p + q->shift, .len = (uint32_t)len};
}

static unsigned put_iovs(struct ringside_queue *q, struct vqdrv_buf *b,
			 const struct ringside_request *req)
{
	unsigned n = req->readable + req->writable;

	for (unsigned i = 0; i < n; i++)
		b[i] = buf_of(q, req->iov[i].iov_base, req->iov[i].iov_len);
	return n;
}

/* What stands between header and status of requests that carry no caller's buffers. */
static unsigned put_own(struct ringside_queue *q, struct vqdrv_buf *b, struct ringside_request *req,
			unsigned *readable)
{
	struct disk_slot *s = &q->slots[req->slot];

	switch (req->kind) {
	case KIND_RANGES: {
		const struct ringside_range *r = req->out;
		struct virtio_blk_range *to = q->ranges[req->slot].r;

		for (unsigned i = 0; i < req->readable; i++)
			to[i] = (struct virtio_blk_range){
				.sector = le64_make(r[i].sector),
				.num_sectors = le32_make(r[i].sectors),
				.flags = le32_make(req->writable),
			};
		*b = own_buf(q, to, req->readable * sizeof(*to));
		(*readable)++;
		return 1;
	}
	case KIND_ID:
		memset(s->data, 0, VIRTIO_BLK_ID_BYTES);
		*b = own_buf(q, s->data, VIRTIO_BLK_ID_BYTES);
		return 1;
	case KIND_LIFETIME:
		memset(s->data, 0, LIFETIME_BYTES);
		*b = own_buf(q, s->data, LIFETIME_BYTES);
		return 1;
	case KIND_REPORT: {
		struct disk_report *r = &q->reports[req->writable];

		memset(&r->header, 0, sizeof(r->header));
		*b = own_buf(q, r, sizeof(r->header) + req->readable * sizeof(r->zones[0]));
		return 1;
	}
	case KIND_APPEND: {
		unsigned n = put_iovs(q, b, req);

		memset(s->data, 0xff, sizeof(le64));
		b[n] = own_buf(q, s->data, sizeof(le64));
		*readable += req->readable;
		return n + 1;
	}
	default:
		return 0;
	}
}

/* 0, -ENOSPC: no room at present, or why it cannot be. */
static int place(struct ringside_queue *q, struct ringside_request *req)
{
	struct vqdrv_buf *b = q->bufs;
	unsigned readable = 1, n = 1;
	struct disk_slot *s;
	int rc;

	if (!q->n_free)
		return -ENOSPC;
	if (req->kind == KIND_CHAIN) {
		put_iovs(q, b, req);
		rc = vqdrv_add(&q->vq.ring, b, req->readable, req->writable, req);
		if (!rc)
			req->slot = q->free_slots[--q->n_free];
		return rc;
	}
	if (unlikely(req->kind == KIND_REPORT)) {
		if (!q->free_reports)
			return -ENOSPC;
		req->writable = (uint32_t)__builtin_ctz(q->free_reports);
	}
	req->slot = q->free_slots[q->n_free - 1];
	s = &q->slots[req->slot];
	s->header = (struct virtio_blk_req){.type = le32_make(req->type),
					    .sector = le64_make(req->sector)};
	write_once(&s->status, RINGSIDE_STATUS_NONE);
	b[0] = own_buf(q, &s->header, sizeof(s->header));
	if (req->kind <= KIND_WRITE || req->kind == KIND_RAW) {
		n += put_iovs(q, b + 1, req);
		readable += req->readable;
	} else {
		n += put_own(q, b + 1, req, &readable);
	}
	b[n++] = own_buf(q, &s->status, 1);
	rc = vqdrv_add(&q->vq.ring, b, readable, n - readable, req);
	if (!rc) {
		q->n_free--;
		if (unlikely(req->kind == KIND_REPORT))
			q->free_reports &= (uint8_t) ~(1u << req->writable);
	}
	return rc;
}

static void queue_fail(struct ringside_queue *q, struct ringside_request *req, int rc)
{
	req->result = rc;
	req->used_len = 0;
	req->status = RINGSIDE_STATUS_NONE;
	list_append(&q->failed, req);
}

/* -EPROTO: the ring is broken; what cannot go in now is held until the device was reset. */
static bool can_wait(int rc)
{
	return rc == -ENOSPC || rc == -EPROTO;
}

void disk_queue_refill(struct ringside_queue *q)
{
	while (q->held.head) {
		int rc = place(q, q->held.head);

		if (can_wait(rc))
			break;
		struct ringside_request *req = list_take(&q->held);

		if (rc)
			queue_fail(q, req, rc);
	}
}

static inline void queue_submit(struct ringside_queue *q, struct ringside_request *req, int rc)
{
	q->pending++;
	q->submitted++;
	if (unlikely(rc || !q->disk->started)) {
		queue_fail(q, req, rc ? rc : -ENODEV);
		return;
	}
	if (unlikely(q->held.head || read_once(&q->disk->halt))) {
		list_append(&q->held, req);
		return;
	}
	rc = place(q, req);
	if (unlikely(rc)) {
		if (can_wait(rc))
			list_append(&q->held, req);
		else
			queue_fail(q, req, rc == -E2BIG ? -EINVAL : rc);
		return;
	}
	/* The kick is for all of them, in vqueue_commit(). */
	if (q->vq.ring.unpublished >= SHOW_EACH && likely(req->kind != KIND_CHAIN))
		vqdrv_publish(&q->vq.ring);
}

void disk_queue_submit(struct ringside_queue *q, struct ringside_request *req, int rc)
{
	queue_submit(q, req, rc);
}

/* ---- the requests ---- */

static bool has(const struct ringside_queue *q, unsigned bit)
{
	return vdriver_has(&q->disk->v, bit);
}

static bool in_bounds(const struct ringside_queue *q, uint64_t sector, uint64_t n)
{
	uint64_t all = read_once(&q->disk->limits.sectors);

	return sector <= all && n <= all - sector;
}

int disk_check_iovs(struct ringside_queue *q, const struct iovec *iov, unsigned n, size_t max,
		    uint64_t *total)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++) {
		if (unlikely(!iov[i].iov_len || iov[i].iov_len > max))
			return -EINVAL;
		if (unlikely(!vdriver_mem_has(&q->disk->v, iov[i].iov_base, iov[i].iov_len,
					      &q->hint)))
			return -EFAULT;
		sum += iov[i].iov_len;
	}
	*total = sum;
	return 0;
}

static inline int check_rw(struct ringside_queue *q, uint64_t offset, const struct iovec *iov,
			   unsigned n)
{
	const struct ringside_info *i = &q->disk->limits.info;
	uint64_t total;
	int rc;

	if (unlikely(!n || n > i->max_segments))
		return -EINVAL;
	rc = disk_check_iovs(q, iov, n, i->max_segment_bytes, &total);
	if (unlikely(rc))
		return rc;
	if (unlikely((offset | total) % VIRTIO_BLK_SECTOR || total > UINT32_MAX ||
		     !in_bounds(q, offset / VIRTIO_BLK_SECTOR, total / VIRTIO_BLK_SECTOR)))
		return -EINVAL;
	return 0;
}

void ringside_readv(struct ringside_queue *q, struct ringside_request *req, uint64_t offset,
		    const struct iovec *iov, unsigned n)
{
	req->kind = KIND_READ;
	req->type = VIRTIO_BLK_T_IN;
	req->sector = offset / VIRTIO_BLK_SECTOR;
	req->iov = iov;
	req->readable = 0;
	req->writable = n;
	queue_submit(q, req, check_rw(q, offset, iov, n));
}

void ringside_writev(struct ringside_queue *q, struct ringside_request *req, uint64_t offset,
		     const struct iovec *iov, unsigned n)
{
	req->kind = KIND_WRITE;
	req->type = VIRTIO_BLK_T_OUT;
	req->sector = offset / VIRTIO_BLK_SECTOR;
	req->iov = iov;
	req->readable = n;
	req->writable = 0;
	queue_submit(q, req,
		     unlikely(q->disk->limits.info.readonly) ? -EROFS
							     : check_rw(q, offset, iov, n));
}

void ringside_read(struct ringside_queue *q, struct ringside_request *req, uint64_t offset,
		   void *buf, size_t len)
{
	req->one = (struct iovec){.iov_base = buf, .iov_len = len};
	ringside_readv(q, req, offset, &req->one, 1);
}

void ringside_write(struct ringside_queue *q, struct ringside_request *req, uint64_t offset,
		    const void *buf, size_t len)
{
	req->one = (struct iovec){.iov_base = (void *)(uintptr_t)buf, .iov_len = len};
	ringside_writev(q, req, offset, &req->one, 1);
}

void disk_request_simple(struct ringside_request *req, enum kind kind, uint32_t type, void *out)
{
	req->kind = (uint8_t)kind;
	req->type = type;
	req->sector = 0;
	req->iov = NULL;
	req->readable = req->writable = 0;
	req->out = out;
}

void ringside_flush(struct ringside_queue *q, struct ringside_request *req)
{
	disk_request_simple(req, KIND_FLUSH, VIRTIO_BLK_T_FLUSH, NULL);
	if (!has(q, VIRTIO_BLK_F_FLUSH) && q->disk->started) {
		/* Not accepted, so every write was durable when it completed. */
		q->pending++;
		q->submitted++;
		queue_fail(q, req, 0);
		return;
	}
	queue_submit(q, req, 0);
}

static void submit_ranges(struct ringside_queue *q, struct ringside_request *req, uint32_t type,
			  const struct ringside_range *r, unsigned n, uint32_t flags,
			  unsigned feature, uint32_t max_ranges, uint32_t max_sectors)
{
	int rc = 0;

	disk_request_simple(req, KIND_RANGES, type, (void *)(uintptr_t)r);
	req->readable = n;
	req->writable = flags;
	if (!has(q, feature))
		rc = -ENOTSUP;
	else if (q->disk->limits.info.readonly)
		rc = -EROFS;
	else if (!n || n > RINGSIDE_RANGES_MAX || n > max_ranges)
		rc = -EINVAL;
	for (unsigned i = 0; !rc && i < n; i++)
		if (r[i].sectors > max_sectors || !in_bounds(q, r[i].sector, r[i].sectors))
			rc = -EINVAL;
	queue_submit(q, req, rc);
}

void ringside_discard(struct ringside_queue *q, struct ringside_request *req,
		      const struct ringside_range *ranges, unsigned n)
{
	const struct ringside_info *i = &q->disk->limits.info;

	submit_ranges(q, req, VIRTIO_BLK_T_DISCARD, ranges, n, 0, VIRTIO_BLK_F_DISCARD,
		      i->max_discard_ranges, i->max_discard_sectors);
}

void ringside_write_zeroes(struct ringside_queue *q, struct ringside_request *req,
			   const struct ringside_range *ranges, unsigned n, bool unmap)
{
	const struct ringside_info *i = &q->disk->limits.info;

	submit_ranges(q, req, VIRTIO_BLK_T_WRITE_ZEROES, ranges, n,
		      unmap ? VIRTIO_BLK_RANGE_UNMAP : 0, VIRTIO_BLK_F_WRITE_ZEROES,
		      i->max_write_zeroes_ranges, i->max_write_zeroes_sectors);
}

void ringside_secure_erase(struct ringside_queue *q, struct ringside_request *req,
			   const struct ringside_range *ranges, unsigned n)
{
	const struct ringside_info *i = &q->disk->limits.info;

	submit_ranges(q, req, VIRTIO_BLK_T_SECURE_ERASE, ranges, n, 0, VIRTIO_BLK_F_SECURE_ERASE,
		      i->max_secure_erase_ranges, i->max_secure_erase_sectors);
}

void ringside_get_id(struct ringside_queue *q, struct ringside_request *req, char id[21])
{
	disk_request_simple(req, KIND_ID, VIRTIO_BLK_T_GET_ID, id);
	queue_submit(q, req, 0);
}

void ringside_get_lifetime(struct ringside_queue *q, struct ringside_request *req,
			   struct ringside_lifetime *lifetime)
{
	disk_request_simple(req, KIND_LIFETIME, VIRTIO_BLK_T_GET_LIFETIME, lifetime);
	queue_submit(q, req, has(q, VIRTIO_BLK_F_LIFETIME) ? 0 : -ENOTSUP);
}

void ringside_raw(struct ringside_queue *q, struct ringside_request *req, uint32_t type,
		  uint64_t sector, const struct iovec *iov, unsigned readable, unsigned writable)
{
	uint64_t total;
	int rc = -EINVAL;

	disk_request_simple(req, KIND_RAW, type, NULL);
	req->sector = sector;
	req->iov = iov;
	req->readable = readable;
	req->writable = writable;
	if (readable <= q->vq.num && writable <= q->vq.num && readable + writable + 2 <= q->vq.num)
		rc = disk_check_iovs(q, iov, readable + writable, UINT32_MAX, &total);
	queue_submit(q, req, rc);
}

void ringside_chain(struct ringside_queue *q, struct ringside_request *req, const struct iovec *iov,
		    unsigned readable, unsigned writable)
{
	bool fits = readable <= q->vq.num && writable <= q->vq.num &&
		    readable + writable <= q->vq.num;

	disk_request_simple(req, KIND_CHAIN, 0, NULL);
	req->iov = iov;
	req->readable = readable;
	req->writable = writable;
	for (unsigned i = 0; fits && i < readable + writable; i++)
		fits = iov[i].iov_len <= UINT32_MAX;
	queue_submit(q, req, fits ? 0 : -EINVAL);
}

/* ---- out of the ring ---- */

static int result_of(uint8_t status)
{
	switch (status) {
	case VIRTIO_BLK_S_OK:
		return 0;
	case VIRTIO_BLK_S_UNSUPP:
		return -ENOTSUP;
	case VIRTIO_BLK_S_ZONE_OPEN_RESOURCE:
		return -ETOOMANYREFS;
	case VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE:
		return -EOVERFLOW;
	case VIRTIO_BLK_S_ZONE_INVALID_CMD:
		return -EBADRQC;
	case VIRTIO_BLK_S_ZONE_UNALIGNED_WP:
		return -ESPIPE;
	default:
		return -EIO;
	}
}

static uint64_t bytes_of(const struct ringside_request *req)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < req->writable; i++)
		sum += req->iov[i].iov_len;
	return sum;
}

static void take_lifetime(struct ringside_lifetime *to, const uint8_t *data, uint32_t len)
{
	le16 f[3] = {{0}};

	memcpy(f, data, len < sizeof(f) ? len : sizeof(f));
	*to = (struct ringside_lifetime){
		.pre_eol_info = le16_get(f[0]), .typ_a = le16_get(f[1]), .typ_b = le16_get(f[2])};
}

/* Data counts as far as the device says it wrote. */
static void take_data(struct ringside_queue *q, struct ringside_request *req, uint32_t len)
{
	const uint8_t *data = q->slots[req->slot].data;
	char *id = req->out;

	switch (req->kind) {
	case KIND_READ:
		if (unlikely(len < bytes_of(req)))
			req->result = -EIO;
		break;
	case KIND_ID:
		memset(id, 0, VIRTIO_BLK_ID_BYTES + 1);
		memcpy(id, data, len < VIRTIO_BLK_ID_BYTES ? len : VIRTIO_BLK_ID_BYTES);
		break;
	case KIND_LIFETIME:
		take_lifetime(req->out, data, len);
		break;
	case KIND_REPORT:
		disk_take_report(q, req, len);
		break;
	case KIND_APPEND:
		disk_take_append(q, req, len);
		break;
	default:
		break;
	}
}

static void queue_done(struct ringside_queue *q, struct ringside_request *req)
{
	q->pending--;
	q->completed++;
	req->done(req);
}

static inline void queue_finish(struct ringside_queue *q, struct ringside_request *req,
				uint32_t len)
{
	req->used_len = len;
	if (unlikely(req->kind == KIND_CHAIN)) {
		req->status = RINGSIDE_STATUS_NONE;
		req->result = 0;
	} else {
		req->status = read_once(&q->slots[req->slot].status);
		req->result = result_of(req->status);
		if (!req->result)
			take_data(q, req, len);
		if (unlikely(req->kind == KIND_REPORT))
			q->free_reports |= (uint8_t)(1u << req->writable);
	}
	q->free_slots[q->n_free++] = req->slot;
	queue_done(q, req);
}

/* Those that were there when it began: a callback that fails again waits for the next time. */
static unsigned deliver_failed(struct ringside_queue *q, unsigned max)
{
	struct ringside_request *last = q->failed.head ? q->failed.tail : NULL, *req = NULL;
	unsigned n = 0;

	while (n < max && req != last && (req = list_take(&q->failed))) {
		n++;
		/* Compared by address only: it is the caller's again. */
		queue_done(q, req);
	}
	return n;
}

static int why_nothing(struct ringside_queue *q)
{
	struct ringside_disk *d = q->disk;

	if (vqdrv_broken(&q->vq.ring) && d->started)
		return -EPROTO;
	if (read_once(&d->halt))
		return -ENODEV;
	if (q->pending && ++q->idle_polls % POLLS_PER_LOOK == 0 && d->v.t->ops->alive &&
	    !d->v.t->ops->alive(d->v.t)) {
		write_once(&d->halt, -ENODEV);
		return -ENODEV;
	}
	return 0;
}

int ringside_poll(struct ringside_queue *q, unsigned max)
{
	unsigned n = 0;
	uint32_t len;
	void *cookie;

	if (q->polling)
		return -EBUSY;
	if (!max)
		max = 2u * q->vq.num;
	q->polling = true;
	if (unlikely(q->failed.head))
		n = deliver_failed(q, max);
	if (likely(q->disk->started)) {
		while (n < max && vqdrv_reap(&q->vq.ring, &cookie, &len) > 0) {
			queue_finish(q, cookie, len);
			n++;
		}
		if (unlikely(q->held.head) && !read_once(&q->disk->halt))
			disk_queue_refill(q);
		vqueue_commit(&q->vq);
	}
	q->polling = false;
	return n ? (int)n : why_nothing(q);
}

void ringside_commit(struct ringside_queue *q)
{
	if (!q->disk->started)
		return;
	vqueue_commit(&q->vq);
	/* Who sleeps until a completion must not sleep over one that is here. */
	if (unlikely(q->failed.head && q->vq.armed))
		vqueue_wake(&q->vq);
}

bool ringside_arm(struct ringside_queue *q)
{
	if (q->failed.head || !q->disk->started || vqdrv_broken(&q->vq.ring) ||
	    read_once(&q->disk->halt))
		return true;
	return vqueue_arm(&q->vq);
}

void ringside_disarm(struct ringside_queue *q)
{
	vqueue_disarm(&q->vq);
}

int ringside_queue_fd(const struct ringside_queue *q)
{
	return q->vq.call_fd;
}

/* How long poll(2) may sleep; -1: for ever. */
static int time_left(int timeout_ms, uint64_t until)
{
	uint64_t now = clock_ns();

	if (timeout_ms < 0)
		return -1;
	return now >= until ? 0 : (int)((until - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC);
}

int ringside_wait(struct ringside_queue *q, int timeout_ms)
{
	uint64_t until = 0;
	unsigned looks = 0;

	if (timeout_ms > 0)
		until = clock_ns() + (uint64_t)timeout_ms * NSEC_PER_MSEC;
	for (;;) {
		int n = ringside_poll(q, 0), left;
		unsigned woken;

		if (n)
			return n;
		left = time_left(timeout_ms, until);
		if (!left)
			return 0;
		if (ringside_arm(q)) {
			if (q->vq.v->t->no_calls && ++looks > LOOKS)
				os_nap();
			continue;
		}
		woken = os_sleep(q->sleeper, left);
		vqueue_calls_off(&q->vq);
		if (woken & OS_HANGUP) {
			n = ringside_poll(q, 0);
			write_once(&q->disk->halt, -ENODEV);
			return n ? n : -ENODEV;
		}
	}
}

/* ---- taken back ---- */

void disk_queue_take_back(struct ringside_queue *q)
{
	struct disk_list out = {0};
	void *cookie;

	while (vqdrv_detach(&q->vq.ring, &cookie)) {
		struct ringside_request *req = cookie;

		/* Done perhaps already; twice would be a second record. */
		if (req->type == VIRTIO_BLK_T_ZONE_APPEND)
			queue_fail(q, req, -EIO);
		else
			list_append(&out, req);
	}
	while (q->held.head)
		list_append(&out, list_take(&q->held));
	q->held = out;
}

void disk_queue_cancel(struct ringside_queue *q, int result)
{
	struct ringside_request *req;

	while ((req = list_take(&q->held)))
		queue_fail(q, req, result);
	deliver_failed(q, UINT32_MAX);
}

void ringside_get_stats(struct ringside_queue *q, struct ringside_stats *stats)
{
	/* Calls that nobody slept for count as well. */
	if (!q->vq.armed)
		vqueue_disarm(&q->vq);
	*stats = (struct ringside_stats){.submitted = q->submitted,
					 .completed = q->completed,
					 .kicks = q->vq.kicks,
					 .calls = q->vq.calls};
}

unsigned ringside_pending(const struct ringside_queue *q)
{
	return q->pending;
}

const char *ringside_why(const struct ringside_queue *q)
{
	return q->disk->started ? vqdrv_why(&q->vq.ring) : NULL;
}
