/* SPDX-License-Identifier: Apache-2.0 */
#include "device/pl011.h"

#include "core/guest_fdt.h"
#include "support/one_device.h"
#include "support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>


enum {
    DR = 0x00, RSR = 0x04, FR = 0x18, ILPR = 0x20, IBRD = 0x24, FBRD = 0x28, LCR_H = 0x2c, CR = 0x30, IFLS = 0x34,
    IMSC = 0x38, RIS = 0x3c, MIS = 0x40, ICR = 0x44, DMACR = 0x48,
};

enum { FEN = 0x10, WLEN8 = 0x60 };
enum { UARTEN = 0x1, LBE = 0x80, TXE = 0x100, RXE = 0x200, DTR = 0x400, RTS = 0x800, OUT1 = 0x1000, OUT2 = 0x2000 };
enum { CTS = 0x1, DSR = 0x2, DCD = 0x4, BUSY = 0x8, RXFE = 0x10, TXFF = 0x20, RXFF = 0x40, TXFE = 0x80, RI = 0x100 };
enum { INT_RI = 0x1, INT_CTS = 0x2, INT_DCD = 0x4, INT_DSR = 0x8, INT_RX = 0x10, INT_TX = 0x20, INT_RT = 0x40,
       INT_OE = 0x400, INT_ALL = 0x7ff };

static int setup(void **state)
{
    struct axvm_emu_config config = {.name = "uart", .length = 0x1000, .type = AXVM_EMU_CONSOLE};

    return one_device_setup(state, pl011_create, config, 4);
}

static void fifo_on(void)
{
    wr(LCR_H, FEN | WLEN8);
}

static void what_is_written_comes_out_in_order(void **state)
{
    (void)state;
    for (const char *c = "hello\n"; *c != 0; c++) {
        assert_int_equal(rd(FR) & (TXFF | BUSY), 0);
        wr(DR, (uint8_t)*c | 0xffffff00U);
    }
    assert_string_equal(fake_hal_console(device_vm->id), "hello\n");
    assert_int_equal(rd(FR) & (TXFE | TXFF | BUSY), TXFE);
}

static void it_is_on_from_the_start_as_a_boot_loader_leaves_it(void **state)
{
    (void)state;
    assert_int_equal(rd(CR), UARTEN | TXE | RXE);
    assert_int_equal(rd(IFLS), 0x12);
    assert_int_equal(rd(LCR_H), 0);
    assert_int_equal(rd(IMSC), 0);
    assert_int_equal(rd(RIS), 0);
    assert_int_equal(rd(FR), TXFE | RXFE | CTS | DSR | DCD);
    assert_false(line());
}

static void drivers_recognize_it(void **state)
{
    static const uint8_t ids[8] = {0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(rd(0xfe0 + 4 * i), ids[i]);
    }
}

static void while_the_transmitter_is_off_characters_wait_in_the_fifo(void **state)
{
    (void)state;
    fifo_on();
    wr(CR, UARTEN);
    for (unsigned i = 0; i < 32; i++) {
        assert_int_equal(rd(FR) & TXFF, 0);
        wr(DR, 'a' + i % 26);
        assert_int_equal(rd(FR) & (BUSY | TXFE), BUSY);
    }
    assert_int_equal(rd(FR) & TXFF, TXFF);
    wr(DR, '!'); /* finds no room */
    assert_string_equal(fake_hal_console(device_vm->id), "");
    assert_int_equal(rd(RIS) & INT_TX, 0);
    wr(CR, UARTEN | TXE);
    assert_string_equal(fake_hal_console(device_vm->id), "abcdefghijklmnopqrstuvwxyzabcdef");
    assert_int_equal(rd(FR) & (BUSY | TXFE | TXFF), TXFE);
    assert_int_equal(rd(RIS) & INT_TX, INT_TX);
}

static void without_fifos_there_is_room_for_one_character_each_way(void **state)
{
    (void)state;
    wr(CR, UARTEN | RXE);
    wr(DR, 'x');
    assert_int_equal(rd(FR) & TXFF, TXFF);
    assert_int_equal(type("yz"), 1);
    assert_int_equal(rd(FR) & RXFF, RXFF);
    assert_int_equal(rd(RIS), INT_RX);
    assert_int_equal(rd(DR), 'y');
    assert_int_equal(rd(FR) & (RXFF | RXFE), RXFE);
    assert_int_equal(rd(RIS), 0);
}

static void the_transmit_interrupt_comes_when_characters_have_left_and_goes_when_cleared(void **state)
{
    (void)state;
    fifo_on();
    wr(IMSC, INT_TX);
    assert_false(line()); /* nothing was transmitted yet: a transition counts, not the level */
    wr(DR, 'a');
    assert_true(line());
    assert_int_equal(rd(MIS), INT_TX);
    wr(ICR, INT_TX);
    assert_false(line());
    wr(DR, 'b');
    assert_true(line());
    wr(IMSC, 0);
    assert_false(line());
    assert_int_equal(rd(MIS), 0);
    assert_int_equal(rd(RIS), INT_TX);
}

