/* SPDX-License-Identifier: MIT */
#include "frontend/pci/vfiodev.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "frontend/pci/vfio_container.h"

#include <endian.h>
#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* Where BAR n is put to begin with: as far apart as its kind allows. */
#define MEMORY64_SHIFT 44
#define MEMORY_SHIFT   28
#define PORT_SHIFT     12

/* More than anybody answers. */
#define INFO_MAX 65536u

static struct vfiodev *of(struct pci_access *a)
{
	return container_of(a, struct vfiodev, access);
}

/* ---- regions ---- */

/* By read and write: all ones where nobody answers, as on the bus. */
static uint32_t file_read(const struct vfiodev *v, uint64_t at, unsigned size)
{
	uint32_t value = 0;

	if (pread(v->device, &value, size, (off_t)at) != (ssize_t)size)
		return UINT32_MAX >> (32 - 8 * size);
	return le32toh(value);
}

static void file_write(const struct vfiodev *v, uint64_t at, uint32_t value, unsigned size)
{
	value = htole32(value);
	/* A device that is gone takes nothing; who looks at it finds out. */
	if (pwrite(v->device, &value, size, (off_t)at) < 0)
		return;
}

/* ---- BAR registers ---- */

/* Bits of register @i that are no address. */
static uint32_t kind_bits(const struct vfiodev_bar *b)
{
	return b->io ? PCI_BAR_IO_MASK : PCI_BAR_MEM_MASK;
}

static void bar_register_write(struct vfiodev *v, unsigned i, uint32_t value)
{
	const struct vfiodev_bar *b = &v->bars[i];
	const struct vfiodev_bar *low = i ? &v->bars[i - 1] : b;

	if (b->size)
		v->registers[i] = (value & (uint32_t)-b->size & ~kind_bits(b)) | b->kind;
	else if (low->size && low->is64)
		v->registers[i] = value & (uint32_t)(-low->size >> 32);
}

static uint64_t bar_address(const struct vfiodev *v, unsigned i)
{
	const struct vfiodev_bar *b = &v->bars[i];
	uint64_t low = v->registers[i] & ~kind_bits(b);

	return b->is64 ? low | (uint64_t)v->registers[i + 1] << 32 : low;
}

void vfiodev_place_bar(struct vfiodev *v, unsigned i, uint32_t told)
{
	struct vfiodev_bar *b = &v->bars[i];
	unsigned shift;

	b->io = told & PCI_BAR_IO;
	b->is64 = !b->io && (told & PCI_BAR_TYPE) == PCI_BAR_64 && i + 1 < PCI_BARS;
	b->kind = told & kind_bits(b);
	shift = b->io ? PORT_SHIFT : b->is64 ? MEMORY64_SHIFT : MEMORY_SHIFT;
	if (b->size > BIT64(shift) || !is_pow2(b->size))
		b->size = 0;
	if (!b->size)
		return;
	bar_register_write(v, i, (uint32_t)((uint64_t)(i + 1) << shift));
	if (b->is64)
		bar_register_write(v, i + 1, (uint32_t)((uint64_t)(i + 1) << shift >> 32));
}

/* The BAR that decodes that address. */
static const struct vfiodev_bar *decode(const struct vfiodev *v, bool io, uint64_t address,
					uint64_t *offset)
{
	for (unsigned i = 0; i < PCI_BARS; i++) {
		const struct vfiodev_bar *b = &v->bars[i];

		*offset = address - bar_address(v, i);
		if (*offset < b->size && b->io == io)
			return b;
	}
	return NULL;
}

/* ---- access ---- */

static bool in_bar_registers(unsigned offset, unsigned size)
{
	return offset >= PCI_BAR0 && offset + size <= PCI_BAR0 + 4 * PCI_BARS;
}

static uint32_t config_read(struct pci_access *a, unsigned bdf, unsigned offset, unsigned size)
{
	const struct vfiodev *v = of(a);
	uint32_t ones = UINT32_MAX >> (32 - 8 * size);

	(void)bdf;
	if (offset > v->config_size || size > v->config_size - offset)
		return ones;
	if (in_bar_registers(offset, size))
		return v->registers[(offset - PCI_BAR0) / 4] >> 8 * (offset % 4) & ones;
	return file_read(v, v->config_offset + offset, size);
}

