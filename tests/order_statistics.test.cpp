#include <sagitta/penalties.hpp>

#include <numeric>
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include "catch.hpp"
#include "generate.hpp"

using Eigen::VectorXd;
using generate::Index;

namespace {

template <class Scalar>
using Vector = generate::Tensor<Scalar>;

// Whether every element is matched with the number that has its rank by a stable sort, in the order of the
// indices. The sorted numbers are 0, 1, 2, ..., so that a match is a rank.
template <class Scalar, class Mode = int>
bool ranks_agree(const Vector<Scalar>& values, sagitta::detail::OrderStatistics<Scalar>& statistics) {
  const Index n = values.size();
  std::vector<Index> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), Index{0});
  std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) { return values[a] < values[b]; });
  Vector<Scalar> numbers(n), want(n), got = Vector<Scalar>::Constant(n, -1);
  for (Index rank = 0; rank < n; ++rank) {
    numbers[rank] = static_cast<Scalar>(rank);
    want[order[static_cast<std::size_t>(rank)]] = static_cast<Scalar>(rank);
  }
  Index next = 0;
  bool in_order = true;
  [[maybe_unused]] const Mode mode{};
  statistics.match(values.data(), n, numbers.data(), "f",
                   [&](Index first, Index count, const Scalar* matches) {
                     in_order = in_order && first == next && count > 0 && count <= 256;
                     next = first + count;
                     std::copy_n(matches, count, got.data() + first);
                   });
  return in_order && next == n && got == want;
}

}  // namespace

TEMPLATE_TEST_CASE("ranks are those of a stable sort, at every size near a boundary", "", float, double) {
  generate::Generator generator(88);
  sagitta::detail::OrderStatistics<TestType> statistics;  // its scratch is used again and again
  for (const Index n :
       {3,   7,   8,   9,   15,  16,  17,  31,  32,   33,   63,   64,   65,   95,   96,   97,  127,
        128, 129, 191, 193, 511, 512, 513, 767, 1000, 1023, 1024, 1025, 2047, 2048, 2049, 4097})
    for (int draw = 0; draw < 3; ++draw)
      for (const Vector<TestType>& values : generate::tensors<TestType>(generator, n))
        CHECK(ranks_agree<TestType>(values, statistics));
}

TEMPLATE_TEST_CASE("ranks of arrays that begin with large buckets", "", float, double) {
  generate::Generator generator(89);
  sagitta::detail::OrderStatistics<TestType> statistics;
  for (const Index n : {16385, 131072, 262144, 262145})  // 2^20 bytes are the last in one round
    for (const Vector<TestType>& values : generate::tensors<TestType>(generator, n))
      CHECK(ranks_agree<TestType>(values, statistics));
  const Vector<TestType> values = generate::vector(generator, 1000000).template cast<TestType>();
  CHECK(ranks_agree<TestType>(values, statistics));
}

TEST_CASE("ranks where every round leaves most elements together") {
  // each cluster is a millionth of the one around it: no map of a round sees into the next
  generate::Generator generator(90);
  sagitta::detail::OrderStatistics<double> statistics;
  VectorXd values = generate::vector(generator, 20000);
  for (Index i = 0; i < values.size(); ++i) {
    const double width = std::pow(1e-6, static_cast<double>(generate::whole(generator, 0, 2)));
    values[i] = 1 + width * values[i] * 1e-2;
  }
  CHECK(ranks_agree<double>(values, statistics));
  // distances to a point fall by 2^-8 from cluster to cluster, down to the last bit, around 1 and around 0
  for (const double centre : {1.0, 0.0}) {
    for (Index i = 0; i < values.size(); ++i)
      values[i] =
          centre + std::ldexp(generate::uniform(generator, 1, 2),
                              -8 * static_cast<int>(generate::whole(generator, 1, centre == 0 ? 120 : 6)));
    CHECK(ranks_agree<double>(values, statistics));
  }
}

#if defined(__SSE2__)

namespace {

// While it lives, this thread treats subnormal numbers as zeros, as LibTorch's set_flush_denormal makes it.
struct FlushedDenormals {
  unsigned before = _mm_getcsr();
  FlushedDenormals() { _mm_setcsr(before | 0x8040); }
  FlushedDenormals(const FlushedDenormals&) = delete;
  FlushedDenormals& operator=(const FlushedDenormals&) = delete;
  ~FlushedDenormals() { _mm_setcsr(before); }
};

}  // namespace

TEMPLATE_TEST_CASE("ranks are the same where subnormal numbers are treated as zeros", "", float, double) {
  generate::Generator generator(91);
  sagitta::detail::OrderStatistics<TestType> statistics;
  const unsigned before = _mm_getcsr() & ~0x3fu;  // but for the exceptions that were seen
  for (const Index n : {2, 3, 9, 64, 65, 129, 300, 1000, 5000, 300000})
    for (int draw = 0; draw < (n > 5000 ? 1 : 4); ++draw) {
      std::vector<Vector<TestType>> all = generate::tensors<TestType>(generator, n);
      const Vector<TestType> subnormal = all[9];
      for (const Index some : {2, 7}) {  // in the midst of normal numbers, at one end of them, or a few
        Vector<TestType> mixed = all[0];
        for (Index i = 0; i < n; i += some) mixed[i] = subnormal[i];
        all.push_back(mixed);
        all.push_back(mixed.cwiseAbs());
        all.push_back(-mixed.cwiseAbs());
      }
      for (const Vector<TestType>& values : all)
        CHECK(ranks_agree<TestType, FlushedDenormals>(values, statistics));
    }
  CHECK((_mm_getcsr() & ~0x3fu) == before);

  // the other side, too, is in order where it was sorted in such a thread
  const Vector<TestType> theta0 = generate::tensors<TestType>(generator, 3000)[9];
  Vector<TestType> gradient = Vector<TestType>::Ones(theta0.size());
  const auto penalty = [&] {
    const FlushedDenormals mode;
    return sagitta::WassersteinPenalty(theta0);
  };
  penalty().value_and_gradient(Vector<TestType>(theta0.reverse()), gradient);
  CHECK((gradient.array() == TestType(0)).all());
}

#endif
