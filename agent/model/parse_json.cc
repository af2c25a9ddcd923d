// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <iterator>
#include <nlohmann/json.hpp>

#include "model/parse.h"

namespace sallyport::model {
namespace {

using nlohmann::json;

// Reads the text and tells how far the parser has come: its events carry no positions.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, const char** reached) : at_(at), reached_(reached) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    *reached_ = ++at_;
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator before = *this;
    ++*this;
    return before;
  }
  friend bool operator==(const CountingIterator& a, const CountingIterator& b) {
    return a.at_ == b.at_;
  }

 private:
  const char* at_;
  const char** reached_;
};

// The line of a position that only moves forward.
class LineCounter {
 public:
  LineCounter(const char* begin, int first_line) : at_(begin), line_(first_line) {}
  int LineOf(const char* position) {
    if (position > at_) {
      line_ += static_cast<int>(std::count(at_, position, '\n'));
      at_ = position;
    }
    return line_;
  }

 private:
  const char* at_;
  int line_;
};

class JsonHandler : public nlohmann::json_sax<json> {
 public:
  JsonHandler(std::string_view text, int first_line)
      : begin_(text.data()), reached_(text.data()), lines_(text.data(), first_line) {}

  TreeBuilder& builder() { return builder_; }
  const char** reached() { return &reached_; }
  // A number is known only when the character after it has been read: look one back.
  int Line() { return lines_.LineOf(reached_ == begin_ ? reached_ : reached_ - 1); }

  bool null() override { return Add(Value::Type::kNull, ""); }
  bool boolean(bool value) override {
    return Add(Value::Type::kBool, value ? "true" : "false", 0, value);
  }
  bool number_integer(number_integer_t value) override {
    return Add(Value::Type::kInteger, std::to_string(value), value);
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > INT64_MAX) return Add(Value::Type::kNumber, std::to_string(value));
    return number_integer(static_cast<number_integer_t>(value));
  }
  bool number_float(number_float_t, const string_t& text) override {
    return Add(Value::Type::kNumber, text);
  }
  bool string(string_t& text) override { return Add(Value::Type::kString, std::move(text)); }
  bool binary(binary_t&) override { return builder_.Fail(Line(), "binary is not JSON"); }
  bool start_object(std::size_t) override { return builder_.StartMapping(Line()); }
  bool key(string_t& text) override { return builder_.Key(std::move(text), Line()); }
  bool end_object() override { return builder_.End(); }
  bool start_array(std::size_t) override { return builder_.StartSequence(Line()); }
  bool end_array() override { return builder_.End(); }
  bool parse_error(std::size_t, const std::string&, const json::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error ...": the
    // line is that of our own count.
    std::string_view what = error.what();
    size_t colon = what.find(": ");
    if (colon != std::string_view::npos) what.remove_prefix(colon + 2);
    return builder_.Fail(Line(), "not valid JSON: " + std::string(what));
  }

 private:
  bool Add(Value::Type type, std::string text, int64_t integer = 0, bool boolean = false) {
    Value value;
    value.type = type;
    value.line = Line();
    value.text = std::move(text);
    value.integer = integer;
    value.boolean = boolean;
    return builder_.Scalar(std::move(value));
  }

  TreeBuilder builder_;
  const char* begin_;
  const char* reached_;
  LineCounter lines_;
};

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

}  // namespace

Parsed ParseJson(std::string_view text, int first_line) {
  Parsed out;
  JsonHandler handler(text, first_line);
  const char* end = text.data() + text.size();
  const char* at = std::find_if_not(text.data(), end, IsSpace);
  while (at != end && !handler.builder().error()) {
    if (*at != '{') {
      *handler.reached() = at + 1;
      handler.builder().Fail(handler.Line(), "unexpected text after the JSON object");
      break;
    }
    json::sax_parse(CountingIterator(at, handler.reached()),
                    CountingIterator(end, handler.reached()), &handler,
                    nlohmann::detail::input_format_t::json, /*strict=*/false);
    if (handler.builder().complete()) out.documents.push_back(handler.builder().Take());
    at = std::find_if_not(*handler.reached(), end, IsSpace);
  }
  out.repeats = handler.builder().repeats();
  out.error = handler.builder().error();
  return out;
}

}  // namespace sallyport::model
