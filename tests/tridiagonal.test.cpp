#include <sagitta/detail/tridiagonal.hpp>

#include <sagitta/detail/counted_rank.hpp>
#include <sagitta/detail/row_products.hpp>

#include <array>
#include <atomic>
#include <optional>
#include <system_error>
#include <thread>

#include "catch.hpp"
#include "generate.hpp"

// The kernels behind the ranks of symmetric matrices, each beside the plain version.
using Eigen::MatrixXd;
using Eigen::VectorXd;
using generate::Index;
using sagitta::EffectiveRank;
using sagitta::detail::Band;
using sagitta::detail::SymmetricBlocks;
using sagitta::detail::Tridiagonal;

namespace {

using Extended = Eigen::Matrix<long double, Eigen::Dynamic, Eigen::Dynamic>;
constexpr double eps = std::numeric_limits<double>::epsilon();

// how many eigenvalues lie below x, with pivots in extended precision
Index naive_count(const Tridiagonal& T, double x) {
  Index count = 0;
  long double pivot = 1;
  for (Index k = 0; k < T.diagonal.size(); ++k) {
    const long double e = k > 0 ? T.off_diagonal[k - 1] : 0;
    pivot = static_cast<long double>(T.diagonal[k]) - x - (k > 0 ? e * e / pivot : 0);
    if (pivot == 0) pivot = -1e-4000L;
    count += pivot < 0;
  }
  return count;
}

// eigenvalues, ascending, each by bisection in extended precision
VectorXd naive_eigenvalues(const Tridiagonal& T) {
  const Index n = T.diagonal.size();
  VectorXd values(n);
  double bound = 0;
  for (Index i = 0; i < n; ++i)
    bound = std::max(bound, std::abs(T.diagonal[i]) + (i > 0 ? std::abs(T.off_diagonal[i - 1]) : 0) +
                                (i + 1 < n ? std::abs(T.off_diagonal[i]) : 0));
  for (Index j = 0; j < n; ++j) {
    double low = -bound, high = bound;
    for (int step = 0; step < 64; ++step) {
      const double middle = (low + high) / 2;
      (naive_count(T, middle) > j ? high : low) = middle;
    }
    values[j] = (low + high) / 2;
  }
  return values;
}

// the rank by all eigenvalues
EffectiveRank full_rank(const Tridiagonal& T, double threshold, double input_error = 0) {
  Tridiagonal copy = T;
  REQUIRE(sagitta::detail::diagonalize(copy));
  VectorXd values = copy.diagonal.cwiseAbs();
  std::sort(values.begin(), values.end(), std::greater<>());
  const Index n = values.size();
  return sagitta::detail::bracketed_rank(
      values, sagitta::detail::value_error(n, n == 0 ? 0 : values[0]) + input_error, threshold, n);
}

VectorXd spectrum(generate::Generator& generator, int kind, Index n) {
  using enum generate::Shape;
  constexpr generate::Shape shapes[] = {geometric, clusters, graded,    deficient,
                                        flat,      tied,     one_large, uniform};
  const double rate = generate::uniform(generator, 0.5, 0.99);
  return generate::spectrum(generator, shapes[kind], n, rate, generate::whole(generator, 0, n), 0);
}
constexpr int kinds = 8;

double largest(const VectorXd& values) { return values.size() == 0 ? 0 : values.cwiseAbs().maxCoeff(); }

}  // namespace

TEST_CASE("one pass updates a symmetric matrix and multiplies it") {
  generate::Generator generator(41);
  for (const Index n : {1, 2, 7, 8, 9, 15, 16, 17, 40}) {
    MatrixXd A = generate::matrix(generator, n, n);
    A = (A + A.transpose()).eval();
    for (const Index first : {Index{0}, n / 3, n - 1}) {
      const SymmetricBlocks untouched(A);
      const Index padded = untouched.padded();
      MatrixXd pairs = MatrixXd::Zero(padded, 4);
      VectorXd x = VectorXd::Zero(padded), y(padded), scratch(padded);
      pairs.block(first, 0, n - first, 4) = generate::matrix(generator, n - first, 4);
      x.segment(first, n - first) = generate::vector(generator, n - first);
      const auto v1 = pairs.col(0).head(n), w1 = pairs.col(1).head(n), v2 = pairs.col(2).head(n),
                 w2 = pairs.col(3).head(n);
      const MatrixXd updated =
          A - v1 * w1.transpose() - w1 * v1.transpose() - v2 * w2.transpose() - w2 * v2.transpose();
      SymmetricBlocks blocks(A);
      sagitta::detail::update_and_multiply<0>(blocks, pairs, first, x, y, scratch);
      const double size = 16 * eps * static_cast<double>(n + 4) * (1 + largest(updated.reshaped()));
      CHECK(largest((y.head(n) - A * x.head(n)).tail(n - first)) <= size);
      sagitta::detail::update_and_multiply<2>(blocks, pairs, first, x, y, scratch);
      CHECK(largest((y.head(n) - updated * x.head(n)).tail(n - first)) <= size);
      for (Index j = first; j < n; ++j)
        for (Index i = j; i < n; ++i) CHECK(std::abs(blocks.column(j)[i] - updated(i, j)) <= size);
    }
  }
}

