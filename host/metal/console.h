/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One terminal for the hypervisor and all VMs.
 *
 * One VM has the focus: what it writes appears as it comes, and what is typed goes to it. Other VMs' output appears as
 * whole lines, "[name] text"; the hypervisor's as "axvm: text". A line of another's that comes while the focused VM is
 * in the middle of one waits until that ends, or until console_flush(): then it gets a line of its own and the focused
 * VM's unfinished line (a prompt, perhaps) is painted again below. So no line ever has text of two origins.
 *
 * Locking: one lock, under which nothing but `out` is called. Functions that return a bool say whether lines are
 * waiting: then console_flush() is due a little later.
 */
#ifndef METAL_CONSOLE_H
#define METAL_CONSOLE_H

#include "lib/spinlock.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONSOLE_LINE 160U
#define CONSOLE_WAITING 2048U
#define CONSOLE_TYPED 256U
#define CONSOLE_KEY '\x1d' /* Ctrl-]: the focus moves to the next VM */

/* A VM's end of the console. The owner fills in `name`; it lives as long as the console. */
struct console_port {
    const char *name;
    struct console_port *next;
    bool gone; /* the focus passes it by */
    size_t used;
    char line[CONSOLE_LINE]; /* without focus: the line so far, control characters left out */
};

struct console_text {
    size_t used;
    char text[CONSOLE_WAITING];
};

/*
 * Invariants: `waiting` is empty unless midline or there is no `out` yet; `shown` is what the focused VM's unfinished
 * line looks like, as far as it fits, and empty unless midline.
 */
struct console {
    struct spinlock lock;
    void (*out)(const char *bytes, size_t count);
    struct console_port *first, *focus;
    bool midline;
    size_t shown_used;
    char shown[CONSOLE_LINE];
    struct console_text waiting;
    unsigned typed_first, typed_count;
    char typed[CONSOLE_TYPED]; /* a ring */
};

/* Now there is something to write to; what was logged before appears. */
void console_attach(struct console *console, void (*out)(const char *bytes, size_t count));

/* Add a VM's port, the first one with the focus. */
void console_add(struct console *console, struct console_port *port);

/* What a VM writes. */
bool console_write(struct console *console, struct console_port *port, const char *bytes, size_t count);

/* The VM has stopped: what it left unfinished is a line, too. */
void console_end_line(struct console *console, struct console_port *port);

/* The VM won't run again: if it has the focus, that moves on to one that may. */
void console_gone(struct console *console, struct console_port *port);

/* A line of the hypervisor's own, without newline. */
bool console_log(struct console *console, const char *label, const char *line);

/* Show the lines that wait. */
void console_flush(struct console *console);

/* One typed character. More than fit are lost. */
void console_typed(struct console *console, char c);

/*
 * Copy up to `max` typed characters and say whom they are for (NULL: nobody is there). They stay until
 * console_consume(). One caller at a time, the one that also calls console_typed().
 */
size_t console_peek(struct console *console, struct console_port **port, char *bytes, size_t max);
void console_consume(struct console *console, size_t count);

#endif
