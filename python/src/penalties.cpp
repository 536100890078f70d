#include <nanobind/stl/unique_ptr.h>

#include <memory>
#include <mutex>
#include <sagitta/penalties.hpp>

#include "bindings.hpp"

// Regularisers of one array of parameters. Their order is that of the array's indices, whatever its shape, so
// that all of them are vectors here; features are matrices.
namespace pysagitta {
namespace {

using OutVector = nb::ndarray<nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using OutMatrix = nb::ndarray<nb::ndim<2>, nb::c_contig, nb::device::cpu>;

class Penalty {
 public:
  Penalty() = default;
  Penalty(const Penalty&) = delete;
  Penalty& operator=(const Penalty&) = delete;
  virtual ~Penalty() = default;
  virtual double value(const Vector& theta) const = 0;
  virtual double value_and_gradient(const Vector& theta, const OutVector& gradient) = 0;
  virtual double add_gradient(const Vector& theta, double strength, const OutVector& gradient) = 0;
};

// `Of` on values of one type. Calls from several threads wait for each other: `Of` keeps scratch memory.
template <class Of, class Scalar>
class PenaltyOf : public Penalty {
 public:
  template <class... Arguments>
  explicit PenaltyOf(const Arguments&... arguments) : of_(arguments...) {}

  double value(const Vector& theta) const override {
    const nb::gil_scoped_release no_gil;
    return of_.value(values(theta));
  }
  double value_and_gradient(const Vector& theta, const OutVector& gradient) override {
    const nb::gil_scoped_release no_gil;
    const std::lock_guard<std::mutex> lock(mutex_);
    return of_.value_and_gradient(values(theta), values(gradient));
  }
  double add_gradient(const Vector& theta, double strength, const OutVector& gradient) override {
    const nb::gil_scoped_release no_gil;
    const std::lock_guard<std::mutex> lock(mutex_);
    return of_.add_gradient(values(theta), strength, values(gradient));
  }

  using Values = Eigen::Matrix<Scalar, Eigen::Dynamic, 1>;
  static Eigen::Map<const Values> values(const Vector& x) {
    return {static_cast<const Scalar*>(x.data()), static_cast<Index>(x.shape(0))};
  }
  static Eigen::Map<Values> values(const OutVector& x) {
    return {static_cast<Scalar*>(x.data()), static_cast<Index>(x.shape(0))};
  }

 private:
  Of of_;
  std::mutex mutex_;
};

template <template <class> class Of>
std::unique_ptr<Penalty> penalty_from(const Vector& theta0) {
  const auto make = [&]<class Scalar>(Scalar) -> std::unique_ptr<Penalty> {
    using Made = PenaltyOf<Of<Scalar>, Scalar>;
    const nb::gil_scoped_release no_gil;
    return std::make_unique<Made>(Made::values(theta0));
  };
  return is_float(theta0.dtype()) ? make(float()) : make(double());
}

std::unique_ptr<Penalty> l2_penalty(bool of_float) {
  if (of_float) return std::make_unique<PenaltyOf<sagitta::L2Penalty, float>>();
  return std::make_unique<PenaltyOf<sagitta::L2Penalty, double>>();
}

}  // namespace

void bind_penalties(nb::module_& m) {
  nb::class_<Penalty>(m, "Penalty")
      .def("value", &Penalty::value)
      .def("value_and_gradient", &Penalty::value_and_gradient)
      .def("add_gradient", &Penalty::add_gradient);
  m.def("l2_penalty", &l2_penalty);
  m.def("l2_init_penalty", &penalty_from<sagitta::L2InitPenalty>);
  m.def("wasserstein_penalty", &penalty_from<sagitta::WassersteinPenalty>);

  m.def("feature_rank_penalty", [](const Matrix& features) {
    return with_matrix(features, [](const auto& f) { return sagitta::FeatureRankPenalty().value(f); });
  });
  // adds strength times the gradient, or writes it where there is no strength
  m.def(
      "feature_rank_penalty_gradient",
      [](const Matrix& features, const nb::object& strength, const OutMatrix& gradient) {
        const bool add = !strength.is_none();
        const double factor = add ? nb::cast<double>(strength) : 1;
        return with_matrix(features, [&](const auto& f) {
          using Scalar = typename std::remove_cvref_t<decltype(f)>::Scalar;
          using RowMajor = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
          Eigen::Map<RowMajor> g(static_cast<Scalar*>(gradient.data()), static_cast<Index>(gradient.shape(0)),
                                 static_cast<Index>(gradient.shape(1)));
          sagitta::FeatureRankPenalty penalty;
          return add ? penalty.add_gradient(f, factor, g) : penalty.value_and_gradient(f, g);
        });
      },
      "features"_a, "strength"_a.none(), "gradient"_a);
}

}  // namespace pysagitta
