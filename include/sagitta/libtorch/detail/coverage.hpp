#pragma once

#include <torch/csrc/autograd/function.h>

#include <map>
#include <sagitta/libtorch/detail/recorder.hpp>
#include <set>
#include <unordered_map>
#include <unordered_set>

namespace sagitta::libtorch::detail {

// What a walk through the autograd graph tells about a forward pass.
struct Coverage {
  // parameters that reach the output through something that was not written down: an operator without a rule,
  // a custom autograd function, a copy
  std::set<std::size_t> uncovered;
  bool custom = false;  // a custom autograd function is part of the graph
  bool slices = false;  // so is a write into a part of a tensor
  bool hooks = false;   // a hook may change a gradient on its way
};

// Computed tensors through which some parameters are reached, and through nothing else that counts.
struct Cut {
  std::vector<std::size_t> leaves;  // places in the recorder's list
  std::set<std::size_t> parameters;
  bool custom = false;  // a custom autograd function lies between
};

// Generated nodes have names that end with a number ("AddmmBackward0"), LibTorch's own lie in
// torch::autograd. What is neither is a custom function, of C++ (torch::autograd::CppNode or a name of the
// user's) or of Python ("CenteredBackward").
inline bool is_custom(const torch::autograd::Node& node) {
  const std::string name = node.name();
  if (name.find("CppNode<") != std::string::npos) return true;
  if (name.rfind("torch::autograd::", 0) == 0) return false;
  return name.find("::") != std::string::npos || name.empty() || name.back() < '0' || name.back() > '9';
}

// whether a user's hook looks at the gradients that flow into a node
template <class Node>
bool has_hooks(Node& node) {
  if constexpr (requires { node.tensor_pre_hooks(); })
    if (!node.tensor_pre_hooks().empty()) return true;
  return !node.pre_hooks().empty();
}

// The autograd graph behind an output.
class CoverageWalk {
 public:
  using Node = torch::autograd::Node;

  CoverageWalk(const at::Tensor& output, const Parameters& parameters) {
    const auto root = torch::autograd::impl::gradient_edge(output);
    root_ = root.function.get();
    for (std::size_t i = 0; i < parameters.size(); ++i)
      if (const auto accumulator = torch::autograd::impl::try_get_grad_accumulator(parameters[i]))
        owners_.emplace(accumulator.get(), i);
    std::vector<const Node*> open;
    if (root_) open.push_back(root_);
    while (!open.empty()) {
      const Node* const node = open.back();
      open.pop_back();
      if (!reached_.insert(node).second) continue;
      for (const auto& edge : node->next_edges())
        if (edge.is_valid()) open.push_back(edge.function.get());
    }
  }

  // whether any parameter influences the output
  bool reaches_parameters() const {
    return std::any_of(owners_.begin(), owners_.end(),
                       [&](const auto& owner) { return reached_.contains(owner.first); });
  }

  // Every edge into a parameter, or into a view of it, must come from a node that was made inside a recorded
  // call whose output is part of the graph, or from another such view.
  Coverage coverage(std::size_t parameters, const std::vector<OperatorCall>& calls) {
    Coverage result;
    std::vector<std::vector<Interval>> intervals(parameters);
    for (const OperatorCall& call : calls) {
      // An operator that writes into a part of a tensor gives a view that nothing else refers to: the
      // gradient flows past it.
      if (!reached_.contains(call.edge.function.get())) continue;
      for (const ParameterUse& use : call.uses) {
        const std::size_t p = use.view.parameter;
        if (p >= parameters) continue;  // a leaf
        intervals[p].push_back({call.first_sequence, call.end_sequence});
        if (!owns(call, use)) result.uncovered.insert(p);
      }
    }
    if (const auto owner = owners_.find(root_); owner != owners_.end())
      result.uncovered.insert(owner->second);
    for (const Node* const node : reached_) {
      if (owners_.contains(node)) continue;
      // (a leaf's node keeps its hooks in the tensor, which may be gone)
      if (!node->next_edges().empty()) result.hooks = result.hooks || has_hooks(const_cast<Node&>(*node));
      result.custom = result.custom || is_custom(*node);
      result.slices = result.slices || node->name() == "torch::autograd::CopySlices";
      for (const auto& edge : node->next_edges()) {
        if (!edge.is_valid()) continue;
        const auto owner = owners_.find(edge.function.get());
        if (owner != owners_.end() && !inside(*node, intervals[owner->second]))
          result.uncovered.insert(owner->second);
      }
    }
    return result;
  }

