// SPDX-License-Identifier: Apache-2.0
// What --help says below the options of each command.
#pragma once

namespace sallyport::cli::help {

inline constexpr const char* kAbout =
    "Sallyport: which peers may a pod talk to, by the manifests and in the kernel.";

inline constexpr const char* kExitCodes = R"(
Exit codes of every command: 0 done, or the answer is "yes"; 1 the answer is "no"; 2 could not
tell (wrong usage, something missing, something failed; with -o json: {"error": "..."}).
`sallyport COMMAND --help` explains each command, with examples.)";

inline constexpr const char* kCheck = R"(
Reads Namespaces, Nodes, Pods, Services, EndpointSlices, NetworkPolicies and EgressGateways from YAML
or JSON and checks what the Kubernetes API would check. Each problem is a line: file:line: severity:
object: field: what is wrong. Unknown fields are warnings (of an EgressGateway: errors). Kinds that
do not concern policy are skipped and counted. Exit code 1 on errors.

Then what is wrong with EgressGateways beside each other, as warnings: destinations that leave by
another one, which is more specific or older; that are the cluster's, and never pinned; egress IPs
that are somebody else's.

Examples:
  sallyport check policies/
  sallyport check --strict web.yaml db.yaml
  kustomize build . | sallyport check - -o json)";

inline constexpr const char* kExplain = R"(
Answers from manifests alone: no cluster, no root. With --live it asks running agents (root): by the
objects that they know now, and whether the pods' interfaces are open already. For each direction it
names the policies that isolate the pod, the rule that allows, or the rule that came nearest and what
it lacked.

One question, --from and --to: pods as NAMESPACE/NAME (NAME alone: in "default"; of a workload: its
first pod), or addresses outside, IPv6 in brackets before a port. A port may be a name; it is looked
up on the destination. ICMP has no port: --to shop/db/ICMP. Pods with two addresses get an answer for
each. Exit code 0: allowed; 1: denied.

Policies never see a Service's address: of svc/NAMESPACE/NAME, of an address of a Service, and of a
node's address with a node port, each backend that the node may choose is judged, on its own port.
Exit code 0: all of them are allowed.

Where an EgressGateway pins the pod to the destination, the line "outside:" says which one, and which
address the pod is seen as there; or that it is pinned to nothing, and why: then it is dropped, and
denied, whatever policy says.

