#include <torch/csrc/Exceptions.h>
#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/utils/pybind.h>
#include <sagitta/libtorch.hpp>

#include <pybind11/functional.h>
#include <pybind11/stl.h>

// The adapter as pysagitta.torch compiles it for the torch that is there; names and documentation are in
// Python.
namespace {

namespace py = pybind11;
namespace sl = sagitta::libtorch;

// Runs `work` without the GIL. What Python raised within comes out as it was, and torch's errors as torch's.
template <class Work>
auto without_gil(Work work) {
  try {
    const py::gil_scoped_release no_gil;
    return work();
  } catch (const std::invalid_argument&) {
    throw;
  } catch (const py::error_already_set&) {
    throw;
  } catch (const py::builtin_exception&) {
    throw;
  } catch (...) {
    torch::translate_exception_to_python(std::current_exception());
    throw py::error_already_set();
  }
}

// A function of Python that may be called, copied and destroyed without the GIL.
class Callable {
 public:
  // name: of the function that is told about, and what it calls
  Callable(py::object function, std::string name)
      : function_(new py::object(std::move(function)),
                  [](py::object* p) {
                    const py::gil_scoped_acquire gil;
                    delete p;
                  }),
        name_(std::move(name)) {}

  template <class... Arguments>
  at::Tensor operator()(const Arguments&... arguments) const {
    const py::gil_scoped_acquire gil;
    const py::object result = (*function_)(arguments...);
    if (!THPVariable_Check(result.ptr()))
      throw py::type_error(name_ + " returned " +
                           std::string(py::str(py::type::of(result).attr("__name__"))) +
                           ", expected a torch.Tensor");
    return result.cast<at::Tensor>();
  }

 private:
  std::shared_ptr<py::object> function_;
  std::string name_;
};

// names: one a tensor, or none
sl::Parameters parameters_of(const std::vector<at::Tensor>& tensors, const std::vector<std::string>& names) {
  if (names.empty()) return {tensors};
  torch::OrderedDict<std::string, at::Tensor> named;
  for (std::size_t i = 0; i < tensors.size(); ++i) named.insert(names[i], tensors[i]);
  return {named};
}

sl::GramOptions options_of(const py::dict& given) {
  sl::GramOptions options;
  options.check = given["check"].cast<bool>();
  options.check_seed = given["check_seed"].cast<uint64_t>();
  options.chunk_bytes = given["chunk_bytes"].cast<int64_t>();
  options.accumulate_in_double = given["accumulate_in_double"].cast<bool>();
  options.per_layer = given["per_layer"].cast<bool>();
  return options;
}

sl::OutputLoss loss_of(bool squared_error) {
  return squared_error ? sl::OutputLoss::squared_error : sl::OutputLoss::softmax_cross_entropy;
}

py::list fallback_of(const std::vector<sl::ParameterReference>& references) {
  py::list names;
  for (const auto& reference : references) names.append(reference.name);
  return names;
}

py::dict fields(const sl::GramResult& result, const sl::Parameters& parameters) {
  py::list layers;
  for (const sl::LayerGram& layer : result.layers) {
    py::list names;
    for (const std::size_t p : layer.parameters) names.append(parameters.name(p));
    layers.append(py::make_tuple(py::tuple(names), layer.gram));
  }
  py::dict fields;
  fields["gram"] = result.gram;
  fields["check_error"] = result.check_error;
  fields["fallback_parameters"] = fallback_of(result.fallback_parameters);
  fields["parameter_count"] = result.parameter_count;
  fields["cancellation"] = result.cancellation;
  fields["layers"] = layers;
  return fields;
}

py::tuple fields(const sagitta::EffectiveRank& rank) {
  return py::make_tuple(rank.rank, rank.lower, rank.upper, rank.max_rank);
}
py::object fields(const std::optional<sagitta::EffectiveRank>& rank) {
  if (rank) return fields(*rank);
  return py::none();
}

at::Generator generator_of(const py::object& generator, uint64_t seed) {
  if (generator.is_none()) return at::detail::createCPUGenerator(seed);
  return generator.cast<at::Generator>();
}

void bind_grams(py::module_& m) {
  using Tensors = std::vector<at::Tensor>;
  using Names = std::vector<std::string>;
  m.def("empirical_fisher_gram", [](py::object losses, const Tensors& tensors, const Names& names,
                                    const py::object& batches, const py::dict& given) {
    const sl::Parameters parameters = parameters_of(tensors, names);
    const sl::GramOptions options = options_of(given);
    const Callable call(std::move(losses), "empirical_fisher_gram: losses");
    const bool one_pass = batches.is_none();
    const int64_t count = one_pass ? 1 : batches.cast<int64_t>();
    return fields(without_gil([&] {
                    if (one_pass)
                      return sl::empirical_fisher_gram([&] { return call(); }, parameters, options);
                    return sl::empirical_fisher_gram(
                        count, [&](int64_t i) { return call(i); }, parameters, options);
                  }),
                  parameters);
  });
  m.def("sampled_fisher_gram", [](py::object logits, const Tensors& tensors, const Names& names,
                                  uint64_t seed, const py::object& generator, const py::dict& given) {
    const sl::Parameters parameters = parameters_of(tensors, names);
    const sl::GramOptions options = options_of(given);
    const Callable call(std::move(logits), "sampled_fisher_gram: logits");
    const at::Generator source = generator_of(generator, seed);
    return fields(without_gil([&] {
                    return sl::sampled_fisher_gram([&] { return call(); }, parameters, source, options);
                  }),
                  parameters);
  });
  m.def("gauss_newton_gram", [](py::object logits, const Tensors& tensors, const Names& names,
                                bool squared_error, const py::dict& given) {
    const sl::Parameters parameters = parameters_of(tensors, names);
    const sl::GramOptions options = options_of(given);
    const Callable call(std::move(logits), "gauss_newton_gram: logits");
    return fields(without_gil([&] {
                    return sl::gauss_newton_gram([&] { return call(); }, parameters, options,
                                                 loss_of(squared_error));
                  }),
                  parameters);
  });
  m.def("rank", [](const at::Tensor& A, double threshold) {
    return fields(without_gil([&] { return sl::symmetric_effective_rank(A, threshold); }));
  });
  m.def("gram_rank",
        [](const at::Tensor& gram, double cancellation, int64_t parameter_count, double threshold) {
          sl::GramResult result;
          result.gram = gram;
          result.cancellation = cancellation;
          result.parameter_count = parameter_count;
          return fields(without_gil([&] { return sl::symmetric_effective_rank(result, threshold); }));
        });
}

// Any of the adapter's operators, made by `make` and kept as one.
class Operator {
 public:
  virtual ~Operator() = default;
  virtual int64_t rows() const = 0;
  virtual double product_error() const = 0;
  virtual at::Tensor apply(const at::Tensor& v) const = 0;
  virtual at::Tensor gradient() const { return {}; }
};

template <class Of>
class OperatorOf : public Operator {
 public:
  template <class... Arguments>
  explicit OperatorOf(const Arguments&... arguments) : of_(arguments...) {}
  int64_t rows() const override { return of_.rows(); }
  double product_error() const override { return of_.product_error(); }
  at::Tensor apply(const at::Tensor& v) const override { return of_.apply(v); }
  at::Tensor gradient() const override {
    if constexpr (requires { of_.gradient(); })
      return of_.gradient();
    else
      return {};
  }

