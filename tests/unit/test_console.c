/* SPDX-License-Identifier: Apache-2.0 */
/* host/metal/console.c */
#include "console.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct console console;
static struct console_port a, b, c;
static char screen[1 << 20];
static size_t screen_used;

static void out(const char *bytes, size_t count)
{
    assert_true(screen_used + count < sizeof(screen));
    memcpy(screen + screen_used, bytes, count);
    screen_used += count;
    screen[screen_used] = '\0';
}

static void wipe(void)
{
    screen_used = 0;
    screen[0] = '\0';
}

static int setup(void **state)
{
    (void)state;
    memset(&console, 0, sizeof(console));
    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));
    memset(&c, 0, sizeof(c));
    a.name = "a";
    b.name = "b";
    c.name = "c";
    console_attach(&console, out);
    console_add(&console, &a);
    console_add(&console, &b);
    wipe();
    return 0;
}

static bool say(struct console_port *port, const char *text)
{
    return console_write(&console, port, text, strlen(text));
}

static void shows(const char *text)
{
    assert_string_equal(screen, text);
}

static void the_focused_vm_writes_as_it_pleases(void **state)
{
    (void)state;
    assert_false(say(&a, "\x1b[1mlog"));
    assert_false(say(&a, "in: \t\r\n\n\r% "));
    shows("\x1b[1mlogin: \t\r\n\n\r% ");
}

static void other_vms_write_whole_lines_with_their_name(void **state)
{
    (void)state;
    assert_false(say(&b, "hel"));
    shows("");
    assert_false(say(&b, "lo\r\nwor"));
    shows("[b] hello\r\n");
    assert_false(say(&b, "ld\n\n"));
    shows("[b] hello\r\n[b] world\r\n[b] \r\n");
}

static void a_line_waits_for_the_end_of_the_focused_vms_line(void **state)
{
    (void)state;
    say(&a, "one, ");
    assert_true(say(&b, "other\n"));
    assert_true(console_log(&console, "", "log"));
    assert_true(say(&a, "two"));
    shows("one, two");
    assert_false(say(&a, "\r\nthree"));
    shows("one, two\r\n[b] other\r\naxvm: log\r\nthree");
}

static void flushing_paints_an_unfinished_line_again(void **state)
{
    (void)state;
    say(&a, "boot\n50%\r\x1b[1m# ls");
    say(&b, "other\n");
    console_log(&console, "warning: ", "log");
    wipe();
    console_flush(&console);
    shows("\r\n[b] other\r\naxvm: warning: log\r\n\x1b[1m# ls");
    console_flush(&console);
    assert_false(say(&a, "\n"));
    shows("\r\n[b] other\r\naxvm: warning: log\r\n\x1b[1m# ls\n");
}

static void lines_are_shown_before_more_wait_than_fit(void **state)
{
    char line[101];
    unsigned shown = 0;

    (void)state;
    memset(line, 'x', 100);
    line[100] = '\n';
    say(&a, "$ ");
    for (unsigned i = 0; i < 100; i++) {
        assert_true(console_write(&console, &b, line, 101));
    }
    console_flush(&console);
    for (const char *at = screen; (at = strstr(at, "\n[b] xxxx")) != NULL; at++) {
        shown++;
    }
    assert_int_equal(shown, 100);
    assert_string_equal(screen + screen_used - 4, "\r\n$ ");
}

static void control_characters_of_other_vms_are_left_out(void **state)
{
    (void)state;
    say(&b, "a\x1b[2J\b\x7f\x01\tb\rc\n");
    shows("[b] a[2J\tbc\r\n");
}

static void long_lines_are_split(void **state)
{
    char line[CONSOLE_LINE + 20], expected[CONSOLE_LINE + 64];

    (void)state;
    memset(line, 'y', sizeof(line));
    say(&b, "");
    console_write(&console, &b, line, sizeof(line));
    snprintf(expected, sizeof(expected), "[b] %.*s\r\n", (int)CONSOLE_LINE, line);
    shows(expected);
    wipe();
    say(&b, "\n");
    shows("[b] yyyyyyyyyyyyyyyyyyyy\r\n");
    /* The focused VM's are not, and are painted again as far as they are known */
    wipe();
    console_write(&console, &a, line, sizeof(line));
    assert_int_equal(screen_used, sizeof(line));
    say(&b, "z\n");
    console_flush(&console);
    assert_int_equal(screen_used, sizeof(line) + strlen("\r\n[b] z\r\n") + CONSOLE_LINE);
}

static void the_key_moves_the_focus_around(void **state)
{
    (void)state;
    console_add(&console, &c);
    say(&a, "a$ ");
    say(&b, "b$ ");
    wipe();
    console_typed(&console, CONSOLE_KEY);
    shows("\r\naxvm: the console is b's now\r\nb$ ");
    wipe();
    say(&a, "x\n");
    say(&b, "y\n");
    shows("y\n[a] a$ x\r\n");
    wipe();
    console_typed(&console, CONSOLE_KEY);
    shows("axvm: the console is c's now\r\n");
    say(&c, "c");
    wipe();
    console_typed(&console, CONSOLE_KEY);
    shows("\r\naxvm: the console is a's now\r\n");
}

static void the_focus_leaves_a_vm_that_is_gone_and_never_comes_back(void **state)
{
    struct console_port *port;
    char typed;

    (void)state;
    console_add(&console, &c);
    console_gone(&console, &b);
    shows("");
    console_gone(&console, &a);
    shows("axvm: the console is c's now\r\n");
    console_typed(&console, CONSOLE_KEY);
    console_typed(&console, 'x');
    assert_int_equal(console_peek(&console, &port, &typed, 1), 1);
    assert_ptr_equal(port, &c);
}

