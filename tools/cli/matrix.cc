// SPDX-License-Identifier: Apache-2.0
#include "cli/matrix.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

#include "cli/table.h"

namespace sallyport::cli {
namespace {

using probe::Outcome;

struct Look {
  const char* symbol;
  Colour colour;
  const char* meaning;
};

constexpr Look kAllowed{"✓", Colour::kGreen, "allowed"};
constexpr Look kDenied{"✗", Colour::kRed, "denied"};
constexpr Look kOpen{"✓", Colour::kGreen, "open"};
constexpr Look kBlocked{"✗", Colour::kRed, "blocked"};
constexpr Look kRefused{"!", Colour::kYellow, "refused (it got through; nothing listens)"};
constexpr Look kError{"?", Colour::kYellow, "error"};

const Look& LookOf(const Row& row) {
  if (!row.seen) return row.Allowed() ? kAllowed : kDenied;
  switch (row.seen->outcome) {
    case Outcome::kOpen:
      return kOpen;
    case Outcome::kBlocked:
      return kBlocked;
    case Outcome::kRefused:
      return kRefused;
    case Outcome::kError:
      return kError;
  }
  return kError;
}

// "80" for TCP, "53u" for UDP, "5000s" for SCTP, "icmp".
std::string ShortPort(const Port& port) {
  std::string number = std::to_string(port.number);
  switch (port.protocol) {
    case net::Protocol::kTcp:
      return number;
    case net::Protocol::kUdp:
      return number + "u";
    case net::Protocol::kSctp:
      return number + "s";
    default:
      return "icmp";
  }
}

// What a pod is called in the table: the generated end of its name is left out where nobody else
// has the rest, else shortened to its last part.
class ShortNames {
 public:
  explicit ShortNames(const std::vector<Row>& rows) {
    for (const Row& row : rows) {
      for (const Side* side : {&row.from, &row.to})
        names_.insert({side->Group(), side->ShortName()});
    }
    for (const auto& [group, name] : names_) ++stems_[{group, std::string(WorkloadOf(name))}];
  }
  std::string Of(const std::string& group, const std::string& name) const {
    std::string stem(WorkloadOf(name));
    if (stem == name) return name;
    bool alone = stems_.at({group, stem}) == 1;
    std::string brief = alone ? stem : stem + name.substr(name.rfind('-'));
    return alone || names_.count({group, brief}) == 0 ? brief : name;
  }

