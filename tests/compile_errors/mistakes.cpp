// clang-format off
// (a mistake and its comment stand on one line)
// What must not compile, and the one line that says why: compile_errors.test.py reads the comment behind each.
#include <sagitta/features.hpp>
#include <sagitta/gauss_newton.hpp>
#include <sagitta/neural_tangent.hpp>
#include <sagitta/rank_interval.hpp>

using Eigen::MatrixXd;
using Eigen::MatrixXf;
using sagitta::LayerTrace;

MatrixXd predict();
std::vector<int> tokens();

void views(MatrixXd& A, const MatrixXf& F) {
  (void)LayerTrace<double>{.inputs = predict(), .backprops = A};               // would dangle
  (void)LayerTrace<double>{.inputs = predict().transpose(), .backprops = A};   // would dangle
  (void)LayerTrace<double>{.inputs = predict().topRows(3), .backprops = A};    // would dangle
  (void)LayerTrace<double>{.inputs = predict().col(0), .backprops = A};        // would dangle
  (void)LayerTrace<double>{.inputs = 2 * A, .backprops = A};                   // give this expression's value a name
  (void)LayerTrace<double>{.inputs = F.cast<double>(), .backprops = A};        // give this expression's value a name
  (void)LayerTrace<float>{.inputs = F, .backprops = A};                        // use LayerTrace<double>
  (void)std::vector<LayerTrace<double>>{{.inputs = A, .backprops = A},
                                        {.inputs = F, .backprops = A}};        // use LayerTrace<float>
  (void)sagitta::one_hot(tokens(), 5);                                         // would dangle
}
template <class Scalar, int Rows>
using Of = Eigen::Matrix<Scalar, Rows, Eigen::Dynamic>;  // each its own type: a compiler says everything once
template <int Rows>
using Half = Of<Eigen::half, Rows>;
template <int Rows>
using Complex = Of<std::complex<double>, Rows>;

void scalars(const Of<int, 1>& whole, const Half<1>& half, const Complex<1>& complex, MatrixXd& A) {
  (void)LayerTrace<double>{.inputs = whole, .backprops = A};                   // no integers, half precision or complex
  (void)LayerTrace<double>{.inputs = half, .backprops = A};                    // no integers, half precision or complex
  (void)LayerTrace<double>{.inputs = complex, .backprops = A};                 // no integers, half precision or complex
  (void)sizeof(LayerTrace<int>);                                               // views and traces are of float or double
  (void)sagitta::cross_entropy_backprops(A, std::vector<double>{1.0});         // whole numbers
}
void functions(MatrixXd& A) {
  (void)sagitta::gram(Of<int, 1>());                                           // no integers, half precision or complex
  (void)sagitta::gradient_gram(Half<2>());                                     // no integers, half precision or complex
  (void)sagitta::fisher_rank(Complex<3>());                                    // no integers, half precision or complex
  (void)sagitta::softmax(Complex<4>());                                        // no integers, half precision or complex
  (void)sagitta::sample_labels(Half<5>(), std::mt19937(1));                    // no integers, half precision or complex
  (void)sagitta::feature_rank(Of<int, 6>());                                   // no integers, half precision or complex
  (void)sagitta::dormancy(Complex<7>());                                       // no integers, half precision or complex
  (void)sagitta::per_sample_dormancy(Half<8>());                               // no integers, half precision or complex
  (void)sagitta::dormant_fraction(Of<int, 9>());                               // no integers, half precision or complex
  (void)sagitta::gauss_newton_rank(Complex<10>(), A);                          // no integers, half precision or complex
  (void)sagitta::gauss_newton_backprops(Half<11>());                           // no integers, half precision or complex
  (void)sagitta::softmax_hessian_factor(Of<int, 12>());                        // no integers, half precision or complex
  (void)sagitta::rank_interval(Complex<13>(), .99, .95, std::mt19937(1));      // no integers, half precision or complex
  (void)sagitta::effective_rank(Half<14>());                                   // no integers, half precision or complex
  (void)sagitta::symmetric_effective_rank(Complex<15>());                      // no integers, half precision or complex
  (void)sagitta::entropy_rank(Of<int, 16>());                                  // no integers, half precision or complex
}
