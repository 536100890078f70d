#include "learners/regularizer.hpp"

#include "learners/regularizers/list.hpp"

namespace paper {

Registry<Regularizer>& regularizers() {
  static Registry<Regularizer> all("regulariser",
                                   {no_regularizer(), wasserstein(), l2_init(), l2(), feature_rank()});
  return all;
}

Regularizer no_regularizer() {
  return {.name = "none", .label = "", .batched = Regularizer::Batched::towards_zero};
}

}  // namespace paper
