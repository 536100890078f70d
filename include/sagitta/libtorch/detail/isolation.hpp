#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <mutex>
#include <optional>
#include <sagitta/libtorch/detail/rounding.hpp>
#include <sagitta/libtorch/detail/state.hpp>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

// A forward pass that leaves the process as it was: random numbers, running statistics, buffers. It must not
// be seen by what else the process does meanwhile, so that nothing global is set and put back: while a pass
// runs, this thread takes its operators through a dispatch key of LibTorch that exists for libraries outside
// it (DeferredInit), whose kernel, ours, does as follows and goes on to the operator.
namespace sagitta::libtorch::detail {

// Recurrent layers run as single operators of MKLDNN or cuDNN where they may, in which no parameter can be
// seen; while one of them is watched, these are off. That is a setting of the process: other threads may
// notice it for as long as a recurrent layer runs. It comes back, also after an exception.
class PlainRecurrence {
 public:
  PlainRecurrence() {
    const std::lock_guard<std::mutex> lock(state().mutex);
    if (state().users++ > 0) return;
    state().mkldnn = at::globalContext().userEnabledMkldnn();
    state().cudnn = at::globalContext().userEnabledCuDNN();
    at::globalContext().setUserEnabledMkldnn(false);
    at::globalContext().setUserEnabledCuDNN(false);
  }
  ~PlainRecurrence() {
    const std::lock_guard<std::mutex> lock(state().mutex);
    if (--state().users > 0) return;
    at::globalContext().setUserEnabledMkldnn(state().mkldnn);
    at::globalContext().setUserEnabledCuDNN(state().cudnn);
  }
  PlainRecurrence(const PlainRecurrence&) = delete;
  PlainRecurrence& operator=(const PlainRecurrence&) = delete;

 private:
  struct State {
    std::mutex mutex;
    int users = 0;
    bool mkldnn = true, cudnn = true;
  };
  static State& state() {
    static State shared;
    return shared;
  }
};

// What a forward pass is run in, on this thread and as long as it lives.
//   - Random numbers of the CPU come from copies of the generators. Those of a GPU are the process's, whose
//     state is put back (another thread that draws there meanwhile draws some numbers twice).
//   - What the pass writes into tensors that are older than it is noted, for `moved` to put back.
//   - Recurrent layers are computed by the operators that they consist of, and where `plain` says so
//     attention too: fused kernels hide layers, or have no second derivative.
// A pass that the user moves to another thread is not seen.
class Isolation {
 public:
  //   states: where random numbers begin, where known; then where they ended
  Isolation(GeneratorStates& states, MovedTensors& moved, at::Device device, bool plain = false)
      : states_(states), moved_(moved), plain_(plain), outer_(current()) {
    observe();
    if (states_.empty()) states_ = GeneratorStates(device);
    if (!device.is_cpu()) {
      device_ = at::globalContext().defaultGenerator(device);
      before_ = GeneratorStates::state_of(device_);
      GeneratorStates::set_state(device_, states_.of(device_));
    }
    current() = this;
  }
  Isolation(const Isolation&) = delete;
  Isolation& operator=(const Isolation&) = delete;
  ~Isolation() {
    current() = outer_;
    if (outer_) outer_->young_.insert(young_.begin(), young_.end());
    for (const auto& [original, own] : own_) states_.set(original, GeneratorStates::state_of(own));
    if (device_.defined()) {
      states_.set(device_, GeneratorStates::state_of(device_));
      GeneratorStates::set_state(device_, before_);
    }
  }

  bool coupled() const { return coupled_; }      // batch norm in train mode was seen
  bool convolves() const { return convolves_; }  // so was a convolution
  int64_t kinks() const { return kinks_; }       // numbers that went where a derivative may jump
  double unit() const { return unit_; }          // unit roundoff of the coarsest type that was computed in

 private:
  static constexpr c10::DispatchKey key = c10::DispatchKey::DeferredInit;
  using Stack = torch::jit::Stack;

  struct Facts {                            // of an operator
    int64_t generator = -1, training = -1;  // places of arguments
    std::vector<std::size_t> written, statistics;
    bool batch_norm = false, instance_norm = false, recurrent = false, attention = false, convolution = false,
         kink = false;
    bool own = false;  // one of LibTorch's
  };

  static Isolation*& current() {
    thread_local Isolation* isolation = nullptr;
    return isolation;
  }
  // Once in a process; the key does nothing unless a thread asks for it.
  static void observe() {
    static const c10::RegistrationHandleRAII registration = c10::Dispatcher::singleton().registerFallback(
        key, c10::KernelFunction::makeFromBoxedFunction<&kernel>(), "sagitta");
  }
  static void kernel(const c10::OperatorHandle& op, c10::DispatchKeySet keys, Stack* stack) {
    const auto rest = keys & c10::DispatchKeySet(c10::DispatchKeySet::FULL_AFTER, key);
    if (current())
      current()->run(op, rest, *stack);
    else
      op.redispatchBoxed(rest, stack);
  }

