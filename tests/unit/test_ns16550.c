/* SPDX-License-Identifier: Apache-2.0 */
#include "device/ns16550.h"

#include "support/one_device.h"
#include "support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>


enum { RBR = 0, THR = 0, DLL = 0, IER = 1, DLM = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };
enum { RX = 0x1, THRI = 0x2, LINE = 0x4, MODEM = 0x8 };
enum { I_MODEM = 0x0, I_NONE = 0x1, I_THRE = 0x2, I_RX = 0x4, I_LINE = 0x6, I_TIMEOUT = 0xc, I_FIFOS = 0xc0 };
enum { F_ENABLE = 0x1, F_CLEAR_RX = 0x2, F_CLEAR_TX = 0x4 };
enum { F_TRIGGER_4 = 0x40, F_TRIGGER_8 = 0x80, F_TRIGGER_14 = 0xc0 };
enum { DLAB = 0x80, WLEN8 = 0x3 };
enum { DTR = 0x1, RTS = 0x2, OUT1 = 0x4, OUT2 = 0x8, LOOP = 0x10 };
enum { DR = 0x1, OE = 0x2, THRE = 0x20, TEMT = 0x40 };
enum { DCTS = 0x1, DDSR = 0x2, TERI = 0x4, DDCD = 0x8, CTS = 0x10, DSR = 0x20, RI = 0x40, DCD = 0x80 };

static int setup(void **state)
{
    struct axvm_emu_config config = {.name = "uart", .length = 0x100, .type = AXVM_EMU_CONSOLE};

    return one_device_setup(state, ns16550_create, config, 1);
}

/* ---- Transmitter ---- */

static void what_is_written_comes_out_in_order(void **state)
{
    (void)state;
    for (const char *c = "hello\n"; *c != 0; c++) {
        assert_int_equal(rd(LSR), THRE | TEMT);
        wr(THR, (uint8_t)*c);
    }
    assert_string_equal(fake_hal_console(device_vm->id), "hello\n");
    assert_int_equal(rd(LSR), THRE | TEMT);
}

static void it_is_as_after_power_on(void **state)
{
    (void)state;
    assert_int_equal(rd(IER), 0);
    assert_int_equal(rd(IIR), I_NONE);
    assert_int_equal(rd(LCR), 0);
    assert_int_equal(rd(MCR), 0);
    assert_int_equal(rd(LSR), THRE | TEMT);
    assert_int_equal(rd(MSR), CTS | DSR | DCD);
    assert_int_equal(rd(SCR), 0);
    wr(LCR, DLAB);
    assert_int_equal(rd(DLL), 2); /* 3686400 Hz / 16 / 115200: no driver divides by zero */
    assert_int_equal(rd(DLM), 0);
    assert_false(line());
    wr(LCR, 0);
}

static void the_transmit_interrupt_comes_when_it_is_enabled_and_after_each_character(void **state)
{
    (void)state;
    wr(IER, THRI);
    assert_true(line());
    assert_int_equal(rd(IIR), I_THRE); /* which takes it back */
    assert_false(line());
    assert_int_equal(rd(IIR), I_NONE);
    wr(IER, THRI); /* enabled as before */
    assert_false(line());
    wr(THR, 'a');
    assert_true(line());
    wr(IER, 0);
    assert_false(line());
    assert_int_equal(rd(IIR), I_NONE);
    wr(IER, THRI);
    assert_true(line());
    assert_int_equal(rd(IIR), I_THRE);
    wr(IER, 0);
    wr(IER, THRI); /* Linux relies on it, to tell UARTs that don't: UART_BUG_THRE */
    assert_true(line());
}

static void reading_iir_takes_back_only_the_interrupt_that_it_tells(void **state)
{
    (void)state;
    wr(IER, RX | THRI);
    type("a");
    assert_int_equal(rd(IIR), I_RX);
    assert_int_equal(rd(RBR), 'a');
    assert_int_equal(rd(IIR), I_THRE);
    assert_int_equal(rd(IIR), I_NONE);
}

/* ---- Receiver ---- */

static void without_fifos_one_character_is_taken_at_a_time(void **state)
{
    (void)state;
    wr(IER, RX);
    assert_int_equal(type("xyz"), 1);
    assert_true(line());
    assert_int_equal(rd(IIR), I_RX);
    assert_int_equal(rd(LSR), THRE | TEMT | DR);
    assert_int_equal(type("yz"), 0);
    assert_int_equal(rd(RBR), 'x');
    assert_false(line());
    assert_int_equal(rd(LSR), THRE | TEMT);
    assert_int_equal(type("yz"), 1);
    assert_int_equal(rd(RBR), 'y');
}

