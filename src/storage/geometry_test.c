/* SPDX-License-Identifier: MIT */
/* Which blocks a guest is shown, and which sizes a disk can have: at open and later. */
#include "storage/loop_test.h"
#include "storage/place_test.h"

#include "base/log.h"

#include <sys/mount.h>
#include <sys/wait.h>

static struct storage_limits limits_of(const struct storage_options *o)
{
	struct storage_limits l;
	struct error err = {""};
	struct storage *s;

	if (storage_open(o, &s, &err))
		fail_msg("%s", err.text);
	l = *storage_limits(s);
	storage_close(&s);
	return l;
}

static void shows_the_default(const struct storage_limits *l)
{
	assert_int_equal(l->block_size, 512);
	assert_int_equal(l->physical_block_size, 4096);
	assert_int_equal(l->opt_io_size, 0);
}

static void the_words_of_the_user_decide(void **state)
{
	static const struct {
		struct storage_geometry asked;
		struct storage_limits shown;
	} cases[] = {
		{{0}, {.block_size = 512, .physical_block_size = 4096, .discard_alignment = 4096}},
		{{.block_size = 4096},
		 {.block_size = 4096, .physical_block_size = 4096, .discard_alignment = 4096}},
		{{.block_size = 65536},
		 {.block_size = 65536, .physical_block_size = 65536, .discard_alignment = 65536}},
		{{.physical_block_size = 512},
		 {.block_size = 512, .physical_block_size = 512, .discard_alignment = 4096}},
		{{.physical_block_size = 65536, .opt_io_size = 1 << 20, .discard_granularity = 512},
		 {.block_size = 512,
		  .physical_block_size = 65536,
		  .opt_io_size = 1 << 20,
		  .discard_alignment = 512}},
		{{.discard_granularity = 3 << 20},
		 {.block_size = 512, .physical_block_size = 4096, .discard_alignment = 3 << 20}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct storage_limits l = limits_of(&(struct storage_options){
			.target = "memory:1M", .geometry = cases[i].asked});

		assert_int_equal(l.block_size, cases[i].shown.block_size);
		assert_int_equal(l.physical_block_size, cases[i].shown.physical_block_size);
		assert_int_equal(l.opt_io_size, cases[i].shown.opt_io_size);
		assert_int_equal(l.discard_alignment, cases[i].shown.discard_alignment);
	}
}

static void what_cannot_be_is_refused_by_its_name(void **state)
{
	static const struct {
		struct storage_geometry asked;
		const char *says;
	} cases[] = {
		{{.block_size = 256}, "blk-size=256"},
		{{.block_size = 1536}, "blk-size=1536"},
		{{.block_size = 131072}, "blk-size=131072"},
		{{.block_size = 65536, .physical_block_size = 4096}, "physical-block-size=4096"},
		{{.physical_block_size = 3000}, "physical-block-size=3000"},
		{{.physical_block_size = 1u << 31}, "physical-block-size=2147483648"},
		{{.opt_io_size = 512}, "opt-io-size=512"},
		{{.block_size = 4096, .discard_granularity = 512}, "discard-granularity=512"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		refused(&(struct storage_options){.target = "memory:1M",
						  .geometry = cases[i].asked},
			-EINVAL, cases[i].says);
	refused(&(struct storage_options){.target = "memory:1536", .geometry.block_size = 1024},
		-EINVAL, "no multiple of blk-size=1024");
}

/* Each entry is a file system or a device that prefers something else. */
static void file_shows_the_default(const char *dir)
{
	char *image = image_make(dir, "shown.raw", 1 * MIB);

	for (unsigned direct = 0; direct < 2; direct++) {
		struct storage_options o = {.target = image, .direct = direct};
		struct storage_limits l;
		struct storage *s;

		if (storage_open(&o, &s, NULL)) {
			assert_true(direct); /* not every file system knows O_DIRECT */
			continue;
		}
		l = *storage_limits(s);
		storage_close(&s);
		shows_the_default(&l);
		if (l.max_discard)
			assert_int_equal(l.discard_alignment, 4096);
	}
	unlink(image);
	free(image);
}

static bool mkfs_and_mount(const char *command, const struct loop *loop, const char *dir,
			   const char *type, const char *words)
{
	char *cmd = NULL;
	bool ok;

	assert_true(asprintf(&cmd, "%s %s >/dev/null 2>&1", command, loop->path) > 0);
	ok = !system(cmd) && own_mounts() && !mount(loop->path, dir, type, 0, words);
	free(cmd);
	return ok;
}

static void the_file_system_does_not_decide(void **state)
{
	static const struct {
		uint32_t sector;
		const char *mkfs, *type, *words;
	} cases[] = {
		{4096, "mke2fs -q -b 4096", "ext4", NULL},
		{512, "PATH=$PATH:/usr/sbin:/sbin mkfs.xfs -q -f -d su=256k,sw=4", "xfs",
		 "largeio"},
	};
	struct place p = place_make(".", 400 * MIB);
	unsigned seen = 0;

	(void)state;
	file_shows_the_default(p.dir);
	if (own_mounts() && !mount("none", p.dir, "tmpfs", 0, "huge=always,size=8m")) {
		file_shows_the_default(p.dir);
		assert_int_equal(umount(p.dir), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *fs = NULL;
		struct loop loop;

		assert_true(asprintf(&fs, "%s/fs%zu", p.dir, i) > 0);
		assert_int_equal(mkdir(fs, 0755), 0);
		if (loop_make(&loop, p.path, cases[i].sector)) {
			if (mkfs_and_mount(cases[i].mkfs, &loop, fs, cases[i].type,
					   cases[i].words)) {
				file_shows_the_default(fs);
				assert_int_equal(umount(fs), 0);
				seen++;
			}
			loop_remove(&loop);
		}
		free(fs);
	}
	place_remove(&p);
	if (!seen)
		skip(); /* no loop devices, no rights to mount, or no mkfs */
}

static void a_device_of_4096_byte_sectors_does_not_decide(void **state)
{
	struct place p = place_make(".", 4 * MIB);
	struct loop loop;

	(void)state;
	if (!loop_make(&loop, p.path, 4096)) {
		place_remove(&p);
		skip();
	}
	for (unsigned direct = 0; direct < 2; direct++) {
		struct storage_options o = {.target = loop.path, .direct = direct};
		struct storage_limits l = limits_of(&o);

		shows_the_default(&l);
		o.geometry.block_size = 4096;
		l = limits_of(&o);
		assert_int_equal(l.block_size, 4096);
	}
	loop_remove(&loop);
	place_remove(&p);
}

/* ---- sizes seen later ---- */

static void count_line(void *opaque, enum log_level level, const char *line)
{
	(void)level;
	(void)line;
	++*(unsigned *)opaque;
}

static void a_later_size_is_judged_as_at_open(void **state)
{
	static const struct {
		struct storage_options o;
		uint64_t size;
		bool good;
	} cases[] = {
		{{.geometry.block_size = 4096}, 8 * MIB + 4096, true},
		{{.geometry.block_size = 4096}, 8 * MIB + 512, false},
		{{.geometry.block_size = 65536}, 8 * MIB + 4096, false},
		{{0}, 8 * MIB + 512, true},
		{{0}, 8 * MIB + 100, false},
		{{0}, 100, false},
		{{0}, 0, false},
		{{0}, 512, true},
		{{.readonly = true}, 0, false},
		{{.direct = true}, 8 * MIB + 100, false},
		{{.direct = true}, 4 * MIB, true},
	};
	struct place p = place_make(".", 8 * MIB);
	unsigned lines = 0;

	(void)state;
	log_setup(LOG_LEVEL_WARN, count_line, &lines);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct storage_options o = cases[i].o;
		struct storage *s, *anew;
		uint64_t size;

		o.target = p.path;
		o.no_lock = true;
		place_truncate(&p, 8 * MIB);
		if (storage_open(&o, &s, NULL))
			continue; /* no O_DIRECT here */
		place_truncate(&p, cases[i].size);
		assert_int_equal(!storage_open(&o, &anew, NULL), cases[i].good);
		storage_close(&anew);
		lines = 0;
		assert_int_equal(storage_refresh(s), cases[i].good);
		assert_int_equal(storage_refresh(s), 0);
		assert_int_equal(lines, !cases[i].good); /* once, not at each look */
		size = cases[i].good ? cases[i].size : 8 * MIB;
		assert_true(storage_size(s) == size);
		/* Back again, and wrong again: that is news. */
		place_truncate(&p, size);
		assert_int_equal(storage_refresh(s), 0);
		place_truncate(&p, 8 * MIB + 1);
		assert_int_equal(storage_refresh(s), 0);
		assert_int_equal(lines, 1u + !cases[i].good);
		place_truncate(&p, 16 * MIB);
		assert_int_equal(storage_refresh(s), 1);
		storage_close(&s);
	}
	log_setup(LOG_LEVEL_WARN, NULL, NULL);
	place_remove(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_words_of_the_user_decide),
		cmocka_unit_test(what_cannot_be_is_refused_by_its_name),
		cmocka_unit_test(the_file_system_does_not_decide),
		cmocka_unit_test(a_device_of_4096_byte_sectors_does_not_decide),
		cmocka_unit_test(a_later_size_is_judged_as_at_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
