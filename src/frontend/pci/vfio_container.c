/* SPDX-License-Identifier: MIT */
#include "frontend/pci/vfio_container.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

int vfio_container_error(const char *folder, int rc, struct error *err)
{
	if (rc == -ENOENT || rc == -ENODEV)
		return error_set(err, rc,
				 "there is no %s/vfio: the kernel module vfio is not loaded "
				 "(modprobe vfio-pci), or this place does not see it.",
				 folder);
	return error_set(err, rc, "cannot open %s/vfio", folder);
}

int vfio_group_error(const struct pci_sysfs *s, const char *folder, int rc, struct error *err)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/noiommu-%d", folder, s->group);
	if (rc == -ENOENT && !access(path, F_OK))
		return error_set(err, -EPERM,
				 "%s is behind no IOMMU; it could write to any memory and is not "
				 "used.",
				 s->name);
	if (rc == -ENOENT)
		return error_set(err, rc,
				 "there is no %s/%d, although %s is in that IOMMU group: this "
				 "place does not see it.",
				 folder, s->group, s->name);
	if (rc == -EACCES || rc == -EPERM)
		return error_set(err, rc,
				 "%s/%d may not be opened by this user; as root: chown USER "
				 "%s/%d.",
				 folder, s->group, folder, s->group);
	if (rc == -EBUSY)
		return error_set(err, rc,
				 "%s, or its IOMMU group %d, is in use by another program.",
				 s->name, s->group);
	return error_set(err, rc, "cannot open %s/%d", folder, s->group);
}

static int check_container(int container, struct error *err)
{
	int version = ioctl(container, VFIO_GET_API_VERSION);

	if (version != VFIO_API_VERSION)
		return error_set(err, -ENOTSUP, "the kernel's VFIO has version %d, not %d.",
				 version, VFIO_API_VERSION);
	if (ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) != 1)
		return error_set(err, -ENOTSUP,
				 "the kernel's VFIO has no driver for this IOMMU (modprobe "
				 "vfio_iommu_type1).");
	return 0;
}

static int join(const struct pci_sysfs *s, int container, int group, struct error *err)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};

	if (ioctl(group, VFIO_GROUP_GET_STATUS, &status))
		return error_set(err, -errno, "cannot look at IOMMU group %d", s->group);
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		return error_set(
			err, -EBUSY,
			"other devices of the IOMMU group of %s are in the kernel's hands: "
			"all in /sys/kernel/iommu_groups/%d/devices have to be bound to "
			"vfio-pci, or to no driver.",
			s->name, s->group);
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container))
		return error_set(err, -errno, "IOMMU group %d cannot be used", s->group);
	if (!ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return 0;
	if (errno == EPERM)
		return error_set(err, -EPERM,
				 "the IOMMU of %s does not guard interrupts, so the kernel refuses "
				 "it (intremap=on for QEMU's; allow_unsafe_interrupts of the "
				 "module vfio_iommu_type1).",
				 s->name);
	return error_set(err, -errno, "the IOMMU of %s cannot be used", s->name);
}

int vfio_container_open(const struct pci_sysfs *s, int *container, int *group, int *device,
			struct error *err)
{
	char path[128];
	int rc;

	*container = *group = *device = -1;
	*container = open(VFIO_FOLDER "/vfio", O_RDWR | O_CLOEXEC);
	if (*container < 0)
		return vfio_container_error(VFIO_FOLDER, -errno, err);
	rc = check_container(*container, err);
	if (rc)
		goto close_container;
	snprintf(path, sizeof(path), "%s/%d", VFIO_FOLDER, s->group);
	*group = open(path, O_RDWR | O_CLOEXEC);
	if (*group < 0) {
		rc = vfio_group_error(s, VFIO_FOLDER, -errno, err);
		goto close_container;
	}
	rc = join(s, *container, *group, err);
	if (rc)
		goto close_group;
	*device = ioctl(*group, VFIO_GROUP_GET_DEVICE_FD, s->name);
	if (*device < 0) {
		rc = error_set(err, -errno, "VFIO does not give %s away", s->name);
		goto close_group;
	}
	return 0;
close_group:
	close(*group);
close_container:
	close(*container);
	*container = *group = -1;
	return rc;
}
