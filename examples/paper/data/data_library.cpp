#include "data/data_library.hpp"

#include <cstdio>

namespace paper {

std::filesystem::path DataLibrary::folder(const DataSet& set) const {
  const auto place = folders_.find(set.name);
  if (place != folders_.end() && !place->second.empty()) return place->second;
  if (set.stand_in.empty())
    throw std::runtime_error("data: no folder is known for " + set.label + ", and nothing is built in");
  return {};
}

const Dataset& DataLibrary::images(const DataSet& set, Index pool) {
  if (!set.images) throw std::invalid_argument("data: " + set.label + " can only be read class by class");
  const std::scoped_lock lock(mutex_);
  const auto whole = std::pair{set.name, Index{1}}, wanted = std::pair{set.name, pool};
  if (!images_.contains(whole)) images_.emplace(whole, set.images(folder(set)));
  if (!images_.contains(wanted)) images_.emplace(wanted, pooled(images_.at(whole), pool));
  return images_.at(wanted);
}

const ImageClasses& DataLibrary::classes(const DataSet& set) {
  if (!set.classes) throw std::invalid_argument("data: " + set.label + " cannot be read class by class");
  const std::scoped_lock lock(mutex_);
  if (!classes_.contains(set.name)) classes_.emplace(set.name, set.classes(folder(set)));
  return classes_.at(set.name);
}

std::string DataLibrary::identity(const DataSet& set) {
  const auto with = [](const std::string& name, std::uint32_t fingerprint) {
    char text[16];
    std::snprintf(text, sizeof text, "-%08x", static_cast<unsigned>(fingerprint));
    return name + text;
  };
  if (!set.images) {
    const ImageClasses& all = classes(set);
    return with(all.name + "_" + std::to_string(all.classes) + "x" + std::to_string(all.images),
                all.fingerprint);
  }
  const Dataset& data = images(set, 1);
  return with(set.partial ? data.name + "_" + std::to_string(data.labels.size()) : data.name,
              data.fingerprint);
}

}  // namespace paper
