#pragma once

#include <ATen/SequenceNumber.h>
#include <ATen/core/grad_mode.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/edge.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <sagitta/libtorch/parameters.hpp>
#include <string_view>
#include <unordered_map>

// Watches a forward pass from outside: no hooks, no wrappers, no change of the model. LibTorch reports every
// operator with its inputs and outputs (at::RecordFunction); those that have a rule and consume a parameter
// are written down.
namespace sagitta::libtorch {

// A window on the memory of a parameter: the parameter itself, its transpose, a slice, an expanded copy.
struct ParameterView {
  std::size_t parameter = 0;  // its place in the list
  int64_t offset = 0;         // elements from the parameter's first
  std::vector<int64_t> sizes, strides;

  // the elements that it may touch, [offset, end())
  int64_t end() const {
    int64_t last = offset;
    for (std::size_t i = 0; i < sizes.size(); ++i) last += (sizes[i] - 1) * strides[i];
    return last + 1;
  }
  // whether no two places of the view are the same element (in an expanded or unfolded view they may be)
  bool one_to_one() const {
    std::vector<std::pair<int64_t, int64_t>> steps;
    for (std::size_t i = 0; i < sizes.size(); ++i)
      if (sizes[i] > 1) steps.emplace_back(strides[i], sizes[i]);
    std::sort(steps.begin(), steps.end());
    int64_t reach = 0;
    for (const auto& [stride, size] : steps) {
      if (stride <= reach) return false;
      reach += (size - 1) * stride;
    }
    return true;
  }
  bool operator==(const ParameterView&) const = default;
};

// One parameter in one call of an operator.
struct ParameterUse {
  int64_t argument = 0;  // which argument it is,
  int64_t element = -1;  // and which element of that, where the argument is a list
  ParameterView view;
};

// thrown by a rule's helpers where it cannot answer; the parameter then goes to the fallback
struct NoAnswer {};

// One call of an operator that consumed parameters.
struct OperatorCall {
  std::string name;  // "aten::linear"
  std::vector<c10::IValue> inputs;
  std::vector<int64_t> output_sizes;  // of the first output
  std::vector<ParameterUse> uses;
  torch::autograd::Edge edge;                     // the first output in the autograd graph
  uint64_t first_sequence = 0, end_sequence = 0;  // numbers of the graph nodes made inside
  std::vector<int64_t> versions;                  // of the input tensors when they were read

  // Input tensor i, with the values that the operator saw.
  const at::Tensor& tensor(std::size_t i) const {
    if (i >= inputs.size() || !inputs[i].isTensor()) throw NoAnswer{};
    const at::Tensor& x = inputs[i].toTensor();
    if (!x.defined() || (!x.is_inference() && x._version() != versions[i])) throw NoAnswer{};
    return x;
  }
  bool has_tensor(std::size_t i) const {
    return i < inputs.size() && inputs[i].isTensor() && inputs[i].toTensor().defined();
  }
  double number(std::size_t i, double fallback = 1) const {
    return i < inputs.size() && inputs[i].isScalar() ? inputs[i].toScalar().to<double>() : fallback;
  }
};

namespace detail {

// RecordFunction::inputs() asserts on a member that only exists where NDEBUG is not defined and that a
// release build of LibTorch never sets, so a debug build must read the array itself. The language lets an
// explicit instantiation name a private member.
template <auto Member>
struct ReadInputs {
  friend c10::ArrayRef<const c10::IValue> inputs_of(const at::RecordFunction& call) { return call.*Member; }
};
template struct ReadInputs<&at::RecordFunction::inputs_>;
c10::ArrayRef<const c10::IValue> inputs_of(const at::RecordFunction& call);

class Recorder {
 public:
  // handles(name): whether there is a rule for the operator
  Recorder(const Parameters& parameters, std::function<bool(std::string_view)> handles)
      : handles_(std::move(handles)) {
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const at::Tensor& p = parameters[i];
      by_storage_.emplace(p.storage().unsafeGetStorageImpl(),
                          Place{i, p.storage_offset(), p.storage_offset() + extent(p), p.scalar_type()});
    }
  }

  std::vector<OperatorCall> calls;
  bool failed = false;  // something threw inside a callback; then nothing recorded can be trusted
  bool frozen = false;  // also record what does not require grad

  // Runs `forward` under observation, on this thread.
  template <class Forward>
  auto watch(const Forward& forward) {
    struct Observation {
      explicit Observation(Recorder* recorder) : outer(std::exchange(active(), recorder)) {
        if (!outer)
          handle = at::addThreadLocalCallback(at::RecordFunctionCallback(&start, &end)
                                                  .needsInputs(true)
                                                  .needsOutputs(true)
                                                  .scopes({at::RecordScope::FUNCTION}));
      }
      ~Observation() {
        active() = outer;
        if (!outer) at::removeCallback(handle);
      }
      Recorder* outer;
      at::CallbackHandle handle{};
    } const observation(this);
    return forward();
  }

