#pragma once

#include <string>
#include <utility>
#include <vector>

namespace paper {

using Fields = std::vector<std::pair<std::string, std::string>>;  // names and values, in a fixed order

// Raised when the same configuration gives other values than before, so that results of different programs
// are told apart. Values without a record are of numerics 1.
constexpr int numerics = 1;

// What makes the values of this program: version, commit, numerics, compiler, flags, processor, eigen,
// libtorch (where it is built with it) and today's date.
Fields this_program();

// the numerics of a maker
std::string numerics_of(const Fields& maker);

}  // namespace paper
