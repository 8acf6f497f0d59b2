# SPDX-License-Identifier: Apache-2.0
# mixt_module(name NEEDS other...  [LIBRARIES imported...]  [EXCLUDE file...])
#
# One folder under src/ is one module: every .c in it belongs to it, but for those in EXCLUDE (paths
# inside the folder).  NEEDS is the whole list of modules whose headers it may include;
# tools/check_layers reads these lines.  Modules are object libraries: src/lib makes libmixt of
# them, tests/ a library in which every name can be seen.
define_property(GLOBAL PROPERTY MIXT_MODULES   BRIEF_DOCS "The object libraries, in the order of the road")
define_property(GLOBAL PROPERTY MIXT_LIBRARIES BRIEF_DOCS "The borrowed libraries they lean on")

function(mixt_module name)
    cmake_parse_arguments(M "" "" "NEEDS;LIBRARIES;EXCLUDE" ${ARGN})
    if(M_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "mixt_module(${name}): expected NEEDS, LIBRARIES or EXCLUDE, found ${M_UNPARSED_ARGUMENTS}")
    endif()
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
    list(TRANSFORM M_EXCLUDE PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
    list(REMOVE_ITEM sources ${M_EXCLUDE})
    add_library(mixt_${name} OBJECT ${sources})
    target_include_directories(mixt_${name} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
    target_link_libraries(mixt_${name} PRIVATE ${M_LIBRARIES})
    set_property(GLOBAL APPEND PROPERTY MIXT_MODULES mixt_${name})
    set_property(GLOBAL APPEND PROPERTY MIXT_LIBRARIES ${M_LIBRARIES})
endfunction()

# The objects of all modules, and the libraries a program made of them links with.
function(mixt_objects objects_out libraries_out)
    get_property(modules GLOBAL PROPERTY MIXT_MODULES)
    get_property(libraries GLOBAL PROPERTY MIXT_LIBRARIES)
    list(REMOVE_DUPLICATES libraries)
    list(TRANSFORM modules REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>" OUTPUT_VARIABLE objects)
    set(${objects_out} ${objects} PARENT_SCOPE)
    set(${libraries_out} ${libraries} m PARENT_SCOPE)
endfunction()
