#pragma once

#include <torch/csrc/autograd/function.h>

#include <sagitta/libtorch/capture.hpp>
#include <set>
#include <unordered_map>
#include <unordered_set>

namespace sagitta::libtorch::detail {

// The parameters that reach `output` through something that was not written down: an operator without a rule,
// a custom autograd function, a copy. Walks the autograd graph once. Every edge into a parameter, or into a
// view of it, must come from a node that was made inside a recorded call, or from another such view.
inline std::set<std::size_t> uncovered_parameters(const at::Tensor& output, const Parameters& parameters,
                                                  const std::vector<OperatorCall>& calls) {
  using torch::autograd::Node;
  std::unordered_map<const Node*, std::size_t> owners;  // accumulators and views of parameters
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (const auto accumulator = torch::autograd::impl::try_get_grad_accumulator(parameters[i]))
      owners.emplace(accumulator.get(), i);

  std::set<std::size_t> uncovered;
  struct Interval {
    uint64_t first, end;
  };
  std::vector<std::vector<Interval>> intervals(parameters.size());
  for (const OperatorCall& call : calls)
    for (const ParameterUse& use : call.uses) {
      const std::size_t p = use.view.parameter;
      intervals[p].push_back({call.first_sequence, call.end_sequence});
      const c10::IValue& argument = call.inputs[static_cast<std::size_t>(use.argument)];
      const at::Tensor tensor = use.element < 0
                                    ? argument.toTensor()
                                    : argument.toTensorVector()[static_cast<std::size_t>(use.element)];
      if (!tensor.requires_grad()) continue;
      auto edge = torch::autograd::impl::gradient_edge(tensor);
      std::vector<const Node*> chain;
      const Node* node = edge.function.get();
      while (node && !owners.contains(node)) {
        chain.push_back(node);
        const Node* next = nullptr;
        int count = 0;
        for (const auto& outgoing : node->next_edges())
          if (outgoing.is_valid()) next = outgoing.function.get(), ++count;
        node = count == 1 ? next : nullptr;
      }
      if (!node || owners.at(node) != p) {
        uncovered.insert(p);
        continue;
      }
      for (const Node* view : chain) owners.emplace(view, p);
    }

  const auto recorded = [&](const Node& node, std::size_t p) {
    for (const Interval& interval : intervals[p])
      if (node.sequence_nr() >= interval.first && node.sequence_nr() < interval.end) return true;
    return false;
  };
  std::vector<const Node*> open;
  std::unordered_set<const Node*> seen;
  const auto root = torch::autograd::impl::gradient_edge(output);
  if (root.function) open.push_back(root.function.get());
  while (!open.empty()) {
    const Node* const node = open.back();
    open.pop_back();
    if (!seen.insert(node).second) continue;
    for (const auto& edge : node->next_edges()) {
      if (!edge.is_valid()) continue;
      const auto owner = owners.find(edge.function.get());
      if (owner != owners.end() && !owners.contains(node) && !recorded(*node, owner->second))
        uncovered.insert(owner->second);
      open.push_back(edge.function.get());
    }
  }
  return uncovered;
}

}  // namespace sagitta::libtorch::detail
