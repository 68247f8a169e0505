/* SPDX-License-Identifier: Apache-2.0 */
/* EL2 control registers (Arm ARM D19.2): the bits that this library sets. */
#ifndef AXVM_AARCH64_HCR_H
#define AXVM_AARCH64_HCR_H

#include "arch/aarch64/esr.h"

#define HCR_VM BIT64(0)
#define HCR_SWIO BIT64(1)
#define HCR_FMO BIT64(3)
#define HCR_IMO BIT64(4)
#define HCR_AMO BIT64(5)
#define HCR_VSE BIT64(8)
#define HCR_FB BIT64(9)
#define HCR_BSU_IS BIT64(10)
#define HCR_TWI BIT64(13)
#define HCR_TWE BIT64(14)
#define HCR_TID1 BIT64(16)
#define HCR_TID3 BIT64(18)
#define HCR_TSC BIT64(19)
#define HCR_TIDCP BIT64(20)
#define HCR_TACR BIT64(21)
#define HCR_RW BIT64(31)
#define HCR_TLOR BIT64(35)
#define HCR_TERR BIT64(36)
#define HCR_TID5 BIT64(58)

#define MDCR_HPMN_MASK UINT64_C(0x1f)
#define MDCR_TPMCR BIT64(5)
#define MDCR_TPM BIT64(6)
#define MDCR_TDA BIT64(9)
#define MDCR_TDOSA BIT64(10)
#define MDCR_TDRA BIT64(11)
#define MDCR_TPMS BIT64(14)
#define MDCR_TTRF BIT64(19)

#define CPTR_RES1 UINT64_C(0x33ff) /* with TZ (bit 8) and TSM (bit 12): SVE and SME trap */
#define CPTR_TTA BIT64(20)
#define CPTR_TAM BIT64(30)

#define MDSCR_SS BIT64(0)
#define MDSCR_TDCC BIT64(12)
#define MDSCR_KDE BIT64(13)
#define MDSCR_MDE BIT64(15)

#define CNT_CTL_ENABLE BIT64(0)
#define CNT_CTL_IMASK BIT64(1)
#define CNT_CTL_ISTATUS BIT64(2)

#endif
