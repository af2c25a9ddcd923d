// SPDX-License-Identifier: Apache-2.0
#include "model/document.h"

#include <algorithm>

#include "model/parse.h"

namespace sallyport::model {
namespace {

constexpr size_t kMaxText = 32u << 20;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// Length of the well-formed UTF-8 sequence at the front (RFC 3629), 0 if there is none.
size_t Utf8Length(std::string_view s) {
  auto byte = [&](size_t i) { return i < s.size() ? static_cast<uint8_t>(s[i]) : 0; };
  auto follows = [&](size_t n) {
    for (size_t i = 1; i <= n; ++i) {
      if ((byte(i) & 0xc0) != 0x80) return false;
    }
    return true;
  };
  uint8_t b0 = static_cast<uint8_t>(byte(0));
  uint8_t b1 = static_cast<uint8_t>(byte(1));
  if (b0 < 0x80) return 1;
  if (b0 >= 0xc2 && b0 <= 0xdf) return follows(1) ? 2 : 0;
  if (b0 >= 0xe0 && b0 <= 0xef) {
    bool overlong = b0 == 0xe0 && b1 < 0xa0;
    bool surrogate = b0 == 0xed && b1 >= 0xa0;
    return follows(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (b0 >= 0xf0 && b0 <= 0xf4) {
    bool out_of_range = (b0 == 0xf0 && b1 < 0x90) || (b0 == 0xf4 && b1 >= 0x90);
    return follows(3) && !out_of_range ? 4 : 0;
  }
  return 0;
}

int LineOf(std::string_view text, size_t position) {
  auto end = text.begin() + static_cast<std::ptrdiff_t>(position);
  return 1 + static_cast<int>(std::count(text.begin(), end, '\n'));
}

// What no parser may see: yaml-cpp takes some control characters for the end of the text.
std::optional<SyntaxError> CheckCharacters(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    auto c = static_cast<uint8_t>(text[i]);
    bool control = (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f;
    if (control) {
      return SyntaxError{LineOf(text, i), "control character (byte " + std::to_string(c) +
                                              "): is this a text file?"};
    }
    size_t length = c < 0x80 ? 1 : Utf8Length(text.substr(i));
    if (length == 0) {
      return SyntaxError{LineOf(text, i), "not UTF-8 text: byte " + std::to_string(c)};
    }
    i += length;
  }
  return std::nullopt;
}

struct Chunk {
  std::string_view text;
  int line;  // of its first character
};

// Cuts the first document off: up to the next line that starts with "---".
Chunk NextChunk(std::string_view& rest, int& line) {
  Chunk chunk{rest, line};
  size_t at = 0;
  while (true) {
    size_t newline = rest.find('\n', at);
    if (newline == std::string_view::npos) break;
    at = newline + 1;
    ++line;
    std::string_view next = rest.substr(at);
    bool separator =
        next.substr(0, 3) == "---" &&
        (next.size() == 3 || std::string_view(" \t\r\n").find(next[3]) != std::string_view::npos);
    if (separator) {
      chunk.text = rest.substr(0, at);
      rest.remove_prefix(at);
      return chunk;
    }
  }
  rest = {};
  return chunk;
}

// Without a leading "---" line that has nothing but a comment after it.
Chunk SkipSeparator(Chunk chunk) {
  if (chunk.text.substr(0, 3) != "---") return chunk;
  size_t newline = std::min(chunk.text.find('\n'), chunk.text.size());
  std::string_view tail = chunk.text.substr(3, newline - 3);
  size_t content = tail.find_first_not_of(" \t\r");
  if (content != std::string_view::npos && tail[content] != '#') return chunk;
  chunk.text.remove_prefix(std::min(newline + 1, chunk.text.size()));
  ++chunk.line;
  return chunk;
}

// Nothing but blanks, comments and, before a "---", %directives.
bool IsBlank(std::string_view text) {
  while (!text.empty()) {
    size_t newline = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, newline);
    size_t content = line.find_first_not_of(" \t\r");
    bool blank = content == std::string_view::npos || line[content] == '#' || line[0] == '%';
    if (!blank) return false;
    text.remove_prefix(std::min(newline + 1, text.size()));
  }
  return true;
}

Parsed ParseChunk(const Chunk& chunk) {
  size_t start = chunk.text.find_first_not_of(" \t\r\n");
  if (start == std::string_view::npos || chunk.text[start] != '{') {
    return ParseYaml(chunk.text, chunk.line);
  }
  Parsed json = ParseJson(chunk.text, chunk.line);
  if (!json.error) return json;
  // A YAML flow mapping starts like a JSON object.
  Parsed yaml = ParseYaml(chunk.text, chunk.line);
  size_t second = chunk.text.find_first_not_of(" \t\r\n", start + 1);
  bool meant_json = second == std::string_view::npos || chunk.text[second] == '"';
  return yaml.error && meant_json ? json : yaml;
}

void ReportSyntax(const SyntaxError& error, const std::string& file, ParsedText& out) {
  out.diagnostics.push_back({Severity::kError, {file, error.line}, "", "", error.message});
}

}  // namespace

const Value* Value::Find(std::string_view key) const {
  for (const Member& member : members) {
    if (member.first == key) return &member.second;
  }
  return nullptr;
}

ParsedText ParseText(std::string_view text, const std::string& file,
                     const std::function<void(Document)>& take) {
  ParsedText out;
  auto unreadable = [&](const SyntaxError& error) {
    ReportSyntax(error, file, out);
    out.unreadable = true;
    return out;
  };
  if (text.size() > kMaxText) {
    return unreadable({0, "larger than 32 MiB: split it into several files"});
  }
  if (text.substr(0, kByteOrderMark.size()) == kByteOrderMark) {
    text.remove_prefix(kByteOrderMark.size());
  }
  if (auto error = CheckCharacters(text)) return unreadable(*error);
  int line = 1;
  while (!text.empty()) {
    Chunk chunk = SkipSeparator(NextChunk(text, line));
    if (IsBlank(chunk.text)) continue;
    Parsed parsed = ParseChunk(chunk);
    for (const SyntaxError& repeat : parsed.repeats) ReportSyntax(repeat, file, out);
    for (Document& document : parsed.documents) {
      if (document.type != Value::Type::kNull) take(std::move(document));
    }
    if (parsed.error) return unreadable(*parsed.error);
  }
  return out;
}

ParsedText ParseText(std::string_view text, const std::string& file) {
  std::vector<Document> documents;
  ParsedText out =
      ParseText(text, file, [&](Document document) { documents.push_back(std::move(document)); });
  out.documents = std::move(documents);
  return out;
}

}  // namespace sallyport::model
