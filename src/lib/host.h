/* SPDX-License-Identifier: Apache-2.0 */
/* The host that axvm_library_init() was told; NULL before. For all parts of the library that need frames or time. */
#ifndef AXVM_LIB_HOST_H
#define AXVM_LIB_HOST_H

#include <axvm/hal.h>

extern const struct axvm_hal *hal;

#endif
