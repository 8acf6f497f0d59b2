# SPDX-License-Identifier: Apache-2.0
# Flags for every file.  D1 (same bytes) forbids contraction and fast-math everywhere.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)

if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Release or Debug" FORCE)
endif()
# -O2: what must be fast is written for the vector unit; -O3 only makes the rest larger.
set(CMAKE_C_FLAGS_RELEASE "-O2 -DNDEBUG")
set(CMAKE_C_FLAGS_DEBUG "-O1 -g")       # sanitizers at -O0 would be too slow to be run often

# With the compilers we test, a warning is an error; a newer one may warn of what nobody has seen.
set(known OFF)
if((CMAKE_C_COMPILER_ID STREQUAL "GNU" AND CMAKE_C_COMPILER_VERSION VERSION_LESS 13) OR
   (CMAKE_C_COMPILER_ID STREQUAL "Clang" AND CMAKE_C_COMPILER_VERSION VERSION_LESS 15))
    set(known ON)
endif()

option(MIXT_TESTS   "Build the tests" ON)
option(MIXT_HOSTILE "Tiny pages, caches and reads, so that every boundary is crossed often" OFF)
option(MIXT_FUZZ    "Build the libFuzzer targets (clang)" OFF)
option(MIXT_WERROR  "Warnings are errors" ${known})
set(MIXT_SANITIZE "" CACHE STRING "address, undefined or thread; address,undefined is fine too")

add_compile_definitions(_GNU_SOURCE)
add_compile_options(-Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
                    -ffp-contract=off -fno-math-errno)
if(MIXT_WERROR)
    add_compile_options(-Werror)
endif()
if(MIXT_HOSTILE)
    add_compile_definitions(MIXT_HOSTILE=1)
endif()

if(MIXT_SANITIZE)
    add_compile_options(-fsanitize=${MIXT_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${MIXT_SANITIZE})
else()
    add_compile_options(-fstack-protector-strong -fstack-clash-protection)
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
        add_compile_options(-fcf-protection)
    endif()
    add_link_options(-Wl,-z,relro,-z,now)
    if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
        add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
    endif()
endif()
if(MIXT_FUZZ)
    if(NOT CMAKE_C_COMPILER_ID STREQUAL "Clang")
        message(FATAL_ERROR "MIXT_FUZZ: expected clang (libFuzzer), found ${CMAKE_C_COMPILER_ID}")
    endif()
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# Programs are position independent too (-fPIE needs -pie at the link).
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)
