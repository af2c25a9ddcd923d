# SPDX-License-Identifier: Apache-2.0
# sallyport_bpf(NAME [VARIANT name DEFINITIONS macro...]): compiles NAME.bpf.c of this folder and
# makes its libbpf skeleton. Link sallyport_bpf_NAME (an INTERFACE library) and include
# "NAME.skel.h". A variant is the same source with other macros: sallyport_bpf_NAME_VARIANT.

find_program(SALLYPORT_BPF_CLANG NAMES clang clang-14 REQUIRED)
find_program(SALLYPORT_BPFTOOL bpftool PATHS /usr/sbin /sbin REQUIRED)

function(sallyport_bpf name)
  cmake_parse_arguments(ARG "" "VARIANT" "DEFINITIONS" ${ARGN})
  set(target sallyport_bpf_${name})
  set(directory "${CMAKE_CURRENT_BINARY_DIR}")
  if(ARG_VARIANT)
    string(APPEND target "_${ARG_VARIANT}")
    string(APPEND directory "/${ARG_VARIANT}")
  endif()
  list(TRANSFORM ARG_DEFINITIONS PREPEND -D)
  set(object "${directory}/${name}.bpf.o")
  set(skeleton "${directory}/include/${name}.skel.h")
  file(MAKE_DIRECTORY "${directory}/include")
  # -mcpu=v3: atomics with fetch, which every kernel from 5.12 on has.
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${SALLYPORT_BPF_CLANG} -target bpf -mcpu=v3 -O2 -g
      -Wall -Wextra -Werror -Wno-unused-parameter ${ARG_DEFINITIONS}
      -I/usr/include/${CMAKE_LIBRARY_ARCHITECTURE}
      -MD -MT ${object} -MF ${object}.d
      -c ${CMAKE_CURRENT_SOURCE_DIR}/${name}.bpf.c -o ${object}
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}.bpf.c
    DEPFILE ${object}.d
    COMMENT "Compiling BPF object ${object}"
    VERBATIM)
  add_custom_command(
    OUTPUT ${skeleton}
    COMMAND sh -c "'${SALLYPORT_BPFTOOL}' gen skeleton '${object}' name ${name} > '${skeleton}'"
    DEPENDS ${object}
    COMMENT "Generating ${skeleton}"
    VERBATIM)
  add_custom_target(${target}_files DEPENDS ${skeleton})
  add_library(${target} INTERFACE)
  add_dependencies(${target} ${target}_files)
  target_include_directories(${target} SYSTEM INTERFACE "${directory}/include")
endfunction()
