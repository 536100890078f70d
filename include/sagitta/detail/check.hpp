#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <sagitta/types.hpp>
#include <sstream>
#include <stdexcept>
#include <type_traits>
#include <utility>

// Argument checks. They look at the bits of floating-point numbers, so that they also see NaN and infinity
// where a user compiles with -ffast-math and the compiler may assume that there are none.
namespace sagitta::detail {

// Throws std::invalid_argument with the message "function: part part ...".
template <class... Parts>
[[noreturn]] void reject(const char* function, const Parts&... parts) {
  std::ostringstream message;
  message.precision(12);  // a sum of 1.000001 must not read as 1
  message << function << ": ";
  (message << ... << parts);
  throw std::invalid_argument(message.str());
}

template <class Scalar>
struct FloatBits {
  static_assert(std::is_same_v<Scalar, float> || std::is_same_v<Scalar, double>,
                "Sagitta takes matrices of float or double");
  using Integer = std::conditional_t<sizeof(Scalar) == 4, std::uint32_t, std::uint64_t>;
  static constexpr Integer sign = Integer{1} << (sizeof(Scalar) * 8 - 1);
  static constexpr Integer infinity = std::bit_cast<Integer>(std::numeric_limits<Scalar>::infinity());
  // the bits of |x| as an integer: ordered like the magnitudes, infinity and NaN above all finite numbers
  static Integer magnitude(Scalar x) { return std::bit_cast<Integer>(x) & ~sign; }
};

template <class Scalar>
bool is_finite(Scalar x) {
  return FloatBits<Scalar>::magnitude(x) < FloatBits<Scalar>::infinity;
}

// (an indexed view with constant steps has the flag, but no data())
template <class Derived>
inline constexpr bool has_direct_access = (int(Derived::Flags) & int(Eigen::DirectAccessBit)) != 0 &&
                                          requires(const Derived& A) {
  A.data();
};

// float or double as it is given; double in the place of what is refused
template <class Derived>
using RealOf = std::conditional_t<std::is_same_v<typename Derived::Scalar, float>, float, double>;

// Something whose coefficients can be read in place: A itself where it lies in memory, else its value.
template <class Derived>
decltype(auto) value_of(const Eigen::DenseBase<Derived>& A) {
  if constexpr (has_direct_access<Derived>) {
    return (A.derived());
  } else {
    return typename Derived::PlainObject(A.derived());
  }
}

// The same of an argument. Of another type than float or double it is refused by this one line, since what
// follows compiles: with an empty matrix.
template <class Derived>
decltype(auto) in_memory(const Eigen::DenseBase<Derived>& A) {
  if constexpr (std::is_same_v<RealOf<Derived>, typename Derived::Scalar>) {
    return value_of(A);
  } else {
    static_assert(std::is_same_v<RealOf<Derived>, typename Derived::Scalar>,
                  "Sagitta takes matrices of float or double, no integers, half precision or complex ones");
    return MatrixOf<double>();
  }
}

// Whether n values in a row are all finite. An exponent of ones, plus one, carries into the sign bit; the
// carries of a block are collected by OR, which every instruction set has for packets of both sizes.
template <class Scalar>
bool all_finite(const Scalar* values, Index n) {
  using Bits = FloatBits<Scalar>;
  using Integer = typename Bits::Integer;
  constexpr Integer carry = Integer{1} << (std::numeric_limits<Scalar>::digits - 1);
  constexpr Index strands = 64 / sizeof(Scalar);
  Integer seen[64 / sizeof(Scalar)] = {};
  Index i = 0;
  for (; i + strands <= n; i += strands)
    for (Index strand = 0; strand < strands; ++strand)  // of a known length: a packet also at -O2
      seen[strand] |= (std::bit_cast<Integer>(values[i + strand]) & Bits::infinity) + carry;
  for (; i < n; ++i) seen[0] |= (std::bit_cast<Integer>(values[i]) & Bits::infinity) + carry;
  for (Index strand = 1; strand < strands; ++strand) seen[0] |= seen[strand];
  return (seen[0] & Bits::sign) == 0;
}

// max |A_ij| of a matrix in memory, 0 for an empty one. Throws where a coefficient is NaN or infinite.
// O(size).
template <class Derived>
typename Derived::Scalar largest_magnitude(const Eigen::DenseBase<Derived>& A, const char* function,
                                           const char* argument) {
  static_assert(has_direct_access<Derived>);
  using Scalar = typename Derived::Scalar;
  constexpr Index block = 2048;  // whose maximum is taken while it is still in the cache
  const Derived& a = A.derived();
  Scalar largest = 0;
  bool finite = true;
  const auto look = [&](const Scalar* values, Index n) {
    for (Index first = 0; first < n && finite; first += block) {
      const Index count = (std::min)(block, n - first);
      finite = all_finite(values + first, count);
      const Eigen::Map<const Eigen::Array<Scalar, Eigen::Dynamic, 1>> part(values + first, count);
      if (finite) largest = (std::max)(largest, part.abs().maxCoeff());
    }
  };
  // runs of values one beside another, whichever way they lie: a map may hold its rows in its outer stride
  Index length = a.innerSize(), step = a.innerStride(), runs = a.outerSize(), stride = a.outerStride();
  if (step != 1 && stride == 1) {
    std::swap(length, runs);
    std::swap(step, stride);
  }
  if (step == 1 && (runs <= 1 || stride == length)) {
    look(a.data(), a.size());
  } else {
    for (Index run = 0; run < runs && finite; ++run) {
      const Scalar* values = a.data() + run * stride;
      if (step == 1)
        look(values, length);
      else
        for (Index i = 0; i < length; ++i) look(values + i * step, 1);
    }
  }
  if (!finite) {
    for (Index row = 0; row < a.rows(); ++row)
      for (Index col = 0; col < a.cols(); ++col)
        if (!is_finite(a.coeff(row, col)))
          reject(function, argument, "(", row, ", ", col, ") is ",
                 FloatBits<Scalar>::magnitude(a.coeff(row, col)) == FloatBits<Scalar>::infinity ? "infinite"
                                                                                                : "NaN",
                 ", expected finite values");
  }
  return largest;
}

inline void check_threshold(double threshold, const char* function) {
  if (!is_finite(threshold) || threshold < 0 || threshold > 1)
    reject(function, "threshold is ", threshold, ", expected a number from 0 to 1");
}

inline void check_input_error(double input_error, const char* function) {
  if (!is_finite(input_error) || input_error < 0)
    reject(function, "input_error is ", input_error, ", expected a finite number >= 0");
}

inline void check_square(Index rows, Index cols, const char* function, const char* argument) {
  if (rows != cols) reject(function, argument, " is ", rows, " x ", cols, ", expected a square matrix");
}

inline void check_size(Index size, Index expected, const char* function, const char* argument) {
  if (size != expected) reject(function, argument, " has ", size, " elements, expected ", expected);
}

}  // namespace sagitta::detail