TEST_CASE("the largest of a symmetric matrix is found in its lower triangle alone") {
  for (const Index n : {1, 7, 8, 9, 20})
    for (Index j = 0; j < n; ++j)
      for (Index i = 0; i < n; ++i) {
        MatrixXd A = MatrixXd::Constant(n, n, 1.5);
        A(i, j) = -1e30;
        SymmetricBlocks blocks(A);
        const int exponent = blocks.scale("test", "A");
        CHECK(exponent == (i >= j ? std::ilogb(1e30) : 0));
        CHECK(std::ldexp(blocks.column(j)[std::max(i, j)], exponent) == A(std::max(i, j), j));
      }
}

TEST_CASE("a symmetric matrix of moderate size is not scaled, any other to between 1 and 2") {
  const std::vector<std::pair<double, int>> expected{
      {0x1p16, 0}, {0x1p17, 17}, {0x1.8p17, 17}, {0x1p-16, 0}, {0x1.8p-17, -17}, {0, 0}, {1e300, 996}};
  for (const auto& [largest, exponent] : expected) {
    SymmetricBlocks blocks(MatrixXd::Constant(3, 3, -largest));
    CHECK(blocks.scale("test", "A") == exponent);
    CHECK(blocks.column(1)[2] == std::ldexp(-largest, -exponent));
  }
}

TEST_CASE("the QL iteration finds the eigenvalues with and without a row of the eigenvectors") {
  generate::Generator generator(47);
  for (const Index n : {0, 1, 2, 3, 5, 20, 60})
    for (int kind = 0; kind < 6; ++kind) {
      Tridiagonal T{generate::vector(generator, n), generate::vector(generator, std::max<Index>(n - 1, 0))};
      if (kind == 1) T.diagonal.setZero();  // as the singular values have it
      if (kind == 2) T.diagonal.setConstant(-0.25);
      for (Index i = 0; i < n; ++i) {
        if (kind == 3) T.diagonal[i] *= std::pow(0.6, i);  // graded either way
        if (kind == 4) T.diagonal[n - 1 - i] *= std::pow(0.6, i);
        if (i + 1 == n) break;
        if (kind == 3) T.off_diagonal[i] *= std::pow(0.6, i);
        if (kind == 4) T.off_diagonal[n - 2 - i] *= std::pow(0.6, i);
        if (kind == 5 && i % 3 == 1) T.off_diagonal[i] = i % 2 == 0 ? 0 : 1e-160;  // whose square vanishes
      }
      const VectorXd want = naive_eigenvalues(T);
      Tridiagonal values = T, with_row = T;
      VectorXd row = VectorXd::Unit(std::max<Index>(n, 1), 0).head(n);
      REQUIRE(sagitta::detail::diagonalize(values));
      REQUIRE(sagitta::detail::diagonalize(with_row, row));
      INFO("n = " << n << ", kind " << kind);
      // T_11 is the sum of the eigenvalues, weighted by the squares of the first components
      if (n > 0) {
        CHECK(std::abs(row.cwiseAbs2().dot(with_row.diagonal) - T.diagonal[0]) <= 1e-13);
        CHECK(std::abs(row.squaredNorm() - 1) <= 1e-13);
      }
      for (VectorXd* found : {&values.diagonal, &with_row.diagonal}) {
        std::sort(found->begin(), found->end());
        CHECK(largest(*found - want) <= sagitta::detail::value_error(n, largest(want)));
      }
    }
}

