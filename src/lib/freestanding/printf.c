/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum length { LENGTH_INT, LENGTH_HH, LENGTH_H, LENGTH_L, LENGTH_LL, LENGTH_J, LENGTH_Z, LENGTH_T };

/* Where the text goes. `length` counts all of it; what doesn't fit in `size` bytes is only counted. */
struct sink {
    char *to;
    size_t size;
    size_t length;
};

/* A conversion specification, C17 7.21.6.1 paragraph 4. */
struct spec {
    bool left;      /* - */
    bool zero;      /* 0 */
    bool alternate; /* # */
    char plus;      /* what stands before a number that isn't negative: '+', ' ' or 0 for nothing */
    size_t width;
    bool has_precision;
    size_t precision;
    enum length length;
    char conversion;
};

/* 64 bits in octal. */
#define DIGITS_MAX 22

static size_t sink_room(const struct sink *sink)
{
    return sink->length < sink->size ? sink->size - sink->length : 0;
}

static void sink_text(struct sink *sink, const char *text, size_t length)
{
    size_t room = sink_room(sink);

    if (room > 0) {
        memcpy(sink->to + sink->length, text, length < room ? length : room);
    }
    sink->length += length;
}

static void sink_fill(struct sink *sink, char c, size_t count)
{
    size_t room = sink_room(sink);

    if (room > 0) {
        memset(sink->to + sink->length, c, count < room ? count : room);
    }
    sink->length += count;
}

/* prefix, zeros and text, with blanks to the width on the left or on the right. */
static void sink_field(struct sink *sink, const struct spec *spec, const char *prefix, size_t zeros, const char *text,
                       size_t text_length)
{
    size_t prefix_length = strlen(prefix);
    size_t length = prefix_length + zeros + text_length;
    size_t blanks = spec->width > length ? spec->width - length : 0;

    sink_fill(sink, ' ', spec->left ? 0 : blanks);
    sink_text(sink, prefix, prefix_length);
    sink_fill(sink, '0', zeros);
    sink_text(sink, text, text_length);
    sink_fill(sink, ' ', spec->left ? blanks : 0);
}

static intmax_t signed_argument(enum length length, va_list *args)
{
    switch (length) {
    case LENGTH_HH: return (signed char)va_arg(*args, int);
    case LENGTH_H: return (short)va_arg(*args, int);
    case LENGTH_L: return va_arg(*args, long);
    case LENGTH_LL: return va_arg(*args, long long);
    case LENGTH_J: return va_arg(*args, intmax_t);
    case LENGTH_Z:
    case LENGTH_T: return va_arg(*args, ptrdiff_t);
    default: return va_arg(*args, int);
    }
}

static uintmax_t unsigned_argument(enum length length, va_list *args)
{
    switch (length) {
    case LENGTH_HH: return (unsigned char)va_arg(*args, unsigned int);
    case LENGTH_H: return (unsigned short)va_arg(*args, unsigned int);
    case LENGTH_L: return va_arg(*args, unsigned long);
    case LENGTH_LL: return va_arg(*args, unsigned long long);
    case LENGTH_J: return va_arg(*args, uintmax_t);
    case LENGTH_Z:
    case LENGTH_T: return va_arg(*args, size_t);
    default: return va_arg(*args, unsigned int);
    }
}

/* Write the digits that end before `end`, and return where they begin. 0 has none. */
static char *digits_before(char *end, uintmax_t value, unsigned int base, bool upper)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";

    for (; value != 0; value /= base) {
        *--end = digits[value % base];
    }
    return end;
}

static void print_number(struct sink *sink, const struct spec *spec, const char *prefix, uintmax_t value,
                         unsigned int base)
{
    char digits[DIGITS_MAX];
    char *begin = digits_before(digits + sizeof(digits), value, base, spec->conversion == 'X');
    size_t count = (size_t)(digits + sizeof(digits) - begin);
    size_t want = spec->has_precision ? spec->precision : 1;

    if (spec->zero && !spec->left && !spec->has_precision && spec->width > strlen(prefix)) {
        want = spec->width - strlen(prefix);
    }
    if (base == 8 && spec->alternate && want <= count) {
        want = count + 1;
    }
    sink_field(sink, spec, prefix, want > count ? want - count : 0, begin, count);
}

static void print_signed(struct sink *sink, const struct spec *spec, va_list *args)
{
    intmax_t value = signed_argument(spec->length, args);
    const char plus[2] = {spec->plus, '\0'};

    /* 0 - value: the negation of INTMAX_MIN isn't a number. */
    print_number(sink, spec, value < 0 ? "-" : plus, value < 0 ? 0 - (uintmax_t)value : (uintmax_t)value, 10);
}

static void print_unsigned(struct sink *sink, const struct spec *spec, va_list *args)
{
    uintmax_t value = unsigned_argument(spec->length, args);
    unsigned int base = spec->conversion == 'u' ? 10 : spec->conversion == 'o' ? 8 : 16;
    const char *prefix = spec->conversion == 'X' ? "0X" : "0x";

    print_number(sink, spec, base == 16 && spec->alternate && value != 0 ? prefix : "", value, base);
}

