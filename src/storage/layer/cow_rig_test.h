/* SPDX-License-Identifier: MIT */
/* What the tests of overlays share: a base, an overlay on it, and storage below either that fails
 * or records. */
#ifndef STORAGE_LAYER_COW_RIG_TEST_H
#define STORAGE_LAYER_COW_RIG_TEST_H

#include "storage/layer/cow.h"
#include "storage/model_test.h"

#include <errno.h>

struct golden {
	char *dir, *base, *overlay, *log;
	uint64_t size;
	uint8_t *bytes; /* of the base */
};

/* No sector is zeroes, and none is another. */
static inline void golden_fill(uint8_t *p, uint64_t bytes)
{
	for (uint64_t i = 0; i < bytes / 8; i++) {
		uint64_t v = (i / 64 + 1) * UINT64_C(0x9e3779b97f4a7c15) + i % 64;

		memcpy(p + 8 * i, &v, 8);
	}
}

static inline struct golden golden_make(uint64_t size)
{
	struct golden g = {.dir = scratch_make("/dev/shm"), .size = size};
	int fd;

	if (!g.dir)
		g.dir = scratch_make("/tmp");
	assert_non_null(g.dir);
	g.base = image_make(g.dir, "base", size);
	assert_true(asprintf(&g.overlay, "%s/overlay", g.dir) > 0);
	assert_true(asprintf(&g.log, "%s/log", g.dir) > 0);
	g.bytes = malloc(size);
	assert_non_null(g.bytes);
	golden_fill(g.bytes, size);
	fd = open(g.base, O_WRONLY | O_CLOEXEC);
	assert_true(pwrite(fd, g.bytes, size, 0) == (ssize_t)size);
	close(fd);
	return g;
}

static inline void golden_remove(struct golden *g)
{
	free(g->base);
	free(g->overlay);
	free(g->log);
	free(g->bytes);
	scratch_remove(g->dir);
}

static inline void golden_is_untouched(const struct golden *g)
{
	uint8_t *is = malloc(g->size);
	int fd = open(g->base, O_RDONLY | O_CLOEXEC);
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_true((uint64_t)st.st_size == g->size);
	assert_true(pread(fd, is, g->size, 0) == (ssize_t)g->size);
	assert_memory_equal(is, g->bytes, g->size);
	close(fd);
	free(is);
}

static inline struct storage_options golden_options(const struct golden *g)
{
	return (struct storage_options){
		.target = g->base, .disk = "disk0", .layers.cow = g->overlay};
}

/* The disk of @o, with layers of those options below the base's and the overlay's part. */
static inline int golden_stack(const struct storage_options *o,
			       const struct storage_layer_options *base,
			       const struct storage_layer_options *overlay, struct storage **out,
			       struct error *err)
{
	struct storage_options b = *o, v = {.threads = o->threads, .direct = o->direct};
	struct storage *below, *s;
	int rc;

	b.disk = NULL; /* the outermost has the name */
	b.readonly = STORAGE_READONLY;
	b.layers = base ? *base : (struct storage_layer_options){.cow = NULL};
	if (overlay)
		v.layers = *overlay;
	rc = storage_open(&b, &below, err);
	if (rc)
		return rc;
	rc = cow_stack_on(o, below, &v, &s, err);
	if (rc) {
		storage_close(&below);
		return rc;
	}
	s->ops = &cow_layer_ops;
	s->below = below;
	below->above = s;
	*out = s;
	return 0;
}

static inline void golden_rig(struct rig *rig, const struct golden *g,
			      const struct storage_layer_options *base,
			      const struct storage_layer_options *overlay, bool uring)
{
	struct reactor_config c = {.uring = uring};
	struct storage_options o = golden_options(g);
	struct error err = {""};

	*rig = (struct rig){0};
	if (golden_stack(&o, base, overlay, &rig->s, &err))
		fail_msg("%s", err.text);
	assert_int_equal(reactor_create(&rig->r, &c, NULL), 0);
	assert_int_equal(storage_channel_open(rig->s, rig->r, &rig->ch, NULL), 0);
}

/* Channels free themselves with a message that is under way. */
static inline void golden_rig_close(struct rig *rig)
{
	storage_channel_close(&rig->ch);
	model_settle(rig->r);
	reactor_destroy(&rig->r);
	storage_close(&rig->s);
}

static inline void golden_read_all(const struct golden *g, uint8_t *to)
{
	struct storage_options o = golden_options(g);
	struct error err = {""};
	struct rig rig;

	if (rig_open(&rig, &o, false, &err))
		fail_msg("%s", err.text);
	for (uint64_t at = 0; at < g->size; at += 1 << 20)
		assert_int_equal(
			rig_rw(&rig, STORAGE_READ, 0, at, to + at, min_u64(1 << 20, g->size - at)),
			0);
	rig_close(&rig);
}

/* As if the host had failed since: what was not stable is another matter. */
static inline void golden_forget_boot(const char *overlay)
{
	struct error err = {""};
	struct cow_file f;

	assert_int_equal(cow_file_init(&f, overlay, NULL), 0);
	if (cow_file_open(&f, true, &err) || cow_file_read(&f, &err))
		fail_msg("%s", err.text);
	f.header.boot[0] ^= 1;
	assert_int_equal(cow_file_set_phase(&f, le32_get(f.header.phase), NULL), 0);
	cow_file_fini(&f);
}

#endif
