#include "learners/activation.hpp"

#include "learners/activations/gelu.hpp"
#include "learners/activations/identity.hpp"
#include "learners/activations/leaky_relu.hpp"
#include "learners/activations/relu.hpp"
#include "learners/activations/tanh.hpp"

namespace paper {

Registry<Activation>& activations() {
  static Registry<Activation> all(
      "activation", {activation<Relu>(), activation<LeakyRelu>(), activation<Tanh>(), activation<Identity>(),
                     activation<Gelu>()});
  return all;
}

}  // namespace paper
