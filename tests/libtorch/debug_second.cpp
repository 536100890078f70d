#include <sagitta/libtorch.hpp>

#include <ATen/ops/randn.h>

double second_translation_unit() {
  const at::Tensor w = at::randn({3, 4}).requires_grad_(), x = at::randn({5, 4});
  return sagitta::libtorch::empirical_fisher_gram([&] { return x.mm(w.t()).square().sum(1); }, {{w}})
      .check_error;
}
