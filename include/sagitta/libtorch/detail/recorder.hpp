#pragma once

#include <ATen/SequenceNumber.h>
#include <ATen/core/grad_mode.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/edge.h>
#include <torch/csrc/autograd/functions/accumulate_grad.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/csrc/jit/python/update_graph_executor_opt.h>

#include <map>
#include <memory>
#include <optional>
#include <sagitta/libtorch/rule.hpp>
#include <string_view>
#include <unordered_map>

// Watches a forward pass from outside: no hooks, no wrappers, no change of the model. LibTorch reports every
// operator with its inputs and outputs (at::RecordFunction); those that have a rule and consume a parameter
// are written down.
namespace sagitta::libtorch::detail {

// RecordFunction::inputs() asserts on a member that only exists where NDEBUG is not defined and that a
// release build of LibTorch never sets, so a debug build must read the array itself. The language lets an
// explicit instantiation name a private member.
template <auto Member>
struct ReadInputs {
  friend c10::ArrayRef<const c10::IValue> inputs_of(const at::RecordFunction& call) { return call.*Member; }
};
template struct ReadInputs<&at::RecordFunction::inputs_>;
c10::ArrayRef<const c10::IValue> inputs_of(const at::RecordFunction& call);

// TorchScript fuses operators after its first calls; while a forward pass is watched it does not. The setting
// is the thread's.
struct PlainScripts {
  PlainScripts() { torch::jit::setGraphExecutorOptimize(false); }
  ~PlainScripts() { torch::jit::setGraphExecutorOptimize(before); }
  const bool before = torch::jit::getGraphExecutorOptimize();
};

// A tensor that is computed from few things, as a weight or positions may be from parameters: a leaf for the
// rules where need be (detail/leaves.hpp).
struct Leaf {
  torch::autograd::Edge edge;  // in the autograd graph
  std::vector<int64_t> sizes;
  at::ScalarType type = at::kFloat;
};

class Recorder {
 public:
  // handles(name): whether there is a rule for the operator
  Recorder(const Parameters& parameters, std::function<bool(std::string_view)> handles)
      : handles_(std::move(handles)), parameters_(parameters.size()) {
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const at::Tensor& p = parameters[i];
      if (p.numel() == 0) continue;
      by_tensor_.emplace(p.unsafeGetTensorImpl(), i);
      by_storage_.emplace(p.storage().unsafeGetStorageImpl(),
                          Place{i, p.storage_offset(), p.storage_offset() + extent(p), p.scalar_type()});
    }
  }

