/* SPDX-License-Identifier: MIT */
/* The tables of cases, one for each cases_*.c; table.c lists them. */
#ifndef CONFORM_CASES_H
#define CONFORM_CASES_H

#include "conform/case.h"

extern const struct case_table feature_cases, ring_split_cases, notify_cases, ring_packed_cases,
	block_cases, block_write_cases, zone_cases, zone_write_cases, vhost_user_cases,
	vhost_user_state_cases, hostile_ring_cases, hostile_block_cases, hostile_vhost_user_cases,
	last_cases, pci_function_cases, pci_common_cases, pci_interrupt_cases, pci_legacy_cases;

#endif
