// SPDX-License-Identifier: Apache-2.0
#include "lab/recipe.h"

#include <algorithm>
#include <utility>

#include "lab/images.h"
#include "lab/recipe_parts.h"

namespace sallyport::lab {
namespace {

class RecipeMaker {
 public:
  RecipeMaker(const Value& pod, const RecipeContext& context)
      : pod_(pod), context_(context), source_{pod, context.objects, context.facts} {}

  Result<PodRecipe> Make() {
    const Value* spec = pod_.Find("spec");
    if (!spec) return Error{"the pod has no spec", 0};
    recipe_.hostname = TextAt(*spec, {"hostname"});
    if (recipe_.hostname.empty()) recipe_.hostname = NameOf(pod_).name.substr(0, 63);
    recipe_.etc = EtcFiles(pod_, recipe_.hostname, context_.facts.pod_ips, context_.cluster);
    recipe_.restart_policy = TextAt(*spec, {"restartPolicy"});
    if (recipe_.restart_policy.empty()) recipe_.restart_policy = "Always";
    if (Status volumes = AddVolumes(spec->Find("volumes")); !volumes)
      return std::move(volumes).error();
    for (bool init : {true, false}) {
      for (const Value& container : Items(spec->Find(init ? "initContainers" : "containers"))) {
        auto made = MakeContainer(container, *spec, RoleOf(container, init));
        if (!made)
          return std::move(made).error().Context("container " + TextAt(container, {"name"}));
        if (made->role == ContainerRole::kInit && made->stand_in) continue;  // it would never end
        (init ? recipe_.init_containers : recipe_.containers).push_back(*std::move(made));
      }
    }
    return std::move(recipe_);
  }

 private:
  void Note(const std::string& container, const std::string& text) {
    recipe_.notes.push_back(NameOf(pod_).ToString() + " " + container + ": " + text);
  }

  Status AddVolumes(const Value* volumes) {
    for (const Value& tree : Items(volumes)) {
      auto volume = MakeVolume(tree, source_);
      if (!volume) return std::move(volume).error().Context("volume " + TextAt(tree, {"name"}));
      if (tree.Find("hostPath"))
        Note("volume " + volume->name, "hostPath is an empty directory in the lab");
      recipe_.volumes.push_back(*std::move(volume));
    }
    return Ok();
  }

  static ContainerRole RoleOf(const Value& container, bool init) {
    if (!init) return ContainerRole::kContainer;
    bool stays = TextAt(container, {"restartPolicy"}) == "Always";
    return stays ? ContainerRole::kSidecar : ContainerRole::kInit;
  }

  Result<ContainerRecipe> MakeContainer(const Value& tree, const Value& spec, ContainerRole role) {
    ContainerRecipe out;
    out.role = role;
    out.name = TextAt(tree, {"name"});
    out.working_dir = TextAt(tree, {"workingDir"});
    out.ports = ContainerPorts(tree);
    auto env = MakeEnvironment(tree, source_);
    if (!env) return std::move(env).error();
    out.env = *std::move(env);
    if (!context_.cluster.api_host.empty())
      out.env.insert(out.env.begin(), {{"KUBERNETES_SERVICE_HOST", context_.cluster.api_host},
                                       {"KUBERNETES_SERVICE_PORT", "443"}});
    for (const char* field : {"runAsUser", "runAsGroup"}) {
      auto id = IntegerAt(tree, {"securityContext", field});
      if (!id) id = IntegerAt(spec, {"securityContext", field});
      if (id) (field[5] == 'U' ? out.uid : out.gid) = static_cast<uint32_t>(*id);
    }
    for (const Value& mount : Items(tree.Find("volumeMounts"))) {
      std::string volume = TextAt(mount, {"name"});
      out.mounts.push_back({volume, TextAt(mount, {"mountPath"}),
                            ExpandVariables(SubPath(mount), out.env),
                            IsTrue(mount.Find("readOnly")) || IsReadOnly(volume)});
    }
    const KnownImage* known = ChooseProgram(tree, &out);
    if (role == ContainerRole::kInit) return out;  // nobody asks whether it is ready
    out.readiness = ParseReadiness(tree.Find("readinessProbe"), out.ports);
    if (out.readiness)
      for (std::string& word : out.readiness->command) word = ExpandVariables(word, out.env);
    if (!out.readiness && (known || (out.stand_in && !out.ports.empty()))) {
      out.readiness = ReadinessCheck{};
      if (known) out.readiness->port = known->port;
    }
    if (const Value* probe = tree.Find("readinessProbe"); probe && probe->Find("grpc"))
      Note(out.name, "its gRPC readiness probe is not made; it is ready when it runs");
    return out;
  }

  bool IsReadOnly(const std::string& volume) const {
    return std::any_of(recipe_.volumes.begin(), recipe_.volumes.end(),
                       [&](const Volume& v) { return v.name == volume && v.read_only; });
  }

  static std::string SubPath(const Value& mount) {
    std::string expr = TextAt(mount, {"subPathExpr"});
    return expr.empty() ? TextAt(mount, {"subPath"}) : expr;
  }

  std::vector<std::string> Expanded(const Value* list, const Environment& env) const {
    std::vector<std::string> out = Texts(list);
    for (std::string& text : out) text = ExpandVariables(text, env);
    return out;
  }

  // Sets argv and stand_in; returns the image when it is its own server that runs.
  const KnownImage* ChooseProgram(const Value& tree, ContainerRecipe* out) {
    std::string image = TextAt(tree, {"image"});
    std::vector<std::string> command = Expanded(tree.Find("command"), out->env);
    std::vector<std::string> args = Expanded(tree.Find("args"), out->env);
    if (!IsStandInImage(image)) {
      if (!command.empty()) {
        if (context_.has_program(command.front())) {
          out->argv = command;
          out->argv.insert(out->argv.end(), args.begin(), args.end());
          return nullptr;
        }
        Note(out->name,
             out->role == ContainerRole::kInit
                 ? "init command " + command.front() + " is not on this machine: left out"
                 : "command " + command.front() +
                       " is not on this machine: a stand-in serves its ports");
      } else if (const KnownImage* known = FindImage(image)) {
        if (context_.has_program(std::string(known->program))) {
          out->argv = ImageArgv(*known, args);
          return known;
        }
        Note(out->name, "a stand-in serves its ports; for the real " + std::string(known->name) +
                            ": apt-get install " + std::string(known->package));
      }
    }
    StandIn(out);
    return nullptr;
  }

  void StandIn(ContainerRecipe* out) {
    out->stand_in = true;
    std::string ports;
    for (const model::ContainerPort& port : out->ports) {
      if (port.protocol == net::Protocol::kSctp) {
        Note(out->name, "port " + std::to_string(port.port) +
                            "/SCTP is served only where the kernel has SCTP sockets");
      }
      if (!ports.empty()) ports += ",";
      ports += std::to_string(port.port) + "/" + net::ToString(port.protocol);
    }
    if (ports.empty()) {
      out->argv = {"/bin/sleep", "infinity"};
      return;
    }
    out->argv = {context_.sallyport,      "probe",   "serve", "--name",
                 NameOf(pod_).ToString(), "--ports", ports};
  }

  const Value& pod_;
  const RecipeContext& context_;
  ValueSource source_;
  PodRecipe recipe_;
};

}  // namespace

Result<PodRecipe> MakeRecipe(const Value& pod, const RecipeContext& context) {
  return RecipeMaker(pod, context).Make();
}

}  // namespace sallyport::lab
