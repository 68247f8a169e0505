/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder against an oracle that shares nothing with it: what binutils' disassembler says of the same words. Its
 * text is read here into what the instruction does.
 */
#include "arch/aarch64/decode.h"
#include "support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define OBJDUMP "aarch64-linux-gnu-objdump -D -z -b binary -m aarch64"
#define WORDS 300000U
#define LSL 3U
#define NONE 31U

/* What the text says. */
struct expected {
    enum a64_insn_kind kind;
    bool vector, sign, wide, unprivileged, merge, replicate, indexed, writeback;
    unsigned size, elements;
    unsigned reg[16 * 4], lane[16 * 4]; /* of each element */
    unsigned lanes;                     /* of a register that is filled */
    unsigned rn, rm, extend, shift;
    int64_t imm;
};

/* ---- Reading the disassembler's text ----------------------------------------------------------------------------- */

static const char *cursor;

static bool eat(const char *text)
{
    size_t length = strlen(text);

    if (strncmp(cursor, text, length) != 0) {
        return false;
    }
    cursor += length;
    return true;
}

static int64_t number(void)
{
    char *end;
    bool negative = eat("-");
    int64_t value = (int64_t)strtoull(cursor, &end, 0);

    cursor = end;
    return negative ? -value : value;
}

/* x3, wzr, sp, q5: its number; *letter is its kind, 0 for none. */
static unsigned reg(char *letter)
{
    *letter = *cursor;
    if (eat("sp") || eat("wsp")) {
        *letter = 'x';
        return 31;
    }
    if (eat("xzr") || eat("wzr")) {
        return 31;
    }
    if (strchr("xwbhsdqv", *cursor) == NULL || cursor[1] < '0' || cursor[1] > '9') {
        *letter = 0;
        return 0;
    }
    cursor++;
    return (unsigned)number();
}

static unsigned log2_bytes(char letter)
{
    static const char letters[] = "bhsdq";

    return letter == 'x' ? 3 : letter == 'w' ? 2 : (unsigned)(strchr(letters, letter) - letters);
}

static bool read_extension(struct expected *e)
{
    static const struct {
        const char *name;
        unsigned extend;
    } names[] = {{"uxtw", 2}, {"lsl", LSL}, {"sxtw", 6}, {"sxtx", 7}};

    e->extend = LSL;
    if (!eat(", ")) {
        return true;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (eat(names[i].name)) {
            e->extend = names[i].extend;
            e->shift = eat(" #") ? (unsigned)number() : 0;
            return true;
        }
    }
    return false;
}

/* [x1], [x1, #8], [x1, #8]!, [x1], #8, [x1], x2, [x1, w2, sxtw #2], 0x1234 */
static bool read_address(struct expected *e, uint64_t pc)
{
    char letter;

    e->rm = NONE;
    e->extend = LSL;
    e->indexed = true;
    if (!eat("[")) {
        e->rn = A64_BASE_PC;
        e->imm = (int64_t)((uint64_t)number() - pc);
        return true;
    }
    e->rn = reg(&letter);
    if (eat("], ")) {
        e->indexed = false;
        e->writeback = true;
        if (eat("#")) {
            e->imm = number();
        } else {
            e->rm = reg(&letter);
        }
        return true;
    }
    if (eat(", #")) {
        e->imm = number();
    } else if (eat(", ")) {
        e->rm = reg(&letter);
        if (!read_extension(e)) {
            return false;
        }
    }
    if (!eat("]")) {
        return false;
    }
    e->writeback = eat("!");
    return true;
}

/* One or two registers. */
static bool read_plain(struct expected *e, uint64_t pc, unsigned registers)
{
    char letter = 0;

    for (unsigned i = 0; i < registers; i++) {
        e->reg[i] = reg(&letter);
        e->elements++;
        if (letter == 0 || !eat(", ")) {
            return false;
        }
    }
    e->vector = letter != 'x' && letter != 'w';
    e->wide = e->sign && letter == 'x';
    if (e->size == 0xff) {
        e->size = log2_bytes(letter);
    }
    return read_address(e, pc);
}