--matrix asks about every pod to every pod, and shows a table. It leaves out pods that policy does
not see as pods: on their node's network (hostNetwork), or ended. With --expect it is compared with
a file of what must be possible, everything else being denied; exit code 1 when anything differs:

  namespace: shop                # of names without one
  allowed:                       # source -> destination[:ports]
  - frontend -> backend:8080
  - monitoring/* -> any:metrics
  - 198.51.100.0/24 -> frontend:80,443/TCP,53/UDP
  denied:                        # wins over allowed
  - any -> backend:9999

A line that could never fail (no such pod, no such port) is an error.
(tools/cli/README.md has all of that format, and of the JSON.)

Pods of workloads (Deployments and so on) are named as the lab names them. A pod without an address
(a manifest without status) is taken to have one that only ipBlocks as wide as 0.0.0.0/0 contain.

Examples:
  sallyport explain -f app/ --from shop/web --to shop/db:5432
  sallyport explain -f app/ --from 203.0.113.9 --to shop/web:http
  sallyport explain -f app/ --from shop/web --to [2001:db8::53]:53/UDP
  sallyport explain -f app/ --from shop/web --to svc/shop/db:5432
  sallyport explain -f app/ --from shop/web --to 198.51.100.20:443
  sallyport explain --live --from shop/web --to shop/db:5432
  sallyport explain --live --from shop/web --to 10.96.0.12:5432
  sallyport explain --live --lab mine --from shop/web --to shop/db:5432
  sallyport explain -f app/ --matrix --ports 80/TCP,53/UDP --outside 203.0.113.9
  sallyport explain -f app/ --matrix --expect expect.yaml
  sallyport explain -f app/ --matrix -o json | grep '"allowed": false')";

inline constexpr const char* kProbe = R"(
`probe run`, `probe matrix` and `probe egress` open real connections from inside the network
namespaces of a lab's pods (root), `probe serve` answers them.)";

inline constexpr const char* kProbeRun = R"(
Connects from inside the pod's network namespace in a lab and says what happened:
  open     it answered             refused  it got through, nothing listens there
  blocked  silence                 error    it could not be tried
then what the manifests say, and why the agent dropped it, if one did. UDP counts as open when
something answers (probe serve does). Exit code 0: open; 1: blocked or refused; 2: error.

Examples:
  sallyport probe run --from shop/web --to shop/db:5432
  sallyport probe run --from shop/web --to shop/db:53/UDP --family 6
  sallyport probe run --from shop/web --to shop/db/ICMP
  sallyport probe run --lab mine --from 203.0.113.9 --to shop/web:80 -o json)";

inline constexpr const char* kProbeMatrix = R"(
Connects from every pod of a lab to every pod, on every port, all at once, and shows a table:
  ✓ open   ✗ blocked   ! refused (it got through, nothing listens)   ? error
  ✓/✗ where IPv4 and IPv6 differ, in that order   * not as expected
--expect compares with a file (see `sallyport explain --help`), --compare with what the manifests
say; open and refused count as allowed. Exit code 1 when anything differs. A file that names the
outside, or an address of it, turns on --outside; an address that the lab cannot try is an error.
Pods on their node's network (hostNetwork) and pods that have ended are left out.

Examples:
  sallyport probe matrix
  sallyport probe matrix --ports 80/TCP,81/TCP,80/UDP,81/UDP --compare
  sallyport probe matrix --expect expect.yaml
  sallyport probe matrix -o json | grep '"outcome": "blocked"')";

inline constexpr const char* kProbeEgress = R"(
Connects from inside the pod to a `sallyport probe serve` in the outside, which says whom it sees.
In a lab; or on a node (as root, not in a container), where its agent knows the pod: where no lab is
up, or with --socket. Exit code 0: it was seen (--expect: as that address); 1: as another, or nothing
came through; 2: an error, or a far end that does not say whom it sees.

Examples:
  sallyport probe egress --from shop/web --to 198.51.100.20:443
  sallyport probe egress --from shop/web --to 198.51.100.20:53/UDP --expect 203.0.113.10
  sallyport probe egress --lab mine --from shop/web --to [2001:db8::20]:443 -o json)";

inline constexpr const char* kProbeServe = R"(
On TCP it sends one line, then echoes; a client that starts with GET or HEAD gets the line as an
HTTP response (on any path). On UDP it answers each datagram with the line and the datagram. Both
address families. It names its ports on standard output, then "ready"; SIGTERM ends it.

Examples:
  sallyport probe serve --ports 80/TCP,81/UDP --name shop/web
  curl http://10.0.1.5/      I am shop/web at 10.0.1.5:80/TCP; I see 10.0.2.7:41234)";

inline constexpr const char* kStatus = R"(
Exit code 1 while the agent is not ready: the latest policy is not in force on every endpoint, or
the API server is not followed. With --alive: 0 while the thread that enforces policy answers, ready
or not, else 2. (The DaemonSet's probes are these two.)

Examples:
  sallyport status
  sallyport status --alive
  sallyport status --lab mine --node n1 -o json)";

inline constexpr const char* kEndpoints = R"(
STATE is open once policy for the pod is in force, else closed, with the reason. A set number of 0:
the pod is not isolated for that direction.

Examples:
  sallyport endpoints
  sallyport endpoints --lab mine              of all nodes of a lab
  sallyport endpoints --lab mine --node n1)";

inline constexpr const char* kPolicies = R"(
Examples:
  sallyport policies
  sallyport policies -o json)";

inline constexpr const char* kFlows = R"(
OUTSIDE AS, where some flow has it: the egress IP and port that the outside sees.
Exit code 2 for an --endpoint that the agent does not have.

Examples:
  sallyport flows --endpoint shop/db
  sallyport flows --limit 20 -o json)";

inline constexpr const char* kEgress = R"(
What this node knows of egress IPs: who holds each, through which node packets leave, and this node's
ports. A port serves many remotes: BUSIEST are those that the busiest remote takes, or took within
the last minute, HEADROOM those that it leaves, LASTS how long they do if it goes on so. FINISHING
ports are not given any more; flows that have them go on. REFUSED flows found none.
Exit code 1: some address has nobody, or no more ports for this node.

Examples:
  sallyport egress
  sallyport egress --lab mine --node n1
  sallyport egress -o json)";

inline constexpr const char* kEvents = R"(
Each drop with its reason, and for policy: who isolates the pod and which rule came nearest. Events
are rate-limited in the kernel; "not shown" counts the ones left out. With -f and -o json: one
object a line, as it happens.

Examples:
  sallyport events
  sallyport events -f
  sallyport events -f --lab mine              of all nodes of a lab
  sallyport events -f -o json --lab mine --node n1)";

}  // namespace sallyport::cli::help