 private:
  struct Place {
    std::size_t parameter;
    int64_t first, end;  // of its elements in the storage
    at::ScalarType type;
  };
  struct Context : at::ObserverContext {
    Recorder* recorder = nullptr;
    OperatorCall call;
  };

  static int64_t extent(const at::Tensor& t) {
    int64_t last = 0;
    for (int64_t i = 0; i < t.dim(); ++i) last += (t.size(i) - 1) * t.stride(i);
    return t.numel() == 0 ? 0 : last + 1;
  }
  static Recorder*& active() {
    thread_local Recorder* recorder = nullptr;
    return recorder;
  }

  // callbacks must not throw
  static std::unique_ptr<at::ObserverContext> start(const at::RecordFunction& function) {
    Recorder* const recorder = active();
    if (!recorder) return nullptr;
    try {
      return recorder->begin(function.name(), inputs_of(function));
    } catch (...) {
      recorder->failed = true;
      return nullptr;
    }
  }
  static void end(const at::RecordFunction& function, at::ObserverContext* observed) {
    auto* const context = static_cast<Context*>(observed);
    if (!context) return;
    Recorder* const recorder = context->recorder;
    recorder->inside_ = false;
    try {
      recorder->finish(context->call, function.outputs());
    } catch (...) {
      recorder->failed = true;
    }
  }

  std::unique_ptr<at::ObserverContext> begin(std::string_view name, c10::ArrayRef<const c10::IValue> inputs) {
    if (inside_ || !handles_(name)) return nullptr;
    std::vector<ParameterUse> uses;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i].isTensor()) {
        find(inputs[i].toTensor(), static_cast<int64_t>(i), -1, uses);
      } else if (inputs[i].isTensorList()) {
        const auto list = inputs[i].toTensorVector();
        for (std::size_t k = 0; k < list.size(); ++k)
          find(list[k], static_cast<int64_t>(i), static_cast<int64_t>(k), uses);
      }
    }
    // what instance norm does inside is batch norm with other shapes, which must not be taken for that
    if (uses.empty() && name != "aten::instance_norm") return nullptr;
    auto context = std::make_unique<Context>();
    context->recorder = this;
    OperatorCall& call = context->call;
    call.name = name;
    call.uses = std::move(uses);
    call.inputs.assign(inputs.begin(), inputs.end());
    // what a multiplication in place overwrites is part of its derivative
    if (name == "aten::mul_") call.inputs[0] = call.inputs[0].toTensor().detach().clone();
    for (const c10::IValue& input : call.inputs) {
      const bool versioned =
          input.isTensor() && input.toTensor().defined() && !input.toTensor().is_inference();
      call.versions.push_back(versioned ? static_cast<int64_t>(input.toTensor()._version()) : 0);
    }
    call.first_sequence = at::sequence_number::peek();
    inside_ = true;
    return context;
  }

  void finish(OperatorCall& call, const std::vector<c10::IValue>& outputs) {
    call.end_sequence = at::sequence_number::peek();
    if (call.uses.empty()) return;
    if (outputs.empty() || !outputs[0].isTensor()) return;
    const at::Tensor& output = outputs[0].toTensor();
    if (!output.defined() || (!output.requires_grad() && !frozen)) return;  // under no_grad
    if (output.requires_grad()) call.edge = torch::autograd::impl::gradient_edge(output);
    call.output_sizes = output.sizes().vec();
    calls.push_back(std::move(call));
  }

  void find(const at::Tensor& tensor, int64_t argument, int64_t element, std::vector<ParameterUse>& uses) {
    if (!tensor.defined() || (!tensor.requires_grad() && !frozen) || !tensor.has_storage()) return;
    const auto range = by_storage_.equal_range(tensor.storage().unsafeGetStorageImpl());
    for (auto entry = range.first; entry != range.second; ++entry) {
      const Place& place = entry->second;
      const int64_t first = tensor.storage_offset();
      if (first < place.first || first + extent(tensor) > place.end || tensor.scalar_type() != place.type)
        continue;
      uses.push_back({argument,
                      element,
                      {place.parameter, first - place.first, tensor.sizes().vec(), tensor.strides().vec()}});
    }
  }

  std::function<bool(std::string_view)> handles_;
  std::unordered_multimap<const c10::StorageImpl*, Place> by_storage_;
  bool inside_ = false;
};

}  // namespace detail
}  // namespace sagitta::libtorch
