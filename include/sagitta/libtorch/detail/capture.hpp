#pragma once

#include <ATen/ops/stack.h>
#include <torch/csrc/api/include/torch/version.h>

#include <sagitta/libtorch/detail/backward.hpp>
#include <sagitta/libtorch/detail/coverage.hpp>
#include <sagitta/libtorch/detail/isolation.hpp>
#include <sagitta/libtorch/options.hpp>

namespace sagitta::libtorch::detail {

// One forward pass, and what it takes to know its per-sample gradients. The rows whose Gram matrix is wanted
// are n = (m, k): the gradients of sum_c factor[m, c, k] output[m, c].
struct Pass {
  at::Tensor output;                // [M, ...]
  at::Tensor factor;                // [M, elements of a sample's output, copies]
  int64_t samples = 0, copies = 1;  // M; rows a sample
  std::vector<OperatorCall> calls;
  std::vector<at::Tensor> backprops;  // by each call's output, [copies, its shape]; undefined: no influence
  std::set<std::size_t> uncovered;    // parameters that the calls do not account for
  GeneratorStates generators;         // before the forward pass
  MovedTensors moved;                 // by the forward pass; put back when the graph has been used

  int64_t rows() const { return samples * copies; }
  // the cotangent of the output that gives sum_n weights_n (row n); weights: [rows()]
  at::Tensor cotangent(const at::Tensor& weights) const {
    return factor.matmul(weights.view({samples, copies, 1}));
  }
  // lets the graph go, where only what was captured is needed any more
  void release_graph() {
    moved.put_back();
    output = output.detach();
    for (OperatorCall& call : calls) {
      call.edge = {};
      for (c10::IValue& input : call.inputs) {
        if (input.isTensor() && input.toTensor().defined()) {
          input = input.toTensor().detach();
        } else if (input.isTensorList()) {
          auto tensors = input.toTensorVector();
          for (at::Tensor& tensor : tensors) tensor = tensor.detach();
          input = tensors;
        }
      }
    }
  }
};

// What a Gram function asks of its forward pass.
struct Question {
  const char* function;
  std::function<at::Tensor(int64_t batch)> forward;            // the output
  std::function<at::Tensor(const at::Tensor& output)> factor;  // checks the output, gives Pass::factor
  int64_t batches = 1;
};

inline const Rule* find_rule(const GramOptions& options, std::string_view name) {
  const std::string key(name);
  if (const auto own = options.rules.find(key); own != options.rules.end()) return &own->second;
  const auto standard = standard_rules().find(key);
  return standard == standard_rules().end() ? nullptr : &standard->second;
}

// The forward pass alone, watched.
//   generators: where its random numbers begin, if known; then where they ended
//   moved: what it wrote to, for the caller to put back
inline at::Tensor run_forward(const Question& question, int64_t batch, const Parameters& parameters,
                              Recorder& recorder, GeneratorStates& generators, MovedTensors& moved) {
  Isolation isolation(generators, moved, parameters[0].device());
  at::Tensor output = recorder.watch([&] { return question.forward(batch); });
  if (isolation.coupled())
    reject(question.function,
           "batch norm in train mode couples the samples of a batch, so that no sample has a gradient of its "
           "own; call model->eval() first (a layer with track_running_stats(false) stays so)");
  return output;
}

inline void keep_gradients(const Coverage& coverage, KeptGradients& gradients) {
  const bool harmless = TORCH_VERSION_MAJOR < 2 && coverage.slices && !coverage.custom;
  if (coverage.custom || harmless) gradients.keep(harmless);
}

// Runs the forward pass and the backward passes that collect the backprops of what it recorded.
inline Pass capture(const Question& question, int64_t batch, const Parameters& parameters,
                    const GramOptions& options, GeneratorStates& generators, KeptGradients& gradients) {
  Recorder recorder(parameters, [&](std::string_view name) { return find_rule(options, name) != nullptr; });
  Pass pass;
  pass.generators = generators;
  pass.output = run_forward(question, batch, parameters, recorder, generators, pass.moved);
  const ExactArithmetic exact;
  pass.factor = question.factor(pass.output);
  pass.samples = pass.factor.size(0);
  pass.copies = pass.factor.size(2);
  if (pass.rows() == 0) return pass;
  if (!pass.output.requires_grad())
    reject(
        question.function,
        "the output of the forward pass does not require grad, expected one that depends on the parameters");
  if (!recorder.failed) pass.calls = std::move(recorder.calls);
  CoverageWalk walk(pass.output, parameters);
  if (!walk.reaches_parameters())
    reject(question.function,
           "no parameter influences the output of the forward pass, expected parameters of the model that it "
           "runs (not of a copy)");
  Coverage coverage = walk.coverage(parameters.size(), pass.calls);
  pass.uncovered = std::move(coverage.uncovered);
  keep_gradients(coverage, gradients);

  torch::autograd::edge_list edges;
  for (const OperatorCall& call : pass.calls) edges.push_back(call.edge);
  std::vector<std::vector<at::Tensor>> copies(edges.size());
  if (TORCH_VERSION_MAJOR < 2 &&
      coverage.slices)  // LibTorch 1.13 then goes on to parameters, and must know them
    for (const auto& edge : parameter_edges(parameters)) edges.push_back(edge);
  for (int64_t k = 0; k < pass.copies; ++k) {
    const auto parts = backward(pass.output, pass.factor.select(2, k), edges, question.function);
    for (std::size_t c = 0; c < copies.size(); ++c)
      if (parts[c].defined()) copies[c].push_back(parts[c]);
  }
  pass.backprops.resize(copies.size());
  for (std::size_t c = 0; c < copies.size(); ++c)
    if (!copies[c].empty())
      pass.backprops[c] = pass.copies == 1 ? copies[c][0].unsqueeze(0) : at::stack(copies[c]);
  return pass;
}

}  // namespace sagitta::libtorch::detail