static void print_pointer(struct sink *sink, const struct spec *spec, va_list *args)
{
    print_number(sink, spec, "0x", (uintptr_t)va_arg(*args, void *), 16);
}

static void print_char(struct sink *sink, const struct spec *spec, va_list *args)
{
    char c = (char)va_arg(*args, int);

    sink_field(sink, spec, "", 0, &c, 1);
}

static void print_string(struct sink *sink, const struct spec *spec, va_list *args)
{
    const char *s = va_arg(*args, const char *);

    if (s == NULL) {
        s = "(null)";
    }
    sink_field(sink, spec, "", 0, s, spec->has_precision ? strnlen(s, spec->precision) : strlen(s));
}

static bool parse_flag(struct spec *spec, char c)
{
    switch (c) {
    case '-': spec->left = true; return true;
    case '0': spec->zero = true; return true;
    case '#': spec->alternate = true; return true;
    case '+': spec->plus = '+'; return true;
    case ' ': spec->plus = spec->plus != 0 ? spec->plus : ' '; return true;
    default: return false;
    }
}

/* A number up to INT_MAX, as any that could be handed over by *. */
static const char *parse_number(const char *p, size_t *number)
{
    for (*number = 0; *p >= '0' && *p <= '9'; p++) {
        *number = *number * 10 + (size_t)(*p - '0');
        if (*number > INT_MAX) {
            *number = INT_MAX;
        }
    }
    return p;
}

static const char *parse_width(const char *p, struct spec *spec, va_list *args)
{
    int width;

    if (*p != '*') {
        return parse_number(p, &spec->width);
    }
    width = va_arg(*args, int);
    spec->left |= width < 0;
    spec->width = width < 0 ? 0 - (size_t)width : (size_t)width;
    return p + 1;
}

static const char *parse_precision(const char *p, struct spec *spec, va_list *args)
{
    int precision;

    if (*p != '.') {
        return p;
    }
    if (p[1] != '*') {
        spec->has_precision = true;
        return parse_number(p + 1, &spec->precision);
    }
    precision = va_arg(*args, int);
    spec->has_precision = precision >= 0;
    spec->precision = precision >= 0 ? (size_t)precision : 0;
    return p + 2;
}

static const char *parse_length(const char *p, struct spec *spec)
{
    static const struct {
        char text[3];
        enum length length;
    } lengths[] = {
        {"hh", LENGTH_HH}, {"h", LENGTH_H}, {"ll", LENGTH_LL}, {"l", LENGTH_L},
        {"j", LENGTH_J},   {"z", LENGTH_Z}, {"t", LENGTH_T},
    };

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        size_t length = strlen(lengths[i].text);

        if (strncmp(p, lengths[i].text, length) == 0) {
            spec->length = lengths[i].length;
            return p + length;
        }
    }
    return p;
}

/* The directive behind a %: returns its end, at the conversion's letter. */
static const char *parse_spec(const char *p, struct spec *spec, va_list *args)
{
    *spec = (struct spec){0};
    while (parse_flag(spec, *p)) {
        p++;
    }
    p = parse_width(p, spec, args);
    p = parse_precision(p, spec, args);
    p = parse_length(p, spec);
    spec->conversion = *p;
    return p;
}

static bool print_spec(struct sink *sink, const struct spec *spec, va_list *args)
{
    switch (spec->conversion) {
    case 'd':
    case 'i': print_signed(sink, spec, args); return true;
    case 'u':
    case 'o':
    case 'x':
    case 'X': print_unsigned(sink, spec, args); return true;
    case 'c': print_char(sink, spec, args); return true;
    case 's': print_string(sink, spec, args); return true;
    case 'p': print_pointer(sink, spec, args); return true;
    case '%': sink_text(sink, "%", 1); return true;
    default: return false;
    }
}

/* Print what stands at `p`, plain text or one directive, and return what follows. */
static const char *print_next(struct sink *sink, const char *p, va_list *args)
{
    struct spec spec;
    const char *end = p;

    if (*p == '%') {
        end = parse_spec(p + 1, &spec, args);
        if (print_spec(sink, &spec, args)) {
            return end + 1;
        }
    }
    while (*end != '%' && *end != '\0') {
        end++;
    }
    sink_text(sink, p, (size_t)(end - p));
    return end;
}

int vsnprintf(char *restrict to, size_t size, const char *restrict format, va_list args)
{
    struct sink sink = {.to = to, .size = size};
    va_list rest;

    /* A va_list parameter may be an array that has become a pointer: only a copy's address has the right type. */
    va_copy(rest, args);
    while (*format != '\0' && sink.length <= INT_MAX) {
        format = print_next(&sink, format, &rest);
    }
    va_end(rest);
    if (size > 0) {
        to[sink.length < size ? sink.length : size - 1] = '\0';
    }
    return sink.length <= INT_MAX ? (int)sink.length : -1;
}

int snprintf(char *restrict to, size_t size, const char *restrict format, ...)
{
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(to, size, format, args);
    va_end(args);
    return length;
}
