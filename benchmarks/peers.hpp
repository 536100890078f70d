#pragma once

#include <benchmark/benchmark.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

// What Sagitta is measured against: Eigen as a user would call it, LAPACK where it was found, and the rank
// from a spectrum in the plainest way.
namespace bench {

using Eigen::Index;

template <class Scalar>
using Matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;
template <class Scalar>
using Vector = Eigen::Matrix<Scalar, Eigen::Dynamic, 1>;

// Multiples of 2^-23 from -1 to 1, column by column: the numbers of benchmarks/peers/inputs.py, so that the
// peers in Python work on the same ones.
template <class Scalar>
Matrix<Scalar> uniform(Index rows, Index cols, std::uint64_t seed) {
  Matrix<Scalar> A(rows, cols);
  std::uint64_t state = seed << 32;
  for (Index j = 0; j < cols; ++j)
    for (Index i = 0; i < rows; ++i) {
      std::uint64_t z = ++state * 0x9E3779B97F4A7C15;
      z = (z ^ (z >> 32)) * 0xD6E8FEB86659FD93;
      z ^= z >> 32;
      A(i, j) = static_cast<Scalar>(static_cast<double>(z >> 40) * 0x1p-23 - 1);
    }
  return A;
}

// A matrix with the decay of a trained network's: about a fifth of its directions hold 99 % of its spectrum.
template <class Scalar>
Matrix<Scalar> decaying(Index rows, Index cols) {
  Matrix<Scalar> A = uniform<Scalar>(rows, cols, 1);
  for (Index j = 0; j < cols; ++j)
    A.col(j) *= static_cast<Scalar>(std::exp(-15.0 * static_cast<double>(j) / static_cast<double>(cols)));
  return A;
}

// symmetric and indefinite, as a Hessian is
template <class Scalar>
Matrix<Scalar> symmetric(Index n) {
  const Matrix<Scalar> A = decaying<Scalar>(n, n);
  return (A + A.transpose()) / Scalar(2);
}

// the paper's definition word by word
template <class Values>
Index plain_rank(const Values& spectrum) {
  Vector<double> values = spectrum.template cast<double>().cwiseAbs();
  std::sort(values.begin(), values.end(), std::greater<>());
  const double total = values.sum();
  double part = 0;
  for (Index j = 0; j < values.size(); ++j)
    if ((part += values[j]) > .99 * total) return j + 1;
  return values.size();
}

// Every route of a workload registers as WORKLOAD/SCALAR/ROUTE and says what it computed, so that the table
// shows whether they agree: work(state) returns that number.
template <class Work>
void route(const std::string& workload, const std::string& scalar, const std::string& name, Work work) {
  benchmark::RegisterBenchmark((workload + "/" + scalar + "/" + name).c_str(), [work](
                                                                                   benchmark::State& state) {
    double result = 0;
    work(state, result);
    state.counters["result"] = result;
  })->Unit(benchmark::kMillisecond);
}

template <class Scalar>
inline const std::string scalar_name = std::is_same_v<Scalar, float> ? "float" : "double";

}  // namespace bench

#ifdef SAGITTA_LAPACK
extern "C" {
void dsyevd_(const char*, const char*, const int*, double*, const int*, double*, double*, const int*, int*,
             const int*, int*);
void ssyevd_(const char*, const char*, const int*, float*, const int*, float*, float*, const int*, int*,
             const int*, int*);
void dgesdd_(const char*, const int*, const int*, double*, const int*, double*, double*, const int*, double*,
             const int*, double*, const int*, int*, int*);
void sgesdd_(const char*, const int*, const int*, float*, const int*, float*, float*, const int*, float*,
             const int*, float*, const int*, int*, int*);
}

namespace bench {

// eigenvalues, ascending; A becomes the eigenvectors for job 'V', scratch for 'N'
template <class Scalar>
Vector<Scalar> lapack_eigenvalues(Matrix<Scalar>& A, char job) {
  const int n = static_cast<int>(A.rows());
  Vector<Scalar> values(n);
  const auto call = [&](Scalar* work, int size, int* integers, int integers_size) {
    int info = 0;
    if constexpr (std::is_same_v<Scalar, double>)
      dsyevd_(&job, "L", &n, A.data(), &n, values.data(), work, &size, integers, &integers_size, &info);
    else
      ssyevd_(&job, "L", &n, A.data(), &n, values.data(), work, &size, integers, &integers_size, &info);
    if (info != 0) throw std::runtime_error("syevd: info is " + std::to_string(info) + ", expected 0");
  };
  Scalar best = 0;
  int integers_best = 0;
  call(&best, -1, &integers_best, -1);
  Vector<Scalar> work(static_cast<Index>(best));
  std::vector<int> integers(static_cast<std::size_t>(integers_best));
  call(work.data(), static_cast<int>(work.size()), integers.data(), integers_best);
  return values;
}

// singular values, descending; A is scratch
template <class Scalar>
Vector<Scalar> lapack_singular_values(Matrix<Scalar>& A) {
  const int m = static_cast<int>(A.rows()), n = static_cast<int>(A.cols()), one = 1;
  Vector<Scalar> values(std::min(m, n));
  std::vector<int> integers(static_cast<std::size_t>(8 * std::min(m, n)));
  Scalar none = 0;
  const auto call = [&](Scalar* work, int size) {
    int info = 0;
    if constexpr (std::is_same_v<Scalar, double>)
      dgesdd_("N", &m, &n, A.data(), &m, values.data(), &none, &one, &none, &one, work, &size,
              integers.data(), &info);
    else
      sgesdd_("N", &m, &n, A.data(), &m, values.data(), &none, &one, &none, &one, work, &size,
              integers.data(), &info);
    if (info != 0) throw std::runtime_error("gesdd: info is " + std::to_string(info) + ", expected 0");
  };
  Scalar best = 0;
  call(&best, -1);
  Vector<Scalar> work(static_cast<Index>(best));
  call(work.data(), static_cast<int>(work.size()));
  return values;
}

}  // namespace bench
#endif
