#pragma once

#include <sagitta/detail/language.hpp>

// The core in one include: Eigen and the standard library, nothing else.
#include <sagitta/convolution.hpp>
#include <sagitta/effective_rank.hpp>
#include <sagitta/estimated_trace.hpp>
#include <sagitta/features.hpp>
#include <sagitta/fisher.hpp>
#include <sagitta/gauss_newton.hpp>
#include <sagitta/gradient_gram.hpp>
#include <sagitta/gradient_overlap.hpp>
#include <sagitta/gram.hpp>
#include <sagitta/lanczos.hpp>
#include <sagitta/layer_trace.hpp>
#include <sagitta/linear_operator.hpp>
#include <sagitta/neural_tangent.hpp>
#include <sagitta/norms.hpp>
#include <sagitta/partial_rank.hpp>
#include <sagitta/penalties.hpp>
#include <sagitta/rank_interval.hpp>
#include <sagitta/spectral_density.hpp>
#include <sagitta/spectral_penalty.hpp>
#include <sagitta/spectrum.hpp>
#include <sagitta/types.hpp>
#include <sagitta/version.hpp>
