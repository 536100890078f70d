#include "learners/networks/networks.hpp"

namespace paper {

namespace {

std::string title(const Configuration& c) {
  return std::string("resnet18") + (c.has_small_stem() ? "-cifar" : "") +
         (c.normalizes_batches() ? "" : "-no_batch_norm");
}

Signal convolved(Layers& layers, const Signal& x, const Configuration& c, Index filters, Index kernel,
                 Index stride) {
  const bool normalized = c.normalizes_batches();
  const Signal z = layers.convolve(x, filters, kernel, stride, !normalized);
  return normalized ? layers.normalize(z) : z;
}

Signal features(Layers& layers, const Signal& images, const Configuration& c) {
  const bool small = c.has_small_stem();
  Signal x = layers.activate(convolved(layers, images, c, 64, small ? 3 : 7, small ? 1 : 2));
  if (!small) x = layers.pool_maximum(x);
  for (const Index filters : {64, 128, 256, 512})
    for (const Index stride : {filters == 64 ? 1 : 2, 1}) {
      Signal z = layers.activate(convolved(layers, x, c, filters, 3, stride));
      z = convolved(layers, z, c, filters, 3, 1);
      const bool same = stride == 1 && x.channels == filters;
      x = layers.activate(layers.add(z, same ? x : convolved(layers, x, c, filters, 1, stride)));
    }
  return layers.flatten(layers.pool_mean(x));
}

}  // namespace

// He et al. 2016
Network resnet18() {
  return {.name = "resnet18",
          .title = title,
          .features = features,
          .whole_batches = true,
          .at_once = {1, 16, 512}};
}

}  // namespace paper
