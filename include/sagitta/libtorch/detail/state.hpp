#pragma once

#include <sagitta/libtorch/parameters.hpp>  // first: see there

#include <ATen/Context.h>
#include <ATen/core/Generator.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/grad_mode.h>

#include <mutex>
#include <utility>
#include <vector>

// What a forward pass moves beside its outputs: random numbers and tensors that are older than it.
namespace sagitta::libtorch::detail {

// Where the random numbers of a pass begin, or where they have ended.
class GeneratorStates {
 public:
  GeneratorStates() = default;  // not yet known
  explicit GeneratorStates(at::Device device) {
    note(at::globalContext().defaultGenerator(at::Device(at::kCPU)));
    if (!device.is_cpu()) note(at::globalContext().defaultGenerator(device));
  }
  bool empty() const { return states_.empty(); }
  // the state noted for a generator; its own where there is none
  at::Tensor of(const at::Generator& generator) const {
    for (const auto& [original, state] : states_)
      if (original == generator) return state;
    return state_of(generator);
  }
  void set(const at::Generator& generator, const at::Tensor& state) {
    for (auto& [original, noted] : states_)
      if (original == generator) return void(noted = state);
    states_.emplace_back(generator, state);
  }
  static at::Tensor state_of(at::Generator generator) {
    const std::lock_guard<std::mutex> lock(generator.mutex());
    return generator.get_state();
  }
  static void set_state(at::Generator generator, const at::Tensor& state) {
    const std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_state(state);
  }

 private:
  void note(const at::Generator& generator) { states_.emplace_back(generator, state_of(generator)); }

  std::vector<std::pair<at::Generator, at::Tensor>> states_;
};

// Tensors that are older than a forward pass and that it wrote to (running statistics, the vectors of a power
// iteration, a weight that is renormalised), with the values that they had. A graph may hold the values that
// the pass left there, so those stay, or are shown again, while the graph is used.
class MovedTensors {
 public:
  MovedTensors() = default;
  MovedTensors(MovedTensors&& other) noexcept
      : entries_(std::exchange(other.entries_, {})), after_(other.after_) {}
  MovedTensors(const MovedTensors&) = delete;
  MovedTensors& operator=(const MovedTensors&) = delete;
  MovedTensors& operator=(MovedTensors&&) = delete;
  ~MovedTensors() { put_back(); }

  bool empty() const { return entries_.empty(); }
  void before_write(const at::Tensor& tensor) {
    for (const Entry& entry : entries_)
      if (entry.tensor.is_alias_of(tensor) && entry.tensor.storage_offset() == tensor.storage_offset() &&
          entry.tensor.sizes() == tensor.sizes() && entry.tensor.strides() == tensor.strides())
        return;
    const at::NoGradGuard no_grad;
    entries_.push_back({tensor.detach(), tensor.detach().clone(), {}});
  }
  // the values that the pass left, or those that the tensors have otherwise
  void show(bool after) {
    if (after == after_) return;
    const at::NoGradGuard no_grad;
    for (Entry& entry : entries_) (after_ ? entry.after : entry.before) = entry.tensor.clone();
    write(after);
  }
  // the values from before the pass, for good
  void put_back() noexcept {
    try {
      if (after_) write(false);
    } catch (...) {  // a copy between tensors that were made alike does not fail
    }
    entries_.clear();
  }

 private:
  struct Entry {
    at::Tensor tensor, before, after;
  };
  // In reverse, as views of one tensor may overlap. Autograd does not notice: it is not the user who writes,
  // and the graph gets to see the values that it knows.
  void write(bool after) {
    const at::NoGradGuard no_grad;
    const at::AutoDispatchBelowADInplaceOrView unnoticed;
    for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry)
      entry->tensor.copy_(after ? entry->after : entry->before);
    after_ = after;
  }

  std::vector<Entry> entries_;
  bool after_ = true;
};

}  // namespace sagitta::libtorch::detail
