#pragma once

#include <ATen/core/ivalue.h>  // first: clang 14 needs it before the other headers of LibTorch 1.13

#include <ATen/core/Tensor.h>
#include <torch/csrc/api/include/torch/ordered_dict.h>

#include <sagitta/detail/check.hpp>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

namespace sagitta::libtorch {

using sagitta::detail::reject;

// The parameters by which a diagnostic differentiates: `model->parameters()`, or `model->named_parameters()`
// where messages shall name them. A tensor that is listed twice (a tied weight) counts once.
class Parameters {
 public:
  Parameters() = default;
  Parameters(const std::vector<at::Tensor>& tensors) {
    for (const at::Tensor& tensor : tensors) add(tensor, {});
  }
  Parameters(const torch::OrderedDict<std::string, at::Tensor>& named) {
    for (const auto& item : named) add(item.value(), item.key());
  }

  std::size_t size() const { return tensors_.size(); }
  const at::Tensor& operator[](std::size_t i) const { return tensors_[i]; }
  const std::vector<at::Tensor>& tensors() const { return tensors_; }

  // "head.weight" where names were given, else "parameter 3 of shape [10, 16]"
  std::string name(std::size_t i) const {
    if (!names_[i].empty()) return names_[i];
    std::ostringstream text;
    text << "parameter " << i << " of shape " << tensors_[i].sizes();
    return text.str();
  }
  int64_t elements() const {
    int64_t sum = 0;
    for (const at::Tensor& tensor : tensors_) sum += tensor.numel();
    return sum;
  }

 private:
  void add(const at::Tensor& tensor, std::string name) {
    if (tensor.defined() && !seen_.insert(tensor.unsafeGetTensorImpl()).second) return;
    tensors_.push_back(tensor);
    names_.push_back(std::move(name));
  }

  std::vector<at::Tensor> tensors_;
  std::vector<std::string> names_;
  std::unordered_set<const at::TensorImpl*> seen_;
};

namespace detail {

inline std::string layout_name(at::Layout layout) {
  std::ostringstream text;
  text << layout;
  return text.str();
}

// Throws std::invalid_argument unless there are parameters, all of them dense leaves that require grad, of
// one floating-point type, on one device.
inline void check_parameters(const Parameters& parameters, const char* function) {
  if (parameters.size() == 0) reject(function, "the list of parameters is empty, expected at least one");
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const at::Tensor& p = parameters[i];
    if (!p.defined()) reject(function, "parameter ", i, " is an undefined tensor");
    if (!p.is_floating_point())
      reject(function, parameters.name(i), " is of type ", p.scalar_type(),
             ", expected a floating-point type");
    if (p.layout() != at::kStrided || p.is_meta())
      reject(function, parameters.name(i), " is ",
             p.is_meta() ? "on the meta device" : "of layout " + layout_name(p.layout()),
             ", expected a dense tensor with values");
    if (!p.requires_grad())
      reject(function, parameters.name(i), " does not require grad; leave frozen parameters out");
    if (!p.is_leaf()) reject(function, parameters.name(i), " is not a leaf of the autograd graph");
    const at::Tensor& first = parameters[0];
    if (p.device() != first.device())
      reject(function, parameters.name(i), " is on ", p.device(), ", expected ", first.device(), " like ",
             parameters.name(0));
    if (p.scalar_type() != first.scalar_type())
      reject(function, parameters.name(i), " is of type ", p.scalar_type(), ", expected ",
             first.scalar_type(), " like ", parameters.name(0));
  }
}

}  // namespace detail
}  // namespace sagitta::libtorch
