#include <iostream>
#include <sagitta/sagitta.hpp>

int main() {
  const Eigen::Matrix2d A{{2, 0}, {0, 1}};
  const sagitta::EffectiveRank rank = sagitta::symmetric_effective_rank(A);
  std::cout << "sagitta " << SAGITTA_VERSION << ": rank " << rank.rank << '\n';
  return rank.rank == 2 && rank.certified() ? 0 : 1;
}
