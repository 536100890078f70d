#pragma once

#include <sagitta/libtorch/detail/factors.hpp>

#if TORCH_VERSION_MAJOR >= 2
#include <ATen/functorch/DynamicLayer.h>
#include <ATen/ops/_add_batch_dim.h>
#include <ATen/ops/_remove_batch_dim.h>
#endif

// A tensor that is computed from parameters alone (a normalised weight, W + B A, positions looked up) belongs
// to all samples at once. Where its consumer tells samples apart, the rules give the gradient of each sample
// by that tensor, as by a parameter; to the parameters it goes on through the small function behind the
// tensor, and never through the network. That is right for any tensor: what it is computed from does not
// matter.
namespace sagitta::libtorch::detail {

// N vector-Jacobian products with the function between `edges` and `targets`: [N, numel of each target], in
// the place of undefined tensors nothing.
//   cotangents: [N, sizes] for each edge;  sizes: of the targets
class LeafProducts {
 public:
  LeafProducts(torch::autograd::edge_list edges, torch::autograd::edge_list targets, bool batched)
      : edges_(std::move(edges)), targets_(std::move(targets)), batched_(batched) {}

  std::vector<at::Tensor> operator()(const std::vector<at::Tensor>& cotangents) {
    if (batched_ && cotangents[0].size(0) > 1) {
      try {
        return all_at_once(cotangents);
      } catch (const c10::OutOfMemoryError&) {
        throw;
      } catch (const c10::Error&) {  // an operator that does not go with batches
        batched_ = false;
      }
    }
    return one_by_one(cotangents);
  }

 private:
  torch::autograd::variable_list execute(const std::vector<at::Tensor>& cotangents) const {
    auto result = torch::autograd::Engine::get_default_engine().execute(edges_, cotangents, true, false,
                                                                        false, targets_);
    for (at::Tensor& t : result)
      if (t.defined() && t.is_sparse()) t = t.to_dense();
    return result;
  }

  std::vector<at::Tensor> one_by_one(const std::vector<at::Tensor>& cotangents) const {
    std::vector<at::Tensor> result(targets_.size());
    const int64_t N = cotangents[0].size(0);
    for (int64_t n = 0; n < N; ++n) {
      std::vector<at::Tensor> one;
      for (const at::Tensor& c : cotangents) one.push_back(c[n]);
      const auto gradients = execute(one);
      for (std::size_t t = 0; t < gradients.size(); ++t) {
        if (!gradients[t].defined()) continue;
        if (!result[t].defined()) result[t] = at::zeros({N, gradients[t].numel()}, gradients[t].options());
        result[t][n].copy_(gradients[t].reshape({-1}));
      }
    }
    return result;
  }

  std::vector<at::Tensor> all_at_once(const std::vector<at::Tensor>& cotangents) const {
#if TORCH_VERSION_MAJOR >= 2
    using namespace at::functorch;
    struct Layer {
      int64_t size, level;
      explicit Layer(int64_t n)
          : size(n), level(initAndPushDynamicLayer(TransformType::Vmap, n, RandomnessType::Error)) {}
      ~Layer() { popDynamicLayerAndDeleteMetadata(); }
    };
    const int64_t N = cotangents[0].size(0);
    std::vector<at::Tensor> result(targets_.size());
    const Layer layer(N);
    std::vector<at::Tensor> batched;
    for (const at::Tensor& c : cotangents) batched.push_back(at::_add_batch_dim(c, 0, layer.level));
    const auto gradients = execute(batched);
    for (std::size_t t = 0; t < gradients.size(); ++t)
      if (gradients[t].defined())
        result[t] = at::_remove_batch_dim(gradients[t], layer.level, N, 0).reshape({N, -1});
    return result;
#else
    return one_by_one(cotangents);
#endif
  }

