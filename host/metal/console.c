/* SPDX-License-Identifier: Apache-2.0 */
#include "console.h"

#include <string.h>

#define NEWLINE "\r\n"

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void put(const struct console *console, const char *text)
{
    console->out(text, strlen(text));
}

/* ---- Lines of others --------------------------------------------------------------------------------------------- */

static void show_waiting(struct console *console)
{
    if (console->waiting.used > 0 && console->out) {
        console->out(console->waiting.text, console->waiting.used);
        console->waiting.used = 0;
    }
}

/* Give the waiting lines lines of their own, in the middle of the focused VM's. */
static void break_line(struct console *console)
{
    if (console->midline && console->waiting.used > 0) {
        put(console, NEWLINE);
        show_waiting(console);
        console->out(console->shown, console->shown_used);
    }
}

/* Append to the waiting text; false: no room for all of it. */
static bool wait_append(struct console_text *waiting, const char *const *pieces, unsigned count)
{
    size_t used = waiting->used;

    for (unsigned i = 0; i < count; i++) {
        size_t length = strlen(pieces[i]);

        if (length > sizeof(waiting->text) - used) {
            return false;
        }
        memcpy(waiting->text + used, pieces[i], length);
        used += length;
    }
    waiting->used = used;
    return true;
}

/* Show a line, made of pieces, now or when the focused VM's line ends. */
static void show_line(struct console *console, const char *const *pieces, unsigned count)
{
    if (console->midline || !console->out) {
        if (wait_append(&console->waiting, pieces, count) || !console->out) {
            return;
        }
        break_line(console);
        wait_append(&console->waiting, pieces, count);
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        put(console, pieces[i]);
    }
}

static void show_port_line(struct console *console, struct console_port *port)
{
    char line[CONSOLE_LINE + 1];
    const char *pieces[] = {"[", port->name, "] ", line, NEWLINE};

    memcpy(line, port->line, port->used);
    line[port->used] = '\0';
    port->used = 0;
    show_line(console, pieces, sizeof(pieces) / sizeof(pieces[0]));
}

static void write_lines(struct console *console, struct console_port *port, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned char c = (unsigned char)bytes[i];

        if (c == '\n') {
            show_port_line(console, port);
        } else if (c == '\t' || (c >= ' ' && c != 0x7f)) {
            if (port->used == sizeof(port->line)) {
                show_port_line(console, port);
            }
            port->line[port->used++] = bytes[i];
        }
    }
}

/* ---- The focused VM ---------------------------------------------------------------------------------------------- */

/* Note what is on the unfinished line, and what ends it. */
static void note_shown(struct console *console, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] == '\n') {
            console->midline = false;
            console->shown_used = 0;
        } else if (bytes[i] == '\r') {
            console->shown_used = 0;
        } else {
            console->midline = true;
            if (console->shown_used < sizeof(console->shown)) {
                console->shown[console->shown_used++] = bytes[i];
            }
        }
    }
}

static void write_raw(struct console *console, const char *bytes, size_t count)
{
    while (count > 0) {
        const char *newline = memchr(bytes, '\n', count);
        size_t part = newline ? (size_t)(newline - bytes) + 1 : count;

        console->out(bytes, part);
        note_shown(console, bytes, part);
        if (newline) {
            show_waiting(console);
        }
        bytes += part;
        count -= part;
    }
}

/* The port that the focus would move to: the same, if no other VM may still run. */
static struct console_port *next_port(const struct console *console)
{
    struct console_port *to = console->focus;

    do {
        to = to->next ? to->next : console->first;
    } while (to->gone && to != console->focus);
    return to;
}

