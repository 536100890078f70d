#pragma once

#include "learners/regularizer.hpp"

namespace paper {

Regularizer no_regularizer();
Regularizer wasserstein();
Regularizer l2_init();
Regularizer l2();
Regularizer feature_rank();

}  // namespace paper