/* {v1.4s}, {v1.4s-v3.4s}, {v1.h, v2.h}[3] */
static bool read_structures(struct expected *e, unsigned structure, bool replicate)
{
    unsigned registers = 0, regs[4], lanes = 1;
    char letter;

    e->vector = true;
    if (!eat("{")) {
        return false;
    }
    do {
        unsigned n = reg(&letter);

        if (letter != 'v' || !eat(".")) {
            return false;
        }
        if (*cursor >= '0' && *cursor <= '9') {
            lanes = (unsigned)number();
        }
        e->size = log2_bytes(*cursor++);
        regs[registers++] = n;
        if (eat("-")) {
            unsigned last = reg(&letter);

            while (n != last) {
                regs[registers++] = n = (n + 1) % 32;
            }
            while (*cursor != '}') {
                cursor++;
            }
        }
    } while (eat(", "));
    if (!eat("}")) {
        return false;
    }
    if (eat("[")) {
        unsigned lane = (unsigned)number();

        e->merge = true;
        for (; e->elements < registers; e->elements++) {
            e->reg[e->elements] = regs[e->elements];
            e->lane[e->elements] = lane;
        }
        if (!eat("]")) {
            return false;
        }
    } else if (replicate) {
        e->replicate = true;
        e->lanes = lanes;
        for (; e->elements < registers; e->elements++) {
            e->reg[e->elements] = regs[e->elements];
        }
    } else {
        for (unsigned first = 0; first < registers; first += structure) {
            for (unsigned lane = 0; lane < lanes; lane++) {
                for (unsigned i = 0; i < structure; i++, e->elements++) {
                    e->reg[e->elements] = regs[first + i];
                    e->lane[e->elements] = lane;
                }
            }
        }
    }
    return eat(", ") && read_address(e, 0);
}

static bool begins(const char *name, const char *const *prefixes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_atomic(const char *name)
{
    static const char *const prefixes[] = {
        "ldxr",  "ldxp",  "ldaxr",  "ldaxp",  "stxr",   "stxp",   "stlxr",  "stlxp",  "cas",   "swp",
        "ldadd", "ldclr", "ldeor",  "ldset",  "ldsmax", "ldsmin", "ldumax", "ldumin", "stadd", "stclr",
        "steor", "stset", "stsmax", "stsmin", "stumax", "stumin",
    };

    return begins(name, prefixes, sizeof(prefixes) / sizeof(prefixes[0]));
}

/* ldr, ldurh, ldapursb, ... : a family, and what a register of it is. */
static bool is_single(const char *name, struct expected *e)
{
    static const struct {
        const char *name;
        bool load, unprivileged;
    } families[] = {
        {"ldr", true, false},    {"ldur", true, false},  {"ldtr", true, true},    {"ldar", true, false},
        {"ldlar", true, false},  {"ldapr", true, false}, {"ldapur", true, false}, {"str", false, false},
        {"stur", false, false},  {"sttr", false, true},  {"stlr", false, false},  {"stllr", false, false},
        {"stlur", false, false},
    };
    static const struct {
        const char *name;
        unsigned size;
        bool sign;
    } suffixes[] = {
        {"", 0xff, false}, {"b", 0, false}, {"h", 1, false}, {"sb", 0, true}, {"sh", 1, true}, {"sw", 2, true},
    };

    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        size_t length = strlen(families[i].name);

        for (size_t k = 0; k < sizeof(suffixes) / sizeof(suffixes[0]); k++) {
            if (strncmp(name, families[i].name, length) == 0 && strcmp(name + length, suffixes[k].name) == 0) {
                e->kind = families[i].load ? A64_INSN_LOAD : A64_INSN_STORE;
                e->unprivileged = families[i].unprivileged;
                e->size = suffixes[k].size;
                e->sign = suffixes[k].sign;
                return true;
            }
        }
    }
    return false;
}