 private:
  Of of_;
};

template <class Of, class... Rest>
std::shared_ptr<Operator> make_operator(py::object output, const char* name, const sl::Parameters& parameters,
                                        const Rest&... rest) {
  const Callable call(std::move(output), name);
  return without_gil([&]() -> std::shared_ptr<Operator> {
    return std::make_shared<OperatorOf<Of>>(std::function<at::Tensor()>([&] { return call(); }), parameters,
                                            rest...);
  });
}

void bind_operators(py::module_& m) {
  using Tensors = std::vector<at::Tensor>;
  using Names = std::vector<std::string>;
  py::class_<Operator, std::shared_ptr<Operator>>(m, "Operator")
      .def("rows", &Operator::rows)
      .def("product_error", &Operator::product_error)
      .def("apply",
           [](const Operator& op, const at::Tensor& v) { return without_gil([&] { return op.apply(v); }); })
      .def("gradient", [](const Operator& op) { return without_gil([&] { return op.gradient(); }); });
  m.def("hessian_operator", [](py::object loss, const Tensors& tensors, const Names& names) {
    return make_operator<sl::HessianOperator>(std::move(loss), "HessianOperator: loss",
                                              parameters_of(tensors, names));
  });
  m.def("gauss_newton_operator", [](py::object logits, const Tensors& tensors, const Names& names,
                                    bool squared_error) {
    return make_operator<sl::GaussNewtonOperator>(std::move(logits), "GaussNewtonOperator: logits",
                                                  parameters_of(tensors, names), loss_of(squared_error));
  });
  m.def("empirical_fisher_operator", [](py::object losses, const Tensors& tensors, const Names& names) {
    return make_operator<sl::EmpiricalFisherOperator>(std::move(losses), "EmpiricalFisherOperator: losses",
                                                      parameters_of(tensors, names));
  });
  m.def("exact_hessian", [](py::object loss, const Tensors& tensors, const Names& names) {
    const sl::Parameters parameters = parameters_of(tensors, names);
    const Callable call(std::move(loss), "exact_hessian: loss");
    return without_gil([&] { return sl::exact_hessian([&] { return call(); }, parameters); });
  });
}

// What sagitta::libtorch::measure asks of a model. Python has put it into eval mode, and puts it back.
struct Model {
  Callable call;
  std::vector<at::Tensor> all;
  torch::OrderedDict<std::string, at::Tensor> named;
  std::vector<at::Tensor> kept;  // buffers, which are put back

