/* SPDX-License-Identifier: MIT */
/*
 * A boot sector that has the BIOS copy ROUNDS times 64 sectors of the disk it came from, LBA 1 and
 * following to LBA 4096 and following, 64 sectors at a time, and then ends the machine through the
 * debug exit port: status 33 when all went well, else 35.  The assembler is told ROUNDS.
 */
	.code16
	.globl	_start
_start:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	movw	$0x7c00, %sp
	sti
	movb	%dl, drive
	movw	$ROUNDS, %cx

next:	pushw	%cx
	movl	from, %eax
	movb	$0x42, %bh
	call	transfer
	movl	to, %eax
	movb	$0x43, %bh
	call	transfer
	addl	$64, from
	addl	$64, to
	popw	%cx
	loop	next

	movb	$16, %al
	jmp	leave

/* One BIOS call: %bh is its number (42h reads, 43h writes), %eax the LBA. */
transfer:
	movl	%eax, lba
	movb	%bh, %ah
	xorb	%al, %al
	movb	drive, %dl
	movw	$packet, %si
	int	$0x13
	jc	failed
	ret

failed:
	movb	$17, %al
leave:	outb	%al, $0xf4
halt:	hlt
	jmp	halt

drive:	.byte	0
from:	.long	1
to:	.long	4096

	.balign	4
packet:	.byte	16, 0
	.word	64
	.word	0, 0x1000
lba:	.long	0, 0

	.org	510
	.word	0xaa55
