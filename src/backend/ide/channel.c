/* SPDX-License-Identifier: MIT */
#include "backend/ide/channel.h"

#include <string.h>

/* What is read where nobody drives the bus. */
#define FLOATING 0x7f

static struct ide_drive *selected_drive(struct ide_channel *ch)
{
	return &ch->drives[ch->selected];
}

static bool channel_is_empty(const struct ide_channel *ch)
{
	return !ide_drive_present(&ch->drives[0]) && !ide_drive_present(&ch->drives[1]);
}

/* ---- interrupts ---- */

void ide_channel_update_irq(struct ide_channel *ch)
{
	bool level = selected_drive(ch)->irq && !(ch->control_register & ATA_CONTROL_NO_IRQ);

	if (level == ch->irq_shown)
		return;
	ch->irq_shown = level;
	if (level) {
		ch->counters.interrupts++;
		ch->dma.status |= BM_STATUS_INTERRUPT;
	}
	sysbus_irq_set(ch->bus, ch->irq, level);
}

/* ---- bus master ---- */

void ide_channel_match(struct ide_channel *ch)
{
	/* The one that is selected goes first. */
	for (unsigned i = 0; i < IDE_DRIVES; i++) {
		struct ide_drive *d = &ch->drives[ch->selected ^ i];

		if (d->t.dma_waits && !ch->dma.drive && ide_dma_active(&ch->dma))
			ide_drive_dma(d);
	}
}

/* Until something has happened.  false: the machine stops, so do not wait. */
static bool wait_a_moment(struct ide_channel *ch)
{
	const struct sysbus_host_ops *host = sysbus_host_of(ch->bus);

	if (host && host->wait)
		return host->wait(ch->bus->host);
	pthread_cond_wait(&ch->landed, &ch->lock->mutex);
	return true;
}

/*
 * Until the request that uses guest memory now is over; not until later ones are, which other
 * processors may begin meanwhile.
 */
static void wait_for_dma(struct ide_channel *ch)
{
	struct ide_drive *d = ch->dma.drive;
	uint64_t flight;

	if (!d)
		return;
	flight = d->flights;
	ide_drive_let_go(d);
	while (d->flying && d->flights == flight && wait_a_moment(ch))
		;
}

void ide_channel_enable_dma(struct ide_channel *ch, bool on)
{
	ch->dma.enabled = on;
	if (on)
		ide_channel_match(ch);
	else
		wait_for_dma(ch);
}

uint8_t ide_channel_bm_read(struct ide_channel *ch, unsigned reg)
{
	switch (reg) {
	case BM_COMMAND:
		return ch->dma.command;
	case BM_STATUS:
		return ch->dma.status;
	case BM_TABLE:
	case BM_TABLE + 1:
	case BM_TABLE + 2:
	case BM_TABLE + 3:
		return (uint8_t)(ch->dma.table >> (8 * (reg - BM_TABLE)));
	default:
		return 0;
	}
}

static void bm_command(struct ide_channel *ch, uint8_t value)
{
	uint8_t before = ch->dma.command;

	ch->dma.command = value & (BM_COMMAND_START | BM_COMMAND_TO_MEMORY);
	if (!((before ^ value) & BM_COMMAND_START))
		return;
	if (value & BM_COMMAND_START) {
		ide_dma_start(&ch->dma);
		ide_channel_match(ch);
	} else {
		ide_dma_stop(&ch->dma, 0);
		wait_for_dma(ch);
	}
}

void ide_channel_bm_write(struct ide_channel *ch, unsigned reg, uint8_t value)
{
	struct ide_dma *dma = &ch->dma;
	const uint8_t cleared = value & (BM_STATUS_ERROR | BM_STATUS_INTERRUPT);
	unsigned shift;

	switch (reg) {
	case BM_COMMAND:
		bm_command(ch, value);
		break;
	case BM_STATUS:
		dma->status &= (uint8_t) ~(cleared | BM_STATUS_CAPABLE);
		dma->status |= value & BM_STATUS_CAPABLE;
		break;
	case BM_TABLE:
	case BM_TABLE + 1:
	case BM_TABLE + 2:
	case BM_TABLE + 3:
		shift = 8 * (reg - BM_TABLE);
		dma->table = (dma->table & ~(UINT32_C(0xff) << shift)) | (uint32_t)value << shift;
		dma->table &= ~UINT32_C(3);
		break;
	default:
		break;
	}
}

/* ---- registers ---- */

static uint8_t channel_status(struct ide_channel *ch)
{
	if (channel_is_empty(ch))
		return FLOATING;
	return ide_drive_present(selected_drive(ch)) ? selected_drive(ch)->regs.status : 0;
}

