/* SPDX-License-Identifier: MIT */
#include "storage/layer/cow_map.h"

#include "base/bits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PER_WORD     32u
#define SECTOR_WORDS (COW_SECTOR / 8)
#define PAGE_WORDS   (COW_PAGE / 8)
#define PAGE_SECTORS (COW_PAGE / COW_SECTOR)
#define ODD_BITS     UINT64_C(0xaaaaaaaaaaaaaaaa)
#define EVEN_BITS    UINT64_C(0x5555555555555555)

_Static_assert(SECTOR_WORDS == COW_WORDS + 1, "a sector is its words and their sum");

#define word_load(p)	 __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define word_store(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
/* Of an image: whoever reads it finds that its page flies. */
#define image_store(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

/* ---- life ---- */

static uint64_t *plane_make(uint64_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static int image_init(struct cow_image *image, uint64_t pages)
{
	size_t words = (size_t)(pages / 64 + 1);

	image->words = plane_make(pages * COW_PAGE);
	image->dirty = calloc(words, sizeof(uint64_t));
	image->flying = calloc(words, sizeof(uint64_t));
	return image->words && image->dirty && image->flying ? 0 : -ENOMEM;
}

int cow_map_init(struct cow_map *m, uint64_t sectors, const uint8_t *id)
{
	int rc = 0;

	*m = (struct cow_map){.sectors = sectors, .pages = cow_map_pages(sectors)};
	memcpy(m->id, id, sizeof(m->id));
	m->now = plane_make(m->pages * COW_PAGE);
	for (unsigned i = 0; !rc && i < COW_IMAGES; i++)
		rc = image_init(&m->image[i], m->pages);
	if (m->now && !rc)
		return 0;
	cow_map_fini(m);
	return -ENOMEM;
}

static void plane_free(const struct cow_map *m, uint64_t *plane)
{
	if (plane)
		munmap(plane, m->pages * COW_PAGE);
}

void cow_map_fini(struct cow_map *m)
{
	plane_free(m, m->now);
	for (unsigned i = 0; i < COW_IMAGES; i++) {
		plane_free(m, m->image[i].words);
		free(m->image[i].dirty);
		free(m->image[i].flying);
	}
	*m = (struct cow_map){0};
}

/* ---- as it is on the disk ---- */

/* Each step can be undone, so words that differ in one place only never have the same sum. */
uint64_t cow_sum(const uint8_t *id, uint64_t index, const void *words, size_t n)
{
	const uint8_t *p = words;
	uint64_t sum = le64_at(id) ^ index * UINT64_C(0x9e3779b97f4a7c15);

	sum = (sum ^ le64_at(id + 8)) * UINT64_C(0xd6e8feb86659fd93);
	for (size_t i = 0; i < n; i++) {
		sum ^= le64_at(p + 8 * i);
		sum *= UINT64_C(0xd6e8feb86659fd93);
		sum ^= sum >> 32;
	}
	/* Zero is the sum of what was never written. */
	return sum ? sum : 1;
}

/* States that cannot be, and those of what is behind the disk's end. */
static bool states_can_be(const struct cow_map *m, uint64_t first, uint64_t states)
{
	if (states & states >> 1 & EVEN_BITS)
		return false;
	if (first >= m->sectors)
		return !states;
	return m->sectors - first >= PER_WORD || !(states >> 2 * (m->sectors - first));
}

static void map_count(struct cow_map *m, uint64_t was, uint64_t is)
{
	int data = __builtin_popcountll(is & EVEN_BITS) - __builtin_popcountll(was & EVEN_BITS);
	int zero = __builtin_popcountll(is & ODD_BITS) - __builtin_popcountll(was & ODD_BITS);

	if (data)
		__atomic_add_fetch(&m->in_state[COW_DATA], (uint64_t)data, __ATOMIC_RELAXED);
	if (zero)
		__atomic_add_fetch(&m->in_state[COW_ZERO], (uint64_t)zero, __ATOMIC_RELAXED);
}

static bool map_load_sector(struct cow_map *m, enum cow_which which, uint64_t index,
			    const uint8_t *bytes)
{
	uint64_t at = index * SECTOR_WORDS, any = 0;

	for (unsigned i = 0; i < SECTOR_WORDS; i++)
		any |= le64_at(bytes + 8 * i);
	if (!any)
		return true;
	if (le64_at(bytes + 8 * COW_WORDS) != cow_sum(m->id, index, bytes, COW_WORDS))
		return false;
	for (unsigned i = 0; i < COW_WORDS; i++) {
		uint64_t states = le64_at(bytes + 8 * i);

		if (!states_can_be(m, index * COW_PER_MAP + i * PER_WORD, states))
			return false;
		map_count(m, m->now[at + i], states);
		m->now[at + i] = states;
	}
	memcpy(&m->image[which].words[at], bytes, COW_SECTOR);
	return true;
}

/* What is in one image alone is written to the other one at its next turn. */
static void mark_what_differs(struct cow_map *m, uint64_t page)
{
	for (unsigned w = 0; w < COW_IMAGES; w++)
		for (uint64_t i = page * PAGE_WORDS; i < (page + 1) * PAGE_WORDS; i++)
			if (i % SECTOR_WORDS < COW_WORDS &&
			    le64toh(m->image[w].words[i]) != m->now[i])
				m->image[w].dirty[page / 64] |= BIT64(page % 64);
}

int cow_map_load(struct cow_map *m, enum cow_which which, uint64_t page, const void *bytes,
		 uint64_t *bad)
{
	for (unsigned i = 0; i < PAGE_SECTORS; i++) {
		*bad = page * PAGE_SECTORS + i;
		if (!map_load_sector(m, which, *bad, (const uint8_t *)bytes + i * COW_SECTOR))
			return -EBADMSG;
	}
	if (which == COW_RECENT)
		mark_what_differs(m, page);
	return 0;
}

/* ---- states ---- */

/* The word that holds the state of a sector; it is at bit 2 * (sector % 32) there. */
static uint64_t word_of(uint64_t sector)
{
	return sector / COW_PER_MAP * SECTOR_WORDS + sector % COW_PER_MAP / PER_WORD;
}

/* The same state 32 times. */
static uint64_t word_full_of(enum cow_state state)
{
	return EVEN_BITS * (uint64_t)state;
}

/* The bits of the sectors [from, from + n) in the word of @from; *n is cut to what is in it. */
static uint64_t word_mask(uint64_t from, uint64_t *n)
{
	unsigned first = (unsigned)(from % PER_WORD);

	*n = min_u64(*n, PER_WORD - first);
	return (*n == PER_WORD ? UINT64_MAX : (UINT64_C(1) << 2 * *n) - 1) << 2 * first;
}

uint64_t cow_map_run(const struct cow_map *m, uint64_t from, uint64_t most, enum cow_state *state)
{
	uint64_t n = 0;

	*state = word_load(&m->now[word_of(from)]) >> 2 * (from % PER_WORD) & 3;
	while (n < most) {
		uint64_t part = most - n, mask = word_mask(from + n, &part);
		uint64_t others = (word_load(&m->now[word_of(from + n)]) ^ word_full_of(*state)) &
				  mask;

		if (others) {
			n += (unsigned)__builtin_ctzll(others) / 2 - (from + n) % PER_WORD;
			break;
		}
		n += part;
	}
	/* The first one was looked at twice, and may have changed in between. */
	return n ? n : 1;
}

static uint64_t page_of(uint64_t word)
{
	return word / PAGE_WORDS;
}

static bool bit_is_set(const uint64_t *bits, uint64_t i)
{
	return word_load(&bits[i / 64]) >> i % 64 & 1;
}

static void bit_set(uint64_t *bits, uint64_t i)
{
	__atomic_fetch_or(&bits[i / 64], BIT64(i % 64), __ATOMIC_SEQ_CST);
}

static void bit_clear(uint64_t *bits, uint64_t i)
{
	__atomic_fetch_and(&bits[i / 64], ~BIT64(i % 64), __ATOMIC_SEQ_CST);
}

/*
 * Whether it flies is asked in front, since what flies may have been taken before our own store; and
 * behind, since what has been taken in between has not arrived.
 */
static bool image_has(const struct cow_image *image, uint64_t word, uint64_t mask, uint64_t states)
{
	uint64_t is;

	if (bit_is_set(image->flying, page_of(word)))
		return false;
	is = le64toh(word_load(&image->words[word]));
	return !((is ^ states) & mask) && !bit_is_set(image->flying, page_of(word));
}

bool cow_map_set(struct cow_map *m, uint64_t from, uint64_t n, enum cow_state state)
{
	const uint64_t states = word_full_of(state);
	bool had_data = false;

	while (n) {
		uint64_t part = n, mask = word_mask(from, &part), word = word_of(from);
		uint64_t was = word_load(&m->now[word]), is;

		do {
			is = (was & ~mask) | (states & mask);
		} while (is != was &&
			 !__atomic_compare_exchange_n(&m->now[word], &was, is, false,
						      __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
		had_data |= (was & mask & EVEN_BITS) != 0;
		if (is != was)
			map_count(m, was & mask, is & mask);
		for (unsigned w = 0; w < COW_IMAGES; w++)
			if (!image_has(&m->image[w], word, mask, states))
				bit_set(m->image[w].dirty, page_of(word));
		from += part;
		n -= part;
	}
	return had_data;
}

bool cow_map_has(const struct cow_map *m, enum cow_which which, uint64_t from, uint64_t n,
		 enum cow_state state)
{
	while (n) {
		uint64_t part = n, mask = word_mask(from, &part);

		if (!image_has(&m->image[which], word_of(from), mask, word_full_of(state)))
			return false;
		from += part;
		n -= part;
	}
	return true;
}

/* ---- the way to the disk ---- */

static void page_copy(const struct cow_map *m, uint64_t *to, uint64_t page)
{
	for (unsigned s = 0; s < PAGE_SECTORS; s++) {
		uint64_t index = page * PAGE_SECTORS + s, at = index * SECTOR_WORDS, any = 0, sum;
		uint64_t words[COW_WORDS];

		for (unsigned i = 0; i < COW_WORDS; i++) {
			words[i] = htole64(word_load(&m->now[at + i]));
			any |= words[i];
		}
		if (!any)
			continue;
		sum = cow_sum(m->id, index, words, COW_WORDS);
		for (unsigned i = 0; i < COW_WORDS; i++)
			image_store(&to[at + i], words[i]);
		image_store(&to[at + COW_WORDS], htole64(sum));
	}
}

/* The next page of @bits at or behind @at; @end: there is none. */
static uint64_t next_page(const uint64_t *bits, uint64_t at, uint64_t end)
{
	while (at < end) {
		uint64_t left = word_load(&bits[at / 64]) >> at % 64;

		if (left)
			return min_u64(at + (unsigned)__builtin_ctzll(left), end);
		at = align_down(at, 64) + 64;
	}
	return end;
}

uint64_t cow_map_take(struct cow_map *m, enum cow_which which, uint64_t *at, uint64_t most)
{
	struct cow_image *image = &m->image[which];
	uint64_t taken = 0;

	while (taken < most) {
		*at = next_page(image->dirty, *at, m->pages);
		if (*at == m->pages)
			break;
		bit_set(image->flying, *at);
		bit_clear(image->dirty, *at);
		page_copy(m, image->words, *at);
		(*at)++;
		taken++;
	}
	return taken;
}

uint64_t cow_map_flying(const struct cow_map *m, enum cow_which which, uint64_t *at, uint64_t end,
			uint64_t most)
{
	const uint64_t *flying = m->image[which].flying;
	uint64_t n = 0;

	*at = next_page(flying, *at, end);
	while (n < most && *at + n < end && bit_is_set(flying, *at + n))
		n++;
	return n;
}

void cow_map_landed(struct cow_map *m, enum cow_which which)
{
	struct cow_image *image = &m->image[which];

	for (uint64_t i = 0; i <= m->pages / 64; i++)
		if (word_load(&image->flying[i]))
			word_store(&image->flying[i], 0);
}

void cow_map_lost(struct cow_map *m, enum cow_which which)
{
	struct cow_image *image = &m->image[which];

	for (uint64_t i = 0; i <= m->pages / 64; i++) {
		uint64_t all = word_load(&image->flying[i]);

		if (all)
			__atomic_fetch_or(&image->dirty[i], all, __ATOMIC_SEQ_CST);
	}
}