static void config_write(struct pci_access *a, unsigned bdf, unsigned offset, uint32_t value,
			 unsigned size)
{
	struct vfiodev *v = of(a);

	(void)bdf;
	if (offset > v->config_size || size > v->config_size - offset)
		return;
	if (in_bar_registers(offset, size)) {
		unsigned i = (offset - PCI_BAR0) / 4, shift = 8 * (offset % 4);
		uint32_t mask = UINT32_MAX >> (32 - 8 * size) << shift;

		bar_register_write(v, i, (v->registers[i] & ~mask) | (value << shift & mask));
		return;
	}
	file_write(v, v->config_offset + offset, value, size);
}

static volatile uint8_t *mapped(const struct vfiodev_bar *b, uint64_t offset, unsigned size)
{
	for (unsigned i = 0; i < b->n_maps; i++) {
		const struct vfiodev_map *m = &b->maps[i];
		uint64_t at = offset - m->offset;

		if (at < m->size && size <= m->size - at)
			return m->host + at;
	}
	return NULL;
}

static uint32_t bar_read(struct pci_access *a, bool io, uint64_t address, unsigned size)
{
	const struct vfiodev *v = of(a);
	uint64_t offset;
	const struct vfiodev_bar *b = decode(v, io, address, &offset);
	volatile void *p;

	if (!b || size > b->size - offset)
		return UINT32_MAX >> (32 - 8 * size);
	p = mapped(b, offset, size);
	if (!p)
		return file_read(v, b->file_offset + offset, size);
	switch (size) {
	case 1:
		return *(volatile uint8_t *)p;
	case 2:
		return le16toh(*(volatile uint16_t *)p);
	default:
		return le32toh(*(volatile uint32_t *)p);
	}
}

/* What was stored before must be there before the device hears of it. */
static inline void before_write(void)
{
#if defined(__x86_64__) || defined(__i386__)
	/* The processor keeps stores in order, the compiler has to be told. */
	__asm__ volatile("" ::: "memory");
#else
	barrier_full();
#endif
}

static void bar_write(struct pci_access *a, bool io, uint64_t address, uint32_t value,
		      unsigned size)
{
	const struct vfiodev *v = of(a);
	uint64_t offset;
	const struct vfiodev_bar *b = decode(v, io, address, &offset);
	volatile void *p;

	if (!b || size > b->size - offset)
		return;
	before_write();
	p = mapped(b, offset, size);
	if (!p)
		file_write(v, b->file_offset + offset, value, size);
	else if (size == 1)
		*(volatile uint8_t *)p = (uint8_t)value;
	else if (size == 2)
		*(volatile uint16_t *)p = htole16((uint16_t)value);
	else
		*(volatile uint32_t *)p = htole32(value);
}

static const struct pci_access_ops access_ops = {
	.config_read = config_read,
	.config_write = config_write,
	.read = bar_read,
	.write = bar_write,
};

/* ---- opening: what the device has ---- */

/* Asks again with as much room as the kernel wants.  *info is to be freed; *size: its bytes. */
static int ask(int fd, unsigned long request, uint32_t index, uint32_t min, void **info,
	       uint32_t *size)
{
	/* All of them begin so. */
	struct head {
		uint32_t argsz, flags, index;
	} *h = NULL;
	uint32_t room = min;

	for (;;) {
		struct head *more = realloc(h, room);

		if (!more) {
			free(h);
			return -ENOMEM;
		}
		h = more;
		memset(h, 0, room);
		h->argsz = room;
		if (request != VFIO_IOMMU_GET_INFO)
			h->index = index;
		if (ioctl(fd, request, h)) {
			int rc = -errno;

			free(h);
			return rc;
		}
		if (h->argsz <= room || h->argsz > INFO_MAX) {
			*info = h;
			*size = (uint32_t)min_u64(h->argsz, room);
			return 0;
		}
		room = h->argsz;
	}
}

static void map_areas(struct vfiodev *v, struct vfiodev_bar *b, const void *info, uint32_t size)
{
	struct vfio_area areas[VFIO_AREAS_MAX];
	unsigned n = vfio_info_areas(info, size, (uint64_t)sysconf(_SC_PAGESIZE), areas);

	for (unsigned i = 0; i < n; i++) {
		void *host = mmap(NULL, areas[i].size, PROT_READ | PROT_WRITE, MAP_SHARED,
				  v->device, (off_t)(b->file_offset + areas[i].offset));

		if (host != MAP_FAILED)
			b->maps[b->n_maps++] = (struct vfiodev_map){areas[i].offset, areas[i].size,
								    host};
	}
}