static bool is_pair(const char *name, struct expected *e)
{
    static const char *const names[] = {"ldp", "ldnp", "ldpsw", "stp", "stnp"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            e->kind = name[0] == 'l' ? A64_INSN_LOAD : A64_INSN_STORE;
            e->sign = strcmp(name, "ldpsw") == 0;
            e->size = e->sign ? 2 : 0xff;
            return true;
        }
    }
    return false;
}

/* False: text that isn't understood. */
static bool read_text(const char *name, const char *operands, uint64_t pc, struct expected *e)
{
    cursor = operands;
    if (strcmp(name, "prfm") == 0 || strcmp(name, "prfum") == 0) {
        e->kind = A64_INSN_PREFETCH;
        return true;
    }
    if (is_single(name, e)) {
        return read_plain(e, pc, 1);
    }
    if (is_pair(name, e)) {
        return read_plain(e, pc, 2);
    }
    if ((strncmp(name, "ld", 2) == 0 || strncmp(name, "st", 2) == 0) && name[2] >= '1' && name[2] <= '4' &&
        (name[3] == '\0' || strcmp(name + 3, "r") == 0)) {
        e->kind = name[0] == 'l' ? A64_INSN_LOAD : A64_INSN_STORE;
        return read_structures(e, (unsigned)(name[2] - '0'), name[3] == 'r');
    }
    e->kind = is_atomic(name) ? A64_INSN_ATOMIC : A64_INSN_UNKNOWN;
    return true;
}

/* ---- Comparing --------------------------------------------------------------------------------------------------- */

static bool same_elements(const struct expected *e, const struct a64_insn *insn)
{
    for (unsigned i = 0; i < e->elements; i++) {
        if (a64_insn_register(insn, i) != e->reg[i] || a64_insn_lane(insn, i) != e->lane[i]) {
            return false;
        }
    }
    return true;
}

static bool same_address(const struct expected *e, const struct a64_insn *insn)
{
    if (insn->rm != NONE && (insn->extend != e->extend || insn->shift != e->shift)) {
        return false;
    }
    return insn->rn == e->rn && insn->rm == e->rm && insn->imm == e->imm && insn->writeback == e->writeback &&
           (insn->indexed == e->indexed);
}

static bool same(const struct expected *e, const struct a64_insn *insn)
{
    if (insn->kind != e->kind) {
        return false;
    }
    if (e->kind != A64_INSN_LOAD && e->kind != A64_INSN_STORE) {
        return true;
    }
    return insn->vector == e->vector && insn->size == e->size && insn->elements == e->elements &&
           insn->sign == e->sign && (!e->sign || insn->wide == e->wide) && insn->unprivileged == e->unprivileged &&
           insn->merge == e->merge && insn->replicate == e->replicate && (!e->replicate || insn->lanes == e->lanes) &&
           same_elements(e, insn) && same_address(e, insn);
}

static unsigned seen[A64_INSN_ATOMIC + 1], seen_structures, seen_lanes, seen_replicated;

static void count(const struct expected *e)
{
    seen[e->kind]++;
    seen_replicated += e->replicate;
    seen_lanes += e->merge;
    seen_structures += e->vector && e->elements > 2;
}