TEST_CASE("reductions keep the eigenvalues, around every block's boundary") {
  generate::Generator generator(42);
  double worst = 0;
  const auto check = [&](const Tridiagonal& T, const VectorXd& values, const char* route) {
    Tridiagonal copy = T;
    REQUIRE(sagitta::detail::diagonalize(copy));
    std::sort(copy.diagonal.begin(), copy.diagonal.end());
    const double bound = sagitta::detail::value_error(values.size(), largest(values));
    INFO(route << ", n = " << values.size());
    CHECK(largest(copy.diagonal - values) <= bound);
    worst = std::max(worst, largest(copy.diagonal - values) / bound);
  };
  int kind = 0;
  for (const Index n :
       {1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 23, 24, 25, 26, 47, 48, 49, 50, 71, 72, 73, 95, 96, 97, 121, 144}) {
    for (int repeat = 0; repeat < 3; ++repeat) {
      VectorXd values = generate::with_random_signs(generator, spectrum(generator, kind++ % kinds, n));
      const MatrixXd A = generate::with_spectrum(generator, values);
      std::sort(values.begin(), values.end());
      SymmetricBlocks blocks(A);
      check(sagitta::detail::reduce_in_one_stage(blocks), values, "one stage");
      Band band = sagitta::detail::reduce_to_band(SymmetricBlocks(A));
      check(sagitta::detail::chase_bulges(band), values, "two stages");
    }
  }
  INFO("largest error in units of the bound: " << worst);
  CHECK(worst <= 0.5);  // room to spare, so that the certificates are safe
}

TEST_CASE("both reductions leave the first coordinate where it is") {
  // then e_1^T A^k e_1 is T's: the first element, the length of the first column, and one power more
  generate::Generator generator(43);
  for (const Index n : {2, 5, 24, 30, 60, 130}) {
    MatrixXd A = generate::matrix(generator, n, n);
    A = (A + A.transpose()).eval();
    const VectorXd first = A.col(0);
    const double second = first.dot(first), third = first.dot(A * first);
    SymmetricBlocks blocks(A);
    Band band = sagitta::detail::reduce_to_band(blocks);
    for (const Tridiagonal& T :
         {sagitta::detail::reduce_in_one_stage(blocks), sagitta::detail::chase_bulges(band)}) {
      const double d = T.diagonal[0], e = T.off_diagonal[0];
      const double allowed = 100 * eps * static_cast<double>(n) * A.norm();
      CHECK(std::abs(d - A(0, 0)) <= allowed);
      CHECK(std::abs(d * d + e * e - second) <= allowed * A.norm());
      CHECK(std::abs(d * d * d + 2 * d * e * e + e * e * T.diagonal[1] - third) <=
            allowed * A.norm() * A.norm());
    }
  }
}

TEST_CASE("the band of the first stage is a band of the same matrix") {
  generate::Generator generator(44);
  for (const Index n : {30, 60, 100}) {
    MatrixXd A = generate::matrix(generator, n, n);
    A = (A + A.transpose()).eval();
    Band band = sagitta::detail::reduce_to_band(SymmetricBlocks(A));
    MatrixXd B = MatrixXd::Zero(n, n);
    for (Index j = 0; j < n; ++j)
      for (Index i = j; i < std::min(n, j + Band::width + 1); ++i) B(i, j) = B(j, i) = band(i, j);
    for (Index j = 0; j < n; ++j)  // the room for the bulge is empty
      for (Index i = j + Band::width + 1; i < j + 2 * Band::width; ++i) CHECK(band(i, j) == 0);
    CHECK(std::abs(B.trace() - A.trace()) <= 100 * eps * A.norm());
    CHECK(std::abs(B.norm() - A.norm()) <= 100 * eps * A.norm());
    CHECK(std::abs((B * B * B).trace() - (A * A * A).trace()) <= 1000 * eps * std::pow(A.norm(), 3));
  }
}

