// SPDX-License-Identifier: Apache-2.0
#include "control/config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <fstream>
#include <iterator>

#include "control/options.h"

namespace sallyport::control {
namespace {

constexpr std::string_view kPrefix = "SALLYPORT_";
constexpr size_t kHelpWidth = 78;

// A value, and where it was given, for messages.
struct Given {
  std::string value;
  std::string where;  // "--mark", "SALLYPORT_MARK", "/etc/sallyport.yaml:3: mark"
};

struct Reading {
  std::map<std::string, Given> values;  // by option
  std::vector<std::string> errors;
  std::vector<std::string> warnings;
};

std::string Unknown(const std::string& name) {
  const Option* nearest = NearestOption(name);
  return "there is no such option" +
         (nearest ? "; did you mean " + nearest->name + "?" : "; see sallyportd --help");
}

std::string EnvironmentName(const std::string& option) {
  std::string out(kPrefix);
  for (char c : option) {
    out += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return out;
}

void ReadFlags(const std::vector<std::string>& arguments, Reading& reading) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "-h") {
      reading.values["help"] = {"true", argument};
      continue;
    }
    if (!argument.starts_with("--") || argument.size() == 2) {
      reading.errors.push_back(argument + ": sallyportd takes options only, --name=value");
      continue;
    }
    size_t equals = argument.find('=');
    std::string name = argument.substr(2, equals == std::string::npos ? equals : equals - 2);
    const Option* option = FindOption(name);
    if (!option) {
      reading.errors.push_back("--" + name + ": " + Unknown(name));
      continue;
    }
    Given given{"true", "--" + name};
    bool optional = option->argument.empty() || option->argument == "BOOL";
    bool next_is_value = i + 1 < arguments.size() && !arguments[i + 1].starts_with("--");
    if (equals != std::string::npos) {
      given.value = argument.substr(equals + 1);
    } else if (next_is_value && !option->argument.empty()) {
      given.value = arguments[++i];
    } else if (!optional) {
      reading.errors.push_back("--" + name + ": needs a value: --" + name + " " + option->argument);
      continue;
    }
    reading.values[name] = given;
  }
}

// An unknown name is a warning only: Kubernetes puts SALLYPORT_SERVICE_HOST and the like into the
// environment of every pod next to a Service called sallyport.
void ReadEnvironment(const std::map<std::string, std::string>& environment, Reading& reading) {
  for (const auto& [variable, value] : environment) {
    if (!variable.starts_with(kPrefix)) continue;
    std::string name = variable.substr(kPrefix.size());
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) {
      return c == '_' ? '-' : static_cast<char>(std::tolower(c));
    });
    const Option* option = FindOption(name);
    if (option && !option->flag_only) {
      reading.values.try_emplace(name, Given{value, variable});
    } else if (const Option* nearest = NearestOption(name)) {
      reading.warnings.push_back(variable + " is not used; did you mean " +
                                 EnvironmentName(nearest->name) + "?");
    }
  }
}

void ReadMember(const std::string& file, const YAML::Node& key, const YAML::Node& value,
                Reading& reading) {
  std::string name = key.IsScalar() ? key.Scalar() : "";
  std::string where = file + ":" + std::to_string(key.Mark().line + 1) + ": " + name;
  const Option* option = FindOption(name);
  if (!option) {
    reading.errors.push_back(where + ": " + Unknown(name));
  } else if (option->flag_only || name == "config") {
    reading.errors.push_back(where + ": this is a flag only: sallyportd --" + name);
  } else if (!value.IsScalar()) {
    reading.errors.push_back(where + ": needs one value: " + name + ": " + option->argument);
  } else {
    reading.values.try_emplace(name, Given{value.Scalar(), where});
  }
}

void ReadMembers(const std::string& file, const std::string& text, Reading& reading) {
  try {
    YAML::Node root = YAML::Load(text);
    if (root.IsNull()) return;
    if (!root.IsMap()) {
      reading.errors.push_back(file + ": not a mapping; write `name: value` a line");
      return;
    }
    std::map<std::string, int> seen;
    for (const auto& member : root) {
      if (member.first.IsScalar() && ++seen[member.first.Scalar()] > 1) {
        reading.errors.push_back(file + ":" + std::to_string(member.first.Mark().line + 1) + ": " +
                                 member.first.Scalar() + ": given twice");
        continue;
      }
      ReadMember(file, member.first, member.second, reading);
    }
  } catch (const YAML::Exception& exception) {
    reading.errors.push_back(file + ":" + std::to_string(exception.mark.line + 1) + ": " +
                             exception.msg);
  }
}