/* "     1c:\t1c2feb89 \tldr\ts9, 0x5fd8c": false if it is no such line. */
static bool check_line(char *line, unsigned *different)
{
    struct expected e = {0};
    char *save = NULL;
    char *address = strtok_r(line, "\t\n", &save);
    char *word_text = strtok_r(NULL, "\t\n", &save);
    char *name = strtok_r(NULL, "\t\n", &save);
    char *operands = strtok_r(NULL, "\n", &save);
    struct a64_insn insn;

    if (address == NULL || word_text == NULL || name == NULL || address[0] != ' ') {
        return false;
    }
    operands = operands != NULL ? operands : name + strlen(name);
    insn = a64_decode((uint32_t)strtoul(word_text, NULL, 16));
    if (!read_text(name, operands, strtoull(address, NULL, 16), &e) || !same(&e, &insn)) {
        if ((*different)++ < 20) {
            print_error("%s %s %s: decoded as kind %u of %u elements of 1 << %u, imm %lld\n", word_text, name, operands,
                        (unsigned)insn.kind, insn.elements, insn.size, (long long)insn.imm);
        }
    }
    count(&e);
    return true;
}

static unsigned disassemble(const char *path, unsigned *different)
{
    char line[512];
    unsigned lines = 0;
    FILE *objdump;

    snprintf(line, sizeof(line), OBJDUMP " %s", path);
    objdump = popen(line, "r");
    assert_non_null(objdump);
    while (fgets(line, sizeof(line), objdump) != NULL) {
        lines += check_line(line, different);
    }
    assert_int_equal(pclose(objdump), 0);
    return lines;
}

/*
 * The architecture leaves it open what comes of fields that should be ones and aren't, and of two registers that should
 * differ; the disassembler knows some of these.
 */
static uint32_t defined(uint32_t word)
{
    if ((word & 0x3f200000) == 0x08000000) { /* a single register, exclusive or ordered: Rt2, and Rs but of a STXR */
        word |= (word & 0x00c00000) != 0 ? 0x001f7c00 : 0x00007c00;
    }
    if ((word & 0xbfa07c00) == 0x08207c00) { /* CASP: Rs and Rt are even */
        word &= ~0x00010001U;
    }
    if ((word & 0x3a000000) == 0x28000000 && (word & 0x1f) == (word >> 10 & 0x1f)) { /* pairs */
        word ^= 1;
    }
    if ((word & 0xfac00000) == 0x68c00000) { /* LDPSW with write-back: the base is neither of them */
        word |= 31U << 5;
    }
    return word;
}

/* Half of them anywhere among the loads and stores, half where chance alone seldom gets: SIMD structures, atomics. */
static uint32_t random_word(void)
{
    static const uint32_t places[][2] = {
        {0xbfbf0000, 0x0c000000}, {0xbfa00000, 0x0c800000}, {0xbf9f0000, 0x0d000000}, {0xbf800000, 0x0d800000},
        {0x3f208c00, 0x38200000}, {0x3f208c00, 0x38208000}, {0x3f000000, 0x08000000}, {0x3b200c00, 0x38200800},
        {0x3f200c00, 0x19000000}, {0x3fe0fc00, 0x38a0c000},
    };
    uint32_t word = (uint32_t)random_u64();
    uint64_t place = random_below(2 * sizeof(places) / sizeof(places[0]));

    if (place >= sizeof(places) / sizeof(places[0])) {
        word = (word & ~0x0a000000U) | 0x08000000U;
    } else {
        word = (word & ~places[place][0]) | places[place][1];
    }
    return defined(word);
}

static void test_decodes_as_the_disassembler_does(void **state)
{
    char path[] = "/tmp/axvm-decode-XXXXXX";
    int file = mkstemp(path);
    unsigned different = 0, lines;
    FILE *out;

    (void)state;
    assert_true(file >= 0);
    out = fdopen(file, "w");
    random_start("decode");
    for (unsigned i = 0; i < WORDS; i++) {
        uint32_t word = random_word();

        assert_int_equal(fwrite(&word, sizeof(word), 1, out), 1);
    }
    assert_int_equal(fclose(out), 0);
    lines = disassemble(path, &different);
    unlink(path);
    assert_int_equal(lines, WORDS);
    assert_int_equal(different, 0);
    for (unsigned kind = A64_INSN_UNKNOWN; kind <= A64_INSN_ATOMIC; kind++) {
        assert_true(kind == A64_INSN_ZERO || seen[kind] > 1000);
    }
    assert_true(seen_structures > 1000 && seen_lanes > 1000 && seen_replicated > 1000);
}

