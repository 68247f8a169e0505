/* SPDX-License-Identifier: Apache-2.0 */
/* host/metal/uart_*.c, with memory where their registers are. */
#include "uart.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static union {
    uint8_t byte[1024];
    uint16_t half[512];
    uint32_t word[256];
} regs;

static struct uart uart_at(const struct uart_driver *driver, uint32_t shift, uint32_t width)
{
    uint64_t base = (uint64_t)(uintptr_t)&regs;

    memset(&regs, 0, sizeof(regs));
    return (struct uart){driver, {base, base + sizeof(regs)}, 10, shift, width};
}

/* The register's content, and that nothing beside it was touched. */
static void assert_16550(uint32_t shift, const uint8_t expected[8])
{
    for (uint32_t i = 0; i < sizeof(regs); i++) {
        uint32_t reg = i >> shift;

        assert_int_equal(regs.byte[i], reg < 8 && i == reg << shift ? expected[reg] : 0);
    }
}

static void a_16550_is_driven_through_its_registers(uint32_t shift, uint32_t width)
{
    const struct uart uart = uart_at(&uart_ns16550, shift, width);

    uart.driver->init(&uart);
    assert_16550(shift, (const uint8_t[8]){0, 0, 0x81, 0x03, 0x03});
    uart.driver->enable_input();
    assert_16550(shift, (const uint8_t[8]){0, 0x01, 0x81, 0x03, 0x0b});
    regs.byte[5U << shift] = 0x20;
    uart.driver->write("xy", 2);
    assert_16550(shift, (const uint8_t[8]){'y', 0x01, 0x81, 0x03, 0x0b, 0x20});
    assert_int_equal(uart.driver->read(), -1);
    regs.byte[5U << shift] = 0x21;
    regs.byte[0] = 0xe4;
    assert_int_equal(uart.driver->read(), 0xe4);
}

static void a_16550_of_bytes(void **state)
{
    (void)state;
    a_16550_is_driven_through_its_registers(0, 1);
}

static void a_16550_of_bytes_apart(void **state)
{
    (void)state;
    a_16550_is_driven_through_its_registers(3, 1);
}

static void a_16550_of_halves(void **state)
{
    (void)state;
    a_16550_is_driven_through_its_registers(1, 2);
}

static void a_16550_of_words(void **state)
{
    (void)state;
    a_16550_is_driven_through_its_registers(2, 4);
}

static void a_pl011_keeps_its_line_when_it_is_on(void **state)
{
    const struct uart uart = uart_at(&uart_pl011, 0, 0);

    (void)state;
    regs.word[0x30 / 4] = 0x301;
    regs.word[0x38 / 4] = 0x7ff;
    uart.driver->init(&uart);
    assert_int_equal(regs.word[0x2c / 4], 0);
    assert_int_equal(regs.word[0x38 / 4], 0);
    uart.driver->enable_input();
    assert_int_equal(regs.word[0x38 / 4], 0x50);
    uart.driver->write("xy", 2);
    assert_int_equal(regs.word[0], 'y');
    regs.word[0] = 0x7e4; /* with error bits */
    assert_int_equal(uart.driver->read(), 0xe4);
    regs.word[0x18 / 4] = 0x10;
    assert_int_equal(uart.driver->read(), -1);
}

static void a_pl011_that_is_off_is_switched_on(void **state)
{
    const struct uart uart = uart_at(&uart_pl011, 0, 0);

    (void)state;
    uart.driver->init(&uart);
    assert_int_equal(regs.word[0x2c / 4], 0x70);
    assert_int_equal(regs.word[0x30 / 4], 0x301);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_16550_of_bytes),
        cmocka_unit_test(a_16550_of_bytes_apart),
        cmocka_unit_test(a_16550_of_halves),
        cmocka_unit_test(a_16550_of_words),
        cmocka_unit_test(a_pl011_keeps_its_line_when_it_is_on),
        cmocka_unit_test(a_pl011_that_is_off_is_switched_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
