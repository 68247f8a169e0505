/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gcc's <limits.h> defines all that C17 5.2.4.2.1 asks for, and includes the next one in the path: this one ends the
 * chain.
 */
