// SPDX-License-Identifier: Apache-2.0
// A lab of its own for each test, driven by the tool as a user drives it, and taken away at the
// end. Whatever the tool leaves behind fails the test.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "lab/inventory.h"
#include "lab/lab.h"
#include "lab/process.h"
#include "support/temporary.h"

namespace sallyport::lab {

// The tool under test: $SALLYPORT, else that of this build.
std::string Tool();

// Waits for something that another process brings about; fails the test after a minute.
void Await(const std::string& what, const std::function<bool()>& condition);

class LabTest : public testing::Test {
 protected:
  explicit LabTest(std::string name = "") : given_(std::move(name)) {}
  void SetUp() override;
  void TearDown() override;

  // Each test may run beside others: its labs carry its name.
  const std::string& name() const { return name_; }
  std::string SecondName() const { return name_ + "-2"; }

  // Runs the tool; `arguments` without its name. Output and errors are shown when a test fails.
  Finished Run(const std::vector<std::string>& arguments);
  // `lab up --no-agent` of these manifests; expects success.
  void Up(const std::string& yaml, const std::vector<std::string>& more = {});
  // A file with this text, for -f.
  std::string File(const std::string& yaml);
  // Gone after the test.
  const test::TemporaryDirectory& folder() const { return folder_; }
  // `lab exec` in this test's lab.
  Finished Exec(const std::string& pod, const std::vector<std::string>& command);
  // The real kubectl, on this test's lab.
  Finished Kubectl(const std::vector<std::string>& arguments);
  // What it printed, without the line's end; it must succeed.
  std::string Kube(const std::vector<std::string>& arguments);
  // The end of `command`'s output, without the line's end.
  std::string Said(const std::string& pod, const std::vector<std::string>& command);

  Inventory Read(const std::string& lab = "");
  PodPlace Pod(const std::string& ns, const std::string& pod);
  PodState State(const std::string& ns, const std::string& pod);

 private:
  Finished RunAndNote(const std::string& program, Command command,
                      const std::vector<std::string>& arguments);

  std::string given_;
  std::string name_;
  test::TemporaryDirectory folder_;
  int files_ = 0;
  std::string said_;
};

// A pod with a stand-in, as YAML.
std::string StandIn(const std::string& ns, const std::string& name, const std::string& ports,
                    const std::string& spec = "");

}  // namespace sallyport::lab
