/* SPDX-License-Identifier: MIT */
/* Registers of the LSI53C895A: offsets, and the bits that mean something here. */
#ifndef BACKEND_LSI_REGISTERS_H
#define BACKEND_LSI_REGISTERS_H

#define LSI_REGISTERS 0x100u

#define LSI_SCNTL0    0x00
#define SCNTL0_TRG    0x01
#define LSI_SCNTL1    0x01
#define SCNTL1_CON    0x10
#define SCNTL1_RST    0x08
#define LSI_SCNTL2    0x02
#define SCNTL2_SDU    0x80
#define LSI_SCNTL3    0x03
#define LSI_SCID      0x04
#define SCID_RRE      0x40
#define LSI_SXFER     0x05
#define LSI_SDID      0x06
#define LSI_GPREG     0x07
#define LSI_SFBR      0x08
#define LSI_SOCL      0x09
#define LSI_SSID      0x0a
#define SSID_VAL      0x80
#define LSI_SBCL      0x0b
#define SBCL_REQ      0x80
#define SBCL_ACK      0x40
#define SBCL_BSY      0x20
#define SBCL_ATN      0x08
#define LSI_DSTAT     0x0c
#define DSTAT_DFE     0x80
#define DSTAT_BF      0x20
#define DSTAT_ABRT    0x10
#define DSTAT_SSI     0x08
#define DSTAT_SIR     0x04
#define DSTAT_IID     0x01
#define LSI_SSTAT0    0x0d
#define SSTAT0_WOA    0x04
#define SSTAT0_RST    0x02
#define LSI_SSTAT1    0x0e
#define LSI_SSTAT2    0x0f
#define SSTAT2_LDSC   0x02
#define LSI_DSA	      0x10
#define LSI_ISTAT     0x14
#define ISTAT_ABRT    0x80
#define ISTAT_SRST    0x40
#define ISTAT_SIGP    0x20
#define ISTAT_SEM     0x10
#define ISTAT_CON     0x08
#define ISTAT_INTF    0x04
#define ISTAT_SIP     0x02
#define ISTAT_DIP     0x01
#define LSI_ISTAT1    0x15
#define ISTAT1_SCRUN  0x02
#define ISTAT1_SIRQD  0x01
#define LSI_CTEST1    0x19
#define LSI_CTEST2    0x1a
#define CTEST2_SIGP   0x40
#define LSI_CTEST3    0x1b
#define LSI_TEMP      0x1c
#define LSI_DFIFO     0x20
#define LSI_CTEST5    0x22
#define LSI_DBC	      0x24 /* and, in its upper byte, DCMD */
#define LSI_DNAD      0x28
#define LSI_DSP	      0x2c
#define LSI_DSPS      0x30
#define LSI_SCRATCHA  0x34
#define LSI_DMODE     0x38
#define DMODE_MAN     0x01
#define LSI_DIEN      0x39
#define LSI_DCNTL     0x3b
#define DCNTL_PFF     0x40
#define DCNTL_SSM     0x10
#define DCNTL_STD     0x04
#define DCNTL_IRQD    0x02
#define LSI_SIEN      0x40 /* 16 bits */
#define LSI_SIST      0x42 /* 16 bits */
#define SIST_MA	      0x0080u
#define SIST_SGE      0x0008u
#define SIST_UDC      0x0004u
#define SIST_RST      0x0002u
#define SIST_PAR      0x0001u
#define SIST_STO      0x0400u
/* These stop the SCRIPTS, whether enabled or not. */
#define SIST_FATAL    (SIST_MA | SIST_SGE | SIST_UDC | SIST_PAR | SIST_STO)
#define LSI_MACNTL    0x46
#define LSI_GPCNTL    0x47
#define LSI_STEST0    0x4c
#define LSI_STEST3    0x4f
#define STEST3_CSF    0x02
#define LSI_SIDL      0x50
#define LSI_STEST4    0x52
#define STEST4_LVD    0xe0 /* low-voltage differential, clock locked */
#define LSI_CCNTL0    0x56
#define CCNTL0_ENPMJ  0x80
#define CCNTL0_PMJCTL 0x40
#define CCNTL0_ENNDJ  0x20
#define LSI_CCNTL1    0x57
#define CCNTL1_TI64_INDEX \
	0x04 /* clear: the upper address is in a selector register that the table names */
#define CCNTL1_TI64	0x02
#define CCNTL1_DIRECT64 0x01
#define LSI_SBDL	0x58
#define LSI_SCRATCHC	0x60
/* Upper halves of addresses. */
#define LSI_MMRS   0xa0
#define LSI_MMWS   0xa4
#define LSI_SFS	   0xa8
#define LSI_DRS	   0xac
#define LSI_SBMS   0xb0
#define LSI_DBMS   0xb4
#define LSI_DNAD64 0xb8
#define LSI_PMJAD1 0xc0
#define LSI_PMJAD2 0xc4
#define LSI_RBC	   0xc8
#define LSI_UA	   0xcc
#define LSI_ESA	   0xd0
#define LSI_IA	   0xd4
#define LSI_SBC	   0xd8
#define LSI_CSBC   0xdc

#endif
