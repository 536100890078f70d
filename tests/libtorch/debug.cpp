#include <sagitta/libtorch.hpp>

#include <ATen/ops/randn.h>
#include <ATen/ops/tanh.h>
#include <torch/csrc/api/include/torch/cuda.h>

#include <cstdio>

#ifdef NDEBUG
#error "this program shall be compiled without NDEBUG"
#endif

double second_translation_unit();

// What the recording sees must not depend on the user's NDEBUG. With an argument: whether there is a GPU.
int main(int count, char**) {
  if (count > 1) {
    if (!torch::cuda::is_available()) std::puts("skipped: no GPU here");
    return torch::cuda::is_available() ? 0 : 1;
  }
  const at::Tensor w = at::randn({3, 4}).requires_grad_(), x = at::randn({5, 4});
  const auto losses = [&] { return at::tanh(x.mm(w.t())).sum(1); };
  const auto result = sagitta::libtorch::empirical_fisher_gram(losses, {{w}});
  const bool right =
      result.fallback_parameters.empty() && result.check_error < 1e-5 && second_translation_unit() < 1e-5;
  std::puts(right ? "right" : "wrong: nothing was recorded");
  return right ? 0 : 1;
}
