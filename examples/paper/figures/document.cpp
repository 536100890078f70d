#include "figures/document.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <stdexcept>

namespace paper {

namespace {

// Walks through text that is JSON, to find where a value begins.
class Walk {
 public:
  explicit Walk(const std::string& text) : text_(text) {}

  // the place of the value at the end of the path, from the value that begins here
  std::size_t find(const Document::Path& path, std::size_t depth = 0) {
    space();
    if (depth == path.size()) return at_;
    const bool object = text_[at_++] == '{';
    for (std::size_t i = 0;; ++i) {
      space();
      std::size_t start = at_;
      bool here = !object && path[depth] == Document::Path::value_type(i);
      if (object) {
        skip();
        const std::string key = nlohmann::json::parse(text_.substr(start, at_ - start)).get<std::string>();
        here = path[depth] == Document::Path::value_type(key);
        space();
        ++at_;  // the colon
      }
      if (here) return find(path, depth + 1);
      skip();
      space();
      ++at_;  // the comma: the path is there
    }
  }

 private:
  void space() {
    while (std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
  }
  void string() {
    for (++at_; text_[at_] != '"'; ++at_)
      if (text_[at_] == '\\') ++at_;
    ++at_;
  }
  void skip() {  // a value
    space();
    if (text_[at_] == '"') return string();
    int depth = 0;
    for (;; ++at_) {
      const char c = text_[at_];
      if (c == '"') {
        string();
        --at_;
      }
      if (depth == 0 && (c == ',' || c == '}' || c == ']')) return;
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') --depth;
      if (depth == 0 && (c == '}' || c == ']')) {
        ++at_;
        return;
      }
    }
  }

  const std::string& text_;
  std::size_t at_ = 0;
};

std::string text_of(const Document::Path& path) {
  std::string text;
  for (const auto& step : path)
    if (const auto* key = std::get_if<std::string>(&step))
      text += (text.empty() ? "" : ".") + *key;
    else
      text.append("[").append(std::to_string(std::get<std::size_t>(step))).append("]");
  return text.empty() ? "the document" : text;
}

}  // namespace

Document::Document(std::string name, std::string text) : name_(std::move(name)), text_(std::move(text)) {
  try {
    root_ = Json::parse(text_);
  } catch (const Json::parse_error& error) {
    const auto end = text_.begin() + static_cast<std::ptrdiff_t>(std::min(error.byte, text_.size()));
    const std::string what = error.what();
    throw std::runtime_error(name_ + ":" + std::to_string(1 + std::count(text_.begin(), end, '\n')) +
                             ": not JSON: " + what.substr(what.find("] ") + 2));
  }
}

std::size_t Document::line_of(const Path& path) const {
  const std::size_t place = Walk(text_).find(path);
  return 1 + static_cast<std::size_t>(
                 std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(place), '\n'));
}

void Document::fail(const Path& path, const std::string& what) const {
  throw std::runtime_error(name_ + ":" + std::to_string(line_of(path)) + ": " + text_of(path) + ": " + what);
}

Node Node::child(std::variant<std::string, std::size_t> step, const Document::Json& value) const {
  Node node(*document_);
  node.value_ = &value;
  node.path_ = path_;
  node.path_.push_back(std::move(step));
  return node;
}

void Node::expected(const std::string& what) const {
  std::string got = value_->dump();
  if (got.size() > 60) got = got.substr(0, 57) + "...";
  fail("is " + got + ", expected " + what);
}

void Node::only(const std::vector<std::string>& keys) const {
  std::string known;
  for (const std::string& key : keys) known += (known.empty() ? "" : ", ") + key;
  if (!value_->is_object()) expected("an object of " + known);
  for (const auto& [key, value] : value_->items())
    if (std::find(keys.begin(), keys.end(), key) == keys.end())
      child(key, value).fail("is not known here, expected one of " + known);
}

Node Node::at(const std::string& key) const {
  if (!has(key)) fail("\"" + key + "\" is missing");
  return child(key, value_->at(key));
}

std::vector<Node> Node::list() const {
  if (!value_->is_array()) expected("a list");
  std::vector<Node> result;
  for (std::size_t i = 0; i < value_->size(); ++i) result.push_back(child(i, (*value_)[i]));
  return result;
}

std::vector<std::pair<std::string, Node>> Node::members() const {
  if (!value_->is_object()) expected("an object");
  std::vector<std::pair<std::string, Node>> result;
  for (const auto& [key, value] : value_->items()) result.emplace_back(key, child(key, value));
  return result;
}

std::string Node::text() const {
  if (!value_->is_string()) expected("a text");
  return value_->get<std::string>();
}

double Node::number() const {
  if (!value_->is_number()) expected("a number");
  return value_->get<double>();
}

std::ptrdiff_t Node::count() const {
  if (!value_->is_number_integer() || value_->get<double>() < 1 || value_->get<double>() > 1e15)
    expected("a whole number of at least 1");
  return value_->get<std::ptrdiff_t>();
}

bool Node::flag() const {
  if (!value_->is_boolean()) expected("true or false");
  return value_->get<bool>();
}

std::string Node::word() const {
  if (value_->is_string()) return text();
  if (!value_->is_number()) expected("a text or a number");
  if (value_->is_number_integer()) return value_->dump();
  char text[64];
  return {text, std::to_chars(text, text + sizeof text, value_->get<double>()).ptr};
}

}  // namespace paper
