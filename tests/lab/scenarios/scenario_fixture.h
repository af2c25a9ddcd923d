// SPDX-License-Identifier: Apache-2.0
// A scenario of policies/ in a lab of its own, driven by kubectl as a user drives a cluster.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "lab/egress/capture.h"
#include "lab/lab/lab_fixture.h"

namespace sallyport::lab {

// policies/<path>
std::string Scenario(const std::string& path);

// A shell loop that goes on inside a pod until it is stopped, or leaves out of its own accord. Each
// line that it writes is an answer.
class Traffic {
 public:
  Traffic(const std::string& lab, const std::string& pod, const std::string& script,
          const std::string& log);
  ~Traffic() { Stop(); }
  Traffic(const Traffic&) = delete;
  Traffic& operator=(const Traffic&) = delete;

  std::vector<std::string> Lines() const;
  // Lines that are this.
  size_t Count(const std::string& line) const;
  // Waits for that many more lines.
  void AwaitMore(size_t lines) const;
  void Stop();

 private:
  std::string log_;
  pid_t pid_ = -1;
};

class ScenarioTest : public LabTest {
 protected:
  void TearDown() override;
  // From now on a capture stands at the outside: no pod's address may be seen there, and to these
  // destinations none but these egress IPs.
  void WatchOutside(const std::vector<std::string>& destinations,
                    const std::vector<std::string>& egress_ips);
  // Expects that nothing else was seen. At the test's end, or before it tries what is not pinned.
  void EndWatch();
  // `lab up` of these manifests, with agents. Expects success. `lab`: "" this test's.
  void UpScenario(const std::vector<std::string>& paths, const std::vector<std::string>& options,
                  const std::string& lab = "");
  // The real kubectl ($KUBECTL, else that of the PATH), at the lab's API server.
  Finished Kubectl(const std::vector<std::string>& arguments, const std::string& lab = "");
  // Expects success; its output without the line's end.
  std::string Kube(const std::vector<std::string>& arguments, const std::string& lab = "");
  // A shell command in a pod, or (pod "--outside") in the lab's outside; its output.
  Finished Sh(const std::string& pod, const std::string& script, const std::string& lab = "");
  // What a TCP connection from the pod meets: "open", "refused", "blocked" (silence), or what the
  // shell says. The host may be a name.
  std::string Reach(const std::string& pod, const std::string& host, int port,
                    const std::string& lab = "");
  // Names ("namespace/name") of the pods with these labels, and one pod's first address.
  std::vector<std::string> PodsOf(const std::string& ns, const std::string& selector,
                                  const std::string& lab = "");
  std::string AddressOf(const std::string& pod, const std::string& lab = "");
  // What the agents dropped of this pod's packets, by reason; as text, to compare.
  std::string DropsOf(const std::string& pod);
  std::string TrafficLog();

 private:
  int traffic_ = 0;
  std::unique_ptr<Capture> capture_;
};

}  // namespace sallyport::lab