/* The focus moves on: the old VM's unfinished line becomes an ordinary one of its port, the new one's appears. */
static void focus_next(struct console *console)
{
    struct console_port *from = console->focus, *to = next_port(console);
    const char *const notice[] = {"axvm: the console is ", to->name, "'s now", NEWLINE};

    memcpy(from->line, console->shown, console->shown_used);
    from->used = console->shown_used;
    if (console->midline) {
        put(console, NEWLINE);
    }
    console->midline = false;
    console->shown_used = 0;
    show_waiting(console);
    show_line(console, notice, sizeof(notice) / sizeof(notice[0]));
    console->focus = to;
    write_raw(console, to->line, to->used);
    to->used = 0;
}

/* ---- From outside ------------------------------------------------------------------------------------------------ */

static bool is_waiting(const struct console *console)
{
    return console->waiting.used > 0 && console->out;
}

void console_attach(struct console *console, void (*out)(const char *bytes, size_t count))
{
    spin_lock(&console->lock);
    console->out = out;
    show_waiting(console);
    spin_unlock(&console->lock);
}

void console_add(struct console *console, struct console_port *port)
{
    struct console_port **link = &console->first;

    spin_lock(&console->lock);
    while (*link) {
        link = &(*link)->next;
    }
    port->next = NULL;
    port->used = 0;
    *link = port;
    if (!console->focus) {
        console->focus = port;
    }
    spin_unlock(&console->lock);
}

bool console_write(struct console *console, struct console_port *port, const char *bytes, size_t count)
{
    bool waiting;

    spin_lock(&console->lock);
    if (!console->out) {
        /* nobody is there to read it */
    } else if (port == console->focus) {
        write_raw(console, bytes, count);
    } else {
        write_lines(console, port, bytes, count);
    }
    waiting = is_waiting(console);
    spin_unlock(&console->lock);
    return waiting;
}

void console_end_line(struct console *console, struct console_port *port)
{
    spin_lock(&console->lock);
    if (port == console->focus && console->midline) {
        write_raw(console, NEWLINE, strlen(NEWLINE));
    } else if (port->used > 0) {
        show_port_line(console, port);
    }
    spin_unlock(&console->lock);
}

void console_gone(struct console *console, struct console_port *port)
{
    spin_lock(&console->lock);
    port->gone = true;
    if (port == console->focus && console->out && next_port(console) != port) {
        console->typed_count = 0;
        focus_next(console);
    }
    spin_unlock(&console->lock);
}

bool console_log(struct console *console, const char *label, const char *line)
{
    const char *const pieces[] = {"axvm: ", label, line, NEWLINE};
    bool waiting;

    spin_lock(&console->lock);
    show_line(console, pieces, sizeof(pieces) / sizeof(pieces[0]));
    waiting = is_waiting(console);
    spin_unlock(&console->lock);
    return waiting;
}

void console_flush(struct console *console)
{
    spin_lock(&console->lock);
    break_line(console);
    spin_unlock(&console->lock);
}

void console_typed(struct console *console, char c)
{
    spin_lock(&console->lock);
    if (c == CONSOLE_KEY) {
        console->typed_count = 0;
        if (console->focus && console->out) {
            focus_next(console);
        }
    } else if (console->typed_count < CONSOLE_TYPED) {
        console->typed[(console->typed_first + console->typed_count++) % CONSOLE_TYPED] = c;
    }
    spin_unlock(&console->lock);
}

size_t console_peek(struct console *console, struct console_port **port, char *bytes, size_t max)
{
    size_t count;

    spin_lock(&console->lock);
    count = least(console->typed_count, max);
    for (size_t i = 0; i < count; i++) {
        bytes[i] = console->typed[(console->typed_first + i) % CONSOLE_TYPED];
    }
    *port = console->focus;
    spin_unlock(&console->lock);
    return count;
}

void console_consume(struct console *console, size_t count)
{
    spin_lock(&console->lock);
    count = least(count, console->typed_count);
    console->typed_first = (console->typed_first + (unsigned)count) % CONSOLE_TYPED;
    console->typed_count -= (unsigned)count;
    spin_unlock(&console->lock);
}
