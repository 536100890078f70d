#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <variant>
#include <vector>

namespace paper {

// A JSON document that people wrote: what is wrong in it is told with its line.
class Document {
 public:
  using Json = nlohmann::ordered_json;
  using Path = std::vector<std::variant<std::string, std::size_t>>;  // keys and places

  // name: in messages; std::runtime_error for text that is not JSON
  Document(std::string name, std::string text);

  const Json& root() const { return root_; }
  // "my.json:12: conditions[1].activation is ..., expected ..."
  [[noreturn]] void fail(const Path& path, const std::string& what) const;

 private:
  std::size_t line_of(const Path& path) const;

  std::string name_, text_;
  Json root_;
};

// A value in a document. Every reader throws std::runtime_error, by Document::fail, for something else.
class Node {
 public:
  explicit Node(const Document& document) : document_(&document), value_(&document.root()) {}

  // std::runtime_error unless this is an object with no other keys than these
  void only(const std::vector<std::string>& keys) const;
  bool has(const std::string& key) const { return value_->is_object() && value_->contains(key); }
  Node at(const std::string& key) const;  // missing: an error
  std::vector<Node> list() const;
  std::vector<std::pair<std::string, Node>> members() const;

  std::string text() const;
  double number() const;
  std::ptrdiff_t count() const;  // a whole number of at least 1
  bool flag() const;
  std::string word() const;  // text, or a number as text
  bool is_text() const { return value_->is_string(); }

  // the value, or that of work(value); what it throws is told with the line
  template <class Work>
  auto checked(Work work) const {
    try {
      return work();
    } catch (const std::invalid_argument& error) {
      fail(error.what());
    }
  }
  [[noreturn]] void fail(const std::string& what) const { document_->fail(path_, what); }
  [[noreturn]] void expected(const std::string& what) const;

 private:
  Node child(std::variant<std::string, std::size_t> step, const Document::Json& value) const;

  const Document* document_;
  const Document::Json* value_;
  Document::Path path_;
};

}  // namespace paper
