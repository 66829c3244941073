/* SPDX-License-Identifier: MIT */
/* Whether the KVM of this machine can run stock kernels. */
#ifndef BACKEND_KVM_PROBE_H
#define BACKEND_KVM_PROBE_H

#include "base/error.h"

/*
 * Runs a guest of a few instructions in 64-bit mode, with paging and SSE, for some milliseconds.
 *
 * Return: 0; or -errno and a sentence: there is no KVM, or it cannot do that.
 */
int kvm_probe(struct error *err);

#endif
