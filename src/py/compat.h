/* compat.h - the differences between CPython versions, all of them.
 *
 * No other file tests PY_VERSION_HEX. What is private in CPython and used
 * here says why, and since which version it has had this shape.
 */
#ifndef AL_PY_COMPAT_H
#define AL_PY_COMPAT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <stdbool.h>

#if PY_VERSION_HEX < 0x030b0000
#error "asyncloop needs CPython 3.11 or newer"
#endif

#if PY_VERSION_HEX < 0x030d0000
#define PyThreadState_GetUnchecked _PyThreadState_UncheckedGet
#endif

/* Policies are deprecated from 3.14 on and gone in 3.16. */
#define AL_HAVE_POLICY (PY_VERSION_HEX < 0x03100000)
#define AL_POLICY_IS_DEPRECATED (PY_VERSION_HEX >= 0x030e0000)

/* From 3.12 on Handle.get_context exists, and the exception handler runs in
 * the context of the handle; asyncio finds the method by hasattr. */
#define AL_HANDLE_HAS_GET_CONTEXT (PY_VERSION_HEX >= 0x030c0000)

/* Do the callbacks of a connection run in the context that was there before
 * the protocol's factory? Else in the one that it leaves behind. */
#define AL_CONTEXT_BEFORE_FACTORY (PY_VERSION_HEX >= 0x030f0000)

/* asyncio's own policy class, our base. */
#if AL_POLICY_IS_DEPRECATED
#define AL_POLICY_MODULE "asyncio.events"
#define AL_POLICY_BASE "_BaseDefaultEventLoopPolicy"
#else
#define AL_POLICY_MODULE "asyncio"
#define AL_POLICY_BASE "DefaultEventLoopPolicy"
#endif

/* The context that is current in this thread: borrowed, NULL when the thread
 * has none, which means an empty one. `context` is a public field of the
 * thread state in every version from 3.7 to 3.15; PyContext_CopyCurrent, the
 * only function that tells, allocates. */
static inline PyObject *
al_context_current_borrow(void)
{
    return PyThreadState_GetUnchecked()->context;
}

/* Does this thread report to a profiler (sys.setprofile and its C twin)? The
 * field is public in every version from 3.7 to 3.15. */
static inline bool
al_is_profiled(void)
{
    return PyThreadState_GetUnchecked()->c_profilefunc != NULL;
}

/* Has this context no variable set? */
static inline bool
al_context_is_empty(PyObject *context)
{
    return PyContext_CheckExact(context) &&
           Py_TYPE(context)->tp_as_mapping->mp_length(context) == 0;
}

/* Fetch the raised exception as one object, with its traceback attached.
 * New reference; an exception must be set. */
static inline PyObject *
al_err_take(void)
{
#if PY_VERSION_HEX >= 0x030c0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
        Py_DECREF(traceback);
    }
    Py_XDECREF(type);
    return value;
#endif
}

/* Raise again what al_err_take() gave; steals `error`, which may be NULL. */
static inline void
al_err_give_back_steal(PyObject *error)
{
#if PY_VERSION_HEX >= 0x030c0000
    PyErr_SetRaisedException(error);
#else
    if (error == NULL) {
        PyErr_Clear();
        return;
    }
    PyErr_Restore(Py_NewRef(Py_TYPE(error)), error,
                  PyException_GetTraceback(error));
#endif
}

/* The attribute, or NULL without an exception when there is none. -1 on
 * another error. */
static inline int
al_lookup_attr(PyObject *obj, PyObject *name, PyObject **result)
{
#if PY_VERSION_HEX >= 0x030d0000
    return PyObject_GetOptionalAttr(obj, name, result);
#else
    return _PyObject_LookupAttr(obj, name, result);
#endif
}

/* Which layout of Future and Task this version has (futures/layout.h), and
 * where the thread state has asyncio's part: known for LP64 builds with a
 * GIL only. The thread state may move within a minor version; what is here is
 * 3.14.10's and 3.15.2's, and like the rest is checked at import. */
#if !defined(Py_GIL_DISABLED) && defined(__LP64__)
#define AL_HAVE_TASK_LAYOUT_311 (PY_VERSION_HEX < 0x030d0000)
#define AL_HAVE_TASK_LAYOUT_313 (PY_VERSION_HEX >> 16 == 0x030d)
#define AL_HAVE_TASK_LAYOUT_314                                               \
    (PY_VERSION_HEX >> 16 == 0x030e || PY_VERSION_HEX >> 16 == 0x030f)
#endif
#if PY_VERSION_HEX >= 0x030f0000
#define AL_THREAD_TASKS_OFFSET 1024
#define AL_THREAD_HAS_GAP 1
#else
#define AL_THREAD_TASKS_OFFSET 864
#define AL_THREAD_HAS_GAP 0
#endif

/* Where context.h knows the layout of a Context, and, from 3.14 on, which byte
 * of the interpreter's state has a bit for each context watcher (0: there are
 * none). The latter is 3.14.10's and 3.15.2's; both are checked at import. */
#if !defined(Py_GIL_DISABLED) && defined(__LP64__) &&                         \
    PY_VERSION_HEX < 0x03100000
#define AL_HAVE_CONTEXT_LAYOUT 1
#else
#define AL_HAVE_CONTEXT_LAYOUT 0
#endif
#if PY_VERSION_HEX >= 0x030f0000
#define AL_CONTEXT_WATCHERS_OFFSET 11089
#elif PY_VERSION_HEX >= 0x030e0000
#define AL_CONTEXT_WATCHERS_OFFSET 11113
#else
#define AL_CONTEXT_WATCHERS_OFFSET 0
#endif

/* Until 3.11 a task's name is text from the start; later a number becomes
 * text when somebody asks. */
#define AL_TASK_NAME_IS_LAZY (PY_VERSION_HEX >= 0x030c0000)

/* The WeakSet behind asyncio.all_tasks, up to 3.13. */
#if PY_VERSION_HEX >= 0x030c0000
#define AL_ALL_TASKS "_scheduled_tasks"
#else
#define AL_ALL_TASKS "_all_tasks"
#endif

/* asyncio's error for a local address that cannot be bound quotes the whole
 * text of the system's, with its number, from 3.13 on. */
#define AL_BIND_ERROR_HAS_NUMBER (PY_VERSION_HEX >= 0x030d0000)

/* Server._attach and _detach take the transport. */
#define AL_SERVER_KNOWS_CLIENTS (PY_VERSION_HEX >= 0x030d0000)

/* From 3.13 on DatagramTransport.sendto sends empty datagrams, and so much is
 * added to the size of each that waits to be sent. */
#define AL_DATAGRAM_MAY_BE_EMPTY (PY_VERSION_HEX >= 0x030d0000)
#define AL_DATAGRAM_HEADER ((size_t)(AL_DATAGRAM_MAY_BE_EMPTY ? 8 : 0))

/* What a weak reference refers to: new reference, or NULL when it is gone. */
static inline PyObject *
al_weakref_get(PyObject *ref)
{
#if PY_VERSION_HEX >= 0x030d0000
    PyObject *referent;
    return PyWeakref_GetRef(ref, &referent) <= 0 ? NULL : referent;
#else
    PyObject *referent = PyWeakref_GetObject(ref);
    return referent == Py_None ? NULL : Py_XNewRef(referent);
#endif
}

/* Is the referent of this weak reference gone? */
static inline bool
al_weakref_is_dead(PyObject *ref)
{
    PyObject *referent = al_weakref_get(ref);

    Py_XDECREF(referent);
    return referent == NULL;
}

/* The attributes of an instance of a Python class: a dict, borrowed, or NULL
 * when it has none or memory is short; no exception is set. The function is
 * private and has been there since Python 2; the public ones make a dict. */
static inline PyObject *
al_instance_dict_borrow(PyObject *obj)
{
    PyObject **slot = _PyObject_GetDictPtr(obj);

    if (slot == NULL || *slot == NULL) {
        PyErr_Clear();
        return NULL;
    }
    return *slot;
}

/* Take the first `count` bytes, not all, off a bytearray that nobody looks
 * into. What bytearray itself does when its beginning is deleted, in every
 * version from 3.4 to 3.15; the fields are public. */
static inline void
al_bytearray_drop_front(PyObject *array, Py_ssize_t count)
{
    ((PyByteArrayObject *)array)->ob_start += count;
    Py_SET_SIZE(array, Py_SIZE(array) - count);
}

/* A local variable of a frame: new reference, or NULL with an exception set.
 * The frame's variables are better not looked at as a dict, which only 3.11
 * needs. */
static inline PyObject *
al_frame_local(PyFrameObject *frame, const char *name)
{
#if PY_VERSION_HEX >= 0x030c0000
    return PyFrame_GetVarString(frame, name);
#else
    PyObject *locals = PyFrame_GetLocals(frame);
    PyObject *value =
        locals == NULL ? NULL : PyMapping_GetItemString(locals, name);

    Py_XDECREF(locals);
    return value;
#endif
}

/* StreamReader takes bytes by bytearray.take_bytes, which refuses when
 * somebody looks into the array, also where nothing is to be taken. */
#define AL_READER_USES_TAKE_BYTES (PY_VERSION_HEX >= 0x030f0000)

/* StreamReader.readuntil takes a tuple of separators. */
#define AL_READUNTIL_TAKES_TUPLES (PY_VERSION_HEX >= 0x030d0000)

/* setup.py gives the version; a bare compile (the header lint) has none. */
#ifndef AL_VERSION
#define AL_VERSION "0+unknown"
#endif

#endif
