// SPDX-License-Identifier: Apache-2.0
#include "control/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/options.h"
#include "support/temporary.h"

namespace sallyport::control {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

Result<Config> Read(std::vector<std::string> arguments,
                    std::map<std::string, std::string> environment = {}) {
  return ReadConfig({std::move(arguments), std::move(environment), "host1"});
}

std::string ErrorOf(std::vector<std::string> arguments,
                    std::map<std::string, std::string> environment = {}) {
  auto config = Read(std::move(arguments), std::move(environment));
  return config ? "no error" : config.error().message;
}

TEST(ConfigTest, Defaults) {
  Config config = Read({"--manifests=/m"}).value();
  EXPECT_EQ(config.node, "host1");
  EXPECT_EQ(config.manifests, "/m");
  EXPECT_EQ(config.cni_results, "/var/lib/cni/results");
  EXPECT_EQ(config.dataplane.pins, "/sys/fs/bpf/sallyport");
  EXPECT_EQ(config.dataplane.mark, 0x00100000u);
  EXPECT_TRUE(config.dataplane.anti_spoofing);
  EXPECT_TRUE(config.dataplane.fast_path);
  EXPECT_TRUE(config.devices.Matches("veth0"));
  EXPECT_EQ(config.command, Config::Command::kRun);
  EXPECT_THAT(config.warnings, IsEmpty());
}

TEST(ConfigTest, TheDefaultsInTheHelpAreTheDefaults) {
  Config config = Read({"--manifests=/m"}).value();
  for (const Option& option : Options()) {
    if (option.fallback.empty() || option.name == "node") continue;
    Config other;
    EXPECT_TRUE(option.set(other, option.fallback)) << option.name;
  }
  Config written = Read({"--manifests=/m", "--mark", "0x00100000", "--attach", "auto"}).value();
  EXPECT_EQ(written.dataplane.mark, config.dataplane.mark);
  EXPECT_EQ(written.dataplane.attach, config.dataplane.attach);
}

TEST(ConfigTest, FlagsBeforeEnvironmentBeforeFileBeforeDefaults) {
  test::TemporaryDirectory directory;
  directory.Write("c.yaml",
                  "socket: /file\npins: /file\ncni-results: /file\nmanifests: /file\n"
                  "anti-spoofing: false\nmax-flows: 1000\nmax-fragments: 500\n");
  Config config = Read({"--config", directory / "c.yaml", "--socket=/flag"},
                       {{"SALLYPORT_SOCKET", "/env"}, {"SALLYPORT_PINS", "/env"}})
                      .value();
  EXPECT_EQ(config.socket, "/flag");
  EXPECT_EQ(config.dataplane.pins, "/env");
  EXPECT_EQ(config.cni_results, "/file");
  EXPECT_FALSE(config.dataplane.anti_spoofing);
  EXPECT_EQ(config.dataplane.capacities.flows, 1000u);
  EXPECT_EQ(config.dataplane.capacities.fragments, 500u);
}

TEST(ConfigTest, FileNamedByTheEnvironment) {
  test::TemporaryDirectory directory;
  directory.Write("c.yaml", "manifests: /file\n");
  EXPECT_EQ(Read({}, {{"SALLYPORT_CONFIG", directory / "c.yaml"}}).value().manifests, "/file");
}

TEST(ConfigTest, ObjectsComeFromOnePlace) {
  EXPECT_EQ(Read({"--kubeconfig=/k"}).value().kubeconfig, "/k");
  EXPECT_EQ(Read({}, {{"SALLYPORT_KUBECONFIG", "/k"}}).value().kubeconfig, "/k");
  Surroundings pod;
  pod.hostname = "host1";
  pod.in_cluster = true;
  Config config = ReadConfig(pod).value();
  EXPECT_EQ(config.manifests, "");
  EXPECT_EQ(config.kubeconfig, "");
}

TEST(ConfigTest, NodeName) {
  EXPECT_EQ(Read({"--manifests=/m"}, {{"NODE_NAME", "n2"}}).value().node, "n2");
  EXPECT_EQ(Read({"--manifests=/m", "--node=n3"}, {{"NODE_NAME", "n2"}}).value().node, "n3");
  EXPECT_EQ(Read({"--manifests=/m"}, {{"NODE_NAME", ""}}).value().node, "host1");
}

TEST(ConfigTest, Switches) {
  for (const char* on :
       {"--anti-spoofing", "--anti-spoofing=true", "--anti-spoofing=", "--fast-path"}) {
    EXPECT_TRUE(Read({"--manifests=/m", on}).value().dataplane.anti_spoofing) << on;
  }
  EXPECT_FALSE(Read({"--anti-spoofing=false", "--manifests=/m"}).value().dataplane.anti_spoofing);
  EXPECT_FALSE(
      Read({"--manifests=/m", "--anti-spoofing", "false"}).value().dataplane.anti_spoofing);
  EXPECT_EQ(Read({"--detach"}).value().command, Config::Command::kDetach);
  EXPECT_EQ(Read({"--help", "--nonsense"}).value().command, Config::Command::kHelp);
  EXPECT_EQ(Read({"-h"}).value().command, Config::Command::kHelp);
  EXPECT_EQ(Read({"--version"}).value().command, Config::Command::kVersion);
}

TEST(ConfigTest, MetricsAddress) {
  auto listen = [](std::vector<std::string> arguments) {
    arguments.push_back("--manifests=/m");
    return Read(std::move(arguments)).value().metrics;
  };
  EXPECT_EQ(listen({}).value().address.ToString(), "127.0.0.1");
  EXPECT_EQ(listen({}).value().port, 9469);
  EXPECT_EQ(listen({"--metrics-address=[::]:80"}).value().port, 80);
  EXPECT_FALSE(listen({"--metrics-address="})) << "off";
  EXPECT_THAT(ErrorOf({"--metrics-address=9469"}), HasSubstr("give ADDRESS:PORT"));
}

TEST(ConfigTest, ErrorsSayWhereAndWhatWouldBeRight) {
  EXPECT_THAT(ErrorOf({}), HasSubstr("--manifests: not given"));
  EXPECT_THAT(ErrorOf({"--manifests=/m", "--kubeconfig=/k"}), HasSubstr("both are given"));
  EXPECT_THAT(ErrorOf({"--manifest=/m"}), HasSubstr("did you mean manifests?"));
  EXPECT_THAT(ErrorOf({"--zzzzzzzzzz"}), HasSubstr("see sallyportd --help"));
  EXPECT_THAT(ErrorOf({"manifests"}), HasSubstr("options only"));
  EXPECT_THAT(ErrorOf({"--manifests"}), HasSubstr("needs a value: --manifests DIR"));
  EXPECT_THAT(ErrorOf({"--mark=3", "--manifests=/m"}), HasSubstr("--mark: '3' has 2 bits set"));
  EXPECT_THAT(ErrorOf({"--mark=0", "--manifests=/m"}), HasSubstr("has 0 bits set"));
  EXPECT_THAT(ErrorOf({"--mark=0x1ffffffff"}), HasSubstr("not a hexadecimal number of 32 bits"));
  EXPECT_THAT(ErrorOf({"--attach=xdp"}), HasSubstr("none of auto, tcx, clsact"));
  EXPECT_THAT(ErrorOf({"--max-flows=many"}), HasSubstr("not a number from 0"));
  EXPECT_THAT(ErrorOf({"--max-flows=-1"}), HasSubstr("not a number from 0"));
  EXPECT_THAT(ErrorOf({"--anti-spoofing=maybe"}), HasSubstr("neither true nor false"));
  EXPECT_THAT(ErrorOf({"--pins=relative"}), HasSubstr("no absolute path"));
  EXPECT_THAT(ErrorOf({"--devices=[a-z]"}), HasSubstr("--devices: '[a-z]'"));
  EXPECT_THAT(ErrorOf({"--log-level=loud"}), HasSubstr("trace, debug, info, warning, error"));
  EXPECT_THAT(ErrorOf({"--manifests=/m"}, {{"SALLYPORT_MARK", "6"}}),
              HasSubstr("SALLYPORT_MARK: '6'"));
}

TEST(ConfigTest, EveryErrorAtOnce) {
  std::string error = ErrorOf({"--manifests=/m", "--mark=3", "--attach=xdp", "--sockte=/x"});
  EXPECT_THAT(error, HasSubstr("--mark"));
  EXPECT_THAT(error, HasSubstr("--attach"));
  EXPECT_THAT(error, HasSubstr("did you mean socket?"));
}

TEST(ConfigTest, FileErrorsHaveTheirLine) {
  test::TemporaryDirectory directory;
  auto error_of = [&](const std::string& text) {
    directory.Write("c.yaml", text);
    return ErrorOf({"--manifests=/m", "--config=" + (directory / "c.yaml")});
  };
  EXPECT_THAT(error_of("node: n1\nsockte: /x\n"),
              HasSubstr("c.yaml:2: sockte: there is no such option; did you mean socket?"));
  EXPECT_THAT(error_of("# c\nmark: 3\n"), HasSubstr("c.yaml:2: mark: '3' has 2 bits"));
  EXPECT_THAT(error_of("detach: true\n"), HasSubstr("flag only"));
  EXPECT_THAT(error_of("config: x\n"), HasSubstr("flag only"));
  EXPECT_THAT(error_of("node: [a]\n"), HasSubstr("needs one value"));
  EXPECT_THAT(error_of("node: a\nnode: b\n"), HasSubstr("c.yaml:2: node: given twice"));
  EXPECT_THAT(error_of("- a\n"), HasSubstr("not a mapping"));
  EXPECT_THAT(error_of("a: 'b\n"), HasSubstr("c.yaml:"));
  EXPECT_EQ(error_of(""), "no error");
  EXPECT_THAT(ErrorOf({"--manifests=/m", "--config=/nonexistent.yaml"}),
              HasSubstr("/nonexistent.yaml: cannot be read"));
}

// Kubernetes puts variables of its own into the environment beside a Service called sallyport.
TEST(ConfigTest, UnknownEnvironmentIsAWarningWhereItLooksLikeAMistake) {
  Config config =
      Read({"--manifests=/m"}, {{"SALLYPORT_SERVICE_HOST", "10.0.0.1"}, {"SALLYPORT_SOKET", "/x"}})
          .value();
  ASSERT_EQ(config.warnings.size(), 1u);
  EXPECT_EQ(config.warnings[0], "SALLYPORT_SOKET is not used; did you mean SALLYPORT_SOCKET?");
}

TEST(ConfigTest, HelpNamesEveryOptionAndFitsTheScreen) {
  std::string help = HelpText();
  for (const Option& option : Options()) {
    EXPECT_THAT(help, HasSubstr("--" + option.name));
    if (!option.fallback.empty()) {
      EXPECT_THAT(help, HasSubstr("default:")) << option.name;
    }
  }
  std::istringstream lines(help);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 90u) << line;
}

}  // namespace
}  // namespace sallyport::control
