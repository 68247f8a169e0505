/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's FP and vector registers, where sstatus.FS or VS isn't Off. By .insn, since the host is compiled without
 * either extension: f5 and v5 are written x5. Vector extension 1.0, section 7.9: whole-register loads and stores.
 */
#define CSR_FCSR 0x003
#define CSR_VSTART 0x008

#define FP_FCSR 256 /* struct rv64_fp.fcsr */

.macro function name
    .section .text.\name, "ax"
    .global \name
    .type \name, @function
\name:
.endm

/* \op x<n>, for all n */
.macro each op
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    \op     \n
    .endr
    .irp n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    \op     \n
    .endr
.endm

.macro f_store n
    .insn   s 0x27, 3, x\n, 8 * \n(a0) /* fsd */
.endm

.macro f_load n
    .insn   i 0x07, 3, x\n, 8 * \n(a0) /* fld */
.endm

/* Eight bytes each, for f_n below. */
.macro f_to_x n
    .insn   r 0x53, 0, 0x71, x10, x\n, x0 /* fmv.x.d a0, f<n> */
    .insn   i 0x67, 0, x0, 0(ra)          /* ret, in four bytes */
.endm

.macro f_from_x n
    .insn   r 0x53, 0, 0x79, x\n, x11, x0 /* fmv.d.x f<n>, a1 */
    .insn   i 0x67, 0, x0, 0(ra)
.endm

/* void rv64_fp_store(struct rv64_fp *fp): without fcsr */
function rv64_fp_store
    each    f_store
    ret

/* void rv64_fp_load(const struct rv64_fp *fp) */
function rv64_fp_load
    each    f_load
    ld      t0, FP_FCSR(a0)
    csrw    CSR_FCSR, t0
    ret

/* uint64_t rv64_f_get(unsigned n), n < 32 */
function rv64_f_get
    lla     t0, 1f
    slli    a0, a0, 3
    add     t0, t0, a0
    jr      t0
1:  each    f_to_x

/* void rv64_f_set(unsigned n, uint64_t value), n < 32 */
function rv64_f_set
    lla     t0, 1f
    slli    a0, a0, 3
    add     t0, t0, a0
    jr      t0
1:  each    f_from_x

.macro eight_v opcode
    .irp n, 0, 8, 16, 24
    .insn   r \opcode, 0, 0x71, x\n, x10, x8 /* vs8r.v, vl8re8.v: v<n>..v<n+7> at a0 */
    .if     \n < 24
    add     a0, a0, a1
    .endif
    .endr
.endm

/* void rv64_vector_store(void *data, uint64_t eight): eight: bytes of eight registers; vstart is 0 */
function rv64_vector_store
    eight_v 0x27
    ret

/* void rv64_vector_load(const void *data, uint64_t eight): likewise */
function rv64_vector_load
    eight_v 0x07
    ret

/* void rv64_vector_type(uint64_t vl, uint64_t vtype): vsetvl; vill and what goes with it included */
function rv64_vector_type
    .insn   r 0x57, 7, 0x40, x5, x10, x11
    ret
