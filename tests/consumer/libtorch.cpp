#include <ATen/ops/eye.h>
#include <ATen/ops/ones.h>

#include <iostream>
#include <sagitta/libtorch.hpp>

// Three samples whose gradients are orthogonal and of one length: three directions of curvature.
int main() {
  const at::Tensor weight = at::ones({2, 3}).requires_grad_(), inputs = at::eye(3);
  const auto losses = [&] { return inputs.mm(weight.t()).square().sum(1); };
  const auto result = sagitta::libtorch::empirical_fisher_gram(losses, {{weight}});
  const sagitta::EffectiveRank rank = sagitta::libtorch::symmetric_effective_rank(result.gram);
  std::cout << SAGITTA_VERSION << ' ' << rank.rank << '\n';
  return rank.rank == 3 && rank.certified() ? 0 : 1;
}
