/* SPDX-License-Identifier: MIT */
/*
 * A writer of ACPI machine language (ACPI 6.5, chapter 20): bytes one after another, and packages
 * that know their length.
 *
 * Nothing fails on the way: a buffer that was too small says so at the end (`full`).
 */
#ifndef BACKEND_MACHINE_AML_H
#define BACKEND_MACHINE_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *at; /* the caller's memory */
	size_t n, max;
	bool full;
};

void aml_byte(struct aml *a, uint8_t v);
void aml_bytes(struct aml *a, const void *bytes, size_t n);
void aml_le(struct aml *a, uint64_t v, unsigned bytes);

/* The byte that makes the sum of a table 0; where it goes, there is a 0 by now. */
uint8_t aml_checksum(const void *table, size_t n);

/* Whatever has a length: returns a mark for aml_end(). */
size_t aml_begin(struct aml *a);
void aml_end(struct aml *a, size_t mark);

/*
 * Things with a body; each returns the mark for aml_end().  @name: segments of four characters,
 * "\\" in front for the root.
 */
size_t aml_scope(struct aml *a, const char *name);
size_t aml_device(struct aml *a, const char *name);
size_t aml_package(struct aml *a, uint8_t elements);

/* Name (@name, ...): the value comes next. */
void aml_name(struct aml *a, const char *name);
void aml_integer(struct aml *a, uint64_t v);
void aml_name_integer(struct aml *a, const char *name, uint64_t v);
/* Name (_HID, EisaId (@id)): "PNP0A03". */
void aml_name_eisa(struct aml *a, const char *name, const char *id);

/* A resource template, Name (_CRS, ResourceTemplate () { ... }). */
struct aml_resources {
	size_t buffer, size_at, first;
};
void aml_crs_begin(struct aml *a, struct aml_resources *r);
void aml_crs_end(struct aml *a, struct aml_resources *r);
void aml_crs_io(struct aml *a, uint16_t port, uint8_t length);
void aml_crs_irq(struct aml *a, unsigned irq);
void aml_crs_bus_numbers(struct aml *a, uint16_t first, uint16_t last);
/* Ranges that a bridge passes on. */
void aml_crs_io_window(struct aml *a, uint16_t first, uint16_t last);
void aml_crs_memory_window(struct aml *a, uint32_t first, uint32_t last);

#endif
