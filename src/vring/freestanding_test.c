/* SPDX-License-Identifier: MIT */
/*
 * The driver half where there is no C library: this program is linked with nothing but driver*.c,
 * and has to provide what they call (memset; memcpy because compilers make calls of it).  It makes
 * a chain available, uses it as a device would, and takes it back.
 */
#include "base/atomic.h"
#include "vring/driver.h"

void *memset(void *to, int c, size_t n);
void *memcpy(void *to, const void *from, size_t n);
void freestanding_main(void) __attribute__((noreturn));

__asm__(".globl _start\n"
	"_start:\n"
	"	xor %ebp, %ebp\n"
	"	and $-16, %rsp\n"
	"	call freestanding_main\n");

void *memset(void *to, int c, size_t n)
{
	volatile uint8_t *p = to;

	while (n--)
		*p++ = (uint8_t)c;
	return to;
}

void *memcpy(void *to, const void *from, size_t n)
{
	const uint8_t *q = from;
	volatile uint8_t *p = to;

	while (n--)
		*p++ = *q++;
	return to;
}

static __attribute__((noreturn)) void leave(int status)
{
	for (;;)
		__asm__ volatile("syscall" : : "a"(60), "D"(status) : "rcx", "r11", "memory");
}

static int round_trip(bool packed)
{
	static _Alignas(16) uint8_t desc[4 * 16], driver[64], device[64], state[4 * 64];
	static int cookie;
	const struct vqdrv_config config = {
		.num = 4,
		.packed = packed,
		.desc = desc,
		.driver = driver,
		.device = device,
		.state = state,
	};
	const struct vqdrv_buf bufs[] = {{0x1000, 16}, {0x2000, 512}};
	struct vqdrv vq;
	uint32_t len;
	void *back;

	if (vqdrv_state_bytes(4) > sizeof(state) || vqdrv_init(&vq, &config) ||
	    vqdrv_add(&vq, bufs, 1, 1, &cookie))
		return 1;
	vqdrv_publish(&vq);
	if (!vqdrv_needs_kick(&vq) || vqdrv_calls_on(&vq))
		return 2;
	if (packed) {
		struct pvirtq_desc *d = (void *)desc;

		le32_write(&d->len, 512);
		le16_store_release(&d->flags,
				   VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED | VIRTQ_DESC_F_WRITE);
	} else {
		struct virtq_used *u = (void *)device;

		le32_write(&u->ring[0].len, 512);
		le16_store_release(&u->idx, 1);
	}
	if (vqdrv_reap(&vq, &back, &len) != 1 || back != &cookie || len != 512)
		return 3;
	vqdrv_calls_off(&vq);
	return vqdrv_detach(&vq, &back) ? 4 : 0;
}

void freestanding_main(void)
{
	int rc = round_trip(false);

	leave(rc ? rc : round_trip(true));
}
