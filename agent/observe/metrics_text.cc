// SPDX-License-Identifier: Apache-2.0
// The names, types and helps of all metrics: what daemonset/monitoring builds on.
#include <chrono>
#include <cstdio>

#include "abi/verdict.h"
#include "base/version.h"
#include "observe/measures.h"

namespace sallyport::observe {
namespace {

using Labels = std::vector<std::pair<const char*, std::string>>;
constexpr const char* kDirections[] = {"egress", "ingress"};

// Of label values: the format's three escapes; what else a name holds stays.
std::string Escaped(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else {
      if (c == '\\' || c == '"') out += '\\';
      out += c;
    }
  }
  return out;
}

std::string Number(uint64_t value) { return std::to_string(value); }
std::string Number(double value) {
  char text[40];
  snprintf(text, sizeof(text), "%.15g", value);
  return text;
}
std::string Number(bool value) { return value ? "1" : "0"; }

class Exposition {
 public:
  void Family(std::string name, const char* type, const char* help) {
    name_ = std::move(name);
    text_ += "# HELP " + name_ + " " + help + "\n# TYPE " + name_ + " " + type + "\n";
  }
  template <typename Value>
  void Sample(const Labels& labels, Value value, const char* suffix = "") {
    std::string inner;
    for (const auto& [label, text] : labels) {
      inner += (inner.empty() ? "" : ",") + std::string(label) + "=\"" + Escaped(text) + "\"";
    }
    text_ += name_ + suffix + (inner.empty() ? "" : "{" + inner + "}") + " " + Number(value) + "\n";
  }
  // A family of one sample without labels.
  template <typename Value>
  void Gauge(const char* name, Value value, const char* help) {
    Family(name, "gauge", help);
    Sample({}, value);
  }
  void Counter(const char* name, uint64_t value, const char* help) {
    Family(name, "counter", help);
    Sample({}, value);
  }
  void Add(const char* name, const Histogram& histogram, const char* help) {
    Family(name, "histogram", help);
    for (size_t i = 0; i < Histogram::kBounds.size(); ++i) {
      Sample({{"le", Number(Histogram::kBounds[i])}}, histogram.UpTo(i), "_bucket");
    }
    Sample({{"le", "+Inf"}}, histogram.count(), "_bucket");
    Sample({}, histogram.sum(), "_sum");
    Sample({}, histogram.count(), "_count");
  }
  std::string TakeText() { return std::move(text_); }

