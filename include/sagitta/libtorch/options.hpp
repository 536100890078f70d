#pragma once

#include <limits>
#include <sagitta/libtorch/detail/rules.hpp>

namespace sagitta::libtorch {

struct GramOptions {
  bool check = true;  // verify the result: one more backward pass, down to the parameters
  uint64_t check_seed = 20240229;
  int64_t chunk_bytes = int64_t{256} << 20;  // bound on the temporaries of a layer
  bool accumulate_in_double = false;         // products and sums in double for a float model too
  bool per_layer = false;                    // also the Gram matrix of each layer
  Rules rules;                               // for further operators; they take precedence over the library's
};

struct ParameterReference {
  std::size_t index = 0;
  std::string name;  // as in named_parameters(), else index and shape
};

struct LayerGram {
  std::vector<std::size_t> parameters;  // places in the list: a weight and its bias, or one parameter
  at::Tensor gram;                      // [N, N]
};

struct GramResult {
  at::Tensor gram;  // [N, N], symmetric, on the device of the parameters
  // the largest over all layers of |w^T K w - |sum_n w_n g_n|^2| / sum_n w_n^2 K_nn, where weights w make
  // samples count alike; where rounding of positions that cancel is more than that sum allows, relative to
  // it. A quiet NaN where the check was off, 0 where K is empty or zero
  double check_error = std::numeric_limits<double>::quiet_NaN();
  std::vector<ParameterReference> fallback_parameters;  // those that took single-sample backward passes
  int64_t parameter_count = 0;                          // d
  at::ScalarType product_type = at::kFloat;             // in which products were formed and summed
  // how far (in the 2-norm) rounding may have moved the Gram where the gradient of a sample is a sum over
  // positions (pixels, tokens, uses of a weight) that may cancel; 0 where every layer sees one position
  double cancellation = 0;
  std::vector<LayerGram> layers;  // where asked for; they sum to the Gram
};

}  // namespace sagitta::libtorch