  static const Facts& facts(const c10::OperatorHandle& op) {
    thread_local std::unordered_map<c10::OperatorName, Facts> known;
    const auto found = known.find(op.operator_name());
    if (found != known.end()) return found->second;
    Facts facts;
    const std::string& name = op.schema().name();
    const auto begins = [&](std::string_view prefix) { return name.rfind(prefix, 0) == 0; };
    facts.own = begins("aten::");
    facts.instance_norm = name == "aten::instance_norm";
    facts.attention = name == "aten::scaled_dot_product_attention";
    facts.batch_norm = begins("aten::") && name.find("batch_norm") != std::string::npos;
    facts.convolution = name.find("conv") != std::string::npos;
    for (const char* const part :
         {"relu", "threshold", "hard", "clamp", "abs", "max", "min", "shrink", "where", "l1_loss", "huber"})
      facts.kink =
          facts.kink || (name.find(part) != std::string::npos && name.find("softmax") == std::string::npos);
    facts.recurrent = name == "aten::lstm" || name == "aten::gru" || begins("aten::rnn_");
    const auto& arguments = op.schema().arguments();
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      const std::string& argument = arguments[i].name();
      if (argument == "generator") facts.generator = static_cast<int64_t>(i);
      if (argument == "training" || argument == "train" || argument == "use_input_stats")
        facts.training = static_cast<int64_t>(i);
      if (argument == "running_mean" || argument == "running_var") facts.statistics.push_back(i);
      if (arguments[i].alias_info() && arguments[i].alias_info()->isWrite()) facts.written.push_back(i);
    }
    return known.emplace(op.operator_name(), std::move(facts)).first->second;
  }

  template <class Visit>
  static void visit(const c10::IValue& value, const Visit& tensor) {
    if (value.isTensor()) {
      if (value.toTensor().defined()) tensor(value.toTensor());
    } else if (value.isTensorList()) {
      for (const at::Tensor& one : value.toTensorVector()) tensor(one);
    } else if (value.isList()) {
      for (const c10::IValue& one : value.toListRef())
        if (one.isTensor() && one.toTensor().defined()) tensor(one.toTensor());
    }
  }
  static const c10::StorageImpl* storage_of(const at::Tensor& tensor) {
    return tensor.has_storage() ? tensor.storage().unsafeGetStorageImpl() : nullptr;
  }

  void run(const c10::OperatorHandle& op, c10::DispatchKeySet keys, Stack& stack) {
    const Facts& known = facts(op);
    const std::size_t count = op.schema().arguments().size(), first = stack.size() - count;
    const auto argument = [&](auto i) -> c10::IValue& { return stack[first + static_cast<std::size_t>(i)]; };
    std::vector<const c10::StorageImpl*> inputs;
    at::Device device(at::kCPU);
    for (std::size_t i = count; i-- > 0;)
      visit(argument(i), [&](const at::Tensor& tensor) {
        inputs.push_back(storage_of(tensor));
        device = tensor.device();
      });
    if (known.generator >= 0 && device.is_cpu()) {
      c10::IValue& generator = argument(known.generator);
      generator =
          own(generator.isNone() ? at::globalContext().defaultGenerator(device) : generator.toGenerator());
    }
    for (const std::size_t i : known.written)
      visit(argument(i), [&](const at::Tensor& tensor) { before_write(tensor); });
    convolves_ = convolves_ || known.convolution;
    if (known.kink) visit(argument(0), [&](const at::Tensor& tensor) { kinks_ += tensor.numel(); });
    // in eval mode too: a graph holds them, and later passes move them without autograd's notice
    for (const std::size_t i : known.statistics)
      visit(argument(i), [&](const at::Tensor& tensor) { before_write(tensor); });
    const bool trains =
        known.training < 0 || !argument(known.training).isBool() || argument(known.training).toBool();
    if (known.batch_norm && trains && instance_norms_ == 0) look_at_batch_norm(stack, first, count);

    struct Inside {
      int& depth;
      const int step;
      Inside(int& counter, bool inside) : depth(counter), step(inside ? 1 : 0) { depth += step; }
      ~Inside() { depth -= step; }
    };
    struct Within {
      const std::vector<const c10::StorageImpl*>*&inputs, *const outer;
      Within(const std::vector<const c10::StorageImpl*>*& current,
             const std::vector<const c10::StorageImpl*>* now)
          : inputs(current), outer(std::exchange(current, now)) {}
      ~Within() { inputs = outer; }
    };
    {
      const Inside inside(instance_norms_, known.instance_norm);
      const Within within(within_, known.own ? &inputs : nullptr);
      if (!(known.attention && plain_ && plain_attention(op, stack, first))) {
        std::optional<PlainRecurrence> unfused;
        if (known.recurrent) unfused.emplace();
        op.redispatchBoxed(keys, &stack);
      }
    }

    for (std::size_t i = first; i < stack.size(); ++i)
      visit(stack[i], [&](const at::Tensor& tensor) {
        const c10::StorageImpl* const storage = storage_of(tensor);
        if (std::find(inputs.begin(), inputs.end(), storage) != inputs.end()) return;
        young_.insert(storage);
        if (tensor.is_floating_point() && tensor.requires_grad())
          unit_ = std::max(unit_, unit_of(tensor.scalar_type()));
      });
  }

