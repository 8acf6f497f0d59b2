# SPDX-License-Identifier: Apache-2.0
# MIXT_MODEL: the model that goes into the program, so that `mixt run` speaks from any folder.
#
# Its name there is that of the file without .gguf.  The default may be missing, what was given by hand may not.
set(wren ${PROJECT_SOURCE_DIR}/models/wren/wren.gguf)
set(MIXT_MODEL ${wren} CACHE FILEPATH "GGUF file that goes into the program; empty: none")
file(GLOB shipped CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/models/wren/*.gguf)   # looked for at every build

# One file that can go into a program: names are typed, and a path is written into assembler text.
function(mixt_check_model path)
    if(NOT EXISTS ${path} OR IS_DIRECTORY ${path})
        message(FATAL_ERROR "MIXT_MODEL: expected a GGUF file, found nothing at ${path} (-DMIXT_MODEL= for none)")
    endif()
    file(READ ${path} magic LIMIT 4 HEX)
    if(NOT magic STREQUAL "47475546")
        message(FATAL_ERROR "MIXT_MODEL: ${path}: expected a GGUF file, found something else")
    endif()
    file(SIZE ${path} bytes)
    if(bytes GREATER 1073741824)        # constants are addressed within 2 GiB of the code
        message(FATAL_ERROR "MIXT_MODEL: ${path}: expected at most 1 GiB, found ${bytes} bytes")
    endif()
    cmake_path(GET path STEM LAST_ONLY name)
    if(NOT name MATCHES "^[A-Za-z0-9_][-A-Za-z0-9_.]*$" OR path MATCHES "[\"\\\\;$]")
        message(FATAL_ERROR "MIXT_MODEL: ${path}: expected a name of letters, digits, '-', '_' and '.', "
                            "in a path without quotes, semicolons, dollars and backslashes")
    endif()
endfunction()

if(MIXT_MODEL STREQUAL wren AND NOT EXISTS ${wren})
    set(MIXT_EMBEDDED "")
    message(STATUS "Model in the program: none (models/wren/wren.gguf is not here)")
elseif(MIXT_MODEL STREQUAL "")
    set(MIXT_EMBEDDED "")
    message(STATUS "Model in the program: none")
else()
    mixt_check_model(${MIXT_MODEL})
    set(MIXT_EMBEDDED ${MIXT_MODEL})
    message(STATUS "Model in the program: ${MIXT_MODEL}")
endif()

# mixt_program(target model): the program with that file in it; "" for none.  The file may be made by the build.
function(mixt_program target model)
    set(source ${PROJECT_SOURCE_DIR}/apps/embedded.c)
    add_executable(${target} ${source} $<TARGET_OBJECTS:mixt_apps> $<TARGET_OBJECTS:mixt_base>)
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/apps ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(${target} PRIVATE mixt_static PkgConfig::EDIT PkgConfig::JANSSON Threads::Threads)
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    if(NOT model STREQUAL "")
        cmake_path(GET model STEM LAST_ONLY name)
        target_compile_definitions(${target} PRIVATE MIXT_MODEL_FILE="${model}" MIXT_MODEL_NAME="${name}")
        set_property(SOURCE ${source} APPEND PROPERTY OBJECT_DEPENDS ${model})
    endif()
endfunction()
