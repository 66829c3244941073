/* SPDX-License-Identifier: MIT */
/*
 * Guest memory is the input: rings, descriptors, indirect tables and requests made of arbitrary
 * bytes go through vqdev_pop() and blk_request_parse().  Whatever they say, no byte outside the
 * guest's memory may be touched and the work must end.
 */
#include "backend/blk/request.h"

#include <stdlib.h>
#include <string.h>

#define RAM (64u << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void touch(const struct iovec *iov, int n)
{
	for (int i = 0; i < n; i++) {
		volatile const uint8_t *p = iov[i].iov_base;

		if (iov[i].iov_len) {
			(void)p[0];
			(void)p[iov[i].iov_len - 1];
		}
	}
}

/*
 * Byte 0: layout and features; bytes 1-2: ring size; 3-4: a bend of the base; the rest fills memory
 * from its start.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct blk_limits limits = {
		.sectors = 2048,
		.discard = true,
		.write_zeroes = true,
		.zoned = true,
		.secure_erase = true,
		.lifetime = true,
		.max_discard_sectors = 1024,
		.max_write_zeroes_sectors = 1024,
		.max_secure_erase_sectors = 1024,
		.max_append_sectors = 256,
	};
	struct vring_config c = {.num = 1};
	struct iovec iov[300];
	struct vq_chain chain = {.iov = iov, .iov_max = 300};
	struct vqdev vq = {0};
	struct blk_request parsed;
	struct gmem *one, *mem;
	uint8_t *ram;

	if (size < 5)
		return 0;
	c.packed = data[0] & 1;
	c.event_idx = data[0] & 2;
	c.indirect = data[0] & 4;
	c.in_order = data[0] & 8;
	c.num = (uint16_t)((data[1] | data[2] << 8) % 128 + 1);
	if (!c.packed)
		c.num = (uint16_t)(1u << (c.num % 8));
	c.base = vring_base_initial(c.packed) ^ (data[3] % 2u);
	/*
	 * Exactly as large as it may be, so that the sanitizer sees one byte too far; in two
	 * regions that touch.
	 */
	ram = calloc(1, RAM);
	if (!ram)
		return 0;
	size -= 5;
	memcpy(ram, data + 5, size < RAM ? size : RAM);
	if (gmem_with_host(NULL, 0, RAM / 2, 0, ram, &one, NULL))
		abort();
	if (gmem_with_host(one, RAM / 2, RAM / 2, 0, ram + RAM / 2, &mem, NULL))
		abort();
	gmem_put(one);
	c.desc = gpa(0);
	c.driver = gpa(0x1000);
	c.device = gpa(0x2000);
	if (vqdev_init(&vq, &c, mem, NULL) == 0) {
		for (int i = 0; i < 64 && vqdev_pop(&vq, &chain) == 1; i++) {
			struct vq_ticket ticket = chain.ticket;

			touch(iov, chain.readable + chain.writable);
			if (!blk_request_parse(&parsed, &chain, &limits)) {
				*parsed.status = 0;
				if (parsed.action == BLK_READ || parsed.action == BLK_WRITE ||
				    parsed.action == BLK_GET_ID)
					touch(parsed.data, parsed.n_data);
			}
			if (i % 3)
				vqdev_push(&vq, &ticket, 1);
			if (i % 5 == 0) {
				vqdev_publish(&vq);
				vqdev_needs_interrupt(&vq);
			}
		}
		vqdev_kicks_on(&vq);
		vqdev_kicks_off(&vq);
		vqdev_fini(&vq);
	}
	gmem_put(mem);
	free(ram);
	return 0;
}
