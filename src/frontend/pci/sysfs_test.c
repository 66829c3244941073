/* SPDX-License-Identifier: MIT */
/* PCI functions as Linux shows them, and the sentences for those that cannot be had. */
#include "test.h"

#include "frontend/pci/sysfs.h"
#include "frontend/pci/vfio_container.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];

static __attribute__((format(printf, 1, 2))) const char *path_of(const char *fmt, ...)
{
	static char path[256];
	va_list ap;
	int n = snprintf(path, sizeof(path), "%s/", root);

	va_start(ap, fmt);
	vsnprintf(path + n, sizeof(path) - (size_t)n, fmt, ap);
	va_end(ap);
	return path;
}

static void put(const char *name, const char *leaf, const char *text)
{
	int fd = open(path_of("bus/pci/devices/%s/%s", name, leaf), O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void add(const char *name, const char *vendor, const char *device, const char *driver,
		const char *group)
{
	assert_int_equal(mkdir(path_of("bus/pci/devices/%s", name), 0700), 0);
	put(name, "vendor", vendor);
	put(name, "device", device);
	put(name, "subsystem_device", "0x0002\n");
	if (driver)
		assert_int_equal(symlink(driver, path_of("bus/pci/devices/%s/driver", name)), 0);
	if (group)
		assert_int_equal(symlink(group, path_of("bus/pci/devices/%s/iommu_group", name)),
				 0);
}

static int begin(void **state)
{
	(void)state;
	strcpy(root, "/tmp/ringside-sysfs-XXXXXX");
	assert_non_null(mkdtemp(root));
	mkdir(path_of("bus"), 0700);
	mkdir(path_of("bus/pci"), 0700);
	mkdir(path_of("bus/pci/devices"), 0700);
	add("0000:00:04.0", "0x1af4\n", "0x1042\n", "../../../bus/pci/drivers/virtio-pci",
	    "../../../kernel/iommu_groups/7");
	add("0000:00:05.0", "0x1af4\n", "0x1001\n", "../drivers/vfio-pci", "groups/12");
	add("0000:00:06.0", "0x1af4\n", "0x1042\n", "../drivers/vfio-pci", NULL);
	add("10000:e1:00.7", "0x1af4\n", "0x1042\n", NULL, "groups/0");
	mkdir(path_of("bus/pci/devices/0000:00:07.0"), 0700);
	put("0000:00:07.0", "vendor", "");
	return 0;
}

static int end(void **state)
{
	static const char *const leaves[] = {"vendor", "device", "subsystem_device", "driver",
					     "iommu_group"};
	static const char *const names[] = {"0000:00:04.0", "0000:00:05.0", "0000:00:06.0",
					    "10000:e1:00.7", "0000:00:07.0"};

	(void)state;
	for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
		for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++)
			unlink(path_of("bus/pci/devices/%s/%s", names[n], leaves[i]));
		rmdir(path_of("bus/pci/devices/%s", names[n]));
	}
	rmdir(path_of("bus/pci/devices"));
	rmdir(path_of("bus/pci"));
	rmdir(path_of("bus"));
	return rmdir(root);
}

static void addresses_as_people_write_them(void **state)
{
	static const char *const bad[] = {"",
					  "nonsense",
					  "00:04",
					  "00:04.",
					  "00:04.8",
					  "00:20.0",
					  "000:04.0",
					  "0000:00:04.0 ",
					  "0000:00:04.00",
					  "0000:00:04",
					  "0000:00:4:0",
					  ":00:04.0",
					  "0000::04.0",
					  "-1:00:04.0",
					  "0x0:00:04.0",
					  "123456789:00:04.0",
					  "0000:00:04.0/../x"};
	char name[20];

	(void)state;
	assert_int_equal(pci_name_parse("0000:00:04.0", name), 0);
	assert_string_equal(name, "0000:00:04.0");
	assert_int_equal(pci_name_parse("00:04.0", name), 0);
	assert_string_equal(name, "0000:00:04.0");
	assert_int_equal(pci_name_parse("0:A:1f.7", name), 0);
	assert_string_equal(name, "0000:0a:1f.7");
	assert_int_equal(pci_name_parse("10000:e1:00.0", name), 0);
	assert_string_equal(name, "10000:e1:00.0");
	assert_int_equal(pci_name_parse("ffffffff:ff:1f.7", name), 0);
	assert_string_equal(name, "ffffffff:ff:1f.7");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (pci_name_parse(bad[i], name) != -EINVAL)
			fail_msg("'%s' is taken for %s", bad[i], name);
}