  std::vector<OperatorCall> calls;
  // Computed tensors, which uses refer to by their place in this list after all parameters. Only where
  // `with_leaves` is set.
  std::vector<Leaf> leaves;
  bool with_leaves = false;
  bool coupled = false;  // batch norm in train mode was seen
  bool failed = false;   // something threw inside a callback; then nothing recorded can be trusted
  bool frozen = false;   // also record what does not require grad

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
    const PlainScripts scripts;
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
        find(name, inputs[i].toTensor(), static_cast<int64_t>(i), -1, uses);
      } else if (inputs[i].isTensorList()) {
        const auto list = inputs[i].toTensorVector();
        for (std::size_t k = 0; k < list.size(); ++k)
          find(name, list[k], static_cast<int64_t>(i), static_cast<int64_t>(k), uses);
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
    // what is as large as the output of an elementwise operator is not shared by samples
    constexpr std::string_view elementwise[] = {"aten::add",  "aten::sub",  "aten::mul",  "aten::div",
                                                "aten::add_", "aten::sub_", "aten::mul_", "aten::div_"};
    if (std::find(std::begin(elementwise), std::end(elementwise), call.name) != std::end(elementwise))
      std::erase_if(call.uses, [&](const ParameterUse& use) {
        return use.view.parameter >= parameters_ && use.view.sizes == call.output_sizes;
      });
    if (call.uses.empty()) return;
    calls.push_back(std::move(call));
  }

  void find(std::string_view name, const at::Tensor& tensor, int64_t argument, int64_t element,
            std::vector<ParameterUse>& uses) {
    if (!tensor.defined() || (!tensor.requires_grad() && !frozen) || !tensor.has_storage()) return;
    const auto range = by_storage_.equal_range(tensor.storage().unsafeGetStorageImpl());
    bool found = false;
    for (auto entry = range.first; entry != range.second; ++entry) {
      const Place& place = entry->second;
      const int64_t first = tensor.storage_offset();
      if (first < place.first || first + extent(tensor) > place.end || tensor.scalar_type() != place.type)
        continue;
      uses.push_back({argument,
                      element,
                      {place.parameter, first - place.first, tensor.sizes().vec(), tensor.strides().vec()}});
      found = true;
    }
    if (!found && with_leaves && tensor.requires_grad() && !tensor.is_leaf() && tensor.is_floating_point())
      find_leaf(name, tensor, argument, element, uses);
  }

  // A copy of a parameter in another type is the parameter, and what little is computed is a leaf. The
  // arguments that are data in any case are left out.
  void find_leaf(std::string_view name, const at::Tensor& tensor, int64_t argument, int64_t element,
                 std::vector<ParameterUse>& uses) {
    constexpr std::string_view data_first[] = {
        "aten::linear",     "aten::convolution",   "aten::batch_norm", "aten::layer_norm",
        "aten::group_norm", "aten::instance_norm", "aten::prelu",      "aten::native_batch_norm"};
    if (argument == 0)
      for (const std::string_view known : data_first)
        if (name == known) return;
    const auto edge = torch::autograd::impl::gradient_edge(tensor);
    if (const auto copied = copied_parameter(*edge.function)) {
      const at::Tensor& p = copied->second;
      if (p.sizes() == tensor.sizes()) {
        uses.push_back({argument, element, {copied->first, 0, p.sizes().vec(), p.strides().vec()}});
        return;
      }
    }
    const auto known = by_edge_.find({edge.function.get(), edge.input_nr});
    std::size_t place = leaves.size();
    if (known != by_edge_.end()) {
      place = known->second;
    } else if (reaches_little(edge.function.get())) {
      by_edge_.emplace(std::pair(edge.function.get(), edge.input_nr), place);
      leaves.push_back({edge, tensor.sizes().vec(), tensor.scalar_type()});
    } else {
      return;
    }
    std::vector<int64_t> strides(tensor.sizes().size(), 1);
    for (std::size_t i = strides.size(); i-- > 1;)
      strides[i - 1] = strides[i] * tensor.size(static_cast<int64_t>(i));
    uses.push_back({argument, element, {parameters_ + place, 0, tensor.sizes().vec(), std::move(strides)}});
  }

  std::optional<std::pair<std::size_t, at::Tensor>> copied_parameter(
      const torch::autograd::Node& node) const {
    if (node.name() != "ToCopyBackward0" || node.next_edges().size() != 1 || !node.next_edge(0).is_valid())
      return {};
    const auto* const accumulate =
        dynamic_cast<const torch::autograd::AccumulateGrad*>(node.next_edge(0).function.get());
    if (!accumulate) return {};
    const auto entry = by_tensor_.find(accumulate->variable.unsafeGetTensorImpl());
    if (entry == by_tensor_.end()) return {};
    return std::pair(entry->second, accumulate->variable);
  }

  // Whether few nodes lie behind this one. That alone matters: a leaf is used where parameters are left over.
  static bool reaches_little(const torch::autograd::Node* node) {
    std::vector<const torch::autograd::Node*> seen{node};
    for (std::size_t i = 0; i < seen.size(); ++i)
      for (const auto& edge : seen[i]->next_edges()) {
        if (!edge.is_valid() || std::find(seen.begin(), seen.end(), edge.function.get()) != seen.end())
          continue;
        if (seen.size() == 32) return false;
        seen.push_back(edge.function.get());
      }
    return true;
  }

  std::function<bool(std::string_view)> handles_;
  std::size_t parameters_ = 0;
  std::unordered_multimap<const c10::StorageImpl*, Place> by_storage_;
  std::unordered_map<const at::TensorImpl*, std::size_t> by_tensor_;
  std::map<std::pair<const torch::autograd::Node*, uint32_t>, std::size_t> by_edge_;
  bool inside_ = false;
};

}  // namespace sagitta::libtorch::detail
