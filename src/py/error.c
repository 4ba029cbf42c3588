/* error.c - exceptions for libuv codes. Threads: any, with the GIL. */

#include "py/error.h"

#include "base/uvcompat.h"

#include <errno.h>

int
al_raise_uv(int err)
{
    if (err == UV_ENOMEM) {
        PyErr_NoMemory();
        return -1;
    }
    /* On Unix a libuv code is a negated errno. Its own codes (UV_EOF and
     * the UV_EAI family) never reach here. */
    errno = -err;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

bool
al_err_leaves_loop(void)
{
    return PyErr_ExceptionMatches(PyExc_KeyboardInterrupt) ||
           PyErr_ExceptionMatches(PyExc_SystemExit);
}