TEST_CASE("any number of threads gives the same bits, and every job is done once") {
  for (const Index threads : {1, 2, 3, 9}) {
    std::vector<int> done(7, 0);
    sagitta::detail::in_parallel(threads, 7, [&](Index job) { ++done[static_cast<std::size_t>(job)]; });
    CHECK(done == std::vector<int>(7, 1));
    sagitta::detail::in_parallel(threads, 0, [&](Index) { FAIL("there is no job"); });
    sagitta::detail::Team team(threads);
    for (int round = 0; round < 200; ++round)
      team.run(round % 8, [&](Index job) { done[static_cast<std::size_t>(job)] += round; });
    for (int job = 0; job < 7; ++job) {
      int sum = 1;
      for (int round = 0; round < 200; ++round) sum += round % 8 > job ? round : 0;
      CHECK(done[static_cast<std::size_t>(job)] == sum);
    }
  }
  generate::Generator generator(48);
  const Index n = 420;
  MatrixXd A = generate::matrix(generator, n, n);
  A = (A + A.transpose()).eval();
  Band one = sagitta::detail::reduce_to_band(SymmetricBlocks(A));
  for (const Index threads : {2, 3, 8}) {
    Band other = sagitta::detail::reduce_to_band(SymmetricBlocks(A), threads);
    Index differing = 0;
    for (Index j = 0; j < n; ++j)
      for (Index i = j; i < std::min(n, j + Band::width + 1); ++i) differing += one(i, j) != other(i, j);
    CHECK(differing == 0);
  }
  const MatrixXd X = generate::matrix(generator, 500, 130), K = sagitta::detail::row_gram(X);
  CHECK(sagitta::detail::row_gram(X, 3) == K);
  CHECK((K - X * X.transpose()).triangularView<Eigen::Lower>().toDenseMatrix().norm() <=
        130 * eps * X.squaredNorm());
}

#if defined(__GLIBC__)

namespace {

// While it lives, no thread can be created in this process: its stack would not fit the address space.
struct NoMoreThreads {
  pthread_attr_t before;
  NoMoreThreads() {
    pthread_getattr_default_np(&before);
    pthread_attr_t attributes;
    pthread_getattr_default_np(&attributes);
    pthread_attr_setstacksize(&attributes, std::size_t{1} << 50);
    pthread_setattr_default_np(&attributes);
    pthread_attr_destroy(&attributes);
  }
  NoMoreThreads(const NoMoreThreads&) = delete;
  NoMoreThreads& operator=(const NoMoreThreads&) = delete;
  ~NoMoreThreads() {
    pthread_setattr_default_np(&before);
    pthread_attr_destroy(&before);
  }
};

}  // namespace

TEST_CASE("where the system gives no more threads, those that there are do every job once") {
  constexpr Index jobs = 40;
  std::array<std::atomic<int>, jobs> done{};
  std::atomic<int> elsewhere = 0;  // jobs that another thread did
  const auto caller = std::this_thread::get_id();
  const auto work = [&](Index job) {
    ++done[static_cast<std::size_t>(job)];
    elsewhere += std::this_thread::get_id() != caller;
  };
  {
    const NoMoreThreads none;
    CHECK_THROWS_AS(std::thread([] {}).join(), std::system_error);
    sagitta::detail::in_parallel(8, jobs, work);
    sagitta::detail::Team(8).run(jobs, work);
  }
  CHECK(elsewhere == 0);
  for (const auto& count : done) CHECK(count == 2);
  sagitta::detail::in_parallel(8, jobs, work);
  CHECK(elsewhere == jobs - jobs / 8);
  sagitta::detail::Team(8).run(jobs, work);
  CHECK(elsewhere == 2 * (jobs - jobs / 8));
  for (const auto& count : done) CHECK(count == 4);
  // the limit comes while they are created, so that some are there
  for (int repeat = 0; repeat < 100; ++repeat) {
    std::optional<NoMoreThreads> none;
    sagitta::detail::in_parallel(8, jobs, [&](Index job) {
      work(job);
      if (job == 1) none.emplace();
    });
  }
  for (const auto& count : done) CHECK(count == 104);
}

#endif