static int open_region(struct vfiodev *v, unsigned index)
{
	struct vfio_region_info r;
	struct vfiodev_bar *b;
	uint32_t size = 0;
	void *info = NULL;
	int rc;

	rc = ask(v->device, VFIO_DEVICE_GET_REGION_INFO, index, sizeof(r), &info, &size);
	if (rc)
		return rc;
	memcpy(&r, info, sizeof(r));
	if (index == VFIO_PCI_CONFIG_REGION_INDEX) {
		v->config_size = r.size;
		v->config_offset = r.offset;
	} else if (r.size && r.flags & VFIO_REGION_INFO_FLAG_READ &&
		   r.flags & VFIO_REGION_INFO_FLAG_WRITE) {
		b = &v->bars[index];
		b->size = r.size;
		b->file_offset = r.offset;
		map_areas(v, b, info, size);
	}
	free(info);
	return 0;
}

static int look_at_device(struct vfiodev *v, struct error *err)
{
	struct vfio_device_info d = {.argsz = sizeof(d)};
	struct vfio_irq_info irq = {.argsz = sizeof(irq), .index = VFIO_PCI_MSIX_IRQ_INDEX};
	int rc;

	if (ioctl(v->device, VFIO_DEVICE_GET_INFO, &d))
		return error_set(err, -errno, "VFIO does not describe %s", v->name);
	if (!(d.flags & VFIO_DEVICE_FLAGS_PCI) || d.num_regions <= VFIO_PCI_CONFIG_REGION_INDEX)
		return error_set(err, -ENXIO, "VFIO does not know %s as a PCI device.", v->name);
	v->can_reset = d.flags & VFIO_DEVICE_FLAGS_RESET;
	for (unsigned i = 0; i < PCI_BARS; i++) {
		rc = open_region(v, VFIO_PCI_BAR0_REGION_INDEX + i);
		if (rc)
			return error_set(err, rc, "VFIO does not describe BAR %u of %s", i,
					 v->name);
	}
	rc = open_region(v, VFIO_PCI_CONFIG_REGION_INDEX);
	if (rc)
		return error_set(err, rc, "VFIO does not describe the configuration space of %s",
				 v->name);
	for (unsigned i = 0; i < PCI_BARS; i++)
		vfiodev_place_bar(v, i, file_read(v, v->config_offset + PCI_BAR0 + 4 * i, 4));
	if (d.num_irqs > VFIO_PCI_MSIX_IRQ_INDEX &&
	    !ioctl(v->device, VFIO_DEVICE_GET_IRQ_INFO, &irq) && irq.flags & VFIO_IRQ_INFO_EVENTFD)
		v->vectors = (uint16_t)min_u64(irq.count, PCI_MSIX_VECTORS_MAX);
	return 0;
}

static int look_at_iommu(struct vfiodev *v, struct error *err)
{
	uint32_t size = 0;
	void *info = NULL;
	int rc;

	rc = ask(v->container, VFIO_IOMMU_GET_INFO, 0, sizeof(struct vfio_iommu_type1_info), &info,
		 &size);
	if (rc)
		return error_set(err, rc, "VFIO does not describe the IOMMU of %s", v->name);
	vfio_info_iova(info, size, (uint64_t)sysconf(_SC_PAGESIZE), &v->space);
	free(info);
	return 0;
}

void vfiodev_init(struct vfiodev *v)
{
	*v = (struct vfiodev){.access = {&access_ops}, .container = -1, .group = -1, .device = -1};
}