static void the_receive_interrupt_comes_at_the_trigger_level(void **state)
{
    static const unsigned levels[5] = {4, 8, 16, 24, 28};

    (void)state;
    fifo_on();
    wr(IMSC, INT_RX);
    for (unsigned select = 0; select < 5; select++) {
        wr(IFLS, select << 3);
        for (unsigned i = 1; i < levels[select]; i++) {
            type("x");
            assert_false(line());
        }
        type("x");
        assert_true(line());
        assert_int_equal(rd(DR), 'x');
        assert_false(line());
        type("x");
        assert_true(line());
        wr(ICR, INT_RX); /* until the level is reached again */
        assert_false(line());
        while ((rd(FR) & RXFE) == 0) {
            rd(DR);
        }
        assert_false(line());
    }
}

static void the_timeout_interrupt_comes_while_characters_wait(void **state)
{
    (void)state;
    fifo_on();
    wr(IMSC, INT_RT);
    assert_int_equal(type("ab"), 2);
    assert_true(line());
    wr(ICR, INT_RT);
    assert_false(line());
    assert_int_equal(rd(DR), 'a');
    assert_true(line()); /* one is left */
    assert_int_equal(rd(DR), 'b');
    assert_false(line());
    assert_int_equal(rd(RIS) & INT_RT, 0);
}

static void input_is_taken_as_there_is_room(void **state)
{
    static const char text[] = "0123456789abcdefghijklmnopqrstuvwxyz";

    (void)state;
    fifo_on();
    assert_int_equal(type(text), 32);
    assert_int_equal(rd(FR) & (RXFF | RXFE), RXFF);
    assert_int_equal(type(text), 0);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(rd(DR), text[i]);
    }
    assert_int_equal(type(text + 32), 4);
    for (unsigned i = 5; i < 36; i++) {
        assert_int_equal(rd(DR), text[i]);
    }
    assert_int_equal(rd(FR) & RXFE, RXFE);
    assert_int_equal(rd(RIS) & INT_OE, 0);
}

static void no_input_is_taken_while_the_receiver_is_off(void **state)
{
    (void)state;
    fifo_on();
    wr(CR, TXE | RXE);
    assert_int_equal(type("a"), 0);
    wr(CR, UARTEN | TXE);
    assert_int_equal(type("a"), 0);
    wr(CR, UARTEN | RXE | LBE);
    assert_int_equal(type("a"), 0);
    wr(CR, UARTEN | RXE);
    assert_int_equal(type("a"), 1);
}

static void loopback_gives_back_what_is_sent(void **state)
{
    (void)state;
    fifo_on();
    wr(CR, UARTEN | TXE | RXE | LBE);
    wr(DR, 'x');
    assert_int_equal(rd(FR) & RXFE, 0);
    assert_int_equal(rd(DR), 'x');
    assert_int_equal(rd(FR) & RXFE, RXFE);
}

static void an_overrun_is_reported_and_keeps_what_was_there(void **state)
{
    (void)state;
    fifo_on();
    wr(CR, UARTEN | TXE | RXE | LBE);
    wr(IMSC, INT_OE);
    for (unsigned i = 0; i < 32; i++) {
        wr(DR, i);
    }
    assert_false(line());
    wr(DR, 32);
    assert_true(line());
    assert_int_equal(rd(RSR), 0x8);
    wr(ICR, INT_OE);
    assert_false(line());
    assert_int_equal(rd(DR), 0x800 | 0);
    wr(DR, 33); /* room again */
    assert_int_equal(rd(DR), 1);
    assert_int_equal(rd(RSR), 0x8);
    wr(RSR, 0);
    assert_int_equal(rd(RSR), 0);
    for (unsigned i = 2; i < 32; i++) {
        assert_int_equal(rd(DR), i);
    }
    assert_int_equal(rd(DR), 33);
}

static void in_loopback_the_modem_lines_are_its_own(void **state)
{
    (void)state;
    wr(CR, UARTEN | LBE);
    assert_int_equal(rd(FR) & (CTS | DSR | DCD | RI), 0);
    assert_int_equal(rd(RIS), INT_CTS | INT_DSR | INT_DCD);
    wr(ICR, INT_ALL);
    wr(IMSC, INT_RI);
    wr(CR, UARTEN | LBE | RTS | DTR | OUT1);
    assert_int_equal(rd(FR) & (CTS | DSR | DCD | RI), CTS | DSR | DCD);
    assert_false(line());
    wr(CR, UARTEN | LBE | OUT2);
    assert_int_equal(rd(FR) & (CTS | DSR | DCD | RI), RI);
    assert_true(line());
}

static void turning_the_fifos_off_empties_them(void **state)
{
    (void)state;
    fifo_on();
    wr(IMSC, INT_RT);
    type("abc");
    wr(CR, UARTEN | RXE);
    wr(DR, 'z');
    wr(LCR_H, WLEN8);
    assert_int_equal(rd(FR) & (RXFE | TXFE | BUSY), RXFE | TXFE);
    assert_false(line());
    wr(CR, UARTEN | TXE);
    assert_string_equal(fake_hal_console(device_vm->id), "");
}

