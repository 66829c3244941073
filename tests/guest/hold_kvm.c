/* SPDX-License-Identifier: MIT */
/*
 * Keeps a machine of KVM in existence, which does nothing, until it is killed: so that the outer
 * kernel's KVM does not come to life and go to sleep again with each machine (see nested.py).
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0 || ioctl(kvm, KVM_CREATE_VM, 0) < 0) {
		perror("/dev/kvm");
		return 1;
	}
	puts("held");
	fflush(stdout);
	pause();
	return 0;
}
