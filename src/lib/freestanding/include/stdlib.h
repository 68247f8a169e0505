/* SPDX-License-Identifier: Apache-2.0 */
/* libfdt includes it and uses nothing of it. */
