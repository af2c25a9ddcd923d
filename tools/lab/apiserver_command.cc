// SPDX-License-Identifier: Apache-2.0
#include "lab/apiserver_command.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "apiserver/run.h"
#include "lab/console.h"

namespace sallyport::lab {
namespace {

constexpr int kCouldNotTell = 2;

struct Words {
  apiserver::RunOptions options;
  std::vector<std::string> service_cidrs;
  std::vector<std::string> advertise;
  int64_t bookmark_seconds = 60;
  int64_t drain_seconds = 1;
};

Status Serve(Words* words) {
  apiserver::RunOptions& options = words->options;
  for (const std::string& text : words->service_cidrs) {
    auto cidr = net::Cidr::Parse(text);
    if (!cidr) return std::move(cidr).error().Context("--service-cidr");
    options.service_cidrs.push_back(*cidr);
  }
  bool one_each = options.service_cidrs.size() < 2 ||
                  (options.service_cidrs.size() == 2 &&
                   options.service_cidrs[0].IsV4() != options.service_cidrs[1].IsV4());
  if (!one_each) return Error{"--service-cidr: at most one of each address family"};
  for (const std::string& text : words->advertise) {
    auto address = net::Address::Parse(text);
    if (!address) return std::move(address).error().Context("--advertise");
    options.advertise.push_back(*address);
  }
  if (words->bookmark_seconds < 1) return Error{"--bookmark-every: seconds, 1 or more"};
  if (words->drain_seconds < 0 || words->drain_seconds > 60)
    return Error{"--drain: seconds, 0 to 60"};
  options.bookmark_every = std::chrono::seconds(words->bookmark_seconds);
  options.drain = std::chrono::seconds(words->drain_seconds);
  return apiserver::Run(options);
}

}  // namespace

void AddApiServer(CLI::App& parent, int* exit_code) {
  auto words = std::make_shared<Words>();
  CLI::App* command = parent.add_subcommand("apiserver", "Serve the Kubernetes API");
  apiserver::RunOptions& options = words->options;
  command->add_option("--data", options.data, "Directory of all that it keeps")->required();
  command
      ->add_option("--listen", options.listen,
                   "[NETNS_PATH@]ADDRESS:PORT; the first is the one in DIR/admin.kubeconfig")
      ->required();
  command->add_option("--service-cidr", words->service_cidrs,
                      "Where Services' addresses come from, one a family (default: 10.96.0.0/16 "
                      "fd00:10:96::/112)");
  command->add_option(
      "--advertise", words->advertise,
      "Addresses of the Service kubernetes (default: those given with a namespace)");
  command->add_option("--name", options.names, "More names that the certificate is for");
  command->add_option("--history", options.history,
                      "Changes remembered for watches, of each resource (default: 10000)");
  command->add_option("--bookmark-every", words->bookmark_seconds,
                      "Seconds between bookmarks (default: 60)");
  command->add_option("--watch-list", options.watch_list,
                      "Whether sendInitialEvents is served (default: true)");
  command->add_option("--drain", words->drain_seconds,
                      "Seconds that watches stay open after SIGTERM (default: 1)");
  command->callback([words, exit_code] {
    Status done = Serve(words.get());
    *exit_code = done ? 0 : kCouldNotTell;
    if (!done) ProcessConsole().Fail(done.error().message);
  });
}

}  // namespace sallyport::lab
