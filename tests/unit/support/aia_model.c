/* SPDX-License-Identifier: Apache-2.0 */
#include "support/aia_model.h"

#include "support/aia_machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOURCES 96U

static struct aia_machine *const m = &aia_machine;

static struct {
    bool messages, on;
    uint32_t genmsi;
    struct source {
        uint32_t mode, target;
        bool wire, held, pending, enabled;
    } sources[SOURCES];
    struct idc {
        uint32_t delivery, force, threshold;
    } idcs[AIA_VCPUS];
    struct aia_file files[AIA_VCPUS];
} ref;

static unsigned taken;

unsigned aia_model_taken(void)
{
    return taken;
}

static void same(uint64_t is, uint64_t should, const char *what, uint64_t where)
{
    if (is != should) {
        fprintf(stderr, "%s %llx: %llx, and not %llx\n", what, (unsigned long long)where, (unsigned long long)is,
                (unsigned long long)should);
        abort();
    }
}

/* ---- The naive APLIC ---- */

static bool is_edge(const struct source *s)
{
    return s->mode == SM_EDGE1 || s->mode == SM_EDGE0;
}

static bool is_level(const struct source *s)
{
    return s->mode == SM_LEVEL1 || s->mode == SM_LEVEL0;
}

static bool rectified(const struct source *s)
{
    bool inverted = s->mode == SM_EDGE0 || s->mode == SM_LEVEL0;

    return (is_edge(s) || is_level(s)) && (s->wire != inverted || s->held);
}

static void ref_send(uint32_t hart, uint32_t id)
{
    if (hart < AIA_VCPUS && id > 0 && id < AIA_IDS) {
        ref.files[hart].pending[id] = true;
    }
}

static void ref_settle(void)
{
    for (unsigned i = 1; i < SOURCES; i++) {
        struct source *s = &ref.sources[i];

        if (is_level(s) && !ref.messages) {
            s->pending = rectified(s);
        }
        if (is_level(s) && !rectified(s)) {
            s->pending = false;
        }
        if (ref.messages && ref.on && s->pending && s->enabled) {
            s->pending = s->held = false;
            ref_send(s->target >> 18, s->target & 0x7ff);
        }
    }
}

static uint32_t ref_topi(unsigned v)
{
    uint32_t best = 0, best_priority = ref.idcs[v].threshold != 0 ? ref.idcs[v].threshold : 256;

    for (unsigned i = SOURCES - 1; i > 0; i--) {
        const struct source *s = &ref.sources[i];
        uint32_t priority = s->target & 0xff;

        if (s->pending && s->enabled && s->target >> 18 == v &&
            (priority < best_priority || (best != 0 && priority == best_priority))) {
            best = i;
            best_priority = priority;
        }
    }
    return ref.messages || best == 0 ? 0 : best << 16 | best_priority;
}

static void ref_wire(unsigned irq, bool level)
{
    struct source *s = &ref.sources[irq];
    bool before = rectified(s);

    s->wire = level;
    s->pending |= !before && rectified(s);
}

static void ref_pulse(unsigned irq)
{
    struct source *s = &ref.sources[irq];

    if (is_level(s) && !rectified(s)) {
        s->held = true;
    }
    s->pending |= is_edge(s) || s->held;
}

static void ref_set_pending(uint32_t irq)
{
    if (irq > 0 && irq < SOURCES && ref.sources[irq].mode != SM_INACTIVE) {
        struct source *s = &ref.sources[irq];

        s->pending |= is_level(s) ? rectified(s) : true;
    }
}

static void ref_clear_pending(uint32_t irq)
{
    if (irq > 0 && irq < SOURCES && !(is_level(&ref.sources[irq]) && !ref.messages)) {
        ref.sources[irq].pending = ref.sources[irq].held = false;
    }
}

static void ref_enable(uint32_t irq, bool enable)
{
    if (irq > 0 && irq < SOURCES) {
        ref.sources[irq].enabled = enable && ref.sources[irq].mode != SM_INACTIVE;
    }
}

static void ref_target(struct source *s, uint32_t value)
{
    if (s->mode == SM_INACTIVE) {
        s->target = 0;
    } else if (ref.messages) {
        s->target = value & 0xfffc07ff;
    } else {
        s->target = (value & 0xfffc0000) | ((value & 0xff) != 0 ? value & 0xff : 1);
    }
}

