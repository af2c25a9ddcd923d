# SPDX-License-Identifier: Apache-2.0
# sallyport_bpf(NAME): compiles NAME.bpf.c of this folder and makes its libbpf skeleton.
# Link sallyport_bpf_NAME (an INTERFACE library) and include "NAME.skel.h".

find_program(SALLYPORT_BPF_CLANG NAMES clang clang-14 REQUIRED)
find_program(SALLYPORT_BPFTOOL bpftool PATHS /usr/sbin /sbin REQUIRED)

function(sallyport_bpf name)
  set(object "${CMAKE_CURRENT_BINARY_DIR}/${name}.bpf.o")
  set(skeleton "${CMAKE_CURRENT_BINARY_DIR}/include/${name}.skel.h")
  # -mcpu=v3: atomics with fetch, which every kernel from 5.12 on has.
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${SALLYPORT_BPF_CLANG} -target bpf -mcpu=v3 -O2 -g
      -Wall -Wextra -Werror -Wno-unused-parameter
      -I/usr/include/${CMAKE_LIBRARY_ARCHITECTURE}
      -MD -MT ${object} -MF ${object}.d
      -c ${CMAKE_CURRENT_SOURCE_DIR}/${name}.bpf.c -o ${object}
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}.bpf.c
    DEPFILE ${object}.d
    COMMENT "Compiling BPF object ${name}.bpf.o"
    VERBATIM)
  add_custom_command(
    OUTPUT ${skeleton}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_CURRENT_BINARY_DIR}/include
    COMMAND sh -c "'${SALLYPORT_BPFTOOL}' gen skeleton '${object}' name ${name} > '${skeleton}'"
    DEPENDS ${object}
    COMMENT "Generating ${name}.skel.h"
    VERBATIM)
  add_custom_target(sallyport_bpf_${name}_files DEPENDS ${skeleton})
  add_library(sallyport_bpf_${name} INTERFACE)
  add_dependencies(sallyport_bpf_${name} sallyport_bpf_${name}_files)
  target_include_directories(sallyport_bpf_${name} SYSTEM INTERFACE
    ${CMAKE_CURRENT_BINARY_DIR}/include)
endfunction()