  torch::autograd::edge_list edges_, targets_;
  bool batched_;
};

// the rows [first, first + count) of a factor
inline Factor rows_of(Factor factor, int64_t first, int64_t count, int64_t rows) {
  const auto narrow = [&](at::Tensor& t) {
    if (!t.defined()) return;
    const int64_t copies = rows / t.size(0);
    t = t.narrow(0, first / copies, count / copies);
  };
  narrow(factor.backprops);
  narrow(factor.inputs);
  narrow(factor.indices);
  factor.lengths = at::Tensor();
  return factor;
}

inline void Capture::through_leaves(Pass& pass, const CoverageWalk& graph,
                                    const std::vector<Leaf>& leaves) const {
  const std::size_t P = parameters_.size();
  std::vector<bool> sound(pass.calls.size());
  std::set<std::size_t> wanted = pass.uncovered;
  for (std::size_t c = 0; c < sound.size(); ++c) {
    sound[c] = pass.layouts[c].has_value() || !pass.backprops[c].defined();
    if (!sound[c])
      for (const ParameterUse& use : pass.calls[c].uses)
        if (use.view.parameter < P) wanted.insert(use.view.parameter);
  }
  // what the rules say of each leaf; data (the input of a layer) are none to them
  std::map<std::size_t, std::vector<Factor>> all;
  std::vector<bool> answered(leaves.size(), true);
  const at::ScalarType type = product_type(parameters_, options_);
  for (std::size_t c = 0; !wanted.empty() && c < sound.size(); ++c)
    for (std::size_t u = 0; sound[c] && pass.backprops[c].defined() && u < pass.calls[c].uses.size(); ++u) {
      const std::size_t place = pass.calls[c].uses[u].view.parameter;
      if (place < P) continue;
      try {
        all[place - P].push_back(factor_of(pass, {c, u}, options_, type));
      } catch (const NoAnswer&) {
        answered[place - P] = false;
      } catch (const c10::Error&) {
        answered[place - P] = false;
      }
    }
  const Cut cut = wanted.empty() ? Cut{} : graph.cut(wanted, leaves, answered, pass.calls, sound, P);
  if (!cut.parameters.empty()) {
    std::map<std::size_t, std::vector<Factor>> factors;
    for (const std::size_t l : cut.leaves)
      if (const auto found = all.find(l); found != all.end()) factors.emplace(l, std::move(found->second));
    torch::autograd::edge_list edges, targets;
    std::vector<int64_t> numels;
    int64_t width = 0;
    for (const auto& [l, of] : factors) {
      edges.push_back(leaves[l].edge);
      numels.push_back(1);
      for (const int64_t size : leaves[l].sizes) numels.back() *= size;
      width += 2 * numels.back();
    }
    const std::vector<std::size_t> parameters(cut.parameters.begin(), cut.parameters.end());
    for (const std::size_t p : parameters) {
      targets.push_back(torch::autograd::impl::gradient_edge(parameters_[p]));
      width += parameters_[p].numel();
    }
    LeafProducts products(edges, targets, TORCH_VERSION_MAJOR >= 2 && !cut.custom);
    const int64_t N = pass.rows(),
                  bytes = std::max<int64_t>(1, width * static_cast<int64_t>(c10::elementSize(type)));
    // whole samples, so that inputs and backprops go together
    const int64_t step =
        std::clamp<int64_t>(options_.chunk_bytes / bytes / pass.copies, 1, pass.samples) * pass.copies;
    std::vector<at::Tensor> gradients(parameters.size());
    for (std::size_t i = 0; i < parameters.size(); ++i)
      gradients[i] = at::zeros({N, parameters_[parameters[i]].numel()},
                               parameters_[0].options().dtype(type).requires_grad(false));
    for (int64_t first = 0; first < N && !factors.empty(); first += step) {
      const int64_t count = std::min(step, N - first);
      std::vector<at::Tensor> cotangents;
      std::size_t i = 0;
      for (const auto& [l, of] : factors) {
        at::Tensor G = at::zeros({count, numels[i++]}, gradients[0].options());
        for (const Factor& factor : of) Products::add_gradients(G, rows_of(factor, first, count, N));
        std::vector<int64_t> sizes{count};
        sizes.insert(sizes.end(), leaves[l].sizes.begin(), leaves[l].sizes.end());
        cotangents.push_back(G.view(sizes).to(leaves[l].type));
      }
      const auto parts = products(cotangents);
      for (std::size_t k = 0; k < parts.size(); ++k)
        if (parts[k].defined()) gradients[k].narrow(0, first, count).copy_(parts[k]);
    }
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      pass.computed.emplace(parameters[i], gradients[i]);
      pass.uncovered.erase(parameters[i]);
    }
  }
  // computed tensors have had their part
  std::size_t kept = 0;
  for (std::size_t c = 0; c < pass.calls.size(); ++c) {
    std::erase_if(pass.calls[c].uses, [&](const ParameterUse& use) { return use.view.parameter >= P; });
    if (pass.calls[c].uses.empty()) continue;
    if (kept != c) {
      pass.calls[kept] = std::move(pass.calls[c]);
      pass.backprops[kept] = std::move(pass.backprops[c]);
      pass.layouts[kept] = std::move(pass.layouts[c]);
    }
    ++kept;
  }
  pass.calls.resize(kept);
  pass.backprops.resize(kept);
  pass.layouts.resize(kept);
}

}  // namespace sagitta::libtorch::detail
