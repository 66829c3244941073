/* SPDX-License-Identifier: MIT */
/*
 * A kernel of a few bytes, entered by PVH.  The first letter of its command line says what it does:
 *
 *	o  powers off			x  writes 0x10 to the exit port
 *	r  asks for a reset		t  triple fault
 *	s  spins			e  sends back what comes in over the serial port
 */
	.code32
	.globl	_start
	.section .note, "a", @note
	.long	4, 4, 18
	.asciz	"Xen"
	.long	_start

	.text
_start:	movl	$stack, %esp
	movl	24(%ebx), %esi
	movb	(%esi), %al
	cmpb	$'o', %al
	je	off
	cmpb	$'x', %al
	je	exit
	cmpb	$'r', %al
	je	reset
	cmpb	$'t', %al
	je	triple
	cmpb	$'e', %al
	je	echo
	movb	$'!', %al
	call	put
spin:	jmp	spin

off:	movw	$0x604, %dx
	movw	$0x2000, %ax
	outw	%ax, %dx
	jmp	spin

exit:	movb	$0x10, %al
	outb	%al, $0xf4
	jmp	spin

reset:	movb	$'R', %al
	call	put
	movw	$0xcf9, %dx
	movb	$6, %al
	outb	%al, %dx
	jmp	spin

triple:	lidt	nothing
	int3
	jmp	spin

echo:	movb	$'>', %al
	call	put
1:	movw	$0x3fd, %dx
	inb	%dx, %al
	testb	$1, %al
	jz	1b
	movw	$0x3f8, %dx
	inb	%dx, %al
	call	put
	cmpb	$'.', %al
	je	off
	jmp	1b

put:	movw	$0x3f8, %dx
	outb	%al, %dx
	ret

	.data
nothing: .word	0
	.long	0
	.space	64
stack:
