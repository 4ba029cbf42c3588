/* uvcompat.h - which libuv we stand on, decided in this one place.
 *
 * The sources use nothing newer than libuv 1.44. Whatever a later header
 * offers gets an AL_HAVE_UV_* name here and nowhere else.
 */
#ifndef AL_BASE_UVCOMPAT_H
#define AL_BASE_UVCOMPAT_H

#include <uv.h>

#if UV_VERSION_HEX < 0x012c00
#error "asyncloop needs libuv 1.44 or newer"
#endif

#define AL_UV_TEXT_(x) #x
#define AL_UV_TEXT(x) AL_UV_TEXT_(x)
#define AL_UV_HEADER_VERSION                                                  \
    AL_UV_TEXT(UV_VERSION_MAJOR)                                              \
    "." AL_UV_TEXT(UV_VERSION_MINOR) "." AL_UV_TEXT(UV_VERSION_PATCH)

#endif