int vfiodev_open(struct vfiodev *v, const struct pci_sysfs *s, struct error *err)
{
	int rc;

	vfiodev_init(v);
	memcpy(v->name, s->name, sizeof(v->name));
	rc = vfio_container_open(s, &v->container, &v->group, &v->device, err);
	if (rc)
		return rc;
	rc = look_at_iommu(v, err);
	if (!rc)
		rc = look_at_device(v, err);
	if (rc)
		vfiodev_close(v);
	return rc;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void vfiodev_close(struct vfiodev *v)
{
	for (unsigned i = 0; i < PCI_BARS; i++)
		for (; v->bars[i].n_maps; v->bars[i].n_maps--) {
			const struct vfiodev_map *m = &v->bars[i].maps[v->bars[i].n_maps - 1];

			munmap((void *)(uintptr_t)m->host, m->size);
		}
	close_fd(&v->device);
	close_fd(&v->group);
	close_fd(&v->container);
}

int vfiodev_reset(struct vfiodev *v, struct error *err)
{
	if (!v->can_reset)
		return error_set(err, -ENOTSUP, "%s cannot be reset", v->name);
	if (ioctl(v->device, VFIO_DEVICE_RESET))
		return error_set(err, -errno, "%s cannot be reset", v->name);
	return 0;
}

/* ---- memory ---- */

static int map_error(const struct vfiodev *v, int rc, uint64_t size, struct error *err)
{
	struct rlimit limit = {0};

	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (rc == -ENOMEM && limit.rlim_cur != RLIM_INFINITY)
		return error_set(err, rc,
				 "%llu KiB more cannot be kept in memory for %s: this process may "
				 "lock %llu KiB (RLIMIT_MEMLOCK; ulimit -l, LimitMEMLOCK=).",
				 (unsigned long long)size / 1024, v->name,
				 (unsigned long long)limit.rlim_cur / 1024);
	if (rc == -ENOSPC)
		return error_set(err, rc,
				 "the kernel maps no more pieces of memory for %s (dma_entry_limit "
				 "of the module vfio_iommu_type1).",
				 v->name);
	return error_set(err, rc, "memory cannot be mapped for %s", v->name);
}

int vfiodev_map(struct vfiodev *v, void *host, uint64_t size, uint64_t *iova, struct error *err)
{
	struct vfio_iommu_type1_dma_map m = {
		.argsz = sizeof(m),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)host,
		.size = size,
	};
	int rc = iova_take(&v->space, size, iova);

	if (rc == -EINVAL)
		return error_set(err, rc, "the IOMMU of %s wants memory in pages of %llu bytes.",
				 v->name, (unsigned long long)v->space.page);
	if (rc)
		return error_set(err, rc,
				 "the IOMMU of %s has no room for %llu KiB more, or too many "
				 "pieces of memory.",
				 v->name, (unsigned long long)size / 1024);
	m.iova = *iova;
	if (!ioctl(v->container, VFIO_IOMMU_MAP_DMA, &m))
		return 0;
	rc = -errno;
	iova_give(&v->space, *iova);
	return map_error(v, rc, size, err);
}

int vfiodev_unmap(struct vfiodev *v, uint64_t iova, uint64_t size, struct error *err)
{
	struct vfio_iommu_type1_dma_unmap m = {.argsz = sizeof(m), .iova = iova, .size = size};

	if (ioctl(v->container, VFIO_IOMMU_UNMAP_DMA, &m))
		return error_set(err, -errno, "memory cannot be taken back from %s", v->name);
	iova_give(&v->space, iova);
	return 0;
}

/* ---- interrupts ---- */

/* Vectors [start, start + n) of one kind signal @fds. */
static int set_irqs(const struct vfiodev *v, uint32_t index, uint32_t start, uint32_t n,
		    const int *fds)
{
	uint32_t bytes = (uint32_t)(sizeof(struct vfio_irq_set) + n * sizeof(*fds));
	struct vfio_irq_set *set = malloc(bytes);
	int rc;

	if (!set)
		return -ENOMEM;
	*set = (struct vfio_irq_set){
		.argsz = bytes,
		.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = index,
		.start = start,
		.count = n,
	};
	memcpy(set->data, fds, n * sizeof(*fds));
	rc = ioctl(v->device, VFIO_DEVICE_SET_IRQS, set);
	if (rc < 0)
		rc = -errno;
	free(set);
	return rc;
}

int vfiodev_msix(struct vfiodev *v, uint16_t want, struct error *err)
{
	int n = (int)min_u64(want, v->vectors), *fds, rc;

	if (!n)
		return 0;
	fds = malloc((unsigned)n * sizeof(*fds));
	if (!fds)
		return error_set(err, -ENOMEM, "no memory for %d interrupt vectors", n);
	/* Nobody to tell yet: a vector that fires before that is not lost on anybody. */
	for (int i = 0; i < n; i++)
		fds[i] = -1;
	/* More than 0: so many could be had. */
	while ((rc = set_irqs(v, VFIO_PCI_MSIX_IRQ_INDEX, 0, (uint32_t)n, fds)) > 0 && rc < n)
		n = rc;
	free(fds);
	if (rc)
		return error_set(err, rc < 0 ? rc : -EIO, "%s cannot be given %d interrupt vectors",
				 v->name, n);
	v->vectors = (uint16_t)n;
	return n;
}

int vfiodev_vector(struct vfiodev *v, uint16_t index, int fd)
{
	int rc;

	if (index >= v->vectors)
		return -EINVAL;
	rc = set_irqs(v, VFIO_PCI_MSIX_IRQ_INDEX, index, 1, &fd);
	return rc > 0 ? -EIO : rc;
}

void vfiodev_watch(struct vfiodev *v, int fd)
{
	(void)set_irqs(v, VFIO_PCI_REQ_IRQ_INDEX, 0, 1, &fd);
	(void)set_irqs(v, VFIO_PCI_ERR_IRQ_INDEX, 0, 1, &fd);
}