static void input_is_taken_as_there_is_room(void **state)
{
    static const char text[] = "0123456789abcdefghijk";

    (void)state;
    wr(FCR, F_ENABLE);
    assert_int_equal(type(text), 16);
    assert_int_equal(type(text), 0);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(rd(RBR), text[i]);
    }
    assert_int_equal(type(text + 16), 5);
    for (unsigned i = 5; i < 21; i++) {
        assert_int_equal(rd(LSR), THRE | TEMT | DR);
        assert_int_equal(rd(RBR), text[i]);
    }
    assert_int_equal(rd(LSR), THRE | TEMT);
    assert_int_equal(rd(RBR), text[20]); /* its last one again */
    assert_int_equal(rd(LSR), THRE | TEMT);
}

static void the_receive_interrupt_says_whether_the_trigger_level_is_reached(void **state)
{
    static const unsigned levels[4] = {1, 4, 8, 14};

    (void)state;
    wr(IER, RX);
    for (unsigned select = 0; select < 4; select++) {
        wr(FCR, F_ENABLE | F_CLEAR_RX | select << 6);
        assert_int_equal(rd(IIR), I_FIFOS | I_NONE);
        for (unsigned i = 1; i < levels[select]; i++) {
            type("x");
            assert_int_equal(rd(IIR), I_FIFOS | I_TIMEOUT); /* the line is idle at once */
            assert_true(line());
        }
        type("x");
        assert_int_equal(rd(IIR), I_FIFOS | I_RX);
        assert_true(line());
        rd(RBR);
        assert_int_equal(rd(IIR), I_FIFOS | (levels[select] > 1 ? I_TIMEOUT : I_NONE));
        while ((rd(LSR) & DR) != 0) {
            assert_true(line());
            rd(RBR);
        }
        assert_false(line());
    }
}

static void a_character_that_comes_while_the_interrupt_is_off_interrupts_when_it_is_on(void **state)
{
    (void)state;
    type("x");
    assert_false(line());
    wr(IER, RX);
    assert_true(line());
    wr(IER, 0);
    assert_false(line());
}

static void fifos_are_emptied_on_demand_and_when_they_are_turned_on_or_off(void **state)
{
    (void)state;
    wr(IER, RX);
    type("a");
    wr(FCR, F_ENABLE);
    assert_false(line());
    type("abc");
    wr(FCR, F_ENABLE | F_CLEAR_TX | F_TRIGGER_8);
    assert_int_equal(rd(LSR) & DR, DR);
    wr(FCR, F_ENABLE | F_CLEAR_RX);
    assert_int_equal(rd(LSR) & DR, 0);
    assert_int_equal(rd(IIR), I_FIFOS | I_NONE);
    type("abc");
    wr(FCR, 0);
    assert_int_equal(rd(LSR) & DR, 0);
    assert_int_equal(rd(IIR), I_NONE);
    type("a");
    wr(FCR, F_CLEAR_RX | F_TRIGGER_14); /* does nothing without F_ENABLE */
    assert_int_equal(rd(LSR) & DR, DR);
}

/* ---- Loopback ---- */

static void loopback_gives_back_what_is_sent_and_nothing_else(void **state)
{
    (void)state;
    wr(FCR, F_ENABLE);
    wr(MCR, LOOP);
    wr(THR, 'x');
    assert_int_equal(type("a"), 0);
    assert_int_equal(rd(LSR), THRE | TEMT | DR);
    assert_int_equal(rd(RBR), 'x');
    assert_int_equal(rd(LSR), THRE | TEMT);
    assert_string_equal(fake_hal_console(device_vm->id), "");
    wr(MCR, 0);
    assert_int_equal(type("a"), 1);
}

static void an_overrun_is_reported_once_and_a_fifo_keeps_what_was_there(void **state)
{
    (void)state;
    wr(FCR, F_ENABLE);
    wr(MCR, LOOP);
    wr(IER, LINE);
    for (unsigned i = 0; i < 16; i++) {
        wr(THR, i);
    }
    assert_false(line());
    wr(THR, 16);
    assert_true(line());
    assert_int_equal(rd(IIR), I_FIFOS | I_LINE);
    assert_int_equal(rd(LSR), THRE | TEMT | DR | OE);
    assert_int_equal(rd(LSR), THRE | TEMT | DR);
    assert_false(line());
    for (unsigned i = 0; i < 16; i++) {
        assert_int_equal(rd(RBR), i);
    }
    assert_int_equal(rd(LSR), THRE | TEMT);
}

