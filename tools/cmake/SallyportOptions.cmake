# SPDX-License-Identifier: Apache-2.0
# Language level, warnings, optimisation and sanitizers for every target.

set(SALLYPORT_SANITIZE "" CACHE STRING "Value of -fsanitize= for all targets")
option(SALLYPORT_FUZZ "Build the libFuzzer targets" OFF)
set(SALLYPORT_FUZZ_SECONDS 3 CACHE STRING "How long a fuzz target runs as a test")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_CXX_FLAGS_DEV "-O0 -g1" CACHE STRING "" FORCE)
set(CMAKE_C_FLAGS_DEV "-O0 -g1" CACHE STRING "" FORCE)
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1" CACHE STRING "" FORCE)
set(CMAKE_C_FLAGS_RELEASE "-O2 -g1" CACHE STRING "" FORCE)

find_program(SALLYPORT_CCACHE ccache)
if(SALLYPORT_CCACHE)
  # What ccache asks for where headers are precompiled; and one clone may use what another compiled.
  set(launcher ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros
    CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 CCACHE_ABSSTDERR=1 ${SALLYPORT_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
endif()

add_library(sallyport_options INTERFACE)
target_compile_options(sallyport_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Werror
  # Structures inside anonymous unions, in the ABI headers that C shares; libbpf's options.
  -Wno-nested-anon-types -Wno-gnu-statement-expression -Wno-c99-extensions)
if(SALLYPORT_SANITIZE)
  target_compile_options(sallyport_options INTERFACE
    -fsanitize=${SALLYPORT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(sallyport_options INTERFACE -fsanitize=${SALLYPORT_SANITIZE})
endif()
if(SALLYPORT_FUZZ)
  target_compile_options(sallyport_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
find_program(SALLYPORT_LLD ld.lld)
if(SALLYPORT_LLD)
  target_link_options(sallyport_options INTERFACE -fuse-ld=lld)
endif()
