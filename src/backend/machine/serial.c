/* SPDX-License-Identifier: MIT */
#include "backend/machine/serial.h"

enum {
	REG_DATA = 0,
	REG_IER = 1,
	REG_IIR = 2, /* read */
	REG_FCR = 2, /* write */
	REG_LCR = 3,
	REG_MCR = 4,
	REG_LSR = 5,
	REG_MSR = 6,
	REG_SCRATCH = 7,
};

#define IER_RECEIVED  0x01
#define IER_SENT      0x02
#define IER_LINE      0x04
#define IER_ALL	      0x0f

#define IIR_NONE      0x01
#define IIR_SENT      0x02
#define IIR_RECEIVED  0x04
#define IIR_LINE      0x06
#define IIR_FIFOS     0xc0

#define FCR_ENABLE    0x01
#define FCR_CLEAR_IN  0x02

#define LCR_DIVISOR   0x80

#define MCR_OUT2      0x08 /* lets the interrupt out of the card */
#define MCR_LOOP      0x10
#define MCR_ALL	      0x1f

#define LSR_DATA      0x01
#define LSR_OVERRUN   0x02
#define LSR_THR_EMPTY 0x20
#define LSR_EMPTY     0x40

#define MSR_CTS	      0x10
#define MSR_DSR	      0x20
#define MSR_RI	      0x40
#define MSR_DCD	      0x80

#define DIVISOR_9600  12

static uint8_t cause(const struct serial *s)
{
	if ((s->ier & IER_LINE) && s->overrun)
		return IIR_LINE;
	if ((s->ier & IER_RECEIVED) && s->fifo_n)
		return IIR_RECEIVED;
	if ((s->ier & IER_SENT) && s->sent_pending)
		return IIR_SENT;
	return IIR_NONE;
}

static void update_irq(struct serial *s)
{
	bool level = cause(s) != IIR_NONE && (s->mcr & MCR_OUT2) && !(s->mcr & MCR_LOOP);

	if (level == s->irq)
		return;
	s->irq = level;
	sysbus_irq_set(s->bus, s->gsi, level);
}

static unsigned depth(const struct serial *s)
{
	return s->fcr & FCR_ENABLE ? SERIAL_FIFO : 1;
}

static bool push(struct serial *s, uint8_t byte)
{
	if (s->fifo_n >= depth(s))
		return false;
	s->fifo[(s->fifo_first + s->fifo_n++) % SERIAL_FIFO] = byte;
	return true;
}

static void send(struct serial *s, uint8_t byte)
{
	s->sent_pending = false;
	if (s->mcr & MCR_LOOP) {
		s->overrun |= !push(s, byte);
		s->sent_pending = true;
		return;
	}
	/* What is written into a transmitter that is not empty is lost, as on the real thing. */
	if (s->sending)
		return;
	s->sending = s->line && !s->line->ops->sent(s->line, byte);
	s->sent_pending = !s->sending;
}

static void tell_taken(struct serial *s)
{
	if (!s->fifo_n && s->line && s->line->ops->taken)
		s->line->ops->taken(s->line);
}

static uint8_t take(struct serial *s)
{
	uint8_t byte;

	if (!s->fifo_n)
		return 0;
	byte = s->fifo[s->fifo_first];
	s->fifo_first = (s->fifo_first + 1) % SERIAL_FIFO;
	s->fifo_n--;
	tell_taken(s);
	return byte;
}

static uint8_t line_status(struct serial *s)
{
	uint8_t v = s->sending ? 0 : LSR_THR_EMPTY | LSR_EMPTY;

	if (s->fifo_n)
		v |= LSR_DATA;
	if (s->overrun)
		v |= LSR_OVERRUN;
	s->overrun = false;
	return v;
}