 private:
  std::string name_;
  std::string text_;
};

void AddState(const MetricsView& view, Exposition& out) {
  out.Gauge("sallyport_ready", view.ready, "Whether all that is known is in force (/readyz).");
  out.Gauge("sallyport_not_ready_reasons", uint64_t{view.reasons.size()},
            "Reasons why the agent is not ready (/readyz names them).");
  out.Gauge("sallyport_generation", uint64_t{view.generation},
            "Number of the policy that is in force; each change counts it on.");
  out.Gauge("sallyport_diagnostics", uint64_t{view.diagnostics},
            "Objects and files with something wrong (sallyport status names them).");
  out.Family("sallyport_objects", "gauge", "Objects of the cluster that the agent knows.");
  for (const auto& [kind, count] : view.objects) out.Sample({{"kind", kind}}, count);
  out.Gauge("sallyport_linux_nodes", view.linux_nodes,
            "Nodes of the cluster that the DaemonSet selects: label kubernetes.io/os=linux.");
  out.Family("sallyport_endpoints", "gauge",
             "Guarded pod interfaces: open ones enforce policy; closed ones wait for it; unclaimed "
             "ones are nobody's yet.");
  out.Sample({{"state", "open"}}, uint64_t{view.open});
  out.Sample({{"state", "closed"}}, uint64_t{view.closed});
  out.Sample({{"state", "unclaimed"}}, uint64_t{view.unclaimed});
  out.Family("sallyport_table_entries", "gauge",
             "Entries in use of a kernel table; of \"events\", which wait to be read, bytes.");
  for (const TableView& table : view.tables) out.Sample({{"table", table.name}}, table.used);
  out.Family(
      "sallyport_table_capacity_entries", "gauge",
      "Entries that a kernel table has room for; when full, the answer is deny. \"events\": bytes; "
      "when full, drops are only counted.");
  for (const TableView& table : view.tables) out.Sample({{"table", table.name}}, table.capacity);
  out.Family("sallyport_table_left_out", "gauge",
             "Entries that found no place in a kernel table: what they would allow is denied.");
  for (const TableView& table : view.tables) out.Sample({{"table", table.name}}, table.left_out);
}

void AddPrograms(const MetricsView& view, Exposition& out) {
  out.Gauge(
      "sallyport_interfaces_disturbed", view.disturbed,
      "Interfaces where the agent's programs are missing or not first at this moment: packets "
      "may pass there unjudged (/readyz names them).");
  out.Family("sallyport_programs_put_back_total", "counter",
             "How often the programs of an interface were put back: after somebody took them off "
             "(missing), or put another program before them (displaced).");
  out.Sample({{"after", "missing"}}, view.missing_put_back);
  out.Sample({{"after", "displaced"}}, view.displaced_put_back);
}

void AddTraffic(const MetricsView& view, Exposition& out) {
  out.Family("sallyport_packets_total", "counter",
             "Packets that were let through at endpoints, by the pod's direction.");
  for (int d : {0, 1}) out.Sample({{"direction", kDirections[d]}}, view.traffic.packets()[d]);
  out.Family("sallyport_bytes_total", "counter",
             "Bytes of packets that were let through at endpoints, by the pod's direction.");
  for (int d : {0, 1}) out.Sample({{"direction", kDirections[d]}}, view.traffic.bytes()[d]);
  out.Family("sallyport_drops_total", "counter",
             "Packets that were dropped at endpoints, by the pod's direction and the reason.");
  for (int d : {0, 1}) {
    const auto& dropped = view.traffic.dropped()[d];
    // From 0 on, so that a first drop is seen as a rise.
#define SP_X(number, name, text, help)                            \
  {                                                               \
    auto it = dropped.find(text);                                 \
    out.Sample({{"direction", kDirections[d]}, {"reason", text}}, \
               it == dropped.end() ? uint64_t{0} : it->second);   \
  }
    SP_DROP_REASONS(SP_X)
#undef SP_X
  }
  out.Gauge(
      "sallyport_flows_kept", view.flows_kept,
      "Flows that stay although policy allows no new one like them (sallyport.io/established: "
      "keep).");
  out.Counter("sallyport_drop_events_total", view.events,
              "Drops that were reported with names (log, sallyport events).");
  out.Family("sallyport_drop_events_suppressed_total", "counter",
             "Drops that were counted but not reported: where they were too many.");
  out.Sample({{"where", "kernel"}}, view.traffic.events_suppressed());
  out.Sample({{"where", "agent"}}, view.events_lost);
}

void AddTimings(const Timings& timings, Exposition& out) {
  out.Add("sallyport_compile_duration_seconds", timings.compile,
          "Time to compile a change of objects.");
  out.Add("sallyport_apply_duration_seconds", timings.apply,
          "Time to bring a change into the kernel's tables.");
  out.Add("sallyport_enforcement_delay_seconds", timings.delay,
          "Time from the agent's hearing of a change to its being in force.");
  out.Counter("sallyport_reconcile_failures_total", timings.failures,
              "Steps towards what is known that failed, and are tried again.");
}

// One family for all watches: `value` of each.
template <typename Value>
void AddWatch(const MetricsView& view, Exposition& out, const char* name, const char* type,
              const char* help, Value value) {
  out.Family(name, type, help);
  for (const WatchView& watch : view.watches) {
    out.Sample({{"resource", watch.resource}}, value(watch));
  }
}

void AddWatches(const MetricsView& view, Exposition& out) {
  using Watch = WatchView;
  AddWatch(view, out, "sallyport_watch_installed", "gauge",
           "Whether the API server has the resource.",
           [](const Watch& watch) { return watch.installed; });
  AddWatch(view, out, "sallyport_watch_synced", "gauge",
           "Whether the resource has been listed completely.",
           [](const Watch& watch) { return watch.synced; });
  AddWatch(view, out, "sallyport_watch_connected", "gauge",
           "Whether a watch of the resource is open.",
           [](const Watch& watch) { return watch.connected; });
  AddWatch(view, out, "sallyport_watch_last_event_timestamp_seconds", "gauge",
           "When the API server last told something about the resource, bookmarks included.",
           [](const Watch& watch) {
             if (!watch.last_event) return 0.0;
             return std::chrono::duration<double>(watch.last_event->time_since_epoch()).count();
           });
  AddWatch(view, out, "sallyport_watch_events_total", "counter",
           "Changes that were told, bookmarks included.",
           [](const Watch& watch) { return watch.events; });
  AddWatch(view, out, "sallyport_watch_reconnects_total", "counter",
           "Watches that were opened after the first.",
           [](const Watch& watch) { return watch.reconnects; });
  AddWatch(view, out, "sallyport_watch_relists_total", "counter", "Complete lists after the first.",
           [](const Watch& watch) { return watch.relists; });
  AddWatch(view, out, "sallyport_watch_errors_total", "counter",
           "Requests that failed, and watches that ended in an error.",
           [](const Watch& watch) { return watch.errors; });
}

// One family for all egress IPs: `value` of each.
template <typename Value>
void AddPerIp(const EgressView& view, Exposition& out, const char* name, const char* type,
              const char* help, Value value) {
  out.Family(name, type, help);
  for (const EgressAddressView& ip : view.addresses) {
    out.Sample({{"address", ip.ip.ToString()}}, value(ip));
  }
}

void AddPorts(const EgressView& view, Exposition& out) {
  using Ip = EgressAddressView;
  AddPerIp(view, out, "sallyport_egress_ports", "gauge",
           "Ports of an egress IP that this node may give; each serves many remotes.",
           [](const Ip& ip) { return ip.ports; });
  AddPerIp(view, out, "sallyport_egress_ports_in_use", "gauge",
           "Those that the busiest remote takes, or took within the last minute.",
           [](const Ip& ip) { return ip.busiest; });
  AddPerIp(view, out, "sallyport_egress_flows", "gauge",
           "Flows of this node through an egress IP that are alive.",
           [](const Ip& ip) { return ip.live; });
  AddPerIp(view, out, "sallyport_egress_flows_opened_total", "counter",
           "Flows of this node that got a port.", [](const Ip& ip) { return ip.opened; });
  AddPerIp(view, out, "sallyport_egress_flows_refused_total", "counter",
           "Attempts to begin a flow that found no port, and were dropped.",
           [](const Ip& ip) { return ip.refused; });
  AddPerIp(view, out, "sallyport_egress_ports_hurried_total", "counter",
           "Ports given again while the last remote may still wait: its answer may take a second.",
           [](const Ip& ip) { return ip.hurried; });
  out.Family("sallyport_egress_seconds_to_exhaustion", "gauge",
             "When the busiest remote will have all ports, as its use has risen lately; no sample "
             "while it does not rise.");
  for (const Ip& ip : view.addresses) {
    if (!ip.seconds_to_exhaustion) continue;
    out.Sample({{"address", ip.ip.ToString()}}, *ip.seconds_to_exhaustion);
  }
}

void AddGateway(const EgressView& view, Exposition& out) {
  using Ip = EgressAddressView;
  AddPerIp(view, out, "sallyport_egress_held", "gauge",
           "Whether this node holds the egress IP: it is on an interface here.",
           [](const Ip& ip) { return ip.held_here; });
  AddPerIp(view, out, "sallyport_egress_gateway_known", "gauge",
           "Whether this node knows a gateway for the egress IP; if not, what is pinned to it is "
           "dropped.",
           [](const Ip& ip) { return !ip.via.empty(); });
  const auto both_ways = [&](const char* name, const char* help, auto outwards, auto inwards) {
    out.Family(name, "counter", help);
    for (const Ip& ip : view.addresses) {
      out.Sample({{"address", ip.ip.ToString()}, {"direction", "out"}}, ip.*outwards);
      out.Sample({{"address", ip.ip.ToString()}, {"direction", "in"}}, ip.*inwards);
    }
  };
  both_ways("sallyport_egress_forwarded_packets_total",
            "Packets that this node forwarded as a gateway, to the outside and from there.",
            &Ip::packets_out, &Ip::packets_in);
  both_ways("sallyport_egress_forwarded_bytes_total",
            "Bytes of packets that this node forwarded as a gateway.", &Ip::bytes_out,
            &Ip::bytes_in);
  AddPerIp(view, out, "sallyport_egress_strangers_total", "counter",
           "Packets from outside to an egress IP that were of no flow, dropped without an answer.",
           [](const Ip& ip) { return ip.strangers; });
  AddPerIp(view, out, "sallyport_egress_foreign_total", "counter",
           "Packets in the tunnel that were not from a node whose ports they had, dropped.",
           [](const Ip& ip) { return ip.foreign; });
  out.Counter("sallyport_egress_takeovers_total", view.takeovers,
              "How often this node took an egress IP over.");
}

void AddProcess(const ProcessView& process, Exposition& out) {
  out.Family("process_cpu_seconds_total", "counter", "User and system time spent.");
  out.Sample({}, process.cpu_seconds);
  out.Gauge("process_resident_memory_bytes", process.resident_bytes, "Resident memory.");
  out.Gauge("process_virtual_memory_bytes", process.virtual_bytes, "Virtual memory.");
  out.Gauge("process_open_fds", process.open_files, "Open file descriptors.");
  out.Gauge("process_max_fds", process.most_files, "File descriptors that may be open.");
  out.Gauge("process_threads", process.threads, "Threads.");
  out.Gauge("process_start_time_seconds", process.start, "When the process began, since 1970.");
}

}  // namespace

std::string MetricsText(const MetricsView* view, bool responding, const ProcessView& process) {
  Exposition out;
  out.Family("sallyport_build_info", "gauge", "The agent's version; always 1.");
  out.Sample({{"version", kVersion}}, uint64_t{1});
  out.Gauge("sallyport_reconciler_responding", responding,
            "Whether the thread that enforces answers (/healthz); if not, what follows is old.");
  AddProcess(process, out);
  if (view != nullptr) {
    AddState(*view, out);
    AddPrograms(*view, out);
    AddTraffic(*view, out);
    AddTimings(view->timings, out);
    out.Gauge("sallyport_policy_waiting_seconds",
              std::chrono::duration<double>(view->waiting).count(),
              "How long the oldest change has been waiting to come into force; 0: none waits.");
    AddWatches(*view, out);
    AddPorts(view->egress, out);
    AddGateway(view->egress, out);
  }
  return out.TakeText();
}

}  // namespace sallyport::observe
