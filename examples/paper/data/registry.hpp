#pragma once

#include <deque>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace paper {

// Things of one kind, found by name: what the words of configurations, files and the command line stand for.
// Entries have a member `name`, and stay where they are.
template <class Entry>
class Registry {
 public:
  // kind: what messages call an entry, "activation"
  Registry(std::string kind, const std::vector<Entry>& entries) : kind_(std::move(kind)) {
    for (const Entry& entry : entries) add(entry);
  }

  // Before other threads look entries up. std::invalid_argument for a name that is taken.
  const Entry& add(Entry entry) {
    if (find(entry.name) != nullptr)
      throw std::invalid_argument("there is a " + kind_ + " \"" + entry.name + "\" already");
    return entries_.emplace_back(std::move(entry));
  }

  const Entry* find(const std::string& name) const {
    for (const Entry& entry : entries_)
      if (entry.name == name) return &entry;
    return nullptr;
  }
  // std::invalid_argument that lists the names
  const Entry& at(const std::string& name) const {
    if (const Entry* entry = find(name)) return *entry;
    std::string known;
    for (const Entry& entry : entries_) known += (known.empty() ? "" : ", ") + entry.name;
    throw std::invalid_argument("there is no " + kind_ + " \"" + name + "\", expected one of " + known);
  }
  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const Entry& entry : entries_) result.push_back(entry.name);
    return result;
  }

  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }

 private:
  std::string kind_;
  std::deque<Entry> entries_;
};

}  // namespace paper
