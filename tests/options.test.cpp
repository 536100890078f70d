#include <sagitta/gradient_overlap.hpp>
#include <sagitta/partial_rank.hpp>

#include "catch.hpp"
#include "generate.hpp"

using Eigen::MatrixXd;

TEST_CASE("options by name give what positions give, to a temporary generator too") {
  generate::Generator generator(231);
  const MatrixXd G = generate::matrix(generator, 50, 8), K = G * G.transpose();
  const Eigen::VectorXd g = generate::vector(generator, 50);
  const sagitta::DenseOperator op(K);
  std::mt19937_64 same(1);
  const auto rank = sagitta::estimated_effective_rank(op, 0.9, same, 30);
  CHECK(sagitta::estimated_effective_rank(op, std::mt19937_64(1), {.threshold = 0.9, .steps = 30}).rank ==
        rank.rank);
  CHECK(sagitta::estimated_effective_rank(op, std::mt19937_64(1)).products == 50);  // exact
  same.seed(2);
  const auto overlap = sagitta::gradient_hessian_overlap(op, g, 0.9, same, 30);
  CHECK(sagitta::gradient_hessian_overlap(op, g, std::mt19937_64(2), {.threshold = 0.9, .steps = 30}).value ==
        overlap.value);
  CHECK(sagitta::estimated_effective_rank(op, 0.9, std::mt19937_64(1), 30).rank == rank.rank);
  same.seed(4);
  const auto pairs = sagitta::extreme_eigenpairs(op, 2, same);
  CHECK(sagitta::extreme_eigenpairs(op, 2, std::mt19937_64(4)).values == pairs.values);
  same.seed(5);
  const auto density = sagitta::spectral_density(op, same, {.steps = 10});
  CHECK(sagitta::spectral_density(op, std::mt19937_64(5), {.steps = 10}).nodes == density.nodes);
  same.seed(3);
  const auto partial = sagitta::partial_effective_rank(op, K.trace(), K.norm(), 0.9, same, 20);
  const auto named = sagitta::partial_effective_rank(op, K.trace(), K.norm(), std::mt19937_64(3),
                                                     {.threshold = 0.9, .max_steps = 20});
  CHECK(named.rank == partial.rank);
  CHECK(named.lower == partial.lower);
  CHECK(named.upper == partial.upper);
}
