/* SPDX-License-Identifier: MIT */
#include "vfio_user_move.h"

#include "backend/virtio_pci/state.h"
#include "wire/virtio_blk.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct move_command move_command(uint32_t flags, uint32_t state)
{
	return (struct move_command){
		{sizeof(struct move_command), VFIO_USER_FEATURE_MIG_STATE | flags}, {state, 0}};
}

int move_set_state(struct rig *r, uint32_t state)
{
	struct move_command m = move_command(SET, state);
	int rc = rig_ask(r, VFIO_USER_DEVICE_FEATURE, &m, sizeof(m));

	if (!rc)
		assert_memory_equal(r->body, &m, sizeof(m));
	return rc;
}

uint32_t move_state_of(struct rig *r)
{
	struct move_command m = move_command(GET, 0);

	assert_int_equal(rig_ask(r, VFIO_USER_DEVICE_FEATURE, &m, sizeof(m.head)), 0);
	assert_int_equal(r->h.size, sizeof(r->h) + sizeof(m));
	memcpy(&m, r->body, sizeof(m));
	assert_int_equal(m.head.argsz, sizeof(m));
	return m.s.state;
}

int move_read(struct rig *r, void *to, uint32_t max)
{
	struct vfio_user_mig_data m = {(uint32_t)sizeof(m) + max, max};
	int rc = rig_ask(r, VFIO_USER_MIG_DATA_READ, &m, sizeof(m));

	if (rc)
		return -rc;
	memcpy(&m, r->body, sizeof(m));
	assert_true(m.size <= max);
	assert_int_equal(r->h.size, sizeof(r->h) + sizeof(m) + m.size);
	memcpy(to, r->body + sizeof(m), m.size);
	return (int)m.size;
}

int move_write(struct rig *r, const void *from, uint32_t n)
{
	struct vfio_user_mig_data m = {(uint32_t)sizeof(m), n};
	uint8_t *body = malloc(sizeof(m) + n);
	int rc;

	memcpy(body, &m, sizeof(m));
	memcpy(body + sizeof(m), from, n);
	rc = rig_ask(r, VFIO_USER_MIG_DATA_WRITE, body, (uint32_t)sizeof(m) + n);
	free(body);
	return rc;
}

struct move_state move_save(struct rig *r, uint32_t piece)
{
	struct move_state s = {.at = malloc(VIRTIO_PCI_STATE_MAX)};
	int n;

	assert_int_equal(move_set_state(r, SAVING), 0);
	do {
		n = move_read(r, s.at + s.n, piece);
		assert_true(n >= 0);
		s.n += (uint32_t)n;
	} while ((uint32_t)n == piece);
	assert_int_equal(move_read(r, s.at + s.n, piece), 0);
	return s;
}

int move_load(struct rig *r, const uint8_t *at, uint32_t n, uint32_t piece)
{
	assert_int_equal(move_set_state(r, LOADING), 0);
	for (uint32_t done = 0; done < n; done += piece)
		assert_int_equal(move_write(r, at + done, (uint32_t)min_u64(piece, n - done)), 0);
	return move_set_state(r, STOP);
}

void move_reset(struct rig *r)
{
	assert_int_equal(rig_ask(r, VFIO_USER_DEVICE_RESET, NULL, 0), 0);
	assert_int_equal(move_state_of(r), RUNNING);
}

struct drv_request move_request(uint32_t type, unsigned q, unsigned i, uint64_t sector)
{
	return (struct drv_request){
		.type = type,
		.sector = sector,
		.header = DRV_DATA + 64 * (DRV_REQUESTS_MAX * q + i),
		.data = DRV_DATA + 0x10000 + 4096 * (uint64_t)(DRV_REQUESTS_MAX * q + i),
		.len = 4096,
		.status = DRV_DATA + 0x8000 + DRV_REQUESTS_MAX * q + i,
	};
}

void move_read_one(struct drv *d)
{
	struct drv_request what = move_request(VIRTIO_BLK_T_IN, 0, 0, 0);

	assert_int_equal(drv_do(d, &what), VIRTIO_BLK_S_OK);
}

void move_map_all(struct rig *r)
{
	assert_int_equal(rig_map(r, RIG_MEM_AT, RIG_MEM_SIZE, RW, 0, r->mem_fd), 0);
}

void move_share(struct rig *a, struct rig *b)
{
	munmap(b->mem, RIG_MEM_SIZE);
	assert_int_equal(dup2(a->mem_fd, b->mem_fd), b->mem_fd);
	b->mem = mmap(NULL, RIG_MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, b->mem_fd, 0);
	assert_ptr_not_equal(b->mem, MAP_FAILED);
	move_map_all(a);
	move_map_all(b);
}

struct move_state move_state_of_disk(const char *disk, const struct drv_request *some)
{
	struct move_state s;
	struct rig r;
	struct drv d;

	rig_init(&r, disk);
	move_map_all(&r);
	if (some) {
		drv_up(&d, &r, 1, false, 0);
		assert_int_equal(drv_do(&d, some), VIRTIO_BLK_S_OK);
	}
	s = move_save(&r, 65536);
	rig_fini(&r);
	return s;
}