  at::Tensor forward(const at::Tensor& x) const { return call(x); }
  std::vector<at::Tensor> parameters() const { return all; }
  const torch::OrderedDict<std::string, at::Tensor>& named_parameters() const { return named; }
  std::vector<at::Tensor> buffers() const { return kept; }
  static std::vector<std::shared_ptr<Model>> modules(bool) { return {}; }
  static bool is_training() { return false; }
  static void train(bool) {}
  static void eval() {}
};

py::dict measurement(const sl::Measurement& m) {
  py::dict fields_;
  const auto number = [&](const char* name, auto value) { fields_[name] = value; };
  number("samples", m.samples);
  number("parameters", m.parameters);
  number("loss", m.loss);
  number("error", m.error);
  number("gradient_l1", m.gradient_l1);
  number("gradient_l2", m.gradient_l2);
  number("weight_l1", m.weight_l1);
  number("weight_l2", m.weight_l2);
  number("update_l1", m.update_l1);
  number("update_l2", m.update_l2);
  number("initial_distance_l2", m.initial_distance_l2);
  number("initial_distance_w2", m.initial_distance_w2);
  number("sharpness", m.sharpness);
  number("dormancy", m.dormancy);
  number("dormant_fraction", m.dormant_fraction);
  number("check_error", m.check_error);
  fields_["fisher_rank"] = fields(m.fisher_rank);
  fields_["sampled_fisher_rank"] = fields(m.sampled_fisher_rank);
  fields_["gauss_newton_rank"] = fields(m.gauss_newton_rank);
  fields_["feature_rank"] = fields(m.feature_rank);
  fields_["overlap"] = py::make_tuple(m.overlap.value, m.overlap.truncation, m.overlap.defined());
  fields_["fallback_parameters"] = fallback_of(m.fallback_parameters);
  py::dict unavailable;
  for (const sl::Unavailable& quantity : m.unavailable)
    unavailable[py::str(quantity.quantity)] = quantity.reason;
  fields_["unavailable"] = unavailable;
  return fields_;
}

void bind_measure(py::module_& m) {
  m.def("measure",
        [](py::object forward, const std::vector<at::Tensor>& tensors, const std::vector<std::string>& names,
           const std::vector<at::Tensor>& buffers, const at::Tensor& x, const at::Tensor& y,
           const py::object& losses, const std::vector<at::Tensor>& previous,
           const std::vector<at::Tensor>& initial, const py::dict& given) {
          sl::MeasureOptions options;
          if (!losses.is_none()) options.losses = Callable(losses, "measure: losses");
          options.previous = previous;
          options.initial = initial;
          options.ignore_index = given["ignore_index"].cast<int64_t>();
          options.threshold = given["threshold"].cast<double>();
          options.dormant_tau = given["dormant_tau"].cast<double>();
          options.batch_size = given["batch_size"].cast<int64_t>();
          options.sampled_fisher = given["sampled_fisher"].cast<bool>();
          options.gauss_newton = given["gauss_newton"].cast<bool>();
          options.sharpness = given["sharpness"].cast<bool>();
          options.seed = given["seed"].cast<uint64_t>();
          options.gram = options_of(given);
          auto model = std::make_shared<Model>(
              Model{Callable(std::move(forward), "measure: the model"), tensors, {}, buffers});
          for (std::size_t i = 0; i < tensors.size(); ++i) model->named.insert(names[i], tensors[i]);
          return measurement(without_gil([&] { return sl::measure(model, x, y, options); }));
        });
}

// make: the penalty from the parameters at initialisation
template <class Penalty, class Make>
void bind_penalty(py::module_& m, const char* name, Make make) {
  using Tensors = std::vector<at::Tensor>;
  using Names = std::vector<std::string>;
  py::class_<Penalty>(m, name)
      .def(py::init([make](const Tensors& tensors, const Names& names) {
        return without_gil([&] { return make(parameters_of(tensors, names)); });
      }))
      .def("__call__",
           [](const Penalty& penalty, const Tensors& tensors, const Names& names) {
             return without_gil([&] { return penalty(parameters_of(tensors, names)); });
           })
      .def("add_gradient_", [](const Penalty& penalty, const Tensors& tensors, const Names& names,
                               double strength) {
        return without_gil([&] { return penalty.add_gradient_(parameters_of(tensors, names), strength); });
      });
}

void bind_penalties(py::module_& m) {
  bind_penalty<sl::L2Penalty>(m, "L2Penalty", [](const sl::Parameters&) { return sl::L2Penalty(); });
  bind_penalty<sl::L2InitPenalty>(m, "L2InitPenalty",
                                  [](const sl::Parameters& initial) { return sl::L2InitPenalty(initial); });
  bind_penalty<sl::WassersteinPenalty>(
      m, "WassersteinPenalty", [](const sl::Parameters& initial) { return sl::WassersteinPenalty(initial); });
  m.def("feature_rank_penalty", [](const at::Tensor& features) {
    return without_gil([&] { return sl::FeatureRankPenalty()(features); });
  });
  m.def("feature_rank_penalty_add_gradient_", [](const at::Tensor& features, double strength) {
    return without_gil([&] { return sl::FeatureRankPenalty().add_gradient_(features, strength); });
  });
}

}  // namespace

PYBIND11_MODULE(SAGITTA_MODULE, m) {
  m.doc() = "The adapter behind pysagitta.torch, for its own use.";
  bind_grams(m);
  bind_operators(m);
  bind_measure(m);
  bind_penalties(m);
}