  // Which of the parameters `wanted` the leaves account for.
  //   answered[l]: whether the rules have answered for leaf l
  //   sound[c]: whether samples are told apart in the output of call c
  Cut cut(const std::set<std::size_t>& wanted, const std::vector<Leaf>& leaves,
          const std::vector<bool>& answered, const std::vector<OperatorCall>& calls,
          const std::vector<bool>& sound, std::size_t parameters) const {
    // leaves all of whose consumers are sound calls
    std::map<std::pair<const Node*, uint32_t>, std::size_t> places;
    std::vector<std::vector<Interval>> consumers(leaves.size()), intervals(parameters);
    for (std::size_t l = 0; l < leaves.size(); ++l)
      places.emplace(std::pair(leaves[l].edge.function.get(), leaves[l].edge.input_nr), l);
    for (std::size_t c = 0; c < calls.size(); ++c)
      if (sound[c])
        for (const ParameterUse& use : calls[c].uses)
          (use.view.parameter < parameters ? intervals[use.view.parameter]
                                           : consumers[use.view.parameter - parameters])
              .push_back({calls[c].first_sequence, calls[c].end_sequence});
    std::vector<bool> usable = answered;
    for (const Node* const node : reached_)
      for (const auto& edge : node->next_edges()) {
        const auto place = places.find({edge.function.get(), edge.input_nr});
        if (place != places.end() && !inside(*node, consumers[place->second])) usable[place->second] = false;
      }
    // what is reached without passing a leaf, and what lies behind those that are met first
    Cut result;
    std::set<std::size_t> met;
    std::unordered_set<const Node*> before, behind;
    std::set<std::size_t> around;
    std::vector<const Node*> open{root_};
    while (!open.empty()) {
      const Node* const node = open.back();
      open.pop_back();
      if (!before.insert(node).second) continue;
      for (const auto& edge : node->next_edges()) {
        if (!edge.is_valid()) continue;
        const auto place = places.find({edge.function.get(), edge.input_nr});
        if (place != places.end() && usable[place->second]) {
          met.insert(place->second);
          continue;
        }
        const auto owner = owners_.find(edge.function.get());
        if (owner != owners_.end() && !owners_.contains(node) && !inside(*node, intervals[owner->second]))
          around.insert(owner->second);
        open.push_back(edge.function.get());
      }
    }
    for (const std::size_t l : met) open.push_back(leaves[l].edge.function.get());
    std::set<std::size_t> found;
    while (!open.empty()) {
      const Node* const node = open.back();
      open.pop_back();
      if (!behind.insert(node).second) continue;
      result.custom = result.custom || is_custom(*node);
      if (const auto owner = owners_.find(node); owner != owners_.end()) found.insert(owner->second);
      for (const auto& edge : node->next_edges())
        if (edge.is_valid()) open.push_back(edge.function.get());
    }
    for (std::size_t c = 0; c < calls.size(); ++c)  // what is reached both ways would count twice
      if (sound[c] && behind.contains(calls[c].edge.function.get()))
        for (const ParameterUse& use : calls[c].uses) found.erase(use.view.parameter);
    for (const std::size_t p : found)
      if (wanted.contains(p) && !around.contains(p)) result.parameters.insert(p);
    if (!result.parameters.empty()) result.leaves.assign(met.begin(), met.end());
    return result;
  }

 private:
  struct Interval {  // of sequence numbers
    uint64_t first, end;
  };

  static bool inside(const Node& node, const std::vector<Interval>& intervals) {
    return std::any_of(intervals.begin(), intervals.end(), [&](const Interval& interval) {
      return node.sequence_nr() >= interval.first && node.sequence_nr() < interval.end;
    });
  }

  // Whether what the call consumed is the parameter or a view of it, in the graph as in memory. The nodes of
  // views become the parameter's.
  bool owns(const OperatorCall& call, const ParameterUse& use) {
    const c10::IValue& argument = call.inputs[static_cast<std::size_t>(use.argument)];
    const at::Tensor tensor = use.element < 0
                                  ? argument.toTensor()
                                  : argument.toTensorVector()[static_cast<std::size_t>(use.element)];
    const auto edge = torch::autograd::impl::gradient_edge(tensor);
    std::vector<const Node*> views;
    const Node* node = edge.function.get();
    while (node && !owners_.contains(node)) {
      if (is_custom(*node)) return false;
      views.push_back(node);
      const Node* next = nullptr;
      int count = 0;
      for (const auto& outgoing : node->next_edges())
        if (outgoing.is_valid()) next = outgoing.function.get(), ++count;
      node = count == 1 ? next : nullptr;
    }
    if (!node || owners_.at(node) != use.view.parameter) return false;
    for (const Node* const view : views) owners_.emplace(view, use.view.parameter);
    return true;
  }

  std::unordered_map<const Node*, std::size_t> owners_;  // accumulators and views of parameters
  std::unordered_set<const Node*> reached_;
  const Node* root_ = nullptr;
};

}  // namespace sagitta::libtorch::detail