  void before_write(const at::Tensor& tensor) {
    const c10::StorageImpl* const storage = storage_of(tensor);
    if (storage == nullptr || tensor.is_meta() || young_.contains(storage)) return;
    // what an operator of LibTorch writes to and was not given, it has made: many allocate their output out
    // of our sight and fill it by another operator
    if (within_ && std::find(within_->begin(), within_->end(), storage) == within_->end())
      return void(young_.insert(storage));
    if (tensor.requires_grad() && !tensor.is_leaf()) return;  // of an older graph
    moved_.before_write(tensor);
  }

  const at::Generator& own(const at::Generator& original) {
    for (const auto& [known, copy] : own_)
      if (known == original || copy == original) return copy;
    at::Generator copy = [&] {
      at::Generator source = original;
      const std::lock_guard<std::mutex> lock(source.mutex());
      return source.clone();
    }();
    GeneratorStates::set_state(copy, states_.of(original));
    own_.emplace_back(original, std::move(copy));
    return own_.back().second;
  }

  // Normalising by the statistics of several rows that the gradient goes through couples samples.
  void look_at_batch_norm(const Stack& stack, std::size_t first, std::size_t count) {
    const c10::IValue& input = stack[first];
    if (count == 0 || !input.isTensor() || !input.toTensor().defined() || !at::GradMode::is_enabled()) return;
    if (input.toTensor().dim() == 0 || input.toTensor().size(0) <= 1) return;
    for (std::size_t i = 0; i < std::min<std::size_t>(count, 3); ++i)
      visit(stack[first + i],
            [&](const at::Tensor& tensor) { coupled_ = coupled_ || tensor.requires_grad(); });
  }

  // Attention as products and a softmax. False where that operator is not there, or not for these tensors.
  static bool plain_attention(const c10::OperatorHandle& op, Stack& stack, std::size_t first) {
    const auto math =
        c10::Dispatcher::singleton().findSchema({"aten::_scaled_dot_product_attention_math", ""});
    if (!math || !stack[first].isTensor() || stack[first].toTensor().is_nested()) return false;
    const at::Tensor query = stack[first].toTensor();
    Stack arguments;
    for (const c10::Argument& wanted : math->schema().arguments()) {
      const auto place = op.schema().argumentIndexWithName(wanted.name());
      c10::IValue value = place                    ? stack[first + static_cast<std::size_t>(*place)]
                          : wanted.default_value() ? *wanted.default_value()
                                                   : c10::IValue();
      if (wanted.name() == "attn_mask" && value.isTensor() && value.toTensor().defined() &&
          value.toTensor().scalar_type() == at::kBool) {
        const at::Tensor mask = value.toTensor();
        value = at::zeros_like(mask, query.options().requires_grad(false))
                    .masked_fill_(mask.logical_not(), -std::numeric_limits<double>::infinity());
      }
      arguments.push_back(std::move(value));
    }
    math->callBoxed(&arguments);
    stack.resize(first);
    stack.push_back(arguments.front());
    return true;
  }

  GeneratorStates& states_;
  MovedTensors& moved_;
  const bool plain_;
  Isolation* const outer_;
  const c10::impl::IncludeDispatchKeyGuard guard_{key};
  at::Generator device_;  // the GPU's
  at::Tensor before_;
  std::vector<std::pair<at::Generator, at::Generator>> own_;  // originals and their copies
  std::unordered_set<const c10::StorageImpl*> young_;         // made during the pass
  double unit_ = 0;
  int instance_norms_ = 0;  // how many we are inside
  int64_t kinks_ = 0;
  bool coupled_ = false, convolves_ = false;
  const std::vector<const c10::StorageImpl*>* within_ = nullptr;  // given to the operator that is running
};

}  // namespace sagitta::libtorch::detail