/* In a loop the outputs DTR, RTS, OUT1, OUT2 come back as DSR, CTS, RI, DCD. */
static uint8_t modem_status(const struct serial *s)
{
	if (!(s->mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	return (uint8_t)((s->mcr & 0x01 ? MSR_DSR : 0) | (s->mcr & 0x02 ? MSR_CTS : 0) |
			 (s->mcr & 0x04 ? MSR_RI : 0) | (s->mcr & 0x08 ? MSR_DCD : 0));
}

static uint8_t read_register(struct serial *s, uint64_t reg)
{
	uint8_t v;

	switch (reg) {
	case REG_DATA:
		return s->lcr & LCR_DIVISOR ? (uint8_t)s->divisor : take(s);
	case REG_IER:
		return s->lcr & LCR_DIVISOR ? (uint8_t)(s->divisor >> 8) : s->ier;
	case REG_IIR:
		v = cause(s);
		if (v == IIR_SENT)
			s->sent_pending = false; /* the reading is the acknowledgement */
		return (uint8_t)(v | (s->fcr & FCR_ENABLE ? IIR_FIFOS : 0));
	case REG_LCR:
		return s->lcr;
	case REG_MCR:
		return s->mcr;
	case REG_LSR:
		return line_status(s);
	case REG_MSR:
		return modem_status(s);
	default:
		return s->scratch;
	}
}

static uint64_t serial_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	struct serial *s = container_of(r, struct serial, region);
	uint8_t v = read_register(s, offset);

	(void)size;
	update_irq(s);
	return v;
}

static void write_register(struct serial *s, uint64_t reg, uint8_t v)
{
	switch (reg) {
	case REG_DATA:
		if (s->lcr & LCR_DIVISOR)
			s->divisor = (uint16_t)((s->divisor & 0xff00) | v);
		else
			send(s, v);
		break;
	case REG_IER:
		if (s->lcr & LCR_DIVISOR) {
			s->divisor = (uint16_t)((s->divisor & 0xff) | v << 8);
			break;
		}
		/* Whoever begins to listen is told at once that it may send. */
		if ((v & IER_SENT) && !(s->ier & IER_SENT) && !s->sending)
			s->sent_pending = true;
		s->ier = v & IER_ALL;
		break;
	case REG_FCR:
		if ((v & FCR_CLEAR_IN) || (v & FCR_ENABLE) != (s->fcr & FCR_ENABLE))
			s->fifo_n = 0;
		s->fcr = v & FCR_ENABLE;
		tell_taken(s);
		break;
	case REG_LCR:
		s->lcr = v;
		break;
	case REG_MCR:
		s->mcr = v & MCR_ALL;
		break;
	case REG_SCRATCH:
		s->scratch = v;
		break;
	default: /* the status registers are the card's */
		break;
	}
}

static void serial_write(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size)
{
	struct serial *s = container_of(r, struct serial, region);

	(void)size;
	write_register(s, offset, (uint8_t)value);
	update_irq(s);
}

static const struct sysbus_region_ops serial_region_ops = {
	.sizes = SYSBUS_BYTE,
	.read = serial_read,
	.write = serial_write,
};

void serial_init(struct serial *s, struct sysbus *bus, uint64_t port, unsigned gsi)
{
	*s = (struct serial){
		.bus = bus,
		.gsi = gsi,
		.divisor = DIVISOR_9600,
		.region = {.name = "serial",
			   .space = SYSBUS_PORT,
			   .size = 8,
			   .ops = &serial_region_ops},
	};
	sysbus_map(bus, &s->region, port);
}

void serial_fini(struct serial *s)
{
	sysbus_unmap(&s->region);
}

void serial_reset(struct serial *s)
{
	s->ier = s->fcr = s->lcr = s->mcr = s->scratch = 0;
	s->divisor = DIVISOR_9600;
	s->overrun = s->sent_pending = false;
	s->fifo_n = 0;
	tell_taken(s);
	update_irq(s);
}

unsigned serial_receive(struct serial *s, const uint8_t *bytes, unsigned n)
{
	unsigned done = 0;

	if (s->mcr & MCR_LOOP) /* the wire leads nowhere */
		return n;
	while (done < n && push(s, bytes[done]))
		done++;
	update_irq(s);
	return done;
}

void serial_room(struct serial *s)
{
	if (!s->sending)
		return;
	s->sending = false;
	s->sent_pending = true;
	update_irq(s);
}
