# SPDX-License-Identifier: Apache-2.0
# Borrowed plumbing, found through pkg-config.  `make deps` installs all of it.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(JANSSON  REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(PCRE2    REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(EDIT     REQUIRED IMPORTED_TARGET libedit)
pkg_check_modules(XXHASH   REQUIRED libxxhash)          # its header alone: nothing is linked
if(MIXT_TESTS)
    pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
endif()
