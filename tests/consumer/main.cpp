#include <iostream>
#include <sagitta/sagitta.hpp>

// the version can be asked for while compiling
static_assert(SAGITTA_VERSION_MAJOR * 10000 + SAGITTA_VERSION_MINOR * 100 + SAGITTA_VERSION_PATCH > 0);

int main() {
  const Eigen::Matrix2d A{{2, 0}, {0, 1}};
  const sagitta::EffectiveRank rank = sagitta::symmetric_effective_rank(A);
  std::cout << SAGITTA_VERSION << ' ' << rank.rank << '\n';
  return rank.rank == 2 && rank.certified() ? 0 : 1;
}
