# SPDX-License-Identifier: Apache-2.0
# In a virtual machine of its own: beside the tests that share this kernel.
sallyport_program(old_kernel_guest SOURCES old_kernel/guest.cc)
sallyport_test(old-kernel LABEL bpf
  SOURCES old_kernel/old_kernel_test.cc
  DEPS sallyport_test_places
  COST 200 TIMEOUT 840)
add_dependencies(bpf_old-kernel old_kernel_guest bpf_packets bpf_start bpf_traffic
  bpf_upgrade)
