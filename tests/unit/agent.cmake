# SPDX-License-Identifier: Apache-2.0
sallyport_test(endpoint LABEL unit
  SOURCES
    agent/cni_result_test.cc
    agent/cni_watch_test.cc
    agent/device_filter_test.cc
    agent/link_table_test.cc
    agent/netlink_test.cc
    agent/spent_results_test.cc
    agent/tracker_test.cc
  DEPS sallyport_endpoint)

sallyport_test(control LABEL unit
  SOURCES
    agent/config_test.cc
    agent/drops_test.cc
    agent/egress_status_test.cc
    agent/egress_views_test.cc
    agent/home_test.cc
    agent/own_addresses_test.cc
    agent/reconcile_loop_test.cc
    agent/reconciler_test.cc
    agent/refusals_test.cc
    agent/steward_test.cc
    agent/upkeep_test.cc
    agent/waiting_test.cc
  DEPS sallyport_config sallyport_control)

sallyport_test(observe LABEL unit
  SOURCES agent/egress_view_test.cc agent/metrics_test.cc agent/observe_test.cc
  DEPS sallyport_observe sallyport_endpoint)
