/* SPDX-License-Identifier: MIT */
#include "backend/machine/keyboard.h"

#define DATA_PORT	 0x60
#define COMMAND_PORT	 0x64

#define STATUS_FULL	 0x01 /* a byte waits in the data port */
#define STATUS_TESTED	 0x04
#define STATUS_COMMAND	 0x08 /* the last write was a command */
#define STATUS_UNLOCKED	 0x10
#define STATUS_MOUSE	 0x20 /* the byte is the second plug's */
#define STATUS_TIMEOUT	 0x40 /* nobody answered at that plug */

#define CONFIG_TESTED	 0x04
#define CONFIG_OFF	 0x10 /* the first plug */
#define CONFIG_MOUSE_OFF 0x20

#define INPUT_UNLOCKED	 0x80
#define OUTPUT_RUN	 0x01 /* the reset line is not pulled */
#define OUTPUT_A20	 0x02

#define NO_ANSWER	 0xfe
#define TEST_PASSED	 0x55
#define PLUG_IN_ORDER	 0x00

enum {
	CMD_READ_CONFIG = 0x20,
	CMD_WRITE_CONFIG = 0x60,
	CMD_MOUSE_OFF = 0xa7,
	CMD_MOUSE_ON = 0xa8,
	CMD_TEST_MOUSE = 0xa9,
	CMD_TEST = 0xaa,
	CMD_TEST_PLUG = 0xab,
	CMD_OFF = 0xad,
	CMD_ON = 0xae,
	CMD_READ_INPUT = 0xc0,
	CMD_READ_OUTPUT = 0xd0,
	CMD_WRITE_OUTPUT = 0xd1,
	CMD_ECHO = 0xd2,
	CMD_ECHO_MOUSE = 0xd3,
	CMD_TO_MOUSE = 0xd4,
	CMD_PULSE = 0xf0, /* to 0xff: the lines whose bits are 0 */
};

static void give(struct keyboard *k, uint8_t byte, uint8_t status)
{
	k->out = byte;
	k->status &= (uint8_t) ~(STATUS_MOUSE | STATUS_TIMEOUT);
	k->status |= STATUS_FULL | status;
}

static void take_data(struct keyboard *k, uint8_t v)
{
	uint8_t command = k->waiting;

	k->waiting = 0;
	k->status &= (uint8_t)~STATUS_COMMAND;
	switch (command) {
	case CMD_WRITE_CONFIG:
		k->config = v;
		break;
	case CMD_WRITE_OUTPUT: /* A20 is always on */
		if (!(v & OUTPUT_RUN))
			k->ops->reset(k);
		break;
	case CMD_ECHO:
		give(k, v, 0);
		break;
	case CMD_ECHO_MOUSE:
		give(k, v, STATUS_MOUSE);
		break;
	case CMD_TO_MOUSE:
		give(k, NO_ANSWER, STATUS_TIMEOUT | STATUS_MOUSE);
		break;
	default:
		give(k, NO_ANSWER, STATUS_TIMEOUT);
		break;
	}
}

static void take_command(struct keyboard *k, uint8_t v)
{
	k->waiting = 0;
	k->status |= STATUS_COMMAND;
	if (v >= CMD_PULSE) {
		if (!(v & OUTPUT_RUN))
			k->ops->reset(k);
		return;
	}
	switch (v) {
	case CMD_READ_CONFIG:
		give(k, k->config, 0);
		break;
	case CMD_MOUSE_OFF:
		k->config |= CONFIG_MOUSE_OFF;
		break;
	case CMD_MOUSE_ON:
		k->config &= (uint8_t)~CONFIG_MOUSE_OFF;
		break;
	case CMD_TEST:
		k->status |= STATUS_TESTED;
		k->config |= CONFIG_TESTED;
		give(k, TEST_PASSED, 0);
		break;
	case CMD_TEST_MOUSE:
	case CMD_TEST_PLUG:
		give(k, PLUG_IN_ORDER, 0);
		break;
	case CMD_OFF:
		k->config |= CONFIG_OFF;
		break;
	case CMD_ON:
		k->config &= (uint8_t)~CONFIG_OFF;
		break;
	case CMD_READ_INPUT:
		give(k, INPUT_UNLOCKED, 0);
		break;
	case CMD_READ_OUTPUT:
		give(k, OUTPUT_RUN | OUTPUT_A20, 0);
		break;
	case CMD_WRITE_CONFIG:
	case CMD_WRITE_OUTPUT:
	case CMD_ECHO:
	case CMD_ECHO_MOUSE:
	case CMD_TO_MOUSE:
		k->waiting = v;
		break;
	default:
		break;
	}
}

static uint64_t data_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	struct keyboard *k = container_of(r, struct keyboard, data);

	(void)offset;
	(void)size;
	k->status &= (uint8_t)~STATUS_FULL;
	return k->out;
}

static void data_write(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size)
{
	(void)offset;
	(void)size;
	take_data(container_of(r, struct keyboard, data), (uint8_t)value);
}

static uint64_t command_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	(void)offset;
	(void)size;
	return container_of(r, struct keyboard, command)->status;
}

static void command_write(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size)
{
	(void)offset;
	(void)size;
	take_command(container_of(r, struct keyboard, command), (uint8_t)value);
}

static const struct sysbus_region_ops data_ops = {
	.sizes = SYSBUS_BYTE, .read = data_read, .write = data_write};
static const struct sysbus_region_ops command_ops = {
	.sizes = SYSBUS_BYTE, .read = command_read, .write = command_write};

void keyboard_init(struct keyboard *k, struct sysbus *bus, const struct keyboard_ops *ops)
{
	*k = (struct keyboard){
		.ops = ops,
		.data = {.name = "keyboard-data",
			 .space = SYSBUS_PORT,
			 .size = 1,
			 .ops = &data_ops},
		.command = {.name = "keyboard-controller",
			    .space = SYSBUS_PORT,
			    .size = 1,
			    .ops = &command_ops},
	};
	keyboard_reset(k);
	sysbus_map(bus, &k->data, DATA_PORT);
	sysbus_map(bus, &k->command, COMMAND_PORT);
}

void keyboard_reset(struct keyboard *k)
{
	k->config = 0;
	k->status = STATUS_UNLOCKED;
	k->out = 0;
	k->waiting = 0;
}
