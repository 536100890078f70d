#pragma once

#include <Eigen/Core>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

// Values that other programs computed, from files.
namespace json_values {

using Json = nlohmann::json;

// the file as JSON; an error where it is not there
inline Json load(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  return Json::parse(file);
}

inline Eigen::VectorXd vector(const Json& numbers) {
  Eigen::VectorXd v(static_cast<Eigen::Index>(numbers.size()));
  for (std::size_t i = 0; i < numbers.size(); ++i) v[static_cast<Eigen::Index>(i)] = numbers[i].get<double>();
  return v;
}

// a list of rows of equal length
inline Eigen::MatrixXd matrix(const Json& rows) {
  Eigen::MatrixXd A(rows.size(), rows.empty() ? 0 : rows[0].size());
  for (std::size_t i = 0; i < rows.size(); ++i) A.row(static_cast<Eigen::Index>(i)) = vector(rows[i]);
  return A;
}

}  // namespace json_values