static void what_linux_knows(void **state)
{
	struct pci_sysfs s;
	struct error err;

	(void)state;
	assert_int_equal(pci_sysfs_read(&s, root, "00:04.0", &err), 0);
	assert_int_equal(s.vendor, 0x1af4);
	assert_int_equal(s.device, 0x1042);
	assert_int_equal(s.subsystem, 2);
	assert_string_equal(s.driver, "virtio-pci");
	assert_int_equal(s.group, 7);
	assert_int_equal(pci_sysfs_read(&s, root, "10000:e1:00.7", &err), 0);
	assert_string_equal(s.driver, "");
	assert_int_equal(s.group, 0);
	assert_int_equal(pci_sysfs_read(&s, root, "00:07.0", &err), -EIO);
}

static void says(int got, int rc, const struct error *err, const char *const *words)
{
	assert_int_equal(got, rc);
	for (; *words; words++)
		if (!strstr(err->text, *words))
			fail_msg("\"%s\" lacks \"%s\"", err->text, *words);
}
#define SAYS(got, rc, ...) says(got, rc, &err, (const char *const[]){__VA_ARGS__, NULL})

static void sentences_for_what_is_not_there(void **state)
{
	struct pci_sysfs s;
	struct error err;

	(void)state;
	SAYS(pci_sysfs_read(&s, root, "04", &err), -EINVAL, "'04'", "0000:00:04.0");
	SAYS(pci_sysfs_read(&s, root, "00:08.0", &err), -ENODEV, "no PCI device 0000:00:08.0");
	assert_int_equal(pci_sysfs_read(&s, root, "00:08.0", NULL), -ENODEV);
}

static void sentences_for_what_is_not_bound(void **state)
{
	struct pci_sysfs s;
	struct error err;

	(void)state;
	assert_int_equal(pci_sysfs_read(&s, root, "00:05.0", &err), 0);
	assert_int_equal(pci_sysfs_vfio(&s, &err), 0);
	assert_int_equal(pci_sysfs_read(&s, root, "00:04.0", &err), 0);
	SAYS(pci_sysfs_vfio(&s, &err), -EBUSY, "the driver virtio-pci", "driver_override",
	     "echo 0000:00:04.0 >driver/unbind", "drivers_probe");
	assert_int_equal(pci_sysfs_read(&s, root, "10000:e1:00.7", &err), 0);
	SAYS(pci_sysfs_vfio(&s, &err), -EBUSY, "10000:e1:00.7 is not bound", "driver_override");
	assert_null(strstr(err.text, "unbind"));
	assert_int_equal(pci_sysfs_read(&s, root, "00:06.0", &err), 0);
	SAYS(pci_sysfs_vfio(&s, &err), -ENOTSUP, "no IOMMU", "intel_iommu=on");
}

static void sentences_for_doors_that_are_shut(void **state)
{
	struct pci_sysfs s = {.name = "0000:00:04.0", .group = 7};
	struct error err;

	(void)state;
	SAYS(vfio_container_error("/nowhere", -ENOENT, &err), -ENOENT, "modprobe vfio-pci");
	SAYS(vfio_container_error("/nowhere", -EACCES, &err), -EACCES, "Permission denied");
	SAYS(vfio_group_error(&s, "/nowhere", -ENOENT, &err), -ENOENT, "/nowhere/7");
	SAYS(vfio_group_error(&s, "/nowhere", -EACCES, &err), -EACCES, "chown USER /nowhere/7");
	SAYS(vfio_group_error(&s, "/nowhere", -EBUSY, &err), -EBUSY, "in use");
	SAYS(vfio_group_error(&s, "/nowhere", -EMFILE, &err), -EMFILE, "/nowhere/7", "open files");
}

static void without_an_iommu_nothing_is_driven(void **state)
{
	struct pci_sysfs s = {.name = "0000:00:04.0", .group = 7};
	struct error err;
	int fd = open(path_of("noiommu-7"), O_WRONLY | O_CREAT, 0600);

	(void)state;
	close(fd);
	SAYS(vfio_group_error(&s, root, -ENOENT, &err), -EPERM, "no IOMMU");
	unlink(path_of("noiommu-7"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_as_people_write_them),
		cmocka_unit_test(what_linux_knows),
		cmocka_unit_test(sentences_for_what_is_not_there),
		cmocka_unit_test(sentences_for_what_is_not_bound),
		cmocka_unit_test(sentences_for_doors_that_are_shut),
		cmocka_unit_test(without_an_iommu_nothing_is_driven),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
