using MathNet.Numerics.LinearAlgebra;

namespace Dpo.Evaluation.Statistics;

/// <summary>What a logistic regression is fitted to.</summary>
/// <param name="Features">The numbers that are weighed.</param>
/// <param name="Target">The probability that is to be predicted, from 0 to 1.</param>
/// <param name="Weight">How much the row counts.</param>
/// <param name="Cluster">Rows of one cluster are not independent.</param>
internal readonly record struct PenalizedRow(double[] Features, double Target, double Weight, int Cluster)
{
    /// <summary>The log-odds that coefficients predict.</summary>
    public double Product(IReadOnlyList<double> coefficients)
    {
        var sum = 0.0;
        for (var feature = 0; feature < Features.Length; feature++)
            sum += Features[feature] * coefficients[feature];
        return sum;
    }
}

/// <summary>Logistic regression of few features with an L1 penalty, ‖w‖₁ + C Σ weight · cross-entropy, to the last digits:
/// Newton's method, each step of which is solved coordinate by coordinate (Friedman et al. 2010).</summary>
internal static class PenalizedLogistic
{
    public static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));

    /// <summary>Σ weight · cross-entropy, in nats.</summary>
    public static double Loss(PenalizedRow[] rows, IReadOnlyList<double> coefficients)
    {
        var sum = 0.0;
        foreach (var row in rows)
        {
            var x = row.Product(coefficients);
            // log(1 + eˣ) − target · x, without an overflow.
            sum += row.Weight * (Math.Max(x, 0) + Math.Log(1 + Math.Exp(-Math.Abs(x))) - (row.Target * x));
        }
        return sum;
    }

    /// <summary>The gradient and the Hessian of <see cref="Loss"/>.</summary>
    public static (Vector<double> Gradient, Matrix<double> Curvature) Derivatives(
        PenalizedRow[] rows, IReadOnlyList<double> coefficients)
    {
        var count = coefficients.Count;
        var gradient = new double[count];
        var curvature = new double[count, count];
        foreach (var row in rows)
        {
            var prediction = Sigmoid(row.Product(coefficients));
            var (residual, spread) = (row.Weight * (prediction - row.Target), row.Weight * prediction * (1 - prediction));
            for (var i = 0; i < count; i++)
            {
                gradient[i] += residual * row.Features[i];
                for (var j = 0; j < count; j++)
                    curvature[i, j] += spread * row.Features[i] * row.Features[j];
            }
        }
        return (Vector<double>.Build.Dense(gradient), Matrix<double>.Build.DenseOfArray(curvature));
    }

    /// <summary>The coefficients that minimise the penalised loss.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="c">C, above 0.</param>
    /// <param name="start">Where to begin, which the result does not depend on.</param>
    public static double[] Fit(PenalizedRow[] rows, double c, double[] start)
    {
        double Objective(double[] at) => at.Sum(Math.Abs) + (c * Loss(rows, at));
        var (fitted, reached) = (start, Objective(start));
        for (var iteration = 0; iteration < 100; iteration++)
        {
            var (gradient, curvature) = Derivatives(rows, fitted);
            var step = Step(gradient * c, curvature * c, fitted);
            double[] next;
            double objective;
            var share = 1.0;
            do
            {
                next = [.. fitted.Zip(step, (coefficient, change) => coefficient + (share * change))];
                objective = Objective(next);
                share /= 2;
            }
            while (objective > reached + (1e-14 * Math.Abs(reached)) && share > 1e-12);
            (fitted, reached) = (next, objective);
            if (step.All(change => Math.Abs(change) < 1e-12))
                break;
        }
        return fitted;
    }

    /// <summary>The change that minimises the penalty and a parabola in place of the loss.</summary>
    private static double[] Step(Vector<double> gradient, Matrix<double> curvature, double[] from)
    {
        var step = new double[from.Length];
        for (var sweep = 0; sweep < 10_000; sweep++)
        {
            var largest = 0.0;
            for (var i = 0; i < step.Length; i++)
            {
                // A feature that is 0 in all rows stays without a coefficient.
                if (curvature[i, i] <= 0)
                    continue;
                var slope = gradient[i];
                for (var j = 0; j < step.Length; j++)
                    slope += curvature[i, j] * step[j];
                var free = from[i] + step[i] - (slope / curvature[i, i]);
                var shrunk = Math.Sign(free) * Math.Max(0, Math.Abs(free) - (1 / curvature[i, i]));
                var moved = shrunk - from[i] - step[i];
                step[i] += moved;
                largest = Math.Max(largest, Math.Abs(moved));
            }
            if (largest < 1e-14)
                break;
        }
        return step;
    }
}