static void ref_sourcecfg(unsigned irq, uint32_t value)
{
    struct source *s = &ref.sources[irq];
    uint32_t mode = (value & 0x400) != 0 || (value & 7) == 2 || (value & 7) == 3 ? 0 : value & 7;

    if (mode == s->mode) {
        return;
    }
    s->mode = mode;
    s->held = false;
    if (mode == SM_INACTIVE) {
        s->pending = s->enabled = false;
    } else if (is_level(s)) {
        s->pending = rectified(s);
    }
    ref_target(s, s->target);
}

/* ---- The naive IMSIC ---- */

uint32_t aia_file_topei(const struct aia_file *f)
{
    for (uint32_t id = 1; id < AIA_IDS; id++) {
        if (f->pending[id] && f->enabled[id]) {
            return f->threshold == 0 || id < f->threshold ? id << 16 | id : 0;
        }
    }
    return 0;
}

static bool *file_array(struct aia_file *f, uint64_t select, unsigned *first)
{
    *first = (unsigned)(select & 0x3f) * 32;
    return select >= 0xc0 ? f->enabled : f->pending;
}

bool aia_file_rmw(struct aia_file *f, uint64_t select, uint64_t mask, uint64_t value, uint64_t *old)
{
    *old = 0;
    if (select == 0x70) {
        uint64_t new = (f->delivery & ~mask) | (value & mask);

        *old = f->delivery;
        f->delivery = new == 0 || new == 1 ? new : f->delivery;
    } else if (select == 0x72) {
        *old = f->threshold;
        f->threshold = ((f->threshold & ~mask) | (value & mask)) & 0xff;
    } else if (select >= 0x80 && select <= 0xff) {
        unsigned first;
        bool *array = file_array(f, select, &first);

        for (unsigned bit = 0; bit < 64 && select % 2 == 0; bit++) {
            if (first + bit > 0 && first + bit < AIA_IDS) {
                *old |= (uint64_t)array[first + bit] << bit;
                array[first + bit] = (mask >> bit & 1) != 0 ? (value >> bit & 1) != 0 : array[first + bit];
            }
        }
        return select % 2 == 0;
    }
    return select >= 0x70 && select <= 0xff;
}

/* ---- What must be the same ---- */

static bool ref_line(unsigned v)
{
    const struct idc *idc = &ref.idcs[v];
    const struct aia_file *file = &ref.files[v];

    return (file->delivery == 1 && aia_file_topei(file) != 0) ||
           (ref.on && idc->delivery != 0 && (idc->force != 0 || ref_topi(v) != 0));
}

static void check_words(void)
{
    for (unsigned w = 0; w < SOURCES / 32; w++) {
        uint32_t pending = 0, enabled = 0, inputs = 0;

        for (unsigned bit = 0; bit < 32; bit++) {
            const struct source *s = &ref.sources[32 * w + bit];

            pending |= (uint32_t)s->pending << bit;
            enabled |= (uint32_t)s->enabled << bit;
            inputs |= (uint32_t)rectified(s) << bit;
        }
        same(aplic_read(APLIC_SETIP + 4 * w), pending, "setip", w);
        same(aplic_read(APLIC_SETIE + 4 * w), enabled, "setie", w);
        same(aplic_read(APLIC_IN_CLRIP + 4 * w), inputs, "in_clrip", w);
        same(aplic_read(APLIC_CLRIE + 4 * w), 0, "clrie", w);
    }
}

static void check_vcpu(unsigned v)
{
    same(idc_read(v, IDC_TOPI), ref_topi(v), "topi of", v);
    same(idc_read(v, IDC_IDELIVERY), ref.idcs[v].delivery, "idelivery of", v);
    same(idc_read(v, IDC_IFORCE), ref.idcs[v].force, "iforce of", v);
    same(idc_read(v, IDC_ITHRESHOLD), ref.idcs[v].threshold, "ithreshold of", v);
    same(vimsic_topei(&m->files[v], false), aia_file_topei(&ref.files[v]), "stopei of", v);
    same(aia_line(v), ref_line(v), "external interrupt of", v);
}

