#pragma once

#include <cstddef>

namespace paper {

using Index = std::ptrdiff_t;  // the same type as Eigen::Index and sagitta::Index

}  // namespace paper