std::string Wrap(const std::string& text, const std::string& indent) {
  std::string out = indent;
  size_t column = indent.size();
  for (size_t begin = 0; begin < text.size();) {
    size_t end = std::min(text.find(' ', begin), text.size());
    if (column + end - begin > kHelpWidth && column > indent.size()) {
      out.back() = '\n';
      out += indent;
      column = indent.size();
    }
    out += text.substr(begin, end - begin) + " ";
    column += end - begin + 1;
    begin = end + 1;
  }
  out.back() = '\n';
  return out;
}

// One place where objects are from.
void CheckSource(const Config& config, const Surroundings& surroundings, Reading& reading) {
  bool manifests = reading.values.contains("manifests");
  bool kubeconfig = reading.values.contains("kubeconfig");
  if (config.command != Config::Command::kRun) return;
  if (manifests && kubeconfig) {
    reading.errors.push_back(
        "--manifests and --kubeconfig: both are given; objects come from one place, so leave one "
        "out");
  } else if (!manifests && !kubeconfig && !surroundings.in_cluster) {
    reading.errors.push_back(
        "--manifests: not given; it names the directory of what to enforce (or --kubeconfig an "
        "API server; in a pod with a service account neither is needed)");
  }
}

}  // namespace

Result<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text;
  errno = 0;
  if (file) text.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  if (!file) return ErrnoError("cannot be read");
  return text;
}

Result<Config> ReadConfig(const Surroundings& surroundings) {
  Reading reading;
  ReadFlags(surroundings.arguments, reading);
  ReadEnvironment(surroundings.environment, reading);
  if (auto file = reading.values.find("config"); file != reading.values.end()) {
    std::string path = file->second.value;
    auto text = surroundings.read_file(path);
    if (text) {
      ReadMembers(path, *text, reading);
    } else {
      reading.errors.push_back("--config " + path + ": " + text.error().message);
    }
  }

  Config config;
  config.node = surroundings.hostname;
  auto downward = surroundings.environment.find("NODE_NAME");
  if (downward != surroundings.environment.end() && !downward->second.empty()) {
    config.node = downward->second;
  }
  for (const Option& option : Options()) {
    auto given = reading.values.find(option.name);
    if (given == reading.values.end()) continue;
    if (Status status = option.set(config, given->second.value); !status) {
      reading.errors.push_back(given->second.where + ": " + status.error().message);
    }
  }
  CheckSource(config, surroundings, reading);
  bool tells =
      config.command == Config::Command::kHelp || config.command == Config::Command::kVersion;
  if (!reading.errors.empty() && !tells) {
    std::string all;
    for (const std::string& error : reading.errors) all += (all.empty() ? "" : "\n") + error;
    return Error{all};
  }
  config.warnings = std::move(reading.warnings);
  return config;
}

std::string HelpText() {
  std::string out =
      "sallyportd enforces Kubernetes NetworkPolicy on this node, in the kernel.\n"
      "\n"
      "usage: sallyportd [--manifests DIR | --kubeconfig FILE] [--node NAME] [OPTION]...\n"
      "\n"
      "Each option may also be given in the environment (--cni-results as\n"
      "SALLYPORT_CNI_RESULTS) or in the YAML file that --config names (cni-results: DIR).\n"
      "Flags go before the environment, the environment before the file.\n"
      "\n"
      "SIGTERM and SIGINT end the agent; what it enforces stays in force.\n"
      "\n";
  for (const Option& option : Options()) {
    out += "  --" + option.name + (option.argument.empty() ? "" : " " + option.argument) + "\n";
    out +=
        Wrap(option.help + (option.fallback.empty() ? "" : " (default: " + option.fallback + ")"),
             "        ");
  }
  return out;
}

}  // namespace sallyport::control
