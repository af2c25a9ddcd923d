// SPDX-License-Identifier: Apache-2.0
#include "lab/commands.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

#include "lab/command_parts.h"
#include "lab/exec.h"
#include "lab/guard.h"
#include "lab/lab.h"
#include "lab/report.h"
#include "lab/settle.h"

namespace sallyport::lab {
namespace {

constexpr const char* kAbout =
    "Several nodes, pods and an outside world on this machine, from ordinary manifests";
constexpr const char* kFooter = R"(
Nodes, pods and the outside are network namespaces; pods get their network from real CNI plugins;
containers run as processes: their command, or a stand-in that answers on the declared ports.

Examples:
  sudo -s                               all of it as root: the kubeconfig is root's
  sallyport lab up -f shop/             make it
  export KUBECONFIG=$(sallyport lab kubeconfig)
  kubectl apply -f policy.yaml          change it while it runs
  sallyport lab exec shop/web -- curl http://api:8080/
  sallyport lab status
  sallyport lab down)";

// What `lab up` and its like are asked for, as text.
struct UpWords {
  UpOptions options;
  std::vector<std::string> pod_networks;
  std::vector<std::string> node_networks;
  std::vector<std::string> outside_networks;
  std::vector<std::string> outside_addresses;
  std::vector<std::string> egress_networks;
  std::vector<std::string> service_networks;
  int patience = 60;
  bool no_agent = false;
  bool no_dns = false;
};

// A family that is given replaces the default of that family; the other stays.
Status TakeNetworks(const std::vector<std::string>& texts, const char* flag,
                    std::vector<net::Cidr>* networks) {
  for (const std::string& text : texts) {
    auto cidr = net::Cidr::Parse(text);
    if (!cidr) return std::move(cidr).error().Context(flag);
    // In its place: the first family is the one that Services have if they do not say.
    auto old = std::find_if(networks->begin(), networks->end(),
                            [&](const net::Cidr& one) { return one.IsV4() == cidr->IsV4(); });
    if (old == networks->end()) old = networks->insert(old, *cidr);
    *old = *cidr;
  }
  return Ok();
}

Status Understand(UpWords* words) {
  UpOptions& options = words->options;
  if (options.nodes && (*options.nodes < 1 || *options.nodes > 100))
    return Error{"--nodes: 1 to 100", 0};
  if (words->patience < 0) return Error{"--timeout: seconds, 0 or more", 0};
  options.agents = !words->no_agent;
  options.dns = !words->no_dns;
  options.patience = std::chrono::seconds(words->patience);
  Networks& networks = options.networks;
  Status done = TakeNetworks(words->pod_networks, "--pod-network", &networks.pods);
  if (done) done = TakeNetworks(words->node_networks, "--node-network", &networks.nodes);
  if (done) done = TakeNetworks(words->outside_networks, "--outside-network", &networks.outside);
  if (done) done = TakeNetworks(words->service_networks, "--service-network", &networks.services);
  if (done) done = TakeNetworks(words->egress_networks, "--egress-network", &networks.egress);
  for (const std::string& text : words->outside_addresses) {
    auto address = net::Address::Parse(text);
    if (!address) return std::move(address).error().Context("--outside-address");
    networks.outside_addresses.push_back(*address);
  }
  return done;
}

Status Settle(const std::string& name, Duration patience, DeadAgents dead) {
  auto state = LoadWholeState(name);
  if (!state) return std::move(state).error();
  return WaitSettled(*state, patience, dead, ProcessConsole());
}

int RunUp(UpWords* words) {
  Console console = ProcessConsole();
  if (Status good = Understand(words); !good) return FailWith(good.error());
  MonotonicTime start = SystemClock().Now();
  auto outcome = Up(words->options, console);
  if (!outcome) return FailWith(outcome.error());
  ReportOutcome(words->options.name, *outcome, console);
  Status settled = Settle(words->options.name, words->options.patience, DeadAgents::kFail);
  auto took = std::chrono::duration_cast<std::chrono::milliseconds>(SystemClock().Now() - start);
  auto well = ReportStatus(words->options.name, false, console);
  if (!well) return FailWith(well.error());
  if (!settled) console.Fail(settled.error().message);
  bool good = outcome->ok() && settled;
  console.out << "\nexport KUBECONFIG=" << Layout(words->options.name).kubeconfig() << std::endl;
  console.err << "lab " << words->options.name << " is up"
              << (good ? "" : ", but not all of it is ready") << " ("
              << static_cast<double>(took.count() / 100) / 10 << " s)" << std::endl;
  return good ? kYes : kNo;
}

// The options that `up` and `test` share.
void AddUpOptions(CLI::App* command, UpWords* words) {
  UpOptions& options = words->options;
  command->add_option("-f,--filename", options.paths, "Manifests: files or directories")
      ->required();
  AddName(command, &options.name);
  command->add_option("--cni", options.cni, "Plugin that wires the pods: ptp or bridge")
      ->check(CLI::IsMember({"ptp", "bridge"}));
  command->add_option("--nodes", options.nodes,
                      "Nodes to invent where the manifests have none (default: 2, or as many as "
                      "anti-affinity needs)");
  CLI::Option* agent = command->add_option("--agent", options.agent, "Path of sallyportd");
  command->add_flag("--no-agent", words->no_agent, "No agents: nothing is enforced")
      ->excludes(agent);
  command->add_option("--pod-network,--pod-cidr", words->pod_networks,
                      "Where nodes' pod ranges come from, one a family (default: 10.244.0.0/16 "
                      "fd00:10:244::/48)");
  command->add_option("--node-network,--node-cidr", words->node_networks,
                      "Where nodes' addresses come from (default: 172.30.0.0/24 "
                      "fd00:172:30::/64)");
  command->add_option("--outside-network", words->outside_networks,
                      "The outside's network (default: 198.51.100.0/24 2001:db8:100::/64; the "
                      "outside has address 10 in it)");
  command->add_option("--outside-address", words->outside_addresses,
                      "More addresses that the outside has");
  command->add_option("--egress-network", words->egress_networks,
                      "Where egress IPs come from, on the nodes' network (default: 203.0.113.0/24 "
                      "2001:db8:ffff::/64)");
  command->add_option("--service-network,--service-cidr", words->service_networks,
                      "Where Services' addresses come from (default: 10.96.0.0/16 "
                      "fd00:10:96::/112)");
  command
      ->add_option("--proxy", options.proxy,
                   "How Services are translated: nftables, iptables or none")
      ->check(CLI::IsMember({"nftables", "iptables", "none"}));
  command->add_flag("--no-dns", words->no_dns, "No cluster DNS");
  command->add_option("--hosts", options.hosts,
                      "Files like /etc/hosts: names outside that cluster DNS knows");
  command->add_option("--peer", options.peers,
                      "Labs that are up, to be wired to this one: nodes and pods reach each other");
  CLI::Option* kubeconfig = command->add_option(
      "--kubeconfig", options.kubeconfig,
      "Join the nodes to the API server of this kubeconfig, in place of one of the lab's own");
  command
      ->add_flag("--controllers", options.controllers,
                 "Run the lab's controllers there too (default: its own do the work)")
      ->needs(kubeconfig);
  command->add_option("--timeout", words->patience,
                      "Seconds to wait for pods and agents to become ready (default: 60)");
}

void AddUp(CLI::App& lab, int* exit_code) {
  auto words = std::make_shared<UpWords>();
  CLI::App* command = AddCommand(lab, "up", "Make a lab from manifests", exit_code,
                                 [words] { return RunUp(words.get()); });
  AddUpOptions(command, words.get());
}

struct TestWords : UpWords {
  std::string expect;
  std::string output = "table";
  bool outside = false;
  bool keep = false;
};

// Everything of `lab test` between up and down.
int RunMatrix(const TestWords& words, const Outcome& outcome, const Matrix& matrix) {
  const std::string& name = words.options.name;
  ReportOutcome(name, outcome, ProcessConsole());
  if (!outcome.ok()) return FailWith({"not every pod is ready: nothing was tested", 0});
  if (Status settled = Settle(name, words.options.patience, DeadAgents::kFail); !settled)
    return FailWith(settled.error());
  return matrix({name, words.expect, words.outside, words.output == "json"});
}

int RunTest(TestWords* words, const Matrix& matrix) {
  if (Status good = Understand(words); !good) return FailWith(good.error());
  auto outcome = Up(words->options, ProcessConsole());
  if (!outcome) return FailWith(outcome.error());
  int code = RunMatrix(*words, *outcome, matrix);
  if (words->keep) return code;
  if (Status down = Down(words->options.name, ProcessConsole()); !down)
    return FailWith(down.error());
  return code;
}

void AddTest(CLI::App& lab, int* exit_code, const Matrix& matrix) {
  auto words = std::make_shared<TestWords>();
  words->options.name = "test";
  CLI::App* command = AddCommand(
      lab, "test", "Make a lab, try every path, compare with the verdicts, take it away", exit_code,
      [words, matrix] { return RunTest(words.get(), matrix); }, R"(
Every pod is probed from every pod on every declared port, and each answer is held against what
`sallyport explain` says of it, and against the expect file if there is one.
Exit code: 0 all agree, 1 some do not, 2 could not tell.)");
  AddUpOptions(command, words.get());
  command->add_option("--expect", words->expect, "The reachability that there must be");
  command->add_flag("--outside", words->outside, "Probe from and to the outside as well");
  command->add_flag("--keep", words->keep, "Leave the lab up");
  command->add_option("-o,--output", words->output, "table or json")
      ->check(CLI::IsMember({"table", "json"}));
}

void AddDown(CLI::App& lab, int* exit_code) {
  struct Words {
    std::string name = kDefaultLab;
    bool all = false;
  };
  auto words = std::make_shared<Words>();
  CLI::App* command =
      AddCommand(lab, "down", "Take a lab away, whatever state it is in", exit_code, [words] {
        std::vector<std::string> names = {words->name};
        if (words->all) names = ListLabs();
        int code = kYes;
        for (const std::string& name : names)
          if (Status down = Down(name, ProcessConsole()); !down) code = FailWith(down.error());
        return code;
      });
  CLI::Option* name = AddName(command, &words->name);
  command->add_flag("--all", words->all, "Every lab on this machine")->excludes(name);
}

int FinishChange(const std::string& name, const Result<Outcome>& outcome) {
  if (!outcome) return FailWith(outcome.error());
  ReportOutcome(name, *outcome, ProcessConsole());
  if (Status settled = Settle(name, kSettleWithin, DeadAgents::kLeaveOut); !settled)
    return FailWith(settled.error());
  return outcome->ok() ? kYes : kNo;
}

void AddApply(CLI::App& lab, int* exit_code) {
  auto options = std::make_shared<UpOptions>();
  CLI::App* command = AddCommand(
      lab, "apply", "Add objects to a running lab, or replace them", exit_code, [options] {
        return FinishChange(options->name, Apply(options->name, options->paths, ProcessConsole()));
      });
  AddName(command, &options->name);
  command->add_option("-f,--filename", options->paths, "Manifests: files or directories")
      ->required();
}

struct DeleteWords {
  std::string name = kDefaultLab;
  std::vector<std::string> paths;
  std::vector<std::string> words;  // KIND NAME...
  std::string ns = "default";
};

Result<std::vector<ObjectKey>> KeysOf(const DeleteWords& words) {
  std::vector<ObjectKey> keys;
  if (!words.paths.empty()) {
    auto read = ReadObjects(words.paths);
    if (!read) return std::move(read).error();
    for (const auto& [key, object] : read->objects) keys.push_back(key);
  } else if (words.words.size() < 2) {
    return Error{"say what to delete: -f PATH, or KIND NAME (KIND NAMESPACE/NAME)", 0};
  }
  for (size_t i = 1; i < words.words.size(); ++i) {
    ObjectKey key{CanonicalKind(words.words.front()), {words.ns, words.words[i]}};
    if (size_t slash = key.name.name.find('/'); slash != std::string::npos)
      key.name = {key.name.name.substr(0, slash), key.name.name.substr(slash + 1)};
    if (IsClusterScoped(key.kind)) key.name.ns.clear();
    keys.push_back(std::move(key));
  }
  return keys;
}

void AddDelete(CLI::App& lab, int* exit_code) {
  auto words = std::make_shared<DeleteWords>();
  CLI::App* command =
      AddCommand(lab, "delete", "Take objects out of a running lab", exit_code, [words] {
        auto keys = KeysOf(*words);
        if (!keys) return FailWith(keys.error());
        return FinishChange(words->name, Delete(words->name, *keys, ProcessConsole()));
      });
  AddName(command, &words->name);
  command->add_option("-f,--filename", words->paths, "Manifests of what is to go");
  command->add_option("-n,--namespace", words->ns, "Namespace of the names (default: default)");
  command->add_option("what", words->words, "KIND NAME...");
}

void AddExec(CLI::App& lab, int* exit_code) {
  struct Words {
    std::string name = kDefaultLab;
    ExecTarget target;
    std::string first;  // the pod; where another place is named, the command
    std::vector<std::string> rest;
  };
  auto words = std::make_shared<Words>();
  auto run = [words] {
    std::vector<std::string> command = words->rest;
    bool in_pod = words->target.node.empty() && !words->target.outside;
    if (in_pod)
      words->target.pod = words->first;
    else if (!words->first.empty())
      command.insert(command.begin(), words->first);
    if (command.empty())
      return FailWith({"say what to run: lab exec POD -- COMMAND (or --node NODE, --outside)", 0});
    auto code = Exec(words->name, words->target, command);
    return code ? *code : FailWith(code.error());
  };
  CLI::App* command =
      AddCommand(lab, "exec", "Run a command in a pod, on a node or outside", exit_code, run, R"(
Examples:
  sallyport lab exec shop/web -- curl -s http://10.244.2.2:8080/
  sallyport lab exec --node node1 -- ip route
  sallyport lab exec --outside -- ping -c 1 172.30.0.11)");
  AddName(command, &words->name);
  CLI::Option* node = command->add_option("--node", words->target.node, "On this node");
  command->add_flag("--outside", words->target.outside, "Outside")->excludes(node);
  command->add_option("-c,--container", words->target.container,
                      "Container of the pod (default: the first)");
  command->add_option("pod", words->first,
                      "NAMESPACE/NAME, a name alone, or that of a workload (its first pod)");
  command->add_option("command", words->rest, "What to run, behind --");
}

void AddViews(CLI::App& lab, int* exit_code) {
  struct Words {
    std::string name = kDefaultLab;
    std::string output = "table";
  };
  auto words = std::make_shared<Words>();
  CLI::App* status =
      AddCommand(lab, "status", "Nodes, agents and pods of a lab (1: something is not well)",
                 exit_code, [words] {
                   auto well = ReportStatus(words->name, words->output == "json", ProcessConsole());
                   if (!well) return FailWith(well.error());
                   return *well ? kYes : kNo;
                 });
  AddName(status, &words->name);
  CLI::App* list = AddCommand(lab, "list", "The labs on this machine", exit_code, [words] {
    ReportLabs(words->output == "json", ProcessConsole());
    return kYes;
  });
  for (CLI::App* command : {status, list})
    command->add_option("-o,--output", words->output, "table or json")
        ->check(CLI::IsMember({"table", "json"}));
}

}  // namespace

void AddCommands(CLI::App& app, int* exit_code, Matrix matrix) {
  CLI::App* lab = app.add_subcommand("lab", kAbout);
  lab->footer(kFooter);
  lab->require_subcommand(1);
  AddUp(*lab, exit_code);
  AddDown(*lab, exit_code);
  AddApply(*lab, exit_code);
  AddDelete(*lab, exit_code);
  AddExec(*lab, exit_code);
  AddViews(*lab, exit_code);
  AddDaemonCommands(*lab, exit_code);
  if (matrix) AddTest(*lab, exit_code, matrix);
}

}  // namespace sallyport::lab