static void without_fifos_an_overrun_replaces_the_character(void **state)
{
    (void)state;
    wr(MCR, LOOP);
    wr(THR, 'a');
    wr(THR, 'b');
    assert_int_equal(rd(LSR), THRE | TEMT | DR | OE);
    assert_int_equal(rd(RBR), 'b');
    assert_int_equal(rd(LSR), THRE | TEMT);
}

/* What Linux's autoconfig() looks for: OUT2 and RTS come back as DCD and CTS. */
static void in_loopback_the_modem_lines_are_its_own(void **state)
{
    static const struct {
        unsigned out, in;
    } wires[] = {{DTR, DSR}, {RTS, CTS}, {OUT1, RI}, {OUT2, DCD}, {OUT2 | RTS, DCD | CTS}};

    (void)state;
    for (size_t i = 0; i < sizeof(wires) / sizeof(wires[0]); i++) {
        wr(MCR, LOOP | wires[i].out);
        assert_int_equal(rd(MSR) & 0xf0, wires[i].in);
        wr(MCR, wires[i].out);
        assert_int_equal(rd(MSR) & 0xf0, CTS | DSR | DCD);
    }
}

static void changes_of_modem_lines_are_noted_until_read(void **state)
{
    (void)state;
    wr(IER, MODEM);
    wr(MCR, LOOP);
    assert_true(line());
    assert_int_equal(rd(IIR), I_MODEM);
    assert_int_equal(rd(MSR), DCTS | DDSR | DDCD);
    assert_int_equal(rd(MSR), 0);
    assert_false(line());
    wr(MCR, LOOP | OUT1); /* ringing is noted when it ends */
    assert_false(line());
    assert_int_equal(rd(MSR), RI);
    wr(MCR, LOOP);
    assert_true(line());
    wr(MCR, LOOP | DTR);
    assert_int_equal(rd(MSR), TERI | DDSR | DSR);
    assert_false(line());
}

static void interrupts_come_in_order_of_priority(void **state)
{
    (void)state;
    wr(MCR, LOOP);
    wr(IER, RX | THRI | LINE | MODEM);
    wr(THR, 'a');
    wr(THR, 'b');
    assert_int_equal(rd(IIR), I_LINE);
    rd(LSR);
    assert_int_equal(rd(IIR), I_RX);
    rd(RBR);
    assert_int_equal(rd(IIR), I_THRE);
    assert_int_equal(rd(IIR), I_MODEM);
    assert_true(line());
    rd(MSR);
    assert_int_equal(rd(IIR), I_NONE);
    assert_false(line());
}

/* ---- Registers ---- */

static void registers_keep_only_the_bits_they_have(void **state)
{
    static const struct {
        unsigned offset, bits;
    } regs[] = {{IER, 0x0f}, {MCR, 0x1f}, {SCR, 0xff}, {LCR, 0x7f}};

    (void)state;
    for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
        wr(regs[i].offset, regs[i].offset == LCR ? 0x7f : 0xff);
        assert_int_equal(rd(regs[i].offset), regs[i].bits);
        wr(regs[i].offset, 0);
        assert_int_equal(rd(regs[i].offset), 0);
    }
}

static void dlab_shows_the_divisor(void **state)
{
    (void)state;
    wr(IER, RX);
    wr(LCR, DLAB | WLEN8);
    assert_int_equal(rd(LCR), DLAB | WLEN8);
    wr(DLL, 0x34);
    wr(DLM, 0x12);
    assert_int_equal(rd(DLL), 0x34);
    assert_int_equal(rd(DLM), 0x12);
    wr(LCR, WLEN8);
    assert_int_equal(rd(IER), RX);
    assert_string_equal(fake_hal_console(device_vm->id), "");
    type("a");
    wr(LCR, DLAB);
    assert_int_equal(rd(RBR), 0x34); /* and not the character */
    assert_int_equal(rd(LSR) & DR, DR);
    wr(LCR, 0);
    assert_int_equal(rd(RBR), 'a');
}

static void the_status_registers_and_what_lies_behind_ignore_writes(void **state)
{
    static const unsigned offsets[] = {LSR, MSR, 8, 9, 0x10, 0xff};

    (void)state;
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        uint32_t before = rd(offsets[i]);

        wr(offsets[i], (uint8_t)~before);
        assert_int_equal(rd(offsets[i]), before);
        assert_true(offsets[i] < 8 || before == 0);
    }
}

