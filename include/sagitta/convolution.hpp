#pragma once

#include <sagitta/detail/language.hpp>

#include <array>
#include <sagitta/detail/check.hpp>

namespace sagitta {

// A two-dimensional convolution, as seen by its weights: channels_out x (channels * kernel[0] * kernel[1]).
// {height, width} each. (One over time has height 1; each group of a grouped convolution is one of its own.)
struct Convolution {
  Index channels = 1;
  std::array<Index, 2> image{1, 1}, kernel{1, 1};
  std::array<Index, 2> stride{1, 1}, padding{0, 0}, dilation{1, 1};

  // of the output, in one direction: 0 is the height
  Index size(std::size_t direction) const {
    const Index room =
        image[direction] + 2 * padding[direction] - dilation[direction] * (kernel[direction] - 1);
    return room < 1 ? 0 : (room - 1) / stride[direction] + 1;
  }
  Index positions() const { return size(0) * size(1); }
  Index fan_in() const { return channels * kernel[0] * kernel[1]; }
};

// The patches that a convolution multiplies its weights by: the inputs of its LayerTrace.
//   images: samples x channels x height x width, one behind another (NCHW)
// Returns (samples * positions) x fan_in, row m * positions + t for output pixel t, row by row of the image,
// column (channel * kernel[0] + i) * kernel[1] + j; zeros where a patch reaches into the padding. Throws
// std::invalid_argument for sizes, strides and dilations below 1 and a padding below 0. A copy: fan_in /
// (channels * stride[0] * stride[1]) times the images.
template <class Scalar>
MatrixOf<Scalar> im2col(const Scalar* images, Index samples, const Convolution& convolution) {
  constexpr const char* name = "im2col";
  const Convolution& c = convolution;
  for (const std::size_t d : {std::size_t{0}, std::size_t{1}})
    if (c.image[d] < 1 || c.kernel[d] < 1 || c.stride[d] < 1 || c.dilation[d] < 1 || c.padding[d] < 0)
      detail::reject(name, "image ", c.image[d], ", kernel ", c.kernel[d], ", stride ", c.stride[d],
                     ", dilation ", c.dilation[d], " and padding ", c.padding[d], " of direction ", d,
                     ", expected 1 or more, padding 0 or more");
  if (c.channels < 1 || samples < 0)
    detail::reject(name, "channels is ", c.channels, " and samples ", samples,
                   ", expected 1 or more, 0 or more");
  const Index high = c.size(0), wide = c.size(1);
  MatrixOf<Scalar> patches = MatrixOf<Scalar>::Zero(samples * high * wide, c.fan_in());
  Scalar* column = patches.data();
  for (Index channel = 0; channel < c.channels; ++channel)
    for (Index i = 0; i < c.kernel[0]; ++i)
      for (Index j = 0; j < c.kernel[1]; ++j)
        for (Index m = 0; m < samples; ++m) {
          const Scalar* image = images + (m * c.channels + channel) * c.image[0] * c.image[1];
          for (Index y = 0; y < high; ++y)
            for (Index x = 0; x < wide; ++x, ++column) {
              const Index row = y * c.stride[0] + i * c.dilation[0] - c.padding[0],
                          col = x * c.stride[1] + j * c.dilation[1] - c.padding[1];
              if (row >= 0 && row < c.image[0] && col >= 0 && col < c.image[1])
                *column = image[row * c.image[1] + col];
            }
        }
  return patches;
}

}  // namespace sagitta
