# SPDX-License-Identifier: Apache-2.0
# mixt_module(name NEEDS other...  [LIBRARIES imported...]  [EXCLUDE file...])
#
# One folder under src/ is one module: every .c in it belongs to it.  NEEDS is the whole list
# of modules whose headers it may include; tools/check_layers reads these lines.
set_property(GLOBAL PROPERTY MIXT_MODULES "")
set_property(GLOBAL PROPERTY MIXT_LIBRARIES "")

function(mixt_module name)
    cmake_parse_arguments(M "" "" "NEEDS;LIBRARIES" ${ARGN})
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
    add_library(mixt_${name} OBJECT ${sources})
    target_include_directories(mixt_${name} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
    target_link_libraries(mixt_${name} PRIVATE ${M_LIBRARIES})
    set_property(GLOBAL APPEND PROPERTY MIXT_MODULES mixt_${name})
    set_property(GLOBAL APPEND PROPERTY MIXT_LIBRARIES ${M_LIBRARIES})
endfunction()
