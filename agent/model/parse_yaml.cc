// SPDX-License-Identifier: Apache-2.0
// YAML through yaml-cpp's event interface.
//
// yaml-cpp recovers from some errors in silence: quotes left open at the end of the text, or text
// after the end of a document. Both would turn a half-written file into a valid one, so both are
// checked for here.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <exception>
#include <sstream>

#include "model/parse.h"
#include "model/resolve_scalar.h"

namespace sallyport::model {
namespace {

// Thrown out of yaml-cpp by the handler, caught in ParseYaml: the builder knows why.
struct Stop {};

constexpr std::string_view kCoreTag = "tag:yaml.org,2002:";

// Adds a scalar, as a key where one comes next: the API server sees JSON, whose keys are strings.
bool AddYamlScalar(TreeBuilder& builder, Value value) {
  if (!builder.ExpectsKey()) return builder.Scalar(std::move(value));
  switch (value.type) {
    case Value::Type::kNull:
      return builder.Fail(value.line, "a key is missing before \":\"");
    case Value::Type::kBool:
      value.text = value.boolean ? "true" : "false";
      break;
    case Value::Type::kInteger:
      value.text = std::to_string(value.integer);
      break;
    default:
      break;
  }
  return builder.Key(std::move(value.text), value.line);
}

class YamlHandler : public YAML::EventHandler {
 public:
  YamlHandler(int first_line, int last_line) : first_line_(first_line), last_line_(last_line) {}
  TreeBuilder& builder() { return builder_; }
  // Of what is missing yaml-cpp may say that it is behind the end.
  int Line(const YAML::Mark& mark) const {
    return std::min(first_line_ + std::max(mark.line, 0), last_line_);
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ > 0) {
      Must(builder_.Fail(Line(mark),
                         "unexpected text: a document ended before this line; "
                         "check the indentation, or separate documents by ---"));
    }
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    // The mark is that of whatever comes next; a missing value belongs to its key.
    Value null;
    null.line = builder_.AfterKey() ? builder_.open_line() : Line(mark);
    Add(std::move(null));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Must(builder_.Fail(Line(mark), "aliases (*name) are not supported: write the value out"));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& text) override {
    if (tag.empty() || tag == "?") {
      Plain(mark, text);
    } else {
      Tagged(mark, tag, text);
    }
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    NoKey(mark);
    CollectionTag(mark, tag, "seq");
    Must(builder_.StartSequence(Line(mark)));
  }
  void OnSequenceEnd() override { Must(builder_.End()); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    NoKey(mark);
    CollectionTag(mark, tag, "map");
    Must(builder_.StartMapping(Line(mark)));
  }
  void OnMapEnd() override { Must(builder_.End()); }

 private:
  static void Must(bool go_on) {
    if (!go_on) throw Stop();
  }
  void NoKey(const YAML::Mark& mark) {
    if (builder_.ExpectsKey()) {
      Must(builder_.Fail(Line(mark), "a key must be a scalar, not a mapping or a list"));
    }
  }
  void CollectionTag(const YAML::Mark& mark, const std::string& tag, std::string_view core) {
    if (tag.empty() || tag == "?" || tag == "!" || tag == std::string(kCoreTag) + std::string(core))
      return;
    BadTag(mark, tag);
  }
  void BadTag(const YAML::Mark& mark, const std::string& tag) {
    Must(builder_.Fail(Line(mark), "tag \"" + tag + "\" is not supported: leave it out"));
  }

  void Plain(const YAML::Mark& mark, const std::string& text) {
    if (text == "<<" && builder_.ExpectsKey()) {
      Must(builder_.Fail(Line(mark), "merge keys (<<) are not supported: write the values out"));
    }
    Add(ResolveScalar(text, Line(mark)));
  }

  // "!" is what yaml-cpp calls quoted.
  void Tagged(const YAML::Mark& mark, const std::string& tag, const std::string& text) {
    Value value;
    value.type = Value::Type::kString;
    value.line = Line(mark);
    value.text = text;
    if (tag != "!" && tag != std::string(kCoreTag) + "str") {
      value = ResolveScalar(text, Line(mark));
      std::string_view core = tag;
      if (core.substr(0, kCoreTag.size()) == kCoreTag) core.remove_prefix(kCoreTag.size());
      bool fits = (core == "int" && value.type == Value::Type::kInteger) ||
                  (core == "bool" && value.type == Value::Type::kBool) ||
                  (core == "null" && value.type == Value::Type::kNull) ||
                  (core == "float" &&
                   (value.type == Value::Type::kInteger || value.type == Value::Type::kNumber));
      if (!fits) BadTag(mark, tag);
    }
    Add(std::move(value));
  }

  void Add(Value value) { Must(AddYamlScalar(builder_, std::move(value))); }

  TreeBuilder builder_;
  int first_line_, last_line_;
  int documents_ = 0;
};

// yaml-cpp queues the tokens of open flow collections before it says anything about them.
bool OpensTooMuch(std::string_view text) {
  constexpr int kMost = 10'000;
  int open = 0;
  for (char c : text) {
    if (c == '[' || c == '{') ++open;
    if ((c == ']' || c == '}') && open > 0) --open;
    if (open > kMost) return true;
  }
  return false;
}

constexpr std::string_view kCutOff =
    "not valid YAML: quotes or brackets that are opened here or below are not closed before the "
    "document ends";

// "yaml-cpp: error at line 2, column 4: illegal map value" without what is said elsewhere.
std::string Reworded(const YAML::Exception& error) {
  return "not valid YAML: " + error.msg + " (column " + std::to_string(error.mark.column + 1) + ")";
}

}  // namespace

Parsed ParseYaml(std::string_view text, int first_line) {
  Parsed out;
  bool ends_line = !text.empty() && text.back() == '\n';
  auto line_ends = static_cast<int>(std::count(text.begin(), text.end(), '\n'));
  YamlHandler handler(first_line, first_line + line_ends - (ends_line ? 1 : 0));
  TreeBuilder& builder = handler.builder();
  if (OpensTooMuch(text)) {
    out.error = SyntaxError{first_line, "not valid YAML: thousands of brackets are left open"};
    return out;
  }
  // Cut off inside quotes or brackets, the text would not end where it seems to.
  std::istringstream stream(std::string(text) + (ends_line ? "...\n" : "\n...\n"));
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(handler)) {
      if (builder.complete()) out.documents.push_back(builder.Take());
    }
  } catch (const Stop&) {
  } catch (const YAML::Exception& error) {
    bool at_end = error.mark.pos >= static_cast<int>(text.size());
    builder.Fail(at_end ? builder.open_line() : handler.Line(error.mark),
                 at_end ? std::string(kCutOff) : Reworded(error));
  } catch (const std::exception& error) {
    builder.Fail(first_line, std::string("not valid YAML: ") + error.what());
  }
  out.repeats = builder.repeats();
  out.error = builder.error();
  return out;
}

}  // namespace sallyport::model
