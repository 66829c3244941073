/* SPDX-License-Identifier: MIT */
#include "conform/cases.h"

const struct case_table *const case_tables[] = {
	&feature_cases,
	&pci_function_cases,
	&pci_common_cases,
	&pci_interrupt_cases,
	&pci_legacy_cases,
	&ring_split_cases,
	&notify_cases,
	&ring_packed_cases,
	&block_cases,
	&block_write_cases,
	&zone_cases,
	&zone_write_cases,
	&vhost_user_cases,
	&vhost_user_state_cases,
	&hostile_block_cases,
	&hostile_ring_cases,
	&hostile_vhost_user_cases,
	&last_cases,
	NULL,
};