/* ---- What the disassembler's words don't cover ------------------------------------------------------------------- */

static void test_only_loads_and_stores_access_memory(void **state)
{
    (void)state;
    random_start("other");
    assert_int_equal(a64_decode(0xd50b7423).kind, A64_INSN_ZERO); /* dc zva, x3 */
    assert_int_equal(a64_decode(0xd50b7463).kind, A64_INSN_ZERO); /* dc gva, x3 */
    assert_int_equal(a64_decode(0xd50b7483).kind, A64_INSN_ZERO); /* dc gzva, x3 */
    assert_int_equal(a64_decode(0xd50b7443).kind, A64_INSN_OTHER);
    assert_int_equal(a64_decode(0xd50b7423).rt, 3);
    assert_int_equal(a64_decode(0xd50b7a23).kind, A64_INSN_OTHER); /* dc cvac, x3 */
    assert_int_equal(a64_decode(0xd503201f).kind, A64_INSN_OTHER); /* nop */
    assert_int_equal(a64_decode(0x14000000).kind, A64_INSN_OTHER); /* b . */
    assert_int_equal(a64_decode(0).kind, A64_INSN_OTHER);
    for (unsigned i = 0; i < 1000000; i++) {
        uint32_t word = (uint32_t)random_u64();

        if ((word & 0x0a000000) != 0x08000000 && (word & ~0xffU) != 0xd50b7400) {
            assert_int_equal(a64_decode(word).kind, A64_INSN_OTHER);
        }
    }
}

static void test_every_word_keeps_within_bounds(void **state)
{
    (void)state;
    random_start("bounds");
    for (unsigned i = 0; i < 3000000; i++) {
        struct a64_insn insn = a64_decode(random_word());

        if (insn.kind != A64_INSN_LOAD && insn.kind != A64_INSN_STORE) {
            continue;
        }
        assert_in_range(insn.elements, 1, A64_INSN_MAX_BYTES);
        assert_in_range(insn.size, 0, insn.vector ? 4 : 3);
        assert_in_range((unsigned)insn.elements << insn.size, 1, A64_INSN_MAX_BYTES);
        assert_in_range(insn.rn, 0, A64_BASE_PC);
        assert_in_range(insn.rm, 0, 31);
        for (unsigned element = 0; element < insn.elements; element++) {
            unsigned lanes = insn.replicate ? insn.lanes : 1;

            assert_in_range(a64_insn_register(&insn, element), 0, 31);
            assert_in_range((a64_insn_lane(&insn, element) + lanes) << insn.size, 1, 16);
        }
    }
}

static void test_values_are_extended_from_their_width(void **state)
{
    const uint64_t value = UINT64_C(0x8000000280000081);

    (void)state;
    assert_int_equal(a64_extend(value, 0, false), 0x81);
    assert_int_equal(a64_extend(value, 0, true), UINT64_C(0xffffffffffffff81));
    assert_int_equal(a64_extend(value, 1, true), 0x81);
    assert_int_equal(a64_extend(value, 2, false), 0x80000081);
    assert_int_equal(a64_extend(value, 2, true), UINT64_C(0xffffffff80000081));
    assert_int_equal(a64_extend(value, 3, false), value);
    assert_int_equal(a64_extend(value, 3, true), value);
    assert_int_equal(a64_extend_load(value, 0, true, true), UINT64_C(0xffffffffffffff81));
    assert_int_equal(a64_extend_load(value, 0, true, false), 0xffffff81);
    assert_int_equal(a64_extend_load(value, 3, false, false), value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decodes_as_the_disassembler_does),
        cmocka_unit_test(test_only_loads_and_stores_access_memory),
        cmocka_unit_test(test_every_word_keeps_within_bounds),
        cmocka_unit_test(test_values_are_extended_from_their_width),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