static void lines_that_wait_are_shown_when_the_focus_moves(void **state)
{
    (void)state;
    say(&a, "a$ ");
    say(&b, "b1\nb2");
    wipe();
    console_typed(&console, CONSOLE_KEY);
    shows("\r\n[b] b1\r\naxvm: the console is b's now\r\nb2");
}

static void typing_goes_to_the_focused_vm_and_stays_until_consumed(void **state)
{
    struct console_port *port;
    char bytes[8];

    (void)state;
    console_typed(&console, 'l');
    console_typed(&console, 's');
    console_typed(&console, '\r');
    assert_int_equal(console_peek(&console, &port, bytes, 2), 2);
    assert_ptr_equal(port, &a);
    assert_memory_equal(bytes, "ls", 2);
    console_consume(&console, 1);
    assert_int_equal(console_peek(&console, &port, bytes, sizeof(bytes)), 2);
    assert_memory_equal(bytes, "s\r", 2);
    console_consume(&console, 99);
    assert_int_equal(console_peek(&console, &port, bytes, sizeof(bytes)), 0);
    /* What was typed for one VM isn't given to another */
    console_typed(&console, 'x');
    console_typed(&console, CONSOLE_KEY);
    assert_int_equal(console_peek(&console, &port, bytes, sizeof(bytes)), 0);
    assert_ptr_equal(port, &b);
}

static void typing_more_than_fits_is_lost_not_mixed_up(void **state)
{
    struct console_port *port;
    char byte;

    (void)state;
    console_typed(&console, '?');
    console_consume(&console, 1); /* so that the ring wraps */
    for (unsigned i = 0; i < 2 * CONSOLE_TYPED; i++) {
        console_typed(&console, (char)('a' + i % 26));
    }
    for (unsigned i = 0; i < CONSOLE_TYPED; i++) {
        assert_int_equal(console_peek(&console, &port, &byte, 1), 1);
        assert_int_equal(byte, 'a' + i % 26);
        console_consume(&console, 1);
    }
    assert_int_equal(console_peek(&console, &port, &byte, 1), 0);
}

static void what_is_logged_before_there_is_a_terminal_appears_on_it(void **state)
{
    (void)state;
    memset(&console, 0, sizeof(console));
    assert_false(console_log(&console, "", "early"));
    assert_false(say(&a, "nobody sees it\n"));
    console_flush(&console);
    console_typed(&console, CONSOLE_KEY);
    console_attach(&console, out);
    shows("axvm: early\r\n");
}

static void a_stopped_vms_last_line_is_shown(void **state)
{
    (void)state;
    say(&a, "Power down");
    say(&b, "halted");
    console_end_line(&console, &a);
    console_end_line(&console, &a);
    shows("Power down\r\n");
    wipe();
    console_end_line(&console, &b);
    console_end_line(&console, &b);
    shows("[b] halted\r\n");
}

/* Two VMs and the log, cut into random pieces and flushed at random: each line that is a whole one has one origin. */
static void no_line_has_text_of_two_origins(void **state)
{
    static const char text[] = "aaaaaaaaaaaa\r\n";
    uint32_t seed = 5;
    size_t at[2] = {0, 0};
    char *line;

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        unsigned who, n;
        char piece[16];

        seed = seed * 1664525U + 1013904223U;
        who = seed >> 31;
        n = 1 + ((seed >> 20) & 7U);
        for (unsigned k = 0; k < n; k++, at[who] = (at[who] + 1) % (sizeof(text) - 1)) {
            piece[k] = text[at[who]] == 'a' ? (char)('a' + who) : text[at[who]];
        }
        console_write(&console, who ? &b : &a, piece, n);
        if (i % 7 == 0) {
            console_log(&console, "", "log");
        }
        if (i % 11 == 0) {
            console_flush(&console);
        }
    }
    for (line = strtok(screen, "\r\n"); line; line = strtok(NULL, "\r\n")) {
        bool whole = strspn(line, "a") == strlen(line) || strcmp(line, "[b] bbbbbbbbbbbb") == 0;

        if (!whole && strcmp(line, "axvm: log") != 0) {
            fail_msg("a mixed line: %s", line);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_focused_vm_writes_as_it_pleases, setup),
        cmocka_unit_test_setup(other_vms_write_whole_lines_with_their_name, setup),
        cmocka_unit_test_setup(a_line_waits_for_the_end_of_the_focused_vms_line, setup),
        cmocka_unit_test_setup(flushing_paints_an_unfinished_line_again, setup),
        cmocka_unit_test_setup(lines_are_shown_before_more_wait_than_fit, setup),
        cmocka_unit_test_setup(control_characters_of_other_vms_are_left_out, setup),
        cmocka_unit_test_setup(long_lines_are_split, setup),
        cmocka_unit_test_setup(the_key_moves_the_focus_around, setup),
        cmocka_unit_test_setup(the_focus_leaves_a_vm_that_is_gone_and_never_comes_back, setup),
        cmocka_unit_test_setup(lines_that_wait_are_shown_when_the_focus_moves, setup),
        cmocka_unit_test_setup(typing_goes_to_the_focused_vm_and_stays_until_consumed, setup),
        cmocka_unit_test_setup(typing_more_than_fits_is_lost_not_mixed_up, setup),
        cmocka_unit_test_setup(what_is_logged_before_there_is_a_terminal_appears_on_it, setup),
        cmocka_unit_test_setup(a_stopped_vms_last_line_is_shown, setup),
        cmocka_unit_test_setup(no_line_has_text_of_two_origins, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
