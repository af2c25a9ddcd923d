// SPDX-License-Identifier: Apache-2.0
#include "cli/table.h"

#include <algorithm>

namespace sallyport::cli {
namespace {

constexpr size_t kGap = 2;       // between columns of a list, and between destinations
constexpr size_t kPortGap = 1;   // between ports of one destination
constexpr size_t kGroupGap = 3;  // between groups of destinations

constexpr std::string_view kFrom = "from";

std::string Spaces(size_t n) { return std::string(n, ' '); }

// An address is no number.
bool LooksNumeric(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789.") == std::string::npos &&
         std::count(text.begin(), text.end(), '.') <= 1;
}

std::string RightTrimmed(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

// Destinations of a block: columns [first, last) that share group and name, and how wide each is.
struct Span {
  size_t first = 0;
  size_t last = 0;
  std::vector<size_t> widths;  // of its columns
  size_t Width() const {
    size_t sum = kPortGap * (widths.size() - 1);
    for (size_t w : widths) sum += w;
    return sum;
  }
};

class MatrixWriter {
 public:
  MatrixWriter(const Matrix& matrix, const Terminal& terminal) : m_(matrix), terminal_(terminal) {
    for (const Matrix::Line& line : m_.lines) {
      group_width_ = std::max(group_width_, Columns(line.group));
      name_width_ = std::max(name_width_, Columns(line.name));
    }
    for (size_t c = 0; c < m_.columns.size();) c = AddSpan(c);
  }

  std::string Write() {
    for (size_t first = 0; first < spans_.size();) {
      size_t last = EndOfBlock(first);
      if (!out_.empty()) out_ += "\n";
      WriteBlock(first, last);
      first = last;
    }
    return std::move(out_);
  }

 private:
  size_t AddSpan(size_t first) {
    Span span{first, first, {}};
    const Matrix::Column& head = m_.columns[first];
    while (span.last < m_.columns.size() && m_.columns[span.last].name == head.name &&
           m_.columns[span.last].group == head.group) {
      size_t width = Columns(m_.columns[span.last].port);
      for (const auto& line : m_.cells) width = std::max(width, Columns(line[span.last].text));
      span.widths.push_back(width);
      ++span.last;
    }
    size_t name = Columns(head.name);
    if (span.Width() < name) span.widths.back() += name - span.Width();
    spans_.push_back(span);
    return span.last;
  }

  size_t LabelWidth() const { return std::max(group_width_ + kGap + name_width_, Columns(kFrom)); }
  const std::string& GroupOf(size_t span) const { return m_.columns[spans_[span].first].group; }
  // Of the group's name over its spans [first, last), so that it is never cut.
  size_t GapBefore(size_t first, size_t span) const {
    if (span == first) return kGap;
    return GroupOf(span) == GroupOf(span - 1) ? kGap : kGroupGap;
  }

  // How many destinations fit beside each other, from `first`; at least one. Cuts between groups
  // unless a group alone is too wide.
  size_t EndOfBlock(size_t first) const {
    size_t width = LabelWidth();
    size_t end = first;
    size_t group_end = first;  // the last end of a whole group that fits
    for (size_t s = first; s < spans_.size(); ++s) {
      width += GapBefore(first, s) + spans_[s].Width();
      if (s > first && width > terminal_.width) return group_end > first ? group_end : end;
      end = s + 1;
      if (end == spans_.size() || GroupOf(end) != GroupOf(s)) group_end = end;
    }
    return end;
  }

  void WriteBlock(size_t first, size_t last) {
    out_ += RightTrimmed(Heading(first, last, "to", &MatrixWriter::GroupHeading)) + "\n";
    out_ += RightTrimmed(Heading(first, last, "", &MatrixWriter::NameHeading)) + "\n";
    std::string ports = Padded(kFrom, LabelWidth());
    for (size_t s = first; s < last; ++s) {
      ports += Spaces(GapBefore(first, s));
      for (size_t c = spans_[s].first; c < spans_[s].last; ++c) {
        if (c > spans_[s].first) ports += Spaces(kPortGap);
        ports += Padded(m_.columns[c].port, spans_[s].widths[c - spans_[s].first]);
      }
    }
    out_ += terminal_.Paint(Colour::kDim, RightTrimmed(ports)) + "\n";
    for (size_t line = 0; line < m_.lines.size(); ++line) WriteLine(line, first, last);
  }

  std::string GroupHeading(size_t first, size_t span) const {
    return span == first || GroupOf(span) != GroupOf(span - 1) ? GroupOf(span) : "";
  }
  std::string NameHeading(size_t, size_t span) const { return m_.columns[spans_[span].first].name; }
  // Headings may run over the destinations that follow, where those have none of their own.
  std::string Heading(size_t first, size_t last, std::string_view label,
                      std::string (MatrixWriter::*text)(size_t, size_t) const) const {
    std::string out = Padded(label, LabelWidth());
    size_t at = LabelWidth();
    for (size_t s = first; s < last; ++s) {
      at += GapBefore(first, s);
      std::string heading = (this->*text)(first, s);
      if (!heading.empty())
        out = Padded(out, std::max(at, Columns(out) + (s > first ? 1 : 0))) + heading;
      at += spans_[s].Width();
    }
    return out;
  }

  void WriteLine(size_t line, size_t first, size_t last) {
    const Matrix::Line& label = m_.lines[line];
    bool starts_group = line == 0 || m_.lines[line - 1].group != label.group;
    std::string group = Padded(starts_group ? label.group : "", group_width_);
    std::string text = terminal_.Paint(Colour::kBold, group) + Spaces(kGap) +
                       Padded(label.name, LabelWidth() - group_width_ - kGap);
    for (size_t s = first; s < last; ++s) {
      text += Spaces(GapBefore(first, s));
      for (size_t c = spans_[s].first; c < spans_[s].last; ++c) {
        if (c > spans_[s].first) text += Spaces(kPortGap);
        const Matrix::Cell& cell = m_.cells[line][c];
        size_t width = spans_[s].widths[c - spans_[s].first];
        text += terminal_.Paint(cell.colour, cell.text) + Spaces(width - Columns(cell.text));
      }
    }
    out_ += RightTrimmed(text) + "\n";
  }

  const Matrix& m_;
  const Terminal& terminal_;
  size_t group_width_ = 0;
  size_t name_width_ = 0;
  std::vector<Span> spans_;
  std::string out_;
};

}  // namespace

std::string RenderList(const std::vector<std::string>& headings,
                       const std::vector<std::vector<std::string>>& rows,
                       const Terminal& terminal) {
  std::vector<size_t> widths;
  std::vector<bool> right(headings.size(), !rows.empty());
  widths.reserve(headings.size());
  for (const std::string& heading : headings) widths.push_back(Columns(heading));
  for (const auto& row : rows) {
    for (size_t c = 0; c < headings.size(); ++c) {
      widths[c] = std::max(widths[c], std::max<size_t>(1, Columns(row[c])));
      right[c] = right[c] && (row[c].empty() || LooksNumeric(row[c]));
    }
  }
  auto line = [&](const std::vector<std::string>& cells, bool heading) {
    std::string out;
    for (size_t c = 0; c < cells.size(); ++c) {
      std::string cell = cells[c].empty() && !heading ? "-" : cells[c];
      size_t fill = widths[c] - Columns(cell);
      if (c > 0) out += Spaces(kGap);
      out += right[c] ? Spaces(fill) + cell : cell + Spaces(fill);
    }
    return RightTrimmed(out);
  };
  std::string out = terminal.Paint(Colour::kBold, line(headings, true)) + "\n";
  for (const auto& row : rows) out += line(row, false) + "\n";
  return out;
}

std::string RenderMatrix(const Matrix& matrix, const Terminal& terminal) {
  return MatrixWriter(matrix, terminal).Write();
}

}  // namespace sallyport::cli
