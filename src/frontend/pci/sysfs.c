/* SPDX-License-Identifier: MIT */
#include "frontend/pci/sysfs.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 512

/* One to @digits hexadecimal digits, then @end. */
static int take_hex(const char **text, unsigned digits, char end, unsigned *out)
{
	const char *at = *text;
	unsigned n = 0;

	for (*out = 0; n < digits && isxdigit((unsigned char)*at); n++, at++) {
		unsigned c = (unsigned char)*at | 0x20;

		*out = *out << 4 | (c >= 'a' ? c - 'a' + 10 : c - '0');
	}
	if (!n || *at != end)
		return -EINVAL;
	*text = end ? at + 1 : at;
	return 0;
}

int pci_name_parse(const char *text, char name[20])
{
	const char *colon = strchr(text, ':');
	unsigned domain = 0, bus, slot, function;

	/* Domains of controllers that have their own go beyond 16 bits. */
	if (colon && strchr(colon + 1, ':') && take_hex(&text, 8, ':', &domain))
		return -EINVAL;
	if (take_hex(&text, 2, ':', &bus) || take_hex(&text, 2, '.', &slot) ||
	    take_hex(&text, 1, '\0', &function) || slot > 31 || function > 7)
		return -EINVAL;
	snprintf(name, 20, "%04x:%02x:%02x.%x", domain, bus, slot, function);
	return 0;
}

static void path_of(char path[PATH_BYTES], const char *root, const char *name, const char *leaf)
{
	snprintf(path, PATH_BYTES, "%s/bus/pci/devices/%s/%s", root, name, leaf);
}

static int read_id(const char *root, const char *name, const char *leaf, uint16_t *id)
{
	char path[PATH_BYTES], text[32] = "";
	ssize_t n;
	int fd;

	path_of(path, root, name, leaf);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -EIO;
	*id = (uint16_t)strtoul(text, NULL, 16);
	return 0;
}

/* The last part of where a link leads; false: there is no such link. */
static bool read_link(const char *root, const char *name, const char *leaf, char *out, size_t size)
{
	char path[PATH_BYTES], to[PATH_BYTES];
	const char *last;
	ssize_t n;

	path_of(path, root, name, leaf);
	n = readlink(path, to, sizeof(to) - 1);
	if (n < 0)
		return false;
	to[n] = '\0';
	last = strrchr(to, '/');
	last = last ? last + 1 : to;
	if (strlen(last) >= size)
		return false;
	strcpy(out, last);
	return true;
}

int pci_sysfs_read(struct pci_sysfs *s, const char *root, const char *text, struct error *err)
{
	char group[32];
	int rc;

	*s = (struct pci_sysfs){.group = -1};
	if (pci_name_parse(text, s->name))
		return error_set(err, -EINVAL,
				 "'%s' is no address of a PCI device, such as 0000:00:04.0.", text);
	rc = read_id(root, s->name, "vendor", &s->vendor);
	if (rc == -ENOENT)
		return error_set(err, -ENODEV,
				 "there is no PCI device %s (%s/bus/pci/devices has those there "
				 "are).",
				 s->name, root);
	if (!rc)
		rc = read_id(root, s->name, "device", &s->device);
	if (rc)
		return error_set(err, rc, "cannot look at the PCI device %s", s->name);
	/* Bridges have none. */
	(void)read_id(root, s->name, "subsystem_device", &s->subsystem);
	(void)read_link(root, s->name, "driver", s->driver, sizeof(s->driver));
	if (read_link(root, s->name, "iommu_group", group, sizeof(group)))
		s->group = atoi(group);
	return 0;
}

int pci_sysfs_vfio(const struct pci_sysfs *s, struct error *err)
{
	/* Variants of vfio-pci for some vendor's devices have its name in theirs. */
	if (strstr(s->driver, "vfio")) {
		if (s->group >= 0)
			return 0;
		return error_set(err, -ENOTSUP,
				 "%s is behind no IOMMU: turn it on in the firmware and on the "
				 "kernel's command line (intel_iommu=on, amd_iommu=on).",
				 s->name);
	}
	if (!s->driver[0])
		return error_set(err, -EBUSY,
				 "%s is not bound to vfio-pci; as root: modprobe vfio-pci; cd "
				 "/sys/bus/pci/devices/%s; echo vfio-pci >driver_override; echo %s "
				 ">/sys/bus/pci/drivers_probe.",
				 s->name, s->name, s->name);
	return error_set(err, -EBUSY,
			 "%s belongs to the driver %s, not to vfio-pci; as root: modprobe "
			 "vfio-pci; cd /sys/bus/pci/devices/%s; echo vfio-pci >driver_override; "
			 "echo %s >driver/unbind; echo %s >/sys/bus/pci/drivers_probe.",
			 s->name, s->driver, s->name, s->name, s->name);
}
