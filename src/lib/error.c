/* SPDX-License-Identifier: Apache-2.0 */
#include <axvm/types.h>

const char *axvm_error_name(int error)
{
    static const char *const names[] = {
        [-AXVM_OK] = "OK",
        [-AXVM_EINVAL] = "EINVAL",
        [-AXVM_EUNSUPPORTED] = "EUNSUPPORTED",
        [-AXVM_EBADSTATE] = "EBADSTATE",
        [-AXVM_EEXIST] = "EEXIST",
        [-AXVM_ENOMEM] = "ENOMEM",
        [-AXVM_ENOENT] = "ENOENT",
        [-AXVM_EFAULT] = "EFAULT",
        [-AXVM_EBUSY] = "EBUSY",
    };

    if (error > 0 || error <= -(int)(sizeof(names) / sizeof(names[0]))) {
        return "?";
    }
    return names[-error];
}