static void check(uint64_t irq)
{
    check_words();
    for (unsigned v = 0; v < AIA_VCPUS; v++) {
        check_vcpu(v);
    }
    if (irq > 0 && irq < SOURCES) {
        same(aplic_read(APLIC_SOURCECFG + 4 * irq), ref.sources[irq].mode, "sourcecfg", irq);
        same(aplic_read(APLIC_TARGET + 4 * irq), ref.sources[irq].target, "target", irq);
    }
    same(aplic_read(APLIC_GENMSI), ref.genmsi, "genmsi", 0);
    same(aplic_read(APLIC_DOMAINCFG), 0x80000000 | (ref.on ? 0x100U : 0) | (ref.messages ? 4U : 0), "domaincfg", 0);
}

/* ---- Steps; `irq` may be any number, of which small ones are likely ---- */

static void step_wire(uint32_t irq, uint64_t value)
{
    irq = irq % (SOURCES - 1) + 1;
    ref_wire(irq, value & 1);
    same((uint64_t)vaplic_set_line(&m->aplic, irq, value & 1), AXVM_OK, "line", irq);
}

static void step_pulse(uint32_t irq, uint64_t value)
{
    (void)value;
    irq = irq % (SOURCES - 1) + 1;
    ref_pulse(irq);
    same((uint64_t)vaplic_pulse(&m->aplic, irq), AXVM_OK, "pulse", irq);
}

static void step_domaincfg(uint32_t irq, uint64_t value)
{
    ref.on = irq % 4 != 0;
    aplic_write(APLIC_DOMAINCFG, ((uint32_t)value & ~0x100U) | (ref.on ? 0x100U : 0));
}

static void step_sourcecfg(uint32_t irq, uint64_t value)
{
    irq = irq % (SOURCES - 1) + 1;
    value &= (value >> 32) % 8 == 0 ? UINT32_MAX : 7;
    ref_sourcecfg(irq, (uint32_t)value);
    aplic_write(APLIC_SOURCECFG + 4 * irq, (uint32_t)value);
}

static void step_target(uint32_t irq, uint64_t value)
{
    uint32_t target = (uint32_t)value & 0x3ffff;

    irq = irq % (SOURCES - 1) + 1;
    target |= (uint32_t)(value >> 32) % (AIA_VCPUS + 1) << 18;
    ref_target(&ref.sources[irq], target);
    aplic_write(APLIC_TARGET + 4 * irq, target);
}

static void step_number(uint32_t irq, uint64_t value)
{
    static const uint32_t regs[] = {APLIC_SETIPNUM, APLIC_SETIPNUM_LE, APLIC_SETIPNUM_BE,
                                    APLIC_CLRIPNUM, APLIC_SETIENUM,    APLIC_CLRIENUM};
    uint32_t reg = regs[value % 6];

    if (reg == APLIC_CLRIPNUM) {
        ref_clear_pending(irq);
    } else if (reg == APLIC_SETIENUM || reg == APLIC_CLRIENUM) {
        ref_enable(irq, reg == APLIC_SETIENUM);
    } else {
        ref_set_pending(irq);
    }
    aplic_write(reg, reg == APLIC_SETIPNUM_BE ? __builtin_bswap32(irq) : irq);
    same(aplic_read(reg), 0, "a register of numbers", reg);
}

static void step_word(uint32_t irq, uint64_t value)
{
    static const uint32_t regs[] = {APLIC_SETIP, APLIC_IN_CLRIP, APLIC_SETIE, APLIC_CLRIE};
    uint32_t reg = regs[value >> 32 & 3], w = irq / 32 % 32;

    for (unsigned bit = 0; bit < 32; bit++) {
        if ((value >> bit & 1) == 0) {
            continue;
        } else if (reg == APLIC_SETIP) {
            ref_set_pending(32 * w + bit);
        } else if (reg == APLIC_IN_CLRIP) {
            ref_clear_pending(32 * w + bit);
        } else {
            ref_enable(32 * w + bit, reg == APLIC_SETIE);
        }
    }
    aplic_write(reg + 4 * w, (uint32_t)value);
}

