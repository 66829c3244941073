/* SPDX-License-Identifier: MIT */
/*
 * The PCI half of the front end where there is no C library: this program is linked with nothing
 * but its sources, and has to provide what they call.  It looks at an empty slot and at a board
 * that does not answer any more.
 */
#include "frontend/virtio/os.h"
#include "frontend/virtio_pci/transport.h"

#include <errno.h>
#include <time.h>

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

/* A clock that goes on with each look at it. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
	static long looks;

	(void)clock;
	*now = (struct timespec){.tv_sec = ++looks};
	return 0;
}

void os_nap(void)
{
}

/* The place that has no C library has no sentences either. */
int error_set(struct error *err, int rc, const char *fmt, ...)
{
	(void)err;
	(void)fmt;
	return rc;
}

static uint32_t ones(struct pci_access *a, unsigned bdf, unsigned offset, unsigned size)
{
	(void)a;
	(void)bdf;
	(void)offset;
	return UINT32_MAX >> (32 - 8 * size);
}

static const struct pci_access_ops nobody = {.config_read = ones};

void freestanding_main(void)
{
	static struct pci_access access = {&nobody};
	static const struct vpci_platform_ops none = {0};
	static struct vpci_platform platform = {.ops = &none};
	static struct vpci_transport t;
	static struct pcidev dev;
	int status = 0;

	if (pcidev_next(&dev, &access, 0) != -ENODEV)
		status = 1;
	dev.vendor = 0xffff;
	if (vpci_transport_init(&t, &dev, &platform, NULL) != -ENODEV)
		status = 2;
	for (;;)
		__asm__ volatile("syscall" : : "a"(60), "D"(status) : "rcx", "r11", "memory");
}
