/* SPDX-License-Identifier: MIT */
/*
 * memory:SIZE - a disk of anonymous memory, zero at the start, gone at the end; for tests and
 * scratch disks.
 *
 * Pages come into being when they are first written (a disk may be larger than the machine's
 * memory).  Every request completes before submit returns.  Channels share the memory without
 * locks: requests that overlap in time on the same bytes have no order, as on any disk.
 */
#include "base/bits.h"
#include "base/size.h"
#include "storage/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEMORY_PREFIX  "memory:"
#define MEMORY_BLOCK   512
#define MEMORY_MAX_RUN (UINT64_C(1) << 30)
/* What is written by the worker itself, which has others to serve, and a request has many ranges. */
#define MEMORY_MAX_WRITTEN (UINT64_C(16) << 20)

struct memory {
	struct storage base;
	uint8_t *bytes;
	uint64_t page; /* of the host */
};

static struct memory *to_memory(struct storage *s)
{
	return container_of(s, struct memory, base);
}

static int memory_open(const struct storage_options *o, struct storage **out, struct error *err)
{
	const bool readonly = o->readonly == STORAGE_READONLY; /* it can be written */
	const char *text = o->target + strlen(MEMORY_PREFIX);
	struct memory *m;
	uint64_t size;
	void *bytes;
	int rc;

	rc = size_parse(text, &size);
	if (rc || !size || size % MEMORY_BLOCK || size > INT64_MAX)
		return error_set(
			err, rc ? rc : -EINVAL,
			"%s is not a disk: the size must be a positive multiple of 512, as in "
			"memory:64M.",
			o->target);
	m = calloc(1, sizeof(*m));
	if (!m)
		return error_set(err, -ENOMEM, "cannot set up %s", o->target);
	bytes = mmap(NULL, size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (bytes == MAP_FAILED) {
		rc = error_set(err, -errno, "cannot get the address space for %s", o->target);
		goto free_disk;
	}
	m->bytes = bytes;
	m->page = (uint64_t)sysconf(_SC_PAGESIZE);
	m->base.name = "memory";
	m->base.size = size;
	m->base.readonly = readonly;
	m->base.limits = (struct storage_limits){
		.max_discard = readonly || o->no_discard ? 0 : MEMORY_MAX_RUN,
		.discard_alignment = (uint32_t)m->page,
		.max_write_zeroes = readonly ? 0 : MEMORY_MAX_WRITTEN,
		.write_zeroes_unmaps = !readonly && !o->no_discard,
		.max_secure_erase = !readonly && o->erase == STORAGE_ERASE_OVERWRITE
					    ? MEMORY_MAX_WRITTEN
					    : 0,
	};
	*out = &m->base;
	return 0;
free_disk:
	free(m);
	return rc;
}

static void memory_close(struct storage *s)
{
	struct memory *m = to_memory(s);

	munmap(m->bytes, s->size);
	free(m);
}

static int memory_channel_open(struct storage *s, struct reactor *r, struct storage_channel **out,
			       struct error *err)
{
	struct storage_channel *ch = malloc(sizeof(*ch));

	if (!ch)
		return error_set(err, -ENOMEM, "cannot set up a channel");
	*ch = (struct storage_channel){.storage = s, .reactor = r};
	*out = ch;
	return 0;
}

static void memory_channel_close(struct storage_channel *ch)
{
	free(ch);
}

/* Whole pages go back to the system, from where they return as zeroes; their edges are cleared by
 * hand. */
static int give_back(struct memory *m, uint64_t offset, uint64_t len)
{
	uint64_t first = align_up(offset, m->page);
	uint64_t last = align_down(offset + len, m->page);

	if (first >= last) {
		memset(m->bytes + offset, 0, len);
		return 0;
	}
	memset(m->bytes + offset, 0, first - offset);
	memset(m->bytes + last, 0, offset + len - last);
	return madvise(m->bytes + first, last - first, MADV_DONTNEED) ? -errno : 0;
}

static int perform(struct memory *m, const struct storage_io *io)
{
	uint8_t *p = m->bytes + io->offset;

	switch (io->op) {
	case STORAGE_READ:
		for (int i = 0; i < io->iovcnt; p += io->iov[i++].iov_len)
			memcpy(io->iov[i].iov_base, p, io->iov[i].iov_len);
		return 0;
	case STORAGE_WRITE:
		for (int i = 0; i < io->iovcnt; p += io->iov[i++].iov_len)
			memcpy(p, io->iov[i].iov_base, io->iov[i].iov_len);
		return 0;
	case STORAGE_FLUSH:
		return 0;
	case STORAGE_DISCARD:
		return give_back(m, io->offset, io->len);
	case STORAGE_WRITE_ZEROES:
		if ((io->flags & STORAGE_UNMAP) && m->base.limits.write_zeroes_unmaps)
			return give_back(m, io->offset, io->len);
		memset(p, 0, io->len);
		return 0;
	case STORAGE_SECURE_ERASE:
		memset(p, 0, io->len);
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

static void memory_submit(struct storage_channel *ch, struct storage_io *io)
{
	io->done(io, perform(to_memory(ch->storage), io));
}

static const struct word memory_words[] = {
	STORAGE_WORD_READONLY,
	STORAGE_WORD_DISCARD,
	STORAGE_WORD_ERASE,
};

const struct storage_engine_ops memory_engine_ops = {
	.kind = "memory",
	.prefix = MEMORY_PREFIX,
	.words = WORDS_TABLE("memory:", memory_words),
	.open = memory_open,
	.close = memory_close,
	.channel_open = memory_channel_open,
	.channel_close = memory_channel_close,
	.submit = memory_submit,
};