static void step_genmsi(uint32_t irq, uint64_t value)
{
    uint32_t message = ((uint32_t)value & 0x3ffff) | irq % (AIA_VCPUS + 1) << 18;

    if (ref.messages) {
        ref.genmsi = message & 0xfffc07ff;
        ref_send(message >> 18, message & 0x7ff);
    }
    aplic_write(APLIC_GENMSI, message);
}

static void step_idc(uint32_t irq, uint64_t value)
{
    static const uint32_t regs[] = {IDC_IDELIVERY, IDC_IFORCE, IDC_ITHRESHOLD, IDC_TOPI, IDC_CLAIMI};
    unsigned v = irq % (AIA_VCPUS + 1);
    uint32_t reg = regs[value >> 32 & 3], data = (uint32_t)value & (reg == IDC_ITHRESHOLD ? UINT32_MAX : 3);

    if (v < AIA_VCPUS && !ref.messages) {
        struct idc *idc = &ref.idcs[v];

        idc->delivery = reg == IDC_IDELIVERY && data <= 1 ? data : idc->delivery;
        idc->force = reg == IDC_IFORCE && data <= 1 ? data : idc->force;
        idc->threshold = reg == IDC_ITHRESHOLD ? data & 0xff : idc->threshold;
    }
    idc_write(v, reg, data);
}

static void step_claim(uint32_t irq, uint64_t value)
{
    unsigned v = irq % AIA_VCPUS;
    uint32_t topi = ref_topi(v);
    struct source *s = &ref.sources[topi >> 16];

    (void)value;
    taken += topi != 0;
    if (topi == 0) {
        ref.idcs[v].force = 0;
    } else if (is_level(s)) {
        s->held = false;
    } else {
        s->pending = false;
    }
    same(idc_read(v, IDC_CLAIMI), topi, "claimi of", v);
}

static void step_message(uint32_t irq, uint64_t value)
{
    unsigned v = irq % AIA_VCPUS;
    uint32_t id = (uint32_t)value & 0x1ff;

    ref_send(v, id);
    if ((value >> 32 & 1) != 0) {
        imsic_write(v, 0, id);
    } else {
        imsic_write(v, 4, __builtin_bswap32(id));
    }
}

static void step_register(uint32_t irq, uint64_t value)
{
    static const uint16_t likely[] = {0x70, 0x72, 0x80, 0xc0, 0x82, 0xc2, 0x84, 0xc4, 0x86, 0xc6};
    unsigned v = irq % AIA_VCPUS;
    uint64_t select = (value & 1) != 0 ? likely[irq / AIA_VCPUS % 10] : irq % 0x102;
    uint64_t mask = (value & 2) != 0 ? UINT64_MAX : (value & 4) != 0 ? value >> 8 : 0;
    uint64_t new = select < 0x80 ? value >> 3 & ((value & 8) != 0 ? 0xff : 1) : value * UINT64_C(0x9e3779b97f4a7c15);
    uint64_t old, should;
    bool exists = aia_file_rmw(&ref.files[v], select, mask, new, &should);

    same(vimsic_reg_rmw(&m->files[v], select, mask, new, &old), exists, "existence of register", select);
    same(exists ? old : 0, exists ? should : 0, "register", select);
}

static void step_topei(uint32_t irq, uint64_t value)
{
    unsigned v = irq % AIA_VCPUS;
    uint32_t topei = aia_file_topei(&ref.files[v]);

    (void)value;
    taken += topei != 0;
    ref.files[v].pending[topei >> 16] = false;
    same(vimsic_topei(&m->files[v], true), topei, "claimed of", v);
}

static void (*const steps[])(uint32_t irq, uint64_t value) = {
    step_wire,   step_wire, step_wire,   step_pulse, step_domaincfg, step_sourcecfg, step_sourcecfg, step_target,
    step_number, step_word, step_genmsi, step_idc,   step_claim,     step_message,   step_register,  step_topei,
};

void aia_model_start(bool messages)
{
    memset(&ref, 0, sizeof(ref));
    ref.messages = messages;
    aia_power_on(messages);
}

void aia_step(uint64_t what, uint64_t where, uint64_t value)
{
    uint32_t irq = where % 16 == 0 ? (uint32_t)(where >> 4) : (uint32_t)(where >> 4) % 100;

    steps[what % (sizeof(steps) / sizeof(steps[0]))](irq, value);
    ref_settle();
    check(irq % 100);
}
