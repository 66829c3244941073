/* SPDX-License-Identifier: MIT */
/*
 * A boot sector that leaves the BIOS aside and copies ROUNDS times 64 sectors of the first IDE disk
 * by the PIIX3's bus master, LBA 1 and following to LBA 4096 and following, 64 sectors at a time.
 * It waits for interrupt 14, which the BIOS notes in its data area.  It ends the machine as
 * bootsector.S does, and is told ROUNDS as that is.
 */
#define CONFIG_BAR4	0x80000920	/* of 00:01.1 */
#define CONFIG_COMMAND	0x80000904
#define MASTER		4
#define IRQ_SEEN	0x48e
#define READ_DMA	0xc8
#define WRITE_DMA	0xca
#define TO_MEMORY	8
#define START		1
#define INTERRUPT	4
#define READY		0x50

	.code16
	.globl	_start
_start:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	movw	$0x7c00, %sp
	sti

	movl	$CONFIG_BAR4, %eax
	call	select
	inl	%dx, %eax
	andb	$0xfc, %al
	movw	%ax, master
	movl	$CONFIG_COMMAND, %eax
	call	select
	inw	%dx, %ax
	orw	$MASTER, %ax
	outw	%ax, %dx
	movw	$0x3f6, %dx
	xorb	%al, %al
	outb	%al, %dx

	movw	$ROUNDS, %cx
next:	pushw	%cx
	movl	from, %eax
	movw	$(READ_DMA << 8 | TO_MEMORY), %bx
	call	transfer
	movl	to, %eax
	movw	$(WRITE_DMA << 8), %bx
	call	transfer
	addl	$64, from
	addl	$64, to
	popw	%cx
	loop	next

	movb	$16, %al
	jmp	leave

/* %eax: a configuration register; its data port comes back in %dx. */
select:	movw	$0xcf8, %dx
	outl	%eax, %dx
	movw	$0xcfc, %dx
	ret

/* One command: %bh is it, %bl the direction, %eax the LBA. */
transfer:
	movl	%eax, %ecx
	movb	$0, IRQ_SEEN
	movw	master, %dx
	movb	%bl, %al
	outb	%al, %dx
	addw	$2, %dx
	movb	$6, %al			/* forget what was */
	outb	%al, %dx
	addw	$2, %dx
	movl	$table, %eax
	outl	%eax, %dx

	movw	$0x1f6, %dx
	movb	$0xe0, %al
	outb	%al, %dx
	movw	$0x1f2, %dx
	movb	$64, %al
	outb	%al, %dx
	incw	%dx
	movb	%cl, %al
	outb	%al, %dx
	incw	%dx
	movb	%ch, %al
	outb	%al, %dx
	incw	%dx
	shrl	$16, %ecx
	movb	%cl, %al
	outb	%al, %dx
	movw	$0x1f7, %dx
	movb	%bh, %al
	outb	%al, %dx
	movw	master, %dx
	movb	%bl, %al
	orb	$START, %al
	outb	%al, %dx

wait:	hlt				/* the clock wakes us too */
	cmpb	$0xff, IRQ_SEEN
	jne	wait
	addw	$2, %dx
	inb	%dx, %al
	andb	$7, %al
	cmpb	$INTERRUPT, %al
	jne	failed
	movw	$0x1f7, %dx
	inb	%dx, %al
	cmpb	$READY, %al
	jne	failed
	movw	master, %dx
	movb	%bl, %al
	outb	%al, %dx
	ret

failed:
	movb	$17, %al
leave:	outb	%al, $0xf4
halt:	hlt
	jmp	halt

master:	.word	0
from:	.long	1
to:	.long	4096

/* 64 sectors at 64 KiB, in two pieces. */
	.balign	4
table:	.long	0x10000
	.word	0x1000, 0
	.long	0x11000
	.word	0x7000, 0x8000

	.org	510
	.word	0xaa55
