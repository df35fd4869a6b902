namespace Aisle.Tensors;

// Products with the model's matrices: y = x · Wᵀ + b, and where a matrix W has an adapter, y += s · (x · Aᵀ) · Bᵀ beside it.
internal sealed unsafe partial class ExactArithmetic
{
    // y [R, outputs] (+)= x [R, inputs] · weightᵀ + bias. The chain of each sum begins at what y holds, or at the bias.
    private void Linear(ActivationSpace space, LinearPart part, float* x, float* y, bool add = false)
    {
        var rows = space.Rows;
        if (part.Bias >= 0)
        {
            var bias = _weights.Vector(part.Bias);
            for (var row = 0; row < rows; row++)
            {
                if (add) ExactKernels.Add(bias, part.Outputs, y + (long)row * part.Outputs);
                else Copy(bias, y + (long)row * part.Outputs, part.Outputs);
            }

            add = true;
        }

        _product.Multiply(rows, part.Outputs, part.Inputs, new Matrix(x, part.Inputs), _weights.Matrix(part.Weight, part.Inputs).Transposed, y, part.Outputs, add);
        if (_adapters is null) return;
        var rank = _adapters.Rank;
        foreach (var adapter in _adapters.Layout.Of(part))
        {
            Lower(space, part, adapter, x);
            _product.Multiply(rows, adapter.Outputs, rank, new Matrix(space.Low, rank), new Matrix(_adapters.Weight(adapter.B), rank).Transposed,
                y + adapter.FirstOutput, part.Outputs, add: true);
        }
    }

    // dWeight = dyᵀ · x, dBias += the rows of dy, and dx = dy · weight; the same for the adapters.
    private void LinearBack(ActivationSpace space, LinearPart part, float* dy, float* x, float* dx, GradientReady? ready)
    {
        var rows = space.Rows;
        if (_gradients is not null)
        {
            _product.Multiply(part.Outputs, part.Inputs, rows, new Matrix(dy, part.Outputs).Transposed, new Matrix(x, part.Inputs), Gradient(part.Weight), part.Inputs);
            for (var row = 0; part.Bias >= 0 && row < rows; row++) ExactKernels.Add(dy + (long)row * part.Outputs, part.Outputs, Gradient(part.Bias));
            ready?.Invoke(part.Weight, part.Outputs * part.Inputs);
            if (part.Bias >= 0) ready?.Invoke(part.Bias, part.Outputs);
        }

        _product.Multiply(rows, part.Inputs, part.Outputs, new Matrix(dy, part.Outputs), _weights.Matrix(part.Weight, part.Inputs), dx, part.Inputs);
        if (_adapters is null) return;
        var rank = _adapters.Rank;
        foreach (var adapter in _adapters.Layout.Of(part))
        {
            var dOutput = new Matrix(dy + adapter.FirstOutput, part.Outputs);
            Lower(space, part, adapter, x);
            _product.Multiply(adapter.Outputs, rank, rows, dOutput.Transposed, new Matrix(space.Low, rank), _adapters.Gradient(adapter.B), rank);
            _product.Multiply(rows, rank, adapter.Outputs, dOutput, new Matrix(_adapters.Weight(adapter.B), rank), space.DLow, rank);
            ExactKernels.Scale(space.DLow, (long)rows * rank, _adapters.Layout.Scale);
            _product.Multiply(rank, part.Inputs, rows, new Matrix(space.DLow, rank).Transposed, new Matrix(x, part.Inputs), _adapters.Gradient(adapter.A), part.Inputs);
            _product.Multiply(rows, part.Inputs, rank, new Matrix(space.DLow, rank), new Matrix(_adapters.Weight(adapter.A), part.Inputs), dx, part.Inputs, add: true);
            ready?.Invoke(adapter.A, rank * part.Inputs);
            ready?.Invoke(adapter.B, adapter.Outputs * rank);
        }
    }

    // low = s · x · Aᵀ; cheap enough to be computed on both ways.
    private void Lower(ActivationSpace space, LinearPart part, LowRankAdapter adapter, float* x)
    {
        var rank = _adapters!.Rank;
        _product.Multiply(space.Rows, rank, part.Inputs, new Matrix(x, part.Inputs), new Matrix(_adapters.Weight(adapter.A), part.Inputs).Transposed, space.Low, rank);
        ExactKernels.Scale(space.Low, (long)space.Rows * rank, _adapters.Layout.Scale);
    }
}