static uint8_t read_register(struct ide_channel *ch, unsigned reg)
{
	const struct ide_registers *r = &selected_drive(ch)->regs;
	unsigned which = ch->control_register & ATA_CONTROL_HIGH ? 1 : 0;
	uint8_t v;

	ch->counters.registers++;
	if (channel_is_empty(ch))
		return FLOATING;
	switch (reg) {
	case ATA_REG_ERROR:
		return r->error;
	case ATA_REG_COUNT:
		return r->count[which];
	case ATA_REG_LBA_LOW:
	case ATA_REG_LBA_MID:
	case ATA_REG_LBA_HIGH:
		return r->lba[reg - ATA_REG_LBA_LOW][which];
	case ATA_REG_DEVICE:
		return r->device | ATA_DEVICE_ONES;
	case ATA_REG_STATUS:
		v = channel_status(ch);
		selected_drive(ch)->irq = false;
		ide_channel_update_irq(ch);
		return v;
	default:
		return 0xff; /* a byte of the data port */
	}
}

static void push_byte(uint8_t two[2], uint8_t value)
{
	two[1] = two[0];
	two[0] = value;
}

static void write_both(struct ide_channel *ch, unsigned reg, uint8_t value)
{
	for (unsigned i = 0; i < IDE_DRIVES; i++) {
		struct ide_registers *r = &ch->drives[i].regs;

		if (reg == ATA_REG_FEATURE)
			push_byte(r->feature, value);
		else if (reg == ATA_REG_COUNT)
			push_byte(r->count, value);
		else if (reg == ATA_REG_DEVICE)
			r->device = value;
		else
			push_byte(r->lba[reg - ATA_REG_LBA_LOW], value);
	}
}

static void write_register(struct ide_channel *ch, unsigned reg, uint8_t value)
{
	ch->counters.registers++;
	ch->control_register &= (uint8_t)~ATA_CONTROL_HIGH;
	switch (reg) {
	case ATA_REG_DATA:
		break;
	case ATA_REG_COMMAND:
		/* A diagnosis is every drive's, whichever is selected. */
		if (value == ATA_DIAGNOSTIC && !ide_drive_present(selected_drive(ch)))
			ide_drive_command(&ch->drives[ch->selected ^ 1], value);
		else
			ide_drive_command(selected_drive(ch), value);
		break;
	case ATA_REG_DEVICE:
		write_both(ch, reg, value);
		ch->selected = value & ATA_DEVICE_SECOND ? 1 : 0;
		ide_channel_update_irq(ch);
		break;
	default:
		write_both(ch, reg, value);
		break;
	}
}

void ide_channel_diagnose(struct ide_channel *ch)
{
	for (unsigned i = 0; i < IDE_DRIVES; i++) {
		struct ide_drive *d = &ch->drives[i];
		bool busy = d->regs.status & (ATA_STATUS_BUSY | ATA_STATUS_DRQ);

		ide_drive_sign(d);
		if (!ide_drive_present(d))
			continue;
		if (!busy) {
			d->regs.status = ATA_STATUS_READY | ATA_STATUS_SEEK;
			continue;
		}
		/* The other one was at work: it is given up as by a reset. */
		ide_drive_reset_begin(d);
		ide_drive_reset_end(d);
	}
	ch->selected = 0;
	if (ide_drive_present(&ch->drives[0]) && !ch->drives[0].flying)
		ch->drives[0].irq = true;
	ide_channel_update_irq(ch);
}

/* ---- ports ---- */

static struct ide_channel *command_of(struct sysbus_region *r)
{
	return container_of(r, struct ide_channel, command);
}

static uint64_t command_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	struct ide_channel *ch = command_of(r);
	uint8_t bytes[8];
	le64 v = {0};

	if (!offset && size > 1) {
		ch->counters.data++;
		ide_drive_data_read(selected_drive(ch), bytes, size);
		memcpy(&v, bytes, size);
		return le64_get(v);
	}
	for (unsigned i = 0; i < size; i++)
		bytes[i] = read_register(ch, (unsigned)offset + i);
	memcpy(&v, bytes, size);
	return le64_get(v);
}

static void command_write(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size)
{
	struct ide_channel *ch = command_of(r);
	le64 v = le64_make(value);

	if (!offset && size > 1) {
		ch->counters.data++;
		ide_drive_data_write(selected_drive(ch), (const uint8_t *)&v, size);
		return;
	}
	for (unsigned i = 0; i < size; i++)
		write_register(ch, (unsigned)offset + i, (uint8_t)(value >> (8 * i)));
}

static bool command_read_string(struct sysbus_region *r, uint64_t offset, uint8_t *data,
				unsigned size, uint32_t count)
{
	struct ide_channel *ch = command_of(r);

	if (offset || size == 1)
		return false;
	ch->counters.data += count;
	ide_drive_data_read(selected_drive(ch), data, (size_t)size * count);
	return true;
}

static bool command_write_string(struct sysbus_region *r, uint64_t offset, const uint8_t *data,
				 unsigned size, uint32_t count)
{
	struct ide_channel *ch = command_of(r);

	if (offset || size == 1)
		return false;
	ch->counters.data += count;
	ide_drive_data_write(selected_drive(ch), data, (size_t)size * count);
	return true;
}