TEST_CASE("Sturm counts are those of extended precision but for the rounding of T") {
  generate::Generator generator(45);
  int counts = 0;
  for (int trial = 0; trial < 400; ++trial) {
    const Index n = generate::whole(generator, 1, 40);
    Tridiagonal T{generate::vector(generator, n), generate::vector(generator, std::max<Index>(n - 1, 0))};
    switch (trial % 5) {
      case 1:  // split, with repeated eigenvalues and pivots of zero
        T.diagonal = T.diagonal.unaryExpr([](double x) { return std::round(x); });
        T.off_diagonal = T.off_diagonal.unaryExpr([](double x) { return std::round(x); });
        break;
      case 2:  // graded down to where squares underflow
        for (Index i = 0; i < n; ++i) T.diagonal[i] *= std::pow(10.0, -10.0 * static_cast<double>(i));
        for (Index i = 0; i + 1 < n; ++i) T.off_diagonal[i] *= std::pow(10.0, -10.0 * static_cast<double>(i));
        break;
      case 3:  // Wilkinson's: pairs that agree to all digits
        for (Index i = 0; i < n; ++i) T.diagonal[i] = std::abs(static_cast<double>(2 * i - n + 1)) / 2;
        T.off_diagonal.setOnes();
        break;
      case 4:
        T.off_diagonal.setZero();
        break;
      default:
        break;
    }
    const sagitta::detail::SturmSequence sturm(T);
    std::vector<double> shifts{0, sturm.bound(), -sturm.bound()};
    for (Index i = 0; i < n; ++i) shifts.push_back(T.diagonal[i]);
    for (int i = 0; i < 40; ++i)
      shifts.push_back(sturm.bound() * generate::uniform(generator, -1, 1) * std::pow(10.0, -(i % 20)));
    const std::vector<Index> got = sturm.count(shifts);
    REQUIRE(got.size() == shifts.size());
    const double error = sturm.error();
    for (std::size_t i = 0; i < shifts.size(); ++i) {
      CHECK(got[i] >= naive_count(T, shifts[i] - error));
      CHECK(got[i] <= naive_count(T, shifts[i] + error));
      ++counts;
    }
  }
  INFO(counts << " counts");
  CHECK(sagitta::detail::SturmSequence(Tridiagonal{VectorXd(0), VectorXd(0)}).count({0.0, 1.0}) ==
        std::vector<Index>{0, 0});
}

TEST_CASE("ranks by counting are those by all eigenvalues, wherever they are certified") {
  generate::Generator generator(46);
  int cases = 0, counted = 0, missed = 0;
  for (int trial = 0; trial < 3000; ++trial) {
    const Index n = generate::whole(generator, 1, 60);
    VectorXd s = spectrum(generator, trial % kinds, n);
    if (trial % 3 == 0) s = generate::with_random_signs(generator, s);
    Tridiagonal T{s, VectorXd::Zero(std::max<Index>(n - 1, 0))};
    if (trial % 2 == 0) {
      SymmetricBlocks blocks(generate::with_spectrum(generator, s));
      T = sagitta::detail::reduce_in_one_stage(blocks);
    }
    const double threshold =
        std::vector<double>{0, 0.5, 0.9, 0.99, 0.999}[static_cast<std::size_t>(trial / 7 % 5)];
    const double input_error = trial % 11 == 0 ? 1e-6 * largest(s) : 0;
    const EffectiveRank full = full_rank(T, threshold, input_error);
    const auto fast = sagitta::detail::counted_rank(T, threshold, input_error);
    ++cases;
    if (fast) {
      INFO("n = " << n << ", trial " << trial << ", threshold " << threshold);
      CHECK(fast->certified());
      CHECK(fast->max_rank == n);
      // true ranks within both brackets: they must meet, and a certified one lies in the other's
      CHECK(fast->rank >= full.lower);
      CHECK(fast->rank <= full.upper);
      if (full.certified()) CHECK(fast->rank == full.rank);
      ++counted;
    } else {
      missed += full.certified();
    }
  }
  INFO(counted << " of " << cases << " decided by counting; " << missed
               << " more are certified by all eigenvalues");
  CHECK(counted > cases / 2);
  CHECK(missed < cases / 20);
}

TEST_CASE("the eigenvalues of a tridiagonal matrix are those of bisection") {
  generate::Generator generator(47);
  for (int trial = 0; trial < 60; ++trial) {
    const Index n = generate::whole(generator, 1, 50);
    const Tridiagonal T{generate::vector(generator, n),
                        generate::vector(generator, std::max<Index>(n - 1, 0))};
    const VectorXd values = naive_eigenvalues(T);
    Tridiagonal copy = T;
    REQUIRE(sagitta::detail::diagonalize(copy));
    std::sort(copy.diagonal.begin(), copy.diagonal.end());
    CHECK(largest(copy.diagonal - values) <= sagitta::detail::value_error(n, largest(values)));
  }
}