static void a_wider_access_sees_the_register_that_it_begins_at(void **state)
{
    uint64_t value;

    (void)state;
    for (unsigned size = 2; size <= 8; size *= 2) {
        wr_sized(SCR, size, 0x1122334455667700 + size);
        assert_int_equal(rd_sized(SCR, size, &value), AXVM_OK);
        assert_int_equal(value, size);
        wr_sized(THR, size, 0x1122334455667700 + 'a');
        assert_int_equal(rd_sized(LSR, size, &value), AXVM_OK);
        assert_int_equal(value, THRE | TEMT);
        assert_int_equal(rd(IER), 0);
    }
    assert_string_equal(fake_hal_console(device_vm->id), "aaa");
}

static void reset_forgets_everything(void **state)
{
    wr(LCR, DLAB);
    wr(DLL, 0);
    wr(LCR, WLEN8);
    wr(FCR, F_ENABLE | F_TRIGGER_4);
    wr(MCR, LOOP);
    wr(SCR, 5);
    wr(IER, RX | THRI | LINE | MODEM);
    for (unsigned i = 0; i < 20; i++) {
        wr(THR, i);
    }
    assert_true(line());
    device_reset();
    assert_false(line());
    it_is_as_after_power_on(state);
    assert_int_equal(rd(RBR), 0);
}

/* ---- The rest ---- */

/* Whatever is done to it, its line follows from its registers, and no character is invented. */
static void it_survives_any_access(void **state)
{
    (void)state;
    random_start("ns16550");
    for (int i = 0; i < 100000; i++) {
        unsigned size = 1U << random_below(4);
        uint64_t offset = random_below(16) != 0 ? random_below(8) : random_below(0x100 - 8);
        uint64_t value;
        uint32_t iir;

        if (random_below(2) != 0) {
            wr_sized(offset, size, random_u64());
        } else {
            rd_sized(offset, size, &value);
            assert_true(value <= 0xff);
        }
        if (random_below(8) == 0) {
            assert_true(type("0123456789012345678901234567890123456789") <= 16);
        }
        if (random_below(4) == 0) {
            bool before = line();

            iir = rd(IIR);
            assert_int_equal((iir & I_NONE) == 0, before);
            assert_int_equal(line(), before && ((iir & 0xf) != I_THRE || (rd(IIR) & I_NONE) == 0));
        }
        if (i % 1000 == 0) {
            fake_hal_forget();
        }
    }
}

static void the_device_tree_describes_it(void **state)
{
    int node = described("serial", "ns16550a");

    (void)state;
    assert_int_equal(described_cell(node, "clock-frequency", 0, 1), 3686400);
}

static void creation_fails_cleanly(void **state)
{
    struct axvm_emu_config config = {.name = "uart", .base = {DEVICE_BASE + 0x80}, .length = 0x100};

    (void)state;
    assert_int_equal(ns16550_create(device_vm, &config), AXVM_EEXIST);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, one_device_teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_comes_out_in_order),
        TEST(it_is_as_after_power_on),
        TEST(the_transmit_interrupt_comes_when_it_is_enabled_and_after_each_character),
        TEST(reading_iir_takes_back_only_the_interrupt_that_it_tells),
        TEST(without_fifos_one_character_is_taken_at_a_time),
        TEST(input_is_taken_as_there_is_room),
        TEST(the_receive_interrupt_says_whether_the_trigger_level_is_reached),
        TEST(a_character_that_comes_while_the_interrupt_is_off_interrupts_when_it_is_on),
        TEST(fifos_are_emptied_on_demand_and_when_they_are_turned_on_or_off),
        TEST(loopback_gives_back_what_is_sent_and_nothing_else),
        TEST(an_overrun_is_reported_once_and_a_fifo_keeps_what_was_there),
        TEST(without_fifos_an_overrun_replaces_the_character),
        TEST(in_loopback_the_modem_lines_are_its_own),
        TEST(changes_of_modem_lines_are_noted_until_read),
        TEST(interrupts_come_in_order_of_priority),
        TEST(registers_keep_only_the_bits_they_have),
        TEST(dlab_shows_the_divisor),
        TEST(the_status_registers_and_what_lies_behind_ignore_writes),
        TEST(a_wider_access_sees_the_register_that_it_begins_at),
        TEST(reset_forgets_everything),
        TEST(it_survives_any_access),
        TEST(the_device_tree_describes_it),
        TEST(creation_fails_cleanly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