static void registers_keep_only_the_bits_they_have(void **state)
{
    static const struct {
        unsigned offset;
        uint32_t bits;
    } regs[] = {{ILPR, 0xff}, {IBRD, 0xffff}, {FBRD, 0x3f}, {LCR_H, 0xff}, {IFLS, 0x3f}, {IMSC, 0x7ff},
                {DMACR, 0x7}, {CR, 0xff87}};

    (void)state;
    for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
        wr(regs[i].offset, UINT32_MAX);
        assert_int_equal(rd(regs[i].offset), regs[i].bits);
        wr(regs[i].offset, 0);
        assert_int_equal(rd(regs[i].offset), 0);
    }
}

static void read_only_and_unknown_registers_ignore_writes(void **state)
{
    static const unsigned offsets[] = {FR, RIS, MIS, 0x08, 0x1c, 0x4c, 0x80, 0xfdc, 0xfe0, 0xffc};

    (void)state;
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        uint32_t before = rd(offsets[i]);

        wr(offsets[i], ~before);
        assert_int_equal(rd(offsets[i]), before);
    }
}

static void reset_forgets_everything(void **state)
{
    fifo_on();
    wr(IMSC, INT_ALL);
    type("abc");
    assert_true(line());
    wr(CR, UARTEN);
    wr(DR, 'x');
    device_reset();
    assert_false(line());
    it_is_on_from_the_start_as_a_boot_loader_leaves_it(state);
}

static void narrow_accesses_work_and_wide_ones_do_nothing(void **state)
{
    uint64_t value;

    (void)state;
    fifo_on();
    wr_sized(DR, 1, 'a');
    wr_sized(DR, 2, 'b');
    assert_string_equal(fake_hal_console(device_vm->id), "ab");
    type("cd");
    rd_sized(DR, 1, &value);
    assert_int_equal(value, 'c');
    rd_sized(DR + 1, 1, &value);
    assert_int_equal(value, 0);
    rd_sized(DR, 8, &value);
    assert_int_equal(value, 0);
    wr_sized(DR, 8, 'x');
    wr_sized(DR + 2, 2, 'x');
    assert_string_equal(fake_hal_console(device_vm->id), "ab");
    rd_sized(DR, 2, &value);
    assert_int_equal(value, 'd');
}

/* Whatever is done to it, its line and FR follow from its registers, and no character is invented. */
static void it_survives_any_access(void **state)
{
    (void)state;
    random_start("pl011");
    for (int i = 0; i < 100000; i++) {
        unsigned size = 1U << random_below(4);
        uint64_t offset = random_below(4) != 0 ? random_below(0x50) : random_below(0x1000 - 8);
        uint64_t value;

        if (random_below(2) != 0) {
            wr_sized(offset, size, random_u64());
        } else {
            rd_sized(offset, size, &value);
        }
        if (random_below(8) == 0) {
            assert_true(type("0123456789012345678901234567890123456789") <= 32);
        }
        assert_int_equal(line(), (rd(RIS) & rd(IMSC)) != 0);
        assert_int_equal(rd(MIS), rd(RIS) & rd(IMSC));
    }
}

static void the_device_tree_describes_it(void **state)
{
    int node = described("pl011", "arm,pl011");

    (void)state;
    assert_true(described_string(node, "compatible", 1, "arm,primecell"));
    assert_int_equal(described_cell(node, "clocks", 0, 2), GUEST_FDT_CLOCK);
    assert_true(described_string(node, "clock-names", 0, "uartclk"));
    assert_true(described_string(node, "clock-names", 1, "apb_pclk"));
}

static void creation_fails_cleanly(void **state)
{
    struct axvm_emu_config config = {.name = "uart", .base = {DEVICE_BASE + 0x800}, .length = 0x1000};

    (void)state;
    assert_int_equal(pl011_create(device_vm, &config), AXVM_EEXIST);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, one_device_teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_comes_out_in_order),
        TEST(it_is_on_from_the_start_as_a_boot_loader_leaves_it),
        TEST(drivers_recognize_it),
        TEST(while_the_transmitter_is_off_characters_wait_in_the_fifo),
        TEST(without_fifos_there_is_room_for_one_character_each_way),
        TEST(the_transmit_interrupt_comes_when_characters_have_left_and_goes_when_cleared),
        TEST(the_receive_interrupt_comes_at_the_trigger_level),
        TEST(the_timeout_interrupt_comes_while_characters_wait),
        TEST(input_is_taken_as_there_is_room),
        TEST(no_input_is_taken_while_the_receiver_is_off),
        TEST(loopback_gives_back_what_is_sent),
        TEST(an_overrun_is_reported_and_keeps_what_was_there),
        TEST(in_loopback_the_modem_lines_are_its_own),
        TEST(turning_the_fifos_off_empties_them),
        TEST(registers_keep_only_the_bits_they_have),
        TEST(read_only_and_unknown_registers_ignore_writes),
        TEST(reset_forgets_everything),
        TEST(narrow_accesses_work_and_wide_ones_do_nothing),
        TEST(it_survives_any_access),
        TEST(the_device_tree_describes_it),
        TEST(creation_fails_cleanly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
