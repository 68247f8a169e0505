/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the test guest. */
#ifndef TEST_PARTS_H
#define TEST_PARTS_H

/* gic: what one CPU reads and writes of interrupts that another has */
void test_gic(void);

#endif