 private:
  using Key = std::pair<std::string, std::string>;
  std::set<Key> names_;
  std::map<Key, int> stems_;  // how many pods share it
};

// Outside comes after every namespace.
auto SortKey(const Side& side) { return std::tuple(!side.pod, side.Group(), side.ShortName()); }

using LineKey = std::tuple<bool, std::string, std::string>;
using ColumnKey = std::pair<LineKey, Port>;
using CellKey = std::pair<LineKey, ColumnKey>;

// One symbol where all families agree, else IPv4's and IPv6's, as in "✓/✗".
Matrix::Cell CellOf(const std::vector<const Row*>& rows, const std::set<const Row*>& different) {
  Matrix::Cell cell;
  const Look& first = LookOf(*rows.front());
  bool same = std::all_of(rows.begin(), rows.end(),
                          [&](const Row* row) { return &LookOf(*row) == &first; });
  cell.text = first.symbol;
  cell.colour = first.colour;
  for (size_t i = 1; i < rows.size() && !same; ++i) {
    cell.text += std::string("/") + LookOf(*rows[i]).symbol;
    cell.colour = Colour::kYellow;
  }
  if (std::any_of(rows.begin(), rows.end(),
                  [&](const Row* row) { return different.count(row) > 0; })) {
    cell.text += "*";
    cell.colour = Colour::kAlert;
  }
  return cell;
}

std::string Legend(const std::vector<Row>& rows, bool any_different, bool any_mixed) {
  std::vector<const Look*> used;
  for (const Row& row : rows) {
    const Look* look = &LookOf(row);
    if (std::find(used.begin(), used.end(), look) == used.end()) used.push_back(look);
  }
  std::string out;
  for (const Look* look : {&kAllowed, &kOpen, &kDenied, &kBlocked, &kRefused, &kError}) {
    if (std::find(used.begin(), used.end(), look) == used.end()) continue;
    out += (out.empty() ? "" : "   ") + std::string(look->symbol) + " " + look->meaning;
  }
  bool udp = false, sctp = false;
  for (const Row& row : rows) {
    udp = udp || row.port.protocol == net::Protocol::kUdp;
    sctp = sctp || row.port.protocol == net::Protocol::kSctp;
  }
  if (udp) out += "   u UDP";
  if (sctp) out += "   s SCTP";
  if (any_mixed) out += "   IPv4/IPv6 where they differ";
  if (any_different) out += "   * not as expected";
  return out;
}

}  // namespace

std::vector<Port> AllDeclaredPorts(const std::vector<Side>& sides) {
  std::set<Port> ports;
  for (const Side& side : sides) {
    for (const Port& port : DeclaredPorts(side)) ports.insert(port);
  }
  return {ports.begin(), ports.end()};
}

std::vector<Row> AskAll(const World& world, const MatrixQuestion& question) {
  std::vector<Row> rows;
  for (const Side& from : question.from) {
    for (const auto& [to, ports] : question.to) {
      if (!from.pod && !to.pod) continue;
      for (const Port& port : ports) {
        auto answers = Ask(world, from, to, port, question.family);
        if (!answers) continue;
        std::move(answers->begin(), answers->end(), std::back_inserter(rows));
      }
    }
  }
  return rows;
}

std::vector<Difference> Unexpected(const std::vector<Row>& rows) {
  std::vector<Difference> out;
  for (const Row& row : rows) {
    if (!row.expected) continue;
    if (row.CouldNotTell() || row.Passed() != row.expected->allowed) {
      const char* word = row.expected->allowed ? "allowed" : "denied";
      out.push_back({&row, std::string(word) + " (" + row.expected->why + ")"});
    }
  }
  return out;
}

std::vector<Difference> Contradictions(const std::vector<Row>& rows) {
  std::vector<Difference> out;
  for (const Row& row : rows) {
    if (row.CouldNotTell() || row.Passed() != row.Allowed()) {
      out.push_back(
          {&row, row.Allowed() ? "allowed (by the manifests)" : "denied (by the manifests)"});
    }
  }
  return out;
}

std::string RenderRows(const std::vector<Row>& rows, const std::vector<Difference>& differences,
                       const Terminal& terminal) {
  std::set<const Row*> different;
  for (const Difference& difference : differences) different.insert(difference.row);
  std::map<LineKey, size_t> lines;
  std::map<ColumnKey, size_t> columns;
  std::map<CellKey, std::vector<const Row*>> cells;
  for (const Row& row : rows) {
    LineKey line = SortKey(row.from);
    ColumnKey column{SortKey(row.to), row.port};
    lines[line];
    columns[column];
    cells[{line, column}].push_back(&row);
  }
  Matrix matrix;
  ShortNames names(rows);
  for (auto& [key, index] : lines) {
    const auto& [outside, group, name] = key;
    index = matrix.lines.size();
    matrix.lines.push_back({group, names.Of(group, name)});
  }
  for (auto& [key, index] : columns) {
    const auto& [outside, group, name] = key.first;
    index = matrix.columns.size();
    matrix.columns.push_back({group, names.Of(group, name), ShortPort(key.second)});
  }
  matrix.cells.assign(lines.size(), std::vector<Matrix::Cell>(columns.size()));
  bool mixed = false;
  for (const auto& [key, at] : cells) {
    Matrix::Cell cell = CellOf(at, different);
    mixed = mixed || cell.text.find('/') != std::string::npos;
    matrix.cells[lines[key.first]][columns[key.second]] = std::move(cell);
  }
  return RenderMatrix(matrix, terminal) + "\n" +
         terminal.Paint(Colour::kDim, Legend(rows, !different.empty(), mixed)) + "\n";
}

std::string SeenInWords(const Row& row) {
  if (!row.seen) return row.Allowed() ? "allowed" : "denied";
  std::string out = probe::ToString(row.seen->outcome);
  if (row.Passed()) {
    char text[32];
    std::snprintf(text, sizeof text, " in %.1f ms",
                  std::chrono::duration<double, std::milli>(row.seen->latency).count());
    out += text;
  }
  return row.seen->detail.empty() ? out : out + " (" + row.seen->detail + ")";
}

std::string RenderDifferences(const std::vector<Difference>& differences, size_t rows,
                              const Terminal& terminal) {
  if (differences.empty()) {
    return terminal.Paint(Colour::kGreen, "all " + std::to_string(rows) + " as expected") + "\n";
  }
  std::string count = std::to_string(differences.size());
  std::string out =
      terminal.Paint(Colour::kAlert, count + " of " + std::to_string(rows) + " not as expected:") +
      "\n";
  for (const Difference& difference : differences) {
    std::string words = InWords(*difference.row);
    std::string reasons = words.substr(words.find('\n') + 1);
    out += "\n" + terminal.Paint(Colour::kBold, difference.row->Title()) +
           "\n  expected: " + difference.expected + "\n  seen: " + SeenInWords(*difference.row) +
           "\n" + reasons;
  }
  return out;
}

}  // namespace sallyport::cli
