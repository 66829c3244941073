/* SPDX-License-Identifier: MIT */
/*
 * The two ways in, multiboot (its version 1) and PVH: both with 32 bits, flat segments, no paging
 * and interrupts off.  And the ways in and out for interrupts.
 */
#define MULTIBOOT_MAGIC	0x1badb002
#define MULTIBOOT_FLAGS	2		/* memory sizes are wanted */
#define PVH_MAGIC	0x336ec578

	.section .multiboot, "a"
	.align	4
	.long	MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

	.section .note.pvh, "a", @note
	.align	4
	.long	4, 4, 18
	.asciz	"Xen"
	.long	pvh_start

	.text
	.globl	pvh_start, multiboot_start
pvh_start:
	movl	$PVH_MAGIC, %eax
multiboot_start:
	cli
	cld
	movl	$stack_end, %esp
	lgdt	gdt_register
	ljmp	$8, $1f
1:	movl	$16, %ecx
	movl	%ecx, %ds
	movl	%ecx, %es
	movl	%ecx, %fs
	movl	%ecx, %gs
	movl	%ecx, %ss
	xorl	%ebp, %ebp
	subl	$8, %esp	/* the call finds the stack on a multiple of 16 */
	pushl	%ebx
	pushl	%eax
	call	guest_main
2:	hlt
	jmp	2b

/* One entry for each vector: number and, where the processor gives none, an error code of 0. */
	.altmacro
	.macro	entry vector
	.align	16
	.if	!(\vector == 8 || (\vector >= 10 && \vector <= 14) || \vector == 17)
	pushl	$0
	.endif
	pushl	$\vector
	jmp	enter
	.endm

	.align	16
	.globl	irq_entries
irq_entries:
	.set	vector, 0
	.rept	IRQ_VECTORS
	entry	%vector
	.set	vector, vector + 1
	.endr

enter:	pushal
	cld
	pushl	%esp
	call	irq_dispatch
	addl	$4, %esp
	popal
	addl	$8, %esp
	/*
	 * Interrupts come in where they were let in (irq.h), by code of this same segment that
	 * depends on no flag and turns them off next.  So a return that leaves them off will do,
	 * and machines that emulate instructions need not know iret.
	 */
	ret	$8

	.section .rodata
	.align	8
gdt:	.quad	0
	.quad	0x00cf9b000000ffff	/* 8: code */
	.quad	0x00cf93000000ffff	/* 16: data */
gdt_register:
	.word	gdt_register - gdt - 1
	.long	gdt

	.bss
	.align	16
	.space	65536
stack_end:

	.section .note.GNU-stack, "", @progbits