static uint64_t control_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	struct ide_channel *ch = container_of(r, struct ide_channel, control);

	(void)offset;
	(void)size;
	ch->counters.registers++;
	return channel_status(ch);
}

static void control_write(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size)
{
	struct ide_channel *ch = container_of(r, struct ide_channel, control);
	uint8_t before = ch->control_register;

	(void)offset;
	(void)size;
	ch->counters.registers++;
	ch->control_register = (uint8_t)value &
			       (ATA_CONTROL_NO_IRQ | ATA_CONTROL_RESET | ATA_CONTROL_HIGH);
	if ((before ^ value) & ATA_CONTROL_RESET) {
		if (value & ATA_CONTROL_RESET) {
			ch->counters.resets++;
			ch->selected = 0;
			/* What is left of a table must not serve the next command. */
			ide_dma_stop(&ch->dma, 0);
			ch->dma.command &= (uint8_t)~BM_COMMAND_START;
		}
		for (unsigned i = 0; i < IDE_DRIVES; i++) {
			if (value & ATA_CONTROL_RESET)
				ide_drive_reset_begin(&ch->drives[i]);
			else
				ide_drive_reset_end(&ch->drives[i]);
		}
	}
	ide_channel_update_irq(ch);
}

static const struct sysbus_region_ops command_ops = {
	.sizes = SYSBUS_UP_TO_DWORD, /* the data port takes them; at the registers, byte by byte */
	.read = command_read,
	.write = command_write,
	.read_string = command_read_string,
	.write_string = command_write_string,
};

static const struct sysbus_region_ops control_ops = {
	.sizes = SYSBUS_BYTE,
	.read = control_read,
	.write = control_write,
};

/* ---- life ---- */

void ide_channel_decode(struct ide_channel *ch, bool on)
{
	if (on == ch->decoded)
		return;
	ch->decoded = on;
	if (!on) {
		sysbus_unmap(&ch->command);
		sysbus_unmap(&ch->control);
		return;
	}
	sysbus_map(ch->bus, &ch->command, ch->command.base);
	sysbus_map(ch->bus, &ch->control, ch->control.base);
}

bool ide_channel_flies(const struct ide_channel *ch)
{
	for (unsigned i = 0; i < IDE_DRIVES; i++)
		if (ch->drives[i].flying)
			return true;
	return false;
}

void ide_channel_quiesce(struct ide_channel *ch)
{
	for (unsigned i = 0; i < IDE_DRIVES; i++)
		ide_drive_reset_begin(&ch->drives[i]);
}

void ide_channel_reset(struct ide_channel *ch)
{
	for (unsigned i = 0; i < IDE_DRIVES; i++) {
		ide_drive_reset_begin(&ch->drives[i]);
		while (ch->drives[i].flying)
			pthread_cond_wait(&ch->landed, &ch->lock->mutex);
	}
	ch->control_register = 0;
	ch->selected = 0;
	ide_dma_reset(&ch->dma);
	for (unsigned i = 0; i < IDE_DRIVES; i++)
		ide_drive_power_on(&ch->drives[i]);
	ide_channel_update_irq(ch);
}

void ide_channel_init(struct ide_channel *ch, unsigned index, struct sysbus *bus, struct gmem *mem,
		      struct fair_lock *lock)
{
	static const struct {
		const char *name;
		uint16_t command, control;
		unsigned irq;
	} legacy[] = {
		{"ide.0", ATA_PRIMARY_COMMAND, ATA_PRIMARY_CONTROL, ATA_PRIMARY_IRQ},
		{"ide.1", ATA_SECONDARY_COMMAND, ATA_SECONDARY_CONTROL, ATA_SECONDARY_IRQ},
	};

	ch->name = legacy[index].name;
	ch->index = index;
	ch->bus = bus;
	ch->lock = lock;
	ch->irq = legacy[index].irq;
	ch->command = (struct sysbus_region){
		.name = "ide-command",
		.space = SYSBUS_PORT,
		.base = legacy[index].command,
		.size = ATA_REGISTERS,
		.ops = &command_ops,
	};
	ch->control = (struct sysbus_region){
		.name = "ide-control",
		.space = SYSBUS_PORT,
		.base = legacy[index].control,
		.size = 1,
		.ops = &control_ops,
	};
	ch->dma.mem = gmem_get(mem);
	ide_dma_reset(&ch->dma);
	pthread_cond_init(&ch->landed, NULL);
	for (unsigned i = 0; i < IDE_DRIVES; i++) {
		ch->drives[i].channel = ch;
		ch->drives[i].unit = i;
	}
}

void ide_channel_fini(struct ide_channel *ch)
{
	ide_channel_decode(ch, false);
	for (unsigned i = 0; i < IDE_DRIVES; i++)
		ide_drive_fini(&ch->drives[i]);
	pthread_cond_destroy(&ch->landed);
	gmem_put(ch->dma.mem);
}
