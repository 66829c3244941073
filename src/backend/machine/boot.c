/* SPDX-License-Identifier: MIT */
#include "backend/machine/boot.h"

#include "base/bits.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BOOT_FILE_MAX	(UINT64_C(2) << 30)
#define BOOT_PAGE	4096
#define BOOT_FIRST_ROOM (size_t)(4 << 20)
#define BOOT_LOOK_MS	200

/* ---- files ---- */

static int boot_grow(struct boot_file *f, size_t *room, struct error *err)
{
	uint8_t *data;

	if (f->size < *room)
		return 0;
	if (*room >= BOOT_FILE_MAX)
		return error_set(err, -EFBIG, "%s is too big to be loaded (2 GiB at most).",
				 f->name);
	*room = *room ? 2 * *room : BOOT_FIRST_ROOM;
	data = realloc(f->data, *room);
	if (!data)
		return error_set(err, -ENOMEM, "cannot read %s", f->name);
	f->data = data;
	return 0;
}

/*
 * Whoever blocks the signals that end a program, to take them later, must not wait for a pipe for
 * ever: a signal that has come ends the waiting.
 */
static int boot_wait(const struct boot_file *f, int fd, struct error *err)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	sigset_t pending;

	for (;;) {
		int n = poll(&p, 1, BOOT_LOOK_MS);

		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return error_set(err, -errno, "cannot wait for %s", f->name);
		sigpending(&pending);
		if (!sigisemptyset(&pending))
			return error_set(err, -EINTR, "cannot read %s", f->name);
	}
}

/* To its end: a pipe or a terminal does not tell its size before. */
static int boot_read_stream(struct boot_file *f, int fd, struct error *err)
{
	size_t room = 0;
	ssize_t n;
	int rc;

	for (;;) {
		rc = boot_grow(f, &room, err);
		if (!rc)
			rc = boot_wait(f, fd, err);
		if (rc)
			return rc;
		n = read(fd, f->data + f->size, room - f->size);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return error_set(err, -errno, "cannot read %s", f->name);
		if (!n)
			return f->size ? 0 : error_set(err, -EINVAL, "%s is empty.", f->name);
		f->size += n > 0 ? (size_t)n : 0;
	}
}

static int boot_read_whole(struct boot_file *f, int fd, size_t size, struct error *err)
{
	if (!size)
		return error_set(err, -EINVAL, "%s is empty.", f->name);
	if (size > BOOT_FILE_MAX)
		return error_set(err, -EFBIG, "%s is too big to be loaded (2 GiB at most).",
				 f->name);
	f->data = malloc(size);
	if (!f->data)
		return error_set(err, -ENOMEM, "cannot read %s", f->name);
	while (f->size < size) {
		ssize_t n = read(fd, f->data + f->size, size - f->size);

		if (n < 0)
			return error_set(err, -errno, "cannot read %s", f->name);
		if (!n)
			return error_set(err, -EIO, "%s became shorter while it was read.",
					 f->name);
		f->size += (size_t)n;
	}
	return 0;
}

static int boot_read_any(struct boot_file *f, int fd, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st))
		return error_set(err, -errno, "cannot look at %s", f->name);
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
		/* Files of the kernel's own (/proc, /sys) tell no size. */
		return st.st_size ? boot_read_whole(f, fd, (size_t)st.st_size, err)
				  : boot_read_stream(f, fd, err);
	case S_IFIFO:
		return boot_read_stream(f, fd, err);
	case S_IFDIR:
		return error_set(err, -EISDIR, "%s is a directory, not a file.", f->name);
	default:
		return error_set(err, -EINVAL, "%s is a device, not a file.", f->name);
	}
}

int boot_file_read(struct boot_file *f, const char *name, struct error *err)
{
	/* Opening must not wait for whoever writes to a pipe; boot_wait() does. */
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc;

	*f = (struct boot_file){.name = name};
	if (fd < 0 && errno == ENXIO)
		return error_set(err, -errno, "%s is a socket or a device that is not there.",
				 name);
	if (fd < 0)
		return error_set(err, -errno, "cannot open %s", name);
	rc = boot_read_any(f, fd, err);
	close(fd);
	if (rc)
		boot_file_free(f);
	return rc;
}

void boot_file_free(struct boot_file *f)
{
	free(f->data);
	*f = (struct boot_file){0};
}

/* ---- what both protocols need ---- */

int boot_load_initrd(const struct pc_memory *m, const struct boot_image *image, uint64_t kernel_end,
		     uint64_t limit, uint64_t *at, struct error *err)
{
	const struct boot_file *initrd = &image->initrd;

	*at = 0;
	if (!initrd->data)
		return 0;
	limit = min_u64(limit, m->low);
	kernel_end = align_up(kernel_end, BOOT_PAGE);
	if (kernel_end > limit || limit - kernel_end < align_up(initrd->size, BOOT_PAGE))
		return error_set(err, -ENOSPC,
				 "%s has %zu KiB, which does not fit into memory behind the "
				 "kernel: give the guest more.",
				 initrd->name, initrd->size >> 10);
	*at = align_down(limit - initrd->size, BOOT_PAGE);
	memcpy(pc_memory_at(m, *at, initrd->size), initrd->data, initrd->size);
	return 0;
}

int boot_load_cmdline(const struct pc_memory *m, const struct boot_image *image, size_t max,
		      struct error *err)
{
	size_t len = strlen(image->cmdline);

	max = min_u64(max, BOOT_CMDLINE_MAX - 1);
	if (len > max)
		return error_set(err, -EINVAL,
				 "the command line has %zu bytes, %s takes %zu at most.", len,
				 image->kernel.name, max);
	memcpy(pc_memory_at(m, BOOT_CMDLINE, len + 1), image->cmdline, len + 1);
	return 0;
}

void boot_load_gdt(const struct pc_memory *m, struct kvm_start *start)
{
	const le64 gdt[] = {
		le64_make(0),
		le64_make(0),
		le64_make(start->mode == KVM_START_LONG ? 0x00af9b000000ffff : 0x00cf9b000000ffff),
		le64_make(0x00cf93000000ffff),
	};

	memcpy(pc_memory_at(m, BOOT_GDT, sizeof(gdt)), gdt, sizeof(gdt));
	start->gdt = BOOT_GDT;
	start->gdt_size = sizeof(gdt);
}

int boot_load(const struct pc_memory *m, const struct boot_image *image, struct kvm_start *start,
	      struct error *err)
{
	const struct boot_file *kernel = &image->kernel;

	*start = (struct kvm_start){0};
	if (boot_is_linux(kernel))
		return boot_load_linux(m, image, start, err);
	if (boot_is_elf(kernel))
		return boot_load_pvh(m, image, start, err);
	if (kernel->size >= 2 && kernel->data[0] == 0x1f && kernel->data[1] == 0x8b)
		return error_set(err, -ENOEXEC,
				 "%s is compressed by gzip: unpack it, or give the bzImage.",
				 kernel->name);
	if (kernel->size >= 2 && !memcmp(kernel->data, "MZ", 2))
		return error_set(
			err, -ENOEXEC,
			"%s is an EFI program and no bzImage: of a unified kernel image, give "
			"the kernel in it (objcopy -O binary -j .linux).",
			kernel->name);
	return error_set(err, -ENOEXEC, "%s is not a kernel: neither a bzImage nor an ELF file.",
			 kernel->name);
}
